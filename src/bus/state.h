// What the bus remembers: event buses, rules with their targets, archives, replays, connections and API destinations, of every
// account and region; and for each bus the matcher that says which of its rules an event matches. Owned by one thread (the
// sequencer, or the thread that folds a snapshot); nothing here locks. What other threads match with is a Routes snapshot, which
// is immutable.
//
// Every change is a Change: one resource, whole, as it is from now on, or gone. apply() replaces or erases it and is total: it
// never refuses, decides or fails. Whether a change may be made is the business of src/bus/api.h, which reads this state and
// returns changes.
//
// Secrets of connections are not here, and so not in the log: a connection names a secret by its id (src/bus/secrets.h).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "bus/input.h"
#include "bus/schedule.h"
#include "bus/target_request.h"
#include "event/position.h"
#include "patterns/matcher.h"

namespace waybill::bus {

constexpr std::string_view default_bus = "default";

// Whose resources: AWS keeps those of each account and region apart.
struct Place {
    std::string account, region;
    auto operator<=>(const Place&) const = default;
};

struct BusKey {
    Place place;
    std::string name;
    auto operator<=>(const BusKey&) const = default;
    std::string arn() const { return event_bus_arn(place.region, place.account, name); }
};

using Tags = std::map<std::string, std::string>;

struct EventBus {
    BusKey key;
    std::string description, kms_key, dead_letter_arn;
    std::string log_config;  // LogConfig as it was given, JSON; empty: none
    std::string policy;      // PolicyDocument::text(); empty: none
    Tags tags;
    TimeMs created = no_time, modified = no_time;
    bool operator==(const EventBus&) const = default;
};

// RetryPolicy where a target has none; EventBridge's defaults.
constexpr int retry_attempts = 185;
constexpr int retry_age_s = 86'400;

struct Target {
    std::string id, arn;
    TargetInput input;
    TargetParameters parameters;
    std::optional<int> max_attempts, max_age_s;  // RetryPolicy
    std::string others;  // members that are only kept and shown again (KinesisParameters …): a JSON object; empty: none
    bool operator==(const Target&) const = default;
};

enum class RuleState : uint8_t { enabled = 0, disabled = 1, enabled_with_cloudtrail = 2 };
std::string_view to_string(RuleState state);  // as the API spells it

// Identifies a rule or an archive in records and in the matcher: the position of the group that made it. A rule that is put again
// keeps it.
using RuleId = patterns::RuleId;

struct Rule {
    RuleId id = 0;
    BusKey bus;
    std::string name, pattern, schedule, description, role_arn, managed_by, created_by;
    RuleState state = RuleState::enabled;
    std::vector<Target> targets;  // in the order in which they were put; at most 5 unless the limit was raised
    Tags tags;
    Position changed = 0;  // the group that put its targets as they are; set when it is applied
    TimeMs created = no_time;
    TimeMs anchor = no_time;  // a rate's slots are counted from here: when the schedule was put or the rule enabled
    TimeMs fired = no_time;   // the newest slot that fired or was skipped; never fired twice
    bool operator==(const Rule&) const = default;
    bool enabled() const { return state != RuleState::disabled; }
    std::string arn() const { return rule_arn(bus.place.region, bus.place.account, bus.name, name); }
};

enum class ArchiveState : uint8_t { enabled = 0, disabled = 1, creating = 2, updating = 3, create_failed = 4, update_failed = 5 };
std::string_view to_string(ArchiveState state);

struct Archive {
    RuleId id = 0;
    BusKey bus;
    std::string name, description, pattern, kms_key;
    int retention_days = 0;  // 0: for ever
    ArchiveState state = ArchiveState::enabled;
    Tags tags;
    TimeMs created = no_time;
    Position from = 0;  // what came before is not in it
    bool operator==(const Archive&) const = default;
    std::string arn() const { return archive_arn(bus.place.region, bus.place.account, name); }
};
// What an archive holds; counted as events come, not part of a Change.
struct ArchiveCounts {
    uint64_t events = 0, bytes = 0;
};

enum class ReplayState : uint8_t { starting = 0, running = 1, cancelling = 2, completed = 3, cancelled = 4, failed = 5 };
std::string_view to_string(ReplayState state);

struct Replay {
    BusKey bus;  // of the archive, and so of the destination
    std::string name, description, archive;
    std::vector<std::string> rules;  // FilterArns; empty: all
    ReplayState state = ReplayState::starting;
    std::string reason;
    RuleId archive_id = 0;
    TimeMs from = no_time, to = no_time;  // of the events' times: [from, to)
    TimeMs started = no_time, ended = no_time, last_event = no_time;
    Position next = 0, end = 0;  // how far the log was read; where it ends for this replay
    uint64_t replayed = 0;
    bool operator==(const Replay&) const = default;
    std::string arn() const { return replay_arn(bus.place.region, bus.place.account, name); }
    bool open() const { return state <= ReplayState::cancelling; }
};

enum class ConnectionState : uint8_t {
    authorized = 0,
    deauthorized = 1,
    authorizing = 2,
    deauthorizing = 3,
    creating = 4,
    updating = 5,
    deleting = 6
};
std::string_view to_string(ConnectionState state);

struct Connection {
    Place place;
    std::string name, uuid, description, type;  // BASIC, OAUTH_CLIENT_CREDENTIALS, API_KEY
    std::string shown;                          // AuthParameters as DescribeConnection shows them: JSON without secrets
    std::string connectivity, kms_key;
    uint64_t secret = 0;  // id of its AuthParameters with secrets, in the secrets file; 0: none
    ConnectionState state = ConnectionState::authorized;
    std::string reason;
    TimeMs created = no_time, modified = no_time, authorized = no_time;
    bool operator==(const Connection&) const = default;
    std::string arn() const { return connection_arn(place.region, place.account, name, uuid); }
};

struct Destination {  // an API destination
    Place place;
    std::string name, uuid, description, connection_arn, endpoint, method;
    int rate_per_second = 300;
    TimeMs created = no_time, modified = no_time;
    bool operator==(const Destination&) const = default;
    std::string arn() const { return api_destination_arn(place.region, place.account, name, uuid); }
};

// -- changes --

struct Put {
    std::variant<EventBus, Rule, Archive, Replay, Connection, Destination> resource;
};
enum class ResourceKind : uint8_t { event_bus = 0, rule = 1, archive = 2, replay = 3, connection = 4, destination = 5 };
struct Erase {
    ResourceKind kind = ResourceKind::rule;
    Place place;
    std::string bus, name;  // `bus` for rules only
};
using Change = std::variant<Put, Erase>;

// The body of a `bus_changed` record. An id of 0 in a rule or archive that is put says "this group's position".
std::string encode(const Change& change);
bool decode(std::string_view body, Change& change);
// For people: whether it is put or gone, and the ARN of what it is about ("put arn:aws:events:…:rule/nightly").
std::string describe(const Change& change);

// -- what other threads match with --

// The rules of one bus, as they were at one version.
struct BusRoutes {
    std::shared_ptr<const patterns::Matcher> matcher;
    std::vector<RuleId> everything;  // archives without a pattern
};
struct Routes {
    uint64_t version = 0;
    std::map<BusKey, BusRoutes> buses;  // those with rules or archives
    std::set<BusKey> made;              // every bus that somebody made
    bool exists(const BusKey& bus) const { return bus.name == default_bus || made.contains(bus); }
    // Replaces `out` by the rules and archives of that bus whose patterns the envelope matches.
    void match(const BusKey& bus, std::string_view envelope, patterns::MatchScratch& scratch, std::vector<RuleId>& out) const;
};

class Bus {
public:
    Bus();

