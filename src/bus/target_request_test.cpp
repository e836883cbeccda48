#include "bus/target_request.h"

#include <gtest/gtest.h>

#include "wire/sigv4.h"

namespace waybill::bus {
namespace {

using Verdict = TargetAnswer::Verdict;

const std::string event =
    R"({"version":"0","id":"e-1","detail-type":"t","source":"my.app","account":"0","time":"2026-04-19T12:42:28Z","region":"us-east-1","resources":["a"],"detail":{"n":1.0}})";
const DeliveryContext context{"e-1", "d/1:x", 1776602548000};

std::vector<AwsCall> calls(std::string_view arn, std::string_view payload = event, const TargetParameters& parameters = {},
                           std::string_view endpoint = {}) {
    auto made = aws_calls(*parse_arn(arn), parameters, payload, context, endpoint);
    EXPECT_TRUE(made.ok()) << (made.ok() ? "" : made.error().message);
    return made.ok() ? *made : std::vector<AwsCall>(2);
}
std::string field(const AwsCall& call, std::string_view name) {
    for (const auto& [key, value] : call.request.headers)
        if (key == name) return value;
    return "none";
}

TEST(TargetRequests, Sqs) {
    const auto made = calls("arn:aws:sqs:us-east-1:123456789012:q.fifo", R"("a \"b\"")", {.message_group_id = "g"});
    ASSERT_EQ(made.size(), 1u);
    const AwsCall& call = made[0];
    EXPECT_EQ(call.service, "sqs");
    EXPECT_EQ(call.region, "us-east-1");
    EXPECT_EQ(call.request.method, "POST");
    EXPECT_EQ(call.request.url, "https://sqs.us-east-1.amazonaws.com/");
    EXPECT_EQ(field(call, "X-Amz-Target"), "AmazonSQS.SendMessage");
    EXPECT_EQ(field(call, "Content-Type"), "application/x-amz-json-1.0");
    EXPECT_EQ(
        call.request.body,
        R"({"QueueUrl":"https://sqs.us-east-1.amazonaws.com/123456789012/q.fifo","MessageBody":"\"a \\\"b\\\"\"","MessageGroupId":"g"})");
    const auto elsewhere = calls("arn:aws:sqs:us-east-1:1:q", "x", {}, "http://localhost:9324/");
    EXPECT_EQ(elsewhere[0].request.url, "http://localhost:9324/");
    EXPECT_EQ(elsewhere[0].request.body, R"({"QueueUrl":"http://localhost:9324/1/q","MessageBody":"x"})");
    EXPECT_EQ(calls("arn:aws-cn:sqs:cn-north-1:1:q")[0].request.url, "https://sqs.cn-north-1.amazonaws.com.cn/");
}

TEST(TargetRequests, Sns) {
    const auto made = calls("arn:aws:sns:eu-west-1:1:topic", "a b&c=ü");
    EXPECT_EQ(made[0].service, "sns");
    EXPECT_EQ(field(made[0], "Content-Type"), "application/x-www-form-urlencoded; charset=utf-8");
    EXPECT_EQ(made[0].request.body,
              "Action=Publish&Version=2010-03-31&TopicArn=arn%3Aaws%3Asns%3Aeu-west-1%3A1%3Atopic&Message=a%20b%26c%3D%C3%BC");
}

TEST(TargetRequests, LambdaPathsAreSignedAsTheServiceReadsThem) {
    const auto made = calls("arn:aws:lambda:us-east-1:1:function:f:live");
    EXPECT_EQ(made[0].request.url,
              "https://lambda.us-east-1.amazonaws.com/2015-03-31/functions/"
              "arn%3Aaws%3Alambda%3Aus-east-1%3A1%3Afunction%3Af%3Alive/invocations");
    EXPECT_EQ(field(made[0], "X-Amz-Invocation-Type"), "Event");
    EXPECT_EQ(made[0].request.body, event);
    const std::string path = made[0].request.url.substr(std::string("https://lambda.us-east-1.amazonaws.com").size());
    const auto canonical = wire::canonical_request("POST", path, "", {}, "", "lambda");
    EXPECT_NE(canonical.text.find("/2015-03-31/functions/arn%253Aaws%253Alambda%253A"), std::string::npos) << canonical.text;
}

TEST(TargetRequests, CodePipeline) {
    const std::string arn = "arn:aws:codepipeline:us-east-1:1:deploy";
    const auto made = calls(arn, event, {.role_arn = "arn:aws:iam::1:role/start"});
    EXPECT_EQ(made[0].service, "codepipeline");
    EXPECT_EQ(made[0].role_arn, "arn:aws:iam::1:role/start");
    EXPECT_EQ(field(made[0], "X-Amz-Target"), "CodePipeline_20150709.StartPipelineExecution");
    EXPECT_EQ(made[0].request.body, R"({"name":"deploy","clientRequestToken":"d-1-x"})");
    EXPECT_EQ(
        calls(
            arn,
            R"({"sourceRevisions":{"actionName":"S","revisionType":"COMMIT_ID","revisionValue":"f"},"variables":[{"name":"v","value":"1"}],"other":1})")
            [0]
                .request.body,
        R"({"name":"deploy","clientRequestToken":"d-1-x","sourceRevisions":[{"actionName":"S","revisionType":"COMMIT_ID","revisionValue":"f"}],"variables":[{"name":"v","value":"1"}]})");
    EXPECT_EQ(calls(arn, R"("text")")[0].request.body, R"({"name":"deploy","clientRequestToken":"d-1-x"})");
}

TEST(TargetRequests, StepFunctions) {
    const auto made = calls("arn:aws:states:us-east-1:1:stateMachine:m", R"({"a":1.0})");
    EXPECT_EQ(field(made[0], "X-Amz-Target"), "AWSStepFunctions.StartExecution");
    EXPECT_EQ(made[0].request.body,
              R"({"stateMachineArn":"arn:aws:states:us-east-1:1:stateMachine:m","name":"d-1-x","input":"{\"a\":1.0}"})");
}

TEST(TargetRequests, LogsAreTwoCalls) {
    const std::string arn = "arn:aws:logs:us-east-1:1:log-group:/aws/events/x:*";
    const auto made = calls(arn, "line");
    ASSERT_EQ(made.size(), 2u);
    EXPECT_EQ(field(made[0], "X-Amz-Target"), "Logs_20140328.CreateLogStream");
    EXPECT_EQ(made[0].request.body, R"({"logGroupName":"/aws/events/x","logStreamName":"e-1"})");
    EXPECT_EQ(made[0].passable, std::vector<std::string>{"ResourceAlreadyExistsException"});
    EXPECT_EQ(field(made[1], "X-Amz-Target"), "Logs_20140328.PutLogEvents");
    EXPECT_EQ(
        made[1].request.body,
        R"({"logGroupName":"/aws/events/x","logStreamName":"e-1","logEvents":[{"timestamp":1776602548000,"message":"line"}]})");
    EXPECT_NE(calls(arn, R"({"timestamp": 17, "message": "a\nb"})")[1].request.body.find(
                  R"("logEvents":[{"timestamp":17,"message":"a\nb"}])"),
              std::string::npos);
    EXPECT_NE(calls(arn, R"({"timestamp": "2026-04-19T12:42:29Z", "message": {"a":1}})")[1].request.body.find(
                  R"("logEvents":[{"timestamp":1776602549000,"message":"{\"a\":1}"}])"),
              std::string::npos);
    EXPECT_NE(calls(arn, R"({"timestamp":17,"message":"m","more":1})")[1].request.body.find(
                  R"("timestamp":1776602548000,"message":"{\"timestamp\":17,)"),
              std::string::npos);
}

TEST(TargetRequests, AnotherBus) {
    const std::string arn = "arn:aws:events:eu-west-1:2:event-bus/orders";
    const auto made = calls(arn);
    EXPECT_EQ(made[0].service, "events");
    EXPECT_EQ(made[0].region, "eu-west-1");
    EXPECT_EQ(field(made[0], "X-Amz-Target"), "AWSEvents.PutEvents");
    EXPECT_EQ(
        made[0].request.body,
        R"({"Entries":[{"EventBusName":"arn:aws:events:eu-west-1:2:event-bus/orders","Source":"my.app","DetailType":"t","Detail":"{\"n\":1.0}","Resources":["a"],"Time":1776602548}]})");
    for (std::string_view payload :
         {R"("text")", R"({"source":"a","detail-type":"b"})", R"({"source":"a","detail-type":"b","detail":[1]})",
          R"({"source":1,"detail-type":"b","detail":{}})", "{"})
        EXPECT_FALSE(aws_calls(*parse_arn(arn), {}, payload, context).ok()) << payload;
}

TEST(TargetRequests, WhatNothingServesSaysSo) {
    for (std::string_view arn : {"arn:aws:kinesis:us-east-1:1:stream/s", "arn:aws:events:us-east-1:1:api-destination/d/u"}) {
        auto made = aws_calls(*parse_arn(arn), {}, event, context);
        ASSERT_FALSE(made.ok());
        EXPECT_EQ(made.error().kind, ErrorKind::unsupported);
    }
}

TEST(TargetRequests, ParametersAreRefusedAsMeasured) {
    auto refusal = [](std::string_view arn, const TargetParameters& parameters) {
        auto result = check_parameters(*parse_arn(arn), parameters, "t1", "us-east-1");
        return result.ok() ? "accepted" : result.error().message;
    };
    EXPECT_EQ(refusal("arn:aws:codepipeline:us-east-1:1:p", {}),
              "RoleArn is required for target arn:aws:codepipeline:us-east-1:1:p.");
    EXPECT_EQ(refusal("arn:aws:codepipeline:us-east-1:1:p", {.role_arn = "r"}), "accepted");
    for (std::string_view arn : {"arn:aws:sqs:us-east-1:1:q", "arn:aws:sns:us-east-1:1:t",
                                 "arn:aws:lambda:us-east-1:1:function:f", "arn:aws:logs:us-east-1:1:log-group:g"})
        EXPECT_EQ(refusal(arn, {}), "accepted") << arn;
    EXPECT_EQ(refusal("arn:aws:sqs:us-east-1:1:q.fifo", {}), "Parameter(s) SqsParameters must be specified for target: t1");
    EXPECT_EQ(refusal("arn:aws:sns:us-east-1:1:t", {.message_group_id = "any"}), "accepted");
    EXPECT_EQ(refusal("arn:aws:sns:us-east-1:1:t", {.http = HttpParameters{}}),
              "Parameter(s) HttpParameters not supported for target: t1");
    EXPECT_EQ(refusal("arn:aws:events:us-east-1:1:api-destination/d/u", {.role_arn = "r", .http = HttpParameters{}}), "accepted");
    EXPECT_EQ(refusal("arn:aws:sns:us-east-1:1:t", {.dead_letter_arn = "arn:aws:sns:us-east-1:1:t"}),
              "sns is not supported as a dead letter resource.");
    EXPECT_EQ(refusal("arn:aws:sns:us-east-1:1:t", {.dead_letter_arn = "arn:aws:sqs:us-east-1:1:q.fifo"}),
              "SQS FIFO is not supported by Dead Letter Queues.");
    EXPECT_NE(refusal("arn:aws:sns:us-east-1:1:t", {.dead_letter_arn = "arn:aws:sqs:eu-west-1:1:q"}), "accepted");
    EXPECT_NE(refusal("arn:aws:sns:us-east-1:1:t", {.dead_letter_arn = "queue"}), "accepted");
    EXPECT_EQ(refusal("arn:aws:sns:us-east-1:1:t", {.dead_letter_arn = "arn:aws:sqs:us-east-1:1:q"}), "accepted");
}

http::ClientResponse response(int status, std::string body = {}, std::vector<std::pair<std::string, std::string>> headers = {}) {
    http::ClientResponse r;
    r.status = status;
    r.body = std::move(body);
    r.headers = std::move(headers);
    return r;
}
std::string verdict(const TargetAnswer& answer) {
    if (answer.verdict == Verdict::delivered) return "delivered";
    return (answer.verdict == Verdict::again ? "again " : "never ") + answer.error_code;
}

TEST(TargetAnswers, ByStatusAndCode) {
    struct Case {
        TargetKind kind;
        int status;
        std::string body, expected;
    };
    for (const Case& c :
         {Case{TargetKind::sqs, 200, "{}", "delivered"},
          Case{TargetKind::lambda, 202, "", "delivered"},
          Case{TargetKind::sqs, 400, R"({"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"m"})", "never NO_RESOURCE"},
          Case{TargetKind::sqs, 400, R"({"__type":"AWS.SimpleQueueService.NonExistentQueue"})", "never NO_RESOURCE"},
          Case{TargetKind::sqs, 400, R"({"__type":"com.amazonaws.sqs#RequestThrottled"})", "again THROTTLING"},
          Case{TargetKind::sns, 404,
               "<ErrorResponse><Error><Type>Sender</Type><Code>NotFound</Code><Message>Topic does not "
               "exist</Message></Error></ErrorResponse>",
               "never NO_RESOURCE"},
          Case{TargetKind::sns, 403, "<ErrorResponse><Error><Code>AuthorizationError</Code></Error></ErrorResponse>",
               "never NO_PERMISSIONS"},
          Case{TargetKind::sns, 400, "<ErrorResponse><Error><Code>InvalidParameter</Code></Error></ErrorResponse>",
               "never INVALID_PARAMETER"},
          Case{TargetKind::lambda, 404, R"({"Message":"Function not found"})", "never NO_RESOURCE"},
          Case{TargetKind::lambda, 429, "", "again THROTTLING"},
          Case{TargetKind::lambda, 409, R"({"__type":"ResourceConflictException"})", "again RESOURCE_MODIFICATION_COLLISION"},
          Case{TargetKind::lambda, 400, R"({"__type":"InvalidRequestContentException"})", "never INVALID_JSON"},
          Case{TargetKind::pipeline, 400, R"({"__type":"PipelineNotFoundException"})", "never NO_RESOURCE"},
          Case{TargetKind::pipeline, 400, R"({"__type":"ConcurrentPipelineExecutionsLimitExceededException"})",
               "again THROTTLING"},
          Case{TargetKind::pipeline, 400, R"({"__type":"AccessDeniedException"})", "never NO_PERMISSIONS"},
          Case{TargetKind::pipeline, 400, R"({"__type":"ExpiredTokenException"})", "again SDK_CLIENT_ERROR"},
          Case{TargetKind::pipeline, 403, R"({"__type":"ExpiredTokenException"})", "again SDK_CLIENT_ERROR"},
          Case{TargetKind::state_machine, 400, R"({"__type":"ExecutionAlreadyExists"})", "delivered"},
          Case{TargetKind::state_machine, 400, R"({"__type":"ExecutionLimitExceeded"})", "again RESOURCE_LIMIT_EXCEEDED"},
          Case{TargetKind::state_machine, 400, R"({"__type":"StateMachineDoesNotExist"})", "never NO_RESOURCE"},
          Case{TargetKind::state_machine, 400, R"({"__type":"InvalidExecutionInput"})", "never INVALID_JSON"},
          Case{TargetKind::log_group, 400, R"({"__type":"ResourceAlreadyExistsException"})", "never RESOURCE_ALREADY_EXISTS"},
          Case{TargetKind::log_group, 400, R"({"__type":"SomethingElse"})", "never SDK_CLIENT_ERROR"},
          Case{TargetKind::sqs, 500, "", "again ERROR_FROM_TARGET"},
          Case{TargetKind::sqs, 503, "<html>", "again ERROR_FROM_TARGET"},
          Case{TargetKind::sqs, 408, "", "again TIMEOUT"},
          Case{TargetKind::event_bus, 200, R"({"FailedEntryCount":0,"Entries":[{"EventId":"e"}]})", "delivered"},
          Case{TargetKind::event_bus, 200,
               R"({"FailedEntryCount":1,"Entries":[{"ErrorCode":"ThrottlingException","ErrorMessage":"m"}]})",
               "again THROTTLING"},
          Case{TargetKind::event_bus, 200, R"({"FailedEntryCount":1,"Entries":[{"ErrorCode":"InternalFailure"}]})",
               "again ERROR_FROM_TARGET"},
          Case{TargetKind::event_bus, 200,
               R"({"FailedEntryCount":1,"Entries":[{"ErrorCode":"NotAuthorizedForSourceException"}]})", "never NO_PERMISSIONS"}})
        EXPECT_EQ(verdict(read_answer(c.kind, response(c.status, c.body), 0)), c.expected) << c.status << " " << c.body;
}

TEST(TargetAnswers, TheCodeMayStandInAHeader) {
    EXPECT_EQ(fault_in(response(400, "", {{"x-amzn-ErrorType", "ResourceNotFoundException:http://internal.amazon.com/"}})).code,
              "ResourceNotFoundException");
    EXPECT_EQ(fault_in(response(400, R"({"__type":"a#B","Message":"m\n"})", {{"x-amzn-query-error", "X.Y;Sender"}})).code, "B");
    EXPECT_EQ(fault_in(response(400, "", {{"x-amzn-query-error", "X.Y;Sender"}})).code, "X.Y");
    const TargetAnswer answer = read_answer(TargetKind::sqs, response(400, R"({"__type":"a#B","message":"why"})"), 0);
    EXPECT_EQ(answer.error_message, "B: why");
}

TEST(TargetAnswers, RetryAfter) {
    EXPECT_EQ(retry_after_ms("7", 0), 7000);
    EXPECT_EQ(retry_after_ms("0", 0), 0);
    EXPECT_EQ(retry_after_ms("-1", 0), -1);
    EXPECT_EQ(retry_after_ms("100000000", 0), 86'400'000);
    EXPECT_EQ(retry_after_ms("99999999999999999999999", 0), 86'400'000);
    EXPECT_EQ(retry_after_ms("-99999999999999999999999", 0), -1);
    const TimeMs now = *parse_time("2026-04-19T12:00:00Z");
    EXPECT_EQ(retry_after_ms("Sun, 19 Apr 2026 12:00:30 GMT", now), 30'000);
    EXPECT_EQ(retry_after_ms("Sun, 19 Apr 2026 11:00:30 GMT", now), 0);
    EXPECT_EQ(retry_after_ms("Sun, 19 Apr 2027 12:00:30 GMT", now), 86'400'000);
    for (std::string_view bad : {"", "soon", "7s", "1.5", "Sun, 19 Apx 2026 12:00:30 GMT", "Sun, 99 Apr 2026 12:00:30 GMT"})
        EXPECT_EQ(retry_after_ms(bad, now), std::nullopt) << bad;
    EXPECT_EQ(read_answer(TargetKind::sqs, response(503, "", {{"Retry-After", "5"}}), 0).retry_after_ms, 5000);
}

TEST(TargetAnswers, FailuresOnTheWay) {
    using Kind = http::ClientFailure::Kind;
    EXPECT_EQ(verdict(read_failure({Kind::timeout, "t"})), "again TIMEOUT");
    EXPECT_EQ(verdict(read_failure({Kind::connect, "t"})), "again CONNECTION_FAILURE");
    EXPECT_EQ(verdict(read_failure({Kind::broken, "t"})), "again CONNECTION_FAILURE");
    EXPECT_EQ(verdict(read_failure({Kind::stopped, "t"})), "again INTERNAL_ERROR");
    EXPECT_EQ(verdict(read_failure({Kind::refused_address, "t"})), "never SDK_CLIENT_ERROR");
}

}  // namespace
}  // namespace waybill::bus
