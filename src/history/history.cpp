#include "history/history.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>

#include "history/readers.h"
#include "history/schema.h"
#include "history/writer.h"

namespace waybill::history {
namespace {

// ---- cursors ----
// A cursor is the key of the last row shown, in hex behind a letter that names its list. Whoever changes one only asks for another page.

std::string make_cursor(char list, std::string_view key) { return list + to_hex(key); }

Result<std::string> read_cursor(char list, std::string_view cursor) {
    auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; };
    Error error = invalid("cursor: not one that this list gave; leave it out to begin with the newest");
    if (cursor.size() < 3 || cursor.size() % 2 == 0 || cursor[0] != list) return error;
    std::string key;
    for (size_t i = 1; i < cursor.size(); i += 2) {
        const int high = digit(cursor[i]), low = digit(cursor[i + 1]);
        if (high < 0 || low < 0) return error;
        key.push_back(static_cast<char>(high * 16 + low));
    }
    return key;
}

Error bad_cursor() { return invalid("cursor: damaged; leave it out to begin with the newest"); }

size_t page_limit(const PageRequest& page) { return std::clamp<size_t>(page.limit, 1, limits::page_max); }

// ---- rows to values ----

constexpr std::string_view execution_columns =
    "e.id, e.merge_state, e.policy, e.trigger_type, e.trigger_detail, e.stop_reason, e.commit_id, e.commit_message, e.commit_url, e.repository, "
    "e.branch, e.tag, e.author_name, e.author_email, e.author_id";

Result<ExecutionView> read_execution(const Statement& row) {
    ExecutionView e;
    ByteReader in(row.blob_at(1));
    if (!decode(in, e)) {
        return corrupt(fmt::format("history: the state of execution row {} cannot be read; `waybill rebuild` makes the history anew", row.number_at(0)));
    }
    int column = 3;
    for (auto* t : {&e.trigger_type, &e.trigger_detail, &e.stop_reason, &e.commit_id, &e.commit_message, &e.commit_url, &e.repository, &e.branch,
                    &e.tag, &e.author_name, &e.author_email, &e.author_id})
        *t = row.text_at(column++);
    return e;
}

Result<void> load_action_texts(Connection& db, int64_t id, ExecutionView& e) {
    TRY(Statement * s, db.prepared("SELECT ordinal, external_execution_id, external_execution_url, summary, error_code FROM action WHERE execution = ?"));
    s->number(id);
    for (;;) {
        TRY(bool row, s->step());
        if (!row) break;
        const auto i = static_cast<size_t>(s->number_at(0));
        if (i >= e.actions.size()) continue;
        e.actions[i].external_id = s->text_at(1);
        e.actions[i].external_url = s->text_at(2);
        e.actions[i].summary = s->text_at(3);
        e.actions[i].error_code = s->text_at(4);
    }
    s->start();
    return {};
}

Result<Delivery> read_delivery(std::string_view content) {
    Delivery d;
    ByteReader in(content);
    if (!decode(in, d)) return corrupt("history: a delivery row cannot be read; `waybill rebuild` makes the history anew");
    return d;
}

constexpr std::string_view incident_columns = "i.id, i.incident_id, i.opened_ms, i.resolved_ms, i.resolved_by, p.account, p.region, p.pipeline";

Result<Incident> read_incident(Connection& db, const Statement& row) {
    Incident incident{std::string(row.text_at(1)), {std::string(row.text_at(5)), std::string(row.text_at(6)), std::string(row.text_at(7))},
                      {}, row.time_at(2), row.time_at(3), std::string(row.text_at(4))};
    TRY(Statement * s, db.prepared("SELECT execution_id, start_ms, failed_ms, attempt FROM incident_execution WHERE incident = ? ORDER BY ordinal"));
    s->number(row.number_at(0));
    for (;;) {
        TRY(bool more, s->step());
        if (!more) break;
        incident.executions.push_back({std::string(s->text_at(0)), s->time_at(1), s->time_at(2), static_cast<int>(s->number_at(3))});
    }
    s->start();
    if (incident.executions.empty()) return corrupt("history: incident " + incident.id + " has no executions; `waybill rebuild` makes the history anew");
    return incident;
}

// ---- filters ----

// The pipelines that a filter means. One name is usually one pipeline, or a few over accounts and regions.
Result<std::vector<int64_t>> pipeline_ids(Connection& db, const std::string& pipeline, const std::optional<std::string>& account,
                                          const std::optional<std::string>& region) {
    std::vector<int64_t> ids;
    TRY(Statement * s, db.prepared("SELECT id, account, region FROM pipeline WHERE pipeline = ?"));
    s->text(pipeline);
    for (;;) {
        TRY(bool row, s->step());
        if (!row) break;
        if (account && *account != s->text_at(1)) continue;
        if (region && *region != s->text_at(2)) continue;
        ids.push_back(s->number_at(0));
    }
    s->start();
    return ids;
}

constexpr int bucket_kinds = 4;  // room for one more kind of delivery
constexpr int bucket_count = (static_cast<int>(DeliveryStatus::cancelled) + 1) * bucket_kinds;

std::vector<int> buckets(const DeliveryFilter& filter) {
    std::set<int> wanted;
    for (int b = 0; b < bucket_count; b++) {
        const auto status = static_cast<DeliveryStatus>(b / bucket_kinds);
        const auto kind = static_cast<DeliveryKind>(b % bucket_kinds);
        if (filter.kind && *filter.kind != kind) continue;
        if (!filter.statuses.empty() && std::ranges::find(filter.statuses, status) == filter.statuses.end()) continue;
        wanted.insert(b);
    }
    return {wanted.begin(), wanted.end()};
}

Result<std::optional<PipelineKey>> pipeline_key(Connection& db, int64_t id) {
    TRY(Statement * s, db.prepared("SELECT account, region, pipeline FROM pipeline WHERE id = ?"));
    TRY(bool row, s->number(id).step());
    std::optional<PipelineKey> key;
    if (row) key = PipelineKey{std::string(s->text_at(0)), std::string(s->text_at(1)), std::string(s->text_at(2))};
    s->start();
    return key;
}

// ---- search ----

// A word that the tokenizer would find anything in.
bool searchable(std::string_view word) {
    return std::ranges::any_of(word, [](unsigned char c) { return c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); });
}

