// Amazon Resource Names: taken apart, made in the forms that EventBridge gives its own resources, and asked what kind of target
// they name. AWS General Reference, "Amazon Resource Names (ARNs)"; Service Authorization Reference, "Amazon EventBridge".
//
// Pure and total; any thread. An Arn is a value; its parts are what stood between the colons, not checked against any service.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace waybill::bus {

constexpr size_t arn_bytes = 1600;  // EventBridge: Arn 1600, the Arn of a target

struct Arn {
    std::string partition, service, region, account, resource;  // region and account may be empty
    std::string text() const;
    bool operator==(const Arn&) const = default;
};

// arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE, where the resource may hold colons. Nothing: not of that form, longer than
// arn_bytes, or with spaces or control characters in it.
std::optional<Arn> parse_arn(std::string_view text);

// aws, aws-cn or aws-us-gov, by the region.
std::string_view partition_of(std::string_view region);
// "amazonaws.com", or "amazonaws.com.cn" in China.
std::string_view domain_of(std::string_view region);

// The names that EventBridge gives. A rule of the default bus is rule/NAME, of another rule/BUS/NAME.
std::string event_bus_arn(std::string_view region, std::string_view account, std::string_view bus);
std::string rule_arn(std::string_view region, std::string_view account, std::string_view bus, std::string_view rule);
std::string archive_arn(std::string_view region, std::string_view account, std::string_view archive);
std::string replay_arn(std::string_view region, std::string_view account, std::string_view replay);
std::string connection_arn(std::string_view region, std::string_view account, std::string_view connection, std::string_view uuid);
std::string api_destination_arn(std::string_view region, std::string_view account, std::string_view destination,
                                std::string_view uuid);

// A bus by its name or its ARN, as EventBusName takes both: its name. Nothing: an ARN of something else.
std::optional<std::string> bus_name(std::string_view name_or_arn);

enum class TargetKind {
    event_bus,
    api_destination,
    log_group,
    sqs,
    sns,
    lambda,
    pipeline,       // CodePipeline
    state_machine,  // Step Functions
    unknown,        // something that AWS may know and nothing here serves: taken, never invoked
};
TargetKind kind_of(const Arn& arn);
std::string_view to_string(TargetKind kind);

// The name within the resource: a queue's, topic's, function's (with its qualifier), pipeline's, log group's (without ":*"),
// bus's, API destination's (without its id) or state machine's. Of an unknown kind the whole resource.
std::string_view name_in(const Arn& arn);

}  // namespace waybill::bus
