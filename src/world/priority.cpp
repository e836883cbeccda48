#include "world/priority.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

namespace waybill::world {

void name_thread(const char* name) { [[maybe_unused]] const int refused = ::pthread_setname_np(::pthread_self(), name); }

void yield_to_others() {
    // Linux: a nice value belongs to a thread, named by its id; each step is a quarter more or less of a share (sched(7)).
    [[maybe_unused]] const int refused = ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), 10);
}

}  // namespace waybill::world
