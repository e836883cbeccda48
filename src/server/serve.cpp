#include "server/serve.h"

#include <fmt/format.h>
#include <signal.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <thread>

#include "event/splitter.h"
#include "node/couriers.h"
#include "node/maintenance.h"
#include "node/replayer.h"
#include "server/demo.h"
#include "server/router.h"

namespace waybill::server {
namespace {

constexpr int64_t drain_ms = 5000;  // at the end: for attempts that are under way

struct Paths {
    std::string data, log, snapshots, history, mail, secrets;
    explicit Paths(const std::string& d)
        : data(d), log(d + "/log"), snapshots(d + "/snapshots"), history(d + "/history.db"), mail(d + "/mail"), secrets(d + "/secrets") {}
};

log::Options log_options(const Config& config) {
    log::Options o;
    o.segment_bytes = config.log.segment_bytes;
    o.reserve_bytes = config.log.reserve_bytes;
    o.compress = config.log.compress;
    o.retention_age_ms = config.log.retention_age_ms;
    o.retention_bytes = config.log.retention_bytes;
    o.data_directory = config.data;
    return o;
}

// A history that this program cannot use is made anew: it is derived.
Result<std::unique_ptr<history::History>> open_history(const std::string& path) {
    TRY(history::Opened opened, history::History::open(path, node::fold_version));
    if (!opened.history) {
        if (opened.found == history::Found::newer_schema)
            return conflict("history.db was written by a newer Waybill: run that one, or delete the file to have it filled anew");
        spdlog::warn("history_rebuild reason=\"made by another version of the merge\"");
        TRY_VOID(history::History::destroy(path));
        TRY(opened, history::History::open(path, node::fold_version));
    }
    return std::move(opened.history);
}

// Recaller on a thread of its own.
class HistoryRecaller final : public node::Recaller {
public:
    explicit HistoryRecaller(const history::History& history) : history_(history) {}
    void attach(node::Node& node) { node_ = &node; }
    void recall(PipelineKey pipeline, std::string execution_id) override {
        worker_.post([this, pipeline = std::move(pipeline), execution_id = std::move(execution_id)]() mutable {
            auto row = history_.recall(pipeline, execution_id);
            node_->submit(node::Recalled{std::move(pipeline), std::move(execution_id), std::move(row)});
        });
    }

private:
    const history::History& history_;
    node::Node* node_ = nullptr;
    node::Worker worker_{"recaller"};
};

unsigned thread_count(const Config& config) {
    return config.threads ? config.threads : std::clamp(std::thread::hardware_concurrency(), 1u, 4u);
}

// The demonstration goes the way every event goes, from the reader on.
Result<void> submit_demo(node::Node& node, const std::string& ndjson) {
    EnvelopeReader reader;
    node::Ingest ingest;
    Splitter splitter(Framing::ndjson, limits::event_bytes);
    const Splitter::Sink sink = [&](const SplitValue& value) {
        auto event = reader.read(value.text);
        if (auto* good = std::get_if<IncomingEvent>(&event)) ingest.events.push_back(std::move(*good));
        return true;
    };
    TRY_VOID(splitter.feed(ndjson, sink));
    TRY_VOID(splitter.finish(sink));
    ingest.answer = [](Result<node::IngestAnswer>) {};
    if (!node.submit(std::move(ingest))) return overloaded("the queue of events is full");
    return {};
}

Result<int> run(const Config& given, const ServeOptions& options) {
    const auto began = std::chrono::steady_clock::now();
    Config config = given;
    const Paths paths(config.data);
    for (const auto& warning : options.warnings) spdlog::warn("config {}", warning);

    // Whoever waits for the end waits on this thread; every other one is started with the signals blocked.
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, nullptr);
    signal(SIGPIPE, SIG_IGN);

    world::RealDisk disk;
    world::RealClock clock;
    world::RealRandom random;
    for (const auto* directory : {&paths.data, &paths.log, &paths.snapshots}) TRY_VOID(disk.make_directories(*directory));
    TRY(const auto log, log::Log::open(disk, paths.log, log_options(config)));
    if (log->opening().cut_bytes)
        spdlog::info("log_recovered cut_bytes={} position={}", log->opening().cut_bytes, log->durable());
    TRY(const auto history, open_history(paths.history));
    int shown = -1;
    TRY(node::Recovered recovered, node::recover(disk, paths.snapshots, *log, *history, [&](Position done, Position of) {
            const int percent = static_cast<int>(done * 100 / std::max<Position>(of, 1)) / 10 * 10;
            if (percent != shown && of > (64 << 20)) spdlog::info("recovering percent={}", percent);
            shown = percent;
        }));
    for (const auto& warning : recovered.warnings) spdlog::warn("snapshot {}", warning);

    // Settled: what is on disk is known, and everything that is promised is in `recovered.state`.
    const std::string host(host_of(config.listen));
    uint16_t port = 0;
    const size_t colon = config.listen.rfind(':');
    std::from_chars(config.listen.data() + colon + 1, config.listen.data() + config.listen.size(), port);

