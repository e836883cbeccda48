// Which addresses the client may connect to. What people configure (a webhook, a function's URL) must not become a way to ask
// this machine's neighbours: instance metadata services answer anyone who can reach them with credentials.
//
// Checked on the resolved address, at the moment a socket is opened for it, so that a name which resolves differently the second
// time (DNS rebinding) gets no further than an address written in the URL. An address inside an IPv6 one (mapped, NAT64, 6to4) is
// judged as the IPv4 address it reaches. A value type; safe to share once made.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace waybill::http {

class AddressRules {
public:
    // Blocked unless `allow` lists them: link-local (169.254.0.0/16, fe80::/10), the metadata addresses 169.254.169.254,
    // fd00:ec2::254 and 100.100.100.200, 0.0.0.0/8 and ::, multicast and broadcast. With block_private also loopback, 10/8,
    // 172.16/12, 192.168/16, 100.64/10 and fc00::/7. `allow` holds addresses or CIDR blocks, "169.254.10.0/24", "fe80::1";
    // invalid names the one that is not.
    static Result<AddressRules> make(const std::vector<std::string>& allow = {}, bool block_private = false);

    // Empty when the address may be connected to, else why not.
    std::string refusal(const sockaddr* address) const;

private:
    struct Block {
        std::array<uint8_t, 16> bytes{};  // an IPv4 address as ::ffff:a.b.c.d
        unsigned bits = 128;
        bool holds(const std::array<uint8_t, 16>& address) const;
    };
    struct Rule {
        Block block;
        std::string name;
    };
    static bool parse(const std::string& text, Block& out);

    std::vector<Block> allowed_;
    std::vector<Rule> blocked_;
};

}  // namespace waybill::http
