// What the policy remembers: of each pipeline, its newest finished executions (from which its incidents follow), and of each execution,
// what was done about it already. Owned by one thread; nothing here locks.
//
// Incidents are not kept, they are reckoned: a pure function of the marks, which are themselves a pure function of the set of events, so
// an incident does not depend on the order in which they arrived. A pipeline keeps its newest limits::marks_a_pipeline marks.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "event/facts.h"
#include "event/incident.h"
#include "event/record.h"

namespace waybill::policy {

// An execution that has failed or succeeded, at any attempt.
struct Mark {
    TimeMs start = no_time;                          // ExecutionFacts::start: orders it
    std::string execution_id;
    TimeMs first_failed = no_time, failed = no_time; // earliest and latest FAILED event
    int failed_attempt = 0;                          // of the latest attempt that failed
    TimeMs succeeded = no_time;                      // latest SUCCEEDED event
    bool has_failed() const { return failed_attempt > 0; }
    bool has_succeeded() const { return succeeded != no_time; }
};

// What was done about one execution.
struct StageMemory {
    std::string stage;
    int retries = 0;                 // planned
    int retried_attempt = 0;         // the newest attempt that a retry was planned for
    int approval_attempt = 0;        // the newest attempt in which a person rejected
};
struct Memory {
    bool failure_told = false, success_told = false;
    std::vector<StageMemory> stages;
    bool empty() const { return !failure_told && !success_told && stages.empty(); }
};

class Policy {
public:
    // -- apply: total and pure --
    // Whether the pipeline's marks, and so its incidents, may have changed.
    bool apply(const TransitionRecord& record, const ExecutionFacts& facts);
    void apply(const Decision& decision);
    void forget(const PipelineKey& pipeline, std::string_view execution_id);                            // retired
    void remember(const PipelineKey& pipeline, std::string_view execution_id, std::string_view bytes);  // recalled

    // -- reading --
    const Memory* memory(const PipelineKey& pipeline, std::string_view execution_id) const;
    std::string encode_memory(const PipelineKey& pipeline, std::string_view execution_id) const;
    // Oldest first. The start of the oldest mark bounds what they can still say (history keeps what is older).
    std::vector<Incident> incidents(const PipelineKey& pipeline) const;
    TimeMs window_start(const PipelineKey& pipeline) const;
    void each_pipeline(const std::function<void(const PipelineKey&)>& fn) const;
    size_t open_incidents() const { return open_; }

    void encode(const std::function<void(std::string_view)>& sink) const;
    Result<void> restore(std::string_view piece);

private:
    friend class Decider;
    struct Marks {
        std::vector<Mark> marks;     // by (start, execution_id)
        bool open = false;           // an incident is open
    };
    struct HashOf {
        size_t operator()(const Hash128& h) const { return h.low; }
    };
    static Hash128 hash(const PipelineKey& pipeline, std::string_view execution_id);
    void settle(Marks& marks);

    std::map<PipelineKey, Marks> pipelines_;
    std::unordered_map<Hash128, Memory, HashOf> memories_;
    size_t open_ = 0;
};

}  // namespace waybill::policy
