#include "node/node.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <chrono>

namespace waybill::node {
namespace {

constexpr size_t started_a_step = 1000;   // deliveries handed out, and executions looked at for retiring, in one batch
constexpr int64_t full_disk_wait_ms = 500;

size_t bytes_of(const Command& command) {
    const auto* ingest = std::get_if<Ingest>(&command);
    if (!ingest) return 64;
    size_t sum = 64;
    for (const auto& e : ingest->events) sum += e.envelope.size() + 256;
    return sum;
}

}  // namespace

class Node::Group {
public:
    // `bound`: the payload will not be longer. Fixes the position, so that records can name it.
    Group(Node& node, size_t bound) : node_(node), position_(node.parts_.log.prepare(bound)), writer_(node.payload_) { node_.payload_.clear(); }
    ~Group() {
        if (node_.payload_.empty()) return;
        const Position at = node_.parts_.log.append(node_.now_, node_.payload_);
        ASSERT(at == position_);
        node_.state_->last_time = node_.now_;
        node_.gauges_.groups.fetch_add(1, std::memory_order_relaxed);
    }
    Group(const Group&) = delete;

    Position position() const { return position_; }
    uint16_t next_delivery() const { return deliveries_; }

    void add(const EventRecord& r) {
        writer_.add(r);
        node_.state_->apply(r, node_.now_);
    }
    tracking::Execution* add(const TransitionRecord& r) {
        writer_.add(r);
        return node_.state_->apply(r, position_, node_.now_);
    }
    void add(const Decision& r) {
        writer_.add(r);
        node_.state_->apply(r);
    }
    void add(const Delivery& r) {
        writer_.add(r);
        node_.state_->apply(r);
        ++deliveries_;
    }
    void add(const DeliveryChange& r) {
        writer_.add(r);
        node_.state_->apply(r, position_, node_.now_);
    }
    void add(const RetiredRecord& r) {
        writer_.add(r);
        node_.state_->apply(r);
    }
    void add(const RecalledRecord& r) {
        writer_.add(r);
        const auto applied = node_.state_->apply(r, node_.now_);
        ASSERT(applied.ok());
    }
    void add(const SettingsRecord& r) {
        writer_.add(r);
        node_.state_->apply(r);
    }

private:
    Node& node_;
    const Position position_;
    GroupWriter writer_;
    uint16_t deliveries_ = 0;
};

Node::Node(Parts parts, const Config& config, std::unique_ptr<State> state, Position history_position)
    : parts_(std::move(parts)), config_(config), state_(std::move(state)), history_position_(history_position) {
    for (const auto& t : config.targets) concurrency_[t.name] = t.concurrency;
    now_ = state_->last_time;
    state_->tracking.each_execution(
        [&](const tracking::Execution& e) { lingering_.push_back({e.touched + config_.tracking.linger_ms, e.pipeline->key, e.id.str()}); });
    std::sort(lingering_.begin(), lingering_.end(), [](const auto& a, const auto& b) { return a.look_at < b.look_at; });
    gauges_.released = parts_.log.durable();
}

// -- the queue --

bool Node::submit(Command command) {
    {
        std::lock_guard lock(mutex_);
        const size_t bytes = bytes_of(command);
        const bool from_outside = std::holds_alternative<Ingest>(command) || std::holds_alternative<Read>(command) || std::holds_alternative<Redrive>(command);
        if (from_outside && (stopping_ || queue_.size() >= limits::queue_commands || queue_bytes_ + bytes > limits::queue_bytes)) {
            gauges_.refused_full.fetch_add(1, std::memory_order_relaxed);
            return false;
        }
        queue_bytes_ += bytes;
        queue_.push_back(std::move(command));
        if (queue_.size() > 1) return true;
    }
    wake_.notify_one();
    return true;
}

Result<void> Node::run() {
    for (;;) {
        TRY(const TimeMs next, step());
        std::unique_lock lock(mutex_);
        if (!queue_.empty()) continue;
        if (stopping_) return {};
        if (next == no_time) {
            wake_.wait(lock, [&] { return !queue_.empty() || stopping_; });
        } else {
            const int64_t wait_ms = std::clamp<int64_t>(next - parts_.clock.now(), 0, 60'000);
            wake_.wait_for(lock, std::chrono::milliseconds(wait_ms), [&] { return !queue_.empty() || stopping_; });
        }
    }
}

void Node::stop() {
    {
        std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_one();
}

void Node::drain(int64_t at_most_ms) {
    std::unique_lock lock(mutex_);
    draining_ = true;
    queue_.push_back(Read{[](const View&) {}});  // so that a batch comes by
    wake_.notify_one();
    idle_.wait_for(lock, std::chrono::milliseconds(at_most_ms), [&] { return drained_; });
}

// -- one batch --

Result<TimeMs> Node::step() {
    if (!unsynced_) {
        std::vector<Command> batch;
        {
            std::lock_guard lock(mutex_);
            starting_ = !draining_;
            size_t bytes = 0, n = 0;
            while (n < queue_.size() && n < limits::commands_a_batch && bytes < limits::batch_bytes) bytes += bytes_of(queue_[n++]);
            if (n == queue_.size()) {
                batch.swap(queue_);
                queue_bytes_ = 0;
            } else {
                batch.assign(std::make_move_iterator(queue_.begin()), std::make_move_iterator(queue_.begin() + static_cast<ptrdiff_t>(n)));
                queue_.erase(queue_.begin(), queue_.begin() + static_cast<ptrdiff_t>(n));
                queue_bytes_ -= bytes;
            }
        }
        now_ = std::max(parts_.clock.now(), state_->last_time);  // stamped time never goes backwards
        known_absent_.clear();
        if (!begun_) {
            begun_ = true;
            note_settings();
            recover_in_flight();
        }
        for (auto& command : batch) std::visit([this](auto& c) { execute(c); }, command);
        if (starting_) start_due();
        retire_done();
        if (!starting_ && !state_->deliveries.any_in_flight()) {
            std::lock_guard lock(mutex_);
            drained_ = true;
            idle_.notify_all();
        }
    }

    // Nothing leaves before this.
    const size_t bytes = parts_.log.buffered_bytes();
    if (bytes) {
        const auto began = std::chrono::steady_clock::now();
        auto synced = parts_.log.sync();
        if (!synced.ok() && synced.error().kind == ErrorKind::overloaded) {
            // Not even the reserve is left: what was decided waits, in order, until there is room.
            if (!unsynced_) spdlog::warn("disk_full message=\"{}\"", synced.error().message);
            unsynced_ = true;
            return parts_.clock.now() + full_disk_wait_ms;
        }
        if (!synced.ok()) return std::move(synced).error().in("syncing the log");
        gauges_.sync_ns += static_cast<uint64_t>((std::chrono::steady_clock::now() - began).count());
        gauges_.synced_bytes += bytes;
    }
    unsynced_ = false;
    ++gauges_.batches;

    const Position durable = parts_.log.durable();
    const bool moved = gauges_.released.exchange(durable) != durable;
    parts_.recent_texts.remember(texts_);
    for (auto& release : released_) release();
    released_.clear();
    const View view{*state_, durable, now_, parts_.log.accepts_events()};
    for (auto& r : reads_) r.read(view);
    reads_.clear();

    for (auto& [position, event] : failures_)
        if (const auto* e = state_->tracking.find(event.key, event.execution_id)) parts_.on_failure({std::move(event), position, state_->tracking.view(*e)});
    failures_.clear();

    for (DeliveryId id : started_) {
        const Delivery* d = state_->deliveries.find(id);
        if (!d || d->status != DeliveryStatus::in_flight) continue;
        Job job{*d, {}, {}};
        if (const auto* e = state_->tracking.find(d->pipeline, d->execution_id)) job.execution = state_->tracking.view(*e);
        if (d->topic == DeliveryTopic::pipeline_failed || d->topic == DeliveryTopic::pipeline_succeeded)
            for (auto& i : state_->policy.incidents(d->pipeline)) {
                const bool member = std::any_of(i.executions.begin(), i.executions.end(), [&](const auto& e) { return e.execution_id == d->execution_id; });
                if (d->topic == DeliveryTopic::pipeline_failed ? member : i.resolved_by == d->execution_id) job.incident = std::move(i);
            }
        parts_.performer.perform(std::move(job));
    }
    started_.clear();

    for (auto& collect : collects_) {
        history::Batch changes = take_changes(*state_, collect.limit, durable);
        collect.take(std::move(changes), state_->tracking.dirty());
    }
    collects_.clear();

    if (moved) {
        parts_.on_release(durable);
        parts_.on_changes();
    }
    return next_due();
}

TimeMs Node::next_due() const {
    TimeMs next = starting_ ? state_->deliveries.next_ready([&](const std::string& target) { return room(target) > 0; }) : no_time;
    if (!lingering_.empty() && (next == no_time || lingering_.front().look_at < next)) next = lingering_.front().look_at;
    return next;
}

int Node::room(const std::string& target) const {
    const auto at = concurrency_.find(target);
    return (at == concurrency_.end() ? 4 : at->second) - state_->deliveries.in_flight(target);
}

// -- commands --

void Node::execute(Ingest& command) {
    if (command.next == 0) {
        std::optional<Error> refusal;
        if (!parts_.log.accepts_events()) refusal = overloaded("the disk is full: no new events are taken until there is room again");
        else if (state_->deliveries.open() >= limits::open_deliveries) refusal = overloaded("too many deliveries are open: no new events are taken until some are done");
        if (refusal) {
            gauges_.refused_disk.fetch_add(1, std::memory_order_relaxed);
            released_.push_back([answer = std::move(command.answer), refusal = std::move(*refusal)]() mutable { answer(std::move(refusal)); });
            return;
        }
    }
    for (; command.next < command.events.size(); ++command.next)
        if (!take_event(command.events[command.next], command)) return;  // parked
    command.so_far.position = parts_.log.tail();
    released_.push_back([answer = std::move(command.answer), result = command.so_far]() mutable { answer(result); });
}

// False: the event's execution may have been retired. It is looked up, and the command goes on from this event when that is known.
bool Node::take_event(IncomingEvent& event, Ingest& command) {
    const tracking::Execution* known = event.pipeline ? state_->tracking.find(event.pipeline->key, event.pipeline->execution_id) : nullptr;
    if (event.pipeline && !known) {
        const auto& e = *event.pipeline;
        if (state_->retired.maybe(execution_hash(e.key, e.execution_id)) && !known_absent_.contains({e.key, e.execution_id})) {
            std::string key = fmt::format("{}\n{}\n{}\n{}", e.key.account, e.key.region, e.key.pipeline, e.execution_id);
            auto [at, first] = parked_.try_emplace(std::move(key));
            if (first) parts_.recaller.recall(e.key, e.execution_id);
            at->second.commands.push_back(std::move(command));
            return false;
        }
    }

    const size_t effects = event.pipeline ? (256 << 10) + 4096 * config_.targets.size() : 0;
    Group group(*this, std::min(event.envelope.size() + 1024 + effects, parts_.log.max_payload()));
    EventRecord record;
    record.identity = event.identity;
    record.duplicate = state_->tracking.known_ids.contains(event.identity);
    record.envelope = event.envelope;
    group.add(record);
    ++(record.duplicate ? command.so_far.duplicates : command.so_far.accepted);
    if (!event.pipeline) return true;

    TransitionRecord& transition = transition_;
    transition.event = std::move(*event.pipeline);
    transition.outcome = state_->tracking.decide(transition.event, known);
    const tracking::Execution* e = group.add(transition);
    if (e && !known) lingering_.push_back({now_ + config_.tracking.linger_ms, e->pipeline->key, transition.event.execution_id});
    if (!event.texts.empty()) texts_.emplace_back(group.position(), std::move(event.texts));
    if (transition.outcome == Outcome::accepted) decide_effects(group, transition.event, state_->tracking.facts(*e, transition.event));
    return true;
}

void Node::decide_effects(Group& group, const PipelineEvent& event, const ExecutionFacts& facts) {
    if (event.state == waybill::State::failed && parts_.on_failure) failures_.emplace_back(group.position(), event);
    const policy::Context context{config_.policy, group.position(), group.next_delivery(), now_, event.scope == Scope::action && event.state == waybill::State::failed && parts_.can_retry(event.key)};
    const policy::Plan plan = policy::decide(state_->policy, event, facts, context);

    // What is open already first, so that a plan of this very group is not taken for an older one.
    auto change = [&](std::vector<DeliveryChange> changes, PolicyLine line, Verdict verdict, Reason reason) {
        if (changes.empty()) return;
        Decision d = policy::decision_about(event, line, verdict, reason, config_.policy.version);
        for (const auto& c : changes) {
            group.add(c);
            d.deliveries.push_back(c.id);
        }
        group.add(d);
    };
    for (const auto& r : plan.releases) {
        const PolicyLine line = r.topic == DeliveryTopic::pipeline_failed ? PolicyLine::pipeline_failed
                                : r.topic == DeliveryTopic::stage_failed  ? PolicyLine::stage_failed
                                                                          : PolicyLine::action_failed;
        change(delivery::decide_release(state_->deliveries, event.key, event.execution_id, r.topic, r.stage, now_), line, Verdict::released, Reason::cause_arrived);
    }
    for (const auto& c : plan.cancels)
        change(delivery::decide_cancel_retries(state_->deliveries, event.key, event.execution_id, c.stage, c.before_attempt, reason_sentence(c.reason)),
               PolicyLine::action_failed, Verdict::cancelled, c.reason);
    for (const auto& d : plan.decisions) group.add(d);
    for (const auto& d : plan.deliveries) group.add(d);
    for (const auto& d : plan.decisions)
        spdlog::info("decision position={} pipeline={:?} execution_id={:?} stage={:?} action={:?} attempt={} policy={} verdict={} reason={} deliveries={}", group.position(),
                     d.pipeline.pipeline, d.execution_id, d.stage, d.action, d.attempt, to_string(d.line), to_string(d.verdict), reason_code(d.reason), d.deliveries.size());
}

void Node::execute(AttemptEnded& command) {
    const Delivery* d = state_->deliveries.find(command.id);
    if (!d || d->status != DeliveryStatus::in_flight) return;
    const DeliveryChange c = delivery::decide_outcome(*d, command.outcome, config_.delivery, now_, parts_.random.next());
    spdlog::log(c.kind == DeliveryChangeKind::dead ? spdlog::level::warn : spdlog::level::info,
                "delivery delivery_id={} target={:?} topic={} outcome={} code={} attempt={} text={:?}", d->id.str(), d->target, to_string(d->topic), to_string(c.kind), c.code,
                d->attempts_total, c.text);
    Group group(*this, 16 << 10);
    group.add(c);
}

void Node::execute(Redrive& command) {
    std::vector<DeliveryId> ids = std::move(command.ids);
    if (command.all)
        state_->deliveries.each([&](const Delivery& d) {
            if (d.status == DeliveryStatus::dead) ids.push_back(d.id);
        });
    std::vector<DeliveryChange> changes;
    for (DeliveryId id : ids) {
        auto change = delivery::decide_redrive(state_->deliveries, id);
        if (!change.ok()) {
            released_.push_back([answer = std::move(command.answer), error = std::move(change).error()]() mutable { answer(std::move(error)); });
            return;
        }
        changes.push_back(std::move(change).value());
    }
    for (const auto& c : changes) {
        Group group(*this, 16 << 10);
        group.add(c);
    }
    released_.push_back([answer = std::move(command.answer), n = changes.size()]() mutable { answer(n); });
}

void Node::execute(Read& command) { reads_.push_back(std::move(command)); }
void Node::execute(CollectChanges& command) { collects_.push_back(std::move(command)); }
void Node::execute(HistoryWritten& command) { history_position_ = std::max(history_position_, command.position); }

void Node::execute(Recalled& command) {
    const std::string key = fmt::format("{}\n{}\n{}\n{}", command.pipeline.account, command.pipeline.region, command.pipeline.pipeline, command.execution_id);
    auto parked = parked_.extract(key);
    if (parked.empty()) return;
    if (!command.row.ok()) {
        for (auto& waiting : parked.mapped().commands)
            released_.push_back([answer = std::move(waiting.answer), error = command.row.error()]() mutable { answer(std::move(error).in("looking up a retired execution")); });
        return;
    }
    if (!*command.row) {
        known_absent_.insert({command.pipeline, command.execution_id});
    } else if (!state_->tracking.find(command.pipeline, command.execution_id)) {
        auto& row = **command.row;
        RecalledRecord r;
        ByteWriter out(r.execution);
        encode(out, row.execution);
        r.policy = row.policy;
        Group group(*this, std::min(r.execution.size() + r.policy.size() + 1024, parts_.log.max_payload()));
        group.add(r);
        lingering_.push_back({now_ + config_.tracking.linger_ms, command.pipeline, command.execution_id});
    }
    for (auto& waiting : parked.mapped().commands) execute(waiting);
}

// -- what time brings --

void Node::start_due() {
    auto ready = state_->deliveries.ready(now_, started_a_step, [this](const std::string& target) { return room(target); });
    std::erase_if(ready, [this](DeliveryId id) { return cancel_passed_retry(*state_->deliveries.find(id)); });
    if (ready.empty()) return;
    // One group for all of them: an attempt is on record before it is made.
    Group group(*this, std::min(ready.size() * 64 + 1024, parts_.log.max_payload()));
    for (DeliveryId id : ready) {
        DeliveryChange c;
        c.id = id;
        c.kind = DeliveryChangeKind::started;
        group.add(c);
        started_.push_back(id);
    }
}

// A retry that was under way when its attempt ended or was retried could not be cancelled then; if it comes to another call, it is now.
bool Node::cancel_passed_retry(const Delivery& d) {
    if (d.kind != DeliveryKind::retry) return false;
    const tracking::Execution* e = state_->tracking.find(d.pipeline, d.execution_id);
    if (!e) return false;
    PipelineEvent stage;
    stage.scope = Scope::stage;
    stage.stage = d.stage;
    const auto unwanted = policy::retry_unwanted(state_->tracking.facts(*e, stage), d.attempt);
    if (!unwanted) return false;
    Decision decision;
    decision.line = PolicyLine::action_failed;
    decision.verdict = Verdict::cancelled;
    decision.reason = *unwanted == Reason::retry_not_current ? Reason::retried_by_person : *unwanted;
    decision.pipeline = d.pipeline;
    decision.execution_id = d.execution_id;
    decision.stage = d.stage;
    decision.attempt = d.attempt;
    decision.settings = config_.policy.version;
    decision.deliveries = {d.id};
    DeliveryChange c;
    c.id = d.id;
    c.kind = DeliveryChangeKind::cancelled;
    c.text = reason_sentence(decision.reason);
    Group group(*this, 16 << 10);
    group.add(c);
    group.add(decision);
    return true;
}

void Node::retire_done() {
    for (size_t n = 0; n < started_a_step && !lingering_.empty() && lingering_.front().look_at <= now_; ++n) {
        Lingering l = std::move(lingering_.front());
        lingering_.pop_front();
        const tracking::Execution* e = state_->tracking.find(l.pipeline, l.execution_id);
        if (!e) continue;
        const int64_t silence_ms = now_ - e->touched;
        const bool done = e->ended() ? silence_ms >= config_.tracking.linger_ms : silence_ms >= config_.tracking.stale_after_ms;
        const bool kept = !state_->tracking.is_dirty(*e) && e->changed < history_position_;
        if (done && kept && !state_->tracking.is_current(*e) && state_->deliveries.of_execution(l.pipeline, l.execution_id).empty()) {
            Group group(*this, 4096);
            group.add(RetiredRecord{l.pipeline, l.execution_id, !e->ended()});
            continue;
        }
        l.look_at = now_ + std::max<int64_t>(config_.tracking.linger_ms, 1000);
        lingering_.push_back(std::move(l));
    }
}

// What was in flight when the process stopped has an unknown outcome.
void Node::recover_in_flight() {
    std::vector<DeliveryChange> changes;
    state_->deliveries.each([&](const Delivery& d) {
        if (d.status == DeliveryStatus::in_flight) changes.push_back(delivery::decide_unknown(d, now_));
    });
    for (const auto& c : changes) {
        Group group(*this, 16 << 10);
        group.add(c);
    }
}

void Node::note_settings() {
    if (state_->settings == config_.policy.version) return;
    Group group(*this, std::min(config_.policy.text.size() + 1024, parts_.log.max_payload()));
    group.add(SettingsRecord{config_.policy.version, config_.policy.text});
}

}  // namespace waybill::node
