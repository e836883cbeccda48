// The node: one thread, the sequencer, that owns all live state and takes it through time.
//
//   submit(command) ──▶ queue ──▶ step():  decide ─ append ─ apply   for every command of the batch
//                                          start what is due, retire what is done
//                                          sync                      once for the batch
//                                          release                   answers, reads, deliveries
//
// A batch is whatever queued up while the last one was synced. State may run ahead of the disk inside a batch; nothing that
// step() lets out (an answer, not even "duplicate"; a delivery; a page) leaves before the batch's sync. Only an I/O or sync error
// ends the process.
//
// Threads: submit() may be called from any thread. step() and everything that runs inside it belong to the sequencer's thread:
// the real program gives it one (run()), the simulation calls step() itself. Callbacks handed in with a command run on that
// thread, inside release: they must only pass their result on.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "bus/api.h"
#include "bus/decide.h"
#include "config/config.h"
#include "delivery/decide.h"
#include "event/envelope.h"
#include "event/incident.h"
#include "history/history.h"
#include "log/log.h"
#include "node/state.h"
#include "node/texts.h"
#include "policy/decide.h"
#include "world/clock.h"
#include "world/random.h"

namespace waybill::node {

struct IngestAnswer {
    uint64_t accepted = 0;    // taken in, identity not known before
    uint64_t duplicates = 0;  // taken in, identity known
    Position position = 0;    // everything of it stands below
};

// What a reader may look at: released state, on the sequencer's thread. Copy out what is needed and return.
struct View {
    const State& state;
    Position position;  // everything below is in `state`, and durable
    TimeMs now;
    bool accepting_events;
};

// One delivery to perform. The courier performs it once and submits the outcome; it never repeats on its own.
struct Job {
    Delivery delivery;
    std::optional<ExecutionView> execution;  // without texts; nothing where it has been retired: ask the history
    std::optional<Incident> incident;        // the execution's, for notices of failures and recoveries
    // Of a delivery of kind `target`. Without `rule` the rule was changed or deleted since: the log has it as it was
    // (FromRule::definition).
    std::optional<bus::Rule> rule;
    std::optional<bus::Destination>
        destination;  // what the target's ARN names, where that is an API destination, and its connection
    std::optional<bus::Connection> connection;
    std::optional<Delivery> dead;  // topic dead_letter: the delivery that was given up, while it is
};

class Performer {
public:
    virtual ~Performer() = default;
    // Called inside release; must return at once.
    virtual void perform(Job job) = 0;
};

// A failure that state took: of a pipeline, a stage or an action.
struct Failure {
    PipelineEvent event;
    Position position = 0;
    ExecutionView execution;  // as it is released; without texts
};

// Looks retired executions up; answers with Node::submit(Recalled). Called on the sequencer's thread; must return at once.
class Recaller {
public:
    virtual ~Recaller() = default;
    virtual void recall(PipelineKey pipeline, std::string execution_id) = 0;
};

// To which bus an event came, and which of its rules and archives it matched by the routes that `Ingest::routes` holds.
struct Arrived {
    bus::BusKey bus;
    std::vector<bus::RuleId> matched;
};

struct Ingest {
    std::vector<IncomingEvent> events;
    std::vector<Arrived> arrived;               // of the first events; the rest came to the home bus and matched nothing
    std::shared_ptr<const bus::Routes> routes;  // by which they were matched; nothing: they were not yet
    std::move_only_function<void(Result<IngestAnswer>)> answer;
    // how far a command that had to wait for a recall has come
    size_t next = 0;
    IngestAnswer so_far;
};
struct AttemptEnded {
    DeliveryId id;
    delivery::AttemptOutcome outcome;
};
struct Redrive {
    std::vector<DeliveryId> ids;  // empty: every dead delivery
    bool all = false;
    std::move_only_function<void(Result<uint64_t>)> answer;
};
// An operation of the bus's API. What it changes is durable before the answer.
struct BusCommand {
    bus::Decide decide;
    std::move_only_function<void(bus::ApiAnswer)> answer;
};
// Some events of an archive that a replay sends again, and how far it has come then. What was said to the replay meanwhile
// (cancelled) wins.
struct ReplayTaken {
    std::optional<bus::Replay> replay;  // as it is now; nothing: it is gone
    size_t open_deliveries = 0;
};
struct ReplayStep {
    struct Event {
        Position position = 0;
        std::string envelope, id;
    };
    bus::Replay replay;
    std::vector<Event> events;
    std::move_only_function<void(ReplayTaken)> answer;
};
struct Read {
    std::move_only_function<void(const View&)> read;
};
struct Recalled {
    PipelineKey pipeline;
    std::string execution_id;
    Result<std::optional<history::ExecutionRow>> row;
};
struct HistoryWritten {
    Position position;
};
// For the history: a batch of what changed since the last one, with at most `limit` executions, those that changed first. `left`:
// how many changed executions remain.
struct CollectChanges {
    size_t limit = 512;
    std::move_only_function<void(history::Batch batch, size_t left)> take;
};
using Command =
    std::variant<Ingest, AttemptEnded, Redrive, BusCommand, ReplayStep, Read, Recalled, HistoryWritten, CollectChanges>;

// For /metrics and health: read from any thread.
struct Gauges {
    std::atomic<uint64_t> batches{0}, groups{0}, synced_bytes{0}, sync_ns{0}, refused_full{0}, refused_disk{0};
    std::atomic<Position> released{0};
};

class Node {
public:
    struct Parts {
        log::Log& log;
        world::Clock& clock;
        world::Random& random;
        Performer& performer;
        Recaller& recaller;
        RecentTexts& recent_texts;                          // the node remembers; others find
        std::function<bool(const PipelineKey&)> can_retry;  // an endpoint serves the account and region
        std::function<void(Position released)> on_release;  // inside release; must return at once
        std::function<void()> on_changes;                   // there is something for the history
        std::function<void(Failure)> on_failure = {};       // inside release; must return at once; may be empty
        // The bus was changed by a request; inside release, must return at once.
        std::function<void()> on_bus_changed = {};
        // Keeps the parameters of a connection, durably; on the sequencer's thread, which waits: connections are seldom put.
        std::function<Result<void>(uint64_t id, const std::string& json)> keep_secret = {};
    };

