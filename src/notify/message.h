// The messages people read: what a planned delivery says, in the language of its target. Rendering is a pure function of facts that the
// caller has at hand, made when the delivery is performed; it reads no clock and may be called from any thread.
//
// Names, summaries and commit messages come from outside. None of them can break out of its line: see one_line in notify/text.h. A subject
// has at most limits::subject_characters characters, a text from an event at most limits::summary_characters.
#pragma once

#include <string>
#include <string_view>

#include "config/config.h"
#include "event/delivery.h"
#include "event/execution.h"
#include "event/incident.h"

namespace waybill {

namespace limits {
constexpr size_t subject_characters = 200;    // before a mail encodes it
constexpr size_t summary_characters = 680;    // of an action's summary: 2 KB, with three bytes a character as Korean takes them
constexpr size_t message_text_characters = 256;  // of any other text from an event
constexpr size_t actions_named = 5;           // failed actions beside the one whose failure is told
}  // namespace limits

struct Message {
    std::string subject;  // one line
    std::string body;     // lines that end in \n
};

struct MessageFacts {
    const Delivery& delivery;
    const ExecutionView& execution;     // its texts filled
    const Incident* incident = nullptr; // that the execution belongs to, or that it resolved
    Locale locale = Locale::en;
    std::string_view console_url;       // without a slash at its end; empty: no link to the console
    TimeMs retry_due = no_time;         // when the failed stage is retried automatically; no_time: nothing is said about that
};

// A delivery that is no notice (a retry) has no message: both texts are empty.
Message render_message(const MessageFacts& facts);

// Where a message leads: each empty where it is not known.
struct MessageLinks {
    std::string console;   // the execution's page
    std::string external;  // of the failed action, where it ran
    std::string commit;
};
MessageLinks message_links(const MessageFacts& facts);

}  // namespace waybill
