// What a target of a rule is sent: the event, a constant, a part of the event, or a text made of parts of it (PutTargets: Input,
// InputPath, InputTransformer). It follows what AWS was seen to do, byte for byte where that is known; docs/input-transformer.md
// says what was seen, and where nothing was seen what is done here.
//
// A CompiledInput is made once, when a target is put, and renders any number of events: one walk over the event, one pass over
// the template, no tree of values, so that 1.0 stays 1.0. It is a value; render() is const and may be called from any thread.
// Nothing here does I/O, reads a clock or throws, and a result never grows beyond rendered_bytes.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "event/limits.h"

namespace waybill::bus {

constexpr size_t input_characters = 8192;           // of Input; EventBridge: TargetInput 8192
constexpr size_t input_template_characters = 8192;  // of InputTemplate; EventBridge: TransformerInput 8192
constexpr size_t input_paths = 100;                 // entries of InputPathsMap; EventBridge: 100
constexpr size_t input_variable_characters = 256;   // of a variable's name; EventBridge: 256
// Of what a target is sent: as much as the largest event, so that what comes in goes out. A template may name a large value
// often; this keeps 8 KiB of template from becoming hundreds of megabytes.
constexpr size_t rendered_bytes = limits::event_bytes;

struct InputTransformer {
    std::vector<std::pair<std::string, std::string>> paths_map;  // variable, path
    std::string template_;
    bool operator==(const InputTransformer&) const = default;
};

struct TargetInput {
    std::optional<std::string> input, input_path;
    std::optional<InputTransformer> transformer;
    // Not AWS's: what is put between quotes is escaped as JSON, so that a commit message with a quote or a line break in it
    // cannot spoil the result.
    bool escape_text = false;
    bool operator==(const TargetInput&) const = default;
};

struct RenderContext {
    std::string_view rule_arn, rule_name;
    TimeMs ingestion_time = no_time;  // when the event came to the bus
};

// Refuses with AWS's words what PutTargets refuses (ValidationException). `member` is how those words name the target's place.
Result<void> check(const TargetInput& input, std::string_view target_id, std::string_view member = "targets.1.member");

class CompiledInput {
public:
    // The whole event.
    CompiledInput();
    // Refuses what check() refuses.
    static Result<CompiledInput> compile(const TargetInput& input, std::string_view target_id,
                                         std::string_view member = "targets.1.member");

    // `event_json`: the event as it is stored, valid JSON. Invalid: the result would not be JSON although the template is a JSON
    // object, or would be larger than rendered_bytes; the target cannot be sent this event (ERROR_CODE INVALID_JSON).
    Result<std::string> render(std::string_view event_json, const RenderContext& context) const;

private:
    struct Plan;
    explicit CompiledInput(std::shared_ptr<const Plan> plan);
    std::shared_ptr<const Plan> plan_;  // nothing: the whole event
};

// Both at once, for what is used only once.
Result<std::string> render(const TargetInput& input, std::string_view event_json, const RenderContext& context);

}  // namespace waybill::bus
