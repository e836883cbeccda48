#include "bus/arn.h"

#include <gtest/gtest.h>

namespace waybill::bus {
namespace {

TEST(Arns, AreTakenApart) {
    const auto arn = parse_arn("arn:aws:lambda:us-east-1:123456789012:function:name:alias");
    ASSERT_TRUE(arn);
    EXPECT_EQ(*arn, (Arn{"aws", "lambda", "us-east-1", "123456789012", "function:name:alias"}));
    EXPECT_EQ(arn->text(), "arn:aws:lambda:us-east-1:123456789012:function:name:alias");
    EXPECT_EQ(parse_arn("arn:aws:s3:::bucket/key"), (Arn{"aws", "s3", "", "", "bucket/key"}));
    for (std::string_view bad : {"", "arn", "arn:", "arn:aws:sqs:r:a", "arn:aws:sqs:r:a:", "arn::sqs:r:a:q", "arn:aws::r:a:q",
                                 "ARN:aws:sqs:r:a:q", "arn:aws:sqs:r:a:q q"})
        EXPECT_FALSE(parse_arn(bad)) << bad;
    EXPECT_TRUE(parse_arn("arn:aws:sqs:r:a:" + std::string(1584, 'q')));
    EXPECT_FALSE(parse_arn("arn:aws:sqs:r:a:" + std::string(1585, 'q')));
}

TEST(Arns, AreMadeAsEventBridgeMakesThem) {
    EXPECT_EQ(event_bus_arn("us-east-1", "000000000000", "default"), "arn:aws:events:us-east-1:000000000000:event-bus/default");
    EXPECT_EQ(rule_arn("us-east-1", "000000000000", "default", "r"), "arn:aws:events:us-east-1:000000000000:rule/r");
    EXPECT_EQ(rule_arn("us-east-1", "000000000000", "orders", "r"), "arn:aws:events:us-east-1:000000000000:rule/orders/r");
    EXPECT_EQ(archive_arn("us-east-1", "0", "a"), "arn:aws:events:us-east-1:0:archive/a");
    EXPECT_EQ(replay_arn("us-east-1", "0", "p"), "arn:aws:events:us-east-1:0:replay/p");
    EXPECT_EQ(connection_arn("us-east-1", "0", "c", "u-1"), "arn:aws:events:us-east-1:0:connection/c/u-1");
    EXPECT_EQ(api_destination_arn("us-east-1", "0", "d", "u-1"), "arn:aws:events:us-east-1:0:api-destination/d/u-1");
    EXPECT_EQ(event_bus_arn("cn-north-1", "0", "b"), "arn:aws-cn:events:cn-north-1:0:event-bus/b");
    EXPECT_EQ(event_bus_arn("us-gov-west-1", "0", "b"), "arn:aws-us-gov:events:us-gov-west-1:0:event-bus/b");
}

TEST(Arns, SayWhatKindOfTargetTheyName) {
    struct Case {
        std::string_view arn;
        TargetKind kind;
        std::string_view name;
    };
    for (const Case& c :
         {Case{"arn:aws:events:r:a:event-bus/orders", TargetKind::event_bus, "orders"},
          Case{"arn:aws:events:r:a:event-bus/aws.partner/example.com/1", TargetKind::event_bus, "aws.partner/example.com/1"},
          Case{"arn:aws:events:r:a:api-destination/chat/11-22", TargetKind::api_destination, "chat"},
          Case{"arn:aws:events:r:a:rule/x", TargetKind::unknown, "rule/x"},
          Case{"arn:aws:events:r:a:event-bus/", TargetKind::unknown, "event-bus/"},
          Case{"arn:aws:logs:r:a:log-group:/aws/events/x", TargetKind::log_group, "/aws/events/x"},
          Case{"arn:aws:logs:r:a:log-group:/aws/events/x:*", TargetKind::log_group, "/aws/events/x"},
          Case{"arn:aws:sqs:r:a:queue.fifo", TargetKind::sqs, "queue.fifo"},
          Case{"arn:aws:sns:r:a:topic", TargetKind::sns, "topic"},
          Case{"arn:aws:sns:r:a:topic:subscription", TargetKind::unknown, "topic:subscription"},
          Case{"arn:aws:lambda:r:a:function:f:3", TargetKind::lambda, "f:3"},
          Case{"arn:aws:lambda:r:a:layer:f", TargetKind::unknown, "layer:f"},
          Case{"arn:aws:codepipeline:r:a:deploy", TargetKind::pipeline, "deploy"},
          Case{"arn:aws:states:r:a:stateMachine:m", TargetKind::state_machine, "m"},
          Case{"arn:aws:kinesis:r:a:stream/s", TargetKind::unknown, "stream/s"}}) {
        const auto arn = parse_arn(c.arn);
        ASSERT_TRUE(arn) << c.arn;
        EXPECT_EQ(kind_of(*arn), c.kind) << c.arn;
        EXPECT_EQ(name_in(*arn), c.name) << c.arn;
    }
    EXPECT_EQ(to_string(TargetKind::api_destination), "api_destination");
}

TEST(Arns, ABusIsNamedEitherWay) {
    EXPECT_EQ(bus_name("orders"), "orders");
    EXPECT_EQ(bus_name("arn:aws:events:r:a:event-bus/orders"), "orders");
    EXPECT_EQ(bus_name("arn:aws:sqs:r:a:orders"), std::nullopt);
}

}  // namespace
}  // namespace waybill::bus
