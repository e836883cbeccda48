#include "http/client.h"

#include <curl/curl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <deque>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "http/head.h"
#include "world/priority.h"

namespace waybill::http {

namespace {

constexpr size_t max_header_bytes = 64 * 1024;
constexpr size_t max_reply_text = 512;  // of an SMTP reply line; RFC 5321 (4.5.3.1.5) allows 512 with its CRLF
constexpr size_t max_recipients = 100;  // RFC 5321 (4.5.3.1.8): every server takes at least so many
constexpr size_t kept_connections = 128;
constexpr int longest_wait_ms = 60'000;  // curl itself wakes earlier for its own deadlines
constexpr size_t kept_handles = 64;

bool has_break(std::string_view text) { return text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos; }

// Bare CR or LF would let a mail's text end the mail early at a lenient server, and begin another ("SMTP smuggling").
std::string with_crlf(std::string_view text) {
    std::string out;
    out.reserve(text.size() + 64);
    for (size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (c == '\r') {
            if (i + 1 < text.size() && text[i + 1] == '\n') ++i;
            out.append("\r\n");
        } else if (c == '\n') {
            out.append("\r\n");
        } else {
            out.push_back(c);
        }
    }
    return out;
}

// What was said in an SMTP conversation, seen through curl's trace: which reply belongs to which command.
struct Conversation {
    enum class Command { greeting, mail, recipient, data, other };
    Command last = Command::greeting;
    size_t recipient = 0;    // of the RCPT that waits for its reply; counted from one
    bool data_sent = false;  // 354 was seen: the mail's bytes go out
    int code = 0;            // the last reply
    std::string text;
    bool answered = false;  // that reply is to the mail itself
    bool ended = false;     // QUIT was sent
    std::vector<std::pair<size_t, std::pair<int, std::string>>> refused;
    std::string line;  // an incomplete line

    void said(std::string_view sent) {
        if (data_sent) return;
        if (sent.starts_with("QUIT")) ended = true;
        if (sent.starts_with("MAIL "))
            last = Command::mail;
        else if (sent.starts_with("RCPT "))
            last = Command::recipient, ++recipient;
        else if (sent.starts_with("DATA"))
            last = Command::data;
        else
            last = Command::other;
    }
    void heard(std::string_view bytes) {
        for (char c : bytes) {
            if (c != '\n') {
                if (c != '\r' && line.size() < max_reply_text) line.push_back(c);
                continue;
            }
            if (line.size() >= 3 && (line.size() == 3 || line[3] == ' ')) reply();
            line.clear();
        }
    }

private:
    void reply() {
        int number = 0;
        if (auto [rest, failed] = std::from_chars(line.data(), line.data() + 3, number);
            failed != std::errc() || rest != line.data() + 3)
            return;
        if (answered || ended) return;  // the reply to QUIT says nothing about the mail
        code = number;
        text = line;
        if (last == Command::recipient && number >= 400) refused.push_back({recipient, {number, line}});
        if (last == Command::data) {
            if (data_sent)
                answered = true;
            else if (number == 354)
                data_sent = true;
        }
    }
};

// One request or mail, from the queue to its callback.
struct Transfer {
    std::variant<ClientRequest, MailRequest> job;
    Client::Answered answered;
    Client::Mailed mailed;

    ClientResponse response{};
    size_t header_bytes = 0;
    Conversation conversation{};
    size_t uploaded = 0;
    std::string blocked{};
    bool requested = false, broken = false;  // on_request
    const AddressRules* addresses = nullptr;
    curl_slist* list = nullptr;
    char error[CURL_ERROR_SIZE] = {};

    Transfer() = default;
    Transfer(const Transfer&) = delete;
    Transfer& operator=(const Transfer&) = delete;
    ~Transfer() { curl_slist_free_all(list); }

