// What one CodePipeline event says, in the words of the event: the part of an envelope that tracking follows. Shapes and words are
// those of the CodePipeline user guide, "Monitoring CodePipeline events" (detect-state-changes-cloudwatch-events).
//
// The long texts of an event (trigger, commit, summary, links) are not here: they stay in the log, and `texts` says which it has.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/time.h"

namespace waybill {

enum class Scope : uint8_t { pipeline = 0, stage = 1, action = 2 };

// The union of the states of the three scopes, in the order in which one attempt can pass through them: a state has passed every lower one
// of the same attempt. The order among ends is the tie-break for two ends of one attempt, which CodePipeline should never send: the worse
// news wins, so a failure is never hidden.
enum class State : uint8_t { started = 0, resumed = 1, stopping = 2, succeeded = 3, superseded = 4, canceled = 5, abandoned = 6, stopped = 7, failed = 8 };

constexpr bool is_end(State s) { return s >= State::succeeded; }
// A failed or stopped execution may be resumed with a higher attempt; the other ends are final.
constexpr bool is_final(State s) { return is_end(s) && s != State::stopped && s != State::failed; }

std::string_view event_word(State s);   // STARTED … as events spell it
std::string_view status_word(State s);  // InProgress … as CodePipeline's API spells it
std::string_view scope_word(Scope s);   // pipeline, stage, action
std::optional<State> parse_state(Scope scope, std::string_view word);  // nothing for a word that this scope does not have
std::optional<State> parse_status(std::string_view word);

// Which of the long texts an event carries.
struct Texts {
    static constexpr uint8_t trigger = 1, commit = 2, stop_comment = 4, result = 8;
};

// What a stage, an action and an execution belong to.
struct PipelineKey {
    std::string account, region, pipeline;
    bool operator==(const PipelineKey&) const = default;
    auto operator<=>(const PipelineKey&) const = default;
};

struct PipelineEvent {
    Scope scope = Scope::pipeline;
    State state = State::started;
    int attempt = 1;               // max(1, pipeline-execution-attempt): stages say 0.0 until the first retry
    uint8_t texts = 0;             // Texts
    PipelineKey key;
    std::string execution_id;
    std::string stage, action, action_execution_id;          // empty where the scope has none
    std::string category, owner, provider, action_region;    // of an action
    double version = 0;            // pipeline structure version
    TimeMs time = no_time;         // the envelope's, one-second resolution
    TimeMs start = no_time;        // start-time of this entity
    TimeMs last_retry = no_time;   // last-retry-attempt-time or stage-last-retry-attempt-time
    uint32_t content = 0;          // a hash of the detail: the last tie-break, so that merges do not depend on arrival

    bool operator==(const PipelineEvent&) const = default;
};

void encode(ByteWriter& out, const PipelineEvent& event);
bool decode(ByteReader& in, PipelineEvent& event);  // false: not what encode writes

}  // namespace waybill
