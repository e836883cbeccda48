// Randomness as something that is handed in: from the kernel in the real world, from a seed in a simulation. A RealRandom may be called
// from any thread, a SimRandom from one. Neither is a source of keys: secrets are OpenSSL's business.
#pragma once

#include <cstdint>

namespace waybill::world {

class Random {
public:
    virtual ~Random() = default;
    virtual uint64_t next() = 0;

    // Evenly from [0, bound); bound > 0. The bias of the multiplication is below 2^-32 for every bound that fits in 32 bits.
    uint64_t below(uint64_t bound) { return static_cast<uint64_t>((static_cast<unsigned __int128>(next()) * bound) >> 64); }
    bool chance(uint64_t in, uint64_t of) { return below(of) < in; }
};

// getrandom(2). It cannot fail on a kernel that runs this program once the machine has booted; if it does, the process ends.
class RealRandom final : public Random {
public:
    uint64_t next() override;
};

// splitmix64: every seed gives its own full-period sequence, the same on every machine.
class SimRandom final : public Random {
public:
    explicit SimRandom(uint64_t seed) : state_(seed) {}
    uint64_t next() override {
        uint64_t z = (state_ += 0x9e3779b97f4a7c15ull);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        return z ^ (z >> 31);
    }

private:
    uint64_t state_;
};

}  // namespace waybill::world
