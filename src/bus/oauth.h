// The token that a connection with OAUTH_CLIENT_CREDENTIALS gets before its API destinations are called: the request for it, what
// the answer means, and a cache of the tokens that are good for now. RFC 6749, 4.4 (client credentials) and 5 (answers);
// EventBridge User Guide, "Authorization methods for connections".
//
//   POST AuthorizationEndpoint?QUERY                    QUERY, HEADERS, BODY: the connection's OAuthHttpParameters
//   Content-Type: application/x-www-form-urlencoded     its own HEADERS are sent after these
//   Accept: application/json
//
//   grant_type=client_credentials&client_id=ID&client_secret=SECRET&BODY
//
// PUT is the same; GET has no body, so all of it stands in the query. What BODY or QUERY names themselves (grant_type above all)
// is not added again; and where HEADERS has an Authorization, the client is named there and not a second time (RFC 6749, 2.3).
//
// All but the cache is pure; any thread. Secrets go into the request and nowhere else: no error says one, nor quotes an answer's
// text.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "bus/auth_parameters.h"
#include "http/client.h"

namespace waybill::bus {

constexpr int64_t token_request_timeout_ms = 5'000;  // as EventBridge gives an API destination
constexpr int64_t token_default_ms = 3'600'000;  // of a token whose answer names no expires_in; the hour that most servers give
constexpr int64_t token_longest_ms = 24 * 3'600'000;  // a token is got anew at least once a day, whatever it says of itself
constexpr int64_t token_early_ms = 60'000;  // how long before its end a token is renewed; of short ones a tenth of their time
constexpr int64_t token_claim_ms = 2 * token_request_timeout_ms;  // after which a request whose end nobody told is given up
constexpr size_t token_bytes = 32 << 10;  // of an access token; longer than what any server takes as a header field

struct OAuthToken {
    Secret text;
    TimeMs renew = no_time;  // from then on it is not handed out
};

// Invalid: the endpoint is no http(s) URL, or a header field would hold a control character.
Result<http::ClientRequest> token_request(const OAuthParameters& parameters);
// Invalid: the server refused the client, or its answer is none; asking again as it is does not help. Unavailable: 408, 429 and
// 5xx.
Result<OAuthToken> read_token(const http::ClientResponse& response, TimeMs now);

// Thread-safe. Tokens are kept by the id of the connection's secret (src/bus/secrets.h), so a connection that was changed has
// none.
class TokenCache {
public:
    struct Found {
        std::optional<Secret> token;  // good for a request now
        bool fetch = false;           // the caller is the one who is to get it, and then says put() or failed()
        // Neither: somebody else is getting it; ask again soon.
    };
    Found ask(uint64_t secret, TimeMs now);
    void put(uint64_t secret, OAuthToken token);
    void failed(uint64_t secret);
    // An API destination answered 401 or 407 to this token: it is not handed out again.
    void refused(uint64_t secret, const Secret& token);
    void sweep(const std::set<uint64_t>& in_use);

private:
    struct Entry {
        std::optional<OAuthToken> token;
        TimeMs claimed = no_time;  // since when somebody is getting one
    };
    std::mutex mutex_;
    std::map<uint64_t, Entry> entries_;
};

}  // namespace waybill::bus
