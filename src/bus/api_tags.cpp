// Tags of event buses and rules, which are all that AWS lets be tagged here. A resource is named by its ARN: event-bus/NAME,
// rule/NAME on the default bus, rule/BUS/NAME on another.
#include <fmt/format.h>

#include "bus/api_fields.h"
#include "bus/api_operations.h"

namespace waybill::bus {

namespace {

const TextRule tag_key{1, 128};

struct Resource {
    BusKey bus;
    std::optional<std::string> rule;  // nothing: the bus itself
};

std::variant<Resource, wire::AwsError> resource_of(std::string_view text) {
    const auto arn = parse_arn(text);
    if (!arn) return validation(fmt::format("Parameter {} is not valid. Reason: Provided Arn is not in correct format.", text));
    const Place place{arn->account, arn->region};
    const std::string_view resource = arn->resource;
    constexpr std::string_view bus = "event-bus/", rule = "rule/";
    if (arn->service == "events" && resource.starts_with(bus))
        return Resource{{place, std::string(resource.substr(bus.size()))}, {}};
    if (arn->service == "events" && resource.starts_with(rule)) {
        const std::string_view path = resource.substr(rule.size());
        const size_t slash = path.rfind('/');  // a rule's name has none
        if (slash == path.npos) return Resource{{place, std::string(default_bus)}, std::string(path)};
        return Resource{{place, std::string(path.substr(0, slash))}, std::string(path.substr(slash + 1))};
    }
    return validation(fmt::format("Parameter {} is not valid. Reason: only rules and event buses have tags.", text));
}

struct Tagged {
    std::variant<EventBus, Rule> resource;
    Tags& tags() {
        return std::visit([](auto& r) -> Tags& { return r.tags; }, resource);
    }
    Put put() && {
        return std::visit([](auto& r) { return Put{std::move(r)}; }, resource);
    }
};

std::variant<Tagged, wire::AwsError> find(const Bus& state, const Resource& resource) {
    auto bus = state.bus(resource.bus);
    if (!bus) return no_such_bus(resource.bus.name);
    if (!resource.rule) return Tagged{std::move(*bus)};
    if (const Rule* rule = state.rule(resource.bus, *resource.rule)) return Tagged{*rule};
    return resource_not_found(fmt::format("Rule {} does not exist on EventBus {}.", *resource.rule, resource.bus.name));
}

// Both operations that change tags: `change` may refuse.
Prepared change_tags(std::string_view arn, std::function<std::optional<wire::AwsError>(Tags&)> change) {
    const auto resource = resource_of(arn);
    if (auto* error = std::get_if<wire::AwsError>(&resource)) return *error;
    return [resource = std::get<Resource>(resource), change = std::move(change)](const Bus& state, const Stamp&) {
        auto found = find(state, resource);
        if (auto* error = std::get_if<wire::AwsError>(&found)) return refusal(*error);
        auto& tagged = std::get<Tagged>(found);
        const Tags before = tagged.tags();
        if (auto error = change(tagged.tags())) return refusal(*error);
        if (tagged.tags() == before) return answer("{}");
        return answer("{}", {std::move(tagged).put()});
    };
}

}  // namespace

Prepared tag_resource(const ApiRequest& request) {
    RequestBody body(request.body);
    Members in = body.root();
    const auto arn = in.text("ResourceARN", any_arn, Need::required);
    const auto tags = in.tags("Tags", Need::required);
    if (auto error = body.error()) return *error;
    if (auto error = check_tags(*tags, request.limits.tags)) return *error;
    return change_tags(*arn, [tags = *tags, most = request.limits.tags](Tags& all) {
        for (const auto& [key, value] : tags) all[key] = value;
        return check_tags(all, most);
    });
}

Prepared untag_resource(const ApiRequest& request) {
    RequestBody body(request.body);
    Members in = body.root();
    const auto arn = in.text("ResourceARN", any_arn, Need::required);
    const auto keys = in.texts("TagKeys", {}, tag_key, Need::required);
    if (auto error = body.error()) return *error;
    return change_tags(*arn, [keys = *keys](Tags& all) -> std::optional<wire::AwsError> {
        for (const std::string& key : keys) all.erase(key);
        return std::nullopt;
    });
}

Prepared list_tags_for_resource(const ApiRequest& request) {
    RequestBody body(request.body);
    Members in = body.root();
    const auto arn = in.text("ResourceARN", any_arn, Need::required);
    if (auto error = body.error()) return *error;
    const auto resource = resource_of(*arn);
    if (auto* error = std::get_if<wire::AwsError>(&resource)) return *error;
    return [resource = std::get<Resource>(resource)](const Bus& state, const Stamp&) {
        auto found = find(state, resource);
        if (auto* error = std::get_if<wire::AwsError>(&found)) return refusal(*error);
        std::string json;
        JsonWriter w(json);
        w.begin_object().key("Tags");
        write_tags(w, std::get<Tagged>(found).tags());
        w.end_object();
        return answer(std::move(json));
    };
}

}  // namespace waybill::bus
