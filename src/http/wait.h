// How a request handler waits for another thread.
//
// Completion<T>: one answer for one handler. The handler makes it, gives the Sender away (to the sequencer, with a command), and
// waits. Signal: a number that only grows; every handler that waits for it to pass its own mark wakes when it does (server-sent
// events).
//
// Wakers may be any thread and never block on a handler. What wakes many handlers of one thread at once costs one wake-up of that
// thread. A Sender may outlive the handler, the connection and the server: completing it then does nothing.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "base/result.h"
#include "http/server.h"

namespace waybill::http {

// The part both share: one handler that sleeps.
class Waiting : public std::enable_shared_from_this<Waiting> {
public:
    explicit Waiting(std::shared_ptr<Loop> loop) : loop_(std::move(loop)) {}
    virtual ~Waiting() = default;
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;
    void wake();  // any thread

private:
    friend class Loop;
    friend class Connection;
    std::shared_ptr<Loop> loop_;
    bool queued_ = false;              // guarded by the loop's mutex
    Connection* suspended_ = nullptr;  // the loop's thread only
};

template <class T>
class Completion {
    struct Shared final : Waiting {
        using Waiting::Waiting;
        std::mutex mutex;
        std::optional<Result<T>> outcome;
        void settle(Result<T> result) {
            {
                std::lock_guard lock(mutex);
                if (outcome) return;
                outcome.emplace(std::move(result));
            }
            wake();
        }
    };

public:
    // Moves, never copies. Destroyed without an answer it completes with `unavailable`, so no handler waits for a command that
    // was lost.
    class Sender {
    public:
        Sender() = default;
        explicit Sender(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
        Sender(Sender&&) noexcept = default;
        Sender& operator=(Sender&& other) noexcept {
            if (this != &other) {
                abandon();
                shared_ = std::move(other.shared_);
            }
            return *this;
        }
        ~Sender() { abandon(); }
        // Any thread. The first call counts.
        void complete(Result<T> result) {
            if (auto shared = std::exchange(shared_, nullptr)) shared->settle(std::move(result));
        }

    private:
        void abandon() {
            if (auto shared = std::exchange(shared_, nullptr))
                shared->settle(unavailable("the request was dropped before it was answered"));
        }
        std::shared_ptr<Shared> shared_;
    };

    explicit Completion(Exchange& exchange) : exchange_(exchange), shared_(std::make_shared<Shared>(exchange.loop())) {}
    Completion(const Completion&) = delete;
    Completion& operator=(const Completion&) = delete;

    Sender sender() { return Sender(shared_); }

    // The answer; `unavailable` when the time is over (the command may still take effect) or the server stops. Waits once.
    Task<Result<T>> wait(int64_t timeout_ms) {
        bool there = false;
        {
            std::lock_guard lock(shared_->mutex);
            there = shared_->outcome.has_value();
        }
        if (!there) co_await exchange_.suspend(*shared_, timeout_ms, false);
        std::lock_guard lock(shared_->mutex);
        if (!shared_->outcome) shared_->outcome.emplace(unavailable("no answer in time: it may still take effect"));
        co_return std::move(*shared_->outcome);
    }

private:
    Exchange& exchange_;
    std::shared_ptr<Shared> shared_;
};

class Signal {
public:
    Signal() = default;
    Signal(const Signal&) = delete;
    Signal& operator=(const Signal&) = delete;

    // Raises the number (a lower one changes nothing) and wakes who waited for less. Any thread; cheap when nobody waits.
    void notify(uint64_t value);
    uint64_t value() const { return value_.load(std::memory_order_acquire); }

    // Returns the number once it is greater than `value`, or as it is after timeout_ms; `unavailable` when the server stops. The
    // Signal must outlive the server.
    Task<Result<uint64_t>> wait_past(Exchange& exchange, uint64_t value, int64_t timeout_ms);

private:
    struct Sleeper {
        uint64_t past;
        std::shared_ptr<Waiting> waiting;
    };
    std::atomic<uint64_t> value_{0};
    std::atomic<size_t> sleeping_{0};
    std::mutex mutex_;
    std::vector<Sleeper> sleepers_;  // guarded by mutex_
};

}  // namespace waybill::http
