// `waybill status`, `history` and `show`: pipelines, their executions, and one execution with everything in it.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "cli/commands.h"
#include "cli/table.h"

namespace waybill::cli {
namespace {

// "✓ Source › ✗ Build": what stands where, in the order of the stages. Where that is wider than `limit` (0: no limit), what went well keeps
// its mark and loses its name, "✓✓✗ Deploy", so that the stage that matters is never the one that is cut off.
Line stage_chain(Json row, int limit) {
    Line line, brief;
    for (Json stage : items(row, "stages")) {
        std::string_view status = text(stage, "status");
        Style style = status_style(status);
        std::string name = clean(text(stage, "stageName")), mark(status_mark(status));
        if (!line.empty()) line.push_back({" › ", Style::dim});
        line.push_back({mark + " " + name, style});
        bool quiet = status == "Succeeded" || status.empty();
        if (!brief.empty() && !quiet) brief.push_back({" "});
        brief.push_back({quiet ? mark : mark + " " + name + " ", style});
    }
    return limit > 0 && display_width(line) > limit ? brief : line;
}

Line status_cell(std::string_view status) { return {{fmt::format("{} {}", status_mark(status), clean(status)), status_style(status)}}; }

std::string duration_of(Json object, TimeMs now) {
    if (auto ms = member(object, "durationMs")) return show_duration(number(object, "durationMs"));
    TimeMs start = time_of(object, "startTime");
    if (start == no_time || time_of(object, "endTime") != no_time) return "-";
    return show_duration(std::max<int64_t>(0, now - start)) + "…";
}

// The rows of GET /pipelines, and the changes that the stream sends of them.
class Board {
public:
    // With `by_attention` the rows are put in order again whenever one changes; otherwise they stay as the server sent them.
    explicit Board(bool by_attention) : by_attention_(by_attention) {}

    void take(Answer answer) {
        auto held = std::make_shared<Answer>(std::move(answer));
        position_ = number(held->root, "position", position_);
        for (Json row : items(held->root, "pipelines")) {
            Key key{std::string(text(row, "account")), std::string(text(row, "region")), std::string(text(row, "pipeline"))};
            if (rows_.insert_or_assign(key, Row{held, row}).second) order_.push_back(key);
        }
        if (!by_attention_) return;
        std::sort(order_.begin(), order_.end(), [&](const Key& a, const Key& b) {
            int x = urgency(rows_.at(a).row), y = urgency(rows_.at(b).row);
            return x != y ? x < y : std::get<2>(a) != std::get<2>(b) ? std::get<2>(a) < std::get<2>(b) : a < b;
        });
    }

    std::string render(const Terminal& terminal, TimeMs now, int height) const {
        Table table({{"STATE"}, {"PIPELINE", false, 12}, {"EXECUTION", false, 8}, {"TRY", true}, {"UPDATED", true}, {"STAGES", false, 16}});
        std::map<std::string, int> count;
        int open = 0, gaps = 0;
        for (const Key& key : order_) {
            Json row = rows_.at(key).row;
            std::string_view state = text(row, "status");
            ++count[std::string(state)];
            bool has_incident = member(row, "openIncident").has_value();
            open += has_incident;
            gaps += number(row, "gaps") > 0;
            Line name{{clean(text(row, "pipeline")), Style::bold}};
            if (has_incident) name.push_back({" !", Style::red});
            int64_t attempt = number(row, "attempt", 1);
            table.row({status_cell(state), name, text(row, "executionId"), Cell(std::to_string(attempt), attempt > 1 ? Style::yellow : Style::dim),
                       Cell(show_ago(time_of(row, "lastUpdateTime"), now), Style::dim), stage_chain(row, terminal.width > 0 ? std::max(terminal.width - 86, 16) : 0)});
        }
        std::string body = table.render(terminal);
        if (height > 0) {
            // Leave room for the summary and the cursor.
            size_t at = 0;
            for (int line = 0; line < height - 2 && at != std::string::npos; ++line) at = body.find('\n', at == 0 ? 0 : at + 1);
            if (at != std::string::npos && at + 1 < body.size()) body.resize(at + 1);
        }
        std::string summary = fmt::format("{} {}", show_count(order_.size()), order_.size() == 1 ? "pipeline" : "pipelines");
        for (const auto& [state, n] : count) summary += fmt::format(" · {}", paint(status_style(state), fmt::format("{} {}", n, state), terminal.color));
        if (open) summary += " · " + paint(Style::red, fmt::format("{} open {}", open, open == 1 ? "incident" : "incidents"), terminal.color);
        if (gaps) summary += " · " + paint(Style::yellow, fmt::format("{} with gaps", gaps), terminal.color);
        return body + summary + paint(Style::dim, fmt::format(" · position {}", position_), terminal.color) + "\n";
    }

private:
    using Key = std::tuple<std::string, std::string, std::string>;
    struct Row {
        std::shared_ptr<Answer> held;  // keeps what `row` points into
        Json row;
    };
    static int urgency(Json row) {
        std::string_view status = text(row, "status");
        if (status == "Failed" || member(row, "openIncident")) return 0;
        return status == "InProgress" || status == "Stopping" ? 1 : 2;
    }

