#include "wire/sigv4.h"

#include <fmt/format.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "base/bytes.h"

namespace waybill::wire {

namespace {

constexpr std::string_view algorithm = "AWS4-HMAC-SHA256";
constexpr std::string_view unsigned_payload = "UNSIGNED-PAYLOAD";

using Key = SigningKeys::Key;

Key hmac(std::string_view key, std::string_view text) {
    Key out{};
    unsigned size = 0;
    auto* done = HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()),
                      text.size(), out.data(), &size);
    ASSERT(done && size == out.size());
    return out;
}

std::string_view view(const Key& key) { return {reinterpret_cast<const char*>(key.data()), key.size()}; }

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = lower(c);
    return out;
}

// 20130524T000000Z, the form a signature's time has.
std::string compact_time(TimeMs now) {
    std::string text = format_time_s(now);
    std::erase_if(text, [](char c) { return c == '-' || c == ':'; });
    return text;
}

std::optional<TimeMs> parse_compact_time(std::string_view t) {
    if (t.size() != 16 || t[8] != 'T' || t[15] != 'Z') return std::nullopt;
    return parse_time(fmt::format("{}-{}-{}T{}:{}:{}Z", t.substr(0, 4), t.substr(4, 2), t.substr(6, 2), t.substr(9, 2),
                                  t.substr(11, 2), t.substr(13, 2)));
}

// RFC 3986, 5.2.4, with empty segments dropped too: every service but S3 signs the path so.
std::string without_dot_segments(std::string_view path) {
    if (path.empty()) return "/";
    std::vector<std::string_view> kept;
    for (size_t at = 0; at <= path.size();) {
        size_t end = std::min(path.find('/', at), path.size());
        std::string_view segment = path.substr(at, end - at);
        at = end + 1;
        if (segment.empty() || segment == ".") continue;
        if (segment != "..")
            kept.push_back(segment);
        else if (!kept.empty())
            kept.pop_back();
    }
    std::string out = path.front() == '/' ? "/" : "";
    for (size_t i = 0; i < kept.size(); ++i) {
        if (i) out.push_back('/');
        out.append(kept[i]);
    }
    if (path.back() == '/' && !kept.empty()) out.push_back('/');
    return out;
}

// Space at either end dropped, space inside folded to one.
void append_folded(std::string& out, std::string_view value) {
    bool gap = false, any = false;
    for (char c : value) {
        if (c == ' ' || (c >= '\t' && c <= '\r')) {
            gap = any;
            continue;
        }
        if (gap) out.push_back(' ');
        gap = false;
        any = true;
        out.push_back(c);
    }
}

std::string canonical_query(std::string_view raw, bool as_sent) {
    std::vector<std::pair<std::string, std::string>> pairs;
    while (!raw.empty()) {
        std::string_view piece = raw.substr(0, raw.find('&'));
        raw.remove_prefix(std::min(raw.size(), piece.size() + 1));
        if (piece.empty()) continue;
        size_t equals = std::min(piece.find('='), piece.size());
        std::string_view key = piece.substr(0, equals), value = piece.substr(std::min(piece.size(), equals + 1));
        if (key == "X-Amz-Signature") continue;  // of a presigned URL: what is computed here
        if (as_sent)
            pairs.emplace_back(key, value);
        else
            pairs.emplace_back(http::percent_encode(http::percent_decode(key, false), false),
                               http::percent_encode(http::percent_decode(value, false), false));
    }
    std::sort(pairs.begin(), pairs.end());
    std::string out;
    for (auto& [key, value] : pairs) {
        if (!out.empty()) out.push_back('&');
        out.append(key).append("=").append(value);
    }
    return out;
}

std::string string_to_sign(std::string_view time, std::string_view scope, const Canonical& canonical) {
    return fmt::format("{}\n{}\n{}\n{}", algorithm, time, scope, sha256_hex(canonical.text));
}

