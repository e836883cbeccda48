#include "wire/aws_request.h"

#include <algorithm>

#include "wire/sigv4.h"

namespace waybill::wire {

namespace {

struct Name {
    std::string_view key, service;
};

// X-Amz-Target and rpc-v2-cbor prefixes (the service models' targetPrefix).
constexpr Name targets[] = {
    {"AWSEvents", "events"},
    {"CodePipeline_20150709", "codepipeline"},
    {"AmazonSQS", "sqs"},
    {"GraniteServiceVersion20100801", "monitoring"},
    {"Logs_20140328", "logs"},
    {"DynamoDB_20120810", "dynamodb"},
    {"DynamoDBStreams_20120810", "dynamodb"},
    {"CodeBuild_20161006", "codebuild"},
    {"CodeDeploy_20141006", "codedeploy"},
    {"CodeCommit_20150413", "codecommit"},
    {"CodeConnections_20231201", "codeconnections"},
    {"com.amazonaws.codestar.connections.CodeStar_connections_20191201", "codestar-connections"},
    {"AmazonSNS", "sns"},
    {"AWSSecurityTokenServiceV20110615", "sts"},
    {"AWSStepFunctions", "states"},
    {"AmazonSSM", "ssm"},
    {"secretsmanager", "secretsmanager"},
    {"TrentService", "kms"},
};

// Query: Version names the service where the signature does not.
constexpr Name versions[] = {
    {"2010-03-31", "sns"}, {"2010-08-01", "monitoring"}, {"2012-11-05", "sqs"},
    {"2011-06-15", "sts"}, {"2010-05-08", "iam"},        {"2010-05-15", "cloudformation"},
};

// rest-json: how a service's paths begin (service models, requestUri).
constexpr Name paths[] = {
    {"/2015-03-31/functions", "lambda"},
    {"/2015-03-31/event-source-mappings", "lambda"},
    {"/2014-11-13/functions", "lambda"},
    {"/2021-10-31/functions", "lambda"},
    {"/2017-03-31/tags", "lambda"},
    {"/2017-10-31/functions", "lambda"},
    {"/2019-09-25/functions", "lambda"},
    {"/2019-09-30/functions", "lambda"},
    {"/2016-08-19/account-settings", "lambda"},
    {"/schedules", "scheduler"},
    {"/schedule-groups", "scheduler"},
    {"/v1/pipes", "pipes"},
};

template <size_t N>
std::string_view find(const Name (&names)[N], std::string_view key) {
    for (auto& n : names)
        if (n.key == key) return n.service;
    return {};
}

// An operation or target names a thing: letters, digits, '_', '.', '-'. Anything else is not from a client that we could answer.
bool is_name(std::string_view text) {
    return !text.empty() && text.size() <= 128 && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
    });
}

bool recognise_form(AwsRequest& request, std::string_view form) {
    // Looks before it decodes: an ordinary body is no form at all.
    if (!form.starts_with("Action=") && form.find("&Action=") == std::string_view::npos) return false;
    auto pairs = http::parse_form(form);
    for (auto& [key, value] : pairs) {
        if (key != "Action" || !is_name(value)) continue;
        request.protocol = Protocol::query;
        request.operation = value;
        request.parameters = std::move(pairs);
        if (auto version = request.parameter("Version")) request.service = find(versions, *version);
        if (request.service.empty()) request.service = request.scope_service;
        return true;
    }
    return false;
}

}  // namespace

std::string_view to_string(Protocol protocol) {
    switch (protocol) {
        case Protocol::json_1_0: return "json-1.0";
        case Protocol::json_1_1: return "json-1.1";
        case Protocol::query: return "query";
        case Protocol::rest_json: return "rest-json";
        case Protocol::rpc_v2_cbor: return "rpc-v2-cbor";
    }
    return "unknown";
}

std::optional<std::string_view> AwsRequest::parameter(std::string_view name) const {
    for (auto& [key, value] : parameters)
        if (key == name) return value;
    return std::nullopt;
}

std::optional<AwsRequest> recognise_aws_request(const http::Head& head, std::string_view body) {
    AwsRequest request;
    if (auto scope = credential_scope_of(head)) {
        request.access_key_id = scope->access_key_id;
        request.region = scope->region;
        request.scope_service = scope->service;
        bool digits =
            std::all_of(scope->access_key_id.begin(), scope->access_key_id.end(), [](char c) { return c >= '0' && c <= '9'; });
        if (digits && scope->access_key_id.size() == 12) request.account = scope->access_key_id;
    }
    std::string_view type = head.header_or("Content-Type");
    type = type.substr(0, type.find(';'));

    if (auto target = head.header("X-Amz-Target")) {
        size_t dot = target->rfind('.');
        std::string_view prefix = target->substr(0, dot == std::string_view::npos ? 0 : dot);
        std::string_view operation = dot == std::string_view::npos ? *target : target->substr(dot + 1);
        if (!is_name(operation) || (!prefix.empty() && !is_name(prefix))) return std::nullopt;
        request.target = prefix;
        request.operation = operation;
        request.service = find(targets, prefix);
        if (request.service.empty()) request.service = request.scope_service;
        bool one_zero = http::same_name(type, "application/x-amz-json-1.0");
        request.protocol = one_zero ? Protocol::json_1_0 : Protocol::json_1_1;
        return request;
    }

    std::string_view path = head.path();
    size_t middle = path.find("/operation/");
    if (path.starts_with("/service/") && middle != std::string_view::npos && middle > 9) {
        std::string_view prefix = path.substr(9, middle - 9), operation = path.substr(middle + 11);
        if (is_name(prefix) && is_name(operation)) {
            request.protocol = Protocol::rpc_v2_cbor;
            request.target = prefix;
            request.operation = operation;
            request.service = find(targets, prefix);
            if (request.service.empty()) request.service = request.scope_service;
            return request;
        }
    }

    bool form = head.method() == "POST" && (http::same_name(type, "application/x-www-form-urlencoded") || type.empty());
    if (form && recognise_form(request, body)) return request;
    // With a signature or a Version, "?Action=" is an AWS query; alone it might be anybody's.
    if (head.raw_query().find("Action=") != std::string_view::npos) {
        bool meant = !request.access_key_id.empty() || head.raw_query().find("Version=") != std::string_view::npos;
        if (meant && recognise_form(request, head.raw_query())) return request;
    }

    request.protocol = Protocol::rest_json;
    for (auto& known : paths) {
        if (!path.starts_with(known.key) || (path.size() > known.key.size() && path[known.key.size()] != '/')) continue;
        request.service = known.service;
        return request;
    }
    if (request.access_key_id.empty()) return std::nullopt;
    request.service = request.scope_service;
    return request;
}

}  // namespace waybill::wire
