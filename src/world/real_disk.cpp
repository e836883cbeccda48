#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "world/disk.h"

namespace waybill::world {

namespace {

Error from_errno(int number, std::string_view doing, const std::string& path) {
    std::string message = fmt::format("{} {}: {}", doing, path, strerror(number));
    switch (number) {
        case ENOSPC:
        case EDQUOT: return overloaded(std::move(message) + "; free some space or lower the retention");
        case ENOENT:
        case ENOTDIR: return not_found(std::move(message));
        default: return unavailable(std::move(message));
    }
}

template <class Call>
auto without_interrupt(Call call) {
    decltype(call()) r;
    do {
        r = call();
    } while (r < 0 && errno == EINTR);
    return r;
}

class RealFile final : public File {
public:
    RealFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
    ~RealFile() override { ::close(fd_); }

    Result<size_t> read_at(uint64_t offset, void* out, size_t n) const override {
        size_t done = 0;
        while (done < n) {
            ssize_t got = without_interrupt(
                [&] { return ::pread(fd_, static_cast<char*>(out) + done, n - done, static_cast<off_t>(offset + done)); });
            if (got < 0) return from_errno(errno, "reading", path_);
            if (got == 0) break;
            done += static_cast<size_t>(got);
        }
        return done;
    }
    Result<void> write_at(uint64_t offset, std::string_view bytes) override {
        while (!bytes.empty()) {
            ssize_t put = without_interrupt([&] { return ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset)); });
            if (put < 0) return from_errno(errno, "writing", path_);
            if (put == 0) return unavailable(fmt::format("writing {}: the device took no bytes", path_));
            bytes.remove_prefix(static_cast<size_t>(put));
            offset += static_cast<uint64_t>(put);
        }
        return {};
    }
    Result<void> sync_data() override {
        // Not repeated after a failure other than EINTR: Linux forgets which pages it could not write.
        if (without_interrupt([&] { return ::fdatasync(fd_); }) < 0) return from_errno(errno, "syncing", path_);
        return {};
    }
    Result<void> allocate(uint64_t bytes) override {
        // posix_fallocate would write zeros byte by byte where the file system cannot reserve; fallocate says so instead.
        int r = without_interrupt([&] { return ::fallocate(fd_, 0, 0, static_cast<off_t>(bytes)); });
        if (r == 0) return {};
        if (errno != EOPNOTSUPP) return from_errno(errno, "reserving room for", path_);
        TRY(uint64_t now, size());
        static const std::string zeros(1 << 20, '\0');
        for (; now < bytes; now += std::min<uint64_t>(zeros.size(), bytes - now)) {
            TRY_VOID(write_at(now, std::string_view(zeros).substr(0, std::min<uint64_t>(zeros.size(), bytes - now))));
        }
        return {};
    }
    Result<void> truncate(uint64_t bytes) override {
        if (without_interrupt([&] { return ::ftruncate(fd_, static_cast<off_t>(bytes)); }) < 0)
            return from_errno(errno, "truncating", path_);
        return {};
    }
    Result<uint64_t> size() const override {
        struct stat s;
        if (::fstat(fd_, &s) < 0) return from_errno(errno, "asking the size of", path_);
        return static_cast<uint64_t>(s.st_size);
    }

private:
    int fd_;
    std::string path_;
};

class RealLock final : public DirectoryLock {
public:
    explicit RealLock(int fd) : fd_(fd) {}
    ~RealLock() override { ::close(fd_); }

private:
    int fd_;
};

}  // namespace

Result<std::unique_ptr<File>> RealDisk::open(const std::string& path, OpenMode mode) {
    int flags = mode == OpenMode::read ? O_RDONLY : mode == OpenMode::read_write ? O_RDWR : O_RDWR | O_CREAT | O_TRUNC;
    int fd = without_interrupt([&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0640); });
    if (fd < 0) return from_errno(errno, "opening", path);
    return std::unique_ptr<File>(std::make_unique<RealFile>(fd, path));
}

