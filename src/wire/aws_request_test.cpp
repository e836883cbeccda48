#include "wire/aws_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wire/aws_error.h"

namespace waybill::wire {
namespace {

using http::Head;
using testing::Contains;
using testing::HasSubstr;
using testing::Pair;

const std::string events_scope =
    "AWS4-HMAC-SHA256 Credential=123456789012/20260301/eu-west-1/events/aws4_request, SignedHeaders=host, Signature=00";
std::string scope_of(std::string_view service) {
    return "AWS4-HMAC-SHA256 Credential=AKID/20260301/us-east-1/" + std::string(service) +
           "/aws4_request,SignedHeaders=host,Signature=00";
}

TEST(AwsRequest, json_is_told_by_its_target) {
    auto r = recognise_aws_request(Head::make("POST", "/",
                                              {{"X-Amz-Target", "AWSEvents.PutEvents"},
                                               {"Content-Type", "application/x-amz-json-1.1"},
                                               {"Authorization", events_scope}}),
                                   "{}");
    ASSERT_TRUE(r);
    EXPECT_EQ(r->protocol, Protocol::json_1_1);
    EXPECT_EQ(r->service, "events");
    EXPECT_EQ(r->operation, "PutEvents");
    EXPECT_EQ(r->target, "AWSEvents");
    EXPECT_EQ(r->region, "eu-west-1");
    EXPECT_EQ(r->account, "123456789012");
    auto sqs = recognise_aws_request(
        Head::make("POST", "/",
                   {{"x-amz-target", "AmazonSQS.SendMessage"}, {"content-type", "application/x-amz-json-1.0; charset=utf-8"}}),
        "{}");
    ASSERT_TRUE(sqs);
    EXPECT_EQ(sqs->protocol, Protocol::json_1_0);
    EXPECT_EQ(sqs->service, "sqs");
    EXPECT_EQ(sqs->region, "");
    auto unknown = recognise_aws_request(
        Head::make("POST", "/", {{"X-Amz-Target", "Kinesis_20131202.PutRecord"}, {"Authorization", scope_of("kinesis")}}), "{}");
    ASSERT_TRUE(unknown);
    EXPECT_EQ(unknown->service, "kinesis");
    EXPECT_FALSE(recognise_aws_request(Head::make("POST", "/", {{"X-Amz-Target", "<script>.x y"}}), "{}"));
}

TEST(AwsRequest, cbor_is_told_by_its_path) {
    auto r = recognise_aws_request(Head::make("POST", "/service/GraniteServiceVersion20100801/operation/PutMetricData",
                                              {{"smithy-protocol", "rpc-v2-cbor"},
                                               {"Content-Type", "application/cbor"},
                                               {"Authorization", scope_of("monitoring")}}),
                                   "\xa0");
    ASSERT_TRUE(r);
    EXPECT_EQ(r->protocol, Protocol::rpc_v2_cbor);
    EXPECT_EQ(r->service, "monitoring");
    EXPECT_EQ(r->operation, "PutMetricData");
}

TEST(AwsRequest, query_is_told_by_its_action) {
    auto r =
        recognise_aws_request(Head::make("POST", "/", {{"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"}}),
                              "Action=Publish&Version=2010-03-31&TopicArn=arn%3Aaws%3Asns&Message=a+b%21&Message=c");
    ASSERT_TRUE(r);
    EXPECT_EQ(r->protocol, Protocol::query);
    EXPECT_EQ(r->service, "sns");
    EXPECT_EQ(r->operation, "Publish");
    EXPECT_EQ(r->parameter("TopicArn"), "arn:aws:sns");
    EXPECT_EQ(r->parameter("Message"), "a b!");
    EXPECT_EQ(r->parameter("None"), std::nullopt);
    auto get = recognise_aws_request(Head::make("GET", "/?Action=ConfirmSubscription&Version=2010-03-31&Token=t"), "");
    ASSERT_TRUE(get);
    EXPECT_EQ(get->operation, "ConfirmSubscription");
    auto by_scope = recognise_aws_request(Head::make("POST", "/000000000000/queue", {{"Authorization", scope_of("sqs")}}),
                                          "QueueUrl=x&Action=SendMessage");
    ASSERT_TRUE(by_scope);
    EXPECT_EQ(by_scope->service, "sqs");
    EXPECT_EQ(by_scope->operation, "SendMessage");
}

TEST(AwsRequest, rest_json_is_what_is_left_and_signed_or_known) {
    auto lambda = recognise_aws_request(Head::make("GET", "/2015-03-31/functions"), "");
    ASSERT_TRUE(lambda);
    EXPECT_EQ(lambda->protocol, Protocol::rest_json);
    EXPECT_EQ(lambda->service, "lambda");
    EXPECT_EQ(lambda->operation, "");
    auto signed_one =
        recognise_aws_request(Head::make("POST", "/create-response-plan", {{"Authorization", scope_of("ssm-incidents")}}), "{}");
    ASSERT_TRUE(signed_one);
    EXPECT_EQ(signed_one->service, "ssm-incidents");
    auto presigned = recognise_aws_request(
        Head::make("GET",
                   "/x?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20260301%2Fus-east-1%2Flambda%2Faws4_request"),
        "");
    ASSERT_TRUE(presigned);
    EXPECT_EQ(presigned->service, "lambda");
}

TEST(AwsRequest, other_requests_are_not_aws) {
    EXPECT_FALSE(recognise_aws_request(Head::make("GET", "/"), ""));
    EXPECT_FALSE(recognise_aws_request(Head::make("GET", "/api/v1/executions?Action=x"), ""));
    EXPECT_FALSE(recognise_aws_request(Head::make("POST", "/events", {{"Content-Type", "application/json"}}), "{\"Action=\":1}"));
    EXPECT_FALSE(recognise_aws_request(Head::make("GET", "/2015-03-31/functionsX"), ""));
    EXPECT_FALSE(recognise_aws_request(Head::make("POST", "/login", {{"Content-Type", "application/x-www-form-urlencoded"}}),
                                       "user=a&password=b"));
    EXPECT_FALSE(recognise_aws_request(Head::make("GET", "/", {{"Authorization", "Bearer AWS4"}}), ""));
}

AwsRequest request(Protocol protocol, std::string service, std::string operation) {
    AwsRequest r;
    r.protocol = protocol;
    r.service = std::move(service);
    r.operation = std::move(operation);
    return r;
}

TEST(AwsError, each_protocol_carries_an_error_its_own_way) {
    AwsError error{"ResourceNotFoundException", "no <bus> \"x\"", 400};
    auto json = error_answer(request(Protocol::json_1_1, "events", "DescribeRule"), error, "id-1");
    EXPECT_EQ(json.status, 400);
    EXPECT_EQ(json.body, R"({"__type":"ResourceNotFoundException","message":"no <bus> \"x\""})");
    EXPECT_THAT(json.headers, Contains(Pair("x-amzn-RequestId", "id-1")));
    EXPECT_THAT(json.headers, Contains(Pair("x-amzn-ErrorType", "ResourceNotFoundException")));
    EXPECT_THAT(json.headers, Contains(Pair("Content-Type", "application/x-amz-json-1.1")));
    auto query = error_answer(request(Protocol::query, "sns", "Publish"), error, "id-2");
    EXPECT_EQ(
        query.body,
        "<ErrorResponse "
        "xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><Error><Type>Sender</Type><Code>ResourceNotFoundException</Code>"
        "<Message>no &lt;bus&gt; &quot;x&quot;</Message></Error><RequestId>id-2</RequestId></ErrorResponse>");
    EXPECT_THAT(query.headers, Contains(Pair("Content-Type", "text/xml")));
    AwsError queue{"QueueDoesNotExist", "none", 400, Fault::sender, "AWS.SimpleQueueService.NonExistentQueue"};
    auto sqs = error_answer(request(Protocol::json_1_0, "sqs", "SendMessage"), queue, "id");
    EXPECT_THAT(sqs.headers, Contains(Pair("x-amzn-query-error", "AWS.SimpleQueueService.NonExistentQueue;Sender")));
    auto cbor = error_answer(request(Protocol::rpc_v2_cbor, "monitoring", "PutMetricData"),
                             AwsError{"E", "m", 500, Fault::receiver}, "id");
    EXPECT_EQ(cbor.body, "\xa2\x66__type\x61\x45\x67message\x61m");
    EXPECT_THAT(cbor.headers, Contains(Pair("smithy-protocol", "rpc-v2-cbor")));
    EXPECT_THAT(cbor.headers, Contains(Pair("x-amzn-query-error", "E;Receiver")));
}

TEST(AwsError, unknown_operations_are_named_in_every_protocol) {
    for (Protocol p : {Protocol::json_1_0, Protocol::json_1_1, Protocol::query, Protocol::rpc_v2_cbor}) {
        AwsRequest r = request(p, "events", "PutTheCat");
        AwsError e = unknown_operation(r);
        EXPECT_EQ(e.code, p == Protocol::query ? "InvalidAction" : "UnknownOperationException");
        EXPECT_THAT(e.message, HasSubstr("PutTheCat"));
        EXPECT_THAT(error_answer(r, e, "id").body, HasSubstr("PutTheCat"));
    }
    AwsError rest = unknown_operation(request(Protocol::rest_json, "lambda", ""), "GET", "/2015-03-31/cats");
    EXPECT_EQ(rest.code, "UnknownOperationException");
    EXPECT_THAT(rest.message, HasSubstr("GET /2015-03-31/cats"));
}

TEST(AwsError, every_kind_has_a_code) {
    for (ErrorKind kind : {ErrorKind::invalid, ErrorKind::not_found, ErrorKind::conflict, ErrorKind::overloaded,
                           ErrorKind::unavailable, ErrorKind::corrupt, ErrorKind::unsupported}) {
        for (Protocol p : {Protocol::json_1_1, Protocol::query}) {
            AwsError e = aws_error(Error{kind, "m"}, p);
            EXPECT_FALSE(e.code.empty());
            EXPECT_EQ(e.code.ends_with("Exception"), p != Protocol::query && kind != ErrorKind::corrupt) << e.code;
            EXPECT_EQ(e.status >= 500, e.fault == Fault::receiver);
        }
    }
}

TEST(AwsAnswer, query_and_caller_identity) {
    AwsRequest r = request(Protocol::query, "sts", "GetCallerIdentity");
    auto xml = caller_identity_answer(r, "123456789012", "id");
    EXPECT_EQ(
        xml.body,
        "<GetCallerIdentityResponse "
        "xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:root</Arn>"
        "<UserId>123456789012</UserId><Account>123456789012</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>id</"
        "RequestId>"
        "</ResponseMetadata></GetCallerIdentityResponse>");
    r.protocol = Protocol::json_1_1;
    EXPECT_EQ(caller_identity_answer(r, "1", "id").body, R"({"Account":"1","Arn":"arn:aws:iam::1:root","UserId":"1"})");
    EXPECT_THAT(query_answer(request(Protocol::query, "sns", "TagResource"), "", "id").body, testing::Not(HasSubstr("Result>")));
    EXPECT_EQ(json_answer(request(Protocol::rest_json, "lambda", ""), "", "id", 204).body, "");
}

TEST(Xml, text_is_escaped) { EXPECT_EQ(xml_text("a<b>&\"\r\n\x01"), "a&lt;b&gt;&amp;&quot;&#xD;\n\xef\xbf\xbd"); }

TEST(Cbor, text_of_every_length) {
    for (size_t n : {0u, 23u, 24u, 255u, 256u, 65535u, 65536u}) {
        std::string out;
        cbor_text(out, std::string(n, 'x'));
        size_t head = n < 24 ? 1 : n < 256 ? 2 : n < 65536 ? 3 : 5;
        EXPECT_EQ(out.size(), n + head);
    }
}

}  // namespace
}  // namespace waybill::wire
