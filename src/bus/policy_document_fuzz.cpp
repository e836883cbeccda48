// Arbitrary documents, and statements put and removed on them. What is read is written and read again as the same; nothing that
// is refused changes anything. The input is cut at zero bytes: document, statement id, principal. It cannot generate policies
// near the limit of length.
#include <cstdint>

#include "base/assert.h"
#include "bus/policy_document.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace waybill::bus;
    std::string_view rest(reinterpret_cast<const char*>(data), size);
    auto next = [&] {
        const size_t end = rest.find('\0');
        const std::string_view part = rest.substr(0, end);
        rest = end == rest.npos ? std::string_view() : rest.substr(end + 1);
        return std::string(part);
    };
    auto policy = PolicyDocument::parse(next());
    PolicyDocument document;
    if (policy.ok()) {
        document = *policy;
        const auto again = PolicyDocument::parse(document.text());
        ASSERT(again.ok() && *again == document);
    }
    const std::string id = next(), principal = next();
    const PolicyDocument before = document;
    if (document.put({id, principal, "events:PutEvents", {}}, "arn:aws:events:r:0:event-bus/b").ok()) {
        const auto again = PolicyDocument::parse(document.text());
        ASSERT(again.ok() && *again == document && !document.empty());
        ASSERT(document.remove(id).ok());
        ASSERT(!document.remove(id).ok());
    } else {
        ASSERT(document == before);
    }
    return 0;
}
