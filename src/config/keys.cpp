#include "config/keys.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/assert.h"
#include "base/json_writer.h"
#include "base/time.h"

namespace waybill::config {
namespace {

constexpr std::string_view success_words[] = {"always", "recovery", "never"};
constexpr std::string_view locale_words[] = {"en", "ko"};
constexpr std::string_view target_words[] = {"mail", "webhook", "log"};

constexpr int64_t second = 1000, minute = 60 * second, hour = 60 * minute, day = 24 * hour;
constexpr int64_t kib = 1 << 10, mib = 1 << 20, gib = 1 << 30, tib = gib << 10;

bool all_of(std::string_view s, std::string_view extra) {
    return std::all_of(s.begin(), s.end(), [&](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || extra.contains(c);
    });
}
bool all_digits(std::string_view s) {
    return !s.empty() && std::all_of(s.begin(), s.end(), [](char c) { return c >= '0' && c <= '9'; });
}
bool is_host_name(std::string_view host) {
    return !host.empty() && host.size() <= 253 && all_of(host, ".-_") && host.front() != '.' && host.front() != '-';
}
bool is_ip4(std::string_view s) {
    in_addr a;
    return inet_pton(AF_INET, std::string(s).c_str(), &a) == 1;
}
bool is_ip6(std::string_view s) {
    in6_addr a;
    return inet_pton(AF_INET6, std::string(s).c_str(), &a) == 1;
}
bool is_port(std::string_view s, int least) {
    if (!all_digits(s) || s.size() > 5) return false;
    const int port = std::stoi(std::string(s));
    return port >= least && port <= 65535;
}

struct HostPort {
    std::string_view host, port;  // the host without brackets; no port: empty
};
std::optional<HostPort> split_host_port(std::string_view s) {
    HostPort out;
    if (s.starts_with('[')) {
        const auto close = s.find(']');
        if (close == s.npos || !is_ip6(s.substr(1, close - 1))) return {};
        out.host = s.substr(1, close - 1);
        s.remove_prefix(close + 1);
        if (s.empty()) return out;
        if (s[0] != ':') return {};
        out.port = s.substr(1);
        return out.port.empty() ? std::nullopt : std::optional(out);
    }
    const auto colon = s.find(':');
    out.host = s.substr(0, colon);
    if (!is_host_name(out.host)) return {};
    if (all_of(out.host, ".") && std::all_of(out.host.begin(), out.host.end(), [](char c) { return c == '.' || (c >= '0' && c <= '9'); }) &&
        !is_ip4(out.host))
        return {};
    if (colon == s.npos) return out;
    out.port = s.substr(colon + 1);
    return out.port.empty() ? std::nullopt : std::optional(out);
}

std::string check_listen(std::string_view v) {
    const auto at = split_host_port(v);
    if (at && is_port(at->port, 0)) return {};
    return "is not HOST:PORT; write for example 127.0.0.1:4566, [::1]:4566 or 127.0.0.1:0 for any free port";
}
std::string check_not_empty(std::string_view v) { return v.empty() ? "is empty" : ""; }
std::string check_account(std::string_view v) {
    return v.size() == 12 && all_digits(v) ? "" : "is not an AWS account; write its 12 digits";
}
std::string check_region(std::string_view v) {
    const bool fine = !v.empty() && v.size() <= 32 &&
                      std::all_of(v.begin(), v.end(), [](char c) { return c == '-' || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); });
    return fine ? "" : "is not a region; write for example us-east-1";
}
// scheme://HOST[:PORT][/path][?query], of one of the schemes, without user and password.
std::string check_url(std::string_view v, std::span<const std::string_view> schemes, bool path) {
    const std::string right = fmt::format("{}://HOST{}", fmt::join(schemes, "://… or "), path ? "/…" : ":PORT");
    for (std::string_view scheme : schemes) {
        if (!v.starts_with(scheme) || !v.substr(scheme.size()).starts_with("://")) continue;
        v.remove_prefix(scheme.size() + 3);
        const auto end = v.find_first_of("/?#");
        const auto authority = v.substr(0, end);
        if (authority.contains('@')) return "holds a user or password; leave them out of the URL and use the keys made for them";
        const auto host = split_host_port(authority);
        if (!host || (!host->port.empty() && !is_port(host->port, 1))) return "has no valid HOST[:PORT]; write " + right;
        const auto rest = end == v.npos ? std::string_view() : v.substr(end);
        if (!path && !rest.empty() && rest != "/") return "goes on after the port; write " + right;
        if (rest.contains('#')) return "has a fragment (#…), which is never sent; leave it out";
        for (char c : rest)
            if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7f || std::string_view("\"<>\\^`{|}").contains(c))
                return "has characters that a URL may not have; write them as %XX";
        return {};
    }
    return "is not a URL that can be used here; write " + right;
}
constexpr std::string_view web[] = {"https", "http"};
constexpr std::string_view mail[] = {"smtp", "smtps"};
std::string check_web_url_or_empty(std::string_view v) { return v.empty() ? "" : check_url(v, web, true); }
std::string check_relay(std::string_view v) { return v.empty() ? "" : check_url(v, mail, false); }
std::string check_console_url(std::string_view v) {
    if (v.empty()) return {};
    if (v.contains('?')) return "has a query (?…); write only where the console begins, for example https://waybill.example.com";
    return check_url(v, web, true);
}
std::string check_address(std::string_view v) {
    const auto at = v.find('@');
    if (at == v.npos) return "is not a mail address: it has no @; write for example devops@example.com";
    const auto local = v.substr(0, at), domain = v.substr(at + 1);
    if (v.size() > 254 || local.empty() || local.size() > 64 || !all_of(local, "!#$%&'*+-/=?^_`{|}~.") || !is_host_name(domain))
        return "is not a mail address; write only the address, in ASCII and without a name, for example devops@example.com";
    return {};
}
std::string check_name_glob(std::string_view v) {
    if (!v.empty() && v.size() <= limits::name_bytes && all_of(v, ".@-_*?")) return {};
    return "can never match: names of pipelines and stages hold letters, digits and . @ - _; * stands for any run of characters, ? for one";
}
std::string check_account_glob(std::string_view v) {
    const bool fine = !v.empty() && v.size() <= 64 &&
                      std::all_of(v.begin(), v.end(), [](char c) { return c == '*' || c == '?' || (c >= '0' && c <= '9'); });
    return fine ? "" : "can never match an account of 12 digits; * stands for any run of digits, ? for one";
}
std::string check_region_glob(std::string_view v) {
    return !v.empty() && v.size() <= 64 && std::all_of(v.begin(), v.end(), [](char c) {
        return c == '*' || c == '?' || c == '-' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z');
    }) ? "" : "can never match a region such as us-east-1; * stands for any run of characters, ? for one";
}
std::string check_service_glob(std::string_view v) {
    return !v.empty() && v.size() <= 64 && std::all_of(v.begin(), v.end(), [](char c) {
        return c == '*' || c == '?' || c == '-' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z');
    }) ? "" : "can never match a service, which is written as in ARNs, such as sqs, sns, lambda, states or logs; * stands for any run of characters, ? for one";
}
std::string check_cidr(std::string_view v) {
    const auto slash = v.find('/');
    const auto address = v.substr(0, slash);
    const int most = is_ip4(address) ? 32 : is_ip6(address) ? 128 : -1;
    if (most >= 0 && slash != v.npos) {
        const auto prefix = v.substr(slash + 1);
        if (all_digits(prefix) && prefix.size() <= 3 && std::stoi(std::string(prefix)) <= most) return {};
    }
    return "is not a CIDR; write for example 10.0.0.0/8 or fd00::/8, and /32 or /128 for one address";
}
std::string check_host(std::string_view v) {
    return is_host_name(v) || is_ip6(v) ? "" : "is not a host name; write it without scheme and port, for example waybill.example.com";
}
std::string check_key_id(std::string_view v) {
    return v.size() >= 3 && v.size() <= 128 && all_of(v, "_") ? "" : "is not an access key id: 3 to 128 letters, digits and _";
}
std::string check_key_id_or_empty(std::string_view v) { return v.empty() ? "" : check_key_id(v); }

