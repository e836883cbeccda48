// The frame of every list that is read in pages: {"position":…,NAME:[…],"nextCursor":…}, with what the request asked for and
// where the next page begins. Pure; any thread.
#pragma once

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <string>
#include <utility>

#include "base/json_writer.h"
#include "event/limits.h"
#include "history/history.h"
#include "server/context.h"

namespace waybill::server {

// `limit` of the query, from 1 to `max`.
inline Result<size_t> limit_of(const http::Head& head, size_t otherwise = limits::page_default, size_t max = limits::page_max) {
    const auto text = head.query("limit");
    if (!text) return otherwise;
    size_t n = 0;
    auto [end, ec] = std::from_chars(text->data(), text->data() + text->size(), n);
    if (ec != std::errc{} || end != text->data() + text->size() || n < 1 || n > max)
        return invalid(fmt::format("limit: '{}' is not a number from 1 to {}", text->substr(0, 40), max));
    return n;
}

inline Result<history::PageRequest> page_of(const http::Head& head) {
    history::PageRequest page;
    TRY(page.limit, limit_of(head));
    page.cursor = head.query("cursor").value_or("");
    return page;
}

// The answer: `write(json, item)` for each; `next` empty: this was the last page; `total`: how many there are on all pages, where
// that is known.
template <class Items, class Write>
http::Response list_page(Position position, std::string_view name, const Items& items, std::string_view next, Write&& write,
                         std::optional<size_t> total = {}) {
    std::string json;
    JsonWriter w(json);
    w.begin_object().key("position").number(static_cast<int64_t>(position));
    if (total) w.key("total").number(static_cast<int64_t>(*total));
    w.key(name).begin_array();
    for (const auto& item : items) write(w, item);
    w.end_array().key("nextCursor").text_or_null(next).end_object();
    return at_position(http::json_response(200, std::move(json)), position);
}

}  // namespace waybill::server
