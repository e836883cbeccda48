#include "world/priority.h"

#include <sys/resource.h>
#include <unistd.h>

namespace waybill::world {

void yield_to_others() {
    // Linux: a nice value belongs to a thread, named by its id; each step is a quarter more or less of a share (sched(7)).
    [[maybe_unused]] const int refused = ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), 10);
}

}  // namespace waybill::world
