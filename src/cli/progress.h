// One line on a terminal's stderr that says how far a long piece of work is: a bar, what was done, the speed and the time left. It draws
// nothing where nobody looks, nothing for work that is over within a second, and wipes itself before anything else is printed.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "cli/terminal.h"

namespace waybill::cli {

class Progress {
public:
    Progress(Terminal terminal, std::string what) : terminal_(terminal), what_(std::move(what)) {}
    ~Progress() { clear(); }
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    // total 0: not known. `note` stands at the end of the line. Cheap: draws at most ten times a second.
    void update(uint64_t done, uint64_t total, const std::string& note = {});
    void clear();

    // The line itself, without escapes: what update draws after `elapsed_ms`.
    static std::string line(const std::string& what, uint64_t done, uint64_t total, int64_t elapsed_ms, const std::string& note, int width);

private:
    Terminal terminal_;
    std::string what_;
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now(), drawn_ = start_;
    bool visible_ = false;
};

}  // namespace waybill::cli
