// Reads what stands in the log's events: the texts of an execution, and single envelopes. Any thread; the log's readers never
// wait for the sequencer. An event that retention has deleted has no texts any more: they stay empty, which is no error.
#pragma once

#include <deque>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "event/execution.h"
#include "log/log.h"

namespace waybill::node {

// The envelope in the group at `position`. `not_found`: the group holds none, or is gone.
Result<std::string> read_envelope(const log::Log& log, Position position);

// The texts of the newest events, by position, so that what has just come in is not read from the disk and parsed again: first by
// the couriers that tell of it, soon after by the history. The oldest are forgotten first. Any thread.
class RecentTexts {
public:
    static constexpr size_t most_bytes = 16 << 20;  // two seconds of a flood; what is not here any more is read from the log

    // The encoded EventTexts of the events of one batch, in the order of their positions, which are above all earlier ones.
    void remember(std::vector<std::pair<Position, std::string>>& batch);
    bool find(Position position, std::string& encoded) const;

private:
    mutable std::mutex mutex_;
    std::deque<std::pair<Position, std::string>> texts_;
    size_t bytes_ = 0;
};

// Fills the members of `execution` marked "text".
Result<void> load_texts(const log::Log& log, const RecentTexts& recent, ExecutionView& execution);

}  // namespace waybill::node
