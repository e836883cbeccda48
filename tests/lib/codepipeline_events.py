"""Builds CodePipeline events as AWS emits them: EventBridge envelopes, one for each state change of one execution.

    run = Execution("orders", stages=[("Source", ["Checkout"]), ("Build", ["Compile", "Lint"])])
    events = run.succeed()                     # the whole stream in true order
    events = run.fail("Build", "Compile")      # STARTED … to pipeline FAILED

Shapes follow the CodePipeline user guide ("Monitoring CodePipeline events") and what AWS really sends: numbers such as the version
and the attempt are floats, a stage says attempt 0.0 until the first retry, `time` is whole seconds, a retried action has a new
action-execution-id. Everything is a function of the seed, so a failing test can be repeated.
"""
import datetime
import random
import uuid

SCOPES = {"pipeline": "Pipeline", "stage": "Stage", "action": "Action"}
PROVIDERS = {"Source": "CodeCommit", "Build": "CodeBuild", "Test": "CodeBuild", "Deploy": "CodeDeploy", "Approval": "Manual"}
FIRST_MOMENT = datetime.datetime(2026, 3, 2, 9, 0, 0, tzinfo=datetime.timezone.utc)


def category_of(stage, action):
    """The action category a name suggests; what no name fits is a build."""
    for category in PROVIDERS:
        if category.lower() in (action + " " + stage).lower():
            return category
    return "Build"


class Execution:
    """One pipeline execution. Each method emits the next events of its life and moves its own clock on."""

    def __init__(self, pipeline="orders", stages=None, *, seed=1, account="123456789012", region="us-east-1", version=3.0, start=None):
        self.random = random.Random(f"{pipeline}/{seed}")
        self.pipeline, self.account, self.region, self.version = pipeline, account, region, version
        self.stages = stages or [("Source", ["Checkout"]), ("Build", ["Compile"]), ("Deploy", ["Roll out"])]
        self.now = start or FIRST_MOMENT
        self.id = self.uuid()
        self.attempt = 1
        self.retried = {}         # stage -> moment of its last retry
        self.started = {}         # entity -> its start-time, which a retry does not change
        self.action_ids = {}      # (stage, action) -> the id of its last action execution
        self.ended = set()        # (stage, action) that have succeeded

    def uuid(self):
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def pass_time(self, seconds=None):
        self.now += datetime.timedelta(seconds=self.random.uniform(0.2, 20) if seconds is None else seconds)

    def moment(self):
        return self.now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{self.now.microsecond // 1000:03d}Z"

    def envelope(self, scope, detail):
        return {
            "version": "0", "id": self.uuid(), "detail-type": f"CodePipeline {SCOPES[scope]} Execution State Change",
            "source": "aws.codepipeline", "account": self.account, "time": self.now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": self.region, "resources": [f"arn:aws:codepipeline:{self.region}:{self.account}:{self.pipeline}"],
            "detail": detail,
        }

    def detail(self, entity, state, attempt, **more):
        start = self.started.setdefault(entity, self.moment())
        return {"pipeline": self.pipeline, "execution-id": self.id, "start-time": start, **more, "state": state,
                "version": self.version, "pipeline-execution-attempt": float(attempt)}

    def pipeline_event(self, state, **more):
        return self.envelope("pipeline", self.detail("pipeline", state, self.attempt, **more))

    def stage_event(self, stage, state):
        more = {"stage": stage}
        if stage in self.retried:
            more["stage-last-retry-attempt-time"] = self.retried[stage]
        return self.envelope("stage", self.detail(stage, state, self.attempt if self.attempt > 1 else 0, **more))

    def action_event(self, stage, action, state, result=None):
        category = category_of(stage, action)
        identity = self.action_ids[stage, action]
        more = {"stage": stage, "action-execution-id": identity, "action": action, "region": self.region,
                "type": {"owner": "AWS", "provider": PROVIDERS[category], "category": category, "version": "1"}}
        if result:
            more["execution-result"] = result
        return self.envelope("action", self.detail(identity, state, self.attempt, **more))

    def start(self, **trigger):
        trigger = trigger or {"trigger-type": "StartPipelineExecution",
                              "trigger-detail": f"arn:aws:sts::{self.account}:assumed-role/Deployer/mina"}
        return [self.pipeline_event("STARTED", **{"execution-trigger": trigger})]

    def start_action(self, stage, action):
        self.action_ids[stage, action] = self.uuid()
        self.pass_time(0.3)
        return [self.action_event(stage, action, "STARTED")]

    def end_action(self, stage, action, state="SUCCEEDED", summary=None, error="JobFailed"):
        self.pass_time()
        identity = self.random.randrange(10 ** 9)
        result = {"external-execution-url": f"https://{self.region}.console.aws.amazon.com/builds/{identity}",
                  "external-execution-summary": summary or ("Done" if state == "SUCCEEDED" else f"{action} stopped with exit status 1"),
                  "external-execution-id": str(identity)}
        if state == "FAILED":
            result["error-code"] = error
        if state == "SUCCEEDED":
            self.ended.add((stage, action))
        return [self.action_event(stage, action, state, result)]

    def run_stage(self, stage, failing=(), summary=None):
        """From STARTED to the stage's end. `failing` names the actions that fail; the others succeed, each one in turn."""
        self.pass_time(0.4)
        events = [self.stage_event(stage, "STARTED")]
        events += self.run_actions(stage, failing, summary)
        return events

    def run_actions(self, stage, failing, summary):
        events = []
        for action in dict(self.stages)[stage]:
            if (stage, action) in self.ended:
                continue
            events += self.start_action(stage, action)
            events += self.end_action(stage, action, "FAILED" if action in failing else "SUCCEEDED", summary if action in failing else None)
        self.pass_time(0.2)
        return events + [self.stage_event(stage, "FAILED" if failing else "SUCCEEDED")]

    def finish(self, state="SUCCEEDED"):
        self.pass_time(0.2)
        return [self.pipeline_event(state)]

    def succeed(self):
        """The whole stream of an execution in which nothing goes wrong."""
        events = self.start()
        for stage, _ in self.stages:
            events += self.run_stage(stage)
        return events + self.finish()

    def fail(self, stage, action, summary=None):
        """Every stage before `stage` succeeds, then `action` in it fails, and so does the pipeline."""
        events = self.start()
        for name, _ in self.stages:
            if name == stage:
                return events + self.run_stage(name, failing=[action], summary=summary) + self.finish("FAILED")
            events += self.run_stage(name)
        raise ValueError(f"no stage {stage} in {self.stages}")

    def retry(self, stage):
        """RetryStageExecution for FAILED_ACTIONS: attempt + 1, RESUMED for the pipeline and the stage."""
        self.pass_time(30)
        self.attempt += 1
        self.retried[stage] = self.moment()
        return [self.pipeline_event("RESUMED", **{"last-retry-attempt-time": self.moment()}), self.stage_event(stage, "RESUMED")]

    def resume(self, stage, failing=(), summary=None):
        """What follows a retry: the failed actions again, then the stages after it, up to the pipeline's end."""
        events = self.run_actions(stage, failing, summary)
        if failing:
            return events + self.finish("FAILED")
        names = [name for name, _ in self.stages]
        for name in names[names.index(stage) + 1:]:
            events += self.run_stage(name)
        return events + self.finish()
