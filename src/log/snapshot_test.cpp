#include "log/snapshot.h"

#include <gtest/gtest.h>

#include "world/sim_disk.h"

namespace waybill::log {
namespace {

using world::OpenMode;
using world::SimDisk;
using world::SimRandom;

constexpr const char* dir = "data/snapshots";

std::string content(uint64_t seed, size_t n) {
    SimRandom random(seed);
    std::string s;
    while (s.size() < n) s += random.chance(1, 2) ? std::to_string(random.next()) : std::string(50, 'x');
    s.resize(n);
    return s;
}

Result<void> write(world::Disk& disk, Position position, uint32_t version, const std::string& bytes, size_t step = 7777) {
    return write_snapshot(disk, dir, position, version, [&](SnapshotSink& sink) -> Result<void> {
        for (size_t at = 0; at < bytes.size(); at += step) TRY_VOID(sink.write(std::string_view(bytes).substr(at, step)));
        return {};
    });
}

std::string drain(Snapshot& snapshot) {
    std::string out;
    for (;;) {
        auto bytes = snapshot.source->next();
        EXPECT_TRUE(bytes.ok());
        if (!bytes.ok() || bytes->empty()) return out;
        out += *bytes;
    }
}

TEST(Snapshot, NoneIsNoError) {
    SimDisk disk(1);
    auto found = read_newest_snapshot(disk, dir, 1);
    ASSERT_TRUE(found.ok());
    EXPECT_FALSE(found->snapshot);
}

TEST(Snapshot, ComesBackWhateverItsSize) {
    for (size_t n : {size_t{0}, size_t{1}, snapshot_chunk_bytes - 1, snapshot_chunk_bytes, snapshot_chunk_bytes + 1, 3 * snapshot_chunk_bytes + 5}) {
        SimDisk disk(1);
        std::string bytes = content(n, n);
        ASSERT_TRUE(write(disk, 4096, 3, bytes).ok());
        disk.crash();
        auto found = read_newest_snapshot(disk, dir, 3);
        ASSERT_TRUE(found.ok());
        ASSERT_TRUE(found->snapshot);
        EXPECT_EQ(found->snapshot->position, 4096u);
        EXPECT_EQ(found->snapshot->bytes, n);
        EXPECT_EQ(drain(*found->snapshot), bytes);
        EXPECT_FALSE(read_newest_snapshot(disk, dir, 4)->snapshot);  // another version's fold
    }
}

TEST(Snapshot, TheNewestTwoAreKept) {
    SimDisk disk(1);
    for (Position p = 1; p <= 5; ++p) ASSERT_TRUE(write(disk, p * 1000, 1, "state").ok());
    EXPECT_EQ(disk.list(dir)->size(), 2u);
    EXPECT_EQ(read_newest_snapshot(disk, dir, 1)->snapshot->position, 5000u);
    // The first of a new version leaves the two of the old one: a rollback finds them.
    ASSERT_TRUE(write(disk, 6000, 2, "state").ok());
    EXPECT_EQ(disk.list(dir)->size(), 3u);
    ASSERT_TRUE(write(disk, 7000, 2, "state").ok());
    EXPECT_EQ(disk.list(dir)->size(), 2u);
}

TEST(Snapshot, EveryDamageToTheNewestFallsBackWithAWarning) {
    SimDisk disk(1);
    std::string old_bytes = content(1, 5000);
    ASSERT_TRUE(write(disk, 1000, 1, old_bytes).ok());
    ASSERT_TRUE(write(disk, 2000, 1, content(2, 300)).ok());
    std::string path = std::string(dir) + "/snapshot-00000000000000002000-v1.snap";
    auto file = disk.open(path, OpenMode::read_write).value();
    uint64_t size = *file->size();
    auto expect_old = [&](uint64_t at) {
        auto found = read_newest_snapshot(disk, dir, 1);
        ASSERT_TRUE(found.ok());
        ASSERT_TRUE(found->snapshot);
        ASSERT_EQ(found->snapshot->position, 1000u) << at;
        ASSERT_EQ(found->warnings.size(), 1u);
        ASSERT_EQ(drain(*found->snapshot), old_bytes);
    };
    for (uint64_t at = 0; at < size; ++at) {
        char c;
        ASSERT_TRUE(file->read_at(at, &c, 1).ok());
        char bad = static_cast<char>(c ^ 0x10);
        ASSERT_TRUE(file->write_at(at, {&bad, 1}).ok());
        expect_old(at);
        ASSERT_TRUE(file->write_at(at, {&c, 1}).ok());
    }
    ASSERT_EQ(read_newest_snapshot(disk, dir, 1)->snapshot->position, 2000u);
    for (uint64_t n = size; n-- > 0;) {
        ASSERT_TRUE(file->truncate(n).ok());
        expect_old(n);
    }
}

TEST(Snapshot, AFailedWriterLeavesNothing) {
    SimDisk disk(1);
    ASSERT_TRUE(write(disk, 1000, 1, "good").ok());
    auto failed = write_snapshot(disk, dir, 2000, 1, [](SnapshotSink& sink) -> Result<void> {
        TRY_VOID(sink.write("half"));
        return unavailable("the fold was stopped");
    });
    ASSERT_FALSE(failed.ok());
    EXPECT_EQ(failed.error().kind, ErrorKind::unavailable);
    EXPECT_EQ(disk.list(dir)->size(), 1u);
    disk.set_capacity(2000);
    EXPECT_EQ(write(disk, 2000, 1, content(1, 1 << 20)).error().kind, ErrorKind::overloaded);
    EXPECT_EQ(read_newest_snapshot(disk, dir, 1)->snapshot->position, 1000u);
}

TEST(SnapshotSimulation, ACrashAtAnyCallLeavesAWholeOne) {
    for (uint64_t seed = 0; seed < 500; ++seed) {
        SimDisk disk(seed);
        SimRandom random(seed);
        ASSERT_TRUE(write(disk, 1000, 1, content(1, 3000)).ok());
        ASSERT_TRUE(write(disk, 2000, 1, content(2, 3000)).ok());
        disk.cut_power(1 + random.below(12));
        bool done = write(disk, 3000, 1, content(3, 3000)).ok();
        disk.crash();
        auto found = read_newest_snapshot(disk, dir, 1);
        ASSERT_TRUE(found.ok());
        ASSERT_TRUE(found->snapshot) << seed;
        Position p = found->snapshot->position;
        ASSERT_TRUE(p == 3000 || (!done && p == 2000)) << seed << " " << p;
        ASSERT_TRUE(found->warnings.empty());
        ASSERT_EQ(drain(*found->snapshot), content(p / 1000, 3000));
    }
}

}  // namespace
}  // namespace waybill::log
