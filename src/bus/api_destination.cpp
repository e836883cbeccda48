#include "bus/api_destination.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "base/json_writer.h"
#include "bus/json_path.h"
#include "http/head.h"

namespace waybill::bus {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
bool same_field(std::string_view a, std::string_view b) { return std::ranges::equal(a, b, {}, lower, lower); }

// EventBridge User Guide, "API destinations": what is removed from a request, and what EventBridge sets.
bool reserved_field(std::string_view name) {
    static constexpr std::array<std::string_view, 42> names{"A-IM",
                                                            "Accept-Charset",
                                                            "Accept-Datetime",
                                                            "Accept-Encoding",
                                                            "Cache-Control",
                                                            "Connection",
                                                            "Content-Encoding",
                                                            "Content-Length",
                                                            "Content-MD5",
                                                            "Date",
                                                            "Expect",
                                                            "Forwarded",
                                                            "From",
                                                            "Host",
                                                            "HTTP2-Settings",
                                                            "If-Match",
                                                            "If-Modified-Since",
                                                            "If-None-Match",
                                                            "If-Range",
                                                            "If-Unmodified-Since",
                                                            "Keep-Alive",
                                                            "Max-Forwards",
                                                            "Origin",
                                                            "Pragma",
                                                            "Proxy-Authenticate",
                                                            "Proxy-Authorization",
                                                            "Proxy-Connection",
                                                            "Range",
                                                            "Referer",
                                                            "TE",
                                                            "Trailer",
                                                            "Transfer-Encoding",
                                                            "Upgrade",
                                                            "User-Agent",
                                                            "Via",
                                                            "Warning",
                                                            "WWW-Authenticate",
                                                            "X-Forwarded-For",
                                                            "X-Forwarded-Host",
                                                            "X-Forwarded-Proto",
                                                            "X-Amzn-Trace-Id",
                                                            "Allow"};
    return std::ranges::any_of(names, [name](std::string_view reserved) { return same_field(reserved, name); });
}

constexpr size_t max_value_bytes = 4096;  // of the array that a wildcard makes; nothing longer belongs into a URL or header

// A value of the target's parameters: itself, or what its path finds in the event; a text without its quotes.
std::string value_of(std::string_view text, std::string_view event_json) {
    if (!text.starts_with('$')) return std::string(text);
    const auto path = JsonPath::parse(text);
    if (!path) return std::string(text);
    std::vector<JsonMatch> found;
    if (!JsonPathSet({*path}).find(event_json, max_value_bytes, found) || !found[0].found) return {};
    const std::string_view json = found[0].json();
    return json.size() >= 2 && json.front() == '"' ? decode_json_string(json) : std::string(json);
}

bool visible(std::string_view text) {
    return std::ranges::none_of(text, [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; });
}

void set_field(std::vector<std::pair<std::string, std::string>>& fields, std::string_view name, std::string value) {
    for (auto& [known, old] : fields)
        if (same_field(known, name)) {
            old = std::move(value);
            return;
        }
    fields.emplace_back(name, std::move(value));
}

// The connection's body parameters are members of the payload, and count before its own.
std::string with_body(std::string_view payload, const std::vector<ConnectionParameter>& parameters) {
    const auto members = parameters.empty() ? std::nullopt : json_members(payload);
    if (!members) return std::string(payload);
    std::string out;
    JsonWriter w(out);
    w.begin_object();
    for (const auto& [name, value] : *members)
        if (std::ranges::find(parameters, name, &ConnectionParameter::name) == parameters.end()) w.key(name).raw(value);
    for (const auto& p : parameters) w.key(p.name).text(p.value.reveal());
    w.end_object();
    return out;
}

}  // namespace

