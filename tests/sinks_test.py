"""The fakes and the event builder of tests/lib, held against clients and rules that are not ours."""
import collections
import smtplib
import unittest

import boto3
import botocore.config
import botocore.exceptions

from codepipeline_events import Execution
from sinks import CodePipelineFake, SmtpSink, WebhookSink
from waybill import request


def codepipeline(test, fake):
    client = boto3.client("codepipeline", endpoint_url=fake.url, region_name="eu-west-1", aws_access_key_id="AKIDEXAMPLE",
                          aws_secret_access_key="the-secret", config=botocore.config.Config(retries={"max_attempts": 0}))
    test.addCleanup(client.close)
    return client


RETRY = {"pipelineName": "orders", "stageName": "Build", "pipelineExecutionId": "e" * 36, "retryMode": "FAILED_ACTIONS"}


def check_stream(events):
    """What is wrong with a stream in true order: ids that repeat, time that runs back, a start that moves, an end without a start."""
    wrong = []
    if len({e["id"] for e in events}) != len(events):
        wrong.append("an event id repeats")
    if [e["time"] for e in events] != sorted(e["time"] for e in events):
        wrong.append("time runs back")
    starts, running = {}, set()
    for event in events:
        detail = event["detail"]
        entity = detail.get("action-execution-id") or detail.get("stage") or "pipeline"
        if starts.setdefault(entity, detail["start-time"]) != detail["start-time"]:
            wrong.append(f"the start of {entity} moves")
        if detail["state"] in ("STARTED", "RESUMED"):
            running.add(entity)
        elif entity not in running:
            wrong.append(f"{entity} ends without a start")
        else:
            running.remove(entity)
    return wrong + [f"{entity} has no end" for entity in sorted(running)]


class CodePipelineFakeTest(unittest.TestCase):
    def test_a_real_client_is_answered_and_its_signature_holds(self):
        with CodePipelineFake(secret_access_key="the-secret") as fake:
            answer = codepipeline(self, fake).retry_stage_execution(**RETRY)
            self.assertEqual(answer["pipelineExecutionId"], RETRY["pipelineExecutionId"])
            call, = fake.wait_for(1)
            self.assertTrue(call.signature_holds)
            self.assertEqual(call.parameters, RETRY)

    def test_a_wrong_key_is_refused(self):
        with CodePipelineFake(secret_access_key="another") as fake:
            with self.assertRaises(botocore.exceptions.ClientError) as refusal:
                codepipeline(self, fake).retry_stage_execution(**RETRY)
            self.assertEqual(refusal.exception.response["Error"]["Code"], "InvalidSignatureException")

    def test_an_error_is_one_that_clients_know(self):
        with CodePipelineFake(["StageNotRetryableException"]) as fake:
            client = codepipeline(self, fake)
            with self.assertRaises(client.exceptions.StageNotRetryableException):
                client.retry_stage_execution(**RETRY)
            client.retry_stage_execution(**RETRY)
            self.assertEqual([c.outcome for c in fake.wait_for(2)], ["StageNotRetryableException", "ok"])


class WebhookSinkTest(unittest.TestCase):
    def test_answers_in_turn_and_keeps_what_came(self):
        with WebhookSink([503, (429, {"Retry-After": "2"}, b"slow down")]) as hook:
            answers = [request("POST", hook.url, {"n": n}) for n in range(3)]
            self.assertEqual([a.status for a in answers], [503, 429, 200])
            self.assertEqual(answers[1].headers["Retry-After"], "2")
            self.assertEqual([a.json["n"] for a in hook.wait_for(3)], [0, 1, 2])


class SmtpSinkTest(unittest.TestCase):
    def test_takes_and_refuses_as_told(self):
        with SmtpSink(["451 4.3.0 later"]) as relay:
            with smtplib.SMTP("127.0.0.1", relay.port) as client:
                text = "Subject: Pipeline orders failed\r\n\r\n.a line with a dot\r\n"
                with self.assertRaises(smtplib.SMTPDataError):
                    client.sendmail("waybill@test", ["a@test"], text)
                client.sendmail("waybill@test", ["a@test", "b@test"], text)
            mail, = relay.wait_for(1)
            self.assertEqual(mail.recipients, ["a@test", "b@test"])
            self.assertEqual(mail.subject, "Pipeline orders failed")
            self.assertEqual(mail.text, ".a line with a dot\n")
            self.assertEqual(len(relay.arrivals.items), 1)


class EventsTest(unittest.TestCase):
    STAGES = [("Source", ["Checkout"]), ("Build", ["Compile", "Lint"]), ("Deploy", ["Roll out"])]

    def test_streams_are_complete(self):
        run = Execution(stages=self.STAGES)
        events = run.succeed()
        states = collections.Counter((e["detail-type"].split()[1], e["detail"]["state"]) for e in events)
        self.assertEqual(states, {("Pipeline", "STARTED"): 1, ("Pipeline", "SUCCEEDED"): 1, ("Stage", "STARTED"): 3,
                                  ("Stage", "SUCCEEDED"): 3, ("Action", "STARTED"): 4, ("Action", "SUCCEEDED"): 4})
        self.assertEqual(check_stream(events), [])
        self.assertEqual(events, Execution(stages=self.STAGES).succeed())
        self.assertNotEqual(events, Execution(stages=self.STAGES, seed=2).succeed())

    def test_a_retry_runs_only_what_had_failed(self):
        run = Execution(stages=self.STAGES)
        events = run.fail("Build", "Lint") + run.retry("Build") + run.resume("Build")
        self.assertEqual(check_stream(events), [])
        again = [e["detail"] for e in events if e["detail"]["pipeline-execution-attempt"] == 2.0]
        self.assertEqual([d["state"] for d in again if "stage" not in d], ["RESUMED", "SUCCEEDED"])
        self.assertEqual([d["action"] for d in again if d["state"] == "STARTED" and "action" in d], ["Lint", "Roll out"])
        lint = [d["action-execution-id"] for e in events for d in [e["detail"]] if d.get("action") == "Lint"]
        self.assertEqual(len(set(lint)), 2)


if __name__ == "__main__":
    unittest.main()
