// Any text as a search and as SQL: never a crash, and never an error but the ones for texts that people write. A search always answers.
// The first byte chooses. Cannot generate: large databases, concurrent writes; queries are cut at 50 ms, which no finding depends on.
#include <fmt/format.h>
#include <stdlib.h>

#include "history/history.h"

using namespace waybill;
using namespace waybill::history;

namespace {

History& history_of_a_few() {
    static std::unique_ptr<History> history = [] {
        char folder[] = "/tmp/waybill-history-fuzz-XXXXXX";
        ASSERT(mkdtemp(folder));
        auto opened = History::open(std::string(folder) + "/history.db", 1);
        ASSERT(opened.ok() && opened->history);
        Batch batch{.position = 1, .time = 0};
        for (int i = 0; i < 20; i++) {
            ExecutionRow row;
            row.execution.key = {"1", "r", fmt::format("pipeline-{}", i % 3)};
            row.execution.execution_id = fmt::format("{:08x}-0000", i * 7919);
            row.execution.start = i;
            row.execution.commit_message = "Fix (all) \"things\" AND NOT others";
            row.execution.author_name = "김지우";
            batch.executions.push_back(row);
        }
        ASSERT(opened->history->write(batch).ok());
        return std::move(opened->history);
    }();
    return *history;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    History& history = history_of_a_few();
    const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
    if (data[0] % 2) {
        ASSERT(history.search(text, 10).ok());
        return 0;
    }
    auto result = history.sql(text, {.rows = 20, .bytes = 4096, .time_ms = 50});
    if (result.ok()) {
        std::string out;
        JsonWriter writer(out);
        write_json(writer, *result);
    } else {
        ASSERT(result.error().kind == ErrorKind::invalid || result.error().kind == ErrorKind::overloaded);
    }
    // Whatever the query was, the history is what it was.
    ASSERT(history.find_pipeline({"1", "r", "pipeline-1"})->value().executions == 7);
    return 0;
}
