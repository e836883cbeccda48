#include "bus/api.h"

#include <algorithm>
#include <array>

#include "bus/api_operations.h"

namespace waybill::bus {

namespace {

struct Operation {
    std::string_view name;
    Prepared (*prepare)(const ApiRequest&);
};

constexpr std::array operations{
    Operation{"CancelReplay", cancel_replay},
    Operation{"CreateApiDestination", create_api_destination},
    Operation{"CreateArchive", create_archive},
    Operation{"CreateConnection", create_connection},
    Operation{"CreateEventBus", create_event_bus},
    Operation{"DeauthorizeConnection", deauthorize_connection},
    Operation{"DeleteApiDestination", delete_api_destination},
    Operation{"DeleteArchive", delete_archive},
    Operation{"DeleteConnection", delete_connection},
    Operation{"DeleteEventBus", delete_event_bus},
    Operation{"DeleteRule", delete_rule},
    Operation{"DescribeApiDestination", describe_api_destination},
    Operation{"DescribeArchive", describe_archive},
    Operation{"DescribeConnection", describe_connection},
    Operation{"DescribeEventBus", describe_event_bus},
    Operation{"DescribeReplay", describe_replay},
    Operation{"DescribeRule", describe_rule},
    Operation{"DisableRule", disable_rule},
    Operation{"EnableRule", enable_rule},
    Operation{"ListApiDestinations", list_api_destinations},
    Operation{"ListArchives", list_archives},
    Operation{"ListConnections", list_connections},
    Operation{"ListEventBuses", list_event_buses},
    Operation{"ListReplays", list_replays},
    Operation{"ListRuleNamesByTarget", list_rule_names_by_target},
    Operation{"ListRules", list_rules},
    Operation{"ListTagsForResource", list_tags_for_resource},
    Operation{"ListTargetsByRule", list_targets_by_rule},
    Operation{"PutPermission", put_permission},
    Operation{"PutRule", put_rule},
    Operation{"PutTargets", put_targets},
    Operation{"RemovePermission", remove_permission},
    Operation{"RemoveTargets", remove_targets},
    Operation{"StartReplay", start_replay},
    Operation{"TagResource", tag_resource},
    Operation{"TestEventPattern", test_event_pattern},
    Operation{"UntagResource", untag_resource},
    Operation{"UpdateApiDestination", update_api_destination},
    Operation{"UpdateArchive", update_archive},
    Operation{"UpdateConnection", update_connection},
    Operation{"UpdateEventBus", update_event_bus},
};

const Operation* find(std::string_view name) {
    const auto found = std::find_if(operations.begin(), operations.end(), [&](const Operation& o) { return o.name == name; });
    return found == operations.end() ? nullptr : &*found;
}

}  // namespace

bool is_bus_operation(std::string_view operation) { return find(operation) != nullptr; }

std::variant<Decide, wire::AwsError> prepare(const ApiRequest& request) {
    const Operation* operation = find(request.operation);
    ASSERT(operation);  // is_bus_operation() is asked before
    return operation->prepare(request);
}

}  // namespace waybill::bus
