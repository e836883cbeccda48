#include "event/delivery.h"

#include <charconv>

#include "base/assert.h"

namespace waybill {
namespace {

template <class T>
bool parse_whole(std::string_view text, T& out) {
    auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), out);
    return ec == std::errc{} && end == text.data() + text.size() && !text.empty();
}

template <class Enum>
bool get(ByteReader& in, Enum& out, Enum last) {
    const uint8_t v = in.u8();
    if (v > static_cast<uint8_t>(last)) return false;
    out = static_cast<Enum>(v);
    return true;
}

}  // namespace

std::string DeliveryId::str() const { return "d-" + std::to_string(position) + "-" + std::to_string(index); }

std::optional<DeliveryId> DeliveryId::parse(std::string_view text) {
    if (!text.starts_with("d-")) return {};
    text.remove_prefix(2);
    const size_t dash = text.find('-');
    DeliveryId id;
    if (dash == text.npos || !parse_whole(text.substr(0, dash), id.position) || !parse_whole(text.substr(dash + 1), id.index))
        return {};
    return id;
}

std::string_view to_string(DeliveryKind kind) {
    switch (kind) {
        case DeliveryKind::notify: return "notify";
        case DeliveryKind::retry: return "retry";
        case DeliveryKind::target: return "target";
    }
    ASSERT(false);
}

std::string_view to_string(DeliveryTopic topic) {
    switch (topic) {
        case DeliveryTopic::pipeline_failed: return "pipeline_failed";
        case DeliveryTopic::stage_failed: return "stage_failed";
        case DeliveryTopic::pipeline_succeeded: return "pipeline_succeeded";
        case DeliveryTopic::action_failed: return "action_failed";
        case DeliveryTopic::rule: return "rule";
        case DeliveryTopic::dead_letter: return "dead_letter";
    }
    ASSERT(false);
}

std::string_view to_string(DeliveryStatus status) {
    switch (status) {
        case DeliveryStatus::pending: return "pending";
        case DeliveryStatus::held: return "held";
        case DeliveryStatus::in_flight: return "in_flight";
        case DeliveryStatus::delivered: return "delivered";
        case DeliveryStatus::dead: return "dead";
        case DeliveryStatus::cancelled: return "cancelled";
    }
    ASSERT(false);
}

std::string_view to_string(DeliveryChangeKind kind) {
    switch (kind) {
        case DeliveryChangeKind::delivered: return "delivered";
        case DeliveryChangeKind::retry: return "retry";
        case DeliveryChangeKind::dead: return "dead";
        case DeliveryChangeKind::cancelled: return "cancelled";
        case DeliveryChangeKind::released: return "released";
        case DeliveryChangeKind::redriven: return "redriven";
        case DeliveryChangeKind::started: return "started";
    }
    ASSERT(false);
}

void encode(ByteWriter& out, const Delivery& d) {
    out.varint(d.id.position);
    out.varint(d.id.index);
    out.u8(static_cast<uint8_t>(d.kind));
    out.u8(static_cast<uint8_t>(d.topic));
    out.u8(d.urgent);
    for (const auto* t :
         {&d.target, &d.key, &d.pipeline.account, &d.pipeline.region, &d.pipeline.pipeline, &d.execution_id, &d.stage})
        out.text(*t);
    out.varint(static_cast<uint64_t>(d.attempt));
    for (TimeMs t : {d.planned, d.due, d.hold_until, d.retry_from, d.finished}) out.svarint(t);
    out.u8(static_cast<uint8_t>(d.status));
    out.varint(static_cast<uint64_t>(d.attempts));
    out.varint(static_cast<uint64_t>(d.attempts_total));
    out.u8(static_cast<uint8_t>(d.possibly_twice | d.unanswered << 1));
    out.svarint(d.last_code);
    out.text(d.last_text);
    out.varint(d.groups.size());
    for (Position p : d.groups) out.varint(p);
    if (d.kind != DeliveryKind::target) return;
    ASSERT(d.from_rule);
    const FromRule& r = *d.from_rule;
    for (uint64_t n : {r.rule, r.definition, r.event, r.dead.position, uint64_t{r.dead.index}}) out.varint(n);
    out.varint(static_cast<uint64_t>(r.max_attempts));
    out.varint(static_cast<uint64_t>(r.max_age_s));
    for (const auto* t : {&r.target_id, &r.replay, &r.dead_letter_arn}) out.text(*t);
}

