// The log against a vector: whatever happens to the disk, what was promised is there and nothing else is.
#include "log/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <thread>

#include "world/sim_disk.h"

namespace waybill::log {
namespace {

using world::OpenMode;
using world::SimDisk;
using world::SimRandom;

constexpr const char* dir = "data/log";

Options small() {
    Options o;
    o.segment_bytes = min_segment_bytes;
    o.reserve_bytes = 16 << 10;
    o.log_id = 42;
    return o;
}

std::string text(SimRandom& random, size_t n) {
    std::string s(n, '\0');
    for (char& c : s) c = static_cast<char>('a' + random.below(26));
    return s;
}

struct Model {
    struct Item {
        Position position;
        TimeMs time;
        std::string payload;
        bool operator==(const Item&) const = default;
    };
    std::vector<Item> items;
};

std::vector<Model::Item> all(const Log& log, Position from = 0) {
    std::vector<Model::Item> out;
    auto end = log.scan(from ? from : log.begin(), UINT64_MAX, [&](const Group& g) {
        out.push_back({g.position, g.time, std::string(g.payload)});
        return true;
    });
    EXPECT_TRUE(end.ok()) << (end.ok() ? "" : end.error().message);
    if (end.ok()) {
        EXPECT_EQ(*end, log.durable());
    }
    return out;
}

std::unique_ptr<Log> must_open(world::Disk& disk, Options options = small()) {
    auto log = Log::open(disk, dir, options);
    EXPECT_TRUE(log.ok()) << log.error().message;
    return log.ok() ? std::move(*log) : nullptr;
}

void append(Log& log, Model& model, TimeMs time, const std::string& payload) {
    Position expected = log.prepare(payload.size());
    Position p = log.append(time, payload);
    EXPECT_EQ(p, expected);
    model.items.push_back({p, time, payload});
}

void maintain_all(Log& log, TimeMs now = 0, Position keep_from = UINT64_MAX) {
    for (;;) {
        auto more = log.maintain(now, keep_from);
        ASSERT_TRUE(more.ok()) << more.error().message;
        if (!*more) return;
    }
}

std::string slurp(world::Disk& disk, const std::string& path) {
    auto file = disk.open(path, OpenMode::read);
    EXPECT_TRUE(file.ok());
    std::string s(*(*file)->size(), '\0');
    EXPECT_TRUE((*file)->read_at(0, s.data(), s.size()).ok());
    return s;
}

void spill(world::Disk& disk, const std::string& path, const std::string& bytes) {
    auto file = disk.open(path, OpenMode::create);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE((*file)->write_at(0, bytes).ok());
    ASSERT_TRUE((*file)->sync_data().ok());
    ASSERT_TRUE(disk.sync_directory(dir).ok());
}

void poke(world::Disk& disk, const std::string& path, uint64_t offset, std::string_view bytes) {
    auto file = disk.open(path, OpenMode::read_write);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE((*file)->write_at(offset, bytes).ok());
    ASSERT_TRUE((*file)->sync_data().ok());
}

std::string segment_path(Position first, bool compressed = false) { return std::string(dir) + "/" + segment_name(first, compressed); }

TEST(Log, AnEmptyLogBeginsWhereItEnds) {
    SimDisk disk(1);
    auto log = must_open(disk);
    EXPECT_TRUE(log->opening().created);
    EXPECT_EQ(log->begin(), segment_header_bytes);
    EXPECT_EQ(log->durable(), log->begin());
    EXPECT_EQ(log->tail(), log->begin());
    EXPECT_TRUE(all(*log).empty());
}

TEST(Log, GroupsComeBackInOrderBitForBitFromRawAndFromCompressed) {
    for (bool compress : {false, true}) {
        SimDisk disk(7);
        SimRandom random(7);
        Options options = small();
        options.compress = compress;
        Model model;
        auto log = must_open(disk, options);
        for (int i = 0; i < 1500; ++i) {
            size_t n = random.chance(1, 50) ? random.below(log->max_payload() + 1) : random.below(300);
            append(*log, model, i, text(random, n));
            if (random.chance(1, 4)) {
                ASSERT_TRUE(log->sync().ok());
            }
            if (random.chance(1, 20)) maintain_all(*log);
            if (random.chance(1, 200)) {
                ASSERT_TRUE(log->sync().ok());
                log.reset();
                log = must_open(disk, options);
            }
        }
        ASSERT_TRUE(log->sync().ok());
        maintain_all(*log);
        EXPECT_EQ(log->stat().compressed_segments > 3, compress);
        EXPECT_EQ(all(*log), model.items);
        for (int i = 0; i < 300; ++i) {
            const auto& item = model.items[random.below(model.items.size())];
            auto entry = log->read(item.position);
            ASSERT_TRUE(entry.ok()) << entry.error().message;
            EXPECT_EQ(entry->payload, item.payload);
            EXPECT_EQ(entry->time, item.time);
        }
        // A scan from the middle, and one up to the middle.
        const auto& middle = model.items[model.items.size() / 2];
        EXPECT_EQ(all(*log, middle.position).front(), middle);
        size_t count = 0;
        auto end = log->scan(log->begin(), middle.position, [&](const Group&) { return ++count, true; });
        ASSERT_TRUE(end.ok());
        EXPECT_EQ(count, model.items.size() / 2);
    }
}

TEST(Log, PayloadsOfEverySizeUpToTheLargest) {
    SimDisk disk(1);
    Model model;
    SimRandom random(3);
    auto log = must_open(disk);
    for (size_t n = 0; n < 40; ++n) append(*log, model, 0, text(random, n));
    for (size_t n = log->max_payload() - 20; n <= log->max_payload(); ++n) append(*log, model, 0, text(random, n));
    ASSERT_TRUE(log->sync().ok());
    EXPECT_EQ(all(*log), model.items);
}

TEST(Log, OnlyWhatIsDurableIsRead) {
    SimDisk disk(1);
    auto log = must_open(disk);
    Position p = log->append(1, "one");
    EXPECT_EQ(log->read(p).error().kind, ErrorKind::not_found);
    EXPECT_TRUE(all(*log).empty());
    ASSERT_TRUE(log->sync().ok());
    EXPECT_EQ(log->read(p)->payload, "one");
}

TEST(Log, NothingBeginsInTheMiddleOfAGroup) {
    SimDisk disk(1);
    auto log = must_open(disk);
    Position p = log->append(1, std::string(100, 'x'));
    ASSERT_TRUE(log->sync().ok());
    for (Position q : {Position{0}, p - 8, p + 1, p + 8, p + 64, log->durable(), log->durable() + 8, Position{1} << 50}) {
        auto entry = log->read(q);
        ASSERT_FALSE(entry.ok());
        EXPECT_EQ(entry.error().kind, ErrorKind::not_found) << q;
    }
}

TEST(Log, ManyGroupsAreOneWriteAndOneSync) {
    SimDisk disk(1);
    auto log = must_open(disk);
    uint64_t syncs = disk.syncs(), writes = disk.writes();
    for (int i = 0; i < 100; ++i) log->append(1, "group");
    ASSERT_TRUE(log->sync().ok());
    ASSERT_TRUE(log->sync().ok());
    EXPECT_EQ(disk.syncs() - syncs, 1u);
    EXPECT_EQ(disk.writes() - writes, 1u);
}

TEST(Log, RollingOverIntoAReservedSegmentMakesNoFile) {
    SimDisk disk(1);
    auto log = must_open(disk);
    maintain_all(*log);
    EXPECT_FALSE(log->maintenance_due());
    auto before = disk.list(dir);
    log->append(1, std::string(40000, 'a'));
    log->append(1, std::string(40000, 'b'));
    ASSERT_TRUE(log->sync().ok());
    EXPECT_EQ(*disk.list(dir), *before);
    EXPECT_TRUE(log->maintenance_due());
}

TEST(Log, ASecondOpenerIsRefused) {
    SimDisk disk(1);
    auto log = must_open(disk);
    auto second = Log::open(disk, dir, small());
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().kind, ErrorKind::conflict);
}

// The last batch is cut at every byte, with zeros and with garbage behind the cut.
TEST(Log, ATornTailIsCutToWholeGroups) {
    SimDisk disk(1);
    Model model;
    SimRandom random(5);
    {
        auto log = must_open(disk);
        for (int i = 0; i < 3; ++i) append(*log, model, i, text(random, 50));
        ASSERT_TRUE(log->sync().ok());
    }
    Position batch = model.items.back().position + frame_bytes(50);
    size_t synced = model.items.size();
    {
        auto log = must_open(disk);
        for (int i = 0; i < 4; ++i) append(*log, model, 10 + i, text(random, 20 + 30 * static_cast<size_t>(i)));
        ASSERT_TRUE(log->sync().ok());
    }
    std::string whole = slurp(disk, segment_path(0));
    Position end = model.items.back().position + frame_bytes(model.items.back().payload.size());
    for (Position cut = batch; cut < end; ++cut) {
        for (bool garbage : {false, true}) {
            std::string torn = whole;
            for (size_t i = cut; i < torn.size(); ++i) torn[i] = garbage && i < end ? static_cast<char>(random.next()) : 0;
            spill(disk, segment_path(0), torn);
            auto log = must_open(disk);
            auto got = all(*log);
            ASSERT_GE(got.size(), synced);
            ASSERT_LT(got.size(), model.items.size() + (garbage ? 1 : 0) + 1);
            for (size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], model.items[i]);
            // Every group that lies wholly before the cut stays; padding that was zero anyway may save one more.
            size_t before = 0;
            for (const auto& item : model.items) before += item.position + frame_bytes(item.payload.size()) <= cut;
            ASSERT_GE(got.size(), before);
            ASSERT_LE(got.size(), before + 1);
            // Nothing stale is left behind: a new, shorter batch is read back alone, after another opening too.
            Position p = log->append(99, "new");
            ASSERT_TRUE(log->sync().ok());
            log.reset();
            log = must_open(disk);
            got = all(*log);
            ASSERT_EQ(got.back(), (Model::Item{p, 99, "new"}));
        }
    }
}

