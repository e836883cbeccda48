// What the log says about one execution: its events in arrival order and in true order, and the decisions that were taken, each with the
// event, transition and policy line behind it. Read from the log by position; any thread.
#pragma once

#include <string>
#include <vector>

#include "base/json_writer.h"
#include "event/record.h"
#include "log/log.h"

namespace waybill::node {

struct EventLine {
    Position position = 0;
    TimeMs received = no_time;     // stamped time of its group
    std::string event_id;
    TransitionRecord transition;
    size_t arrival = 0, order = 0; // places, from 1
    bool known_id = false;         // the identity had been seen before
};

// One decision and what led to it. A decision that was not caused by an event (a wait that ended) has none.
struct DecisionLine {
    Position position = 0;
    TimeMs time = no_time;
    std::optional<EventLine> event;
    Decision decision;
};

// The events of the execution; of duplicates and late ones too.
Result<std::vector<EventLine>> execution_events(const log::Log& log, const ExecutionView& execution);
Result<std::vector<DecisionLine>> execution_decisions(const log::Log& log, const ExecutionView& execution);

struct AttemptLine {
    Position position = 0;
    TimeMs time = no_time;
    DeliveryChange change;
};
// Everything that became of a delivery, in order.
Result<std::vector<AttemptLine>> delivery_history(const log::Log& log, const Delivery& delivery);

void write_json(JsonWriter& out, const EventLine& line);
void write_json(JsonWriter& out, const DecisionLine& line);
void write_json(JsonWriter& out, const AttemptLine& line);

}  // namespace waybill::node
