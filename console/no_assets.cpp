// Stands in for the generated table when the program is built with WAYBILL_CONSOLE=OFF.
#include "server/console_assets.h"

namespace waybill::server {

std::span<const Asset> console_assets() { return {}; }

}  // namespace waybill::server
