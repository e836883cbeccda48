#include "log/segment.h"

#include <fmt/format.h>
#include <zstd.h>

#include <algorithm>

#include "base/bytes.h"

namespace waybill::log {

namespace {

constexpr std::string_view raw_magic = "waybill1";
constexpr std::string_view block_magic = "waybblck";
constexpr size_t raw_header_used = 64;
constexpr size_t block_header_bytes = 72;
constexpr size_t index_entry_bytes = 16;
constexpr int compression_level = 1;  // on 1 KB events: 6-8 times smaller; level 3 took half as long again and was no smaller here

std::string encode_raw_header(const SegmentHeader& h) {
    std::string tail;
    ByteWriter t(tail);
    t.u64(h.first);
    t.u64(h.capacity);
    t.u64(static_cast<uint64_t>(h.created));
    t.u64(h.log_id);
    t.raw(std::string(16, '\0'));
    std::string out(raw_magic);
    ByteWriter w(out);
    w.u32(format_version);
    w.u32(crc32c(tail));
    w.raw(tail);
    out.resize(segment_header_bytes);
    return out;
}

// What both kinds of header share: magic, version, checksum, then first, capacity, created, log id.
Result<SegmentHeader> check_header(std::string_view bytes, std::string_view magic, size_t used, Position first, const std::string& path) {
    if (bytes.size() < used || bytes.substr(0, 8) != magic)
        return corrupt(fmt::format("{} does not begin as a segment of the log does; restore it from a copy", path));
    ByteReader r(bytes.substr(8));
    uint32_t version = r.u32();
    if (version != format_version)
        return unsupported(fmt::format("{} is in format {}, and this program reads format {}; open it with the newer program", path, version,
                                       format_version));
    if (r.u32() != crc32c(bytes.substr(16, used - 16)))
        return corrupt(fmt::format("the header of {} is damaged; restore it from a copy", path));
    SegmentHeader h;
    h.first = r.u64();
    h.capacity = r.u64();
    h.created = static_cast<TimeMs>(r.u64());
    h.log_id = r.u64();
    if (h.first != first) return corrupt(fmt::format("{} holds the segment of position {}: it has another's name", path, h.first));
    if (h.capacity < min_segment_bytes || h.capacity > max_segment_bytes || h.capacity % segment_header_bytes != 0 ||
        h.first > UINT64_MAX - 2 * max_segment_bytes)
        return corrupt(fmt::format("the header of {} states a capacity of {} bytes, which no version wrote", path, h.capacity));
    return h;
}

Result<std::string> read_all(const world::File& file, uint64_t offset, size_t n) {
    std::string out(n, '\0');
    TRY(size_t got, file.read_at(offset, out.data(), n));
    out.resize(got);
    return out;
}

}  // namespace

BlockCache::Block BlockCache::find(Position first, uint64_t block) {
    std::lock_guard lock(mutex_);
    auto at = by_key_.find({first, block});
    if (at == by_key_.end()) return nullptr;
    order_.splice(order_.begin(), order_, at->second);
    return at->second->second;
}

void BlockCache::put(Position first, uint64_t block, Block bytes) {
    std::lock_guard lock(mutex_);
    Key key{first, block};
    if (by_key_.contains(key)) return;
    bytes_ += bytes->size();
    order_.emplace_front(key, std::move(bytes));
    by_key_[key] = order_.begin();
    while (bytes_ > block_cache_bytes) {
        bytes_ -= order_.back().second->size();
        by_key_.erase(order_.back().first);
        order_.pop_back();
    }
}

Result<std::shared_ptr<Segment>> Segment::create(world::Disk& disk, const std::string& directory, const SegmentHeader& header) {
    std::string path = directory + "/" + segment_name(header.first, false);
    std::string temporary = path + ".tmp";
    auto made = [&]() -> Result<std::unique_ptr<world::File>> {
        TRY(auto file, disk.open(temporary, world::OpenMode::create));
        TRY_VOID(file->allocate(header.capacity));
        TRY_VOID(file->write_at(0, encode_raw_header(header)));
        TRY_VOID(file->sync_data());
        TRY_VOID(disk.rename(temporary, path));
        TRY_VOID(disk.sync_directory(directory));
        return file;
    }();
    if (!made.ok()) {
        // Gives back what a full disk lent. Where even this fails, opening the log cleans up.
        [[maybe_unused]] auto removed = disk.remove(temporary);
        return std::move(made).error().in("creating a segment");
    }
    auto segment = std::shared_ptr<Segment>(new Segment);
    segment->path_ = path;
    segment->file_ = std::move(made).value();
    segment->header_ = header;
    segment->readable_bytes_ = segment->stored_bytes_ = header.capacity;
    return segment;
}

Result<std::shared_ptr<Segment>> Segment::open_raw(world::Disk& disk, const std::string& path, Position first, world::OpenMode mode) {
    auto segment = std::shared_ptr<Segment>(new Segment);
    segment->path_ = path;
    TRY(segment->file_, disk.open(path, mode));
    TRY(std::string head, read_all(*segment->file_, 0, segment_header_bytes));
    if (head.size() < segment_header_bytes) return corrupt(fmt::format("{} is shorter than a segment's header; restore it from a copy", path));
    TRY(segment->header_, check_header(head, raw_magic, raw_header_used, first, path));
    TRY(uint64_t size, segment->file_->size());
    segment->readable_bytes_ = std::min(size, segment->header_.capacity);
    segment->stored_bytes_ = size;
    return segment;
}

Result<std::shared_ptr<Segment>> Segment::open_compressed(world::Disk& disk, const std::string& path, Position first) {
    auto segment = std::shared_ptr<Segment>(new Segment);
    segment->path_ = path;
    segment->compressed_ = true;
    TRY(segment->file_, disk.open(path, world::OpenMode::read));
    TRY(uint64_t size, segment->file_->size());
    TRY(std::string head, read_all(*segment->file_, 0, block_header_bytes));
    TRY(segment->header_, check_header(head, block_magic, block_header_bytes, first, path));
    ByteReader r(std::string_view(head).substr(48));
    uint64_t raw_bytes = r.u64();
    uint32_t of_block = r.u32(), blocks = r.u32(), index_crc = r.u32();
    auto damaged = [&] { return corrupt(fmt::format("the index of {} is damaged; restore it from a copy", path)); };
    if (raw_bytes < segment_header_bytes || raw_bytes > segment->header_.capacity || of_block < (4u << 10) || of_block > (4u << 20) ||
        blocks != (raw_bytes + of_block - 1) / of_block)
        return damaged();
    TRY(std::string index, read_all(*segment->file_, block_header_bytes, size_t{blocks} * index_entry_bytes));
    if (index.size() != size_t{blocks} * index_entry_bytes || crc32c(index) != index_crc) return damaged();
    ByteReader entries(index);
    segment->index_.reserve(blocks);
    for (uint32_t i = 0; i < blocks; ++i) {
        IndexEntry e;
        e.offset = entries.u64();
        e.bytes = entries.u32();
        e.crc = entries.u32();
        if (e.bytes > ZSTD_compressBound(of_block) || e.offset > size || e.bytes > size - e.offset) return damaged();
        segment->index_.push_back(e);
    }
    segment->block_bytes_ = of_block;
    segment->readable_bytes_ = raw_bytes;
    segment->stored_bytes_ = size;
    return segment;
}

Result<std::shared_ptr<Segment>> Segment::compress(world::Disk& disk, const std::string& directory, const Segment& raw, uint64_t raw_bytes) {
    ASSERT(!raw.compressed_ && raw_bytes >= segment_header_bytes && raw_bytes <= raw.readable_bytes_);
    std::string path = directory + "/" + segment_name(raw.first(), true);
    std::string temporary = path + ".tmp";
    uint32_t blocks = static_cast<uint32_t>((raw_bytes + block_bytes - 1) / block_bytes);
    auto size_of = [&](uint32_t block) { return std::min<uint64_t>(block_bytes, raw_bytes - uint64_t{block} * block_bytes); };

    auto written = [&]() -> Result<void> {
        TRY(auto file, disk.open(temporary, world::OpenMode::create));
        std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context(ZSTD_createCCtx(), &ZSTD_freeCCtx);
        ASSERT(context);
        std::string in(block_bytes, '\0'), out(ZSTD_compressBound(block_bytes), '\0'), index;
        ByteWriter entries(index);
        uint64_t at = block_header_bytes + uint64_t{blocks} * index_entry_bytes;
        for (uint32_t i = 0; i < blocks; ++i) {
            TRY(size_t got, raw.read(uint64_t{i} * block_bytes, in.data(), size_of(i), nullptr));
            if (got != size_of(i)) return corrupt(fmt::format("{} became shorter while it was read", raw.path_));
            size_t n = ZSTD_compressCCtx(context.get(), out.data(), out.size(), in.data(), got, compression_level);
            ASSERT(!ZSTD_isError(n));  // it can only be out of memory: the output has the size that always suffices
            std::string_view block(out.data(), n);
            TRY_VOID(file->write_at(at, block));
            entries.u64(at);
            entries.u32(static_cast<uint32_t>(n));
            entries.u32(crc32c(block));
            at += n;
        }
        std::string tail;
        ByteWriter t(tail);
        t.u64(raw.header_.first);
        t.u64(raw.header_.capacity);
        t.u64(static_cast<uint64_t>(raw.header_.created));
        t.u64(raw.header_.log_id);
        t.u64(raw_bytes);
        t.u32(block_bytes);
        t.u32(blocks);
        t.u32(crc32c(index));
        t.u32(0);
        std::string head(block_magic);
        ByteWriter h(head);
        h.u32(format_version);
        h.u32(crc32c(tail));
        h.raw(tail);
        h.raw(index);
        TRY_VOID(file->write_at(0, head));
        TRY_VOID(file->sync_data());
        file.reset();

        TRY(auto copy, open_compressed(disk, temporary, raw.first()));
        std::string back(block_bytes, '\0');
        for (uint32_t i = 0; i < blocks; ++i) {
            TRY(size_t got, raw.read(uint64_t{i} * block_bytes, in.data(), size_of(i), nullptr));
            TRY(size_t got_back, copy->read(uint64_t{i} * block_bytes, back.data(), size_of(i), nullptr));
            if (got != got_back || std::memcmp(in.data(), back.data(), got) != 0)
                return corrupt(fmt::format("{} does not read back as {}; the raw file is kept", temporary, raw.path_));
        }
        TRY_VOID(disk.rename(temporary, path));
        TRY_VOID(disk.sync_directory(directory));
        return {};
    }();
    if (!written.ok()) {
        [[maybe_unused]] auto removed = disk.remove(temporary);
        return std::move(written).error().in("compressing a segment");
    }
    return open_compressed(disk, path, raw.first());
}

Result<void> Segment::reserve() {
    ASSERT(!compressed_);
    TRY_VOID(file_->allocate(header_.capacity));
    readable_bytes_ = stored_bytes_ = header_.capacity;
    return {};
}

Result<void> Segment::decompress(uint64_t block, char* out, size_t raw_bytes, std::string& scratch) const {
    const IndexEntry& e = index_[block];
    scratch.resize(e.bytes);
    TRY(size_t got, file_->read_at(e.offset, scratch.data(), e.bytes));
    auto damaged = [&] {
        return corrupt(fmt::format("block {} of {} (from position {}) is damaged; restore the file from a copy, or look at it with: "
                                   "waybill log verify",
                                   block, path_, first() + block * block_bytes_));
    };
    if (got != e.bytes || crc32c(scratch) != e.crc) return damaged();
    if (ZSTD_decompress(out, raw_bytes, scratch.data(), scratch.size()) != raw_bytes) return damaged();
    return {};
}

Result<size_t> Segment::read(uint64_t offset, char* out, size_t n, BlockCache* cache) const {
    if (offset >= readable_bytes_) return size_t{0};
    n = std::min<uint64_t>(n, readable_bytes_ - offset);
    if (!compressed_) return file_->read_at(offset, out, n);
    std::string scratch;
    for (size_t done = 0; done < n;) {
        uint64_t block = (offset + done) / block_bytes_;
        size_t skip = (offset + done) % block_bytes_;
        size_t size = std::min<uint64_t>(block_bytes_, readable_bytes_ - block * block_bytes_);
        size_t take = std::min(n - done, size - skip);
        if (!cache && skip == 0 && take == size) {
            TRY_VOID(decompress(block, out + done, size, scratch));
        } else {
            BlockCache::Block bytes = cache ? cache->find(first(), block) : nullptr;
            if (!bytes) {
                std::string fresh(size, '\0');
                TRY_VOID(decompress(block, fresh.data(), size, scratch));
                bytes = std::make_shared<const std::string>(std::move(fresh));
                if (cache) cache->put(first(), block, bytes);
            }
            std::memcpy(out + done, bytes->data() + skip, take);
        }
        done += take;
    }
    return n;
}

std::string segment_name(Position first, bool compressed) { return fmt::format("{:020}.{}", first, compressed ? "zst" : "log"); }

std::optional<SegmentName> parse_segment_name(std::string_view name) {
    if (name.size() != 24 || (name.substr(20) != ".log" && name.substr(20) != ".zst")) return std::nullopt;
    Position first = 0;
    for (char c : name.substr(0, 20)) {
        if (c < '0' || c > '9') return std::nullopt;
        if (first > (UINT64_MAX - 9) / 10) return std::nullopt;
        first = first * 10 + static_cast<Position>(c - '0');
    }
    return SegmentName{first, name.substr(20) == ".zst"};
}

}  // namespace waybill::log
