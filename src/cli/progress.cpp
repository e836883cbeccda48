#include "cli/progress.h"

#include <fmt/format.h>

#include <algorithm>

namespace waybill::cli {

std::string Progress::line(const std::string& what, uint64_t done, uint64_t total, int64_t elapsed_ms, const std::string& note, int width) {
    double rate = elapsed_ms > 0 ? static_cast<double>(done) * 1000 / static_cast<double>(elapsed_ms) : 0;
    std::string text = what + " ";
    if (total > 0) {
        double part = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
        constexpr int bar = 24;
        int full = static_cast<int>(part * bar);
        for (int i = 0; i < bar; ++i) text += i < full ? "█" : "░";
        text += fmt::format(" {:3.0f}% {} of {}", part * 100, show_bytes(done), show_bytes(total));
    } else {
        text += show_bytes(done);
    }
    if (rate > 0) text += fmt::format("  {}/s", show_bytes(static_cast<uint64_t>(rate)));
    if (!note.empty()) text += "  " + note;
    if (total > done && rate > 0) text += fmt::format("  {} left", show_duration(static_cast<int64_t>(static_cast<double>(total - done) / rate) * 1000));
    return width > 0 ? truncate(text, width) : text;
}

void Progress::update(uint64_t done, uint64_t total, const std::string& note) {
    if (!terminal_.interactive) return;
    auto now = std::chrono::steady_clock::now();
    if (now - start_ < std::chrono::seconds(1) || now - drawn_ < std::chrono::milliseconds(100)) return;
    drawn_ = now;
    int64_t elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(now - start_).count();
    fmt::print(stderr, "\r\x1b[K{}", line(what_, done, total, elapsed, note, terminal_.width - 1));
    std::fflush(stderr);
    visible_ = true;
}

void Progress::clear() {
    if (!visible_) return;
    fmt::print(stderr, "\r\x1b[K");
    std::fflush(stderr);
    visible_ = false;
}

}  // namespace waybill::cli
