// The targets of rules. PutTargets refuses a request whole: AWS lists single targets in FailedEntries only for what went wrong on
// its side. A target that is put again under its id is replaced where it stands; otherwise they stay in the order in which they
// came. Words are those that AWS was recorded or measured with.
#include <fmt/format.h>

#include <array>
#include <cstring>
#include <set>

#include "bus/api_fields.h"
#include "bus/api_operations.h"
#include "bus/json_path.h"

namespace waybill::bus {

namespace {

constexpr size_t targets_a_request = 100;  // EventBridge's model: TargetList 100
constexpr size_t ids_a_request = 100;      // EventBridge's model: TargetIdList 100
const TextRule target_id{1, 64, {R"([\.\-_A-Za-z0-9]+)", is_plain_name}};
const TextRule input_rule{0, input_characters};
const TextRule input_path_rule{0, json_path_characters};
const TextRule template_rule{1, input_template_characters};
const TextRule variable_rule{1, input_variable_characters, {R"([A-Za-z0-9\_\-]+)", [](std::string_view text) {
                                                                return is_plain_name(text) && text.find('.') == text.npos;
                                                            }}};

// -- the forms of HttpParameters --
bool is_header_name(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
        return c > 0x20 && c < 0x7f && !std::strchr("\"(),/:;<=>?@[\\]{}", c);
    });
}
bool is_header_value(std::string_view text) {
    const size_t first = text.find_first_not_of(" \t");
    return first != text.npos &&
           std::all_of(text.begin(), text.end(), [](unsigned char c) { return c == '\t' || (c >= 0x20 && c < 0x7f); });
}
bool is_query_name(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) { return c >= 0x20 && c != 0x7f; });
}
bool is_query_value(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(),
                                        [](unsigned char c) { return (c >= 0x20 && c != 0x7f) || c == '\n' || c == '\r'; });
}
bool is_path_value(std::string_view text) { return text.find_first_not_of(" \t\r\n\f\v") != text.npos; }

const TextRule path_value_rule{0, unlimited, {R"(^(?!\s*$).+)", is_path_value}};
const TextRule header_name_rule{0, 512, {R"(^[!#$%&'*+-.^_`|~0-9a-zA-Z]+$)", is_header_name}};
const TextRule header_value_rule{0, 512, {R"(^[ \t]*[\x20-\x7E]+([ \t]+[\x20-\x7E]+)*[ \t]*$)", is_header_value}};
const TextRule query_name_rule{0, 512, {R"([^\x00-\x1F\x7F]+)", is_query_name}};
const TextRule query_value_rule{0, 512, {R"([^\x00-\x09\x0B\x0C\x0E-\x1F\x7F]+)", is_query_value}};

// Members that are kept and shown again, and whose targets nothing here invokes; AWS takes each only for targets of its own
// service.
struct Kept {
    std::string_view name;
    std::array<std::string_view, 2> services;
    std::string_view required;  // the texts that AWS misses when they are not there
};
constexpr std::array kept_members{
    Kept{"KinesisParameters", {"kinesis", ""}, "PartitionKeyPath"},
    Kept{"RunCommandParameters", {"ssm", ""}, ""},
    Kept{"EcsParameters", {"ecs", ""}, "TaskDefinitionArn"},
    Kept{"BatchParameters", {"batch", ""}, "JobDefinition,JobName"},
    Kept{"RedshiftDataParameters", {"redshift", "redshift-serverless"}, "Database"},
    Kept{"SageMakerPipelineParameters", {"sagemaker", ""}, ""},
    Kept{"AppSyncParameters", {"appsync", ""}, ""},
};

// EventBridge User Guide, "Event bus targets". Some of them are taken and shown, and not invoked here (src/bus/arn.h,
// TargetKind::unknown).
constexpr std::array<std::string_view, 22> target_services{
    "appsync", "batch",     "codebuild", "codepipeline",  "ecs",    "events",   "execute-api",         "firehose",
    "glue",    "inspector", "kinesis",   "lambda",        "logs",   "redshift", "redshift-serverless", "sagemaker",
    "sns",     "sqs",       "ssm",       "ssm-incidents", "states", "ec2"};

struct ReadTarget {
    Target target;
    std::vector<std::string_view> kept;  // of kept_members
    std::string path;
};

std::string read_kept(Members& in, std::vector<std::string_view>& names) {
    std::string json;
    JsonWriter w(json);
    w.begin_object();
    for (const Kept& kept : kept_members) {
        auto structure = in.structure(kept.name);
        if (!structure) continue;
        std::string_view rest = kept.required;
        while (!rest.empty()) {
            const size_t end = std::min(rest.find(','), rest.size());
            structure->text(rest.substr(0, end), {}, Need::required);
            rest.remove_prefix(std::min(end + 1, rest.size()));
        }
        if (kept.name == "RunCommandParameters") structure->structures("RunCommandTargets", {1, 5}, Need::required);
        names.push_back(kept.name);
        w.key(kept.name).raw(in.json(kept.name));
    }
    w.end_object();
    return names.empty() ? std::string() : json;
}

