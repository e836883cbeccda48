#include "patterns/automaton.h"

#include <algorithm>

#include "base/hash.h"
#include "patterns/matcher.h"

namespace waybill::patterns {

WildcardSet::WildcardSet(const std::vector<std::string>& wildcards) {
    for (const std::string& wildcard : wildcards) {
        const auto owner = static_cast<uint32_t>(begins_.size());
        begins_.push_back(static_cast<uint32_t>(tokens_.size()));
        for (size_t i = 0; i < wildcard.size(); ++i) {
            if (wildcard[i] == '*') {
                tokens_.push_back(star);
                continue;
            }
            if (wildcard[i] == '\\' && i + 1 < wildcard.size()) ++i;
            const auto byte = static_cast<unsigned char>(wildcard[i]);
            tokens_.push_back(byte);
            if (classes_[byte] == 0) classes_[byte] = static_cast<uint8_t>(class_count_++);  // UTF-8 has fewer than 255 different bytes
        }
        tokens_.push_back(done);
        owners_.resize(tokens_.size(), owner);
    }
}

Automaton::Automaton(std::shared_ptr<const WildcardSet> set) : set_(std::move(set)) { forget(); }

void Automaton::forget() {
    states_.clear();
    next_.clear();
    by_hash_.clear();
    place_count_ = 0;
    std::vector<uint32_t> start = set_->begins_;
    state_of(std::move(start));
}

// A place is the index of the token that comes next. At a star, what is behind it may come at once: both places are held.
uint32_t Automaton::state_of(std::vector<uint32_t>&& places) {
    const WildcardSet& set = *set_;
    for (size_t i = 0; i < places.size(); ++i) {
        if (set.tokens_[places[i]] == WildcardSet::star) places.push_back(places[i] + 1);
    }
    std::ranges::sort(places);
    places.erase(std::ranges::unique(places).begin(), places.end());
    // Of each wildcard only its last star and what is behind it.
    scratch_.clear();
    for (size_t i = 0; i < places.size();) {
        const uint32_t owner = set.owners_[places[i]];
        size_t end = i, from = i;
        for (; end < places.size() && set.owners_[places[end]] == owner; ++end) {
            if (set.tokens_[places[end]] == WildcardSet::star) from = end;
        }
        scratch_.insert(scratch_.end(), places.begin() + static_cast<std::ptrdiff_t>(from), places.begin() + static_cast<std::ptrdiff_t>(end));
        i = end;
    }
    const uint64_t hash = hash64({reinterpret_cast<const char*>(scratch_.data()), scratch_.size() * sizeof(uint32_t)});
    const auto [low, high] = by_hash_.equal_range(hash);
    for (auto at = low; at != high; ++at) {
        if (states_[at->second].places == scratch_) return at->second;
    }
    const auto number = static_cast<uint32_t>(states_.size());
    State& state = states_.emplace_back();
    state.places = scratch_;
    for (uint32_t place : scratch_) {
        if (set.tokens_[place] == WildcardSet::done) state.accepted.push_back(set.owners_[place]);
    }
    place_count_ += scratch_.size();
    next_.resize(next_.size() + set.class_count_, unknown);
    by_hash_.emplace(hash, number);
    return number;
}

uint32_t Automaton::follow(uint32_t from, uint8_t byte_class, unsigned char byte) {
    const WildcardSet& set = *set_;
    std::vector<uint32_t> places;
    for (uint32_t place : states_[from].places) {
        const uint16_t token = set.tokens_[place];
        if (token == WildcardSet::star) places.push_back(place);
        else if (token == byte) places.push_back(place + 1);
    }
    if (states_.size() >= automaton_states || place_count_ > automaton_places) {
        forget();
        return state_of(std::move(places));
    }
    const uint32_t to = state_of(std::move(places));
    next_[size_t{from} * set.class_count_ + byte_class] = to;
    return to;
}

const std::vector<uint32_t>& Automaton::match(std::string_view text) {
    const WildcardSet& set = *set_;
    uint32_t state = 0;
    for (char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        const uint8_t byte_class = set.classes_[byte];
        const uint32_t to = next_[size_t{state} * set.class_count_ + byte_class];
        state = to != unknown ? to : follow(state, byte_class, byte);
    }
    return states_[state].accepted;
}

}  // namespace waybill::patterns
