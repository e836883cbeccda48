// The couriers: they carry a released delivery to where it goes, once, and submit how that went. Mail (a relay, or .eml files in DATA/mail without
// one), webhooks, the log, and RetryStageExecution on the CodePipeline endpoint that serves the execution's account and region.
//
// Messages are rendered here, when they are sent, on one worker thread; requests then run side by side in the HTTP client. A courier never repeats
// and never decides: whether and when there is another attempt is delivery's business.
#pragma once

#include <string>

#include "config/config.h"
#include "history/history.h"
#include "http/client.h"
#include "log/log.h"
#include "node/node.h"
#include "node/rule_targets.h"
#include "node/worker.h"
#include "wire/sigv4.h"
#include "world/clock.h"
#include "world/disk.h"

namespace waybill::node {

class Couriers final : public Performer {
public:
    struct Parts {
        const Config& config;
        world::Disk& disk;
        world::Clock& clock;
        const log::Log& log;
        const history::History& history;
        const RecentTexts& recent_texts;
        bus::Secrets& secrets;
        std::string mail_directory;
        std::string version;
    };
    using Ended = std::function<void(DeliveryId, delivery::AttemptOutcome)>;

    // Fails where the configuration's address rules cannot be read.
    static Result<std::unique_ptr<Couriers>> make(Parts parts, Ended ended);

    void perform(Job job) override;
    // Writes a failure into the program's log, with its error code, summary and link: a failed stage or pipeline with those of its failed action, as
    // far as it is known by now. Returns at once.
    void log_failure(Failure failure);

    // The endpoint whose globs match, or nullptr.
    static const CodePipelineEndpoint* endpoint_of(const Config& config, const PipelineKey& pipeline);

private:
    Couriers(Parts parts, Ended ended, http::AddressRules rules);
    void carry(Job job);
    void mail(const Job& job, const TargetConfig& target, const ExecutionView& execution);
    void webhook(const Job& job, const TargetConfig& target, const ExecutionView& execution);
    void write_log(const Job& job, const ExecutionView& execution);
    void retry_stage(const Job& job);
    delivery::AttemptOutcome store_mail(DeliveryId id, const std::string& mail);

    const Parts parts_;
    const Ended ended_;
    wire::SigningKeys keys_;
    http::Client client_;
    RuleTargets rule_targets_;
    Worker worker_{"couriers"};  // last: it ends first
};

}  // namespace waybill::node
