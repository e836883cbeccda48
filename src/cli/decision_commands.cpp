// `waybill incidents`, `why`, `deliveries` and `dlq`: what came of the events, and the receipts that say why.
#include <fmt/format.h>

#include "base/json_writer.h"
#include "cli/commands.h"
#include "cli/table.h"

namespace waybill::cli {
namespace {

std::string event_words(Json event) {
    std::string what(text(event, "scope"));
    for (std::string_view key : {"stageName", "actionName"}) {
        if (!text(event, key).empty()) what += fmt::format("{}{}", key == "stageName" ? " " : " / ", text(event, key));
    }
    return clean(what);
}

void row_of(std::string& out, const Terminal& terminal, std::string_view name, const std::string& value) {
    out += "    " + paint(Style::dim, fmt::format("{:<12}", name), terminal.color) + value + "\n";
}

std::string receipt(Json root, const Terminal& terminal) {
    std::string out;
    auto decisions = items(root, "decisions");
    if (auto subject = member(root, "subject"))
        out += fmt::format("{} {}\n", clean(text(*subject, "type")), paint(Style::bold, clean(text(*subject, "id")), terminal.color));
    if (decisions.empty()) return out + "  nothing was decided: no event of it was one that the policy looks at\n";
    for (Json d : decisions) {
        out += fmt::format("\n  {}  {}\n", show_time(time_of(d, "time")), paint(Style::dim, fmt::format("position {}", number(d, "position")), terminal.color));
        if (auto event = member(d, "event")) {
            std::string_view state = text(*event, "state"), outcome = text(d, "outcome");
            row_of(out, terminal, "event",
                   fmt::format("{} {}{}{}", event_words(*event), paint(status_style(state), clean(state), terminal.color),
                               number(*event, "attempt", 1) > 1 ? fmt::format(", attempt {}", number(*event, "attempt")) : "",
                               text(*event, "eventId").empty() ? "" : paint(Style::dim, fmt::format("  id {}", clean(text(*event, "eventId"))), terminal.color)));
            if (!outcome.empty()) row_of(out, terminal, "transition", paint(status_style(outcome), clean(outcome), terminal.color));
        }
        std::string policy = clean(text(d, "policy")), settings = clean(text(d, "policyVersion"));
        if (!policy.empty()) row_of(out, terminal, "policy", policy + (settings.empty() ? "" : paint(Style::dim, "  version " + settings, terminal.color)));
        std::string_view verdict = text(d, "verdict");
        std::string reason = clean(text(d, "reason"));
        if (!verdict.empty()) row_of(out, terminal, "verdict", paint(status_style(verdict), clean(verdict), terminal.color) + (reason.empty() ? "" : " (" + reason + ")"));
        if (!text(d, "text").empty()) row_of(out, terminal, "because", clean(text(d, "text")));
        for (Json delivery : items(d, "deliveries")) {
            std::string_view id;
            if (delivery.get(id) != simdjson::SUCCESS) id = text(delivery, "deliveryId");
            row_of(out, terminal, "delivery", clean(id));
        }
    }
    return out;
}

std::string deliveries_table(const std::vector<Json>& list, const Terminal& terminal, TimeMs now) {
    Table table({{"STATUS"}, {"DELIVERY"}, {"WHAT", false, 10}, {"TARGET", false, 8}, {"PIPELINE", false, 10}, {"EXECUTION", false, 8}, {"TRIES", true}, {"WHEN", true}, {"LAST ERROR", false, 16}});
    for (Json d : list) {
        std::string_view status = text(d, "status");
        std::string error;
        if (auto last = member(d, "lastError")) {
            if (number(*last, "code")) error = fmt::format("{} ", number(*last, "code"));
            error += clean(text(*last, "text"));
        } else if (status == "cancelled") {
            error = clean(text(d, "reason"));
        }
        TimeMs finished = time_of(d, "finishedTime"), next = time_of(d, "nextAttemptTime");
        bool waits = finished == no_time && next != no_time && next > now;
        Line state{{fmt::format("{} {}", status_mark(status), clean(status)), status_style(status)}};
        if (flag(d, "possiblyTwice")) state.push_back({" ×2?", Style::yellow});
        table.row({state, text(d, "deliveryId"), fmt::format("{} {}", text(d, "kind"), text(d, "topic")), text(d, "target"), text(d, "pipeline"), text(d, "executionId"),
                   std::to_string(number(d, "attempts")), waits ? "in " + show_duration(next - now) : show_ago(finished != no_time ? finished : time_of(d, "plannedTime"), now),
                   Cell(error, Style::red)});
    }
    return table.render(terminal);
}

}  // namespace

int incidents(Session& session, const IncidentsOptions& options) {
    Result<Answer> answer = session.client.get("/api/v1/incidents" + query({{"status", options.all ? "all" : "open"}, {"pipeline", options.pipeline}, {"limit", std::to_string(options.limit)}}));
    if (!answer.ok()) return session.fail(answer.error());
    if (session.options.json) return session.print_json(*answer);
    TimeMs now = session.clock.now();
    Table table({{"STATUS"}, {"INCIDENT"}, {"PIPELINE", false, 12}, {"OPENED", true}, {"LASTED", true}, {"FAILED", true}, {"LAST EXECUTION", false, 8}, {"RESOLVED BY", false, 8}});
    for (Json i : items(answer->root, "incidents")) {
        std::string_view status = text(i, "status");
        TimeMs opened = time_of(i, "openedTime"), resolved = time_of(i, "resolvedTime");
        table.row({Line{{fmt::format("{} {}", status_mark(status), clean(status)), status_style(status)}}, text(i, "incidentId"), text(i, "pipeline"), show_ago(opened, now),
                   opened == no_time ? "-" : show_duration((resolved == no_time ? now : resolved) - opened), std::to_string(items(i, "executions").size()),
                   text(i, "lastExecutionId"), text(i, "resolvedBy")});
    }
    if (table.size() == 0) print(options.all ? "no incidents\n" : "no open incidents\n");
    print(table.render(session.out));
    if (!text(answer->root, "nextCursor").empty()) warn("there are more; see --limit", session.options.color);
    return exit_ok;
}

int why(Session& session, const std::string& id) {
    Result<Answer> answer = session.client.get("/api/v1/why/" + Client::escape(id));
    if (!answer.ok()) return session.fail(answer.error());
    if (session.options.json) return session.print_json(*answer);
    print(receipt(answer->root, session.out));
    return exit_ok;
}

int deliveries(Session& session, const DeliveriesOptions& options) {
    Result<Answer> answer = session.client.get("/api/v1/deliveries" + query({{"status", options.status}, {"kind", options.kind}, {"executionId", options.execution_id}, {"limit", std::to_string(options.limit)}}));
    if (!answer.ok()) return session.fail(answer.error());
    if (session.options.json) return session.print_json(*answer);
    auto list = items(answer->root, "deliveries");
    if (list.empty()) print(options.status == "dead" ? "no dead letters\n" : "no deliveries\n");
    print(deliveries_table(list, session.out, session.clock.now()));
    if (!text(answer->root, "nextCursor").empty()) warn("there are more; see --limit", session.options.color);
    return exit_ok;
}

int redrive(Session& session, const RedriveOptions& options) {
    if (options.all == !options.ids.empty()) return session.fail(invalid("dlq redrive: give delivery ids, or --all, and not both"));
    std::string body;
    JsonWriter json(body);
    json.begin_object();
    if (options.all) {
        json.key("all").boolean(true);
    } else {
        json.key("ids").begin_array();
        for (const std::string& id : options.ids) json.text(id);
        json.end_array();
    }
    json.end_object();
    Result<Answer> answer = session.client.post("/api/v1/deliveries/redrive", "application/json", body);
    if (!answer.ok()) return session.fail(answer.error());
    if (session.options.json) session.print_json(*answer);
    int64_t redriven = number(answer->root, "redriven");
    if (!session.options.json) print(fmt::format("{} {} on the way again\n", redriven, redriven == 1 ? "delivery is" : "deliveries are"));
    return !options.all && redriven < static_cast<int64_t>(options.ids.size()) ? exit_no : exit_ok;
}

}  // namespace waybill::cli
