#include "event/cloud_event.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <map>

#include "base/json_writer.h"
#include "event/limits.h"

namespace waybill {
namespace {

namespace dom = simdjson::dom;
using Attributes = std::map<std::string, std::string, std::less<>>;

std::string lower(std::string_view s) {
    std::string out(s);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

struct Place {
    std::string account, region, pipeline;
};

std::vector<std::string_view> split(std::string_view text, char at, size_t most) {
    std::vector<std::string_view> parts;
    while (parts.size() + 1 < most) {
        const size_t end = text.find(at);
        if (end == text.npos) break;
        parts.push_back(text.substr(0, end));
        text.remove_prefix(end + 1);
    }
    parts.push_back(text);
    return parts;
}

std::optional<Place> pipeline_of(std::string_view source) {
    if (source.starts_with("arn:")) {
        const auto p = split(source, ':', 6);
        if (p.size() == 6 && p[2] == "codepipeline") return Place{std::string(p[4]), std::string(p[3]), std::string(p[5])};
    }
    if (source.starts_with("/aws.codepipeline/")) {
        const auto p = split(source, '/', 5);
        if (p.size() == 5) return Place{std::string(p[2]), std::string(p[3]), std::string(p[4])};
    }
    return {};
}

std::string detail_type_of(std::string_view type) {
    constexpr std::string_view prefix = "com.amazonaws.codepipeline.";
    if (!type.starts_with(prefix)) return std::string(type);
    const std::string_view level = type.substr(prefix.size(), type.find('.', prefix.size()) - prefix.size());
    if (level == "pipeline") return "CodePipeline Pipeline Execution State Change";
    if (level == "stage") return "CodePipeline Stage Execution State Change";
    if (level == "action") return "CodePipeline Action Execution State Change";
    return std::string(type);
}

std::variant<std::string, FieldError> envelope_of(const Attributes& a, std::string_view data, const CloudDefaults& defaults) {
    auto get = [&](std::string_view key) {
        const auto at = a.find(key);
        return at == a.end() ? std::string() : at->second;
    };
    for (std::string_view key : {"id", "source", "specversion", "type"})
        if (get(key).empty()) return FieldError{std::string(key), "is missing: CloudEvents requires id, source, specversion and type"};
    if (get("specversion") != "1.0") return FieldError{"specversion", fmt::format("'{}' is not supported: only 1.0 is", get("specversion").substr(0, 20))};
    if (data.empty()) return FieldError{"data", "is missing: a JSON object is required, it becomes the event's detail"};

    std::string source = get("source"), account = get("account"), region = get("region"), resource = get("subject");
    if (auto place = pipeline_of(source)) {
        if (source.starts_with("arn:")) resource = source;
        else resource = fmt::format("arn:aws:codepipeline:{}:{}:{}", place->region, place->account, place->pipeline);
        source = codepipeline_source;
        account = place->account;
        region = place->region;
    }
    std::string out;
    JsonWriter w(out);
    w.begin_object();
    w.key("version").text("0");
    w.key("id").text(get("id"));
    w.key("detail-type").text(detail_type_of(get("type")));
    w.key("source").text(source);
    w.key("account").text(account.empty() ? defaults.account : account);
    w.key("time").text(get("time").empty() ? format_time_s(defaults.now) : get("time"));
    w.key("region").text(region.empty() ? defaults.region : region);
    w.key("resources").begin_array();
    if (!resource.empty()) w.text(resource);
    w.end_array();
    w.key("detail").raw(data);
    w.end_object();
    return out;
}

int hex(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

// An HTTP header value as the CloudEvents HTTP binding writes it (section 3.1.3.2): perhaps quoted, then percent-encoded UTF-8.
std::optional<std::string> header_value(std::string_view v) {
    std::string unquoted;
    if (v.size() >= 2 && v.front() == '"' && v.back() == '"') {
        for (size_t i = 1; i + 1 < v.size(); ++i) {
            if (v[i] == '\\' && i + 2 < v.size()) ++i;
            unquoted.push_back(v[i]);
        }
        v = unquoted;
    }
    std::string out;
    for (size_t i = 0; i < v.size(); ++i) {
        if (v[i] == '%' && i + 2 < v.size() && hex(v[i + 1]) >= 0 && hex(v[i + 2]) >= 0) {
            out.push_back(static_cast<char>(hex(v[i + 1]) << 4 | hex(v[i + 2])));
            i += 2;
        } else {
            out.push_back(v[i]);
        }
    }
    if (!simdjson::validate_utf8(out)) return {};
    return out;
}

}  // namespace

std::variant<std::string, FieldError> from_structured(std::string_view json, const CloudDefaults& defaults) {
    thread_local dom::parser parser;
    dom::element root;
    dom::object object;
    if (json.empty() || parser.parse(json.data(), json.size(), true).get(root) != simdjson::SUCCESS) return FieldError{"", "the event is not JSON", true};
    if (root.get(object) != simdjson::SUCCESS) return FieldError{"", "the event must be a JSON object"};
    Attributes attributes;
    std::string data;
    for (const auto field : object) {
        if (field.key == "data") {
            // The texts of numbers must survive, so the data is cut out of the source rather than written anew.
            continue;
        }
        if (field.key == "data_base64") return FieldError{"data_base64", "is not supported: the data must be a JSON object, in `data`"};
        std::string_view s;
        if (field.value.get(s) == simdjson::SUCCESS) attributes.emplace(std::string(field.key), std::string(s));
        else if (field.value.is_number() || field.value.is_bool()) attributes.emplace(std::string(field.key), simdjson::minify(field.value));
        else if (!field.value.is_null()) return FieldError{std::string(field.key).substr(0, 64), "must be a string, a number or a boolean: it is a CloudEvents attribute"};
    }
    simdjson::padded_string padded(json);
    simdjson::ondemand::parser cutter;
    simdjson::ondemand::document document;
    simdjson::ondemand::value value;
    std::string_view raw;
    if (cutter.iterate(padded).get(document) == simdjson::SUCCESS && document.find_field_unordered("data").get(value) == simdjson::SUCCESS) {
        simdjson::ondemand::json_type type;
        if (value.type().get(type) != simdjson::SUCCESS || type != simdjson::ondemand::json_type::object) return FieldError{"data", "must be a JSON object: it becomes the event's detail"};
        simdjson::ondemand::object inner;
        if (value.get_object().get(inner) == simdjson::SUCCESS && inner.raw_json().get(raw) == simdjson::SUCCESS) data = raw;
    }
    return envelope_of(attributes, data, defaults);
}

std::variant<std::string, FieldError> from_binary(const std::vector<std::pair<std::string, std::string>>& headers, std::string_view content_type, std::string_view body,
                                                  const CloudDefaults& defaults) {
    Attributes attributes;
    for (const auto& [name, value] : headers) {
        auto decoded = header_value(value);
        if (!decoded) return FieldError{lower(name), "is not valid UTF-8 once its percent-encoding is undone"};
        attributes.emplace(lower(name), std::move(*decoded));
    }
    const std::string type = lower(content_type.substr(0, content_type.find(';')));
    if (!(type.empty() || type.ends_with("/json") || type.ends_with("+json")))
        return FieldError{"data", fmt::format("is of type {}: only JSON data is taken", type.substr(0, 80))};
    if (body.empty()) return FieldError{"data", "is missing: a JSON object is required, it becomes the event's detail"};
    thread_local dom::parser parser;
    dom::element root;
    if (parser.parse(body.data(), body.size(), true).get(root) != simdjson::SUCCESS) return FieldError{"data", "is not JSON", true};
    if (!root.is_object()) return FieldError{"data", "must be a JSON object: it becomes the event's detail"};
    return envelope_of(attributes, body, defaults);
}

}  // namespace waybill
