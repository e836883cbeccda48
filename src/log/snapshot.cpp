#include "log/snapshot.h"

#include <fmt/format.h>
#include <zstd.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "log/frame.h"

namespace waybill::log {

namespace {

constexpr std::string_view magic = "waysnap1";
constexpr size_t header_bytes = 32;
constexpr size_t chunk_header_bytes = 16;
constexpr int compression_level = 1;  // written often, read seldom: speed before size

std::string name_of(Position position, uint32_t version) { return fmt::format("snapshot-{:020}-v{}.snap", position, version); }

struct Name {
    Position position;
    uint32_t version;
    std::string text;
};

std::optional<Name> parse_name(const std::string& text) {
    std::string_view rest = text;
    if (!rest.starts_with("snapshot-") || !rest.ends_with(".snap")) return std::nullopt;
    rest.remove_prefix(9);
    rest.remove_suffix(5);
    if (rest.size() < 23 || rest.substr(20, 2) != "-v" || rest.size() > 32) return std::nullopt;
    unsigned __int128 position = 0;
    uint64_t version = 0;
    for (size_t i = 0; i < rest.size(); ++i) {
        if (i == 20 || i == 21) continue;
        if (rest[i] < '0' || rest[i] > '9') return std::nullopt;
        unsigned digit = static_cast<unsigned>(rest[i] - '0');
        if (i < 20) position = position * 10 + digit;
        else version = version * 10 + digit;
    }
    if (position > UINT64_MAX || version > UINT32_MAX) return std::nullopt;
    return Name{static_cast<Position>(position), static_cast<uint32_t>(version), text};
}

// Newest first.
Result<std::vector<Name>> snapshots_in(world::Disk& disk, const std::string& directory) {
    std::vector<Name> found;
    TRY(auto names, disk.list(directory));
    for (const std::string& text : names)
        if (auto name = parse_name(text)) found.push_back(*name);
    std::sort(found.begin(), found.end(), [](const Name& a, const Name& b) { return a.position > b.position; });
    return found;
}

std::string chunk_header(uint32_t compressed, uint32_t raw, uint32_t number, std::string_view data) {
    std::string out;
    ByteWriter w(out);
    w.u32(compressed);
    w.u32(raw);
    w.u32(number);
    w.u32(crc32c(data, crc32c(out)));
    return out;
}

class FileSink final : public SnapshotSink {
public:
    explicit FileSink(world::File& file) : file_(file), context_(ZSTD_createCCtx(), &ZSTD_freeCCtx) {
        ASSERT(context_);
        compressed_.resize(ZSTD_compressBound(snapshot_chunk_bytes));
        chunk_.reserve(snapshot_chunk_bytes);
    }

    Result<void> write(std::string_view bytes) override {
        while (!bytes.empty()) {
            size_t n = std::min(bytes.size(), snapshot_chunk_bytes - chunk_.size());
            chunk_.append(bytes.substr(0, n));
            bytes.remove_prefix(n);
            if (chunk_.size() == snapshot_chunk_bytes) TRY_VOID(flush());
        }
        return {};
    }
    Result<void> finish() {
        if (!chunk_.empty()) TRY_VOID(flush());
        std::string end;
        ByteWriter(end).u64(total_);
        return put(0, end);
    }

private:
    Result<void> flush() {
        size_t n = ZSTD_compressCCtx(context_.get(), compressed_.data(), compressed_.size(), chunk_.data(), chunk_.size(), compression_level);
        ASSERT(!ZSTD_isError(n));
        TRY_VOID(put(static_cast<uint32_t>(chunk_.size()), std::string_view(compressed_).substr(0, n)));
        total_ += chunk_.size();
        chunk_.clear();
        return {};
    }
    Result<void> put(uint32_t raw, std::string_view data) {
        TRY_VOID(file_.write_at(at_, chunk_header(static_cast<uint32_t>(data.size()), raw, number_++, data)));
        TRY_VOID(file_.write_at(at_ + chunk_header_bytes, data));
        at_ += chunk_header_bytes + data.size();
        return {};
    }

    world::File& file_;
    std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context_;
    std::string chunk_, compressed_;
    uint64_t at_ = header_bytes, total_ = 0;
    uint32_t number_ = 0;
};

class FileSource final : public SnapshotSource {
public:
    FileSource(std::unique_ptr<world::File> file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}

