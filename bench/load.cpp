// The load of the benchmarks (bench/run.py): endless believable CodePipeline events, sent to Waybill, Redis or PostgreSQL over raw sockets,
// or written to a bare file; and a webhook target that says when what it was told arrived. One thread, one epoll loop, so that it takes
// little of the machine that it shares with what it measures. Prints one line of JSON.
//
// clang-format off
//   waybill_bench_load http|redis|insert|copy --port P   a closed loop: every connection sends its next request when the last is answered
//   waybill_bench_load paced --port P --rate R           an open loop of R events/s: time counts from when a request was due
//   waybill_bench_load bare --file F --event-bytes B     one write and one fdatasync a request, into files whose room was taken before
//
//   --events N       in a request (100)             --connections C (1)        --seconds S (5)
//   --sink P         also answer webhooks there     --seed X                   --pipelines N (800)
//   --steps K        leave every execution after its first K events            --total N: end after so many events
//   --fill zeros     bare: files are written full of zeros before, not only reserved
//   --segment-mib M  bare: the size of a file (64)
// clang-format on
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstring>
#include <ctime>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace waybill::bench {
namespace {

[[noreturn]] void die(std::string_view what) {
    fmt::print(stderr, "waybill_bench_load: {}\n", what);
    std::exit(1);
}
[[noreturn]] void die_errno(std::string_view what) { die(fmt::format("{}: {}", what, std::strerror(errno))); }

int64_t now_ns() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

uint64_t mixed(uint64_t x) {
    x += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

// -- the events --

// Four stages, five actions, twenty transitions when all goes well.
struct ActionShape {
    std::string_view stage, name, category, provider, summary;
};
constexpr std::array<ActionShape, 5> shape{
    {{"Source", "Checkout", "Source", "CodeStarSourceConnection",
      "Amend the retry of partial refunds so that a second call is harmless"},
     {"Build", "Compile", "Build", "CodeBuild", "Build succeeded: 1,204 objects, 3 warnings, artifact of 48.2 MB uploaded"},
     {"Build", "UnitTests", "Test", "CodeBuild", "2,418 tests passed, 3 were skipped, in 1 minute 52 seconds"},
     {"Staging", "Smoke", "Test", "CodeBuild", "All 31 journeys passed against the staging environment"},
     {"Deploy", "RollOut", "Deploy", "ECS", "Service is stable: 12 of 12 tasks run the new task definition"}}};

enum class Tells : char { nothing = 0, stage_failed = 's', pipeline_failed = 'p' };

// An envelope's text, and where the parts stand that are an event's own.
struct Template {
    std::string text;
    std::vector<size_t> event_id, execution_id, action_id, pipeline, time, start;
    Tells tells = Tells::nothing;
    size_t action = 0;
};

constexpr std::string_view blank_id = "ffffffff-ffff-4fff-8fff-ffffffffffff";
constexpr std::string_view blank_pipeline = "service-0000-deploy";

Template make_template(std::string_view scope, std::string_view state, size_t action) {
    const ActionShape& a = shape[action];
    Template t;
    t.action = action;
    auto mark = [&](std::vector<size_t>& where, std::string_view filler) {
        where.push_back(t.text.size());
        t.text += filler;
    };
    auto add = [&](std::string_view s) { t.text += s; };
    add(R"({"version":"0","id":")"), mark(t.event_id, blank_id);
    add(fmt::format(
        R"(","detail-type":"CodePipeline {} Execution State Change","source":"aws.codepipeline","account":"123456789012","time":")",
        scope));
    mark(t.time, "2026-01-01T00:00:00Z");
    add(R"(","region":"eu-central-1","resources":["arn:aws:codepipeline:eu-central-1:123456789012:)"),
        mark(t.pipeline, blank_pipeline);
    add(R"("],"detail":{"pipeline":")"), mark(t.pipeline, blank_pipeline);
    add(R"(","execution-id":")"), mark(t.execution_id, blank_id);
    add(R"(","start-time":")"), mark(t.start, "2026-01-01T00:00:00.000Z");
    if (scope == "Pipeline" && state == "STARTED")
        add(R"(","execution-trigger":{"trigger-type":"WebhookV2","trigger-detail":"arn:aws:codestar-connections:eu-central-1:123456789012:connection/5c0d3a1e-6f54-4c1b-9d39-0f3c8f6c8a11","full-repository-name":"example/service","provider-type":"GitHub","author-display-name":"Mina Okafor","author-email":"mina@example.com","author-id":"4217","author-date":"2026-01-01T00:00:00Z","branch-name":"main","commit-message":"Amend the retry of partial refunds so that a second call is harmless","commit-id":"6a2f0cb1b6d94e0a5a3a6f1c7f0d9d2b4e8c1f37"},"state":")");
    else if (scope == "Pipeline")
        add(R"(","state":")");
    else
        add(fmt::format(R"(","stage":"{}","state":")", a.stage));
    add(state);
    add(R"(","version":7.0,"pipeline-execution-attempt":1.0)");
    if (scope == "Action") {
        add(R"(,"action-execution-id":")"), mark(t.action_id, blank_id);
        add(fmt::format(
            R"(","action":"{}","region":"eu-central-1","type":{{"owner":"AWS","provider":"{}","category":"{}","version":"1"}})",
            a.name, a.provider, a.category));
        if (state != "STARTED") {
            add(R"(,"execution-result":{"external-execution-url":"https://eu-central-1.console.aws.amazon.com/codesuite/codebuild/123456789012/projects/)");
            mark(t.pipeline, blank_pipeline);
            add(R"(/build/)"), mark(t.action_id, blank_id);
            add(R"(/log?region=eu-central-1","external-execution-summary":")");
            add(state == "FAILED" ? "Build terminated with state: FAILED. Phase: BUILD, Code: COMMAND_EXECUTION_ERROR: error "
                                    "while executing command: make check"
                                  : a.summary);
            add(R"(","external-execution-id":")"), mark(t.pipeline, blank_pipeline), add(":"), mark(t.action_id, blank_id);
            add(state == "FAILED" ? R"(","error-code":"JobFailed"})" : R"("})");
        }
        // An action's input and output artifacts make it the longest of the three.
        add(R"(,"input-artifacts":[{"name":"SourceOutput","s3location":{"bucket":"codepipeline-eu-central-1-123456789012","key":")"),
            mark(t.pipeline, blank_pipeline);
        add(R"(/SourceOut/)"), mark(t.execution_id, blank_id), add(R"(.zip"}}])");
    }
    add("}}");
    if (state == "FAILED" && scope == "Stage") t.tells = Tells::stage_failed;
    if (state == "FAILED" && scope == "Pipeline") t.tells = Tells::pipeline_failed;
    return t;
}