TEST(Log, AHoleInTheLastBatchIsCutThere) {
    SimDisk disk(1);
    auto log = must_open(disk);
    Position a = log->append(1, "a");
    Position b = log->append(1, std::string(1000, 'b'));
    log->append(1, "c");  // whole, but behind a hole of the same batch
    ASSERT_TRUE(log->sync().ok());
    log.reset();
    poke(disk, segment_path(0), b + 512, "torn");
    log = must_open(disk);
    EXPECT_EQ(all(*log), (std::vector<Model::Item>{{a, 1, "a"}}));
    EXPECT_GT(log->opening().cut_bytes, 1000u);
}

// The new group ends exactly where a whole frame of the cut batch begins.
TEST(Log, WhatWasCutNeverComesBack) {
    SimDisk disk(1);
    auto log = must_open(disk);
    Position a = log->append(1, "aaaa");
    log->append(1, "stale");
    ASSERT_TRUE(log->sync().ok());
    log.reset();
    poke(disk, segment_path(0), a, "torn");
    log = must_open(disk);
    ASSERT_EQ(log->append(2, "AAAA"), a);
    ASSERT_TRUE(log->sync().ok());
    log.reset();
    EXPECT_EQ(all(*must_open(disk)), (std::vector<Model::Item>{{a, 2, "AAAA"}}));
}

