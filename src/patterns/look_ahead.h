// Fetches from memory what a lookup will need while the event is still being scanned. With very many rules the place of a key in a FieldIndex, and the rule filed there, lie in no
// cache; the scan has other work for the hundred nanoseconds that each takes. Changes nothing but time. One thread, one event at a time.
#pragma once

#include <cstdint>

#include "patterns/index.h"

namespace waybill::patterns {

class LookAhead {
public:
    // `tables[field]`: where a text at that field will be looked up, or nothing where that is small; may be nothing at all.
    // `finishes`: finish() will be called when other events were scanned, so nothing is to be hurried.
    void begin(const BranchHash* const* tables, bool finishes) {
        tables_ = tables;
        finishes_ = finishes;
        waiting_ = 0;
    }
    // Fetches what the entries lead to; by now they are there.
    void finish() {
        for (uint32_t i = 0; i < waiting_; ++i) waits_for_[i].table->prefetch_branch(waits_for_[i].hash);
        waiting_ = 0;
    }

    __attribute__((always_inline)) void text(uint32_t field, const char* data, size_t length) {
        if (!tables_ || !tables_[field] || waiting_ == places) return;
        const uint64_t hash = key_hash(KeyKind::text, data, length);
        waits_for_[waiting_++] = {tables_[field], hash, 0};
        tables_[field]->prefetch_entry(hash);
    }
    // Some more of the event was scanned.
    __attribute__((always_inline)) void step() {
        if (waiting_ != 0 && !finishes_) step_waiting();
    }

private:
    static constexpr uint32_t places = 4, steps_an_entry_takes = 4;
    struct Waiting {
        const BranchHash* table;
        uint64_t hash;
        uint32_t steps;
    };
    void step_waiting() {
        uint32_t kept = 0;
        for (uint32_t i = 0; i < waiting_; ++i) {
            if (++waits_for_[i].steps < steps_an_entry_takes) waits_for_[kept++] = waits_for_[i];
            else waits_for_[i].table->prefetch_branch(waits_for_[i].hash);
        }
        waiting_ = kept;
    }

    const BranchHash* const* tables_ = nullptr;
    Waiting waits_for_[places];
    uint32_t waiting_ = 0;
    bool finishes_ = false;
};

}  // namespace waybill::patterns
