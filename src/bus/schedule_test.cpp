#include "bus/schedule.h"

#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <string>

namespace waybill::bus {
namespace {

TimeMs at(std::string_view text) {
    return *parse_time(std::string(text) + (text.size() == 10 ? "T00:00:00Z" : text.size() == 16 ? ":00Z" : ""));
}

Schedule parsed(std::string_view text) {
    auto schedule = parse_schedule(text);
    EXPECT_TRUE(schedule.ok()) << text;
    return schedule.ok() ? *schedule : *parse_schedule("rate(1 day)");
}

// The next slots as text, "2026-02-28T10:00", separated by spaces.
std::string next(std::string_view text, std::string_view from, int count = 1) {
    const Schedule schedule = parsed(text);
    std::string all;
    TimeMs t = at(from);
    for (int i = 0; i < count; ++i) {
        const auto slot = schedule.next_after(t, at(from));
        if (!slot) return all + "never";
        EXPECT_GT(*slot, t);
        t = *slot;
        all += format_time_s(t).substr(0, 16) + (i + 1 < count ? " " : "");
    }
    return all;
}

TEST(Schedules, RatesAreStrict) {
    // The refused ones are those that AWS was recorded to refuse.
    for (std::string_view bad : {"rate(10 seconds)",
                                 "rate(10 years)",
                                 "rate(1 minutes)",
                                 "rate(1 hours)",
                                 "rate(1 days)",
                                 "rate(10 minute)",
                                 "rate(10 hour)",
                                 "rate(10 day)",
                                 "rate()",
                                 "rate(10)",
                                 "rate(10 minutess)",
                                 "rate(foo minutes)",
                                 "rate(0 minutes)",
                                 "rate(-10 minutes)",
                                 "rate(10 MINUTES)",
                                 "rate( 10 minutes )",
                                 " rate(10 minutes)",
                                 "rate(10 minutes) ",
                                 "rate(10  minutes)",
                                 "rate(010 minutes)",
                                 "rate(2147483648 days)",
                                 "rate(99999999999999999999 days)",
                                 "RATE(1 day)",
                                 "rate(1 day",
                                 "rate 1 day",
                                 "",
                                 "rate(1 s)",
                                 "rate(2 s)",
                                 "rate(2 )",
                                 "rate(2 dayz)",
                                 "at(2026-01-01T00:00:00)"}) {
        auto schedule = parse_schedule(bad);
        ASSERT_FALSE(schedule.ok()) << bad;
        EXPECT_EQ(schedule.error().message, "Parameter ScheduleExpression is not valid.");
    }
    for (std::string_view good : {"rate(1 minute)", "rate(2 minutes)", "rate(1 hour)", "rate(10 hours)", "rate(1 day)",
                                  "rate(365 days)", "rate(2147483647 days)"})
        EXPECT_TRUE(parse_schedule(good).ok()) << good;
}

TEST(Schedules, CronsThatAwsTook) {
    for (std::string_view good : {"cron(0 2 ? * SAT *)",
                                  "cron(0 12 * * ? *)",
                                  "cron(5,35 14 * * ? *)",
                                  "cron(15 10 ? * 6L 2002-2005)",
                                  "cron(0 2 ? * SAT#3 *)",
                                  "cron(* * ? * SAT#3 *)",
                                  "cron(0/5 5 ? JAN 1-5 2022)",
                                  "cron(0 10 * * ? *)",
                                  "cron(0 18 ? * MON-FRI *)",
                                  "cron(0 8 1 * ? *)",
                                  "cron(0/15 * * * ? *)",
                                  "cron(0/10 * ? * MON-FRI *)",
                                  "cron(0/5 8-17 ? * MON-FRI *)",
                                  "cron(0/30 20-23 ? * MON-FRI *)",
                                  "cron(0/30 0-2 ? * MON-FRI *)",
                                  "cron(0 20 * * ? 2500)",
                                  "cron(0 0 L * ? *)",
                                  "cron(0 0 LW * ? *)",
                                  "cron(0 0 15W * ? *)",
                                  "cron(0 0 ? * L *)",
                                  "cron(0 0 ? * friL *)",
                                  "cron(*/5 * * jan,Mar-MAY ? 2026/2)"})
        EXPECT_TRUE(parse_schedule(good).ok()) << good;
}

TEST(Schedules, CronsThatAreRefused) {
    for (std::string_view bad : {"cron(0 1 * * * *)",
                                 "cron(7 20 * * NOT *)",
                                 "cron(INVALID)",
                                 "cron(0 dummy ? * MON-FRI *)",
                                 "cron(71 8 1 * ? *)",  // recorded
                                 "cron(0 10 1#2 * ? *)",
                                 "cron(0 24 * * ? *)",
                                 "cron(0 0 32 * ? *)",
                                 "cron(0 0 0 * ? *)",
                                 "cron(0 0 1 13 ? *)",
                                 "cron(0 0 1 0 ? *)",
                                 "cron(0 0 ? * 0 *)",
                                 "cron(0 0 ? * 8 *)",  // measured
                                 "cron(0 0 ? * ? *)",
                                 "cron(0 0 1 * MON *)",
                                 "cron(0 0 * * ?)",
                                 "cron(0 0 * * ? * *)",
                                 "cron()",
                                 "cron( 0 0 * * ? *)",
                                 "cron(0 0 * * ? * )",
                                 "cron(0 0 * * ? *",
                                 "Cron(0 0 * * ? *)",
                                 "cron(0/0 0 * * ? *)",
                                 "cron(0/60 0 * * ? *)",
                                 "cron(0, 0 * * ? *)",
                                 "cron(,0 0 * * ? *)",
                                 "cron(1- 0 * * ? *)",
                                 "cron(-1 0 * * ? *)",
                                 "cron(1-2-3 0 * * ? *)",
                                 "cron(? 0 * * ? *)",
                                 "cron(0 ? * * ? *)",
                                 "cron(0 0 L,1 * ? *)",
                                 "cron(0 0 W * ? *)",
                                 "cron(0 0 32W * ? *)",
                                 "cron(0 0 0W * ? *)",
                                 "cron(0 0 1-5W * ? *)",
                                 "cron(0 0 ? * MON#6 *)",
                                 "cron(0 0 ? * MON#0 *)",
                                 "cron(0 0 ? * MON#1,TUE#2 *)",
                                 "cron(0 0 ? * #1 *)",
                                 "cron(0 0 ? * 8L *)",
                                 "cron(0 0 ? * MONDAY *)",
                                 "cron(0 0 1 JANUARY ? *)",
                                 "cron(0 0 1 * ? 1969)",
                                 "cron(0 0 1 * ? 10000)",
                                 "cron(0 0 1 * ? 2030-2026)",
                                 "cron(0 0 1 * ? )",
                                 "cron(00000 0 1 * ? *)",
                                 "cron(0 0 1 LW ? *)"})
        EXPECT_FALSE(parse_schedule(bad).ok()) << bad;
    EXPECT_FALSE(parse_schedule("cron(0 0 * * ? " + std::string(250, '2') + ")").ok());
}

TEST(Schedules, TheNextSlot) {
    EXPECT_EQ(next("cron(0 12 * * ? *)", "2026-04-19T11:59", 3), "2026-04-19T12:00 2026-04-20T12:00 2026-04-21T12:00");
    EXPECT_EQ(next("cron(0 12 * * ? *)", "2026-04-19T12:00"), "2026-04-20T12:00");
    EXPECT_EQ(next("cron(0 12 * * ? *)", "2026-04-19T11:59:59.999Z"), "2026-04-19T12:00");
    EXPECT_EQ(next("cron(5,35 14 * * ? *)", "2026-12-31T14:05", 3), "2026-12-31T14:35 2027-01-01T14:05 2027-01-01T14:35");
    EXPECT_EQ(next("cron(0/15 * * * ? *)", "2026-12-31T23:31", 3), "2026-12-31T23:45 2027-01-01T00:00 2027-01-01T00:15");
    EXPECT_EQ(next("cron(50/5 22-1 * * ? *)", "2026-01-01", 5),
              "2026-01-01T00:50 2026-01-01T00:55 2026-01-01T01:50 2026-01-01T01:55 2026-01-01T22:50");
    EXPECT_EQ(next("cron(0 18 ? * MON-FRI *)", "2026-04-17T18:00", 2), "2026-04-20T18:00 2026-04-21T18:00");
    EXPECT_EQ(next("cron(0 0 ? * FRI-MON *)", "2026-04-17", 4),
              "2026-04-18T00:00 2026-04-19T00:00 2026-04-20T00:00 2026-04-24T00:00");
    EXPECT_EQ(next("cron(0 0 ? * L *)", "2026-04-17"), "2026-04-18T00:00");
    EXPECT_EQ(next("cron(15 10 ? * 6L 2002-2005)", "2002-01-01", 2), "2002-01-25T10:15 2002-02-22T10:15");
    EXPECT_EQ(next("cron(15 10 ? * 6L 2002-2005)", "2005-12-30T10:15"), "never");
    EXPECT_EQ(next("cron(0 2 ? * SAT#3 *)", "2026-01-01", 2), "2026-01-17T02:00 2026-02-21T02:00");
    EXPECT_EQ(next("cron(0 0 ? * MON#5 *)", "2026-01-01", 3), "2026-03-30T00:00 2026-06-29T00:00 2026-08-31T00:00");
    EXPECT_EQ(next("cron(0 0 L * ? *)", "2023-12-31", 4), "2024-01-31T00:00 2024-02-29T00:00 2024-03-31T00:00 2024-04-30T00:00");
    EXPECT_EQ(next("cron(0 0 LW * ? *)", "2026-01-01", 3),
              "2026-01-30T00:00 2026-02-27T00:00 2026-03-31T00:00");  // 31st a Saturday, 28th a Saturday
    EXPECT_EQ(next("cron(0 0 1W * ? *)", "2026-07-15", 2), "2026-08-03T00:00 2026-09-01T00:00");  // 1 August is a Saturday
    EXPECT_EQ(next("cron(0 0 31W * ? *)", "2026-05-01", 2),
              "2026-05-29T00:00 2026-07-31T00:00");  // 31 May is a Sunday; June has no 31st
    EXPECT_EQ(next("cron(0 0 15W * ? *)", "2026-02-01", 2), "2026-02-16T00:00 2026-03-16T00:00");
    EXPECT_EQ(next("cron(0 0 31 * ? *)", "2026-01-31", 2), "2026-03-31T00:00 2026-05-31T00:00");
    EXPECT_EQ(next("cron(0 0 29 2 ? *)", "2096-03-01", 2), "2104-02-29T00:00 2108-02-29T00:00");  // 2100 is no leap year
    EXPECT_EQ(next("cron(0 0 29 FEB ? *)", "1999-01-01", 2), "2000-02-29T00:00 2004-02-29T00:00");
    EXPECT_EQ(next("cron(0 0 1 1 ? 2026/2)", "2026-01-01", 2), "2028-01-01T00:00 2030-01-01T00:00");
    EXPECT_EQ(next("cron(0 0 1 1 ? 2500)", "2026-01-01"), "2500-01-01T00:00");
    EXPECT_EQ(next("cron(59 23 31 12 ? *)", "9998-12-31T23:59", 2), "9999-12-31T23:59 never");
    EXPECT_EQ(next("cron(0 0 1 1 ? *)", "1492-10-12"), "1970-01-01T00:00");
}

TEST(Schedules, WhatNeverComesEndsQuickly) {
    for (std::string_view text : {"cron(0 0 30 2 ? *)", "cron(0 0 31 2,4,6,9,11 ? *)", "cron(0 0 30W 2 ? *)",
                                  "cron(* * * * ? 1970-2000)", "cron(0 0 29 2 ? 2100)"}) {
        const Schedule schedule = parsed(text);
        EXPECT_EQ(schedule.next_after(at("2026-01-01"), 0), std::nullopt) << text;
    }
    const Schedule february = parsed("cron(0 0 30 2 ? *)");
    EXPECT_EQ(february.last_until(at("2026-01-01"), 0), std::nullopt);
    EXPECT_EQ(february.slots_between(INT64_MIN, INT64_MAX, 0), Slots{});
    EXPECT_EQ(parsed("cron(0 0 1 1 ? *)").next_after(INT64_MAX, 0), std::nullopt);
    EXPECT_EQ(parsed("rate(1 day)").next_after(INT64_MAX, 0), std::nullopt);
    EXPECT_EQ(parsed("rate(2147483647 days)").next_after(at("2026-01-01"), at("2026-01-01")), std::nullopt);
}

TEST(Schedules, RatesHangOnTheirAnchor) {
    EXPECT_EQ(next("rate(5 minutes)", "2026-04-19T12:42:28.123Z", 2), "2026-04-19T12:47 2026-04-19T12:52");
    const Schedule rate = parsed("rate(2 hours)");
    const TimeMs anchor = at("2026-04-19T12:42:28.123Z");
    constexpr int64_t period = 7'200'000;
    EXPECT_EQ(rate.next_after(anchor - 1, anchor), anchor + period);  // the anchor itself is no slot
    EXPECT_EQ(rate.next_after(anchor, anchor), anchor + period);
    EXPECT_EQ(rate.next_after(anchor + period - 1, anchor), anchor + period);
    EXPECT_EQ(rate.next_after(anchor + period, anchor), anchor + 2 * period);
    EXPECT_EQ(rate.next_after(INT64_MIN, anchor), anchor + period);
    EXPECT_EQ(rate.last_until(anchor + period - 1, anchor), std::nullopt);
    EXPECT_EQ(rate.last_until(anchor + period, anchor), anchor + period);
    EXPECT_EQ(rate.last_until(anchor - 1, anchor), std::nullopt);
    EXPECT_EQ(rate.slots_between(anchor, anchor + 5 * period, anchor), (Slots{5, anchor + 5 * period}));
    EXPECT_EQ(rate.slots_between(anchor + period, anchor + 5 * period - 1, anchor), (Slots{3, anchor + 4 * period}));
    EXPECT_EQ(rate.slots_between(anchor - 10 * period, anchor + period, anchor), (Slots{1, anchor + period}));
    EXPECT_EQ(rate.slots_between(anchor + period, anchor + period, anchor), Slots{});
    EXPECT_EQ(rate.slots_between(anchor + period, anchor, anchor), Slots{});
}

TEST(Schedules, MissedSlotsAreCounted) {
    const Schedule hourly = parsed("cron(0/30 8-17 ? * MON-FRI *)");
    // Friday 17:00 to Monday 08:30: Friday 17:30, Monday 08:00 and 08:30.
    EXPECT_EQ(hourly.slots_between(at("2026-04-17T17:00"), at("2026-04-20T08:30"), 0), (Slots{3, at("2026-04-20T08:30")}));
    EXPECT_EQ(hourly.slots_between(at("2026-04-18"), at("2026-04-19"), 0), Slots{});
    EXPECT_EQ(parsed("cron(* * * * ? *)").slots_between(at("2025-01-01"), at("2026-01-01"), 0),
              (Slots{365 * 1440, at("2026-01-01")}));
    EXPECT_EQ(parsed("cron(* * * * ? *)").slots_between(INT64_MIN, INT64_MAX, 0).newest, at("9999-12-31T23:59"));
    EXPECT_EQ(parsed("cron(* * * * ? *)").slots_between(INT64_MIN, at("1970-01-02") - 1, 0).count, 1440u);
}

// --- against a naive model: a random expression as data, asked minute by minute or day by day

struct Model {
    std::vector<int> minutes, hours, months;
    enum Kind { dom, last, last_work, near, dow, last_dow, nth } kind = dom;
    std::vector<int> days;
    int weekday = 1, n = 1;
    int year_from = 1970, year_to = 9999;

