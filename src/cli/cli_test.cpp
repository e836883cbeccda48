#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "cli/client.h"
#include "cli/completion.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cli/version.h"

namespace waybill::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

TEST(DisplayWidth, CountsColumnsNotBytes) {
    EXPECT_EQ(display_width("abc"), 3);
    EXPECT_EQ(display_width("김서연"), 6);
    EXPECT_EQ(display_width("e\xcc\x81"), 1) << "a combining accent takes no column";
    EXPECT_EQ(display_width("✓ ok"), 4);
    EXPECT_EQ(display_width("🚀"), 2);
    EXPECT_EQ(display_width("\xff\xfe"), 2) << "broken UTF-8 is one column a byte";
}

TEST(Truncate, NeverCutsAWideCharacterInHalf) {
    EXPECT_EQ(truncate("abcdef", 6), "abcdef");
    EXPECT_EQ(truncate("abcdef", 4), "abc…");
    EXPECT_EQ(truncate("김서연", 5), "김서…");
    EXPECT_EQ(truncate("김서연", 4), "김…");
    EXPECT_EQ(truncate("abc", 0), "");
}

TEST(Truncate, MarksALineThatIsCutBetweenSpans) {
    Line line{{"Source", Style::green}, {" › "}, {"Build", Style::red}};
    EXPECT_EQ(paint(truncate(line, 14), false), "Source › Build");
    EXPECT_EQ(paint(truncate(line, 9), false), "Source ›…");
    EXPECT_EQ(paint(truncate(line, 6), false), "Sourc…");
    for (int width = 1; width < 20; ++width) EXPECT_LE(display_width(truncate(line, width)), width);
}

TEST(Clean, LetsNoEscapeReachTheTerminal) {
    EXPECT_EQ(clean("a\x1b[31mb"), "a[31mb");
    EXPECT_EQ(clean("two\nlines\tand  blanks "), "two lines and blanks");
    EXPECT_EQ(clean("c1\xc2\x9b" "x"), "c1x");
    EXPECT_EQ(clean("rtl\xe2\x80\xae" "x"), "rtlx");
    EXPECT_EQ(clean("broken\xff"), "broken\xef\xbf\xbd");
    EXPECT_EQ(clean("결제 취소"), "결제 취소");
}

