// `waybill put`: hands events from a file or a pipe to POST /events. NDJSON goes in batches that end at line ends, so that input of any
// size takes little memory, a busy server is waited for, and a slow pipe is not held back. A batch whose answer was lost is sent again:
// the server knows the ids, and counts them as duplicates. A JSON document goes as one streamed body.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/json_writer.h"
#include "cli/commands.h"
#include "cli/progress.h"

namespace waybill::cli {
namespace {

constexpr size_t batch_bytes = 2 << 20;   // enough that the round trip does not matter
constexpr size_t line_bytes = 16 << 20;   // one line; the server refuses an event above 1 MiB anyway, and says so
constexpr int tries = 30;                 // of one batch while the server is busy or away

// The input, read without blocking out Ctrl-C.
class Input {
public:
    Input(int fd, Interrupt& interrupt) : fd_(fd), interrupt_(interrupt) {}

    // Appends what is there, waiting for the first byte. False: the end, an error, or Ctrl-C.
    bool more(std::string& buffer) {
        pollfd p[2] = {{fd_, POLLIN, 0}, {interrupt_.fd(), POLLIN, 0}};
        if (poll(p, 2, -1) < 0 && errno != EINTR) return false;
        if (interrupt_.raised()) return false;
        char bytes[64 << 10];
        ssize_t n = read(fd_, bytes, sizeof bytes);
        if (n < 0) error_ = std::strerror(errno);
        if (n <= 0) {
            end_ = true;
            return false;
        }
        buffer.append(bytes, static_cast<size_t>(n));
        return true;
    }
    bool ready() {
        pollfd p{fd_, POLLIN, 0};
        return poll(&p, 1, 0) > 0;
    }
    bool end() const { return end_; }
    const std::string& error() const { return error_; }

private:
    int fd_;
    Interrupt& interrupt_;
    bool end_ = false;
    std::string error_;
};

struct Refusal {
    uint64_t index = 0, line = 0, byte = 0;  // line 0: not of a line
    std::string field, reason;
};

struct Totals {
    uint64_t accepted = 0, duplicates = 0, refused = 0, position = 0, lines = 0, bytes = 0;
    std::vector<Refusal> refusals;
    uint64_t events() const { return accepted + duplicates + refused; }

    void add(Json answer, size_t sent_lines, size_t sent_bytes) {
        for (Json r : items(answer, "refusals")) {
            if (refusals.size() >= 100) break;
            refusals.push_back({events() + static_cast<uint64_t>(number(r, "index")), member(r, "line") ? lines + static_cast<uint64_t>(number(r, "line")) : 0,
                                bytes + static_cast<uint64_t>(number(r, "byte")), std::string(text(r, "field")), std::string(text(r, "reason"))});
        }
        accepted += static_cast<uint64_t>(number(answer, "accepted"));
        duplicates += static_cast<uint64_t>(number(answer, "duplicates"));
        refused += static_cast<uint64_t>(number(answer, "refused"));
        position = std::max(position, static_cast<uint64_t>(number(answer, "position")));
        lines += sent_lines;
        bytes += sent_bytes;
    }
};

// NDJSON, unless the input is an array or one object over several lines.
bool is_lines(std::string_view begin) {
    size_t at = begin.find_first_not_of(" \t\r\n\xef\xbb\xbf");
    if (at == std::string_view::npos || begin[at] != '{') return at == std::string_view::npos;
    std::string_view first = begin.substr(at, begin.find('\n', at) - at);
    simdjson::dom::parser parser;
    Json object;
    return parser.parse(first.data(), first.size()).get(object) == simdjson::SUCCESS;
}

class Putter {
public:
    Putter(Session& session, int fd, uint64_t size)
        : session_(session), input_(fd, session.interrupt), size_(size), progress_(session.err, "putting") {}

    Result<void> run(const std::string& content_type) {
        std::string begin;
        while (begin.find('\n') == std::string::npos && begin.size() < batch_bytes && input_.more(begin)) continue;
        bool lines = content_type.empty() ? is_lines(begin) : content_type.find("ndjson") != std::string::npos;
        if (lines) return put_lines(std::move(begin), content_type.empty() ? "application/x-ndjson" : content_type);
        return put_document(begin, content_type.empty() ? "application/json" : content_type);
    }
    const Totals& totals() const { return totals_; }
    Progress& progress() { return progress_; }
    const std::string& input_error() const { return input_.error(); }

private:
    Result<void> put_lines(std::string buffer, const std::string& content_type) {
        for (;;) {
            while (buffer.size() < batch_bytes && (buffer.find('\n') == std::string::npos || input_.ready()) && input_.more(buffer)) continue;
            if (session_.interrupt.raised()) return unavailable("interrupted");
            size_t cut = buffer.rfind('\n');
            cut = input_.end() ? buffer.size() : cut == std::string::npos ? 0 : cut + 1;
            if (cut == 0 && !input_.end()) {
                if (buffer.size() > line_bytes) return invalid(fmt::format("line {} is longer than {}: is this NDJSON?", totals_.lines + 1, show_bytes(line_bytes)));
                if (!input_.more(buffer) && !input_.end()) return unavailable("interrupted");
                continue;
            }
            std::string_view batch = std::string_view(buffer).substr(0, cut);
            if (batch.find_first_not_of(" \t\r\n") != std::string_view::npos) TRY_VOID(put_batch(batch, content_type));
            buffer.erase(0, cut);
            if (input_.end() && buffer.empty()) return {};
        }
    }

