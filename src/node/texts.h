// Reads what stands in the log's events: the texts of an execution, and single envelopes. Any thread; the log's readers never wait for the
// sequencer. An event that retention has deleted has no texts any more: they stay empty, which is no error.
#pragma once

#include <string>

#include "event/execution.h"
#include "log/log.h"

namespace waybill::node {

// The envelope in the group at `position`. `not_found`: the group holds none, or is gone.
Result<std::string> read_envelope(const log::Log& log, Position position);

// Fills the members of `execution` marked "text".
Result<void> load_texts(const log::Log& log, ExecutionView& execution);

}  // namespace waybill::node