    Result<std::string_view> next() override {
        if (ended_) return std::string_view();
        auto damaged = [&] { return corrupt(fmt::format("{} is damaged at byte {}", path_, at_)); };
        std::string head(chunk_header_bytes, '\0');
        TRY(size_t got, file_->read_at(at_, head.data(), head.size()));
        if (got != head.size()) return damaged();
        ByteReader r(head);
        uint32_t compressed = r.u32(), raw = r.u32(), number = r.u32();
        if (compressed > ZSTD_compressBound(snapshot_chunk_bytes) || raw > snapshot_chunk_bytes || number != number_) return damaged();
        compressed_.resize(compressed);
        TRY(got, file_->read_at(at_ + chunk_header_bytes, compressed_.data(), compressed));
        if (got != compressed || chunk_header(compressed, raw, number, compressed_) != head) return damaged();
        if (raw == 0) {
            ByteReader end(compressed_);
            uint64_t total = end.u64();
            if (!end.complete() || total != total_) return damaged();
            ended_ = true;
            return std::string_view();
        }
        chunk_.resize(raw);
        if (ZSTD_decompress(chunk_.data(), raw, compressed_.data(), compressed) != raw) return damaged();
        at_ += chunk_header_bytes + compressed;
        ++number_;
        total_ += raw;
        return std::string_view(chunk_);
    }
    uint64_t total() const { return total_; }

private:
    std::unique_ptr<world::File> file_;
    std::string path_;
    std::string chunk_, compressed_;
    uint64_t at_ = header_bytes, total_ = 0;
    uint32_t number_ = 0;
    bool ended_ = false;
};

std::string encode_header(Position position, uint32_t version) {
    std::string body;
    ByteWriter b(body);
    b.u64(position);
    b.u32(version);
    b.u32(0);
    std::string out(magic);
    ByteWriter w(out);
    w.u32(format_version);
    w.u32(crc32c(body));
    w.raw(body);
    return out;
}

Result<std::unique_ptr<FileSource>> open_source(world::Disk& disk, const std::string& path, const Name& name) {
    TRY(auto file, disk.open(path, world::OpenMode::read));
    std::string head(header_bytes, '\0');
    TRY(size_t got, file->read_at(0, head.data(), head.size()));
    head.resize(got);
    if (head != encode_header(name.position, name.version)) return corrupt(fmt::format("the header of {} is not that of its name", path));
    return std::make_unique<FileSource>(std::move(file), path);
}

}  // namespace

Result<void> write_snapshot(world::Disk& disk, const std::string& directory, Position position, uint32_t version,
                            const std::function<Result<void>(SnapshotSink&)>& produce) {
    TRY_VOID(disk.make_directories(directory));
    std::string path = directory + "/" + name_of(position, version);
    std::string temporary = path + ".tmp";
    auto written = [&]() -> Result<void> {
        TRY(auto file, disk.open(temporary, world::OpenMode::create));
        TRY_VOID(file->write_at(0, encode_header(position, version)));
        FileSink sink(*file);
        TRY_VOID(produce(sink));
        TRY_VOID(sink.finish());
        TRY_VOID(file->sync_data());
        TRY_VOID(disk.rename(temporary, path));
        return disk.sync_directory(directory);
    }();
    if (!written.ok()) {
        [[maybe_unused]] auto removed = disk.remove(temporary);
        return std::move(written).error().in("writing a snapshot");
    }
    // Others go only now that this one is safe. Unfinished ones of a process that died go, too.
    TRY(auto all, snapshots_in(disk, directory));
    size_t kept = 0;
    for (const Name& name : all) {
        if (name.version == version && kept < snapshots_kept) ++kept;
        else if (kept == snapshots_kept) TRY_VOID(disk.remove(directory + "/" + name.text));
    }
    TRY(auto names, disk.list(directory));
    for (const std::string& name : names)
        if (name.starts_with("snapshot-") && name.ends_with(".snap.tmp")) TRY_VOID(disk.remove(directory + "/" + name));
    return {};
}

Result<FoundSnapshot> read_newest_snapshot(world::Disk& disk, const std::string& directory, uint32_t version) {
    FoundSnapshot found;
    auto listed = snapshots_in(disk, directory);
    if (!listed.ok()) {
        if (listed.error().kind == ErrorKind::not_found) return found;
        return std::move(listed).error();
    }
    for (const Name& name : *listed) {
        if (name.version != version) continue;
        std::string path = directory + "/" + name.text;
        auto checked = [&]() -> Result<uint64_t> {
            TRY(auto source, open_source(disk, path, name));
            for (;;) {
                TRY(std::string_view bytes, source->next());
                if (bytes.empty()) return source->total();
            }
        }();
        if (checked.ok()) {
            TRY(auto source, open_source(disk, path, name));
            found.snapshot = Snapshot{name.position, *checked, std::move(source)};
            return found;
        }
        if (checked.error().kind != ErrorKind::corrupt) return std::move(checked).error();
        found.warnings.push_back(checked.error().message + "; an older snapshot is used, and more of the log is replayed");
    }
    return found;
}

}  // namespace waybill::log
