#include "world/sim_disk.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace waybill::world {

namespace {

constexpr uint64_t sector_bytes = 512;

std::string directory_of(const std::string& path) {
    size_t slash = path.rfind('/');
    return slash == std::string::npos ? "" : path.substr(0, slash);
}

Error crashed() { return unavailable("the simulated machine crashed while this was open"); }
Error full(const std::string& path) { return overloaded(fmt::format("writing {}: no space left on the simulated disk", path)); }

void put(std::string& image, uint64_t offset, std::string_view bytes) {
    if (image.size() < offset + bytes.size()) image.resize(offset + bytes.size());
    std::memcpy(image.data() + offset, bytes.data(), bytes.size());
}

}  // namespace

class SimDisk::SimFile final : public File {
public:
    SimFile(SimDisk& disk, std::shared_ptr<Inode> inode, std::string path, bool writable)
        : disk_(disk), inode_(std::move(inode)), path_(std::move(path)), writable_(writable), generation_(disk.generation_) {}

    Result<size_t> read_at(uint64_t offset, void* out, size_t n) const override {
        std::lock_guard lock(disk_.mutex_);
        if (generation_ != disk_.generation_ || disk_.dark_) return crashed();
        const std::string& image = inode_->seen;
        if (offset >= image.size()) return size_t{0};
        size_t got = std::min<uint64_t>(n, image.size() - offset);
        std::memcpy(out, image.data() + offset, got);
        return got;
    }
    Result<void> write_at(uint64_t offset, std::string_view bytes) override {
        std::lock_guard lock(disk_.mutex_);
        if (generation_ != disk_.generation_ || disk_.dark_) return crashed();
        if (!writable_) return invalid(fmt::format("{} was opened for reading only", path_));
        if (disk_.fail_write_ && --disk_.fail_write_ == 0) return unavailable(fmt::format("writing {}: simulated I/O error", path_));
        if (!disk_.fits(*inode_, offset + bytes.size())) return full(path_);
        put(inode_->seen, offset, bytes);
        inode_->writes.push_back({offset, std::string(bytes), false});
        if (disk_.power_fails()) return crashed();
        ++disk_.writes_;
        return {};
    }
    Result<void> sync_data() override {
        std::lock_guard lock(disk_.mutex_);
        if (generation_ != disk_.generation_ || disk_.dark_) return crashed();
        if (disk_.power_fails()) return crashed();
        if (disk_.fail_sync_ && --disk_.fail_sync_ == 0) {
            for (Write& w : inode_->writes) w.orphan = true;
            return unavailable(fmt::format("syncing {}: simulated I/O error", path_));
        }
        std::vector<Write> orphans;
        for (Write& w : inode_->writes) {
            if (w.orphan) orphans.push_back(std::move(w));
            else put(inode_->medium, w.offset, w.bytes);
        }
        // What was written over an orphan since has reached the medium: a crash that keeps the orphan must not bring old bytes back.
        std::erase_if(orphans, [&](Write& o) {
            if (o.offset >= inode_->seen.size()) return true;
            o.bytes = inode_->seen.substr(o.offset, o.bytes.size());
            return o.offset + o.bytes.size() <= inode_->medium.size() &&
                   std::string_view(inode_->medium).substr(o.offset, o.bytes.size()) == o.bytes;
        });
        inode_->writes = std::move(orphans);
        if (inode_->medium.size() != inode_->seen.size()) inode_->medium.resize(inode_->seen.size());
        ++disk_.syncs_;
        return {};
    }
    Result<void> allocate(uint64_t bytes) override {
        std::lock_guard lock(disk_.mutex_);
        if (generation_ != disk_.generation_ || disk_.dark_) return crashed();
        if (!disk_.fits(*inode_, bytes)) return full(path_);
        if (inode_->seen.size() < bytes) inode_->seen.resize(bytes);
        if (disk_.power_fails()) return crashed();
        return {};
    }
    Result<void> truncate(uint64_t bytes) override {
        std::lock_guard lock(disk_.mutex_);
        if (generation_ != disk_.generation_ || disk_.dark_) return crashed();
        if (!disk_.fits(*inode_, bytes)) return full(path_);
        if (bytes < inode_->seen.size()) inode_->writes.push_back({bytes, std::string(inode_->seen.size() - bytes, '\0'), false});
        inode_->seen.resize(bytes);
        if (disk_.power_fails()) return crashed();
        return {};
    }
    Result<uint64_t> size() const override {
        std::lock_guard lock(disk_.mutex_);
        if (generation_ != disk_.generation_ || disk_.dark_) return crashed();
        return inode_->seen.size();
    }

private:
    SimDisk& disk_;
    std::shared_ptr<Inode> inode_;
    std::string path_;
    bool writable_;
    uint64_t generation_;
};

