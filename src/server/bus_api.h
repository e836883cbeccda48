// Answers the operations of EventBridge's API but PutEvents: checks on this thread, decides on the sequencer's, answers when what
// changed is durable.
#pragma once

#include "http/server.h"
#include "server/context.h"
#include "wire/aws_request.h"

namespace waybill::server {

http::Task<http::Response> bus_api(const Context& context, http::Exchange& exchange, const wire::AwsRequest& request,
                                   std::string_view body, std::string_view request_id);

}  // namespace waybill::server
