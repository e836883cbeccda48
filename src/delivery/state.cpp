#include "delivery/state.h"

#include <algorithm>

#include "base/assert.h"

namespace waybill::delivery {

std::string Deliveries::execution_key(const PipelineKey& pipeline, std::string_view execution_id) {
    std::string key;
    ByteWriter out(key);
    for (std::string_view part : {std::string_view(pipeline.account), std::string_view(pipeline.region), std::string_view(pipeline.pipeline), execution_id})
        out.text(part);
    return key;
}

void Deliveries::wait(const Delivery& d) { waiting_[d.target].insert({ready_at(d), d.id}); }

void Deliveries::stop_waiting(const Delivery& d) {
    const auto at = waiting_.find(d.target);
    if (at == waiting_.end()) return;
    at->second.erase({ready_at(d), d.id});
    if (at->second.empty()) waiting_.erase(at);
}

void Deliveries::insert(Delivery d) {
    ASSERT(d.status != DeliveryStatus::delivered && d.status != DeliveryStatus::cancelled);
    if (d.status == DeliveryStatus::dead) {
        ++dead_;
    } else {
        if (d.kind != DeliveryKind::target) by_execution_.emplace(execution_key(d.pipeline, d.execution_id), d.id);
        if (d.status == DeliveryStatus::in_flight) ++in_flight_[d.target];
        else wait(d);
    }
    all_.emplace(d.id, std::move(d));
}

// Takes a delivery out of every index but all_.
void Deliveries::leave(const Delivery& d) {
    if (d.status == DeliveryStatus::dead) {
        --dead_;
        return;
    }
    if (d.status == DeliveryStatus::in_flight) {
        if (--in_flight_[d.target] == 0) in_flight_.erase(d.target);
    } else {
        stop_waiting(d);
    }
    if (d.kind == DeliveryKind::target) return;
    auto [from, to] = by_execution_.equal_range(execution_key(d.pipeline, d.execution_id));
    for (auto i = from; i != to; ++i)
        if (i->second == d.id) {
            by_execution_.erase(i);
            break;
        }
}

void Deliveries::apply(const Delivery& planned) {
    dirty_[planned.id] = planned;
    insert(planned);
}

void Deliveries::apply(const DeliveryChange& c, Position position, TimeMs time) {
    const auto at = all_.find(c.id);
    ASSERT(at != all_.end());
    leave(at->second);
    Delivery d = std::move(at->second);
    all_.erase(at);

    if (d.groups.empty() || d.groups.back() != position) d.groups.push_back(position);
    if (c.kind != DeliveryChangeKind::started && c.kind != DeliveryChangeKind::released) {
        d.last_code = c.code;
        d.last_text = c.text;
    }
    if (c.kind == DeliveryChangeKind::retry || c.kind == DeliveryChangeKind::dead) d.unanswered = c.maybe_received;
    d.possibly_twice |= d.unanswered && (c.kind == DeliveryChangeKind::retry || c.kind == DeliveryChangeKind::redriven);
    d.hold_until = no_time;
    switch (c.kind) {
        case DeliveryChangeKind::started:
            d.status = DeliveryStatus::in_flight;
            ++d.attempts;
            ++d.attempts_total;
            break;
        case DeliveryChangeKind::retry:
        case DeliveryChangeKind::released:
            d.status = DeliveryStatus::pending;
            d.due = c.next;
            break;
        case DeliveryChangeKind::redriven:
            d.status = DeliveryStatus::pending;
            d.due = d.retry_from = time;
            d.attempts = 0;
            d.finished = no_time;
            break;
        case DeliveryChangeKind::delivered: d.status = DeliveryStatus::delivered; break;
        case DeliveryChangeKind::dead: d.status = DeliveryStatus::dead; break;
        case DeliveryChangeKind::cancelled: d.status = DeliveryStatus::cancelled; break;
    }
    if (d.status >= DeliveryStatus::delivered) d.finished = time;
    dirty_[d.id] = d;
    if (d.status != DeliveryStatus::delivered && d.status != DeliveryStatus::cancelled) insert(std::move(d));
}

const Delivery* Deliveries::find(DeliveryId id) const {
    const auto at = all_.find(id);
    return at == all_.end() ? nullptr : &at->second;
}

std::vector<const Delivery*> Deliveries::of_execution(const PipelineKey& pipeline, std::string_view execution_id) const {
    std::vector<const Delivery*> found;
    auto [from, to] = by_execution_.equal_range(execution_key(pipeline, execution_id));
    for (auto i = from; i != to; ++i) found.push_back(&all_.at(i->second));
    std::sort(found.begin(), found.end(), [](auto* a, auto* b) { return a->id < b->id; });
    return found;
}

void Deliveries::each(const std::function<void(const Delivery&)>& fn) const {
    for (const auto& [id, d] : all_) fn(d);
}

int Deliveries::in_flight(const std::string& target) const {
    const auto at = in_flight_.find(target);
    return at == in_flight_.end() ? 0 : at->second;
}

TimeMs Deliveries::next_ready(const std::function<bool(const std::string&)>& has_room) const {
    TimeMs next = no_time;
    for (const auto& [target, waiting] : waiting_)
        if (has_room(target) && (next == no_time || waiting.begin()->ready < next)) next = waiting.begin()->ready;
    return next;
}

std::vector<DeliveryId> Deliveries::ready(TimeMs now, size_t limit, const std::function<int(const std::string&)>& room) const {
    std::vector<DeliveryId> found;
    for (const auto& [target, waiting] : waiting_) {
        int left = room(target);
        for (auto i = waiting.begin(); i != waiting.end() && i->ready <= now && left > 0 && found.size() < limit; ++i, --left) found.push_back(i->id);
    }
    return found;
}

std::vector<Delivery> Deliveries::take_dirty() {
    std::vector<Delivery> taken;
    taken.reserve(dirty_.size());
    for (auto& [id, d] : dirty_) taken.push_back(std::move(d));
    dirty_.clear();
    return taken;
}

void Deliveries::encode(const std::function<void(std::string_view)>& sink) const {
    std::string piece;
    for (const auto& [id, d] : all_) {
        piece.clear();
        ByteWriter out(piece);
        waybill::encode(out, d);
        sink(piece);
    }
}

Result<void> Deliveries::restore(std::string_view piece) {
    ByteReader in(piece);
    Delivery d;
    if (!waybill::decode(in, d) || !in.complete() || all_.contains(d.id)) return corrupt("a piece of the delivery snapshot cannot be read");
    insert(std::move(d));
    return {};
}

}  // namespace waybill::delivery