class SimDisk::SimLock final : public DirectoryLock {
public:
    SimLock(SimDisk& disk, std::string directory) : disk_(disk), directory_(std::move(directory)), generation_(disk.generation_) {}
    ~SimLock() override {
        std::lock_guard lock(disk_.mutex_);
        if (generation_ == disk_.generation_) disk_.locked_.erase(directory_);
    }

private:
    SimDisk& disk_;
    std::string directory_;
    uint64_t generation_;
};

SimDisk::~SimDisk() = default;

Result<std::unique_ptr<File>> SimDisk::open(const std::string& path, OpenMode mode) {
    std::lock_guard lock(mutex_);
    if (dark_) return crashed();
    auto at = seen_names_.find(path);
    if (mode == OpenMode::create) {
        if (!directories_.contains(directory_of(path))) return not_found(fmt::format("opening {}: no such directory", path));
        auto inode = std::make_shared<Inode>();
        NameChange change{directory_of(path), "", path, inode};
        apply(seen_names_, change);
        name_changes_.push_back(std::move(change));
        if (power_fails()) return crashed();
        return std::unique_ptr<File>(new SimFile(*this, std::move(inode), path, true));
    }
    if (at == seen_names_.end()) return not_found(fmt::format("opening {}: no such file", path));
    return std::unique_ptr<File>(new SimFile(*this, at->second, path, mode != OpenMode::read));
}

Result<std::vector<std::string>> SimDisk::list(const std::string& directory) {
    std::lock_guard lock(mutex_);
    if (dark_) return crashed();
    if (!directories_.contains(directory)) return not_found(fmt::format("listing {}: no such directory", directory));
    std::vector<std::string> names;
    for (const auto& [path, inode] : seen_names_)
        if (directory_of(path) == directory) names.push_back(path.substr(directory.size() + 1));
    return names;
}

Result<void> SimDisk::rename(const std::string& from, const std::string& to) {
    std::lock_guard lock(mutex_);
    if (dark_) return crashed();
    auto at = seen_names_.find(from);
    if (at == seen_names_.end()) return not_found(fmt::format("renaming {}: no such file", from));
    NameChange change{directory_of(to), from, to, at->second};
    apply(seen_names_, change);
    name_changes_.push_back(std::move(change));
    if (power_fails()) return crashed();
    return {};
}

Result<void> SimDisk::remove(const std::string& path) {
    std::lock_guard lock(mutex_);
    if (dark_) return crashed();
    if (!seen_names_.contains(path)) return not_found(fmt::format("removing {}: no such file", path));
    NameChange change{directory_of(path), path, "", nullptr};
    apply(seen_names_, change);
    name_changes_.push_back(std::move(change));
    if (power_fails()) return crashed();
    return {};
}

Result<void> SimDisk::make_directories(const std::string& directory) {
    std::lock_guard lock(mutex_);
    if (dark_) return crashed();
    directories_.insert(directory);
    return {};
}

Result<void> SimDisk::sync_directory(const std::string& directory) {
    std::lock_guard lock(mutex_);
    if (!directories_.contains(directory)) return not_found(fmt::format("syncing {}: no such directory", directory));
    if (power_fails()) return crashed();
    std::erase_if(name_changes_, [&](const NameChange& change) {
        if (change.directory != directory) return false;
        apply(medium_names_, change);
        return true;
    });
    return {};
}

