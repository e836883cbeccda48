// What tracking knows of an execution after an event was merged: all that a policy may look at when it decides what the event causes.
// Tracking fills it, policy reads it, the node carries it.
#pragma once

#include "event/pipeline_event.h"

namespace waybill {

struct ExecutionFacts {
    TimeMs start = no_time;         // orders the execution among its pipeline's (ExecutionView::ordering_start)
    State state = State::started;   // of the whole execution
    int attempt = 1;
    bool known = false;             // a pipeline event was seen, so state and attempt are reported ones
    // of the event's stage; meaningless for a pipeline event
    State stage_state = State::started;
    int stage_attempt = 1;
    bool stage_known = false;
    int stage_begun = 1;            // the newest attempt that any event of the stage shows, one of its actions' included
    // an action of the current attempt is known to have failed: of the event's stage, or for a pipeline event of any
    bool cause_known = false;
    // other actions of the event's stage, of its attempt, that have started and not ended
    int peers_running = 0;
};

}  // namespace waybill
