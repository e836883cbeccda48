#include "server/metrics.h"

#include <fmt/format.h>

#include <fstream>

namespace waybill::server {
namespace {

// Bytes of memory that the process holds (Linux, /proc/self/statm: pages, the second number).
uint64_t resident_bytes() {
    std::ifstream statm("/proc/self/statm");
    uint64_t total = 0, resident = 0;
    statm >> total >> resident;
    return resident * 4096;
}

class Page {
public:
    void family(std::string_view name, std::string_view type, std::string_view help) {
        fmt::format_to(std::back_inserter(text), "# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
        name_ = name;
    }
    void sample(double value, std::string_view labels = {}) {
        fmt::format_to(std::back_inserter(text), "{}{}{}{} {}\n", name_, labels.empty() ? "" : "{", labels, labels.empty() ? "" : "}", value);
    }
    void one(std::string_view name, std::string_view type, std::string_view help, double value) {
        family(name, type, help);
        sample(value);
    }
    std::string text;

private:
    std::string_view name_;
};

}  // namespace

http::Task<http::Response> metrics(const Context& context, http::Exchange& exchange) {
    struct Numbers {
        node::Counters c;
        size_t live, pipelines, known_ids, open, dead, incidents;
        bool accepting;
    };
    auto read = co_await read_state<Numbers>(context, exchange, [](const node::View& view) {
        const auto& s = view.state;
        return Numbers{s.counters,          s.tracking.live_executions(), s.tracking.pipelines(), s.tracking.known_ids.size(), s.deliveries.open(), s.deliveries.dead(),
                       s.policy.open_incidents(), view.accepting_events};
    });
    if (!read.ok()) co_return http::error_response(read.error());
    const Numbers& n = *read;
    const auto& g = context.node.gauges();
    const log::Stat log = context.log.stat();
    Page p;
    p.family("waybill_build_info", "gauge", "Which Waybill this is.");
    p.sample(1, fmt::format("version=\"{}\"", version));
    p.one("waybill_start_time_seconds", "gauge", "When the process started, in seconds since 1970.", static_cast<double>(context.started) / 1000);
    p.one("process_resident_memory_bytes", "gauge", "Memory the process holds.", static_cast<double>(resident_bytes()));
    p.family("waybill_events_total", "counter", "Events taken in, by whether their identity was known.");
    p.sample(static_cast<double>(n.c.events - n.c.known_ids), "identity=\"new\"");
    p.sample(static_cast<double>(n.c.known_ids), "identity=\"known\"");
    p.family("waybill_transitions_total", "counter", "Pipeline events by what state made of them.");
    p.sample(static_cast<double>(n.c.accepted), "outcome=\"accepted\"");
    p.sample(static_cast<double>(n.c.late), "outcome=\"late\"");
    p.sample(static_cast<double>(n.c.repeated), "outcome=\"duplicate\"");
    p.sample(static_cast<double>(n.c.untracked), "outcome=\"untracked\"");
    p.family("waybill_refused_total", "counter", "Requests with events that were turned away.");
    p.sample(static_cast<double>(g.refused_full.load()), "reason=\"queue_full\"");
    p.sample(static_cast<double>(g.refused_disk.load()), "reason=\"disk_full\"");
    p.one("waybill_accepting_events", "gauge", "1 while new events are taken, 0 while the disk is full.", n.accepting);
    p.one("waybill_pipelines", "gauge", "Pipelines known.", static_cast<double>(n.pipelines));
    p.one("waybill_live_executions", "gauge", "Executions held in memory.", static_cast<double>(n.live));
    p.one("waybill_known_event_ids", "gauge", "Event identities in the duplicate window.", static_cast<double>(n.known_ids));
    p.one("waybill_executions_retired_total", "counter", "Executions that left memory.", static_cast<double>(n.c.retired));
    p.one("waybill_executions_recalled_total", "counter", "Executions that a late event brought back.", static_cast<double>(n.c.recalled));
    p.one("waybill_open_incidents", "gauge", "Pipelines with an open incident.", static_cast<double>(n.incidents));
    p.one("waybill_deliveries_open", "gauge", "Deliveries planned and not done.", static_cast<double>(n.open));
    p.one("waybill_dead_letters", "gauge", "Deliveries given up and not redriven.", static_cast<double>(n.dead));
    p.one("waybill_deliveries_planned_total", "counter", "Deliveries planned.", static_cast<double>(n.c.planned));
    p.one("waybill_delivery_attempts_total", "counter", "Attempts made.", static_cast<double>(n.c.attempts));
    p.family("waybill_deliveries_ended_total", "counter", "Deliveries by how they ended.");
    p.sample(static_cast<double>(n.c.delivered), "outcome=\"delivered\"");
    p.sample(static_cast<double>(n.c.dead), "outcome=\"dead\"");
    p.sample(static_cast<double>(n.c.cancelled), "outcome=\"cancelled\"");
    p.one("waybill_log_durable_position", "gauge", "Everything below is safe from a crash.", static_cast<double>(log.durable));
    p.one("waybill_log_segments", "gauge", "Segment files.", static_cast<double>(log.segments));
    p.one("waybill_log_stored_bytes", "gauge", "What the log takes on disk.", static_cast<double>(log.stored_bytes));
    p.one("waybill_log_groups_total", "counter", "Record groups appended since the process started.", static_cast<double>(g.groups.load()));
    p.one("waybill_log_syncs_total", "counter", "Syncs since the process started.", static_cast<double>(log.syncs));
    p.one("waybill_log_sync_seconds_total", "counter", "Time spent writing and syncing.", static_cast<double>(g.sync_ns.load()) / 1e9);
    p.one("waybill_history_position", "gauge", "Everything below is in the history.", static_cast<double>(context.feed.signal().value()));
    http::Response response{200, {{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"}}, std::move(p.text)};
    co_return response;
}

}  // namespace waybill::server
