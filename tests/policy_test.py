"""What events cause, each rule on its own, in the real program with a mail relay, a webhook receiver and a CodePipeline beside it.

Every test uses a pipeline of its own on one shared server, so that none sees another's incidents. Waits are long where a test shows that
something ends a wait, and short where it shows that the wait itself ends; no test measures time.
"""
import itertools
import subprocess
import threading
import unittest

from codepipeline_events import Execution
from sinks import CodePipelineFake, SmtpSink, WebhookSink
from waybill import BINARY, Waybill, eventually

SECRET = "the-secret"
STAGES = [("Source", ["Checkout"]), ("Build", ["Compile", "Lint"]), ("Deploy", ["Roll out"])]
LONG = "10m"   # no test lasts so long: whatever ends such a wait did not do so because of the time
SHORT = "1s"

CONFIG = """
console_url: https://waybill.example.com
policy:
  team: [devops]
  success_targets: [news]
  notify_success: {notify_success}
  wait_for_cause: {wait_for_cause}
  retry: {{enabled: {retry}, wait: {retry_wait}, max: 2}}
  owners:
    - {{pipeline: "web-*", stage: "Build", targets: [builders]}}
    - {{pipeline: "web-*", stage: "De*", targets: [builders, audit]}}
targets:
  devops: {{type: mail, to: [devops@example.com]}}
  news: {{type: webhook, url: "{hook}"}}
  builders: {{type: webhook, url: "{hook}"}}
  audit: {{type: log}}
mail: {{relay: "{relay}", require_tls: false}}
delivery: {{backoff_first: 100ms, backoff_max: 200ms, max_attempts: 4}}
codepipeline:
  - {{account: "123456789012", region: us-east-1, url: "{codepipeline}", access_key_id: AKIDEXAMPLE, secret_access_key: {secret}}}
"""


class Outside(unittest.TestCase):
    """A server with everything around it; the subclasses say how it is configured."""
    settings = {}
    names = itertools.count(1)

    @classmethod
    def setUpClass(cls):
        cls.relay = SmtpSink()
        cls.addClassCleanup(cls.relay.close)
        cls.hook = WebhookSink()
        cls.addClassCleanup(cls.hook.close)
        cls.fake = CodePipelineFake(secret_access_key=SECRET)
        cls.addClassCleanup(cls.fake.close)
        settings = {"notify_success": "always", "wait_for_cause": LONG, "retry": "true", "retry_wait": LONG, **cls.settings}
        cls.server = Waybill(CONFIG.format(hook=cls.hook.url, relay=cls.relay.url, codepipeline=cls.fake.url, secret=SECRET, **settings))
        cls.addClassCleanup(cls.server.close)
        cls.server.start()

    def execution(self, prefix="orders", **options):
        options.setdefault("stages", STAGES)
        return Execution(options.pop("pipeline", None) or f"{prefix}-{next(self.names)}", **options)

    def put(self, events):
        answer = self.server.post_events(events)
        self.assertEqual(answer["refused"], 0, answer)
        return answer

    def deliveries(self, run, **query):
        return self.server.get("/api/v1/deliveries", executionId=run.id, limit=1000, **query)["deliveries"][::-1]

    def settled(self, run, count, **query):
        """The execution's deliveries, once there are so many and all have ended."""
        def done(found):
            return len(found) >= count and all(d["status"] in ("delivered", "dead", "cancelled") for d in found)
        found = eventually(lambda: self.deliveries(run, **query), done)
        self.assertEqual(len(found), count, found)
        return found

    def mails(self, run):
        return [mail for mail in list(self.relay.arrivals.items) if run.id in mail.text]

    def hooks(self, run):
        return [hook.json for hook in list(self.hook.arrivals.items) if hook.json["executionId"] == run.id]

    def calls(self, run):
        return [call for call in list(self.fake.arrivals.items) if call.parameters["pipelineExecutionId"] == run.id]

    def decisions(self, identity):
        """The receipt, as (policy line, verdict, reason); the command line must tell the same."""
        receipt = self.server.get(f"/api/v1/why/{identity}")
        told = subprocess.run([BINARY, "why", identity, "--url", self.server.address], capture_output=True, text=True, timeout=60)
        self.assertEqual(told.returncode, 0, told.stderr)
        for decision in receipt["decisions"]:
            self.assertIn(f"{decision['verdict']} ({decision['reason']})", told.stdout)
            self.assertIn(decision["text"][:40], told.stdout)
            for delivery in decision["deliveries"]:
                self.assertIn(delivery, told.stdout)
        return [(d["policy"].removeprefix("policy."), d["verdict"], d["reason"]) for d in receipt["decisions"]]

    def incidents(self, run):
        return self.server.get("/api/v1/incidents", pipeline=run.pipeline)["incidents"]


