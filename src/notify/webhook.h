// A message as a webhook's request: a JSON body and the headers that go with it (docs/webhooks.md, which this file keeps to). Pure; callable
// from any thread. The body depends on the facts alone; only the timestamp and the signature change from attempt to attempt.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/secret.h"
#include "base/time.h"
#include "notify/message.h"

namespace waybill {

struct WebhookRequest {
    std::string body;
    std::vector<std::pair<std::string, std::string>> headers;  // those of the target's configuration are not among them
};

// `version` is Waybill's own, for User-Agent. An empty secret leaves the signature out.
WebhookRequest render_webhook(const MessageFacts& facts, const Message& message, const Secret& secret, TimeMs now, std::string_view version);

// v1= and the lower-case hex of HMAC-SHA256 over "TIMESTAMP.BODY".
std::string webhook_signature(const Secret& secret, std::string_view timestamp, std::string_view body);

}  // namespace waybill
