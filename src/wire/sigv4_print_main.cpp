// For tests/sigv4_botocore.py: signs and verifies what it reads, so that another implementation can be held against this one.
// Each line of standard input is one case, fields in hexadecimal between spaces ("-" is empty):
//   sign   method url body region service access secret token time_ms {name value}…   → the Authorization field
//   verify method target body access secret token time_ms {name value}…              → "ok", or the refusal
#include <charconv>
#include <cstdio>
#include <iostream>
#include <sstream>

#include "wire/sigv4.h"

using namespace waybill;

static std::string unhex(const std::string& text) {
    std::string out;
    if (text == "-") return out;
    for (size_t i = 0; i + 1 < text.size(); i += 2) {
        unsigned byte = 0;
        std::from_chars(text.data() + i, text.data() + i + 2, byte, 16);
        out.push_back(static_cast<char>(byte));
    }
    return out;
}

int main() {
    wire::SigningKeys keys;
    for (std::string line; std::getline(std::cin, line);) {
        std::istringstream words(line);
        std::string verb, word;
        words >> verb;
        std::vector<std::string> f;
        while (words >> word) f.push_back(unhex(word));
        bool signs = verb == "sign";
        size_t fixed = signs ? 9 : 7;
        ASSERT(f.size() >= fixed);
        std::vector<std::pair<std::string, std::string>> headers;
        for (size_t i = fixed; i + 1 < f.size(); i += 2) headers.emplace_back(f[i], f[i + 1]);
        size_t who = signs ? 5 : 3;
        wire::Credentials credentials{f[who], Secret(f[who + 1]), f[who + 2]};
        TimeMs now = std::stoll(f[who + 3]);
        if (signs) {
            wire::Signable request{f[0], f[1], headers, f[2]};
            auto added = wire::sign(request, credentials, f[3], f[4], now, keys);
            std::puts(added.ok() ? added->back().second.c_str() : added.error().message.c_str());
        } else {
            http::Head::Fields fields(headers.begin(), headers.end());
            http::Head head = http::Head::make(f[0], f[1], fields);
            auto find = [&](std::string_view key) { return key == credentials.access_key_id ? &credentials : nullptr; };
            auto caller = wire::verify(head, f[2], find, now, keys);
            auto* refusal = std::get_if<wire::SignatureRefusal>(&caller);
            std::puts(refusal ? refusal->message.c_str() : "ok");
        }
    }
}
