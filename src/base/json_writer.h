// Writes JSON text into a string, front to back, without building a tree. Commas and quotes are its business; the order of calls is
// the caller's. Text must be valid UTF-8 (the door refuses anything else); it is escaped as RFC 8259 asks and no further.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/time.h"

namespace waybill {

class JsonWriter {
public:
    explicit JsonWriter(std::string& out) : out_(out) {}

    JsonWriter& begin_object() { return open('{'); }
    JsonWriter& end_object() { return close('}'); }
    JsonWriter& begin_array() { return open('['); }
    JsonWriter& end_array() { return close(']'); }
    JsonWriter& key(std::string_view name) {
        comma();
        quote(name);
        out_.push_back(':');
        fresh_ = true;
        return *this;
    }
    JsonWriter& text(std::string_view value) {
        comma();
        quote(value);
        return *this;
    }
    JsonWriter& number(int64_t value) { return raw(std::to_string(value)); }
    JsonWriter& boolean(bool value) { return raw(value ? "true" : "false"); }
    JsonWriter& null() { return raw("null"); }
    // A time as "2026-04-19T12:42:28.123Z", or null where it is not known.
    JsonWriter& time(TimeMs value) { return value == no_time ? null() : text(format_time(value)); }
    // Text that is JSON already.
    JsonWriter& raw(std::string_view json) {
        comma();
        out_.append(json);
        return *this;
    }
    JsonWriter& text_or_null(std::string_view value) { return value.empty() ? null() : text(value); }

    static void quote_into(std::string& out, std::string_view value);

private:
    JsonWriter& open(char c) {
        comma();
        out_.push_back(c);
        fresh_ = true;
        return *this;
    }
    JsonWriter& close(char c) {
        out_.push_back(c);
        fresh_ = false;
        return *this;
    }
    void comma() {
        if (!fresh_) out_.push_back(',');
        fresh_ = false;
    }
    void quote(std::string_view value) { quote_into(out_, value); }

    std::string& out_;
    bool fresh_ = true;  // nothing stands before the next value in its object or array
};

}  // namespace waybill
