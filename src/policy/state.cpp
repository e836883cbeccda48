#include "policy/state.h"

#include <algorithm>

#include "event/limits.h"

namespace waybill::policy {
namespace {

enum class Piece : uint8_t { marks = 1, memory = 2 };

auto order(const Mark& m) { return std::forward_as_tuple(m.start, m.execution_id); }

void encode_memory_into(ByteWriter& out, const Memory& m) {
    out.u8(static_cast<uint8_t>(m.failure_told | m.success_told << 1));
    out.varint(m.stages.size());
    for (const auto& s : m.stages) {
        out.text(s.stage);
        out.varint(static_cast<uint64_t>(s.retries));
        out.varint(static_cast<uint64_t>(s.retried_attempt));
        out.varint(static_cast<uint64_t>(s.approval_attempt));
    }
}

bool decode_memory(ByteReader& in, Memory& m) {
    const uint8_t told = in.u8();
    m.failure_told = told & 1;
    m.success_told = told & 2;
    const uint64_t n = in.varint();
    if (n > limits::stages_an_execution) return false;
    m.stages.resize(n);
    for (auto& s : m.stages) {
        s.stage = in.text();
        s.retries = static_cast<int>(in.varint());
        s.retried_attempt = static_cast<int>(in.varint());
        s.approval_attempt = static_cast<int>(in.varint());
    }
    return !in.failed();
}

}  // namespace

Hash128 Policy::hash(const PipelineKey& pipeline, std::string_view execution_id) {
    std::string text;
    ByteWriter out(text);
    for (std::string_view part : {std::string_view(pipeline.account), std::string_view(pipeline.region), std::string_view(pipeline.pipeline), execution_id})
        out.text(part);
    return hash128(text);
}

bool Policy::apply(const TransitionRecord& record, const ExecutionFacts& facts) {
    const PipelineEvent& e = record.event;
    if (record.outcome == Outcome::untracked) return false;
    const bool finished = e.scope == Scope::pipeline && (e.state == State::failed || e.state == State::succeeded);
    auto at = pipelines_.find(e.key);
    if (at == pipelines_.end()) {
        if (!finished) return false;
        at = pipelines_.try_emplace(e.key).first;
    }
    auto& marks = at->second.marks;
    // The execution's mark, if it has one; newer executions are the likelier ones.
    auto found = std::find_if(marks.rbegin(), marks.rend(), [&](const Mark& m) { return m.execution_id == e.execution_id; });
    const bool exists = found != marks.rend();
    if (!finished && (!exists || found->start == facts.start)) return false;

    Mark mark;
    if (exists) {
        mark = std::move(*found);
        marks.erase(std::next(found).base());
    } else {
        mark.execution_id = e.execution_id;
    }
    mark.start = facts.start;
    if (finished && e.state == State::succeeded) {
        mark.succeeded = std::max(mark.succeeded, e.time);
    } else if (finished) {
        mark.first_failed = mark.has_failed() ? std::min(mark.first_failed, e.time) : e.time;
        mark.failed = std::max(mark.failed, e.time);
        mark.failed_attempt = std::max(mark.failed_attempt, e.attempt);
    }
    marks.insert(std::lower_bound(marks.begin(), marks.end(), mark, [](const Mark& a, const Mark& b) { return order(a) < order(b); }), std::move(mark));
    if (marks.size() > limits::marks_a_pipeline) marks.erase(marks.begin());
    settle(at->second);
    return true;
}

// Open: some execution has failed, and neither it nor a newer one has succeeded.
void Policy::settle(Marks& m) {
    bool open = false;
    for (auto mark = m.marks.rbegin(); mark != m.marks.rend() && !mark->has_succeeded(); ++mark) open |= mark->has_failed();
    if (open != m.open) open_ += open ? 1 : static_cast<size_t>(-1);
    m.open = open;
}

std::vector<Incident> Policy::incidents(const PipelineKey& pipeline) const {
    std::vector<Incident> incidents;
    const auto at = pipelines_.find(pipeline);
    if (at == pipelines_.end()) return incidents;
    bool running = false;
    for (const Mark& m : at->second.marks) {
        if (m.has_failed()) {
            if (!running) {
                Incident& i = incidents.emplace_back();
                i.id = incident_id(pipeline, m.execution_id);
                i.pipeline = pipeline;
                i.opened = m.first_failed;
                running = true;
            }
            Incident& i = incidents.back();
            i.opened = std::min(i.opened, m.first_failed);
            i.executions.push_back({m.execution_id, m.start, m.failed, m.failed_attempt});
        }
        if (m.has_succeeded() && running) {
            incidents.back().resolved = m.succeeded;
            incidents.back().resolved_by = m.execution_id;
            running = false;
        }
    }
    return incidents;
}

TimeMs Policy::window_start(const PipelineKey& pipeline) const {
    const auto at = pipelines_.find(pipeline);
    return at == pipelines_.end() || at->second.marks.empty() ? no_time : at->second.marks.front().start;
}

void Policy::each_pipeline(const std::function<void(const PipelineKey&)>& fn) const {
    for (const auto& [key, marks] : pipelines_) fn(key);
}

void Policy::apply(const Decision& d) {
    const bool about_retry = d.line == PolicyLine::action_failed && (d.verdict == Verdict::planned || d.reason == Reason::retry_approval);
    const bool told = d.verdict == Verdict::planned && (d.line == PolicyLine::pipeline_failed || d.line == PolicyLine::pipeline_succeeded);
    if (!about_retry && !told) return;
    Memory& m = memories_[hash(d.pipeline, d.execution_id)];
    if (told) {
        (d.line == PolicyLine::pipeline_failed ? m.failure_told : m.success_told) = true;
        return;
    }
    auto stage = std::find_if(m.stages.begin(), m.stages.end(), [&](const StageMemory& s) { return s.stage == d.stage; });
    if (stage == m.stages.end()) {
        if (m.stages.size() >= limits::stages_an_execution) return;
        stage = m.stages.insert(stage, StageMemory{d.stage});
    }
    if (d.verdict == Verdict::planned) {
        ++stage->retries;
        stage->retried_attempt = std::max(stage->retried_attempt, d.attempt);
    } else {
        stage->approval_attempt = std::max(stage->approval_attempt, d.attempt);
    }
}

void Policy::forget(const PipelineKey& pipeline, std::string_view execution_id) { memories_.erase(hash(pipeline, execution_id)); }

void Policy::remember(const PipelineKey& pipeline, std::string_view execution_id, std::string_view bytes) {
    Memory m;
    ByteReader in(bytes);
    if (decode_memory(in, m) && !m.empty()) memories_[hash(pipeline, execution_id)] = std::move(m);
}

const Memory* Policy::memory(const PipelineKey& pipeline, std::string_view execution_id) const {
    const auto at = memories_.find(hash(pipeline, execution_id));
    return at == memories_.end() ? nullptr : &at->second;
}

std::string Policy::encode_memory(const PipelineKey& pipeline, std::string_view execution_id) const {
    std::string bytes;
    ByteWriter out(bytes);
    const Memory* m = memory(pipeline, execution_id);
    encode_memory_into(out, m ? *m : Memory{});
    return bytes;
}

void Policy::encode(const std::function<void(std::string_view)>& sink) const {
    std::string piece;
    for (const auto& [key, m] : pipelines_) {
        piece.clear();
        ByteWriter out(piece);
        out.u8(static_cast<uint8_t>(Piece::marks));
        out.text(key.account);
        out.text(key.region);
        out.text(key.pipeline);
        out.varint(m.marks.size());
        for (const auto& mark : m.marks) {
            out.text(mark.execution_id);
            for (TimeMs t : {mark.start, mark.first_failed, mark.failed, mark.succeeded}) out.svarint(t);
            out.varint(static_cast<uint64_t>(mark.failed_attempt));
        }
        sink(piece);
    }
    for (const auto& [id, m] : memories_) {
        piece.clear();
        ByteWriter out(piece);
        out.u8(static_cast<uint8_t>(Piece::memory));
        out.u64(id.low);
        out.u64(id.high);
        encode_memory_into(out, m);
        sink(piece);
    }
}

Result<void> Policy::restore(std::string_view piece) {
    ByteReader in(piece);
    switch (static_cast<Piece>(in.u8())) {
        case Piece::marks: {
            PipelineKey key;
            key.account = in.text();
            key.region = in.text();
            key.pipeline = in.text();
            const uint64_t n = in.varint();
            if (n > limits::marks_a_pipeline) break;
            Marks& m = pipelines_[key];
            m.marks.resize(n);
            for (auto& mark : m.marks) {
                mark.execution_id = in.text();
                for (TimeMs* t : {&mark.start, &mark.first_failed, &mark.failed, &mark.succeeded}) *t = in.svarint();
                mark.failed_attempt = static_cast<int>(in.varint());
            }
            if (!in.complete()) break;
            settle(m);
            return {};
        }
        case Piece::memory: {
            Hash128 id;
            id.low = in.u64();
            id.high = in.u64();
            if (!decode_memory(in, memories_[id]) || !in.complete()) break;
            return {};
        }
    }
    return corrupt("a piece of the policy snapshot cannot be read");
}

}  // namespace waybill::policy
