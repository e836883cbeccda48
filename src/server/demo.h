// Believable CodePipeline events without an AWS account, for `waybill demo` and `waybill serve --demo`: a few teams' pipelines with their
// authors, commits, failures, retries, stops and superseded executions, and what EventBridge does to events on the way: late, twice, out of
// order, and now and then never.
//
// DemoStream is a pure generator: the same options and the same `now` give the same events, byte for byte. It reads no clock and starts
// nothing. DemoSender plays it in real time from a thread of its own; its destructor ends that thread at once and joins it.
// The shapes are those of the CodePipeline user guide ("Monitoring CodePipeline events"), with what the service was seen to emit: stages
// say attempt 0.0 until their first retry, times of entities have milliseconds, the envelope's `time` has none.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <queue>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "world/clock.h"
#include "world/random.h"

namespace waybill::server {

struct DemoOptions {
    uint64_t seed = 1;
    size_t pipelines = 8;                  // 1 to demo_pipelines_max; the first eight have names of their own
    double rate = 3;                       // live events a second, on average; 0.01 to 100,000
    int64_t history_ms = 2 * 3'600'000;    // how far the history reaches back
    size_t history_executions = 40;        // executions that began in it; 0: no history
    int64_t duration_ms = 0;               // of the live part; 0: for ever
};
constexpr size_t demo_pipelines_max = 5000;
constexpr size_t demo_batch_events = 500;  // events of one call of a sender's sink

// One event on its way: the envelope, and when EventBridge hands it over.
struct DemoEvent {
    TimeMs deliver = 0;
    std::string envelope;
};

class DemoStream {
public:
    DemoStream(const DemoOptions& options, TimeMs now);
    ~DemoStream();
    DemoStream(const DemoStream&) = delete;
    DemoStream& operator=(const DemoStream&) = delete;

    // The envelopes delivered up to `now`, in order of delivery. Executions that were still going on go on in next(). Call it once, first.
    std::vector<std::string> history();
    // The next live event. There is always one; `deliver` never goes back.
    DemoEvent next();

private:
    struct Pipeline;
    struct Execution;
    struct Queued {
        TimeMs deliver;
        uint64_t order;  // of generation: a tie-break that keeps the heap deterministic
        std::string envelope;
    };
    struct Later {
        bool operator()(const Queued& a, const Queued& b) const {
            return a.deliver != b.deliver ? a.deliver > b.deliver : a.order > b.order;
        }
    };
    enum class Fate : uint8_t { succeeded, failed, retried, retried_twice, superseded, stopped, abandoned, rejected };

    double fraction() { return static_cast<double>(random_.next() >> 11) * 0x1p-53; }
    bool chance(double p) { return fraction() < p; }
    int64_t between(int64_t low, int64_t high) { return low + static_cast<int64_t>(random_.below(static_cast<uint64_t>(high - low + 1))); }
    std::string uuid();
    std::string hex(size_t digits);

    Pipeline& idle_pipeline(TimeMs at);
    Fate pick_fate();
    void begin_execution(Pipeline& pipeline, TimeMs start, int64_t length_ms, Fate fate);
    void emit(TimeMs at, std::string_view scope, const Pipeline& pipeline, const std::string& detail, bool may_be_lost);

    DemoOptions options_;
    TimeMs now_;
    world::SimRandom random_;
    uint64_t order_ = 0;
    TimeMs next_start_ = 0;
    std::vector<Pipeline> pipelines_;
    std::priority_queue<Queued, std::vector<Queued>, Later> queue_;
};

class DemoSender {
public:
    // Called from the sender's thread with NDJSON, one envelope a line, at most demo_batch_events of them. An error is told to `complain`,
    // and the same batch is sent again after a second, so the events of one execution are not torn.
    using Sink = std::function<Result<void>(const std::string& ndjson, size_t events)>;
    using Complaint = std::function<void(const Error&)>;

    DemoSender(const DemoOptions& options, world::Clock& clock, Sink sink, Complaint complain = {});
    ~DemoSender();  // stops and joins
    DemoSender(const DemoSender&) = delete;
    DemoSender& operator=(const DemoSender&) = delete;

    void stop();    // returns at once; the thread ends after the batch it is sending
    void join();    // until it was stopped or options.duration_ms is over
    bool done() const;

private:
    void work();
    bool send(const std::string& ndjson, size_t events);
    bool wait(int64_t span_ms);  // false: stopped

    DemoOptions options_;
    world::Clock& clock_;
    Sink sink_;
    Complaint complain_;
    mutable std::mutex mutex_;
    std::condition_variable wake_;
    bool stop_ = false;
    bool done_ = false;
    std::thread thread_;
};

}  // namespace waybill::server
