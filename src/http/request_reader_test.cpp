#include "http/request_reader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

namespace waybill::http {
namespace {

struct Seen {
    std::vector<std::string> heads, bodies;
    int refused = 0;
    bool operator==(const Seen&) const = default;
};

// Feeds the bytes in steps of `step` and takes every request there is.
Seen read_all(std::string_view bytes, size_t step, size_t max_head = 4096) {
    RequestReader reader(max_head);
    Seen seen;
    bool in_body = false;
    for (;;) {
        auto outcome = RequestReader::Step::need_more;
        for (;;) {
            if (!in_body) {
                outcome = reader.next_head();
                if (outcome != RequestReader::Step::ready) break;
                auto& h = reader.head();
                std::string text = std::string(h.method()) + " " + std::string(h.target());
                for (auto& [name, value] : h.headers()) text.append("|").append(name).append("=").append(value);
                seen.heads.push_back(text);
                seen.bodies.emplace_back();
                in_body = true;
            }
            std::string_view piece;
            outcome = reader.next_body(piece);
            if (outcome != RequestReader::Step::ready) break;
            if (piece.empty()) in_body = false;
            seen.bodies.back().append(piece);
        }
        if (outcome == RequestReader::Step::refused) {
            seen.refused = reader.refusal().status;
            return seen;
        }
        if (bytes.empty()) return seen;
        auto room = reader.room();
        size_t n = std::min({step, room.size, bytes.size()});
        std::memcpy(room.data, bytes.data(), n);
        reader.received(n);
        bytes.remove_prefix(n);
    }
}

TEST(RequestReader, every_cut_of_the_bytes_reads_the_same) {
    std::string bytes =
        "POST /a%20b?x=1&y=%41 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nX-Empty:\r\n\r\nhello"
        "\r\nPUT /chunked HTTP/1.1\r\nhost: h\r\nTransfer-Encoding: "
        "chunked\r\n\r\n3\r\nabc\r\n1a;ext=\"q\"\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nTrailer: t\r\n\r\n"
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    Seen whole = read_all(bytes, bytes.size());
    ASSERT_EQ(whole.heads.size(), 3u);
    EXPECT_EQ(whole.heads[0], "POST /a%20b?x=1&y=%41|Host=h|Content-Length=5|X-Empty=");
    EXPECT_EQ(whole.heads[1], "PUT /chunked|host=h|Transfer-Encoding=chunked");
    EXPECT_EQ(whole.bodies[0], "hello");
    EXPECT_EQ(whole.bodies[1], "abcabcdefghijklmnopqrstuvwxyz");
    EXPECT_EQ(whole.bodies[2], "");
    EXPECT_EQ(whole.refused, 0);
    for (size_t step = 1; step < 40; ++step) EXPECT_EQ(read_all(bytes, step), whole) << step;
}

TEST(RequestReader, what_two_readers_could_read_differently_is_refused) {
    const char* bad[] = {
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -3\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\n\r\n",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        "\x16\x03\x01\x02\x01\xfc\x03\x03\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\x01z\r\n\r\n",
    };
    for (const char* bytes : bad) {
        Seen seen = read_all(bytes, 7);
        EXPECT_EQ(seen.refused, 400) << bytes;
        EXPECT_TRUE(seen.heads.empty()) << bytes;
    }
    EXPECT_EQ(read_all("POST / HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", 9).refused, 415);
}

TEST(RequestReader, a_bad_chunk_is_found_behind_good_ones) {
    std::string head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (const char* rest : {"3\r\nabc\r\nzz\r\n", "3\r\nabcd\r\n0\r\n\r\n", "3\r\nabc\r\n-1\r\n",
                             "3\r\nabc\r\nfffffffffffffffff\r\n", "3\r\nabc\r\n0\r\nbad trailer\r\n\r\n"}) {
        Seen seen = read_all(head + rest, 5);
        EXPECT_EQ(seen.refused, 400) << rest;
        ASSERT_EQ(seen.bodies.size(), 1u);
        EXPECT_TRUE(seen.bodies[0].starts_with("abc")) << rest;
    }
}

TEST(RequestReader, the_head_is_bounded_as_a_whole) {
    std::string head = "GET / HTTP/1.1\r\nHost: h\r\n";
    for (int i = 0; i < 400; ++i) head += "X-Field-" + std::to_string(i) + ": value\r\n";
    for (size_t step : {size_t{1}, size_t{100}, size_t{100'000}}) EXPECT_EQ(read_all(head + "\r\n", step).refused, 431) << step;
    EXPECT_EQ(read_all("GET /" + std::string(5000, 'a'), 100).refused, 431);
    EXPECT_EQ(read_all("GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(5000, 'a'), 100).refused, 431);
    EXPECT_EQ(read_all(head + "\r\n", 100, 64 * 1024).refused, 0);
}

TEST(RequestReader, endless_chunk_framing_is_refused) {
    std::string head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    EXPECT_EQ(read_all(head + "3;" + std::string(200'000, 'e'), 1000).refused, 400);
    EXPECT_EQ(read_all(head + "0\r\n" + std::string(200'000, 't'), 1000).refused, 400);
}

TEST(Head, tells_the_parts_of_a_target) {
    Head h = Head::make("GET", "/a%2Fb/%zz+c?x=1+2&flag&x=%C3%A9&=v",
                        {{"X-One", "1"}, {"x-one", "2"}, {"Connection", "keep-alive, Close"}});
    EXPECT_EQ(h.raw_path(), "/a%2Fb/%zz+c");
    EXPECT_EQ(h.path(), "/a/b/%zz+c");
    EXPECT_EQ(h.raw_query(), "x=1+2&flag&x=%C3%A9&=v");
    std::vector<std::pair<std::string, std::string>> pairs{{"x", "1 2"}, {"flag", ""}, {"x", "\xc3\xa9"}, {"", "v"}};
    EXPECT_EQ(h.query_pairs(), pairs);
    EXPECT_EQ(h.query("x"), "1 2");
    EXPECT_EQ(h.query("none"), std::nullopt);
    EXPECT_EQ(h.header("X-ONE"), "1");
    EXPECT_EQ(h.header_all("x-One").size(), 2u);
    EXPECT_TRUE(h.header_has_token("connection", "close"));
    EXPECT_FALSE(h.header_has_token("connection", "clos"));
    Head copy = h;
    h.clear();
    EXPECT_EQ(copy.raw_path(), "/a%2Fb/%zz+c");
}

TEST(Head, absolute_targets_have_a_path_too) {
    EXPECT_EQ(Head::make("GET", "http://example.org/p?q=1").raw_path(), "/p");
    EXPECT_EQ(Head::make("GET", "http://example.org/p?q=1").raw_query(), "q=1");
    EXPECT_EQ(Head::make("GET", "http://example.org?q=1").raw_path(), "/");
    EXPECT_EQ(Head::make("GET", "http://example.org?q=1").raw_query(), "q=1");
    EXPECT_EQ(Head::make("GET", "http://example.org").raw_path(), "/");
    EXPECT_EQ(Head::make("OPTIONS", "*").raw_path(), "*");
    EXPECT_EQ(Head::make("GET", "/x://y/z").raw_path(), "/x://y/z");
}

}  // namespace
}  // namespace waybill::http