// One byte at a time, in everything before the last batch.
TEST(Log, DamageInTheMiddleIsRefusedWithItsPosition) {
    SimDisk disk(1);
    Model model;
    SimRandom random(9);
    {
        auto log = must_open(disk);
        for (int i = 0; i < 6; ++i) {
            append(*log, model, i, text(random, 10 + random.below(60)));
            append(*log, model, i, text(random, random.below(60)));
            ASSERT_TRUE(log->sync().ok());
        }
    }
    Position last_batch = model.items[model.items.size() - 2].position;
    std::string whole = slurp(disk, segment_path(0));
    for (size_t i = segment_header_bytes; i < last_batch; ++i) {
        for (uint8_t flip : {uint8_t{1}, uint8_t{0x80}, uint8_t{0xff}}) {
            std::string bad = whole;
            bad[i] = static_cast<char>(bad[i] ^ flip);
            spill(disk, segment_path(0), bad);
            auto log = Log::open(disk, dir, small());
            ASSERT_FALSE(log.ok()) << i;
            ASSERT_EQ(log.error().kind, ErrorKind::corrupt);
            Position place = 0;
            for (const auto& item : model.items)
                if (item.position <= i) place = item.position;
            ASSERT_THAT(log.error().message, testing::HasSubstr("waybill log dump --data data/log --at " + std::to_string(place)));
            ASSERT_EQ(slurp(disk, segment_path(0)), bad);  // refusing changes nothing
        }
    }
}

