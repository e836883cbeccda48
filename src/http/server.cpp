#include "http/server.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <condition_variable>
#include <ctime>
#include <functional>
#include <thread>

#include "http/loop.h"
#include "http/request_reader.h"
#include "http/wait.h"
#include "world/priority.h"

namespace waybill::http {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;

namespace {

constexpr auto use_tuple = asio::as_tuple(asio::use_awaitable);
constexpr size_t turned_away_at_once = 64;  // connections beyond the limit that are still told 503 before they are closed
constexpr int64_t accept_retry_ms = 100;    // after running out of file descriptors or memory

struct Counts {
    std::atomic<uint64_t> accepted{0}, turned_away{0}, requests{0}, refused{0}, open{0};
    std::mutex mutex;
    std::condition_variable all_closed;
};

std::string_view kind_of(int status) {
    if (status == 503) return to_string(ErrorKind::overloaded);
    if (status == 408) return to_string(ErrorKind::unavailable);
    if (status >= 500) return to_string(ErrorKind::corrupt);
    return to_string(ErrorKind::invalid);
}

}  // namespace

int64_t steady_now_ms() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

class Connection : public std::enable_shared_from_this<Connection> {
public:
    Connection(std::shared_ptr<Loop> loop, tcp::socket socket, const Limits& limits, const Handler& handler, Counts& counts)
        : loop_(std::move(loop)),
          socket_(std::move(socket)),
          limits_(limits),
          handler_(handler),
          counts_(counts),
          reader_(limits.head_bytes),
          place_(loop_->add(this)) {
        boost::system::error_code ec;
        auto peer = socket_.remote_endpoint(ec);
        if (!ec) {
            bool v6 = peer.address().is_v6();
            reader_.head().set_remote(
                fmt::format("{}{}{}:{}", v6 ? "[" : "", peer.address().to_string(ec), v6 ? "]" : "", peer.port()));
        }
    }
    ~Connection() {
        loop_->remove(place_);
        // Under the lock, so that stop() cannot miss the last one between its look and its sleep.
        std::lock_guard lock(counts_.mutex);
        if (counts_.open.fetch_sub(1) == 1) counts_.all_closed.notify_all();
    }

    static Task<void> serve(std::shared_ptr<Connection> self) {
        co_await self->run();
        self->close();
    }
    static Task<void> turn_away(std::shared_ptr<Connection> self) {
        Response response = error_response(503, kind_of(503), "too many connections: try again");
        response.headers.emplace_back("Retry-After", "1");
        self->keep_alive_ = false;
        (void)co_await self->send(std::move(response));  // it is closed either way
        co_await self->linger();
        self->close();
    }

    // --- for the loop
    // -------------------------------------------------------------------------------------------------------------
    int64_t deadline() const { return deadline_ms_; }

    void on_deadline() {
        deadline_ms_ = Loop::no_deadline;
        if (waiting_) return resume(Woken::timed_out);
        timed_out_ = true;
        boost::system::error_code ec;
        socket_.cancel(ec);
    }
    void on_wake() { resume(Woken::ready); }
    // stop() was called: what is idle ends now, what is in flight ends by itself.
    void on_stop() {
        stopping_ = true;
        if (waiting_ && wakes_on_stop_) return resume(Woken::stopped);
        if (between_requests_ && !reader_.has_bytes()) close();
    }
    // stop() has waited long enough.
    void on_stop_deadline() {
        stopping_ = true;
        ended_ = true;
        if (waiting_) return resume(Woken::stopped);
        close();
    }

    // --- for Exchange
    // -------------------------------------------------------------------------------------------------------------
    const Head& head() const { return reader_.head(); }
    const std::shared_ptr<Loop>& loop() const { return loop_; }
    uint64_t body_bytes() const { return reader_.body_bytes(); }
    int refusal_status() const { return refusal_status_; }
    bool responded() const { return responded_; }
    bool stopping() const { return stopping_; }
    bool client_gone() {
        char byte;
        ssize_t n = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
    }