    // `state` is what recovery folded, up to the log's tail.
    Node(Parts parts, const Config& config, std::unique_ptr<State> state, Position history_position);
    Node(const Node&) = delete;

    // False: the queue is full (limits::queue_commands, queue_bytes); the command was not taken.
    bool submit(Command command);

    // One batch. Returns when the next one is due without a command: a time, or no_time. An error is final.
    Result<TimeMs> step();
    // step() until stop(). Returns the error that ended it, if one did.
    Result<void> run();
    void stop();
    // Before stop(): starts no further attempts, and waits until those under way have ended, at most so long. Their outcomes are
    // then known, and none will have to be repeated for want of knowing. Not from the sequencer's thread.
    void drain(int64_t at_most_ms);

    const Gauges& gauges() const { return gauges_; }
    // What rules match, as it was last released. Any thread.
    std::shared_ptr<const bus::Routes> routes() const { return routes_.load(); }
    const bus::BusKey& home_bus() const { return home_bus_; }

private:
    using Released = std::move_only_function<void()>;

    // One record group under construction: every record added is appended to the group and applied to the state in the same
    // breath, so a later decider of the chain sees what the earlier ones did.
    class Group;

    void execute(Ingest& command);
    void execute(AttemptEnded& command);
    void execute(Redrive& command);
    void execute(BusCommand& command);
    void execute(ReplayStep& command);
    void execute(Read& command);
    void execute(Recalled& command);
    void execute(HistoryWritten& command);
    void execute(CollectChanges& command);

    bool take_event(IncomingEvent& event, Ingest& command);
    bus::Routing route(const IncomingEvent& event, const Ingest& command, size_t index);
    void plan(Group& group, std::vector<Delivery>& deliveries, size_t& planned);
    void plan_rest(std::vector<Delivery>& deliveries, size_t planned, Position event);
    void fire_due();
    void add_rule(Job& job) const;
    void decide_effects(Group& group, const PipelineEvent& event, const ExecutionFacts& facts);
    void start_due();
    bool cancel_passed_retry(const Delivery& delivery);
    void retire_done();
    void recover_in_flight();
    void note_settings();
    TimeMs next_due() const;
    int room(const std::string& target) const;

    Parts parts_;
    const Config& config_;
    std::unique_ptr<State> state_;
    const bus::BusKey home_bus_;
    std::atomic<std::shared_ptr<const bus::Routes>> routes_;
    std::map<std::string, int> concurrency_;  // by target
    Position history_position_;
    bool begun_ = false;

    // the queue
    std::mutex mutex_;
    std::condition_variable wake_;
    std::vector<Command> queue_;
    size_t queue_bytes_ = 0;
    bool stopping_ = false;
    bool draining_ = false, drained_ = false;
    std::condition_variable idle_;

    // the batch
    TimeMs now_ = 0;
    patterns::MatchScratch match_scratch_;
    EnvelopeReader reader_;           // of events that are made here
    std::string payload_;             // of the group under construction
    TransitionRecord transition_;     // of the event that is being taken
    std::vector<Released> released_;  // what leaves after the sync
    std::vector<Read> reads_;
    std::vector<CollectChanges> collects_;
    std::vector<DeliveryId> started_;
    std::vector<std::pair<Position, PipelineEvent>> failures_;
    std::vector<std::pair<Position, std::string>> texts_;  // EventTexts, encoded
    bool starting_ = true;                                 // attempts are begun: not while draining
    bool unsynced_ = false;                                // the disk was too full to sync; the batch waits

    // executions that may leave memory: looked at once their time comes, in the order of last looks
    struct Lingering {
        TimeMs look_at;
        PipelineKey pipeline;
        std::string execution_id;
    };
    std::deque<Lingering> lingering_;

    // ingest commands that wait for retired executions, and what was found out for them
    struct Parked {
        std::vector<Ingest> commands;
    };
    std::unordered_map<std::string, Parked> parked_;
    std::set<std::pair<PipelineKey, std::string>> known_absent_;  // looked up in this batch, and never retired

    Gauges gauges_;
};

}  // namespace waybill::node