ReadTarget read_target(Members& in) {
    ReadTarget read;
    read.path = in.path();
    Target& t = read.target;
    t.id = in.text("Id", target_id, Need::required).value_or("");
    t.arn = in.text("Arn", any_arn, Need::required).value_or("");
    t.parameters.role_arn = in.text("RoleArn", any_arn).value_or("");
    t.input.input = in.text("Input", input_rule);
    t.input.input_path = in.text("InputPath", input_path_rule);
    if (auto given = in.structure("InputTransformer")) {
        InputTransformer transformer;
        if (auto map = given->text_map("InputPathsMap", {0, input_paths}, variable_rule, input_path_rule))
            transformer.paths_map = std::move(*map);
        transformer.template_ = given->text("InputTemplate", template_rule, Need::required).value_or("");
        t.input.transformer = std::move(transformer);
    }
    t.others = read_kept(in, read.kept);
    if (auto sqs = in.structure("SqsParameters")) t.parameters.message_group_id = sqs->text("MessageGroupId", {0, 100});
    if (auto given = in.structure("HttpParameters")) {
        HttpParameters http;
        http.path_values = given->texts("PathParameterValues", {}, path_value_rule).value_or(std::vector<std::string>());
        if (auto headers = given->text_map("HeaderParameters", {}, header_name_rule, header_value_rule))
            http.headers = std::move(*headers);
        if (auto query = given->text_map("QueryStringParameters", {}, query_name_rule, query_value_rule))
            http.query = std::move(*query);
        t.parameters.http = std::move(http);
    }
    if (auto dead_letter = in.structure("DeadLetterConfig"))
        t.parameters.dead_letter_arn = dead_letter->text("Arn", any_arn).value_or("");
    if (auto retry = in.structure("RetryPolicy")) {
        if (const auto attempts = retry->integer("MaximumRetryAttempts", {0, 185})) t.max_attempts = static_cast<int>(*attempts);
        if (const auto age = retry->integer("MaximumEventAgeInSeconds", {60, 86400})) t.max_age_s = static_cast<int>(*age);
    }
    return read;
}

std::optional<wire::AwsError> check_target(const ReadTarget& read, std::string_view region) {
    const Target& t = read.target;
    const auto arn = parse_arn(t.arn);
    if (!arn) return validation(fmt::format("Parameter {} is not valid. Reason: Provided Arn is not in correct format.", t.arn));
    if (std::find(target_services.begin(), target_services.end(), arn->service) == target_services.end())
        return validation(fmt::format("{} is not a supported service for a target.", arn->service));
    for (const Kept& kept : kept_members)
        if (std::find(read.kept.begin(), read.kept.end(), kept.name) != read.kept.end() &&
            std::find(kept.services.begin(), kept.services.end(), arn->service) == kept.services.end())
            return validation(fmt::format("Parameter(s) {} not supported for target: {}", kept.name, t.id));
    if (auto good = check(t.input, t.id, read.path); !good.ok()) return validation(good.error().message);
    if (auto good = check_parameters(*arn, t.parameters, t.id, region); !good.ok()) return validation(good.error().message);
    return std::nullopt;
}

void write_pairs(JsonWriter& w, std::string_view name, const std::vector<std::pair<std::string, std::string>>& pairs) {
    if (pairs.empty()) return;
    w.key(name).begin_object();
    for (const auto& [key, value] : pairs) w.key(key).text(value);
    w.end_object();
}

void write_target(JsonWriter& w, const Target& t) {
    w.begin_object().key("Id").text(t.id).key("Arn").text(t.arn);
    write_text(w, "RoleArn", t.parameters.role_arn);
    if (t.input.input) w.key("Input").text(*t.input.input);
    if (t.input.input_path) w.key("InputPath").text(*t.input.input_path);
    if (t.input.transformer) {
        w.key("InputTransformer").begin_object();
        write_pairs(w, "InputPathsMap", t.input.transformer->paths_map);
        w.key("InputTemplate").text(t.input.transformer->template_).end_object();
    }
    if (const auto members = json_members(t.others))
        for (const auto& [name, value] : *members) w.key(name).raw(value);
    if (t.parameters.message_group_id)
        w.key("SqsParameters").begin_object().key("MessageGroupId").text(*t.parameters.message_group_id).end_object();
    if (const auto& http = t.parameters.http) {
        w.key("HttpParameters").begin_object();
        if (!http->path_values.empty()) {
            w.key("PathParameterValues").begin_array();
            for (const std::string& value : http->path_values) w.text(value);
            w.end_array();
        }
        write_pairs(w, "HeaderParameters", http->headers);
        write_pairs(w, "QueryStringParameters", http->query);
        w.end_object();
    }
    if (!t.parameters.dead_letter_arn.empty())
        w.key("DeadLetterConfig").begin_object().key("Arn").text(t.parameters.dead_letter_arn).end_object();
    if (t.max_attempts || t.max_age_s) {
        w.key("RetryPolicy").begin_object();
        if (t.max_attempts) w.key("MaximumRetryAttempts").number(*t.max_attempts);
        if (t.max_age_s) w.key("MaximumEventAgeInSeconds").number(*t.max_age_s);
        w.end_object();
    }
    w.end_object();
}

