// SQLite with Results: one connection, its prepared statements, and one place where its result codes become our error kinds. A thin
// layer: it knows no table. A Connection and its Statements belong to one thread at a time.
#pragma once

#include <sqlite3.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.h"
#include "base/time.h"

namespace waybill::history {

// What `code` means to the caller: a full disk is overloaded, a damaged file corrupt (with the command that mends it), a lock that another
// program holds unavailable. `db` may be null.
Error sqlite_error(sqlite3* db, int code, std::string_view context);

// A prepared statement. Parameters are bound in order after start(); texts and blobs must live until the step that uses them.
class Statement {
public:
    Statement() = default;
    Statement(sqlite3* db, sqlite3_stmt* handle) : db_(db), handle_(handle) {}
    Statement(Statement&&) = default;
    Statement& operator=(Statement&&) = default;

    Statement& start() {
        sqlite3_reset(handle_.get());
        next_ = 1;
        return *this;
    }
    Statement& number(int64_t v) { return bound(sqlite3_bind_int64(handle_.get(), next_, v)); }
    Statement& real(double v) { return bound(sqlite3_bind_double(handle_.get(), next_, v)); }
    Statement& null() { return bound(sqlite3_bind_null(handle_.get(), next_)); }
    Statement& text(std::string_view v) {
        return bound(sqlite3_bind_text64(handle_.get(), next_, v.data() ? v.data() : "", v.size(), SQLITE_STATIC, SQLITE_UTF8));
    }
    Statement& text_or_null(std::string_view v) { return v.empty() ? null() : text(v); }
    Statement& blob(std::string_view v) {
        return bound(sqlite3_bind_blob64(handle_.get(), next_, v.data() ? v.data() : "", v.size(), SQLITE_STATIC));
    }
    Statement& time(TimeMs v) { return v == no_time ? null() : number(v); }

    Result<bool> step();  // true: a row is there
    Result<void> run();   // steps to the end, rows are dropped

    bool is_null(int column) const { return sqlite3_column_type(handle_.get(), column) == SQLITE_NULL; }
    int64_t number_at(int column) const { return sqlite3_column_int64(handle_.get(), column); }
    double real_at(int column) const { return sqlite3_column_double(handle_.get(), column); }
    TimeMs time_at(int column) const { return is_null(column) ? no_time : number_at(column); }
    // Valid until the next step; empty for NULL.
    std::string_view text_at(int column) const {
        auto p = reinterpret_cast<const char*>(sqlite3_column_text(handle_.get(), column));
        return p ? std::string_view(p, static_cast<size_t>(sqlite3_column_bytes(handle_.get(), column))) : std::string_view();
    }
    std::string_view blob_at(int column) const {
        auto p = static_cast<const char*>(sqlite3_column_blob(handle_.get(), column));
        return p ? std::string_view(p, static_cast<size_t>(sqlite3_column_bytes(handle_.get(), column))) : std::string_view();
    }
    sqlite3_stmt* handle() const { return handle_.get(); }

private:
    struct Finalize {
        void operator()(sqlite3_stmt* s) const { sqlite3_finalize(s); }
    };
    Statement& bound(int code) {
        if (code != SQLITE_OK && bind_code_ == SQLITE_OK) bind_code_ = code;
        next_ += 1;
        return *this;
    }
    sqlite3* db_ = nullptr;
    std::unique_ptr<sqlite3_stmt, Finalize> handle_;
    int next_ = 1;
    int bind_code_ = SQLITE_OK;  // the first bind that failed since the last step (out of memory, too long): reported by step
};

class Connection {
public:
    enum class Mode { create, read_only };
    static Result<std::unique_ptr<Connection>> open(const std::string& path, Mode mode);
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    Result<void> run(const std::string& sql);  // statements without parameters or wanted rows
    Result<int64_t> number(const std::string& sql);  // the first column of the first row, 0 without rows
    // The statement of this text, prepared once and kept. The text must be one of a fixed few.
    Result<Statement*> prepared(std::string_view sql);
    // Ends every read that is under way, so that the connection holds no snapshot.
    void reset_all();
    // Interrupts what runs longer than this from now on; 0: no limit. An interrupted statement fails with `overloaded`.
    void limit_time(int64_t ms);

    int64_t last_row_id() const { return sqlite3_last_insert_rowid(db_.get()); }
    sqlite3* handle() const { return db_.get(); }

private:
    explicit Connection(sqlite3* db) : db_(db) {}
    struct Close {
        void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
    };
    struct TextHash {
        using is_transparent = void;
        size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
    };
    std::unique_ptr<sqlite3, Close> db_;
    std::unordered_map<std::string, std::unique_ptr<Statement>, TextHash, std::equal_to<>> statements_;  // before db_ in destruction
    int64_t deadline_ms_ = 0;
};

}  // namespace waybill::history
