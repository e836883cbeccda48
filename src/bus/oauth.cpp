#include "bus/oauth.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>
#include <vector>

#include "http/head.h"

namespace waybill::bus {
namespace {

namespace dom = simdjson::dom;

using Pairs = std::vector<std::pair<std::string, std::string>>;

Pairs pairs_of(const std::optional<std::vector<AuthParameter>>& list) {
    Pairs pairs;
    if (list)
        for (const auto& p : *list) pairs.emplace_back(p.key, p.value ? p.value->reveal() : std::string());
    return pairs;
}

bool names(const Pairs& pairs, std::string_view name) {
    return std::ranges::any_of(pairs, [&](const auto& pair) { return pair.first == name; });
}

std::string form(const Pairs& pairs) {
    std::string text;
    for (const auto& [name, value] : pairs) {
        if (!text.empty()) text += '&';
        text += http::percent_encode(name, false) + "=" + http::percent_encode(value, false);
    }
    return text;
}

// The transport makes these itself; one that is set by hand could end the request early.
bool of_the_transport(std::string_view name) {
    for (const std::string_view one :
         {"Host", "Content-Length", "Transfer-Encoding", "Connection", "Expect", "TE", "Trailer", "Upgrade"})
        if (http::same_name(name, one)) return true;
    return false;
}

bool visible(std::string_view text) {
    return std::ranges::none_of(text, [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; });
}

// RFC 6749, 5.2: the error's code is made of these characters, and is no secret.
std::string error_code(dom::element root) {
    std::string_view code;
    if (root["error"].get(code) != simdjson::SUCCESS || code.size() > 100) return {};
    const bool good = std::ranges::all_of(code, [](char c) { return c >= 0x20 && c <= 0x7e && c != '"' && c != '\\'; });
    return good ? std::string(code) : std::string();
}

// In seconds; some servers write the number as a text.
std::optional<double> expires_in(dom::element root) {
    dom::element value;
    if (root["expires_in"].get(value) != simdjson::SUCCESS) return {};
    double seconds = 0;
    if (value.get(seconds) != simdjson::SUCCESS) {
        std::string_view text;
        int64_t whole = 0;
        if (value.get(text) != simdjson::SUCCESS) return {};
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), whole);
        if (error != std::errc{} || end != text.data() + text.size()) return {};
        seconds = static_cast<double>(whole);
    }
    return seconds;
}

}  // namespace

Result<http::ClientRequest> token_request(const OAuthParameters& parameters) {
    const AuthHttpParameters own = parameters.http.value_or(AuthHttpParameters{});
    Pairs query = pairs_of(own.query), body = pairs_of(own.body);
    const Pairs headers = pairs_of(own.headers);
    const std::string endpoint = parameters.endpoint.value_or("");
    if ((!endpoint.starts_with("https://") && !endpoint.starts_with("http://")) || !visible(endpoint))
        return invalid("the AuthorizationEndpoint of a connection must be a URL that begins with https:// or http://");

    Pairs grant;
    auto add = [&](std::string_view name, std::string value) {
        if (!names(body, name) && !names(query, name)) grant.emplace_back(name, std::move(value));
    };
    add("grant_type", "client_credentials");
    if (!std::ranges::any_of(headers, [](const auto& header) { return http::same_name(header.first, "Authorization"); })) {
        add("client_id", parameters.client_id.value_or(""));
        add("client_secret", parameters.client_secret ? parameters.client_secret->reveal() : std::string());
    }
    body.insert(body.begin(), grant.begin(), grant.end());

    http::ClientRequest request;
    request.method = parameters.method.value_or("POST");
    request.timeout_ms = token_request_timeout_ms;
    request.headers = {{"User-Agent", "Amazon/EventBridge/ApiDestinations"}, {"Accept", "application/json"}};
    if (request.method == "GET") {
        query.insert(query.end(), body.begin(), body.end());
    } else {
        request.headers.emplace_back("Content-Type", "application/x-www-form-urlencoded");
        request.body = form(body);
    }
    request.url = endpoint.substr(0, endpoint.find('#'));
    if (!query.empty()) {
        const size_t question = request.url.find('?');
        if (question == std::string::npos)
            request.url += '?';
        else if (question + 1 < request.url.size() && !request.url.ends_with('&'))
            request.url += '&';
        request.url += form(query);
    }
    for (const auto& [name, value] : headers) {
        if (name.empty() || of_the_transport(name)) continue;
        if (!visible(name) || !visible(value))
            return invalid("a header field of a connection's OAuthHttpParameters holds a control character");
        std::erase_if(request.headers, [&](const auto& header) { return http::same_name(header.first, name); });
    }
    for (const auto& header : headers)
        if (!header.first.empty() && !of_the_transport(header.first)) request.headers.push_back(header);
    return request;
}