// What an execution goes through; `failing`: the action that fails, or none.
std::vector<Template> make_life(std::optional<size_t> failing) {
    std::vector<Template> life;
    life.push_back(make_template("Pipeline", "STARTED", 0));
    for (size_t i = 0; i < shape.size(); ++i) {
        if (i == 0 || shape[i].stage != shape[i - 1].stage) life.push_back(make_template("Stage", "STARTED", i));
        life.push_back(make_template("Action", "STARTED", i));
        const bool fails = failing == i;
        life.push_back(make_template("Action", fails ? "FAILED" : "SUCCEEDED", i));
        if (fails || i + 1 == shape.size() || shape[i + 1].stage != shape[i].stage)
            life.push_back(make_template("Stage", fails ? "FAILED" : "SUCCEEDED", i));
        if (fails) break;
    }
    life.push_back(make_template("Pipeline", failing ? "FAILED" : "SUCCEEDED", 0));
    return life;
}

struct Id {
    std::array<char, 36> text;
    std::string_view view() const { return {text.data(), text.size()}; }
};

class Stream {
public:
    struct Sent {
        Id execution;
        Tells tells;
    };

    // `live`: so many executions take turns, each in a pipeline of its own. `number`: of this stream among several, which share
    // no pipeline. `steps`: how far each execution goes.
    Stream(uint64_t seed, size_t number, size_t pipelines, size_t live, size_t steps)
        : counter_(mixed(seed ^ mixed(number))),
          begun_(number * 3),
          first_pipeline_(number * pipelines),
          pipelines_(std::max(pipelines, live)),
          steps_(steps),
          live_(live) {
        lives_.push_back(make_life({}));
        for (size_t i = 1; i < shape.size(); ++i) lives_.push_back(make_life(i));
        for (auto& l : live_) begin(l);
    }

