// The real node on a simulated world: the real log over a disk that crashes, tears writes and fills up, the real history in a file, a clock that
// jumps, targets that fail, answer late or not at all. Everything but the contents of the history's file follows from one seed, so a seed that
// breaks a promise is the bug report.
//
// What it holds the node to, while it runs and after every restart:
//   * every event that was acknowledged is in the log, once for each acknowledgement, and below the position that was answered;
//   * what a user can see is what the durable events amount to, taken in order into an empty state;
//   * a delivery is performed only when its plan and its attempt are durable, by one key, at most `concurrency` at once for a target; never
//     again once its success is durable; and when a target may have acted before, the delivery says that it may come twice;
//   * no idempotency key is planned twice;
//   * in the end, when the world is kind again, every event is in, every planned delivery was made or called off, the history has caught up and
//     shows the same executions.
//
// It cannot show: data races (everything runs on one thread), a history whose file is damaged, what real targets do.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "node/node.h"
#include "node/recovery.h"
#include "sim/execution_generator.h"
#include "world/sim_disk.h"

namespace waybill::sim {

struct Chaos {
    bool crashes = true;         // power cuts, failing writes and syncs, processes that die
    bool full_disks = true;
    bool time_jumps = true;
    bool lost_events = false;    // some events never reach the node
    bool bad_targets = true;
};

struct SimReport {
    std::string broken;          // the first promise that was broken; empty: none
    int restarts = 0, refusals = 0, full = 0, retired = 0, recalled = 0, snapshots = 0;
    int planned = 0, performed = 0, twice = 0, dead = 0, cancelled = 0;
};

class NodeSim {
public:
    NodeSim(uint64_t seed, int executions, Chaos chaos);
    ~NodeSim();
    NodeSim(const NodeSim&) = delete;
    SimReport run();
    // What was planned, by key, in the order of planning.
    const std::vector<Delivery>& planned() const { return planned_in_order_; }

private:
    class Targets;
    class Recalls;

    bool fine() const { return report_.broken.empty(); }
    void broken(std::string promise);

    bool start();                // opens everything and recovers; false: the disk failed on the way
    void stop_process();
    void crash();
    bool step();                 // false: the node has ended
    void send();
    void act();                  // one random thing that the world does
    void feed();
    void put_rule();
    bool catch_up();             // reads what has become durable; false: the disk cannot be read
    void check_log();            // acknowledged events, after a restart
    void check_state();          // against a fold of the durable events
    void settle();               // a kind world, until nothing is left to do
    void check_end();

    const uint64_t seed_;
    const Chaos chaos_;
    world::SimRandom random_, node_random_;
    world::SimClock clock_;
    world::SimDisk disk_;
    std::string directory_;      // of the history's file
    Config config_;
    SimReport report_;
    bool kind_ = false;
    std::string ended_;          // the node's last error

    // the process
    std::unique_ptr<log::Log> log_;
    std::unique_ptr<history::History> history_;
    std::unique_ptr<Targets> targets_;
    std::unique_ptr<Recalls> recalls_;
    std::unique_ptr<node::RecentTexts> recent_texts_;
    std::unique_ptr<node::Node> node_;

    // the sender
    std::vector<IncomingEvent> events_;
    std::deque<size_t> to_send_;
    std::map<uint64_t, std::vector<size_t>> sent_;    // by request, not answered yet
    uint64_t requests_ = 0;
    std::map<size_t, int> acknowledged_, offered_;

    // the feed
    std::optional<history::Batch> batch_;
    Position round_ = 0;
    TimeMs round_time_ = no_time;
    size_t left_ = 0;
    bool collecting_ = false;

    // what is durable
    Position read_to_ = 0;
    std::vector<size_t> durable_events_;              // in the order of the log
    std::map<Hash128, size_t> by_identity_;
    std::map<DeliveryId, Delivery> planned_;
    std::vector<Delivery> planned_in_order_;
    std::map<std::string, DeliveryId> keys_;
    std::map<DeliveryId, int> attempts_;              // started
    std::set<DeliveryId> delivered_, cancelled_, dead_;

    // what targets saw, whatever happened to the process
    std::map<DeliveryId, int> performed_, received_;
};

}  // namespace waybill::sim