    http::Signal released;
    node::RecentTexts recent_texts;
    bus::Secrets secrets(disk, paths.secrets);
    HistoryRecaller recaller(*history);
    std::unique_ptr<node::Node> node;
    std::unique_ptr<node::HistoryFeed> feed;
    std::unique_ptr<node::Maintenance> maintenance;
    std::unique_ptr<node::Replayer> replayer;
    std::unique_ptr<Context> context;
    std::unique_ptr<Router> router;
    http::Server server({host, port, thread_count(config), {}},
                        [&](http::Exchange& exchange) { return router->handle(exchange); });
    TRY(const auto couriers,
        node::Couriers::make(
            {config, disk, clock, *log, *history, recent_texts, secrets, paths.mail, std::string(version)},
            [&](DeliveryId id, delivery::AttemptOutcome outcome) { node->submit(node::AttemptEnded{id, std::move(outcome)}); }));
    node::Node::Parts parts{*log,
                            clock,
                            random,
                            *couriers,
                            recaller,
                            recent_texts,
                            [&config](const PipelineKey& key) { return node::Couriers::endpoint_of(config, key) != nullptr; },
                            [&](Position position) {
                                released.notify(position);
                                maintenance->released();
                            },
                            [&] { feed->changed(); },
                            [&](node::Failure failure) { couriers->log_failure(std::move(failure)); },
                            [&] { replayer->changed(); },
                            [&](uint64_t id, const std::string& json) { return secrets.keep(id, json); }};
    node = std::make_unique<node::Node>(std::move(parts), config, std::move(recovered.state), history->position());
    recaller.attach(*node);
    feed = std::make_unique<node::HistoryFeed>(*node, *log, recent_texts, *history);
    replayer = std::make_unique<node::Replayer>(*node, *log, config.event_bus.replay_events_per_second);
    maintenance = std::make_unique<node::Maintenance>(*node, *log, disk, clock, *history, config, paths.snapshots);
    released.notify(log->durable());
    context = std::make_unique<Context>(
        Context{config, *node, *log, recent_texts, *history, *feed, released, clock, random, clock.now()});
    router = std::make_unique<Router>(*context);

    // Requests that come before the sequencer runs wait for it. The address must be known first: it stands in messages.
    auto bound = server.start();
    if (!bound.ok()) return std::move(bound).error().in("listening on " + config.listen);
    port = *bound;
    config.listen = fmt::format("{}:{}", host.find(':') == std::string::npos ? host : "[" + host + "]", port);
    if (config.console_url.empty()) config.console_url = "http://" + config.listen;
    std::thread sequencer([&] {
        world::name_thread("sequencer");
        if (auto ended = node->run(); !ended.ok()) {
            // What is not durable was never promised; a restart recovers what was.
            spdlog::critical("stopped message=\"{}\"", ended.error().message);
            spdlog::shutdown();
            std::_Exit(1);
        }
    });
    feed->start();
    replayer->start();
    maintenance->start();
    spdlog::info("listening address=http://{} data={} position={} snapshot={} replayed_groups={} started_in_ms={} version={}",
                 config.listen, config.data, log->durable(), recovered.snapshot, recovered.groups,
                 std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began).count(),
                 version);
    fmt::print("http://{}\n", config.listen);
    std::fflush(stdout);

    std::unique_ptr<DemoSender> demo;
    DemoOptions play;
    // The first one's history ends with a failing pipeline, a stopped one, running ones and open incidents: something of
    // everything at first sight. A later one must not repeat the ids of an earlier one.
    play.seed = log->opening().created ? 5 : static_cast<uint64_t>(clock.now());
    if (options.demo)
        demo = std::make_unique<DemoSender>(play, clock,
                                            [&](const std::string& ndjson, size_t) { return submit_demo(*node, ndjson); });

    int signal_number = 0;
    sigwait(&ends, &signal_number);
    spdlog::info("stopping signal={}", signal_number);
    demo.reset();
    server.stop();
    node->drain(drain_ms);
    replayer->stop();
    feed->stop();
    maintenance->stop();
    node->stop();
    sequencer.join();
    TRY_VOID(log->close());
    spdlog::info("stopped position={}", log->durable());
    return 0;
}

}  // namespace

int serve(const Config& config, const ServeOptions& options) {
    auto logger = spdlog::stderr_logger_mt("waybill");
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
    logger->flush_on(spdlog::level::warn);
    spdlog::set_default_logger(logger);
    auto code = run(config, options);
    if (code.ok()) return *code;
    fmt::print(stderr, "waybill: {}\n", code.error().message);
    return code.error().kind == ErrorKind::corrupt                                               ? 5
           : code.error().kind == ErrorKind::invalid || code.error().kind == ErrorKind::conflict ? 2
                                                                                                 : 1;
}

Result<void> rebuild(const Config& config, const std::function<void(uint64_t, uint64_t)>& progress) {
    const Paths paths(config.data);
    world::RealDisk disk;
    TRY(const auto log, log::Log::open(disk, paths.log, log_options(config)));
    if (log->begin() > log::segment_header_bytes)
        return conflict(fmt::format(
            "retention has deleted the log before position {}: a rebuild would lose what the history still knows of it",
            log->begin()));
    TRY_VOID(history::History::destroy(paths.history));
    TRY(const auto history, open_history(paths.history));
    TRY(node::Recovered recovered, node::recover(disk, paths.snapshots, *log, *history, progress));
    TRY_VOID(node::write_all_changes(*log, *history, *recovered.state, log->durable()));
    return log->close();
}

}  // namespace waybill::server