Result<uint64_t> SimDisk::free_bytes(const std::string&) {
    std::lock_guard lock(mutex_);
    if (dark_) return crashed();
    uint64_t taken = used();
    return capacity_ > taken ? capacity_ - taken : 0;
}

Result<std::unique_ptr<DirectoryLock>> SimDisk::lock_directory(const std::string& directory) {
    std::lock_guard lock(mutex_);
    if (dark_) return crashed();
    if (!locked_.insert(directory).second)
        return conflict(fmt::format("{} is in use by another process; stop it first, or choose another directory", directory));
    return std::unique_ptr<DirectoryLock>(new SimLock(*this, directory));
}

void SimDisk::apply(std::map<std::string, std::shared_ptr<Inode>>& names, const NameChange& change) {
    if (!change.erase.empty()) names.erase(change.erase);
    if (!change.put.empty()) names[change.put] = change.inode;
}

void SimDisk::crash() {
    std::lock_guard lock(mutex_);
    ++generation_;
    dark_ = false;
    cut_power_ = 0;
    locked_.clear();
    // Extremes are likelier than the middle: "nothing was kept" and "everything was kept" each find bugs of their own.
    auto mood = [&] { return random_.chance(1, 4) ? 0 : random_.chance(1, 3) ? 8 : 1 + random_.below(7); };
    uint64_t keep_names = mood();
    for (const NameChange& change : name_changes_)
        if (random_.chance(keep_names, 8)) apply(medium_names_, change);
    name_changes_.clear();
    seen_names_ = medium_names_;
    uint64_t keep_bytes = mood();
    std::set<Inode*> done;
    for (const auto& [path, inode] : medium_names_)
        if (done.insert(inode.get()).second) tear(*inode, keep_bytes);
}

// Every sector takes the state after some prefix of the writes that touched it, independently of every other sector.
void SimDisk::tear(Inode& inode, uint64_t keep_of_8) {
    std::map<uint64_t, std::vector<const Write*>> touched;
    for (const Write& w : inode.writes)
        for (uint64_t s = w.offset / sector_bytes; s * sector_bytes < w.offset + w.bytes.size(); ++s) touched[s].push_back(&w);
    uint64_t new_size = inode.seen.size();
    if (inode.medium.size() != new_size && !random_.chance(keep_of_8, 8)) new_size = inode.medium.size();
    for (const auto& [s, writes] : touched) {
        for (const Write* w : writes) {
            if (!random_.chance(keep_of_8, 8)) break;
            uint64_t begin = std::max(w->offset, s * sector_bytes);
            uint64_t end = std::min(w->offset + w->bytes.size(), (s + 1) * sector_bytes);
            put(inode.medium, begin, std::string_view(w->bytes).substr(begin - w->offset, end - begin));
        }
    }
    inode.medium.resize(new_size);
    inode.seen = inode.medium;
    inode.writes.clear();
}

uint64_t SimDisk::used() const {
    uint64_t sum = 0;
    for (const auto& [path, inode] : seen_names_) sum += inode->seen.size();
    return sum;
}

bool SimDisk::fits(const Inode& inode, uint64_t new_size) const {
    if (new_size <= inode.seen.size()) return true;
    uint64_t taken = used();
    return taken <= capacity_ && new_size - inode.seen.size() <= capacity_ - taken;
}

bool SimDisk::power_fails() {
    if (cut_power_ && --cut_power_ == 0) dark_ = true;
    return dark_;
}

void SimDisk::set_capacity(uint64_t bytes) {
    std::lock_guard lock(mutex_);
    capacity_ = bytes;
}
void SimDisk::fail_write(uint64_t nth) {
    std::lock_guard lock(mutex_);
    fail_write_ = nth;
}
void SimDisk::fail_sync(uint64_t nth) {
    std::lock_guard lock(mutex_);
    fail_sync_ = nth;
}
void SimDisk::cut_power(uint64_t nth) {
    std::lock_guard lock(mutex_);
    cut_power_ = nth;
}
uint64_t SimDisk::syncs() const {
    std::lock_guard lock(mutex_);
    return syncs_;
}
uint64_t SimDisk::writes() const {
    std::lock_guard lock(mutex_);
    return writes_;
}

}  // namespace waybill::world
