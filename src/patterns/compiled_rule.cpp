#include "patterns/compiled_rule.h"

#include <algorithm>
#include <new>
#include <string>

#include "base/assert.h"
#include "patterns/comparison.h"
#include "patterns/index.h"

namespace waybill::patterns {
namespace {

class Compiler {
public:
    void clause(const Clause& in, uint32_t field) {
        const auto first_test = static_cast<uint32_t>(tests.size());
        bool absence = false;
        for (const Test& test : in.tests) {
            absence = absence || test.kind == TestKind::absent;
            add(test);
            if (test.kind != TestKind::anything_but) continue;
            // Long lists of texts are searched, so they stand in order (by length, then bytes).
            const size_t first = tests.size();
            for (const Test& but : test.but) add(but);
            std::sort(tests.begin() + static_cast<std::ptrdiff_t>(first), tests.end(), [this](const CompiledTest& a, const CompiledTest& b) {
                return a.length != b.length ? a.length < b.length : view(a) < view(b);
            });
        }
        clauses.push_back({field, first_test, (static_cast<uint32_t>(tests.size()) - first_test) | (absence ? 1u << 31 : 0)});
    }

    std::vector<CompiledClause> clauses;
    std::vector<CompiledTest> tests;
    std::string text;

private:
    std::string_view view(const CompiledTest& test) const { return std::string_view(text).substr(test.at, test.length); }

    void add(const Test& test) {
        const auto at = static_cast<uint32_t>(text.size());
        switch (test.kind) {
            case TestKind::text:
            case TestKind::literal:
            case TestKind::prefix:
            case TestKind::suffix:
            case TestKind::wildcard: text += test.text; break;
            case TestKind::text_ignoring_case:
            case TestKind::prefix_ignoring_case:
            case TestKind::suffix_ignoring_case: text += folded(test.text); break;
            case TestKind::number: {
                Decimal room;
                std::string key;
                number_key(test.text, room, key);
                text += key;
                break;
            }
            case TestKind::numeric: text.append(reinterpret_cast<const char*>(&test.range), sizeof test.range); break;
            case TestKind::cidr: text.append(reinterpret_cast<const char*>(&test.network), sizeof test.network); break;
            case TestKind::exists:
            case TestKind::absent:
            case TestKind::anything_but: break;
        }
        ASSERT(test.but.size() < 1u << 24);
        tests.push_back({static_cast<uint32_t>(test.kind) | static_cast<uint32_t>(test.but.size()) << 8, at, static_cast<uint32_t>(text.size()) - at});
    }
};

template <class T>
char* put(char* to, const std::vector<T>& from) {
    std::memcpy(to, from.data(), from.size() * sizeof(T));
    return to + from.size() * sizeof(T);
}

}  // namespace

RuleRef CompiledRule::make(RuleId id, const Pattern& pattern, const std::vector<uint32_t>& fields) {
    Compiler compiler;
    for (size_t i = 0; i < pattern.clauses.size(); ++i) compiler.clause(pattern.clauses[i], fields[i]);
    std::vector<Branch> branches;
    std::vector<uint16_t> uses;
    ASSERT(pattern.branches.size() <= UINT16_MAX && pattern.clauses.size() <= UINT16_MAX);
    for (const std::vector<uint32_t>& branch : pattern.branches) {
        ASSERT(branch.size() <= UINT16_MAX);
        const size_t back = sizeof(CompiledRule) + branches.size() * sizeof(Branch);
        Branch& compiled = branches.emplace_back();
        compiled.back = static_cast<uint32_t>(back);
        compiled.first_use = static_cast<uint32_t>(uses.size());
        compiled.uses = static_cast<uint16_t>(branch.size());
        for (uint32_t at : branch) uses.push_back(static_cast<uint16_t>(at));
    }
    const size_t bytes = sizeof(CompiledRule) + branches.size() * sizeof(Branch) + uses.size() * sizeof(uint16_t) +
                         compiler.clauses.size() * sizeof(CompiledClause) + compiler.tests.size() * sizeof(CompiledTest) + compiler.text.size();
    // At the beginning of a cache line, so that a small rule lies in two.
    void* memory = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
    ASSERT(memory != nullptr);
    auto* rule = new (memory) CompiledRule;
    rule->id_ = id;
    rule->branches_ = static_cast<uint16_t>(branches.size());
    rule->uses_ = static_cast<uint32_t>(uses.size());
    rule->clauses_ = static_cast<uint16_t>(compiler.clauses.size());
    rule->tests_ = static_cast<uint32_t>(compiler.tests.size());
    char* to = reinterpret_cast<char*>(rule + 1);
    to = put(to, branches);
    to = put(to, compiler.clauses);
    to = put(to, compiler.tests);
    to = put(to, uses);
    std::memcpy(to, compiler.text.data(), compiler.text.size());
    return RuleRef(rule);
}

void CompiledRule::set_order(uint32_t i, const std::vector<uint16_t>& clauses) {
    Branch& branch = reinterpret_cast<Branch*>(this + 1)[i];
    ASSERT(clauses.size() == branch.uses && !clauses.empty());
    std::ranges::copy(clauses, const_cast<uint16_t*>(uses()) + branch.first_use);
    const CompiledClause& filed = clause(branch, branch.driver());
    branch.once = filed.tests() == 1 + tests()[filed.first_test].but();
    size_t guards = 0;
    for (uint32_t use = 0; use + 1 < branch.uses && guards < std::size(branch.guards); ++use) {
        const CompiledClause& asked = clause(branch, use);
        const CompiledTest& test = tests()[asked.first_test];
        if (asked.tests() == 1 && test.kind() == TestKind::text) branch.guards[guards++] = {asked.field, text_hash(text(test))};
    }
}

uint32_t text_hash(std::string_view text) { return static_cast<uint32_t>(key_hash(KeyKind::text, text.data(), text.size())); }

Test CompiledRule::test(const CompiledTest& from) const {
    Test out;
    out.kind = from.kind();
    if (from.kind() == TestKind::numeric) {
        out.range = value<NumberRange>(from);
    } else if (from.kind() == TestKind::cidr) {
        out.network = value<Network>(from);
        const unsigned groups = out.network.v6 ? 8 : 4;
        for (unsigned i = 0; i < groups; ++i) {
            char part[8];
            const auto& a = out.network.address;
            std::snprintf(part, sizeof part, out.network.v6 ? "%s%x" : "%s%u", i == 0 ? "" : out.network.v6 ? ":" : ".",
                          out.network.v6 ? static_cast<unsigned>(a[2 * i] << 8 | a[2 * i + 1]) : a[i]);
            out.text += part;
        }
        out.text += "/" + std::to_string(out.network.bits);
    } else if (from.kind() == TestKind::number) {
        // A key is "+digitse-3": without its plus it is a JSON number, but for zero, which has no digits.
        out.text = text(from);
        if (out.text.starts_with('+')) out.text.erase(0, 1);
        if (out.text.starts_with('e')) out.text = "0";
        if (out.text.ends_with("e0")) out.text.resize(out.text.size() - 2);
    } else {
        out.text = text(from);
    }
    const CompiledTest* but = &from + 1;
    for (uint32_t i = 0; i < from.but(); ++i) out.but.push_back(test(but[i]));
    return out;
}

}  // namespace waybill::patterns
