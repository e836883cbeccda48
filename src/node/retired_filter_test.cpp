#include "node/retired_filter.h"

#include <gtest/gtest.h>

#include "node/state.h"

namespace waybill::node {
namespace {

const PipelineKey orders{"111122223333", "eu-west-1", "orders-deploy"};

Hash128 id(int n) { return execution_hash(orders, "execution-" + std::to_string(n)); }

std::vector<std::string> pieces(const RetiredFilter& filter) {
    std::vector<std::string> out;
    filter.encode([&](std::string_view piece) { out.emplace_back(piece); });
    return out;
}

TEST(RetiredFilter, NobodyIsRetiredInTheBeginning) {
    RetiredFilter filter;
    EXPECT_FALSE(filter.maybe(id(1)));
    EXPECT_TRUE(pieces(filter).empty());
}

// Nobody who was added is ever denied, however often it has grown, and few others are taken for one.
TEST(RetiredFilter, NeverDeniesAndSeldomSuspects) {
    RetiredFilter filter;
    constexpr int retired = 60'000;  // four layers, the last half full
    for (int n = 0; n < retired; ++n) {
        filter.add(id(n));
        ASSERT_TRUE(filter.maybe(id(n)));
    }
    for (int n = 0; n < retired; ++n) ASSERT_TRUE(filter.maybe(id(n))) << n;
    int suspected = 0;
    for (int n = retired; n < 2 * retired; ++n) suspected += filter.maybe(id(n));
    EXPECT_LT(suspected, retired / 50);  // one in a hundred is what it is made for
    EXPECT_GT(suspected, 0);
    // 10 to 20 bits each.
    size_t bytes = 0;
    for (const auto& piece : pieces(filter)) bytes += piece.size();
    EXPECT_GT(bytes * 8, size_t{retired} * 10);
    EXPECT_LT(bytes * 8, size_t{retired} * 20);
}

TEST(RetiredFilter, AddingAgainTakesNoRoom) {
    RetiredFilter filter;
    for (int round = 0; round < 3; ++round)
        for (int n = 0; n < 4000; ++n) filter.add(id(n));
    EXPECT_EQ(pieces(filter).size(), 1u);
}

TEST(RetiredFilter, TheSameExecutionIdInAnotherPipelineIsAnother) {
    RetiredFilter filter;
    filter.add(id(1));
    for (const PipelineKey& other :
         {PipelineKey{"111122223333", "eu-west-1", "orders"}, PipelineKey{"111122223333", "us-east-1", "orders-deploy"},
          PipelineKey{"444455556666", "eu-west-1", "orders-deploy"}})
        EXPECT_FALSE(filter.maybe(execution_hash(other, "execution-1")));
    // Where one part ends and the next begins is part of it.
    EXPECT_NE(execution_hash({"1", "2", "ab"}, "c"), execution_hash({"1", "2", "a"}, "bc"));
}

TEST(RetiredFilter, ASnapshotGoesOnAsTheOriginalWould) {
    RetiredFilter filter, restored;
    for (int n = 0; n < 50'000; ++n) filter.add(id(n));
    const auto before = pieces(filter);
    EXPECT_GT(before.size(), 3u);
    for (const auto& piece : before) {
        EXPECT_LT(piece.size(), size_t{1} << 20);
        ByteReader in(piece);
        ASSERT_TRUE(restored.restore(in));
    }
    EXPECT_EQ(pieces(restored), before);
    for (int n = 50'000; n < 70'000; ++n) filter.add(id(n)), restored.add(id(n));
    EXPECT_EQ(pieces(restored), pieces(filter));
    EXPECT_NE(pieces(restored), before);
}

TEST(RetiredFilter, WhatEncodeDoesNotWriteIsRefused) {
    auto restores = [](uint64_t capacity, uint64_t size, uint64_t from, size_t words) {
        std::string piece;
        ByteWriter out(piece);
        out.varint(capacity), out.varint(size), out.varint(from);
        for (size_t i = 0; i < words; ++i) out.u64(i);
        ByteReader in(piece);
        return RetiredFilter().restore(in);
    };
    constexpr uint64_t lines = 4096 * 12 / 512;
    EXPECT_TRUE(restores(4096, 10, 0, lines * 8));
    EXPECT_FALSE(restores(4096, 4097, 0, lines * 8));     // more ids than there is room for
    EXPECT_FALSE(restores(100, 10, 0, 8));                // a layer that is smaller than the first
    EXPECT_FALSE(restores(uint64_t{1} << 50, 10, 0, 8));  // nor so large that asking for the memory would end the process
    EXPECT_FALSE(restores(4096, 10, 0, lines * 8 + 8));   // more lines than the layer has
    EXPECT_FALSE(restores(4096, 10, 0, lines * 8 - 3));   // half a line
    EXPECT_FALSE(restores(4096, 10, 8, 8));               // goes on with a layer that has not begun
}

}  // namespace
}  // namespace waybill::node
