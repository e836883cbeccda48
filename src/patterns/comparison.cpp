#include "patterns/comparison.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>

namespace waybill::patterns {
namespace {

constexpr int64_t exponent_bound = int64_t{1} << 40;

struct CaseRun {
    uint32_t first, last;
    int32_t delta;
    uint32_t step;
};

// Every code point above ASCII whose lower(upper(c)) is another one: c in [first, last], every step-th, goes to c + delta. From Unicode 15.
constexpr CaseRun case_runs[] = {
    {0xb5, 0xb5, 775, 1}, {0xc0, 0xd6, 32, 1}, {0xd8, 0xde, 32, 1}, {0x100, 0x12e, 1, 2}, {0x131, 0x131, -200, 1},
    {0x132, 0x136, 1, 2}, {0x139, 0x147, 1, 2}, {0x14a, 0x176, 1, 2}, {0x178, 0x178, -121, 1}, {0x179, 0x17d, 1, 2},
    {0x17f, 0x17f, -268, 1}, {0x181, 0x181, 210, 1}, {0x182, 0x184, 1, 2}, {0x186, 0x186, 206, 1}, {0x187, 0x187, 1, 1},
    {0x189, 0x18a, 205, 1}, {0x18b, 0x18b, 1, 1}, {0x18e, 0x18e, 79, 1}, {0x18f, 0x18f, 202, 1}, {0x190, 0x190, 203, 1},
    {0x191, 0x191, 1, 1}, {0x193, 0x193, 205, 1}, {0x194, 0x194, 207, 1}, {0x196, 0x196, 211, 1}, {0x197, 0x197, 209, 1},
    {0x198, 0x198, 1, 1}, {0x19c, 0x19c, 211, 1}, {0x19d, 0x19d, 213, 1}, {0x19f, 0x19f, 214, 1}, {0x1a0, 0x1a4, 1, 2},
    {0x1a6, 0x1a6, 218, 1}, {0x1a7, 0x1a7, 1, 1}, {0x1a9, 0x1a9, 218, 1}, {0x1ac, 0x1ac, 1, 1}, {0x1ae, 0x1ae, 218, 1},
    {0x1af, 0x1af, 1, 1}, {0x1b1, 0x1b2, 217, 1}, {0x1b3, 0x1b5, 1, 2}, {0x1b7, 0x1b7, 219, 1}, {0x1b8, 0x1b8, 1, 1},
    {0x1bc, 0x1bc, 1, 1}, {0x1c4, 0x1c4, 2, 1}, {0x1c5, 0x1c5, 1, 1}, {0x1c7, 0x1c7, 2, 1}, {0x1c8, 0x1c8, 1, 1},
    {0x1ca, 0x1ca, 2, 1}, {0x1cb, 0x1db, 1, 2}, {0x1de, 0x1ee, 1, 2}, {0x1f1, 0x1f1, 2, 1}, {0x1f2, 0x1f4, 1, 2},
    {0x1f6, 0x1f6, -97, 1}, {0x1f7, 0x1f7, -56, 1}, {0x1f8, 0x21e, 1, 2}, {0x220, 0x220, -130, 1}, {0x222, 0x232, 1, 2},
    {0x23a, 0x23a, 10795, 1}, {0x23b, 0x23b, 1, 1}, {0x23d, 0x23d, -163, 1}, {0x23e, 0x23e, 10792, 1}, {0x241, 0x241, 1, 1},
    {0x243, 0x243, -195, 1}, {0x244, 0x244, 69, 1}, {0x245, 0x245, 71, 1}, {0x246, 0x24e, 1, 2}, {0x345, 0x345, 116, 1},
    {0x370, 0x372, 1, 2}, {0x376, 0x376, 1, 1}, {0x37f, 0x37f, 116, 1}, {0x386, 0x386, 38, 1}, {0x388, 0x38a, 37, 1},
    {0x38c, 0x38c, 64, 1}, {0x38e, 0x38f, 63, 1}, {0x391, 0x3a1, 32, 1}, {0x3a3, 0x3ab, 32, 1}, {0x3c2, 0x3c2, 1, 1},
    {0x3cf, 0x3cf, 8, 1}, {0x3d0, 0x3d0, -30, 1}, {0x3d1, 0x3d1, -25, 1}, {0x3d5, 0x3d5, -15, 1}, {0x3d6, 0x3d6, -22, 1},
    {0x3d8, 0x3ee, 1, 2}, {0x3f0, 0x3f0, -54, 1}, {0x3f1, 0x3f1, -48, 1}, {0x3f4, 0x3f4, -60, 1}, {0x3f5, 0x3f5, -64, 1},
    {0x3f7, 0x3f7, 1, 1}, {0x3f9, 0x3f9, -7, 1}, {0x3fa, 0x3fa, 1, 1}, {0x3fd, 0x3ff, -130, 1}, {0x400, 0x40f, 80, 1},
    {0x410, 0x42f, 32, 1}, {0x460, 0x480, 1, 2}, {0x48a, 0x4be, 1, 2}, {0x4c0, 0x4c0, 15, 1}, {0x4c1, 0x4cd, 1, 2},
    {0x4d0, 0x52e, 1, 2}, {0x531, 0x556, 48, 1}, {0x10a0, 0x10c5, 7264, 1}, {0x10c7, 0x10c7, 7264, 1},
    {0x10cd, 0x10cd, 7264, 1}, {0x13a0, 0x13ef, 38864, 1}, {0x13f0, 0x13f5, 8, 1}, {0x1c80, 0x1c80, -6222, 1},
    {0x1c81, 0x1c81, -6221, 1}, {0x1c82, 0x1c82, -6212, 1}, {0x1c83, 0x1c84, -6210, 1}, {0x1c85, 0x1c85, -6211, 1},
    {0x1c86, 0x1c86, -6204, 1}, {0x1c87, 0x1c87, -6180, 1}, {0x1c88, 0x1c88, 35267, 1}, {0x1c90, 0x1cba, -3008, 1},
    {0x1cbd, 0x1cbf, -3008, 1}, {0x1e00, 0x1e94, 1, 2}, {0x1e9b, 0x1e9b, -58, 1}, {0x1e9e, 0x1e9e, -7615, 1},
    {0x1ea0, 0x1efe, 1, 2}, {0x1f08, 0x1f0f, -8, 1}, {0x1f18, 0x1f1d, -8, 1}, {0x1f28, 0x1f2f, -8, 1}, {0x1f38, 0x1f3f, -8, 1},
    {0x1f48, 0x1f4d, -8, 1}, {0x1f59, 0x1f5f, -8, 2}, {0x1f68, 0x1f6f, -8, 1}, {0x1f88, 0x1f8f, -8, 1}, {0x1f98, 0x1f9f, -8, 1},
    {0x1fa8, 0x1faf, -8, 1}, {0x1fb8, 0x1fb9, -8, 1}, {0x1fba, 0x1fbb, -74, 1}, {0x1fbc, 0x1fbc, -9, 1},
    {0x1fbe, 0x1fbe, -7173, 1}, {0x1fc8, 0x1fcb, -86, 1}, {0x1fcc, 0x1fcc, -9, 1}, {0x1fd8, 0x1fd9, -8, 1},
    {0x1fda, 0x1fdb, -100, 1}, {0x1fe8, 0x1fe9, -8, 1}, {0x1fea, 0x1feb, -112, 1}, {0x1fec, 0x1fec, -7, 1},
    {0x1ff8, 0x1ff9, -128, 1}, {0x1ffa, 0x1ffb, -126, 1}, {0x1ffc, 0x1ffc, -9, 1}, {0x2126, 0x2126, -7517, 1},
    {0x212a, 0x212a, -8383, 1}, {0x212b, 0x212b, -8262, 1}, {0x2132, 0x2132, 28, 1}, {0x2160, 0x216f, 16, 1},
    {0x2183, 0x2183, 1, 1}, {0x24b6, 0x24cf, 26, 1}, {0x2c00, 0x2c2f, 48, 1}, {0x2c60, 0x2c60, 1, 1},
    {0x2c62, 0x2c62, -10743, 1}, {0x2c63, 0x2c63, -3814, 1}, {0x2c64, 0x2c64, -10727, 1}, {0x2c67, 0x2c6b, 1, 2},
    {0x2c6d, 0x2c6d, -10780, 1}, {0x2c6e, 0x2c6e, -10749, 1}, {0x2c6f, 0x2c6f, -10783, 1}, {0x2c70, 0x2c70, -10782, 1},
    {0x2c72, 0x2c72, 1, 1}, {0x2c75, 0x2c75, 1, 1}, {0x2c7e, 0x2c7f, -10815, 1}, {0x2c80, 0x2ce2, 1, 2}, {0x2ceb, 0x2ced, 1, 2},
    {0x2cf2, 0x2cf2, 1, 1}, {0xa640, 0xa66c, 1, 2}, {0xa680, 0xa69a, 1, 2}, {0xa722, 0xa72e, 1, 2}, {0xa732, 0xa76e, 1, 2},
    {0xa779, 0xa77b, 1, 2}, {0xa77d, 0xa77d, -35332, 1}, {0xa77e, 0xa786, 1, 2}, {0xa78b, 0xa78b, 1, 1},
    {0xa78d, 0xa78d, -42280, 1}, {0xa790, 0xa792, 1, 2}, {0xa796, 0xa7a8, 1, 2}, {0xa7aa, 0xa7aa, -42308, 1},
    {0xa7ab, 0xa7ab, -42319, 1}, {0xa7ac, 0xa7ac, -42315, 1}, {0xa7ad, 0xa7ad, -42305, 1}, {0xa7ae, 0xa7ae, -42308, 1},
    {0xa7b0, 0xa7b0, -42258, 1}, {0xa7b1, 0xa7b1, -42282, 1}, {0xa7b2, 0xa7b2, -42261, 1}, {0xa7b3, 0xa7b3, 928, 1},
    {0xa7b4, 0xa7c2, 1, 2}, {0xa7c4, 0xa7c4, -48, 1}, {0xa7c5, 0xa7c5, -42307, 1}, {0xa7c6, 0xa7c6, -35384, 1},
    {0xa7c7, 0xa7c9, 1, 2}, {0xa7d0, 0xa7d0, 1, 1}, {0xa7d6, 0xa7d8, 1, 2}, {0xa7f5, 0xa7f5, 1, 1}, {0xff21, 0xff3a, 32, 1},
    {0x10400, 0x10427, 40, 1}, {0x104b0, 0x104d3, 40, 1}, {0x10570, 0x1057a, 39, 1}, {0x1057c, 0x1058a, 39, 1},
    {0x1058c, 0x10592, 39, 1}, {0x10594, 0x10595, 39, 1}, {0x10c80, 0x10cb2, 64, 1}, {0x118a0, 0x118bf, 32, 1},
    {0x16e40, 0x16e5f, 32, 1}, {0x1e900, 0x1e921, 34, 1},
};

uint32_t fold_code_point(uint32_t c) {
    const CaseRun* run = std::upper_bound(std::begin(case_runs), std::end(case_runs), c, [](uint32_t v, const CaseRun& r) { return v < r.first; });
    if (run == std::begin(case_runs)) return c;
    --run;
    if (c > run->last || (c - run->first) % run->step != 0) return c;
    return c + static_cast<uint32_t>(run->delta);
}

// Length of the UTF-8 sequence that begins here, or 0 where none does.
size_t sequence_length(const char* p, size_t left) {
    const auto b = static_cast<unsigned char>(*p);
    const size_t n = b >= 0xf0 && b < 0xf8 ? 4 : b >= 0xe0 && b < 0xf0 ? 3 : b >= 0xc0 && b < 0xe0 ? 2 : 0;
    if (n == 0 || n > left) return 0;
    for (size_t i = 1; i < n; ++i) {
        if ((static_cast<unsigned char>(p[i]) & 0xc0) != 0x80) return 0;
    }
    return n;
}

// memmem is linear whatever the piece; string_view::find, faster for short ones, is not.
size_t find_long(std::string_view text, std::string_view piece) {
    const void* found = memmem(text.data(), text.size(), piece.data(), piece.size());
    return found ? static_cast<size_t>(static_cast<const char*>(found) - text.data()) : std::string_view::npos;
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::optional<uint32_t> hex4(std::string_view text, size_t at) {
    if (at + 4 > text.size()) return {};
    uint32_t v = 0;
    for (size_t i = at; i < at + 4; ++i) {
        const int d = hex_digit(text[i]);
        if (d < 0) return {};
        v = v << 4 | static_cast<uint32_t>(d);
    }
    return v;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool looks_like_v4(std::string_view text) {
    int dots = 0;
    bool digit = false;
    for (char c : text) {
        if (c == '.') {
            if (!digit) return false;
            ++dots;
            digit = false;
        } else if (is_digit(c)) {
            digit = true;
        } else {
            return false;
        }
    }
    return dots == 3 && digit;
}

bool looks_like_v6(std::string_view text) {
    bool colon = false;
    for (char c : text) {
        if (c == ':') colon = true;
        else if (hex_digit(c) < 0) return false;
    }
    return colon;
}

std::optional<Address> v4_address(std::string_view text) {
    if (text.size() > 15) return {};
    Address a;
    size_t part = 0;
    unsigned value = 0;
    for (char c : text) {
        if (c == '.') {
            a.bytes[part++] = static_cast<uint8_t>(value);
            value = 0;
        } else {
            value = value * 10 + static_cast<unsigned>(c - '0');
            if (value > 255) return {};
        }
    }
    a.bytes[part] = static_cast<uint8_t>(value);
    return a;
}

std::optional<Address> v6_address(std::string_view text) {
    uint16_t groups[8] = {};
    int count = 0, gap = -1;
    size_t at = 0;
    if (text.starts_with("::")) {
        gap = 0;
        at = 2;
    } else if (text.starts_with(":")) {
        return {};
    }
    while (at < text.size()) {
        unsigned value = 0;
        size_t digits = 0;
        while (at < text.size() && text[at] != ':') {
            value = value << 4 | static_cast<unsigned>(hex_digit(text[at]));
            ++at;
            if (++digits > 4) return {};
        }
        if (digits == 0 || count == 8) return {};
        groups[count++] = static_cast<uint16_t>(value);
        if (at == text.size()) break;
        ++at;
        if (at == text.size()) return {};
        if (text[at] == ':') {
            if (gap >= 0) return {};
            gap = count;
            ++at;
        }
    }
    if (gap < 0 ? count != 8 : count > 7) return {};
    if (gap >= 0) {
        const int moved = count - gap;
        for (int i = 0; i < moved; ++i) {
            groups[7 - i] = groups[count - 1 - i];
            if (7 - i != count - 1 - i) groups[count - 1 - i] = 0;
        }
    }
    Address a;
    a.v6 = true;
    for (int i = 0; i < 8; ++i) {
        a.bytes[2 * i] = static_cast<uint8_t>(groups[i] >> 8);
        a.bytes[2 * i + 1] = static_cast<uint8_t>(groups[i]);
    }
    static constexpr uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (std::memcmp(a.bytes, mapped, sizeof mapped) == 0) {
        Address v4;
        std::memcpy(v4.bytes, a.bytes + 12, 4);
        return v4;
    }
    return a;
}

void reduce(std::string_view number, Decimal& d) {
    d.digits.clear();
    size_t at = 0;
    d.negative = at < number.size() && number[at] == '-';
    at += d.negative;
    int64_t point = 0;
    bool fraction = false;
    for (; at < number.size(); ++at) {
        const char c = number[at];
        if (c == '.') {
            fraction = true;
        } else if (is_digit(c)) {
            if (c != '0' || !d.digits.empty()) d.digits.push_back(c);
            point += fraction;
        } else {
            break;
        }
    }
    int64_t exponent = 0;
    bool negative_exponent = false;
    if (at < number.size() && (number[at] == 'e' || number[at] == 'E')) {
        ++at;
        if (at < number.size() && (number[at] == '+' || number[at] == '-')) negative_exponent = number[at++] == '-';
        for (; at < number.size() && is_digit(number[at]); ++at) exponent = std::min(exponent * 10 + (number[at] - '0'), exponent_bound);
    }
    d.exponent = (negative_exponent ? -exponent : exponent) - point;
    while (!d.digits.empty() && d.digits.back() == '0') {
        d.digits.pop_back();
        ++d.exponent;
    }
    d.exponent = std::clamp(d.exponent, -exponent_bound, exponent_bound);
    if (d.digits.empty()) {
        d.negative = false;
        d.exponent = 0;
    }
}

}  // namespace

Decimal to_decimal(std::string_view number) {
    Decimal d;
    reduce(number, d);
    return d;
}

void number_key(std::string_view number, Decimal& room, std::string& out) {
    reduce(number, room);
    out.assign(room.negative ? "-" : "+");
    out += room.digits;
    char exponent[24];
    const auto end = std::to_chars(exponent, exponent + sizeof exponent, room.exponent).ptr;
    out += 'e';
    out.append(exponent, end);
}

double to_double(std::string_view number) {
    double v = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), v);
    if (error == std::errc::result_out_of_range) {
        const Decimal d = to_decimal(number);
        if (d.exponent + static_cast<int64_t>(d.digits.size()) < 0) return d.negative ? -0.0 : 0.0;
        return d.negative ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
    }
    return v;
}

void fold_case(std::string_view text, std::string& out) {
    out.clear();
    for (size_t at = 0; at < text.size();) {
        const char c = text[at];
        if (static_cast<unsigned char>(c) < 0x80) {
            out.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c);
            ++at;
            continue;
        }
        const size_t n = sequence_length(text.data() + at, text.size() - at);
        if (n == 0) {
            out.push_back(c);
            ++at;
            continue;
        }
        uint32_t point = static_cast<unsigned char>(c) & (0xffu >> (n + 1));
        for (size_t i = 1; i < n; ++i) point = point << 6 | (static_cast<unsigned char>(text[at + i]) & 0x3f);
        const uint32_t to = fold_code_point(point);
        if (to == point) out.append(text.substr(at, n));
        else append_utf8(out, to);
        at += n;
    }
}

