// PutEvents as EventBridge answers it (API reference, PutEvents; messages from recorded responses).
#include <fmt/format.h>
#include <simdjson.h>

#include <cmath>

#include "server/door.h"
#include "wire/aws_error.h"

namespace waybill::server {
namespace {

namespace dom = simdjson::dom;

struct Entry {
    std::optional<std::string> source, detail_type, detail, bus;
    std::vector<std::string> resources;
    TimeMs time = no_time;
};

struct EntryResult {
    std::string event_id, code, message;
};

wire::AwsError validation(std::string message) { return {"ValidationException", std::move(message)}; }
wire::AwsError serialization(std::string message) { return {"SerializationException", std::move(message)}; }

// As the Java SDK's toString shows an entry; AWS quotes it so in its validation messages.
std::string shown(const Entry& e) {
    auto text = [](const std::optional<std::string>& t) { return t ? *t : "null"; };
    std::string resources;
    for (const auto& r : e.resources) resources += (resources.empty() ? "" : ", ") + r;
    return fmt::format(
        "PutEventsRequestEntry(time={}, source={}, resources={}, detailType={}, detail={}, eventBusName={}, traceHeader=null)",
        e.time == no_time ? "null" : format_time(e.time), text(e.source), e.resources.empty() ? "null" : "[" + resources + "]",
        text(e.detail_type), text(e.detail), text(e.bus));
}

// A request that is not of the operation's shape is refused whole.
std::variant<std::vector<Entry>, wire::AwsError> read_entries(std::string_view body) {
    thread_local dom::parser parser;
    dom::element root;
    if (parser.parse(body.data(), body.size(), true).get(root) != simdjson::SUCCESS || !root.is_object())
        return serialization("The request body is not a JSON object.");
    dom::element list;
    if (root.at_key("Entries").get(list) != simdjson::SUCCESS || list.is_null())
        return validation(
            "1 validation error detected: Value null at 'entries' failed to satisfy constraint: Member must not be null");
    dom::array array;
    if (list.get(array) != simdjson::SUCCESS) return serialization("Entries must be a list.");
    std::vector<Entry> entries;
    for (const auto item : array) {
        dom::object object;
        if (item.get(object) != simdjson::SUCCESS) return serialization("Each of Entries must be a structure.");
        Entry& e = entries.emplace_back();
        for (const auto field : object) {
            if (field.value.is_null()) continue;
            std::string_view s;
            const bool is_text = field.value.get(s) == simdjson::SUCCESS;
            auto text = [&](std::optional<std::string>& into) {
                if (is_text) into = std::string(s);
                return is_text;
            };
            bool good = true;
            if (field.key == "Source")
                good = text(e.source);
            else if (field.key == "DetailType")
                good = text(e.detail_type);
            else if (field.key == "Detail")
                good = text(e.detail);
            else if (field.key == "EventBusName")
                good = text(e.bus);
            else if (field.key == "Time") {
                double seconds;
                if (is_text) {
                    const auto t = parse_time(s);
                    good = t.has_value();
                    e.time = t.value_or(0);
                } else if ((good = field.value.get(seconds) == simdjson::SUCCESS && std::abs(seconds) < 2.5e11)) {
                    e.time = static_cast<TimeMs>(std::llround(seconds * 1000));
                }
            } else if (field.key == "Resources") {
                dom::array resources;
                good = field.value.get(resources) == simdjson::SUCCESS && resources.size() <= limits::resources;
                if (good)
                    for (const auto r : resources) {
                        if (!(good = r.get(s) == simdjson::SUCCESS)) break;
                        e.resources.emplace_back(s);
                    }
            }
            if (!good) return serialization(fmt::format("{} of an entry has the wrong type or value.", field.key));
        }
    }
    if (entries.empty())
        return validation(
            "1 validation error detected: Value '[]' at 'entries' failed to satisfy constraint: Member must have length greater "
            "than or equal to 1");
    if (entries.size() > limits::put_events_entries) {
        std::string all;
        for (const auto& e : entries) all += (all.empty() ? "" : ", ") + shown(e);
        if (all.size() > 4096) all = all.substr(0, 4096) + "…";
        return validation(
            fmt::format("1 validation error detected: Value '[{}]' at 'entries' failed to satisfy constraint: Member must have "
                        "length less than or equal to 10",
                        all));
    }
    // AWS's formula: 14 bytes for a time, and the UTF-8 bytes of every text.
    size_t size = 0;
    for (const auto& e : entries) {
        size += e.time == no_time ? 0 : 14;
        for (const auto* t : {&e.source, &e.detail_type, &e.detail}) size += *t ? (*t)->size() : 0;
        for (const auto& r : e.resources) size += r.size();
    }
    if (size >= limits::put_events_bytes) return validation("Total size of the entries in the request is over the limit.");
    return entries;
}

std::string new_event_id(world::Random& random) {
    uint64_t bits[2] = {random.next(), random.next()};
    auto* bytes = reinterpret_cast<unsigned char*>(bits);
    bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0f) | 0x40);  // RFC 9562, version 4
    bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3f) | 0x80);
    std::string id = to_hex({reinterpret_cast<const char*>(bytes), 16});
    for (size_t at : {8, 13, 18, 23}) id.insert(at, 1, '-');
    return id;
}

