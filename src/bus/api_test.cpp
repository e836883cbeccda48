// Every request goes the way it goes in the server: prepare() without state, the rest with a Bus, whose changes are applied
// before the next one.
#include "bus/api.h"

#include <gtest/gtest.h>
#include <simdjson.h>

#include "base/json_writer.h"
#include "bus/api_fields.h"
#include "bus/json_path.h"

namespace waybill::bus {
namespace {

class ApiTest : public testing::Test {
protected:
    // The answer's JSON, or "Code: message".
    std::string call(std::string_view operation, std::string_view body) {
        EXPECT_TRUE(is_bus_operation(operation)) << operation;
        const ApiRequest request{std::string(operation), place, body, limits};
        auto prepared = prepare(request);
        if (auto* error = std::get_if<wire::AwsError>(&prepared)) return error->code + ": " + error->message;
        now += 1000;
        ApiAnswer answer = std::get<Decide>(prepared)(state, {now, 7, position});
        changed = answer.changes.size();
        for (const Change& change : answer.changes) {
            // As it will be read from the log.
            Change again;
            EXPECT_TRUE(decode(encode(change), again));
            state.apply(again, ++position);
        }
        if (auto* error = std::get_if<wire::AwsError>(&answer.result)) {
            EXPECT_TRUE(answer.changes.empty());
            EXPECT_EQ(error->status, 400);
            return error->code + ": " + error->message;
        }
        return std::get<std::string>(answer.result);
    }
    std::string arn(std::string_view resource) const { return "arn:aws:events:us-east-1:123456789012:" + std::string(resource); }
    // The value of one member of a JSON object, as it stands there.
    static std::string member(const std::string& json, std::string_view name) {
        if (const auto members = json_members(json))
            for (const auto& [key, value] : *members)
                if (key == name) return std::string(value);
        return "";
    }
    void put_rule(const std::string& name, const std::string& more = "") {
        ASSERT_EQ(
            call("PutRule", R"({"Name":")" + name + R"(","EventPattern":"{\"source\":[\"s\"]}")" + more + "}").substr(0, 11),
            R"({"RuleArn":)");
    }
    static std::string targets(const std::string& rule, const std::string& list) {
        return R"({"Rule":")" + rule + R"(","Targets":[)" + list + "]}";
    }
    std::string put_target(const std::string& target) { return call("PutTargets", targets("r", target)); }

    Bus state;
    Place place{"123456789012", "us-east-1"};
    ApiLimits limits;
    TimeMs now = 1'700'000'000'000;
    Position position = 10;
    size_t changed = 0;
};

const std::string none_failed = R"({"FailedEntryCount":0,"FailedEntries":[]})";
const std::string queue = R"("Arn":"arn:aws:sqs:us-east-1:123456789012:q")";

TEST(Operations, AreKnownByTheirNames) {
    EXPECT_TRUE(is_bus_operation("PutRule"));
    EXPECT_TRUE(is_bus_operation("StartReplay"));
    EXPECT_FALSE(is_bus_operation("PutEvents"));
    EXPECT_FALSE(is_bus_operation("CreatePartnerEventSource"));
    EXPECT_FALSE(is_bus_operation(""));
}

// -- requests --

TEST_F(ApiTest, AllThatIsWrongWithARequestIsSaidAtOnce) {
    EXPECT_EQ(call("PutRule", ""),
              "ValidationException: 1 validation error detected: Value null at 'name' failed to satisfy constraint: Member must "
              "not be null");
    EXPECT_EQ(call("PutRule", R"({"Name":null})"), call("PutRule", "{}"));
    EXPECT_EQ(call("PutRule", R"({"Name":"a b","State":"on"})"),
              "ValidationException: 2 validation errors detected: Value 'a b' at 'name' failed to satisfy constraint: Member "
              "must satisfy regular expression pattern: "
              R"([\.\-_A-Za-z0-9]+; Value 'on' at 'state' failed to satisfy constraint: Member must satisfy enum value set: )"
              "[ENABLED, DISABLED, ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS]");
    EXPECT_EQ(
        call("DescribeRule", R"({"Name":""})"),
        "ValidationException: 2 validation errors detected: Value '' at 'name' failed to satisfy constraint: Member must have "
        "length greater than or equal to 1; "
        R"(Value '' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: [\.\-_A-Za-z0-9]+)");
    const std::string longer(65, 'x');
    EXPECT_EQ(call("DescribeRule", R"({"Name":")" + longer + R"("})"),
              "ValidationException: 1 validation error detected: Value '" + longer +
                  "' at 'name' failed to satisfy constraint: Member must have length less than or equal to 64");
    EXPECT_EQ(call("ListRules", R"({"Limit":101})"),
              "ValidationException: 1 validation error detected: Value '101' at 'limit' failed to satisfy constraint: Member "
              "must have value less than or equal to 100");
    EXPECT_EQ(call("UntagResource", R"({"ResourceARN":"a","TagKeys":[""]})"),
              "ValidationException: 1 validation error detected: Value '[]' at 'tagKeys' failed to satisfy constraint: Member "
              "must satisfy constraint: "
              "[Member must have length less than or equal to 128, Member must have length greater than or equal to 1]");
}

TEST_F(ApiTest, TextsAreCountedInCharacters) {
    std::string description;
    for (int i = 0; i < 512; ++i) description += "é";
    put_rule("r", R"(,"Description":")" + description + "\"");
    EXPECT_NE(call("PutRule", R"({"Name":"r","Description":"é)" + description + "\"}").find("length less than or equal to 512"),
              std::string::npos);
}

