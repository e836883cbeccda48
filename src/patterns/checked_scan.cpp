#include "patterns/checked_scan.h"

#include <simdjson.h>

#include <cstring>

#include "event/limits.h"
#include "patterns/comparison.h"

namespace waybill::patterns {
namespace {

constexpr size_t behind = 64;  // bytes behind the event in the copy, all zero

bool is_digit(char c) { return static_cast<unsigned char>(c - '0') < 10; }
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool ends_scalar(char c) { return c == ',' || c == '}' || c == ']' || is_space(c) || c == 0; }

class CheckedWalk {
public:
    CheckedWalk(const char* data, const uint32_t* index, const PathPlan& plan, ScanResult& out, bool backslashes, std::string& text)
        : data_(data), at_(index), plan_(plan), out_(out), backslashes_(backslashes), text_(text) {}

    // At the end of the indices, that is; nothing may follow.
    bool run(const uint32_t* end) {
        if (here() != '{') return false;
        ++at_;
        Scope scope = open_scope(0, 0);
        return object(0, &scope, 1) && at_ == end;
    }

private:
    struct Scope {
        uint32_t number, base;
        size_t seen;
        uint64_t bits;
    };

    // At the end stands an index behind the event, where the copy has a zero.
    char here() const { return data_[*at_]; }

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

    // The text whose opening quote at_ is at; passes over it. Between its closing quote and the next index is only space.
    bool text(std::string_view& inside, bool& escaped) {
        const uint32_t begin = *at_ + 1;
        uint32_t end = *++at_ - 1;
        while (end > begin && data_[end] != '"') --end;
        inside = {data_ + begin, end - begin};
        escaped = backslashes_ && std::memchr(inside.data(), '\\', inside.size()) != nullptr;
        return !escaped || unescape(inside, text_);
    }

    bool number(std::string_view& text) {
        const char* const begin = data_ + *at_++;
        const char* p = begin + (*begin == '-');
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
        text = {begin, static_cast<size_t>(p - begin)};
        return ends_scalar(*p);
    }

    bool literal(std::string_view word) {
        const char* const begin = data_ + *at_++;
        return std::memcmp(begin, word.data(), word.size()) == 0 && ends_scalar(begin[word.size()]);
    }

    // A scalar, kept where a field asks for it.
    bool scalar(uint32_t field, uint32_t scope) {
        const char* const begin = data_ + *at_;
        switch (*begin) {
            case '"': {
                std::string_view inside;
                bool escaped = false;
                if (!text(inside, escaped)) return false;
                if (field != PathPlan::none) out_.add(field, inside.data(), inside.size(), ValueKind::text, escaped, scope);
                return true;
            }
            case 't': return literal("true") && keep_literal(field, begin, 4, scope);
            case 'f': return literal("false") && keep_literal(field, begin, 5, scope);
            case 'n': return literal("null") && keep_literal(field, begin, 4, scope);
            default: {
                std::string_view digits;
                if (!number(digits)) return false;
                if (field != PathPlan::none) out_.add(field, digits.data(), digits.size(), ValueKind::number, false, scope);
                return true;
            }
        }
    }
    bool keep_literal(uint32_t field, const char* begin, size_t length, uint32_t scope) {
        if (field != PathPlan::none) out_.add(field, begin, length, ValueKind::literal, false, scope);
        return true;
    }

    // A value that nobody asks for.
    bool pass(uint32_t depth) {
        const char c = here();
        if (c != '{' && c != '[') return scalar(PathPlan::none, 0);
        ++at_;
        return c == '{' ? object(PathPlan::none, nullptr, depth + 1) : array(PathPlan::none, 0, depth + 1);
    }

    // Behind the opening bracket. `node` is none where nobody asks for what is inside.
    bool object(uint32_t node, Scope* scope, uint32_t depth) {
        if (depth > limits::json_depth) return false;
        if (here() == '}') return ++at_, true;
        for (;;) {
            if (here() != '"') return false;
            std::string_view key;
            bool escaped = false;
            if (!text(key, escaped)) return false;
            if (here() != ':') return false;
            ++at_;
            uint32_t target = PathPlan::none;
            if (node != PathPlan::none) {
                target = find(node, key, escaped);
                if (target != PathPlan::none && !meet(*scope, target)) target = PathPlan::none;
                out_.look_ahead.step();
            }
            if (target == PathPlan::none) {
                if (!pass(depth)) return false;
            } else if (!member(target, *scope, depth)) {
                return false;
            }
            const char c = data_[*at_++];
            if (c == ',') continue;
            return c == '}';
        }
    }

    uint32_t find(uint32_t node, std::string_view key, bool escaped) const {
        const PathPlan::Node& n = plan_.node(node);
        if (escaped) return plan_.dotted_child(node, text_);
        const uint32_t target = plan_.child(n, key.data(), key.size(), behind);
        if (target != PathPlan::none || !n.deep || std::memchr(key.data(), '.', key.size()) == nullptr) return target;
        return plan_.dotted_child(node, key);
    }

    bool member(uint32_t target, Scope& scope, uint32_t depth) {
        const char c = here();
        if (c == '{') {
            ++at_;
            return plan_.node(target).leaves == 0 ? object(PathPlan::none, nullptr, depth + 1) : object(target, &scope, depth + 1);
        }
        if (c != '[') return scalar(plan_.node(target).field, scope.number);
        for (uint32_t below = target + 1; below < plan_.node(target).end; ++below) meet(scope, below);
        ++at_;
        return array(target, scope.number, depth + 1);
    }

    bool array(uint32_t node, uint32_t around, uint32_t depth) {
        if (depth > limits::json_depth) return false;
        const bool asked = node != PathPlan::none;
        const uint32_t field = asked ? plan_.node(node).field : PathPlan::none;
        const uint32_t number = asked ? out_.arrays++ : 0;
        if (here() == ']') return ++at_, true;
        for (;;) {
            const char c = here();
            if (c != '{' && c != '[') {
                if (!scalar(field, around)) return false;
            } else if (!asked || (c == '{' && plan_.node(node).leaves == 0)) {
                if (!pass(depth)) return false;
            } else {
                const auto element = static_cast<uint32_t>(out_.scopes.size());
                out_.scopes.push_back({around, number});
                ++at_;
                if (c == '[') {
                    if (!array(node, element, depth + 1)) return false;
                } else {
                    Scope scope = open_scope(element, node);
                    if (!object(node, &scope, depth + 1)) return false;
                    out_.seen.resize(scope.seen);
                }
            }
            const char after = data_[*at_++];
            if (after == ',') continue;
            return after == ']';
        }
    }

    const char* data_;
    const uint32_t* at_;
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
    out.look_ahead.begin(tables);
    const uint32_t* index = parser_->structural_indexes.get();
    const bool backslashes = std::memchr(copy_.get(), '\\', event.size()) != nullptr;
    return CheckedWalk(copy_.get(), index, plan, out, backslashes, text_).run(index + parser_->n_structural_indexes);
}

}  // namespace waybill::patterns
