#include "bus/decide.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json_writer.h"

namespace waybill::bus {
namespace {

// The bus of this node that a target names, if it does.
std::optional<BusKey> bus_here(const Bus& bus, const Target& target) {
    const auto arn = parse_arn(target.arn);
    if (!arn || kind_of(*arn) != TargetKind::event_bus) return {};
    BusKey key{{arn->account, arn->region}, std::string(name_in(*arn))};
    if (!bus.bus(key)) return {};
    return key;
}

}  // namespace

Routing decide_routing(Bus& bus, const BusKey& home, Arrival arrival, patterns::MatchScratch& scratch) {
    Routing routing;
    std::vector<std::pair<BusKey, std::vector<RuleId>>> stops;
    stops.emplace_back(std::move(arrival.bus), std::move(arrival.matched));
    for (size_t at = 0; at < stops.size(); ++at) {
        const BusKey here = stops[at].first;
        std::vector<RuleId> taken;
        for (RuleId id : stops[at].second) {
            const Rule* rule = bus.rule(id);
            if (!rule) {
                if (arrival.replay.empty() && bus.archive(id)) taken.push_back(id);
                continue;
            }
            const std::string rule_arn = rule->arn();
            if (!arrival.only.empty() && std::ranges::find(arrival.only, rule_arn) == arrival.only.end()) continue;
            taken.push_back(id);
            for (const Target& target : rule->targets) {
                if (const auto next = bus_here(bus, target)) {
                    const bool seen = std::ranges::any_of(stops, [&](const auto& stop) { return stop.first == *next; });
                    if (seen || stops.size() >= bus_hops) continue;
                    std::vector<RuleId> matched;
                    bus.routes()->match(*next, arrival.envelope, scratch, matched);
                    stops.emplace_back(*next, std::move(matched));
                    continue;
                }
                if (routing.deliveries.size() >= event_deliveries) continue;
                Delivery& d = routing.deliveries.emplace_back();
                d.kind = DeliveryKind::target;
                d.topic = DeliveryTopic::rule;
                d.target = target.arn;
                d.key = fmt::format("{}:{}:{}", arrival.event_id, id, target.id);
                if (!arrival.replay.empty()) d.key += ":" + arrival.replay;
                // RetryPolicy counts retries; the first attempt is none.
                d.from_rule = FromRule{id,
                                       rule->changed,
                                       arrival.event,
                                       target.id,
                                       arrival.replay,
                                       {},
                                       1 + target.max_attempts.value_or(retry_attempts),
                                       target.max_age_s.value_or(retry_age_s),
                                       target.parameters.dead_letter_arn};
                d.planned = d.due = d.retry_from = arrival.now;
            }
        }
        if (taken.empty() && here == home) continue;
        routing.routed.push_back(
            {here.place.account, here.place.region, here.name, arrival.event, arrival.replay, std::move(taken)});
    }
    return routing;
}

Delivery dead_letter_of(const Delivery& dead, TimeMs now) {
    Delivery d;
    d.kind = DeliveryKind::target;
    d.topic = DeliveryTopic::dead_letter;
    d.target = dead.from_rule->dead_letter_arn;
    d.key = dead.key + ":dead-letter";
    d.from_rule = dead.from_rule;
    d.from_rule->dead = dead.id;
    d.from_rule->max_attempts = 1 + retry_attempts;
    d.from_rule->max_age_s = retry_age_s;
    d.from_rule->dead_letter_arn.clear();
    d.planned = d.due = d.retry_from = now;
    return d;
}

std::string with_replay_name(std::string_view envelope, std::string_view replay) {
    std::string out(envelope.substr(0, envelope.rfind('}')));
    if (out.size() > 1) out += ',';
    out += "\"replay-name\":";
    JsonWriter(out).text(replay);
    return out + "}";
}

std::string scheduled_event(const Rule& rule, TimeMs slot, std::string_view id) {
    std::string json;
    JsonWriter w(json);
    w.begin_object();
    w.key("version").text("0");
    w.key("id").text(id);
    w.key("detail-type").text("Scheduled Event");
    w.key("source").text("aws.events");
    w.key("account").text(rule.bus.place.account);
    w.key("time").text(format_time_s(slot));
    w.key("region").text(rule.bus.place.region);
    w.key("resources").begin_array().text(rule.arn()).end_array();
    w.key("detail").begin_object().end_object();
    w.end_object();
    return json;
}

Fired decide_fire(const Rule& rule, TimeMs now) {
    Fired fired{rule, no_time, 0};
    const auto schedule = parse_schedule(rule.schedule);
    if (!schedule.ok()) return fired;
    const TimeMs from = rule.fired == no_time ? rule.anchor : std::max(rule.anchor, rule.fired);
    const Slots missed = schedule->slots_between(from, now, rule.anchor);
    if (!missed.newest) return fired;
    fired.slot = fired.rule.fired = *missed.newest;
    fired.skipped = missed.count - 1;
    return fired;
}

}  // namespace waybill::bus
