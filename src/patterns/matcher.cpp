#include "patterns/matcher.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <optional>
#include <unordered_map>

#include "base/assert.h"
#include "patterns/array_choice.h"
#include "patterns/automaton.h"
#include "patterns/checked_scan.h"
#include "patterns/comparison.h"
#include "patterns/compiled_rule.h"
#include "patterns/index.h"
#include "patterns/path_plan.h"
#include "patterns/scan.h"

namespace waybill::patterns {
namespace {

// Pointers seen during one event. Emptied in one step, grows to what events need.
class PointerSet {
public:
    void clear() {
        ++epoch_;
        used_ = 0;
    }
    // True when it was not in.
    bool insert(const void* pointer) {
        if ((used_ + 1) * 2 > slots_.size()) grow();
        for (size_t i = hash(pointer);; ++i) {
            Slot& slot = slots_[i & (slots_.size() - 1)];
            if (slot.epoch != epoch_) {
                slot = {pointer, epoch_};
                ++used_;
                return true;
            }
            if (slot.pointer == pointer) return false;
        }
    }

private:
    struct Slot {
        const void* pointer = nullptr;
        uint64_t epoch = 0;
    };
    static size_t hash(const void* pointer) {
        const uint64_t h = reinterpret_cast<uintptr_t>(pointer) * 0x9e3779b97f4a7c15u;
        return static_cast<size_t>(h >> 20);
    }
    void grow() {
        const std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(std::max<size_t>(64, slots_.size() * 2)));
        const uint64_t epoch = epoch_;
        ++epoch_;
        used_ = 0;
        for (const Slot& slot : old) {
            if (slot.epoch == epoch) insert(slot.pointer);
        }
    }
    std::vector<Slot> slots_;
    uint64_t epoch_ = 1;
    size_t used_ = 0;
};

// Rules by id, in buckets that are copied when they change.
class RuleTable {
public:
    RuleTable() : buckets_(1, std::make_shared<Bucket>()) {}

    size_t size() const { return size_; }

    const RuleRef* find(RuleId id) const {
        for (const RuleRef& rule : buckets_[bucket_of(id)]->rules) {
            if (rule->id() == id) return &rule;
        }
        return nullptr;
    }

    void put(RuleRef rule, uint64_t edit) {
        if (size_ >= buckets_.size() * bucket_rules) spread(edit);
        own(bucket_of(rule->id()), edit).rules.push_back(std::move(rule));
        ++size_;
    }

    void remove(RuleId id, uint64_t edit) {
        std::vector<RuleRef>& rules = own(bucket_of(id), edit).rules;
        const auto at = std::ranges::find_if(rules, [id](const RuleRef& rule) { return rule->id() == id; });
        std::swap(*at, rules.back());
        rules.pop_back();
        --size_;
    }

    template <class Each>
    void for_each(Each&& each) const {
        for (const auto& bucket : buckets_) {
            for (const RuleRef& rule : bucket->rules) each(rule);
        }
    }

private:
    struct Bucket {
        uint64_t edit = 0;
        std::vector<RuleRef> rules;
    };
    static constexpr size_t bucket_rules = 64;  // copied for one change

    size_t bucket_of(RuleId id) const { return (mix(id, 0x9e3779b97f4a7c15u)) & (buckets_.size() - 1); }
    Bucket& own(size_t at, uint64_t edit) {
        if (buckets_[at]->edit != edit) {
            buckets_[at] = std::make_shared<Bucket>(*buckets_[at]);
            buckets_[at]->edit = edit;
        }
        return *buckets_[at];
    }
    void spread(uint64_t edit) {
        const std::vector<std::shared_ptr<Bucket>> old = std::move(buckets_);
        buckets_.clear();
        for (size_t i = 0; i < old.size() * 2; ++i) {
            buckets_.push_back(std::make_shared<Bucket>());
            buckets_.back()->edit = edit;
        }
        for (const auto& bucket : old) {
            for (const RuleRef& rule : bucket->rules) buckets_[bucket_of(rule->id())]->rules.push_back(rule);
        }
    }

