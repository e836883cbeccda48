#include "cli/cli.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <cstdlib>
#include <functional>
#include <map>

#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/version.h"
#include "config/load.h"

namespace waybill::cli {
namespace {

constexpr const char* exit_codes =
    "Exit codes:\n"
    "  0    done\n"
    "  1    the answer is \"no\", or something was refused\n"
    "  2    bad usage or configuration\n"
    "  3    the server cannot be reached, or cannot answer now\n"
    "  4    what was named does not exist\n"
    "  5    the log is not what was written\n"
    "  130  Ctrl-C before the work was done\n"
    "Environment: WAYBILL_URL, WAYBILL_TOKEN, WAYBILL_CONFIG, NO_COLOR. Manual: docs/cli.md";

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value ? value : "";
}

Complete kind_of(const std::string& type) {
    if (type == "FILE") return Complete::file;
    if (type == "DIR") return Complete::directory;
    return type.find('|') != std::string::npos ? Complete::words : Complete::any;
}

// The words stand in the option's type name already: help need not say them twice.
CLI::Validator one_of(const std::vector<std::string>& words) { return CLI::IsMember(words).description(""); }

std::vector<std::string> split(const std::string& words, char by) {
    std::vector<std::string> out;
    std::istringstream in(words);
    for (std::string w; std::getline(in, w, by);) out.push_back(w);
    return out;
}

// The parser's tree as completion sees it. What an option takes is told by its type name: FILE, DIR, or its words as a|b|c.
Command tree(const CLI::App& app) {
    Command command{app.get_name(), app.get_description(), {}, {}};
    for (const CLI::Option* option : app.get_options()) {
        std::string type = option->get_type_name();
        bool takes = option->get_expected_max() > 0 && option->get_type_size_max() > 0;
        if (option->get_positional()) {
            command.argument = kind_of(type);
            if (command.argument == Complete::words) command.argument_words = split(type, '|');
            continue;
        }
        for (const std::string& name : option->get_lnames()) {
            Flag flag{"--" + name, option->get_description(), takes ? kind_of(type) : Complete::nothing, {}};
            if (flag.value == Complete::words) flag.words = split(type, '|');
            command.flags.push_back(std::move(flag));
        }
        for (const std::string& name : option->get_snames()) command.flags.push_back({"-" + name, option->get_description(), takes ? kind_of(type) : Complete::nothing, {}});
    }
    for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) command.commands.push_back(tree(*sub));
    return command;
}

// --a.b.c VALUE and --a.b.c=VALUE out of what the parser did not know. What they mean is the configuration's business.
Result<std::vector<std::pair<std::string, std::string>>> configuration_flags(const std::vector<std::string>& words) {
    std::vector<std::pair<std::string, std::string>> flags;
    for (size_t i = 0; i < words.size(); ++i) {
        if (!words[i].starts_with("--") || words[i].size() < 3) return invalid(words[i] + ": was not expected here; see --help");
        std::string key = words[i].substr(2);
        if (size_t equals = key.find('='); equals != std::string::npos) {
            flags.emplace_back(key.substr(0, equals), key.substr(equals + 1));
        } else if (i + 1 < words.size()) {
            flags.emplace_back(key, words[++i]);
        } else {
            return invalid(words[i] + ": its value is missing");
        }
    }
    return flags;
}

// The commands, what they take, and what was chosen. Lives as long as the parse.
class Program {
public:
    Program();
    int run(int argc, char** argv);

private:
    using Run = std::function<int()>;

