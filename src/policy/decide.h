// Decides what an accepted transition causes: incidents, messages, retries. Pure: it reads the policy's state, the configuration and the
// facts, and returns records and wishes; the node writes the records, and turns the wishes into changes of the deliveries they name.
//
// The lines of the policy (docs/guarantees.md says which test shows each):
//   pipeline FAILED     opens or joins the pipeline's incident and tells the team, once an execution; the message waits for its cause
//   pipeline SUCCEEDED  a notice, once an execution (notify_success)
//   stage FAILED        tells the owner, once a stage attempt; the message waits for its cause
//   action FAILED       plans one retry a stage attempt, at most retry_max a stage
// A duplicate or late event decides nothing: its outcome, in the transition record, is its receipt.
#pragma once

#include <optional>
#include <vector>

#include "config/config.h"
#include "policy/state.h"

namespace waybill::policy {

struct Context {
    const PolicyConfig& config;
    Position group = 0;            // where the group will stand: it names the deliveries
    uint16_t first_delivery = 0;   // index of the first delivery that may be planned
    TimeMs now = 0;
    bool can_retry = false;        // a CodePipeline endpoint serves the account and region; asked of failed actions only
};

// A wish about deliveries that are open already.
struct Release {                   // the cause is known, or nothing is left to wait for
    DeliveryTopic topic;
    std::string stage;             // of stage_failed and action_failed
};
struct CancelRetries {
    std::string stage;             // empty: every stage
    int before_attempt = INT32_MAX;// only retries of earlier attempts
    Reason reason = Reason::execution_ended;
};

struct Plan {
    std::vector<Decision> decisions;
    std::vector<Delivery> deliveries;
    std::vector<Release> releases;
    std::vector<CancelRetries> cancels;
};

// Why an automatic retry of that attempt is not wanted, as far as the execution itself says: it has ended otherwise, or gone on. Asked when a
// failure is decided, and again before each call: the world may move while one is under way.
std::optional<Reason> retry_unwanted(const ExecutionFacts& facts, int attempt);

// A decision that the event led to, without deliveries; `settings` is the version of the policy that decided.
Decision decision_about(const PipelineEvent& event, PolicyLine line, Verdict verdict, Reason reason, uint64_t settings);

// `facts` and the policy's state are as of after the transition.
Plan decide(const Policy& policy, const PipelineEvent& event, const ExecutionFacts& facts, const Context& context);

}  // namespace waybill::policy
