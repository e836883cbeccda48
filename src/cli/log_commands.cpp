// `waybill log verify`, `dump` and `stat`: what stands in a data directory's log, read without opening it, so it works on a damaged log and
// beside a running server. Exit code 5 says that something is not what was written; a torn tail is not, it is what a power cut leaves.
#include <fmt/format.h>

#include <algorithm>

#include "base/json_writer.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "bus/state.h"
#include "event/record.h"
#include "log/inspect.h"
#include "world/disk.h"

namespace waybill::cli {
namespace {

std::string log_directory(const LogOptions& options) { return options.data + "/log"; }

void write_problems(JsonWriter& json, const std::vector<log::Problem>& problems) {
    json.begin_array();
    for (const log::Problem& p : problems) json.begin_object().key("position").number(static_cast<int64_t>(p.position)).key("what").text(p.what).end_object();
    json.end_array();
}

std::string report_json(const log::Report& report) {
    std::string line;
    JsonWriter json(line);
    auto number = [&](std::string_view key, uint64_t value) { json.key(key).number(static_cast<int64_t>(value)); };
    json.begin_object().key("sound").boolean(report.sound()).key("closed").boolean(report.closed);
    number("begin", report.begin);
    number("tail", report.tail);
    number("groups", report.groups);
    number("tornBytes", report.torn_bytes);
    json.key("firstBad");
    if (report.first_bad) json.number(static_cast<int64_t>(*report.first_bad));
    else json.null();
    json.key("problems");
    write_problems(json, report.problems);
    json.key("segments").begin_array();
    for (const log::SegmentReport& s : report.segments) {
        json.begin_object().key("file").text(s.file).key("state").text(log::to_string(s.state));
        number("first", s.first);
        number("end", s.end);
        number("storedBytes", s.stored_bytes);
        number("usedBytes", s.used_bytes);
        number("groups", s.groups);
        json.key("firstTime").time(s.first_time).key("lastTime").time(s.last_time).key("problems");
        write_problems(json, s.problems);
        json.end_object();
    }
    json.end_array().end_object();
    return line + "\n";
}

std::string report_text(const log::Report& report, const Terminal& terminal, bool read_all) {
    Table table({{"SEGMENT", false, 16}, {"STATE"}, {"FIRST", true}, {"END", true}, {"ON DISK", true}, {"USED", true}, {"GROUPS", true}, {"FROM"}, {"TO"}});
    std::string problems;
    auto add = [&](const log::Problem& p, std::string_view where) {
        problems += fmt::format("{} position {}{}{}: {}\n", paint(Style::red, "✗", terminal.color), p.position, where.empty() ? "" : " in ", where, clean(p.what));
    };
    uint64_t stored = 0;
    for (const log::SegmentReport& s : report.segments) {
        stored += s.stored_bytes;
        table.row({s.file, Cell(log::to_string(s.state), s.problems.empty() ? Style::plain : Style::red), std::to_string(s.first), std::to_string(s.end), show_bytes(s.stored_bytes),
                   show_bytes(s.used_bytes), read_all ? show_count(s.groups) : "", read_all ? show_time(s.first_time) : "", read_all ? show_time(s.last_time) : ""});
        for (const log::Problem& p : s.problems) add(p, s.file);
    }
    for (const log::Problem& p : report.problems) add(p, "");
    std::string out = table.render(terminal) + problems;
    out += fmt::format("positions {} to {}, {} on disk", report.begin, report.tail, show_bytes(stored));
    if (read_all) out += fmt::format(", {} record groups", show_count(report.groups));
    out += report.closed ? ", closed cleanly\n" : ", not closed (a server is running, or it was killed)\n";
    if (report.torn_bytes > 0) out += fmt::format("{} behind the tail belong to no whole batch: a write that was cut off, or is going on. No answer was given for it; opening the log cuts it.\n", show_bytes(report.torn_bytes));
    if (read_all) out += report.sound() ? paint(Style::green, "every byte is what was written", terminal.color) + "\n" : "";
    return out;
}

// The records of a group, one line each for people and one object each for programs.
class GroupWords {
public:
    explicit GroupWords(const Terminal& terminal) : terminal_(terminal) {}

