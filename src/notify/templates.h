// The words of every message, one table a language. A text has placeholders in braces; nothing in a value is read as one. Internal to
// src/notify.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "config/config.h"

namespace waybill::notify {

struct Template {
    std::string_view name, text;
};

std::span<const Template> templates(Locale locale);

// The text of that name with its placeholders filled. The name and every placeholder must be known.
std::string fill(Locale locale, std::string_view name, std::initializer_list<std::pair<std::string_view, std::string_view>> values);

}  // namespace waybill::notify
