// What the node reads back from its log (receipts, texts) and how it starts from what it finds (recovery), on logs and histories
// put together by hand: the cases that the simulation (src/sim/node_sim.h) cannot bring about, because it keeps its files
// together and its log whole.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <set>
#include <variant>

#include "base/json_writer.h"
#include "event/envelope.h"
#include "log/segment.h"
#include "node/receipt.h"
#include "node/recovery.h"
#include "node/texts.h"
#include "world/sim_disk.h"

namespace waybill::node {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr TimeMs day = 1'776'600'000'000;
const PipelineKey orders{"111122223333", "eu-west-1", "orders-deploy"};
constexpr const char* snapshots = "data/snapshots";

// An envelope of one event of orders-deploy; `detail` is added to it.
std::string envelope(const std::string& event_id, const std::string& execution, Scope scope, waybill::State state, int second,
                     const std::string& detail = "", int attempt = 1) {
    const char* words[] = {"Pipeline", "Stage", "Action"};
    std::string json = R"({"version":"0","id":")" + event_id + R"(","detail-type":"CodePipeline )" +
                       words[static_cast<int>(scope)] +
                       R"( Execution State Change","source":"aws.codepipeline","account":"111122223333","time":")" +
                       format_time_s(day + second * 1000) +
                       R"(","region":"eu-west-1","resources":[],"detail":{"pipeline":"orders-deploy","execution-id":")" +
                       execution + R"(","version":3,"state":")" + std::string(event_word(state)) +
                       R"(","pipeline-execution-attempt":)" + std::to_string(attempt) + ".0";
    if (scope != Scope::pipeline && detail.find("\"stage\"") == std::string::npos) json += R"(,"stage":"Build")";
    if (scope == Scope::action && detail.find("\"action\"") == std::string::npos)
        json +=
            R"(,"action":"Compile","action-execution-id":"a-1","type":{"category":"Build","owner":"AWS","provider":"CodeBuild","version":"1"},"region":"eu-west-1")";
    return json + (detail.empty() ? "" : "," + detail) + "}}";
}

// A log in which groups are written as the node writes them, and the state that they amount to.
struct Room {
    world::SimDisk disk{1};
    std::unique_ptr<log::Log> log;
    std::unique_ptr<history::History> history;
    State state;
    TimeMs now = day + 3'600'000;
    std::string directory;
    EnvelopeReader reader;
    RecentTexts recent;

    explicit Room(uint64_t retention_bytes = 0) {
        log::Options options;
        options.segment_bytes = 256 << 10;
        options.reserve_bytes = 16 << 10;
        options.compress = false;
        options.retention_bytes = retention_bytes;
        options.log_id = 42;
        auto opened = log::Log::open(disk, "data/log", options);
        EXPECT_TRUE(opened.ok());
        log = std::move(*opened);
        EXPECT_TRUE(disk.make_directories(snapshots).ok());
        directory = (std::filesystem::temp_directory_path() / "waybill-node-XXXXXX").string();
        EXPECT_TRUE(::mkdtemp(directory.data()));
        open_history();
    }
    ~Room() {
        history.reset();
        std::filesystem::remove_all(directory);
    }
    void open_history() {
        history.reset();
        auto opened = history::History::open(directory + "/history.db", fold_version);
        EXPECT_TRUE(opened.ok() && opened->history);
        history = std::move(opened->history);
    }
    void lose_history() {
        history.reset();
        EXPECT_TRUE(history::History::destroy(directory + "/history.db").ok());
        open_history();
    }

