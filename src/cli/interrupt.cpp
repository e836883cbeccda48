#include "cli/interrupt.h"

#include <poll.h>
#include <pthread.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>

#include "base/assert.h"

namespace waybill::cli {
namespace {

sigset_t ours() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    return set;
}

}  // namespace

Interrupt::Interrupt() {
    sigset_t set = ours();
    pthread_sigmask(SIG_BLOCK, &set, &before_);
    fd_ = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    ASSERT(fd_ >= 0);
}

Interrupt::~Interrupt() {
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    close(fd_);
}

bool Interrupt::wait_ms(int64_t span_ms) {
    if (raised_) return true;
    pollfd p{fd_, POLLIN, 0};
    if (poll(&p, 1, static_cast<int>(std::clamp<int64_t>(span_ms, 0, 3'600'000))) <= 0) return raised_;
    signalfd_siginfo info;
    // Of two threads that wait, one reads it and the other finds the flag.
    if (read(fd_, &info, sizeof info) != static_cast<ssize_t>(sizeof info)) return raised_;
    raised_ = true;
    sigset_t set = ours();
    pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
    return true;
}

}  // namespace waybill::cli
