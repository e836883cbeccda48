#include "bus/input.h"

#include <gtest/gtest.h>

#include "bus/json_path.h"

namespace waybill::bus {
namespace {

// The event, and what became of it, are those that AWS was recorded with (docs/input-transformer.md).
const std::string event =
    R"({"version":"0","id":"e1","detail-type":"core.update-account-command","source":"core.update-account-command","account":"111111111111",)"
    R"("time":"2024-06-11T08:33:10Z","region":"us-east-1","resources":[],"detail":{"command":"update-account",)"
    R"("payload":{"acc_id":"0a787ecb-4015","sf_id":"baz"},"listsingle":["HIGH"],"listmulti":["ACTIVE","INACTIVE"],"valid":true,"n":1.0,"big":12345678901234567890,)"
    R"("nothing":null,"message":"say \"hi\"\nthere"}})";
const RenderContext context{"arn:aws:events:us-east-1:111111111111:rule/bus/watch", "watch", 1718094790000};

TargetInput path(std::string text) { return {.input = {}, .input_path = std::move(text), .transformer = {}}; }

TargetInput transformer(std::string text, std::vector<std::pair<std::string, std::string>> more = {}) {
    std::vector<std::pair<std::string, std::string>> map{{"detail-type", "$.detail-type"},
                                                         {"timestamp", "$.time"},
                                                         {"command", "$.detail.command"},
                                                         {"userId", "$.detail.payload.acc_id"},
                                                         {"payload", "$.detail.payload"},
                                                         {"systemstring", "$.detail.awsAccountId"},
                                                         {"listsingle", "$.detail.listsingle"},
                                                         {"listmulti", "$.detail.listmulti"},
                                                         {"valid", "$.detail.valid"},
                                                         {"n", "$.detail.n"},
                                                         {"big", "$.detail.big"},
                                                         {"nothing", "$.detail.nothing"},
                                                         {"message", "$.detail.message"}};
    map.insert(map.end(), more.begin(), more.end());
    return {.input = {}, .input_path = {}, .transformer = InputTransformer{std::move(map), std::move(text)}};
}

std::string rendered(const TargetInput& input, const std::string& of = event) {
    auto result = render(input, of, context);
    return result.ok() ? *result : "refused: " + result.error().message;
}

std::string refusal(const TargetInput& input) {
    auto result = check(input, "t1");
    return result.ok() ? "accepted" : result.error().message;
}

TEST(Input, NothingGivenIsTheWholeEvent) {
    EXPECT_EQ(rendered({}), event);
    EXPECT_EQ(*CompiledInput().render(event, context), event);
}

TEST(Input, AConstantIsSentAsItIs) {
    for (std::string text : {R"({"a": 1.0})", R"("hello")", "17", " null "}) {
        const TargetInput input{.input = text, .input_path = {}, .transformer = {}};
        EXPECT_EQ(rendered(input), text);
    }
}

TEST(Input, APathGivesThatPart) {
    EXPECT_EQ(rendered(path("$")), event);
    EXPECT_EQ(rendered(path("$.detail.payload")), R"({"acc_id":"0a787ecb-4015","sf_id":"baz"})");
    EXPECT_EQ(rendered(path("$.detail.payload.sf_id")), R"("baz")");  // recorded: with its quotes
    EXPECT_EQ(rendered(path("$.detail.n")), "1.0");
    EXPECT_EQ(rendered(path("$.detail.listmulti[1]")), R"("INACTIVE")");
    EXPECT_EQ(rendered(path("$.detail.listmulti[2]")), R"("")");
    EXPECT_EQ(rendered(path("$.detail-type")), R"("core.update-account-command")");
}

TEST(Input, OnlyOneWayAtATime) {
    TargetInput both = transformer(R"("<command>")");
    both.input_path = "$.detail";
    EXPECT_EQ(refusal(both), "Only one of Input, InputPath, or InputTransformer must be provided for target t1.");
    EXPECT_FALSE(CompiledInput::compile(both, "t1").ok());
    TargetInput other{.input = "1", .input_path = "$", .transformer = {}};
    EXPECT_EQ(refusal(other), "Only one of Input, InputPath, or InputTransformer must be provided for target t1.");
}

