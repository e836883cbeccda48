#include "http/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <atomic>
#include <future>
#include <thread>

#include "http/test_socket.h"

namespace waybill::http {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// A server for one test: each connection is given to the script, one after another.
class Scripted {
public:
    explicit Scripted(std::function<void(TestSocket&)> script) {
        auto [socket, port] = TestSocket::listen();
        listener_ = std::move(socket);
        port_ = port;
        thread_ = std::thread([this, script = std::move(script)] {
            for (;;) {
                TestSocket s = listener_.accept();
                if (!s.usable()) return;
                ++connections_;
                script(s);
            }
        });
    }
    ~Scripted() {
        listener_.shutdown(SHUT_RDWR);
        thread_.join();
    }
    uint16_t port() const { return port_; }
    int connections() const { return connections_; }
    std::string url(std::string_view path = "/") const { return "http://127.0.0.1:" + std::to_string(port_) + std::string(path); }
    std::string mail_url() const { return "smtp://127.0.0.1:" + std::to_string(port_); }

private:
    TestSocket listener_;
    uint16_t port_ = 0;
    std::atomic<int> connections_{0};
    std::thread thread_;
};

Client::Options options_with(AddressRules rules) {
    Client::Options o;
    o.addresses = std::move(rules);
    return o;
}
AddressRules rules(const std::vector<std::string>& allow = {}, bool block_private = false) {
    return *AddressRules::make(allow, block_private);
}

using Answer = std::variant<ClientResponse, ClientFailure>;
Answer ask(Client& client, ClientRequest request) {
    std::promise<Answer> promise;
    auto future = promise.get_future();
    client.send(std::move(request), [&](Answer a) { promise.set_value(std::move(a)); });
    return future.get();
}
using MailAnswer = std::variant<MailResponse, ClientFailure>;
MailAnswer mail(Client& client, MailRequest request) {
    std::promise<MailAnswer> promise;
    auto future = promise.get_future();
    client.send_mail(std::move(request), [&](MailAnswer a) { promise.set_value(std::move(a)); });
    return future.get();
}

TEST(Client, sends_what_it_was_given_and_keeps_the_connection) {
    std::vector<std::string> seen;
    Scripted server([&](TestSocket& s) {
        for (;;) {
            auto [head, body] = s.receive_response();
            if (head.empty()) return;
            seen.push_back(head + body);
            s.send("HTTP/1.1 202 Accepted\r\nRetry-After: 7\r\nx-empty:\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    {
        Client client(options_with(rules()));
        for (int i = 0; i < 3; ++i) {
            Answer answer = ask(
                client,
                {"PUT", server.url("/a/../b%20c?x=1"), {{"X-One", "1"}, {"X-Empty", ""}, {"Content-Type", "text/x"}}, "body"});
            ASSERT_EQ(answer.index(), 0u) << std::get<1>(answer).text;
            auto& r = std::get<0>(answer);
            EXPECT_EQ(r.status, 202);
            EXPECT_EQ(r.header("retry-after"), "7");
            EXPECT_EQ(r.body, "ok");
        }
    }
    ASSERT_EQ(seen.size(), 3u);
    EXPECT_EQ(seen[0], "PUT /a/../b%20c?x=1 HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(server.port()) +
                           "\r\nAccept: */*\r\nX-One: 1\r\nX-Empty:\r\nContent-Type: text/x\r\nContent-Length: 4\r\n\r\nbody");
    EXPECT_EQ(server.connections(), 1);
}

TEST(Client, a_redirect_is_an_answer) {
    Scripted server([](TestSocket& s) {
        s.receive_until("\r\n\r\n");
        s.send("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
    });
    Client client(options_with(rules()));
    Answer answer = ask(client, {"GET", server.url(), {}, ""});
    ASSERT_EQ(answer.index(), 0u);
    EXPECT_EQ(std::get<0>(answer).status, 302);
}

TEST(Client, a_long_answer_is_cut) {
    Scripted server([](TestSocket& s) {
        s.receive_until("\r\n\r\n");
        s.send("HTTP/1.1 200 OK\r\n\r\n");
        while (s.send(std::string(10'000, 'x'))) {
        }
    });
    Client client(options_with(rules()));
    Answer answer = ask(client, {.method = "GET", .url = server.url(), .max_answer_bytes = 1000});
    ASSERT_EQ(answer.index(), 0u) << std::get<1>(answer).text;
    EXPECT_EQ(std::get<0>(answer).body, std::string(1000, 'x'));
    EXPECT_TRUE(std::get<0>(answer).cut);
}

TEST(Client, says_whether_the_other_side_may_have_it) {
    std::atomic<int> manner{0};
    Scripted server([&](TestSocket& s) {
        if (manner == 0) {
            s.receive_response();
            s.receive();  // until the client gives up
        } else if (manner == 1) {
            s.receive_response();
            s.reset();
        } else {
            s.receive_response();
            s.send("this is not HTTP\r\n\r\n");
        }
    });
    Client client(options_with(rules()));
    Answer late = ask(client, {.method = "POST", .url = server.url(), .body = "x", .timeout_ms = 200});
    ASSERT_EQ(late.index(), 1u);
    EXPECT_EQ(std::get<1>(late).kind, ClientFailure::Kind::timeout);
    EXPECT_TRUE(std::get<1>(late).maybe_received);
    manner = 1;
    Answer reset = ask(client, {"POST", server.url(), {}, "x"});
    ASSERT_EQ(reset.index(), 1u);
    EXPECT_EQ(std::get<1>(reset).kind, ClientFailure::Kind::broken);
    EXPECT_TRUE(std::get<1>(reset).maybe_received);
    manner = 2;
    Answer garbage = ask(client, {"POST", server.url(), {}, "x"});
    ASSERT_EQ(garbage.index(), 1u);
    EXPECT_EQ(std::get<1>(garbage).kind, ClientFailure::Kind::protocol) << std::get<1>(garbage).text;
    EXPECT_TRUE(std::get<1>(garbage).maybe_received);
    uint16_t closed_port = 0;
    {
        auto [listener, port] = TestSocket::listen();
        closed_port = port;
    }
    Answer nobody = ask(client, {"POST", "http://127.0.0.1:" + std::to_string(closed_port) + "/", {}, "x"});
    ASSERT_EQ(nobody.index(), 1u);
    EXPECT_EQ(std::get<1>(nobody).kind, ClientFailure::Kind::connect);
    EXPECT_FALSE(std::get<1>(nobody).maybe_received);
}

TEST(Client, a_kept_connection_that_ends_without_an_answer_is_not_used_as_an_excuse_to_ask_twice) {
    std::atomic<int> requests{0};
    Scripted server([&](TestSocket& s) {
        // Each connection answers once; what comes after that is read, and the connection ended.
        for (int answers = 1;; --answers) {
            auto [head, body] = s.receive_response();
            if (head.empty()) return;
            ++requests;
            if (answers == 0) return;
            s.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    Client client(options_with(rules()));
    ClientRequest request;
    request.url = server.url();
    request.body = "once";
    ASSERT_EQ(std::get<ClientResponse>(ask(client, request)).status, 200);
    const auto failure = std::get<ClientFailure>(ask(client, request));
    EXPECT_EQ(failure.kind, ClientFailure::Kind::broken);
    EXPECT_TRUE(failure.maybe_received);
    EXPECT_EQ(requests, 2);
}

TEST(Client, what_cannot_be_sent_fails_at_once) {
    Client client(options_with(rules()));
    auto kind = [&](ClientRequest r) { return std::get<1>(ask(client, std::move(r))).kind; };
    EXPECT_EQ(kind({"GET", "file:///etc/passwd", {}, ""}), ClientFailure::Kind::invalid);
    EXPECT_EQ(kind({"GET", "gopher://127.0.0.1/", {}, ""}), ClientFailure::Kind::invalid);
    EXPECT_EQ(kind({"GET", "not a url", {}, ""}), ClientFailure::Kind::invalid);
    EXPECT_EQ(kind({"GET", "http://127.0.0.1/", {{"X", "a\r\nY: b"}}, ""}), ClientFailure::Kind::invalid);
    EXPECT_EQ(kind({"GET", "http://127.0.0.1/", {{"X: y", "a"}}, ""}), ClientFailure::Kind::invalid);
    EXPECT_EQ(kind({"GET /x", "http://127.0.0.1/", {}, ""}), ClientFailure::Kind::invalid);
}

TEST(Client, blocked_addresses_are_never_connected_to) {
    Scripted server([](TestSocket& s) {
        s.receive_until("\r\n\r\n");
        s.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    std::string port = std::to_string(server.port());
    Client closed(options_with(rules({}, true)));
    for (std::string host : {"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "127.1"}) {
        Answer answer = ask(closed, {"GET", "http://" + host + ":" + port + "/", {}, ""});
        ASSERT_EQ(answer.index(), 1u) << host;
        EXPECT_EQ(std::get<1>(answer).kind, ClientFailure::Kind::refused_address) << host;
        EXPECT_THAT(std::get<1>(answer).text, HasSubstr("loopback")) << host;
    }
    EXPECT_EQ(server.connections(), 0);
    Client listed(options_with(rules({"127.0.0.0/8"}, true)));
    EXPECT_EQ(ask(listed, {"GET", server.url(), {}, ""}).index(), 0u);
    Client open(options_with(rules()));
    Answer metadata = ask(open, {"GET", "http://169.254.169.254/latest/meta-data/", {}, ""});
    ASSERT_EQ(metadata.index(), 1u);
    EXPECT_EQ(std::get<1>(metadata).kind, ClientFailure::Kind::refused_address);
    EXPECT_FALSE(std::get<1>(metadata).maybe_received);
    Answer mailed = ask(open, {"GET", "http://0.0.0.0:" + port + "/", {}, ""});
    ASSERT_EQ(mailed.index(), 1u);
    EXPECT_EQ(std::get<1>(mailed).kind, ClientFailure::Kind::refused_address);
}

TEST(AddressRules, judge_the_address_that_is_reached) {
    auto refuses = [](const AddressRules& r, const char* text) {
        sockaddr_storage storage{};
        if (std::string_view(text).find(':') == std::string_view::npos) {
            auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
            v4->sin_family = AF_INET;
            EXPECT_EQ(inet_pton(AF_INET, text, &v4->sin_addr), 1);
        } else {
            auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
            v6->sin6_family = AF_INET6;
            EXPECT_EQ(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
        }
        return !r.refusal(reinterpret_cast<sockaddr*>(&storage)).empty();
    };
    AddressRules r = rules();
    for (const char* bad : {"169.254.169.254", "169.254.0.1", "100.100.100.200", "0.0.0.0", "0.1.2.3", "224.0.0.1",
                            "255.255.255.255", "::", "fe80::1", "febf::1", "ff02::1", "fd00:ec2::254", "::ffff:169.254.169.254",
                            "64:ff9b::169.254.169.254", "2002:a9fe:a9fe::1"})
        EXPECT_TRUE(refuses(r, bad)) << bad;
    for (const char* good :
         {"127.0.0.1", "10.0.0.1", "192.168.1.1", "8.8.8.8", "100.100.100.201", "169.253.255.255", "169.255.0.0", "::1",
          "fec0::1", "fd00:ec2::253", "2001:db8::1", "::ffff:10.0.0.1", "223.255.255.255"})
        EXPECT_FALSE(refuses(r, good)) << good;
    AddressRules closed = rules({"10.1.0.0/16", "169.254.169.254", "fe80::/64"}, true);
    for (const char* bad : {"127.0.0.1", "10.2.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1", "::1", "fd00::1",
                            "::ffff:127.0.0.1", "fe80:0:0:1::1"})
        EXPECT_TRUE(refuses(closed, bad)) << bad;
    for (const char* good : {"10.1.255.255", "169.254.169.254", "fe80::2", "172.32.0.1", "8.8.8.8"})
        EXPECT_FALSE(refuses(closed, good)) << good;
    for (const char* wrong : {"10.0.0.0/33", "10.0.0/8", "host", "10.0.0.0/", "10.0.0.0/8x", "::/129", ""})
        EXPECT_FALSE(AddressRules::make({wrong}).ok()) << wrong;
}

TEST(Client, its_end_answers_everything_that_is_open) {
    std::promise<void> reached;
    Scripted server([&](TestSocket& s) {
        s.receive_response();
        reached.set_value();
        s.receive();
    });
    std::vector<ClientFailure> failures;
    {
        Client::Options o = options_with(rules());
        o.in_flight = 1;
        o.queued = 2;
        Client client(o);
        auto keep = [&](Answer a) { failures.push_back(std::get<1>(a)); };
        client.send({"POST", server.url(), {}, "x"}, keep);
        reached.get_future().wait();
        for (int i = 0; i < 3; ++i) client.send({"POST", server.url(), {}, "x"}, keep);
    }
    ASSERT_EQ(failures.size(), 4u);
    int overloaded = 0, sent = 0;
    for (auto& f : failures) {
        overloaded += f.kind == ClientFailure::Kind::overloaded;
        sent += f.maybe_received;
    }
    EXPECT_EQ(overloaded, 1);
    EXPECT_EQ(sent, 1);
}

// An SMTP server that answers by prefix of the command; the first entry that fits wins. Keeps what it was told.
struct MailServer {
    std::vector<std::pair<std::string, std::string>> answers;
    std::string after_data = "250 2.0.0 queued as 1\r\n";
    bool vanish_after_data = false;
    std::string told, data;
    Scripted server{[this](TestSocket& s) { talk(s); }};

    void talk(TestSocket& s) {
        s.send("220 test ESMTP\r\n");
        for (;;) {
            std::string line = s.receive_until("\r\n");
            if (line.empty()) return;
            told += line;
            std::string answer = "250 ok\r\n";
            for (auto& [prefix, reply] : answers)
                if (line.starts_with(prefix)) {
                    answer = reply;
                    break;
                }
            if (line.starts_with("DATA") && answer == "250 ok\r\n") {
                s.send("354 go on\r\n");
                data = s.receive_until("\r\n.\r\n");
                if (vanish_after_data) return s.reset();
                s.send(after_data);
                continue;
            }
            s.send(answer);
            if (line.starts_with("QUIT")) return;
        }
    }
    MailRequest request() {
        MailRequest m;
        m.url = server.mail_url();
        m.from = "waybill@example.org";
        m.to = {"a@example.org", "b@example.org", "c@example.org"};
        m.data = "Subject: x\r\n\r\n.dot\nbare\n.\nend";
        return m;
    }
};

TEST(Mail, is_taken_for_all_recipients_with_its_dots_kept_and_its_lines_ended) {
    MailServer m;
    {
        Client client(options_with(rules()));
        MailAnswer answer = mail(client, m.request());
        ASSERT_EQ(answer.index(), 0u) << std::get<1>(answer).text;
        EXPECT_EQ(std::get<0>(answer).code, 250);
        EXPECT_EQ(std::get<0>(answer).text, "250 2.0.0 queued as 1");
        EXPECT_TRUE(std::get<0>(answer).refused.empty());
    }
    EXPECT_EQ(m.data, "Subject: x\r\n\r\n..dot\r\nbare\r\n..\r\nend\r\n.\r\n");
    EXPECT_THAT(m.told, HasSubstr("MAIL FROM:<waybill@example.org>"));
    EXPECT_THAT(m.told, HasSubstr("RCPT TO:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nRCPT TO:<c@example.org>\r\n"));
}

TEST(Mail, one_refused_recipient_does_not_keep_it_from_the_others) {
    MailServer m;
    m.answers = {{"RCPT TO:<b@", "550-5.1.1 first line\r\n550 5.1.1 no such user\r\n"}};
    Client client(options_with(rules()));
    MailAnswer answer = mail(client, m.request());
    ASSERT_EQ(answer.index(), 0u) << std::get<1>(answer).text;
    auto& r = std::get<0>(answer);
    EXPECT_EQ(r.code, 250);
    ASSERT_EQ(r.refused.size(), 1u);
    EXPECT_EQ(r.refused[0].address, "b@example.org");
    EXPECT_EQ(r.refused[0].code, 550);
    EXPECT_EQ(r.refused[0].text, "550 5.1.1 no such user");
}

TEST(Mail, a_refusal_is_the_servers_word_4xx_or_5xx) {
    struct Case {
        std::string prefix, reply;
        int code;
    };
    for (auto& c :
         {Case{"RCPT", "450 4.2.0 greylisted\r\n", 450}, Case{"RCPT", "550 no\r\n", 550}, Case{"MAIL", "451 later\r\n", 451},
          Case{"MAIL", "553 never\r\n", 553}, Case{"DATA", "554 no valid recipients\r\n", 554}}) {
        MailServer m;
        m.answers = {{c.prefix, c.reply}};
        Client client(options_with(rules()));
        MailAnswer answer = mail(client, m.request());
        ASSERT_EQ(answer.index(), 0u) << c.prefix << std::get<1>(answer).text;
        EXPECT_EQ(std::get<0>(answer).code, c.code);
        EXPECT_EQ(std::get<0>(answer).text + "\r\n", c.reply);
    }
    for (std::string reply : {"451 4.3.0 later\r\n", "552 5.2.3 too large\r\n"}) {
        MailServer m;
        m.after_data = reply;
        Client client(options_with(rules()));
        MailAnswer answer = mail(client, m.request());
        ASSERT_EQ(answer.index(), 0u) << std::get<1>(answer).text;
        EXPECT_EQ(std::get<0>(answer).text + "\r\n", reply);
    }
}

TEST(Mail, no_word_after_the_mail_was_sent_is_an_unknown_outcome) {
    MailServer m;
    m.vanish_after_data = true;
    Client client(options_with(rules()));
    MailAnswer answer = mail(client, m.request());
    ASSERT_EQ(answer.index(), 1u);
    EXPECT_TRUE(std::get<1>(answer).maybe_received);
    MailServer early;
    early.answers = {{"MAIL", ""}};
    MailRequest request = early.request();
    request.timeout_ms = 200;
    MailAnswer late = mail(client, request);
    ASSERT_EQ(late.index(), 1u);
    EXPECT_EQ(std::get<1>(late).kind, ClientFailure::Kind::timeout);
    EXPECT_FALSE(std::get<1>(late).maybe_received);
}

TEST(Mail, without_starttls_nothing_is_sent_where_tls_is_required) {
    MailServer m;
    MailRequest request = m.request();
    request.require_tls = true;
    request.user = "user";
    request.password = "secret";
    {
        Client client(options_with(rules()));
        MailAnswer answer = mail(client, request);
        ASSERT_EQ(answer.index(), 1u);
        EXPECT_EQ(std::get<1>(answer).kind, ClientFailure::Kind::tls) << std::get<1>(answer).text;
        EXPECT_FALSE(std::get<1>(answer).maybe_received);
    }
    EXPECT_THAT(m.told, Not(HasSubstr("MAIL")));
    EXPECT_THAT(m.told, Not(HasSubstr("AUTH")));
}

TEST(Mail, addresses_cannot_carry_commands) {
    MailServer m;
    Client client(options_with(rules()));
    for (std::string bad : {"a@b>\r\nDATA", "a b@c", "", "<a@b>"}) {
        MailRequest request = m.request();
        request.to = {bad};
        MailAnswer answer = mail(client, request);
        ASSERT_EQ(answer.index(), 1u);
        EXPECT_EQ(std::get<1>(answer).kind, ClientFailure::Kind::invalid);
    }
    EXPECT_EQ(m.server.connections(), 0);
}

}  // namespace
}  // namespace waybill::http
