#include "server/native_api.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <tuple>

#include "event/envelope.h"
#include "node/receipt.h"
#include "node/texts.h"
#include "notify/message.h"
#include "server/events_list.h"
#include "server/list_page.h"
#include "server/rules_api.h"

namespace waybill::server {
namespace {

constexpr size_t rows_a_read = 500;     // pipelines copied in one go on the sequencer's thread
constexpr size_t small_body = 64 << 10;

http::Response ok(std::string json, Position position) { return at_position(http::json_response(200, std::move(json)), position); }

bool contains_folded(std::string_view text, std::string_view part) {
    auto same = [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == std::tolower(static_cast<unsigned char>(b)); };
    return std::search(text.begin(), text.end(), part.begin(), part.end(), same) != text.end();
}

// How much a row wants to be looked at: failing first, then running, then by name.
int attention_of(const PipelineRow& row) {
    if (!row.open_incident.empty()) return 0;
    switch (row.current.state) {
        case State::failed: return 0;
        case State::started:
        case State::resumed:
        case State::stopping: return 1;
        default: return 2;
    }
}

// The place of a row in the list; a cursor is the place of the last row shown, in hex, so that it stands in a query as it is.
template <class Text>
using RowPlace = std::tuple<int, Text, Text, Text>;

RowPlace<std::string_view> place_of(const PipelineRow& row, bool by_attention) {
    return {by_attention ? attention_of(row) : 0, row.key.pipeline, row.key.account, row.key.region};
}

std::string row_cursor(const RowPlace<std::string_view>& place) {
    std::string bytes;
    ByteWriter out(bytes);
    out.u8(static_cast<uint8_t>(std::get<0>(place)));
    for (std::string_view part : {std::get<1>(place), std::get<2>(place), std::get<3>(place)}) out.text(part);
    return to_hex(bytes);
}

std::optional<RowPlace<std::string>> read_row_cursor(std::string_view cursor) {
    std::string bytes;
    for (; !cursor.empty(); cursor.remove_prefix(std::min<size_t>(2, cursor.size()))) {
        unsigned byte = 0;
        auto [end, ec] = std::from_chars(cursor.data(), cursor.data() + std::min<size_t>(2, cursor.size()), byte, 16);
        if (ec != std::errc{} || end != cursor.data() + 2) return {};
        bytes.push_back(static_cast<char>(byte));
    }
    ByteReader in(bytes);
    RowPlace<std::string> place;
    std::get<0>(place) = in.u8();
    for (auto* part : {&std::get<1>(place), &std::get<2>(place), &std::get<3>(place)}) *part = in.text();
    return in.complete() ? std::optional(std::move(place)) : std::nullopt;
}

http::Task<Result<http::Response>> pipelines(const Context& context, http::Exchange& exchange) {
    const http::Head& head = exchange.head();
    CO_TRY(const size_t limit, limit_of(head, limits::page_max, limits::pipelines_page_max));
    const std::string q = head.query("q").value_or(""), sort = head.query("sort").value_or("name"), cursor = head.query("cursor").value_or("");
    std::optional<State> status;
    if (const auto text = head.query("status")) {
        status = parse_status(*text);
        if (!status) co_return invalid(fmt::format("status: '{}' is not one of InProgress, Succeeded, Failed, Stopping, Stopped, Superseded, Cancelled", text->substr(0, 40)));
    }
    if (sort != "name" && sort != "attention") co_return invalid("sort: must be name or attention");
    std::optional<RowPlace<std::string>> after;
    if (!cursor.empty() && !(after = read_row_cursor(cursor))) co_return invalid("cursor: not one that this list gave");

    // Pipelines are never forgotten, so their addresses may be kept between the reads.
    using Pointers = std::vector<const tracking::Pipeline*>;
    Position position = 0;
    auto listed = co_await read_state<std::pair<Pointers, Position>>(context, exchange, [](const node::View& view) {
        Pointers all;
        all.reserve(view.state.tracking.pipelines());
        view.state.tracking.each_pipeline([&](const tracking::Pipeline& p) { all.push_back(&p); });
        return std::pair(std::move(all), view.position);
    });
    if (!listed.ok()) co_return std::move(listed).error();
    const auto all_of = std::make_shared<Pointers>(std::move(listed->first));
    Pointers& all = *all_of;
    std::erase_if(all, [&](const auto* p) { return !q.empty() && !contains_folded(p->key.pipeline, q); });
    std::vector<PipelineRow> rows;
    for (size_t from = 0; from < all.size() || from == 0; from += rows_a_read) {
        using Rows = std::pair<std::vector<PipelineRow>, Position>;
        auto read = co_await read_state<Rows>(context, exchange, [all_of, from](const node::View& view) {
            Rows r;
            r.second = view.position;
            for (size_t i = from; i < std::min(all_of->size(), from + rows_a_read); ++i) r.first.push_back(pipeline_row(view.state, *(*all_of)[i]));
            return r;
        });
        if (!read.ok()) co_return std::move(read).error();
        if (from == 0) position = read->second;
        std::move(read->first.begin(), read->first.end(), std::back_inserter(rows));
    }
    if (status)
        std::erase_if(rows, [&](const PipelineRow& r) { return status_word(r.current.state) != status_word(*status); });
    const bool by_attention = sort == "attention";
    if (by_attention) std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return place_of(a, true) < place_of(b, true); });
    const size_t total = rows.size();
    if (after) std::erase_if(rows, [&](const PipelineRow& r) { return place_of(r, by_attention) <= *after; });
    std::string next;
    if (rows.size() > limit) {
        next = row_cursor(place_of(rows[limit - 1], by_attention));
        rows.erase(rows.begin() + static_cast<ptrdiff_t>(limit), rows.end());
    }
    co_return list_page(position, "pipelines", rows, next, [](JsonWriter& w, const PipelineRow& row) { write_json(w, row); }, total);
}

