// The HTTP and SMTP client: asks, and calls back with what came of it. Built on libcurl's multi interface, on one thread of its
// own.
//
// send() and send_mail() may be called from any thread, callbacks included; they only queue. Every call gets exactly one
// callback, on the client's thread, which must not block; the client's end answers what is still open with `stopped`. Connections
// are kept and reused. Nothing is retried here, not even what libcurl would send again by itself because a kept connection ended
// before a byte of an answer came: the other side may have acted on it, so it is a failure, `maybe_received`.
//
// Never: redirects (a 3xx is an answer), proxies from the environment, cookies, other protocols than http, https, smtp and smtps,
// unverified TLS, connections to addresses that AddressRules refuses.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "http/address_rules.h"

namespace waybill::http {

struct ClientRequest {
    std::string method = "POST";
    std::string url;
    std::vector<std::pair<std::string, std::string>> headers;  // Host, Content-Length are made; Expect is never sent
    std::string body;
    int64_t timeout_ms = 5'000;           // for everything: name, connection, request, answer
    size_t max_answer_bytes = 64 * 1024;  // of the answer's body; what is longer is cut
};

struct ClientResponse {
    int status = 0;
    std::vector<std::pair<std::string, std::string>> headers;  // in order, as sent; at most 64 KiB are kept
    std::string body;
    bool cut = false;  // the body was longer than max_answer_bytes
    // The first field of that name, without case; empty where there is none.
    std::string_view header(std::string_view name) const;
};

struct ClientFailure {
    enum class Kind {
        invalid,          // the request cannot be sent as it is: a URL, header or address that is none
        connect,          // no name, no route, refused: the other side has seen nothing
        refused_address,  // AddressRules
        tls,              // no trusted TLS connection
        timeout,
        protocol,    // the other side does not speak HTTP or SMTP as it should
        broken,      // the connection ended too soon
        overloaded,  // Options::queued requests wait already
        stopped,     // the client ended
    };
    Kind kind = Kind::connect;
    std::string text;             // for people; names the host, never a password
    bool maybe_received = false;  // the request, or a whole mail, may have reached the other side: its outcome is unknown
};
std::string_view to_string(ClientFailure::Kind kind);

struct MailRequest {
    std::string url;  // smtp://host:port or smtps://host:port
    bool require_tls =
        false;  // smtp: STARTTLS or nothing. Without it STARTTLS is used where offered, and its certificate is verified.
    std::string user, password;
    std::string ca_file;          // trust these certificates instead of the system's
    std::string from;             // envelope addresses, without <>
    std::vector<std::string> to;  // at most 100
    std::string data;             // RFC 5322; lone CR or LF become CRLF, leading dots are escaped on the way
    int64_t timeout_ms = 30'000;
};

// What the mail server said. 2xx: it has taken the mail, for all recipients but those in `refused`. 4xx: try again later; 5xx: it
// never will; in both cases nobody got it.
struct MailResponse {
    int code = 0;
    std::string text;  // the reply's last line, e.g. "250 2.0.0 Ok: queued as 4F2A"
    struct Refused {
        std::string address;
        int code = 0;
        std::string text;
    };
    std::vector<Refused> refused;
};

class Client {
public:
    struct Options {
        AddressRules addresses;
        std::string ca_file;             // trust these certificates instead of the system's
        size_t in_flight = 256;          // more wait their turn, in order
        size_t in_flight_per_host = 32;  // one slow host does not take all connections; the wait counts for the timeout
        size_t queued = 16 * 1024;       // more are refused at once: `overloaded`
    };
    using Answered = std::function<void(std::variant<ClientResponse, ClientFailure>)>;
    using Mailed = std::function<void(std::variant<MailResponse, ClientFailure>)>;

    explicit Client(Options options);
    ~Client();
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    void send(ClientRequest request, Answered answered);
    void send_mail(MailRequest mail, Mailed mailed);

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace waybill::http
