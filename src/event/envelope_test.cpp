// The door: what it refuses and why, what it keeps as it was, and what it takes out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "event/envelope.h"
#include "event/limits.h"

namespace waybill {
namespace {

std::variant<IncomingEvent, FieldError> read(std::string_view json) {
    static EnvelopeReader reader;
    return reader.read(json);
}

IncomingEvent good(std::string_view json) {
    auto r = read(json);
    if (const auto* e = std::get_if<FieldError>(&r)) ADD_FAILURE() << e->field << ": " << e->reason << "\n" << json.substr(0, 400);
    return std::holds_alternative<IncomingEvent>(r) ? std::get<IncomingEvent>(std::move(r)) : IncomingEvent{};
}

FieldError bad(std::string_view json) {
    auto r = read(json);
    EXPECT_TRUE(std::holds_alternative<FieldError>(r)) << json.substr(0, 400);
    return std::holds_alternative<FieldError>(r) ? std::get<FieldError>(r) : FieldError{};
}

// A sound action event; `with` replaces `what`, which must occur.
const std::string sound =
    R"({"version":"0","id":"e-1","detail-type":"CodePipeline Action Execution State Change","source":"aws.codepipeline","account":"111122223333","time":"2026-04-19T12:42:28Z",)"
    R"("region":"eu-west-1","resources":["arn:aws:codepipeline:eu-west-1:111122223333:orders"],"detail":{"pipeline":"orders","execution-id":"x-1","start-time":"2026-04-19T12:42:20.123Z",)"
    R"("stage":"Build","action-execution-id":"a-1","action":"Compile","state":"FAILED","region":"eu-west-1","type":{"owner":"AWS","category":"Build","provider":"CodeBuild","version":"1"},)"
    R"("execution-result":{"external-execution-id":"b:1","error-code":"JobFailed"},"version":3.0,"pipeline-execution-attempt":2.0}})";

std::string with(std::string_view what, std::string_view replacement, std::string json = sound) {
    const size_t at = json.find(what);
    EXPECT_NE(at, std::string::npos) << what;
    if (at != std::string::npos) json.replace(at, what.size(), replacement);
    return json;
}

TEST(Envelope, AnActionEventIsTakenOut) {
    const auto in = good(sound);
    EXPECT_EQ(in.id, "e-1");
    EXPECT_EQ(in.envelope, sound);
    ASSERT_TRUE(in.pipeline);
    const auto& e = *in.pipeline;
    EXPECT_EQ(e.scope, Scope::action);
    EXPECT_EQ(e.state, State::failed);
    EXPECT_EQ(e.attempt, 2);
    EXPECT_EQ(e.key, (PipelineKey{"111122223333", "eu-west-1", "orders"}));
    EXPECT_EQ(e.execution_id, "x-1");
    EXPECT_EQ(e.stage, "Build");
    EXPECT_EQ(e.action, "Compile");
    EXPECT_EQ(e.action_execution_id, "a-1");
    EXPECT_EQ(e.category + e.owner + e.provider + e.action_region, "BuildAWSCodeBuildeu-west-1");
    EXPECT_EQ(e.version, 3.0);
    EXPECT_EQ(e.time, *parse_time("2026-04-19T12:42:28Z"));
    EXPECT_EQ(e.start, *parse_time("2026-04-19T12:42:20.123Z"));
    EXPECT_EQ(e.texts, Texts::result);
    EXPECT_EQ(read_texts(in.envelope).error_code, "JobFailed");
    EXPECT_EQ(read_head(in.envelope).detail_type, "CodePipeline Action Execution State Change");
}

TEST(Envelope, WhatIsMalformedIsRefusedByFieldAndRule) {
    struct Case {
        std::string json, field, reason;
        bool syntax = false;
    };
    const std::string pipeline = with("Action Execution", "Pipeline Execution");
    const Case cases[] = {
        {"", "", "empty", true},
        {"  \n ", "", "empty", true},
        {"{", "", "not JSON", true},
        {sound + "x", "", "not JSON", true},
        {sound + sound, "", "not JSON", true},
        {"[]", "", "must be a JSON object"},
        {"\"text\"", "", "must be a JSON object"},
        {with("e-1", "\xff"), "", "UTF-8", true},
        {with("e-1", "\xed\xa0\x80"), "", "UTF-8", true},
        {with("e-1", "\\x"), "", "escape", true},
        {with("e-1", "a\x01z"), "", "control character", true},
        {with("3.0", "3.0.0"), "", "number", true},
        {with("3.0", "03"), "", "number", true},
        {with(R"("id":"e-1",)", ""), "id", "missing"},
        {with(R"("e-1")", "1"), "id", "string"},
        {with(R"("e-1")", R"("")"), "id", "empty"},
        {with("e-1", std::string(257, 'i')), "id", "257 bytes"},
        {with(R"("source":"aws.codepipeline",)", ""), "source", "missing"},
        {with("aws.codepipeline", std::string(257, 's')), "source", "257 bytes"},
        {with(R"("detail-type":"CodePipeline Action Execution State Change",)", ""), "detail-type", "missing"},
        {with("CodePipeline Action Execution State Change", std::string(129, 'd')), "detail-type", "129 bytes"},
        {with("CodePipeline Action Execution State Change", "CodePipeline Something"), "detail-type", "not a type"},
        {with(R"("account":"111122223333",)", ""), "account", "missing"},
        {with(R"("region":"eu-west-1","resources")", R"("resources")"), "region", "missing"},
        {with(R"("time":"2026-04-19T12:42:28Z",)", ""), "time", "missing"},
        {with("2026-04-19T12:42:28Z", "2026-04-19 12:42:28"), "time", "RFC 3339"},
        {with("2026-04-19T12:42:28Z", "2026-13-19T12:42:28Z"), "time", "RFC 3339"},
        {with(R"("2026-04-19T12:42:28Z")", "1776602548"), "time", "string"},
        {with(R"("version":"0")", R"("version":0)"), "version", "string"},
        {with(R"(["arn:aws:codepipeline:eu-west-1:111122223333:orders"])", R"("arn")"), "resources", "array"},
        {with(R"(["arn:aws:codepipeline:eu-west-1:111122223333:orders"])", "[1]"), "resources", "array of strings"},
        {with("aws.codepipeline\",", "aws.codepipeline\",\"replay-name\":7,"), "replay-name", "string"},
        {with(R"("detail":{)", R"("detail":[{)").substr(0, with(R"("detail":{)", R"("detail":[{)").size() - 1) + "]}", "detail", "object"},
        {with(R"("pipeline":"orders",)", ""), "detail.pipeline", "missing"},
        {with(R"("pipeline":"orders")", fmt::format(R"("pipeline":"{}")", std::string(257, 'p'))), "detail.pipeline", "257 bytes"},
        {with(R"("execution-id":"x-1",)", ""), "detail.execution-id", "missing"},
        {with(R"("stage":"Build",)", ""), "detail.stage", "missing"},
        {with(R"("action":"Compile",)", ""), "detail.action", "missing"},
        {with(R"("action-execution-id":"a-1",)", ""), "detail.action-execution-id", "missing"},
        {with(R"("state":"FAILED",)", ""), "detail.state", "missing"},
        {with("FAILED", "Failed"), "detail.state", "not a state"},
        {with("FAILED", "STOPPED"), "detail.state", "action execution"},
        {with("FAILED", "SUPERSEDED"), "detail.state", "action execution"},
        {with("FAILED", "CANCELLED"), "detail.state", "not a state"},
        {with("FAILED", "ABANDONED", pipeline), "detail.state", "pipeline execution"},
        {with("2.0", "2.5"), "detail.pipeline-execution-attempt", "whole"},
        {with("2.0", "-1"), "detail.pipeline-execution-attempt", "0 to 65535"},
        {with("2.0", "65536"), "detail.pipeline-execution-attempt", "65535"},
        {with("2.0", R"("2")"), "detail.pipeline-execution-attempt", "number"},
        {with("3.0", "-3"), "detail.version", "from 0"},
        {with("2026-04-19T12:42:20.123Z", "yesterday"), "detail.start-time", "RFC 3339"},
        {with("2026-04-19T12:42:20.123Z", ""), "detail.start-time", "empty"},
        {with(R"("type":{)", R"("type":3,"kind":{)"), "detail.type", "object"},
        {with(R"("owner":"AWS")", R"("owner":1)"), "detail.type.owner", "string"},
        {with(R"("execution-result":{)", R"("execution-result":"no","x":{)"), "detail.execution-result", "object"},
        {with(R"("version":3.0)", R"("version":3.0,"execution-trigger":[])", pipeline), "detail.execution-trigger", "object"},
        {with(R"("version":3.0)", R"("version":3.0,"stop-execution-comments":1)", pipeline), "detail.stop-execution-comments", "string"},
        {with(R"("version":3.0)", R"("version":3.0,"last-retry-attempt-time":"x")", pipeline), "detail.last-retry-attempt-time", "RFC 3339"},
    };
    for (const auto& c : cases) {
        const auto e = bad(c.json);
        EXPECT_EQ(e.field, c.field) << c.json.substr(0, 300);
        EXPECT_THAT(e.reason, testing::HasSubstr(c.reason)) << c.json.substr(0, 300);
        EXPECT_EQ(e.syntax, c.syntax) << c.json.substr(0, 300);
    }
}

TEST(Envelope, ValuesAreKeptAsTheyWere) {
    EXPECT_EQ(good(" \n" + with(R"({"version":"0",)", R"({ "version" : "0" , )") + "\n").envelope, sound);
    for (std::string number : {"1.0", "1.10", "1e2", "100000000000000000000.5", "0.1"})
        EXPECT_THAT(good(with(R"("state")", R"("extra":)" + number + R"(,"state")")).envelope, testing::HasSubstr(R"("extra":)" + number + ","));
    EXPECT_THAT(good(with("Compile", R"(C\u00f6mpile \"x\" a b)")).envelope, testing::HasSubstr(R"(C\u00f6mpile \"x\" a b)"));
    EXPECT_EQ(good(with("Compile", R"(C\u00f6 mpile)")).pipeline->action, "C\xc3\xb6 mpile");
}

TEST(Envelope, AttemptsAreNeverBelowOne) {
    EXPECT_EQ(good(with("2.0", "0.0")).pipeline->attempt, 1);
    EXPECT_EQ(good(with("2.0", "1.0")).pipeline->attempt, 1);
    EXPECT_EQ(good(with(R"(,"pipeline-execution-attempt":2.0)", "")).pipeline->attempt, 1);
    EXPECT_EQ(good(with("2.0", "65535.0")).pipeline->attempt, 65535);
}

TEST(Envelope, DepthAndSizeAreBounded) {
    auto nested = [](size_t levels) { return with(R"("state")", R"("extra":)" + std::string(levels, '[') + std::string(levels, ']') + R"(,"state")"); };
    good(nested(limits::json_depth - 3));
    const auto deep = bad(nested(limits::json_depth + 1));
    EXPECT_THAT(deep.reason, testing::HasSubstr("1000 levels"));
    auto long_one = [](size_t bytes) { return with(R"("state")", R"("extra":")" + std::string(bytes - sound.size() - 11, 'x') + R"(","state")"); };
    EXPECT_EQ(long_one(limits::event_bytes).size(), limits::event_bytes);
    good(long_one(limits::event_bytes));
    EXPECT_THAT(bad(long_one(limits::event_bytes + 1)).reason, testing::HasSubstr(fmt::format("{} bytes", limits::event_bytes + 1)));
    good(sound);  // the reader is as it was
}

TEST(Envelope, ResourcesAreBounded) {
    auto list = [](size_t n) {
        std::string out = "[";
        for (size_t i = 0; i < n; ++i) out += i ? R"(,"a")" : R"("a")";
        return with(R"(["arn:aws:codepipeline:eu-west-1:111122223333:orders"])", out + "]");
    };
    good(list(0));
    good(list(limits::resources));
    EXPECT_EQ(bad(list(limits::resources + 1)).field, "resources");
}

TEST(Envelope, TheIdentityIsOfBusSourceIdAndReplay) {
    EnvelopeReader reader;
    auto identity = [&](std::string_view json, std::string_view bus = "default") { return std::get<IncomingEvent>(reader.read(json, bus)).identity; };
    const auto one = identity(sound);
    EXPECT_EQ(identity(with("FAILED", "SUCCEEDED")), one);
    EXPECT_NE(identity(with("e-1", "e-2")), one);
    EXPECT_NE(identity(sound, "other"), one);
    EXPECT_NE(identity(with(R"("id":"e-1")", R"("id":"e-1","replay-name":"r")")), one);
    EXPECT_NE(identity(with("aws.codepipeline", "my.source")), one);
    // Parts do not run into each other.
    EXPECT_NE(identity(with("e-1", "xe-1")), identity(sound, "defaultx"));
}

TEST(Envelope, OtherSourcesAreTakenInUntracked) {
    const auto in = good(R"({"id":"1","source":"my.app","detail-type":"Thing Happened","time":"2026-04-19T12:42:28+02:00","detail":{}})");
    EXPECT_FALSE(in.pipeline);
    EXPECT_EQ(read_head(in.envelope).time, *parse_time("2026-04-19T10:42:28Z"));
    EXPECT_FALSE(good(with("CodePipeline Action Execution State Change", "AWS API Call via CloudTrail")).pipeline);
}

TEST(Envelope, AGitTriggerOutweighsAndItsTextsAreRead) {
    const auto in = good(
        R"({"id":"1","source":"aws.codepipeline","account":"1","region":"r","detail-type":"CodePipeline Pipeline Execution State Change","time":"2026-04-19T12:42:28Z","detail":{"pipeline":"p",)"
        R"("execution-id":"x","state":"STARTED","execution-trigger":{"full-repository-name":"a/b","provider-type":"GitLab","commit-message":"m\n2","branch-name":"main","commit-id":"c1",)"
        R"("author-display-name":"Mary","author-email":"m@example.com","author-id":"mm"},"stop-execution-comments":"why"}})");
    EXPECT_EQ(in.pipeline->texts, Texts::trigger | Texts::commit | Texts::stop_comment);
    const auto t = read_texts(in.envelope);
    EXPECT_EQ(t.commit_id, "c1");
    EXPECT_EQ(t.commit_message, "m\n2");
    EXPECT_EQ(t.repository, "a/b");
    EXPECT_EQ(t.branch, "main");
    EXPECT_EQ(t.trigger_type, "GitLab");
    EXPECT_EQ(t.author_name + t.author_email + t.author_id, "Marym@example.commm");
    EXPECT_EQ(t.stop_comment, "why");
}

}  // namespace
}  // namespace waybill
