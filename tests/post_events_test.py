"""POST /events: every form of events, good ones among bad ones, and clients that mean harm or are merely broken."""
import copy
import json
import socket
import threading
import unittest

from codepipeline_events import Execution
from waybill import Waybill

NDJSON = {"Content-Type": "application/x-ndjson"}
JSON = {"Content-Type": "application/json"}


def event(**members):
    """A small event of a source that is not tracked."""
    return {"version": "0", "id": "e-1", "detail-type": "Order Placed", "source": "shop", "account": "123456789012", "time": "2026-03-02T09:00:00Z",
            "region": "us-east-1", "resources": [], "detail": {}, **members}


def lines(events):
    return "".join(json.dumps(e) + "\n" for e in events).encode()


def resident_kib(server):
    with open(f"/proc/{server.process.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


class Raw:
    """A connection on which every byte is the test's own."""

    def __init__(self, server, head):
        host, port = server.address.removeprefix("http://").rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=120)
        self.send(f"POST /events HTTP/1.1\r\nHost: {host}:{port}\r\n{head}\r\n\r\n".encode())

    def send(self, data):
        self.socket.sendall(data)

    def chunk(self, data):
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def answer(self):
        """(status, JSON of the body)"""
        with self.socket.makefile("rb") as reader:
            status = int(reader.readline().split()[1])
            length = 0
            while (line := reader.readline().strip()):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            body = reader.read(length)
        self.socket.close()
        return status, json.loads(body)


