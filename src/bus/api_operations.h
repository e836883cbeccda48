// Every operation of the bus's API by its own name, for the dispatcher's table (src/bus/api.cpp). Each reads and checks a request
// and gives what is to be done with the state; what that means and where each half runs, src/bus/api.h says. Nobody else includes
// this.
#pragma once

#include <variant>

#include "bus/api.h"

namespace waybill::bus {

using Prepared = std::variant<Decide, wire::AwsError>;

// src/bus/api_buses.cpp
Prepared create_event_bus(const ApiRequest& request);
Prepared describe_event_bus(const ApiRequest& request);
Prepared update_event_bus(const ApiRequest& request);
Prepared delete_event_bus(const ApiRequest& request);
Prepared list_event_buses(const ApiRequest& request);
Prepared put_permission(const ApiRequest& request);
Prepared remove_permission(const ApiRequest& request);

// src/bus/api_rules.cpp
Prepared put_rule(const ApiRequest& request);
Prepared describe_rule(const ApiRequest& request);
Prepared enable_rule(const ApiRequest& request);
Prepared disable_rule(const ApiRequest& request);
Prepared delete_rule(const ApiRequest& request);
Prepared list_rules(const ApiRequest& request);
Prepared list_rule_names_by_target(const ApiRequest& request);
Prepared test_event_pattern(const ApiRequest& request);

// src/bus/api_targets.cpp
Prepared put_targets(const ApiRequest& request);
Prepared remove_targets(const ApiRequest& request);
Prepared list_targets_by_rule(const ApiRequest& request);

// src/bus/api_tags.cpp
Prepared tag_resource(const ApiRequest& request);
Prepared untag_resource(const ApiRequest& request);
Prepared list_tags_for_resource(const ApiRequest& request);

// src/bus/api_archives.cpp
Prepared create_archive(const ApiRequest& request);
Prepared describe_archive(const ApiRequest& request);
Prepared update_archive(const ApiRequest& request);
Prepared delete_archive(const ApiRequest& request);
Prepared list_archives(const ApiRequest& request);
Prepared start_replay(const ApiRequest& request);
Prepared describe_replay(const ApiRequest& request);
Prepared cancel_replay(const ApiRequest& request);
Prepared list_replays(const ApiRequest& request);

// src/bus/api_connections.cpp
Prepared create_connection(const ApiRequest& request);
Prepared describe_connection(const ApiRequest& request);
Prepared update_connection(const ApiRequest& request);
Prepared delete_connection(const ApiRequest& request);
Prepared deauthorize_connection(const ApiRequest& request);
Prepared list_connections(const ApiRequest& request);
Prepared create_api_destination(const ApiRequest& request);
Prepared describe_api_destination(const ApiRequest& request);
Prepared update_api_destination(const ApiRequest& request);
Prepared delete_api_destination(const ApiRequest& request);
Prepared list_api_destinations(const ApiRequest& request);

}  // namespace waybill::bus
