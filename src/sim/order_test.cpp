// "State is a pure function of the set of events" (ARCHITECTURE.md, "Order"), shown on generated executions: every permutation of small ones,
// random shuffles with repetitions of large and interleaved ones, cuts, snapshots, retiring. Compared is everything that a user can see.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "sim/fold.h"
#include "sim/naive_model.h"

namespace waybill::sim {
namespace {

std::vector<IncomingEvent> read_all(const std::vector<GeneratedEvent>& events) {
    std::vector<IncomingEvent> out;
    for (const auto& e : events) out.push_back(read(e.envelope));
    return out;
}

template <class T>
void shuffle(std::vector<T>& v, world::Random& random) {
    for (size_t i = v.size(); i > 1; --i) std::swap(v[i - 1], v[random.below(i)]);
}

std::string fold(const std::vector<const IncomingEvent*>& events) {
    Fold f;
    for (const auto* e : events) f.take(*e);
    return f.visible();
}

std::vector<const IncomingEvent*> pointers(const std::vector<IncomingEvent>& events) {
    std::vector<const IncomingEvent*> out;
    for (const auto& e : events) out.push_back(&e);
    return out;
}

// Several executions of several pipelines as one stream, in true order.
struct Stream {
    std::vector<GeneratedExecution> executions;
    std::vector<GeneratedEvent> events;
};

Stream stream(uint64_t seed, size_t n, GeneratorOptions options) {
    ExecutionGenerator generator(seed, options);
    Stream s;
    std::multimap<TimeMs, GeneratedEvent> by_time;
    for (size_t i = 0; i < n; ++i) {
        s.executions.push_back(generator.next());
        for (const auto& e : s.executions.back().events) by_time.emplace(e.at, e);
    }
    for (auto& [at, e] : by_time) s.events.push_back(std::move(e));
    return s;
}

GeneratorOptions busy() {
    GeneratorOptions o;
    o.accounts = 2, o.regions = 2, o.pipelines = 2;
    o.interruptions = 30;
    return o;
}

TEST(Order, EveryPermutationOfASmallExecutionGivesTheSame) {
    GeneratorOptions o;
    o.max_stages = 2, o.max_actions = 1, o.max_rounds = 1;
    o.failures = 50, o.interruptions = 50, o.unfinished = 30;
    ExecutionGenerator generator(1, o);
    std::set<std::string> kinds;
    for (int i = 0; i < 60 && kinds.size() < 6; ++i) {
        auto x = generator.next();
        if (x.events.size() > 9) x.events.erase(x.events.begin() + 1, x.events.end() - 6);  // its end, whose beginning was lost
        if (x.events.size() > 7) x.events.resize(7);
        std::string kind;
        for (const auto& e : x.events) kind += std::string(scope_word(e.scope).substr(0, 1)) + std::string(event_word(e.state)) + " ";
        if (x.events.size() < 5 || !kinds.insert(kind).second) continue;
        SCOPED_TRACE(kind);
        const auto events = read_all(x.events);
        auto order = pointers(events);
        std::sort(order.begin(), order.end());
        const std::string expected = fold(order);
        while (std::next_permutation(order.begin(), order.end())) ASSERT_EQ(fold(order), expected);
    }
    EXPECT_EQ(kinds.size(), 6u);
}

// Pipeline events of three executions: what the current execution and the incidents hang on.
TEST(Order, EveryPermutationOfThreeExecutionsGivesTheSameIncidents) {
    GeneratorOptions o;
    o.failures = 70, o.retries = 30, o.interruptions = 0, o.unfinished = 0;
    for (uint64_t seed = 1; seed <= 6; ++seed) {
        SCOPED_TRACE(seed);
        const Stream s = stream(seed, 3, o);
        std::vector<IncomingEvent> events;
        for (const auto& e : s.events)
            if (e.scope == Scope::pipeline && events.size() < 7) events.push_back(read(e.envelope));
        auto order = pointers(events);
        std::sort(order.begin(), order.end());
        const std::string expected = fold(order);
        while (std::next_permutation(order.begin(), order.end())) ASSERT_EQ(fold(order), expected);
    }
}

TEST(Order, ShufflesWithRepetitionsGiveTheSame) {
    for (uint64_t seed = 1; seed <= 25; ++seed) {
        SCOPED_TRACE(seed);
        Stream s = stream(seed, 12, busy());
        world::SimRandom random(seed);
        // Some meanings come under a second id as well, in every one of the orders compared.
        const size_t once = s.events.size();
        for (size_t i = 0; i < once; ++i)
            if (random.chance(1, 10)) s.events.push_back(with_new_id(s.events[i], "again-" + std::to_string(i)));
        const auto events = read_all(s.events);
        const std::string expected = fold(pointers(events));
        for (int round = 0; round < 4; ++round) {
            auto order = pointers(events);
            for (size_t i = 0; i < events.size(); ++i)
                if (random.chance(1, 5)) order.push_back(&events[random.below(events.size())]);
            shuffle(order, random);
            ASSERT_EQ(fold(order), expected);
        }
    }
}

TEST(Order, ShufflesOfWhatWasNotLostGiveTheSame) {
    for (uint64_t seed = 100; seed <= 115; ++seed) {
        SCOPED_TRACE(seed);
        const Stream s = stream(seed, 8, busy());
        auto events = read_all(s.events);
        world::SimRandom random(seed);
        std::erase_if(events, [&](const auto&) { return random.chance(1, 4); });
        const std::string expected = fold(pointers(events));
        for (int round = 0; round < 4; ++round) {
            auto order = pointers(events);
            shuffle(order, random);
            ASSERT_EQ(fold(order), expected);
        }
    }
}

TEST(Order, ANaiveModelSaysTheSame) {
    for (uint64_t seed = 200; seed <= 230; ++seed) {
        SCOPED_TRACE(seed);
        const Stream s = stream(seed, 6, busy());
        auto events = read_all(s.events);
        world::SimRandom random(seed);
        std::erase_if(events, [&](const auto&) { return random.chance(1, 6); });
        shuffle(events, random);
        Fold f;
        std::map<std::pair<PipelineKey, std::string>, std::vector<PipelineEvent>> of;
        for (const auto& e : events) {
            f.take(e);
            of[{e.pipeline->key, e.pipeline->execution_id}].push_back(*e.pipeline);
            if (random.chance(1, 4)) f.take(e);
        }
        for (const auto& [key, own] : of) {
            const auto* e = f.state().tracking.find(key.first, key.second);
            ASSERT_TRUE(e);
            EXPECT_EQ(flatten(f.state().tracking.view(*e)), reckon(own));
        }
    }
}

TEST(Order, TheEndIsTheTruth) {
    for (uint64_t seed = 300; seed <= 320; ++seed) {
        SCOPED_TRACE(seed);
        Stream s = stream(seed, 10, busy());
        world::SimRandom random(seed);
        shuffle(s.events, random);
        Fold f;
        for (const auto& e : s.events) f.take(read(e.envelope));
        std::map<PipelineKey, std::pair<TimeMs, std::string>> newest;
        for (const auto& x : s.executions) {
            const auto* e = f.state().tracking.find(x.key, x.id);
            ASSERT_TRUE(e);
            const ExecutionView v = f.state().tracking.view(*e);
            EXPECT_EQ(v.state, x.state);
            EXPECT_EQ(v.attempt, x.attempt);
            EXPECT_EQ(v.start, x.start);
            EXPECT_EQ(v.stages.size(), x.stages.size());
            for (const auto& stage : v.stages) {
                EXPECT_EQ(stage.state, x.stages.at(stage.name).first) << stage.name;
                EXPECT_EQ(stage.attempt, x.stages.at(stage.name).second) << stage.name;
            }
            EXPECT_EQ(v.actions.size(), x.actions.size());
            for (const auto& a : v.actions) EXPECT_EQ(a.state, x.actions.at(a.action_execution_id).state) << a.name;
            EXPECT_THAT(find_gaps(v), testing::IsEmpty()) << find_gaps(v).front().text;
            newest[x.key] = std::max(newest[x.key], std::pair(x.start, x.id));
        }
        for (const auto& [key, is] : newest) EXPECT_EQ(f.state().tracking.current(*f.state().tracking.find_pipeline(key)).id, is.second);
    }
}

// An accepted transition never takes a scope back in its own order.
TEST(Order, AcceptedTransitionsOnlyGoOn) {
    Stream s = stream(7, 40, busy());
    world::SimRandom random(7);
    shuffle(s.events, random);
    Fold f;
    std::map<std::string, std::pair<int, State>> last;
    int accepted = 0, late = 0, repeated = 0;
    for (size_t i = 0; i < s.events.size(); ++i) {
        const auto event = read(s.events[i].envelope);
        const auto& e = *event.pipeline;
        const Outcome outcome = f.take(event);
        const std::string scope = e.execution_id + "/" + e.stage + "/" + e.action + "/" + e.action_execution_id;
        const std::pair at{e.attempt, e.state};
        switch (outcome) {
            case Outcome::accepted:
                if (last.contains(scope)) EXPECT_LT(last[scope], at) << scope;
                last[scope] = at;
                ++accepted;
                break;
            case Outcome::late:
                EXPECT_GT(last.at(scope), at) << scope;
                ++late;
                break;
            case Outcome::duplicate: ++repeated; break;
            case Outcome::untracked: FAIL();
        }
        if (i % 10 == 0) EXPECT_EQ(f.take(event), Outcome::duplicate);
        if (i % 10 == 1) EXPECT_EQ(f.take(read(with_new_id(s.events[i], "x" + std::to_string(i)).envelope)), Outcome::duplicate);
    }
    EXPECT_GT(accepted, 100);
    EXPECT_GT(late, 100);
    EXPECT_EQ(repeated, 0);
}

// Whether losing this one event must leave a gap in an execution that has ended. STOPPING says nothing that its end does not; the last end
// of a pipeline is only silence; and CodePipeline owes no ends to what a change of structure has cancelled.
bool must_leave_gap(const GeneratedExecution& x, const PipelineEvent& e) {
    if (e.state == State::stopping) return false;
    if (e.scope == Scope::pipeline) return !(is_end(e.state) && e.attempt == x.attempt);
    if (is_end(e.state) && x.state == State::canceled) return false;
    return true;
}

TEST(Order, ALostEventLeavesAGapUntilItComes) {
    GeneratorOptions o = busy();
    o.unfinished = 0;
    ExecutionGenerator generator(11, o);
    std::set<std::string> kinds;
    for (int i = 0; i < 60; ++i) {
        const auto x = generator.next();
        const auto events = read_all(x.events);
        for (size_t lost = 0; lost < events.size(); ++lost) {
            if (!must_leave_gap(x, *events[lost].pipeline)) continue;
            Fold f;
            for (size_t j = 0; j < events.size(); ++j)
                if (j != lost) f.take(events[j]);
            const auto gaps = [&] { return find_gaps(f.state().tracking.view(*f.state().tracking.find(x.key, x.id))); };
            const auto found = gaps();
            EXPECT_THAT(found, testing::Not(testing::IsEmpty())) << events[lost].envelope;
            for (const auto& g : found) kinds.insert(std::string(g.kind));
            f.take(events[lost]);
            EXPECT_THAT(gaps(), testing::IsEmpty()) << events[lost].envelope << "\n" << gaps().front().text;
        }
    }
    EXPECT_THAT(kinds, testing::UnorderedElementsAre("missing_start", "missing_end", "missing_resume"));
}

TEST(Order, ASnapshotAtAnyCutChangesNothing) {
    for (uint64_t seed = 400; seed <= 402; ++seed) {
        SCOPED_TRACE(seed);
        Stream s = stream(seed, 5, busy());
        world::SimRandom random(seed);
        shuffle(s.events, random);
        const auto events = read_all(s.events);
        const std::string expected = fold(pointers(events));
        for (size_t cut = 0; cut <= events.size(); cut += 1 + random.below(4)) {
            Fold f;
            for (size_t i = 0; i < events.size(); ++i) {
                if (i == cut) f.pass_through_snapshot();
                f.take(events[i]);
            }
            if (cut == events.size()) f.pass_through_snapshot();
            ASSERT_EQ(f.visible(), expected) << "cut before " << cut;
        }
    }
}

// What a snapshot restores is encoded to the same bytes, whatever it was restored from.
TEST(Order, ASnapshotOfASnapshotIsTheSame) {
    const Stream s = stream(77, 20, busy());
    Fold f;
    for (const auto& e : s.events) f.take(read(e.envelope));
    auto bytes = [](const node::State& state) {
        std::multiset<std::string> pieces;
        state.encode([&](std::string_view piece) { pieces.emplace(piece); });
        return pieces;
    };
    const auto first = bytes(f.state());
    f.pass_through_snapshot();
    EXPECT_EQ(bytes(f.state()), first);
    EXPECT_GT(first.size(), 20u);
}

TEST(Order, RetiringAndRecallingChangesNothing) {
    int retired = 0;
    for (uint64_t seed = 500; seed <= 515; ++seed) {
        SCOPED_TRACE(seed);
        Stream s = stream(seed, 10, busy());
        world::SimRandom random(seed);
        shuffle(s.events, random);
        const auto events = read_all(s.events);
        const std::string expected = fold(pointers(events));
        Fold f;
        for (const auto& e : events) {
            f.take(e);
            std::vector<const tracking::Execution*> live;
            f.state().tracking.each_execution([&](const auto& x) { live.push_back(&x); });
            if (random.chance(1, 3)) retired += f.retire(*live[random.below(live.size())]);
            if (random.chance(1, 40)) f.pass_through_snapshot();
        }
        ASSERT_EQ(f.visible(), expected);
    }
    EXPECT_GT(retired, 300);
}

}  // namespace
}  // namespace waybill::sim
