// The time of day, as the program sees it. Every part that needs "now" is handed a Clock, so that a simulation can set it; nobody asks
// the system directly. now() may be called from any thread. A clock may step backwards when the machine's does: what must never go
// backwards (the times stamped on commands) is held up by its owner, not here.
#pragma once

#include <atomic>
#include <chrono>

#include "base/time.h"

namespace waybill::world {

class Clock {
public:
    virtual ~Clock() = default;
    virtual TimeMs now() = 0;
};

class RealClock final : public Clock {
public:
    TimeMs now() override {
        return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
    }
};

// Stands still until it is told to move.
class SimClock final : public Clock {
public:
    explicit SimClock(TimeMs start = 0) : now_(start) {}
    TimeMs now() override { return now_.load(); }
    void set(TimeMs now) { now_.store(now); }
    void advance(int64_t span_ms) { now_.fetch_add(span_ms); }

private:
    std::atomic<TimeMs> now_;
};

}  // namespace waybill::world