TEST_F(ApiTest, WrongTypesAreRefusedBeforeAnythingElse) {
    EXPECT_EQ(call("PutRule", R"({"Name":1})"), "SerializationException: NUMBER_VALUE can not be converted to a String");
    EXPECT_EQ(call("PutRule", R"({"State":"on","Name":["r"]})"),
              "SerializationException: START_ARRAY can not be converted to a String");
    EXPECT_EQ(call("ListRules", R"({"Limit":"5"})"), "SerializationException: STRING_VALUE can not be converted to an Integer");
    EXPECT_EQ(call("PutTargets", R"({"Rule":"r","Targets":{}})"),
              "SerializationException: START_OBJECT can not be converted to a list");
    EXPECT_EQ(call("PutTargets", R"({"Rule":"r","Targets":["t"]})"),
              "SerializationException: STRING_VALUE can not be converted to a structure");
    EXPECT_EQ(call("DeleteRule", R"({"Name":"r","Force":"yes"})"),
              "SerializationException: STRING_VALUE can not be converted to a Boolean");
    EXPECT_EQ(call("PutRule", "[]"), "SerializationException: START_ARRAY can not be converted to a structure");
    EXPECT_EQ(call("PutRule", "{").substr(0, 24), "SerializationException: ");
}

TEST_F(ApiTest, MembersThatNobodyAsksForAreIgnoredAndTheLastOfANameCounts) {
    put_rule("first", R"(,"Name":"second","Other":[1,{"a":2}])");
    EXPECT_EQ(member(call("ListRules", "{}"), "Rules").find("first"), std::string::npos);
    EXPECT_EQ(member(call("DescribeRule", R"({"Name":"second"})"), "Name"), R"("second")");
}

TEST(Fields, SecretValuesAreNotShown) {
    RequestBody body(R"({"Password":"abc","List":["abc"],"Map":{"k":"abc"}})");
    Members in = body.root();
    TextRule rule{4, 8};
    rule.sensitive = true;
    in.text("Password", rule);
    in.texts("List", {}, rule);
    in.text_map("Map", {}, {}, rule);
    EXPECT_EQ(body.error()->message.find("abc"), std::string::npos);
    EXPECT_EQ(body.error()->message.substr(0, 130),
              "3 validation errors detected: Value at 'password' failed to satisfy constraint: Member must have length greater "
              "than or equal to 4");
}

TEST(Fields, TimesAreNumbersOrTexts) {
    RequestBody body(R"({"A":1700000000.5,"B":"2023-11-14T22:13:20Z","C":1e300})");
    Members in = body.root();
    EXPECT_EQ(in.time("A"), 1'700'000'000'500);
    EXPECT_EQ(in.time("B"), 1'700'000'000'000);
    EXPECT_FALSE(body.error());
    EXPECT_FALSE(in.time("C"));
    EXPECT_EQ(body.error()->code, "SerializationException");
    std::string json;
    JsonWriter w(json);
    w.begin_object();
    write_time(w, "A", 1'700'000'000'005);
    write_time(w, "B", 1'700'000'000'000);
    write_time(w, "C", no_time);
    w.end_object();
    EXPECT_EQ(json, R"({"A":1700000000.005,"B":1700000000})");
}

TEST(Fields, WhatIsWrongIsToldInAMessageOfBoundedLength) {
    std::string json = "{\"L\":[";
    for (int i = 0; i < 5000; ++i) json += std::string(i ? "," : "") + "{\"Key\":\"" + std::string(200, 'k') + "\"}";
    RequestBody body(json + "]}");
    Members in = body.root();
    in.tags("L");
    const auto error = body.error();
    EXPECT_LT(error->message.size(), broken_shown + 200);
    EXPECT_EQ(error->message.substr(0, 33), "10000 validation errors detected:");
}

TEST(Fields, UuidsAreOfVersion4AndDiffer) {
    const std::string uuid = uuid_of(1);
    EXPECT_EQ(uuid.size(), 36u);
    EXPECT_EQ(uuid[14], '4');
    EXPECT_NE(std::string("89ab").find(uuid[19]), std::string::npos);
    EXPECT_EQ(uuid, uuid_of(1));
    EXPECT_NE(uuid, uuid_of(2));
}

// -- event buses --

TEST_F(ApiTest, ABusIsMadeShownAndTakenAway) {
    EXPECT_EQ(
        call(
            "CreateEventBus",
            R"({"Name":"orders","Description":"what is ordered","LogConfig":{"IncludeDetail":"FULL","Level":"INFO"},"Tags":[{"Key":"a","Value":"b"}]})"),
        R"({"EventBusArn":")" + arn("event-bus/orders") +
            R"(","Description":"what is ordered","LogConfig":{"IncludeDetail":"FULL","Level":"INFO"}})");
    EXPECT_EQ(call("DescribeEventBus", R"({"Name":"orders"})"),
              R"({"Name":"orders","Arn":")" + arn("event-bus/orders") +
                  R"(","Description":"what is ordered","LogConfig":{"IncludeDetail":"FULL","Level":"INFO"},)"
                  R"("CreationTime":1700000001,"LastModifiedTime":1700000001})");
    EXPECT_EQ(call("DescribeEventBus", R"({"Name":")" + arn("event-bus/orders") + R"("})"),
              call("DescribeEventBus", R"({"Name":"orders"})"));
    EXPECT_EQ(call("CreateEventBus", R"({"Name":"orders"})"), "ResourceAlreadyExistsException: Event bus orders already exists.");
    EXPECT_EQ(call("DeleteEventBus", R"({"Name":"orders"})"), "");
    EXPECT_EQ(call("DescribeEventBus", R"({"Name":"orders"})"), "ResourceNotFoundException: Event bus orders does not exist.");
    EXPECT_EQ(call("DeleteEventBus", R"({"Name":"orders"})"), "");  // again
    EXPECT_EQ(changed, 0u);
}

