#include "wire/aws_error.h"

#include <fmt/format.h>

#include "base/json_writer.h"

namespace waybill::wire {

namespace {

std::string_view xml_namespace(std::string_view service) {
    if (service == "sns") return "http://sns.amazonaws.com/doc/2010-03-31/";
    if (service == "monitoring") return "http://monitoring.amazonaws.com/doc/2010-08-01/";
    if (service == "sqs") return "http://queue.amazonaws.com/doc/2012-11-05/";
    if (service == "sts") return "https://sts.amazonaws.com/doc/2011-06-15/";
    if (service == "iam") return "https://iam.amazonaws.com/doc/2010-05-08/";
    return "http://webservices.amazon.com/AWSFault/2005-15-09";
}

std::string_view content_type(Protocol protocol) {
    switch (protocol) {
        case Protocol::json_1_0: return "application/x-amz-json-1.0";
        case Protocol::json_1_1: return "application/x-amz-json-1.1";
        case Protocol::query: return "text/xml";
        case Protocol::rest_json: return "application/json";
        case Protocol::rpc_v2_cbor: return "application/cbor";
    }
    return "application/json";
}

bool was_query_service(std::string_view service) { return service == "sqs" || service == "monitoring"; }

http::Response answer(Protocol protocol, int status, std::string body, std::string_view request_id) {
    http::Response response{status, {{"x-amzn-RequestId", std::string(request_id)}}, std::move(body)};
    if (!response.body.empty()) response.headers.emplace_back("Content-Type", content_type(protocol));
    if (protocol == Protocol::rpc_v2_cbor) response.headers.emplace_back("smithy-protocol", "rpc-v2-cbor");
    return response;
}

}  // namespace

AwsError aws_error(const Error& error, Protocol protocol) {
    bool query = protocol == Protocol::query;
    switch (error.kind) {
        case ErrorKind::invalid: return {query ? "ValidationError" : "ValidationException", error.message, 400, Fault::sender};
        case ErrorKind::not_found:
            return {query ? "ResourceNotFound" : "ResourceNotFoundException", error.message, query ? 404 : 400, Fault::sender};
        case ErrorKind::conflict:
            return {query ? "Conflict" : "ConflictException", error.message, query ? 409 : 400, Fault::sender};
        // Clients repeat what is throttled, with backoff (AWS SDKs' standard retry mode).
        case ErrorKind::overloaded: return {query ? "Throttling" : "ThrottlingException", error.message, 400, Fault::sender};
        case ErrorKind::unavailable:
            return {query ? "ServiceUnavailable" : "ServiceUnavailableException", error.message, 503, Fault::receiver};
        case ErrorKind::corrupt: return {"InternalFailure", error.message, 500, Fault::receiver};
        case ErrorKind::unsupported:
            return {query ? "UnsupportedOperation" : "UnsupportedOperationException", error.message, 400, Fault::sender};
    }
    return {"InternalFailure", error.message, 500, Fault::receiver};
}

AwsError unknown_operation(const AwsRequest& request) {
    std::string service = request.service.empty() ? "this service" : request.service;
    if (request.protocol == Protocol::query)
        return {"InvalidAction",
                fmt::format("The action {} is not valid for {}: it is not an operation that Waybill answers.", request.operation,
                            service),
                400, Fault::sender};
    return {"UnknownOperationException",
            fmt::format("The operation {} of {} is not one that Waybill answers.", request.operation, service),
            request.protocol == Protocol::rpc_v2_cbor ? 404 : 400, Fault::sender};
}

AwsError unknown_operation(const AwsRequest& request, std::string_view method, std::string_view path) {
    std::string service = request.service.empty() ? "this service" : request.service;
    return {"UnknownOperationException",
            fmt::format("{} {} is not an operation of {} that Waybill answers.", method, path, service), 404, Fault::sender};
}

http::Response error_answer(const AwsRequest& request, const AwsError& error, std::string_view request_id) {
    const std::string& query_code = error.query_code.empty() ? error.code : error.query_code;
    std::string_view fault = error.fault == Fault::sender ? "Sender" : "Receiver";
    std::string body;
    switch (request.protocol) {
        case Protocol::json_1_0:
        case Protocol::json_1_1:
        case Protocol::rest_json: {
            JsonWriter json(body);
            json.begin_object().key("__type").text(error.code).key("message").text(error.message).end_object();
            break;
        }
        case Protocol::query:
            body = fmt::format(
                "<ErrorResponse "
                "xmlns=\"{}\"><Error><Type>{}</Type><Code>{}</Code><Message>{}</Message></Error><RequestId>{}</RequestId></"
                "ErrorResponse>",
                xml_namespace(request.service), fault, xml_text(query_code), xml_text(error.message), xml_text(request_id));
            break;
        case Protocol::rpc_v2_cbor:
            body.push_back('\xa2');  // a map of two
            cbor_text(body, "__type");
            cbor_text(body, error.code);
            cbor_text(body, "message");
            cbor_text(body, error.message);
            break;
    }
    http::Response response = answer(request.protocol, error.status, std::move(body), request_id);
    if (request.protocol != Protocol::query) response.headers.emplace_back("x-amzn-ErrorType", error.code);
    if (request.protocol != Protocol::query && was_query_service(request.service))
        response.headers.emplace_back("x-amzn-query-error", fmt::format("{};{}", query_code, fault));
    if (error.status == 503) response.headers.emplace_back("Retry-After", "1");
    return response;
}

http::Response json_answer(const AwsRequest& request, std::string json, std::string_view request_id, int status) {
    return answer(request.protocol, status, std::move(json), request_id);
}

http::Response query_answer(const AwsRequest& request, std::string_view result_xml, std::string_view request_id) {
    std::string body = fmt::format("<{}Response xmlns=\"{}\">", request.operation, xml_namespace(request.service));
    if (!result_xml.empty()) body += fmt::format("<{0}Result>{1}</{0}Result>", request.operation, result_xml);
    body += fmt::format("<ResponseMetadata><RequestId>{}</RequestId></ResponseMetadata></{}Response>", xml_text(request_id),
                        request.operation);
    return answer(Protocol::query, 200, std::move(body), request_id);
}

http::Response cbor_answer(std::string cbor, std::string_view request_id, int status) {
    return answer(Protocol::rpc_v2_cbor, status, std::move(cbor), request_id);
}

std::string xml_text(std::string_view text) {
    std::string out;
    out.reserve(text.size() + 16);
    for (char c : text) {
        switch (c) {
            case '<': out += "&lt;"; break;
            case '>': out += "&gt;"; break;
            case '&': out += "&amp;"; break;
            case '"': out += "&quot;"; break;
            case '\r': out += "&#xD;"; break;
            default:
                if (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t')
                    out += "\xef\xbf\xbd";
                else
                    out.push_back(c);
        }
    }
    return out;
}

void cbor_text(std::string& out, std::string_view text) {
    size_t n = text.size();
    auto head = [&](uint8_t info, unsigned bytes) {
        out.push_back(static_cast<char>(0x60 | info));
        for (unsigned i = bytes; i-- > 0;) out.push_back(static_cast<char>(n >> (8 * i)));
    };
    if (n < 24)
        head(static_cast<uint8_t>(n), 0);
    else if (n < 0x100)
        head(24, 1);
    else if (n < 0x10000)
        head(25, 2);
    else
        head(26, 4);
    out.append(text);
}

http::Response caller_identity_answer(const AwsRequest& request, std::string_view account, std::string_view request_id) {
    std::string arn = fmt::format("arn:aws:iam::{}:root", account);
    if (request.protocol == Protocol::query)
        return query_answer(request,
                            fmt::format("<Arn>{}</Arn><UserId>{}</UserId><Account>{}</Account>", xml_text(arn), xml_text(account),
                                        xml_text(account)),
                            request_id);
    std::string json;
    JsonWriter(json).begin_object().key("Account").text(account).key("Arn").text(arn).key("UserId").text(account).end_object();
    return json_answer(request, std::move(json), request_id);
}

}  // namespace waybill::wire
