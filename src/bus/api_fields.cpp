#include "bus/api_fields.h"

#include <fmt/format.h>

#include <cmath>

#include "base/bytes.h"
#include "bus/arn.h"

namespace waybill::bus {

namespace dom = simdjson::dom;

namespace {

bool all_of(std::string_view text, std::string_view others) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || others.find(c) != others.npos;
    });
}

// (arn:aws[\w-]*:events:[a-z]+-[a-z]+-[\w-]+:[0-9]{12}:event-bus\/)?[/\.\-_A-Za-z0-9]+, where the name's part cannot hold a
// colon.
bool is_bus_name_or_arn(std::string_view text) {
    if (!text.starts_with("arn:")) return is_name_with_slashes(text);
    const auto arn = parse_arn(text);
    constexpr std::string_view kind = "event-bus/";
    return arn && arn->partition.starts_with("aws") && all_of(arn->partition, "_-") && arn->service == "events" &&
           all_of(arn->region, "_-") && arn->account.size() == 12 &&
           std::all_of(arn->account.begin(), arn->account.end(), [](char c) { return c >= '0' && c <= '9'; }) &&
           arn->resource.starts_with(kind) && is_name_with_slashes(std::string_view(arn->resource).substr(kind.size()));
}

bool is_key_identifier(std::string_view text) { return text.empty() || all_of(text, "_-/:"); }

// As Java counts: a character beyond the basic plane is two.
size_t characters(std::string_view utf8) {
    size_t n = 0;
    for (const unsigned char c : utf8) n += (c & 0xc0) == 0x80 ? 0 : c >= 0xf0 ? 2 : 1;
    return n;
}

std::string_view cut(std::string_view text, size_t bytes) {
    if (text.size() <= bytes) return text;
    while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xc0) == 0x80) --bytes;
    return text.substr(0, bytes);
}

// AWS names a member in its messages with a small first letter.
std::string small_first(std::string_view name) {
    std::string small(name);
    if (!small.empty() && small[0] >= 'A' && small[0] <= 'Z') small[0] = static_cast<char>(small[0] - 'A' + 'a');
    return small;
}

std::string_view token_name(const dom::element& element) {
    switch (element.type()) {
        case dom::element_type::ARRAY: return "START_ARRAY";
        case dom::element_type::OBJECT: return "START_OBJECT";
        case dom::element_type::STRING: return "STRING_VALUE";
        case dom::element_type::BOOL: return element.get_bool().value_unsafe() ? "TRUE_VALUE" : "FALSE_VALUE";
        case dom::element_type::NULL_VALUE: return "NULL_VALUE";
        case dom::element_type::INT64:
        case dom::element_type::UINT64:
        case dom::element_type::DOUBLE: break;
    }
    return "NUMBER_VALUE";
}

constexpr std::string_view must_not_be_null = "Member must not be null";

std::string at_least(size_t min) { return fmt::format("Member must have length greater than or equal to {}", min); }
std::string at_most(size_t max) { return fmt::format("Member must have length less than or equal to {}", max); }
std::string of_form(const TextRule& rule) {
    return fmt::format("Member must satisfy regular expression pattern: {}", rule.form.shown);
}
std::string one_of(const TextRule& rule) {
    return fmt::format("Member must satisfy enum value set: [{}]", fmt::join(rule.one_of, ", "));
}

bool form_fits(std::string_view value, const TextRule& rule) { return !rule.form.fits || rule.form.fits(value); }
bool is_one_of(std::string_view value, const TextRule& rule) {
    return rule.one_of.empty() || std::find(rule.one_of.begin(), rule.one_of.end(), value) != rule.one_of.end();
}
bool fits(std::string_view value, const TextRule& rule) {
    const size_t length = characters(value);
    return length >= rule.min && length <= rule.max && form_fits(value, rule) && is_one_of(value, rule);
}

// Of a member of a list or a map.
std::vector<std::string> constraints(const TextRule& rule) {
    std::vector<std::string> all;
    if (rule.max != unlimited) all.push_back(at_most(rule.max));
    if (rule.min > 0 || rule.max != unlimited) all.push_back(at_least(rule.min));
    if (rule.form.fits) all.push_back(of_form(rule));
    if (!rule.one_of.empty()) all.push_back(one_of(rule));
    return all;
}

}  // namespace

