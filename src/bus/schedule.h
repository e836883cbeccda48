// The schedule of a rule: rate(5 minutes) or cron(0 18 ? * MON-FRI *), in UTC, to the minute. docs/schedules.md explains the
// language with examples. EventBridge User Guide, "Creating a rule that runs on a schedule"; what AWS refuses and accepts against
// its own documents (years beyond 2199) is as it was measured.
//
// A Schedule names points in time, its slots; it does not wait for them. A cron expression's slots are whole minutes. A rate's
// slots lie at whole periods after an anchor, the time at which the rule was made or enabled; the anchor itself is none. Pure: no
// clock, no I/O, no exception; value types whose const members may be called from any thread. Every question is answered in at
// most a few milliseconds, also for expressions that never come true (30 February, years that are over).
//
// EventBridge Scheduler's at(…), and its time zones, belong here when that service is built: at() as a third kind beside rate and
// cron, a zone as an argument of the questions, since both only change which points in time are slots.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace waybill::bus {

constexpr size_t schedule_bytes = 256;  // of an expression; EventBridge: ScheduleExpression 256
constexpr int64_t schedule_rate_units =
    2147483647;  // the largest number in rate(); AWS states none, this keeps the arithmetic exact
constexpr int schedule_first_year = 1970;
constexpr int schedule_last_year = 9999;  // AWS's documents say 2199, its service takes more; the last year that can be written

// Slots that lie after one time and not after another.
struct Slots {
    uint64_t count = 0;
    std::optional<TimeMs> newest;
    bool operator==(const Slots&) const = default;
};

class Schedule {
public:
    // The first slot after `t`. Nothing: there is none up to the year 9999.
    std::optional<TimeMs> next_after(TimeMs t, TimeMs anchor) const;
    // The last slot not after `t`. Nothing: there is none since 1970, or since the anchor.
    std::optional<TimeMs> last_until(TimeMs t, TimeMs anchor) const;
    // What was missed: the slots in (from, to]. A restart fires the newest of them once and counts the others as skipped.
    Slots slots_between(TimeMs from, TimeMs to, TimeMs anchor) const;

private:
    friend Result<Schedule> parse_schedule(std::string_view text);
    friend class CronParser;

    struct Years {
        int from = 0, to = 0, step = 1;
    };
    // How a day is chosen within a month, by the one of the two day fields that is not '?'.
    enum class Day {
        days_of_month,    // days_
        last_day,         // L
        last_workday,     // LW
        nearest_workday,  // 15W: number_
        days_of_week,     // weekdays_
        last_weekday,     // 6L: weekday_
        nth_weekday,      // 6#3: weekday_, number_
    };

    bool year_fits(int year) const;
    uint32_t days_in(int year, unsigned month) const;  // bit d: day d has slots

    int64_t period_ms_ = 0;  // a rate; 0: cron
    uint64_t minutes_ = 0;   // bits 0 to 59
    uint32_t hours_ = 0;     // bits 0 to 23
    uint32_t months_ = 0;    // bits 1 to 12
    uint32_t days_ = 0;      // bits 1 to 31
    uint32_t weekdays_ = 0;  // bits 1 (Sunday) to 7
    Day day_ = Day::days_of_month;
    unsigned weekday_ = 0, number_ = 0;
    std::vector<Years> years_;  // any of them; empty: every year
};

// Invalid, with AWS's words: "Parameter ScheduleExpression is not valid."
Result<Schedule> parse_schedule(std::string_view text);

}  // namespace waybill::bus