TEST(Input, WhatAwsRefusesIsRefusedInItsWords) {
    EXPECT_EQ(refusal({.input = "word", .input_path = {}, .transformer = {}}), "JSON syntax error in input for target t1");
    EXPECT_EQ(refusal({.input = "", .input_path = {}, .transformer = {}}), "JSON syntax error in input for target t1");
    for (std::string bad :
         {"detail", "", "$.detail['key']", "$.a[1:2]", "$..a", "$.a[?(@.b)]", "$.a[-1]", "$.", "$.a.", "$a", "$.a[]", "$.a b"})
        EXPECT_EQ(refusal(path(bad)), "InputPath for target t1 is invalid.") << bad;
    EXPECT_EQ(refusal(transformer(R"("<bad>")", {{"bad", "detail"}})), "InputPath for target t1 is invalid.");
    EXPECT_EQ(refusal(transformer(R"("Event of <detail-type> type, with not defined key <notdefinedkey>")")),
              "InputTemplate for target t1 contains invalid placeholder notdefinedkey.");
    for (std::string text : {R"([<aws.events.event.json>])", R"("all: <aws.events.event.json>")"})
        EXPECT_EQ(refusal(transformer(text)),
                  "InputTemplate for target t1 contains placeholder aws.events.event.json valid only for JSON template.");
    for (std::string text :
         {"<command> is text", R"({"a": <command>)", R"({<command>: 1})", R"({"a": <command>-<userId>})", R"("open)", "[1,"})
        EXPECT_TRUE(refusal(transformer(text)).starts_with("Invalid InputTemplate for target t1 : "))
            << text << refusal(transformer(text));
}

TEST(Input, LimitsAreAwss) {
    auto of_length = [](size_t n) { return "\"" + std::string(n - 2, 'x') + "\""; };
    EXPECT_EQ(refusal({.input = of_length(8192), .input_path = {}, .transformer = {}}), "accepted");
    EXPECT_TRUE(
        refusal({.input = of_length(8193), .input_path = {}, .transformer = {}}).starts_with("1 validation error detected: "));
    EXPECT_EQ(refusal(path("$." + std::string(254, 'a'))), "accepted");
    std::string umlauts = "$.";
    for (int i = 0; i < 254; ++i) umlauts += "ü";
    EXPECT_EQ(refusal(path(umlauts)), "accepted");  // characters, not bytes
    EXPECT_TRUE(refusal(path("$." + std::string(255, 'a')))
                    .ends_with("at 'targets.1.member.inputPath' failed to satisfy constraint: Member must have length less than "
                               "or equal to 256"));
    EXPECT_EQ(refusal(transformer(of_length(8192))), "accepted");
    EXPECT_TRUE(refusal(transformer(of_length(8193))).starts_with("1 validation error detected: "));
    EXPECT_TRUE(refusal(transformer("")).find("'targets.1.member.inputTransformer.inputTemplate'") != std::string::npos);
    TargetInput many = transformer("{}");
    while (many.transformer->paths_map.size() < 100)
        many.transformer->paths_map.emplace_back("k" + std::to_string(many.transformer->paths_map.size()), "$");
    EXPECT_EQ(refusal(many), "accepted");
    many.transformer->paths_map.emplace_back("one-more", "$");
    EXPECT_TRUE(refusal(many).starts_with("1 validation error detected: "));
    // Measured: a reserved name is refused, a name that only begins with AWS is not.
    EXPECT_TRUE(refusal(transformer("{}", {{"aws.events.rule-name", "$"}})).starts_with("1 validation error detected: "));
    EXPECT_EQ(refusal(transformer("{}", {{"AWSname", "$"}})), "accepted");
    EXPECT_TRUE(refusal(transformer("{}", {{std::string(257, 'k'), "$"}})).starts_with("1 validation error detected: "));
    EXPECT_TRUE(refusal(transformer("{}", {{"", "$"}})).starts_with("1 validation error detected: "));
}

TEST(Input, AStringTemplate) {
    EXPECT_EQ(
        rendered(transformer(R"("Event of <detail-type> type, at time <timestamp>, info extracted from detail <command>")")),
        R"("Event of core.update-account-command type, at time 2024-06-11T08:33:10Z, info extracted from detail update-account")");
    EXPECT_EQ(rendered(transformer(R"("info extracted from detail <systemstring>")")), R"("info extracted from detail ")");
    EXPECT_EQ(rendered(transformer(R"("{[/Check with special starting characters for event of <detail-type> type")")),
              R"("{[/Check with special starting characters for event of core.update-account-command type")");
    EXPECT_EQ(rendered(transformer(R"("Payload of <payload> with path users-service/users/<userId> and <userId>")")),
              R"("Payload of {acc_id:0a787ecb-4015,sf_id:baz} with path users-service/users/0a787ecb-4015 and 0a787ecb-4015")");
    EXPECT_EQ(rendered(transformer(R"("<listsingle> single list item")")), R"("[HIGH] single list item")");
    EXPECT_EQ(rendered(transformer(R"("<listmulti> multiple list items")")), R"("[ACTIVE,INACTIVE] multiple list items")");
    EXPECT_EQ(
        rendered(transformer(
            R"("<listsingle> single list item <listmulti> multiple list items <systemstring> system account id <payload> payload <userId> user id")")),
        R"("[HIGH] single list item [ACTIVE,INACTIVE] multiple list items  system account id {acc_id:0a787ecb-4015,sf_id:baz} payload 0a787ecb-4015 user id")");
    EXPECT_EQ(rendered(transformer(R"("Command is <valid>!")")), R"("Command is true!")");
    EXPECT_EQ(rendered(transformer("\"<command>\"\n\"of <n>\"")), "\"update-account\"\n\"of 1.0\"");
    EXPECT_EQ(rendered(transformer(R"("instance \"<userId>\" is in <command>")")),
              R"("instance \"0a787ecb-4015\" is in update-account")");
}

TEST(Input, AJsonTemplate) {
    EXPECT_EQ(rendered(transformer(R"({"detailType": <detail-type>,  "time": <timestamp>, "command": <command>})")),
              R"({"detailType": "core.update-account-command",  "time": "2024-06-11T08:33:10Z", "command": "update-account"})");
    EXPECT_EQ(rendered(transformer(R"({"command": <systemstring>})")), R"({"command": ""})");
    EXPECT_EQ(rendered(transformer(R"({"command": "<systemstring>"})")), R"({"command": ""})");
    EXPECT_EQ(
        rendered(transformer(R"({"method": "PUT", "path": "users-service/users/<userId>", "bod": <payload>})")),
        R"({"method": "PUT", "path": "users-service/users/0a787ecb-4015", "bod": {"acc_id":"0a787ecb-4015","sf_id":"baz"}})");
    EXPECT_EQ(rendered(transformer(R"({"id" : <userId>})")), R"({"id" : "0a787ecb-4015"})");
    EXPECT_EQ(rendered(transformer(R"({"id" : "<userId>"})")), R"({"id" : "0a787ecb-4015"})");
    EXPECT_EQ(rendered(transformer(R"({"bod": [<userId>, "hardcoded"]})")), R"({"bod": ["0a787ecb-4015", "hardcoded"]})");
    EXPECT_EQ(rendered(transformer(
                  R"({"nested": {"level1": {"level2": {"level3": "users-service/users/<userId>"} } }, "bod": "<userId>"})")),
              R"({"nested": {"level1": {"level2": {"level3": "users-service/users/0a787ecb-4015"} } }, "bod": "0a787ecb-4015"})");
    EXPECT_EQ(rendered(transformer(R"({"singlelistitem": <listsingle>})")), R"({"singlelistitem": ["HIGH"]})");
    EXPECT_EQ(rendered(transformer(R"({"multi_replacement": "users/<userId>/second/<userId>"})")),
              R"({"multi_replacement": "users/0a787ecb-4015/second/0a787ecb-4015"})");
    EXPECT_EQ(rendered(transformer(R"(  {"v": <valid>, "w": "<valid>", "x": <nothing>})")),
              R"(  {"v": true, "w": "true", "x": null})");
}

TEST(Input, NumbersKeepEveryByte) {
    EXPECT_EQ(rendered(transformer(R"({"n":<n>,"big":<big>,"text":"<n> <big>"})")),
              R"({"n":1.0,"big":12345678901234567890,"text":"1.0 12345678901234567890"})");
}

TEST(Input, AnObjectBetweenQuotesOfAJsonTemplateSpoilsIt) {
    for (std::string text : {R"({"not_valid": "users-service/users/<payload>", "bod": <payload>})", R"({"payload": "<payload>"})",
                             R"({"singlelistitem": "<listsingle>"})"}) {
        auto result = render(transformer(text), event, context);
        ASSERT_FALSE(result.ok()) << text;
        EXPECT_EQ(result.error().kind, ErrorKind::invalid);
    }
}

TEST(Input, TextIsNotEscapedUnlessAskedFor) {
    TargetInput json = transformer(R"({"m": "<message>", "o": "<payload>"})");
    EXPECT_FALSE(render(transformer(R"({"m": "<message>"})"), event, context).ok());
    EXPECT_EQ(rendered(transformer(R"("<message>")")), "\"say \"hi\"\nthere\"");
    json.escape_text = true;
    EXPECT_EQ(rendered(json), R"({"m": "say \"hi\"\nthere", "o": "{\"acc_id\":\"0a787ecb-4015\",\"sf_id\":\"baz\"}"})");
    TargetInput text = transformer(R"("<message>")");
    text.escape_text = true;
    EXPECT_EQ(rendered(text), R"("say \"hi\"\nthere")");
    // Where no quotes stand around it a text is JSON anyway.
    EXPECT_EQ(rendered(transformer(R"({"m": <message>})")), R"({"m": "say \"hi\"\nthere"})");
}

TEST(Input, ReservedVariables) {
    EXPECT_EQ(
        rendered(transformer(
            R"("Message containing all pre defined variables <aws.events.rule-arn> <aws.events.rule-name> <aws.events.event.ingestion-time>")")),
        R"("Message containing all pre defined variables arn:aws:events:us-east-1:111111111111:rule/bus/watch watch 2024-06-11T08:33:10Z")");
    EXPECT_EQ(rendered(transformer(R"({"rule": <aws.events.rule-name>, "at": <aws.events.event.ingestion-time>})")),
              R"({"rule": "watch", "at": "2024-06-11T08:33:10Z"})");
    EXPECT_EQ(
        rendered(transformer(R"({"originalEvent": <aws.events.event>, "originalEventJson": <aws.events.event.json>})")),
        R"({"originalEvent": {"id":"e1","account":"111111111111","detailType":"core.update-account-command","time":"2024-06-11T08:33:10Z",)"
        R"("source":"core.update-account-command","region":"us-east-1","resources":[],"version":"0"}, "originalEventJson": )" +
            event + "}");
    // The archive's own template (seen in DescribeRule of the rule that AWS makes for an archive).
    EXPECT_EQ(
        rendered(transformer(
            R"({"archive-arn": "a:1", "event": <aws.events.event.json>, "ingestion-time": <aws.events.event.ingestion-time>})")),
        R"({"archive-arn": "a:1", "event": )" + event + R"(, "ingestion-time": "2024-06-11T08:33:10Z"})");
}

TEST(Input, WhatLooksLikeAPlaceholderAndIsNone) {
    EXPECT_EQ(rendered(transformer(R"("a < b, <command>, c > d, <>")")), R"("a < b, update-account, c > d, <>")");
    EXPECT_EQ(rendered(transformer(R"("<<command>>")")), R"("<update-account>")");
    EXPECT_EQ(refusal(transformer(R"("<b>bold</b>")")), "InputTemplate for target t1 contains invalid placeholder b.");
}

TEST(Input, TheResultIsBounded) {
    const std::string big = R"({"detail":{"x":")" + std::string(500'000, 'y') + R"("}})";
    const TargetInput twice = transformer(R"({"a": <x>, "b": <x>})", {{"x", "$.detail.x"}});
    EXPECT_TRUE(render(twice, big, context).ok());
    const TargetInput thrice = transformer(R"({"a": <x>, "b": <x>, "c": "<x>"})", {{"x", "$.detail.x"}});
    auto result = render(thrice, big, context);
    ASSERT_FALSE(result.ok());
    EXPECT_NE(result.error().message.find("larger than"), std::string::npos);
    std::string nulls(400'000, '\x01');
    TargetInput escaped = transformer(R"("<aws.events.rule-name>")");
    escaped.escape_text = true;
    EXPECT_FALSE(render(escaped, event, {"", nulls, 0}).ok());
}

TEST(Input, AnEventThatIsNoneIsAnError) {
    for (std::string broken :
         {"", "{", R"({"detail")", R"({"detail":)", R"({"detail":{"x":1)", R"({"a":1 "b":2})", "[1", R"("open)", "{} x"})
        EXPECT_FALSE(render(path("$.detail.x"), broken, context).ok()) << broken;
}

// --- paths

std::string found(std::vector<std::string> paths, std::string_view json, size_t budget = 1000) {
    std::vector<JsonPath> parsed;
    for (const auto& text : paths) parsed.push_back(*JsonPath::parse(text));
    std::vector<JsonMatch> out;
    if (!JsonPathSet(parsed).find(json, budget, out)) return "not found";
    std::string all;
    for (const auto& match : out) all += (match.found ? std::string(match.json()) : "-") + " ";
    return all;
}

TEST(JsonPaths, NamesIndexesAndWildcards) {
    const std::string_view json = R"( { "a" : { "b" : [ 10 , {"c":1.50} ] , "d-e_f/g:@h" : "x" } , "z" : [ ] } )";
    EXPECT_EQ(found({"$.a.b[0]", "$.a.b[1].c", "$.a.d-e_f/g:@h", "$.z", "$.z[0]", "$.a.b.c"}, json), R"(10 1.50 "x" [ ] - - )");
    EXPECT_EQ(found({"$.a.b[*]", "$.a.*", "$.z[*]", "$.q[*]"}, json), R"([10,{"c":1.50}] [[ 10 , {"c":1.50} ],"x"] [] [] )");
    EXPECT_EQ(found({"$[*].n", "$[1].n", "$[*]"}, R"([{"n":1},{"n":2},3])"), R"([1,2] 2 [{"n":1},{"n":2},3] )");
    EXPECT_EQ(found({"$"}, "17"), "17 ");
    EXPECT_EQ(found({"$", "$", "$.a", "$.a"}, R"({"a":1})"), R"({"a":1} {"a":1} 1 1 )");
}

TEST(JsonPaths, TheLastOfTwoMembersCounts) {
    EXPECT_EQ(found({"$.a.b", "$.a.c"}, R"({"a":{"b":1},"a":{"c":2}})"), "- 2 ");
    EXPECT_EQ(found({"$.a"}, R"({"a":1,"a":2})"), "2 ");
    EXPECT_EQ(found({"$.l[*].b"}, R"({"l":[{"b":1},{"b":2,"b":3}]})"), "[1,3] ");
}

TEST(JsonPaths, NamesAreComparedAsTheyRead) {
    EXPECT_EQ(found({"$.détail"}, R"({"d\u00e9tail":1})"), "1 ");
    EXPECT_EQ(found({"$.a"}, R"({"\u0061":"}\"]"})"), R"("}\"]" )");
}

TEST(JsonPaths, ArraysAreBounded) {
    EXPECT_EQ(found({"$[*]"}, "[1,2,3]", 6), "[1,2,3] ");
    EXPECT_EQ(found({"$[*]"}, "[1,2,3]", 5), "not found");
}

TEST(JsonPaths, MembersOfAnObject) {
    auto members = [](std::string_view json) {
        const auto found = json_members(json);
        if (!found) return std::string("none");
        std::string all;
        for (const auto& [name, value] : *found) all += name + "=" + std::string(value) + ";";
        return all;
    };
    EXPECT_EQ(members(R"( { "b" : {"x":[1, 2]} , "\u0061":1.0,"":"}" } )"), R"(b={"x":[1, 2]};a=1.0;="}";)");
    EXPECT_EQ(members("{}"), "");
    EXPECT_EQ(members(R"({"a":1,"b":2,"a":3,"c":4})"), "b=2;a=3;c=4;");  // the last of a name, where it stands
    for (std::string_view bad :
         {"", "[]", "1", "{", R"({"a"})", R"({"a":})", R"({"a":1,})", R"({"a":1}x)", R"({"a":1 "b":2})", R"({a:1})"})
        EXPECT_EQ(members(bad), "none") << bad;
}

TEST(JsonPaths, StringsAreDecoded) {
    EXPECT_EQ(decode_json_string(R"("a\"\\\/\b\f\n\r\t\u20ac\ud83d\ude00")"), "a\"\\/\b\f\n\r\t€😀");
    EXPECT_EQ(decode_json_string(R"("\ud83d \ude00 \ud83dA")"),
              "\xef\xbf\xbd \xef\xbf\xbd \xef\xbf\xbd"
              "A");
}

}  // namespace
}  // namespace waybill::bus
