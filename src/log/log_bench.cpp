// What does the log cost over the bare file operations that any durable log needs, and how fast is it read back?
// Each pair does the same bytes in one run, in one directory ($WAYBILL_BENCH_DIR, else the temporary directory): a file system in memory
// makes syncs free and the comparison meaningless.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "log/log.h"
#include "world/random.h"

namespace waybill::log {
namespace {

constexpr size_t group_bytes = 1000;

std::string bench_directory() {
    const char* chosen = std::getenv("WAYBILL_BENCH_DIR");
    std::string base = chosen ? chosen : std::filesystem::temp_directory_path().string();
    return fmt::format("{}/waybill-log-bench-{}", base, ::getpid());
}

// Text like an event's: some of it repeats.
std::string payload(uint64_t seed = 1) {
    world::SimRandom random(seed);
    std::string s;
    while (s.size() < group_bytes) s += fmt::format("\"key{}\":\"{:016x}\",", random.below(20), random.next());
    s.resize(group_bytes);
    return s;
}

void append_and_sync(benchmark::State& state) {
    std::string directory = bench_directory();
    std::filesystem::remove_all(directory);
    world::RealDisk disk;
    Options options;
    options.compress = false;
    options.retention_bytes = 4 * options.segment_bytes;
    auto opened = Log::open(disk, directory, options);
    if (!opened.ok()) return state.SkipWithError(opened.error().message.c_str());
    Log& log = **opened;
    std::string bytes = payload();
    int64_t groups = state.range(0);
    for (auto _ : state) {
        for (int64_t i = 0; i < groups; ++i) log.append(0, bytes);
        if (!log.sync().ok()) return state.SkipWithError("sync failed");
        if (log.maintenance_due()) {
            state.PauseTiming();
            for (auto more = log.maintain(0, UINT64_MAX); more.ok() && *more;) more = log.maintain(0, UINT64_MAX);
            state.ResumeTiming();
        }
    }
    state.SetItemsProcessed(state.iterations() * groups);
    state.SetBytesProcessed(state.iterations() * groups * static_cast<int64_t>(frame_bytes(group_bytes)));
    opened->reset();
    std::filesystem::remove_all(directory);
}

void bare_pwrite_and_fdatasync(benchmark::State& state) {
    std::string directory = bench_directory();
    std::filesystem::remove_all(directory);
    world::RealDisk disk;
    uint64_t capacity = uint64_t{64} << 20;
    std::unique_ptr<world::File> file;
    auto fresh = [&]() -> Result<void> {
        TRY_VOID(disk.make_directories(directory));
        TRY(file, disk.open(directory + "/bare", world::OpenMode::create));
        TRY_VOID(file->allocate(capacity));
        return file->sync_data();
    };
    if (!fresh().ok()) return state.SkipWithError("cannot create the file");
    int64_t groups = state.range(0);
    std::string bytes(static_cast<size_t>(groups) * frame_bytes(group_bytes), 'x');
    uint64_t at = 0;
    for (auto _ : state) {
        if (at + bytes.size() > capacity) {
            state.PauseTiming();
            if (!fresh().ok()) return state.SkipWithError("cannot create the file");
            at = 0;
            state.ResumeTiming();
        }
        if (!file->write_at(at, bytes).ok() || !file->sync_data().ok()) return state.SkipWithError("writing failed");
        at += bytes.size();
    }
    state.SetItemsProcessed(state.iterations() * groups);
    state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(bytes.size()));
    file.reset();
    std::filesystem::remove_all(directory);
}

BENCHMARK(bare_pwrite_and_fdatasync)->Arg(1)->Arg(10)->Arg(100)->Arg(1000)->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(append_and_sync)->Arg(1)->Arg(10)->Arg(100)->Arg(1000)->UseRealTime()->Unit(benchmark::kMicrosecond);

// 60 MB of groups in one segment, from the page cache.
struct Filled {
    world::RealDisk disk;
    std::string directory = bench_directory();
    std::unique_ptr<Log> log;
    uint64_t bytes = 0;
    std::vector<Position> positions;

    explicit Filled(bool compress) {
        std::filesystem::remove_all(directory);
        Options options;
        options.compress = compress;
        auto opened = Log::open(disk, directory, options);
        if (!opened.ok()) return;
        log = std::move(*opened);
        while (log->tail() + frame_bytes(group_bytes) * 2 < options.segment_bytes)
            positions.push_back(log->append(0, payload(positions.size())));
        bytes = log->tail() - log->begin();
        log->append(0, std::string(log->max_payload(), 'x'));  // seals the first segment
        if (!log->sync().ok()) log.reset();
        if (!log) return;
        for (auto more = log->maintain(0, 0); more.ok() && *more;) more = log->maintain(0, 0);
    }
    ~Filled() {
        log.reset();
        std::filesystem::remove_all(directory);
    }
};

void scan(benchmark::State& state) {
    Filled filled(state.range(0) != 0);
    if (!filled.log) return state.SkipWithError("cannot fill the log");
    uint64_t groups = 0;
    for (auto _ : state) {
        auto end = filled.log->scan(filled.log->begin(), filled.positions.back(), [&](const Group& g) {
            benchmark::DoNotOptimize(g.payload.data());
            return ++groups, true;
        });
        if (!end.ok()) return state.SkipWithError(end.error().message.c_str());
    }
    state.SetItemsProcessed(static_cast<int64_t>(groups));
    state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(filled.bytes));
}

void plain_read_and_crc(benchmark::State& state) {
    Filled filled(false);
    if (!filled.log) return state.SkipWithError("cannot fill the log");
    auto file = filled.disk.open(filled.directory + "/" + segment_name(0, false), world::OpenMode::read);
    if (!file.ok()) return state.SkipWithError("cannot open the segment");
    std::string buffer(512 << 10, '\0');
    for (auto _ : state) {
        uint32_t crc = 0;
        for (uint64_t at = 0; at < filled.bytes; at += buffer.size()) {
            auto got = (*file)->read_at(at, buffer.data(), std::min<uint64_t>(buffer.size(), filled.bytes - at));
            if (!got.ok()) return state.SkipWithError("reading failed");
            crc = crc32c(std::string_view(buffer).substr(0, *got), crc);
        }
        benchmark::DoNotOptimize(crc);
    }
    state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(filled.bytes));
}

void read_by_position(benchmark::State& state) {
    Filled filled(state.range(0) != 0);
    if (!filled.log) return state.SkipWithError("cannot fill the log");
    world::SimRandom random(2);
    for (auto _ : state) {
        auto entry = filled.log->read(filled.positions[random.below(filled.positions.size())]);
        if (!entry.ok()) return state.SkipWithError(entry.error().message.c_str());
        benchmark::DoNotOptimize(entry->payload.data());
    }
    state.SetItemsProcessed(state.iterations());
}

BENCHMARK(plain_read_and_crc)->Unit(benchmark::kMillisecond);
BENCHMARK(scan)->ArgName("compressed")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);
BENCHMARK(read_by_position)->ArgName("compressed")->Arg(0)->Arg(1)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace waybill::log

BENCHMARK_MAIN();
