// What a handler answers: a status, header fields and a body. A value type.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace waybill::http {

struct Response {
    int status = 200;
    // Content-Length, Transfer-Encoding, Date and Connection are the server's business and may not stand here. Names and values
    // must not hold line breaks; the server replaces such bytes by spaces, so that no text can become a header field of its own.
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;
};

Response json_response(int status, std::string json);
// {"error":{"kind":…,"message":…}}, the form in which everything but the AWS API answers a failure.
Response error_response(int status, std::string_view kind, std::string_view message);
Response error_response(const Error& error);
int status_of(ErrorKind kind);

// The status line and the fields given, each line ended, without the empty line that ends a head.
void write_head(std::string& out, int status, const std::vector<std::pair<std::string, std::string>>& headers);
std::string_view reason_of(int status);

}  // namespace waybill::http
