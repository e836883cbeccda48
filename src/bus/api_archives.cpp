// Archives and replays. An archive is no second copy of its events: it is a rule that counts and remembers where in the log it
// began, and a replay reads the log from there. Messages are those that AWS was recorded with.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "bus/api_fields.h"
#include "bus/api_operations.h"
#include "bus/arn.h"
#include "patterns/pattern.h"

namespace waybill::bus {
namespace {

bool is_resource_arn(std::string_view text) {
    const auto arn = parse_arn(text);
    if (!arn || !arn->partition.starts_with("aws") || arn->service != "events") return false;
    const size_t slash = arn->resource.find('/');
    return slash != std::string::npos && slash > 0 && slash + 1 < arn->resource.size();
}

const TextRule rule_archive_name{1, 48, {R"([\.\-_A-Za-z0-9]+)", is_plain_name}};
// A bus's ARN (EventBusArn) and an archive's (ArchiveArn) have the same form in AWS's model.
const TextRule rule_resource_arn{1, 1600, {R"(^arn:aws([a-z]|\-)*:events:([a-z]|\d|\-)*:([0-9]{12})?:.+\/.+$)", is_resource_arn}};
const TextRule rule_archive_state{
    0, unlimited, {}, {"ENABLED", "DISABLED", "CREATING", "UPDATING", "CREATE_FAILED", "UPDATE_FAILED"}};
const TextRule rule_replay_state{0, unlimited, {}, {"STARTING", "RUNNING", "CANCELLING", "COMPLETED", "CANCELLED", "FAILED"}};
constexpr NumberRule rule_retention{0, 100 * 366};  // AWS states no end; a century

wire::AwsError no_such_archive(std::string_view name) {
    return resource_not_found(fmt::format("Archive {} does not exist.", name));
}
wire::AwsError no_such_replay(std::string_view name) {
    return resource_not_found(fmt::format("Replay {} does not exist.", name));
}

// The bus of this account and region that an ARN names; or its name, to say that there is none.
std::variant<BusKey, std::string> bus_of(const Bus& bus, const Place& place, std::string_view text) {
    const auto arn = parse_arn(text);
    if (!arn || kind_of(*arn) != TargetKind::event_bus) return arn ? arn->resource : std::string(text);
    std::string name(name_in(*arn));
    const BusKey key{place, name};
    if (arn->account != place.account || arn->region != place.region || !bus.bus(key)) return name;
    return key;
}

std::optional<wire::AwsError> check_pattern(const std::string& pattern) {
    if (pattern.empty()) return {};
    if (const auto parsed = patterns::parse_pattern(pattern); !parsed.ok())
        return wire::AwsError{"InvalidEventPatternException", "Event pattern is not valid. Reason: " + parsed.error().message};
    return {};
}

std::string archive_answer(const Archive& archive) {
    std::string json;
    JsonWriter w(json);
    w.begin_object().key("ArchiveArn").text(archive.arn()).key("State").text(to_string(archive.state));
    write_time(w, "CreationTime", archive.created);
    w.end_object();
    return json;
}

// What DescribeArchive and ListArchives both say.
void write_archive(JsonWriter& w, const Archive& archive, const ArchiveCounts& counts) {
    w.key("ArchiveName")
        .text(archive.name)
        .key("EventSourceArn")
        .text(archive.bus.arn())
        .key("State")
        .text(to_string(archive.state));
    w.key("RetentionDays").number(archive.retention_days);
    w.key("SizeBytes").number(static_cast<int64_t>(counts.bytes)).key("EventCount").number(static_cast<int64_t>(counts.events));
    write_time(w, "CreationTime", archive.created);
}

// What DescribeReplay and ListReplays both say.
void write_replay(JsonWriter& w, const Replay& replay) {
    const Place& place = replay.bus.place;
    w.key("ReplayName").text(replay.name);
    w.key("EventSourceArn")
        .text(archive_arn(place.region, place.account, replay.archive))
        .key("State")
        .text(to_string(replay.state));
    write_text(w, "StateReason", replay.reason);
    write_time(w, "EventStartTime", replay.from);
    write_time(w, "EventEndTime", replay.to);
    write_time(w, "EventLastReplayedTime", replay.last_event);
    write_time(w, "ReplayStartTime", replay.started);
    write_time(w, "ReplayEndTime", replay.ended);
}

// The rule of that bus whose ARN this is.
bool is_rule_of(const Bus& bus, const BusKey& key, std::string_view arn) {
    const std::string begin = rule_arn(key.place.region, key.place.account, key.name, "");
    return arn.starts_with(begin) && bus.rule(key, arn.substr(begin.size()));
}

}  // namespace

// -- archives --

Prepared create_archive(const ApiRequest& request) {
    RequestBody body(request.body);
    Members in = body.root();
    Archive archive;
    const TextRule pattern_rule{0, request.limits.pattern_characters};
    archive.name = in.text("ArchiveName", rule_archive_name, Need::required).value_or("");
    const std::string source = in.text("EventSourceArn", rule_resource_arn, Need::required).value_or("");
    archive.description = in.text("Description", description_512).value_or("");
    archive.pattern = in.text("EventPattern", pattern_rule).value_or("");
    archive.retention_days = static_cast<int>(in.integer("RetentionDays", rule_retention).value_or(0));
    archive.kms_key = in.text("KmsKeyIdentifier", kms_key).value_or("");
    if (auto error = body.error()) return *error;
    if (auto error = check_pattern(archive.pattern)) return *error;

    return [archive, source, place = request.place, limit = request.limits.archives](const Bus& bus, const Stamp& stamp) {
        const auto key = bus_of(bus, place, source);
        if (const auto* name = std::get_if<std::string>(&key)) return refusal(no_such_bus(*name));
        if (bus.archive(place, archive.name))
            return refusal(already_exists(fmt::format("Archive {} already exists.", archive.name)));
        if (bus.archives(place).size() >= limit) return refusal(limit_exceeded());
        Archive made = archive;
        made.bus = std::get<BusKey>(key);
        made.created = stamp.now;
        made.from = stamp.tail;
        std::string json = archive_answer(made);
        return answer(std::move(json), {Put{std::move(made)}});
    };
}

Prepared describe_archive(const ApiRequest& request) {
    RequestBody body(request.body);
    Members in = body.root();
    const std::string name = in.text("ArchiveName", rule_archive_name, Need::required).value_or("");
    if (auto error = body.error()) return *error;
    return [name, place = request.place](const Bus& bus, const Stamp&) {
        const Archive* archive = bus.archive(place, name);
        if (!archive) return refusal(no_such_archive(name));
        std::string json;
        JsonWriter w(json);
        w.begin_object().key("ArchiveArn").text(archive->arn());
        write_archive(w, *archive, bus.counts(archive->id));
        write_text(w, "Description", archive->description);
        write_text(w, "EventPattern", archive->pattern);
        write_text(w, "KmsKeyIdentifier", archive->kms_key);
        w.end_object();
        return answer(std::move(json));
    };
}

Prepared update_archive(const ApiRequest& request) {
    RequestBody body(request.body);
    Members in = body.root();
    const TextRule pattern_rule{0, request.limits.pattern_characters};
    const std::string name = in.text("ArchiveName", rule_archive_name, Need::required).value_or("");
    const auto description = in.text("Description", description_512);
    const auto pattern = in.text("EventPattern", pattern_rule);
    const auto retention = in.integer("RetentionDays", rule_retention);
    const auto key = in.text("KmsKeyIdentifier", kms_key);
    if (auto error = body.error()) return *error;
    if (auto error = check_pattern(pattern.value_or(""))) return *error;

    return [=, place = request.place](const Bus& bus, const Stamp&) {
        const Archive* archive = bus.archive(place, name);
        // AWS was seen to answer InternalException here, and its clients repeat that; the exception that its model names is the
        // better answer.
        if (!archive) return refusal(no_such_archive(name));
        Archive changed = *archive;
        if (description) changed.description = *description;
        if (pattern) changed.pattern = *pattern;
        if (retention) changed.retention_days = static_cast<int>(*retention);
        if (key) changed.kms_key = *key;
        std::string json = archive_answer(changed);
        if (changed == *archive) return answer(std::move(json));
        return answer(std::move(json), {Put{std::move(changed)}});
    };
}

Prepared delete_archive(const ApiRequest& request) {
    RequestBody body(request.body);
    Members in = body.root();
    const std::string name = in.text("ArchiveName", rule_archive_name, Need::required).value_or("");
    if (auto error = body.error()) return *error;
    return [name, place = request.place](const Bus& bus, const Stamp& stamp) {
        const Archive* archive = bus.archive(place, name);
        if (!archive) return refusal(no_such_archive(name));
        std::vector<Change> changes;
        // What a replay reads from it is over with it.
        for (const Replay* replay : bus.open_replays()) {
            if (replay->archive_id != archive->id) continue;
            Replay ended = *replay;
            ended.state = ReplayState::failed;
            ended.reason = fmt::format("Archive {} was deleted.", name);
            ended.ended = stamp.now;
            changes.push_back(Put{std::move(ended)});
        }
        changes.push_back(Erase{ResourceKind::archive, place, "", name});
        return answer("{}", std::move(changes));
    };
}

Prepared list_archives(const ApiRequest& request) {
    RequestBody body(request.body);
    Members in = body.root();
    const auto prefix = in.text("NamePrefix", rule_archive_name);
    const auto source = in.text("EventSourceArn", rule_resource_arn);
    const auto state = in.text("State", rule_archive_state);
    const Page page = in.page("ListArchives");
    if (auto error = body.error()) return *error;
    if (prefix.has_value() + source.has_value() + state.has_value() > 1)
        return validation("At most one filter is allowed for ListArchives. Use either : State, EventSourceArn, or NamePrefix.");

    return [=, place = request.place](const Bus& bus, const Stamp&) {
        if (source)
            if (const auto key = bus_of(bus, place, *source); const auto* name = std::get_if<std::string>(&key))
                return refusal(no_such_bus(*name));
        auto archives = bus.archives(place);
        std::erase_if(archives, [&](const Archive* a) {
            return (prefix && !a->name.starts_with(*prefix)) || (source && a->bus.arn() != *source) ||
                   (state && to_string(a->state) != *state);
        });
        std::ranges::sort(archives, {}, &Archive::name);
        std::string next, json;
        JsonWriter w(json);
        w.begin_object().key("Archives").begin_array();
        for (const Archive* archive : one_page(archives, page, [](const Archive* a) { return a->name; }, next)) {
            w.begin_object();
            write_archive(w, *archive, bus.counts(archive->id));
            w.end_object();
        }
        w.end_array();
        write_next_token(w, next);
        w.end_object();
        return answer(std::move(json));
    };
}

// -- replays --

Prepared start_replay(const ApiRequest& request) {
    RequestBody body(request.body);
    Members in = body.root();
    Replay replay;
    replay.name = in.text("ReplayName", rule_name, Need::required).value_or("");
    replay.description = in.text("Description", description_512).value_or("");
    const std::string source = in.text("EventSourceArn", rule_resource_arn, Need::required).value_or("");
    replay.from = in.time("EventStartTime", Need::required).value_or(no_time);
    replay.to = in.time("EventEndTime", Need::required).value_or(no_time);
    std::string destination;
    if (auto to = in.structure("Destination", Need::required)) {
        destination = to->text("Arn", any_arn, Need::required).value_or("");
        replay.rules = to->texts("FilterArns", {0, request.limits.rules_a_bus}, any_arn).value_or(std::vector<std::string>{});
    }
    if (auto error = body.error()) return *error;
    if (const auto arn = parse_arn(destination); !arn || kind_of(*arn) != TargetKind::event_bus)
        return validation("Parameter Destination.Arn is not valid. Reason: Must contain an event bus ARN.");

    return [=, place = request.place, limit = request.limits.replays](const Bus& bus, const Stamp& stamp) {
        const auto key = bus_of(bus, place, destination);
        if (const auto* name = std::get_if<std::string>(&key)) return refusal(no_such_bus(*name));
        const std::string begin = archive_arn(place.region, place.account, "");
        const std::string archive_name =
            source.starts_with(begin) ? source.substr(begin.size()) : source.substr(source.find('/') + 1);
        const Archive* archive = source.starts_with(begin) ? bus.archive(place, archive_name) : nullptr;
        if (!archive)
            return refusal(validation(
                fmt::format("Parameter EventSourceArn is not valid. Reason: Archive {} does not exist.", archive_name)));
        if (std::get<BusKey>(key) != archive->bus)
            return refusal(
                validation("Parameter Destination.Arn is not valid. Reason: Cross event bus replay is not permitted."));
        if (replay.from >= replay.to)
            return refusal(
                validation("Parameter EventEndTime is not valid. Reason: EventStartTime must be before EventEndTime."));
        for (const auto& rule : replay.rules)
            if (!is_rule_of(bus, archive->bus, rule))
                return refusal(validation(
                    fmt::format("Parameter Destination.FilterArns is not valid. Reason: {} is not a rule of event bus {}.", rule,
                                archive->bus.name)));
        if (bus.replay(place, replay.name)) return refusal(already_exists(fmt::format("Replay {} already exists.", replay.name)));
        const auto open = bus.open_replays();
        if (static_cast<size_t>(std::ranges::count(open, place, [](const Replay* r) { return r->bus.place; })) >= limit)
            return refusal(limit_exceeded());

        Replay made = replay;
        made.bus = archive->bus;
        made.archive = archive->name;
        made.archive_id = archive->id;
        made.started = stamp.now;
        made.next = archive->from;
        made.end = stamp.tail;
        std::string json;
        JsonWriter w(json);
        w.begin_object().key("ReplayArn").text(made.arn()).key("State").text(to_string(made.state));
        write_time(w, "ReplayStartTime", made.started);
        w.end_object();
        return answer(std::move(json), {Put{std::move(made)}});
    };
}

Prepared describe_replay(const ApiRequest& request) {
    RequestBody body(request.body);
    Members in = body.root();
    const std::string name = in.text("ReplayName", rule_name, Need::required).value_or("");
    if (auto error = body.error()) return *error;
    return [name, place = request.place](const Bus& bus, const Stamp&) {
        const Replay* replay = bus.replay(place, name);
        if (!replay) return refusal(no_such_replay(name));
        std::string json;
        JsonWriter w(json);
        w.begin_object().key("ReplayArn").text(replay->arn());
        write_replay(w, *replay);
        write_text(w, "Description", replay->description);
        w.key("Destination").begin_object().key("Arn").text(replay->bus.arn());
        if (!replay->rules.empty()) {
            w.key("FilterArns").begin_array();
            for (const auto& rule : replay->rules) w.text(rule);
            w.end_array();
        }
        w.end_object().end_object();
        return answer(std::move(json));
    };
}

Prepared cancel_replay(const ApiRequest& request) {
    RequestBody body(request.body);
    Members in = body.root();
    const std::string name = in.text("ReplayName", rule_name, Need::required).value_or("");
    if (auto error = body.error()) return *error;
    return [name, place = request.place](const Bus& bus, const Stamp&) {
        const Replay* replay = bus.replay(place, name);
        if (!replay) return refusal(no_such_replay(name));
        if (replay->state != ReplayState::starting && replay->state != ReplayState::running)
            return refusal(wire::AwsError{"IllegalStatusException",
                                          fmt::format("Replay {} is not in a valid state for this operation.", name)});
        Replay cancelling = *replay;
        cancelling.state = ReplayState::cancelling;
        std::string json;
        JsonWriter w(json);
        w.begin_object().key("ReplayArn").text(cancelling.arn()).key("State").text(to_string(cancelling.state)).end_object();
        return answer(std::move(json), {Put{std::move(cancelling)}});
    };
}

Prepared list_replays(const ApiRequest& request) {
    RequestBody body(request.body);
    Members in = body.root();
    const auto prefix = in.text("NamePrefix", rule_name);
    const auto state = in.text("State", rule_replay_state);
    const auto source = in.text("EventSourceArn", rule_resource_arn);
    const Page page = in.page("ListReplays");
    if (auto error = body.error()) return *error;
    if (prefix.has_value() + source.has_value() + state.has_value() > 1)
        return validation("At most one filter is allowed for ListReplays. Use either : State, EventSourceArn, or NamePrefix.");

    return [=, place = request.place](const Bus& bus, const Stamp&) {
        auto replays = bus.replays(place);
        std::erase_if(replays, [&](const Replay* r) {
            return (prefix && !r->name.starts_with(*prefix)) || (state && to_string(r->state) != *state) ||
                   (source && archive_arn(place.region, place.account, r->archive) != *source);
        });
        std::ranges::sort(replays, {}, &Replay::name);
        std::string next, json;
        JsonWriter w(json);
        w.begin_object().key("Replays").begin_array();
        for (const Replay* replay : one_page(replays, page, [](const Replay* r) { return r->name; }, next)) {
            w.begin_object();
            write_replay(w, *replay);
            w.end_object();
        }
        w.end_array();
        write_next_token(w, next);
        w.end_object();
        return answer(std::move(json));
    };
}

}  // namespace waybill::bus
