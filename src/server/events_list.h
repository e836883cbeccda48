// GET /api/v1/events: what is in the log, filtered, forwards from a position or backwards from the newest. Events have no index: the log is
// read, up to a bound a request; a page that stopped at the bound says where to go on.
#pragma once

#include <string>

#include "http/server.h"
#include "server/context.h"

namespace waybill::server {

http::Task<Result<http::Response>> list_events(const Context& context, http::Exchange& exchange);
http::Task<Result<http::Response>> one_event(const Context& context, http::Exchange& exchange, std::string position);

// The group at a position that a client gave: not_found where none begins there. (The log itself, told of a place within a group, must take it for damage.)
Result<log::Entry> read_given(const log::Log& log, Position position);

}  // namespace waybill::server
