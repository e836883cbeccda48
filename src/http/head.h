// The head of one HTTP request: method, target and header fields, as the client sent them.
//
// A value type: it copies and keeps no pointer into the connection. All text lies in one string that is reused from request to
// request, so a steady connection allocates nothing for its heads. Views handed out live as long as the Head they came from is
// neither changed nor destroyed. Nothing here trusts the client: names and values are whatever passed the parser (RFC 9112
// syntax).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace waybill::http {

class Head {
public:
    using Fields = std::vector<std::pair<std::string_view, std::string_view>>;

    Head() = default;
    // A head that did not come over a socket: for callers inside the process, and for tests of what reads heads.
    static Head make(std::string_view method, std::string_view target, const Fields& headers = {});

    std::string_view method() const { return view(method_); }
    // The request target byte for byte, e.g. "/a%20b?x=1".
    std::string_view target() const { return view(target_); }
    // The path part of the target, still percent-encoded; "/" where the target names none. A signature is checked against this
    // one.
    std::string_view raw_path() const { return view(raw_path_); }
    // What follows the first '?', still encoded; empty when there is none.
    std::string_view raw_query() const { return view(raw_query_); }
    // The path percent-decoded once. A '%' that begins no two hex digits stays as it is. '+' is not a space here.
    const std::string& path() const { return path_; }
    // The query's pairs in order, percent-decoded, '+' as a space; "a" and "a=" both give an empty value.
    std::vector<std::pair<std::string, std::string>> query_pairs() const;
    // The first pair of that name.
    std::optional<std::string> query(std::string_view name) const;

    // Field names compare without case. header() is the first field of that name, header_all() every one, in order.
    std::optional<std::string_view> header(std::string_view name) const;
    std::string_view header_or(std::string_view name, std::string_view otherwise = {}) const {
        return header(name).value_or(otherwise);
    }
    std::vector<std::string_view> header_all(std::string_view name) const;
    Fields headers() const;
    // True when the comma-separated list in any field of that name holds the token, without case (e.g. Connection, "close").
    bool header_has_token(std::string_view name, std::string_view token) const;

    int minor_version() const { return minor_version_; }   // HTTP/1.minor: 0 or 1
    const std::string& remote() const { return remote_; }  // the client's address, "127.0.0.1:50312"; empty off the network

    // Building, for the request reader.
    void clear();
    void set_request(std::string_view method, std::string_view target, int minor_version);
    void add_header(std::string_view name, std::string_view value);
    void set_remote(std::string remote) { remote_ = std::move(remote); }
    size_t header_count() const { return fields_.size(); }

private:
    struct Span {
        uint32_t at = 0, size = 0;
    };
    struct Field {
        Span name, value;
    };
    std::string_view view(Span s) const { return std::string_view(text_).substr(s.at, s.size); }
    Span keep(std::string_view text);

    std::string text_;
    std::vector<Field> fields_;
    Span method_, target_, raw_path_, raw_query_;
    std::string path_;
    std::string remote_;
    int minor_version_ = 1;
};

// Percent-decodes; with `form`, '+' is a space too (application/x-www-form-urlencoded). Bytes that are not a valid escape stay.
std::string percent_decode(std::string_view text, bool form);
// Percent-encodes all but A-Z a-z 0-9 - . _ ~ (RFC 3986, upper-case hex); with keep_slash, '/' stays too.
std::string percent_encode(std::string_view text, bool keep_slash);
// "a=1&b=2" into decoded pairs, in order: a query string or a form body. Empty pieces are skipped.
std::vector<std::pair<std::string, std::string>> parse_form(std::string_view text);
// ASCII, without case: what HTTP's names and tokens compare by.
bool same_name(std::string_view a, std::string_view b);

}  // namespace waybill::http
