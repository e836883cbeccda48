// One pipeline execution as a value: everything that is known of it, copied out of live state. It is what the API shows, what messages
// are written from, what the history keeps, and (encoded) what a retired execution is recalled from.
//
// Texts are held in two steps. `TextRef` says in which event they stand; load_texts (src/node) reads the events and fills the string
// members marked "text". Merging never looks at the strings.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/json_writer.h"
#include "event/pipeline_event.h"
#include "event/position.h"

namespace waybill {

// The event that a text is taken from: of all events that carry it, the greatest by (weight, time, content), so that the choice does not
// depend on arrival. Position 0 is none (a log begins with a header, so no group stands there).
struct TextRef {
    Position position = 0;
    uint32_t time_s = 0;     // the event's time, seconds
    uint32_t content = 0;    // PipelineEvent::content
    uint16_t weight = 0;     // more telling events weigh more

    bool operator==(const TextRef&) const = default;
    bool precedes(const TextRef& other) const {
        if (weight != other.weight) return weight < other.weight;
        if (time_s != other.time_s) return time_s < other.time_s;
        return content < other.content;
    }
};

// Which states of which attempt were seen: bit i is State(i).
struct Seen {
    uint16_t attempt = 0, states = 0;
    bool operator==(const Seen&) const = default;
};

struct ActionView {
    std::string name, action_execution_id, stage;
    State state = State::started;
    int attempt = 1;
    uint16_t seen = 0;               // states seen, as in Seen
    TimeMs start = no_time;          // earliest start-time
    TimeMs first = no_time;          // earliest of start-time and time: orders actions whose start is not known
    TimeMs update = no_time;         // latest time
    TimeMs end = no_time;            // time of the state's event where it is an end
    std::string category, owner, provider, region;
    TextRef result;
    std::string external_id, external_url, summary, error_code;  // text
};

struct StageView {
    std::string name;
    State state = State::started;
    int attempt = 1;
    bool known = false;              // a stage event was seen; otherwise the stage is known only from its actions
    std::vector<Seen> seen;
    TimeMs start = no_time, first = no_time, update = no_time, end = no_time, last_retry = no_time;
};

// What an execution's state machine must have and has not: an event was lost, or is still on its way.
struct Gap {
    Scope scope = Scope::pipeline;
    std::string stage, action, action_execution_id;
    int attempt = 1;
    std::string_view kind;           // missing_start, missing_end, missing_stages, missing_actions, missing_resume, conflicting_ends
    std::string text;                // a sentence
};

struct ExecutionView {
    PipelineKey key;
    std::string execution_id;
    State state = State::started;
    int attempt = 1;
    bool known = false;              // a pipeline event was seen
    std::vector<Seen> seen;
    double version = 0;
    TimeMs start = no_time, first = no_time, update = no_time, end = no_time, last_retry = no_time;
    TextRef trigger, stop_comment;
    std::vector<StageView> stages;   // in true order: by start, then name
    std::vector<ActionView> actions; // in true order: by start, then attempt, name, id
    std::vector<Position> groups;    // the log groups that concern it, in arrival order (limits::groups_an_execution)
    uint64_t events = 0;             // events merged, duplicates included

    // text, filled by load_texts
    std::string trigger_type, trigger_detail, stop_reason;
    std::string commit_id, commit_message, commit_url, repository, branch, tag;
    std::string author_name, author_email, author_id;

    // The key that orders a pipeline's executions: (ordering_start(), execution_id).
    TimeMs ordering_start() const { return start != no_time ? start : first; }
    bool ended() const { return known && is_end(state); }
};

void encode(ByteWriter& out, const ExecutionView& execution);  // without texts
bool decode(ByteReader& in, ExecutionView& execution);

// Structural gaps, a pure function of what was seen. An execution that has not ended has only the gaps that no later event can excuse.
std::vector<Gap> find_gaps(const ExecutionView& execution);

// The whole execution as the native API answers it (docs/openapi.yaml, Execution).
void write_json(JsonWriter& out, const ExecutionView& execution);
// The same without actions, as lists answer it (ExecutionSummary).
void write_summary_json(JsonWriter& out, const ExecutionView& execution);

}  // namespace waybill