    Sent next(std::string& out) {
        Live& l = live_[turn_];
        turn_ = turn_ + 1 == live_.size() ? 0 : turn_ + 1;
        const auto& life = lives_[l.life];
        const Template& t = life[l.step];
        const size_t at = out.size();
        out += t.text;
        char* text = out.data() + at;
        auto stamp = [text](const std::vector<size_t>& places, std::string_view value) {
            for (size_t p : places) std::memcpy(text + p, value.data(), value.size());
        };
        moment();
        const Id event = make_id();
        stamp(t.event_id, event.view());
        stamp(t.execution_id, l.id.view());
        stamp(t.action_id, l.actions[t.action].view());
        stamp(t.pipeline, {l.pipeline.data(), l.pipeline.size()});
        stamp(t.time, {second_.data(), 20});
        stamp(t.start, {l.start.data(), l.start.size()});
        Sent sent{l.id, t.tells};
        if (++l.step >= std::min(life.size(), steps_)) begin(l);
        return sent;
    }

private:
    struct Live {
        size_t life = 0, step = 0;
        Id id;
        std::array<Id, shape.size()> actions;
        std::array<char, blank_pipeline.size()> pipeline;
        std::array<char, 24> start;
    };

    void begin(Live& l) {
        const uint64_t n = ++begun_;
        l.step = 0;
        l.life = n % 10 == 0 ? 1 + (n / 10) % (lives_.size() - 1) : 0;
        l.id = make_id();
        for (auto& a : l.actions) a = make_id();
        // The slots of live executions draw from pipelines that are theirs, so that no two executions of a pipeline overlap.
        const size_t slot = static_cast<size_t>(&l - live_.data()), choices = pipelines_ / live_.size();
        const std::string name =
            fmt::format("service-{:04}-deploy", (first_pipeline_ + slot + live_.size() * (mixed(n) % choices)) % 10000);
        std::copy(name.begin(), name.end(), l.pipeline.begin());
        moment();
        std::memcpy(l.start.data(), second_.data(), 19);
        std::memcpy(l.start.data() + 19, fmt::format(".{:03}Z", millisecond_).data(), 5);
    }

