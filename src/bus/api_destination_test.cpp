#include "bus/api_destination.h"

#include <gtest/gtest.h>

namespace waybill::bus {
namespace {

const std::string event = R"({"id":"e-1","detail":{"state":"FA ILED/x","n":1.0,"text":"a\nb","list":["p","q"]}})";

http::ClientRequest made(const ApiDestination& destination, const HttpParameters& parameters = {},
                         std::string_view payload = R"({"a":1.0})") {
    auto request = api_destination_request(destination, parameters, payload, event);
    EXPECT_TRUE(request.ok()) << (request.ok() ? "" : request.error().message);
    return request.ok() ? *request : http::ClientRequest{};
}
std::string field(const http::ClientRequest& request, std::string_view name) {
    std::string all;
    for (const auto& [key, value] : request.headers)
        if (key == name) all += (all.empty() ? "" : "|") + value;
    return all;
}

TEST(ApiDestinations, CarryEventBridgesHeaders) {
    const auto request = made({.endpoint = "https://example.com/hook"});
    EXPECT_EQ(request.method, "POST");
    EXPECT_EQ(request.url, "https://example.com/hook");
    EXPECT_EQ(request.body, R"({"a":1.0})");
    EXPECT_EQ(request.timeout_ms, 5000);
    EXPECT_EQ(request.headers,
              (std::vector<std::pair<std::string, std::string>>{{"User-Agent", "Amazon/EventBridge/ApiDestinations"},
                                                                {"Content-Type", "application/json; charset=utf-8"},
                                                                {"Range", "bytes=0-1048575"},
                                                                {"Accept-Encoding", "gzip,deflate"},
                                                                {"Connection", "close"}}));
}

TEST(ApiDestinations, EachStarIsAPathParameter) {
    const ApiDestination destination{.endpoint = "https://example.com/a/*/b/*?x=*"};
    EXPECT_EQ(made(destination, {.path_values = {"one/two", "$.detail.state"}}).url,
              "https://example.com/a/one%2Ftwo/b/FA%20ILED%2Fx?x=*");
    EXPECT_EQ(made(destination, {.path_values = {"$.detail.n"}}).url, "https://example.com/a/1.0/b/?x=*");
    EXPECT_EQ(made(destination, {.path_values = {"$.detail.none", "$", "more"}}).url.substr(0, 24), "https://example.com/a//b");
    EXPECT_EQ(made(destination, {.path_values = {"$.detail.list[*]", "$5 off"}}).url,
              "https://example.com/a/%5B%22p%22%2C%22q%22%5D/b/%245%20off?x=*");
}

TEST(ApiDestinations, QueriesAreJoined) {
    ApiDestination destination{.endpoint = "https://example.com"};
    EXPECT_EQ(made(destination, {.query = {{"q", "a&b"}, {"s", "$.detail.n"}}}).url, "https://example.com/?q=a%26b&s=1.0");
    destination.endpoint = "https://example.com/p?own=1#part";
    destination.query = {{"q", Secret("connection")}};
    EXPECT_EQ(made(destination, {.query = {{"q", "target"}, {"r", "2"}}}).url, "https://example.com/p?own=1&r=2&q=connection");
    destination.endpoint = "https://example.com/p?";
    EXPECT_EQ(made(destination, {.query = {{"r", "2"}}}).url, "https://example.com/p?r=2&q=connection");
}

TEST(ApiDestinations, TheConnectionCountsBeforeTheTargetBeforeTheDefault) {
    ApiDestination destination{.endpoint = "https://example.com/"};
    const HttpParameters parameters{
        .headers = {
            {"content-type", "application/cloudevents+json"}, {"X-A", "target"}, {"X-B", "$.id"}, {"Authorization", "mine"}}};
    destination.auth = {ConnectionAuth::Kind::basic, "user", Secret("pass")};
    destination.headers = {{"x-a", Secret("connection")}};
    const auto request = made(destination, parameters);
    EXPECT_EQ(field(request, "Content-Type"), "application/cloudevents+json");
    EXPECT_EQ(field(request, "X-A"), "connection");
    EXPECT_EQ(field(request, "X-B"), "e-1");
    EXPECT_EQ(field(request, "Authorization"), "Basic dXNlcjpwYXNz");
    destination.auth = {ConnectionAuth::Kind::api_key, "X-Api-Key", Secret("k")};
    EXPECT_EQ(field(made(destination), "X-Api-Key"), "k");
    destination.auth = {ConnectionAuth::Kind::bearer, "", Secret("t")};
    EXPECT_EQ(field(made(destination), "Authorization"), "Bearer t");
}

TEST(ApiDestinations, TransportFieldsCannotBeSet) {
    ApiDestination destination{.endpoint = "https://example.com/"};
    destination.headers = {{"HOST", Secret("other")}, {"content-length", Secret("1")}};
    const auto request = made(destination, {.headers = {{"user-agent", "x"}, {"Range", "x"}, {"Transfer-Encoding", "chunked"}}});
    EXPECT_EQ(request.headers.size(), 5u);
    EXPECT_EQ(field(request, "User-Agent"), "Amazon/EventBridge/ApiDestinations");
}

TEST(ApiDestinations, NothingIsSmuggledIntoAHeader) {
    const ApiDestination destination{.endpoint = "https://example.com/"};
    for (const auto& [name, value] : std::vector<std::pair<std::string, std::string>>{
             {"X-A", "$.detail.text"}, {"X-A", "a\r\nX-B: c"}, {"X A", "v"}, {"X-A:", "v"}, {"", "v"}, {"X\n", "v"}}) {
        auto request = api_destination_request(destination, {.headers = {{name, value}}}, "{}", event);
        ASSERT_FALSE(request.ok()) << name;
        EXPECT_EQ(request.error().message.find('\n'), std::string::npos);
    }
    ApiDestination secret{.endpoint = "https://example.com/", .auth = {ConnectionAuth::Kind::api_key, "X-Key", Secret("hush\n")}};
    auto refused = api_destination_request(secret, {}, "{}", event);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().message.find("hush"), std::string::npos);
}

TEST(ApiDestinations, BodiesTakeTheConnectionsParameters) {
    ApiDestination destination{.endpoint = "https://example.com/"};
    destination.body = {{"token", Secret("s\"3")}, {"a", Secret("mine")}};
    EXPECT_EQ(made(destination, {}, R"({"a":1,"n":1.0,"b":{"a":2}})").body, R"({"n":1.0,"b":{"a":2},"token":"s\"3","a":"mine"})");
    EXPECT_EQ(made(destination, {}, R"("text")").body, R"("text")");
    for (std::string method : {"GET", "HEAD", "OPTIONS"}) {
        destination.method = method;
        EXPECT_EQ(made(destination).body, "") << method;
    }
}