def without(events, scope, state=None):
    """The events of an execution without those of one scope, in one state."""
    return [e for e in events if not (f" {scope} " in e["detail-type"] and state in (None, e["detail"]["state"]))]


def only(events, scope, state=None):
    return [e for e in events if f" {scope} " in e["detail-type"] and state in (None, e["detail"]["state"])]


def later(run, **options):
    """The same pipeline's next execution."""
    return Execution(run.pipeline, run.stages, seed=options.pop("seed", 2), start=run.now, **options)


class Failures(Outside):
    """Waits that do not end by themselves while a test runs."""

    def test_a_failed_pipeline_opens_an_incident_and_tells_the_team_urgently_with_the_cause(self):
        run = self.execution()
        self.put(run.fail("Build", "Compile", summary="exit status 42"))
        told = self.settled(run, 2, kind="notify")
        urgent, = [d for d in told if d["topic"] == "pipeline_failed"]
        self.assertEqual((urgent["urgent"], urgent["target"], urgent["attempts"], urgent["possiblyTwice"]), (True, "devops", 1, False))
        incident, = self.incidents(run)
        self.assertEqual((incident["status"], incident["firstExecutionId"]), ("open", run.id))
        mail, = [m for m in self.mails(run) if m.subject.startswith("[Waybill] FAILED: pipeline")]
        self.assertEqual(mail.subject, f"[Waybill] FAILED: pipeline {run.pipeline} at Build/Compile")
        for told in ("exit status 42", "JobFailed", "https://us-east-1.console.aws.amazon.com/builds/", f"https://waybill.example.com/executions/{run.id}"):
            self.assertIn(told, mail.text)
        self.assertEqual(mail.message["Importance"], "high")
        cause = self.server.get(f"/api/v1/incidents/{incident['incidentId']}")["cause"]
        self.assertEqual((cause["stageName"], cause["actionName"], cause["errorCode"], cause["summary"]), ("Build", "Compile", "JobFailed", "exit status 42"))
        self.assertIn(("pipeline_failed", "planned", "incident_opened"), self.decisions(run.id))
        self.assertIn(("pipeline_failed", "planned", "incident_opened"), self.decisions(incident["incidentId"]))
        self.assertEqual(self.decisions(urgent["deliveryId"])[0], ("pipeline_failed", "planned", "incident_opened"))

    def test_the_incident_opens_at_once_and_its_message_waits_for_the_cause(self):
        run = self.execution()
        events = run.fail("Build", "Lint", summary="two warnings")
        cause = only(events, "Action", "FAILED")
        self.put(e for e in events if e not in cause)
        self.assertEqual([i["status"] for i in self.incidents(run)], ["open"])
        held = self.deliveries(run)
        self.assertEqual({d["topic"]: d["status"] for d in held}, {"pipeline_failed": "held", "stage_failed": "held"})
        self.assertEqual(self.mails(run), [])
        self.put(cause)
        eventually(lambda: self.deliveries(run, kind="notify"), lambda found: all(d["status"] == "delivered" for d in found))
        mails = self.mails(run)
        self.assertEqual(len(mails), 2)
        for mail in mails:
            self.assertIn("two warnings", mail.text)
        self.assertIn(("pipeline_failed", "released", "cause_arrived"), self.decisions(run.id))

    def test_further_failures_join_and_a_newer_success_resolves(self):
        first = self.execution()
        self.put(first.fail("Build", "Compile"))
        second = later(first)
        self.put(second.fail("Deploy", "Roll out"))
        incident, = self.incidents(first)
        self.assertEqual([e["executionId"] for e in incident["executions"]], [first.id, second.id])
        self.assertIn(("pipeline_failed", "planned", "incident_joined"), self.decisions(second.id))
        joined, = [d for d in self.deliveries(second) if d["topic"] == "pipeline_failed"]
        joined, = [d for d in self.settled(second, 2, kind="notify") if d["topic"] == "pipeline_failed"]
        self.assertEqual(len([m for m in self.mails(second) if f"so far: 2 ({incident['incidentId']})" in m.text]), 1)
        third = later(second, seed=3)
        self.put(third.succeed())
        incident, = self.incidents(first)
        self.assertEqual((incident["status"], incident["resolvedBy"]), ("resolved", third.id))
        self.assertEqual(self.decisions(third.id), [("pipeline_succeeded", "planned", "recovery_told")])
        self.settled(third, 1)
        notice, = self.hooks(third)
        self.assertIn("has recovered", notice["subject"])
        self.assertEqual(notice["incident"]["incidentId"], incident["incidentId"])

    def test_an_older_success_resolves_nothing_and_a_failure_older_than_a_success_opens_nothing(self):
        old, new = self.execution(), None
        old_events = old.fail("Build", "Compile")
        new = later(old)
        self.put(new.succeed())
        self.put(old_events)
        self.assertEqual(self.incidents(old), [i for i in self.incidents(old) if i["status"] == "resolved"])
        self.assertEqual(self.decisions(old.id), [("action_failed", "nothing", "newer_success"), ("stage_failed", "nothing", "newer_success"),
                                                  ("pipeline_failed", "nothing", "newer_success")])
        self.assertEqual(self.deliveries(old), [])
        failing, older = later(new, seed=3), later(new, seed=4)
        older_events = older.succeed()
        failing.now = older.now
        self.put(failing.fail("Build", "Compile"))
        self.put(older_events)
        self.assertEqual(self.incidents(failing)[0]["status"], "open")

    def test_a_success_is_told_once_and_stages_and_actions_that_succeed_send_nothing(self):
        run = self.execution()
        events = run.succeed()
        self.put(events[:-1])
        self.assertEqual((self.deliveries(run), self.decisions(run.id)), ([], []))
        self.put(events[-1:])
        told, = self.settled(run, 1)
        self.assertEqual((told["topic"], told["target"], told["urgent"]), ("pipeline_succeeded", "news", False))
        self.assertEqual(self.decisions(run.id), [("pipeline_succeeded", "planned", "success_told")])
        # Nor does the execution say it a second time when a stage of it was run again.
        self.put(run.retry("Deploy") + run.finish())
        self.assertEqual(len(self.deliveries(run)), 1)
        self.assertEqual(self.decisions(run.id)[-1], ("pipeline_succeeded", "nothing", "already_told"))

    def test_the_owner_of_a_stage_is_told_and_the_team_where_none_matches(self):
        for stage, action, targets in (("Build", "Compile", ["builders"]), ("Deploy", "Roll out", ["audit", "builders"]), ("Source", "Checkout", ["devops"])):
            with self.subTest(stage=stage):
                run = self.execution("web")
                self.put(run.fail(stage, action, summary=f"what {run.pipeline} said"))
                found = [d for d in self.deliveries(run) if d["topic"] == "stage_failed"]
                self.assertEqual(sorted(d["target"] for d in found), targets)
                self.assertEqual({(d["stageName"], d["urgent"]) for d in found}, {(stage, False)})
                reason = "team_told" if targets == ["devops"] else "owner_told"
                self.assertIn(("stage_failed", "planned", reason), self.decisions(run.id))
                eventually(lambda r=run: self.deliveries(r, kind="notify"), lambda f: all(d["status"] == "delivered" for d in f))
                if "builders" in targets:
                    hook, = self.hooks(run)
                    self.assertEqual((hook["topic"], hook["stageName"]), ("stage_failed", stage))
                    self.assertIn(f"what {run.pipeline} said", hook["message"])
                if "audit" in targets:
                    line, = eventually(lambda r=run: [l for l in self.server.log().splitlines() if " notify " in l and r.id in l])
                    for told in (f'stage="{stage}"', f'action="{action}"', 'error_code="JobFailed"', f'summary="what {run.pipeline} said"'):
                        self.assertIn(told, line)

    def test_a_failed_action_is_recorded_with_error_code_summary_and_link(self):
        run = self.execution()
        events = run.fail("Build", "Compile", summary="linker: out of memory")
        self.put(events)
        result = only(events, "Action", "FAILED")[0]["detail"]["execution-result"]
        stage, = [s for s in self.server.get(f"/api/v1/executions/{run.id}")["stages"] if s["stageName"] == "Build"]
        action, = [a for a in stage["actions"] if a["actionName"] == "Compile"]
        self.assertEqual((action["status"], action["errorCode"], action["externalExecutionSummary"], action["externalExecutionUrl"]),
                         ("Failed", "JobFailed", "linker: out of memory", result["external-execution-url"]))
        line = next(l for l in self.server.log().splitlines() if " decision " in l and run.id in l and "policy.action_failed" in l)
        for told in ('stage="Build"', 'action="Compile"', "verdict=planned", "reason=retry_planned"):
            self.assertIn(told, line)

    def test_duplicates_late_and_shuffled_events_send_nothing_more(self):
        run = self.execution("web")
        events = run.fail("Build", "Compile")
        self.put(events)
        before = eventually(lambda: self.deliveries(run), lambda f: all(d["status"] == "delivered" for d in f if d["kind"] == "notify"))
        arrived = len(self.mails(run)), len(self.hooks(run))
        receipt = self.decisions(run.id)
        said_again = [dict(e, id=run.uuid()) for e in events]         # the same meaning under new ids
        self.put(events[::-1] + said_again + events)
        self.assertEqual(self.decisions(run.id), receipt)
        self.assertEqual([d["deliveryId"] for d in self.deliveries(run)], [d["deliveryId"] for d in before])
        outcomes = [e["outcome"] for e in self.server.get(f"/api/v1/executions/{run.id}/events")["events"]]
        self.assertEqual((outcomes.count("accepted"), outcomes.count("duplicate")), (len(events), 3 * len(events)))
        self.assertEqual((len(self.mails(run)), len(self.hooks(run))), arrived)

    def test_a_failure_that_the_state_has_passed_is_kept_and_tells_nobody(self):
        run = self.execution("web")
        events = run.fail("Build", "Compile")
        late = only(events, "Stage", "FAILED") + only(events, "Pipeline", "FAILED")
        self.put([e for e in events if e not in late] + run.retry("Build"))
        self.put(late)
        self.assertEqual([d["topic"] for d in self.deliveries(run)], ["action_failed"])
        self.assertEqual([line for line, _, _ in self.decisions(run.id)], ["action_failed", "action_failed"])  # the retry, and that a person was first
        outcomes = {(e["scope"], e["state"]): e["outcome"] for e in self.server.get(f"/api/v1/executions/{run.id}/events")["events"]}
        self.assertEqual((outcomes["stage", "FAILED"], outcomes["pipeline", "FAILED"]), ("late", "late"))

    def test_the_last_event_first(self):
        run = self.execution("web")
        events = run.fail("Build", "Compile", summary="in reverse")
        self.put(events[::-1])
        found = eventually(lambda: self.deliveries(run), lambda f: all(d["status"] == "delivered" for d in f if d["kind"] == "notify"))
        self.assertEqual(sorted(d["topic"] for d in found), ["action_failed", "pipeline_failed", "stage_failed"])
        self.assertEqual(self.server.get(f"/api/v1/executions/{run.id}")["status"], "Failed")
        self.assertIn("in reverse", self.mails(run)[0].text)

    def test_what_is_not_a_failure_wakes_nobody(self):
        for state in ("SUPERSEDED", "STOPPED", "CANCELED"):
            with self.subTest(state=state):
                run = self.execution()
                events = run.start() + run.run_stage("Source")
                if state == "STOPPED":
                    events += [run.stage_event("Build", "STARTED"), run.pipeline_event("STOPPING", **{"stop-execution-comments": "enough"}),
                               run.stage_event("Build", "STOPPING"), run.stage_event("Build", "STOPPED")]
                self.put(events + run.finish(state))
                self.assertEqual((self.deliveries(run), self.incidents(run), self.decisions(run.id)), ([], [], []))

    def test_a_retried_execution_that_fails_again_is_told_once(self):
        run = self.execution("web")
        self.put(run.fail("Build", "Compile"))
        self.put(run.retry("Build") + run.resume("Build", failing=["Compile"]))
        told = [d for d in self.deliveries(run) if d["topic"] == "pipeline_failed"]
        self.assertEqual(len(told), 1)
        self.assertIn(("pipeline_failed", "nothing", "already_told"), self.decisions(run.id))
        self.assertEqual(sorted(d["attempt"] for d in self.deliveries(run) if d["topic"] == "stage_failed"), [1, 2])

    def test_a_person_that_retries_first_cancels_the_automatic_one(self):
        run = self.execution()
        self.put(run.fail("Build", "Compile"))
        retry, = self.deliveries(run, kind="retry")
        self.assertEqual((retry["status"], retry["stageName"], retry["attempt"]), ("pending", "Build", 1))
        self.put(run.retry("Build"))
        retry, = self.deliveries(run, kind="retry")
        self.assertEqual((retry["status"], retry["attempts"]), ("cancelled", 0))
        self.assertIn(("action_failed", "cancelled", "retried_by_person"), self.decisions(run.id))
        self.assertIn(("action_failed", "cancelled", "retried_by_person"), self.decisions(retry["deliveryId"]))
        self.assertEqual(self.calls(run), [])

    def test_a_stop_or_a_newer_execution_cancels_the_retry(self):
        for state in ("STOPPED", "SUPERSEDED", "CANCELED", "SUCCEEDED"):
            with self.subTest(state=state):
                run = self.execution()
                events = run.start() + run.run_stage("Source") + run.run_stage("Build", failing=["Compile"])
                self.put(events)
                self.assertEqual([d["status"] for d in self.deliveries(run, kind="retry")], ["pending"])
                self.put(run.finish(state))
                self.assertEqual([d["status"] for d in self.deliveries(run, kind="retry")], ["cancelled"])
                self.assertIn(("action_failed", "cancelled", "execution_ended"), self.decisions(run.id))

    def test_none_is_planned_for_executions_that_have_ended_otherwise(self):
        for state in ("STOPPED", "SUPERSEDED", "CANCELED"):
            with self.subTest(state=state):
                run = self.execution()
                events = run.start() + run.run_stage("Source") + run.run_stage("Build", failing=["Compile"])
                cause = only(events, "Action", "FAILED")
                self.put([e for e in events if e not in cause] + run.finish(state))
                self.put(cause)
                self.assertEqual(self.deliveries(run, kind="retry"), [])
                self.assertIn(("action_failed", "nothing", "execution_ended"), self.decisions(run.id))

    def test_a_rejected_approval_is_told_and_not_retried(self):
        run = self.execution(stages=[("Source", ["Checkout"]), ("Gate", ["Approval"]), ("Deploy", ["Roll out"])])
        self.put(run.fail("Gate", "Approval", summary="not today"))
        found = eventually(lambda: self.deliveries(run), lambda f: all(d["status"] == "delivered" for d in f))
        self.assertEqual({d["kind"] for d in found}, {"notify"})
        self.assertIn(("action_failed", "nothing", "retry_approval"), self.decisions(run.id))

    def test_several_failed_actions_of_one_attempt_plan_one_retry(self):
        run = self.execution()
        self.put(run.start() + run.run_stage("Source") + run.run_stage("Build", failing=["Compile", "Lint"]) + run.finish("FAILED"))
        self.assertEqual(len(self.deliveries(run, kind="retry")), 1)
        self.assertIn(("action_failed", "nothing", "retry_already_planned"), self.decisions(run.id))

    def test_a_failure_of_an_attempt_that_has_passed_is_not_retried(self):
        run = self.execution()
        events = run.fail("Build", "Compile")
        cause = only(events, "Action", "FAILED")
        self.put([e for e in events if e not in cause] + run.retry("Build"))
        self.put(cause)
        self.assertEqual(self.deliveries(run, kind="retry"), [])
        self.assertIn(("action_failed", "nothing", "retry_not_current"), self.decisions(run.id))

    def test_without_an_endpoint_for_account_and_region_the_receipt_says_so(self):
        for place in ({"region": "eu-west-1"}, {"account": "999999999999"}):
            with self.subTest(**place):
                run = self.execution(**place)
                self.put(run.fail("Build", "Compile"))
                self.assertEqual(self.deliveries(run, kind="retry"), [])
                self.assertIn(("action_failed", "nothing", "no_endpoint"), self.decisions(run.id))

    def test_an_unknown_id_has_no_receipt(self):
        for identity in ("inc-nobody", "d-99999999-0", "11111111-2222-3333-4444-555555555555"):
            with self.subTest(identity=identity):
                self.server.get(f"/api/v1/why/{identity}", expect=404)