std::vector<std::string> words_of(std::string_view text) {
    text = text.substr(0, search_query_bytes);
    std::vector<std::string> words;
    std::string word;
    auto end = [&] {
        if (searchable(word) && words.size() < search_terms) words.push_back(word);
        word.clear();
    };
    for (char c : text) {
        if (static_cast<unsigned char>(c) <= ' ') end();  // NUL too, which would end the query
        else word.push_back(c);
    }
    end();
    return words;
}

// Every word quoted, so that nothing in it is query syntax: "a" "b" "c"*
std::string match_expression(const std::vector<std::string>& words) {
    std::string out;
    for (const auto& word : words) {
        if (!out.empty()) out.push_back(' ');
        out.push_back('"');
        for (char c : word) {
            if (c == '"') out.push_back('"');
            out.push_back(c);
        }
        out.push_back('"');
    }
    out.push_back('*');
    return out;
}

// The least text above all that begin with `prefix`, for texts compared as bytes; nothing where there is none.
std::string after_prefix(std::string prefix) {
    while (!prefix.empty() && static_cast<unsigned char>(prefix.back()) == 0xff) prefix.pop_back();
    if (!prefix.empty()) prefix.back() = static_cast<char>(static_cast<unsigned char>(prefix.back()) + 1);
    return prefix;
}

std::string lower(std::string text) {
    for (char& c : text)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    return text;
}

}  // namespace

std::string_view to_string(HitType type) {
    switch (type) {
        case HitType::execution: return "execution";
        case HitType::pipeline: return "pipeline";
        case HitType::incident: return "incident";
    }
    return "";
}

// ---- opening ----

History::History(std::string path, std::unique_ptr<Writer> writer, std::unique_ptr<Readers> pool)
    : path_(std::move(path)), writer_(std::move(writer)), readers_(std::move(pool)) {}
History::~History() = default;

Result<void> History::destroy(const std::string& path) {
    for (const char* suffix : {"", "-wal", "-shm", "-journal"}) {
        if (::unlink((path + suffix).c_str()) != 0 && errno != ENOENT) {
            return unavailable(fmt::format("removing {}{}: {}", path, suffix, std::strerror(errno)));
        }
    }
    return {};
}