    Task<Result<std::string>> read_body(size_t limit) {
        std::string body;
        if (auto length = reader_.content_length()) {
            if (*length > limit) {
                refusal_status_ = 413;
                co_return invalid(fmt::format("the request body has {} bytes; at most {} are taken here", *length, limit));
            }
            body.reserve(*length);
        }
        for (;;) {
            auto read = co_await read_some();
            if (!read) co_return std::move(read).error();
            if (read->empty()) co_return std::move(body);
            if (body.size() + read->size() > limit) {
                refusal_status_ = 413;
                co_return invalid(fmt::format("the request body exceeds {} bytes, the most that is taken here", limit));
            }
            body.append(*read);
        }
    }

    Task<Result<std::string_view>> read_some() {
        if (refusal_status_ != 0) co_return unavailable("the request body could not be read to its end");
        for (;;) {
            std::string_view piece;
            auto step = reader_.next_body(piece);
            if (step == RequestReader::Step::refused) {
                refusal_status_ = reader_.refusal().status;
                refusal_message_ = reader_.refusal().message;
                co_return invalid(refusal_message_);
            }
            if (step == RequestReader::Step::ready) {
                if (reader_.body_bytes() > limits_.body_bytes) {
                    refusal_status_ = 413;
                    co_return invalid(fmt::format("the request body exceeds {} bytes", limits_.body_bytes));
                }
                made_progress(piece.size());
                co_return piece;
            }
            if (expects_continue_) {
                expects_continue_ = false;
                bool sent = co_await write_all("HTTP/1.1 100 Continue\r\n\r\n", {}, {});
                if (!sent) {
                    refusal_status_ = 499;
                    co_return unavailable("the client went away before it sent the request body");
                }
            }
            int64_t begun_ms = steady_now_ms();
            set_deadline(begun_ms + limits_.progress_timeout_ms - waited_ms_);
            bool filled = co_await fill();
            clear_deadline();
            waited_ms_ += steady_now_ms() - begun_ms;
            if (filled) continue;
            refusal_status_ = timed_out_ ? 408 : 499;
            refusal_message_ = timed_out_ ? "the request body came too slowly" : "the client went away inside the request body";
            co_return unavailable(refusal_message_);
        }
    }

    Task<Result<void>> respond(Response response) {
        ASSERT(!responded_);
        responded_ = true;
        co_return co_await send(std::move(response));
    }

    Task<Result<void>> begin_stream(int status, std::vector<std::pair<std::string, std::string>> headers) {
        ASSERT(!responded_);
        responded_ = true;
        streaming_ = true;
        chunked_ = head().minor_version() == 1;
        if (!chunked_) keep_alive_ = false;  // HTTP/1.0 knows the end of the answer by the end of the connection
        settle_keep_alive();
        out_.clear();
        write_head(out_, status, headers);
        if (chunked_) out_.append("Transfer-Encoding: chunked\r\n");
        end_head();
        co_return written(co_await write_all(out_, {}, {}));
    }

    Task<Result<void>> write(std::string_view data) {
        ASSERT(streaming_);
        if (data.empty() || head().method() == "HEAD") co_return Result<void>();
        if (!chunked_) co_return written(co_await write_all(data, {}, {}));
        char size[24];
        auto end = fmt::format_to(size, "{:x}\r\n", data.size());
        std::string_view framing(size, static_cast<size_t>(end - size));
        co_return written(co_await write_all(framing, data, "\r\n"));
    }

    Task<Result<void>> end_stream() {
        if (!streaming_) co_return Result<void>();
        streaming_ = false;
        if (!chunked_ || head().method() == "HEAD") co_return Result<void>();
        co_return written(co_await write_all("0\r\n\r\n", {}, {}));
    }

