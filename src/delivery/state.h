// The deliveries that are still open, and the dead ones. Owned by one thread (the sequencer, or the thread that folds a snapshot).
//
//   planned ──▶ pending ──started──▶ in_flight ──▶ delivered | cancelled           (leave memory; the history keeps them)
//      └──▶ held ─released┘   ▲          │ ├──▶ dead ──redriven──▶ pending          (dead stay: the dead-letter list)
//                             └──retry───┘
//
// A delivery that is in flight when the process dies has an unknown outcome: recovery turns it back with `retry`, maybe_received.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "event/delivery.h"

namespace waybill::delivery {

class Deliveries {
public:
    // -- apply: total and pure. `position` and `time` are those of the group. --
    void apply(const Delivery& planned);
    void apply(const DeliveryChange& change, Position position, TimeMs time);

    // -- reading --
    const Delivery* find(DeliveryId id) const;
    size_t open() const { return all_.size() - dead_; }
    size_t dead() const { return dead_; }
    // Of one execution, open ones only, oldest first. What rules send to their targets belongs to none.
    std::vector<const Delivery*> of_execution(const PipelineKey& pipeline, std::string_view execution_id) const;
    void each(const std::function<void(const Delivery&)>& fn) const;
    int in_flight(const std::string& target) const;
    bool any_in_flight() const { return !in_flight_.empty(); }

    // Deliveries that wait for a time, earliest first; ready_at is when.
    static TimeMs ready_at(const Delivery& d) { return d.status == DeliveryStatus::held ? d.hold_until : d.due; }
    TimeMs next_ready(const std::function<bool(const std::string& target)>& has_room) const;
    std::vector<DeliveryId> ready(TimeMs now, size_t limit, const std::function<int(const std::string& target)>& room) const;

    // Deliveries changed since they were last taken, as they are now; one that has left memory is taken as it left.
    std::vector<Delivery> take_dirty();

    void encode(const std::function<void(std::string_view)>& sink) const;
    Result<void> restore(std::string_view piece);

private:
    struct Waiting {
        TimeMs ready;
        DeliveryId id;
        auto operator<=>(const Waiting&) const = default;
    };
    static std::string execution_key(const PipelineKey& pipeline, std::string_view execution_id);
    void wait(const Delivery& d);
    void stop_waiting(const Delivery& d);
    void insert(Delivery d);
    void leave(const Delivery& d);

    std::map<DeliveryId, Delivery> all_;                       // open and dead
    std::map<std::string, std::set<Waiting>> waiting_;         // by target: pending and held
    std::map<std::string, int> in_flight_;                     // by target
    std::multimap<std::string, DeliveryId> by_execution_;      // open
    std::map<DeliveryId, Delivery> dirty_;                     // as of the last change
    size_t dead_ = 0;
};

}  // namespace waybill::delivery
