#include "http/request_reader.h"

#include <fmt/format.h>

#include <boost/beast/http/basic_parser.hpp>
#include <cstring>
#include <utility>

#include "base/assert.h"

namespace waybill::http {

namespace beast = boost::beast;

namespace {

constexpr size_t max_framing = 16 * 1024;    // of one chunk's size line, or of all trailers
constexpr size_t initial_buffer = 8 * 1024;  // holds an ordinary AWS request whole; kept while a connection idles

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::string_view to_std(beast::string_view s) { return {s.data(), s.size()}; }

}  // namespace

// One message. Beast has no way to use a parser twice, so it is made anew in place for each request.
struct RequestReader::Parser {
    class Message final : public beast::http::basic_parser<true> {
    public:
        explicit Message(Head& head) : head_(head) {
            header_limit(UINT32_MAX);  // the whole head is bounded by the reader; Beast's limit is per field
            body_limit(boost::none);   // the handler bounds the body
        }

    private:
        using Code = beast::error_code;
        void on_request_impl(beast::http::verb, beast::string_view method, beast::string_view target, int version,
                             Code& ec) override {
            ec = {};
            head_.set_request(to_std(method), to_std(target), version - 10);
        }
        void on_response_impl(int, beast::string_view, int, Code&) override {}
        void on_field_impl(beast::http::field, beast::string_view name, beast::string_view value, Code& ec) override {
            ec = {};
            head_.add_header(to_std(name), to_std(value));
        }
        void on_header_impl(Code& ec) override { ec = {}; }
        void on_body_init_impl(boost::optional<uint64_t> const&, Code& ec) override { ec = {}; }
        size_t on_body_impl(beast::string_view, Code&) override { return 0; }
        void on_chunk_header_impl(uint64_t, beast::string_view, Code&) override {}
        size_t on_chunk_body_impl(uint64_t, beast::string_view, Code&) override { return 0; }
        void on_finish_impl(Code& ec) override { ec = {}; }