TEST(Show, WritesSpansAndCountsForPeople) {
    EXPECT_EQ(show_duration(850), "850ms");
    EXPECT_EQ(show_duration(1'900), "1.9s");
    EXPECT_EQ(show_duration(184'000), "3m 04s");
    EXPECT_EQ(show_duration(7'500'000), "2h 05m");
    EXPECT_EQ(show_duration(86'400'000), "1d");
    EXPECT_EQ(show_duration(-1'000), "-1.0s");
    EXPECT_EQ(show_ago(no_time, 0), "-");
    EXPECT_EQ(show_ago(0, 61'000), "1m ago");
    EXPECT_EQ(show_count(48212), "48,212");
    EXPECT_EQ(show_count(999), "999");
    EXPECT_EQ(show_bytes(3'565'158), "3.4 MiB");
    EXPECT_EQ(show_time(0), "1970-01-01 00:00:00Z");
}

Table sample() {
    Table table({{"STATE"}, {"PIPELINE", false, 8}, {"N", true}, {"MESSAGE", false, 8}});
    table.row({"ok", "api-orders", "7", "장바구니 합계가 새로고침 뒤에 0원으로 보이던 문제 수정"});
    table.row({Cell("failed", Style::red), "web-storefront-in-seoul", "1234", "short"});
    return table;
}

TEST(Table, FitsTheTerminal) {
    for (int width : {20, 40, 60, 80, 200}) {
        for (const std::string& line : lines_of(sample().render({true, false, width}))) EXPECT_LE(display_width(line), width) << line;
    }
    EXPECT_THAT(sample().render({true, false, 60}), HasSubstr("…"));
}

TEST(Table, IsWholeAndPlainWhenPiped) {
    std::string text = sample().render({});
    EXPECT_THAT(text, HasSubstr("장바구니 합계가 새로고침 뒤에 0원으로 보이던 문제 수정"));
    EXPECT_THAT(text, Not(HasSubstr("\x1b")));
    EXPECT_THAT(text, Not(HasSubstr("…")));
    EXPECT_THAT(text, HasSubstr("ok      api-orders                  7  장바구니"));
}

TEST(Table, ColoursWholeCellsOnly) {
    std::string text = sample().render({true, true, 200});
    EXPECT_THAT(text, HasSubstr("\x1b[31mfailed\x1b[0m"));
}

TEST(Table, SaysNothingWithoutRows) { EXPECT_EQ(Table({{"A"}}).render({}), ""); }

TEST(Progress, SaysHowFarHowFastAndHowLong) {
    std::string line = Progress::line("putting", 1 << 20, 4 << 20, 1000, "1,000 events", 0);
    EXPECT_THAT(line, HasSubstr(" 25%"));
    EXPECT_THAT(line, HasSubstr("1.0 MiB of 4.0 MiB"));
    EXPECT_THAT(line, HasSubstr("1.0 MiB/s"));
    EXPECT_THAT(line, HasSubstr("1,000 events"));
    EXPECT_THAT(line, HasSubstr("3.0s left"));
    EXPECT_LE(display_width(Progress::line("putting", 1, 4, 1000, "", 30)), 30);
    EXPECT_THAT(Progress::line("putting", 10, 0, 1000, "", 0), Not(HasSubstr("%"))) << "no share of an unknown whole";
}

TEST(SseParser, TakesMessagesHoweverTheyAreSliced) {
    const std::string stream = ": keep-alive\n\nid: 7\nevent: transition\ndata: {\"a\":\ndata: 1}\n\nid: 9\r\ndata:x\r\n\r\nevent: lost without data\n\n";
    for (size_t slice = 1; slice <= stream.size(); ++slice) {
        SseParser parser;
        std::vector<SseMessage> seen;
        for (size_t at = 0; at < stream.size(); at += slice)
            EXPECT_TRUE(parser.feed(std::string_view(stream).substr(at, slice), [&](const SseMessage& m) { return seen.push_back(m), true; }));
        ASSERT_EQ(seen.size(), 2u) << "slices of " << slice;
        EXPECT_EQ(seen[0].id, "7");
        EXPECT_EQ(seen[0].event, "transition");
        EXPECT_EQ(seen[0].data, "{\"a\":\n1}");
        EXPECT_EQ(seen[1].id, "9");
        EXPECT_EQ(seen[1].event, "");
        EXPECT_EQ(seen[1].data, "x");
    }
}

TEST(SseParser, StopsWhenItIsToldTo) {
    SseParser parser;
    int seen = 0;
    EXPECT_FALSE(parser.feed("data: 1\n\ndata: 2\n\n", [&](const SseMessage&) { return ++seen, false; }));
    EXPECT_EQ(seen, 1);
}

TEST(Answer, ReadsMissingAndNullAsNothing) {
    auto answer = parse_answer(R"({"name":"x","none":null,"n":3,"f":2.0,"yes":true,"list":[1,2],"t":"2026-04-19T12:42:28.123Z"})");
    ASSERT_TRUE(answer.ok());
    EXPECT_EQ(text(answer->root, "name"), "x");
    EXPECT_EQ(text(answer->root, "none"), "");
    EXPECT_EQ(text(answer->root, "n"), "");
    EXPECT_EQ(number(answer->root, "n"), 3);
    EXPECT_EQ(number(answer->root, "f"), 2);
    EXPECT_EQ(number(answer->root, "none", 5), 5);
    EXPECT_TRUE(flag(answer->root, "yes"));
    EXPECT_FALSE(flag(answer->root, "name"));
    EXPECT_EQ(items(answer->root, "list").size(), 2u);
    EXPECT_TRUE(items(answer->root, "name").empty());
    EXPECT_EQ(time_of(answer->root, "none"), no_time);
    EXPECT_EQ(format_time(time_of(answer->root, "t")), "2026-04-19T12:42:28.123Z");
    EXPECT_FALSE(parse_answer("<html>").ok());
}

TEST(Client, TurnsRefusalsIntoKindsAndExitCodes) {
    auto kind = [](long status, std::string body) { return Client::refusal({status, std::move(body), 0}); };
    EXPECT_EQ(exit_code(kind(404, R"({"error":{"kind":"not_found","message":"There is no execution x."}})")), exit_not_found);
    EXPECT_EQ(kind(404, R"({"error":{"kind":"not_found","message":"There is no execution x."}})").message, "There is no execution x.");
    EXPECT_EQ(exit_code(kind(503, "")), exit_unreachable);
    EXPECT_EQ(exit_code(kind(400, "no")), exit_usage);
    EXPECT_EQ(exit_code(kind(409, "")), exit_no);
    EXPECT_EQ(exit_code(kind(500, R"({"error":{"kind":"corrupt","message":"m"}})")), exit_corrupt);
    EXPECT_THAT(kind(401, "").message, HasSubstr("WAYBILL_TOKEN"));
}

TEST(Query, EscapesAndLeavesOutWhatIsEmpty) {
    EXPECT_EQ(query({{"q", "a b&c=결"}, {"status", ""}, {"limit", "5"}}), "?q=a%20b%26c%3D%EA%B2%B0&limit=5");
    EXPECT_EQ(query({{"q", ""}}), "");
}

Command sample_program() {
    Command program{"waybill", "", {{"--help", "help", Complete::nothing, {}}}, {}};
    program.commands.push_back({"status", "where things stand", {{"--color", "it's colour", Complete::words, {"auto", "never"}}, {"--config", "a file", Complete::file, {}}}, {}});
    program.commands.push_back({"dlq", "dead letters", {}, {{"list", "them", {{"--limit", "n", Complete::any, {}}}, {}}}});
    return program;
}

TEST(Completion, NamesEveryCommandAndFlagInEveryShell) {
    for (Shell shell : {Shell::bash, Shell::zsh, Shell::fish}) {
        std::string script = completion_script(shell, sample_program());
        for (const char* word : {"status", "dlq", "list", "limit", "color", "auto"}) EXPECT_THAT(script, HasSubstr(word));
    }
    EXPECT_THAT(completion_script(Shell::zsh, sample_program()), HasSubstr(R"('--color:it'\''s colour')"));
    EXPECT_THAT(completion_script(Shell::fish, sample_program()), HasSubstr(R"(-d 'it\'s colour')"));
}

TEST(Nearest, FindsTheWordThatWasMeant) {
    EXPECT_EQ(nearest("statsu", {"serve", "status", "show"}), "status");
    EXPECT_EQ(nearest("incident", {"incidents", "events"}), "incidents");
    EXPECT_EQ(nearest("zzzzzz", {"serve", "status", "show"}), "");
}

TEST(Version, IsTheOneOfTheBuild) {
    std::ifstream file(std::string(WAYBILL_SOURCE_DIR) + "/CMakeLists.txt");
    std::string build((std::istreambuf_iterator<char>(file)), {});
    EXPECT_THAT(build, HasSubstr("project(waybill VERSION " + std::string(release) + " "));
}

}  // namespace
}  // namespace waybill::cli
