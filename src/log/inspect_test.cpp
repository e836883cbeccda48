#include "log/inspect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "log/log.h"
#include "world/sim_disk.h"

namespace waybill::log {
namespace {

using world::OpenMode;
using world::SimDisk;

constexpr const char* dir = "log";

struct Seen final : Dump {
    std::vector<Position> groups;
    std::vector<BadPlace> places;
    bool group(const Group& g) override { return groups.push_back(g.position), true; }
    bool bad(const BadPlace& place) override { return places.push_back(place), true; }
};

class Inspect : public testing::Test {
protected:
    // Three segments: compressed, sealed or compressed, active.
    void fill(bool compress, bool close = false) {
        Options options;
        options.segment_bytes = min_segment_bytes;
        options.reserve_bytes = 0;
        options.log_id = 5;
        options.compress = compress;
        auto log = Log::open(disk, dir, options).value();
        for (int i = 0; i < 40; ++i) {
            positions.push_back(log->append(1000 + i, std::string(3000, static_cast<char>('a' + i % 26))));
            ASSERT_TRUE(log->sync().ok());
        }
        for (auto more = log->maintain(0, 0); more.ok() && *more;) more = log->maintain(0, 0);
        tail = log->durable();
        if (close) {
            ASSERT_TRUE(log->close().ok());
        }
    }
    void poke(Position position, std::string_view bytes) {
        Position first = position / min_segment_bytes * min_segment_bytes;
        auto file = disk.open(std::string(dir) + "/" + segment_name(first, false), OpenMode::read_write).value();
        ASSERT_TRUE(file->write_at(position - first, bytes).ok());
    }
    Report check() {
        auto report = verify(disk, dir, [](const SegmentReport&) { return true; });
        EXPECT_TRUE(report.ok());
        return std::move(*report);
    }
    Seen show(Position from = 0, Position to = UINT64_MAX) {
        Seen seen;
        EXPECT_TRUE(dump(disk, dir, from, to, seen).ok());
        return seen;
    }

