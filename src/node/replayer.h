// Sends the events of an archive again: reads the log from where the archive begins, takes the events that came to it and whose
// time lies in the replay's window, and hands them to the node in small steps; each step's deliveries and how far the replay has
// come are one group, so a replay that is cut off goes on where it stood, and no event is sent again twice.
//
// One thread, which sleeps while no replay is open. It never holds up the sequencer: it waits for each step before it reads on,
// and while many deliveries are open it waits for those.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "log/log.h"
#include "node/node.h"

namespace waybill::node {

class Replayer {
public:
    // `node` must outlive the replayer until stop(); `log` always. `events_per_second`: of one replay; 0: as fast as it goes.
    Replayer(Node& node, const log::Log& log, size_t events_per_second)
        : node_(node), log_(log), events_per_second_(events_per_second) {}
    ~Replayer() { stop(); }
    Replayer(const Replayer&) = delete;

    void start();
    void stop();
    // A replay may have been started or cancelled. Any thread; cheap.
    void changed();

private:
    static constexpr size_t step_events = 100;
    static constexpr size_t step_bytes = 1 << 20;
    static constexpr uint64_t read_bytes = 16 << 20;        // of log, between two steps that found nothing
    static constexpr size_t open_deliveries_wait = 10'000;  // a replay waits while more are open
    static constexpr int64_t wait_ms = 100;

    void run();
    std::vector<bus::Replay> open_replays();
    // One step. False: the replay has ended, or the node has stopped.
    bool step(bus::Replay& replay);
    bool sleep(int64_t ms);  // false: stopping

    Node& node_;
    const log::Log& log_;
    const size_t events_per_second_;
    std::mutex mutex_;
    std::condition_variable wake_;
    bool changed_ = true, nudged_ = false, stopping_ = false;
    std::thread thread_;
};

}  // namespace waybill::node
