#include "bus/secrets.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>

#include "bus/auth_parameters.h"

namespace waybill::bus {
namespace {

constexpr std::string_view suffix = ".json", unfinished = ".part";

std::optional<uint64_t> id_of(std::string_view name) {
    if (!name.ends_with(suffix)) return {};
    name.remove_suffix(suffix.size());
    uint64_t id = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), id, 16);
    if (error != std::errc{} || end != name.data() + name.size() || name.size() != 16) return {};
    return id;
}

}  // namespace

Secrets::Secrets(world::Disk& disk, std::string directory) : disk_(disk), directory_(std::move(directory)) {}

std::string Secrets::path(uint64_t id) const { return fmt::format("{}/{:016x}{}", directory_, id, suffix); }

Result<void> Secrets::keep(uint64_t id, std::string_view parameters) {
    TRY(auto update, parse_auth_parameters(parameters));
    AuthParameters old;
    if (update.onto) {
        TRY(const auto before, read(update.onto));
        TRY(old, parse_auth_parameters(before.reveal()));
    }
    Secret whole(to_json(merged(std::move(old), update)));
    if (whole.reveal().size() > secret_file_bytes)
        return invalid(fmt::format("the AuthParameters of a connection have {} bytes; at most {} are kept", whole.reveal().size(),
                                   secret_file_bytes));
    {
        const std::lock_guard lock(files_);
        TRY_VOID(write(id, whole.reveal()));
        unnamed_.insert(id);
    }
    const std::lock_guard lock(memory_mutex_);
    memory_[id] = std::move(whole);
    return {};
}

// Under a name of its own until it is whole, so that a crash leaves the secret or nothing.
Result<void> Secrets::write(uint64_t id, std::string_view text) {
    if (!directory_made_) {
        TRY_VOID(disk_.make_directories(directory_));
        directory_made_ = true;
    }
    const std::string name = path(id), part = name + std::string(unfinished);
    TRY(const auto file, disk_.open(part, world::OpenMode::create));
    TRY_VOID(file->write_at(0, text));
    TRY_VOID(file->sync_data());
    TRY_VOID(disk_.rename(part, name));
    return disk_.sync_directory(directory_);
}

Result<Secret> Secrets::read(uint64_t id) {
    {
        const std::lock_guard lock(memory_mutex_);
        if (const auto at = memory_.find(id); at != memory_.end()) return at->second;
    }
    const std::string name = path(id);
    TRY(const auto file, disk_.open(name, world::OpenMode::read));
    TRY(const uint64_t size, file->size());
    if (size > secret_file_bytes)
        return corrupt(fmt::format("{} has {} bytes; no secret of a connection has more than {}", name, size, secret_file_bytes));
    std::string text(size, '\0');
    TRY(const size_t got, file->read_at(0, text.data(), text.size()));
    if (got != size) return corrupt(fmt::format("{} ended after {} of {} bytes", name, got, size));
    Secret secret(std::move(text));
    const std::lock_guard lock(memory_mutex_);
    return memory_.try_emplace(id, std::move(secret)).first->second;
}

Result<void> Secrets::sweep(const std::set<uint64_t>& in_use) {
    const std::lock_guard files(files_);
    std::erase_if(unnamed_, [&](uint64_t id) { return in_use.contains(id); });
    {
        const std::lock_guard memory(memory_mutex_);
        std::erase_if(memory_, [&](const auto& one) { return !in_use.contains(one.first) && !unnamed_.contains(one.first); });
    }
    auto names = disk_.list(directory_);
    if (!names.ok()) {
        if (names.error().kind == ErrorKind::not_found) return {};  // none was ever kept
        return std::move(names).error();
    }
    bool removed = false;
    for (const auto& name : *names) {
        // Writing is under the same lock: what is unfinished here was left by a process that ended.
        const auto id = id_of(name);
        const bool ours =
            id || (name.ends_with(unfinished) && id_of(std::string_view(name).substr(0, name.size() - unfinished.size())));
        if (!ours || (id && (in_use.contains(*id) || unnamed_.contains(*id)))) continue;
        TRY_VOID(disk_.remove(directory_ + "/" + name));
        removed = true;
    }
    return removed ? disk_.sync_directory(directory_) : Result<void>{};
}

}  // namespace waybill::bus
