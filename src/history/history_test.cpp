#include "history/history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <sstream>
#include <thread>

#include "history/schema.h"

namespace waybill::history {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <class T>
std::string encoded(const T& value) {
    std::string out;
    ByteWriter writer(out);
    encode(writer, value);
    return out;
}

template <class T>
std::string json(const T& value) {
    std::string out;
    JsonWriter writer(out);
    write_json(writer, value);
    return out;
}

PipelineKey key(std::string name = "checkout", std::string account = "111122223333", std::string region = "eu-west-1") {
    return {std::move(account), std::move(region), std::move(name)};
}

constexpr TimeMs day0 = 1'700'000'000'000;

ExecutionRow execution(const std::string& id, TimeMs start, PipelineKey k = key(), State state = State::succeeded) {
    ExecutionRow row;
    ExecutionView& e = row.execution;
    e.key = std::move(k);
    e.execution_id = id;
    e.state = state;
    e.known = true;
    e.seen = {{1, static_cast<uint16_t>(1u | 1u << static_cast<int>(state))}};
    e.version = 3;
    e.start = e.first = start;
    e.end = e.update = start + 60'000;
    e.groups = {100, 200};
    e.events = 12;
    for (const char* name : {"Source", "Build"}) {
        StageView s;
        s.name = name;
        s.state = state;
        s.known = true;
        s.seen = e.seen;
        s.start = s.first = start;
        s.update = s.end = start + 30'000;
        e.stages.push_back(s);
        ActionView a;
        a.name = std::string(name) + "Action";
        a.stage = name;
        a.action_execution_id = id + "-" + name;
        a.state = state;
        a.start = a.first = start;
        a.update = a.end = start + 20'000;
        a.category = name;
        a.owner = "AWS";
        a.provider = "CodeBuild";
        a.region = "eu-west-1";
        a.external_id = "build:" + id;
        a.external_url = "https://example.com/" + id;
        if (state == State::failed) {
            a.error_code = "JobFailed";
            a.summary = "unit tests of the basket broke";
        }
        e.actions.push_back(a);
    }
    e.trigger_type = "Webhook";
    e.trigger_detail = "arn:aws:…";
    e.commit_id = "c0ffee" + id;
    e.commit_message = "Round prices before tax";
    e.commit_url = "https://example.com/commit";
    e.repository = "acme/shop";
    e.branch = "main";
    e.tag = "v1";
    e.author_name = "Jiwoo Kim";
    e.author_email = "jiwoo@example.com";
    e.author_id = "jiwoo";
    e.stop_reason = "";
    row.policy = std::string("\x01\x00\x02", 3);
    return row;
}

Delivery delivery(Position position, uint16_t index, DeliveryStatus status, DeliveryKind kind = DeliveryKind::notify,
                  std::string execution_id = "e1", PipelineKey k = key()) {
    Delivery d;
    d.id = {position, index};
    d.kind = kind;
    d.status = status;
    d.target = "devops";
    d.key = "k" + std::to_string(position) + "-" + std::to_string(index);
    d.pipeline = std::move(k);
    d.execution_id = std::move(execution_id);
    d.planned = day0 + static_cast<TimeMs>(position);
    d.due = d.planned;
    d.last_text = "250 ok";
    d.last_code = 250;
    d.groups = {position};
    return d;
}

Incident incident(const PipelineKey& k, std::vector<std::pair<std::string, TimeMs>> executions, TimeMs resolved = no_time) {
    Incident i;
    i.id = incident_id(k, executions.front().first);
    i.pipeline = k;
    for (auto& [id, start] : executions) i.executions.push_back({id, start, start + 1000, 1});
    i.opened = executions.front().second + 1000;
    i.resolved = resolved;
    if (resolved != no_time) i.resolved_by = "fixed-" + executions.front().first;
    return i;
}

class HistoryTest : public ::testing::Test {
protected:
    void SetUp() override {
        char name[] = "/tmp/waybill-history-XXXXXX";
        ASSERT_NE(::mkdtemp(name), nullptr);
        folder_ = name;
        path_ = folder_ + "/history.db";
        reopen(Found::created);
    }
    void TearDown() override {
        history_.reset();
        std::filesystem::remove_all(folder_);
    }
    void reopen(Found expected, int64_t fold = 1) {
        history_.reset();
        auto opened = History::open(path_, fold);
        ASSERT_TRUE(opened.ok()) << opened.error().message;
        EXPECT_EQ(opened->found, expected);
        history_ = std::move(opened->history);
    }
    void write(Batch batch) {
        if (batch.position == 0) batch.position = history_->position() + 1;
        if (batch.time == no_time) batch.time = day0;
        auto written = history_->write(batch);
        ASSERT_TRUE(written.ok()) << written.error().message;
    }
    std::vector<std::vector<std::string>> query(const std::string& text) {
        auto result = history_->sql(text);
        EXPECT_TRUE(result.ok()) << text << "\n" << (result.ok() ? "" : result.error().message);
        std::vector<std::vector<std::string>> rows;
        if (!result.ok()) return rows;
        for (const auto& row : result->rows) {
            auto& out = rows.emplace_back();
            for (const auto& v : row) {
                if (auto* n = std::get_if<int64_t>(&v)) out.push_back(std::to_string(*n));
                else if (auto* t = std::get_if<std::string>(&v)) out.push_back(*t);
                else out.push_back(std::holds_alternative<std::monostate>(v) ? "NULL" : "?");
            }
        }
        return rows;
    }
    std::string refusal(const std::string& text, const SqlLimits& limits = {}) {
        auto result = history_->sql(text, limits);
        EXPECT_FALSE(result.ok()) << "was let through: " << text;
        if (result.ok()) return "";
        EXPECT_EQ(result.error().kind, ErrorKind::invalid) << text << "\n" << result.error().message;
        return result.error().message;
    }
    void raw(const std::string& sql) {
        sqlite3* db = nullptr;
        ASSERT_EQ(sqlite3_open(path_.c_str(), &db), SQLITE_OK);
        char* message = nullptr;
        EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, &message), SQLITE_OK) << (message ? message : "");
        sqlite3_free(message);
        sqlite3_close(db);
    }

    std::string folder_, path_;
    std::unique_ptr<History> history_;
};

