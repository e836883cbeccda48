#include "event/record.h"

#include "base/assert.h"

namespace waybill {
namespace {

constexpr uint8_t record_version = 1;

void put(ByteWriter& out, const PipelineKey& key) {
    out.text(key.account);
    out.text(key.region);
    out.text(key.pipeline);
}

void get(ByteReader& in, PipelineKey& key) {
    key.account = in.text();
    key.region = in.text();
    key.pipeline = in.text();
}

}  // namespace

std::string_view to_string(Outcome outcome) {
    switch (outcome) {
        case Outcome::accepted: return "accepted";
        case Outcome::late: return "late";
        case Outcome::duplicate: return "duplicate";
        case Outcome::untracked: return "untracked";
    }
    ASSERT(false);
}

std::string_view to_string(PolicyLine line) {
    switch (line) {
        case PolicyLine::pipeline_failed: return "policy.pipeline_failed";
        case PolicyLine::pipeline_succeeded: return "policy.pipeline_succeeded";
        case PolicyLine::stage_failed: return "policy.stage_failed";
        case PolicyLine::action_failed: return "policy.action_failed";
    }
    ASSERT(false);
}

std::string_view to_string(Verdict verdict) {
    switch (verdict) {
        case Verdict::planned: return "planned";
        case Verdict::nothing: return "nothing";
        case Verdict::cancelled: return "cancelled";
        case Verdict::released: return "released";
    }
    ASSERT(false);
}

namespace {

struct ReasonWords {
    std::string_view code, sentence;
};

ReasonWords words(Reason reason) {
    switch (reason) {
        case Reason::incident_opened:
            return {"incident_opened", "The pipeline failed: an incident was opened and the team is told, urgently."};
        case Reason::incident_joined:
            return {"incident_joined", "The failure joined the open incident of its pipeline; the team is told, urgently."};
        case Reason::already_told: return {"already_told", "This execution's failure was told before, on an earlier attempt."};
        case Reason::newer_success:
            return {"newer_success",
                    "A newer execution of the pipeline has succeeded already, so this failure is history: nobody is woken."};
        case Reason::owner_told: return {"owner_told", "The stage failed: its owner is told."};
        case Reason::team_told: return {"team_told", "The stage failed and no owner rule matches it: the team is told."};
        case Reason::success_told: return {"success_told", "The pipeline succeeded: a notice is sent."};
        case Reason::recovery_told:
            return {"recovery_told", "The pipeline succeeded and its incident is resolved: a notice is sent."};
        case Reason::notify_success_never:
            return {"notify_success_never", "policy.notify_success is `never`: no notice is sent."};
        case Reason::not_a_recovery:
            return {"not_a_recovery", "policy.notify_success is `recovery` and no incident was open: no notice is sent."};
        case Reason::retry_planned:
            return {"retry_planned", "The action failed: the stage's failed actions will be retried after the wait."};
        case Reason::retry_off: return {"retry_off", "policy.retry.enabled is false: nothing is retried."};
        case Reason::retry_limit:
            return {"retry_limit", "The stage was retried policy.retry.max times already: no further retry."};
        case Reason::retry_approval: return {"retry_approval", "The action is an approval: a person's answer is not retried."};
        case Reason::retry_already_planned:
            return {"retry_already_planned", "A retry of this stage attempt is planned already, for another of its actions."};
        case Reason::retry_not_current:
            return {"retry_not_current", "A later attempt of the stage has begun: this failure is not retried."};
        case Reason::execution_ended:
            return {"execution_ended", "The execution was stopped, superseded, cancelled, or has succeeded: nothing is retried."};
        case Reason::retried_by_person:
            return {"retried_by_person", "The stage was retried by somebody else before the wait was over: ours is cancelled."};
        case Reason::cause_arrived: return {"cause_arrived", "The failed action is known now: the waiting message goes out."};
        case Reason::no_target: return {"no_target", "The policy line names no target: nobody is told."};
        case Reason::no_endpoint:
            return {"no_endpoint",
                    "No CodePipeline endpoint is configured for the account and region (configuration key `codepipeline`): "
                    "nothing is retried."};
    }
    ASSERT(false);
}

}  // namespace

std::string_view reason_code(Reason reason) { return words(reason).code; }
std::string_view reason_sentence(Reason reason) { return words(reason).sentence; }

template <class Fn>
void GroupWriter::put(RecordType type, Fn&& body) {
    body_.clear();
    ByteWriter inner(body_);
    body(inner);
    ByteWriter out(out_);
    out.u8(static_cast<uint8_t>(type));
    out.u8(record_version);
    out.text(body_);
}

void GroupWriter::add(const EventRecord& r) {
    // The one big record: written straight, without the detour through body_.
    ByteWriter out(out_);
    out.u8(static_cast<uint8_t>(RecordType::event));
    out.u8(record_version);
    out.varint(17 + r.envelope.size());
    out.u64(r.identity.low);
    out.u64(r.identity.high);
    out.u8(r.duplicate);
    out.raw(r.envelope);
}

void GroupWriter::add(const TransitionRecord& r) {
    put(RecordType::transition, [&](ByteWriter& out) {
        out.u8(static_cast<uint8_t>(r.outcome));
        encode(out, r.event);
    });
}

void GroupWriter::add(const Decision& r) {
    put(RecordType::decision, [&](ByteWriter& out) {
        out.u8(static_cast<uint8_t>(r.line));
        out.u8(static_cast<uint8_t>(r.verdict));
        out.u8(static_cast<uint8_t>(r.reason));
        waybill::put(out, r.pipeline);
        out.text(r.execution_id);
        out.text(r.stage);
        out.text(r.action);
        out.varint(static_cast<uint64_t>(r.attempt));
        out.u64(r.settings);
        out.varint(r.deliveries.size());
        for (const auto& d : r.deliveries) {
            out.varint(d.position);
            out.varint(d.index);
        }
        out.text(r.note);
    });
}

void GroupWriter::add(const Delivery& r) {
    put(RecordType::delivery_planned, [&](ByteWriter& out) { encode(out, r); });
}

void GroupWriter::add(const DeliveryChange& r) {
    put(RecordType::delivery_changed, [&](ByteWriter& out) { encode(out, r); });
}

void GroupWriter::add(const RetiredRecord& r) {
    put(RecordType::retired, [&](ByteWriter& out) {
        waybill::put(out, r.pipeline);
        out.text(r.execution_id);
        out.u8(r.stale);
    });
}

void GroupWriter::add(const RecalledRecord& r) {
    put(RecordType::recalled, [&](ByteWriter& out) {
        out.text(r.execution);
        out.text(r.policy);
    });
}

void GroupWriter::add(const SettingsRecord& r) {
    put(RecordType::settings, [&](ByteWriter& out) {
        out.u64(r.version);
        out.text(r.text);
    });
}

void GroupWriter::add(const BusChangeRecord& r) {
    put(RecordType::bus_changed, [&](ByteWriter& out) { out.text(r.change); });
}

void GroupWriter::add(const RoutedRecord& r) {
    put(RecordType::routed, [&](ByteWriter& out) {
        for (const auto* t : {&r.account, &r.region, &r.bus, &r.replay}) out.text(*t);
        out.varint(r.event);
        out.varint(r.rules.size());
        uint64_t before = 0;
        for (uint64_t id : r.rules) {
            out.varint(id - before);
            before = id;
        }
    });
}

std::optional<RawRecord> GroupReader::next() {
    if (failed_ || in_.left() == 0) return {};
    const uint8_t type = in_.u8(), version = in_.u8();
    const std::string_view body = in_.text();
    if (in_.failed() || version != record_version || type < 1 || type > static_cast<uint8_t>(RecordType::routed)) {
        failed_ = true;
        return {};
    }
    return RawRecord{static_cast<RecordType>(type), body};
}

bool decode(std::string_view body, EventRecord& r) {
    ByteReader in(body);
    r.identity.low = in.u64();
    r.identity.high = in.u64();
    r.duplicate = in.u8();
    if (in.failed()) return false;
    r.envelope = in.raw(in.left());
    return true;
}

bool decode(std::string_view body, TransitionRecord& r) {
    ByteReader in(body);
    const uint8_t outcome = in.u8();
    if (outcome > static_cast<uint8_t>(Outcome::untracked)) return false;
    r.outcome = static_cast<Outcome>(outcome);
    return decode(in, r.event) && in.complete();
}

bool decode(std::string_view body, Decision& r) {
    ByteReader in(body);
    const uint8_t line = in.u8(), verdict = in.u8(), reason = in.u8();
    if (line > static_cast<uint8_t>(PolicyLine::action_failed) || verdict > static_cast<uint8_t>(Verdict::released) ||
        reason > static_cast<uint8_t>(Reason::no_endpoint))
        return false;
    r.line = static_cast<PolicyLine>(line);
    r.verdict = static_cast<Verdict>(verdict);
    r.reason = static_cast<Reason>(reason);
    get(in, r.pipeline);
    r.execution_id = in.text();
    r.stage = in.text();
    r.action = in.text();
    r.attempt = static_cast<int>(in.varint());
    r.settings = in.u64();
    const uint64_t n = in.varint();
    if (n > in.left()) return false;
    r.deliveries.resize(n);
    for (auto& d : r.deliveries) {
        d.position = in.varint();
        d.index = static_cast<uint16_t>(in.varint());
    }
    r.note = in.text();
    return in.complete();
}

bool decode(std::string_view body, Delivery& r) {
    ByteReader in(body);
    return decode(in, r) && in.complete();
}

bool decode(std::string_view body, DeliveryChange& r) {
    ByteReader in(body);
    return decode(in, r) && in.complete();
}

bool decode(std::string_view body, RetiredRecord& r) {
    ByteReader in(body);
    get(in, r.pipeline);
    r.execution_id = in.text();
    r.stale = in.u8();
    return in.complete();
}

bool decode(std::string_view body, RecalledRecord& r) {
    ByteReader in(body);
    r.execution = in.text();
    r.policy = in.text();
    return in.complete();
}

bool decode(std::string_view body, SettingsRecord& r) {
    ByteReader in(body);
    r.version = in.u64();
    r.text = in.text();
    return in.complete();
}

bool decode(std::string_view body, BusChangeRecord& r) {
    ByteReader in(body);
    r.change = in.text();
    return in.complete();
}

bool decode(std::string_view body, RoutedRecord& r) {
    ByteReader in(body);
    for (auto* t : {&r.account, &r.region, &r.bus, &r.replay}) *t = in.text();
    r.event = in.varint();
    const uint64_t n = in.varint();
    if (n > in.left()) return false;
    r.rules.resize(n);
    uint64_t before = 0;
    for (auto& id : r.rules) before = id = before + in.varint();
    return in.complete();
}

}  // namespace waybill
