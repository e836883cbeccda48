#include "server/router.h"

#include <fmt/format.h>

#include "bus/api.h"
#include "server/bus_api.h"
#include "server/console_assets.h"
#include "server/door.h"
#include "server/metrics.h"
#include "server/native_api.h"
#include "server/stream.h"
#include "wire/aws_error.h"

namespace waybill::server {
namespace {

std::string request_id(world::Random& random) {
    const uint64_t bits[2] = {random.next(), random.next()};
    std::string id = to_hex({reinterpret_cast<const char*>(bits), 16});
    for (size_t at : {8, 13, 18, 23}) id.insert(at, 1, '-');
    return id;
}

// Not the console's: an AWS client speaks to it.
bool looks_like_aws(const http::Head& head) {
    return head.header("X-Amz-Target") || head.header("smithy-protocol") || head.header_or("Authorization").starts_with("AWS4-") || head.query("X-Amz-Algorithm") ||
           (head.method() == "POST" && head.raw_path() == "/") || head.query("Action");
}

}  // namespace

Router::Router(const Context& context) : context_(context), access_(context.config) {
    for (const auto& c : context.config.security.credentials) credentials_.push_back({c.access_key_id, c.secret_access_key, {}});
}

http::Task<void> Router::handle(http::Exchange& exchange) const {
    const http::Head& head = exchange.head();
    if (auto refused = access_.check_origin(head)) co_return co_await respond(exchange, std::move(*refused));
    const std::string_view raw_path = head.raw_path();

    const bool post = head.method() == "POST", get = head.method() == "GET" || head.method() == "HEAD";
    const bool events = raw_path == "/events" && !get && !head.header("X-Amz-Target");  // GET is a page of the console
    const bool native = raw_path.starts_with("/api/v1/"), scrape = raw_path == "/metrics";
    if (events || native || scrape) {
        if (auto refused = access_.check_token(head)) co_return co_await respond(exchange, std::move(*refused));
        if (events) {
            if (!post) co_return co_await respond(exchange, method_not_allowed(head, "GET, HEAD, POST"));
            co_return co_await post_events(context_, exchange);
        }
        if ((scrape || raw_path == "/api/v1/stream") && !get) co_return co_await respond(exchange, method_not_allowed(head, "GET, HEAD"));
        if (scrape) {
            http::Response page = co_await metrics(context_, exchange);
            co_return co_await respond(exchange, std::move(page));
        }
        if (raw_path == "/api/v1/stream") co_return co_await stream(context_, exchange);
        auto answer = co_await native_api(context_, exchange, raw_path.substr(7));
        if (!answer)
            answer = http::error_response(404, "not_found", fmt::format("{} {} is not part of the API (docs/openapi.yaml)", head.method(), std::string(raw_path.substr(0, 200))));
        co_return co_await respond(exchange, std::move(*answer));
    }
    if (looks_like_aws(head)) {
        auto body = co_await exchange.read_body(limits::put_events_body);
        if (!body.ok()) co_return co_await respond(exchange, http::error_response(exchange.refusal_status(), to_string(body.error().kind), body.error().message));
        if (auto request = wire::recognise_aws_request(head, *body)) {
            http::Response answer = co_await aws(exchange, *request, *body);
            co_return co_await respond(exchange, std::move(answer));
        }
    }
    if (head.method() != "GET" && head.method() != "HEAD") {
        auto response = http::error_response(405, "invalid", fmt::format("{} {} is not served: events go to POST /events, the API is under /api/v1/", head.method(), std::string(raw_path.substr(0, 200))));
        response.headers.emplace_back("Allow", "GET, HEAD");
        co_return co_await respond(exchange, std::move(response));
    }
    co_await respond(exchange, console(head));
}

http::Task<http::Response> Router::aws(http::Exchange& exchange, const wire::AwsRequest& request, std::string_view body) const {
    const std::string id = request_id(context_.random);
    if (!credentials_.empty()) {
        const auto find = [this](std::string_view key) -> const wire::Credentials* {
            for (const auto& c : credentials_)
                if (c.access_key_id == key) return &c;
            return nullptr;
        };
        auto caller = wire::verify(exchange.head(), body, find, context_.clock.now(), keys_);
        if (auto* refusal = std::get_if<wire::SignatureRefusal>(&caller)) co_return wire::error_answer(request, wire::aws_error(*refusal, request.protocol), id);
    }
    if (request.service == "events" && request.operation == "PutEvents") co_return co_await put_events(context_, exchange, request, body, id);
    if (request.service == "events" && bus::is_bus_operation(request.operation)) co_return co_await bus_api(context_, exchange, request, body, id);
    if (request.service == "sts" && request.operation == "GetCallerIdentity")
        co_return wire::caller_identity_answer(request, request.account.empty() ? context_.config.account : request.account, id);
    co_return wire::error_answer(request, request.operation.empty() ? wire::unknown_operation(request, exchange.head().method(), exchange.head().path()) : wire::unknown_operation(request), id);
}

http::Response Router::console(const http::Head& head) const {
    const Asset* asset = find_asset(head.path());
    // The console routes by address; a file of another version of it is not to be had.
    if (!asset && !head.path().starts_with("/assets/") && !head.path().starts_with("/api/")) asset = find_asset("/");
    if (!asset) return http::error_response(404, "not_found", "no such page");
    http::Response response;
    response.headers = {{"Content-Type", std::string(asset->content_type)},
                        {"ETag", std::string(asset->etag)},
                        {"Cache-Control", asset->immutable ? "public, max-age=31536000, immutable" : "no-cache"},
                        {"Content-Security-Policy", std::string(console_content_security_policy)},
                        {"X-Content-Type-Options", "nosniff"},
                        {"Referrer-Policy", "no-referrer"},
                        {"Vary", "Accept-Encoding"}};
    if (head.header_or("If-None-Match") == asset->etag) {
        response.status = 304;
        return response;
    }
    const bool gzip = !asset->gzip.empty() && head.header_has_token("Accept-Encoding", "gzip");
    if (gzip) response.headers.emplace_back("Content-Encoding", "gzip");
    response.body = gzip ? asset->gzip : asset->body;
    return response;
}

}  // namespace waybill::server