    SimDisk disk{1};
    std::vector<Position> positions;
    Position tail = 0;
};

TEST_F(Inspect, NoLogIsSaidSo) {
    ASSERT_TRUE(disk.make_directories(dir).ok());
    EXPECT_EQ(verify(disk, dir, [](const SegmentReport&) { return true; }).error().kind, ErrorKind::not_found);
}

TEST_F(Inspect, ASoundLogIsCountedToItsEnd) {
    for (bool compress : {false, true}) {
        for (bool close : {false, true}) {
            ASSERT_TRUE(disk.make_directories(dir).ok());
            for (const auto& name : *disk.list(dir)) ASSERT_TRUE(disk.remove("log/" + name).ok());
            positions.clear();
            fill(compress, close);
            Report report = check();
            EXPECT_TRUE(report.sound());
            EXPECT_EQ(report.groups, 40u);
            EXPECT_EQ(report.tail, tail);
            EXPECT_EQ(report.torn_bytes, 0u);
            EXPECT_EQ(report.closed, close);
            EXPECT_EQ(report.segments[0].state, compress ? SegmentState::compressed : SegmentState::sealed);
            EXPECT_EQ(report.segments[0].first_time, 1000);
            EXPECT_EQ(report.segments.back().state, SegmentState::reserved);
            Seen seen = show();
            EXPECT_EQ(seen.groups, positions);
            EXPECT_TRUE(seen.places.empty());
            auto quick = stat_directory(disk, dir);
            ASSERT_TRUE(quick.ok());
            EXPECT_TRUE(quick->sound());
            EXPECT_EQ(quick->tail, tail);
            for (size_t i = 0; i < report.segments.size(); ++i) {
                EXPECT_EQ(quick->segments[i].state, report.segments[i].state) << i;
                EXPECT_EQ(quick->segments[i].used_bytes, report.segments[i].used_bytes) << i;
            }
        }
    }
}

// Beside a server: whatever the moment, stat says of the segment that is being written what verify says.
TEST_F(Inspect, StatKnowsWhereTheLogEndsWhileItGrows) {
    Options options;
    options.segment_bytes = min_segment_bytes;
    options.reserve_bytes = 0;
    options.log_id = 5;
    auto log = Log::open(disk, dir, options).value();
    for (int i = 0; i < 60; ++i) {
        const Report report = check();
        const auto quick = stat_directory(disk, dir);
        ASSERT_TRUE(quick.ok());
        EXPECT_EQ(quick->tail, report.tail) << i;
        EXPECT_EQ(quick->torn_bytes, report.torn_bytes) << i;
        for (size_t k = 0; k < report.segments.size(); ++k) {
            EXPECT_EQ(quick->segments[k].state, report.segments[k].state) << i << " " << k;
            EXPECT_EQ(quick->segments[k].used_bytes, report.segments[k].used_bytes) << i << " " << k;
        }
        log->append(1000 + i, std::string(2000 + 37 * static_cast<size_t>(i), 'x'));
        ASSERT_TRUE(log->sync().ok());
        if (i % 7 == 0)
            for (auto more = log->maintain(0, 0); more.ok() && *more;) more = log->maintain(0, 0);
    }
    const Position end = log->durable();
    log.reset();
    poke(end, "half a batch");
    EXPECT_EQ(stat_directory(disk, dir)->torn_bytes, 12u);
    EXPECT_EQ(stat_directory(disk, dir)->tail, end);
}

TEST_F(Inspect, DamageIsShownAndTheRestIsRead) {
    fill(false);
    poke(positions[5] + 100, "!");
    poke(positions[9] + 8, "!!");
    Report report = check();
    EXPECT_EQ(report.first_bad, positions[5]);
    ASSERT_EQ(report.segments[0].problems.size(), 2u);
    EXPECT_EQ(report.segments[0].problems[1].position, positions[9]);
    EXPECT_EQ(report.groups, 38u);
    EXPECT_EQ(report.tail, tail);
    Seen seen = show();
    EXPECT_EQ(seen.groups.size(), 38u);
    ASSERT_EQ(seen.places.size(), 2u);
    EXPECT_EQ(seen.places[0].position, positions[5]);
    EXPECT_EQ(seen.places[0].resumes, positions[6]);
    EXPECT_EQ(seen.places[0].bytes.size(), 256u);
    // From the place that an error names, the damage comes first.
    seen = show(positions[9], positions[12]);
    ASSERT_EQ(seen.places.size(), 1u);
    EXPECT_EQ(seen.places[0].position, positions[9]);
    EXPECT_EQ(seen.groups, (std::vector<Position>{positions[10], positions[11]}));
}

TEST_F(Inspect, ADumpFromTheMiddleOfAGroupBeginsWithTheNext) {
    fill(true);
    Seen seen = show(positions[3] + 16, positions[6]);
    EXPECT_EQ(seen.groups, (std::vector<Position>{positions[4], positions[5]}));
    EXPECT_TRUE(seen.places.empty());
}

TEST_F(Inspect, ATornTailIsNoDamageUnlessTheLogWasClosed) {
    fill(false);
    poke(positions.back() + 500, "torn");
    Report report = check();
    EXPECT_TRUE(report.sound());
    EXPECT_EQ(report.tail, positions.back());
    EXPECT_EQ(report.torn_bytes, tail - positions.back());
    EXPECT_EQ(show().places.size(), 1u);
}

TEST_F(Inspect, AClosedLogWithADamagedEndIsNotSound) {
    fill(false, true);
    poke(positions.back() + 500, "torn");
    EXPECT_FALSE(check().sound());
}

TEST_F(Inspect, MissingForeignAndUnreadableFilesAreNamed) {
    fill(false);
    auto file = disk.open(std::string(dir) + "/" + segment_name(min_segment_bytes, false), OpenMode::read_write).value();
    ASSERT_TRUE(file->write_at(20, "?").ok());
    Report report = check();
    EXPECT_EQ(report.segments[1].state, SegmentState::unreadable);
    EXPECT_EQ(report.first_bad, min_segment_bytes);
    EXPECT_EQ(show().places.size(), 1u);
    ASSERT_TRUE(disk.remove(std::string(dir) + "/" + segment_name(min_segment_bytes, false)).ok());
    report = check();
    EXPECT_FALSE(report.sound());
    ASSERT_EQ(report.problems.size(), 1u);
    EXPECT_EQ(report.problems[0].position, min_segment_bytes);
}

TEST_F(Inspect, NothingIsWritten) {
    fill(true);
    poke(positions.back() + 500, "torn");
    uint64_t writes = disk.writes(), syncs = disk.syncs();
    auto names = *disk.list(dir);
    check();
    show();
    ASSERT_TRUE(stat_directory(disk, dir).ok());
    EXPECT_EQ(disk.writes(), writes);
    EXPECT_EQ(disk.syncs(), syncs);
    EXPECT_EQ(*disk.list(dir), names);
}

TEST(HexLines, ShowPositionBytesAndText) {
    EXPECT_EQ(hex_lines(4096, "Waybill\n"), "00000000000000004096  57 61 79 62 69 6c 6c 0a" + std::string(24, ' ') + "  |Waybill.|\n");
}

}  // namespace
}  // namespace waybill::log
