"""What can be done to a data folder: rebuild, backup beside a running server, retention, a damaged log, restarts from a snapshot."""
import contextlib
import pathlib
import random
import re
import shutil
import sqlite3
import subprocess
import tempfile
import threading
import unittest

from codepipeline_events import Execution
from sinks import WebhookSink
from waybill import BINARY, Waybill, eventually

SMALL = "log: {segment_bytes: 4MiB, reserve_bytes: 64KiB%s}\ntracking: {linger: 0s}\ntargets: {devops: {type: log}}\npolicy: {wait_for_cause: %s}\n"
MIB = 1 << 20


def waybill(*arguments):
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)


def padding(server, megabytes, seed):
    """Events that are nobody's execution and do not compress, to move the log on."""
    rng = random.Random(seed)
    for number in range(megabytes * 5):
        event = {"version": "0", "id": f"pad-{seed}-{number}", "source": "padding", "detail-type": "padding", "account": "123456789012",
                 "time": "2026-03-02T09:00:00Z", "region": "us-east-1", "resources": [], "detail": {"text": rng.randbytes(100 << 10).hex()}}
        server.post_events([event])


def everything(server):
    """All that the native API says of executions, deliveries and incidents, without what changes by itself."""
    found = {"pipelines": server.get("/api/v1/pipelines")["pipelines"]}
    for pipeline in {p["pipeline"] for p in found["pipelines"]}:
        rows = server.get(f"/api/v1/pipelines/{pipeline}/executions", limit=1000)["executions"]
        found[pipeline] = rows
        for row in rows:
            found[row["executionId"]] = server.get(f"/api/v1/executions/{row['executionId']}")
            found["receipt " + row["executionId"]] = server.get(f"/api/v1/executions/{row['executionId']}/receipt")["decisions"]
    found["deliveries"] = server.get("/api/v1/deliveries", limit=1000)["deliveries"]
    found["incidents"] = server.get("/api/v1/incidents", limit=1000)["incidents"]
    found["search"] = server.get("/api/v1/search", q="unforgettable")["results"]
    return found


def some_history():
    """Executions of three pipelines, with failures, a retry and a recovery."""
    events = []
    for name in ("api", "web", "batch"):
        first = Execution(name, seed=1)
        events += first.fail("Build", "Compile", summary="an unforgettable error")
        second = Execution(name, seed=2, start=first.now)
        events += second.fail("Deploy", "Roll out") + second.retry("Deploy") + second.resume("Deploy")
        third = Execution(name, seed=3, start=second.now)
        events += third.succeed() if name != "batch" else third.fail("Source", "Checkout")
    return events


def settled(server):
    """Once nothing is under way any more, everything."""
    eventually(lambda: server.get("/api/v1/deliveries", limit=1000)["deliveries"], lambda found: all(d["status"] in ("delivered", "dead", "cancelled", "held") for d in found))
    return everything(server)


def settled_history(server):
    """Everything, once of each pipeline only the current execution is still in memory: some_history() whole, as the history must give it back."""
    eventually(lambda: server.get("/api/v1/health")["liveExecutions"], lambda live: live == 3)
    found = settled(server)
    counts = {name: len(found[name]) for name in ("pipelines", "api", "web", "batch", "incidents", "search")}
    if counts != {"pipelines": 3, "api": 3, "web": 3, "batch": 3, "incidents": 4, "search": 3}:
        raise AssertionError(counts)
    return found


