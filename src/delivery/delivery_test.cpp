// Deliveries: what becomes of them after each outcome, and who is ready when.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "delivery/decide.h"
#include "world/random.h"

namespace waybill::delivery {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using Kind = AttemptOutcome::Kind;

constexpr TimeMs now = 1'776'600'000'000;

struct Room {
    Deliveries deliveries;
    DeliveryConfig config;
    Position position = 100;
    TimeMs at = now;

    DeliveryId plan(const std::string& target, DeliveryKind kind = DeliveryKind::notify, int attempt = 1, const std::string& stage = "Build") {
        Delivery d;
        d.id = {position += 10, 0};
        d.kind = kind;
        d.topic = kind == DeliveryKind::retry ? DeliveryTopic::action_failed : DeliveryTopic::stage_failed;
        d.target = target;
        d.key = fmt::format("key-{}", position);
        d.pipeline = {"111122223333", "eu-west-1", "orders"};
        d.execution_id = "x1";
        d.stage = stage;
        d.attempt = attempt;
        d.planned = d.due = d.retry_from = at;
        deliveries.apply(d);
        return d.id;
    }
    void change(DeliveryChange c) { deliveries.apply(c, position += 10, at); }
    void start(DeliveryId id) { change({id, DeliveryChangeKind::started, false, 0, "", no_time}); }
    DeliveryChange fail(DeliveryId id, AttemptOutcome outcome = {Kind::failed, false, 500, "down", 0}, uint64_t random = 0) {
        start(id);
        const auto c = decide_outcome(*deliveries.find(id), outcome, config, at, random);
        change(c);
        return c;
    }
    std::vector<DeliveryId> ready(int room = 100) {
        return deliveries.ready(at, 1000, [=](const std::string&) { return room; });
    }
};

TEST(Delivery, ASuccessfulOneLeavesMemory) {
    Room r;
    const auto id = r.plan("devops");
    EXPECT_THAT(r.ready(), ElementsAre(id));
    EXPECT_EQ(r.deliveries.open(), 1u);
    r.start(id);
    EXPECT_THAT(r.ready(), IsEmpty());
    EXPECT_EQ(r.deliveries.in_flight("devops"), 1);
    const auto c = decide_outcome(*r.deliveries.find(id), {Kind::ok, false, 202, "taken", 0}, r.config, r.at, 7);
    EXPECT_EQ(c.kind, DeliveryChangeKind::delivered);
    r.change(c);
    EXPECT_EQ(r.deliveries.find(id), nullptr);
    EXPECT_EQ(r.deliveries.open(), 0u);
    EXPECT_EQ(r.deliveries.in_flight("devops"), 0);
    const auto changed = r.deliveries.take_dirty();
    ASSERT_THAT(changed, SizeIs(1));
    EXPECT_EQ(changed[0].status, DeliveryStatus::delivered);
    EXPECT_EQ(changed[0].last_code, 202);
    EXPECT_EQ(changed[0].attempts_total, 1);
    EXPECT_FALSE(changed[0].possibly_twice);
    EXPECT_THAT(r.deliveries.take_dirty(), IsEmpty());
}

TEST(Delivery, TheWaitIsUniformUpToAnExponentialBound) {
    Room r;
    r.config.backoff_first_ms = 1000;
    r.config.backoff_max_ms = 60'000;
    world::SimRandom random(3);
    for (int attempts = 1; attempts <= 100; ++attempts) {
        Delivery d;
        d.attempts = attempts;
        d.retry_from = now;
        const int64_t bound = attempts >= 7 ? 60'000 : 1000 << (attempts - 1);
        int64_t least = INT64_MAX, most = -1;
        for (int i = 0; i < 300; ++i) {
            const auto c = decide_outcome(d, {Kind::failed, false, 503, "", 0}, r.config, now, random.next());
            ASSERT_EQ(c.kind, DeliveryChangeKind::retry);
            least = std::min(least, c.next - now);
            most = std::max(most, c.next - now);
        }
        EXPECT_GE(least, 0);
        EXPECT_LE(most, bound);
        EXPECT_LT(least, bound / 10) << attempts;
        EXPECT_GT(most, bound * 9 / 10) << attempts;
    }
    Delivery first;
    first.attempts = 1;
    first.retry_from = now;
    EXPECT_EQ(decide_outcome(first, {}, r.config, now, 1000).next, now + 1000);
    EXPECT_EQ(decide_outcome(first, {}, r.config, now, 1001).next, now);
}

TEST(Delivery, ATargetsOwnWaitIsALowerBound) {
    Room r;
    Delivery d;
    d.attempts = 1;
    d.retry_from = now;
    EXPECT_EQ(decide_outcome(d, {Kind::failed, false, 429, "", 120'000}, r.config, now, 500).next, now + 120'000);
    EXPECT_EQ(decide_outcome(d, {Kind::failed, false, 429, "", 100}, r.config, now, 500).next, now + 500);
    // One that is longer than the delivery may live gives it up at once.
    EXPECT_EQ(decide_outcome(d, {Kind::failed, false, 429, "", r.config.max_age_ms + 1}, r.config, now, 500).kind, DeliveryChangeKind::dead);
}

TEST(Delivery, IsGivenUpAfterItsAttempts) {
    Room r;
    r.config.max_attempts = 3;
    const auto id = r.plan("devops");
    EXPECT_EQ(r.fail(id).kind, DeliveryChangeKind::retry);
    EXPECT_EQ(r.fail(id).kind, DeliveryChangeKind::retry);
    const auto c = r.fail(id);
    EXPECT_EQ(c.kind, DeliveryChangeKind::dead);
    EXPECT_THAT(c.text, testing::HasSubstr("3 attempts"));
    EXPECT_THAT(c.text, testing::HasSubstr("down"));
    EXPECT_EQ(r.deliveries.dead(), 1u);
    EXPECT_EQ(r.deliveries.open(), 0u);
    EXPECT_THAT(r.ready(), IsEmpty());
}

TEST(Delivery, IsGivenUpAtItsAge) {
    Room r;
    r.config.max_age_ms = 60'000;
    r.config.backoff_first_ms = r.config.backoff_max_ms = 1000;
    const auto id = r.plan("devops");
    r.at += 59'000;
    EXPECT_EQ(r.fail(id, {Kind::failed, false, 500, "down", 0}, 1000).kind, DeliveryChangeKind::retry);
    r.at += 500;
    const auto c = r.fail(id, {Kind::failed, false, 500, "down", 0}, 1000);
    EXPECT_EQ(c.kind, DeliveryChangeKind::dead);
    EXPECT_EQ(c.next, no_time);
    EXPECT_THAT(c.text, testing::HasSubstr("delivery.max_age"));
}

TEST(Delivery, ARefusalIsFinalAtOnce) {
    Room r;
    const auto id = r.plan("devops");
    EXPECT_EQ(r.fail(id, {Kind::refused, false, 410, "gone", 0}).kind, DeliveryChangeKind::dead);
    EXPECT_EQ(r.deliveries.find(id)->last_code, 410);
    EXPECT_EQ(r.deliveries.find(id)->finished, r.at);
}

TEST(Delivery, ADeadOneIsRedrivenWithFreshLimits) {
    Room r;
    r.config.max_attempts = 1;
    const auto id = r.plan("devops");
    const std::string key = r.deliveries.find(id)->key;
    EXPECT_EQ(decide_redrive(r.deliveries, id).error().kind, ErrorKind::conflict);
    r.fail(id);
    r.at += r.config.max_age_ms * 3;
    const auto c = decide_redrive(r.deliveries, id);
    ASSERT_TRUE(c.ok());
    r.change(*c);
    EXPECT_EQ(r.deliveries.dead(), 0u);
    EXPECT_THAT(r.ready(), ElementsAre(id));
    EXPECT_EQ(r.deliveries.find(id)->attempts, 0);
    EXPECT_EQ(r.deliveries.find(id)->key, key);
    EXPECT_EQ(r.deliveries.find(id)->finished, no_time);
    r.config.max_attempts = 2;
    EXPECT_EQ(r.fail(id).kind, DeliveryChangeKind::retry);
    EXPECT_EQ(r.deliveries.find(id)->attempts_total, 2);
    EXPECT_EQ(decide_redrive(r.deliveries, {1, 2}).error().kind, ErrorKind::not_found);
}

TEST(Delivery, AnUnknownOutcomeMakesItPossiblyTwice) {
    Room r;
    const auto unanswered = r.plan("devops"), died = r.plan("devops"), refused = r.plan("devops"), answered = r.plan("devops");
    r.fail(unanswered, {Kind::failed, true, 0, "no answer", 0});
    EXPECT_TRUE(r.deliveries.find(unanswered)->possibly_twice);
    r.start(died);
    r.change(decide_unknown(*r.deliveries.find(died), r.at));
    EXPECT_TRUE(r.deliveries.find(died)->possibly_twice);
    EXPECT_EQ(r.deliveries.find(died)->due, r.at);
    r.fail(refused, {Kind::refused, true, 0, "no answer", 0});
    EXPECT_FALSE(r.deliveries.find(refused)->possibly_twice);  // nobody makes another attempt, until somebody asks for one
    r.change(*decide_redrive(r.deliveries, refused));
    EXPECT_TRUE(r.deliveries.find(refused)->possibly_twice);
    r.fail(answered);
    EXPECT_FALSE(r.deliveries.find(answered)->possibly_twice);
}

TEST(Delivery, AHeldOneGoesWhenItsWaitIsOverOrWhenItIsReleased) {
    Room r;
    Delivery d;
    d.id = {50, 3};
    d.target = "devops";
    d.topic = DeliveryTopic::pipeline_failed;
    d.status = DeliveryStatus::held;
    d.pipeline = {"a", "r", "p"};
    d.execution_id = "x";
    d.due = d.planned = d.retry_from = now;
    d.hold_until = now + 5000;
    r.deliveries.apply(d);
    EXPECT_THAT(r.ready(), IsEmpty());
    EXPECT_EQ(r.deliveries.next_ready([](const std::string&) { return true; }), now + 5000);
    EXPECT_THAT(decide_release(r.deliveries, d.pipeline, "x", DeliveryTopic::stage_failed, "", now), IsEmpty());
    EXPECT_THAT(decide_release(r.deliveries, d.pipeline, "y", DeliveryTopic::pipeline_failed, "", now), IsEmpty());
    r.at += 100;
    auto released = decide_release(r.deliveries, d.pipeline, "x", DeliveryTopic::pipeline_failed, "", r.at);
    ASSERT_THAT(released, SizeIs(1));
    r.change(released[0]);
    EXPECT_THAT(r.ready(), ElementsAre(d.id));
    EXPECT_THAT(decide_release(r.deliveries, d.pipeline, "x", DeliveryTopic::pipeline_failed, "", r.at), IsEmpty());

    Room waits;
    waits.deliveries.apply(d);
    waits.at = now + 5000;
    EXPECT_THAT(waits.ready(), ElementsAre(d.id));
}

TEST(Delivery, ReleasingNeverBringsARetryForwardOfItsWait) {
    Room r;
    const auto id = r.plan("codepipeline", DeliveryKind::retry);
    Delivery d = *r.deliveries.find(id);
    d.id.index = 9;
    d.status = DeliveryStatus::held;
    d.due = now + 10'000;
    d.hold_until = now + 3'600'000;
    r.deliveries.apply(d);
    const auto released = decide_release(r.deliveries, d.pipeline, "x1", DeliveryTopic::action_failed, "Build", now + 50);
    ASSERT_THAT(released, SizeIs(1));
    EXPECT_EQ(released[0].next, now + 10'000);
}

TEST(Delivery, RetriesOfEarlierAttemptsAreCancelled) {
    Room r;
    const auto one = r.plan("codepipeline", DeliveryKind::retry, 1), two = r.plan("codepipeline", DeliveryKind::retry, 2),
               elsewhere = r.plan("codepipeline", DeliveryKind::retry, 1, "Deploy"), flying = r.plan("codepipeline", DeliveryKind::retry, 1);
    r.plan("devops");
    r.start(flying);
    auto ids = [&](const std::string& stage, int before) {
        std::vector<DeliveryId> out;
        for (const auto& c : decide_cancel_retries(r.deliveries, {"111122223333", "eu-west-1", "orders"}, "x1", stage, before, "why")) out.push_back(c.id);
        return out;
    };
    EXPECT_THAT(ids("Build", 2), ElementsAre(one));
    EXPECT_THAT(ids("Build", INT32_MAX), ElementsAre(one, two));
    EXPECT_THAT(ids("", 2), ElementsAre(one, elsewhere));
    r.change({one, DeliveryChangeKind::cancelled, false, 0, "why", no_time});
    EXPECT_EQ(r.deliveries.find(one), nullptr);
    EXPECT_THAT(ids("Build", 2), IsEmpty());
}

TEST(Delivery, ATargetGetsAsManyAtOnceAsItHasRoomFor) {
    Room r;
    for (int i = 0; i < 10; ++i) r.plan("devops");
    EXPECT_THAT(r.ready(3), SizeIs(3));
    EXPECT_THAT(r.ready(0), IsEmpty());
    EXPECT_THAT(r.ready(-1), IsEmpty());
    const auto all = r.ready();
    EXPECT_THAT(all, SizeIs(10));
    EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));  // the oldest first
}

TEST(Delivery, ADeadTargetDelaysNoOther) {
    Room r;
    std::vector<DeliveryId> dead;
    for (int i = 0; i < 20; ++i) dead.push_back(r.plan("a-dead-target"));
    for (auto id : dead) r.fail(id, {Kind::failed, true, 0, "no answer", 0}, 999);
    const auto id = r.plan("devops");
    EXPECT_THAT(r.ready(4), ElementsAre(id));
    // All of its room is taken, and all of its waiting ones are due: still the other is next.
    r.at += 10'000;
    auto room = [](const std::string& target) { return target == "devops" ? 4 : 0; };
    EXPECT_THAT(r.deliveries.ready(r.at, 1000, room), ElementsAre(id));
    EXPECT_EQ(r.deliveries.next_ready([&](const std::string& t) { return room(t) > 0; }), now);
}

TEST(Delivery, WhatATargetAnsweredIsKeptBoundedAndClean) {
    Room r;
    Delivery d;
    d.attempts = 1;
    d.retry_from = now;
    auto kept = [&](std::string text) { return decide_outcome(d, {Kind::failed, false, 500, std::move(text), 0}, r.config, now, 0).text; };
    EXPECT_EQ(kept("a\nb\x01"), "a b ");
    EXPECT_EQ(kept("가나"), "가나");
    EXPECT_EQ(kept("bad \xff\xc3 \xed\xa0\x80 end"), "bad ?? ??? end");
    for (size_t pad = 0; pad < 4; ++pad) {
        std::string text(pad, 'x');
        while (text.size() < 2000) text += "가";
        const std::string out = kept(text);
        EXPECT_LE(out.size(), limits::outcome_text_bytes);
        EXPECT_GT(out.size(), limits::outcome_text_bytes - 4);
        EXPECT_EQ((out.size() - pad) % 3, 0u);
        EXPECT_TRUE(text.starts_with(out));
    }
}

// Random walks: indexes agree with a plain scan, and a snapshot restores what was encoded.
TEST(Delivery, IndexesAgreeWithAPlainScan) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        SCOPED_TRACE(seed);
        world::SimRandom random(seed);
        Room r;
        r.config.max_attempts = 3;
        for (int i = 0; i < 300; ++i) {
            r.at += static_cast<int64_t>(random.below(2000));
            const std::string target = fmt::format("t{}", random.below(3));
            std::vector<DeliveryId> all;
            r.deliveries.each([&](const Delivery& d) { all.push_back(d.id); });
            if (all.empty() || random.chance(1, 4)) {
                r.plan(target, random.chance(1, 3) ? DeliveryKind::retry : DeliveryKind::notify);
                continue;
            }
            const Delivery& d = *r.deliveries.find(all[random.below(all.size())]);
            if (d.status == DeliveryStatus::dead) r.change(*decide_redrive(r.deliveries, d.id));
            else if (d.status == DeliveryStatus::in_flight)
                r.change(decide_outcome(d, {random.chance(1, 3) ? Kind::ok : Kind::failed, random.chance(1, 3), 0, "", 0}, r.config, r.at, random.next()));
            else if (Deliveries::ready_at(d) <= r.at) r.start(d.id);

            size_t open = 0, dead = 0, ready = 0;
            std::map<std::string, int> flying;
            r.deliveries.each([&](const Delivery& x) {
                ++(x.status == DeliveryStatus::dead ? dead : open);
                if (x.status == DeliveryStatus::in_flight) ++flying[x.target];
                ready += (x.status == DeliveryStatus::pending || x.status == DeliveryStatus::held) && Deliveries::ready_at(x) <= r.at;
            });
            ASSERT_EQ(r.deliveries.open(), open);
            ASSERT_EQ(r.deliveries.dead(), dead);
            ASSERT_EQ(r.ready().size(), ready);
            ASSERT_EQ(r.deliveries.of_execution({"111122223333", "eu-west-1", "orders"}, "x1").size(), open);
            for (const char* t : {"t0", "t1", "t2"}) ASSERT_EQ(r.deliveries.in_flight(t), flying[t]);
        }
        std::vector<std::string> pieces, again;
        r.deliveries.encode([&](std::string_view p) { pieces.emplace_back(p); });
        Deliveries restored;
        for (const auto& p : pieces) ASSERT_TRUE(restored.restore(p).ok());
        restored.encode([&](std::string_view p) { again.emplace_back(p); });
        EXPECT_EQ(again, pieces);
        EXPECT_EQ(restored.ready(r.at, 1000, [](auto&) { return 1000; }), r.ready(1000));
        EXPECT_FALSE(restored.restore(pieces.at(0)).ok());
    }
}

}  // namespace
}  // namespace waybill::delivery
