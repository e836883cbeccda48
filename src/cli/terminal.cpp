#include "cli/terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

namespace waybill::cli {
namespace {

struct Range {
    char32_t first, last;
};

// Unicode's East Asian Width W and F, in the blocks that terminals draw two columns wide.
constexpr std::array<Range, 38> wide = {{{0x1100, 0x115f},   {0x231a, 0x231b},   {0x2329, 0x232a},   {0x23e9, 0x23ec},   {0x23f0, 0x23f0},
                                         {0x23f3, 0x23f3},   {0x25fd, 0x25fe},   {0x2614, 0x2615},   {0x2648, 0x2653},   {0x267f, 0x267f},
                                         {0x2693, 0x2693},   {0x26a1, 0x26a1},   {0x26aa, 0x26ab},   {0x26bd, 0x26be},   {0x26c4, 0x26c5},
                                         {0x26ce, 0x26ce},   {0x26d4, 0x26d4},   {0x26ea, 0x26ea},   {0x26f2, 0x26f5},   {0x26fa, 0x26fd},
                                         {0x2705, 0x2705},   {0x270a, 0x270b},   {0x2728, 0x2728},   {0x274c, 0x274c},   {0x274e, 0x274e},
                                         {0x2753, 0x2757},   {0x2795, 0x2797},   {0x2e80, 0x303e},   {0x3041, 0xa4cf},   {0xa960, 0xa97f},
                                         {0xac00, 0xd7a3},   {0xf900, 0xfaff},   {0xfe30, 0xfe6f},   {0xff00, 0xff60},   {0xffe0, 0xffe6},
                                         {0x1f300, 0x1f64f}, {0x1f680, 0x1faff}, {0x20000, 0x3fffd}}};
constexpr std::array<Range, 9> zero = {{{0x0300, 0x036f}, {0x1160, 0x11ff}, {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff}, {0x200b, 0x200f},
                                        {0x20d0, 0x20ff}, {0xd7b0, 0xd7ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}}};

template <size_t n>
bool in(const std::array<Range, n>& table, char32_t c) {
    auto at = std::lower_bound(table.begin(), table.end(), c, [](const Range& r, char32_t v) { return r.last < v; });
    return at != table.end() && at->first <= c;
}

// One character of `text` from `at` on, which moves past it; broken UTF-8 yields U+FFFD a byte.
char32_t next_char(std::string_view text, size_t& at) {
    auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
    unsigned char first = byte(at++);
    if (first < 0x80) return first;
    int more = first >= 0xf0 && first < 0xf5 ? 3 : first >= 0xe0 && first < 0xf0 ? 2 : first >= 0xc2 && first < 0xe0 ? 1 : 0;
    if (more == 0 || at + static_cast<size_t>(more) > text.size()) return 0xfffd;
    char32_t c = first & (0x3f >> more);
    for (int i = 0; i < more; ++i) {
        if ((byte(at + static_cast<size_t>(i)) & 0xc0) != 0x80) return 0xfffd;
        c = (c << 6) | (byte(at + static_cast<size_t>(i)) & 0x3f);
    }
    at += static_cast<size_t>(more);
    return c;
}

int width_of(char32_t c) {
    if (c < 0x300) return 1;
    if (in(zero, c)) return 0;
    return in(wide, c) ? 2 : 1;
}

std::string_view code(Style style) {
    switch (style) {
        case Style::plain: return "";
        case Style::bold: return "\x1b[1m";
        case Style::dim: return "\x1b[2m";
        case Style::red: return "\x1b[31m";
        case Style::green: return "\x1b[32m";
        case Style::yellow: return "\x1b[33m";
        case Style::blue: return "\x1b[34m";
        case Style::magenta: return "\x1b[35m";
        case Style::cyan: return "\x1b[36m";
    }
    return "";
}

}  // namespace

Terminal look(std::FILE* stream, ColorMode mode) {
    Terminal t;
    int fd = fileno(stream);
    t.interactive = isatty(fd) == 1;
    const char* no_color = std::getenv("NO_COLOR");
    const char* term = std::getenv("TERM");
    bool dumb = !term || std::string_view(term) == "dumb";
    t.color = mode == ColorMode::always || (mode == ColorMode::automatic && t.interactive && !(no_color && *no_color) && !dumb);
    if (t.interactive) {
        winsize size{};
        t.width = ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
    }
    return t;
}

int terminal_height(std::FILE* stream) {
    winsize size{};
    return ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_row > 0 ? size.ws_row : 24;
}

std::string paint(Style style, std::string_view text, bool color) {
    if (!color || style == Style::plain || text.empty()) return std::string(text);
    return fmt::format("{}{}\x1b[0m", code(style), text);
}

std::string paint(const Line& line, bool color) {
    std::string out;
    for (const Span& span : line) out += paint(span.style, span.text, color);
    return out;
}

int display_width(std::string_view text) {
    int width = 0;
    for (size_t at = 0; at < text.size();) width += width_of(next_char(text, at));
    return width;
}

int display_width(const Line& line) {
    int width = 0;
    for (const Span& span : line) width += display_width(span.text);
    return width;
}

std::string truncate(std::string_view text, int width) {
    if (width <= 0) return "";
    if (display_width(text) <= width) return std::string(text);
    int used = 0;
    size_t at = 0;
    while (at < text.size()) {
        size_t next = at;
        int w = width_of(next_char(text, next));
        if (used + w > width - 1) break;
        used += w;
        at = next;
    }
    return std::string(text.substr(0, at)) + "…";
}

Line truncate(const Line& line, int width) {
    if (display_width(line) <= width) return line;
    Line out;
    int left = width;
    for (const Span& span : line) {
        int w = display_width(span.text);
        bool is_last = &span == &line.back();
        // A span that fits, but leaves no room for the mark that more follows, is cut by one column.
        if (w < left || (w == left && is_last)) {
            out.push_back(span);
            left -= w;
            continue;
        }
        if (left > 0) out.push_back({w == left ? truncate(span.text + "…", left) : truncate(span.text, left), span.style});
        break;
    }
    return out;
}

std::string clean(std::string_view text) {
    std::string out;
    bool blank = false;
    for (size_t at = 0; at < text.size();) {
        size_t from = at;
        char32_t c = next_char(text, at);
        if (c == ' ' || (c >= 9 && c <= 13)) {
            blank = !out.empty();
            continue;
        }
        if (c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069)) continue;
        if (blank) out += ' ';
        blank = false;
        if (c == 0xfffd) out += "\xef\xbf\xbd";
        else out += text.substr(from, at - from);
    }
    return out;
}