Result<http::ClientRequest> api_destination_request(const ApiDestination& destination, const HttpParameters& parameters,
                                                    std::string_view payload, std::string_view event_json) {
    const std::string_view endpoint = destination.endpoint;
    const size_t host = endpoint.starts_with("https://") ? 8 : endpoint.starts_with("http://") ? 7 : 0;
    if (host == 0 || host == endpoint.size() || endpoint[host] == '/')
        return invalid("the endpoint of an API destination must be an http or https URL");
    const size_t path = std::min(endpoint.find_first_of("/?#", host), endpoint.size());
    const size_t path_end = std::min(endpoint.find_first_of("?#", path), endpoint.size());
    http::ClientRequest request;
    request.method = destination.method;
    request.timeout_ms = api_destination_timeout_ms;
    request.url = endpoint.substr(0, path);
    size_t star = 0;
    for (const char c : endpoint.substr(path, path_end - path)) {
        if (c != '*') {
            request.url.push_back(c);
            continue;
        }
        // A * too many stands for nothing.
        if (star < parameters.path_values.size())
            request.url += http::percent_encode(value_of(parameters.path_values[star], event_json), false);
        ++star;
    }
    // The endpoint's own query, then the target's, then the connection's, which replaces the target's of that name.
    std::vector<std::pair<std::string, std::string>> query;
    for (const auto& [name, value] : parameters.query)
        if (std::ranges::find(destination.query, name, &ConnectionParameter::name) == destination.query.end())
            query.emplace_back(name, value_of(value, event_json));
    for (const auto& p : destination.query) query.emplace_back(p.name, p.value.reveal());
    std::string text(endpoint.substr(path_end, std::min(endpoint.find('#', path_end), endpoint.size()) - path_end));
    for (const auto& [name, value] : query) {
        if (text.empty() || text.back() != '?') text.push_back(text.empty() ? '?' : '&');
        text += http::percent_encode(name, false) + "=" + http::percent_encode(value, false);
    }
    if (path == path_end && !text.empty()) request.url.push_back('/');
    request.url += text;

    auto& fields = request.headers;
    fields = {{"User-Agent", "Amazon/EventBridge/ApiDestinations"},
              {"Content-Type", "application/json; charset=utf-8"},
              {"Range", "bytes=0-1048575"},
              {"Accept-Encoding", "gzip,deflate"},
              {"Connection", "close"}};
    for (const auto& [name, value] : parameters.headers)
        if (!reserved_field(name)) set_field(fields, name, value_of(value, event_json));
    switch (destination.auth.kind) {
        case ConnectionAuth::Kind::none: break;
        case ConnectionAuth::Kind::basic:
            set_field(fields, "Authorization",
                      "Basic " + to_base64(destination.auth.name + ":" + destination.auth.value.reveal()));
            break;
        case ConnectionAuth::Kind::api_key: set_field(fields, destination.auth.name, destination.auth.value.reveal()); break;
        case ConnectionAuth::Kind::bearer: set_field(fields, "Authorization", "Bearer " + destination.auth.value.reveal()); break;
    }
    for (const auto& p : destination.headers)
        if (!reserved_field(p.name)) set_field(fields, p.name, p.value.reveal());
    for (const auto& [name, value] : fields)
        if (name.empty() || !visible(name) || name.find_first_of(": \t") != name.npos || !visible(value))
            return invalid(
                fmt::format("the header field {} would hold a control character", visible(name) ? name : "of a parameter"));
    if (const std::string_view method = destination.method; method != "GET" && method != "HEAD" && method != "OPTIONS")
        request.body = with_body(payload, destination.body);
    return request;
}

TargetAnswer read_destination_answer(const http::ClientResponse& response, TimeMs now) {
    using Verdict = TargetAnswer::Verdict;
    const int status = response.status;
    if (status >= 200 && status < 300) return {};
    TargetAnswer answer{
        Verdict::never, "SDK_CLIENT_ERROR",
        fmt::format("Unable to invoke ApiDestination endpoint: API destination endpoint responded with HTTP status {}", status),
        0};
    if (status == 429) answer.error_code = "THROTTLING";
    if (status != 401 && status != 407 && status != 409 && status != 429 && status < 500) return answer;
    const auto wait = retry_after_ms(response.header("Retry-After"), now);
    if (wait && *wait < 0) return answer;
    answer.verdict = Verdict::again;
    answer.retry_after_ms = wait.value_or(0);
    return answer;
}

TargetAnswer read_destination_failure(const http::ClientFailure& failure) {
    using Kind = http::ClientFailure::Kind;
    TargetAnswer answer = read_failure(failure);
    if (failure.kind == Kind::overloaded || failure.kind == Kind::stopped) return answer;
    answer.error_code = failure.kind == Kind::timeout ? "TIMEOUT" : "SDK_CLIENT_ERROR";
    if (failure.kind == Kind::timeout)
        answer.error_message = "Unable to invoke ApiDestination endpoint: Timeout calling endpoint for API Destination.";
    else if (failure.kind == Kind::connect)
        answer.error_message = "Unable to invoke ApiDestination endpoint: API destination endpoint cannot be reached.";
    else
        answer.error_message.insert(0, "Unable to invoke ApiDestination endpoint: ");
    return answer;
}

}  // namespace waybill::bus