    std::vector<std::shared_ptr<Bucket>> buckets_;
    size_t size_ = 0;
};

// As ==, without a call for the few bytes that most texts have.
inline bool same_bytes(std::string_view a, std::string_view b) {
    const size_t n = a.size();
    if (n != b.size()) return false;
    if (n < 8) {
        for (size_t i = 0; i < n; ++i) {
            if (a[i] != b[i]) return false;
        }
        return true;
    }
    uint64_t x, y;
    for (size_t i = 0; i + 8 < n; i += 8) {
        std::memcpy(&x, a.data() + i, 8);
        std::memcpy(&y, b.data() + i, 8);
        if (x != y) return false;
    }
    std::memcpy(&x, a.data() + n - 8, 8);
    std::memcpy(&y, b.data() + n - 8, 8);
    return x == y;
}

constexpr size_t events_ahead = 16;          // of a batch, scanned before the first of them is looked up
constexpr size_t keys_beyond_caches = 2000;  // from here on a lookup waits for memory

struct Paths {
    std::map<std::string, uint32_t, std::less<>> fields;
    std::vector<uint32_t> free;   // numbers that no path has
};

}  // namespace

// A snapshot. `edit` numbers it: what carries the number was made for it, and may be changed while it is made.
struct Matcher::Parts {
    uint64_t edit = 0;
    std::shared_ptr<Paths> paths = std::make_shared<Paths>();
    std::vector<uint32_t> uses;                        // of each field: clauses that ask for it
    std::shared_ptr<const PathPlan> plan;
    std::vector<std::shared_ptr<FieldIndex>> fields;   // of each field; nothing where no branch is filed
    std::vector<uint32_t> absent_fields;               // those with branches filed under absence
    std::vector<const BranchHash*> tables;             // of each field: its keys, where they are many and are texts; for LookAhead
    bool look_ahead = false;                           // there is one
    RuleTable rules;
};

struct MatchScratch::State {
    std::array<ScanResult, events_ahead> events;   // those of one group of a batch; the first, of a single event
    CheckedScan door;
    PointerSet tried, emitted;
    std::unique_ptr<char[]> room;     // for texts without their escapes
    size_t room_size = 0, room_used = 0;
    std::string unescaped, folded, small, key;   // small: of the value that is looked up, folded: of any other
    Decimal decimal;
    ArrayChoice choice;
    std::vector<ArrayChoice::Candidate> candidates;
    std::vector<uint64_t> guards;     // of each field that was asked for: guard_known and the hash of its only value, a text; or why there is none
    std::vector<uint32_t> guarded;
    struct Held {
        std::unique_ptr<Automaton> automaton;
        uint64_t used = 0;
    };
    std::unordered_map<const WildcardSet*, Held> automata;
    uint64_t matched = 0;             // events so far
};

MatchScratch::MatchScratch() : state_(std::make_unique<State>()) {}
MatchScratch::~MatchScratch() = default;

namespace {

using State = MatchScratch::State;

// Holds one event against a snapshot.
class Match {
public:
    Match(size_t event_size, ScanResult& event, State& state, std::vector<RuleId>& out) : state_(state), event_(event), out_(out), event_size_(event_size) {
        state_.tried.clear();
        state_.emitted.clear();
        ++state_.matched;
        state_.room_used = 0;
        for (uint32_t field : state_.guarded) state_.guards[field] = 0;
        state_.guarded.clear();
        if (state_.guards.size() < event_.first.size()) state_.guards.resize(event_.first.size(), 0);
    }

    // A field's values, in their order.
    void look_up(const FieldIndex& index, uint32_t field) {
        alone_ = event_.first[field] == event_.last[field];
        settled_ = 0;
        for (uint32_t at = event_.first[field]; at != ScannedValue::none; at = event_.values[at].next) look_up(index, event_.values[at]);
    }

    void look_up(const FieldIndex& index, ScannedValue& value) {
        switch (value.kind) {
            case ValueKind::text: look_up_text(index, text_of(value), value); break;
            case ValueKind::number: look_up_number(index, value); break;
            case ValueKind::literal: look_up_key(index, KeyKind::literal, value.text(), value); break;
        }
        for (const Branch* branch : index.present) found(*branch, value, true);
        for (const Branch* branch : index.but) found(*branch, value, false);
    }

    void look_up_absent(const FieldIndex& index) {
        for (const Branch* branch : index.absent) {
            if (state_.tried.insert(branch) && holds(*branch)) emit(branch->rule());
        }
    }

private:
    void look_up_key(const FieldIndex& index, KeyKind kind, std::string_view bytes, ScannedValue& value) {
        if (index.keys[static_cast<size_t>(kind)] == 0) return;
        index.hash.find(key_hash(kind, bytes.data(), bytes.size()), [&](const Branch& branch) { found(branch, value, false); });
    }