    CLI::App* command(CLI::App& parent, const std::string& name, const std::string& about, Run run) {
        CLI::App* sub = parent.add_subcommand(name, about);
        sub->callback([this, run = std::move(run)] { chosen_ = run; });
        return sub;
    }
    void color_option(CLI::App& app) {
        app.add_option("--color", color_, "colours: auto, always or never (NO_COLOR is honoured)")->type_name("auto|always|never")->check(one_of({"auto", "always", "never"}));
    }
    CLI::App* client(CLI::App& parent, const std::string& name, const std::string& about, std::function<int(Session&)> run) {
        CLI::App* sub = command(parent, name, about, [this, run = std::move(run)] {
            Session session(common());
            return run(session);
        });
        sub->add_option("--url", url_, "the server; also WAYBILL_URL")->type_name("URL");
        sub->add_option("--token", token_, "bearer token, where the server asks for one; also WAYBILL_TOKEN (others on this machine can see flags)")->type_name("TOKEN");
        sub->add_flag("--json", json_, "the server's JSON instead of text");
        color_option(*sub);
        return sub;
    }
    CLI::App* configured(CLI::App& parent, const std::string& name, const std::string& about, Run run) {
        CLI::App* sub = command(parent, name, about, std::move(run));
        sub->add_option("--config", config_file_, "waybill.yaml; also WAYBILL_CONFIG (default: ./waybill.yaml where there is one)")->type_name("FILE");
        sub->add_option("--data", data_, "the data directory")->type_name("DIR");
        color_option(*sub);
        sub->allow_extras();
        sub->footer("Every configuration key is a flag as well: --policy.retry.max 3. `waybill config reference` lists them.");
        return sub;
    }
    ColorMode color() const { return color_ == "always" ? ColorMode::always : color_ == "never" ? ColorMode::never : ColorMode::automatic; }
    CommonOptions common() const { return {url_, token_, json_, color()}; }
    // Runs with the configuration that the flags name.
    int with_config(const CLI::App* sub, const std::function<int(const ConfigSource&)>& fn) {
        auto flags = configuration_flags(sub->remaining());
        if (!flags.ok()) return complain(flags.error(), color());
        ConfigSource source{config_file_, std::move(flags).value(), color()};
        if (!data_.empty()) source.overrides.emplace_back("data", data_);
        if (!listen_.empty()) source.overrides.emplace_back("listen", listen_);
        return fn(source);
    }
    LogOptions log_options() const {
        LogOptions o{log_data_, {}, {}, {}, json_, color()};
        if (log_at_ != unset) o.at = log_at_;
        if (log_from_ != unset) o.from = log_from_;
        if (log_to_ != unset) o.to = log_to_;
        return o;
    }
    std::string unknown(const std::vector<std::string>& args) const;
    int completion(Shell shell);

    static constexpr uint64_t unset = UINT64_MAX;

    CLI::App app_{"Waybill follows every pipeline, stage and action execution to its end, acts on failures, and can prove that nothing was missed.", "waybill"};
    Run chosen_;
    std::string url_ = "http://127.0.0.1:4566", token_, color_ = "auto";
    bool json_ = false;
    std::string config_file_, data_, listen_, backup_to_, log_data_ = "waybill-data", shell_;
    bool demo_ = false, example_ = false;
    uint64_t log_at_ = unset, log_from_ = unset, log_to_ = unset;
    PutOptions put_;
    StatusOptions status_;
    HistoryOptions history_;
    ShowOptions show_;
    TailOptions tail_;
    IncidentsOptions incidents_;
    DeliveriesOptions deliveries_;
    DeliveriesOptions dead_{"dead", "", "", 50};
    RedriveOptions redrive_;
    EventsOptions events_;
    RulesOptions rules_;
    ExplainOptions explain_;
    PatternTestOptions pattern_test_;
    DemoCommandOptions demo_options_;
    std::string why_, statement_;
    std::vector<std::string> words_;
    bool csv_ = false;
};