    // One group of what `fill` writes into it.
    Position group(const std::function<void(GroupWriter&)>& fill) {
        std::string payload;
        GroupWriter out(payload);
        fill(out);
        now += 1000;
        const Position at = log->append(now, payload);
        EXPECT_TRUE(log->sync().ok());
        return at;
    }
    Position applied(const std::function<void(GroupWriter&)>& fill) {
        std::string payload;
        GroupWriter out(payload);
        fill(out);
        const Position at = group(fill);
        EXPECT_TRUE(state.apply_group(payload, at, now).ok());
        return at;
    }
    Position take(const std::string& json) {
        const auto read = reader.read(json);
        EXPECT_TRUE(std::holds_alternative<IncomingEvent>(read))
            << std::get<FieldError>(read).field << std::get<FieldError>(read).reason;
        const auto& event = std::get<IncomingEvent>(read);
        return applied([&](GroupWriter& out) {
            out.add(EventRecord{event.identity, state.tracking.known_ids.contains(event.identity), event.envelope});
            if (event.pipeline) out.add(TransitionRecord{state.tracking.decide(*event.pipeline), *event.pipeline});
        });
    }
    void retire(const std::string& execution) {
        applied([&](GroupWriter& out) { out.add(RetiredRecord{orders, execution, false}); });
    }
    // Moves the log on into the next segments, and lets retention delete what it may.
    void pad(size_t segments, Position keep_from = UINT64_MAX) {
        const std::string text(200 << 10, 'x');
        for (size_t i = 0; i < segments; ++i)
            applied([&](GroupWriter& out) { out.add(EventRecord{hash128(std::to_string(log->tail())), false, text}); });
        for (;;) {
            auto more = log->maintain(now, keep_from);
            ASSERT_TRUE(more.ok());
            if (!*more) break;
        }
    }
    ExecutionView view(const std::string& execution = "x-1") const {
        return state.tracking.view(*state.tracking.find(orders, execution));
    }
    void write_history() { EXPECT_TRUE(write_all_changes(*log, *history, state, log->durable()).ok()); }
    Result<Recovered> recovered() { return recover(disk, snapshots, *log, *history); }
    bool fold(Position up_to) {
        auto done = fold_snapshot(disk, snapshots, *log, up_to);
        EXPECT_TRUE(done.ok());
        return done.ok() && *done;
    }
};

std::multiset<std::string> bytes(const State& state) {
    std::multiset<std::string> pieces;
    state.encode([&](std::string_view piece) { pieces.emplace(piece); });
    return pieces;
}

// -- receipts --

// Within a second an execution's events are put in the order in which they must have happened, and each keeps the place of its
// arrival.
TEST(Receipt, EventsAreShownInTrueOrderWithTheirPlaceOfArrival) {
    Room r;
    r.take(envelope("e-end", "x-1", Scope::pipeline, waybill::State::succeeded, 10));
    r.take(envelope("e-stage-end", "x-1", Scope::stage, waybill::State::succeeded, 10,
                    R"("start-time":"2026-04-19T12:00:10.400Z")"));
    r.take(envelope("e-action-end", "x-1", Scope::action, waybill::State::succeeded, 10));
    r.take(envelope("e-action", "x-1", Scope::action, waybill::State::started, 10));
    r.take(envelope("e-stage", "x-1", Scope::stage, waybill::State::started, 10, R"("start-time":"2026-04-19T12:00:10.400Z")"));
    r.take(envelope("e-early-stage-end", "x-1", Scope::stage, waybill::State::succeeded, 10,
                    R"("stage":"Source","start-time":"2026-04-19T12:00:10.100Z")"));
    r.take(envelope("e-start", "x-1", Scope::pipeline, waybill::State::started, 10));
    r.take(envelope("e-before", "x-1", Scope::stage, waybill::State::started, 9,
                    R"("stage":"Source","start-time":"2026-04-19T12:00:10.100Z")"));
    r.take(envelope("e-start", "x-1", Scope::pipeline, waybill::State::started, 10));
    r.take(envelope("e-elsewhere", "x-2", Scope::pipeline, waybill::State::started, 10));

    const auto lines = execution_events(*r.log, r.view());
    ASSERT_TRUE(lines.ok());
    ASSERT_THAT(*lines, SizeIs(9));
    std::vector<std::string> by_order(10);
    for (size_t i = 0; i < lines->size(); ++i) {
        EXPECT_EQ((*lines)[i].arrival, i + 1);
        by_order.at((*lines)[i].order) = (*lines)[i].event_id;
    }
    EXPECT_THAT(by_order, ElementsAre("", "e-before", "e-start", "e-start", "e-early-stage-end", "e-stage", "e-action",
                                      "e-action-end", "e-stage-end", "e-end"));
    EXPECT_TRUE(lines->back().known_id);
    EXPECT_EQ(lines->back().transition.outcome, Outcome::duplicate);
    EXPECT_FALSE(lines->front().known_id);
    EXPECT_EQ(lines->at(4).transition.outcome, Outcome::late);
}

