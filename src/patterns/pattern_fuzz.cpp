// Arbitrary bytes as a pattern: it is refused with a message or understood, and what was understood is written as a pattern that says the same. It cannot generate patterns longer than the
// fuzzer's inputs, so the limits on size are reached by smaller limits.
#include <cstdint>

#include "base/assert.h"
#include "patterns/explain.h"
#include "patterns/matcher.h"
#include "patterns/pattern.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace waybill;
    using namespace waybill::patterns;
    PatternLimits limits;
    limits.branches = 50;
    limits.clause_uses = 400;
    limits.wildcard_states = 200;
    limits.depth = 60;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto pattern = parse_pattern(text, limits);
    if (!pattern) {
        ASSERT(!pattern.error().message.empty());
        return 0;
    }
    ASSERT(!pattern->branches.empty() && pattern->branches.size() <= limits.branches);
    for (const Clause& clause : pattern->clauses) {
        const auto again = parse_pattern("{\"a\":" + to_json(clause) + "}");
        ASSERT(again.ok() && to_json(again->clauses[0]) == to_json(clause));
    }
    ASSERT(!to_text(*pattern).empty());
    // The pattern's own text is an event too, of another shape: all ways to match it must agree.
    const RulePattern rule{1, &*pattern};
    const auto matcher = Matcher::of({&rule, 1});
    MatchScratch scratch;
    std::vector<RuleId> out;
    matcher->match(text, scratch, out);
    ASSERT(out.size() == matches(*pattern, text) && explain(*pattern, text).matched == matches(*pattern, text));
    ASSERT(matcher->with({}, std::span(&rule.id, 1))->rules() == 0);
    return 0;
}
