#include "server/events_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <deque>

#include "event/envelope.h"
#include "event/record.h"
#include "node/texts.h"
#include "server/list_page.h"

namespace waybill::server {
namespace {

constexpr uint64_t scanned_a_request = uint64_t{128} << 20;

struct Filter {
    std::string source, detail_type, pipeline, execution_id;
};

struct FoundEvent {
    Position position = 0;
    TimeMs received = no_time;
    bool duplicate = false;
    std::string envelope;
};

// The group's event, if it has one that passes.
std::optional<FoundEvent> match(const log::Group& group, const Filter& filter) {
    GroupReader reader(group.payload);
    std::optional<FoundEvent> found;
    EventRecord event;
    bool pipeline_event = false;
    while (auto record = reader.next()) {
        if (record->type == RecordType::event && decode(record->body, event)) {
            found = FoundEvent{group.position, group.time, event.duplicate, {}};
        } else if (record->type == RecordType::transition) {
            pipeline_event = true;
            if (filter.pipeline.empty() && filter.execution_id.empty()) continue;
            TransitionRecord t;
            if (!decode(record->body, t)) return {};
            if (!filter.pipeline.empty() && t.event.key.pipeline != filter.pipeline) return {};
            if (!filter.execution_id.empty() && t.event.execution_id != filter.execution_id) return {};
        }
    }
    if (!found || (!pipeline_event && (!filter.pipeline.empty() || !filter.execution_id.empty()))) return {};
    if (!filter.source.empty() || !filter.detail_type.empty()) {
        const EnvelopeHead head = read_head(event.envelope);
        if ((!filter.source.empty() && head.source != filter.source) || (!filter.detail_type.empty() && head.detail_type != filter.detail_type)) return {};
    }
    found->envelope = event.envelope;
    return found;
}

Result<Position> position_of(std::string_view name, std::string_view text) {
    Position p = 0;
    auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), p);
    if (ec != std::errc{} || end != text.data() + text.size()) return invalid(fmt::format("{}: '{}' is not a position", name, text.substr(0, 40)));
    return p;
}

void write(JsonWriter& w, const FoundEvent& e) {
    w.begin_object().key("position").number(static_cast<int64_t>(e.position)).key("receivedTime").time(e.received).key("duplicate").boolean(e.duplicate);
    w.key("event").raw(e.envelope).end_object();
}

}  // namespace

Result<log::Entry> read_given(const log::Log& log, Position position) {
    auto entry = log.read(position);
    if (!entry.ok() && (entry.error().kind == ErrorKind::corrupt || entry.error().kind == ErrorKind::not_found))
        return not_found(fmt::format("nothing begins at position {}: positions come from this server's answers, and retention deletes the oldest", position));
    return entry;
}

http::Task<Result<http::Response>> list_events(const Context& context, http::Exchange& exchange) {
    const http::Head& head = exchange.head();
    const Filter filter{head.query("source").value_or(""), head.query("detailType").value_or(""), head.query("pipeline").value_or(""), head.query("executionId").value_or("")};
    CO_TRY(const size_t limit, limit_of(head));
    const std::string order = head.query("order").value_or("asc");
    if (order != "asc" && order != "desc") co_return invalid("order: must be asc or desc");
    const Position released = context.node.gauges().released.load();
    const auto from_text = head.query("cursor") ? head.query("cursor") : head.query("from");

    std::deque<FoundEvent> found;
    Result<void> failed;
    std::string next;
    if (order == "asc") {
        Position from = context.log.begin();
        if (from_text) {
            CO_TRY(const Position asked, position_of("from", *from_text));
            from = std::max(from, asked);
        }
        if (from < released) {
            if (auto first = read_given(context.log, from); !first.ok()) co_return invalid("from: " + first.error().message);
            Position stopped_at = 0;
            auto scanned = context.log.scan(from, released, [&](const log::Group& group) {
                if (found.size() == limit || group.position - from > scanned_a_request) {
                    stopped_at = group.position;
                    return false;
                }
                if (auto e = match(group, filter)) found.push_back(std::move(*e));
                return true;
            });
            if (!scanned.ok()) co_return std::move(scanned).error();
            if (stopped_at) next = std::to_string(stopped_at);
        }
    } else {
        // Backwards, a segment at a time: within one, the last that match.
        Position before = released;
        if (from_text) {
            CO_TRY(const Position asked, position_of("from", *from_text));
            before = std::min(before, asked);
        }
        const auto starts = context.log.segment_starts();
        const Position asked_before = before;
        for (auto start = starts.rbegin(); start != starts.rend() && found.size() < limit; ++start) {
            if (*start >= before) continue;
            std::deque<FoundEvent> here;
            auto scanned = context.log.scan(*start, before, [&](const log::Group& group) {
                if (group.position >= before) return false;
                if (auto e = match(group, filter)) {
                    here.push_back(std::move(*e));
                    if (here.size() > limit - found.size()) here.pop_front();
                }
                return true;
            });
            if (!scanned.ok()) co_return std::move(scanned).error();
            std::move(here.rbegin(), here.rend(), std::back_inserter(found));
            before = *start;
            if (asked_before - before > scanned_a_request) break;
        }
        if (found.size() == limit) next = std::to_string(found.back().position);
        else if (before > context.log.begin()) next = std::to_string(before);
    }
    co_return list_page(released, "events", found, next, [](JsonWriter& w, const FoundEvent& e) { write(w, e); });
}

http::Task<Result<http::Response>> one_event(const Context& context, http::Exchange&, std::string text) {
    CO_TRY(const Position position, position_of("position", text));
    CO_TRY(const log::Entry entry, read_given(context.log, position));
    auto found = match(log::Group{position, entry.next, entry.time, entry.payload}, {});
    if (!found) co_return not_found(fmt::format("the group at position {} holds no event", position));
    std::string json;
    JsonWriter w(json);
    write(w, *found);
    co_return at_position(http::json_response(200, std::move(json)), context.node.gauges().released.load());
}

}  // namespace waybill::server
