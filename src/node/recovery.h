// From what is on disk to a state: the newest snapshot, and the log after it, through the one apply. Also the two things that
// replaying is good for beside starting: folding a new snapshot, and filling a history anew.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "history/history.h"
#include "log/log.h"
#include "log/snapshot.h"
#include "node/state.h"
#include "node/texts.h"

namespace waybill::node {

struct Recovered {
    std::unique_ptr<State> state;
    Position snapshot = 0;              // where replaying began
    uint64_t groups = 0;                // replayed
    bool refilled = false;              // the history was behind the snapshot and was filled from the log's first group
    std::vector<std::string> warnings;  // damaged snapshots that were passed over
};

using Progress = std::function<void(Position done, Position of)>;

// Folds everything durable. What the history does not hold yet is left marked dirty in the state; an execution that retires on
// the way and is not in the history yet is written to it. A history that is behind the snapshot is filled from the beginning,
// which needs the whole log: `conflict` when retention has deleted its beginning.
Result<Recovered> recover(world::Disk& disk, const std::string& snapshots, const log::Log& log, history::History& history,
                          const Progress& progress = {});

// Writes the snapshot of everything below `up_to`, on top of the newest one. Nothing to do: false.
Result<bool> fold_snapshot(world::Disk& disk, const std::string& snapshots, const log::Log& log, Position up_to);

// One batch of what changed; the history's writer thread. Puts the texts into it, and may be called again with it when it failed.
Result<void> write_changes(const log::Log& log, const RecentTexts& recent, history::History& history, history::Batch& batch);

// Everything that changed, in as many batches as it takes. Only the last one moves the history's position, so a crash between
// them loses nothing: what was not written yet is found behind that position again.
Result<void> write_all_changes(const log::Log& log, history::History& history, State& state, Position position);

}  // namespace waybill::node
