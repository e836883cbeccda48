#include "log/frame.h"

#include "base/assert.h"

namespace waybill::log {

void append_frame(std::string& out, uint32_t salt, FrameKind kind, Position position, Position batch, TimeMs time,
                  std::string_view payload) {
    ASSERT(payload.size() <= max_payload_bytes);
    ASSERT(batch <= position && position - batch <= UINT32_MAX);
    size_t at = out.size();
    out.reserve(at + frame_bytes(payload.size()));
    out.append(frame_header_bytes, '\0');
    out.append(payload);
    out.append(padded(payload.size()) - payload.size(), '\0');
    char* p = out.data() + at;
    uint32_t payload_crc = crc32c({p + frame_header_bytes, padded(payload.size())}, salt);
    uint32_t length_kind = static_cast<uint32_t>(payload.size()) | static_cast<uint32_t>(kind) << 24;
    uint32_t delta = static_cast<uint32_t>(position - batch);
    std::memcpy(p + 4, &payload_crc, 4);
    std::memcpy(p + 8, &length_kind, 4);
    std::memcpy(p + 12, &delta, 4);
    std::memcpy(p + 16, &position, 8);
    std::memcpy(p + 24, &time, 8);
    uint32_t crc = crc32c({p + 4, frame_header_bytes - 4}, salt);
    std::memcpy(p, &crc, 4);
}

}  // namespace waybill::log
