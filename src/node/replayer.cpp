#include "node/replayer.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <future>

#include "world/priority.h"

namespace waybill::node {

void Replayer::start() {
    thread_ = std::thread([this] { run(); });
}

void Replayer::stop() {
    if (!thread_.joinable()) return;
    {
        std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
}

void Replayer::changed() {
    {
        std::lock_guard lock(mutex_);
        changed_ = nudged_ = true;
    }
    wake_.notify_one();
}

bool Replayer::sleep(int64_t ms) {
    std::unique_lock lock(mutex_);
    nudged_ = false;
    wake_.wait_for(lock, std::chrono::milliseconds(ms),
                   [this] { return stopping_ || nudged_; });  // a cancelled replay waits for nothing
    return !stopping_;
}

void Replayer::run() {
    world::name_thread("replayer");
    for (;;) {
        {
            std::unique_lock lock(mutex_);
            wake_.wait(lock, [this] { return stopping_ || changed_; });
            if (stopping_) return;
            changed_ = false;
        }
        // One after the other, oldest name first; what is started meanwhile is seen in the next round.
        for (auto& replay : open_replays())
            while (step(replay)) {
            }
    }
}

std::vector<bus::Replay> Replayer::open_replays() {
    std::promise<std::vector<bus::Replay>> promise;
    auto future = promise.get_future();
    Read read;
    read.read = [promise = std::move(promise)](const View& view) mutable {
        std::vector<bus::Replay> open;
        for (const auto* r : view.state.bus.open_replays()) open.push_back(*r);
        promise.set_value(std::move(open));
    };
    if (!node_.submit(std::move(read))) return {};
    try {
        return future.get();
    } catch (const std::future_error&) {
        return {};  // the node has stopped; the next start goes on
    }
}

bool Replayer::step(bus::Replay& replay) {
    ReplayStep found;
    found.replay = replay;
    found.replay.state = bus::ReplayState::running;
    size_t bytes = 0;
    // A slow replay takes small steps: some ten a second.
    const size_t a_step = events_per_second_ ? std::clamp<size_t>(events_per_second_ / 10, 1, step_events) : step_events;
    const auto take = [&](const log::Group& group) {
        GroupReader records(group.payload);
        EventRecord event;
        bool has_event = false, archived = false;
        while (auto raw = records.next()) {
            RoutedRecord routed;
            if (raw->type == RecordType::event)
                has_event = decode(raw->body, event);
            else if (raw->type == RecordType::routed && decode(raw->body, routed))
                archived |= routed.replay.empty() && std::ranges::binary_search(routed.rules, replay.archive_id);
        }
        found.replay.next = group.next;
        if (!has_event || !archived) return true;
        const EnvelopeHead head = read_head(event.envelope);
        if (head.time == no_time || head.time < replay.from || head.time >= replay.to) return true;
        found.events.push_back({group.position, std::string(event.envelope), head.id});
        found.replay.last_event = replay.last_event == no_time ? head.time : std::max(replay.last_event, head.time);
        bytes += event.envelope.size();
        return found.events.size() < a_step && bytes < step_bytes;
    };
    if (replay.state != bus::ReplayState::cancelling) {
        const Position to = std::min(replay.end, replay.next + read_bytes);
        const auto at_segment = std::max(replay.next, log_.begin());
        if (at_segment < to) {
            auto scanned =
                log_.scan(at_segment, replay.end, [&](const log::Group& group) { return take(group) && group.next < to; });
            if (!scanned.ok()) {
                found.replay.state = bus::ReplayState::failed;
                found.replay.reason = scanned.error().message;
                spdlog::error("replay_failed replay={:?} message={:?}", replay.name, scanned.error().message);
            }
        } else {
            found.replay.next = replay.end;
        }
        found.replay.replayed += found.events.size();
        if (found.replay.state == bus::ReplayState::running && found.replay.next >= replay.end)
            found.replay.state = bus::ReplayState::completed;
    }
    const auto began = std::chrono::steady_clock::now();
    const size_t events = found.events.size();
    std::promise<ReplayTaken> promise;
    auto future = promise.get_future();
    found.answer = [promise = std::move(promise)](ReplayTaken taken) mutable { promise.set_value(std::move(taken)); };
    if (!node_.submit(std::move(found))) return false;
    ReplayTaken taken;
    try {
        taken = future.get();
    } catch (const std::future_error&) {
        return false;
    }
    if (!taken.replay || !taken.replay->open()) return false;
    replay = std::move(*taken.replay);
    if (taken.open_deliveries > open_deliveries_wait && !sleep(wait_ms)) return false;
    if (events_per_second_ && events) {
        const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began).count();
        const int64_t pause = static_cast<int64_t>(events * 1000 / events_per_second_) - took;
        if (pause > 0 && !sleep(pause)) return false;
    }
    std::lock_guard lock(mutex_);
    return !stopping_;
}

}  // namespace waybill::node
