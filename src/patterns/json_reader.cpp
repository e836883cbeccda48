#include "patterns/json_reader.h"

#include <fmt/format.h>
#include <simdjson.h>

#include "patterns/comparison.h"

namespace waybill::patterns {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' || static_cast<unsigned char>(c) >= 0x80; }

// "('x' (code 120))", as Jackson names a character; the text must be UTF-8.
std::string named(std::string_view json, size_t at) {
    const auto b = static_cast<unsigned char>(json[at]);
    if (b < 0x20) return fmt::format("((CTRL-CHAR, code {}))", b);
    if (b < 0x80) return fmt::format("('{}' (code {}))", json[at], b);
    const size_t n = b >= 0xf0 ? 4 : b >= 0xe0 ? 3 : 2;
    const std::string_view sequence = json.substr(at, n);
    uint32_t point = b & (0xffu >> (n + 1));
    for (char c : sequence.substr(1)) point = point << 6 | (static_cast<unsigned char>(c) & 0x3f);
    return fmt::format("('{}' (code {} / 0x{:x}))", sequence, point, point);
}

struct TreeBuilder {
    JsonReader& reader;

    bool build(Token token, JsonNode& node) {
        switch (token) {
            case Token::object_start:
                node.kind = JsonNode::Kind::object;
                for (token = reader.next(); token == Token::key; token = reader.next()) {
                    node.keys.push_back(reader.text());
                    if (!build(reader.next(), node.children.emplace_back())) return false;
                }
                return token == Token::object_end;
            case Token::array_start:
                node.kind = JsonNode::Kind::array;
                for (token = reader.next(); token != Token::array_end; token = reader.next()) {
                    if (!build(token, node.children.emplace_back())) return false;
                }
                return true;
            case Token::text: node.kind = JsonNode::Kind::text; break;
            case Token::number: node.kind = JsonNode::Kind::number; break;
            case Token::literal_true:
            case Token::literal_false:
            case Token::literal_null: node.kind = JsonNode::Kind::literal; break;
            case Token::object_end:
            case Token::array_end:
            case Token::key:
            case Token::end:
            case Token::broken: return false;
        }
        node.text = reader.text();
        node.raw = reader.raw();
        return true;
    }
};

}  // namespace

void JsonReader::skip_space() {
    while (at_ < json_.size() && is_space(json_[at_])) ++at_;
}

Token JsonReader::fail(std::string message) {
    if (error_.empty()) error_ = std::move(message);
    return Token::broken;
}

Token JsonReader::unexpected(std::string_view expected) { return fail(fmt::format("Unexpected character {}: {}", named(json_, at_), expected)); }

Token JsonReader::next() {
    if (!error_.empty()) return Token::broken;
    skip_space();
    if (at_ == json_.size()) {
        if (expect_ == Expect::end) return Token::end;
        if (open_.empty()) return fail("No content to map due to end-of-input");
        return fail(fmt::format("Unexpected end-of-input within/between {} entries", open_.back() == '{' ? "Object" : "Array"));
    }
    const char c = json_[at_];
    switch (expect_) {
        case Expect::end: return unexpected("nothing may follow the value");
        case Expect::comma_or_end: {
            const bool object = open_.back() == '{';
            if (c == (object ? '}' : ']')) return close(c, object ? Token::object_end : Token::array_end);
            if (c != ',') return unexpected(object ? "was expecting comma to separate Object entries" : "was expecting comma to separate Array entries");
            ++at_;
            expect_ = object ? Expect::key : Expect::value;
            return next();
        }
        case Expect::key_or_end:
            if (c == '}') return close(c, Token::object_end);
            [[fallthrough]];
        case Expect::key: {
            if (c != '"') return unexpected("was expecting double-quote to start field name");
            if (read_text(Token::key) == Token::broken) return Token::broken;
            skip_space();
            if (at_ == json_.size()) return fail("Unexpected end-of-input within/between Object entries");
            if (json_[at_] != ':') return unexpected("was expecting a colon to separate field name and value");
            ++at_;
            expect_ = Expect::value;
            return Token::key;
        }
        case Expect::value_or_end:
            if (c == ']') return close(c, Token::array_end);
            [[fallthrough]];
        case Expect::value: return value(c);
    }
    return Token::broken;
}

Token JsonReader::value(char c) {
    if (c == '{') return open(c, Token::object_start);
    if (c == '[') return open(c, Token::array_start);
    const Expect after = open_.empty() ? Expect::end : Expect::comma_or_end;
    token_at_ = at_;
    Token token;
    if (c == '"') token = read_text(Token::text);
    else if (c == '-' || is_digit(c)) token = read_number();
    else if (is_word(c)) token = read_word();
    else return unexpected("expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')");
    expect_ = after;
    return token;
}

