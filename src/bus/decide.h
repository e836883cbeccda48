// Decides what the rules of a bus make of an event: which deliveries are planned for their targets, and on which other buses of
// this node it arrives too. Pure: reads state, returns records.
//
// A target that is another bus of this node is no delivery: the event arrives there in the same breath, and its rules are asked
// in turn. It passes each bus once, and at most bus_hops of them, so a circle of rules ends.
#pragma once

#include <string_view>
#include <vector>

#include "bus/state.h"
#include "event/delivery.h"
#include "event/record.h"

namespace waybill::bus {

constexpr size_t bus_hops = 5;               // buses that one event passes; AWS ends a chain after two accounts or regions
constexpr size_t event_deliveries = 60'000;  // of one event; more targets than 10,000 rules of 5 have

struct Arrival {
    BusKey bus;
    std::vector<RuleId> matched;  // rules and archives of that bus, as Routes::match says
    std::string_view envelope;
    std::string_view event_id;
    Position event = 0;             // the group that holds it; 0: the one under construction
    std::string replay;             // a replay sends it again: archives do not take it
    std::vector<std::string> only;  // ARNs of the rules that a replay may reach; empty: all
    TimeMs now = no_time;
};

struct Routing {
    std::vector<RoutedRecord> routed;
    std::vector<Delivery> deliveries;  // without id; FromRule::event is 0 where the group under construction holds it
};

// `home`: the bus on which an event that matches nothing leaves no record. The scratch is the calling thread's.
Routing decide_routing(Bus& bus, const BusKey& home, Arrival arrival, patterns::MatchScratch& scratch);

// What its dead-letter queue is told of a delivery that was given up; without id. It has AWS's default retry policy, whatever the target's was.
Delivery dead_letter_of(const Delivery& dead, TimeMs now);

// The envelope with "replay-name" in it: how a replay sends an event again, and what rules are asked about then.
std::string with_replay_name(std::string_view envelope, std::string_view replay);

// The event of a scheduled rule's slot (EventBridge: "Scheduled Event"), as an envelope.
std::string scheduled_event(const Rule& rule, TimeMs slot, std::string_view id);

// The rule as it is when its schedule has come due at `now`: the newest missed slot is the one that fires, older ones are passed
// over.
struct Fired {
    Rule rule;  // to be put
    TimeMs slot = no_time;
    uint64_t skipped = 0;
};
Fired decide_fire(const Rule& rule, TimeMs now);

}  // namespace waybill::bus