bool is_plain_name(std::string_view text) { return all_of(text, ".-_"); }
bool is_name_with_slashes(std::string_view text) { return all_of(text, "/.-_"); }

const TextRule rule_name{1, 64, {R"([\.\-_A-Za-z0-9]+)", is_plain_name}};
const TextRule event_bus_name{1, 256, {R"([/\.\-_A-Za-z0-9]+)", is_name_with_slashes}};
const TextRule event_bus_name_or_arn{
    1, 1600, {R"((arn:aws[\w-]*:events:[a-z]+-[a-z]+-[\w-]+:[0-9]{12}:event-bus\/)?[/\.\-_A-Za-z0-9]+)", is_bus_name_or_arn}};
const TextRule kms_key{0, 2048, {R"(^[a-zA-Z0-9_\-/:]*$)", is_key_identifier}};
const TextRule description_512{0, 512};
const TextRule any_arn{1, 1600};
const TextRule event_pattern_text{0, 4096};

// -- members --

std::optional<dom::element> Members::find(std::string_view name) const {
    std::optional<dom::element> found;
    if (object_)
        for (const auto field : *object_)
            if (field.key == name) found = field.value;
    if (found && found->is_null()) found.reset();
    return found;
}

bool Members::has(std::string_view name) const { return find(name).has_value(); }

std::string Members::place(std::string_view name) const {
    return path_.empty() ? small_first(name) : path_ + "." + small_first(name);
}

void Members::broken(std::string_view name, std::string_view value, std::string_view constraint) {
    body_->broken(
        fmt::format("Value '{}' at '{}' failed to satisfy constraint: {}", cut(value, value_shown), place(name), constraint));
}

std::optional<dom::element> Members::wanted(std::string_view name, Need need) {
    auto found = find(name);
    if (!found && need == Need::required)
        body_->broken(fmt::format("Value null at '{}' failed to satisfy constraint: {}", place(name), must_not_be_null));
    return found;
}

void Members::check(const std::string& place, std::string_view value, const TextRule& rule) {
    const std::string shown = rule.sensitive ? "Value" : fmt::format("Value '{}'", cut(value, value_shown));
    auto refuse = [&](const std::string& constraint) {
        body_->broken(fmt::format("{} at '{}' failed to satisfy constraint: {}", shown, place, constraint));
    };
    const size_t length = characters(value);
    if (length < rule.min) refuse(at_least(rule.min));
    if (length > rule.max) refuse(at_most(rule.max));
    if (!form_fits(value, rule)) refuse(of_form(rule));
    if (!is_one_of(value, rule)) refuse(one_of(rule));
}

bool Members::count_fits(const std::string& shown, const std::string& place, size_t count, const ListRule& rule) {
    if (count >= rule.min && count <= rule.max) return true;
    body_->broken(fmt::format("{} at '{}' failed to satisfy constraint: {}", shown, place,
                              count < rule.min ? at_least(rule.min) : at_most(rule.max)));
    return false;
}

std::optional<std::string> Members::text(std::string_view name, const TextRule& rule, Need need) {
    const auto found = wanted(name, need);
    if (!found) return std::nullopt;
    std::string_view value;
    if (found->get(value) != simdjson::SUCCESS) {
        body_->wrong_type(fmt::format("{} can not be converted to a String", token_name(*found)));
        return std::nullopt;
    }
    if (!fits(value, rule)) {
        check(place(name), value, rule);
        return std::nullopt;
    }
    return std::string(value);
}

std::optional<int64_t> Members::integer(std::string_view name, const NumberRule& rule, Need need) {
    const auto found = wanted(name, need);
    if (!found) return std::nullopt;
    int64_t value = 0;
    if (double d; found->get(value) != simdjson::SUCCESS) {
        // 5.0 is an integer to AWS's readers; what is no whole number or no int64 is not.
        if (found->get(d) != simdjson::SUCCESS || d != std::floor(d) || std::abs(d) > 9.0e15) {
            body_->wrong_type(fmt::format("{} can not be converted to an Integer", token_name(*found)));
            return std::nullopt;
        }
        value = static_cast<int64_t>(d);
    }
    if (value < rule.min || value > rule.max) {
        body_->broken(
            fmt::format("Value '{}' at '{}' failed to satisfy constraint: Member must have value {} than or equal to {}", value,
                        place(name), value < rule.min ? "greater" : "less", value < rule.min ? rule.min : rule.max));
        return std::nullopt;
    }
    return value;
}

