// The web console's files, carried inside the program: looked up by path, served as they are. The bytes are built from console/
// and live as long as the process, so a view into them is never dangling. Any thread may call; nothing here allocates, fails or
// does I/O. It knows nothing of HTTP: which headers to send is told by the fields, and done by the server.
#pragma once

#include <span>
#include <string_view>

namespace waybill::server {

struct Asset {
    std::string_view path;          // as in the address, with its leading '/': "/index.html", "/assets/app.7LOWVPYL.js"
    std::string_view content_type;  // for Content-Type, charset included
    std::string_view etag;          // for ETag, quotes included; strong: it names the plain bytes
    std::string_view body;
    std::string_view
        gzip;        // the same bytes compressed (RFC 1952), for clients that accept it; empty where it would not be shorter
    bool immutable;  // the name holds the content's hash: may be cached for ever. The others must be asked for again.
};

// The asset at exactly this path, or nullptr. "/" finds "/index.html". The console routes by address, so a server answers
// find_asset("/") for any unknown path outside the APIs that is not under /assets/ (a missing one of those is a 404: an old page
// asking for files of another version must not be given HTML).
// Built with WAYBILL_CONSOLE=OFF there are no assets, and every call gives nullptr.
const Asset* find_asset(std::string_view path);

// All of them, sorted by path.
std::span<const Asset> console_assets();

// What every answer with an asset must carry as Content-Security-Policy. The console needs nothing from elsewhere and runs no
// inline script or style; test/browser.mjs fails on a violation. Cache-Control is "public, max-age=31536000, immutable" for
// immutable ones, and "no-cache" for the rest.
inline constexpr std::string_view console_content_security_policy =
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

}  // namespace waybill::server
