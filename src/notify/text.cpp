#include "notify/text.h"

#include <algorithm>
#include <cstdint>

namespace waybill::notify {
namespace {

struct Character {
    uint32_t code = 0xfffd;
    size_t bytes = 1;
};

// The character at the front; U+FFFD for one byte that begins none (RFC 3629: no overlong forms, no surrogates).
Character first_character(std::string_view s) {
    const auto c = static_cast<unsigned char>(s[0]);
    if (c < 0x80) return {c, 1};
    const size_t n = c >= 0xc2 && c <= 0xdf ? 2 : (c & 0xf0) == 0xe0 ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
    if (n == 0 || s.size() < n) return {};
    uint32_t code = c & (0xff >> (n + 1));
    for (size_t i = 1; i < n; ++i) {
        const auto d = static_cast<unsigned char>(s[i]);
        if ((d & 0xc0) != 0x80) return {};
        code = code << 6 | (d & 0x3f);
    }
    if ((n == 3 && code < 0x800) || (n == 4 && code < 0x10000) || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return {};
    return {code, n};
}

bool breaks(uint32_t c) {
    return c <= 0x20 || (c >= 0x7f && c <= 0xa0) || c == 0xad || c == 0x061c || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe007f);
}

}  // namespace

std::string one_line(std::string_view text, size_t most) {
    std::string out;
    size_t characters = 0, before_last = 0;  // where the last character that fits begins
    bool space = false;
    while (!text.empty()) {
        const auto c = first_character(text);
        const auto bytes = text.substr(0, c.bytes);
        text.remove_prefix(c.bytes);
        if (breaks(c.code)) {
            space = true;
            continue;
        }
        for (const bool blank : {true, false}) {
            if (blank && (!space || out.empty())) continue;
            if (characters == most) {
                if (most == 0) return {};
                out.resize(before_last);
                while (out.ends_with(' ')) out.pop_back();
                return out + "…";
            }
            before_last = out.size();
            if (blank) out += ' ';
            else if (c.code == 0xfffd) out += "\xef\xbf\xbd";
            else out += bytes;
            ++characters;
        }
        space = false;
    }
    return out;
}

size_t cut_utf8(std::string_view text, size_t most) {
    if (text.size() <= most) return text.size();
    while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xc0) == 0x80) --most;
    return most;
}

std::string percent_encoded(std::string_view text) {
    static constexpr char hex[] = "0123456789ABCDEF";
    std::string out;
    for (char c : text) {
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~') {
            out += c;
        } else {
            const auto b = static_cast<unsigned char>(c);
            out += {'%', hex[b >> 4], hex[b & 15]};
        }
    }
    return out;
}

std::string link_or_nothing(std::string_view url) {
    if (url.size() > 2048 || !(url.starts_with("https://") || url.starts_with("http://"))) return {};
    const bool visible = std::all_of(url.begin(), url.end(), [](char c) { return c > 0x20 && c < 0x7f && c != '<' && c != '>' && c != '"'; });
    return visible ? std::string(url) : std::string();
}

}  // namespace waybill::notify
