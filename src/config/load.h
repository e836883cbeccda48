// Reads waybill.yaml and flags into a Config. One table (keys.h) describes every key; parsing, checks, flags, the reference page
// (docs/configuration.md) and effective_yaml() all come from it.
//
// load_config reports every problem at once, each on a line of its own:
//     waybill.yaml:12:5: policy.notify_succes: is not a key; did you mean policy.notify_success?
//     --listen: "4566" is not HOST:PORT; write for example 127.0.0.1:4566
// A secret is written in place, as ${ENV_VAR} or as file:/path; it is read once, here, through SecretSources, and no message ever quotes it.
// Nothing else is read from outside. The functions hold no state and may be called from any thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "config/config.h"

namespace waybill {

namespace limits {
constexpr size_t config_bytes = 1 << 20;        // of waybill.yaml
constexpr size_t config_depth = 16;             // nesting; the deepest key stands at 4
constexpr size_t config_problems = 100;         // named in one error; the rest is counted
constexpr size_t config_targets = 1000;
constexpr size_t config_owner_rules = 10'000;   // walked from the first on for every failed stage
constexpr size_t config_list = 1000;            // entries of any other list
constexpr size_t config_text_bytes = 4096;      // of one value
constexpr size_t config_secret_bytes = 64 << 10;  // of a secret's file
}  // namespace limits

// Where ${NAME} and file:/path are looked up. Tests put their own in.
struct SecretSources {
    std::function<std::optional<std::string>(const std::string& name)> environment;
    std::function<Result<std::string>(const std::string& path)> file;
};
SecretSources process_secret_sources();  // the process's environment and the disk

struct Loaded {
    Config config;
    std::vector<std::string> warnings;  // one line each, shaped like the problems
};

// `overrides` are flags: a dotted key without the dashes, and its value as it was typed (lists with commas). A later one wins, and all
// win over the file. An empty `yaml_text` gives the defaults.
Result<Loaded> load_config(std::string_view yaml_text, std::string_view file_name,
                           const std::vector<std::pair<std::string, std::string>>& overrides,
                           const SecretSources& secrets = process_secret_sources());

// What a CLI needs to offer a key as a flag.
struct ConfigKey {
    std::string path;           // policy.notify_success, targets.NAME.url, policy.owners[].stage
    std::string type;           // "one of always, recovery, never"
    std::string default_text;   // empty: none
    std::string documentation;  // one sentence
    bool flag = false;          // false: stands inside a list of maps, and can only be written in the file
};
std::vector<ConfigKey> configuration_keys();

// The Markdown of docs/configuration.md.
std::string configuration_reference();
// A waybill.yaml that names every key. It loads without a warning once the variables it names are set.
std::string example_yaml();

// The configuration as YAML, without secrets and without the paths of webhooks: a comment stands in their place. A configuration that has
// none of them is what load_config reads back from it.
std::string effective_yaml(const Config& config);

}  // namespace waybill
