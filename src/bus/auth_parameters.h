// The AuthParameters of a connection: how its API destinations are authorised, and what is added to each of their requests. API
// reference, CreateConnectionAuthRequestParameters and UpdateConnectionAuthRequestParameters.
//
// Three texts are made of them, all JSON in the shape of the API: the whole, which goes to the secrets' files and nowhere else;
// what DescribeConnection shows, without a secret in it; and what a courier needs. Every member is optional here, because an
// update names only what it changes; what a creation must name is for src/bus/api_connections.cpp to check.
//
// Values and pure functions; any thread. No error text holds a value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "bus/api_destination.h"
#include "bus/api_fields.h"

namespace waybill::bus {

// Of AuthParameters in one request, as JSON: they become a secret, and a value of AWS Secrets Manager has at most 65,536 bytes.
constexpr size_t auth_parameters_bytes = 64 << 10;

// One of HeaderParameters, QueryStringParameters or BodyParameters.
struct AuthParameter {
    std::string key;
    std::optional<Secret> value;
    std::optional<bool> is_secret;  // IsValueSecret; as it was given, because Describe shows it so
};

struct AuthHttpParameters {
    std::optional<std::vector<AuthParameter>> headers, query, body;  // a list that was not given is not shown
};

struct OAuthParameters {
    std::optional<std::string> client_id;
    std::optional<Secret> client_secret;
    std::optional<std::string> endpoint, method;  // AuthorizationEndpoint; GET, POST, PUT
    std::optional<AuthHttpParameters> http;       // OAuthHttpParameters
};

struct AuthParameters {
    struct Basic {
        std::optional<std::string> username;
        std::optional<Secret> password;
    };
    struct ApiKey {
        std::optional<std::string> name;
        std::optional<Secret> value;
    };
    std::optional<Basic> basic;
    std::optional<OAuthParameters> oauth;
    std::optional<ApiKey> api_key;
    std::optional<AuthHttpParameters> invocation;       // InvocationHttpParameters
    std::optional<std::string> resource_configuration;  // ConnectivityParameters.ResourceParameters.ResourceConfigurationArn
    // Not of the API: what the whole text says besides.
    std::string type;   // the connection's AuthorizationType
    uint64_t onto = 0;  // of an update that is to be kept: the secret that it changes; 0: none
};

// The URL of an endpoint or of an authorisation. AWS takes https alone; here http is taken too, because a bus of one's own
// reaches endpoints inside a network that speak nothing else.
std::optional<std::string> read_endpoint(Members& in, std::string_view name, Need need);

// Reads them as a request gives them. `need`: whether what CreateConnection cannot do without must be there. What breaks a rule
// is collected by the request's body.
AuthParameters read_auth_parameters(Members& in, Need need);
// Of InvocationConnectivityParameters or ConnectivityParameters: the ResourceConfigurationArn in it. It is kept and shown; there
// is no VPC here through which anything would be reached.
std::optional<std::string> read_resource_configuration(Members& in);
// Whether nothing is missing for that type: its own structure with all that authorises. What AWS says otherwise names `missing`.
bool complete(const AuthParameters& parameters, std::string_view type, std::string_view& missing);

// With all secrets in it.
std::string to_json(const AuthParameters& parameters);
// Reads what one of these two wrote. Corrupt: it is not.
Result<AuthParameters> parse_auth_parameters(std::string_view json);
// As DescribeConnection shows them: no password, key or client secret, and no value that is marked IsValueSecret.
std::string shown_json(const AuthParameters& parameters);

// What a connection has after an update: each member that the update names is replaced, lists as a whole, and what belongs to
// another AuthorizationType than the update's is dropped.
AuthParameters merged(AuthParameters old, const AuthParameters& update);

// What a courier needs of a connection for a request to one of its API destinations.
struct ConnectionCredentials {
    ConnectionAuth auth;  // of a connection with OAuth: a bearer whose token is for the caller to put in (src/bus/oauth.h)
    std::optional<OAuthParameters> oauth;
    std::vector<ConnectionParameter> headers, query, body;
};
// `stored`: what to_json() wrote. Corrupt: it is not.
Result<ConnectionCredentials> connection_credentials(const Secret& stored);

}  // namespace waybill::bus
