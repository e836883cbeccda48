// The operations of EventBridge's API (2015-10-07, json 1.1) on the bus: buses, rules, targets, permissions, archives, replays, connections, API
// destinations, tags, and TestEventPattern. PutEvents is the door's (src/server/put_events.cpp).
//
// An operation has two halves. prepare() reads and checks the request and needs no state: it runs on the connection's thread. What it returns, a
// Decide, runs on the thread that owns the state: it reads, and answers with JSON or an error and with the changes that must be appended and
// applied before the answer may leave. Both are pure: time and randomness are handed in, there is no I/O.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "bus/state.h"
#include "wire/aws_error.h"

namespace waybill::bus {

// Every limit has AWS's default; `event_bus.limits` of the configuration sets others.
struct ApiLimits {
    size_t buses = 100;              // an account and region; EventBridge quota
    size_t rules_a_bus = 300;        // EventBridge quota
    size_t targets_a_rule = 5;       // EventBridge quota
    size_t pattern_characters = 4096;  // EventBridge: EventPattern 4096
    size_t wildcard_rules_a_bus = 30;  // EventBridge quota
    size_t archives = 100;           // EventBridge quota
    size_t replays = 10;             // active at once; EventBridge quota
    size_t connections = 3000;       // EventBridge quota
    size_t destinations = 3000;      // EventBridge quota
    size_t tags = 50;                // of one resource; AWS's tagging limit
};

struct ApiRequest {
    std::string operation;           // "PutRule"
    Place place;                     // the caller's account and region
    std::string_view body;           // JSON
    ApiLimits limits;
};

struct Stamp {
    TimeMs now = 0;
    uint64_t random = 0;             // for uuids and secret ids
    Position tail = 0;               // of the log: what an archive or replay begins or ends at
};

struct ApiAnswer {
    std::variant<std::string, wire::AwsError> result;  // JSON; empty: no body
    std::vector<Change> changes;                       // each its own group, in this order
    // The AuthParameters with secrets of a connection that `changes` puts, to be kept before the group is appended: id and JSON.
    std::vector<std::pair<uint64_t, std::string>> secrets;
};

using Decide = std::function<ApiAnswer(const Bus&, const Stamp&)>;

// Nothing of that name: unknown_operation is for the caller to answer.
bool is_bus_operation(std::string_view operation);
std::variant<Decide, wire::AwsError> prepare(const ApiRequest& request);

}  // namespace waybill::bus