    // False: the payload is not records.
    bool text(std::string_view payload, std::string& out) {
        GroupReader reader(payload);
        while (auto raw = reader.next()) {
            if (!record_text(*raw, out)) return false;
        }
        return !reader.failed();
    }
    bool json(std::string_view payload, JsonWriter& json) {
        GroupReader reader(payload);
        while (auto raw = reader.next()) {
            if (!record_json(*raw, json)) return false;
        }
        return !reader.failed();
    }

private:
    void line(std::string& out, std::string_view type, const std::string& words) {
        Line shown{{fmt::format("  {:<11} ", type), Style::cyan}, {clean(words)}};
        if (terminal_.width > 0) shown = truncate(shown, terminal_.width);
        out += paint(shown, terminal_.color) + "\n";
    }
    static std::string scope_of(const PipelineEvent& e) {
        std::string words(scope_word(e.scope));
        for (const std::string& part : {e.key.pipeline, e.stage, e.action}) {
            if (!part.empty()) words += " " + part;
        }
        return words;
    }

    bool record_text(const RawRecord& raw, std::string& out) {
        switch (raw.type) {
            case RecordType::event: {
                EventRecord r;
                if (!decode(raw.body, r)) return false;
                line(out, "event", (r.duplicate ? "(known id) " : "") + std::string(r.envelope));
                return true;
            }
            case RecordType::transition: {
                TransitionRecord r;
                if (!decode(raw.body, r)) return false;
                line(out, "transition", fmt::format("{}: {} {}, attempt {}, execution {}", to_string(r.outcome), scope_of(r.event), event_word(r.event.state), r.event.attempt, r.event.execution_id));
                return true;
            }
            case RecordType::decision: {
                Decision r;
                if (!decode(raw.body, r)) return false;
                std::string ids;
                for (DeliveryId id : r.deliveries) ids += " " + id.str();
                line(out, "decision", fmt::format("{} {} ({}) execution {}{}{}{}", to_string(r.line), to_string(r.verdict), reason_code(r.reason), r.execution_id, ids, r.note.empty() ? "" : ": ", r.note));
                return true;
            }
            case RecordType::delivery_planned: {
                Delivery r;
                if (!decode(raw.body, r)) return false;
                line(out, "planned", fmt::format("{} {} {} to {}, due {}, key {}", r.id.str(), to_string(r.kind), to_string(r.topic), r.target, show_time(r.due), r.key));
                return true;
            }
            case RecordType::delivery_changed: {
                DeliveryChange r;
                if (!decode(raw.body, r)) return false;
                line(out, "delivery", fmt::format("{} {}{}{}{}", r.id.str(), to_string(r.kind), r.code ? fmt::format(" {}", r.code) : "", r.text.empty() ? "" : ": ", r.text));
                return true;
            }
            case RecordType::retired: {
                RetiredRecord r;
                if (!decode(raw.body, r)) return false;
                line(out, "retired", fmt::format("{} execution {}{}", r.pipeline.pipeline, r.execution_id, r.stale ? " (its end never came)" : ""));
                return true;
            }
            case RecordType::recalled: {
                RecalledRecord r;
                ExecutionView view;
                if (!decode(raw.body, r)) return false;
                ByteReader in(r.execution);
                if (!decode(in, view)) return false;
                line(out, "recalled", fmt::format("{} execution {}", view.key.pipeline, view.execution_id));
                return true;
            }
            case RecordType::settings: {
                SettingsRecord r;
                if (!decode(raw.body, r)) return false;
                line(out, "settings", fmt::format("version {:016x}: {}", r.version, r.text));
                return true;
            }
            case RecordType::bus_changed: {
                BusChangeRecord r;
                bus::Change change;
                if (!decode(raw.body, r) || !bus::decode(r.change, change)) return false;
                line(out, "bus", bus::describe(change));
                return true;
            }
            case RecordType::routed: {
                RoutedRecord r;
                if (!decode(raw.body, r)) return false;
                std::string rules;
                for (uint64_t id : r.rules) rules += fmt::format(" {}", id);
                line(out, "routed", fmt::format("{} rules{}{}", bus::event_bus_arn(r.region, r.account, r.bus), rules.empty() ? " none" : rules,
                                                r.replay.empty() ? "" : fmt::format(", replay {} of the event at {}", r.replay, r.event)));
                return true;
            }
        }
        return false;  // a newer Waybill's
    }

