#include "http/head.h"

#include "base/assert.h"

namespace waybill::http {

namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::string_view trim(std::string_view s) {
    while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
    while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
    return s;
}

}  // namespace

bool same_name(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return false;
    for (size_t i = 0; i < a.size(); ++i)
        if (lower(a[i]) != lower(b[i])) return false;
    return true;
}

std::string percent_decode(std::string_view text, bool form) {
    std::string out;
    out.reserve(text.size());
    for (size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (c == '%' && i + 2 < text.size()) {
            int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
            if (high >= 0 && low >= 0) {
                out.push_back(static_cast<char>(high * 16 + low));
                i += 2;
                continue;
            }
        }
        out.push_back(form && c == '+' ? ' ' : c);
    }
    return out;
}

std::string percent_encode(std::string_view text, bool keep_slash) {
    static constexpr char digits[] = "0123456789ABCDEF";
    std::string out;
    out.reserve(text.size() + 16);
    for (char c : text) {
        bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
                     c == '_' || c == '~' || (c == '/' && keep_slash);
        if (plain) {
            out.push_back(c);
        } else {
            auto byte = static_cast<unsigned char>(c);
            out.push_back('%');
            out.push_back(digits[byte >> 4]);
            out.push_back(digits[byte & 15]);
        }
    }
    return out;
}

std::vector<std::pair<std::string, std::string>> parse_form(std::string_view text) {
    std::vector<std::pair<std::string, std::string>> out;
    while (!text.empty()) {
        std::string_view piece = text.substr(0, text.find('&'));
        text.remove_prefix(std::min(text.size(), piece.size() + 1));
        if (piece.empty()) continue;
        size_t equals = piece.find('=');
        std::string_view value = equals == std::string_view::npos ? std::string_view() : piece.substr(equals + 1);
        out.emplace_back(percent_decode(piece.substr(0, equals), true), percent_decode(value, true));
    }
    return out;
}

Head Head::make(std::string_view method, std::string_view target, const Fields& headers) {
    Head head;
    head.set_request(method, target, 1);
    for (auto& [name, value] : headers) head.add_header(name, value);
    return head;
}

void Head::clear() {
    text_.clear();
    fields_.clear();
    method_ = target_ = raw_path_ = raw_query_ = {};
    path_.clear();
    minor_version_ = 1;
}

Head::Span Head::keep(std::string_view text) {
    ASSERT(text_.size() + text.size() < UINT32_MAX);
    Span s{static_cast<uint32_t>(text_.size()), static_cast<uint32_t>(text.size())};
    text_.append(text);
    return s;
}

void Head::set_request(std::string_view method, std::string_view target, int minor_version) {
    method_ = keep(method);
    target_ = keep(target);
    minor_version_ = minor_version;
    // A proxy may send the absolute form, "http://host/path" (RFC 9112, 3.2.2): the path begins after the authority.
    size_t at = 0;
    if (!target.starts_with('/')) {
        size_t scheme = target.find("://");
        if (scheme != std::string_view::npos && target.find_first_of("/?") == scheme + 1)
            at = target.find_first_of("/?", scheme + 3);
    }
    if (at == std::string_view::npos) at = target.size();
    std::string_view rest = target.substr(at);
    size_t question = rest.find('?');
    std::string_view path = rest.substr(0, question);
    raw_path_ = path.empty() ? keep("/") : Span{static_cast<uint32_t>(target_.at + at), static_cast<uint32_t>(path.size())};
    if (question != std::string_view::npos)
        raw_query_ = {static_cast<uint32_t>(target_.at + at + question + 1), static_cast<uint32_t>(rest.size() - question - 1)};
    if (raw_path().find('%') == std::string_view::npos)
        path_.assign(raw_path());
    else
        path_ = percent_decode(raw_path(), false);
}

void Head::add_header(std::string_view name, std::string_view value) {
    Span n = keep(name);
    fields_.push_back({n, keep(value)});
}

std::vector<std::pair<std::string, std::string>> Head::query_pairs() const { return parse_form(raw_query()); }

std::optional<std::string> Head::query(std::string_view name) const {
    if (raw_query_.size == 0) return std::nullopt;
    for (auto& [key, value] : query_pairs())
        if (key == name) return std::move(value);
    return std::nullopt;
}

std::optional<std::string_view> Head::header(std::string_view name) const {
    for (auto& f : fields_)
        if (same_name(view(f.name), name)) return view(f.value);
    return std::nullopt;
}

std::vector<std::string_view> Head::header_all(std::string_view name) const {
    std::vector<std::string_view> out;
    for (auto& f : fields_)
        if (same_name(view(f.name), name)) out.push_back(view(f.value));
    return out;
}

Head::Fields Head::headers() const {
    Fields out;
    out.reserve(fields_.size());
    for (auto& f : fields_) out.emplace_back(view(f.name), view(f.value));
    return out;
}

bool Head::header_has_token(std::string_view name, std::string_view token) const {
    for (auto& f : fields_) {
        if (!same_name(view(f.name), name)) continue;
        std::string_view list = view(f.value);
        while (!list.empty()) {
            std::string_view item = list.substr(0, list.find(','));
            list.remove_prefix(std::min(list.size(), item.size() + 1));
            if (same_name(trim(item), token)) return true;
        }
    }
    return false;
}

}  // namespace waybill::http
