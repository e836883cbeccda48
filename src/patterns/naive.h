// The matcher as it would be written to be plainly right: what the property test and the fuzzers hold src/patterns/matcher.h against. It spells out every value of
// an event with the array elements it lies in, and tries every choice of values. Exponential where arrays are many; for tests only, never for the
// program. It shares no code with the matcher but the JSON reader, the letters' cases and the parsed pattern.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "patterns/comparison.h"
#include "patterns/json_reader.h"
#include "patterns/pattern.h"

namespace waybill::patterns::naive {

struct Leaf {
    std::string path;
    const JsonNode* node;
    std::map<int, int> elements;  // array -> index: where it lies
};

class Flat {
public:
    explicit Flat(const JsonNode& event) {
        Scope scope;
        object(event, "", true, {}, scope);
    }
    std::vector<Leaf> leaves;

private:
    struct Scope {
        std::vector<std::string> met, arrays;
    };
    static bool below(const std::string& path, const std::string& parent) { return path.size() > parent.size() && path.starts_with(parent) && path[parent.size()] == '.'; }

    void object(const JsonNode& node, const std::string& parent, bool root, const std::map<int, int>& elements, Scope& scope) {
        for (size_t i = 0; i < node.children.size(); ++i) {
            const std::string path = root ? node.keys[i] : parent + "." + node.keys[i];
            const bool again = std::ranges::find(scope.met, path) != scope.met.end() ||
                               std::ranges::any_of(scope.arrays, [&](const std::string& array) { return below(path, array); });
            if (again) continue;
            scope.met.push_back(path);
            const JsonNode& child = node.children[i];
            if (child.kind == JsonNode::Kind::array) scope.arrays.push_back(path);
            if (child.kind == JsonNode::Kind::object) object(child, path, false, elements, scope);
            else if (child.kind == JsonNode::Kind::array) array(child, path, elements);
            else leaves.push_back({path, &child, elements});
        }
    }
    void array(const JsonNode& node, const std::string& path, const std::map<int, int>& elements) {
        const int number = arrays_++;
        for (size_t i = 0; i < node.children.size(); ++i) {
            const JsonNode& child = node.children[i];
            std::map<int, int> inside = elements;
            inside[number] = static_cast<int>(i);
            Scope scope;
            if (child.kind == JsonNode::Kind::object) object(child, path, false, inside, scope);
            else if (child.kind == JsonNode::Kind::array) array(child, path, inside);
            else leaves.push_back({path, &child, elements});
        }
    }
    int arrays_ = 0;
};

inline bool glob(std::string_view wildcard, std::string_view text) {
    if (wildcard.empty()) return text.empty();
    if (wildcard[0] == '*') return glob(wildcard.substr(1), text) || (!text.empty() && glob(wildcard, text.substr(1)));
    if (wildcard[0] == '\\') wildcard.remove_prefix(1);
    return !text.empty() && text[0] == wildcard[0] && glob(wildcard.substr(1), text.substr(1));
}

inline bool in_network(const Network& network, const std::string& text) {
    const auto address = parse_address(text);
    if (!address || address->v6 != network.v6) return false;
    for (int bit = 0; bit < network.bits; ++bit) {
        const auto is_set = [bit](const uint8_t* bytes) { return bytes[bit / 8] >> (7 - bit % 8) & 1; };
        if (is_set(address->bytes) != is_set(network.address.data())) return false;
    }
    return true;
}

// Whether two numbers, as written, are the same: one is written with the other's exponent, digit by digit.
inline bool same_number(std::string_view a, std::string_view b) {
    const auto plain = [](std::string_view number) {
        const bool negative = number.starts_with('-');
        const size_t e = number.find_first_of("eE");
        const long exponent = e == std::string_view::npos ? 0 : std::strtol(std::string(number.substr(e + 1)).c_str(), nullptr, 10);
        std::string digits;
        long point = 0;
        bool fraction = false;
        for (char c : number.substr(negative, e == std::string_view::npos ? e : e - negative)) {
            if (c == '.') fraction = true;
            else digits.push_back(c), point += fraction;
        }
        while (digits.size() > 1 && digits.back() == '0') digits.pop_back(), --point;
        while (digits.size() > 1 && digits.front() == '0') digits.erase(0, 1);
        if (digits == "0") return std::string("0");
        return (negative ? "-" : "") + digits + "e" + std::to_string(exponent - point);
    };
    return plain(a) == plain(b);
}

inline bool passes(const Test& test, const JsonNode& node) {
    const bool text = node.kind == JsonNode::Kind::text, number = node.kind == JsonNode::Kind::number;
    const std::string &value = node.text, &wanted = test.text;
    switch (test.kind) {
        case TestKind::text: return text && value == wanted;
        case TestKind::number: return number && same_number(value, wanted);
        case TestKind::literal: return node.kind == JsonNode::Kind::literal && value == wanted;
        case TestKind::prefix: return text && value.substr(0, wanted.size()) == wanted;
        case TestKind::suffix: return text && value.size() >= wanted.size() && value.substr(value.size() - wanted.size()) == wanted;
        case TestKind::text_ignoring_case: return text && folded(value) == folded(wanted);
        case TestKind::prefix_ignoring_case: return text && folded(value).starts_with(folded(wanted));
        case TestKind::suffix_ignoring_case: return text && folded(value).ends_with(folded(wanted));
        case TestKind::wildcard: return text && glob(wanted, value);
        case TestKind::numeric: return number && test.range.holds(std::strtod(value.c_str(), nullptr));
        case TestKind::cidr: return text && in_network(test.network, value);
        case TestKind::exists: return true;
        case TestKind::absent: return false;
        case TestKind::anything_but:
            for (const Test& but : test.but) {
                if (passes(but, node)) return false;
            }
            return true;
    }
    return false;
}

// Whether the branch's clauses from `next` on can be fulfilled by leaves that agree with the elements chosen so far.
inline bool fulfil(const Pattern& pattern, const std::vector<uint32_t>& branch, size_t next, const Flat& event, const std::map<int, int>& elements) {
    if (next == branch.size()) return true;
    const Clause& clause = pattern.clauses[branch[next]];
    bool present = false;
    for (const Leaf& leaf : event.leaves) {
        if (leaf.path != clause.path) continue;
        present = true;
        if (std::ranges::none_of(clause.tests, [&](const Test& test) { return passes(test, *leaf.node); })) continue;
        const bool agrees = std::ranges::all_of(leaf.elements, [&](const auto& e) { return !elements.contains(e.first) || elements.at(e.first) == e.second; });
        if (!agrees) continue;
        std::map<int, int> more = elements;
        more.insert(leaf.elements.begin(), leaf.elements.end());
        if (fulfil(pattern, branch, next + 1, event, more)) return true;
    }
    const bool absence = std::ranges::any_of(clause.tests, [](const Test& test) { return test.kind == TestKind::absent; });
    return !present && absence && fulfil(pattern, branch, next + 1, event, elements);
}

inline bool matches(const Pattern& pattern, const JsonNode& event) {
    const Flat flat(event);
    return std::ranges::any_of(pattern.branches, [&](const std::vector<uint32_t>& branch) { return fulfil(pattern, branch, 0, flat, {}); });
}

}  // namespace waybill::patterns::naive
