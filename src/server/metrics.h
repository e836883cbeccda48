// GET /metrics, in Prometheus's text format (version 0.0.4). Labels have few values: never an execution's id.
#pragma once

#include "http/server.h"
#include "server/context.h"

namespace waybill::server {

http::Task<http::Response> metrics(const Context& context, http::Exchange& exchange);

}  // namespace waybill::server
