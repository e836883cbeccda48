#include "bus/state.h"

#include <algorithm>

#include "base/assert.h"

namespace waybill::bus {
namespace {

// One list of members for writing and reading: `io(member)` does the one or the other.
class Writer {
public:
    explicit Writer(std::string& out) : out_(out) {}
    template <class... T>
    void operator()(const T&... members) {
        (one(members), ...);
    }

private:
    void one(const std::string& v) { out_.text(v); }
    void one(const Place& v) { (*this)(v.account, v.region); }
    void one(const BusKey& v) { (*this)(v.place, v.name); }
    void one(bool v) { out_.u8(v); }
    template <std::integral T>
    void one(const T& v) {
        if constexpr (std::is_signed_v<T>)
            out_.svarint(v);
        else
            out_.varint(v);
    }
    template <class T>
        requires std::is_enum_v<T>
    void one(const T& v) {
        out_.u8(static_cast<uint8_t>(v));
    }
    template <class T>
    void one(const std::optional<T>& v) {
        out_.u8(v.has_value());
        if (v) one(*v);
    }
    template <class A, class B>
    void one(const std::pair<A, B>& v) {
        (*this)(v.first, v.second);
    }
    template <class T>
    void one(const std::vector<T>& v) {
        out_.varint(v.size());
        for (const auto& e : v) one(e);
    }
    void one(const Tags& v) {
        out_.varint(v.size());
        for (const auto& e : v) one(e);
    }
    template <class T>
        requires requires(Writer& w, T& t) { members(w, t); }
    void one(const T& v) {
        members(*this, const_cast<T&>(v));
    }
    ByteWriter out_;
};

class Reader {
public:
    explicit Reader(std::string_view in) : in_(in) {}
    template <class... T>
    void operator()(T&... members) {
        (one(members), ...);
    }
    bool good() const { return good_ && in_.complete(); }

private:
    void one(std::string& v) { v = in_.text(); }
    void one(Place& v) { (*this)(v.account, v.region); }
    void one(BusKey& v) { (*this)(v.place, v.name); }
    void one(bool& v) { v = in_.u8() != 0; }
    template <std::integral T>
    void one(T& v) {
        if constexpr (std::is_signed_v<T>)
            v = static_cast<T>(in_.svarint());
        else
            v = static_cast<T>(in_.varint());
    }
    template <class T>
        requires std::is_enum_v<T>
    void one(T& v) {
        const uint8_t n = in_.u8();
        if (n > static_cast<uint8_t>(last(v)))
            good_ = false;
        else
            v = static_cast<T>(n);
    }
    static RuleState last(RuleState) { return RuleState::enabled_with_cloudtrail; }
    static ArchiveState last(ArchiveState) { return ArchiveState::update_failed; }
    static ReplayState last(ReplayState) { return ReplayState::failed; }
    static ConnectionState last(ConnectionState) { return ConnectionState::deleting; }
    static ResourceKind last(ResourceKind) { return ResourceKind::destination; }
    template <class T>
    void one(std::optional<T>& v) {
        if (in_.u8())
            one(v.emplace());
        else
            v.reset();
    }
    template <class A, class B>
    void one(std::pair<A, B>& v) {
        (*this)(v.first, v.second);
    }
    template <class T>
    void one(std::vector<T>& v) {
        const uint64_t n = in_.varint();
        if (n > in_.left()) {
            good_ = false;
            return;
        }
        v.resize(n);
        for (auto& e : v) one(e);
    }
    void one(Tags& v) {
        v.clear();
        for (uint64_t n = in_.varint(); n > 0 && !in_.failed(); --n) {
            std::string key, value;
            (*this)(key, value);
            v.emplace(std::move(key), std::move(value));
        }
    }
    template <class T>
        requires requires(Reader& r, T& t) { members(r, t); }
    void one(T& v) {
        members(*this, v);
    }
    ByteReader in_;
    bool good_ = true;
};

}  // namespace

// Found by the two above through their argument's namespace.
template <class IO>
void members(IO& io, EventBus& v) {
    io(v.key, v.description, v.kms_key, v.dead_letter_arn, v.log_config, v.policy, v.tags, v.created, v.modified);
}
template <class IO>
void members(IO& io, InputTransformer& v) {
    io(v.paths_map, v.template_);
}
template <class IO>
void members(IO& io, TargetInput& v) {
    io(v.input, v.input_path, v.transformer, v.escape_text);
}
template <class IO>
void members(IO& io, HttpParameters& v) {
    io(v.path_values, v.headers, v.query);
}
template <class IO>
void members(IO& io, TargetParameters& v) {
    io(v.role_arn, v.message_group_id, v.http, v.dead_letter_arn);
}
template <class IO>
void members(IO& io, Target& v) {
    io(v.id, v.arn, v.input, v.parameters, v.max_attempts, v.max_age_s, v.others);
}
template <class IO>
void members(IO& io, Rule& v) {
    io(v.id, v.bus, v.name, v.pattern, v.schedule, v.description, v.role_arn, v.managed_by, v.created_by, v.state, v.targets,
       v.tags, v.changed, v.created, v.anchor, v.fired);
}
template <class IO>
void members(IO& io, Archive& v) {
    io(v.id, v.bus, v.name, v.description, v.pattern, v.kms_key, v.retention_days, v.state, v.tags, v.created, v.from);
}
template <class IO>
void members(IO& io, Replay& v) {
    io(v.bus, v.name, v.description, v.archive, v.rules, v.state, v.reason, v.archive_id, v.from, v.to, v.started, v.ended,
       v.last_event, v.next, v.end, v.replayed);
}
template <class IO>
void members(IO& io, Connection& v) {
    io(v.place, v.name, v.uuid, v.description, v.type, v.shown, v.connectivity, v.kms_key, v.secret, v.state, v.reason, v.created,
       v.modified, v.authorized);
}
template <class IO>
void members(IO& io, Destination& v) {
    io(v.place, v.name, v.uuid, v.description, v.connection_arn, v.endpoint, v.method, v.rate_per_second, v.created, v.modified);
}
template <class IO>
void members(IO& io, Erase& v) {
    io(v.kind, v.place, v.bus, v.name);
}

namespace {

constexpr uint8_t erase_tag = 0xff;

template <size_t I = 0>
bool read_resource(size_t kind, Reader& in, Put& put) {
    if constexpr (I < std::variant_size_v<decltype(put.resource)>) {
        if (kind != I) return read_resource<I + 1>(kind, in, put);
        in(put.resource.template emplace<I>());
        return in.good();
    }
    return false;
}

}  // namespace

std::string_view to_string(RuleState state) {
    switch (state) {
        case RuleState::enabled: return "ENABLED";
        case RuleState::disabled: return "DISABLED";
        case RuleState::enabled_with_cloudtrail: return "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS";
    }
    ASSERT(false);
}

std::string_view to_string(ArchiveState state) {
    switch (state) {
        case ArchiveState::enabled: return "ENABLED";
        case ArchiveState::disabled: return "DISABLED";
        case ArchiveState::creating: return "CREATING";
        case ArchiveState::updating: return "UPDATING";
        case ArchiveState::create_failed: return "CREATE_FAILED";
        case ArchiveState::update_failed: return "UPDATE_FAILED";
    }
    ASSERT(false);
}

std::string_view to_string(ReplayState state) {
    switch (state) {
        case ReplayState::starting: return "STARTING";
        case ReplayState::running: return "RUNNING";
        case ReplayState::cancelling: return "CANCELLING";
        case ReplayState::completed: return "COMPLETED";
        case ReplayState::cancelled: return "CANCELLED";
        case ReplayState::failed: return "FAILED";
    }
    ASSERT(false);
}

std::string_view to_string(ConnectionState state) {
    switch (state) {
        case ConnectionState::authorized: return "AUTHORIZED";
        case ConnectionState::deauthorized: return "DEAUTHORIZED";
        case ConnectionState::authorizing: return "AUTHORIZING";
        case ConnectionState::deauthorizing: return "DEAUTHORIZING";
        case ConnectionState::creating: return "CREATING";
        case ConnectionState::updating: return "UPDATING";
        case ConnectionState::deleting: return "DELETING";
    }
    ASSERT(false);
}

std::string encode(const Change& change) {
    std::string out;
    if (const auto* put = std::get_if<Put>(&change)) {
        ByteWriter(out).u8(static_cast<uint8_t>(put->resource.index()));
        Writer w(out);
        std::visit([&](const auto& resource) { w(resource); }, put->resource);
    } else {
        ByteWriter(out).u8(erase_tag);
        Writer w(out);
        w(std::get<Erase>(change));
    }
    return out;
}

bool decode(std::string_view body, Change& change) {
    if (body.empty()) return false;
    const auto tag = static_cast<uint8_t>(body[0]);
    Reader in(body.substr(1));
    if (tag == erase_tag) {
        in(change.emplace<Erase>());
        return in.good();
    }
    return read_resource(tag, in, change.emplace<Put>());
}

std::string describe(const Change& change) {
    if (const auto* gone = std::get_if<Erase>(&change)) {
        const auto& [account, region] = gone->place;
        switch (gone->kind) {
            case ResourceKind::event_bus: return "gone " + event_bus_arn(region, account, gone->name);
            case ResourceKind::rule: return "gone " + rule_arn(region, account, gone->bus, gone->name);
            case ResourceKind::archive: return "gone " + archive_arn(region, account, gone->name);
            case ResourceKind::replay: return "gone " + replay_arn(region, account, gone->name);
            case ResourceKind::connection: return "gone " + connection_arn(region, account, gone->name, "*");
            case ResourceKind::destination: return "gone " + api_destination_arn(region, account, gone->name, "*");
        }
    }
    return "put " + std::visit(
                        [](const auto& r) {
                            if constexpr (std::is_same_v<std::decay_t<decltype(r)>, EventBus>)
                                return r.key.arn();
                            else
                                return r.arn();
                        },
                        std::get<Put>(change).resource);
}

void Routes::match(const BusKey& bus, std::string_view envelope, patterns::MatchScratch& scratch,
                   std::vector<RuleId>& out) const {
    out.clear();
    const auto at = buses.find(bus);
    if (at == buses.end()) return;
    at->second.matcher->match(envelope, scratch, out);
    out.insert(out.end(), at->second.everything.begin(), at->second.everything.end());
    std::sort(out.begin(), out.end());
}

Bus::Bus() : routes_(std::make_shared<Routes>()) {}

// -- apply --

void Bus::apply(const Change& change, Position position) {
    if (const auto* gone = std::get_if<Erase>(&change)) return erase(*gone);
    std::visit(
        [&](const auto& resource) {
            using T = std::decay_t<decltype(resource)>;
            if constexpr (std::is_same_v<T, EventBus>)
                put(resource);
            else if constexpr (std::is_same_v<T, Rule> || std::is_same_v<T, Archive>)
                put(resource, position);
            else if constexpr (std::is_same_v<T, Replay>)
                replays_[{resource.bus.place, resource.name}] = resource;
            else if constexpr (std::is_same_v<T, Connection>)
                connections_[{resource.place, resource.name}] = resource;
            else
                destinations_[{resource.place, resource.name}] = resource;
        },
        std::get<Put>(change).resource);
}

void Bus::put(EventBus bus) {
    const BusKey key = bus.key;
    if (buses_.insert_or_assign(key, std::move(bus)).second) ++version_;
}

void Bus::put(Rule rule, Position position) {
    if (!rule.id) rule.id = position;
    const RuleId id = rule.id;
    const BusKey key = rule.bus;
    const auto old = rules_.find(id);
    if (position)
        rule.changed =
            old != rules_.end() && old->second.targets == rule.targets ? old->second.changed : position;  // 0: from a snapshot
    const bool matches_the_same =
        old != rules_.end() && old->second.pattern == rule.pattern && old->second.enabled() == rule.enabled();
    by_bus_[key].names[rule.name] = id;
    unschedule(id);
    schedule(rule);
    rules_[id] = std::move(rule);
    if (!matches_the_same) rematch(key, id);
}

void Bus::put(Archive archive, Position position) {
    if (!archive.id) archive.id = position;
    const RuleId id = archive.id;
    const BusKey key = archive.bus;
    archive_names_[{key.place, archive.name}] = id;
    archives_[id] = std::move(archive);
    rematch(key, id);
}

void Bus::erase(const Erase& what) {
    switch (what.kind) {
        case ResourceKind::event_bus: version_ += buses_.erase({what.place, what.name}); break;
        case ResourceKind::rule: {
            const BusKey key{what.place, what.bus};
            const auto bus = by_bus_.find(key);
            if (bus == by_bus_.end()) break;
            const auto name = bus->second.names.find(what.name);
            if (name == bus->second.names.end()) break;
            const RuleId id = name->second;
            bus->second.names.erase(name);
            if (bus->second.names.empty()) by_bus_.erase(bus);
            unschedule(id);
            rules_.erase(id);
            rematch(key, id);
            break;
        }
        case ResourceKind::archive: {
            const auto name = archive_names_.find({what.place, what.name});
            if (name == archive_names_.end()) break;
            const RuleId id = name->second;
            const BusKey key = archives_.at(id).bus;
            archive_names_.erase(name);
            archives_.erase(id);
            counts_.erase(id);
            rematch(key, id);
            break;
        }
        case ResourceKind::replay: replays_.erase({what.place, what.name}); break;
        case ResourceKind::connection: connections_.erase({what.place, what.name}); break;
        case ResourceKind::destination: destinations_.erase({what.place, what.name}); break;
    }
}

void Bus::archived(RuleId archive, uint64_t bytes) {
    if (!archives_.contains(archive)) return;
    ArchiveCounts& c = counts_[archive];
    ++c.events;
    c.bytes += bytes;
}

void Bus::schedule(const Rule& rule) {
    if (rule.schedule.empty() || !rule.enabled()) return;
    const auto schedule = parse_schedule(rule.schedule);
    if (!schedule.ok()) return;
    const TimeMs after = rule.fired == no_time ? rule.anchor : std::max(rule.anchor, rule.fired);
    const auto next = schedule->next_after(after, rule.anchor);
    if (!next) return;
    slots_.insert({*next, rule.id});
    next_of_[rule.id] = *next;
}

void Bus::unschedule(RuleId id) {
    const auto at = next_of_.find(id);
    if (at == next_of_.end()) return;
    slots_.erase({at->second, id});
    next_of_.erase(at);
}

void Bus::rematch(const BusKey& bus, RuleId id) {
    stale_[bus].insert(id);
    ++version_;
}

const std::string* Bus::pattern_of(RuleId id) const {
    if (const Rule* r = rule(id)) return r->enabled() && !r->pattern.empty() ? &r->pattern : nullptr;
    if (const Archive* a = archive(id)) return a->state == ArchiveState::enabled && !a->pattern.empty() ? &a->pattern : nullptr;
    return nullptr;
}

const std::shared_ptr<const Routes>& Bus::routes() {
    if (routes_->version == version_) return routes_;
    auto next = std::make_shared<Routes>(*routes_);
    next->version = version_;
    for (const auto& [key, ids] : stale_) {
        BusRoutes& routes = next->buses[key];
        if (!routes.matcher) routes.matcher = patterns::Matcher::empty();
        std::vector<patterns::Pattern> parsed;
        std::vector<patterns::RulePattern> put;
        std::vector<RuleId> removed;
        parsed.reserve(ids.size());
        for (RuleId id : ids) {
            std::erase(routes.everything, id);
            const Archive* whole = archive(id);
            if (whole && whole->pattern.empty() && whole->state == ArchiveState::enabled) routes.everything.push_back(id);
            const std::string* pattern = pattern_of(id);
            // It was checked before it was put; one that this version cannot read matches nothing.
            auto read = pattern ? patterns::parse_pattern(*pattern) : Result<patterns::Pattern>(not_found(""));
            if (read.ok()) {
                parsed.push_back(std::move(*read));
                put.push_back({id, &parsed.back()});
            } else {
                removed.push_back(id);
            }
        }
        routes.matcher = routes.matcher->with(put, removed);
        if (!routes.matcher->rules() && routes.everything.empty()) next->buses.erase(key);
    }
    stale_.clear();
    next->made.clear();
    for (const auto& [key, bus] : buses_) next->made.insert(key);
    routes_ = std::move(next);
    return routes_;
}

// -- reading --

namespace {

// Of one place, in the order of their names.
template <class T>
std::vector<const T*> of_place(const std::map<std::pair<Place, std::string>, T>& all, const Place& place) {
    std::vector<const T*> found;
    for (auto at = all.lower_bound({place, {}}); at != all.end() && at->first.first == place; ++at) found.push_back(&at->second);
    return found;
}

template <class T>
const T* find_in(const std::map<std::pair<Place, std::string>, T>& all, const Place& place, std::string_view name) {
    const auto at = all.find({place, std::string(name)});
    return at == all.end() ? nullptr : &at->second;
}

}  // namespace

std::optional<EventBus> Bus::bus(const BusKey& key) const {
    const auto at = buses_.find(key);
    if (at != buses_.end()) return at->second;
    if (key.name != default_bus) return {};
    EventBus made;
    made.key = key;
    return made;
}

std::vector<EventBus> Bus::buses(const Place& place) const {
    std::vector<EventBus> found;
    for (auto at = buses_.lower_bound({place, {}}); at != buses_.end() && at->first.place == place; ++at)
        found.push_back(at->second);
    const BusKey key{place, std::string(default_bus)};
    if (!buses_.contains(key)) {
        EventBus made;
        made.key = key;
        found.insert(std::ranges::lower_bound(found, key, {}, &EventBus::key), std::move(made));
    }
    return found;
}

const Rule* Bus::rule(const BusKey& bus, std::string_view name) const {
    const auto at = by_bus_.find(bus);
    if (at == by_bus_.end()) return nullptr;
    const auto id = at->second.names.find(name);
    return id == at->second.names.end() ? nullptr : rule(id->second);
}

const Rule* Bus::rule(RuleId id) const {
    const auto at = rules_.find(id);
    return at == rules_.end() ? nullptr : &at->second;
}

std::vector<const Rule*> Bus::rules(const BusKey& bus) const {
    std::vector<const Rule*> found;
    if (const auto at = by_bus_.find(bus); at != by_bus_.end())
        for (const auto& [name, id] : at->second.names) found.push_back(&rules_.at(id));
    return found;
}

std::vector<const Rule*> Bus::rules() const {
    std::vector<const Rule*> found;
    for (const auto& [key, bus] : by_bus_)
        for (const auto& [name, id] : bus.names) found.push_back(&rules_.at(id));
    return found;
}

const Archive* Bus::archive(RuleId id) const {
    const auto at = archives_.find(id);
    return at == archives_.end() ? nullptr : &at->second;
}

const Archive* Bus::archive(const Place& place, std::string_view name) const {
    const RuleId* id = find_in(archive_names_, place, name);
    return id ? archive(*id) : nullptr;
}

ArchiveCounts Bus::counts(RuleId archive) const {
    const auto at = counts_.find(archive);
    return at == counts_.end() ? ArchiveCounts{} : at->second;
}

std::vector<const Archive*> Bus::archives(const Place& place) const {
    std::vector<const Archive*> found;
    for (const RuleId* id : of_place(archive_names_, place)) found.push_back(archive(*id));
    return found;
}

const Replay* Bus::replay(const Place& place, std::string_view name) const { return find_in(replays_, place, name); }
std::vector<const Replay*> Bus::replays(const Place& place) const { return of_place(replays_, place); }

std::vector<const Replay*> Bus::open_replays() const {
    std::vector<const Replay*> found;
    for (const auto& [key, r] : replays_)
        if (r.open()) found.push_back(&r);
    return found;
}

const Connection* Bus::connection(const Place& place, std::string_view name) const { return find_in(connections_, place, name); }
const Connection* Bus::connection_of(const Place& place, std::string_view arn_text) const {
    const auto arn = parse_arn(arn_text);
    if (!arn) return nullptr;
    const std::string_view resource = arn->resource;
    const size_t begin = resource.find('/') + 1;
    const Connection* found = connection(place, resource.substr(begin, resource.find('/', begin) - begin));
    return found && found->arn() == arn_text ? found : nullptr;
}

std::vector<const Connection*> Bus::connections(const Place& place) const { return of_place(connections_, place); }

std::vector<const Connection*> Bus::connections() const {
    std::vector<const Connection*> found;
    for (const auto& [key, c] : connections_) found.push_back(&c);
    return found;
}

const Destination* Bus::destination(const Place& place, std::string_view name) const {
    return find_in(destinations_, place, name);
}
std::vector<const Destination*> Bus::destinations(const Place& place) const { return of_place(destinations_, place); }

std::vector<RuleId> Bus::due(TimeMs now) const {
    std::vector<RuleId> found;
    for (const auto& [slot, id] : slots_) {
        if (slot > now) break;
        found.push_back(id);
    }
    return found;
}

// -- snapshots: every resource is a piece, written as the change that puts it; counts follow their archive --

void Bus::encode(const std::function<void(std::string_view)>& sink) const {
    auto all = [&](const auto& map) {
        for (const auto& [key, resource] : map) sink(bus::encode(Change(Put{resource})));
    };
    all(buses_);
    all(rules_);
    all(archives_);
    all(replays_);
    all(connections_);
    all(destinations_);
    for (const auto& [id, c] : counts_) {
        std::string piece;
        ByteWriter out(piece);
        out.u8(erase_tag - 1);
        out.varint(id);
        out.varint(c.events);
        out.varint(c.bytes);
        sink(piece);
    }
}

Result<void> Bus::restore(std::string_view piece) {
    if (!piece.empty() && static_cast<uint8_t>(piece[0]) == erase_tag - 1) {
        ByteReader in(piece.substr(1));
        const RuleId id = in.varint();
        ArchiveCounts c;
        c.events = in.varint();
        c.bytes = in.varint();
        if (!in.complete() || !archives_.contains(id)) return corrupt("a piece of the bus snapshot cannot be read");
        counts_[id] = c;
        return {};
    }
    Change change;
    if (!decode(piece, change) || !std::holds_alternative<Put>(change))
        return corrupt("a piece of the bus snapshot cannot be read");
    apply(change, 0);
    return {};
}

}  // namespace waybill::bus
