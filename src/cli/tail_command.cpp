// `waybill tail`: what happens, as it happens, one line each. When the connection breaks it comes back and goes on behind the last
// message it saw, so nothing is shown twice and nothing is left out.
#include <fmt/format.h>

#include "base/json_writer.h"
#include "cli/commands.h"
#include "config/glob.h"

namespace waybill::cli {
namespace {

std::string describe(const SseMessage& message, Json data, const Terminal& terminal) {
    TimeMs time = time_of(data, "time");
    std::string when = time == no_time ? "        " : show_time(time).substr(11, 8);
    Line line{{when + "  ", Style::dim}, {clean(text(data, "pipeline")), Style::bold}, {"  "}};
    std::string rest;
    if (message.event == "transition") {
        std::string what;
        for (std::string_view key : {"stageName", "actionName"}) {
            std::string part = clean(text(data, key));
            if (!part.empty()) what += (what.empty() ? "" : " / ") + part;
        }
        std::string_view state = text(data, "state"), outcome = text(data, "outcome");
        line.push_back({fmt::format("{} ", status_mark(state)), status_style(state)});
        if (!what.empty()) line.push_back({what + " "});
        line.push_back({clean(state), status_style(state)});
        if (number(data, "attempt", 1) > 1) line.push_back({fmt::format(" attempt {}", number(data, "attempt")), Style::yellow});
        if (outcome != "accepted") line.push_back({fmt::format(" ({})", clean(outcome)), status_style(outcome)});
        line.push_back({"  " + clean(text(data, "executionId")), Style::dim});
    } else {
        std::string_view status = text(data, "status");
        line.push_back({message.event + " " + clean(text(data, "deliveryId")) + clean(text(data, "incidentId")) + " "});
        line.push_back({clean(status), status_style(status)});
        std::string about;
        for (std::string_view key : {"kind", "topic", "target"}) {
            std::string part = clean(text(data, key));
            if (!part.empty()) about += " " + part;
        }
        line.push_back({about});
        line.push_back({"  " + clean(text(data, "executionId")), Style::dim});
    }
    if (terminal.width > 0) line = truncate(line, terminal.width);
    return paint(line, terminal.color) + "\n";
}

}  // namespace

int tail(Session& session, const TailOptions& options) {
    std::string last_id = options.from;
    bool connected = false, readable = true;
    auto take = [&](const SseMessage& message) {
        connected = true;
        if (!message.id.empty()) last_id = message.id;
        if (message.event == "hello") return true;
        Result<Answer> answer = parse_answer(message.data);
        if (!answer.ok()) return true;  // not ours: a later server's kind of message
        if (!options.pipeline.empty() && !config::glob_matches(options.pipeline, text(answer->root, "pipeline"))) return true;
        if (session.options.json) {
            std::string line;
            JsonWriter json(line);
            json.begin_object().key("event").text(message.event).key("data").raw(simdjson::minify(answer->root)).end_object();
            readable = print(line + "\n");
        } else {
            readable = print(describe(message, answer->root, session.out));
        }
        return readable;
    };
    for (int lost = 0;;) {
        bool was_connected = connected;
        connected = false;
        std::string path = "/api/v1/stream" + (last_id.empty() ? std::string() : query({{"from", last_id}}));
        Result<void> ended = session.client.stream(path, last_id, take, [] { return true; });
        if (session.interrupt.raised() || !readable) return exit_ok;
        if (!ended.ok()) {
            bool passing = ended.error().kind == ErrorKind::unavailable || ended.error().kind == ErrorKind::overloaded;
            if (!passing || (!connected && !was_connected && lost == 0)) return session.fail(ended.error());
        }
        if (connected) lost = 0;
        if (lost++ == 0) warn("connection lost; coming back" + (last_id.empty() ? "" : " behind position " + last_id), session.options.color);
        if (session.interrupt.wait_ms(std::min(lost, 10) * 500)) return exit_ok;
    }
}

}  // namespace waybill::cli
