// Looks at a log without opening it: `waybill log verify`, `dump` and `stat`. Nothing here writes or locks, so it works on a log that is
// damaged and beside a server that is writing it. Beside a server two things may look odd and mean nothing: a batch that is just being
// written appears as a torn tail, and a file that maintenance removed while it was looked at is skipped.
//
// What is damaged is shown, never skipped silently: each function goes on behind a bad place where it can find a frame again, and says
// where it stopped and where it went on. Errors are those of the disk only (`not_found`: there is no log in that directory).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "log/walk.h"

namespace waybill::log {

enum class SegmentState {
    compressed,
    sealed,    // full, not yet compressed
    active,    // holds the tail
    reserved,  // room for later: nothing written yet
    unreadable // its header is damaged; `problems` says how
};

std::string_view to_string(SegmentState state);

struct Problem {
    Position position = 0;
    std::string what;
};

struct SegmentReport {
    std::string file;
    SegmentState state = SegmentState::reserved;
    Position first = 0;
    Position end = 0;           // where the next one must begin
    uint64_t stored_bytes = 0;  // on disk
    uint64_t used_bytes = 0;    // raw bytes of header and frames
    uint64_t groups = 0;
    TimeMs first_time = no_time;
    TimeMs last_time = no_time;
    std::vector<Problem> problems;  // at most max_problems
};

constexpr size_t max_problems = 100;  // of one segment: beyond, the file is rubble, and a longer list tells nothing

struct Report {
    std::vector<SegmentReport> segments;  // by position
    std::vector<Problem> problems;        // between segments: holes, foreign files, the mark of a clean close
    Position begin = 0;
    Position tail = 0;            // behind the last whole group
    uint64_t groups = 0;
    uint64_t torn_bytes = 0;      // of a torn tail (or a batch just being written): to be cut when the log is opened
    std::optional<Position> first_bad;
    bool closed = false;          // marked as cleanly closed

    bool sound() const { return !first_bad && problems.empty(); }
};

// Reads every byte of every segment. `progress` is called after each with what was found, and stops the work by returning false.
Result<Report> verify(world::Disk& disk, const std::string& directory, const std::function<bool(const SegmentReport&)>& progress);

// The same from file names, headers and sizes, and the frames of the one segment that is being written: quick on any log. Damage elsewhere is not found,
// and groups and times are left empty.
Result<Report> stat_directory(world::Disk& disk, const std::string& directory);

struct BadPlace {
    Position position = 0;
    Position resumes = 0;  // where the next valid frame stands, or the end of the segment
    std::string reason;
    std::string bytes;  // up to 256 raw bytes from `position`
};

// What a dump shows, in the order of the log.
class Dump {
public:
    virtual ~Dump() = default;
    virtual bool group(const Group& group) = 0;   // false: stop
    virtual bool bad(const BadPlace& place) = 0;  // false: stop
};

// Shows the groups that begin in [from, to), and every bad place in between; a torn tail is shown as a bad place, too. `from` may be any
// position: where no frame begins, the dump begins at the next one that is found, and shows the place as bad if a frame should be there.
Result<void> dump(world::Disk& disk, const std::string& directory, Position from, Position to, Dump& out);

// "0000000000004096  57 61 …  |Wa…|", 16 bytes a line, positions in decimal.
std::string hex_lines(Position position, std::string_view bytes);

}  // namespace waybill::log
