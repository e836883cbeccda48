#include "bus/schedule.h"

#include <algorithm>
#include <bit>
#include <chrono>

#include "base/assert.h"

namespace waybill::bus {
namespace {

constexpr int64_t minute_ms = 60'000;
constexpr int64_t day_ms = 86'400'000;

std::chrono::sys_days date_of(int year, unsigned month, unsigned day) {
    return std::chrono::sys_days{std::chrono::year{year} / std::chrono::month{month} / std::chrono::day{day}};
}
TimeMs midnight_of(int year, unsigned month, unsigned day) {
    return static_cast<TimeMs>(date_of(year, month, day).time_since_epoch().count()) * day_ms;
}
unsigned last_day_of(int year, unsigned month) {
    return static_cast<unsigned>((std::chrono::year{year} / std::chrono::month{month} / std::chrono::last).day());
}

const TimeMs first_time = midnight_of(schedule_first_year, 1, 1);
const TimeMs end_time = midnight_of(schedule_last_year, 12, 31) + day_ms;  // the first that is too late

// A minute, taken apart.
struct Place {
    int year;
    unsigned month, day, hour, minute;
};
Place place_of(TimeMs t) {
    ASSERT(t >= 0);
    const std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::days{t / day_ms}}};
    const auto minutes = static_cast<unsigned>(t % day_ms / minute_ms);
    return {static_cast<int>(date.year()), static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), minutes / 60,
            minutes % 60};
}

uint64_t bits_from(unsigned first) { return first > 63 ? 0 : ~uint64_t{0} << first; }
uint64_t bits_until(unsigned last) { return last >= 63 ? ~uint64_t{0} : (uint64_t{2} << last) - 1; }
unsigned lowest(uint64_t bits) { return static_cast<unsigned>(std::countr_zero(bits)); }
unsigned highest(uint64_t bits) { return 63 - static_cast<unsigned>(std::countl_zero(bits)); }

// Of one day: the first slot not before, the last slot not after, in minutes since midnight.
std::optional<unsigned> first_from(uint32_t hours, uint64_t minutes, unsigned hour, unsigned minute) {
    if ((hours >> hour & 1) != 0)
        if (const uint64_t left = minutes & bits_from(minute); left != 0) return hour * 60 + lowest(left);
    if (const uint64_t later = hours & bits_from(hour + 1); later != 0) return lowest(later) * 60 + lowest(minutes);
    return {};
}
std::optional<unsigned> last_up_to(uint32_t hours, uint64_t minutes, unsigned hour, unsigned minute) {
    if ((hours >> hour & 1) != 0)
        if (const uint64_t left = minutes & bits_until(minute); left != 0) return hour * 60 + highest(left);
    if (const uint64_t earlier = hour == 0 ? 0 : hours & bits_until(hour - 1); earlier != 0)
        return highest(earlier) * 60 + highest(minutes);
    return {};
}
// Slots of one day that are not after that minute.
uint64_t count_up_to(uint32_t hours, uint64_t minutes, unsigned hour, unsigned minute) {
    const auto whole = hour == 0 ? 0 : std::popcount(hours & bits_until(hour - 1));
    uint64_t count = static_cast<uint64_t>(whole) * static_cast<uint64_t>(std::popcount(minutes));
    if ((hours >> hour & 1) != 0) count += static_cast<uint64_t>(std::popcount(minutes & bits_until(minute)));
    return count;
}

Error not_valid() { return invalid("Parameter ScheduleExpression is not valid."); }

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    for (;;) {
        const size_t end = text.find(separator);
        parts.push_back(text.substr(0, end));
        if (end == text.npos) return parts;
        text.remove_prefix(end + 1);
    }
}

std::optional<int64_t> number(std::string_view text, size_t digits) {
    if (text.empty() || text.size() > digits) return {};
    int64_t value = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') return {};
        value = value * 10 + (c - '0');
    }
    return value;
}

}  // namespace

// Reads the six fields of a cron expression into a Schedule. Each member is false where AWS refuses the expression.
class CronParser {
public:
    explicit CronParser(Schedule& schedule) : schedule_(schedule) {}

