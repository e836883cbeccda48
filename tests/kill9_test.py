"""The real program under load, killed at random moments and restarted on the same data folder; then everything it promised is looked for.

Several clients post shuffled, repeated, believable events (POST /events and PutEvents) while a webhook receiver is slow, fails or hangs
up, and so is a mail relay. WAYBILL_KILL9_ROUNDS says how often it is killed (5), WAYBILL_KILL9_SEED repeats what the clients send; the
moments of the kills fall where they fall. What must hold afterwards:

- every acknowledged event is in the list of events, and nothing else is but what was sent;
- each execution is what tests/lib/model.py makes of the events that are there, and the messages are those it derives from their order;
- each delivery was planned once for its key, has ended, and the receiver saw its key; whoever may have seen one twice was told so;
- a mail's repeats have one Message-ID; the log verifies.
"""
import collections
import http.client
import json
import os
import queue
import random
import subprocess
import threading
import time
import unittest

import model
from codepipeline_events import Execution
from sinks import CodePipelineFake, SmtpSink, WebhookSink
from waybill import BINARY, Waybill, eventually, request

ROUNDS = int(os.environ.get("WAYBILL_KILL9_ROUNDS", 5))
SEED = int(os.environ.get("WAYBILL_KILL9_SEED", random.SystemRandom().randrange(10 ** 9)))
CLIENTS = 4
PUT_ACCOUNT = "000000000000"   # the events of PutEvents belong to the server's own account

CONFIG = """
account: "{account}"
events: {{allow_aws_sources: true}}
log: {{segment_bytes: 4MiB, reserve_bytes: 64KiB}}
tracking: {{linger: 1s}}
policy: {{team: [mail, hook], wait_for_cause: 1s, retry: {{wait: 1s}}}}
targets:
  mail: {{type: mail, to: [devops@example.com], concurrency: 8}}
  hook: {{type: webhook, url: "{hook}", timeout: 1s, concurrency: 8}}
mail: {{relay: "{relay}", require_tls: false}}
delivery: {{backoff_first: 20ms, backoff_max: 200ms}}
codepipeline: [{{url: "{codepipeline}", access_key_id: AKIDEXAMPLE, secret_access_key: secret}}]
"""


def life(rng, number, account):
    """All events of one believable execution, alone in its pipeline, in true order."""
    stages = [("Source", ["Checkout"]), ("Build", ["Compile", "Lint"]), ("Deploy", ["Roll out"])]
    run = Execution(f"pipeline-{number}", stages, seed=rng.random(), account=account)
    kind = rng.choice(["succeed", "succeed", "fail", "retried", "retried twice", "stopped", "superseded", "running"])
    if kind == "succeed":
        return run.succeed()
    if kind in ("fail", "retried", "retried twice"):
        events = run.fail("Build", rng.choice(["Compile", "Lint"]))
        if kind == "retried twice":
            events += run.retry("Build") + run.resume("Build", failing=["Compile", "Lint"])
        return events + (run.retry("Build") + run.resume("Build") if kind != "fail" else [])
    events = run.start() + run.run_stage("Source")
    if kind == "stopped":
        events += [run.stage_event("Build", "STARTED"), run.pipeline_event("STOPPING"), run.stage_event("Build", "STOPPING"), run.stage_event("Build", "STOPPED")]
        return events + run.finish("STOPPED")
    return events + (run.finish("SUPERSEDED") if kind == "superseded" else [])


def meaning(event):
    return json.dumps([event["detail-type"], event["time"], event["detail"]], sort_keys=True)


