#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>

#include "base/json_writer.h"
#include "notify/mail.h"
#include "notify/message.h"
#include "notify/templates.h"
#include "notify/text.h"
#include "notify/webhook.h"

namespace waybill {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

const std::filesystem::path source = WAYBILL_SOURCE_DIR;

TimeMs at(std::string_view text) { return *parse_time(text); }

// An execution of `web` whose Deploy stage failed at its second attempt, and the notice about that.
struct Story {
    Delivery delivery;
    ExecutionView execution;
    Incident incident;

    Story() {
        delivery.id = {4711, 2};
        delivery.topic = DeliveryTopic::pipeline_failed;
        delivery.urgent = true;
        delivery.target = "devops";
        delivery.key = "pipeline_failed:012345678901:eu-west-1:web:e-1:2:devops";
        delivery.pipeline = {"012345678901", "eu-west-1", "web"};
        delivery.execution_id = "e-1";
        delivery.attempt = 2;
        delivery.planned = at("2026-04-19T12:43:00Z");
        execution.key = delivery.pipeline;
        execution.execution_id = "e-1";
        execution.state = State::failed;
        execution.attempt = 2;
        execution.known = true;
        execution.start = at("2026-04-19T12:30:00Z");
        execution.end = at("2026-04-19T12:42:30Z");
        execution.trigger_type = "Webhook";
        execution.commit_id = "0123456789abcdef0123456789abcdef01234567";
        execution.commit_message = "Fix the login\n\nIt was broken.";
        execution.commit_url = "https://git.example.com/c/0123";
        execution.author_name = "김철수";
        execution.author_email = "kim@example.com";
        for (auto [name, state] : {std::pair("Source", State::succeeded), {"Deploy", State::failed}}) {
            StageView s;
            s.name = name;
            s.state = state;
            s.known = true;
            s.attempt = state == State::failed ? 2 : 1;
            s.end = at("2026-04-19T12:42:29Z");
            execution.stages.push_back(s);
        }
        action("Deploy", "Push", 1, "an older failure", at("2026-04-19T12:35:00Z"));
        action("Deploy", "Push", 2, "Deployment d-1 failed", at("2026-04-19T12:42:28Z"));
        execution.actions.back().external_url = "https://console.aws.amazon.com/codedeploy/home?#/deployments/d-1";
        incident.id = "inc-1";
        incident.pipeline = delivery.pipeline;
        incident.opened = at("2026-04-18T08:00:00Z");
        incident.executions = {{"e-0", at("2026-04-18T07:00:00Z"), incident.opened, 1}, {"e-1", execution.start, execution.end, 2}};
    }
    void action(std::string stage, std::string name, int attempt, std::string summary, TimeMs end) {
        ActionView a;
        a.stage = std::move(stage);
        a.name = std::move(name);
        a.action_execution_id = "a-" + std::to_string(execution.actions.size());
        a.attempt = attempt;
        a.state = State::failed;
        a.error_code = "JobFailed";
        a.summary = std::move(summary);
        a.end = end;
        execution.actions.push_back(std::move(a));
    }
    MessageFacts facts(Locale locale = Locale::en, bool with_incident = true) const {
        return {delivery, execution, with_incident ? &incident : nullptr, locale, "https://waybill.example.com"};
    }
    Message message(Locale locale = Locale::en) const { return render_message(facts(locale)); }
};

TEST(Message, AFailedPipelineInEnglish) {
    const auto m = Story().message();
    EXPECT_EQ(m.subject, "[Waybill] FAILED: pipeline web at Deploy/Push");
    EXPECT_EQ(m.body,
              "Pipeline web is now FAILED.\n\n"
              "Failed: stage Deploy, action Push (attempt 2)\n"
              "Why: JobFailed: Deployment d-1 failed\n"
              "Since: 2026-04-19 12:42:28 UTC\n"
              "Failing since 2026-04-18 08:00:00 UTC; executions that failed so far: 2 (inc-1)\n\n"
              "Execution: e-1 (attempt 2)\n"
              "Started: 2026-04-19 12:30:00 UTC, took 12m 30s\n"
              "Trigger: Webhook\n"
              "Commit: 0123456789 Fix the login It was broken.\n"
              "Author: 김철수 <kim@example.com>\n"
              "Account: 012345678901, eu-west-1\n\n"
              "In Waybill: https://waybill.example.com/executions/e-1\n"
              "Where it ran: https://console.aws.amazon.com/codedeploy/home?#/deployments/d-1\n"
              "The change: https://git.example.com/c/0123\n");
}

TEST(Message, AFailedPipelineInKorean) {
    const auto m = Story().message(Locale::ko);
    EXPECT_EQ(m.subject, "파이프라인 상태 변경: FAILED");
    EXPECT_THAT(m.body, StartsWith("파이프라인 web가 FAILED 상태가 되었습니다.\n\n"
                                   "실패한 곳: Deploy 스테이지, Push 액션 (2번째 시도)\n"
                                   "원인: JobFailed: Deployment d-1 failed\n"
                                   "발생 시각: 2026-04-19 12:42:28 UTC\n"));
    for (const char* line : {"커밋: 0123456789 Fix the login It was broken.\n", "작성자: 김철수 <kim@example.com>\n",
                             "Waybill에서 보기: https://waybill.example.com/executions/e-1\n", "실행된 곳: https://console.aws"})
        EXPECT_THAT(m.body, HasSubstr(line));
}

TEST(Message, AFailedStage) {
    Story s;
    s.delivery.topic = DeliveryTopic::stage_failed;
    s.delivery.stage = "Deploy";
    s.execution.state = State::started;
    EXPECT_EQ(s.message().subject, "[Waybill] FAILED: stage Deploy of web at Push");
    EXPECT_THAT(s.message().body, StartsWith("Stage Deploy of pipeline web is now FAILED.\n\nFailed: stage Deploy, action Push (attempt 2)\nWhy: JobFailed: Deployment d-1"));
    EXPECT_THAT(s.message().body, Not(HasSubstr("has gone on")));
    EXPECT_EQ(s.message(Locale::ko).subject, "스테이지 상태 변경: FAILED");
    EXPECT_THAT(s.message(Locale::ko).body, StartsWith("파이프라인 web의 Deploy 스테이지가 FAILED 상태가 되었습니다.\n\n실패한 곳: "));
    s.delivery.attempt = 1;
    EXPECT_THAT(s.message().body, HasSubstr("an older failure")) << "each attempt is told with its own cause";
    EXPECT_THAT(s.message().body, HasSubstr("Since: 2026-04-19 12:35:00 UTC"));
    s.execution.actions.clear();
    EXPECT_EQ(s.message().subject, "[Waybill] FAILED: stage Deploy of web");
    EXPECT_THAT(s.message().body, HasSubstr("Failed: stage Deploy (attempt 1)\n"));
    EXPECT_THAT(s.message().body, Not(HasSubstr("Since:"))) << "the end that is known is the second attempt's";
}

TEST(Message, ASuccessAndARecovery) {
    Story s;
    s.delivery.topic = DeliveryTopic::pipeline_succeeded;
    s.execution.state = State::succeeded;
    EXPECT_EQ(s.message().subject, "[Waybill] SUCCEEDED: pipeline web");
    EXPECT_THAT(s.message().body, StartsWith("Pipeline web is now SUCCEEDED.\n\nExecution: e-1"));
    EXPECT_THAT(s.message().body, Not(HasSubstr("Push")));
    s.incident.resolved_by = "e-1";
    s.incident.resolved = s.execution.end;
    EXPECT_EQ(s.message().subject, "[Waybill] SUCCEEDED: pipeline web has recovered");
    EXPECT_THAT(s.message().body, HasSubstr("It had been failing since 2026-04-18 08:00:00 UTC; executions that failed: 2.\n"));
    EXPECT_EQ(s.message(Locale::ko).subject, "파이프라인 상태 변경: SUCCEEDED");
    EXPECT_THAT(s.message(Locale::ko).body, StartsWith("파이프라인 web가 SUCCEEDED 상태가 되었습니다.\n2026-04-18 08:00:00 UTC부터 이어진 실패에서 복구되었습니다."));
    s.incident.resolved_by = "another";
    EXPECT_THAT(s.message().body, Not(HasSubstr("failing"))) << "another execution ended that incident";
}

TEST(Message, SaysOnlyWhatIsKnown) {
    Story s;
    s.execution = {};
    s.execution.execution_id = "e-1";
    const MessageFacts facts{s.delivery, s.execution};
    EXPECT_EQ(render_message(facts).subject, "[Waybill] FAILED: pipeline web");
    EXPECT_EQ(render_message(facts).body, "Pipeline web is now FAILED.\n\n\nExecution: e-1 (attempt 2)\nAccount: 012345678901, eu-west-1\n");
    s.action("Build", "Compile", 1, "", no_time);
    EXPECT_EQ(render_message(facts).subject, "[Waybill] FAILED: pipeline web at Build/Compile") << "a failed action says where, before its stage does";
    EXPECT_THAT(render_message(facts).body, HasSubstr("Why: JobFailed\n"));
}

TEST(Message, ARetryIsMentionedWhenTheFactsSaySo) {
    Story s;
    auto facts = s.facts();
    facts.retry_due = at("2026-04-19T12:42:40Z");
    EXPECT_THAT(render_message(facts).body, HasSubstr("The stage is retried automatically at 2026-04-19 12:42:40 UTC.\n"));
    EXPECT_THAT(s.message().body, Not(HasSubstr("retried")));
    s.delivery.kind = DeliveryKind::retry;
    s.delivery.topic = DeliveryTopic::action_failed;
    EXPECT_EQ(s.message().subject + s.message().body, "") << "a retry has no message";
}

TEST(Message, SaysWhenTheExecutionHasGoneOn) {
    Story s;
    s.execution.state = State::succeeded;
    s.execution.attempt = 3;
    EXPECT_THAT(s.message().body, HasSubstr("it is now SUCCEEDED.\n"));
    EXPECT_THAT(s.message().subject, HasSubstr("FAILED"));
    EXPECT_THAT(Story().message().body, Not(HasSubstr("gone on")));
}

TEST(Message, NamesFurtherFailedActionsUpToALimit) {
    Story s;
    for (int i = 0; i < 8; ++i) s.action("Deploy", "Other" + std::to_string(i), 2, "", at("2026-04-19T12:42:29Z"));
    EXPECT_THAT(s.message().body, HasSubstr("Failed too: Other0, Other1, Other2, Other3, Other4, …\n"));
    EXPECT_THAT(s.message().body, HasSubstr("action Push")) << "the first to fail is the cause";
}

TEST(Message, NothingBreaksOutOfItsLine) {
    Story s;
    const std::string evil = "x\r\nBcc: victim@example.com\n\nWhy: lies\x1b[31m\xe2\x80\xae\xe2\x80\xa8\xff{state}";
    s.delivery.pipeline.pipeline = s.delivery.pipeline.region = evil;
    s.execution.commit_message = s.execution.author_name = s.execution.trigger_detail = s.execution.branch = s.execution.commit_id = evil;
    s.execution.execution_id = evil;
    s.execution.commit_url = "https://x/\r\nEvil: 1";
    for (auto& a : s.execution.actions) a.name = a.summary = a.error_code = evil;
    for (auto& a : s.execution.actions) a.external_url = "javascript:alert(1)";
    for (Locale locale : {Locale::en, Locale::ko}) {
        const auto plain = Story().message(locale), m = s.message(locale);
        for (const auto& text : {m.subject, m.body}) {
            EXPECT_THAT(text, Not(HasSubstr("\r")));
            EXPECT_THAT(text, Not(HasSubstr("\nBcc")));
            EXPECT_THAT(text, Not(HasSubstr("\nWhy: lies")));
            EXPECT_THAT(text, Not(HasSubstr("\x1b")));
            EXPECT_THAT(text, Not(HasSubstr("\xe2\x80\xae")));
            EXPECT_THAT(text, Not(HasSubstr("javascript:")));
            EXPECT_TRUE(simdjson::validate_utf8(text));
        }
        EXPECT_THAT(m.subject, Not(HasSubstr("\n")));
        // The trigger and branch lines are new, the two links are gone.
        EXPECT_EQ(std::count(m.body.begin(), m.body.end(), '\n'), std::count(plain.body.begin(), plain.body.end(), '\n') + 1 - 2);
        EXPECT_THAT(m.body, HasSubstr("{state}")) << "what a value holds is not a placeholder";
    }
}

TEST(Message, LengthsAreBounded) {
    Story s;
    std::string hangul;
    for (int i = 0; i < 5000; ++i) hangul += "한";
    s.delivery.pipeline.pipeline = hangul;
    s.execution.actions[1].summary = hangul;
    const auto m = s.message();
    EXPECT_EQ(m.subject.substr(m.subject.size() - 3), "…");
    size_t characters = 0;
    for (char c : m.subject) characters += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    EXPECT_EQ(characters, 200u);
    EXPECT_TRUE(simdjson::validate_utf8(m.subject));
    const auto why = m.body.substr(m.body.find("Why: "));
    EXPECT_LE(why.substr(0, why.find('\n')).size(), 2048u + 20);
    EXPECT_LT(m.body.size(), 5000u);
}

TEST(Templates, EveryLanguageHasTheSameNamesAndPlaceholders) {
    auto placeholders = [](std::string_view text) {
        std::set<std::string> out;
        for (size_t i = text.find('{'); i != text.npos; i = text.find('{', i + 1)) out.emplace(text.substr(i, text.find('}', i) - i + 1));
        return out;
    };
    const auto en = notify::templates(Locale::en), ko = notify::templates(Locale::ko);
    ASSERT_EQ(en.size(), ko.size());
    std::set<std::string_view> names;
    for (size_t i = 0; i < en.size(); ++i) {
        EXPECT_EQ(en[i].name, ko[i].name);
        EXPECT_TRUE(names.insert(en[i].name).second) << en[i].name;
        const auto a = placeholders(en[i].text), b = placeholders(ko[i].text);
        // The Korean subjects are fixed words: they may leave a placeholder out, but have no other.
        if (en[i].name.starts_with("subject_")) EXPECT_TRUE(std::includes(a.begin(), a.end(), b.begin(), b.end())) << en[i].name;
        else EXPECT_EQ(a, b) << en[i].name;
    }
}

TEST(Text, OneLine) {
    EXPECT_EQ(notify::one_line("  a \t\r\n b\x7f" "c  ", 10), "a b c");
    EXPECT_EQ(notify::one_line("abcdef", 6), "abcdef");
    EXPECT_EQ(notify::one_line("abcdefg", 6), "abcde…");
    EXPECT_EQ(notify::one_line("abcde  ", 5), "abcde");
    EXPECT_EQ(notify::one_line("한국어입니다", 3), "한국…");
    EXPECT_EQ(notify::one_line("\xc0\x80\xed\xa0\x80z", 10), "\ufffd\ufffd\ufffd\ufffd\ufffdz");
    EXPECT_EQ(notify::one_line("\xf0\x9f\x98\x80", 1), "\xf0\x9f\x98\x80");
    EXPECT_EQ(notify::one_line("\u200b\u2029\ufeff", 10), "");
    EXPECT_EQ(notify::one_line("a", 0), "");
}

// -- mail --

struct MailCase {
    std::string name;
    Message message;
    MailHeaders headers;
};

TEST(Mail, PythonReadsBackWhatWasWritten) {
    const auto directory = std::filesystem::temp_directory_path() / ("waybill-mail-" + std::to_string(std::random_device()()));
    std::filesystem::create_directories(directory);
    Story s;
    MailHeaders headers{.from = "waybill@example.com", .to = {"a@example.com", "b@example.org"}, .date = at("2026-04-05T02:03:04Z"), .urgent = true,
                        .delivery = s.delivery.id, .key = s.delivery.key};
    std::vector<MailCase> cases{{"english", s.message(), headers}, {"korean", s.message(Locale::ko), headers}};
    headers.urgent = false;
    headers.to = {"one@localhost"};
    // A subject of every length around the fold, in characters of one to four bytes.
    for (const char* unit : {"x", "é", "한", "😀", "a b한"})
        for (int n : {0, 1, 14, 15, 16, 17, 44, 45, 46, 59, 60, 67, 68, 69, 70, 71, 72, 199, 200}) {
            Message m;
            for (int i = 0; i < n; ++i) m.subject += unit;
            m.subject = notify::one_line(m.subject, 200);
            m.body = m.subject + "\n";
            cases.push_back({"fold" + std::to_string(cases.size()), m, headers});
        }
    headers.key = "pipeline_failed:파이프라인 with spaces=?UTF-8?B?eA==?=";
    cases.push_back({"odd", {"=?UTF-8?B?eA==?= is not a word", ".\n..\nFrom me\n--\ntrailing space \n=3D\n\ttab\t\n" + std::string(300, 'y') + ".\n"}, headers});
    headers.key = std::string(700, 'k');
    cases.push_back({"long", {std::string(200, 's'), std::string(10'000, 'b') + "\n"}, headers});
    for (const auto& c : cases) {
        const auto mail = render_mail(c.message, c.headers);
        std::ofstream(directory / (c.name + ".eml"), std::ios::binary) << mail;
        std::string json;
        JsonWriter w(json);
        w.begin_object().key("from").text(c.headers.from).key("to").begin_array();
        std::string to;
        for (const auto& a : c.headers.to) {
            w.text(a);
            to.append(to.empty() ? "" : ", ").append(a);
        }
        w.end_array().key("date").number(c.headers.date / 1000).key("body").text(c.message.body).key("headers").begin_object();
        w.key("From").text(c.headers.from).key("To").text(to).key("Date").text("Sun, 05 Apr 2026 02:03:04 +0000");
        w.key("Message-ID").text(message_id(c.headers.key, c.headers.from)).key("Subject").text(c.message.subject);
        if (c.headers.urgent) w.key("X-Priority").text("1 (Highest)").key("Importance").text("high");
        w.key("Auto-Submitted").text("auto-generated").key("X-Waybill-Delivery").text("d-4711-2").key("X-Waybill-Key").text(c.headers.key);
        w.key("MIME-Version").text("1.0").key("Content-Type").text("text/plain; charset=\"utf-8\"");
        w.key("Content-Transfer-Encoding").text(mail.contains("Content-Transfer-Encoding: base64") ? "base64" : "quoted-printable");
        w.end_object().end_object();
        std::ofstream(directory / (c.name + ".json"), std::ios::binary) << json;
    }
    const auto command = "python3 " + (source / "tests/mail_parse.py").string() + " " + directory.string();
    EXPECT_EQ(std::system(command.c_str()), 0);
    std::filesystem::remove_all(directory);
}

TEST(Mail, KeepsTheKoreanSubjectWhole) {
    const auto mail = render_mail(Story().message(Locale::ko), {.from = "w@h", .to = {"a@h"}});
    EXPECT_THAT(mail, HasSubstr("\r\nSubject: =?UTF-8?B?7YyM7J207ZSE65287J24IOyDge2DnCDrs4Dqsr06IEZBSUxFRA==?=\r\n"));
}

TEST(Mail, TheMessageIdIsTheKeysAndTheDomains) {
    const auto id = message_id("k", "waybill@example.com");
    EXPECT_EQ(id, message_id("k", "other@example.com"));
    EXPECT_NE(id, message_id("l", "waybill@example.com"));
    EXPECT_TRUE(id.starts_with("<waybill.") && id.ends_with("@example.com>")) << id;
    EXPECT_TRUE(message_id("k", "").ends_with("@localhost>"));
    EXPECT_EQ(message_id("k>\r\nBcc: x", "w@h\r\nBcc: y").find_first_of("\r\n "), std::string::npos);
}

TEST(Mail, NoFieldAddsAHeader) {
    const std::string evil = "x\r\nBcc: victim@example.com\r\n\r\nbody\n.\n";
    MailHeaders headers{.from = "a@b" + evil, .to = {"c@d" + evil, "e@f, victim@example.com"}, .date = 0, .urgent = true, .key = evil};
    const auto mail = render_mail({evil, "text\n"}, headers);
    const auto head = mail.substr(0, mail.find("\r\n\r\n"));
    EXPECT_THAT(head, Not(HasSubstr("\nBcc")));
    EXPECT_THAT(mail, StartsWith("From: a@bx\r\nTo: c@dx,\r\n e@f\r\nDate:")) << "an address ends where it stops being one";
    EXPECT_THAT(mail, HasSubstr("\r\nDate: Thu, 01 Jan 1970 00:00:00 +0000\r\n"));
    EXPECT_EQ(std::count(head.begin(), head.end(), '\n'), 13) << head;  // 13 headers, To on two lines
    EXPECT_THAT(mail, testing::EndsWith("\r\n\r\ntext\r\n"));
}

// -- webhook --

simdjson::dom::element parsed(simdjson::dom::parser& parser, const std::string& json) {
    simdjson::dom::element out;
    EXPECT_EQ(parser.parse(json).get(out), simdjson::SUCCESS) << json;
    return out;
}

TEST(Webhook, CarriesEverything) {
    Story s;
    const auto request = render_webhook(s.facts(), s.message(), Secret("0123456789abcdef"), at("2026-04-19T12:43:05.999Z"), "1.2.3");
    simdjson::dom::parser parser;
    auto json = parsed(parser, request.body);
    auto text = [&](const char* pointer) { return std::string(json.at_pointer(pointer).get_string().value()); };
    EXPECT_EQ(text("/deliveryId"), "d-4711-2");
    EXPECT_EQ(text("/key"), s.delivery.key);
    EXPECT_EQ(text("/topic"), "pipeline_failed");
    EXPECT_EQ(text("/status"), "Failed");
    EXPECT_EQ(text("/pipeline"), "web");
    EXPECT_EQ(text("/executionId"), "e-1");
    EXPECT_TRUE(json.at_pointer("/stageName").is_null());
    EXPECT_EQ(json.at_pointer("/attempt").get_int64().value(), 2);
    EXPECT_EQ(text("/subject"), s.message().subject);
    EXPECT_EQ(text("/message"), s.message().body);
    EXPECT_EQ(text("/incident/incidentId"), "inc-1");
    EXPECT_EQ(text("/execution/stages/1/actions/1/externalExecutionSummary"), "Deployment d-1 failed");
    EXPECT_EQ(text("/links/console"), "https://waybill.example.com/executions/e-1");
    EXPECT_EQ(text("/links/commit"), "https://git.example.com/c/0123");
    EXPECT_EQ(text("/time"), "2026-04-19T12:43:00.000Z");
    const auto without = render_webhook(s.facts(Locale::en, false), s.message(), Secret(), 0, "1.2.3");
    EXPECT_TRUE(parsed(parser, without.body).at_pointer("/incident").is_null());
    EXPECT_EQ(without.headers.back(), (std::pair<std::string, std::string>("Waybill-Timestamp", "0"))) << "without a secret there is no signature";

    std::vector<std::pair<std::string, std::string>> expected{{"Content-Type", "application/json; charset=utf-8"},
                                                              {"User-Agent", "Waybill/1.2.3"},
                                                              {"Waybill-Delivery", "d-4711-2"},
                                                              {"Idempotency-Key", s.delivery.key},
                                                              {"Waybill-Timestamp", "1776602585"}};
    EXPECT_EQ(request.headers.size(), expected.size() + 1);
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), request.headers.begin()));
}

TEST(Webhook, TheSignatureIsHmacSha256) {
    // The value is that of Python's hmac module.
    EXPECT_EQ(webhook_signature(Secret("key"), "1776602585", "{}"), "v1=b7a770d4388b84ef4abf01de683de5abbdca9fb425a550194a110f6c0cf9ab4d");
}

TEST(Webhook, AKeyCannotAddAHeader) {
    Story s;
    s.delivery.key = "a\r\nX: 1 %한";
    const auto request = render_webhook(s.facts(), s.message(), Secret(), 0, "1");
    EXPECT_EQ(request.headers[3].second, "a%0D%0AX:%201%20%25%ED%95%9C");
    simdjson::dom::parser parser;
    EXPECT_EQ(std::string(parsed(parser, request.body).at_pointer("/key").get_string().value()), s.delivery.key);
}

TEST(Webhook, TheDocumentsExamplesVerifyIt) {
    const auto directory = std::filesystem::temp_directory_path() / ("waybill-webhook-" + std::to_string(std::random_device()()));
    std::filesystem::create_directories(directory);
    Story s;
    const std::string secret = "0123456789abcdef-비밀";
    const auto request = render_webhook(s.facts(Locale::ko), s.message(Locale::ko), Secret(secret), at("2026-04-19T12:43:05Z"), "1");
    std::string headers;
    JsonWriter json(headers);
    json.begin_object();
    for (const auto& [name, value] : request.headers) json.key(name).text(value);
    json.end_object();
    std::ofstream(directory / "body.json", std::ios::binary) << request.body;
    std::ofstream(directory / "headers.json", std::ios::binary) << headers;
    std::ofstream(directory / "secret", std::ios::binary) << secret;
    const auto command = "python3 " + (source / "tests/webhook_examples.py").string() + " " + (source / "docs/webhooks.md").string() + " " + directory.string();
    EXPECT_EQ(std::system(command.c_str()), 0);
    std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace waybill