    bool read(std::string_view text) {
        std::vector<std::string_view> fields;
        for (const auto field : split(text, ' '))
            if (!field.empty()) fields.push_back(field);
        if (fields.size() != 6 || text.starts_with(' ') || text.ends_with(' ')) return false;
        uint64_t minutes = 0, hours = 0, months = 0;
        if (!set_of(fields[0], {0, 59, {}}, minutes) || !set_of(fields[1], {0, 23, {}}, hours) ||
            !set_of(fields[3], month_range, months))
            return false;
        schedule_.minutes_ = minutes;
        schedule_.hours_ = static_cast<uint32_t>(hours);
        schedule_.months_ = static_cast<uint32_t>(months);
        // One of the two day fields says which days, the other is '?'.
        if ((fields[2] == "?") == (fields[4] == "?")) return false;
        return (fields[4] == "?" ? day_of_month(fields[2]) : day_of_week(fields[4])) && years(fields[5]);
    }

private:
    struct Range {
        int first, last;
        std::string_view names;  // three letters each, of first, first + 1 …
    };
    static constexpr Range month_range{1, 12, "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC"};
    static constexpr Range weekday_range{1, 7, "SUNMONTUEWEDTHUFRISAT"};
    static constexpr Range year_range{schedule_first_year, schedule_last_year, {}};

    static std::optional<int> value(std::string_view text, const Range& range) {
        if (const auto n = number(text, 4))
            return *n >= range.first && *n <= range.last ? std::optional<int>(static_cast<int>(*n)) : std::nullopt;
        if (text.size() != 3) return {};
        for (size_t i = 0; i < range.names.size(); i += 3)
            if (std::ranges::equal(text, range.names.substr(i, 3), {},
                                   [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; }))
                return range.first + static_cast<int>(i / 3);
        return {};
    }

    // One entry of a list: *, n, a-b, each with a step or without.
    static bool entry(std::string_view text, const Range& range, Schedule::Years& out) {
        const size_t slash = text.find('/');
        out.step = 1;
        if (slash != text.npos) {
            const auto step = number(text.substr(slash + 1), 4);
            if (!step || *step < 1 || *step > range.last) return false;
            out.step = static_cast<int>(*step);
            text = text.substr(0, slash);
        }
        if (text == "*") {
            out.from = range.first;
            out.to = range.last;
            return true;
        }
        const size_t dash = text.find('-');
        const auto from = value(text.substr(0, dash), range);
        if (!from) return false;
        out.from = *from;
        // 10/5 begins at 10 and goes on to the end.
        out.to = slash == text.npos ? *from : range.last;
        if (dash == text.npos) return true;
        const auto to = value(text.substr(dash + 1), range);
        if (!to) return false;
        out.to = *to;
        return true;
    }

    // A range that ends before it begins goes over the end: FRI-MON, 22-2.
    static bool set_of(std::string_view text, const Range& range, uint64_t& bits) {
        for (const auto part : split(text, ',')) {
            Schedule::Years found;
            if (!entry(part, range, found)) return false;
            const int size = range.last - range.first + 1;
            const int length = found.to >= found.from ? found.to - found.from : found.to - found.from + size;
            for (int i = 0; i <= length; i += found.step)
                bits |= uint64_t{1} << (range.first + (found.from - range.first + i) % size);
        }
        return true;
    }

    bool day_of_month(std::string_view text) {
        if (text == "L" || text == "l") return day(Schedule::Day::last_day);
        if (text == "LW" || text == "lw") return day(Schedule::Day::last_workday);
        if (text.ends_with('W') || text.ends_with('w')) {
            const auto n = value(text.substr(0, text.size() - 1), {1, 31, {}});
            return n && day(Schedule::Day::nearest_workday, 0, static_cast<unsigned>(*n));
        }
        uint64_t bits = 0;
        if (!set_of(text, {1, 31, {}}, bits)) return false;
        schedule_.days_ = static_cast<uint32_t>(bits);
        return day(Schedule::Day::days_of_month);
    }

    bool day_of_week(std::string_view text) {
        if (text == "L" || text == "l") {  // the last day of the week
            schedule_.weekdays_ = 1u << 7;
            return day(Schedule::Day::days_of_week);
        }
        if (const size_t hash = text.find('#'); hash != text.npos) {
            const auto weekday = value(text.substr(0, hash), weekday_range);
            const auto nth = number(text.substr(hash + 1), 1);
            return weekday && nth && *nth >= 1 && *nth <= 5 &&
                   day(Schedule::Day::nth_weekday, static_cast<unsigned>(*weekday), static_cast<unsigned>(*nth));
        }
        if (text.ends_with('L') || text.ends_with('l')) {
            const auto weekday = value(text.substr(0, text.size() - 1), weekday_range);
            return weekday && day(Schedule::Day::last_weekday, static_cast<unsigned>(*weekday));
        }
        uint64_t bits = 0;
        if (!set_of(text, weekday_range, bits)) return false;
        schedule_.weekdays_ = static_cast<uint32_t>(bits);
        return day(Schedule::Day::days_of_week);
    }

