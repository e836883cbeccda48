// How much of a busy machine a thread claims. Only a wish: where the system does not grant it, nothing changes but speed. A simulation
// has no threads and never asks.
#pragma once

namespace waybill::world {

// Of the calling thread, from now on: while all cores are taken it gets about a tenth of what another thread gets. For work that nobody
// waits for. (The history's feed is not such work: it was tried, and lists fell many seconds behind on a machine that also compiled.)
void yield_to_others();

}  // namespace waybill::world
