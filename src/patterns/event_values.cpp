#include "patterns/event_values.h"

#include <algorithm>
#include <set>

#include "patterns/comparison.h"

namespace waybill::patterns {
namespace {

// Collects the values of one event. In each scope the first member that leads to a path counts, and once it was an array, so does everything below it.
class Collector {
public:
    explicit Collector(EventValues& out) : out_(out) { out_.scopes.push_back({}); }

    void object(const JsonNode& node, const std::string* parent, uint32_t scope, std::set<std::string>& met) {
        for (size_t i = 0; i < node.children.size(); ++i) {
            const std::string path = parent ? *parent + "." + node.keys[i] : node.keys[i];
            if (settled(path, met) || !met.insert(path).second) continue;
            const JsonNode& child = node.children[i];
            if (child.kind == JsonNode::Kind::object) {
                object(child, &path, scope, met);
            } else if (child.kind == JsonNode::Kind::array) {
                met.insert(path + array_mark);
                array(child, path, scope);
            } else {
                scalar(child, path, scope);
            }
        }
    }

private:
    static constexpr char array_mark = '\xff';  // no byte of UTF-8

    static bool settled(const std::string& path, const std::set<std::string>& met) {
        for (size_t dot = path.find('.'); dot != std::string::npos; dot = path.find('.', dot + 1)) {
            if (met.contains(path.substr(0, dot) + array_mark)) return true;
        }
        return false;
    }

    void array(const JsonNode& node, const std::string& path, uint32_t scope) {
        const uint32_t number = arrays_++;
        for (const JsonNode& child : node.children) {
            if (child.kind != JsonNode::Kind::object && child.kind != JsonNode::Kind::array) {
                scalar(child, path, scope);
                continue;
            }
            const auto element = static_cast<uint32_t>(out_.scopes.size());
            out_.scopes.push_back({scope, number});
            if (child.kind == JsonNode::Kind::array) {
                array(child, path, element);
            } else {
                std::set<std::string> met;
                object(child, &path, element, met);
            }
        }
    }

    void scalar(const JsonNode& node, const std::string& path, uint32_t scope) { out_.values.push_back({path, node.kind, node.text, node.raw, scope}); }

    EventValues& out_;
    uint32_t arrays_ = 0;
};

}  // namespace

EventValues values_of(const JsonNode& event) {
    EventValues out;
    std::set<std::string> met;
    Collector(out).object(event, nullptr, 0, met);
    return out;
}

bool passes(const Test& test, const EventValue& value) {
    const bool text = value.kind == JsonNode::Kind::text, number = value.kind == JsonNode::Kind::number;
    switch (test.kind) {
        case TestKind::text: return text && value.text == test.text;
        case TestKind::number: return number && to_decimal(value.text) == test.number;
        case TestKind::literal: return !text && !number && value.text == test.text;
        case TestKind::prefix: return text && value.text.starts_with(test.text);
        case TestKind::suffix: return text && value.text.ends_with(test.text);
        case TestKind::text_ignoring_case: return text && folded(value.text) == folded(test.text);
        case TestKind::prefix_ignoring_case: return text && folded(value.text).starts_with(folded(test.text));
        case TestKind::suffix_ignoring_case: return text && folded(value.text).ends_with(folded(test.text));
        case TestKind::wildcard: return text && wildcard_matches(test.text, value.text);
        case TestKind::numeric: return number && test.range.holds(to_double(value.text));
        case TestKind::cidr: {
            const auto address = text ? parse_address(value.text) : std::nullopt;
            return address && holds(test.network, *address);
        }
        case TestKind::exists: return true;
        case TestKind::absent: return false;
        case TestKind::anything_but: return std::ranges::none_of(test.but, [&](const Test& but) { return passes(but, value); });
    }
    return false;
}

}  // namespace waybill::patterns
