#include "node/rule_targets.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "bus/decide.h"
#include "config/glob.h"
#include "event/record.h"
#include "node/aws_credentials.h"

namespace waybill::node {
namespace {

using Outcome = delivery::AttemptOutcome;

Outcome never(std::string_view code, std::string_view text) {
    return {Outcome::Kind::refused, false, 0, fmt::format("{}: {}", code, text), 0};
}

Outcome outcome_of(const bus::TargetAnswer& answer, int status, bool maybe_received = false) {
    if (answer.verdict == bus::TargetAnswer::Verdict::delivered)
        return {Outcome::Kind::ok, false, status, fmt::format("HTTP {}", status), 0};
    const bool again = answer.verdict == bus::TargetAnswer::Verdict::again;
    return {again ? Outcome::Kind::failed : Outcome::Kind::refused, maybe_received, status,
            fmt::format("{}: {}", answer.error_code, answer.error_message), answer.retry_after_ms};
}

// The rule as that group put it.
Result<bus::Rule> rule_at(const log::Log& log, Position position, bus::RuleId id) {
    TRY(const log::Entry entry, log.read(position));
    GroupReader group(entry.payload);
    while (auto raw = group.next()) {
        BusChangeRecord record;
        bus::Change change;
        if (raw->type != RecordType::bus_changed || !decode(raw->body, record) || !bus::decode(record.change, change)) continue;
        const auto* put = std::get_if<bus::Put>(&change);
        const auto* rule = put ? std::get_if<bus::Rule>(&put->resource) : nullptr;
        if (rule && (rule->id == id || (!rule->id && position == id))) return *rule;
    }
    return not_found(fmt::format("the group at position {} puts no such rule", position));
}

std::string_view error_code_in(std::string_view text) {
    const size_t colon = text.find(':');
    const std::string_view code = text.substr(0, colon);
    const bool shaped = colon != text.npos && !code.empty() &&
                        std::ranges::all_of(code, [](char c) { return (c >= 'A' && c <= 'Z') || c == '_'; });
    return shaped ? code : std::string_view();
}

}  // namespace

struct RuleTargets::Sending {
    std::string rule_arn, payload, envelope, event_id;
    TimeMs event_time = no_time;
    bus::Target target;
    bus::Arn arn;
};

std::vector<std::pair<std::string, std::string>> dead_letter_attributes(const Delivery& dead, std::string_view rule_arn) {
    // "given up after …: CODE: message", or "CODE: message" (src/delivery/decide.cpp).
    std::string_view text = dead.last_text;
    std::string_view exhausted;
    if (text.starts_with("given up after "))
        exhausted = "MaximumRetryAttempts";
    else if (text.starts_with("given up: older "))
        exhausted = "MaximumEventAgeInSeconds";
    if (!exhausted.empty())
        if (const size_t at = text.find("): "); at != text.npos) text.remove_prefix(at + 3);
    std::string_view code = error_code_in(text);
    if (!code.empty())
        text.remove_prefix(std::min(text.size(), code.size() + 2));
    else
        code = "UNKNOWN";
    std::vector<std::pair<std::string, std::string>> attributes = {{"RULE_ARN", std::string(rule_arn)},
                                                                   {"TARGET_ARN", dead.target},
                                                                   {"ERROR_CODE", std::string(code)},
                                                                   {"ERROR_MESSAGE", std::string(text)}};
    if (!exhausted.empty()) attributes.emplace_back("EXHAUSTED_RETRY_CONDITION", exhausted);
    attributes.emplace_back("RETRY_ATTEMPTS", std::to_string(std::max(0, dead.attempts - 1)));
    return attributes;
}

void RuleTargets::carry(const Job& job) {
    const DeliveryId id = job.delivery.id;
    auto prepared = prepare(job);
    if (!prepared.ok()) {
        const Error& e = prepared.error();
        const bool later = e.kind == ErrorKind::unavailable || e.kind == ErrorKind::overloaded;
        if (later) return ended_(id, {Outcome::Kind::failed, false, 0, "INTERNAL_ERROR: " + e.message, 0});
        return ended_(id, never(e.kind == ErrorKind::invalid ? "INVALID_JSON" : "NO_RESOURCE", e.message));
    }
    const Sending& sending = *prepared;
    if (job.delivery.topic == DeliveryTopic::dead_letter) return dead_letter(job, sending);
    const bus::TargetKind kind = bus::kind_of(sending.arn);
    if (kind == bus::TargetKind::api_destination) return to_destination(job, sending);
    const AwsEndpoint* at = endpoint_of(parts_.config, sending.arn);
    if (kind == bus::TargetKind::unknown || !at)
        return ended_(id, never("NO_RESOURCE",
                                fmt::format("nothing here serves {}: no endpoint is configured for service {}, region {}, "
                                            "account {} (configuration key `aws`)",
                                            sending.target.arn, sending.arn.service, sending.arn.region, sending.arn.account)));
    auto calls = bus::aws_calls(sending.arn, sending.target.parameters, sending.payload,
                                {sending.event_id, job.delivery.key, sending.event_time}, at->url);
    if (!calls.ok()) return ended_(id, never("INVALID_PARAMETER", calls.error().message));
    to_aws(id, kind, std::make_shared<std::vector<bus::AwsCall>>(std::move(*calls)), 0, sending.arn.account);
}

Result<RuleTargets::Sending> RuleTargets::prepare(const Job& job) {
    const FromRule& from = *job.delivery.from_rule;
    Sending s;
    TRY(const log::Entry entry, parts_.log.read(from.event));
    GroupReader group(entry.payload);
    while (auto raw = group.next()) {
        EventRecord event;
        if (raw->type != RecordType::event || !decode(raw->body, event)) continue;
        s.envelope = event.envelope;
        break;
    }
    if (s.envelope.empty()) return not_found(fmt::format("the event at position {} is not in the log any more", from.event));
    const EnvelopeHead head = read_head(s.envelope);
    s.event_id = head.id;
    s.event_time = head.time;
    if (!from.replay.empty()) s.envelope = bus::with_replay_name(s.envelope, from.replay);

    std::optional<bus::Rule> rule = job.rule;
    if (!rule) {
        TRY(rule, rule_at(parts_.log, from.definition, from.rule));
    }
    s.rule_arn = rule->arn();
    const auto target = std::ranges::find(rule->targets, from.target_id, &bus::Target::id);
    if (target == rule->targets.end()) return not_found(fmt::format("the rule {} has no target {}", rule->name, from.target_id));
    s.target = *target;
    const auto arn = bus::parse_arn(job.delivery.target);
    if (!arn) return not_found(fmt::format("{} is no ARN", job.delivery.target));
    s.arn = *arn;

    std::tuple key(from.rule, from.definition, from.target_id);
    auto at = compiled_.find(key);
    if (at == compiled_.end()) {
        TRY(bus::CompiledInput input, bus::CompiledInput::compile(s.target.input, s.target.id));
        if (compiled_.size() >= compiled_kept) compiled_.clear();
        at = compiled_.emplace(std::move(key), std::move(input)).first;
    }
    auto payload = at->second.render(s.envelope, {s.rule_arn, rule->name, entry.time});
    if (payload.ok())
        s.payload = std::move(*payload);
    else if (job.delivery.topic == DeliveryTopic::dead_letter)
        s.payload = s.envelope;  // what could not be rendered is told as it came
    else
        return std::move(payload).error();
    return s;
}

// -- API destinations --

void RuleTargets::to_destination(const Job& job, const Sending& s) {
    const DeliveryId id = job.delivery.id;
    if (!job.destination) return ended_(id, never("NO_RESOURCE", fmt::format("there is no API destination {}", s.target.arn)));
    if (!job.connection)
        return ended_(id, never("NO_RESOURCE", fmt::format("there is no connection {}", job.destination->connection_arn)));
    if (job.connection->state == bus::ConnectionState::deauthorized)
        return ended_(id, never("NO_PERMISSIONS", fmt::format("the connection {} is deauthorized", job.connection->name)));
    bus::ConnectionCredentials credentials;
    if (job.connection->secret) {
        auto stored = parts_.secrets.read(job.connection->secret);
        if (!stored.ok()) return ended_(id, never("NO_PERMISSIONS", stored.error().message));
        auto read = bus::connection_credentials(*stored);
        if (!read.ok()) return ended_(id, never("NO_PERMISSIONS", read.error().message));
        credentials = std::move(*read);
    }
    const uint64_t secret = job.connection->secret;
    auto send = [this, id, secret, destination = *job.destination, auth = credentials.auth,
                 headers = std::move(credentials.headers), query = std::move(credentials.query),
                 body = std::move(credentials.body), http = s.target.parameters.http.value_or(bus::HttpParameters{}),
                 payload = s.payload, envelope = s.envelope](Secret token) mutable {
        bus::ApiDestination call;
        call.method = destination.method;
        call.endpoint = destination.endpoint;
        call.auth = auth;
        if (call.auth.kind == bus::ConnectionAuth::Kind::bearer) call.auth.value = token;
        call.headers = headers;
        call.query = query;
        call.body = body;
        auto request = bus::api_destination_request(call, http, payload, envelope);
        if (!request.ok()) return ended_(id, never("INVALID_PARAMETER", request.error().message));
        send_to_destination(id, std::move(*request), secret, std::move(token));
    };
    if (!credentials.oauth) return send(Secret());
    std::optional<Secret> token;
    {
        std::lock_guard lock(waiting_mutex_);
        auto found = tokens_.ask(secret, parts_.clock.now());
        if (!found.token && !found.fetch) {
            waiting_[secret].push_back({id, std::move(send)});
            return;
        }
        token = std::move(found.token);
    }
    if (token) return send(std::move(*token));
    fetch_token(id, *credentials.oauth, secret, std::move(send));
}

void RuleTargets::send_to_destination(DeliveryId id, http::ClientRequest request, uint64_t secret, Secret token) {
    parts_.client.send(std::move(request), [this, id, secret, token = std::move(token)](
                                               std::variant<http::ClientResponse, http::ClientFailure> answer) {
        if (const auto* failure = std::get_if<http::ClientFailure>(&answer))
            return ended_(id, outcome_of(bus::read_destination_failure(*failure), 0, failure->maybe_received));
        const auto& response = std::get<http::ClientResponse>(answer);
        if (response.status == 401 || response.status == 407) tokens_.refused(secret, token);
        ended_(id, outcome_of(bus::read_destination_answer(response, parts_.clock.now()), response.status));
    });
}

void RuleTargets::fetch_token(DeliveryId id, const bus::OAuthParameters& oauth, uint64_t secret,
                              std::function<void(Secret)> then) {
    auto request = bus::token_request(oauth);
    if (!request.ok()) return token_ended({id, std::move(then)}, secret, never("NO_PERMISSIONS", request.error().message));
    parts_.client.send(std::move(*request), [this, id, secret, then = std::move(then)](
                                                std::variant<http::ClientResponse, http::ClientFailure> answer) mutable {
        if (const auto* failure = std::get_if<http::ClientFailure>(&answer))
            return token_ended({id, std::move(then)}, secret, outcome_of(bus::read_destination_failure(*failure), 0));
        auto token = bus::read_token(std::get<http::ClientResponse>(answer), parts_.clock.now());
        if (!token.ok()) {
            const bool later = token.error().kind == ErrorKind::unavailable;
            return token_ended({id, std::move(then)}, secret,
                               Outcome{later ? Outcome::Kind::failed : Outcome::Kind::refused, false, 0,
                                       "NO_PERMISSIONS: " + token.error().message, 0});
        }
        token_ended({id, std::move(then)}, secret, std::move(*token));
    });
}

// The delivery that got the token, or did not, and all that waited for it go on alike.
void RuleTargets::token_ended(Waiting first, uint64_t secret, std::variant<bus::OAuthToken, Outcome> came) {
    const auto* token = std::get_if<bus::OAuthToken>(&came);
    std::vector<Waiting> go_on;
    go_on.push_back(std::move(first));
    {
        std::lock_guard lock(waiting_mutex_);
        if (token)
            tokens_.put(secret, *token);
        else
            tokens_.failed(secret);
        if (auto waited = waiting_.extract(secret)) std::ranges::move(waited.mapped(), std::back_inserter(go_on));
    }
    for (auto& w : go_on) {
        if (token)
            w.send(token->text);
        else
            ended_(w.id, std::get<Outcome>(came));
    }
}

// -- AWS --

const AwsEndpoint* RuleTargets::endpoint_of(const Config& config, const bus::Arn& target) {
    for (const auto& e : config.aws)
        if (config::glob_matches(e.service, target.service) && config::glob_matches(e.account, target.account) &&
            config::glob_matches(e.region, target.region))
            return &e;
    return nullptr;
}

// The calls one after the other; the last one's answer is the delivery's.
void RuleTargets::to_aws(DeliveryId id, bus::TargetKind kind, std::shared_ptr<std::vector<bus::AwsCall>> calls, size_t next,
                         std::string_view account) {
    const bus::AwsCall& call = (*calls)[next];
    http::ClientRequest request = call.request;
    bus::Arn of;
    of.service = call.service, of.region = call.region, of.account = account;
    const AwsEndpoint* at = endpoint_of(parts_.config, of);
    if (!at) return ended_(id, never("NO_RESOURCE", fmt::format("no endpoint is configured for service {}", call.service)));
    const wire::Credentials credentials = credentials_of(at->access_key_id, at->secret_access_key, at->session_token);
    if (credentials.access_key_id.empty())
        return ended_(id,
                      never("NO_PERMISSIONS",
                            "no credentials for the endpoint: set aws[].access_key_id, or AWS_ACCESS_KEY_ID in the environment"));
    request.timeout_ms = at->timeout_ms;
    if (auto signed_ = wire::sign(request, credentials, call.region, call.service, parts_.clock.now(), parts_.keys);
        !signed_.ok())
        return ended_(id, never("INVALID_PARAMETER", signed_.error().message));
    parts_.client.send(std::move(request), [this, id, kind, calls, next, account = std::string(account)](
                                               std::variant<http::ClientResponse, http::ClientFailure> answer) {
        if (const auto* failure = std::get_if<http::ClientFailure>(&answer))
            return ended_(id, outcome_of(bus::read_failure(*failure), 0, failure->maybe_received));
        const auto& response = std::get<http::ClientResponse>(answer);
        bus::TargetAnswer said = bus::read_answer(kind, response, parts_.clock.now());
        if (said.verdict != bus::TargetAnswer::Verdict::delivered &&
            std::ranges::find((*calls)[next].passable, bus::fault_in(response).code) != (*calls)[next].passable.end())
            said.verdict = bus::TargetAnswer::Verdict::delivered;
        if (said.verdict != bus::TargetAnswer::Verdict::delivered || next + 1 == calls->size())
            return ended_(id, outcome_of(said, response.status));
        to_aws(id, kind, calls, next + 1, account);
    });
}

void RuleTargets::dead_letter(const Job& job, const Sending& s) {
    const DeliveryId id = job.delivery.id;
    if (!job.dead) return ended_(id, never("NO_RESOURCE", "the delivery that was given up was sent again, or is known no more"));
    const AwsEndpoint* at = endpoint_of(parts_.config, s.arn);
    if (!at)
        return ended_(id, never("NO_RESOURCE",
                                fmt::format("nothing here serves {}: no endpoint is configured for it (configuration key `aws`)",
                                            job.delivery.target)));
    auto calls = bus::dead_letter_call(s.arn, s.payload, dead_letter_attributes(*job.dead, s.rule_arn), at->url);
    to_aws(id, bus::TargetKind::sqs, std::make_shared<std::vector<bus::AwsCall>>(1, std::move(calls)), 0, s.arn.account);
}

}  // namespace waybill::node
