#include "http/response.h"

#include "base/json_writer.h"

namespace waybill::http {

std::string_view reason_of(int status) {
    switch (status) {
        case 100: return "Continue";
        case 200: return "OK";
        case 201: return "Created";
        case 202: return "Accepted";
        case 204: return "No Content";
        case 301: return "Moved Permanently";
        case 302: return "Found";
        case 303: return "See Other";
        case 304: return "Not Modified";
        case 307: return "Temporary Redirect";
        case 308: return "Permanent Redirect";
        case 400: return "Bad Request";
        case 401: return "Unauthorized";
        case 403: return "Forbidden";
        case 404: return "Not Found";
        case 405: return "Method Not Allowed";
        case 406: return "Not Acceptable";
        case 408: return "Request Timeout";
        case 409: return "Conflict";
        case 410: return "Gone";
        case 412: return "Precondition Failed";
        case 413: return "Content Too Large";
        case 415: return "Unsupported Media Type";
        case 417: return "Expectation Failed";
        case 421: return "Misdirected Request";
        case 422: return "Unprocessable Content";
        case 429: return "Too Many Requests";
        case 431: return "Request Header Fields Too Large";
        case 500: return "Internal Server Error";
        case 501: return "Not Implemented";
        case 502: return "Bad Gateway";
        case 503: return "Service Unavailable";
        case 504: return "Gateway Timeout";
        default: return "Status";
    }
}

int status_of(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::invalid: return 400;
        case ErrorKind::not_found: return 404;
        case ErrorKind::conflict: return 409;
        case ErrorKind::overloaded: return 503;
        case ErrorKind::unavailable: return 503;
        case ErrorKind::corrupt: return 500;
        case ErrorKind::unsupported: return 501;
    }
    return 500;
}

Response json_response(int status, std::string json) { return {status, {{"Content-Type", "application/json"}}, std::move(json)}; }

Response error_response(int status, std::string_view kind, std::string_view message) {
    std::string body;
    JsonWriter json(body);
    json.begin_object().key("error").begin_object().key("kind").text(kind).key("message").text(message).end_object().end_object();
    return json_response(status, std::move(body));
}

Response error_response(const Error& error) {
    Response response = error_response(status_of(error.kind), to_string(error.kind), error.message);
    if (response.status == 503) response.headers.emplace_back("Retry-After", "1");
    return response;
}

void write_head(std::string& out, int status, const std::vector<std::pair<std::string, std::string>>& headers) {
    out.append("HTTP/1.1 ");
    out.append(std::to_string(status)).push_back(' ');
    out.append(reason_of(status)).append("\r\n");
    auto safe = [&out](std::string_view text) {
        size_t at = out.size();
        out.append(text);
        for (; at < out.size(); ++at)
            if (out[at] == '\r' || out[at] == '\n' || out[at] == '\0') out[at] = ' ';
    };
    for (auto& [name, value] : headers) {
        safe(name);
        out.append(": ");
        safe(value);
        out.append("\r\n");
    }
}

}  // namespace waybill::http