TEST(Log, DamageInAnOlderSegmentIsFoundWhenItIsRead) {
    SimDisk disk(1);
    Model model;
    SimRandom random(2);
    Options options = small();
    options.compress = false;
    {
        auto log = must_open(disk, options);
        for (int i = 0; i < 400; ++i) append(*log, model, i, text(random, 500));
        ASSERT_TRUE(log->sync().ok());
    }
    const auto& victim = model.items[20];
    poke(disk, segment_path(0), victim.position + 100, "!");
    auto log = must_open(disk, options);
    size_t seen = 0;
    auto end = log->scan(log->begin(), UINT64_MAX, [&](const Group&) { return ++seen, true; });
    ASSERT_FALSE(end.ok());
    EXPECT_EQ(end.error().kind, ErrorKind::corrupt);
    EXPECT_THAT(end.error().message, testing::HasSubstr(std::to_string(victim.position)));
    EXPECT_EQ(seen, 20u);
    EXPECT_EQ(log->read(victim.position).error().kind, ErrorKind::corrupt);
    EXPECT_TRUE(log->read(model.items[21].position).ok());
    poke(disk, segment_path(0), model.items[30].position + 3, "!");  // a header
    EXPECT_EQ(log->read(model.items[30].position).error().kind, ErrorKind::corrupt);
}

TEST(Log, DamageBeforeASegmentThatWasWrittenIsRefused) {
    SimDisk disk(1);
    {
        auto log = must_open(disk);
        log->append(1, std::string(40000, 'a'));
        log->append(1, std::string(40000, 'b'));
        ASSERT_TRUE(log->sync().ok());
    }
    // The whole content of the second segment is torn, which is no reason to lose the first one's last group.
    auto second = segment_path(min_segment_bytes);
    poke(disk, second, segment_header_bytes, std::string(16, 'x'));
    { EXPECT_EQ(all(*must_open(disk)).size(), 1u); }
    poke(disk, second, segment_header_bytes, std::string(16, 'x'));
    poke(disk, segment_path(0), segment_header_bytes + 100, "!");
    EXPECT_EQ(Log::open(disk, dir, small()).error().kind, ErrorKind::corrupt);
}

TEST(Log, AMissingSegmentIsRefused) {
    SimDisk disk(1);
    {
        auto log = must_open(disk);
        for (int i = 0; i < 5; ++i) log->append(1, std::string(40000, 'a'));
        ASSERT_TRUE(log->sync().ok());
    }
    ASSERT_TRUE(disk.rename(segment_path(2 * min_segment_bytes), std::string(dir) + "/aside").ok());
    auto log = Log::open(disk, dir, small());
    ASSERT_FALSE(log.ok());
    EXPECT_EQ(log.error().kind, ErrorKind::corrupt);
    ASSERT_TRUE(disk.rename(std::string(dir) + "/aside", segment_path(2 * min_segment_bytes)).ok());
    ASSERT_TRUE(disk.remove(segment_path(4 * min_segment_bytes)).ok());
    log = Log::open(disk, dir, small());
    ASSERT_FALSE(log.ok());
    EXPECT_THAT(log.error().message, testing::HasSubstr("missing"));
}

TEST(Log, DamageToACleanlyClosedTailIsRefused) {
    SimDisk disk(1);
    Position last;
    {
        auto log = must_open(disk);
        log->append(1, "one");
        last = log->append(1, "two");
        ASSERT_TRUE(log->close().ok());
    }
    poke(disk, segment_path(0), last + 33, "!");
    auto log = Log::open(disk, dir, small());
    ASSERT_FALSE(log.ok());
    EXPECT_EQ(log.error().kind, ErrorKind::corrupt);
    EXPECT_THAT(log.error().message, testing::HasSubstr("--at " + std::to_string(last)));
}

TEST(Log, ACleanCloseIsForgottenOnceTheLogIsOpen) {
    SimDisk disk(1);
    {
        auto log = must_open(disk);
        log->append(1, "one");
        ASSERT_TRUE(log->close().ok());
    }
    {
        auto log = must_open(disk);
        EXPECT_TRUE(log->opening().clean);
        log->append(1, "two");
        ASSERT_TRUE(log->sync().ok());
    }
    disk.crash();
    auto log = must_open(disk);
    EXPECT_FALSE(log->opening().clean);
    EXPECT_EQ(all(*log).size(), 2u);
}

