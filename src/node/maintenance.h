// What has to be done to the log in the background: room reserved ahead, sealed segments compressed, old ones deleted, snapshots folded. One
// thread, awake when the log asks for it and once a minute for what only time brings.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "node/node.h"
#include "node/recovery.h"

namespace waybill::node {

class Maintenance {
public:
    Maintenance(Node& node, log::Log& log, world::Disk& disk, world::Clock& clock, const history::History& history, const Config& config, std::string snapshots);
    ~Maintenance();
    Maintenance(const Maintenance&) = delete;

    void start();
    void stop();
    void released();  // inside release: looks whether there is work; cheap

private:
    static constexpr int64_t period_ms = 60'000;
    static constexpr int64_t full_disk_ms = 1000;
    // A fold reads the whole state and writes it again, so under a flood of events time bounds how often, and in quiet times the log's growth.
    static constexpr uint64_t segments_a_snapshot = 4;
    static constexpr int64_t between_snapshots_ms = 60'000;

    void run();
    void once();
    Position keep_from();

    Node& node_;
    log::Log& log_;
    world::Disk& disk_;
    world::Clock& clock_;
    const history::History& history_;
    const Config& config_;
    const std::string snapshots_;
    Position folded_ = 0;  // of the newest snapshot
    TimeMs folded_at_ = no_time;
    std::mutex mutex_;
    std::condition_variable wake_;
    bool work_ = false, stopping_ = false;
    std::thread thread_;
};

}  // namespace waybill::node
