// What `waybill` can do, one function a command; cli.cpp gives each its place in the command line. They print, and return the exit code.
// Client commands talk to a server through a Session, local ones work on files of this machine.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/session.h"

namespace waybill::cli {

// -- put_command.cpp --
struct PutOptions {
    std::string file = "-";
    std::string content_type;  // empty: told from the input
};
int put(Session& session, const PutOptions& options);

// -- pipeline_commands.cpp: what is going on --
struct StatusOptions {
    std::string search, status, sort = "attention";
    int limit = 1000;
    bool watch = false;
};
int status(Session& session, const StatusOptions& options);
struct HistoryOptions {
    std::string pipeline, account, region;
    int limit = 50;
};
int history(Session& session, const HistoryOptions& options);
struct ShowOptions {
    std::string execution_id;
    bool events = false;
};
int show(Session& session, const ShowOptions& options);

// -- tail_command.cpp --
struct TailOptions {
    std::string from, pipeline;
};
int tail(Session& session, const TailOptions& options);

// -- decision_commands.cpp: what came of it, and why --
struct IncidentsOptions {
    bool all = false;
    std::string pipeline;
    int limit = 50;
};
int incidents(Session& session, const IncidentsOptions& options);
int why(Session& session, const std::string& id);
struct DeliveriesOptions {
    std::string status, kind, execution_id;
    int limit = 50;
};
int deliveries(Session& session, const DeliveriesOptions& options);
struct RedriveOptions {
    std::vector<std::string> ids;
    bool all = false;
};
int redrive(Session& session, const RedriveOptions& options);

// -- rules_commands.cpp: event buses --
struct RulesOptions {
    std::string bus;  // empty: of every bus
};
int rules_list(Session& session, const RulesOptions& options);
int rules_export(Session& session, const RulesOptions& options);
struct ExplainOptions {
    std::string rule, bus, event = "-";
};
int rules_explain(Session& session, const ExplainOptions& options);
struct PatternTestOptions {
    std::string pattern, event;  // files
    bool json = false;
    ColorMode color = ColorMode::automatic;
};
int rules_test(const PatternTestOptions& options);  // without a server
int archives(Session& session);
int replays(Session& session);

// -- query_commands.cpp --
int sql(Session& session, const std::string& query, bool csv);
int search(Session& session, const std::string& text);
struct EventsOptions {
    std::string from, source, detail_type, pipeline, execution_id;
    bool oldest_first = false;
    int limit = 50;
};
int events(Session& session, const EventsOptions& options);
int health(Session& session);

// -- demo_command.cpp --
struct DemoCommandOptions {
    uint64_t seed = 1;
    size_t pipelines = 8;
    double rate = 3;
    std::string duration;  // empty: until Ctrl-C
    bool print = false;    // NDJSON to stdout instead of a server
};
int demo(Session& session, const DemoCommandOptions& options);

// -- local_commands.cpp --
// Where the configuration comes from: a file (empty: waybill.yaml where it exists) and flags that win over it.
struct ConfigSource {
    std::string file;
    std::vector<std::pair<std::string, std::string>> overrides;
    ColorMode color = ColorMode::automatic;
};
int serve(const ConfigSource& source, bool demo);
int check(const ConfigSource& source);
int show_config(const ConfigSource& source);
int config_reference(bool example);
int rebuild(const ConfigSource& source);
int backup(const ConfigSource& source, const std::string& to);
int version(bool json);

// -- log_commands.cpp --
struct LogOptions {
    std::string data = "waybill-data";
    std::optional<uint64_t> at, from, to;
    bool json = false;
    ColorMode color = ColorMode::automatic;
};
int log_verify(const LogOptions& options);
int log_dump(const LogOptions& options);
int log_stat(const LogOptions& options);

}  // namespace waybill::cli