    void look_up_text(const FieldIndex& index, std::string_view text, ScannedValue& value) {
        look_up_key(index, KeyKind::text, text, value);
        const auto keys = [&](KeyKind kind) { return index.keys[static_cast<size_t>(kind)]; };
        if (!index.lengths.empty() || keys(KeyKind::text_ignoring_case)) {
            std::string_view small;
            if (keys(KeyKind::text_ignoring_case) | keys(KeyKind::prefix_ignoring_case) | keys(KeyKind::suffix_ignoring_case)) {
                fold_case(text, state_.small);
                small = state_.small;
                look_up_key(index, KeyKind::text_ignoring_case, small, value);
            }
            std::optional<Address> address;
            if (keys(KeyKind::network_v4) | keys(KeyKind::network_v6)) address = parse_address(text);
            for (const FieldIndex::KeyLength& length : index.lengths) look_up_length(index, length, text, small, address, value);
        }
        for (const auto& group : index.wildcards) {
            if (Automaton* automaton = automaton_of(group->set)) {
                for (uint32_t at : automaton->match(text)) found(*group->items[at].second, value, true);
            } else {
                for (const auto& [wildcard, branch] : group->items) {
                    if (wildcard_matches(wildcard, text)) found(*branch, value, true);
                }
            }
        }
    }

    void look_up_length(const FieldIndex& index, const FieldIndex::KeyLength& length, std::string_view text, std::string_view small, const std::optional<Address>& address,
                        ScannedValue& value) {
        const auto found_here = [&](const Branch& branch) { found(branch, value, false); };
        const bool folds = length.kind == KeyKind::prefix_ignoring_case || length.kind == KeyKind::suffix_ignoring_case;
        const std::string_view whole = folds ? small : text;
        switch (length.kind) {
            case KeyKind::prefix:
            case KeyKind::prefix_ignoring_case:
                if (length.length <= whole.size()) index.hash.find(key_hash(length.kind, whole.data(), length.length), found_here);
                break;
            case KeyKind::suffix:
            case KeyKind::suffix_ignoring_case:
                if (length.length <= whole.size()) index.hash.find(key_hash(length.kind, whole.data() + whole.size() - length.length, length.length), found_here);
                break;
            case KeyKind::network_v4:
            case KeyKind::network_v6: {
                if (!address || address->v6 != (length.kind == KeyKind::network_v6)) break;
                Network network{address->v6, static_cast<uint8_t>(length.length), {}};
                std::copy_n(address->bytes, 16, network.address.begin());
                clear_host_bits(network);
                char key[17];
                key[0] = static_cast<char>(network.bits);
                std::memcpy(key + 1, network.address.data(), 16);
                index.hash.find(key_hash(length.kind, key, sizeof key), found_here);
                break;
            }
            case KeyKind::text:
            case KeyKind::number:
            case KeyKind::literal:
            case KeyKind::text_ignoring_case: break;
        }
    }

    void look_up_number(const FieldIndex& index, ScannedValue& value) {
        if (index.keys[static_cast<size_t>(KeyKind::number)]) {
            number_key(value.text(), state_.decimal, state_.key);
            look_up_key(index, KeyKind::number, state_.key, value);
        }
        if (index.ranges.empty()) return;
        const double number = number_of(value);
        for (size_t block = 0; block < index.highest.size(); ++block) {
            const size_t begin = block * FieldIndex::range_block, end = std::min(index.ranges.size(), begin + FieldIndex::range_block);
            if (index.ranges[begin].range.low > number) break;
            if (index.highest[block] < number) continue;
            for (size_t i = begin; i < end; ++i) {
                if (i < 64 && settled_ >> i & 1) continue;
                if (!index.ranges[i].range.holds(number)) continue;
                if (i < 64 && index.ranges[i].branch->uses == 1) settled_ |= uint64_t{1} << i;
                found(*index.ranges[i].branch, value, true);
            }
        }
    }

    // A branch whose driving clause may hold, or surely holds, for this value.
    void found(const Branch& branch, ScannedValue& value, bool surely) {
        if (refused(branch.guards[0]) || refused(branch.guards[1])) return;
        const CompiledRule& rule = branch.rule();
        // With one value here and one test the branch cannot be found again; with one branch nor can the rule.
        const bool once = alone_ && branch.once;
        if (branch.uses == 1) {
            if (!surely && !passes(rule, rule.clause(branch, 0), value)) return;
        } else {
            if (!once && !state_.tried.insert(&branch)) return;
            if (!holds(branch)) return;
        }
        if (once && rule.branch_count() == 1) out_.push_back(rule.id());
        else emit(rule);
    }