TEST_F(ApiTest, NamesOfBusesThatAreAwssOwnAreRefused) {
    EXPECT_EQ(call("CreateEventBus", R"({"Name":"default"})"),
              "ResourceAlreadyExistsException: Event bus default already exists.");
    EXPECT_EQ(call("CreateEventBus", R"({"Name":"a/b"})"), "ValidationException: Event bus name must not contain '/'.");
    EXPECT_EQ(call("CreateEventBus", R"({"Name":"aws.mine"})"),
              "ValidationException: EventBus name starting with 'aws.' is not valid.");
    EXPECT_EQ(call("CreateEventBus", R"({"Name":"aws.partner/a/b","EventSourceName":"aws.partner/a/b"})"),
              "ResourceNotFoundException: Event source aws.partner/a/b does not exist.");
    EXPECT_EQ(call("CreateEventBus", R"({"Name":"mine","EventSourceName":"aws.partner/a/b"})"),
              "ValidationException: Event bus name must match event source name.");
    EXPECT_EQ(call("DeleteEventBus", R"({"Name":"default"})"), "ValidationException: Cannot delete event bus default.");
}

TEST_F(ApiTest, ABusWithRulesStays) {
    call("CreateEventBus", R"({"Name":"orders"})");
    put_rule("r", R"(,"EventBusName":"orders")");
    EXPECT_EQ(call("DeleteEventBus", R"({"Name":"orders"})"),
              "ValidationException: EventBus can't be deleted since it has rules.");
    EXPECT_EQ(call("DeleteRule", R"({"Name":"r","EventBusName":"orders"})"), "");
    EXPECT_EQ(call("DeleteEventBus", R"({"Name":"orders"})"), "");
    EXPECT_EQ(changed, 1u);
}

TEST_F(ApiTest, TheDefaultBusIsThereWithoutHavingBeenMade) {
    EXPECT_EQ(call("DescribeEventBus", ""), R"({"Name":"default","Arn":")" + arn("event-bus/default") + R"("})");
    EXPECT_EQ(member(call("ListEventBuses", ""), "EventBuses"),
              R"([{"Name":"default","Arn":")" + arn("event-bus/default") + R"("}])");
}

TEST_F(ApiTest, AnUpdateChangesWhatItNames) {
    call("CreateEventBus",
         R"({"Name":"orders","Description":"d","DeadLetterConfig":{"Arn":"arn:aws:sqs:us-east-1:123456789012:dead"}})");
    EXPECT_EQ(
        call("UpdateEventBus", R"({"Name":"orders","KmsKeyIdentifier":"alias/k"})"),
        R"({"Arn":")" + arn("event-bus/orders") +
            R"(","Name":"orders","Description":"d","KmsKeyIdentifier":"alias/k","DeadLetterConfig":{"Arn":"arn:aws:sqs:us-east-1:123456789012:dead"}})");
    EXPECT_EQ(call("UpdateEventBus", R"({"Name":"orders","Description":"","DeadLetterConfig":{}})"),
              R"({"Arn":")" + arn("event-bus/orders") + R"(","Name":"orders","KmsKeyIdentifier":"alias/k"})");
    EXPECT_EQ(call("UpdateEventBus", R"({"Name":"nobody"})"), "ResourceNotFoundException: Event bus nobody does not exist.");
    EXPECT_EQ(call("UpdateEventBus", R"({"Name":"orders","DeadLetterConfig":{"Arn":"arn:aws:sns:us-east-1:123456789012:t"}})"),
              "ValidationException: sns is not supported as a dead letter resource.");
    EXPECT_EQ(member(call("DescribeEventBus", R"({"Name":"orders"})"), "LastModifiedTime"), "1700000003");
}

TEST_F(ApiTest, BusesAreOfOnePlaceAndNoMoreThanTheirLimit) {
    limits.buses = 2;
    call("CreateEventBus", R"({"Name":"a"})");
    call("CreateEventBus", R"({"Name":"b"})");
    EXPECT_EQ(call("CreateEventBus", R"({"Name":"c"})"),
              "LimitExceededException: The requested resource exceeds the maximum number allowed.");
    place.region = "eu-west-1";
    EXPECT_EQ(call("DescribeEventBus", R"({"Name":"a"})"), "ResourceNotFoundException: Event bus a does not exist.");
    EXPECT_EQ(call("CreateEventBus", R"({"Name":"c"})").substr(0, 15), R"({"EventBusArn":)");
}

TEST_F(ApiTest, ListsAreReadInPages) {
    for (const char* name : {"a", "b", "c", "other"}) call("CreateEventBus", std::string(R"({"Name":")") + name + "\"}");
    const std::string first = call("ListEventBuses", R"({"Limit":2})");
    EXPECT_NE(first.find(R"("Name":"a")"), std::string::npos);
    EXPECT_EQ(first.find(R"("Name":"c")"), std::string::npos);
    const std::string token = member(first, "NextToken");
    ASSERT_FALSE(token.empty());
    call("DeleteEventBus", R"({"Name":"b"})");  // the last one that was shown
    const std::string second = call("ListEventBuses", R"({"Limit":2,"NextToken":)" + token + "}");
    EXPECT_EQ(second.find(R"("Name":"a")"), std::string::npos);
    EXPECT_NE(second.find(R"("Name":"c")"), std::string::npos);
    EXPECT_NE(second.find(R"("Name":"default")"), std::string::npos);
    const std::string third = call("ListEventBuses", R"({"Limit":2,"NextToken":)" + member(second, "NextToken") + "}");
    EXPECT_NE(third.find(R"("Name":"other")"), std::string::npos);
    EXPECT_EQ(member(third, "NextToken"), "");
    EXPECT_EQ(call("ListRules", R"({"NextToken":)" + token + "}"), "ValidationException: Provided NextToken is not valid.");
    EXPECT_EQ(call("ListEventBuses", R"({"NextToken":"4c6"})"), "ValidationException: Provided NextToken is not valid.");
    EXPECT_EQ(call("ListEventBuses", R"({"NextToken":"zz"})"), "ValidationException: Provided NextToken is not valid.");
    EXPECT_EQ(member(call("ListEventBuses", R"({"NamePrefix":"oth"})"), "EventBuses").find("default"), std::string::npos);
    // A page that ends with the last item has no token.
    EXPECT_EQ(member(call("ListEventBuses", R"({"Limit":4})"), "NextToken"), "");
}

