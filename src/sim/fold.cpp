#include "sim/fold.h"

#include <fmt/format.h>

#include "base/assert.h"

namespace waybill::sim {

Outcome Fold::take(const IncomingEvent& event) {
    const Position position = next_;
    next_ += event.envelope.size() + 100;
    const TimeMs now = 1'776'700'000'000 + static_cast<TimeMs>(position);
    state_->last_time = now;
    state_->apply(EventRecord{event.identity, state_->tracking.known_ids.contains(event.identity), event.envelope}, now);
    ASSERT(event.pipeline);
    const auto& e = *event.pipeline;
    if (const auto at = retired_.find({e.key, e.execution_id}); at != retired_.end()) {
        ASSERT(state_->retired.maybe(node::execution_hash(e.key, e.execution_id)));
        ASSERT(state_->apply(RecalledRecord{at->second.execution, at->second.policy}, now).ok());
        retired_.erase(at);
    }
    TransitionRecord record{state_->tracking.decide(e), e};
    state_->apply(record, position, now);
    return record.outcome;
}

void show(std::string& out, const ExecutionView& v) {
    JsonWriter json(out);
    write_json(json, v);
    JsonWriter summary(out);
    write_summary_json(summary, v);
    out += fmt::format(" trigger {:x} stop {:x}", v.trigger.content, v.stop_comment.content);
    for (const auto& a : v.actions) out += fmt::format(" {:x}", a.result.content);
    out += '\n';
}

void show(std::string& out, const node::State& state, const tracking::Pipeline& p) {
    const auto c = state.tracking.current(p);
    out += fmt::format("{} {} {}: {} start {} update {} {} {} gaps {} of {}\n", p.key.account, p.key.region, p.key.pipeline, c.id, c.start, c.update, status_word(c.state), c.attempt,
                       c.gaps, p.executions);
    for (const auto& s : c.stages) out += fmt::format("  {} {} {}\n", s.name, status_word(s.state), s.attempt);
    for (const auto& i : state.policy.incidents(p.key)) {
        JsonWriter json(out);
        write_json(json, i);
        out += '\n';
    }
}

std::map<std::pair<PipelineKey, std::string>, ExecutionView> Fold::executions() const {
    std::map<std::pair<PipelineKey, std::string>, ExecutionView> all;
    state_->tracking.each_execution([&](const tracking::Execution& e) { all[{e.pipeline->key, e.id.str()}] = state_->tracking.view(e); });
    for (const auto& [key, kept] : retired_) {
        ByteReader in(kept.execution);
        ASSERT(decode(in, all[key]));
    }
    return all;
}

std::string Fold::visible() const {
    std::string text;
    for (const auto& [key, v] : executions()) show(text, v);
    state_->tracking.each_pipeline([&](const tracking::Pipeline& p) { show(text, *state_, p); });
    text += fmt::format("open incidents {}\n", state_->policy.open_incidents());
    return text;
}

void Fold::pass_through_snapshot() {
    auto restored = std::make_unique<node::State>();
    state_->encode([&](std::string_view piece) { ASSERT(restored->restore(piece).ok()); });
    state_ = std::move(restored);
}

bool Fold::retire(const tracking::Execution& e) {
    if (state_->tracking.is_current(e)) return false;
    const PipelineKey key = e.pipeline->key;
    const std::string id = e.id.str();
    Kept kept;
    ByteWriter out(kept.execution);
    encode(out, state_->tracking.view(e));
    kept.policy = state_->policy.encode_memory(key, id);
    retired_[{key, id}] = std::move(kept);
    state_->apply(RetiredRecord{key, id, false});
    return true;
}

}  // namespace waybill::sim
