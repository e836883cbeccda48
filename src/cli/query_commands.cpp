// `waybill sql`, `search`, `events` and `health`: reading what the server holds.
#include <fmt/format.h>

#include "base/json_writer.h"
#include "cli/commands.h"
#include "cli/table.h"

namespace waybill::cli {
namespace {

std::string value_text(Json value) {
    std::string_view words;
    if (value.is_null()) return "";
    if (value.get(words) == simdjson::SUCCESS) return std::string(words);
    return simdjson::minify(value);
}

// RFC 4180. Line breaks inside a value stay: they are quoted.
std::string csv_field(const std::string& text) {
    if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
    std::string out = "\"";
    for (char c : text) {
        if (c == '"') out += '"';
        out += c;
    }
    return out + '"';
}

std::vector<Json> list_of(Json value) {
    simdjson::dom::array array;
    if (value.get(array) != simdjson::SUCCESS) return {};
    return {array.begin(), array.end()};
}

}  // namespace

int sql(Session& session, const std::string& statement, bool csv) {
    std::string body;
    JsonWriter(body).begin_object().key("query").text(statement).end_object();
    Result<Answer> answer = session.client.post("/api/v1/sql", "application/json", body);
    if (!answer.ok()) return session.fail(answer.error());
    if (session.options.json) return session.print_json(*answer);
    auto columns = items(answer->root, "columns");
    auto rows = items(answer->root, "rows");
    if (csv) {
        std::string out;
        for (size_t i = 0; i < columns.size(); ++i) out += (i ? "," : "") + csv_field(value_text(columns[i]));
        out += "\r\n";
        for (Json row : rows) {
            auto values = list_of(row);
            for (size_t i = 0; i < values.size(); ++i) out += (i ? "," : "") + csv_field(value_text(values[i]));
            out += "\r\n";
        }
        print(out);
        return exit_ok;
    }
    std::vector<Column> heads;
    for (size_t i = 0; i < columns.size(); ++i) {
        bool numbers = !rows.empty();
        for (Json row : rows) {
            auto values = list_of(row);
            numbers &= i < values.size() && (values[i].is_number() || values[i].is_null());
        }
        heads.push_back({clean(value_text(columns[i])), numbers, 6});
    }
    Table table(heads);
    for (Json row : rows) {
        std::vector<Cell> cells;
        for (Json value : list_of(row)) cells.emplace_back(value.is_null() ? "NULL" : value_text(value), value.is_null() ? Style::dim : Style::plain);
        if (cells.size() == heads.size()) table.row(std::move(cells));
    }
    print(table.render(session.out));
    if (session.out.interactive) print(paint(Style::dim, fmt::format("{} {}", rows.size(), rows.size() == 1 ? "row" : "rows"), session.out.color) + "\n");
    return exit_ok;
}

int search(Session& session, const std::string& words) {
    Result<Answer> answer = session.client.get("/api/v1/search" + query({{"q", words}}));
    if (!answer.ok()) return session.fail(answer.error());
    if (session.options.json) return session.print_json(*answer);
    Table table({{"TYPE"}, {"STATE"}, {"PIPELINE", false, 12}, {"ID", false, 8}, {"STARTED"}, {"FOUND", false, 16}});
    for (Json r : items(answer->root, "results")) {
        std::string_view type = text(r, "type"), status = text(r, "status");
        std::string_view id = type == "incident" ? text(r, "incidentId") : type == "execution" ? text(r, "executionId") : std::string_view();
        table.row({text(r, "type"), Cell(status, status_style(status)), text(r, "pipeline"), id, show_time(time_of(r, "startTime")), text(r, "snippet")});
    }
    if (table.size() == 0) {
        print("nothing found\n");
        return exit_no;
    }
    print(table.render(session.out));
    return exit_ok;
}

int events(Session& session, const EventsOptions& options) {
    Result<Answer> answer = session.client.get("/api/v1/events" + query({{"from", options.from}, {"source", options.source}, {"detailType", options.detail_type}, {"pipeline", options.pipeline},
                                                                         {"executionId", options.execution_id}, {"order", options.oldest_first ? "asc" : "desc"}, {"limit", std::to_string(options.limit)}}));
    if (!answer.ok()) return session.fail(answer.error());
    if (session.options.json) return session.print_json(*answer);
    Table table({{"POSITION", true}, {"RECEIVED"}, {"TIME"}, {"SOURCE", false, 8}, {"PIPELINE", false, 10}, {"WHAT", false, 12}, {"STATE"}, {"ID", false, 8}});
    for (Json e : items(answer->root, "events")) {
        auto event = member(e, "event");
        if (!event) continue;
        auto detail = member(*event, "detail");
        std::string what(text(*event, "detail-type")), pipeline;
        std::string_view state;
        if (detail && text(*event, "source") == "aws.codepipeline") {
            pipeline = text(*detail, "pipeline");
            state = text(*detail, "state");
            what = text(*detail, "stage").empty() ? "pipeline" : std::string(text(*detail, "stage"));
            if (!text(*detail, "action").empty()) what += " / " + std::string(text(*detail, "action"));
        }
        Line shown{{clean(state), status_style(state)}};
        if (flag(e, "duplicate")) shown.push_back({" (duplicate)", Style::dim});
        table.row({std::to_string(number(e, "position")), show_time(time_of(e, "receivedTime")), show_time(time_of(*event, "time")), text(*event, "source"), pipeline, what, shown, text(*event, "id")});
    }
    if (table.size() == 0) print("no events\n");
    print(table.render(session.out));
    return exit_ok;
}

int health(Session& session) {
    Result<Answer> answer = session.client.get("/api/v1/health");
    if (!answer.ok()) return session.fail(answer.error());
    Json h = answer->root;
    bool good = text(h, "status") == "ok";
    if (session.options.json) {
        session.print_json(*answer);
        return good ? exit_ok : exit_no;
    }
    std::string out;
    auto line = [&](std::string_view name, const std::string& value) { out += paint(Style::dim, fmt::format("{:<20}", name), session.out.color) + value + "\n"; };
    auto count = [&](const char* key) { return show_count(static_cast<uint64_t>(std::max<int64_t>(number(h, key), 0))); };
    line("status", paint(status_style(text(h, "status")), clean(text(h, "status")), session.out.color));
    line("version", clean(text(h, "version")));
    line("up", show_duration(number(h, "uptimeMs")));
    line("accepting events", flag(h, "acceptingEvents") ? "yes" : paint(Style::red, "no", session.out.color));
    line("position", fmt::format("{}, durable to {}", number(h, "position"), number(h, "durablePosition")));
    if (auto read = member(h, "history")) line("read model", fmt::format("position {}, {} behind", number(*read, "position"), show_duration(number(*read, "lagMs"))));
    line("events accepted", count("eventsAccepted"));
    line("live executions", count("liveExecutions"));
    line("pending deliveries", count("pendingDeliveries"));
    line("dead letters", paint(number(h, "deadDeliveries") ? Style::red : Style::plain, count("deadDeliveries"), session.out.color));
    line("open incidents", paint(number(h, "openIncidents") ? Style::red : Style::plain, count("openIncidents"), session.out.color));
    if (!text(h, "mailDirectory").empty()) line("mail goes to", clean(text(h, "mailDirectory")));
    print(out);
    return good ? exit_ok : exit_no;
}

}  // namespace waybill::cli
