// The paths that rules ask for, as a tree of keys: what a scan of an event is guided by. Immutable once made; any thread may read it.
//
//   source, detail.state, detail.pipeline     root ─┬─ source (leaf, field 0)
//                                                   └─ detail ─┬─ pipeline (leaf, field 2)
//                                                              └─ state (leaf, field 1)
//
// Nodes stand in preorder, so the nodes below one are those up to its `end`. A key with dots, in a pattern as in an event, is so many steps.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace waybill::patterns {

class PathPlan {
public:
    static constexpr uint32_t none = UINT32_MAX;

    struct Node {
        uint32_t field = none;        // of the leaf that ends here
        uint32_t end = 0;             // one behind the last node below
        uint32_t leaves = 0;          // in the nodes below, without this one
        uint32_t first_edge = 0, edge_count = 0;
        uint32_t table = 0, table_mask = 0;   // of hashed edges, where there are many
        uint64_t lengths = 0;         // bit n: some key below has length n (mod 64)
        bool deep = false;            // some child has children: a key with a dot may lead there
    };

    // `paths[i]` is the path of field i; an empty optional place is a field that is not in use and given as nullptr.
    explicit PathPlan(const std::vector<const std::string*>& paths);

    const Node& node(uint32_t at) const { return nodes_[at]; }
    uint32_t node_count() const { return static_cast<uint32_t>(nodes_.size()); }
    uint32_t field_count() const { return field_count_; }

    // The node that the key leads to from `from`, or none; `safe` is how many bytes may be read from the key's first on.
    __attribute__((always_inline)) uint32_t child(const Node& from, const char* key, size_t length, size_t safe) const {
        if (!(from.lengths >> (length & 63) & 1)) return none;
        uint64_t head = 0;
        if (safe >= 8) {
            std::memcpy(&head, key, 8);
            if (length < 8) head &= (uint64_t{1} << (8 * length)) - 1;
        } else {
            std::memcpy(&head, key, length < 8 ? length : 8);
        }
        if (from.table_mask) return hashed_child(from, key, length, head);
        for (uint32_t e = from.first_edge; e < from.first_edge + from.edge_count; ++e) {
            if (edges_[e].length == length && edges_[e].head == head && (length <= 8 || rest_equal(edges_[e], key))) return edges_[e].node;
        }
        return none;
    }
    // The same for a key that has dots.
    uint32_t dotted_child(uint32_t from, std::string_view key) const;

private:
    struct Edge {
        uint64_t head;     // the first eight bytes of the key, zeros behind a shorter one
        uint32_t length, node, text;
    };
    bool rest_equal(const Edge& edge, const char* key) const { return std::memcmp(names_.data() + edge.text + 8, key + 8, edge.length - 8) == 0; }
    uint32_t hashed_child(const Node& from, const char* key, size_t length, uint64_t head) const;
    static uint64_t edge_hash(uint64_t head, size_t length, std::string_view key);

    std::vector<Node> nodes_;
    std::vector<Edge> edges_;
    std::vector<uint32_t> tables_;   // edge + 1, or 0
    std::string names_;
    uint32_t field_count_ = 0;
};

}  // namespace waybill::patterns
