// Plain blocking sockets on loopback, for tests that need exact bytes on a connection. Every wait ends after ten seconds, as a
// failed test.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <utility>

#include "base/assert.h"

namespace waybill::http {

class TestSocket {
public:
    static constexpr int patience_ms = 10'000;

    TestSocket() = default;
    explicit TestSocket(int fd) : fd_(fd) {}
    TestSocket(TestSocket&& other) noexcept : fd_(std::exchange(other.fd_, -1)), kept_(std::move(other.kept_)) {}
    TestSocket& operator=(TestSocket&& other) noexcept {
        close();
        fd_ = std::exchange(other.fd_, -1);
        kept_ = std::move(other.kept_);
        return *this;
    }
    ~TestSocket() { close(); }

    static TestSocket connect(uint16_t port, int receive_buffer = 0) {
        TestSocket s(::socket(AF_INET, SOCK_STREAM, 0));
        if (receive_buffer) ::setsockopt(s.fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        ASSERT(::connect(s.fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
        return s;
    }
    // A listening socket and its port.
    static std::pair<TestSocket, uint16_t> listen() {
        TestSocket s(::socket(AF_INET, SOCK_STREAM, 0));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        ASSERT(::bind(s.fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 && ::listen(s.fd_, 64) == 0);
        ASSERT(::getsockname(s.fd_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
        uint16_t port = ntohs(address.sin_port);
        return {std::move(s), port};
    }
    // The next connection; an unusable socket when the listener was shut down.
    TestSocket accept() { return TestSocket(::accept(fd_, nullptr, nullptr)); }

    bool usable() const { return fd_ >= 0; }
    int fd() const { return fd_; }
    void close() {
        if (fd_ >= 0) ::close(std::exchange(fd_, -1));
    }
    // Closes so that the other side sees a reset.
    void reset() {
        linger hard{1, 0};
        ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        close();
    }
    void shutdown(int how) { ::shutdown(fd_, how); }

    // False when the other side does not take the bytes any more.
    bool send(std::string_view bytes) {
        while (!bytes.empty()) {
            ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (n <= 0) return false;
            bytes.remove_prefix(static_cast<size_t>(n));
        }
        return true;
    }
    // Whatever comes next; empty at the end, on a reset and when patience ends.
    std::string receive() {
        if (!kept_.empty()) return std::exchange(kept_, {});
        pollfd p{fd_, POLLIN, 0};
        if (::poll(&p, 1, patience_ms) != 1) return {};
        char buffer[64 * 1024];
        ssize_t n = ::recv(fd_, buffer, sizeof buffer, 0);
        return n > 0 ? std::string(buffer, static_cast<size_t>(n)) : std::string();
    }
    // Up to and with the mark; what follows is kept for the next call. Without the mark: all there was.
    std::string receive_until(std::string_view mark) {
        std::string all;
        for (;;) {
            size_t at = all.find(mark);
            if (at != std::string::npos) {
                kept_ = all.substr(at + mark.size());
                all.resize(at + mark.size());
                return all;
            }
            std::string more = receive();
            if (more.empty()) return all;
            all += more;
        }
    }
    std::string receive_all() {
        std::string all;
        for (std::string more = receive(); !more.empty(); more = receive()) all += more;
        return all;
    }
    // One response: its head, and the body as long as its Content-Length says.
    std::pair<std::string, std::string> receive_response() {
        std::string head = receive_until("\r\n\r\n");
        size_t at = head.find("Content-Length: ");
        size_t size = at == std::string::npos ? 0 : std::stoul(head.substr(at + 16));
        std::string body;
        while (body.size() < size) {
            std::string more = receive();
            if (more.empty()) break;
            body += more;
        }
        if (body.size() > size) {
            kept_ = body.substr(size);
            body.resize(size);
        }
        return {head, body};
    }

private:
    int fd_ = -1;
    std::string kept_;
};

}  // namespace waybill::http