bool decode(ByteReader& in, Delivery& d) {
    d.id.position = in.varint();
    d.id.index = static_cast<uint16_t>(in.varint());
    if (!get(in, d.kind, DeliveryKind::target) || !get(in, d.topic, DeliveryTopic::dead_letter)) return false;
    d.urgent = in.u8();
    for (auto* t : {&d.target, &d.key, &d.pipeline.account, &d.pipeline.region, &d.pipeline.pipeline, &d.execution_id, &d.stage})
        *t = in.text();
    d.attempt = static_cast<int>(in.varint());
    for (TimeMs* t : {&d.planned, &d.due, &d.hold_until, &d.retry_from, &d.finished}) *t = in.svarint();
    if (!get(in, d.status, DeliveryStatus::cancelled)) return false;
    d.attempts = static_cast<int>(in.varint());
    d.attempts_total = static_cast<int>(in.varint());
    const uint8_t doubts = in.u8();
    d.possibly_twice = doubts & 1;
    d.unanswered = doubts & 2;
    d.last_code = static_cast<int>(in.svarint());
    d.last_text = in.text();
    const uint64_t groups = in.varint();
    if (groups > in.left()) return false;
    d.groups.resize(groups);
    for (auto& p : d.groups) p = in.varint();
    d.from_rule.reset();
    if (d.kind == DeliveryKind::target) {
        FromRule& r = d.from_rule.emplace();
        for (uint64_t* n : {&r.rule, &r.definition, &r.event, &r.dead.position}) *n = in.varint();
        r.dead.index = static_cast<uint16_t>(in.varint());
        r.max_attempts = static_cast<int>(in.varint());
        r.max_age_s = static_cast<int>(in.varint());
        for (auto* t : {&r.target_id, &r.replay, &r.dead_letter_arn}) *t = in.text();
    }
    return !in.failed();
}

void write_json(JsonWriter& out, const Delivery& d) {
    out.begin_object();
    out.key("deliveryId").text(d.id.str());
    out.key("kind").text(to_string(d.kind));
    out.key("topic").text(to_string(d.topic));
    out.key("target").text(d.target);
    out.key("urgent").boolean(d.urgent);
    out.key("status").text(to_string(d.status));
    out.key("key").text(d.key);
    out.key("plannedTime").time(d.planned);
    const bool open = d.status <= DeliveryStatus::in_flight;
    out.key("nextAttemptTime").time(open ? d.due : no_time);
    out.key("finishedTime").time(d.finished);
    out.key("attempts").number(d.attempts_total);
    out.key("possiblyTwice").boolean(d.possibly_twice);
    out.key("lastError");
    const bool error = !d.last_text.empty() && d.status != DeliveryStatus::delivered && d.status != DeliveryStatus::cancelled;
    if (error)
        out.begin_object().key("code").number(d.last_code).key("text").text(d.last_text).end_object();
    else
        out.null();
    out.key("reason").text_or_null(d.status == DeliveryStatus::cancelled || d.status == DeliveryStatus::dead ? d.last_text
                                                                                                             : std::string());
    out.key("pipeline").text(d.pipeline.pipeline);
    out.key("account").text(d.pipeline.account);
    out.key("region").text(d.pipeline.region);
    out.key("executionId").text(d.execution_id);
    out.key("stageName").text_or_null(d.stage);
    out.key("attempt").number(d.attempt);
    out.end_object();
}

void encode(ByteWriter& out, const DeliveryChange& c) {
    out.varint(c.id.position);
    out.varint(c.id.index);
    out.u8(static_cast<uint8_t>(c.kind));
    out.u8(c.maybe_received);
    out.svarint(c.code);
    out.text(c.text);
    out.svarint(c.next);
}

bool decode(ByteReader& in, DeliveryChange& c) {
    c.id.position = in.varint();
    c.id.index = static_cast<uint16_t>(in.varint());
    if (!get(in, c.kind, DeliveryChangeKind::started)) return false;
    c.maybe_received = in.u8();
    c.code = static_cast<int>(in.svarint());
    c.text = in.text();
    c.next = in.svarint();
    return !in.failed();
}

}  // namespace waybill
