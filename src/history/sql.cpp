#include "history/sql.h"

#include <fmt/format.h>

#include <cmath>

#include "base/bytes.h"
#include "history/sqlite.h"

namespace waybill::history {
namespace {

constexpr int value_bytes = 16 << 20;       // one value; so that one function call cannot take the memory
constexpr int like_pattern_bytes = 200;     // LIKE and GLOB take time exponential in the wildcards
constexpr size_t query_bytes = 100'000;

// Reading tables, functions that have no effects, and the schema. Everything else is refused while the statement is prepared.
int authorize(void*, int action, const char* first, const char* second, const char*, const char*) {
    switch (action) {
        case SQLITE_SELECT:
        case SQLITE_READ:
        case SQLITE_RECURSIVE: return SQLITE_OK;
        case SQLITE_FUNCTION: return second && sqlite3_stricmp(second, "load_extension") == 0 ? SQLITE_DENY : SQLITE_OK;
        case SQLITE_PRAGMA: {
            if (!first) return SQLITE_DENY;
            // data_version: FTS5 itself asks for it.
            for (const char* reads : {"table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "data_version"})
                if (sqlite3_stricmp(first, reads) == 0) return SQLITE_OK;
            return SQLITE_DENY;
        }
        // SQLite asks for this when it reads the declaration of a virtual table (search, pragma_table_info). A statement that wants it
        // is still refused: the schema is not writable, the file is opened read-only, and only statements that read are run.
        case SQLITE_UPDATE: return first && sqlite3_stricmp(first, "sqlite_master") == 0 ? SQLITE_OK : SQLITE_DENY;
        default: return SQLITE_DENY;
    }
}

// What the person may do about a failed query is to write another.
Error query_error(sqlite3* db, int code, const SqlLimits& limits) {
    switch (code & 0xff) {
        case SQLITE_INTERRUPT:
            return invalid(fmt::format("the query ran longer than {}: ask for less, or group by an indexed column", format_duration_ms(limits.time_ms)));
        case SQLITE_AUTH:
            return invalid(fmt::format("{}: only SELECT is let through, and looking at the schema (PRAGMA table_info and its like)", sqlite3_errmsg(db)));
        case SQLITE_ERROR:
        case SQLITE_MISMATCH:
        case SQLITE_RANGE:
        case SQLITE_TOOBIG: return invalid(sqlite3_errmsg(db));
        case SQLITE_READONLY: return invalid("the history is read-only: it shows what the log says, and is not changed by hand");
        default: return sqlite_error(db, code, "query");
    }
}

size_t size_of(const SqlValue& value) {
    if (const auto* text = std::get_if<std::string>(&value)) return text->size();
    if (const auto* blob = std::get_if<SqlBlob>(&value)) return blob->bytes.size();
    return 8;
}

SqlValue value_of(sqlite3_stmt* row, int column) {
    switch (sqlite3_column_type(row, column)) {
        case SQLITE_INTEGER: return static_cast<int64_t>(sqlite3_column_int64(row, column));
        case SQLITE_FLOAT: return sqlite3_column_double(row, column);
        case SQLITE_TEXT: {
            auto text = reinterpret_cast<const char*>(sqlite3_column_text(row, column));
            return std::string(text ? text : "", text ? static_cast<size_t>(sqlite3_column_bytes(row, column)) : 0);
        }
        case SQLITE_BLOB: {
            auto bytes = static_cast<const char*>(sqlite3_column_blob(row, column));
            return SqlBlob{std::string(bytes ? bytes : "", bytes ? static_cast<size_t>(sqlite3_column_bytes(row, column)) : 0)};
        }
        default: return std::monostate();
    }
}

// Length of the UTF-8 character at the front of `text`, 0 where there is none (RFC 3629).
size_t character(std::string_view text) {
    auto at = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
    auto follows = [&](size_t i) { return (at(i) & 0xc0) == 0x80; };
    const unsigned c = at(0);
    if (c < 0x80) return 1;
    if (c >= 0xc2 && c <= 0xdf) return follows(1) ? 2 : 0;
    if (c >= 0xe0 && c <= 0xef) {
        if (!follows(1) || !follows(2) || (c == 0xe0 && at(1) < 0xa0) || (c == 0xed && at(1) > 0x9f)) return 0;
        return 3;
    }
    if (c >= 0xf0 && c <= 0xf4) {
        if (!follows(1) || !follows(2) || !follows(3) || (c == 0xf0 && at(1) < 0x90) || (c == 0xf4 && at(1) > 0x8f)) return 0;
        return 4;
    }
    return 0;
}

std::string valid_utf8(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const size_t n = character(text);
        if (n) out.append(text.substr(0, n));
        else out.append("\xef\xbf\xbd");
        text.remove_prefix(n ? n : 1);
    }
    return out;
}

}  // namespace

Result<SqlResult> run_sql(const std::string& path, std::string_view query, const SqlLimits& limits) {
    if (query.size() > query_bytes) return invalid(fmt::format("the query is {} bytes; at most {} are taken", query.size(), query_bytes));
    if (query.find('\0') != query.npos) return invalid("the query contains a NUL character");
    TRY(auto db, Connection::open(path, Connection::Mode::read_only));
    TRY(int64_t objects, db->number("SELECT count(*) FROM sqlite_schema"));
    if (objects == 0) return not_found(path + " holds no tables: is the path right?");
    sqlite3_limit(db->handle(), SQLITE_LIMIT_LENGTH, value_bytes);
    sqlite3_limit(db->handle(), SQLITE_LIMIT_LIKE_PATTERN_LENGTH, like_pattern_bytes);
    sqlite3_limit(db->handle(), SQLITE_LIMIT_ATTACHED, 0);
    sqlite3_set_authorizer(db->handle(), authorize, nullptr);
    db->limit_time(limits.time_ms);

    sqlite3_stmt* handle = nullptr;
    const char* tail = nullptr;
    int code = sqlite3_prepare_v2(db->handle(), query.data(), static_cast<int>(query.size()), &handle, &tail);
    Statement statement(db->handle(), handle);
    if (code != SQLITE_OK) return query_error(db->handle(), code, limits);
    if (!handle) return invalid("the query is empty");
    // What stands behind the first statement may be comments only: prepared, they are no statement.
    sqlite3_stmt* second = nullptr;
    const std::string_view rest = query.substr(static_cast<size_t>(tail - query.data()));
    code = sqlite3_prepare_v2(db->handle(), rest.data(), static_cast<int>(rest.size()), &second, nullptr);
    Statement no_second(db->handle(), second);
    if (code != SQLITE_OK || second) return invalid("one statement at a time: something follows the first `;`");
    if (!sqlite3_stmt_readonly(handle) || sqlite3_column_count(handle) == 0) return invalid("only statements that read and answer rows are let through");

    SqlResult result;
    const int columns = sqlite3_column_count(handle);
    for (int i = 0; i < columns; i++) {
        const char* name = sqlite3_column_name(handle, i);
        result.columns.emplace_back(name ? name : "");
    }
    size_t bytes = 0;
    while ((code = sqlite3_step(handle)) == SQLITE_ROW) {
        std::vector<SqlValue> row;
        for (int i = 0; i < columns; i++) {
            row.push_back(value_of(handle, i));
            bytes += size_of(row.back());
        }
        if (result.rows.size() >= limits.rows || bytes > limits.bytes) {
            result.cut = true;
            return result;
        }
        result.rows.push_back(std::move(row));
    }
    if (code != SQLITE_DONE) return query_error(db->handle(), code, limits);
    return result;
}

void write_json(JsonWriter& out, const SqlResult& result) {
    struct Write {
        JsonWriter& out;
        void operator()(std::monostate) { out.null(); }
        void operator()(int64_t v) { out.number(v); }
        void operator()(double v) {
            if (std::isfinite(v)) out.raw(fmt::format("{}", v));
            else out.null();
        }
        void operator()(const std::string& v) { out.text(valid_utf8(v)); }
        void operator()(const SqlBlob& v) { out.text("x'" + to_hex(v.bytes) + "'"); }
    };
    out.begin_object().key("columns").begin_array();
    for (const auto& name : result.columns) out.text(valid_utf8(name));
    out.end_array().key("rows").begin_array();
    for (const auto& row : result.rows) {
        out.begin_array();
        for (const auto& value : row) std::visit(Write{out}, value);
        out.end_array();
    }
    out.end_array();
    if (result.cut) out.key("cut").boolean(true);
    out.end_object();
}

}  // namespace waybill::history