    bool is_mail() const { return job.index() == 1; }
    int64_t timeout_ms() const { return is_mail() ? std::get<1>(job).timeout_ms : std::get<0>(job).timeout_ms; }
    void fail(ClientFailure failure) {
        if (is_mail())
            mailed(std::move(failure));
        else
            answered(std::move(failure));
    }
    bool append(const char* text) {
        curl_slist* longer = curl_slist_append(list, text);
        if (longer) list = longer;
        return longer != nullptr;
    }
};

size_t on_body(char* data, size_t, size_t n, void* user) {
    auto& t = *static_cast<Transfer*>(user);
    if (t.is_mail()) return n;
    size_t room = std::get<0>(t.job).max_answer_bytes - t.response.body.size();
    t.response.body.append(data, std::min(n, room));
    if (n <= room) return n;
    t.response.cut = true;
    return CURL_WRITEFUNC_ERROR;  // the rest is not worth a connection
}

size_t on_header(char* data, size_t, size_t n, void* user) {
    auto& t = *static_cast<Transfer*>(user);
    std::string_view line(data, n);
    if (t.is_mail()) return n;
    if (line.starts_with("HTTP/")) {  // a 1xx is followed by the answer itself
        t.response.headers.clear();
        t.header_bytes = 0;
        return n;
    }
    size_t colon = line.find(':');
    t.header_bytes += n;
    if (colon == std::string_view::npos || t.header_bytes > max_header_bytes) return n;
    std::string_view value = line.substr(colon + 1);
    size_t first = value.find_first_not_of(" \t\r\n"), last = value.find_last_not_of(" \t\r\n");
    value = first == std::string_view::npos ? std::string_view() : value.substr(first, last - first + 1);
    t.response.headers.emplace_back(line.substr(0, colon), value);
    return n;
}

size_t on_upload(char* data, size_t size, size_t n, void* user) {
    auto& t = *static_cast<Transfer*>(user);
    auto& mail = std::get<1>(t.job);
    size_t part = std::min(size * n, mail.data.size() - t.uploaded);
    std::memcpy(data, mail.data.data() + t.uploaded, part);
    t.uploaded += part;
    return part;
}

int on_trace(CURL*, curl_infotype type, char* data, size_t n, void* user) {
    auto& t = *static_cast<Transfer*>(user);
    if (type == CURLINFO_HEADER_OUT) t.conversation.said({data, n});
    if (type == CURLINFO_HEADER_IN) t.conversation.heard({data, n});
    return 0;
}

curl_socket_t on_open(void* user, curlsocktype, curl_sockaddr* address) {
    auto& t = *static_cast<Transfer*>(user);
    std::string why = t.addresses->refusal(&address->addr);
    if (!why.empty()) {
        t.blocked = std::move(why);
        return CURL_SOCKET_BAD;
    }
    return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

// libcurl is about to send the request. A second time means that a kept connection ended without an answer: whether to send it again is for
// the caller to say.
int on_request(void* user, char*, char*, int, int) {
    auto& t = *static_cast<Transfer*>(user);
    t.broken = t.requested;
    t.requested = true;
    return t.broken ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

ClientFailure::Kind kind_of(CURLcode code) {
    switch (code) {
        case CURLE_UNSUPPORTED_PROTOCOL:
        case CURLE_URL_MALFORMAT:
        case CURLE_BAD_FUNCTION_ARGUMENT: return ClientFailure::Kind::invalid;
        case CURLE_COULDNT_RESOLVE_HOST:
        case CURLE_COULDNT_RESOLVE_PROXY:
        case CURLE_COULDNT_CONNECT: return ClientFailure::Kind::connect;
        case CURLE_OPERATION_TIMEDOUT: return ClientFailure::Kind::timeout;
        case CURLE_SSL_CONNECT_ERROR:
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_CACERT_BADFILE:
        case CURLE_SSL_CERTPROBLEM:
        case CURLE_SSL_CIPHER:
        case CURLE_SSL_ISSUER_ERROR:
        case CURLE_SSL_ENGINE_NOTFOUND:
        case CURLE_USE_SSL_FAILED: return ClientFailure::Kind::tls;
        case CURLE_SEND_ERROR:
        case CURLE_RECV_ERROR:
        case CURLE_GOT_NOTHING:
        case CURLE_PARTIAL_FILE: return ClientFailure::Kind::broken;
        default: return ClientFailure::Kind::protocol;
    }
}

}  // namespace

std::string_view to_string(ClientFailure::Kind kind) {
    switch (kind) {
        case ClientFailure::Kind::invalid: return "invalid";
        case ClientFailure::Kind::connect: return "connect";
        case ClientFailure::Kind::refused_address: return "refused_address";
        case ClientFailure::Kind::tls: return "tls";
        case ClientFailure::Kind::timeout: return "timeout";
        case ClientFailure::Kind::protocol: return "protocol";
        case ClientFailure::Kind::broken: return "broken";
        case ClientFailure::Kind::overloaded: return "overloaded";
        case ClientFailure::Kind::stopped: return "stopped";
    }
    return "unknown";
}

std::string_view ClientResponse::header(std::string_view name) const {
    for (auto& [key, value] : headers)
        if (same_name(key, name)) return value;
    return {};
}

struct Client::State {
    explicit State(Options options_) : options(std::move(options_)) {
        curl_global_init(CURL_GLOBAL_DEFAULT);
        multi = curl_multi_init();
        ASSERT(multi);
        curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, static_cast<long>(kept_connections));
        curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, static_cast<long>(options.in_flight_per_host));
        curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
        thread = std::thread([this] { run(); });
    }
    ~State() {
        {
            std::lock_guard lock(mutex);
            stopping = true;
        }
        curl_multi_wakeup(multi);
        thread.join();
        for (CURL* easy : spare) curl_easy_cleanup(easy);
        curl_multi_cleanup(multi);
        curl_global_cleanup();
    }

