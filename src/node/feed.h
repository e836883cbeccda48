// Feeds the history: takes what changed from the node, adds the texts, writes it, and says how far it has come. One thread.
//
// Changes are collected for a moment so that an execution whose events come in a row is written once; a reader that waits ends
// the moment.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "http/wait.h"
#include "node/node.h"
#include "node/recovery.h"

namespace waybill::node {

class HistoryFeed {
public:
    // `history`, `recent_texts` and `log` must outlive the feed; `node` until stop().
    HistoryFeed(Node& node, const log::Log& log, const RecentTexts& recent_texts, history::History& history);
    ~HistoryFeed();
    HistoryFeed(const HistoryFeed&) = delete;

    void start();
    // Writes what is left, if the node still answers, and joins.
    void stop();

    // Any thread; cheap.
    void changed();
    // The history will be brought to `position` without delay; wait with signal().wait_past(position - 1).
    void want(Position position);
    http::Signal& signal() { return signal_; }
    // Of the last write that failed; empty: all is well.
    std::string trouble() const;
    // Bytes of log a second that the last busy round took in, not counting what it waited; 0: none was busy yet.
    uint64_t bytes_a_second() const { return bytes_a_second_; }

private:
    // A round writes every execution that changed since the last, however often it did: the longer a round takes, the more is
    // gathered for the next, so that under load the history takes its share of the machine and not more. No reader waits for this
    // (want()).
    static constexpr int64_t gather_ms = 100;
    static constexpr int64_t longest_gather_ms = 500;
    static constexpr int64_t retry_ms = 1000;
    static constexpr size_t executions_a_collect = 500;  // one stop of the sequencer, about 2 ms
    static constexpr size_t executions_a_transaction =
        4000;  // some 20 MB; pages that many executions share are written once for all of them
    static constexpr int64_t busy_round_ms = 100;  // a shorter round says nothing of how fast it could go

    void run();
    void write_round();
    bool write(history::Batch& batch);

    Node& node_;
    const log::Log& log_;
    const RecentTexts& recent_texts_;
    history::History& history_;
    http::Signal signal_;
    mutable std::mutex mutex_;
    std::condition_variable wake_;
    bool changed_ = false, stopping_ = false;
    Position wanted_ = 0;
    std::string trouble_;
    std::atomic<uint64_t> bytes_a_second_ = 0;
    std::thread thread_;
};

}  // namespace waybill::node
