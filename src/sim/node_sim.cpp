#include "sim/node_sim.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>

#include "base/assert.h"
#include "sim/fold.h"

namespace waybill::sim {
namespace {

constexpr const char* log_directory = "data/log";
constexpr const char* snapshots = "data/snapshots";

log::Options log_options(const Config& config) {
    log::Options o;
    o.segment_bytes = config.log.segment_bytes;
    o.reserve_bytes = config.log.reserve_bytes;
    o.log_id = 7;
    return o;
}

ExecutionView without_texts(const ExecutionView& v) {
    std::string bytes;
    ByteWriter out(bytes);
    encode(out, v);
    ExecutionView stripped;
    ByteReader in(bytes);
    ASSERT(decode(in, stripped));
    return stripped;
}

}  // namespace

// Each name is a temper: "good" answers soon, "flaky" fails half of the time, "slow" takes long, "mute" often gives no answer though it may have
// acted, "closed" refuses. CodePipeline is good.
class NodeSim::Targets final : public node::Performer {
public:
    explicit Targets(NodeSim& sim) : sim_(sim) {}

    void perform(node::Job job) override {
        const Delivery& d = job.delivery;
        if (!sim_.catch_up()) return;
        const auto plan = sim_.planned_.find(d.id);
        if (plan == sim_.planned_.end()) return sim_.broken(fmt::format("{} is performed before its plan is durable", d.id.str()));
        if (plan->second.key != d.key) return sim_.broken(fmt::format("{} is performed under another key", d.id.str()));
        if (sim_.delivered_.contains(d.id)) return sim_.broken(fmt::format("{} is performed though its success is durable", d.id.str()));
        if (sim_.cancelled_.contains(d.id)) return sim_.broken(fmt::format("{} is performed though it was cancelled", d.id.str()));
        if (sim_.received_[d.id] > 0 && !d.possibly_twice) return sim_.broken(fmt::format("{} may come a second time and does not say so", d.id.str()));
        ++sim_.performed_[d.id];
        ++sim_.report_.performed;
        int busy = 0;
        for (const auto& a : under_way_) busy += a.target == d.target;
        if (++busy > 2 && d.target != "codepipeline") return sim_.broken(fmt::format("{} attempts at once for {}", busy, d.target));

        Attempt a{d.id, d.target, 0, {}};
        using Kind = delivery::AttemptOutcome::Kind;
        auto& random = sim_.random_;
        int64_t takes_ms = static_cast<int64_t>(random.below(300));
        bool acted = true;
        a.outcome = {Kind::ok, false, 200, "", 0};
        if (!sim_.kind_ && sim_.chaos_.bad_targets) {
            if (d.target == "flaky" && random.chance(1, 2)) a.outcome = {Kind::failed, false, 503, "busy", random.chance(1, 3) ? 4000 : 0}, acted = false;
            if (d.target == "slow") takes_ms += 5000;
            if (d.target == "mute" && random.chance(2, 3)) a.outcome = {Kind::failed, true, 0, "no answer", 0}, acted = random.chance(1, 2);
            if (d.target == "closed") a.outcome = {Kind::refused, random.chance(1, 2), 410, "gone", 0}, acted = a.outcome.maybe_received;
        }
        // A target acts while the process may die before it knows.
        if (acted) ++sim_.received_[d.id];
        a.answers = sim_.clock_.now() + takes_ms;
        under_way_.push_back(std::move(a));
    }

