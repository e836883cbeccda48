#include "notify/message.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"
#include "notify/templates.h"
#include "notify/text.h"

namespace waybill {
namespace {

using namespace notify;

std::string shown(std::string_view text) { return one_line(text, limits::message_text_characters); }

// 2026-04-19 12:42:28 UTC
std::string time_text(TimeMs t) {
    std::string out = format_time_s(t);
    out[10] = ' ';
    out.replace(out.size() - 1, 1, " UTC");
    return out;
}

// 26h 3m 4s, without the parts that are none
std::string span_text(int64_t ms) {
    const int64_t s = std::max<int64_t>(0, ms) / 1000;
    std::string out;
    if (s >= 3600) out += fmt::format("{}h ", s / 3600);
    if (s / 60 % 60) out += fmt::format("{}m ", s / 60 % 60);
    if (s % 60 || out.empty()) out += fmt::format("{}s ", s % 60);
    out.pop_back();
    return out;
}

// What failed, as far as events have said so.
struct Failure {
    const StageView* stage = nullptr;
    std::string stage_name;
    int attempt = 1;
    std::vector<const ActionView*> actions;  // the first to fail first
};

Failure find_failure(const MessageFacts& facts) {
    const auto& e = facts.execution;
    Failure out;
    if (facts.delivery.topic == DeliveryTopic::stage_failed) {
        out.stage_name = facts.delivery.stage;
        out.attempt = facts.delivery.attempt;
        for (const auto& s : e.stages)
            if (s.name == out.stage_name) out.stage = &s;
    } else {
        // Stages run one after the other: the last one that failed is where the execution ended.
        for (const auto& s : e.stages) {
            if (s.state != State::failed) continue;
            out.stage = &s;
            out.stage_name = s.name;
            out.attempt = s.attempt;
        }
    }
    for (const auto& a : e.actions) {
        if (a.state != State::failed) continue;
        if (out.stage_name.empty()) {
            // No stage event has come: the failed action itself says where.
            out.stage_name = a.stage;
            out.attempt = a.attempt;
        }
        if (a.stage == out.stage_name && a.attempt == out.attempt) out.actions.push_back(&a);
    }
    auto failed_at = [](const ActionView* a) { return a->end != no_time ? a->end : INT64_MAX; };
    std::sort(out.actions.begin(), out.actions.end(), [&](const ActionView* a, const ActionView* b) {
        return std::tuple(failed_at(a), std::string_view(a->name), std::string_view(a->action_execution_id)) <
               std::tuple(failed_at(b), std::string_view(b->name), std::string_view(b->action_execution_id));
    });
    return out;
}

bool is_recovery(const MessageFacts& facts) { return facts.incident && facts.incident->resolved_by == facts.execution.execution_id; }

// "0a1b2c3 Fix the login" of a commit, or whichever is known.
std::string commit_text(const ExecutionView& e) {
    const bool hash = e.commit_id.size() == 40 && e.commit_id.find_first_not_of("0123456789abcdef") == std::string::npos;
    std::string out = shown(hash ? std::string_view(e.commit_id).substr(0, 10) : std::string_view(e.commit_id));
    if (!e.commit_message.empty()) out.append(out.empty() ? "" : " ").append(shown(e.commit_message));
    return out;
}

std::string author_text(const ExecutionView& e) {
    std::string out = shown(e.author_name.empty() ? e.author_id : e.author_name);
    if (!e.author_email.empty()) out.append(out.empty() ? "" : " ").append("<").append(shown(e.author_email)).append(">");
    return out;
}

std::string trigger_text(const ExecutionView& e) {
    std::string out = shown(e.trigger_type);
    if (!e.trigger_detail.empty()) out.append(out.empty() ? "" : ": ").append(shown(e.trigger_detail));
    return out;
}

std::string branch_text(const ExecutionView& e) {
    std::string out = shown(e.repository);
    const std::string branch = shown(e.branch.empty() ? e.tag : e.branch);
    if (!branch.empty()) out.append(out.empty() ? "" : ", ").append(branch);
    return out;
}

}  // namespace

MessageLinks message_links(const MessageFacts& facts) {
    MessageLinks out;
    if (!facts.console_url.empty())
        out.console = link_or_nothing(fmt::format("{}/executions/{}", facts.console_url, percent_encoded(facts.execution.execution_id)));
    out.commit = link_or_nothing(facts.execution.commit_url);
    if (facts.delivery.topic == DeliveryTopic::pipeline_succeeded) return out;
    const auto failure = find_failure(facts);
    if (!failure.actions.empty()) out.external = link_or_nothing(failure.actions[0]->external_url);
    return out;
}

Message render_message(const MessageFacts& facts) {
    const auto& d = facts.delivery;
    const auto& e = facts.execution;
    if (d.kind != DeliveryKind::notify || d.topic == DeliveryTopic::action_failed) return {};
    const bool success = d.topic == DeliveryTopic::pipeline_succeeded, stage_topic = d.topic == DeliveryTopic::stage_failed;
    // The state that the message is about; the execution may have moved on since.
    const State told = success ? State::succeeded : State::failed;
    const auto state = event_word(told);
    const auto failure = success ? Failure{} : find_failure(facts);
    const ActionView* cause = failure.actions.empty() ? nullptr : failure.actions[0];
    const std::string pipeline = shown(d.pipeline.pipeline), stage = shown(failure.stage_name), action = cause ? shown(cause->name) : "";
    const bool recovery = success && is_recovery(facts);

    auto text = [&](std::string_view name, std::initializer_list<std::pair<std::string_view, std::string_view>> values) {
        return fill(facts.locale, name, values);
    };
    Message out;
    if (stage_topic)
        out.subject = text(cause ? "subject_stage_at" : "subject_stage", {{"state", state}, {"stage", stage}, {"pipeline", pipeline}, {"where", action}});
    else if (success)
        out.subject = text(recovery ? "subject_recovery" : "subject_pipeline", {{"state", state}, {"pipeline", pipeline}});
    else
        out.subject = text(stage.empty() ? "subject_pipeline" : "subject_pipeline_at",
                           {{"state", state}, {"pipeline", pipeline}, {"where", cause ? stage + "/" + action : stage}});
    out.subject = one_line(out.subject, limits::subject_characters);

    auto line = [&](std::string_view name, std::initializer_list<std::pair<std::string_view, std::string_view>> values) {
        out.body += text(name, values);
        out.body += '\n';
    };
    // What, why and since when.
    if (stage_topic) line("stage", {{"stage", stage}, {"pipeline", pipeline}, {"state", state}});
    else line("pipeline", {{"pipeline", pipeline}, {"state", state}});
    if (recovery) line("recovery", {{"time", time_text(facts.incident->opened)}, {"count", std::to_string(facts.incident->executions.size())}});
    if (!success) {
        out.body += '\n';
        const auto attempt = std::to_string(failure.attempt);
        if (cause) line("failed_action", {{"stage", stage}, {"action", action}, {"attempt", attempt}});
        else if (!stage.empty()) line("failed_stage", {{"stage", stage}, {"attempt", attempt}});
        if (cause) {
            std::string why = shown(cause->error_code);
            if (!cause->summary.empty()) why.append(why.empty() ? "" : ": ").append(one_line(cause->summary, limits::summary_characters));
            if (!why.empty()) line("why", {{"reason", why}});
        }
        if (failure.actions.size() > 1) {
            std::string names;
            for (size_t i = 1; i < failure.actions.size() && i <= limits::actions_named; ++i)
                names.append(i > 1 ? ", " : "").append(shown(failure.actions[i]->name));
            if (failure.actions.size() > limits::actions_named + 1) names += ", …";
            line("also_failed", {{"names", names}});
        }
        const TimeMs since = cause && cause->end != no_time                              ? cause->end
                             : failure.stage && failure.stage->attempt == failure.attempt && failure.stage->end != no_time ? failure.stage->end
                             : stage_topic                                               ? no_time
                                                                                         : e.end;
        if (since != no_time) line("since", {{"time", time_text(since)}});
        if (facts.incident && facts.incident->open() && facts.incident->executions.size() > 1)
            line("incident", {{"time", time_text(facts.incident->opened)},
                              {"count", std::to_string(facts.incident->executions.size())},
                              {"incident", shown(facts.incident->id)}});
        if (facts.retry_due != no_time) line("retry", {{"time", time_text(facts.retry_due)}});
    }
    // A stage fails while its execution is still in progress for a moment: only an end, or a later attempt, is news.
    if (e.known && (e.attempt > d.attempt || is_end(e.state)) && e.state != told) line("now", {{"state", event_word(e.state)}});

    // Which execution of what.
    out.body += '\n';
    line("execution", {{"execution", shown(e.execution_id)}, {"attempt", std::to_string(stage_topic ? e.attempt : d.attempt)}});
    if (const TimeMs start = e.ordering_start(); start != no_time) {
        if (e.end != no_time && e.end >= start) line("started_took", {{"time", time_text(start)}, {"duration", span_text(e.end - start)}});
        else line("started", {{"time", time_text(start)}});
    }
    if (const auto trigger = trigger_text(e); !trigger.empty()) line("trigger", {{"trigger", trigger}});
    if (const auto commit = commit_text(e); !commit.empty()) line("commit", {{"commit", commit}});
    if (const auto branch = branch_text(e); !branch.empty()) line("branch", {{"branch", branch}});
    if (const auto author = author_text(e); !author.empty()) line("author", {{"author", author}});
    line("account", {{"account", shown(d.pipeline.account)}, {"region", shown(d.pipeline.region)}});

    const auto links = message_links(facts);
    if (!links.console.empty() || !links.external.empty() || !links.commit.empty()) out.body += '\n';
    if (!links.console.empty()) line("link_console", {{"url", links.console}});
    if (!links.external.empty()) line("link_external", {{"url", links.external}});
    if (!links.commit.empty()) line("link_commit", {{"url", links.commit}});
    return out;
}

}  // namespace waybill
