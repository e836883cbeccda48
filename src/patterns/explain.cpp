#include "patterns/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/json_writer.h"
#include "patterns/event_values.h"
#include "patterns/matcher.h"

namespace waybill::patterns {
namespace {

// Holds one event against the branches of a pattern.
class Judge {
public:
    Judge(const Pattern& pattern, const EventValues& event) : pattern_(pattern), event_(event) {
        for (size_t i = 0; i < event.values.size(); ++i) at_path_[event.values[i].path].push_back(i);
        passing_.resize(pattern.clauses.size());
        for (size_t c = 0; c < pattern.clauses.size(); ++c) {
            for (size_t v : values_at(pattern.clauses[c].path)) {
                const bool passes = std::ranges::any_of(pattern.clauses[c].tests, [&](const Test& test) { return patterns::passes(test, event.values[v]); });
                if (passes) passing_[c].push_back(v);
            }
        }
    }

    bool matched(const std::vector<uint32_t>& branch) { return agree(branch, branch.size()) && std::ranges::all_of(branch, [&](uint32_t c) { return fulfilled(c); }); }

    BranchExplanation explain(const std::vector<uint32_t>& branch) {
        BranchExplanation out;
        size_t at = 0;
        bool arrays_agree = true;
        for (uint32_t c : branch) {
            ++at;
            const Clause& clause = pattern_.clauses[c];
            const std::vector<size_t>& values = values_at(clause.path);
            ClauseExplanation& said = out.clauses.emplace_back();
            said.path = clause.path;
            said.wanted = to_json(clause);
            said.found_count = values.size();
            for (size_t v : values) {
                if (said.found.size() == found_shown) break;
                said.found.emplace_back(event_.values[v].raw);
            }
            if (!fulfilled(c)) {
                const bool only_absence = std::ranges::all_of(clause.tests, [](const Test& test) { return test.kind == TestKind::absent; });
                said.outcome = values.empty() ? ClauseOutcome::absent : only_absence ? ClauseOutcome::present : ClauseOutcome::differs;
            } else if (arrays_agree && !agree(branch, at)) {
                said.outcome = ClauseOutcome::other_element;
                arrays_agree = false;
            }
        }
        out.matched = std::ranges::all_of(out.clauses, [](const ClauseExplanation& c) { return c.outcome == ClauseOutcome::matched; });
        return out;
    }

private:
    const std::vector<size_t>& values_at(const std::string& path) const {
        static const std::vector<size_t> none;
        const auto found = at_path_.find(path);
        return found == at_path_.end() ? none : found->second;
    }

    bool fulfilled(uint32_t c) const {
        if (!passing_[c].empty()) return true;
        const Clause& clause = pattern_.clauses[c];
        return values_at(clause.path).empty() && std::ranges::any_of(clause.tests, [](const Test& test) { return test.kind == TestKind::absent; });
    }

    // Whether values can be chosen for those of the branch's first `count` clauses that have any, from one element of each array.
    bool agree(const std::vector<uint32_t>& branch, size_t count) {
        std::vector<ArrayChoice::Candidate> candidates;
        uint32_t fields = 0;
        for (size_t i = 0; i < count; ++i) {
            if (passing_[branch[i]].empty()) continue;
            for (size_t v : passing_[branch[i]]) candidates.push_back({fields, event_.values[v].scope});
            ++fields;
        }
        return choice_.agree(event_.scopes, candidates, fields, array_choices);
    }

