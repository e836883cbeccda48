#include "delivery/decide.h"

#include <fmt/format.h>

#include <algorithm>

namespace waybill::delivery {
namespace {

// The length of the character that begins a non-empty text, 0 where those bytes are not UTF-8.
size_t character(std::string_view text) {
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char first = byte(0);
    const size_t n = first < 0x80 ? 1 : first >= 0xc2 && first < 0xe0 ? 2 : first >= 0xe0 && first < 0xf0 ? 3 : first >= 0xf0 && first < 0xf5 ? 4 : 0;
    if (n > text.size()) return 0;
    for (size_t i = 1; i < n; ++i)
        if ((byte(i) & 0xc0) != 0x80) return 0;
    const bool overlong = (first == 0xe0 && byte(1) < 0xa0) || (first == 0xf0 && byte(1) < 0x90);
    const bool outside = (first == 0xed && byte(1) >= 0xa0) || (first == 0xf4 && byte(1) >= 0x90);  // surrogates, and past U+10FFFF
    return overlong || outside ? 0 : n;
}

// What a target answered may be anything: it is kept as valid UTF-8 without control characters, cut between characters.
std::string bounded(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const size_t n = character(text);
        if (out.size() + std::max<size_t>(n, 1) > limits::outcome_text_bytes) break;
        if (n == 0) out.push_back('?');
        else if (static_cast<unsigned char>(text[0]) < 0x20) out.push_back(' ');
        else out.append(text.substr(0, n));
        text.remove_prefix(std::max<size_t>(n, 1));
    }
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