// The parts of a signature, wherever they stood.
struct Given {
    bool presigned = false;
    std::string access_key_id, date, region, service;
    std::string signed_headers, signature, time;
    int64_t expires_ms = 0;
    std::string session_token;
};

// "AKID/20130524/us-east-1/s3/aws4_request". The key may hold slashes; the rest may not.
bool read_credential(std::string_view text, std::string& key, std::string& date, std::string& region, std::string& service) {
    std::vector<std::string_view> parts;
    for (int i = 0; i < 4; ++i) {
        size_t slash = text.rfind('/');
        if (slash == std::string_view::npos) return false;
        parts.push_back(text.substr(slash + 1));
        text = text.substr(0, slash);
    }
    if (parts[0] != "aws4_request" || parts[3].size() != 8 || text.empty() || text.size() > 128) return false;
    key = text;
    date = parts[3];
    region = parts[2];
    service = parts[1];
    return true;
}

// One part of the Authorization field; empty when it is not there.
std::string_view part_of(std::string_view authorization, std::string_view name) {
    authorization.remove_prefix(std::min(authorization.size(), algorithm.size()));
    while (!authorization.empty()) {
        std::string_view piece = authorization.substr(0, authorization.find(','));
        authorization.remove_prefix(std::min(authorization.size(), piece.size() + 1));
        while (!piece.empty() && piece.front() == ' ') piece.remove_prefix(1);
        while (!piece.empty() && piece.back() == ' ') piece.remove_suffix(1);
        if (piece.size() > name.size() && piece.starts_with(name) && piece[name.size()] == '=')
            return piece.substr(name.size() + 1);
    }
    return {};
}

bool is_presigned(const http::Head& head) { return head.raw_query().find("X-Amz-Algorithm=") != std::string_view::npos; }

