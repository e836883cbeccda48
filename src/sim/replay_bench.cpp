// How fast a log becomes state again, against only reading and checking the same bytes in the same run, and what a live execution costs in memory
// (docs/performance.md). 10,000 executions of about 20 transitions in envelopes of about 900 bytes; raw segments on the file system of $TMPDIR
// (default /tmp), which are in the page cache after the first round.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <malloc.h>
#include <spdlog/spdlog.h>
#include <stdlib.h>

#include <filesystem>

#include "log/log.h"
#include "node/state.h"
#include "sim/execution_generator.h"

namespace waybill::sim {
namespace {

constexpr int executions = 10'000;

GeneratorOptions shape() {
    GeneratorOptions o;
    o.pipelines = 200;
    o.max_stages = 5, o.max_actions = 2, o.max_rounds = 2;
    o.failures = 3, o.interruptions = 2, o.unfinished = 0;
    o.rich = true;
    return o;
}

struct BenchLog {
    world::RealDisk disk;
    std::string directory;
    std::unique_ptr<log::Log> log;
    uint64_t events = 0, bytes = 0;

    BenchLog() {
        const char* base = std::getenv("TMPDIR");
        directory = std::string(base ? base : "/tmp") + "/waybill-replay-XXXXXX";
        ASSERT(mkdtemp(directory.data()));
        log::Options options;
        options.compress = false;
        log = log::Log::open(disk, directory + "/log", options).value();
        ExecutionGenerator generator(1, shape());
        node::State state;
        std::string payload;
        for (int i = 0; i < executions; ++i) {
            for (const auto& generated : generator.next().events) {
                const IncomingEvent event = read(generated.envelope);
                payload.clear();
                const Position position = log->prepare(event.envelope.size() + 1024);
                GroupWriter group(payload);
                const EventRecord record{event.identity, false, event.envelope};
                const TransitionRecord transition{state.tracking.decide(*event.pipeline), *event.pipeline};
                group.add(record);
                group.add(transition);
                state.apply(record, generated.at);
                state.apply(transition, position, generated.at);
                ASSERT(log->append(generated.at, payload) == position);
                ++events;
                bytes += event.envelope.size();
            }
            if (i % 200 == 0) ASSERT(log->sync().ok());
            if (log->maintenance_due()) ASSERT(log->maintain(0, 0).ok());
        }
        ASSERT(log->sync().ok());
        fmt::print("{} executions, {} events of {} bytes on average, a log of {} MB\n", executions, events, bytes / events, log->durable() >> 20);
    }
    ~BenchLog() {
        log.reset();
        std::error_code ignored;
        std::filesystem::remove_all(directory, ignored);
    }
};

BenchLog& bench_log() {
    static BenchLog log;
    return log;
}

void count(benchmark::State& state, const BenchLog& log) {
    state.SetItemsProcessed(static_cast<int64_t>(log.events) * state.iterations());
    state.SetBytesProcessed(static_cast<int64_t>(log.log->durable() - log.log->begin()) * state.iterations());
}

void ReadAndCheck(benchmark::State& state) {
    auto& log = bench_log();
    for (auto _ : state) {
        uint64_t groups = 0;
        ASSERT(log.log->scan(log.log->begin(), log.log->durable(), [&](const log::Group&) { return ++groups; }).ok());
        ASSERT(groups == log.events);
    }
    count(state, log);
}
BENCHMARK(ReadAndCheck)->Unit(benchmark::kMillisecond);

void Replay(benchmark::State& state) {
    auto& log = bench_log();
    for (auto _ : state) {
        auto folded = std::make_unique<node::State>();
        ASSERT(log.log->scan(log.log->begin(), log.log->durable(), [&](const log::Group& g) { return folded->apply_group(g.payload, g.position, g.time).ok(); }).ok());
        ASSERT(folded->counters.events == log.events);
        state.PauseTiming();
        folded.reset();
        state.ResumeTiming();
    }
    count(state, log);
}
BENCHMARK(Replay)->Unit(benchmark::kMillisecond);

// Executions of exactly 20 transitions, copies of one under other ids.
void MemoryOfALiveExecution(benchmark::State& state) {
    ExecutionGenerator generator(3, shape());
    std::vector<PipelineEvent> model;
    while (model.size() != 20) {
        model.clear();
        for (const auto& e : generator.next().events) model.push_back(*read(e.envelope).pipeline);
    }
    const size_t n = 200'000;
    for (auto _ : state) {
        const size_t before = mallinfo2().uordblks;
        node::State folded;
        Position position = 4096;
        TransitionRecord record;
        for (size_t i = 0; i < n; ++i) {
            const std::string execution = generator.uuid();
            std::map<std::string, std::string> ids;
            for (const auto& e : model) {
                record.event = e;
                record.event.execution_id = execution;
                record.event.key.pipeline = fmt::format("service-{}-deploy", i % 200);
                if (e.scope == Scope::action) {
                    auto& id = ids[e.action_execution_id];
                    if (id.empty()) id = generator.uuid();
                    record.event.action_execution_id = id;
                }
                folded.apply(record, position += 1000, e.time);
            }
        }
        state.counters["bytes_an_execution"] = static_cast<double>(mallinfo2().uordblks - before) / static_cast<double>(n);
    }
}
BENCHMARK(MemoryOfALiveExecution)->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace waybill::sim

BENCHMARK_MAIN();
