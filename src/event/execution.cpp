#include "event/execution.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "event/limits.h"

namespace waybill {
namespace {

constexpr uint8_t view_version = 1;

void put(ByteWriter& out, const TextRef& r) {
    out.varint(r.position);
    if (!r.position) return;
    out.u32(r.time_s);
    out.u32(r.content);
    out.u16(r.weight);
}

void get(ByteReader& in, TextRef& r) {
    r = {};
    r.position = in.varint();
    if (!r.position) return;
    r.time_s = in.u32();
    r.content = in.u32();
    r.weight = in.u16();
}

void put(ByteWriter& out, const std::vector<Seen>& seen) {
    out.varint(seen.size());
    for (const auto& s : seen) {
        out.u16(s.attempt);
        out.u16(s.states);
    }
}

bool get(ByteReader& in, std::vector<Seen>& seen) {
    const uint64_t n = in.varint();
    if (n > limits::attempts_seen) return false;
    seen.resize(n);
    for (auto& s : seen) {
        s.attempt = in.u16();
        s.states = in.u16();
    }
    return true;
}

bool get(ByteReader& in, State& state) {
    const uint8_t v = in.u8();
    if (v > 8) return false;
    state = static_cast<State>(v);
    return true;
}

constexpr uint16_t bit(State s) { return static_cast<uint16_t>(1u << static_cast<int>(s)); }
constexpr uint16_t starts = bit(State::started) | bit(State::resumed);
constexpr uint16_t ends = bit(State::succeeded) | bit(State::superseded) | bit(State::canceled) | bit(State::abandoned) |
                          bit(State::stopped) | bit(State::failed);

uint16_t states_of(const std::vector<Seen>& seen, int attempt) {
    for (const auto& s : seen)
        if (s.attempt == attempt) return s.states;
    return 0;
}

void duration(JsonWriter& out, TimeMs start, TimeMs end) {
    out.key("durationMs");
    if (start == no_time || end == no_time) out.null();
    else out.number(std::max<TimeMs>(0, end - start));
}

void commit_and_author(JsonWriter& out, const ExecutionView& e) {
    out.key("trigger");
    if (e.trigger_type.empty() && e.trigger_detail.empty()) out.null();
    else out.begin_object().key("type").text_or_null(e.trigger_type).key("detail").text_or_null(e.trigger_detail).end_object();
    out.key("commit");
    if (e.commit_id.empty() && e.commit_message.empty()) out.null();
    else
        out.begin_object()
            .key("id").text_or_null(e.commit_id)
            .key("message").text_or_null(e.commit_message)
            .key("url").text_or_null(e.commit_url)
            .key("repository").text_or_null(e.repository)
            .key("branch").text_or_null(e.branch)
            .key("tag").text_or_null(e.tag)
            .end_object();
    out.key("author");
    if (e.author_name.empty() && e.author_email.empty() && e.author_id.empty()) out.null();
    else
        out.begin_object()
            .key("name").text_or_null(e.author_name)
            .key("email").text_or_null(e.author_email)
            .key("id").text_or_null(e.author_id)
            .end_object();
}

void head(JsonWriter& out, const ExecutionView& e) {
    out.key("pipeline").text(e.key.pipeline);
    out.key("executionId").text(e.execution_id);
    out.key("account").text(e.key.account);
    out.key("region").text(e.key.region);
    out.key("status").text(status_word(e.state));
    out.key("attempt").number(e.attempt);
    out.key("startTime").time(e.ordering_start());
    out.key("lastUpdateTime").time(e.update);
    out.key("endTime").time(e.end);
    duration(out, e.ordering_start(), e.end);
}

}  // namespace

void encode(ByteWriter& out, const ExecutionView& e) {
    out.u8(view_version);
    out.text(e.key.account);
    out.text(e.key.region);
    out.text(e.key.pipeline);
    out.text(e.execution_id);
    out.u8(static_cast<uint8_t>(e.state));
    out.u16(static_cast<uint16_t>(e.attempt));
    out.u8(e.known);
    put(out, e.seen);
    out.u64(std::bit_cast<uint64_t>(e.version));
    for (TimeMs t : {e.start, e.first, e.update, e.end, e.last_retry}) out.svarint(t);
    put(out, e.trigger);
    put(out, e.stop_comment);
    out.varint(e.stages.size());
    for (const auto& s : e.stages) {
        out.text(s.name);
        out.u8(static_cast<uint8_t>(s.state));
        out.u16(static_cast<uint16_t>(s.attempt));
        out.u8(s.known);
        put(out, s.seen);
        for (TimeMs t : {s.start, s.first, s.update, s.end, s.last_retry}) out.svarint(t);
    }
    out.varint(e.actions.size());
    for (const auto& a : e.actions) {
        out.text(a.name);
        out.text(a.action_execution_id);
        out.text(a.stage);
        out.u8(static_cast<uint8_t>(a.state));
        out.u16(static_cast<uint16_t>(a.attempt));
        out.u16(a.seen);
        for (TimeMs t : {a.start, a.first, a.update, a.end}) out.svarint(t);
        for (const auto* text : {&a.category, &a.owner, &a.provider, &a.region}) out.text(*text);
        put(out, a.result);
    }
    out.varint(e.groups.size());
    Position last = 0;
    for (Position p : e.groups) {
        out.varint(p - last);
        last = p;
    }
    out.varint(e.events);
}

bool decode(ByteReader& in, ExecutionView& e) {
    if (in.u8() != view_version) return false;
    e.key.account = in.text();
    e.key.region = in.text();
    e.key.pipeline = in.text();
    e.execution_id = in.text();
    if (!get(in, e.state)) return false;
    e.attempt = in.u16();
    e.known = in.u8();
    if (!get(in, e.seen)) return false;
    e.version = std::bit_cast<double>(in.u64());
    for (TimeMs* t : {&e.start, &e.first, &e.update, &e.end, &e.last_retry}) *t = in.svarint();
    get(in, e.trigger);
    get(in, e.stop_comment);
    const uint64_t stages = in.varint();
    if (stages > limits::stages_an_execution) return false;
    e.stages.resize(stages);
    for (auto& s : e.stages) {
        s.name = in.text();
        if (!get(in, s.state)) return false;
        s.attempt = in.u16();
        s.known = in.u8();
        if (!get(in, s.seen)) return false;
        for (TimeMs* t : {&s.start, &s.first, &s.update, &s.end, &s.last_retry}) *t = in.svarint();
    }
    const uint64_t actions = in.varint();
    if (actions > limits::actions_an_execution) return false;
    e.actions.resize(actions);
    for (auto& a : e.actions) {
        a.name = in.text();
        a.action_execution_id = in.text();
        a.stage = in.text();
        if (!get(in, a.state)) return false;
        a.attempt = in.u16();
        a.seen = in.u16();
        for (TimeMs* t : {&a.start, &a.first, &a.update, &a.end}) *t = in.svarint();
        for (auto* text : {&a.category, &a.owner, &a.provider, &a.region}) *text = in.text();
        get(in, a.result);
    }
    const uint64_t groups = in.varint();
    if (groups > limits::groups_an_execution) return false;
    e.groups.resize(groups);
    Position last = 0;
    for (auto& p : e.groups) p = last += in.varint();
    e.events = in.varint();
    return !in.failed();
}

std::vector<Gap> find_gaps(const ExecutionView& e) {
    std::vector<Gap> gaps;
    auto pipeline_gap = [&](int attempt, std::string_view kind, std::string text) {
        gaps.push_back({Scope::pipeline, {}, {}, {}, attempt, kind, std::move(text)});
    };
    auto stage_gap = [&](const std::string& stage, int attempt, std::string_view kind, std::string text) {
        gaps.push_back({Scope::stage, stage, {}, {}, attempt, kind, std::move(text)});
    };

    if (!(states_of(e.seen, 1) & bit(State::started)))
        pipeline_gap(1, "missing_start", "The pipeline's STARTED event was not seen.");
    // Attempt n implies a RESUMED for each of 2 … n, and an end of each attempt before n. Attempts past the remembered ones are not judged.
    const int judged = std::min<int>(e.attempt, limits::attempts_seen);
    for (int n = 2; e.known && n <= judged; ++n) {
        if (!(states_of(e.seen, n) & bit(State::resumed)))
            pipeline_gap(n, "missing_resume", fmt::format("The pipeline's RESUMED event of attempt {} was not seen.", n));
        if (!(states_of(e.seen, n - 1) & ends))
            pipeline_gap(n - 1, "missing_end", fmt::format("The pipeline's end of attempt {} was not seen, but attempt {} began.", n - 1, n));
    }
    for (const auto& s : e.seen)
        if (std::popcount(static_cast<unsigned>(s.states & ends)) > 1)
            pipeline_gap(s.attempt, "conflicting_ends", fmt::format("Attempt {} of the pipeline was reported with more than one end.", s.attempt));
    if (e.ended() && e.stages.empty()) pipeline_gap(e.attempt, "missing_stages", "The execution ended, but no stage event was seen.");

    const bool stages_must_have_ended = e.ended() && e.state != State::canceled;
    for (const auto& s : e.stages) {
        if (!s.known) {
            stage_gap(s.name, s.attempt, "missing_start", fmt::format("No event of stage {} was seen, only of its actions.", s.name));
        }
        // A stage is resumed only after an attempt of its own that had begun and ended. (The oldest attempts of very many are not remembered.)
        if (!s.seen.empty() && s.seen.size() < limits::attempts_seen && (s.seen.front().states & starts) == bit(State::resumed))
            stage_gap(s.name, s.seen.front().attempt - 1, "missing_start", fmt::format("Stage {} was resumed, but its STARTED event was not seen.", s.name));
        for (size_t i = 0; i + 1 < s.seen.size(); ++i)
            if (!(s.seen[i].states & ends))
                stage_gap(s.name, s.seen[i].attempt, "missing_end",
                          fmt::format("The end of attempt {} of stage {} was not seen, but attempt {} began.", s.seen[i].attempt, s.name, s.seen[i + 1].attempt));
        for (const auto& seen : s.seen) {
            if (!(seen.states & starts))
                stage_gap(s.name, seen.attempt, "missing_start",
                          fmt::format("Stage {} reported a later state of attempt {} without STARTED or RESUMED.", s.name, seen.attempt));
            if (std::popcount(static_cast<unsigned>(seen.states & ends)) > 1)
                stage_gap(s.name, seen.attempt, "conflicting_ends",
                          fmt::format("Attempt {} of stage {} was reported with more than one end.", seen.attempt, s.name));
        }
        if (stages_must_have_ended && !(s.known && is_end(s.state)))
            stage_gap(s.name, s.attempt, "missing_end", fmt::format("The execution ended, but the end of stage {} was not seen.", s.name));
        const bool has_actions = std::any_of(e.actions.begin(), e.actions.end(), [&](const auto& a) { return a.stage == s.name; });
        if (s.known && (s.state == State::succeeded || s.state == State::failed) && !has_actions)
            stage_gap(s.name, s.attempt, "missing_actions", fmt::format("Stage {} ended, but no event of its actions was seen.", s.name));
    }

    for (const auto& a : e.actions) {
        if (!(a.seen & bit(State::started)))
            gaps.push_back({Scope::action, a.stage, a.name, a.action_execution_id, a.attempt, "missing_start",
                            fmt::format("Action {} ended, but its STARTED event was not seen.", a.name)});
        if (std::popcount(static_cast<unsigned>(a.seen & ends)) > 1)
            gaps.push_back({Scope::action, a.stage, a.name, a.action_execution_id, a.attempt, "conflicting_ends",
                            fmt::format("Action {} was reported with more than one end.", a.name)});
        if (is_end(a.state)) continue;
        for (const auto& s : e.stages)
            if (s.name == a.stage && s.known && ((is_end(s.state) && s.state != State::canceled && s.attempt >= a.attempt) || s.attempt > a.attempt))
                gaps.push_back({Scope::action, a.stage, a.name, a.action_execution_id, a.attempt, "missing_end",
                                fmt::format("Stage {} ended, but the end of action {} was not seen.", s.name, a.name)});
    }
    return gaps;
}

void write_json(JsonWriter& out, const ExecutionView& e) {
    out.begin_object();
    head(out, e);
    out.key("pipelineVersion");
    if (e.version == 0) out.null();
    else out.text(fmt::format("{:.1f}", e.version));
    out.key("lastRetryTime").time(e.last_retry);
    out.key("stopReason").text_or_null(e.stop_reason);
    commit_and_author(out, e);
    out.key("stages").begin_array();
    for (const auto& s : e.stages) {
        out.begin_object().key("stageName").text(s.name);
        out.key("status").text(status_word(s.state));
        out.key("attempt").number(s.attempt);
        out.key("startTime").time(s.start);
        out.key("lastUpdateTime").time(s.update);
        out.key("endTime").time(s.end);
        duration(out, s.start, s.end);
        out.key("lastRetryTime").time(s.last_retry);
        out.key("actions").begin_array();
        for (const auto& a : e.actions) {
            if (a.stage != s.name) continue;
            out.begin_object().key("actionName").text(a.name);
            out.key("actionExecutionId").text(a.action_execution_id);
            out.key("status").text(status_word(a.state));
            out.key("attempt").number(a.attempt);
            out.key("startTime").time(a.start);
            out.key("lastUpdateTime").time(a.update);
            out.key("endTime").time(a.end);
            duration(out, a.start, a.end);
            out.key("category").text_or_null(a.category);
            out.key("owner").text_or_null(a.owner);
            out.key("provider").text_or_null(a.provider);
            out.key("region").text_or_null(a.region);
            out.key("externalExecutionId").text_or_null(a.external_id);
            out.key("externalExecutionUrl").text_or_null(a.external_url);
            out.key("externalExecutionSummary").text_or_null(a.summary);
            out.key("errorCode").text_or_null(a.error_code);
            out.end_object();
        }
        out.end_array().end_object();
    }
    out.end_array();
    out.key("gaps").begin_array();
    for (const auto& g : find_gaps(e)) {
        out.begin_object().key("scope").text(scope_word(g.scope));
        out.key("stageName").text_or_null(g.stage);
        out.key("actionName").text_or_null(g.action);
        out.key("actionExecutionId").text_or_null(g.action_execution_id);
        out.key("attempt").number(g.attempt);
        out.key("kind").text(g.kind);
        out.key("text").text(g.text);
        out.end_object();
    }
    out.end_array().end_object();
}

void write_summary_json(JsonWriter& out, const ExecutionView& e) {
    out.begin_object();
    head(out, e);
    commit_and_author(out, e);
    out.key("gaps").number(static_cast<int64_t>(find_gaps(e).size()));
    out.key("stages").begin_array();
    for (const auto& s : e.stages)
        out.begin_object()
            .key("stageName").text(s.name)
            .key("status").text(status_word(s.state))
            .key("attempt").number(s.attempt)
            .end_object();
    out.end_array().end_object();
}

}  // namespace waybill
