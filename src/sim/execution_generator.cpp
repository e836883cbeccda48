#include "sim/execution_generator.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"
#include "base/json_writer.h"

namespace waybill::sim {
namespace {

constexpr const char* stage_names[] = {"Source", "Build", "Test", "Approve", "Deploy", "Verify"};

std::string json_text(std::string_view text) {
    std::string out;
    JsonWriter::quote_into(out, text);
    return out;
}

}  // namespace

// One execution while it happens.
struct ExecutionGenerator::Run {
    ExecutionGenerator& g;
    const GeneratorOptions& options;
    GeneratedExecution x;
    TimeMs now;
    bool git = false;
    double version = 1;

    struct PlannedAction {
        std::string name, category, provider;
        int round = 0;
    };
    struct PlannedStage {
        std::string name;
        std::vector<PlannedAction> actions;
        TimeMs start = no_time, last_retry = no_time;
    };
    std::vector<PlannedStage> stages;

    bool percent(int p) { return g.random_.below(100) < static_cast<uint64_t>(p); }
    void pass(int64_t at_most_ms = 4000) { now += static_cast<int64_t>(g.random_.below(static_cast<uint64_t>(at_most_ms) + 1)); }

    void emit(Scope scope, State state, std::string detail) {
        static constexpr const char* types[] = {"Pipeline", "Stage", "Action"};
        GeneratedEvent e;
        e.id = g.uuid();
        e.at = now;
        e.scope = scope;
        e.state = state;
        e.envelope = fmt::format(
            R"({{"version":"0","id":"{}","detail-type":"CodePipeline {} Execution State Change","source":"aws.codepipeline","account":"{}","time":"{}","region":"{}",)"
            R"("resources":["arn:aws:codepipeline:{}:{}:{}"],"detail":{{"pipeline":"{}","execution-id":"{}",{},"state":"{}","version":{:.1f}}}}})",
            e.id, types[static_cast<int>(scope)], x.key.account, format_time_s(now), x.key.region, x.key.region, x.key.account, x.key.pipeline, x.key.pipeline, x.id,
            detail, event_word(state), version);
        x.events.push_back(std::move(e));
    }

    void pipeline(State state) {
        std::string detail = fmt::format(R"("start-time":"{}","pipeline-execution-attempt":{}.0)", format_time(x.start), x.attempt);
        if (git && (state == State::started || state == State::succeeded || state == State::failed))
            detail += fmt::format(
                R"(,"execution-trigger":{{"author-display-name":"Mary Major","full-repository-name":"mmajor/{}","provider-type":"GitLab","author-email":"mary@example.com",)"
                R"("commit-message":{},"author-date":"2026-04-19T12:00:00Z","branch-name":"main","commit-id":"{}","author-id":"mmajor"}})",
                x.key.pipeline, json_text(fmt::format("Change {} of \"{}\"", x.id.substr(0, 4), x.key.pipeline)), x.id.substr(0, 8));
        else if (state == State::started)
            detail += R"(,"execution-trigger":{"trigger-type":"StartPipelineExecution","trigger-detail":"arn:aws:sts::123456789012:assumed-role/Admin/my-user"})";
        if (state == State::stopping) detail += fmt::format(R"(,"stop-execution-comments":"Stopping attempt {}")", x.attempt);
        if (state == State::resumed) detail += fmt::format(R"(,"last-retry-attempt-time":"{}")", format_time(now));
        x.state = state;
        emit(Scope::pipeline, state, std::move(detail));
    }

    void stage(PlannedStage& s, State state) {
        if (state == State::started) s.start = now;
        if (state == State::resumed) s.last_retry = now;
        std::string detail = fmt::format(R"("stage":"{}","pipeline-execution-attempt":{}.0)", s.name, x.attempt == 1 ? 0 : x.attempt);
        if (state != State::resumed) detail += fmt::format(R"(,"start-time":"{}")", format_time(s.start));
        if (s.last_retry != no_time) detail += fmt::format(R"(,"stage-last-retry-attempt-time":"{}")", format_time(s.last_retry));
        x.stages[s.name] = {state, x.attempt};
        emit(Scope::stage, state, std::move(detail));
    }

    struct Started {
        const PlannedAction* plan;
        std::string id;
        TimeMs start;
    };

