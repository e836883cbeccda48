#include "event/splitter.h"

#include <gtest/gtest.h>

namespace waybill {
namespace {

struct Seen {
    std::vector<std::string> texts;  // "?": too long
    std::vector<uint64_t> bytes, lines;
    std::string error;
    uint64_t error_byte = 0, whole = 0;
};

Seen split(Framing framing, std::string_view body, size_t step, size_t max = 100) {
    Splitter splitter(framing, max);
    Seen seen;
    const Splitter::Sink sink = [&](const SplitValue& value) {
        EXPECT_EQ(value.index, seen.texts.size());
        seen.texts.push_back(value.too_long ? "?" : std::string(value.text));
        seen.bytes.push_back(value.byte);
        seen.lines.push_back(value.line);
        return true;
    };
    Result<void> cut;
    for (size_t at = 0; at < body.size() && cut.ok(); at += step) cut = splitter.feed(body.substr(at, step), sink);
    if (cut.ok()) cut = splitter.finish(sink);
    if (!cut.ok()) seen.error = cut.error().message, seen.error_byte = splitter.error_byte();
    seen.whole = splitter.whole();
    return seen;
}

// However the body is cut on its way.
void expect(Framing framing, std::string_view body, const std::vector<std::string>& texts, std::string_view error = {},
            size_t max = 100) {
    const Seen whole = split(framing, body, body.size() + 1, max);
    EXPECT_EQ(whole.texts, texts) << body;
    EXPECT_EQ(whole.error.empty(), error.empty()) << body << ": " << whole.error;
    EXPECT_NE(whole.error.find(error), std::string::npos) << whole.error;
    for (size_t step = 1; step < body.size(); ++step) {
        const Seen pieces = split(framing, body, step, max);
        EXPECT_EQ(pieces.texts, whole.texts) << body << " by " << step;
        EXPECT_EQ(pieces.bytes, whole.bytes) << body << " by " << step;
        EXPECT_EQ(pieces.lines, whole.lines);
        EXPECT_EQ(pieces.error, whole.error);
        EXPECT_EQ(pieces.error_byte, whole.error_byte);
        EXPECT_EQ(pieces.whole, whole.whole) << body << " by " << step;
    }
}

TEST(Splitter, LinesOfAnyKind) {
    expect(Framing::ndjson, "", {});
    expect(Framing::ndjson, "\n \r\n\t\n", {});
    expect(Framing::ndjson, "{}\n{\"a\":1}\r\n\n[1]", {"{}", "{\"a\":1}\r", "[1]"});
    expect(Framing::ndjson, "x\n}\n", {"x", "}"});
}

TEST(Splitter, ADocumentIsAnObjectOrAnArray) {
    expect(Framing::json, " {\"a\":{\"b\":[1,2]}}\n", {"{\"a\":{\"b\":[1,2]}}"});
    expect(Framing::json, "[]", {});
    expect(Framing::json, "[ {} , {\"a\":1},[2] ]", {"{}", "{\"a\":1}", "[2]"});
    expect(Framing::json, "[1,null,\"x\"]", {"1", "null", "\"x\""});
    expect(Framing::json, R"([{"a":"]},\"[{"},{"b\\":"\\"}])", {R"({"a":"]},\"[{"})", R"({"b\\":"\\"})"});
}

TEST(Splitter, WhatCannotBeCutNamesTheByte) {
    expect(Framing::json, "", {}, "byte 0: the body is empty");
    expect(Framing::json, "  \n", {}, "byte 3: the body is empty");
    expect(Framing::json, " null", {}, "byte 1: the body must be");
    expect(Framing::json, "\xef\xbb\xbf{}", {}, "byte order mark");
    expect(Framing::json, "{}{}", {"{}"}, "byte 2: something follows");
    expect(Framing::json, "[{}", {"{}"}, "byte 3: the JSON document ends in the middle");
    expect(Framing::json, "{\"a", {}, "byte 3: the JSON document ends in the middle");
    expect(Framing::json, "[{}{}]", {"{}"}, "byte 3: a comma or ']'");
    expect(Framing::json, "[,]", {}, "byte 1: ','");
    expect(Framing::json, "[{},]", {"{}"}, "byte 4: ']'");
    expect(Framing::json, "[}", {}, "byte 1: '}'");
    expect(Framing::json, "[1}", {}, "byte 2: '}' closes nothing");
}

TEST(Splitter, WhatIsTooLongIsPassedOver) {
    const std::string big = "{\"a\":\"" + std::string(40, 'x') + "\"}";
    expect(Framing::ndjson, "{}\n" + big + "\n[]\n", {"{}", "?", "[]"}, {}, 20);
    expect(Framing::ndjson, big, {"?"}, {}, 20);
    expect(Framing::json, "[{}," + big + ",{}]", {"{}", "?", "{}"}, {}, 20);
    expect(Framing::json, big, {"?"}, {}, 20);
    expect(Framing::ndjson, "12345\n123456\n", {"12345", "?"}, {}, 5);
}

TEST(Splitter, SpaceBeforeAValueIsNoneOfIt) {
    const std::string space(70, ' ');
    expect(Framing::ndjson, space + "\n{}\n" + space, {"{}"}, {}, 20);
    expect(Framing::ndjson, space + "{}\n", {"{}"}, {}, 20);
    EXPECT_EQ(split(Framing::ndjson, "\n  {}\n", 2).bytes, (std::vector<uint64_t>{3}));
}

TEST(Splitter, SaysWhereEachBeginsAndWhatIsWhole) {
    const Seen lines = split(Framing::ndjson, "\n{}\n\n[1]\n{", 3);
    EXPECT_EQ(lines.bytes, (std::vector<uint64_t>{1, 5, 9}));
    EXPECT_EQ(lines.lines, (std::vector<uint64_t>{2, 4, 5}));
    EXPECT_EQ(lines.whole, 10u);
    const Seen document = split(Framing::json, "[{}, {\"a\":1}, {\"b\"", 4);
    EXPECT_EQ(document.bytes, (std::vector<uint64_t>{1, 5}));
    EXPECT_EQ(document.whole, 12u);
    EXPECT_EQ(document.error_byte, 18u);
}

TEST(Splitter, StopsWhenTheSinkHasHadEnough) {
    Splitter splitter(Framing::json, 100);
    int values = 0;
    const Splitter::Sink sink = [&](const SplitValue&) { return ++values < 2; };
    ASSERT_TRUE(splitter.feed("[{},{\"bad\"},{}", sink).ok());
    ASSERT_TRUE(splitter.feed("rubbish", sink).ok());
    ASSERT_TRUE(splitter.finish(sink).ok());
    EXPECT_EQ(values, 2);
    EXPECT_EQ(splitter.whole(), 3u) << "the value that was turned away is not behind us";
}

}  // namespace
}  // namespace waybill
