#include "log/inspect.h"

#include <fmt/format.h>

#include <algorithm>

#include "log/recovery.h"

namespace waybill::log {

namespace {

constexpr size_t shown_bytes = 256;

Position first_frame(const Segment& segment) { return segment.first() + segment_header_bytes; }

// One file of the directory, readable or not.
struct Found {
    std::string file;
    Position first;
    std::shared_ptr<Segment> segment;  // null: unreadable
    std::string problem;
};

struct Listing {
    std::vector<Found> files;
    std::optional<std::string> closed;  // the bytes of the mark
};

// Unlike open_directory it takes what it can get.
Result<Listing> list_files(world::Disk& disk, const std::string& directory) {
    TRY(auto names, disk.list(directory));
    Listing listing;
    std::map<Position, Found> by_first;
    bool any = false;
    for (const std::string& name : names) {
        if (name == closed_name) {
            auto file = disk.open(directory + "/" + name, world::OpenMode::read);
            if (!file.ok()) continue;
            std::string bytes(64, '\0');
            TRY(size_t got, (*file)->read_at(0, bytes.data(), bytes.size()));
            bytes.resize(got);
            listing.closed = std::move(bytes);
        }
        auto parsed = parse_segment_name(name);
        if (!parsed) continue;
        any = true;
        std::string path = directory + "/" + name;
        auto opened = parsed->compressed ? Segment::open_compressed(disk, path, parsed->first)
                                         : Segment::open_raw(disk, path, parsed->first, world::OpenMode::read);
        Found found{name, parsed->first, nullptr, ""};
        if (opened.ok()) {
            found.segment = std::move(*opened);
        } else if (opened.error().kind == ErrorKind::not_found) {
            continue;  // removed since it was listed
        } else if (opened.error().kind == ErrorKind::corrupt || opened.error().kind == ErrorKind::unsupported) {
            found.problem = opened.error().message;
        } else {
            return std::move(opened).error();
        }
        // Both kinds, after a crash or while one replaces the other: the one that can be read, the compressed one first.
        auto [at, fresh] = by_first.try_emplace(parsed->first, found);
        if (!fresh && found.segment) at->second = found;
    }
    if (!any) return not_found(fmt::format("there is no log in {}", directory));
    for (auto& [first, found] : by_first) listing.files.push_back(std::move(found));
    return listing;
}

// Where frames go on behind a bad place.
Result<Position> resume_behind(const Segment& segment, Position bad) {
    auto found = find_frame(segment, bad + frame_alignment, segment.end(), 0);
    if (!found.ok() && found.error().kind == ErrorKind::corrupt) return segment.end();  // a block that does not decompress
    return found;
}

// A step, with damage to a compressed block turned into a bad place.
Result<Walker::Step> step(Walker& walker, std::string& reason) {
    auto next = walker.next();
    if (!next.ok()) {
        if (next.error().kind != ErrorKind::corrupt) return std::move(next).error();
        reason = next.error().message;
        return Walker::Step::bad;
    }
    if (*next == Walker::Step::bad) reason = walker.reason();
    return next;
}

// Whether nothing but zeros stands from `from` on: room that was reserved and not written.
Result<Position> written_end(const Segment& segment, Position from) {
    auto end = end_of_nonzero(segment, from);
    if (!end.ok() && end.error().kind == ErrorKind::corrupt) return segment.end();
    return end;
}

// Problems between files, and the positions that every report has.
Report frame_of(const Listing& listing) {
    Report report;
    const Found* before = nullptr;
    for (const Found& found : listing.files) {
        SegmentReport s;
        s.file = found.file;
        s.first = found.first;
        if (found.segment) {
            s.end = found.segment->end();
            s.stored_bytes = found.segment->stored_bytes();
            s.state = found.segment->compressed() ? SegmentState::compressed : SegmentState::sealed;
            if (before && before->segment) {
                if (before->segment->end() != found.first)
                    report.problems.push_back({before->segment->end(), fmt::format("{} does not follow {}: a segment is missing", found.file, before->file)});
                if (before->segment->header().log_id != found.segment->header().log_id)
                    report.problems.push_back({found.first, fmt::format("{} belongs to another log than {}", found.file, before->file)});
            }
        } else {
            s.state = SegmentState::unreadable;
            s.end = s.first;
            s.problems.push_back({found.first, found.problem});
            if (!report.first_bad) report.first_bad = found.first;
        }
        report.segments.push_back(std::move(s));
        before = &found;
    }
    report.begin = report.tail = listing.files.front().first + segment_header_bytes;
    report.closed = listing.closed.has_value();
    return report;
}

void note_bad(Report& report, SegmentReport& segment, Position position, std::string what) {
    if (segment.problems.size() < max_problems) segment.problems.push_back({position, std::move(what)});
    if (!report.first_bad || position < *report.first_bad) report.first_bad = position;
}

// Reads a segment's frames into its report, and moves the report's tail behind them. `newest`: nothing was written behind this segment, so that it may end
// without a seal. Returns whether it is complete (or must have been).
Result<bool> read_frames(const Segment& segment, bool newest, SegmentReport& s, Report& report) {
    Walker walker(segment, first_frame(segment), segment.end());
    for (;;) {
        std::string reason;
        TRY(auto what, step(walker, reason));
        if (what == Walker::Step::group) {
            ++s.groups;
            if (s.first_time == no_time) s.first_time = walker.group().time;
            s.last_time = walker.group().time;
            report.tail = walker.at();
            continue;
        }
        s.used_bytes = walker.at() - segment.first();
        if (what == Walker::Step::seal) {
            if (segment.compressed() && s.used_bytes != segment.readable_bytes())
                note_bad(report, s, walker.at(), "the compressed file goes on behind its seal");
            return true;
        }
        Position bad = walker.at();
        if (what == Walker::Step::limit) {
            note_bad(report, s, bad, "the segment ends without a seal");
            return false;
        }
        if (newest && !segment.compressed()) {
            TRY(Position proof, find_frame(segment, bad, segment.end(), bad));
            TRY(Position end, written_end(segment, bad));
            if (proof == segment.end()) {  // nothing later: the tail, clean or torn
                s.state = SegmentState::active;
                report.tail = bad;
                report.torn_bytes = end - bad;
                return false;
            }
        }
        TRY(Position resumes, resume_behind(segment, bad));
        note_bad(report, s, bad, fmt::format("{}; {}", reason, resumes == segment.end() ? "no frame follows in this segment"
                                                                                         : fmt::format("frames go on at {}", resumes)));
        if (resumes == segment.end()) return true;  // it must have been
        walker.jump(resumes);
    }
}

// The segment behind the last one written to: the next group goes there if that one is complete.
void note_unwritten(const Segment& segment, bool next, SegmentReport& s, Report& report) {
    s.state = next ? SegmentState::active : SegmentState::reserved;
    if (next) report.tail = first_frame(segment);
    s.used_bytes = segment_header_bytes;
}

// Where the seal of a complete segment ends, found from behind: what follows it is zeros. (A frame is a multiple of 8 bytes, and the last 8 of a seal
// are its time.)
Result<uint64_t> sealed_bytes(const Segment& segment) {
    std::string piece(size_t{64} << 10, '\0');
    for (uint64_t end = segment.readable_bytes(); end > 0;) {
        const uint64_t from = end - std::min<uint64_t>(end, piece.size());
        TRY(size_t got, segment.read(from, piece.data(), end - from, nullptr));
        const size_t last = std::string_view(piece.data(), got).find_last_not_of('\0');
        if (last != std::string_view::npos) return padded(from + last + 1);
        end = from;
    }
    return segment_header_bytes;
}

}  // namespace

std::string_view to_string(SegmentState state) {
    switch (state) {
        case SegmentState::compressed: return "compressed";
        case SegmentState::sealed: return "sealed";
        case SegmentState::active: return "active";
        case SegmentState::reserved: return "reserved";
        case SegmentState::unreadable: return "unreadable";
    }
    return "";
}

Result<Report> verify(world::Disk& disk, const std::string& directory, const std::function<bool(const SegmentReport&)>& progress) {
    TRY(Listing listing, list_files(disk, directory));
    Report report = frame_of(listing);
    // What was written last decides whether an end without a seal is the tail or damage.
    size_t last = 0;
    for (size_t i = 0; i < listing.files.size(); ++i) {
        const auto& segment = listing.files[i].segment;
        if (!segment || segment->compressed()) {
            last = i;
        } else {
            TRY(Position end, written_end(*segment, first_frame(*segment)));
            if (end > first_frame(*segment)) last = i;
        }
    }
    bool sealed = false;  // the segment before
    for (size_t i = 0; i < listing.files.size(); ++i) {
        SegmentReport& s = report.segments[i];
        if (!listing.files[i].segment) {
            sealed = true;
            if (!progress(s)) return report;
            continue;
        }
        const Segment& segment = *listing.files[i].segment;
        if (i > last) {
            note_unwritten(segment, i == last + 1 && sealed, s, report);
            if (!progress(s)) return report;
            continue;
        }
        TRY(sealed, read_frames(segment, i == last, s, report));
        report.groups += s.groups;
        if (!progress(s)) return report;
    }
    if (sealed && last + 1 == listing.files.size()) {
        Position missing = listing.files.back().segment ? listing.files.back().segment->end() : listing.files.back().first;
        report.problems.push_back({missing, "the last segment is sealed, and the one behind it is missing"});
        if (!report.first_bad) report.first_bad = missing;
    }
    if (listing.closed && listing.files.front().segment) {
        std::string expected = encode_closed(listing.files.front().segment->header().log_id, report.tail);
        if (*listing.closed != expected)
            report.problems.push_back({report.tail, "the file `closed` does not say that the log ends here: its end is damaged, or that file is"});
    }
    return report;
}

Result<Report> stat_directory(world::Disk& disk, const std::string& directory) {
    TRY(Listing listing, list_files(disk, directory));
    Report report = frame_of(listing);
    // What was written to last, told by the bytes where a first frame stands.
    size_t last = 0;
    for (size_t i = 0; i < listing.files.size(); ++i) {
        if (!listing.files[i].segment) continue;
        const Segment& segment = *listing.files[i].segment;
        char head[frame_header_bytes] = {};
        if (!segment.compressed()) TRY_VOID(segment.read(segment_header_bytes, head, sizeof head, nullptr));
        if (segment.compressed() || std::string_view(head, sizeof head).find_first_not_of('\0') != std::string_view::npos) last = i;
    }
    bool sealed = true;
    for (size_t i = 0; i < listing.files.size(); ++i) {
        if (!listing.files[i].segment) continue;
        const Segment& segment = *listing.files[i].segment;
        SegmentReport& s = report.segments[i];
        if (i > last) {
            note_unwritten(segment, i == last + 1 && sealed, s, report);
        } else if (segment.compressed()) {
            s.used_bytes = segment.readable_bytes();
            report.tail = segment.first() + segment.readable_bytes();
        } else if (i < last) {
            TRY(s.used_bytes, sealed_bytes(segment));
        } else {
            TRY(sealed, read_frames(segment, true, s, report));
            s.groups = 0;
            s.first_time = s.last_time = no_time;
        }
    }
    return report;
}

Result<void> dump(world::Disk& disk, const std::string& directory, Position from, Position to, Dump& out) {
    TRY(Listing listing, list_files(disk, directory));
    for (const Found& found : listing.files) {
        if (found.first >= to) break;
        if (!found.segment) {
            if (found.first + segment_header_bytes < from) continue;
            if (!out.bad({found.first, found.first, found.problem, ""})) return {};
            continue;
        }
        const Segment& segment = *found.segment;
        if (segment.end() <= from) continue;
        Walker walker(segment, std::max(first_frame(segment), from), segment.end());
        // Asked for a place where no frame begins: only the walk from the segment's start tells whether one should.
        if (walker.at() != first_frame(segment)) {
            Walker finder(segment, first_frame(segment), segment.end());
            for (;;) {
                std::string reason;
                if (finder.at() >= from) break;
                TRY(auto what, step(finder, reason));
                if (what == Walker::Step::group) continue;
                if (what != Walker::Step::bad) break;
                TRY(Position resumes, resume_behind(segment, finder.at()));
                if (resumes > from || resumes == segment.end()) break;  // the bad place reaches over `from`: begin with it
                finder.jump(resumes);
            }
            walker.jump(finder.at());
        }
        for (bool more = true; more && walker.at() < to;) {
            std::string reason;
            TRY(auto what, step(walker, reason));
            switch (what) {
                case Walker::Step::group:
                    if (!out.group(walker.group())) return {};
                    break;
                case Walker::Step::seal:
                case Walker::Step::limit: more = false; break;
                case Walker::Step::bad: {
                    TRY(Position end, written_end(segment, walker.at()));
                    if (end <= walker.at()) {  // only reserved room
                        more = false;
                        break;
                    }
                    BadPlace place{walker.at(), 0, reason, std::string(shown_bytes, '\0')};
                    TRY(place.resumes, resume_behind(segment, walker.at()));
                    auto got = segment.read(walker.at() - segment.first(), place.bytes.data(), shown_bytes, nullptr);
                    if (!got.ok() && got.error().kind != ErrorKind::corrupt) return std::move(got).error();
                    place.bytes.resize(got.ok() ? *got : 0);
                    if (!out.bad(place)) return {};
                    if (place.resumes == segment.end()) more = false;
                    else walker.jump(place.resumes);
                    break;
                }
            }
        }
    }
    return {};
}

std::string hex_lines(Position position, std::string_view bytes) {
    std::string out;
    for (size_t at = 0; at < bytes.size(); at += 16) {
        std::string_view line = bytes.substr(at, 16);
        out += fmt::format("{:020} ", position + at);
        for (size_t i = 0; i < 16; ++i) out += i < line.size() ? fmt::format(" {:02x}", static_cast<uint8_t>(line[i])) : "   ";
        out += "  |";
        for (char c : line) out.push_back(c >= 0x20 && c < 0x7f ? c : '.');
        out += "|\n";
    }
    return out;
}

}  // namespace waybill::log
