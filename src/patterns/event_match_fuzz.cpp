// Patterns and events against the naive matcher. The first byte says what the rest is: decisions of the generator for both, or an event as it stands, against patterns that the generator
// makes from a seed. An event that is no JSON is matched too: nothing is compared then, but nothing may be read outside it. It cannot generate long values.
#include <cstdint>
#include <cstring>
#include <memory>

#include "base/assert.h"
#include "patterns/explain.h"
#include "patterns/generated.h"
#include "patterns/matcher.h"
#include "patterns/naive.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace waybill;
    using namespace waybill::patterns;
    if (size < 2) return 0;
    const bool raw = data[0] & 1;
    generated::Generator generator{raw ? generated::Choices(data[1]) : generated::Choices(data + 1, size - 1)};
    const std::string event = raw ? std::string(reinterpret_cast<const char*>(data) + 2, size - 2) : generator.event();
    std::vector<Pattern> patterns;
    for (int i = 0; i < 4; ++i) {
        if (auto pattern = parse_pattern(generator.pattern())) patterns.push_back(std::move(*pattern));
    }
    std::vector<RulePattern> rules;
    for (const Pattern& pattern : patterns) rules.push_back({rules.size(), &pattern});
    MatchScratch scratch;
    std::vector<RuleId> found, checked;
    const std::unique_ptr<char[]> exact(new char[event.size()]);  // so that a read behind it is seen
    std::memcpy(exact.get(), event.data(), event.size());
    const auto matcher = Matcher::of(rules);
    const bool accepted = matcher->check_and_match({exact.get(), event.size()}, scratch, checked);
    matcher->match({exact.get(), event.size()}, scratch, found);
    const auto tree = read_json(event, limits::json_depth);
    ASSERT(accepted == (tree.ok() && tree->kind == JsonNode::Kind::object));
    if (!accepted) return 0;
    ASSERT(checked == found);
    // The naive matcher tries every choice: events that would keep it for minutes teach nothing.
    if (naive::Flat(*tree).leaves.size() > 24) return 0;
    for (size_t r = 0; r < patterns.size(); ++r) {
        const bool expected = naive::matches(patterns[r], *tree);
        ASSERT((std::ranges::find(found, r) != found.end()) == expected);
        ASSERT(matches(patterns[r], event) == expected);
    }
    return 0;
}
