// The secrets of connections: their whole AuthParameters, one file each, outside the log. A connection in the bus's state names
// its secret by an id, and an id's text never changes: an update of a connection makes a new one. So a secret that was kept
// before the change that names it was appended is there whenever the change is, and the one before it goes when nothing names it
// any more.
//
//   DIRECTORY/0123456789abcdef.json      the id in hexadecimal; JSON as src/bus/auth_parameters.h writes it
//   DIRECTORY/0123456789abcdef.json.part being written; of no meaning after a restart
//
// Files and directory have the modes that world::Disk gives everything it makes, which lets the owner's group read; the data
// directory above is what keeps others out. Texts are Secrets in memory and never reach a message or a line of the log; errors
// name the file. A text is read from the disk when it is asked for, and kept in memory until it is swept.
//
// Thread-safe. keep() and sweep() wait for the disk and for each other, never a read() of what is in memory.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "world/disk.h"

namespace waybill::bus {

// Of one stored text: all lists of an AuthParameters at their longest, each given by an update of its own
// (src/bus/auth_parameters.h).
constexpr size_t secret_file_bytes = 1 << 20;

class Secrets {
public:
    // The directory is made when the first secret is kept.
    Secrets(world::Disk& disk, std::string directory);

    // Durable when it returns. `parameters`: of ApiAnswer::secrets; what is to change another secret ("Onto") is merged with it
    // here and kept whole. not_found: the secret that was to be changed is gone.
    Result<void> keep(uint64_t id, std::string_view parameters);
    // Corrupt: a file that is longer than anything keep() writes.
    Result<Secret> read(uint64_t id);
    // Deletes what no connection names. What was kept since the start and has not been named by a sweep yet is spared: the change
    // that names it may still be on its way.
    Result<void> sweep(const std::set<uint64_t>& in_use);

private:
    std::string path(uint64_t id) const;
    Result<void> write(uint64_t id, std::string_view text);

    world::Disk& disk_;
    const std::string directory_;
    std::mutex files_;  // names in the directory change under it, and `directory_made_` and `unnamed_`
    bool directory_made_ = false;
    std::set<uint64_t> unnamed_;  // kept since the start, not in any sweep's set yet
    std::mutex memory_mutex_;     // never held while the disk is waited for
    std::map<uint64_t, Secret> memory_;
};

}  // namespace waybill::bus
