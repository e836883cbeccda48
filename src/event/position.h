// A position is the place of one record group in the log: the byte at which the group's frame begins, counted from the log's first
// byte, whatever segment or compressed block holds it now (docs/log-format.md). Positions grow; gaps between them mean nothing.
#pragma once

#include <cstdint>

namespace waybill {

using Position = uint64_t;

}  // namespace waybill
