#include <algorithm>

#include "server/console_assets.h"

namespace waybill::server {

const Asset* find_asset(std::string_view path) {
    if (path == "/") path = "/index.html";
    const auto all = console_assets();
    const auto found =
        std::lower_bound(all.begin(), all.end(), path, [](const Asset& a, std::string_view p) { return a.path < p; });
    return found != all.end() && found->path == path ? &*found : nullptr;
}

}  // namespace waybill::server
