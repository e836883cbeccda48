#include "http/wait.h"

#include "http/loop.h"

namespace waybill::http {

void Waiting::wake() { loop_->queue_wake(shared_from_this()); }

void Signal::notify(uint64_t value) {
    uint64_t old = value_.load();
    while (old < value && !value_.compare_exchange_weak(old, value)) {
    }
    // A sleeper counts itself before it looks at the value again, so one of the two sees the other.
    if (sleeping_.load() == 0) return;
    std::vector<std::shared_ptr<Waiting>> due;
    {
        std::lock_guard lock(mutex_);
        for (auto& s : sleepers_)
            if (s.past < value) due.push_back(s.waiting);
    }
    for (auto& waiting : due) waiting->wake();
}

Task<Result<uint64_t>> Signal::wait_past(Exchange& exchange, uint64_t value, int64_t timeout_ms) {
    if (this->value() > value) co_return this->value();
    auto waiting = std::make_shared<Waiting>(exchange.loop());
    {
        std::lock_guard lock(mutex_);
        sleepers_.push_back({value, waiting});
        sleeping_.fetch_add(1);
    }
    Woken woken = Woken::ready;
    if (value_.load() <= value) woken = co_await exchange.suspend(*waiting, timeout_ms, true);
    {
        std::lock_guard lock(mutex_);
        std::erase_if(sleepers_, [&](const Sleeper& s) { return s.waiting == waiting; });
        sleeping_.fetch_sub(1);
    }
    if (woken == Woken::stopped) co_return unavailable("the server is stopping");
    co_return this->value();
}

}  // namespace waybill::http