const Key table[] = {
    {"listen", Type::text, [](Place p) -> Slot { return &p.config.listen; },
     "Where the one HTTP port listens, as HOST:PORT; any host but a loopback one needs security.credentials and security.tokens.",
     {.check = check_listen}},
    {"data", Type::text, [](Place p) -> Slot { return &p.config.data; },
     "The data directory, made if it is not there; a relative path counts from the working directory.", {.check = check_not_empty}},
    {"account", Type::text, [](Place p) -> Slot { return &p.config.account; },
     "The AWS account of events that PutEvents makes and of our ARNs, 12 digits.", {.check = check_account}},
    {"region", Type::text, [](Place p) -> Slot { return &p.config.region; },
     "The region of events that PutEvents makes and of our ARNs.", {.check = check_region}},
    {"locale", Type::word, [](Place p) -> Slot { return &p.config.locale; },
     "The language of messages to targets that name none.", {.words = locale_words}},
    {"console_url", Type::text, [](Place p) -> Slot { return &p.config.console_url; },
     "The URL at which people open the console, for links in messages; empty means http://LISTEN.", {.check = check_console_url}},
    {"threads", Type::integer, [](Place p) -> Slot { return &p.config.threads; },
     "Threads that serve connections; 0 means one a core, at most 4.", {.min = 0, .max = 256}},

    {"events.allow_aws_sources", Type::boolean, [](Place p) -> Slot { return &p.config.allow_aws_sources; },
     "Whether PutEvents may use sources that begin with `aws.`, which AWS itself refuses."},

    {"event_bus.replay_events_per_second", Type::integer, [](Place p) -> Slot { return &p.config.event_bus.replay_events_per_second; },
     "How many events one replay sends a second at most; 0 means as fast as it goes.", {.min = 0, .max = 1'000'000}},
    {"event_bus.delivery_concurrency", Type::integer, [](Place p) -> Slot { return &p.config.event_bus.delivery_concurrency; },
     "How many attempts for one target of a rule are under way at once at most.", {.min = 1, .max = 256}},
    // AWS raises most of these on request. The greatest values here bound what one account keeps in memory, and what one answer of the API walks.
    {"event_bus.limits.buses", Type::integer, [](Place p) -> Slot { return &p.config.event_bus.buses; },
     "How many event buses an account may have in a region besides the default one (EventBridge: 100).", {.min = 0, .max = 10'000}},
    {"event_bus.limits.rules_a_bus", Type::integer, [](Place p) -> Slot { return &p.config.event_bus.rules_a_bus; },
     "How many rules a bus may have (EventBridge: 300).", {.min = 0, .max = 100'000}},
    {"event_bus.limits.targets_a_rule", Type::integer, [](Place p) -> Slot { return &p.config.event_bus.targets_a_rule; },
     "How many targets a rule may have (EventBridge: 5).", {.min = 1, .max = 100}},
    {"event_bus.limits.pattern_characters", Type::integer, [](Place p) -> Slot { return &p.config.event_bus.pattern_characters; },
     "How long the pattern of a rule or an archive may be (EventBridge: 4096).", {.min = 1, .max = 65'536}},
    {"event_bus.limits.wildcard_rules_a_bus", Type::integer, [](Place p) -> Slot { return &p.config.event_bus.wildcard_rules_a_bus; },
     "How many rules of a bus may have `wildcard` in their patterns (EventBridge: 30).", {.min = 0, .max = 100'000}},
    {"event_bus.limits.archives", Type::integer, [](Place p) -> Slot { return &p.config.event_bus.archives; },
     "How many archives an account may have in a region (EventBridge: 100).", {.min = 0, .max = 10'000}},
    {"event_bus.limits.replays", Type::integer, [](Place p) -> Slot { return &p.config.event_bus.replays; },
     "How many replays may be active at once in an account and region (EventBridge: 10).", {.min = 0, .max = 1'000}},
    {"event_bus.limits.connections", Type::integer, [](Place p) -> Slot { return &p.config.event_bus.connections; },
     "How many connections an account may have in a region (EventBridge: 3000).", {.min = 0, .max = 100'000}},
    {"event_bus.limits.destinations", Type::integer, [](Place p) -> Slot { return &p.config.event_bus.destinations; },
     "How many API destinations an account may have in a region (EventBridge: 3000).", {.min = 0, .max = 100'000}},
    {"event_bus.limits.tags", Type::integer, [](Place p) -> Slot { return &p.config.event_bus.tags; },
     "How many tags one resource may have (AWS: 50).", {.min = 0, .max = 1'000}},

    {"log.segment_bytes", Type::size, [](Place p) -> Slot { return &p.config.log.segment_bytes; },
     "The size of one log file, taken from the disk before it is written.", {.min = 4 * mib, .max = gib}},
    {"log.reserve_bytes", Type::size, [](Place p) -> Slot { return &p.config.log.reserve_bytes; },
     "Space kept for outcomes when the disk is full: new events are refused below it, and it must be less than log.segment_bytes.",
     {.min = 64 * kib, .max = gib}},
    {"log.compress", Type::boolean, [](Place p) -> Slot { return &p.config.log.compress; }, "Whether full log files are compressed with zstd."},
    {"log.retention_age", Type::duration, [](Place p) -> Slot { return &p.config.log.retention_age_ms; },
     "How long full log files are kept, as long as nothing needs them; 0s keeps them for ever.", {.min = 0, .max = 3650 * day}},
    {"log.retention_bytes", Type::size, [](Place p) -> Slot { return &p.config.log.retention_bytes; },
     "How much of the log is kept, as long as nothing needs what is older; 0 keeps everything.", {.min = 0, .max = 64 * tib}},

    {"tracking.linger", Type::duration, [](Place p) -> Slot { return &p.config.tracking.linger_ms; },
     "How long an ended execution stays in memory after its last event; later events are still taken.", {.min = 0, .max = 7 * day}},
    {"tracking.stale_after", Type::duration, [](Place p) -> Slot { return &p.config.tracking.stale_after_ms; },
     "After how much silence an execution without an end leaves memory as stale.", {.min = hour, .max = 365 * day}},

    {"policy.team", Type::texts, [](Place p) -> Slot { return &p.config.policy.team; },
     "The targets told of failed pipelines, and of failed stages that no owner rule matches."},
    {"policy.notify_success", Type::word, [](Place p) -> Slot { return &p.config.policy.notify_success; },
     "Which successes are told: every one, only the first after a failure, or none.", {.words = success_words}},
    {"policy.success_targets", Type::texts, [](Place p) -> Slot { return &p.config.policy.success_targets; },
     "The targets told of successes; empty means policy.team."},
    {"policy.wait_for_cause", Type::duration, [](Place p) -> Slot { return &p.config.policy.wait_for_cause_ms; },
     "How long a failure's message waits for the event that says which action failed.", {.min = 0, .max = 10 * minute}},
    {"policy.retry.enabled", Type::boolean, [](Place p) -> Slot { return &p.config.policy.retry; },
     "Whether a failed stage is retried with RetryStageExecution; a rejected approval never is."},
    {"policy.retry.wait", Type::duration, [](Place p) -> Slot { return &p.config.policy.retry_wait_ms; },
     "How long a retry waits; a person's own retry in that time cancels it.", {.min = 0, .max = hour}},
    {"policy.retry.max", Type::integer, [](Place p) -> Slot { return &p.config.policy.retry_max; },
     "How often one stage execution is retried at most.", {.min = 0, .max = 100}},
    {"policy.owners[].pipeline", Type::text, [](Place p) -> Slot { return &p.owner->pipeline; },
     "A glob (`*`, `?`) of pipeline names.", {.check = check_name_glob}},
    {"policy.owners[].stage", Type::text, [](Place p) -> Slot { return &p.owner->stage; }, "A glob (`*`, `?`) of stage names.",
     {.check = check_name_glob}},
    {"policy.owners[].targets", Type::texts, [](Place p) -> Slot { return &p.owner->targets; },
     "The targets told when the stage fails; the first rule that matches pipeline and stage decides.", {.required = true}},

    {"targets.NAME.type", Type::word, [](Place p) -> Slot { return &p.target->type; },
     "How the target is told: by mail, by an HTTP POST of JSON, or by a line in Waybill's own log.", {.words = target_words, .required = true}},
    {"targets.NAME.locale", Type::word, [](Place p) -> Slot { return &p.target->locale; }, "The language of its messages.",
     {.words = locale_words, .default_text = "`locale`"}},
    {"targets.NAME.concurrency", Type::integer, [](Place p) -> Slot { return &p.target->concurrency; },
     "How many deliveries to it are in flight at once.", {.min = 1, .max = 256}},
    {"targets.NAME.to", Type::texts, [](Place p) -> Slot { return &p.target->to; },
     "Mail: the addresses, at least one.", {.check = check_address}},
    {"targets.NAME.url", Type::text, [](Place p) -> Slot { return &p.target->url; },
     "Webhook: where to POST, http:// or https://; like a secret it may be written as ${ENV_VAR} or file:/path.", {.check = check_web_url_or_empty}},
    {"targets.NAME.secret", Type::secret, [](Place p) -> Slot { return &p.target->secret; },
     "Webhook: the key of the signature header (docs/webhooks.md); empty means unsigned."},
    {"targets.NAME.headers", Type::headers, [](Place p) -> Slot { return &p.target->headers; },
     "Webhook: further request headers, NAME: VALUE; a value may be a secret."},
    {"targets.NAME.timeout", Type::duration, [](Place p) -> Slot { return &p.target->timeout_ms; },
     "Webhook: how long one attempt may take.", {.min = 100, .max = 5 * minute}},

    {"codepipeline[].account", Type::text, [](Place p) -> Slot { return &p.endpoint->account; },
     "A glob (`*`, `?`) of the accounts whose executions are retried here; the first entry that matches account and region is used.",
     {.check = check_account_glob}},
    {"codepipeline[].region", Type::text, [](Place p) -> Slot { return &p.endpoint->region; }, "A glob (`*`, `?`) of regions.",
     {.check = check_region_glob}},
    {"codepipeline[].url", Type::text, [](Place p) -> Slot { return &p.endpoint->url; },
     "The endpoint's URL; empty means AWS's own, https://codepipeline.REGION.amazonaws.com.", {.check = check_web_url_or_empty}},
    {"codepipeline[].access_key_id", Type::text, [](Place p) -> Slot { return &p.endpoint->access_key_id; },
     "The access key id to sign with; empty means AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.",
     {.check = check_key_id_or_empty}},
    {"codepipeline[].secret_access_key", Type::secret, [](Place p) -> Slot { return &p.endpoint->secret_access_key; },
     "The secret access key that goes with access_key_id."},
    {"codepipeline[].session_token", Type::secret, [](Place p) -> Slot { return &p.endpoint->session_token; },
     "The session token of temporary credentials."},
    {"codepipeline[].timeout", Type::duration, [](Place p) -> Slot { return &p.endpoint->timeout_ms; }, "How long one call may take.",
     {.min = 100, .max = 5 * minute}},

    {"aws[].service", Type::text, [](Place p) -> Slot { return &p.aws->service; },
     "A glob (`*`, `?`) of services as ARNs spell them: sqs, sns, lambda, states, codepipeline, logs, events and others.", {.check = check_service_glob}},
    {"aws[].account", Type::text, [](Place p) -> Slot { return &p.aws->account; }, "A glob (`*`, `?`) of accounts.", {.check = check_account_glob}},
    {"aws[].region", Type::text, [](Place p) -> Slot { return &p.aws->region; }, "A glob (`*`, `?`) of regions.", {.check = check_region_glob}},
    {"aws[].url", Type::text, [](Place p) -> Slot { return &p.aws->url; },
     "The endpoint's URL, for every account and region that match; empty means AWS's own endpoint of the service and region.", {.check = check_web_url_or_empty}},
    {"aws[].access_key_id", Type::text, [](Place p) -> Slot { return &p.aws->access_key_id; },
     "The access key id to sign with; empty means AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.", {.check = check_key_id_or_empty}},
    {"aws[].secret_access_key", Type::secret, [](Place p) -> Slot { return &p.aws->secret_access_key; },
     "The secret access key that goes with access_key_id."},
    {"aws[].session_token", Type::secret, [](Place p) -> Slot { return &p.aws->session_token; }, "The session token of temporary credentials."},
    {"aws[].timeout", Type::duration, [](Place p) -> Slot { return &p.aws->timeout_ms; }, "How long one call may take.",
     {.min = 100, .max = 5 * minute}},

    {"mail.relay", Type::text, [](Place p) -> Slot { return &p.config.mail.relay; },
     "The mail server, smtp://HOST:PORT or smtps://HOST:PORT; empty means that mails are written to DATA/mail as .eml files.",
     {.check = check_relay}},
    {"mail.require_tls", Type::boolean, [](Place p) -> Slot { return &p.config.mail.require_tls; },
     "Whether a relay that does not offer STARTTLS is refused."},
    {"mail.user", Type::text, [](Place p) -> Slot { return &p.config.mail.user; }, "The user to log in as; empty means no login."},
    {"mail.password", Type::secret, [](Place p) -> Slot { return &p.config.mail.password; }, "The user's password."},
    {"mail.ca_file", Type::text, [](Place p) -> Slot { return &p.config.mail.ca_file; },
     "A PEM file of the authorities that the relay's certificate is checked against; empty means the system's."},
    {"mail.from", Type::text, [](Place p) -> Slot { return &p.config.mail.from; }, "The sender's address.", {.check = check_address}},
    {"mail.timeout", Type::duration, [](Place p) -> Slot { return &p.config.mail.timeout_ms; }, "How long sending one mail may take.",
     {.min = 100, .max = 10 * minute}},

    {"delivery.max_attempts", Type::integer, [](Place p) -> Slot { return &p.config.delivery.max_attempts; },
     "After how many attempts a delivery is dead (EventBridge: 185 retries).", {.min = 1, .max = 10'000}},
    {"delivery.max_age", Type::duration, [](Place p) -> Slot { return &p.config.delivery.max_age_ms; },
     "After how long a delivery is dead (EventBridge: 24 hours).", {.min = second, .max = 30 * day}},
    {"delivery.backoff_first", Type::duration, [](Place p) -> Slot { return &p.config.delivery.backoff_first_ms; },
     "The wait before the second attempt; it doubles from there, with jitter.", {.min = 10, .max = hour}},
    {"delivery.backoff_max", Type::duration, [](Place p) -> Slot { return &p.config.delivery.backoff_max_ms; },
     "The longest wait between two attempts, not less than delivery.backoff_first.", {.min = 10, .max = day}},
    {"delivery.block_private", Type::boolean, [](Place p) -> Slot { return &p.config.delivery.block_private; },
     "Whether webhooks on private, link-local and loopback addresses are refused."},
    {"delivery.allow_addresses", Type::texts, [](Place p) -> Slot { return &p.config.delivery.allow_addresses; },
     "CIDRs that delivery.block_private lets through.", {.check = check_cidr}},

    {"security.credentials[].access_key_id", Type::text, [](Place p) -> Slot { return &p.credential->access_key_id; },
     "An access key id that may call the AWS API (Signature Version 4).", {.check = check_key_id, .required = true}},
    {"security.credentials[].secret_access_key", Type::secret, [](Place p) -> Slot { return &p.credential->secret_access_key; },
     "The secret access key that goes with it.", {.required = true}},
    {"security.tokens", Type::secrets, [](Place p) -> Slot { return &p.config.security.tokens; },
     "Bearer tokens that open the native API and the console."},
    {"security.allowed_hosts", Type::texts, [](Place p) -> Slot { return &p.config.security.allowed_hosts; },
     "Names in Host and Origin headers that are let in besides the loopback ones.", {.check = check_host}},
};

template <class... F>
struct Overloaded : F... {
    using F::operator()...;
};

}  // namespace

std::span<const Key> keys() { return table; }

std::string quoted(std::string_view text) {
    static constexpr std::string_view reserved[] = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"};
    const bool plain = !text.empty() && text.size() <= 200 && all_of(text, "_-./@") &&
                       ((text[0] >= 'a' && text[0] <= 'z') || (text[0] >= 'A' && text[0] <= 'Z')) &&
                       std::none_of(std::begin(reserved), std::end(reserved), [&](std::string_view r) {
                           return r.size() == text.size() && std::equal(r.begin(), r.end(), text.begin(), [](char a, char b) { return a == (b | 0x20); });
                       });
    if (plain) return std::string(text);
    std::string out;
    JsonWriter::quote_into(out, text);  // a JSON string is a YAML scalar
    return out;
}

std::string format_size(uint64_t bytes) {
    if (bytes && bytes % (1ull << 40) == 0) return fmt::format("{}TiB", bytes >> 40);
    if (bytes && bytes % (1ull << 30) == 0) return fmt::format("{}GiB", bytes >> 30);
    if (bytes && bytes % (1ull << 20) == 0) return fmt::format("{}MiB", bytes >> 20);
    if (bytes && bytes % (1ull << 10) == 0) return fmt::format("{}KiB", bytes >> 10);
    return fmt::format("{}", bytes);
}

std::optional<uint64_t> parse_size(std::string_view text) {
    uint64_t n = 0;
    auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (ec != std::errc{}) return {};
    const std::string_view unit(end, text.data() + text.size());
    const int shift = unit.empty() ? 0 : unit == "KiB" ? 10 : unit == "MiB" ? 20 : unit == "GiB" ? 30 : unit == "TiB" ? 40 : -1;
    if (shift < 0 || n > (1ull << 50) >> shift) return {};
    return n << shift;
}

std::string value_yaml(const Key& key, Place place) {
    return std::visit(
        Overloaded{
            [](std::string* v) { return quoted(*v); },
            [](bool* v) -> std::string { return *v ? "true" : "false"; },
            [](int* v) { return fmt::format("{}", *v); },
            [](unsigned* v) { return fmt::format("{}", *v); },
            [](int64_t* v) { return format_duration_ms(*v); },
            [&](uint64_t* v) { return key.type == Type::size ? format_size(*v) : fmt::format("{}", *v); },
            [&](NotifySuccess* v) { return std::string(key.rule.words[static_cast<size_t>(*v)]); },
            [&](Locale* v) { return std::string(key.rule.words[static_cast<size_t>(*v)]); },
            [&](TargetType* v) { return std::string(key.rule.words[static_cast<size_t>(*v)]); },
            [](std::vector<std::string>* v) {
                std::string out;
                for (const auto& s : *v) out.append(out.empty() ? "" : ", ").append(quoted(s));
                return "[" + out + "]";
            },
            [](Secret*) -> std::string { ASSERT(false); },
            [](std::vector<Secret>*) -> std::string { ASSERT(false); },
            [](Headers*) -> std::string { ASSERT(false); },
        },
        key.slot(place));
}

std::string default_of(const Key& key) {
    if (!key.rule.default_text.empty()) return std::string(key.rule.default_text);
    if (key.rule.required) return {};
    if (key.type == Type::secret || key.type == Type::secrets || key.type == Type::headers) return {};
    Config config;
    TargetConfig target;
    OwnerRule owner;
    CodePipelineEndpoint endpoint;
    Credential credential;
    AwsEndpoint aws;
    return "`" + value_yaml(key, {config, &target, &owner, &endpoint, &credential, &aws}) + "`";
}

std::string type_text(const Key& key) {
    switch (key.type) {
        case Type::text: return "text";
        case Type::boolean: return "true or false";
        case Type::integer: return fmt::format("number, {} to {}", key.rule.min, key.rule.max);
        case Type::duration: return fmt::format("duration, {} to {}", format_duration_ms(key.rule.min), format_duration_ms(key.rule.max));
        case Type::size:
            return fmt::format("size, {} to {}", format_size(static_cast<uint64_t>(key.rule.min)), format_size(static_cast<uint64_t>(key.rule.max)));
        case Type::word: return fmt::format("{}", fmt::join(key.rule.words, ", "));
        case Type::texts: return "list of texts";
        case Type::secret: return "secret";
        case Type::secrets: return "list of secrets";
        case Type::headers: return "map of texts";
    }
    ASSERT(false);
}

std::string policy_yaml(const Config& config) {
    std::string out = "policy:\n";
    Config copy = config;  // a Slot points at what may be written
    std::string_view retry;
    for (const Key& key : keys()) {
        if (!key.path.starts_with("policy.") || key.path.contains('[')) continue;
        auto name = key.path.substr(7);
        if (name.starts_with("retry.")) {
            if (retry.empty()) out += "  retry:\n";
            retry = name = name.substr(6);
            out += "  ";
        }
        out += fmt::format("  {}: {}\n", name, value_yaml(key, {copy}));
    }
    if (!config.policy.owners.empty()) out += "  owners:\n";
    for (const auto& rule : config.policy.owners) {
        std::string names;
        for (const auto& t : rule.targets) names.append(names.empty() ? "" : ", ").append(quoted(t));
        out += fmt::format("    - {{pipeline: {}, stage: {}, targets: [{}]}}\n", quoted(rule.pipeline), quoted(rule.stage), names);
    }
    std::string names;
    for (const auto& t : config.targets) names.append(names.empty() ? "" : ", ").append(quoted(t.name));
    return out + "targets: [" + names + "]\n";
}

bool is_loopback_listen(std::string_view listen) {
    const auto at = split_host_port(listen);
    if (!at) return false;
    if (at->host == "localhost" || at->host == "::1") return true;
    return is_ip4(at->host) && at->host.starts_with("127.");
}

}  // namespace waybill::config
