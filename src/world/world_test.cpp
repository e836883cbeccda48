// The simulated disk keeps the promises of world/disk.h and breaks everything else; the real one keeps them too.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <set>

#include "world/clock.h"
#include "world/random.h"
#include "world/sim_disk.h"

namespace waybill::world {
namespace {

std::string contents(Disk& disk, const std::string& path) {
    auto file = disk.open(path, OpenMode::read);
    if (!file.ok()) return "(none)";
    std::string s(*(*file)->size(), '\0');
    EXPECT_EQ(*(*file)->read_at(0, s.data(), s.size()), s.size());
    return s;
}

TEST(SimDisk, WhatWasSyncedSurvivesWhatWasNotMayNot) {
    std::set<std::string> outcomes;
    for (uint64_t seed = 0; seed < 200; ++seed) {
        SimDisk disk(seed);
        ASSERT_TRUE(disk.make_directories("d").ok());
        auto file = disk.open("d/f", OpenMode::create).value();
        ASSERT_TRUE(file->write_at(0, std::string(1024, 'a')).ok());
        ASSERT_TRUE(file->sync_data().ok());
        ASSERT_TRUE(disk.sync_directory("d").ok());
        ASSERT_TRUE(file->write_at(0, std::string(1024, 'b')).ok());
        disk.crash();
        EXPECT_FALSE(file->write_at(0, "late").ok());
        std::string s = contents(disk, "d/f");
        ASSERT_EQ(s.size(), 1024u);
        for (size_t half : {0u, 512u}) EXPECT_EQ(s.substr(half, 512), std::string(512, s[half]));  // sectors are whole
        outcomes.insert({s[0], s[512]});
    }
    EXPECT_EQ(outcomes, (std::set<std::string>{"aa", "ab", "ba", "bb"}));
}

TEST(SimDisk, NamesNeedTheDirectorySynced) {
    std::set<std::string> outcomes;
    for (uint64_t seed = 0; seed < 200; ++seed) {
        SimDisk disk(seed);
        ASSERT_TRUE(disk.make_directories("d").ok());
        for (const char* path : {"d/old", "d/new.tmp"}) {
            auto file = disk.open(path, OpenMode::create).value();
            ASSERT_TRUE(file->write_at(0, path).ok());
            ASSERT_TRUE(file->sync_data().ok());
        }
        ASSERT_TRUE(disk.sync_directory("d").ok());
        ASSERT_TRUE(disk.rename("d/new.tmp", "d/old").ok());
        EXPECT_EQ(contents(disk, "d/old"), "d/new.tmp");
        disk.crash();
        outcomes.insert(contents(disk, "d/old"));
    }
    EXPECT_EQ(outcomes, (std::set<std::string>{"d/old", "d/new.tmp"}));
}

TEST(SimDisk, TheSameSeedCrashesTheSameWay) {
    auto run = [](uint64_t seed) {
        SimDisk disk(seed);
        EXPECT_TRUE(disk.make_directories("d").ok());
        auto file = disk.open("d/f", OpenMode::create).value();
        EXPECT_TRUE(disk.sync_directory("d").ok());
        EXPECT_TRUE(file->write_at(0, std::string(1 << 16, 'a')).ok());
        disk.crash();
        return contents(disk, "d/f");
    };
    std::set<std::string> different;
    for (uint64_t seed = 0; seed < 20; ++seed) {
        EXPECT_EQ(run(seed), run(seed));
        different.insert(run(seed));
    }
    EXPECT_GT(different.size(), 5u);
}

TEST(SimDisk, AFullDiskAndFailuresOnDemand) {
    SimDisk disk(1);
    ASSERT_TRUE(disk.make_directories("d").ok());
    disk.set_capacity(1000);
    auto file = disk.open("d/f", OpenMode::create).value();
    EXPECT_EQ(file->allocate(1001).error().kind, ErrorKind::overloaded);
    EXPECT_TRUE(file->allocate(900).ok());
    EXPECT_TRUE(file->write_at(0, std::string(900, 'x')).ok());
    EXPECT_EQ(file->write_at(900, std::string(101, 'x')).error().kind, ErrorKind::overloaded);
    EXPECT_EQ(*disk.free_bytes("d"), 100u);
    disk.fail_write(2);
    EXPECT_TRUE(file->write_at(0, "1").ok());
    EXPECT_EQ(file->write_at(0, "2").error().kind, ErrorKind::unavailable);
    EXPECT_TRUE(file->write_at(0, "3").ok());
    disk.fail_sync(1);
    EXPECT_EQ(file->sync_data().error().kind, ErrorKind::unavailable);
    EXPECT_TRUE(file->sync_data().ok());
    EXPECT_EQ(disk.syncs(), 1u);
    disk.cut_power(1);
    EXPECT_FALSE(file->write_at(0, "4").ok());
    EXPECT_FALSE(disk.list("d").ok());
    disk.crash();
    EXPECT_TRUE(disk.list("d").ok());
}

TEST(SimDisk, ASyncAfterAFailedOneDoesNotWriteWhatThatLost) {
    bool lost = false;
    for (uint64_t seed = 0; seed < 50; ++seed) {
        SimDisk disk(seed);
        ASSERT_TRUE(disk.make_directories("d").ok());
        auto file = disk.open("d/f", OpenMode::create).value();
        ASSERT_TRUE(file->write_at(0, "old").ok());
        ASSERT_TRUE(file->sync_data().ok());
        ASSERT_TRUE(disk.sync_directory("d").ok());
        ASSERT_TRUE(file->write_at(0, "new").ok());
        disk.fail_sync(1);
        ASSERT_FALSE(file->sync_data().ok());
        ASSERT_TRUE(file->sync_data().ok());
        EXPECT_EQ(contents(disk, "d/f"), "new");
        disk.crash();
        lost |= contents(disk, "d/f") == "old";
    }
    EXPECT_TRUE(lost);
}

template <class Make>
void keeps_the_contract(Disk& disk, const std::string& dir, Make reopen) {
    ASSERT_TRUE(disk.make_directories(dir).ok());
    ASSERT_TRUE(disk.make_directories(dir).ok());
    EXPECT_EQ(disk.open(dir + "/none", OpenMode::read).error().kind, ErrorKind::not_found);
    EXPECT_EQ(disk.open(dir + "/none", OpenMode::read_write).error().kind, ErrorKind::not_found);
    EXPECT_EQ(disk.remove(dir + "/none").error().kind, ErrorKind::not_found);
    EXPECT_EQ(disk.list(dir + "/none").error().kind, ErrorKind::not_found);
    {
        auto file = disk.open(dir + "/b", OpenMode::create).value();
        ASSERT_TRUE(file->allocate(10000).ok());
        EXPECT_EQ(*file->size(), 10000u);
        ASSERT_TRUE(file->allocate(10).ok());
        EXPECT_EQ(*file->size(), 10000u);
        ASSERT_TRUE(file->write_at(9998, "wxyz").ok());
        EXPECT_EQ(*file->size(), 10002u);
        char two[4] = {};
        EXPECT_EQ(*file->read_at(10000, two, 4), 2u);
        EXPECT_EQ(std::string(two, 2), "yz");
        EXPECT_EQ(*file->read_at(20000, two, 4), 0u);
        ASSERT_TRUE(file->truncate(5).ok());
        ASSERT_TRUE(file->allocate(8).ok());
        EXPECT_EQ(contents(disk, dir + "/b"), std::string(8, '\0'));
        ASSERT_TRUE(file->sync_data().ok());
    }
    ASSERT_TRUE(disk.open(dir + "/a", OpenMode::create).ok());
    EXPECT_EQ(*disk.list(dir), (std::vector<std::string>{"a", "b"}));
    ASSERT_TRUE(disk.rename(dir + "/b", dir + "/a").ok());
    EXPECT_EQ(*disk.list(dir), (std::vector<std::string>{"a"}));
    EXPECT_EQ(contents(disk, dir + "/a").size(), 8u);
    ASSERT_TRUE(disk.sync_directory(dir).ok());
    ASSERT_TRUE(disk.open(dir + "/a", OpenMode::create).ok());
    EXPECT_EQ(contents(disk, dir + "/a"), "");
    {
        auto held = disk.lock_directory(dir);
        ASSERT_TRUE(held.ok());
        EXPECT_EQ(reopen().lock_directory(dir).error().kind, ErrorKind::conflict);
    }
    EXPECT_TRUE(disk.lock_directory(dir).ok());
    EXPECT_GT(*disk.free_bytes(dir), 0u);
}

TEST(Disk, BothKeepTheSameContract) {
    SimDisk simulated(1);
    keeps_the_contract(simulated, "deep/er/d", [&]() -> Disk& { return simulated; });
    std::string base = (std::filesystem::temp_directory_path() / ("waybill-world-test-" + std::to_string(::getpid()))).string();
    std::filesystem::remove_all(base);
    RealDisk real, other;
    keeps_the_contract(real, base + "/deep/er/d", [&]() -> Disk& { return other; });
    std::filesystem::remove_all(base);
}

TEST(Random, ASeedRepeatsAndTheKernelDoesNot) {
    SimRandom a(5), b(5), c(6);
    uint64_t first = a.next();
    EXPECT_EQ(first, b.next());
    EXPECT_NE(first, c.next());
    for (int i = 0; i < 1000; ++i) EXPECT_LT(a.below(7), 7u);
    RealRandom real;
    EXPECT_NE(real.next(), real.next());
}

TEST(Clock, TheSimulatedOneMovesOnlyWhenTold) {
    SimClock clock(100);
    EXPECT_EQ(clock.now(), 100);
    clock.advance(50);
    EXPECT_EQ(clock.now(), 150);
    clock.set(7);
    EXPECT_EQ(clock.now(), 7);
    RealClock real;
    EXPECT_GT(real.now(), 1'700'000'000'000);
}

}  // namespace
}  // namespace waybill::world