    bool record_json(const RawRecord& raw, JsonWriter& json) {
        auto begin = [&](std::string_view type) { json.begin_object().key("type").text(type); };
        auto place = [&](const PipelineKey& key, const std::string& execution) {
            json.key("account").text(key.account).key("region").text(key.region).key("pipeline").text(key.pipeline).key("executionId").text(execution);
        };
        switch (raw.type) {
            case RecordType::event: {
                EventRecord r;
                if (!decode(raw.body, r)) return false;
                begin("event");
                json.key("duplicate").boolean(r.duplicate).key("event").raw(r.envelope).end_object();
                return true;
            }
            case RecordType::transition: {
                TransitionRecord r;
                if (!decode(raw.body, r)) return false;
                begin("transition");
                json.key("outcome").text(to_string(r.outcome)).key("scope").text(scope_word(r.event.scope));
                place(r.event.key, r.event.execution_id);
                json.key("stageName").text_or_null(r.event.stage).key("actionName").text_or_null(r.event.action).key("actionExecutionId").text_or_null(r.event.action_execution_id);
                json.key("state").text(event_word(r.event.state)).key("attempt").number(r.event.attempt).key("time").time(r.event.time).end_object();
                return true;
            }
            case RecordType::decision: {
                Decision r;
                if (!decode(raw.body, r)) return false;
                begin("decision");
                place(r.pipeline, r.execution_id);
                json.key("stageName").text_or_null(r.stage).key("actionName").text_or_null(r.action).key("attempt").number(r.attempt);
                json.key("policy").text(to_string(r.line)).key("verdict").text(to_string(r.verdict)).key("reason").text(reason_code(r.reason));
                json.key("policyVersion").text(fmt::format("{:016x}", r.settings)).key("note").text_or_null(r.note).key("deliveries").begin_array();
                for (DeliveryId id : r.deliveries) json.text(id.str());
                json.end_array().end_object();
                return true;
            }
            case RecordType::delivery_planned: {
                Delivery r;
                if (!decode(raw.body, r)) return false;
                begin("delivery_planned");
                json.key("deliveryId").text(r.id.str()).key("kind").text(to_string(r.kind)).key("topic").text(to_string(r.topic)).key("target").text(r.target).key("key").text(r.key);
                place(r.pipeline, r.execution_id);
                json.key("due").time(r.due).end_object();
                return true;
            }
            case RecordType::delivery_changed: {
                DeliveryChange r;
                if (!decode(raw.body, r)) return false;
                begin("delivery_changed");
                json.key("deliveryId").text(r.id.str()).key("change").text(to_string(r.kind)).key("code").number(r.code).key("text").text(r.text).key("next").time(r.next).end_object();
                return true;
            }
            case RecordType::retired: {
                RetiredRecord r;
                if (!decode(raw.body, r)) return false;
                begin("retired");
                place(r.pipeline, r.execution_id);
                json.key("stale").boolean(r.stale).end_object();
                return true;
            }
            case RecordType::recalled: {
                RecalledRecord r;
                ExecutionView view;
                if (!decode(raw.body, r)) return false;
                ByteReader in(r.execution);
                if (!decode(in, view)) return false;
                begin("recalled");
                place(view.key, view.execution_id);
                json.end_object();
                return true;
            }
            case RecordType::settings: {
                SettingsRecord r;
                if (!decode(raw.body, r)) return false;
                begin("settings");
                json.key("policyVersion").text(fmt::format("{:016x}", r.version)).key("text").text(r.text).end_object();
                return true;
            }
            case RecordType::bus_changed: {
                BusChangeRecord r;
                bus::Change change;
                if (!decode(raw.body, r) || !bus::decode(r.change, change)) return false;
                begin("bus_changed");
                json.key("change").text(bus::describe(change)).end_object();
                return true;
            }
            case RecordType::routed: {
                RoutedRecord r;
                if (!decode(raw.body, r)) return false;
                begin("routed");
                json.key("eventBusArn").text(bus::event_bus_arn(r.region, r.account, r.bus)).key("event").number(static_cast<int64_t>(r.event));
                json.key("replayName").text_or_null(r.replay).key("rules").begin_array();
                for (uint64_t id : r.rules) json.text(std::to_string(id));
                json.end_array().end_object();
                return true;
            }
        }
        return false;
    }

    const Terminal& terminal_;
};

class Printer final : public log::Dump {
public:
    Printer(const LogOptions& options, const Terminal& terminal) : options_(options), terminal_(terminal), words_(terminal) {}

