// The pattern language: verdicts, messages, the matcher against the naive one, snapshots, limits, and the examples of docs/patterns.md.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "patterns/explain.h"
#include "patterns/generated.h"
#include "patterns/matcher.h"
#include "patterns/naive.h"
#include "patterns/pattern.h"
#include "patterns/scan.h"

namespace waybill::patterns {
namespace {

Pattern parsed(std::string_view json) {
    auto pattern = parse_pattern(json);
    EXPECT_TRUE(pattern.ok()) << json << ": " << (pattern.ok() ? "" : pattern.error().message);
    return pattern.ok() ? std::move(*pattern) : Pattern{};
}

std::string refusal(std::string_view json, const PatternLimits& limits = {}) {
    auto pattern = parse_pattern(json, limits);
    return pattern.ok() ? "(accepted)" : pattern.error().message;
}

std::vector<RuleId> matched(const Matcher& matcher, std::string_view event) {
    MatchScratch scratch;
    std::vector<RuleId> out;
    matcher.match(event, scratch, out);
    std::ranges::sort(out);
    return out;
}

// What the matcher, the explainer and the one-off answer all say; they must say the same.
[[maybe_unused]] bool verdict(std::string_view pattern_json, std::string_view event) {
    const Pattern pattern = parsed(pattern_json);
    const RulePattern rule{7, &pattern};
    const bool one_off = matches(pattern, event);
    EXPECT_EQ(one_off, matched(*Matcher::of({&rule, 1}), event).size() == 1) << pattern_json << "\n" << event;
    EXPECT_EQ(one_off, explain(pattern, event).matched) << pattern_json << "\n" << event;
    return one_off;
}

TEST(Patterns, TheMatcherAnswersAsTheNaiveOneDoes) {
    MatchScratch scratch;
    std::vector<RuleId> found;
    std::vector<std::vector<RuleId>> batch;
    size_t verdicts[2] = {};
    for (uint64_t seed = 1; seed <= 1500; ++seed) {
        generated::Generator generator{generated::Choices(seed)};
        std::vector<Pattern> patterns;
        std::vector<std::string> texts;
        for (int i = 0; i < 12; ++i) {
            std::string text = generator.pattern();
            if (auto pattern = parse_pattern(text)) {
                patterns.push_back(std::move(*pattern));
                texts.push_back(std::move(text));
            }
        }
        std::vector<RulePattern> rules;
        for (const Pattern& pattern : patterns) rules.push_back({rules.size(), &pattern});
        const auto matcher = Matcher::of(rules);
        std::vector<std::string> events;
        for (int i = 0; i < 12; ++i) events.push_back(generator.event());
        matcher->match(std::vector<std::string_view>(events.begin(), events.end()), scratch, batch);
        for (size_t i = 0; i < events.size(); ++i) {
            const std::string& event = events[i];
            const auto tree = read_json(event, 100);
            ASSERT_TRUE(tree.ok()) << event << ": " << tree.error().message;
            matcher->match(event, scratch, found);
            ASSERT_EQ(batch[i], found) << "seed " << seed << ": one by one and as a batch\n" << event;
            const std::set<RuleId> set(found.begin(), found.end());
            ASSERT_EQ(set.size(), found.size()) << "a rule was told twice, seed " << seed;
            for (size_t r = 0; r < patterns.size(); ++r) {
                const bool expected = naive::matches(patterns[r], *tree);
                ++verdicts[expected];
                ASSERT_EQ(set.contains(r), expected) << "seed " << seed << "\n" << texts[r] << "\n" << event;
                ASSERT_EQ(matches(patterns[r], event), expected) << "seed " << seed << "\n" << texts[r] << "\n" << event;
                ASSERT_EQ(explain(patterns[r], event).matched, expected) << "seed " << seed << "\n" << texts[r] << "\n" << event;
            }
        }
    }
    EXPECT_GT(verdicts[0], 20'000u);
    EXPECT_GT(verdicts[1], 4'000u);
}

struct Refusal {
    std::string_view pattern, message;
};

constexpr std::string_view too_complex =
    "Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences after a wildcard character";

// EventBridge's own messages, behind "Event pattern is not valid. Reason: ".
TEST(Patterns, WhatIsRefusedIsRefusedInEventBridgesWords) {
    constexpr Refusal cases[] = {
        {R"([])", "Filter is not an object"},
        {R"({})", "Empty objects are not allowed"},
        {R"({"a":{}})", "Empty objects are not allowed"},
        {R"({"a":[]})", "Empty arrays are not allowed"},
        {R"({"a":"b"})", R"("a" must be an object or an array)"},
        {R"({"a":{"b":7}})", R"("b" must be an object or an array)"},
        {R"({"a":[["b"]]})", "Match value must be String, number, true, false, or null"},
        {R"({"a":[{}]})", "Match expression name not found"},
        {R"({"a":[{"Prefix":"b"}]})", "Unrecognized match type Prefix"},
        {R"({"a":[{"exactly":1}]})", "exact match pattern must be a string"},
        {R"({"a":[{"prefix":1}]})", "prefix match pattern must be a string"},
        {R"({"a":[{"prefix":["x"]}]})", "prefix match pattern must be a string"},
        {R"({"a":[{"suffix":null}]})", "suffix match pattern must be a string"},
        {R"({"a":[{"prefix":{}}]})", "Prefix expression name not found"},
        {R"({"a":[{"suffix":{}}]})", "Suffix expression name not found"},
        {R"({"a":[{"prefix":{"suffix":"x"}}]})", "Unsupported prefix pattern: suffix"},
        {R"({"a":[{"suffix":{"wildcard":"x"}}]})", "Unsupported suffix pattern: wildcard"},
        {R"({"a":[{"suffix":{"equals-ignore-case":["x"]}}]})", "equals-ignore-case match pattern must be a string"},
        {R"({"a":[{"equals-ignore-case":1}]})", "equals-ignore-case match pattern must be a string"},
        {R"({"a":[{"prefix":"x","suffix":"y"}]})", "Only one key allowed in match expression"},
        {R"({"a":[{"prefix":{"equals-ignore-case":"x","y":1}}]})", "Only one key allowed in match expression"},
        {R"({"a":[{"exists":"true"}]})", "exists match pattern must be either true or false."},
        {R"({"a":[{"exists":true,"x":1}]})", "Only one key allowed in match expression"},
        {R"({"a":[{"numeric":5}]})", "Value of numeric must be an array."},
        {R"({"a":[{"numeric":[]}]})", "Invalid member in numeric match: ]"},
        {R"({"a":[{"numeric":[5]}]})", "Invalid member in numeric match: 5"},
        {R"({"a":[{"numeric":["~",5]}]})", "Unrecognized numeric range operator: ~"},
        {R"({"a":[{"numeric":["=","5"]}]})", "Value of equals must be numeric"},
        {R"({"a":[{"numeric":["<","5"]}]})", "Value of < must be numeric"},
        {R"({"a":[{"numeric":["<=",null]}]})", "Value of <= must be numeric"},
        {R"({"a":[{"numeric":[">"]}]})", "Value of > must be numeric"},
        {R"({"a":[{"numeric":[">=",{}]}]})", "Value of >= must be numeric"},
        {R"({"a":[{"numeric":["=",5,"<",6]}]})", "Too many elements in numeric expression"},
        {R"({"a":[{"numeric":["<",5,">",4]}]})", "Too many elements in numeric expression"},
        {R"({"a":[{"numeric":[">",5,6]}]})", "Bad value in numeric range: 6"},
        {R"({"a":[{"numeric":[">",5,"=",6]}]})", "Bad numeric range operator: ="},
        {R"({"a":[{"numeric":[">",0,">",0]}]})", "Bad numeric range operator: >"},
        {R"({"a":[{"numeric":[">",0,"<"]}]})", "Value of < must be numeric"},
        {R"({"a":[{"numeric":[">",0,"<",1,"<",2]}]})", "Too many terms in numeric range expression"},
        {R"({"a":[{"numeric":[">",5,"<",5]}]})", "Bottom must be less than top"},
        {R"({"a":[{"numeric":["<",5],"x":1}]})", "Too many elements in numeric expression"},
        {R"({"a":[{"numeric":["=",1e400]}]})", "Cannot compare number : 1e400"},
        {R"({"a":[{"anything-but":null}]})", "Value of anything-but must be an array or single string/number value."},
        {R"({"a":[{"anything-but":true}]})", "Value of anything-but must be an array or single string/number value."},
        {R"({"a":[{"anything-but":[]}]})", "Inside anything but list, either all values are number or string, mixed type is not supported"},
        {R"({"a":[{"anything-but":[1,"x"]}]})", "Inside anything but list, either all values are number or string, mixed type is not supported"},
        {R"({"a":[{"anything-but":[null]}]})", "Inside anything but list, start|null|boolean is not supported."},
        {R"({"a":[{"anything-but":{}}]})", "Anything-But expression name not found"},
        {R"({"a":[{"anything-but":{"numeric":["=",1]}}]})", "Unsupported anything-but pattern: numeric"},
        {R"({"a":[{"anything-but":{"prefix":""}}]})", "Null prefix/suffix not allowed"},
        {R"({"a":[{"anything-but":{"suffix":["x",""]}}]})", "Null prefix/suffix not allowed"},
        {R"({"a":[{"anything-but":{"suffix":[1]}}]})", "prefix/suffix match pattern must be a string"},
        {R"({"a":[{"anything-but":{"prefix":{"equals-ignore-case":"x"}}}]})", "Value of anything-but must be an array or single string/number value."},
        {R"({"a":[{"anything-but":{"wildcard":1}}]})", "wildcard match pattern must be a string"},
        {R"({"a":[{"anything-but":{"equals-ignore-case":[1]}}]})", "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported."},
        {R"({"a":[{"anything-but":["x"],"y":1}]})", "Too many elements in numeric expression"},
        {R"({"a":[{"wildcard":1}]})", "wildcard match pattern must be a string"},
        {R"({"a":[{"wildcard":"arn:aws:events:us-east-1:**:event-bus/*"}]})", "Consecutive wildcard characters at pos 26"},
        {R"({"a":[{"wildcard":"a\\b"}]})", "Invalid escape character at pos 2"},
        {R"({"a":[{"wildcard":"a\\"}]})", "Invalid escape character at pos 2"},
        {R"({"a":[{"anything-but":{"wildcard":["a*","**"]}}]})", "Consecutive wildcard characters at pos 1"},
        {R"({"a":[{"wildcard":"*:*:*:*:*:event-bus/*"}]})", too_complex},
        {R"({"a":[{"wildcard":"*/datasync/*.bif"},{"wildcard":"*/datasync/*.tif"},{"wildcard":"*/datasync/*.tiff"},{"wildcard":"*/datasync/*.svs"}]})", too_complex},
        {R"({"a":[{"cidr":1}]})", "prefix match pattern must be a string"},
        {R"({"a":[{"cidr":"10.0.0.0"}]})", "Malformed CIDR, one '/' required"},
        {R"({"a":[{"cidr":"10.0.0.0/"}]})", "Malformed CIDR, one '/' required"},
        {R"({"a":[{"cidr":"10.0.0.0/a"}]})", "Malformed CIDR, mask bits must be an integer"},
        {R"({"a":[{"cidr":"10.0.0.0/-1"}]})", "Malformed CIDR, mask bits must not be negative"},
        {R"({"a":[{"cidr":"10.0.0.0/32"}]})", "IPv4 mask bits must be < 32"},
        {R"({"a":[{"cidr":"::1/128"}]})", "IPv6 mask bits must be < 128"},
        {R"({"a":[{"cidr":"xx.11.xx/8"}]})", "Nonstandard IP address: xx.11.xx"},
        {R"({"a":[{"cidr":"10.0.0.256/8"}]})", "Invalid IP address: 10.0.0.256"},
        {R"({"$or":{"a":["b"]}})", "It must be an Array followed with $or."},
        {R"({"$or":[1,2]})", "Only JSON object is allowed in array of $or relationship."},
        {R"({"$or":[{"a":["b"]}]})", "There must have at least 2 Objects in $or relationship."},
        {R"({"$or":[]})", "There must have at least 2 Objects in $or relationship."},
        {R"({"$or":[{"a":["b"]},{}]})", "Empty objects are not allowed"},
        {R"({"$or":[{"prefix":["b"]},{"a":["b"]}]})", "prefix is Ruler reserved fieldName which cannot be used inside $or."},
        {R"({'a':["b"]})", "Unexpected character (''' (code 39)): was expecting double-quote to start field name"},
        {R"({"a":[b]})", "Unrecognized token 'b': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')"},
        {R"({"a":["b"],})", "Unexpected character ('}' (code 125)): was expecting double-quote to start field name"},
        {R"({"a":["b" "c"]})", "Unexpected character ('\"' (code 34)): was expecting comma to separate Array entries"},
        {R"({"a" ["b"]})", "Unexpected character ('[' (code 91)): was expecting a colon to separate field name and value"},
        {R"({"a":["b"])", "Unexpected end-of-input within/between Object entries"},
        {R"({"a":["b)", "Unexpected end-of-input: was expecting closing quote for a string value"},
        {R"({"a":[01]})", "Invalid numeric value: Leading zeroes not allowed"},
        {R"({"a":["\ud83d"]})", "A surrogate escape in a string must be one of a pair"},
        {"{\"a\":[\"\xff\"]}", "The pattern is not UTF-8"},
    };
    for (const Refusal& c : cases) EXPECT_EQ(refusal(c.pattern), c.message) << c.pattern;
}

TEST(Patterns, WildcardsThatEventBridgeTakesAreTaken) {
    for (std::string_view wildcard : {"/Users/*/dir/dir/dir/dir/dir/doc.txt", "arn:aws:events:us-east-1:*:event-bus/*", "*a*b*", "2*0*1*7", "", "*"})
        EXPECT_EQ(refusal(R"({"a":[{"wildcard":")" + std::string(wildcard) + "\"}]}"), "(accepted)") << wildcard;
    EXPECT_EQ(refusal(R"({"a":[{"wildcard":"*/datasync/*.bif"},{"wildcard":"*/datasync/*.tif"}]})"), "(accepted)");
    EXPECT_EQ(refusal(R"({"a":[{"wildcard":"*.bif"},{"wildcard":"*.tiff"},{"wildcard":"*.tif"},{"wildcard":"*.svs"}]})"), "(accepted)");
}

}  // namespace
}  // namespace waybill::patterns
