// The one that writes the history: rows and search index of a batch, in one transaction. Owned by History; one thread calls it.
// Rewriting an execution is the common case (each is written 1 to 4 times), so rows and search texts that did not change are not touched.
#pragma once

#include <atomic>
#include <map>

#include "history/history.h"
#include "history/sqlite.h"

namespace waybill::history {

class Writer {
public:
    // The connection has the current schema.
    static Result<std::unique_ptr<Writer>> open(std::unique_ptr<Connection> db);

    Result<void> write(const Batch& batch);

    Position position() const { return position_.load(std::memory_order_acquire); }
    TimeMs time() const { return time_.load(std::memory_order_acquire); }

private:
    struct Pipeline {
        int64_t id = 0;
        int64_t executions = 0;
        bool changed = false;  // `executions` is not yet written
    };

    explicit Writer(std::unique_ptr<Connection> db) : db_(std::move(db)) {}
    Result<void> load();
    Result<void> write_rows(const Batch& batch);
    Result<Pipeline*> pipeline(const PipelineKey& key);
    Result<void> write_execution(const ExecutionRow& row);
    Result<void> write_stages_and_actions(int64_t id, const ExecutionView& execution, std::string_view old_hashes, std::string_view hashes);
    Result<void> write_search(int64_t id, const ExecutionView& execution, bool exists);
    Result<void> write_delivery(const Delivery& delivery);
    Result<void> write_incidents(const PipelineIncidents& of);
    Result<void> drop_incident(int64_t id);

    std::unique_ptr<Connection> db_;
    std::map<PipelineKey, Pipeline> pipelines_;  // all of the table
    std::atomic<Position> position_ = 0;
    std::atomic<TimeMs> time_ = no_time;
    int wal_pages_ = 0;                          // after the last commit
    std::string state_, hashes_, text_;          // kept for their memory
};

}  // namespace waybill::history