http::Task<Result<http::Response>> executions(const Context& context, http::Exchange& exchange, std::string pipeline) {
    const http::Head& head = exchange.head();
    CO_TRY(const history::PageRequest page, page_of(head));
    const Position position = co_await history_caught_up(context, exchange);
    history::ExecutionFilter filter{pipeline, head.query("account"), head.query("region")};
    CO_TRY(const auto found, context.history.executions(filter, page));
    if (found.items.empty() && page.cursor.empty()) co_return not_found(fmt::format("no pipeline '{}' has been seen", pipeline));
    co_return list_page(position, "executions", found.items, found.next, [](JsonWriter& w, const ExecutionView& e) { write_summary_json(w, e); });
}

struct FoundExecution {
    ExecutionView view;
    Position position = 0;
};

// Live or retired; with texts.
http::Task<Result<FoundExecution>> find_execution(const Context& context, http::Exchange& exchange, std::string id) {
    const http::Head& head = exchange.head();
    const auto account = head.query("account"), region = head.query("region"), pipeline = head.query("pipeline");
    using Read = std::pair<std::optional<ExecutionView>, Position>;
    auto live = co_await read_state<Read>(context, exchange, [account, region, pipeline, id](const node::View& view) {
        Read r{std::nullopt, view.position};
        const tracking::Execution* e = account && region && pipeline ? view.state.tracking.find({*account, *region, *pipeline}, id) : view.state.tracking.find(id);
        if (e && (!account || e->pipeline->key.account == *account) && (!region || e->pipeline->key.region == *region) && (!pipeline || e->pipeline->key.pipeline == *pipeline))
            r.first = view.state.tracking.view(*e);
        return r;
    });
    if (!live.ok()) co_return std::move(live).error();
    FoundExecution found;
    found.position = live->second;
    if (live->first) {
        found.view = std::move(*live->first);
    } else {
        CO_TRY(auto retired, context.history.find_execution(id, account, region, pipeline));
        if (!retired) co_return not_found(fmt::format("no execution '{}' is known", id.substr(0, 200)));
        found.view = std::move(*retired);
    }
    CO_TRY_VOID(node::load_texts(context.log, context.recent_texts, found.view));
    co_return found;
}

