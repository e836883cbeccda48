#include "config/load.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <simdjson.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>

#include "base/hash.h"
#include "base/json_writer.h"
#include "base/time.h"
#include "config/glob.h"
#include "config/keys.h"
#include "config/tree.h"

namespace waybill {
namespace {

using namespace config;

// Edits that turn a into b, counted up to `most`.
size_t edit_distance(std::string_view a, std::string_view b, size_t most) {
    if (a.size() > b.size() + most || b.size() > a.size() + most) return most + 1;
    std::vector<size_t> row(b.size() + 1);
    for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (size_t i = 1; i <= a.size(); ++i) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.size(); ++j) {
            const size_t above = row[j];
            row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
            diagonal = above;
        }
        if (*std::min_element(row.begin(), row.end()) > most) return most + 1;
    }
    return std::min(row[b.size()], most + 1);
}

std::string_view last_part(std::string_view path) {
    const auto dot = path.rfind('.');
    auto part = dot == path.npos ? path : path.substr(dot + 1);
    if (part.ends_with("[]")) part.remove_suffix(2);
    return part;
}

// Every key, and every section above one.
const std::vector<std::string>& known_paths() {
    static const std::vector<std::string> paths = [] {
        std::set<std::string> out;
        for (const Key& key : keys())
            for (size_t end = key.path.size(); end != std::string_view::npos; end = key.path.rfind('.', end - 1)) {
                auto path = key.path.substr(0, end);
                if (path.ends_with("[]")) path.remove_suffix(2);
                out.emplace(path);
                if (end == 0) break;
            }
        return std::vector<std::string>(out.begin(), out.end());
    }();
    return paths;
}

// The known key that `pattern` was most likely meant to be, or nothing.
std::string nearest(std::string_view pattern) {
    if (pattern.size() > 200) return {};
    const auto name = last_part(pattern);
    const size_t most = std::max<size_t>(2, name.size() / 3);
    std::string best;
    size_t best_score = SIZE_MAX;
    for (const auto& path : known_paths()) {
        if (last_part(path) == "NAME") continue;
        // The same name elsewhere is a better guess than another name here with as many edits.
        const size_t whole = edit_distance(pattern, path, most) * 2;
        const size_t part = edit_distance(name, last_part(path), most) * 2 + 1;
        const size_t score = std::min(whole <= most * 2 ? whole : SIZE_MAX, part <= most * 2 + 1 ? part : SIZE_MAX);
        if (score < best_score) {
            best_score = score;
            best = path;
        }
    }
    return best;
}

const Key* find_key(std::string_view pattern) {
    for (const Key& key : keys())
        if (key.path == pattern) return &key;
    return nullptr;
}
bool has_keys_under(std::string_view prefix) {
    return std::any_of(keys().begin(), keys().end(), [&](const Key& key) { return key.path.starts_with(prefix); });
}

bool is_name(std::string_view s) {
    return !s.empty() && s.size() <= 64 && std::all_of(s.begin(), s.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    });
}

// What a message may show of a text that a person wrote.
std::string shown(std::string_view text) {
    size_t n = std::min<size_t>(text.size(), 80);
    while (n < text.size() && n > 0 && (static_cast<unsigned char>(text[n]) & 0xc0) == 0x80) --n;
    std::string out;
    JsonWriter::quote_into(out, text.substr(0, n));
    if (n < text.size()) out.insert(out.size() - 1, "…");
    return out;
}

