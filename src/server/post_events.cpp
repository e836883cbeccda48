#include <fmt/format.h>

#include <charconv>
#include <optional>

#include "event/cloud_event.h"
#include "event/splitter.h"
#include "server/door.h"

namespace waybill::server {
namespace {

constexpr size_t slice_events = 1000;

struct Refusal {
    uint64_t index, line, byte;
    std::string field, reason;
};

enum class Shape { envelopes, cloud_structured, cloud_binary };

std::string_view media_type(std::string_view content_type) {
    content_type = content_type.substr(0, content_type.find(';'));
    while (!content_type.empty() && content_type.back() == ' ') content_type.remove_suffix(1);
    return content_type;
}

bool is_any_of(std::string_view type, std::initializer_list<std::string_view> names) {
    return std::any_of(names.begin(), names.end(), [&](std::string_view name) { return http::same_name(type, name); });
}

// One request's intake: turns values into events, submits them in slices, one of which may be under way while the next is read.
class Intake {
public:
    Intake(const Context& context, http::Exchange& exchange, Shape shape, bool document)
        : context_(context),
          exchange_(exchange),
          shape_(shape),
          document_(document),
          defaults_{context.config.account, context.config.region, context.clock.now()} {
        position = context.node.gauges().released.load();
    }

    // False: what follows cannot be trusted (a syntax error inside one JSON document).
    bool take(const SplitValue& value) {
        if (value.too_long) return refuse(value, {"", fmt::format("the event is longer than {} bytes", limits::event_bytes)});
        if (shape_ == Shape::envelopes) return take_envelope(value, value.text);
        auto envelope = from_structured(value.text, defaults_);
        if (auto* error = std::get_if<FieldError>(&envelope)) return refuse(value, std::move(*error));
        return take_envelope(value, std::get<std::string>(envelope));
    }

    bool take_envelope(const SplitValue& value, std::string_view envelope) {
        thread_local EnvelopeReader reader;
        auto event = reader.read(envelope);
        if (auto* error = std::get_if<FieldError>(&event)) return refuse(value, std::move(*error));
        slice_bytes_ += std::get<IncomingEvent>(event).envelope.size();
        arrive(context_, slice_, context_.node.home_bus(), std::move(std::get<IncomingEvent>(event)));
        return true;
    }

    bool refuse(const SplitValue& value, FieldError error) {
        ++refused;
        if (refusals.size() < limits::refusals_named)
            refusals.push_back({value.index, value.line, value.byte, error.field, error.reason});
        if (document_ && error.syntax) {
            syntax_error = fmt::format("byte {}: {}", value.byte, error.reason);
            syntax_byte = value.byte;
            return false;
        }
        return true;
    }

    bool slice_full() const { return slice_.events.size() >= slice_events || slice_bytes_ >= limits::events_body_slice; }

    // Submits what was read so far, once the slice before it is done.
    http::Task<Result<void>> submit() {
        auto settled = co_await settle();
        if (!settled.ok()) co_return settled;
        if (slice_.events.empty()) {
            read_to = seen_to;
            co_return settled;
        }
        co_await let_history_follow(context_, exchange_);
        pending_.emplace(exchange_);
        pending_to_ = seen_to;
        node::Ingest ingest = std::move(slice_);
        ingest.answer = [sender = pending_->sender()](Result<node::IngestAnswer> answer) mutable {
            sender.complete(std::move(answer));
        };
        slice_ = {};
        slice_bytes_ = 0;
        if (!context_.node.submit(std::move(ingest))) {
            pending_.reset();
            co_return overloaded("the queue of events is full: repeat the rest in a moment");
        }
        co_return Result<void>();
    }

    http::Task<Result<void>> settle() {
        if (!pending_) co_return Result<void>();
        auto answer = co_await pending_->wait(answer_timeout_ms);
        pending_.reset();
        if (!answer.ok()) co_return std::move(answer).error();
        accepted += answer->accepted;
        duplicates += answer->duplicates;
        position = answer->position;
        read_to = pending_to_;
        co_return Result<void>();
    }

