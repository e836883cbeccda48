"""A full disk: the data folder lies on a small tmpfs of its own, and a file beside it takes what room is left. Needs root, to mount it.

New events are refused with 503 and Retry-After; reads and deliveries go on, from the room kept for outcomes; a crash and a restart change
nothing; and when there is room again, so do events.
"""
import json
import os
import pathlib
import subprocess
import tempfile
import threading
import unittest

from codepipeline_events import Execution
from sinks import WebhookSink
from waybill import BINARY, Waybill, eventually

MIB = 1 << 20
CONFIG = """
log: {{segment_bytes: 4MiB, reserve_bytes: 2MiB, compress: false}}
targets: {{devops: {{type: webhook, url: "{hook}"}}}}
delivery: {{backoff_first: 200ms, backoff_max: 200ms}}
"""


@unittest.skipUnless(os.geteuid() == 0, "mounting a small disk needs root")
class DiskFull(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.disk = pathlib.Path(folder.name) / "disk"
        self.disk.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "waybill-test", self.disk], capture_output=True, text=True)
        if mounted.returncode:
            self.skipTest("a tmpfs cannot be mounted here: " + mounted.stderr.strip())
        self.addCleanup(subprocess.run, ["umount", "--lazy", self.disk], check=True)
        self.ballast = self.disk / "ballast"
        self.open = threading.Event()      # until then the receiver takes nothing
        self.hook = WebhookSink(lambda _: 200 if self.open.is_set() else 503)
        self.addCleanup(self.hook.close)
        self.server = Waybill(CONFIG.format(hook=self.hook.url), folder=self.disk)
        self.server.log_path = pathlib.Path(folder.name) / "waybill.log"
        self.addCleanup(self.server.close)
        self.server.start()
        self.acknowledged, self.number = [], 0

    def fill(self):
        with open(self.ballast, "ab", buffering=0) as file:
            for piece in (MIB, 4096):
                try:
                    while True:
                        file.write(b"x" * piece)
                except OSError:
                    pass

    def run_of_events(self):
        self.number += 1
        return Execution(f"pipeline-{self.number}", [("Source", ["Checkout"])], seed=self.number)

    def post(self):
        """One execution; whether it was taken. A refusal must be the right one."""
        run = self.run_of_events()
        events = run.succeed()
        answer = self.server.request("POST", "/events", events)
        if answer.status == 200:
            self.acknowledged.append((run.id, [e["id"] for e in events]))
            return True
        self.assertEqual((answer.status, answer.headers["Retry-After"]), (503, "1"), answer)
        self.assertEqual(answer.json["error"]["kind"], "overloaded", answer)
        self.assertIn("disk is full", answer.json["error"]["message"])
        return False

    def fill_up(self):
        """Fills the disk, then posts until the server takes no more."""
        big = {"version": "0", "source": "test", "detail-type": "big", "account": "123456789012", "time": "2026-03-02T09:00:00Z", "region": "us-east-1", "resources": [],
               "detail": {"text": "x" * (200 << 10)}}
        for number in range(1000):
            self.fill()
            answer = self.server.request("POST", "/events", dict(big, id=f"big-{number}"))
            if answer.status == 503:
                return
            self.assertEqual(answer.status, 200, answer)
        self.fail("200 MB went onto a disk of 64 MB")

    def test_events_wait_and_everything_else_goes_on(self):
        for _ in range(20):
            self.assertTrue(self.post())
        self.fill_up()
        self.assertFalse(self.post())
        put = {"Entries": [{"Source": "test", "DetailType": "t", "Detail": "{}"}]}
        answer = self.server.request("POST", "/", json.dumps(put), {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "AWSEvents.PutEvents"})
        self.assertEqual((answer.status, answer.headers["Retry-After"]), (503, "1"), answer)
        health = self.server.request("GET", "/api/v1/health").json
        self.assertEqual((health["status"], health["acceptingEvents"]), ("degraded", False), health)

        self.reads_and_deliveries_go_on()

        self.ballast.unlink()
        eventually(self.post)
        self.assertTrue(eventually(lambda: self.server.request("GET", "/api/v1/health").json["acceptingEvents"]))
        for _ in range(20):
            self.assertTrue(self.post())
        self.nothing_is_lost()

    def test_a_crash_on_a_full_disk(self):
        for _ in range(20):
            self.assertTrue(self.post())
        self.fill_up()
        self.fill()
        self.server.kill()
        self.fill()
        self.server.start()
        eventually(lambda: not self.post())
        self.reads_and_deliveries_go_on()
        self.server.kill()
        self.ballast.unlink()
        self.server.start()
        eventually(self.post)
        self.nothing_is_lost()

    def reads_and_deliveries_go_on(self):
        for identity, _ in self.acknowledged:
            self.assertEqual(self.server.get(f"/api/v1/executions/{identity}")["status"], "Succeeded")
        self.open.set()
        self.hook.wait_for(20, lambda arrival: arrival.json["executionId"] in {identity for identity, _ in self.acknowledged})
        eventually(lambda: self.server.request("GET", "/api/v1/health").json["pendingDeliveries"], lambda pending: pending == 0)

    def nothing_is_lost(self):
        found, cursor = set(), ""
        while cursor is not None:
            answer = self.server.get("/api/v1/events", limit=1000, source="aws.codepipeline", **({"cursor": cursor} if cursor else {}))
            found |= {e["event"]["id"] for e in answer["events"]}
            cursor = answer["nextCursor"]
        self.assertEqual({i for _, ids in self.acknowledged for i in ids} - found, set())
        eventually(lambda: self.server.get("/api/v1/deliveries", status="delivered", limit=1000)["deliveries"], lambda d: len(d) == len(self.acknowledged))
        self.assertEqual(self.server.stop(), 0)
        verified = subprocess.run([BINARY, "log", "verify", "--data", self.server.data], capture_output=True, text=True, timeout=300)
        self.assertEqual(verified.returncode, 0, verified.stdout + verified.stderr)


if __name__ == "__main__":
    unittest.main()