Result<Opened> History::open(const std::string& path, int64_t fold_version) {
    const std::string context = "opening the history " + path;
    auto attempt = [&](bool again) -> Result<Opened> {
        TRY(auto db, Connection::open(path, Connection::Mode::create));
        TRY(int64_t tables, db->number("SELECT count(*) FROM sqlite_schema"));
        TRY(int64_t owner, db->number("PRAGMA application_id"));
        TRY(int64_t version, db->number("PRAGMA user_version"));
        Opened opened{again ? Found::recreated : Found::created, nullptr};
        if (tables > 0) {
            if (owner != application_id) return conflict("this SQLite database is not Waybill's: move it away, and Waybill makes its own");
            if (version > schema_version) return Opened{Found::newer_schema, nullptr};
            if (version < schema_version) return Opened{Found::recreated, nullptr};
            TRY(int64_t fold, db->number("SELECT value FROM meta WHERE name = 'fold_version'"));
            if (fold != fold_version) return Opened{Found::other_fold, nullptr};
            opened.found = Found::kept;
        }
        // FULL: the WAL is synced at every commit, so that a position that was told is never taken back.
        TRY_VOID(db->run("PRAGMA journal_mode = WAL"));
        TRY_VOID(db->run(fmt::format("PRAGMA synchronous = FULL; PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = {}",
                                     checkpoint_pages * 4096 * 2)));
        if (tables == 0) {
            TRY_VOID(db->run("BEGIN IMMEDIATE;" + schema_sql() +
                             fmt::format("INSERT INTO meta VALUES ('fold_version', {}), ('position', 0), ('time_ms', NULL); COMMIT", fold_version)));
        }
        TRY(auto writer, Writer::open(std::move(db)));
        TRY(auto pool, Readers::open(path, readers));
        opened.history.reset(new History(path, std::move(writer), std::move(pool)));
        return opened;
    };
    Result<Opened> opened = attempt(false);
    if (opened.ok() && opened->found == Found::recreated) {
        TRY_VOID(destroy(path));
        opened = attempt(true);
    }
    if (!opened.ok()) return std::move(opened).error().in(context);
    return opened;
}

// ---- writing ----

Result<void> History::write(const Batch& batch) { return writer_->write(batch); }
Position History::position() const { return writer_->position(); }
TimeMs History::time() const { return writer_->time(); }

// ---- one thing by its id ----

Result<std::optional<ExecutionRow>> History::recall(const PipelineKey& key, std::string_view execution_id) const {
    TRY(auto db, readers_->take());
    static const std::string query = fmt::format(
        "SELECT {} FROM execution e JOIN pipeline p ON p.id = e.pipeline_id WHERE e.execution_id = ? AND p.pipeline = ? AND p.account = ? AND p.region = ?",
        execution_columns);
    TRY(Statement * s, db->prepared(query));
    TRY(bool row, s->text(execution_id).text(key.pipeline).text(key.account).text(key.region).step());
    if (!row) return std::optional<ExecutionRow>();
    TRY(ExecutionView execution, read_execution(*s));
    ExecutionRow found{std::move(execution), std::string(s->blob_at(2))};
    TRY_VOID(load_action_texts(*db, s->number_at(0), found.execution));
    return std::optional(std::move(found));
}

Result<std::optional<ExecutionView>> History::find_execution(std::string_view execution_id, std::optional<std::string_view> account,
                                                             std::optional<std::string_view> region,
                                                             std::optional<std::string_view> pipeline) const {
    TRY(auto db, readers_->take());
    static const std::string query = fmt::format(
        "SELECT {} FROM execution e JOIN pipeline p ON p.id = e.pipeline_id WHERE e.execution_id = ?1 AND (?2 IS NULL OR p.account = ?2) "
        "AND (?3 IS NULL OR p.region = ?3) AND (?4 IS NULL OR p.pipeline = ?4) ORDER BY e.ordering_start DESC, e.pipeline_id LIMIT 1",
        execution_columns);
    TRY(Statement * s, db->prepared(query));
    s->text(execution_id);
    for (const auto& filter : {account, region, pipeline}) {
        if (filter) s->text(*filter);
        else s->null();
    }
    TRY(bool row, s->step());
    if (!row) return std::optional<ExecutionView>();
    TRY(ExecutionView execution, read_execution(*s));
    TRY_VOID(load_action_texts(*db, s->number_at(0), execution));
    return std::optional(std::move(execution));
}

