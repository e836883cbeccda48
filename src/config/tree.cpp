#include "config/tree.h"

#include <fmt/format.h>
#include <simdjson.h>
#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <optional>
#include <sstream>

#include "config/load.h"

namespace waybill::config {
namespace {

Where at(const YAML::Mark& mark) { return {std::max(mark.line, 0) + 1, std::max(mark.column, 0) + 1, {}}; }

class TreeBuilder final : public YAML::EventHandler {
public:
    explicit TreeBuilder(std::vector<Problem>& problems) : problems_(problems) {}

    Node take() { return std::move(root_); }
    int documents() const { return documents_; }

    void OnDocumentStart(const YAML::Mark& mark) override {
        if (++documents_ == 2) problem(at(mark), "a second document begins; write everything in one");
    }
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        refuse(mark, anchor);
        add(Node{.where = at(mark)});
    }
    void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
        problem(at(mark), "is an alias (*name), which is not accepted; write the value out");
        add(Node{.where = at(mark)});
    }
    void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor, const std::string& value) override {
        refuse(mark, anchor);
        add(Node{.kind = Node::Kind::text, .where = at(mark), .text = value});
    }
    void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
        refuse(mark, anchor);
        open(Node::Kind::list, mark);
    }
    void OnSequenceEnd() override { close(); }
    void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
        refuse(mark, anchor);
        open(Node::Kind::map, mark);
    }
    void OnMapEnd() override { close(); }

private:
    struct Frame {
        Node node;
        std::optional<Node> key;  // of a map: read, its value not yet
    };

    void problem(Where where, std::string text) {
        if (problems_.size() <= limits::config_problems) problems_.push_back({std::move(where), "", std::move(text)});
    }
    void refuse(const YAML::Mark& mark, YAML::anchor_t anchor) {
        if (anchor) problem(at(mark), "has an anchor (&name), which is not accepted; leave it out");
    }
    void open(Node::Kind kind, const YAML::Mark& mark) {
        if (stack_.size() >= limits::config_depth) {
            if (skipped_++ == 0) problem(at(mark), fmt::format("is nested deeper than {} levels", limits::config_depth));
            return;
        }
        stack_.push_back({Node{.kind = kind, .where = at(mark)}, {}});
    }
    void close() {
        if (skipped_) {
            --skipped_;
            return;
        }
        ASSERT(!stack_.empty());
        Node node = std::move(stack_.back().node);
        stack_.pop_back();
        add(std::move(node));
    }
    void add(Node node) {
        if (skipped_ || documents_ > 1) return;
        if (stack_.empty()) {
            root_ = std::move(node);
            return;
        }
        Frame& frame = stack_.back();
        if (frame.node.kind == Node::Kind::list) {
            frame.node.items.push_back(std::move(node));
            return;
        }
        if (!frame.key) {
            if (node.kind != Node::Kind::text) problem(node.where, "stands where a key must be; a key is a text");
            frame.key = std::move(node);
            return;
        }
        Node key = std::move(*frame.key);
        frame.key.reset();
        if (key.kind != Node::Kind::text) return;
        if (frame.node.entries.size() >= limits::config_owner_rules) {
            if (frame.node.entries.size() == limits::config_owner_rules)
                problem(key.where, fmt::format("the map has more than {} keys", limits::config_owner_rules));
            return;
        }
        // Quadratic in the keys of one map; bounded by the line above.
        for (const auto& entry : frame.node.entries) {
            if (entry.name != key.text) continue;
            problem(key.where, fmt::format("{}: stands here a second time, first in line {}; keep one", quoted_name(key.text), entry.where.line));
            return;
        }
        frame.node.entries.push_back({std::move(key.text), key.where, std::move(node)});
    }
    static std::string quoted_name(const std::string& name) { return name.substr(0, 100); }

    std::vector<Problem>& problems_;
    std::vector<Frame> stack_;
    Node root_;
    int documents_ = 0;
    size_t skipped_ = 0;
};

}  // namespace

Node* Node::find(std::string_view name) {
    for (auto& entry : entries)
        if (entry.name == name) return &entry.value;
    return nullptr;
}

std::optional<Node> parse_tree(std::string_view yaml, std::vector<Problem>& problems) {
    if (yaml.size() > limits::config_bytes) {
        problems.push_back({{}, "", fmt::format("the file is larger than {} bytes", limits::config_bytes)});
        return {};
    }
    if (!simdjson::validate_utf8(yaml.data(), yaml.size()) || yaml.contains('\0')) {
        problems.push_back({{}, "", "the file is not UTF-8 text"});
        return {};
    }
    TreeBuilder builder(problems);
    try {
        std::istringstream in{std::string(yaml)};
        YAML::Parser parser(in);
        while (builder.documents() < 2 && parser.HandleNextDocument(builder)) {
        }
    } catch (const YAML::DeepRecursion& e) {
        problems.push_back({at(e.mark), "", "is nested too deeply to be read as YAML"});
        return {};
    } catch (const YAML::Exception& e) {
        problems.push_back({at(e.mark), "", fmt::format("is not YAML: {}", e.msg)});
        return {};
    } catch (const std::exception& e) {
        problems.push_back({{}, "", fmt::format("is not YAML: {}", e.what())});
        return {};
    }
    return builder.take();
}

}  // namespace waybill::config
