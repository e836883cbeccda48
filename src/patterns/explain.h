// Says whether one event matches one pattern, and if not, which clause failed on which value: path, wanted, found, as data that a command line,
// an API or a page can show. Slower than src/patterns/matcher.h by far and independent of it; meant for people's questions, TestEventPattern and
// filters that are asked once. Any thread may call these; nothing is kept.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "patterns/pattern.h"

namespace waybill::patterns {

enum class ClauseOutcome {
    matched,
    absent,          // no value at the path (an object or an empty array is none)
    differs,         // there are values, none passes
    present,         // the clause wants absence, and there is a value
    other_element,   // a value passes, but in another element of an array than the clauses before it
};

std::string_view to_string(ClauseOutcome);

struct ClauseExplanation {
    std::string path;
    std::string wanted;               // the clause's tests as JSON
    std::vector<std::string> found;   // values at the path as JSON, in the event's order; at most `found_shown`
    size_t found_count = 0;           // how many there are
    ClauseOutcome outcome = ClauseOutcome::matched;
};

struct BranchExplanation {
    bool matched = false;
    std::vector<ClauseExplanation> clauses;
};

struct Explanation {
    bool matched = false;
    std::string event_error;                  // why the event could not be read; nothing else is filled then
    std::vector<BranchExplanation> branches;  // one, or one for each combination of `$or`; at most `branches_shown`, the nearest first
    size_t branch_count = 0;
};

// -- explanations --
constexpr size_t found_shown = 10;      // values of one clause; an array may hold thousands
constexpr size_t branches_shown = 20;   // combinations of `$or`; more than a person reads

Explanation explain(const Pattern&, std::string_view event);
std::string to_text(const Explanation&);
std::string to_json(const Explanation&);

// False too when the event is not a JSON object.
bool matches(const Pattern&, std::string_view event);

// What TestEventPattern asks of its Event: a JSON object with id, account, source, time, region and detail-type, of whatever type; AWS's page also
// names `resources`, but the service does not miss it. The message is EventBridge's: "Parameter Event is not valid."
Result<void> check_test_event(std::string_view event);

}  // namespace waybill::patterns
