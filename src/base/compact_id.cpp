#include "base/compact_id.h"

#include <array>

#include "base/bytes.h"

namespace waybill {
namespace {

// By table: every event names two or three ids, each of 32 digits, and a branch a digit is mispredicted half of the time.
constexpr auto hex_values = [] {
    std::array<int8_t, 256> values;
    values.fill(-1);
    for (int v = 0; v < 16; ++v) values[static_cast<unsigned char>("0123456789abcdef"[v])] = static_cast<int8_t>(v);
    return values;
}();
int hex_value(char c) { return hex_values[static_cast<unsigned char>(c)]; }

constexpr bool is_dash(size_t i) { return i == 8 || i == 13 || i == 18 || i == 23; }

bool pack_uuid(std::string_view text, std::array<uint64_t, 2>& out) {
    if (text.size() != 36) return false;
    unsigned char bytes[16];
    size_t n = 0;
    for (size_t i = 0; i < 36;) {
        if (is_dash(i)) {
            if (text[i++] != '-') return false;
            continue;
        }
        const int high = hex_value(text[i]), low = hex_value(text[i + 1]);
        if ((high | low) < 0) return false;
        bytes[n++] = static_cast<unsigned char>(high << 4 | low);
        i += 2;
    }
    std::memcpy(out.data(), bytes, 16);
    return true;
}

}  // namespace

CompactId::CompactId(std::string_view text) {
    if (!pack_uuid(text, uuid_)) uuid_ = {};
    if (!is_uuid() && !text.empty()) text_ = std::make_unique<std::string>(text);
}

CompactId& CompactId::operator=(const CompactId& other) {
    uuid_ = other.uuid_;
    text_ = other.text_ ? std::make_unique<std::string>(*other.text_) : nullptr;
    return *this;
}

std::string CompactId::str() const {
    if (!is_uuid()) return std::string(text());
    std::string hex = to_hex({reinterpret_cast<const char*>(uuid_.data()), 16});
    for (size_t i : {8, 13, 18, 23}) hex.insert(i, 1, '-');
    return hex;
}

std::strong_ordering CompactId::operator<=>(const CompactId& other) const {
    if (is_uuid() && other.is_uuid()) {
        const int c = std::memcmp(uuid_.data(), other.uuid_.data(), 16);
        return c < 0 ? std::strong_ordering::less : c > 0 ? std::strong_ordering::greater : std::strong_ordering::equal;
    }
    return str() <=> other.str();
}

}  // namespace waybill