    bool day(Schedule::Day kind, unsigned weekday = 0, unsigned n = 0) {
        schedule_.day_ = kind;
        schedule_.weekday_ = weekday;
        schedule_.number_ = n;
        return true;
    }

    bool years(std::string_view text) {
        if (text == "*") return true;
        for (const auto part : split(text, ',')) {
            Schedule::Years found;
            if (!entry(part, year_range, found) || found.to < found.from) return false;
            schedule_.years_.push_back(found);
        }
        return true;
    }

    Schedule& schedule_;
};

Result<Schedule> parse_schedule(std::string_view text) {
    Schedule schedule;
    if (text.size() > schedule_bytes || !text.ends_with(')')) return not_valid();
    text.remove_suffix(1);
    if (text.starts_with("cron(")) {
        if (!CronParser(schedule).read(text.substr(5))) return not_valid();
        return schedule;
    }
    if (!text.starts_with("rate(")) return not_valid();
    text.remove_prefix(5);
    const size_t space = text.find(' ');
    if (space == text.npos || text.starts_with('0')) return not_valid();
    const auto count = number(text.substr(0, space), 10);
    if (!count || *count < 1 || *count > schedule_rate_units) return not_valid();
    std::string_view unit = text.substr(space + 1);
    // One minute, two minutes: never one minutes.
    if (unit.ends_with('s') == (*count == 1)) return not_valid();
    if (*count != 1) unit.remove_suffix(1);
    if (unit == "minute")
        schedule.period_ms_ = *count * minute_ms;
    else if (unit == "hour")
        schedule.period_ms_ = *count * 60 * minute_ms;
    else if (unit == "day")
        schedule.period_ms_ = *count * day_ms;
    else
        return not_valid();
    return schedule;
}

bool Schedule::year_fits(int year) const {
    return years_.empty() || std::ranges::any_of(years_, [year](const Years& y) {
               return year >= y.from && year <= y.to && (year - y.from) % y.step == 0;
           });
}

uint32_t Schedule::days_in(int year, unsigned month) const {
    const unsigned last = last_day_of(year, month);
    const uint32_t all = static_cast<uint32_t>(bits_until(last)) & ~1u;
    // 0 is Sunday, of the month's first day; so day d is weekday (first + d - 1) % 7.
    const unsigned first = std::chrono::weekday{date_of(year, month, 1)}.c_encoding();
    auto weekday = [first](unsigned d) { return (first + d - 1) % 7; };
    auto bit = [](unsigned d) { return uint32_t{1} << d; };
    switch (day_) {
        case Day::days_of_month: return days_ & all;
        case Day::last_day: return bit(last);
        case Day::last_workday: return bit(weekday(last) == 6 ? last - 1 : weekday(last) == 0 ? last - 2 : last);
        case Day::nearest_workday:
            // Never into another month; a day that the month does not have is none.
            if (number_ > last) return 0;
            if (weekday(number_) == 6) return bit(number_ == 1 ? 3 : number_ - 1);
            if (weekday(number_) == 0) return bit(number_ == last ? last - 2 : number_ + 1);
            return bit(number_);
        case Day::days_of_week: {
            uint32_t days = 0;
            for (unsigned d = 1; d <= last; ++d)
                if ((weekdays_ >> (weekday(d) + 1) & 1) != 0) days |= bit(d);
            return days;
        }
        case Day::last_weekday: return bit(last - (weekday(last) + 7 - (weekday_ - 1)) % 7);
        case Day::nth_weekday: {
            const unsigned d = 1 + (weekday_ - 1 + 7 - first) % 7 + (number_ - 1) * 7;
            return d <= last ? bit(d) : 0;
        }
    }
    return 0;
}