TEST(Receipt, TellsARepeatedEventFromARepeatedMeaning) {
    Room r;
    r.take(envelope("e-1", "x-1", Scope::pipeline, waybill::State::started, 1));
    r.take(envelope("e-1", "x-1", Scope::pipeline, waybill::State::started, 1));
    r.take(envelope("e-2", "x-1", Scope::pipeline, waybill::State::started, 1));
    const auto lines = execution_events(*r.log, r.view());
    ASSERT_TRUE(lines.ok());
    std::vector<std::string> texts;
    for (const auto& line : *lines) {
        std::string json;
        JsonWriter out(json);
        write_json(out, line);
        texts.push_back(json);
    }
    ASSERT_THAT(texts, SizeIs(3));
    EXPECT_THAT(texts[0], testing::AllOf(HasSubstr(R"("outcome":"accepted")"), HasSubstr("The state moved on.")));
    EXPECT_THAT(texts[1],
                testing::AllOf(HasSubstr(R"("outcome":"duplicate")"), HasSubstr("This very event was received before")));
    EXPECT_THAT(texts[2], testing::AllOf(HasSubstr(R"("outcome":"duplicate")"), HasSubstr("Another event said the same before")));
}

TEST(Receipt, OfADeliveryIsWhatBecameOfThatOne) {
    Room r;
    r.take(envelope("e-1", "x-1", Scope::pipeline, waybill::State::failed, 1));
    std::vector<DeliveryId> ids;
    const auto plan = [&](GroupWriter& out) {
        ids = {{r.log->tail(), 0}, {r.log->tail(), 1}};
        for (const auto& id : ids) {
            Delivery d;
            d.id = id, d.pipeline = orders, d.execution_id = "x-1", d.key = id.str(), d.target = "devops";
            out.add(d);
        }
    };
    r.applied(plan);
    auto change = [&](size_t of, DeliveryChangeKind kind, bool maybe = false, std::string text = {}) {
        r.applied([&](GroupWriter& out) { out.add(DeliveryChange{ids[of], kind, maybe, 0, text, no_time}); });
    };
    r.applied([&](GroupWriter& out) {  // attempts that begin together share a group
        for (const auto& id : ids) out.add(DeliveryChange{id, DeliveryChangeKind::started, false, 0, "", no_time});
    });
    change(0, DeliveryChangeKind::retry, true, "no answer");
    change(1, DeliveryChangeKind::retry, false, "refused");
    change(0, DeliveryChangeKind::started);
    ASSERT_TRUE(r.state.deliveries.find(ids[0]));
    Delivery d = *r.state.deliveries.find(ids[0]);
    d.groups.push_back(r.log->tail());  // with its end it leaves the live state
    change(0, DeliveryChangeKind::delivered);
    const auto lines = delivery_history(*r.log, d);
    ASSERT_TRUE(lines.ok());
    std::vector<std::string> outcomes;
    for (const auto& line : *lines) {
        std::string json;
        JsonWriter out(json);
        write_json(out, line);
        const size_t at = json.find(R"("outcome":")") + 11;
        outcomes.push_back(json.substr(at, json.find('"', at) - at));
    }
    EXPECT_THAT(outcomes, ElementsAre("started", "unknown", "started", "ok"));
}

TEST(Receipt, ADecisionWithoutAnEventSaysSoAndOneWithItNamesIt) {
    Room r;
    r.take(envelope("e-1", "x-1", Scope::pipeline, waybill::State::failed, 1));
    r.take(envelope("e-2", "x-1", Scope::pipeline, waybill::State::started, 1));
    auto v = r.view();
    Decision decision;
    decision.pipeline = orders, decision.execution_id = "x-1", decision.note = "rule 3", decision.settings = 0xabc;
    v.groups.push_back(r.group([&](GroupWriter& out) { out.add(decision); }));
    v.groups.push_back(r.group([&](GroupWriter& out) {
        out.add(EventRecord{{1, 1}, false, R"({"id":"e-3"})"});
        out.add(TransitionRecord{Outcome::accepted, {}});
        out.add(decision);
        out.add(decision);
    }));
    const auto lines = execution_decisions(*r.log, v);
    ASSERT_TRUE(lines.ok());
    ASSERT_THAT(*lines, SizeIs(3));
    EXPECT_FALSE((*lines)[0].event);
    EXPECT_EQ((*lines)[1].event->event_id, "e-3");
    EXPECT_EQ((*lines)[2].event->position, v.groups.back());
    std::string json;
    JsonWriter out(json);
    write_json(out, (*lines)[0]);
    EXPECT_THAT(json, HasSubstr(R"("event":null,"outcome":null)"));
    EXPECT_THAT(json, HasSubstr(R"("policyVersion":"0000000000000abc")"));
    EXPECT_THAT(json, HasSubstr("(rule 3)"));
}