TEST_F(ApiTest, PermissionsAreKeptInTheBussPolicy) {
    const std::string add = R"({"Action":"events:PutEvents","Principal":"111111111111","StatementId":"s1"})";
    EXPECT_EQ(call("PutPermission", add), "");
    EXPECT_EQ(
        call(
            "PutPermission",
            R"({"Action":"events:PutEvents","Principal":"*","StatementId":"s2","Condition":{"Type":"StringEquals","Key":"aws:PrincipalOrgID","Value":"o-1"}})"),
        "");
    const std::string shown = call("DescribeEventBus", "");
    EXPECT_EQ(
        member(shown, "Policy"),
        R"("{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"s1\",\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::111111111111:root\"},\"Action\":\"events:PutEvents\",)"
        R"(\"Resource\":\"arn:aws:events:us-east-1:123456789012:event-bus/default\"},{\"Sid\":\"s2\",\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"events:PutEvents\",)"
        R"(\"Resource\":\"arn:aws:events:us-east-1:123456789012:event-bus/default\",\"Condition\":{\"StringEquals\":{\"aws:PrincipalOrgID\":\"o-1\"}}}]}")");
    EXPECT_EQ(member(shown, "CreationTime"), "1700000001");
    EXPECT_EQ(call("RemovePermission", R"({"StatementId":"s3"})"),
              "ResourceNotFoundException: Statement with the provided id does not exist.");
    EXPECT_EQ(call("RemovePermission", R"({"StatementId":"s1"})"), "");
    EXPECT_EQ(call("RemovePermission", R"({"StatementId":"s2"})"), "");
    EXPECT_EQ(member(call("DescribeEventBus", ""), "Policy"), "");
    call("PutPermission", add);
    EXPECT_EQ(call("RemovePermission", R"({"RemoveAllPermissions":true})"), "");
    EXPECT_EQ(member(call("DescribeEventBus", ""), "Policy"), "");
    EXPECT_EQ(call("RemovePermission", R"({"RemoveAllPermissions":true})"), "");
}

TEST_F(ApiTest, PermissionsAreChecked) {
    EXPECT_EQ(call("PutPermission", R"({"EventBusName":"nobody","Action":"events:PutEvents","Principal":"*","StatementId":"s"})"),
              "ResourceNotFoundException: Event bus nobody does not exist.");
    EXPECT_EQ(call("PutPermission", R"({"Action":"events:PutEvents","StatementId":"s"})"),
              "ValidationException: Parameter Principal must be specified.");
    EXPECT_EQ(call("PutPermission", R"({"Action":"events:ListRules","Principal":"*","StatementId":"s"})"),
              "ValidationException: Provided value in parameter 'action' is not supported.");
    EXPECT_EQ(call("PutPermission", R"({"Action":"sqs:*","Principal":"12","StatementId":"a.b","Condition":{}})").substr(0, 44),
              "ValidationException: 6 validation errors det");
    EXPECT_EQ(call("PutPermission", R"({"Policy":"{"})"), "ValidationException: This policy contains invalid Json");
    EXPECT_EQ(call("RemovePermission", "{}"), "ValidationException: Parameter StatementId must be specified.");
    EXPECT_EQ(call("RemovePermission", R"({"StatementId":"s"})"),
              "ResourceNotFoundException: Statement with the provided id does not exist.");
    EXPECT_EQ(
        call(
            "PutPermission",
            R"({"Policy":"{\"Statement\":[{\"Sid\":\"x\",\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"events:PutEvents\",\"Resource\":\"*\"}]}"})"),
        "");
    EXPECT_EQ(call("RemovePermission", R"({"StatementId":"x"})"), "");
    const std::string filler(200, 'o');
    std::string refused;
    for (int i = 0; i < 100 && refused.empty(); ++i)
        refused = call("PutPermission", R"({"Action":"events:PutEvents","Principal":"*","StatementId":"s)" + std::to_string(i) +
                                            R"(","Condition":{"Type":"StringEquals","Key":"aws:PrincipalOrgID","Value":")" +
                                            filler + "\"}}");
    EXPECT_EQ(refused.substr(0, 31), "PolicyLengthExceededException: ");
}

// -- rules --

TEST_F(ApiTest, ARuleIsPutDescribedAndDeleted) {
    EXPECT_EQ(
        call(
            "PutRule",
            R"({"Name":"r","EventPattern":"{\"source\":[\"s\"]}","Description":"d","RoleArn":"arn:aws:iam::123456789012:role/x"})"),
        R"({"RuleArn":")" + arn("rule/r") + "\"}");
    EXPECT_EQ(
        call("DescribeRule", R"({"Name":"r"})"),
        R"({"Name":"r","Arn":")" + arn("rule/r") +
            R"(","EventPattern":"{\"source\":[\"s\"]}","State":"ENABLED","Description":"d","RoleArn":"arn:aws:iam::123456789012:role/x",)"
            R"("EventBusName":"default","CreatedBy":"123456789012"})");
    EXPECT_EQ(
        call("ListRules", ""),
        R"({"Rules":[{"Name":"r","Arn":")" + arn("rule/r") +
            R"(","EventPattern":"{\"source\":[\"s\"]}","State":"ENABLED","Description":"d","RoleArn":"arn:aws:iam::123456789012:role/x","EventBusName":"default"}]})");
    EXPECT_EQ(call("DeleteRule", R"({"Name":"r"})"), "");
    EXPECT_EQ(call("DescribeRule", R"({"Name":"r"})"), "ResourceNotFoundException: Rule r does not exist on EventBus default.");
    EXPECT_EQ(call("DeleteRule", R"({"Name":"r"})"), "");
    EXPECT_EQ(changed, 0u);
    EXPECT_EQ(call("ListRules", ""), R"({"Rules":[]})");
}

