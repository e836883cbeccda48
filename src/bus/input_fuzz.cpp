// Arbitrary templates and paths over arbitrary events. Nothing crashes; what is accepted renders or gives a reason; the result of
// a template that is an object is JSON; with escape_text a template that is accepted always renders over an event that is JSON.
// The input is cut at zero bytes: template, event, then paths, whose variables are a, b, c … It cannot generate templates near
// 8192 characters or results near the bound (the fuzzer's own limit on inputs).
#include <simdjson.h>

#include <cstdint>

#include "base/assert.h"
#include "bus/input.h"
#include "bus/json_path.h"

namespace {

using namespace waybill;
using namespace waybill::bus;

bool is_json(std::string_view text) {
    thread_local simdjson::dom::parser parser;
    simdjson::dom::element root;
    return !text.empty() && parser.parse(text.data(), text.size(), true).get(root) == simdjson::SUCCESS;
}

void check_one(const TargetInput& input, std::string_view event, bool event_is_json) {
    auto compiled = CompiledInput::compile(input, "t");
    ASSERT(compiled.ok() == check(input, "t").ok());
    if (!compiled.ok()) {
        ASSERT(!compiled.error().message.empty());
        return;
    }
    auto text = compiled->render(event, {"arn:aws:events:us-east-1:000000000000:rule/r", "r", 0});
    if (!text.ok()) {
        ASSERT(!text.error().message.empty());
        ASSERT(!event_is_json || !input.escape_text);
        return;
    }
    ASSERT(text->size() <= rendered_bytes || *text == event);
    if (input.input_path && event_is_json) ASSERT(is_json(*text));
    if (input.transformer) {
        const size_t first = input.transformer->template_.find_first_not_of(" \t\r\n");
        if (input.transformer->template_[first] == '{') ASSERT(is_json(*text));
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    std::string_view rest(reinterpret_cast<const char*>(data), size);
    auto next = [&] {
        const size_t end = rest.find('\0');
        const std::string_view part = rest.substr(0, end);
        rest = end == rest.npos ? std::string_view() : rest.substr(end + 1);
        return part;
    };
    const std::string text(next());
    const std::string_view event = next();
    const bool event_is_json = is_json(event);
    InputTransformer transformer{{}, text};
    for (char name = 'a'; name <= 'f' && !rest.empty(); ++name)
        transformer.paths_map.emplace_back(std::string(1, name), std::string(next()));
    for (const auto& [name, path] : transformer.paths_map)
        check_one({.input = {}, .input_path = path, .transformer = {}}, event, event_is_json);
    check_one({.input = text, .input_path = {}, .transformer = {}}, event, event_is_json);
    TargetInput input{.input = {}, .input_path = {}, .transformer = std::move(transformer)};
    check_one(input, event, event_is_json);
    input.escape_text = true;
    check_one(input, event, event_is_json);
    return 0;
}
