// docs/configuration.md, the example and effective_yaml(): walks over the table of keys that write instead of read.
#include <fmt/format.h>

#include "base/time.h"
#include "config/keys.h"
#include "config/load.h"

namespace waybill {
namespace {

using namespace config;

std::string_view section_of(std::string_view path) {
    const auto dot = path.find_first_of(".[");
    return dot == path.npos ? std::string_view() : path.substr(0, dot);
}

struct Section {
    std::string_view name, prose;
};
constexpr Section sections[] = {
    {"", "Keys of the top level."},
    {"events", "What comes in."},
    {"event_bus", "The buses that EventBridge's API makes: how much they may hold, and how fast they send."},
    {"log", "The log of everything that happened, in the data directory."},
    {"tracking", "Executions in memory."},
    {"policy", "Who is told of what, and what is retried. Its normalised text has a version, which stands in every decision."},
    {"targets",
     "Who can be told, by name: a map from NAME (1 to 64 letters, digits, `_` and `-`) to its keys. Where the file has no `targets`, there is one, "
     "`devops`: mail to devops@localhost."},
    {"codepipeline",
     "Where RetryStageExecution is called, as a list. The first entry whose globs match an execution's account and region is used; without one, "
     "nothing is retried."},
    {"aws",
     "Where targets of rules outside this process are called, as a list: queues, topics, functions, pipelines, state machines, log groups, other "
     "buses, and dead-letter queues. The first entry whose globs match a target's service, account and region is used; without one nothing is sent to "
     "AWS, and such deliveries become dead letters."},
    {"mail", "How mail leaves."},
    {"delivery", "Attempts of deliveries, and where they may go."},
    {"security", "Who may come in. Without credentials and tokens the API is open, which is allowed on a loopback address only."},
};

std::string cell(std::string_view text) {
    std::string out;
    for (char c : text) {
        if (c == '|') out += '\\';
        out += c;
    }
    return out;
}

// Sections that the table alone cannot show, because their elements go together.
constexpr std::string_view example_targets = R"(targets:
  # A mail to the team. `to` is for mail only.
  devops:
    type: mail
    to: [devops@example.com, on-call@example.com]
    locale: en
    concurrency: 4
  # A POST of JSON (docs/webhooks.md). url, secret, headers and timeout are for webhooks only.
  builders:
    type: webhook
    url: https://hooks.example.com/waybill
    secret: ${WAYBILL_HOOK_SECRET}
    headers:
      Authorization: ${WAYBILL_HOOK_AUTHORIZATION}
    timeout: 5s
    locale: ko
  # A line in Waybill's own log.
  audit:
    type: log
)";
constexpr std::string_view example_owners = R"(  # The first rule whose globs match pipeline and stage owns the stage; without one the team does.
  owners:
    - {pipeline: "web-*", stage: Build, targets: [builders]}
    - {pipeline: "*", stage: "Deploy*", targets: [devops, audit]}
)";
constexpr std::string_view example_codepipeline = R"(codepipeline:
  - account: "123456789012"
    region: "eu-*"
    url: ""                     # AWS's own
    access_key_id: AKIAEXAMPLE
    secret_access_key: ${WAYBILL_AWS_SECRET}
    session_token: ""
    timeout: 10s
  - {}                          # every other account and region, with credentials from the environment
)";
constexpr std::string_view example_aws = R"(aws:
  - service: sqs
    account: "123456789012"
    region: "eu-*"
    url: http://127.0.0.1:9324  # a queue server on this machine
    access_key_id: AKIAEXAMPLE
    secret_access_key: ${WAYBILL_AWS_SECRET}
    session_token: ""
    timeout: 10s
  - service: lambda             # AWS's own, of every account and region, with credentials from the environment
)";
constexpr std::string_view example_security = R"(security:
  credentials:
    - access_key_id: WAYBILLEXAMPLE
      secret_access_key: file:/run/secrets/waybill-aws
  tokens: [file:/run/secrets/waybill-token]
  # Names in Host and Origin headers that are let in besides the loopback ones.
  allowed_hosts: [waybill.example.com]
)";

