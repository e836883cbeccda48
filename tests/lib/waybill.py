"""Starts the real program for black-box tests, talks to it, and stops it.

    with Waybill(config) as server:                  # a free port, a data folder of its own
        server.post_events(Execution().succeed())
        execution = server.get("/api/v1/executions/" + identity)

The program is $WAYBILL_BIN, or build/release/waybill. Its first line on stdout is the address it answers at; waiting for that line is
waiting for readiness. Its log is kept in the data folder's parent, and is part of what a failed start reports. A process is only
ever ended by its own handle.
"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BINARY = pathlib.Path(os.environ.get("WAYBILL_BIN", ROOT / "build" / "release" / "waybill"))
READY_SECONDS = 60    # far above what a start takes, even with a sanitizer on a busy machine
ANSWER_SECONDS = 60


class Answer:
    """An HTTP answer: status, headers, body as bytes and, where it is JSON, as a value."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"Answer({self.status}, {self.body[:400]!r})"


def request(method, url, body=None, headers=None, timeout=ANSWER_SECONDS):
    """One HTTP request; every status is an answer, only a broken connection raises."""
    headers = dict(headers or {})
    if body is not None and not isinstance(body, (bytes, str)):
        body = json.dumps(body)
        headers.setdefault("Content-Type", "application/json")
    if isinstance(body, str):
        body = body.encode()
    outgoing = urllib.request.Request(url, data=body, method=method, headers=headers)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(outgoing, timeout=timeout) as reply:
            return Answer(reply.status, reply.headers, reply.read())
    except urllib.error.HTTPError as refusal:
        with refusal:
            return Answer(refusal.code, refusal.headers, refusal.read())


def eventually(look, holds=bool, seconds=READY_SECONDS):
    """Calls `look` until `holds(what it returned)`, and returns that; a test that waits this long has failed."""
    end = time.monotonic() + seconds
    while not holds(seen := look()):
        if time.monotonic() > end:
            raise AssertionError(f"not so within {seconds} s: {seen!r}"[:4000])
        time.sleep(0.05)
    return seen


class Waybill:
    """One server process and its data folder. `stop` and `kill` end the process; `start` on the same object is a restart."""

    def __init__(self, config=None, arguments=(), environment=None, folder=None):
        """`config` is the text of a waybill.yaml; `folder`, when given, is kept by the caller and not removed."""
        self.own_folder = folder is None
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="waybill-test-"))
        self.data = self.folder / "data"
        self.log_path = self.folder / "waybill.log"
        self.config_path = None
        if config is not None:
            self.config_path = self.folder / "waybill.yaml"
            self.config_path.write_text(config)
        self.arguments, self.environment = list(arguments), dict(environment or {})
        self.process, self.address, self.reader = None, None, None

    def start(self):
        command = [str(BINARY), "serve", "--data", str(self.data), "--listen", "127.0.0.1:0"]
        if self.config_path:
            command += ["--config", str(self.config_path)]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command + self.arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                                            env={**os.environ, **self.environment})
        ready = threading.Event()
        self.address = None

        def read():
            # The pipe is read to its end, so that a server that prints more never waits for us.
            with open(self.log_path, "ab") as log:
                for line in self.process.stdout:
                    log.write(line)
                    log.flush()
                    if self.address is None and line.startswith(b"http"):
                        self.address = line.split()[0].decode().rstrip("/")
                        ready.set()
            ready.set()

        self.reader = threading.Thread(target=read, daemon=True)
        self.reader.start()
        if not ready.wait(READY_SECONDS) or self.address is None:
            self.kill()
            raise RuntimeError(f"{' '.join(command + self.arguments)} did not print its address; its log:\n{self.log()}")
        return self

    def stop(self):
        """SIGTERM and the exit status; the log must be whole afterwards."""
        return self.end(signal.SIGTERM)

    def kill(self):
        """SIGKILL, as a crash."""
        return self.end(signal.SIGKILL)

    def end(self, number):
        if self.process is None:
            return None
        self.process.send_signal(number)
        status = self.process.wait(READY_SECONDS)
        self.reader.join()
        self.process.stdout.close()
        self.process = None
        return status

    def close(self):
        self.kill()
        if self.own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_):
        self.close()

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def request(self, method, path, body=None, headers=None, **options):
        return request(method, self.address + path, body, headers, **options)

    def get(self, path, expect=200, **query):
        """A GET that must answer `expect`; its JSON."""
        if query:
            path += "?" + urllib.parse.urlencode(query)
        answer = self.request("GET", path)
        if answer.status != expect:
            raise AssertionError(f"GET {path}: {answer!r}")
        return answer.json

    def post(self, path, body=None, expect=200):
        answer = self.request("POST", path, body if body is not None else b"")
        if answer.status != expect:
            raise AssertionError(f"POST {path}: {answer!r}")
        return answer.json

    def post_events(self, events):
        """POST /events with all of them as one array; the counts it answers."""
        return self.post("/events", list(events))

    def wait_until(self, path, holds, seconds=READY_SECONDS):
        """GETs `path` after every message of the live stream until `holds(answer)`; the answer. Waits on the server, not on a clock."""
        stream = urllib.request.Request(self.address + "/api/v1/stream", headers={"Accept": "text/event-stream"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(stream, timeout=seconds) as messages:
            answer = self.get(path)
            while not holds(answer):
                line = messages.readline()
                if not line:
                    raise AssertionError(f"the stream ended before {path} was as wanted: {json.dumps(answer)[:2000]}")
                if line.strip() == b"":
                    answer = self.get(path)
            return answer
