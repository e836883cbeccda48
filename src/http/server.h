// The HTTP/1.1 server: accepts connections, reads requests, calls one handler, writes its answers.
//
// One io_context a thread; a connection stays on the thread that got it, and its requests are answered in order, one at a time.
// The handler is a coroutine on that thread: it never blocks, and waits only through Exchange and http/wait.h, so that stop() can
// end every wait. A request costs one read and one write in the ordinary case, and no hop between threads.
//
// Promised: whatever bytes arrive, the server answers or closes; it never crashes, and a connection's memory is bounded by Limits
// and by what the handler keeps. A malformed request is answered 400, a head too large 431, a client too slow 408, each with a
// JSON error body, and the connection is closed. Never: TLS (a proxy's work), HTTP/2, compression, redirects, files.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/head.h"
#include "http/response.h"
#include "http/task.h"

namespace waybill::http {

class Connection;
class Loop;
class Waiting;

// What the clients of a server may take. Spans in milliseconds.
struct Limits {
    size_t head_bytes = 64 * 1024;     // request line and fields; a SigV4 session token takes up to ~3 KiB
    int64_t head_timeout_ms = 15'000;  // from a request's first byte to the end of its head (slowloris)
    int64_t idle_timeout_ms = 75'000;  // a kept-alive connection without a request; longer than most proxies' 60 s
    // A body must make this much progress in any such span of waiting for it; the span the handler works does not count. The same
    // span bounds a client that does not take the answer.
    int64_t progress_timeout_ms = 20'000;
    size_t progress_bytes = 1024;
    size_t connections = 4096;                // beyond: 503 with Retry-After, and closed
    uint64_t body_bytes = uint64_t{4} << 30;  // the most a streamed body may hold; read_body() has its own limit
    size_t drain_bytes = 1024 * 1024;         // of a body that the handler did not want, before the connection is closed anyhow
    int64_t drain_timeout_ms = 2'000;
    int64_t stop_timeout_ms = 5'000;  // stop() lets requests in flight finish for so long
};

struct Options {
    std::string host = "127.0.0.1";  // a numeric address, or "localhost"
    uint16_t port = 0;               // 0: a free one, told by start()
    unsigned threads = 1;
    Limits limits;
};

enum class Woken { ready, timed_out, stopped };

// One request that is being answered. Lives while the handler runs; for the handler's own thread.
class Exchange {
public:
    explicit Exchange(Connection& connection) : connection_(connection) {}
    Exchange(const Exchange&) = delete;
    Exchange& operator=(const Exchange&) = delete;

    const Head& head() const;

    // The whole body. Beyond `limit` bytes: invalid, and refusal_status() is 413; nothing more of the body is read.
    Task<Result<std::string>> read_body(size_t limit);
    // The next piece of the body, de-chunked, at most 64 KiB; empty at its end. The view holds until the next read. After an
    // error (invalid: the framing is broken; unavailable: the client left or was too slow) the request can still be answered.
    Task<Result<std::string_view>> read_some();
    uint64_t body_bytes_read() const;
    // After a failed read: the status that says why (400, 408, 413), or 499 where the client has gone and nobody will read an
    // answer.
    int refusal_status() const;

    // Answers, once. A handler that returns without an answer gets one made: the refusal's status, else 500.
    Task<Result<void>> respond(Response response);
    // Answers piece by piece (chunked; server-sent events). Each write is on its way when it returns; an error means the client
    // is gone. end_stream() may be left out: the end of the handler ends the stream.
    Task<Result<void>> begin_stream(int status, std::vector<std::pair<std::string, std::string>> headers);
    Task<Result<void>> write(std::string_view data);
    Task<Result<void>> end_stream();

    bool responded() const;
    // True when the client has closed its side (asks the kernel; a client that merely half-closed counts as gone).
    bool client_gone();
    // True from the moment stop() was called: a handler that streams without end should end.
    bool stopping() const;

    // For http/wait.h: sleeps until waiting.wake(), the timeout, or the server's stop; with until_stop, stop() wakes at once,
    // else at stop()'s deadline.
    Task<Woken> suspend(Waiting& waiting, int64_t timeout_ms, bool until_stop);
    const std::shared_ptr<Loop>& loop() const;

private:
    Connection& connection_;
};

// Called for each request, on the connection's thread. What it captures must outlive the server.
using Handler = std::function<Task<void>(Exchange&)>;

class Server {
public:
    Server(Options options, Handler handler);
    ~Server();  // stop()s
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    // Binds and starts the threads; the port that is listened on. Called once.
    Result<uint16_t> start();
    // Stops accepting, closes idle connections, lets requests in flight finish until stop_timeout_ms, then ends them; joins the
    // threads. No handler runs after it returns. May be called again; not from a handler.
    void stop();

    struct Counters {
        uint64_t accepted = 0, turned_away = 0, requests = 0, refused = 0;  // refused: answered by the server itself with 4xx
        uint64_t open = 0;
    };
    Counters counters() const;  // any thread

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace waybill::http