Result<std::vector<std::string>> RealDisk::list(const std::string& directory) {
    DIR* handle = ::opendir(directory.c_str());
    if (!handle) return from_errno(errno, "listing", directory);
    std::vector<std::string> names;
    errno = 0;
    while (dirent* entry = ::readdir(handle)) {
        std::string name = entry->d_name;
        bool is_directory = entry->d_type == DT_DIR;
        if (entry->d_type == DT_UNKNOWN) {
            struct stat s;
            is_directory = ::stat((directory + "/" + name).c_str(), &s) == 0 && S_ISDIR(s.st_mode);
        }
        if (!is_directory) names.push_back(std::move(name));
        errno = 0;
    }
    int failed = errno;
    ::closedir(handle);
    if (failed) return from_errno(failed, "listing", directory);
    std::sort(names.begin(), names.end());
    return names;
}

Result<void> RealDisk::rename(const std::string& from, const std::string& to) {
    if (::rename(from.c_str(), to.c_str()) < 0) return from_errno(errno, "renaming", from);
    return {};
}

Result<void> RealDisk::remove(const std::string& path) {
    if (::unlink(path.c_str()) < 0) return from_errno(errno, "removing", path);
    return {};
}

Result<void> RealDisk::make_directories(const std::string& directory) {
    for (size_t slash = 0; slash != std::string::npos;) {
        slash = directory.find('/', slash + 1);
        std::string path = directory.substr(0, slash);
        if (::mkdir(path.c_str(), 0750) == 0) {
            size_t up = path.rfind('/');
            TRY_VOID(sync_directory(up == std::string::npos ? "." : up == 0 ? "/" : path.substr(0, up)));
        } else if (errno != EEXIST) {
            return from_errno(errno, "making the directory", path);
        }
    }
    struct stat s;
    if (::stat(directory.c_str(), &s) < 0) return from_errno(errno, "making the directory", directory);
    if (!S_ISDIR(s.st_mode)) return invalid(fmt::format("{} is a file; a directory is needed there", directory));
    return {};
}

Result<void> RealDisk::sync_directory(const std::string& directory) {
    int fd = without_interrupt([&] { return ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
    if (fd < 0) return from_errno(errno, "opening", directory);
    int r = without_interrupt([&] { return ::fsync(fd); });
    int failed = errno;
    ::close(fd);
    if (r < 0) return from_errno(failed, "syncing", directory);
    return {};
}

Result<uint64_t> RealDisk::free_bytes(const std::string& directory) {
    struct statvfs s;
    if (without_interrupt([&] { return ::statvfs(directory.c_str(), &s); }) < 0)
        return from_errno(errno, "asking the free space of", directory);
    return static_cast<uint64_t>(s.f_bavail) * s.f_frsize;
}

Result<std::unique_ptr<DirectoryLock>> RealDisk::lock_directory(const std::string& directory) {
    std::string path = directory + "/LOCK";
    int fd = without_interrupt([&] { return ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640); });
    if (fd < 0) return from_errno(errno, "opening", path);
    if (without_interrupt([&] { return ::flock(fd, LOCK_EX | LOCK_NB); }) < 0) {
        int failed = errno;
        char holder[32] = {};
        ssize_t got = ::pread(fd, holder, sizeof holder - 1, 0);
        ::close(fd);
        if (failed != EWOULDBLOCK) return from_errno(failed, "locking", path);
        std::string who(holder, got > 0 ? static_cast<size_t>(got) : 0);
        while (!who.empty() && who.back() == '\n') who.pop_back();
        return conflict(fmt::format("{} is in use by another process{}; stop it first, or choose another directory", directory,
                                    who.empty() ? "" : fmt::format(" (process {})", who)));
    }
    std::string self = fmt::format("{}\n", ::getpid());  // only so that a refusal can name the holder: a failure here harms nothing
    if (::ftruncate(fd, 0) == 0 && ::pwrite(fd, self.data(), self.size(), 0) < 0) errno = 0;
    return std::unique_ptr<DirectoryLock>(std::make_unique<RealLock>(fd));
}

}  // namespace waybill::world
