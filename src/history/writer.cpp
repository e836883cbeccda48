#include "history/writer.h"

#include <algorithm>
#include <unordered_set>

#include "base/hash.h"

namespace waybill::history {
namespace {

// What the search finds an execution by. The id is not among it: the unique index on ids finds that, and random words would double
// the index. Texts are cut at a stated length.
struct SearchTexts {
    std::string source, author, errors, names;
};

void append_word(std::string& out, std::string_view text) {
    if (text.empty() || out.size() >= searched_text_bytes) return;
    if (!out.empty()) out.push_back(' ');
    size_t n = std::min(text.size(), searched_text_bytes - std::min(searched_text_bytes, out.size()));
    while (n > 0 && n < text.size() && (static_cast<unsigned char>(text[n]) & 0xc0) == 0x80) n -= 1;  // not within a character
    out.append(text.substr(0, n));
}

SearchTexts search_texts(const ExecutionView& e) {
    SearchTexts t;
    append_word(t.source, e.branch);
    append_word(t.source, e.tag);
    append_word(t.source, e.repository);
    append_word(t.source, e.commit_id);
    append_word(t.source, e.commit_message);
    append_word(t.author, e.author_name);
    append_word(t.author, e.author_email);
    append_word(t.author, e.author_id);
    append_word(t.errors, e.stop_reason);
    std::unordered_set<std::string_view> seen;
    for (const auto& s : e.stages)
        if (seen.insert(s.name).second) append_word(t.names, s.name);
    for (const auto& a : e.actions) {
        append_word(t.errors, a.error_code);
        append_word(t.errors, a.summary);
        if (seen.insert(a.name).second) append_word(t.names, a.name);
    }
    return t;
}

// Row hashes: any function of all that the row shows. Length-prefixed, so that two fields never read as one.
uint32_t hash_of(std::string& scratch, const StageView& s) {
    scratch.clear();
    ByteWriter out(scratch);
    out.text(s.name);
    out.u8(static_cast<uint8_t>(s.state));
    out.u32(static_cast<uint32_t>(s.attempt));
    for (TimeMs t : {s.start, s.update, s.end, s.last_retry}) out.u64(static_cast<uint64_t>(t));
    return static_cast<uint32_t>(hash64(scratch));
}

uint32_t hash_of(std::string& scratch, const ActionView& a) {
    scratch.clear();
    ByteWriter out(scratch);
    for (const auto* t : {&a.name, &a.action_execution_id, &a.stage, &a.category, &a.owner, &a.provider, &a.region, &a.external_id,
                          &a.external_url, &a.summary, &a.error_code})
        out.text(*t);
    out.u8(static_cast<uint8_t>(a.state));
    out.u32(static_cast<uint32_t>(a.attempt));
    for (TimeMs t : {a.start, a.update, a.end}) out.u64(static_cast<uint64_t>(t));
    return static_cast<uint32_t>(hash64(scratch));
}

int64_t hash_of(std::string& scratch, const SearchTexts& t) {
    scratch.clear();
    ByteWriter out(scratch);
    for (const auto* text : {&t.source, &t.author, &t.errors, &t.names}) out.text(*text);
    return static_cast<int64_t>(hash64(scratch));
}

int64_t hash_of(std::string& scratch, const Incident& i) {
    scratch.clear();
    ByteWriter out(scratch);
    out.text(i.resolved_by);
    out.u64(static_cast<uint64_t>(i.opened));
    out.u64(static_cast<uint64_t>(i.resolved));
    for (const auto& e : i.executions) {
        out.text(e.execution_id);
        out.u64(static_cast<uint64_t>(e.start));
        out.u64(static_cast<uint64_t>(e.failed));
        out.u32(static_cast<uint32_t>(e.attempt));
    }
    return static_cast<int64_t>(hash64(scratch));
}

// One row's hash in a row_hashes blob: stages first, then actions. The two counts stand in front.
struct RowHashes {
    uint32_t stages = 0, actions = 0;
    std::string_view words;

