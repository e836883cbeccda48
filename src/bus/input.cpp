#include "bus/input.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>

#include "base/json_writer.h"
#include "bus/json_path.h"

namespace waybill::bus {
namespace {

// The variables that need no path.
constexpr std::string_view rule_arn_variable = "aws.events.rule-arn";
constexpr std::string_view rule_name_variable = "aws.events.rule-name";
constexpr std::string_view ingestion_time_variable = "aws.events.event.ingestion-time";
constexpr std::string_view event_variable = "aws.events.event";
constexpr std::string_view event_json_variable = "aws.events.event.json";

// The members of <aws.events.event>, named and ordered as AWS was seen to. `replay-name` is there only in a replayed event.
constexpr std::array<std::pair<std::string_view, std::string_view>, 9> event_members{{{"$.id", "id"},
                                                                                      {"$.account", "account"},
                                                                                      {"$.detail-type", "detailType"},
                                                                                      {"$.time", "time"},
                                                                                      {"$.source", "source"},
                                                                                      {"$.region", "region"},
                                                                                      {"$.resources", "resources"},
                                                                                      {"$.version", "version"},
                                                                                      {"$.replay-name", "replay-name"}}};

enum class Source { text, path, rule_arn, rule_name, ingestion_time, event, event_json };

// A template is text and placeholders in turn.
struct Part {
    Source source = Source::text;
    std::string text;
    size_t path = 0;         // into the set of paths
    bool in_quotes = false;  // the placeholder stands inside a JSON string
};

struct Placeholder {
    size_t from = 0, to = 0;  // with its brackets
    std::string_view name;
    bool in_quotes = false;
};

bool variable_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

std::vector<Placeholder> placeholders_of(std::string_view text) {
    std::vector<Placeholder> found;
    bool quoted = false;
    for (size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (quoted && c == '\\') {
            ++i;
        } else if (c == '"') {
            quoted = !quoted;
        } else if (c == '<') {
            size_t end = i + 1;
            while (end < text.size() && variable_character(text[end])) ++end;
            if (end == i + 1 || end == text.size() || text[end] != '>') continue;
            found.push_back({i, end + 1, text.substr(i + 1, end - i - 1), quoted});
            i = end;
        }
    }
    return found;
}

size_t characters(std::string_view text) {
    return static_cast<size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string_view without_space(std::string_view text) {
    const size_t from = text.find_first_not_of(" \t\r\n");
    return from == text.npos ? std::string_view() : text.substr(from);
}

// AWS calls a template "JSON" when it is an object; anything else, an array too, is text to it.
bool is_json_template(std::string_view text) { return without_space(text).starts_with('{'); }

bool is_json(std::string_view text) {
    if (text.empty()) return false;
    thread_local simdjson::dom::parser parser;
    simdjson::dom::element root;
    return parser.parse(text.data(), text.size(), true).get(root) == simdjson::SUCCESS;
}

// A template must be JSON once its placeholders are filled; of lines in quotes only the first is looked at, as AWS reads one
// value.
bool could_be_json(std::string_view text, const std::vector<Placeholder>& placeholders) {
    std::string filled;
    size_t from = 0;
    for (const Placeholder& p : placeholders) {
        filled.append(text.substr(from, p.from - from));
        if (!p.in_quotes) filled.append("null");
        from = p.to;
    }
    filled.append(text.substr(from));
    std::string_view json = without_space(filled);
    if (json.starts_with('"')) {
        size_t end = 1;
        while (end < json.size() && json[end] != '"') end += json[end] == '\\' ? 2 : 1;
        if (end >= json.size()) return false;
        json = json.substr(0, end + 1);
    }
    return is_json(json);
}

Error constraint(std::string_view value, std::string_view member, std::string_view name, std::string_view rule) {
    return invalid(fmt::format("1 validation error detected: Value '{}' at '{}.{}' failed to satisfy constraint: {}", value,
                               member, name, rule));
}

Result<void> check_transformer(const InputTransformer& transformer, std::string_view target_id, std::string_view member) {
    const std::string_view text = transformer.template_;
    const size_t length = characters(text);
    if (length == 0 || length > input_template_characters)
        return constraint(text, member, "inputTransformer.inputTemplate",
                          length == 0
                              ? "Member must have length greater than or equal to 1"
                              : fmt::format("Member must have length less than or equal to {}", input_template_characters));
    if (transformer.paths_map.size() > input_paths)
        return constraint(fmt::format("{} entries", transformer.paths_map.size()), member, "inputTransformer.inputPathsMap",
                          fmt::format("Member must have length less than or equal to {}", input_paths));
    for (const auto& [name, path] : transformer.paths_map) {
        const bool well_formed = !name.empty() && name.size() <= input_variable_characters &&
                                 std::ranges::all_of(name, [](char c) { return variable_character(c) && c != '.'; });
        if (!well_formed)
            return constraint(
                name, member, "inputTransformer.inputPathsMap",
                "Map keys must satisfy constraint: [Member must have length less than or equal to 256, Member must have "
                "length greater than or equal to 1, Member must satisfy regular expression pattern: [A-Za-z0-9\\_\\-]+]");
        if (characters(path) > json_path_characters)
            return constraint(path, member, "inputTransformer.inputPathsMap",
                              "Map values must satisfy constraint: [Member must have length less than or equal to 256]");
        if (!JsonPath::parse(path)) return invalid(fmt::format("InputPath for target {} is invalid.", target_id));
    }
    const auto placeholders = placeholders_of(text);
    for (const Placeholder& p : placeholders) {
        if (p.name == event_json_variable && !is_json_template(text))
            return invalid(fmt::format("InputTemplate for target {} contains placeholder {} valid only for JSON template.",
                                       target_id, p.name));
        const bool known = p.name == rule_arn_variable || p.name == rule_name_variable || p.name == ingestion_time_variable ||
                           p.name == event_variable || p.name == event_json_variable ||
                           std::ranges::any_of(transformer.paths_map, [&](const auto& entry) { return entry.first == p.name; });
        if (!known)
            return invalid(fmt::format("InputTemplate for target {} contains invalid placeholder {}.", target_id, p.name));
    }
    if (!could_be_json(text, placeholders))
        return invalid(
            fmt::format("Invalid InputTemplate for target {} : it is not JSON once its placeholders are filled; text stands in "
                        "double quotes, one line in each pair.",
                        target_id));
    return {};
}

// What is put into the result, and no more than may be.
class Output {
public:
    bool append(std::string_view text) {
        if (text.size() > rendered_bytes - out_.size()) return false;
        out_.append(text);
        return true;
    }
    bool append_escaped(std::string_view text) {
        if (text.size() > rendered_bytes - out_.size()) return false;  // escaping only adds; and at most five bytes a byte
        std::string quoted;
        JsonWriter::quote_into(quoted, text);
        return append(std::string_view(quoted).substr(1, quoted.size() - 2));
    }
    std::string take() { return std::move(out_); }

private:
    std::string out_;
};

// JSON text without its quotes, which is how AWS shows an object or array in a text; an escaped quote goes too.
std::string without_quotes(std::string_view json) {
    std::string out;
    out.reserve(json.size());
    for (size_t i = 0; i < json.size(); ++i) {
        if (json[i] == '"') continue;
        if (json[i] == '\\' && i + 1 < json.size()) {
            if (json[++i] != '"') out.append({'\\', json[i]});
            continue;
        }
        out.push_back(json[i]);
    }
    return out;
}

// The event without its detail.
std::string head_of(const std::vector<JsonMatch>& matches, size_t first) {
    std::string out;
    JsonWriter writer(out);
    writer.begin_object();
    for (size_t i = 0; i < event_members.size(); ++i)
        if (const JsonMatch& match = matches[first + i]; match.found) writer.key(event_members[i].second).raw(match.json());
    writer.end_object();
    return out;
}

}  // namespace

struct CompiledInput::Plan {
    std::optional<std::string> constant;
    std::vector<Part> parts;  // empty: the value of the only path
    JsonPathSet paths;
    size_t head = 0;  // where the paths of <aws.events.event> begin, if it is used
    bool json_template = false, escape = false;

