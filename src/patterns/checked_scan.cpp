#include "patterns/checked_scan.h"

#include <simdjson.h>

#include <cstring>

#include "event/limits.h"
#include "patterns/comparison.h"

#define ALWAYS_INLINE __attribute__((always_inline)) inline

namespace waybill::patterns {
namespace {

constexpr size_t behind = 64;  // bytes behind the event in the copy, all zero

bool is_digit(char c) { return static_cast<unsigned char>(c - '0') < 10; }
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool ends_scalar(char c) { return c == ',' || c == '}' || c == ']' || is_space(c); }

// Goes over the indices of the first stage. Each function takes the index it begins at and returns the one behind what it read, or nothing where that is no
// JSON: so the place is kept in a register. Behind the last index stands one that points behind the event, where the copy has a zero.
class CheckedWalk {
public:
    using At = const uint32_t*;

    CheckedWalk(const char* data, const PathPlan& plan, ScanResult& out, bool backslashes, std::string& text)
        : data_(data), plan_(plan), out_(out), backslashes_(backslashes), text_(text) {}

    // Nothing may follow the object.
    bool run(At at, At end) {
        if (data_[*at] != '{') return false;
        Scope scope = open_scope(0, 0);
        return object(at + 1, 0, scope, 1) == end;
    }

private:
    struct Scope {
        uint32_t number, base;
        size_t seen;
        uint64_t bits;
    };

    Scope open_scope(uint32_t number, uint32_t node) {
        const uint32_t count = plan_.node(node).end - node;
        const size_t at = out_.seen.size();
        if (count > 64) out_.seen.resize(at + (count + 63) / 64, 0);
        return {number, node, at, 0};
    }
    bool meet(Scope& scope, uint32_t node) {
        const uint32_t bit = node - scope.base;
        uint64_t& word = plan_.node(scope.base).end - scope.base <= 64 ? scope.bits : out_.seen[scope.seen + bit / 64];
        const uint64_t mask = uint64_t{1} << (bit % 64);
        if (word & mask) return false;
        word |= mask;
        return true;
    }

    // The text whose opening quote `at` is at. Between its closing quote and the next index is only space.
    ALWAYS_INLINE bool text(At at, std::string_view& inside, bool& escaped) {
        const uint32_t begin = at[0] + 1;
        uint32_t end = at[1] - 1;
        while (end > begin && data_[end] != '"') --end;
        inside = {data_ + begin, end - begin};
        escaped = backslashes_ && std::memchr(inside.data(), '\\', inside.size()) != nullptr;
        return !escaped || unescape(inside, text_);
    }
    // A text that nobody asks for: only its escapes can be wrong, the first stage has seen to the rest.
    ALWAYS_INLINE bool pass_text(At at) {
        std::string_view inside;
        bool escaped;
        return !backslashes_ || text(at, inside, escaped);
    }

    static bool number(const char* p, size_t& length) {
        const char* const begin = p;
        p += *p == '-';
        if (*p == '0') {
            ++p;
        } else {
            if (!is_digit(*p)) return false;
            while (is_digit(*p)) ++p;
        }
        if (*p == '.') {
            if (!is_digit(*++p)) return false;
            while (is_digit(*p)) ++p;
        }
        if (*p == 'e' || *p == 'E') {
            ++p;
            if (*p == '+' || *p == '-') ++p;
            if (!is_digit(*p)) return false;
            while (is_digit(*p)) ++p;
        }
        length = static_cast<size_t>(p - begin);
        return ends_scalar(*p);
    }

    // A number or literal, kept where a field asks for it.
    bool plain(At at, uint32_t field, uint32_t scope) {
        const char* const begin = data_ + *at;
        const std::string_view word = *begin == 't' ? "true" : *begin == 'f' ? "false" : *begin == 'n' ? "null" : "";
        size_t length = word.size();
        if (!word.empty()) {
            if (std::memcmp(begin, word.data(), length) != 0 || !ends_scalar(begin[length])) return false;
        } else if (!number(begin, length)) {
            return false;
        }
        if (field != PathPlan::none) out_.add(field, begin, length, word.empty() ? ValueKind::number : ValueKind::literal, false, scope);
        return true;
    }

    ALWAYS_INLINE At scalar(At at, uint32_t field, uint32_t scope) {
        if (data_[*at] != '"') return plain(at, field, scope) ? at + 1 : nullptr;
        if (field == PathPlan::none) return pass_text(at) ? at + 1 : nullptr;
        std::string_view inside;
        bool escaped = false;
        if (!text(at, inside, escaped)) return nullptr;
        out_.add(field, inside.data(), inside.size(), ValueKind::text, escaped, scope);
        return at + 1;
    }

    // A value that nobody asks for.
    ALWAYS_INLINE At pass(At at, uint32_t depth) {
        const char c = data_[*at];
        if (c == '"') return pass_text(at) ? at + 1 : nullptr;
        if (c == '{') return pass_object(at + 1, depth + 1);
        if (c == '[') return pass_array(at + 1, depth + 1);
        return plain(at, PathPlan::none, 0) ? at + 1 : nullptr;
    }