Result<std::optional<PipelineRow>> History::find_pipeline(const PipelineKey& key) const {
    TRY(auto db, readers_->take());
    TRY(Statement * s,
        db->prepared("SELECT executions, (SELECT execution_id FROM execution WHERE pipeline_id = p.id ORDER BY ordering_start DESC, execution_id DESC LIMIT 1) "
                     "FROM pipeline p WHERE pipeline = ? AND account = ? AND region = ?"));
    TRY(bool row, s->text(key.pipeline).text(key.account).text(key.region).step());
    if (!row) return std::optional<PipelineRow>();
    return std::optional(PipelineRow{key, static_cast<uint64_t>(s->number_at(0)), std::string(s->text_at(1))});
}

Result<std::optional<Delivery>> History::find_delivery(DeliveryId id) const {
    TRY(auto db, readers_->take());
    TRY(Statement * s, db->prepared("SELECT content FROM delivery WHERE position = ? AND place = ?"));
    TRY(bool row, s->number(static_cast<int64_t>(id.position)).number(id.index).step());
    if (!row) return std::optional<Delivery>();
    TRY(Delivery found, read_delivery(s->blob_at(0)));
    return std::optional(std::move(found));
}

Result<std::optional<Incident>> History::find_incident(std::string_view incident_id) const {
    TRY(auto db, readers_->take());
    static const std::string query =
        fmt::format("SELECT {} FROM incident i JOIN pipeline p ON p.id = i.pipeline_id WHERE i.incident_id = ?", incident_columns);
    TRY(Statement * s, db->prepared(query));
    TRY(bool row, s->text(incident_id).step());
    if (!row) return std::optional<Incident>();
    TRY(Incident found, read_incident(*db, *s));
    return std::optional(std::move(found));
}

// ---- lists ----
// A list that spans several ranges of an index (pipelines of one name, statuses) takes a page of keys from each, merges them, and reads the
// rows of what is left: the cost is that of a page, whatever lies behind it.

Result<Page<ExecutionView>> History::executions(const ExecutionFilter& filter, const PageRequest& request) const {
    struct Key {
        TimeMs start;
        std::string execution_id;
        int64_t pipeline_id, id;
        auto order() const { return std::tie(start, execution_id, pipeline_id); }
    };
    Key last{INT64_MAX, "", 0, 0};
    if (!request.cursor.empty()) {
        TRY(std::string bytes, read_cursor('e', request.cursor));
        ByteReader in(bytes);
        last.start = in.svarint();
        last.pipeline_id = in.svarint();
        last.execution_id = in.text();
        if (!in.complete()) return bad_cursor();
    }
    const size_t limit = page_limit(request);
    TRY(auto db, readers_->take());
    TRY(auto ids, pipeline_ids(*db, filter.pipeline, filter.account, filter.region));
    std::vector<Key> keys;
    for (int64_t id : ids) {
        // Of equal (start, execution id) the greater pipeline id comes first.
        TRY(Statement * s, db->prepared("SELECT ordering_start, execution_id, id FROM execution WHERE pipeline_id = ?1 "
                                        "AND (ordering_start, execution_id) <= (?2, ?3) AND (?4 OR (ordering_start, execution_id) < (?2, ?3)) "
                                        "ORDER BY ordering_start DESC, execution_id DESC LIMIT ?5"));
        s->number(id).number(last.start).text(last.execution_id).number(id < last.pipeline_id).number(static_cast<int64_t>(limit) + 1);
        for (;;) {
            TRY(bool row, s->step());
            if (!row) break;
            keys.push_back({s->number_at(0), std::string(s->text_at(1)), id, s->number_at(2)});
        }
    }
    std::ranges::sort(keys, [](const Key& a, const Key& b) { return a.order() > b.order(); });
    Page<ExecutionView> page;
    if (keys.size() > limit) {
        keys.resize(limit);
        std::string bytes;
        ByteWriter out(bytes);
        out.svarint(keys.back().start);
        out.svarint(keys.back().pipeline_id);
        out.text(keys.back().execution_id);
        page.next = make_cursor('e', bytes);
    }
    static const std::string query = fmt::format("SELECT {} FROM execution e WHERE e.id = ?", execution_columns);
    for (const Key& key : keys) {
        TRY(Statement * s, db->prepared(query));
        TRY(bool row, s->number(key.id).step());
        if (!row) return corrupt("history: an index names a missing execution row; `waybill rebuild` makes the history anew");
        TRY(ExecutionView execution, read_execution(*s));
        page.items.push_back(std::move(execution));
    }
    return page;
}

