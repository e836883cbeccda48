#include "patterns/path_plan.h"

#include <algorithm>
#include <bit>
#include <map>

#include "base/hash.h"

namespace waybill::patterns {
namespace {

constexpr uint32_t edges_unhashed = 8;

struct Step {
    uint32_t field = PathPlan::none;
    std::map<std::string, Step, std::less<>> children;
};

}  // namespace

PathPlan::PathPlan(const std::vector<const std::string*>& paths) : field_count_(static_cast<uint32_t>(paths.size())) {
    Step root;
    for (uint32_t field = 0; field < paths.size(); ++field) {
        if (!paths[field]) continue;
        std::string_view rest = *paths[field];
        Step* step = &root;
        for (;;) {
            const size_t dot = rest.find('.');
            const std::string_view key = rest.substr(0, dot);
            auto at = step->children.find(key);
            if (at == step->children.end()) at = step->children.emplace(std::string(key), Step{}).first;
            step = &at->second;
            if (dot == std::string_view::npos) break;
            rest.remove_prefix(dot + 1);
        }
        step->field = field;
    }

    // Preorder, with the path down to the node that is being filled. Depth is bounded by a pattern's length, so the stack is our own.
    struct Open {
        const Step* step;
        std::map<std::string, Step, std::less<>>::const_iterator next;
        uint32_t node, edge;
    };
    std::vector<Open> open;
    const auto enter = [&](const Step& step) {
        const auto at = static_cast<uint32_t>(nodes_.size());
        Node& node = nodes_.emplace_back();
        node.field = step.field;
        node.first_edge = static_cast<uint32_t>(edges_.size());
        node.edge_count = static_cast<uint32_t>(step.children.size());
        for (const auto& [key, child] : step.children) {
            Edge edge{0, static_cast<uint32_t>(key.size()), 0, static_cast<uint32_t>(names_.size())};
            std::memcpy(&edge.head, key.data(), std::min<size_t>(8, key.size()));
            names_ += key;
            edges_.push_back(edge);
            node.lengths |= uint64_t{1} << (key.size() & 63);
            node.deep = node.deep || !child.children.empty();
        }
        open.push_back({&step, step.children.begin(), at, node.first_edge});
        return at;
    };
    enter(root);
    while (!open.empty()) {
        Open& top = open.back();
        if (top.next != top.step->children.end()) {
            const Step& child = top.next->second;
            ++top.next;
            edges_[top.edge++].node = static_cast<uint32_t>(nodes_.size());
            enter(child);
            continue;
        }
        Node& node = nodes_[top.node];
        node.end = static_cast<uint32_t>(nodes_.size());
        for (uint32_t below = top.node + 1; below < node.end; below = nodes_[below].end) node.leaves += nodes_[below].leaves + (nodes_[below].field != none);
        open.pop_back();
    }

    for (Node& node : nodes_) {
        if (node.edge_count <= edges_unhashed) continue;
        const uint32_t size = std::bit_ceil(node.edge_count * 2);
        node.table = static_cast<uint32_t>(tables_.size());
        node.table_mask = size - 1;
        tables_.resize(tables_.size() + size, 0);
        for (uint32_t e = node.first_edge; e < node.first_edge + node.edge_count; ++e) {
            const Edge& edge = edges_[e];
            uint64_t slot = edge_hash(edge.head, edge.length, std::string_view(names_).substr(edge.text, edge.length));
            while (tables_[node.table + (slot & node.table_mask)] != 0) ++slot;
            tables_[node.table + (slot & node.table_mask)] = e + 1;
        }
    }
}

uint64_t PathPlan::edge_hash(uint64_t head, size_t length, std::string_view key) {
    if (length > 8) return hash64(key);
    const uint64_t h = (head ^ length) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 32;
}

uint32_t PathPlan::hashed_child(const Node& from, const char* key, size_t length, uint64_t head) const {
    for (uint64_t slot = edge_hash(head, length, {key, length});; ++slot) {
        const uint32_t e = tables_[from.table + (slot & from.table_mask)];
        if (e == 0) return none;
        const Edge& edge = edges_[e - 1];
        if (edge.length == length && edge.head == head && (length <= 8 || rest_equal(edge, key))) return edge.node;
    }
}

uint32_t PathPlan::dotted_child(uint32_t from, std::string_view key) const {
    for (;;) {
        const size_t dot = key.find('.');
        const std::string_view step = key.substr(0, dot);
        from = child(nodes_[from], step.data(), step.size(), step.size());
        if (from == none || dot == std::string_view::npos) return from;
        key.remove_prefix(dot + 1);
    }
}

}  // namespace waybill::patterns
