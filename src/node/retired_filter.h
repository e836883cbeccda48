// Which executions may have been retired: a Bloom filter that grows. "No" is certain, and is what nearly every new execution gets; "maybe"
// (about one new execution in a hundred, once there are any) costs one look into the history, off the sequencer. 10 to 20 bits for each
// retired execution. A function of the retired records, so replay rebuilds it.
#pragma once

#include <array>
#include <functional>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"

namespace waybill::node {

class RetiredFilter {
public:
    bool maybe(const Hash128& id) const {
        for (const auto& layer : layers_)
            if (layer.has(id)) return true;
        return false;
    }

    void add(const Hash128& id) {
        if (maybe(id)) return;
        if (layers_.empty() || layers_.back().size == layers_.back().capacity) {
            const size_t capacity = layers_.empty() ? first_capacity : layers_.back().capacity * 2;
            layers_.push_back({std::vector<Line>(capacity * bits_an_id / line_bits), capacity, 0});
        }
        layers_.back().add(id);
    }

    void encode(const std::function<void(std::string_view)>& sink) const;
    bool restore(ByteReader& in);

private:
    static constexpr size_t first_capacity = 4096, bits_an_id = 12, line_bits = 512, probes = 6;
    using Line = std::array<uint64_t, line_bits / 64>;

    // One cache line of bits for each id.
    struct Layer {
        std::vector<Line> lines;
        size_t capacity = 0, size = 0;

        template <class Fn>
        void each_bit(const Hash128& id, Fn&& fn) const {
            uint64_t bits = id.high;
            for (size_t i = 0; i < probes; ++i, bits >>= 9) fn(bits & (line_bits - 1));
        }
        bool has(const Hash128& id) const {
            const Line& line = lines[id.low % lines.size()];
            bool all = true;
            each_bit(id, [&](uint64_t b) { all = all && (line[b / 64] >> (b % 64) & 1); });
            return all;
        }
        void add(const Hash128& id) {
            Line& line = lines[id.low % lines.size()];
            each_bit(id, [&](uint64_t b) { line[b / 64] |= uint64_t{1} << (b % 64); });
            ++size;
        }
    };
    std::vector<Layer> layers_;
};

}  // namespace waybill::node
