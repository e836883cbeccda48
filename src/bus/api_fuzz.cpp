// Arbitrary bodies for every operation, several in a row on one state. Nothing crashes; what is answered is JSON or an error with
// a code and a message of bounded length; a refusal changes nothing; every change can be written, read and applied, and then the
// state can still be asked. The input is cut at zero bytes; the first byte of each part chooses the operation, the rest is its
// body. It cannot generate bodies near the server's limit.
#include <simdjson.h>

#include <array>
#include <cstdint>

#include "base/assert.h"
#include "bus/api.h"
#include "bus/api_fields.h"

namespace {

using namespace waybill;
using namespace waybill::bus;

constexpr std::array<std::string_view, 41> operations{"PutRule",
                                                      "PutTargets",
                                                      "CreateEventBus",
                                                      "PutPermission",
                                                      "RemovePermission",
                                                      "TestEventPattern",
                                                      "TagResource",
                                                      "UntagResource",
                                                      "ListTagsForResource",
                                                      "DescribeEventBus",
                                                      "UpdateEventBus",
                                                      "DeleteEventBus",
                                                      "ListEventBuses",
                                                      "DescribeRule",
                                                      "EnableRule",
                                                      "DisableRule",
                                                      "DeleteRule",
                                                      "ListRules",
                                                      "ListRuleNamesByTarget",
                                                      "RemoveTargets",
                                                      "ListTargetsByRule",
                                                      "CreateArchive",
                                                      "DescribeArchive",
                                                      "UpdateArchive",
                                                      "DeleteArchive",
                                                      "ListArchives",
                                                      "StartReplay",
                                                      "DescribeReplay",
                                                      "CancelReplay",
                                                      "ListReplays",
                                                      "CreateConnection",
                                                      "DescribeConnection",
                                                      "UpdateConnection",
                                                      "DeleteConnection",
                                                      "DeauthorizeConnection",
                                                      "ListConnections",
                                                      "CreateApiDestination",
                                                      "DescribeApiDestination",
                                                      "UpdateApiDestination",
                                                      "DeleteApiDestination",
                                                      "ListApiDestinations"};

bool is_json(const std::string& text) {
    thread_local simdjson::dom::parser parser;
    simdjson::dom::element root;
    return parser.parse(text).get(root) == simdjson::SUCCESS;
}

void check_error(const wire::AwsError& error) {
    ASSERT(error.code.ends_with("Exception"));
    ASSERT(!error.message.empty());
    ASSERT(error.message.size() < 64u << 10);
    std::string json;
    JsonWriter(json).text(error.message);
    ASSERT(is_json(json));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    std::string_view rest(reinterpret_cast<const char*>(data), size);
    Bus state;
    Stamp stamp{1'700'000'000'000, 1, 100};
    for (int calls = 0; !rest.empty() && calls < 12; ++calls) {
        const size_t end = rest.find('\0');
        const std::string_view part = rest.substr(0, end);
        rest = end == rest.npos ? std::string_view() : rest.substr(end + 1);
        if (part.empty()) continue;
        const ApiRequest request{std::string(operations[static_cast<unsigned char>(part[0]) % operations.size()]),
                                 {"123456789012", "us-east-1"},
                                 part.substr(1),
                                 {}};
        ASSERT(is_bus_operation(request.operation));
        auto prepared = prepare(request);
        if (auto* error = std::get_if<wire::AwsError>(&prepared)) {
            check_error(*error);
            continue;
        }
        stamp.now += 1000;
        ++stamp.random;
        const ApiAnswer answer = std::get<Decide>(prepared)(state, stamp);
        if (auto* error = std::get_if<wire::AwsError>(&answer.result)) {
            check_error(*error);
            ASSERT(answer.changes.empty() && answer.secrets.empty());
            continue;
        }
        const auto& json = std::get<std::string>(answer.result);
        ASSERT(json.empty() || is_json(json));
        for (const Change& change : answer.changes) {
            Change again;
            ASSERT(decode(encode(change), again));
            state.apply(again, ++stamp.tail);
        }
    }
    return 0;
}