TEST_F(ApiTest, ARuleOfAnotherBusIsNamedByNameOrArn) {
    call("CreateEventBus", R"({"Name":"orders"})");
    const std::string by_arn = R"("EventBusName":")" + arn("event-bus/orders") + "\"";
    EXPECT_EQ(call("PutRule", R"({"Name":"r","EventPattern":"{\"source\":[\"s\"]}",)" + by_arn + "}"),
              R"({"RuleArn":")" + arn("rule/orders/r") + "\"}");
    EXPECT_EQ(member(call("DescribeRule", R"({"Name":"r","EventBusName":"orders"})"), "EventBusName"), R"("orders")");
    EXPECT_EQ(call("DescribeRule", R"({"Name":"r"})"), "ResourceNotFoundException: Rule r does not exist on EventBus default.");
    for (const char* operation : {"PutRule", "DescribeRule", "EnableRule", "DisableRule", "DeleteRule", "ListRules",
                                  "ListRuleNamesByTarget", "ListTargetsByRule"})
        EXPECT_EQ(
            call(
                operation,
                R"({"Name":"r","Rule":"r","TargetArn":"arn:aws:sqs:us-east-1:1:q","EventPattern":"{\"source\":[\"s\"]}","EventBusName":"nobody"})"),
            "ResourceNotFoundException: Event bus nobody does not exist.")
            << operation;
    EXPECT_NE(call("ListRules", R"({"EventBusName":"arn:aws:sqs:us-east-1:123456789012:q"})")
                  .find("at 'eventBusName' failed to satisfy constraint"),
              std::string::npos);
}

TEST_F(ApiTest, PuttingARuleAgainReplacesItAndKeepsItsTargetsAndTags) {
    put_rule("r", R"(,"Description":"d","State":"DISABLED","Tags":[{"Key":"a","Value":"1"}])");
    const RuleId id = state.rule({place, "default"}, "r")->id;
    EXPECT_EQ(put_target(R"({"Id":"t",)" + queue + "}"), none_failed);
    EXPECT_EQ(call("PutRule", R"({"Name":"r","EventPattern":"{\"source\":[\"other\"]}","Tags":[{"Key":"b","Value":"2"}]})")
                  .substr(0, 11),
              R"({"RuleArn":)");
    const Rule* rule = state.rule({place, "default"}, "r");
    EXPECT_EQ(rule->id, id);
    EXPECT_EQ(rule->targets.size(), 1u);
    EXPECT_EQ(rule->tags, (Tags{{"a", "1"}}));
    EXPECT_EQ(rule->description, "");
    EXPECT_EQ(rule->state, RuleState::enabled);
    EXPECT_EQ(rule->pattern, R"({"source":["other"]})");
}

TEST_F(ApiTest, ARuleNeedsAPatternOrASchedule) {
    const std::string missing = "ValidationException: Parameter(s) EventPattern or ScheduleExpression must be specified.";
    EXPECT_EQ(call("PutRule", R"({"Name":"r"})"), missing);
    EXPECT_EQ(call("PutRule", R"({"Name":"r","EventPattern":"","ScheduleExpression":""})"), missing);
    EXPECT_EQ(call("PutRule", R"j({"Name":"r","ScheduleExpression":"rate(5 minute)"})j"),
              "ValidationException: Parameter ScheduleExpression is not valid.");
    call("CreateEventBus", R"({"Name":"orders"})");
    EXPECT_EQ(call("PutRule", R"j({"Name":"r","ScheduleExpression":"rate(5 minutes)","EventBusName":"orders"})j"),
              "ValidationException: ScheduleExpression is supported only on the default event bus.");
    EXPECT_EQ(call("PutRule", R"({"Name":"r","EventPattern":"{\"source\":[]}"})"),
              "InvalidEventPatternException: Event pattern is not valid. Reason: Empty arrays are not allowed");
    limits.pattern_characters = 2048;
    const std::string pattern = R"({\"source\":[\")" + std::string(2100, 's') + R"(\"]})";
    EXPECT_EQ(call("PutRule", R"({"Name":"r","EventPattern":")" + pattern + "\"}"),
              "ValidationException: Parameter EventPattern for rule r exceeds limit of 2048.");
    EXPECT_EQ(state.rules().size(), 0u);
}

TEST_F(ApiTest, PuttingTheSameScheduleAgainDoesNotShiftIt) {
    auto put = [&](const std::string& schedule, const std::string& state_text) {
        call("PutRule", R"({"Name":"r","ScheduleExpression":")" + schedule + R"(","State":")" + state_text + "\"}");
        return state.rule({place, "default"}, "r")->anchor;
    };
    const TimeMs first = put("rate(5 minutes)", "ENABLED");
    EXPECT_EQ(first, now);
    EXPECT_EQ(put("rate(5 minutes)", "ENABLED"), first);
    EXPECT_EQ(put("rate(6 minutes)", "ENABLED"), now);
    const TimeMs third = put("rate(6 minutes)", "DISABLED");
    EXPECT_NE(third, now);
    EXPECT_EQ(state.next_slot(), no_time);
    call("EnableRule", R"({"Name":"r"})");
    EXPECT_EQ(state.rule({place, "default"}, "r")->anchor, now);
    EXPECT_EQ(state.next_slot(), now + 6 * 60'000);
}