    bool append(Output& out, const Part& part, std::string_view event, const std::vector<JsonMatch>& matches,
                const RenderContext& context) const;
    bool append_text(Output& out, bool in_quotes, std::string_view text) const;
    bool append_json(Output& out, bool in_quotes, std::string_view json) const;
};

// Text that is not JSON yet: a rule's name, a time.
bool CompiledInput::Plan::append_text(Output& out, bool in_quotes, std::string_view text) const {
    if (in_quotes) return escape ? out.append_escaped(text) : out.append(text);
    std::string quoted;
    JsonWriter::quote_into(quoted, text);
    return out.append(quoted);
}

bool CompiledInput::Plan::append_json(Output& out, bool in_quotes, std::string_view json) const {
    if (!in_quotes) return out.append(json);
    if (json.size() >= 2 && json.starts_with('"')) return append_text(out, true, decode_json_string(json));
    if (escape) return out.append_escaped(json);
    if (!json_template && (json.starts_with('{') || json.starts_with('['))) return out.append(without_quotes(json));
    return out.append(json);
}

bool CompiledInput::Plan::append(Output& out, const Part& part, std::string_view event, const std::vector<JsonMatch>& matches,
                                 const RenderContext& context) const {
    switch (part.source) {
        case Source::text: return out.append(part.text);
        case Source::path: {
            const JsonMatch& match = matches[part.path];
            // A path that finds nothing is an empty text, as AWS was seen to do.
            return append_json(out, part.in_quotes, match.found ? match.json() : std::string_view("\"\""));
        }
        case Source::rule_arn: return append_text(out, part.in_quotes, context.rule_arn);
        case Source::rule_name: return append_text(out, part.in_quotes, context.rule_name);
        case Source::ingestion_time: return append_text(out, part.in_quotes, format_time_s(context.ingestion_time));
        case Source::event: return append_json(out, part.in_quotes, head_of(matches, head));
        case Source::event_json: return append_json(out, part.in_quotes, event);
    }
    return false;
}

Result<void> check(const TargetInput& input, std::string_view target_id, std::string_view member) {
    if (input.input && characters(*input.input) > input_characters)
        return constraint(*input.input, member, "input",
                          fmt::format("Member must have length less than or equal to {}", input_characters));
    if (input.input_path && characters(*input.input_path) > json_path_characters)
        return constraint(*input.input_path, member, "inputPath",
                          fmt::format("Member must have length less than or equal to {}", json_path_characters));
    if (input.input.has_value() + input.input_path.has_value() + input.transformer.has_value() > 1)
        return invalid(
            fmt::format("Only one of Input, InputPath, or InputTransformer must be provided for target {}.", target_id));
    if (input.input && !is_json(*input.input)) return invalid(fmt::format("JSON syntax error in input for target {}", target_id));
    if (input.input_path && !JsonPath::parse(*input.input_path))
        return invalid(fmt::format("InputPath for target {} is invalid.", target_id));
    if (input.transformer) return check_transformer(*input.transformer, target_id, member);
    return {};
}

CompiledInput::CompiledInput() = default;
CompiledInput::CompiledInput(std::shared_ptr<const Plan> plan) : plan_(std::move(plan)) {}

Result<CompiledInput> CompiledInput::compile(const TargetInput& input, std::string_view target_id, std::string_view member) {
    TRY_VOID(check(input, target_id, member));
    if (!input.input && !input.input_path && !input.transformer) return CompiledInput();
    auto plan = std::make_shared<Plan>();
    plan->escape = input.escape_text;
    if (input.input) {
        plan->constant = input.input;
        return CompiledInput(std::move(plan));
    }
    if (input.input_path) {
        plan->paths = JsonPathSet({*JsonPath::parse(*input.input_path)});
        return CompiledInput(std::move(plan));
    }
    const InputTransformer& transformer = *input.transformer;
    const std::string_view text = transformer.template_;
    plan->json_template = is_json_template(text);
    std::vector<JsonPath> paths;
    std::vector<std::pair<std::string_view, size_t>> numbered;  // variables that the template uses, by their place in `paths`
    bool uses_event = false;
    size_t from = 0;
    auto add_text = [&](size_t to) {
        if (to > from) plan->parts.push_back({Source::text, std::string(text.substr(from, to - from)), 0, false});
    };
    for (const Placeholder& p : placeholders_of(text)) {
        add_text(p.from);
        from = p.to;
        Part part{Source::path, {}, 0, p.in_quotes};
        if (p.name == rule_arn_variable) {
            part.source = Source::rule_arn;
        } else if (p.name == rule_name_variable) {
            part.source = Source::rule_name;
        } else if (p.name == ingestion_time_variable) {
            part.source = Source::ingestion_time;
        } else if (p.name == event_variable) {
            part.source = Source::event;
            uses_event = true;
        } else if (p.name == event_json_variable) {
            part.source = Source::event_json;
        } else if (auto known = std::ranges::find(numbered, p.name, &std::pair<std::string_view, size_t>::first);
                   known != numbered.end()) {
            part.path = known->second;
        } else {
            // Of a variable that is named twice the last entry counts, as in any JSON object.
            const std::string* path = nullptr;
            for (const auto& [name, value] : transformer.paths_map)
                if (name == p.name) path = &value;
            part.path = paths.size();
            numbered.emplace_back(p.name, paths.size());
            paths.push_back(*JsonPath::parse(*path));
        }
        plan->parts.push_back(std::move(part));
    }
    add_text(text.size());
    plan->head = paths.size();
    if (uses_event)
        for (const auto& [path, name] : event_members) paths.push_back(*JsonPath::parse(path));
    plan->paths = JsonPathSet(paths);
    return CompiledInput(std::move(plan));
}

Result<std::string> CompiledInput::render(std::string_view event_json, const RenderContext& context) const {
    if (!plan_) return std::string(event_json);
    if (plan_->constant) return *plan_->constant;
    std::vector<JsonMatch> matches;
    if (!plan_->paths.find(event_json, rendered_bytes, matches))
        return invalid(fmt::format("the event is not JSON, or a wildcard found more than {} bytes in it", rendered_bytes));
    if (plan_->parts.empty()) return matches[0].found ? std::string(matches[0].json()) : std::string("\"\"");
    Output out;
    for (const Part& part : plan_->parts)
        if (!plan_->append(out, part, event_json, matches, context))
            return invalid(fmt::format("the input made from the template is larger than {} bytes", rendered_bytes));
    std::string text = out.take();
    if (plan_->json_template && !is_json(text))
        return invalid(
            "the input made from the template is not valid JSON: a text between quotes held a quote, a line break or an object");
    return text;
}

Result<std::string> render(const TargetInput& input, std::string_view event_json, const RenderContext& context) {
    TRY(auto compiled, CompiledInput::compile(input, "target"));
    return compiled.render(event_json, context);
}

}  // namespace waybill::bus
