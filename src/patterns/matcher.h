// Says which of many patterns an event matches. A Matcher is an immutable snapshot, held by shared_ptr and swapped whole; `with` makes the next
// one from it in microseconds to milliseconds whatever its size, because the two share what did not change. Any number of threads may match
// on one snapshot and make others from it at once; each matching thread brings its own MatchScratch.
//
// How it works, in the order of an event's way:
//
//   the bytes ── scan.h ──▶ the values at paths that some rule asks for; stops when all were seen, skips what nobody asks for
//   each value ── index.h ─▶ the rules that are found by it: every branch of a rule is filed under one clause only, its rarest
//   each found ── verify ──▶ its other clauses are held against the values; arrays must agree (docs/patterns.md, "Arrays")
//
// so the cost of an event grows with the rules that nearly match it, not with the rules there are.
//
// The event must be a JSON object that the door has validated (UTF-8 and syntax). Given anything else, match() still reads nothing outside the
// bytes and ends in linear time, but what it answers means nothing. match() allocates only while a scratch grows to what its events need.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "patterns/pattern.h"

namespace waybill::patterns {

using RuleId = uint64_t;  // chosen by the caller; one pattern each

struct RulePattern {
    RuleId id = 0;
    const Pattern* pattern = nullptr;  // read during the call only
};

// -- the matcher --
// How many consistent choices of array elements are tried for one rule on one event before it is taken not to match. Only events that spell one
// path in two ways ("a.b" beside {"a":{"b":…}}) through several arrays can need more than a few.
constexpr size_t array_choices = 100'000;
// The lazily built automaton of a set of wildcards, for each scratch: states, and places in all of them, beyond which it is forgotten and built again. About
// 20 MiB at worst.
constexpr size_t automaton_states = 4096;
constexpr size_t automaton_places = 1'000'000;
// Wildcards that share one automaton; more on one field share several.
constexpr size_t wildcards_an_automaton = 256;
// Automata that one scratch keeps. Further ones are held against values wildcard by wildcard, until one of these was not needed for so many events.
constexpr size_t automata_a_scratch = 64;
constexpr size_t automaton_idle_events = 4096;

class MatchScratch {
public:
    MatchScratch();
    ~MatchScratch();
    MatchScratch(const MatchScratch&) = delete;
    MatchScratch& operator=(const MatchScratch&) = delete;

    struct State;

private:
    friend class Matcher;
    std::unique_ptr<State> state_;
};

class Matcher {
public:
    static std::shared_ptr<const Matcher> empty();
    // Of rules with the same id the last one counts.
    static std::shared_ptr<const Matcher> of(std::span<const RulePattern> rules);

    // This snapshot with `put` added (replacing rules of the same id) and `removed` taken out (ids that are not there are passed over; an id that is
    // in both is put).
    std::shared_ptr<const Matcher> with(std::span<const RulePattern> put, std::span<const RuleId> removed = {}) const;

    // Replaces `out` by the ids of all rules that the event matches, each once, in no particular order.
    void match(std::string_view event, MatchScratch& scratch, std::vector<RuleId>& out) const;

    // The door's way, for bytes of which nothing is known: false when they are not one JSON object within limits::json_depth and limits::event_bytes (and
    // `out` is empty then), else what it matches.
    bool check_and_match(std::string_view event, MatchScratch& scratch, std::vector<RuleId>& out) const;

    // The same for several events, as a request brings them: `out[i]` is what event i matches. Faster than one by one where rules are very many,
    // because what one event needs from memory comes while the next ones are scanned.
    void match(std::span<const std::string_view> events, MatchScratch& scratch, std::vector<std::vector<RuleId>>& out) const;

    size_t rules() const;
    bool contains(RuleId id) const;

    // What is where, as text for people: the paths looked for, and for each how many rules are filed there under which kind of test.
    std::string describe() const;
    // One rule as it was compiled: its branches, and the clause each is filed under. Empty when there is no such rule.
    std::string describe(RuleId id) const;

    ~Matcher();

private:
    struct Parts;
    void look_up(size_t event_size, size_t place, MatchScratch& scratch, std::vector<RuleId>& out) const;
    explicit Matcher(std::unique_ptr<const Parts> parts);
    std::unique_ptr<const Parts> parts_;
};

}  // namespace waybill::patterns
