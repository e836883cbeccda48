// The members of an API request, read and checked as AWS reads and checks them, and the small words of an answer.
//
// A RequestBody is the request's JSON; its Members are the structures in it, each of which knows its place
// ("targets.1.member.id"). A member is read with the rule that AWS's model gives it. What breaks a rule is collected, so that the
// answer names everything that is wrong, in the order in which it was read:
//     2 validation errors detected: Value null at 'name' failed to satisfy constraint: Member must not be null; Value …
// A member of the wrong JSON type is a SerializationException, which comes before any validation. Members that nobody asks for
// are ignored, as AWS ignores them; null is the same as absent; where a name comes twice the last one counts.
//
//     RequestBody body(request.body);
//     Members in = body.root();
//     const auto name = in.text("Name", rule_name, Need::required);
//     const auto page = in.page("ListRules");
//     if (auto error = body.error()) return *error;
//
// A reading function answers nothing (or an empty list) where the member is absent or broken; whoever asks error() before using
// the values may take a required one for granted. Everything is pure and belongs to the thread that uses it; nothing throws;
// Members must not outlive their body.
#pragma once

#include <simdjson.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json_writer.h"
#include "base/time.h"
#include "bus/api.h"
#include "wire/aws_error.h"

namespace waybill::bus {

// -- limits of a request; what AWS's model does not limit --
constexpr size_t broken_shown = 8 << 10;  // bytes of a validation message; AWS shows everything, a caller reads the first few
constexpr size_t value_shown = 4096;  // bytes of one value in it; the longest text that AWS limits (EventPattern) is this long
constexpr size_t page_items = 100;    // of one answer of a List operation; EventBridge: Limit 100
constexpr size_t next_token_characters = 2048;  // EventBridge: NextToken 2048

constexpr size_t unlimited = std::numeric_limits<size_t>::max();

enum class Need { optional, required };

// A regular expression of AWS's model: as its messages show it, and as a function.
struct Form {
    std::string_view shown;
    bool (*fits)(std::string_view) = nullptr;  // nullptr: anything
};

// Lengths are in characters as AWS counts them (UTF-16).
struct TextRule {
    size_t min = 0, max = unlimited;
    Form form = {};
    std::vector<std::string_view> one_of = {};  // an enumeration
    bool sensitive = false;                     // its value is not shown in messages
};

struct NumberRule {
    int64_t min = std::numeric_limits<int64_t>::min(), max = std::numeric_limits<int64_t>::max();
};

struct ListRule {
    size_t min = 0, max = unlimited;
};

// -- rules that several operations share --
bool is_plain_name(std::string_view text);         // [\.\-_A-Za-z0-9]+
bool is_name_with_slashes(std::string_view text);  // [/\.\-_A-Za-z0-9]+
extern const TextRule rule_name;                   // also a prefix of one
extern const TextRule event_bus_name;
extern const TextRule event_bus_name_or_arn;
extern const TextRule kms_key;
extern const TextRule description_512;
extern const TextRule any_arn;             // 1 to 1600 characters
extern const TextRule event_pattern_text;  // 4096, AWS's model; the limits of the configuration are the operation's business

// Where a List operation goes on.
struct Page {
    std::string list;   // the operation's name: a token of one is refused by another
    std::string after;  // the key of the last item that was shown; empty: the beginning
    size_t limit = page_items;
};

class RequestBody;

class Members {
public:
    bool has(std::string_view name) const;  // present and not null

    std::optional<std::string> text(std::string_view name, const TextRule& rule = {}, Need need = Need::optional);
    std::optional<int64_t> integer(std::string_view name, const NumberRule& rule = {}, Need need = Need::optional);
    std::optional<bool> boolean(std::string_view name);
    // Seconds since 1970 as a number (with a fraction), or a text in RFC 3339.
    std::optional<TimeMs> time(std::string_view name, Need need = Need::optional);
    std::optional<Members> structure(std::string_view name, Need need = Need::optional);
    // Nothing: absent. An empty list is a list.
    std::optional<std::vector<Members>> structures(std::string_view name, const ListRule& rule = {}, Need need = Need::optional);
    std::optional<std::vector<std::string>> texts(std::string_view name, const ListRule& rule = {}, const TextRule& each = {},
                                                  Need need = Need::optional);
    // In the request's order; of a name that comes twice the last value counts.
    std::optional<std::vector<std::pair<std::string, std::string>>> text_map(std::string_view name, const ListRule& rule = {},
                                                                             const TextRule& key = {},
                                                                             const TextRule& value = {});
    // The member as JSON, compact, whatever it is. Empty: absent.
    std::string json(std::string_view name);
    // Tags: [{Key, Value}]. Of a key that comes twice the last counts.
    std::optional<Tags> tags(std::string_view name, Need need = Need::optional);
    // NextToken and Limit.
    Page page(std::string_view list);

