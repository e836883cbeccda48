// Makes CodePipeline executions up: for each one the events that CodePipeline would emit, in the order in which things truly happened, and
// how it truly ended. Everything follows from one seed. What a test does to the events (shuffling, repeating, dropping them) is its business.
//
// Shapes follow the CodePipeline user guide ("Monitoring CodePipeline events") and captures of the service: stages say attempt 0.0 until the
// first retry and the execution's attempt afterwards, a retry gives its actions new ids, RESUMED events carry a last retry time (a stage's
// later events too), ABANDONED has no start-time, stop-and-abandon reports both STOPPING and STOPPED.
//
// It cannot generate: ends that contradict each other, states that CodePipeline does not document, events of a source other than CodePipeline.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "event/envelope.h"
#include "world/random.h"

namespace waybill::sim {

struct GeneratedEvent {
    std::string id;        // the envelope's
    std::string envelope;  // JSON
    TimeMs at = 0;         // when it happened
    Scope scope = Scope::pipeline;
    State state = State::started;
};

struct TrueAction {
    std::string stage, name;
    State state = State::started;
};

struct GeneratedExecution {
    PipelineKey key;
    std::string id;
    TimeMs start = 0;
    std::vector<GeneratedEvent> events;                    // in true order
    State state = State::started;                          // how it stands after the last event
    int attempt = 1;
    std::map<std::string, std::pair<State, int>> stages;   // state and attempt
    std::map<std::string, TrueAction> actions;             // by action-execution-id
    bool ended() const { return is_end(state); }
};

struct GeneratorOptions {
    int accounts = 1, regions = 1, pipelines = 1;          // pipelines a region
    int max_stages = 4;                                    // at least 2
    int max_actions = 3;                                   // in parallel
    int max_rounds = 2;                                    // of actions in a stage, one after the other
    int failures = 15;                                     // of 100 actions
    int retries = 50;                                      // of 100 failed or stopped executions
    int interruptions = 15;                                // of 100 executions: stopped, superseded, cancelled
    int unfinished = 10;                                   // of 100 executions: cut off while they run
    bool rich = false;                                     // artifacts and long texts, so that envelopes take about 900 bytes
    TimeMs begin = 1'776'600'000'000;                      // 2026-04-19
    int64_t pause_ms = 60'000;                             // at most this long between starts; 0: all start at once
};

class ExecutionGenerator {
public:
    ExecutionGenerator(uint64_t seed, const GeneratorOptions& options);
    GeneratedExecution next();
    std::string uuid();
    world::Random& random() { return random_; }

private:
    struct Run;
    world::SimRandom random_;
    const GeneratorOptions options_;
    TimeMs now_;
    uint64_t made_ = 0;
};

// The event as the node takes it. The generator's envelopes are never refused.
IncomingEvent read(const std::string& envelope);
// The same meaning under another event id, as a source that repeats itself sends it.
GeneratedEvent with_new_id(const GeneratedEvent& event, std::string id);

}  // namespace waybill::sim