TEST(Log, BothFilesAfterACrashTheWholeOneIsUsed) {
    for (bool damaged : {false, true}) {
        SimDisk disk(1);
        Model model;
        SimRandom random(4);
        std::string raw;
        {
            auto log = must_open(disk);
            for (int i = 0; i < 200; ++i) append(*log, model, i, text(random, 500));
            ASSERT_TRUE(log->sync().ok());
            raw = slurp(disk, segment_path(0));
            maintain_all(*log);
            ASSERT_EQ(log->stat().compressed_segments, 1u);
        }
        spill(disk, segment_path(0), raw);
        spill(disk, segment_path(0, true) + ".tmp", "half");
        if (damaged) poke(disk, segment_path(0, true), 500, "damage");
        auto log = must_open(disk);
        EXPECT_EQ(log->stat().compressed_segments, damaged ? 0u : 1u);
        EXPECT_EQ(log->opening().tidied.size(), 2u);
        EXPECT_EQ(all(*log), model.items);
        auto names = *disk.list(dir);
        EXPECT_EQ(std::count(names.begin(), names.end(), segment_name(0, false)), damaged ? 1 : 0);
        EXPECT_EQ(std::count(names.begin(), names.end(), segment_name(0, true)), damaged ? 0 : 1);
    }
}

TEST(Log, ADamagedCompressedBlockIsRefusedWhenItIsRead) {
    SimDisk disk(1);
    Model model;
    SimRandom random(4);
    auto log = must_open(disk);
    for (int i = 0; i < 200; ++i) append(*log, model, i, text(random, 500));
    ASSERT_TRUE(log->sync().ok());
    maintain_all(*log);
    log.reset();
    poke(disk, segment_path(0, true), 5000, "!");
    log = must_open(disk);
    EXPECT_EQ(log->read(model.items[3].position).error().kind, ErrorKind::corrupt);
    EXPECT_EQ(log->scan(log->begin(), UINT64_MAX, [](const Group&) { return true; }).error().kind, ErrorKind::corrupt);
    EXPECT_TRUE(log->read(model.items.back().position).ok());
}

TEST(Log, RetentionDeletesTheOldestButNothingThatIsKept) {
    SimDisk disk(1);
    Model model;
    SimRandom random(4);
    Options options = small();
    options.compress = false;
    options.retention_age_ms = 1000;
    auto log = must_open(disk, options);
    for (int i = 0; i < 1000; ++i) append(*log, model, i * 10, text(random, 500));
    ASSERT_TRUE(log->sync().ok());
    uint64_t before = log->stat().segments;
    maintain_all(*log, 1'000'000, log->begin());
    EXPECT_GE(log->stat().segments, before);  // all of it is still needed
    Position keep = model.items[300].position;
    maintain_all(*log, 1'000'000, keep);
    EXPECT_LE(log->begin(), keep);
    EXPECT_GT(log->begin() + min_segment_bytes, keep);
    EXPECT_TRUE(log->read(keep).ok());
    EXPECT_EQ(log->read(model.items[0].position).error().kind, ErrorKind::not_found);
    EXPECT_EQ(log->scan(model.items[0].position, UINT64_MAX, [](const Group&) { return true; }).error().kind, ErrorKind::not_found);
    maintain_all(*log, 8000, UINT64_MAX);  // groups up to time 7000 may go, by whole segments
    auto rest = all(*log);
    ASSERT_FALSE(rest.empty());
    EXPECT_LE(rest.front().time, 7000);
    EXPECT_GE(rest.front().time, 5000);
    log.reset();
    log = must_open(disk, options);
    EXPECT_EQ(all(*log), rest);
}

TEST(Log, RetentionBySize) {
    SimDisk disk(1);
    Options options = small();
    options.compress = false;
    options.retention_bytes = 5 * min_segment_bytes;
    auto log = must_open(disk, options);
    for (int i = 0; i < 1000; ++i) log->append(i, std::string(1000, 'x'));
    ASSERT_TRUE(log->sync().ok());
    maintain_all(*log);
    EXPECT_LE(log->stat().stored_bytes, options.retention_bytes);
    EXPECT_GE(log->stat().segments, 4u);
}