class Served(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Waybill().__enter__()
        cls.addClassCleanup(cls.server.close)

    def post(self, body, headers=JSON, expect=200):
        answer = self.server.request("POST", "/events", body if isinstance(body, (bytes, str)) else json.dumps(body), headers)
        self.assertEqual(answer.status, expect, answer)
        return answer.json

    def counts(self, answer):
        return answer["accepted"], answer["duplicates"], answer["refused"]


class Forms(Served):
    def test_one_an_array_and_lines(self):
        run = Execution("forms", seed=1).succeed()
        self.assertEqual(self.counts(self.post(run[0])), (1, 0, 0))
        self.assertEqual(self.counts(self.post(run[:3])), (2, 1, 0))
        self.assertEqual(self.counts(self.post(b"\n" + lines(run) + b" \r\n\n", NDJSON)), (len(run) - 3, 3, 0))
        self.assertEqual(self.counts(self.post(lines(run).rstrip(b"\n"), {"Content-Type": "Application/JSONL; charset=utf-8"})), (0, len(run), 0))
        self.assertEqual(self.counts(self.post(json.dumps(run, indent=3))), (0, len(run), 0))
        self.assertEqual(self.counts(self.post(b"[]")), (0, 0, 0))
        self.assertEqual(self.counts(self.post(b"", NDJSON)), (0, 0, 0))
        self.assertEqual(self.server.get("/api/v1/pipelines?q=forms")["pipelines"][0]["status"], "Succeeded")

    def test_an_event_of_another_source_is_kept_and_not_tracked(self):
        before = self.server.get("/api/v1/pipelines")["total"]
        for n, source in enumerate(("shop", "aws.codebuild", "my.pipeline")):
            sent = event(id=f"other-{n}", source=source, detail={"n": 1.0, "big": 12345678901234567, "text": "ü\u2028"}, more={"kept": [True]})
            answer = self.post(sent)
            self.assertEqual(self.counts(answer), (1, 0, 0))
            self.assertEqual(self.server.get("/api/v1/events", source=source)["events"][-1]["event"], sent)
        raw = json.dumps(event(id="text-of-numbers")).replace('"detail": {}', '"detail": {"a": 1.50, "b": 1e3}')
        self.post(raw)
        self.assertIn(b'{"a":1.50,"b":1e3}', self.server.request("GET", "/api/v1/events?source=shop").body)
        self.assertEqual(self.server.get("/api/v1/pipelines")["total"], before)
        self.assertEqual(self.counts(self.post(event(source="aws.codepipeline", **{"id": "ct", "detail-type": "AWS API Call via CloudTrail"}))), (1, 0, 0))

    def test_cloud_events(self):
        run = Execution("cloud", seed=2)
        started, stage = run.start()[0], run.run_stage("Source")[0]
        arn = started["resources"][0]
        binary = {"Content-Type": "application/json", "ce-specversion": "1.0", "CE-Id": "c-1", "ce-source": arn, "ce-time": started["time"],
                  "ce-type": "com.amazonaws.codepipeline.pipeline.STARTED"}
        self.assertEqual(self.counts(self.post(started["detail"], binary)), (1, 0, 0))
        self.assertEqual(self.counts(self.post(started["detail"], binary)), (0, 1, 0))
        structured = {"specversion": "1.0", "id": "c-2", "source": "/aws.codepipeline/123456789012/us-east-1/cloud", "time": stage["time"],
                      "type": "com.amazonaws.codepipeline.stage", "data": stage["detail"], "sequence": "0001", "datacontenttype": "application/json"}
        self.assertEqual(self.counts(self.post(structured, {"Content-Type": "application/cloudevents+json; charset=UTF-8"})), (1, 0, 0))
        execution = self.server.get(f"/api/v1/executions/{run.id}")
        self.assertEqual((execution["pipeline"], execution["status"], [s["stageName"] for s in execution["stages"]]), ("cloud", "InProgress", ["Source"]))
        other = {**structured, "id": "c-3", "source": "urn:shop", "type": "order", "data": {"n": 1.0}, "account": "42"}
        batch = {"Content-Type": "application/cloudevents-batch+json"}
        answer = self.post([structured, other, {**other, "id": "c-4", "specversion": "0.3"}, {**other, "data": [1]}, {**other, "data_base64": "e30="}], batch)
        self.assertEqual(self.counts(answer), (1, 1, 3))
        self.assertEqual([(r["index"], r["field"]) for r in answer["refusals"]], [(2, "specversion"), (3, "data"), (4, "data_base64")])
        kept = self.server.get("/api/v1/events", source="urn:shop")["events"][0]["event"]
        self.assertEqual((kept["id"], kept["detail-type"], kept["detail"], kept["account"]), ("c-3", "order", {"n": 1.0}, "42"))
        self.assertEqual(self.counts(self.post([], batch)), (0, 0, 0))

        for headers, field in (({"ce-id": ""}, "id"), ({"ce-specversion": "2.0"}, "specversion"), ({"ce-time": "soon"}, "time"), ({"ce-id": "%FF"}, "id"),
                               ({"Content-Type": "text/plain"}, "data")):
            self.assertEqual(self.post(started["detail"], {**binary, **headers}, expect=400)["refusals"][0]["field"], field)
        self.post(b"{", binary, expect=400)
        decoded = self.post(event()["detail"], {**binary, "ce-source": "shop%20%C3%BC", "ce-id": '"quoted%22"'})
        self.assertEqual(decoded["accepted"], 1)
        self.assertEqual(self.server.get("/api/v1/events", source="shop ü")["events"][0]["event"]["id"], 'quoted"')

    def test_other_content_types(self):
        for kind in ("text/plain", "application/xml", "application/cloudevents+avro", "application/x-www-form-urlencoded", "multipart/form-data", "json"):
            answer = self.server.request("POST", "/events", b"{}", {"Content-Type": kind})
            self.assertEqual(answer.status, 415, kind)
            self.assertIn("application/x-ndjson", answer.json["error"]["message"])


class GoodAmongBad(Served):
    def test_each_refusal_is_named(self):
        body = [event(id=f"named-{n}") if n % 2 else {"id": n} for n in range(500)]
        for data, headers in ((json.dumps(body).encode(), JSON), (lines(body), NDJSON)):
            answer = self.post(data, headers)
            self.assertEqual(answer["accepted"] + answer["duplicates"], 250)
            self.assertEqual(answer["refused"], 250)
            self.assertEqual(answer["readTo"], data.rindex(b"}") + 1 + (headers is NDJSON))
            self.assertEqual([r["index"] for r in answer["refusals"]], list(range(0, 200, 2)))
            for refusal in answer["refusals"]:
                self.assertEqual((refusal["field"], refusal["reason"]), ("id", "must be a string"))
                self.assertEqual(refusal["line"], refusal["index"] + 1 if headers is NDJSON else None)
                self.assertEqual(data[refusal["byte"]:].startswith(b'{"id": %d}' % refusal["index"]), True)

    def test_rules_of_each_field(self):
        run = Execution("rules", seed=1)
        action = run.start() + run.run_stage("Source")
        action = action[2]
        self.assertIn("Action", action["detail-type"])

        def with_value(path, value):
            changed = copy.deepcopy(action)
            at, names = changed, path.split(".")
            for name in names[:-1]:
                at = at[name]
            if value is None:
                del at[names[-1]]
            else:
                at[names[-1]] = value
            return changed

        cases = [(path, None) for path in ("id", "source", "detail-type", "account", "region", "time", "detail", "detail.pipeline", "detail.execution-id",
                                           "detail.state", "detail.stage", "detail.action", "detail.action-execution-id")]
        cases += [(path, wrong) for path in ("id", "source", "detail-type", "account", "time", "detail.pipeline", "detail.state", "detail.action")
                  for wrong in (1, [], {}, True, "")]
        cases += [("time", "yesterday"), ("time", "2026-02-30T00:00:00Z"), ("detail", "{}"), ("detail", []), ("detail.state", "STOPPED"), ("detail.state", "started"),
                  ("detail-type", "CodePipeline Pipeline Exploded"), ("detail.start-time", "x"), ("detail.pipeline-execution-attempt", "1"),
                  ("detail.pipeline-execution-attempt", 1.5), ("detail.pipeline-execution-attempt", -1), ("detail.pipeline-execution-attempt", 1e300), ("detail.type", []),
                  ("resources", "arn"), ("resources", [1]), ("resources", ["x"] * 51), ("detail.pipeline", "x" * 257), ("detail.execution-result", "x"), ("detail.version", -1)]
        answer = self.server.request("POST", "/events", [with_value(path, value) for path, value in cases]).json
        self.assertEqual([r["field"] for r in answer["refusals"]], [path for path, _ in cases])
        self.assertEqual((answer["accepted"], answer["error"]["kind"]), (0, "invalid"))
        self.assertTrue(all(r["reason"] for r in answer["refusals"]))
        # Null is absent; what AWS leaves out may be left out; what it adds is kept.
        for path, value in (("detail.start-time", None), ("detail.type", None), ("detail.version", None), ("resources", None), ("version", None), ("detail.new", {"x": 1})):
            self.assertEqual(self.post({**with_value(path, value), "id": f"fine-{path}"})["accepted"], 1, path)

    def test_a_broken_document_keeps_what_came_before(self):
        whole = [json.dumps(event(id=f"before-{n}")) for n in range(3)]
        for n, (tail, at) in enumerate((("{\"a\":}]", 0), ("{\"a\": 1", None), ("x]", 0), (",", 0), ("}", 0), ("{} {}]", 3), ("{\"a\": \"\xff\"}]".encode("latin1"), 0))):
            head = "[" + ", ".join(text.replace("before", f"before-{n}") for text in whole) + ", "
            data = head.encode() + (tail if isinstance(tail, bytes) else tail.encode())
            answer = self.post(data, expect=400)
            self.assertEqual(answer["accepted"], 3, tail)
            self.assertEqual(answer["error"]["byte"], len(data) if at is None else len(head) + at, tail)
            # What begins before readTo is counted, and nothing after it.
            self.assertEqual(data[:answer["readTo"]].count(b"before-"), 3)
            self.assertNotIn(b"before-", data[answer["readTo"]:])
        self.assertEqual(len(self.server.get("/api/v1/events?source=shop&limit=1000&detailType=Order+Placed")["events"]) >= 21, True)
        answer = self.post(json.dumps(event(id="first")) + json.dumps(event(id="second")), expect=400)
        self.assertEqual(answer["accepted"], 1)
        self.assertIn("application/x-ndjson", answer["error"]["message"])

    def test_a_broken_line_is_one_line(self):
        good = [json.dumps(event(id=f"line-{n}")).encode() for n in range(4)]
        answer = self.post(b"\n".join([good[0], b"{", good[1], b"\xff\xfe", good[2], b"[1]", good[3], b'{"a":"' + b"x" * 2_000_000 + b'"}']), NDJSON)
        self.assertEqual(self.counts(answer), (4, 0, 4))
        self.assertEqual([r["line"] for r in answer["refusals"]], [2, 4, 6, 8])
        self.assertIn("1114112", answer["refusals"][-1]["reason"])


class Hostile(Served):
    def test_inputs(self):
        text = json.dumps(event())
        inner = '"detail": {}'
        documents = [
            b"", b" ", b"null", b"1", b'"x"', b"tru", b"\0", b"\xef\xbb\xbf{}", b"\xff\xfe{\0}\0", b"{", b"}", b"]", b"[", b"[,]", b"[{},]", b"{}{}", b"{]", b'{"a', b'{"a\\',
            b"[" * 1_000_000, b"]" * 1_000_000, b'{"a":' * 5000 + b"1" + b"}" * 5000, b"[" + b"[]," * 99_999 + b"[]]", json.dumps([1] * 100_000).encode(),
            text.replace(inner, '"detail": {"a": 1e400}').encode(), text.replace(inner, '"detail": {"a": 1' + "0" * 100_000 + "}").encode(),
            text.replace(inner, '"detail": {"a": 01}').encode(), text.replace(inner, '"detail": {"a": NaN}').encode(), text.replace(inner, '"detail": {"a": "\\ud800"}').encode(),
            text.replace(inner, '"detail": {"a": "\\udc00x"}').encode(), text.replace(inner, '"detail": {"a": "\\u12"}').encode(),
            text.replace(inner, '"detail": {"a": "\t"}').encode(), text.replace(inner, '"detail": {"a": "\0"}').encode(), text.replace(inner, '"detail": {"a": "\xff"}').encode("latin1"),
            text.replace(inner, '"detail": {"a": "\xc3"}').encode("latin1"), text.replace(inner, '"detail": {"a": "\xed\xa0\x80"}').encode("latin1"),
            text.replace("e-1", "n" * 1_000_000).encode(), text.replace(inner, '"detail": {"a": "' + "x" * 2_000_000 + '"}').encode(),
            text.replace(inner, '"detail": ' + '{"a":' * 1001 + "1" + "}" * 1001).encode(), text.replace("}", "},").encode(), b"/* */" + text.encode(),
        ]
        for n, document in enumerate(documents):
            with self.subTest(document=document[:60]):
                answer = self.post(document, expect=400)
                self.assertEqual(self.counts(answer)[:2], (0, 0))
                self.assertTrue(answer["error"]["message"])
                self.assertLess(len(answer["error"]["message"]), 1000)
                if document.strip():
                    as_line = self.server.request("POST", "/events", document, NDJSON)
                    self.assertIn(as_line.status, (200, 400))
                    if as_line.status == 200:
                        self.assertIn(document, (b"{}{}",))
        self.assertEqual(self.server.get("/api/v1/health")["status"], "ok")

    def test_odd_but_right(self):
        run = Execution("odd", seed=7)
        odd = run.start()[0]
        odd["detail"].update({"pipeline": "a\0b/\U0001f600 \"\\%2f" + "\u202e", "execution-id": "\0/../x"})
        self.assertEqual(self.post(odd)["accepted"], 1)
        row = next(r for r in self.server.get("/api/v1/pipelines")["pipelines"] if r["executionId"] == "\0/../x")
        self.assertEqual(row["pipeline"], odd["detail"]["pipeline"])
        self.assertEqual(self.server.get("/api/v1/executions/%00%2F..%2Fx")["pipeline"], row["pipeline"])
        # A member that stands twice counts as it stands first, in what is tracked as in what is shown.
        twice = json.dumps({**run.start()[0], "id": "twice"}).replace('"pipeline": "odd"', '"pipeline": "first", "pipeline": "second"')
        self.assertEqual(self.post(twice)["accepted"], 1)
        self.assertEqual(self.server.get("/api/v1/pipelines?q=first")["total"], 1)
        self.assertEqual(self.post('[' + ", ".join([json.dumps(event(id="same"))] * 100_000) + ']')["duplicates"], 99_999)
        deep = json.dumps(event(id="deep")).replace('"detail": {}', '"detail": ' + '{"a":' * 900 + "1" + "}" * 900)
        self.assertEqual(self.post(deep)["accepted"], 1)
        self.assertEqual(self.server.request("GET", "/api/v1/events?order=desc&limit=1").status, 200)

    def test_a_bad_chunk_in_the_middle(self):
        good = lines(event(id=f"chunk-{n}") for n in range(50))
        raw = Raw(self.server, "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked")
        raw.chunk(good + b'{"id": "half')
        raw.send(b"zz\r\nrubbish\r\n")
        status, answer = raw.answer()
        self.assertEqual(status, 400)
        self.assertEqual((answer["accepted"], answer["readTo"]), (50, len(good)))
        self.assertEqual(self.server.get("/api/v1/health")["status"], "ok")

    def test_a_body_without_end(self):
        raw = Raw(self.server, "Content-Type: application/json\r\nContent-Length: 99999999999")
        status, answer = raw.answer()
        self.assertEqual(status, 413)
        self.assertIn("error", answer)

    def test_a_client_that_goes_away(self):
        """What came whole is kept; nobody reads the answer."""
        good = lines(event(id=f"gone-{n}", source="gone") for n in range(20))
        raw = Raw(self.server, f"Content-Type: application/x-ndjson\r\nContent-Length: {len(good) + 100}")
        raw.send(good)
        raw.socket.shutdown(socket.SHUT_WR)
        raw.socket.close()
        # The next acknowledged writes say when the server has noticed.
        for n in range(10_000):
            self.post(event(id=f"poke-{n}"))
            if len(self.server.get("/api/v1/events?source=gone")["events"]) == 20:
                return
        self.fail("what came before the client went away was not kept")

    def test_a_client_that_hangs(self):
        """It is answered 408 and holds nobody up meanwhile."""
        good = lines(event(id=f"hang-{n}", source="hang") for n in range(20))
        raw = Raw(self.server, f"Content-Type: application/x-ndjson\r\nContent-Length: {len(good) + 100}")
        raw.send(good + b'{"half')
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(raw.answer()))
        waiting.start()
        served = 0
        while waiting.is_alive():
            self.assertEqual(self.server.request("POST", "/events", event(id=f"meanwhile-{served}")).status, 200)
            served += 1
            waiting.join(0.2)
        status, answer = answers[0]
        self.assertEqual((status, answer["accepted"], answer["readTo"]), (408, 20, len(good)))
        self.assertGreater(served, 3)