// The keys of one section with their defaults, each under its sentence.
void write_section(std::string& out, std::string_view section) {
    Config config;
    std::string_view inner;
    if (!section.empty()) out += fmt::format("{}:\n", section);
    for (const Key& key : keys()) {
        if (section_of(key.path) != section || key.path.contains('[')) continue;
        auto name = section.empty() ? key.path : key.path.substr(section.size() + 1);
        std::string indent(section.empty() ? 0 : 2, ' ');
        if (const auto dot = name.find('.'); dot != name.npos) {
            if (inner != name.substr(0, dot)) {
                inner = name.substr(0, dot);
                out += fmt::format("{}{}:\n", indent, inner);
            }
            name.remove_prefix(dot + 1);
            indent += "  ";
        }
        const bool secret = key.type == Type::secret;
        out += fmt::format("{}# {}\n{}{}: {}\n", indent, key.documentation, indent, name, secret ? "\"\"" : value_yaml(key, {config}));
    }
}

// One element's keys. Secrets leave a comment where they would stand.
void write_element(std::string& out, std::string_view prefix, std::string first, const std::string& rest, Place place) {
    for (const Key& key : keys()) {
        if (!key.path.starts_with(prefix)) continue;
        const auto name = key.path.substr(prefix.size());
        const Slot slot = key.slot(place);
        std::string value;
        if (const auto* secret = std::get_if<Secret*>(&slot)) {
            if (!(*secret)->empty()) out += fmt::format("{}# {}: set, not shown\n", rest, name);
            continue;
        }
        if (const auto* headers = std::get_if<Headers*>(&slot)) {
            for (const auto& [header, unused] : **headers) out += fmt::format("{}# {}: {}: set, not shown\n", rest, name, header);
            continue;
        }
        if (place.target) {
            const auto type = place.target->type;
            if (name == "to" && type != TargetType::mail) continue;
            if ((name == "url" || name == "timeout") && type != TargetType::webhook) continue;
            if (name == "url") {
                // The path of a webhook is often its password.
                const std::string& url = place.target->url;
                const auto end = url.find_first_of("/?", url.find("://") + 3);
                if (end != url.npos && url.substr(end) != "/") {
                    out += fmt::format("{}url: {}  # its path is not shown\n", first, quoted(url.substr(0, end + 1)));
                    first = rest;
                    continue;
                }
            }
        }
        out += fmt::format("{}{}: {}\n", first, name, value_yaml(key, place));
        first = rest;
    }
}

}  // namespace

std::vector<ConfigKey> configuration_keys() {
    std::vector<ConfigKey> out;
    for (const Key& key : keys()) {
        auto text = default_of(key);
        std::erase(text, '`');
        out.push_back({std::string(key.path), type_text(key), std::move(text), std::string(key.documentation),
                       !key.path.contains('[') && key.type != Type::headers});
    }
    return out;
}

std::string example_yaml() {
    std::string out = "# Every key of waybill.yaml, most of them with their defaults.\n";
    for (const auto& section : sections) {
        if (section.name == "targets") out += example_targets;
        else if (section.name == "codepipeline") out += example_codepipeline;
        else if (section.name == "aws") out += example_aws;
        else if (section.name == "security") out += example_security;
        else write_section(out, section.name);
        if (section.name == "policy") out += example_owners;
        out += '\n';
    }
    out.pop_back();
    return out;
}

