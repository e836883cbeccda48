#include "server/bus_api.h"

#include "bus/api.h"
#include "wire/aws_error.h"

namespace waybill::server {
namespace {

bus::ApiLimits limits_of(const EventBusConfig& c) {
    bus::ApiLimits l;
    l.buses = c.buses, l.rules_a_bus = c.rules_a_bus, l.targets_a_rule = c.targets_a_rule,
    l.pattern_characters = c.pattern_characters;
    l.wildcard_rules_a_bus = c.wildcard_rules_a_bus, l.archives = c.archives, l.replays = c.replays,
    l.connections = c.connections;
    l.destinations = c.destinations, l.tags = c.tags;
    return l;
}

}  // namespace

http::Task<http::Response> bus_api(const Context& context, http::Exchange& exchange, const wire::AwsRequest& request,
                                   std::string_view body, std::string_view request_id) {
    bus::ApiRequest asked;
    asked.operation = request.operation;
    asked.place = {request.account.empty() ? context.config.account : request.account,
                   request.region.empty() ? context.config.region : request.region};
    asked.body = body;
    asked.limits = limits_of(context.config.event_bus);
    auto prepared = bus::prepare(asked);
    if (auto* refused = std::get_if<wire::AwsError>(&prepared)) co_return wire::error_answer(request, *refused, request_id);

    http::Completion<bus::ApiAnswer> done(exchange);
    node::BusCommand command;
    command.decide = std::move(std::get<bus::Decide>(prepared));
    command.answer = [sender = done.sender()](bus::ApiAnswer answer) mutable { sender.complete(std::move(answer)); };
    const wire::AwsError busy{"ThrottlingException", "too many requests are waiting: repeat in a moment", 503,
                              wire::Fault::receiver};
    if (!context.node.submit(std::move(command))) co_return wire::error_answer(request, busy, request_id);
    auto answer = co_await done.wait(answer_timeout_ms);
    if (!answer.ok())
        co_return wire::error_answer(request, {"InternalException", answer.error().message, 500, wire::Fault::receiver},
                                     request_id);
    if (auto* refused = std::get_if<wire::AwsError>(&answer->result)) co_return wire::error_answer(request, *refused, request_id);
    co_return wire::json_answer(request, std::move(std::get<std::string>(answer->result)), request_id);
}

}  // namespace waybill::server