Program::Program() {
    if (std::string v = environment("WAYBILL_URL"); !v.empty()) url_ = v;
    token_ = environment("WAYBILL_TOKEN");
    config_file_ = environment("WAYBILL_CONFIG");
    app_.footer(exit_codes);
    app_.set_version_flag("--version", fmt::format("waybill {}", release));
    app_.require_subcommand(0, 1);
    app_.get_formatter()->column_width(34);

    app_.option_defaults()->group("Options");
    CLI::App* sub = configured(app_, "serve", "run the server", [this] { return with_config(app_.get_subcommand("serve"), [&](const ConfigSource& s) { return serve(s, demo_); }); });
    sub->add_option("--listen", listen_, "where to listen (default 127.0.0.1:4566)")->type_name("HOST:PORT");
    sub->add_flag("--demo", demo_, "play believable pipelines, to look around");

    sub = client(app_, "status", "every pipeline and where it stands", [this](Session& s) { return status(s, status_); });
    sub->add_flag("--watch,-w", status_.watch, "stay and redraw as things change");
    sub->add_option("--search,-q", status_.search, "only pipelines with this in their name")->type_name("TEXT");
    sub->add_option("--state", status_.status, "only pipelines in this state")->type_name("InProgress|Succeeded|Failed|Stopping|Stopped|Superseded|Cancelled");
    sub->add_option("--sort", status_.sort, "attention (failures first) or name")->type_name("attention|name")->check(one_of({"attention", "name"}));
    sub->add_option("--limit", status_.limit, "at most this many (default 1000)")->type_name("N")->check(CLI::Range(1, 10'000));

    sub = client(app_, "history", "the executions of a pipeline, newest first", [this](Session& s) { return history(s, history_); });
    sub->add_option("pipeline", history_.pipeline, "its name")->required()->type_name("PIPELINE");
    sub->add_option("--account", history_.account, "where two accounts have a pipeline of this name")->type_name("ID");
    sub->add_option("--region", history_.region, "where two regions have one")->type_name("REGION");
    sub->add_option("--limit", history_.limit, "at most this many (default 50)")->type_name("N")->check(CLI::Range(1, 1000));

    sub = client(app_, "show", "one execution: stages, actions, times, errors, gaps", [this](Session& s) { return show(s, show_); });
    sub->add_option("execution", show_.execution_id, "its id")->required()->type_name("EXECUTION");
    sub->add_flag("--events", show_.events, "its events: the order of arrival against the true order");

    sub = client(app_, "tail", "what happens, as it happens", [this](Session& s) { return tail(s, tail_); });
    sub->add_option("--from", tail_.from, "go on behind this log position")->type_name("POSITION")->check(CLI::NonNegativeNumber);
    sub->add_option("--pipeline", tail_.pipeline, "only pipelines that match, e.g. 'api-*'")->type_name("GLOB");

    sub = client(app_, "incidents", "what is broken now", [this](Session& s) { return incidents(s, incidents_); });
    sub->add_flag("--all", incidents_.all, "resolved ones, too");
    sub->add_option("--pipeline", incidents_.pipeline, "only of this pipeline")->type_name("PIPELINE");
    sub->add_option("--limit", incidents_.limit, "at most this many (default 50)")->type_name("N")->check(CLI::Range(1, 1000));

    sub = client(app_, "why", "why this was told, retried, or not", [this](Session& s) { return why(s, why_); });
    sub->add_option("id", why_, "of an execution, an incident (inc-…) or a delivery (d-…)")->required()->type_name("ID");

    sub = client(app_, "deliveries", "messages and retries on their way, done or given up", [this](Session& s) { return deliveries(s, deliveries_); });
    sub->add_option("--status", deliveries_.status, "only these")->type_name("pending|delivered|dead|cancelled")->check(one_of({"pending", "delivered", "dead", "cancelled"}));
    sub->add_option("--kind", deliveries_.kind, "only these")->type_name("notify|retry|target")->check(one_of({"notify", "retry", "target"}));
    sub->add_option("--execution", deliveries_.execution_id, "only of this execution")->type_name("EXECUTION");
    sub->add_option("--limit", deliveries_.limit, "at most this many (default 50)")->type_name("N")->check(CLI::Range(1, 1000));

    CLI::App* dlq = app_.add_subcommand("dlq", "dead letters: deliveries that were given up");
    dlq->require_subcommand(1);
    sub = client(*dlq, "list", "the dead letters", [this](Session& s) { return deliveries(s, dead_); });
    sub->add_option("--limit", dead_.limit, "at most this many (default 50)")->type_name("N")->check(CLI::Range(1, 1000));
    sub = client(*dlq, "redrive", "send dead letters once more", [this](Session& s) { return redrive(s, redrive_); });
    sub->add_option("ids", redrive_.ids, "their delivery ids")->type_name("DELIVERY");
    sub->add_flag("--all", redrive_.all, "every one of them");

    CLI::App* rules = app_.add_subcommand("rules", "rules of event buses: what they match, and who serves their targets");
    rules->require_subcommand(1);
    rules->footer("Examples:\n"
                  "  waybill rules list --bus orders\n"
                  "  waybill rules explain nightly event.json     which clause failed on which value\n"
                  "  waybill rules test pattern.json event.json   the same without a server\n"
                  "  waybill rules export > rules.ndjson");
    sub = client(*rules, "list", "every rule, with its targets and whether anything serves them", [this](Session& s) { return rules_list(s, rules_); });
    sub->add_option("--bus", rules_.bus, "only of this event bus: its name or ARN")->type_name("BUS");
    sub->footer("A target that nothing serves is marked with ✗ and named on stderr.\nExample:\n  waybill rules list --bus orders");
    sub = client(*rules, "explain", "why an event matches a rule, or which clause failed on which value", [this](Session& s) { return rules_explain(s, explain_); });
    sub->add_option("rule", explain_.rule, "its name or ARN")->required()->type_name("RULE");
    sub->add_option("event", explain_.event, "a file with the event; - for stdin (default)")->type_name("FILE");
    sub->add_option("--bus", explain_.bus, "where two event buses have a rule of this name")->type_name("BUS");
    sub->footer("Exit code 0: it matches, 1: it does not.\nExamples:\n"
                "  waybill rules explain nightly event.json\n"
                "  waybill events --json --limit 1 | jq .events[0].event | waybill rules explain nightly -");
    sub = command(*rules, "test", "the same for a pattern in a file, without a server", [this] {
        pattern_test_.json = json_, pattern_test_.color = color();
        return rules_test(pattern_test_);
    });
    sub->add_option("pattern", pattern_test_.pattern, "a file with the event pattern; - for stdin")->required()->type_name("FILE");
    sub->add_option("event", pattern_test_.event, "a file with the event; - for stdin")->required()->type_name("FILE");
    sub->add_flag("--json", json_, "JSON instead of text");
    color_option(*sub);
    sub->footer("Exit code 0: it matches, 1: it does not.\nExample:\n  waybill rules test pattern.json event.json");
    sub = client(*rules, "export", "rules as the AWS command line puts them, one JSON object a line", [this](Session& s) { return rules_export(s, rules_); });
    sub->add_option("--bus", rules_.bus, "only of this event bus: its name or ARN")->type_name("BUS");
    sub->footer("Each line is {\"Rule\": input of put-rule, \"Targets\": [as put-targets takes them]}.\nExample:\n"
                "  waybill rules export --bus orders | while read -r line; do\n"
                "    aws events put-rule --cli-input-json \"$(jq .Rule <<< \"$line\")\"\n"
                "    aws events put-targets --cli-input-json \"$(jq '{Rule: .Rule.Name, EventBusName: .Rule.EventBusName, Targets}' <<< \"$line\")\"\n"
                "  done");

    client(app_, "archives", "archives of event buses, and what is in them", [](Session& s) { return archives(s); });
    client(app_, "replays", "replays of archives, and how far they have come", [](Session& s) { return replays(s); });

    sub = client(app_, "put", "hand events to the server", [this](Session& s) { return put(s, put_); });
    sub->add_option("file", put_.file, "NDJSON, a JSON array or one event; - for stdin (default)")->type_name("FILE");
    sub->add_option("--content-type", put_.content_type, "instead of telling it from the input, e.g. application/cloudevents+json")->type_name("TYPE");

    sub = client(app_, "events", "the events as they were received", [this](Session& s) { return events(s, events_); });
    sub->add_option("--from", events_.from, "from this log position on")->type_name("POSITION")->check(CLI::NonNegativeNumber);
    sub->add_option("--source", events_.source, "only of this source")->type_name("SOURCE");
    sub->add_option("--detail-type", events_.detail_type, "only of this detail-type")->type_name("TEXT");
    sub->add_option("--pipeline", events_.pipeline, "only of this pipeline")->type_name("PIPELINE");
    sub->add_option("--execution", events_.execution_id, "only of this execution")->type_name("EXECUTION");
    sub->add_flag("--oldest-first", events_.oldest_first, "instead of newest first");
    sub->add_option("--limit", events_.limit, "at most this many (default 50)")->type_name("N")->check(CLI::Range(1, 1000));

    sub = client(app_, "search", "find executions, pipelines and incidents by words", [this](Session& s) {
        std::string text;
        for (const std::string& w : words_) text += (text.empty() ? "" : " ") + w;
        return search(s, text);
    });
    sub->add_option("text", words_, "words of commits, authors, errors, names or ids")->required()->type_name("TEXT");

    sub = client(app_, "sql", "ask the read model", [this](Session& s) { return sql(s, statement_, csv_); });
    sub->add_option("query", statement_, "one SELECT")->required()->type_name("SELECT");
    sub->add_flag("--csv", csv_, "CSV (RFC 4180)");

    client(app_, "health", "how the server is", [](Session& s) { return health(s); });

    sub = client(app_, "demo", "play believable pipelines into a server", [this](Session& s) { return demo(s, demo_options_); });
    sub->add_option("--seed", demo_options_.seed, "the same seed plays the same (default 1)")->type_name("N");
    sub->add_option("--rate", demo_options_.rate, "events a second, on average (default 3)")->type_name("N")->check(CLI::Range(0.01, 100'000.0));
    sub->add_option("--pipelines", demo_options_.pipelines, "how many (default 8, at most 5000)")->type_name("N")->check(CLI::Range(1, 5000));
    sub->add_option("--duration", demo_options_.duration, "end after this time, e.g. 90s (default: Ctrl-C)")->type_name("SPAN");
    sub->add_flag("--print", demo_options_.print, "to stdout as NDJSON, not to a server");

    auto checked = [this] { return with_config(app_.get_subcommand("check"), [](const ConfigSource& s) { return check(s); }); };
    sub = command(app_, "check", "read a configuration, name every problem, and say what it will do", checked);
    sub->add_option("file", config_file_, "waybill.yaml (default: ./waybill.yaml where there is one)")->type_name("FILE");
    color_option(*sub);
    sub->allow_extras();

    sub = configured(app_, "config", "the effective configuration, without secrets", [this] {
        const CLI::App* config = app_.get_subcommand("config");
        // The callback of the inner command runs first, this one last.
        if (config->got_subcommand("reference")) return config_reference(example_);
        return with_config(config, [](const ConfigSource& s) { return show_config(s); });
    });
    sub->require_subcommand(0, 1);
    CLI::App* reference = command(*sub, "reference", "every key, its type, default and meaning", [this] { return config_reference(example_); });
    reference->add_flag("--example", example_, "as a waybill.yaml that names every key");

    CLI::App* log = app_.add_subcommand("log", "look into a data directory's log");
    log->require_subcommand(1);
    struct LogCommand {
        const char *name, *about;
        int (*fn)(const LogOptions&);
    };
    for (LogCommand c : {LogCommand{"verify", "read every byte and check every checksum", log_verify}, LogCommand{"dump", "its record groups, decoded", log_dump},
                         LogCommand{"stat", "segments, sizes, positions", log_stat}}) {
        sub = command(*log, c.name, c.about, [this, c] { return c.fn(log_options()); });
        sub->add_option("--data", log_data_, "the data directory (default waybill-data)")->type_name("DIR");
        sub->add_flag("--json", json_, "JSON instead of text");
        color_option(*sub);
        if (c.fn != log_dump) continue;
        sub->add_option("--at", log_at_, "only the group at this position")->type_name("POSITION");
        sub->add_option("--from", log_from_, "from this position on")->type_name("POSITION");
        sub->add_option("--to", log_to_, "up to this position, exclusive")->type_name("POSITION");
    }

    configured(app_, "rebuild", "build the read model anew from the log (with the server stopped)",
               [this] { return with_config(app_.get_subcommand("rebuild"), [](const ConfigSource& s) { return rebuild(s); }); });
    sub = configured(app_, "backup", "copy a data directory consistently",
                     [this] { return with_config(app_.get_subcommand("backup"), [&](const ConfigSource& s) { return backup(s, backup_to_); }); });
    sub->add_option("--to", backup_to_, "a directory that does not exist yet")->required()->type_name("DIR");

    sub = command(app_, "version", "the release", [this] { return version(json_); });
    sub->add_flag("--json", json_, "as JSON");

    sub = command(app_, "completion", "a completion script for a shell", [this] { return completion(shell_ == "zsh" ? Shell::zsh : shell_ == "fish" ? Shell::fish : Shell::bash); });
    sub->add_option("shell", shell_, "bash, zsh or fish")->required()->type_name("bash|zsh|fish")->check(one_of({"bash", "zsh", "fish"}));
}

int Program::completion(Shell shell) {
    Command program = tree(app_);
    for (Command& c : program.commands) {
        if (c.name != "serve" && c.name != "check" && c.name != "config" && c.name != "rebuild" && c.name != "backup") continue;
        for (const ConfigKey& key : configuration_keys()) {
            if (!key.flag || key.path.find("NAME") != std::string::npos) continue;
            bool known = std::any_of(c.flags.begin(), c.flags.end(), [&](const Flag& f) { return f.name == "--" + key.path; });
            if (!known) c.flags.push_back({"--" + key.path, key.documentation, Complete::any, {}});
        }
    }
    print(completion_script(shell, program));
    return exit_ok;
}

// What to say to a word that is no command or option.
std::string Program::unknown(const std::vector<std::string>& args) const {
    std::vector<std::string> names;
    for (const CLI::App* sub : app_.get_subcommands([](const CLI::App*) { return true; })) names.push_back(sub->get_name());
    for (const std::string& arg : args) {
        if (arg.starts_with("-")) continue;
        if (std::find(names.begin(), names.end(), arg) != names.end()) return "";
        std::string meant = nearest(arg, names);
        return fmt::format("{}: is not a command{}", arg, meant.empty() ? "" : " (did you mean " + meant + "?)");
    }
    return "";
}

int Program::run(int argc, char** argv) {
    try {
        app_.parse(argc, argv);
    } catch (const CLI::Success& e) {
        return app_.exit(e);  // --help, --version
    } catch (const CLI::ParseError& e) {
        std::string what = unknown({argv + 1, argv + argc});
        const CLI::App* at = &app_;
        for (auto chain = app_.get_subcommands(); !chain.empty(); chain = at->get_subcommands()) at = chain[0];
        std::string help = at == &app_ ? "waybill --help" : at->get_display_name().empty() ? "waybill --help" : fmt::format("waybill {} --help", at->get_name());
        if (at->get_parent() && at->get_parent() != &app_) help = fmt::format("waybill {} {} --help", at->get_parent()->get_name(), at->get_name());
        return complain(invalid(fmt::format("{}; see `{}`", what.empty() ? e.what() : what, help)), color());
    }
    if (!chosen_) {
        fmt::print(stderr, "{}", app_.help());
        return exit_usage;
    }
    return chosen_();
}

}  // namespace

int run(int argc, char** argv) { return Program().run(argc, argv); }

}  // namespace waybill::cli
