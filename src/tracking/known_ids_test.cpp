// The window of known ids at its two limits, against what the header says of it.
#include "tracking/known_ids.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <random>
#include <set>
#include <variant>

#include "event/envelope.h"
#include "event/limits.h"

namespace waybill::tracking {
namespace {

constexpr TimeMs day = 1'776'600'000'000;
constexpr int64_t hour_ms = 3'600'000;

// Ids as they come out of a hash; the n-th is the same in every test.
Hash128 id(uint64_t n) { return {n * 0x9e3779b97f4a7c15ull ^ (n >> 7), ~n}; }

TEST(KnownIds, AnIdIsKnownFor24HoursOfStampedTime) {
    KnownIds ids;
    ids.add(id(1), day);
    ids.add(id(2), day + 1000);
    ids.add(id(3), day + limits::known_event_ids_ms);
    EXPECT_TRUE(ids.contains(id(1)));
    EXPECT_TRUE(ids.contains(id(2)));
    EXPECT_EQ(ids.size(), 3u);

    ids.add(id(4), day + limits::known_event_ids_ms + 1000);
    EXPECT_FALSE(ids.contains(id(1)));
    EXPECT_TRUE(ids.contains(id(2)));
    EXPECT_EQ(ids.size(), 3u);

    ids.add(id(5), day + 3 * limits::known_event_ids_ms);
    for (uint64_t n = 1; n <= 4; ++n) EXPECT_FALSE(ids.contains(id(n))) << n;
    EXPECT_TRUE(ids.contains(id(5)));
    EXPECT_EQ(ids.size(), 1u);
}

TEST(KnownIds, AnIdThatWasForgottenIsKnownAgainFromItsNewTime) {
    KnownIds ids;
    ids.add(id(1), day);
    ids.add(id(2), day + 25 * hour_ms);
    ASSERT_FALSE(ids.contains(id(1)));
    ids.add(id(1), day + 26 * hour_ms);
    ids.add(id(3), day + 26 * hour_ms + limits::known_event_ids_ms);
    EXPECT_TRUE(ids.contains(id(1)));
    EXPECT_FALSE(ids.contains(id(2)));
}

TEST(KnownIds, AtFourMillionTheOldestGivesWayHoweverYoungItIs) {
    KnownIds ids;
    constexpr uint64_t full = limits::known_event_ids;
    for (uint64_t n = 0; n < full; ++n) ids.add(id(n), day + static_cast<TimeMs>(n / 1000));  // all within seventy minutes
    ASSERT_EQ(ids.size(), full);
    EXPECT_TRUE(ids.contains(id(0)));

    for (uint64_t n = 0; n < 3; ++n) {
        ids.add(id(full + n), day + 2 * hour_ms);
        EXPECT_EQ(ids.size(), full);
        EXPECT_FALSE(ids.contains(id(n)));
        EXPECT_TRUE(ids.contains(id(n + 1)));
        EXPECT_TRUE(ids.contains(id(full + n)));
    }

    // A full window passes through a snapshot, and forgets in the same order there.
    KnownIds restored;
    size_t largest = 0;
    ids.encode([&](std::string_view piece) {
        largest = std::max(largest, piece.size());
        ByteReader in(piece);
        ASSERT_TRUE(restored.restore(in));
    });
    EXPECT_LT(largest, size_t{1} << 20);
    EXPECT_EQ(restored.size(), full);
    EXPECT_FALSE(restored.contains(id(2)));
    EXPECT_TRUE(restored.contains(id(3)));
    restored.add(id(full + 3), day + 2 * hour_ms);
    EXPECT_FALSE(restored.contains(id(3)));
    EXPECT_TRUE(restored.contains(id(4)));

    // One more than a window may hold is not what encode writes.
    std::string one;
    ByteWriter out(one);
    out.u64(1), out.u64(1), out.u32(static_cast<uint32_t>(day / 1000));
    ByteReader in(one);
    EXPECT_FALSE(restored.restore(in));
}

// Ids whose places in the table collide, run together and wrap around its end, added and forgotten in step with a model.
TEST(KnownIds, ForgettingLeavesTheOthersFoundWhereTheyCollide) {
    KnownIds ids;
    std::deque<std::pair<Hash128, TimeMs>> window;
    std::set<Hash128> gone;
    std::minstd_rand random(7);
    TimeMs now = day;
    for (uint64_t n = 0; n < 6000; ++n) {
        // Few homes, most of them just before the end of a table of any size.
        const Hash128 x{UINT64_MAX - random() % 12 + random() % 16, n};
        now += 1000 * (random() % 400);
        while (!window.empty() && window.front().second < now - limits::known_event_ids_ms) {
            gone.insert(window.front().first);
            window.pop_front();
        }
        ASSERT_FALSE(ids.contains(x));
        ids.add(x, now);
        window.emplace_back(x, now);
        ASSERT_EQ(ids.size(), window.size());
        if (n % 250) continue;
        for (const auto& [known, time] : window) ASSERT_TRUE(ids.contains(known)) << n;
        for (const auto& forgotten : gone) ASSERT_FALSE(ids.contains(forgotten)) << n;
    }
    EXPECT_GT(gone.size(), 4000u);
    EXPECT_GT(window.size(), 200u);
}

TEST(KnownIds, ASnapshotGoesOnAsTheOriginalWould) {
    KnownIds ids, restored;
    for (uint64_t n = 0; n < 40'000; ++n) ids.add(id(n), day + static_cast<TimeMs>(n) * 1000);
    int pieces = 0;
    ids.encode([&](std::string_view piece) {
        ++pieces;
        ByteReader in(piece);
        ASSERT_TRUE(restored.restore(in));
    });
    EXPECT_GT(pieces, 2);
    ASSERT_EQ(restored.size(), ids.size());
    const TimeMs later = day + 20'000'000 + limits::known_event_ids_ms;
    for (KnownIds* one : {&ids, &restored}) {
        one->add(id(99'999), later);
        EXPECT_FALSE(one->contains(id(19'999)));
        EXPECT_TRUE(one->contains(id(20'000)));
        EXPECT_EQ(one->size(), 20'001u);
    }
}

TEST(KnownIds, WhatEncodeDoesNotWriteIsRefused) {
    KnownIds ids;
    ids.add(id(1), day);
    ids.add(id(2), day);
    ids.encode([&](std::string_view piece) {
        for (size_t n = 1; n < piece.size(); ++n) {
            if (n == piece.size() / 2) continue;  // one whole entry
            KnownIds restored;
            ByteReader in(piece.substr(0, n));
            EXPECT_FALSE(restored.restore(in)) << n;
        }
        KnownIds restored;
        ByteReader once(piece), twice(piece);
        EXPECT_TRUE(restored.restore(once));
        EXPECT_FALSE(restored.restore(twice));
    });
}

// The identity is (bus, source, id, replay-name): an event is a repetition only where all four are the same, whatever else it
// says.
TEST(KnownIds, AnEventIsARepetitionWhereBusSourceIdAndReplayNameAreTheSame) {
    EnvelopeReader reader;
    KnownIds ids;
    auto known = [&](const std::string& source, const std::string& event_id, const std::string& replay, std::string_view bus,
                     const std::string& detail = "{}") {
        const std::string json =
            R"({"version":"0","id":")" + event_id + R"(","detail-type":"Something","source":")" + source +
            R"(","account":"111122223333","time":"2026-04-19T12:00:00Z","region":"eu-west-1","resources":[],)" +
            (replay.empty() ? "" : R"("replay-name":")" + replay + R"(",)") + R"("detail":)" + detail + "}";
        const auto event = reader.read(json, bus);
        EXPECT_TRUE(std::holds_alternative<IncomingEvent>(event)) << std::get<FieldError>(event).reason;
        const Hash128 identity = std::get<IncomingEvent>(event).identity;
        const bool was = ids.contains(identity);
        if (!was) ids.add(identity, day);
        return was;
    };
    EXPECT_FALSE(known("my.app", "e-1", "", "default"));
    EXPECT_TRUE(known("my.app", "e-1", "", "default"));
    EXPECT_TRUE(known("my.app", "e-1", "", "default", R"({"other":"detail"})"));
    EXPECT_FALSE(known("my.app", "e-1", "", "audit"));
    EXPECT_FALSE(known("my.other", "e-1", "", "default"));
    EXPECT_FALSE(known("my.app", "e-2", "", "default"));
    EXPECT_FALSE(known("my.app", "e-1", "again", "default"));
    EXPECT_TRUE(known("my.app", "e-1", "again", "default"));
    EXPECT_FALSE(known("my.app", "e-1", "once-more", "default"));
    // Where one part ends and the next begins is part of it.
    EXPECT_FALSE(known("my.ap", "pe-1", "", "default"));
    EXPECT_FALSE(known("my.app", "e-1again", "", "default"));
    EXPECT_EQ(ids.size(), 8u);
}

}  // namespace
}  // namespace waybill::tracking
