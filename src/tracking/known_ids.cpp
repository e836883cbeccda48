#include "tracking/known_ids.h"

#include "base/assert.h"
#include "event/limits.h"

namespace waybill::tracking {

KnownIds::KnownIds() : ring_(1024), table_(2048, none) {}

size_t KnownIds::slot_of(const Hash128& identity) const {
    const size_t mask = table_.size() - 1;
    size_t slot = identity.low & mask;
    while (table_[slot] != none && ring_[table_[slot]].identity != identity) slot = (slot + 1) & mask;
    return slot;
}

bool KnownIds::contains(const Hash128& identity) const { return table_[slot_of(identity)] != none; }

void KnownIds::place(uint32_t index) {
    const size_t slot = slot_of(ring_[index].identity);
    ASSERT(table_[slot] == none);
    table_[slot] = index;
}

void KnownIds::add(const Hash128& identity, TimeMs now) {
    const auto now_s = static_cast<uint32_t>(now / 1000);
    const auto oldest_s = static_cast<uint32_t>((now - limits::known_event_ids_ms) / 1000);
    while (size_ && (size_ >= limits::known_event_ids || ring_[head_].time_s < oldest_s)) forget_oldest();
    push({identity, now_s});
}

void KnownIds::push(const Entry& entry) {
    if (size_ == ring_.size()) grow();
    const size_t at = (head_ + size_++) & (ring_.size() - 1);
    ring_[at] = entry;
    place(static_cast<uint32_t>(at));
}

void KnownIds::forget_oldest() {
    // Deletion from a linearly probed table: what follows the hole moves back into it where its probe passes there.
    const size_t mask = table_.size() - 1;
    soon(ring_[(head_ + 4) & (ring_.size() - 1)].identity);  // they are forgotten in the order of the ring
    size_t hole = slot_of(ring_[head_].identity);
    for (size_t next = (hole + 1) & mask; table_[next] != none; next = (next + 1) & mask) {
        const size_t home = ring_[table_[next]].identity.low & mask;
        if (((next - home) & mask) >= ((next - hole) & mask)) {
            table_[hole] = table_[next];
            hole = next;
        }
    }
    table_[hole] = none;
    head_ = (head_ + 1) & (ring_.size() - 1);
    --size_;
}

void KnownIds::grow() {
    std::vector<Entry> ring(ring_.size() * 2);
    for (size_t i = 0; i < size_; ++i) ring[i] = ring_[(head_ + i) & (ring_.size() - 1)];
    ring_ = std::move(ring);
    head_ = 0;
    table_.assign(ring_.size() * 2, none);
    for (size_t i = 0; i < size_; ++i) place(static_cast<uint32_t>(i));
}

void KnownIds::encode(const std::function<void(std::string_view)>& sink) const {
    constexpr size_t piece_entries = 16384;
    std::string piece;
    for (size_t from = 0; from < size_; from += piece_entries) {
        piece.clear();
        ByteWriter out(piece);
        for (size_t i = from; i < std::min(size_, from + piece_entries); ++i) {
            const Entry& e = ring_[(head_ + i) & (ring_.size() - 1)];
            out.u64(e.identity.low);
            out.u64(e.identity.high);
            out.u32(e.time_s);
        }
        sink(piece);
    }
}

bool KnownIds::restore(ByteReader& in) {
    while (in.left()) {
        Entry e;
        e.identity.low = in.u64();
        e.identity.high = in.u64();
        e.time_s = in.u32();
        if (in.failed() || contains(e.identity) || size_ >= limits::known_event_ids) return false;
        push(e);
    }
    return true;
}

}  // namespace waybill::tracking
