// YAML text as a tree that remembers where everything stands. Built from yaml-cpp's events, so that duplicate keys, positions of keys
// and the difference between nothing and an empty text are not lost. Anchors, aliases, several documents, keys that are not texts and
// nesting beyond limits::config_depth are refused: so the tree is never larger than the text. Nothing throws.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waybill::config {

// Where something was written: a line and column of the file (from 1), or a flag.
struct Where {
    int line = 1, column = 1;
    std::string flag;  // its name without dashes; empty: the file
};

struct Node {
    struct Entry;
    enum class Kind { nothing, text, list, map };

    Kind kind = Kind::nothing;
    Where where;
    std::string text;
    std::vector<Node> items;      // of a list
    std::vector<Entry> entries;   // of a map, as written; names are unique

    Node* find(std::string_view name);
    const Node* find(std::string_view name) const { return const_cast<Node*>(this)->find(name); }
};

struct Node::Entry {
    std::string name;
    Where where;
    Node value;
};

struct Problem {
    Where where;
    std::string key;   // may be empty
    std::string text;
};

// The document's root (of kind `nothing` for an empty text). Problems are appended. No value: the text is not YAML, and looking further
// would only find what follows from that.
std::optional<Node> parse_tree(std::string_view yaml, std::vector<Problem>& problems);

}  // namespace waybill::config
