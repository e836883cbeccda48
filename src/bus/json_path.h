// The JSONPath that EventBridge takes in InputPath, InputPathsMap and dynamic HttpParameters: `$`, `.name`, `[0]`, `.*` and
// `[*]`. Quoted brackets are refused as AWS refuses them ("InputPath for target X is invalid."), and so are slices, filters, `..`
// and negative indexes. EventBridge User Guide, "Amazon EventBridge input transformation".
//
// A JsonPathSet finds many paths in one walk over a JSON text, without a tree of values: what it finds are slices of that text,
// so a number keeps every byte. Where an object names a member twice the last one counts. The text must be valid JSON (the door
// has seen to that); a text that is none is answered with false or with wrong slices, never with a read outside it.
//
// Value types; const members may be called from any thread. Nothing here throws.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace waybill::bus {

constexpr size_t json_path_characters = 256;  // of a path; EventBridge: TargetInputPath 256

class JsonPath {
public:
    struct Segment {
        enum class Kind { name, index, wildcard } kind = Kind::name;
        std::string name;  // of a member, as it reads once its escapes are undone
        size_t index = 0;
        bool operator==(const Segment&) const = default;
    };

    // Nothing: not a path that EventBridge takes.
    static std::optional<JsonPath> parse(std::string_view text);

    const std::vector<Segment>& segments() const { return segments_; }
    // True where there may be several values: the result is an array of them, empty where there are none.
    bool many() const;

private:
    std::vector<Segment> segments_;
};

// What a path found: nothing, a slice of the text, or for a path with a wildcard the array of all it found.
struct JsonMatch {
    bool found = false;
    std::string_view slice;
    std::string array;  // of a wildcard: "[a,b]"
    bool many = false;
    std::string_view json() const { return many ? std::string_view(array) : slice; }
};

class JsonPathSet {
public:
    // At most 128 paths; EventBridge allows 100 a target, and `aws.events.event` needs nine of its own.
    static constexpr size_t max_paths = 128;
    explicit JsonPathSet(const std::vector<JsonPath>& paths = {});

    // One match for each path, in the order given. Arrays of wildcards may take `array_bytes` together. False: not JSON, or more
    // than that.
    bool find(std::string_view json, size_t array_bytes, std::vector<JsonMatch>& out) const;

private:
    struct Node {
        std::vector<std::pair<std::string, size_t>> names;  // sorted by name once built
        std::vector<std::pair<size_t, size_t>> indexes;
        size_t wildcard = 0;             // 0, the root, stands for none
        std::vector<size_t> ends;        // paths that end here
        std::vector<size_t> below;       // paths that end here or deeper
        std::vector<size_t> many_below;  // those of them that collect arrays
    };
    struct Walk;

    size_t child(size_t node, const JsonPath::Segment& segment);

    std::vector<Node> nodes_;
    std::vector<bool> many_;
};

// The members of a JSON object in order, their names as they read and their values as slices; of a name that comes twice only the
// last. Nothing: not an object. What stands inside the values is not looked at.
std::optional<std::vector<std::pair<std::string, std::string_view>>> json_members(std::string_view json);

// The text of a JSON string given with its quotes; a lone surrogate becomes U+FFFD.
std::string decode_json_string(std::string_view quoted);

}  // namespace waybill::bus
