#include "history/schema.h"

#include <fmt/format.h>

namespace waybill::history {
namespace {

// Tables are singular and hold what the program needs; views are plural and are for people.
//
// Times are milliseconds since 1970 (NULL: not known). A stage or action is keyed by its execution's row and its place in true order, so
// writing an execution again touches neighbouring rows only. `row_hashes` has one u32 a stage and action row, in order, so that unchanged
// rows are not written again; `text_hash` does the same for the search index.
constexpr const char* tables = R"(
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;

CREATE TABLE pipeline (
    id INTEGER PRIMARY KEY, account TEXT NOT NULL, region TEXT NOT NULL, pipeline TEXT NOT NULL,
    executions INTEGER NOT NULL DEFAULT 0,
    UNIQUE (pipeline, account, region));

CREATE TABLE execution (
    id INTEGER PRIMARY KEY, pipeline_id INTEGER NOT NULL, execution_id TEXT NOT NULL, ordering_start INTEGER NOT NULL,
    text_hash INTEGER NOT NULL, row_hashes BLOB NOT NULL,
    status TEXT NOT NULL, attempt INTEGER NOT NULL, version REAL, gaps INTEGER NOT NULL, events INTEGER NOT NULL,
    start_ms INTEGER, update_ms INTEGER, end_ms INTEGER, last_retry_ms INTEGER,
    trigger_type TEXT, trigger_detail TEXT, stop_reason TEXT,
    commit_id TEXT, commit_message TEXT, commit_url TEXT, repository TEXT, branch TEXT, tag TEXT,
    author_name TEXT, author_email TEXT, author_id TEXT,
    merge_state BLOB NOT NULL, policy BLOB NOT NULL);
CREATE UNIQUE INDEX execution_by_id ON execution (execution_id, pipeline_id);
CREATE INDEX execution_by_start ON execution (pipeline_id, ordering_start, execution_id);

CREATE TABLE stage (
    execution INTEGER NOT NULL, ordinal INTEGER NOT NULL,
    stage TEXT NOT NULL, status TEXT NOT NULL, attempt INTEGER NOT NULL,
    start_ms INTEGER, update_ms INTEGER, end_ms INTEGER, last_retry_ms INTEGER,
    PRIMARY KEY (execution, ordinal)) WITHOUT ROWID;

CREATE TABLE action (
    execution INTEGER NOT NULL, ordinal INTEGER NOT NULL,
    stage TEXT NOT NULL, action TEXT NOT NULL, action_execution_id TEXT, status TEXT NOT NULL, attempt INTEGER NOT NULL,
    start_ms INTEGER, update_ms INTEGER, end_ms INTEGER,
    category TEXT, owner TEXT, provider TEXT, region TEXT,
    external_execution_id TEXT, external_execution_url TEXT, summary TEXT, error_code TEXT,
    PRIMARY KEY (execution, ordinal)) WITHOUT ROWID;

-- `bucket` is status * 4 + kind: every filter by status and kind is then a few ranges of one index, each in order.
CREATE TABLE delivery (
    position INTEGER NOT NULL, place INTEGER NOT NULL, bucket INTEGER NOT NULL,
    pipeline_id INTEGER NOT NULL, execution_id TEXT NOT NULL,
    delivery_id TEXT NOT NULL, kind TEXT NOT NULL, topic TEXT NOT NULL, status TEXT NOT NULL, target TEXT NOT NULL, urgent INTEGER NOT NULL,
    key TEXT NOT NULL, stage TEXT, attempt INTEGER NOT NULL, planned_ms INTEGER, due_ms INTEGER, finished_ms INTEGER,
    attempts INTEGER NOT NULL, possibly_twice INTEGER NOT NULL, last_code INTEGER, last_text TEXT,
    content BLOB NOT NULL,
    PRIMARY KEY (position, place)) WITHOUT ROWID;
CREATE INDEX delivery_by_bucket ON delivery (bucket, position, place);
CREATE INDEX delivery_by_pipeline ON delivery (pipeline_id, bucket, position, place);
CREATE INDEX delivery_by_execution ON delivery (execution_id, position, place);

CREATE TABLE incident (
    id INTEGER PRIMARY KEY, incident_id TEXT NOT NULL UNIQUE, pipeline_id INTEGER NOT NULL, open INTEGER NOT NULL,
    opened_ms INTEGER NOT NULL, resolved_ms INTEGER, resolved_by TEXT, last_start INTEGER NOT NULL, hash INTEGER NOT NULL);
CREATE INDEX incident_by_time ON incident (open, opened_ms, incident_id);
CREATE INDEX incident_by_pipeline ON incident (pipeline_id, open, opened_ms, incident_id);
CREATE INDEX incident_by_last_start ON incident (pipeline_id, last_start);

CREATE TABLE incident_execution (
    incident INTEGER NOT NULL, ordinal INTEGER NOT NULL,
    execution_id TEXT NOT NULL, start_ms INTEGER, failed_ms INTEGER, attempt INTEGER NOT NULL,
    PRIMARY KEY (incident, ordinal)) WITHOUT ROWID;

-- rowid = execution.id. Answers are ordered by rowid, never by relevance, so column sizes are not kept.
CREATE VIRTUAL TABLE search USING fts5 (pipeline, source, author, errors, names, tokenize = 'unicode61 remove_diacritics 2', columnsize = 0);
)";

// "COLUMN_ms AS COLUMN_ms, … AS COLUMN_time": a time twice, as a number and to be read.
std::string times(std::string_view table, std::initializer_list<std::string_view> columns) {
    std::string out;
    for (std::string_view c : columns) {
        out += fmt::format("strftime('%Y-%m-%dT%H:%M:%fZ', {0}.{1}_ms / 1000.0, 'unixepoch') AS {1}_time, {0}.{1}_ms, ", table, c);
    }
    return out;
}

std::string views() {
    std::string out = "CREATE VIEW pipelines AS SELECT pipeline, account, region, executions FROM pipeline WHERE executions > 0;\n";
    out += "CREATE VIEW executions AS SELECT p.pipeline, e.execution_id, e.status, e.attempt, " + times("e", {"start", "update", "end", "last_retry"}) +
           "e.end_ms - e.start_ms AS duration_ms, e.trigger_type, e.trigger_detail, e.commit_id, e.commit_message, e.commit_url, e.repository, "
           "e.branch, e.tag, e.author_name, e.author_email, e.author_id, e.stop_reason, e.version, e.gaps, e.events, p.account, p.region "
           "FROM execution e JOIN pipeline p ON p.id = e.pipeline_id;\n";
    out += "CREATE VIEW stages AS SELECT p.pipeline, e.execution_id, s.stage, s.ordinal, s.status, s.attempt, " +
           times("s", {"start", "update", "end", "last_retry"}) +
           "s.end_ms - s.start_ms AS duration_ms, p.account, p.region "
           "FROM stage s JOIN execution e ON e.id = s.execution JOIN pipeline p ON p.id = e.pipeline_id;\n";
    out += "CREATE VIEW actions AS SELECT p.pipeline, e.execution_id, a.stage, a.action, a.ordinal, a.action_execution_id, a.status, a.attempt, " +
           times("a", {"start", "update", "end"}) +
           "a.end_ms - a.start_ms AS duration_ms, a.category, a.owner, a.provider, a.region AS action_region, a.external_execution_id, "
           "a.external_execution_url, a.summary, a.error_code, p.account, p.region "
           "FROM action a JOIN execution e ON e.id = a.execution JOIN pipeline p ON p.id = e.pipeline_id;\n";
    out += "CREATE VIEW deliveries AS SELECT d.delivery_id, d.kind, d.topic, d.status, d.target, d.urgent, p.pipeline, d.execution_id, d.stage, "
           "d.attempt, " + times("d", {"planned", "due", "finished"}) +
           "d.finished_ms - d.planned_ms AS duration_ms, d.attempts, d.possibly_twice, d.last_code, d.last_text, d.key, d.position, p.account, "
           "p.region FROM delivery d JOIN pipeline p ON p.id = d.pipeline_id;\n";
    out += "CREATE VIEW incidents AS SELECT i.incident_id, iif(i.open, 'open', 'resolved') AS status, p.pipeline, " +
           times("i", {"opened", "resolved"}) +
           "i.resolved_ms - i.opened_ms AS duration_ms, i.resolved_by, "
           "(SELECT count(*) FROM incident_execution x WHERE x.incident = i.id) AS executions, "
           "(SELECT execution_id FROM incident_execution x WHERE x.incident = i.id ORDER BY ordinal LIMIT 1) AS first_execution_id, "
           "(SELECT execution_id FROM incident_execution x WHERE x.incident = i.id ORDER BY ordinal DESC LIMIT 1) AS last_execution_id, "
           "p.account, p.region FROM incident i JOIN pipeline p ON p.id = i.pipeline_id;\n";
    out += "CREATE VIEW incident_executions AS SELECT i.incident_id, x.ordinal, x.execution_id, " + times("x", {"start", "failed"}) +
           "x.attempt, p.pipeline, p.account, p.region "
           "FROM incident_execution x JOIN incident i ON i.id = x.incident JOIN pipeline p ON p.id = i.pipeline_id;\n";
    return out;
}

}  // namespace

std::string schema_sql() {
    return tables + views() + fmt::format("PRAGMA user_version = {};\nPRAGMA application_id = {};\n", schema_version, application_id);
}

}  // namespace waybill::history
