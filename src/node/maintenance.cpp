#include "node/maintenance.h"

#include <spdlog/spdlog.h>

#include <future>

#include "world/priority.h"

namespace waybill::node {

Maintenance::Maintenance(Node& node, log::Log& log, world::Disk& disk, world::Clock& clock, const history::History& history, const Config& config, std::string snapshots)
    : node_(node), log_(log), disk_(disk), clock_(clock), history_(history), config_(config), snapshots_(std::move(snapshots)) {}

Maintenance::~Maintenance() { stop(); }

void Maintenance::start() {
    thread_ = std::thread([this] { run(); });
}

void Maintenance::stop() {
    if (!thread_.joinable()) return;
    {
        std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
}

void Maintenance::released() {
    if (!log_.maintenance_due()) return;
    {
        std::lock_guard lock(mutex_);
        if (work_) return;
        work_ = true;
    }
    wake_.notify_one();
}

void Maintenance::run() {
    world::name_thread("maintenance");
    world::yield_to_others();
    std::unique_lock lock(mutex_);
    while (!stopping_) {
        work_ = false;
        lock.unlock();
        once();
        lock.lock();
        const int64_t wait_ms = log_.stat().starved ? full_disk_ms : period_ms;
        wake_.wait_for(lock, std::chrono::milliseconds(wait_ms), [&] { return stopping_ || work_; });
    }
}

void Maintenance::once() {
    const bool retention = config_.log.retention_age_ms > 0 || config_.log.retention_bytes > 0;
    const Position keep = retention ? keep_from() : 0;
    for (;;) {
        const auto more = log_.maintain(clock_.now(), keep);
        if (!more.ok()) {
            spdlog::error("log_maintenance message=\"{}\"", more.error().message);
            break;
        }
        if (!*more) break;
        std::lock_guard lock(mutex_);
        if (stopping_) return;
    }
    // A snapshot never passes the history, so that recovery finds whatever the history has not got in the log behind it.
    const Position up_to = std::min(history_.position(), log_.durable());
    if (up_to < folded_ + segments_a_snapshot * config_.log.segment_bytes) return;
    const auto began = clock_.now();
    if (folded_at_ != no_time && began - folded_at_ < between_snapshots_ms) return;
    const auto folded = fold_snapshot(disk_, snapshots_, log_, up_to);
    if (!folded.ok()) {
        spdlog::error("snapshot message=\"{}\"", folded.error().message);
        return;
    }
    folded_ = up_to;
    folded_at_ = clock_.now();
    if (*folded) spdlog::info("snapshot position={} took_ms={}", up_to, clock_.now() - began);
}

// What live executions, open deliveries and dead letters still read, and what recovery begins from.
Position Maintenance::keep_from() {
    std::promise<Position> promise;
    auto future = promise.get_future();
    Read read;
    read.read = [promise = std::move(promise)](const View& view) mutable {
        Position keep = view.position;
        view.state.tracking.each_execution([&](const tracking::Execution& e) {
            ByteReader groups(e.groups);
            if (groups.left()) keep = std::min(keep, groups.varint());
        });
        view.state.deliveries.each([&](const Delivery& d) { keep = std::min(keep, d.id.position); });
        promise.set_value(keep);
    };
    if (!node_.submit(std::move(read))) return 0;
    Position keep = 0;
    try {
        keep = future.get();
    } catch (const std::future_error&) {
        return 0;
    }
    const auto found = log::read_newest_snapshot(disk_, snapshots_, fold_version);
    if (!found.ok() || !found->snapshot) return 0;
    return std::min({keep, found->snapshot->position, history_.position()});
}

}  // namespace waybill::node
