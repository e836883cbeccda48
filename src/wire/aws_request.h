// Recognises a request to an AWS API: which of AWS's protocols it speaks, which service and operation it means, and what its
// signature says about region and account. It reads and judges nothing else: the signature is wire/sigv4.h's, the parameters are
// the service's. Pure; any thread.
//
// Told apart as AWS clients send them (AWS service models; Smithy's "AWS JSON", "AWS query", "REST JSON" and "RPC v2 CBOR"
// protocols):
//   json 1.0 / 1.1   POST /, X-Amz-Target: <prefix>.<Operation>, Content-Type: application/x-amz-json-1.x
//   rpc-v2-cbor      POST /service/<prefix>/operation/<Operation>, smithy-protocol: rpc-v2-cbor
//   query            Action=<Operation>&Version=… in a form body or in the query string
//   rest-json        anything else that is signed for a service, or whose path begins as a known service's do
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/head.h"

namespace waybill::wire {

enum class Protocol { json_1_0, json_1_1, query, rest_json, rpc_v2_cbor };
std::string_view to_string(Protocol protocol);

struct AwsRequest {
    Protocol protocol = Protocol::json_1_1;
    // The service's signing name ("events", "codepipeline", "sqs", "sns", "monitoring", "logs", "dynamodb", "sts", "lambda",
    // "scheduler", …). Told by the target, version or path; else by the signature; empty when neither says.
    std::string service;
    std::string operation;  // "PutEvents"; empty for rest-json, where method and path choose it
    std::string target;     // what came before the operation, e.g. "AWSEvents"; empty for query and rest-json
    // From the signature's credential scope; empty when the request is unsigned. Not verified.
    std::string region, access_key_id, scope_service;
    std::string account;  // the access key id where it is twelve digits, as local clients name an account; else empty
    std::vector<std::pair<std::string, std::string>> parameters;  // query only: decoded, in order, Action and Version included
    // The first parameter of that name (query).
    std::optional<std::string_view> parameter(std::string_view name) const;
};

// Nothing when it is no AWS request at all.
std::optional<AwsRequest> recognise_aws_request(const http::Head& head, std::string_view body);

}  // namespace waybill::wire