class Streams(unittest.TestCase):
    BOUND_KIB = 160 * 1024  # far below what is sent, above what the caches of a warm server grow by

    def test_memory_is_bounded(self):
        detail = json.dumps({"text": "x" * 100_000})
        template = json.dumps(event(id="ID")).replace('"detail": {}', '"detail": ' + detail).encode()
        with Waybill() as server:
            def send(count, framing, prefix):
                kind = "x-ndjson" if framing == b"\n" else "json"
                raw = Raw(server, f"Content-Type: application/{kind}\r\nTransfer-Encoding: chunked")
                highest, sent = 0, 0
                if framing == b",":
                    raw.chunk(b"[")
                for n in range(count):
                    data = template.replace(b'"ID"', b'"%s-%d"' % (prefix, n)) + (framing if n < count - 1 or framing == b"\n" else b"]")
                    raw.chunk(data)
                    sent += len(data)
                    if n % 50 == 0:
                        highest = max(highest, resident_kib(server))
                raw.send(b"0\r\n\r\n")
                status, answer = raw.answer()
                self.assertEqual((status, answer["accepted"], answer["refused"]), (200, count, 0))
                return max(highest, resident_kib(server)), sent

            send(100, b"\n", b"warm")
            before = resident_kib(server)
            for count, framing, prefix in ((2000, b"\n", b"lines"), (700, b",", b"array")):
                highest, sent = send(count, framing, prefix)
                self.assertLess(highest - before, self.BOUND_KIB, f"{sent} bytes took {highest - before} KiB")
            self.assertEqual(server.get("/api/v1/health")["eventsAccepted"], 2800)

            # One event that never ends is passed over, not kept.
            raw = Raw(server, "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked")
            raw.chunk(b'{"id": "')
            for _ in range(100):
                raw.chunk(b"x" * 1_000_000)
            raw.chunk(b'"}\n' + lines([event(id="after")]))
            raw.send(b"0\r\n\r\n")
            status, answer = raw.answer()
            self.assertEqual((status, answer["accepted"], answer["refused"]), (200, 1, 1))
            self.assertLess(resident_kib(server) - before, self.BOUND_KIB)

    def test_what_is_acknowledged_survives_a_crash(self):
        run = Execution("crash", seed=1).succeed()
        with Waybill() as server:
            accepted = server.post_events(run)
            again = server.post_events(run[:4] + [event(id="new")])
            self.assertEqual((accepted["accepted"], again["accepted"], again["duplicates"]), (len(run), 1, 4))
            before = server.get("/api/v1/events?limit=1000")["events"]
            server.kill()
            server.start()
            self.assertEqual(server.get("/api/v1/events?limit=1000")["events"][:len(before)], before)
            self.assertEqual(server.post_events(run)["duplicates"], len(run))
            self.assertEqual(server.get("/api/v1/pipelines")["pipelines"][0]["status"], "Succeeded")

    def test_many_clients_at_once(self):
        """Everyone is told of their own events; the same event from two clients is new for one of them."""
        with Waybill() as server:
            totals, wrong = [], []

            def client(n):
                own = [event(id=f"own-{n}-{m}") for m in range(50)]
                shared = [event(id=f"shared-{m}") for m in range(50)]
                for m in range(50):
                    answer = server.post_events([own[m], shared[m]])
                    if answer["accepted"] + answer["duplicates"] != 2 or answer["accepted"] < 1:
                        wrong.append(answer)
                    totals.append(answer["accepted"])

            clients = [threading.Thread(target=client, args=(n,)) for n in range(8)]
            for one in clients:
                one.start()
            for one in clients:
                one.join()
            self.assertEqual((wrong, sum(totals)), ([], 8 * 50 + 50))


if __name__ == "__main__":
    unittest.main()
