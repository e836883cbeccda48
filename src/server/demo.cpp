#include "server/demo.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <span>

#include "base/json_writer.h"

namespace waybill::server {
namespace {

struct ActionDef {
    std::string_view name, category, provider;
};
struct StageDef {
    std::string_view name;
    std::vector<ActionDef> actions;  // all at once
};
struct PipelineDef {
    std::string_view name, region, repository, provider_type;  // provider_type: of Git triggers; empty: no Git trigger
    std::vector<StageDef> stages;
    std::span<const std::string_view> messages;
};
struct Author {
    std::string_view name, email, id;
};

constexpr std::string_view account = "111122223333";

constexpr std::array<Author, 12> authors = {{{"Mary Major", "mary.major@example.com", "mmajor"},
                                             {"김서연", "seoyeon.kim@example.com", "seoyeon"},
                                             {"Jorge Souza", "jorge.souza@example.com", "jsouza"},
                                             {"이도윤", "doyun.lee@example.com", "doyunlee"},
                                             {"Li Juan", "li.juan@example.com", "lijuan"},
                                             {"박지후", "jihu.park@example.com", "jihu-park"},
                                             {"Nikki Wolf", "nikki.wolf@example.com", "nwolf"},
                                             {"최하은", "haeun.choi@example.com", "haeun"},
                                             {"Paulo Santos", "paulo.santos@example.com", "psantos"},
                                             {"Saanvi Sarkar", "saanvi.sarkar@example.com", "ssarkar"},
                                             {"정민준", "minjun.jung@example.com", "mjjung"},
                                             {"Zhang Wei", "zhang.wei@example.com", "zwei"}}};

constexpr std::array<std::string_view, 8> web_messages = {
    "Lazy-load product images below the fold",
    "장바구니 합계가 새로고침 뒤에 0원으로 보이던 문제 수정",
    "Fix focus trap in the checkout dialog",
    "Bump vite from 5.2.8 to 5.2.11",
    "검색 결과 페이지에 무한 스크롤 적용",
    "Remove the summer sale banner",
    "Preconnect to the image CDN",
    "Show delivery dates in the customer's time zone"};
constexpr std::array<std::string_view, 8> api_messages = {
    "Return 409 instead of 500 when an order is paid twice",
    "Add index on orders(customer_id, created_at)",
    "결제 취소 API에 멱등키 지원 추가",
    "Retry idempotent calls to the ledger once",
    "Drop support for v1 tokens",
    "쿠폰 중복 적용 방지 로직 보강",
    "Log the correlation id on refused requests",
    "Upgrade netty to 4.1.109"};
constexpr std::array<std::string_view, 6> mobile_messages = {
    "Fix crash when the camera permission is revoked",
    "다크 모드에서 버튼 글자가 안 보이는 문제 수정",
    "Target API level 35",
    "Cache the home feed for offline start",
    "푸시 알림 딥링크 처리 개선",
    "Reduce the APK by 4 MB: drop unused fonts"};
constexpr std::array<std::string_view, 6> infra_messages = {
    "Open 443 from the new office range",
    "Raise the NAT gateway alarm threshold",
    "서울 리전 서브넷 CIDR 확장",
    "Rotate the bastion AMI",
    "Tag everything with cost-center",
    "Move log buckets to intelligent tiering"};
constexpr std::array<std::string_view, 6> data_messages = {
    "Backfill orders_daily for March",
    "주간 매출 리포트 집계 기준을 KST로 변경",
    "Deduplicate clickstream sessions by device id",
    "Partition events by hour",
    "Train ranking on 90 days instead of 60",
    "Add null checks to the customer dimension"};

std::vector<PipelineDef> named_pipelines() {
    constexpr std::string_view github = "CodeStarSourceConnection";
    return {
        {"web-storefront", "us-east-1", "example-shop/storefront", "GitHub",
         {{"Source", {{"Source", "Source", github}}},
          {"Build", {{"Bundle", "Build", "CodeBuild"}}},
          {"Test", {{"UnitTests", "Test", "CodeBuild"}, {"BrowserTests", "Test", "CodeBuild"}, {"Lighthouse", "Test", "CodeBuild"}}},
          {"Approval", {{"ApproveRelease", "Approval", "Manual"}}},
          {"Deploy", {{"UploadAssets", "Deploy", "S3"}, {"InvalidateCache", "Invoke", "Lambda"}}}},
         web_messages},
        {"api-orders", "us-east-1", "example-shop/orders", "GitHub",
         {{"Source", {{"Source", "Source", github}}},
          {"Build", {{"BuildImage", "Build", "CodeBuild"}}},
          {"Test", {{"UnitTests", "Test", "CodeBuild"}, {"ContractTests", "Test", "CodeBuild"}}},
          {"Staging", {{"DeployStaging", "Deploy", "ECS"}}},
          {"Approval", {{"ApproveProduction", "Approval", "Manual"}}},
          {"Production", {{"DeployProduction", "Deploy", "ECS"}}}},
         api_messages},
        {"api-payments", "ap-northeast-2", "example-shop/payments", "GitLab",
         {{"Source", {{"Source", "Source", github}}},
          {"Build", {{"Compile", "Build", "CodeBuild"}}},
          {"Test", {{"UnitTests", "Test", "CodeBuild"}, {"SecurityScan", "Test", "CodeBuild"}}},
          {"Approval", {{"FourEyes", "Approval", "Manual"}}},
          {"Deploy", {{"BlueGreen", "Deploy", "CodeDeploy"}}}},
         api_messages},
        {"mobile-android", "us-west-2", "example-shop/android", "Bitbucket",
         {{"Source", {{"Source", "Source", github}}},
          {"Build", {{"AssembleRelease", "Build", "CodeBuild"}}},
          {"Test", {{"DeviceFarm", "Test", "DeviceFarm"}, {"UnitTests", "Test", "CodeBuild"}}},
          {"Release", {{"PublishBeta", "Invoke", "Lambda"}}}},
         mobile_messages},
        {"infra-network", "us-east-1", "infra-network", "",
         {{"Source", {{"Source", "Source", "CodeCommit"}}},
          {"Plan", {{"CreateChangeSet", "Deploy", "CloudFormation"}}},
          {"Approval", {{"ReviewChangeSet", "Approval", "Manual"}}},
          {"Deploy", {{"ExecuteChangeSet", "Deploy", "CloudFormation"}}}},
         infra_messages},
        {"data-warehouse", "ap-northeast-2", "warehouse-models", "",
         {{"Source", {{"Models", "Source", "CodeCommit"}, {"Seeds", "Source", "S3"}}},
          {"Validate", {{"CheckSchemas", "Build", "CodeBuild"}}},
          {"Transform", {{"RunModels", "Invoke", "StepFunctions"}}},
          {"Deploy", {{"SwapViews", "Invoke", "Lambda"}}}},
         data_messages},
        {"ml-ranking", "us-west-2", "example-shop/ranking", "GitHub",
         {{"Source", {{"Source", "Source", github}}},
          {"Train", {{"TrainModel", "Invoke", "StepFunctions"}}},
          {"Test", {{"OfflineEval", "Test", "CodeBuild"}, {"BiasReport", "Test", "CodeBuild"}}},
          {"Deploy", {{"UpdateEndpoint", "Deploy", "CloudFormation"}}}},
         data_messages},
        {"docs-site", "us-east-1", "example-shop/docs", "GitHub",
         {{"Source", {{"Source", "Source", github}}},
          {"Build", {{"Render", "Build", "CodeBuild"}}},
          {"Deploy", {{"Publish", "Deploy", "S3"}}}},
         web_messages},
    };
}

// What a failing action says of itself, by provider.
std::span<const std::string_view> failure_summaries(std::string_view provider) {
    static constexpr std::array<std::string_view, 5> build = {
        "Build terminated with state: FAILED. Phase: BUILD, Code: COMMAND_EXECUTION_ERROR, Message: Error while executing command: npm test. Reason: exit status 1",
        "Build terminated with state: FAILED. Phase: BUILD, Code: COMMAND_EXECUTION_ERROR, Message: Error while executing command: ./gradlew check. Reason: exit status 1",
        "Build terminated with state: FAILED. Phase: PRE_BUILD, Code: COMMAND_EXECUTION_ERROR, Message: Error while executing command: docker login. Reason: exit status 1",
        "Build terminated with state: TIMED_OUT. Phase: BUILD, Message: Build has timed out.",
        "Build terminated with state: FAILED. Phase: DOWNLOAD_SOURCE, Code: CLIENT_ERROR, Message: git fetch failed: connection reset by peer"};
    static constexpr std::array<std::string_view, 2> code_deploy = {
        "The overall deployment failed because too many individual instances failed deployment, too few healthy instances are available for deployment, or some instances in your deployment group are experiencing problems.",
        "Deployment failed: the health check of target group payments-green did not pass within 10 minutes"};
    static constexpr std::array<std::string_view, 2> ecs = {
        "(service orders) deployment failed: tasks failed to start. ResourceInitializationError: unable to pull secrets",
        "(service orders) was unable to place a task because no container instance met all of its requirements. Reason: MEMORY"};
    static constexpr std::array<std::string_view, 2> cloud_formation = {
        "Resource handler returned message: \"The maximum number of addresses has been reached.\" (Service: Ec2, Status Code: 400)",
        "Stack is in UPDATE_ROLLBACK_COMPLETE state after the update of AWS::SageMaker::Endpoint failed"};
    static constexpr std::array<std::string_view, 2> functions = {
        "The AWS Lambda function failed: Task timed out after 60.06 seconds", "The AWS Lambda function failed: quota of uploads is used up until tomorrow"};
    static constexpr std::array<std::string_view, 2> steps = {
        "The state machine execution failed: States.TaskFailed in state RunModels: relation \"orders_daily\" does not exist",
        "The state machine execution failed: States.Timeout after 3600 seconds"};
    static constexpr std::array<std::string_view, 2> devices = {"2 of 148 tests failed on Galaxy S23: CheckoutTest.paysWithCard, HomeTest.opensDeepLink",
                                                                "Device pool could not be reserved within 20 minutes"};
    static constexpr std::array<std::string_view, 2> bucket = {"Access Denied (Service: Amazon S3; Status Code: 403; Error Code: AccessDenied)",
                                                               "The specified bucket does not exist (Status Code: 404; Error Code: NoSuchBucket)"};
    static constexpr std::array<std::string_view, 3> approval = {"배포 창이 아닙니다. 월요일에 다시 올려 주세요.", "Not during the sale, please.",
                                                                 "Changelog is missing"};
    if (provider == "CodeBuild") return build;
    if (provider == "CodeDeploy") return code_deploy;
    if (provider == "ECS") return ecs;
    if (provider == "CloudFormation") return cloud_formation;
    if (provider == "Lambda") return functions;
    if (provider == "StepFunctions") return steps;
    if (provider == "DeviceFarm") return devices;
    if (provider == "Manual") return approval;
    return bucket;
}

int64_t usual_length(const ActionDef& action) {  // relative to each other
    if (action.category == "Source") return 4;
    if (action.category == "Build") return 60;
    if (action.category == "Test") return 50;
    if (action.category == "Approval") return 40;
    if (action.provider == "StepFunctions") return 90;
    return 35;
}

// CodePipeline writes these numbers as floats, and patterns compare them as text.
std::string float_text(int number) { return fmt::format("{}.0", number); }

// Events an execution causes on average over the fates, measured on the generator itself (demo_test keeps it honest).
constexpr double events_an_execution = 25;

}  // namespace

struct DemoStream::Pipeline {
    std::string name, region, repository, provider_type;
    const PipelineDef* kind = nullptr;
    int version = 1;
    TimeMs busy_until = 0;
    std::string bucket;
};

// What stays the same over the events of one execution.
struct DemoStream::Execution {
    const Pipeline& pipeline;
    std::string id;
    TimeMs start;
    std::string trigger;         // JSON
    bool git = false;            // Git triggers are repeated in the events of the ends
    std::string commit, message;
    int attempt = 1;

