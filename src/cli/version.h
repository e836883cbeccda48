// The release, as `waybill version` names it; a test holds it to CMakeLists.txt.
#pragma once

#include <string_view>

namespace waybill::cli {

constexpr std::string_view release = "0.1.0";

}  // namespace waybill::cli