    Task<Woken> suspend(Waiting& waiting, int64_t timeout_ms, bool until_stop) {
        if (ended_ || (until_stop && stopping_)) co_return Woken::stopped;
        ASSERT(!waiting_);
        waiting_ = &waiting;
        waiting.suspended_ = this;
        wakes_on_stop_ = until_stop;
        int64_t now_ms = steady_now_ms();
        set_deadline(timeout_ms < Loop::no_deadline - now_ms ? now_ms + timeout_ms : Loop::no_deadline);
        auto keep = [this](auto&& handler) { sleeper_ = std::move(handler); };
        co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(keep, asio::use_awaitable);
        clear_deadline();
        co_return woken_;
    }

private:
    Task<void> run() {
        bool first = true;
        while (!stopping_) {
            bool there = co_await read_head(first);
            first = false;
            if (!there) break;
            Exchange exchange(*this);
            bool thrown = false;
            try {
                Task<void> answer = handler_(exchange);
                co_await std::move(answer);
            } catch (...) {  // ours do not throw; the library's memory exhaustion may
                thrown = true;
            }
            if (refusal_status_ == 499) co_return;
            if (!responded_) {
                responded_ = true;
                int status = refusal_status_ == 0 || thrown ? 500 : refusal_status_;
                std::string_view message = status == 500 ? std::string_view("the request was not answered") : refusal_message_;
                if (status < 500) counts_.refused.fetch_add(1, std::memory_order_relaxed);
                Response response = error_response(status, kind_of(status), message);
                (void)co_await send(std::move(response));  // a failure shows in keep_alive_ and broken_
            } else if (streaming_) {
                (void)co_await end_stream();
            }
            if (keep_alive_) continue;
            if (!broken_) co_await linger();
            co_return;
        }
    }

    // False: there is no further request on this connection (and what there was to say about it has been said).
    Task<bool> read_head(bool first) {
        keep_alive_ = true;
        responded_ = streaming_ = expects_continue_ = false;
        refusal_status_ = 0;
        refusal_message_.clear();
        waited_ms_ = 0;
        progress_bytes_ = 0;
        between_requests_ = true;
        bool begun = false;
        for (;;) {
            auto step = reader_.next_head();
            if (step == RequestReader::Step::ready) break;
            if (step == RequestReader::Step::refused) {
                Refusal refusal = reader_.refusal();
                co_await refuse(refusal.status, std::move(refusal.message));
                co_return false;
            }
            bool begins = !begun && reader_.has_bytes();
            if (begins) begun = true;
            if (begins || deadline_ms_ == Loop::no_deadline)
                set_deadline(steady_now_ms() + (begun || first ? limits_.head_timeout_ms : limits_.idle_timeout_ms));
            bool filled = co_await fill();
            if (filled) continue;
            clear_deadline();
            if (timed_out_ && begun) co_await refuse(408, "the request's head came too slowly");
            co_return false;
        }
        clear_deadline();
        between_requests_ = false;
        counts_.requests.fetch_add(1, std::memory_order_relaxed);
        auto expect = head().header("Expect");
        if (expect && !same_name(*expect, "100-continue")) {
            co_await refuse(417, "the only expectation understood is 100-continue");
            co_return false;
        }
        expects_continue_ = expect.has_value() && head().minor_version() == 1;
        co_return true;
    }

    // The server's own answer to a request that no handler sees.
    Task<void> refuse(int status, std::string message) {
        counts_.refused.fetch_add(1, std::memory_order_relaxed);
        keep_alive_ = false;
        out_.clear();
        Response response = error_response(status, kind_of(status), message);
        (void)co_await send(std::move(response));
        co_await linger();
    }

    Task<Result<void>> send(Response response) {
        settle_keep_alive();
        out_.clear();
        write_head(out_, response.status, response.headers);
        bool bodiless = response.status == 204 || response.status == 304 || response.status < 200;
        if (!bodiless) out_.append("Content-Length: ").append(std::to_string(response.body.size())).append("\r\n");
        end_head();
        std::string_view body = response.body;
        if (bodiless || head().method() == "HEAD") body = {};
        bool sent = co_await write_all(out_, body, {});
        if (out_.capacity() > 16 * 1024) out_ = std::string();
        co_return written(sent);
    }

