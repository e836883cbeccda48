// Arrays must agree: of each array that the values of a match lie in, all of them lie in one element. This finds whether values can be chosen so.
//
// An event's array elements that are objects or arrays form a tree of scopes; scope 0 is the event itself. A value lies in the innermost scope
// around it; a scalar that is an element lies in the scope around its array. Two values agree unless their ways up meet in two elements of one
// array:
//
//   {"a":[{"x":1},{"x":2,"y":3}],"b":[{"z":4}]}     scopes: 1 = a[0], 2 = a[1], 3 = b[0]     x=1 and y=3 do not agree; z=4 agrees with all
//
// The time is that of sorting, unless the same path leads through two arrays (keys with dots can do that); then choices are tried one by one, at
// most `budget` of them, and running out counts as no. Not for two threads at once; keeps its memory between calls.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace waybill::patterns {

struct ArrayScope {
    uint32_t parent = 0;   // scope
    uint32_t array = 0;    // numbered through the event
};

class ArrayChoice {
public:
    struct Candidate {
        uint32_t field = 0, scope = 0;
    };

    // `candidates`: for each of `fields` fields (numbered from 0) the scopes of the values that pass; any order.
    bool agree(const std::vector<ArrayScope>& scopes, const std::vector<Candidate>& candidates, uint32_t fields, size_t budget);

private:
    struct Item {
        uint32_t array, child, field, scope;
        bool operator==(const Item&) const = default;
        auto operator<=>(const Item&) const = default;
    };
    bool solve(size_t begin, size_t end);
    bool solve_element(uint32_t element, size_t begin, size_t end);
    bool try_all(size_t begin, size_t end);
    bool compatible(uint32_t a, uint32_t b) const;

    const std::vector<ArrayScope>* scopes_ = nullptr;
    std::vector<Item> items_;
    size_t left_ = 0;
};

}  // namespace waybill::patterns
