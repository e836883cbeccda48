// Arbitrary bodies through the splitter, in arbitrary pieces and in one: both must see the same values at the same places, every
// value must be where it says, and none may be longer than the limit. It cannot generate bodies of many megabytes (the fuzzer's
// own bound), so the limit on a value is made small.
#include <cstdint>
#include <tuple>

#include "base/assert.h"
#include "event/splitter.h"

namespace {

using namespace waybill;

struct Seen {
    std::vector<std::tuple<std::string, uint64_t, uint64_t, bool>> values;
    std::string error;
    uint64_t error_byte = 0, whole = 0;
    bool operator==(const Seen&) const = default;
};

constexpr size_t max_value = 64;

Seen split(Framing framing, std::string_view body, size_t step, size_t stop_after) {
    Splitter splitter(framing, max_value);
    Seen seen;
    const Splitter::Sink sink = [&](const SplitValue& value) {
        ASSERT(value.index == seen.values.size() && value.text.size() <= max_value && value.byte <= body.size());
        ASSERT(value.too_long ? value.text.empty() : body.substr(value.byte, value.text.size()) == value.text);
        seen.values.emplace_back(value.text, value.byte, value.line, value.too_long);
        return seen.values.size() < stop_after;
    };
    Result<void> cut;
    for (size_t at = 0; at < body.size() && cut.ok(); at += step) cut = splitter.feed(body.substr(at, step), sink);
    if (cut.ok()) cut = splitter.finish(sink);
    if (!cut.ok()) {
        seen.error = cut.error().message;
        seen.error_byte = splitter.error_byte();
        ASSERT(seen.error_byte <= body.size());
    }
    seen.whole = splitter.whole();
    ASSERT(seen.whole <= body.size());
    return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 3) return 0;
    const Framing framing = data[0] & 1 ? Framing::json : Framing::ndjson;
    const size_t step = 1 + data[1] % 16, stop_after = data[2] ? SIZE_MAX : 2;
    const std::string_view body(reinterpret_cast<const char*>(data) + 3, size - 3);
    ASSERT(split(framing, body, body.size() + 1, stop_after) == split(framing, body, step, stop_after));
    return 0;
}
