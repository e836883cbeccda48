// Reads an EventBridge event envelope: checks it, makes it compact, and takes out what tracking follows. This is the one door through
// which an event becomes an IncomingEvent, whatever protocol carried it. Shapes: EventBridge "Event structure"; CodePipeline "Monitoring
// CodePipeline events". Numbers keep their text: nothing here rewrites a value.
//
// An EnvelopeReader is used by one thread at a time and keeps its buffers between events. It never throws and costs O(bytes).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/hash.h"
#include "event/pipeline_event.h"

namespace waybill {

constexpr std::string_view codepipeline_source = "aws.codepipeline";

// Why an event was refused: the field by its path ("detail.state"; empty: the event as a whole) and the rule that it breaks.
struct FieldError {
    std::string field, reason;
    bool syntax = false;  // not JSON at all: what follows it in the same document cannot be trusted
};

struct IncomingEvent {
    std::string envelope;                   // compact JSON
    Hash128 identity;                       // of (bus, source, id, replay-name)
    std::string id;
    std::optional<PipelineEvent> pipeline;  // one of CodePipeline's three types
    std::string texts;                      // its EventTexts, encoded, when it has some; the log has them too
};

class EnvelopeReader {
public:
    EnvelopeReader();
    ~EnvelopeReader();
    EnvelopeReader(EnvelopeReader&&) noexcept;

    // `json`: one envelope. `bus`: the event bus it came to, part of its identity.
    std::variant<IncomingEvent, FieldError> read(std::string_view json, std::string_view bus = "default");

private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

// The long texts of a stored envelope, for load_texts. Missing ones stay empty.
struct EventTexts {
    std::string trigger_type, trigger_detail, stop_comment;
    std::string commit_id, commit_message, repository, branch, tag, author_name, author_email, author_id;
    std::string external_id, external_url, external_summary, error_code;
};
void encode(ByteWriter& out, const EventTexts& texts);
bool decode(ByteReader& in, EventTexts& texts);  // false: not what encode writes
EventTexts read_texts(std::string_view envelope);
// The commit message in a source action's summary that is JSON, as CodeStarSourceConnection writes it; nothing for any other text.
std::optional<std::string> commit_message_in(std::string_view summary);

// What a list of events is filtered by and shows, without the detail.
struct EnvelopeHead {
    std::string id, source, detail_type;
    TimeMs time = no_time;
};
EnvelopeHead read_head(std::string_view envelope);

}  // namespace waybill