TEST_F(ApiTest, RulesAreEnabledAndDisabled) {
    put_rule("r");
    EXPECT_EQ(call("DisableRule", R"({"Name":"r"})"), "");
    EXPECT_EQ(member(call("DescribeRule", R"({"Name":"r"})"), "State"), R"("DISABLED")");
    EXPECT_EQ(call("DisableRule", R"({"Name":"r"})"), "");
    EXPECT_EQ(changed, 0u);
    EXPECT_EQ(call("EnableRule", R"({"Name":"r"})"), "");
    EXPECT_EQ(member(call("DescribeRule", R"({"Name":"r"})"), "State"), R"("ENABLED")");
    EXPECT_EQ(call("EnableRule", R"({"Name":"x"})"), "ResourceNotFoundException: Rule x does not exist on EventBus default.");
}

TEST_F(ApiTest, RulesHaveLimits) {
    limits.rules_a_bus = 2;
    limits.wildcard_rules_a_bus = 1;
    const std::string wildcard = R"("EventPattern":"{\"source\":[{\"wildcard\":\"a*\"}]}"})";
    EXPECT_EQ(call("PutRule", R"({"Name":"w",)" + wildcard).substr(0, 11), R"({"RuleArn":)");
    EXPECT_EQ(call("PutRule", R"({"Name":"w",)" + wildcard).substr(0, 11), R"({"RuleArn":)");
    EXPECT_EQ(call("PutRule", R"({"Name":"w2",)" + wildcard),
              "LimitExceededException: The requested resource exceeds the maximum number allowed.");
    put_rule("r");
    EXPECT_EQ(call("PutRule", R"({"Name":"r2","EventPattern":"{\"source\":[\"s\"]}"})"),
              "LimitExceededException: The requested resource exceeds the maximum number allowed.");
    put_rule("r");
}

TEST_F(ApiTest, RulesAreListedByPrefixTargetAndPage) {
    for (const char* name : {"a1", "a2", "b1"}) {
        put_rule(name);
        ASSERT_EQ(call("PutTargets", targets(name, R"({"Id":"t",)" + queue + "}")), none_failed);
    }
    EXPECT_EQ(call("RemoveTargets", R"({"Rule":"a2","Ids":["t"]})"), none_failed);
    EXPECT_EQ(member(call("ListRules", R"({"NamePrefix":"a"})"), "Rules").find("b1"), std::string::npos);
    EXPECT_EQ(call("ListRuleNamesByTarget", R"({"TargetArn":"arn:aws:sqs:us-east-1:123456789012:q"})"),
              R"({"RuleNames":["a1","b1"]})");
    const std::string page = call("ListRuleNamesByTarget", R"({"TargetArn":"arn:aws:sqs:us-east-1:123456789012:q","Limit":1})");
    EXPECT_EQ(member(page, "RuleNames"), R"(["a1"])");
    EXPECT_EQ(call("ListRuleNamesByTarget",
                   R"({"TargetArn":"arn:aws:sqs:us-east-1:123456789012:q","NextToken":)" + member(page, "NextToken") + "}"),
              R"({"RuleNames":["b1"]})");
    EXPECT_EQ(call("ListRuleNamesByTarget", R"({"TargetArn":"arn:aws:sqs:us-east-1:123456789012:other"})"),
              R"({"RuleNames":[]})");
}

TEST_F(ApiTest, ARuleWithTargetsStays) {
    put_rule("r");
    put_target(R"({"Id":"t",)" + queue + "}");
    EXPECT_EQ(call("DeleteRule", R"({"Name":"r"})"), "ValidationException: Rule can't be deleted since it has targets.");
    EXPECT_EQ(call("DeleteRule", R"({"Name":"r","Force":true})"),
              "ValidationException: Rule can't be deleted since it has targets.");
    call("RemoveTargets", R"({"Rule":"r","Ids":["t"]})");
    EXPECT_EQ(call("DeleteRule", R"({"Name":"r"})"), "");
    EXPECT_EQ(changed, 1u);
}

// -- targets --

TEST_F(ApiTest, EveryMemberOfATargetIsShownAgain) {
    put_rule("r");
    const std::string full =
        R"({"Id":"a","Arn":"arn:aws:events:us-east-1:123456789012:api-destination/d/1","RoleArn":"arn:aws:iam::123456789012:role/x",)"
        R"("InputTransformer":{"InputPathsMap":{"id":"$.id"},"InputTemplate":"{\"id\":<id>}"},)"
        R"("HttpParameters":{"PathParameterValues":["p"],"HeaderParameters":{"H":"v"},"QueryStringParameters":{"q":"$.id"}},)"
        R"("DeadLetterConfig":{"Arn":"arn:aws:sqs:us-east-1:123456789012:dead"},"RetryPolicy":{"MaximumRetryAttempts":0,"MaximumEventAgeInSeconds":60}})";
    const std::string fifo =
        R"({"Id":"b","Arn":"arn:aws:sqs:us-east-1:123456789012:q.fifo","Input":"{}","SqsParameters":{"MessageGroupId":"g"}})";
    const std::string stream =
        R"({"Id":"c","Arn":"arn:aws:kinesis:us-east-1:123456789012:stream/s","RoleArn":"arn:aws:iam::123456789012:role/x","InputPath":"$.detail","KinesisParameters":{"PartitionKeyPath":"$.id"}})";
    EXPECT_EQ(put_target(stream + "," + full + "," + fifo), none_failed);
    EXPECT_EQ(call("ListTargetsByRule", R"({"Rule":"r"})"), R"({"Targets":[)" + stream + "," + full + "," + fifo + "]}");
    // Put again, it stays where it was.
    EXPECT_EQ(put_target(R"({"Id":"a",)" + queue + "}"), none_failed);
    EXPECT_EQ(call("ListTargetsByRule", R"({"Rule":"r"})"),
              R"({"Targets":[)" + stream + R"(,{"Id":"a",)" + queue + "}," + fifo + "]}");
    const std::string page = call("ListTargetsByRule", R"({"Rule":"r","Limit":2})");
    EXPECT_EQ(call("ListTargetsByRule", R"({"Rule":"r","Limit":2,"NextToken":)" + member(page, "NextToken") + "}"),
              R"({"Targets":[)" + fifo + "]}");
    EXPECT_EQ(call("RemoveTargets", R"({"Rule":"r","Ids":["c","unknown","b"]})"), none_failed);
    EXPECT_EQ(call("ListTargetsByRule", R"({"Rule":"r"})"), R"({"Targets":[{"Id":"a",)" + queue + "}]}");
    EXPECT_EQ(call("RemoveTargets", R"({"Rule":"r","Ids":["unknown"]})"), none_failed);
    EXPECT_EQ(changed, 0u);
}

