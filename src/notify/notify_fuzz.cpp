// Any text in every place of a message that a text from outside can reach, valid UTF-8 or not. Holds the renderers to what their headers
// promise: lines, lengths, ASCII and CRLF of mails, JSON of webhooks. It cannot generate long histories: one stage, one or two actions.
#include <simdjson.h>

#include <algorithm>

#include "base/assert.h"
#include "notify/mail.h"
#include "notify/webhook.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace waybill;
    if (size < 3) return 0;
    const uint8_t topic = data[0] % 3, flags = data[1], shape = data[2];
    std::string_view rest(reinterpret_cast<const char*>(data + 3), size - 3);
    // Pieces between 0xFF bytes, which are never part of UTF-8; what is left out is empty.
    auto piece = [&] {
        const auto end = rest.find('\xff');
        std::string out(rest.substr(0, end));
        rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
        return out;
    };
    Delivery d;
    d.topic = static_cast<DeliveryTopic>(topic);
    d.pipeline = {piece(), piece(), piece()};
    d.stage = piece();
    d.key = piece();
    d.attempt = shape % 4;
    d.planned = 0;
    ExecutionView e;
    e.key = d.pipeline;
    e.execution_id = d.execution_id = piece();
    e.state = shape & 4 ? State::failed : State::succeeded;
    e.known = shape & 8;
    e.stages.resize(1);
    e.stages[0].name = shape & 16 ? d.stage : piece();
    e.stages[0].state = shape & 32 ? State::failed : State::started;
    for (int i = 0; i < 1 + (shape & 1); ++i) {
        ActionView a;
        a.stage = e.stages[0].name;
        a.state = State::failed;
        a.attempt = 1;
        a.name = piece();
        a.error_code = piece();
        a.summary = piece();
        a.external_url = "https://" + piece();
        e.actions.push_back(std::move(a));
    }
    for (auto* text : {&e.trigger_type, &e.trigger_detail, &e.commit_id, &e.commit_message, &e.commit_url, &e.repository, &e.branch, &e.author_name,
                       &e.author_email})
        *text = piece();
    Incident incident;
    incident.id = piece();
    incident.opened = 0;
    incident.executions.resize(2);
    if (flags & 1) incident.resolved_by = e.execution_id;

    const MessageFacts facts{d, e, flags & 2 ? &incident : nullptr, flags & 4 ? Locale::ko : Locale::en, "https://c", flags & 8 ? 0 : no_time};
    const Message message = render_message(facts);
    ASSERT(simdjson::validate_utf8(message.subject) && simdjson::validate_utf8(message.body));
    ASSERT(!message.subject.empty() && message.body.ends_with('\n'));
    auto controls = [](std::string_view s) { return std::count_if(s.begin(), s.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }); };
    ASSERT(controls(message.subject) == 0);
    ASSERT(controls(message.body) == std::count(message.body.begin(), message.body.end(), '\n'));
    ASSERT(std::count(message.body.begin(), message.body.end(), '\n') <= 25);
    ASSERT(message.subject.size() <= 4 * limits::subject_characters && message.body.size() <= 32 << 10);

    const std::string mail = render_mail(message, {.from = piece(), .to = {piece(), piece()}, .date = 0, .urgent = true, .key = d.key});
    size_t headers = 0;
    bool in_head = true;
    for (size_t at = 0; at < mail.size();) {
        const auto end = mail.find("\r\n", at);
        ASSERT(end != mail.npos && end - at <= 998);
        const auto line = std::string_view(mail).substr(at, end - at);
        ASSERT(std::all_of(line.begin(), line.end(), [](char c) { return c >= 0x20 && c < 0x7f; }));
        if (line.empty()) in_head = false;
        else if (in_head && line[0] != ' ') ++headers;
        at = end + 2;
    }
    ASSERT(!in_head && headers == 13);

    const auto request = render_webhook(facts, message, Secret("k"), 0, "1");
    for (const auto& [name, value] : request.headers)
        ASSERT(std::all_of(value.begin(), value.end(), [](char c) { return c >= 0x20 && c < 0x7f; }));
    // The door lets only UTF-8 into events; only then is the body JSON.
    static simdjson::dom::parser parser;
    simdjson::dom::element root;
    if (simdjson::validate_utf8(request.body)) ASSERT(parser.parse(request.body).get(root) == simdjson::SUCCESS && root.is_object());
    return 0;
}