TEST(Log, AFullDiskStopsEventsThenOutcomesAndRecovers) {
    SimDisk disk(1);
    Model model;
    Options options = small();
    options.compress = false;
    auto log = must_open(disk, options);
    maintain_all(*log);
    disk.set_capacity(2 * min_segment_bytes + 100);
    int i = 0;
    while (log->accepts_events()) {
        append(*log, model, ++i, std::string(1000, 'e'));
        ASSERT_TRUE(log->sync().ok());
        auto more = log->maintain(0, 0);
        ASSERT_TRUE(more.ok());
        ASSERT_LT(i, 1000);
    }
    EXPECT_TRUE(log->stat().starved);
    // The reserve takes its bytes in outcomes.
    for (size_t used = 0; used + 2000 < options.reserve_bytes; used += frame_bytes(1000)) {
        append(*log, model, ++i, std::string(1000, 'o'));
        ASSERT_TRUE(log->sync().ok());
    }
    // Beyond it nothing is written, and nothing is lost.
    Position durable = log->durable();
    for (int k = 0; k < 10; ++k) append(*log, model, ++i, std::string(1000, 'x'));
    uint64_t writes = disk.writes();
    auto full = log->sync();
    ASSERT_FALSE(full.ok());
    EXPECT_EQ(full.error().kind, ErrorKind::overloaded);
    EXPECT_EQ(disk.writes(), writes);
    EXPECT_EQ(log->durable(), durable);
    EXPECT_FALSE(log->accepts_events());
    disk.set_capacity(UINT64_MAX);
    ASSERT_TRUE(log->sync().ok());
    maintain_all(*log);
    EXPECT_TRUE(log->accepts_events());
    EXPECT_EQ(all(*log), model.items);
    log.reset();
    log = must_open(disk, options);
    EXPECT_EQ(all(*log), model.items);
}

TEST(Log, AFailedWriteOrSyncIsFinal) {
    for (bool sync : {false, true}) {
        SimDisk disk(3);
        Model model;
        auto log = must_open(disk);
        append(*log, model, 1, "safe");
        ASSERT_TRUE(log->sync().ok());
        log->append(2, "lost");
        sync ? disk.fail_sync(1) : disk.fail_write(1);
        EXPECT_EQ(log->sync().error().kind, ErrorKind::unavailable);
        EXPECT_EQ(log->sync().error().kind, ErrorKind::unavailable);
        EXPECT_EQ(all(*log), model.items);
    }
}

// After a failed sync the page cache shows bytes that the medium does not have. The process that opens the log next may show them too,
// but then they must be durable.
TEST(Log, WhatIsShownAfterAFailedSyncSurvivesTheNextCrash) {
    for (uint64_t seed = 0; seed < 200; ++seed) {
        SimDisk disk(seed);
        auto log = must_open(disk);
        log->append(1, "safe");
        ASSERT_TRUE(log->sync().ok());
        log->append(2, std::string(2000, 'x'));
        disk.fail_sync(1);
        ASSERT_FALSE(log->sync().ok());
        log.reset();
        log = must_open(disk);
        auto shown = all(*log);
        disk.crash();
        log = must_open(disk);
        ASSERT_EQ(all(*log), shown);
    }
}

TEST(Log, OptionsMayChangeBetweenOpenings) {
    SimDisk disk(1);
    SimRandom random(8);
    Model model;
    uint64_t sizes[] = {min_segment_bytes, 4 * min_segment_bytes, 2 * min_segment_bytes};
    for (int round = 0; round < 12; ++round) {
        Options options = small();
        options.segment_bytes = sizes[round % 3];
        auto log = must_open(disk, options);
        EXPECT_EQ(all(*log), model.items);
        for (int i = 0; i < 60; ++i) append(*log, model, round, text(random, random.below(2000)));
        append(*log, model, round, text(random, log->max_payload()));
        ASSERT_TRUE(log->sync().ok());
        maintain_all(*log);
    }
    EXPECT_EQ(all(*must_open(disk)), model.items);
}

TEST(Log, ForeignSegmentsAndNewerFormatsAreRefused) {
    SimDisk disk(1), other(2);
    auto fill = [](SimDisk& d, uint64_t id) {
        Options options = small();
        options.log_id = id;
        auto log = must_open(d, options);
        for (int i = 0; i < 3; ++i) log->append(1, std::string(40000, 'a'));
        EXPECT_TRUE(log->sync().ok());
    };
    fill(disk, 1);
    fill(other, 2);
    std::string mine = slurp(disk, segment_path(min_segment_bytes));
    spill(disk, segment_path(min_segment_bytes), slurp(other, segment_path(min_segment_bytes)));
    EXPECT_THAT(Log::open(disk, dir, small()).error().message, testing::HasSubstr("another log"));
    spill(disk, segment_path(min_segment_bytes), slurp(disk, segment_path(2 * min_segment_bytes)));
    EXPECT_THAT(Log::open(disk, dir, small()).error().message, testing::HasSubstr("another's name"));
    mine[8] = 2;
    spill(disk, segment_path(min_segment_bytes), mine);
    EXPECT_EQ(Log::open(disk, dir, small()).error().kind, ErrorKind::unsupported);
}

