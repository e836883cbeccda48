#include "node/aws_credentials.h"

#include <cstdlib>

namespace waybill::node {

wire::Credentials credentials_of(const std::string& access_key_id, const Secret& secret_access_key, const Secret& session_token) {
    if (!access_key_id.empty()) return {access_key_id, secret_access_key, session_token.reveal()};
    const auto environment = [](const char* name) {
        const char* value = std::getenv(name);
        return std::string(value ? value : "");
    };
    return {environment("AWS_ACCESS_KEY_ID"), Secret(environment("AWS_SECRET_ACCESS_KEY")), environment("AWS_SESSION_TOKEN")};
}

}  // namespace waybill::node
