// One frame of the log, as docs/log-format.md fixes it: the 32 bytes in front of every record group, how they are written and how they
// are checked. Pure functions over bytes; any thread.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/crc32c.h"
#include "base/time.h"
#include "event/position.h"

namespace waybill::log {

constexpr uint32_t format_version = 1;
constexpr size_t frame_header_bytes = 32;
constexpr size_t frame_alignment = 8;
constexpr size_t segment_header_bytes = 4096;                // the first frame's offset in its segment
constexpr size_t max_payload_bytes = size_t{8} << 20;        // of one group
constexpr uint64_t min_segment_bytes = uint64_t{64} << 10;
constexpr uint64_t max_segment_bytes = uint64_t{1} << 30;

enum class FrameKind : uint8_t { group = 1, seal = 2 };

constexpr size_t padded(size_t n) { return (n + frame_alignment - 1) & ~(frame_alignment - 1); }
constexpr size_t frame_bytes(size_t payload_bytes) { return frame_header_bytes + padded(payload_bytes); }
// The largest payload that a segment of this capacity can hold: beside it stand the segment's header and the seal.
constexpr size_t max_payload_in(uint64_t capacity) {
    uint64_t room = capacity - segment_header_bytes - 2 * frame_header_bytes;
    return room < max_payload_bytes ? room : max_payload_bytes;
}

struct FrameHeader {
    uint32_t payload_crc = 0;
    uint32_t length = 0;  // of the payload, without padding
    FrameKind kind = FrameKind::group;
    Position batch = 0;  // where its batch begins
    Position position = 0;
    TimeMs time = 0;

    size_t frame_size() const { return frame_bytes(length); }
    Position next() const { return position + frame_size(); }
};

// What every checksum of the log begins with.
inline uint32_t salt_of(uint64_t log_id) { return crc32c({reinterpret_cast<const char*>(&log_id), sizeof log_id}); }

// Appends a whole frame. `payload` is at most max_payload_bytes.
void append_frame(std::string& out, uint32_t salt, FrameKind kind, Position position, Position batch, TimeMs time, std::string_view payload);

// Reads the 32 bytes at p. False unless they are a header that was written for exactly this position.
inline bool parse_frame_header(const char* p, uint32_t salt, Position position, FrameHeader& out) {
    Position own;
    std::memcpy(&own, p + 16, 8);
    if (own != position) return false;  // first, since it settles a search at once
    uint32_t crc, length_kind, delta;
    std::memcpy(&crc, p, 4);
    if (crc32c({p + 4, frame_header_bytes - 4}, salt) != crc) return false;
    std::memcpy(&out.payload_crc, p + 4, 4);
    std::memcpy(&length_kind, p + 8, 4);
    std::memcpy(&delta, p + 12, 4);
    std::memcpy(&out.time, p + 24, 8);
    out.length = length_kind & 0xffffff;
    uint8_t kind = static_cast<uint8_t>(length_kind >> 24);
    if (kind != 1 && kind != 2) return false;
    if (out.length > max_payload_bytes || delta > position) return false;
    out.kind = static_cast<FrameKind>(kind);
    out.position = position;
    out.batch = position - delta;
    return true;
}

// `body` is the payload with its padding.
inline bool payload_is_whole(const FrameHeader& header, std::string_view body, uint32_t salt) {
    return crc32c(body, salt) == header.payload_crc;
}

}  // namespace waybill::log
