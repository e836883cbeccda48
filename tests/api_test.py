"""The native API, held to docs/openapi.yaml; what is written is read at once; a stream that breaks loses nothing."""
import http.client
import itertools
import json
import random
import re
import threading
import unittest
import urllib.parse

import yaml

from codepipeline_events import Execution
from waybill import ROOT, Waybill, request

OPENAPI = yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text())
OPERATIONS = {(method.upper(), path): operation for path, item in OPENAPI["paths"].items() for method, operation in item.items()}
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
# Nothing listens on port 9 of a machine that runs tests: each attempt fails, and the first failure is the last.
CONFIG = """
delivery: {max_attempts: 1}
targets:
  team: {type: log}
  gone: {type: webhook, url: "http://127.0.0.1:9/hook"}
policy:
  team: [team, gone]
  wait_for_cause: 0s
"""
TOKEN = "a-token-for-tests-only"


def resolve(node):
    while "$ref" in node:
        at = OPENAPI
        for part in node["$ref"].removeprefix("#/").split("/"):
            at = at[part]
        node = at
    return node


def is_type(value, name):
    if name == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if name == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


KEYWORDS = {"type", "enum", "const", "pattern", "minimum", "maximum", "required", "properties", "additionalProperties", "items", "oneOf",
            "description", "default"}


