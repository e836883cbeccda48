// How fast the history is written, and how long its lists take at a hundred thousand executions (docs/performance.md). Executions have 3 stages
// and 6 actions; each is written twice, half done and done, as live feeding does. All on the file system of $TMPDIR (default /tmp): syncs count.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <stdlib.h>

#include <filesystem>

#include "history/history.h"

namespace waybill::history {
namespace {

constexpr TimeMs day0 = 1'700'000'000'000;
constexpr int pipelines = 200;

uint64_t mixed(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

std::string uuid(uint64_t n) {
    const uint64_t a = mixed(n + 1), b = mixed(a);
    return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", a >> 32, (a >> 16) & 0xffff, a & 0xffff, b >> 48, b & 0xffffffffffffull);
}

ExecutionRow execution(uint64_t n, bool done) {
    ExecutionRow row;
    ExecutionView& e = row.execution;
    e.key = {"111122223333", "eu-west-1", fmt::format("service-{}-deploy", n % pipelines)};
    e.execution_id = uuid(n);
    const State end = !done ? State::started : mixed(n) % 10 == 0 ? State::failed : State::succeeded;
    e.state = end;
    e.known = true;
    e.seen = {{1, 1}};
    e.version = 7;
    e.start = e.first = day0 + static_cast<TimeMs>(n) * 1000;
    e.update = e.start + 300'000;
    if (done) e.end = e.update;
    for (int s = 0; s < (done ? 3 : 2); s++) {
        StageView stage;
        stage.name = s == 0 ? "Source" : s == 1 ? "Build" : "Deploy";
        stage.known = true;
        stage.seen = {{1, 1}};
        stage.state = s == 1 && !done ? State::started : s == 2 ? end : State::succeeded;
        stage.start = stage.first = e.start + s * 1000;
        stage.update = stage.end = stage.start + 50'000;
        for (int a = 0; a < 2; a++) {
            ActionView action;
            action.name = stage.name + (a ? "Verify" : "Run");
            action.stage = stage.name;
            action.action_execution_id = uuid(n * 6 + static_cast<uint64_t>(s * 2 + a) + 77);
            action.state = stage.state;
            action.seen = 3;
            action.start = action.first = stage.start;
            action.update = action.end = stage.update;
            action.category = "Build";
            action.owner = "AWS";
            action.provider = "CodeBuild";
            action.region = "eu-west-1";
            action.external_id = "service:" + uuid(n + 5);
            action.external_url = "https://eu-west-1.console.aws.amazon.com/codebuild/home#/builds/" + action.external_id;
            if (action.state == State::failed) {
                action.error_code = "JobFailed";
                action.summary = "Build terminated with state: FAILED, phase BUILD, exit status 1";
            }
            e.actions.push_back(std::move(action));
        }
        e.stages.push_back(std::move(stage));
    }
    for (Position p = 0; p < 20; p++) e.groups.push_back(n * 10'000 + p * 700);
    e.events = 20;
    e.trigger_type = "Webhook";
    e.trigger_detail = "arn:aws:codestar-connections:eu-west-1:111122223333:connection/1";
    e.commit_id = fmt::format("{:016x}{:016x}{:08x}", mixed(n), mixed(n + 9), n);
    e.commit_message = fmt::format("Fix the rounding of prices in basket {} before tax is added", n % 997);
    e.branch = "main";
    e.repository = "acme/service";
    e.author_name = fmt::format("Author {}", n % 53);
    e.author_email = fmt::format("author{}@example.com", n % 53);
    row.policy = std::string(24, 'p');
    return row;
}

struct Scratch {
    std::string folder;
    std::unique_ptr<History> history;
    Scratch() {
        const char* root = getenv("TMPDIR");
        folder = std::string(root ? root : "/tmp") + "/waybill-history-bench-XXXXXX";
        ASSERT(mkdtemp(folder.data()));
        auto opened = History::open(folder + "/history.db", 1);
        ASSERT(opened.ok() && opened->history);
        history = std::move(opened->history);
    }
    ~Scratch() {
        history.reset();
        std::filesystem::remove_all(folder);
    }
};

// range(0): executions a batch. Each is written twice, two batches apart.
void write(benchmark::State& state) {
    Scratch scratch;
    const auto batch_size = static_cast<uint64_t>(state.range(0));
    uint64_t n = 0, rows = 0;
    for (auto _ : state) {
        state.PauseTiming();
        Batch batch{.position = ++n, .time = day0};
        for (uint64_t i = 0; i < batch_size / 2; i++) {
            batch.executions.push_back(execution(n * batch_size + i, false));
            if (n > 1) batch.executions.push_back(execution((n - 1) * batch_size + i, true));
        }
        for (const auto& e : batch.executions) rows += 1 + e.execution.stages.size() + e.execution.actions.size();
        state.ResumeTiming();
        ASSERT(scratch.history->write(batch).ok());
    }
    state.counters["executions"] = benchmark::Counter(static_cast<double>(state.iterations() * static_cast<int64_t>(batch_size)), benchmark::Counter::kIsRate);
    state.counters["rows"] = benchmark::Counter(static_cast<double>(rows), benchmark::Counter::kIsRate);
}
BENCHMARK(write)->Arg(20)->Arg(500)->Arg(4000)->Unit(benchmark::kMillisecond)->UseRealTime();

// As `rebuild` does: every execution once, finished.
void write_once(benchmark::State& state) {
    Scratch scratch;
    uint64_t n = 0;
    for (auto _ : state) {
        state.PauseTiming();
        Batch batch{.position = n + 1, .time = day0};
        for (int i = 0; i < 4000; i++) batch.executions.push_back(execution(n++, true));
        state.ResumeTiming();
        ASSERT(scratch.history->write(batch).ok());
    }
    state.counters["executions"] = benchmark::Counter(static_cast<double>(n), benchmark::Counter::kIsRate);
    state.counters["rows"] = benchmark::Counter(static_cast<double>(n * 10), benchmark::Counter::kIsRate);
}
BENCHMARK(write_once)->Unit(benchmark::kMillisecond)->UseRealTime();

Scratch& filled() {
    static Scratch scratch;
    static bool done = false;
    for (uint64_t n = 0; !done && n < 100'000;) {
        Batch batch{.position = n + 1, .time = day0};
        for (int i = 0; i < 5000; i++, n++) {
            batch.executions.push_back(execution(n, true));
            Delivery d;
            d.id = {n + 1, 0};
            d.status = n % 100 ? DeliveryStatus::delivered : DeliveryStatus::dead;
            d.target = "devops";
            d.key = uuid(n + 3);
            d.pipeline = batch.executions.back().execution.key;
            d.execution_id = batch.executions.back().execution.execution_id;
            d.planned = day0;
            batch.deliveries.push_back(d);
        }
        ASSERT(scratch.history->write(batch).ok());
    }
    done = true;
    return scratch;
}

void list_executions(benchmark::State& state) {
    Scratch& s = filled();
    for (auto _ : state) ASSERT(s.history->executions({.pipeline = "service-7-deploy"}, {50, ""})->items.size() == 50);
}
BENCHMARK(list_executions)->Unit(benchmark::kMicrosecond);

void list_dead_deliveries_of_a_pipeline(benchmark::State& state) {
    Scratch& s = filled();
    for (auto _ : state)
        ASSERT(s.history->deliveries({.statuses = {DeliveryStatus::dead}, .pipeline = "service-100-deploy"}, {50, ""})->items.size() > 0);
}
BENCHMARK(list_dead_deliveries_of_a_pipeline)->Unit(benchmark::kMicrosecond);

void list_deliveries(benchmark::State& state) {
    Scratch& s = filled();
    for (auto _ : state) ASSERT(s.history->deliveries({}, {50, ""})->items.size() == 50);
}
BENCHMARK(list_deliveries)->Unit(benchmark::kMicrosecond);

void recall(benchmark::State& state) {
    Scratch& s = filled();
    uint64_t n = 0;
    for (auto _ : state) {
        const ExecutionRow row = execution(n++ * 7919 % 100'000, true);
        ASSERT(s.history->recall(row.execution.key, row.execution.execution_id)->has_value());
    }
}
BENCHMARK(recall)->Unit(benchmark::kMicrosecond);

void search_common_words(benchmark::State& state) {
    Scratch& s = filled();
    for (auto _ : state) ASSERT(s.history->search("rounding pri", 50)->size() == 50);
}
BENCHMARK(search_common_words)->Unit(benchmark::kMicrosecond);

void search_one_commit(benchmark::State& state) {
    Scratch& s = filled();
    const std::string commit = execution(4711, true).execution.commit_id;
    for (auto _ : state) ASSERT(s.history->search(commit, 50)->size() == 1);
}
BENCHMARK(search_one_commit)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace waybill::history

BENCHMARK_MAIN();