    void moment() {
        timespec t;
        clock_gettime(CLOCK_REALTIME_COARSE, &t);
        millisecond_ = static_cast<int>(t.tv_nsec / 1'000'000);
        if (t.tv_sec == last_second_) return;
        last_second_ = t.tv_sec;
        tm parts;
        gmtime_r(&t.tv_sec, &parts);
        std::strftime(second_.data(), second_.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
    }

    Id make_id() {
        constexpr char digits[] = "0123456789abcdef";
        Id id;
        std::memcpy(id.text.data(), blank_id.data(), blank_id.size());
        uint64_t bits = mixed(++counter_);
        for (size_t i = 0, used = 0; i < id.text.size(); ++i) {
            if (i == 8 || i == 13 || i == 18 || i == 23 || i == 14 || i == 19) continue;
            if (used++ == 15) bits = mixed(bits ^ counter_);
            id.text[i] = digits[bits & 15];
            bits >>= 4;
        }
        return id;
    }

    uint64_t counter_, begun_;
    const size_t first_pipeline_, pipelines_, steps_;
    std::vector<std::vector<Template>> lives_;  // the first succeeds
    std::vector<Live> live_;
    size_t turn_ = 0;
    time_t last_second_ = 0;
    int millisecond_ = 0;
    std::array<char, 32> second_{};
};

// -- the contenders --

class Contender {
public:
    virtual ~Contender() = default;
    // What a connection says first; empty: nothing, and no answer is waited for.
    virtual std::string greeting() { return {}; }
    virtual void request(std::string& out, const std::string& events, const std::vector<size_t>& ends) = 0;
    // Takes a whole answer off `in`. Nothing: there is more to come.
    virtual bool answered(std::string& in) = 0;
};

class Http final : public Contender {
public:
    void request(std::string& out, const std::string& events, const std::vector<size_t>& ends) override {
        fmt::format_to(
            std::back_inserter(out),
            "POST /events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-ndjson\r\nContent-Length: {}\r\n\r\n",
            events.size() + ends.size());
        size_t from = 0;
        for (size_t end : ends) {
            out.append(events, from, end - from);
            out += '\n';
            from = end;
        }
        expected_ = fmt::format("\"accepted\":{},", ends.size());
    }
    bool answered(std::string& in) override {
        const size_t head = in.find("\r\n\r\n");
        if (head == in.npos) return false;
        const size_t at = in.find("Content-Length: ");
        size_t length = 0;
        if (at == in.npos || at > head) die("an answer without Content-Length: " + in.substr(0, head));
        std::from_chars(in.data() + at + 16, in.data() + head, length);
        if (in.size() < head + 4 + length) return false;
        if (!in.starts_with("HTTP/1.1 200 ") || in.find(expected_, head) == in.npos)
            die("not every event was accepted: " + in.substr(0, 1000));
        in.erase(0, head + 4 + length);
        return true;
    }

private:
    std::string expected_;
};

class Redis final : public Contender {
public:
    void request(std::string& out, const std::string& events, const std::vector<size_t>& ends) override {
        size_t from = 0;
        for (size_t end : ends) {
            fmt::format_to(std::back_inserter(out), "*5\r\n$4\r\nXADD\r\n$6\r\nevents\r\n$1\r\n*\r\n$1\r\ne\r\n${}\r\n",
                           end - from);
            out.append(events, from, end - from);
            out += "\r\n";
            from = end;
        }
        events_ = ends.size();
    }
    // As many bulk strings as there were events.
    bool answered(std::string& in) override {
        size_t at = 0;
        for (size_t n = 0; n < events_; ++n) {
            const size_t line = in.find("\r\n", at);
            if (line == in.npos) return false;
            if (in[at] != '$') die("redis: " + in.substr(at, line - at));
            size_t length = 0;
            std::from_chars(in.data() + at + 1, in.data() + line, length);
            at = line + 2 + length + 2;
            if (at > in.size()) return false;
        }
        in.erase(0, at);
        return true;
    }

private:
    size_t events_ = 0;
};

// PostgreSQL's protocol 3.0; the server trusts loopback. A simple Query is one transaction.
class Postgres final : public Contender {
public:
    explicit Postgres(bool copy) : copy_(copy) {}
    std::string greeting() override {
        std::string body{0, 3, 0, 0};
        for (std::string_view s : {"user", "postgres", "database", "postgres"}) body.append(s).push_back('\0');
        body.push_back('\0');
        return length_of(body) + body;
    }
    void request(std::string& out, const std::string& events, const std::vector<size_t>& ends) override {
        // No event has a quote, a backslash or a tab in it, so both forms carry it as it is.
        std::string query = copy_ ? "COPY events (body) FROM STDIN" : "INSERT INTO events (body) VALUES ";
        size_t from = 0;
        if (!copy_)
            for (size_t end : ends) {
                query.append(from ? ",('" : "('").append(events, from, end - from).append("')");
                from = end;
            }
        query.push_back('\0');
        out.append("Q").append(length_of(query)).append(query);
        if (!copy_) return;
        std::string rows;
        for (size_t end : ends) {
            rows.append(events, from, end - from).push_back('\n');
            from = end;
        }
        out.append("d").append(length_of(rows)).append(rows);
        out.append("c").append(length_of(""));
    }
    bool answered(std::string& in) override {
        for (size_t at = 0; at + 5 <= in.size();) {
            uint32_t length = 0;
            for (size_t i = 1; i < 5; ++i) length = length << 8 | static_cast<unsigned char>(in[at + i]);
            if (at + 1 + length > in.size()) return false;
            if (in[at] == 'E') {
                std::string text = in.substr(at + 5, length - 4);
                std::replace(text.begin(), text.end(), '\0', ' ');
                die("postgresql: " + text);
            }
            const bool ready = in[at] == 'Z';
            at += 1 + length;
            if (ready) return in.erase(0, at), true;
        }
        return false;
    }

private:
    static std::string length_of(std::string_view body) {
        const uint32_t n = static_cast<uint32_t>(body.size() + 4);
        return {static_cast<char>(n >> 24), static_cast<char>(n >> 16), static_cast<char>(n >> 8), static_cast<char>(n)};
    }
    const bool copy_;
};

// -- sockets --

int connect_to(int port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || ::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) < 0)
        die_errno(fmt::format("connecting to port {}", port));
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

