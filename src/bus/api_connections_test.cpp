#include <fmt/format.h>

#include "bus/auth_parameters.h"
#include "bus/secrets.h"
#include "bus/test_bus.h"
#include "world/sim_disk.h"

namespace waybill::bus {
namespace {

constexpr std::string_view basic =
    R"("AuthorizationType":"BASIC","AuthParameters":{"BasicAuthParameters":{"Username":"user","Password":"hunter2"}})";

std::string connection(std::string_view name, std::string_view rest = basic) {
    return fmt::format(R"({{"Name":"{}",{}}})", name, rest);
}
std::string named(std::string_view name) { return fmt::format(R"({{"Name":"{}"}})", name); }
std::string destination(std::string_view name, std::string_view connection_arn,
                        std::string_view endpoint = "https://example.com/api", std::string_view more = "") {
    return fmt::format(R"({{"Name":"{}","ConnectionArn":"{}","InvocationEndpoint":"{}","HttpMethod":"POST"{}}})", name,
                       connection_arn, endpoint, more);
}

// Nothing that is appended may hold it.
void expect_no_secret(const TestBus& api, std::string_view secret) {
    for (const auto& change : api.changes) EXPECT_EQ(encode(change).find(secret), std::string::npos);
}

TEST(Connections, KeepTheirSecretsBesideTheChange) {
    TestBus api;
    const std::string made = api("CreateConnection", connection("c"));
    expect_no_secret(api, "hunter2");
    const Connection* kept = api.bus.connection(api.place, "c");
    ASSERT_TRUE(kept);
    EXPECT_EQ(
        made,
        fmt::format(
            R"({{"ConnectionArn":"arn:aws:events:eu-central-1:123456789012:connection/c/{}","ConnectionState":"AUTHORIZED","CreationTime":1700000001,)"
            R"("LastModifiedTime":1700000001}})",
            kept->uuid));
    ASSERT_EQ(api.secrets.size(), 1u);
    EXPECT_EQ(api.secrets[0].first, kept->secret);
    EXPECT_NE(kept->secret, 0u);
    EXPECT_EQ(api.secrets[0].second,
              R"({"BasicAuthParameters":{"Username":"user","Password":"hunter2"},"AuthorizationType":"BASIC"})");
    const std::string shown = api("DescribeConnection", named("c"));
    EXPECT_EQ(at(shown, "/AuthParameters"), R"({"BasicAuthParameters":{"Username":"user"}})");
    EXPECT_EQ(at(shown, "/AuthorizationType"), "BASIC");
    EXPECT_EQ(at(shown, "/ConnectionState"), "AUTHORIZED");
    EXPECT_EQ(at(shown, "/LastAuthorizedTime"), "1700000001");
    const std::string arn = at(shown, "/SecretArn"),
                      begin = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:events!connection/c/";
    EXPECT_TRUE(arn.starts_with(begin) && arn.size() == begin.size() + 36 + 1 + 6) << arn;
    EXPECT_EQ(shown.find("hunter2"), std::string::npos);
}

TEST(Connections, ShowAllThatIsNotSecret) {
    TestBus api;
    api("CreateConnection",
        connection(
            "c",
            R"("Description":"d","KmsKeyIdentifier":"alias/k","AuthorizationType":"OAUTH_CLIENT_CREDENTIALS","AuthParameters":{"OAuthParameters":{)"
            R"("ClientParameters":{"ClientID":"id","ClientSecret":"s1"},"AuthorizationEndpoint":"https://example.com/oauth","HttpMethod":"POST",)"
            R"("OAuthHttpParameters":{"BodyParameters":[{"Key":"grant_type","Value":"client_credentials"}]}},)"
            R"("InvocationHttpParameters":{"HeaderParameters":[{"Key":"A","Value":"open","IsValueSecret":false},{"Key":"B","Value":"s2","IsValueSecret":true}],)"
            R"("QueryStringParameters":[]},"ApiKeyAuthParameters":{"ApiKeyName":"n","ApiKeyValue":"s3"}})"));
    for (const auto* secret : {"s1", "s2", "s3"}) expect_no_secret(api, secret);
    const std::string shown = api("DescribeConnection", named("c"));
    EXPECT_EQ(
        at(shown, "/AuthParameters"),
        R"({"OAuthParameters":{"ClientParameters":{"ClientID":"id"},"AuthorizationEndpoint":"https://example.com/oauth","HttpMethod":"POST",)"
        R"("OAuthHttpParameters":{"BodyParameters":[{"Key":"grant_type","Value":"client_credentials","IsValueSecret":false}]}},)"
        R"("InvocationHttpParameters":{"HeaderParameters":[{"Key":"A","Value":"open","IsValueSecret":false},{"Key":"B","IsValueSecret":true}],"QueryStringParameters":[]}})")
        << "without what belongs to another authorization type";
    EXPECT_EQ(at(shown, "/Description") + at(shown, "/KmsKeyIdentifier"), "dalias/k");
}

TEST(Connections, AnUpdateChangesWhatItNames) {
    TestBus api;
    world::SimDisk disk(1);
    Secrets store(disk, "secrets");
    auto keep = [&] {
        for (const auto& [id, json] : api.secrets) ASSERT_TRUE(store.keep(id, json).ok());
    };
    auto whole = [&] { return store.read(api.bus.connection(api.place, "c")->secret)->reveal(); };
    api("CreateConnection",
        connection(
            "c",
            R"("AuthorizationType":"BASIC","AuthParameters":{"BasicAuthParameters":{"Username":"user","Password":"hunter2"},)"
            R"("InvocationHttpParameters":{"HeaderParameters":[{"Key":"A","Value":"1","IsValueSecret":true}]}})"));
    keep();
    const Connection before = *api.bus.connection(api.place, "c");
    const std::string secret_arn = at(api("DescribeConnection", named("c")), "/SecretArn");

    api("UpdateConnection", R"({"Name":"c","Description":"d"})");
    EXPECT_TRUE(api.secrets.empty());
    EXPECT_EQ(api.bus.connection(api.place, "c")->secret, before.secret) << "its tokens stay good";

    const std::string updated =
        api("UpdateConnection", R"({"Name":"c","AuthParameters":{"BasicAuthParameters":{"Username":"new"}}})");
    expect_no_secret(api, "hunter2");
    keep();
    EXPECT_EQ(at(updated, "/ConnectionState"), "AUTHORIZED");
    EXPECT_EQ(at(updated, "/CreationTime"), "1700000001");
    EXPECT_EQ(at(updated, "/LastModifiedTime"), "1700000004");
    EXPECT_EQ(at(updated, "/LastAuthorizedTime"), "1700000004");
    EXPECT_NE(api.bus.connection(api.place, "c")->secret, before.secret) << "a token of the old secret is not used";
    EXPECT_EQ(whole(),
              R"({"BasicAuthParameters":{"Username":"new","Password":"hunter2"},"InvocationHttpParameters":{"HeaderParameters":)"
              R"([{"Key":"A","Value":"1","IsValueSecret":true}]},"AuthorizationType":"BASIC"})");
    std::string shown = api("DescribeConnection", named("c"));
    EXPECT_EQ(
        at(shown, "/AuthParameters"),
        R"({"BasicAuthParameters":{"Username":"new"},"InvocationHttpParameters":{"HeaderParameters":[{"Key":"A","IsValueSecret":true}]}})");
    EXPECT_EQ(at(shown, "/SecretArn"), secret_arn);
    EXPECT_EQ(at(shown, "/Description"), "d");

    EXPECT_EQ(api("UpdateConnection",
                  R"({"Name":"c","AuthorizationType":"API_KEY","AuthParameters":{"ApiKeyAuthParameters":{"ApiKeyName":"k"}}})"),
              "ValidationException: Parameter AuthParameters is not valid. Reason: ApiKeyAuthParameters with all its members is "
              "required for the authorization "
              "type API_KEY.");
    EXPECT_EQ(api("UpdateConnection", R"({"Name":"c","AuthorizationType":"API_KEY"})").substr(0, 19), "ValidationException");
    api("UpdateConnection",
        R"({"Name":"c","AuthorizationType":"API_KEY","AuthParameters":{"ApiKeyAuthParameters":{"ApiKeyName":"k","ApiKeyValue":"v"}}})");
    keep();
    EXPECT_EQ(whole(),
              R"({"ApiKeyAuthParameters":{"ApiKeyName":"k","ApiKeyValue":"v"},"InvocationHttpParameters":{"HeaderParameters":)"
              R"([{"Key":"A","Value":"1","IsValueSecret":true}]},"AuthorizationType":"API_KEY"})");
}

TEST(Connections, ADeauthorizedOneHasNoSecretUntilItIsGivenOne) {
    TestBus api;
    const std::string arn = at(api("CreateConnection", connection("c")), "/ConnectionArn");
    api("CreateApiDestination", destination("d", arn));
    EXPECT_EQ(at(api("DeauthorizeConnection", named("c")), "/ConnectionState"), "DEAUTHORIZING");
    EXPECT_EQ(api.bus.connection(api.place, "c")->secret, 0u);
    const std::string shown = api("DescribeConnection", named("c"));
    EXPECT_EQ(at(shown, "/ConnectionState"), "DEAUTHORIZED");
    EXPECT_EQ(at(shown, "/AuthParameters") + at(shown, "/SecretArn"), "");
    EXPECT_EQ(at(api("DescribeApiDestination", named("d")), "/ApiDestinationState"), "INACTIVE");
    EXPECT_EQ(at(api("UpdateConnection", R"({"Name":"c","Description":"d"})"), "/ConnectionState"), "DEAUTHORIZED");
    EXPECT_EQ(
        api("UpdateConnection", R"({"Name":"c","AuthParameters":{"BasicAuthParameters":{"Username":"new"}}})").substr(0, 19),
        "ValidationException");
    EXPECT_EQ(at(api("UpdateConnection", connection("c")), "/ConnectionState"), "AUTHORIZED");
    ASSERT_EQ(api.secrets.size(), 1u);
    EXPECT_EQ(api.secrets[0].second.find("Onto"), std::string::npos);
    EXPECT_EQ(at(api("DescribeApiDestination", named("d")), "/ApiDestinationState"), "ACTIVE");
}

TEST(Connections, AreDeletedThoughDestinationsUseThem) {
    TestBus api;
    const std::string arn = at(api("CreateConnection", connection("c")), "/ConnectionArn");
    api("CreateApiDestination", destination("d", arn));
    const std::string deleted = api("DeleteConnection", named("c"));
    EXPECT_EQ(at(deleted, "/ConnectionState"), "DELETING");
    EXPECT_EQ(at(deleted, "/ConnectionArn"), arn);
    EXPECT_EQ(api("DescribeConnection", named("c")),
              "ResourceNotFoundException: Failed to describe the connection(s). Connection 'c' does not exist.");
    EXPECT_EQ(at(api("DescribeApiDestination", named("d")), "/ApiDestinationState"), "INACTIVE");
    api("CreateConnection", connection("c"));
    EXPECT_EQ(at(api("DescribeApiDestination", named("d")), "/ApiDestinationState"), "INACTIVE")
        << "another one of the same name";
}

TEST(Connections, AreRefusedInAwssWords) {
    TestBus api;
    EXPECT_EQ(
        api("CreateConnection", connection("Invalid Name With Spaces!")),
        R"(ValidationException: 1 validation error detected: Value 'Invalid Name With Spaces!' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: [\.\-_A-Za-z0-9]+)");
    EXPECT_EQ(api("CreateConnection", connection("c", R"("AuthorizationType":"INVALID_AUTH_TYPE","AuthParameters":{})")),
              "ValidationException: 1 validation error detected: Value 'INVALID_AUTH_TYPE' at 'authorizationType' failed to "
              "satisfy constraint: Member must "
              "satisfy enum value set: [BASIC, OAUTH_CLIENT_CREDENTIALS, API_KEY]");
    EXPECT_EQ(api("CreateConnection",
                  connection("c", R"("AuthorizationType":"BASIC","AuthParameters":{"BasicAuthParameters":{"Username":"u"}})")),
              "ValidationException: 1 validation error detected: Value null at 'authParameters.basicAuthParameters.password' "
              "failed to satisfy constraint: "
              "Member must not be null");
    EXPECT_EQ(
        api("CreateConnection",
            connection(
                "c",
                R"("AuthorizationType":"API_KEY","AuthParameters":{"BasicAuthParameters":{"Username":"u","Password":"p"}})")),
        "ValidationException: Parameter AuthParameters is not valid. Reason: ApiKeyAuthParameters with all its members is "
        "required for the authorization "
        "type API_KEY.");
    const std::string refused = api(
        "CreateConnection",
        connection(
            "c", R"("AuthorizationType":"BASIC","AuthParameters":{"BasicAuthParameters":{"Username":"u","Password":"hunter:2"},)"
                 R"("InvocationHttpParameters":{"HeaderParameters":[{"Key":"A B","Value":"tö-secret"}]}})"));
    EXPECT_NE(refused.find("Value at 'authParameters.basicAuthParameters.password' failed"), std::string::npos) << refused;
    EXPECT_NE(refused.find("'A B' at 'authParameters.invocationHttpParameters.headerParameters.1.member.key'"), std::string::npos)
        << refused;
    EXPECT_EQ(refused.find("hunter"), std::string::npos);
    EXPECT_EQ(refused.find("-secret"), std::string::npos);
    EXPECT_EQ(
        api("CreateConnection",
            connection(
                "c",
                fmt::format(
                    R"("AuthorizationType":"BASIC","AuthParameters":{{"BasicAuthParameters":{{"Username":"u","Password":"p"}},)"
                    R"("InvocationHttpParameters":{{"BodyParameters":[{{"Key":"k","Value":"{}"}}]}}}})",
                    std::string(auth_parameters_bytes, 'x')))),
        "ValidationException: Parameter AuthParameters is not valid. Reason: it must have at most 65536 bytes.");
    for (const std::string operation : {"DescribeConnection", "UpdateConnection", "DeleteConnection", "DeauthorizeConnection"})
        EXPECT_EQ(api(operation, named("c")),
                  "ResourceNotFoundException: Failed to describe the connection(s). Connection 'c' does not exist.");
    api("CreateConnection", connection("c"));
    EXPECT_EQ(api("CreateConnection", connection("c")), "ResourceAlreadyExistsException: Connection c already exists.");
    api.limits.connections = 1;
    EXPECT_EQ(api("CreateConnection", connection("d")),
              "LimitExceededException: The requested resource exceeds the maximum number allowed.");
}

TEST(Connections, AreListed) {
    TestBus api;
    for (const auto* name : {"b2", "a1", "b1"}) api("CreateConnection", connection(name));
    api("DeauthorizeConnection", named("b1"));
    const std::string first = api("ListConnections", R"({"NamePrefix":"b","Limit":1})");
    EXPECT_EQ(at(first, "/Connections/0/Name") + at(first, "/Connections/1/Name"), "b1");
    EXPECT_EQ(at(first, "/Connections/0/AuthorizationType"), "BASIC");
    const std::string rest =
        api("ListConnections", fmt::format(R"({{"NamePrefix":"b","NextToken":"{}"}})", at(first, "/NextToken")));
    EXPECT_EQ(at(rest, "/Connections/0/Name") + at(rest, "/NextToken"), "b2");
    EXPECT_EQ(at(api("ListConnections", R"({"ConnectionState":"DEAUTHORIZED"})"), "/Connections/0/Name"), "b1");
    EXPECT_EQ(api("ListConnections", R"({"ConnectionState":"CREATING"})"), R"({"Connections":[]})");
}

TEST(ApiDestinations, AreMadeShownChangedAndDeleted) {
    TestBus api;
    const std::string arn = at(api("CreateConnection", connection("c")), "/ConnectionArn");
    const std::string other = at(api("CreateConnection", connection("c2")), "/ConnectionArn");
    const std::string made = api("CreateApiDestination", destination("d", arn, "https://example.com/api/*?x=1",
                                                                     R"(,"Description":"Test API destination")"));
    EXPECT_EQ(at(made, "/ApiDestinationState") + at(made, "/CreationTime") + at(made, "/LastModifiedTime"),
              "ACTIVE17000000031700000003");
    const std::string shown = api("DescribeApiDestination", named("d"));
    EXPECT_EQ(
        shown,
        fmt::format(
            R"({{"ApiDestinationArn":"{}","Name":"d","ApiDestinationState":"ACTIVE","ConnectionArn":"{}","InvocationEndpoint":"https://example.com/api/*?x=1",)"
            R"("HttpMethod":"POST","InvocationRateLimitPerSecond":300,"CreationTime":1700000003,"LastModifiedTime":1700000003,"Description":"Test API destination"}})",
            at(made, "/ApiDestinationArn"), arn));
    EXPECT_TRUE(at(made, "/ApiDestinationArn").starts_with("arn:aws:events:eu-central-1:123456789012:api-destination/d/"));
    const std::string updated =
        api("UpdateApiDestination", R"({"Name":"d","HttpMethod":"PUT","InvocationRateLimitPerSecond":5})");
    EXPECT_EQ(at(updated, "/ApiDestinationArn"), at(made, "/ApiDestinationArn"));
    const Destination* kept = api.bus.destination(api.place, "d");
    ASSERT_TRUE(kept);
    EXPECT_EQ(kept->method, "PUT");
    EXPECT_EQ(kept->rate_per_second, 5);
    EXPECT_EQ(kept->endpoint, "https://example.com/api/*?x=1");
    EXPECT_EQ(kept->description, "Test API destination");
    EXPECT_EQ(kept->connection_arn, arn);
    api("CreateApiDestination", destination("e", other));
    const std::string of_other = api("ListApiDestinations", fmt::format(R"({{"ConnectionArn":"{}"}})", other));
    EXPECT_EQ(at(of_other, "/ApiDestinations/0/Name") + at(of_other, "/ApiDestinations/1/Name"), "e");
    EXPECT_EQ(at(api("ListApiDestinations", R"({"NamePrefix":"d"})"), "/ApiDestinations/0/HttpMethod"), "PUT");
    const std::string page = api("ListApiDestinations", R"({"Limit":1})");
    EXPECT_EQ(at(page, "/ApiDestinations/0/Name"), "d");
    EXPECT_EQ(
        at(api("ListApiDestinations", fmt::format(R"({{"NextToken":"{}"}})", at(page, "/NextToken"))), "/ApiDestinations/0/Name"),
        "e");
    EXPECT_EQ(api("DeleteApiDestination", named("d")), "{}");
    for (const std::string operation : {"DescribeApiDestination", "UpdateApiDestination", "DeleteApiDestination"})
        EXPECT_EQ(api(operation, named("d")),
                  "ResourceNotFoundException: Failed to describe the api-destination(s). An api-destination 'd' does not exist.");
}

TEST(ApiDestinations, AreRefusedInAwssWords) {
    TestBus api;
    EXPECT_EQ(
        api("CreateApiDestination",
            R"({"Name":"d","ConnectionArn":"invalid-connection-arn","InvocationEndpoint":"https://example.com","HttpMethod":"INVALID_METHOD"})"),
        R"(ValidationException: 2 validation errors detected: Value 'invalid-connection-arn' at 'connectionArn' failed to satisfy constraint: Member must satisfy regular expression pattern: )"
        R"(^arn:aws([a-z]|\-)*:events:([a-z]|\d|\-)*:([0-9]{12})?:connection\/[\.\-_A-Za-z0-9]+\/[\-A-Za-z0-9]+$; Value 'INVALID_METHOD' at 'httpMethod' failed to satisfy constraint: )"
        R"(Member must satisfy enum value set: [HEAD, POST, PATCH, DELETE, PUT, GET, OPTIONS])");
    const std::string gone = "arn:aws:events:eu-central-1:123456789012:connection/c/00000000-0000-4000-8000-000000000000";
    EXPECT_EQ(api("CreateApiDestination", destination("d", gone)),
              "ResourceNotFoundException: Connection '" + gone + "' does not exist.");
    const std::string arn = at(api("CreateConnection", connection("c")), "/ConnectionArn");
    EXPECT_EQ(api("CreateApiDestination", destination("d", gone)).substr(0, 25), "ResourceNotFoundException")
        << "its name is there, with another id";
    for (const auto* endpoint : {"ftp://example.com", "https://", "https:///path", "http:example.com", "example.com",
                                 "https://exa mple.com", "https://e/%zz", "https://e/<a>", ""})
        EXPECT_EQ(api("CreateApiDestination", destination("d", arn, endpoint)).substr(0, 19), "ValidationException") << endpoint;
    EXPECT_EQ(
        api("CreateApiDestination", destination("d", arn, "https://e", R"(,"InvocationRateLimitPerSecond":0)")).substr(0, 19),
        "ValidationException");
    EXPECT_EQ(at(api("CreateApiDestination", destination("d", arn, "http://inside:8080/hook")), "/ApiDestinationState"), "ACTIVE")
        << "inside a network";
    EXPECT_EQ(api("CreateApiDestination", destination("d", arn)),
              "ResourceAlreadyExistsException: An api-destination 'd' already exists.");
    EXPECT_EQ(api("UpdateApiDestination", fmt::format(R"({{"Name":"d","ConnectionArn":"{}"}})", gone)).substr(0, 25),
              "ResourceNotFoundException");
    api.limits.destinations = 1;
    EXPECT_EQ(api("CreateApiDestination", destination("e", arn)).substr(0, 22), "LimitExceededException");
}

TEST(ApiDestinations, OfOneNameInTwoPlacesAreTwo) {
    TestBus api;
    const std::string arn = at(api("CreateConnection", connection("c")), "/ConnectionArn");
    api("CreateApiDestination", destination("d", arn));
    api.place.region = "us-east-1";
    EXPECT_EQ(api("DescribeApiDestination", named("d")).substr(0, 25), "ResourceNotFoundException");
    EXPECT_EQ(api("DescribeConnection", named("c")).substr(0, 25), "ResourceNotFoundException");
    EXPECT_EQ(api("CreateApiDestination", destination("d", arn)).substr(0, 25), "ResourceNotFoundException")
        << "a connection of another region";
}

}  // namespace
}  // namespace waybill::bus
