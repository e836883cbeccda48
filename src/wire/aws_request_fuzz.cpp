// Arbitrary heads and bodies through what the AWS door does before any service sees them: recognition, verification, the answers
// to unknown operations and to errors. The input is lines "name: value" after a first line "METHOD target", then an empty line
// and the body. It cannot generate a signature that verifies (that needs the secret), so what follows a good signature is not
// reached: one must never be found, and that is asserted.
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "wire/aws_error.h"
#include "wire/aws_request.h"
#include "wire/sigv4.h"

using namespace waybill;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    std::string_view rest(reinterpret_cast<const char*>(data), size);
    auto line = [&rest] {
        std::string_view l = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(rest.size(), l.size() + 1));
        return l;
    };
    std::string_view first = line();
    size_t space = std::min(first.find(' '), first.size());
    http::Head::Fields fields;
    for (std::string_view l = line(); !l.empty(); l = line()) {
        size_t colon = l.find(": ");
        if (colon != std::string_view::npos) fields.emplace_back(l.substr(0, colon), l.substr(colon + 2));
    }
    http::Head head = http::Head::make(first.substr(0, space), first.substr(std::min(first.size(), space + 1)), fields);
    auto request = wire::recognise_aws_request(head, rest);
    if (request) {
        ASSERT(request->protocol == wire::Protocol::rest_json || !request->operation.empty());
        auto unknown = wire::error_answer(*request, wire::unknown_operation(*request), "id");
        ASSERT(unknown.status >= 400 && !unknown.body.empty());
        wire::query_answer(*request, "", "id");
    }
    static const wire::Credentials credentials{"AKID", Secret("a secret that the fuzzer does not know"), ""};
    static wire::SigningKeys keys;
    auto any = [](std::string_view) { return &credentials; };
    auto caller = wire::verify(head, rest, any, *parse_time("2026-03-01T12:00:00Z"), keys);
    ASSERT(caller.index() == 1);
    ASSERT(!std::get<1>(caller).message.empty());
    return 0;
}
