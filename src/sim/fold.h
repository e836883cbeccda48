// Takes events into a node's state one by one, without a log and without a policy's effects, and tells two states apart by what a user can see
// of them. What property tests of order stand on; one thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "node/state.h"
#include "sim/execution_generator.h"

namespace waybill::sim {

// One execution as a user can see it, without the texts; and a pipeline's current execution and its incidents.
void show(std::string& out, const ExecutionView& execution);
void show(std::string& out, const node::State& state, const tracking::Pipeline& pipeline);

class Fold {
public:
    Fold() : state_(std::make_unique<node::State>()) {}
    // Position and time grow with every event. Returns what tracking made of it.
    Outcome take(const IncomingEvent& event);
    node::State& state() { return *state_; }
    const node::State& state() const { return *state_; }
    // Everything a user can see: executions, current executions, incidents. Positions are shown as the content of the event that stands there.
    std::string visible() const;
    // The state is encoded and restored in another; what it had seen goes on there.
    void pass_through_snapshot();
    // Puts the execution away as the history would keep it, and brings it back when take() meets it again. Current ones stay.
    bool retire(const tracking::Execution& execution);
    // Every execution, live or put away, by pipeline and id.
    std::map<std::pair<PipelineKey, std::string>, ExecutionView> executions() const;

private:
    std::unique_ptr<node::State> state_;
    Position next_ = 4096;
    struct Kept {
        std::string execution, policy;
    };
    std::map<std::pair<PipelineKey, std::string>, Kept> retired_;
};

}  // namespace waybill::sim