    void end_head() {
        out_.append(loop_->date_line());
        if (!keep_alive_)
            out_.append("Connection: close\r\n");
        else if (head().minor_version() == 0)
            out_.append("Connection: keep-alive\r\n");
        out_.append("\r\n");
    }

    // Whether another request may follow: only if this one's body has been taken to its end. What of it is here already is taken
    // now.
    void settle_keep_alive() {
        if (!keep_alive_) return;
        keep_alive_ = refusal_status_ == 0 && !stopping_ && reader_.keep_alive();
        std::string_view piece;
        while (keep_alive_ && !reader_.body_done())
            if (reader_.next_body(piece) != RequestReader::Step::ready) keep_alive_ = false;
    }

    Result<void> written(bool sent) {
        if (sent) return {};
        return unavailable("the client went away before it had the answer");
    }

    Task<bool> fill() {
        auto room = reader_.room();
        auto buffer = asio::buffer(room.data, room.size);
        auto [ec, n] = co_await socket_.async_read_some(buffer, use_tuple);
        if (ec) co_return false;
        reader_.received(n);
        co_return true;
    }

    // All three pieces in as few writes as the socket takes, nearly always one.
    Task<bool> write_all(std::string_view a, std::string_view b, std::string_view c) {
        if (broken_) co_return false;
        iovec pieces[3] = {{const_cast<char*>(a.data()), a.size()},
                           {const_cast<char*>(b.data()), b.size()},
                           {const_cast<char*>(c.data()), c.size()}};
        size_t at = 0;
        waited_ms_ = 0;
        progress_bytes_ = 0;
        for (;;) {
            while (at < 3 && pieces[at].iov_len == 0) ++at;
            if (at == 3) co_return true;
            msghdr message{};
            message.msg_iov = pieces + at;
            message.msg_iovlen = 3 - at;
            ssize_t n = ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (n >= 0) {
                auto sent = static_cast<size_t>(n);
                made_progress(sent);
                for (size_t i = at; i < 3 && sent > 0; ++i) {
                    size_t part = std::min(sent, pieces[i].iov_len);
                    pieces[i].iov_base = static_cast<char*>(pieces[i].iov_base) + part;
                    pieces[i].iov_len -= part;
                    sent -= part;
                }
                continue;
            }
            if (errno == EINTR) continue;
            if (errno != EAGAIN && errno != EWOULDBLOCK) break;
            int64_t begun_ms = steady_now_ms();
            set_deadline(begun_ms + limits_.progress_timeout_ms - waited_ms_);
            auto [ec] = co_await socket_.async_wait(tcp::socket::wait_write, use_tuple);
            clear_deadline();
            waited_ms_ += steady_now_ms() - begun_ms;
            if (ec) break;
        }
        broken_ = true;
        keep_alive_ = false;
        co_return false;
    }

    // After the last answer: a close with bytes unread would reset the connection and could take the answer with it.
    Task<void> linger() {
        if (broken_ || ended_) co_return;
        boost::system::error_code ec;
        socket_.shutdown(tcp::socket::shutdown_send, ec);
        if (ec) co_return;
        set_deadline(steady_now_ms() + limits_.drain_timeout_ms);
        std::vector<char> scrap(16 * 1024);
        auto buffer = asio::buffer(scrap);
        for (size_t drained = 0; drained < limits_.drain_bytes;) {
            auto [failed, n] = co_await socket_.async_read_some(buffer, use_tuple);
            if (failed) break;
            drained += n;
        }
        clear_deadline();
    }

    void resume(Woken woken) {
        waiting_->suspended_ = nullptr;
        waiting_ = nullptr;
        woken_ = woken;
        auto self = shared_from_this();  // the handler may run to the connection's end in here
        auto sleeper = std::move(sleeper_);
        sleeper_ = nullptr;
        sleeper();
    }