    void action(const PlannedStage& s, const Started& a, State state) {
        std::string detail = fmt::format(
            R"("stage":"{}","action":"{}","action-execution-id":"{}","type":{{"owner":"AWS","category":"{}","provider":"{}","version":"1"}},"region":"{}","pipeline-execution-attempt":{}.0)",
            s.name, a.plan->name, a.id, a.plan->category, a.plan->provider, x.key.region, x.attempt);
        if (state != State::abandoned) detail += fmt::format(R"(,"start-time":"{}")", format_time(a.start));
        if (state == State::failed)
            detail += fmt::format(
                R"(,"execution-result":{{"external-execution-url":"https://example.com/{}","external-execution-summary":"Step {} failed: exit code 1","external-execution-id":"{}:{}","error-code":"JobFailed"}})",
                a.id, a.plan->name, x.key.pipeline, a.id.substr(0, 8));
        else if (state == State::succeeded)
            detail += fmt::format(R"(,"execution-result":{{"external-execution-url":"https://example.com/{}","external-execution-summary":"Done","external-execution-id":"{}"}})",
                                  a.id, x.id.substr(0, 8));
        if (options.rich)
            detail += fmt::format(
                R"(,"input-artifacts":[{{"name":"SourceArtifact","s3location":{{"bucket":"codepipeline-{}-123456789","key":"{}/SourceArti/{}"}}}}])", x.key.region,
                x.key.pipeline, a.id.substr(0, 8));
        x.actions[a.id] = {s.name, a.plan->name, state};
        emit(Scope::action, state, std::move(detail));
    }

    void plan() {
        const size_t n = 2 + g.random_.below(static_cast<uint64_t>(std::max(1, options.max_stages - 1)));
        for (size_t i = 0; i < n; ++i) {
            PlannedStage& s = stages.emplace_back();
            s.name = i < std::size(stage_names) ? stage_names[i] : fmt::format("Stage{}", i);
            const int rounds = i == 0 ? 1 : 1 + static_cast<int>(g.random_.below(static_cast<uint64_t>(options.max_rounds)));
            for (int round = 0; round < rounds; ++round) {
                const size_t actions = 1 + g.random_.below(static_cast<uint64_t>(options.max_actions));
                for (size_t a = 0; a < actions; ++a) {
                    PlannedAction& p = s.actions.emplace_back();
                    p.name = fmt::format("{}{}{}", s.name, round, static_cast<char>('A' + a));
                    p.round = round;
                    p.category = i == 0 ? "Source" : s.name == "Approve" ? "Approval" : s.name == "Deploy" ? "Deploy" : "Build";
                    p.provider = i == 0 ? "CodeStarSourceConnection" : s.name == "Approve" ? "Manual" : s.name == "Deploy" ? "CodeDeploy" : "CodeBuild";
                }
            }
        }
    }

    enum class End { succeeded, failed, stopped, over };  // over: nothing more can follow

    // The actions of `todo`, round by round. Those that failed are left in `todo` together with those that never ran.
    End actions(PlannedStage& s, std::vector<const PlannedAction*>& todo, bool interrupt) {
        while (!todo.empty()) {
            const int round = todo.front()->round;
            std::vector<Started> running;
            for (const auto* p : todo)
                if (p->round == round) {
                    pass(300);
                    running.push_back({p, g.uuid(), now});
                    action(s, running.back(), State::started);
                }
            if (interrupt) return stop(s, todo, running);
            std::vector<const PlannedAction*> failed;
            while (!running.empty()) {
                pass();
                const size_t i = g.random_.below(running.size());
                const bool fails = percent(options.failures);
                action(s, running[i], fails ? State::failed : State::succeeded);
                if (fails) failed.push_back(running[i].plan);
                running.erase(running.begin() + static_cast<ptrdiff_t>(i));
            }
            std::erase_if(todo, [&](const auto* p) { return p->round == round && std::find(failed.begin(), failed.end(), p) == failed.end(); });
            if (!failed.empty()) {
                pass(500);
                stage(s, State::failed);
                pass(500);
                pipeline(State::failed);
                return End::failed;
            }
        }
        return End::succeeded;
    }