Result<Page<Delivery>> History::deliveries(const DeliveryFilter& filter, const PageRequest& request) const {
    DeliveryId last{static_cast<Position>(INT64_MAX), UINT16_MAX};
    if (!request.cursor.empty()) {
        TRY(std::string bytes, read_cursor('d', request.cursor));
        ByteReader in(bytes);
        last.position = in.varint();
        last.index = static_cast<uint16_t>(in.varint());
        if (!in.complete() || last.position > static_cast<Position>(INT64_MAX)) return bad_cursor();
    }
    const size_t limit = page_limit(request);
    TRY(auto db, readers_->take());

    std::optional<std::vector<int64_t>> pipelines;  // nothing: any
    if (filter.pipeline) {
        TRY(auto ids, pipeline_ids(*db, *filter.pipeline, filter.account, filter.region));
        pipelines = std::move(ids);
    }
    std::vector<DeliveryId> keys;
    auto collect = [&](Statement& s) -> Result<void> {
        for (;;) {
            TRY(bool row, s.step());
            if (!row) break;
            keys.push_back({static_cast<Position>(s.number_at(0)), static_cast<uint16_t>(s.number_at(1))});
        }
        s.start();
        return {};
    };
    const auto position = static_cast<int64_t>(last.position);
    const auto wanted = static_cast<int64_t>(limit) + 1;
    const std::vector<int> in_buckets = buckets(filter);
    const bool any_bucket = static_cast<int>(in_buckets.size()) == bucket_count;
    const bool any_place = !filter.account && !filter.region;

    if (filter.execution_id || (!pipelines && !any_place)) {
        // One execution has few deliveries: they are looked at one by one. So is everything for an account or region without a pipeline,
        // which no index serves.
        uint32_t mask = 0;
        for (int b : in_buckets) mask |= 1u << b;
        TRY(Statement * s,
            db->prepared(filter.execution_id
                             ? "SELECT d.position, d.place FROM delivery d JOIN pipeline p ON p.id = d.pipeline_id WHERE d.execution_id = ?1 "
                               "AND (d.position, d.place) < (?2, ?3) AND (?4 >> d.bucket) & 1 AND (?5 IS NULL OR p.account = ?5) AND (?6 IS NULL OR p.region = ?6) "
                               "AND (?7 IS NULL OR p.pipeline = ?7) ORDER BY d.position DESC, d.place DESC LIMIT ?8"
                             : "SELECT d.position, d.place FROM delivery d CROSS JOIN pipeline p ON p.id = d.pipeline_id WHERE ?1 IS NULL "
                               "AND (d.position, d.place) < (?2, ?3) AND (?4 >> d.bucket) & 1 AND (?5 IS NULL OR p.account = ?5) AND (?6 IS NULL OR p.region = ?6) "
                               "AND (?7 IS NULL OR p.pipeline = ?7) ORDER BY d.position DESC, d.place DESC LIMIT ?8"));
        if (filter.execution_id) s->text(*filter.execution_id);
        else s->null();
        s->number(position).number(last.index).number(mask);
        for (const auto* f : {&filter.account, &filter.region, &filter.pipeline}) {
            if (*f) s->text(**f);
            else s->null();
        }
        TRY_VOID(collect(s->number(wanted)));
    } else if (pipelines) {
        for (int64_t id : *pipelines) {
            for (int bucket : in_buckets) {
                TRY(Statement * s, db->prepared("SELECT position, place FROM delivery WHERE pipeline_id = ? AND bucket = ? AND (position, place) < (?, ?) "
                                                "ORDER BY position DESC, place DESC LIMIT ?"));
                TRY_VOID(collect(s->number(id).number(bucket).number(position).number(last.index).number(wanted)));
            }
        }
    } else if (!any_bucket) {
        for (int bucket : in_buckets) {
            TRY(Statement * s, db->prepared("SELECT position, place FROM delivery WHERE bucket = ? AND (position, place) < (?, ?) "
                                            "ORDER BY position DESC, place DESC LIMIT ?"));
            TRY_VOID(collect(s->number(bucket).number(position).number(last.index).number(wanted)));
        }
    } else {
        TRY(Statement * s, db->prepared("SELECT position, place FROM delivery WHERE (position, place) < (?, ?) ORDER BY position DESC, place DESC LIMIT ?"));
        TRY_VOID(collect(s->number(position).number(last.index).number(wanted)));
    }

    std::ranges::sort(keys, std::greater<>());
    Page<Delivery> page;
    if (keys.size() > limit) {
        keys.resize(limit);
        std::string bytes;
        ByteWriter out(bytes);
        out.varint(keys.back().position);
        out.varint(keys.back().index);
        page.next = make_cursor('d', bytes);
    }
    for (const DeliveryId& key : keys) {
        TRY(Statement * s, db->prepared("SELECT content FROM delivery WHERE position = ? AND place = ?"));
        TRY(bool row, s->number(static_cast<int64_t>(key.position)).number(key.index).step());
        if (!row) return corrupt("history: an index names a missing delivery row; `waybill rebuild` makes the history anew");
        TRY(Delivery delivery, read_delivery(s->blob_at(0)));
        page.items.push_back(std::move(delivery));
    }
    return page;
}