class Waits(Outside):
    """Waits that end by themselves: the cause never comes, and retries are made."""
    settings = {"wait_for_cause": SHORT, "retry_wait": SHORT}

    def test_a_message_whose_cause_never_comes_goes_out_without_it(self):
        run = self.execution()
        self.put(without(run.fail("Build", "Compile", summary="never told"), "Action", "FAILED"))
        self.assertEqual({d["topic"] for d in self.settled(run, 2)}, {"pipeline_failed", "stage_failed"})
        self.assertEqual(len(self.mails(run)), 2)
        for mail in self.mails(run):
            self.assertNotIn("never told", mail.text)
            self.assertIn("Build", mail.text)

    def test_a_cause_after_its_message_sends_no_second_one(self):
        run = self.execution(region="eu-west-1")
        events = run.fail("Build", "Compile")
        cause = only(events, "Action", "FAILED")
        self.put(e for e in events if e not in cause)
        self.settled(run, 2)
        self.put(cause)
        self.assertEqual(len(self.settled(run, 2)), 2)
        self.assertEqual(len(self.mails(run)), 2)

    def test_a_retry_is_called_once_signed_and_with_failed_actions(self):
        run = self.execution()
        self.put(run.fail("Build", "Compile"))
        retry, = self.settled(run, 1, kind="retry")
        self.assertEqual((retry["status"], retry["attempts"], retry["stageName"], retry["attempt"]), ("delivered", 1, "Build", 1))
        call, = self.calls(run)
        self.assertTrue(call.signature_holds)
        self.assertEqual(call.parameters, {"pipelineName": run.pipeline, "stageName": "Build", "pipelineExecutionId": run.id, "retryMode": "FAILED_ACTIONS"})
        self.assertIn("/us-east-1/codepipeline/aws4_request", call.authorization)

    def test_at_most_two_retries_a_stage_execution(self):
        run = self.execution()
        self.put(run.fail("Build", "Compile"))
        for attempt in (1, 2, 3):
            self.settled(run, min(attempt, 2), kind="retry")
            self.put(run.retry("Build") + run.resume("Build", failing=["Compile"]))
        self.assertEqual([d["attempt"] for d in self.settled(run, 2, kind="retry")], [1, 2])
        self.assertEqual(len(self.calls(run)), 2)
        self.assertIn(("action_failed", "nothing", "retry_limit"), self.decisions(run.id))

    def test_refusals_of_aws_end_it_with_their_name(self):
        for code in ("StageNotRetryableException", "NotLatestPipelineExecutionException", "PipelineNotFoundException", "StageNotFoundException",
                     "AccessDeniedException", "ValidationException"):
            with self.subTest(code=code):
                self.fake.outcomes.append(code)
                run = self.execution()
                self.put(run.fail("Build", "Compile"))
                retry, = self.settled(run, 1, kind="retry")
                self.assertEqual((retry["status"], retry["attempts"]), ("dead", 1))
                self.assertIn(code, retry["lastError"]["text"])
                self.assertIn(code, retry["reason"])
                self.assertEqual(len(self.calls(run)), 1)

    def test_trouble_that_may_pass_is_tried_again(self):
        self.fake.outcomes += [503, "ThrottlingException", None]
        run = self.execution()
        self.put(run.fail("Build", "Compile"))
        retry, = self.settled(run, 1, kind="retry")
        self.assertEqual((retry["status"], retry["attempts"], retry["possiblyTwice"]), ("delivered", 4, True))
        self.assertEqual(len(self.calls(run)), 4)
        said = [(h["outcome"], h["text"]) for h in self.server.get(f"/api/v1/deliveries/{retry['deliveryId']}")["history"] if h["outcome"] != "started"]
        self.assertEqual([outcome for outcome, _ in said][-4:], ["retry", "retry", "unknown", "ok"])

    def test_a_retry_whose_attempt_has_passed_while_it_was_under_way_is_not_repeated(self):
        for state, reason in (("RESUMED", "retried_by_person"), ("STOPPED", "execution_ended")):
            with self.subTest(state=state):
                gate = threading.Event()
                self.addCleanup(gate.set)
                self.fake.outcomes.append(lambda g=gate: (g.wait(120), 503)[1])
                run = self.execution()
                self.put(run.start() + run.run_stage("Source") + run.run_stage("Build", failing=["Compile"]))
                eventually(lambda r=run: self.deliveries(r, kind="retry"), lambda found: [d["status"] for d in found] == ["in_flight"])
                self.put(run.retry("Build") if state == "RESUMED" else run.finish(state))
                gate.set()
                retry, = self.settled(run, 1, kind="retry")
                self.assertEqual((retry["status"], retry["attempts"], len(self.calls(run))), ("cancelled", 1, 1))
                self.assertIn(("action_failed", "cancelled", reason), self.decisions(run.id))

    def test_a_retry_that_fails_to_the_end_is_dead_and_can_be_redriven(self):
        self.fake.outcomes += [500] * 4
        run = self.execution()
        self.put(run.fail("Build", "Compile"))
        retry, = self.settled(run, 1, kind="retry")
        self.assertEqual((retry["status"], retry["attempts"]), ("dead", 4))
        self.assertIn("delivery.max_attempts", retry["reason"])
        self.server.post(f"/api/v1/deliveries/{retry['deliveryId']}/redrive", expect=202)
        eventually(lambda: self.deliveries(run, kind="retry")[0]["status"], lambda status: status == "delivered")
        self.assertEqual(len(self.calls(run)), 5)