    void open(JsonWriter& json, TimeMs start_time) const {
        json.begin_object().key("pipeline").text(pipeline.name).key("execution-id").text(id);
        if (start_time != no_time) json.key("start-time").time(start_time);
    }
    void close(JsonWriter& json, std::string_view state, int shown_attempt) const {
        json.key("state").text(state).key("version").raw(float_text(pipeline.version));
        json.key("pipeline-execution-attempt").raw(float_text(shown_attempt)).end_object();
    }
};

DemoStream::~DemoStream() = default;

DemoStream::DemoStream(const DemoOptions& options, TimeMs now) : options_(options), now_(now), random_(options.seed) {
    options_.pipelines = std::clamp<size_t>(options_.pipelines, 1, demo_pipelines_max);
    options_.rate = std::clamp(options_.rate, 0.01, 100'000.0);
    static const std::vector<PipelineDef> kinds = named_pipelines();
    static constexpr std::array<std::string_view, 10> teams = {"checkout", "catalog", "search", "billing", "identity", "growth", "logistics", "support", "platform", "ads"};
    static constexpr std::array<std::string_view, 8> parts = {"web", "api", "worker", "app", "infra", "etl", "model", "docs"};
    for (size_t i = 0; i < options_.pipelines; ++i) {
        const PipelineDef& kind = kinds[i % kinds.size()];
        Pipeline pipeline{std::string(kind.name), std::string(kind.region), std::string(kind.repository), std::string(kind.provider_type), &kind};
        if (i >= kinds.size()) {
            size_t nth = i / kinds.size() - 1;
            pipeline.name = fmt::format("{}-{}", teams[nth % teams.size()], parts[i % parts.size()]);
            if (nth >= teams.size()) pipeline.name += fmt::format("-{}", nth / teams.size() + 1);
            pipeline.repository = (kind.provider_type.empty() ? "" : "example-shop/") + pipeline.name;
        }
        pipeline.version = static_cast<int>(between(1, 40));
        pipeline.bucket = fmt::format("codepipeline-{}-{}", pipeline.region, between(100'000'000'000, 999'999'999'999));
        pipelines_.push_back(std::move(pipeline));
    }
    // The history begins evenly over its span, ends where it ends, and the newest of it are still going on.
    size_t count = options_.history_ms > 0 ? options_.history_executions : 0;
    for (size_t i = 0; i < count; ++i) {
        int64_t step = options_.history_ms / static_cast<int64_t>(count);
        TimeMs start = now - options_.history_ms + step * static_cast<int64_t>(i) + between(0, std::max<int64_t>(step - 1, 0));
        begin_execution(idle_pipeline(start), start, between(150'000, 600'000), pick_fate());
    }
    next_start_ = now + 200;
}

std::vector<std::string> DemoStream::history() {
    std::vector<std::string> events;
    while (!queue_.empty() && queue_.top().deliver <= now_) {
        events.push_back(queue_.top().envelope);
        queue_.pop();
    }
    return events;
}

DemoEvent DemoStream::next() {
    // Enough executions at once to keep the rate, and few enough that most pipelines have one at a time; none shorter than a few seconds.
    double at_once = std::max(1.0, static_cast<double>(pipelines_.size()) * 0.6);
    double gap_ms = events_an_execution / options_.rate * 1000;
    int64_t length_ms = std::clamp<int64_t>(static_cast<int64_t>(at_once * gap_ms), 4000, 360'000);
    while (queue_.empty() || queue_.top().deliver > next_start_) {
        begin_execution(idle_pipeline(next_start_), next_start_, static_cast<int64_t>(static_cast<double>(length_ms) * (0.6 + 0.8 * fraction())), pick_fate());
        next_start_ += std::max<int64_t>(1, std::llround(gap_ms * (0.5 + fraction())));
    }
    DemoEvent event{queue_.top().deliver, queue_.top().envelope};
    queue_.pop();
    return event;
}

std::string DemoStream::hex(size_t digits) {
    std::string text;
    while (text.size() < digits) text += fmt::format("{:016x}", random_.next());
    text.resize(digits);
    return text;
}

std::string DemoStream::uuid() {
    std::string h = hex(32);
    h[12] = '4';
    h[16] = "89ab"[random_.below(4)];
    return fmt::format("{}-{}-{}-{}-{}", h.substr(0, 8), h.substr(8, 4), h.substr(12, 4), h.substr(16, 4), h.substr(20));
}

// Some pipeline that is not busy; with many, a few tries are enough, and an execution that overlaps another one is allowed anyway.
DemoStream::Pipeline& DemoStream::idle_pipeline(TimeMs at) {
    size_t first = random_.below(pipelines_.size());
    for (size_t i = 0; i < std::min<size_t>(pipelines_.size(), 16); ++i) {
        Pipeline& candidate = pipelines_[(first + i) % pipelines_.size()];
        if (candidate.busy_until <= at) return candidate;
    }
    return pipelines_[first];
}

DemoStream::Fate DemoStream::pick_fate() {
    uint64_t draw = random_.below(100);
    if (draw < 70) return Fate::succeeded;
    if (draw < 81) return Fate::failed;
    if (draw < 87) return Fate::retried;
    if (draw < 89) return Fate::retried_twice;
    if (draw < 93) return Fate::superseded;
    if (draw < 95) return Fate::stopped;
    if (draw < 97) return Fate::abandoned;
    return Fate::rejected;
}

// Hands one event to EventBridge, and decides what happens to it on the way.
void DemoStream::emit(TimeMs at, std::string_view scope, const Pipeline& pipeline, const std::string& detail, bool may_be_lost) {
    auto envelope = [&](const std::string& id) {
        std::string text;
        JsonWriter json(text);
        json.begin_object().key("version").text("0").key("id").text(id);
        json.key("detail-type").text(fmt::format("CodePipeline {} Execution State Change", scope));
        json.key("source").text("aws.codepipeline").key("account").text(account).key("time").text(format_time_s(at));
        json.key("region").text(pipeline.region).key("resources").begin_array();
        json.text(fmt::format("arn:aws:codepipeline:{}:{}:{}", pipeline.region, account, pipeline.name)).end_array();
        json.key("detail").raw(detail).end_object();
        return text;
    };
    auto queue = [&](TimeMs deliver, std::string text) { queue_.push({deliver, order_++, std::move(text)}); };

    std::string id = uuid();
    // The service was seen to deliver after 1.7 to 4.3 s, each event on its own: that alone puts neighbours out of order.
    TimeMs deliver = at + between(300, 1900);
    uint64_t fate = random_.below(1000);
    if (may_be_lost && fate < 2) return;                              // never
    if (fate < 22) deliver += between(5'000, 20'000);                 // late
    std::string text = envelope(id);
    if (fate >= 30 && fate < 45) queue(deliver + between(500, 6'000), text);             // twice, as at-least-once delivery does
    if (fate >= 45 && fate < 55) queue(deliver + between(500, 6'000), envelope(uuid())); // said again under another id
    queue(deliver, std::move(text));
}

// Plays one execution from its start to its end and queues all its events.
void DemoStream::begin_execution(Pipeline& pipeline, TimeMs start, int64_t length_ms, Fate fate) {
    const PipelineDef& kind = *pipeline.kind;
    Execution execution{pipeline, uuid(), start};
    execution.commit = hex(40);
    execution.message = kind.messages[random_.below(kind.messages.size())];
    const Author& author = authors[random_.below(authors.size())];
    {
        JsonWriter json(execution.trigger);
        json.begin_object();
        uint64_t draw = random_.below(10);
        if (!pipeline.provider_type.empty() && draw < 7) {
            execution.git = true;
            json.key("author-display-name").text(author.name).key("full-repository-name").text(pipeline.repository);
            json.key("provider-type").text(pipeline.provider_type).key("author-email").text(author.email);
            json.key("commit-message").text(execution.message).key("author-date").text(format_time_s(start - between(20'000, 3'600'000)));
            if (draw == 0) json.key("tag-name").text(fmt::format("v{}.{}.{}", between(1, 4), between(0, 30), between(0, 9)));
            else json.key("branch-name").text(draw < 5 ? "main" : fmt::format("release/{}", between(20, 29)));
            json.key("commit-id").text(execution.commit);
            json.key("connection-arn").text(fmt::format("arn:aws:codestar-connections:{}:{}:connection/0f5b706a-1a1d-46c5-86b6-f177321bcfb2", pipeline.region, account));
            json.key("author-id").text(author.id);
        } else if (pipeline.provider_type.empty() && draw < 6) {
            json.key("trigger-type").text("CloudWatchEvent");
            json.key("trigger-detail").text(fmt::format("arn:aws:events:{}:{}:rule/codepipeline-{}-main", pipeline.region, account, pipeline.name));
        } else {
            json.key("trigger-type").text("StartPipelineExecution");
            json.key("trigger-detail").text(fmt::format("arn:aws:sts::{}:assumed-role/Developer/{}", account, author.id));
        }
        json.end_object();
    }

    auto pipeline_event = [&](TimeMs at, std::string_view state, std::string_view comments = {}, TimeMs retried = no_time) {
        std::string detail;
        JsonWriter json(detail);
        execution.open(json, start);
        if (retried != no_time) json.key("last-retry-attempt-time").time(retried);
        bool with_trigger = state == "STARTED" || (execution.git && (state == "SUCCEEDED" || state == "FAILED"));
        if (with_trigger) json.key("execution-trigger").raw(execution.trigger);
        if (!comments.empty()) json.key("stop-execution-comments").text(comments);
        execution.close(json, state, execution.attempt);
        emit(at, "Pipeline", pipeline, detail, false);
    };
    auto stage_event = [&](TimeMs at, const StageDef& stage, TimeMs stage_start, std::string_view state, TimeMs retried) {
        std::string detail;
        JsonWriter json(detail);
        execution.open(json, state == "RESUMED" ? no_time : stage_start);
        if (retried != no_time) json.key("stage-last-retry-attempt-time").time(retried);
        json.key("stage").text(stage.name);
        execution.close(json, state, execution.attempt == 1 ? 0 : execution.attempt);
        emit(at, "Stage", pipeline, detail, true);
    };
    struct Running {
        const ActionDef* action;
        std::string id;
        TimeMs start, end;
        bool fails;
    };
    auto artifacts = [&](JsonWriter& json, std::string_view key, std::string_view name) {
        json.key(key).begin_array().begin_object().key("name").text(name).key("s3location").begin_object();
        json.key("bucket").text(pipeline.bucket);
        json.key("key").text(fmt::format("{}/{}/{}", pipeline.name.substr(0, 20), name.substr(0, 10), execution.commit.substr(0, 7)));
        json.end_object().end_object().end_array();
    };
    auto result = [&](JsonWriter& json, const StageDef& stage, const Running& run, bool failed) {
        std::string console = fmt::format("https://{}.console.aws.amazon.com", pipeline.region);
        std::string id = run.id.substr(0, 8), url, external, summary;
        std::string_view provider = run.action->provider;
        if (provider == "CodeStarSourceConnection") {
            external = execution.commit;
            url = fmt::format("{}/codesuite/settings/connections/redirect?connectionArn=arn:aws:codestar-connections:{}:{}:connection/0f5b706a-1a1d-46c5-86b6-f177321bcfb2&referenceType=COMMIT&FullRepositoryId={}&Commit={}",
                              console, pipeline.region, account, pipeline.repository, execution.commit);
            summary = fmt::format("{{\"ProviderType\":\"{}\",\"CommitMessage\":\"{}\"}}", pipeline.provider_type, execution.message);
        } else if (provider == "CodeCommit") {
            external = execution.commit;
            url = fmt::format("{}/codecommit/home#/repository/{}/commit/{}", console, pipeline.repository, execution.commit);
            summary = execution.message;
        } else if (provider == "CodeBuild") {
            external = fmt::format("{}-{}:{}", pipeline.name, stage.name, run.id);
            url = fmt::format("{}/codebuild/home?region={}#/builds/{}/view/new", console, pipeline.region, external);
        } else if (provider == "CodeDeploy") {
            external = fmt::format("d-{}", id);
            url = fmt::format("{}/codedeploy/home?region={}#/deployments/{}", console, pipeline.region, external);
            summary = failed ? "" : "Deployment Succeeded";
        } else if (provider == "CloudFormation") {
            external = fmt::format("arn:aws:cloudformation:{}:{}:stack/{}/{}", pipeline.region, account, pipeline.name, run.id);
            url = fmt::format("{}/cloudformation/home?region={}#/stacks/stackinfo?stackId={}", console, pipeline.region, external);
            summary = failed ? "" : "Stack " + pipeline.name + " was updated.";
        } else if (provider == "Manual") {
            external = run.id;
            summary = failed ? "" : "Approved by arn:aws:sts::111122223333:assumed-role/Release/" + std::string(authors[random_.below(authors.size())].id);
        } else {
            external = run.id;
            url = fmt::format("{}/console/home?region={}#{}", console, pipeline.region, external);
            summary = failed ? "" : fmt::format("{} succeeded.", run.action->name);
        }
        if (failed) {
            auto reasons = failure_summaries(provider);
            summary = reasons[random_.below(reasons.size())];
        }
        json.key("execution-result").begin_object();
        if (!url.empty()) json.key("external-execution-url").text(url);
        if (!summary.empty()) json.key("external-execution-summary").text(summary);
        json.key("external-execution-id").text(external);
        if (failed) json.key("error-code").text(provider == "S3" ? "PermissionError" : "JobFailed");
        json.end_object();
    };
    auto action_event = [&](TimeMs at, const StageDef& stage, const Running& run, std::string_view state) {
        std::string detail;
        JsonWriter json(detail);
        execution.open(json, state == "ABANDONED" ? no_time : run.start);
        json.key("stage").text(stage.name);
        if (state == "SUCCEEDED" || state == "FAILED") result(json, stage, run, state == "FAILED");
        bool source = run.action->category == "Source";
        if (source && state == "SUCCEEDED") artifacts(json, "output-artifacts", run.action->name == "Source" ? "SourceArtifact" : run.action->name);
        json.key("action-execution-id").text(run.id).key("action").text(run.action->name);
        json.key("state").text(state).key("region").text(pipeline.region);
        json.key("type").begin_object().key("owner").text("AWS").key("provider").text(run.action->provider);
        json.key("category").text(run.action->category).key("version").text("1").end_object();
        json.key("version").raw(float_text(pipeline.version)).key("pipeline-execution-attempt").raw(float_text(execution.attempt));
        if (!source && run.action->category != "Approval") artifacts(json, "input-artifacts", "SourceArtifact");
        json.end_object();
        emit(at, "Action", pipeline, detail, true);
    };

    // Where the execution's fate strikes: never in Source (which is where real ones strike least), and in an approval only for a rejection.
    size_t last = kind.stages.size() - 1, struck = 1 + random_.below(last);
    auto is_approval = [&](size_t i) { return kind.stages[i].actions[0].category == "Approval"; };
    if (fate == Fate::rejected) {
        auto at = std::find_if(kind.stages.begin(), kind.stages.end(), [](const StageDef& s) { return s.actions[0].category == "Approval"; });
        if (at == kind.stages.end()) fate = Fate::failed;
        else struck = static_cast<size_t>(at - kind.stages.begin());
    }
    if (fate != Fate::rejected && is_approval(struck)) struck = struck == last ? struck - 1 : struck + 1;
    if (struck == 0) fate = Fate::succeeded;
    if (fate == Fate::superseded && struck == last) --struck;
    if (struck == 0) fate = Fate::succeeded;
    size_t struck_action = random_.below(kind.stages[struck].actions.size());
    int failures_left = fate == Fate::retried_twice ? 2 : fate == Fate::retried || fate == Fate::failed || fate == Fate::rejected ? 1 : 0;

    int64_t total = 0;
    for (const StageDef& stage : kind.stages) {
        int64_t longest = 0;
        for (const ActionDef& action : stage.actions) longest = std::max(longest, usual_length(action));
        total += longest;
    }
    auto run_length = [&](const ActionDef& action) {
        double share = static_cast<double>(usual_length(action)) / static_cast<double>(total);
        return std::max<int64_t>(150, static_cast<int64_t>(share * static_cast<double>(length_ms) * (0.7 + 0.6 * fraction())));
    };

    TimeMs t = start;
    pipeline_event(t, "STARTED");
    for (size_t i = 0; i <= last; ++i) {
        const StageDef& stage = kind.stages[i];
        TimeMs stage_start = t + between(120, 320), retried = no_time;
        bool resumed = false;
        t = stage_start;
        stage_event(t, stage, stage_start, "STARTED", no_time);
        for (;;) {  // one turn an attempt of the stage
            std::vector<Running> running;
            for (size_t a = 0; a < stage.actions.size(); ++a) {
                // RetryMode FAILED_ACTIONS: the ones that passed are not run again.
                if (resumed && a != struck_action) continue;
                TimeMs begin = t + between(100, 400);
                bool fails = i == struck && a == struck_action && failures_left > 0;
                running.push_back({&stage.actions[a], uuid(), begin, begin + run_length(stage.actions[a]), fails});
            }
            TimeMs end = t;
            bool failed = false;
            for (const Running& run : running) {
                end = std::max(end, run.end);
                failed |= run.fails;
            }
            if (i == struck && (fate == Fate::stopped || fate == Fate::abandoned)) {
                TimeMs asked = running[0].start + (end - running[0].start) / 2;
                for (const Running& run : running) action_event(run.start, stage, run, "STARTED");
                TimeMs stopped = fate == Fate::stopped ? end + 200 : asked + between(300, 900);
                for (const Running& run : running) {
                    if (run.end <= asked || fate == Fate::stopped) action_event(run.end, stage, run, "SUCCEEDED");
                    else action_event(stopped, stage, run, "ABANDONED");
                }
                pipeline_event(asked, "STOPPING", fate == Fate::stopped ? "Freeze until the incident call is over" : "잘못된 브랜치를 배포했습니다");
                stage_event(asked + 20, stage, stage_start, "STOPPING", retried);
                stage_event(stopped + 80, stage, stage_start, "STOPPED", retried);
                pipeline_event(stopped + 160, "STOPPED");
                pipeline.busy_until = stopped + 200;
                return;
            }
            for (const Running& run : running) {
                action_event(run.start, stage, run, "STARTED");
                action_event(run.end, stage, run, run.fails ? "FAILED" : "SUCCEEDED");
            }
            t = end + between(80, 250);
            if (!failed) {
                stage_event(t, stage, stage_start, "SUCCEEDED", retried);
                break;
            }
            --failures_left;
            stage_event(t, stage, stage_start, "FAILED", retried);
            t += between(60, 200);
            pipeline_event(t, "FAILED");
            bool retries = fate == Fate::retried || fate == Fate::retried_twice;
            if (!retries) {
                pipeline.busy_until = t;
                return;
            }
            t += std::max<int64_t>(2'000, length_ms / 8) + between(0, 2'000);  // a person looks, and presses the button
            ++execution.attempt;
            resumed = true;
            retried = t;
            pipeline_event(t + 40, "RESUMED", {}, retried);
            stage_event(t + 60, stage, stage_start, "RESUMED", retried);
            t += 60;
        }
        if (i == struck && fate == Fate::superseded) {
            // A newer execution overtakes it while it waits for the next stage.
            TimeMs newer = start + std::max<int64_t>(1, (t - start) / 3);
            t += between(1'000, std::max<int64_t>(2'000, length_ms / 6));
            pipeline_event(t, "SUPERSEDED");
            pipeline.busy_until = t;
            begin_execution(pipeline, newer, length_ms, Fate::succeeded);
            return;
        }
    }
    t += between(60, 200);
    pipeline_event(t, "SUCCEEDED");
    pipeline.busy_until = std::max(pipeline.busy_until, t);
}

DemoSender::DemoSender(const DemoOptions& options, world::Clock& clock, Sink sink, Complaint complain)
    : options_(options), clock_(clock), sink_(std::move(sink)), complain_(std::move(complain)), thread_([this] { work(); }) {}

DemoSender::~DemoSender() {
    stop();
    join();
}

void DemoSender::stop() {
    {
        std::lock_guard lock(mutex_);
        stop_ = true;
    }
    wake_.notify_all();
}

void DemoSender::join() {
    if (thread_.joinable()) thread_.join();
}

bool DemoSender::done() const {
    std::lock_guard lock(mutex_);
    return done_;
}

bool DemoSender::wait(int64_t span_ms) {
    std::unique_lock lock(mutex_);
    return !wake_.wait_for(lock, std::chrono::milliseconds(std::max<int64_t>(span_ms, 0)), [&] { return stop_; });
}

bool DemoSender::send(const std::string& ndjson, size_t events) {
    if (events == 0) return wait(0);
    for (;;) {
        Result<void> sent = sink_(ndjson, events);
        if (sent.ok()) return wait(0);
        if (complain_) complain_(sent.error());
        if (!wait(1000)) return false;
    }
}

void DemoSender::work() {
    TimeMs begin = clock_.now();
    DemoStream stream(options_, begin);
    std::string batch;
    size_t count = 0;
    bool going = true;
    auto add = [&](const std::string& envelope) {
        batch += envelope;
        batch += '\n';
        if (++count < demo_batch_events) return;
        going = send(batch, count);
        batch.clear();
        count = 0;
    };
    for (const std::string& envelope : stream.history()) {
        add(envelope);
        if (!going) break;
    }
    while (going) {
        DemoEvent event = stream.next();
        if (options_.duration_ms > 0 && event.deliver > begin + options_.duration_ms) {
            going = send(batch, count) && wait(begin + options_.duration_ms - clock_.now());
            break;
        }
        // Whatever is due goes in one batch; then sleep until the next one is.
        if (event.deliver > clock_.now()) {
            going = send(batch, count);
            batch.clear();
            count = 0;
            while (going && clock_.now() < event.deliver) going = wait(event.deliver - clock_.now());
        }
        if (going) add(event.envelope);
    }
    std::lock_guard lock(mutex_);
    done_ = true;
}

}  // namespace waybill::server
