// A message as a mail: RFC 5322 with MIME (2045, 2047), CRLF line ends, ASCII only, no line over 998 bytes, so that any relay takes it.
// Pure; callable from any thread. No field can add a header or end one: an address ends where it stops being one, and every text that is
// not short visible ASCII is an encoded word.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "event/delivery.h"
#include "notify/message.h"

namespace waybill {

struct MailHeaders {
    std::string from;                // an address, without a name
    std::vector<std::string> to;     // addresses
    TimeMs date = 0;
    bool urgent = false;
    DeliveryId delivery;
    std::string key;                 // the delivery's idempotency key
};

std::string render_mail(const Message& message, const MailHeaders& headers);

// <…@domain of from>, made of the key alone: a delivery that is repeated repeats its Message-ID, and mail programs show one.
std::string message_id(std::string_view key, std::string_view from);

}  // namespace waybill
