// What people see of the event buses, under /api/v1/: rules with their targets and whether anything here serves them, why an
// event matches a rule or not, rules as `aws events` puts them, buses, archives and replays, of all accounts and regions
// (docs/openapi.yaml). AWS's own API for the same is in bus_api.h.
//
// Handlers of the native API's table (native_api.cpp): they run on a connection's thread, read released state, and change
// nothing. A list is paged by the place of its last row, so that rows which come and go between two pages move no other.
#pragma once

#include "http/server.h"
#include "server/context.h"

namespace waybill::server {

http::Task<Result<http::Response>> list_rules(const Context& context, http::Exchange& exchange);
// {"Rule":…,"Targets":[…]} for each rule: the input of PutRule, and the Targets of PutTargets.
http::Task<Result<http::Response>> export_rules(const Context& context, http::Exchange& exchange);
// The body is the event; `rule` a name or an ARN, `bus` the bus of a name.
http::Task<Result<http::Response>> explain_rule(const Context& context, http::Exchange& exchange);
http::Task<Result<http::Response>> list_buses(const Context& context, http::Exchange& exchange);
http::Task<Result<http::Response>> list_archives(const Context& context, http::Exchange& exchange);
http::Task<Result<http::Response>> list_replays(const Context& context, http::Exchange& exchange);

}  // namespace waybill::server