TEST_F(ApiTest, TargetsAreRefusedInAwssWords) {
    put_rule("r");
    struct Case {
        std::string_view target, refusal;
    };
    for (
        const Case& c : {
            Case{
                R"({"Id":"!@#$@!#$","Arn":"arn:aws:sqs:us-east-1:1:q"})",
                R"(1 validation error detected: Value '!@#$@!#$' at 'targets.1.member.id' failed to satisfy constraint: Member must satisfy regular expression pattern: [\.\-_A-Za-z0-9]+)"},
            {R"({"Id":"t"})",
             "1 validation error detected: Value null at 'targets.1.member.arn' failed to satisfy constraint: Member must not be "
             "null"},
            {R"({"Id":"t","Arn":"arn:aws:sqs:us-east-1:1:q"},{"Arn":"arn:aws:sqs:us-east-1:1:q"})",
             "1 validation error detected: Value null at 'targets.2.member.id' failed to satisfy constraint: Member must not be "
             "null"},
            {R"({"Id":"t","Arn":"arn:aws:sqs:us-east-1:1:q","RetryPolicy":{"MaximumRetryAttempts":186,"MaximumEventAgeInSeconds":59}})",
             "2 validation errors detected: Value '186' at 'targets.1.member.retryPolicy.maximumRetryAttempts' failed to satisfy "
             "constraint: Member must have value less than or equal to 185; "
             "Value '59' at 'targets.1.member.retryPolicy.maximumEventAgeInSeconds' failed to satisfy constraint: Member must "
             "have value greater than or equal to 60"},
            {R"({"Id":"t","Arn":"queue"})", "Parameter queue is not valid. Reason: Provided Arn is not in correct format."},
            {R"({"Id":"t","Arn":"arn:aws:s3:::bucket"})", "s3 is not a supported service for a target."},
            {R"({"Id":"t","Arn":"arn:aws:sqs:us-east-1:1:q","Input":"{}","InputPath":"$.detail"})",
             "Only one of Input, InputPath, or InputTransformer must be provided for target t."},
            {R"({"Id":"t","Arn":"arn:aws:sqs:us-east-1:1:q","Input":"{"})", "JSON syntax error in input for target t"},
            {R"({"Id":"t","Arn":"arn:aws:sqs:us-east-1:1:q","InputPath":"detail"})", "InputPath for target t is invalid."},
            {R"({"Id":"t","Arn":"arn:aws:sqs:us-east-1:1:q","InputTransformer":{"InputTemplate":"{\"a\":<b>}"}})",
             "InputTemplate for target t contains invalid placeholder b."},
            {R"({"Id":"t","Arn":"arn:aws:sqs:us-east-1:1:q","InputTransformer":{"InputPathsMap":{"a.b":"$.x"},"InputTemplate":"\"x\""}})",
             "1 validation error detected: Value '{a.b=$.x}' at 'targets.1.member.inputTransformer.inputPathsMap' failed to "
             "satisfy constraint: Map keys must satisfy constraint: "
             R"([Member must have length less than or equal to 256, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: [A-Za-z0-9\_\-]+])"},
            {R"({"Id":"t","Arn":"arn:aws:sqs:us-east-1:1:q.fifo"})",
             "Parameter(s) SqsParameters must be specified for target: t"},
            {R"({"Id":"t","Arn":"arn:aws:sqs:us-east-1:1:q","EcsParameters":{"TaskDefinitionArn":"x"}})",
             "Parameter(s) EcsParameters not supported for target: t"},
            {R"({"Id":"t","Arn":"arn:aws:codepipeline:us-east-1:1:p"})",
             "RoleArn is required for target arn:aws:codepipeline:us-east-1:1:p."},
            {R"({"Id":"t","Arn":"arn:aws:sqs:us-east-1:1:q","DeadLetterConfig":{"Arn":"arn:aws:sqs:us-east-1:1:d.fifo"}})",
             "SQS FIFO is not supported by Dead Letter Queues."},
            {R"({"Id":"t","Arn":"arn:aws:sqs:us-east-1:1:q"},{"Id":"t","Arn":"arn:aws:sqs:us-east-1:1:q"})",
             "Parameter targets is not valid. Reason: More than one target with Id 't' is provided."},
        })
        EXPECT_EQ(put_target(std::string(c.target)), "ValidationException: " + std::string(c.refusal));
    EXPECT_EQ(call("PutTargets", R"({"Rule":"r","Targets":[]})"),
              "ValidationException: 1 validation error detected: Value '[]' at 'targets' failed to satisfy constraint: Member "
              "must have length greater than or equal to 1");
    EXPECT_EQ(call("PutTargets", targets("x", R"({"Id":"t",)" + queue + "}")),
              "ResourceNotFoundException: Rule x does not exist on EventBus default.");
    EXPECT_EQ(call("RemoveTargets", R"({"Rule":"x","Ids":["t"]})"),
              "ResourceNotFoundException: Rule x does not exist on EventBus default.");
    EXPECT_EQ(call("ListTargetsByRule", R"({"Rule":"r"})"), R"({"Targets":[]})");
}

