// Every setting of Waybill as one value. src/config/load.h reads it from waybill.yaml and flags; docs/configuration.md is generated from
// the same table. Nothing here decides anything. Spans are milliseconds, sizes are bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/secret.h"
#include "event/limits.h"

namespace waybill {

enum class NotifySuccess { always, recovery, never };
enum class Locale { en, ko };
enum class TargetType { mail, webhook, log };

struct TargetConfig {
    std::string name;
    TargetType type = TargetType::log;
    Locale locale = Locale::en;
    int concurrency = 4;                // attempts in flight at once
    std::vector<std::string> to;        // mail: addresses
    std::string url;                    // webhook
    Secret secret;                      // webhook: key of the HMAC-SHA256 signature header; empty: unsigned
    std::vector<std::pair<std::string, std::string>> headers;  // webhook: sent as they are
    int64_t timeout_ms = 5000;
};

// The first rule whose globs (`*`, `?`) both match owns the stage.
struct OwnerRule {
    std::string pipeline = "*", stage = "*";
    std::vector<std::string> targets;
    int line = 0;                       // in waybill.yaml
};

struct PolicyConfig {
    std::vector<std::string> team = {"devops"};       // targets told of failed pipelines, and of stages without an owner
    std::vector<OwnerRule> owners;
    NotifySuccess notify_success = NotifySuccess::always;
    std::vector<std::string> success_targets;         // empty: the team
    int64_t wait_for_cause_ms = 5000;                 // a failure's message waits this long for the failed action
    bool retry = true;
    int64_t retry_wait_ms = 10'000;                   // in which a person's own retry cancels ours
    int retry_max = 2;                                // a stage execution
    uint64_t version = 0;                             // hash of what is above, as normalised YAML; stands in every decision
    std::string text;                                 // that YAML
};

// Where RetryStageExecution is called for executions of an account and region. The first whose globs match.
struct CodePipelineEndpoint {
    std::string account = "*", region = "*";
    std::string url;                                  // empty: https://codepipeline.REGION.amazonaws.com
    std::string access_key_id;                        // empty: AWS_ACCESS_KEY_ID and its kin from the environment
    Secret secret_access_key, session_token;
    int64_t timeout_ms = 10'000;
};

// Where AWS's services are called that a rule of a bus has as its targets, and its dead-letter queues. The first whose globs match.
// `url` is where every account and region that match are reached; empty: AWS's own endpoint of that service and region.
struct AwsEndpoint : CodePipelineEndpoint {
    std::string service = "*";                        // glob of signing names, which ARNs also hold: sqs, sns, lambda, states, logs, events …
};

// How much the buses of one account and region may hold, as bus::ApiLimits has it, and how fast they send.
struct EventBusConfig {
    size_t replay_events_per_second = 0;              // of one replay; 0: as fast as it goes
    size_t delivery_concurrency = 16;                 // attempts under way at once for one target of a rule
    size_t buses = 100;                               // besides the default one
    size_t rules_a_bus = 300;
    size_t targets_a_rule = 5;
    size_t pattern_characters = 4096;
    size_t wildcard_rules_a_bus = 30;
    size_t archives = 100;
    size_t replays = 10;                              // active at once
    size_t connections = 3000;
    size_t destinations = 3000;
    size_t tags = 50;                                 // of one resource
};

struct MailConfig {
    std::string relay;                                // smtp://HOST:PORT or smtps://HOST:PORT; empty: .eml files in DATA/mail
    bool require_tls = true;                          // refuse a relay that does not offer STARTTLS
    std::string user;
    Secret password;
    std::string ca_file;
    std::string from = "waybill@localhost";
    int64_t timeout_ms = 30'000;
};

struct DeliveryConfig {
    int max_attempts = limits::delivery_attempts;
    int64_t max_age_ms = limits::delivery_age_ms;
    int64_t backoff_first_ms = 1000;
    int64_t backoff_max_ms = 600'000;
    bool block_private = false;                       // refuse targets on private and loopback addresses
    std::vector<std::string> allow_addresses;         // CIDRs let through the address rules
};

struct LogConfig {
    uint64_t segment_bytes = 64 << 20;
    uint64_t reserve_bytes = 4 << 20;
    bool compress = true;
    int64_t retention_age_ms = 0;                     // 0: keep
    uint64_t retention_bytes = 0;                     // 0: keep
};

struct Credential {
    std::string access_key_id;
    Secret secret_access_key;
};

struct SecurityConfig {
    std::vector<Credential> credentials;              // AWS API, SigV4
    std::vector<Secret> tokens;                       // native API and console, Bearer
    std::vector<std::string> allowed_hosts;           // Host and Origin names let in besides loopback ones
};

struct TrackingConfig {
    int64_t linger_ms = 10 * 60'000;                  // an ended execution stays in memory this long after its last event
    int64_t stale_after_ms = 30 * 86'400'000ll;       // an execution without an end leaves memory after this silence
};

struct Config {
    std::string listen = "127.0.0.1:4566";
    std::string data = "waybill-data";
    std::string account = "000000000000";             // of events that PutEvents makes, and in our ARNs
    std::string region = "us-east-1";
    Locale locale = Locale::en;                       // of targets that name none
    std::string console_url;                          // in messages; empty: http://LISTEN
    unsigned threads = 0;                             // connection threads; 0: one a core, at most 4
    bool allow_aws_sources = false;                   // PutEvents may use sources that begin with "aws."
    EventBusConfig event_bus;
    LogConfig log;
    TrackingConfig tracking;
    PolicyConfig policy;
    std::vector<TargetConfig> targets;                // as default: devops, mail to devops@localhost
    std::vector<CodePipelineEndpoint> codepipeline;
    std::vector<AwsEndpoint> aws;
    MailConfig mail;
    DeliveryConfig delivery;
    SecurityConfig security;
};

}  // namespace waybill