    // For a constraint that no rule expresses: "Value '…' at '<place>.<name>' failed to satisfy constraint: <constraint>".
    void broken(std::string_view name, std::string_view value, std::string_view constraint);
    // This structure's place with that member: "targets.1.member.id".
    std::string place(std::string_view name) const;
    // As AWS names this structure's place in other messages: "targets.1.member"; empty for the request itself.
    const std::string& path() const { return path_; }

private:
    friend class RequestBody;
    Members(RequestBody& body, std::optional<simdjson::dom::object> object, std::string path)
        : body_(&body), object_(object), path_(std::move(path)) {}
    std::optional<simdjson::dom::element> find(std::string_view name) const;
    std::optional<simdjson::dom::element> wanted(std::string_view name, Need need);
    void check(const std::string& place, std::string_view value, const TextRule& rule);
    bool count_fits(const std::string& shown, const std::string& place, size_t count, const ListRule& rule);

    RequestBody* body_;
    std::optional<simdjson::dom::object> object_;
    std::string path_;
};

class RequestBody {
public:
    // An empty body is an empty structure.
    explicit RequestBody(std::string_view json);
    RequestBody(const RequestBody&) = delete;
    RequestBody& operator=(const RequestBody&) = delete;

    Members root();
    // What is wrong with all that was read up to now. Nothing: everything is as it should be.
    std::optional<wire::AwsError> error() const;

private:
    friend class Members;
    void wrong_type(std::string message);
    void broken(std::string text);

    simdjson::dom::parser parser_;
    std::optional<simdjson::dom::object> root_;
    std::string serialization_;  // the first; empty: none
    std::string broken_;
    size_t broken_count_ = 0;
    bool bad_token_ = false;
};

// -- pages --

// The items behind `page.after`, at most `page.limit`; `items` are in the order of their keys. `next_token` is empty on the last
// page.
std::string page_token(const Page& page, std::string_view last_key);
template <class T, class Key>
std::vector<T> one_page(const std::vector<T>& items, const Page& page, const Key& key, std::string& next_token) {
    std::vector<T> shown;
    next_token.clear();
    auto it = items.begin();
    if (!page.after.empty())
        it = std::find_if(items.begin(), items.end(), [&](const T& item) { return std::string(key(item)) > page.after; });
    for (; it != items.end(); ++it) {
        if (shown.size() == page.limit) {
            next_token = page_token(page, key(shown.back()));
            break;
        }
        shown.push_back(*it);
    }
    return shown;
}
// "NextToken", where there is one.
void write_next_token(JsonWriter& w, const std::string& next_token);

// -- answers --

wire::AwsError validation(std::string message);          // ValidationException
wire::AwsError resource_not_found(std::string message);  // ResourceNotFoundException
wire::AwsError already_exists(std::string message);      // ResourceAlreadyExistsException
wire::AwsError limit_exceeded(std::string message = "The requested resource exceeds the maximum number allowed.");
ApiAnswer answer(std::string json, std::vector<Change> changes = {});
ApiAnswer refusal(wire::AwsError error);
wire::AwsError no_such_bus(std::string_view bus);  // "Event bus X does not exist."

// Seconds since 1970, with milliseconds where there are some; leaves the member out where the time is not known.
void write_time(JsonWriter& w, std::string_view name, TimeMs time);
// Leaves the member out where the text is empty.
void write_text(JsonWriter& w, std::string_view name, std::string_view text);
void write_tags(JsonWriter& w, const Tags& tags);  // the array

// What AWS refuses in tags that are put: more than there may be, and keys that are its own.
std::optional<wire::AwsError> check_tags(const Tags& tags, size_t most);

// The bus that EventBusName names: by its name at the caller's place, by its ARN wherever that says; none given: the caller's
// default bus.
BusKey bus_named(const Place& place, const std::optional<std::string>& name_or_arn);

// 8-4-4-4-12, version 4, the same for the same number.
std::string uuid_of(uint64_t random);

}  // namespace waybill::bus
