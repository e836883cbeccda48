#include "node/retired_filter.h"

namespace waybill::node {

void RetiredFilter::encode(const std::function<void(std::string_view)>& sink) const {
    constexpr size_t piece_lines = 4096;
    std::string piece;
    for (const auto& layer : layers_)
        for (size_t from = 0; from < layer.lines.size(); from += piece_lines) {
            piece.clear();
            ByteWriter out(piece);
            out.varint(layer.capacity);
            out.varint(layer.size);
            out.varint(from);
            const size_t n = std::min(piece_lines, layer.lines.size() - from);
            for (size_t i = from; i < from + n; ++i)
                for (uint64_t word : layer.lines[i]) out.u64(word);
            sink(piece);
        }
}

bool RetiredFilter::restore(ByteReader& in) {
    const uint64_t capacity = in.varint(), size = in.varint(), from = in.varint();
    if (in.failed() || capacity < first_capacity || capacity > uint64_t{1} << 40 || size > capacity) return false;
    if (from == 0) layers_.push_back({std::vector<Line>(capacity * bits_an_id / line_bits), capacity, size});
    if (layers_.empty() || layers_.back().capacity != capacity) return false;
    auto& lines = layers_.back().lines;
    for (uint64_t i = from; in.left(); ++i) {
        if (i >= lines.size()) return false;
        for (auto& word : lines[i]) word = in.u64();
    }
    return !in.failed();
}

}  // namespace waybill::node