std::string configuration_reference() {
    std::string out = R"(# Configuration

<!-- Generated from the table of keys in src/config/keys.cpp; config_test says how to write it anew. -->

Waybill reads one YAML file (`waybill serve --config waybill.yaml`, or WAYBILL_CONFIG), and needs none: every key has a default. Every key that does not stand in a list
of maps is also a flag of the same dotted name, which wins over the file:

    waybill serve --config waybill.yaml --listen=127.0.0.1:8080 --policy.notify_success=recovery --targets.devops.to=a@example.com,b@example.com

All mistakes are reported at once, each with its file, line and column, and nothing starts until they are mended:

    waybill.yaml:12:3: policy.notify_succes: is not a key; did you mean policy.notify_success?

How values are written:

| type | written as |
|---|---|
| text | any text without line breaks, at most 4096 bytes |
| duration | a whole number and `ms`, `s`, `m`, `h` or `d`; without a unit, seconds |
| size | a whole number of bytes, or with `KiB`, `MiB`, `GiB` or `TiB` |
| list of texts | `[a, b]`, at most 1000; as a flag with commas: `a,b` |
| glob | `*` stands for any run of characters, `?` for one; there is nothing else |
| secret | in place, or as `${NAME}` from the environment, or as `file:/path` from a file's one line; read once at the start, and never shown |

The file may have 1 MiB; anchors, aliases and a second document are refused. There may be 1000 targets and 10,000 owner rules.
)";
    for (const auto& section : sections) {
        out += fmt::format("\n## {}\n\n{}\n\n| key | type | default | meaning |\n|---|---|---|---|\n", section.name.empty() ? "Top level" : section.name, section.prose);
        for (const Key& key : keys())
            if (section_of(key.path) == section.name)
                out += fmt::format("| `{}` | {} | {} | {} |\n", key.path, type_text(key), key.rule.required ? "required" : default_of(key), cell(key.documentation));
    }
    out += "\n## A whole file\n\n```yaml\n" + example_yaml() + "```\n";
    return out;
}

std::string effective_yaml(const Config& config) {
    Config copy = config;  // a Slot points at what may be written
    std::string out;
    std::string_view section, inner;
    auto open = [&](std::string_view name) {
        if (section == name) return;
        section = name;
        inner = {};
        out += fmt::format("{}:\n", name);
    };
    for (const Key& key : keys()) {
        const auto name = section_of(key.path);
        if (name == "targets" || key.path.contains('[')) continue;
        if (name.empty()) {
            out += fmt::format("{}: {}\n", key.path, value_yaml(key, {copy}));
            continue;
        }
        // Lists of maps come last in their section, so what follows the section's plain keys is written there.
        if (name == "mail" && section != "mail") {
            if (!copy.policy.owners.empty()) out += "  owners:\n";
            for (auto& rule : copy.policy.owners)
                write_element(out, "policy.owners[].", "    - ", "      ", {.config = copy, .owner = &rule});
            out += copy.targets.empty() ? "targets: {}\n" : "targets:\n";
            for (auto& target : copy.targets) {
                out += fmt::format("  {}:\n", quoted(target.name));
                write_element(out, "targets.NAME.", "    ", "    ", {.config = copy, .target = &target});
            }
            if (!copy.codepipeline.empty()) out += "codepipeline:\n";
            for (auto& endpoint : copy.codepipeline)
                write_element(out, "codepipeline[].", "  - ", "    ", {.config = copy, .endpoint = &endpoint});
            if (!copy.aws.empty()) out += "aws:\n";
            for (auto& endpoint : copy.aws) write_element(out, "aws[].", "  - ", "    ", {.config = copy, .aws = &endpoint});
        }
        open(name);
        auto leaf = key.path.substr(name.size() + 1);
        std::string indent = "  ";
        if (const auto dot = leaf.find('.'); dot != leaf.npos) {
            if (inner != leaf.substr(0, dot)) {
                inner = leaf.substr(0, dot);
                out += fmt::format("  {}:\n", inner);
            }
            leaf.remove_prefix(dot + 1);
            indent = "    ";
        }
        const Slot slot = key.slot({copy});
        if (const auto* secret = std::get_if<Secret*>(&slot)) {
            if (!(*secret)->empty()) out += fmt::format("{}# {}: set, not shown\n", indent, leaf);
        } else if (const auto* secrets = std::get_if<std::vector<Secret>*>(&slot)) {
            if (!(*secrets)->empty()) out += fmt::format("{}# {}: {} set, not shown\n", indent, leaf, (*secrets)->size());
        } else {
            out += fmt::format("{}{}: {}\n", indent, leaf, value_yaml(key, {copy}));
        }
    }
    // Credentials without their secrets would not load: they are named in comments.
    for (const auto& credential : copy.security.credentials) out += fmt::format("  # credentials: {}: set, not shown\n", credential.access_key_id);
    return out;
}

}  // namespace waybill
