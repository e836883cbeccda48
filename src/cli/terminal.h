// What a person sees: colours, widths, and text that is safe to show. Names and messages come from events, which anybody may have sent,
// so every text is cleaned of control characters before it reaches a terminal. Pure functions, but for look().
#pragma once

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace waybill::cli {

enum class ColorMode { automatic, always, never };

struct Terminal {
    bool interactive = false;  // somebody is looking: tables are cut to `width`, progress is drawn
    bool color = false;
    int width = 0;             // columns; 0: no limit
};

// Colour is on for `always`, and for `automatic` on a terminal where neither NO_COLOR is set nor TERM is "dumb".
Terminal look(std::FILE* stream, ColorMode mode);
int terminal_height(std::FILE* stream);  // lines; 24 where it is not known

enum class Style { plain, bold, dim, red, green, yellow, blue, magenta, cyan };

struct Span {
    std::string text;
    Style style = Style::plain;
};
using Line = std::vector<Span>;

std::string paint(Style style, std::string_view text, bool color);
std::string paint(const Line& line, bool color);

// Columns that a terminal gives to UTF-8 text: 2 for wide East Asian characters and emoji, 0 for combining ones.
int display_width(std::string_view text);
int display_width(const Line& line);
// At most `width` columns; what does not fit ends in "…".
std::string truncate(std::string_view text, int width);
Line truncate(const Line& line, int width);
// One line without control characters, broken UTF-8 and direction overrides; runs of white space become one blank.
std::string clean(std::string_view text);

Style status_style(std::string_view status);      // of a status, event, delivery or incident word
std::string_view status_mark(std::string_view status);  // one column: ✓ ✗ ● …

std::string show_duration(int64_t span_ms);       // 850ms, 12s, 3m 04s, 2h 05m, 3d 4h
std::string show_ago(TimeMs then, TimeMs now);    // "12s ago", "-" for no_time
std::string show_time(TimeMs t);                  // 2026-04-19 12:42:28Z, "-" for no_time
std::string show_count(uint64_t count);           // 48,212
std::string show_bytes(uint64_t bytes);           // 3.4 MiB

}  // namespace waybill::cli