http::Task<Result<http::Response>> execution(const Context& context, http::Exchange& exchange, std::string id, std::string part) {
    auto found = co_await find_execution(context, exchange, id);
    if (!found.ok()) co_return std::move(found).error();
    std::string json;
    JsonWriter w(json);
    if (part.empty()) {
        write_json(w, found->view);
    } else if (part == "events") {
        CO_TRY(const auto lines, node::execution_events(context.log, found->view));
        w.begin_object().key("position").number(static_cast<int64_t>(found->position)).key("events").begin_array();
        for (const auto& line : lines) node::write_json(w, line);
        w.end_array().end_object();
    } else {
        CO_TRY(const auto lines, node::execution_decisions(context.log, found->view));
        w.begin_object().key("subject").begin_object().key("type").text("execution").key("id").text(found->view.execution_id).end_object();
        w.key("decisions").begin_array();
        for (const auto& line : lines) node::write_json(w, line);
        w.end_array().end_object();
    }
    co_return ok(std::move(json), found->position);
}

// -- incidents --

http::Task<Result<http::Response>> incidents(const Context& context, http::Exchange& exchange) {
    const http::Head& head = exchange.head();
    CO_TRY(const history::PageRequest page, page_of(head));
    history::IncidentFilter filter;
    const std::string status = head.query("status").value_or("all");
    if (status == "open" || status == "resolved") filter.open = status == "open";
    else if (status != "all") co_return invalid("status: must be open, resolved or all");
    filter.pipeline = head.query("pipeline");
    filter.account = head.query("account");
    filter.region = head.query("region");
    const Position position = co_await history_caught_up(context, exchange);
    CO_TRY(const auto found, context.history.incidents(filter, page));
    co_return list_page(position, "incidents", found.items, found.next, [](JsonWriter& w, const Incident& i) { write_json(w, i); });
}

// The failed action that an execution's failure is told with: the newest one of its newest failed stage.
const ActionView* cause_of(const ExecutionView& e) {
    const ActionView* cause = nullptr;
    for (const auto& a : e.actions)
        if (a.state == State::failed && (!cause || a.attempt >= cause->attempt)) cause = &a;
    return cause;
}

http::Task<Result<http::Response>> incident(const Context& context, http::Exchange& exchange, std::string id, std::string part) {
    const Position position = co_await history_caught_up(context, exchange);
    CO_TRY(const auto found, context.history.find_incident(id));
    if (!found) co_return not_found(fmt::format("no incident '{}' is known", id.substr(0, 200)));
    std::string json;
    JsonWriter w(json);
    if (part == "receipt") {
        w.begin_object().key("subject").begin_object().key("type").text("incident").key("id").text(id).end_object().key("decisions").begin_array();
        for (const auto& member : found->executions) {
            CO_TRY(const auto view, context.history.find_execution(member.execution_id, found->pipeline.account, found->pipeline.region, found->pipeline.pipeline));
            if (!view) continue;
            CO_TRY(const auto lines, node::execution_decisions(context.log, *view));
            for (const auto& line : lines)
                if (line.decision.line == PolicyLine::pipeline_failed) node::write_json(w, line);
        }
        w.end_array().end_object();
        co_return ok(std::move(json), position);
    }
    std::string base;
    JsonWriter b(base);
    write_json(b, *found);
    base.pop_back();  // the closing brace: more members follow
    json = std::move(base);
    json += ",\"cause\":";
    JsonWriter more(json);
    CO_TRY(auto view, context.history.find_execution(found->executions.back().execution_id, found->pipeline.account, found->pipeline.region, found->pipeline.pipeline));
    const ActionView* cause = view ? cause_of(*view) : nullptr;
    if (cause)
        more.begin_object()
            .key("stageName").text(cause->stage)
            .key("actionName").text(cause->name)
            .key("errorCode").text_or_null(cause->error_code)
            .key("summary").text_or_null(cause->summary)
            .key("url").text_or_null(cause->external_url)
            .end_object();
    else more.null();
    json += ",\"deliveries\":";
    JsonWriter list(json);
    list.begin_array();
    CO_TRY(const auto deliveries, context.history.deliveries_of_incident(id));
    for (const auto& d : deliveries) write_json(list, d);
    list.end_array();
    json += '}';
    co_return ok(std::move(json), position);
}

