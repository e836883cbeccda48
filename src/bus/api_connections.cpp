// Connections and API destinations. What a connection's AuthParameters hold that is secret leaves here once, in
// ApiAnswer::secrets, and is in no change, answer or message. Messages are those that AWS was recorded with.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/hash.h"
#include "bus/api_fields.h"
#include "bus/api_operations.h"
#include "bus/arn.h"
#include "bus/auth_parameters.h"

namespace waybill::bus {
namespace {

bool is_connection_arn(std::string_view text) {
    const auto arn = parse_arn(text);
    constexpr std::string_view kind = "connection/";
    if (!arn || !arn->partition.starts_with("aws") || arn->service != "events" || !arn->resource.starts_with(kind)) return false;
    const std::string_view resource = std::string_view(arn->resource).substr(kind.size());
    const size_t slash = resource.find('/');
    return slash != resource.npos && is_plain_name(resource.substr(0, slash)) && is_plain_name(resource.substr(slash + 1));
}

const TextRule rule_connection_arn{
    1,
    1600,
    {R"(^arn:aws([a-z]|\-)*:events:([a-z]|\d|\-)*:([0-9]{12})?:connection\/[\.\-_A-Za-z0-9]+\/[\-A-Za-z0-9]+$)",
     is_connection_arn}};
const TextRule rule_authorization{0, unlimited, {}, {"BASIC", "OAUTH_CLIENT_CREDENTIALS", "API_KEY"}};
const TextRule rule_connection_state{0,
                                     unlimited,
                                     {},
                                     {"CREATING", "UPDATING", "DELETING", "AUTHORIZED", "DEAUTHORIZED", "AUTHORIZING",
                                      "DEAUTHORIZING", "ACTIVE", "FAILED_CONNECTIVITY"}};
const TextRule rule_method{0, unlimited, {}, {"HEAD", "POST", "PATCH", "DELETE", "PUT", "GET", "OPTIONS"}};  // in AWS's order
constexpr NumberRule rule_rate{1, std::numeric_limits<int>::max()};

// -- connections --

wire::AwsError no_such_connection(std::string_view name) {
    return resource_not_found(fmt::format("Failed to describe the connection(s). Connection '{}' does not exist.", name));
}

// An id that is not 0, as far from the uuid made of the same number as a hash is.
uint64_t new_secret_id(uint64_t random) {
    const uint64_t id = hash64(std::string_view(reinterpret_cast<const char*>(&random), sizeof random));
    return id ? id : 1;
}

// As AWS names the secret that it makes for a connection. Nothing of that name is in any Secrets Manager; tools compare the text,
// so it stays the same as long as the connection is there.
std::string secret_arn(const Connection& connection) {
    constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    const uint64_t hash = hash64(connection.uuid);
    std::string suffix;
    for (uint64_t rest = hash; suffix.size() < 6; rest /= letters.size()) suffix += letters[rest % letters.size()];
    return fmt::format("arn:{}:secretsmanager:{}:{}:secret:events!connection/{}/{}-{}", partition_of(connection.place.region),
                       connection.place.region, connection.place.account, connection.name, uuid_of(hash), suffix);
}

void write_times(JsonWriter& w, const Connection& connection) {
    write_time(w, "CreationTime", connection.created);
    write_time(w, "LastModifiedTime", connection.modified);
}

// Of the operations that change one; `state` as AWS names it on the way, where it takes its time and this does not.
std::string changed_answer(const Connection& connection, ConnectionState state, bool with_authorized) {
    std::string json;
    JsonWriter w(json);
    w.begin_object().key("ConnectionArn").text(connection.arn()).key("ConnectionState").text(to_string(state));
    write_times(w, connection);
    if (with_authorized) write_time(w, "LastAuthorizedTime", connection.authorized);
    w.end_object();
    return json;
}

wire::AwsError incomplete(std::string_view missing, std::string_view type) {
    return validation(fmt::format(
        "Parameter AuthParameters is not valid. Reason: {} with all its members is required for the authorization type {}.",
        missing, type));
}

wire::AwsError too_long() {
    return validation(
        fmt::format("Parameter AuthParameters is not valid. Reason: it must have at most {} bytes.", auth_parameters_bytes));
}

// What both a creation and an update name.
struct ConnectionRequest {
    std::string name;
    std::optional<std::string> description, type, connectivity, kms_key;
    std::optional<AuthParameters> parameters;
};

std::variant<ConnectionRequest, wire::AwsError> read_connection(const ApiRequest& request, Need need) {
    RequestBody body(request.body);
    Members in = body.root();
    ConnectionRequest r;
    r.name = in.text("Name", rule_name, Need::required).value_or("");
    r.description = in.text("Description", description_512);
    r.type = in.text("AuthorizationType", rule_authorization, need);
    if (auto parameters = in.structure("AuthParameters", need)) r.parameters = read_auth_parameters(*parameters, need);
    if (auto connectivity = in.structure("InvocationConnectivityParameters"))
        r.connectivity = read_resource_configuration(*connectivity);
    r.kms_key = in.text("KmsKeyIdentifier", kms_key);
    if (auto error = body.error()) return *error;
    if (r.parameters && to_json(*r.parameters).size() > auth_parameters_bytes) return too_long();
    return r;
}

std::optional<std::string> read_name(const ApiRequest& request, wire::AwsError& error) {
    RequestBody body(request.body);
    Members in = body.root();
    auto name = in.text("Name", rule_name, Need::required);
    if (auto wrong = body.error()) {
        error = std::move(*wrong);
        return {};
    }
    return name;
}

// -- API destinations --

wire::AwsError no_such_destination(std::string_view name) {
    return resource_not_found(
        fmt::format("Failed to describe the api-destination(s). An api-destination '{}' does not exist.", name));
}

wire::AwsError no_connection_of(std::string_view arn) {
    return resource_not_found(fmt::format("Connection '{}' does not exist.", arn));
}

// INACTIVE as long as its connection authorises nothing; also when that is gone.
std::string_view state_of(const Bus& bus, const Destination& destination) {
    const Connection* connection = bus.connection_of(destination.place, destination.connection_arn);
    return connection && connection->state == ConnectionState::authorized ? "ACTIVE" : "INACTIVE";
}

// What DescribeApiDestination and ListApiDestinations both say.
void write_destination(JsonWriter& w, const Bus& bus, const Destination& d) {
    w.key("ApiDestinationArn").text(d.arn()).key("Name").text(d.name).key("ApiDestinationState").text(state_of(bus, d));
    w.key("ConnectionArn").text(d.connection_arn).key("InvocationEndpoint").text(d.endpoint).key("HttpMethod").text(d.method);
    w.key("InvocationRateLimitPerSecond").number(d.rate_per_second);
    write_time(w, "CreationTime", d.created);
    write_time(w, "LastModifiedTime", d.modified);
}

std::string destination_answer(const Bus& bus, const Destination& d) {
    std::string json;
    JsonWriter w(json);
    w.begin_object().key("ApiDestinationArn").text(d.arn()).key("ApiDestinationState").text(state_of(bus, d));
    write_time(w, "CreationTime", d.created);
    write_time(w, "LastModifiedTime", d.modified);
    w.end_object();
    return json;
}

struct DestinationRequest {
    std::string name;
    std::optional<std::string> description, connection_arn, endpoint, method;
    std::optional<int64_t> rate;
};

std::variant<DestinationRequest, wire::AwsError> read_destination(const ApiRequest& request, Need need) {
    RequestBody body(request.body);
    Members in = body.root();
    DestinationRequest r;
    r.name = in.text("Name", rule_name, Need::required).value_or("");
    r.description = in.text("Description", description_512);
    r.connection_arn = in.text("ConnectionArn", rule_connection_arn, need);
    r.endpoint = read_endpoint(in, "InvocationEndpoint", need);
    r.method = in.text("HttpMethod", rule_method, need);
    r.rate = in.integer("InvocationRateLimitPerSecond", rule_rate);
    if (auto error = body.error()) return *error;
    return r;
}

}  // namespace

// -- connections --

// AWS asks for a token before it calls a connection with OAuth AUTHORIZED. Here the first delivery asks, so that an operation
// waits for nothing outside, and such a connection is AUTHORIZED like the others.
Prepared create_connection(const ApiRequest& request) {
    auto read = read_connection(request, Need::required);
    if (auto* error = std::get_if<wire::AwsError>(&read)) return *error;
    auto& r = std::get<ConnectionRequest>(read);
    if (std::string_view missing; !complete(*r.parameters, *r.type, missing)) return incomplete(missing, *r.type);
    AuthParameters parameters;
    {
        AuthParameters update = std::move(*r.parameters);
        update.type = *r.type;
        parameters = merged({}, update);  // without what belongs to another type
    }
    r.parameters.reset();

    return [r, whole = Secret(to_json(parameters)), shown = shown_json(parameters), place = request.place,
            limit = request.limits.connections](const Bus& bus, const Stamp& stamp) {
        if (bus.connection(place, r.name)) return refusal(already_exists(fmt::format("Connection {} already exists.", r.name)));
        if (bus.connections(place).size() >= limit) return refusal(limit_exceeded());
        Connection made;
        made.place = place;
        made.name = r.name;
        made.uuid = uuid_of(stamp.random);
        made.description = r.description.value_or("");
        made.type = *r.type;
        made.shown = shown;
        made.connectivity = r.connectivity.value_or("");
        made.kms_key = r.kms_key.value_or("");
        made.secret = new_secret_id(stamp.random);
        made.created = made.modified = made.authorized = stamp.now;
        ApiAnswer a = answer(changed_answer(made, made.state, false));
        a.secrets.emplace_back(made.secret, whole.reveal());
        a.changes.push_back(Put{std::move(made)});
        return a;
    };
}

Prepared describe_connection(const ApiRequest& request) {
    wire::AwsError error;
    const auto name = read_name(request, error);
    if (!name) return error;
    return [name = *name, place = request.place](const Bus& bus, const Stamp&) {
        const Connection* connection = bus.connection(place, name);
        if (!connection) return refusal(no_such_connection(name));
        std::string json;
        JsonWriter w(json);
        w.begin_object().key("ConnectionArn").text(connection->arn()).key("Name").text(name);
        write_text(w, "Description", connection->description);
        if (!connection->connectivity.empty()) {
            w.key("InvocationConnectivityParameters").begin_object().key("ResourceParameters").begin_object();
            w.key("ResourceConfigurationArn").text(connection->connectivity).end_object().end_object();
        }
        w.key("ConnectionState").text(to_string(connection->state));
        write_text(w, "StateReason", connection->reason);
        w.key("AuthorizationType").text(connection->type);
        if (connection->secret) w.key("SecretArn").text(secret_arn(*connection));
        write_text(w, "KmsKeyIdentifier", connection->kms_key);
        if (!connection->shown.empty()) w.key("AuthParameters").raw(connection->shown);
        write_times(w, *connection);
        write_time(w, "LastAuthorizedTime", connection->authorized);
        w.end_object();
        return answer(std::move(json));
    };
}

Prepared update_connection(const ApiRequest& request) {
    auto read = read_connection(request, Need::optional);
    if (auto* error = std::get_if<wire::AwsError>(&read)) return *error;
    auto& r = std::get<ConnectionRequest>(read);
    return [r, place = request.place](const Bus& bus, const Stamp& stamp) {
        const Connection* connection = bus.connection(place, r.name);
        if (!connection) return refusal(no_such_connection(r.name));
        Connection changed = *connection;
        ApiAnswer a;
        changed.description = r.description.value_or(changed.description);
        changed.connectivity = r.connectivity.value_or(changed.connectivity);
        changed.kms_key = r.kms_key.value_or(changed.kms_key);
        changed.type = r.type.value_or(changed.type);
        if (r.parameters || changed.type != connection->type) {
            AuthParameters update = r.parameters.value_or(AuthParameters{});
            update.type = changed.type;
            // Where nothing of its type is kept, the update must bring all of it.
            const bool kept = connection->secret && changed.type == connection->type;
            if (std::string_view missing; !kept && !complete(update, changed.type, missing))
                return refusal(incomplete(missing, changed.type));
            update.onto = connection->secret;
            AuthParameters shown;
            if (!connection->shown.empty())
                if (auto old = parse_auth_parameters(connection->shown); old.ok()) shown = std::move(*old);
            changed.shown = shown_json(merged(std::move(shown), update));
            // Two updates in one batch have two numbers, so each has a secret of its own.
            changed.secret = new_secret_id(stamp.random);
            changed.state = ConnectionState::authorized;
            changed.reason.clear();
            changed.authorized = stamp.now;
            a.secrets.emplace_back(changed.secret, to_json(update));
        }
        changed.modified = stamp.now;
        a.result = changed_answer(changed, changed.state, true);
        a.changes.push_back(Put{std::move(changed)});
        return a;
    };
}

// AWS's model has no error for a connection that API destinations use: it goes, and they become INACTIVE.
Prepared delete_connection(const ApiRequest& request) {
    wire::AwsError error;
    const auto name = read_name(request, error);
    if (!name) return error;
    return [name = *name, place = request.place](const Bus& bus, const Stamp&) {
        const Connection* connection = bus.connection(place, name);
        if (!connection) return refusal(no_such_connection(name));
        return answer(changed_answer(*connection, ConnectionState::deleting, true),
                      {Erase{ResourceKind::connection, place, "", name}});
    };
}

// The secret goes, and with it the parameters: what is left can be authorised again by an update.
Prepared deauthorize_connection(const ApiRequest& request) {
    wire::AwsError error;
    const auto name = read_name(request, error);
    if (!name) return error;
    return [name = *name, place = request.place](const Bus& bus, const Stamp& stamp) {
        const Connection* connection = bus.connection(place, name);
        if (!connection) return refusal(no_such_connection(name));
        Connection changed = *connection;
        changed.state = ConnectionState::deauthorized;
        changed.secret = 0;
        changed.shown.clear();
        changed.modified = stamp.now;
        std::string json = changed_answer(changed, ConnectionState::deauthorizing, true);
        return answer(std::move(json), {Put{std::move(changed)}});
    };
}

Prepared list_connections(const ApiRequest& request) {
    RequestBody body(request.body);
    Members in = body.root();
    const auto prefix = in.text("NamePrefix", rule_name);
    const auto state = in.text("ConnectionState", rule_connection_state);
    const Page page = in.page("ListConnections");
    if (auto error = body.error()) return *error;
    return [=, place = request.place](const Bus& bus, const Stamp&) {
        auto connections = bus.connections(place);
        std::erase_if(connections, [&](const Connection* c) {
            return (prefix && !c->name.starts_with(*prefix)) || (state && to_string(c->state) != *state);
        });
        std::ranges::sort(connections, {}, &Connection::name);
        std::string next, json;
        JsonWriter w(json);
        w.begin_object().key("Connections").begin_array();
        for (const Connection* c : one_page(connections, page, [](const Connection* one) { return one->name; }, next)) {
            w.begin_object()
                .key("ConnectionArn")
                .text(c->arn())
                .key("Name")
                .text(c->name)
                .key("ConnectionState")
                .text(to_string(c->state));
            write_text(w, "StateReason", c->reason);
            w.key("AuthorizationType").text(c->type);
            write_times(w, *c);
            write_time(w, "LastAuthorizedTime", c->authorized);
            w.end_object();
        }
        w.end_array();
        write_next_token(w, next);
        w.end_object();
        return answer(std::move(json));
    };
}

// -- API destinations --

Prepared create_api_destination(const ApiRequest& request) {
    auto read = read_destination(request, Need::required);
    if (auto* error = std::get_if<wire::AwsError>(&read)) return *error;
    return [r = std::get<DestinationRequest>(read), place = request.place, limit = request.limits.destinations](
               const Bus& bus, const Stamp& stamp) {
        if (bus.destination(place, r.name))
            return refusal(already_exists(fmt::format("An api-destination '{}' already exists.", r.name)));
        if (!bus.connection_of(place, *r.connection_arn)) return refusal(no_connection_of(*r.connection_arn));
        if (bus.destinations(place).size() >= limit) return refusal(limit_exceeded());
        Destination made;
        made.place = place;
        made.name = r.name;
        made.uuid = uuid_of(stamp.random);
        made.description = r.description.value_or("");
        made.connection_arn = *r.connection_arn;
        made.endpoint = *r.endpoint;
        made.method = *r.method;
        if (r.rate) made.rate_per_second = static_cast<int>(*r.rate);
        made.created = made.modified = stamp.now;
        std::string json = destination_answer(bus, made);
        return answer(std::move(json), {Put{std::move(made)}});
    };
}

Prepared describe_api_destination(const ApiRequest& request) {
    wire::AwsError error;
    const auto name = read_name(request, error);
    if (!name) return error;
    return [name = *name, place = request.place](const Bus& bus, const Stamp&) {
        const Destination* destination = bus.destination(place, name);
        if (!destination) return refusal(no_such_destination(name));
        std::string json;
        JsonWriter w(json);
        w.begin_object();
        write_destination(w, bus, *destination);
        write_text(w, "Description", destination->description);
        w.end_object();
        return answer(std::move(json));
    };
}

Prepared update_api_destination(const ApiRequest& request) {
    auto read = read_destination(request, Need::optional);
    if (auto* error = std::get_if<wire::AwsError>(&read)) return *error;
    return [r = std::get<DestinationRequest>(read), place = request.place](const Bus& bus, const Stamp& stamp) {
        const Destination* destination = bus.destination(place, r.name);
        if (!destination) return refusal(no_such_destination(r.name));
        if (r.connection_arn && !bus.connection_of(place, *r.connection_arn))
            return refusal(no_connection_of(*r.connection_arn));
        Destination changed = *destination;
        changed.description = r.description.value_or(changed.description);
        changed.connection_arn = r.connection_arn.value_or(changed.connection_arn);
        changed.endpoint = r.endpoint.value_or(changed.endpoint);
        changed.method = r.method.value_or(changed.method);
        if (r.rate) changed.rate_per_second = static_cast<int>(*r.rate);
        changed.modified = stamp.now;
        std::string json = destination_answer(bus, changed);
        return answer(std::move(json), {Put{std::move(changed)}});
    };
}

Prepared delete_api_destination(const ApiRequest& request) {
    wire::AwsError error;
    const auto name = read_name(request, error);
    if (!name) return error;
    return [name = *name, place = request.place](const Bus& bus, const Stamp&) {
        if (!bus.destination(place, name)) return refusal(no_such_destination(name));
        return answer("{}", {Erase{ResourceKind::destination, place, "", name}});
    };
}

Prepared list_api_destinations(const ApiRequest& request) {
    RequestBody body(request.body);
    Members in = body.root();
    const auto prefix = in.text("NamePrefix", rule_name);
    const auto connection = in.text("ConnectionArn", rule_connection_arn);
    const Page page = in.page("ListApiDestinations");
    if (auto error = body.error()) return *error;
    return [=, place = request.place](const Bus& bus, const Stamp&) {
        auto destinations = bus.destinations(place);
        std::erase_if(destinations, [&](const Destination* d) {
            return (prefix && !d->name.starts_with(*prefix)) || (connection && d->connection_arn != *connection);
        });
        std::ranges::sort(destinations, {}, &Destination::name);
        std::string next, json;
        JsonWriter w(json);
        w.begin_object().key("ApiDestinations").begin_array();
        for (const Destination* d : one_page(destinations, page, [](const Destination* one) { return one->name; }, next)) {
            w.begin_object();
            write_destination(w, bus, *d);
            w.end_object();
        }
        w.end_array();
        write_next_token(w, next);
        w.end_object();
        return answer(std::move(json));
    };
}

}  // namespace waybill::bus