    End stop(PlannedStage& s, std::vector<const PlannedAction*>& todo, const std::vector<Started>& running) {
        pass();
        const uint64_t way = g.random_.below(3);
        if (way == 0) {  // the pipeline's structure was changed
            for (const auto& a : running) action(s, a, State::canceled);
            stage(s, State::canceled);
            pipeline(State::canceled);
            return End::over;
        }
        pipeline(State::stopping);
        stage(s, State::stopping);
        for (const auto& a : running) {
            pass(way == 1 ? 10 : 3000);
            action(s, a, way == 1 ? State::abandoned : State::succeeded);
            if (way == 2) std::erase(todo, a.plan);
        }
        pass(500);
        stage(s, State::stopped);
        pipeline(State::stopped);
        return End::stopped;
    }

    void happen() {
        plan();
        git = percent(40);
        pipeline(State::started);
        const bool interrupted = percent(options.interruptions);
        const size_t interrupted_stage = 1 + g.random_.below(stages.size());  // past the last: superseded instead
        for (size_t i = 0; i < stages.size(); ++i) {
            PlannedStage& s = stages[i];
            if (interrupted && interrupted_stage == stages.size() && i + 1 == stages.size()) {
                pass();
                return pipeline(State::superseded);
            }
            pass(800);
            stage(s, State::started);
            std::vector<const PlannedAction*> todo;
            for (const auto& a : s.actions) todo.push_back(&a);
            bool interrupt = interrupted && i == interrupted_stage;
            for (;;) {
                const End end = actions(s, todo, interrupt);
                interrupt = false;
                if (end == End::over) return;
                if (end == End::succeeded) break;
                if (!percent(options.retries)) return;
                pass(20'000);
                ++x.attempt;
                pipeline(State::resumed);
                stage(s, State::resumed);
            }
            pass(300);
            stage(s, State::succeeded);
        }
        pass(300);
        pipeline(State::succeeded);
    }
};

ExecutionGenerator::ExecutionGenerator(uint64_t seed, const GeneratorOptions& options) : random_(seed * 0x9e3779b97f4a7c15ull + 1), options_(options), now_(options.begin) {}

std::string ExecutionGenerator::uuid() {
    const uint64_t a = random_.next(), b = random_.next();
    return fmt::format("{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}", a >> 32, (a >> 16) & 0xffff, a & 0xfff, b >> 52, b & 0xffffffffffffull);
}

GeneratedExecution ExecutionGenerator::next() {
    now_ += static_cast<int64_t>(random_.below(static_cast<uint64_t>(options_.pause_ms) + 1));
    Run run{*this, options_, {}, now_};
    const uint64_t account = random_.below(static_cast<uint64_t>(options_.accounts)), region = random_.below(static_cast<uint64_t>(options_.regions));
    run.x.key.account = fmt::format("{:012}", 111122223333 + account);
    run.x.key.region = region == 0 ? "us-east-1" : region == 1 ? "eu-west-1" : fmt::format("ap-south-{}", region);
    run.x.key.pipeline = fmt::format("service-{}-deploy", random_.below(static_cast<uint64_t>(options_.pipelines)));
    run.x.id = uuid();
    run.x.start = now_;
    run.version = static_cast<double>(1 + made_++ / 50);
    run.happen();
    if (!run.percent(options_.unfinished)) return std::move(run.x);

    // Cut off while it runs: what is true then is what was true at that event.
    GeneratedExecution cut = std::move(run.x);
    cut.events.resize(1 + random_.below(cut.events.size()));
    cut.stages.clear();
    cut.actions.clear();
    cut.attempt = 1;
    for (const auto& e : cut.events) {
        const PipelineEvent p = *read(e.envelope).pipeline;
        if (p.scope == Scope::pipeline) cut.state = p.state, cut.attempt = p.attempt;
        if (p.scope == Scope::stage) cut.stages[p.stage] = {p.state, p.attempt};
        if (p.scope == Scope::action) cut.actions[p.action_execution_id] = {p.stage, p.action, p.state};
    }
    return cut;
}

IncomingEvent read(const std::string& envelope) {
    static thread_local EnvelopeReader reader;
    auto result = reader.read(envelope);
    ASSERT(std::holds_alternative<IncomingEvent>(result));
    return std::get<IncomingEvent>(std::move(result));
}

GeneratedEvent with_new_id(const GeneratedEvent& event, std::string id) {
    GeneratedEvent copy = event;
    const size_t at = copy.envelope.find(event.id);
    ASSERT(at != std::string::npos);
    copy.envelope.replace(at, event.id.size(), id);
    copy.id = std::move(id);
    return copy;
}

}  // namespace waybill::sim