// A payload that holds a copy of the log itself never passes for frames: the checksums are salted, and a frame knows its place.
TEST(Log, FramesInsideAPayloadAreNotFrames) {
    SimDisk disk(1);
    auto log = must_open(disk);
    Position inner = log->tail() + frame_header_bytes;
    std::string forged;
    append_frame(forged, salt_of(43), FrameKind::group, inner, inner, 1, "forged");
    Position p = log->append(1, forged);
    ASSERT_EQ(p + frame_header_bytes, inner);
    ASSERT_TRUE(log->sync().ok());
    log.reset();
    poke(disk, segment_path(0), p, "torn");
    log = must_open(disk);
    EXPECT_TRUE(all(*log).empty());
}

// Thousands of lives: append, sync, maintain, fail, die, crash. Every group that was synced survives; what else survives is a prefix.
TEST(LogSimulation, EverySyncedGroupSurvivesEveryCrash) {
    const char* only = std::getenv("WAYBILL_SEED");
    uint64_t from = only ? std::strtoull(only, nullptr, 10) : 0, to = only ? from + 1 : 3000;
    uint64_t crashes = 0, torn = 0, compressed = 0, full = 0, failed = 0;
    for (uint64_t seed = from; seed < to && !HasFailure(); ++seed) {
        SCOPED_TRACE("WAYBILL_SEED=" + std::to_string(seed));
        SimDisk disk(seed);
        SimRandom random(seed ^ 0x5eed);
        std::vector<Model::Item> written;  // all that was ever appended and not yet known to be lost
        size_t promised = 0;               // of these
        std::unique_ptr<Log> log;
        TimeMs now = 0;
        for (int life = 0; life < 6 && !HasFailure(); ++life) {
            Options options = small();
            options.compress = random.chance(1, 2);
            if (random.chance(1, 4)) options.retention_bytes = 4 * min_segment_bytes;
            disk.set_capacity(UINT64_MAX);
            if (random.chance(1, 8)) disk.cut_power(1 + random.below(8));
            auto opened = Log::open(disk, dir, options);
            if (!opened.ok() && opened.error().kind == ErrorKind::unavailable) {  // the power went while it recovered
                disk.crash(), ++crashes;
                continue;
            }
            if (!opened.ok()) {
                ADD_FAILURE() << opened.error().message;
                break;
            }
            log = std::move(*opened);
            torn += log->opening().cut_bytes > 0;
            auto got = all(*log);
            // What is there: a run of what was written, reaching at least to what was promised.
            size_t skip = 0;
            if (!got.empty())
                while (skip < written.size() && written[skip].position < got.front().position) ++skip;
            else
                skip = promised;
            for (size_t i = 0; i < skip && i < promised; ++i)
                if (written[i].position >= log->begin()) ADD_FAILURE() << "lost position " << written[i].position;
            if (skip + got.size() < promised) ADD_FAILURE() << "lost " << promised - skip - got.size() << " promised groups";
            for (size_t i = 0; i < got.size(); ++i)
                if (skip + i >= written.size() || !(written[skip + i] == got[i])) {
                    ADD_FAILURE() << "position " << got[i].position << " is not what was written";
                    break;
                }
            written = got;
            promised = got.size();  // shown once, so promised

            if (random.chance(1, 6)) disk.set_capacity(min_segment_bytes * (3 + random.below(8)));
            if (random.chance(1, 6)) disk.fail_sync(1 + random.below(20));
            if (random.chance(1, 6)) disk.fail_write(1 + random.below(20));
            if (random.chance(1, 2)) disk.cut_power(1 + random.below(40));
            uint64_t steps = random.below(60);
            bool alive = true;
            for (uint64_t s = 0; s < steps && alive; ++s) {
                ++now;
                uint64_t what = random.below(10);
                if (what < 6) {
                    size_t n = random.chance(1, 8) ? random.below(log->max_payload() + 1) : random.below(1500);
                    std::string payload = text(random, std::min<size_t>(n, 40)) + std::string(n > 40 ? n - 40 : 0, 'z');
                    Position p = log->append(now, payload);
                    written.push_back({p, now, std::move(payload)});
                } else if (what < 9) {
                    auto done = log->sync();
                    if (done.ok()) promised = written.size();
                    else if (done.error().kind == ErrorKind::overloaded) ++full;
                    else alive = false, ++failed;
                } else {
                    auto more = log->maintain(now, UINT64_MAX);
                    if (!more.ok()) alive = false, ++failed;
                }
            }
            compressed += log->stat().compressed_segments;
            disk.fail_sync(0);
            disk.fail_write(0);
            if (alive && random.chance(1, 6)) {
                disk.set_capacity(UINT64_MAX);
                if (log->close().ok()) promised = written.size();
                else alive = false;
            }
            bool disk_works = alive || disk.list(dir).ok();
            log.reset();
            if (!disk_works || random.chance(5, 6)) disk.crash(), ++crashes;  // else only the process died
        }
        log.reset();
    }
    if (!only) {  // the simulation met what it is there for
        EXPECT_GT(crashes, 10000u);
        EXPECT_GT(torn, 500u);
        EXPECT_GT(compressed, 1000u);
        EXPECT_GT(full, 100u);
        EXPECT_GT(failed, 500u);
    }
}

