#include "base/result.h"

#include <cstdio>
#include <cstdlib>

namespace waybill {

std::string_view to_string(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::invalid: return "invalid";
        case ErrorKind::not_found: return "not_found";
        case ErrorKind::conflict: return "conflict";
        case ErrorKind::overloaded: return "overloaded";
        case ErrorKind::unavailable: return "unavailable";
        case ErrorKind::corrupt: return "corrupt";
        case ErrorKind::unsupported: return "unsupported";
    }
    ASSERT(false);
}

void assertion_failed(const char* expression, const char* file, int line) {
    std::fprintf(stderr, "waybill: assertion failed at %s:%d: %s\n", file, line, expression);
    std::abort();
}

}  // namespace waybill
