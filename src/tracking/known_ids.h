// The window of event identities by which a repeated event is told: the last 24 hours or 4 million identities, whichever is less
// (limits::known_event_ids). A pure function of the identities and stamped times it was given, so it is rebuilt by replay.
//
// A ring of entries in order of arrival, and an open-addressed table of ring places; both double as the window fills. Only says "seen":
// a known identity never keeps an event from being merged.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/time.h"

namespace waybill::tracking {

class KnownIds {
public:
    KnownIds();
    bool contains(const Hash128& identity) const;
    // Adds an identity that is not contained yet, and forgets those that the window has passed.
    void add(const Hash128& identity, TimeMs now);
    // A table of many megabytes is seldom in the cache: said a moment before add or contains, this brings the place that they will look at.
    void soon(const Hash128& identity) const { __builtin_prefetch(&table_[identity.low & (table_.size() - 1)]); }
    size_t size() const { return size_; }

    // For snapshots: pieces of bounded size, oldest entries first; restore takes them in the same order.
    void encode(const std::function<void(std::string_view)>& sink) const;
    bool restore(ByteReader& in);

private:
    struct Entry {
        Hash128 identity;
        uint32_t time_s = 0;
    };
    static constexpr uint32_t none = UINT32_MAX;

    size_t slot_of(const Hash128& identity) const;  // where it is, or the free slot where it would go
    void grow();
    void forget_oldest();
    void place(uint32_t index);
    void push(const Entry& entry);

    std::vector<Entry> ring_;       // a power of two
    std::vector<uint32_t> table_;   // twice as large; an index into ring_, or none
    size_t head_ = 0, size_ = 0;    // the oldest entry; how many
};

}  // namespace waybill::tracking
