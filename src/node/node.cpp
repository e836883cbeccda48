#include "node/node.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <span>

namespace waybill::node {
namespace {

constexpr size_t started_a_step = 1000;  // deliveries handed out, and executions looked at for retiring, in one batch
constexpr int64_t full_disk_wait_ms = 500;
// Of what one event causes; what is more follows in further groups. A group holds 16 MiB: this and the event fit well.
constexpr size_t deliveries_bytes_a_group = 8 << 20;

size_t bytes_of(const Command& command) {
    const auto* ingest = std::get_if<Ingest>(&command);
    if (!ingest) return 64;
    size_t sum = 64;
    for (const auto& e : ingest->events) sum += e.envelope.size() + 256;
    return sum;
}

// How many of the deliveries, from the first on, belong into one group, and how long they are at most.
struct Fit {
    size_t count = 0, bytes = 1024;
};
Fit fit(std::span<const Delivery> deliveries) {
    Fit f;
    for (const auto& d : deliveries) {
        const size_t bytes = 256 + d.target.size() + d.key.size() + d.from_rule->target_id.size() + d.from_rule->replay.size() +
                             d.from_rule->dead_letter_arn.size();
        if (f.bytes + bytes > deliveries_bytes_a_group) break;
        f.bytes += bytes;
        ++f.count;
    }
    return f;
}

size_t bytes_of(const bus::Routing& routing) {
    if (routing.routed.empty()) return 0;
    size_t sum = fit(routing.deliveries).bytes;
    for (const auto& r : routing.routed)
        sum += 256 + r.account.size() + r.region.size() + r.bus.size() + r.replay.size() + 10 * r.rules.size();
    return sum;
}

}  // namespace

class Node::Group {
public:
    // `bound`: the payload will not be longer. Fixes the position, so that records can name it.
    Group(Node& node, size_t bound) : node_(node), position_(node.parts_.log.prepare(bound)), writer_(node.payload_) {
        node_.payload_.clear();
    }
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
    void add(const BusChangeRecord& r) {
        writer_.add(r);
        ASSERT(node_.state_->apply(r, position_));
    }
    void add(const RoutedRecord& r, uint64_t envelope_bytes) {
        writer_.add(r);
        node_.state_->apply(r, envelope_bytes);
    }

private:
    Node& node_;
    const Position position_;
    GroupWriter writer_;
    uint16_t deliveries_ = 0;
};

Node::Node(Parts parts, const Config& config, std::unique_ptr<State> state, Position history_position)
    : parts_(std::move(parts)),
      config_(config),
      state_(std::move(state)),
      home_bus_{{config.account, config.region}, std::string(bus::default_bus)},
      history_position_(history_position) {
    routes_ = state_->bus.routes();
    for (const auto& t : config.targets) concurrency_[t.name] = t.concurrency;
    now_ = state_->last_time;
    state_->tracking.each_execution([&](const tracking::Execution& e) {
        lingering_.push_back({e.touched + config_.tracking.linger_ms, e.pipeline->key, e.id.str()});
    });
    std::sort(lingering_.begin(), lingering_.end(), [](const auto& a, const auto& b) { return a.look_at < b.look_at; });
    gauges_.released = parts_.log.durable();
}

// -- the queue --

bool Node::submit(Command command) {
    {
        std::lock_guard lock(mutex_);
        const size_t bytes = bytes_of(command);
        const bool from_outside = std::holds_alternative<Ingest>(command) || std::holds_alternative<Read>(command) ||
                                  std::holds_alternative<Redrive>(command) || std::holds_alternative<BusCommand>(command);
        if (from_outside &&
            (stopping_ || queue_.size() >= limits::queue_commands || queue_bytes_ + bytes > limits::queue_bytes)) {
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
            while (n < queue_.size() && n < limits::commands_a_batch && bytes < limits::batch_bytes)
                bytes += bytes_of(queue_[n++]);
            if (n == queue_.size()) {
                batch.swap(queue_);
                queue_bytes_ = 0;
            } else {
                batch.assign(std::make_move_iterator(queue_.begin()),
                             std::make_move_iterator(queue_.begin() + static_cast<ptrdiff_t>(n)));
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
        if (starting_) {
            fire_due();
            start_due();
        }
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
    if (routes_.load()->version != state_->bus.version()) routes_ = state_->bus.routes();
    for (auto& release : released_) release();
    released_.clear();
    const View view{*state_, durable, now_, parts_.log.accepts_events()};
    for (auto& r : reads_) r.read(view);
    reads_.clear();

    for (auto& [position, event] : failures_)
        if (const auto* e = state_->tracking.find(event.key, event.execution_id))
            parts_.on_failure({std::move(event), position, state_->tracking.view(*e)});
    failures_.clear();

    for (DeliveryId id : started_) {
        const Delivery* d = state_->deliveries.find(id);
        if (!d || d->status != DeliveryStatus::in_flight) continue;
        Job job{*d, {}, {}};
        if (const auto* e = state_->tracking.find(d->pipeline, d->execution_id)) job.execution = state_->tracking.view(*e);
        if (d->topic == DeliveryTopic::pipeline_failed || d->topic == DeliveryTopic::pipeline_succeeded)
            for (auto& i : state_->policy.incidents(d->pipeline)) {
                const bool member = std::any_of(i.executions.begin(), i.executions.end(),
                                                [&](const auto& e) { return e.execution_id == d->execution_id; });
                if (d->topic == DeliveryTopic::pipeline_failed ? member : i.resolved_by == d->execution_id)
                    job.incident = std::move(i);
            }
        if (d->kind == DeliveryKind::target) add_rule(job);
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
    TimeMs next =
        starting_ ? state_->deliveries.next_ready([&](const std::string& target) { return room(target) > 0; }) : no_time;
    const TimeMs slot = starting_ ? state_->bus.next_slot() : no_time;
    if (slot != no_time && (next == no_time || slot < next)) next = slot;
    if (!lingering_.empty() && (next == no_time || lingering_.front().look_at < next)) next = lingering_.front().look_at;
    return next;
}

int Node::room(const std::string& target) const {
    const auto at = concurrency_.find(target);
    if (at != concurrency_.end()) return at->second - state_->deliveries.in_flight(target);
    return (target.starts_with("arn:") ? static_cast<int>(config_.event_bus.delivery_concurrency) : 4) -
           state_->deliveries.in_flight(target);
}

// -- commands --

void Node::execute(Ingest& command) {
    if (command.next == 0) {
        std::optional<Error> refusal;
        if (!parts_.log.accepts_events())
            refusal = overloaded("the disk is full: no new events are taken until there is room again");
        else if (state_->deliveries.open() >= limits::open_deliveries)
            refusal = overloaded("too many deliveries are open: no new events are taken until some are done");
        if (refusal) {
            gauges_.refused_disk.fetch_add(1, std::memory_order_relaxed);
            released_.push_back(
                [answer = std::move(command.answer), refusal = std::move(*refusal)]() mutable { answer(std::move(refusal)); });
            return;
        }
    }
    for (; command.next < command.events.size(); ++command.next)
        if (!take_event(command.events[command.next], command)) return;  // parked
    command.so_far.position = parts_.log.tail();
    released_.push_back([answer = std::move(command.answer), result = command.so_far]() mutable { answer(result); });
}

// False: the event's execution may have been retired. It is looked up, and the command goes on from this event when that is
// known.
bool Node::take_event(IncomingEvent& event, Ingest& command) {
    const tracking::Execution* known =
        event.pipeline ? state_->tracking.find(event.pipeline->key, event.pipeline->execution_id) : nullptr;
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

    EventRecord record;
    record.identity = event.identity;
    record.duplicate = state_->tracking.known_ids.contains(event.identity);
    record.envelope = event.envelope;
    ++(record.duplicate ? command.so_far.duplicates : command.so_far.accepted);
    // A repeated event was routed when it came first.
    bus::Routing routing;
    if (!record.duplicate) routing = route(event, command, command.next);
    const size_t effects = event.pipeline ? (256 << 10) + 4096 * config_.targets.size() : 0;
    size_t planned = 0;
    Position position = 0;
    {
        Group group(*this, std::min(event.envelope.size() + 1024 + effects + bytes_of(routing), parts_.log.max_payload()));
        position = group.position();
        group.add(record);
        for (const auto& r : routing.routed) group.add(r, event.envelope.size());
        if (event.pipeline) {
            TransitionRecord& transition = transition_;
            transition.event = std::move(*event.pipeline);
            transition.outcome = state_->tracking.decide(transition.event, known);
            const tracking::Execution* e = group.add(transition);
            if (e && !known)
                lingering_.push_back({now_ + config_.tracking.linger_ms, e->pipeline->key, transition.event.execution_id});
            if (!event.texts.empty()) texts_.emplace_back(position, std::move(event.texts));
            if (transition.outcome == Outcome::accepted)
                decide_effects(group, transition.event, state_->tracking.facts(*e, transition.event));
        }
        plan(group, routing.deliveries, planned);
    }
    plan_rest(routing.deliveries, planned, position);
    return true;
}

// What the rules of the event's bus make of it. Matched again here where the rules have changed since the event's thread did.
bus::Routing Node::route(const IncomingEvent& event, const Ingest& command, size_t index) {
    bus::Arrival arrival;
    arrival.bus = index < command.arrived.size() ? command.arrived[index].bus : home_bus_;
    arrival.envelope = event.envelope;
    arrival.event_id = event.id;
    arrival.now = now_;
    if (command.routes && command.routes->version == state_->bus.version())
        arrival.matched = index < command.arrived.size() ? command.arrived[index].matched : std::vector<bus::RuleId>();
    else
        state_->bus.routes()->match(arrival.bus, event.envelope, match_scratch_, arrival.matched);
    if (arrival.matched.empty() && arrival.bus == home_bus_) return {};
    return bus::decide_routing(state_->bus, home_bus_, std::move(arrival), match_scratch_);
}

// As many of the deliveries from `planned` on as belong into one group.
void Node::plan(Group& group, std::vector<Delivery>& deliveries, size_t& planned) {
    for (size_t left = fit(std::span(deliveries).subspan(planned)).count; left > 0; --left, ++planned) {
        Delivery& d = deliveries[planned];
        d.id = {group.position(), group.next_delivery()};
        if (!d.from_rule->event) d.from_rule->event = group.position();
        group.add(d);
    }
}

// A large fan-out goes on in groups of its own, of the same batch.
void Node::plan_rest(std::vector<Delivery>& deliveries, size_t planned, Position event) {
    for (size_t i = planned; i < deliveries.size(); ++i)
        if (!deliveries[i].from_rule->event) deliveries[i].from_rule->event = event;
    while (planned < deliveries.size()) {
        Group group(*this, std::min(fit(std::span(deliveries).subspan(planned)).bytes, parts_.log.max_payload()));
        plan(group, deliveries, planned);
    }
}

// What the courier of a target needs to know, as it is now.
void Node::add_rule(Job& job) const {
    const FromRule& from = *job.delivery.from_rule;
    const bus::Rule* rule = state_->bus.rule(from.rule);
    if (rule && rule->changed == from.definition) job.rule = *rule;
    if (job.delivery.topic == DeliveryTopic::dead_letter) {
        const Delivery* dead = state_->deliveries.find(from.dead);
        if (dead && dead->status == DeliveryStatus::dead) job.dead = *dead;
        return;
    }
    const auto arn = bus::parse_arn(job.delivery.target);
    if (!arn || bus::kind_of(*arn) != bus::TargetKind::api_destination) return;
    const bus::Place place{arn->account, arn->region};
    const bus::Destination* destination = state_->bus.destination(place, bus::name_in(*arn));
    if (!destination) return;
    job.destination = *destination;
    if (const bus::Connection* connection = state_->bus.connection_of(place, destination->connection_arn))
        job.connection = *connection;
}

void Node::decide_effects(Group& group, const PipelineEvent& event, const ExecutionFacts& facts) {
    if (event.state == waybill::State::failed && parts_.on_failure) failures_.emplace_back(group.position(), event);
    const policy::Context context{
        config_.policy, group.position(), group.next_delivery(), now_,
        event.scope == Scope::action && event.state == waybill::State::failed && parts_.can_retry(event.key)};
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
        change(delivery::decide_release(state_->deliveries, event.key, event.execution_id, r.topic, r.stage, now_), line,
               Verdict::released, Reason::cause_arrived);
    }
    for (const auto& c : plan.cancels)
        change(delivery::decide_cancel_retries(state_->deliveries, event.key, event.execution_id, c.stage, c.before_attempt,
                                               reason_sentence(c.reason)),
               PolicyLine::action_failed, Verdict::cancelled, c.reason);
    for (const auto& d : plan.decisions) group.add(d);
    for (const auto& d : plan.deliveries) group.add(d);
    for (const auto& d : plan.decisions)
        spdlog::info(
            "decision position={} pipeline={:?} execution_id={:?} stage={:?} action={:?} attempt={} policy={} verdict={} "
            "reason={} deliveries={}",
            group.position(), d.pipeline.pipeline, d.execution_id, d.stage, d.action, d.attempt, to_string(d.line),
            to_string(d.verdict), reason_code(d.reason), d.deliveries.size());
}

void Node::execute(AttemptEnded& command) {
    const Delivery* d = state_->deliveries.find(command.id);
    if (!d || d->status != DeliveryStatus::in_flight) return;
    DeliveryConfig limits = config_.delivery;
    if (d->from_rule) {
        limits.max_attempts = d->from_rule->max_attempts;
        limits.max_age_ms = d->from_rule->max_age_s * int64_t{1000};
    }
    const DeliveryChange c = delivery::decide_outcome(*d, command.outcome, limits, now_, parts_.random.next());
    spdlog::log(c.kind == DeliveryChangeKind::dead ? spdlog::level::warn : spdlog::level::info,
                "delivery delivery_id={} target={:?} topic={} outcome={} code={} attempt={} text={:?}", d->id.str(), d->target,
                to_string(d->topic), to_string(c.kind), c.code, d->attempts_total, c.text);
    std::optional<Delivery> letter;
    if (c.kind == DeliveryChangeKind::dead && d->topic == DeliveryTopic::rule && !d->from_rule->dead_letter_arn.empty())
        letter = bus::dead_letter_of(*d, now_);
    Group group(*this, 16 << 10);
    group.add(c);
    if (letter) {
        letter->id = {group.position(), group.next_delivery()};
        group.add(*letter);
    }
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
            released_.push_back(
                [answer = std::move(command.answer), error = std::move(change).error()]() mutable { answer(std::move(error)); });
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

void Node::execute(BusCommand& command) {
    bus::ApiAnswer answer = command.decide(state_->bus, {now_, parts_.random.next(), parts_.log.tail()});
    auto fail = [&](const Error& error) {
        answer.changes.clear();
        answer.result = wire::aws_error(error, wire::Protocol::json_1_1);
    };
    if (!answer.changes.empty() && !parts_.log.accepts_events())
        fail(overloaded("the disk is full: nothing can be changed until there is room again"));
    for (const auto& [id, json] : answer.secrets) {
        if (answer.changes.empty()) break;
        if (auto kept = parts_.keep_secret(id, json); !kept.ok())
            fail(std::move(kept).error().in("keeping a connection's parameters"));
    }
    answer.secrets.clear();
    for (const auto& change : answer.changes) {
        const BusChangeRecord r{bus::encode(change)};
        Group group(*this, std::min(r.change.size() + 64, parts_.log.max_payload()));
        group.add(r);
    }
    const bool changed = !answer.changes.empty();
    released_.push_back([this, changed, answer = std::move(command.answer), result = std::move(answer)]() mutable {
        answer(std::move(result));
        if (changed && parts_.on_bus_changed) parts_.on_bus_changed();
    });
}

void Node::execute(ReplayStep& command) {
    const bus::Replay* now = state_->bus.replay(command.replay.bus.place, command.replay.name);
    bus::Replay next = std::move(command.replay);
    std::vector<bus::Routing> routings;
    if (now && now->state == bus::ReplayState::cancelling) {
        next = *now;
        next.state = bus::ReplayState::cancelled;
    } else if (now && now->open()) {
        for (const auto& event : command.events) {
            const std::string envelope = bus::with_replay_name(event.envelope, next.name);
            bus::Arrival arrival{next.bus, {}, envelope, event.id, event.position, next.name, next.rules, now_};
            state_->bus.routes()->match(arrival.bus, envelope, match_scratch_, arrival.matched);
            routings.push_back(bus::decide_routing(state_->bus, home_bus_, std::move(arrival), match_scratch_));
        }
    }
    if (now && now->open()) {
        if (!next.open()) next.ended = now_;
        const BusChangeRecord change{bus::encode(bus::Change(bus::Put{next}))};
        std::vector<Delivery> deliveries;
        size_t bytes = change.change.size() + 1024, planned = 0;
        for (auto& r : routings) {
            bytes += bytes_of(r);
            std::ranges::move(r.deliveries, std::back_inserter(deliveries));
        }
        {
            Group group(*this, std::min(bytes, parts_.log.max_payload()));
            for (const auto& r : routings)
                for (const auto& record : r.routed) group.add(record, 0);
            group.add(change);
            plan(group, deliveries, planned);
        }
        plan_rest(deliveries, planned, 0);
    }
    released_.push_back([this, answer = std::move(command.answer), place = next.bus.place, name = next.name]() mutable {
        const bus::Replay* replay = state_->bus.replay(place, name);
        answer({replay ? std::optional(*replay) : std::nullopt, state_->deliveries.open()});
    });
}

void Node::execute(Read& command) { reads_.push_back(std::move(command)); }
void Node::execute(CollectChanges& command) { collects_.push_back(std::move(command)); }
void Node::execute(HistoryWritten& command) { history_position_ = std::max(history_position_, command.position); }

void Node::execute(Recalled& command) {
    const std::string key = fmt::format("{}\n{}\n{}\n{}", command.pipeline.account, command.pipeline.region,
                                        command.pipeline.pipeline, command.execution_id);
    auto parked = parked_.extract(key);
    if (parked.empty()) return;
    if (!command.row.ok()) {
        for (auto& waiting : parked.mapped().commands)
            released_.push_back([answer = std::move(waiting.answer), error = command.row.error()]() mutable {
                answer(std::move(error).in("looking up a retired execution"));
            });
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

// The event of each scheduled rule that is due, what it causes, and that it fired: one group, so no slot fires twice.
void Node::fire_due() {
    for (bus::RuleId id : state_->bus.due(now_)) {
        bus::Fired fired = bus::decide_fire(*state_->bus.rule(id), now_);
        const bool fires = fired.slot != no_time;
        if (!fires) fired.rule.fired = now_;  // nothing can be made of its expression: it is not asked again for this time
        const uint64_t bits[2] = {parts_.random.next(), parts_.random.next()};
        std::string event_id = to_hex({reinterpret_cast<const char*>(bits), 16});
        for (size_t at : {8, 13, 18, 23}) event_id.insert(at, 1, '-');
        auto read = reader_.read(bus::scheduled_event(fired.rule, fires ? fired.slot : now_, event_id));
        ASSERT(std::holds_alternative<IncomingEvent>(read));
        const auto& event = std::get<IncomingEvent>(read);
        bus::Arrival arrival{fired.rule.bus, {}, event.envelope, event.id, 0, {}, {}, now_};
        state_->bus.routes()->match(arrival.bus, event.envelope, match_scratch_, arrival.matched);
        std::erase_if(arrival.matched, [&](bus::RuleId other) { return other == id || !state_->bus.archive(other); });
        arrival.matched.insert(std::ranges::lower_bound(arrival.matched, id), id);
        bus::Routing routing;
        if (fires) routing = bus::decide_routing(state_->bus, home_bus_, std::move(arrival), match_scratch_);
        const BusChangeRecord change{bus::encode(bus::Change(bus::Put{fired.rule}))};
        if (fired.skipped)
            spdlog::warn("schedule_skipped rule={:?} bus={:?} fired={} skipped={}", fired.rule.name, fired.rule.bus.name,
                         format_time(fired.slot), fired.skipped);
        size_t planned = 0;
        Position position = 0;
        {
            Group group(*this, std::min(event.envelope.size() + change.change.size() + 1024 + bytes_of(routing),
                                        parts_.log.max_payload()));
            position = group.position();
            if (fires) group.add(EventRecord{event.identity, false, event.envelope});
            for (const auto& r : routing.routed) group.add(r, event.envelope.size());
            group.add(change);
            plan(group, routing.deliveries, planned);
        }
        plan_rest(routing.deliveries, planned, position);
    }
}

// A retry that was under way when its attempt ended or was retried could not be cancelled then; if it comes to another call, it
// is now.
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
        if (done && kept && !state_->tracking.is_current(*e) &&
            state_->deliveries.of_execution(l.pipeline, l.execution_id).empty()) {
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
