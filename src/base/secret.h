// A text that may not be shown: a secret key, a token, a password. It has no formatter and no stream operator, so no log line or
// message can hold it by accident; whoever needs the text says reveal(), and a reader can find every such place. Its memory is
// overwritten when it goes. A value type.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace waybill {

// Equal or not, in a time that depends on the lengths alone.
inline bool equal_in_constant_time(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return false;
    unsigned char difference = 0;
    for (size_t i = 0; i < a.size(); ++i) difference = static_cast<unsigned char>(difference | (a[i] ^ b[i]));
    return difference == 0;
}

class Secret {
public:
    Secret() = default;
    explicit Secret(std::string text) : text_(std::move(text)) {}
    Secret(const Secret&) = default;
    Secret(Secret&& other) noexcept : text_(other.text_) { other.wipe(); }
    Secret& operator=(const Secret& other) {
        if (this != &other) {
            wipe();
            text_ = other.text_;
        }
        return *this;
    }
    Secret& operator=(Secret&& other) noexcept {
        if (this != &other) {
            *this = std::as_const(other);
            other.wipe();
        }
        return *this;
    }
    ~Secret() { wipe(); }

    const std::string& reveal() const { return text_; }
    bool empty() const { return text_.empty(); }
    bool matches(std::string_view given) const { return equal_in_constant_time(text_, given); }

private:
    void wipe() {
        volatile char* p = text_.data();
        for (size_t i = 0; i < text_.size(); ++i) p[i] = 0;
        text_.clear();
    }
    std::string text_;
};

}  // namespace waybill
