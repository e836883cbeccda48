#include "node/recovery.h"

#include <fmt/format.h>

#include "log/segment.h"
#include "node/texts.h"

namespace waybill::node {
namespace {

constexpr size_t refill_batch = 1000;     // executions a transaction
constexpr uint64_t refill_groups = 8192;  // groups between transactions

// Snapshot bytes are pieces of state, each behind its length.
Result<void> load(log::SnapshotSource& source, State& state) {
    std::string pending;
    for (;;) {
        TRY(const std::string_view bytes, source.next());
        if (bytes.empty()) break;
        pending.append(bytes);
        size_t at = 0;
        while (pending.size() - at >= 4) {
            const uint32_t n = ByteReader(std::string_view(pending).substr(at, 4)).u32();
            if (pending.size() - at - 4 < n) break;
            TRY_VOID(state.restore(std::string_view(pending).substr(at + 4, n)));
            at += 4 + n;
        }
        pending.erase(0, at);
    }
    if (!pending.empty()) return corrupt("a snapshot ends in the middle of a piece");
    return {};
}

Result<void> save(const State& state, log::SnapshotSink& sink) {
    Result<void> result;
    std::string framed;
    state.encode([&](std::string_view piece) {
        if (!result.ok()) return;
        framed.clear();
        ByteWriter out(framed);
        out.u32(static_cast<uint32_t>(piece.size()));
        out.raw(piece);
        result = sink.write(framed);
    });
    return result;
}

// Replays [from, to) into the state.
template <class Fn>
Result<void> replay(const log::Log& log, State& state, Position from, Position to, const State::BeforeRetired& before_retired,
                    Fn&& after_group) {
    Result<void> applied;
    TRY(const Position reached, log.scan(from, to, [&](const log::Group& group) {
        applied = state.apply_group(group.payload, group.position, group.time, before_retired);
        if (applied.ok()) applied = after_group(group);
        return applied.ok();
    }));
    (void)reached;
    return applied;
}

}  // namespace

Result<void> write_changes(const log::Log& log, const RecentTexts& recent, history::History& history, history::Batch& batch) {
    for (auto& row : batch.executions) TRY_VOID(load_texts(log, recent, row.execution));
    return history.write(batch);
}

Result<void> write_all_changes(const log::Log& log, history::History& history, State& state, Position position) {
    do {
        history::Batch batch = take_changes(state, refill_batch, position);
        if (state.tracking.dirty()) batch.position = history.position();
        TRY_VOID(write_changes(log, RecentTexts(), history, batch));
    } while (state.tracking.dirty());
    return {};
}

Result<Recovered> recover(world::Disk& disk, const std::string& snapshots, const log::Log& log, history::History& history,
                          const Progress& progress) {
    Recovered r;
    r.state = std::make_unique<State>();
    TRY(log::FoundSnapshot found, log::read_newest_snapshot(disk, snapshots, fold_version));
    r.warnings = std::move(found.warnings);
    const Position end = log.durable();
    const bool whole_log = log.begin() <= log::segment_header_bytes;
    const Position known = history.position();
    Position from = log.begin();
    if (found.snapshot && found.snapshot->position <= known) {
        from = found.snapshot->position;
        TRY_VOID(load(*found.snapshot->source, *r.state));
    } else if (found.snapshot && !whole_log) {
        return conflict(
            fmt::format("the history is at position {}, behind the oldest usable snapshot ({}), and retention has deleted the "
                        "log before {}: it cannot be filled "
                        "again; restore history.db from a backup",
                        known, found.snapshot->position, log.begin()));
    } else if (!whole_log) {
        return conflict(fmt::format(
            "no usable snapshot, and retention has deleted the log before {}: restore the snapshots directory from a backup",
            log.begin()));
    }
    r.snapshot = from;
    r.refilled = known <= log::segment_header_bytes && end > log.begin() && from == log.begin();

    State& state = *r.state;
    Position last_progress = from;
    bool past_history = from >= known;
    const auto before_retired = [&](const tracking::Execution& e) -> Result<void> {
        if (!state.tracking.is_dirty(e) || e.changed < known) return {};
        history::Batch batch;
        batch.position = history.position();
        batch.time = state.last_time;
        batch.executions.push_back({state.tracking.view(e), state.policy.encode_memory(e.pipeline->key, e.id.str())});
        return write_changes(log, RecentTexts(), history, batch);
    };
    TRY_VOID(replay(log, state, from, end, before_retired, [&](const log::Group& group) -> Result<void> {
        ++r.groups;
        if (!past_history && group.next >= known) {
            // Everything so far is in the history already.
            past_history = true;
            while (state.tracking.dirty()) take_changes(state, refill_batch, known);
        }
        // Filling a whole history would mark everything dirty at once: it is written as the replay goes.
        if (r.refilled && r.groups % refill_groups == 0) TRY_VOID(write_all_changes(log, history, state, group.next));
        if (progress && group.next - last_progress > (4 << 20)) progress(last_progress = group.next, end);
        return {};
    }));
    if (progress) progress(end, end);
    return r;
}

Result<bool> fold_snapshot(world::Disk& disk, const std::string& snapshots, const log::Log& log, Position up_to) {
    TRY(log::FoundSnapshot found, log::read_newest_snapshot(disk, snapshots, fold_version));
    Position from = log.begin();
    State state;
    if (found.snapshot) {
        if (found.snapshot->position >= up_to) return false;
        from = found.snapshot->position;
        TRY_VOID(load(*found.snapshot->source, state));
    }
    Position reached = from;
    TRY_VOID(replay(log, state, from, up_to, {}, [&](const log::Group& group) -> Result<void> {
        reached = group.next;
        return {};
    }));
    if (reached == from) return false;
    TRY_VOID(
        log::write_snapshot(disk, snapshots, reached, fold_version, [&](log::SnapshotSink& sink) { return save(state, sink); }));
    return true;
}

}  // namespace waybill::node
