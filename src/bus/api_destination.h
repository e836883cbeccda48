// The HTTP request that an API destination is sent, and what its answer means. EventBridge User Guide, "API destinations" and
// "Connections"; API reference, ConnectionHttpParameters and HttpParameters.
//
// Each * in the endpoint's path is one path parameter of the target. Values of the target's HttpParameters that are a JSONPath
// ("$.detail.id") are taken from the event as it came, not from what the template made of it. Of a name that comes twice the
// connection's value is sent before the target's, and the target's before the default. Header fields that belong to the transport
// (Host, Content-Length, Transfer-Encoding …) or that EventBridge sets itself (User-Agent, Range) cannot be set.
//
// Pure: no I/O, no clock, no exception; any thread. OAuth is for the caller: it gets the token, this sends it. Secrets go into
// the request and nowhere else; no error says one.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/secret.h"
#include "bus/target_request.h"

namespace waybill::bus {

constexpr int64_t api_destination_timeout_ms = 5'000;  // EventBridge: 5 seconds for the whole request

struct ConnectionAuth {
    enum class Kind { none, basic, api_key, bearer } kind = Kind::none;
    std::string name;  // basic: the user; api_key: the header field
    Secret value;      // the password, key or token
};

struct ConnectionParameter {
    std::string name;
    Secret value;  // IsValueSecret or not
};

struct ApiDestination {
    std::string method = "POST", endpoint;
    ConnectionAuth auth;
    std::vector<ConnectionParameter> headers, query,
        body;  // InvocationHttpParameters; of the body only where the payload is an object
};

// `payload`: what CompiledInput rendered; it is the body of all methods that have one (not GET, HEAD, OPTIONS). Invalid: the
// endpoint is no http(s) URL, or a header field would hold a control character (ERROR_CODE INVALID_PARAMETER).
Result<http::ClientRequest> api_destination_request(const ApiDestination& destination, const HttpParameters& parameters,
                                                    std::string_view payload, std::string_view event_json);

// Tried again: 401 (with a new token, if it is OAuth), 407, 409, 429 and 5xx, not before Retry-After; a negative Retry-After says
// never. All other answers but 2xx are final.
TargetAnswer read_destination_answer(const http::ClientResponse& response, TimeMs now);
// No answer: tried again, unless the request cannot be sent at all. In the words of AWS's dead letters.
TargetAnswer read_destination_failure(const http::ClientFailure& failure);

}  // namespace waybill::bus
