// The records that the log's groups are made of. One group is what one event, outcome or due time caused, and stands or falls
// whole.
//
//   group payload = record*       record = type u8, version u8, length varint, bytes
//
// A reader meets a record type or version that it does not know only in a log of a newer Waybill: that is `unsupported`, never
// skipped.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/result.h"
#include "event/delivery.h"
#include "event/execution.h"
#include "event/pipeline_event.h"

namespace waybill {

enum class RecordType : uint8_t {
    event = 1,             // EventRecord: an envelope as it was received
    transition = 2,        // TransitionRecord: what the event says, and whether state took it
    decision = 3,          // Decision: what a policy line made of it, and why
    delivery_planned = 4,  // Delivery
    delivery_changed = 5,  // DeliveryChange
    retired = 6,           // RetiredRecord: an ended execution leaves memory
    recalled = 7,          // RecalledRecord: a late event brings it back
    settings = 8,          // SettingsRecord: the policy that decides from here on
    bus_changed = 9,       // BusChangeRecord: a bus, rule, archive … is from here on, or is gone
    routed = 10,           // RoutedRecord: to which bus an event came, and which rules it matched there
};

struct EventRecord {
    Hash128 identity;           // of (bus, source, id, replay-name): what a duplicate is told by
    bool duplicate = false;     // the identity was in the window of known ids
    std::string_view envelope;  // JSON, without insignificant white space
};

enum class Outcome : uint8_t {
    accepted = 0,   // state moved on
    late = 1,       // new, but state had passed it already: kept, causes nothing
    duplicate = 2,  // the same meaning was seen before: causes nothing
    untracked = 3,  // a limit on stages or actions of one execution was reached: kept, not merged
};
std::string_view to_string(Outcome outcome);

struct TransitionRecord {
    Outcome outcome = Outcome::accepted;
    PipelineEvent event;
};

// Which line of the policy decided. The names are the keys of waybill.yaml.
enum class PolicyLine : uint8_t { pipeline_failed = 0, pipeline_succeeded = 1, stage_failed = 2, action_failed = 3 };
std::string_view to_string(PolicyLine line);  // "policy.pipeline_failed"

enum class Verdict : uint8_t { planned = 0, nothing = 1, cancelled = 2, released = 3 };
std::string_view to_string(Verdict verdict);

enum class Reason : uint8_t {
    incident_opened = 0,
    incident_joined = 1,  // a further failing execution of an open incident
    already_told = 2,     // this execution's failure was told before (an earlier attempt)
    newer_success = 3,    // a newer execution has succeeded already: the failure is history
    owner_told = 4,
    team_told = 5,  // no owner matches this stage
    success_told = 6,
    recovery_told = 7,
    notify_success_never = 8,
    not_a_recovery = 9,  // notify_success is `recovery`, and no incident was open
    retry_planned = 10,
    retry_off = 11,
    retry_limit = 12,
    retry_approval = 13,         // a person rejected it
    retry_already_planned = 14,  // another action of the same stage attempt planned it
    retry_not_current = 15,      // a later attempt has begun
    execution_ended = 16,        // stopped, superseded, cancelled or succeeded
    retried_by_person = 17,      // the stage was retried before the wait was over
    cause_arrived = 18,
    no_target = 19,    // the policy line names no target
    no_endpoint = 20,  // no CodePipeline endpoint is configured for the account and region
};
std::string_view reason_code(Reason reason);      // incident_opened …
std::string_view reason_sentence(Reason reason);  // for people

struct Decision {
    PolicyLine line = PolicyLine::pipeline_failed;
    Verdict verdict = Verdict::nothing;
    Reason reason = Reason::no_target;
    PipelineKey pipeline;
    std::string execution_id, stage, action;
    int attempt = 1;
    uint64_t settings = 0;  // SettingsRecord::version in force
    std::vector<DeliveryId> deliveries;
    std::string note;  // what the sentence cannot say, e.g. the owner rule that matched; may be empty
};

struct RetiredRecord {
    PipelineKey pipeline;
    std::string execution_id;
    bool stale = false;  // its end never came
};

struct RecalledRecord {
    std::string execution;  // encode(ExecutionView)
    std::string policy;     // policy::encode of what it remembered of the execution
};

struct SettingsRecord {
    uint64_t version = 0;  // hash of text
    std::string text;      // the policy part of the effective configuration, as YAML, no secrets
};

struct BusChangeRecord {
    std::string change;  // bus::encode(Change)
};

// An event of the default bus of the node's own account and region that matched nothing has none.
struct RoutedRecord {
    std::string account, region, bus;
    Position event = 0;           // the group that holds the event, when it is not this one: a replay
    std::string replay;           // its name
    std::vector<uint64_t> rules;  // ids of rules and archives (bus::RuleId), ascending
};

// Builds a group's payload.
class GroupWriter {
public:
    explicit GroupWriter(std::string& out) : out_(out) {}
    void add(const EventRecord& r);
    void add(const TransitionRecord& r);
    void add(const Decision& r);
    void add(const Delivery& r);
    void add(const DeliveryChange& r);
    void add(const RetiredRecord& r);
    void add(const RecalledRecord& r);
    void add(const SettingsRecord& r);
    void add(const BusChangeRecord& r);
    void add(const RoutedRecord& r);

private:
    template <class Fn>
    void put(RecordType type, Fn&& body);
    std::string& out_;
    std::string body_;
};

// One record of a group, still encoded.
struct RawRecord {
    RecordType type;
    std::string_view body;
};

// Walks a group's payload. next() yields nothing at the end; check failed() then.
class GroupReader {
public:
    explicit GroupReader(std::string_view payload) : in_(payload) {}
    std::optional<RawRecord> next();
    bool failed() const { return failed_; }

private:
    ByteReader in_;
    bool failed_ = false;
};

// False: the bytes are not such a record (the caller knows the position and reports `corrupt`).
bool decode(std::string_view body, EventRecord& r);
bool decode(std::string_view body, TransitionRecord& r);
bool decode(std::string_view body, Decision& r);
bool decode(std::string_view body, Delivery& r);
bool decode(std::string_view body, DeliveryChange& r);
bool decode(std::string_view body, RetiredRecord& r);
bool decode(std::string_view body, RecalledRecord& r);
bool decode(std::string_view body, SettingsRecord& r);
bool decode(std::string_view body, BusChangeRecord& r);
bool decode(std::string_view body, RoutedRecord& r);

}  // namespace waybill
