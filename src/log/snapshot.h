// Snapshots: what the groups below a position amount to, as bytes that mean nothing here. The format is in docs/log-format.md.
//
// A snapshot is there whole or not at all: it is written beside, synced, and renamed. It may be gigabytes, so it goes through in chunks of
// up to 1 MiB, both ways; at most two chunks are in memory. Files are named by position and version, and only those of the version asked
// for are looked at: a fold of another version is folded again.
//
// Any thread; two writers of one directory are the caller's mistake.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "event/position.h"
#include "world/disk.h"

namespace waybill::log {

constexpr size_t snapshot_chunk_bytes = size_t{1} << 20;
constexpr size_t snapshots_kept = 2;

// Where a snapshot's bytes go while it is written.
class SnapshotSink {
public:
    SnapshotSink() = default;
    SnapshotSink(const SnapshotSink&) = delete;
    SnapshotSink& operator=(const SnapshotSink&) = delete;
    virtual ~SnapshotSink() = default;
    virtual Result<void> write(std::string_view bytes) = 0;
};

// Where they come from when it is read.
class SnapshotSource {
public:
    SnapshotSource() = default;
    SnapshotSource(const SnapshotSource&) = delete;
    SnapshotSource& operator=(const SnapshotSource&) = delete;
    virtual ~SnapshotSource() = default;
    // The next bytes, valid until the next call; empty at the end.
    virtual Result<std::string_view> next() = 0;
};

// `position` is the first that is not folded in. `produce` writes the bytes; when it fails, nothing is kept and its error is returned.
// Afterwards the newest two snapshots of this version stay, and those of other versions stay as long as they are newer than both.
Result<void> write_snapshot(world::Disk& disk, const std::string& directory, Position position, uint32_t version,
                            const std::function<Result<void>(SnapshotSink&)>& produce);

struct Snapshot {
    Position position = 0;
    uint64_t bytes = 0;  // in all
    std::unique_ptr<SnapshotSource> source;
};

struct FoundSnapshot {
    std::optional<Snapshot> snapshot;   // none: fold from the oldest group
    std::vector<std::string> warnings;  // of newer ones that are damaged, one line each
};

// The newest whole one of this version. All of it is checked before it is returned, so the source fails only when the disk does.
Result<FoundSnapshot> read_newest_snapshot(world::Disk& disk, const std::string& directory, uint32_t version);

}  // namespace waybill::log
