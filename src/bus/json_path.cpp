#include "bus/json_path.h"

#include <algorithm>
#include <tuple>

#include "base/assert.h"

namespace waybill::bus {
namespace {

bool digit(char c) { return c >= '0' && c <= '9'; }

// What may stand in a name of the dot notation: all but what means something else in JSONPath, spaces and control characters.
bool name_character(char c) {
    return static_cast<unsigned char>(c) > 0x20 && c != 0x7f && std::string_view(".[]()*'\"?,").find(c) == std::string_view::npos;
}

void append_utf8(std::string& out, unsigned code) {
    auto byte = [&](unsigned b) { out.push_back(static_cast<char>(b)); };
    if (code < 0x80) {
        byte(code);
    } else if (code < 0x800) {
        byte(0xc0 | code >> 6);
        byte(0x80 | (code & 63));
    } else if (code < 0x10000) {
        byte(0xe0 | code >> 12);
        byte(0x80 | (code >> 6 & 63));
        byte(0x80 | (code & 63));
    } else {
        byte(0xf0 | code >> 18);
        byte(0x80 | (code >> 12 & 63));
        byte(0x80 | (code >> 6 & 63));
        byte(0x80 | (code & 63));
    }
}

std::optional<unsigned> four_hex(std::string_view text, size_t at) {
    if (at + 4 > text.size()) return {};
    unsigned value = 0;
    for (size_t i = at; i < at + 4; ++i) {
        const char c = text[i];
        const char lower = static_cast<char>(c | 0x20);
        if (digit(c))
            value = value * 16 + static_cast<unsigned>(c - '0');
        else if (lower >= 'a' && lower <= 'f')
            value = value * 16 + static_cast<unsigned>(lower - 'a' + 10);
        else
            return {};
    }
    return value;
}

// Front to back over JSON text. Each step is false where the text ends or is not what stands there in JSON.
struct Cursor {
    const char* p;
    const char* end;

