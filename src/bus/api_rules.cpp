// Rules, and TestEventPattern. A rule is on one bus, named by its name or its ARN; that bus must exist for every one of these
// operations. Words and order of the checks are those that AWS was recorded or measured with.
#include <fmt/format.h>

#include "bus/api_fields.h"
#include "bus/api_operations.h"
#include "patterns/explain.h"
#include "patterns/pattern.h"

namespace waybill::bus {

namespace {

constexpr size_t event_pattern_characters = 4096;  // EventBridge's model: EventPattern 4096
const TextRule schedule_rule{0, schedule_bytes};
const TextRule state_rule{0, unlimited, {}, {"ENABLED", "DISABLED", "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"}};

wire::AwsError no_such_rule(const BusKey& bus, std::string_view name) {
    return resource_not_found(fmt::format("Rule {} does not exist on EventBus {}.", name, bus.name));
}

// AWS's model takes 4096 characters; the configuration may ask for fewer, as AWS's quota does, or allow more.
TextRule pattern_rule(const ApiLimits& limits) { return {0, std::max(event_pattern_characters, limits.pattern_characters)}; }

wire::AwsError invalid_pattern(const Error& error) {
    return {"InvalidEventPatternException", fmt::format("Event pattern is not valid. Reason: {}", error.message)};
}

RuleState rule_state(std::string_view text) {
    for (const RuleState state : {RuleState::enabled, RuleState::disabled, RuleState::enabled_with_cloudtrail})
        if (to_string(state) == text) return state;
    return RuleState::enabled;
}

bool uses_wildcard(const patterns::Test& test) {
    return test.kind == patterns::TestKind::wildcard || std::any_of(test.but.begin(), test.but.end(), uses_wildcard);
}

bool uses_wildcard(const patterns::Pattern& pattern) {
    return std::any_of(pattern.clauses.begin(), pattern.clauses.end(), [](const patterns::Clause& clause) {
        return std::any_of(clause.tests.begin(), clause.tests.end(),
                           [](const patterns::Test& test) { return uses_wildcard(test); });
    });
}

size_t wildcard_rules(const Bus& state, const BusKey& bus, std::string_view but) {
    size_t n = 0;
    for (const Rule* rule : state.rules(bus)) {
        if (rule->name == but || rule->pattern.empty()) continue;
        const auto pattern = patterns::parse_pattern(rule->pattern);
        n += pattern.ok() && uses_wildcard(*pattern);
    }
    return n;
}

struct Named {
    BusKey bus;
    std::string name;
};

// What most operations on a rule take. An AwsError of the body comes from the caller, who may read more of it first.
Named named_rule(Members& in, const Place& place, std::string_view member = "Name") {
    const auto name = in.text(member, rule_name, Need::required);
    const auto bus = in.text("EventBusName", event_bus_name_or_arn);
    return {bus_named(place, bus), name.value_or("")};
}

Prepared change_state(const ApiRequest& request, RuleState to) {
    RequestBody body(request.body);
    Members in = body.root();
    const Named named = named_rule(in, request.place);
    if (auto error = body.error()) return *error;
    return [named, to](const Bus& state, const Stamp& stamp) {
        if (!state.bus(named.bus)) return refusal(no_such_bus(named.bus.name));
        const Rule* found = state.rule(named.bus, named.name);
        if (!found) return refusal(no_such_rule(named.bus, named.name));
        if (found->state == to) return answer("");
        Rule rule = *found;
        if (!rule.enabled()) rule.anchor = stamp.now;
        rule.state = to;
        return answer("", {Put{std::move(rule)}});
    };
}

void write_rule(JsonWriter& w, const Rule& rule) {
    w.key("Name").text(rule.name).key("Arn").text(rule.arn());
    write_text(w, "EventPattern", rule.pattern);
    write_text(w, "ScheduleExpression", rule.schedule);
    w.key("State").text(to_string(rule.state));
    write_text(w, "Description", rule.description);
    write_text(w, "RoleArn", rule.role_arn);
    write_text(w, "ManagedBy", rule.managed_by);
    w.key("EventBusName").text(rule.bus.name);
}

}  // namespace

// What is not supplied is gone afterwards, also Description and RoleArn; a rule that was there keeps its targets and its tags,
// and the tags of the request are ignored then (API reference, PutRule).
Prepared put_rule(const ApiRequest& request) {
    RequestBody body(request.body);
    Members in = body.root();
    Rule rule;
    rule.name = in.text("Name", rule_name, Need::required).value_or("");
    rule.schedule = in.text("ScheduleExpression", schedule_rule).value_or("");
    rule.pattern = in.text("EventPattern", pattern_rule(request.limits)).value_or("");
    rule.state = rule_state(in.text("State", state_rule).value_or("ENABLED"));
    rule.description = in.text("Description", description_512).value_or("");
    rule.role_arn = in.text("RoleArn", any_arn).value_or("");
    rule.tags = in.tags("Tags").value_or(Tags());
    rule.bus = bus_named(request.place, in.text("EventBusName", event_bus_name_or_arn));
    rule.created_by = request.place.account;
    if (auto error = body.error()) return *error;
    if (rule.pattern.empty() && rule.schedule.empty())
        return validation("Parameter(s) EventPattern or ScheduleExpression must be specified.");
    if (!rule.schedule.empty() && rule.bus.name != default_bus)
        return validation("ScheduleExpression is supported only on the default event bus.");
    if (!rule.schedule.empty() && !parse_schedule(rule.schedule).ok())
        return validation("Parameter ScheduleExpression is not valid.");
    bool wildcard = false;
    if (!rule.pattern.empty()) {
        if (rule.pattern.size() > request.limits.pattern_characters)
            return validation(fmt::format("Parameter EventPattern for rule {} exceeds limit of {}.", rule.name,
                                          request.limits.pattern_characters));
        const auto pattern = patterns::parse_pattern(rule.pattern);
        if (!pattern.ok()) return invalid_pattern(pattern.error());
        wildcard = uses_wildcard(*pattern);
    }
    if (auto error = check_tags(rule.tags, request.limits.tags)) return *error;
    return [given = std::move(rule), wildcard, limits = request.limits](const Bus& state, const Stamp& stamp) {
        Rule rule = given;
        if (!state.bus(rule.bus)) return refusal(no_such_bus(rule.bus.name));
        const Rule* old = state.rule(rule.bus, rule.name);
        if (!old && state.rules(rule.bus).size() >= limits.rules_a_bus) return refusal(limit_exceeded());
        if (wildcard && wildcard_rules(state, rule.bus, rule.name) >= limits.wildcard_rules_a_bus)
            return refusal(limit_exceeded());
        rule.created = rule.anchor = stamp.now;
        if (old) {
            Rule kept = *old;  // whatever else a rule remembers stays with it
            kept.pattern = std::move(rule.pattern);
            kept.description = std::move(rule.description);
            kept.role_arn = std::move(rule.role_arn);
            // Putting the same schedule again must not shift its slots.
            if (kept.schedule != rule.schedule || (!kept.enabled() && rule.enabled())) kept.anchor = stamp.now;
            kept.schedule = std::move(rule.schedule);
            kept.state = rule.state;
            rule = std::move(kept);
        }
        std::string json;
        JsonWriter w(json);
        w.begin_object().key("RuleArn").text(rule.arn()).end_object();
        return answer(std::move(json), {Put{std::move(rule)}});
    };
}

Prepared describe_rule(const ApiRequest& request) {
    RequestBody body(request.body);
    Members in = body.root();
    const Named named = named_rule(in, request.place);
    if (auto error = body.error()) return *error;
    return [named](const Bus& state, const Stamp&) {
        if (!state.bus(named.bus)) return refusal(no_such_bus(named.bus.name));
        const Rule* rule = state.rule(named.bus, named.name);
        if (!rule) return refusal(no_such_rule(named.bus, named.name));
        std::string json;
        JsonWriter w(json);
        w.begin_object();
        write_rule(w, *rule);
        write_text(w, "CreatedBy", rule->created_by);
        w.end_object();
        return answer(std::move(json));
    };
}

Prepared enable_rule(const ApiRequest& request) { return change_state(request, RuleState::enabled); }
Prepared disable_rule(const ApiRequest& request) { return change_state(request, RuleState::disabled); }

// A rule that is not there is deleted successfully. Force is for rules that AWS's services manage; a rule with targets stays with
// it too.
Prepared delete_rule(const ApiRequest& request) {
    RequestBody body(request.body);
    Members in = body.root();
    const Named named = named_rule(in, request.place);
    in.boolean("Force");
    if (auto error = body.error()) return *error;
    return [named](const Bus& state, const Stamp&) {
        if (!state.bus(named.bus)) return refusal(no_such_bus(named.bus.name));
        const Rule* rule = state.rule(named.bus, named.name);
        if (!rule) return answer("");
        if (!rule->targets.empty()) return refusal(validation("Rule can't be deleted since it has targets."));
        return answer("", {Erase{ResourceKind::rule, named.bus.place, named.bus.name, named.name}});
    };
}

Prepared list_rules(const ApiRequest& request) {
    RequestBody body(request.body);
    Members in = body.root();
    const std::string prefix = in.text("NamePrefix", rule_name).value_or("");
    const auto bus = in.text("EventBusName", event_bus_name_or_arn);
    const Page page = in.page("ListRules");
    if (auto error = body.error()) return *error;
    return [key = bus_named(request.place, bus), prefix, page](const Bus& state, const Stamp&) {
        if (!state.bus(key)) return refusal(no_such_bus(key.name));
        auto rules = state.rules(key);
        std::erase_if(rules, [&](const Rule* rule) { return !rule->name.starts_with(prefix); });
        std::string json, next_token;
        JsonWriter w(json);
        w.begin_object().key("Rules").begin_array();
        for (const Rule* rule : one_page(rules, page, [](const Rule* rule) { return rule->name; }, next_token)) {
            w.begin_object();
            write_rule(w, *rule);
            w.end_object();
        }
        w.end_array();
        write_next_token(w, next_token);
        w.end_object();
        return answer(std::move(json));
    };
}

Prepared list_rule_names_by_target(const ApiRequest& request) {
    RequestBody body(request.body);
    Members in = body.root();
    const std::string target = in.text("TargetArn", any_arn, Need::required).value_or("");
    const auto bus = in.text("EventBusName", event_bus_name_or_arn);
    const Page page = in.page("ListRuleNamesByTarget");
    if (auto error = body.error()) return *error;
    return [key = bus_named(request.place, bus), target, page](const Bus& state, const Stamp&) {
        if (!state.bus(key)) return refusal(no_such_bus(key.name));
        auto rules = state.rules(key);
        std::erase_if(rules, [&](const Rule* rule) {
            return std::none_of(rule->targets.begin(), rule->targets.end(), [&](const Target& t) { return t.arn == target; });
        });
        std::string json, next_token;
        JsonWriter w(json);
        w.begin_object().key("RuleNames").begin_array();
        for (const Rule* rule : one_page(rules, page, [](const Rule* rule) { return rule->name; }, next_token))
            w.text(rule->name);
        w.end_array();
        write_next_token(w, next_token);
        w.end_object();
        return answer(std::move(json));
    };
}

// It needs no state: everything is known when the request is read. The event is judged before the pattern.
Prepared test_event_pattern(const ApiRequest& request) {
    RequestBody body(request.body);
    Members in = body.root();
    const auto pattern_text = in.text("EventPattern", pattern_rule(request.limits), Need::required);
    const auto event = in.text("Event", {}, Need::required);
    if (auto error = body.error()) return *error;
    if (auto good = patterns::check_test_event(*event); !good.ok()) return validation(good.error().message);
    const auto pattern = patterns::parse_pattern(*pattern_text);
    if (!pattern.ok()) return invalid_pattern(pattern.error());
    const bool matches = patterns::matches(*pattern, *event);
    return [matches](const Bus&, const Stamp&) { return answer(matches ? R"({"Result":true})" : R"({"Result":false})"); };
}

}  // namespace waybill::bus
