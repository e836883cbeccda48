// Points and spans of time, in milliseconds since 1970-01-01T00:00:00Z, as signed 64-bit numbers. Names of spans end in _ms.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace waybill {

using TimeMs = int64_t;

constexpr TimeMs no_time = INT64_MIN;  // "not known"; never a value read from outside

// RFC 3339 with any fraction (kept to the millisecond) and 'Z' or a numeric offset. Years 0001 to 9999. Nothing else is accepted.
std::optional<TimeMs> parse_time(std::string_view text);

// 2026-04-19T12:42:28.123Z; always three digits of fraction.
std::string format_time(TimeMs t);
// 2026-04-19T12:42:28Z, the form of an EventBridge envelope's `time`; the fraction is cut.
std::string format_time_s(TimeMs t);

// "500ms", "5s", "10m", "24h", "30d", or a bare number of seconds; nothing else.
std::optional<int64_t> parse_duration_ms(std::string_view text);
std::string format_duration_ms(int64_t span_ms);

}  // namespace waybill
