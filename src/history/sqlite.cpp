#include "history/sqlite.h"

#include <fmt/format.h>

#include <chrono>

namespace waybill::history {
namespace {

constexpr int busy_ms = 5000;                // how long a lock held by another program is waited for
constexpr int progress_instructions = 1000;  // of SQLite's virtual machine, between two looks at the clock

int64_t steady_ms() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

Error sqlite_error(sqlite3* db, int code, std::string_view context) {
    std::string what = db ? sqlite3_errmsg(db) : sqlite3_errstr(code);
    std::string message = fmt::format("{}: {}", context, what);
    switch (code & 0xff) {
        case SQLITE_FULL: return overloaded(message + ": free some space on the history's disk");
        case SQLITE_NOMEM: return overloaded(message);
        case SQLITE_INTERRUPT: return overloaded(fmt::format("{}: took longer than its time limit", context));
        case SQLITE_BUSY:
        case SQLITE_LOCKED: return unavailable(message + ": another program holds it locked");
        case SQLITE_IOERR:
        case SQLITE_CANTOPEN:
        case SQLITE_PERM:
        case SQLITE_AUTH:
        case SQLITE_READONLY: return unavailable(message);
        case SQLITE_TOOBIG: return invalid(message);
        default:
            // CORRUPT, NOTADB, FORMAT; and ERROR, SCHEMA, CONSTRAINT, MISMATCH of our own statements, which only a file that is not
            // what we wrote can cause.
            return corrupt(message + ": the history is derived, `waybill rebuild` makes it anew from the log");
    }
}

Result<bool> Statement::step() {
    if (bind_code_ != SQLITE_OK) return sqlite_error(db_, std::exchange(bind_code_, SQLITE_OK), "history: binding a value");
    int code = sqlite3_step(handle_.get());
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    Error error = sqlite_error(db_, code, "history");
    sqlite3_reset(handle_.get());
    return error;
}

Result<void> Statement::run() {
    for (;;) {
        TRY(bool row, step());
        if (!row) break;
    }
    sqlite3_reset(handle_.get());
    return {};
}

Result<std::unique_ptr<Connection>> Connection::open(const std::string& path, Mode mode) {
    sqlite3* db = nullptr;
    int flags = SQLITE_OPEN_NOMUTEX | (mode == Mode::create ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY);
    int code = sqlite3_open_v2(path.c_str(), &db, flags, nullptr);
    std::unique_ptr<Connection> connection(new Connection(db));
    if (code != SQLITE_OK) return sqlite_error(db, code, "opening " + path);
    sqlite3_extended_result_codes(db, 1);
    sqlite3_busy_timeout(db, busy_ms);
    // Nothing in the file may run code of its own: no functions hidden in its views, no writable schema.
    sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
    return connection;
}

Result<void> Connection::run(const std::string& sql) {
    int code = sqlite3_exec(db_.get(), sql.c_str(), nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) return sqlite_error(db_.get(), code, "history");
    return {};
}

Result<int64_t> Connection::number(const std::string& sql) {
    sqlite3_stmt* handle = nullptr;
    int code = sqlite3_prepare_v3(db_.get(), sql.c_str(), -1, 0, &handle, nullptr);
    if (code != SQLITE_OK) return sqlite_error(db_.get(), code, "history");
    Statement statement(db_.get(), handle);
    TRY(bool row, statement.step());
    return row ? statement.number_at(0) : 0;
}

Result<Statement*> Connection::prepared(std::string_view sql) {
    auto found = statements_.find(sql);
    if (found == statements_.end()) {
        sqlite3_stmt* handle = nullptr;
        int code = sqlite3_prepare_v3(db_.get(), sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &handle, nullptr);
        if (code != SQLITE_OK) return sqlite_error(db_.get(), code, "history");
        found = statements_.emplace(std::string(sql), std::make_unique<Statement>(db_.get(), handle)).first;
    }
    found->second->start();
    return found->second.get();
}

void Connection::reset_all() {
    for (sqlite3_stmt* s = sqlite3_next_stmt(db_.get(), nullptr); s; s = sqlite3_next_stmt(db_.get(), s)) {
        if (sqlite3_stmt_busy(s)) sqlite3_reset(s);
    }
}

void Connection::limit_time(int64_t ms) {
    if (ms == 0) {
        sqlite3_progress_handler(db_.get(), 0, nullptr, nullptr);
        return;
    }
    deadline_ms_ = steady_ms() + ms;
    auto late = [](void* self) { return static_cast<int>(steady_ms() > static_cast<Connection*>(self)->deadline_ms_); };
    sqlite3_progress_handler(db_.get(), progress_instructions, late, this);
}

}  // namespace waybill::history