TEST(Receipt, WhatRetentionHasDeletedIsLeftOutAndDamageIsNot) {
    Room r(1 << 20);
    r.take(envelope("e-1", "x-1", Scope::pipeline, waybill::State::started, 1));
    r.pad(8);
    r.take(envelope("e-2", "x-1", Scope::pipeline, waybill::State::failed, 2));
    ASSERT_GT(r.log->begin(), r.view().groups.front());
    const auto lines = execution_events(*r.log, r.view());
    ASSERT_TRUE(lines.ok());
    ASSERT_THAT(*lines, SizeIs(1));
    EXPECT_EQ(lines->front().event_id, "e-2");
    EXPECT_EQ(lines->front().arrival, 1u);

    auto v = r.view();
    v.groups = {r.group([](GroupWriter& out) { out.add(RetiredRecord{orders, "x-1", false}); })};
    EXPECT_THAT(*execution_events(*r.log, v), IsEmpty());          // a group without an event is not a line of its own
    const Position bad = r.log->append(r.now, "\x02\x01\x03xyz");  // a transition of three bytes
    ASSERT_TRUE(r.log->sync().ok());
    v.groups = {bad};
    const auto refused = execution_decisions(*r.log, v);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().kind, ErrorKind::corrupt);
    EXPECT_THAT(refused.error().message, HasSubstr(std::to_string(bad)));
}

// -- texts --

std::string source_end(const std::string& event_id, const std::string& action, int second, const std::string& revision,
                       const std::string& summary, const std::string& url = "") {
    return envelope(event_id, "x-1", Scope::action, waybill::State::succeeded, second,
                    R"("stage":"Source","action":")" + action + R"(","action-execution-id":")" + action +
                        R"(-id","type":{"category":"Source","owner":"AWS","provider":"CodeCommit","version":"1"},)" +
                        R"("region":"eu-west-1","execution-result":{"external-execution-id":")" + revision +
                        R"(","external-execution-summary":")" + summary +
                        (url.empty() ? "" : R"(","external-execution-url":")" + url) + R"("})");
}