std::optional<bool> Members::boolean(std::string_view name) {
    const auto found = find(name);
    if (!found) return std::nullopt;
    bool value = false;
    if (found->get(value) == simdjson::SUCCESS) return value;
    body_->wrong_type(fmt::format("{} can not be converted to a Boolean", token_name(*found)));
    return std::nullopt;
}

std::optional<TimeMs> Members::time(std::string_view name, Need need) {
    const auto found = wanted(name, need);
    if (!found) return std::nullopt;
    std::string_view text;
    double seconds = 0;
    if (found->get(text) == simdjson::SUCCESS) {
        if (const auto time = parse_time(text)) return *time;
    } else if (found->get(seconds) == simdjson::SUCCESS && std::abs(seconds) < 2.5e11) {  // the year 9999, with room
        return static_cast<TimeMs>(std::llround(seconds * 1000));
    }
    body_->wrong_type(fmt::format("{} can not be converted to a Timestamp", token_name(*found)));
    return std::nullopt;
}

std::optional<Members> Members::structure(std::string_view name, Need need) {
    const auto found = wanted(name, need);
    if (!found) return std::nullopt;
    dom::object object;
    if (found->get(object) == simdjson::SUCCESS) return Members(*body_, object, place(name));
    body_->wrong_type(fmt::format("{} can not be converted to a structure", token_name(*found)));
    return std::nullopt;
}

std::optional<std::vector<Members>> Members::structures(std::string_view name, const ListRule& rule, Need need) {
    const auto found = wanted(name, need);
    if (!found) return std::nullopt;
    dom::array array;
    if (found->get(array) != simdjson::SUCCESS) {
        body_->wrong_type(fmt::format("{} can not be converted to a list", token_name(*found)));
        return std::nullopt;
    }
    std::vector<Members> list;
    for (const auto item : array) {
        const std::string path = fmt::format("{}.{}.member", place(name), list.size() + 1);
        dom::object object;
        if (item.is_null()) {
            body_->broken(fmt::format("Value null at '{}' failed to satisfy constraint: {}", path, must_not_be_null));
            list.push_back(Members(*body_, std::nullopt, path));
        } else if (item.get(object) == simdjson::SUCCESS) {
            list.push_back(Members(*body_, object, path));
        } else {
            body_->wrong_type(fmt::format("{} can not be converted to a structure", token_name(item)));
            return std::nullopt;
        }
    }
    if (!count_fits(fmt::format("Value '{}'", cut(simdjson::minify(*found), value_shown)), place(name), list.size(), rule))
        return std::nullopt;
    return list;
}

std::optional<std::vector<std::string>> Members::texts(std::string_view name, const ListRule& rule, const TextRule& each,
                                                       Need need) {
    const auto found = wanted(name, need);
    if (!found) return std::nullopt;
    dom::array array;
    if (found->get(array) != simdjson::SUCCESS) {
        body_->wrong_type(fmt::format("{} can not be converted to a list", token_name(*found)));
        return std::nullopt;
    }
    std::vector<std::string> list;
    bool good = true, null = false;
    for (const auto item : array) {
        std::string_view value;
        if (item.is_null()) {
            null = true;
        } else if (item.get(value) != simdjson::SUCCESS) {
            body_->wrong_type(fmt::format("{} can not be converted to a String", token_name(item)));
            return std::nullopt;
        } else {
            good = fits(value, each) && good;
        }
        list.emplace_back(value);
    }
    const std::string shown =
        each.sensitive ? "Value" : fmt::format("Value '{}'", cut(fmt::format("[{}]", fmt::join(list, ", ")), value_shown));
    // AWS tells all that a member must be, not which one is not.
    if (!good || null)
        body_->broken(fmt::format("{} at '{}' failed to satisfy constraint: Member must satisfy constraint: [{}]", shown,
                                  place(name),
                                  null ? std::string(must_not_be_null) : fmt::format("{}", fmt::join(constraints(each), ", "))));
    if (!count_fits(shown, place(name), list.size(), rule) || !good || null) return std::nullopt;
    return list;
}