    void made_progress(size_t n) {
        progress_bytes_ += n;
        if (progress_bytes_ < limits_.progress_bytes) return;
        progress_bytes_ = 0;
        waited_ms_ = 0;
    }
    void set_deadline(int64_t deadline_ms) {
        timed_out_ = false;
        deadline_ms_ = deadline_ms;
        loop_->watch(deadline_ms);
    }
    void clear_deadline() { deadline_ms_ = Loop::no_deadline; }
    void close() {
        boost::system::error_code ec;
        socket_.close(ec);
        broken_ = true;
        keep_alive_ = false;
    }

    std::shared_ptr<Loop> loop_;
    tcp::socket socket_;
    const Limits& limits_;
    const Handler& handler_;
    Counts& counts_;
    RequestReader reader_;
    Loop::Place place_;
    std::string out_;  // the head that is being written; its memory is used again

    int64_t deadline_ms_ = Loop::no_deadline;
    int64_t waited_ms_ = 0;      // for the client, since it last made progress
    size_t progress_bytes_ = 0;  // in that time
    bool timed_out_ = false;     // the last read or write was ended by its deadline

    bool between_requests_ = true;
    bool keep_alive_ = true;
    bool responded_ = false;
    bool streaming_ = false;
    bool chunked_ = false;
    bool expects_continue_ = false;
    bool broken_ = false;    // the socket is closed or failed: nothing can be written
    bool stopping_ = false;  // stop() was called
    bool ended_ = false;     // and its deadline has passed
    int refusal_status_ = 0;
    std::string refusal_message_;

