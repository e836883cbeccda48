// The history: a SQLite database (DATA/history.db) with a row for every execution, stage, action, delivery and incident, for lists,
// search and `waybill sql`. It is derived: deleting the file loses nothing that the log still has.
//
// One writer thread calls write(); every other method may be called from any thread at any time and sees whole batches only. Readers never
// hold up the writer, and the writer never holds up readers (SQLite's WAL). It never decides anything and never reads the log.
//
// Errors: overloaded (disk full, too many queries, time limit), unavailable (I/O, a lock held by another program), corrupt (the file is not
// what we wrote; the message names `waybill rebuild`), invalid (a cursor that is not ours, a query that is refused).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "event/delivery.h"
#include "event/execution.h"
#include "event/incident.h"
#include "event/limits.h"
#include "event/position.h"
#include "history/sql.h"

namespace waybill::history {

constexpr size_t readers = 4;                       // read connections; a read waits for a free one
constexpr int64_t search_limit_ms = 2000;           // a search that takes longer fails with `overloaded`
constexpr size_t search_terms = 16;                 // words of a search; further ones are ignored
constexpr size_t search_query_bytes = 1024;         // of a search text; the rest is ignored
constexpr size_t searched_text_bytes = 2048;        // of each of an execution's texts; the rest is kept but not searched
constexpr size_t search_id_bytes = 4;               // a word is tried as the beginning of an id from this length on
constexpr int checkpoint_pages = 8192;              // of 4 KB: the WAL is copied into the database when it has grown to this

struct ExecutionRow {
    ExecutionView execution;  // with texts
    std::string policy;       // what the policy remembers of it, for recall; opaque here
};

// The incidents that a pipeline's memory gives now. They replace the stored ones of the pipeline, except those whose executions all
// started before `window_start`: memory no longer reaches them, so they stay as they are. no_time: memory reaches everything.
struct PipelineIncidents {
    PipelineKey pipeline;
    TimeMs window_start = no_time;
    std::vector<Incident> incidents;
};

struct Batch {
    Position position = 0;  // all that is in the log up to here is now in the history
    TimeMs time = no_time;  // stamped time of that position
    std::vector<ExecutionRow> executions;
    std::vector<Delivery> deliveries;
    std::vector<PipelineIncidents> incidents;
};

struct PipelineRow {
    PipelineKey key;
    uint64_t executions = 0;
    std::string current_execution_id;  // the last in the pipeline's true order
};

// A page of a list, newest first. `next` continues behind it; empty: this was the last. What is inserted meanwhile appears on earlier
// pages only, so no row is skipped or repeated, unless the row's own place changes (an execution's earlier start arrives).
template <class T>
struct Page {
    std::vector<T> items;
    std::string next;
};

struct PageRequest {
    size_t limit = limits::page_default;  // at most limits::page_max
    std::string cursor;                   // Page::next; empty: from the newest
};

struct ExecutionFilter {
    std::string pipeline;
    std::optional<std::string> account, region;
};

struct DeliveryFilter {
    std::vector<DeliveryStatus> statuses;  // empty: all
    std::optional<DeliveryKind> kind;
    std::optional<std::string> execution_id, pipeline, account, region;
};

struct IncidentFilter {
    std::optional<bool> open;
    std::optional<std::string> pipeline, account, region;
};

enum class HitType { execution, pipeline, incident };
std::string_view to_string(HitType type);

struct SearchHit {
    HitType type = HitType::execution;
    PipelineKey pipeline;
    std::string execution_id;  // of a pipeline: its current execution; of an incident: its last
    std::string incident_id;
    std::string status;        // of the execution, or open, resolved
    TimeMs start = no_time;    // of the execution; of an incident when it opened
    std::string snippet;       // the words around what matched
};

enum class Found {
    created,       // there was no file: position() is 0
    kept,          // position() is where it was left
    recreated,     // the file had an older schema and was made anew: position() is 0
    other_fold,    // its merge states were made by another fold: not opened
    newer_schema,  // a newer Waybill wrote it: not opened
};

class History;
class Readers;
class Writer;

struct Opened {
    Found found = Found::created;
    std::unique_ptr<History> history;  // null for other_fold and newer_schema, whose file is untouched: History::destroy it and open again
};

class History {
public:
    // `fold_version` names the code that made the merge states; states of another version must not be recalled.
    static Result<Opened> open(const std::string& path, int64_t fold_version);
    // Deletes the database with its companions. It must not be open.
    static Result<void> destroy(const std::string& path);

    ~History();
    History(const History&) = delete;
    History& operator=(const History&) = delete;

    // -- the writer thread --
    // One transaction, on disk when it returns. All of it or, on an error, nothing; the position never goes backwards.
    Result<void> write(const Batch& batch);

    // -- any thread --
    Position position() const;  // of the last batch written
    TimeMs time() const;        // and its time; no_time before the first

    Result<std::optional<ExecutionRow>> recall(const PipelineKey& pipeline, std::string_view execution_id) const;
    // Of several executions with this id (in other accounts, regions or pipelines) the one that started last.
    Result<std::optional<ExecutionView>> find_execution(std::string_view execution_id, std::optional<std::string_view> account = {},
                                                        std::optional<std::string_view> region = {},
                                                        std::optional<std::string_view> pipeline = {}) const;
    Result<std::optional<PipelineRow>> find_pipeline(const PipelineKey& pipeline) const;
    Result<std::optional<Delivery>> find_delivery(DeliveryId id) const;
    Result<std::optional<Incident>> find_incident(std::string_view incident_id) const;

    // By (ordering_start, execution_id), newest first. Texts of actions are not loaded: lists do not show them.
    Result<Page<ExecutionView>> executions(const ExecutionFilter& filter, const PageRequest& page) const;
    // By id, that is by the time they were planned, newest first.
    Result<Page<Delivery>> deliveries(const DeliveryFilter& filter, const PageRequest& page) const;
    // All of one execution, or of one incident's executions, newest first, at most limits::page_max.
    Result<std::vector<Delivery>> deliveries_of_execution(const PipelineKey& pipeline, std::string_view execution_id) const;
    Result<std::vector<Delivery>> deliveries_of_incident(std::string_view incident_id) const;
    // Open ones first, then newest first.
    Result<Page<Incident>> incidents(const IncidentFilter& filter, const PageRequest& page) const;

    // What people type: every word must occur, the last may be the beginning of one. First executions and incidents whose id begins with
    // a word, then pipelines whose name contains the text, then executions by their texts, the last written first. Any text is accepted.
    Result<std::vector<SearchHit>> search(std::string_view text, size_t limit) const;

    // One SELECT on a connection of its own (sql.h).
    Result<SqlResult> sql(std::string_view query, const SqlLimits& limits = {}) const;

private:
    History(std::string path, std::unique_ptr<Writer> writer, std::unique_ptr<Readers> pool);

    std::string path_;
    std::unique_ptr<Writer> writer_;
    std::unique_ptr<Readers> readers_;
    mutable std::atomic<size_t> queries_ = 0;  // sql() calls under way
};

}  // namespace waybill::history
