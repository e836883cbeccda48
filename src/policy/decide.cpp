#include "policy/decide.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"
#include "config/glob.h"

namespace waybill::policy {

Decision decision_about(const PipelineEvent& event, PolicyLine line, Verdict verdict, Reason reason, uint64_t settings) {
    Decision d;
    d.line = line;
    d.verdict = verdict;
    d.reason = reason;
    d.pipeline = event.key;
    d.execution_id = event.execution_id;
    d.stage = event.stage;
    d.action = event.action;
    d.attempt = event.attempt;
    d.settings = settings;
    return d;
}

namespace {

struct Draft {
    const PipelineEvent& event;
    const Context& context;
    Plan& plan;

    Decision& decide(PolicyLine line, Verdict verdict, Reason reason) {
        return plan.decisions.emplace_back(decision_about(event, line, verdict, reason, context.config.version));
    }

    Delivery& deliver(Decision& decision, DeliveryKind kind, DeliveryTopic topic, std::string target) {
        Delivery& d = plan.deliveries.emplace_back();
        d.id = {context.group, static_cast<uint16_t>(context.first_delivery + plan.deliveries.size() - 1)};
        decision.deliveries.push_back(d.id);
        d.kind = kind;
        d.topic = topic;
        d.target = std::move(target);
        d.pipeline = event.key;
        d.execution_id = event.execution_id;
        d.stage = event.stage;
        d.attempt = event.attempt;
        d.planned = d.due = d.retry_from = context.now;
        d.key = fmt::format("{}:{}:{}:{}:{}:{}:{}:{}", to_string(topic), event.key.account, event.key.region, event.key.pipeline, event.execution_id,
                            event.stage, event.attempt, d.target);
        return d;
    }

    void tell(PolicyLine line, Reason reason, DeliveryTopic topic, const std::vector<std::string>& targets, bool urgent, bool wait, std::string note = {}) {
        if (targets.empty()) {
            decide(line, Verdict::nothing, Reason::no_target).note = std::move(note);
            return;
        }
        Decision& decision = decide(line, Verdict::planned, reason);
        decision.note = std::move(note);
        for (const auto& target : targets) {
            Delivery& d = deliver(decision, DeliveryKind::notify, topic, target);
            d.urgent = urgent;
            if (wait && context.config.wait_for_cause_ms > 0) {
                d.status = DeliveryStatus::held;
                d.hold_until = context.now + context.config.wait_for_cause_ms;
            }
        }
    }
};

}  // namespace

class Decider {
public:
    Decider(const Policy& policy, const PipelineEvent& event, const ExecutionFacts& facts, const Context& context)
        : policy_(policy), e_(event), facts_(facts), context_(context), draft_{event, context, plan_} {}

    Plan run() && {
        switch (e_.scope) {
            case Scope::pipeline: pipeline(); break;
            case Scope::stage: stage(); break;
            case Scope::action: action(); break;
        }
        return std::move(plan_);
    }

private:
    void pipeline() {
        if (e_.attempt > 1) cancel({}, e_.attempt, Reason::retried_by_person);  // whatever it says, that attempt began
        if (e_.state == State::failed) return pipeline_failed();
        if (e_.state == State::resumed || e_.state == State::started) return;
        cancel({}, past_end(), Reason::execution_ended);
        if (e_.state == State::succeeded) pipeline_succeeded();
    }

    void pipeline_failed() {
        constexpr auto line = PolicyLine::pipeline_failed;
        if (passed()) {
            draft_.decide(line, Verdict::nothing, Reason::newer_success);
            return;
        }
        const Memory* m = policy_.memory(e_.key, e_.execution_id);
        if (m && m->failure_told) {
            draft_.decide(line, Verdict::nothing, Reason::already_told);
            return;
        }
        const auto incidents = policy_.incidents(e_.key);
        ASSERT(!incidents.empty() && incidents.back().open());
        const bool opened = incidents.back().executions.size() == 1;
        draft_.tell(line, opened ? Reason::incident_opened : Reason::incident_joined, DeliveryTopic::pipeline_failed, context_.config.team, true,
                    !facts_.cause_known, incidents.back().id);
    }

    void pipeline_succeeded() {
        constexpr auto line = PolicyLine::pipeline_succeeded;
        const Memory* m = policy_.memory(e_.key, e_.execution_id);
        if (m && m->success_told) {
            draft_.decide(line, Verdict::nothing, Reason::already_told);
            return;
        }
        const auto incidents = policy_.incidents(e_.key);
        const auto resolved = std::find_if(incidents.begin(), incidents.end(), [&](const Incident& i) { return i.resolved_by == e_.execution_id; });
        const bool recovery = resolved != incidents.end();
        const std::string note = recovery ? resolved->id : std::string();
        if (context_.config.notify_success == NotifySuccess::never) {
            draft_.decide(line, Verdict::nothing, Reason::notify_success_never).note = note;
            return;
        }
        if (context_.config.notify_success == NotifySuccess::recovery && !recovery) {
            draft_.decide(line, Verdict::nothing, Reason::not_a_recovery);
            return;
        }
        const auto& targets = context_.config.success_targets.empty() ? context_.config.team : context_.config.success_targets;
        draft_.tell(line, recovery ? Reason::recovery_told : Reason::success_told, DeliveryTopic::pipeline_succeeded, targets, false, false, note);
    }

