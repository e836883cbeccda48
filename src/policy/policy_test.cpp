// Each line of the policy, on transitions and facts written out by hand. What arrivals in any order make of it is src/sim/sim_test.cpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "policy/decide.h"

namespace waybill::policy {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr TimeMs day = 1'776'600'000'000;
const PipelineKey orders{"111122223333", "eu-west-1", "orders-deploy"};

// A policy with its configuration, told of transitions as the node tells it.
struct Room {
    Policy policy;
    PolicyConfig config;
    bool can_retry = true;
    TimeMs now = day + 3'600'000;
    Position position = 5000;
    uint16_t first_delivery = 0;

    Plan take(PipelineEvent e, ExecutionFacts f) {
        policy.apply(TransitionRecord{Outcome::accepted, e}, f);
        position += 1000;
        now += 10;
        const Plan plan = decide(policy, e, f, Context{config, position, first_delivery, now, can_retry});
        for (const auto& d : plan.decisions) policy.apply(d);
        return plan;
    }

    // `x` names the execution and orders it among its pipeline's.
    static PipelineEvent event(int x, Scope scope, State state, int attempt = 1) {
        PipelineEvent e;
        e.scope = scope;
        e.state = state;
        e.attempt = attempt;
        e.key = orders;
        e.execution_id = "execution-" + std::to_string(x);
        e.time = day + x * 60'000 + attempt * 1000 + static_cast<int>(state) * 100;
        if (scope != Scope::pipeline) e.stage = "Build";
        if (scope == Scope::action) {
            e.action = "Compile";
            e.action_execution_id = "a-" + std::to_string(x) + "-" + std::to_string(attempt);
            e.category = "Build";
        }
        return e;
    }
    static ExecutionFacts facts(const PipelineEvent& e, int x) {
        ExecutionFacts f;
        f.start = day + x * 60'000;
        f.known = true;
        if (e.scope == Scope::pipeline) f.state = e.state;
        f.attempt = e.attempt;
        f.stage_known = e.scope != Scope::pipeline;
        if (e.scope == Scope::stage) f.stage_state = e.state;
        f.stage_attempt = f.stage_begun = e.attempt;
        return f;
    }
    Plan pipeline(int x, State state, int attempt = 1, bool cause_known = true) {
        const auto e = event(x, Scope::pipeline, state, attempt);
        auto f = facts(e, x);
        f.cause_known = cause_known;
        return take(e, f);
    }
    Plan stage(int x, State state, int attempt = 1, bool cause_known = true) {
        const auto e = event(x, Scope::stage, state, attempt);
        auto f = facts(e, x);
        f.cause_known = cause_known;
        return take(e, f);
    }
    Plan action(int x, State state, int attempt = 1) {
        const auto e = event(x, Scope::action, state, attempt);
        auto f = facts(e, x);
        f.cause_known = state == State::failed;
        return take(e, f);
    }
};

std::vector<std::string> targets(const Plan& plan) {
    std::vector<std::string> out;
    for (const auto& d : plan.deliveries) out.push_back(d.target);
    return out;
}

Reason only_reason(const Plan& plan) {
    EXPECT_THAT(plan.decisions, SizeIs(1));
    return plan.decisions.empty() ? Reason::no_target : plan.decisions[0].reason;
}

// -- a pipeline fails --

TEST(PipelineFailed, OpensAnIncidentAndTellsTheTeamUrgently) {
    Room r;
    r.config.team = {"devops", "pager"};
    const Plan plan = r.pipeline(1, State::failed);
    EXPECT_EQ(only_reason(plan), Reason::incident_opened);
    EXPECT_EQ(plan.decisions[0].verdict, Verdict::planned);
    EXPECT_THAT(targets(plan), ElementsAre("devops", "pager"));
    EXPECT_TRUE(plan.deliveries[0].urgent);
    EXPECT_EQ(plan.deliveries[0].topic, DeliveryTopic::pipeline_failed);
    EXPECT_EQ(plan.deliveries[0].id, (DeliveryId{r.position, 0}));
    EXPECT_EQ(plan.deliveries[1].id, (DeliveryId{r.position, 1}));
    EXPECT_THAT(plan.decisions[0].deliveries, ElementsAre(plan.deliveries[0].id, plan.deliveries[1].id));
    EXPECT_NE(plan.deliveries[0].key, plan.deliveries[1].key);
    const auto incidents = r.policy.incidents(orders);
    ASSERT_THAT(incidents, SizeIs(1));
    EXPECT_TRUE(incidents[0].open());
    EXPECT_EQ(plan.decisions[0].note, incidents[0].id);
    EXPECT_EQ(r.policy.open_incidents(), 1u);
}

TEST(PipelineFailed, ASecondFailingExecutionJoinsTheIncident) {
    Room r;
    r.pipeline(1, State::failed);
    const Plan plan = r.pipeline(2, State::failed);
    EXPECT_EQ(only_reason(plan), Reason::incident_joined);
    ASSERT_THAT(plan.deliveries, SizeIs(1));
    EXPECT_TRUE(plan.deliveries[0].urgent);
    ASSERT_THAT(r.policy.incidents(orders), SizeIs(1));
    EXPECT_THAT(r.policy.incidents(orders)[0].executions, SizeIs(2));
    EXPECT_EQ(r.policy.open_incidents(), 1u);
}

TEST(PipelineFailed, ANewerSuccessResolvesTheIncidentAndTheNextFailureOpensAnother) {
    Room r;
    r.pipeline(1, State::failed);
    r.pipeline(2, State::succeeded);
    auto incidents = r.policy.incidents(orders);
    ASSERT_THAT(incidents, SizeIs(1));
    EXPECT_EQ(incidents[0].resolved_by, "execution-2");
    EXPECT_EQ(r.policy.open_incidents(), 0u);
    EXPECT_EQ(only_reason(r.pipeline(3, State::failed)), Reason::incident_opened);
    incidents = r.policy.incidents(orders);
    ASSERT_THAT(incidents, SizeIs(2));
    EXPECT_NE(incidents[0].id, incidents[1].id);
    EXPECT_EQ(r.policy.open_incidents(), 1u);
}

TEST(PipelineFailed, AnOlderSuccessResolvesNothing) {
    Room r;
    r.pipeline(5, State::failed);
    r.pipeline(4, State::succeeded);
    EXPECT_TRUE(r.policy.incidents(orders)[0].open());
}

TEST(PipelineFailed, AFailureOlderThanTheNewestSuccessTellsNobody) {
    Room r;
    r.pipeline(5, State::succeeded);
    const Plan plan = r.pipeline(4, State::failed);
    EXPECT_EQ(only_reason(plan), Reason::newer_success);
    EXPECT_EQ(plan.decisions[0].verdict, Verdict::nothing);
    EXPECT_THAT(plan.deliveries, IsEmpty());
    EXPECT_EQ(r.policy.open_incidents(), 0u);
    EXPECT_EQ(only_reason(r.stage(4, State::failed)), Reason::newer_success);
    EXPECT_EQ(only_reason(r.action(4, State::failed)), Reason::newer_success);
}

TEST(PipelineFailed, IsToldOnceAnExecutionWhateverTheAttempt) {
    Room r;
    EXPECT_THAT(r.pipeline(1, State::failed).deliveries, SizeIs(1));
    const Plan again = r.pipeline(1, State::failed, 2);
    EXPECT_EQ(only_reason(again), Reason::already_told);
    EXPECT_THAT(again.deliveries, IsEmpty());
    EXPECT_THAT(r.policy.incidents(orders)[0].executions, SizeIs(1));
    EXPECT_EQ(r.policy.incidents(orders)[0].executions[0].attempt, 2);
}

TEST(PipelineFailed, AnExecutionThatFailedAndThenSucceededHasItsIncidentResolvedByItself) {
    Room r;
    r.pipeline(1, State::failed);
    r.pipeline(1, State::succeeded, 2);
    ASSERT_THAT(r.policy.incidents(orders), SizeIs(1));
    EXPECT_EQ(r.policy.incidents(orders)[0].resolved_by, "execution-1");
}

TEST(PipelineFailed, WaitsForItsCauseUnlessThatIsKnown) {
    Room r;
    r.config.wait_for_cause_ms = 5000;
    const Plan waits = r.pipeline(1, State::failed, 1, false);
    EXPECT_EQ(waits.deliveries[0].status, DeliveryStatus::held);
    EXPECT_EQ(waits.deliveries[0].hold_until, r.now + 5000);
    const Plan goes = r.pipeline(2, State::failed, 1, true);
    EXPECT_EQ(goes.deliveries[0].status, DeliveryStatus::pending);
    EXPECT_EQ(goes.deliveries[0].due, r.now);
    r.config.wait_for_cause_ms = 0;
    EXPECT_EQ(r.pipeline(3, State::failed, 1, false).deliveries[0].status, DeliveryStatus::pending);
}

TEST(PipelineFailed, WithoutATeamNobodyIsToldAndTheReceiptSaysSo) {
    Room r;
    r.config.team = {};
    const Plan plan = r.pipeline(1, State::failed);
    EXPECT_EQ(only_reason(plan), Reason::no_target);
    EXPECT_THAT(plan.deliveries, IsEmpty());
}

TEST(PipelineFailed, IncidentsOfOtherPipelinesAreTheirOwn) {
    Room r;
    r.pipeline(1, State::failed);
    for (auto change : {&PipelineKey::account, &PipelineKey::region, &PipelineKey::pipeline}) {
        auto e = Room::event(2, Scope::pipeline, State::failed);
        e.key.*change += "-other";
        EXPECT_EQ(only_reason(r.take(e, Room::facts(e, 2))), Reason::incident_opened);
    }
    EXPECT_EQ(r.policy.open_incidents(), 4u);
}

TEST(PipelineFailed, IncidentsAreReckonedFromTheNewestExecutions) {
    Room r;
    for (int x = 1; x <= static_cast<int>(limits::marks_a_pipeline) + 40; ++x) r.pipeline(x, State::failed);
    ASSERT_THAT(r.policy.incidents(orders), SizeIs(1));
    EXPECT_THAT(r.policy.incidents(orders)[0].executions, SizeIs(limits::marks_a_pipeline));
    EXPECT_EQ(r.policy.window_start(orders), day + 41 * 60'000);
    EXPECT_EQ(only_reason(r.pipeline(1, State::failed, 2)), Reason::already_told);  // older than the window: no crash, nobody told again
}

// -- states that wake nobody --

TEST(Quiet, SupersededStoppedAndCancelledWakeNobody) {
    Room r;
    int x = 1;
    for (State s : {State::started, State::resumed, State::stopping, State::stopped, State::superseded, State::canceled}) {
        const Plan plan = r.pipeline(x++, s);
        EXPECT_THAT(plan.decisions, IsEmpty()) << event_word(s);
        EXPECT_THAT(plan.deliveries, IsEmpty()) << event_word(s);
    }
    for (State s : {State::started, State::resumed, State::succeeded, State::stopping, State::stopped, State::canceled})
        EXPECT_THAT(r.stage(x, s).deliveries, IsEmpty()) << event_word(s);
    for (State s : {State::started, State::succeeded, State::abandoned, State::canceled}) EXPECT_THAT(r.action(x, s).deliveries, IsEmpty()) << event_word(s);
    EXPECT_THAT(r.policy.incidents(orders), IsEmpty());
}

// -- a pipeline succeeds --

TEST(PipelineSucceeded, IsToldAsConfigured) {
    for (auto [notify, recovery, reason] : {std::tuple(NotifySuccess::always, false, Reason::success_told), std::tuple(NotifySuccess::always, true, Reason::recovery_told),
                                            std::tuple(NotifySuccess::recovery, false, Reason::not_a_recovery), std::tuple(NotifySuccess::recovery, true, Reason::recovery_told),
                                            std::tuple(NotifySuccess::never, false, Reason::notify_success_never), std::tuple(NotifySuccess::never, true, Reason::notify_success_never)}) {
        Room r;
        r.config.notify_success = notify;
        if (recovery) r.pipeline(1, State::failed);
        const Plan plan = r.pipeline(2, State::succeeded);
        EXPECT_EQ(only_reason(plan), reason);
        const bool told = reason == Reason::success_told || reason == Reason::recovery_told;
        EXPECT_THAT(plan.deliveries, SizeIs(told ? 1 : 0));
        if (told) EXPECT_EQ(plan.deliveries[0].status, DeliveryStatus::pending);
        if (told) EXPECT_FALSE(plan.deliveries[0].urgent);
        EXPECT_EQ(plan.decisions[0].note, recovery ? r.policy.incidents(orders)[0].id : std::string());  // what it resolved, told or not
    }
}

TEST(PipelineSucceeded, GoesToItsOwnTargetsWhereThereAreSome) {
    Room r;
    r.config.success_targets = {"chat"};
    EXPECT_THAT(targets(r.pipeline(1, State::succeeded)), ElementsAre("chat"));
}

TEST(PipelineSucceeded, IsToldOnceAnExecution) {
    Room r;
    r.pipeline(1, State::succeeded);
    EXPECT_EQ(only_reason(r.pipeline(1, State::succeeded, 2)), Reason::already_told);
}

// -- a stage fails --

TEST(StageFailed, TheFirstOwnerRuleThatMatchesIsTold) {
    Room r;
    r.config.owners = {{"payments-*", "*", {"payments"}, 3}, {"orders-*", "Dep*", {"deployers"}, 4}, {"ord?rs-*", "B*", {"builders", "chat"}, 5}, {"*", "*", {"everyone"}, 6}};
    const Plan plan = r.stage(1, State::failed);
    EXPECT_EQ(only_reason(plan), Reason::owner_told);
    EXPECT_THAT(targets(plan), ElementsAre("builders", "chat"));
    EXPECT_THAT(plan.decisions[0].note, testing::HasSubstr("line 5"));
    EXPECT_EQ(plan.deliveries[0].topic, DeliveryTopic::stage_failed);
    EXPECT_FALSE(plan.deliveries[0].urgent);
}

TEST(StageFailed, WithoutAnOwnerTheTeamIsTold) {
    Room r;
    r.config.owners = {{"payments-*", "*", {"payments"}, 3}};
    const Plan plan = r.stage(1, State::failed);
    EXPECT_EQ(only_reason(plan), Reason::team_told);
    EXPECT_THAT(targets(plan), ElementsAre("devops"));
}

TEST(StageFailed, EachAttemptIsToldUnderItsOwnKeyAndWaitsForItsCause) {
    Room r;
    const Plan first = r.stage(1, State::failed, 1, false), second = r.stage(1, State::failed, 2, true);
    ASSERT_THAT(first.deliveries, SizeIs(1));
    ASSERT_THAT(second.deliveries, SizeIs(1));
    EXPECT_EQ(first.deliveries[0].status, DeliveryStatus::held);
    EXPECT_EQ(second.deliveries[0].status, DeliveryStatus::pending);
    EXPECT_NE(first.deliveries[0].key, second.deliveries[0].key);
}

// -- an action fails --

TEST(ActionFailed, ReleasesTheMessagesThatWaitForIt) {
    Room r;
    const Plan plan = r.action(1, State::failed);
    std::vector<std::pair<DeliveryTopic, std::string>> released;
    for (const auto& x : plan.releases) released.emplace_back(x.topic, x.stage);
    EXPECT_THAT(released, testing::IsSupersetOf({std::pair(DeliveryTopic::pipeline_failed, std::string()), std::pair(DeliveryTopic::stage_failed, std::string("Build"))}));
    EXPECT_THAT(r.action(2, State::succeeded).releases, testing::Each(testing::Field(&Release::topic, DeliveryTopic::action_failed)));
}

TEST(ActionFailed, PlansOneRetryAStageAttemptAfterTheWait) {
    Room r;
    r.config.retry_wait_ms = 10'000;
    const Plan first = r.action(1, State::failed);
    EXPECT_EQ(only_reason(first), Reason::retry_planned);
    ASSERT_THAT(first.deliveries, SizeIs(1));
    EXPECT_EQ(first.deliveries[0].kind, DeliveryKind::retry);
    EXPECT_EQ(first.deliveries[0].due, r.now + 10'000);
    EXPECT_EQ(first.deliveries[0].status, DeliveryStatus::pending);
    EXPECT_EQ(first.deliveries[0].stage, "Build");
    auto other = Room::event(1, Scope::action, State::failed);
    other.action = "Lint";
    EXPECT_EQ(only_reason(r.take(other, Room::facts(other, 1))), Reason::retry_already_planned);
    auto elsewhere = Room::event(1, Scope::action, State::failed);
    elsewhere.stage = "Deploy";
    EXPECT_EQ(only_reason(r.take(elsewhere, Room::facts(elsewhere, 1))), Reason::retry_planned);
}

TEST(ActionFailed, RetriesAtMostAsOftenAsConfigured) {
    Room r;
    r.config.retry_max = 2;
    EXPECT_EQ(only_reason(r.action(1, State::failed, 1)), Reason::retry_planned);
    EXPECT_EQ(only_reason(r.action(1, State::failed, 2)), Reason::retry_planned);
    EXPECT_EQ(only_reason(r.action(1, State::failed, 3)), Reason::retry_limit);
    EXPECT_EQ(only_reason(r.action(2, State::failed, 1)), Reason::retry_planned);
    r.config.retry_max = 0;
    EXPECT_EQ(only_reason(r.action(3, State::failed, 1)), Reason::retry_limit);
}

TEST(ActionFailed, IsNotRetriedWhereThatIsOffOrCannotBeAsked) {
    Room r;
    r.config.retry = false;
    EXPECT_EQ(only_reason(r.action(1, State::failed)), Reason::retry_off);
    r.config.retry = true;
    r.can_retry = false;
    EXPECT_EQ(only_reason(r.action(1, State::failed)), Reason::no_endpoint);
}

TEST(ActionFailed, ARejectedApprovalIsNotRetriedNorIsItsStage) {
    Room r;
    r.action(1, State::failed);
    auto approval = Room::event(1, Scope::action, State::failed);
    approval.action = "Approve";
    approval.category = "Approval";
    const Plan plan = r.take(approval, Room::facts(approval, 1));
    EXPECT_EQ(only_reason(plan), Reason::retry_approval);
    ASSERT_THAT(plan.cancels, testing::Contains(testing::Field(&CancelRetries::before_attempt, 2)));
    // Another action of that attempt that fails later plans none either.
    Room late;
    late.take(approval, Room::facts(approval, 1));
    EXPECT_EQ(only_reason(late.action(1, State::failed)), Reason::retry_approval);
}

TEST(ActionFailed, IsRetriedOnlyWhileCurrent) {
    struct Case {
        State state;
        int attempt;
        State stage_state;
        int stage_attempt;
        Reason reason;
    };
    for (const Case& c : {Case{State::stopping, 1, State::started, 1, Reason::execution_ended}, Case{State::stopped, 1, State::started, 1, Reason::execution_ended},
                          Case{State::superseded, 1, State::started, 1, Reason::execution_ended}, Case{State::canceled, 1, State::started, 1, Reason::execution_ended},
                          Case{State::succeeded, 1, State::started, 1, Reason::execution_ended}, Case{State::started, 1, State::stopping, 1, Reason::execution_ended},
                          Case{State::started, 1, State::stopped, 1, Reason::execution_ended}, Case{State::started, 1, State::canceled, 1, Reason::execution_ended},
                          Case{State::resumed, 2, State::failed, 1, Reason::retry_not_current}, Case{State::failed, 1, State::resumed, 2, Reason::retry_not_current},
                          Case{State::failed, 1, State::failed, 1, Reason::retry_planned}, Case{State::started, 1, State::started, 1, Reason::retry_planned}}) {
        Room r;
        const auto e = Room::event(1, Scope::action, State::failed);
        auto f = Room::facts(e, 1);
        f.state = c.state, f.attempt = c.attempt, f.stage_state = c.stage_state, f.stage_attempt = f.stage_begun = c.stage_attempt;
        EXPECT_EQ(only_reason(r.take(e, f)), c.reason) << event_word(c.state) << c.attempt << event_word(c.stage_state) << c.stage_attempt;
    }
}

// The stop was of an earlier attempt, and the news of the new one came by the action first.
TEST(ActionFailed, AStopOfAnEarlierAttemptDoesNotForbidTheRetry) {
    Room r;
    const auto e = Room::event(1, Scope::action, State::failed, 2);
    auto f = Room::facts(e, 1);
    f.state = State::stopped, f.attempt = 1, f.stage_state = State::stopped, f.stage_attempt = 1;
    EXPECT_EQ(only_reason(r.take(e, f)), Reason::retry_planned);
}

// A later attempt is known only from another action of the stage.
TEST(ActionFailed, IsNotRetriedOnceAnActionShowsALaterAttempt) {
    Room r;
    const auto e = Room::event(1, Scope::action, State::failed);
    auto f = Room::facts(e, 1);
    f.stage_begun = 2;
    EXPECT_EQ(only_reason(r.take(e, f)), Reason::retry_not_current);
}

TEST(ActionFailed, TheRetryIsHeldWhileOtherActionsOfTheStageRun) {
    Room r;
    const auto e = Room::event(1, Scope::action, State::failed);
    auto f = Room::facts(e, 1);
    f.peers_running = 1;
    const Plan plan = r.take(e, f);
    ASSERT_THAT(plan.deliveries, SizeIs(1));
    EXPECT_EQ(plan.deliveries[0].status, DeliveryStatus::held);
    EXPECT_THAT(plan.releases, testing::Each(testing::Field(&Release::topic, testing::Ne(DeliveryTopic::action_failed))));

    // The last peer's end lets it go, whatever that end is; so does the stage's.
    auto peer = Room::event(1, Scope::action, State::succeeded);
    peer.action = "Lint";
    EXPECT_THAT(r.take(peer, Room::facts(peer, 1)).releases, testing::Contains(testing::Field(&Release::topic, DeliveryTopic::action_failed)));
    EXPECT_THAT(r.stage(1, State::failed).releases, testing::Contains(testing::Field(&Release::topic, DeliveryTopic::action_failed)));
}

TEST(ActionFailed, IsNotHeldForAPeerWhoseEndIsLateWhenTheStageIsOver) {
    Room r;
    const auto e = Room::event(1, Scope::action, State::failed);
    auto f = Room::facts(e, 1);
    f.peers_running = 1;
    f.stage_state = State::failed;
    EXPECT_EQ(r.take(e, f).deliveries.at(0).status, DeliveryStatus::pending);
}

// -- what cancels a retry --

std::vector<std::tuple<std::string, int, Reason>> cancels(const Plan& plan) {
    std::vector<std::tuple<std::string, int, Reason>> out;
    for (const auto& c : plan.cancels) out.emplace_back(c.stage, c.before_attempt, c.reason);
    return out;
}

TEST(Cancel, AnyEventOfALaterAttemptCancelsRetriesOfEarlierOnes) {
    Room r;
    EXPECT_THAT(cancels(r.pipeline(1, State::resumed, 2)), ElementsAre(std::tuple("", 2, Reason::retried_by_person)));
    EXPECT_THAT(cancels(r.pipeline(1, State::failed, 3)), ElementsAre(std::tuple("", 3, Reason::retried_by_person)));
    EXPECT_THAT(cancels(r.stage(1, State::resumed, 2)), ElementsAre(std::tuple("Build", 2, Reason::retried_by_person)));
    EXPECT_THAT(cancels(r.stage(1, State::failed, 2)), ElementsAre(std::tuple("Build", 2, Reason::retried_by_person)));
    EXPECT_THAT(cancels(r.action(1, State::started, 2)), ElementsAre(std::tuple("Build", 2, Reason::retried_by_person)));
    EXPECT_THAT(cancels(r.action(1, State::failed, 2)), ElementsAre(std::tuple("Build", 2, Reason::retried_by_person)));
}

TEST(Cancel, EndsCancelWhatTheyEnd) {
    Room r;
    for (State s : {State::succeeded, State::superseded, State::canceled})
        EXPECT_THAT(cancels(r.pipeline(1, s)), ElementsAre(std::tuple("", INT32_MAX, Reason::execution_ended))) << event_word(s);
    // A stop ends its own attempt: what a later one plans is not its business.
    for (State s : {State::stopping, State::stopped}) {
        EXPECT_THAT(cancels(r.pipeline(2, s)), ElementsAre(std::tuple("", 2, Reason::execution_ended))) << event_word(s);
        EXPECT_THAT(cancels(r.stage(3, s)), ElementsAre(std::tuple("Build", 2, Reason::execution_ended))) << event_word(s);
    }
    EXPECT_THAT(cancels(r.stage(3, State::succeeded)), ElementsAre(std::tuple("Build", INT32_MAX, Reason::execution_ended)));
    EXPECT_THAT(cancels(r.pipeline(4, State::failed)), IsEmpty());
    EXPECT_THAT(cancels(r.stage(4, State::failed)), IsEmpty());
    EXPECT_THAT(cancels(r.action(4, State::failed)), IsEmpty());
}

// -- what is remembered --

TEST(Memory, SurvivesRetiringAndSnapshots) {
    Room r;
    r.pipeline(1, State::failed);
    r.action(1, State::failed);
    auto approval = Room::event(1, Scope::action, State::failed);
    approval.category = "Approval", approval.stage = "Approve";
    r.take(approval, Room::facts(approval, 1));
    const std::string bytes = r.policy.encode_memory(orders, "execution-1");
    r.policy.forget(orders, "execution-1");
    EXPECT_EQ(r.policy.memory(orders, "execution-1"), nullptr);
    r.policy.remember(orders, "execution-1", bytes);

    Policy restored;
    r.policy.encode([&](std::string_view piece) { ASSERT_TRUE(restored.restore(piece).ok()); });
    EXPECT_EQ(restored.open_incidents(), 1u);
    EXPECT_EQ(restored.encode_memory(orders, "execution-1"), bytes);
    const Memory* m = restored.memory(orders, "execution-1");
    ASSERT_TRUE(m);
    EXPECT_TRUE(m->failure_told);
    EXPECT_FALSE(m->success_told);
    ASSERT_THAT(m->stages, SizeIs(2));
    EXPECT_EQ(m->stages[0].retries, 1);
    EXPECT_EQ(m->stages[1].approval_attempt, 1);
    EXPECT_EQ(restored.encode_memory(orders, "execution-2"), Policy().encode_memory(orders, "execution-2"));
}

TEST(Memory, ADamagedPieceIsCorrupt) {
    Room r;
    r.pipeline(1, State::failed);
    r.policy.encode([&](std::string_view piece) {
        for (size_t n = 0; n < piece.size(); ++n) EXPECT_FALSE(Policy().restore(piece.substr(0, n)).ok()) << n;
        EXPECT_FALSE(Policy().restore(std::string(piece) + "x").ok());
    });
    EXPECT_EQ(Policy().restore("\x09").error().kind, ErrorKind::corrupt);
}

}  // namespace
}  // namespace waybill::policy
