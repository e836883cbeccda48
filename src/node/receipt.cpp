#include "node/receipt.h"

#include <algorithm>

#include "event/envelope.h"

namespace waybill::node {
namespace {

// What one group holds.
struct Opened {
    Position position = 0;
    TimeMs time = no_time;
    bool has_event = false;
    EventLine event;
    std::vector<Decision> decisions;
    std::vector<DeliveryChange> changes;
};

// Nothing where retention has deleted the group.
Result<std::optional<Opened>> open_group(const log::Log& log, Position position) {
    auto entry = log.read(position);
    if (!entry.ok() && entry.error().kind == ErrorKind::not_found) return std::optional<Opened>();
    if (!entry.ok()) return std::move(entry).error();
    Opened opened;
    opened.position = position;
    opened.time = entry->time;
    GroupReader group(entry->payload);
    bool good = true;
    while (auto record = group.next()) {
        if (record->type == RecordType::event) {
            EventRecord r;
            good &= decode(record->body, r);
            opened.event.event_id = read_head(r.envelope).id;
            opened.event.known_id = r.duplicate;
        } else if (record->type == RecordType::transition) {
            good &= decode(record->body, opened.event.transition);
            opened.has_event = true;
        } else if (record->type == RecordType::decision) {
            good &= decode(record->body, opened.decisions.emplace_back());
        } else if (record->type == RecordType::delivery_changed) {
            good &= decode(record->body, opened.changes.emplace_back());
        }
    }
    if (!good || group.failed()) return corrupt("the group at position " + std::to_string(position) + " cannot be read: inspect it with `waybill log dump`");
    opened.event.position = position;
    opened.event.received = opened.time;
    return std::optional(std::move(opened));
}

// The place of an event in the true order: by time, and within a second by what must come first.
struct TrueOrder {
    TimeMs time;
    int attempt;
    TimeMs stage_start;
    int phase;
    TimeMs action_start;
    std::string_view stage, action;
    auto operator<=>(const TrueOrder&) const = default;
};

TrueOrder true_order(const EventLine& line, const ExecutionView& execution) {
    const PipelineEvent& e = line.transition.event;
    TrueOrder o{e.time, e.attempt, INT64_MIN, 0, INT64_MIN, e.stage, e.action};
    const bool ends = is_end(e.state);
    if (e.scope == Scope::pipeline) {
        o.stage_start = ends ? INT64_MAX : INT64_MIN;
        return o;
    }
    for (const auto& s : execution.stages)
        if (s.name == e.stage) o.stage_start = s.start != no_time ? s.start : s.first;
    if (e.scope == Scope::stage) {
        o.phase = ends ? 3 : e.state == State::stopping ? 1 : 0;
    } else {
        o.phase = ends ? 2 : 1;
        o.action_start = e.start != no_time ? e.start : e.time;
    }
    return o;
}

void write_event(JsonWriter& out, const EventLine& line) {
    const PipelineEvent& e = line.transition.event;
    out.key("position").number(static_cast<int64_t>(line.position));
    out.key("eventId").text(line.event_id);
    out.key("scope").text(scope_word(e.scope));
    out.key("stageName").text_or_null(e.stage);
    out.key("actionName").text_or_null(e.action);
    out.key("actionExecutionId").text_or_null(e.action_execution_id);
    out.key("state").text(event_word(e.state));
    out.key("attempt").number(e.attempt);
}

std::string_view explain(const EventLine& line) {
    switch (line.transition.outcome) {
        case Outcome::accepted: return "The state moved on.";
        case Outcome::late: return "New, but the state had passed it already: it is kept, and causes nothing.";
        case Outcome::duplicate:
            return line.known_id ? "This very event was received before: it causes nothing." : "Another event said the same before: this one causes nothing.";
        case Outcome::untracked: return "A limit on the stages or actions of one execution was reached: the event is kept, but not merged.";
    }
    ASSERT(false);
}

}  // namespace

Result<std::vector<EventLine>> execution_events(const log::Log& log, const ExecutionView& execution) {
    std::vector<EventLine> lines;
    for (Position position : execution.groups) {
        TRY(auto opened, open_group(log, position));
        if (!opened || !opened->has_event) continue;
        lines.push_back(std::move(opened->event));
        lines.back().arrival = lines.size();
    }
    std::vector<size_t> sorted(lines.size());
    for (size_t i = 0; i < sorted.size(); ++i) sorted[i] = i;
    std::sort(sorted.begin(), sorted.end(), [&](size_t a, size_t b) { return std::pair(true_order(lines[a], execution), a) < std::pair(true_order(lines[b], execution), b); });
    for (size_t i = 0; i < sorted.size(); ++i) lines[sorted[i]].order = i + 1;
    return lines;
}

Result<std::vector<DecisionLine>> execution_decisions(const log::Log& log, const ExecutionView& execution) {
    std::vector<DecisionLine> lines;
    for (Position position : execution.groups) {
        TRY(auto opened, open_group(log, position));
        if (!opened) continue;
        for (auto& decision : opened->decisions) {
            DecisionLine& line = lines.emplace_back();
            line.position = position;
            line.time = opened->time;
            if (opened->has_event) line.event = opened->event;
            line.decision = std::move(decision);
        }
    }
    return lines;
}

Result<std::vector<AttemptLine>> delivery_history(const log::Log& log, const Delivery& delivery) {
    std::vector<AttemptLine> lines;
    for (Position position : delivery.groups) {
        TRY(auto opened, open_group(log, position));
        if (!opened) continue;
        for (auto& change : opened->changes)
            if (change.id == delivery.id) lines.push_back({position, opened->time, std::move(change)});
    }
    return lines;
}

void write_json(JsonWriter& out, const EventLine& line) {
    out.begin_object();
    write_event(out, line);
    out.key("receivedTime").time(line.received);
    out.key("time").time(line.transition.event.time);
    out.key("arrival").number(static_cast<int64_t>(line.arrival));
    out.key("order").number(static_cast<int64_t>(line.order));
    out.key("outcome").text(to_string(line.transition.outcome));
    out.key("text").text(explain(line));
    out.end_object();
}

void write_json(JsonWriter& out, const DecisionLine& line) {
    const Decision& d = line.decision;
    out.begin_object();
    out.key("position").number(static_cast<int64_t>(line.position));
    out.key("time").time(line.time);
    out.key("event");
    if (line.event) {
        out.begin_object();
        write_event(out, *line.event);
        out.end_object();
    } else {
        out.null();
    }
    out.key("outcome");
    if (line.event) out.text(to_string(line.event->transition.outcome));
    else out.null();
    out.key("policy").text(to_string(d.line));
    std::string version;
    for (int shift = 60; shift >= 0; shift -= 4) version.push_back("0123456789abcdef"[(d.settings >> shift) & 15]);
    out.key("policyVersion").text(version);
    out.key("verdict").text(to_string(d.verdict));
    out.key("reason").text(reason_code(d.reason));
    out.key("text").text(d.note.empty() ? std::string(reason_sentence(d.reason)) : std::string(reason_sentence(d.reason)) + " (" + d.note + ")");
    out.key("stageName").text_or_null(d.stage);
    out.key("actionName").text_or_null(d.action);
    out.key("attempt").number(d.attempt);
    out.key("deliveries").begin_array();
    for (const auto& id : d.deliveries) out.text(id.str());
    out.end_array().end_object();
}

void write_json(JsonWriter& out, const AttemptLine& line) {
    const DeliveryChange& c = line.change;
    out.begin_object();
    out.key("position").number(static_cast<int64_t>(line.position));
    out.key("time").time(line.time);
    out.key("change").text(to_string(c.kind));
    std::string_view outcome = to_string(c.kind);
    if (c.kind == DeliveryChangeKind::delivered) outcome = "ok";
    else if (c.kind == DeliveryChangeKind::retry && c.maybe_received) outcome = "unknown";
    out.key("outcome").text(outcome);
    out.key("code").number(c.code);
    out.key("text").text(c.text);
    out.key("nextAttemptTime").time(c.next);
    out.end_object();
}

}  // namespace waybill::node
