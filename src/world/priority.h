// What the system knows of a thread: its name, and how much of a busy machine it claims. Only wishes: where the system does not grant one,
// nothing changes but speed, or what `top -H` shows. A simulation has no threads and never asks.
#pragma once

namespace waybill::world {

// Of the calling thread, as `top -H`, perf and a debugger show it; at most 15 bytes.
void name_thread(const char* name);

// Of the calling thread, from now on: while all cores are taken it gets about a tenth of what another thread gets. For work that nobody
// waits for. (The history's feed is not such work: it was tried, and lists fell many seconds behind on a machine that also compiled.)
void yield_to_others();

}  // namespace waybill::world
