#include "bus/target_request.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/assert.h"
#include "base/json_writer.h"
#include "bus/json_path.h"
#include "http/head.h"

namespace waybill::bus {
namespace {

using Verdict = TargetAnswer::Verdict;

std::string letters_of(std::string_view key, size_t most) {
    std::string out;
    for (const char c : key) {
        const bool taken = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
        out.push_back(taken ? c : '-');
        if (out.size() == most) break;
    }
    return out;
}

std::string base_url(const Arn& target, std::string_view endpoint) {
    if (endpoint.empty()) return fmt::format("https://{}.{}.{}", target.service, target.region, domain_of(target.region));
    while (endpoint.ends_with('/')) endpoint.remove_suffix(1);
    return std::string(endpoint);
}

AwsCall call_of(const Arn& target, const TargetParameters& parameters, std::string_view endpoint, std::string_view path = "/") {
    AwsCall call;
    call.service = target.service;
    call.region = target.region;
    call.role_arn = parameters.role_arn;
    call.request.url = base_url(target, endpoint).append(path);
    call.request.timeout_ms = aws_call_timeout_ms;
    return call;
}

AwsCall json_call(const Arn& target, const TargetParameters& parameters, std::string_view endpoint, std::string_view version,
                  std::string_view operation) {
    AwsCall call = call_of(target, parameters, endpoint);
    call.request.headers = {{"Content-Type", fmt::format("application/x-amz-json-{}", version)},
                            {"X-Amz-Target", std::string(operation)}};
    return call;
}

bool is_string(std::string_view json) { return json.size() >= 2 && json.front() == '"' && json.back() == '"'; }

std::optional<std::string_view> member(const std::vector<std::pair<std::string, std::string_view>>& members,
                                       std::string_view name) {
    for (const auto& [key, value] : members)
        if (key == name) return value;
    return {};
}

// SQS API reference, SendMessage. A FIFO queue must deduplicate by content, as EventBridge asks of its users.
AwsCall send_message(const Arn& target, const TargetParameters& parameters, std::string_view payload, std::string_view endpoint) {
    AwsCall call = json_call(target, parameters, endpoint, "1.0", "AmazonSQS.SendMessage");
    JsonWriter w(call.request.body);
    w.begin_object().key("QueueUrl").text(fmt::format("{}/{}/{}", base_url(target, endpoint), target.account, name_in(target)));
    w.key("MessageBody").text(payload);
    if (parameters.message_group_id) w.key("MessageGroupId").text(*parameters.message_group_id);
    w.end_object();
    return call;
}

// SNS API reference, Publish; the query protocol.
AwsCall publish(const Arn& target, const TargetParameters& parameters, std::string_view payload, std::string_view endpoint) {
    AwsCall call = call_of(target, parameters, endpoint);
    call.request.headers = {{"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"}};
    call.request.body = fmt::format("Action=Publish&Version=2010-03-31&TopicArn={}&Message={}",
                                    http::percent_encode(target.text(), false), http::percent_encode(payload, false));
    return call;
}

// Lambda API reference, Invoke; 202 says that the event is queued there. The ARN is one segment of the path, so its colons and
// slashes are encoded; the signature encodes the path once more.
AwsCall invoke(const Arn& target, const TargetParameters& parameters, std::string_view payload, std::string_view endpoint) {
    AwsCall call = call_of(target, parameters, endpoint,
                           fmt::format("/2015-03-31/functions/{}/invocations", http::percent_encode(target.text(), false)));
    call.request.headers = {{"Content-Type", "application/json"}, {"X-Amz-Invocation-Type", "Event"}};
    call.request.body = payload;
    return call;
}

// CodePipeline API reference, StartPipelineExecution. Of the input only what that operation knows is handed on: revisions and
// variables (CodePipeline User Guide, "Start a pipeline with a source revision override").
AwsCall start_pipeline(const Arn& target, const TargetParameters& parameters, std::string_view payload,
                       const DeliveryContext& context, std::string_view endpoint) {
    AwsCall call = json_call(target, parameters, endpoint, "1.1", "CodePipeline_20150709.StartPipelineExecution");
    JsonWriter w(call.request.body);
    w.begin_object().key("name").text(name_in(target));
    if (const std::string token = letters_of(context.key, 128); !token.empty()) {
        std::string dashed = token;
        std::ranges::replace(dashed, '_', '-');  // its tokens know no underscore
        w.key("clientRequestToken").text(dashed);
    }
    if (const auto members = json_members(payload)) {
        for (const std::string_view name : {"sourceRevisions", "variables"}) {
            const auto value = member(*members, name);
            if (!value) continue;
            if (value->starts_with('[')) w.key(name).raw(*value);
            if (value->starts_with('{')) w.key(name).begin_array().raw(*value).end_array();
        }
    }
    w.end_object();
    return call;
}

// Step Functions API reference, StartExecution. The name makes a repeated attempt the same execution.
AwsCall start_execution(const Arn& target, const TargetParameters& parameters, std::string_view payload,
                        const DeliveryContext& context, std::string_view endpoint) {
    AwsCall call = json_call(target, parameters, endpoint, "1.0", "AWSStepFunctions.StartExecution");
    JsonWriter w(call.request.body);
    w.begin_object().key("stateMachineArn").text(target.text());
    if (const std::string name = letters_of(context.key, 80); !name.empty()) w.key("name").text(name);
    w.key("input").text(payload).end_object();
    return call;
}

// CloudWatch Logs API reference, CreateLogStream and PutLogEvents. Each event has a stream of its own, named by its id;
// EventBridge too makes streams that are named by an id.
std::vector<AwsCall> put_log_events(const Arn& target, const TargetParameters& parameters, std::string_view payload,
                                    const DeliveryContext& context, std::string_view endpoint) {
    // An input of exactly a time and a message says both; any other is the message (EventBridge User Guide, CloudWatch Logs
    // targets).
    std::string message(payload);
    TimeMs time = context.event_time == no_time ? 0 : context.event_time;
    if (const auto members = json_members(payload); members && members->size() == 2) {
        const auto said_time = member(*members, "timestamp"), said_message = member(*members, "message");
        if (said_time && said_message) {
            message = is_string(*said_message) ? decode_json_string(*said_message) : std::string(*said_message);
            if (is_string(*said_time)) {
                time = parse_time(decode_json_string(*said_time)).value_or(time);
            } else {
                int64_t number = 0;
                const auto [end, ec] = std::from_chars(said_time->data(), said_time->data() + said_time->size(), number);
                if (ec == std::errc{} && end == said_time->data() + said_time->size()) time = number;
            }
        }
    }
    const std::string stream = letters_of(context.event_id, 512);
    std::vector<AwsCall> calls(2);
    calls[0] = json_call(target, parameters, endpoint, "1.1", "Logs_20140328.CreateLogStream");
    JsonWriter(calls[0].request.body)
        .begin_object()
        .key("logGroupName")
        .text(name_in(target))
        .key("logStreamName")
        .text(stream)
        .end_object();
    calls[0].passable = {"ResourceAlreadyExistsException"};
    calls[1] = json_call(target, parameters, endpoint, "1.1", "Logs_20140328.PutLogEvents");
    JsonWriter w(calls[1].request.body);
    w.begin_object().key("logGroupName").text(name_in(target)).key("logStreamName").text(stream).key("logEvents").begin_array();
    w.begin_object().key("timestamp").number(time).key("message").text(message).end_object();
    w.end_array().end_object();
    return calls;
}

// EventBridge API reference, PutEvents, of another account or region. What is sent on must be an event still.
Result<AwsCall> put_events(const Arn& target, const TargetParameters& parameters, std::string_view payload,
                           std::string_view endpoint) {
    const auto members = json_members(payload);
    const auto source = members ? member(*members, "source") : std::nullopt,
               type = members ? member(*members, "detail-type") : std::nullopt,
               detail = members ? member(*members, "detail") : std::nullopt;
    if (!source || !is_string(*source) || !type || !is_string(*type) || !detail || !detail->starts_with('{'))
        return invalid("an event bus takes only an event: an object with source, detail-type and detail");
    AwsCall call = json_call(target, parameters, endpoint, "1.1", "AWSEvents.PutEvents");
    JsonWriter w(call.request.body);
    w.begin_object().key("Entries").begin_array().begin_object();
    w.key("EventBusName").text(target.text()).key("Source").raw(*source).key("DetailType").raw(*type).key("Detail").text(*detail);
    if (const auto resources = member(*members, "resources"); resources && resources->starts_with('['))
        w.key("Resources").raw(*resources);
    if (const auto time = member(*members, "time"); time && is_string(*time))
        if (const auto parsed = parse_time(decode_json_string(*time))) {
            const TimeMs ms = *parsed;
            w.key("Time").raw(ms % 1000 == 0 ? std::to_string(ms / 1000) : fmt::format("{:.3f}", static_cast<double>(ms) / 1000));
        }
    w.end_object().end_array().end_object();
    return call;
}

// --- answers

bool any_of(std::string_view code, std::initializer_list<std::string_view> names) {
    return std::ranges::find(names, code) != names.end();
}

TargetAnswer again(std::string_view code, std::string message) {
    return {Verdict::again, std::string(code), std::move(message), 0};
}
TargetAnswer never(std::string_view code, std::string message) {
    return {Verdict::never, std::string(code), std::move(message), 0};
}

// By what the error is called; the services use many names for few things.
TargetAnswer by_fault(int status, const AwsFault& fault, std::string message) {
    const std::string_view code = fault.code;
    auto has = [&](std::string_view part) { return code.find(part) != code.npos; };
    if (has("Throttl") || status == 429 ||
        any_of(code, {"TooManyRequestsException", "RequestLimitExceeded", "ProvisionedThroughputExceededException", "SlowDown",
                      "BandwidthLimitExceeded", "ConcurrentPipelineExecutionsLimitExceededException", "OverLimit"}))
        return again("THROTTLING", std::move(message));
    // Keys that are too old and clocks that differ are put right outside; the event waits for it.
    if (has("ExpiredToken") || any_of(code, {"RequestExpired", "RequestTimeTooSkewed", "TokenRefreshRequired"}))
        return again("SDK_CLIENT_ERROR", std::move(message));
    if (status == 408 || any_of(code, {"RequestTimeout", "RequestTimeoutException"})) return again("TIMEOUT", std::move(message));
    if (status >= 500 || any_of(code, {"ServiceUnavailable", "ServiceUnavailableException", "InternalFailure", "InternalError",
                                       "InternalException", "ServiceException"}))
        return again("ERROR_FROM_TARGET", std::move(message));
    if (has("LimitExceeded")) return again("RESOURCE_LIMIT_EXCEEDED", std::move(message));
    if (any_of(code, {"ConflictException", "ResourceConflictException", "OperationAbortedException",
                      "ConcurrentModificationException"}))
        return again("RESOURCE_MODIFICATION_COLLISION", std::move(message));
    if (has("AlreadyExists")) return never("RESOURCE_ALREADY_EXISTS", std::move(message));
    if (has("NonExistentQueue") || has("NotFound") || has("DoesNotExist") || code == "StateMachineDeleting" || status == 404)
        return never("NO_RESOURCE", std::move(message));
    if (has("AccessDenied") || has("NotAuthorized") || has("Unauthorized") || status == 401 || status == 403 ||
        any_of(code, {"AuthorizationError", "InvalidClientTokenId", "UnrecognizedClientException", "InvalidSignatureException",
                      "SignatureDoesNotMatch", "MissingAuthenticationToken", "OptInRequired"}))
        return never("NO_PERMISSIONS", std::move(message));
    if (any_of(code, {"InvalidRequestContentException", "InvalidExecutionInput", "MalformedDetail", "SerializationException"}))
        return never("INVALID_JSON", std::move(message));
    if (has("InvalidParameter") || has("Validation") || has("InvalidArgument"))
        return never("INVALID_PARAMETER", std::move(message));
    return never("SDK_CLIENT_ERROR", std::move(message));
}

std::string_view between(std::string_view text, std::string_view open, std::string_view close) {
    const size_t from = text.find(open);
    if (from == text.npos) return {};
    const size_t to = text.find(close, from + open.size());
    return to == text.npos ? std::string_view() : text.substr(from + open.size(), to - from - open.size());
}

// PutEvents answers 200 and says in the body which entries it did not take.
std::optional<AwsFault> entry_fault(std::string_view body) {
    thread_local simdjson::dom::parser parser;
    simdjson::dom::element root;
    int64_t failed = 0;
    if (parser.parse(body.data(), body.size(), true).get(root) != simdjson::SUCCESS) return {};
    if (root["FailedEntryCount"].get(failed) != simdjson::SUCCESS || failed == 0) return {};
    AwsFault fault;
    std::string_view text;
    if (root["Entries"].at(0)["ErrorCode"].get(text) == simdjson::SUCCESS) fault.code = text;
    if (root["Entries"].at(0)["ErrorMessage"].get(text) == simdjson::SUCCESS) fault.message = text;
    return fault;
}

}  // namespace

Result<void> check_parameters(const Arn& target, const TargetParameters& parameters, std::string_view target_id,
                              std::string_view region) {
    static constexpr std::array<std::string_view, 14> with_role{"batch",     "codebuild", "codepipeline",  "ecs",     "events",
                                                                "firehose",  "glue",      "inspector",     "kinesis", "redshift",
                                                                "sagemaker", "ssm",       "ssm-incidents", "states"};
    if (parameters.role_arn.empty() && std::ranges::find(with_role, target.service) != with_role.end())
        return invalid(fmt::format("RoleArn is required for target {}.", target.text()));
    if (parameters.http && target.service != "events" && target.service != "execute-api")
        return invalid(fmt::format("Parameter(s) HttpParameters not supported for target: {}", target_id));
    if (target.service == "sqs" && target.resource.ends_with(".fifo") && !parameters.message_group_id)
        return invalid(fmt::format("Parameter(s) SqsParameters must be specified for target: {}", target_id));
    if (!parameters.dead_letter_arn.empty()) {
        const auto queue = parse_arn(parameters.dead_letter_arn);
        if (!queue)
            return invalid(fmt::format("Parameter {} is not valid. Reason: Provided Arn is not in correct format.",
                                       parameters.dead_letter_arn));
        if (queue->service != "sqs")
            return invalid(fmt::format("{} is not supported as a dead letter resource.", queue->service));
        if (queue->resource.ends_with(".fifo")) return invalid("SQS FIFO is not supported by Dead Letter Queues.");
        if (queue->region != region)
            return invalid(
                fmt::format("The dead-letter queue {} must be in the rule's region, {}.", parameters.dead_letter_arn, region));
    }
    return {};
}

Result<std::vector<AwsCall>> aws_calls(const Arn& target, const TargetParameters& parameters, std::string_view payload,
                                       const DeliveryContext& context, std::string_view endpoint) {
    std::vector<AwsCall> calls;
    switch (kind_of(target)) {
        case TargetKind::sqs: calls.push_back(send_message(target, parameters, payload, endpoint)); break;
        case TargetKind::sns: calls.push_back(publish(target, parameters, payload, endpoint)); break;
        case TargetKind::lambda: calls.push_back(invoke(target, parameters, payload, endpoint)); break;
        case TargetKind::pipeline: calls.push_back(start_pipeline(target, parameters, payload, context, endpoint)); break;
        case TargetKind::state_machine: calls.push_back(start_execution(target, parameters, payload, context, endpoint)); break;
        case TargetKind::log_group: return put_log_events(target, parameters, payload, context, endpoint);
        case TargetKind::event_bus: {
            TRY(auto call, put_events(target, parameters, payload, endpoint));
            calls.push_back(std::move(call));
            break;
        }
        case TargetKind::api_destination:
        case TargetKind::unknown:
            return unsupported(fmt::format("nothing here sends to {}: it is no AWS call that is built in", target.text()));
    }
    return calls;
}

AwsCall dead_letter_call(const Arn& queue, std::string_view payload,
                         const std::vector<std::pair<std::string, std::string>>& attributes, std::string_view endpoint) {
    AwsCall call = json_call(queue, {}, endpoint, "1.0", "AmazonSQS.SendMessage");
    JsonWriter w(call.request.body);
    w.begin_object().key("QueueUrl").text(fmt::format("{}/{}/{}", base_url(queue, endpoint), queue.account, name_in(queue)));
    w.key("MessageBody").text(payload);
    w.key("MessageAttributes").begin_object();
    for (const auto& [name, value] : attributes) {
        if (value.empty()) continue;  // SQS takes no empty attribute
        w.key(name).begin_object().key("DataType").text("String").key("StringValue").text(value).end_object();
    }
    w.end_object().end_object();
    return call;
}

AwsFault fault_in(const http::ClientResponse& response) {
    AwsFault fault;
    const std::string_view body = response.body;
    if (const size_t first = body.find_first_not_of(" \t\r\n"); first != body.npos && body[first] == '<') {
        fault.code = between(body, "<Code>", "</Code>");
        fault.message = between(body, "<Message>", "</Message>");
        return fault;
    }
    if (const auto members = json_members(body)) {
        auto text = [&](std::string_view name) {
            const auto value = member(*members, name);
            return value && is_string(*value) ? decode_json_string(*value) : std::string();
        };
        for (const std::string_view name : {"__type", "code"})
            if (fault.code.empty()) fault.code = text(name);
        for (const std::string_view name : {"message", "Message", "errorMessage"})
            if (fault.message.empty()) fault.message = text(name);
    }
    // "ns#Name", "Name:http://…": only the name.
    if (fault.code.empty()) fault.code = response.header("x-amzn-ErrorType");
    fault.code = fault.code.substr(0, fault.code.find(':'));
    if (const size_t hash = fault.code.rfind('#'); hash != fault.code.npos) fault.code.erase(0, hash + 1);
    // Services that once spoke query say here what they said then; only where nothing else names the error.
    if (fault.code.empty()) {
        const std::string_view query = response.header("x-amzn-query-error");
        fault.code = query.substr(0, query.find(';'));
    }
    return fault;
}

std::optional<int64_t> retry_after_ms(std::string_view value, TimeMs now) {
    constexpr int64_t day_ms = 86'400'000;
    int64_t seconds = 0;
    const auto [end, ec] = std::from_chars(value.data(), value.data() + value.size(), seconds);
    if (!value.empty() && end == value.data() + value.size()) {
        if (ec == std::errc::result_out_of_range) return value.front() == '-' ? -1 : day_ms;
        if (ec == std::errc{}) return seconds < 0 ? -1 : std::min(seconds, day_ms / 1000) * 1000;
    }
    // Sun, 06 Nov 1994 08:49:37 GMT
    static constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    if (value.size() != 29 || value[3] != ',' || !value.ends_with(" GMT")) return {};
    const size_t month = months.find(value.substr(8, 3));
    if (month == months.npos || month % 3 != 0) return {};
    const auto at =
        parse_time(fmt::format("{}-{:02}-{}T{}Z", value.substr(12, 4), month / 3 + 1, value.substr(5, 2), value.substr(17, 8)));
    if (!at) return {};
    return std::clamp<int64_t>(*at - now, 0, day_ms);
}

TargetAnswer read_answer(TargetKind kind, const http::ClientResponse& response, TimeMs now) {
    AwsFault fault;
    if (response.status >= 200 && response.status < 300) {
        const auto entry = kind == TargetKind::event_bus ? entry_fault(response.body) : std::nullopt;
        if (!entry) return {};
        fault = *entry;
    } else {
        fault = fault_in(response);
    }
    // An attempt whose answer was lost began that execution: its name is made of the delivery's key.
    if (kind == TargetKind::state_machine && fault.code == "ExecutionAlreadyExists") return {};
    TargetAnswer answer =
        by_fault(response.status, fault,
                 fmt::format("{}{}{}", fault.code.empty() ? fmt::format("HTTP status {}", response.status) : fault.code,
                             fault.message.empty() ? "" : ": ", fault.message));
    if (answer.verdict == Verdict::again)
        if (const auto wait = retry_after_ms(response.header("Retry-After"), now); wait && *wait > 0)
            answer.retry_after_ms = *wait;
    return answer;
}

TargetAnswer read_failure(const http::ClientFailure& failure) {
    using Kind = http::ClientFailure::Kind;
    std::string message = fmt::format("{}: {}", to_string(failure.kind), failure.text);
    switch (failure.kind) {
        case Kind::timeout: return again("TIMEOUT", std::move(message));
        case Kind::connect:
        case Kind::tls:
        case Kind::protocol:
        case Kind::broken: return again("CONNECTION_FAILURE", std::move(message));
        case Kind::overloaded:
        case Kind::stopped: return again("INTERNAL_ERROR", std::move(message));
        case Kind::invalid:
        case Kind::refused_address: return never("SDK_CLIENT_ERROR", std::move(message));
    }
    return again("UNKNOWN", std::move(message));
}

}  // namespace waybill::bus
