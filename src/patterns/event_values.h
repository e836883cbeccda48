// The values of an event at their paths, read from a tree: what a pattern can be held against. Slow and plain; src/patterns/scan.h finds the same values
// in the bytes of an event, as fast as can be, and must agree with this to the letter (docs/patterns.md, "The event").
#pragma once

#include <string>
#include <vector>

#include "patterns/array_choice.h"
#include "patterns/json_reader.h"
#include "patterns/pattern.h"

namespace waybill::patterns {

struct EventValue {
    std::string path;
    JsonNode::Kind kind = JsonNode::Kind::literal;  // text, number or literal
    std::string text;                               // without quotes and escapes
    std::string_view raw;                           // as it stands in the event
    uint32_t scope = 0;                             // of ArrayScope
};

struct EventValues {
    std::vector<EventValue> values;     // in the event's order
    std::vector<ArrayScope> scopes;     // the first is the event itself
};

EventValues values_of(const JsonNode& event);

// Whether the test holds for this value. An absence test never does: it is about there being none.
bool passes(const Test& test, const EventValue& value);

}  // namespace waybill::patterns
