// Arbitrary bytes as a group's payload and as each kind of stored value: decoders refuse or accept, never crash or read out of bounds; what is
// accepted is written again, read again, and is the same then.
//
// It cannot generate: names as long as the limits (the default input is 4 KB), groups of another record version.
#include <cstdint>

#include "base/assert.h"
#include "event/record.h"

namespace {

using namespace waybill;

// Bytes that decode, encode to something that decodes to the same encoding.
template <class T>
void again(const T& value) {
    std::string once, twice;
    GroupWriter(once).add(value);
    GroupReader group(once);
    const auto raw = group.next();
    ASSERT(raw);
    T copy;
    ASSERT(decode(raw->body, copy));
    GroupWriter(twice).add(copy);
    ASSERT(once == twice);
    ASSERT(!group.next() && !group.failed());
}

template <class T>
void try_record(std::string_view body) {
    T value;
    if (decode(body, value)) again(value);
}

void try_all(std::string_view body) {
    try_record<EventRecord>(body);
    try_record<TransitionRecord>(body);
    try_record<Decision>(body);
    try_record<Delivery>(body);
    try_record<DeliveryChange>(body);
    try_record<RetiredRecord>(body);
    try_record<RecalledRecord>(body);
    try_record<SettingsRecord>(body);
    try_record<BusChangeRecord>(body);
    try_record<RoutedRecord>(body);
    ByteReader in(body);
    ExecutionView view;
    if (!decode(in, view)) return;
    std::string once, twice;
    ByteWriter out(once);
    encode(out, view);
    ByteReader same(once);
    ExecutionView copy;
    ASSERT(decode(same, copy) && same.complete());
    ByteWriter out_again(twice);
    encode(out_again, copy);
    ASSERT(once == twice);
    // A stored execution may hold anything that decodes; judging it must not fail.
    (void)find_gaps(view);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    try_all(bytes);
    GroupReader group(bytes);
    while (auto record = group.next()) try_all(record->body);
    return 0;
}
