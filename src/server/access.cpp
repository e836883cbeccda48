#include "server/access.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <openssl/crypto.h>

namespace waybill::server {

std::string_view host_of(std::string_view text) {
    if (text.starts_with('[')) return text.substr(1, text.find(']') - 1);
    const size_t colon = text.rfind(':');
    return colon == text.npos || text.find(':') != colon ? text : text.substr(0, colon);
}

// A number of 127.0.0.0/8: four of them, so that the name 127.example.com is not taken for one.
bool is_loopback(std::string_view host) {
    constexpr std::string_view name = "localhost", below = ".localhost";
    if (http::same_name(host, name) || host == "::1" || (host.size() > below.size() && http::same_name(host.substr(host.size() - below.size()), below))) return true;
    in_addr address{};
    return inet_pton(AF_INET, std::string(host).c_str(), &address) == 1 && host.find('\0') == host.npos && ntohl(address.s_addr) >> 24 == 127;
}

Access::Access(const Config& config) : security_(config.security), listen_host_(host_of(config.listen)), loopback_(is_loopback(listen_host_)) {}

bool Access::known_host(std::string_view host) const {
    if (is_loopback(host) || http::same_name(host, listen_host_)) return true;
    for (const auto& allowed : security_.allowed_hosts)
        if (http::same_name(host, allowed)) return true;
    return false;
}

std::optional<http::Response> Access::check_origin(const http::Head& head) const {
    // Behind credentials a name is no secret; without them it is the only thing that a web page cannot choose.
    const bool open = security_.tokens.empty() || security_.credentials.empty();
    const std::string_view host = host_of(head.header_or("Host"));
    if (loopback_ && open && !host.empty() && !known_host(host))
        return http::error_response(403, "invalid", fmt::format("Host '{}' is not this server's name: if it is meant to be, add it to security.allowed_hosts", host.substr(0, 200)));
    const std::string_view origin = head.header_or("Origin");
    if (!origin.empty()) {
        const size_t scheme = origin.find("://");
        const std::string_view from = scheme == origin.npos ? origin : host_of(origin.substr(scheme + 3));
        if (!known_host(from) && !http::same_name(from, host_of(head.header_or("Host"))))
            return http::error_response(403, "invalid", fmt::format("Origin '{}' may not use this server: if it should, add its host to security.allowed_hosts", origin.substr(0, 200)));
        if (loopback_ && open && !known_host(from)) return http::error_response(403, "invalid", "this Origin may not use this server");
    }
    return {};
}

std::optional<http::Response> Access::check_token(const http::Head& head) const {
    if (security_.tokens.empty()) return {};
    std::string_view given = head.header_or("Authorization");
    if (given.size() > 7 && http::same_name(given.substr(0, 7), "Bearer ")) {
        given.remove_prefix(7);
        bool good = false;
        for (const auto& token : security_.tokens)
            good |= token.reveal().size() == given.size() && CRYPTO_memcmp(token.reveal().data(), given.data(), given.size()) == 0;
        if (good) return {};
    }
    auto response = http::error_response(401, "invalid", "a token is required: send Authorization: Bearer TOKEN with one of security.tokens");
    response.headers.emplace_back("WWW-Authenticate", "Bearer");
    return response;
}

}  // namespace waybill::server
