// Arbitrary ARNs, payloads, endpoints and answers. Nothing crashes; bodies of json calls are JSON; a request of an API
// destination has no header field that could be two, and no space in its URL; every answer but a good one has an error code. The
// input is cut at zero bytes: ARN or endpoint, payload, event, header value, answer's body, Retry-After. It cannot generate valid
// signatures or real services' answers beyond their seeds.
#include <simdjson.h>

#include <cstdint>

#include "base/assert.h"
#include "bus/api_destination.h"
#include "bus/json_path.h"

namespace {

using namespace waybill;
using namespace waybill::bus;

bool is_json(std::string_view text) {
    thread_local simdjson::dom::parser parser;
    simdjson::dom::element root;
    return !text.empty() && parser.parse(text.data(), text.size(), true).get(root) == simdjson::SUCCESS;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    std::string_view rest(reinterpret_cast<const char*>(data), size);
    auto next = [&] {
        const size_t end = rest.find('\0');
        const std::string_view part = rest.substr(0, end);
        rest = end == rest.npos ? std::string_view() : rest.substr(end + 1);
        return std::string(part);
    };
    const std::string name = next(), payload = next(), event = next(), value = next(), body = next(), after = next();
    (void)json_members(payload);
    (void)bus_name(name);
    if (const auto arn = parse_arn(name)) {
        ASSERT(arn->text() == name);
        (void)name_in(*arn);
        // What is put into JSON text must be UTF-8, as the door and PutTargets see to.
        const auto calls = aws_calls(*arn, {.role_arn = {}, .message_group_id = "g", .http = {}, .dead_letter_arn = {}}, payload,
                                     {event, value, 0});
        if (calls.ok() && simdjson::validate_utf8(payload) && simdjson::validate_utf8(name))
            for (const AwsCall& call : *calls)
                if (call.service != "sns" && call.service != "lambda" && (is_json(payload) || payload.empty()))
                    ASSERT(is_json(call.request.body));
        (void)check_parameters(*arn, {.role_arn = value, .message_group_id = {}, .http = {}, .dead_letter_arn = body}, "t", "r");
    }
    ApiDestination destination{.method = "POST",
                               .endpoint = name,
                               .auth = {ConnectionAuth::Kind::api_key, "X-Key", Secret(body)},
                               .headers = {},
                               .query = {},
                               .body = {}};
    destination.query.push_back({"c", Secret(body)});
    destination.body.push_back({"b", Secret("v")});
    const auto request = api_destination_request(
        destination, {.path_values = {value}, .headers = {{"X-V", value}}, .query = {{"v", value}}}, payload, event);
    if (request.ok()) {
        for (const auto& [field, text] : request->headers) ASSERT((field + text).find_first_of("\r\n") == std::string::npos);
        ASSERT(request->url.starts_with("http"));
        if (is_json(payload)) ASSERT(is_json(request->body));
    }
    for (const int status : {200, 400, 403, 404, 429, 500}) {
        http::ClientResponse response;
        response.status = status;
        response.body = body;
        response.headers = {{"Retry-After", after}, {"x-amzn-ErrorType", value}};
        for (const TargetKind kind : {TargetKind::sqs, TargetKind::event_bus, TargetKind::state_machine}) {
            const TargetAnswer answer = read_answer(kind, response, 0);
            ASSERT((answer.verdict == TargetAnswer::Verdict::delivered) == answer.error_code.empty());
            ASSERT(answer.retry_after_ms >= 0 && answer.retry_after_ms <= 86'400'000);
        }
        ASSERT(read_destination_answer(response, 0).retry_after_ms >= 0);
    }
    return 0;
}