    Result<void> put_batch(std::string_view batch, const std::string& content_type) {
        auto lines = static_cast<size_t>(std::count(batch.begin(), batch.end(), '\n'));
        for (int attempt = 1;; ++attempt) {
            Result<Reply> reply = session_.client.send("POST", "/events", content_type, batch);
            Error error = reply.ok() ? Client::refusal(*reply) : reply.error();
            if (reply.ok() && (reply->status / 100 == 2 || reply->status == 400)) {
                TRY_VOID(count(std::move(*reply), lines, batch.size()));
                report();
                return {};
            }
            // Nothing was put yet and nobody is there: say so at once. Later it is more likely a restart.
            bool passing = error.kind == ErrorKind::overloaded || (error.kind == ErrorKind::unavailable && totals_.events() > 0);
            if (!passing || attempt == tries) return error;
            int64_t wait_s = reply.ok() && reply->retry_after_s > 0 ? std::min<int64_t>(reply->retry_after_s, 30) : 1;
            progress_.update(totals_.bytes, size_, "waiting: " + error.message);
            if (session_.interrupt.wait_ms(wait_s * 1000)) return unavailable("interrupted");
        }
    }

    Result<void> put_document(const std::string& begin, const std::string& content_type) {
        size_t at = 0, sent = 0;
        std::string more;
        Client::Source source = [&](char* buffer, size_t size) -> std::optional<size_t> {
            if (at == begin.size() && more.empty() && !input_.end()) input_.more(more);
            if (session_.interrupt.raised()) return {};
            std::string_view from = at < begin.size() ? std::string_view(begin).substr(at) : std::string_view(more);
            size_t n = std::min(size, from.size());
            std::memcpy(buffer, from.data(), n);
            if (at < begin.size()) at += n;
            else more.erase(0, n);
            sent += n;
            progress_.update(sent, size_);
            return n;
        };
        TRY(Reply reply, session_.client.send_stream("/events", content_type, source));
        if (reply.status / 100 != 2 && reply.status != 400) return Client::refusal(reply);
        return count(std::move(reply), 0, sent);
    }

    // What was taken, and what was not. A 400 counts too: it is what an answer is when nothing in it was good, or when a document breaks off; the
    // latter names no event that was refused, and is an error beside the counts.
    Result<void> count(Reply reply, size_t lines, size_t bytes) {
        Error refusal = Client::refusal(reply);
        TRY(Answer answer, parse_answer(std::move(reply.body)));
        if (reply.status != 400) {
            totals_.add(answer.root, lines, bytes);
            return {};
        }
        if (!member(answer.root, "accepted")) return refusal;
        const uint64_t before = totals_.refused;
        totals_.add(answer.root, lines, bytes);
        if (totals_.refused == before) return refusal;
        return {};
    }

    void report() {
        auto elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start_).count();
        uint64_t rate = elapsed > 0 ? totals_.events() * 1000 / static_cast<uint64_t>(elapsed) : 0;
        progress_.update(totals_.bytes, size_, fmt::format("{} events  {} events/s", show_count(totals_.events()), show_count(rate)));
    }

    Session& session_;
    Input input_;
    uint64_t size_;
    Progress progress_;
    Totals totals_;
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace

int put(Session& session, const PutOptions& options) {
    int fd = STDIN_FILENO;
    uint64_t size = 0;
    if (options.file != "-") {
        fd = open(options.file.c_str(), O_RDONLY | O_CLOEXEC);
        if (fd < 0) return session.fail(errno == ENOENT ? not_found(options.file + ": no such file") : invalid(fmt::format("{}: {}", options.file, std::strerror(errno))));
        struct stat info;
        if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) size = static_cast<uint64_t>(info.st_size);
    }
    Putter putter(session, fd, size);
    Result<void> done = putter.run(options.content_type);
    if (fd != STDIN_FILENO) close(fd);
    putter.progress().clear();
    if (done.ok() && !putter.input_error().empty()) done = invalid(fmt::format("{}: {}", options.file, putter.input_error()));

    const Totals& t = putter.totals();
    if (session.options.json) {
        std::string line;
        JsonWriter json(line);
        json.begin_object().key("accepted").number(static_cast<int64_t>(t.accepted)).key("duplicates").number(static_cast<int64_t>(t.duplicates));
        json.key("refused").number(static_cast<int64_t>(t.refused)).key("refusals").begin_array();
        for (const Refusal& r : t.refusals) {
            json.begin_object().key("index").number(static_cast<int64_t>(r.index)).key("line");
            if (r.line) json.number(static_cast<int64_t>(r.line));
            else json.null();
            json.key("byte").number(static_cast<int64_t>(r.byte)).key("field").text(r.field).key("reason").text(r.reason).end_object();
        }
        json.end_array().key("position").number(static_cast<int64_t>(t.position)).end_object();
        print(line + "\n");
    } else if (done.ok() || t.events() > 0) {
        print(fmt::format("{} accepted, {} {}, {} refused\n", show_count(t.accepted), show_count(t.duplicates), t.duplicates == 1 ? "duplicate" : "duplicates",
                          paint(t.refused ? Style::red : Style::plain, show_count(t.refused), session.out.color)));
        for (const Refusal& r : t.refusals) {
            std::string where = r.line ? fmt::format("line {}", r.line) : fmt::format("event {} (byte {})", r.index + 1, r.byte);
            warn(fmt::format("{}: {}{}{}", where, clean(r.field), r.field.empty() ? "" : ": ", clean(r.reason)), session.options.color);
        }
        if (t.refused > t.refusals.size()) warn(fmt::format("… and {} more", show_count(t.refused - t.refusals.size())), session.options.color);
    }
    if (!done.ok()) return session.fail(done.error());
    return t.refused > 0 ? exit_no : exit_ok;
}

}  // namespace waybill::cli
