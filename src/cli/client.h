// The command line's way to a running server: one connection, one request at a time, over libcurl. Every failure is an Error whose kind
// is the process's exit code and whose message says what to try. Belongs to one thread; Ctrl-C ends a request at once.
#pragma once

#include <simdjson.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "cli/interrupt.h"

namespace waybill::cli {

using Json = simdjson::dom::element;

// A JSON answer. Members that are missing or null read as "", 0, false and an empty list: an older server leaves some out.
struct Answer {
    std::string body;
    std::unique_ptr<simdjson::dom::parser> parser;
    Json root;
};
std::string_view text(Json object, std::string_view key);
int64_t number(Json object, std::string_view key, int64_t otherwise = 0);
bool flag(Json object, std::string_view key);
TimeMs time_of(Json object, std::string_view key);
std::vector<Json> items(Json object, std::string_view key);
std::optional<Json> member(Json object, std::string_view key);  // nothing for null, too
Result<Answer> parse_answer(std::string body);

struct Reply {
    long status = 0;
    std::string body;
    int64_t retry_after_s = 0;  // of a 503; 0: it did not say
};

struct SseMessage {
    std::string id, event, data;
};

// Server-sent events out of arbitrary slices of bytes (WHATWG HTML, "Interpreting an event stream").
class SseParser {
public:
    // Calls `take` for each whole message; false from it stops, and feed returns false.
    bool feed(std::string_view bytes, const std::function<bool(const SseMessage&)>& take);
    void reset() { *this = {}; }

private:
    std::string line_;
    SseMessage message_;
    bool has_data_ = false, after_cr_ = false;
};

class Client {
public:
    Client(std::string url, Secret token, Interrupt& interrupt);
    ~Client();
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    // `path` begins with '/', is escaped, and may have a query. An answer outside 2xx is an error.
    Result<Answer> get(const std::string& path);
    Result<Answer> post(const std::string& path, const std::string& content_type, std::string_view body);
    // Any status is a Reply; only a server that did not answer is an error.
    Result<Reply> send(const char* method, const std::string& path, const std::string& content_type, std::string_view body);
    // The body comes from `read` as it goes out: it fills the buffer and returns the bytes, 0 at the end, and nothing to give up.
    using Source = std::function<std::optional<size_t>(char* buffer, size_t size)>;
    Result<Reply> send_stream(const std::string& path, const std::string& content_type, const Source& read);
    // Reads an event stream until it ends, breaks or `take` says false. `tick` is called at least once a second; false ends the stream.
    // Ok means that it was ended from here.
    Result<void> stream(const std::string& path, const std::string& last_event_id, const std::function<bool(const SseMessage&)>& take,
                        const std::function<bool()>& tick);

    const std::string& url() const { return url_; }
    static Error refusal(const Reply& reply);
    static std::string escape(std::string_view part);  // for a path or a query

private:
    struct Call;
    Result<Reply> perform(Call& call);
    Error unreachable(int code, const char* detail) const;

    std::string url_;
    Secret token_;
    Interrupt& interrupt_;
    void* curl_;
};

}  // namespace waybill::cli
