// Ctrl-C and SIGTERM as something to look at instead of something that kills: while an Interrupt lives, both are blocked and read from a
// signalfd. Any thread may look. Make it before any thread is started, so that all of them inherit the mask. The second Ctrl-C kills, in case we hang.
#pragma once

#include <atomic>
#include <csignal>
#include <cstdint>

namespace waybill::cli {

class Interrupt {
public:
    Interrupt();
    ~Interrupt();
    Interrupt(const Interrupt&) = delete;
    Interrupt& operator=(const Interrupt&) = delete;

    bool raised() { return wait_ms(0); }
    // Until it is raised (true) or the time is over (false).
    bool wait_ms(int64_t span_ms);
    int fd() const { return fd_; }  // readable when raised and not yet looked at

private:
    int fd_ = -1;
    std::atomic<bool> raised_ = false;
    sigset_t before_;
};

}  // namespace waybill::cli