// -- deliveries --

http::Task<Result<http::Response>> deliveries(const Context& context, http::Exchange& exchange) {
    const http::Head& head = exchange.head();
    CO_TRY(const history::PageRequest page, page_of(head));
    history::DeliveryFilter filter;
    if (const auto status = head.query("status"); status && *status != "all") {
        using S = DeliveryStatus;
        if (*status == "pending") filter.statuses = {S::pending, S::held, S::in_flight};
        else if (*status == "held") filter.statuses = {S::held};
        else if (*status == "in_flight") filter.statuses = {S::in_flight};
        else if (*status == "delivered") filter.statuses = {S::delivered};
        else if (*status == "dead") filter.statuses = {S::dead};
        else if (*status == "cancelled") filter.statuses = {S::cancelled};
        else co_return invalid("status: must be pending, held, in_flight, delivered, dead, cancelled or all");
    }
    if (const auto kind = head.query("kind")) {
        if (*kind == "notify") filter.kind = DeliveryKind::notify;
        else if (*kind == "retry") filter.kind = DeliveryKind::retry;
        else if (*kind == "target") filter.kind = DeliveryKind::target;
        else co_return invalid("kind: must be notify, retry or target");
    }
    filter.execution_id = head.query("executionId");
    filter.pipeline = head.query("pipeline");
    filter.account = head.query("account");
    filter.region = head.query("region");
    const Position position = co_await history_caught_up(context, exchange);
    CO_TRY(const auto found, context.history.deliveries(filter, page));
    co_return list_page(position, "deliveries", found.items, found.next, [](JsonWriter& w, const Delivery& d) { write_json(w, d); });
}

http::Task<Result<std::optional<Delivery>>> find_delivery(const Context& context, http::Exchange& exchange, DeliveryId id) {
    auto live = co_await read_state<std::optional<Delivery>>(context, exchange, [id](const node::View& view) {
        const Delivery* d = view.state.deliveries.find(id);
        return d ? std::optional(*d) : std::nullopt;
    });
    if (!live.ok()) co_return std::move(live).error();
    if (*live) co_return std::move(*live);
    co_await history_caught_up(context, exchange);
    co_return context.history.find_delivery(id);
}