bool has_control(std::string_view s) {
    return std::any_of(s.begin(), s.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

class Loader {
public:
    Loader(std::string_view file_name, const SecretSources& secrets) : file_(file_name), secrets_(secrets) {}

    Result<Loaded> load(std::string_view yaml, const std::vector<std::pair<std::string, std::string>>& overrides) {
        auto tree = parse_tree(yaml, problems_);
        if (!tree) return invalid(report());
        root_ = std::move(*tree);
        if (root_.kind == Node::Kind::nothing) root_.kind = Node::Kind::map;
        if (root_.kind != Node::Kind::map) {
            problem(root_.where, "", "a map of keys must stand here, for example listen: 127.0.0.1:4566");
            root_ = Node{.kind = Node::Kind::map};
        }
        for (const auto& [path, value] : overrides) apply_flag(path, value);
        read_map(root_, "", "", {config_});
        check_targets();
        check_policy();
        check_numbers();
        check_security();
        if (!problems_.empty()) return invalid(report());
        config_.policy.text = policy_yaml(config_);
        config_.policy.version = hash64(config_.policy.text);
        Loaded out{std::move(config_), {}};
        for (const auto& w : warnings_) out.warnings.push_back(line(w));
        return out;
    }

private:
    void problem(const Where& where, std::string_view key, std::string text) {
        problems_.push_back({where, std::string(key), std::move(text)});
    }
    void warning(const Where& where, std::string_view key, std::string text) {
        if (warnings_.size() < limits::config_problems) warnings_.push_back({where, std::string(key), std::move(text)});
    }

    std::string line(const Problem& p) const {
        std::string out = p.where.flag.empty() ? fmt::format("{}:{}:{}: ", file_, p.where.line, p.where.column) : "--" + p.where.flag + ": ";
        if (!p.key.empty() && p.key != p.where.flag) out += p.key + ": ";
        return out + p.text;
    }
    std::string report() {
        std::sort(problems_.begin(), problems_.end(), [](const Problem& a, const Problem& b) {
            return std::tuple(!a.where.flag.empty(), a.where.line, a.where.column, std::string_view(a.key), std::string_view(a.text)) <
                   std::tuple(!b.where.flag.empty(), b.where.line, b.where.column, std::string_view(b.key), std::string_view(b.text));
        });
        std::string out;
        for (size_t i = 0; i < problems_.size() && i < limits::config_problems; ++i) {
            if (i) out += '\n';
            out += line(problems_[i]);
        }
        if (problems_.size() > limits::config_problems) out += fmt::format("\nand {} more", problems_.size() - limits::config_problems);
        return out;
    }

    // Puts a flag's value into the tree, where the file would have had it.
    void apply_flag(const std::string& path, const std::string& value) {
        const Where where{0, 0, path.substr(0, 200)};
        std::vector<std::string_view> parts;
        for (std::string_view rest = path; parts.size() <= limits::config_depth;) {
            const auto dot = rest.find('.');
            parts.push_back(rest.substr(0, dot));
            if (dot == rest.npos) break;
            rest.remove_prefix(dot + 1);
        }
        std::string pattern;
        for (size_t i = 0; i < parts.size(); ++i) {
            if (i) pattern += '.';
            pattern += i == 1 && parts[0] == "targets" ? std::string_view("NAME") : parts[i];
        }
        const Key* key = find_key(pattern);
        if (!key) {
            if (has_keys_under(pattern + "[]."))
                problem(where, path, "is a list, which only the file can hold");
            else if (has_keys_under(pattern + "."))
                problem(where, path, "is a section; name a key in it");
            else
                unknown(where, path, pattern);
            return;
        }
        if (key->type == Type::headers || key->path.contains('[')) {
            problem(where, path, "can only be written in the file");
            return;
        }
        if (!simdjson::validate_utf8(value.data(), value.size())) {
            problem(where, path, "is not UTF-8 text");
            return;
        }
        Node* at = &root_;
        for (size_t i = 0; i + 1 < parts.size(); ++i) {
            Node* next = at->find(parts[i]);
            if (!next) {
                at->entries.push_back({std::string(parts[i]), where, Node{.kind = Node::Kind::map, .where = where}});
                next = &at->entries.back().value;
            }
            if (next->kind == Node::Kind::nothing) next->kind = Node::Kind::map;
            if (next->kind != Node::Kind::map) return;  // reading the file's node says what is wrong with it
            at = next;
        }
        Node node{.kind = Node::Kind::text, .where = where, .text = value};
        if (key->type == Type::texts || key->type == Type::secrets) {
            node = Node{.kind = Node::Kind::list, .where = where};
            for (std::string_view rest = value; !value.empty();) {
                const auto comma = rest.find(',');
                node.items.push_back({.kind = Node::Kind::text, .where = where, .text = std::string(rest.substr(0, comma))});
                if (comma == rest.npos) break;
                rest.remove_prefix(comma + 1);
            }
        }
        if (Node* there = at->find(parts.back())) *there = std::move(node);
        else at->entries.push_back({std::string(parts.back()), where, std::move(node)});
    }

    void unknown(const Where& where, std::string_view path, std::string_view pattern) {
        // A guess looks at every key; a file of nothing but mistakes must not take long to refuse.
        const auto guess = problems_.size() < limits::config_problems ? nearest(pattern) : std::string();
        problem(where, has_control(path) || path.size() > 200 ? shown(path) : std::string(path),
                guess.empty() ? "is not a key; docs/configuration.md lists all" : fmt::format("is not a key; did you mean {}?", guess));
    }

    // `pattern` is the path as the table spells it, `path` as a person would.
    void read_map(const Node& map, std::string_view pattern, std::string_view path, Place place) {
        auto join = [](std::string_view a, std::string_view b) { return a.empty() ? std::string(b) : fmt::format("{}.{}", a, b); };
        // Keys before sections: targets take the root's locale.
        for (const auto& entry : map.entries)
            if (const Key* key = find_key(join(pattern, entry.name))) read_value(*key, entry.value, join(path, entry.name), place);
        for (const auto& entry : map.entries) {
            const auto p = join(pattern, entry.name), shown_path = join(path, entry.name);
            if (find_key(p)) continue;
            if (has_keys_under(p + "[].")) read_list(entry.value, p, shown_path);
            else if (p == "targets") read_targets(entry.value);
            else if (has_keys_under(p + ".") && entry.name != "NAME") {
                if (expect(entry.value, Node::Kind::map, shown_path)) read_map(entry.value, p, shown_path, place);
            } else unknown(entry.where, shown_path, p);
        }
        for (const Key& key : keys()) {
            const auto dot = key.path.rfind('.');
            if (key.rule.required && dot != key.path.npos && key.path.substr(0, dot) == pattern && !map.find(last_part(key.path)))
                problem(map.where, join(path, last_part(key.path)), fmt::format("is missing; write {}", type_text(key)));
        }
    }

    // A section left empty is a section without keys.
    bool expect(const Node& node, Node::Kind kind, std::string_view path) {
        if (node.kind == Node::Kind::nothing) return false;
        if (node.kind == kind) return true;
        problem(node.where, path, kind == Node::Kind::map ? "must be a map, key: value on indented lines" : "must be a list, - item on indented lines or [a, b]");
        return false;
    }

    void read_targets(const Node& node) {
        if (!expect(node, Node::Kind::map, "targets")) return;
        if (node.entries.size() > limits::config_targets) {
            problem(node.where, "targets", fmt::format("has {} targets; at most {} may be", node.entries.size(), limits::config_targets));
            return;
        }
        for (const auto& entry : node.entries) {
            if (!is_name(entry.name)) {
                problem(entry.where, "targets", fmt::format("{} is not a name: 1 to 64 letters, digits, _ and -", shown(entry.name)));
                continue;
            }
            const auto path = "targets." + entry.name;
            TargetConfig target;
            target.name = entry.name;
            target.locale = config_.locale;
            if (entry.value.kind == Node::Kind::nothing) problem(entry.where, path, "is empty; write at least its type");
            else if (expect(entry.value, Node::Kind::map, path)) read_map(entry.value, "targets.NAME", path, {config_, &target});
            config_.targets.push_back(std::move(target));
        }
    }

    void read_list(const Node& node, const std::string& pattern, const std::string& path) {
        if (!expect(node, Node::Kind::list, path)) return;
        const size_t most = pattern == "policy.owners" ? limits::config_owner_rules : limits::config_list;
        if (node.items.size() > most) {
            problem(node.where, path, fmt::format("has {} entries; at most {} may be", node.items.size(), most));
            return;
        }
        for (size_t i = 0; i < node.items.size(); ++i) {
            const Node& item = node.items[i];
            const auto item_path = fmt::format("{}[{}]", path, i);
            if (item.kind != Node::Kind::map) {
                problem(item.where, item_path, "must be a map, key: value");
                continue;
            }
            if (pattern == "policy.owners") {
                OwnerRule rule;
                rule.line = item.where.line;
                read_map(item, pattern + "[]", item_path, {.config = config_, .owner = &rule});
                config_.policy.owners.push_back(std::move(rule));
            } else if (pattern == "codepipeline") {
                CodePipelineEndpoint endpoint;
                read_map(item, pattern + "[]", item_path, {.config = config_, .endpoint = &endpoint});
                check_key_pair(item, item_path);
                config_.codepipeline.push_back(std::move(endpoint));
            } else if (pattern == "aws") {
                AwsEndpoint endpoint;
                read_map(item, pattern + "[]", item_path, {.config = config_, .aws = &endpoint});
                check_key_pair(item, item_path);
                config_.aws.push_back(std::move(endpoint));
            } else {
                ASSERT(pattern == "security.credentials");
                Credential credential;
                read_map(item, pattern + "[]", item_path, {.config = config_, .credential = &credential});
                for (const auto& other : config_.security.credentials)
                    if (!credential.access_key_id.empty() && other.access_key_id == credential.access_key_id)
                        problem(item.where, item_path, fmt::format("{} is listed twice; keep one", credential.access_key_id));
                config_.security.credentials.push_back(std::move(credential));
            }
        }
    }

    // Of an entry of codepipeline or aws.
    void check_key_pair(const Node& item, std::string_view path) {
        auto written = [&](std::string_view name) { return item.find(name) && !item.find(name)->text.empty(); };
        if (written("access_key_id") != written("secret_access_key"))
            problem(item.where, path, "access_key_id and secret_access_key go together; write both or neither");
    }

    // The text of a scalar node, or a problem.
    const std::string* scalar(const Key& key, const Node& node, std::string_view path) {
        if (node.kind != Node::Kind::text) {
            problem(node.where, path, fmt::format("{}; write {}", node.kind == Node::Kind::nothing ? "has no value" : node.kind == Node::Kind::list ? "is a list" : "is a map", type_text(key)));
            return nullptr;
        }
        const size_t most = key.type == Type::secret || key.type == Type::secrets || key.type == Type::headers ? limits::config_secret_bytes : limits::config_text_bytes;
        if (node.text.size() > most || has_control(node.text)) {
            problem(node.where, path, node.text.size() > most ? fmt::format("is longer than {} bytes", most) : "has control characters or line breaks");
            return nullptr;
        }
        return &node.text;
    }

    void read_value(const Key& key, const Node& node, const std::string& path, Place place) {
        switch (key.type) {
            case Type::texts:
            case Type::secrets: return read_texts(key, node, path, place);
            case Type::headers: return read_headers(key, node, path, place);
            default: break;
        }
        const std::string* text = scalar(key, node, path);
        if (!text) return;
        auto wrong = [&](std::string_view what) { problem(node.where, path, fmt::format("{} {}", shown(*text), what)); };
        const Slot slot = key.slot(place);
        switch (key.type) {
            case Type::text: {
                std::string value = *text;
                // A webhook's URL is often the whole secret of it.
                const bool may_be_secret = key.path == "targets.NAME.url";
                if (may_be_secret && is_reference(value) && !resolve(value, node.where, path)) return;
                if (const auto what = key.rule.check ? key.rule.check(value) : std::string(); !what.empty()) {
                    if (may_be_secret) problem(node.where, path, "its value " + what);
                    else wrong(what);
                    return;
                }
                *std::get<std::string*>(slot) = std::move(value);
                return;
            }
            case Type::boolean:
                if (*text != "true" && *text != "false") return wrong("is neither true nor false");
                *std::get<bool*>(slot) = *text == "true";
                return;
            case Type::integer: {
                int64_t n = 0;
                auto [end, ec] = std::from_chars(text->data(), text->data() + text->size(), n);
                if (ec != std::errc{} || end != text->data() + text->size() || n < key.rule.min || n > key.rule.max)
                    return wrong(fmt::format("is not a number from {} to {}", key.rule.min, key.rule.max));
                if (auto* i = std::get_if<int*>(&slot)) **i = static_cast<int>(n);
                else if (auto* u = std::get_if<unsigned*>(&slot)) **u = static_cast<unsigned>(n);
                else *std::get<uint64_t*>(slot) = static_cast<uint64_t>(n);
                return;
            }
            case Type::duration: {
                const auto ms = parse_duration_ms(*text);
                if (!ms || *ms < key.rule.min || *ms > key.rule.max)
                    return wrong(fmt::format("is not a duration from {} to {}; write a whole number and ms, s, m, h or d", format_duration_ms(key.rule.min), format_duration_ms(key.rule.max)));
                *std::get<int64_t*>(slot) = *ms;
                return;
            }
            case Type::size: {
                const auto bytes = parse_size(*text);
                const auto least = static_cast<uint64_t>(key.rule.min), most = static_cast<uint64_t>(key.rule.max);
                if (!bytes || *bytes < least || *bytes > most)
                    return wrong(fmt::format("is not a size from {} to {}; write a whole number of bytes, or with KiB, MiB, GiB or TiB", format_size(least), format_size(most)));
                *std::get<uint64_t*>(slot) = *bytes;
                return;
            }
            case Type::word: {
                const auto at = std::find(key.rule.words.begin(), key.rule.words.end(), *text);
                if (at == key.rule.words.end()) return wrong(fmt::format("is none of {}", fmt::join(key.rule.words, ", ")));
                const auto index = at - key.rule.words.begin();
                if (auto* n = std::get_if<NotifySuccess*>(&slot)) **n = static_cast<NotifySuccess>(index);
                else if (auto* l = std::get_if<Locale*>(&slot)) **l = static_cast<Locale>(index);
                else *std::get<TargetType*>(slot) = static_cast<TargetType>(index);
                return;
            }
            case Type::secret: {
                std::string value = *text;
                if (is_reference(value) && !resolve(value, node.where, path)) return;
                if (key.rule.required && value.empty()) return problem(node.where, path, "is empty");
                *std::get<Secret*>(slot) = Secret(std::move(value));
                return;
            }
            default: ASSERT(false);
        }
    }

    void read_texts(const Key& key, const Node& node, const std::string& path, Place place) {
        if (node.kind != Node::Kind::list)
            return problem(node.where, path, node.kind == Node::Kind::text ? fmt::format("is one text, and a list is wanted; write [{}]", key.type == Type::secrets ? "…" : shown(node.text))
                                                                           : "must be a list; write [a, b]");
        if (node.items.size() > limits::config_list)
            return problem(node.where, path, fmt::format("has {} entries; at most {} may be", node.items.size(), limits::config_list));
        std::vector<std::string> values;
        for (const Node& item : node.items) {
            const std::string* text = scalar(key, item, path);
            if (!text) continue;
            std::string value = *text;
            if (key.type == Type::secrets) {
                if (is_reference(value) && !resolve(value, item.where, path)) continue;
                if (value.empty()) problem(item.where, path, "has an empty entry");
                else if (value.size() < 16) warning(item.where, path, "has an entry of fewer than 16 characters, which can be guessed");
            } else {
                const auto what = value.empty() ? std::string("is empty") : key.rule.check ? key.rule.check(value) : std::string();
                if (!what.empty()) problem(item.where, path, fmt::format("{} {}", shown(value), what));
                else if (std::find(values.begin(), values.end(), value) != values.end()) {
                    warning(item.where, path, fmt::format("{} is listed twice", shown(value)));
                    continue;
                }
            }
            values.push_back(std::move(value));
        }
        const Slot slot = key.slot(place);
        if (auto* secrets = std::get_if<std::vector<Secret>*>(&slot)) {
            (*secrets)->clear();
            for (auto& v : values) (*secrets)->emplace_back(std::move(v));
        } else {
            *std::get<std::vector<std::string>*>(slot) = std::move(values);
        }
    }

    void read_headers(const Key& key, const Node& node, const std::string& path, Place place) {
        if (!expect(node, Node::Kind::map, path)) return;
        if (node.entries.size() > 64) return problem(node.where, path, "has more than 64 headers");
        static constexpr std::string_view ours[] = {"host", "content-length", "content-type", "transfer-encoding", "connection", "te", "upgrade",
                                                    "expect", "trailer", "user-agent", "idempotency-key", "waybill-delivery", "waybill-timestamp", "waybill-signature"};
        Headers headers;
        for (const auto& entry : node.entries) {
            std::string lower;
            for (char c : entry.name) lower += static_cast<char>(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
            const bool token = !lower.empty() && lower.size() <= 128 && std::all_of(lower.begin(), lower.end(), [](char c) {
                return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || std::string_view("!#$%&'*+-.^_`|~").contains(c);
            });
            if (!token) {
                problem(entry.where, path, fmt::format("{} is not a header's name", shown(entry.name)));
                continue;
            }
            if (std::find(std::begin(ours), std::end(ours), lower) != std::end(ours)) {
                problem(entry.where, path, fmt::format("{} is set by Waybill; leave it out", entry.name));
                continue;
            }
            const auto entry_path = path + "." + entry.name;
            const std::string* text = scalar(key, entry.value, entry_path);
            if (!text) continue;
            std::string value = *text;
            if (is_reference(value) && !resolve(value, entry.value.where, entry_path)) continue;
            headers.emplace_back(entry.name, std::move(value));
        }
        *std::get<Headers*>(key.slot(place)) = std::move(headers);
    }

    static bool is_reference(std::string_view value) { return value.starts_with("${") || value.starts_with("file:"); }

    // Replaces ${NAME} or file:/path by what it stands for.
    bool resolve(std::string& value, const Where& where, std::string_view path) {
        if (value.starts_with("${")) {
            const auto name = value.ends_with('}') ? value.substr(2, value.size() - 3) : std::string();
            const bool fine = !name.empty() && !(name[0] >= '0' && name[0] <= '9') && std::all_of(name.begin(), name.end(), [](char c) {
                return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
            });
            if (!fine) {
                problem(where, path, "is not ${NAME}: letters, digits and _ between the braces, and nothing after them");
                return false;
            }
            auto found = secrets_.environment(name);
            if (!found || found->empty()) {
                problem(where, path, fmt::format("the environment variable {} is {}; set it, or write the secret another way", name, found ? "empty" : "not set"));
                return false;
            }
            value = std::move(*found);
        } else {
            auto found = secrets_.file(value.substr(5));
            if (!found) {
                problem(where, path, std::move(found.error().message));
                return false;
            }
            value = std::move(*found);
            if (value.ends_with('\n')) value.pop_back();
            if (value.ends_with('\r')) value.pop_back();
            if (value.empty()) {
                problem(where, path, "the secret's file is empty");
                return false;
            }
        }
        if (value.size() > limits::config_secret_bytes || has_control(value) || !simdjson::validate_utf8(value.data(), value.size())) {
            problem(where, path, "what it names is not one line of UTF-8 text");
            return false;
        }
        return true;
    }

    // The place of a dotted path, or of the nearest section above it that was written.
    Where where_of(std::string_view path) const {
        const Node* node = &root_;
        Where where;
        while (!path.empty()) {
            const auto dot = path.find('.');
            node = node->find(path.substr(0, dot));
            if (!node) break;
            where = node->where;
            path = dot == path.npos ? std::string_view() : path.substr(dot + 1);
        }
        return where;
    }

    void check_targets() {
        if (const Node* written = root_.find("targets"); !written || written->kind == Node::Kind::nothing) {
            TargetConfig devops;
            devops.name = "devops";
            devops.type = TargetType::mail;
            devops.locale = config_.locale;
            devops.to = {"devops@localhost"};
            config_.targets.push_back(std::move(devops));
        }
        for (const auto& target : config_.targets) {
            const auto path = "targets." + target.name;
            const Node* targets = root_.find("targets");
            const Node* node = targets ? targets->find(target.name) : nullptr;
            if (!node || node->kind != Node::Kind::map || !node->find("type")) continue;
            auto only = [&](std::string_view key, std::string_view type) {
                if (const Node* v = node->find(key)) problem(v->where, fmt::format("{}.{}", path, key), fmt::format("is for targets of type {}; leave it out", type));
            };
            if (target.type != TargetType::mail) only("to", "mail");
            if (target.type != TargetType::webhook)
                for (auto key : {"url", "secret", "headers", "timeout"}) only(key, "webhook");
            if (target.type == TargetType::mail && target.to.empty() && !(node->find("to") && node->find("to")->kind == Node::Kind::list && !node->find("to")->items.empty()))
                problem(node->where, path + ".to", "is missing; write the addresses, for example [devops@example.com]");
            if (target.type == TargetType::webhook && target.url.empty() && (!node->find("url") || node->find("url")->text.empty()))
                problem(node->where, path + ".url", "is missing; write where to POST, for example https://example.com/hook");
            if (!target.secret.empty() && target.secret.reveal().size() < 16)
                warning(where_of(path + ".secret"), path + ".secret", "has fewer than 16 characters, which can be guessed");
        }
    }

    void check_names(const std::vector<std::string>& names, const Where& where, std::string_view path) {
        for (const auto& name : names) {
            if (std::any_of(config_.targets.begin(), config_.targets.end(), [&](const auto& t) { return t.name == name; })) continue;
            std::string defined;
            for (size_t i = 0; i < config_.targets.size() && i < 20; ++i) defined.append(i ? ", " : "").append(config_.targets[i].name);
            problem(where, path, fmt::format("{} is not a target; {}", shown(name), defined.empty() ? "none is defined" : "defined are " + defined));
        }
    }

    void check_policy() {
        auto& policy = config_.policy;
        const Node* section = root_.find("policy");
        if (const bool given = section && section->find("team"); given || policy.team != std::vector<std::string>{"devops"}) {
            check_names(policy.team, where_of("policy.team"), "policy.team");
            if (policy.team.empty() && given) warning(where_of("policy.team"), "policy.team", "is empty: nobody is told of failed pipelines");
        } else if (std::none_of(config_.targets.begin(), config_.targets.end(), [](const auto& t) { return t.name == "devops"; })) {
            problem(where_of("targets"), "policy.team", "is missing: it is [devops] where nothing else is written, and no target has that name; write the targets that are told of failures");
        }
        check_names(policy.success_targets, where_of("policy.success_targets"), "policy.success_targets");

        const Node* owners = section ? section->find("owners") : nullptr;
        for (size_t i = 0; owners && i < policy.owners.size() && policy.owners.size() == owners->items.size(); ++i) {
            const auto& rule = policy.owners[i];
            const auto path = fmt::format("policy.owners[{}]", i);
            const Node* names = owners->items[i].find("targets");
            check_names(rule.targets, names ? names->where : owners->items[i].where, path + ".targets");
            if (rule.targets.empty() && names && names->kind == Node::Kind::list && names->items.empty())
                warning(names->where, path + ".targets", "is empty: nobody is told of these stages");
            // Up to a thousand rules are compared with each other; beyond that the warning is not worth the start-up time.
            for (size_t j = 0; j < i && policy.owners.size() <= 1000; ++j) {
                const auto& earlier = policy.owners[j];
                if (!glob_covers(earlier.pipeline, rule.pipeline) || !glob_covers(earlier.stage, rule.stage)) continue;
                warning(owners->items[i].where, path, fmt::format("is never reached: the rule in line {} matches everything that it does; move this one up, or remove it", earlier.line));
                break;
            }
        }

        std::set<std::string_view> told(policy.team.begin(), policy.team.end());
        told.insert(policy.success_targets.begin(), policy.success_targets.end());
        for (const auto& rule : policy.owners) told.insert(rule.targets.begin(), rule.targets.end());
        for (const auto& target : config_.targets)
            if (!told.contains(target.name))
                warning(where_of("targets." + target.name), "targets." + target.name, "is told of nothing: neither policy.team nor an owner rule names it");
    }

    void check_numbers() {
        if (config_.log.reserve_bytes >= config_.log.segment_bytes)
            problem(where_of("log.reserve_bytes"), "log.reserve_bytes", fmt::format("{} is not less than log.segment_bytes, {}", format_size(config_.log.reserve_bytes), format_size(config_.log.segment_bytes)));
        if (config_.log.retention_bytes && config_.log.retention_bytes < 2 * config_.log.segment_bytes)
            problem(where_of("log.retention_bytes"), "log.retention_bytes", fmt::format("{} is less than two log.segment_bytes, {}; 0 keeps everything", format_size(config_.log.retention_bytes), format_size(2 * config_.log.segment_bytes)));
        if (config_.delivery.backoff_max_ms < config_.delivery.backoff_first_ms)
            problem(where_of("delivery.backoff_max"), "delivery.backoff_max", fmt::format("{} is less than delivery.backoff_first, {}", format_duration_ms(config_.delivery.backoff_max_ms), format_duration_ms(config_.delivery.backoff_first_ms)));
        if (!config_.mail.user.empty() && config_.mail.password.empty() && !secret_failed("mail.password"))
            problem(where_of("mail.user"), "mail.user", "has no password; add mail.password");
        while (config_.console_url.ends_with('/')) config_.console_url.pop_back();
    }
    bool secret_failed(std::string_view key) const {
        return std::any_of(problems_.begin(), problems_.end(), [&](const Problem& p) { return p.key == key; });
    }

    void check_security() {
        const bool no_credentials = config_.security.credentials.empty(), no_tokens = config_.security.tokens.empty();
        if (no_credentials != no_tokens)
            warning(where_of("security"), no_credentials ? "security.credentials" : "security.tokens",
                    no_credentials ? "is empty, so the AWS API takes requests with any signature or none, while the native API asks for a token"
                                   : "is empty, so the native API and the console are open, while the AWS API asks for a signature");
        if (is_loopback_listen(config_.listen)) return;
        if (no_credentials || no_tokens)
            problem(where_of("listen"), "listen",
                    fmt::format("{} can be reached from other machines, so the API must not be open: add {}{}{}, or listen on 127.0.0.1", shown(config_.listen),
                                no_credentials ? "security.credentials (access_key_id and secret_access_key)" : "", no_credentials && no_tokens ? " and " : "",
                                no_tokens ? "security.tokens" : ""));
        const auto host = std::string_view(config_.listen).substr(0, config_.listen.rfind(':'));
        if (config_.console_url.empty() && (host == "0.0.0.0" || host == "[::]"))
            warning(where_of("listen"), "console_url", fmt::format("is empty, so links in messages begin with http://{}, which leads nowhere; set it", config_.listen));
    }

    std::string file_;
    const SecretSources& secrets_;
    Node root_;
    Config config_;
    std::vector<Problem> problems_, warnings_;
};

Result<std::string> read_secret_file(const std::string& path) {
    std::FILE* file = std::fopen(path.c_str(), "rb");
    if (!file) return invalid(fmt::format("the secret's file {} cannot be opened: {}", path, std::strerror(errno)));
    std::string out(limits::config_secret_bytes + 1, '\0');
    out.resize(std::fread(out.data(), 1, out.size(), file));
    const bool failed = std::ferror(file);
    std::fclose(file);
    if (failed) return invalid(fmt::format("the secret's file {} cannot be read", path));
    if (out.size() > limits::config_secret_bytes) return invalid(fmt::format("the secret's file {} is larger than {} bytes", path, limits::config_secret_bytes));
    return out;
}

}  // namespace

SecretSources process_secret_sources() {
    return {[](const std::string& name) -> std::optional<std::string> {
                const char* value = std::getenv(name.c_str());
                return value ? std::optional<std::string>(value) : std::nullopt;
            },
            read_secret_file};
}

Result<Loaded> load_config(std::string_view yaml_text, std::string_view file_name,
                           const std::vector<std::pair<std::string, std::string>>& overrides, const SecretSources& secrets) {
    return Loader(file_name, secrets).load(yaml_text, overrides);
}

}  // namespace waybill
