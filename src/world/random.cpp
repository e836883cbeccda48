#include "world/random.h"

#include <sys/random.h>

#include <cerrno>

#include "base/assert.h"

namespace waybill::world {

uint64_t RealRandom::next() {
    uint64_t value = 0;
    ssize_t got;
    do {
        got = getrandom(&value, sizeof value, 0);  // up to 256 bytes are never cut short
    } while (got < 0 && errno == EINTR);
    ASSERT(got == sizeof value);
    return value;
}

}  // namespace waybill::world
