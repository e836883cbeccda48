#include "server/stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>
#include <vector>

#include "event/incident.h"
#include "event/record.h"
#include "server/events_list.h"
#include "server/native_api.h"

namespace waybill::server {
namespace {

constexpr int64_t keep_alive_ms = 15'000;
constexpr int64_t pipelines_gap_ms = 250;
constexpr size_t write_bytes = 64 << 10;       // messages gathered into one write
constexpr uint64_t scan_bytes = 1 << 20;       // of log between writes
constexpr size_t rows_a_message = 500;

// A message's id says what a client has when it has seen it: the group at `position` up to and with its message `part` (from 1); the group's last
// one is named by the position alone. So a connection that breaks between two messages of one group loses and repeats nothing.
struct MessageId {
    Position position = 0;
    size_t part = 0;  // 0: all of them
    std::string str() const { return part ? fmt::format("{}.{}", position, part) : std::to_string(position); }
    static std::optional<MessageId> parse(std::string_view text) {
        MessageId id;
        const char* const end = text.data() + text.size();
        auto [after, error] = std::from_chars(text.data(), end, id.position);
        if (error != std::errc{}) return {};
        if (after == end) return id;
        if (*after != '.') return {};
        auto [last, bad] = std::from_chars(after + 1, end, id.part);
        if (bad != std::errc{} || last != end || id.part == 0) return {};
        return id;
    }
};

void message(std::string& out, std::string_view type, const MessageId& id, std::string_view json) {
    fmt::format_to(std::back_inserter(out), "event: {}\nid: {}\ndata: {}\n\n", type, id.str(), json);
}

void key_members(JsonWriter& w, const PipelineKey& key) { w.key("pipeline").text(key.pipeline).key("account").text(key.account).key("region").text(key.region); }

class Messages {
public:
    // `execution_id`: only what concerns that execution; empty: everything.
    Messages(const log::Log& log, std::string& out, std::string execution_id) : log_(log), out_(out), execution_id_(std::move(execution_id)) {}

    // `seen`: how many of the group's messages the client has already; all of them count, those that it did not want too.
    Result<void> add(const log::Group& group, size_t seen) {
        told_.clear();
        count_ = 0;
        TRY_VOID(read(group));
        for (const Told& t : told_)
            if (t.part > seen) message(out_, t.type, {group.position, &t == &told_.back() ? 0 : t.part}, t.json);
        return {};
    }

private:
    struct Told {
        std::string_view type;
        size_t part;
        std::string json;
    };

    Result<void> read(const log::Group& group) {
        GroupReader reader(group.payload);
        while (auto record = reader.next()) {
            json_.clear();
            JsonWriter w(json_);
            switch (record->type) {
                case RecordType::transition: {
                    TransitionRecord r;
                    if (decode(record->body, r)) transition(w, r, group);
                    break;
                }
                case RecordType::decision: {
                    Decision r;
                    if (decode(record->body, r)) incident(w, r, group);
                    break;
                }
                case RecordType::delivery_planned: {
                    Delivery d;
                    if (decode(record->body, d)) delivery(w, d, to_string(d.status), group.position);
                    break;
                }
                case RecordType::delivery_changed: {
                    DeliveryChange c;
                    if (decode(record->body, c)) TRY_VOID(change(w, c, group.position));
                    break;
                }
                default: break;
            }
        }
        return {};
    }

    // Counts the message; false when it is not for this client.
    bool wanted(const std::string& execution_id) {
        ++count_;
        return execution_id_.empty() || execution_id_ == execution_id;
    }
    void tell(std::string_view type) { told_.push_back({type, count_, json_}); }

    void transition(JsonWriter& w, const TransitionRecord& r, const log::Group& group) {
        const PipelineEvent& e = r.event;
        if (!wanted(e.execution_id)) return;
        w.begin_object().key("position").number(static_cast<int64_t>(group.position)).key("time").time(group.time).key("eventTime").time(e.time);
        key_members(w, e.key);
        w.key("executionId").text(e.execution_id).key("scope").text(scope_word(e.scope)).key("stageName").text_or_null(e.stage).key("actionName").text_or_null(e.action);
        w.key("actionExecutionId").text_or_null(e.action_execution_id).key("state").text(event_word(e.state)).key("attempt").number(e.attempt);
        w.key("outcome").text(to_string(r.outcome)).end_object();
        tell("transition");
    }