Style status_style(std::string_view s) {
    auto is = [&](auto... words) { return ((s == words) || ...); };
    if (is("Succeeded", "SUCCEEDED", "delivered", "ok", "resolved", "accepted")) return Style::green;
    if (is("Failed", "FAILED", "dead", "open", "corrupt", "refused")) return Style::red;
    if (is("InProgress", "STARTED", "RESUMED", "in_flight", "pending", "planned")) return Style::blue;
    if (is("Stopping", "Stopped", "STOPPING", "STOPPED", "Abandoned", "ABANDONED", "held", "late", "degraded")) return Style::yellow;
    if (is("Superseded", "Cancelled", "SUPERSEDED", "CANCELED", "cancelled", "duplicate", "nothing")) return Style::dim;
    return Style::plain;
}

std::string_view status_mark(std::string_view s) {
    auto is = [&](auto... words) { return ((s == words) || ...); };
    if (is("Succeeded", "SUCCEEDED", "delivered", "resolved")) return "✓";
    if (is("Failed", "FAILED", "dead", "open")) return "✗";
    if (is("InProgress", "STARTED", "RESUMED", "in_flight", "pending")) return "●";
    if (is("Stopping", "Stopped", "STOPPING", "STOPPED", "Abandoned", "ABANDONED", "held")) return "■";
    if (is("Superseded", "Cancelled", "SUPERSEDED", "CANCELED", "cancelled")) return "–";
    return "○";
}

std::string show_duration(int64_t span_ms) {
    if (span_ms < 0) return "-" + show_duration(span_ms == INT64_MIN ? INT64_MAX : -span_ms);
    int64_t s = span_ms / 1000;
    if (span_ms < 1000) return fmt::format("{}ms", span_ms);
    if (s < 10) return fmt::format("{}.{}s", s, span_ms % 1000 / 100);
    if (s < 60) return fmt::format("{}s", s);
    if (s < 3600) return fmt::format("{}m {:02}s", s / 60, s % 60);
    if (s < 86'400) return fmt::format("{}h {:02}m", s / 3600, s % 3600 / 60);
    if (s % 86'400 < 3600) return fmt::format("{}d", s / 86'400);
    return fmt::format("{}d {}h", s / 86'400, s % 86'400 / 3600);
}

std::string show_ago(TimeMs then, TimeMs now) {
    if (then == no_time) return "-";
    int64_t s = (now - then) / 1000;
    if (s < 1) return s < -5 ? fmt::format("in {}", show_duration(then - now)) : "now";
    if (s < 60) return fmt::format("{}s ago", s);
    if (s < 3600) return fmt::format("{}m ago", s / 60);
    if (s < 86'400) return fmt::format("{}h ago", s / 3600);
    return fmt::format("{}d ago", s / 86'400);
}

std::string show_time(TimeMs t) {
    if (t == no_time) return "-";
    std::string text = format_time_s(t);
    if (text.size() > 10) text[10] = ' ';
    return text;
}

std::string show_count(uint64_t count) {
    std::string digits = std::to_string(count), out;
    for (size_t i = 0; i < digits.size(); ++i) {
        if (i > 0 && (digits.size() - i) % 3 == 0) out += ',';
        out += digits[i];
    }
    return out;
}

std::string show_bytes(uint64_t bytes) {
    if (bytes < 1024) return fmt::format("{} B", bytes);
    double v = static_cast<double>(bytes);
    static constexpr std::array<std::string_view, 5> units = {"KiB", "MiB", "GiB", "TiB", "PiB"};
    size_t unit = 0;
    for (v /= 1024; v >= 1024 && unit + 1 < units.size(); v /= 1024) ++unit;
    return fmt::format("{:.1f} {}", v, units[unit]);
}

}  // namespace waybill::cli
