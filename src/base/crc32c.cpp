#include "base/crc32c.h"

#include <array>
#include <cstring>

#if defined(__SSE4_2__)
#include <nmmintrin.h>
#elif defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#endif

namespace waybill {

namespace {

constexpr uint32_t polynomial = 0x82f63b78;  // 0x1edc6f41 with its bits in the order the checksum shifts them

using Table = std::array<uint32_t, 256>;

// tables[k][b]: what byte b does to the checksum after k more bytes have gone by.
constexpr std::array<Table, 8> make_slices() {
    std::array<Table, 8> t{};
    for (uint32_t b = 0; b < 256; ++b) {
        uint32_t c = b;
        for (int i = 0; i < 8; ++i) c = (c >> 1) ^ (c & 1 ? polynomial : 0);
        t[0][b] = c;
    }
    for (size_t k = 1; k < 8; ++k)
        for (uint32_t b = 0; b < 256; ++b) t[k][b] = (t[k - 1][b] >> 8) ^ t[0][t[k - 1][b] & 0xff];
    return t;
}
constexpr std::array<Table, 8> slices = make_slices();

uint64_t load(const char* p) {
    uint64_t v;
    std::memcpy(&v, p, sizeof v);
    return v;
}

#if defined(__SSE4_2__) || defined(__ARM_FEATURE_CRC32)

#if defined(__SSE4_2__)
inline uint32_t step8(uint32_t crc, uint64_t v) { return static_cast<uint32_t>(_mm_crc32_u64(crc, v)); }
inline uint32_t step1(uint32_t crc, char v) { return _mm_crc32_u8(crc, static_cast<uint8_t>(v)); }
#else
inline uint32_t step8(uint32_t crc, uint64_t v) { return __crc32cd(crc, v); }
inline uint32_t step1(uint32_t crc, char v) { return __crc32cb(crc, static_cast<uint8_t>(v)); }
#endif

// Passing n zero bytes through the checksum is linear in its 32 bits: four tables of 256 hold it, one for each byte of the checksum.
struct Skip {
    std::array<Table, 4> t{};
    uint32_t operator()(uint32_t crc) const {
        return t[0][crc & 0xff] ^ t[1][(crc >> 8) & 0xff] ^ t[2][(crc >> 16) & 0xff] ^ t[3][crc >> 24];
    }
};

constexpr Skip make_skip(size_t n) {  // n is a power of two
    std::array<uint32_t, 32> column{};  // what bit i becomes
    for (uint32_t i = 0; i < 32; ++i) {
        uint32_t c = uint32_t{1} << i;
        for (int k = 0; k < 8; ++k) c = (c >> 1) ^ (c & 1 ? polynomial : 0);
        column[i] = c;
    }
    for (; n > 1; n /= 2) {  // twice the distance: the map applied to its own columns
        std::array<uint32_t, 32> twice{};
        for (uint32_t i = 0; i < 32; ++i)
            for (uint32_t bit = 0; bit < 32; ++bit)
                if ((column[i] >> bit) & 1) twice[i] ^= column[bit];
        column = twice;
    }
    Skip s;
    for (uint32_t byte = 0; byte < 4; ++byte)
        for (uint32_t v = 0; v < 256; ++v)
            for (uint32_t bit = 0; bit < 8; ++bit)
                if ((v >> bit) & 1) s.t[byte][v] ^= column[byte * 8 + bit];
    return s;
}

// The instruction takes three cycles and can start every cycle, so three neighbouring blocks are summed side by side and joined.
constexpr size_t long_block = 4096, short_block = 128;
constexpr Skip skip_long = make_skip(long_block), skip_short = make_skip(short_block);

template <size_t block>
uint32_t three(uint32_t crc, const char* p, const Skip& skip) {
    uint32_t a = crc, b = 0, c = 0;
    for (size_t i = 0; i < block; i += 8) {
        a = step8(a, load(p + i));
        b = step8(b, load(p + block + i));
        c = step8(c, load(p + 2 * block + i));
    }
    return skip(skip(a) ^ b) ^ c;
}

#endif

}  // namespace

uint32_t crc32c_portable(std::string_view bytes, uint32_t before) {
    const char* p = bytes.data();
    size_t n = bytes.size();
    uint32_t crc = ~before;
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t v = load(p) ^ crc;
        crc = 0;
        for (size_t k = 0; k < 8; ++k) crc ^= slices[7 - k][(v >> (8 * k)) & 0xff];
    }
    for (; n > 0; ++p, --n) crc = (crc >> 8) ^ slices[0][(crc ^ static_cast<uint8_t>(*p)) & 0xff];
    return ~crc;
}

uint32_t crc32c(std::string_view bytes, uint32_t before) {
#if defined(__SSE4_2__) || defined(__ARM_FEATURE_CRC32)
    const char* p = bytes.data();
    size_t n = bytes.size();
    uint32_t crc = ~before;
    for (; n >= 3 * long_block; p += 3 * long_block, n -= 3 * long_block) crc = three<long_block>(crc, p, skip_long);
    for (; n >= 3 * short_block; p += 3 * short_block, n -= 3 * short_block) crc = three<short_block>(crc, p, skip_short);
    for (; n >= 8; p += 8, n -= 8) crc = step8(crc, load(p));
    for (; n > 0; ++p, --n) crc = step1(crc, *p);
    return ~crc;
#else
    return crc32c_portable(bytes, before);
#endif
}

}  // namespace waybill