    void stage() {
        if (e_.attempt > 1) cancel(e_.stage, e_.attempt, Reason::retried_by_person);
        if (e_.state == State::resumed || e_.state == State::started) return;
        if (e_.state != State::failed) return cancel(e_.stage, past_end(), Reason::execution_ended);
        // Nothing of the stage runs any more: a retry that waited for its peers need not wait longer.
        plan_.releases.push_back({DeliveryTopic::action_failed, e_.stage});
        constexpr auto line = PolicyLine::stage_failed;
        if (passed()) {
            draft_.decide(line, Verdict::nothing, Reason::newer_success);
            return;
        }
        for (const auto& owner : context_.config.owners)
            if (config::glob_matches(owner.pipeline, e_.key.pipeline) && config::glob_matches(owner.stage, e_.stage))
                return draft_.tell(line, Reason::owner_told, DeliveryTopic::stage_failed, owner.targets, false, !facts_.cause_known,
                                   fmt::format("policy.owners: pipeline {}, stage {}{}", owner.pipeline, owner.stage,
                                               owner.line ? fmt::format(" (line {})", owner.line) : std::string()));
        draft_.tell(line, Reason::team_told, DeliveryTopic::stage_failed, context_.config.team, false, !facts_.cause_known);
    }

    void action() {
        if (e_.attempt > 1) cancel(e_.stage, e_.attempt, Reason::retried_by_person);
        if (is_end(e_.state) && facts_.peers_running == 0) plan_.releases.push_back({DeliveryTopic::action_failed, e_.stage});
        if (e_.state != State::failed) return;
        if (facts_.cause_known) {
            plan_.releases.push_back({DeliveryTopic::pipeline_failed, {}});
            plan_.releases.push_back({DeliveryTopic::stage_failed, e_.stage});
        }
        action_failed();
    }

    void action_failed() {
        constexpr auto line = PolicyLine::action_failed;
        auto nothing = [&](Reason reason) { draft_.decide(line, Verdict::nothing, reason); };
        if (e_.category == "Approval") {
            nothing(Reason::retry_approval);
            return cancel(e_.stage, e_.attempt + 1, Reason::retry_approval);
        }
        if (!context_.config.retry) return nothing(Reason::retry_off);
        if (const auto why = retry_unwanted(facts_, e_.attempt)) return nothing(*why);
        if (passed()) return nothing(Reason::newer_success);
        if (const Memory* m = policy_.memory(e_.key, e_.execution_id))
            for (const auto& s : m->stages) {
                if (s.stage != e_.stage) continue;
                if (s.approval_attempt >= e_.attempt) return nothing(Reason::retry_approval);
                if (s.retried_attempt >= e_.attempt) return nothing(Reason::retry_already_planned);
                if (s.retries >= context_.config.retry_max) return nothing(Reason::retry_limit);
            }
        if (context_.config.retry_max == 0) return nothing(Reason::retry_limit);
        if (!context_.can_retry) return nothing(Reason::no_endpoint);
        Decision& decision = draft_.decide(line, Verdict::planned, Reason::retry_planned);
        Delivery& d = draft_.deliver(decision, DeliveryKind::retry, DeliveryTopic::action_failed, "codepipeline");
        d.due = context_.now + context_.config.retry_wait_ms;
        const bool stage_over = facts_.stage_known && facts_.stage_attempt == e_.attempt && is_end(facts_.stage_state);
        if (facts_.peers_running > 0 && !stage_over) {
            // RetryStageExecution is refused while actions of the stage still run.
            d.status = DeliveryStatus::held;
            d.hold_until = context_.now + limits::delivery_age_ms;
        }
    }

    int past_end() const { return is_final(e_.state) ? INT32_MAX : e_.attempt + 1; }

    void cancel(std::string stage, int before_attempt, Reason reason) { plan_.cancels.push_back({std::move(stage), before_attempt, reason}); }

    // The pipeline's newest success stands at or after this execution: what failed in it is history.
    bool passed() const {
        const auto at = policy_.pipelines_.find(e_.key);
        if (at == policy_.pipelines_.end()) return false;
        const auto& marks = at->second.marks;
        const auto newest = std::find_if(marks.rbegin(), marks.rend(), [](const Mark& m) { return m.has_succeeded(); });
        return newest != marks.rend() &&
               std::forward_as_tuple(newest->start, std::string_view(newest->execution_id)) >= std::forward_as_tuple(facts_.start, std::string_view(e_.execution_id));
    }

    const Policy& policy_;
    const PipelineEvent& e_;
    const ExecutionFacts& facts_;
    const Context& context_;
    Plan plan_;
    Draft draft_;
};

std::optional<Reason> retry_unwanted(const ExecutionFacts& facts, int attempt) {
    // A stop ends its own attempt and those before; an execution that stopped can be resumed. The other ends are for good.
    const auto ends = [&](State state, int at) { return is_final(state) || (at >= attempt && (state == State::stopping || state == State::stopped)); };
    if (facts.known && ends(facts.state, facts.attempt)) return Reason::execution_ended;
    if (facts.known && facts.attempt > attempt) return Reason::retry_not_current;
    if (facts.stage_known && ends(facts.stage_state, facts.stage_attempt)) return Reason::execution_ended;
    if (facts.stage_begun > attempt) return Reason::retry_not_current;
    return {};
}

Plan decide(const Policy& policy, const PipelineEvent& event, const ExecutionFacts& facts, const Context& context) {
    return Decider(policy, event, facts, context).run();
}

}  // namespace waybill::policy
