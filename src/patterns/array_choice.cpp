#include "patterns/array_choice.h"

#include <algorithm>

namespace waybill::patterns {

bool ArrayChoice::agree(const std::vector<ArrayScope>& scopes, const std::vector<Candidate>& candidates, uint32_t fields, size_t budget) {
    scopes_ = &scopes;
    left_ = budget;
    items_.clear();
    for (const Candidate& c : candidates) items_.push_back({0, 0, c.field, c.scope});
    uint32_t present = 0;
    std::ranges::sort(items_, {}, &Item::field);
    for (size_t i = 0; i < items_.size(); ++i) present += i == 0 || items_[i].field != items_[i - 1].field;
    return present == fields && solve_element(0, 0, items_.size());
}

// The items (sorted by field) lie in `element` or below. A field with a value right in the element has no say in what is chosen below.
bool ArrayChoice::solve_element(uint32_t element, size_t begin, size_t end) {
    const size_t bottom = items_.size();
    for (size_t i = begin; i < end;) {
        size_t next = i;
        bool free = false;
        for (; next < end && items_[next].field == items_[i].field; ++next) free = free || items_[next].scope == element;
        for (size_t j = i; !free && j < next; ++j) {
            const Item item = items_[j];
            uint32_t child = item.scope;
            while ((*scopes_)[child].parent != element) child = (*scopes_)[child].parent;
            items_.push_back({(*scopes_)[child].array, child, item.field, item.scope});
        }
        i = next;
    }
    const bool solved = solve(bottom, items_.size());
    items_.resize(bottom);
    return solved;
}

// The items (sorted by field) lie below one scope, and not right in it.
bool ArrayChoice::solve(size_t begin, size_t end) {
    if (begin == end) return true;
    // A field whose values lie in two arrays of this scope may take either: those are tried out. The others are settled array by array.
    bool two_ways = false;
    for (size_t i = begin + 1; i < end; ++i) two_ways = two_ways || (items_[i].field == items_[i - 1].field && items_[i].array != items_[i - 1].array);
    if (two_ways) return try_all(begin, end);
    std::sort(items_.begin() + static_cast<std::ptrdiff_t>(begin), items_.begin() + static_cast<std::ptrdiff_t>(end));
    for (size_t i = begin; i < end;) {
        size_t array_end = i, wanted = 0;
        const uint32_t array = items_[i].array;
        for (; array_end < end && items_[array_end].array == array; ++array_end) {}
        // How many fields go through the array: those that go through any element of it.
        const size_t bottom = items_.size();
        for (size_t j = i; j < array_end; ++j) items_.push_back({0, 0, items_[j].field, 0});
        std::sort(items_.begin() + static_cast<std::ptrdiff_t>(bottom), items_.end());
        for (size_t j = bottom; j < items_.size(); ++j) wanted += j == bottom || items_[j].field != items_[j - 1].field;
        items_.resize(bottom);

        bool found = false;
        for (size_t j = i; j < array_end && !found;) {
            const uint32_t child = items_[j].child;
            size_t element_end = j, fields = 0;
            for (; element_end < array_end && items_[element_end].child == child; ++element_end)
                fields += element_end == j || items_[element_end].field != items_[element_end - 1].field;
            found = fields == wanted && solve_element(child, j, element_end);
            j = element_end;
        }
        if (!found) return false;
        i = array_end;
    }
    return true;
}

// Sorted by field. Chooses a value for one field after the other and goes back where none agrees with those before.
bool ArrayChoice::try_all(size_t begin, size_t end) {
    const size_t chosen = items_.size();  // the choices so far, as items whose `child` is the place they were chosen at
    size_t at = begin;
    for (;;) {
        if (at == end) {
            items_.resize(chosen);
            return true;
        }
        const uint32_t field = items_[at].field;
        bool taken = false;
        for (; at < end && items_[at].field == field; ++at) {
            if (left_ == 0) {
                items_.resize(chosen);
                return false;
            }
            --left_;
            taken = true;
            for (size_t j = chosen; j < items_.size() && taken; ++j) taken = compatible(items_[j].scope, items_[at].scope);
            if (taken) break;
        }
        if (taken) {
            items_.push_back({0, static_cast<uint32_t>(at), field, items_[at].scope});
            while (at < end && items_[at].field == field) ++at;
            continue;
        }
        // Back to the last choice that has another value to offer.
        for (;;) {
            if (items_.size() == chosen) return false;
            const Item last = items_.back();
            items_.pop_back();
            at = last.child + 1;
            if (at < end && items_[at].field == last.field) break;
        }
    }
}

bool ArrayChoice::compatible(uint32_t a, uint32_t b) const {
    const std::vector<ArrayScope>& scopes = *scopes_;
    // Scopes are numbered as they open, so a parent's number is smaller: the greater of the two goes up until they meet.
    uint32_t below_a = 0, below_b = 0;
    while (a != b) {
        if (a > b) {
            below_a = a;
            a = scopes[a].parent;
        } else {
            below_b = b;
            b = scopes[b].parent;
        }
    }
    return below_a == 0 || below_b == 0 || scopes[below_a].array != scopes[below_b].array;
}

}  // namespace waybill::patterns
