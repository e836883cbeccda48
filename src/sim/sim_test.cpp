// The node in a hostile world (node_sim.h). WAYBILL_SIM_SEED runs one seed, WAYBILL_SIM_SEEDS says how many are run from 1 on.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <map>
#include <set>

#include "sim/node_sim.h"

namespace waybill::sim {
namespace {

struct Seeds {
    uint64_t first, last;
};

Seeds seeds(uint64_t otherwise) {
    if (const char* one = std::getenv("WAYBILL_SIM_SEED")) return {std::strtoull(one, nullptr, 10), std::strtoull(one, nullptr, 10)};
    if (const char* n = std::getenv("WAYBILL_SIM_SEEDS")) return {1, std::strtoull(n, nullptr, 10)};
    return {1, otherwise};
}

// Who is woken how often, whatever the order of arrival, repetitions, restarts and recalls. (That no key is planned twice is NodeSim's check.)
void check_effects(const std::vector<Delivery>& planned) {
    std::map<std::string, int> failures, successes, stages, retries, rules;
    std::map<std::string, std::set<int>> retried;
    for (const auto& d : planned) {
        const std::string execution = d.pipeline.account + d.pipeline.region + d.pipeline.pipeline + d.execution_id, stage = execution + "/" + d.stage;
        switch (d.topic) {
            case DeliveryTopic::pipeline_failed: EXPECT_EQ(++failures[execution + d.target], 1) << d.key; break;
            case DeliveryTopic::pipeline_succeeded: EXPECT_EQ(++successes[execution + d.target], 1) << d.key; break;
            case DeliveryTopic::stage_failed: EXPECT_EQ(++stages[stage + d.target + std::to_string(d.attempt)], 1) << d.key; break;
            case DeliveryTopic::action_failed:
                EXPECT_EQ(d.kind, DeliveryKind::retry);
                EXPECT_NE(d.stage, "Approve") << "a person's answer is retried: " << d.key;
                EXPECT_LE(++retries[stage], PolicyConfig{}.retry_max) << d.key;
                EXPECT_TRUE(retried[stage].insert(d.attempt).second) << d.key;
                break;
            // A rule is told of each event once: its key names the event.
            case DeliveryTopic::rule: EXPECT_EQ(++rules[d.key], 1) << d.key; break;
            case DeliveryTopic::dead_letter: break;
        }
    }
}

// What happened over all seeds, so that a world that has become too kind to prove anything is noticed.
SimReport run(uint64_t otherwise, int executions, Chaos chaos) {
    spdlog::set_level(spdlog::level::off);
    SimReport sum;
    const auto [first, last] = seeds(otherwise);
    for (uint64_t seed = first; seed <= last; ++seed) {
        SCOPED_TRACE(fmt::format("again with WAYBILL_SIM_SEED={}", seed));
        NodeSim sim(seed, executions, chaos);
        const SimReport r = sim.run();
        check_effects(sim.planned());
        EXPECT_EQ(r.broken, "");
        if (testing::Test::HasFailure()) break;
        for (auto field : {&SimReport::restarts, &SimReport::refusals, &SimReport::full, &SimReport::retired, &SimReport::recalled, &SimReport::snapshots, &SimReport::planned,
                           &SimReport::performed, &SimReport::twice, &SimReport::dead, &SimReport::cancelled})
            sum.*field += r.*field;
    }
    fmt::print("{} seeds: {} restarts, {} requests refused, {} full disks, {} retired, {} recalled, {} snapshots, {} planned, {} performed, {} twice, {} dead, {} cancelled\n",
               last - first + 1, sum.restarts, sum.refusals, sum.full, sum.retired, sum.recalled, sum.snapshots, sum.planned, sum.performed, sum.twice, sum.dead, sum.cancelled);
    return sum;
}

TEST(Simulation, AKindWorld) {
    const SimReport r = run(5, 15, {.crashes = false, .full_disks = false, .time_jumps = false, .lost_events = false, .bad_targets = false});
    EXPECT_EQ(r.twice, 0);
    EXPECT_EQ(r.dead, 0);
    EXPECT_EQ(r.refusals, 0);
}

TEST(Simulation, AHostileWorld) {
    const SimReport r = run(15, 12, {});
    if (std::getenv("WAYBILL_SIM_SEED")) return;
    for (auto field : {&SimReport::restarts, &SimReport::refusals, &SimReport::full, &SimReport::retired, &SimReport::recalled, &SimReport::snapshots, &SimReport::twice, &SimReport::dead,
                       &SimReport::cancelled})
        EXPECT_GT(r.*field, 0);
}

TEST(Simulation, AHostileWorldThatLosesEvents) { run(10, 12, {.lost_events = true}); }

}  // namespace
}  // namespace waybill::sim
