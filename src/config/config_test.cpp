#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "base/hash.h"
#include "base/json_writer.h"
#include "config/glob.h"
#include "config/keys.h"
#include "config/load.h"

namespace waybill {
namespace {

using testing::HasSubstr;
using testing::Not;

SecretSources fakes(std::map<std::string, std::string> variables = {}, std::map<std::string, std::string> files = {}) {
    return {[variables](const std::string& name) -> std::optional<std::string> {
                auto it = variables.find(name);
                return it == variables.end() ? std::nullopt : std::optional(it->second);
            },
            [files](const std::string& path) -> Result<std::string> {
                auto it = files.find(path);
                if (it == files.end()) return invalid("the secret's file " + path + " cannot be opened: No such file or directory");
                return it->second;
            }};
}

using Flags = std::vector<std::pair<std::string, std::string>>;

Loaded must(std::string_view yaml, const Flags& flags = {}, const SecretSources& secrets = fakes()) {
    auto loaded = load_config(yaml, "waybill.yaml", flags, secrets);
    if (!loaded) {
        ADD_FAILURE() << loaded.error().message;
        return {};
    }
    return std::move(loaded).value();
}
std::string problems(std::string_view yaml, const Flags& flags = {}, const SecretSources& secrets = fakes()) {
    auto loaded = load_config(yaml, "waybill.yaml", flags, secrets);
    if (loaded) {
        ADD_FAILURE() << "it loaded: " << yaml;
        return {};
    }
    EXPECT_EQ(loaded.error().kind, ErrorKind::invalid);
    return loaded.error().message;
}
std::string read(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    std::stringstream out;
    out << in.rdbuf();
    return out.str();
}
const std::filesystem::path source = WAYBILL_SOURCE_DIR;

TEST(Load, NothingWrittenGivesTheDefaults) {
    for (std::string_view yaml : {"", "# nothing\n", "---\n", "policy:\ntargets:\n"}) {
        auto loaded = must(yaml);
        EXPECT_EQ(loaded.config.listen, "127.0.0.1:4566");
        ASSERT_EQ(loaded.config.targets.size(), 1u);
        EXPECT_EQ(loaded.config.targets[0].name, "devops");
        EXPECT_EQ(loaded.config.targets[0].type, TargetType::mail);
        EXPECT_EQ(loaded.config.targets[0].to, std::vector<std::string>{"devops@localhost"});
        EXPECT_EQ(loaded.config.policy.team, std::vector<std::string>{"devops"});
        EXPECT_TRUE(loaded.warnings.empty()) << loaded.warnings[0];
    }
}

TEST(Load, ReadsEveryKindOfKey) {
    auto c = must(read(source / "tests/data/full.yaml"), {},
                  fakes({{"HOOK_SECRET", "0123456789abcdef!"}, {"AUTH", "Bearer x"}}, {{"/run/mail", "hunter2\n"}, {"/run/aws", "qk\n"}, {"/run/token", "tttttttttttttttttttt\r\n"}})).config;
    EXPECT_EQ(c.listen, "0.0.0.0:8080");
    EXPECT_EQ(c.account, "012345678901");
    EXPECT_EQ(c.locale, Locale::ko);
    EXPECT_EQ(c.console_url, "https://waybill.example.com");
    EXPECT_EQ(c.threads, 3u);
    EXPECT_TRUE(c.allow_aws_sources);
    EXPECT_EQ(c.log.segment_bytes, 16u << 20);
    EXPECT_FALSE(c.log.compress);
    EXPECT_EQ(c.log.retention_age_ms, 90 * 86'400'000ll);
    EXPECT_EQ(c.tracking.linger_ms, 60'000);
    EXPECT_EQ(c.policy.team, (std::vector<std::string>{"devops", "hook"}));
    EXPECT_EQ(c.policy.notify_success, NotifySuccess::recovery);
    EXPECT_FALSE(c.policy.retry);
    EXPECT_EQ(c.policy.retry_wait_ms, 250);
    EXPECT_EQ(c.policy.retry_max, 0);
    ASSERT_EQ(c.policy.owners.size(), 2u);
    EXPECT_EQ(c.policy.owners[0].pipeline, "web-*");
    EXPECT_EQ(c.policy.owners[0].stage, "*");
    EXPECT_EQ(c.policy.owners[0].line, 26);
    EXPECT_EQ(c.policy.owners[1].line, 28);
    ASSERT_EQ(c.targets.size(), 3u);
    EXPECT_EQ(c.targets[0].locale, Locale::ko) << "a target takes the root's locale, wherever that stands";
    EXPECT_EQ(c.targets[1].locale, Locale::en);
    EXPECT_EQ(c.targets[1].secret.reveal(), "0123456789abcdef!");
    EXPECT_EQ(c.targets[1].headers, (std::vector<std::pair<std::string, std::string>>{{"Authorization", "Bearer x"}}));
    EXPECT_EQ(c.targets[1].timeout_ms, 2500);
    ASSERT_EQ(c.codepipeline.size(), 2u);
    EXPECT_EQ(c.codepipeline[0].url, "http://127.0.0.1:5000");
    EXPECT_EQ(c.codepipeline[0].secret_access_key.reveal(), "sk");
    EXPECT_EQ(c.codepipeline[1].account, "*");
    ASSERT_EQ(c.aws.size(), 2u);
    EXPECT_EQ(c.aws[0].service, "s?s");
    EXPECT_EQ(c.aws[0].account, "123456789012");
    EXPECT_EQ(c.aws[0].region, "eu-*");
    EXPECT_EQ(c.aws[0].url, "http://127.0.0.1:9324/sqs");
    EXPECT_EQ(c.aws[0].access_key_id, "AKQUEUE");
    EXPECT_EQ(c.aws[0].secret_access_key.reveal(), "qk");
    EXPECT_EQ(c.aws[0].session_token.reveal(), "st");
    EXPECT_EQ(c.aws[0].timeout_ms, 250);
    EXPECT_EQ(c.aws[1].service, "lambda");
    EXPECT_EQ(c.aws[1].account + c.aws[1].region + c.aws[1].url, "**");
    EXPECT_EQ(c.event_bus.replay_events_per_second, 500u);
    EXPECT_EQ(c.event_bus.delivery_concurrency, 8u);
    EXPECT_EQ(c.event_bus.buses, 1u);
    EXPECT_EQ(c.event_bus.rules_a_bus, 2u);
    EXPECT_EQ(c.event_bus.targets_a_rule, 3u);
    EXPECT_EQ(c.event_bus.pattern_characters, 8192u);
    EXPECT_EQ(c.event_bus.wildcard_rules_a_bus, 4u);
    EXPECT_EQ(c.event_bus.archives, 5u);
    EXPECT_EQ(c.event_bus.replays, 6u);
    EXPECT_EQ(c.event_bus.connections, 7u);
    EXPECT_EQ(c.event_bus.destinations, 8u);
    EXPECT_EQ(c.event_bus.tags, 9u);
    EXPECT_EQ(c.mail.relay, "smtp://mail.example.com:587");
    EXPECT_EQ(c.mail.password.reveal(), "hunter2") << "a secret's file ends with a line break that is not part of it";
    EXPECT_EQ(c.delivery.allow_addresses, (std::vector<std::string>{"10.0.0.0/8", "fd00::/8"}));
    ASSERT_EQ(c.security.credentials.size(), 1u);
    EXPECT_EQ(c.security.credentials[0].access_key_id, "AKIDEXAMPLE");
    ASSERT_EQ(c.security.tokens.size(), 1u);
    EXPECT_EQ(c.security.tokens[0].reveal(), "tttttttttttttttttttt");
}

TEST(Load, AllProblemsAreReportedAtOnceInTheOrderOfTheFile) {
    EXPECT_EQ(problems("listen: 4566\npolicy:\n  notify_succes: never\n  retry: {max: many}\nthreads: -1\n", {{"region", "US"}}),
              "waybill.yaml:1:9: listen: \"4566\" is not HOST:PORT; write for example 127.0.0.1:4566, [::1]:4566 or 127.0.0.1:0 for any free port\n"
              "waybill.yaml:3:3: policy.notify_succes: is not a key; did you mean policy.notify_success?\n"
              "waybill.yaml:4:16: policy.retry.max: \"many\" is not a number from 0 to 100\n"
              "waybill.yaml:5:10: threads: \"-1\" is not a number from 0 to 256\n"
              "--region: \"US\" is not a region; write for example us-east-1");
}

TEST(Load, AnUnknownKeySuggestsTheNearestOne) {
    EXPECT_THAT(problems("notify_success: never\n"), HasSubstr("did you mean policy.notify_success?"));
    EXPECT_THAT(problems("polcy: {}\n"), HasSubstr("did you mean policy?"));
    EXPECT_THAT(problems("target: {}\n"), HasSubstr("did you mean targets?"));
    EXPECT_THAT(problems("targets: {a: {type: log, adress: x}}\npolicy: {team: [a]}"), HasSubstr("targets.a.adress: is not a key"));
    EXPECT_THAT(problems("targets: {a: {type: log, concurency: 3}}\npolicy: {team: [a]}"), HasSubstr("did you mean targets.NAME.concurrency?"));
    EXPECT_THAT(problems("zzzzzzzzzz: 1\n"), HasSubstr("is not a key; docs/configuration.md lists all"));
    EXPECT_THAT(problems("", {{"notify_success", "never"}}), HasSubstr("--notify_success: is not a key; did you mean policy.notify_success?"));
}

TEST(Load, RefusesWhatIsWrong) {
    const std::pair<const char*, const char*> cases[] = {
        {"listen: localhost", "is not HOST:PORT"},
        {"listen: 127.0.0.1:70000", "is not HOST:PORT"},
        {"listen: '[::1:80'", "is not HOST:PORT"},
        {"listen: 300.0.0.1:80", "is not HOST:PORT"},
        {"listen: [a]", "is a list; write text"},
        {"listen:", "listen: has no value"},
        {"data: ''", "is empty"},
        {"account: 12345", "write its 12 digits"},
        {"locale: de", "\"de\" is none of en, ko"},
        {"console_url: waybill.example.com", "is not a URL"},
        {"console_url: http://u:p@h", "holds a user or password"},
        {"events: {allow_aws_sources: yes}", "\"yes\" is neither true nor false"},
        {"log: {segment_bytes: 64MB}", "is not a size from 4MiB to 1GiB"},
        {"log: {reserve_bytes: 64MiB}", "is not less than log.segment_bytes"},
        {"log: {retention_bytes: 64MiB}", "is less than two log.segment_bytes"},
        {"tracking: {linger: 10 minutes}", "is not a duration from 0s to 7d"},
        {"policy: {wait_for_cause: 11m}", "is not a duration from 0s to 10m"},
        {"policy: {team: devops}", "is one text, and a list is wanted; write [\"devops\"]"},
        {"policy: {team: [nobody]}", "policy.team: \"nobody\" is not a target; defined are devops"},
        {"policy: {success_targets: [nobody]}", "policy.success_targets: \"nobody\" is not a target"},
        {"policy: {owners: [{pipeline: a, targets: [nobody]}]}", "waybill.yaml:1:42: policy.owners[0].targets: \"nobody\" is not a target"},
        {"policy: {owners: [{pipeline: a}]}", "policy.owners[0].targets: is missing"},
        {"policy: {owners: [{pipeline: 'a[bc]', targets: [devops]}]}", "policy.owners[0].pipeline: \"a[bc]\" can never match"},
        {"policy: {owners: {pipeline: a}}", "policy.owners: must be a list"},
        {"policy: {owners: [x]}", "policy.owners[0]: must be a map"},
        {"policy: x", "policy: must be a map"},
        {"targets: {a: {type: log}}", "policy.team: is missing"},
        {"targets: {}", "policy.team: is missing"},
        {"targets: {devops: }", "targets.devops: is empty"},
        {"targets: {devops: {}}", "targets.devops.type: is missing; write mail, webhook, log"},
        {"targets: {devops: {type: pager}}", "\"pager\" is none of mail, webhook, log"},
        {"targets: {devops: {type: mail}}", "targets.devops.to: is missing"},
        {"targets: {devops: {type: mail, to: []}}", "targets.devops.to: is missing"},
        {"targets: {devops: {type: mail, to: [devops]}}", "it has no @"},
        {"targets: {devops: {type: mail, to: ['Dev <d@e>']}}", "is not a mail address"},
        {"targets: {devops: {type: mail, to: [\"a@b\\r\\nBcc: c@d\"]}}", "has control characters"},
        {"targets: {devops: {type: mail, to: [a@b], url: 'http://h'}}", "targets.devops.url: is for targets of type webhook"},
        {"targets: {devops: {type: log, to: [a@b]}}", "targets.devops.to: is for targets of type mail"},
        {"targets: {devops: {type: webhook}}", "targets.devops.url: is missing"},
        {"targets: {devops: {type: webhook, url: 'ftp://h'}}", "targets.devops.url: its value is not a URL"},
        {"targets: {devops: {type: webhook, url: 'http://h h/'}}", "has no valid HOST[:PORT]"},
        {"targets: {devops: {type: webhook, url: 'http://h/a b'}}", "has characters that a URL may not have"},
        {"targets: {devops: {type: webhook, url: 'http://h', headers: {Host: x}}}", "Host is set by Waybill"},
        {"targets: {devops: {type: webhook, url: 'http://h', headers: {'a b': x}}}", "is not a header's name"},
        {"targets: {devops: {type: webhook, url: 'http://h', headers: {a: \"x\\r\\ny\"}}}", "has control characters"},
        {"targets: {'a.b': {type: log}}", "\"a.b\" is not a name"},
        {"codepipeline: [{account: 12a}]", "can never match an account"},
        {"codepipeline: [{access_key_id: AKID}]", "go together"},
        {"codepipeline: [{url: 'codepipeline'}]", "codepipeline[0].url: \"codepipeline\" is not a URL"},
        {"codepipeline: [{service: sqs}]", "codepipeline[0].service: is not a key; did you mean aws[].service?"},
        {"aws: [{service: SQS}]", "aws[0].service: \"SQS\" can never match a service"},
        {"aws: [{service: ''}]", "can never match a service"},
        {"aws: [{account: 12a}]", "aws[0].account: \"12a\" can never match an account"},
        {"aws: [{region: eu_west}]", "aws[0].region: \"eu_west\" can never match a region"},
        {"aws: [{}, {secret_access_key: sk}]", "aws[1]: access_key_id and secret_access_key go together"},
        {"aws: [{access_key_id: AKID}]", "aws[0]: access_key_id and secret_access_key go together"},
        {"aws: [{access_key_id: 'A-', secret_access_key: sk}]", "is not an access key id"},
        {"aws: [{url: 'sqs.example.com'}]", "aws[0].url: \"sqs.example.com\" is not a URL"},
        {"aws: [{timeout: 10ms}]", "aws[0].timeout: \"10ms\" is not a duration from 100ms to 5m"},
        {"aws: {service: sqs}", "aws: must be a list"},
        {"event_bus: {limits: {targets_a_rule: 0}}", "event_bus.limits.targets_a_rule: \"0\" is not a number from 1 to 100"},
        {"event_bus: {limits: {rules_a_bus: 4KiB}}", "\"4KiB\" is not a number from 0 to 100000"},
        {"event_bus: {delivery_concurrency: -1}", "is not a number from 1 to 256"},
        {"event_bus: {rules_a_bus: 5}", "is not a key; did you mean event_bus.limits.rules_a_bus?"},
        {"mail: {relay: 'http://h:25'}", "mail.relay: \"http://h:25\" is not a URL that can be used here; write smtp://"},
        {"mail: {user: u}", "mail.user: has no password"},
        {"mail: {from: waybill}", "it has no @"},
        {"delivery: {backoff_first: 1h}", "delivery.backoff_max: 10m is less than delivery.backoff_first, 1h"},
        {"delivery: {allow_addresses: [10.0.0.0]}", "is not a CIDR"},
        {"delivery: {allow_addresses: [10.0.0.0/33]}", "is not a CIDR"},
        {"security: {credentials: [{access_key_id: AKID}]}", "security.credentials[0].secret_access_key: is missing"},
        {"security: {credentials: [{access_key_id: AKID, secret_access_key: a}, {access_key_id: AKID, secret_access_key: b}]}", "AKID is listed twice"},
        {"security: {tokens: ['']}", "security.tokens: has an empty entry"},
        {"security: {allowed_hosts: ['https://h']}", "is not a host name"},
        {"- a\n- b", "a map of keys must stand here"},
        {"data: a\ndata: b", "waybill.yaml:2:1: data: stands here a second time, first in line 1"},
        {"data: &a x\nregion: *a", "has an anchor"},
        {"data: *a", "waybill.yaml:1:7: is not YAML: the referenced anchor is not defined"},
        {"? [a]\n: b", "stands where a key must be"},
        {"data: a\n---\ndata: b", "a second document begins"},
        {"data: [", "is not YAML"},
        {"data: 'a", "is not YAML"},
        {"data: \"\xff\"", "is not UTF-8"},
    };
    for (auto [yaml, text] : cases) EXPECT_THAT(problems(yaml), HasSubstr(text)) << yaml;
}

TEST(Load, BoundsItsInput) {
    EXPECT_THAT(problems(std::string(limits::config_bytes + 1, '#')), HasSubstr("is larger than 1048576 bytes"));
    EXPECT_THAT(problems("data: " + std::string(100, '[') + std::string(100, ']')), HasSubstr("is nested deeper than 16 levels"));
    EXPECT_THAT(problems("data: " + std::string(100'000, '[')), HasSubstr("is nested too deeply to be read as YAML"));
    EXPECT_THAT(problems("data: " + std::string(5000, 'x')), HasSubstr("is longer than 4096 bytes"));
    std::string bomb = "a: &a [x,x,x,x]\n";
    for (char c = 'b'; c < 'z'; ++c) bomb += std::string(1, c) + ": &" + c + " [*" + char(c - 1) + ",*" + char(c - 1) + "]\n";
    EXPECT_THAT(problems(bomb), HasSubstr("is an alias"));
    std::string targets = "policy: {team: [a0]}\ntargets:\n";
    for (int i = 0; i < 1001; ++i) targets += "  a" + std::to_string(i) + ": {type: log}\n";
    EXPECT_EQ(problems(targets), "waybill.yaml:1:16: policy.team: \"a0\" is not a target; none is defined\nwaybill.yaml:3:3: targets: has 1001 targets; at most 1000 may be");
    std::string many;
    for (int i = 0; i < 200; ++i) many += "k" + std::to_string(i) + "zzzzzzzz: 1\n";
    EXPECT_THAT(problems(many), testing::EndsWith("\nand 100 more"));
}

TEST(Load, SecretsComeFromTheEnvironmentAndFromFilesAndAreNeverQuoted) {
    EXPECT_EQ(must("mail: {user: u, password: '${PW}'}", {}, fakes({{"PW", "p"}})).config.mail.password.reveal(), "p");
    EXPECT_EQ(must("targets: {devops: {type: webhook, url: '${URL}'}}", {}, fakes({{"URL", "https://h/s3cret"}})).config.targets[0].url, "https://h/s3cret");
    EXPECT_THAT(problems("mail: {user: u, password: '${PW}'}"), HasSubstr("waybill.yaml:1:27: mail.password: the environment variable PW is not set"));
    EXPECT_THAT(problems("mail: {user: u, password: '${PW}'}"), Not(HasSubstr("has no password")));
    EXPECT_THAT(problems("mail: {user: u, password: '${PW}'}", {}, fakes({{"PW", ""}})), HasSubstr("PW is empty"));
    EXPECT_THAT(problems("mail: {user: u, password: '${PW'}"), HasSubstr("is not ${NAME}"));
    EXPECT_THAT(problems("mail: {user: u, password: 'file:/nowhere'}"), HasSubstr("/nowhere cannot be opened"));
    EXPECT_THAT(problems("mail: {user: u, password: 'file:/two'}", {}, fakes({}, {{"/two", "a\nb\n"}})), HasSubstr("is not one line"));
    for (const char* yaml : {"targets: {devops: {type: webhook, url: '${S}'}}", "mail: {password: '${S}', user: 7, x: 1}", "security: {tokens: ['${S}'], x: 1}",
                             "security: {tokens: s3cret}", "security: {tokens: [\"s3cret\\n\"]}"})
        EXPECT_THAT(problems(yaml, {}, fakes({{"S", "s3cret"}})), Not(HasSubstr("s3cret"))) << yaml;
}

TEST(Load, ReadsTheProcessEnvironmentAndTheDisk) {
    setenv("WAYBILL_CONFIG_TEST", "from the environment", 1);
    EXPECT_EQ(process_secret_sources().environment("WAYBILL_CONFIG_TEST"), "from the environment");
    EXPECT_EQ(process_secret_sources().environment("WAYBILL_CONFIG_TEST_UNSET"), std::nullopt);
    EXPECT_EQ(*process_secret_sources().file(source / "tests/data/full.yaml"), read(source / "tests/data/full.yaml"));
    EXPECT_THAT(process_secret_sources().file("/nowhere/at/all").error().message, HasSubstr("cannot be opened: No such file"));
    EXPECT_THAT(process_secret_sources().file("/dev/zero").error().message, HasSubstr("is larger than"));
    EXPECT_FALSE(process_secret_sources().file("/").ok());
}

TEST(Load, FlagsWinOverTheFile) {
    auto c = must("policy: {notify_success: always}\ntargets: {devops: {type: mail, to: [a@b]}}\n",
                  {{"policy.notify_success", "never"}, {"policy.retry.max", "1"}, {"targets.devops.to", "c@d,e@f"}, {"threads", "1"}, {"threads", "2"},
                   {"targets.extra.type", "log"}, {"policy.team", "devops,extra"}}).config;
    EXPECT_EQ(c.policy.notify_success, NotifySuccess::never);
    EXPECT_EQ(c.policy.retry_max, 1);
    EXPECT_EQ(c.threads, 2u);
    ASSERT_EQ(c.targets.size(), 2u);
    EXPECT_EQ(c.targets[0].to, (std::vector<std::string>{"c@d", "e@f"}));
    EXPECT_EQ(c.targets[1].type, TargetType::log);
    EXPECT_TRUE(must("", {{"policy.success_targets", ""}}).config.policy.success_targets.empty());
    EXPECT_EQ(must("threads: many", {{"threads", "2"}}).config.threads, 2u) << "what a flag replaces need not be right";
    EXPECT_THAT(problems("", {{"policy", "x"}}), HasSubstr("--policy: is a section"));
    EXPECT_THAT(problems("", {{"policy.owners", "x"}}), HasSubstr("is a list, which only the file can hold"));
    EXPECT_THAT(problems("", {{"codepipeline[].url", "x"}}), HasSubstr("can only be written in the file"));
    EXPECT_THAT(problems("", {{"targets.devops.url", "http://h"}}), HasSubstr("targets.devops.type: is missing"));
    EXPECT_THAT(problems("", {{"", "x"}}), HasSubstr("is not a key"));
    EXPECT_THAT(problems("policy: 3", {{"policy.retry.max", "1"}}), HasSubstr("policy: must be a map"));
}

TEST(Load, AnAddressThatOthersReachNeedsCredentialsAndTokens) {
    const std::string credentials = "credentials: [{access_key_id: AKID, secret_access_key: s}]", tokens = "tokens: [0123456789abcdef]";
    for (const char* listen : {"0.0.0.0:80", "'[::]:80'", "10.1.2.3:80", "example.com:80", "127.example.com:80"}) {
        const auto at = "console_url: http://h\nlisten: " + std::string(listen) + "\n";
        EXPECT_THAT(problems(at), HasSubstr("add security.credentials (access_key_id and secret_access_key) and security.tokens, or listen on 127.0.0.1"));
        EXPECT_THAT(problems(at + "security: {" + tokens + "}"), HasSubstr("add security.credentials (access_key_id and secret_access_key), or"));
        EXPECT_THAT(problems(at + "security: {" + credentials + "}"), HasSubstr("add security.tokens, or"));
        EXPECT_TRUE(must(at + "security: {" + credentials + ", " + tokens + "}").warnings.empty());
    }
    for (const char* listen : {"127.0.0.1:0", "127.9.9.9:80", "'[::1]:80'", "localhost:80"}) EXPECT_EQ(must("listen: " + std::string(listen)).warnings.size(), 0u);
}

TEST(Load, WarnsOfWhatCannotWork) {
    auto warned = [](std::string_view yaml) {
        auto loaded = must(yaml);
        EXPECT_EQ(loaded.warnings.size(), 1u) << yaml;
        return loaded.warnings.empty() ? "" : loaded.warnings[0];
    };
    EXPECT_EQ(warned("policy:\n  owners:\n    - {pipeline: 'web-*', targets: [devops]}\n    - {pipeline: 'web-a*', stage: Build, targets: [devops]}\n"),
              "waybill.yaml:4:7: policy.owners[1]: is never reached: the rule in line 3 matches everything that it does; move this one up, or remove it");
    EXPECT_TRUE(must("policy: {owners: [{pipeline: 'web-a*', stage: Build, targets: [devops]}, {pipeline: 'web-*', targets: [devops]}]}").warnings.empty());
    EXPECT_THAT(warned("targets: {devops: {type: log}, other: {type: log}}"), HasSubstr("targets.other: is told of nothing"));
    EXPECT_THAT(warned("security: {tokens: [short], credentials: [{access_key_id: AKIA, secret_access_key: aaaaaaaaaaaaaaaaaaaaaaa}]}"), HasSubstr("fewer than 16 characters"));
    EXPECT_THAT(warned("security: {tokens: [aaaaaaaaaaaaaaaaaaaaaaa]}"), HasSubstr("the AWS API takes requests with any signature or none"));
    EXPECT_THAT(warned("security: {credentials: [{access_key_id: AKIA, secret_access_key: aaaaaaaaaaaaaaaaaaaaaaa}]}"), HasSubstr("the native API and the console are open"));
    // Link-local addresses are blocked whatever else is, so letting some through is never without effect.
    EXPECT_TRUE(must("delivery: {allow_addresses: [169.254.10.0/24]}").warnings.empty());
    EXPECT_THAT(warned("targets: {devops: {type: webhook, url: 'http://h', secret: short}}"), HasSubstr("fewer than 16 characters"));
    EXPECT_THAT(warned("policy: {team: [devops, devops]}"), HasSubstr("listed twice"));
    EXPECT_THAT(must("policy: {team: []}").warnings[0], HasSubstr("nobody is told"));
}

TEST(Load, ThePolicysVersionIsOfItsMeaning) {
    const auto a = must("policy: {team: [devops], notify_success: always}").config.policy;
    EXPECT_EQ(a.version, must("data: elsewhere\npolicy:\n  notify_success: 'always'\n").config.policy.version) << "how it is written does not matter";
    EXPECT_EQ(a.version, hash64(a.text));
    EXPECT_NE(a.version, must("policy: {notify_success: never}").config.policy.version);
    EXPECT_NE(a.version, must("policy: {retry: {max: 3}}").config.policy.version);
    EXPECT_NE(a.version, must("policy: {owners: [{targets: [devops]}]}").config.policy.version);
    EXPECT_NE(a.version, must("targets: {devops: {type: log}, b: {type: log}}").config.policy.version);
    EXPECT_EQ(a.version, must("targets: {devops: {type: webhook, url: 'http://h', secret: aaaaaaaaaaaaaaaaaaaaaaa}}").config.policy.version);
    EXPECT_EQ(must("policy: {owners: [{pipeline: 'a*', targets: [devops]}]}").config.policy.text,
              "policy:\n  team: [devops]\n  notify_success: always\n  success_targets: []\n  wait_for_cause: 5s\n  retry:\n    enabled: true\n    wait: 10s\n"
              "    max: 2\n  owners:\n    - {pipeline: \"a*\", stage: \"*\", targets: [devops]}\ntargets: [devops]\n");
}

TEST(Effective, ReadsBackAsItself) {
    for (std::string_view yaml : {"", "policy: {owners: [{pipeline: 'a*', stage: 'true', targets: [devops]}, {stage: x, targets: []}], retry: {enabled: false}}\n"
                                      "targets: {devops: {type: mail, to: [a@b, c@d]}, hook: {type: webhook, url: 'https://h/', timeout: 1500ms}, \"1\": {type: log}}\n"
                                      "codepipeline: [{account: '1*', url: 'http://h'}, {}]\naws: [{service: sqs, url: 'http://q'}, {}]\n"
                                      "event_bus: {limits: {pattern_characters: 8192}}\nlog: {segment_bytes: 5MiB}\naccount: 000000000000\n"}) {
        const auto text = effective_yaml(must(yaml).config);
        EXPECT_EQ(effective_yaml(must(text).config), text);
        EXPECT_EQ(must(text).config.policy.version, must(yaml).config.policy.version);
    }
    const auto text = effective_yaml(must("aws: [{service: sqs}, {}]\nevent_bus: {limits: {pattern_characters: 8192}}").config);
    EXPECT_THAT(text, HasSubstr("\naws:\n  - service: sqs\n    account: \"*\"\n"));
    EXPECT_THAT(text, HasSubstr("\n  - service: \"*\"\n"));
    EXPECT_THAT(text, HasSubstr("\n  limits:\n    buses: 100\n")) << "a number is not written as a size";
    EXPECT_THAT(text, HasSubstr("\n    pattern_characters: 8192\n"));
}

TEST(Effective, HasNoSecrets) {
    auto loaded = must(read(source / "tests/data/full.yaml"), {{"targets.hook.url", "https://h/s3cret/path"}, {"mail.password", "s3cret"}},
                       fakes({{"HOOK_SECRET", "s3cret0123456789"}, {"AUTH", "s3cret"}}, {{"/run/token", "s3cret0123456789"}, {"/run/aws", "s3cret"}}));
    for (auto& endpoint : loaded.config.codepipeline) endpoint.secret_access_key = endpoint.session_token = Secret("s3cret");
    for (auto& endpoint : loaded.config.aws) endpoint.secret_access_key = endpoint.session_token = Secret("s3cret");
    for (auto& credential : loaded.config.security.credentials) credential.secret_access_key = Secret("s3cret");
    const auto text = effective_yaml(loaded.config);
    EXPECT_THAT(text, Not(HasSubstr("s3cret")));
    EXPECT_THAT(loaded.config.policy.text, Not(HasSubstr("s3cret")));
    for (const char* named : {"# password: set", "# secret: set", "# headers: Authorization: set", "# secret_access_key: set", "# session_token: set",
                              "# tokens: 1 set", "# credentials: AKIDEXAMPLE: set", "url: \"https://h/\"  # its path is not shown"})
        EXPECT_THAT(text, HasSubstr(named));
}

// `waybill check` says nothing of these, so what the example's comments say of them is looked for here.
TEST(Load, TheExampleOfAnEventBusSendsToOneQueueServer) {
    const auto c = must(read(source / "examples/event-bus.yaml"), {}, fakes({{"WAYBILL_QUEUE_SECRET", "qk"}})).config;
    ASSERT_EQ(c.aws.size(), 1u);
    EXPECT_EQ(c.aws[0].service, "sqs");
    EXPECT_EQ(c.aws[0].url, "http://127.0.0.1:9324");
    EXPECT_EQ(c.aws[0].secret_access_key.reveal(), "qk");
    EXPECT_EQ(c.event_bus.rules_a_bus, 1000u);
}

TEST(Reference, TheExampleLoadsAndNamesEveryKey) {
    const auto secrets = fakes({{"WAYBILL_HOOK_SECRET", "0123456789abcdef"}, {"WAYBILL_HOOK_AUTHORIZATION", "Bearer x"}, {"WAYBILL_AWS_SECRET", "x"}},
                               {{"/run/secrets/waybill-aws", "x"}, {"/run/secrets/waybill-token", "0123456789abcdef"}});
    const auto yaml = example_yaml();
    auto loaded = must(yaml, {}, secrets);
    EXPECT_TRUE(loaded.warnings.empty()) << loaded.warnings[0];
    for (const auto& key : configuration_keys()) {
        const auto leaf = key.path.substr(key.path.find_last_of(".") + 1);
        EXPECT_THAT(yaml, HasSubstr(leaf + ":")) << key.path;
        EXPECT_TRUE(key.documentation.ends_with('.')) << key.path;
    }
}

TEST(Reference, TheDefaultsInTheTableAreThoseOfTheLoader) {
    for (const auto& key : configuration_keys()) {
        if (key.path.contains('[') || key.path.contains("NAME") || key.default_text.empty()) continue;
        auto value = key.default_text;
        if (value.starts_with('[')) value = value.substr(1, value.size() - 2);
        if (value.starts_with('"')) value = value.substr(1, value.size() - 2);
        auto loaded = must("", {{key.path, value}});
        EXPECT_EQ(effective_yaml(loaded.config), effective_yaml(must("").config)) << key.path;
    }
}

// docs/configuration.md is written by: WAYBILL_WRITE_DOCS=1 build/release/config_test --gtest_filter=Reference.IsCommitted
TEST(Reference, IsCommitted) {
    const auto path = source / "docs/configuration.md";
    if (std::getenv("WAYBILL_WRITE_DOCS")) std::ofstream(path, std::ios::binary) << configuration_reference();
    EXPECT_EQ(read(path), configuration_reference());
}

TEST(Glob, Matches) {
    EXPECT_TRUE(config::glob_matches("*", ""));
    EXPECT_TRUE(config::glob_matches("web-*", "web-"));
    EXPECT_TRUE(config::glob_matches("*-prod-*", "a-prod-prod-b"));
    EXPECT_TRUE(config::glob_matches("a?c", "abc"));
    EXPECT_FALSE(config::glob_matches("a?c", "ac"));
    EXPECT_FALSE(config::glob_matches("web-*", "Web-a"));
    EXPECT_FALSE(config::glob_matches("", "a"));
    EXPECT_FALSE(config::glob_matches("*a", "ab"));
}

// Against every text of up to five letters of a small alphabet: what covers, covers.
TEST(Glob, CoversOnlyWhatItCovers) {
    std::vector<std::string> patterns{""}, texts{""};
    for (size_t i = 0; i < patterns.size(); ++i)
        if (patterns[i].size() < 4)
            for (char c : {'a', 'b', '*', '?'}) patterns.push_back(patterns[i] + c);
    for (size_t i = 0; i < texts.size(); ++i)
        if (texts[i].size() < 5)
            for (char c : {'a', 'b', 'c'}) texts.push_back(texts[i] + c);
    size_t covers = 0;
    for (const auto& wide : patterns)
        for (const auto& narrow : patterns) {
            bool really = true;
            for (const auto& t : texts)
                if (config::glob_matches(narrow, t) && !config::glob_matches(wide, t)) {
                    really = false;
                    break;
                }
            const bool says = config::glob_covers(wide, narrow);
            ASSERT_FALSE(says && !really) << wide << " does not cover " << narrow;
            covers += says;
        }
    EXPECT_GT(covers, 1000u);
    for (auto [wide, narrow] : std::vector<std::pair<const char*, const char*>>{
             {"*", "web-*"}, {"web-*", "web-*"}, {"web-*", "web-?-prod"}, {"*-prod", "web-*-prod"}, {"?*", "*?"}, {"w?b", "web"}, {"**", "*"}, {"*", ""}})
        EXPECT_TRUE(config::glob_covers(wide, narrow)) << wide << " " << narrow;
}

TEST(Size, IsReadAndWritten) {
    for (const char* text : {"0", "1", "1023", "1KiB", "64MiB", "3GiB", "2TiB"}) EXPECT_EQ(config::format_size(*config::parse_size(text)), text);
    EXPECT_EQ(config::parse_size("1TiB"), 1ull << 40);
    for (const char* text : {"", "-1", "1.5MiB", "1MB", "MiB", "99999999999999999999", "99999999TiB", "1 MiB"}) EXPECT_FALSE(config::parse_size(text)) << text;
}

}  // namespace
}  // namespace waybill