    void queue(std::unique_ptr<Transfer> transfer) {
        transfer->addresses = &options.addresses;
        {
            std::lock_guard lock(mutex);
            // Beyond the limit the failure is queued in its place: a callback always comes from the client's thread.
            auto& line = waiting.size() >= options.queued ? overflow : waiting;
            line.push_back(std::move(transfer));
        }
        curl_multi_wakeup(multi);
    }

    void run() {
        world::name_thread("http client");
        for (;;) {
            std::deque<std::unique_ptr<Transfer>> begin, too_many;
            bool end = false;
            {
                std::lock_guard lock(mutex);
                end = stopping;
                while (!waiting.empty() && (end || flying.size() + begin.size() < options.in_flight)) {
                    begin.push_back(std::move(waiting.front()));
                    waiting.pop_front();
                }
                too_many.swap(overflow);
            }
            for (auto& t : too_many) t->fail({ClientFailure::Kind::overloaded, "too many requests wait to be sent", false});
            if (end) return finish(std::move(begin));
            for (auto& t : begin) start(std::move(t));
            int running = 0;
            curl_multi_perform(multi, &running);
            if (take_done()) continue;  // there is room for what waits, and callbacks may have sent more
            curl_multi_poll(multi, nullptr, 0, longest_wait_ms, nullptr);
        }
    }

    bool take_done() {
        bool any = false;
        int left = 0;
        while (CURLMsg* message = curl_multi_info_read(multi, &left)) {
            if (message->msg != CURLMSG_DONE) continue;
            CURL* easy = message->easy_handle;
            CURLcode code = message->data.result;
            auto place = flying.find(easy);
            ASSERT(place != flying.end());
            std::unique_ptr<Transfer> transfer = std::move(place->second);
            flying.erase(place);
            curl_multi_remove_handle(multi, easy);
            any = true;
            if (transfer->is_mail())
                finish_mail(*transfer, easy, code);
            else
                finish_request(*transfer, easy, code);
            put_back(easy);
        }
        return any;
    }

    void finish(std::deque<std::unique_ptr<Transfer>> unsent) {
        for (auto& t : unsent) t->fail({ClientFailure::Kind::stopped, "the client ended before the request was sent", false});
        for (auto& [easy, transfer] : flying) {
            bool sent = maybe_received(*transfer, easy);
            curl_multi_remove_handle(multi, easy);
            transfer->fail({ClientFailure::Kind::stopped, "the client ended before the answer came", sent});
            curl_easy_cleanup(easy);
        }
        flying.clear();
        // What callbacks sent meanwhile.
        for (;;) {
            std::deque<std::unique_ptr<Transfer>> rest;
            {
                std::lock_guard lock(mutex);
                rest.swap(waiting);
                std::move(overflow.begin(), overflow.end(), std::back_inserter(rest));
                overflow.clear();
            }
            if (rest.empty()) return;
            for (auto& t : rest) t->fail({ClientFailure::Kind::stopped, "the client has ended", false});
        }
    }

    void put_back(CURL* easy) {
        if (spare.size() >= kept_handles) return curl_easy_cleanup(easy);
        curl_easy_reset(easy);
        spare.push_back(easy);
    }

