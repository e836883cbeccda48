// A disk in memory that does what real ones are allowed to do, chosen by a seed: the same seed and the same calls give the same
// contents after every crash.
//
// What it keeps apart is what the medium holds and what a reader sees. crash() makes a new "what a reader sees" out of the medium: of
// every write not yet synced it keeps all, nothing, or any mixture of 512-byte sectors in any order, and of the renames, creations and
// removals not yet synced any subset. Handles and locks from before a crash are dead: every call on them fails, and changes nothing.
// Opening files again without crash() is a process that died on a machine that did not.
//
// A sync that fails leaves its writes readable, yet later syncs will not write them (as Linux does): only writing them again will.
//
// Thread-safe by one lock; it simulates no time. Directories are durable when made. It never touches the real disk.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <set>

#include "world/disk.h"
#include "world/random.h"

namespace waybill::world {

class SimDisk final : public Disk {
public:
    explicit SimDisk(uint64_t seed) : random_(seed) {}
    ~SimDisk() override;

    Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
    Result<std::vector<std::string>> list(const std::string& directory) override;
    Result<void> rename(const std::string& from, const std::string& to) override;
    Result<void> remove(const std::string& path) override;
    Result<void> make_directories(const std::string& directory) override;
    Result<void> sync_directory(const std::string& directory) override;
    Result<uint64_t> free_bytes(const std::string& directory) override;
    Result<std::unique_ptr<DirectoryLock>> lock_directory(const std::string& directory) override;

    // --- what happens to it ---
    void crash();
    // All files together may take this many bytes; beyond, writes and allocations fail with `overloaded`.
    void set_capacity(uint64_t bytes);
    // The n-th call from now (1 = the next) of that kind fails with `unavailable`; 0 = none does.
    void fail_write(uint64_t nth);
    void fail_sync(uint64_t nth);
    // The machine loses its power during the n-th changing call from now (write, sync, allocation, or change of a name): that call may
    // have happened in part, and every later call of any kind fails until crash(). 0 = it does not.
    void cut_power(uint64_t nth);
    uint64_t syncs() const;   // sync_data calls that succeeded
    uint64_t writes() const;  // write_at calls that succeeded

private:
    struct Write {
        uint64_t offset;
        std::string bytes;
        bool orphan;  // a failed sync covered it: no later sync writes it
    };
    struct Inode {
        std::string seen;                // what a reader sees
        std::string medium;              // what the last sync left
        std::vector<Write> writes;       // seen = medium with these applied, in order
    };
    struct NameChange {
        std::string directory;
        std::string erase;               // path, or empty
        std::string put;                 // path, or empty
        std::shared_ptr<Inode> inode;    // stands at `put`
    };
    class SimFile;
    class SimLock;

    bool power_fails();  // now, or it has
    bool fits(const Inode& inode, uint64_t new_size) const;
    uint64_t used() const;
    static void apply(std::map<std::string, std::shared_ptr<Inode>>& names, const NameChange& change);
    void tear(Inode& inode, uint64_t keep_of_8);

    mutable std::mutex mutex_;
    SimRandom random_;
    uint64_t generation_ = 0;  // counts crashes
    std::set<std::string> directories_;
    std::set<std::string> locked_;
    std::map<std::string, std::shared_ptr<Inode>> seen_names_;
    std::map<std::string, std::shared_ptr<Inode>> medium_names_;
    std::vector<NameChange> name_changes_;
    uint64_t capacity_ = UINT64_MAX;
    uint64_t fail_write_ = 0;
    uint64_t fail_sync_ = 0;
    uint64_t cut_power_ = 0;
    bool dark_ = false;
    uint64_t syncs_ = 0;
    uint64_t writes_ = 0;
};

}  // namespace waybill::world