Token JsonReader::open(char c, Token kind) {
    if (open_.size() == depth_)
        return fail(fmt::format("Document nesting depth ({}) exceeds the maximum allowed ({}, from `StreamReadConstraints.getMaxNestingDepth()`)", depth_ + 1, depth_));
    open_.push_back(c);
    text_.assign(1, c);
    ++at_;
    expect_ = c == '{' ? Expect::key_or_end : Expect::value_or_end;
    return kind;
}

Token JsonReader::close(char c, Token kind) {
    open_.pop_back();
    text_.assign(1, c);
    ++at_;
    expect_ = open_.empty() ? Expect::end : Expect::comma_or_end;
    return kind;
}

Token JsonReader::read_text(Token kind) {
    const size_t begin = ++at_;
    for (;; ++at_) {
        if (at_ == json_.size())
            return fail(kind == Token::key ? "Unexpected end-of-input in field name" : "Unexpected end-of-input: was expecting closing quote for a string value");
        const char c = json_[at_];
        if (c == '"') break;
        if (static_cast<unsigned char>(c) < 0x20)
            return fail(fmt::format("Illegal unquoted character {}: has to be escaped using backslash to be included in {}", named(json_, at_),
                                    kind == Token::key ? "name" : "string value"));
        if (c != '\\') continue;
        if (++at_ == json_.size()) return fail("Unexpected end-of-input in character escape sequence");
        const char e = json_[at_];
        if (e == 'u') {
            for (int i = 0; i < 4; ++i) {
                if (++at_ == json_.size()) return fail("Unexpected end-of-input in character escape sequence");
                const char h = json_[at_];
                if (!is_digit(h) && !(h >= 'a' && h <= 'f') && !(h >= 'A' && h <= 'F')) return unexpected("expected a hex-digit for character escape sequence");
            }
        } else if (std::string_view("\"\\/bfnrt").find(e) == std::string_view::npos) {
            const std::string name = named(json_, at_);
            return fail(fmt::format("Unrecognized character escape {}", std::string_view(name).substr(1, name.size() - 2)));
        }
    }
    unescape(json_.substr(begin, at_ - begin), text_, &lone_surrogate_);
    ++at_;
    return kind;
}

Token JsonReader::read_number() {
    const size_t begin = at_;
    const auto digits = [this] {
        const size_t from = at_;
        while (at_ < json_.size() && is_digit(json_[at_])) ++at_;
        return at_ - from;
    };
    const auto missing = [this](std::string_view where) {
        if (at_ == json_.size()) return fail("Unexpected end-of-input in a Number value");
        return unexpected(where);
    };
    if (json_[at_] == '-') ++at_;
    if (at_ < json_.size() && json_[at_] == '0') {
        ++at_;
        if (at_ < json_.size() && is_digit(json_[at_])) return fail("Invalid numeric value: Leading zeroes not allowed");
    } else if (digits() == 0) {
        return missing("expected digit (0-9) to follow minus sign, for valid numeric value");
    }
    if (at_ < json_.size() && json_[at_] == '.') {
        ++at_;
        if (digits() == 0) return missing("Decimal point not followed by a digit");
    }
    if (at_ < json_.size() && (json_[at_] == 'e' || json_[at_] == 'E')) {
        ++at_;
        if (at_ < json_.size() && (json_[at_] == '+' || json_[at_] == '-')) ++at_;
        if (digits() == 0) return missing("Exponent indicator not followed by a digit");
    }
    if (at_ < json_.size() && is_word(json_[at_])) return unexpected("Expected space separating root-level values");
    text_.assign(json_.substr(begin, at_ - begin));
    return Token::number;
}

Token JsonReader::read_word() {
    const size_t begin = at_;
    while (at_ < json_.size() && is_word(json_[at_])) ++at_;
    const std::string_view word = json_.substr(begin, at_ - begin);
    text_.assign(word);
    if (word == "true") return Token::literal_true;
    if (word == "false") return Token::literal_false;
    if (word == "null") return Token::literal_null;
    return fail(fmt::format("Unrecognized token '{}': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')", word));
}

Result<JsonNode> read_json(std::string_view json, size_t depth) {
    if (!simdjson::validate_utf8(json.data(), json.size())) return invalid("The text is not UTF-8");
    JsonReader reader(json, depth);
    TreeBuilder builder{reader};
    JsonNode root;
    if (!builder.build(reader.next(), root) || reader.next() != Token::end) return invalid(reader.error());
    return root;
}

}  // namespace waybill::patterns
