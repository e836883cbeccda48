// Commands that need no server: `serve` itself, and `check`, `config`, `rebuild`, `backup` and `version`, which work on files.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "base/json_writer.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/version.h"
#include "config/load.h"
#include "server/serve.h"

namespace waybill::cli {
namespace {

Result<std::string> read_file(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    if (!in) return errno == ENOENT ? not_found(path + ": no such file") : invalid(fmt::format("{}: {}", path, std::strerror(errno)));
    std::ostringstream bytes;
    bytes << in.rdbuf();
    if (in.bad()) return invalid(path + ": it cannot be read");
    return std::move(bytes).str();
}

Result<Loaded> load(const ConfigSource& source) {
    constexpr const char* usual = "waybill.yaml";
    std::string file = source.file;
    if (file.empty() && access(usual, F_OK) == 0) file = usual;
    std::string yaml;
    if (!file.empty()) {
        auto bytes = read_file(file);
        if (!bytes.ok()) return invalid("--config " + std::move(bytes).error().message);
        yaml = std::move(bytes).value();
    }
    return load_config(yaml, file.empty() ? usual : file, source.overrides);
}

// A configuration's problems stand on lines of their own and name their file, so that editors can jump to them: nothing in front.
int complain_config(const Error& error) {
    std::fflush(stdout);
    fmt::print(stderr, "{}\n", error.message);
    return exit_usage;
}

std::string joined(const std::vector<std::string>& words) {
    std::string out;
    for (const std::string& w : words) out += (out.empty() ? "" : ", ") + w;
    return out;
}

std::string addresses(const Config& config, const std::vector<std::string>& names) {
    std::string out;
    for (const std::string& name : names) {
        std::string how = "?";
        for (const TargetConfig& t : config.targets) {
            if (t.name != name) continue;
            if (t.type == TargetType::mail) how = "mail to " + joined(t.to);
            if (t.type == TargetType::webhook) how = "webhook " + t.url;
            if (t.type == TargetType::log) how = "a line in the server's log";
        }
        out += fmt::format("{}{} ({})", out.empty() ? "" : ", ", name, how);
    }
    return out.empty() ? "nobody" : out;
}

// What this configuration will do, in the order in which something happens.
std::string summary(const Config& c, const Terminal& t) {
    std::string out;
    auto line = [&](std::string_view what, const std::string& then) { out += paint(Style::bold, fmt::format("{:<22}", what), t.color) + then + "\n"; };
    line("listens on", c.listen + (c.security.credentials.empty() && c.security.tokens.empty() ? ", open to this machine" : ", with credentials"));
    line("keeps its data in", c.data);
    line("a pipeline fails", addresses(c, c.policy.team));
    for (const OwnerRule& rule : c.policy.owners) line("a stage fails", fmt::format("{} / {}: {}", rule.pipeline, rule.stage, addresses(c, rule.targets)));
    line(c.policy.owners.empty() ? "a stage fails" : "any other stage fails", addresses(c, c.policy.team));
    const auto& told = c.policy.success_targets.empty() ? c.policy.team : c.policy.success_targets;
    switch (c.policy.notify_success) {
        case NotifySuccess::always: line("a pipeline succeeds", addresses(c, told)); break;
        case NotifySuccess::recovery: line("a pipeline recovers", addresses(c, told) + "; other successes are told to nobody"); break;
        case NotifySuccess::never: line("a pipeline succeeds", "nobody"); break;
    }
    if (!c.policy.retry || c.policy.retry_max <= 0) {
        line("an action fails", "no retry");
    } else if (c.codepipeline.empty()) {
        line("an action fails", "no retry: no `codepipeline` endpoint is configured to ask for one");
    } else {
        line("an action fails", fmt::format("its stage is retried after {}, at most {} {} a stage execution, at", show_duration(c.policy.retry_wait_ms), c.policy.retry_max, c.policy.retry_max == 1 ? "time" : "times"));
        for (const CodePipelineEndpoint& e : c.codepipeline) {
            std::string url = e.url.empty() ? "https://codepipeline.REGION.amazonaws.com" : e.url;
            std::string key = e.access_key_id.empty() ? "AWS credentials from the environment" : "access key " + e.access_key_id;
            line("", fmt::format("account {}, region {}: {}, {}", e.account, e.region, url, key));
        }
    }
    bool mails = false;
    for (const TargetConfig& target : c.targets) mails |= target.type == TargetType::mail;
    if (mails) line("mail goes", c.mail.relay.empty() ? "into files: " + c.data + "/mail/*.eml" : fmt::format("through {}, from {}", c.mail.relay, c.mail.from));
    line("a delivery fails", fmt::format("it is tried again for {}, at most {} times, and is then a dead letter", show_duration(c.delivery.max_age_ms), c.delivery.max_attempts));
    return out;
}

}  // namespace

int serve(const ConfigSource& source, bool demo) {
    auto loaded = load(source);
    if (!loaded.ok()) return complain_config(loaded.error());
    return server::serve(loaded->config, server::ServeOptions{demo, loaded->warnings});
}

int check(const ConfigSource& source) {
    auto loaded = load(source);
    if (!loaded.ok()) return complain_config(loaded.error());
    for (const std::string& warning : loaded->warnings) fmt::print(stderr, "{} {}\n", paint(Style::yellow, "warning:", look(stderr, source.color).color), warning);
    print(summary(loaded->config, look(stdout, source.color)));
    return exit_ok;
}

int show_config(const ConfigSource& source) {
    auto loaded = load(source);
    if (!loaded.ok()) return complain_config(loaded.error());
    print(effective_yaml(loaded->config));
    return exit_ok;
}

int config_reference(bool example) {
    print(example ? example_yaml() : configuration_reference());
    return exit_ok;
}

int rebuild(const ConfigSource& source) {
    auto loaded = load(source);
    if (!loaded.ok()) return complain_config(loaded.error());
    Progress progress(look(stderr, source.color), "rebuilding");
    auto done = server::rebuild(loaded->config, [&](uint64_t at, uint64_t total) { progress.update(at, total); });
    progress.clear();
    if (!done.ok()) return complain(done.error(), source.color);
    print("the read model of " + loaded->config.data + " was built anew from the log\n");
    return exit_ok;
}

int backup(const ConfigSource& source, const std::string& to) {
    auto loaded = load(source);
    if (!loaded.ok()) return complain_config(loaded.error());
    Progress progress(look(stderr, source.color), "backing up");
    auto done = server::backup(loaded->config, to, [&](uint64_t at, uint64_t total) { progress.update(at, total); });
    progress.clear();
    if (!done.ok()) return complain(done.error(), source.color);
    print(loaded->config.data + " was copied to " + to + "; `waybill log verify --data " + to + "` checks it\n");
    return exit_ok;
}

int version(bool json) {
    if (!json) {
        print(fmt::format("waybill {}\n", release));
        return exit_ok;
    }
    std::string line;
    JsonWriter(line).begin_object().key("version").text(release).end_object();
    print(line + "\n");
    return exit_ok;
}

}  // namespace waybill::cli
