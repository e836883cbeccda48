// Random patterns and events that are likely to meet, from one seed or from a fuzzer's bytes: few keys, few values, all operators, arrays of objects, dotted and
// escaped keys. For tests and fuzzers only. It does not make deep nesting, long values or text that is no JSON.
#pragma once

#include <cstdint>
#include <string>
#include <initializer_list>
#include <string_view>

namespace waybill::patterns::generated {

// Decisions, from a seed or, while they last, from bytes.
class Choices {
public:
    explicit Choices(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 1) {}
    Choices(const uint8_t* data, size_t size) : state_(size), data_(data), left_(size) {}
    unsigned below(unsigned n) {
        if (left_ > 0) {
            --left_;
            return *data_++ % n;
        }
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return static_cast<unsigned>(state_ >> 11) % n;
    }
    bool one_in(unsigned n) { return below(n) == 0; }

private:
    uint64_t state_;
    const uint8_t* data_ = nullptr;
    size_t left_ = 0;
};

class Generator {
public:
    explicit Generator(Choices choices) : choose_(choices) {}

    std::string event() { return object(0); }
    std::string pattern() { return pattern_object(0, false); }
    unsigned below(unsigned n) { return choose_.below(n); }

private:
    std::string pick(std::initializer_list<std::string_view> from) { return std::string(from.begin()[choose_.below(static_cast<unsigned>(from.size()))]); }

    std::string key() { return choose_.one_in(2) ? "a" : pick({"a", "b", "c", "a", "b", "c", "d.e", "a.b", "", ".", "longer-key", "longer-keys", "\xc3\xa9"}); }
    std::string event_key() { return choose_.one_in(12) ? pick({"\\u0061", "a\\u002eb", "\\u00e9", "b\\\"", "x", "d"}) : key(); }
    std::string space() { return choose_.one_in(10) ? pick({" ", "\\n", "\t", "  "}) == "\\n" ? "\n" : " " : ""; }

    // Texts of patterns; those of events are the same, now and then written with escapes.
    std::string word() {
        std::string out;
        for (unsigned n = choose_.below(5); n > 0; --n) out += pick({"a", "b", "c", "A", "B", "\xc3\xa9", "\xc3\x89", "1", "*x"});
        return choose_.one_in(8) ? pick({"10.0.0.1", "10.0.0.255", "::1", "10.1.0.0", "300", "true", "k\xe2\x84\xaa", "\\\\", "a\\\"b"}) : out;
    }
    std::string event_text() {
        if (choose_.one_in(8)) return pick({"\\u0061", "a\\u0062c", "\\ud83d\\ude80", "\\ud83d", "a\\\\", "\\\\\\\"", "\\n", "[{}]", "{\\\"a\\\":1}", ",]}"});
        return word();
    }
    std::string number() { return pick({"0", "1", "-1", "300", "300.0", "3.0e2", "3e+2", "0.5", "5E-1", "-0", "-0.0e5", "10", "1e400", "9007199254740993", "9007199254740992", "12345678901234567890"}); }
    std::string literal() { return pick({"true", "false", "null"}); }

    std::string scalar() {
        switch (choose_.below(6)) {
            case 0:
            case 1: return number();
            case 2: return literal();
            default: return '"' + event_text() + '"';
        }
    }
    std::string value(unsigned depth) {
        const unsigned what = choose_.below(10);
        if (depth < 4 && what < 3) return object(depth + 1);
        if (depth < 4 && what < 5) return array(depth + 1);
        return scalar();
    }
    std::string array(unsigned depth) {
        std::string out = "[";
        for (unsigned n = choose_.below(4), i = 0; i < n; ++i) out += (i ? "," : "") + space() + (choose_.one_in(2) ? object(depth) : value(depth)) + space();
        return out + "]";
    }
    std::string object(unsigned depth) {
        std::string out = "{" + space();
        for (unsigned n = choose_.below(5) + (depth == 0), i = 0; i < n; ++i) out += (i ? "," : "") + space() + '"' + event_key() + '"' + space() + ":" + space() + value(depth) + space();
        return out + "}";
    }

    std::string wildcard() {
        std::string out;
        for (unsigned n = choose_.below(4); n > 0; --n) {
            out += pick({"a", "b", "c", "\\\\*", "\\\\\\\\", "\xc3\xa9", ""});
            if (!out.ends_with('*') || out.ends_with("\\\\*")) out += pick({"*", "", "a"});
        }
        return out;
    }
    std::string texts(std::string_view kind) {
        const auto one = [&] { return '"' + (kind == "wildcard" ? wildcard() : word()) + '"'; };
        if (choose_.one_in(2)) return one();
        std::string out = "[" + one();
        while (choose_.one_in(2)) out += "," + one();
        return out + "]";
    }
    std::string test() {
        switch (choose_.below(16)) {
            case 0: return number();
            case 1: return literal();
            case 2: return R"({"prefix":")" + word() + "\"}";
            case 3: return R"({"suffix":")" + word() + "\"}";
            case 4: return R"({"equals-ignore-case":")" + word() + "\"}";
            case 5: return "{\"" + pick({"prefix", "suffix"}) + R"(":{"equals-ignore-case":")" + word() + "\"}}";
            case 6: return R"({"wildcard":")" + wildcard() + "\"}";
            case 7: return R"({"numeric":[")" + pick({"=", "<", "<=", ">", ">="}) + "\"," + number() + "]}";
            case 8: return R"({"numeric":[")" + pick({">", ">="}) + "\"," + number() + ",\"" + pick({"<", "<="}) + "\"," + number() + "]}";
            case 9: return R"({"cidr":")" + pick({"10.0.0.0/24", "10.0.0.1/31", "0.0.0.0/0", "::/64", "10.0.0.0/8"}) + "\"}";
            case 10: return R"({"exists":)" + pick({"true", "false"}) + "}";
            case 11: return R"({"anything-but":)" + (choose_.one_in(2) ? texts("") : choose_.one_in(2) ? number() : "[" + number() + "," + number() + "]") + "}";
            case 12: {
                const std::string kind = pick({"prefix", "suffix", "equals-ignore-case", "wildcard"});
                return R"({"anything-but":{")" + kind + "\":" + texts(kind) + "}}";
            }
            default: return '"' + word() + '"';
        }
    }
    std::string pattern_value(unsigned depth, bool in_or) {
        if (depth < 3 && choose_.one_in(3)) return pattern_object(depth + 1, in_or);
        std::string out = "[" + test();
        while (choose_.one_in(3)) out += "," + test();
        return out + "]";
    }
    std::string pattern_object(unsigned depth, bool in_or) {
        std::string out = "{";
        for (unsigned n = 1 + choose_.below(3), i = 0; i < n; ++i) {
            out += i ? "," : "";
            if (depth < 3 && choose_.one_in(8)) {
                out += R"("$or":[)" + pattern_object(depth + 1, true) + "," + pattern_object(depth + 1, true) + "]";
            } else {
                out += '"' + key() + "\":" + pattern_value(depth, in_or);
            }
        }
        return out + "}";
    }

    Choices choose_;
};

}  // namespace waybill::patterns::generated
