// All live state of a node, and the one apply: what the sequencer, recovery, the folding of snapshots and `waybill rebuild` have
// in common. Applying is total and pure; a record that cannot be decoded is the log's corruption and is reported, not applied.
#pragma once

#include <functional>
#include <optional>
#include <set>

#include "bus/state.h"
#include "delivery/state.h"
#include "event/record.h"
#include "history/history.h"
#include "node/retired_filter.h"
#include "policy/state.h"
#include "tracking/state.h"

namespace waybill::node {

// Changes whenever a merge, or what a snapshot or a stored merge state holds, changes: older ones are folded again.
constexpr uint32_t fold_version = 1;

// How many of what the log has held; a pure function of it.
struct Counters {
    uint64_t events = 0, known_ids = 0;  // taken in; of them with an identity that was known
    uint64_t accepted = 0, late = 0, repeated = 0, untracked = 0;
    uint64_t planned = 0, delivered = 0, dead = 0, cancelled = 0, attempts = 0;
    uint64_t retired = 0, recalled = 0;
    uint64_t routed = 0, matched = 0;  // arrivals at a bus that were recorded; rules and archives they matched
};

class State {
public:
    tracking::Tracking tracking;
    policy::Policy policy;
    delivery::Deliveries deliveries;
    bus::Bus bus;
    RetiredFilter retired;
    Counters counters;
    uint64_t settings = 0;                  // SettingsRecord::version in force
    TimeMs last_time = 0;                   // stamped time of the last group
    std::set<PipelineKey> dirty_incidents;  // pipelines whose incidents changed since the history last took them

    void apply(const EventRecord& r, TimeMs time);
    tracking::Execution* apply(const TransitionRecord& r, Position position, TimeMs time);
    void apply(const Decision& r);
    void apply(const Delivery& r);
    void apply(const DeliveryChange& r, Position position, TimeMs time);
    void apply(const RetiredRecord& r);
    Result<void> apply(const RecalledRecord& r, TimeMs time);
    void apply(const SettingsRecord& r) { settings = r.version; }
    // False: not what bus::encode writes.
    bool apply(const BusChangeRecord& r, Position position);
    // `bytes`: of the envelope in the same group.
    void apply(const RoutedRecord& r, uint64_t bytes);

    // A whole group as it stands in the log. `before_retired` sees an execution that is about to leave memory.
    using BeforeRetired = std::function<Result<void>(const tracking::Execution&)>;
    Result<void> apply_group(std::string_view payload, Position position, TimeMs time, const BeforeRetired& before_retired = {});

    void encode(const std::function<void(std::string_view)>& sink) const;  // pieces for a snapshot
    Result<void> restore(std::string_view piece);
};

// What the history has not got yet, with at most `limit` executions, those that changed first, and without texts. `position`:
// everything below is in the state.
history::Batch take_changes(State& state, size_t limit, Position position);

Hash128 execution_hash(const PipelineKey& pipeline, std::string_view execution_id);

}  // namespace waybill::node