    Waiting* waiting_ = nullptr;  // what the handler sleeps on
    bool wakes_on_stop_ = false;
    Woken woken_ = Woken::ready;
    std::move_only_function<void()> sleeper_;  // continues the handler
};

// --- Loop
// ---------------------------------------------------------------------------------------------------------------------------

void Loop::run() {
    context_.run();
    std::lock_guard lock(mutex_);
    closed_ = true;
    woken_.clear();
}

void Loop::remove(Place place) {
    connections_.erase(place);
    if (connections_.empty()) {
        timer_.cancel();
        armed_ms_ = no_deadline;
    }
}

void Loop::queue_wake(std::shared_ptr<Waiting> waiting) {
    bool first = false;
    {
        std::lock_guard lock(mutex_);
        if (closed_ || waiting->queued_) return;
        waiting->queued_ = true;
        woken_.push_back(std::move(waiting));
        first = woken_.size() == 1;
        // Inside the lock: after run() has closed the loop, nothing may be posted to it.
        if (first) asio::post(context_, [this] { wake_queued(); });
    }
}

void Loop::wake_queued() {
    {
        std::lock_guard lock(mutex_);
        waking_.swap(woken_);
        for (auto& waiting : waking_) waiting->queued_ = false;
    }
    for (auto& waiting : waking_)
        if (waiting->suspended_) waiting->suspended_->on_wake();
    waking_.clear();
}

void Loop::arm(int64_t deadline_ms) {
    armed_ms_ = std::max(deadline_ms, swept_ms_ + sweep_gap_ms);
    auto span = std::chrono::milliseconds(std::max<int64_t>(0, armed_ms_ - steady_now_ms()));
    timer_.expires_after(std::min<std::chrono::milliseconds>(span, std::chrono::hours(24)));
    timer_.async_wait([this](boost::system::error_code ec) {
        if (!ec) sweep();
    });
}

void Loop::sweep() {
    armed_ms_ = no_deadline;
    swept_ms_ = steady_now_ms();
    std::vector<std::shared_ptr<Connection>> due;
    int64_t next_ms = no_deadline;
    for (Connection* connection : connections_) {
        if (connection->deadline() <= swept_ms_)
            due.push_back(connection->shared_from_this());
        else
            next_ms = std::min(next_ms, connection->deadline());
    }
    if (next_ms != no_deadline) watch(next_ms);
    for (auto& connection : due)
        if (connection->deadline() <= swept_ms_) connection->on_deadline();
}

const std::string& Loop::date_line() {
    std::time_t now = std::time(nullptr);
    if (now != date_second_) {
        static constexpr const char* days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
        static constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
        std::tm utc{};
        gmtime_r(&now, &utc);
        date_line_ = fmt::format("Date: {}, {:02} {} {} {:02}:{:02}:{:02} GMT\r\n", days[utc.tm_wday], utc.tm_mday,
                                 months[utc.tm_mon], utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
        date_second_ = now;
    }
    return date_line_;
}

// --- Exchange
// -----------------------------------------------------------------------------------------------------------------------

const Head& Exchange::head() const { return connection_.head(); }
Task<Result<std::string>> Exchange::read_body(size_t limit) { return connection_.read_body(limit); }
Task<Result<std::string_view>> Exchange::read_some() { return connection_.read_some(); }
uint64_t Exchange::body_bytes_read() const { return connection_.body_bytes(); }
int Exchange::refusal_status() const { return connection_.refusal_status(); }
Task<Result<void>> Exchange::respond(Response response) { return connection_.respond(std::move(response)); }
Task<Result<void>> Exchange::begin_stream(int status, std::vector<std::pair<std::string, std::string>> headers) {
    return connection_.begin_stream(status, std::move(headers));
}
Task<Result<void>> Exchange::write(std::string_view data) { return connection_.write(data); }
Task<Result<void>> Exchange::end_stream() { return connection_.end_stream(); }
bool Exchange::responded() const { return connection_.responded(); }
bool Exchange::client_gone() { return connection_.client_gone(); }
bool Exchange::stopping() const { return connection_.stopping(); }
Task<Woken> Exchange::suspend(Waiting& waiting, int64_t timeout_ms, bool until_stop) {
    return connection_.suspend(waiting, timeout_ms, until_stop);
}
const std::shared_ptr<Loop>& Exchange::loop() const { return connection_.loop(); }

// --- Server
// -------------------------------------------------------------------------------------------------------------------------

struct Server::State {
    State(Options options_, Handler handler_) : options(std::move(options_)), handler(std::move(handler_)) {}

    using Guard = asio::executor_work_guard<asio::io_context::executor_type>;

    Options options;
    Handler handler;
    Counts counts;
    std::vector<std::shared_ptr<Loop>> loops;
    std::vector<Guard> guards;
    std::vector<std::thread> threads;
    std::unique_ptr<tcp::acceptor> acceptor;           // the first loop's thread
    std::unique_ptr<asio::steady_timer> accept_again;  // the same
    size_t next_loop = 0;

    void accept() {
        std::shared_ptr<Loop> loop = loops[next_loop++ % loops.size()];
        acceptor->async_accept(loop->context(), [this, loop](boost::system::error_code ec, tcp::socket socket) {
            if (!acceptor->is_open()) return;
            if (ec == asio::error::connection_aborted) return accept();
            if (ec) {
                spdlog::warn("http_accept_failed reason=\"{}\" retry_ms={}", ec.message(), accept_retry_ms);
                accept_again->expires_after(std::chrono::milliseconds(accept_retry_ms));
                accept_again->async_wait([this](boost::system::error_code stopped) {
                    if (!stopped) accept();
                });
                return;
            }
            counts.accepted.fetch_add(1, std::memory_order_relaxed);
            uint64_t open = counts.open.fetch_add(1);
            bool full = open >= options.limits.connections;
            if (full) counts.turned_away.fetch_add(1, std::memory_order_relaxed);
            if (open >= options.limits.connections + turned_away_at_once) {
                counts.open.fetch_sub(1);
            } else {
                boost::system::error_code ignored;
                socket.set_option(tcp::no_delay(true), ignored);
                asio::post(loop->context(), [this, loop, full, socket = std::move(socket)]() mutable {
                    auto connection = std::make_shared<Connection>(loop, std::move(socket), options.limits, handler, counts);
                    auto life = full ? Connection::turn_away(connection) : Connection::serve(connection);
                    asio::co_spawn(loop->context(), std::move(life), [](std::exception_ptr thrown) { ASSERT(!thrown); });
                });
            }
            accept();
        });
    }

    // Runs on every loop's thread and returns when all have run it.
    void on_each_loop(const std::function<void(Loop&)>& act) {
        std::mutex mutex;
        std::condition_variable done;
        size_t left = loops.size();
        for (auto& loop : loops) {
            asio::post(loop->context(), [&, loop] {
                act(*loop);
                std::lock_guard lock(mutex);
                if (--left == 0) done.notify_all();
            });
        }
        std::unique_lock lock(mutex);
        done.wait(lock, [&] { return left == 0; });
    }

    static std::vector<std::shared_ptr<Connection>> all_of(Loop& loop) {
        std::vector<std::shared_ptr<Connection>> all;
        for (Connection* connection : loop.connections()) all.push_back(connection->shared_from_this());
        return all;
    }
};

Server::Server(Options options, Handler handler) : state_(std::make_unique<State>(std::move(options), std::move(handler))) {
    ASSERT(state_->options.threads >= 1);
}

Server::~Server() { stop(); }

Result<uint16_t> Server::start() {
    State& s = *state_;
    ASSERT(s.loops.empty());
    std::string where = fmt::format("cannot listen on {}:{}", s.options.host, s.options.port);
    boost::system::error_code ec;
    auto address = asio::ip::make_address(s.options.host == "localhost" ? "127.0.0.1" : s.options.host, ec);
    if (ec) return invalid(where + ": the host must be a numeric address, such as 127.0.0.1, 0.0.0.0 or ::1");
    for (unsigned i = 0; i < s.options.threads; ++i) s.loops.push_back(std::make_shared<Loop>());
    auto& context = s.loops[0]->context();
    s.acceptor = std::make_unique<tcp::acceptor>(context);
    s.accept_again = std::make_unique<asio::steady_timer>(context);
    tcp::endpoint endpoint(address, s.options.port);
    s.acceptor->open(endpoint.protocol(), ec);
    if (!ec) s.acceptor->set_option(tcp::acceptor::reuse_address(true), ec);
    if (!ec) s.acceptor->bind(endpoint, ec);
    if (!ec) s.acceptor->listen(asio::socket_base::max_listen_connections, ec);
    uint16_t port = ec ? 0 : s.acceptor->local_endpoint(ec).port();
    if (ec) {
        s.acceptor.reset();
        s.accept_again.reset();
        s.loops.clear();
        return unavailable(where + ": " + ec.message());
    }
    for (auto& loop : s.loops) s.guards.emplace_back(loop->context().get_executor());
    s.accept();
    for (auto& loop : s.loops)
        s.threads.emplace_back([loop] {
            world::name_thread("http");
            loop->run();
        });
    return port;
}

void Server::stop() {
    State& s = *state_;
    if (s.threads.empty()) return;
    // Two rounds: no connection may be on its way to a loop that has been told to end.
    s.on_each_loop([&s](Loop& loop) {
        if (&loop != s.loops[0].get()) return;
        boost::system::error_code ec;
        s.acceptor->close(ec);
        s.accept_again->cancel();
    });
    s.on_each_loop([](Loop& loop) {
        for (auto& connection : State::all_of(loop)) connection->on_stop();
    });
    {
        std::unique_lock lock(s.counts.mutex);
        s.counts.all_closed.wait_for(lock, std::chrono::milliseconds(s.options.limits.stop_timeout_ms),
                                     [&s] { return s.counts.open.load() == 0; });
    }
    s.on_each_loop([](Loop& loop) {
        for (auto& connection : State::all_of(loop)) connection->on_stop_deadline();
    });
    s.guards.clear();
    for (auto& thread : s.threads) thread.join();
    s.threads.clear();
}

Server::Counters Server::counters() const {
    auto& c = state_->counts;
    return {c.accepted.load(), c.turned_away.load(), c.requests.load(), c.refused.load(), c.open.load()};
}

}  // namespace waybill::http
