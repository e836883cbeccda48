#include "patterns/index.h"

#include <algorithm>
#include <limits>

#include "base/assert.h"

namespace waybill::patterns {
namespace {

void erase_one(std::vector<const Branch*>& from, const Branch* branch) {
    const auto at = std::ranges::find(from, branch);
    ASSERT(at != from.end());
    *at = from.back();
    from.pop_back();
}

bool has_length(KeyKind kind) { return kind >= KeyKind::prefix; }

}  // namespace

size_t BranchHash::count(uint64_t hash) const {
    const Entry* entry = lookup(hash);
    if (!entry) return 0;
    return entry->ref & 1 ? reinterpret_cast<const List*>(entry->ref & ~uintptr_t{1})->items.size() : 1;
}

BranchHash::Shard& BranchHash::own(size_t shard, uint64_t edit) {
    if (shards_[shard]->edit != edit) {
        auto copy = std::make_shared<Shard>(*shards_[shard]);
        copy->edit = edit;
        shards_[shard] = std::move(copy);
        slots_[shard] = shards_[shard]->slots.data();
    }
    return *shards_[shard];
}

void BranchHash::place(Shard& shard, Entry entry) const {
    uint64_t i = entry.hash;
    while (shard.slots[i & mask_].ref != 0) ++i;
    shard.slots[i & mask_] = entry;
    ++shard.used;
}

void BranchHash::resize(uint32_t slots, uint32_t shard_bits, uint64_t edit) {
    const std::vector<std::shared_ptr<Shard>> old = std::move(shards_);
    shards_.clear();
    slots_.clear();
    mask_ = slots - 1;
    shard_bits_ = shard_bits;
    for (size_t i = 0; i < size_t{1} << shard_bits; ++i) {
        auto shard = std::make_shared<Shard>();
        shard->edit = edit;
        shard->slots.resize(slots);
        slots_.push_back(shard->slots.data());
        shards_.push_back(std::move(shard));
    }
    for (const auto& from : old) {
        std::vector<std::shared_ptr<List>> lists = from->lists;
        std::ranges::sort(lists);
        for (const Entry& entry : from->slots) {
            if (entry.ref == 0) continue;
            Shard& to = *shards_[shard_of(entry.hash)];
            // Far more keys than chance allows have the same leading bits: larger shards then, not more of them.
            if (to.used + 1 >= slots) return shards_ = old, resize(slots * 2, shard_bits, edit);
            place(to, entry);
            if (entry.ref & 1)
                to.lists.push_back(*std::ranges::lower_bound(lists, reinterpret_cast<List*>(entry.ref & ~uintptr_t{1}), {}, &std::shared_ptr<List>::get));
        }
    }
}

void BranchHash::add(uint64_t hash, const Branch* branch, uint64_t edit) {
    if (shards_.empty()) resize(8, 0, edit);
    if (lookup(hash)) {
        Shard& shard = own(shard_of(hash), edit);
        Entry& entry = *std::ranges::find_if(shard.slots, [&](const Entry& e) { return e.ref != 0 && e.hash == hash; });
        if (!(entry.ref & 1)) {
            auto list = std::make_shared<List>();
            list->edit = edit;
            list->items = {reinterpret_cast<const Branch*>(entry.ref), branch};
            entry.ref = reinterpret_cast<uintptr_t>(list.get()) | 1;
            shard.lists.push_back(std::move(list));
            return;
        }
        auto* list = reinterpret_cast<List*>(entry.ref & ~uintptr_t{1});
        if (list->edit != edit) {
            auto copy = std::make_shared<List>(*list);
            copy->edit = edit;
            entry.ref = reinterpret_cast<uintptr_t>(copy.get()) | 1;
            std::ranges::find(shard.lists, list, &std::shared_ptr<List>::get)->swap(copy);
            list = reinterpret_cast<List*>(entry.ref & ~uintptr_t{1});
        }
        list->items.push_back(branch);
        return;
    }
    const auto slots = static_cast<uint32_t>(mask_ + 1);
    const bool crowded = (entries_ + 1) * 8 > (size_t{slots} << shard_bits_) * 5;
    const bool full = shards_[shard_of(hash)]->used + 1 >= slots - slots / 8;
    if (crowded && slots >= shard_slots) resize(slots, shard_bits_ + 1, edit);
    else if (crowded || full) resize(slots * 2, shard_bits_, edit);
    place(own(shard_of(hash), edit), {hash, reinterpret_cast<uintptr_t>(branch)});
    ++entries_;
}

void BranchHash::remove(uint64_t hash, const Branch* branch, uint64_t edit) {
    ASSERT(lookup(hash) != nullptr);
    Shard& shard = own(shard_of(hash), edit);
    Entry& entry = *std::ranges::find_if(shard.slots, [&](const Entry& e) { return e.ref != 0 && e.hash == hash; });
    if (entry.ref & 1) {
        auto* list = reinterpret_cast<List*>(entry.ref & ~uintptr_t{1});
        const auto place_of_list = std::ranges::find(shard.lists, list, &std::shared_ptr<List>::get);
        if (list->edit != edit) {
            *place_of_list = std::make_shared<List>(*list);
            list = place_of_list->get();
            list->edit = edit;
            entry.ref = reinterpret_cast<uintptr_t>(list) | 1;
        }
        erase_one(list->items, branch);
        if (list->items.size() > 1) return;
        entry.ref = reinterpret_cast<uintptr_t>(list->items[0]);
        shard.lists.erase(place_of_list);
        return;
    }
    ASSERT(entry.ref == reinterpret_cast<uintptr_t>(branch));
    // The others of the shard are placed anew: it is small, and no mark is left that lookups would have to pass.
    const std::vector<Entry> old = std::exchange(shard.slots, std::vector<Entry>(mask_ + 1));
    slots_[shard_of(hash)] = shard.slots.data();
    shard.used = 0;
    for (const Entry& e : old) {
        if (e.ref != 0 && e.hash != hash) place(shard, e);
    }
    --entries_;
}

bool FieldIndex::empty() const {
    return hash.empty() && ranges.empty() && wildcards.empty() && present.empty() && but.empty() && absent.empty();
}

bool FieldIndex::keyed(TestKind kind, KeyKind& key) {
    switch (kind) {
        case TestKind::text: return key = KeyKind::text, true;
        case TestKind::number: return key = KeyKind::number, true;
        case TestKind::literal: return key = KeyKind::literal, true;
        case TestKind::prefix: return key = KeyKind::prefix, true;
        case TestKind::suffix: return key = KeyKind::suffix, true;
        case TestKind::text_ignoring_case: return key = KeyKind::text_ignoring_case, true;
        case TestKind::prefix_ignoring_case: return key = KeyKind::prefix_ignoring_case, true;
        case TestKind::suffix_ignoring_case: return key = KeyKind::suffix_ignoring_case, true;
        case TestKind::cidr: return key = KeyKind::network_v4, true;  // or v6: the network says
        case TestKind::wildcard:
        case TestKind::numeric:
        case TestKind::exists:
        case TestKind::absent:
        case TestKind::anything_but: return false;
    }
    return false;
}

uint64_t FieldIndex::hash_of(const CompiledRule& rule, const CompiledTest& test, KeyKind kind) {
    if (test.kind() == TestKind::cidr) {
        const Network network = rule.value<Network>(test);
        char key[17];
        key[0] = static_cast<char>(network.bits);
        std::memcpy(key + 1, network.address.data(), 16);
        return key_hash(network.v6 ? KeyKind::network_v6 : KeyKind::network_v4, key, sizeof key);
    }
    return key_hash(kind, rule.text(test).data(), rule.text(test).size());
}

void FieldIndex::count_length(KeyKind kind, uint32_t length, int by) {
    const auto at = std::ranges::find_if(lengths, [&](const KeyLength& l) { return l.kind == kind && l.length == length; });
    if (at == lengths.end()) {
        lengths.push_back({kind, length, 1});
    } else if ((at->count += static_cast<uint32_t>(by)) == 0) {
        lengths.erase(at);
    }
}

void FieldIndex::file(const Branch& branch, uint64_t change) {
    const CompiledRule& rule = branch.rule();
    const CompiledClause& clause = rule.clause(branch, branch.driver());
    for (uint32_t i = 0; i < clause.tests(); i += 1 + rule.tests()[clause.first_test + i].but()) {
        const CompiledTest& test = rule.tests()[clause.first_test + i];
        KeyKind kind;
        if (keyed(test.kind(), kind)) {
            hash.add(hash_of(rule, test, kind), &branch, change);
            uint32_t length = test.length;
            if (test.kind() == TestKind::cidr) {
                const Network network = rule.value<Network>(test);
                if (network.v6) kind = KeyKind::network_v6;
                length = network.bits;
            }
            ++keys[static_cast<size_t>(kind)];
            if (has_length(kind)) count_length(kind, length, 1);
            continue;
        }
        switch (test.kind()) {
            case TestKind::numeric:
                ranges.push_back({rule.value<NumberRange>(test), &branch});
                ranges_sorted = false;
                break;
            case TestKind::wildcard: {
                if (wildcards.empty() || wildcards.back()->items.size() >= wildcards_an_automaton) {
                    wildcards.push_back(std::make_shared<Wildcards>());
                } else if (wildcards.back()->edit != change) {
                    wildcards.back() = std::make_shared<Wildcards>(*wildcards.back());
                }
                Wildcards& group = *wildcards.back();
                group.edit = change;
                group.set.reset();
                group.items.emplace_back(rule.text(test), &branch);
                break;
            }
            case TestKind::exists: present.push_back(&branch); break;
            case TestKind::anything_but: but.push_back(&branch); break;
            case TestKind::absent: absent.push_back(&branch); break;
            default: ASSERT(false);
        }
    }
}

void FieldIndex::unfile(const Branch& branch, uint64_t change) {
    const CompiledRule& rule = branch.rule();
    const CompiledClause& clause = rule.clause(branch, branch.driver());
    for (uint32_t i = 0; i < clause.tests(); i += 1 + rule.tests()[clause.first_test + i].but()) {
        const CompiledTest& test = rule.tests()[clause.first_test + i];
        KeyKind kind;
        if (keyed(test.kind(), kind)) {
            hash.remove(hash_of(rule, test, kind), &branch, change);
            uint32_t length = test.length;
            if (test.kind() == TestKind::cidr) {
                const Network network = rule.value<Network>(test);
                if (network.v6) kind = KeyKind::network_v6;
                length = network.bits;
            }
            --keys[static_cast<size_t>(kind)];
            if (has_length(kind)) count_length(kind, length, -1);
            continue;
        }
        switch (test.kind()) {
            case TestKind::numeric: {
                const NumberRange range = rule.value<NumberRange>(test);
                const auto at = std::ranges::find_if(ranges, [&](const Range& r) { return r.branch == &branch && r.range == range; });
                ASSERT(at != ranges.end());
                ranges.erase(at);
                ranges_sorted = false;
                break;
            }
            case TestKind::wildcard: {
                const std::string_view text = rule.text(test);
                for (auto& group : wildcards) {
                    const auto is_it = [&](const auto& item) { return item.second == &branch && item.first == text; };
                    if (std::ranges::none_of(group->items, is_it)) continue;
                    if (group->edit != change) group = std::make_shared<Wildcards>(*group);
                    group->edit = change;
                    group->set.reset();
                    group->items.erase(std::ranges::find_if(group->items, is_it));
                    break;
                }
                std::erase_if(wildcards, [](const auto& group) { return group->items.empty(); });
                break;
            }
            case TestKind::exists: erase_one(present, &branch); break;
            case TestKind::anything_but: erase_one(but, &branch); break;
            case TestKind::absent: erase_one(absent, &branch); break;
            default: ASSERT(false);
        }
    }
}

void FieldIndex::finish() {
    if (!ranges_sorted) {
        std::ranges::sort(ranges, {}, [](const Range& r) { return r.range.low; });
        highest.assign((ranges.size() + range_block - 1) / range_block, -std::numeric_limits<double>::infinity());
        for (size_t i = 0; i < ranges.size(); ++i) highest[i / range_block] = std::max(highest[i / range_block], ranges[i].range.high);
        ranges_sorted = true;
    }
    for (const auto& group : wildcards) {
        if (group->set) continue;
        std::vector<std::string> texts;
        for (const auto& [text, branch] : group->items) texts.push_back(text);
        group->set = std::make_shared<WildcardSet>(texts);
    }
}

size_t FieldIndex::crowd(const CompiledRule& rule, const CompiledTest& test) const {
    KeyKind kind;
    if (keyed(test.kind(), kind)) return hash.count(hash_of(rule, test, kind));
    switch (test.kind()) {
        case TestKind::numeric: return ranges.size();
        case TestKind::wildcard: return wildcards.empty() ? 0 : wildcards.size();
        case TestKind::exists: return present.size();
        case TestKind::anything_but: return but.size();
        case TestKind::absent: return absent.size();
        default: return 0;
    }
}

}  // namespace waybill::patterns