    At pass_object(At at, uint32_t depth) {
        if (depth > limits::json_depth) return nullptr;
        if (data_[*at] == '}') return at + 1;
        for (;;) {
            if (data_[at[0]] != '"' || !pass_text(at) || data_[at[1]] != ':') return nullptr;
            at = pass(at + 2, depth);
            if (!at) return nullptr;
            const char c = data_[*at++];
            if (c != ',') return c == '}' ? at : nullptr;
        }
    }

    At pass_array(At at, uint32_t depth) {
        if (depth > limits::json_depth) return nullptr;
        if (data_[*at] == ']') return at + 1;
        for (;;) {
            at = pass(at, depth);
            if (!at) return nullptr;
            const char c = data_[*at++];
            if (c != ',') return c == ']' ? at : nullptr;
        }
    }

    // Behind the opening bracket.
    At object(At at, uint32_t node, Scope& scope, uint32_t depth) {
        if (depth > limits::json_depth) return nullptr;
        if (data_[*at] == '}') return at + 1;
        const PathPlan::Node& n = plan_.node(node);
        for (;;) {
            std::string_view key;
            bool escaped = false;
            if (data_[at[0]] != '"' || !text(at, key, escaped) || data_[at[1]] != ':') return nullptr;
            at += 2;
            uint32_t target = escaped ? plan_.dotted_child(node, text_) : plan_.child(n, key.data(), key.size(), behind);
            if (target == PathPlan::none && !escaped && n.deep && std::memchr(key.data(), '.', key.size()) != nullptr) target = plan_.dotted_child(node, key);
            out_.look_ahead.step();
            at = target == PathPlan::none || !meet(scope, target) ? pass(at, depth) : member(at, target, scope, depth);
            if (!at) return nullptr;
            const char c = data_[*at++];
            if (c != ',') return c == '}' ? at : nullptr;
        }
    }

    At member(At at, uint32_t target, Scope& scope, uint32_t depth) {
        const char c = data_[*at];
        if (c == '{') return plan_.node(target).leaves == 0 ? pass_object(at + 1, depth + 1) : object(at + 1, target, scope, depth + 1);
        if (c != '[') return scalar(at, plan_.node(target).field, scope.number);
        for (uint32_t below = target + 1; below < plan_.node(target).end; ++below) meet(scope, below);
        return array(at + 1, target, scope.number, depth + 1);
    }

    At array(At at, uint32_t node, uint32_t around, uint32_t depth) {
        if (depth > limits::json_depth) return nullptr;
        const PathPlan::Node& n = plan_.node(node);
        const uint32_t number = out_.arrays++;
        if (data_[*at] == ']') return at + 1;
        for (;;) {
            const char c = data_[*at];
            if (c != '{' && c != '[') {
                at = scalar(at, n.field, around);
            } else if (c == '{' && n.leaves == 0) {
                at = pass_object(at + 1, depth + 1);
            } else {
                const auto element = static_cast<uint32_t>(out_.scopes.size());
                out_.scopes.push_back({around, number});
                if (c == '[') {
                    at = array(at + 1, node, element, depth + 1);
                } else {
                    Scope scope = open_scope(element, node);
                    at = object(at + 1, node, scope, depth + 1);
                    out_.seen.resize(scope.seen);
                }
            }
            if (!at) return nullptr;
            const char after = data_[*at++];
            if (after != ',') return after == ']' ? at : nullptr;
        }
    }

    const char* const data_;
    const PathPlan& plan_;
    ScanResult& out_;
    const bool backslashes_;
    std::string& text_;
};

}  // namespace

CheckedScan::CheckedScan() = default;
CheckedScan::~CheckedScan() = default;

bool CheckedScan::scan(std::string_view event, const PathPlan& plan, ScanResult& out, const BranchHash* const* tables) {
    out.clear(plan.field_count());
    if (event.empty() || event.size() > limits::event_bytes) return false;
    if (room_ < event.size() + behind) {
        const size_t room = std::max<size_t>(event.size() + behind, 2 * room_);
        if (simdjson::get_active_implementation()->create_dom_parser_implementation(room, limits::json_depth, parser_) != simdjson::SUCCESS) return false;
        copy_ = std::make_unique_for_overwrite<char[]>(room);
        room_ = room;
    }
    std::memcpy(copy_.get(), event.data(), event.size());
    std::memset(copy_.get() + event.size(), 0, behind);
    const auto* bytes = reinterpret_cast<const uint8_t*>(copy_.get());
    if (parser_->stage1(bytes, event.size(), simdjson::stage1_mode::regular) != simdjson::SUCCESS) return false;
    out.look_ahead.begin(tables, false);
    const uint32_t* index = parser_->structural_indexes.get();
    const bool backslashes = std::memchr(copy_.get(), '\\', event.size()) != nullptr;
    return CheckedWalk(copy_.get(), plan, out, backslashes, text_).run(index, index + parser_->n_structural_indexes);
}

}  // namespace waybill::patterns
