// Which handler answers a request: POST /events, the native API, /metrics, AWS's protocols (told apart as AWS clients send them), and the console
// for everything else. Checks who asks first.
#pragma once

#include "http/server.h"
#include "server/access.h"
#include "server/context.h"
#include "wire/sigv4.h"

namespace waybill::server {

class Router {
public:
    explicit Router(const Context& context);
    http::Task<void> handle(http::Exchange& exchange) const;

private:
    http::Task<http::Response> aws(http::Exchange& exchange, const wire::AwsRequest& request, std::string_view body) const;
    http::Response console(const http::Head& head) const;

    const Context& context_;
    const Access access_;
    std::vector<wire::Credentials> credentials_;
    mutable wire::SigningKeys keys_;
};

}  // namespace waybill::server
