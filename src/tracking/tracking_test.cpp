// Tracking's merge, one rule at a time, on events written out by hand: what each rule of the table in ARCHITECTURE.md ("Order")
// makes of the cases at its edge. That the rules together are a pure function of the set of events is src/sim/order_test.cpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <variant>

#include "event/envelope.h"
#include "tracking/state.h"

namespace waybill::tracking {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;

constexpr TimeMs day = 1'776'600'000'000;
const PipelineKey orders{"111122223333", "eu-west-1", "orders-deploy"};

PipelineEvent event(Scope scope, State state, int attempt = 1, TimeMs at = 0) {
    PipelineEvent e;
    e.scope = scope;
    e.state = state;
    e.attempt = attempt;
    e.key = orders;
    e.execution_id = "execution-1";
    e.time = day + (at ? at : attempt * 60'000 + static_cast<int>(state) * 1000);
    if (scope != Scope::pipeline) e.stage = "Build";
    if (scope == Scope::action) {
        e.action = "Compile";
        e.action_execution_id = "a-1";
    }
    return e;
}

PipelineEvent of(PipelineEvent e, std::string execution_id) {
    e.execution_id = std::move(execution_id);
    return e;
}
PipelineEvent started_at(PipelineEvent e, TimeMs start) {
    e.start = day + start;
    return e;
}

struct Room {
    Tracking tracking;
    Position position = 4096;
    TimeMs now = day;

    Outcome take(const PipelineEvent& e) {
        const Outcome outcome = tracking.decide(e);
        tracking.apply(TransitionRecord{outcome, e}, position += 100, now += 1000);
        return outcome;
    }
    const Execution& execution(std::string_view id = "execution-1") const { return *tracking.find(orders, id); }
    ExecutionView view(std::string_view id = "execution-1") const { return tracking.view(execution(id)); }
    std::vector<std::string> gaps() const {
        std::vector<std::string> out;
        for (const auto& g : find_gaps(view()))
            out.push_back(std::string(scope_word(g.scope)) + " " + std::to_string(g.attempt) + " " + std::string(g.kind));
        return out;
    }
    CurrentExecution current() const { return tracking.current(*tracking.find_pipeline(orders)); }
    void retire(const std::string& id) { tracking.apply(RetiredRecord{orders, id, false}); }
};

// What a scope shows: of the pipeline, of the stage Build, of the action a-1.
std::pair<int, State> shown(const ExecutionView& v, Scope scope) {
    if (scope == Scope::pipeline) return {v.attempt, v.state};
    if (scope == Scope::stage) return {v.stages.at(0).attempt, v.stages.at(0).state};
    return {v.actions.at(0).attempt, v.actions.at(0).state};
}
TimeMs end_of(const ExecutionView& v, Scope scope) {
    return scope == Scope::pipeline ? v.end : scope == Scope::stage ? v.stages.at(0).end : v.actions.at(0).end;
}

std::vector<State> states_of(Scope scope) {
    std::vector<State> states;
    for (State s : {State::started, State::resumed, State::stopping, State::succeeded, State::superseded, State::canceled,
                    State::abandoned, State::stopped, State::failed})
        if (parse_state(scope, event_word(s))) states.push_back(s);
    return states;
}

// -- the order of states, at every scope --

TEST(States, OfOneAttemptEachPairIsJudgedByItsRank) {
    for (Scope scope : {Scope::pipeline, Scope::stage, Scope::action})
        for (State first : states_of(scope))
            for (State second : states_of(scope)) {
                SCOPED_TRACE(std::string(scope_word(scope)) + " " + std::string(event_word(first)) + " then " +
                             std::string(event_word(second)));
                Room r;
                EXPECT_EQ(r.take(event(scope, first)), Outcome::accepted);
                EXPECT_EQ(r.take(event(scope, second)), second == first  ? Outcome::duplicate
                                                        : second > first ? Outcome::accepted
                                                                         : Outcome::late);
                EXPECT_EQ(shown(r.view(), scope), std::pair(1, std::max(first, second)));
                EXPECT_EQ(r.take(event(scope, first)), Outcome::duplicate);
            }
}

TEST(States, OfTwoEndsOfOneAttemptTheWorseNewsWinsAndIsAGap) {
    const std::vector<State> from_good_to_bad{State::succeeded, State::superseded, State::canceled,
                                              State::abandoned, State::stopped,    State::failed};
    for (Scope scope : {Scope::pipeline, Scope::stage, Scope::action}) {
        State before = State::stopping;
        for (State end : from_good_to_bad) {
            if (!parse_state(scope, event_word(end))) continue;
            if (before != State::stopping) {
                Room r;
                r.take(event(scope, State::started));
                r.take(event(scope, end));
                EXPECT_EQ(r.take(event(scope, before)), Outcome::late);
                EXPECT_EQ(shown(r.view(), scope).second, end);
                EXPECT_THAT(r.gaps(), testing::Contains(std::string(scope_word(scope)) + " 1 conflicting_ends"))
                    << event_word(before) << " " << event_word(end);
            }
            before = end;
        }
        EXPECT_EQ(before, State::failed);
    }
}

TEST(States, OfPipelinesAndStagesALaterAttemptPassesWhateverCameBefore) {
    for (Scope scope : {Scope::pipeline, Scope::stage}) {
        Room r;
        r.take(event(scope, State::failed));
        EXPECT_EQ(r.take(event(scope, State::resumed, 2)), Outcome::accepted);
        EXPECT_EQ(shown(r.view(), scope), std::pair(2, State::resumed));
        EXPECT_EQ(end_of(r.view(), scope), no_time);
        EXPECT_EQ(r.take(event(scope, State::succeeded, 1)), Outcome::late);
        EXPECT_EQ(r.take(event(scope, State::failed, 1)), Outcome::duplicate);
        EXPECT_EQ(r.take(event(scope, State::succeeded, 2)), Outcome::accepted);
        EXPECT_EQ(r.take(event(scope, State::started, 7)), Outcome::accepted);
        EXPECT_EQ(shown(r.view(), scope), std::pair(7, State::started));
    }
}

// RESUMED may overtake the end that it follows, and even the START.
TEST(States, ResumedComesBeforeTheEndOfTheAttemptBefore) {
    Room r;
    EXPECT_EQ(r.take(event(Scope::stage, State::resumed, 2)), Outcome::accepted);
    EXPECT_THAT(r.gaps(), testing::Contains("stage 1 missing_start"));
    EXPECT_EQ(r.take(event(Scope::stage, State::failed, 1)), Outcome::late);
    EXPECT_EQ(r.take(event(Scope::stage, State::started, 1)), Outcome::late);
    EXPECT_EQ(shown(r.view(), Scope::stage), std::pair(2, State::resumed));
    EXPECT_THAT(r.view().stages[0].seen, ElementsAre(Seen{1, 1 | 1 << 8}, Seen{2, 1 << 1}));
    EXPECT_THAT(r.gaps(), ElementsAre("pipeline 1 missing_start"));  // of the pipeline itself nothing came
}

// Stages say attempt 0.0 until the first retry, and the execution's attempt from then on; both count as CodePipeline means them.
TEST(States, AStagesAttemptZeroIsItsFirst) {
    EnvelopeReader reader;
    auto read = [&](const char* attempt, const char* state) {
        const std::string json =
            std::string(
                R"({"version":"0","id":"e","detail-type":"CodePipeline Stage Execution State Change","source":"aws.codepipeline",)") +
            R"("account":"111122223333","time":"2026-04-19T12:00:00Z","region":"eu-west-1","resources":[],"detail":{"pipeline":"orders-deploy",)" +
            R"("execution-id":"execution-1","stage":"Build","version":3.0,"pipeline-execution-attempt":)" + attempt +
            R"(,"state":")" + state + R"("}})";
        return *std::get<IncomingEvent>(reader.read(json)).pipeline;
    };
    Room r;
    EXPECT_EQ(r.take(read("0.0", "STARTED")), Outcome::accepted);
    EXPECT_EQ(r.take(read("1.0", "STARTED")), Outcome::duplicate);
    EXPECT_EQ(r.take(read("0.0", "FAILED")), Outcome::accepted);
    EXPECT_EQ(shown(r.view(), Scope::stage), std::pair(1, State::failed));
    EXPECT_EQ(r.take(read("2.0", "RESUMED")), Outcome::accepted);
    EXPECT_EQ(r.take(read("1", "FAILED")), Outcome::duplicate);
    EXPECT_EQ(r.take(read("2", "SUCCEEDED")), Outcome::accepted);
    EXPECT_EQ(shown(r.view(), Scope::stage), std::pair(2, State::succeeded));
    EXPECT_THAT(r.view().stages[0].seen, ElementsAre(Seen{1, 1 | 1 << 8}, Seen{2, 1 << 1 | 1 << 3}));
}

// -- actions --

TEST(Actions, EachActionExecutionIdIsARowOfItsOwn) {
    Room r;
    r.take(event(Scope::action, State::started));
    r.take(event(Scope::action, State::failed));
    auto retry = event(Scope::action, State::started, 2);
    retry.action_execution_id = "a-2";
    EXPECT_EQ(r.take(retry), Outcome::accepted);
    auto elsewhere = event(Scope::action, State::succeeded);
    elsewhere.stage = "Deploy";  // the same made-up id in another stage
    EXPECT_EQ(r.take(elsewhere), Outcome::accepted);
    auto other = event(Scope::action, State::started);
    other.action = "Lint";
    EXPECT_EQ(r.take(other), Outcome::accepted);

    std::vector<std::tuple<std::string, std::string, std::string, State, int>> rows;
    for (const auto& a : r.view().actions) rows.emplace_back(a.stage, a.name, a.action_execution_id, a.state, a.attempt);
    EXPECT_THAT(rows, UnorderedElementsAre(std::tuple("Build", "Compile", "a-1", State::failed, 1),
                                           std::tuple("Build", "Compile", "a-2", State::started, 2),
                                           std::tuple("Deploy", "Compile", "a-1", State::succeeded, 1),
                                           std::tuple("Build", "Lint", "a-1", State::started, 1)));
    // A further event of the first retry changes that row alone.
    EXPECT_EQ(r.take(event(Scope::action, State::stopping)), Outcome::late);
    EXPECT_THAT(r.view().actions, SizeIs(4));
}

// An id's attempt does not order it: a known state stays known, whatever attempt the event says.
TEST(Actions, AnActionsStateIsOrderedByItsRankAlone) {
    Room r;
    r.take(event(Scope::action, State::failed, 1));
    EXPECT_EQ(r.take(event(Scope::action, State::started, 2)), Outcome::late);
    EXPECT_EQ(shown(r.view(), Scope::action), std::pair(2, State::failed));
    EXPECT_EQ(r.take(event(Scope::action, State::failed, 2)), Outcome::duplicate);
}

TEST(Actions, CategoryOwnerProviderAndRegionAreTheGreatestSaid) {
    for (bool turned : {false, true}) {
        Room r;
        auto first = event(Scope::action, State::started);
        first.category = "Build", first.owner = "AWS", first.provider = "CodeBuild";
        auto second = event(Scope::action, State::failed);
        second.category = "Test", second.action_region = "eu-west-1";  // and neither owner nor provider
        r.take(turned ? second : first);
        r.take(turned ? first : second);
        const auto a = r.view().actions.at(0);
        EXPECT_EQ(a.category + "/" + a.owner + "/" + a.provider + "/" + a.region, "Test/AWS/CodeBuild/eu-west-1");
    }
}

TEST(Actions, ANameWithALineFeedDoesNotReachIntoTheNextPart) {
    Room r;
    auto e = event(Scope::action, State::started);
    e.category = "Build\nX", e.provider = "P\n";
    r.take(e);
    auto a = r.view().actions.at(0);
    EXPECT_EQ(a.category + "/" + a.owner + "/" + a.provider + "/" + a.region, "Build//P/");
}

TEST(Actions, ShowTheProgressOfAStageUntilItsOwnEventsCome) {
    Room r;
    r.take(event(Scope::action, State::failed, 3));
    EXPECT_FALSE(r.view().stages.at(0).known);
    EXPECT_EQ(shown(r.view(), Scope::stage), std::pair(3, State::started));
    EXPECT_EQ(r.view().attempt, 3);
    EXPECT_THAT(r.gaps(), testing::Contains("stage 3 missing_start"));
    // The stage's own word is older, and it is the stage's.
    EXPECT_EQ(r.take(event(Scope::stage, State::started, 1)), Outcome::accepted);
    EXPECT_EQ(shown(r.view(), Scope::stage), std::pair(1, State::started));
    EXPECT_EQ(r.tracking.facts(r.execution(), event(Scope::stage, State::started)).stage_begun, 3);
    auto next = event(Scope::action, State::started, 5);
    next.action_execution_id = "a-5";
    r.take(next);
    EXPECT_EQ(shown(r.view(), Scope::stage), std::pair(1, State::started));
}

// -- times and texts --

TEST(Times, StartIsTheEarliestUpdateTheLatestAndEndTheLatestOfTheWinningState) {
    for (Scope scope : {Scope::pipeline, Scope::stage, Scope::action}) {
        SCOPED_TRACE(scope_word(scope));
        Room r;
        r.take(started_at(event(scope, State::succeeded, 1, 50'000), 9'000));
        r.take(started_at(event(scope, State::failed, 1, 40'000), 7'000));
        EXPECT_EQ(end_of(r.view(), scope), day + 40'000);
        r.take(event(scope, State::failed, 1, 45'000));     // the same end again, a little later
        r.take(event(scope, State::failed, 1, 30'000));     // and once more, earlier
        r.take(event(scope, State::succeeded, 1, 90'000));  // a state that has lost already
        r.take(started_at(event(scope, State::started, 1, 20'000), 8'000));
        const ExecutionView v = r.view();
        EXPECT_EQ(end_of(v, scope), day + 45'000);
        const TimeMs start = scope == Scope::pipeline ? v.start : scope == Scope::stage ? v.stages[0].start : v.actions[0].start;
        EXPECT_EQ(start, day + 7'000);
        EXPECT_EQ(v.update, day + 90'000);
        EXPECT_EQ(v.first, day + 7'000);
        EXPECT_EQ(v.start,
                  scope == Scope::pipeline ? day + 7'000 : no_time);  // only the pipeline's own events say when it started
        EXPECT_EQ(v.ordering_start(), day + 7'000);
    }
}

TEST(Times, VersionAndLastRetryAreTheLatest) {
    Room r;
    auto e = event(Scope::stage, State::resumed, 2);
    e.version = 4, e.last_retry = day + 10;
    r.take(e);
    e.attempt = 3, e.version = 3, e.last_retry = day + 5;
    r.take(e);
    e.attempt = 4, e.version = 0, e.last_retry = no_time;
    r.take(e);
    EXPECT_EQ(r.view().version, 4);
    EXPECT_EQ(r.view().stages.at(0).last_retry, day + 10);
}

TEST(Texts, AreThoseOfTheGreatestByWeightTimeAndContent) {
    auto with = [](State state, uint8_t texts, TimeMs at, uint32_t content) {
        auto e = event(Scope::pipeline, state, 1, at);
        e.texts = texts;
        e.content = content;
        return e;
    };
    const auto old_commit = with(State::started, Texts::trigger | Texts::commit, 1'000, 1),
               commit = with(State::started, Texts::trigger | Texts::commit, 2'000, 2),
               tie = with(State::resumed, Texts::trigger | Texts::commit, 2'000, 3),
               later_trigger = with(State::succeeded, Texts::trigger, 9'000, 4);
    std::vector<PipelineEvent> events{old_commit, commit, tie, later_trigger};
    std::sort(events.begin(), events.end(), [](const auto& a, const auto& b) { return a.content < b.content; });
    do {
        Room r;
        for (const auto& e : events) r.take(e);
        EXPECT_EQ(r.view().trigger.content, 3u);
        EXPECT_EQ(r.view().stop_comment.position, 0u);
    } while (
        std::next_permutation(events.begin(), events.end(), [](const auto& a, const auto& b) { return a.content < b.content; }));
}

TEST(Texts, AStopCommentIsTheNewestAttemptsAndAResultTheWinningStates) {
    Room r;
    for (int attempt : {2, 1}) {
        auto e = event(Scope::pipeline, State::stopping, attempt);
        e.texts = Texts::stop_comment;
        e.content = static_cast<uint32_t>(attempt);
        r.take(e);
    }
    EXPECT_EQ(r.view().stop_comment.content, 2u);
    for (State s : {State::failed, State::succeeded, State::started}) {
        auto e = event(Scope::action, s, 1, 90'000 - static_cast<int>(s) * 1000);  // by time it would be the first
        e.texts = Texts::result;
        e.content = 100 + static_cast<uint32_t>(s);
        r.take(e);
    }
    EXPECT_EQ(r.view().actions.at(0).result.content, 108u);
}

// -- what was seen --

TEST(Seen, HoldsTheNewest64AttemptsInWhateverOrderTheyCame) {
    constexpr int newest = static_cast<int>(limits::attempts_seen) + 10;
    for (bool backwards : {false, true}) {
        Room r;
        for (int i = 1; i <= newest; ++i) r.take(event(Scope::stage, State::failed, backwards ? newest + 1 - i : i));
        const auto seen = r.view().stages.at(0).seen;
        ASSERT_THAT(seen, SizeIs(limits::attempts_seen));
        EXPECT_EQ(seen.front().attempt, 11);
        EXPECT_EQ(seen.back().attempt, newest);
        EXPECT_EQ(shown(r.view(), Scope::stage), std::pair(newest, State::failed));
        // One that is remembered is a repetition; one that is not is only late.
        EXPECT_EQ(r.take(event(Scope::stage, State::failed, 11)), Outcome::duplicate);
        EXPECT_EQ(r.take(event(Scope::stage, State::succeeded, 10)), Outcome::late);
        EXPECT_THAT(r.view().stages.at(0).seen, SizeIs(limits::attempts_seen));
        EXPECT_EQ(r.view().stages.at(0).seen.front(), (Seen{11, 1 << 8}));
    }
}

TEST(Gaps, ComeWithALostEventAndGoWithIt) {
    Room r;
    auto take = [&](Scope scope, State state, int attempt = 1) { r.take(event(scope, state, attempt)); };
    take(Scope::pipeline, State::failed, 2);
    EXPECT_THAT(r.gaps(), UnorderedElementsAre("pipeline 1 missing_start", "pipeline 2 missing_resume", "pipeline 1 missing_end",
                                               "pipeline 2 missing_stages"));
    take(Scope::pipeline, State::resumed, 2);
    take(Scope::pipeline, State::stopped, 1);
    take(Scope::pipeline, State::started);
    EXPECT_THAT(r.gaps(), ElementsAre("pipeline 2 missing_stages"));
    take(Scope::stage, State::started);
    EXPECT_THAT(r.gaps(), ElementsAre("stage 1 missing_end"));
    take(Scope::stage, State::failed);
    EXPECT_THAT(r.gaps(), ElementsAre("stage 1 missing_actions"));
    take(Scope::action, State::started);
    EXPECT_THAT(r.gaps(), ElementsAre("action 1 missing_end"));
    take(Scope::action, State::failed);
    EXPECT_THAT(r.gaps(), IsEmpty());
}

// -- limits --

TEST(Limits, StagesAndActionsBeyondTheLimitAreKeptOutAndTheKnownOnesGoOn) {
    Room r;
    for (size_t i = 0; i < limits::stages_an_execution; ++i) {
        auto e = event(Scope::stage, State::started);
        e.stage = "stage-" + std::to_string(i);
        ASSERT_EQ(r.take(e), Outcome::accepted);
    }
    const auto before = r.view();
    EXPECT_EQ(r.take(event(Scope::stage, State::started)), Outcome::untracked);
    EXPECT_EQ(r.take(event(Scope::action, State::started)), Outcome::untracked);
    EXPECT_EQ(r.view().events, before.events);
    EXPECT_EQ(r.view().groups, before.groups);
    auto known = event(Scope::stage, State::failed);
    known.stage = "stage-0";
    EXPECT_EQ(r.take(known), Outcome::accepted);
    EXPECT_EQ(r.take(event(Scope::pipeline, State::failed)), Outcome::accepted);

    auto action = event(Scope::action, State::started);
    action.stage = "stage-1";
    for (size_t i = 0; i < limits::actions_an_execution; ++i) {
        action.action_execution_id = "a-" + std::to_string(i);
        ASSERT_EQ(r.take(action), Outcome::accepted);
    }
    action.action_execution_id = "one-more";
    EXPECT_EQ(r.take(action), Outcome::untracked);
    action.action_execution_id = "a-0", action.state = State::succeeded;
    EXPECT_EQ(r.take(action), Outcome::accepted);
    EXPECT_THAT(r.view().groups, SizeIs(limits::groups_an_execution));
}

// -- the pipeline's current execution --

TEST(Current, IsTheNewestByStartAndThenByIdNotTheLastThatSpoke) {
    Room r;
    r.take(started_at(of(event(Scope::pipeline, State::started, 1, 20'000), "b"), 20'000));
    r.take(started_at(of(event(Scope::pipeline, State::started, 1, 10'000), "c"), 10'000));
    EXPECT_EQ(r.current().id, "b");
    r.take(of(event(Scope::pipeline, State::failed, 1, 90'000), "c"));
    EXPECT_EQ(r.current().id, "b");
    r.take(started_at(of(event(Scope::pipeline, State::started, 1, 20'000), "a"), 20'000));
    EXPECT_EQ(r.current().id, "b");
    r.take(started_at(of(event(Scope::pipeline, State::started, 1, 20'000), "d"), 20'000));
    EXPECT_EQ(r.current().id, "d");
    EXPECT_EQ(r.tracking.find_pipeline(orders)->executions, 4u);
}

// An execution of which only later events are known stands where they put it, and moves when its start arrives.
TEST(Current, MovesBackWhenAnEarlierStartArrives) {
    Room r;
    r.take(started_at(of(event(Scope::pipeline, State::started, 1, 20'000), "a"), 20'000));
    r.take(of(event(Scope::stage, State::failed, 1, 30'000), "b"));
    EXPECT_EQ(r.current().id, "b");
    r.take(started_at(of(event(Scope::pipeline, State::started, 1, 10'000), "b"), 10'000));
    EXPECT_EQ(r.current().id, "a");
    EXPECT_FALSE(r.tracking.is_current(r.execution("b")));
    EXPECT_TRUE(r.tracking.is_current(r.execution("a")));
}

TEST(Current, ExecutionsOfOtherAccountsAndRegionsAreOtherPipelines) {
    Room r;
    auto here = event(Scope::pipeline, State::started), there = here, elsewhere = here;
    there.key.region = "us-east-1";
    elsewhere.key.account = "444455556666";
    for (const auto& e : {here, there, elsewhere}) EXPECT_EQ(r.take(e), Outcome::accepted);
    EXPECT_EQ(r.tracking.pipelines(), 3u);
    EXPECT_EQ(r.tracking.live_executions(), 3u);
    here.state = State::failed;
    r.take(here);
    EXPECT_EQ(r.tracking.find(there.key, "execution-1")->state, State::started);
    EXPECT_TRUE(r.tracking.find("execution-1"));
    EXPECT_FALSE(r.tracking.find(orders, "execution-2"));
}

// -- retire and recall --

TEST(Retired, ComesBackWholeAndTheSameEventIsStillARepetition) {
    Room r;
    r.take(started_at(event(Scope::pipeline, State::started), 0));
    r.take(event(Scope::stage, State::failed));
    r.take(event(Scope::action, State::failed));
    r.take(event(Scope::pipeline, State::failed));
    r.take(started_at(of(event(Scope::pipeline, State::started, 1, 99'000), "newer"), 99'000));
    const ExecutionView before = r.view();
    std::string encoded;
    ByteWriter out(encoded);
    encode(out, before);

    r.retire("execution-1");
    EXPECT_FALSE(r.tracking.find("execution-1"));
    EXPECT_EQ(r.tracking.live_executions(), 1u);
    EXPECT_EQ(r.current().id, "newer");
    EXPECT_EQ(r.tracking.find_pipeline(orders)->executions, 2u);

    ByteReader in(encoded);
    ExecutionView read;
    ASSERT_TRUE(decode(in, read));
    r.tracking.apply_recalled(read, r.now);
    std::string again;
    ByteWriter out_again(again);
    encode(out_again, r.view());
    EXPECT_EQ(again, encoded);
    for (const auto& e :
         {event(Scope::stage, State::failed), event(Scope::action, State::failed), event(Scope::pipeline, State::started)})
        EXPECT_EQ(r.take(e), Outcome::duplicate);
    EXPECT_EQ(r.take(event(Scope::stage, State::started)), Outcome::late);
    EXPECT_EQ(r.take(event(Scope::pipeline, State::resumed, 2)), Outcome::accepted);
    EXPECT_EQ(r.tracking.find_pipeline(orders)->executions, 2u);  // the same one, not a third
    EXPECT_EQ(r.current().id, "newer");
}

// An execution that goes on living while it is recalled is not thrown back to what the history had of it.
TEST(Retired, ARecallOfALivingExecutionChangesNothing) {
    Room r;
    r.take(event(Scope::pipeline, State::started));
    const ExecutionView old = r.view();
    r.take(event(Scope::pipeline, State::failed));
    r.tracking.apply_recalled(old, r.now);
    EXPECT_EQ(r.view().state, State::failed);
    EXPECT_EQ(r.tracking.live_executions(), 1u);
}

// The newest execution may be among the retired: what is left of it still says what the pipeline's row shows.
TEST(Retired, TheNewestStaysThePipelinesCurrentOne) {
    Room r;
    r.take(started_at(of(event(Scope::pipeline, State::succeeded, 1, 50'000), "newest"), 50'000));
    r.take(of(event(Scope::stage, State::succeeded, 1, 50'000), "newest"));
    r.take(started_at(of(event(Scope::pipeline, State::failed, 1, 60'000), "older"), 10'000));
    const ExecutionView newest = r.view("newest");
    r.retire("newest");
    EXPECT_EQ(r.current().id, "newest");
    EXPECT_EQ(r.current().state, State::succeeded);
    EXPECT_EQ(r.current().gaps, find_gaps(newest).size());
    ASSERT_THAT(r.current().stages, SizeIs(1));
    EXPECT_EQ(r.current().stages[0].name, "Build");
    EXPECT_FALSE(r.tracking.is_current(r.execution("older")));
    r.retire("older");  // leaves the pipeline without a living execution, and with the right current one
    EXPECT_EQ(r.current().id, "newest");
    r.take(started_at(of(event(Scope::pipeline, State::started, 1, 70'000), "stale"), 70'000));
    r.retire("stale");  // its end never came; it is newer all the same
    EXPECT_EQ(r.current().id, "stale");
    r.tracking.apply_recalled(newest, r.now);
    EXPECT_FALSE(r.tracking.is_current(r.execution("newest")));
    EXPECT_EQ(r.current().id, "stale");
}

TEST(Retired, TheNewestThatIsRecalledIsShownAsItGoesOn) {
    Room r;
    r.take(event(Scope::pipeline, State::failed));
    const ExecutionView before = r.view();
    r.retire("execution-1");
    EXPECT_EQ(r.current().state, State::failed);
    r.tracking.apply_recalled(before, r.now);
    EXPECT_TRUE(r.tracking.is_current(r.execution()));
    r.take(event(Scope::pipeline, State::resumed, 2));
    EXPECT_EQ(r.current().state, State::resumed);
}

TEST(Retired, NamesAreGivenBackAndReused) {
    Names names;
    const uint32_t build = names.take("Build"), deploy = names.take("Deploy");
    EXPECT_EQ(names.take("Build"), build);
    names.drop(build);
    EXPECT_EQ(names.text(build), "Build");
    names.drop(build);
    EXPECT_EQ(names.size(), 1u);
    EXPECT_EQ(names.take("Test"), build);
    EXPECT_EQ(names.text(deploy), "Deploy");
    EXPECT_EQ(names.text(build), "Test");
}

// -- what changed, for the history --

TEST(Dirty, IsHandedOverOldestChangeFirstAndOnce) {
    Room r;
    for (const char* id : {"a", "b", "c"}) r.take(of(event(Scope::pipeline, State::started), id));
    r.take(of(event(Scope::pipeline, State::failed), "a"));
    EXPECT_EQ(r.tracking.dirty(), 3u);
    auto ids = [](const std::vector<const Execution*>& taken) {
        std::vector<std::string> out;
        for (const auto* e : taken) out.push_back(e->id.str());
        return out;
    };
    EXPECT_THAT(ids(r.tracking.take_dirty(2)), ElementsAre("a", "b"));
    EXPECT_EQ(r.tracking.dirty(), 1u);
    r.retire("c");  // one that leaves is not handed over any more
    EXPECT_EQ(r.tracking.dirty(), 0u);
    EXPECT_THAT(r.tracking.take_dirty(2), IsEmpty());
    // Even an event that only repeats another is one more event of its execution.
    EXPECT_EQ(r.take(of(event(Scope::pipeline, State::failed), "a")), Outcome::duplicate);
    EXPECT_THAT(ids(r.tracking.take_dirty(9)), ElementsAre("a"));
    r.tracking.concern(orders, "b", r.position += 100, r.now);
    r.tracking.concern(orders, "unknown", r.position += 100, r.now);
    EXPECT_THAT(ids(r.tracking.take_dirty(9)), ElementsAre("b"));
    EXPECT_THAT(r.view("b").groups, SizeIs(2));
}

TEST(Snapshot, ADamagedPieceIsCorrupt) {
    Room r;
    r.take(started_at(of(event(Scope::pipeline, State::succeeded, 1, 500'000), "gone"), 500'000));
    r.retire("gone");
    r.take(event(Scope::action, State::failed));
    r.tracking.known_ids.add({1, 2}, day);
    int pieces = 0;
    Tracking whole;
    r.tracking.encode([&](std::string_view piece) {
        ++pieces;
        for (size_t n = 0; n < piece.size(); ++n) {
            if (n == 1) continue;  // no known ids at all, which is one of the things encode says
            EXPECT_FALSE(Tracking().restore(piece.substr(0, n)).ok()) << n << " of " << testing::PrintToString(piece);
        }
        EXPECT_FALSE(Tracking().restore(std::string(piece) + "x").ok());
        EXPECT_TRUE(whole.restore(piece).ok());
    });
    EXPECT_EQ(pieces, 3);
    EXPECT_EQ(whole.live_executions(), 1u);
    EXPECT_EQ(whole.current(*whole.find_pipeline(orders)).id, "gone");
    EXPECT_EQ(Tracking().restore("\x09").error().kind, ErrorKind::corrupt);
}

}  // namespace
}  // namespace waybill::tracking
