// `waybill demo`: plays believable pipelines into a running server until Ctrl-C, so that everything else has something to show.
#include <fmt/format.h>

#include <mutex>

#include "cli/commands.h"
#include "server/demo.h"

namespace waybill::cli {

int demo(Session& session, const DemoCommandOptions& options) {
    server::DemoOptions settings;
    settings.seed = options.seed;
    settings.pipelines = options.pipelines;
    settings.rate = options.rate;
    // A few executions a pipeline, so that with many pipelines none stays empty.
    settings.history_executions = std::max<size_t>(40, options.pipelines * 5 / 4);
    if (!options.duration.empty()) {
        auto span = parse_duration_ms(options.duration);
        if (!span || *span <= 0) return session.fail(invalid("--duration " + options.duration + ": is not a span of time; write for example 90s, 10m or 2h"));
        settings.duration_ms = *span;
    }
    if (!options.print) {
        // Before anything is generated: is there somebody to play for?
        Result<Answer> health = session.client.get("/api/v1/health");
        if (!health.ok() && health.error().kind == ErrorKind::unavailable) return session.fail(health.error());
    }

    std::mutex mutex;  // guards what the sender's thread tells this one
    uint64_t sent = 0, refused = 0;
    std::string refusal;
    bool silenced = false, readable = true;
    auto sink = [&](const std::string& ndjson, size_t events) -> Result<void> {
        if (options.print) {
            bool ok = print(ndjson);
            std::lock_guard lock(mutex);
            readable = ok;
            sent += events;
            return {};
        }
        TRY(Answer answer, session.client.post("/events", "application/x-ndjson", ndjson));
        std::lock_guard lock(mutex);
        silenced = false;
        sent += events;
        refused += static_cast<uint64_t>(number(answer.root, "refused"));
        if (refusal.empty()) {
            for (Json r : items(answer.root, "refusals")) {
                refusal = fmt::format("{}: {}", text(r, "field"), text(r, "reason"));
                break;
            }
        }
        return {};
    };
    auto complaint = [&](const Error& error) {
        std::lock_guard lock(mutex);
        if (!silenced && !session.interrupt.raised()) warn(error.message + "; trying again", session.options.color);
        silenced = true;
    };
    if (!options.print) print(fmt::format("playing {} pipelines into {}, about {} events/s, seed {}; Ctrl-C ends it\n", settings.pipelines, session.client.url(), settings.rate, settings.seed));
    server::DemoSender sender(settings, session.clock, sink, complaint);
    while (!sender.done() && !session.interrupt.wait_ms(250)) {
        std::lock_guard lock(mutex);
        if (!readable) break;
        if (session.err.interactive && !options.print) {
            fmt::print(stderr, "\r\x1b[K{} events sent", show_count(sent));
            std::fflush(stderr);
        }
    }
    sender.stop();
    sender.join();
    if (session.err.interactive && !options.print) fmt::print(stderr, "\r\x1b[K");
    if (!options.print) print(fmt::format("{} events sent, {} refused\n", show_count(sent), show_count(refused)));
    if (refused) return session.fail(conflict("the server refused events: " + clean(refusal)));
    return exit_ok;
}

}  // namespace waybill::cli
