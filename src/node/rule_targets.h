// Carries what rules of event buses send to their targets outside this process: reads the event and the target as they were when
// the event came, renders what is to be sent, and sends it once: to an API destination with its connection's authorisation, or as
// a signed call to AWS or a compatible server, where the configuration names an endpoint for the target's service, region and
// account. Dead letters go the same way to their queue, with the event's delivery told in six attributes.
//
// An outcome's text begins with the ERROR_CODE that EventBridge's dead letters carry ("NO_RESOURCE: …"). carry() is called on the
// couriers' worker thread, one delivery at a time; answers come on the HTTP client's thread. It never repeats and never decides.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include "bus/api_destination.h"
#include "bus/auth_parameters.h"
#include "bus/input.h"
#include "bus/oauth.h"
#include "bus/secrets.h"
#include "config/config.h"
#include "http/client.h"
#include "log/log.h"
#include "node/node.h"
#include "wire/sigv4.h"
#include "world/clock.h"

namespace waybill::node {

class RuleTargets {
public:
    struct Parts {
        const Config& config;
        world::Clock& clock;
        const log::Log& log;
        bus::Secrets& secrets;
        http::Client& client;
        wire::SigningKeys& keys;
    };
    using Ended = std::function<void(DeliveryId, delivery::AttemptOutcome)>;

    RuleTargets(Parts parts, Ended ended) : parts_(parts), ended_(std::move(ended)) {}
    void carry(const Job& job);

    // The first of the configuration's list `aws` whose globs match the target's service, account and region; nothing: none does.
    static const AwsEndpoint* endpoint_of(const Config& config, const bus::Arn& target);

private:
    // What one attempt sends, once everything is known.
    struct Sending;
    // A delivery that goes on when the token that another one is getting has come.
    struct Waiting {
        DeliveryId id;
        std::function<void(Secret)> send;
    };

    Result<Sending> prepare(const Job& job);
    void to_destination(const Job& job, const Sending& sending);
    void send_to_destination(DeliveryId id, http::ClientRequest request, uint64_t secret, Secret token);
    void fetch_token(DeliveryId id, const bus::OAuthParameters& oauth, uint64_t secret, std::function<void(Secret)> then);
    void token_ended(Waiting first, uint64_t secret, std::variant<bus::OAuthToken, delivery::AttemptOutcome> came);
    void to_aws(DeliveryId id, bus::TargetKind kind, std::shared_ptr<std::vector<bus::AwsCall>> calls, size_t next,
                std::string_view account);
    void dead_letter(const Job& job, const Sending& sending);
    static constexpr size_t compiled_kept = 4096;  // targets whose input is kept compiled

    const Parts parts_;
    const Ended ended_;
    bus::TokenCache tokens_;
    std::mutex waiting_mutex_;  // also around the claim of a token and its end, so that nobody waits for one that has come
    std::map<uint64_t, std::vector<Waiting>> waiting_;  // by secret
    std::map<std::tuple<uint64_t, Position, std::string>, bus::CompiledInput> compiled_;
};

// The message attributes of a dead letter (EventBridge User Guide, "Using dead-letter queues"), in AWS's order; of the delivery
// that was given up.
std::vector<std::pair<std::string, std::string>> dead_letter_attributes(const Delivery& dead, std::string_view rule_arn);

}  // namespace waybill::node