    void emit(const CompiledRule& rule) {
        if (state_.emitted.insert(&rule)) out_.push_back(rule.id());
    }

    // Whether the clause behind the guard surely fails. It is not sure where there are several values, or one with escapes.
    __attribute__((always_inline)) bool refused(const Guard& guard) {
        if (guard.field == Guard::none) return false;
        uint64_t known = state_.guards[guard.field];
        if (known == 0) known = learn(guard.field);
        return known != (guard_known | guard.hash) && known != guard_unsure;
    }
    uint64_t learn(uint32_t field) {
        state_.guarded.push_back(field);
        uint64_t& known = state_.guards[field];
        known = guard_fails;
        if (event_.first[field] == ScannedValue::none) return known;
        const ScannedValue& value = event_.values[event_.first[field]];
        if (value.next != ScannedValue::none || value.escaped) known = guard_unsure;
        else if (value.kind == ValueKind::text) known = guard_known | text_hash(value.text());
        return known;
    }
    static constexpr uint64_t guard_known = uint64_t{1} << 32, guard_fails = uint64_t{1} << 33, guard_unsure = uint64_t{1} << 34;

    ScannedValue* first_value(uint32_t field) {
        const uint32_t at = event_.first[field];
        return at == ScannedValue::none ? nullptr : &event_.values[at];
    }
    ScannedValue* next_value(const ScannedValue& value) { return value.next == ScannedValue::none ? nullptr : &event_.values[value.next]; }

    // Whether all clauses of the branch hold, by values that agree on the elements of arrays.
    bool holds(const Branch& branch) {
        const CompiledRule& rule = branch.rule();
        uint32_t inside_arrays = 0;
        for (uint32_t use = 0; use < branch.uses; ++use) {
            const CompiledClause& clause = rule.clause(branch, use);
            ScannedValue* value = first_value(clause.field);
            if (!value) {
                if (!clause.may_be_absent()) return false;
                continue;
            }
            bool passed = false, outside_arrays = false;
            for (; value && !outside_arrays; value = next_value(*value)) {
                if (passed && value->scope != 0) continue;
                if (!passes(rule, clause, *value)) continue;
                passed = true;
                outside_arrays = value->scope == 0;
            }
            if (!passed) return false;
            inside_arrays += !outside_arrays;
        }
        return inside_arrays < 2 || arrays_agree(branch);
    }

    bool arrays_agree(const Branch& branch) {
        const CompiledRule& rule = branch.rule();
        state_.candidates.clear();
        uint32_t fields = 0;
        for (uint32_t use = 0; use < branch.uses; ++use) {
            const CompiledClause& clause = rule.clause(branch, use);
            ScannedValue* value = first_value(clause.field);
            if (!value) continue;
            for (; value; value = next_value(*value)) {
                if (passes(rule, clause, *value)) state_.candidates.push_back({fields, value->scope});
            }
            ++fields;
        }
        return state_.choice.agree(event_.scopes, state_.candidates, fields, array_choices);
    }

    bool passes(const CompiledRule& rule, const CompiledClause& clause, ScannedValue& value) {
        const CompiledTest* test = rule.tests() + clause.first_test;
        for (const CompiledTest* end = test + clause.tests(); test != end; test += 1 + test->but()) {
            if (passes(rule, *test, value)) return true;
        }
        return false;
    }

    bool passes(const CompiledRule& rule, const CompiledTest& test, ScannedValue& value) {
        const bool text = value.kind == ValueKind::text, number = value.kind == ValueKind::number;
        switch (test.kind()) {
            case TestKind::text: return text && test.length <= value.length && same_bytes(text_of(value), rule.text(test));
            case TestKind::literal: return value.kind == ValueKind::literal && value.text() == rule.text(test);
            case TestKind::number:
                if (!number) return false;
                number_key(value.text(), state_.decimal, state_.key);
                return state_.key == rule.text(test);
            case TestKind::prefix: return text && text_of(value).starts_with(rule.text(test));
            case TestKind::suffix: return text && text_of(value).ends_with(rule.text(test));
            case TestKind::text_ignoring_case: return text && folded_of(value) == rule.text(test);
            case TestKind::prefix_ignoring_case: return text && folded_of(value).starts_with(rule.text(test));
            case TestKind::suffix_ignoring_case: return text && folded_of(value).ends_with(rule.text(test));
            case TestKind::wildcard: return text && wildcard_matches(rule.text(test), text_of(value));
            case TestKind::numeric: return number && rule.value<NumberRange>(test).holds(number_of(value));
            case TestKind::cidr: {
                const auto address = text ? parse_address(text_of(value)) : std::nullopt;
                return address && patterns::holds(rule.value<Network>(test), *address);
            }
            case TestKind::exists: return true;
            case TestKind::absent: return false;
            case TestKind::anything_but: return passes_none(rule, test, value);
        }
        return false;
    }

