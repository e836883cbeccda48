// The door's scan: validates an event whole, as JSON in UTF-8, and finds the values at the paths of a plan on the way, in one pass over what simdjson's first stage says of the bytes (where
// its quotes, brackets and scalars are). It finds what src/patterns/scan.h finds; that one is faster where validity is known.
//
// The values point into a copy of the event that the CheckedScan holds until the next event. One thread at a time; keeps its memory.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "patterns/scan.h"

namespace simdjson::internal {
class dom_parser_implementation;
}

namespace waybill::patterns {

class CheckedScan {
public:
    CheckedScan();
    ~CheckedScan();

    // False when the event is not one JSON object of at most limits::json_depth levels and limits::event_bytes; then `out` means nothing.
    bool scan(std::string_view event, const PathPlan& plan, ScanResult& out, const BranchHash* const* tables = nullptr);

private:
    std::unique_ptr<simdjson::internal::dom_parser_implementation> parser_;
    std::unique_ptr<char[]> copy_;   // with room behind the event, so that reads of whole words stay inside
    size_t room_ = 0;
    std::string text_;
};

}  // namespace waybill::patterns