TEST(LoadedTexts, ComeFromTheEventsThatTheMergeChose) {
    Room r;
    r.take(envelope(
        "e-1", "x-1", Scope::pipeline, waybill::State::started, 1,
        R"("execution-trigger":{"trigger-type":"Webhook","trigger-detail":"hook","commit-id":"c0ffee","commit-message":"Brew","branch-name":"main","author-display-name":"Ada"})"));
    r.take(envelope("e-2", "x-1", Scope::pipeline, waybill::State::stopping, 2, R"("stop-execution-comments":"enough")"));
    r.take(envelope(
        "e-3", "x-1", Scope::action, waybill::State::failed, 3,
        R"("execution-result":{"external-execution-id":"build-7","external-execution-url":"https://example.com/7","external-execution-summary":"exit 42","error-code":"JobFailed"})"));
    r.take(source_end("e-4", "Checkout", 2, "c0ffee", "Brew", "https://example.com/c0ffee"));
    auto v = r.view();
    ASSERT_TRUE(load_texts(*r.log, r.recent, v).ok());
    EXPECT_EQ(v.trigger_type + "/" + v.trigger_detail + "/" + v.branch + "/" + v.author_name, "Webhook/hook/main/Ada");
    EXPECT_EQ(v.commit_id + "/" + v.commit_message, "c0ffee/Brew");
    EXPECT_EQ(v.stop_reason, "enough");
    EXPECT_EQ(v.commit_url, "https://example.com/c0ffee");  // of the source action that brought this commit
    const auto failed =
        std::find_if(v.actions.begin(), v.actions.end(), [](const auto& a) { return a.state == waybill::State::failed; });
    EXPECT_EQ(failed->external_id + "/" + failed->external_url + "/" + failed->summary + "/" + failed->error_code,
              "build-7/https://example.com/7/exit 42/JobFailed");
}

TEST(LoadedTexts, WithoutAGitTriggerTheFirstSourceThatSucceededSaysTheCommit) {
    Room r;
    r.take(envelope("e-1", "x-1", Scope::pipeline, waybill::State::started, 1,
                    R"("execution-trigger":{"trigger-type":"StartPipelineExecution"})"));
    r.take(source_end("e-3", "Second", 5, "beef02", "later"));
    r.take(source_end("e-2", "First", 3, "beef01", R"({\"ProviderType\":\"GitHub\",\"CommitMessage\":\"Earlier\"})",
                      "https://example.com/beef01"));
    r.take(envelope("e-4", "x-1", Scope::action, waybill::State::succeeded, 2,
                    R"("execution-result":{"external-execution-id":"build-1","external-execution-summary":"not a source"})"));
    auto v = r.view();
    ASSERT_TRUE(load_texts(*r.log, r.recent, v).ok());
    EXPECT_EQ(v.commit_id + "/" + v.commit_message + "/" + v.commit_url, "beef01/Earlier/https://example.com/beef01");
    EXPECT_EQ(v.trigger_type, "StartPipelineExecution");
}

TEST(LoadedTexts, OfEventsThatRetentionDeletedAreEmpty) {
    Room r(1 << 20);
    const Position first = r.take(envelope("e-1", "x-1", Scope::pipeline, waybill::State::started, 1,
                                           R"("execution-trigger":{"trigger-type":"Webhook","commit-id":"c0ffee"})"));
    EXPECT_THAT(*read_envelope(*r.log, first), HasSubstr("c0ffee"));
    r.pad(8);
    const Position later =
        r.take(envelope("e-2", "x-1", Scope::pipeline, waybill::State::stopping, 2, R"("stop-execution-comments":"enough")"));
    ASSERT_GT(r.log->begin(), first);
    auto v = r.view();
    ASSERT_TRUE(load_texts(*r.log, r.recent, v).ok());
    EXPECT_EQ(v.trigger_type + v.commit_id, "");
    EXPECT_EQ(v.stop_reason, "enough");
    EXPECT_EQ(read_envelope(*r.log, first).error().kind, ErrorKind::not_found);
    const Position none = r.group([](GroupWriter& out) { out.add(RetiredRecord{orders, "x-1", false}); });
    EXPECT_EQ(read_envelope(*r.log, none).error().kind, ErrorKind::not_found);
    EXPECT_EQ(read_envelope(*r.log, later + 1).error().kind, ErrorKind::not_found);
}

// What has just come in is not read from the log; it says the same, and the oldest are forgotten first.
TEST(LoadedTexts, OfTheNewestEventsComeFromMemory) {
    Room r;
    r.take(
        envelope("e-1", "x-1", Scope::pipeline, waybill::State::started, 1, R"("execution-trigger":{"trigger-type":"Webhook"})"));
    auto v = r.view();
    std::string encoded;
    RecentTexts kept;
    EXPECT_FALSE(kept.find(v.trigger.position, encoded));
    const std::string large(RecentTexts::most_bytes / 4, 'x');
    std::vector<std::pair<Position, std::string>> batch;
    for (Position p = 1; p <= 3; ++p) batch.emplace_back(p * 100, std::to_string(p) + large);
    kept.remember(batch);
    ASSERT_TRUE(kept.find(200, encoded));
    EXPECT_EQ(encoded, "2" + large);
    EXPECT_FALSE(kept.find(150, encoded));
    EXPECT_FALSE(kept.find(400, encoded));
    batch.clear();
    for (Position p = 4; p <= 6; ++p) batch.emplace_back(p * 100, std::to_string(p) + large);
    kept.remember(batch);
    EXPECT_FALSE(kept.find(100, encoded));
    EXPECT_FALSE(kept.find(200, encoded));
    EXPECT_TRUE(kept.find(600, encoded));
}

// -- a group's records --

TEST(Groups, ARecordThatCannotBeReadIsCorruptAtItsPosition) {
    std::string good;
    GroupWriter out(good);
    out.add(EventRecord{{1, 2}, false, "{}"});
    std::string retired;
    GroupWriter(retired).add(RetiredRecord{orders, "nobody", false});
    std::string change;
    GroupWriter(change).add(DeliveryChange{{1, 2}, DeliveryChangeKind::delivered, false, 0, "", no_time});
    for (const std::string& bad :
         {std::string("\x02\x01\x03xyz"), std::string("\x09\x01\x00", 3), std::string("\x01\x02\x00", 3),
          std::string("\x01\x01\x40", 3), std::string("\x01"), retired /* of an execution that is not there */,
          change /* of a delivery that was not planned */}) {
        State state;
        const auto applied = state.apply_group(good + bad, 4711, day);
        ASSERT_FALSE(applied.ok()) << testing::PrintToString(bad);
        EXPECT_EQ(applied.error().kind, ErrorKind::corrupt);
        EXPECT_THAT(applied.error().message, HasSubstr("4711"));
    }
    EXPECT_TRUE(State().apply_group(good, 4711, day).ok());
    EXPECT_TRUE(State().apply_group("", 4711, day).ok());
}

// -- recovery --

TEST(Recovery, OfNothingIsNothing) {
    Room r;
    const auto found = r.recovered();
    ASSERT_TRUE(found.ok()) << found.error().message;
    EXPECT_EQ(found->groups, 0u);
    EXPECT_FALSE(found->refilled);
    EXPECT_THAT(found->warnings, IsEmpty());
    EXPECT_EQ(bytes(*found->state), bytes(State()));
    EXPECT_FALSE(r.fold(r.log->durable()));
}

// Fills a log in which one execution has been retired and one has not.
void some_history(Room& r) {
    r.take(envelope("e-1", "x-1", Scope::pipeline, waybill::State::started, 1,
                    R"("execution-trigger":{"trigger-type":"Webhook","commit-id":"c0ffee"})"));
    r.take(envelope("e-2", "x-1", Scope::pipeline, waybill::State::failed, 5));
    r.take(envelope("e-3", "x-2", Scope::pipeline, waybill::State::started, 10));
    r.retire("x-1");
    r.take(envelope("e-4", "x-2", Scope::stage, waybill::State::started, 11));
}

TEST(Recovery, ALostHistoryIsFilledAlsoWithWhatWasRetired) {
    Room r;
    some_history(r);
    r.lose_history();
    const auto found = r.recovered();
    ASSERT_TRUE(found.ok()) << found.error().message;
    EXPECT_TRUE(found->refilled);
    EXPECT_EQ(found->groups, 5u);
    EXPECT_EQ(bytes(*found->state), bytes(r.state));
    // The retired one was written on its way out, the other is still to be written.
    const auto retired = r.history->recall(orders, "x-1");
    ASSERT_TRUE(retired.ok() && *retired);
    EXPECT_EQ((*retired)->execution.state, waybill::State::failed);
    EXPECT_EQ((*retired)->execution.commit_id, "c0ffee");
    EXPECT_EQ(r.history->position(), 0u);  // not before all of it is there: a crash in between fills it again
    ASSERT_TRUE(write_all_changes(*r.log, *r.history, *found->state, r.log->durable()).ok());
    EXPECT_EQ(r.history->position(), r.log->durable());
    EXPECT_EQ((*r.history->recall(orders, "x-2"))->execution.stages.size(), 1u);
    EXPECT_EQ(found->state->tracking.dirty(), 0u);
}

TEST(Recovery, OnlyWhatTheHistoryLacksIsLeftToBeWritten) {
    Room r;
    r.take(envelope("e-1", "x-1", Scope::pipeline, waybill::State::started, 1));
    r.take(envelope("e-2", "x-2", Scope::pipeline, waybill::State::started, 10));
    r.write_history();
    const Position known = r.history->position();
    r.take(envelope("e-3", "x-1", Scope::pipeline, waybill::State::failed, 5));
    const auto found = r.recovered();
    ASSERT_TRUE(found.ok());
    EXPECT_FALSE(found->refilled);
    EXPECT_EQ(r.history->position(), known);
    const auto batch = take_changes(*found->state, 100, r.log->durable());
    ASSERT_THAT(batch.executions, SizeIs(1));
    EXPECT_EQ(batch.executions[0].execution.execution_id, "x-1");
    EXPECT_EQ(batch.position, r.log->durable());
    EXPECT_EQ(batch.time, r.now);
}

// One that retires behind the history's position would otherwise be lost to it: nobody could recall it.
TEST(Recovery, AnExecutionThatRetiresOnTheWayIsWrittenOnlyWhereTheHistoryLacksIt) {
    Room r;
    r.take(envelope("e-1", "x-1", Scope::pipeline, waybill::State::failed, 1));
    r.take(envelope("e-2", "x-2", Scope::pipeline, waybill::State::failed, 2));
    r.take(envelope("e-3", "x-3", Scope::pipeline, waybill::State::started, 10));
    r.write_history();
    r.take(envelope("e-4", "x-2", Scope::pipeline, waybill::State::resumed, 5, "", 2));
    r.take(envelope("e-5", "x-2", Scope::pipeline, waybill::State::succeeded, 6, "", 2));
    r.retire("x-1");
    r.retire("x-2");
    ASSERT_TRUE(*r.history->recall(orders, "x-2"));
    EXPECT_EQ((*r.history->recall(orders, "x-2"))->execution.state, waybill::State::failed);
    const auto found = r.recovered();
    ASSERT_TRUE(found.ok());
    EXPECT_EQ((*r.history->recall(orders, "x-2"))->execution.state, waybill::State::succeeded);
    EXPECT_EQ((*r.history->recall(orders, "x-1"))->execution.state, waybill::State::failed);
    EXPECT_EQ(bytes(*found->state), bytes(r.state));
}

TEST(Recovery, BeginsAtTheNewestSnapshotThatTheHistoryHasReached) {
    Room r;
    some_history(r);
    r.write_history();
    const Position middle = r.log->durable();
    ASSERT_TRUE(r.fold(middle));
    EXPECT_FALSE(r.fold(middle));  // there is one already
    r.take(envelope("e-5", "x-2", Scope::stage, waybill::State::failed, 12));
    auto found = r.recovered();
    ASSERT_TRUE(found.ok());
    EXPECT_EQ(found->snapshot, middle);
    EXPECT_EQ(found->groups, 1u);
    EXPECT_EQ(bytes(*found->state), bytes(r.state));
    EXPECT_TRUE(found->state->retired.maybe(execution_hash(orders, "x-1")));

    // A second snapshot is folded on top of the first, and says the same.
    ASSERT_TRUE(r.fold(r.log->durable()));
    found = r.recovered();
    ASSERT_TRUE(found.ok());
    // But the history has not come so far: from the first group, and everything of it.
    EXPECT_EQ(found->snapshot, r.log->begin());
    EXPECT_EQ(found->groups, 6u);
    EXPECT_EQ(bytes(*found->state), bytes(r.state));
    EXPECT_FALSE(found->refilled);
    r.write_history();
    found = r.recovered();
    ASSERT_TRUE(found.ok());
    EXPECT_EQ(found->groups, 0u);
    EXPECT_EQ(bytes(*found->state), bytes(r.state));
}

TEST(Recovery, ADamagedSnapshotIsPassedOverWithAWarning) {
    Room r;
    some_history(r);
    const Position first = r.log->durable();
    ASSERT_TRUE(r.fold(first));
    const auto files = *r.disk.list(snapshots);
    r.take(envelope("e-5", "x-2", Scope::stage, waybill::State::failed, 12));
    ASSERT_TRUE(r.fold(r.log->durable()));
    r.write_history();
    for (const auto& name : *r.disk.list(snapshots)) {
        if (std::find(files.begin(), files.end(), name) != files.end()) continue;
        auto file = r.disk.open(std::string(snapshots) + "/" + name, world::OpenMode::read_write);
        ASSERT_TRUE(file.ok());
        const uint64_t middle = *(*file)->size() / 2;
        char byte = 0;
        ASSERT_TRUE((*file)->read_at(middle, &byte, 1).ok());
        byte ^= 0x20;
        ASSERT_TRUE((*file)->write_at(middle, std::string_view(&byte, 1)).ok());
    }
    const auto found = r.recovered();
    ASSERT_TRUE(found.ok());
    EXPECT_THAT(found->warnings, SizeIs(1));
    EXPECT_EQ(found->snapshot, first);
    EXPECT_EQ(found->groups, 1u);
    EXPECT_EQ(bytes(*found->state), bytes(r.state));
}

// The bytes are whole (their checksums hold), but no state: a fold_version that was not raised when it should have been.
TEST(Recovery, ASnapshotWhoseContentCannotBeReadIsCorrupt) {
    for (const std::string& content : {std::string("\x05\0\0\0\x01", 5), std::string("\x01\0", 2),
                                       std::string("\x02\0\0\0\x63z", 6), std::string("\0\0\0\0", 4)}) {
        Room r;
        some_history(r);
        r.write_history();
        ASSERT_TRUE(log::write_snapshot(r.disk, snapshots, r.log->durable(), fold_version, [&](log::SnapshotSink& sink) {
                        return sink.write(content);
                    }).ok());
        const auto found = r.recovered();
        ASSERT_FALSE(found.ok()) << testing::PrintToString(content);
        EXPECT_EQ(found.error().kind, ErrorKind::corrupt);
    }
}

TEST(Recovery, ASnapshotOfAnotherFoldIsNotLookedAt) {
    Room r;
    some_history(r);
    r.write_history();
    ASSERT_TRUE(log::write_snapshot(r.disk, snapshots, r.log->durable(), fold_version + 1, [](log::SnapshotSink& sink) {
                    return sink.write("who knows");
                }).ok());
    const auto found = r.recovered();
    ASSERT_TRUE(found.ok());
    EXPECT_EQ(found->snapshot, r.log->begin());
    EXPECT_EQ(bytes(*found->state), bytes(r.state));
}

TEST(Recovery, WhatRetentionHasDeletedIsAskedOfTheSnapshotAndOtherwiseRefused) {
    Room r(1 << 20);
    r.pad(3);
    some_history(r);
    r.write_history();
    ASSERT_TRUE(r.fold(r.log->durable()));
    const Position snapshot = r.log->durable();
    r.pad(8, snapshot);
    ASSERT_GT(r.log->begin(), log::segment_header_bytes);
    ASSERT_LE(r.log->begin(), snapshot);
    r.write_history();
    auto found = r.recovered();
    ASSERT_TRUE(found.ok()) << found.error().message;
    EXPECT_EQ(found->groups, 8u);
    EXPECT_EQ(bytes(*found->state), bytes(r.state));

    r.lose_history();
    found = r.recovered();
    ASSERT_FALSE(found.ok());
    EXPECT_EQ(found.error().kind, ErrorKind::conflict);
    EXPECT_THAT(found.error().message, HasSubstr("retention has deleted the log before " + std::to_string(r.log->begin())));
    EXPECT_THAT(found.error().message, HasSubstr("restore history.db from a backup"));

    for (const auto& name : *r.disk.list(snapshots)) ASSERT_TRUE(r.disk.remove(std::string(snapshots) + "/" + name).ok());
    found = r.recovered();
    ASSERT_FALSE(found.ok());
    EXPECT_EQ(found.error().kind, ErrorKind::conflict);
    EXPECT_THAT(found.error().message, HasSubstr("restore the snapshots directory from a backup"));
}

// Maintenance never deletes what no snapshot holds; a person's hand may. What lies between must not be passed over.
TEST(Recovery, ALogThatBeginsBehindTheSnapshotIsRefused) {
    Room r(1 << 20);
    some_history(r);
    r.write_history();
    const Position snapshot = r.log->durable();
    ASSERT_TRUE(r.fold(snapshot));
    r.take(envelope("e-5", "x-2", Scope::stage, waybill::State::failed, 12));
    r.pad(8);
    ASSERT_GT(r.log->begin(), snapshot);
    r.write_history();
    EXPECT_FALSE(r.recovered().ok());
}

TEST(Recovery, AGroupThatCannotBeReadStopsItAndItsPositionIsNamed) {
    Room r;
    some_history(r);
    const Position bad = r.log->append(r.now, "\x02\x01\x03xyz");
    ASSERT_TRUE(r.log->sync().ok());
    r.take(envelope("e-9", "x-9", Scope::pipeline, waybill::State::started, 20));
    const auto found = r.recovered();
    ASSERT_FALSE(found.ok());
    EXPECT_EQ(found.error().kind, ErrorKind::corrupt);
    EXPECT_THAT(found.error().message, HasSubstr(std::to_string(bad)));
    const auto folded = fold_snapshot(r.disk, snapshots, *r.log, r.log->durable());
    ASSERT_FALSE(folded.ok());
    EXPECT_EQ(folded.error().kind, ErrorKind::corrupt);
    EXPECT_THAT(*r.disk.list(snapshots), IsEmpty());
}

TEST(Recovery, ProgressGrowsToTheEnd) {
    Room r;
    for (int i = 0; i < 3; ++i) r.pad(9);
    std::vector<std::pair<Position, Position>> told;
    ASSERT_TRUE(
        recover(r.disk, snapshots, *r.log, *r.history, [&](Position done, Position of) { told.emplace_back(done, of); }).ok());
    ASSERT_GE(told.size(), 2u);
    for (size_t i = 1; i < told.size(); ++i) EXPECT_LT(told[i - 1].first, told[i].first + (i + 1 == told.size()));
    EXPECT_EQ(told.back(), std::pair(r.log->durable(), r.log->durable()));
    EXPECT_EQ(told.front().second, r.log->durable());
}

}  // namespace
}  // namespace waybill::node