std::string folded(std::string_view text) {
    std::string out;
    fold_case(text, out);
    return out;
}

bool looks_like_address(std::string_view text) { return looks_like_v4(text) || looks_like_v6(text); }

std::optional<Address> parse_address(std::string_view text) {
    if (looks_like_v4(text)) return v4_address(text);
    if (looks_like_v6(text)) return v6_address(text);
    return {};
}

bool holds(const Network& network, const Address& address) {
    if (network.v6 != address.v6) return false;
    const unsigned whole = network.bits / 8, rest = network.bits % 8;
    if (std::memcmp(network.address.data(), address.bytes, whole) != 0) return false;
    return rest == 0 || (network.address[whole] ^ address.bytes[whole]) >> (8 - rest) == 0;
}

void clear_host_bits(Network& network) {
    for (unsigned i = 0; i < 16; ++i) {
        const int kept = std::clamp(static_cast<int>(network.bits) - static_cast<int>(8 * i), 0, 8);
        network.address[i] = static_cast<uint8_t>(network.address[i] & (0xff00u >> kept));
    }
}

bool wildcard_matches(std::string_view wildcard, std::string_view text) {
    // Pieces between stars, in order: the first is anchored at the beginning, the last at the end, the others are taken as early as they come.
    std::string unescaped;
    bool first = true;
    for (;;) {
        size_t end = 0;
        bool escaped = false;
        for (; end < wildcard.size() && wildcard[end] != '*'; ++end) {
            if (wildcard[end] != '\\') continue;
            escaped = true;
            ++end;
        }
        end = std::min(end, wildcard.size());
        const bool star = end < wildcard.size();
        std::string_view piece = wildcard.substr(0, end);
        if (escaped) {
            unescaped.clear();
            for (size_t i = 0; i < piece.size(); ++i) {
                if (piece[i] == '\\' && i + 1 < piece.size()) ++i;
                unescaped.push_back(piece[i]);
            }
            piece = unescaped;
        }
        wildcard.remove_prefix(end + star);
        if (first) {
            if (!star) return text == piece;
            if (!text.starts_with(piece)) return false;
            text.remove_prefix(piece.size());
            first = false;
        } else if (!star) {
            return text.ends_with(piece);
        } else if (!piece.empty()) {
            const size_t found = piece.size() < 16 ? text.find(piece) : find_long(text, piece);
            if (found == std::string_view::npos) return false;
            text.remove_prefix(found + piece.size());
        }
    }
}

