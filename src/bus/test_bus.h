// A bus for tests of its API: an operation is prepared, decided and applied as the node does it, each change at a position of its
// own.
#pragma once

#include <gtest/gtest.h>
#include <simdjson.h>

#include <string>
#include <string_view>
#include <vector>

#include "bus/api.h"

namespace waybill::bus {

class TestBus {
public:
    Place place{"123456789012", "eu-central-1"};
    ApiLimits limits;
    Stamp stamp{1'700'000'000'000, 1, 100};
    Bus bus;
    std::vector<std::pair<uint64_t, std::string>> secrets;  // of the last operation
    std::vector<Change> changes;                            // of the last operation

    // The answer's JSON; of a refusal "CODE: message". Every operation comes a second after the one before.
    std::string operator()(std::string operation, std::string_view body) {
        secrets.clear();
        changes.clear();
        stamp.now += 1000;
        ++stamp.random;
        const auto prepared = prepare({std::move(operation), place, body, limits});
        if (const auto* error = std::get_if<wire::AwsError>(&prepared)) return error->code + ": " + error->message;
        ApiAnswer answer = std::get<Decide>(prepared)(bus, stamp);
        secrets = std::move(answer.secrets);
        changes = std::move(answer.changes);
        if (const auto* error = std::get_if<wire::AwsError>(&answer.result)) {
            EXPECT_TRUE(changes.empty() && secrets.empty()) << "a refusal changes nothing";
            return error->code + ": " + error->message;
        }
        for (const auto& change : changes) bus.apply(change, stamp.tail++);
        return std::get<std::string>(answer.result);
    }
};

// A member of an answer as compact JSON, by a JSON pointer (RFC 6901); a text without its quotes. Empty: not there.
inline std::string at(const std::string& json, std::string_view pointer) {
    simdjson::dom::parser parser;
    simdjson::dom::element root, found;
    if (parser.parse(json).get(root) != simdjson::SUCCESS || root.at_pointer(pointer).get(found) != simdjson::SUCCESS) return {};
    std::string_view text;
    return found.get(text) == simdjson::SUCCESS ? std::string(text) : simdjson::minify(found);
}

}  // namespace waybill::bus