    static bool in(const std::vector<int>& set, int v) {
        return set.empty() || std::find(set.begin(), set.end(), v) != set.end();
    }

    bool day_fits(std::chrono::sys_days date) const {
        using namespace std::chrono;
        const year_month_day ymd{date};
        if (int y = static_cast<int>(ymd.year()); y < year_from || y > year_to) return false;
        if (!in(months, static_cast<int>(static_cast<unsigned>(ymd.month())))) return false;
        const auto work = [](sys_days d) { return weekday_of(d) != 1 && weekday_of(d) != 7; };
        const int d = static_cast<int>(static_cast<unsigned>(ymd.day()));
        const sys_days end{ymd.year() / ymd.month() / std::chrono::last};
        switch (kind) {
            case dom: return in(days, d);
            case last: return date == end;
            case last_work: {
                sys_days candidate = end;
                while (!work(candidate)) candidate -= std::chrono::days{1};
                return date == candidate;
            }
            case near: {
                // Of the working days of the month, the one that is closest; none if the month lacks the day.
                const auto wanted = ymd.year() / ymd.month() / std::chrono::day{static_cast<unsigned>(n)};
                if (!wanted.ok()) return false;
                std::optional<sys_days> best;
                for (sys_days candidate{ymd.year() / ymd.month() / 1}; candidate <= end; candidate += std::chrono::days{1})
                    if (work(candidate) && (!best || abs(candidate - sys_days{wanted}) < abs(*best - sys_days{wanted})))
                        best = candidate;
                return date == *best;
            }
            case dow: return in(days, weekday_of(date));
            case last_dow:
                return date == sys_days{ymd.year() / ymd.month() /
                                        std::chrono::weekday{static_cast<unsigned>(weekday - 1)}[std::chrono::last]};
            case nth: {
                const auto wanted =
                    ymd.year() / ymd.month() / std::chrono::weekday{static_cast<unsigned>(weekday - 1)}[static_cast<unsigned>(n)];
                return wanted.ok() && date == sys_days{wanted};
            }
        }
        return false;
    }
    static int weekday_of(std::chrono::sys_days d) { return static_cast<int>(std::chrono::weekday{d}.c_encoding()) + 1; }

