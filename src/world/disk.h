// The disk, as the log and the snapshots see it: files that are read and written by offset, and the few operations on names that
// crash-safe storage is made of. RealDisk is Linux; SimDisk (world/sim_disk.h) is memory that can crash, fill up and fail.
//
// What the caller may rely on, in both:
//   * write_at and truncate reach the medium when sync_data returns, and not before; until then a crash may keep any part of them, in
//     units of 512-byte sectors and in any order.
//   * A name that was created, renamed or removed is so after a crash only once sync_directory has returned for its directory.
//   * allocate reserves room: writing inside it later does not fail for lack of space (a copy-on-write file system may break this).
//
// Errors: overloaded = no space left; not_found = no such file; conflict = the directory is locked by another process; unavailable =
// every other failure of the device. After sync_data has failed, nothing is known about what was written since the one before: the
// caller must not carry on as if a later sync could make it good.
//
// Threads: a Disk and a File may be used from any number of threads; writes to overlapping ranges are the caller's to order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace waybill::world {

// Resource type: closing is the destructor.
class File {
public:
    File() = default;
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    virtual ~File() = default;

    // Reads up to n bytes; fewer only where the file ends.
    virtual Result<size_t> read_at(uint64_t offset, void* out, size_t n) const = 0;
    // Writes all of it, or fails; a failed write may have written a part.
    virtual Result<void> write_at(uint64_t offset, std::string_view bytes) = 0;
    virtual Result<void> sync_data() = 0;
    // Makes the file at least `bytes` long with room reserved for all of it; new bytes read as zero.
    virtual Result<void> allocate(uint64_t bytes) = 0;
    virtual Result<void> truncate(uint64_t bytes) = 0;
    virtual Result<uint64_t> size() const = 0;
};

// Held for as long as it lives.
class DirectoryLock {
public:
    DirectoryLock() = default;
    DirectoryLock(const DirectoryLock&) = delete;
    DirectoryLock& operator=(const DirectoryLock&) = delete;
    virtual ~DirectoryLock() = default;
};

enum class OpenMode {
    read,        // must exist
    read_write,  // must exist
    create,      // read and write; what was there before is gone
};

class Disk {
public:
    Disk() = default;
    Disk(const Disk&) = delete;
    Disk& operator=(const Disk&) = delete;
    virtual ~Disk() = default;

    virtual Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) = 0;
    // Names (not paths) of the files in the directory, sorted; directories are left out.
    virtual Result<std::vector<std::string>> list(const std::string& directory) = 0;
    // Replaces `to` when it exists. Both in one directory.
    virtual Result<void> rename(const std::string& from, const std::string& to) = 0;
    virtual Result<void> remove(const std::string& path) = 0;
    // Makes it and its parents, durably; fine when they exist.
    virtual Result<void> make_directories(const std::string& directory) = 0;
    virtual Result<void> sync_directory(const std::string& directory) = 0;
    virtual Result<uint64_t> free_bytes(const std::string& directory) = 0;
    // One holder at a time, over all processes: a second one gets `conflict`. The kernel lets go when the process ends, however it ends.
    virtual Result<std::unique_ptr<DirectoryLock>> lock_directory(const std::string& directory) = 0;
};

class RealDisk final : public Disk {
public:
    Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
    Result<std::vector<std::string>> list(const std::string& directory) override;
    Result<void> rename(const std::string& from, const std::string& to) override;
    Result<void> remove(const std::string& path) override;
    Result<void> make_directories(const std::string& directory) override;
    Result<void> sync_directory(const std::string& directory) override;
    Result<uint64_t> free_bytes(const std::string& directory) override;
    Result<std::unique_ptr<DirectoryLock>> lock_directory(const std::string& directory) override;
};

}  // namespace waybill::world
