#include <fmt/format.h>

#include "bus/test_bus.h"

namespace waybill::bus {
namespace {

constexpr std::string_view default_arn = "arn:aws:events:eu-central-1:123456789012:event-bus/default";

std::string archive(std::string_view name, std::string_view more = "") {
    return fmt::format(R"({{"ArchiveName":"{}","EventSourceArn":"{}"{}}})", name, default_arn, more);
}
std::string replay(std::string_view name, std::string_view more = "", std::string_view archive_name = "a") {
    return fmt::format(
        R"({{"ReplayName":"{}","EventSourceArn":"arn:aws:events:eu-central-1:123456789012:archive/{}","EventStartTime":1000,"EventEndTime":2000.5,"Destination":{{"Arn":"{}"{}}}}})",
        name, archive_name, default_arn, more);
}

TEST(Archives, AreMadeShownChangedAndDeleted) {
    TestBus api;
    api.stamp.tail = 77;
    const std::string made =
        api("CreateArchive", archive("a", R"(,"Description":"d","EventPattern":"{\"source\":[\"x\"]}","RetentionDays":3)"));
    EXPECT_EQ(
        made,
        R"({"ArchiveArn":"arn:aws:events:eu-central-1:123456789012:archive/a","State":"ENABLED","CreationTime":1700000001})");
    const Archive* kept = api.bus.archive(api.place, "a");
    ASSERT_TRUE(kept);
    EXPECT_EQ(kept->from, 77u) << "what came before is not in it";
    api.bus.archived(kept->id, 100);
    api.bus.archived(kept->id, 60);
    std::string shown = api("DescribeArchive", R"({"ArchiveName":"a"})");
    EXPECT_EQ(
        shown,
        fmt::format(
            R"({{"ArchiveArn":"arn:aws:events:eu-central-1:123456789012:archive/a","ArchiveName":"a","EventSourceArn":"{}","State":"ENABLED",)"
            R"("RetentionDays":3,"SizeBytes":160,"EventCount":2,"CreationTime":1700000001,"Description":"d","EventPattern":"{{\"source\":[\"x\"]}}"}})",
            default_arn));
    EXPECT_EQ(at(api("UpdateArchive", R"({"ArchiveName":"a","RetentionDays":0,"Description":""})"), "/State"), "ENABLED");
    shown = api("DescribeArchive", R"({"ArchiveName":"a"})");
    EXPECT_EQ(at(shown, "/RetentionDays"), "0");
    EXPECT_EQ(at(shown, "/Description"), "");
    EXPECT_EQ(at(shown, "/EventPattern"), R"({"source":["x"]})") << "what an update does not name stays";
    EXPECT_EQ(at(shown, "/EventCount"), "2");
    EXPECT_EQ(api.bus.archive(api.place, "a")->from, 77u);
    api("UpdateArchive", R"({"ArchiveName":"a","RetentionDays":0})");
    EXPECT_TRUE(api.changes.empty()) << "an update that changes nothing leaves no record";
    EXPECT_EQ(api("DeleteArchive", R"({"ArchiveName":"a"})"), "{}");
    EXPECT_EQ(api.bus.archive(api.place, "a"), nullptr);
}

TEST(Archives, AreRefusedInAwssWords) {
    TestBus api;
    for (const std::string operation : {"DescribeArchive", "UpdateArchive", "DeleteArchive"})
        EXPECT_EQ(api(operation, R"({"ArchiveName":"a"})"), "ResourceNotFoundException: Archive a does not exist.") << operation;
    EXPECT_EQ(
        api("CreateArchive", R"({"ArchiveName":"a","EventSourceArn":"arn:aws:events:eu-central-1:123456789012:event-bus/none"})"),
        "ResourceNotFoundException: Event bus none does not exist.");
    EXPECT_EQ(api("CreateArchive",
                  R"({"ArchiveName":"a","EventSourceArn":"arn:aws:events:eu-central-1:210987654321:event-bus/default"})"),
              "ResourceNotFoundException: Event bus default does not exist.")
        << "a bus of another account";
    EXPECT_EQ(api("CreateArchive", archive("a", R"(,"EventPattern":"{\"source\":\"x\"}")")).substr(0, 76),
              "InvalidEventPatternException: Event pattern is not valid. Reason: \"source\" m");
    EXPECT_EQ(
        api("CreateArchive", archive("no name", R"(,"RetentionDays":-1)")),
        R"(ValidationException: 2 validation errors detected: Value 'no name' at 'archiveName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\.\-_A-Za-z0-9]+; )"
        R"(Value '-1' at 'retentionDays' failed to satisfy constraint: Member must have value greater than or equal to 0)");
    api("CreateArchive", archive("a"));
    EXPECT_EQ(api("CreateArchive", archive("a")), "ResourceAlreadyExistsException: Archive a already exists.");
    EXPECT_EQ(api("UpdateArchive", R"({"ArchiveName":"a","EventPattern":"[]"})").substr(0, 28), "InvalidEventPatternException");
    api.limits.archives = 1;
    EXPECT_EQ(api("CreateArchive", archive("b")),
              "LimitExceededException: The requested resource exceeds the maximum number allowed.");
    api.limits.pattern_characters = 10;
    EXPECT_EQ(api("CreateArchive", archive("b", R"(,"EventPattern":"{\"source\":[\"x\"]}")")).substr(0, 19),
              "ValidationException");
}

TEST(Archives, AreListedByOneFilter) {
    TestBus api;
    for (const auto* name : {"b2", "a1", "b1"}) api("CreateArchive", archive(name));
    api("CreateEventBus", R"({"Name":"other"})");
    api("CreateArchive", R"({"ArchiveName":"b3","EventSourceArn":"arn:aws:events:eu-central-1:123456789012:event-bus/other"})");
    auto names = [](const std::string& list) {
        std::string all;
        for (int i = 0;; ++i) {
            const std::string name = at(list, fmt::format("/Archives/{}/ArchiveName", i));
            if (name.empty()) return all;
            all += name + " ";
        }
    };
    EXPECT_EQ(names(api("ListArchives", "{}")), "a1 b1 b2 b3 ");
    EXPECT_EQ(names(api("ListArchives", R"({"NamePrefix":"b"})")), "b1 b2 b3 ");
    EXPECT_EQ(names(api("ListArchives", R"({"State":"ENABLED"})")), "a1 b1 b2 b3 ");
    EXPECT_EQ(api("ListArchives", R"({"State":"DISABLED"})"), R"({"Archives":[]})");
    EXPECT_EQ(names(api("ListArchives", R"({"EventSourceArn":"arn:aws:events:eu-central-1:123456789012:event-bus/other"})")),
              "b3 ");
    EXPECT_EQ(api("ListArchives", R"({"EventSourceArn":"arn:aws:events:eu-central-1:123456789012:event-bus/none"})"),
              "ResourceNotFoundException: Event bus none does not exist.");
    EXPECT_EQ(api("ListArchives", R"({"NamePrefix":"b","State":"ENABLED"})"),
              "ValidationException: At most one filter is allowed for ListArchives. Use either : State, EventSourceArn, or "
              "NamePrefix.");
    const std::string first = api("ListArchives", R"({"Limit":3})");
    EXPECT_EQ(names(first), "a1 b1 b2 ");
    EXPECT_EQ(names(api("ListArchives", fmt::format(R"({{"Limit":3,"NextToken":"{}"}})", at(first, "/NextToken")))), "b3 ");
}

TEST(Replays, ReadTheLogFromTheArchivesBeginToNow) {
    TestBus api;
    api.stamp.tail = 50;
    api("CreateArchive", archive("a"));
    api("PutRule", R"({"Name":"r","EventPattern":"{\"source\":[\"x\"]}"})");
    api.stamp.tail = 90;
    const std::string rule = R"(,"FilterArns":["arn:aws:events:eu-central-1:123456789012:rule/r"])";
    EXPECT_EQ(
        api("StartReplay", replay("p", rule)),
        R"({"ReplayArn":"arn:aws:events:eu-central-1:123456789012:replay/p","State":"STARTING","ReplayStartTime":1700000003})");
    const Replay* kept = api.bus.replay(api.place, "p");
    ASSERT_TRUE(kept);
    EXPECT_EQ(kept->next, 50u);
    EXPECT_EQ(kept->end, 90u);
    EXPECT_EQ(kept->from, 1'000'000);
    EXPECT_EQ(kept->to, 2'000'500);
    EXPECT_EQ(kept->archive_id, api.bus.archive(api.place, "a")->id);
    EXPECT_EQ(kept->rules, std::vector<std::string>{"arn:aws:events:eu-central-1:123456789012:rule/r"});
    EXPECT_EQ(
        api("DescribeReplay", R"({"ReplayName":"p"})"),
        fmt::format(
            R"({{"ReplayArn":"arn:aws:events:eu-central-1:123456789012:replay/p","ReplayName":"p",)"
            R"("EventSourceArn":"arn:aws:events:eu-central-1:123456789012:archive/a","State":"STARTING","EventStartTime":1000,"EventEndTime":2000.500,)"
            R"("ReplayStartTime":1700000003,"Destination":{{"Arn":"{}","FilterArns":["arn:aws:events:eu-central-1:123456789012:rule/r"]}}}})",
            default_arn));
}

TEST(Replays, AreRefusedInAwssWords) {
    TestBus api;
    EXPECT_EQ(api("StartReplay", replay("p")),
              "ValidationException: Parameter EventSourceArn is not valid. Reason: Archive a does not exist.");
    api("CreateArchive", archive("a"));
    api("CreateEventBus", R"({"Name":"other"})");
    api("PutRule", R"({"Name":"r","EventBusName":"other","EventPattern":"{\"source\":[\"x\"]}"})");
    auto with = [](std::string text, std::string_view old, std::string_view now) {
        return text.replace(text.find(old), old.size(), now);
    };
    EXPECT_EQ(api("StartReplay", with(replay("p"), default_arn, "arn:aws:events:eu-central-1:123456789012:event-bus/other")),
              "ValidationException: Parameter Destination.Arn is not valid. Reason: Cross event bus replay is not permitted.");
    EXPECT_EQ(api("StartReplay", with(replay("p"), default_arn, "arn:aws:events:eu-central-1:123456789012:event-bus/none")),
              "ResourceNotFoundException: Event bus none does not exist.");
    EXPECT_EQ(api("StartReplay", with(replay("p"), default_arn, "arn:aws:sqs:eu-central-1:123456789012:q")),
              "ValidationException: Parameter Destination.Arn is not valid. Reason: Must contain an event bus ARN.");
    EXPECT_EQ(api("StartReplay", with(replay("p"), "2000.5", "1000")),
              "ValidationException: Parameter EventEndTime is not valid. Reason: EventStartTime must be before EventEndTime.");
    EXPECT_EQ(api("StartReplay", replay("p", R"(,"FilterArns":["arn:aws:events:eu-central-1:123456789012:rule/other/r"])")),
              "ValidationException: Parameter Destination.FilterArns is not valid. Reason: "
              "arn:aws:events:eu-central-1:123456789012:rule/other/r is not a rule "
              "of event bus default.");
    EXPECT_EQ(
        api("StartReplay", replay("p", R"(,"FilterArns":["arn:aws:events:eu-central-1:123456789012:rule/r"])")).substr(0, 19),
        "ValidationException");
    EXPECT_EQ(
        api("StartReplay", R"({"ReplayName":"p"})"),
        "ValidationException: 4 validation errors detected: Value null at 'eventSourceArn' failed to satisfy constraint: Member "
        "must not be null; "
        "Value null at 'eventStartTime' failed to satisfy constraint: Member must not be null; Value null at 'eventEndTime' "
        "failed to satisfy "
        "constraint: Member must not be null; Value null at 'destination' failed to satisfy constraint: Member must not be null");
    EXPECT_EQ(api("DescribeReplay", R"({"ReplayName":"p"})"), "ResourceNotFoundException: Replay p does not exist.");
    EXPECT_EQ(api("CancelReplay", R"({"ReplayName":"p"})"), "ResourceNotFoundException: Replay p does not exist.");
    EXPECT_EQ(at(api("StartReplay", replay("p")), "/State"), "STARTING");
    EXPECT_EQ(api("StartReplay", replay("p")), "ResourceAlreadyExistsException: Replay p already exists.");
}

TEST(Replays, AreCancelledOnceAndOnlyWhileTheyRun) {
    TestBus api;
    api("CreateArchive", archive("a"));
    api("StartReplay", replay("p"));
    EXPECT_EQ(api("CancelReplay", R"({"ReplayName":"p"})"),
              R"({"ReplayArn":"arn:aws:events:eu-central-1:123456789012:replay/p","State":"CANCELLING"})");
    EXPECT_EQ(at(api("DescribeReplay", R"({"ReplayName":"p"})"), "/State"), "CANCELLING");
    for (const ReplayState state :
         {ReplayState::cancelling, ReplayState::completed, ReplayState::cancelled, ReplayState::failed}) {
        Replay r = *api.bus.replay(api.place, "p");
        r.state = state;
        api.bus.apply(Put{r}, api.stamp.tail++);
        EXPECT_EQ(api("CancelReplay", R"({"ReplayName":"p"})"),
                  "IllegalStatusException: Replay p is not in a valid state for this operation.");
    }
}

TEST(Replays, TenMayBeOpenAtOnce) {
    TestBus api;
    api("CreateArchive", archive("a"));
    for (int i = 0; i < 10; ++i) EXPECT_EQ(at(api("StartReplay", replay(fmt::format("p{}", i))), "/State"), "STARTING") << i;
    EXPECT_EQ(api("StartReplay", replay("more")),
              "LimitExceededException: The requested resource exceeds the maximum number allowed.");
    Replay ended = *api.bus.replay(api.place, "p3");
    ended.state = ReplayState::completed;
    api.bus.apply(Put{ended}, api.stamp.tail++);
    EXPECT_EQ(at(api("StartReplay", replay("more")), "/State"), "STARTING");
    const std::string page = api("ListReplays", R"({"Limit":10})");
    EXPECT_EQ(at(page, "/Replays/0/ReplayName"), "more");
    EXPECT_EQ(at(page, "/Replays/9/ReplayName"), "p8");
    EXPECT_EQ(at(api("ListReplays", fmt::format(R"({{"NextToken":"{}"}})", at(page, "/NextToken"))), "/Replays/0/ReplayName"),
              "p9");
    EXPECT_EQ(at(api("ListReplays", R"({"State":"COMPLETED"})"), "/Replays/0/ReplayName"), "p3");
    EXPECT_EQ(at(api("ListReplays", R"({"NamePrefix":"m"})"), "/Replays/1/ReplayName"), "");
    EXPECT_EQ(at(api("ListReplays", R"({"EventSourceArn":"arn:aws:events:eu-central-1:123456789012:archive/b"})"), "/Replays"),
              "[]");
}

TEST(Replays, EndWithTheirArchive) {
    TestBus api;
    api("CreateArchive", archive("a"));
    api("CreateArchive", archive("b"));
    api("StartReplay", replay("p"));
    api("StartReplay", replay("q", "", "b"));
    api("DeleteArchive", R"({"ArchiveName":"a"})");
    const std::string shown = api("DescribeReplay", R"({"ReplayName":"p"})");
    EXPECT_EQ(at(shown, "/State"), "FAILED");
    EXPECT_EQ(at(shown, "/StateReason"), "Archive a was deleted.");
    EXPECT_EQ(at(shown, "/ReplayEndTime"), "1700000005");
    EXPECT_EQ(at(api("DescribeReplay", R"({"ReplayName":"q"})"), "/State"), "STARTING");
}

}  // namespace
}  // namespace waybill::bus