    bool more() const { return p < end; }
    void space() {
        while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')) ++p;
    }
    bool take(char c) {
        if (p == end || *p != c) return false;
        ++p;
        return true;
    }
    bool string() {
        if (!take('"')) return false;
        for (; p < end; ++p) {
            if (*p == '"') {
                ++p;
                return true;
            }
            if (*p == '\\' && ++p == end) return false;
        }
        return false;
    }
    // Any value, without looking into it: brackets are counted, strings are passed over.
    bool value() {
        if (p == end) return false;
        if (*p == '"') return string();
        if (*p != '{' && *p != '[') {
            const char* from = p;
            while (p < end && *p != ',' && *p != '}' && *p != ']' && *p != ' ' && *p != '\t' && *p != '\n' && *p != '\r') ++p;
            return p > from;
        }
        size_t depth = 0;
        while (p < end) {
            switch (*p) {
                case '"':
                    if (!string()) return false;
                    continue;
                case '{':
                case '[': ++depth; break;
                case '}':
                case ']':
                    if (--depth == 0) {
                        ++p;
                        return true;
                    }
                    break;
                default: break;
            }
            ++p;
        }
        return false;
    }
};

}  // namespace

std::string decode_json_string(std::string_view quoted) {
    ASSERT(quoted.size() >= 2 && quoted.front() == '"' && quoted.back() == '"');
    const std::string_view in = quoted.substr(1, quoted.size() - 2);
    std::string out;
    out.reserve(in.size());
    for (size_t i = 0; i < in.size(); ++i) {
        if (in[i] != '\\' || i + 1 == in.size()) {
            out.push_back(in[i]);
            continue;
        }
        switch (in[++i]) {
            case 'n': out.push_back('\n'); break;
            case 't': out.push_back('\t'); break;
            case 'r': out.push_back('\r'); break;
            case 'b': out.push_back('\b'); break;
            case 'f': out.push_back('\f'); break;
            case 'u': {
                const auto first = four_hex(in, i + 1);
                if (!first) {
                    append_utf8(out, 0xfffd);
                    break;
                }
                i += 4;
                unsigned code = *first;
                if (code >= 0xd800 && code < 0xe000) {
                    const bool pair = code < 0xdc00 && i + 2 < in.size() && in[i + 1] == '\\' && in[i + 2] == 'u';
                    const auto second = pair ? four_hex(in, i + 3) : std::nullopt;
                    if (second && *second >= 0xdc00 && *second < 0xe000) {
                        code = 0x10000 + ((code - 0xd800) << 10) + (*second - 0xdc00);
                        i += 6;
                    } else {
                        code = 0xfffd;
                    }
                }
                append_utf8(out, code);
                break;
            }
            default: out.push_back(in[i]);  // \" \\ \/
        }
    }
    return out;
}

std::optional<std::vector<std::pair<std::string, std::string_view>>> json_members(std::string_view json) {
    Cursor at{json.data(), json.data() + json.size()};
    std::vector<std::pair<std::string, std::string_view>> members;
    at.space();
    if (!at.take('{')) return {};
    at.space();
    bool ended = at.take('}');
    while (!ended) {
        const char* key = at.p;
        if (!at.string()) return {};
        std::string name = decode_json_string({key, static_cast<size_t>(at.p - key)});
        at.space();
        if (!at.take(':')) return {};
        at.space();
        const char* value = at.p;
        if (!at.value()) return {};
        members.emplace_back(std::move(name), std::string_view(value, static_cast<size_t>(at.p - value)));
        at.space();
        ended = at.take('}');
        if (!ended && !at.take(',')) return {};
        at.space();
    }
    if (at.more()) return {};
    // Sorted by name, so that members of one name lie together; then back into the order they came in.
    std::vector<size_t> order(members.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::ranges::sort(order, [&](size_t a, size_t b) { return std::tie(members[a].first, a) < std::tie(members[b].first, b); });
    std::vector<size_t> kept;
    for (size_t i = 0; i < order.size(); ++i)
        if (i + 1 == order.size() || members[order[i]].first != members[order[i + 1]].first) kept.push_back(order[i]);
    if (kept.size() == members.size()) return members;
    std::ranges::sort(kept);
    std::vector<std::pair<std::string, std::string_view>> last;
    for (const size_t i : kept) last.push_back(std::move(members[i]));
    return last;
}

std::optional<JsonPath> JsonPath::parse(std::string_view text) {
    // A character may take four bytes.
    if (text.empty() || text.size() > 4 * json_path_characters || text[0] != '$') return {};
    JsonPath path;
    for (size_t i = 1; i < text.size();) {
        Segment segment;
        if (text[i] == '.') {
            size_t end = ++i;
            if (i < text.size() && text[i] == '*') {
                segment.kind = Segment::Kind::wildcard;
                ++end;
            } else {
                while (end < text.size() && name_character(text[end])) ++end;
                if (end == i) return {};
                segment.name = text.substr(i, end - i);
            }
            i = end;
        } else if (text[i] == '[') {
            size_t end = ++i;
            if (i < text.size() && text[i] == '*') {
                segment.kind = Segment::Kind::wildcard;
                ++end;
            } else {
                segment.kind = Segment::Kind::index;
                for (; end < text.size() && digit(text[end]); ++end) {
                    if (end - i == 9) return {};
                    segment.index = segment.index * 10 + static_cast<size_t>(text[end] - '0');
                }
                if (end == i) return {};
            }
            if (end == text.size() || text[end] != ']') return {};
            i = end + 1;
        } else {
            return {};
        }
        path.segments_.push_back(std::move(segment));
    }
    return path;
}

bool JsonPath::many() const {
    return std::ranges::any_of(segments_, [](const Segment& s) { return s.kind == Segment::Kind::wildcard; });
}

size_t JsonPathSet::child(size_t node, const JsonPath::Segment& segment) {
    // Appending to nodes_ moves its elements, so the slot is written after the new node is there.
    using Kind = JsonPath::Segment::Kind;
    const size_t fresh = nodes_.size();
    switch (segment.kind) {
        case Kind::name:
            for (const auto& [name, to] : nodes_[node].names)
                if (name == segment.name) return to;
            nodes_[node].names.emplace_back(segment.name, fresh);
            break;
        case Kind::index:
            for (const auto& [index, to] : nodes_[node].indexes)
                if (index == segment.index) return to;
            nodes_[node].indexes.emplace_back(segment.index, fresh);
            break;
        case Kind::wildcard:
            if (nodes_[node].wildcard != 0) return nodes_[node].wildcard;
            nodes_[node].wildcard = fresh;
            break;
    }
    nodes_.emplace_back();
    return fresh;
}

JsonPathSet::JsonPathSet(const std::vector<JsonPath>& paths) {
    ASSERT(paths.size() <= max_paths);
    nodes_.emplace_back();
    for (size_t path = 0; path < paths.size(); ++path) {
        const bool many = paths[path].many();
        many_.push_back(many);
        size_t node = 0;
        auto passes = [&] {
            nodes_[node].below.push_back(path);
            if (many) nodes_[node].many_below.push_back(path);
        };
        passes();
        for (const auto& segment : paths[path].segments()) {
            node = child(node, segment);
            passes();
        }
        nodes_[node].ends.push_back(path);
    }
    for (Node& node : nodes_) std::ranges::sort(node.names);
}

// One walk over one text. The recursion goes as deep as the longest path, not as deep as the text.
struct JsonPathSet::Walk {
    const JsonPathSet& set;
    size_t budget;
    std::vector<JsonMatch>& out;
    Cursor at;

    bool value(size_t node_index) {
        const Node& node = set.nodes_[node_index];
        const char* from = at.p;
        bool whole = false;
        if (node.names.empty() && node.indexes.empty() && node.wildcard == 0)
            whole = at.value();
        else if (at.more() && *at.p == '{')
            whole = object(node);
        else if (at.more() && *at.p == '[')
            whole = array(node);
        else
            whole = at.value();
        if (!whole) return false;
        const std::string_view slice(from, static_cast<size_t>(at.p - from));
        for (const size_t path : node.ends) {
            JsonMatch& match = out[path];
            match.found = true;
            if (!match.many) {
                match.slice = slice;
                continue;
            }
            if (slice.size() + 1 > budget) return false;
            budget -= slice.size() + 1;
            match.array.append(",").append(slice);
        }
        return true;
    }

    bool object(const Node& node) {
        std::vector<size_t> sizes;  // of the arrays collected below, before this object added to them
        for (const size_t path : node.many_below) sizes.push_back(out[path].array.size());
        std::vector<bool> seen(node.names.size());
        at.take('{');
        at.space();
        if (at.take('}')) return true;
        std::string decoded;
        for (;;) {
            const char* key_from = at.p;
            if (!at.string()) return false;
            const std::string_view quoted(key_from, static_cast<size_t>(at.p - key_from));
            std::string_view key = quoted.substr(1, quoted.size() - 2);
            if (key.find('\\') != key.npos) {
                decoded = decode_json_string(quoted);
                key = decoded;
            }
            at.space();
            if (!at.take(':')) return false;
            at.space();
            const auto named = std::ranges::lower_bound(node.names, key, {}, &std::pair<std::string, size_t>::first);
            if (named != node.names.end() && named->first == key) {
                const auto place = static_cast<size_t>(named - node.names.begin());
                if (seen[place]) forget(node, named->second, sizes);
                seen[place] = true;
                if (!both(named->second, node.wildcard)) return false;
            } else if (!both(0, node.wildcard)) {
                return false;
            }
            at.space();
            if (at.take('}')) return true;
            if (!at.take(',')) return false;
            at.space();
        }
    }

    bool array(const Node& node) {
        at.take('[');
        at.space();
        if (at.take(']')) return true;
        for (size_t index = 0;; ++index) {
            const auto named = std::ranges::find(node.indexes, index, &std::pair<size_t, size_t>::first);
            if (!both(named == node.indexes.end() ? 0 : named->second, node.wildcard)) return false;
            at.space();
            if (at.take(']')) return true;
            if (!at.take(',')) return false;
            at.space();
        }
    }

    // A value that a name or index leads to, and a wildcard too; 0 stands for neither.
    bool both(size_t exact, size_t wildcard) {
        if (exact == 0 && wildcard == 0) return at.value();
        const char* from = at.p;
        if (exact != 0 && !value(exact)) return false;
        if (wildcard == 0) return true;
        at.p = from;
        return value(wildcard);
    }

    // A member named again: what the first one gave does not count.
    void forget(const Node& object_node, size_t child, const std::vector<size_t>& sizes) {
        for (const size_t path : set.nodes_[child].below) {
            JsonMatch& match = out[path];
            if (!match.many) {
                match = {};
                continue;
            }
            const auto place = std::ranges::find(object_node.many_below, path) - object_node.many_below.begin();
            match.array.resize(sizes[static_cast<size_t>(place)]);
        }
    }
};

bool JsonPathSet::find(std::string_view json, size_t array_bytes, std::vector<JsonMatch>& out) const {
    out.assign(many_.size(), {});
    for (size_t i = 0; i < many_.size(); ++i) out[i].many = many_[i];
    Walk walk{*this, array_bytes, out, {json.data(), json.data() + json.size()}};
    walk.at.space();
    if (!walk.value(0)) return false;
    walk.at.space();
    if (walk.at.more()) return false;
    for (JsonMatch& match : out) {
        if (!match.many) continue;
        match.found = true;
        if (match.array.empty())
            match.array = "[";
        else
            match.array[0] = '[';
        match.array.push_back(']');
    }
    return true;
}

}  // namespace waybill::bus
