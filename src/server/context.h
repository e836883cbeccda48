// The parts that request handlers work with, and the two ways in which they read: released state on the sequencer's thread, and
// the history once it has caught up with what was released when the request came.
#pragma once

#include <string>
#include <utility>

#include "config/config.h"
#include "history/history.h"
#include "http/wait.h"
#include "log/log.h"
#include "node/feed.h"
#include "node/node.h"
#include "world/clock.h"
#include "world/random.h"

namespace waybill::server {

constexpr std::string_view version = "0.1.0";
constexpr int64_t answer_timeout_ms = 30'000;  // for the sequencer's answer: a disk that takes longer to sync is as good as gone

struct Context {
    const Config& config;
    node::Node& node;
    const log::Log& log;
    const node::RecentTexts& recent_texts;
    const history::History& history;
    node::HistoryFeed& feed;
    http::Signal& released;  // the released position
    world::Clock& clock;
    world::Random& random;
    TimeMs started = 0;
};

// Runs `fn(const node::View&) -> T` on the sequencer's thread, after a sync that covers everything acknowledged so far. `fn` may
// outlive the caller (when the answer takes too long), so it holds what it needs by value.
template <class T, class Fn>
http::Task<Result<T>> read_state(const Context& context, http::Exchange& exchange, Fn fn) {
    http::Completion<T> done(exchange);
    node::Read read;
    read.read = [sender = done.sender(), fn = std::move(fn)](const node::View& view) mutable { sender.complete(fn(view)); };
    if (!context.node.submit(std::move(read))) co_return overloaded("too many requests are waiting: repeat in a moment");
    co_return co_await done.wait(answer_timeout_ms);
}

// Waits until the history holds everything that is released now, at most limits::read_wait_ms. Returns the position that it
// holds.
inline http::Task<Position> history_caught_up(const Context& context, http::Exchange& exchange) {
    const Position wanted = context.node.gauges().released.load();
    if (context.feed.signal().value() < wanted) {
        context.feed.want(wanted);
        auto reached = co_await context.feed.signal().wait_past(exchange, wanted - 1, limits::read_wait_ms);
        (void)reached;
    }
    co_return context.feed.signal().value();
}

// Events are taken no faster than the history can follow: while more of the log is missing in it than it takes in in
// history_behind_s, whoever sends events waits a little. Nobody is refused for it, and a history in trouble (a full disk, a
// locked file) holds nobody up.
constexpr uint64_t history_behind_s = 2;
constexpr uint64_t history_behind_bytes = 48 << 20;  // at least so much, however slow it is
constexpr int64_t slow_down_ms = 250;                // at most, for each slice of events
inline http::Task<void> let_history_follow(const Context& context, http::Exchange& exchange) {
    const Position written = context.feed.signal().value(), released = context.node.gauges().released.load();
    if (released < written + std::max(history_behind_bytes, history_behind_s * context.feed.bytes_a_second()) ||
        !context.feed.trouble().empty())
        co_return;
    context.feed.want(released);
    auto moved = co_await context.feed.signal().wait_past(exchange, written, slow_down_ms);
    (void)moved;
}

// Sends the answer. That the client has gone meanwhile is nobody's error.
inline http::Task<void> respond(http::Exchange& exchange, http::Response response) {
    auto sent = co_await exchange.respond(std::move(response));
    (void)sent;
}

inline http::Response at_position(http::Response response, Position position) {
    response.headers.emplace_back("Waybill-Position", std::to_string(position));
    return response;
}

}  // namespace waybill::server