constexpr std::string_view no_failures = R"({"FailedEntryCount":0,"FailedEntries":[]})";

// The rule, or why there is none.
std::variant<const Rule*, wire::AwsError> find_rule(const Bus& state, const BusKey& bus, std::string_view name) {
    if (!state.bus(bus)) return no_such_bus(bus.name);
    if (const Rule* rule = state.rule(bus, name)) return rule;
    return resource_not_found(fmt::format("Rule {} does not exist on EventBus {}.", name, bus.name));
}

}  // namespace

Prepared put_targets(const ApiRequest& request) {
    RequestBody body(request.body);
    Members in = body.root();
    const std::string name = in.text("Rule", rule_name, Need::required).value_or("");
    const auto bus = in.text("EventBusName", event_bus_name_or_arn);
    auto list = in.structures("Targets", {1, targets_a_request}, Need::required);
    std::vector<ReadTarget> read;
    if (list)
        for (Members& target : *list) read.push_back(read_target(target));
    if (auto error = body.error()) return *error;
    const BusKey key = bus_named(request.place, bus);
    std::set<std::string_view> ids;
    std::vector<Target> targets;
    for (const ReadTarget& r : read) {
        if (!ids.insert(r.target.id).second)
            return validation(fmt::format(
                "Parameter targets is not valid. Reason: More than one target with Id '{}' is provided.", r.target.id));
        if (auto error = check_target(r, key.place.region)) return *error;
        targets.push_back(r.target);
    }
    return [key, name, targets, most = request.limits.targets_a_rule](const Bus& state, const Stamp&) {
        const auto found = find_rule(state, key, name);
        if (auto* error = std::get_if<wire::AwsError>(&found)) return refusal(*error);
        Rule rule = *std::get<const Rule*>(found);
        for (const Target& target : targets) {
            const auto same =
                std::find_if(rule.targets.begin(), rule.targets.end(), [&](const Target& t) { return t.id == target.id; });
            if (same != rule.targets.end())
                *same = target;
            else
                rule.targets.push_back(target);
        }
        if (rule.targets.size() > most) return refusal(limit_exceeded());
        return answer(std::string(no_failures), {Put{std::move(rule)}});
    };
}

// An id that the rule does not have is passed over: like DeleteRule, it can be called again. (Nothing is recorded for it.)
Prepared remove_targets(const ApiRequest& request) {
    RequestBody body(request.body);
    Members in = body.root();
    const std::string name = in.text("Rule", rule_name, Need::required).value_or("");
    const auto bus = in.text("EventBusName", event_bus_name_or_arn);
    const auto ids = in.texts("Ids", {1, ids_a_request}, target_id, Need::required);
    in.boolean("Force");
    if (auto error = body.error()) return *error;
    return [key = bus_named(request.place, bus), name, ids = *ids](const Bus& state, const Stamp&) {
        const auto found = find_rule(state, key, name);
        if (auto* error = std::get_if<wire::AwsError>(&found)) return refusal(*error);
        Rule rule = *std::get<const Rule*>(found);
        const auto removed =
            std::erase_if(rule.targets, [&](const Target& t) { return std::find(ids.begin(), ids.end(), t.id) != ids.end(); });
        if (removed == 0) return answer(std::string(no_failures));
        return answer(std::string(no_failures), {Put{std::move(rule)}});
    };
}

Prepared list_targets_by_rule(const ApiRequest& request) {
    RequestBody body(request.body);
    Members in = body.root();
    const std::string name = in.text("Rule", rule_name, Need::required).value_or("");
    const auto bus = in.text("EventBusName", event_bus_name_or_arn);
    const Page page = in.page("ListTargetsByRule");
    if (auto error = body.error()) return *error;
    return [key = bus_named(request.place, bus), name, page](const Bus& state, const Stamp&) {
        const auto found = find_rule(state, key, name);
        if (auto* error = std::get_if<wire::AwsError>(&found)) return refusal(*error);
        // They are in no order of their ids, so a page goes on by number.
        std::vector<std::pair<size_t, const Target*>> targets;
        for (const Target& target : std::get<const Rule*>(found)->targets) targets.emplace_back(targets.size(), &target);
        std::string json, next_token;
        JsonWriter w(json);
        w.begin_object().key("Targets").begin_array();
        for (const auto& [at, target] :
             one_page(targets, page, [](const auto& item) { return fmt::format("{:06}", item.first); }, next_token))
            write_target(w, *target);
        w.end_array();
        write_next_token(w, next_token);
        w.end_object();
        return answer(std::move(json));
    };
}

}  // namespace waybill::bus
