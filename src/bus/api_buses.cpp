// Event buses and their policies. Words and order of the checks are those that AWS was recorded or measured with; where nothing
// was recorded the comment says so.
#include <fmt/format.h>

#include "bus/api_fields.h"
#include "bus/api_operations.h"
#include "bus/policy_document.h"

namespace waybill::bus {

namespace {

const TextRule event_source_name{1, 256};  // what is no partner's is unknown anyway
const TextRule policy_bus_name{1, 256, {R"([\.\-_A-Za-z0-9]+)", is_plain_name}};
const TextRule statement_id_rule{1, statement_id_characters, {R"([a-zA-Z0-9-_]+)", [](std::string_view text) {
                                                                  return is_plain_name(text) && text.find('.') == text.npos;
                                                              }}};
const TextRule log_detail{0, unlimited, {}, {"NONE", "FULL"}};
const TextRule log_level{0, unlimited, {}, {"OFF", "ERROR", "INFO", "TRACE"}};

// What CreateEventBus and UpdateEventBus have in common. Nothing: the member was not given.
struct Settings {
    std::optional<std::string> description, kms_key, dead_letter_arn, log_config;
};

Settings read_settings(Members& in) {
    Settings settings;
    settings.description = in.text("Description", description_512);
    settings.kms_key = in.text("KmsKeyIdentifier", kms_key);
    if (auto dead_letter = in.structure("DeadLetterConfig"))
        settings.dead_letter_arn = dead_letter->text("Arn", any_arn).value_or("");
    if (auto log = in.structure("LogConfig")) {
        std::string json;
        JsonWriter w(json);
        w.begin_object();
        write_text(w, "IncludeDetail", log->text("IncludeDetail", log_detail).value_or(""));
        write_text(w, "Level", log->text("Level", log_level).value_or(""));
        w.end_object();
        settings.log_config = std::move(json);
    }
    return settings;
}

std::optional<wire::AwsError> check(const Settings& settings, const Place& place) {
    if (!settings.dead_letter_arn || settings.dead_letter_arn->empty()) return std::nullopt;
    TargetParameters parameters;
    parameters.dead_letter_arn = *settings.dead_letter_arn;
    // Of no particular target: what is left to check is the queue.
    if (auto good = check_parameters({}, parameters, "", place.region); !good.ok()) return validation(good.error().message);
    return std::nullopt;
}

void set(EventBus& bus, const Settings& settings) {
    if (settings.description) bus.description = *settings.description;
    if (settings.kms_key) bus.kms_key = *settings.kms_key;
    if (settings.dead_letter_arn) bus.dead_letter_arn = *settings.dead_letter_arn;
    if (settings.log_config) bus.log_config = *settings.log_config;
}

void write_settings(JsonWriter& w, const EventBus& bus) {
    write_text(w, "Description", bus.description);
    write_text(w, "KmsKeyIdentifier", bus.kms_key);
    if (!bus.dead_letter_arn.empty()) w.key("DeadLetterConfig").begin_object().key("Arn").text(bus.dead_letter_arn).end_object();
    if (!bus.log_config.empty()) w.key("LogConfig").raw(bus.log_config);
}

void write_times(JsonWriter& w, const EventBus& bus) {
    write_time(w, "CreationTime", bus.created);
    write_time(w, "LastModifiedTime", bus.modified);
}

// The default bus exists without having been made: its time begins when it is first changed.
EventBus touched(EventBus bus, TimeMs now) {
    if (bus.created == no_time) bus.created = now;
    bus.modified = now;
    return bus;
}

wire::AwsError of_policy(const Error& error) {
    switch (error.kind) {
        case ErrorKind::overloaded: return {"PolicyLengthExceededException", error.message};
        case ErrorKind::not_found: return resource_not_found(error.message);
        case ErrorKind::invalid:
        case ErrorKind::conflict:
        case ErrorKind::unavailable:
        case ErrorKind::corrupt:
        case ErrorKind::unsupported: break;
    }
    return validation(error.message);
}

}  // namespace

Prepared create_event_bus(const ApiRequest& request) {
    RequestBody body(request.body);
    Members in = body.root();
    EventBus bus;
    const auto name = in.text("Name", event_bus_name, Need::required);
    const auto source = in.text("EventSourceName", event_source_name);
    const Settings settings = read_settings(in);
    bus.tags = in.tags("Tags").value_or(Tags());
    if (auto error = body.error()) return *error;
    if (auto error = check(settings, request.place)) return *error;
    if (auto error = check_tags(bus.tags, request.limits.tags)) return *error;
    bus.key = {request.place, *name};
    if (source) {
        if (*source != *name) return validation("Event bus name must match event source name.");
        return resource_not_found(fmt::format("Event source {} does not exist.", *source));
    }
    if (name->find('/') != name->npos) return validation("Event bus name must not contain '/'.");
    if (name->starts_with("aws.")) return validation("EventBus name starting with 'aws.' is not valid.");
    set(bus, settings);
    return [bus, most = request.limits.buses](const Bus& state, const Stamp& stamp) {
        if (state.bus(bus.key)) return refusal(already_exists(fmt::format("Event bus {} already exists.", bus.key.name)));
        if (state.buses(bus.key.place).size() > most) return refusal(limit_exceeded());  // the default bus is not counted
        std::string json;
        JsonWriter w(json);
        w.begin_object().key("EventBusArn").text(bus.key.arn());
        write_settings(w, bus);
        w.end_object();
        return answer(std::move(json), {Put{touched(bus, stamp.now)}});
    };
}

Prepared describe_event_bus(const ApiRequest& request) {
    RequestBody body(request.body);
    Members in = body.root();
    const auto name = in.text("Name", event_bus_name_or_arn);
    if (auto error = body.error()) return *error;
    return [key = bus_named(request.place, name)](const Bus& state, const Stamp&) {
        const auto bus = state.bus(key);
        if (!bus) return refusal(no_such_bus(key.name));
        std::string json;
        JsonWriter w(json);
        w.begin_object().key("Name").text(key.name).key("Arn").text(key.arn());
        write_settings(w, *bus);
        write_text(w, "Policy", bus->policy);
        write_times(w, *bus);
        w.end_object();
        return answer(std::move(json));
    };
}

// A member that is not given stays as it is; an empty Description or KmsKeyIdentifier and a DeadLetterConfig without Arn take it
// away. AWS's page leaves that open.
Prepared update_event_bus(const ApiRequest& request) {
    RequestBody body(request.body);
    Members in = body.root();
    const auto name = in.text("Name", event_bus_name);
    const Settings settings = read_settings(in);
    if (auto error = body.error()) return *error;
    if (auto error = check(settings, request.place)) return *error;
    return [key = bus_named(request.place, name), settings](const Bus& state, const Stamp& stamp) {
        auto bus = state.bus(key);
        if (!bus) return refusal(no_such_bus(key.name));
        set(*bus, settings);
        std::string json;
        JsonWriter w(json);
        w.begin_object().key("Arn").text(key.arn()).key("Name").text(key.name);
        write_settings(w, *bus);
        w.end_object();
        return answer(std::move(json), {Put{touched(std::move(*bus), stamp.now)}});
    };
}

Prepared delete_event_bus(const ApiRequest& request) {
    RequestBody body(request.body);
    Members in = body.root();
    const auto name = in.text("Name", event_bus_name, Need::required);
    if (auto error = body.error()) return *error;
    if (*name == default_bus) return validation("Cannot delete event bus default.");
    return [key = bus_named(request.place, name)](const Bus& state, const Stamp&) {
        if (!state.bus(key)) return answer("");  // deleting what is not there succeeds
        if (!state.rules(key).empty()) return refusal(validation("EventBus can't be deleted since it has rules."));
        return answer("", {Erase{ResourceKind::event_bus, key.place, "", key.name}});
    };
}

Prepared list_event_buses(const ApiRequest& request) {
    RequestBody body(request.body);
    Members in = body.root();
    const std::string prefix = in.text("NamePrefix", event_bus_name).value_or("");
    const Page page = in.page("ListEventBuses");
    if (auto error = body.error()) return *error;
    return [place = request.place, prefix, page](const Bus& state, const Stamp&) {
        auto buses = state.buses(place);
        std::erase_if(buses, [&](const EventBus& bus) { return !bus.key.name.starts_with(prefix); });
        std::string json, next_token;
        JsonWriter w(json);
        w.begin_object().key("EventBuses").begin_array();
        for (const EventBus& bus : one_page(buses, page, [](const EventBus& bus) { return bus.key.name; }, next_token)) {
            w.begin_object().key("Name").text(bus.key.name).key("Arn").text(bus.key.arn());
            write_text(w, "Description", bus.description);
            write_text(w, "Policy", bus.policy);
            write_times(w, bus);
            w.end_object();
        }
        w.end_array();
        write_next_token(w, next_token);
        w.end_object();
        return answer(std::move(json));
    };
}

// -- the policy --

Prepared put_permission(const ApiRequest& request) {
    static const TextRule action_rule{1, 64, {R"(events:[a-zA-Z]+)", [](std::string_view text) {
                                                  constexpr std::string_view service = "events:";
                                                  return text.starts_with(service) && text.size() > service.size() &&
                                                         std::all_of(text.begin() + service.size(), text.end(),
                                                                     [](char c) { return (c | 32) >= 'a' && (c | 32) <= 'z'; });
                                              }}};
    static const TextRule principal_rule{
        1, 12, {R"((\d{12}|\*))", [](std::string_view text) {
                    return text == "*" || (text.size() == 12 && text.find_first_not_of("0123456789") == text.npos);
                }}};
    RequestBody body(request.body);
    Members in = body.root();
    const auto name = in.text("EventBusName", policy_bus_name);
    const auto action = in.text("Action", action_rule);
    const auto principal = in.text("Principal", principal_rule);
    const auto statement_id = in.text("StatementId", statement_id_rule);
    std::optional<PermissionCondition> condition;
    if (auto given = in.structure("Condition"))
        condition = PermissionCondition{given->text("Type", {}, Need::required).value_or(""),
                                        given->text("Key", {}, Need::required).value_or(""),
                                        given->text("Value", {}, Need::required).value_or("")};
    const auto policy = in.text("Policy");
    if (auto error = body.error()) return *error;
    Permission permission;
    std::string whole;
    if (policy) {
        const auto document = PolicyDocument::parse(*policy);
        if (!document.ok()) return of_policy(document.error());
        whole = document->empty() ? "" : document->text();
    } else {
        // Recorded for Principal only.
        if (!principal) return validation("Parameter Principal must be specified.");
        if (!action) return validation("Parameter Action must be specified.");
        if (!statement_id) return validation("Parameter StatementId must be specified.");
        permission = {*statement_id, *principal, *action, condition};
    }
    return [key = bus_named(request.place, name), by_document = policy.has_value(), whole, permission](const Bus& state,
                                                                                                       const Stamp& stamp) {
        auto bus = state.bus(key);
        if (!bus) return refusal(no_such_bus(key.name));
        if (by_document) {
            bus->policy = whole;
        } else {
            auto document = bus->policy.empty() ? Result<PolicyDocument>(PolicyDocument()) : PolicyDocument::parse(bus->policy);
            if (!document.ok()) return refusal(of_policy(document.error()));
            if (auto done = document->put(permission, key.arn()); !done.ok()) return refusal(of_policy(done.error()));
            bus->policy = document->text();
        }
        return answer("", {Put{touched(std::move(*bus), stamp.now)}});
    };
}

Prepared remove_permission(const ApiRequest& request) {
    RequestBody body(request.body);
    Members in = body.root();
    const auto statement_id = in.text("StatementId", statement_id_rule);
    const bool all = in.boolean("RemoveAllPermissions").value_or(false);
    const auto name = in.text("EventBusName", policy_bus_name);
    if (auto error = body.error()) return *error;
    if (!all && !statement_id) return validation("Parameter StatementId must be specified.");
    return [key = bus_named(request.place, name), all, statement_id](const Bus& state, const Stamp& stamp) {
        auto bus = state.bus(key);
        if (!bus) return refusal(no_such_bus(key.name));
        if (all) {
            if (bus->policy.empty()) return answer("");
            bus->policy.clear();
        } else {
            auto document = bus->policy.empty() ? Result<PolicyDocument>(PolicyDocument()) : PolicyDocument::parse(bus->policy);
            if (!document.ok()) return refusal(of_policy(document.error()));
            if (auto done = document->remove(*statement_id); !done.ok()) return refusal(of_policy(done.error()));
            bus->policy = document->empty() ? "" : document->text();
        }
        return answer("", {Put{touched(std::move(*bus), stamp.now)}});
    };
}

}  // namespace waybill::bus
