"""The command line as a person and a script meet it: what it prints, where, and what it returns; against the real server, and against a
small one that misbehaves on purpose."""
import http.server
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import threading
import unittest

from codepipeline_events import Execution
from waybill import BINARY, Waybill

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("WAYBILL_")}


def waybill(*arguments, url=None, stdin="", folder=None, **environment):
    """Runs the program to its end; returns the completed process with text."""
    if url:
        environment["WAYBILL_URL"] = url
    return subprocess.run([BINARY, *map(str, arguments)], input=stdin, capture_output=True, text=True, encoding="utf-8", cwd=folder,
                          env={**ENVIRONMENT, **environment})


def ndjson(events):
    return "".join(json.dumps(event) + "\n" for event in events)


class Misbehaving:
    """A server of canned answers: `answer(handler, body)` is called for every request. What came is kept in `requests`."""

    def __init__(self, answer):
        outer = self
        self.requests = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                if self.headers.get("Transfer-Encoding") == "chunked":
                    body = b""
                    while size := int(self.rfile.readline(), 16):
                        body += self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                else:
                    body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer.requests.append((self.command, self.path, dict(self.headers), body))
                answer(self, body)

            do_GET = do_POST = handle_any

            def log_message(self, *_):
                pass

            def say(self, status, value, **headers):
                text = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                for name, header in headers.items():
                    self.send_header(name.replace("_", "-"), header)
                self.end_headers()
                self.wfile.write(text)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class UsageTest(unittest.TestCase):
    def test_help_names_the_exit_codes(self):
        done = waybill("--help")
        self.assertEqual(done.returncode, 0)
        for code in ("0 ", "1 ", "2 ", "3 ", "4 ", "5 ", "130 "):
            self.assertIn("\n  " + code, done.stdout)

    def test_every_command_has_help(self):
        commands = [line.split()[0] for line in waybill("--help").stdout.split("Subcommands:")[1].split("Exit codes")[0].splitlines() if line.strip()]
        self.assertGreater(len(commands), 20)
        for command in commands:
            done = waybill(command, "--help")
            self.assertEqual((done.returncode, done.stderr), (0, ""), command)
            self.assertIn("--help", done.stdout)

    def test_bad_usage_is_2_and_says_what_was_meant(self):
        done = waybill("statsu")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("did you mean status?", done.stderr)
        for arguments in ((), ("status", "--nonsense"), ("show",), ("dlq",), ("dlq", "redrive"), ("demo", "--rate", "-1"), ("tail", "--from", "x"),
                          ("completion", "tcsh"), ("status", "--watch"), ("demo", "--print", "--duration", "soon")):
            done = waybill(*arguments)
            self.assertEqual((done.returncode, done.stdout), (2, ""), arguments)
            self.assertTrue(done.stderr, arguments)

    def test_nobody_there_is_3_and_says_what_to_do(self):
        for command in (["status"], ["tail"], ["put", "-"], ["demo"], ["sql", "SELECT 1"]):
            done = waybill(*command, url="http://127.0.0.1:1", stdin="{}\n")
            self.assertEqual(done.returncode, 3, command)
            self.assertIn("waybill serve", done.stderr)

    def test_bash_completes_commands_options_values_and_configuration_keys(self):
        def complete(*words):
            script = 'source <("$0" completion bash); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _waybill; printf "%s\\n" "${COMPREPLY[@]}"'
            done = subprocess.run(["bash", "-c", script, BINARY, *words], capture_output=True, text=True, env=ENVIRONMENT)
            self.assertEqual(done.stderr, "")
            return done.stdout.split()

        self.assertEqual(complete("waybill", "st"), ["status"])
        self.assertEqual(complete("waybill", "dlq", ""), ["list", "redrive"])
        self.assertEqual(complete("waybill", "dlq", "redrive", "--a"), ["--all"])
        self.assertEqual(complete("waybill", "status", "--color", ""), ["auto", "always", "never"])
        self.assertEqual(complete("waybill", "completion", "z"), ["zsh"])
        self.assertIn("--policy.retry.max", complete("waybill", "serve", "--policy."))
        self.assertIn("status", complete("waybill", "--version", ""))

    def test_other_shells_get_a_script_too(self):
        for shell in ("zsh", "fish"):
            done = waybill("completion", shell)
            self.assertEqual(done.returncode, 0)
            self.assertIn("redrive", done.stdout)


class ConfigurationTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def write(self, text):
        (self.folder / "waybill.yaml").write_text(text)

    def test_check_names_every_problem_with_its_place(self):
        self.write("listen: nowhere\npolicy:\n  notify_succes: never\n")
        done = waybill("check", "waybill.yaml", folder=self.folder)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertRegex(done.stderr, r"(?m)^waybill\.yaml:1:\d+: ")
        self.assertRegex(done.stderr, r"(?m)^waybill\.yaml:3:\d+: .*notify_success")

    def test_check_says_what_will_happen(self):
        self.write("policy:\n  notify_success: recovery\n  owners:\n    - {pipeline: 'api-*', stage: Deploy, targets: [payments]}\n"
                   "targets:\n  devops: {type: mail, to: [ops@example.com]}\n  payments: {type: log}\n")
        done = waybill("check", folder=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        for words in ("ops@example.com", "api-* / Deploy: payments", "recovers", "codepipeline", "waybill-data/mail"):
            self.assertIn(words, done.stdout)

    def test_flags_win_over_the_file_and_the_effective_configuration_loads_again(self):
        self.write("listen: 127.0.0.1:1111\npolicy:\n  retry: {max: 1}\n")
        done = waybill("config", "--policy.retry.max", "3", folder=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("127.0.0.1:1111", done.stdout)
        self.assertRegex(done.stdout, r"\bmax: 3\b")
        (self.folder / "again.yaml").write_text(done.stdout)
        self.assertEqual(waybill("config", "--config", "again.yaml", folder=self.folder).stdout, done.stdout)

    def test_a_file_that_is_not_there_and_a_flag_without_a_value_are_refused(self):
        for arguments in (("check", "nowhere.yaml"), ("config", "--policy.retry.max"), ("config", "stray"), ("config", "--no.such.key", "1")):
            self.assertEqual(waybill(*arguments, folder=self.folder).returncode, 2, arguments)

    def test_the_reference_and_the_example(self):
        self.assertIn("policy.notify_success", waybill("config", "reference").stdout)
        self.assertIn("notify_success", waybill("config", "reference", "--example").stdout)

    def test_log_commands_say_that_there_is_no_log(self):
        for command in ("verify", "dump", "stat"):
            self.assertEqual(waybill("log", command, "--data", self.folder / "none").returncode, 4, command)


class MisbehavingServerTest(unittest.TestCase):
    def test_put_waits_for_a_busy_server_and_loses_nothing(self):
        busy = iter([True, False])

        def answer(handler, body):
            if next(busy):
                handler.say(503, {"error": {"kind": "overloaded", "message": "later"}}, Retry_After="1")
            else:
                handler.say(200, {"accepted": body.count(b"\n"), "duplicates": 0, "refused": 0, "refusals": [], "position": 7})

        with Misbehaving(answer) as server:
            done = waybill("put", "-", url=server.url, stdin='{"a":1}\n{"a":2}\n')
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertEqual(done.stdout, "2 accepted, 0 duplicates, 0 refused\n")
            self.assertEqual([body for _, _, _, body in server.requests], [b'{"a":1}\n{"a":2}\n'] * 2)
            self.assertEqual(server.requests[0][2]["Content-Type"], "application/x-ndjson")

    def test_put_tells_documents_from_lines(self):
        def answer(handler, body):
            handler.say(200, {"accepted": 1, "duplicates": 0, "refused": 0, "refusals": [], "position": 7})

        with Misbehaving(answer) as server:
            for text, kind in (('[{"a":1},\n{"a":2}]', "application/json"), ('{\n  "a": 1\n}\n', "application/json"), ('{"a":1}', "application/x-ndjson"),
                               ('\n{"a":1}\n\n{"a":2}\n', "application/x-ndjson")):
                self.assertEqual(waybill("put", "-", url=server.url, stdin=text).returncode, 0)
                _, path, headers, body = server.requests[-1]
                self.assertEqual((path, headers["Content-Type"], body.decode()), ("/events", kind, text))

    def test_put_names_refused_lines_of_later_batches_by_their_place_in_the_input(self):
        line = json.dumps({"a": "x" * 1000}) + "\n"
        count = 5000  # more than two batches
        seen = []

        def answer(handler, body):
            lines = body.count(b"\n")
            seen.append(lines)
            handler.say(200, {"accepted": lines - 1, "duplicates": 0, "refused": 1, "position": 1,
                              "refusals": [{"index": 1, "line": 2, "byte": len(line), "field": "detail.state", "reason": "is not a state"}]})

        with Misbehaving(answer) as server:
            done = waybill("put", "-", "--json", url=server.url, stdin=line * count)
        self.assertEqual(done.returncode, 1)
        self.assertGreater(len(seen), 2)
        self.assertEqual(sum(seen), count)
        answer = json.loads(done.stdout)
        self.assertEqual((answer["accepted"], answer["refused"]), (count - len(seen), len(seen)))
        befores = [sum(seen[:i]) for i in range(len(seen))]
        self.assertEqual([r["line"] for r in answer["refusals"]], [before + 2 for before in befores])
        self.assertEqual([r["index"] for r in answer["refusals"]], [before + 1 for before in befores])
        self.assertEqual([r["byte"] for r in answer["refusals"]], [(before + 1) * len(line) for before in befores])

    def test_tail_comes_back_behind_the_last_message(self):
        def answer(handler, _):
            last = handler.headers.get("Last-Event-ID")
            handler.send_response(200)
            handler.send_header("Content-Type", "text/event-stream")
            handler.send_header("Connection", "close")
            handler.end_headers()
            first = int(last or 10)
            for position in (first + 1, first + 2):
                data = {"position": position, "pipeline": "api-orders" if position % 2 else "web", "state": "FAILED", "attempt": 1, "outcome": "accepted",
                        "executionId": "e", "stageName": "Bu\u001b[31mild", "time": "2026-04-19T12:42:28.000Z"}
                handler.wfile.write(f"id: {position}\nevent: transition\ndata: {json.dumps(data)}\n\n".encode())
            handler.close_connection = True

        with Misbehaving(answer) as server:
            tail = subprocess.Popen([BINARY, "tail", "--json", "--pipeline", "api-*", "--url", server.url], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=ENVIRONMENT)
            positions = [json.loads(tail.stdout.readline())["data"]["position"] for _ in range(3)]
            tail.send_signal(signal.SIGINT)
            tail.communicate()
            self.assertEqual(tail.returncode, 0)
            self.assertEqual(positions, [11, 13, 15])
            self.assertEqual(server.requests[1][2]["Last-Event-ID"], "12")
            text = subprocess.Popen([BINARY, "tail", "--url", server.url], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=ENVIRONMENT)
            line = text.stdout.readline()
            text.send_signal(signal.SIGINT)
            text.communicate()
            self.assertNotIn("\x1b", line)
            self.assertIn("FAILED", line)

    def test_what_the_server_says_becomes_the_exit_code(self):
        answers = {"/api/v1/executions/none": (404, "not_found", 4), "/api/v1/executions/bad": (400, "invalid", 2), "/api/v1/executions/now": (503, "overloaded", 3),
                   "/api/v1/executions/held": (409, "conflict", 1), "/api/v1/executions/broken": (500, "corrupt", 5)}

        def answer(handler, _):
            status, kind, _ = answers[handler.path]
            handler.say(status, {"error": {"kind": kind, "message": "what was wrong"}})

        with Misbehaving(answer) as server:
            for path, (_, _, code) in answers.items():
                done = waybill("show", path.rsplit("/", 1)[1], url=server.url)
                self.assertEqual((done.returncode, done.stdout), (code, ""))
                self.assertIn("what was wrong", done.stderr)

    def test_the_token_is_sent_and_asked_for(self):
        def answer(handler, _):
            if handler.headers.get("Authorization") == "Bearer s3cret":
                handler.say(200, {"status": "ok"})
            else:
                handler.say(401, {})

        with Misbehaving(answer) as server:
            self.assertEqual(waybill("health", url=server.url, WAYBILL_TOKEN="s3cret").returncode, 0)
            done = waybill("health", url=server.url)
            self.assertEqual(done.returncode, 2)
            self.assertIn("WAYBILL_TOKEN", done.stderr)

    def test_an_answer_that_is_not_json_is_not_a_waybill_server(self):
        def answer(handler, _):
            handler.send_response(200)
            handler.send_header("Content-Length", "6")
            handler.end_headers()
            handler.wfile.write(b"<html>")

        with Misbehaving(answer) as server:
            done = waybill("status", url=server.url)
            self.assertEqual(done.returncode, 3)
            self.assertIn("not JSON", done.stderr)


class ServerTest(unittest.TestCase):
    """Against the real thing: one server, filled once."""

    @classmethod
    def setUpClass(cls):
        cls.server = Waybill()
        cls.addClassCleanup(cls.server.close)
        cls.server.start()
        cls.failed = Execution("orders", seed=1)
        cls.events = cls.failed.fail("Build", "Compile", summary="컴파일 실패: exit status 1")
        cls.put = waybill("put", "-", url=cls.server.address, stdin=ndjson(cls.events))
        cls.identity = cls.events[0]["detail"]["execution-id"]

    def run_ok(self, *arguments):
        done = waybill(*arguments, url=self.server.address)
        self.assertEqual((done.returncode, done.stderr), (0, ""), arguments)
        return done.stdout

    def test_put_counts_what_was_taken_known_and_refused(self):
        self.assertEqual((self.put.returncode, self.put.stdout), (0, f"{len(self.events)} accepted, 0 duplicates, 0 refused\n"))
        again = json.loads(self.run_ok("put", "--json", "-", "--color", "never") or "{}")
        self.assertEqual(again["accepted"], 0)
        done = waybill("put", "-", "--json", url=self.server.address, stdin=ndjson(self.events[:1]) + '{"id": 1}\n')
        self.assertEqual(done.returncode, 1)
        answer = json.loads(done.stdout)
        self.assertEqual((answer["duplicates"], answer["refused"], answer["refusals"][0]["line"]), (1, 1, 2))

    def test_put_reads_a_file(self):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(self.events, file)
            file.flush()
            self.assertIn(f"{len(self.events)} duplicates", self.run_ok("put", file.name))
        self.assertEqual(waybill("put", "nowhere.json", url=self.server.address).returncode, 4)

    def test_status_history_and_show_agree(self):
        self.assertRegex(self.run_ok("status"), r"Failed +orders")
        self.assertIn(self.identity, self.run_ok("history", "orders"))
        shown = self.run_ok("show", self.identity)
        for words in ("✗ Failed", "Compile", "컴파일 실패: exit status 1"):
            self.assertIn(words, shown)
        # Each once accepted; how often the other tests of this class sent them again shows as duplicates.
        self.assertEqual(self.run_ok("show", "--events", self.identity).count(" accepted "), len(self.events))
        self.assertEqual(json.loads(self.run_ok("show", "--json", self.identity))["executionId"], self.identity)

    def test_why_tells_the_receipt_of_everything_it_names(self):
        incident = json.loads(self.run_ok("incidents", "--json"))["incidents"][0]["incidentId"]
        delivery = json.loads(self.run_ok("deliveries", "--json"))["deliveries"][0]["deliveryId"]
        for identity in (self.identity, incident, delivery):
            self.assertIn("policy.", self.run_ok("why", identity), identity)

    def test_questions(self):
        self.assertIn(self.identity, self.run_ok("search", "orders"))
        self.assertEqual(waybill("search", "zzznothing", url=self.server.address).returncode, 1)
        self.assertEqual(self.run_ok("sql", "--csv", "SELECT 1 AS one, 'a,b' AS two").splitlines(), ["one,two", '1,"a,b"'])
        self.assertEqual(waybill("sql", "DELETE FROM executions", url=self.server.address).returncode, 2)
        self.assertIn("FAILED", self.run_ok("events", "--execution", self.identity))
        self.assertIn("accepting events    yes", self.run_ok("health"))

    def test_what_is_not_there_is_4(self):
        for arguments in (("show", "none"), ("why", "none"), ("show", "--events", "none")):
            self.assertEqual(waybill(*arguments, url=self.server.address).returncode, 4, arguments)

    def test_json_is_one_document(self):
        for arguments in (("status",), ("history", "orders"), ("incidents",), ("deliveries",), ("dlq", "list"), ("events",), ("search", "orders"), ("health",), ("sql", "SELECT 1")):
            text = self.run_ok(*arguments, "--json")
            self.assertEqual(text.count("\n"), 1, arguments)
            json.loads(text)

    def test_the_log_is_sound_and_can_be_read_beside_the_server(self):
        dumped = waybill("log", "dump", "--json", "--data", self.server.data)
        self.assertEqual(dumped.returncode, 0, dumped.stderr)
        groups = [json.loads(line) for line in dumped.stdout.splitlines()]
        types = [record["type"] for group in groups for record in group.get("records", ())]
        self.assertGreaterEqual(types.count("event"), len(self.events))
        for kind in ("transition", "decision", "delivery_planned", "settings"):
            self.assertIn(kind, types)
        at = next(group["position"] for group in groups if any(r["type"] == "event" for r in group.get("records", ())))
        self.assertIn("aws.codepipeline", waybill("log", "dump", "--data", self.server.data, "--at", at).stdout)
        self.assertEqual(waybill("log", "dump", "--data", self.server.data, "--at", at + 1).returncode, 4)
        verified, stat = (json.loads(waybill("log", command, "--json", "--data", self.server.data).stdout) for command in ("verify", "stat"))
        self.assertTrue(verified["sound"])
        # What is being written is no empty segment to either of them.
        self.assertEqual((stat["tail"], stat["sound"]), (verified["tail"], True))
        self.assertEqual([(s["state"], s["usedBytes"]) for s in stat["segments"]], [(s["state"], s["usedBytes"]) for s in verified["segments"]])
        active = next(s for s in stat["segments"] if s["state"] == "active")
        self.assertEqual(active["first"] + active["usedBytes"], json.loads(self.run_ok("health", "--json"))["durablePosition"])


class StoppedServerTest(unittest.TestCase):
    def test_demo_fills_a_server_and_the_data_survive_rebuild_backup_and_damage(self):
        server = Waybill()
        self.addCleanup(server.close)
        server.start()
        done = waybill("demo", "--duration", "3s", "--rate", "50", url=server.address)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"[\d,]+ events sent, 0 refused")
        pipelines = json.loads(waybill("status", "--json", url=server.address).stdout)["pipelines"]
        self.assertGreaterEqual(len(pipelines), 6)
        copy = server.folder / "copy"
        self.assertEqual(server.stop(), 0)
        self.assertEqual(waybill("log", "verify", "--data", server.data).returncode, 0)
        rebuilt = waybill("rebuild", "--data", server.data)
        self.assertEqual(rebuilt.returncode, 0, rebuilt.stderr)
        backed = waybill("backup", "--data", server.data, "--to", copy)
        self.assertEqual(backed.returncode, 0, backed.stderr)
        self.assertEqual(waybill("log", "verify", "--data", copy).returncode, 0)
        # A byte in the middle of what was written, changed: the copy is corrupt, and says where.
        report = json.loads(waybill("log", "stat", "--json", "--data", copy).stdout)
        segment = next(s for s in report["segments"] if s["state"] in ("active", "sealed", "compressed"))
        path = copy / "log" / pathlib.Path(segment["file"]).name
        content = bytearray(path.read_bytes())
        content[segment["usedBytes"] // 2 if segment["state"] == "active" else len(content) // 2] ^= 0xff
        path.write_bytes(content)
        damaged = waybill("log", "verify", "--data", copy)
        self.assertEqual(damaged.returncode, 5, damaged.stdout)
        self.assertIn("log dump", damaged.stderr)

    def test_a_bad_flag_stops_serve_before_it_begins(self):
        done = waybill("serve", "--listen", "nowhere")
        self.assertEqual(done.returncode, 2)
        self.assertIn("HOST:PORT", done.stderr)


class DemoTest(unittest.TestCase):
    def test_printed_events_are_envelopes_of_the_three_types(self):
        done = waybill("demo", "--print", "--duration", "1s", "--pipelines", "3")
        self.assertEqual(done.returncode, 0)
        events = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertGreater(len(events), 300)
        self.assertEqual({event["detail-type"].split()[1] for event in events}, {"Pipeline", "Stage", "Action"})
        self.assertEqual({event["source"] for event in events}, {"aws.codepipeline"})
        self.assertEqual(len({event["detail"]["pipeline"] for event in events}), 3)
        self.assertIn('"version":"0"', done.stdout)

    def test_ctrl_c_ends_it_cleanly(self):
        demo = subprocess.Popen([BINARY, "demo", "--print"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
        self.assertTrue(demo.stdout.readline())
        demo.send_signal(signal.SIGINT)
        _, errors = demo.communicate()
        self.assertEqual((demo.returncode, errors), (0, ""))


if __name__ == "__main__":
    unittest.main()
