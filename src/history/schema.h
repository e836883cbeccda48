// The history's tables and the views that people query (docs/history-schema.md describes the views and stays in step). Bump
// schema_version with every change to what is created here: an older file is then made anew from the log.
#pragma once

#include <string>

namespace waybill::history {

constexpr int64_t schema_version = 2;            // PRAGMA user_version
constexpr int64_t application_id = 0x57617962;   // PRAGMA application_id: "Wayb", so that another program's file is never touched

std::string schema_sql();

}  // namespace waybill::history
