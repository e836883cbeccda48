// The programs that are a server or work on its data directory: serve, rebuild, backup.
//
//   DATA/log/         the log (docs/log-format.md)        DATA/history.db   the history (docs/history-schema.md)
//   DATA/snapshots/   folded state                        DATA/mail/        mail, while no relay is configured
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/config.h"

namespace waybill::server {

struct ServeOptions {
    bool demo = false;                  // play believable events
    std::vector<std::string> warnings;  // of the configuration: logged at the start
};

// Serves until SIGTERM or SIGINT. Prints the address as the first line of standard output when it listens. Returns the exit code.
int serve(const Config& config, const ServeOptions& options);

// Throws the history away and fills it from the log. The server must not run. `conflict` when retention has deleted the log's beginning.
Result<void> rebuild(const Config& config, const std::function<void(uint64_t done, uint64_t total)>& progress);

struct BackupReport {
    uint64_t files = 0, bytes = 0;
    uint64_t position = 0;  // the backup holds everything below
};
// Copies what cannot be made anew (log and snapshots) into an empty or new directory, also beside a running server: what had been acknowledged when it
// began is in it. The history is filled anew when the copy is first opened.
Result<BackupReport> backup(const Config& config, const std::string& to, const std::function<void(uint64_t done, uint64_t total)>& progress);

}  // namespace waybill::server