http::Task<Result<http::Response>> delivery(const Context& context, http::Exchange& exchange, std::string text, std::string part) {
    const auto id = DeliveryId::parse(text);
    if (!id) co_return not_found(fmt::format("'{}' is not a delivery: ids look like d-4096-0", text.substr(0, 200)));
    auto found = co_await find_delivery(context, exchange, *id);
    if (!found.ok()) co_return std::move(found).error();
    if (!*found) co_return not_found(fmt::format("no delivery '{}' is known", text.substr(0, 200)));
    const Delivery& d = **found;
    co_await history_caught_up(context, exchange);  // the execution is told from there
    CO_TRY(auto view, context.history.find_execution(d.execution_id, d.pipeline.account, d.pipeline.region, d.pipeline.pipeline));
    const Position position = context.node.gauges().released.load();
    std::string json;
    JsonWriter w(json);
    if (part == "receipt") {
        w.begin_object().key("subject").begin_object().key("type").text("delivery").key("id").text(text).end_object().key("decisions").begin_array();
        if (view) {
            CO_TRY(const auto lines, node::execution_decisions(context.log, *view));
            for (const auto& line : lines)
                if (std::find(line.decision.deliveries.begin(), line.decision.deliveries.end(), *id) != line.decision.deliveries.end()) node::write_json(w, line);
        }
        w.end_array().end_object();
        co_return ok(std::move(json), position);
    }
    write_json(w, d);
    json.pop_back();
    json += ",\"history\":";
    JsonWriter list(json);
    list.begin_array();
    CO_TRY(const auto lines, node::delivery_history(context.log, d));
    for (const auto& line : lines) node::write_json(list, line);
    list.end_array();
    json += ",\"message\":";
    JsonWriter message(json);
    if (view && d.kind == DeliveryKind::notify) {
        Locale locale = context.config.locale;
        for (const auto& t : context.config.targets)
            if (t.name == d.target) locale = t.locale;
        CO_TRY_VOID(node::load_texts(context.log, context.recent_texts, *view));
        const Message rendered = render_message({d, *view, nullptr, locale, context.config.console_url});
        message.begin_object().key("subject").text(rendered.subject).key("body").text(rendered.body).end_object();
    } else {
        message.null();
    }
    json += '}';
    co_return ok(std::move(json), position);
}

// A body that was not taken whole: the status says why.
http::Response unread(http::Exchange& exchange, const Error& error) { return http::error_response(exchange.refusal_status(), to_string(error.kind), error.message); }

http::Task<Result<http::Response>> redrive(const Context& context, http::Exchange& exchange, node::Redrive command, int status) {
    http::Completion<uint64_t> done(exchange);
    command.answer = [sender = done.sender()](Result<uint64_t> n) mutable { sender.complete(std::move(n)); };
    if (!context.node.submit(std::move(command))) co_return overloaded("too many requests are waiting: repeat in a moment");
    auto n = co_await done.wait(answer_timeout_ms);
    if (!n.ok()) co_return std::move(n).error();
    co_return at_position(http::json_response(status, fmt::format("{{\"redriven\":{}}}", *n)), context.node.gauges().released.load());
}

http::Task<Result<http::Response>> redrive_one(const Context& context, http::Exchange& exchange, std::string text) {
    const auto id = DeliveryId::parse(text);
    if (!id) co_return not_found(fmt::format("'{}' is not a delivery: ids look like d-4096-0", text.substr(0, 200)));
    node::Redrive command;
    command.ids.push_back(*id);
    co_return co_await redrive(context, exchange, std::move(command), 202);
}

http::Task<Result<http::Response>> redrive_many(const Context& context, http::Exchange& exchange) {
    auto body = co_await exchange.read_body(small_body);
    if (!body.ok()) co_return unread(exchange, body.error());
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    if (parser.parse(*body).get(root) != simdjson::SUCCESS || !root.is_object()) co_return invalid("the body must be {\"all\":true} or {\"ids\":[\"d-…\"]}");
    node::Redrive command;
    bool all = false;
    simdjson::dom::array ids;
    if (root.at_key("all").get(all) == simdjson::SUCCESS && all) {
        command.all = true;
    } else if (root.at_key("ids").get(ids) == simdjson::SUCCESS) {
        for (const auto item : ids) {
            std::string_view text;
            const auto id = item.get(text) == simdjson::SUCCESS ? DeliveryId::parse(text) : std::nullopt;
            if (!id) co_return invalid("ids: each must be a delivery id such as d-4096-0");
            command.ids.push_back(*id);
        }
    } else {
        co_return invalid("the body must be {\"all\":true} or {\"ids\":[\"d-…\"]}");
    }
    co_return co_await redrive(context, exchange, std::move(command), 200);
}

