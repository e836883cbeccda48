// AWS's error codes, and how each protocol carries an error or an answer. The only place that knows the codes: services return
// Error (base/result.h) or, where AWS has a name of its own for what happened, an AwsError. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "http/response.h"
#include "wire/aws_request.h"

namespace waybill::wire {

enum class Fault { sender, receiver };

struct AwsError {
    std::string code;  // the shape's name, "ResourceNotFoundException"
    std::string message;
    int status = 400;
    Fault fault = Fault::sender;
    // The code older clients of the same service know (SQS, CloudWatch: "AWS.SimpleQueueService.NonExistentQueue"); empty: the
    // same.
    std::string query_code = {};
};

// The general code of a kind of failure: what a service answers that has no name of its own for it.
AwsError aws_error(const Error& error, Protocol protocol);
// The operation named is not one that this server knows.
AwsError unknown_operation(const AwsRequest& request);
AwsError unknown_operation(const AwsRequest& request, std::string_view method, std::string_view path);  // rest-json names these

// Each carries x-amzn-RequestId; an error also x-amzn-ErrorType and, for services that once spoke query, x-amzn-query-error.
http::Response error_answer(const AwsRequest& request, const AwsError& error, std::string_view request_id);
// Protocols json and rest-json. An empty text is an empty body.
http::Response json_answer(const AwsRequest& request, std::string json, std::string_view request_id, int status = 200);
// Protocol query: `result_xml` stands inside <{Operation}Result>; without one that element is left out.
http::Response query_answer(const AwsRequest& request, std::string_view result_xml, std::string_view request_id);
// Protocol rpc-v2-cbor: `cbor` is the answer's map.
http::Response cbor_answer(std::string cbor, std::string_view request_id, int status = 200);

// Text as XML character data; control characters that XML 1.0 cannot hold become U+FFFD.
std::string xml_text(std::string_view text);
// CBOR (RFC 8949) text string, for small answers.
void cbor_text(std::string& out, std::string_view text);

// STS GetCallerIdentity, which many clients call first; query and json. The caller is shown as the account's root, which is what
// every access key of a local server is.
http::Response caller_identity_answer(const AwsRequest& request, std::string_view account, std::string_view request_id);

}  // namespace waybill::wire
