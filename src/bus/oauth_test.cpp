#include "bus/oauth.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <thread>

namespace waybill::bus {
namespace {

OAuthParameters client() {
    OAuthParameters p;
    p.client_id = "my id";
    p.client_secret = Secret("s&cret");
    p.endpoint = "https://auth.example.com/token";
    p.method = "POST";
    return p;
}
AuthParameter parameter(std::string key, std::string value) { return {std::move(key), Secret(std::move(value)), {}}; }

http::ClientRequest made(const OAuthParameters& parameters) {
    auto request = token_request(parameters);
    EXPECT_TRUE(request.ok()) << (request.ok() ? "" : request.error().message);
    return request.ok() ? *request : http::ClientRequest{};
}
std::string field(const http::ClientRequest& request, std::string_view name) {
    std::string all;
    for (const auto& [key, value] : request.headers)
        if (key == name) all += (all.empty() ? "" : "|") + value;
    return all;
}
Result<OAuthToken> answered(int status, std::string body) { return read_token({status, {}, std::move(body)}, 1'000'000); }

TEST(TokenRequests, SendTheClientInAForm) {
    const auto request = made(client());
    EXPECT_EQ(request.method, "POST");
    EXPECT_EQ(request.url, "https://auth.example.com/token");
    EXPECT_EQ(request.body, "grant_type=client_credentials&client_id=my%20id&client_secret=s%26cret");
    EXPECT_EQ(field(request, "Content-Type"), "application/x-www-form-urlencoded");
    EXPECT_EQ(field(request, "Accept"), "application/json");
    EXPECT_EQ(request.timeout_ms, 5000);
    auto put = client();
    put.method = "PUT";
    EXPECT_EQ(made(put).method, "PUT");
    EXPECT_EQ(made(put).body, request.body);
}

TEST(TokenRequests, WithGetAllOfItStandsInTheQuery) {
    auto p = client();
    p.method = "GET";
    p.endpoint = "http://auth.internal/token?own=1#part";
    p.http.emplace().query = std::vector{parameter("q", "a b")};
    p.http->body = std::vector{parameter("scope", "x")};
    const auto request = made(p);
    EXPECT_EQ(request.url,
              "http://auth.internal/"
              "token?own=1&q=a%20b&grant_type=client_credentials&client_id=my%20id&client_secret=s%26cret&scope=x");
    EXPECT_EQ(request.body, "");
    EXPECT_EQ(field(request, "Content-Type"), "");
}

TEST(TokenRequests, TheConnectionsOwnParametersCount) {
    auto p = client();
    p.http.emplace().body = std::vector{parameter("grant_type", "password"), parameter("audience", "https://api")};
    p.http->query = std::vector{parameter("client_id", "in-query")};
    p.http->headers = std::vector{parameter("accept", "*/*"), parameter("X-Tenant", "t"), parameter("Content-Length", "3"),
                                  parameter("HOST", "other")};
    const auto request = made(p);
    EXPECT_EQ(request.url, "https://auth.example.com/token?client_id=in-query");
    EXPECT_EQ(request.body, "client_secret=s%26cret&grant_type=password&audience=https%3A%2F%2Fapi");
    EXPECT_EQ(field(request, "Accept") + field(request, "accept"), "*/*");
    EXPECT_EQ(field(request, "X-Tenant"), "t");
    EXPECT_EQ(field(request, "Content-Length") + field(request, "HOST"), "");
    p.http->headers = std::vector{parameter("authorization", "Basic eDp5")};
    p.http->query.reset();
    EXPECT_EQ(made(p).body, "grant_type=password&audience=https%3A%2F%2Fapi") << "the client is named once";
    EXPECT_EQ(field(made(p), "authorization"), "Basic eDp5");
    p.http->headers = std::vector{parameter("X-A", "a\r\nX-B: b")};
    const auto refused = token_request(p);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().message.find("X-B"), std::string::npos);
    p = client();
    p.endpoint = "ftp://x";
    EXPECT_FALSE(token_request(p).ok());
}

TEST(Tokens, AreReadFromTheAnswer) {
    const auto token = answered(200, R"({"access_token":"t","token_type":"bearer","expires_in":3600})");
    ASSERT_TRUE(token.ok());
    EXPECT_EQ(token->text.reveal(), "t");
    EXPECT_EQ(token->renew, 1'000'000 + 3'600'000 - 60'000) << "renewed a minute before its end";
    EXPECT_EQ(answered(201, R"({"access_token":"t","expires_in":"100"})")->renew, 1'000'000 + 90'000)
        << "a short one a tenth of its time before";
    EXPECT_EQ(answered(200, R"({"access_token":"t"})")->renew, 1'000'000 + 3'600'000 - 60'000);
    EXPECT_EQ(answered(200, R"({"access_token":"t","expires_in":1e300})")->renew, 1'000'000 + 24 * 3'600'000 - 60'000);
    EXPECT_EQ(answered(200, R"({"access_token":"t","expires_in":-5})")->renew, 1'000'000);
}

TEST(Tokens, ARefusalSaysWhetherToAskAgain) {
    auto error = [](int status, std::string body) {
        const auto token = answered(status, std::move(body));
        return token.ok() ? "a token" : std::string(to_string(token.error().kind)) + ": " + token.error().message;
    };
    EXPECT_EQ(
        error(401, R"({"error":"invalid_client","error_description":"secret s&cret is wrong"})"),
        "invalid: the authorization endpoint answered HTTP 401: invalid_client; check the connection's client and endpoint");
    EXPECT_EQ(error(503, "<html>"), "unavailable: the authorization endpoint answered HTTP 503");
    EXPECT_EQ(error(429, ""), "unavailable: the authorization endpoint answered HTTP 429");
    EXPECT_EQ(error(302, ""),
              "invalid: the authorization endpoint answered HTTP 302; check the connection's client and endpoint");
    EXPECT_EQ(error(200, "access_token=t"), "invalid: the authorization endpoint answered something else than a JSON object");
    EXPECT_EQ(error(200, R"({"token":"t"})"), "invalid: the authorization endpoint's answer has no access_token");
    EXPECT_EQ(error(200, R"({"access_token":""})"), "invalid: the authorization endpoint's answer has no access_token");
    EXPECT_EQ(error(200, R"({"access_token":"a\nb"})"),
              "invalid: the authorization endpoint's access_token cannot stand in a header field");
    EXPECT_EQ(error(200, R"({"access_token":"t","token_type":"mac"})").substr(0, 54),
              "invalid: the authorization endpoint's token_type is no");
    EXPECT_FALSE(read_token({200, {}, R"({"access_token":"t"})", true}, 0).ok()) << "the answer was cut";
    EXPECT_EQ(error(400, R"({"error":"line\nbreak"})").find("line"), std::string::npos) << "no error code has a line break";
}

TEST(TokenCaches, OneAsksForATokenAndAllUseIt) {
    TokenCache cache;
    auto first = cache.ask(1, 1000);
    EXPECT_TRUE(first.fetch && !first.token);
    auto second = cache.ask(1, 1001);
    EXPECT_TRUE(!second.fetch && !second.token) << "somebody is on the way";
    EXPECT_TRUE(cache.ask(2, 1001).fetch) << "of another connection";
    cache.put(1, {Secret("t"), 5000});
    const auto found = cache.ask(1, 4999);
    ASSERT_TRUE(found.token);
    EXPECT_EQ(found.token->reveal(), "t");
    EXPECT_TRUE(cache.ask(1, 5000).fetch) << "it is to be renewed";
    EXPECT_FALSE(cache.ask(1, 5001).fetch);
    cache.failed(1);
    EXPECT_TRUE(cache.ask(1, 5002).fetch);
    EXPECT_FALSE(cache.ask(1, 5002 + token_claim_ms - 1).fetch);
    EXPECT_TRUE(cache.ask(1, 5002 + token_claim_ms).fetch) << "nobody told how it ended";
}

TEST(TokenCaches, ARefusedTokenIsNotHandedOutAgain) {
    TokenCache cache;
    EXPECT_TRUE(cache.ask(1, 0).fetch);
    cache.put(1, {Secret("old"), 5000});
    cache.refused(1, Secret("other"));
    EXPECT_TRUE(cache.ask(1, 1).token);
    cache.refused(1, Secret("old"));
    EXPECT_TRUE(cache.ask(1, 2).fetch);
    cache.put(1, {Secret("new"), 5000});
    cache.refused(1, Secret("old"));
    EXPECT_TRUE(cache.ask(1, 3).token) << "a late answer to the old one";
    cache.sweep({2});
    EXPECT_TRUE(cache.ask(1, 4).fetch);
    cache.sweep({1});
    EXPECT_FALSE(cache.ask(1, 5).fetch);
}

TEST(TokenCaches, OfManyThreadsOneAsks) {
    TokenCache cache;
    std::atomic<int> asked = 0, served = 0;
    std::latch all_asked(8);
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 8; ++i)
            threads.emplace_back([&] {
                auto found = cache.ask(1, 1000);
                all_asked.arrive_and_wait();
                if (found.fetch) {
                    ++asked;
                    cache.put(1, {Secret("t"), 5000});
                }
                while (!found.token) found = cache.ask(1, 1000);
                ++served;
            });
    }
    EXPECT_EQ(asked, 1);
    EXPECT_EQ(served, 8);
}

}  // namespace
}  // namespace waybill::bus
