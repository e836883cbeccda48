#include "server/rules_api.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <optional>
#include <set>
#include <tuple>

#include "bus/api.h"
#include "node/aws_credentials.h"
#include "node/rule_targets.h"
#include "patterns/explain.h"
#include "server/list_page.h"

namespace waybill::server {
namespace {

// -- pages --

// The place of a row: account, region, bus and name, in the order of the list; of what is on no bus, `bus` is empty.
using RowPlace = std::tuple<std::string, std::string, std::string, std::string>;

RowPlace place_of(const bus::Place& place, std::string_view bus, std::string_view name) {
    return {place.account, place.region, std::string(bus), std::string(name)};
}

// None of the four holds a bar.
std::string cursor_of(const RowPlace& p) {
    return fmt::format("{}|{}|{}|{}", std::get<0>(p), std::get<1>(p), std::get<2>(p), std::get<3>(p));
}

std::optional<RowPlace> read_cursor(std::string_view text) {
    if (std::ranges::count(text, '|') != 3) return {};
    std::string parts[4];
    for (auto& part : parts) {
        const size_t bar = text.find('|');
        part = text.substr(0, bar);
        text.remove_prefix(bar == text.npos ? text.size() : bar + 1);
    }
    return RowPlace{parts[0], parts[1], parts[2], parts[3]};
}

struct PageRequest {
    size_t limit = 0;
    std::optional<RowPlace> after;
    std::optional<std::string> bus;  // only of buses of this name
};

Result<PageRequest> page_request(const http::Head& head) {
    PageRequest page;
    TRY(page.limit, limit_of(head, limits::page_max));
    const std::string cursor = head.query("cursor").value_or("");
    if (!cursor.empty() && !(page.after = read_cursor(cursor))) return invalid("cursor: not one that this list gave");
    if (const auto bus = head.query("bus"); bus && !bus->empty()) {
        page.bus = bus::bus_name(*bus);
        if (!page.bus) return invalid("bus: must be the name or the ARN of an event bus");
    }
    return page;
}

template <class Row>
struct Page {
    std::vector<Row> rows;
    std::string next;
    Position position = 0;
};

// Sorts what there is, and copies what this page shows: `row(item)` of each. Runs on the sequencer's thread.
template <class Row, class Item, class MakeRow>
Page<Row> cut_page(std::vector<std::pair<RowPlace, Item>> all, const PageRequest& request, Position position, MakeRow row) {
    std::ranges::sort(all, {}, &std::pair<RowPlace, Item>::first);
    Page<Row> page;
    page.position = position;
    for (const auto& [place, item] : all) {
        if (request.after && place <= *request.after) continue;
        if (page.rows.size() == request.limit) break;
        page.next = cursor_of(place);
        page.rows.push_back(row(item));
    }
    if (all.empty() || page.rows.empty() || page.next == cursor_of(all.back().first)) page.next.clear();
    return page;
}

// Every account and region that has anything on a bus; the server's own first of all.
std::set<bus::Place> places(const bus::Bus& state, const bus::Routes& routes, const bus::Place& home) {
    std::set<bus::Place> all{home};
    for (const bus::BusKey& bus : routes.made) all.insert(bus.place);
    for (const auto& [bus, rules] : routes.buses) all.insert(bus.place);
    for (const bus::Rule* rule : state.rules()) all.insert(rule->bus.place);
    for (const bus::Replay* replay : state.open_replays()) all.insert(replay->bus.place);
    for (const bus::Connection* connection : state.connections()) all.insert(connection->place);
    return all;
}

bool wanted(const PageRequest& request, std::string_view bus) { return !request.bus || *request.bus == bus; }

void write_place(JsonWriter& w, const bus::Place& place) {
    w.key("account").text(place.account).key("region").text(place.region);
}

// JSON that the API took is shown as JSON; what is not JSON, which no operation lets in, as null.
void write_json_or_null(JsonWriter& w, std::string_view json) {
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    if (json.empty() || parser.parse(json.data(), json.size()).get(root) != simdjson::SUCCESS)
        w.null();
    else
        w.raw(simdjson::minify(root));
}

// -- who serves a target --

// What the state knows of a target; the rest is the configuration's.
struct TargetFacts {
    bool bus_here = false;
    std::optional<std::string> destination;  // of an API destination that exists: "POST https://…"
    std::optional<bus::ConnectionState> connection;
    std::string connection_arn;
};

struct RuleRow {
    bus::Rule rule;
    std::vector<TargetFacts> facts;  // one for each target
    TimeMs next = no_time;           // slot of the schedule
};

TargetFacts facts_of(const bus::Bus& state, const bus::Target& target) {
    TargetFacts facts;
    const auto arn = bus::parse_arn(target.arn);
    if (!arn) return facts;
    const bus::Place place{arn->account, arn->region};
    const bus::TargetKind kind = bus::kind_of(*arn);
    if (kind == bus::TargetKind::event_bus) facts.bus_here = state.bus({place, std::string(bus::name_in(*arn))}).has_value();
    if (kind != bus::TargetKind::api_destination) return facts;
    const bus::Destination* destination = state.destination(place, bus::name_in(*arn));
    if (!destination) return facts;
    facts.destination = destination->method + " " + destination->endpoint;
    facts.connection_arn = destination->connection_arn;
    if (const bus::Connection* connection = state.connection_of(place, destination->connection_arn))
        facts.connection = connection->state;
    return facts;
}

RuleRow row_of(const bus::Bus& state, const bus::Rule& rule) {
    RuleRow row{rule, {}, no_time};
    for (const bus::Target& target : rule.targets) row.facts.push_back(facts_of(state, target));
    if (rule.schedule.empty() || !rule.enabled()) return row;
    if (const auto schedule = bus::parse_schedule(rule.schedule); schedule.ok()) {
        const TimeMs after = rule.fired == no_time ? rule.anchor : std::max(rule.anchor, rule.fired);
        row.next = schedule->next_after(after, rule.anchor).value_or(no_time);
    }
    return row;
}

struct Service {
    bool served = false;
    std::string text;  // by what it is served, or why it is not
};

// As the couriers choose an endpoint (src/node/rule_targets.h): the first whose globs match.
Service served_by_aws(const Config& config, const bus::Arn& arn) {
    const AwsEndpoint* e = node::RuleTargets::endpoint_of(config, arn);
    if (!e)
        return {false, fmt::format("no endpoint is configured for service {}, region {}, account {} (configuration key `aws`)",
                                   arn.service, arn.region, arn.account)};
    if (node::credentials_of(e->access_key_id, e->secret_access_key, e->session_token).access_key_id.empty())
        return {false, "no credentials for the endpoint: set aws[].access_key_id, or AWS_ACCESS_KEY_ID in the server's environment"};
    return {true, e->url.empty() ? fmt::format("AWS {} in {}", arn.service, arn.region) : e->url};
}

Service service_of(const Config& config, const bus::Target& target, const TargetFacts& facts) {
    const auto arn = bus::parse_arn(target.arn);
    if (!arn) return {false, "the target's ARN cannot be read"};
    switch (bus::kind_of(*arn)) {
        case bus::TargetKind::unknown:
            return {false, fmt::format("targets of service {} are kept, and never invoked here", arn->service)};
        case bus::TargetKind::event_bus:
            if (facts.bus_here) return {true, "a bus of this server"};
            return served_by_aws(config, *arn);
        case bus::TargetKind::api_destination:
            if (!facts.destination) return {false, "there is no such API destination"};
            if (!facts.connection) return {false, fmt::format("there is no connection {}", facts.connection_arn)};
            if (*facts.connection == bus::ConnectionState::deauthorized) return {false, "its connection is deauthorized"};
            return {true, *facts.destination};
        case bus::TargetKind::log_group:
        case bus::TargetKind::sqs:
        case bus::TargetKind::sns:
        case bus::TargetKind::lambda:
        case bus::TargetKind::pipeline:
        case bus::TargetKind::state_machine: return served_by_aws(config, *arn);
    }
    ASSERT(false);
}

void write_service(JsonWriter& w, const Service& service) {
    w.key("served").boolean(service.served);
    w.key("servedBy").text_or_null(service.served ? service.text : "");
    w.key("unservedReason").text_or_null(service.served ? "" : service.text);
}

void write_rule(JsonWriter& w, const Config& config, const RuleRow& row) {
    const bus::Rule& rule = row.rule;
    w.begin_object();
    write_place(w, rule.bus.place);
    w.key("bus").text(rule.bus.name).key("name").text(rule.name).key("arn").text(rule.arn());
    w.key("state").text(bus::to_string(rule.state)).key("description").text_or_null(rule.description);
    w.key("pattern");
    write_json_or_null(w, rule.pattern);
    w.key("schedule").text_or_null(rule.schedule).key("nextTime").time(row.next).key("createdTime").time(rule.created);
    w.key("targets").begin_array();
    for (size_t i = 0; i < rule.targets.size(); ++i) {
        const bus::Target& target = rule.targets[i];
        const auto arn = bus::parse_arn(target.arn);
        w.begin_object().key("id").text(target.id).key("arn").text(target.arn);
        w.key("kind").text(bus::to_string(arn ? bus::kind_of(*arn) : bus::TargetKind::unknown));
        write_service(w, service_of(config, target, row.facts[i]));
        w.key("deadLetter");
        if (const auto queue = bus::parse_arn(target.parameters.dead_letter_arn)) {
            w.begin_object().key("arn").text(target.parameters.dead_letter_arn);
            write_service(w, served_by_aws(config, *queue));
            w.end_object();
        } else {
            w.null();
        }
        w.end_object();
    }
    w.end_array().end_object();
}

using RuleItems = std::vector<std::pair<RowPlace, const bus::Rule*>>;

RuleItems rules_of(const bus::Bus& state, const PageRequest& request) {
    RuleItems all;
    for (const bus::Rule* rule : state.rules())
        if (wanted(request, rule->bus.name)) all.emplace_back(place_of(rule->bus.place, rule->bus.name, rule->name), rule);
    return all;
}

// -- export --

// The Targets of PutTargets, as ListTargetsByRule of the AWS API shows them: JSON objects, comma-separated.
std::string targets_json(const bus::Bus& state, const bus::Rule& rule, TimeMs now) {
    std::string all, token;
    do {
        std::string body;
        JsonWriter w(body);
        w.begin_object().key("Rule").text(rule.name).key("EventBusName").text(rule.bus.name);
        if (!token.empty()) w.key("NextToken").text(token);
        w.end_object();
        const auto prepared = bus::prepare({"ListTargetsByRule", rule.bus.place, body, {}});
        const auto* decide = std::get_if<bus::Decide>(&prepared);
        ASSERT(decide);
        const bus::ApiAnswer answer = (*decide)(state, {now, 0, 0});
        const auto* json = std::get_if<std::string>(&answer.result);
        ASSERT(json);
        simdjson::dom::parser parser;
        simdjson::dom::element root;
        simdjson::dom::array targets;
        token.clear();
        if (parser.parse(*json).get(root) != simdjson::SUCCESS || root["Targets"].get(targets) != simdjson::SUCCESS) break;
        for (const auto target : targets) all += (all.empty() ? "" : ",") + std::string(simdjson::minify(target));
        std::string_view next;
        if (root["NextToken"].get(next) == simdjson::SUCCESS) token = next;
    } while (!token.empty());
    return all;
}

std::string export_json(const bus::Bus& state, const bus::Rule& rule, TimeMs now) {
    std::string json;
    JsonWriter w(json);
    w.begin_object().key("Rule").begin_object().key("Name").text(rule.name).key("EventBusName").text(rule.bus.name);
    const auto member = [&](std::string_view name, const std::string& value) {
        if (!value.empty()) w.key(name).text(value);
    };
    member("EventPattern", rule.pattern);
    member("ScheduleExpression", rule.schedule);
    w.key("State").text(bus::to_string(rule.state));
    member("Description", rule.description);
    member("RoleArn", rule.role_arn);
    if (!rule.tags.empty()) {
        w.key("Tags").begin_array();
        for (const auto& [key, value] : rule.tags) w.begin_object().key("Key").text(key).key("Value").text(value).end_object();
        w.end_array();
    }
    w.end_object().key("Targets").raw("[" + targets_json(state, rule, now) + "]").end_object();
    return json;
}

}  // namespace

http::Task<Result<http::Response>> list_rules(const Context& context, http::Exchange& exchange) {
    CO_TRY(const PageRequest request, page_request(exchange.head()));
    auto page = co_await read_state<Page<RuleRow>>(context, exchange, [request](const node::View& view) {
        const bus::Bus& state = view.state.bus;
        return cut_page<RuleRow>(rules_of(state, request), request, view.position,
                                 [&](const bus::Rule* rule) { return row_of(state, *rule); });
    });
    if (!page.ok()) co_return std::move(page).error();
    co_return list_page(page->position, "rules", page->rows, page->next,
                        [&](JsonWriter& w, const RuleRow& row) { write_rule(w, context.config, row); });
}

http::Task<Result<http::Response>> export_rules(const Context& context, http::Exchange& exchange) {
    CO_TRY(const PageRequest request, page_request(exchange.head()));
    auto page = co_await read_state<Page<std::string>>(context, exchange, [request](const node::View& view) {
        const bus::Bus& state = view.state.bus;
        return cut_page<std::string>(rules_of(state, request), request, view.position,
                                     [&](const bus::Rule* rule) { return export_json(state, *rule, view.now); });
    });
    if (!page.ok()) co_return std::move(page).error();
    co_return list_page(page->position, "rules", page->rows, page->next,
                        [](JsonWriter& w, const std::string& json) { w.raw(json); });
}

http::Task<Result<http::Response>> explain_rule(const Context& context, http::Exchange& exchange) {
    const http::Head& head = exchange.head();
    const std::string name = head.query("rule").value_or(""), bus_text = head.query("bus").value_or("");
    if (name.empty()) co_return invalid("rule: the name or the ARN of a rule is required");
    std::optional<std::string> bus;
    if (!bus_text.empty() && !(bus = bus::bus_name(bus_text)))
        co_return invalid("bus: must be the name or the ARN of an event bus");
    auto body = co_await exchange.read_body(limits::event_bytes);
    if (!body.ok()) co_return http::error_response(exchange.refusal_status(), to_string(body.error().kind), body.error().message);

    using Found = std::pair<std::vector<bus::Rule>, Position>;
    auto found = co_await read_state<Found>(context, exchange, [name, bus](const node::View& view) {
        Found f{{}, view.position};
        for (const bus::Rule* rule : view.state.bus.rules())
            if ((rule->name == name && (!bus || *bus == rule->bus.name)) || rule->arn() == name) f.first.push_back(*rule);
        return f;
    });
    if (!found.ok()) co_return std::move(found).error();
    if (found->first.empty())
        co_return not_found(
            fmt::format("there is no rule '{}'{}", name.substr(0, 200), bus ? " on bus '" + bus->substr(0, 200) + "'" : ""));
    const bus::Rule& rule = found->first.front();
    if (found->first.size() > 1)
        co_return invalid(
            fmt::format("rule: {} rules have this name: say which by its ARN, such as {}", found->first.size(), rule.arn()));
    if (rule.pattern.empty())
        co_return invalid(fmt::format("rule: {} has no pattern: it runs on a schedule, {}", rule.name, rule.schedule));
    CO_TRY(const patterns::Pattern pattern, patterns::parse_pattern(rule.pattern));
    const patterns::Explanation explanation = patterns::explain(pattern, *body);
    if (!explanation.event_error.empty()) co_return invalid("the event in the body cannot be read: " + explanation.event_error);
    std::string json;
    JsonWriter w(json);
    w.begin_object().key("rule").text(rule.arn()).key("state").text(bus::to_string(rule.state)).key("explanation");
    w.raw(patterns::to_json(explanation)).end_object();
    co_return at_position(http::json_response(200, std::move(json)), found->second);
}

http::Task<Result<http::Response>> list_buses(const Context& context, http::Exchange& exchange) {
    CO_TRY(const PageRequest request, page_request(exchange.head()));
    struct Row {
        bus::EventBus bus;
        size_t rules = 0, archives = 0;
    };
    const bus::Place home{context.config.account, context.config.region};
    auto page = co_await read_state<Page<Row>>(context, exchange, [request, home, &node = context.node](const node::View& view) {
        const bus::Bus& state = view.state.bus;
        std::vector<std::pair<RowPlace, bus::EventBus>> all;
        for (const bus::Place& place : places(state, *node.routes(), home))
            for (bus::EventBus& bus : state.buses(place))
                if (wanted(request, bus.key.name)) all.emplace_back(place_of(place, bus.key.name, ""), std::move(bus));
        return cut_page<Row>(std::move(all), request, view.position, [&](const bus::EventBus& bus) {
            const auto archives = state.archives(bus.key.place);
            const auto here = std::ranges::count_if(archives, [&](const bus::Archive* a) { return a->bus == bus.key; });
            return Row{bus, state.rules(bus.key).size(), static_cast<size_t>(here)};
        });
    });
    if (!page.ok()) co_return std::move(page).error();
    co_return list_page(page->position, "buses", page->rows, page->next, [](JsonWriter& w, const Row& row) {
        w.begin_object();
        write_place(w, row.bus.key.place);
        w.key("name").text(row.bus.key.name).key("arn").text(row.bus.key.arn());
        w.key("description").text_or_null(row.bus.description);
        w.key("policy");
        write_json_or_null(w, row.bus.policy);
        w.key("rules").number(static_cast<int64_t>(row.rules)).key("archives").number(static_cast<int64_t>(row.archives));
        w.key("createdTime").time(row.bus.created).end_object();
    });
}

http::Task<Result<http::Response>> list_archives(const Context& context, http::Exchange& exchange) {
    CO_TRY(const PageRequest request, page_request(exchange.head()));
    struct Row {
        bus::Archive archive;
        bus::ArchiveCounts counts;
    };
    const bus::Place home{context.config.account, context.config.region};
    auto page = co_await read_state<Page<Row>>(context, exchange, [request, home, &node = context.node](const node::View& view) {
        const bus::Bus& state = view.state.bus;
        std::vector<std::pair<RowPlace, const bus::Archive*>> all;
        for (const bus::Place& place : places(state, *node.routes(), home))
            for (const bus::Archive* archive : state.archives(place))
                if (wanted(request, archive->bus.name)) all.emplace_back(place_of(place, "", archive->name), archive);
        return cut_page<Row>(std::move(all), request, view.position, [&](const bus::Archive* a) {
            return Row{*a, state.counts(a->id)};
        });
    });
    if (!page.ok()) co_return std::move(page).error();
    co_return list_page(page->position, "archives", page->rows, page->next, [](JsonWriter& w, const Row& row) {
        const bus::Archive& a = row.archive;
        w.begin_object();
        write_place(w, a.bus.place);
        w.key("bus")
            .text(a.bus.name)
            .key("name")
            .text(a.name)
            .key("arn")
            .text(a.arn())
            .key("state")
            .text(bus::to_string(a.state));
        w.key("description").text_or_null(a.description).key("pattern");
        write_json_or_null(w, a.pattern);
        w.key("retentionDays").number(a.retention_days);
        w.key("events")
            .number(static_cast<int64_t>(row.counts.events))
            .key("bytes")
            .number(static_cast<int64_t>(row.counts.bytes));
        w.key("createdTime").time(a.created).end_object();
    });
}

http::Task<Result<http::Response>> list_replays(const Context& context, http::Exchange& exchange) {
    CO_TRY(const PageRequest request, page_request(exchange.head()));
    struct Row {
        bus::Replay replay;
        Position begin = 0;  // of its archive; 0: it is gone
    };
    const bus::Place home{context.config.account, context.config.region};
    auto page = co_await read_state<Page<Row>>(context, exchange, [request, home, &node = context.node](const node::View& view) {
        const bus::Bus& state = view.state.bus;
        std::vector<std::pair<RowPlace, const bus::Replay*>> all;
        for (const bus::Place& place : places(state, *node.routes(), home))
            for (const bus::Replay* replay : state.replays(place))
                if (wanted(request, replay->bus.name)) all.emplace_back(place_of(place, "", replay->name), replay);
        return cut_page<Row>(std::move(all), request, view.position, [&](const bus::Replay* replay) {
            const bus::Archive* archive = state.archive(replay->archive_id);
            return Row{*replay, archive ? archive->from : 0};
        });
    });
    if (!page.ok()) co_return std::move(page).error();
    co_return list_page(page->position, "replays", page->rows, page->next, [](JsonWriter& w, const Row& row) {
        const bus::Replay& r = row.replay;
        // How much of the log between the archive's begin and the replay's end was read; events may lie unevenly in it.
        const Position from = std::min(row.begin, r.next), length = r.end > from ? r.end - from : 0;
        const bool whole = r.state == bus::ReplayState::completed || (length == 0 && !r.open());
        const uint64_t percent = whole         ? 100
                                 : length == 0 ? 0
                                               : std::min<uint64_t>(99, (std::min(r.next, r.end) - from) * 100 / length);
        w.begin_object();
        write_place(w, r.bus.place);
        w.key("bus")
            .text(r.bus.name)
            .key("name")
            .text(r.name)
            .key("arn")
            .text(r.arn())
            .key("state")
            .text(bus::to_string(r.state));
        w.key("reason").text_or_null(r.reason).key("description").text_or_null(r.description).key("archive").text(r.archive);
        w.key("rules").begin_array();
        for (const std::string& arn : r.rules) w.text(arn);
        w.end_array();
        w.key("fromTime").time(r.from).key("toTime").time(r.to).key("startedTime").time(r.started).key("endedTime").time(r.ended);
        w.key("lastEventTime").time(r.last_event).key("progress").number(static_cast<int64_t>(percent));
        w.key("replayed").number(static_cast<int64_t>(r.replayed)).end_object();
    });
}

}  // namespace waybill::server
