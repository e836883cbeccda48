// Reads JSON token by token, front to back, strictly (RFC 8259), and says what is wrong in the words of the parser behind EventBridge (Jackson),
// because EventBridge shows them to people who write patterns. Also builds a small tree of a document. Numbers keep their text. For texts that
// people write and ask about; it is no part of matching events at speed.
//
// The text must outlive the reader. Nesting is bounded by the depth given; nothing recurses deeper.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace waybill::patterns {

enum class Token { object_start, object_end, array_start, array_end, key, text, number, literal_true, literal_false, literal_null, end, broken };

class JsonReader {
public:
    JsonReader(std::string_view json, size_t depth) : json_(json), depth_(depth) {}

    // The next token; once it was `broken` it stays so, and error() says why. `end` comes after the one value of the document.
    Token next();
    // Of a key or text: what it says. Of a number or literal: as written. Of a bracket: the bracket.
    const std::string& text() const { return text_; }
    // Of a text, number or literal: as it stands in the document, with its quotes.
    std::string_view raw() const { return json_.substr(token_at_, at_ - token_at_); }
    const std::string& error() const { return error_; }
    // Whether some key or text so far held half of a surrogate pair; text() has U+FFFD in its place.
    bool lone_surrogate() const { return lone_surrogate_; }

private:
    Token value(char c);
    Token read_text(Token kind);
    Token read_number();
    Token read_word();
    Token open(char c, Token kind);
    Token close(char c, Token kind);
    Token fail(std::string message);
    Token unexpected(std::string_view expected);
    void skip_space();

    enum class Expect : uint8_t { value, key_or_end, key, value_or_end, comma_or_end, end };

    const std::string_view json_;
    const size_t depth_;
    size_t at_ = 0, token_at_ = 0;
    std::string open_;  // the brackets that are open
    Expect expect_ = Expect::value;
    std::string text_, error_;
    bool lone_surrogate_ = false;
};

// A document. Objects keep all their members in order, also those of the same key.
struct JsonNode {
    enum class Kind : uint8_t { object, array, text, number, literal };
    Kind kind = Kind::literal;
    std::string text;                  // as JsonReader::text
    std::string_view raw;              // of a scalar: as it stands in the document
    std::vector<std::string> keys;     // of an object, as many as children
    std::vector<JsonNode> children;
};

// Refuses what is not UTF-8, not JSON, deeper than `depth`, or followed by anything but space.
Result<JsonNode> read_json(std::string_view json, size_t depth);

}  // namespace waybill::patterns
