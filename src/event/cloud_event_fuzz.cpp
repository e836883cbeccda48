// Arbitrary CloudEvents, structured and binary: what is not refused must be an envelope that is JSON, whose data cannot reach out
// of `detail`. It cannot generate events near the size limits (the fuzzer's own bound).
#include <simdjson.h>

#include <cstdint>

#include "base/assert.h"
#include "event/cloud_event.h"

namespace {

using namespace waybill;

void check(const std::variant<std::string, FieldError>& made) {
    if (const auto* error = std::get_if<FieldError>(&made)) {
        ASSERT(!error->reason.empty());
        return;
    }
    thread_local simdjson::dom::parser parser;
    simdjson::dom::element root;
    const auto& text = std::get<std::string>(made);
    // One level more than the data had: only that may be too much.
    const auto code = parser.parse(text).get(root);
    if (code == simdjson::DEPTH_ERROR) return;
    ASSERT(code == simdjson::SUCCESS && root.is_object());
    size_t members = 0;
    for (const auto field : simdjson::dom::object(root)) {
        (void)field;
        ++members;
    }
    ASSERT(members == 9);
    ASSERT(root["detail"].is_object());
    ASSERT(root["source"].is_string() && root["id"].is_string());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const CloudDefaults defaults{"000000000000", "us-east-1", 0};
    check(from_structured(bytes, defaults));
    // The same bytes as header values and a body, cut at zeros.
    std::vector<std::string_view> parts;
    for (std::string_view rest = bytes; parts.size() < 5;) {
        const size_t end = rest.find('\0');
        parts.push_back(rest.substr(0, end));
        rest = end == rest.npos ? std::string_view() : rest.substr(end + 1);
    }
    check(from_binary({{"specversion", "1.0"},
                       {"id", std::string(parts[0])},
                       {"source", std::string(parts[1])},
                       {"type", std::string(parts[2])},
                       {"subject", std::string(parts[3])}},
                      "application/json", parts[4], defaults));
    return 0;
}