    // An incident opens, is joined or is resolved by a decision that names it.
    void incident(JsonWriter& w, const Decision& d, const log::Group& group) {
        if (!d.note.starts_with("inc-") || !wanted(d.execution_id)) return;
        w.begin_object().key("position").number(static_cast<int64_t>(group.position)).key("incidentId").text(d.note);
        w.key("status").text(d.line == PolicyLine::pipeline_succeeded ? "resolved" : "open");
        key_members(w, d.pipeline);
        w.key("executionId").text(d.execution_id).end_object();
        tell("incident");
    }

    void delivery(JsonWriter& w, const Delivery& d, std::string_view status, Position position) {
        if (!wanted(d.execution_id)) return;
        w.begin_object().key("position").number(static_cast<int64_t>(position)).key("deliveryId").text(d.id.str()).key("status").text(status);
        w.key("kind").text(to_string(d.kind)).key("topic").text(to_string(d.topic)).key("target").text(d.target);
        key_members(w, d.pipeline);
        w.key("executionId").text(d.execution_id).end_object();
        tell("delivery");
    }

    // What changed is told with what was planned, which stands in its own group.
    Result<void> change(JsonWriter& w, const DeliveryChange& c, Position position) {
        std::string_view status = "pending";
        switch (c.kind) {
            case DeliveryChangeKind::delivered: status = "delivered"; break;
            case DeliveryChangeKind::dead: status = "dead"; break;
            case DeliveryChangeKind::cancelled: status = "cancelled"; break;
            case DeliveryChangeKind::started: status = "in_flight"; break;
            case DeliveryChangeKind::retry:
            case DeliveryChangeKind::released:
            case DeliveryChangeKind::redriven: break;
        }
        auto entry = log_.read(c.id.position);
        if (!entry.ok() && entry.error().kind != ErrorKind::not_found) return std::move(entry).error();
        Delivery planned;
        planned.id = c.id;
        if (entry.ok()) {
            GroupReader reader(entry->payload);
            while (auto record = reader.next()) {
                Delivery d;
                if (record->type == RecordType::delivery_planned && decode(record->body, d) && d.id == c.id) planned = std::move(d);
            }
        }
        delivery(w, planned, status, position);
        return {};
    }

