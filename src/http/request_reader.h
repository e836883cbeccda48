// Turns the bytes of one connection into requests: a head, then the pieces of its body, then the next request. It does no I/O:
// the connection puts received bytes in and asks what they amount to, so the same path is tested with any cut of the bytes and
// fuzzed.
//
// Boost.Beast's parser reads a head's syntax; what it leaves open is decided here: one total bound on the head, exactly one Host
// (HTTP/1.1), no transfer coding but chunked, no content coding. Body framing is read here too: Beast 1.81 asserts, and so ends
// the process, when a last chunk's end arrives a byte at a time. Memory is bounded: the buffer never grows past the head's limit
// or body_window. What is refused does not depend on how the bytes were cut. For one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/head.h"

namespace waybill::http {

// Why a request cannot be read on. The status is the one to answer with.
struct Refusal {
    int status = 400;
    std::string message;
};

class RequestReader {
public:
    // The most that is received ahead of a handler that reads a body.
    static constexpr size_t body_window = 64 * 1024;

    explicit RequestReader(size_t max_head_bytes);
    ~RequestReader();
    RequestReader(const RequestReader&) = delete;
    RequestReader& operator=(const RequestReader&) = delete;

    // Where the next received bytes go: at least one byte of room, whatever was asked before. received() says how many came.
    struct Room {
        char* data;
        size_t size;
    };
    Room room();
    void received(size_t n);
    // Bytes are there that belong to nothing handed out yet.
    bool has_bytes() const { return begin_ < end_; }

    enum class Step { need_more, ready, refused };

    // The next request's head. After `ready`, head() holds until next_head() begins the request after it; the body must have been
    // taken to its end by then.
    Step next_head();
    // The next piece of the body, without its chunk framing; an empty piece is the end. The view holds until the next call.
    Step next_body(std::string_view& piece);

    const Head& head() const { return head_; }
    Head& head() { return head_; }
    bool body_done() const { return has_head_ && body_done_; }
    // Set when the head said Content-Length.
    std::optional<uint64_t> content_length() const { return content_length_; }
    uint64_t body_bytes() const { return body_bytes_; }
    bool keep_alive() const { return has_head_ && keep_alive_; }
    const Refusal& refusal() const { return refusal_; }

private:
    struct Parser;
    Step refuse(int status, std::string message);
    bool check_head();

    // Where in a chunked body the next byte stands (RFC 9112, 7.1).
    enum class Chunk { size, extension, size_end, data, data_return, data_end, trailer_begin, trailer, trailer_end, last_end };
    Step chunk_fault(std::string message);

    size_t max_head_bytes_;
    std::unique_ptr<char[]> buffer_;
    size_t capacity_ = 0, begin_ = 0, end_ = 0;
    std::unique_ptr<Parser> parser_;
    Head head_;
    bool in_head_ = false;   // a head has begun: its first byte is there
    bool has_head_ = false;  // head_ is complete
    size_t scanned_ = 0;     // how much of a head that is not whole yet has been looked at (before a head: empty lines dropped)
    size_t line_ = 0;        // where in it the line begins that is being looked at
    bool keep_alive_ = false;
    bool body_done_ = false;
    bool chunked_ = false;
    std::optional<uint64_t> content_length_;
    uint64_t left_ = 0;        // of the body, or of the chunk that is being read
    uint64_t body_bytes_ = 0;  // handed out
    Chunk chunk_ = Chunk::size;
    size_t framing_bytes_ = 0;  // of the chunk's size line, or of all trailers
    bool has_digit_ = false;    // the chunk's size has one; in a trailer: a ':' was seen
    Refusal refusal_;
};

}  // namespace waybill::http