    // Slots of one day, in order.
    std::vector<TimeMs> slots(std::chrono::sys_days date) const {
        std::vector<TimeMs> all;
        if (!day_fits(date)) return all;
        for (int h = 0; h < 24; ++h)
            for (int m = 0; m < 60; ++m)
                if (in(hours, h) && in(minutes, m))
                    all.push_back((static_cast<TimeMs>(date.time_since_epoch().count()) * 1440 + h * 60 + m) * 60'000);
        return all;
    }
};

std::string list(const std::vector<int>& values) {
    if (values.empty()) return "*";
    std::string text;
    for (int v : values) text += (text.empty() ? "" : ",") + std::to_string(v);
    return text;
}

std::string text_of(const Model& m) {
    std::string dom = "?", dow = "?";
    switch (m.kind) {
        case Model::dom: dom = list(m.days); break;
        case Model::last: dom = "L"; break;
        case Model::last_work: dom = "LW"; break;
        case Model::near: dom = std::to_string(m.n) + "W"; break;
        case Model::dow: dow = list(m.days); break;
        case Model::last_dow: dow = std::to_string(m.weekday) + "L"; break;
        case Model::nth: dow = std::to_string(m.weekday) + "#" + std::to_string(m.n); break;
    }
    const std::string years =
        m.year_from == 1970 && m.year_to == 9999 ? "*" : std::to_string(m.year_from) + "-" + std::to_string(m.year_to);
    return "cron(" + list(m.minutes) + " " + list(m.hours) + " " + dom + " " + list(m.months) + " " + dow + " " + years + ")";
}

Model random_model(std::mt19937_64& random) {
    auto pick = [&](int from, int to) { return from + static_cast<int>(random() % static_cast<uint64_t>(to - from + 1)); };
    auto some = [&](int from, int to, int most) {
        std::vector<int> values;
        for (int i = pick(0, most); i > 0; --i) values.push_back(pick(from, to));
        return values;
    };
    Model m;
    m.minutes = some(0, 59, 3);
    m.hours = some(0, 23, 3);
    m.months = some(1, 12, 4);
    m.kind = static_cast<Model::Kind>(pick(0, 6));
    if (m.kind == Model::dom) m.days = some(1, 31, 4);
    if (m.kind == Model::dow) m.days = some(1, 7, 3);
    m.weekday = pick(1, 7);
    m.n = m.kind == Model::nth ? pick(1, 5) : pick(1, 31);
    if (pick(0, 3) == 0) {
        m.year_from = pick(1980, 2030);
        m.year_to = m.year_from + pick(0, 20);
    }
    return m;
}

TEST(Schedules, AgreesWithANaiveModelOverDecades) {
    std::mt19937_64 random(20260419);
    using namespace std::chrono;
    for (int round = 0; round < 40; ++round) {
        const Model model = random_model(random);
        const std::string text = text_of(model);
        const Schedule schedule = parsed(text);
        // From a random day on, as many slots as come in forty years, at most 200; each found by walking the days.
        const sys_days begin{sys_days{year{1971} / 1 / 1} + days{random() % (80 * 365)}};
        TimeMs t = static_cast<TimeMs>(begin.time_since_epoch().count()) * 86'400'000 - 1;
        const TimeMs from = t;
        uint64_t count = 0;
        sys_days date = begin;
        for (; date < begin + years{40} && count < 200; date += days{1}) {
            for (const TimeMs slot : model.slots(date)) {
                ASSERT_EQ(schedule.next_after(t, 0), slot) << text << " after " << format_time(t);
                ASSERT_EQ(schedule.last_until(slot, 0), slot) << text;
                if (count > 0) {
                    ASSERT_EQ(schedule.last_until(slot - 1, 0), t) << text;
                }
                ++count;
                const TimeMs until = slot + static_cast<TimeMs>(random() % 60'000);
                ASSERT_EQ(schedule.slots_between(from, until, 0), (Slots{count, slot}))
                    << text << " until " << format_time(until);
                t = slot;
            }
        }
        if (count < 200) {
            const TimeMs end = static_cast<TimeMs>(date.time_since_epoch().count()) * 86'400'000 - 1;
            const auto next = schedule.next_after(t, 0);
            ASSERT_TRUE(!next || *next > end) << text;
        }
    }
}

TEST(Schedules, CountsAgreeWithWalkingTheSlots) {
    std::mt19937_64 random(7);
    for (int round = 0; round < 300; ++round) {
        const std::string text = text_of(random_model(random));
        const Schedule schedule = parsed(text);
        const TimeMs from = at("1980-01-01") + static_cast<TimeMs>(random() % (50ull * 365 * 86'400'000));
        const TimeMs to = from + static_cast<TimeMs>(random() % (5ull * 86'400'000));
        Slots walked;
        for (auto slot = schedule.next_after(from, 0); slot && *slot <= to; slot = schedule.next_after(*slot, 0)) {
            ++walked.count;
            walked.newest = slot;
        }
        ASSERT_EQ(schedule.slots_between(from, to, 0), walked) << text << " " << format_time(from) << " " << format_time(to);
    }
}

}  // namespace
}  // namespace waybill::bus
