#include "event/splitter.h"

#include <fmt/format.h>

#include <cstring>

namespace waybill {
namespace {

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

std::string_view without_leading_space(std::string_view text) {
    while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
    return text;
}

}  // namespace

Error Splitter::broken(uint64_t byte, std::string_view what) {
    error_byte_ = byte;
    stopped_ = true;
    return invalid(fmt::format("byte {}: {}", byte, what));
}

void Splitter::keep(std::string_view bytes) {
    if (too_long_ || held_.size() + bytes.size() > max_) {
        too_long_ = true;
        held_.clear();
    } else {
        held_.append(bytes);
    }
}

// The value that ends with `tail`.
bool Splitter::emit(const Sink& sink, std::string_view tail) {
    SplitValue value{tail, index_++, framing_ == Framing::ndjson ? line_ : 0, value_byte_, false};
    if (too_long_ || held_.size() + tail.size() > max_) {
        value.too_long = true;
        value.text = {};
    } else if (!held_.empty()) {
        held_.append(tail);
        value.text = held_;
    }
    stopped_ = !sink(value);
    held_.clear();
    too_long_ = false;
    return !stopped_;
}

Result<void> Splitter::feed(std::string_view piece, const Sink& sink) {
    if (stopped_) return {};
    return framing_ == Framing::ndjson ? feed_lines(piece, sink) : feed_document(piece, sink);
}

Result<void> Splitter::feed_lines(std::string_view piece, const Sink& sink) {
    while (!piece.empty()) {
        const void* end = std::memchr(piece.data(), '\n', piece.size());
        const size_t n = end ? static_cast<size_t>(static_cast<const char*>(end) - piece.data()) : piece.size();
        std::string_view part = piece.substr(0, n);
        if (held_.empty() && !too_long_) {
            // The spaces before a value are none of it, so a line of nothing else is no value, however long it is.
            part = without_leading_space(part);
            value_byte_ = at_ + n - part.size();
        }
        at_ += n;
        if (!end) {
            keep(part);
            return {};
        }
        const bool blank = held_.empty() && !too_long_ && part.empty();
        if (!blank && !emit(sink, part)) return {};
        whole_ = ++at_;
        ++line_;
        piece.remove_prefix(n + 1);
    }
    return {};
}

Result<void> Splitter::feed_document(std::string_view piece, const Sink& sink) {
    size_t value_from = 0;  // where in this piece the open value goes on
    for (size_t i = 0; i < piece.size(); ++i) {
        const char c = piece[i];
        switch (place_) {
            case Place::before_document:
                if (is_space(c)) break;
                if (c == '[') {
                    array_ = true;
                    place_ = Place::between_values;
                    break;
                }
                if (c == '\xef') return broken(at_ + i, "the body must begin with '{' or '[', not with a byte order mark: send UTF-8 without one");
                if (c != '{') return broken(at_ + i, "the body must be a JSON object, or an array of them");
                [[fallthrough]];
            case Place::between_values:
            case Place::after_comma:
                if (is_space(c)) break;
                if (c == ']' && place_ == Place::between_values && array_) {
                    place_ = Place::after_document;
                    break;
                }
                if (c == ',' || c == ']' || c == '}') return broken(at_ + i, fmt::format("'{}' stands where an event is expected", c));
                value_from = i;
                value_byte_ = at_ + i;
                depth_ = 0;
                in_string_ = escaped_ = false;
                place_ = Place::in_value;
                [[fallthrough]];
            case Place::in_value:
                if (in_string_) {
                    if (escaped_) escaped_ = false;
                    else if (c == '\\') escaped_ = true;
                    else if (c == '"') in_string_ = false;
                    break;
                }
                if (c == '"') {
                    in_string_ = true;
                    break;
                }
                if (c == '{' || c == '[') {
                    ++depth_;
                    break;
                }
                if (c == '}' || c == ']') {
                    if (depth_ == 0) {
                        // What ends here is no object: a bare value, which only an array can end.
                        if (c != ']' || !array_) return broken(at_ + i, fmt::format("'{}' closes nothing", c));
                        if (!emit(sink, piece.substr(value_from, i - value_from))) return {};
                        whole_ = at_ + i;
                        place_ = Place::after_document;
                        break;
                    }
                    if (--depth_ > 0) break;
                    if (!emit(sink, piece.substr(value_from, i + 1 - value_from))) return {};
                    whole_ = at_ + i + 1;
                    place_ = array_ ? Place::after_value : Place::after_document;
                    break;
                }
                if (depth_ == 0 && c == ',' && array_) {
                    if (!emit(sink, piece.substr(value_from, i - value_from))) return {};
                    whole_ = at_ + i;
                    place_ = Place::after_comma;
                }
                break;
            case Place::after_value:
                if (is_space(c)) break;
                if (c == ',') place_ = Place::after_comma;
                else if (c == ']') place_ = Place::after_document;
                else return broken(at_ + i, "a comma or ']' is expected after an event");
                break;
            case Place::after_document:
                if (!is_space(c)) return broken(at_ + i, "something follows the end of the JSON document; for one event a line, send Content-Type: application/x-ndjson");
                break;
        }
    }
    if (place_ == Place::in_value) keep(piece.substr(value_from));
    at_ += piece.size();
    return {};
}

Result<void> Splitter::finish(const Sink& sink) {
    if (stopped_) return {};
    if (framing_ == Framing::ndjson) {
        if ((too_long_ || !held_.empty()) && !emit(sink, {})) return {};
        whole_ = at_;
        return {};
    }
    if (place_ == Place::before_document) return broken(at_, "the body is empty: a JSON event, or an array of events, is expected");
    if (place_ != Place::after_document) return broken(at_, "the JSON document ends in the middle");
    return {};
}

}  // namespace waybill
