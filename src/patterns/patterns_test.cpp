// The pattern language: verdicts, messages, the matcher against the naive one, snapshots, limits, and the examples of docs/patterns.md.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <map>
#include <new>
#include <set>
#include <sstream>

#include "patterns/explain.h"
#include "patterns/generated.h"
#include "patterns/matcher.h"
#include "patterns/naive.h"
#include "patterns/pattern.h"
#include "patterns/scan.h"

namespace {
std::atomic<uint64_t> allocations{0};
}  // namespace

// Counts what the program allocates, for the test that matching allocates nothing.
void* operator new(size_t size) {
    ++allocations;
    if (void* memory = std::malloc(size)) return memory;
    std::abort();
}
void* operator new(size_t size, const std::nothrow_t&) noexcept { return operator new(size); }
void* operator new[](size_t size) { return operator new(size); }
void* operator new[](size_t size, const std::nothrow_t&) noexcept { return operator new(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { std::free(memory); }

namespace waybill::patterns {
namespace {

// Under a sanitizer the program is compiled unoptimised, and a tenth of the seeds takes as long as all do otherwise.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr uint64_t seeds_share = 10;
#else
constexpr uint64_t seeds_share = 1;
#endif
#else
constexpr uint64_t seeds_share = 1;
#endif

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
bool verdict(std::string_view pattern_json, std::string_view event) {
    const Pattern pattern = parsed(pattern_json);
    const RulePattern rule{7, &pattern};
    const bool one_off = matches(pattern, event);
    EXPECT_EQ(one_off, matched(*Matcher::of({&rule, 1}), event).size() == 1) << pattern_json << "\n" << event;
    EXPECT_EQ(one_off, explain(pattern, event).matched) << pattern_json << "\n" << event;
    return one_off;
}

TEST(Patterns, TheMatcherAnswersAsTheNaiveOneDoes) {
    MatchScratch scratch;
    std::vector<RuleId> found, checked;
    std::vector<std::vector<RuleId>> batch;
    size_t verdicts[2] = {};
    for (uint64_t seed = 1; seed <= 2000 / seeds_share; ++seed) {
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
            ASSERT_TRUE(matcher->check_and_match(event, scratch, checked)) << event;
            ASSERT_EQ(checked, found) << "seed " << seed << ": by the door\n" << event;
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
    EXPECT_GT(verdicts[0], 20'000u / seeds_share);
    EXPECT_GT(verdicts[1], 4'000u / seeds_share);
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

std::string read_file(const std::string& path) {
    std::ifstream in(path);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

// docs/patterns.md: ```pattern, then ```matches and ```does-not-match with an event a line; ```refused with a pattern and its message in turns.
TEST(Patterns, ThePageSaysWhatIs) {
    std::istringstream page(read_file(std::string(WAYBILL_SOURCE_DIR) + "/docs/patterns.md"));
    std::string line, block, pattern;
    std::map<std::string, int> examples;
    while (std::getline(page, line)) {
        if (line.starts_with("```")) {
            block = line.substr(3);
            continue;
        }
        if (block.empty()) continue;
        ++examples[block];
        if (block == "pattern") {
            pattern = line;
        } else if (block == "matches") {
            EXPECT_TRUE(verdict(pattern, line)) << pattern << "\n" << line;
        } else if (block == "does-not-match") {
            EXPECT_FALSE(verdict(pattern, line)) << pattern << "\n" << line;
        } else if (block == "refused") {
            std::string message;
            std::getline(page, message);
            EXPECT_EQ(refusal(line), message) << line;
        } else {
            ADD_FAILURE() << "a block that is no example: " << block;
        }
    }
    EXPECT_GT(examples["pattern"], 20);
    EXPECT_GT(examples["matches"], 50);
    EXPECT_GT(examples["does-not-match"], 50);
    EXPECT_GT(examples["refused"], 20);
}

TEST(Patterns, WhatWasParsedIsWrittenAsThePatternThatItIs) {
    const Pattern pattern = parsed(R"({"a":["x\"",1.50,null,{"prefix":"p"},{"suffix":{"equals-ignore-case":"S"}},{"wildcard":"a\\*b*"},{"numeric":[">",1,"<=",2.5]},{"numeric":["=",3]},
                                     {"cidr":"10.0.0.0/8"},{"exists":true},{"anything-but":[1,2]},{"anything-but":{"suffix":["x","y"]}}]})");
    const std::string json = to_json(pattern.clauses[0]);
    EXPECT_EQ(json, R"(["x\"",1.50,null,{"prefix":"p"},{"suffix":{"equals-ignore-case":"S"}},{"wildcard":"a\\*b*"},{"numeric":[">",1,"<=",2.5]},{"numeric":["=",3]},)"
                    R"({"cidr":"10.0.0.0/8"},{"exists":true},{"anything-but":[1,2]},{"anything-but":{"suffix":["x","y"]}}])");
    EXPECT_EQ(to_json(parsed("{\"a\":" + json + "}").clauses[0]), json);
    EXPECT_EQ(to_text(parsed(R"({"b":[1],"$or":[{"a":[2]},{"c":[3]}]})")), "1 of 2:\n  a: [2]\n  b: [1]\n2 of 2:\n  b: [1]\n  c: [3]\n");
    const RulePattern rule{7, &pattern};
    const auto matcher = Matcher::of({&rule, 1});
    EXPECT_NE(matcher->describe(7).find(R"({"anything-but":[1,2]})"), std::string::npos) << matcher->describe(7);
    EXPECT_NE(matcher->describe().find("1 rules, 1 paths"), std::string::npos) << matcher->describe();
    EXPECT_EQ(matcher->describe(8), "");
}

TEST(Patterns, HostilePatternsAreRefusedAndNeverExplode) {
    std::string wildcards = R"({"a":[)";
    for (int i = 0; i < 400; ++i) wildcards += (i ? R"(,{"wildcard":"*a*b*c)" : R"({"wildcard":"*a*b*c)") + std::to_string(i) + "*\"}";
    EXPECT_EQ(refusal(wildcards + "]}"), too_complex);

    const auto either = [](int n, int width) {
        std::string out = R"("$or":[)";
        for (int i = 0; i < width; ++i) out += (i ? "," : "") + std::string(R"({"k)") + std::to_string(n) + "\":[" + std::to_string(i) + "]}";
        return out + "]";
    };
    EXPECT_EQ(refusal("{" + either(0, 1000) + "}"), "(accepted)");
    EXPECT_EQ(refusal("{" + either(0, 1001) + "}"), "Rule is too complex - its $or make more than 1000 combinations");
    EXPECT_EQ(refusal("{" + either(0, 40) + "," + either(1, 40) + "}"), "Rule is too complex - its $or make more than 1000 combinations");
    std::string deep = R"({"a":[1]})";
    for (int i = 0; i < 1200; ++i) deep = "{\"a\":" + deep + "}";
    EXPECT_EQ(refusal(deep), "Document nesting depth (1001) exceeds the maximum allowed (1000, from `StreamReadConstraints.getMaxNestingDepth()`)");
    std::string fields;
    for (int i = 0; i < 100; ++i) fields += "\"f" + std::to_string(i) + "\":[1],";
    EXPECT_EQ(refusal("{" + fields + either(0, 300) + "}"), "Rule is too complex - the combinations of its $or have more than 20000 fields");
    EXPECT_EQ(refusal("{\"a\":[\"" + std::string(70'000, 'x') + "\"]}"), "The pattern has 70010 bytes; at most 65536 are allowed");

    // A thousand-way $or is matched as any other rule.
    const Pattern wide = parsed("{" + either(0, 1000) + "}");
    const RulePattern rule{1, &wide};
    EXPECT_EQ(matched(*Matcher::of({&rule, 1}), R"({"k0":999})"), std::vector<RuleId>{1});
}

TEST(Patterns, AWildcardThatManyValuesLeadFarIntoIsForgottenAndFoundAgain) {
    std::vector<Pattern> patterns;
    for (int i = 0; i < 300; ++i) patterns.push_back(parsed(R"({"a":[{"wildcard":"*)" + std::to_string(i) + "*" + std::to_string(i * 7 % 1000) + "*\"}]}"));
    std::vector<RulePattern> rules;
    for (const Pattern& pattern : patterns) rules.push_back({rules.size(), &pattern});
    const auto matcher = Matcher::of(rules);
    MatchScratch scratch;
    std::vector<RuleId> out;
    generated::Choices choose(5);
    for (int i = 0; i < 400; ++i) {
        std::string value;
        for (int digits = 0; digits < 40; ++digits) value += static_cast<char>('0' + choose.below(10));
        const std::string event = R"({"a":")" + value + "\"}";
        matcher->match(event, scratch, out);
        std::ranges::sort(out);
        std::vector<RuleId> expected;
        for (size_t r = 0; r < patterns.size(); ++r) {
            if (wildcard_matches(patterns[r].clauses[0].tests[0].text, value)) expected.push_back(r);
        }
        ASSERT_EQ(out, expected) << value;
    }
}

// Random additions, replacements and removals: each snapshot answers as one that is made anew from the same rules, and older ones still answer as they did.
TEST(Patterns, ASnapshotIsWhatItsRulesAre) {
    for (uint64_t seed = 1; seed <= 60 / seeds_share; ++seed) {
        generated::Generator generator{generated::Choices(seed)};
        std::vector<std::unique_ptr<Pattern>> kept;
        std::map<RuleId, const Pattern*> rules;
        std::vector<std::string> events;
        for (int i = 0; i < 10; ++i) events.push_back(generator.event());
        auto matcher = Matcher::empty();
        std::vector<std::pair<std::shared_ptr<const Matcher>, std::vector<std::vector<RuleId>>>> older;
        for (int step = 0; step < 40; ++step) {
            std::vector<RulePattern> put;
            std::vector<RuleId> removed;
            for (unsigned n = generator.below(step % 10 == 0 ? 40 : 3); n > 0; --n) {
                auto pattern = parse_pattern(generator.pattern());
                if (!pattern) continue;
                kept.push_back(std::make_unique<Pattern>(std::move(*pattern)));
                put.push_back({generator.below(60), kept.back().get()});
            }
            for (unsigned n = generator.below(4); n > 0; --n) removed.push_back(generator.below(60));
            for (RuleId id : removed) rules.erase(id);
            for (const RulePattern& rule : put) rules[rule.id] = rule.pattern;
            matcher = matcher->with(put, removed);
            ASSERT_EQ(matcher->rules(), rules.size());
            std::vector<RulePattern> all;
            for (const auto& [id, pattern] : rules) {
                ASSERT_TRUE(matcher->contains(id));
                all.push_back({id, pattern});
            }
            const auto fresh = Matcher::of(all);
            std::vector<std::vector<RuleId>> answers;
            for (const std::string& event : events) {
                answers.push_back(matched(*matcher, event));
                ASSERT_EQ(answers.back(), matched(*fresh, event)) << "seed " << seed << ", step " << step << "\n" << event;
            }
            older.emplace_back(matcher, std::move(answers));
        }
        for (const auto& [snapshot, answers] : older) {
            for (size_t i = 0; i < events.size(); ++i) ASSERT_EQ(matched(*snapshot, events[i]), answers[i]) << "an older snapshot, seed " << seed;
        }
        std::vector<RuleId> everything;
        for (const auto& [id, pattern] : rules) everything.push_back(id);
        const auto none = matcher->with({}, everything);
        EXPECT_EQ(none->rules(), 0u);
        EXPECT_EQ(none->describe(), "0 rules, 0 paths\n");
    }
}

TEST(Patterns, ManyRulesOnOneKeyAndManyKeys) {
    std::vector<Pattern> patterns;
    for (int i = 0; i < 3000; ++i) patterns.push_back(parsed(R"({"a":["k)" + std::to_string(i % 1000) + R"("],"b":[{"prefix":")" + std::string(1, static_cast<char>('a' + i % 3)) + "\"}]}"));
    std::vector<RulePattern> rules;
    for (const Pattern& pattern : patterns) rules.push_back({rules.size(), &pattern});
    auto matcher = Matcher::of(rules);
    for (int i = 0; i < 1000; i += 37) {
        const std::string event = R"({"a":"k)" + std::to_string(i) + R"(","b":"by"})";
        std::vector<RuleId> expected;
        for (RuleId id = static_cast<RuleId>(i); id < 3000; id += 1000) {
            if (id % 3 == 1) expected.push_back(id);
        }
        EXPECT_EQ(matched(*matcher, event), expected);
    }
    for (RuleId id = 0; id < 3000; ++id) {
        if (id % 5 != 0) matcher = matcher->with({}, std::span(&id, 1));
    }
    EXPECT_EQ(matcher->rules(), 600u);
    EXPECT_EQ(matched(*matcher, R"({"a":"k0","b":"a"})"), (std::vector<RuleId>{0}));
    EXPECT_EQ(matched(*matcher, R"({"a":"k1","b":"b"})"), (std::vector<RuleId>{}));
}

TEST(Patterns, EveryWidthOfScanFindsTheSame) {
    const std::vector<std::string> paths = {"a", "a.b", "b", "b.c", "c", "d.e", "longer-key", ".", "", "a.a"};
    std::vector<const std::string*> by_field;
    for (const std::string& path : paths) by_field.push_back(&path);
    const PathPlan plan(by_field);
    ScanResult reference, other;
    size_t values = 0;
    for (uint64_t seed = 1; seed <= 3000 / seeds_share; ++seed) {
        generated::Generator generator{generated::Choices(seed)};
        std::string event = generator.event();
        // Some whose strings and brackets stand around the borders of blocks, with runs of backslashes before quotes.
        if (seed % 3 == 0) event.insert(1, R"("pad":")" + std::string(seed % 70, 'x') + std::string(2 * (seed % 5), '\\') + R"(\"[{",)");
        scan(event, plan, reference, nullptr, ScanWidth::plain);
        values += reference.values.size();
        for (ScanWidth width : {ScanWidth::sse2, ScanWidth::avx2, ScanWidth::avx512}) {
            if (width > widest_scan()) break;
            scan(event, plan, other, nullptr, width);
            ASSERT_EQ(other.values.size(), reference.values.size()) << "seed " << seed << "\n" << event;
            for (size_t i = 0; i < other.values.size(); ++i) {
                ASSERT_EQ(other.values[i].text(), reference.values[i].text()) << event;
                ASSERT_EQ(other.values[i].scope, reference.values[i].scope) << event;
                ASSERT_EQ(other.values[i].kind, reference.values[i].kind) << event;
            }
        }
    }
    EXPECT_GT(values, 3000u / seeds_share);
}

// What the door would have refused: no answer is promised, but nothing outside the bytes is read (ASan sees to that) and it ends.
TEST(Patterns, BytesThatAreNoJsonDoNoHarm) {
    const Pattern pattern = parsed(R"({"a":{"b":[1,"x",{"prefix":"y"}]},"b":[{"exists":true}],"c":[{"numeric":[">",0]},{"wildcard":"*a*"}]})");
    const RulePattern rule{1, &pattern};
    const auto matcher = Matcher::of({&rule, 1});
    MatchScratch scratch;
    std::vector<RuleId> out;
    int accepted[2] = {};
    for (uint64_t seed = 1; seed <= 4000 / seeds_share; ++seed) {
        generated::Choices choose(seed);
        generated::Generator generator{generated::Choices(seed)};
        std::string event = generator.event();
        for (unsigned n = choose.below(4); n > 0 && !event.empty(); --n) event[choose.below(static_cast<unsigned>(event.size()))] = "\"\\{}[],: a1\xff"[choose.below(12)];
        if (choose.one_in(2)) event.resize(choose.below(static_cast<unsigned>(event.size()) + 1));
        const std::unique_ptr<char[]> exact(new char[event.size()]);
        std::ranges::copy(event, exact.get());
        matcher->match({exact.get(), event.size()}, scratch, out);
        // The door takes what is JSON and nothing else.
        const auto tree = read_json(event, limits::json_depth);
        ASSERT_EQ(matcher->check_and_match({exact.get(), event.size()}, scratch, out), tree.ok() && tree->kind == JsonNode::Kind::object) << event;
        accepted[tree.ok()] += 1;
    }
    EXPECT_GT(accepted[0], 1000 / static_cast<int>(seeds_share));
    EXPECT_GT(accepted[1], 100 / static_cast<int>(seeds_share));
    const std::string brackets(1 << 20, '[');
    matcher->match("{\"a\":" + brackets, scratch, out);
    matcher->match("{\"a\":" + std::string(1 << 20, '{'), scratch, out);
    EXPECT_FALSE(matches(pattern, brackets));
    EXPECT_FALSE(matches(pattern, "\xff"));
    EXPECT_EQ(explain(pattern, "[1]").event_error, "An event must be a JSON object");
}

TEST(Patterns, LargeEvents) {
    const Pattern pattern = parsed(R"({"detail":{"items":{"n":[77777],"last":["yes"]}},"end":["é"]})");
    std::string event = R"({"detail":{"skip":)" + std::string(900, '[') + std::string(900, ']') + R"(,"items":[)";
    for (int i = 0; i < 40'000; ++i) event += (i ? "," : "") + std::string(R"({"text":"}]\"","n":)") + std::to_string(i * 7) + (i * 7 == 77'777 ? R"(,"last":"yes"})" : "}");
    event += R"(]},"end":"\u00e9"})";
    ASSERT_GT(event.size(), 1u << 20);
    EXPECT_TRUE(verdict(R"({"end":["é"]})", event));
    EXPECT_TRUE(matches(pattern, event));
    const RulePattern rule{1, &pattern};
    EXPECT_EQ(matched(*Matcher::of({&rule, 1}), event).size(), 1u);
}

TEST(Patterns, ArraysThatLieBesideEachOtherDoNotMultiply) {
    // Ten arrays of a hundred elements each; the last never agrees. Tried one by one that would be 100^10 choices.
    std::string pattern = "{", event = "{";
    for (int array = 0; array < 10; ++array) {
        const std::string name = "r" + std::to_string(array);
        pattern += (array ? ",\"" : "\"") + name + R"(":{"x":[1],"y":[2]})";
        event += (array ? ",\"" : "\"") + name + "\":[";
        for (int i = 0; i < 100; ++i) event += std::string(i ? "," : "") + (array < 9 ? R"({"x":1,"y":2})" : i % 2 ? R"({"x":1})" : R"({"y":2})");
        event += "]";
    }
    EXPECT_FALSE(verdict(pattern + "}", event + "}"));
    // One path through two arrays, by a key with a dot: choices are tried, and some choice is right.
    EXPECT_TRUE(verdict(R"({"a":{"b":{"x":[1],"y":[2]},"z":[3]}})", R"({"a.b":[{"x":1,"y":2}],"a":[{"b":{"x":1},"z":3}]})"));
    EXPECT_FALSE(verdict(R"({"a":{"b":{"x":[1],"y":[2]},"z":[3]}})", R"({"a.b":[{"x":1},{"y":2}],"a":[{"z":3},{"b":{"q":1}}]})"));
}

TEST(Patterns, MatchingAllocatesNothingOnceItIsWarm) {
    const std::vector<std::string> texts = {
        R"({"source":["aws.codepipeline"],"detail":{"state":["FAILED"],"pipeline":[{"prefix":"team-"}]}})",
        R"({"detail":{"pipeline":[{"wildcard":"*-service-*"}],"stage":[{"anything-but":["Source"]}],"version":[{"numeric":[">",1]}]}})",
        R"({"detail-type":[{"equals-ignore-case":"codepipeline stage execution state change"}],"detail":{"version":[4],"text":["a\"b"]}})",
        R"({"detail":{"items":{"x":[1],"y":[2]},"missing":[{"exists":false}]}})",
    };
    std::vector<Pattern> patterns;
    for (const std::string& text : texts) patterns.push_back(parsed(text));
    std::vector<RulePattern> rules;
    for (const Pattern& pattern : patterns) rules.push_back({rules.size(), &pattern});
    const auto matcher = Matcher::of(rules);
    const std::vector<std::string> events = {
        R"({"source":"aws.codepipeline","detail-type":"CodePipeline Stage Execution State Change","detail":{"state":"FAILED","pipeline":"team-7-service-1","stage":"Deploy","version":4.0,)"
        R"("text":"a\"b","items":[{"x":1},{"x":1,"y":2}]}})",
        R"({"source":"other","detail":{"pipeline":"x-service-","stage":"Source","version":123456789012345678901234567890,"items":[{"y":2}]}})",
    };
    MatchScratch scratch;
    std::vector<RuleId> out;
    size_t found = 0;
    const auto pass = [&] {
        for (const std::string& event : events) {
            matcher->match(event, scratch, out);
            found += out.size();
            if (!matcher->check_and_match(event, scratch, out)) ++found;
        }
    };
    pass();
    pass();
    const uint64_t before = allocations;
    for (int i = 0; i < 1000; ++i) pass();
    EXPECT_EQ(allocations - before, 0u);
    EXPECT_EQ(found, 4u * 1002);
}

