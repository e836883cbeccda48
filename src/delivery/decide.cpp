#include "delivery/decide.h"

#include <fmt/format.h>

#include <algorithm>

namespace waybill::delivery {
namespace {

// Cut at a character boundary, so that what a target answered stays valid UTF-8 once cleaned.
std::string bounded(std::string_view text) {
    std::string out;
    for (char c : text.substr(0, limits::outcome_text_bytes)) out.push_back(static_cast<unsigned char>(c) < 0x20 ? ' ' : c);
    while (!out.empty() && text.size() > limits::outcome_text_bytes && (static_cast<unsigned char>(out.back()) & 0xc0) == 0x80) out.pop_back();
    if (!out.empty() && text.size() > limits::outcome_text_bytes && static_cast<unsigned char>(out.back()) >= 0xc0) out.pop_back();
    return out;
}

}  // namespace

DeliveryChange decide_outcome(const Delivery& d, const AttemptOutcome& outcome, const DeliveryConfig& config, TimeMs now, uint64_t random) {
    DeliveryChange c;
    c.id = d.id;
    c.code = outcome.code;
    c.text = bounded(outcome.text);
    c.maybe_received = outcome.maybe_received;
    if (outcome.kind == AttemptOutcome::Kind::ok) {
        c.kind = DeliveryChangeKind::delivered;
        return c;
    }
    if (outcome.kind == AttemptOutcome::Kind::refused) {
        c.kind = DeliveryChangeKind::dead;
        return c;
    }
    if (d.attempts >= config.max_attempts) {
        c.kind = DeliveryChangeKind::dead;
        c.text = bounded(fmt::format("given up after {} attempts (delivery.max_attempts): {}", d.attempts, outcome.text));
        return c;
    }
    const int doublings = std::min(d.attempts - 1, 40);
    const int64_t first = std::max<int64_t>(1, config.backoff_first_ms);
    const int64_t cap = doublings >= 40 || first > (config.backoff_max_ms >> doublings) ? config.backoff_max_ms : first << doublings;
    const int64_t jittered = static_cast<int64_t>(random % static_cast<uint64_t>(std::max<int64_t>(1, cap) + 1));
    c.kind = DeliveryChangeKind::retry;
    c.next = now + std::max(jittered, outcome.retry_after_ms);
    if (c.next - d.retry_from > config.max_age_ms) {
        c.kind = DeliveryChangeKind::dead;
        c.next = no_time;
        c.text = bounded(fmt::format("given up: older than {} (delivery.max_age): {}", format_duration_ms(config.max_age_ms), outcome.text));
    }
    return c;
}

DeliveryChange decide_unknown(const Delivery& d, TimeMs now) {
    DeliveryChange c;
    c.id = d.id;
    c.kind = DeliveryChangeKind::retry;
    c.maybe_received = true;
    c.text = "the process stopped before the target's answer was known";
    c.next = now;
    return c;
}

std::vector<DeliveryChange> decide_release(const Deliveries& deliveries, const PipelineKey& pipeline, std::string_view execution_id, DeliveryTopic topic,
                                           std::string_view stage, TimeMs now) {
    std::vector<DeliveryChange> changes;
    for (const Delivery* d : deliveries.of_execution(pipeline, execution_id)) {
        if (d->status != DeliveryStatus::held || d->topic != topic || d->stage != stage) continue;
        DeliveryChange& c = changes.emplace_back();
        c.id = d->id;
        c.kind = DeliveryChangeKind::released;
        c.next = std::max(now, d->due);
    }
    return changes;
}

std::vector<DeliveryChange> decide_cancel_retries(const Deliveries& deliveries, const PipelineKey& pipeline, std::string_view execution_id,
                                                  std::string_view stage, int before_attempt, std::string_view why) {
    std::vector<DeliveryChange> changes;
    for (const Delivery* d : deliveries.of_execution(pipeline, execution_id)) {
        if (d->kind != DeliveryKind::retry || d->status == DeliveryStatus::in_flight || d->attempt >= before_attempt) continue;
        if (!stage.empty() && d->stage != stage) continue;
        DeliveryChange& c = changes.emplace_back();
        c.id = d->id;
        c.kind = DeliveryChangeKind::cancelled;
        c.text = why;
    }
    return changes;
}

Result<DeliveryChange> decide_redrive(const Deliveries& deliveries, DeliveryId id) {
    const Delivery* d = deliveries.find(id);
    if (!d) return not_found(fmt::format("no dead delivery {}: it was delivered, cancelled, or never planned", id.str()));
    if (d->status != DeliveryStatus::dead) return conflict(fmt::format("delivery {} is {}: only dead ones are redriven", id.str(), to_string(d->status)));
    DeliveryChange c;
    c.id = id;
    c.kind = DeliveryChangeKind::redriven;
    c.text = "redriven by request";
    return c;
}

}  // namespace waybill::delivery
