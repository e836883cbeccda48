// Text that came from outside, made fit for one line of a message. Internal to src/notify; pure functions, callable from anywhere.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace waybill::notify {

// One line of valid UTF-8, at most `most` characters (code points), cut with an ellipsis. Whatever could break a line, a header or the
// reading direction (controls, line separators, bidirectional overrides, zero-width marks) becomes a space; runs of spaces become one;
// what is not UTF-8 becomes U+FFFD.
std::string one_line(std::string_view text, size_t most);

// The length of the first `most` bytes of valid UTF-8 without the pieces of a character that they would split.
size_t cut_utf8(std::string_view text, size_t most);

// Everything but the unreserved characters of RFC 3986 as %XX.
std::string percent_encoded(std::string_view text);

// A web link as it may stand in a message: http or https, visible ASCII only, at most 2048 bytes. Anything else yields nothing.
std::string link_or_nothing(std::string_view url);

}  // namespace waybill::notify
