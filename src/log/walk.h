// Reads the frames of one segment, front to back, and says where that ends and why. Recovery, scans, compression and inspection are all
// this walk; only what they do at its end differs. A Walker belongs to one thread; the segment may be written behind `limit` meanwhile.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "log/segment.h"

namespace waybill::log {

// One record group. The payload is valid until the walk goes on.
struct Group {
    Position position = 0;
    Position next = 0;  // where to read on: behind this group, where a group, a seal or nothing stands
    TimeMs time = 0;
    std::string_view payload;
};

class Walker {
public:
    enum class Step {
        group,  // frame() and group() are it
        seal,   // the segment is complete; frame() is the seal
        limit,  // at() is the limit
        bad,    // no valid frame at at(); reason() says what is wrong
    };

    // Begins at the frame at `from`, and reads nothing at or behind `limit` (both positions in the segment; limit may be its end).
    Walker(const Segment& segment, Position from, Position limit);

    // Errors are those of the disk and of decompression; a bad frame is a step.
    Result<Step> next();

    Position at() const { return at_; }  // the frame that the next step looks at; after `bad`, the bad one
    const FrameHeader& frame() const { return frame_; }
    const Group& group() const { return group_; }
    std::string_view reason() const { return reason_; }
    // Goes on at another position; the next frame may belong to any batch.
    void jump(Position to);

private:
    Result<bool> fill(uint64_t offset, size_t n);
    const char* bytes(uint64_t offset) const { return buffer_.get() + (offset - window_); }
    Step bad(std::string_view reason) {
        reason_ = reason;
        return Step::bad;
    }

    const Segment& segment_;
    uint32_t salt_;
    Position at_;
    uint64_t limit_;   // offset
    Position batch_;   // of the frame before, or no_batch
    FrameHeader frame_;
    Group group_;
    std::string_view reason_;
    std::unique_ptr<char[]> buffer_;
    size_t buffer_bytes_ = 0;
    uint64_t window_ = 0;       // offset of buffer_[0]
    size_t window_bytes_ = 0;
    size_t read_ahead_;
};

// The first position at or behind `from` and before `limit` where a valid frame header stands whose batch begins behind `batch_behind`;
// `limit` when there is none. One pass over the bytes; payloads are not looked at.
Result<Position> find_frame(const Segment& segment, Position from, Position limit, Position batch_behind);

// Where the last byte that is not zero stands, plus one, or `from`.
Result<Position> end_of_nonzero(const Segment& segment, Position from);

}  // namespace waybill::log