// -- the rest --

http::Task<Result<http::Response>> search(const Context& context, http::Exchange& exchange) {
    const auto q = exchange.head().query("q");
    if (!q || q->empty()) co_return invalid("q: what to search for is required");
    CO_TRY(const size_t limit, limit_of(exchange.head()));
    const Position position = co_await history_caught_up(context, exchange);
    CO_TRY(const auto hits, context.history.search(*q, limit));
    std::string json;
    JsonWriter w(json);
    w.begin_object().key("position").number(static_cast<int64_t>(position)).key("results").begin_array();
    for (const auto& h : hits) {
        w.begin_object().key("type").text(history::to_string(h.type)).key("pipeline").text(h.pipeline.pipeline);
        w.key("account").text(h.pipeline.account).key("region").text(h.pipeline.region);
        w.key("executionId").text_or_null(h.execution_id).key("incidentId").text_or_null(h.incident_id).key("status").text_or_null(h.status);
        w.key("startTime").time(h.start).key("snippet").text_or_null(h.snippet).end_object();
    }
    w.end_array().end_object();
    co_return ok(std::move(json), position);
}

http::Task<Result<http::Response>> sql(const Context& context, http::Exchange& exchange) {
    auto body = co_await exchange.read_body(small_body);
    if (!body.ok()) co_return unread(exchange, body.error());
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    std::string_view query;
    if (parser.parse(*body).get(root) != simdjson::SUCCESS || !root.is_object() || root.at_key("query").get(query) != simdjson::SUCCESS)
        co_return invalid("the body must be {\"query\":\"SELECT …\"}");
    const Position position = co_await history_caught_up(context, exchange);
    CO_TRY(const auto result, context.history.sql(query));
    std::string json;
    JsonWriter w(json);
    history::write_json(w, result);
    co_return ok(std::move(json), position);
}

http::Task<Result<http::Response>> health(const Context& context, http::Exchange& exchange) {
    struct Numbers {
        node::Counters counters;
        size_t live, pending, dead, incidents;
        bool accepting;
        Position position;
    };
    auto n = co_await read_state<Numbers>(context, exchange, [](const node::View& view) {
        const auto& s = view.state;
        return Numbers{s.counters, s.tracking.live_executions(), s.deliveries.open(), s.deliveries.dead(), s.policy.open_incidents(), view.accepting_events, view.position};
    });
    if (!n.ok()) co_return std::move(n).error();
    const std::string trouble = context.feed.trouble();
    const Position written = context.feed.signal().value();
    const TimeMs now = context.clock.now(), written_time = context.history.time();
    const int64_t lag_ms = written >= n->position || written_time == no_time ? 0 : std::max<int64_t>(0, now - written_time);
    std::string json;
    JsonWriter w(json);
    w.begin_object();
    w.key("status").text(n->accepting && trouble.empty() ? "ok" : "degraded");
    w.key("trouble").text_or_null(!n->accepting ? std::string("the disk is full: no new events are taken") : trouble);
    w.key("position").number(static_cast<int64_t>(n->position));
    w.key("durablePosition").number(static_cast<int64_t>(context.log.durable()));
    w.key("acceptingEvents").boolean(n->accepting);
    w.key("history").begin_object().key("position").number(static_cast<int64_t>(written)).key("lagMs").number(lag_ms).end_object();
    w.key("eventsAccepted").number(static_cast<int64_t>(n->counters.events - n->counters.known_ids));
    w.key("eventsDuplicate").number(static_cast<int64_t>(n->counters.known_ids));
    w.key("liveExecutions").number(static_cast<int64_t>(n->live));
    w.key("pendingDeliveries").number(static_cast<int64_t>(n->pending));
    w.key("deadDeliveries").number(static_cast<int64_t>(n->dead));
    w.key("openIncidents").number(static_cast<int64_t>(n->incidents));
    w.key("uptimeMs").number(now - context.started);
    w.key("version").text(version);
    w.key("mailDirectory");
    if (context.config.mail.relay.empty()) w.text(context.config.data + "/mail");
    else w.null();
    w.end_object();
    co_return ok(std::move(json), n->position);
}

