#include "event/cloud_event.h"

#include <gtest/gtest.h>

namespace waybill {
namespace {

const CloudDefaults defaults{"000000000000", "us-east-1", 1776602548123};
using Headers = std::vector<std::pair<std::string, std::string>>;

std::string text_of(const std::variant<std::string, FieldError>& made) {
    if (auto* error = std::get_if<FieldError>(&made)) return "refused " + error->field + ": " + error->reason;
    return std::get<std::string>(made);
}

TEST(CloudEvent, BecomesAnEnvelope) {
    EXPECT_EQ(
        text_of(from_structured(
            R"({"specversion":"1.0","id":"1","source":"urn:shop","type":"order","subject":"s","data": {"n": 1.0}})", defaults)),
        R"({"version":"0","id":"1","detail-type":"order","source":"urn:shop","account":"000000000000","time":"2026-04-19T12:42:28Z","region":"us-east-1",)"
        R"("resources":["s"],"detail":{"n": 1.0}})");
    EXPECT_EQ(
        text_of(from_binary({{"SpecVersion", "1.0"},
                             {"id", "1"},
                             {"source", "urn:shop"},
                             {"type", "order"},
                             {"time", "2026-01-01T00:00:00Z"},
                             {"account", "42"},
                             {"region", "eu"}},
                            "application/json", R"({"n":1.0})", defaults)),
        R"({"version":"0","id":"1","detail-type":"order","source":"urn:shop","account":"42","time":"2026-01-01T00:00:00Z","region":"eu","resources":[],"detail":{"n":1.0}})");
}

TEST(CloudEvent, CodePipelinesAreRecognised) {
    for (std::string source : {"arn:aws:codepipeline:eu-west-1:42:a:b", "/aws.codepipeline/42/eu-west-1/a:b"}) {
        const std::string text = text_of(from_binary(
            {{"specversion", "1.0"}, {"id", "1"}, {"source", source}, {"type", "com.amazonaws.codepipeline.stage.FAILED"}}, "",
            "{}", defaults));
        for (std::string_view part :
             {R"("detail-type":"CodePipeline Stage Execution State Change")", R"("source":"aws.codepipeline")",
              R"("account":"42")", R"("region":"eu-west-1")", R"("resources":["arn:aws:codepipeline:eu-west-1:42:a:b"])"})
            EXPECT_NE(text.find(part), text.npos) << part << " in " << text;
    }
    for (std::string type : {"com.amazonaws.codepipeline.job", "com.amazonaws.codepipeline", "stage"})
        EXPECT_NE(text_of(from_binary({{"specversion", "1.0"}, {"id", "1"}, {"source", "s"}, {"type", type}}, "", "{}", defaults))
                      .find("\"detail-type\":\"" + type + "\""),
                  std::string::npos);
}

TEST(CloudEvent, HeaderValuesAreDecoded) {
    auto id_of = [](const std::string& value) {
        const std::string text =
            text_of(from_binary({{"specversion", "1.0"}, {"id", value}, {"source", "s"}, {"type", "t"}}, "", "{}", defaults));
        if (text.starts_with("refused")) return text;
        const size_t from = text.find("\"id\":\"") + 6;
        return text.substr(from, text.find("\",\"detail-type\"") - from);
    };
    EXPECT_EQ(id_of("Euro%20%E2%82%AC%20%F0%9F%98%80"), "Euro € 😀");  // the specification's example
    EXPECT_EQ(id_of("%e2%82%ac"), "€");
    EXPECT_EQ(id_of("\"a \\\" b\""), "a \\\" b");
    EXPECT_EQ(id_of("100%"), "100%");
    EXPECT_EQ(id_of("%zz"), "%zz");
    EXPECT_EQ(id_of("%FF").substr(0, 11), "refused id:");
    EXPECT_EQ(id_of("\xff").substr(0, 11), "refused id:");
}

TEST(CloudEvent, RefusalsNameTheAttribute) {
    const Headers good{{"specversion", "1.0"}, {"id", "1"}, {"source", "s"}, {"type", "t"}};
    for (size_t i = 0; i < good.size(); ++i) {
        Headers without = good;
        without.erase(without.begin() + static_cast<ptrdiff_t>(i));
        EXPECT_TRUE(text_of(from_binary(without, "", "{}", defaults)).starts_with("refused " + good[i].first + ":"));
    }
    for (auto [type, body] : {std::pair("text/plain", "{}"),
                              {"application/json", "[]"},
                              {"application/json", ""},
                              {"application/json", "{"},
                              {"application/json", "{} {}"},
                              {"", "\"x\""}})
        EXPECT_TRUE(text_of(from_binary(good, type, body, defaults)).starts_with("refused data:")) << body;
    const std::string head = R"({"specversion":"1.0","id":"1","source":"s","type":"t")";
    for (auto [rest, field] : {std::pair("", "data"),
                               {R"(,"data":1)", "data"},
                               {R"(,"data":null)", "data"},
                               {R"(,"data":"{}")", "data"},
                               {R"(,"data_base64":"e30=")", "data_base64"},
                               {R"(,"more":{},"data":{})", "more"},
                               {R"(,"more":[],"data":{})", "more"}})
        EXPECT_TRUE(text_of(from_structured(head + rest + "}", defaults)).starts_with(std::string("refused ") + field + ":"))
            << rest;
    EXPECT_TRUE(text_of(from_structured(R"({"specversion":"0.3","id":"1","source":"s","type":"t","data":{}})", defaults))
                    .starts_with("refused specversion:"));
    auto broken = from_structured("{", defaults);
    EXPECT_TRUE(std::get<FieldError>(broken).syntax);
    EXPECT_FALSE(std::get<FieldError>(from_structured("[]", defaults)).syntax);
}

TEST(CloudEvent, NothingInItReachesIntoTheEnvelope) {
    EnvelopeReader reader;
    auto made = from_structured(
        R"({"specversion":"1.0","id":"a\",\"source\":\"x","source":"s","type":"t","data":{"x":"}}"},"time":"2026-01-01T00:00:00Z"})",
        defaults);
    auto event = reader.read(std::get<std::string>(made));
    EXPECT_EQ(std::get<IncomingEvent>(event).id, "a\",\"source\":\"x");
}

}  // namespace
}  // namespace waybill