std::optional<std::vector<std::pair<std::string, std::string>>> Members::text_map(std::string_view name, const ListRule& rule,
                                                                                  const TextRule& key, const TextRule& value) {
    const auto found = find(name);
    if (!found) return std::nullopt;
    dom::object object;
    if (found->get(object) != simdjson::SUCCESS) {
        body_->wrong_type(fmt::format("{} can not be converted to a map", token_name(*found)));
        return std::nullopt;
    }
    std::vector<std::pair<std::string, std::string>> map;
    std::map<std::string_view, size_t> at;
    bool good_keys = true, good_values = true;
    for (const auto field : object) {
        std::string_view text;
        if (field.value.is_null()) continue;
        if (field.value.get(text) != simdjson::SUCCESS) {
            body_->wrong_type(fmt::format("{} can not be converted to a String", token_name(field.value)));
            return std::nullopt;
        }
        good_keys = fits(field.key, key) && good_keys;
        good_values = fits(text, value) && good_values;
        if (const auto [it, fresh] = at.emplace(field.key, map.size()); fresh)
            map.emplace_back(field.key, text);
        else
            map[it->second].second = text;
    }
    std::string pairs;
    for (const auto& [k, v] : map) pairs += fmt::format("{}{}={}", pairs.empty() ? "" : ", ", k, v);
    const std::string shown = value.sensitive ? "Value" : fmt::format("Value '{}'", cut("{" + pairs + "}", value_shown));
    auto refuse = [&](std::string_view what, const TextRule& which) {
        body_->broken(fmt::format("{} at '{}' failed to satisfy constraint: Map {} must satisfy constraint: [{}]", shown,
                                  place(name), what, fmt::join(constraints(which), ", ")));
    };
    if (!good_keys) refuse("keys", key);
    if (!good_values) refuse("values", value);
    if (!count_fits(shown, place(name), map.size(), rule) || !good_keys || !good_values) return std::nullopt;
    return map;
}

std::string Members::json(std::string_view name) {
    const auto found = find(name);
    return found ? simdjson::minify(*found) : std::string();
}

std::optional<Tags> Members::tags(std::string_view name, Need need) {
    static const TextRule key_rule{1, 128};
    static const TextRule value_rule{0, 256};
    auto list = structures(name, {}, need);
    if (!list) return std::nullopt;
    Tags tags;
    for (Members& tag : *list) {
        const auto key = tag.text("Key", key_rule, Need::required);
        const auto value = tag.text("Value", value_rule, Need::required);
        if (key && value) tags[*key] = *value;
    }
    return tags;
}

// -- pages --
// A token is the list's name and the last key that was shown, in hexadecimal digits: it stays right when items come and go, and
// needs no memory.

std::string page_token(const Page& page, std::string_view last_key) { return to_hex(fmt::format("{}\n{}", page.list, last_key)); }

namespace {

std::optional<std::string> from_hex(std::string_view hex) {
    if (hex.size() % 2 != 0) return std::nullopt;
    auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; };
    std::string bytes;
    for (size_t i = 0; i < hex.size(); i += 2) {
        const int high = digit(hex[i]), low = digit(hex[i + 1]);
        if (high < 0 || low < 0) return std::nullopt;
        bytes.push_back(static_cast<char>(high * 16 + low));
    }
    return bytes;
}

}  // namespace

Page Members::page(std::string_view list) {
    static const TextRule token_rule{1, next_token_characters};
    Page page;
    page.list = list;
    if (const auto token = text("NextToken", token_rule)) {
        const auto bytes = from_hex(*token);
        const std::string begin = page.list + "\n";
        if (bytes && bytes->starts_with(begin) && bytes->size() > begin.size())
            page.after = bytes->substr(begin.size());
        else
            body_->bad_token_ = true;
    }
    if (const auto limit = integer("Limit", {1, static_cast<int64_t>(page_items)})) page.limit = static_cast<size_t>(*limit);
    return page;
}

void write_next_token(JsonWriter& w, const std::string& next_token) { write_text(w, "NextToken", next_token); }

// -- the request --

RequestBody::RequestBody(std::string_view json) {
    if (json.find_first_not_of(" \t\r\n") == json.npos) return;
    dom::element root;
    dom::object object;
    if (parser_.parse(json.data(), json.size(), true).get(root) != simdjson::SUCCESS)
        wrong_type("The request body is not valid JSON.");
    else if (root.get(object) != simdjson::SUCCESS)
        wrong_type(fmt::format("{} can not be converted to a structure", token_name(root)));
    else
        root_ = object;
}

