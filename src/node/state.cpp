#include "node/state.h"

#include <fmt/format.h>

namespace waybill::node {

Hash128 execution_hash(const PipelineKey& pipeline, std::string_view execution_id) {
    std::string text;
    ByteWriter out(text);
    for (std::string_view part : {std::string_view(pipeline.account), std::string_view(pipeline.region),
                                  std::string_view(pipeline.pipeline), execution_id})
        out.text(part);
    return hash128(text);
}

void State::apply(const EventRecord& r, TimeMs time) {
    ++counters.events;
    if (r.duplicate)
        ++counters.known_ids;
    else
        tracking.known_ids.add(r.identity, time);
}

tracking::Execution* State::apply(const TransitionRecord& r, Position position, TimeMs time) {
    switch (r.outcome) {
        case Outcome::accepted: ++counters.accepted; break;
        case Outcome::late: ++counters.late; break;
        case Outcome::duplicate: ++counters.repeated; break;
        case Outcome::untracked: ++counters.untracked; return nullptr;
    }
    tracking::Execution* e = tracking.apply(r, position, time);
    // Marks hang on the order of executions, which only a pipeline event moves, or any event while none gave a start.
    if (r.event.scope == Scope::pipeline || e->start == no_time) {
        if (policy.apply(r, tracking.facts(*e, r.event))) dirty_incidents.insert(r.event.key);
    }
    return e;
}

void State::apply(const Decision& r) { policy.apply(r); }

void State::apply(const Delivery& r) {
    ++counters.planned;
    deliveries.apply(r);
}

void State::apply(const DeliveryChange& r, Position position, TimeMs time) {
    const Delivery* d = deliveries.find(r.id);
    ASSERT(d);
    const PipelineKey pipeline = d->pipeline;
    const std::string execution_id = d->execution_id;
    const bool of_rule = d->kind == DeliveryKind::target;
    deliveries.apply(r, position, time);
    if (!of_rule) tracking.concern(pipeline, execution_id, position, time);
    switch (r.kind) {
        case DeliveryChangeKind::delivered: ++counters.delivered; break;
        case DeliveryChangeKind::dead: ++counters.dead; break;
        case DeliveryChangeKind::cancelled: ++counters.cancelled; break;
        case DeliveryChangeKind::started: ++counters.attempts; break;
        default: break;
    }
}

void State::apply(const RetiredRecord& r) {
    ++counters.retired;
    retired.add(execution_hash(r.pipeline, r.execution_id));
    tracking.apply(r);
    policy.forget(r.pipeline, r.execution_id);
}

Result<void> State::apply(const RecalledRecord& r, TimeMs time) {
    ByteReader in(r.execution);
    ExecutionView view;
    if (!decode(in, view) || !in.complete()) return corrupt("a recalled execution cannot be read");
    ++counters.recalled;
    tracking.apply_recalled(view, time);
    policy.remember(view.key, view.execution_id, r.policy);
    return {};
}

bool State::apply(const BusChangeRecord& r, Position position) {
    bus::Change change;
    if (!bus::decode(r.change, change)) return false;
    bus.apply(change, position);
    return true;
}

void State::apply(const RoutedRecord& r, uint64_t bytes) {
    ++counters.routed;
    counters.matched += r.rules.size();
    if (!r.replay.empty()) return;
    for (bus::RuleId id : r.rules) bus.archived(id, bytes);
}

Result<void> State::apply_group(std::string_view payload, Position position, TimeMs time, const BeforeRetired& before_retired) {
    last_time = time;
    GroupReader group(payload);
    std::optional<EventRecord>
        event;  // applied last: nothing else of the group looks at what it changes, and its place is fetched meanwhile
    bool good = true;
    while (auto record = group.next()) {
        switch (record->type) {
            case RecordType::event: {
                if (event) apply(*event, time);
                if ((good = decode(record->body, event.emplace()))) tracking.known_ids.soon(event->identity);
                break;
            }
            case RecordType::transition: {
                static thread_local TransitionRecord r;  // its strings keep their room from group to group
                if ((good = decode(record->body, r))) apply(r, position, time);
                break;
            }
            case RecordType::decision: {
                Decision r;
                if ((good = decode(record->body, r))) apply(r);
                break;
            }
            case RecordType::delivery_planned: {
                Delivery r;
                if ((good = decode(record->body, r))) apply(r);
                break;
            }
            case RecordType::delivery_changed: {
                DeliveryChange r;
                if ((good = decode(record->body, r) && deliveries.find(r.id))) apply(r, position, time);
                break;
            }
            case RecordType::retired: {
                RetiredRecord r;
                if (!(good = decode(record->body, r))) break;
                const tracking::Execution* e = tracking.find(r.pipeline, r.execution_id);
                if (!(good = e != nullptr)) break;
                if (before_retired) TRY_VOID(before_retired(*e));
                apply(r);
                break;
            }
            case RecordType::recalled: {
                RecalledRecord r;
                if ((good = decode(record->body, r))) TRY_VOID(apply(r, time));
                break;
            }
            case RecordType::settings: {
                SettingsRecord r;
                if ((good = decode(record->body, r))) apply(r);
                break;
            }
            case RecordType::bus_changed: {
                BusChangeRecord r;
                good = decode(record->body, r) && apply(r, position);
                break;
            }
            case RecordType::routed: {
                RoutedRecord r;
                if ((good = decode(record->body, r))) apply(r, event ? event->envelope.size() : 0);
                break;
            }
        }
        if (!good) break;
    }
    if (event && good) apply(*event, time);
    if (!good || group.failed())
        return corrupt(
            fmt::format("the group at position {} holds a record that cannot be read: inspect it with `waybill log dump --at {}`",
                        position, position));
    return {};
}

history::Batch take_changes(State& state, size_t limit, Position position) {
    history::Batch batch;
    batch.position = position;
    batch.time = state.last_time;
    for (const auto* e : state.tracking.take_dirty(limit))
        batch.executions.push_back({state.tracking.view(*e), state.policy.encode_memory(e->pipeline->key, e->id.str())});
    batch.deliveries = state.deliveries.take_dirty();
    for (const auto& key : state.dirty_incidents)
        batch.incidents.push_back({key, state.policy.window_start(key), state.policy.incidents(key)});
    state.dirty_incidents.clear();
    return batch;
}

namespace {
enum class Owner : uint8_t { self = 1, tracking = 2, policy = 3, deliveries = 4, retired = 5, bus = 6 };
}

void State::encode(const std::function<void(std::string_view)>& sink) const {
    std::string tagged;
    auto owned_by = [&](Owner owner) {
        return [&tagged, &sink, owner](std::string_view piece) {
            tagged.assign(1, static_cast<char>(owner));
            tagged.append(piece);
            sink(tagged);
        };
    };
    std::string own;
    ByteWriter out(own);
    out.u64(settings);
    out.svarint(last_time);
    const Counters& c = counters;
    for (uint64_t v : {c.events, c.known_ids, c.accepted, c.late, c.repeated, c.untracked, c.planned, c.delivered, c.dead,
                       c.cancelled, c.attempts, c.retired, c.recalled, c.routed, c.matched})
        out.varint(v);
    owned_by(Owner::self)(own);
    tracking.encode(owned_by(Owner::tracking));
    policy.encode(owned_by(Owner::policy));
    deliveries.encode(owned_by(Owner::deliveries));
    retired.encode(owned_by(Owner::retired));
    bus.encode(owned_by(Owner::bus));
}

Result<void> State::restore(std::string_view piece) {
    if (piece.empty()) return corrupt("a snapshot holds an empty piece");
    const auto owner = static_cast<Owner>(piece[0]);
    const std::string_view body = piece.substr(1);
    switch (owner) {
        case Owner::self: {
            ByteReader in(body);
            settings = in.u64();
            last_time = in.svarint();
            Counters& c = counters;
            for (uint64_t* v : {&c.events, &c.known_ids, &c.accepted, &c.late, &c.repeated, &c.untracked, &c.planned,
                                &c.delivered, &c.dead, &c.cancelled, &c.attempts, &c.retired, &c.recalled})
                *v = in.varint();
            if (in.left())  // a snapshot from before there was a bus ends here
                for (uint64_t* v : {&c.routed, &c.matched}) *v = in.varint();
            if (!in.complete()) break;
            return {};
        }
        case Owner::tracking: return tracking.restore(body);
        case Owner::policy: return policy.restore(body);
        case Owner::deliveries: return deliveries.restore(body);
        case Owner::bus: return bus.restore(body);
        case Owner::retired: {
            ByteReader in(body);
            if (!retired.restore(in)) break;
            return {};
        }
    }
    return corrupt("a snapshot holds a piece that cannot be read");
}

}  // namespace waybill::node
