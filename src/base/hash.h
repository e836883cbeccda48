// Hashes of bytes (XXH3, from libxxhash). Stable across versions and machines, so they may be kept on disk; not for secrets.
#pragma once

#include <cstdint>
#include <string_view>

namespace waybill {

struct Hash128 {
    uint64_t low = 0, high = 0;
    bool operator==(const Hash128&) const = default;
    auto operator<=>(const Hash128&) const = default;
};

uint64_t hash64(std::string_view bytes);
Hash128 hash128(std::string_view bytes);

}  // namespace waybill
