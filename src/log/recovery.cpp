#include "log/recovery.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "log/walk.h"

namespace waybill::log {

namespace {

constexpr std::string_view closed_magic = "wayclose";
constexpr size_t closed_bytes = 32;

Position first_frame(const Segment& segment) { return segment.first() + segment_header_bytes; }

struct Closed {
    uint64_t log_id;
    Position tail;
};

Result<Closed> decode_closed(std::string_view bytes, const std::string& path) {
    ByteReader r(bytes);
    bool magic = r.raw(8) == closed_magic;
    uint32_t version = r.u32(), crc = r.u32();
    if (bytes.size() != closed_bytes || !magic || version != format_version || crc != crc32c(bytes.substr(16)))
        return corrupt(fmt::format("{}, which says where the log ended when it was last closed, is damaged; check the log with `waybill log "
                                   "verify`, then remove that file to open the log without it",
                                   path));
    uint64_t id = r.u64();
    return Closed{id, r.u64()};
}

// Compares nothing: a compressed segment is whole when each of its frames is, up to the seal at its very end.
Result<bool> is_whole(const Segment& segment) {
    Walker walker(segment, first_frame(segment), segment.end());
    for (;;) {
        auto step = walker.next();
        if (!step.ok()) {
            if (step.error().kind == ErrorKind::corrupt) return false;
            return std::move(step).error();
        }
        if (*step == Walker::Step::group) continue;
        return *step == Walker::Step::seal && walker.at() == segment.first() + segment.readable_bytes();
    }
}

}  // namespace

Error corrupt_at(Position position, std::string_view what, const std::string& data_directory) {
    return corrupt(fmt::format("the log is damaged at position {}: {}. These bytes had been written safely, so nothing was cut and nothing is "
                               "skipped; look at the place with: waybill log dump --data {} --at {}",
                               position, what, data_directory, position));
}

std::string encode_closed(uint64_t log_id, Position tail) {
    std::string body;
    ByteWriter b(body);
    b.u64(log_id);
    b.u64(tail);
    std::string out(closed_magic);
    ByteWriter w(out);
    w.u32(format_version);
    w.u32(crc32c(body));
    w.raw(body);
    return out;
}

Result<Tail> find_tail(const Segments& segments) {
    // The last segment that anything was written to; those behind it are only reserved.
    size_t last = segments.size() - 1;
    Position garbage_end = 0;
    for (;; --last) {
        if (segments[last]->compressed()) break;
        TRY(garbage_end, end_of_nonzero(*segments[last], first_frame(*segments[last])));
        if (garbage_end > first_frame(*segments[last]) || last == 0) break;
    }

    Tail tail;
    tail.segment = tail.batch_segment = last;
    auto at_start_of = [&](size_t index) {
        tail.segment = index;
        tail.position = tail.garbage_end = first_frame(*segments[index]);
    };
    auto missing_behind = [&](size_t index) {
        tail.position = segments[index]->end();
        tail.damage = fmt::format("the segment {} that follows is missing", segment_name(tail.position, false));
    };

    if (segments[last]->compressed()) {  // only sealed segments are
        if (last + 1 == segments.size()) missing_behind(last);
        else at_start_of(last + 1), tail.batch_segment = last + 1, tail.last_batch = tail.position;
        return tail;
    }

    const Segment& segment = *segments[last];
    Walker walker(segment, first_frame(segment), segment.end());
    tail.last_batch = walker.at();
    for (;;) {
        TRY(auto step, walker.next());
        if (step == Walker::Step::group) {
            tail.last_batch = walker.frame().batch;
            continue;
        }
        if (step == Walker::Step::seal) {
            tail.last_batch = walker.frame().batch;
            if (last + 1 == segments.size()) missing_behind(last);
            else at_start_of(last + 1);
            return tail;
        }
        break;
    }
    // The walk ended at an invalid place; was that place once synced?
    tail.position = walker.at();
    tail.garbage_end = std::max(tail.position, garbage_end);
    TRY(Position proof, find_frame(segment, tail.position, segment.end(), tail.position));
    if (proof != segment.end()) {
        tail.damage = fmt::format("{}, though position {} was written later", walker.reason(), proof);
        return tail;
    }
    if (tail.position != first_frame(segment)) return tail;
    tail.last_batch = tail.position;
    // No frame here, so the one before must be complete: it was synced before this one was touched, if it was.
    if (last == 0 || segments[last - 1]->compressed()) return tail;
    const Segment& before = *segments[last - 1];
    Walker back(before, first_frame(before), before.end());
    for (;;) {
        TRY(auto step, back.next());
        if (step == Walker::Step::group) continue;
        if (step != Walker::Step::seal) {
            tail.segment = tail.batch_segment = last - 1;
            tail.position = back.at();
            tail.garbage_end = tail.position;
            tail.damage = fmt::format("{}, though the segment behind was written to later", back.reason());
        }
        return tail;
    }
}

Result<Directory> open_directory(world::Disk& disk, const std::string& directory, world::OpenMode mode) {
    Directory found;
    TRY(auto names, disk.list(directory));
    std::map<Position, std::pair<bool, bool>> files;  // (raw, compressed)
    bool has_closed = false;
    for (const std::string& name : names) {
        if (name.ends_with(".tmp")) found.temporary.push_back(name);
        if (name == closed_name) has_closed = true;
        if (auto parsed = parse_segment_name(name)) (parsed->compressed ? files[parsed->first].second : files[parsed->first].first) = true;
    }
    for (const auto& [first, kinds] : files) {
        auto [raw, zst] = kinds;
        std::string raw_name = segment_name(first, false), zst_name = segment_name(first, true);
        if (zst) {
            auto segment = Segment::open_compressed(disk, directory + "/" + zst_name, first);
            if (!segment.ok() && (!raw || segment.error().kind != ErrorKind::corrupt)) return std::move(segment).error();
            bool use = segment.ok();
            if (use && raw) {
                TRY(use, is_whole(**segment));
                found.superseded.push_back(use ? raw_name : zst_name);
            } else if (raw) {
                found.superseded.push_back(zst_name);
            }
            if (use) {
                found.segments.push_back(std::move(*segment));
                continue;
            }
        }
        TRY(auto segment, Segment::open_raw(disk, directory + "/" + raw_name, first, mode));
        found.segments.push_back(std::move(segment));
    }
    for (size_t i = 1; i < found.segments.size(); ++i) {
        const Segment& before = *found.segments[i - 1];
        const Segment& here = *found.segments[i];
        if (before.end() != here.first())
            return corrupt(fmt::format("{}: the segment of position {} is missing (the next file is {}); restore it from a copy", directory,
                                       before.end(), segment_name(here.first(), here.compressed())));
        if (before.header().log_id != here.header().log_id)
            return corrupt(fmt::format("{}: {} belongs to another log than the segment before it; put the right file back", directory,
                                       segment_name(here.first(), here.compressed())));
    }
    if (has_closed) {
        std::string path = directory + "/" + std::string(closed_name);
        TRY(auto file, disk.open(path, world::OpenMode::read));
        std::string bytes(closed_bytes + 1, '\0');
        TRY(size_t got, file->read_at(0, bytes.data(), bytes.size()));
        bytes.resize(got);
        TRY(Closed closed, decode_closed(bytes, path));
        if (found.segments.empty()) return corrupt(fmt::format("{}: the log was closed here, but its segments are gone; restore them", directory));
        if (closed.log_id != found.segments.front()->header().log_id)
            return corrupt(fmt::format("{} belongs to another log than the segments beside it; put the right files back", path));
        found.closed = closed.tail;
    }
    return found;
}

}  // namespace waybill::log
