// Many wildcards held against one value in one pass over its bytes. A WildcardSet is the immutable list of them; an Automaton is one thread's memory of how
// far the values seen so far have led into it: a deterministic automaton whose states are made when a value first needs them, so what a wildcard costs
// to add is its own length, and what was never seen costs nothing.
//
//   *ab*c*   *ca*    on "cab":   { 0:"*ab", 1:"*ca" } ─c→ { …, 1:"*c·a" } ─a→ { 0:"*a·b", 1: done } ─b→ { 0:"*c", 1: done }
//
// A state holds, of each wildcard, the places that a match may have come to; past a star the places before it are forgotten, for whatever they
// could still match the star can too. Memory is bounded: at `automaton_states` states, or `automaton_places` places, all are forgotten and made
// anew as they are needed.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace waybill::patterns {

class WildcardSet {
public:
    // `wildcards` are as src/patterns/comparison.h's wildcard_matches takes them.
    explicit WildcardSet(const std::vector<std::string>& wildcards);

    size_t size() const { return begins_.size(); }

private:
    friend class Automaton;
    static constexpr uint16_t star = 256, done = 257;
    std::vector<uint16_t> tokens_;          // of all wildcards, each ended by `done`: a byte, or a star
    std::vector<uint32_t> begins_;          // of each wildcard in tokens_
    std::vector<uint32_t> owners_;          // of each token: its wildcard
    std::array<uint8_t, 256> classes_{};    // bytes that no wildcard names are one class, 0
    uint32_t class_count_ = 1;
};

class Automaton {
public:
    explicit Automaton(std::shared_ptr<const WildcardSet> set);

    const WildcardSet* set() const { return set_.get(); }
    // The wildcards that match the whole text, as indices into the set; valid until the next call.
    const std::vector<uint32_t>& match(std::string_view text);

private:
    static constexpr uint32_t unknown = UINT32_MAX;
    struct State {
        std::vector<uint32_t> places;     // sorted
        std::vector<uint32_t> accepted;   // where a text that ends here matches
    };
    uint32_t state_of(std::vector<uint32_t>&& places);
    uint32_t follow(uint32_t from, uint8_t byte_class, unsigned char byte);
    void forget();

    std::shared_ptr<const WildcardSet> set_;
    std::vector<State> states_;
    std::vector<uint32_t> next_;          // state × class -> state, or unknown
    std::unordered_multimap<uint64_t, uint32_t> by_hash_;
    size_t place_count_ = 0;
    std::vector<uint32_t> scratch_;
};

}  // namespace waybill::patterns
