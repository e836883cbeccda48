// One thread of the server: its io_context, its connections, the handlers that other threads woke, and its deadlines. Internal to
// http.
//
// Deadlines: a connection only writes a number when its phase changes. The loop keeps one timer at or before the earliest of them
// and looks at all when it fires, so an ordinary request arms nothing; a deadline is met up to `sweep_gap_ms` late.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "http/wait.h"

namespace waybill::http {

int64_t steady_now_ms();

class Loop : public std::enable_shared_from_this<Loop> {
public:
    static constexpr int64_t no_deadline = INT64_MAX;
    static constexpr int64_t sweep_gap_ms = 20;

    Loop() : context_(1), timer_(context_) {}

    boost::asio::io_context& context() { return context_; }
    // Runs until there is neither work nor a connection; afterwards nothing is woken any more.
    void run();

    void queue_wake(std::shared_ptr<Waiting> waiting);  // any thread

    // The loop's thread from here on.
    using Place = std::list<Connection*>::iterator;
    Place add(Connection* connection) { return connections_.insert(connections_.end(), connection); }
    void remove(Place place);
    std::list<Connection*>& connections() { return connections_; }
    void watch(int64_t deadline_ms) {
        if (deadline_ms < armed_ms_) arm(deadline_ms);
    }
    // "Date: …\r\n", made once a second.
    const std::string& date_line();

private:
    void arm(int64_t deadline_ms);
    void sweep();
    void wake_queued();

    boost::asio::io_context context_;
    boost::asio::steady_timer timer_;
    int64_t armed_ms_ = no_deadline;
    int64_t swept_ms_ = 0;
    std::list<Connection*> connections_;
    std::string date_line_;
    int64_t date_second_ = -1;

    std::mutex mutex_;
    bool closed_ = false;                           // guarded by mutex_
    std::vector<std::shared_ptr<Waiting>> woken_;   // guarded by mutex_
    std::vector<std::shared_ptr<Waiting>> waking_;  // the loop's thread
};

}  // namespace waybill::http
