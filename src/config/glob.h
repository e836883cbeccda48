// Globs of names: `*` is any run of characters (also none), `?` is one. There is nothing else: no classes, no escapes, no alternatives.
// Pure functions, callable from anywhere. Time is at most pattern times text.
#pragma once

#include <string_view>

namespace waybill::config {

bool glob_matches(std::string_view pattern, std::string_view text);

// True: every text that `narrow` matches, `wide` matches too. False may also mean "cannot tell": good for a warning, not for a refusal.
bool glob_covers(std::string_view wide, std::string_view narrow);

}  // namespace waybill::config