TEST(Patterns, AnExplanationNamesTheClauseAndTheValue) {
    const Pattern pattern = parsed(R"({"source":["a"],"detail":{"state":["FAILED"],"gone":[1],"there":[{"exists":false}]},"items":{"x":[1],"y":[2]}})");
    const Explanation said = explain(pattern, R"({"source":"a","detail":{"state":"STARTED","there":7},"items":[{"x":1},{"y":2.0}]})");
    EXPECT_FALSE(said.matched);
    ASSERT_EQ(said.branches.size(), 1u);
    std::map<std::string, std::string> outcomes;
    for (const ClauseExplanation& clause : said.branches[0].clauses) outcomes[clause.path] = to_string(clause.outcome);
    EXPECT_EQ(outcomes, (std::map<std::string, std::string>{{"source", "matched"}, {"detail.state", "differs"}, {"detail.gone", "absent"}, {"detail.there", "present"},
                                                            {"items.x", "matched"}, {"items.y", "other_element"}}));
    EXPECT_EQ(to_text(said), "The pattern does not match.\n"
                             "  detail.gone: wanted [1], fails: there is no value at this path\n"
                             "  detail.state: wanted [\"FAILED\"], fails: found \"STARTED\"\n"
                             "  detail.there: wanted [{\"exists\":false}], fails: there is a value: 7\n"
                             "  items.x: wanted [1], matches: found 1\n"
                             "  items.y: wanted [2], fails: found 2.0, but not in the array element that fulfils the fields before it\n"
                             "  source: wanted [\"a\"], matches: found \"a\"\n");
    EXPECT_EQ(to_json(explain(parsed(R"({"a":["x"]})"), R"({"a":["y",null]})")),
              R"({"matched":false,"combinations":1,"nearest":[{"matched":false,"clauses":[{"path":"a","wanted":["x"],"found":["y",null],"foundCount":2,"outcome":"differs"}]}]})");

    // The nearest combination of $or stands first, and not all of very many are shown.
    const Explanation either = explain(parsed(R"({"$or":[{"a":[1],"b":[1],"c":[1]},{"d":[1],"b":[1]}]})"), R"({"b":1})");
    ASSERT_EQ(either.branches.size(), 2u);
    EXPECT_EQ(either.branches[0].clauses.size(), 2u);
    std::string many = R"({"$or":[)";
    for (int i = 0; i < 50; ++i) many += (i ? "," : "") + std::string(R"({"a":[)") + std::to_string(i) + "]}";
    const Explanation cut = explain(parsed(many + "]}"), R"({"a":77})");
    EXPECT_EQ(cut.branch_count, 50u);
    EXPECT_EQ(cut.branches.size(), branches_shown);
}

TEST(Patterns, WhatTestEventPatternAsksOfAnEvent) {
    const std::string whole = R"({"id":"1","account":"1","source":"s","time":"t","region":"r","detail-type":["d"]})";
    EXPECT_TRUE(check_test_event(whole).ok());
    for (std::string_view key : {"id", "account", "source", "time", "region", "detail-type"}) {
        std::string without = whole;
        without.replace(without.find("\"" + std::string(key) + "\""), 2, "\"_");
        EXPECT_FALSE(check_test_event(without).ok()) << without;
    }
    for (std::string_view event : {"", "[1]", "7", "{", "[\"plain string\"]", "{\"id\":\"1\"}"}) {
        const auto checked = check_test_event(event);
        ASSERT_FALSE(checked.ok()) << event;
        EXPECT_EQ(checked.error().message, "Parameter Event is not valid.");
    }
}

}  // namespace
}  // namespace waybill::patterns
