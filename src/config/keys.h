// The one table of every key of waybill.yaml. A row knows how a key is written, what it may be, what it means, and where in Config it
// lives; everything else in this folder is a walk over it. Internal to src/config.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/config.h"

namespace waybill::config {

enum class Type { text, boolean, integer, duration, size, word, texts, secret, secrets, headers };

// The element of a list or named map that a key belongs to, beside the Config itself.
struct Place {
    Config& config;
    TargetConfig* target = nullptr;
    OwnerRule* owner = nullptr;
    CodePipelineEndpoint* endpoint = nullptr;
    Credential* credential = nullptr;
    AwsEndpoint* aws = nullptr;
};

using Headers = std::vector<std::pair<std::string, std::string>>;
using Slot = std::variant<std::string*, bool*, int*, unsigned*, int64_t*, uint64_t*, NotifySuccess*, Locale*, TargetType*, Secret*,
                          std::vector<std::string>*, std::vector<Secret>*, Headers*>;

// Says what is wrong with a text and what would be right, or nothing.
using Check = std::string (*)(std::string_view value);

struct Rule {
    int64_t min = 0, max = 0;                         // integer, duration (ms), size (bytes)
    std::span<const std::string_view> words = {};     // word: in the order of the enum
    Check check = nullptr;                            // of a text, and of each of texts
    bool required = false;                            // in each element
    std::string_view default_text = {};               // where the default is not the value in config.h
};

struct Key {
    std::string_view path;           // NAME: any name; []: each element of a list
    Type type;
    Slot (*slot)(Place place);
    std::string_view documentation;  // one sentence; the type says ranges and words
    Rule rule = {};
};

std::span<const Key> keys();

// The key's value in `place` as one line of YAML. Secrets and headers are not for it.
std::string value_yaml(const Key& key, Place place);
std::string default_of(const Key& key);
std::string type_text(const Key& key);
// A text as a YAML scalar on one line.
std::string quoted(std::string_view text);
std::string format_size(uint64_t bytes);
std::optional<uint64_t> parse_size(std::string_view text);

// The policy section and the names of the targets, normalised: PolicyConfig::text.
std::string policy_yaml(const Config& config);

bool is_loopback_listen(std::string_view listen);

}  // namespace waybill::config