    // -- apply: total and pure --
    void apply(const Change& change, Position position);
    // An event of `bytes` came to an archive.
    void archived(RuleId archive, uint64_t bytes);

    // -- reading; pointers hold until the next apply --
    // The default bus exists everywhere, without having been made.
    std::optional<EventBus> bus(const BusKey& key) const;
    std::vector<EventBus> buses(const Place& place) const;  // by name, the default bus among them
    const Rule* rule(const BusKey& bus, std::string_view name) const;
    const Rule* rule(RuleId id) const;
    std::vector<const Rule*> rules(const BusKey& bus) const;  // by name
    std::vector<const Rule*> rules() const;                   // of all buses, by bus and name
    const Archive* archive(const Place& place, std::string_view name) const;
    const Archive* archive(RuleId id) const;
    ArchiveCounts counts(RuleId archive) const;
    std::vector<const Archive*> archives(const Place& place) const;
    const Replay* replay(const Place& place, std::string_view name) const;
    std::vector<const Replay*> replays(const Place& place) const;
    std::vector<const Replay*> open_replays() const;  // of all places
    const Connection* connection(const Place& place, std::string_view name) const;
    // By its ARN; nothing also where a connection of that name was made anew since.
    const Connection* connection_of(const Place& place, std::string_view arn) const;
    std::vector<const Connection*> connections(const Place& place) const;
    std::vector<const Connection*> connections() const;
    const Destination* destination(const Place& place, std::string_view name) const;
    std::vector<const Destination*> destinations(const Place& place) const;

    // Changes with every change of what matches. The snapshot of a version is made when it is first asked for, so that many
    // changes in a row cost one.
    uint64_t version() const { return version_; }
    const std::shared_ptr<const Routes>& routes();

    // Scheduled rules: the earliest next slot, and the rules that are due.
    TimeMs next_slot() const { return slots_.empty() ? no_time : std::get<0>(*slots_.begin()); }
    std::vector<RuleId> due(TimeMs now) const;

    void encode(const std::function<void(std::string_view)>& sink) const;
    Result<void> restore(std::string_view piece);

private:
    struct BusRules {
        std::map<std::string, RuleId, std::less<>> names;
    };
    void put(EventBus bus);
    void put(Rule rule, Position position);
    void put(Archive archive, Position position);
    void erase(const Erase& what);
    void rematch(const BusKey& bus, RuleId id);
    const std::string* pattern_of(RuleId id) const;
    void schedule(const Rule& rule);
    void unschedule(RuleId id);

    std::map<BusKey, EventBus> buses_;
    std::map<RuleId, Rule> rules_;
    std::map<BusKey, BusRules> by_bus_;
    std::map<RuleId, Archive> archives_;
    std::map<RuleId, ArchiveCounts> counts_;
    std::map<std::pair<Place, std::string>, RuleId> archive_names_;
    std::map<std::pair<Place, std::string>, Replay> replays_;
    std::map<std::pair<Place, std::string>, Connection> connections_;
    std::map<std::pair<Place, std::string>, Destination> destinations_;
    std::set<std::pair<TimeMs, RuleId>> slots_;  // the next slot of each enabled scheduled rule
    std::map<RuleId, TimeMs> next_of_;
    uint64_t version_ = 0;
    std::map<BusKey, std::set<RuleId>> stale_;  // what changed since routes_ was made
    std::shared_ptr<const Routes> routes_;
};

}  // namespace waybill::bus