TEST(ApiDestinations, OnlyHttp) {
    for (std::string endpoint : {"", "ftp://example.com/", "https://", "https:///x", "example.com"})
        EXPECT_FALSE(api_destination_request({.endpoint = endpoint}, {}, "{}", event).ok()) << endpoint;
}

TEST(ApiDestinations, Answers) {
    using Verdict = TargetAnswer::Verdict;
    auto answer = [](int status, std::string retry_after = {}) {
        http::ClientResponse r;
        r.status = status;
        if (!retry_after.empty()) r.headers = {{"retry-after", retry_after}};
        return read_destination_answer(r, 0);
    };
    for (int status : {200, 201, 204, 299}) EXPECT_EQ(answer(status).verdict, Verdict::delivered) << status;
    for (int status : {401, 407, 409, 429, 500, 502, 503, 504, 599}) EXPECT_EQ(answer(status).verdict, Verdict::again) << status;
    for (int status : {301, 302, 304, 400, 402, 403, 404, 408, 410, 422})
        EXPECT_EQ(answer(status).verdict, Verdict::never) << status;
    EXPECT_EQ(answer(404).error_code, "SDK_CLIENT_ERROR");
    EXPECT_TRUE(answer(404).error_message.starts_with("Unable to invoke ApiDestination endpoint: "));
    EXPECT_EQ(answer(429).error_code, "THROTTLING");
    EXPECT_EQ(answer(429, "30").retry_after_ms, 30'000);
    EXPECT_EQ(answer(503, "-1").verdict, Verdict::never);
    EXPECT_EQ(answer(404, "30").retry_after_ms, 0);
    using Kind = http::ClientFailure::Kind;
    EXPECT_EQ(read_destination_failure({Kind::connect, "x"}).error_message,
              "Unable to invoke ApiDestination endpoint: API destination endpoint cannot be reached.");
    EXPECT_EQ(read_destination_failure({Kind::timeout, "x"}).error_code, "TIMEOUT");
    EXPECT_EQ(read_destination_failure({Kind::timeout, "x"}).verdict, Verdict::again);
    EXPECT_EQ(read_destination_failure({Kind::refused_address, "x"}).verdict, Verdict::never);
    EXPECT_EQ(read_destination_failure({Kind::stopped, "x"}).error_code, "INTERNAL_ERROR");
}

}  // namespace
}  // namespace waybill::bus