    explicit RowHashes(std::string_view blob) {
        ByteReader in(blob);
        stages = in.u32();
        actions = in.u32();
        words = in.raw(in.left());
        if (words.size() != (uint64_t{stages} + actions) * 4) stages = actions = 0;
    }
    uint32_t at(size_t i) const {
        uint32_t v;
        std::memcpy(&v, words.data() + i * 4, 4);
        return v;
    }
};

}  // namespace

Result<std::unique_ptr<Writer>> Writer::open(std::unique_ptr<Connection> db) {
    std::unique_ptr<Writer> writer(new Writer(std::move(db)));
    TRY_VOID(writer->load());
    auto committed = [](void* self, sqlite3*, const char*, int pages) {
        static_cast<Writer*>(self)->wal_pages_ = pages;
        return SQLITE_OK;
    };
    sqlite3_wal_hook(writer->db_->handle(), committed, writer.get());
    return writer;
}

Result<void> Writer::load() {
    pipelines_.clear();
    TRY(Statement * rows, db_->prepared("SELECT id, account, region, pipeline, executions FROM pipeline"));
    for (;;) {
        TRY(bool row, rows->step());
        if (!row) break;
        PipelineKey key{std::string(rows->text_at(1)), std::string(rows->text_at(2)), std::string(rows->text_at(3))};
        pipelines_[std::move(key)] = {rows->number_at(0), rows->number_at(4), false};
    }
    rows->start();
    TRY(Statement * meta, db_->prepared("SELECT value FROM meta WHERE name = ?"));
    TRY(bool has_position, meta->start().text("position").step());
    if (has_position) position_.store(static_cast<Position>(meta->number_at(0)), std::memory_order_release);
    TRY(bool has_time, meta->start().text("time_ms").step());
    if (has_time) time_.store(meta->time_at(0), std::memory_order_release);
    meta->start();
    return {};
}

Result<void> Writer::write(const Batch& batch) {
    ASSERT(batch.position >= position());
    TRY_VOID(db_->run("BEGIN IMMEDIATE"));
    Result<void> written = write_rows(batch);
    if (written.ok()) written = db_->run("COMMIT");
    if (!written.ok()) {
        db_->reset_all();
        // A failed ROLLBACK means that SQLite has rolled back by itself already.
        if (!sqlite3_get_autocommit(db_->handle())) (void)db_->run("ROLLBACK");
        // Rows of the pipeline table went with it. Should the reload fail too, the first error is the one to tell; the cache is then
        // empty, and every pipeline is looked up again.
        (void)load();
        return written;
    }
    position_.store(batch.position, std::memory_order_release);
    time_.store(batch.time, std::memory_order_release);
    // Copies the WAL into the database without waiting for readers. What it could not copy stays in the WAL, which is as durable, and the
    // next one tries again: its result is of no consequence here.
    if (wal_pages_ >= checkpoint_pages) (void)sqlite3_wal_checkpoint_v2(db_->handle(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
    return {};
}

Result<void> Writer::write_rows(const Batch& batch) {
    for (const auto& e : batch.executions) TRY_VOID(write_execution(e));
    for (const auto& d : batch.deliveries) TRY_VOID(write_delivery(d));
    for (const auto& i : batch.incidents) TRY_VOID(write_incidents(i));
    for (const auto& e : batch.executions) {
        Pipeline& p = pipelines_.find(e.execution.key)->second;
        if (!p.changed) continue;
        TRY(Statement * s, db_->prepared("UPDATE pipeline SET executions = ? WHERE id = ?"));
        TRY_VOID(s->number(p.executions).number(p.id).run());
        p.changed = false;
    }
    TRY(Statement * meta, db_->prepared("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)"));
    TRY_VOID(meta->start().text("position").number(static_cast<int64_t>(batch.position)).run());
    TRY_VOID(meta->start().text("time_ms").time(batch.time).run());
    return {};
}

Result<Writer::Pipeline*> Writer::pipeline(const PipelineKey& key) {
    auto found = pipelines_.find(key);
    if (found != pipelines_.end()) return &found->second;
    // "DO UPDATE" that changes nothing, so that a row which exists is returned too (the cache may have been lost with an error).
    TRY(Statement * s, db_->prepared("INSERT INTO pipeline (account, region, pipeline) VALUES (?, ?, ?) "
                                     "ON CONFLICT (pipeline, account, region) DO UPDATE SET executions = executions RETURNING id, executions"));
    TRY(bool row, s->text(key.account).text(key.region).text(key.pipeline).step());
    ASSERT(row);
    Pipeline made{s->number_at(0), s->number_at(1), false};
    TRY_VOID(s->run());
    return &(pipelines_[key] = made);
}

Result<void> Writer::write_execution(const ExecutionRow& row) {
    const ExecutionView& e = row.execution;
    TRY(Pipeline * p, pipeline(e.key));

    state_.clear();
    ByteWriter state(state_);
    encode(state, e);
    hashes_.clear();
    ByteWriter hashes(hashes_);
    hashes.u32(static_cast<uint32_t>(e.stages.size()));
    hashes.u32(static_cast<uint32_t>(e.actions.size()));
    for (const auto& s : e.stages) hashes.u32(hash_of(text_, s));
    for (const auto& a : e.actions) hashes.u32(hash_of(text_, a));
    const SearchTexts texts = search_texts(e);
    const int64_t text_hash = hash_of(text_, texts);

    TRY(Statement * find, db_->prepared("SELECT id, ordering_start, text_hash, row_hashes FROM execution WHERE execution_id = ? AND pipeline_id = ?"));
    TRY(bool exists, find->text(e.execution_id).number(p->id).step());
    int64_t id = 0, old_start = 0, old_text_hash = 0;
    std::string old_hashes;
    if (exists) {
        id = find->number_at(0);
        old_start = find->number_at(1);
        old_text_hash = find->number_at(2);
        old_hashes = find->blob_at(3);
    }
    find->start();

    auto bind = [&](Statement& s) -> Statement& {
        s.number(text_hash).blob(hashes_).text(status_word(e.state)).number(e.attempt);
        if (e.version > 0) s.real(e.version);
        else s.null();
        s.number(static_cast<int64_t>(find_gaps(e).size())).number(static_cast<int64_t>(e.events));
        s.time(e.ordering_start()).time(e.update).time(e.end).time(e.last_retry);
        for (const auto* t : {&e.trigger_type, &e.trigger_detail, &e.stop_reason, &e.commit_id, &e.commit_message, &e.commit_url, &e.repository,
                              &e.branch, &e.tag, &e.author_name, &e.author_email, &e.author_id})
            s.text_or_null(*t);
        return s.blob(state_).blob(row.policy);
    };
    if (!exists) {
        TRY(Statement * insert,
            db_->prepared("INSERT INTO execution (pipeline_id, execution_id, ordering_start, text_hash, row_hashes, status, attempt, version, gaps, "
                          "events, start_ms, update_ms, end_ms, last_retry_ms, trigger_type, trigger_detail, stop_reason, commit_id, commit_message, "
                          "commit_url, repository, branch, tag, author_name, author_email, author_id, merge_state, policy) "
                          "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"));
        insert->number(p->id).text(e.execution_id).number(e.ordering_start());
        TRY_VOID(bind(*insert).run());
        id = db_->last_row_id();
        p->executions += 1;
        p->changed = true;
    } else {
        TRY(Statement * update,
            db_->prepared("UPDATE execution SET text_hash=?, row_hashes=?, status=?, attempt=?, version=?, gaps=?, events=?, start_ms=?, update_ms=?, "
                          "end_ms=?, last_retry_ms=?, trigger_type=?, trigger_detail=?, stop_reason=?, commit_id=?, commit_message=?, commit_url=?, "
                          "repository=?, branch=?, tag=?, author_name=?, author_email=?, author_id=?, merge_state=?, policy=? WHERE id=?"));
        TRY_VOID(bind(*update).number(id).run());
        if (old_start != e.ordering_start()) {  // apart, because it moves an index entry
            TRY(Statement * move, db_->prepared("UPDATE execution SET ordering_start=? WHERE id=?"));
            TRY_VOID(move->number(e.ordering_start()).number(id).run());
        }
    }
    TRY_VOID(write_stages_and_actions(id, e, old_hashes, hashes_));
    if (!exists || old_text_hash != text_hash) {
        TRY(Statement * s, db_->prepared(exists ? "REPLACE INTO search (rowid, pipeline, source, author, errors, names) VALUES (?,?,?,?,?,?)"
                                                : "INSERT INTO search (rowid, pipeline, source, author, errors, names) VALUES (?,?,?,?,?,?)"));
        TRY_VOID(s->number(id).text(e.key.pipeline).text(texts.source).text(texts.author).text(texts.errors).text(texts.names).run());
    }
    return {};
}

Result<void> Writer::write_stages_and_actions(int64_t id, const ExecutionView& e, std::string_view old_blob, std::string_view new_blob) {
    const RowHashes before(old_blob), now(new_blob);
    for (size_t i = 0; i < e.stages.size(); i++) {
        if (i < before.stages && before.at(i) == now.at(i)) continue;
        const StageView& s = e.stages[i];
        TRY(Statement * put, db_->prepared("REPLACE INTO stage (execution, ordinal, stage, status, attempt, start_ms, update_ms, end_ms, last_retry_ms) "
                                           "VALUES (?,?,?,?,?,?,?,?,?)"));
        put->number(id).number(static_cast<int64_t>(i)).text(s.name).text(status_word(s.state)).number(s.attempt);
        TRY_VOID(put->time(s.start).time(s.update).time(s.end).time(s.last_retry).run());
    }
    for (size_t i = 0; i < e.actions.size(); i++) {
        if (i < before.actions && before.at(before.stages + i) == now.at(now.stages + i)) continue;
        const ActionView& a = e.actions[i];
        TRY(Statement * put,
            db_->prepared("REPLACE INTO action (execution, ordinal, stage, action, action_execution_id, status, attempt, start_ms, update_ms, end_ms, "
                          "category, owner, provider, region, external_execution_id, external_execution_url, summary, error_code) "
                          "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"));
        put->number(id).number(static_cast<int64_t>(i)).text(a.stage).text(a.name).text_or_null(a.action_execution_id);
        put->text(status_word(a.state)).number(a.attempt).time(a.start).time(a.update).time(a.end);
        for (const auto* t : {&a.category, &a.owner, &a.provider, &a.region, &a.external_id, &a.external_url, &a.summary, &a.error_code})
            put->text_or_null(*t);
        TRY_VOID(put->run());
    }
    if (e.stages.size() < before.stages) {
        TRY(Statement * cut, db_->prepared("DELETE FROM stage WHERE execution = ? AND ordinal >= ?"));
        TRY_VOID(cut->number(id).number(static_cast<int64_t>(e.stages.size())).run());
    }
    if (e.actions.size() < before.actions) {
        TRY(Statement * cut, db_->prepared("DELETE FROM action WHERE execution = ? AND ordinal >= ?"));
        TRY_VOID(cut->number(id).number(static_cast<int64_t>(e.actions.size())).run());
    }
    return {};
}

Result<void> Writer::write_delivery(const Delivery& d) {
    TRY(Pipeline * p, pipeline(d.pipeline));
    state_.clear();
    ByteWriter content(state_);
    encode(content, d);
    const std::string id = d.id.str();
    TRY(Statement * put,
        db_->prepared("REPLACE INTO delivery (position, place, bucket, pipeline_id, execution_id, delivery_id, kind, topic, status, target, urgent, key, "
                      "stage, attempt, planned_ms, due_ms, finished_ms, attempts, possibly_twice, last_code, last_text, content) "
                      "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"));
    put->number(static_cast<int64_t>(d.id.position)).number(d.id.index).number(static_cast<int>(d.status) * 4 + static_cast<int>(d.kind));
    put->number(p->id).text(d.execution_id).text(id).text(to_string(d.kind)).text(to_string(d.topic)).text(to_string(d.status));
    put->text(d.target).number(d.urgent).text(d.key).text_or_null(d.stage).number(d.attempt).time(d.planned).time(d.due).time(d.finished);
    put->number(d.attempts_total).number(d.possibly_twice);
    if (d.last_code) put->number(d.last_code);
    else put->null();
    return put->text_or_null(d.last_text).blob(state_).run();
}

Result<void> Writer::write_incidents(const PipelineIncidents& of) {
    TRY(Pipeline * p, pipeline(of.pipeline));
    struct Stored {
        int64_t id, hash;
    };
    std::map<std::string, Stored, std::less<>> stored;  // those that memory answers for
    TRY(Statement * find, db_->prepared("SELECT id, incident_id, hash FROM incident INDEXED BY incident_by_last_start WHERE pipeline_id = ? AND last_start >= ?"));
    find->number(p->id).number(of.window_start);
    for (;;) {
        TRY(bool row, find->step());
        if (!row) break;
        stored.emplace(find->text_at(1), Stored{find->number_at(0), find->number_at(2)});
    }
    find->start();
    for (const auto& i : of.incidents) {
        ASSERT(!i.executions.empty());
        const int64_t hash = hash_of(text_, i);
        auto known = stored.find(i.id);
        const bool same = known != stored.end() && known->second.hash == hash;
        if (known != stored.end()) stored.erase(known);
        if (same) continue;
        TRY(Statement * old, db_->prepared("SELECT id FROM incident WHERE incident_id = ?"));
        TRY(bool exists, old->text(i.id).step());
        const int64_t old_id = exists ? old->number_at(0) : 0;
        old->start();
        if (exists) TRY_VOID(drop_incident(old_id));
        TRY(Statement * put, db_->prepared("INSERT INTO incident (incident_id, pipeline_id, open, opened_ms, resolved_ms, resolved_by, last_start, hash) "
                                           "VALUES (?,?,?,?,?,?,?,?)"));
        put->text(i.id).number(p->id).number(i.open()).number(i.opened).time(i.resolved).text_or_null(i.resolved_by);
        TRY_VOID(put->number(i.executions.back().start).number(hash).run());
        const int64_t id = db_->last_row_id();
        for (size_t k = 0; k < i.executions.size(); k++) {
            const IncidentExecution& x = i.executions[k];
            TRY(Statement * add, db_->prepared("INSERT INTO incident_execution (incident, ordinal, execution_id, start_ms, failed_ms, attempt) "
                                               "VALUES (?,?,?,?,?,?)"));
            TRY_VOID(add->number(id).number(static_cast<int64_t>(k)).text(x.execution_id).time(x.start).time(x.failed).number(x.attempt).run());
        }
    }
    for (const auto& [name, row] : stored) TRY_VOID(drop_incident(row.id));
    return {};
}

Result<void> Writer::drop_incident(int64_t id) {
    TRY(Statement * executions, db_->prepared("DELETE FROM incident_execution WHERE incident = ?"));
    TRY_VOID(executions->number(id).run());
    TRY(Statement * incident, db_->prepared("DELETE FROM incident WHERE id = ?"));
    return incident->number(id).run();
}

}  // namespace waybill::history
