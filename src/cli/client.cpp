#include "cli/client.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <charconv>
#include <cstring>

namespace waybill::cli {

std::optional<Json> member(Json object, std::string_view key) {
    Json value;
    if (object.at_key(key).get(value) != simdjson::SUCCESS || value.is_null()) return {};
    return value;
}

std::string_view text(Json object, std::string_view key) {
    std::string_view value;
    if (auto m = member(object, key); m && m->get(value) == simdjson::SUCCESS) return value;
    return {};
}

int64_t number(Json object, std::string_view key, int64_t otherwise) {
    auto m = member(object, key);
    if (!m) return otherwise;
    int64_t whole = 0;
    if (m->get(whole) == simdjson::SUCCESS) return whole;
    double real = 0;
    if (m->get(real) == simdjson::SUCCESS) return static_cast<int64_t>(real);
    return otherwise;
}

bool flag(Json object, std::string_view key) {
    bool value = false;
    if (auto m = member(object, key); m && m->get(value) == simdjson::SUCCESS) return value;
    return false;
}

TimeMs time_of(Json object, std::string_view key) { return parse_time(text(object, key)).value_or(no_time); }

std::vector<Json> items(Json object, std::string_view key) {
    std::vector<Json> list;
    auto m = member(object, key);
    simdjson::dom::array array;
    if (m && m->get(array) == simdjson::SUCCESS) list.assign(array.begin(), array.end());
    return list;
}

Result<Answer> parse_answer(std::string body) {
    Answer answer{std::move(body), std::make_unique<simdjson::dom::parser>(), {}};
    if (answer.parser->parse(answer.body).get(answer.root) != simdjson::SUCCESS)
        return unavailable("the answer is not JSON: is this a Waybill server? It begins with: " + answer.body.substr(0, 80));
    return answer;
}

bool SseParser::feed(std::string_view bytes, const std::function<bool(const SseMessage&)>& take) {
    for (char c : bytes) {
        if (c == '\n' && after_cr_) {
            after_cr_ = false;
            continue;
        }
        after_cr_ = c == '\r';
        if (c != '\n' && c != '\r') {
            line_ += c;
            continue;
        }
        if (line_.empty()) {
            bool go_on = !has_data_ || take(message_);
            message_.event.clear();
            message_.data.clear();
            has_data_ = false;
            if (!go_on) return false;
            continue;
        }
        size_t colon = line_.find(':');
        std::string_view name = std::string_view(line_).substr(0, colon);
        std::string_view value = colon == std::string::npos ? std::string_view() : std::string_view(line_).substr(colon + 1);
        if (value.starts_with(' ')) value.remove_prefix(1);
        if (name == "data") {
            if (has_data_) message_.data += '\n';
            message_.data += value;
            has_data_ = true;
        } else if (name == "event") {
            message_.event = value;
        } else if (name == "id") {
            message_.id = value;
        }
        line_.clear();
    }
    return true;
}

struct Client::Call {
    std::string path, content_type, last_event_id;
    const char* method = "GET";
    std::string_view body;
    const Source* source = nullptr;
    const std::function<bool(const SseMessage&)>* take = nullptr;
    const std::function<bool()>* tick = nullptr;

    CURL* curl = nullptr;
    Interrupt* interrupt = nullptr;
    SseParser parser;
    Reply reply;
    bool ended_here = false;
};

Client::Client(std::string url, Secret token, Interrupt& interrupt) : url_(std::move(url)), token_(std::move(token)), interrupt_(interrupt), curl_(curl_easy_init()) {
    ASSERT(curl_);
    while (url_.ends_with('/')) url_.pop_back();
    if (url_.find("://") == std::string::npos) url_ = "http://" + url_;
}

Client::~Client() { curl_easy_cleanup(curl_); }

std::string Client::escape(std::string_view part) {
    std::string out;
    for (unsigned char c : part) {
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~') out += static_cast<char>(c);
        else out += fmt::format("%{:02X}", c);
    }
    return out;
}

Error Client::unreachable(int code, const char* detail) const {
    std::string what = *detail ? detail : curl_easy_strerror(static_cast<CURLcode>(code));
    if (code == CURLE_COULDNT_CONNECT)
        return unavailable(fmt::format("no server answers at {} ({}); start one with `waybill serve`, or name another with --url or WAYBILL_URL", url_, what));
    if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL) return invalid(fmt::format("--url {}: {}; write for example http://127.0.0.1:4566", url_, what));
    if (code == CURLE_COULDNT_RESOLVE_HOST) return unavailable(fmt::format("--url {}: {}", url_, what));
    if (code == CURLE_ABORTED_BY_CALLBACK) return unavailable("interrupted");
    return unavailable(fmt::format("{}: {}", url_, what));
}

// An answer that is not a success, as an error.
Error Client::refusal(const Reply& reply) {
    std::string message, kind;
    if (auto answer = parse_answer(reply.body); answer.ok()) {
        if (auto error = member(answer->root, "error")) {
            message = text(*error, "message");
            kind = text(*error, "kind");
        }
    }
    if (message.empty()) message = fmt::format("the server answered HTTP {}{}{}", reply.status, reply.body.empty() ? "" : ": ", reply.body.substr(0, 200));
    for (ErrorKind k : {ErrorKind::invalid, ErrorKind::not_found, ErrorKind::conflict, ErrorKind::overloaded, ErrorKind::unavailable, ErrorKind::corrupt, ErrorKind::unsupported}) {
        if (kind == to_string(k)) return {k, message};
    }
    if (reply.status == 401 || reply.status == 403) return invalid(message + " (give the token with --token or WAYBILL_TOKEN)");
    if (reply.status == 404) return not_found(message);
    if (reply.status == 409) return conflict(message);
    if (reply.status == 429 || reply.status == 503) return overloaded(message);
    if (reply.status >= 500) return unavailable(message);
    return invalid(message);
}

