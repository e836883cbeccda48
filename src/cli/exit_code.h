// What the process returns. Scripts branch on these, so they are part of the interface (docs/cli.md) and never change meaning.
#pragma once

#include "base/result.h"

namespace waybill::cli {

enum ExitCode : int {
    exit_ok = 0,
    exit_no = 1,           // the answer is "no", or something was refused
    exit_usage = 2,        // bad usage or configuration
    exit_unreachable = 3,  // the server did not answer, or cannot now
    exit_not_found = 4,
    exit_corrupt = 5,      // the log is not what was written
    exit_interrupted = 130,  // Ctrl-C before the work was done, as shells count it
};

inline int exit_code(const Error& error) {
    switch (error.kind) {
        case ErrorKind::invalid: return exit_usage;
        case ErrorKind::not_found: return exit_not_found;
        case ErrorKind::conflict: return exit_no;
        case ErrorKind::overloaded: return exit_unreachable;
        case ErrorKind::unavailable: return exit_unreachable;
        case ErrorKind::corrupt: return exit_corrupt;
        case ErrorKind::unsupported: return exit_usage;
    }
    return exit_no;
}

}  // namespace waybill::cli