    const log::Log& log_;
    std::string& out_;
    const std::string execution_id_;
    std::string json_;
    std::vector<Told> told_;  // of one group
    size_t count_ = 0;
};

// From the group at `from` on, of which the client has seen that many messages.
http::Task<Result<void>> stream_groups(const Context& context, http::Exchange& exchange, Position from, size_t seen) {
    std::string out;
    Messages messages(context.log, out, exchange.head().query("executionId").value_or(""));
    for (;;) {
        const Position released = context.released.value();
        if (from >= released) {
            auto woken = co_await context.released.wait_past(exchange, from, keep_alive_ms);
            if (!woken.ok()) co_return std::move(woken).error();
            if (*woken <= from) {
                auto written = co_await exchange.write(": keep-alive\n\n");
                if (!written.ok()) co_return std::move(written).error();
            }
            continue;
        }
        out.clear();
        Result<void> told;
        const Position begin = from;
        auto reached = context.log.scan(from, released, [&](const log::Group& group) {
            told = messages.add(group, std::exchange(seen, 0));
            return told.ok() && out.size() < write_bytes && group.next - begin < scan_bytes;
        });
        if (!reached.ok()) co_return std::move(reached).error();
        if (!told.ok()) co_return std::move(told).error();
        from = *reached;
        if (out.empty()) continue;
        auto written = co_await exchange.write(out);
        if (!written.ok()) co_return std::move(written).error();
    }
}

http::Task<Result<void>> stream_pipelines(const Context& context, http::Exchange& exchange, Position from) {
    struct Changed {
        std::vector<PipelineRow> rows;
        Position position;
    };
    http::Signal pause;  // never raised: waiting for it is a sleep that the server's stop ends
    for (;;) {
        auto woken = co_await context.released.wait_past(exchange, from, keep_alive_ms);
        if (!woken.ok()) co_return std::move(woken).error();
        if (*woken <= from) {
            auto written = co_await exchange.write(": keep-alive\n\n");
            if (!written.ok()) co_return std::move(written).error();
            continue;
        }
        auto changed = co_await read_state<Changed>(context, exchange, [from](const node::View& view) {
            // Those that changed first, so that a message that does not hold all of them can be gone on from.
            std::vector<const tracking::Pipeline*> which;
            view.state.tracking.each_pipeline([&](const tracking::Pipeline& p) {
                if (p.changed >= from) which.push_back(&p);
            });
            std::sort(which.begin(), which.end(), [](auto* a, auto* b) { return a->changed < b->changed; });
            Changed c{{}, view.position};
            if (which.size() > rows_a_message) {
                which.resize(rows_a_message);
                c.position = which.back()->changed + 1;
            }
            for (const auto* p : which) c.rows.push_back(pipeline_row(view.state, *p));
            return c;
        });
        if (!changed.ok()) co_return std::move(changed).error();
        from = changed->position;
        if (!changed->rows.empty()) {
            std::string json, out;
            JsonWriter w(json);
            w.begin_object().key("position").number(static_cast<int64_t>(from)).key("pipelines").begin_array();
            for (const auto& row : changed->rows) write_json(w, row);
            w.end_array().end_object();
            message(out, "pipelines", {from, 0}, json);
            auto written = co_await exchange.write(out);
            if (!written.ok()) co_return std::move(written).error();
        }
        auto rested = co_await pause.wait_past(exchange, 0, pipelines_gap_ms);
        if (!rested.ok()) co_return std::move(rested).error();
    }
}

}  // namespace

http::Task<void> stream(const Context& context, http::Exchange& exchange) {
    const http::Head& head = exchange.head();
    const bool pipelines = head.query("view") == "pipelines";
    const std::string last(head.header_or("Last-Event-ID")), asked = head.query("from").value_or("");
    const std::string& from_text = last.empty() ? asked : last;
    const Position released = context.released.value();
    Position from = released;
    size_t seen = 0;
    if (!from_text.empty()) {
        const auto id = MessageId::parse(from_text);
        if (!id || (last.empty() && id->part)) {
            co_await respond(exchange, http::error_response(invalid(fmt::format("{}: '{}' is not a position of this stream", last.empty() ? "from" : "Last-Event-ID", from_text.substr(0, 40)))));
            co_return;
        }
        from = id->position;
        seen = id->part;
    }
    if (!pipelines && !from_text.empty()) {
        // Last-Event-ID is the last message seen: what follows it comes next. Retention may have deleted what it named.
        const Position begin = context.log.begin();
        const bool deleted = from < begin;
        from = std::max(from, begin);
        if (deleted) seen = 0;
        if (from < released) {
            auto entry = read_given(context.log, from);
            if (!entry.ok()) {
                co_await respond(exchange, http::error_response(invalid(fmt::format("{}: {}", last.empty() ? "from" : "Last-Event-ID", entry.error().message))));
                co_return;
            }
            if (!last.empty() && !deleted && seen == 0) from = entry->next;
        }
        from = std::min(from, released);
    }
    auto begun = co_await exchange.begin_stream(200, {{"Content-Type", "text/event-stream; charset=utf-8"}, {"Cache-Control", "no-store"}, {"X-Accel-Buffering", "no"}});
    if (!begun.ok()) co_return;
    std::string hello;
    const std::string about = fmt::format("{{\"position\":{},\"version\":\"{}\"}}", from, version);
    fmt::format_to(std::back_inserter(hello), "retry: 1000\nevent: hello\ndata: {}\n\n", about);
    auto written = co_await exchange.write(hello);
    if (!written.ok()) co_return;
    // It ends with the client, or with the server.
    if (pipelines) {
        auto ended = co_await stream_pipelines(context, exchange, from);
        (void)ended;
    } else {
        auto ended = co_await stream_groups(context, exchange, from, seen);
        (void)ended;
    }
}

}  // namespace waybill::server