int listen_at(int port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const int on = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(static_cast<uint16_t>(port));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || ::bind(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) < 0 || ::listen(fd, 512) < 0)
        die_errno(fmt::format("listening on port {}", port));
    return fd;
}

// A connection's bytes both ways; never blocks.
struct Connection {
    int fd = -1;
    bool sink = false, wants_out = false;
    std::string in, out;
    size_t sent = 0;
    int64_t due_ns = 0;  // of the request that is under way; 0: none is
    bool greeted = false;
    size_t events = 0;
    std::unique_ptr<Contender> contender;
    std::unique_ptr<Stream> stream;

    void flush(int epoll) {
        while (sent < out.size()) {
            const ssize_t n = ::send(fd, out.data() + sent, out.size() - sent, MSG_NOSIGNAL);
            if (n > 0) {
                sent += static_cast<size_t>(n);
            } else if (errno == EAGAIN) {
                break;
            } else {
                die_errno("sending");
            }
        }
        if (sent == out.size()) {
            out.clear();
            sent = 0;
        }
        const bool wants = !out.empty();
        if (wants == wants_out) return;
        wants_out = wants;
        epoll_event e{.events = EPOLLIN | (wants ? EPOLLOUT : 0u), .data = {.ptr = this}};
        ::epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &e);
    }
    // False: closed.
    bool fill() {
        static std::array<char, 256 << 10> buffer;
        for (;;) {
            const ssize_t n = ::recv(fd, buffer.data(), buffer.size(), 0);
            if (n > 0)
                in.append(buffer.data(), static_cast<size_t>(n));
            else if (n == 0 || errno != EAGAIN)
                return false;
            if (n < static_cast<ssize_t>(buffer.size())) return true;
        }
    }
};

// -- measuring --

std::string percentiles(std::vector<int64_t>& ns) {
    if (ns.empty()) return R"("samples":0)";
    std::sort(ns.begin(), ns.end());
    auto at = [&](double q) {
        return static_cast<double>(ns[std::min(ns.size() - 1, static_cast<size_t>(q * static_cast<double>(ns.size())))]) / 1e6;
    };
    return fmt::format(R"("samples":{},"p50_ms":{:.3f},"p90_ms":{:.3f},"p99_ms":{:.3f},"max_ms":{:.3f})", ns.size(), at(0.5),
                       at(0.9), at(0.99), static_cast<double>(ns.back()) / 1e6);
}

