// Who may ask what. On a loopback address without configured credentials everything is open to this machine, and closed to web pages of other
// origins: a foreign Host or Origin is refused (DNS rebinding). With tokens, the native API and POST /events need `Authorization: Bearer`; with
// credentials, the AWS API needs a SigV4 signature. The console's own files are always served: they hold no data.
#pragma once

#include <optional>

#include "config/config.h"
#include "http/head.h"
#include "http/response.h"

namespace waybill::server {

class Access {
public:
    explicit Access(const Config& config);

    // A refusal, or nothing: for every request.
    std::optional<http::Response> check_origin(const http::Head& head) const;
    // For the native API, POST /events and /metrics.
    std::optional<http::Response> check_token(const http::Head& head) const;

private:
    bool known_host(std::string_view host) const;
    const SecurityConfig& security_;
    const std::string listen_host_;
    const bool loopback_;
};

// HOST of HOST:PORT, without the brackets of an IPv6 address.
std::string_view host_of(std::string_view host_and_port);
bool is_loopback(std::string_view host);

}  // namespace waybill::server
