// One rule as the matcher keeps it: its branches, clauses and tests in one block of memory, so that a hundred thousand rules are small and holding a
// candidate against an event touches few cache lines.
//
//   CompiledRule | Branch… | CompiledClause… | CompiledTest… | uint16_t clause of each use… | text
//
// Counted by reference and immutable once it is filed: the snapshots that know a rule share it. Any thread may read it.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "patterns/matcher.h"
#include "patterns/pattern.h"

namespace waybill::patterns {

struct CompiledTest {
    uint32_t kind_and_but;  // TestKind in the low byte; anything_but: above it, how many of the tests that follow belong to it
    uint32_t at, length;    // text: folded where case is ignored, number_key() of a number, the bytes of a NumberRange or Network
    TestKind kind() const { return static_cast<TestKind>(kind_and_but & 0xff); }
    uint32_t but() const { return kind_and_but >> 8; }
};

struct CompiledClause {
    uint32_t field;
    uint32_t first_test;
    uint32_t tests_and_absence;  // the number of tests, with those that belong to an anything_but; in the highest bit whether some test is TestKind::absent
    uint32_t tests() const { return tests_and_absence & 0x7fffffff; }
    bool may_be_absent() const { return tests_and_absence >> 31; }
};

class CompiledRule;

// A clause that asks for one text, as its hash: most candidates are refused by this alone.
struct Guard {
    static constexpr uint32_t none = UINT32_MAX;
    uint32_t field = none;
    uint32_t hash = 0;   // text_hash
};
uint32_t text_hash(std::string_view text);

struct Branch {
    uint32_t back = 0;     // bytes from the rule's beginning to this
    uint32_t first_use = 0;
    uint16_t uses = 0;
    bool once = false;     // the clause it is filed under has one test: one value finds it once
    Guard guards[2];       // of clauses that come first
    uint32_t driver() const { return uses - 1u; }  // which of its uses it is filed under: the last
    const CompiledRule& rule() const { return *reinterpret_cast<const CompiledRule*>(reinterpret_cast<const char*>(this) - back); }
};

class RuleRef {
public:
    RuleRef() = default;
    explicit RuleRef(CompiledRule* rule) : rule_(rule) {}  // takes over one reference
    RuleRef(const RuleRef& other);
    RuleRef(RuleRef&& other) noexcept : rule_(std::exchange(other.rule_, nullptr)) {}
    RuleRef& operator=(RuleRef other) noexcept {
        std::swap(rule_, other.rule_);
        return *this;
    }
    ~RuleRef();
    CompiledRule* get() const { return rule_; }
    CompiledRule* operator->() const { return rule_; }
    CompiledRule& operator*() const { return *rule_; }

private:
    CompiledRule* rule_ = nullptr;
};

class CompiledRule {
public:
    // `fields[i]` is the field of the pattern's clause i.
    static RuleRef make(RuleId id, const Pattern& pattern, const std::vector<uint32_t>& fields);

    RuleId id() const { return id_; }
    uint32_t branch_count() const { return branches_; }
    const Branch& branch(uint32_t i) const { return reinterpret_cast<const Branch*>(this + 1)[i]; }
    // Before the rule is shared: clauses of branch i are held against an event in this order, and it is filed under the last.
    void set_order(uint32_t i, const std::vector<uint16_t>& clauses);

    uint16_t clause_number(const Branch& branch, uint32_t use) const { return uses()[branch.first_use + use]; }
    const CompiledClause& clause(const Branch& branch, uint32_t use) const { return clauses()[clause_number(branch, use)]; }
    uint32_t clause_count() const { return clauses_; }
    const CompiledClause* clauses() const { return reinterpret_cast<const CompiledClause*>(reinterpret_cast<const Branch*>(this + 1) + branches_); }
    const CompiledTest* tests() const { return reinterpret_cast<const CompiledTest*>(clauses() + clauses_); }
    std::string_view text(const CompiledTest& test) const { return {reinterpret_cast<const char*>(uses() + uses_) + test.at, test.length}; }
    template <class T>
    T value(const CompiledTest& test) const {
        T v;
        std::memcpy(&v, text(test).data(), sizeof v);
        return v;
    }
    // The test as the pattern language writes it; what was folded stays so.
    Test test(const CompiledTest& test) const;

private:
    friend class RuleRef;
    CompiledRule() = default;
    const uint16_t* uses() const { return reinterpret_cast<const uint16_t*>(tests() + tests_); }

    RuleId id_ = 0;
    mutable std::atomic<uint32_t> references_{1};
    uint16_t branches_ = 0, clauses_ = 0;
    uint32_t uses_ = 0, tests_ = 0;
};

inline RuleRef::RuleRef(const RuleRef& other) : rule_(other.rule_) {
    if (rule_) rule_->references_.fetch_add(1, std::memory_order_relaxed);
}
inline RuleRef::~RuleRef() {
    if (rule_ && rule_->references_.fetch_sub(1, std::memory_order_acq_rel) == 1) std::free(rule_);
}

}  // namespace waybill::patterns