TEST_F(ApiTest, ARuleHasFiveTargetsAtMost) {
    put_rule("r");
    for (const char* id : {"1", "2", "3", "4", "5"})
        EXPECT_EQ(put_target(std::string(R"({"Id":")") + id + "\"," + queue + "}"), none_failed);
    EXPECT_EQ(put_target(R"({"Id":"6",)" + queue + "}"),
              "LimitExceededException: The requested resource exceeds the maximum number allowed.");
    EXPECT_EQ(put_target(R"({"Id":"5",)" + queue + "}"), none_failed);
    limits.targets_a_rule = 6;
    EXPECT_EQ(put_target(R"({"Id":"6",)" + queue + "}"), none_failed);
}

// -- tags --

TEST_F(ApiTest, BusesAndRulesHaveTags) {
    call("CreateEventBus", R"({"Name":"orders","Tags":[{"Key":"k","Value":"v"}]})");
    put_rule("r", R"(,"EventBusName":"orders")");
    put_rule("d");
    for (const char* resource : {"event-bus/orders", "event-bus/default", "rule/orders/r", "rule/d"}) {
        const std::string which = R"({"ResourceARN":")" + arn(resource) + "\"";
        EXPECT_EQ(
            call("TagResource", which + R"(,"Tags":[{"Key":"b","Value":"1"},{"Key":"a","Value":""},{"Key":"k","Value":"w"}]})"),
            "{}");
        EXPECT_EQ(call("ListTagsForResource", which + "}"),
                  R"({"Tags":[{"Key":"a","Value":""},{"Key":"b","Value":"1"},{"Key":"k","Value":"w"}]})");
        EXPECT_EQ(call("UntagResource", which + R"(,"TagKeys":["b","a","x"]})"), "{}");
        EXPECT_EQ(call("ListTagsForResource", which + "}"), R"({"Tags":[{"Key":"k","Value":"w"}]})");
    }
    EXPECT_EQ(call("TagResource", R"({"ResourceARN":")" + arn("rule/nope") + R"(","Tags":[]})"),
              "ResourceNotFoundException: Rule nope does not exist on EventBus default.");
    EXPECT_EQ(call("ListTagsForResource", R"({"ResourceARN":")" + arn("rule/no/pe") + "\"}"),
              "ResourceNotFoundException: Event bus no does not exist.");
    EXPECT_EQ(call("ListTagsForResource", R"({"ResourceARN":"rule"})"),
              "ValidationException: Parameter rule is not valid. Reason: Provided Arn is not in correct format.");
    EXPECT_EQ(call("ListTagsForResource", R"({"ResourceARN":")" + arn("archive/a") + "\"}").substr(0, 20),
              "ValidationException:");
    EXPECT_EQ(
        call("TagResource", R"({"ResourceARN":")" + arn("rule/d") + R"(","Tags":[{"Key":"aws:x","Value":"1"}]})").substr(0, 20),
        "ValidationException:");
    limits.tags = 2;
    EXPECT_EQ(call("TagResource",
                   R"({"ResourceARN":")" + arn("rule/d") + R"(","Tags":[{"Key":"l","Value":"1"},{"Key":"m","Value":"1"}]})")
                  .substr(0, 20),
              "ValidationException:");
    EXPECT_EQ(call("ListTagsForResource", R"({"ResourceARN":")" + arn("rule/d") + "\"}"),
              R"({"Tags":[{"Key":"k","Value":"w"}]})");
}

// -- TestEventPattern --

TEST_F(ApiTest, PatternsAreTestedAgainstAnEvent) {
    const std::string event =
        R"({"id":"1","account":"1","source":"shop","time":"2024-01-01T00:00:00Z","region":"us-east-1","resources":[],"detail-type":"t","detail":{"n":5,"s":"hello"}})";
    auto test = [&](std::string_view pattern, std::string_view with) {
        std::string body;
        JsonWriter w(body);
        w.begin_object().key("EventPattern").text(pattern).key("Event").text(with).end_object();
        return call("TestEventPattern", body);
    };
    const std::string yes = R"({"Result":true})", no = R"({"Result":false})",
                      invalid = "InvalidEventPatternException: Event pattern is not valid. Reason: ";
    EXPECT_EQ(test(R"({"source":["shop"]})", event), yes);
    EXPECT_EQ(test(R"({"source":["shop"],"source":["other"]})", event), no);  // the last of a key that comes twice
    EXPECT_EQ(test(R"({"detail":{"s":[{"wildcard":"hello*"}],"n":[{"numeric":[">",0,"<=",5]}]}})", event), yes);
    EXPECT_EQ(test(R"({"detail":{"s":[{"anything-but":"hello"}]}})", event), no);
    EXPECT_EQ(test(R"({"detail":{"n":42}})", event), invalid + R"("n" must be an object or an array)");
    EXPECT_EQ(test(R"({"detail":{"n":[{"EXISTS":true}]}})", event), invalid + "Unrecognized match type EXISTS");
    EXPECT_EQ(test(R"({"detail":{"n":[{"numeric":[">",0,">",0]}]}})", event), invalid + "Bad numeric range operator: >");
    EXPECT_EQ(test(R"({"detail":{"s":[{"prefix":["a"]}]}})", event), invalid + "prefix match pattern must be a string");
    EXPECT_EQ(test(R"({'source':['shop']})", event).substr(0, invalid.size()), invalid);
    for (const char* bad : {R"(["plain string"])", R"({"testEvent":"value"})", "", "{"})
        EXPECT_EQ(test(R"({"source":["shop"]})", bad), "ValidationException: Parameter Event is not valid.") << bad;
    EXPECT_EQ(test("", "").substr(0, 20), "ValidationException:");
    EXPECT_EQ(call("TestEventPattern", "{}").substr(0, 52), "ValidationException: 2 validation errors detected: V");
}

}  // namespace
}  // namespace waybill::bus
