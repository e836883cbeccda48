#include "notify/webhook.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/json_writer.h"

namespace waybill {
namespace {

// A header's value has visible ASCII only; everything else of a key, and %, is written as %XX.
std::string header_value(std::string_view text) {
    static constexpr char hex[] = "0123456789ABCDEF";
    std::string out;
    for (char c : text) {
        if (c > 0x20 && c < 0x7f && c != '%') {
            out += c;
        } else {
            const auto b = static_cast<unsigned char>(c);
            out += {'%', hex[b >> 4], hex[b & 15]};
        }
    }
    return out;
}

}  // namespace

std::string webhook_signature(const Secret& secret, std::string_view timestamp, std::string_view body) {
    std::string signed_text(timestamp);
    signed_text.append(".").append(body);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    const auto* done = HMAC(EVP_sha256(), secret.reveal().data(), static_cast<int>(secret.reveal().size()),
                            reinterpret_cast<const unsigned char*>(signed_text.data()), signed_text.size(), digest, &size);
    ASSERT(done && size == 32);
    return "v1=" + to_hex({reinterpret_cast<const char*>(digest), size});
}

WebhookRequest render_webhook(const MessageFacts& facts, const Message& message, const Secret& secret, TimeMs now, std::string_view version) {
    const auto& d = facts.delivery;
    const bool success = d.topic == DeliveryTopic::pipeline_succeeded;
    WebhookRequest out;
    JsonWriter json(out.body);
    json.begin_object();
    json.key("deliveryId").text(d.id.str());
    json.key("key").text(d.key);
    json.key("topic").text(to_string(d.topic));
    json.key("urgent").boolean(d.urgent);
    json.key("pipeline").text(d.pipeline.pipeline);
    json.key("account").text(d.pipeline.account);
    json.key("region").text(d.pipeline.region);
    json.key("executionId").text(d.execution_id);
    json.key("stageName").text_or_null(d.stage);
    json.key("status").text(status_word(success ? State::succeeded : State::failed));
    json.key("attempt").number(d.attempt);
    json.key("subject").text(message.subject);
    json.key("message").text(message.body);
    json.key("incident");
    if (facts.incident) write_json(json, *facts.incident);
    else json.null();
    json.key("execution");
    write_json(json, facts.execution);
    const auto links = message_links(facts);
    json.key("links").begin_object();
    json.key("console").text_or_null(links.console);
    json.key("external").text_or_null(links.external);
    json.key("commit").text_or_null(links.commit);
    json.end_object();
    json.key("time").time(d.planned);
    json.end_object();

    const std::string timestamp = std::to_string(now >= 0 ? now / 1000 : 0);
    out.headers = {{"Content-Type", "application/json; charset=utf-8"},
                   {"User-Agent", "Waybill/" + std::string(version)},
                   {"Waybill-Delivery", d.id.str()},
                   {"Idempotency-Key", header_value(d.key)},
                   {"Waybill-Timestamp", timestamp}};
    if (!secret.empty()) out.headers.emplace_back("Waybill-Signature", webhook_signature(secret, timestamp, out.body));
    return out;
}

}  // namespace waybill
