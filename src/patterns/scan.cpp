#include "patterns/scan.h"

#include <cstring>
#include <string>

#include "event/limits.h"
#include "patterns/comparison.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define ALWAYS_INLINE __attribute__((always_inline)) inline

namespace waybill::patterns {
namespace {

// Of 64 bytes, the first in the lowest bit. Brackets are those of objects and of arrays: they differ by one bit that is set here.
struct BlockMasks {
    uint64_t quotes, backslashes, opens, closes;
};

[[maybe_unused]] ALWAYS_INLINE uint64_t prefix_xor_by_shifts(uint64_t bits) {
    for (int shift = 1; shift < 64; shift *= 2) bits ^= bits << shift;
    return bits;
}

namespace plain {

void masks_of(const char* block, BlockMasks& out) {
    out = {};
    for (unsigned i = 0; i < 64; ++i) {
        const char c = block[i], bracket = static_cast<char>(c | 0x20);
        out.quotes |= uint64_t{c == '"'} << i;
        out.backslashes |= uint64_t{c == '\\'} << i;
        out.opens |= uint64_t{bracket == '{'} << i;
        out.closes |= uint64_t{bracket == '}'} << i;
    }
}
uint64_t prefix_xor(uint64_t bits) { return prefix_xor_by_shifts(bits); }
#include "patterns/scan_walk.inc"

}  // namespace plain

#if defined(__x86_64__)

namespace sse2 {

void masks_of(const char* block, BlockMasks& out) {
    out = {};
    for (unsigned i = 0; i < 4; ++i) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block + 16 * i));
        const __m128i brackets = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
        const auto equal = [&](__m128i in, char c) { return static_cast<uint64_t>(static_cast<uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(in, _mm_set1_epi8(c))))) << 16 * i; };
        out.quotes |= equal(bytes, '"');
        out.backslashes |= equal(bytes, '\\');
        out.opens |= equal(brackets, '{');
        out.closes |= equal(brackets, '}');
    }
}
uint64_t prefix_xor(uint64_t bits) { return prefix_xor_by_shifts(bits); }
#include "patterns/scan_walk.inc"

}  // namespace sse2

#pragma clang attribute push(__attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt,pclmul"))), apply_to = function)
namespace avx2 {

ALWAYS_INLINE uint64_t equal(__m256i low, __m256i high, char c) {
    const __m256i wanted = _mm256_set1_epi8(c);
    return static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, wanted))) |
           static_cast<uint64_t>(static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, wanted)))) << 32;
}
ALWAYS_INLINE void masks_of(const char* block, BlockMasks& out) {
    const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(block)), high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(block + 32));
    const __m256i bit = _mm256_set1_epi8(0x20), low_brackets = _mm256_or_si256(low, bit), high_brackets = _mm256_or_si256(high, bit);
    out = {equal(low, high, '"'), equal(low, high, '\\'), equal(low_brackets, high_brackets, '{'), equal(low_brackets, high_brackets, '}')};
}
ALWAYS_INLINE uint64_t prefix_xor(uint64_t bits) {
    return static_cast<uint64_t>(_mm_cvtsi128_si64(_mm_clmulepi64_si128(_mm_set_epi64x(0, static_cast<long long>(bits)), _mm_set1_epi8(-1), 0)));
}
#include "patterns/scan_walk.inc"

}  // namespace avx2
#pragma clang attribute pop

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx2,bmi,bmi2,lzcnt,popcnt,pclmul"))), apply_to = function)
namespace avx512 {

ALWAYS_INLINE void masks_of(const char* block, BlockMasks& out) {
    const __m512i bytes = _mm512_loadu_si512(block), brackets = _mm512_or_si512(bytes, _mm512_set1_epi8(0x20));
    out = {_mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8('"')), _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8('\\')),
           _mm512_cmpeq_epi8_mask(brackets, _mm512_set1_epi8('{')), _mm512_cmpeq_epi8_mask(brackets, _mm512_set1_epi8('}'))};
}
ALWAYS_INLINE uint64_t prefix_xor(uint64_t bits) {
    return static_cast<uint64_t>(_mm_cvtsi128_si64(_mm_clmulepi64_si128(_mm_set_epi64x(0, static_cast<long long>(bits)), _mm_set1_epi8(-1), 0)));
}
#include "patterns/scan_walk.inc"

}  // namespace avx512
#pragma clang attribute pop

#endif

}  // namespace

ScanWidth widest_scan() {
#if defined(__x86_64__)
    static const ScanWidth widest = [] {
        __builtin_cpu_init();
        const bool bits = __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt") && __builtin_cpu_supports("pclmul") &&
                          __builtin_cpu_supports("avx2");
        if (bits && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) return ScanWidth::avx512;
        return bits ? ScanWidth::avx2 : ScanWidth::sse2;
    }();
    return widest;
#else
    return ScanWidth::plain;
#endif
}

void ScanResult::clear(uint32_t fields) {
    for (uint32_t field : met) first[field] = ScannedValue::none;
    met.clear();
    if (first.size() < fields) {
        first.resize(fields, ScannedValue::none);
        last.resize(fields, ScannedValue::none);
    }
    values.clear();
    scopes.clear();
    scopes.push_back({});
    seen.clear();
    arrays = 0;
}

void scan(std::string_view event, const PathPlan& plan, ScanResult& out, const BranchHash* const* tables, ScanWidth width, bool finishes) {
    out.clear(plan.field_count());
    out.look_ahead.begin(tables, finishes);
    if (event.size() > UINT32_MAX) return;
    switch (width) {
#if defined(__x86_64__)
        case ScanWidth::avx512: return avx512::walk(event, plan, out);
        case ScanWidth::avx2: return avx2::walk(event, plan, out);
        case ScanWidth::sse2: return sse2::walk(event, plan, out);
#else
        case ScanWidth::avx512:
        case ScanWidth::avx2:
        case ScanWidth::sse2:
#endif
        case ScanWidth::plain: return plain::walk(event, plan, out);
    }
}

}  // namespace waybill::patterns
