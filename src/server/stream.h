// GET /api/v1/stream: server-sent events (WHATWG HTML, "Server-sent events") of everything that is released, from any position on. Each message's
// id is the position of its group, so a client that reconnects with Last-Event-ID misses nothing and sees nothing twice. The stream is read from
// the log, not from a queue: a slow client costs nobody else anything.
//
// ?executionId= leaves out what concerns other executions. With ?view=pipelines it carries rows of pipelines that changed instead, as they are then, at most four times a second.
#pragma once

#include "http/server.h"
#include "server/context.h"

namespace waybill::server {

http::Task<void> stream(const Context& context, http::Exchange& exchange);

}  // namespace waybill::server
