#include "base/crc32c.h"

#include <gtest/gtest.h>

#include <string>

namespace waybill {
namespace {

TEST(Crc32c, TheValuesOfRfc3720) {
    EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
    EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
    EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
    EXPECT_EQ(crc32c(""), 0u);
    EXPECT_EQ(crc32c_portable("123456789"), 0xe3069283u);
}

// Every length around the block sizes of the three-stream loop, at every alignment.
TEST(Crc32c, HardwareAndTableAgree) {
    std::string bytes(40000, '\0');
    uint64_t x = 1;
    for (char& c : bytes) {
        x = x * 6364136223846793005ull + 1442695040888963407ull;
        c = static_cast<char>(x >> 56);
    }
    std::string_view all = bytes;
    for (size_t n = 0; n < 900; ++n)
        for (size_t shift = 0; shift < 8; ++shift) ASSERT_EQ(crc32c(all.substr(shift, n), 7), crc32c_portable(all.substr(shift, n), 7)) << n;
    for (size_t n = 12200; n < 12400; ++n) ASSERT_EQ(crc32c(all.substr(1, n)), crc32c_portable(all.substr(1, n))) << n;
    EXPECT_EQ(crc32c(all), crc32c_portable(all));
    for (size_t cut = 0; cut < 30000; cut += 997) ASSERT_EQ(crc32c(all.substr(cut), crc32c(all.substr(0, cut))), crc32c(all));
}

}  // namespace
}  // namespace waybill