    bool group(const log::Group& group) override {
        if (options_.at && group.position != *options_.at) return true;
        ++shown_;
        std::string out;
        if (options_.json) {
            JsonWriter json(out);
            json.begin_object().key("position").number(static_cast<int64_t>(group.position)).key("next").number(static_cast<int64_t>(group.next)).key("time").time(group.time);
            json.key("bytes").number(static_cast<int64_t>(group.payload.size())).key("records").begin_array();
            std::string undecoded = out;
            if (words_.json(group.payload, json)) {
                json.end_array().end_object();
            } else {
                out = undecoded + "],\"undecoded\":\"" + to_hex(group.payload) + "\"}";
                undecoded_ = true;
            }
            out += '\n';
        } else {
            out = paint(Style::bold, fmt::format("{}", group.position), terminal_.color) + fmt::format("  {}  {} bytes\n", format_time(group.time), group.payload.size());
            if (!words_.text(group.payload, out)) {
                out += "  not records that this release knows\n" + log::hex_lines(group.position, group.payload.substr(0, 256));
                undecoded_ = true;
            }
        }
        return print(out);
    }
    bool bad(const log::BadPlace& place) override {
        std::string out;
        if (options_.json) {
            JsonWriter json(out);
            json.begin_object().key("position").number(static_cast<int64_t>(place.position)).key("resumes").number(static_cast<int64_t>(place.resumes));
            json.key("bad").text(place.reason).key("bytes").text(to_hex(place.bytes)).end_object();
            out += '\n';
        } else {
            out = paint(Style::red, fmt::format("{}  bad: {}; goes on at {}", place.position, place.reason, place.resumes), terminal_.color) + "\n" + log::hex_lines(place.position, place.bytes);
        }
        return print(out);
    }
    size_t shown() const { return shown_; }
    bool undecoded() const { return undecoded_; }

private:
    const LogOptions& options_;
    const Terminal& terminal_;
    GroupWords words_;
    size_t shown_ = 0;
    bool undecoded_ = false;
};

}  // namespace

int log_verify(const LogOptions& options) {
    world::RealDisk disk;
    auto sizes = log::stat_directory(disk, log_directory(options));
    if (!sizes.ok()) return complain(sizes.error(), options.color);
    uint64_t total = 0, done = 0;
    for (const log::SegmentReport& s : sizes->segments) total += s.stored_bytes;
    Interrupt interrupt;
    Progress progress(look(stderr, options.color), "verifying");
    auto report = log::verify(disk, log_directory(options), [&](const log::SegmentReport& s) {
        done += s.stored_bytes;
        progress.update(done, total, s.file);
        return !interrupt.raised();
    });
    progress.clear();
    if (interrupt.raised()) return exit_interrupted;
    if (!report.ok()) return complain(report.error(), options.color);
    print(options.json ? report_json(*report) : report_text(*report, look(stdout, options.color), true));
    if (report->sound()) return exit_ok;
    if (!options.json && report->first_bad)
        warn(fmt::format("the log is damaged from position {} on; look at it with `waybill log dump --data {} --from {}`", *report->first_bad, options.data, *report->first_bad), options.color);
    return exit_corrupt;
}

int log_stat(const LogOptions& options) {
    world::RealDisk disk;
    auto report = log::stat_directory(disk, log_directory(options));
    if (!report.ok()) return complain(report.error(), options.color);
    print(options.json ? report_json(*report) : report_text(*report, look(stdout, options.color), false));
    return report->sound() ? exit_ok : exit_corrupt;
}

int log_dump(const LogOptions& options) {
    if (options.at && (options.from || options.to)) return complain(invalid("log dump: give --at, or --from and --to"), options.color);
    world::RealDisk disk;
    Terminal terminal = look(stdout, options.color);
    Printer printer(options, terminal);
    Position from = options.at.value_or(options.from.value_or(0));
    Position to = options.at ? *options.at + 1 : options.to.value_or(UINT64_MAX);
    auto dumped = log::dump(disk, log_directory(options), from, to, printer);
    if (!dumped.ok()) return complain(dumped.error(), options.color);
    if (options.at && printer.shown() == 0) return complain(not_found(fmt::format("no record group begins at position {}", *options.at)), options.color);
    return printer.undecoded() ? exit_corrupt : exit_ok;
}

}  // namespace waybill::cli