    bool passes_none(const CompiledRule& rule, const CompiledTest& test, ScannedValue& value) {
        const CompiledTest *first = &test + 1, *end = first + test.but();
        if (test.but() > 8 && first->kind() == TestKind::text) {
            if (value.kind != ValueKind::text) return true;
            const std::string_view text = text_of(value);
            const CompiledTest* at = std::lower_bound(first, end, text, [&](const CompiledTest& but, std::string_view wanted) {
                return but.length != wanted.size() ? but.length < wanted.size() : rule.text(but) < wanted;
            });
            return at == end || rule.text(*at) != text;
        }
        return std::none_of(first, end, [&](const CompiledTest& but) { return passes(rule, but, value); });
    }

    std::string_view text_of(ScannedValue& value) {
        if (value.escaped) {
            if (!unescape(value.text(), state_.unescaped)) state_.unescaped.clear();
            if (state_.room_size < event_size_ && state_.room_used == 0) {
                state_.room_size = event_size_;
                state_.room = std::make_unique_for_overwrite<char[]>(event_size_);
            }
            // What has no escapes is never longer than it was with them: all texts of the event together fit.
            ASSERT(state_.room_used + state_.unescaped.size() <= state_.room_size);
            char* to = state_.room.get() + state_.room_used;
            std::memcpy(to, state_.unescaped.data(), state_.unescaped.size());
            state_.room_used += state_.unescaped.size();
            value.data = to;
            value.length = static_cast<uint32_t>(state_.unescaped.size());
            value.escaped = false;
        }
        return value.text();
    }

    std::string_view folded_of(ScannedValue& value) {
        fold_case(text_of(value), state_.folded);
        return state_.folded;
    }

    static double number_of(ScannedValue& value) {
        if (!value.has_number) {
            value.number = to_double(value.text());
            value.has_number = true;
        }
        return value.number;
    }

    // The automaton of a set, or nothing where too many are in use: one that was not needed of late makes room.
    Automaton* automaton_of(const std::shared_ptr<const WildcardSet>& set) {
        const auto held = state_.automata.find(set.get());
        if (held != state_.automata.end()) {
            held->second.used = state_.matched;
            return held->second.automaton.get();
        }
        if (state_.automata.size() >= automata_a_scratch) {
            const auto oldest = std::ranges::min_element(state_.automata, {}, [](const auto& item) { return item.second.used; });
            if (oldest->second.used + automaton_idle_events > state_.matched) return nullptr;
            state_.automata.erase(oldest);
        }
        State::Held& made = state_.automata[set.get()];
        made.automaton = std::make_unique<Automaton>(set);
        made.used = state_.matched;
        return made.automaton.get();
    }

    State& state_;
    ScanResult& event_;
    std::vector<RuleId>& out_;
    const size_t event_size_;
    bool alone_ = false;   // the value that is looked up is its field's only one
    uint64_t settled_ = 0; // of the field's first ranges: those whose rules an earlier value has matched already
};

// Makes the next snapshot from one: works on the copy it is given, in place where the copy is its own.
template <class Parts>
class Editor {
public:
    explicit Editor(Parts& parts) : parts_(parts) {}

    void remove(RuleId id) {
        const RuleRef* held = parts_.rules.find(id);
        if (!held) return;
        const RuleRef rule = *held;
        for (uint32_t b = 0; b < rule->branch_count(); ++b) {
            const Branch& branch = rule->branch(b);
            own_field(rule->clause(branch, branch.driver()).field).unfile(branch, parts_.edit);
        }
        for (uint32_t c = 0; c < rule->clause_count(); ++c) {
            if (--parts_.uses[rule->clauses()[c].field] == 0) unused_.push_back(rule->clauses()[c].field);
        }
        parts_.rules.remove(id, parts_.edit);
    }

    void put(RuleId id, const Pattern& pattern) {
        std::vector<uint32_t> fields;
        for (const Clause& clause : pattern.clauses) {
            fields.push_back(field_of(clause.path));
            ++parts_.uses[fields.back()];
        }
        put(CompiledRule::make(id, pattern, fields));
    }

