// `waybill rules`, `archives` and `replays`: what the event buses hold, why an event matches a rule or not, and rules as the AWS
// command line takes them. `rules test` needs no server: the pattern and the event are files.
#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <set>

#include "cli/commands.h"
#include "cli/table.h"
#include "event/limits.h"
#include "patterns/explain.h"

namespace waybill::cli {
namespace {

constexpr int rows_a_request = 1000;  // as many as the server gives in one answer

// A file, or stdin for "-". An event has at most limits::event_bytes, a pattern less: more than that is not read.
Result<std::string> contents(const std::string& path) {
    std::FILE* file = path == "-" ? stdin : std::fopen(path.c_str(), "rb");
    if (!file) return Error{ErrorKind::invalid, fmt::format("{}: {}", path, std::strerror(errno))};
    std::string text;
    char buffer[64 << 10];
    while (text.size() <= limits::event_bytes) {
        const size_t n = std::fread(buffer, 1, sizeof buffer, file);
        if (n == 0) break;
        text.append(buffer, n);
    }
    const bool failed = std::ferror(file) != 0;
    if (file != stdin) std::fclose(file);
    if (failed) return invalid(fmt::format("{}: cannot be read", path));
    if (text.size() > limits::event_bytes)
        return invalid(fmt::format("{}: is larger than any event, {} bytes", path, limits::event_bytes));
    return text;
}

// Every page of a list.
Result<std::vector<Answer>> pages(Session& session, const std::string& path, const std::string& bus) {
    std::vector<Answer> all;
    std::string cursor;
    do {
        TRY(Answer answer,
            session.client.get(path + query({{"bus", bus}, {"limit", std::to_string(rows_a_request)}, {"cursor", cursor}})));
        cursor = text(answer.root, "nextCursor");
        all.push_back(std::move(answer));
    } while (!cursor.empty());
    return all;
}

std::vector<Json> rows_of(const std::vector<Answer>& all, std::string_view name) {
    std::vector<Json> rows;
    for (const Answer& answer : all)
        for (Json row : items(answer.root, name)) rows.push_back(row);
    return rows;
}

// As one answer, however many pages it came in.
int print_pages(const std::vector<Answer>& all, std::string_view name) {
    std::string rows;
    for (Json row : rows_of(all, name)) rows += (rows.empty() ? "" : ",") + std::string(simdjson::minify(row));
    print(fmt::format("{{\"position\":{},\"{}\":[{}],\"nextCursor\":null}}\n", number(all.front().root, "position"), name, rows));
    return exit_ok;
}

std::string place(Json row) { return fmt::format("{} {}", text(row, "account"), text(row, "region")); }

// Whether the rows are of more than one account and region, which is when they have to say of which.
bool many_places(const std::vector<Json>& rows) {
    std::set<std::string> all;
    for (Json row : rows) all.insert(place(row));
    return all.size() > 1;
}

std::string where(Json row, bool with_place, const char* name = "bus") {
    return with_place ? fmt::format("{} {}", place(row), text(row, name)) : std::string(text(row, name));
}

Cell state_cell(std::string_view state) {
    const Style style = state == "ENABLED" || state == "COMPLETED"    ? Style::green
                        : state.find("FAILED") != state.npos          ? Style::red
                        : state == "DISABLED" || state == "CANCELLED" ? Style::dim
                                                                      : Style::blue;
    return Cell(state.starts_with("ENABLED_WITH") ? std::string_view("ENABLED+") : state, style);
}

std::string found_words(Json clause) {
    std::string out;
    for (Json value : items(clause, "found")) out += (out.empty() ? "" : ", ") + std::string(simdjson::minify(value));
    const int64_t count = number(clause, "foundCount"), shown = static_cast<int64_t>(items(clause, "found").size());
    if (count > shown) out += fmt::format(" and {} more", count - shown);
    return out;
}

std::string outcome_words(Json clause) {
    const std::string_view outcome = text(clause, "outcome");
    const std::string found = found_words(clause);
    if (outcome == "matched") return found.empty() ? "nothing, as it should be" : found;
    if (outcome == "absent") return "nothing at this path";
    if (outcome == "present") return found + ": there must be nothing";
    if (outcome == "other_element") return found + ": not in the array element that fits the fields before";
    return found;
}

// What patterns::explain said, for people; the exit code is the answer.
int print_explanation(Json explanation, const Terminal& terminal) {
    const bool matched = flag(explanation, "matched");
    std::string out = matched ? paint(Style::green, "✓ the event matches", terminal.color)
                              : paint(Style::red, "✗ the event does not match", terminal.color);
    out += "\n";
    const auto nearest = items(explanation, "nearest");
    const int64_t combinations = number(explanation, "combinations");
    int64_t at = 0;
    for (Json branch : nearest) {
        ++at;
        if (combinations > 1)
            out += fmt::format("\n{} of {} combinations of $or, {}\n", at, combinations,
                               flag(branch, "matched") ? "which matches" : "which does not match");
        Table table({{""}, {"FIELD", false, 16}, {"WANTED", false, 20}, {"FOUND", false, 20}});
        for (Json clause : items(branch, "clauses")) {
            const bool good = text(clause, "outcome") == "matched";
            const auto wanted = member(clause, "wanted");
            table.row({Cell(good ? "✓" : "✗", good ? Style::green : Style::red), text(clause, "path"),
                       wanted ? std::string(simdjson::minify(*wanted)) : std::string(),
                       Cell(outcome_words(clause), good ? Style::plain : Style::red)});
        }
        out += table.render(terminal);
    }
    if (combinations > static_cast<int64_t>(nearest.size()))
        out += fmt::format("and {} combinations more that are further from matching\n",
                           combinations - static_cast<int64_t>(nearest.size()));
    print(out);
    return matched ? exit_ok : exit_no;
}

int tell_explanation(const Answer& answer, const Terminal& terminal, bool json) {
    const auto explanation = member(answer.root, "explanation");
    if (!explanation)
        return complain(Error{ErrorKind::unavailable, "the server's answer has no explanation in it"},
                        terminal.color ? ColorMode::always : ColorMode::never);
    if (!json) return print_explanation(*explanation, terminal);
    print(std::string(simdjson::minify(answer.root)) + "\n");
    return flag(*explanation, "matched") ? exit_ok : exit_no;
}

}  // namespace

int rules_list(Session& session, const RulesOptions& options) {
    const auto answer = pages(session, "/api/v1/rules", options.bus);
    if (!answer.ok()) return session.fail(answer.error());
    const std::vector<Json> rows = rows_of(*answer, "rules");
    const bool placed = many_places(rows);
    std::vector<std::string> warnings;
    Table table({{"STATE"},
                 {"BUS", false, 7},
                 {"RULE", false, 12},
                 {"PATTERN OR SCHEDULE", false, 20},
                 {"NEXT"},
                 {"TARGETS", false, 16}});
    for (Json rule : rows) {
        Line targets;
        for (Json target : items(rule, "targets")) {
            const bool served = flag(target, "served");
            if (!targets.empty()) targets.push_back({", "});
            targets.push_back({served ? "✓ " : "✗ ", served ? Style::green : Style::red});
            targets.push_back({clean(fmt::format("{} ({})", text(target, "id"), text(target, "kind")))});
            const std::string name =
                fmt::format("rule {} of bus {}, target {}", text(rule, "name"), text(rule, "bus"), text(target, "id"));
            if (!served)
                warnings.push_back(
                    fmt::format("{}: nothing serves {}: {}", name, text(target, "arn"), text(target, "unservedReason")));
            if (const auto queue = member(target, "deadLetter"); queue && !flag(*queue, "served"))
                warnings.push_back(fmt::format("{}: nothing serves its dead-letter queue {}: {}", name, text(*queue, "arn"),
                                               text(*queue, "unservedReason")));
        }
        if (targets.empty()) targets.push_back({"none", Style::dim});
        const auto pattern = member(rule, "pattern");
        std::string when = pattern ? std::string(simdjson::minify(*pattern)) : "";
        if (!text(rule, "schedule").empty()) when += (when.empty() ? "" : " ") + std::string(text(rule, "schedule"));
        const TimeMs next = time_of(rule, "nextTime");
        table.row({state_cell(text(rule, "state")), where(rule, placed), Cell(text(rule, "name"), Style::bold), when,
                   next == no_time ? std::string("-") : show_time(next), targets});
    }
    if (session.options.json)
        print_pages(*answer, "rules");
    else
        print(table.size() == 0 ? "no rules\n" : table.render(session.out));
    for (const std::string& warning : warnings) warn(clean(warning), session.options.color);
    return exit_ok;
}

int rules_explain(Session& session, const ExplainOptions& options) {
    const auto event = contents(options.event);
    if (!event.ok()) return session.fail(event.error());
    const auto answer = session.client.post("/api/v1/rules/explain" + query({{"rule", options.rule}, {"bus", options.bus}}),
                                            "application/json", *event);
    if (!answer.ok()) return session.fail(answer.error());
    if (text(answer->root, "state") == "DISABLED")
        warn("the rule is disabled: it takes no event, whether it matches or not", session.options.color);
    return tell_explanation(*answer, session.out, session.options.json);
}

int rules_test(const PatternTestOptions& options) {
    if (options.pattern == "-" && options.event == "-")
        return complain(invalid("only one of the pattern and the event can be read from stdin"), options.color);
    const auto pattern_text = contents(options.pattern);
    if (!pattern_text.ok()) return complain(pattern_text.error(), options.color);
    const auto event = contents(options.event);
    if (!event.ok()) return complain(event.error(), options.color);
    const auto pattern = patterns::parse_pattern(*pattern_text);
    if (!pattern.ok())
        return complain(invalid(fmt::format("{}: the event pattern is not valid: {}", options.pattern, pattern.error().message)),
                        options.color);
    const patterns::Explanation explanation = patterns::explain(*pattern, *event);
    if (!explanation.event_error.empty())
        return complain(invalid(fmt::format("{}: the event cannot be read: {}", options.event, explanation.event_error)),
                        options.color);
    const auto answer = parse_answer("{\"explanation\":" + patterns::to_json(explanation) + "}");
    if (!answer.ok()) return complain(answer.error(), options.color);
    return tell_explanation(*answer, look(stdout, options.color), options.json);
}

int rules_export(Session& session, const RulesOptions& options) {
    const auto answer = pages(session, "/api/v1/rules/export", options.bus);
    if (!answer.ok()) return session.fail(answer.error());
    if (session.options.json) return print_pages(*answer, "rules");
    std::string out;
    for (Json rule : rows_of(*answer, "rules")) out += std::string(simdjson::minify(rule)) + "\n";
    print(out);
    return exit_ok;
}

int archives(Session& session) {
    const auto answer = pages(session, "/api/v1/archives", "");
    if (!answer.ok()) return session.fail(answer.error());
    if (session.options.json) return print_pages(*answer, "archives");
    const std::vector<Json> rows = rows_of(*answer, "archives");
    const bool placed = many_places(rows);
    Table table({{"STATE"},
                 {"ARCHIVE", false, 12},
                 {"BUS", false, 7},
                 {"EVENTS", true},
                 {"SIZE", true},
                 {"KEPT"},
                 {"SINCE"},
                 {"PATTERN", false, 16}});
    for (Json a : rows) {
        const int64_t days = number(a, "retentionDays");
        const auto pattern = member(a, "pattern");
        table.row({state_cell(text(a, "state")), Cell(text(a, "name"), Style::bold), where(a, placed),
                   show_count(static_cast<uint64_t>(number(a, "events"))), show_bytes(static_cast<uint64_t>(number(a, "bytes"))),
                   days == 0 ? std::string("for ever") : fmt::format("{} days", days), show_time(time_of(a, "createdTime")),
                   pattern ? std::string(simdjson::minify(*pattern)) : std::string("every event")});
    }
    print(table.size() == 0 ? "no archives\n" : table.render(session.out));
    return exit_ok;
}

int replays(Session& session) {
    const auto answer = pages(session, "/api/v1/replays", "");
    if (!answer.ok()) return session.fail(answer.error());
    if (session.options.json) return print_pages(*answer, "replays");
    const std::vector<Json> rows = rows_of(*answer, "replays");
    const bool placed = many_places(rows);
    Table table({{"STATE"},
                 {"REPLAY", false, 12},
                 {"ARCHIVE", false, 10},
                 {"READ", true},
                 {"EVENTS", true},
                 {"FROM"},
                 {"TO"},
                 {"STARTED"},
                 {"REASON", false, 12}});
    for (Json r : rows)
        table.row({state_cell(text(r, "state")), Cell(text(r, "name"), Style::bold), where(r, placed, "archive"),
                   fmt::format("{}%", number(r, "progress")), show_count(static_cast<uint64_t>(number(r, "replayed"))),
                   show_time(time_of(r, "fromTime")), show_time(time_of(r, "toTime")), show_time(time_of(r, "startedTime")),
                   text(r, "reason")});
    print(table.size() == 0 ? "no replays\n" : table.render(session.out));
    return exit_ok;
}

}  // namespace waybill::cli
