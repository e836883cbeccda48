// The event log: record groups, in order, each durable or not there at all. It carries bytes, not meaning. The format, and why each
// byte is there, is docs/log-format.md.
//
// What it promises:
//   * Every group below durable() is there after any crash, in order, bit for bit; or the log refuses to open and names the place.
//   * After a crash the log ends with a prefix of the groups that were written: never a later group without an earlier one.
//   * A position is for ever: compressing a segment and deleting older ones does not move anything.
//
// Who may call what:
//   * The sequencer (one thread) appends and syncs. append() only copies into memory; sync() writes and waits for the disk.
//   * Any thread reads what is durable. Readers hold a lock only to copy a pointer; they never keep the sequencer waiting for I/O.
//   * One maintenance thread calls maintain(). The sequencer waits for it only when a segment is full and the next is still being made.
//
// What it never does: skip a damaged frame, reorder, answer from what is not durable, or go on after a write or a sync has failed.
#pragma once

#include <atomic>
#include <mutex>
#include <type_traits>

#include "log/recovery.h"
#include "log/walk.h"

namespace waybill::log {

struct Options {
    uint64_t segment_bytes = uint64_t{64} << 20;  // of segments made from now on; 64 KiB to 1 GiB, a multiple of 4096
    uint64_t reserve_bytes = uint64_t{4} << 20;   // room that is kept for outcomes when the disk is full
    bool compress = true;                         // sealed segments
    int64_t retention_age_ms = 0;                 // segments whose groups are all older go; 0: keep
    uint64_t retention_bytes = 0;                 // oldest segments go while all together take more on disk; 0: keep
    uint64_t log_id = 0;                          // of a log that is created now; 0: drawn at random
    std::string data_directory;                   // what messages tell a person to pass as --data; empty: the log's own directory
};

// What opening found and did; for one line in the program's own log.
struct Opening {
    bool created = false;             // there was no log before
    bool clean = false;               // it had been closed
    uint64_t cut_bytes = 0;           // of a torn tail, none of which had been promised
    std::vector<std::string> tidied;  // unfinished and superseded files that were removed
};

struct Stat {
    Position begin = 0;
    Position durable = 0;
    uint64_t segments = 0;
    uint64_t compressed_segments = 0;
    uint64_t stored_bytes = 0;    // all files, reserved room included
    uint64_t reserved_bytes = 0;  // room that can be written without asking the disk for more
    uint64_t syncs = 0;           // since opening
    bool starved = false;         // the last attempt to reserve room met a full disk
};

struct Entry {
    Position next = 0;
    TimeMs time = 0;
    std::string payload;
};

class Log {
public:
    // Recovers: cuts a torn tail, refuses corruption (`corrupt`, naming the position), a second process (`conflict`) and a newer format
    // (`unsupported`). Reads one or two segments whole, whatever the size of the log. What it answers is durable.
    static Result<std::unique_ptr<Log>> open(world::Disk& disk, std::string directory, Options options);
    // Without close(), what a crash would leave.
    ~Log();
    Log(const Log&) = delete;
    Log& operator=(const Log&) = delete;

    const Opening& opening() const { return opening_; }
    uint64_t log_id() const { return log_id_; }
    // Of append: 8 MiB, or less where segments are smaller.
    size_t max_payload() const { return max_payload_in(options_.segment_bytes); }

    // --- the sequencer's thread ---
    // Behind everything appended so far. The next group stands here, or at the next segment's start if it does not fit any more.
    Position tail() const { return tail_; }
    // Where the next group will stand if its payload is at most this long: for a group whose records name its position. Goes on to the
    // next segment when such a group would not fit in this one. Cannot fail.
    Position prepare(size_t payload_bytes);
    // Buffered in memory until sync(); cannot fail. payload is at most max_payload() bytes.
    Position append(TimeMs time, std::string_view payload);
    size_t buffered_bytes() const;
    // One write and one fdatasync for each segment touched (nearly always one), then moves durable() to tail(). Nothing buffered: no I/O.
    // `overloaded`: no room is left, not even the reserve. Nothing was written; everything stays buffered, and sync() may be called again.
    // Any other error is final: what reached the disk is unknown, every later call fails the same way, and the process should end.
    Result<void> sync();
    // False while the disk is full and less than reserve_bytes is left in reserved segments: take no new events, only outcomes.
    bool accepts_events() const;
    // Syncs and marks the end, so that damage to it is told from a crash. Nothing may be appended afterwards. Maintenance has stopped.
    Result<void> close();