    // Counts the keys of rules that will be put, so that the first of them are already filed under what is rare.
    void expect(const Pattern& pattern) {
        for (const std::vector<uint32_t>& branch : pattern.branches) {
            for (uint32_t at : branch) {
                const Clause& clause = pattern.clauses[at];
                const uint64_t path = key_hash(KeyKind::literal, clause.path.data(), clause.path.size());
                for (const Test& test : clause.tests) {
                    KeyKind kind;
                    if (!FieldIndex::keyed(test.kind, kind)) continue;
                    if (++expected_[path ^ expected_key(kind, test.text)] == 1) ++expected_kinds_[path ^ kind_key(kind)];
                }
            }
        }
    }

    void finish() {
        std::ranges::sort(unused_);
        unused_.erase(std::ranges::unique(unused_).begin(), unused_.end());
        for (uint32_t field : unused_) {
            if (parts_.uses[field] != 0) continue;
            Paths& paths = own_paths();
            std::erase_if(paths.fields, [field](const auto& item) { return item.second == field; });
            paths.free.push_back(field);
            parts_.fields[field].reset();
            paths_changed_ = true;
        }
        for (uint32_t field : owned_) {
            std::shared_ptr<FieldIndex>& index = parts_.fields[field];
            if (!index) continue;
            if (index->empty()) index.reset();
            else index->finish();
        }
        parts_.absent_fields.clear();
        parts_.tables.assign(parts_.fields.size(), nullptr);
        parts_.look_ahead = false;
        for (uint32_t field = 0; field < parts_.fields.size(); ++field) {
            const FieldIndex* index = parts_.fields[field].get();
            if (!index) continue;
            if (!index->absent.empty()) parts_.absent_fields.push_back(field);
            if (index->hash.keys() < keys_beyond_caches || index->keys[static_cast<size_t>(KeyKind::text)] == 0) continue;
            parts_.tables[field] = &index->hash;
            parts_.look_ahead = true;
        }
        if (paths_changed_ || !parts_.plan) {
            std::vector<const std::string*> by_field(parts_.fields.size(), nullptr);
            for (const auto& [path, field] : parts_.paths->fields) by_field[field] = &path;
            parts_.plan = std::make_shared<PathPlan>(by_field);
        }
    }

private:
    void put(RuleRef rule) {
        for (uint32_t b = 0; b < rule->branch_count(); ++b) {
            rule->set_order(b, order_of(*rule, rule->branch(b)));
            const Branch& branch = rule->branch(b);
            own_field(rule->clause(branch, branch.driver()).field).file(branch, parts_.edit);
        }
        parts_.rules.put(std::move(rule), parts_.edit);
    }

    // The branch's clauses, the one under which the fewest events will find it in vain at the end, the others from rare to frequent, so that a candidate that
    // fails fails early. How often values occur is not known: each of the keys that rules have for a path is taken to be as likely as the others, so a
    // path with many different keys is good, and one that all rules give the same value is not.
    std::vector<uint16_t> order_of(const CompiledRule& rule, const Branch& branch) const {
        std::vector<std::pair<double, uint16_t>> by_chance;
        for (uint16_t use = 0; use < branch.uses; ++use) {
            const CompiledClause& clause = rule.clause(branch, use);
            double sum = 0;
            for (uint32_t i = 0; i < clause.tests(); i += 1 + rule.tests()[clause.first_test + i].but()) sum += chance(rule, clause.field, rule.tests()[clause.first_test + i]);
            by_chance.emplace_back(sum, rule.clause_number(branch, use));
        }
        std::ranges::sort(by_chance);
        std::ranges::rotate(by_chance, by_chance.begin() + 1);
        std::vector<uint16_t> out;
        for (const auto& [sum, clause] : by_chance) out.push_back(clause);
        return out;
    }

