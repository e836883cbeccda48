// AWS Signature Version 4 (AWS Reference, "Signature Version 4 signing process"): signs what Waybill sends to AWS, and verifies
// what AWS clients send to Waybill. Both go through one canonicaliser, so they cannot disagree; it is held to botocore's signer
// by tests/sigv4_botocore.py.
//
// Times are given, never taken. Pure but for SigningKeys, which is safe to share between threads. Never: SigV4a, chunk-signed
// bodies (STREAMING-…), which no service here uses.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/secret.h"
#include "base/time.h"
#include "http/client.h"
#include "http/head.h"
#include "wire/aws_error.h"

namespace waybill::wire {

struct Credentials {
    std::string access_key_id;
    Secret secret_key;
    std::string session_token;  // empty for long-lived keys
};

// What a request's credential scope says, unverified: from the Authorization field or a presigned query.
struct CredentialScope {
    std::string access_key_id, date, region, service;
};
std::optional<CredentialScope> credential_scope_of(const http::Head& head);

// --- signing
// ----------------------------------------------------------------------------------------------------------------------

// Derived keys, one a day, region and service; deriving costs four HMACs. Keeps the last `limit`.
class SigningKeys {
public:
    static constexpr size_t limit = 256;
    using Key = std::array<unsigned char, 32>;
    Key get(const Credentials& credentials, std::string_view date, std::string_view region, std::string_view service);

private:
    std::mutex mutex_;
    std::map<std::string, Key> keys_;  // by everything the key is made of, the secret as its hash
};

struct Signable {
    std::string method, url;  // http(s)://host[:port]/path?query, encoded as it will be sent
    std::vector<std::pair<std::string, std::string>> headers;
    std::string_view body;
};
// The fields to add: X-Amz-Date, X-Amz-Security-Token where there is one, X-Amz-Content-Sha256 for s3, Authorization. All given
// fields are signed but those that are changed on the way (Expect, User-Agent, X-Amzn-Trace-Id); Host is taken from the URL where
// not given. Fields of the result's names must not be among the given. Invalid: the URL has no host.
Result<std::vector<std::pair<std::string, std::string>>> sign(const Signable& request, const Credentials& credentials,
                                                              std::string_view region, std::string_view service, TimeMs now,
                                                              SigningKeys& keys);
// The same, into a request for http::Client; earlier signature fields in it are replaced.
Result<void> sign(http::ClientRequest& request, const Credentials& credentials, std::string_view region, std::string_view service,
                  TimeMs now, SigningKeys& keys);

// --- verifying
// --------------------------------------------------------------------------------------------------------------------

constexpr int64_t max_clock_skew_ms = 5 * 60 * 1000;             // AWS's own
constexpr int64_t max_presigned_ms = 7 * 24 * 60 * 60 * 1000ll;  // AWS's own

struct Caller {
    std::string access_key_id, region, service;
    bool presigned = false;
};

enum class SignatureFault {
    missing,      // no signature at all
    incomplete,   // a signature that lacks a part or cannot be read
    unknown_key,  // no such access key, or a wrong session token
    mismatch,     // the signature is not that of this request
    expired,      // outside the time allowed; a presigned URL that is too old
};
struct SignatureRefusal {
    SignatureFault fault = SignatureFault::missing;
    std::string message;  // as AWS words it
};
// The code of a refusal: query services and the others name them differently.
AwsError aws_error(const SignatureRefusal& refusal, Protocol protocol);

using FindCredentials = std::function<const Credentials*(std::string_view access_key_id)>;

// Who sent this, or why it is not believed. The signature must cover Host and every X-Amz-Target, X-Amz-Date and
// X-Amz-Content-Sha256 there is; a declared content hash must be the body's, or UNSIGNED-PAYLOAD. Takes the same time wherever a
// signature is wrong.
std::variant<Caller, SignatureRefusal> verify(const http::Head& head, std::string_view body, const FindCredentials& find,
                                              TimeMs now, SigningKeys& keys);

// --- for both
// ---------------------------------------------------------------------------------------------------------------------

std::string sha256_hex(std::string_view bytes);
// The canonical request of what is given. `headers` are the fields to sign. With query_as_sent the query's pairs are only sorted,
// else they are decoded and encoded as the specification says; well-encoded queries give the same.
struct Canonical {
    std::string text, signed_headers;
};
Canonical canonical_request(std::string_view method, std::string_view raw_path, std::string_view raw_query,
                            const http::Head::Fields& headers, std::string_view payload_hash, std::string_view service,
                            bool query_as_sent = false);

}  // namespace waybill::wire