class Client(threading.Thread):
    """Posts batches without end, waits for each answer, and keeps what it knows of them. Batches without an answer are sent again."""

    def __init__(self, test, number):
        super().__init__(daemon=True)
        self.test, self.rng, self.put_events = test, random.Random(f"{SEED}/{number}"), number % 2 == 1
        self.number, self.executions = number, 0
        self.acknowledged, self.sent, self.meanings = set(), {}, set()   # ids, envelopes by id; what PutEvents said, in whatever envelope
        self.again = collections.deque()
        self.batches = self.make_batches()

    def make_batches(self):
        while True:
            events = []
            for _ in range(self.rng.randrange(2, 10)):
                self.executions += 1
                events += life(self.rng, f"{self.number}-{self.executions}", PUT_ACCOUNT if self.put_events else "123456789012")
            events += self.rng.sample(events, len(events) // 5)
            for at in range(len(events)):   # mostly in order, some far from their place
                reach = self.rng.choice([0, 0, 1, 3, 30])
                other = min(len(events) - 1, at + self.rng.randrange(reach + 1))
                events[at], events[other] = events[other], events[at]
            while events:
                size = self.rng.randrange(1, 11 if self.put_events else 40)
                yield events[:size]
                events = events[size:]

    def run(self):
        while not self.test.over.is_set():
            address = self.test.address
            if address is None:
                time.sleep(0.01)
                continue
            batch = self.again.popleft() if self.again and self.rng.random() < 0.7 else next(self.batches)
            if not self.put_events:
                self.sent.update((e["id"], e) for e in batch)
            self.meanings.update(map(meaning, batch))
            try:
                if not (self.put(address, batch) if self.put_events else self.post(address, batch)):
                    self.again.append(batch)
                    time.sleep(0.02)
            except (OSError, ValueError, EOFError, http.client.HTTPException):
                self.again.append(batch)   # not known whether they were taken

    def post(self, address, batch):
        answer = request("POST", address + "/events", batch)
        if answer.status == 200 and answer.json["refused"] == 0:
            self.acknowledged.update(e["id"] for e in batch)
            return True
        self.test.assert_busy(answer)
        return False

    def put(self, address, batch):
        entries = [{"Source": e["source"], "DetailType": e["detail-type"], "Detail": json.dumps(e["detail"]), "Time": e["time"], "Resources": e["resources"]} for e in batch]
        answer = request("POST", address + "/", {"Entries": entries}, {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "AWSEvents.PutEvents"})
        if answer.status == 200 and answer.json["FailedEntryCount"] == 0:
            self.acknowledged.update(e["EventId"] for e in answer.json["Entries"])
            return True
        self.test.assert_busy(answer)
        return False


class Kill9(unittest.TestCase):
    maxDiff = None
    address = None

    def assert_busy(self, answer):
        if answer.status not in (500, 503):
            self.surprises.put(repr(answer))

    def pages(self, server, path, name, **query):
        """Every entry of a list, by its cursor."""
        found, cursor = [], {}
        while cursor is not None:
            answer = server.get(path, limit=1000, **query, **cursor)
            found += answer[name]
            cursor = {"cursor": answer["nextCursor"]} if answer["nextCursor"] else None
        return found

    def test_everything_promised_is_there(self):
        print(f"WAYBILL_KILL9_SEED={SEED} WAYBILL_KILL9_ROUNDS={ROUNDS}", flush=True)
        rng = random.Random(f"{SEED}/kills")
        self.surprises = queue.Queue()
        self.over = threading.Event()
        taken, lock = collections.Counter(), threading.Lock()   # by key, how often the receiver took it, or may have in Waybill's eyes

        def answer(arrival):
            what = rng.random()
            if what < 0.1:
                return 503
            if what < 0.15:
                time.sleep(rng.random() * 0.3)
            with lock:
                taken[arrival.headers["Idempotency-Key"]] += 1
            return None if what > 0.97 else 200

        relay = SmtpSink(answers=[rng.choice(["250 ok"] * 8 + ["451 later", ""]) for _ in range(100_000)])
        self.addCleanup(relay.close)
        hook = WebhookSink(answer)
        self.addCleanup(hook.close)
        fake = CodePipelineFake()
        self.addCleanup(fake.close)
        server = Waybill(CONFIG.format(account=PUT_ACCOUNT, hook=hook.url, relay=relay.url, codepipeline=fake.url))
        self.addCleanup(server.close)
        clients = [Client(self, number) for number in range(CLIENTS)]
        try:
            for number in range(ROUNDS):
                server.start()
                self.address = server.address
                if number == 0:
                    for client in clients:
                        client.start()
                time.sleep(rng.uniform(0.2, 2.5))
                server.kill()
                self.address = None
        finally:
            self.over.set()
            self.address = None
            for client in clients:
                if client.is_alive():
                    client.join()
        server.start()
        self.check(server, clients, taken, lock, relay, fake)

    def check(self, server, clients, taken, lock, relay, fake):
        self.assertTrue(self.surprises.empty(), self.surprises.queue)
        # A retry may be held for ever: its stage's other action began, and no client came to say how it ended.
        eventually(lambda: self.pages(server, "/api/v1/deliveries", "deliveries", status="pending"), lambda found: not found, seconds=600)
        eventually(lambda: [d for status in ("held", "in_flight", "pending") for d in self.pages(server, "/api/v1/deliveries", "deliveries", status=status)],
                   lambda found: all(d["status"] == "held" and d["kind"] == "retry" for d in found), seconds=600)
        deliveries = self.pages(server, "/api/v1/deliveries", "deliveries")

        # Events: all that were acknowledged, none that were not sent, each as it was sent.
        events = [e["event"] for e in self.pages(server, "/api/v1/events", "events")]
        acknowledged = set().union(*(c.acknowledged for c in clients))
        sent = {identity: e for c in clients for identity, e in c.sent.items()}
        meanings = set().union(*(c.meanings for c in clients))
        present = {e["id"] for e in events}
        self.assertEqual(acknowledged - present, set(), "acknowledged, and lost")
        self.assertGreater(len(acknowledged), 100)
        for event in events:
            if event["account"] == PUT_ACCOUNT:
                self.assertIn(meaning(event), meanings)
            else:
                self.assertEqual(event, sent[event["id"]])

        # Executions: what the model makes of the same events.
        arrived = collections.defaultdict(list)
        for event in events:
            arrived[event["detail"]["execution-id"]].append(event)
        planned = collections.defaultdict(list)
        for d in deliveries:
            planned[d["executionId"]].append(d)
        failing = set()
        for identity, own in arrived.items():
            truth = model.execution(own)
            answer = server.get(f"/api/v1/executions/{identity}")
            self.assertEqual(model.shown_alike(truth, answer), truth)
            notices = collections.Counter((d["topic"], d["stageName"], d["attempt"]) for d in planned[identity] if d["kind"] == "notify")
            self.assertEqual(notices, {notice: 2 for notice in model.notices(own)}, f"{identity}: each message once for mail and once for hook")
            states = {e["detail"]["state"] for e in own if model.scope(e) == "pipeline"}
            if "FAILED" in states and "SUCCEEDED" not in states:
                failing.add(identity)
            for stage in {d["stageName"] for d in planned[identity] if d["kind"] == "retry"}:
                attempts = [d["attempt"] for d in planned[identity] if d["kind"] == "retry" and d["stageName"] == stage]
                self.assertLessEqual(len(attempts), 2)
                self.assertEqual(len(set(attempts)), len(attempts))
        self.assertEqual(set(planned) - set(arrived), set())
        open_incidents = self.pages(server, "/api/v1/incidents", "incidents", status="open")
        self.assertEqual({i["firstExecutionId"] for i in open_incidents}, failing)

        # Deliveries: one a key, each made, with the truth about repeats.
        keys = collections.Counter(d["key"] for d in deliveries)
        self.assertEqual([key for key, n in keys.items() if n > 1], [])
        mails = collections.defaultdict(list)
        for mail in relay.arrivals.items:
            mails[str(mail.message["X-Waybill-Key"]).replace(" ", "")].append(mail)
        called = collections.Counter((c.parameters["pipelineExecutionId"], c.parameters["stageName"]) for c in fake.arrivals.items)
        with lock:
            repeats = 0
            for d in deliveries:
                if d["kind"] == "retry":
                    self.assertIn(d["status"], ("delivered", "cancelled", "held"), d)
                    if d["status"] == "delivered":
                        self.assertGreaterEqual(called[d["executionId"], d["stageName"]], 1, d)
                    continue
                self.assertEqual(d["status"], "delivered", d)
                seen = taken[d["key"]] if d["target"] == "hook" else len(mails[d["key"]])
                self.assertGreaterEqual(seen, 1, d)
                if seen > 1:
                    repeats += 1
                    self.assertTrue(d["possiblyTwice"], d)
                if d["target"] == "mail":
                    self.assertEqual(len({m.message["Message-ID"] for m in mails[d["key"]]}), 1, d)
            self.assertEqual(set(taken) - set(keys), set(), "a key that was never planned")
            self.assertEqual(set(mails) - set(keys), set(), "a key that was never planned")
        identities = {m.message["Message-ID"] for group in mails.values() for m in group}
        self.assertEqual(len(identities), len([d for d in deliveries if d["target"] == "mail"]))

        # The log itself, and that a restart finds the same again.
        self.assertEqual(server.stop(), 0)
        verified = subprocess.run([BINARY, "log", "verify", "--data", server.data], capture_output=True, text=True, timeout=300)
        self.assertEqual(verified.returncode, 0, verified.stdout + verified.stderr)
        server.start()
        self.assertEqual([(d["key"], d["status"]) for d in self.pages(server, "/api/v1/deliveries", "deliveries")], [(d["key"], d["status"]) for d in deliveries])
        print(f"{len(events)} events of {len(arrived)} executions, {len(acknowledged)} ids acknowledged, {len(deliveries)} deliveries, {repeats} possibly twice", flush=True)


if __name__ == "__main__":
    unittest.main()
