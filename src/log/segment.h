// One segment file of the log, raw or compressed: its header, its name, and its bytes by offset as if it were raw. What the bytes mean
// (frames) is src/log/walk.h; which segments there are is src/log/log.h. The format is docs/log-format.md.
//
// A Segment may be read from any thread, also while its owner writes behind what is read, and for as long as somebody holds it, also
// after its file was removed. write() and sync() are the owner's: one thread.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "log/frame.h"
#include "world/disk.h"

namespace waybill::log {

constexpr uint32_t block_bytes = 256 << 10;              // raw bytes of one block of a compressed segment
constexpr size_t block_cache_bytes = size_t{8} << 20;    // decompressed blocks kept for reads by position, over all segments

struct SegmentHeader {
    Position first = 0;
    uint64_t capacity = 0;
    TimeMs created = 0;
    uint64_t log_id = 0;
};

// The newest decompressed blocks, whoever asked for them. Thread-safe; holds its lock only to look up and to put.
class BlockCache {
public:
    using Block = std::shared_ptr<const std::string>;
    Block find(Position first, uint64_t block);
    void put(Position first, uint64_t block, Block bytes);

private:
    using Key = std::pair<Position, uint64_t>;
    using Order = std::list<std::pair<Key, Block>>;
    std::mutex mutex_;
    Order order_;  // most recently used first
    std::map<Key, Order::iterator> by_key_;
    size_t bytes_ = 0;
};

class Segment {
public:
    Segment(const Segment&) = delete;
    Segment& operator=(const Segment&) = delete;

    // Creates the raw file under its name, with its room reserved; on return it survives a crash.
    static Result<std::shared_ptr<Segment>> create(world::Disk& disk, const std::string& directory, const SegmentHeader& header);
    static Result<std::shared_ptr<Segment>> open_raw(world::Disk& disk, const std::string& path, Position first, world::OpenMode mode);
    static Result<std::shared_ptr<Segment>> open_compressed(world::Disk& disk, const std::string& path, Position first);
    // Writes raw's first raw_bytes (up to the end of its seal) as a compressed file beside it and compares the two before the new one
    // gets its name, so that on return the raw file may go. Leaves raw as it is. `overloaded` when there is no room for both.
    static Result<std::shared_ptr<Segment>> compress(world::Disk& disk, const std::string& directory, const Segment& raw, uint64_t raw_bytes);

    Position first() const { return header_.first; }
    Position end() const { return header_.first + header_.capacity; }  // where the next segment begins
    const SegmentHeader& header() const { return header_; }
    bool compressed() const { return compressed_; }
    uint64_t readable_bytes() const { return readable_bytes_; }  // raw bytes that there are, from offset 0
    uint64_t stored_bytes() const { return stored_bytes_; }      // what it takes on disk

    // Raw bytes at an offset; fewer than n only where there are no more. With a cache, blocks come from it and go to it. Reading whole
    // blocks (offset a multiple of block_size()) without one decompresses straight into `out`.
    Result<size_t> read(uint64_t offset, char* out, size_t n, BlockCache* cache) const;
    uint64_t block_size() const { return compressed_ ? block_bytes_ : 1; }

    Result<void> write(uint64_t offset, std::string_view bytes) { return file_->write_at(offset, bytes); }
    Result<void> sync() { return file_->sync_data(); }
    Result<void> reserve();  // makes sure that a raw file is as long as its capacity

private:
    struct IndexEntry {
        uint64_t offset;
        uint32_t bytes;
        uint32_t crc;
    };
    Segment() = default;
    Result<void> decompress(uint64_t block, char* out, size_t raw_bytes, std::string& scratch) const;

    std::string path_;
    std::unique_ptr<world::File> file_;
    SegmentHeader header_;
    bool compressed_ = false;
    uint64_t readable_bytes_ = 0;
    uint64_t stored_bytes_ = 0;
    uint32_t block_bytes_ = 0;
    std::vector<IndexEntry> index_;
};

using Segments = std::vector<std::shared_ptr<Segment>>;  // ascending, one beginning where the one before ends

std::string segment_name(Position first, bool compressed);
struct SegmentName {
    Position first;
    bool compressed;
};
std::optional<SegmentName> parse_segment_name(std::string_view name);

}  // namespace waybill::log
