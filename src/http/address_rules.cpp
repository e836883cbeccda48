#include "http/address_rules.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <charconv>
#include <cstring>

namespace waybill::http {

namespace {

using Bytes = std::array<uint8_t, 16>;
constexpr uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr uint8_t nat64[12] = {0, 0x64, 0xff, 0x9b};

Bytes from_v4(const uint8_t* four) {
    Bytes b;
    std::memcpy(b.data(), mapped, 12);
    std::memcpy(b.data() + 12, four, 4);
    return b;
}

}  // namespace

bool AddressRules::Block::holds(const Bytes& address) const {
    unsigned whole = bits / 8, rest = bits % 8;
    if (std::memcmp(bytes.data(), address.data(), whole) != 0) return false;
    return rest == 0 || ((bytes[whole] ^ address[whole]) >> (8 - rest)) == 0;
}

bool AddressRules::parse(const std::string& text, Block& out) {
    std::string address = text.substr(0, text.find('/'));
    bool v4 = address.find(':') == std::string::npos;
    unsigned width = v4 ? 32 : 128, bits = width;
    if (address.size() < text.size()) {
        const char* begin = text.data() + address.size() + 1;
        const char* end = text.data() + text.size();
        auto [rest, failed] = std::from_chars(begin, end, bits);
        if (failed != std::errc() || rest != end || bits > width) return false;
    }
    uint8_t raw[16];
    if (inet_pton(v4 ? AF_INET : AF_INET6, address.c_str(), raw) != 1) return false;
    if (v4) {
        out = {from_v4(raw), bits + 96};
    } else {
        std::memcpy(out.bytes.data(), raw, 16);
        out.bits = bits;
    }
    return true;
}

Result<AddressRules> AddressRules::make(const std::vector<std::string>& allow, bool block_private) {
    AddressRules rules;
    for (auto& text : allow) {
        Block block;
        if (!parse(text, block))
            return invalid(fmt::format("'{}' is neither an address nor a block of addresses such as 10.1.0.0/16", text));
        rules.allowed_.push_back(block);
    }
    auto add = [&rules](const char* text, const char* name) {
        Block block;
        ASSERT(parse(text, block));
        rules.blocked_.push_back({block, name});
    };
    add("169.254.169.254", "the instance metadata service");
    add("100.100.100.200", "the instance metadata service");
    add("fd00:ec2::254", "the instance metadata service");
    add("169.254.0.0/16", "a link-local address");
    add("fe80::/10", "a link-local address");
    add("0.0.0.0/8", "an unspecified address");
    add("::", "an unspecified address");
    add("224.0.0.0/4", "a multicast address");
    add("ff00::/8", "a multicast address");
    add("255.255.255.255", "the broadcast address");
    if (block_private) {
        for (const char* text : {"127.0.0.0/8", "::1"}) add(text, "a loopback address");
        for (const char* text : {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"})
            add(text, "a private address");
    }
    return rules;
}

std::string AddressRules::refusal(const sockaddr* address) const {
    Bytes bytes{};
    if (address->sa_family == AF_INET) {
        sockaddr_in v4;
        std::memcpy(&v4, address, sizeof v4);
        bytes = from_v4(reinterpret_cast<const uint8_t*>(&v4.sin_addr));
    } else if (address->sa_family == AF_INET6) {
        sockaddr_in6 v6;
        std::memcpy(&v6, address, sizeof v6);
        std::memcpy(bytes.data(), &v6.sin6_addr, 16);
        if (std::memcmp(bytes.data(), nat64, 12) == 0) bytes = from_v4(bytes.data() + 12);
        if (bytes[0] == 0x20 && bytes[1] == 0x02) bytes = from_v4(bytes.data() + 2);  // 6to4
    } else {
        return "not an internet address";
    }
    for (auto& block : allowed_)
        if (block.holds(bytes)) return {};
    for (auto& rule : blocked_) {
        if (!rule.block.holds(bytes)) continue;
        char text[INET6_ADDRSTRLEN] = "?";
        bool v4 = std::memcmp(bytes.data(), mapped, 12) == 0;
        inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? bytes.data() + 12 : bytes.data(), text, sizeof text);
        return fmt::format("{} is {}, which may not be connected to unless the allowed addresses list it", text, rule.name);
    }
    return {};
}

}  // namespace waybill::http
