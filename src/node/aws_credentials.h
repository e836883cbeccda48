// Which AWS credentials an endpoint of the configuration is called with.
#pragma once

#include "base/secret.h"
#include "wire/sigv4.h"

namespace waybill::node {

// Those of the configuration; where it names no key, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN of the
// environment. Without either the access key id is empty.
wire::Credentials credentials_of(const std::string& access_key_id, const Secret& secret_access_key, const Secret& session_token);

}  // namespace waybill::node
