// What is sent to a target outside this process, as data: the AWS call for a queue, topic, function, pipeline, state machine, log
// group or another bus; and what its answer means: delivered, to be tried again, or never, with the ERROR_CODE that EventBridge's
// dead-letter queues carry. Also what PutTargets refuses in a target for its kind, in the words AWS was measured with.
//
// A call is unsigned: whoever performs it chooses the endpoint and the credentials, signs (src/wire/sigv4.h) and sends
// (src/http/client.h). Most targets need one call; a log group needs two, in order. Calls carry the delivery's own key wherever
// the service takes one (clientRequestToken, an execution's name, a log stream's name), so that a repeated attempt is one effect
// there too.
//
// Pure: no I/O, no clock, no exception; any thread. Never: assuming a target's RoleArn, which takes a call of its own; it is
// handed on.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "bus/arn.h"
#include "http/client.h"

namespace waybill::bus {

constexpr int64_t aws_call_timeout_ms =
    10'000;  // one attempt at an AWS service; the bus tries again, so none needs to wait longer

struct HttpParameters {
    std::vector<std::string> path_values;  // one for each * in the endpoint's path
    std::vector<std::pair<std::string, std::string>> headers, query;
    bool operator==(const HttpParameters&) const = default;
};

// Of a target, what its kind makes use of.
struct TargetParameters {
    std::string role_arn;
    std::optional<std::string> message_group_id;  // SqsParameters
    std::optional<HttpParameters> http;
    std::string dead_letter_arn;  // DeadLetterConfig; empty: none
    bool operator==(const TargetParameters&) const = default;
};

// Refuses as PutTargets does: a role that is missing, parameters of another kind, a dead-letter queue that is none.
// `region`: the rule's. invalid; AWS answers ValidationException.
Result<void> check_parameters(const Arn& target, const TargetParameters& parameters, std::string_view target_id,
                              std::string_view region);

struct DeliveryContext {
    std::string_view event_id;
    std::string_view key;         // the delivery's; letters, digits, '-' and '_' are used of it
    TimeMs event_time = no_time;  // the envelope's
};

struct AwsCall {
    std::string service, region;  // what it is signed for
    std::string role_arn;         // empty: the credentials as they are
    http::ClientRequest request;
    // Errors of this call after which the sequence goes on, as what it would have made is there already.
    std::vector<std::string> passable;
};

// `endpoint`: "https://host:port" to send to instead of AWS's own for that service and region. `payload`: what CompiledInput
// rendered. Unsupported: a kind that is not served by an AWS call. Invalid: the payload is not what the kind takes (ERROR_CODE
// INVALID_JSON).
Result<std::vector<AwsCall>> aws_calls(const Arn& target, const TargetParameters& parameters, std::string_view payload,
                                       const DeliveryContext& context, std::string_view endpoint = {});

// What a dead-letter queue is sent: the message, and what happened to it as message attributes, all of them strings.
AwsCall dead_letter_call(const Arn& queue, std::string_view payload,
                         const std::vector<std::pair<std::string, std::string>>& attributes, std::string_view endpoint = {});

// What an answer means for the delivery.
struct TargetAnswer {
    enum class Verdict { delivered, again, never };
    Verdict verdict = Verdict::delivered;
    std::string error_code, error_message;  // of a dead letter; empty when delivered
    int64_t retry_after_ms = 0;             // not before; 0: as the retry policy says
};

// Of one AWS call. An error that AwsCall::passable names is for the caller to pass over.
TargetAnswer read_answer(TargetKind kind, const http::ClientResponse& response, TimeMs now);
TargetAnswer read_failure(const http::ClientFailure& failure);

// The error that an answer of any AWS protocol names; empty where it names none.
struct AwsFault {
    std::string code, message;
};
AwsFault fault_in(const http::ClientResponse& response);

// Retry-After as seconds or as a date (RFC 9110, 10.2.3), at most a day, which is as long as an event lives. Nothing: none, or
// not readable. Less than zero: EventBridge takes a negative number as "do not try again".
std::optional<int64_t> retry_after_ms(std::string_view value, TimeMs now);

}  // namespace waybill::bus
