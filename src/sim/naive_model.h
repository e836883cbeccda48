// What an execution is, reckoned from the set of its events in the plainest way: every question is asked of all events anew. It shares no
// code with src/tracking and knows nothing of order, so what both say is likely so.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "event/execution.h"

namespace waybill::sim {

// "Build/state" → "3": every merged field under a name.
using Flat = std::map<std::string, std::string>;

// `events`: in any order, with any repetition, all of one execution.
Flat reckon(const std::vector<PipelineEvent>& events);
// The same of what tracking made of them. Texts are shown as the content of their event.
Flat flatten(const ExecutionView& execution);

}  // namespace waybill::sim