Result<OAuthToken> read_token(const http::ClientResponse& response, TimeMs now) {
    thread_local dom::parser parser;
    dom::element root;
    const bool object = !response.cut && parser.parse(response.body).get(root) == simdjson::SUCCESS && root.is_object();
    if (response.status < 200 || response.status >= 300) {
        const std::string code = object ? error_code(root) : std::string();
        std::string text =
            fmt::format("the authorization endpoint answered HTTP {}{}{}", response.status, code.empty() ? "" : ": ", code);
        const bool later = response.status == 408 || response.status == 429 || response.status >= 500;
        return later ? unavailable(std::move(text)) : invalid(std::move(text) + "; check the connection's client and endpoint");
    }
    std::string_view token, type;
    if (!object) return invalid("the authorization endpoint answered something else than a JSON object");
    if (root["access_token"].get(token) != simdjson::SUCCESS || token.empty())
        return invalid("the authorization endpoint's answer has no access_token");
    if (token.size() > token_bytes || !visible(token))
        return invalid("the authorization endpoint's access_token cannot stand in a header field");
    if (root["token_type"].get(type) == simdjson::SUCCESS && !http::same_name(type, "Bearer"))
        return invalid(
            "the authorization endpoint's token_type is not Bearer, which is all that API destinations are called with");
    int64_t lasts_ms = token_default_ms;
    if (const auto seconds = expires_in(root); seconds && std::isfinite(*seconds))
        lasts_ms = static_cast<int64_t>(std::clamp(*seconds * 1000, 0.0, static_cast<double>(token_longest_ms)));
    return OAuthToken{Secret(std::string(token)), now + lasts_ms - std::min(token_early_ms, lasts_ms / 10)};
}

TokenCache::Found TokenCache::ask(uint64_t secret, TimeMs now) {
    const std::lock_guard lock(mutex_);
    Entry& entry = entries_[secret];
    if (entry.token && now < entry.token->renew) return {entry.token->text, false};
    if (entry.claimed != no_time && now < entry.claimed + token_claim_ms) return {};
    entry.claimed = now;
    return {std::nullopt, true};
}

void TokenCache::put(uint64_t secret, OAuthToken token) {
    const std::lock_guard lock(mutex_);
    entries_[secret] = {std::move(token), no_time};
}

void TokenCache::failed(uint64_t secret) {
    const std::lock_guard lock(mutex_);
    if (const auto at = entries_.find(secret); at != entries_.end()) at->second.claimed = no_time;
}

void TokenCache::refused(uint64_t secret, const Secret& token) {
    const std::lock_guard lock(mutex_);
    const auto at = entries_.find(secret);
    // A slow answer to an older token says nothing about the one that came since.
    if (at != entries_.end() && at->second.token && at->second.token->text.matches(token.reveal())) at->second.token.reset();
}

void TokenCache::sweep(const std::set<uint64_t>& in_use) {
    const std::lock_guard lock(mutex_);
    std::erase_if(entries_, [&](const auto& one) { return !in_use.contains(one.first); });
}

}  // namespace waybill::bus
