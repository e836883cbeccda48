#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/compact_id.h"
#include "base/json_writer.h"
#include "base/result.h"
#include "base/time.h"

namespace waybill {
namespace {

TEST(Time, ReadsWhatItWrites) {
    for (TimeMs t : {TimeMs{0}, TimeMs{1776602548123}, TimeMs{-1}, TimeMs{951782400000} /* 2000-02-29 */})
        EXPECT_EQ(parse_time(format_time(t)), t) << format_time(t);
    EXPECT_EQ(format_time(1776602548123), "2026-04-19T12:42:28.123Z");
    EXPECT_EQ(parse_time("2026-04-19T12:42:28Z"), 1776602548000);
    EXPECT_EQ(parse_time("2026-04-19T14:42:28.1239+02:00"), 1776602548123);
}

TEST(Time, RefusesWhatIsNotATime) {
    for (auto s : {"", "2026-04-19", "2026-04-19 12:42:28Z", "2026-02-30T00:00:00Z", "2026-04-19T24:00:00Z", "2026-04-19T12:42:28",
                   "2026-04-19T12:42:28.Z", "2026-04-19T12:42:28Zx", "2026-04-19T12:42:28+0200"})
        EXPECT_FALSE(parse_time(s)) << s;
}

TEST(Time, DurationsHaveUnits) {
    EXPECT_EQ(parse_duration_ms("24h"), 86'400'000);
    EXPECT_EQ(parse_duration_ms("500ms"), 500);
    EXPECT_EQ(parse_duration_ms("5"), 5000);
    EXPECT_FALSE(parse_duration_ms("5 s"));
    EXPECT_FALSE(parse_duration_ms("-5s"));
    EXPECT_EQ(format_duration_ms(86'400'000), "1d");
    EXPECT_EQ(format_duration_ms(90'000), "90s");
}

TEST(Bytes, ReaderNeverPassesItsEnd) {
    std::string bytes;
    ByteWriter w(bytes);
    w.varint(300);
    w.svarint(-5);
    w.text("hello");
    w.u32(7);
    ByteReader r(bytes);
    EXPECT_EQ(r.varint(), 300u);
    EXPECT_EQ(r.svarint(), -5);
    EXPECT_EQ(r.text(), "hello");
    EXPECT_EQ(r.u32(), 7u);
    EXPECT_TRUE(r.complete());
    for (size_t cut = 0; cut < bytes.size(); ++cut) {
        ByteReader s(std::string_view(bytes).substr(0, cut));
        s.varint();
        s.svarint();
        s.text();
        s.u32();
        EXPECT_TRUE(s.failed()) << cut;
        EXPECT_EQ(s.u8(), 0);
    }
}

TEST(CompactId, IsItsText) {
    CompactId uuid("c2cd789a-3802-08a9-ad45-f23d3b1a11df"), text("01234567-EXAMPLE"), upper("C2CD789A-3802-08A9-AD45-F23D3B1A11DF");
    EXPECT_EQ(uuid.str(), "c2cd789a-3802-08a9-ad45-f23d3b1a11df");
    EXPECT_EQ(text.str(), "01234567-EXAMPLE");
    EXPECT_EQ(upper.str(), "C2CD789A-3802-08A9-AD45-F23D3B1A11DF");
    EXPECT_NE(uuid, upper);
    EXPECT_LT(text, uuid);
    CompactId copy = text;
    EXPECT_EQ(copy, text);
    EXPECT_TRUE(CompactId().empty());
    EXPECT_NE(CompactId("00000000-0000-0000-0000-000000000000"), CompactId());
}

TEST(JsonWriter, PlacesCommasAndEscapes) {
    std::string out;
    JsonWriter w(out);
    w.begin_object().key("a").number(1).key("b").begin_array().text("x\"\n\x01").null().begin_object().end_object().end_array();
    w.key("t").time(no_time).end_object();
    EXPECT_EQ(out, R"({"a":1,"b":["x\"\n\u0001",null,{}],"t":null})");
}

}  // namespace
}  // namespace waybill