bool is_json_object(const std::string& text) {
    thread_local dom::parser parser;
    dom::element root;
    return parser.parse(text).get(root) == simdjson::SUCCESS && root.is_object();
}

// The bus that an entry names, by name or ARN; nothing: an ARN of something else.
std::optional<bus::BusKey> bus_of(const Entry& e, const bus::Place& place) {
    if (!e.bus || e.bus->empty()) return bus::BusKey{place, std::string(bus::default_bus)};
    if (!e.bus->starts_with("arn:")) return bus::BusKey{place, *e.bus};
    const auto arn = bus::parse_arn(*e.bus);
    if (!arn || bus::kind_of(*arn) != bus::TargetKind::event_bus) return {};
    return bus::BusKey{{arn->account, arn->region}, std::string(bus::name_in(*arn))};
}

}  // namespace

void arrive(const Context& context, node::Ingest& ingest, const bus::BusKey& bus, IncomingEvent event) {
    if (!ingest.routes) ingest.routes = context.node.routes();
    const bool home = bus == context.node.home_bus();
    if (!home || ingest.routes->buses.contains(bus)) {
        thread_local patterns::MatchScratch scratch;
        ingest.arrived.resize(ingest.events.size(), {context.node.home_bus(), {}});
        node::Arrived& arrived = ingest.arrived.emplace_back();
        arrived.bus = bus;
        ingest.routes->match(bus, event.envelope, scratch, arrived.matched);
    }
    ingest.events.push_back(std::move(event));
}