        Head& head_;
    };
    std::optional<Message> message;
};

RequestReader::RequestReader(size_t max_head_bytes) : max_head_bytes_(max_head_bytes), parser_(std::make_unique<Parser>()) {
    ASSERT(max_head_bytes >= 1024);
    capacity_ = std::min(initial_buffer, max_head_bytes_);
    buffer_ = std::make_unique_for_overwrite<char[]>(capacity_);
}

RequestReader::~RequestReader() = default;

RequestReader::Room RequestReader::room() {
    if (begin_ == end_) begin_ = end_ = 0;
    size_t limit = std::max(max_head_bytes_, body_window) + 1;  // one more than a head may have, so that too much can be seen
    bool wants_more = end_ - begin_ > capacity_ / 2 || (has_head_ && body_bytes_ > capacity_);
    if (wants_more && capacity_ < limit) {
        size_t capacity = std::min(limit, capacity_ * 2);
        auto larger = std::make_unique_for_overwrite<char[]>(capacity);
        std::memcpy(larger.get(), buffer_.get() + begin_, end_ - begin_);
        buffer_ = std::move(larger);
        capacity_ = capacity;
        end_ -= begin_;
        begin_ = 0;
    } else if (end_ == capacity_) {
        std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
    }
    ASSERT(end_ < capacity_);
    return {buffer_.get() + end_, capacity_ - end_};
}

void RequestReader::received(size_t n) {
    ASSERT(n <= capacity_ - end_);
    end_ += n;
}

RequestReader::Step RequestReader::refuse(int status, std::string message) {
    refusal_ = {status, std::move(message)};
    return Step::refused;
}

RequestReader::Step RequestReader::next_head() {
    if (!in_head_) {
        ASSERT(!has_head_ || body_done());
        if (std::exchange(has_head_, false)) scanned_ = 0;
        // An empty line before a request is forgiven (RFC 9112, 2.2): old clients end a body with one.
        while (begin_ < end_ && (buffer_[begin_] == '\r' || buffer_[begin_] == '\n')) {
            ++begin_;
            if (++scanned_ > 64) return refuse(400, "more than 32 empty lines before a request");
        }
        if (begin_ == end_) {
            if (capacity_ > 2 * initial_buffer) {  // an idle connection does not keep a large body's buffer
                capacity_ = std::min(initial_buffer, max_head_bytes_);
                buffer_ = std::make_unique_for_overwrite<char[]>(capacity_);
                begin_ = end_ = 0;
            }
            return Step::need_more;
        }
        in_head_ = true;
        scanned_ = line_ = 0;
        body_bytes_ = 0;
        head_.clear();
        parser_->message.emplace(head_);
    }
    // The head is given to the parser whole: what is refused then does not depend on how the bytes were cut.
    size_t head_end = 0;
    while (head_end == 0) {
        const char* from = buffer_.get() + begin_ + scanned_;
        auto* line_feed = static_cast<const char*>(std::memchr(from, '\n', end_ - begin_ - scanned_));
        if (!line_feed) {
            scanned_ = end_ - begin_;
            break;
        }
        size_t at = static_cast<size_t>(line_feed - (buffer_.get() + begin_));
        if (at >= max_head_bytes_) {
            scanned_ = at + 1;
            break;
        }
        if (at == 0 || line_feed[-1] != '\r') return refuse(400, "a line of the head does not end with CR LF");
        scanned_ = at + 1;
        if (at - line_ == 1) head_end = scanned_;
        line_ = scanned_;
    }
    if (scanned_ > max_head_bytes_)
        return refuse(431, fmt::format("the request line and header fields exceed {} bytes", max_head_bytes_));
    if (head_end == 0) return Step::need_more;
    auto& message = *parser_->message;
    for (size_t parsed = 0; !message.is_header_done();) {
        beast::error_code ec;
        parsed += message.put({buffer_.get() + begin_ + parsed, head_end - parsed}, ec);
        if (ec == beast::http::error::header_limit) return refuse(431, "a folded header field is too long");  // Beast's own bound
        if (ec) return refuse(400, "the request cannot be parsed: " + ec.message());
    }
    begin_ += head_end;
    if (!check_head()) return Step::refused;
    in_head_ = false;
    has_head_ = true;
    keep_alive_ = message.keep_alive();
    chunked_ = message.chunked();
    content_length_ = std::nullopt;
    if (auto length = message.content_length()) content_length_ = *length;
    left_ = content_length_.value_or(0);
    body_done_ = !chunked_ && left_ == 0;
    chunk_ = Chunk::size;
    has_digit_ = false;
    framing_bytes_ = 0;
    return Step::ready;
}

bool RequestReader::check_head() {
    size_t hosts = head_.header_all("Host").size();
    if (head_.minor_version() == 1 && hosts != 1) {
        refuse(400, hosts == 0 ? "an HTTP/1.1 request needs a Host header field" : "more than one Host header field");
        return false;
    }
    auto codings = head_.header_all("Transfer-Encoding");
    if (!codings.empty()) {
        // Two readers that disagree where a body ends is how requests are smuggled: only the one form nobody misreads is taken.
        bool one_chunked = codings.size() == 1 && same_name(codings[0], "chunked");
        if (!one_chunked || head_.minor_version() == 0 || head_.header("Content-Length")) {
            refuse(400, "the only transfer coding understood is a single 'chunked', in HTTP/1.1, without Content-Length");
            return false;
        }
    }
    for (std::string_view coding : head_.header_all("Content-Encoding")) {
        if (coding.empty() || same_name(coding, "identity")) continue;
        refuse(415, fmt::format("content coding '{}' is not supported: send the body as it is", coding));
        return false;
    }
    return true;
}

RequestReader::Step RequestReader::chunk_fault(std::string message) {
    return refuse(400, "the request body cannot be parsed: " + std::move(message));
}

RequestReader::Step RequestReader::next_body(std::string_view& piece) {
    ASSERT(has_head_);
    piece = {};
    auto take = [&] {
        size_t n = static_cast<size_t>(std::min<uint64_t>(left_, end_ - begin_));
        piece = {buffer_.get() + begin_, n};
        begin_ += n;
        left_ -= n;
        body_bytes_ += n;
    };
    if (!chunked_ && !body_done_) {
        if (begin_ == end_) return Step::need_more;
        take();
        body_done_ = left_ == 0;
        return Step::ready;
    }
    while (!body_done_) {
        if (begin_ == end_) return Step::need_more;
        if (chunk_ == Chunk::data) {
            take();
            if (left_ == 0) chunk_ = Chunk::data_return;
            return Step::ready;
        }
        char c = buffer_[begin_++];
        bool control = static_cast<unsigned char>(c) < 0x20 && c != '\t';
        if (++framing_bytes_ > max_framing)
            return chunk_fault(fmt::format("more than {} bytes of a chunk's framing", max_framing));
        switch (chunk_) {
            case Chunk::size: {
                int digit = hex_value(c);
                if (digit >= 0) {
                    if (left_ >> 59) return chunk_fault("a chunk's size is too large");
                    left_ = left_ * 16 + static_cast<uint64_t>(digit);
                    has_digit_ = true;
                } else if (!has_digit_) {
                    return chunk_fault("a chunk does not begin with its size in hexadecimal digits");
                } else if (c == '\r') {
                    chunk_ = Chunk::size_end;
                } else if (c == ';' || c == ' ' || c == '\t') {
                    chunk_ = Chunk::extension;
                } else {
                    return chunk_fault("a chunk's size is not hexadecimal digits");
                }
                break;
            }
            case Chunk::extension:
                if (c == '\r')
                    chunk_ = Chunk::size_end;
                else if (control)
                    return chunk_fault("a control character in a chunk's extension");
                break;
            case Chunk::size_end:
                if (c != '\n') return chunk_fault("a chunk's size line does not end with CR LF");
                chunk_ = left_ == 0 ? Chunk::trailer_begin : Chunk::data;
                framing_bytes_ = 0;
                break;
            case Chunk::data: break;  // taken above
            case Chunk::data_return:
                if (c != '\r') return chunk_fault("a chunk is longer than its size");
                chunk_ = Chunk::data_end;
                break;
            case Chunk::data_end:
                if (c != '\n') return chunk_fault("a chunk is longer than its size");
                chunk_ = Chunk::size;
                has_digit_ = false;
                framing_bytes_ = 0;
                break;
            case Chunk::trailer_begin:
                if (c == '\r') {
                    chunk_ = Chunk::last_end;
                    break;
                }
                if (control || c == ':' || c == ' ' || c == '\t') return chunk_fault("a trailer field without a name");
                chunk_ = Chunk::trailer;
                has_digit_ = false;
                break;
            case Chunk::trailer:
                if (c == ':') has_digit_ = true;
                if (c == '\r') {
                    if (!has_digit_) return chunk_fault("a trailer field without ':'");
                    chunk_ = Chunk::trailer_end;
                } else if (control) {
                    return chunk_fault("a control character in a trailer field");
                }
                break;
            case Chunk::trailer_end:
                if (c != '\n') return chunk_fault("a trailer field does not end with CR LF");
                chunk_ = Chunk::trailer_begin;
                break;
            case Chunk::last_end:
                if (c != '\n') return chunk_fault("the last chunk does not end with CR LF");
                body_done_ = true;
                break;
        }
    }
    return Step::ready;
}

}  // namespace waybill::http