// On the real disk, all threads at once. What it is for is ThreadSanitizer.
TEST(LogThreads, ReadersAndMaintenanceBesideTheSequencer) {
    std::string base = (std::filesystem::temp_directory_path() / ("waybill-log-test-" + std::to_string(::getpid()))).string();
    std::filesystem::remove_all(base);
    {
        world::RealDisk disk;
        Options options = small();
        options.retention_bytes = 20 * min_segment_bytes;
        auto opened = Log::open(disk, base + "/log", options);
        ASSERT_TRUE(opened.ok()) << opened.error().message;
        Log& log = **opened;
        std::atomic<bool> done{false};
        std::atomic<uint64_t> seen{0};
        std::vector<std::thread> threads;
        for (int r = 0; r < 3; ++r) {
            threads.emplace_back([&, r] {
                SimRandom random(static_cast<uint64_t>(r));
                Position from = log.begin();
                bool last = false;
                while (!last) {
                    last = done.load();
                    Position some = 0;
                    auto end = log.scan(from, UINT64_MAX, [&](const Group& g) {
                        EXPECT_EQ(g.payload.size(), static_cast<size_t>(g.time));
                        if (random.chance(1, 20)) some = g.position;
                        ++seen;
                        return true;
                    });
                    if (!end.ok()) {
                        EXPECT_EQ(end.error().kind, ErrorKind::not_found) << end.error().message;  // retention went past it
                        from = log.begin();
                        continue;
                    }
                    from = random.chance(1, 3) ? log.begin() : *end;
                    if (some) {
                        auto entry = log.read(some);
                        if (!entry.ok()) {
                            EXPECT_EQ(entry.error().kind, ErrorKind::not_found) << entry.error().message;
                        }
                    }
                    EXPECT_LE(log.stat().begin, log.durable());
                }
            });
        }
        threads.emplace_back([&] {
            while (!done.load()) {
                auto more = log.maintain(0, UINT64_MAX);
                EXPECT_TRUE(more.ok()) << (more.ok() ? "" : more.error().message);
                std::this_thread::yield();
            }
        });
        SimRandom random(77);
        for (int i = 0; i < 400; ++i) {
            for (int k = 0; k < 8; ++k) {
                size_t n = random.below(2000);
                log.append(static_cast<TimeMs>(n), std::string(n, 'x'));
            }
            ASSERT_TRUE(log.sync().ok());
        }
        done = true;
        for (auto& t : threads) t.join();
        EXPECT_GT(seen.load(), 0u);
        ASSERT_TRUE(log.close().ok());
        auto second = Log::open(disk, base + "/log", options);
        ASSERT_FALSE(second.ok());
        EXPECT_EQ(second.error().kind, ErrorKind::conflict);
        EXPECT_THAT(second.error().message, testing::HasSubstr(std::to_string(::getpid())));
        opened->reset();
        auto again = Log::open(disk, base + "/log", options);
        ASSERT_TRUE(again.ok()) << again.error().message;
        EXPECT_TRUE((*again)->opening().clean);
    }
    std::filesystem::remove_all(base);
}

}  // namespace
}  // namespace waybill::log
