// Finds out, from the files alone, where the log ends and whether all of it that was promised is there. The reasoning is in
// docs/log-format.md, "Batches, and why a frame names its batch". Nothing here writes: Log::open acts on what is found, inspection shows
// it.
#pragma once

#include <optional>

#include "log/segment.h"

namespace waybill::log {

struct Tail {
    Position position = 0;       // where the next frame stands
    size_t segment = 0;          // index of the segment that holds it
    Position last_batch = 0;     // where the last batch begins; == position when that segment holds no frame
    size_t batch_segment = 0;    // index of the segment that holds the last batch
    Position garbage_end = 0;    // bytes of a torn batch stand in [position, garbage_end); == position when there are none
    // Set when bytes that had been synced are damaged; then `position` is that place.
    std::optional<std::string> damage;
};

// `segments` is not empty.
Result<Tail> find_tail(const Segments& segments);

struct Directory {
    Segments segments;
    std::vector<std::string> temporary;   // names of unfinished files
    std::vector<std::string> superseded;  // .log files whose .zst is whole, and .zst files that are not though their .log is there
    std::optional<Position> closed;       // where the log ended when it was closed
};

// Opens what is there; refuses holes, foreign segments and damaged headers. `mode` is for raw files.
Result<Directory> open_directory(world::Disk& disk, const std::string& directory, world::OpenMode mode);

constexpr std::string_view closed_name = "closed";
std::string encode_closed(uint64_t log_id, Position tail);

// "… at position P … waybill log dump --data DIR --at P": the form of every corruption message of the log.
Error corrupt_at(Position position, std::string_view what, const std::string& data_directory);

}  // namespace waybill::log
