// How single values are compared: numbers as decimals and as doubles, letters without their case, IP addresses, wildcards. Pure functions of
// their arguments, for any thread; none fails on any input, and none knows what a pattern is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "patterns/pattern.h"

namespace waybill::patterns {

// Of a JSON number's text. Text that is none gives some number.
Decimal to_decimal(std::string_view number);
// Replaces `out` by a text that is the same for numbers of the same worth and no others; `room` is overwritten.
void number_key(std::string_view number, Decimal& room, std::string& out);
// The nearest double; infinite where the number is beyond all doubles.
double to_double(std::string_view number);

// UTF-8 with every letter replaced by the one that stands for all its cases: Unicode's simple mappings, code point by code point, so "ß" is not
// "SS" and the Turkish "İ" is only itself. Bytes that are not UTF-8 stay as they are.
void fold_case(std::string_view text, std::string& out);
std::string folded(std::string_view text);

struct Address {
    bool v6 = false;
    uint8_t bytes[16] = {};
};
// Dotted decimal (leading zeros allowed, as Java reads it) or IPv6 of hexadecimal groups; an IPv4-mapped IPv6 address is the IPv4 one.
std::optional<Address> parse_address(std::string_view text);
// Whether the text has the form of an address, valid or not: digits in four dotted parts, or hexadecimal digits and colons.
bool looks_like_address(std::string_view text);
bool holds(const Network&, const Address&);
void clear_host_bits(Network&);

// `wildcard` has "*" for any bytes, also none, and "\*" and "\\" for themselves. Time is linear in the text for each piece between stars.
bool wildcard_matches(std::string_view wildcard, std::string_view text);

// Replaces `out` by the text of a JSON string's inside (what stands between its quotes). An escaped surrogate without its other half becomes
// U+FFFD, and sets `lone_surrogate`. Returns false, with what was read so far, where an escape is none.
bool unescape(std::string_view inside, std::string& out, bool* lone_surrogate = nullptr);
void append_utf8(std::string& out, uint32_t code_point);

}  // namespace waybill::patterns
