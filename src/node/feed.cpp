#include "node/feed.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <iterator>

#include "world/priority.h"

namespace waybill::node {

HistoryFeed::HistoryFeed(Node& node, const log::Log& log, const RecentTexts& recent_texts, history::History& history)
    : node_(node), log_(log), recent_texts_(recent_texts), history_(history) {
    signal_.notify(history.position());
}

HistoryFeed::~HistoryFeed() { stop(); }

void HistoryFeed::start() {
    changed();  // what recovery left behind
    thread_ = std::thread([this] { run(); });
}

void HistoryFeed::stop() {
    if (!thread_.joinable()) return;
    {
        std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
}

void HistoryFeed::changed() {
    {
        std::lock_guard lock(mutex_);
        if (changed_) return;
        changed_ = true;
    }
    wake_.notify_one();
}

void HistoryFeed::want(Position position) {
    {
        std::lock_guard lock(mutex_);
        if (position <= wanted_) return;
        wanted_ = position;
    }
    wake_.notify_one();
}

std::string HistoryFeed::trouble() const {
    std::lock_guard lock(mutex_);
    return trouble_;
}

void HistoryFeed::run() {
    world::name_thread("history");
    int64_t gather = gather_ms;
    std::unique_lock lock(mutex_);
    for (;;) {
        wake_.wait(lock, [&] { return stopping_ || changed_; });
        wake_.wait_for(lock, std::chrono::milliseconds(gather), [&] { return stopping_ || wanted_ > signal_.value(); });
        const bool last = stopping_;
        changed_ = false;
        lock.unlock();
        const auto began = std::chrono::steady_clock::now();
        write_round();
        const int64_t took =
            std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began).count();
        gather = std::clamp(2 * took, gather_ms, longest_gather_ms);
        lock.lock();
        if (last) return;
    }
}

// Brings the history to one position, in as few transactions as it takes. What changes meanwhile belongs to the next round, so a
// round ends however fast events come in.
void HistoryFeed::write_round() {
    const auto began = std::chrono::steady_clock::now();
    const Position from = history_.position();
    Position position = 0;
    history::Batch gathered;
    for (size_t left = executions_a_collect; left > 0;) {
        std::promise<std::pair<history::Batch, size_t>> promise;
        auto future = promise.get_future();
        CollectChanges collect;
        collect.limit = position ? std::min(left, executions_a_collect) : executions_a_collect;
        collect.take = [promise = std::move(promise)](history::Batch batch, size_t still_left) mutable {
            promise.set_value({std::move(batch), still_left});
        };
        if (!node_.submit(std::move(collect))) return;
        history::Batch batch;
        size_t still_left = 0;
        try {
            std::tie(batch, still_left) = future.get();
        } catch (const std::future_error&) {
            return;  // the node has stopped; recovery finds these changes in the log
        }
        if (!position) {
            position = batch.position;
            gathered.time = batch.time;
            left = still_left;
        } else {
            left -= std::min(left, batch.executions.size());
        }
        std::ranges::move(batch.executions, std::back_inserter(gathered.executions));
        std::ranges::move(batch.deliveries, std::back_inserter(gathered.deliveries));
        std::ranges::move(batch.incidents, std::back_inserter(gathered.incidents));
        if (left && gathered.executions.size() < executions_a_transaction) continue;
        // Only the round's last transaction moves the position.
        gathered.position = left ? from : position;
        if (!write(gathered)) return;
        gathered.executions.clear();
        gathered.deliveries.clear();
        gathered.incidents.clear();
    }
    signal_.notify(position);
    node_.submit(HistoryWritten{position});
    const auto took_ms = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began).count();
    if (took_ms >= busy_round_ms) bytes_a_second_ = (position - from) * 1000 / static_cast<uint64_t>(took_ms);
}

// Until it succeeds. False: stopping.
bool HistoryFeed::write(history::Batch& batch) {
    for (;;) {
        const auto written = write_changes(log_, recent_texts_, history_, batch);
        std::unique_lock lock(mutex_);
        if (written.ok()) {
            trouble_.clear();
            return true;
        }
        if (trouble_ != written.error().message) spdlog::error("history_write message=\"{}\"", written.error().message);
        trouble_ = written.error().message;
        if (wake_.wait_for(lock, std::chrono::milliseconds(retry_ms), [&] { return stopping_; })) return false;
    }
}

}  // namespace waybill::node