// An execution, an incident or a delivery: told apart by its shape, then by what is known.
http::Task<Result<http::Response>> why(const Context& context, http::Exchange& exchange, std::string id) {
    if (id.starts_with("d-") && DeliveryId::parse(id)) co_return co_await delivery(context, exchange, id, "receipt");
    if (id.starts_with("inc-")) co_return co_await incident(context, exchange, id, "receipt");
    co_return co_await execution(context, exchange, id, "receipt");
}

std::vector<std::string_view> segments(std::string_view path) {
    std::vector<std::string_view> parts;
    while (!path.empty()) {
        if (path.front() == '/') path.remove_prefix(1);
        const size_t end = path.find('/');
        parts.push_back(path.substr(0, end));
        path.remove_prefix(std::min(path.size(), end));
    }
    return parts;
}

// Every route but the live ones (router.cpp), as docs/openapi.yaml has them; tests/api_test.py holds the two together.
using Arguments = std::vector<std::string>;  // the path's {…}, decoded
struct Route {
    std::string_view method, path;
    http::Task<Result<http::Response>> (*handler)(const Context&, http::Exchange&, Arguments);
};
constexpr Route routes[] = {
    {"GET", "/pipelines", [](const Context& c, http::Exchange& x, Arguments) { return pipelines(c, x); }},
    {"GET", "/pipelines/{name}/executions", [](const Context& c, http::Exchange& x, Arguments a) { return executions(c, x, a[0]); }},
    {"GET", "/executions/{id}", [](const Context& c, http::Exchange& x, Arguments a) { return execution(c, x, a[0], ""); }},
    {"GET", "/executions/{id}/events", [](const Context& c, http::Exchange& x, Arguments a) { return execution(c, x, a[0], "events"); }},
    {"GET", "/executions/{id}/receipt", [](const Context& c, http::Exchange& x, Arguments a) { return execution(c, x, a[0], "receipt"); }},
    {"GET", "/incidents", [](const Context& c, http::Exchange& x, Arguments) { return incidents(c, x); }},
    {"GET", "/incidents/{id}", [](const Context& c, http::Exchange& x, Arguments a) { return incident(c, x, a[0], ""); }},
    {"GET", "/incidents/{id}/receipt", [](const Context& c, http::Exchange& x, Arguments a) { return incident(c, x, a[0], "receipt"); }},
    {"GET", "/deliveries", [](const Context& c, http::Exchange& x, Arguments) { return deliveries(c, x); }},
    {"POST", "/deliveries/redrive", [](const Context& c, http::Exchange& x, Arguments) { return redrive_many(c, x); }},
    {"GET", "/deliveries/{id}", [](const Context& c, http::Exchange& x, Arguments a) { return delivery(c, x, a[0], ""); }},
    {"GET", "/deliveries/{id}/receipt", [](const Context& c, http::Exchange& x, Arguments a) { return delivery(c, x, a[0], "receipt"); }},
    {"POST", "/deliveries/{id}/redrive", [](const Context& c, http::Exchange& x, Arguments a) { return redrive_one(c, x, a[0]); }},
    {"GET", "/events", [](const Context& c, http::Exchange& x, Arguments) { return list_events(c, x); }},
    {"GET", "/events/{position}", [](const Context& c, http::Exchange& x, Arguments a) { return one_event(c, x, a[0]); }},
    {"GET", "/rules", [](const Context& c, http::Exchange& x, Arguments) { return list_rules(c, x); }},
    {"GET", "/rules/export", [](const Context& c, http::Exchange& x, Arguments) { return export_rules(c, x); }},
    {"POST", "/rules/explain", [](const Context& c, http::Exchange& x, Arguments) { return explain_rule(c, x); }},
    {"GET", "/buses", [](const Context& c, http::Exchange& x, Arguments) { return list_buses(c, x); }},
    {"GET", "/archives", [](const Context& c, http::Exchange& x, Arguments) { return list_archives(c, x); }},
    {"GET", "/replays", [](const Context& c, http::Exchange& x, Arguments) { return list_replays(c, x); }},
    {"GET", "/search", [](const Context& c, http::Exchange& x, Arguments) { return search(c, x); }},
    {"POST", "/sql", [](const Context& c, http::Exchange& x, Arguments) { return sql(c, x); }},
    {"GET", "/health", [](const Context& c, http::Exchange& x, Arguments) { return health(c, x); }},
    {"GET", "/why/{id}", [](const Context& c, http::Exchange& x, Arguments a) { return why(c, x, a[0]); }},
};

}  // namespace