    uint64_t accepted = 0, duplicates = 0, refused = 0;
    Position position = 0;
    std::vector<Refusal> refusals;
    std::string syntax_error;
    uint64_t syntax_byte = 0;
    uint64_t seen_to = 0;  // every event that begins before this byte was seen whole
    uint64_t read_to = 0;  // and, before this one, is synced or refused

private:
    const Context& context_;
    http::Exchange& exchange_;
    const Shape shape_;
    const bool document_;
    const CloudDefaults defaults_;
    node::Ingest slice_;
    size_t slice_bytes_ = 0;
    uint64_t pending_to_ = 0;
    std::optional<http::Completion<node::IngestAnswer>> pending_;
};

http::Response answer(const Intake& intake, int status, std::string_view kind, std::string_view message,
                      std::optional<uint64_t> byte) {
    std::string body;
    JsonWriter w(body);
    w.begin_object();
    if (!kind.empty()) {
        w.key("error").begin_object().key("kind").text(kind).key("message").text(message);
        if (byte) w.key("byte").number(static_cast<int64_t>(*byte));
        w.end_object();
    }
    w.key("accepted").number(static_cast<int64_t>(intake.accepted));
    w.key("duplicates").number(static_cast<int64_t>(intake.duplicates));
    w.key("refused").number(static_cast<int64_t>(intake.refused));
    w.key("refusals").begin_array();
    for (const auto& r : intake.refusals) {
        w.begin_object().key("index").number(static_cast<int64_t>(r.index));
        w.key("line");
        if (r.line)
            w.number(static_cast<int64_t>(r.line));
        else
            w.null();
        w.key("byte").number(static_cast<int64_t>(r.byte)).key("field").text(r.field).key("reason").text(r.reason).end_object();
    }
    w.end_array()
        .key("readTo")
        .number(static_cast<int64_t>(intake.read_to))
        .key("position")
        .number(static_cast<int64_t>(intake.position))
        .end_object();
    http::Response response = http::json_response(status, std::move(body));
    if (status == 503) response.headers.emplace_back("Retry-After", "1");
    return at_position(std::move(response), intake.position);
}

http::Response final_answer(const Intake& intake) {
    if (!intake.syntax_error.empty()) return answer(intake, 400, "invalid", intake.syntax_error, intake.syntax_byte);
    if (intake.refused && intake.accepted + intake.duplicates == 0) {
        const auto& first = intake.refusals.front();
        return answer(intake, 400, "invalid",
                      first.field.empty() ? first.reason : fmt::format("{} {}", first.field, first.reason), first.byte);
    }
    return answer(intake, 200, {}, {}, {});
}

http::Response failure(const Intake& intake, const Error& error, std::optional<uint64_t> byte = {}, int status = 0) {
    return answer(intake, status ? status : http::status_of(error.kind), to_string(error.kind), error.message, byte);
}

}  // namespace

http::Task<void> post_events(const Context& context, http::Exchange& exchange) {
    const http::Head& head = exchange.head();
    const std::string_view type = media_type(head.header_or("Content-Type"));
    Shape shape = Shape::envelopes;
    Framing framing = Framing::json;
    if (is_any_of(type, {"application/cloudevents-batch+json", "application/cloudevents+json"})) {
        shape = Shape::cloud_structured;
    } else if (head.header("ce-specversion")) {
        shape = Shape::cloud_binary;
    } else if (is_any_of(type, {"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"})) {
        framing = Framing::ndjson;
    } else if (!type.empty() && !is_any_of(type, {"application/json", "text/json"})) {
        co_await respond(
            exchange,
            http::error_response(415, "invalid",
                                 fmt::format("Content-Type {} is not taken: send application/json (an event or an array of "
                                             "events), application/x-ndjson (one a line), application/cloudevents+json, "
                                             "application/cloudevents-batch+json, or CloudEvents in binary mode (ce- headers)",
                                             type)));
        co_return;
    }

    Intake intake(context, exchange, shape, framing == Framing::json);
    if (shape == Shape::cloud_binary) {
        auto body = co_await exchange.read_body(limits::event_bytes);
        if (!body.ok()) {
            co_await respond(exchange, failure(intake, body.error(), exchange.body_bytes_read(), exchange.refusal_status()));
            co_return;
        }
        std::vector<std::pair<std::string, std::string>> attributes;
        for (const auto& [name, value] : head.headers())
            if (name.size() > 3 && http::same_name(name.substr(0, 3), "ce-")) attributes.emplace_back(name.substr(3), value);
        auto envelope =
            from_binary(attributes, type, *body, {context.config.account, context.config.region, context.clock.now()});
        const SplitValue value{*body};
        intake.seen_to = exchange.body_bytes_read();
        if (auto* error = std::get_if<FieldError>(&envelope)) {
            error->syntax = false;
            intake.refuse(value, std::move(*error));
        } else {
            intake.take_envelope(value, std::get<std::string>(envelope));
        }
    } else {
        // What cannot be taken to its end is refused before it is sent.
        const std::string_view length = head.header_or("Content-Length");
        uint64_t bytes = 0;
        if (std::from_chars(length.data(), length.data() + length.size(), bytes); bytes > http::Limits{}.body_bytes) {
            const Error error = invalid(fmt::format("the request body has {} bytes; at most {} are taken: send it in parts",
                                                    bytes, http::Limits{}.body_bytes));
            co_await respond(exchange, failure(intake, error, {}, 413));
            co_return;
        }
        Splitter splitter(framing, limits::event_bytes);
        const Splitter::Sink sink = [&](const SplitValue& value) { return intake.take(value); };
        for (;;) {
            auto piece = co_await exchange.read_some();
            if (!piece.ok()) {
                // What came whole before the break is kept.
                auto kept = co_await intake.submit();
                if (kept.ok()) kept = co_await intake.settle();
                co_await respond(exchange, failure(intake, piece.error(), exchange.body_bytes_read(), exchange.refusal_status()));
                co_return;
            }
            auto cut = piece->empty() ? splitter.finish(sink) : splitter.feed(*piece, sink);
            const bool broken = !cut.ok() || !intake.syntax_error.empty();
            intake.seen_to = splitter.whole();
            if (intake.slice_full() || piece->empty() || broken) {
                auto submitted = co_await intake.submit();
                if (!submitted.ok()) {
                    co_await respond(exchange, failure(intake, submitted.error(), splitter.bytes()));
                    co_return;
                }
            }
            if (!cut.ok()) {
                auto settled = co_await intake.settle();
                co_await respond(exchange, settled.ok() ? failure(intake, cut.error(), splitter.error_byte())
                                                        : failure(intake, settled.error()));
                co_return;
            }
            if (piece->empty() || broken) break;
        }
    }
    auto submitted = co_await intake.submit();
    if (submitted.ok()) submitted = co_await intake.settle();
    http::Response response = submitted.ok() ? final_answer(intake) : failure(intake, submitted.error());
    co_await respond(exchange, std::move(response));
}

}  // namespace waybill::server