    // Every answer that is due; an attempt's end counts for its room only once it was submitted.
    void answer() {
        for (size_t i = 0; i < under_way_.size();) {
            if (under_way_[i].answers > sim_.clock_.now() && !sim_.kind_) {
                ++i;
                continue;
            }
            Attempt a = std::move(under_way_[i]);
            under_way_.erase(under_way_.begin() + static_cast<ptrdiff_t>(i));
            sim_.node_->submit(node::AttemptEnded{a.id, std::move(a.outcome)});
        }
    }
    bool idle() const { return under_way_.empty(); }

private:
    struct Attempt {
        DeliveryId id;
        std::string target;
        TimeMs answers;
        delivery::AttemptOutcome outcome;
    };
    NodeSim& sim_;
    std::vector<Attempt> under_way_;
};

class NodeSim::Recalls final : public node::Recaller {
public:
    explicit Recalls(NodeSim& sim) : sim_(sim) {}
    void recall(PipelineKey pipeline, std::string execution_id) override { asked_.emplace_back(std::move(pipeline), std::move(execution_id)); }
    void answer() {
        for (auto& [pipeline, id] : std::exchange(asked_, {})) {
            auto row = sim_.history_->recall(pipeline, id);
            if (row.ok() && *row) ++sim_.report_.recalled;
            sim_.node_->submit(node::Recalled{pipeline, id, std::move(row)});
        }
    }
    bool idle() const { return asked_.empty(); }

private:
    NodeSim& sim_;
    std::vector<std::pair<PipelineKey, std::string>> asked_;
};

NodeSim::NodeSim(uint64_t seed, int executions, Chaos chaos)
    : seed_(seed), chaos_(chaos), random_(seed), node_random_(seed ^ 0x5eed), clock_(GeneratorOptions{}.begin), disk_(seed) {
    std::string base = std::filesystem::exists("/dev/shm") ? "/dev/shm" : std::filesystem::temp_directory_path().string();
    base += "/waybill-sim-XXXXXX";
    ASSERT(mkdtemp(base.data()));
    directory_ = base;

    config_.log.segment_bytes = 384 << 10;  // an event asks for most of one, so that segments change and the disk is needed
    config_.log.reserve_bytes = 384 << 10;
    config_.tracking.linger_ms = 2000;
    config_.tracking.stale_after_ms = 600'000;
    config_.policy.version = 42;
    config_.policy.team = {"good", "mute"};
    config_.policy.owners = {{"*", "Build", {"flaky"}, 1}, {"*", "Test", {"slow", "closed"}, 2}};
    config_.delivery.max_attempts = 3;
    config_.delivery.backoff_first_ms = 200;
    config_.delivery.backoff_max_ms = 2000;
    for (const char* name : {"good", "flaky", "slow", "mute", "closed"}) {
        TargetConfig t;
        t.name = name;
        t.concurrency = 2;
        config_.targets.push_back(t);
    }
    config_.event_bus.delivery_concurrency = 2;

    GeneratorOptions o;
    o.accounts = 1, o.regions = 2, o.pipelines = 2, o.failures = 25, o.interruptions = 25, o.pause_ms = 3000;
    ExecutionGenerator generator(seed, o);
    std::multimap<TimeMs, GeneratedEvent> by_time;
    for (int i = 0; i < executions; ++i)
        for (auto& e : generator.next().events) {
            if (chaos_.lost_events && random_.chance(1, 8)) continue;
            if (random_.chance(1, 12)) by_time.emplace(e.at + static_cast<int64_t>(random_.below(20'000)), with_new_id(e, generator.uuid()));
            by_time.emplace(e.at + static_cast<int64_t>(random_.chance(1, 6) ? random_.below(60'000) : random_.below(3000)), std::move(e));
        }
    for (auto& [at, e] : by_time) {
        events_.push_back(read(e.envelope));
        by_identity_[events_.back().identity] = events_.size() - 1;
        to_send_.push_back(events_.size() - 1);
        if (random_.chance(1, 10)) to_send_.push_back(random_.below(events_.size()));
    }
    for (const char* directory : {"data", log_directory, snapshots}) ASSERT(disk_.make_directories(directory).ok());
}

NodeSim::~NodeSim() {
    stop_process();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
}

void NodeSim::broken(std::string promise) {
    if (fine()) report_.broken = std::move(promise);
}

// -- the process --

bool NodeSim::start() {
    auto log = log::Log::open(disk_, log_directory, log_options(config_));
    if (!log.ok()) {
        if (log.error().kind == ErrorKind::corrupt) broken("the log does not open: " + log.error().message);
        return false;
    }
    log_ = std::move(*log);
    auto opened = history::History::open(directory_ + "/history.db", node::fold_version);
    if (!opened.ok() || !opened->history) return broken("the history does not open"), false;
    history_ = std::move(opened->history);
    if (history_->position() > log_->durable()) return broken("the history is ahead of the log"), false;
    auto recovered = node::recover(disk_, snapshots, *log_, *history_);
    if (!recovered.ok()) {
        if (recovered.error().kind != ErrorKind::unavailable) broken("recovery fails: " + recovered.error().message);
        return false;
    }
    recent_texts_ = std::make_unique<node::RecentTexts>();
    targets_ = std::make_unique<Targets>(*this);
    recalls_ = std::make_unique<Recalls>(*this);
    node_ = std::make_unique<node::Node>(node::Node::Parts{*log_, clock_, node_random_, *targets_, *recalls_, *recent_texts_, [](const PipelineKey&) { return true; }, [](Position) {}, [] {}},
                                         config_, std::move(recovered->state), history_->position());
    put_rule();
    return true;
}

// A rule that every failure matches, with two targets: put again where a crash took it before it was durable.
void NodeSim::put_rule() {
    node::BusCommand put;
    put.decide = [home = node_->home_bus()](const bus::Bus& bus, const bus::Stamp& stamp) {
        bus::ApiAnswer answer;
        if (bus.rule(home, "failures")) return answer;
        bus::Rule rule;
        rule.bus = home;
        rule.name = "failures";
        rule.pattern = R"({"source":["aws.codepipeline"],"detail":{"state":["FAILED"]}})";
        rule.created = stamp.now;
        for (const char* name : {"a", "b"}) {
            bus::Target& target = rule.targets.emplace_back();
            target.id = name;
            target.arn = std::string("arn:aws:sqs:us-east-1:000000000000:") + name;
        }
        answer.changes.push_back(bus::Put{std::move(rule)});
        return answer;
    };
    put.answer = [](bus::ApiAnswer) {};
    node_->submit(std::move(put));
}

void NodeSim::stop_process() {
    node_.reset();
    recalls_.reset();
    targets_.reset();
    history_.reset();
    log_.reset();
    batch_.reset();
    round_ = 0;
    left_ = 0;
    collecting_ = false;
}

// Whoever waits for an answer asks again: the events may or may not be in.
void NodeSim::crash() {
    ++report_.restarts;
    stop_process();
    for (auto& [request, events] : sent_) to_send_.insert(to_send_.end(), events.begin(), events.end());
    sent_.clear();
    disk_.set_capacity(UINT64_MAX);
    disk_.fail_sync(0);
    disk_.fail_write(0);
    if (random_.chance(3, 4)) disk_.crash();
    else disk_.cut_power(0);
    while (fine() && !start()) {
        stop_process();
        disk_.crash();
        disk_.fail_sync(0);
        disk_.fail_write(0);
    }
    if (!fine()) return;
    check_log();
    if (fine() && step()) check_state();
}

bool NodeSim::step() {
    auto stepped = node_->step();
    if (!stepped.ok()) ended_ = stepped.error().message;
    if (!stepped.ok() && stepped.error().kind != ErrorKind::unavailable) broken("the node ended: " + ended_);
    return stepped.ok();
}

// -- the world --

void NodeSim::send() {
    node::Ingest ingest;
    std::vector<size_t> indexes;
    for (size_t n = 1 + random_.below(6); n > 0 && !to_send_.empty(); --n) {
        indexes.push_back(to_send_.front());
        to_send_.pop_front();
        ingest.events.push_back(events_[indexes.back()]);
        ++offered_[indexes.back()];
    }
    const uint64_t request = requests_++;
    sent_[request] = indexes;
    ingest.answer = [this, request](Result<node::IngestAnswer> answer) {
        auto of = sent_.extract(request);
        ASSERT(!of.empty());
        if (!answer.ok()) {
            ++report_.refusals;
            if (answer.error().kind != ErrorKind::overloaded) broken("events were refused: " + answer.error().message);
            for (size_t i : of.mapped()) --offered_[i];
            to_send_.insert(to_send_.end(), of.mapped().begin(), of.mapped().end());
            return;
        }
        if (answer->accepted + answer->duplicates != of.mapped().size()) broken("an answer counts other events than were sent");
        if (answer->position > log_->durable()) broken("an answer left before its events were durable");
        for (size_t i : of.mapped()) ++acknowledged_[i];
        if (!catch_up()) return;
        for (size_t i : of.mapped())
            if (std::count(durable_events_.begin(), durable_events_.end(), i) < acknowledged_[i]) broken("an acknowledged event is not below the position answered");
    };
    ASSERT(node_->submit(std::move(ingest)));
}

void NodeSim::act() {
    clock_.advance(static_cast<int64_t>(random_.below(400)));
    if (chaos_.time_jumps && random_.chance(1, 150)) clock_.advance(random_.chance(1, 2) ? 1'200'000 : -300'000);
    if (random_.chance(1, 3)) targets_->answer();
    if (random_.chance(1, 3)) recalls_->answer();
    if (random_.chance(1, 3)) feed();
    if (random_.chance(1, 4)) (void)log_->maintain(clock_.now(), 0);
    if (random_.chance(1, 30)) {
        const auto folded = node::fold_snapshot(disk_, snapshots, *log_, std::min(history_->position(), log_->durable()));
        if (folded.ok() && *folded) ++report_.snapshots;
    }
    if (random_.chance(1, 60)) node_->submit(node::Redrive{{}, true, [](Result<uint64_t>) {}});
    if (chaos_.full_disks && random_.chance(1, 60)) {
        ++report_.full;
        disk_.set_capacity(1);
    }
    if (random_.chance(1, 50)) disk_.set_capacity(UINT64_MAX);
    if (chaos_.crashes && random_.chance(1, 40)) {
        switch (random_.below(3)) {
            case 0: disk_.cut_power(1 + random_.below(8)); break;
            case 1: disk_.fail_sync(1 + random_.below(3)); break;
            case 2: disk_.fail_write(1 + random_.below(3)); break;
        }
    }
}

// One move of what src/node/feed.cpp does on its thread.
void NodeSim::feed() {
    if (batch_) {
        if (!node::write_changes(*log_, *recent_texts_, *history_, *batch_).ok()) return;
        const bool last = left_ == 0;
        batch_.reset();
        if (!last) return;
        node_->submit(node::HistoryWritten{round_});
        round_ = 0;
        return;
    }
    if (collecting_) return;
    collecting_ = true;
    node::CollectChanges collect;
    collect.limit = round_ ? std::min<size_t>(left_, 3) : 3;
    collect.take = [this](history::Batch batch, size_t still_left) {
        collecting_ = false;
        if (!round_) {
            round_ = batch.position;
            round_time_ = batch.time;
            left_ = still_left;
        } else {
            left_ -= std::min(left_, batch.executions.size());
        }
        batch.position = left_ ? history_->position() : round_;
        batch.time = round_time_;
        batch_ = std::move(batch);
    };
    node_->submit(std::move(collect));
}

// -- the checks --

bool NodeSim::catch_up() {
    if (read_to_ == 0) read_to_ = log_->begin();
    const auto reached = log_->scan(read_to_, log_->durable(), [&](const log::Group& group) {
        GroupReader records(group.payload);
        while (auto raw = records.next()) {
            bool good = true;
            if (raw->type == RecordType::event) {
                EventRecord r;
                good = decode(raw->body, r) && by_identity_.contains(r.identity) && events_[by_identity_[r.identity]].envelope == r.envelope;
                if (good) durable_events_.push_back(by_identity_[r.identity]);
            } else if (raw->type == RecordType::delivery_planned) {
                Delivery d;
                good = decode(raw->body, d) && d.id.position == group.position;
                if (good && !keys_.emplace(d.key, d.id).second) broken(fmt::format("{} is planned twice", d.key));
                planned_[d.id] = d;
                planned_in_order_.push_back(d);
                ++report_.planned;
            } else if (raw->type == RecordType::delivery_changed) {
                DeliveryChange c;
                good = decode(raw->body, c) && planned_.contains(c.id);
                if (c.kind == DeliveryChangeKind::started) ++attempts_[c.id];
                if (c.kind == DeliveryChangeKind::delivered && !delivered_.insert(c.id).second) broken(fmt::format("{} is delivered twice", c.id.str()));
                if (c.kind == DeliveryChangeKind::cancelled) cancelled_.insert(c.id), ++report_.cancelled;
                if (c.kind == DeliveryChangeKind::dead) ++report_.dead, dead_.insert(c.id);
                if (c.kind == DeliveryChangeKind::redriven) dead_.erase(c.id);
            } else if (raw->type == RecordType::retired) {
                ++report_.retired;
            }
            if (!good) broken(fmt::format("the group at {} is not what was written", group.position));
        }
        if (records.failed()) broken(fmt::format("the group at {} cannot be read", group.position));
        read_to_ = group.next;
        return fine();
    });
    if (!reached.ok()) {
        if (reached.error().kind != ErrorKind::unavailable) broken("the log cannot be read: " + reached.error().message);
        return false;
    }
    read_to_ = *reached;
    return fine();
}

// All that was known to be durable is still there, and nothing that was promised is missing.
void NodeSim::check_log() {
    const auto before = durable_events_;
    const auto delivered = delivered_;
    durable_events_.clear();
    planned_.clear();
    planned_in_order_.clear();
    keys_.clear();
    attempts_.clear();
    delivered_.clear();
    cancelled_.clear();
    dead_.clear();
    report_.planned = report_.dead = report_.cancelled = report_.retired = 0;
    read_to_ = 0;
    catch_up();
    if (!fine()) return;
    if (durable_events_.size() < before.size() || !std::equal(before.begin(), before.end(), durable_events_.begin())) return broken("a restart lost durable events");
    if (!std::includes(delivered_.begin(), delivered_.end(), delivered.begin(), delivered.end())) return broken("a restart lost durable outcomes");
    std::map<size_t, int> count;
    for (size_t i : durable_events_) ++count[i];
    for (const auto& [i, n] : acknowledged_)
        if (count[i] < n) return broken(fmt::format("event {} was acknowledged {} times and is in the log {} times", events_[i].id, n, count[i]));
    for (const auto& [i, n] : count)
        if (n > offered_[i]) return broken(fmt::format("event {} was offered {} times and is in the log {} times", events_[i].id, offered_[i], n));
    for (const auto& [id, n] : performed_)
        if (attempts_[id] < n) return broken(fmt::format("{} was performed {} times and started {} times", id.str(), n, attempts_[id]));
}

void NodeSim::check_state() {
    bool looked = false;
    node_->submit(node::Read{[&](const node::View& view) {
        looked = true;
        if (view.position != log_->durable()) return broken("a reader sees what is not durable");
        if (!catch_up()) return;  // the power is gone, and the node has not noticed yet
        Fold fold;
        for (size_t i : durable_events_) fold.take(events_[i]);
        for (const auto& [key, expected] : fold.executions()) {
            ExecutionView is;
            if (const auto* e = view.state.tracking.find(key.first, key.second)) {
                is = view.state.tracking.view(*e);
            } else {
                auto row = history_->recall(key.first, key.second);
                if (!row.ok() || !*row) return broken(fmt::format("execution {} is neither live nor in the history", key.second));
                is = without_texts((*row)->execution);
            }
            std::string shown, wanted;
            show(shown, is);
            show(wanted, expected);
            if (shown != wanted) return broken(fmt::format("execution {} is shown as\n{}\nand is\n{}", key.second, shown, wanted));
        }
        fold.state().tracking.each_pipeline([&](const tracking::Pipeline& p) {
            const auto* same = view.state.tracking.find_pipeline(p.key);
            if (!same) return broken("a pipeline is missing");
            std::string shown, wanted;
            show(shown, view.state, *same);
            show(wanted, fold.state(), p);
            if (shown != wanted) return broken(fmt::format("pipeline {} is shown as\n{}\nand is\n{}", p.key.pipeline, shown, wanted));
        });
        for (const auto& [id, d] : planned_) {
            const auto* is = view.state.deliveries.find(id);
            const bool open = !delivered_.contains(id) && !cancelled_.contains(id);
            const bool dead = dead_.contains(id);
            if (open != (is != nullptr) || (is && dead != (is->status == DeliveryStatus::dead)))
                return broken(fmt::format("{} is {} in memory; in the log it is {} and {}, after {} attempts, planned as {} for {}", id.str(), is ? to_string(is->status) : "gone",
                                          open ? "open" : "closed", dead ? "dead" : "not dead", attempts_[id], to_string(d.status), d.key));
        }
        if (const auto& d = view.state.deliveries; d.open() + d.dead() + delivered_.size() + cancelled_.size() != planned_.size()) broken("memory holds deliveries that the log does not");
    }});
    if (step() && !looked) {
        // The disk is full: readers wait.
        disk_.set_capacity(UINT64_MAX);
        for (int i = 0; i < 5 && !looked; ++i) {
            (void)log_->maintain(clock_.now(), 0);
            if (!step()) return;
        }
        if (!looked) broken("a reader is not answered though there is room");
    }
}

void NodeSim::settle() {
    kind_ = true;
    if (chaos_.crashes) crash();  // the power may be gone already
    disk_.set_capacity(UINT64_MAX);
    disk_.fail_sync(0);
    disk_.fail_write(0);
    disk_.cut_power(0);
    bool redriven = false;
    size_t open = 0;
    for (int quiet = 0, i = 0; quiet < 5; ++i) {
        if (i > 5'000)
            return broken(fmt::format("the node does not come to rest in a kind world: {} requests unanswered, {} deliveries open and {} dead, the log at {}, the history at {}, targets {}, recalls {}",
                                      sent_.size(), open, dead_.size(), log_->durable(), history_->position(), targets_->idle(), recalls_->idle()));
        while (!to_send_.empty()) send();
        clock_.advance(i < 300 ? 3000 : 600'000);  // a retry may be held for a day, for actions whose end was never sent
        if (!step()) return broken("the node ended in a kind world: " + ended_);
        if (!fine()) return;
        targets_->answer();
        recalls_->answer();
        feed();
        (void)log_->maintain(clock_.now(), 0);
        catch_up();
        open = 0;
        for (const auto& [id, d] : planned_) open += !delivered_.contains(id) && !cancelled_.contains(id);
        const bool rest = sent_.empty() && targets_->idle() && recalls_->idle();
        if (!redriven && rest && open == dead_.size() && open > 0) {
            redriven = true;
            node_->submit(node::Redrive{{}, true, [](Result<uint64_t>) {}});
        }
        quiet = rest && open == 0 && history_->position() >= log_->durable() ? quiet + 1 : 0;
    }
}

void NodeSim::check_end() {
    for (size_t i = 0; i < events_.size(); ++i)
        if (!acknowledged_[i]) return broken(fmt::format("event {} was never taken", events_[i].id));
    for (const auto& [id, d] : planned_) {
        if (cancelled_.contains(id)) continue;
        if (!performed_[id]) return broken(fmt::format("{} was never performed", id.str()));
        if (!received_[id]) return broken(fmt::format("{} never reached its target", id.str()));
        report_.twice += received_[id] > 1;
    }
    if (history_->position() < log_->durable()) return broken("the history has not caught up");
    Fold fold;
    for (size_t i : durable_events_) fold.take(events_[i]);
    for (const auto& [key, expected] : fold.executions()) {
        auto row = history_->recall(key.first, key.second);
        if (!row.ok() || !*row) return broken(fmt::format("execution {} is not in the history", key.second));
        std::string shown, wanted;
        show(shown, without_texts((*row)->execution));
        show(wanted, expected);
        if (shown != wanted) return broken(fmt::format("execution {} stands in the history as\n{}\nand is\n{}", key.second, shown, wanted));
    }
    for (const auto& [id, d] : planned_) {
        auto row = history_->find_delivery(id);
        if (!row.ok() || !*row) return broken(fmt::format("delivery {} is not in the history", id.str()));
        if ((*row)->status != (cancelled_.contains(id) ? DeliveryStatus::cancelled : DeliveryStatus::delivered)) return broken(fmt::format("delivery {} is {} in the history", id.str(), to_string((*row)->status)));
    }
}

SimReport NodeSim::run() {
    if (!start()) {
        broken("the first start fails");
        return report_;
    }
    for (int i = 0; fine() && (!to_send_.empty() || !sent_.empty() || i % 50); ++i) {
        if (i > 50'000) {
            broken("the events are never all taken");
            break;
        }
        if (!to_send_.empty() && random_.chance(1, 2)) send();
        if (!step()) {
            crash();
            continue;
        }
        act();
        if (chaos_.crashes && random_.chance(1, 100)) crash();
        else if (random_.chance(1, 60)) check_state();
    }
    if (fine()) settle();
    if (fine()) check_state();
    if (fine()) check_end();
    // And once more from what is on disk.
    if (fine() && chaos_.crashes) crash();
    return report_;
}

}  // namespace waybill::sim
