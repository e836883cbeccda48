#include <fmt/format.h>

#include <algorithm>

#include "log/recovery.h"
#include "server/serve.h"
#include "world/disk.h"

namespace waybill::server {
namespace {

constexpr size_t piece_bytes = 1 << 20;

// The first `bytes` of a file (all of it: UINT64_MAX), synced.
Result<uint64_t> copy(world::Disk& disk, const std::string& from, const std::string& to, uint64_t bytes, const std::function<void(uint64_t)>& copied) {
    TRY(const auto in, disk.open(from, world::OpenMode::read));
    TRY(const auto out, disk.open(to, world::OpenMode::create));
    std::string piece(piece_bytes, '\0');
    uint64_t at = 0;
    while (at < bytes) {
        TRY(const size_t n, in->read_at(at, piece.data(), std::min<uint64_t>(piece.size(), bytes - at)));
        if (n == 0) break;
        TRY_VOID(out->write_at(at, std::string_view(piece).substr(0, n)));
        at += n;
        copied(n);
    }
    TRY_VOID(out->sync_data());
    return at;
}

}  // namespace

Result<BackupReport> backup(const Config& config, const std::string& to, const std::function<void(uint64_t, uint64_t)>& progress) {
    world::RealDisk disk;
    const std::string log = config.data + "/log", snapshots = config.data + "/snapshots", to_log = to + "/log", to_snapshots = to + "/snapshots";
    if (!disk.list(log).ok()) return not_found(fmt::format("there is no log in {}", config.data));
    for (const auto& directory : {to_log, to_snapshots}) {
        TRY_VOID(disk.make_directories(directory));
        TRY(const auto files, disk.list(directory));
        if (!files.empty()) return conflict(fmt::format("{} is not empty: back up into a new directory", directory));
    }
    BackupReport report;
    uint64_t total = 0, done = 0;
    const auto copied = [&](uint64_t n) {
        report.bytes += n;
        done += n;
        if (progress) progress(done, std::max(total, done));
    };

    // Snapshots first: none of them can be ahead of a log that is looked at later.
    TRY(const auto snapshot_names, disk.list(snapshots));
    for (const auto& name : snapshot_names) {
        auto n = copy(disk, snapshots + "/" + name, to_snapshots + "/" + name, UINT64_MAX, copied);
        if (!n.ok() && n.error().kind == ErrorKind::not_found) continue;  // a newer one has taken its place
        if (!n.ok()) return std::move(n).error();
        ++report.files;
    }

    TRY(const log::Directory found, log::open_directory(disk, log, world::OpenMode::read));
    if (found.segments.empty()) return not_found(fmt::format("there is no log in {}", config.data));
    TRY(const log::Tail tail, log::find_tail(found.segments));
    if (tail.damage) return log::corrupt_at(tail.position, *tail.damage, config.data);
    report.position = tail.position;
    for (size_t i = 0; i <= tail.segment; ++i) total += found.segments[i]->stored_bytes();
    for (size_t i = 0; i <= tail.segment; ++i) {
        const log::Segment& segment = *found.segments[i];
        // The segment that is being written is taken as far as it stood when it was looked at: a copy must not hold a later batch without the one before.
        const uint64_t bytes = i == tail.segment ? tail.position - segment.first() : UINT64_MAX;
        const std::string name = log::segment_name(segment.first(), segment.compressed());
        auto n = copy(disk, log + "/" + name, to_log + "/" + name, bytes, copied);
        if (!n.ok() && n.error().kind == ErrorKind::not_found && !segment.compressed()) {
            // Compressed meanwhile.
            const std::string compressed = log::segment_name(segment.first(), true);
            n = copy(disk, log + "/" + compressed, to_log + "/" + compressed, UINT64_MAX, copied);
        }
        if (!n.ok()) return std::move(n).error();
        if (i == tail.segment) {
            // As long as a segment is; what follows the groups reads as zero, which is where a log ends.
            TRY(const auto file, disk.open(to_log + "/" + name, world::OpenMode::read_write));
            TRY_VOID(file->truncate(segment.header().capacity));
            TRY_VOID(file->sync_data());
        }
        ++report.files;
    }
    TRY_VOID(disk.sync_directory(to_log));
    TRY_VOID(disk.sync_directory(to_snapshots));
    return report;
}

}  // namespace waybill::server