    const Pattern& pattern_;
    const EventValues& event_;
    std::map<std::string, std::vector<size_t>, std::less<>> at_path_;
    std::vector<std::vector<size_t>> passing_;
    ArrayChoice choice_;
};

Result<JsonNode> read_event(std::string_view event) {
    TRY(JsonNode root, read_json(event, limits::json_depth));
    if (root.kind != JsonNode::Kind::object) return invalid("An event must be a JSON object");
    return root;
}

}  // namespace

std::string_view to_string(ClauseOutcome outcome) {
    switch (outcome) {
        case ClauseOutcome::matched: return "matched";
        case ClauseOutcome::absent: return "absent";
        case ClauseOutcome::differs: return "differs";
        case ClauseOutcome::present: return "present";
        case ClauseOutcome::other_element: return "other_element";
    }
    return "";
}

Explanation explain(const Pattern& pattern, std::string_view event) {
    Explanation out;
    const Result<JsonNode> root = read_event(event);
    if (!root) {
        out.event_error = root.error().message;
        return out;
    }
    const EventValues values = values_of(*root);
    Judge judge(pattern, values);
    for (const std::vector<uint32_t>& branch : pattern.branches) out.branches.push_back(judge.explain(branch));
    out.branch_count = out.branches.size();
    out.matched = std::ranges::any_of(out.branches, &BranchExplanation::matched);
    // Nearest first: the fewest clauses that did not match.
    std::vector<std::pair<size_t, size_t>> order;
    for (size_t i = 0; i < out.branches.size(); ++i)
        order.emplace_back(std::ranges::count_if(out.branches[i].clauses, [](const ClauseExplanation& c) { return c.outcome != ClauseOutcome::matched; }), i);
    std::ranges::sort(order);
    if (order.size() > branches_shown) order.resize(branches_shown);
    std::vector<BranchExplanation> nearest;
    for (const auto& [missed, i] : order) nearest.push_back(std::move(out.branches[i]));
    out.branches = std::move(nearest);
    return out;
}

bool matches(const Pattern& pattern, std::string_view event) {
    const Result<JsonNode> root = read_event(event);
    if (!root) return false;
    const EventValues values = values_of(*root);
    Judge judge(pattern, values);
    return std::ranges::any_of(pattern.branches, [&](const std::vector<uint32_t>& branch) { return judge.matched(branch); });
}

std::string to_text(const Explanation& explanation) {
    if (!explanation.event_error.empty()) return "The event cannot be read: " + explanation.event_error + "\n";
    std::string out = explanation.matched ? "The pattern matches.\n" : "The pattern does not match.\n";
    for (size_t b = 0; b < explanation.branches.size(); ++b) {
        if (explanation.branch_count > 1)
            out += fmt::format("{} of {} combinations of $or, {}:\n", b + 1, explanation.branch_count, explanation.branches[b].matched ? "matches" : "does not match");
        for (const ClauseExplanation& clause : explanation.branches[b].clauses) {
            const std::string found = fmt::format("{}{}", fmt::join(clause.found, ", "),
                                                  clause.found_count > clause.found.size() ? fmt::format(" and {} more", clause.found_count - clause.found.size()) : "");
            std::string said;
            switch (clause.outcome) {
                case ClauseOutcome::matched: said = clause.found.empty() ? "matches: there is no value" : "matches: found " + found; break;
                case ClauseOutcome::absent: said = "fails: there is no value at this path"; break;
                case ClauseOutcome::differs: said = "fails: found " + found; break;
                case ClauseOutcome::present: said = "fails: there is a value: " + found; break;
                case ClauseOutcome::other_element: said = "fails: found " + found + ", but not in the array element that fulfils the fields before it"; break;
            }
            out += fmt::format("  {}: wanted {}, {}\n", clause.path, clause.wanted, said);
        }
    }
    if (explanation.branch_count > explanation.branches.size())
        out += fmt::format("and {} combinations more that are further from matching\n", explanation.branch_count - explanation.branches.size());
    return out;
}

std::string to_json(const Explanation& explanation) {
    std::string out;
    JsonWriter json(out);
    json.begin_object().key("matched").boolean(explanation.matched);
    if (!explanation.event_error.empty()) json.key("eventError").text(explanation.event_error);
    json.key("combinations").number(static_cast<int64_t>(explanation.branch_count)).key("nearest").begin_array();
    for (const BranchExplanation& branch : explanation.branches) {
        json.begin_object().key("matched").boolean(branch.matched).key("clauses").begin_array();
        for (const ClauseExplanation& clause : branch.clauses) {
            json.begin_object().key("path").text(clause.path).key("wanted").raw(clause.wanted).key("found").begin_array();
            for (const std::string& value : clause.found) json.raw(value);
            json.end_array().key("foundCount").number(static_cast<int64_t>(clause.found_count)).key("outcome").text(to_string(clause.outcome)).end_object();
        }
        json.end_array().end_object();
    }
    json.end_array().end_object();
    return out;
}

Result<void> check_test_event(std::string_view event) {
    const Error refused = invalid("Parameter Event is not valid.");
    const Result<JsonNode> root = read_event(event);
    if (!root) return refused;
    for (std::string_view key : {"id", "account", "source", "time", "region", "detail-type"}) {
        if (std::ranges::find(root->keys, key) == root->keys.end()) return refused;
    }
    return {};
}

}  // namespace waybill::patterns