class NotRetried(Outside):
    settings = {"retry": "false", "notify_success": "never"}

    def test_no_retry_and_no_news_when_both_are_off(self):
        run = self.execution()
        self.put(run.fail("Build", "Compile"))
        self.assertEqual(self.deliveries(run, kind="retry"), [])
        self.assertIn(("action_failed", "nothing", "retry_off"), self.decisions(run.id))
        after = later(run)
        self.put(after.succeed())
        self.assertEqual(self.deliveries(after), [])
        self.assertEqual(self.decisions(after.id), [("pipeline_succeeded", "nothing", "notify_success_never")])


class Recoveries(Outside):
    settings = {"notify_success": "recovery"}

    def test_only_the_first_success_after_a_failure_is_told(self):
        run = self.execution()
        self.put(run.succeed())
        self.assertEqual(self.decisions(run.id), [("pipeline_succeeded", "nothing", "not_a_recovery")])
        failed = later(run)
        self.put(failed.fail("Build", "Compile"))
        recovered = later(failed, seed=3)
        self.put(recovered.succeed())
        self.assertEqual(self.decisions(recovered.id), [("pipeline_succeeded", "planned", "recovery_told")])
        self.settled(recovered, 1)
        after = later(recovered, seed=4)
        self.put(after.succeed())
        self.assertEqual(self.decisions(after.id), [("pipeline_succeeded", "nothing", "not_a_recovery")])

    def test_an_execution_that_recovers_by_its_own_retry_resolves_its_incident(self):
        run = self.execution()
        self.put(run.fail("Build", "Compile"))
        self.put(run.retry("Build") + run.resume("Build"))
        self.assertEqual(self.decisions(run.id)[-1], ("pipeline_succeeded", "planned", "recovery_told"))
        incident, = self.incidents(run)
        self.assertEqual((incident["status"], incident["resolvedBy"]), ("resolved", run.id))


if __name__ == "__main__":
    unittest.main()
