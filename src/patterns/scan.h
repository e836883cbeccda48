// Finds the values of an event at the paths of a plan, in one pass over its bytes that reads no more than it must: 64 bytes at a time become masks
// of quotes and brackets, objects that no path leads into are passed over by counting brackets, and the scan ends when every path was met.
//
// What it finds is what src/patterns/event_values.h finds: in each object the first member that leads to a path counts, so nothing that comes
// later can change what was found, and the scan may stop. The event must be valid JSON in UTF-8. Given anything else the scan ends, in linear time and without reading
// outside the event, having found anything or nothing.
//
// The masks are made by the widest instructions the processor has (AVX-512, AVX2 or SSE2), chosen when the program starts; elsewhere by plain
// arithmetic. A ScanResult belongs to one thread and keeps its memory from event to event.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "patterns/array_choice.h"
#include "patterns/look_ahead.h"
#include "patterns/path_plan.h"

namespace waybill::patterns {

enum class ValueKind : uint8_t { text, number, literal };

struct ScannedValue {
    static constexpr uint32_t none = UINT32_MAX;
    const char* data = nullptr;   // of a text: between its quotes
    uint32_t length = 0;
    uint32_t scope = 0;           // of ScanResult::scopes
    uint32_t next = none;         // value of the same field
    ValueKind kind = ValueKind::literal;
    bool escaped = false;         // a text with backslashes
    bool has_number = false;      // `number` was set
    double number = 0;

    std::string_view text() const { return {data, length}; }
};

struct ScanResult {
    std::vector<ScannedValue> values;
    std::vector<uint32_t> first, last;      // by field: into values, or none
    std::vector<uint32_t> met;              // fields that have values
    std::vector<ArrayScope> scopes;

    // Used while scanning.
    uint32_t arrays = 0;
    std::vector<uint64_t> seen;             // stack of bit sets, one a scope that is open
    LookAhead look_ahead;

    void clear(uint32_t fields);
    __attribute__((always_inline)) void add(uint32_t field, const char* data, size_t length, ValueKind kind, bool escaped, uint32_t scope) {
        const auto at = static_cast<uint32_t>(values.size());
        ScannedValue& value = values.emplace_back();
        value.data = data;
        value.length = static_cast<uint32_t>(length);
        value.scope = scope;
        value.kind = kind;
        value.escaped = escaped;
        if (first[field] == ScannedValue::none) {
            first[field] = at;
            met.push_back(field);
        } else {
            values[last[field]].next = at;
        }
        last[field] = at;
        if (kind == ValueKind::text && !escaped) look_ahead.text(field, data, length);
    }
};

enum class ScanWidth { plain, sse2, avx2, avx512 };
// The widest that this processor has.
ScanWidth widest_scan();
// Events longer than 4 GiB are not scanned.
// `tables` and `finishes`: as LookAhead::begin takes them.
void scan(std::string_view event, const PathPlan& plan, ScanResult& out, const BranchHash* const* tables = nullptr, ScanWidth width = widest_scan(),
          bool finishes = false);

}  // namespace waybill::patterns