Result<Reply> Client::perform(Call& call) {
    CURL* curl = curl_;
    curl_easy_reset(curl);
    call.curl = curl;
    call.interrupt = &interrupt_;
    std::string url = url_ + call.path;
    char detail[CURL_ERROR_SIZE] = "";
    curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, 5000L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "waybill-cli");
    // A proxy is for the outside: a server on this machine is never behind one.
    for (std::string_view local : {"://127.", "://localhost", "://[::1]"}) {
        if (url_.find(local) != std::string::npos) curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    }
    curl_slist* headers = nullptr;
    auto header = [&](const std::string& line) { headers = curl_slist_append(headers, line.c_str()); };
    header("Accept: " + std::string(call.take ? "text/event-stream" : "application/json"));
    header("Expect:");
    if (!token_.empty()) header("Authorization: Bearer " + token_.reveal());
    if (!call.content_type.empty()) header("Content-Type: " + call.content_type);
    if (!call.last_event_id.empty()) header("Last-Event-ID: " + call.last_event_id);
    if (call.source) header("Transfer-Encoding: chunked");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    if (call.take) {
        // The server says something every 15 s: silence three times as long is a dead connection.
        curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, 45L);
    } else {
        curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "");
        if (!call.source) curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 300'000L);
    }
    if (std::strcmp(call.method, "POST") == 0) {
        curl_easy_setopt(curl, CURLOPT_POST, 1L);
        if (call.source) {
            curl_easy_setopt(curl, CURLOPT_READFUNCTION, +[](char* buffer, size_t size, size_t n, void* p) -> size_t {
                auto got = (*static_cast<Call*>(p)->source)(buffer, size * n);
                return got ? *got : CURL_READFUNC_ABORT;
            });
            curl_easy_setopt(curl, CURLOPT_READDATA, &call);
        } else {
            curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(call.body.size()));
            curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call.body.data());
        }
    }
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, +[](char* data, size_t size, size_t n, void* p) -> size_t {
        Call& c = *static_cast<Call*>(p);
        std::string_view bytes(data, size * n);
        long status = 0;
        curl_easy_getinfo(c.curl, CURLINFO_RESPONSE_CODE, &status);
        if (!c.take || status / 100 != 2) {
            c.reply.body += bytes;
            return bytes.size();
        }
        if (c.parser.feed(bytes, *c.take)) return bytes.size();
        c.ended_here = true;
        return 0;
    });
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &call);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, +[](char* data, size_t size, size_t n, void* p) -> size_t {
        std::string_view line(data, size * n);
        if (line.size() > 12 && strncasecmp(line.data(), "retry-after:", 12) == 0) {
            line.remove_prefix(12);
            line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
            std::from_chars(line.data(), line.data() + line.size(), static_cast<Call*>(p)->reply.retry_after_s);
        }
        return size * n;
    });
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &call);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, +[](void* p, curl_off_t, curl_off_t, curl_off_t, curl_off_t) -> int {
        Call& c = *static_cast<Call*>(p);
        if (c.interrupt->raised()) return 1;
        if (c.tick && !(*c.tick)()) {
            c.ended_here = true;
            return 1;
        }
        return 0;
    });
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &call);

    CURLcode code = curl_easy_perform(curl);
    curl_slist_free_all(headers);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &call.reply.status);
    if (code == CURLE_OK) return std::move(call.reply);
    if (call.ended_here) return std::move(call.reply);
    // A server that refuses in the middle of a long body answers and closes: what it said is the better explanation.
    if ((code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR) && call.reply.status >= 400 && !call.reply.body.empty()) return std::move(call.reply);
    return unreachable(code, detail);
}

Result<Reply> Client::send(const char* method, const std::string& path, const std::string& content_type, std::string_view body) {
    Call call{path, content_type};
    call.method = method;
    call.body = body;
    return perform(call);
}

Result<Reply> Client::send_stream(const std::string& path, const std::string& content_type, const Source& read) {
    Call call{path, content_type};
    call.method = "POST";
    call.source = &read;
    return perform(call);
}

Result<Answer> Client::get(const std::string& path) {
    TRY(Reply reply, send("GET", path, "", ""));
    if (reply.status / 100 != 2) return refusal(reply);
    return parse_answer(std::move(reply.body));
}

Result<Answer> Client::post(const std::string& path, const std::string& content_type, std::string_view body) {
    TRY(Reply reply, send("POST", path, content_type, body));
    if (reply.status / 100 != 2) return refusal(reply);
    return parse_answer(reply.body.empty() ? "{}" : std::move(reply.body));
}

Result<void> Client::stream(const std::string& path, const std::string& last_event_id, const std::function<bool(const SseMessage&)>& take,
                            const std::function<bool()>& tick) {
    Call call{path, ""};
    call.last_event_id = last_event_id;
    call.take = &take;
    call.tick = &tick;
    TRY(Reply reply, perform(call));
    if (reply.status / 100 != 2 && reply.status != 0) return refusal(reply);
    if (interrupt_.raised() || call.ended_here) return {};
    return unavailable("the stream ended");
}

}  // namespace waybill::cli