    double chance(const CompiledRule& rule, uint32_t field, const CompiledTest& test) const {
        KeyKind kind;
        if (!FieldIndex::keyed(test.kind(), kind)) {
            switch (test.kind()) {
                case TestKind::wildcard: return 0.1;
                case TestKind::numeric: return 0.3;
                case TestKind::anything_but: return 0.9;
                case TestKind::exists: return 1;
                default: return 2;  // absence: found by every event that has nothing there
            }
        }
        const FieldIndex* index = parts_.fields[field].get();
        size_t crowd = index ? index->crowd(rule, test) : 0, keys = (index ? index->hash.keys() : 0) + (crowd == 0);
        if (!expected_.empty()) {
            const auto same = expected_.find(path_hashes_[field] ^ expected_key(kind, rule.text(test)));
            if (same != expected_.end()) crowd = std::max<size_t>(crowd, same->second - 1);
            const auto kinds = expected_kinds_.find(path_hashes_[field] ^ kind_key(kind));
            if (kinds != expected_kinds_.end()) keys = std::max<size_t>(keys, kinds->second);
        }
        // Short prefixes, true and false hold often however many keys there are; of equal paths the less crowded and the plainer test is better.
        double often = 1.0 / static_cast<double>(keys);
        if (kind != KeyKind::text && kind != KeyKind::number && kind != KeyKind::text_ignoring_case) often = std::max(often, test.length < 3 ? 0.2 : 0.01);
        return often + 1e-5 * static_cast<double>(std::min<size_t>(crowd, 1000)) + 1e-7 * static_cast<double>(static_cast<int>(kind));
    }

    // Texts of tests that ignore case are compared as they are: an estimate needs no more.
    static uint64_t expected_key(KeyKind kind, std::string_view text) { return key_hash(kind, text.data(), text.size()); }
    static uint64_t kind_key(KeyKind kind) { return key_hash(kind, nullptr, 0); }

    uint32_t field_of(const std::string& path) {
        const auto known = parts_.paths->fields.find(path);
        uint32_t field;
        if (known != parts_.paths->fields.end()) {
            field = known->second;
        } else {
            Paths& paths = own_paths();
            if (paths.free.empty()) {
                field = static_cast<uint32_t>(parts_.fields.size());
                parts_.fields.emplace_back();
                parts_.uses.push_back(0);
            } else {
                field = paths.free.back();
                paths.free.pop_back();
            }
            paths.fields.emplace(path, field);
            paths_changed_ = true;
        }
        if (!expected_.empty()) {
            if (path_hashes_.size() <= field) path_hashes_.resize(field + 1);
            path_hashes_[field] = key_hash(KeyKind::literal, path.data(), path.size());
        }
        return field;
    }

    Paths& own_paths() {
        if (!paths_owned_) parts_.paths = std::make_shared<Paths>(*parts_.paths);
        paths_owned_ = true;
        return *parts_.paths;
    }

    FieldIndex& own_field(uint32_t field) {
        std::shared_ptr<FieldIndex>& index = parts_.fields[field];
        if (!index || index->edit != parts_.edit) {
            index = index ? std::make_shared<FieldIndex>(*index) : std::make_shared<FieldIndex>();
            index->edit = parts_.edit;
            owned_.push_back(field);
        }
        return *index;
    }

    Parts& parts_;
    std::vector<uint32_t> owned_, unused_;
    std::unordered_map<uint64_t, uint32_t> expected_, expected_kinds_;   // by key, and how many different keys by (path, kind)
    std::vector<uint64_t> path_hashes_;   // of each field, while rules are expected
    bool paths_owned_ = false, paths_changed_ = false;
};

}  // namespace

Matcher::Matcher(std::unique_ptr<const Parts> parts) : parts_(std::move(parts)) {}
Matcher::~Matcher() = default;

std::shared_ptr<const Matcher> Matcher::empty() { return of({}); }

std::shared_ptr<const Matcher> Matcher::of(std::span<const RulePattern> rules) {
    auto parts = std::make_unique<Parts>();
    parts->plan = std::make_shared<PathPlan>(std::vector<const std::string*>{});
    return Matcher(std::move(parts)).with(rules);
}

std::shared_ptr<const Matcher> Matcher::with(std::span<const RulePattern> put, std::span<const RuleId> removed) const {
    auto parts = std::make_unique<Parts>(*parts_);
    ++parts->edit;
    Editor editor(*parts);
    for (RuleId id : removed) editor.remove(id);
    if (put.size() > 1) {
        for (const RulePattern& rule : put) editor.expect(*rule.pattern);
    }
    for (const RulePattern& rule : put) {
        editor.remove(rule.id);
        editor.put(rule.id, *rule.pattern);
    }
    editor.finish();
    return std::shared_ptr<const Matcher>(new Matcher(std::move(parts)));
}

void Matcher::look_up(size_t event_size, size_t place, MatchScratch& scratch, std::vector<RuleId>& out) const {
    const Parts& parts = *parts_;
    ScanResult& event = scratch.state_->events[place];
    out.clear();
    Match match(event_size, event, *scratch.state_, out);
    for (uint32_t field : event.met) {
        const FieldIndex* index = parts.fields[field].get();
        if (index) match.look_up(*index, field);
    }
    for (uint32_t field : parts.absent_fields) {
        if (event.first[field] == ScannedValue::none) match.look_up_absent(*parts.fields[field]);
    }
}

