#include "server/demo.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "event/envelope.h"

namespace waybill::server {
namespace {

constexpr TimeMs now = 1'776'600'000'000;  // 2026-04-19T12:00:00Z

std::vector<std::string> play(const DemoOptions& options, size_t live) {
    DemoStream stream(options, now);
    std::vector<std::string> events = stream.history();
    for (size_t i = 0; i < live; ++i) events.push_back(stream.next().envelope);
    return events;
}

IncomingEvent parse(EnvelopeReader& reader, const std::string& envelope) {
    auto read = reader.read(envelope);
    if (auto* error = std::get_if<FieldError>(&read)) {
        ADD_FAILURE() << error->field << ": " << error->reason << "\n" << envelope;
        return {};
    }
    return std::get<IncomingEvent>(std::move(read));
}

TEST(DemoStream, PlaysTheSameFromTheSameSeed) {
    DemoOptions options;
    EXPECT_EQ(play(options, 500), play(options, 500));
    DemoOptions other = options;
    other.seed = 2;
    EXPECT_NE(play(options, 500), play(other, 500));
}

TEST(DemoStream, SendsOnlyWhatThePipelineEventShapesAllow) {
    EnvelopeReader reader;
    for (const std::string& envelope : play({}, 3000)) {
        IncomingEvent event = parse(reader, envelope);
        ASSERT_TRUE(event.pipeline) << envelope;
        const PipelineEvent& p = *event.pipeline;
        bool without_start = p.state == State::abandoned || (p.scope == Scope::stage && p.state == State::resumed);
        EXPECT_EQ(p.start == no_time, without_start) << envelope;
        EXPECT_GE(p.attempt, p.state == State::resumed ? 2 : 1);
        // Stages say 0.0 until the first retry, and nothing else ever does.
        bool says_zero = envelope.find("\"pipeline-execution-attempt\":0.0") != std::string::npos;
        EXPECT_EQ(says_zero, p.scope == Scope::stage && p.attempt == 1) << envelope;
    }
}

TEST(DemoStream, ShowsEverythingThatCanHappen) {
    EnvelopeReader reader;
    std::set<std::pair<Scope, State>> seen;
    std::map<std::string, int> ids;
    std::map<std::string, std::set<std::string>> meanings;
    int third_attempts = 0;
    for (const std::string& envelope : play({}, 8000)) {
        IncomingEvent event = parse(reader, envelope);
        seen.insert({event.pipeline->scope, event.pipeline->state});
        third_attempts += event.pipeline->attempt == 3;
        ++ids[event.id];
        meanings[envelope.substr(envelope.find("\"detail\":"))].insert(event.id);
    }
    for (State s : {State::started, State::succeeded, State::failed, State::resumed, State::stopping, State::stopped, State::superseded})
        EXPECT_TRUE(seen.contains({Scope::pipeline, s})) << event_word(s);
    for (State s : {State::started, State::succeeded, State::failed, State::resumed, State::stopping, State::stopped})
        EXPECT_TRUE(seen.contains({Scope::stage, s})) << event_word(s);
    for (State s : {State::started, State::succeeded, State::failed, State::abandoned}) EXPECT_TRUE(seen.contains({Scope::action, s})) << event_word(s);
    EXPECT_GT(third_attempts, 0);
    EXPECT_TRUE(std::any_of(ids.begin(), ids.end(), [](const auto& i) { return i.second > 1; })) << "the same id twice";
    EXPECT_TRUE(std::any_of(meanings.begin(), meanings.end(), [](const auto& m) { return m.second.size() > 1; })) << "the same said under two ids";
}

TEST(DemoStream, LetsEventsArriveOutOfOrderAndNeverBeforeTheyHappen) {
    DemoStream stream({}, now);
    EnvelopeReader reader;
    for (const std::string& envelope : stream.history()) EXPECT_LE(parse(reader, envelope).pipeline->time, now);
    TimeMs delivered = now, latest = 0;
    int out_of_order = 0, late = 0;
    for (int i = 0; i < 3000; ++i) {
        DemoEvent event = stream.next();
        EXPECT_GE(event.deliver, delivered);
        delivered = event.deliver;
        TimeMs time = parse(reader, event.envelope).pipeline->time;
        EXPECT_LE(time, event.deliver);
        out_of_order += time < latest;
        late += event.deliver - time > 5'000;
        latest = std::max(latest, time);
    }
    EXPECT_GT(out_of_order, 100);
    EXPECT_GT(late, 10);
}

TEST(DemoStream, KeepsTheRateThatWasAskedFor) {
    for (double rate : {3.0, 200.0}) {
        DemoOptions options;
        options.rate = rate;
        options.pipelines = 50;
        options.history_executions = 0;
        DemoStream stream(options, now);
        EXPECT_TRUE(stream.history().empty());
        // The first executions begin from nothing; from then on the mean counts.
        TimeMs from = 0, to = 0;
        for (int i = 0; i < 12'000; ++i) {
            to = stream.next().deliver;
            if (i == 2'000) from = to;
        }
        double got = 10'000.0 * 1000 / static_cast<double>(to - from);
        EXPECT_NEAR(got, rate, rate * 0.15);
    }
}

TEST(DemoStream, NamesManyPipelinesApart) {
    DemoOptions options;
    options.pipelines = 1000;
    options.history_executions = 4000;
    EnvelopeReader reader;
    std::set<std::string> names;
    for (const std::string& envelope : play(options, 0)) names.insert(parse(reader, envelope).pipeline->key.pipeline);
    EXPECT_GT(names.size(), 950u) << "some are not picked, but no two share a name";
    EXPECT_LE(names.size(), 1000u);
}

TEST(DemoSender, SendsABatchAgainUntilItIsTakenAndEndsAtOnce) {
    world::SimClock clock(now);
    std::mutex mutex;
    std::condition_variable called;
    std::vector<std::string> batches;
    int complaints = 0;
    DemoSender sender(
        {}, clock,
        [&](const std::string& ndjson, size_t) -> Result<void> {
            std::lock_guard lock(mutex);
            batches.push_back(ndjson);
            called.notify_all();
            if (batches.size() == 1) return unavailable("not yet");
            return {};
        },
        [&](const Error&) { ++complaints; });
    {
        std::unique_lock lock(mutex);
        called.wait(lock, [&] { return batches.size() >= 2; });
        EXPECT_EQ(batches[0], batches[1]);
    }
    sender.stop();  // it waits for a clock that stands still
    sender.join();
    EXPECT_TRUE(sender.done());
    EXPECT_EQ(complaints, 1);
}

}  // namespace
}  // namespace waybill::server
