// An identifier as CodePipeline writes it, kept small: a lower-case UUID takes its 16 bytes and no heap; any other text is kept as it
// is. Two CompactIds are equal exactly when their texts are.
#pragma once

#include <array>
#include <compare>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "base/hash.h"

namespace waybill {

class CompactId {
public:
    CompactId() = default;
    explicit CompactId(std::string_view text);
    CompactId(const CompactId& other) { *this = other; }
    CompactId(CompactId&&) = default;
    CompactId& operator=(const CompactId& other);
    CompactId& operator=(CompactId&&) = default;

    std::string str() const;
    bool empty() const { return !text_ && !is_uuid(); }
    uint64_t hash() const {
        return text_ ? hash64(*text_) : uuid_[0] ^ (uuid_[1] * 0x9e3779b97f4a7c15ull);
    }
    bool operator==(const CompactId& other) const {
        return uuid_ == other.uuid_ && text() == other.text();
    }
    // By text, so that the order is the one that a reader of the texts sees.
    std::strong_ordering operator<=>(const CompactId& other) const;

private:
    std::string_view text() const { return text_ ? std::string_view(*text_) : std::string_view(); }

    // The nil UUID is kept as text, so zero bytes without text mean empty.
    bool is_uuid() const { return uuid_[0] != 0 || uuid_[1] != 0; }

    std::array<uint64_t, 2> uuid_{};
    std::unique_ptr<std::string> text_;
};

}  // namespace waybill