    // --- any thread ---
    // The oldest position retained: scanning may begin here. (The first group stands at it.)
    Position begin() const;
    // Everything below survives a crash.
    Position durable() const { return durable_.load(std::memory_order_acquire); }
    // The group that begins at `position`. `not_found`: none begins there (below begin(), not durable yet, or in the middle of one; the last
    // costs a walk through its segment). `corrupt`: one did, and is damaged.
    Result<Entry> read(Position position) const;
    // Calls fn(const Group&) -> bool (go on) for each group in [from, to), as far as durable. Returns where to go on: the end of the last
    // group shown, or `to`'s or durable()'s place when it came so far. `from` is begin(), durable(), a group's position or its next.
    template <class F>
    Result<Position> scan(Position from, Position to, F&& fn) const {
        return scan_with(
            from, to, [](void* f, const Group& group) -> bool { return (*static_cast<std::remove_reference_t<F>*>(f))(group); },
            const_cast<void*>(static_cast<const void*>(&fn)));
    }
    // Where each segment's first group stands (scanning may begin there), ascending; the last may lie at durable() and be empty yet.
    std::vector<Position> segment_starts() const;
    Stat stat() const;
    // True when no reserved segment stands behind the one being written: time to call maintain().
    bool maintenance_due() const;

    // --- the maintenance thread ---
    // One step: reserves room ahead, else deletes one segment, else compresses one. Never deletes anything at or above keep_from. Returns whether
    // there is more to do now. A full disk is no error: it is tried again at the next call. Errors are the disk's, or `corrupt` when
    // a segment to be compressed is damaged.
    Result<bool> maintain(TimeMs now, Position keep_from);

private:
    // What is buffered for one segment.
    struct Part {
        Position first;     // the segment's
        uint64_t capacity;  // the segment's
        Position at;        // where `bytes` go: also the batch of all frames in it
        std::string bytes;
    };
    using SegmentList = std::shared_ptr<const Segments>;

    Log(world::Disk& disk, std::string directory, Options options);
    Result<void> recover();
    Result<void> cut(Tail& tail, Directory& found);
    Result<std::shared_ptr<Segment>> ensure_segment(Position first, TimeMs created);
    SegmentList segments() const;
    void publish(Segments list);
    std::shared_ptr<Segment> segment_at(const Segments& list, Position position) const;
    bool fits(size_t payload_bytes) const;
    Result<Position> scan_with(Position from, Position to, bool (*fn)(void*, const Group&), void* context) const;
    Result<bool> remove_one(const Segments& list, TimeMs now, Position keep_from);
    Result<bool> compress_one(const Segments& list);
    Error corrupt_here(Position position, std::string_view what) const;

    world::Disk& disk_;
    const std::string directory_;
    const Options options_;
    std::unique_ptr<world::DirectoryLock> lock_;
    uint64_t log_id_ = 0;
    uint32_t salt_ = 0;
    Opening opening_;

    // The sequencer's.
    std::vector<Part> parts_;  // never empty; the last is for the segment that tail_ is in
    Position tail_ = 0;
    TimeMs last_time_ = 0;
    std::optional<Error> failed_;
    bool closed_ = false;

    // Shared.
    std::mutex create_mutex_;        // making a segment: taken before list_mutex_
    mutable std::mutex list_mutex_;  // only to copy or to swap the pointer
    SegmentList segments_;
    std::atomic<Position> durable_{0};
    std::atomic<Position> reserved_end_{0};  // end of the last segment
    std::atomic<bool> starved_{false};
    std::atomic<uint64_t> syncs_{0};
    mutable BlockCache cache_;
};

}  // namespace waybill::log
