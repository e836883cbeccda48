// A planned delivery: something that must be done outside because of what happened, written into the log in the same group as its
// cause. It is done at least once, always under the same key; its message is rendered when it is performed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/json_writer.h"
#include "base/time.h"
#include "event/pipeline_event.h"
#include "event/position.h"

namespace waybill {

// The group that planned it and its place in the group. As text: d-POSITION-INDEX.
struct DeliveryId {
    Position position = 0;
    uint16_t index = 0;
    bool operator==(const DeliveryId&) const = default;
    auto operator<=>(const DeliveryId&) const = default;
    std::string str() const;
    static std::optional<DeliveryId> parse(std::string_view text);
};

enum class DeliveryKind : uint8_t { notify = 0, retry = 1, target = 2 };
enum class DeliveryTopic : uint8_t {
    pipeline_failed = 0,
    stage_failed = 1,
    pipeline_succeeded = 2,
    action_failed = 3,
    rule = 4,
    dead_letter = 5
};
enum class DeliveryStatus : uint8_t { pending = 0, held = 1, in_flight = 2, delivered = 3, dead = 4, cancelled = 5 };

std::string_view to_string(DeliveryKind kind);
std::string_view to_string(DeliveryTopic topic);
std::string_view to_string(DeliveryStatus status);

// Of a delivery of kind `target`: what a rule of an event bus sends to one of its targets. What is sent is made when it is
// performed, of the event and the target as it was put.
struct FromRule {
    uint64_t rule = 0;        // bus::RuleId
    Position definition = 0;  // the group that put the rule as it was when the event came
    Position event = 0;       // the group that holds the event
    std::string target_id;
    std::string replay;  // the replay that sent the event again; empty: none
    DeliveryId dead;     // topic dead_letter: the delivery that was given up
    int max_attempts = 0;          // its retry policy: attempts, the first among them, and age
    int max_age_s = 0;
    std::string dead_letter_arn;   // the queue that is told when it is given up; empty: none
    bool operator==(const FromRule&) const = default;
};

struct Delivery {
    DeliveryId id;
    DeliveryKind kind = DeliveryKind::notify;
    DeliveryTopic topic = DeliveryTopic::pipeline_failed;
    bool urgent = false;
    std::string target;  // a name under `targets` in the configuration; for a retry the CodePipeline endpoint's scope; of a rule
                         // its target's ARN
    std::string key;     // the idempotency key: the same for every attempt, made of the transition
    PipelineKey pipeline;
    std::string execution_id, stage;
    int attempt = 1;  // the execution's (stage's) attempt that this is about
    TimeMs planned = no_time;
    TimeMs due = no_time;  // not before
    std::optional<FromRule> from_rule;
    TimeMs hold_until = no_time;  // waits for its cause at most until then; no_time: does not wait

    // what became of it
    DeliveryStatus status = DeliveryStatus::pending;
    int attempts = 0;  // attempts since it was planned or last redriven
    int attempts_total = 0;
    TimeMs retry_from = no_time;  // age is counted from here: planned, or the last redrive
    TimeMs finished = no_time;
    bool possibly_twice = false;  // an attempt ended without an answer, and another was made
    bool unanswered = false;      // the last attempt ended without an answer
    int last_code = 0;
    std::string last_text;         // what the last attempt said; for cancelled and dead: why
    std::vector<Position> groups;  // the groups that changed it
};

void encode(ByteWriter& out, const Delivery& delivery);
bool decode(ByteReader& in, Delivery& delivery);
void write_json(JsonWriter& out, const Delivery& delivery);

// How one attempt went. Every change to a delivery after its plan is one of these.
enum class DeliveryChangeKind : uint8_t {
    delivered = 0,
    retry = 1,      // failed; again at `next`
    dead = 2,       // failed for good: no attempts or age left, or the target said that repeating is useless
    cancelled = 3,  // no longer wanted: `text` says why
    released = 4,   // its cause arrived: due at `next`
    redriven = 5,   // a person asked for another round
    started = 6,    // handed to a courier: an attempt without a later outcome is an unknown one
};
std::string_view to_string(DeliveryChangeKind kind);

struct DeliveryChange {
    DeliveryId id;
    DeliveryChangeKind kind = DeliveryChangeKind::delivered;
    bool maybe_received = false;  // no answer came, but the target may have acted
    int code = 0;                 // HTTP or SMTP status, 0 where there was none
    std::string text;
    TimeMs next = no_time;
};

void encode(ByteWriter& out, const DeliveryChange& change);
bool decode(ByteReader& in, DeliveryChange& change);

}  // namespace waybill
