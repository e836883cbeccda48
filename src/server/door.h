// The door for events over HTTP: POST /events (EventBridge envelopes as one object, an array or NDJSON; CloudEvents 1.0 binary, structured and
// batch), and PutEvents. Reads, checks, submits, and answers when the log is synced.
//
// A streamed body costs memory bounded by one event and one slice, whatever its length. What is good in a request is kept even when other
// parts of it are refused.
#pragma once

#include "http/server.h"
#include "server/context.h"
#include "wire/aws_request.h"

namespace waybill::server {

// Adds an event that came to `bus` to the command, with what the bus's rules, as they were released last, say of it.
void arrive(const Context& context, node::Ingest& ingest, const bus::BusKey& bus, IncomingEvent event);

http::Task<void> post_events(const Context& context, http::Exchange& exchange);
http::Task<http::Response> put_events(const Context& context, http::Exchange& exchange, const wire::AwsRequest& request, std::string_view body, std::string_view request_id);

}  // namespace waybill::server