Result<std::vector<Delivery>> History::deliveries_of_execution(const PipelineKey& key, std::string_view execution_id) const {
    DeliveryFilter filter{.execution_id = std::string(execution_id), .pipeline = key.pipeline, .account = key.account, .region = key.region};
    TRY(auto page, deliveries(filter, {.limit = limits::page_max}));
    return std::move(page.items);
}

Result<std::vector<Delivery>> History::deliveries_of_incident(std::string_view incident_id) const {
    TRY(auto db, readers_->take());
    // The plus keeps SQLite from going through all deliveries of the pipeline.
    TRY(Statement * s,
        db->prepared("SELECT d.content FROM incident i JOIN incident_execution x ON x.incident = i.id JOIN delivery d ON d.execution_id = x.execution_id "
                     "AND +d.pipeline_id = i.pipeline_id WHERE i.incident_id = ? ORDER BY d.position DESC, d.place DESC LIMIT ?"));
    s->text(incident_id).number(limits::page_max);
    std::vector<Delivery> found;
    for (;;) {
        TRY(bool row, s->step());
        if (!row) break;
        TRY(Delivery delivery, read_delivery(s->blob_at(0)));
        found.push_back(std::move(delivery));
    }
    return found;
}

Result<Page<Incident>> History::incidents(const IncidentFilter& filter, const PageRequest& request) const {
    struct Key {
        int64_t open;
        TimeMs opened;
        std::string incident_id;
        auto order() const { return std::tie(open, opened, incident_id); }
    };
    Key last{1, INT64_MAX, ""};
    if (!request.cursor.empty()) {
        TRY(std::string bytes, read_cursor('i', request.cursor));
        ByteReader in(bytes);
        last.open = in.u8();
        last.opened = in.svarint();
        last.incident_id = in.text();
        if (!in.complete() || last.open > 1) return bad_cursor();
    }
    const size_t limit = page_limit(request);
    TRY(auto db, readers_->take());
    std::vector<Key> keys;
    auto collect = [&](Statement& s, int64_t open) -> Result<void> {
        // Before the cursor's half everything was shown; behind it nothing was.
        const bool fresh = open < last.open;
        s.number(open).number(fresh ? INT64_MAX : last.opened).text(fresh ? std::string_view() : std::string_view(last.incident_id));
        s.number(static_cast<int64_t>(limit) + 1);
        for (;;) {
            TRY(bool row, s.step());
            if (!row) break;
            keys.push_back({open, s.number_at(0), std::string(s.text_at(1))});
        }
        s.start();
        return {};
    };
    std::vector<int64_t> ids;
    if (filter.pipeline) {
        TRY(auto found, pipeline_ids(*db, *filter.pipeline, filter.account, filter.region));
        ids = std::move(found);
    }
    for (int64_t open : {1, 0}) {
        if (filter.open && *filter.open != (open == 1)) continue;
        if (open > last.open) continue;
        if (filter.pipeline) {
            for (int64_t id : ids) {
                TRY(Statement * s, db->prepared("SELECT opened_ms, incident_id FROM incident WHERE pipeline_id = ? AND open = ? AND (opened_ms, incident_id) < (?, ?) "
                                                "ORDER BY opened_ms DESC, incident_id DESC LIMIT ?"));
                s->number(id);
                TRY_VOID(collect(*s, open));
            }
        } else {
            // An account or region without a pipeline is looked for among all.
            TRY(Statement * s, db->prepared("SELECT i.opened_ms, i.incident_id FROM incident i CROSS JOIN pipeline p ON p.id = i.pipeline_id "
                                            "WHERE (?1 IS NULL OR p.account = ?1) AND (?2 IS NULL OR p.region = ?2) AND i.open = ?3 "
                                            "AND (i.opened_ms, i.incident_id) < (?4, ?5) ORDER BY i.opened_ms DESC, i.incident_id DESC LIMIT ?6"));
            for (const auto* f : {&filter.account, &filter.region}) {
                if (*f) s->text(**f);
                else s->null();
            }
            TRY_VOID(collect(*s, open));
        }
    }
    std::ranges::sort(keys, [](const Key& a, const Key& b) { return a.order() > b.order(); });
    Page<Incident> page;
    if (keys.size() > limit) {
        keys.resize(limit);
        std::string bytes;
        ByteWriter out(bytes);
        out.u8(static_cast<uint8_t>(keys.back().open));
        out.svarint(keys.back().opened);
        out.text(keys.back().incident_id);
        page.next = make_cursor('i', bytes);
    }
    static const std::string query =
        fmt::format("SELECT {} FROM incident i JOIN pipeline p ON p.id = i.pipeline_id WHERE i.incident_id = ?", incident_columns);
    for (const Key& key : keys) {
        TRY(Statement * s, db->prepared(query));
        TRY(bool row, s->text(key.incident_id).step());
        if (!row) return corrupt("history: an index names a missing incident row; `waybill rebuild` makes the history anew");
        TRY(Incident incident, read_incident(*db, *s));
        page.items.push_back(std::move(incident));
    }
    return page;
}

