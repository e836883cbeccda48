#include "notify/mail.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"
#include "notify/text.h"

namespace waybill {
namespace {

using namespace notify;

constexpr size_t line_characters = 76;  // RFC 2045 and 2047 both

bool is_visible(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

// An address, up to the first byte that could end it or begin another. The configuration accepts none that has such a byte.
std::string address(std::string_view text) {
    size_t n = 0;
    while (n < text.size() && text[n] > 0x20 && text[n] < 0x7f && !std::string_view("()<>[]:;,\\\"").contains(text[n])) ++n;
    return std::string(text.substr(0, n));
}

// Sun, 19 Apr 2026 12:42:28 +0000
std::string date_text(TimeMs t) {
    static constexpr const char* days[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};  // 1970-01-01 was a Thursday
    static constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const std::string s = format_time_s(t);  // 2026-04-19T12:42:28Z
    const int64_t day = t >= 0 ? t / 86'400'000 : (t - 86'399'999) / 86'400'000;
    const int month = (s[5] - '0') * 10 + (s[6] - '0');
    return fmt::format("{}, {} {} {} {} +0000", days[((day % 7) + 7) % 7], s.substr(8, 2), months[month - 1], s.substr(0, 4), s.substr(11, 8));
}

// `Name: value`. A value that is not short visible ASCII is written in encoded words, each on a line of its own.
void put_text(std::string& out, std::string_view name, std::string_view value) {
    out.append(name).append(": ");
    if (is_visible(value) && !value.contains("=?") && !value.starts_with(' ') && !value.ends_with(' ') && name.size() + 2 + value.size() <= 78) {
        out.append(value).append("\r\n");
        return;
    }
    // =?UTF-8?B?…?= may have 75 characters, so 63 of base64 at most: 45 bytes make 60. The first shares its line with the name.
    size_t room = (75 - std::min<size_t>(name.size() + 2, 40) - 12) / 4 * 3;
    for (bool first = true; first || !value.empty(); first = false) {
        const size_t n = cut_utf8(value, room);
        if (!first) out += "\r\n ";
        out.append("=?UTF-8?B?").append(to_base64(value.substr(0, n))).append("?=");
        value.remove_prefix(n);
        room = 45;
    }
    out += "\r\n";
}

std::string with_crlf(std::string_view body) {
    std::string out;
    for (size_t i = 0; i < body.size(); ++i) {
        if (body[i] == '\r') {
            if (i + 1 < body.size() && body[i + 1] == '\n') ++i;
            out += "\r\n";
        } else if (body[i] == '\n') {
            out += "\r\n";
        } else {
            out += body[i];
        }
    }
    if (!out.ends_with("\r\n")) out += "\r\n";
    return out;
}

std::string quoted_printable(std::string_view crlf_text) {
    static constexpr char hex[] = "0123456789ABCDEF";
    std::string out;
    size_t column = 0;
    for (size_t i = 0; i < crlf_text.size(); ++i) {
        const auto c = static_cast<unsigned char>(crlf_text[i]);
        if (c == '\r' && i + 1 < crlf_text.size() && crlf_text[i + 1] == '\n') {
            out += "\r\n";
            column = 0;
            ++i;
            continue;
        }
        const bool ends_line = i + 1 == crlf_text.size() || crlf_text[i + 1] == '\r';
        // A dot that begins a line is encoded too: no relay needs to double it.
        const bool plain = (c > 0x20 && c < 0x7f && c != '=' && !(c == '.' && column == 0)) || (c == ' ' && !ends_line);
        const size_t width = plain ? 1 : 3;
        if (column + width > line_characters - 1) {
            out += "=\r\n";
            column = 0;
        }
        if (plain && !(c == '.' && column == 0)) {
            out += static_cast<char>(c);
            column += 1;
        } else {
            out += {'=', hex[c >> 4], hex[c & 15]};
            column += 3;
        }
    }
    return out;
}

std::string base64_lines(std::string_view bytes) {
    const std::string all = to_base64(bytes);
    std::string out;
    for (size_t i = 0; i < all.size(); i += line_characters) out.append(all, i, line_characters).append("\r\n");
    return out;
}

}  // namespace

std::string message_id(std::string_view key, std::string_view from) {
    const auto hash = hash128(key);
    std::string domain = address(from);
    domain.erase(0, domain.rfind('@') + 1);
    return fmt::format("<waybill.{:016x}{:016x}@{}>", hash.high, hash.low, domain.empty() ? "localhost" : domain);
}

std::string render_mail(const Message& message, const MailHeaders& headers) {
    std::string out = "From: " + address(headers.from) + "\r\n";
    out += "To: ";
    for (size_t i = 0; i < headers.to.size(); ++i) out.append(i ? ",\r\n " : "").append(address(headers.to[i]));
    out += "\r\n";
    out += "Date: " + date_text(headers.date) + "\r\n";
    out += "Message-ID: " + message_id(headers.key, headers.from) + "\r\n";
    put_text(out, "Subject", one_line(message.subject, limits::subject_characters));
    if (headers.urgent) out += "X-Priority: 1 (Highest)\r\nImportance: high\r\n";
    out += "Auto-Submitted: auto-generated\r\n";  // RFC 3834: no holiday replies
    out += "X-Waybill-Delivery: " + headers.delivery.str() + "\r\n";
    put_text(out, "X-Waybill-Key", one_line(headers.key, 4096));
    out += "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n";
    // Whichever is shorter: mostly ASCII stays readable, Korean is not tripled.
    const std::string body = with_crlf(message.body), quoted = quoted_printable(body), base64 = base64_lines(body);
    const bool readable = quoted.size() <= base64.size();
    out.append("Content-Transfer-Encoding: ").append(readable ? "quoted-printable" : "base64").append("\r\n\r\n");
    out += readable ? quoted : base64;
    return out;
}

}  // namespace waybill