    const bool by_attention_;
    std::map<Key, Row> rows_;
    std::vector<Key> order_;
    int64_t position_ = 0;
};

int watch(Session& session, Board& board) {
    auto draw = [&] {
        session.out = look(stdout, session.options.color);  // the window may have changed
        std::string frame = "\x1b[H" + board.render(session.out, session.clock.now(), terminal_height(stdout));
        // Clear behind each line instead of the whole screen first: no flicker.
        std::string drawn;
        for (char c : frame) drawn += c == '\n' ? std::string("\x1b[K\n") : std::string(1, c);
        return print(drawn + "\x1b[J");
    };
    print("\x1b[?1049h\x1b[?25l");
    std::string last_id;
    Result<void> ended;
    TimeMs drawn = 0;
    bool open = true;
    while (open && !session.interrupt.raised()) {
        draw();
        ended = session.client.stream(
            "/api/v1/stream?view=pipelines", last_id,
            [&](const SseMessage& message) {
                if (!message.id.empty()) last_id = message.id;
                if (message.event != "pipelines") return true;
                if (auto answer = parse_answer(message.data); answer.ok()) board.take(std::move(answer).value());
                drawn = session.clock.now();
                return open = draw();
            },
            [&] {
                if (session.clock.now() - drawn >= 1000) {
                    drawn = session.clock.now();
                    open = draw();
                }
                return open;
            });
        if (!ended.ok() && ended.error().kind != ErrorKind::unavailable && ended.error().kind != ErrorKind::overloaded) break;
        if (open && session.interrupt.wait_ms(1000)) break;
    }
    print("\x1b[?25h\x1b[?1049l");
    if (session.interrupt.raised() || ended.ok()) return exit_ok;
    return session.fail(ended.error());
}

void add_line(std::string& out, const Terminal& terminal, std::string_view name, const std::string& value) {
    if (value.empty()) return;
    out += paint(Style::dim, fmt::format("  {:<9}", name), terminal.color) + " " + value + "\n";
}

std::string joined(std::initializer_list<std::string> parts, std::string_view by = "  ") {
    std::string out;
    for (const std::string& part : parts) {
        if (part.empty()) continue;
        if (!out.empty()) out += by;
        out += part;
    }
    return out;
}

std::string execution_head(Json e, const Terminal& terminal, TimeMs now) {
    std::string out;
    std::string_view status = text(e, "status");
    out += fmt::format("{}  {}  {}{}\n", paint(status_cell(status), terminal.color), paint(Style::bold, clean(text(e, "pipeline")), terminal.color),
                       clean(text(e, "executionId")), number(e, "attempt", 1) > 1 ? fmt::format("  attempt {}", number(e, "attempt")) : "");
    TimeMs start = time_of(e, "startTime");
    add_line(out, terminal, "started", start == no_time ? "not known" : fmt::format("{} ({})", show_time(start), show_ago(start, now)));
    TimeMs end = time_of(e, "endTime");
    add_line(out, terminal, "ended", end == no_time ? "" : fmt::format("{}, took {}", show_time(end), duration_of(e, now)));
    if (TimeMs retried = time_of(e, "lastRetryTime"); retried != no_time) add_line(out, terminal, "retried", show_time(retried));
    add_line(out, terminal, "where", joined({clean(text(e, "account")), clean(text(e, "region")), text(e, "pipelineVersion").empty() ? "" : "pipeline version " + clean(text(e, "pipelineVersion"))}));
    if (auto commit = member(e, "commit")) {
        std::string ref = clean(text(*commit, "tag").empty() ? text(*commit, "branch") : text(*commit, "tag"));
        add_line(out, terminal, "commit", joined({clean(text(*commit, "id")).substr(0, 12), clean(text(*commit, "message"))}));
        add_line(out, terminal, "", joined({clean(text(*commit, "repository")), ref}, "@"));
        add_line(out, terminal, "", clean(text(*commit, "url")));
    }
    if (auto author = member(e, "author")) add_line(out, terminal, "author", joined({clean(text(*author, "name")), clean(text(*author, "email"))}));
    if (auto trigger = member(e, "trigger")) add_line(out, terminal, "trigger", joined({clean(text(*trigger, "type")), clean(text(*trigger, "detail"))}));
    add_line(out, terminal, "stopped", clean(text(e, "stopReason")));
    return out;
}

std::string execution_tree(Json e, const Terminal& terminal, TimeMs now) {
    Table tree({{"STAGE / ACTION", false, 16}, {"STATUS"}, {"TRY", true}, {"STARTED", true}, {"TOOK", true}, {"WHAT IT SAID", false, 20}});
    std::string errors;
    for (Json stage : items(e, "stages")) {
        std::string_view status = text(stage, "status");
        TimeMs start = time_of(stage, "startTime");
        tree.row({Line{{fmt::format("{} {}", status_mark(status), clean(text(stage, "stageName"))), Style::bold}}, Cell(status, status_style(status)),
                  std::to_string(number(stage, "attempt", 1)), start == no_time ? "-" : show_time(start).substr(11), duration_of(stage, now), ""});
        for (Json action : items(stage, "actions")) {
            std::string_view s = text(action, "status");
            std::string code = clean(text(action, "errorCode")), summary = clean(text(action, "externalExecutionSummary"));
            std::string said = joined({code, summary}, ": ");
            if (said.empty()) said = clean(text(action, "provider"));
            start = time_of(action, "startTime");
            Style tone = s == "Failed" ? Style::red : Style::dim;
            tree.row({Line{{fmt::format("  {} ", status_mark(s)), status_style(s)}, {clean(text(action, "actionName"))}}, Cell(s, status_style(s)),
                      std::to_string(number(action, "attempt", 1)), start == no_time ? "-" : show_time(start).substr(11), duration_of(action, now), Cell(said, tone)});
            if (s != "Failed" || terminal.width == 0) continue;
            errors += fmt::format("{} {} / {}: {}\n", paint(Style::red, "✗", terminal.color), clean(text(stage, "stageName")), clean(text(action, "actionName")), joined({code, summary}, ": "));
            if (std::string url = clean(text(action, "externalExecutionUrl")); !url.empty()) errors += "  " + url + "\n";
        }
    }
    std::string out = tree.render(terminal);
    // On a terminal the table cuts what failed actions said, so it stands below in full.
    if (!errors.empty()) out += "\n" + errors;
    auto gaps = items(e, "gaps");
    if (!gaps.empty()) out += "\n" + paint(Style::yellow, "Gaps: events that must exist and were not seen", terminal.color) + "\n";
    for (Json gap : gaps) out += fmt::format("  {} {}\n", paint(Style::yellow, clean(text(gap, "kind")), terminal.color), clean(text(gap, "text")));
    return out;
}

}  // namespace

int status(Session& session, const StatusOptions& options) {
    if (options.watch && (session.options.json || !session.out.interactive)) return session.fail(invalid("--watch draws on a terminal: leave it out here, or use `waybill tail --json`"));
    Result<Answer> answer = session.client.get("/api/v1/pipelines" + query({{"q", options.search}, {"status", options.status}, {"sort", options.sort}, {"limit", std::to_string(options.limit)}}));
    if (!answer.ok()) return session.fail(answer.error());
    if (session.options.json) return session.print_json(*answer);
    auto total = number(answer->root, "total");
    auto shown = static_cast<int64_t>(items(answer->root, "pipelines").size());
    Board board(options.watch && options.sort == "attention");
    board.take(std::move(answer).value());
    if (options.watch) return watch(session, board);
    print(board.render(session.out, session.clock.now(), 0));
    if (total > shown) warn(fmt::format("{} of {} pipelines shown; see --limit, --search and --state", shown, total), session.options.color);
    return exit_ok;
}

int history(Session& session, const HistoryOptions& options) {
    Result<Answer> answer = session.client.get("/api/v1/pipelines/" + Client::escape(options.pipeline) + "/executions" +
                                               query({{"account", options.account}, {"region", options.region}, {"limit", std::to_string(options.limit)}}));
    if (!answer.ok()) return session.fail(answer.error());
    if (session.options.json) return session.print_json(*answer);
    TimeMs now = session.clock.now();
    Table table({{"STATE"}, {"EXECUTION", false, 8}, {"TRY", true}, {"STARTED"}, {"TOOK", true}, {"AUTHOR", false, 8}, {"COMMIT", false, 12}, {"STAGES", false, 16}});
    for (Json e : items(answer->root, "executions")) {
        auto word = [&](const char* key, const char* inner) {
            auto m = member(e, key);
            if (!m) return std::string();
            return clean(m->is_string() ? text(e, key) : text(*m, inner));
        };
        std::string commit = word("commit", "message");
        if (commit.empty()) commit = word("commit", "id").substr(0, 12);
        table.row({status_cell(text(e, "status")), text(e, "executionId"), std::to_string(number(e, "attempt", 1)), show_time(time_of(e, "startTime")),
                   duration_of(e, now), word("author", "name"), commit, stage_chain(e, session.out.width > 0 ? 24 : 0)});
    }
    if (table.size() == 0) print("no executions of " + clean(options.pipeline) + " were seen\n");
    else print(table.render(session.out));
    if (!text(answer->root, "nextCursor").empty()) warn("there are more; see --limit", session.options.color);
    return table.size() == 0 ? exit_no : exit_ok;
}

int show(Session& session, const ShowOptions& options) {
    std::string path = "/api/v1/executions/" + Client::escape(options.execution_id);
    Result<Answer> answer = session.client.get(path + (options.events ? "/events" : ""));
    if (!answer.ok()) return session.fail(answer.error());
    if (session.options.json) return session.print_json(*answer);
    if (!options.events) {
        TimeMs now = session.clock.now();
        print(execution_head(answer->root, session.out, now) + "\n" + execution_tree(answer->root, session.out, now));
        return exit_ok;
    }
    Table table({{"ARRIVED", true}, {"ORDER", true}, {"RECEIVED"}, {"TIME"}, {"WHAT", false, 16}, {"STATE"}, {"TRY", true}, {"OUTCOME"}, {"WHY", false, 12}, {"POSITION", true}});
    int moved = 0;
    for (Json e : items(answer->root, "events")) {
        int64_t arrival = number(e, "arrival"), order = number(e, "order");
        moved += arrival != order;
        std::string what = joined({clean(text(e, "scope")), clean(text(e, "stageName")), clean(text(e, "actionName"))}, " / ");
        std::string received = show_time(time_of(e, "receivedTime")), time = show_time(time_of(e, "time"));
        table.row({std::to_string(arrival), Cell(std::to_string(order), arrival == order ? Style::dim : Style::yellow), received.size() > 11 ? received.substr(11) : received,
                   time.size() > 11 ? time.substr(11) : time, what, Cell(text(e, "state"), status_style(text(e, "state"))), std::to_string(number(e, "attempt", 1)),
                   Cell(text(e, "outcome"), status_style(text(e, "outcome"))), text(e, "text"), std::to_string(number(e, "position"))});
    }
    print(table.render(session.out));
    print(fmt::format("{} events, {} did not arrive in their true order\n", table.size(), moved));
    return exit_ok;
}

}  // namespace waybill::cli