// ---- search ----

Result<std::vector<SearchHit>> History::search(std::string_view text, size_t limit) const {
    std::vector<SearchHit> hits;
    limit = std::clamp<size_t>(limit, 1, limits::page_max);
    const std::vector<std::string> words = words_of(text);
    if (words.empty()) return hits;
    TRY(auto db, readers_->take());
    db->limit_time(search_limit_ms);
    auto in = [](Error error) { return std::move(error).in("search"); };

    std::set<int64_t> shown;  // execution rows
    auto add_execution = [&](int64_t id, std::string snippet) -> Result<void> {
        if (hits.size() >= limit || !shown.insert(id).second) return {};
        TRY(Statement * s, db->prepared("SELECT pipeline_id, execution_id, status, start_ms, coalesce(commit_message, '') FROM execution WHERE id = ?"));
        TRY(bool row, s->number(id).step());
        if (!row) return {};
        SearchHit hit{HitType::execution, {}, std::string(s->text_at(1)), "", std::string(s->text_at(2)), s->time_at(3), std::move(snippet)};
        if (hit.snippet.empty()) hit.snippet = s->text_at(4);
        TRY(auto key, pipeline_key(*db, s->number_at(0)));
        if (key) hit.pipeline = std::move(*key);
        hits.push_back(std::move(hit));
        return {};
    };

    // ids
    for (const std::string& word : words) {
        if (word.size() < search_id_bytes) continue;
        for (const std::string& prefix : std::set<std::string>{word, lower(word)}) {
            TRY(Statement * s, db->prepared("SELECT id FROM execution WHERE execution_id >= ? AND execution_id < ? LIMIT ?"));
            const std::string end = after_prefix(prefix);
            if (end.empty()) continue;
            s->text(prefix).text(end).number(static_cast<int64_t>(limit));
            std::vector<int64_t> ids;
            for (;;) {
                auto row = s->step();
                if (!row.ok()) return in(std::move(row).error());
                if (!*row) break;
                ids.push_back(s->number_at(0));
            }
            for (int64_t id : ids) TRY_VOID(add_execution(id, ""));

            TRY(Statement * i, db->prepared("SELECT i.incident_id, i.open, i.opened_ms, p.account, p.region, p.pipeline, "
                                            "(SELECT execution_id FROM incident_execution x WHERE x.incident = i.id ORDER BY ordinal DESC LIMIT 1) "
                                            "FROM incident i JOIN pipeline p ON p.id = i.pipeline_id WHERE i.incident_id >= ? AND i.incident_id < ? LIMIT ?"));
            i->text(prefix).text(end).number(static_cast<int64_t>(limit));
            for (;;) {
                auto row = i->step();
                if (!row.ok()) return in(std::move(row).error());
                if (!*row || hits.size() >= limit) break;
                const bool known = std::ranges::any_of(hits, [&](const SearchHit& h) { return h.incident_id == i->text_at(0); });
                if (known) continue;
                hits.push_back({HitType::incident, {std::string(i->text_at(3)), std::string(i->text_at(4)), std::string(i->text_at(5))},
                                std::string(i->text_at(6)), std::string(i->text_at(0)), i->number_at(1) ? "open" : "resolved", i->time_at(2), ""});
            }
        }
    }

    // pipelines by name
    std::string name(text.substr(0, search_query_bytes));
    while (!name.empty() && static_cast<unsigned char>(name.back()) <= ' ') name.pop_back();
    name.erase(0, std::min(name.find_first_not_of(" \t\r\n"), name.size()));
    TRY(Statement * p,
        db->prepared("SELECT p.account, p.region, p.pipeline, e.execution_id, e.status, e.start_ms FROM pipeline p LEFT JOIN execution e ON e.id = "
                     "(SELECT id FROM execution WHERE pipeline_id = p.id ORDER BY ordering_start DESC, execution_id DESC LIMIT 1) "
                     "WHERE instr(lower(p.pipeline), ?) > 0 ORDER BY p.pipeline, p.account, p.region LIMIT ?"));
    const std::string wanted = lower(name);
    p->text(wanted).number(static_cast<int64_t>(limit));
    for (;;) {
        auto row = p->step();
        if (!row.ok()) return in(std::move(row).error());
        if (!*row || hits.size() >= limit) break;
        hits.push_back({HitType::pipeline, {std::string(p->text_at(0)), std::string(p->text_at(1)), std::string(p->text_at(2))},
                        std::string(p->text_at(3)), "", std::string(p->text_at(4)), p->time_at(5), std::string(p->text_at(2))});
    }

    // words
    TRY(Statement * f, db->prepared("SELECT rowid, snippet(search, -1, '', '', '…', 16) FROM search WHERE search MATCH ? ORDER BY rowid DESC LIMIT ?"));
    const std::string expression = match_expression(words);
    f->text(expression).number(static_cast<int64_t>(limit + shown.size()));
    while (hits.size() < limit) {
        auto row = f->step();
        if (!row.ok()) return in(std::move(row).error());
        if (!*row) break;
        TRY_VOID(add_execution(f->number_at(0), std::string(f->text_at(1))));
    }
    return hits;
}

Result<SqlResult> History::sql(std::string_view query, const SqlLimits& sql_limits) const {
    struct Turn {
        std::atomic<size_t>& count;
        size_t before = count.fetch_add(1);
        ~Turn() { count.fetch_sub(1); }
    } turn{queries_};
    if (turn.before >= concurrent_queries) {
        return overloaded(fmt::format("{} queries are running already: repeat when one has ended", concurrent_queries));
    }
    return run_sql(path_, query, sql_limits);
}

}  // namespace waybill::history