    void start(std::unique_ptr<Transfer> transfer) {
        CURL* easy = nullptr;
        if (spare.empty()) {
            easy = curl_easy_init();
            ASSERT(easy);
        } else {
            easy = spare.back();
            spare.pop_back();
        }
        Transfer& t = *transfer;
        std::string fault = t.is_mail() ? prepare_mail(t, easy) : prepare_request(t, easy);
        if (!fault.empty()) {
            put_back(easy);
            return t.fail({ClientFailure::Kind::invalid, std::move(fault), false});
        }
        curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);  // a name server that does not answer holds up nobody else
        curl_easy_setopt(easy, CURLOPT_PROXY, "");
        curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
        curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
        curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(std::max<int64_t>(1, t.timeout_ms())));
        curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(std::max<int64_t>(1, t.timeout_ms())));
        curl_easy_setopt(easy, CURLOPT_SERVER_RESPONSE_TIMEOUT, static_cast<long>(t.timeout_ms() / 1000 + 1));
        curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t.error);
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
        curl_easy_setopt(easy, CURLOPT_WRITEDATA, &t);
        curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
        curl_easy_setopt(easy, CURLOPT_HEADERDATA, &t);
        curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
        curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, &t);
        curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_request);
        curl_easy_setopt(easy, CURLOPT_PREREQDATA, &t);
        flying.emplace(easy, std::move(transfer));
        CURLMcode added = curl_multi_add_handle(multi, easy);
        ASSERT(added == CURLM_OK);
    }

    // Empty, or what is wrong with it.
    std::string prepare_request(Transfer& t, CURL* easy) {
        auto& r = std::get<0>(t.job);
        if (has_break(r.url)) return "a URL with a line break in it";
        bool token =
            !r.method.empty() && std::all_of(r.method.begin(), r.method.end(), [](char c) { return c > ' ' && c < 127; });
        if (!token) return fmt::format("'{}' is not a method", r.method);
        bool typed = false;
        for (auto& [name, value] : r.headers) {
            if (has_break(name) || has_break(value) || name.empty() || name.find_first_of(": \t") != std::string::npos)
                return fmt::format("'{}' cannot be sent as a header field", name);
            if (same_name(name, "Content-Length") || same_name(name, "Transfer-Encoding") || same_name(name, "Expect")) continue;
            if (same_name(name, "Content-Type")) typed = true;
            std::string line = value.empty() ? name + ";" : name + ": " + value;  // curl's way to send an empty field
            if (!t.append(line.c_str())) return "no memory";
        }
        if (!t.append("Expect:") || (!typed && !t.append("Content-Type:"))) return "no memory";
        curl_easy_setopt(easy, CURLOPT_URL, r.url.c_str());
        curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
        curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);  // a signature covers the path as it is written
        curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, t.list);
        if (r.method == "HEAD") {
            curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
        } else if (r.method != "GET" || !r.body.empty()) {
            curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(r.body.size()));
            curl_easy_setopt(easy, CURLOPT_POSTFIELDS, r.body.data());
            curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, r.method.c_str());
        }
        if (!options.ca_file.empty()) curl_easy_setopt(easy, CURLOPT_CAINFO, options.ca_file.c_str());
        return {};
    }

    std::string prepare_mail(Transfer& t, CURL* easy) {
        auto& m = std::get<1>(t.job);
        if (has_break(m.url)) return "a URL with a line break in it";
        if (m.to.empty()) return "a mail without recipients";
        if (m.to.size() > max_recipients) return fmt::format("a mail to more than {} recipients", max_recipients);
        auto is_address = [](std::string_view a) {
            return !a.empty() && !has_break(a) && a.find_first_of("<> \t") == std::string_view::npos;
        };
        if (!is_address(m.from)) return fmt::format("'{}' is not a mail address", m.from);
        for (auto& to : m.to) {
            if (!is_address(to)) return fmt::format("'{}' is not a mail address", to);
            if (!t.append(("<" + to + ">").c_str())) return "no memory";
        }
        m.data = with_crlf(m.data);
        curl_easy_setopt(easy, CURLOPT_URL, m.url.c_str());
        curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
        curl_easy_setopt(easy, CURLOPT_USE_SSL, static_cast<long>(m.require_tls ? CURLUSESSL_ALL : CURLUSESSL_TRY));
        if (!m.user.empty()) {
            curl_easy_setopt(easy, CURLOPT_USERNAME, m.user.c_str());
            curl_easy_setopt(easy, CURLOPT_PASSWORD, m.password.c_str());
        }
        const std::string& ca_file = m.ca_file.empty() ? options.ca_file : m.ca_file;
        if (!ca_file.empty()) curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file.c_str());
        curl_easy_setopt(easy, CURLOPT_MAIL_FROM, ("<" + m.from + ">").c_str());
        curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, t.list);
        curl_easy_setopt(easy, CURLOPT_MAIL_RCPT_ALLLOWFAILS, 1L);  // one wrong address does not keep the mail from the others
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_upload);
        curl_easy_setopt(easy, CURLOPT_READDATA, &t);
        curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(m.data.size()));
        curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L);  // for on_trace, which prints nothing
        curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, on_trace);
        curl_easy_setopt(easy, CURLOPT_DEBUGDATA, &t);
        return {};
    }

    static bool maybe_received(const Transfer& t, CURL* easy) {
        if (t.is_mail()) return t.conversation.data_sent && !t.conversation.answered;
        long sent = 0;
        curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &sent);
        return sent > 0;
    }

    ClientFailure failure_of(const Transfer& t, CURL* easy, CURLcode code) {
        ClientFailure failure;
        failure.kind = kind_of(code);
        failure.maybe_received = maybe_received(t, easy);
        if (failure.kind == ClientFailure::Kind::invalid && failure.maybe_received)
            failure.kind =
                ClientFailure::Kind::protocol;  // an answer without a status line: curl names it as it names a bad scheme
        failure.text = t.error[0] ? t.error : curl_easy_strerror(code);
        if (t.broken) return {ClientFailure::Kind::broken, "the connection ended before an answer came", true};
        if (!t.blocked.empty() && failure.kind == ClientFailure::Kind::connect) {
            failure.kind = ClientFailure::Kind::refused_address;
            failure.text = t.blocked;
        }
        return failure;
    }

    void finish_request(Transfer& t, CURL* easy, CURLcode code) {
        long status = 0;
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        if (code != CURLE_OK && !(t.response.cut && code == CURLE_WRITE_ERROR)) return t.answered(failure_of(t, easy, code));
        t.response.status = static_cast<int>(status);
        t.answered(std::move(t.response));
    }

    void finish_mail(Transfer& t, CURL* easy, CURLcode code) {
        auto& c = t.conversation;
        auto& mail = std::get<1>(t.job);
        MailResponse response;
        for (auto& [number, reply] : c.refused)
            if (number >= 1 && number <= mail.to.size())
                response.refused.push_back({mail.to[number - 1], reply.first, reply.second});
        response.code = c.code;
        response.text = c.text;
        // The server has taken or refused the mail: whatever happens to the connection after that changes nothing.
        if (c.answered) return t.mailed(std::move(response));
        bool refused = code != CURLE_OK && code != CURLE_OPERATION_TIMEDOUT && kind_of(code) != ClientFailure::Kind::tls &&
                       c.code >= 400 && !c.data_sent;
        if (refused) return t.mailed(std::move(response));
        ClientFailure failure = failure_of(t, easy, code == CURLE_OK ? CURLE_WEIRD_SERVER_REPLY : code);
        if (failure.maybe_received) failure.text += " (the mail was sent, but not acknowledged)";
        t.mailed(std::move(failure));
    }

    Options options;
    CURLM* multi = nullptr;
    std::mutex mutex;
    std::deque<std::unique_ptr<Transfer>> waiting, overflow;  // guarded by mutex
    bool stopping = false;                                    // guarded by mutex
    // The client's thread only:
    std::unordered_map<CURL*, std::unique_ptr<Transfer>> flying;
    std::vector<CURL*> spare;
    std::thread thread;
};

Client::Client(Options options) : state_(std::make_unique<State>(std::move(options))) {}
Client::~Client() = default;

void Client::send(ClientRequest request, Answered answered) {
    auto transfer = std::make_unique<Transfer>();
    transfer->job = std::move(request);
    transfer->answered = std::move(answered);
    state_->queue(std::move(transfer));
}

void Client::send_mail(MailRequest mail, Mailed mailed) {
    auto transfer = std::make_unique<Transfer>();
    transfer->job.emplace<1>(std::move(mail));
    transfer->mailed = std::move(mailed);
    state_->queue(std::move(transfer));
}

}  // namespace waybill::http
