#include "tracking/state.h"

#include <algorithm>
#include <array>

namespace waybill::tracking {
namespace {

constexpr size_t nowhere = SIZE_MAX;

uint16_t bit(State s) { return static_cast<uint16_t>(1u << static_cast<int>(s)); }

void earliest(TimeMs& into, TimeMs t) {
    if (t != no_time && (into == no_time || t < into)) into = t;
}
void latest(TimeMs& into, TimeMs t) {
    if (t != no_time && (into == no_time || t > into)) into = t;
}

const Seen* find_seen(const SeenList& seen, int attempt) {
    for (const auto& s : seen)
        if (s.attempt == attempt) return &s;
    return nullptr;
}

bool was_seen(const SeenList& seen, int attempt, State state) {
    const Seen* s = find_seen(seen, attempt);
    return s && (s->states & bit(state));
}

void note_seen(SeenList& seen, int attempt, State state) {
    auto at = std::lower_bound(seen.begin(), seen.end(), attempt, [](const Seen& s, int a) { return s.attempt < a; });
    if (at == seen.end() || at->attempt != attempt) {
        at = seen.insert(at, Seen{static_cast<uint16_t>(attempt), 0});
        if (seen.size() > limits::attempts_seen) {
            // The newest attempts stay, whatever the order in which they came.
            const bool dropped_new = at == seen.begin();
            seen.erase(seen.begin());
            if (dropped_new) return;
            at = std::lower_bound(seen.begin(), seen.end(), attempt, [](const Seen& s, int a) { return s.attempt < a; });
        }
    }
    at->states |= bit(state);
}

// Whether (attempt, state) is past what is known: the order of one scope's states.
bool passes(bool known, int attempt, State state, int new_attempt, State new_state) {
    if (!known) return true;
    if (new_attempt != attempt) return new_attempt > attempt;
    return new_state > state;
}

// Pipelines and stages: moves state on, keeps `end` the latest time of the winning state.
template <class T>
void merge_state(T& into, const PipelineEvent& e) {
    if (passes(into.known, into.attempt, into.state, e.attempt, e.state)) {
        into.attempt = static_cast<uint16_t>(e.attempt);
        into.state = e.state;
        into.end = is_end(e.state) ? e.time : no_time;
    } else if (into.attempt == e.attempt && into.state == e.state && is_end(e.state)) {
        latest(into.end, e.time);
    }
    into.known = true;
    note_seen(into.seen, e.attempt, e.state);
    earliest(into.start, e.start);
    latest(into.last_retry, e.last_retry);
}

TextRef text_ref(const PipelineEvent& e, Position position, int weight) {
    return {position, static_cast<uint32_t>(e.time / 1000), e.content, static_cast<uint16_t>(weight)};
}

void merge_text(TextRef& into, const TextRef& ref) {
    if (!into.position || into.precedes(ref)) into = ref;
}

// category, owner, provider and region as one name: most actions of a pipeline share few of them.
std::string join_type(std::string_view category, std::string_view owner, std::string_view provider, std::string_view region) {
    std::string joined;
    joined.reserve(category.size() + owner.size() + provider.size() + region.size() + 3);
    for (auto part : {category, owner, provider, region}) joined.append(part).push_back('\n');
    joined.pop_back();
    return joined;
}

std::array<std::string_view, 4> split_type(std::string_view type) {
    std::array<std::string_view, 4> parts;
    for (size_t i = 0; i < 4; ++i) {
        const size_t end = i < 3 ? type.find('\n') : type.size();
        parts[i] = type.substr(0, end);
        type.remove_prefix(std::min(type.size(), end + 1));
    }
    return parts;
}

// The parts are merged one by one, each to the greatest text, so that an event without them takes nothing away. A name with a line feed
// in it, which no AWS type has, is cut there. Nothing: the event adds nothing, which is so for all but an action's first one.
std::optional<std::string> merge_type(std::string_view old, const PipelineEvent& e) {
    const auto parts = split_type(old);
    const std::array<const std::string*, 4> said = {&e.category, &e.owner, &e.provider, &e.action_region};
    auto merged = parts;
    for (size_t i = 0; i < 4; ++i)
        if (*said[i] != parts[i]) merged[i] = std::max(parts[i], std::string_view(*said[i]).substr(0, said[i]->find('\n')));
    if (merged == parts) return {};
    return join_type(merged[0], merged[1], merged[2], merged[3]);
}

// Room for half as many again, and not for twice as many: there are as many of these in memory as executions are under way.
template <class T>
T& add_one(std::vector<T>& to) {
    if (to.size() == to.capacity()) to.reserve(to.size() + std::max<size_t>(2, to.size() / 2));
    return to.emplace_back();
}

}  // namespace

// -- names --

uint32_t Names::take(std::string_view text) {
    auto at = ids_.find(text);
    if (at == ids_.end()) {
        at = ids_.emplace(text, 0).first;
        if (free_.empty()) {
            at->second = static_cast<uint32_t>(entries_.size());
            entries_.emplace_back();
        } else {
            at->second = free_.back();
            free_.pop_back();
        }
        entries_[at->second] = {std::string(text), 0};
    }
    ++entries_[at->second].users;
    return at->second;
}

void Names::drop(uint32_t id) {
    ASSERT(id < entries_.size() && entries_[id].users > 0);
    if (--entries_[id].users) return;
    ids_.erase(entries_[id].text);
    entries_[id].text = {};
    free_.push_back(id);
}

// -- lookups --

size_t Tracking::KeyHash::operator()(const PipelineKey& key) const {
    return hash64(key.pipeline) ^ (hash64(key.account) * 31) ^ (hash64(key.region) * 131);
}

Tracking::~Tracking() {
    for (auto& [key, pipeline] : pipelines_) pipeline->live.clear();
    dirty_.clear();
    for (Execution* e : executions_) delete e;
}

const Pipeline* Tracking::find_pipeline(const PipelineKey& key) const {
    const auto at = pipelines_.find(key);
    return at == pipelines_.end() ? nullptr : at->second.get();
}

const Execution* Tracking::find(const PipelineKey& key, std::string_view execution_id) const {
    const CompactId id(execution_id);
    const auto at = executions_.find(InPipeline{id, key});
    return at == executions_.end() ? nullptr : *at;
}

const Execution* Tracking::find(std::string_view execution_id) const {
    const CompactId id(execution_id);
    const auto at = executions_.find(IdOnly{id});
    return at == executions_.end() ? nullptr : *at;
}

Execution* Tracking::find_mutable(const PipelineKey& key, std::string_view execution_id) {
    return const_cast<Execution*>(find(key, execution_id));
}

void Tracking::each_pipeline(const std::function<void(const Pipeline&)>& fn) const {
    std::vector<const Pipeline*> sorted;
    sorted.reserve(pipelines_.size());
    for (const auto& [key, p] : pipelines_) sorted.push_back(p.get());
    std::sort(sorted.begin(), sorted.end(), [](auto* a, auto* b) {
        return std::tie(a->key.pipeline, a->key.account, a->key.region) < std::tie(b->key.pipeline, b->key.account, b->key.region);
    });
    for (const auto* p : sorted) fn(*p);
}

void Tracking::each_execution(const std::function<void(const Execution&)>& fn) const {
    for (const Execution* e : executions_) fn(*e);
}

size_t Tracking::find_stage(const Execution& execution, std::string_view name) const {
    for (size_t i = 0; i < execution.stages.size(); ++i)
        if (names_.text(execution.stages[i].name) == name) return i;
    return nowhere;
}

size_t Tracking::find_action(const Execution& execution, const PipelineEvent& event, size_t stage) const {
    const CompactId id(event.action_execution_id);
    for (size_t i = 0; i < execution.actions.size(); ++i) {
        const Action& a = execution.actions[i];
        if (a.id == id && a.stage == stage && names_.text(a.name) == event.action) return i;
    }
    return nowhere;
}

bool Tracking::is_current(const Execution& execution) const {
    const Pipeline& p = *execution.pipeline;
    if (&*p.live.rbegin() != &execution) return false;
    return !p.newest_retired || std::pair(execution.ordering_start(), execution.id.str()) > std::pair(p.newest_retired->start, p.newest_retired->id);
}

CurrentExecution Tracking::current(const Pipeline& p) const {
    if (p.live.empty() || !is_current(*p.live.rbegin())) {
        ASSERT(p.newest_retired);
        return *p.newest_retired;
    }
    const ExecutionView v = view(*p.live.rbegin());
    CurrentExecution c{v.execution_id, v.ordering_start(), v.update, v.state, v.attempt, find_gaps(v).size(), {}};
    for (const auto& s : v.stages) c.stages.push_back({s.name, s.state, s.attempt});
    return c;
}

ExecutionView Tracking::view(const Execution& e) const {
    ExecutionView v;
    v.key = e.pipeline->key;
    v.execution_id = e.id.str();
    v.state = e.state;
    v.attempt = e.attempt;
    v.known = e.known;
    v.seen.assign(e.seen.begin(), e.seen.end());
    v.version = e.version;
    v.start = e.start, v.first = e.first, v.update = e.update, v.end = e.end, v.last_retry = e.last_retry;
    v.trigger = e.trigger;
    v.stop_comment = e.stop_comment;
    v.stages.reserve(e.stages.size());
    for (const Stage& s : e.stages) {
        StageView& o = v.stages.emplace_back();
        o.name = names_.text(s.name);
        o.state = s.state;
        o.attempt = s.attempt;
        o.known = s.known;
        o.seen.assign(s.seen.begin(), s.seen.end());
        o.start = s.start, o.first = s.first, o.update = s.update, o.end = s.end, o.last_retry = s.last_retry;
    }
    v.actions.reserve(e.actions.size());
    for (const Action& a : e.actions) {
        ActionView& o = v.actions.emplace_back();
        o.name = names_.text(a.name);
        o.action_execution_id = a.id.str();
        o.stage = names_.text(e.stages[a.stage].name);
        o.state = a.state;
        o.attempt = a.attempt;
        o.seen = a.seen;
        o.start = a.start, o.first = a.first, o.update = a.update, o.end = a.end;
        const auto type = split_type(names_.text(a.type));
        o.category = type[0], o.owner = type[1], o.provider = type[2], o.region = type[3];
        o.result = a.result;
    }
    auto began = [](const auto& x) { return x.start != no_time ? x.start : x.first; };
    std::sort(v.stages.begin(), v.stages.end(),
              [&](const auto& a, const auto& b) { return std::forward_as_tuple(began(a), a.name) < std::forward_as_tuple(began(b), b.name); });
    std::sort(v.actions.begin(), v.actions.end(), [&](const auto& a, const auto& b) {
        return std::forward_as_tuple(began(a), a.attempt, a.stage, a.name, a.action_execution_id) <
               std::forward_as_tuple(began(b), b.attempt, b.stage, b.name, b.action_execution_id);
    });
    ByteReader in(e.groups);
    Position at = 0;
    v.groups.reserve(e.group_count);
    while (in.left()) v.groups.push_back(at += in.varint());
    v.events = e.events;
    return v;
}

ExecutionFacts Tracking::facts(const Execution& e, const PipelineEvent& event) const {
    ExecutionFacts f;
    f.start = e.ordering_start();
    f.state = e.state;
    f.attempt = e.attempt;
    f.known = e.known;
    const size_t stage = event.scope == Scope::pipeline ? nowhere : find_stage(e, event.stage);
    if (stage != nowhere) {
        const Stage& s = e.stages[stage];
        f.stage_state = s.state;
        f.stage_attempt = s.attempt;
        f.stage_known = s.known;
        f.stage_begun = s.attempt;
    }
    for (const Action& a : e.actions) {
        if (a.stage == stage) f.stage_begun = std::max<int>(f.stage_begun, a.attempt);
        if (stage != nowhere && a.stage == stage && !is_end(a.state) && a.attempt >= f.stage_attempt) ++f.peers_running;
        if (a.state == State::failed && (stage == nowhere ? a.attempt >= e.attempt : a.stage == stage && a.attempt >= f.stage_attempt)) f.cause_known = true;
    }
    return f;
}

// -- decide --

Outcome Tracking::decide(const PipelineEvent& event, const Execution* e) const {
    if (!e) {
        if (pipelines_.size() >= limits::pipelines && !find_pipeline(event.key)) return Outcome::untracked;
        return Outcome::accepted;
    }
    if (event.scope == Scope::pipeline) {
        if (was_seen(e->seen, event.attempt, event.state)) return Outcome::duplicate;
        return passes(e->known, e->attempt, e->state, event.attempt, event.state) ? Outcome::accepted : Outcome::late;
    }
    const size_t stage = find_stage(*e, event.stage);
    if (stage == nowhere) return e->stages.size() >= limits::stages_an_execution ? Outcome::untracked : Outcome::accepted;
    if (event.scope == Scope::stage) {
        const Stage& s = e->stages[stage];
        if (was_seen(s.seen, event.attempt, event.state)) return Outcome::duplicate;
        return passes(s.known, s.attempt, s.state, event.attempt, event.state) ? Outcome::accepted : Outcome::late;
    }
    const size_t action = find_action(*e, event, stage);
    if (action == nowhere) return e->actions.size() >= limits::actions_an_execution ? Outcome::untracked : Outcome::accepted;
    const Action& a = e->actions[action];
    if (a.seen & bit(event.state)) return Outcome::duplicate;
    return event.state > a.state ? Outcome::accepted : Outcome::late;
}

// -- apply --

Pipeline& Tracking::pipeline(const PipelineKey& key) {
    auto& p = pipelines_[key];
    if (!p) {
        p = std::make_unique<Pipeline>();
        p->key = key;
    }
    return *p;
}

Execution& Tracking::insert(Pipeline& pipeline, CompactId id) {
    auto* e = new Execution;
    e->id = std::move(id);
    e->pipeline = &pipeline;
    executions_.insert(e);
    return *e;
}

void Tracking::note_group(Execution& e, Position position, TimeMs time) {
    e.touched = time;
    e.changed = position;
    if (position <= e.last_group || e.group_count >= limits::groups_an_execution) return;
    ByteWriter(e.groups).varint(position - e.last_group);
    e.last_group = position;
    ++e.group_count;
}

void Tracking::mark_dirty(Execution& e) {
    if (e.DirtyHook::is_linked()) return;
    dirty_.push_back(e);
    ++dirty_count_;
}

Execution* Tracking::apply(const TransitionRecord& record, Position position, TimeMs time) {
    if (record.outcome == Outcome::untracked) return nullptr;
    const PipelineEvent& event = record.event;
    const CompactId id(event.execution_id);
    const auto found = executions_.find(InPipeline{id, event.key});
    const bool added = found == executions_.end();
    Execution& e = added ? insert(pipeline(event.key), id) : **found;
    Pipeline& p = *e.pipeline;
    if (added) ++p.executions;

    const TimeMs began = event.start != no_time ? std::min(event.start, event.time) : event.time;
    // An execution whose place among its pipeline's changes is out of the ordered set while it does.
    TimeMs start = e.start, first = e.first;
    if (event.scope == Scope::pipeline) earliest(start, event.start);
    earliest(first, began);
    const bool moves = added || e.ordering_start() != (start != no_time ? start : first);
    if (moves && !added) p.live.erase(p.live.iterator_to(e));

    ++e.events;
    earliest(e.first, began);
    latest(e.update, event.time);
    e.version = std::max(e.version, event.version);
    note_group(e, position, time);

    if (event.scope == Scope::pipeline) {
        merge_state(e, event);
        if (event.texts & Texts::trigger) merge_text(e.trigger, text_ref(event, position, event.texts & Texts::commit ? 2 : 1));
        if (event.texts & Texts::stop_comment) merge_text(e.stop_comment, text_ref(event, position, event.attempt));
    } else {
        size_t stage = find_stage(e, event.stage);
        if (stage == nowhere) {
            stage = e.stages.size();
            add_one(e.stages).name = names_.take(event.stage);
        }
        Stage& s = e.stages[stage];
        earliest(s.first, began);
        if (event.scope == Scope::stage) {
            latest(s.update, event.time);
            merge_state(s, event);
        } else {
            size_t action = find_action(e, event, stage);
            if (action == nowhere) {
                action = e.actions.size();
                Action& a = add_one(e.actions);
                a.id = CompactId(event.action_execution_id);
                a.stage = static_cast<uint16_t>(stage);
                a.name = names_.take(event.action);
                a.type = names_.take("\n\n\n");
            }
            Action& a = e.actions[action];
            if (!a.seen || event.state > a.state) {
                a.state = event.state;
                a.end = is_end(event.state) ? event.time : no_time;
            } else if (event.state == a.state && is_end(event.state)) {
                latest(a.end, event.time);
            }
            a.seen |= bit(event.state);
            a.attempt = std::max(a.attempt, static_cast<uint16_t>(event.attempt));
            earliest(a.start, event.start);
            earliest(a.first, began);
            latest(a.update, event.time);
            if (const auto type = merge_type(names_.text(a.type), event)) {
                const uint32_t old = a.type;
                a.type = names_.take(*type);
                names_.drop(old);
            }
            if (event.texts & Texts::result) merge_text(a.result, text_ref(event, position, static_cast<int>(event.state)));
            // A stage known from its actions only shows their progress; its own events take over as soon as one is there.
            if (!s.known) s.attempt = std::max(s.attempt, static_cast<uint16_t>(event.attempt));
        }
    }
    if (!e.known) e.attempt = std::max(e.attempt, static_cast<uint16_t>(event.attempt));

    if (moves) p.live.insert(e);
    p.changed = position;
    mark_dirty(e);
    return &e;
}

void Tracking::concern(const PipelineKey& key, std::string_view execution_id, Position position, TimeMs time) {
    if (Execution* e = find_mutable(key, execution_id)) {
        note_group(*e, position, time);
        mark_dirty(*e);
    }
}

void Tracking::remove(Execution& e) {
    for (const Stage& s : e.stages) names_.drop(s.name);
    for (const Action& a : e.actions) {
        names_.drop(a.name);
        names_.drop(a.type);
    }
    if (e.DirtyHook::is_linked()) --dirty_count_;
    e.pipeline->live.erase(e.pipeline->live.iterator_to(e));
    executions_.erase(&e);
    delete &e;
}

void Tracking::apply(const RetiredRecord& record) {
    Execution* e = find_mutable(record.pipeline, record.execution_id);
    ASSERT(e);
    Pipeline& p = *e->pipeline;
    if (!p.newest_retired || std::pair(e->ordering_start(), e->id.str()) > std::pair(p.newest_retired->start, p.newest_retired->id)) {
        const ExecutionView v = view(*e);
        auto c = std::make_unique<CurrentExecution>(
            CurrentExecution{v.execution_id, v.ordering_start(), v.update, v.state, v.attempt, find_gaps(v).size(), {}});
        for (const auto& s : v.stages) c->stages.push_back({s.name, s.state, s.attempt});
        p.newest_retired = std::move(c);
    }
    remove(*e);
}

Execution& Tracking::insert_view(const ExecutionView& v, TimeMs touched) {
    Pipeline& p = pipeline(v.key);
    Execution& e = insert(p, CompactId(v.execution_id));
    e.state = v.state;
    e.attempt = static_cast<uint16_t>(v.attempt);
    e.known = v.known;
    e.seen.assign(v.seen.begin(), v.seen.end());
    e.version = v.version;
    e.start = v.start, e.first = v.first, e.update = v.update, e.end = v.end, e.last_retry = v.last_retry;
    e.touched = touched;
    e.trigger = v.trigger;
    e.stop_comment = v.stop_comment;
    for (const StageView& s : v.stages) {
        Stage& o = add_one(e.stages);
        o.name = names_.take(s.name);
        o.state = s.state;
        o.attempt = static_cast<uint16_t>(s.attempt);
        o.known = s.known;
        o.seen.assign(s.seen.begin(), s.seen.end());
        o.start = s.start, o.first = s.first, o.update = s.update, o.end = s.end, o.last_retry = s.last_retry;
    }
    for (const ActionView& a : v.actions) {
        Action& o = add_one(e.actions);
        o.id = CompactId(a.action_execution_id);
        o.name = names_.take(a.name);
        o.type = names_.take(join_type(a.category, a.owner, a.provider, a.region));
        o.stage = static_cast<uint16_t>(find_stage(e, a.stage));
        o.state = a.state;
        o.attempt = static_cast<uint16_t>(a.attempt);
        o.seen = a.seen;
        o.start = a.start, o.first = a.first, o.update = a.update, o.end = a.end;
        o.result = a.result;
    }
    for (Position at : v.groups) note_group(e, at, touched);
    e.touched = touched;
    e.events = v.events;
    p.live.insert(e);
    return e;
}

Execution* Tracking::apply_recalled(const ExecutionView& v, TimeMs time) {
    if (Execution* e = find_mutable(v.key, v.execution_id)) return e;
    Execution& e = insert_view(v, time);
    if (e.pipeline->newest_retired && e.pipeline->newest_retired->id == v.execution_id) e.pipeline->newest_retired.reset();
    return &e;
}

std::vector<const Execution*> Tracking::take_dirty(size_t limit) {
    std::vector<const Execution*> taken;
    while (taken.size() < limit && !dirty_.empty()) {
        taken.push_back(&dirty_.front());
        dirty_.pop_front();
        --dirty_count_;
    }
    return taken;
}

// -- snapshot --

namespace {
enum class Piece : uint8_t { known_ids = 1, pipeline = 2, execution = 3 };
}

void Tracking::encode(const std::function<void(std::string_view)>& sink) const {
    std::string piece;
    known_ids.encode([&](std::string_view entries) {
        piece.clear();
        ByteWriter out(piece);
        out.u8(static_cast<uint8_t>(Piece::known_ids));
        out.raw(entries);
        sink(piece);
    });
    each_pipeline([&](const Pipeline& p) {
        piece.clear();
        ByteWriter out(piece);
        out.u8(static_cast<uint8_t>(Piece::pipeline));
        out.text(p.key.account);
        out.text(p.key.region);
        out.text(p.key.pipeline);
        out.varint(p.executions);
        out.varint(p.changed);
        out.u8(p.newest_retired != nullptr);
        if (p.newest_retired) {
            const auto& c = *p.newest_retired;
            out.text(c.id);
            out.svarint(c.start);
            out.svarint(c.update);
            out.u8(static_cast<uint8_t>(c.state));
            out.varint(static_cast<uint64_t>(c.attempt));
            out.varint(c.gaps);
            out.varint(c.stages.size());
            for (const auto& s : c.stages) {
                out.text(s.name);
                out.u8(static_cast<uint8_t>(s.state));
                out.varint(static_cast<uint64_t>(s.attempt));
            }
        }
        sink(piece);
        for (const Execution& e : p.live) {
            piece.clear();
            ByteWriter exec(piece);
            exec.u8(static_cast<uint8_t>(Piece::execution));
            exec.svarint(e.touched);
            waybill::encode(exec, view(e));
            sink(piece);
        }
    });
}

Result<void> Tracking::restore(std::string_view piece) {
    ByteReader in(piece);
    switch (static_cast<Piece>(in.u8())) {
        case Piece::known_ids:
            if (!known_ids.restore(in)) break;
            return {};
        case Piece::pipeline: {
            PipelineKey key;
            key.account = in.text();
            key.region = in.text();
            key.pipeline = in.text();
            Pipeline& p = pipeline(key);
            p.executions = in.varint();
            p.changed = in.varint();
            if (in.u8()) {
                auto c = std::make_unique<CurrentExecution>();
                c->id = in.text();
                c->start = in.svarint();
                c->update = in.svarint();
                c->state = static_cast<State>(in.u8());
                c->attempt = static_cast<int>(in.varint());
                c->gaps = in.varint();
                const uint64_t n = in.varint();
                for (uint64_t i = 0; i < n && !in.failed(); ++i) {
                    StageCell s;
                    s.name = in.text();
                    s.state = static_cast<State>(in.u8());
                    s.attempt = static_cast<int>(in.varint());
                    c->stages.push_back(std::move(s));
                }
                p.newest_retired = std::move(c);
            }
            if (!in.complete()) break;
            return {};
        }
        case Piece::execution: {
            const TimeMs touched = in.svarint();
            ExecutionView v;
            if (!waybill::decode(in, v) || !in.complete()) break;
            insert_view(v, touched);
            return {};
        }
    }
    return corrupt("a piece of the tracking snapshot cannot be read");
}

}  // namespace waybill::tracking