void append_utf8(std::string& out, uint32_t c) {
    if (c < 0x80) {
        out.push_back(static_cast<char>(c));
    } else if (c < 0x800) {
        out.push_back(static_cast<char>(0xc0 | c >> 6));
        out.push_back(static_cast<char>(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        out.push_back(static_cast<char>(0xe0 | c >> 12));
        out.push_back(static_cast<char>(0x80 | (c >> 6 & 0x3f)));
        out.push_back(static_cast<char>(0x80 | (c & 0x3f)));
    } else {
        out.push_back(static_cast<char>(0xf0 | c >> 18));
        out.push_back(static_cast<char>(0x80 | (c >> 12 & 0x3f)));
        out.push_back(static_cast<char>(0x80 | (c >> 6 & 0x3f)));
        out.push_back(static_cast<char>(0x80 | (c & 0x3f)));
    }
}

bool unescape(std::string_view inside, std::string& out, bool* lone_surrogate) {
    out.clear();
    for (size_t at = 0; at < inside.size(); ++at) {
        if (inside[at] != '\\') {
            out.push_back(inside[at]);
            continue;
        }
        if (++at == inside.size()) return false;
        switch (inside[at]) {
            case '"': out.push_back('"'); break;
            case '\\': out.push_back('\\'); break;
            case '/': out.push_back('/'); break;
            case 'b': out.push_back('\b'); break;
            case 'f': out.push_back('\f'); break;
            case 'n': out.push_back('\n'); break;
            case 'r': out.push_back('\r'); break;
            case 't': out.push_back('\t'); break;
            case 'u': {
                const auto unit = hex4(inside, at + 1);
                if (!unit) return false;
                at += 4;
                uint32_t point = *unit;
                if (point >= 0xd800 && point < 0xe000) {
                    const bool low_follows = point < 0xdc00 && at + 2 < inside.size() && inside[at + 1] == '\\' && inside[at + 2] == 'u';
                    const auto low = low_follows ? hex4(inside, at + 3) : std::nullopt;
                    if (low && *low >= 0xdc00 && *low < 0xe000) {
                        point = 0x10000 + ((point - 0xd800) << 10) + (*low - 0xdc00);
                        at += 6;
                    } else {
                        point = 0xfffd;
                        if (lone_surrogate) *lone_surrogate = true;
                    }
                }
                append_utf8(out, point);
                break;
            }
            default: return false;
        }
    }
    return true;
}

}  // namespace waybill::patterns
