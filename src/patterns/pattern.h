// An event pattern of EventBridge, parsed and checked: what a rule asks of an event. The language, with an example for every rule and where
// it follows AWS's documentation rather than AWS's open matcher, is docs/patterns.md.
//
// A Pattern is a value: it copies, compares nothing and is never changed after parse_pattern made it. It is kept as alternatives of
// conjunctions ("branches"): `$or` is multiplied out here, once, so nothing later knows of it. Parsing is bounded in time and memory by
// PatternLimits for any input; what is over a limit is refused with a message, and nothing is guessed. Any thread may call anything here.
// Matching many patterns at once is src/patterns/matcher.h; saying why one did not match is src/patterns/explain.h.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "event/limits.h"

namespace waybill::patterns {

// A number as JSON writes it, reduced to what it is worth: sign × digits × 10^exponent, without zeros at either end of the digits. Equal
// numbers have equal Decimals, however they were written (300, 300.0, 3.0e2). Zero has no digits and no sign.
struct Decimal {
    bool negative = false;
    int64_t exponent = 0;   // held within ±2^40, far beyond what a double can tell from zero or infinity
    std::string digits;
    bool operator==(const Decimal&) const = default;
};

struct NumberRange {  // IEEE doubles
    double low = 0, high = 0;
    bool low_open = false, high_open = false;
    bool operator==(const NumberRange&) const = default;
    bool holds(double v) const { return (low_open ? v > low : v >= low) && (high_open ? v < high : v <= high); }
};

struct Network {  // CIDR; an IPv4 network never holds an IPv6 address, nor the other way round
    bool v6 = false;
    uint8_t bits = 0;                        // of the mask
    std::array<uint8_t, 16> address{};       // with the bits behind the mask cleared; IPv4 uses the first four
};

enum class TestKind : uint8_t {
    text,           // the string is this
    number,         // the number is worth this
    literal,        // true, false or null
    prefix,
    suffix,
    text_ignoring_case,
    prefix_ignoring_case,
    suffix_ignoring_case,
    wildcard,
    numeric,
    cidr,
    exists,
    absent,
    anything_but,   // there is a value, and it passes none of `but`
};

struct Test {
    TestKind kind = TestKind::text;
    std::string text;            // UTF-8; of a wildcard with its backslashes, of a number or literal as the pattern wrote it
    Decimal number;              // number
    NumberRange range;           // numeric
    Network network;             // cidr
    std::vector<Test> but;       // anything_but: all of one kind: text, number, prefix, suffix, text_ignoring_case or wildcard
};

// One leaf of the pattern: a path, and tests of which a value there must pass one.
struct Clause {
    std::string path;            // the keys from the root, joined by "."
    std::vector<Test> tests;
};

struct Pattern {
    std::vector<Clause> clauses;
    std::vector<std::vector<uint32_t>> branches;  // each a conjunction of clauses, by index, in the order of their paths
};

// -- patterns --
struct PatternLimits {
    size_t bytes = 64 << 10;           // of JSON; EventBridge: 4,096 characters, which the API checks; archives and the native API may take more
    size_t depth = limits::json_depth; // nesting levels
    size_t branches = 1000;            // combinations of all `$or`; EventBridge: 1,000
    size_t clauses_a_branch = 1000;    // fields that must hold together; a stop for hostile input, AWS states none
    size_t clause_uses = 20'000;       // clauses summed over all branches: bounds what one rule costs in the matcher
    size_t wildcard_complexity = 10;   // how many partial matches of a field's wildcards may be open at once; as EventBridge refuses them
    size_t wildcard_states = 2000;     // sets of open partial matches looked at to find that number
};

// The error's message is EventBridge's text behind "Event pattern is not valid. Reason: ", without its second line (" at [Source: …").
Result<Pattern> parse_pattern(std::string_view json, const PatternLimits& = {});

// What was understood, as text for people: one line a clause, branches numbered where there are several.
std::string to_text(const Pattern&);
// One test, or the tests of one clause, as the pattern language writes them: {"prefix":"a"}, ["a",{"exists":false}].
std::string to_json(const Test&);
std::string to_json(const Clause&);

}  // namespace waybill::patterns