http::Response method_not_allowed(const http::Head& head, std::string_view allowed) {
    http::Response response = http::error_response(405, "invalid", fmt::format("{} is not a method of {}: use {}", head.method().substr(0, 40), head.raw_path().substr(0, 200), allowed));
    response.headers.emplace_back("Allow", std::string(allowed));
    return response;
}

PipelineRow pipeline_row(const node::State& state, const tracking::Pipeline& p) {
    PipelineRow row{p.key, p.executions, p.changed, state.tracking.current(p), {}};
    const auto incidents = state.policy.incidents(p.key);
    if (!incidents.empty() && incidents.back().open()) row.open_incident = incidents.back().id;
    return row;
}

void write_json(JsonWriter& w, const PipelineRow& row) {
    w.begin_object();
    w.key("pipeline").text(row.key.pipeline);
    w.key("account").text(row.key.account);
    w.key("region").text(row.key.region);
    w.key("status").text(status_word(row.current.state));
    w.key("executionId").text(row.current.id);
    w.key("attempt").number(row.current.attempt);
    w.key("startTime").time(row.current.start);
    w.key("lastUpdateTime").time(row.current.update);
    w.key("executions").number(static_cast<int64_t>(row.executions));
    w.key("openIncident").text_or_null(row.open_incident);
    w.key("gaps").number(static_cast<int64_t>(row.current.gaps));
    w.key("stages").begin_array();
    for (const auto& s : row.current.stages)
        w.begin_object().key("stageName").text(s.name).key("status").text(status_word(s.state)).key("attempt").number(s.attempt).end_object();
    w.end_array().end_object();
}

http::Task<std::optional<http::Response>> native_api(const Context& context, http::Exchange& exchange, std::string_view path) {
    const std::string_view method = exchange.head().method() == "HEAD" ? "GET" : exchange.head().method();
    // Names may hold an encoded slash, so the path is cut before it is decoded.
    const std::vector<std::string_view> parts = segments(path);
    std::string allowed;
    for (const Route& route : routes) {
        const std::vector<std::string_view> pattern = segments(route.path);
        if (pattern.size() != parts.size()) continue;
        Arguments arguments;
        bool fits = true;
        for (size_t i = 0; fits && i < pattern.size(); ++i) {
            if (pattern[i].starts_with('{')) arguments.push_back(http::percent_decode(parts[i], false));
            else fits = pattern[i] == parts[i];
        }
        if (!fits) continue;
        if (route.method != method) {
            allowed += allowed.empty() ? "" : ", ";
            allowed += route.method == "GET" ? "GET, HEAD" : route.method;
            continue;
        }
        Result<http::Response> result = co_await route.handler(context, exchange, std::move(arguments));
        co_return result.ok() ? std::move(*result) : http::error_response(result.error());
    }
    if (!allowed.empty()) co_return method_not_allowed(exchange.head(), allowed);
    co_return std::nullopt;
}

}  // namespace waybill::server
