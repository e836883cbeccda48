"""Every example is taken by the program and means what its comments say; the queue forwarder works with a real aws client."""
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest
import urllib.parse

from codepipeline_events import Execution
from sinks import Sink
from waybill import BINARY, ROOT, Waybill

EXAMPLES = ROOT / "examples"
SECRETS = {name: "an-example-secret-of-some-length" for name in
           ("WAYBILL_MAIL_PASSWORD", "WAYBILL_HOOK_SECRET", "WAYBILL_EVENTS_TOKEN", "WAYBILL_API_SECRET",
            "WAYBILL_QUEUE_SECRET")}
LIMIT_SECONDS = 120  # that only a failure reaches


def check(path):
    return subprocess.run([BINARY, "check", path], capture_output=True, text=True, env={**os.environ, **SECRETS}, timeout=LIMIT_SECONDS)


class ExamplesTest(unittest.TestCase):
    def test_every_configuration_is_taken_without_a_warning(self):
        examples = sorted(EXAMPLES.glob("*.yaml"))
        self.assertTrue(examples)
        for path in examples:
            answer = check(path)
            self.assertEqual((answer.returncode, answer.stderr), (0, ""), path.name)

    def test_they_say_what_they_are_for(self):
        # What is looked for stands in the line that `waybill check` writes about it.
        expected = {
            "minimal.yaml": [("a pipeline fails", "devops@example.com"), ("mail goes", "smtp://mail.example.com:587")],
            "aws.yaml": [("an action fails", "123456789012"), ("a stage fails", "frontend"), ("listens on", "with credentials")],
            "team-network.yaml": [("listens on", "0.0.0.0:4566, with credentials")],
            "event-bus.yaml": [("listens on", "127.0.0.1:4566, open to this machine"), ("a pipeline fails", "devops@example.com")],
            "quiet.yaml": [("an action fails", "no retry"), ("a pipeline succeeds", "nobody")],
        }
        self.assertEqual(sorted(expected), sorted(p.name for p in EXAMPLES.glob("*.yaml")))
        for name, lines in expected.items():
            said = check(EXAMPLES / name).stdout
            for subject, what in lines:
                about = said.split(subject, 1)[1] if subject in said else ""
                self.assertIn(what, about, f"{name}: {subject}\n{said}")

    def test_a_broken_example_would_be_noticed(self):
        with tempfile.TemporaryDirectory() as folder:
            broken = pathlib.Path(folder, "broken.yaml")
            broken.write_text((EXAMPLES / "minimal.yaml").read_text().replace("relay:", "relais:"))
            self.assertEqual(check(broken).returncode, 2)


class QueueHandler(http.server.BaseHTTPRequestHandler):
    """ReceiveMessage and DeleteMessageBatch, in the protocol in which they are asked: query (older clients) or json 1.0."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        queue = self.server.sink
        if "json" in self.headers["Content-Type"]:
            operation, asked = self.headers["X-Amz-Target"].split(".")[1], json.loads(body)
            deleted = [entry["ReceiptHandle"] for entry in asked.get("Entries", [])]
        else:
            form = dict(urllib.parse.parse_qsl(body.decode()))
            operation = form["Action"]
            deleted = [value for key, value in form.items() if key.endswith(".ReceiptHandle")]
        if operation == "ReceiveMessage":
            waiting = [(handle, text) for handle, text in queue.messages.items()][:10]
            answer = {"Messages": [{"MessageId": handle, "ReceiptHandle": handle, "Body": text} for handle, text in waiting]}
            xml = "".join(f"<Message><MessageId>{handle}</MessageId><ReceiptHandle>{handle}</ReceiptHandle><Body>{xml_text(text)}</Body></Message>"
                          for handle, text in waiting)
        else:
            for handle in deleted:
                queue.messages.pop(handle)
            answer = {"Successful": [{"Id": str(i + 1)} for i in range(len(deleted))], "Failed": []}
            xml = "".join(f"<DeleteMessageBatchResultEntry><Id>{i + 1}</Id></DeleteMessageBatchResultEntry>" for i in range(len(deleted)))
        queue.arrivals.add(operation)
        if "json" in self.headers["Content-Type"]:
            out, content_type = json.dumps(answer), "application/x-amz-json-1.0"
        else:
            out = f'<{operation}Response xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><{operation}Result>{xml}</{operation}Result></{operation}Response>'
            content_type = "text/xml"
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(out.encode())))
        self.end_headers()
        self.wfile.write(out.encode())

    def log_message(self, *_):
        pass


def xml_text(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


class Queue(Sink):
    def __init__(self, messages):
        # With the letters that receipt handles have.
        self.messages = {f"AQEB+{i}/x==": text for i, text in enumerate(messages)}
        self.serve(http.server.ThreadingHTTPServer(("127.0.0.1", 0), QueueHandler))


class ForwarderTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def forward(self, queue, waybill_url, rounds):
        # The script asks AWS; here `aws` asks the queue of this test instead.
        client = shutil.which("aws", path="/usr/bin:/bin") or shutil.which("aws")
        bin_folder = pathlib.Path(self.folder.name)
        (bin_folder / "aws").write_text(f'#!/bin/sh\nexec {client} --endpoint-url http://127.0.0.1:{queue.port} "$@"\n')
        (bin_folder / "aws").chmod(0o755)
        if not (bin_folder / "waybill").exists():
            (bin_folder / "waybill").symlink_to(BINARY)
        environment = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}", "QUEUE_URL": f"http://127.0.0.1:{queue.port}/123456789012/waybill",
                       "ROUNDS": str(rounds), "WAYBILL_URL": waybill_url, "AWS_ACCESS_KEY_ID": "example", "AWS_SECRET_ACCESS_KEY": "example",
                       "AWS_DEFAULT_REGION": "us-east-1", "NO_PROXY": "127.0.0.1", "AWS_PAGER": ""}
        return subprocess.run([EXAMPLES / "sqs-forward.sh"], capture_output=True, text=True, env=environment, timeout=LIMIT_SECONDS)

    def test_every_message_arrives_and_only_then_leaves_the_queue(self):
        events = [json.dumps(event, separators=(",", ":")) for event in Execution().succeed()]
        rounds = (len(events) + 9) // 10 + 1  # and one that finds the queue empty
        queue = Queue(events)
        self.addCleanup(queue.close)
        with Waybill() as server:
            done = self.forward(queue, server.address, rounds)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(queue.messages, {})
            self.assertEqual(server.get("/api/v1/health")["eventsAccepted"], len(events))

    def test_nothing_leaves_the_queue_when_waybill_refuses_or_is_not_there(self):
        good = json.dumps(Execution().succeed()[0], separators=(",", ":"))
        queue = Queue([good, '{"not":"an event"}'])
        self.addCleanup(queue.close)
        with Waybill() as server:
            self.assertEqual(self.forward(queue, server.address, 1).returncode, 1)
            self.assertEqual(server.get("/api/v1/health")["eventsAccepted"], 1)
            address = server.address
        self.assertEqual(self.forward(queue, address, 1).returncode, 3)
        self.assertEqual(len(queue.messages), 2)
        self.assertNotIn("DeleteMessageBatch", queue.arrivals.items)


if __name__ == "__main__":
    unittest.main()
