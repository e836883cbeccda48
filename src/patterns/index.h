// Where the branches of rules are filed: one FieldIndex for each path, that gives for a value the branches that a test of this value may fulfil. Every branch is
// filed under exactly one of its clauses.
//
// Everything here is persistent: a new snapshot copies a FieldIndex, which copies pointers, and changes what it must. What was made during the same edit is
// changed in place. After finish() nothing changes any more, and any thread may read.
//
//   exact texts, numbers, literals, texts ignoring case, prefixes, suffixes, networks   BranchHash, by a hash of (kind, bytes); prefixes and suffixes
//                                                                                       are looked up once for each length there is
//   numeric ranges                                                                      sorted by their low end, blocks know their highest high end
//   wildcards                                                                           sets of at most wildcards_an_automaton (automaton.h)
//   exists, anything-but, absence                                                       plain lists
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "patterns/automaton.h"
#include "patterns/compiled_rule.h"

namespace waybill::patterns {

// Of what kind the bytes are that a hash was made of.
enum class KeyKind : uint8_t { text, number, literal, text_ignoring_case, prefix, suffix, prefix_ignoring_case, suffix_ignoring_case, network_v4, network_v6 };
constexpr size_t key_kinds = 10;

inline uint64_t mix(uint64_t a, uint64_t b) {
    const auto product = static_cast<unsigned __int128>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

// In memory only, never kept: it may change from version to version.
inline uint64_t key_hash(KeyKind kind, const char* p, size_t n) {
    constexpr uint64_t odd[] = {0x9e3779b97f4a7c15u, 0xd1b54a32d192ed03u, 0x8cb92ba72f3d8dd7u};
    uint64_t h = (n << 8 | static_cast<uint64_t>(kind)) * odd[0];
    uint64_t word;
    while (n >= 8) {
        std::memcpy(&word, p, 8);
        h = mix(h ^ word, odd[1]);
        p += 8;
        n -= 8;
    }
    if (n >= 4) {
        uint32_t low, high;
        std::memcpy(&low, p, 4);
        std::memcpy(&high, p + n - 4, 4);
        word = low | static_cast<uint64_t>(high) << 32;
    } else if (n > 0) {
        word = static_cast<uint64_t>(static_cast<unsigned char>(p[0])) | static_cast<uint64_t>(static_cast<unsigned char>(p[n / 2])) << 8 |
               static_cast<uint64_t>(static_cast<unsigned char>(p[n - 1])) << 16;
    } else {
        word = 0;
    }
    return mix(h ^ word, odd[2]);
}

class BranchHash {
public:
    // Calls `found` with each branch filed under the hash (or, with a chance of 2^-64 each, another key of the same hash).
    template <class Found>
    void find(uint64_t hash, Found&& found) const {
        const Entry* entry = lookup(hash);
        if (!entry) return;
        if (!(entry->ref & 1)) {
            found(*reinterpret_cast<const Branch*>(entry->ref));
        } else {
            for (const Branch* branch : reinterpret_cast<const List*>(entry->ref & ~uintptr_t{1})->items) found(*branch);
        }
    }
    size_t count(uint64_t hash) const;
    bool empty() const { return entries_ == 0; }
    size_t keys() const { return entries_; }

    // For LookAhead; the table is not empty.
    void prefetch_entry(uint64_t hash) const { __builtin_prefetch(slots_[shard_of(hash)] + (hash & mask_)); }
    void prefetch_branch(uint64_t hash) const {
        const Entry* entry = lookup(hash);
        if (!entry) return;
        const auto* branch = reinterpret_cast<const char*>(entry->ref & ~uintptr_t{1});
        __builtin_prefetch(branch);
        __builtin_prefetch(branch + 64);
    }

    void add(uint64_t hash, const Branch* branch, uint64_t edit);
    void remove(uint64_t hash, const Branch* branch, uint64_t edit);

private:
    struct Entry {
        uint64_t hash = 0;
        uintptr_t ref = 0;   // Branch*, or List* with the lowest bit set; 0 where there is none
    };
    struct List {
        uint64_t edit = 0;
        std::vector<const Branch*> items;
    };
    struct Shard {
        uint64_t edit = 0;
        uint32_t used = 0;
        std::vector<Entry> slots;
        std::vector<std::shared_ptr<List>> lists;
    };
    static constexpr uint32_t shard_slots = 128;  // small enough to copy for one change, large enough that a directory of shards is small

    const Entry* lookup(uint64_t hash) const {
        if (entries_ == 0) return nullptr;
        const Entry* slots = slots_[shard_of(hash)];
        for (uint64_t i = hash;; ++i) {
            const Entry& entry = slots[i & mask_];
            if (entry.ref == 0) return nullptr;
            if (entry.hash == hash) return &entry;
        }
    }
    size_t shard_of(uint64_t hash) const { return shard_bits_ == 0 ? 0 : hash >> (64 - shard_bits_); }
    Shard& own(size_t shard, uint64_t edit);
    void place(Shard& shard, Entry entry) const;
    void resize(uint32_t slots, uint32_t shard_bits, uint64_t edit);

    std::vector<std::shared_ptr<Shard>> shards_;
    std::vector<const Entry*> slots_;   // of each shard: a lookup needs no more
    uint32_t shard_bits_ = 0;
    uint64_t mask_ = 0;
    size_t entries_ = 0;
};

struct FieldIndex {
    struct KeyLength {
        KeyKind kind;
        uint32_t length;   // bytes of a prefix or suffix, bits of a network
        uint32_t count;
    };
    struct Range {
        NumberRange range;
        const Branch* branch;
    };
    struct Wildcards {
        uint64_t edit = 0;
        std::vector<std::pair<std::string, const Branch*>> items;
        std::shared_ptr<const WildcardSet> set;   // of the items, in their order; nothing while they change
    };
    static constexpr size_t range_block = 16;

    uint64_t edit = 0;
    BranchHash hash;
    uint32_t keys[key_kinds] = {};        // how many of each kind are in `hash`
    std::vector<KeyLength> lengths;
    std::vector<Range> ranges;            // by low end
    std::vector<double> highest;          // of each block of ranges
    bool ranges_sorted = true;
    std::vector<std::shared_ptr<Wildcards>> wildcards;
    std::vector<const Branch*> present, but, absent;

    bool empty() const;
    // Under each test of the branch's driving clause.
    void file(const Branch& branch, uint64_t change);
    void unfile(const Branch& branch, uint64_t change);
    void finish();
    // How many branches are filed under the same key, or under any for kinds without keys.
    size_t crowd(const CompiledRule& rule, const CompiledTest& test) const;

    static bool keyed(TestKind kind, KeyKind& key);
    static uint64_t hash_of(const CompiledRule& rule, const CompiledTest& test, KeyKind kind);

private:
    void count_length(KeyKind kind, uint32_t length, int by);
};

}  // namespace waybill::patterns
