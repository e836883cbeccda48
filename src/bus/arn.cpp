#include "bus/arn.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace waybill::bus {
namespace {

std::string events_arn(std::string_view region, std::string_view account, std::string_view resource) {
    return fmt::format("arn:{}:events:{}:{}:{}", partition_of(region), region, account, resource);
}

// What follows the prefix, if the text has it and something follows.
std::optional<std::string_view> after(std::string_view text, std::string_view prefix) {
    if (!text.starts_with(prefix) || text.size() == prefix.size()) return {};
    return text.substr(prefix.size());
}

bool one_word(std::string_view text) { return !text.empty() && text.find_first_of(":/") == text.npos; }

}  // namespace

std::string Arn::text() const { return fmt::format("arn:{}:{}:{}:{}:{}", partition, service, region, account, resource); }

std::optional<Arn> parse_arn(std::string_view text) {
    if (text.size() > arn_bytes || !text.starts_with("arn:")) return {};
    if (std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f; })) return {};
    text.remove_prefix(4);
    std::array<std::string_view, 4> parts;
    for (auto& part : parts) {
        const size_t colon = text.find(':');
        if (colon == text.npos) return {};
        part = text.substr(0, colon);
        text.remove_prefix(colon + 1);
    }
    if (parts[0].empty() || parts[1].empty() || text.empty()) return {};
    return Arn{std::string(parts[0]), std::string(parts[1]), std::string(parts[2]), std::string(parts[3]), std::string(text)};
}

std::string_view partition_of(std::string_view region) {
    if (region.starts_with("cn-")) return "aws-cn";
    if (region.starts_with("us-gov-")) return "aws-us-gov";
    return "aws";
}

std::string_view domain_of(std::string_view region) { return region.starts_with("cn-") ? "amazonaws.com.cn" : "amazonaws.com"; }

std::string event_bus_arn(std::string_view region, std::string_view account, std::string_view bus) {
    return events_arn(region, account, fmt::format("event-bus/{}", bus));
}
std::string rule_arn(std::string_view region, std::string_view account, std::string_view bus, std::string_view rule) {
    return events_arn(region, account, bus == "default" ? fmt::format("rule/{}", rule) : fmt::format("rule/{}/{}", bus, rule));
}
std::string archive_arn(std::string_view region, std::string_view account, std::string_view archive) {
    return events_arn(region, account, fmt::format("archive/{}", archive));
}
std::string replay_arn(std::string_view region, std::string_view account, std::string_view replay) {
    return events_arn(region, account, fmt::format("replay/{}", replay));
}
std::string connection_arn(std::string_view region, std::string_view account, std::string_view connection,
                           std::string_view uuid) {
    return events_arn(region, account, fmt::format("connection/{}/{}", connection, uuid));
}
std::string api_destination_arn(std::string_view region, std::string_view account, std::string_view destination,
                                std::string_view uuid) {
    return events_arn(region, account, fmt::format("api-destination/{}/{}", destination, uuid));
}

std::optional<std::string> bus_name(std::string_view name_or_arn) {
    if (!name_or_arn.starts_with("arn:")) return std::string(name_or_arn);
    const auto arn = parse_arn(name_or_arn);
    if (!arn || kind_of(*arn) != TargetKind::event_bus) return {};
    return std::string(name_in(*arn));
}

TargetKind kind_of(const Arn& arn) {
    const std::string_view resource = arn.resource;
    if (arn.service == "events") {
        if (after(resource, "event-bus/")) return TargetKind::event_bus;
        if (after(resource, "api-destination/")) return TargetKind::api_destination;
    }
    if (arn.service == "logs" && after(resource, "log-group:")) return TargetKind::log_group;
    if (arn.service == "sqs" && one_word(resource)) return TargetKind::sqs;
    if (arn.service == "sns" && one_word(resource)) return TargetKind::sns;
    if (arn.service == "lambda" && after(resource, "function:")) return TargetKind::lambda;
    if (arn.service == "codepipeline" && one_word(resource)) return TargetKind::pipeline;
    if (arn.service == "states" && after(resource, "stateMachine:")) return TargetKind::state_machine;
    return TargetKind::unknown;
}

std::string_view to_string(TargetKind kind) {
    switch (kind) {
        case TargetKind::event_bus: return "event_bus";
        case TargetKind::api_destination: return "api_destination";
        case TargetKind::log_group: return "log_group";
        case TargetKind::sqs: return "sqs";
        case TargetKind::sns: return "sns";
        case TargetKind::lambda: return "lambda";
        case TargetKind::pipeline: return "pipeline";
        case TargetKind::state_machine: return "state_machine";
        case TargetKind::unknown: return "unknown";
    }
    return "unknown";
}

std::string_view name_in(const Arn& arn) {
    const std::string_view resource = arn.resource;
    switch (kind_of(arn)) {
        case TargetKind::event_bus: return *after(resource, "event-bus/");
        case TargetKind::api_destination: {
            const std::string_view name = *after(resource, "api-destination/");
            return name.substr(0, name.find('/'));
        }
        case TargetKind::log_group: {
            std::string_view name = *after(resource, "log-group:");
            if (name.ends_with(":*")) name.remove_suffix(2);
            return name;
        }
        case TargetKind::lambda: return *after(resource, "function:");
        case TargetKind::state_machine: return *after(resource, "stateMachine:");
        case TargetKind::sqs:
        case TargetKind::sns:
        case TargetKind::pipeline:
        case TargetKind::unknown: return resource;
    }
    return resource;
}

}  // namespace waybill::bus