std::optional<TimeMs> Schedule::next_after(TimeMs t, TimeMs anchor) const {
    if (t >= end_time) return {};
    if (period_ms_ != 0) {
        if (anchor >= end_time) return {};
        const TimeMs base = std::max(anchor, -end_time);
        const TimeMs next = t < base ? base + period_ms_ : base + ((t - base) / period_ms_ + 1) * period_ms_;
        return next < end_time ? std::optional<TimeMs>(next) : std::nullopt;
    }
    const TimeMs from = t < first_time ? first_time : t / minute_ms * minute_ms + minute_ms;
    if (from >= end_time) return {};
    const Place start = place_of(from);
    for (int year = start.year; year <= schedule_last_year; ++year) {
        if (!year_fits(year)) continue;
        const bool first_year = year == start.year;
        for (unsigned month = first_year ? start.month : 1; month <= 12; ++month) {
            if ((months_ >> month & 1) == 0) continue;
            uint32_t days = days_in(year, month);
            if (first_year && month == start.month) {
                if ((days >> start.day & 1) != 0)
                    if (const auto minute = first_from(hours_, minutes_, start.hour, start.minute))
                        return midnight_of(year, month, start.day) + *minute * minute_ms;
                days &= static_cast<uint32_t>(bits_from(start.day + 1));
            }
            if (days != 0) return midnight_of(year, month, lowest(days)) + *first_from(hours_, minutes_, 0, 0) * minute_ms;
        }
    }
    return {};
}

std::optional<TimeMs> Schedule::last_until(TimeMs t, TimeMs anchor) const {
    t = std::min(t, end_time - 1);
    if (period_ms_ != 0) {
        if (anchor >= end_time) return {};
        const TimeMs base = std::max(anchor, -end_time);
        if (t < base || (t - base) / period_ms_ == 0) return {};
        return base + (t - base) / period_ms_ * period_ms_;
    }
    if (t < first_time) return {};
    const Place start = place_of(t);
    for (int year = start.year; year >= schedule_first_year; --year) {
        if (!year_fits(year)) continue;
        const bool last_year = year == start.year;
        for (unsigned month = last_year ? start.month : 12; month >= 1; --month) {
            if ((months_ >> month & 1) == 0) continue;
            uint32_t days = days_in(year, month);
            if (last_year && month == start.month) {
                if ((days >> start.day & 1) != 0)
                    if (const auto minute = last_up_to(hours_, minutes_, start.hour, start.minute))
                        return midnight_of(year, month, start.day) + *minute * minute_ms;
                days &= static_cast<uint32_t>(bits_until(start.day - 1));
            }
            if (days != 0) return midnight_of(year, month, highest(days)) + *last_up_to(hours_, minutes_, 23, 59) * minute_ms;
        }
    }
    return {};
}

Slots Schedule::slots_between(TimeMs from, TimeMs to, TimeMs anchor) const {
    Slots slots;
    const auto newest = last_until(to, anchor);
    if (!newest || *newest <= from) return slots;
    slots.newest = newest;
    if (period_ms_ != 0) {
        const TimeMs base = std::max(anchor, -end_time);
        const int64_t before = from < base ? 0 : (from - base) / period_ms_;
        slots.count = static_cast<uint64_t>((*newest - base) / period_ms_ - before);
        return slots;
    }
    // Whole months are counted at once; the days on which the span begins and ends are cut.
    const uint64_t of_a_day = static_cast<uint64_t>(std::popcount(hours_)) * static_cast<uint64_t>(std::popcount(minutes_));
    const bool from_start = from < first_time;
    const Place first = place_of(std::max(from, first_time)), last = place_of(*newest);
    for (int year = first.year; year <= last.year; ++year) {
        if (!year_fits(year)) continue;
        for (unsigned month = 1; month <= 12; ++month) {
            if ((months_ >> month & 1) == 0) continue;
            const bool first_month = year == first.year && month == first.month,
                       last_month = year == last.year && month == last.month;
            if ((year == first.year && month < first.month) || (year == last.year && month > last.month)) continue;
            uint32_t days = days_in(year, month);
            if (first_month) days &= static_cast<uint32_t>(bits_from(first.day));
            if (last_month) days &= static_cast<uint32_t>(bits_until(last.day));
            slots.count += static_cast<uint64_t>(std::popcount(days)) * of_a_day;
            if (first_month && !from_start && (days >> first.day & 1) != 0)
                slots.count -= count_up_to(hours_, minutes_, first.hour, first.minute);
            if (last_month && (days >> last.day & 1) != 0)
                slots.count -= of_a_day - count_up_to(hours_, minutes_, last.hour, last.minute);
        }
    }
    return slots;
}

}  // namespace waybill::bus