Members RequestBody::root() { return Members(*this, root_, ""); }

void RequestBody::wrong_type(std::string message) {
    if (serialization_.empty()) serialization_ = std::move(message);
}

void RequestBody::broken(std::string text) {
    ++broken_count_;
    if (broken_.size() > broken_shown) return;
    if (!broken_.empty()) broken_ += "; ";
    broken_ += text;
    if (broken_.size() > broken_shown) broken_ = std::string(cut(broken_, broken_shown)) + "…";
}

std::optional<wire::AwsError> RequestBody::error() const {
    if (!serialization_.empty()) return wire::AwsError{"SerializationException", serialization_};
    if (broken_count_ > 0)
        return validation(
            fmt::format("{} validation error{} detected: {}", broken_count_, broken_count_ == 1 ? "" : "s", broken_));
    if (bad_token_) return validation("Provided NextToken is not valid.");
    return std::nullopt;
}

// -- answers --

wire::AwsError validation(std::string message) { return {"ValidationException", std::move(message)}; }
wire::AwsError resource_not_found(std::string message) { return {"ResourceNotFoundException", std::move(message)}; }
wire::AwsError already_exists(std::string message) { return {"ResourceAlreadyExistsException", std::move(message)}; }
wire::AwsError limit_exceeded(std::string message) { return {"LimitExceededException", std::move(message)}; }
wire::AwsError no_such_bus(std::string_view bus) { return resource_not_found(fmt::format("Event bus {} does not exist.", bus)); }

ApiAnswer answer(std::string json, std::vector<Change> changes) {
    ApiAnswer a;
    a.result = std::move(json);
    a.changes = std::move(changes);
    return a;
}

ApiAnswer refusal(wire::AwsError error) {
    ApiAnswer a;
    a.result = std::move(error);
    return a;
}

void write_time(JsonWriter& w, std::string_view name, TimeMs time) {
    if (time == no_time) return;
    const TimeMs seconds = time / 1000, rest = std::abs(time % 1000);
    w.key(name).raw(rest == 0 ? fmt::format("{}", seconds)
                              : fmt::format("{}{}.{:03}", time < 0 && seconds == 0 ? "-" : "", seconds, rest));
}

void write_text(JsonWriter& w, std::string_view name, std::string_view text) {
    if (!text.empty()) w.key(name).text(text);
}

void write_tags(JsonWriter& w, const Tags& tags) {
    w.begin_array();
    for (const auto& [key, value] : tags) w.begin_object().key("Key").text(key).key("Value").text(value).end_object();
    w.end_array();
}

std::optional<wire::AwsError> check_tags(const Tags& tags, size_t most) {
    if (tags.size() > most) return validation(fmt::format("A resource can have at most {} tags.", most));
    for (const auto& [key, value] : tags)
        if (key.starts_with("aws:"))
            return validation(fmt::format("The tag key {} is not valid. Reason: keys that start with aws: are reserved.", key));
    return std::nullopt;
}

BusKey bus_named(const Place& place, const std::optional<std::string>& name_or_arn) {
    if (!name_or_arn) return {place, std::string(default_bus)};
    const auto name = bus_name(*name_or_arn);
    const auto arn = parse_arn(*name_or_arn);
    if (!name || !arn) return {place, *name_or_arn};
    return {{arn->account, arn->region}, *name};
}

std::string uuid_of(uint64_t random) {
    // Two steps of splitmix64: the number is drawn at random, its bits only have to be spread over 128.
    std::string bytes;
    for (int i = 0; i < 2; ++i) {
        random += 0x9e3779b97f4a7c15u;
        uint64_t z = random;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        z ^= z >> 31;
        for (int byte = 0; byte < 8; ++byte) bytes.push_back(static_cast<char>(z >> (8 * byte)));
    }
    bytes[6] = static_cast<char>((bytes[6] & 0x0f) | 0x40);  // RFC 9562, version 4
    bytes[8] = static_cast<char>((bytes[8] & 0x3f) | 0x80);
    std::string id = to_hex(bytes);
    for (const size_t at : {8, 13, 18, 23}) id.insert(at, 1, '-');
    return id;
}

}  // namespace waybill::bus
