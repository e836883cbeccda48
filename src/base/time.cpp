#include "base/time.h"

#include <fmt/format.h>

#include <charconv>

namespace waybill {
namespace {

// Days from 1970-01-01 of a proleptic Gregorian date (Howard Hinnant's chrono algorithms, days_from_civil).
int64_t days_from_civil(int64_t y, unsigned m, unsigned d) {
    y -= m <= 2;
    const int64_t era = (y >= 0 ? y : y - 399) / 400;
    const auto yoe = static_cast<unsigned>(y - era * 400);
    const unsigned doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
    const unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + static_cast<int64_t>(doe) - 719468;
}

struct Civil {
    int64_t year;
    unsigned month, day, hour, minute, second, milli;
};

Civil to_civil(TimeMs t) {
    int64_t days = t / 86'400'000, rest = t % 86'400'000;
    if (rest < 0) {
        rest += 86'400'000;
        --days;
    }
    const int64_t z = days + 719468;
    const int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    const auto doe = static_cast<unsigned>(z - era * 146097);
    const unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    const unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    const unsigned mp = (5 * doy + 2) / 153;
    const unsigned month = mp < 10 ? mp + 3 : mp - 9;
    const auto r = static_cast<unsigned>(rest);
    return {static_cast<int64_t>(yoe) + era * 400 + (month <= 2), month, doy - (153 * mp + 2) / 5 + 1,
            r / 3'600'000, r / 60'000 % 60, r / 1000 % 60, r % 1000};
}

bool digits(std::string_view s, size_t at, size_t n, unsigned& out) {
    if (at + n > s.size()) return false;
    out = 0;
    for (size_t i = at; i < at + n; ++i) {
        if (s[i] < '0' || s[i] > '9') return false;
        out = out * 10 + static_cast<unsigned>(s[i] - '0');
    }
    return true;
}

}  // namespace

std::optional<TimeMs> parse_time(std::string_view s) {
    unsigned year, month, day, hour, minute, second, milli = 0;
    if (!digits(s, 0, 4, year) || !digits(s, 5, 2, month) || !digits(s, 8, 2, day) || !digits(s, 11, 2, hour) ||
        !digits(s, 14, 2, minute) || !digits(s, 17, 2, second))
        return {};
    if (s[4] != '-' || s[7] != '-' || (s[10] != 'T' && s[10] != 't') || s[13] != ':' || s[16] != ':') return {};
    static constexpr unsigned month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (year < 1 || month < 1 || month > 12 || hour > 23 || minute > 59 || second > 60) return {};
    const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (day < 1 || day > month_days[month - 1] + (month == 2 && leap)) return {};
    size_t i = 19;
    if (i < s.size() && s[i] == '.') {
        size_t n = 0;
        for (++i; i < s.size() && s[i] >= '0' && s[i] <= '9'; ++i, ++n)
            if (n < 3) milli = milli * 10 + static_cast<unsigned>(s[i] - '0');
        if (n == 0) return {};
        for (; n < 3; ++n) milli *= 10;
    }
    int64_t offset_minutes = 0;
    if (i < s.size() && (s[i] == 'Z' || s[i] == 'z')) {
        ++i;
    } else {
        unsigned oh, om;
        if (i >= s.size() || (s[i] != '+' && s[i] != '-') || !digits(s, i + 1, 2, oh) || i + 3 >= s.size() || s[i + 3] != ':' ||
            !digits(s, i + 4, 2, om) || oh > 23 || om > 59)
            return {};
        offset_minutes = (oh * 60 + om) * (s[i] == '-' ? -1 : 1);
        i += 6;
    }
    if (i != s.size()) return {};
    return ((days_from_civil(year, month, day) * 24 + hour) * 60 + minute - offset_minutes) * 60'000 + second * 1000 + milli;
}

std::string format_time(TimeMs t) {
    auto c = to_civil(t);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", c.year, c.month, c.day, c.hour, c.minute, c.second, c.milli);
}

std::string format_time_s(TimeMs t) {
    auto c = to_civil(t);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", c.year, c.month, c.day, c.hour, c.minute, c.second);
}

std::optional<int64_t> parse_duration_ms(std::string_view text) {
    int64_t n = 0;
    auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (ec != std::errc{} || n < 0 || n > 1'000'000'000'000) return {};
    std::string_view unit(end, text.data() + text.size());
    if (unit == "ms") return n;
    if (unit.empty() || unit == "s") return n * 1000;
    if (unit == "m") return n * 60'000;
    if (unit == "h") return n * 3'600'000;
    if (unit == "d") return n * 86'400'000;
    return {};
}

std::string format_duration_ms(int64_t span_ms) {
    if (span_ms % 86'400'000 == 0 && span_ms) return fmt::format("{}d", span_ms / 86'400'000);
    if (span_ms % 3'600'000 == 0 && span_ms) return fmt::format("{}h", span_ms / 3'600'000);
    if (span_ms % 60'000 == 0 && span_ms) return fmt::format("{}m", span_ms / 60'000);
    if (span_ms % 1000 == 0) return fmt::format("{}s", span_ms / 1000);
    return fmt::format("{}ms", span_ms);
}

}  // namespace waybill
