// What tracking remembers: every live execution, and every pipeline with its current execution. Owned by one thread (the sequencer, or the
// thread that folds a snapshot); nothing here locks.
//
// The state is a pure function of the set of pipeline events applied to it, whatever their order and however often each came
// (ARCHITECTURE.md, "Order"). Each field has a merge that is commutative, associative and idempotent:
//
//   state, attempt   the greatest (attempt, State); for an action, keyed by (stage, action, action-execution-id), the greatest State
//   start, first     the earliest                     update, last_retry, version   the latest
//   end              the latest time among the events of the winning (attempt, State)
//   seen             the union, of the newest limits::attempts_seen attempts
//   texts            the event of the greatest (weight, time, content)
//   category …       the greatest text
//
// An ended execution that is not its pipeline's newest may be retired: it leaves memory, and a recall brings it back whole. What a retired
// execution can still mean to its pipeline (being the newest after all) stays behind in `newest_retired`.
#pragma once

#include <boost/container/small_vector.hpp>
#include <boost/intrusive/list.hpp>
#include <boost/intrusive/set.hpp>
#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/compact_id.h"
#include "base/hash.h"
#include "base/result.h"
#include "event/execution.h"
#include "event/facts.h"
#include "event/limits.h"
#include "event/record.h"
#include "tracking/known_ids.h"

namespace waybill::tracking {

// Stage and action names and action types, kept once each. Ids are reused when the last user is gone.
class Names {
public:
    uint32_t take(std::string_view text);
    void drop(uint32_t id);
    const std::string& text(uint32_t id) const { return entries_[id].text; }
    size_t size() const { return ids_.size(); }

private:
    struct Entry {
        std::string text;
        uint32_t users = 0;
    };
    std::vector<Entry> entries_;
    std::vector<uint32_t> free_;
    struct TextHash {
        using is_transparent = void;
        size_t operator()(std::string_view text) const { return hash64(text); }
    };
    boost::unordered_flat_map<std::string, uint32_t, TextHash, std::equal_to<>> ids_;
};

// Nearly everything is over after one attempt or two: those take no heap.
using SeenList = boost::container::small_vector<Seen, 2>;

struct Action {
    CompactId id;
    uint32_t name = 0;
    uint32_t type = 0;               // category, owner, provider, region: joined by '\n'
    uint16_t stage = 0;              // index into Execution::stages
    uint16_t attempt = 1;
    uint16_t seen = 0;
    State state = State::started;
    TimeMs start = no_time, first = no_time, update = no_time, end = no_time;
    TextRef result;
};

struct Stage {
    uint32_t name = 0;
    uint16_t attempt = 1;
    State state = State::started;
    bool known = false;
    SeenList seen;                   // newest attempt last
    TimeMs start = no_time, first = no_time, update = no_time, end = no_time, last_retry = no_time;
};

struct Pipeline;

using DirtyHook = boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;

struct Execution : boost::intrusive::set_base_hook<boost::intrusive::optimize_size<true>>, DirtyHook {
    CompactId id;
    Pipeline* pipeline = nullptr;
    uint16_t attempt = 1;
    State state = State::started;
    bool known = false;
    double version = 0;
    SeenList seen;
    TimeMs start = no_time, first = no_time, update = no_time, end = no_time, last_retry = no_time;
    Position changed = 0;            // the last group that concerned it; not merged, only for retiring
    TimeMs touched = no_time;        // stamped time of the last group that concerned it; not merged, only for retiring
    TextRef trigger, stop_comment;
    std::vector<Stage> stages;       // in order of arrival; views sort
    std::vector<Action> actions;
    std::string groups;              // varint distances between group positions
    Position last_group = 0;
    uint32_t group_count = 0;
    uint64_t events = 0;

    TimeMs ordering_start() const { return start != no_time ? start : first; }
    bool ended() const { return known && is_end(state); }
};

struct ByStart {
    bool operator()(const Execution& a, const Execution& b) const {
        if (a.ordering_start() != b.ordering_start()) return a.ordering_start() < b.ordering_start();
        return a.id < b.id;
    }
};

// A pipeline's row: its current execution, cut down to what a list shows.
struct StageCell {
    std::string name;
    State state = State::started;
    int attempt = 1;
};
struct CurrentExecution {
    std::string id;
    TimeMs start = no_time, update = no_time;
    State state = State::started;
    int attempt = 1;
    size_t gaps = 0;
    std::vector<StageCell> stages;
};

struct Pipeline {
    PipelineKey key;
    uint64_t executions = 0;         // ever seen
    Position changed = 0;            // the last group that changed the row
    boost::intrusive::set<Execution, boost::intrusive::compare<ByStart>> live;
    std::unique_ptr<CurrentExecution> newest_retired;
};

class Tracking {
public:
    Tracking() = default;
    ~Tracking();
    Tracking(const Tracking&) = delete;