std::variant<Given, SignatureRefusal> read_signature(const http::Head& head) {
    Given g;
    auto incomplete = [](std::string message) { return SignatureRefusal{SignatureFault::incomplete, std::move(message)}; };
    auto authorization = head.header("Authorization");
    if (authorization) {
        if (!authorization->starts_with(algorithm))
            return incomplete(
                fmt::format("Unsupported authorization: the Authorization header must begin with '{}'.", algorithm));
        std::string missing;
        for (std::string_view name : {"Credential", "Signature", "SignedHeaders"})
            if (part_of(*authorization, name).empty())
                missing += fmt::format("Authorization header requires '{}' parameter. ", name);
        if (!missing.empty()) return incomplete(missing + "Authorization is incomplete.");
        if (!read_credential(part_of(*authorization, "Credential"), g.access_key_id, g.date, g.region, g.service))
            return incomplete(
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/aws4_request.");
        g.signed_headers = part_of(*authorization, "SignedHeaders");
        g.signature = part_of(*authorization, "Signature");
        auto time = head.header("X-Amz-Date");
        if (!time) return incomplete("Authorization header requires existence of an 'X-Amz-Date' header.");
        g.time = *time;
        g.session_token = head.header_or("X-Amz-Security-Token");
    } else if (is_presigned(head)) {
        g.presigned = true;
        if (head.query("X-Amz-Algorithm") != algorithm)
            return incomplete(fmt::format("X-Amz-Algorithm only supports {}.", algorithm));
        if (!read_credential(head.query("X-Amz-Credential").value_or(""), g.access_key_id, g.date, g.region, g.service))
            return incomplete(
                "X-Amz-Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/aws4_request.");
        g.signed_headers = head.query("X-Amz-SignedHeaders").value_or("");
        g.signature = head.query("X-Amz-Signature").value_or("");
        g.time = head.query("X-Amz-Date").value_or("");
        g.session_token = head.query("X-Amz-Security-Token").value_or("");
        std::string expires = head.query("X-Amz-Expires").value_or("");
        int64_t seconds = -1;
        auto [rest, failed] = std::from_chars(expires.data(), expires.data() + expires.size(), seconds);
        if (failed != std::errc() || rest != expires.data() + expires.size() || seconds < 0 || seconds > max_presigned_ms / 1000)
            return incomplete("X-Amz-Expires must be a number of seconds, at most 604800.");
        g.expires_ms = seconds * 1000;
    } else {
        return SignatureRefusal{SignatureFault::missing, "Missing Authentication Token"};
    }
    if (g.signature.size() != 64 || g.signed_headers.empty())
        return incomplete("The signature must be 64 hexadecimal digits, and name its signed headers.");
    if (g.time.size() != 16 || !std::string_view(g.time).starts_with(g.date))
        return incomplete(fmt::format(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date: '{}' != '{}'.", g.date, g.time));
    return g;
}

std::string default_host(std::string_view scheme, std::string_view authority) {
    if (scheme == "https" && authority.ends_with(":443")) authority.remove_suffix(4);
    if (scheme == "http" && authority.ends_with(":80")) authority.remove_suffix(3);
    return lower(authority);
}

}  // namespace

std::string sha256_hex(std::string_view bytes) {
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest);
    return to_hex({reinterpret_cast<const char*>(digest), sizeof digest});
}

Canonical canonical_request(std::string_view method, std::string_view raw_path, std::string_view raw_query,
                            const http::Head::Fields& headers, std::string_view payload_hash, std::string_view service,
                            bool query_as_sent) {
    // S3 signs the path as it is sent; the others sign that encoded once more, so "/a%20b" is signed as "/a%2520b".
    std::string path = service == "s3" ? std::string(raw_path.empty() ? "/" : raw_path)
                                       : http::percent_encode(without_dot_segments(raw_path), true);
    std::map<std::string, std::string> values;
    for (auto& [name, value] : headers) {
        auto [place, first] = values.try_emplace(lower(name));
        if (!first) place->second.push_back(',');
        append_folded(place->second, value);
    }
    Canonical canonical;
    canonical.text = fmt::format("{}\n{}\n{}\n", method, path, canonical_query(raw_query, query_as_sent));
    for (auto& [name, value] : values) {
        canonical.text.append(name).append(":").append(value).append("\n");
        if (!canonical.signed_headers.empty()) canonical.signed_headers.push_back(';');
        canonical.signed_headers.append(name);
    }
    canonical.text.append("\n").append(canonical.signed_headers).append("\n").append(payload_hash);
    return canonical;
}

SigningKeys::Key SigningKeys::get(const Credentials& credentials, std::string_view date, std::string_view region,
                                  std::string_view service) {
    std::string name = fmt::format("{}\n{}\n{}\n{}", sha256_hex(credentials.secret_key.reveal()), date, region, service);
    {
        std::lock_guard lock(mutex_);
        if (auto found = keys_.find(name); found != keys_.end()) return found->second;
    }
    Secret seed("AWS4" + credentials.secret_key.reveal());
    Key key = hmac(view(hmac(view(hmac(view(hmac(seed.reveal(), date)), region)), service)), "aws4_request");
    std::lock_guard lock(mutex_);
    if (keys_.size() >= limit) keys_.clear();  // rarer than once a day with one region; cheaper than keeping an order
    keys_.emplace(std::move(name), key);
    return key;
}

std::optional<CredentialScope> credential_scope_of(const http::Head& head) {
    CredentialScope scope;
    std::string credential;
    if (auto authorization = head.header("Authorization"); authorization && authorization->starts_with("AWS4-"))
        credential = part_of(*authorization, "Credential");
    else if (is_presigned(head))
        credential = head.query("X-Amz-Credential").value_or("");
    if (!read_credential(credential, scope.access_key_id, scope.date, scope.region, scope.service)) return std::nullopt;
    return scope;
}

Result<std::vector<std::pair<std::string, std::string>>> sign(const Signable& request, const Credentials& credentials,
                                                              std::string_view region, std::string_view service, TimeMs now,
                                                              SigningKeys& keys) {
    std::string_view url = request.url;
    size_t scheme_end = url.find("://");
    if (scheme_end == std::string_view::npos)
        return invalid(fmt::format("'{}' cannot be signed: it is not an http or https URL", url));
    std::string scheme = lower(url.substr(0, scheme_end));
    std::string_view rest = url.substr(scheme_end + 3);
    rest = rest.substr(0, rest.find('#'));
    size_t authority_end = std::min(rest.find_first_of("/?"), rest.size());
    std::string_view authority = rest.substr(0, authority_end), target = rest.substr(authority_end);
    if (size_t at = authority.rfind('@'); at != std::string_view::npos) authority.remove_prefix(at + 1);
    if (authority.empty()) return invalid(fmt::format("'{}' cannot be signed: it names no host", url));
    size_t question = std::min(target.find('?'), target.size());
    std::string_view path = target.substr(0, question), query = target.substr(std::min(target.size(), question + 1));

    std::string time = compact_time(now), hash = sha256_hex(request.body);
    std::vector<std::pair<std::string, std::string>> added{{"X-Amz-Date", time}};
    if (!credentials.session_token.empty()) added.emplace_back("X-Amz-Security-Token", credentials.session_token);
    if (service == "s3") added.emplace_back("X-Amz-Content-Sha256", hash);

    http::Head::Fields fields;
    bool has_host = false;
    for (auto& [name, value] : request.headers) {
        if (http::same_name(name, "Expect") || http::same_name(name, "User-Agent") || http::same_name(name, "X-Amzn-Trace-Id"))
            continue;
        if (http::same_name(name, "Host")) has_host = true;
        if (http::same_name(name, "X-Amz-Content-Sha256")) hash = value;
        fields.emplace_back(name, value);
    }
    std::string host = default_host(scheme, authority);
    if (!has_host) fields.emplace_back("host", host);
    for (auto& [name, value] : added) fields.emplace_back(name, value);

    Canonical canonical = canonical_request(request.method, path, query, fields, hash, service);
    std::string scope = fmt::format("{}/{}/{}/aws4_request", time.substr(0, 8), region, service);
    Key key = keys.get(credentials, time.substr(0, 8), region, service);
    Key signature = hmac(view(key), string_to_sign(time, scope, canonical));
    added.emplace_back("Authorization",
                       fmt::format("{} Credential={}/{}, SignedHeaders={}, Signature={}", algorithm, credentials.access_key_id,
                                   scope, canonical.signed_headers, to_hex(view(signature))));
    return added;
}

Result<void> sign(http::ClientRequest& request, const Credentials& credentials, std::string_view region, std::string_view service,
                  TimeMs now, SigningKeys& keys) {
    std::erase_if(request.headers, [](auto& field) {
        for (std::string_view name : {"Authorization", "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-Sha256"})
            if (http::same_name(field.first, name)) return true;
        return false;
    });
    Signable signable{request.method, request.url, request.headers, request.body};
    TRY(auto added, sign(signable, credentials, region, service, now, keys));
    for (auto& field : added) request.headers.push_back(std::move(field));
    return {};
}

AwsError aws_error(const SignatureRefusal& refusal, Protocol protocol) {
    bool query = protocol == Protocol::query;
    int status = query || protocol == Protocol::rest_json ? 403 : 400;
    switch (refusal.fault) {
        case SignatureFault::missing:
            return {query ? "MissingAuthenticationToken" : "MissingAuthenticationTokenException", refusal.message, status};
        case SignatureFault::incomplete:
            return {query ? "IncompleteSignature" : "IncompleteSignatureException", refusal.message, query ? 400 : status};
        case SignatureFault::unknown_key:
            return {query ? "InvalidClientTokenId" : "UnrecognizedClientException", refusal.message, status};
        case SignatureFault::mismatch:
            return {query ? "SignatureDoesNotMatch" : "InvalidSignatureException", refusal.message, status};
        case SignatureFault::expired: return {query ? "RequestExpired" : "RequestExpiredException", refusal.message, status};
    }
    return {"InternalFailure", refusal.message, 500, Fault::receiver};
}

std::variant<Caller, SignatureRefusal> verify(const http::Head& head, std::string_view body, const FindCredentials& find,
                                              TimeMs now, SigningKeys& keys) {
    auto read = read_signature(head);
    if (auto* refusal = std::get_if<SignatureRefusal>(&read)) return std::move(*refusal);
    Given& g = std::get<Given>(read);
    auto refuse = [](SignatureFault fault, std::string message) { return SignatureRefusal{fault, std::move(message)}; };

    auto time = parse_compact_time(g.time);
    if (!time)
        return refuse(SignatureFault::incomplete, fmt::format("'{}' is not a date in the form YYYYMMDD'T'HHMMSS'Z'.", g.time));
    TimeMs latest = *time + (g.presigned ? g.expires_ms : 0) + (g.presigned ? 0 : max_clock_skew_ms);
    if (*time > now + max_clock_skew_ms)
        return refuse(SignatureFault::expired, fmt::format("Signature not yet current: {} is still later than {} ({} + 5 min.)",
                                                           g.time, compact_time(now + max_clock_skew_ms), compact_time(now)));
    if (latest < now) {
        if (g.presigned) return refuse(SignatureFault::expired, "Request has expired");
        return refuse(SignatureFault::expired, fmt::format("Signature expired: {} is now earlier than {} ({} - 5 min.)", g.time,
                                                           compact_time(now - max_clock_skew_ms), compact_time(now)));
    }
    const Credentials* credentials = find(g.access_key_id);
    if (!credentials || !equal_in_constant_time(credentials->session_token, g.session_token))
        return refuse(SignatureFault::unknown_key, "The security token included in the request is invalid.");

    // The fields named, in the order sent; Host may not be left out, nor what says which operation this is.
    std::set<std::string, std::less<>> names;
    for (std::string_view list = g.signed_headers; !list.empty();) {
        std::string_view name = list.substr(0, list.find(';'));
        list.remove_prefix(std::min(list.size(), name.size() + 1));
        names.insert(lower(name));
    }
    if (!names.contains("host"))
        return refuse(SignatureFault::mismatch, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.");
    for (std::string_view must : {"x-amz-target", "x-amz-date", "x-amz-content-sha256"})
        if (head.header(must) && !names.contains(must))
            return refuse(SignatureFault::mismatch, fmt::format("'{}' must be a 'SignedHeader' in the AWS Authorization.", must));
    http::Head::Fields fields;
    for (auto& [name, value] : head.headers())
        if (names.contains(lower(name))) fields.emplace_back(name, value);

    std::string hash = sha256_hex(body);
    if (auto declared = head.header("X-Amz-Content-Sha256")) {
        if (*declared != unsigned_payload && !equal_in_constant_time(*declared, hash))
            return refuse(SignatureFault::mismatch,
                          "The provided 'x-amz-content-sha256' header does not match what was computed.");
        hash = *declared;
    } else if (g.presigned && g.service == "s3") {
        hash = unsigned_payload;
    }
    Key key = keys.get(*credentials, g.date, g.region, g.service);
    std::string scope = fmt::format("{}/{}/{}/aws4_request", g.date, g.region, g.service);
    bool matches = false;
    for (bool as_sent : {false, true}) {  // some clients sign a query just as they wrote it
        Canonical canonical =
            canonical_request(head.method(), head.raw_path(), head.raw_query(), fields, hash, g.service, as_sent);
        std::string expected = to_hex(view(hmac(view(key), string_to_sign(g.time, scope, canonical))));
        matches |= equal_in_constant_time(expected, g.signature) && canonical.signed_headers.size() == g.signed_headers.size();
    }
    if (!matches)
        return refuse(SignatureFault::mismatch,
                      "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
                      "Access Key and signing "
                      "method. Consult the service documentation for details.");
    return Caller{g.access_key_id, g.region, g.service, g.presigned};
}

}  // namespace waybill::wire
