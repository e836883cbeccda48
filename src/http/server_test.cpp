#include "http/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "http/test_socket.h"
#include "http/wait.h"

namespace waybill::http {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// A place where a test's thread meets a handler's.
class Gate {
public:
    void open() {
        std::lock_guard lock(mutex_);
        open_ = true;
        changed_.notify_all();
    }
    bool wait() {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return open_; });
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool open_ = false;
};

Task<void> echo(Exchange& exchange) {
    auto body = co_await exchange.read_body(1024 * 1024);
    if (!body) co_return;
    std::string text = std::string(exchange.head().method()) + " " + exchange.head().path() + " " + *body;
    Response response{200, {{"Content-Type", "text/plain"}}, text};
    (void)co_await exchange.respond(std::move(response));
}

struct Running {
    Options options;
    std::unique_ptr<Server> server;
    uint16_t port = 0;

    explicit Running(Handler handler, Limits limits = {}, unsigned threads = 1) {
        options.limits = limits;
        options.threads = threads;
        server = std::make_unique<Server>(options, std::move(handler));
        auto started = server->start();
        EXPECT_TRUE(started.ok());
        port = started.ok() ? *started : 0;
    }
};

std::string request(std::string_view method, std::string_view target, std::string_view body) {
    return std::string(method) + " " + std::string(target) +
           " HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

TEST(Server, answers_one_request_after_another_on_a_connection) {
    Running r(echo);
    auto s = TestSocket::connect(r.port);
    for (int i = 0; i < 3; ++i) {
        ASSERT_TRUE(s.send(request("POST", "/a%20b", "hello")));
        auto [head, body] = s.receive_response();
        EXPECT_THAT(head, StartsWith("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 15\r\nDate: "));
        EXPECT_THAT(head, Not(HasSubstr("Connection")));
        EXPECT_EQ(body, "POST /a b hello");
    }
    EXPECT_EQ(r.server->counters().requests, 3u);
    EXPECT_EQ(r.server->counters().accepted, 1u);
}

TEST(Server, answers_pipelined_requests_in_order) {
    Running r(echo);
    auto s = TestSocket::connect(r.port);
    std::string all;
    for (int i = 0; i < 50; ++i) all += request("POST", "/" + std::to_string(i), std::string(static_cast<size_t>(i) * 37, 'x'));
    std::thread sender([&] { EXPECT_TRUE(s.send(all)); });
    for (int i = 0; i < 50; ++i)
        EXPECT_EQ(s.receive_response().second,
                  "POST /" + std::to_string(i) + " " + std::string(static_cast<size_t>(i) * 37, 'x'));
    sender.join();
}

TEST(Server, takes_chunked_bodies) {
    Running r(echo);
    auto s = TestSocket::connect(r.port);
    for (int i = 0; i < 2; ++i) {
        ASSERT_TRUE(s.send(
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: t\r\n\r\n"));
        EXPECT_EQ(s.receive_response().second, "POST / abcde");
    }
}

TEST(Server, answers_head_without_a_body_and_1_0_by_closing) {
    Running r(echo);
    auto s = TestSocket::connect(r.port);
    ASSERT_TRUE(s.send("HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n"));
    std::string head = s.receive_until("\r\n\r\n");
    EXPECT_THAT(head, HasSubstr("Content-Length: 8\r\n"));
    ASSERT_TRUE(s.send("GET /x HTTP/1.0\r\n\r\n"));
    std::string rest = s.receive_all();
    EXPECT_THAT(rest, StartsWith("HTTP/1.1 200 OK\r\n"));
    EXPECT_THAT(rest, HasSubstr("Connection: close\r\n\r\nGET /x "));
    auto kept = TestSocket::connect(r.port);
    ASSERT_TRUE(kept.send("GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    EXPECT_THAT(kept.receive_response().first, HasSubstr("Connection: keep-alive"));
    ASSERT_TRUE(kept.send("GET /y HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
    EXPECT_THAT(kept.receive_all(), HasSubstr("Connection: close\r\n\r\nGET /y "));
}

TEST(Server, malformed_requests_get_a_json_error_and_the_connection_closes) {
    Running r(echo);
    for (const char* bytes :
         {"nonsense\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\nBad Header: x\r\n\r\n"}) {
        auto s = TestSocket::connect(r.port);
        ASSERT_TRUE(s.send(bytes));
        std::string all = s.receive_all();
        EXPECT_THAT(all, StartsWith("HTTP/1.1 400 Bad Request\r\n"));
        EXPECT_THAT(all, HasSubstr("Content-Type: application/json\r\n"));
        EXPECT_THAT(all, HasSubstr("Connection: close\r\n"));
        EXPECT_THAT(all, HasSubstr(R"({"error":{"kind":"invalid","message":")"));
    }
    EXPECT_EQ(r.server->counters().refused, 3u);
    EXPECT_EQ(r.server->counters().requests, 0u);
}

TEST(Server, a_huge_head_is_431_and_other_expectations_are_417) {
    Running r(echo);
    auto s = TestSocket::connect(r.port);
    std::thread sender([&] { s.send("GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(300'000, 'a') + "\r\n\r\n"); });
    EXPECT_THAT(s.receive_all(), StartsWith("HTTP/1.1 431 "));
    sender.join();
    auto t = TestSocket::connect(r.port);
    ASSERT_TRUE(t.send("GET / HTTP/1.1\r\nHost: h\r\nExpect: magic\r\n\r\n"));
    EXPECT_THAT(t.receive_all(), StartsWith("HTTP/1.1 417 "));
}

TEST(Server, a_head_that_trickles_in_is_ended_408) {
    Limits limits;
    limits.head_timeout_ms = 150;
    Running r(echo, limits);
    auto s = TestSocket::connect(r.port);
    ASSERT_TRUE(s.send("GET / HTTP/1.1\r\nHost: h\r\n"));
    EXPECT_THAT(s.receive_all(), StartsWith("HTTP/1.1 408 "));
    // A connection on which nothing was said is just closed.
    auto silent = TestSocket::connect(r.port);
    EXPECT_EQ(silent.receive_all(), "");
}

TEST(Server, a_kept_connection_is_closed_after_its_idle_time) {
    Limits limits;
    limits.idle_timeout_ms = 100;
    Running r(echo, limits);
    auto s = TestSocket::connect(r.port);
    ASSERT_TRUE(s.send(request("GET", "/", "")));
    EXPECT_EQ(s.receive_response().second, "GET / ");
    EXPECT_EQ(s.receive_all(), "");
}

TEST(Server, a_body_that_makes_no_progress_is_ended_408) {
    Limits limits;
    limits.progress_timeout_ms = 200;
    limits.progress_bytes = 100;
    Running r(echo, limits);
    auto s = TestSocket::connect(r.port);
    ASSERT_TRUE(s.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n"));
    // Drips without end, but never a hundred bytes in the span.
    std::atomic<bool> done{false};
    std::thread drip([&] {
        while (!done && s.send("x")) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    });
    EXPECT_THAT(s.receive_all(), StartsWith("HTTP/1.1 408 "));
    done = true;
    drip.join();
}

TEST(Server, a_body_beyond_the_limit_is_413_before_it_is_sent) {
    Running r(echo);
    auto s = TestSocket::connect(r.port);
    ASSERT_TRUE(s.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1048577\r\n\r\n"));
    std::string all = s.receive_all();
    EXPECT_THAT(all, StartsWith("HTTP/1.1 413 "));
    EXPECT_THAT(all, HasSubstr("Connection: close"));
    auto chunked = TestSocket::connect(r.port);
    std::string chunk = "10000\r\n" + std::string(0x10000, 'c') + "\r\n";
    std::thread sender([&] {
        chunked.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (int i = 0; i < 17 && chunked.send(chunk); ++i) {
        }
    });
    EXPECT_THAT(chunked.receive_all(), StartsWith("HTTP/1.1 413 "));
    sender.join();
}

TEST(Server, says_100_continue_once_when_the_body_is_wanted) {
    Running r(echo);
    auto s = TestSocket::connect(r.port);
    ASSERT_TRUE(s.send("POST /c HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"));
    EXPECT_EQ(s.receive_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    ASSERT_TRUE(s.send("bo"));
    ASSERT_TRUE(s.send("dy"));
    EXPECT_EQ(s.receive_response().second, "POST /c body");
    ASSERT_TRUE(s.send(request("GET", "/after", "")));
    EXPECT_EQ(s.receive_response().second, "GET /after ");
}

TEST(Server, an_answer_before_the_body_is_read_reaches_the_client) {
    Running r([](Exchange& exchange) -> Task<void> {
        Response response{403, {}, "no"};
        (void)co_await exchange.respond(std::move(response));
    });
    auto s = TestSocket::connect(r.port);
    ASSERT_TRUE(s.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 500000\r\n\r\n" + std::string(200'000, 'x')));
    auto [head, body] = s.receive_response();
    EXPECT_THAT(head, StartsWith("HTTP/1.1 403 "));
    EXPECT_THAT(head, HasSubstr("Connection: close"));
    EXPECT_EQ(body, "no");
    EXPECT_TRUE(s.send(std::string(300'000, 'x')));
    // A small unread body that is there already does not cost the connection.
    auto t = TestSocket::connect(r.port);
    for (int i = 0; i < 3; ++i) {
        ASSERT_TRUE(t.send(request("POST", "/", "unread")));
        EXPECT_THAT(t.receive_response().first, Not(HasSubstr("Connection: close")));
    }
}

TEST(Server, streams_a_body_far_larger_than_what_it_holds) {
    constexpr size_t total = 64 << 20;
    size_t largest = 0;
    uint64_t sum = 0;
    Running r([&](Exchange& exchange) -> Task<void> {
        for (;;) {
            auto piece = co_await exchange.read_some();
            if (!piece || piece->empty()) break;
            largest = std::max(largest, piece->size());
            sum += piece->size();
        }
        Response response{200, {}, std::to_string(exchange.body_bytes_read())};
        (void)co_await exchange.respond(std::move(response));
    });
    auto s = TestSocket::connect(r.port);
    std::string chunk = "100000\r\n" + std::string(1 << 20, 'z') + "\r\n";
    ASSERT_TRUE(s.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"));
    for (size_t sent = 0; sent < total; sent += 1 << 20) ASSERT_TRUE(s.send(chunk));
    ASSERT_TRUE(s.send("0\r\n\r\n"));
    EXPECT_EQ(s.receive_response().second, std::to_string(total));
    EXPECT_EQ(sum, total);
    EXPECT_GT(largest, 0u);
    EXPECT_LE(largest, 64u * 1024 + 1);
}

TEST(Server, a_bad_chunk_in_the_middle_is_told_to_the_handler_which_may_still_answer) {
    std::string seen;
    Running r([&](Exchange& exchange) -> Task<void> {
        for (;;) {
            auto piece = co_await exchange.read_some();
            if (!piece) {
                EXPECT_EQ(piece.error().kind, ErrorKind::invalid);
                EXPECT_EQ(exchange.refusal_status(), 400);
                Response response = error_response(piece.error());
                (void)co_await exchange.respond(std::move(response));
                co_return;
            }
            if (piece->empty()) co_return;
            seen += *piece;
        }
    });
    auto s = TestSocket::connect(r.port);
    ASSERT_TRUE(s.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxyz\r\n"));
    EXPECT_THAT(s.receive_all(), StartsWith("HTTP/1.1 400 "));
    EXPECT_EQ(seen, "abc");
}

TEST(Server, a_client_that_leaves_inside_the_body_ends_the_read) {
    Gate left;
    Running r([&](Exchange& exchange) -> Task<void> {
        auto body = co_await exchange.read_body(1000);
        EXPECT_FALSE(body.ok());
        EXPECT_EQ(body.error().kind, ErrorKind::unavailable);
        EXPECT_EQ(exchange.refusal_status(), 499);
        left.open();
    });
    auto s = TestSocket::connect(r.port);
    ASSERT_TRUE(s.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nabc"));
    s.close();
    EXPECT_TRUE(left.wait());
}

TEST(Server, a_handler_without_an_answer_gets_one_made) {
    Running r([](Exchange&) -> Task<void> { co_return; });
    auto s = TestSocket::connect(r.port);
    ASSERT_TRUE(s.send(request("GET", "/", "")));
    EXPECT_THAT(s.receive_response().first, StartsWith("HTTP/1.1 500 "));
    ASSERT_TRUE(s.send(request("GET", "/", "")));
    EXPECT_THAT(s.receive_response().first, StartsWith("HTTP/1.1 500 "));
}

TEST(Server, no_text_becomes_a_header_field_of_its_own) {
    Running r([](Exchange& exchange) -> Task<void> {
        Response response{200, {{"X-Name", "a\r\nSet-Cookie: b"}}, ""};
        (void)co_await exchange.respond(std::move(response));
    });
    auto s = TestSocket::connect(r.port);
    ASSERT_TRUE(s.send(request("GET", "/", "")));
    EXPECT_THAT(s.receive_response().first, HasSubstr("X-Name: a  Set-Cookie: b\r\n"));
}

TEST(Server, another_thread_completes_a_request) {
    std::mutex mutex;
    std::condition_variable some;
    std::vector<std::pair<int, Completion<int>::Sender>> queue;
    bool done = false;
    std::thread worker([&] {  // answers in batches, as the sequencer does
        std::unique_lock lock(mutex);
        for (;;) {
            some.wait(lock, [&] { return done || !queue.empty(); });
            if (done && queue.empty()) return;
            auto batch = std::move(queue);
            queue.clear();
            lock.unlock();
            for (auto& [number, sender] : batch) sender.complete(number * 2);
            lock.lock();
        }
    });
    {
        Running r(
            [&](Exchange& exchange) -> Task<void> {
                Completion<int> completion(exchange);
                {
                    std::lock_guard lock(mutex);
                    queue.emplace_back(std::stoi(exchange.head().path().substr(1)), completion.sender());
                    some.notify_one();
                }
                auto doubled = co_await completion.wait(10'000);
                Response response{200, {}, doubled.ok() ? std::to_string(*doubled) : doubled.error().message};
                (void)co_await exchange.respond(std::move(response));
            },
            {}, 2);
        std::vector<std::thread> clients;
        for (int c = 0; c < 4; ++c)
            clients.emplace_back([&, c] {
                auto s = TestSocket::connect(r.port);
                for (int i = 0; i < 200; ++i) {
                    int number = c * 1000 + i;
                    ASSERT_TRUE(s.send(request("GET", "/" + std::to_string(number), "")));
                    ASSERT_EQ(s.receive_response().second, std::to_string(number * 2));
                }
            });
        for (auto& c : clients) c.join();
    }
    {
        std::lock_guard lock(mutex);
        done = true;
        some.notify_one();
    }
    worker.join();
}

TEST(Server, a_wait_ends_when_its_time_is_over_or_the_answer_is_dropped) {
    Completion<std::string>::Sender late;
    Running r([&](Exchange& exchange) -> Task<void> {
        Completion<std::string> completion(exchange);
        auto sender = completion.sender();
        if (exchange.head().path() == "/late") late = std::move(sender);
        if (exchange.head().path() == "/now") sender.complete(std::string("here"));
        if (exchange.head().path() == "/drop") sender = {};
        auto answer = co_await completion.wait(100);
        Response response{200, {}, answer.ok() ? *answer : std::string(answer.error().message)};
        (void)co_await exchange.respond(std::move(response));
    });
    auto s = TestSocket::connect(r.port);
    ASSERT_TRUE(s.send(request("GET", "/late", "")));
    EXPECT_THAT(s.receive_response().second, StartsWith("no answer in time"));
    ASSERT_TRUE(s.send(request("GET", "/now", "")));
    EXPECT_EQ(s.receive_response().second, "here");
    ASSERT_TRUE(s.send(request("GET", "/drop", "")));
    EXPECT_THAT(s.receive_response().second, HasSubstr("dropped"));
    r.server.reset();
    late.complete(std::string("nobody is there"));
}

TEST(Server, server_sent_events_follow_a_signal) {
    Signal signal;
    Running r([&](Exchange& exchange) -> Task<void> {
        auto begun = co_await exchange.begin_stream(200, {{"Content-Type", "text/event-stream"}});
        if (!begun) co_return;
        uint64_t seen = 0;
        while (seen < 5) {
            auto now = co_await signal.wait_past(exchange, seen, 10'000);
            if (!now) co_return;
            seen = *now;
            std::string event = "data: " + std::to_string(seen) + "\n\n";
            auto written = co_await exchange.write(event);
            if (!written) co_return;
        }
    });
    std::vector<TestSocket> clients;
    for (int i = 0; i < 3; ++i) {
        clients.push_back(TestSocket::connect(r.port));
        ASSERT_TRUE(clients.back().send("GET /live HTTP/1.1\r\nHost: h\r\n\r\n"));
        EXPECT_THAT(clients.back().receive_until("\r\n\r\n"), HasSubstr("Transfer-Encoding: chunked\r\n"));
    }
    for (uint64_t value : {1, 3, 2, 5}) {
        signal.notify(value);
        if (value == 2) continue;  // it never goes back
        for (auto& c : clients) EXPECT_EQ(c.receive_until("\n\n\r\n"), "9\r\ndata: " + std::to_string(value) + "\n\n\r\n");
    }
    for (auto& c : clients) {
        EXPECT_EQ(c.receive_until("0\r\n\r\n"), "0\r\n\r\n");
        ASSERT_TRUE(c.send("GET /again HTTP/1.1\r\nHost: h\r\n\r\n"));  // the connection is still good
        EXPECT_THAT(c.receive_until("\r\n\r\n"), StartsWith("HTTP/1.1 200 OK\r\n"));
    }
}

TEST(Server, a_stream_notices_that_its_client_has_gone) {
    Gate begun, gone;
    Signal never;
    Running r([&](Exchange& exchange) -> Task<void> {
        (void)co_await exchange.begin_stream(200, {});
        begun.open();
        while (!exchange.client_gone()) (void)co_await never.wait_past(exchange, 1, 20);
        gone.open();
    });
    auto s = TestSocket::connect(r.port);
    ASSERT_TRUE(s.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
    ASSERT_TRUE(begun.wait());
    s.close();
    EXPECT_TRUE(gone.wait());
}

TEST(Server, a_client_that_does_not_read_its_answer_is_dropped) {
    Limits limits;
    limits.progress_timeout_ms = 100;
    Gate ended;
    Running r(
        [&](Exchange& exchange) -> Task<void> {
            Response response{200, {}, std::string(64 << 20, 'x')};
            auto sent = co_await exchange.respond(std::move(response));
            EXPECT_FALSE(sent.ok());
            ended.open();
        },
        limits);
    auto s = TestSocket::connect(r.port, 4096);
    ASSERT_TRUE(s.send(request("GET", "/", "")));
    EXPECT_TRUE(ended.wait());
}

TEST(Server, large_answers_arrive_whole) {
    std::string large(5 << 20, 'y');
    Running r([&](Exchange& exchange) -> Task<void> {
        Response response{200, {}, large};
        (void)co_await exchange.respond(std::move(response));
    });
    auto s = TestSocket::connect(r.port, 8192);
    for (int i = 0; i < 2; ++i) {
        ASSERT_TRUE(s.send(request("GET", "/", "")));
        EXPECT_EQ(s.receive_response().second, large);
    }
}

TEST(Server, connections_beyond_the_limit_are_told_503) {
    Limits limits;
    limits.connections = 2;
    Running r(echo, limits);
    auto a = TestSocket::connect(r.port), b = TestSocket::connect(r.port);
    for (auto* s : {&a, &b}) {
        ASSERT_TRUE(s->send(request("GET", "/", "")));
        s->receive_response();
    }
    auto c = TestSocket::connect(r.port);
    std::string told = c.receive_until("}}");
    EXPECT_THAT(told, StartsWith("HTTP/1.1 503 "));
    EXPECT_THAT(told, HasSubstr("Retry-After: 1\r\n"));
    EXPECT_EQ(r.server->counters().turned_away, 1u);
    ASSERT_TRUE(a.send(request("GET", "/", "")));
    EXPECT_EQ(a.receive_response().second, "GET / ");
}

TEST(Server, stop_lets_a_request_in_flight_finish_and_closes_the_idle) {
    Gate inside;
    std::mutex mutex;
    Completion<int>::Sender sender;
    auto r = std::make_unique<Running>([&](Exchange& exchange) -> Task<void> {
        Completion<int> completion(exchange);
        {
            std::lock_guard lock(mutex);
            sender = completion.sender();
        }
        inside.open();
        auto answer = co_await completion.wait(10'000);
        Response response{200, {}, answer.ok() ? "finished" : "not finished"};
        (void)co_await exchange.respond(std::move(response));
    });
    auto idle = TestSocket::connect(r->port), busy = TestSocket::connect(r->port);
    ASSERT_TRUE(busy.send(request("GET", "/", "")));
    ASSERT_TRUE(inside.wait());
    std::thread stopper([&] { r->server->stop(); });
    EXPECT_EQ(idle.receive_all(), "");
    {
        std::lock_guard lock(mutex);
        sender.complete(1);
    }
    std::string all = busy.receive_all();
    EXPECT_THAT(all, HasSubstr("finished"));
    EXPECT_THAT(all, HasSubstr("Connection: close"));
    busy.close();
    stopper.join();
}

TEST(Server, stop_ends_what_does_not_finish) {
    Limits limits;
    limits.stop_timeout_ms = 100;
    Gate one, two;
    Signal signal;
    std::vector<Completion<int>::Sender> held;
    auto r = std::make_unique<Running>(
        [&](Exchange& exchange) -> Task<void> {
            if (exchange.head().path() == "/stream") {
                (void)co_await exchange.begin_stream(200, {});
                one.open();
                auto never = co_await signal.wait_past(exchange, 0, 3'600'000);
                EXPECT_FALSE(never.ok());
                co_return;
            }
            if (exchange.head().path() == "/body") {
                (void)co_await exchange.read_body(1000);
                co_return;
            }
            Completion<int> completion(exchange);
            held.push_back(completion.sender());
            two.open();
            auto never = co_await completion.wait(3'600'000);
            EXPECT_FALSE(never.ok());
        },
        limits);
    auto a = TestSocket::connect(r->port), b = TestSocket::connect(r->port), c = TestSocket::connect(r->port);
    ASSERT_TRUE(a.send(request("GET", "/stream", "")));
    ASSERT_TRUE(b.send(request("GET", "/wait", "")));
    ASSERT_TRUE(c.send("POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nabc"));
    ASSERT_TRUE(one.wait());
    ASSERT_TRUE(two.wait());
    r->server->stop();
    EXPECT_EQ(r->server->counters().open, 0u);
    r.reset();
    held[0].complete(7);
}

TEST(Server, says_what_it_cannot_listen_on) {
    Running r(echo);
    Options taken;
    taken.port = r.port;
    Server second(taken, echo);
    auto failed = second.start();
    ASSERT_FALSE(failed.ok());
    EXPECT_THAT(failed.error().message, HasSubstr("cannot listen on 127.0.0.1:" + std::to_string(r.port)));
    Options named;
    named.host = "example.org";
    Server third(named, echo);
    auto refused = third.start();
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().kind, ErrorKind::invalid);
}

TEST(Server, many_connections_of_all_manners_leave_nothing_open) {
    Running r(echo, {}, 2);
    std::vector<std::thread> clients;
    for (int c = 0; c < 8; ++c)
        clients.emplace_back([&, c] {
            for (int i = 0; i < 40; ++i) {
                auto s = TestSocket::connect(r.port);
                switch ((c + i) % 5) {
                    case 0: s.reset(); break;
                    case 1: s.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc"); break;
                    case 2:
                        s.send("garbage\r\n\r\n");
                        s.receive_all();
                        break;
                    case 3:
                        s.send(request("POST", "/", "x"));
                        s.reset();
                        break;
                    default: s.send(request("POST", "/", "x")); EXPECT_EQ(s.receive_response().second, "POST / x");
                }
            }
        });
    for (auto& c : clients) c.join();
    r.server->stop();
    EXPECT_EQ(r.server->counters().open, 0u);
}

}  // namespace
}  // namespace waybill::http
