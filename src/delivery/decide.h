// Decides what becomes of a delivery: when it is attempted again, when it is given up, which ones a policy's wish lets go or cancels. Pure:
// time and randomness are handed in, records come out.
#pragma once

#include <vector>

#include "config/config.h"
#include "delivery/state.h"

namespace waybill::delivery {

// How an attempt went, as its courier saw it.
struct AttemptOutcome {
    enum class Kind {
        ok,
        failed,      // may be repeated
        refused,     // repeating is useless: the target said so, or it cannot be asked at all
    };
    Kind kind = Kind::failed;
    bool maybe_received = false;      // no answer came, but the target may have acted
    int code = 0;                     // HTTP or SMTP status; 0: there was none
    std::string text;
    int64_t retry_after_ms = 0;       // the target asked for at least this wait
};

// Exponential backoff with full jitter: uniform in [0, min(max, first * 2^(attempts-1))], never less than what the target asked for.
DeliveryChange decide_outcome(const Delivery& delivery, const AttemptOutcome& outcome, const DeliveryConfig& config, TimeMs now, uint64_t random);

// The delivery was in flight when the process stopped.
DeliveryChange decide_unknown(const Delivery& delivery, TimeMs now);

// Held deliveries of an execution that need wait no longer.
std::vector<DeliveryChange> decide_release(const Deliveries& deliveries, const PipelineKey& pipeline, std::string_view execution_id, DeliveryTopic topic,
                                           std::string_view stage, TimeMs now);

// Retries of an execution (of one stage; empty: of all) that are no longer wanted. One in flight is past cancelling.
std::vector<DeliveryChange> decide_cancel_retries(const Deliveries& deliveries, const PipelineKey& pipeline, std::string_view execution_id,
                                                  std::string_view stage, int before_attempt, std::string_view why);

// Only dead deliveries are redriven; anything else is `conflict` or `not_found`.
Result<DeliveryChange> decide_redrive(const Deliveries& deliveries, DeliveryId id);

}  // namespace waybill::delivery
