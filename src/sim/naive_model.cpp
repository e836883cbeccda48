#include "sim/naive_model.h"

#include <algorithm>
#include <functional>
#include <set>
#include <tuple>

namespace waybill::sim {
namespace {

using Events = std::vector<PipelineEvent>;

Events where(const Events& events, const std::function<bool(const PipelineEvent&)>& take) {
    Events taken;
    std::copy_if(events.begin(), events.end(), std::back_inserter(taken), take);
    return taken;
}

std::string shown(TimeMs t) { return t == no_time ? "-" : std::to_string(t); }

std::string earliest(const Events& events, TimeMs PipelineEvent::* field) {
    std::set<TimeMs> times;
    for (const auto& e : events) times.insert(e.*field);
    times.erase(no_time);
    return times.empty() ? "-" : shown(*times.begin());
}
std::string latest(const Events& events, TimeMs PipelineEvent::* field) {
    std::set<TimeMs> times;
    for (const auto& e : events) times.insert(e.*field);
    times.erase(no_time);
    return times.empty() ? "-" : shown(*times.rbegin());
}
std::string began(const Events& events) {
    std::set<TimeMs> times;
    for (const auto& e : events) {
        times.insert(e.time);
        if (e.start != no_time) times.insert(e.start);
    }
    return shown(*times.begin());
}

std::string text_of(Events events, uint8_t which, const std::function<int(const PipelineEvent&)>& weight) {
    events = where(events, [&](const auto& e) { return e.texts & which; });
    if (events.empty()) return "-";
    std::sort(events.begin(), events.end(), [&](const auto& a, const auto& b) {
        return std::tuple(weight(a), a.time, a.content) > std::tuple(weight(b), b.time, b.content);
    });
    return std::to_string(events.front().content);
}

std::string seen_of(const Events& events) {
    std::map<int, std::set<State>> seen;
    for (const auto& e : events) seen[e.attempt].insert(e.state);
    std::string text;
    for (const auto& [attempt, states] : seen) {
        text += std::to_string(attempt) + ":";
        for (State s : states) text += event_word(s).substr(0, 4);
        text += " ";
    }
    return text;
}

// A pipeline's or a stage's own events.
void reckon_scope(Flat& flat, const std::string& name, const Events& own, const Events& all) {
    flat[name + "/known"] = own.empty() ? "no" : "yes";
    flat[name + "/seen"] = seen_of(own);
    flat[name + "/start"] = earliest(own, &PipelineEvent::start);
    flat[name + "/last_retry"] = latest(own, &PipelineEvent::last_retry);
    if (own.empty()) {
        int attempt = 1;
        for (const auto& e : all) attempt = std::max(attempt, e.attempt);
        flat[name + "/state"] = "STARTED " + std::to_string(attempt);
        flat[name + "/end"] = "-";
        return;
    }
    const auto last = *std::max_element(own.begin(), own.end(), [](const auto& a, const auto& b) { return std::tuple(a.attempt, a.state) < std::tuple(b.attempt, b.state); });
    flat[name + "/state"] = std::string(event_word(last.state)) + " " + std::to_string(last.attempt);
    const Events same = where(own, [&](const auto& e) { return e.attempt == last.attempt && e.state == last.state; });
    flat[name + "/end"] = is_end(last.state) ? latest(same, &PipelineEvent::time) : "-";
}

}  // namespace

Flat reckon(const Events& events) {
    Flat flat;
    const Events own = where(events, [](const auto& e) { return e.scope == Scope::pipeline; });
    reckon_scope(flat, "", own, events);
    flat["/first"] = began(events);
    flat["/update"] = latest(events, &PipelineEvent::time);
    double version = 0;
    for (const auto& e : events) version = std::max(version, e.version);
    flat["/version"] = std::to_string(version);
    flat["/trigger"] = text_of(own, Texts::trigger, [](const auto& e) { return e.texts & Texts::commit ? 2 : 1; });
    flat["/stop"] = text_of(own, Texts::stop_comment, [](const auto& e) { return e.attempt; });

    std::set<std::string> stages;
    for (const auto& e : events)
        if (e.scope != Scope::pipeline) stages.insert(e.stage);
    for (const auto& stage : stages) {
        const Events of = where(events, [&](const auto& e) { return e.scope != Scope::pipeline && e.stage == stage; });
        const Events stage_events = where(of, [](const auto& e) { return e.scope == Scope::stage; });
        reckon_scope(flat, stage, stage_events, of);
        flat[stage + "/first"] = began(of);
        flat[stage + "/update"] = latest(stage_events, &PipelineEvent::time);

        std::set<std::tuple<std::string, std::string>> actions;
        for (const auto& e : of)
            if (e.scope == Scope::action) actions.insert({e.action, e.action_execution_id});
        for (const auto& [action, id] : actions) {
            const Events mine = where(of, [&](const auto& e) { return e.scope == Scope::action && e.action == action && e.action_execution_id == id; });
            const std::string name = stage + "/" + action + "/" + id;
            State state = State::started;
            int attempt = 1;
            std::set<State> seen;
            std::string category, owner, provider, region;
            for (const auto& e : mine) {
                state = std::max(state, e.state);
                attempt = std::max(attempt, e.attempt);
                seen.insert(e.state);
                category = std::max(category, e.category);
                owner = std::max(owner, e.owner);
                provider = std::max(provider, e.provider);
                region = std::max(region, e.action_region);
            }
            flat[name + "/state"] = std::string(event_word(state)) + " " + std::to_string(attempt);
            std::string words;
            for (State s : seen) words += event_word(s).substr(0, 4);
            flat[name + "/seen"] = words;
            flat[name + "/start"] = earliest(mine, &PipelineEvent::start);
            flat[name + "/first"] = began(mine);
            flat[name + "/update"] = latest(mine, &PipelineEvent::time);
            flat[name + "/end"] = is_end(state) ? latest(where(mine, [&](const auto& e) { return e.state == state; }), &PipelineEvent::time) : "-";
            flat[name + "/type"] = category + " " + owner + " " + provider + " " + region;
            flat[name + "/result"] = text_of(mine, Texts::result, [](const auto& e) { return static_cast<int>(e.state); });
        }
    }
    return flat;
}

Flat flatten(const ExecutionView& v) {
    Flat flat;
    auto text = [](const TextRef& ref) { return ref.position ? std::to_string(ref.content) : "-"; };
    auto words = [](uint16_t states) {
        std::string out;
        for (int i = 0; i <= static_cast<int>(State::failed); ++i)
            if (states >> i & 1) out += event_word(static_cast<State>(i)).substr(0, 4);
        return out;
    };
    auto scope = [&](const std::string& name, const auto& s) {
        flat[name + "/known"] = s.known ? "yes" : "no";
        flat[name + "/state"] = std::string(event_word(s.state)) + " " + std::to_string(s.attempt);
        std::string seen;
        for (const auto& one : s.seen) seen += std::to_string(one.attempt) + ":" + words(one.states) + " ";
        flat[name + "/seen"] = seen;
        flat[name + "/start"] = shown(s.start);
        flat[name + "/first"] = shown(s.first);
        flat[name + "/update"] = shown(s.update);
        flat[name + "/end"] = shown(s.end);
        flat[name + "/last_retry"] = shown(s.last_retry);
    };
    scope("", v);
    flat["/version"] = std::to_string(v.version);
    flat["/trigger"] = text(v.trigger);
    flat["/stop"] = text(v.stop_comment);
    for (const auto& s : v.stages) scope(s.name, s);
    for (const auto& a : v.actions) {
        const std::string name = a.stage + "/" + a.name + "/" + a.action_execution_id;
        flat[name + "/state"] = std::string(event_word(a.state)) + " " + std::to_string(a.attempt);
        flat[name + "/seen"] = words(a.seen);
        flat[name + "/start"] = shown(a.start);
        flat[name + "/first"] = shown(a.first);
        flat[name + "/update"] = shown(a.update);
        flat[name + "/end"] = shown(a.end);
        flat[name + "/type"] = a.category + " " + a.owner + " " + a.provider + " " + a.region;
        flat[name + "/result"] = text(a.result);
    }
    return flat;
}

}  // namespace waybill::sim