double cpu_seconds() {
    rusage u;
    ::getrusage(RUSAGE_SELF, &u);
    return static_cast<double>(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           static_cast<double>(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

struct Settings {
    std::string mode, file, fill = "reserve";
    int port = 0, sink = 0;
    double seconds = 5, rate = 1000;
    size_t events = 100, connections = 1, steps = SIZE_MAX, total = SIZE_MAX, pipelines = 800, event_bytes = 0, segment_mib = 64;
    uint64_t seed = static_cast<uint64_t>(now_ns());
};

class Load {
public:
    explicit Load(const Settings& s) : s_(s), paced_(s.mode == "paced"), events_(s.events) {
        const size_t live = std::max({size_t{4}, 64 / s.connections, std::min<size_t>(events_, 400)});
        epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
        if (s.sink) {
            listener_ = listen_at(s.sink);
            watch(listener_, &listener_);
        }
        for (size_t i = 0; i < s.connections; ++i) {
            auto c = std::make_unique<Connection>();
            c->fd = connect_to(s.port);
            if (s.mode == "redis")
                c->contender = std::make_unique<Redis>();
            else if (s.mode == "insert" || s.mode == "copy")
                c->contender = std::make_unique<Postgres>(s.mode == "copy");
            else
                c->contender = std::make_unique<Http>();
            // A connection's executions are its own: their events are sent in their order.
            c->stream = std::make_unique<Stream>(s.seed, i, s.pipelines / s.connections, live, s.steps);
            watch(c->fd, c.get());
            connections_.push_back(std::move(c));
        }
    }

    void run() {
        for (auto& c : connections_) {
            c->out = c->contender->greeting();
            c->greeted = c->out.empty();
            c->flush(epoll_);
        }
        while (std::any_of(connections_.begin(), connections_.end(), [](const auto& c) { return !c->greeted; })) turn(1000);

        const double cpu_before = cpu_seconds();
        began_ = now_ns();
        ends_ = began_ + static_cast<int64_t>(s_.seconds * 1e9);
        if (paced_) {
            timer_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
            const itimerspec every{{0, 500'000}, {0, 1}};
            ::timerfd_settime(timer_, 0, &every, nullptr);
            watch(timer_, &timer_);
            for (auto& c : connections_) idle_.push_back(c.get());
        } else {
            for (auto& c : connections_) send(*c, now_ns());
        }
        while (busy_ > 0 || (paced_ && now_ns() < ends_)) turn(1000);
        const int64_t ended = now_ns();
        const double cpu = cpu_seconds() - cpu_before;
        if (paced_) {
            // What was told last is still on its way. Without any arrival in three seconds, the rest is missing.
            for (size_t left = told_.size(); left > 0; left = told_.size()) {
                turn(3000);
                if (told_.size() == left && now_ns() - last_arrival_ > 3'000'000'000) break;
            }
        }
        const double seconds = static_cast<double>(ended - began_) / 1e9;
        fmt::print(
            R"({{"mode":"{}","events":{},"seconds":{:.3f},"per_second":{:.0f},"bytes":{},"load_cpu_seconds":{:.2f},"answers":{{{}}},"webhooks":{},"unknown_webhooks":{},"missing":{},"told":{{{}}}}})"
            "\n",
            s_.mode, acknowledged_, seconds, static_cast<double>(acknowledged_) / seconds, bytes_, cpu, percentiles(answer_ns_),
            webhooks_, unknown_, paced_ ? told_.size() : 0, percentiles(told_ns_));
    }

private:
    void watch(int fd, void* what) {
        epoll_event e{.events = EPOLLIN, .data = {.ptr = what}};
        if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &e) < 0) die_errno("epoll_ctl");
    }

    bool more(int64_t now) const { return now < ends_ && asked_ < s_.total; }

    void send(Connection& c, int64_t due) {
        const size_t n = std::min(events_, s_.total - asked_);
        text_.clear();
        bounds_.clear();
        for (size_t i = 0; i < n; ++i) {
            const auto sent = c.stream->next(text_);
            bounds_.push_back(text_.size());
            if (paced_ && s_.sink && sent.tells != Tells::nothing)
                told_.emplace(static_cast<char>(sent.tells) + std::string(sent.execution.view()), due);
        }
        c.contender->request(c.out, text_, bounds_);
        bytes_ += text_.size();
        asked_ += n;
        c.events = n;
        c.due_ns = due;
        ++busy_;
        c.flush(epoll_);
    }

    void turn(int wait_ms) {
        std::array<epoll_event, 256> ready;
        const int n = ::epoll_wait(epoll_, ready.data(), ready.size(), wait_ms);
        for (int i = 0; i < n; ++i) {
            if (ready[static_cast<size_t>(i)].data.ptr == &listener_) {
                accept();
            } else if (ready[static_cast<size_t>(i)].data.ptr == &timer_) {
                uint64_t ticks;
                [[maybe_unused]] const ssize_t got = ::read(timer_, &ticks, sizeof ticks);
                pace();
            } else {
                auto& c = *static_cast<Connection*>(ready[static_cast<size_t>(i)].data.ptr);
                if (ready[static_cast<size_t>(i)].events & EPOLLOUT) c.flush(epoll_);
                if (!(ready[static_cast<size_t>(i)].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) continue;
                const bool open = c.fill();
                if (c.sink) {
                    if (open)
                        take_webhooks(c);
                    else
                        close_sink(c);
                } else {
                    if (!open) die("the server closed a connection");
                    take_answer(c);
                }
            }
        }
    }

    void pace() {
        const int64_t now = now_ns();
        const int64_t period = static_cast<int64_t>(1e9 * static_cast<double>(events_) / s_.rate);
        for (int64_t due; (due = began_ + static_cast<int64_t>(scheduled_) * period) <= now && due < ends_; ++scheduled_)
            waiting_.push_back(due);
        while (!waiting_.empty() && !idle_.empty()) {
            Connection* c = idle_.front();
            idle_.pop_front();
            const int64_t due = waiting_.front();
            waiting_.pop_front();
            send(*c, due);
        }
    }

    void take_answer(Connection& c) {
        while (c.contender->answered(c.in)) {
            if (!c.greeted) {
                c.greeted = true;
                continue;
            }
            const int64_t now = now_ns();
            answer_ns_.push_back(now - c.due_ns);
            acknowledged_ += c.events;
            c.events = 0;
            --busy_;
            if (paced_) {
                idle_.push_back(&c);
                pace();
            } else if (more(now)) {
                send(c, now);
            }
            if (c.in.empty()) return;
        }
    }

    void accept() {
        for (;;) {
            const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd < 0) return;
            auto c = std::make_unique<Connection>();
            c->fd = fd;
            c->sink = true;
            watch(fd, c.get());
            sinks_.push_back(std::move(c));
        }
    }

    void take_webhooks(Connection& c) {
        const int64_t now = now_ns();
        for (;;) {
            const size_t head = c.in.find("\r\n\r\n");
            if (head == c.in.npos) break;
            const size_t at = c.in.find("Content-Length: ");
            if (at == c.in.npos || at > head) die("a webhook without Content-Length");
            size_t length = 0;
            std::from_chars(c.in.data() + at + 16, c.in.data() + head, length);
            if (c.in.size() < head + 4 + length) break;
            arrived(std::string_view(c.in).substr(head + 4, length), now);
            c.in.erase(0, head + 4 + length);
            c.out += "HTTP/1.1 204 No Content\r\n\r\n";
        }
        c.flush(epoll_);
    }

    void arrived(std::string_view body, int64_t now) {
        ++webhooks_;
        last_arrival_ = now;
        auto value = [&](std::string_view key) {
            const size_t at = body.find(key);
            if (at == body.npos) return std::string_view();
            const std::string_view rest = body.substr(at + key.size());
            return rest.substr(0, rest.find('"'));
        };
        const std::string_view topic = value(R"("topic":")"), id = value(R"("executionId":")");
        const char tells = topic == "stage_failed" ? 's' : topic == "pipeline_failed" ? 'p' : 0;
        if (!tells || !paced_) return;
        const auto found = told_.find(tells + std::string(id));
        if (found == told_.end()) {
            ++unknown_;
            return;
        }
        told_ns_.push_back(now - found->second);
        told_.erase(found);
    }

    void close_sink(Connection& c) {
        ::close(c.fd);
        std::erase_if(sinks_, [&](const auto& s) { return s.get() == &c; });
    }

    const Settings& s_;
    const bool paced_;
    const size_t events_;
    int epoll_ = -1, listener_ = -1, timer_ = -1;
    std::vector<std::unique_ptr<Connection>> connections_, sinks_;
    std::deque<Connection*> idle_;
    std::deque<int64_t> waiting_;  // paced: requests that are due and found no connection free
    size_t scheduled_ = 0, busy_ = 0;
    int64_t began_ = 0, ends_ = 0, last_arrival_ = 0;
    std::string text_;
    std::vector<size_t> bounds_;
    uint64_t asked_ = 0, acknowledged_ = 0, bytes_ = 0, webhooks_ = 0, unknown_ = 0;
    std::vector<int64_t> answer_ns_, told_ns_;
    std::unordered_map<std::string, int64_t> told_;  // what a webhook must come for, and since when
};

// The least that any durable log does. Taking the room for a file is not counted.
void bare(const Settings& s) {
    Stream stream(s.seed, 0, s.pipelines, 50, s.steps);
    const size_t capacity = s.segment_mib << 20;
    int fd = -1;
    size_t at = capacity;
    uint64_t events = 0, bytes = 0;
    std::vector<int64_t> ns;
    std::string text, padded;
    const int64_t limit = static_cast<int64_t>(s.seconds * 1e9);
    int64_t spent = 0;
    while (spent < limit) {
        padded.clear();
        for (size_t i = 0; i < s.events; ++i) {
            text.clear();
            stream.next(text);
            if (s.event_bytes) text.resize(s.event_bytes, '\n');
            padded += text;
        }
        if (at + padded.size() > capacity) {
            if (fd >= 0) ::close(fd);
            ::unlink(s.file.c_str());
            fd = ::open(s.file.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
            if (fd < 0) die_errno(s.file);
            if (::fallocate(fd, 0, 0, static_cast<off_t>(capacity)) < 0) die_errno("fallocate");
            if (s.fill == "zeros") {
                const std::string zeros(1 << 20, '\0');
                for (size_t z = 0; z < capacity; z += zeros.size())
                    if (::pwrite(fd, zeros.data(), zeros.size(), static_cast<off_t>(z)) < 0) die_errno("pwrite");
            }
            if (::fdatasync(fd) < 0) die_errno("fdatasync");
            at = 0;
        }
        const int64_t began = now_ns();
        if (::pwrite(fd, padded.data(), padded.size(), static_cast<off_t>(at)) != static_cast<ssize_t>(padded.size()))
            die_errno("pwrite");
        if (::fdatasync(fd) < 0) die_errno("fdatasync");
        const int64_t took = now_ns() - began;
        spent += took;
        ns.push_back(took);
        at += padded.size();
        events += s.events;
        bytes += padded.size();
    }
    ::close(fd);
    ::unlink(s.file.c_str());
    const double seconds = static_cast<double>(spent) / 1e9;
    fmt::print(R"({{"mode":"bare","events":{},"seconds":{:.3f},"per_second":{:.0f},"bytes":{},"answers":{{{}}}}})"
               "\n",
               events, seconds, static_cast<double>(events) / seconds, bytes, percentiles(ns));
}

template <class T>
void read_number(std::string_view text, T& out) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    if (error != std::errc{} || end != text.data() + text.size()) die(fmt::format("not a number: {}", text));
}

Settings read_settings(int argc, char** argv) {
    Settings s;
    if (argc < 2) die("which mode? http, redis, insert, copy, paced or bare");
    s.mode = argv[1];
    if (argc % 2) die("every option takes a value");
    for (int i = 2; i + 1 < argc; i += 2) {
        const std::string_view name = argv[i], value = argv[i + 1];
        if (name == "--port")
            read_number(value, s.port);
        else if (name == "--sink")
            read_number(value, s.sink);
        else if (name == "--seconds")
            read_number(value, s.seconds);
        else if (name == "--rate")
            read_number(value, s.rate);
        else if (name == "--events")
            read_number(value, s.events);
        else if (name == "--connections")
            read_number(value, s.connections);
        else if (name == "--steps")
            read_number(value, s.steps);
        else if (name == "--total")
            read_number(value, s.total);
        else if (name == "--pipelines")
            read_number(value, s.pipelines);
        else if (name == "--seed")
            read_number(value, s.seed);
        else if (name == "--event-bytes")
            read_number(value, s.event_bytes);
        else if (name == "--segment-mib")
            read_number(value, s.segment_mib);
        else if (name == "--file")
            s.file = value;
        else if (name == "--fill")
            s.fill = value;
        else
            die(fmt::format("unknown option {}", name));
    }
    return s;
}

}  // namespace
}  // namespace waybill::bench

int main(int argc, char** argv) {
    const auto settings = waybill::bench::read_settings(argc, argv);
    if (settings.mode == "bare")
        waybill::bench::bare(settings);
    else
        waybill::bench::Load(settings).run();
}
