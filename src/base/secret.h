// A text that must not be printed: a password, a key, a token. It has no formatter and no stream operator; whoever needs the text says
// so with reveal(), and sends it nowhere but to the one it is for.
#pragma once

#include <string>
#include <utility>

namespace waybill {

class Secret {
public:
    Secret() = default;
    explicit Secret(std::string text) : text_(std::move(text)) {}
    const std::string& reveal() const { return text_; }
    bool empty() const { return text_.empty(); }

private:
    std::string text_;
};

}  // namespace waybill