// ---- round trips ----

TEST_F(HistoryTest, AnExecutionComesBackWhole) {
    ExecutionRow row = execution("e1", day0, key(), State::failed);
    write({.executions = {row}});

    auto recalled = history_->recall(key(), "e1");
    ASSERT_TRUE(recalled.ok() && recalled->has_value());
    EXPECT_EQ(encoded((*recalled)->execution), encoded(row.execution));
    EXPECT_EQ(json((*recalled)->execution), json(row.execution));  // texts too
    EXPECT_EQ((*recalled)->policy, row.policy);

    auto found = history_->find_execution("e1");
    ASSERT_TRUE(found.ok() && found->has_value());
    EXPECT_EQ(json(**found), json(row.execution));
    EXPECT_FALSE(history_->recall(key("other"), "e1")->has_value());
    EXPECT_FALSE(history_->find_execution("e2")->has_value());
}

TEST_F(HistoryTest, OneIdInTwoAccountsIsToldApart) {
    write({.executions = {execution("e1", day0, key("a", "1", "x")), execution("e1", day0 + 5, key("a", "2", "x"))}});
    EXPECT_EQ((*history_->find_execution("e1"))->key.account, "2");  // started last
    EXPECT_EQ((*history_->find_execution("e1", "1"))->key.account, "1");
    EXPECT_EQ((*history_->find_execution("e1", "1", "x", "a"))->key.account, "1");
    EXPECT_FALSE(history_->find_execution("e1", "1", "y")->has_value());
    EXPECT_EQ((*history_->recall(key("a", "1", "x"), "e1"))->execution.start, day0);
}

TEST_F(HistoryTest, RewritingKeepsOneRowAndFollowsEveryChange) {
    ExecutionRow row = execution("e1", day0, key(), State::failed);
    write({.executions = {row}});
    row.execution.state = State::succeeded;
    row.execution.attempt = 2;
    row.execution.start -= 1000;
    row.execution.stages[1].state = State::succeeded;
    ActionView retry = row.execution.actions[1];
    retry.action_execution_id = "again";
    retry.state = State::succeeded;
    row.execution.actions.insert(row.execution.actions.begin() + 1, retry);  // ordinals move
    row.policy = "new";
    write({.executions = {row}});
    EXPECT_EQ(json((*history_->recall(key(), "e1"))->execution), json(row.execution));
    EXPECT_EQ((*history_->recall(key(), "e1"))->policy, "new");
    EXPECT_THAT(query("SELECT count(*) FROM executions"), ElementsAre(ElementsAre("1")));
    EXPECT_THAT(query("SELECT action_execution_id, status FROM actions ORDER BY ordinal"),
                ElementsAre(ElementsAre("e1-Source", "Failed"), ElementsAre("again", "Succeeded"), ElementsAre("e1-Build", "Failed")));
    EXPECT_THAT(query("SELECT stage, status FROM stages ORDER BY ordinal"), ElementsAre(ElementsAre("Source", "Failed"), ElementsAre("Build", "Succeeded")));

    row.execution.actions.resize(1);
    row.execution.stages.resize(1);
    write({.executions = {row}});
    EXPECT_THAT(query("SELECT (SELECT count(*) FROM actions), (SELECT count(*) FROM stages)"), ElementsAre(ElementsAre("1", "1")));
    EXPECT_EQ(json((*history_->recall(key(), "e1"))->execution), json(row.execution));

    auto page = history_->executions({.pipeline = "checkout"}, {});
    ASSERT_EQ(page->items.size(), 1u);
    EXPECT_EQ(page->items[0].start, day0 - 1000);
    auto pipeline = history_->find_pipeline(key());
    EXPECT_EQ((*pipeline)->executions, 1u);
    EXPECT_EQ((*pipeline)->current_execution_id, "e1");
}

