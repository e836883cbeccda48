// Queries that people write: one read-only statement on the history (or any SQLite file), with limits on time, rows and bytes. The
// connection is opened read-only, an authorizer lets through nothing but SELECT and looking at the schema, and no other file can be reached.
// Any thread; each call opens its own connection.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json_writer.h"
#include "base/result.h"

namespace waybill::history {

constexpr size_t concurrent_queries = 4;  // of History::sql; beyond it `overloaded`

struct SqlLimits {
    size_t rows = 10'000;      // further rows are cut
    size_t bytes = 16 << 20;   // of values; further rows are cut
    int64_t time_ms = 5000;    // then the query fails
};

struct SqlBlob {
    std::string bytes;
};

using SqlValue = std::variant<std::monostate, int64_t, double, std::string, SqlBlob>;  // monostate: NULL

struct SqlResult {
    std::vector<std::string> columns;
    std::vector<std::vector<SqlValue>> rows;
    bool cut = false;  // there were more rows than the limits allow
};

// invalid: what is wrong with the query, in SQLite's words or ours; also when it ran too long. Others as history.h says.
Result<SqlResult> run_sql(const std::string& path, std::string_view query, const SqlLimits& limits = {});

// {"columns":[…],"rows":[[…]]} and "cut":true where it was. A blob is "x'hex'"; bytes that are not UTF-8 become U+FFFD.
void write_json(JsonWriter& out, const SqlResult& result);

}  // namespace waybill::history
