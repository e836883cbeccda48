// Arbitrary expressions, and arbitrary times to ask about. Nothing crashes or takes long; a slot lies where it was asked for,
// next and last agree with each other and with the count. The first sixteen bytes are two times, the rest is the expression. It
// cannot tell whether a slot is the right one: that is what the test's naive model is for.
#include <cstdint>
#include <cstring>

#include "base/assert.h"
#include "bus/schedule.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace waybill;
    using namespace waybill::bus;
    if (size < 16) return 0;
    TimeMs t = 0, anchor = 0;
    std::memcpy(&t, data, 8);
    std::memcpy(&anchor, data + 8, 8);
    const std::string_view text(reinterpret_cast<const char*>(data) + 16, size - 16);
    const auto parsed = parse_schedule(text);
    if (!parsed.ok()) {
        ASSERT(parsed.error().message == "Parameter ScheduleExpression is not valid.");
        return 0;
    }
    const Schedule& schedule = *parsed;
    const auto last = schedule.last_until(t, anchor);
    ASSERT(!last || *last <= t);
    const auto next = schedule.next_after(t, anchor);
    if (!next) return 0;
    ASSERT(*next > t);
    ASSERT(schedule.last_until(*next, anchor) == next);
    ASSERT((schedule.slots_between(t, *next, anchor) == Slots{1, *next}));
    ASSERT(schedule.slots_between(t, *next - 1, anchor).count == 0);
    if (last) {
        ASSERT(schedule.next_after(*last, anchor) == next);
        ASSERT((schedule.slots_between(*last - 1, *next, anchor) == Slots{2, *next}));
    }
    const auto second = schedule.next_after(*next, anchor);
    if (second) ASSERT((schedule.slots_between(t, *second, anchor) == Slots{2, *second}));
    return 0;
}