void Matcher::match(std::string_view event, MatchScratch& scratch, std::vector<RuleId>& out) const {
    scan(event, *parts_->plan, scratch.state_->events[0], parts_->look_ahead ? parts_->tables.data() : nullptr);
    look_up(event.size(), 0, scratch, out);
}

bool Matcher::check_and_match(std::string_view event, MatchScratch& scratch, std::vector<RuleId>& out) const {
    out.clear();
    MatchScratch::State& state = *scratch.state_;
    if (!state.door.scan(event, *parts_->plan, state.events[0], parts_->look_ahead ? parts_->tables.data() : nullptr)) return false;
    look_up(event.size(), 0, scratch, out);
    return true;
}

void Matcher::match(std::span<const std::string_view> events, MatchScratch& scratch, std::vector<std::vector<RuleId>>& out) const {
    if (out.size() < events.size()) out.resize(events.size());
    auto& scanned = scratch.state_->events;
    for (size_t begin = 0; begin < events.size(); begin += events_ahead) {
        const size_t count = std::min(events_ahead, events.size() - begin);
        for (size_t i = 0; i < count; ++i) scan(events[begin + i], *parts_->plan, scanned[i], parts_->look_ahead ? parts_->tables.data() : nullptr, widest_scan(), true);
        for (size_t i = 0; i < count && parts_->look_ahead; ++i) scanned[i].look_ahead.finish();
        for (size_t i = 0; i < count; ++i) look_up(events[begin + i].size(), i, scratch, out[begin + i]);
    }
}

size_t Matcher::rules() const { return parts_->rules.size(); }

bool Matcher::contains(RuleId id) const { return parts_->rules.find(id) != nullptr; }

std::string Matcher::describe() const {
    static constexpr std::string_view names[key_kinds] = {"texts", "numbers", "literals", "texts ignoring case", "prefixes", "suffixes", "prefixes ignoring case",
                                                          "suffixes ignoring case", "IPv4 networks", "IPv6 networks"};
    std::string out = fmt::format("{} rules, {} paths\n", rules(), parts_->paths->fields.size());
    for (const auto& [path, field] : parts_->paths->fields) {
        out += fmt::format("  {}: asked for by {} clauses", path, parts_->uses[field]);
        if (const FieldIndex* index = parts_->fields[field].get()) {
            std::vector<std::string> filed;
            for (size_t kind = 0; kind < key_kinds; ++kind) {
                if (index->keys[kind]) filed.push_back(fmt::format("{} {}", index->keys[kind], names[kind]));
            }
            size_t wildcards = 0;
            for (const auto& group : index->wildcards) wildcards += group->items.size();
            const auto add = [&](size_t count, std::string_view name) {
                if (count) filed.push_back(fmt::format("{} {}", count, name));
            };
            add(index->ranges.size(), "numeric ranges");
            add(wildcards, "wildcards");
            add(index->present.size(), "existence");
            add(index->but.size(), "anything-but");
            add(index->absent.size(), "absence");
            out += fmt::format("; filed here: {}", fmt::join(filed, ", "));
        }
        out += '\n';
    }
    return out;
}

std::string Matcher::describe(RuleId id) const {
    const RuleRef* held = parts_->rules.find(id);
    if (!held) return {};
    const CompiledRule& rule = **held;
    std::string out = fmt::format("rule {}\n", id);
    for (uint32_t b = 0; b < rule.branch_count(); ++b) {
        const Branch& branch = rule.branch(b);
        if (rule.branch_count() > 1) out += fmt::format("  {} of {}:\n", b + 1, rule.branch_count());
        for (uint32_t use = 0; use < branch.uses; ++use) {
            const CompiledClause& compiled = rule.clause(branch, use);
            Clause clause;
            for (const auto& [path, field] : parts_->paths->fields) {
                if (field == compiled.field) clause.path = path;
            }
            for (uint32_t i = 0; i < compiled.tests(); i += 1 + rule.tests()[compiled.first_test + i].but()) clause.tests.push_back(rule.test(rule.tests()[compiled.first_test + i]));
            out += fmt::format("{}{}: {}{}\n", rule.branch_count() > 1 ? "    " : "  ", clause.path, to_json(clause), use == branch.driver() ? "   (filed here)" : "");
        }
    }
    return out;
}

}  // namespace waybill::patterns
