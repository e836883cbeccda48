// What does the server cost a request, next to the least that a socket loop can cost?
//
// Both answer the same tiny POST with the same bytes, from one thread, to the same client (one thread, 32 kept connections, one
// request in flight on each) in the same run. The bare loop reads, counts bytes and writes a fixed answer: no parsing, no limits,
// no deadlines. Reported: requests a second, and the server thread's CPU time a request (the process's less the client's).
#include <benchmark/benchmark.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <time.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "http/server.h"
#include "http/test_socket.h"
#include "http/wait.h"

namespace waybill::http {
namespace {

constexpr int connections = 32;
constexpr std::string_view tiny_post =
    "POST / HTTP/1.1\r\nHost: 127.0.0.1:4566\r\nX-Amz-Target: AWSEvents.PutEvents\r\nContent-Type: application/x-amz-json-1.1\r\n"
    "User-Agent: bench\r\nContent-Length: 14\r\n\r\n{\"Entries\":[]}";

int64_t cpu_ns(clockid_t clock) {
    timespec t{};
    clock_gettime(clock, &t);
    return t.tv_sec * 1'000'000'000ll + t.tv_nsec;
}

void set_no_delay(int fd) {
    int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

// Drives the server on `port`; one iteration is one request answered.
void drive(benchmark::State& state, uint16_t port) {
    std::vector<TestSocket> sockets;
    int epoll = ::epoll_create1(0);
    for (int i = 0; i < connections; ++i) {
        sockets.push_back(TestSocket::connect(port));
        set_no_delay(sockets.back().fd());
        epoll_event e{EPOLLIN, {.fd = sockets.back().fd()}};
        ::epoll_ctl(epoll, EPOLL_CTL_ADD, sockets.back().fd(), &e);
    }
    for (auto& s : sockets) s.send(tiny_post);
    char buffer[4096];
    epoll_event events[connections];
    int64_t process = cpu_ns(CLOCK_PROCESS_CPUTIME_ID), self = cpu_ns(CLOCK_THREAD_CPUTIME_ID), answered = 0;
    while (state.KeepRunningBatch(connections)) {
        for (int left = connections; left > 0;) {
            int n = ::epoll_wait(epoll, events, connections, -1);
            for (int i = 0; i < n; ++i) {
                if (::recv(events[i].data.fd, buffer, sizeof buffer, 0) <= 0)
                    return state.SkipWithError("a connection was closed");
                ::send(events[i].data.fd, tiny_post.data(), tiny_post.size(), MSG_NOSIGNAL);
                --left;
                ++answered;
            }
        }
    }
    process = cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - process;
    self = cpu_ns(CLOCK_THREAD_CPUTIME_ID) - self;
    ::close(epoll);
    state.SetItemsProcessed(answered);
    state.counters["server_us_per_request"] = static_cast<double>(process - self) / 1000.0 / static_cast<double>(answered);
}

void bare_epoll(benchmark::State& state) {
    auto [listener, port] = TestSocket::listen();
    std::atomic<bool> stop{false};
    std::thread server([&] {
        static constexpr std::string_view answer =
            "HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: 2\r\nDate: Thu, 01 Jan 1970 00:00:00 "
            "GMT\r\n\r\n{}";
        int epoll = ::epoll_create1(0);
        epoll_event e{EPOLLIN, {.fd = listener.fd()}};
        ::epoll_ctl(epoll, EPOLL_CTL_ADD, listener.fd(), &e);
        epoll_event events[64];
        char buffer[8192];
        while (!stop) {
            int n = ::epoll_wait(epoll, events, 64, 100);
            for (int i = 0; i < n; ++i) {
                int fd = events[i].data.fd;
                if (fd == listener.fd()) {
                    int accepted = ::accept(fd, nullptr, nullptr);
                    set_no_delay(accepted);
                    epoll_event more{EPOLLIN, {.fd = accepted}};
                    ::epoll_ctl(epoll, EPOLL_CTL_ADD, accepted, &more);
                } else if (::recv(fd, buffer, sizeof buffer, 0) <= 0) {
                    ::close(fd);
                } else {
                    ::send(fd, answer.data(), answer.size(), MSG_NOSIGNAL);
                }
            }
        }
        ::close(epoll);
    });
    drive(state, port);
    stop = true;
    server.join();
}
BENCHMARK(bare_epoll)->UseRealTime();

Task<void> answer_at_once(Exchange& exchange) {
    auto body = co_await exchange.read_body(1 << 20);
    if (!body) co_return;
    Response response{200, {{"Content-Type", "application/x-amz-json-1.1"}}, "{}"};
    (void)co_await exchange.respond(std::move(response));
}

void waybill_server(benchmark::State& state) {
    Server server({}, answer_at_once);
    auto port = server.start();
    drive(state, *port);
}
BENCHMARK(waybill_server)->UseRealTime();

// The same with the answer made on another thread, as the sequencer does: what waiting for it adds.
void waybill_server_completed_elsewhere(benchmark::State& state) {
    std::mutex mutex;
    std::condition_variable some;
    std::vector<Completion<std::string>::Sender> queue;
    bool done = false;
    std::thread worker([&] {
        std::unique_lock lock(mutex);
        for (;;) {
            some.wait(lock, [&] { return done || !queue.empty(); });
            if (done) return;
            auto batch = std::move(queue);
            queue.clear();
            lock.unlock();
            for (auto& sender : batch) sender.complete(std::string("{}"));
            lock.lock();
        }
    });
    {
        Server server({}, [&](Exchange& exchange) -> Task<void> {
            auto body = co_await exchange.read_body(1 << 20);
            if (!body) co_return;
            Completion<std::string> completion(exchange);
            {
                std::lock_guard lock(mutex);
                queue.push_back(completion.sender());
                if (queue.size() == 1) some.notify_one();
            }
            auto answer = co_await completion.wait(10'000);
            if (!answer) co_return;
            Response response{200, {{"Content-Type", "application/x-amz-json-1.1"}}, std::move(*answer)};
            (void)co_await exchange.respond(std::move(response));
        });
        auto port = server.start();
        drive(state, *port);
    }
    {
        std::lock_guard lock(mutex);
        done = true;
        queue.clear();
        some.notify_one();
    }
    worker.join();
}
BENCHMARK(waybill_server_completed_elsewhere)->UseRealTime();

}  // namespace
}  // namespace waybill::http

BENCHMARK_MAIN();