class Folder(unittest.TestCase):
    maxDiff = 4000

    def serve(self, config, **options):
        server = Waybill(config, **options)
        self.addCleanup(server.close)
        return server.start()

    def folder(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return pathlib.Path(folder.name)


class Rebuild(Folder):
    def test_the_history_is_the_same_again(self):
        server = self.serve(SMALL % ("", "0s"))
        server.post_events(some_history())
        before = settled_history(server)
        self.assertEqual(server.stop(), 0)
        for name in server.data.glob("history.db*"):
            name.write_bytes(b"no database")
        done = waybill("rebuild", "--data", server.data)
        self.assertEqual(done.returncode, 0, done.stderr)
        # It is all there before a server could fill it.
        with contextlib.closing(sqlite3.connect(f"file:{server.data / 'history.db'}?mode=ro", uri=True)) as history:
            for table, rows in (("executions", 9), ("incidents", len(before["incidents"])), ("deliveries", len(before["deliveries"]))):
                self.assertEqual(history.execute(f"SELECT count(*) FROM {table}").fetchone(), (rows,), table)
        server.start()
        self.assertEqual(settled_history(server), before)

    def test_without_its_file_a_server_fills_the_history_by_itself(self):
        server = self.serve(SMALL % ("", "0s"))
        server.post_events(some_history())
        before = settled_history(server)
        server.kill()
        for name in server.data.glob("history.db*"):
            name.unlink()
        server.start()
        self.assertEqual(settled_history(server), before)

    def test_beside_a_running_server_it_refuses(self):
        server = self.serve(SMALL % ("", "0s"))
        server.post_events(some_history())
        before = settled(server)
        done = waybill("rebuild", "--data", server.data)
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(settled(server), before)

    def test_two_servers_never_share_a_folder(self):
        server = self.serve(SMALL % ("", "0s"))
        second = waybill("serve", "--data", server.data, "--listen", "127.0.0.1:0")
        self.assertNotEqual(second.returncode, 0)
        self.assertIn(str(server.data), second.stderr)
        server.post_events(some_history())
        settled(server)
        self.assertEqual(server.stop(), 0)
        self.assertEqual(waybill("log", "verify", "--data", server.data).returncode, 0)


class Backup(Folder):
    def test_beside_a_running_server_it_holds_what_was_acknowledged_before(self):
        server = self.serve(SMALL % ("", "0s"))
        server.post_events(some_history())
        before = settled(server)
        over = threading.Event()
        def load():
            number = 0
            while not over.is_set():
                number += 1
                padding(server, 1, f"load-{number}")
        client = threading.Thread(target=load)
        client.start()
        self.addCleanup(client.join)
        self.addCleanup(over.set)
        for number in range(4):
            if number == 3:   # and with nothing behind what was acknowledged, so that not a byte may be missing
                over.set()
                client.join()
            position = server.get("/api/v1/health")["durablePosition"]
            folder = self.folder()
            to = folder / "data"
            done = waybill("backup", "--data", server.data, "--to", to)
            self.assertEqual(done.returncode, 0, done.stderr)
            again = waybill("backup", "--data", server.data, "--to", to)
            self.assertEqual((again.returncode, "not empty" in again.stderr), (1, True), again.stderr)
            verified = waybill("log", "verify", "--data", to)
            self.assertEqual(verified.returncode, 0, verified.stdout + verified.stderr)
            copy = self.serve(SMALL % ("", "0s"), folder=folder)
            self.assertGreaterEqual(copy.get("/api/v1/health")["durablePosition"], position)
            self.assertEqual(settled(copy), before)
            self.assertEqual(copy.stop(), 0)


class Retention(Folder):
    def test_old_segments_go_and_the_history_stays(self):
        server = self.serve(SMALL % (", retention_bytes: 12MiB", "10m"))
        early = Execution("early", seed=1)
        server.post_events(early.succeed())
        held = Execution("held")        # its message waits for the cause: what it needs stays
        recent = Execution("early", seed=2, start=early.now)
        padding(server, 8, "one")
        cause = [e for e in held.fail("Build", "Compile", summary="at last")]
        late = [e for e in cause if e["detail"].get("action") and e["detail"]["state"] == "FAILED"]
        server.post_events(e for e in cause if e not in late)
        first_needed = server.get("/api/v1/deliveries", limit=1)["deliveries"][0]["deliveryId"].split("-")[1]
        server.post_events(recent.succeed())
        padding(server, 40, "two")
        def first(server=server):
            return min(int(re.search(r"\d+", path.name).group()) for path in (server.data / "log").iterdir() if re.search(r"\d{6}", path.name))
        eventually(first, lambda position: position > 0, seconds=180)
        self.assertLess(first(), int(first_needed))
        self.assertEqual(server.get(f"/api/v1/executions/{early.id}")["status"], "Succeeded")
        self.assertEqual(server.stop(), 0)
        refused = waybill("rebuild", "--data", server.data)
        self.assertEqual(refused.returncode, 1, refused.stderr)
        self.assertIn("retention has deleted the log before", refused.stderr)
        server.start()
        self.assertEqual(server.get(f"/api/v1/executions/{early.id}")["status"], "Succeeded")
        server.post_events(late)
        delivered = eventually(lambda: server.get("/api/v1/deliveries", executionId=held.id)["deliveries"],
                               lambda found: all(d["status"] == "delivered" for d in found if d["kind"] == "notify"))
        self.assertEqual(len([d for d in delivered if d["kind"] == "notify"]), 2)
        self.assertEqual(waybill("log", "verify", "--data", server.data).returncode, 0)


class Damage(Folder):
    def test_a_damaged_log_is_refused_with_its_position_and_left_as_it_is(self):
        for what, compressed in (("raw", False), ("compressed", True)):
            with self.subTest(what):
                server = self.serve(SMALL % (f", compress: {'true' if compressed else 'false'}", "0s"))
                server.post_events(some_history())
                padding(server, 9, "some")
                if compressed:
                    eventually(lambda: server.get("/api/v1/health") and [p for p in (server.data / "log").iterdir() if "z" in p.suffix])
                self.assertEqual(server.stop(), 0)
                oldest = sorted(p for p in (server.data / "log").iterdir() if re.search(r"\d{6}", p.name))[0]
                good = oldest.read_bytes()
                at = len(good) // 2
                oldest.write_bytes(good[:at] + bytes([good[at] ^ 0x10]) + good[at + 1:])
                damaged = oldest.read_bytes()
                for command in (["serve", "--listen", "127.0.0.1:0"], ["log", "verify"], ["rebuild"]):
                    done = waybill(*command, "--data", server.data)
                    said = done.stdout + done.stderr
                    self.assertEqual(done.returncode, 5, f"{command}: {said}")
                    self.assertRegex(said, r"position \d+", command)
                    if command[0] == "serve":
                        self.assertIn("waybill log", said)
                self.assertEqual(oldest.read_bytes(), damaged)
                oldest.write_bytes(good)
                server.start()
                self.assertEqual(len(everything(server)["pipelines"]), 3)

    def test_a_torn_end_is_cut_and_said(self):
        server = self.serve(SMALL % (", compress: false", "0s"))
        server.post_events(some_history())
        before = settled(server)
        end = server.get("/api/v1/health")["durablePosition"]
        server.kill()
        segment, = [p for p in sorted((server.data / "log").iterdir()) if re.search(r"\d{6}", p.name)][:1]
        with open(segment, "r+b") as file:
            file.seek(end)
            file.write(random.Random(1).randbytes(700))    # a write that a crash has torn
        server.start()
        self.assertEqual(settled(server), before)
        server.post_events(Execution("after").succeed())
        settled(server)
        self.assertEqual(server.stop(), 0)
        self.assertEqual(waybill("log", "verify", "--data", server.data).returncode, 0)


class Snapshots(Folder):
    def test_a_restart_begins_at_the_snapshot_and_knows_what_was_before_it(self):
        hook = WebhookSink(lambda _: 410)
        self.addCleanup(hook.close)
        config = (SMALL % ("", "10m")).replace("devops: {type: log}", f"devops: {{type: webhook, url: '{hook.url}'}}")
        server = self.serve(config)
        events = some_history()
        server.post_events(events)
        held = Execution("held").fail("Build", "Compile", summary="at last")
        cause = [e for e in held if e["detail"].get("action") and e["detail"]["state"] == "FAILED"]
        server.post_events(e for e in held if e not in cause)
        told = Execution("told")
        server.post_events(told.fail("Build", "Compile"))
        padding(server, 24, "some")
        eventually(lambda: " snapshot position=" in server.log(), seconds=180)
        before = settled(server)
        self.assertTrue({"held", "dead"} <= {d["status"] for d in before["deliveries"]})
        server.kill()
        server.start()
        line = [l for l in server.log().splitlines() if " listening " in l][-1]
        snapshot, groups, took = (int(re.search(rf"{name}=(\d+)", line).group(1)) for name in ("snapshot", "replayed_groups", "started_in_ms"))
        self.assertGreater(snapshot, 16 * MIB)
        self.assertLess(groups, 24 * 5)
        print(f"snapshot at {snapshot}, {groups} groups replayed, started in {took} ms", flush=True)
        self.assertEqual(settled(server), before)
        # Known ids, what was told, and deliveries that wait came with it.
        answer = server.post_events(events)
        self.assertEqual((answer["accepted"], answer["duplicates"]), (0, len(events)))
        self.assertEqual([d["deliveryId"] for d in settled(server)["deliveries"]], [d["deliveryId"] for d in before["deliveries"]])
        server.post_events(told.retry("Build") + told.resume("Build", failing=["Compile"]))
        self.assertIn(("policy.pipeline_failed", "already_told"), [(d["policy"], d["reason"]) for d in server.get(f"/api/v1/why/{told.id}")["decisions"]])
        server.post_events(cause)
        eventually(lambda: server.get("/api/v1/deliveries", limit=1000)["deliveries"], lambda found: not [d for d in found if d["status"] == "held" and d["kind"] == "notify"])
        # And from the log alone the same follows.
        whole = settled(server)
        self.assertEqual(server.stop(), 0)
        shutil.rmtree(server.data / "snapshots")
        server.start()
        self.assertEqual(settled(server), whole)


if __name__ == "__main__":
    unittest.main()