    // -- reading --
    size_t live_executions() const { return executions_.size(); }
    size_t pipelines() const { return pipelines_.size(); }
    const Execution* find(const PipelineKey& key, std::string_view execution_id) const;
    // Any execution of this id, whatever its pipeline; ids are unique unless somebody made them up.
    const Execution* find(std::string_view execution_id) const;
    const Pipeline* find_pipeline(const PipelineKey& key) const;
    // In the order of their keys.
    void each_pipeline(const std::function<void(const Pipeline&)>& fn) const;
    void each_execution(const std::function<void(const Execution&)>& fn) const;
    CurrentExecution current(const Pipeline& pipeline) const;
    bool is_current(const Execution& execution) const;
    ExecutionView view(const Execution& execution) const;
    ExecutionFacts facts(const Execution& execution, const PipelineEvent& event) const;

    // -- decide: what apply would make of the event; `found`: its execution, as find says --
    Outcome decide(const PipelineEvent& event) const { return decide(event, find(event.key, event.execution_id)); }
    Outcome decide(const PipelineEvent& event, const Execution* found) const;

    // -- apply: total and pure. `position` and `time` are those of the group. --
    // Returns the execution that the event belongs to (null: untracked).
    Execution* apply(const TransitionRecord& record, Position position, TimeMs time);
    void apply(const RetiredRecord& record);
    Execution* apply_recalled(const ExecutionView& view, TimeMs time);
    // A group without an event of its own concerned this execution: a retry's outcome, a message's delivery.
    void concern(const PipelineKey& key, std::string_view execution_id, Position position, TimeMs time);

    KnownIds known_ids;

    // Executions changed since they were last taken, oldest change first: take_dirty hands over at most `limit` of them.
    std::vector<const Execution*> take_dirty(size_t limit);
    size_t dirty() const { return dirty_count_; }
    bool is_dirty(const Execution& execution) const { return execution.DirtyHook::is_linked(); }
    void mark_dirty(Execution& execution);

    // Snapshot: the sink is called with pieces of bounded size; restore is fed the same pieces.
    void encode(const std::function<void(std::string_view)>& sink) const;
    Result<void> restore(std::string_view piece);

private:
    struct IdOnly {
        const CompactId& id;
    };
    struct InPipeline {
        const CompactId& id;
        const PipelineKey& pipeline;
    };
    struct Hash {
        using is_transparent = void;
        using is_avalanching = void;
        static size_t mix(uint64_t h) { return static_cast<size_t>((h ^ (h >> 32)) * 0x9e3779b97f4a7c15ull); }
        size_t operator()(const Execution* e) const { return mix(e->id.hash()); }
        size_t operator()(const IdOnly& e) const { return mix(e.id.hash()); }
        size_t operator()(const InPipeline& e) const { return mix(e.id.hash()); }
    };
    struct Equal {
        using is_transparent = void;
        bool operator()(const Execution* a, const Execution* b) const { return a == b; }
        bool operator()(const IdOnly& a, const Execution* b) const { return a.id == b->id; }
        bool operator()(const Execution* b, const IdOnly& a) const { return a.id == b->id; }
        bool operator()(const InPipeline& a, const Execution* b) const { return a.id == b->id && a.pipeline == b->pipeline->key; }
        bool operator()(const Execution* b, const InPipeline& a) const { return (*this)(a, b); }
    };
    struct KeyHash {
        size_t operator()(const PipelineKey& key) const;
    };

    Execution* find_mutable(const PipelineKey& key, std::string_view execution_id);
    Pipeline& pipeline(const PipelineKey& key);
    Execution& insert(Pipeline& pipeline, CompactId id);
    Execution& insert_view(const ExecutionView& view, TimeMs touched);
    void remove(Execution& execution);
    void note_group(Execution& execution, Position position, TimeMs time);
    size_t find_stage(const Execution& execution, std::string_view name) const;
    size_t find_action(const Execution& execution, const PipelineEvent& event, size_t stage) const;

    std::unordered_map<PipelineKey, std::unique_ptr<Pipeline>, KeyHash> pipelines_;
    boost::unordered_flat_set<Execution*, Hash, Equal> executions_;
    boost::intrusive::list<Execution, boost::intrusive::base_hook<DirtyHook>, boost::intrusive::constant_time_size<false>> dirty_;
    size_t dirty_count_ = 0;
    Names names_;
};

}  // namespace waybill::tracking