def check(value, schema, where="$"):
    """What about `value` is not as `schema` says: JSON Schema, as far as the file uses it. An object has no undescribed member."""
    schema = resolve(schema)
    unknown = set(schema) - KEYWORDS
    if unknown:
        raise AssertionError(f"{where}: the checker does not know {unknown}")
    if "oneOf" in schema:
        fits = [not check(value, one, where) for one in schema["oneOf"]]
        return [] if sum(fits) == 1 else [f"{where}: fits {sum(fits)} of the alternatives"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{where}: {value!r} is not one of {schema['enum']}"]
    if "const" in schema and value != schema["const"]:
        return [f"{where}: {value!r} is not {schema['const']!r}"]
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(is_type(value, kind) for kind in kinds):
        return [f"{where}: {value!r} is not {' or '.join(kinds)}"]
    wrong = []
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        wrong.append(f"{where}: {value!r} does not match {schema['pattern']}")
    if is_type(value, "number") and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        wrong.append(f"{where}: {value} is out of range")
    if isinstance(value, list) and "items" in schema:
        for i, item in enumerate(value):
            wrong += check(item, schema["items"], f"{where}[{i}]")
    if isinstance(value, dict):
        properties, others = schema.get("properties", {}), schema.get("additionalProperties", False)
        wrong += [f"{where}: {name} is missing" for name in schema.get("required", []) if name not in value]
        for name, member in value.items():
            if name in properties:
                wrong += check(member, properties[name], f"{where}.{name}")
            elif others is False:
                wrong.append(f"{where}: {name} is not described")
            elif others is not True:
                wrong += check(member, others, f"{where}.{name}")
    return wrong


class Stream:
    """A client of server-sent events that reads what it is told to, and no further."""

    def __init__(self, server, last_id="", **query):
        host = server.address.removeprefix("http://")
        self.connection = http.client.HTTPConnection(host, timeout=60)
        headers = {"Last-Event-ID": last_id} if last_id else {}
        self.connection.request("GET", "/api/v1/stream?" + urllib.parse.urlencode(query), headers=headers)
        self.answer = self.connection.getresponse()
        self.last_id = last_id

    def next(self):
        """(event, id or None, data) of the next message."""
        event, data, own = "message", [], None
        while True:
            line = self.answer.readline()
            if not line:
                raise EOFError("the stream ended")
            line = line.rstrip(b"\n").decode()
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if line == "" and data:
                return event, own, json.loads("\n".join(data))
            if field == "event":
                event = value
            elif field == "data":
                data.append(value)
            elif field == "id":
                self.last_id = own = value

    def close(self):
        self.answer.close()
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def fill(path, **arguments):
    return re.sub(r"\{(\w+)\}", lambda m: urllib.parse.quote(str(arguments[m[1]]), safe=""), path)


class Described(unittest.TestCase):
    """Every operation of the file is called; every answer has a documented status and fits its schema."""

    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(Waybill(CONFIG)) if hasattr(cls, "enterClassContext") else Waybill(CONFIG).__enter__()
        cls.addClassCleanup(cls.server.close)
        cls.failed = Execution("orders", seed=1)
        trigger = {"author-display-name": "Mary Major", "full-repository-name": "mmajor/sample-project", "provider-type": "GitLab",
                   "author-email": "mary@example.com", "commit-message": "Update README", "author-date": "2023-08-16T21:08:08Z",
                   "branch-name": "main", "commit-id": "4f5e", "connection-arn": "arn:aws:codestar-connections:eu-central-1:1:connection/0f",
                   "author-id": "mary"}
        events = cls.failed.fail("Build", "Compile", "exit status 1")
        events[0]["detail"]["execution-trigger"] = trigger
        cls.server.post_events(events)
        cls.server.post_events(Execution("a/b ü", seed=2).succeed())
        gaps = Execution("gaps", seed=3).succeed()
        cls.server.post_events(gaps[-1:] + gaps[3:5])
        dead = cls.server.wait_until("/api/v1/deliveries?status=dead", lambda answer: answer["deliveries"])
        cls.dead = dead["deliveries"][0]["deliveryId"]
        cls.incident = cls.server.get("/api/v1/incidents")["incidents"][0]["incidentId"]
        cls.seen = set()

    def call(self, method, path, body=None, headers=None, query=None, expect=None, **arguments):
        url = fill(path, **arguments) + ("?" + urllib.parse.urlencode(query) if query else "")
        answer = self.server.request(method, url, body, headers)
        with self.subTest(call=f"{method} {url}"):
            self.judge(method, path, answer)
            if expect is not None:
                self.assertEqual(answer.status, expect, answer)
        return answer

    def make_rules(self):
        """One of everything that a bus holds, by the AWS API."""
        def aws(operation, **body):
            answer = self.server.request("POST", "/", body, {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "AWSEvents." + operation})
            self.assertEqual(answer.status, 200, answer)
        bus = "arn:aws:events:us-east-1:000000000000:event-bus/default"
        aws("CreateEventBus", Name="orders", Description="of the shop")
        aws("PutRule", Name="failed", EventPattern='{"source": [{"prefix": "aws."}], "detail": {"state": ["FAILED"]}}', Description="d", Tags=[{"Key": "a", "Value": "b"}])
        aws("PutRule", Name="either", EventPattern='{"$or": [{"source": ["a"]}, {"source": ["b"]}]}', EventBusName="orders", State="DISABLED")
        aws("PutRule", Name="nightly", ScheduleExpression="cron(0 18 ? * MON-FRI *)")
        queue = "arn:aws:sqs:us-east-1:000000000000:q"
        aws("PutTargets", Rule="failed", Targets=[{"Id": "1", "Arn": queue, "DeadLetterConfig": {"Arn": queue}}, {"Id": "2", "Arn": bus.replace("default", "orders"), "RoleArn": "arn:aws:iam::000000000000:role/r"}])
        aws("CreateArchive", ArchiveName="all", EventSourceArn=bus, EventPattern='{"source": ["shop"]}', RetentionDays=3)
        aws("StartReplay", ReplayName="again", EventSourceArn=bus.replace("event-bus/default", "archive/all"), EventStartTime=0, EventEndTime=1, Destination={"Arn": bus})

    def judge(self, method, path, answer):
        described = resolve(OPERATIONS[method, path]["responses"].get(str(answer.status), {}))
        self.assertTrue(described, f"{method} {path}: {answer!r} is not described")
        self.seen.add((method, path, answer.status))
        for name in described.get("headers", {}):
            self.assertIn(name, answer.headers)
        kind = answer.headers.get_content_type()
        self.assertIn(kind, described["content"])
        if kind == "application/json":
            self.assertEqual(check(answer.json, described["content"][kind]["schema"]), [])

    def test_the_file_has_the_servers_routes(self):
        table = re.findall(r'^    \{"(GET|POST)", "(/[^"]*)", ', (ROOT / "src" / "server" / "native_api.cpp").read_text(), re.MULTILINE)
        self.assertGreater(len(table), 10)
        routes = {(method, "/api/v1" + path) for method, path in table}
        routes |= {("POST", "/events"), ("GET", "/api/v1/stream"), ("GET", "/metrics")}
        self.assertEqual(routes, set(OPERATIONS))

    def test_every_operation(self):
        execution, position = self.failed.id, self.server.get("/api/v1/events")["events"][0]["position"]
        v1, call = "/api/v1", self.call
        # What is there.
        for query in ({}, {"q": "ORD"}, {"status": "Failed"}, {"sort": "attention", "limit": 1}, {"limit": 10000}):
            call("GET", v1 + "/pipelines", query=query, expect=200)
        for name in ("orders", "a/b ü", "gaps"):
            call("GET", v1 + "/pipelines/{name}/executions", name=name, query={"limit": 1}, expect=200)
        for one in self.server.get(v1 + "/pipelines")["pipelines"]:
            for part in ("", "/events", "/receipt"):
                call("GET", v1 + "/executions/{id}" + part, id=one["executionId"], expect=200)
            call("GET", v1 + "/executions/{id}", id=one["executionId"], query={k: one[k] for k in ("pipeline", "account", "region")}, expect=200)
        self.assertEqual(call("GET", v1 + "/executions/{id}", id=execution).json["commit"]["message"], "Update README")
        for query in ({}, {"status": "open"}, {"status": "resolved"}, {"pipeline": "orders"}):
            call("GET", v1 + "/incidents", query=query, expect=200)
        for part in ("", "/receipt"):
            call("GET", v1 + "/incidents/{id}" + part, id=self.incident, expect=200)
        for query in ({}, {"status": "dead"}, {"status": "pending"}, {"status": "delivered", "kind": "notify"}, {"kind": "retry"}, {"executionId": execution}):
            call("GET", v1 + "/deliveries", query=query, expect=200)
        for delivery in self.server.get(v1 + "/deliveries")["deliveries"]:
            for part in ("", "/receipt"):
                call("GET", v1 + "/deliveries/{id}" + part, id=delivery["deliveryId"], expect=200)
        for one in (execution, self.incident, self.dead):
            call("GET", v1 + "/why/{id}", id=one, expect=200)
        for query in ({}, {"order": "desc"}, {"source": "aws.codepipeline", "limit": 2}, {"pipeline": "orders"}, {"executionId": execution, "order": "desc"},
                      {"detailType": "CodePipeline Stage Execution State Change"}, {"from": position}):
            self.assertTrue(call("GET", v1 + "/events", query=query, expect=200).json["events"])
        call("GET", v1 + "/events/{position}", position=position, expect=200)
        self.assertTrue(call("GET", v1 + "/search", query={"q": "README"}, expect=200).json["results"])
        self.make_rules()
        for path in ("/rules", "/rules/export", "/buses", "/archives", "/replays"):
            self.assertTrue(call("GET", v1 + path, expect=200).json[path.split("/")[1]], path)
        for rule, status in (("failed", 200), ("either", 200), ("nightly", 400), ("nowhere", 404)):
            call("POST", v1 + "/rules/explain", {"source": "a", "detail": {"state": ["x", "y"]}}, query={"rule": rule}, expect=status)
        call("GET", v1 + "/health", expect=200)
        call("GET", "/metrics", expect=200)
        call("POST", v1 + "/sql", {"query": "SELECT 1, 2.5, 'x', NULL, x'00'"}, expect=200)
        call("POST", v1 + "/deliveries/redrive", {"ids": [self.dead]}, expect=200)
        self.server.wait_until(v1 + "/deliveries?status=dead", lambda answer: any(d["deliveryId"] == self.dead for d in answer["deliveries"]))
        call("POST", v1 + "/deliveries/{id}/redrive", b"", id=self.dead, expect=202)
        call("POST", "/events", Execution("more", seed=9).start(), expect=200)
        self.addCleanup(self.server.wait_until, v1 + "/deliveries?status=pending", lambda answer: not answer["deliveries"])

        # What is not, and what cannot be meant.
        for path in ("/pipelines", "/incidents", "/deliveries", "/events", "/rules", "/rules/export", "/buses", "/archives", "/replays"):
            for query in ({"limit": 0}, {"limit": "x"}, {"limit": 10001}, {"cursor": "x"}):
                call("GET", v1 + path, query=query, expect=400)
        for path, query in (("/pipelines", {"status": "Odd"}), ("/pipelines", {"sort": "size"}), ("/incidents", {"status": "odd"}), ("/deliveries", {"status": "odd"}),
                            ("/deliveries", {"kind": "odd"}), ("/events", {"order": "up"}), ("/events", {"from": "x"}), ("/events", {"from": position + 1}),
                            ("/search", {}), ("/stream", {"from": "x"}), ("/stream", {"from": position + 1})):
            call("GET", v1 + path, query=query, expect=400)
        call("GET", v1 + "/pipelines/{name}/executions", name="orders", query={"limit": -1}, expect=400)
        call("GET", v1 + "/stream", headers={"Last-Event-ID": "7.x"}, expect=400)
        call("GET", v1 + "/pipelines/{name}/executions", name="nowhere", expect=404)
        for path in ("/executions/{id}", "/executions/{id}/events", "/executions/{id}/receipt", "/incidents/{id}", "/incidents/{id}/receipt",
                     "/deliveries/{id}", "/deliveries/{id}/receipt", "/why/{id}"):
            for one in ("nothing", "inc-0", "d-1-1", "\0", "x" * 5000, "%"):
                call("GET", v1 + path, id=one, expect=404)
        call("GET", v1 + "/events/{position}", position="x", expect=400)
        call("GET", v1 + "/events/{position}", position=1, expect=404)
        call("POST", v1 + "/deliveries/{id}/redrive", b"", id="d-1-1", expect=404)
        call("POST", v1 + "/deliveries/redrive", {"ids": ["d-1-1"]}, expect=404)
        for query, body in (({}, {}), ({"rule": "failed"}, b""), ({"rule": "failed"}, b"[]"), ({"rule": "failed", "bus": "arn:aws:sqs:::q"}, {})):
            call("POST", v1 + "/rules/explain", body, query=query, expect=400)
        call("POST", v1 + "/rules/explain", {"detail": "x" * (2 << 20)}, query={"rule": "failed"}, expect=413)
        for path in ("/deliveries/redrive", "/sql"):
            for body in (b"", b"[]", b"{", b"\xff", {"ids": ["x"], "query": 1}):
                call("POST", v1 + path, body, expect=400)
            call("POST", v1 + path, {"query": "x" * 100_000}, expect=413)
        for query in ("DELETE FROM executions", "SELECT", "PRAGMA journal_mode = OFF", "ATTACH 'other.db' AS other", "SELECT 1; SELECT 2"):
            call("POST", v1 + "/sql", {"query": query}, expect=400)
        call("POST", "/events", b"", {"Content-Type": "application/json"}, expect=400)
        call("POST", "/events", b"x", {"Content-Type": "text/plain"}, expect=415)

        # Who may not, for all of them.
        config = "security: {tokens: [%s]}" % TOKEN
        with Waybill(config) as guarded:
            for method, path in OPERATIONS:
                url = guarded.address + fill(path, name="x", id="x", position=1)
                for headers, status in (({}, 401), ({"Authorization": "Bearer wrong"}, 401), ({"Authorization": "Basic " + TOKEN}, 401),
                                        ({"Authorization": "Bearer " + TOKEN, "Origin": "http://evil.example"}, 403),
                                        ({"Authorization": "Bearer " + TOKEN, "Host": "evil.example"}, 403)):
                    answer = request(method, url, b"" if method == "POST" else None, headers)
                    with self.subTest(call=f"{method} {path} {headers}"):
                        self.assertEqual(answer.status, status)
                        self.judge(method, path, answer)
            self.assertEqual(request("GET", guarded.address + "/api/v1/health", headers={"Authorization": "bearer " + TOKEN}).status, 200)

        # The messages of the stream.
        messages = OPERATIONS["GET", "/api/v1/stream"]["x-messages"]
        told = set()
        with Stream(self.server, **{"from": 0}) as stream:
            self.judge("GET", "/api/v1/stream", StreamAnswer(stream.answer))
            while told != {"hello", "transition", "delivery", "incident"}:
                event, own, data = stream.next()
                told.add(event)
                self.assertEqual(check(data, messages[event]), [])
                self.assertEqual(own is None, event == "hello")
        with Stream(self.server, view="pipelines", **{"from": 0}) as stream:
            self.assertEqual(stream.next()[0], "hello")
            event, _, data = stream.next()
            self.assertEqual((event, check(data, messages["pipelines"])), ("pipelines", []))

        # 503 takes a full queue or disk, 408 a client that stops (post_events_test).
        wanted = {(method, path, int(status)) for (method, path), operation in OPERATIONS.items() for status in operation["responses"]
                  if status not in ("503", "408") and (path, status) != ("/events", "413")}
        self.assertEqual(wanted - self.seen, set())

    def test_other_methods_and_paths(self):
        for method, path in (("POST", "/api/v1/pipelines"), ("DELETE", "/api/v1/executions/x"), ("GET", "/api/v1/sql"), ("POST", "/api/v1/stream"), ("POST", "/metrics"),
                             ("PUT", "/events")):
            answer = self.server.request(method, path, b"" if method in ("POST", "PUT") else None)
            self.assertEqual(answer.status, 405, (method, path))
            self.assertNotIn(method, answer.headers["Allow"].split(", "))
            self.assertEqual(check(answer.json, {"$ref": "#/components/schemas/Error"}), [])
        for path in ("/api/v1/nothing", "/api/v1/", "/api/v1/executions/a/b/c", "/api/v2/health"):
            self.assertEqual(self.server.request("GET", path).status, 404, path)
        head = self.server.request("HEAD", "/api/v1/health")
        self.assertEqual((head.status, head.body), (200, b""))

    def test_pages_hold_everything_once(self):
        for path, name, key in (("/api/v1/pipelines", "pipelines", "pipeline"), ("/api/v1/deliveries", "deliveries", "deliveryId"),
                                ("/api/v1/events", "events", "position"), ("/api/v1/events?order=desc", "events", "position")):
            whole = [row[key] for row in self.server.get(path + ("&" if "?" in path else "?") + "limit=1000")[name]]
            paged, cursor = [], ""
            while cursor is not None:
                page = self.server.get(path + ("&" if "?" in path else "?") + "limit=2" + (f"&cursor={cursor}" if cursor else ""))
                paged += [row[key] for row in page[name]]
                cursor = page["nextCursor"]
            self.assertEqual(paged, whole, path)
            self.assertGreater(len(whole), 2, path)

    def test_the_checker_finds_what_is_wrong(self):
        good = self.server.get("/api/v1/health")
        schema = {"$ref": "#/components/schemas/Health"}
        self.assertEqual(check(good, schema), [])
        for bad in ({**good, "more": 1}, {k: v for k, v in good.items() if k != "version"}, {**good, "status": "fine"}, {**good, "uptimeMs": "1"},
                    {**good, "uptimeMs": 1.5}, {**good, "position": -1}, {**good, "acceptingEvents": 1}, {**good, "history": {"position": 1}}):
            self.assertNotEqual(check(bad, schema), [], bad)


class StreamAnswer:
    def __init__(self, answer):
        self.status, self.headers = answer.status, answer.headers


class Paging(unittest.TestCase):
    def test_pages_of_pipelines_hold_everything_once_while_new_ones_arrive(self):
        with Waybill(CONFIG) as server:
            known = {"a/b ü", "orders", "web", "zeta", "batch"}
            for seed, name in enumerate(sorted(known)):
                run = Execution(name, seed=seed)
                server.post_events(run.succeed() if seed % 2 else run.fail("Build", "Compile"))
            for sort in ("name", "attention"):
                paged, cursor, number = [], None, 0
                while number == 0 or cursor is not None:
                    page = server.get("/api/v1/pipelines", limit=2, sort=sort, **({"cursor": cursor} if cursor else {}))
                    paged += [p["pipeline"] for p in page["pipelines"]]
                    cursor, number = page["nextCursor"], number + 1
                    # One that stands before all that were shown, in either order.
                    server.post_events(Execution(f"!{sort}-{9 - number}", seed=number).fail("Build", "Compile"))
                self.assertGreater(number, 2)
                self.assertEqual(len(paged), len(set(paged)), paged)
                self.assertLessEqual(known, set(paged))
            for cursor in ("2", "zz", "00", "0000", "000000000000", "é"):
                server.get("/api/v1/pipelines", expect=400, cursor=cursor)


class ReadAfterWrite(unittest.TestCase):
    """What is acknowledged is read at once, from every endpoint; what is read is durable."""

    def test_every_read_sees_it(self):
        with Waybill(CONFIG) as server:
            for seed in range(30):
                run = Execution(f"pipeline-{seed % 7}", seed=seed)
                run.pass_time(1000 * seed)
                events = run.fail("Build", "Compile", f"summary{seed}x")
                acknowledged = server.post_events(events)
                self.assertEqual(acknowledged["accepted"], len(events))
                for path in ("/api/v1/health", "/api/v1/pipelines", f"/api/v1/executions/{run.id}", "/api/v1/incidents", "/api/v1/deliveries", "/api/v1/events"):
                    answer = server.request("GET", path)
                    self.assertGreaterEqual(int(answer.headers["Waybill-Position"]), acknowledged["position"], path)
                row = next(r for r in server.get("/api/v1/pipelines")["pipelines"] if r["pipeline"] == run.pipeline)
                self.assertEqual((row["executionId"], row["status"]), (run.id, "Failed"))
                # In turn the first read after the write, so that none profits from another's wait.
                reads = [
                    lambda: self.assertEqual(server.get(f"/api/v1/pipelines/{run.pipeline}/executions")["executions"][0]["executionId"], run.id),
                    lambda: self.assertEqual(server.get(f"/api/v1/executions/{run.id}")["status"], "Failed"),
                    lambda: self.assertEqual(len(server.get(f"/api/v1/executions/{run.id}/events")["events"]), len(events) + 1),
                    lambda: self.assertTrue(server.get(f"/api/v1/executions/{run.id}/receipt")["decisions"]),
                    lambda: self.assertIn(run.id, str(server.get("/api/v1/incidents"))),
                    lambda: self.assertTrue(server.get(f"/api/v1/deliveries?executionId={run.id}")["deliveries"]),
                    lambda: self.assertTrue(server.get(f"/api/v1/events?executionId={run.id}")["events"]),
                    lambda: self.assertEqual(server.get(f"/api/v1/search?q=summary{seed}x")["results"][0]["executionId"], run.id),
                    lambda: self.assertEqual(server.post("/api/v1/sql", {"query": f"SELECT count(*) FROM executions WHERE execution_id = '{run.id}'"})["rows"], [[1]]),
                    lambda: self.delivery_is_told_whole(server, run),
                ]
                server.post_events([{**run.finish("FAILED")[0]}])
                reads = reads[seed % len(reads):] + reads[:seed % len(reads)]
                for read in reads:
                    read()

    def delivery_is_told_whole(self, server, run):
        delivery = server.get(f"/api/v1/deliveries?executionId={run.id}")["deliveries"][0]["deliveryId"]
        self.assertTrue(server.get(f"/api/v1/deliveries/{delivery}/receipt")["decisions"])
        if delivery in str(server.get("/api/v1/deliveries?kind=notify")):
            self.assertIsNotNone(server.get(f"/api/v1/deliveries/{delivery}")["message"])

    def test_a_delivery_is_told_whole_at_once(self):
        """The id is taken from the stream, so that no earlier read has waited for the history."""
        with Waybill(CONFIG) as server, Stream(server) as stream:
            stream.next()
            for seed in range(20):
                run = Execution("orders", seed=seed)
                server.post_events(run.fail("Build", "Compile"))
                while True:
                    event, _, data = stream.next()
                    if event == "delivery" and data["executionId"] == run.id and data["kind"] == "notify":
                        break
                self.assertTrue(server.get(f"/api/v1/deliveries/{data['deliveryId']}/receipt")["decisions"])
                self.assertIsNotNone(server.get(f"/api/v1/deliveries/{data['deliveryId']}")["message"])


class Order(unittest.TestCase):
    """Whatever the order of arrival, and however often, the state is the same; the table never goes back."""

    def test_permutations(self):
        chance = random.Random(5)
        run = Execution("p", stages=[("Build", ["Compile"])], seed=4)
        events = run.fail("Build", "Compile") + run.retry("Build") + run.resume("Build")
        volatile = re.compile(r'"(executionId|pipeline|eventId)":"[^"]*"')
        with Waybill(CONFIG) as server:
            wanted = None
            for n in range(40):
                shuffled = list(events)
                if n:
                    chance.shuffle(shuffled)
                    shuffled += chance.sample(shuffled, 3)
                text = json.dumps(shuffled).replace(run.id, f"{n:08d}-0000").replace('"pipeline": "p"', f'"pipeline": "p{n}"')
                for event in json.loads(text):
                    event["id"] += str(n)
                    self.assertEqual(server.request("POST", "/events", event).status, 200)
                state = volatile.sub("", server.request("GET", f"/api/v1/executions/{n:08d}-0000").body.decode())
                wanted = wanted or state
                self.assertEqual(state, wanted, shuffled)
            self.assertIn('"status":"Succeeded","attempt":2', wanted)

    def test_rows_never_go_back(self):
        runs = [Execution("p", seed=seed) for seed in range(3)]
        events = []
        for n, run in enumerate(runs):
            run.pass_time(1000 * n)
            events += run.succeed()
        random.Random(1).shuffle(events)
        newest = {}
        with Waybill(CONFIG) as server:
            for event in events:
                server.post_events([event])
                row = server.get("/api/v1/pipelines")["pipelines"][0]
                self.assertGreaterEqual(row["lastUpdateTime"], newest.get(row["executionId"], ""))
                newest[row["executionId"]] = row["lastUpdateTime"]
            self.assertEqual((row["executionId"], row["status"]), (runs[-1].id, "Succeeded"))


class Resume(unittest.TestCase):
    def test_nothing_is_lost_or_told_twice(self):
        """While events pour in, a client that keeps losing its connection in the middle of groups sees what one that does not sees."""
        chance = random.Random(3)
        last = Execution("last", seed=0)
        with Waybill(CONFIG) as server:
            def pour():
                for seed in range(60):
                    server.post_events(Execution(f"p{seed % 5}", seed=seed).fail("Build", "Compile"))
                server.post_events(last.start())

            pouring = threading.Thread(target=pour)
            pouring.start()
            pieces, last_id, done, connections = [], "0", False, 0
            while not done:
                connections += 1
                with Stream(server, **({"last_id": last_id} if last_id != "0" else {"from": 0})) as stream:
                    self.assertEqual(stream.next()[0], "hello")
                    for _ in range(chance.randint(1, 25)):
                        event, own, data = stream.next()
                        pieces.append((event, own, data))
                        last_id = own
                        if data.get("executionId") == last.id:
                            done = True
                            break
            pouring.join()
            with Stream(server, **{"from": 0}) as stream:
                stream.next()
                whole = []
                while not whole or whole[-1][2].get("executionId") != last.id:
                    whole.append(stream.next())
        self.assertEqual(pieces, whole)
        self.assertGreater(connections, 20)
        ids = [own for _, own, _ in whole]
        self.assertEqual(len(set(ids)), len(ids), "an id names one message")
        self.assertTrue(any("." in own for own in ids), "no group had two messages: the test shows nothing")
        self.assertEqual(sum(event == "transition" for event, _, _ in whole), 60 * 10 + 1)

    def test_one_execution(self):
        with Waybill(CONFIG) as server:
            one, other, end = (Execution("p", seed=seed) for seed in (1, 2, 3))
            mixed = [event for pair in itertools.zip_longest(one.fail("Build", "Compile"), other.succeed()) for event in pair if event]
            server.post_events(mixed)
            with Stream(server, executionId=one.id, **{"from": 0}) as stream:
                stream.next()
                states = []
                while not states or states[-1]["scope"] != "pipeline" or states[-1]["state"] != "FAILED":
                    event, own, data = stream.next()
                    self.assertEqual(data["executionId"], one.id)
                    if event == "transition":
                        states.append(data)
                self.assertEqual(len(states), 10)


if __name__ == "__main__":
    unittest.main()
