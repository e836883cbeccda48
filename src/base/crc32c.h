// CRC-32C (Castagnoli), as iSCSI, ext4 and most logs use it (RFC 3720, appendix B.4: "123456789" gives e3069283).
// In hardware where there is any (SSE4.2 on x86-64, the CRC extension on arm64), three streams at once; by table elsewhere.
// crc32c(b, crc32c(a)) is the checksum of a followed by b. Not a secret, not a signature.
#pragma once

#include <cstdint>
#include <string_view>

namespace waybill {

uint32_t crc32c(std::string_view bytes, uint32_t before = 0);

// The same without any special instruction: for machines that have none, and to test the other against.
uint32_t crc32c_portable(std::string_view bytes, uint32_t before = 0);

}  // namespace waybill
