#include "node/couriers.h"

#include <fmt/format.h>
#include <simdjson.h>
#include <spdlog/spdlog.h>

#include <charconv>

#include "config/glob.h"
#include "node/aws_credentials.h"
#include "node/texts.h"
#include "notify/mail.h"
#include "notify/webhook.h"

namespace waybill::node {
namespace {

using Outcome = delivery::AttemptOutcome;

Outcome refused(std::string text, int code = 0) { return {Outcome::Kind::refused, false, code, std::move(text), 0}; }
Outcome failed(std::string text, int code = 0) { return {Outcome::Kind::failed, false, code, std::move(text), 0}; }

Outcome outcome_of(const http::ClientFailure& failure) {
    using Kind = http::ClientFailure::Kind;
    const bool useless = failure.kind == Kind::invalid || failure.kind == Kind::refused_address;
    return {useless ? Outcome::Kind::refused : Outcome::Kind::failed, failure.maybe_received, 0, fmt::format("{}: {}", to_string(failure.kind), failure.text), 0};
}

// Retry-After as a number of seconds (RFC 9110, 10.2.3); a date, which few send, counts as none. At most an hour is believed.
int64_t retry_after_ms(std::string_view value) {
    int64_t seconds = 0;
    auto [end, ec] = std::from_chars(value.data(), value.data() + value.size(), seconds);
    if (ec != std::errc{} || end != value.data() + value.size() || seconds < 0) return 0;
    return std::min<int64_t>(seconds, 3600) * 1000;
}

// What AWS says in an error: {"__type":"…#Code","message":"…"}.
struct AwsAnswer {
    std::string code, message;
};
AwsAnswer read_aws_error(const http::ClientResponse& response) {
    AwsAnswer answer;
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    std::string_view s;
    if (parser.parse(response.body).get(root) == simdjson::SUCCESS && root.is_object()) {
        if (root.at_key("__type").get(s) == simdjson::SUCCESS) answer.code = s;
        if (root.at_key("message").get(s) == simdjson::SUCCESS || root.at_key("Message").get(s) == simdjson::SUCCESS) answer.message = s;
    }
    if (answer.code.empty()) answer.code = response.header("x-amzn-ErrorType");
    answer.code = answer.code.substr(0, answer.code.find(':'));
    if (const size_t hash = answer.code.rfind('#'); hash != answer.code.npos) answer.code = answer.code.substr(hash + 1);
    return answer;
}

}  // namespace

Result<std::unique_ptr<Couriers>> Couriers::make(Parts parts, Ended ended) {
    TRY(http::AddressRules rules, http::AddressRules::make(parts.config.delivery.allow_addresses, parts.config.delivery.block_private));
    TRY_VOID(parts.disk.make_directories(parts.mail_directory));
    return std::unique_ptr<Couriers>(new Couriers(std::move(parts), std::move(ended), std::move(rules)));
}

Couriers::Couriers(Parts parts, Ended ended, http::AddressRules rules)
    : parts_(std::move(parts)),
      ended_(std::move(ended)),
      client_(http::Client::Options{.addresses = std::move(rules)}),
      rule_targets_({parts_.config, parts_.clock, parts_.log, parts_.secrets, client_, keys_}, ended_) {}

const CodePipelineEndpoint* Couriers::endpoint_of(const Config& config, const PipelineKey& pipeline) {
    for (const auto& e : config.codepipeline)
        if (config::glob_matches(e.account, pipeline.account) && config::glob_matches(e.region, pipeline.region)) return &e;
    return nullptr;
}

void Couriers::perform(Job job) {
    worker_.post([this, job = std::move(job)]() mutable { carry(std::move(job)); });
}

void Couriers::log_failure(Failure failure) {
    worker_.post([this, f = std::move(failure)]() mutable {
        const PipelineEvent& e = f.event;
        if (auto loaded = load_texts(parts_.log, parts_.recent_texts, f.execution); !loaded.ok()) spdlog::error("log_failure message={:?}", loaded.error().message);
        const ActionView* cause = nullptr;
        for (const auto& a : f.execution.actions) {
            if (a.state != waybill::State::failed || (!e.stage.empty() && a.stage != e.stage)) continue;
            if (e.scope == Scope::action ? a.action_execution_id == e.action_execution_id : !cause || a.attempt >= cause->attempt) cause = &a;
        }
        std::string why = " cause=unknown";
        if (cause)
            why = fmt::format(" cause_stage={:?} cause_action={:?} error_code={:?} summary={:?} link={:?}", cause->stage, cause->name, cause->error_code,
                              cause->summary.substr(0, limits::outcome_text_bytes), cause->external_url);
        spdlog::warn("{}_failed position={} pipeline={:?} account={:?} region={:?} execution_id={:?} stage={:?} action={:?} attempt={}{}", scope_word(e.scope), f.position,
                     e.key.pipeline, e.key.account, e.key.region, e.execution_id, e.stage, e.action, e.attempt, why);
    });
}

void Couriers::carry(Job job) {
    const Delivery& d = job.delivery;
    if (d.kind == DeliveryKind::retry) return retry_stage(job);
    if (d.kind == DeliveryKind::target) return rule_targets_.carry(job);
    const TargetConfig* target = nullptr;
    for (const auto& t : parts_.config.targets)
        if (t.name == d.target) target = &t;
    if (!target) return ended_(d.id, refused(fmt::format("no target '{}' is configured any more", d.target)));
    ExecutionView execution;
    if (job.execution) {
        execution = std::move(*job.execution);
    } else {
        auto found = parts_.history.find_execution(d.execution_id, d.pipeline.account, d.pipeline.region, d.pipeline.pipeline);
        if (!found.ok()) return ended_(d.id, failed(found.error().message));
        if (!*found) return ended_(d.id, refused("the execution is not known any more"));
        execution = std::move(**found);
    }
    if (auto loaded = load_texts(parts_.log, parts_.recent_texts, execution); !loaded.ok()) return ended_(d.id, failed(loaded.error().message));
    switch (target->type) {
        case TargetType::mail: return mail(job, *target, execution);
        case TargetType::webhook: return webhook(job, *target, execution);
        case TargetType::log: return write_log(job, execution);
    }
}

void Couriers::mail(const Job& job, const TargetConfig& target, const ExecutionView& execution) {
    const Delivery& d = job.delivery;
    const MessageFacts facts{d, execution, job.incident ? &*job.incident : nullptr, target.locale, parts_.config.console_url};
    const MailConfig& config = parts_.config.mail;
    const std::string mail = render_mail(render_message(facts), {config.from, target.to, parts_.clock.now(), d.urgent, d.id, d.key});
    if (config.relay.empty()) return ended_(d.id, store_mail(d.id, mail));
    http::MailRequest request;
    request.url = config.relay;
    request.require_tls = config.require_tls;
    request.user = config.user;
    request.password = config.password.reveal();
    request.ca_file = config.ca_file;
    request.from = config.from;
    request.to = target.to;
    request.data = mail;
    request.timeout_ms = config.timeout_ms;
    client_.send_mail(std::move(request), [this, id = d.id](std::variant<http::MailResponse, http::ClientFailure> answer) {
        if (const auto* failure = std::get_if<http::ClientFailure>(&answer)) return ended_(id, outcome_of(*failure));
        const auto& response = std::get<http::MailResponse>(answer);
        std::string text = response.text;
        for (const auto& r : response.refused) text += fmt::format("; {} refused: {}", r.address, r.text);
        if (response.code >= 200 && response.code < 300) return ended_(id, {Outcome::Kind::ok, false, response.code, std::move(text), 0});
        // RFC 5321, 4.2.1: 4yz may be tried again, 5yz may not.
        ended_(id, response.code >= 500 ? refused(std::move(text), response.code) : failed(std::move(text), response.code));
    });
}

// Under a name made of the delivery, so that a repeat replaces the file instead of adding another.
Outcome Couriers::store_mail(DeliveryId id, const std::string& mail) {
    const std::string path = fmt::format("{}/{}.eml", parts_.mail_directory, id.str()), unfinished = path + ".part";
    auto store = [&]() -> Result<void> {
        TRY(const auto file, parts_.disk.open(unfinished, world::OpenMode::create));
        TRY_VOID(file->write_at(0, mail));
        TRY_VOID(file->sync_data());
        TRY_VOID(parts_.disk.rename(unfinished, path));
        return parts_.disk.sync_directory(parts_.mail_directory);
    };
    if (auto stored = store(); !stored.ok()) return failed(stored.error().message);
    return {Outcome::Kind::ok, false, 0, "stored as " + path, 0};
}

void Couriers::webhook(const Job& job, const TargetConfig& target, const ExecutionView& execution) {
    const Delivery& d = job.delivery;
    const MessageFacts facts{d, execution, job.incident ? &*job.incident : nullptr, target.locale, parts_.config.console_url};
    WebhookRequest rendered = render_webhook(facts, render_message(facts), target.secret, parts_.clock.now(), parts_.version);
    http::ClientRequest request;
    request.url = target.url;
    request.headers = std::move(rendered.headers);
    request.headers.insert(request.headers.end(), target.headers.begin(), target.headers.end());
    request.body = std::move(rendered.body);
    request.timeout_ms = target.timeout_ms;
    client_.send(std::move(request), [this, id = d.id](std::variant<http::ClientResponse, http::ClientFailure> answer) {
        if (const auto* failure = std::get_if<http::ClientFailure>(&answer)) return ended_(id, outcome_of(*failure));
        const auto& response = std::get<http::ClientResponse>(answer);
        const int status = response.status;
        std::string text = fmt::format("HTTP {}{}{}", status, response.body.empty() ? "" : ": ", response.body.substr(0, 200));
        if (status >= 200 && status < 300) return ended_(id, {Outcome::Kind::ok, false, status, std::move(text), 0});
        if (status >= 300 && status < 400) return ended_(id, refused(fmt::format("HTTP {}: redirects are not followed; configure the final URL", status), status));
        const bool again = status == 408 || status == 425 || status == 429 || status >= 500;
        if (!again) return ended_(id, refused(std::move(text), status));
        ended_(id, {Outcome::Kind::failed, false, status, std::move(text), retry_after_ms(response.header("Retry-After"))});
    });
}

void Couriers::write_log(const Job& job, const ExecutionView& execution) {
    const Delivery& d = job.delivery;
    const Message message = render_message({d, execution, job.incident ? &*job.incident : nullptr, Locale::en, parts_.config.console_url});
    std::string cause;
    for (const auto& a : execution.actions)
        if (a.state == waybill::State::failed && (d.stage.empty() || a.stage == d.stage))
            cause = fmt::format(" stage={:?} action={:?} error_code={:?} summary={:?}", a.stage, a.name, a.error_code, a.summary);
    spdlog::info("notify delivery_id={} topic={} pipeline={:?} execution_id={:?} subject={:?}{}", d.id.str(), to_string(d.topic), d.pipeline.pipeline, d.execution_id, message.subject,
                 cause);
    ended_(d.id, {Outcome::Kind::ok, false, 0, "written to the log", 0});
}

// CodePipeline API reference, RetryStageExecution; json 1.1.
void Couriers::retry_stage(const Job& job) {
    const Delivery& d = job.delivery;
    const CodePipelineEndpoint* endpoint = endpoint_of(parts_.config, d.pipeline);
    if (!endpoint) return ended_(d.id, refused("no CodePipeline endpoint is configured for the account and region any more"));
    const wire::Credentials credentials = credentials_of(endpoint->access_key_id, endpoint->secret_access_key, endpoint->session_token);
    if (credentials.access_key_id.empty())
        return ended_(d.id, refused("no credentials for the CodePipeline endpoint: set codepipeline[].access_key_id, or AWS_ACCESS_KEY_ID in the environment"));
    http::ClientRequest request;
    request.url = endpoint->url.empty() ? fmt::format("https://codepipeline.{}.amazonaws.com/", d.pipeline.region) : endpoint->url;
    request.headers = {{"Content-Type", "application/x-amz-json-1.1"}, {"X-Amz-Target", "CodePipeline_20150709.RetryStageExecution"}};
    JsonWriter w(request.body);
    w.begin_object().key("pipelineName").text(d.pipeline.pipeline).key("stageName").text(d.stage).key("pipelineExecutionId").text(d.execution_id);
    w.key("retryMode").text("FAILED_ACTIONS").end_object();
    request.timeout_ms = endpoint->timeout_ms;
    if (auto signed_ = wire::sign(request, credentials, d.pipeline.region, "codepipeline", parts_.clock.now(), keys_); !signed_.ok())
        return ended_(d.id, refused(signed_.error().message));
    client_.send(std::move(request), [this, id = d.id](std::variant<http::ClientResponse, http::ClientFailure> answer) {
        if (const auto* failure = std::get_if<http::ClientFailure>(&answer)) return ended_(id, outcome_of(*failure));
        const auto& response = std::get<http::ClientResponse>(answer);
        if (response.status >= 200 && response.status < 300) return ended_(id, {Outcome::Kind::ok, false, response.status, "RetryStageExecution was accepted", 0});
        const AwsAnswer said = read_aws_error(response);
        const std::string text = fmt::format("{}: {}", said.code.empty() ? fmt::format("HTTP {}", response.status) : said.code, said.message);
        const bool again = response.status >= 500 || response.status == 429 || said.code.starts_with("Throttling") || said.code == "TooManyRequestsException" ||
                           said.code == "ConcurrentPipelineExecutionsLimitExceededException";
        if (again) return ended_(id, {Outcome::Kind::failed, false, response.status, text, retry_after_ms(response.header("Retry-After"))});
        ended_(id, refused(text, response.status));
    });
}

}  // namespace waybill::node
