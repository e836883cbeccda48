#include "log/walk.h"

#include <algorithm>

namespace waybill::log {

namespace {

constexpr Position no_batch = UINT64_MAX;
// Reading begins small, for those who want one group, and grows to what keeps a scan in the processor's cache and the calls few.
constexpr size_t first_read = size_t{32} << 10;
constexpr size_t largest_read = size_t{512} << 10;

}  // namespace

Walker::Walker(const Segment& segment, Position from, Position limit)
    : segment_(segment), salt_(salt_of(segment.header().log_id)), at_(from), batch_(no_batch), read_ahead_(first_read) {
    ASSERT(from >= segment.first() && limit <= segment.end());
    limit_ = std::min(limit - segment.first(), segment.readable_bytes());
}

void Walker::jump(Position to) {
    at_ = to;
    batch_ = no_batch;
}

// Makes [offset, offset + n) stand in the buffer. False when it does not exist.
Result<bool> Walker::fill(uint64_t offset, size_t n) {
    if (offset >= window_ && offset + n <= window_ + window_bytes_) return true;
    if (offset > limit_ || n > limit_ - offset) return false;
    // Keeps what is already there, and ends each read on a block's boundary, so that no block is decompressed twice.
    bool within = offset >= window_ && offset < window_ + window_bytes_;
    uint64_t block = segment_.block_size();
    uint64_t begin = within ? offset : offset / block * block;
    size_t kept = within ? window_ + window_bytes_ - offset : 0;
    uint64_t end = std::max<uint64_t>(offset + n, begin + kept + read_ahead_);
    end = std::min((end + block - 1) / block * block, segment_.readable_bytes());
    if (block == 1) end = std::min(end, limit_);
    size_t need = end - begin;
    if (need > buffer_bytes_) {
        size_t bytes = std::max(need, buffer_bytes_ * 2);
        auto larger = std::make_unique_for_overwrite<char[]>(bytes);
        if (kept) std::memcpy(larger.get(), this->bytes(offset), kept);
        buffer_ = std::move(larger);
        buffer_bytes_ = bytes;
    } else if (kept) {
        std::memmove(buffer_.get(), this->bytes(offset), kept);
    }
    window_ = begin;
    window_bytes_ = kept;
    TRY(size_t got, segment_.read(begin + kept, buffer_.get() + kept, need - kept, nullptr));
    window_bytes_ = kept + got;
    read_ahead_ = std::min(read_ahead_ * 4, largest_read);
    return offset + n <= window_ + window_bytes_;
}

Result<Walker::Step> Walker::next() {
    uint64_t offset = at_ - segment_.first();
    if (offset >= limit_) return Step::limit;
    TRY(bool there, fill(offset, frame_header_bytes));
    if (!there) return bad("the segment ends inside a frame's header");
    if (!parse_frame_header(bytes(offset), salt_, at_, frame_)) return bad("no frame header of this position stands here");
    if (batch_ != no_batch && frame_.batch != batch_ && frame_.batch != at_) return bad("the frame belongs to a batch that cannot stand here");
    size_t size = frame_.frame_size();
    uint64_t room = segment_.header().capacity - offset;
    if (frame_.kind == FrameKind::seal) {
        if (frame_.length != 0 || size > room) return bad("a seal that no version wrote stands here");
    } else if (size + frame_header_bytes > room) {
        return bad("the frame reaches beyond its segment");
    }
    TRY(there, fill(offset, size));
    if (!there) return bad("the segment ends inside the frame's payload");
    std::string_view body(bytes(offset) + frame_header_bytes, size - frame_header_bytes);
    if (!payload_is_whole(frame_, body, salt_)) return bad("the payload's checksum does not match");
    batch_ = frame_.batch;
    at_ += size;
    if (frame_.kind == FrameKind::seal) return Step::seal;
    group_ = {frame_.position, at_, frame_.time, body.substr(0, frame_.length)};
    return Step::group;
}

Result<Position> find_frame(const Segment& segment, Position from, Position limit, Position batch_behind) {
    uint32_t salt = salt_of(segment.header().log_id);
    uint64_t end = std::min(limit - segment.first(), segment.readable_bytes());
    uint64_t offset = padded(from - segment.first());
    std::string buffer(offset < end ? std::min<uint64_t>(largest_read, end - offset) : 0, '\0');
    while (offset + frame_header_bytes <= end) {
        TRY(size_t got, segment.read(offset, buffer.data(), std::min<uint64_t>(buffer.size(), end - offset), nullptr));
        if (got < frame_header_bytes) break;
        size_t i = 0;
        for (; i + frame_header_bytes <= got; i += frame_alignment) {
            FrameHeader header;
            Position here = segment.first() + offset + i;
            if (parse_frame_header(buffer.data() + i, salt, here, header) && header.batch > batch_behind) return here;
        }
        offset += i;
    }
    return limit;
}

Result<Position> end_of_nonzero(const Segment& segment, Position from) {
    Position end = from;
    uint64_t there = segment.readable_bytes() - std::min(from - segment.first(), segment.readable_bytes());
    std::string buffer(std::min<uint64_t>(largest_read, there), '\0');
    static const std::string zeros(largest_read, '\0');
    for (uint64_t offset = from - segment.first(); offset < segment.readable_bytes();) {
        TRY(size_t got, segment.read(offset, buffer.data(), buffer.size(), nullptr));
        if (got == 0) break;
        if (std::memcmp(buffer.data(), zeros.data(), got) != 0) {
            size_t last = got;
            while (buffer[last - 1] == 0) --last;
            end = segment.first() + offset + last;
        }
        offset += got;
    }
    return end;
}

}  // namespace waybill::log