TEST_F(HistoryTest, UnknownTimesAndEmptyTextsAreNull) {
    ExecutionRow row;
    row.execution.key = key();
    row.execution.execution_id = "bare";
    write({.executions = {row}});
    EXPECT_THAT(query("SELECT start_time, start_ms, end_ms, duration_ms, commit_id, author_name, version, status FROM executions"),
                ElementsAre(ElementsAre("NULL", "NULL", "NULL", "NULL", "NULL", "NULL", "NULL", "InProgress")));
    EXPECT_EQ(json(**history_->find_execution("bare")), json(row.execution));
    EXPECT_EQ(history_->executions({.pipeline = "checkout"}, {})->items.size(), 1u);
}

TEST_F(HistoryTest, TheTimesThatPeopleReadAreExact) {
    for (int ms : {0, 1, 499, 500, 999}) {
        write({.executions = {execution("e1", day0 + ms)}});
        EXPECT_THAT(query("SELECT start_time, duration_ms FROM executions"), ElementsAre(ElementsAre(format_time(day0 + ms), std::to_string(60'000 - 0))));
    }
}

TEST_F(HistoryTest, PositionAndTimeMoveWithTheBatchAndSurvive) {
    EXPECT_EQ(history_->position(), 0u);
    EXPECT_EQ(history_->time(), no_time);
    write({.position = 4711, .time = day0 + 7});
    EXPECT_EQ(history_->position(), 4711u);
    reopen(Found::kept);
    EXPECT_EQ(history_->position(), 4711u);
    EXPECT_EQ(history_->time(), day0 + 7);
}

// ---- lists ----

TEST_F(HistoryTest, PagesHaveNoGapsAndNoRepeatsWhileNewExecutionsArrive) {
    std::mt19937 random(1);
    Batch batch;
    std::set<std::string> expected;
    for (int i = 0; i < 500; i++) {
        std::string id = "e" + std::to_string(random());
        expected.insert(id);
        // Two accounts, and many equal starts, so that ties cross a page's end.
        batch.executions.push_back(execution(id, day0 + static_cast<TimeMs>(random() % 20), key("checkout", i % 2 ? "1" : "2")));
    }
    // The same id and start in both accounts.
    batch.executions.push_back(execution("twin", day0 + 3, key("checkout", "1")));
    batch.executions.push_back(execution("twin", day0 + 3, key("checkout", "2")));
    batch.executions.push_back(execution("elsewhere", day0 + 3, key("basket", "1")));
    write(batch);

    for (size_t limit : {1u, 7u, 50u, 1000u}) {
        std::multiset<std::string> seen;
        std::vector<std::pair<TimeMs, std::string>> order;
        std::string cursor;
        int fresh = 0;
        do {
            auto page = history_->executions({.pipeline = "checkout"}, {limit, cursor});
            ASSERT_TRUE(page.ok()) << page.error().message;
            EXPECT_LE(page->items.size(), limit);
            for (const auto& e : page->items) {
                seen.insert(e.execution_id);
                order.emplace_back(e.ordering_start(), e.execution_id);
            }
            cursor = page->next;
            if (fresh++ < 5) write({.executions = {execution("n" + std::to_string(random()), day0 + 1'000'000 + fresh)}});
        } while (!cursor.empty());
        std::multiset<std::string> wanted(expected.begin(), expected.end());
        wanted.insert({"twin", "twin"});
        std::erase_if(seen, [](const std::string& id) { return id[0] == 'n'; });
        EXPECT_EQ(seen, wanted);
        EXPECT_TRUE(std::is_sorted(order.rbegin(), order.rend()));
    }
    EXPECT_EQ(history_->executions({.pipeline = "checkout", .account = "1"}, {1000, ""})->items.size(), 251u);
    EXPECT_EQ(history_->executions({.pipeline = "checkout", .region = "nowhere"}, {})->items.size(), 0u);
}

TEST_F(HistoryTest, CursorsThatAreNotOursAreRefused) {
    write({.executions = {execution("a", day0), execution("b", day0)}});
    std::string next = history_->executions({.pipeline = "checkout"}, {1, ""})->next;
    ASSERT_FALSE(next.empty());
    for (std::string cursor : {std::string("e"), std::string("zz"), std::string("e0"), std::string("exx"), "d" + next.substr(1), next + "00", next.substr(0, next.size() - 2), std::string("é")}) {
        auto page = history_->executions({.pipeline = "checkout"}, {1, cursor});
        ASSERT_FALSE(page.ok()) << cursor;
        EXPECT_EQ(page.error().kind, ErrorKind::invalid);
    }
    EXPECT_FALSE(history_->deliveries({}, {1, next}).ok());
    EXPECT_FALSE(history_->incidents({}, {1, next}).ok());
}

TEST_F(HistoryTest, DeliveriesByEveryFilterAreWhatAScanGives) {
    std::mt19937 random(2);
    std::vector<Delivery> all;
    std::set<std::pair<Position, int>> ids;
    while (all.size() < 300) {
        Position position = 1 + random() % 200;
        auto index = static_cast<uint16_t>(random() % 3);
        if (!ids.insert({position, index}).second) continue;
        all.push_back(delivery(position, index, static_cast<DeliveryStatus>(random() % 6), static_cast<DeliveryKind>(random() % 2),
                               "e" + std::to_string(random() % 5), key(random() % 2 ? "a" : "b", random() % 2 ? "1" : "2")));
    }
    write({.deliveries = all});
    for (auto& d : all) {
        if (random() % 2) continue;
        d.status = DeliveryStatus::delivered;
        d.finished = day0;
        write({.deliveries = {d}});
    }
    std::ranges::sort(all, [](const Delivery& a, const Delivery& b) { return a.id > b.id; });

    for (int round = 0; round < 200; round++) {
        DeliveryFilter f;
        for (int s = 0; s < 6; s++)
            if (random() % 3 == 0) f.statuses.push_back(static_cast<DeliveryStatus>(s));
        if (random() % 2) f.kind = static_cast<DeliveryKind>(random() % 2);
        if (random() % 3 == 0) f.execution_id = "e" + std::to_string(random() % 6);
        if (random() % 2) f.pipeline = random() % 2 ? "a" : "b";
        if (random() % 3 == 0) f.account = random() % 2 ? "1" : "2";
        if (random() % 8 == 0) f.region = "nowhere";
        std::vector<std::string> expected, seen;
        for (const auto& d : all) {
            if (!f.statuses.empty() && std::ranges::find(f.statuses, d.status) == f.statuses.end()) continue;
            if ((f.kind && *f.kind != d.kind) || (f.execution_id && *f.execution_id != d.execution_id) ||
                (f.pipeline && *f.pipeline != d.pipeline.pipeline) || (f.account && *f.account != d.pipeline.account) ||
                (f.region && *f.region != d.pipeline.region))
                continue;
            expected.push_back(encoded(d));
        }
        std::string cursor;
        do {
            auto page = history_->deliveries(f, {1 + random() % 40, cursor});
            ASSERT_TRUE(page.ok()) << page.error().message;
            for (const auto& d : page->items) seen.push_back(encoded(d));
            cursor = page->next;
        } while (!cursor.empty());
        EXPECT_EQ(seen, expected);
    }
    EXPECT_EQ(encoded(**history_->find_delivery(all[7].id)), encoded(all[7]));
    EXPECT_FALSE(history_->find_delivery({999, 9})->has_value());
    for (const auto& d : *history_->deliveries_of_execution(key("a", "1"), "e1")) {
        EXPECT_EQ(d.execution_id, "e1");
        EXPECT_EQ(d.pipeline, key("a", "1"));
    }
    EXPECT_FALSE(history_->deliveries_of_execution(key("a", "1"), "e1")->empty());
}

// ---- incidents ----

TEST_F(HistoryTest, MemoryReplacesTheIncidentsItReachesAndLeavesOlderOnes) {
    const PipelineKey other = key("other");
    write({.incidents = {{key(), no_time, {incident(key(), {{"a", 10}}, 15), incident(key(), {{"b", 20}, {"c", 30}}, 35), incident(key(), {{"d", 40}})}},
                         {other, no_time, {incident(other, {{"x", 5}})}}}});
    EXPECT_THAT(query("SELECT first_execution_id, status, executions FROM incidents WHERE pipeline = 'checkout' ORDER BY opened_ms"),
                ElementsAre(ElementsAre("a", "resolved", "1"), ElementsAre("b", "resolved", "2"), ElementsAre("d", "open", "1")));

    // Memory reaches back to 30: "a" is older and stays; "b, c" overlaps and is given anew as "c"; "d" has grown and is resolved.
    write({.incidents = {{key(), 30, {incident(key(), {{"c", 30}}, 35), incident(key(), {{"d", 40}, {"e", 50}}, 60)}}}});
    EXPECT_THAT(query("SELECT first_execution_id, last_execution_id, status FROM incidents WHERE pipeline = 'checkout' ORDER BY opened_ms"),
                ElementsAre(ElementsAre("a", "a", "resolved"), ElementsAre("c", "c", "resolved"), ElementsAre("d", "e", "resolved")));
    EXPECT_THAT(query("SELECT count(*) FROM incident_execution"), ElementsAre(ElementsAre("5")));  // nothing orphaned: a c d e x

    // A late success explains everything away.
    write({.incidents = {{key(), no_time, {}}}});
    EXPECT_THAT(query("SELECT pipeline FROM incidents"), ElementsAre(ElementsAre("other")));
    EXPECT_THAT(query("SELECT count(*) FROM incident_execution"), ElementsAre(ElementsAre("1")));
}

TEST_F(HistoryTest, IncidentsArePagedOpenFirstThenNewest) {
    Batch batch;
    std::vector<std::string> expected;
    std::vector<std::tuple<bool, TimeMs, std::string>> order;
    for (int p = 0; p < 6; p++) {
        PipelineIncidents of{key("p" + std::to_string(p % 3), p < 3 ? "1" : "2"), no_time, {}};
        for (int i = 0; i < 15; i++) {
            of.incidents.push_back(incident(of.pipeline, {{"e" + std::to_string(i), 100 * i}}, i == 14 ? no_time : 100 * i + 50));
            order.emplace_back(of.incidents.back().open(), of.incidents.back().opened, of.incidents.back().id);
        }
        batch.incidents.push_back(of);
    }
    write(batch);
    std::sort(order.rbegin(), order.rend());
    for (const auto& [open, opened, id] : order) expected.push_back(id);
    for (size_t limit : {1u, 4u, 1000u}) {
        std::vector<std::string> seen;
        std::string cursor;
        do {
            auto page = history_->incidents({}, {limit, cursor});
            ASSERT_TRUE(page.ok()) << page.error().message;
            for (const auto& i : page->items) seen.push_back(i.id);
            cursor = page->next;
        } while (!cursor.empty());
        EXPECT_EQ(seen, expected);
    }
    EXPECT_EQ(history_->incidents({.open = true}, {})->items.size(), 6u);
    EXPECT_EQ(history_->incidents({.open = false, .pipeline = "p1"}, {})->items.size(), 28u);
    EXPECT_EQ(history_->incidents({.pipeline = "p1", .account = "2"}, {})->items.size(), 15u);
    EXPECT_EQ(history_->incidents({.account = "2"}, {})->items.size(), 45u);

    const Incident& one = batch.incidents[2].incidents[3];
    EXPECT_EQ(json(**history_->find_incident(one.id)), json(one));
    EXPECT_FALSE(history_->find_incident("inc-none")->has_value());
}

TEST_F(HistoryTest, DeliveriesOfAnIncidentAreThoseOfItsExecutions) {
    Incident i = incident(key(), {{"a", 10}, {"b", 20}});
    write({.deliveries = {delivery(1, 0, DeliveryStatus::delivered, DeliveryKind::notify, "a"), delivery(2, 0, DeliveryStatus::dead, DeliveryKind::retry, "b"),
                          delivery(3, 0, DeliveryStatus::dead, DeliveryKind::retry, "c"),
                          delivery(4, 0, DeliveryStatus::dead, DeliveryKind::retry, "a", key("other"))},
           .incidents = {{key(), no_time, {i}}}});
    auto found = history_->deliveries_of_incident(i.id);
    ASSERT_TRUE(found.ok());
    ASSERT_EQ(found->size(), 2u);
    EXPECT_EQ((*found)[0].id.position, 2u);
    EXPECT_EQ((*found)[1].id.position, 1u);
}

// ---- search ----

std::vector<std::string> ids(const Result<std::vector<SearchHit>>& hits) {
    std::vector<std::string> out;
    EXPECT_TRUE(hits.ok()) << (hits.ok() ? "" : hits.error().message);
    if (!hits.ok()) return out;
    for (const auto& h : *hits) out.push_back(std::string(to_string(h.type)) + ":" + (h.type == HitType::incident ? h.incident_id : h.type == HitType::pipeline ? h.pipeline.pipeline : h.execution_id));
    return out;
}

TEST_F(HistoryTest, SearchFindsByEveryText) {
    ExecutionRow failed = execution("3f2a8c11-aaaa", day0, key("payments"), State::failed);
    failed.execution.commit_message = "결제 오류를 고침";
    failed.execution.branch = "release/2024-w7";
    write({.executions = {execution("11112222-bbbb", day0 + 1), failed}, .incidents = {{key("payments"), no_time, {incident(key("payments"), {{"3f2a8c11-aaaa", day0}})}}}});
    const std::string hit = "execution:3f2a8c11-aaaa";
    for (const char* text : {"basket", "BASKET brok", "JobFailed", "결제", "오류", "release/2024", "w7", "\"unit tests\"", "payments", "3f2a8c11", "3F2A", "broke payments"})
        EXPECT_THAT(ids(history_->search(text, 10)), ::testing::Contains(hit)) << text;
    for (const char* text : {"jiwoo kim", "round pri", "acme", "jiwoo@example.com", "SourceAction", "c0ffee"})
        EXPECT_THAT(ids(history_->search(text, 10)), ::testing::Contains("execution:11112222-bbbb")) << text;
    EXPECT_THAT(ids(history_->search("basket nowhere", 10)), ElementsAre());
    EXPECT_THAT(ids(history_->search("pri round", 10)), ElementsAre());  // only the last word may be a beginning
    EXPECT_THAT(ids(history_->search("paym", 10)), ElementsAre("pipeline:payments", hit));
    EXPECT_THAT(ids(history_->search(incident_id(key("payments"), "3f2a8c11-aaaa"), 10)), ElementsAre("incident:" + incident_id(key("payments"), "3f2a8c11-aaaa")));
    EXPECT_EQ(history_->search("jiwoo", 1)->size(), 1u);
    EXPECT_THAT(history_->search("basket", 10)->front().snippet, HasSubstr("basket"));
    EXPECT_EQ(history_->search("basket", 10)->front().status, "Failed");
}

TEST_F(HistoryTest, SearchFollowsChangedTexts) {
    ExecutionRow row = execution("e1", day0);
    write({.executions = {row}});
    row.execution.commit_message = "Entirely different";
    write({.executions = {row}});
    EXPECT_THAT(ids(history_->search("tax", 10)), ElementsAre());
    EXPECT_THAT(ids(history_->search("entirely", 10)), ElementsAre("execution:e1"));
    row.execution.state = State::failed;  // the texts stay
    write({.executions = {row}});
    EXPECT_THAT(ids(history_->search("entirely", 10)), ElementsAre("execution:e1"));
}

TEST_F(HistoryTest, NoTextBreaksTheSearch) {
    write({.executions = {execution("e1", day0)}});
    for (std::string text : {"", " ", "\"", "\"\"", "'", "*", "a*", "^a", "NEAR(a b)", "a AND", "AND", "OR OR", "NOT", "pipeline:checkout", "{pipeline source}: x", "-a", "+", "(", ")", "a\" OR \"b",
                             "--", ";DROP TABLE search", "%", "_", "\\", "\xff\xfe", "\xc3", "é", "…", "a.b.c", "🙂"})
        EXPECT_TRUE(history_->search(text, 10).ok()) << text;
    EXPECT_TRUE(history_->search(std::string("a\0b", 3), 10).ok());
    EXPECT_TRUE(history_->search(std::string(1'000'000, 'x'), 10).ok());
    std::string many;
    for (int i = 0; i < 1000; i++) many += "round ";
    EXPECT_THAT(ids(history_->search(many, 10)), ElementsAre("execution:e1"));
    std::mt19937 random(3);
    for (int i = 0; i < 2000; i++) {
        std::string text;
        for (size_t n = random() % 12; n > 0; n--) text.push_back(random() % 2 ? "\"*()^:-+{} aAND"[random() % 15] : static_cast<char>(random()));
        auto hits = history_->search(text, 10);
        ASSERT_TRUE(hits.ok()) << text << ": " << hits.error().message;
    }
}

TEST_F(HistoryTest, LongTextsAreSearchedToTheirStatedLengthAndCutBetweenCharacters) {
    ExecutionRow row = execution("e1", day0, key(), State::failed);
    std::string summary = "beginning ";
    while (summary.size() < 3 * searched_text_bytes) summary += "오";
    row.execution.actions[0].error_code.clear();
    row.execution.actions[0].summary = summary + " ending";
    write({.executions = {row}});
    EXPECT_THAT(ids(history_->search("beginning", 10)), ElementsAre("execution:e1"));
    EXPECT_THAT(ids(history_->search("ending", 10)), ElementsAre());
    EXPECT_EQ((*history_->find_execution("e1"))->actions[0].summary, summary + " ending");
    EXPECT_THAT(query("SELECT length(CAST(errors AS BLOB)) <= 2048, length(CAST(errors AS BLOB)) > 2040, instr(errors, char(0xfffd)) FROM search"),
                ElementsAre(ElementsAre("1", "1", "0")));
}

// ---- sql ----

TEST_F(HistoryTest, SqlReadsAndNothingElse) {
    write({.executions = {execution("e1", day0)}});
    for (const char* text :
         {"INSERT INTO meta VALUES ('a', 1)", "DELETE FROM execution", "UPDATE execution SET status = 'x'", "DROP TABLE execution", "UPDATE sqlite_master SET sql = 'x'", "DELETE FROM sqlite_master", "CREATE TABLE t (a)",
          "CREATE TEMP TABLE t (a)", "ATTACH '/tmp/x.db' AS x", "DETACH main", "PRAGMA journal_mode = DELETE", "PRAGMA writable_schema = 1", "PRAGMA query_only = 0",
          "VACUUM", "VACUUM INTO '/tmp/waybill-stolen.db'", "REINDEX", "ANALYZE", "BEGIN", "COMMIT", "SAVEPOINT a", "SELECT load_extension('x')",
          "WITH a AS (SELECT 1) DELETE FROM execution", "INSERT INTO search(search) VALUES ('optimize')", "INSERT INTO search(search, rank) VALUES ('pgsz', 64)",
          "SELECT 1; SELECT 2", "SELECT 1; DROP TABLE execution", "", "   ", "-- nothing", ";", "SELEC 1", "SELECT * FROM nowhere", "SELECT 'open",
          "SELECT * FROM pragma_journal_mode"})
        EXPECT_NE(refusal(text), "") << text;
    EXPECT_NE(refusal(std::string("SELECT 1\0 + 1", 13)), "");
    EXPECT_NE(refusal(std::string(200'000, ' ') + "SELECT 1"), "");

    EXPECT_THAT(query("SELECT 1; -- a comment"), ElementsAre(ElementsAre("1")));
    EXPECT_THAT(query("  SELECT count(*) FROM executions ; "), ElementsAre(ElementsAre("1")));
    EXPECT_THAT(query("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT sum(i) FROM n"), ElementsAre(ElementsAre("6")));
    EXPECT_THAT(query("SELECT e.execution_id FROM search s JOIN execution e ON e.id = s.rowid WHERE search MATCH 'tax'"), ElementsAre(ElementsAre("e1")));
    EXPECT_GT(query("SELECT name FROM pragma_table_info('executions')").size(), 20u);
    EXPECT_GT(query("PRAGMA table_info(executions)").size(), 20u);
    EXPECT_FALSE(query("EXPLAIN QUERY PLAN SELECT * FROM executions").empty());
    EXPECT_TRUE(history_->find_execution("e1")->has_value());
}

TEST_F(HistoryTest, SqlStopsAtItsLimits) {
    const std::string endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) ";
    EXPECT_THAT(refusal(endless + "SELECT count(*) FROM n", {.time_ms = 50}), HasSubstr("longer than"));
    auto cut = history_->sql(endless + "SELECT i FROM n", {.rows = 10});
    ASSERT_TRUE(cut.ok());
    EXPECT_EQ(cut->rows.size(), 10u);
    EXPECT_TRUE(cut->cut);
    EXPECT_FALSE(history_->sql("SELECT 1", {.rows = 1})->cut);
    cut = history_->sql(endless + "SELECT printf('%1000d', i) FROM n", {.bytes = 10'500});
    ASSERT_TRUE(cut.ok());
    EXPECT_EQ(cut->rows.size(), 10u);
    EXPECT_TRUE(cut->cut);
    EXPECT_NE(refusal("SELECT length(zeroblob(100000000))"), "");
    EXPECT_NE(refusal("SELECT 'a' LIKE '" + std::string(1000, '%') + "'"), "");
}

TEST_F(HistoryTest, SqlAnswersAsJson) {
    auto result = history_->sql("SELECT NULL AS a, 1 AS \"b\"\"c\", 1.5, 'é\"', x'00ff', CAST(x'41ff42' AS TEXT), 9e999");
    ASSERT_TRUE(result.ok()) << result.error().message;
    std::string out = json(*result);
    EXPECT_THAT(out, HasSubstr(R"({"columns":["a","b\"c","1.5",)"));
    EXPECT_THAT(out, HasSubstr("\"rows\":[[null,1,1.5,\"é\\\"\",\"x'00ff'\",\"A\xef\xbf\xbd" "B\",null]]}"));
}

TEST_F(HistoryTest, OnlyAFewQueriesRunAtOnce) {
    // As many endless queries as may run, each begun anew when its time is over, and one more: one of them must be refused, whichever comes last.
    const std::string endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    std::atomic<bool> refused = false;
    std::vector<std::thread> threads;
    for (size_t i = 0; i <= concurrent_queries; i++)
        threads.emplace_back([&] {
            for (int round = 0; round < 50 && !refused; round++) {
                auto outcome = history_->sql(endless, {.time_ms = 200});
                ASSERT_FALSE(outcome.ok());
                if (outcome.error().kind == ErrorKind::overloaded) refused = true;
            }
        });
    for (auto& t : threads) t.join();
    EXPECT_TRUE(refused);
    EXPECT_TRUE(history_->sql("SELECT 1").ok());
}

// ---- threads ----

TEST_F(HistoryTest, ReadersSeeWholeBatchesWhileTheWriterWrites) {
    std::atomic<bool> done = false;
    std::vector<std::thread> threads;
    for (int t = 0; t < 6; t++)
        threads.emplace_back([&] {
            do {
                auto page = history_->executions({.pipeline = "checkout"}, {1000, ""});
                ASSERT_TRUE(page.ok()) << page.error().message;
                EXPECT_EQ(page->items.size() % 10, 0u);
                EXPECT_TRUE(history_->search("round", 5).ok());
                auto count = history_->find_pipeline(key());
                ASSERT_TRUE(count.ok());
                if (*count) EXPECT_EQ((*count)->executions % 10, 0u);
            } while (!done);
        });
    for (int i = 0; i < 30; i++) {
        Batch batch;
        for (int k = 0; k < 10; k++) batch.executions.push_back(execution("e" + std::to_string(i * 10 + k), day0 + i));
        write(batch);
    }
    done = true;
    for (auto& t : threads) t.join();
    EXPECT_EQ((*history_->find_pipeline(key()))->executions, 300u);
}

TEST_F(HistoryTest, ALongReaderDoesNotHoldUpTheWriter) {
    std::atomic<bool> running = false;
    std::thread reader([&] {
        running = true;
        (void)history_->sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n, execution", {.time_ms = 500});
    });
    while (!running) std::this_thread::yield();
    for (int i = 0; i < 20; i++) write({.executions = {execution("e" + std::to_string(i), day0)}});
    reader.join();
    EXPECT_EQ((*history_->find_pipeline(key()))->executions, 20u);
}

// ---- files ----

TEST_F(HistoryTest, AnotherFoldOrANewerSchemaIsReportedAndLeftAlone) {
    write({.position = 9, .executions = {execution("e1", day0)}});
    reopen(Found::other_fold, 2);
    EXPECT_EQ(history_, nullptr);
    reopen(Found::kept, 1);
    EXPECT_EQ(history_->position(), 9u);
    history_.reset();
    raw("PRAGMA user_version = " + std::to_string(schema_version + 1));
    reopen(Found::newer_schema);
    EXPECT_EQ(history_, nullptr);
    ASSERT_TRUE(History::destroy(path_).ok());
    reopen(Found::created, 2);
    EXPECT_EQ(history_->position(), 0u);
}

TEST_F(HistoryTest, AnOlderSchemaIsMadeAnew) {
    write({.position = 9, .executions = {execution("e1", day0)}});
    history_.reset();
    raw("PRAGMA user_version = 0");
    reopen(Found::recreated);
    EXPECT_EQ(history_->position(), 0u);
    EXPECT_FALSE(history_->find_execution("e1")->has_value());
}

TEST_F(HistoryTest, SomebodyElsesDatabaseIsNotTouched) {
    history_.reset();
    path_ = folder_ + "/other.db";
    raw("CREATE TABLE precious (a); INSERT INTO precious VALUES (1)");
    auto opened = History::open(path_, 1);
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.error().kind, ErrorKind::conflict);
    raw("INSERT INTO precious VALUES (2)");
}

TEST_F(HistoryTest, ADamagedFileIsCorruptAndNamesTheWayOut) {
    for (int i = 0; i < 20; i++) write({.executions = {execution("e" + std::to_string(i), day0)}});
    history_.reset();
    {
        std::ofstream(path_, std::ios::in | std::ios::binary) << "this is no database at all";
    }
    auto opened = History::open(path_, 1);
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.error().kind, ErrorKind::corrupt);
    EXPECT_THAT(opened.error().message, HasSubstr("waybill rebuild"));
}

TEST_F(HistoryTest, DamageInsideIsCorruptWhenItIsMet) {
    Batch batch;
    for (int i = 0; i < 400; i++) batch.executions.push_back(execution("e" + std::to_string(i), day0 + i));
    write(batch);
    history_.reset();
    const auto size = std::filesystem::file_size(path_);
    {
        std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
        // All but the first pages, which hold the schema.
        for (uint64_t page = 60; page < size / 4096; page++) {
            file.seekp(static_cast<std::streamoff>(page * 4096));
            file << std::string(4096, '\x5a');
        }
    }
    auto opened = History::open(path_, 1);
    Result<void> outcome;
    if (!opened.ok()) {
        outcome = std::move(opened).error();
    } else {
        std::string cursor;
        auto page = opened->history->executions({.pipeline = "checkout"}, {1000, ""});
        if (!page.ok()) outcome = std::move(page).error();
    }
    ASSERT_FALSE(outcome.ok());
    EXPECT_EQ(outcome.error().kind, ErrorKind::corrupt);
    EXPECT_THAT(outcome.error().message, HasSubstr("waybill rebuild"));
}

TEST_F(HistoryTest, ABatchThatFailsLeavesNothingBehind) {
    write({.position = 5, .executions = {execution("e1", day0)}});
    raw("CREATE TRIGGER no BEFORE INSERT ON delivery BEGIN SELECT raise(ABORT, 'refused'); END");
    Batch batch{.position = 6, .time = day0, .executions = {execution("e2", day0, key("fresh"))}, .deliveries = {delivery(6, 0, DeliveryStatus::pending)}};
    EXPECT_FALSE(history_->write(batch).ok());
    EXPECT_EQ(history_->position(), 5u);
    EXPECT_FALSE(history_->find_execution("e2")->has_value());
    EXPECT_FALSE(history_->find_pipeline(key("fresh"))->has_value());
    raw("DROP TRIGGER no");
    EXPECT_TRUE(history_->write(batch).ok());
    EXPECT_EQ((*history_->find_pipeline(key("fresh")))->executions, 1u);
    EXPECT_EQ(history_->position(), 6u);
}

// ---- the documentation ----

TEST_F(HistoryTest, EveryExampleInTheDocumentationRunsAndAnswers) {
    Batch batch;
    for (int i = 0; i < 40; i++)
        batch.executions.push_back(execution("e" + std::to_string(i), day0 + i * 100'000, key(i % 2 ? "checkout" : "basket"), i % 3 ? State::succeeded : State::failed));
    batch.deliveries = {delivery(1, 0, DeliveryStatus::dead), delivery(2, 0, DeliveryStatus::delivered)};
    batch.incidents = {{key(), no_time, {incident(key(), {{"e1", day0}}, day0 + 5000), incident(key(), {{"e5", day0 + 1}})}}};
    write(batch);
    std::ifstream file(std::string(WAYBILL_SOURCE_DIR) + "/docs/history-schema.md");
    ASSERT_TRUE(file.is_open());
    std::string line, example;
    bool inside = false;
    int examples = 0;
    while (std::getline(file, line)) {
        if (line.starts_with("```")) {
            if (inside) {
                auto result = history_->sql(example);
                EXPECT_TRUE(result.ok()) << example << (result.ok() ? "" : result.error().message);
                if (result.ok()) EXPECT_FALSE(result->rows.empty()) << "no rows from:\n" << example;
                examples += 1;
            }
            inside = line == "```sql";
            example.clear();
        } else if (inside) {
            example += line + "\n";
        }
    }
    EXPECT_GE(examples, 8);
}

TEST_F(HistoryTest, TheDocumentationNamesEveryColumnOfEveryView) {
    std::ifstream file(std::string(WAYBILL_SOURCE_DIR) + "/docs/history-schema.md");
    std::stringstream text;
    text << file.rdbuf();
    for (const auto& view : query("SELECT name FROM sqlite_schema WHERE type = 'view'")) {
        EXPECT_THAT(text.str(), HasSubstr("## `" + view[0] + "`"));
        for (const auto& column : query("SELECT name FROM pragma_table_info('" + view[0] + "')"))
            EXPECT_THAT(text.str(), HasSubstr("`" + column[0] + "`")) << view[0];
    }
}

}  // namespace
}  // namespace waybill::history