http::Task<http::Response> put_events(const Context& context, http::Exchange& exchange, const wire::AwsRequest& request,
                                      std::string_view body, std::string_view request_id) {
    auto read = read_entries(body);
    if (auto* error = std::get_if<wire::AwsError>(&read)) co_return wire::error_answer(request, *error, request_id);
    auto& entries = std::get<std::vector<Entry>>(read);

    node::Ingest ingest;
    ingest.routes = context.node.routes();
    const bus::Place place{request.account.empty() ? context.config.account : request.account,
                           request.region.empty() ? context.config.region : request.region};
    std::vector<EntryResult> results;
    for (const auto& e : entries) {
        EntryResult& r = results.emplace_back();
        auto refuse = [&](std::string_view code, std::string message) {
            r.code = code;
            r.message = std::move(message);
        };
        auto required = [&](std::string_view name, const std::optional<std::string>& value) {
            if (value && !value->empty()) return true;
            refuse("InvalidArgument", fmt::format("Parameter {} is not valid. Reason: {} is a required argument.", name, name));
            return false;
        };
        if (!required("Source", e.source) || !required("DetailType", e.detail_type) || !required("Detail", e.detail)) continue;
        if (e.source->starts_with("aws.") && !context.config.allow_aws_sources) {
            refuse("NotAuthorizedForSourceException", "Not authorized for the source.");
            continue;
        }
        if (e.detail_type->size() > limits::detail_type_bytes) {
            refuse("InvalidArgument",
                   "Parameter DetailType is not valid. Reason: DetailType must have length less than or equal to 128.");
            continue;
        }
        // Judged on its own: nothing in it may reach into the envelope around it.
        if (!is_json_object(*e.detail)) {
            refuse("MalformedDetail", "Detail is malformed.");
            continue;
        }
        r.event_id = new_event_id(context.random);
        std::string envelope;
        JsonWriter w(envelope);
        w.begin_object();
        w.key("version").text("0");
        w.key("id").text(r.event_id);
        w.key("detail-type").text(*e.detail_type);
        w.key("source").text(*e.source);
        w.key("account").text(place.account);
        w.key("time").text(format_time_s(e.time == no_time ? context.clock.now() : e.time));
        w.key("region").text(place.region);
        w.key("resources").begin_array();
        for (const auto& resource : e.resources) w.text(resource);
        w.end_array();
        w.key("detail").raw(*e.detail);
        w.end_object();
        thread_local EnvelopeReader reader;
        const auto key = bus_of(e, place);
        const bool home = key && *key == context.node.home_bus();
        auto event = reader.read(envelope, !key || home ? std::string(bus::default_bus) : key->arn());
        if (auto* error = std::get_if<FieldError>(&event)) {
            r.event_id.clear();
            if (error->syntax) {  // too deep, now that the envelope is around it
                refuse("MalformedDetail", "Detail is malformed.");
                continue;
            }
            std::string_view parameter = "Entry";
            if (error->field == "source")
                parameter = "Source";
            else if (error->field == "detail-type")
                parameter = "DetailType";
            else if (error->field.starts_with("detail"))
                parameter = "Detail";
            refuse("InvalidArgument", fmt::format("Parameter {} is not valid. Reason: {}{}{}.", parameter, error->field,
                                                  error->field.empty() ? "" : " ", error->reason));
            continue;
        }
        // An unknown bus takes an event and drops it, with an id: AWS's behaviour.
        if (key && ingest.routes->exists(*key)) arrive(context, ingest, *key, std::move(std::get<IncomingEvent>(event)));
    }

    Position position = context.node.gauges().released.load();
    if (!ingest.events.empty()) {
        co_await let_history_follow(context, exchange);
        http::Completion<node::IngestAnswer> done(exchange);
        ingest.answer = [sender = done.sender()](Result<node::IngestAnswer> answer) mutable {
            sender.complete(std::move(answer));
        };
        const bool taken = context.node.submit(std::move(ingest));
        Result<node::IngestAnswer> answer = overloaded("the queue of events is full: repeat in a moment");
        if (taken) answer = co_await done.wait(answer_timeout_ms);
        if (!answer.ok()) {
            http::Response response =
                wire::error_answer(request,
                                   {answer.error().kind == ErrorKind::overloaded ? "ThrottlingException" : "InternalException",
                                    answer.error().message, 503, wire::Fault::receiver},
                                   request_id);
            response.headers.emplace_back("Retry-After", "1");
            co_return response;
        }
        position = answer->position;
    }
    std::string json;
    JsonWriter w(json);
    size_t failed = 0;
    for (const auto& r : results) failed += !r.code.empty();
    w.begin_object().key("FailedEntryCount").number(static_cast<int64_t>(failed)).key("Entries").begin_array();
    for (const auto& r : results) {
        w.begin_object();
        if (r.code.empty())
            w.key("EventId").text(r.event_id);
        else
            w.key("ErrorCode").text(r.code).key("ErrorMessage").text(r.message);
        w.end_object();
    }
    w.end_array().end_object();
    co_return at_position(wire::json_answer(request, std::move(json), request_id), position);
}

}  // namespace waybill::server
