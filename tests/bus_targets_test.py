"""What rules send: API destinations and their connections, every kind of AWS target, what each is sent, retries, dead letters, and that the
secrets of connections stay where they are."""
import base64
import json
import os
import pathlib
import socket
import subprocess
import threading
import unittest
import urllib.parse

import boto3
import botocore.config

from bus import ACCOUNT, AWS_KEY, AWS_SECRET, REGION, ROLE, Bus, arn
from sinks import TokenServer, WebhookSink, botocore_signature_holds
from waybill import BINARY, eventually

SHOP = {"source": ["shop"]}
ONCE = {"MaximumRetryAttempts": 0}
BASIC = {"AuthorizationType": "BASIC", "AuthParameters": {"BasicAuthParameters": {"Username": "waybill", "Password": "pässword 1"}}}
API_KEY = {"AuthorizationType": "API_KEY", "AuthParameters": {"ApiKeyAuthParameters": {"ApiKeyName": "X-Api-Key", "ApiKeyValue": "the-key"}}}


def oauth(url, **more):
    return {"AuthorizationType": "OAUTH_CLIENT_CREDENTIALS",
            "AuthParameters": {"OAuthParameters": {"AuthorizationEndpoint": url, "HttpMethod": "POST", "ClientParameters": {"ClientID": "us", "ClientSecret": "our secret&1"}, **more}}}


class Targets(Bus):
    def destination(self, events, name, url, connection=None, method="POST", **more):
        """An API destination with a connection of its own: a target."""
        made = events.create_connection(Name=f"{name}-connection", **(connection or API_KEY))
        answer = events.create_api_destination(Name=name, ConnectionArn=made["ConnectionArn"], InvocationEndpoint=url, HttpMethod=method)
        return {"Id": name, "Arn": answer["ApiDestinationArn"], "RoleArn": ROLE, **more}

    def dead(self, server, event):
        delivery, = eventually(lambda: self.deliveries(server, event), lambda found: found and found[0]["status"] == "dead")
        return delivery


class ApiDestinations(Targets):
    def deliver(self, target=None, connection=None, path="/in", method="POST", event=None):
        """One event to a fresh destination: what arrived there, and the event."""
        hook = self.sink(WebhookSink())
        server = self.serve()
        events = self.events(server)
        self.rule(events, "r", SHOP, self.destination(events, "d", f"http://127.0.0.1:{hook.port}{path}", connection, method, **(target or {})))
        identity = self.put(events, **(event or {}))
        arrival, = hook.wait_for(1)
        delivery, = self.ended(server, identity)
        self.assertEqual((delivery["status"], delivery["attempts"], len(hook.arrivals.items)), ("delivered", 1, 1))
        sent = next(e["event"] for e in server.get("/api/v1/events")["events"] if e["event"]["id"] == identity)
        return arrival, sent

    def test_basic_and_the_whole_event(self):
        arrival, event = self.deliver(connection=BASIC, event={"Detail": '{"n": 1.0, "text": "ü"}', "Resources": ["arn:a"]})
        self.assertEqual((arrival.method, arrival.path), ("POST", "/in"))
        self.assertEqual(arrival.headers["Authorization"], "Basic " + base64.b64encode("waybill:pässword 1".encode()).decode())
        self.assertEqual(arrival.json, event)
        self.assertIn(b'"n":1.0', arrival.body)
        self.assertEqual((arrival.headers["User-Agent"], arrival.headers["Content-Type"], arrival.headers["Range"]),
                         ("Amazon/EventBridge/ApiDestinations", "application/json; charset=utf-8", "bytes=0-1048575"))

    def test_an_api_key_and_the_parameters_of_connection_and_target(self):
        more = {"HeaderParameters": [{"Key": "X-Fixed", "Value": "of the connection", "IsValueSecret": True}, {"Key": "X-Both", "Value": "connection"}],
                "QueryStringParameters": [{"Key": "from", "Value": "a b&c"}, {"Key": "both", "Value": "connection"}],
                "BodyParameters": [{"Key": "added", "Value": "to the body"}]}
        connection = {**API_KEY, "AuthParameters": {**API_KEY["AuthParameters"], "InvocationHttpParameters": more}}
        http = {"PathParameterValues": ["$.detail.id", "a/b"], "HeaderParameters": {"X-Type": "$.detail-type", "X-Both": "target", "Host": "elsewhere", "X-Plain": "plain"},
                "QueryStringParameters": {"price": "$.detail.price", "both": "target", "none": "$.detail.none"}}
        arrival, event = self.deliver({"HttpParameters": http}, connection, "/orders/*/parts/*?fixed=1", "PUT", {"Detail": '{"id": "ä 1", "price": 10.50}'})
        path, query = arrival.path.split("?")
        self.assertEqual((arrival.method, path), ("PUT", "/orders/%C3%A4%201/parts/a%2Fb"))
        self.assertEqual(urllib.parse.parse_qs(query, keep_blank_values=True, strict_parsing=True),
                         {"fixed": ["1"], "price": ["10.50"], "none": [""], "from": ["a b&c"], "both": ["connection"]})
        self.assertEqual([arrival.headers[n] for n in ("X-Api-Key", "X-Fixed", "X-Both", "X-Type", "X-Plain")],
                         ["the-key", "of the connection", "connection", "Order Placed", "plain"])
        self.assertTrue(arrival.headers["Host"].startswith("127.0.0.1:"))
        self.assertEqual(arrival.json, {**event, "added": "to the body"})

    def test_input_input_path_and_input_transformer(self):
        event = {"Detail": '{"n": 1.0, "text": "a \\"quoted\\" one", "list": ["A", "B"]}'}
        template = '{"said": <text>, "plain": "<kind>", "n": <n>, "list": <list>, "none": <none>, "rule": <aws.events.rule-name>}'
        paths = {"text": "$.detail.text", "kind": "$.detail-type", "n": "$.detail.n", "list": "$.detail.list", "none": "$.detail.none"}
        cases = [({"Input": '{"fixed": [1, 2.0]}'}, '{"fixed": [1, 2.0]}'), ({"InputPath": "$.detail.list"}, '["A","B"]'), ({"InputPath": "$.detail.n"}, "1.0"),
                 ({"InputPath": "$.detail.none"}, '""'), ({"InputPath": "$.source"}, '"shop"'),
                 ({"InputTransformer": {"InputPathsMap": paths, "InputTemplate": template}},
                  '{"said": "a \\"quoted\\" one", "plain": "Order Placed", "n": 1.0, "list": ["A","B"], "none": "", "rule": "rule-5"}'),
                 ({"InputTransformer": {"InputPathsMap": paths, "InputTemplate": '"<kind> of <n>: <list>"'}}, '"Order Placed of 1.0: [A,B]"')]
        hook = self.sink(WebhookSink())
        server = self.serve()
        events = self.events(server)
        target = self.destination(events, "d", hook.url)
        for n, (given, wanted) in enumerate(cases):
            self.rule(events, f"rule-{n}", {"detail-type": ["Order Placed"], "resources": [f"case-{n}"]}, {**target, **given})
            self.put(events, Resources=[f"case-{n}"], **event)
            arrival = hook.wait_for(n + 1)[n]
            self.assertEqual(arrival.body.decode(), wanted, given)
        for given, part in (({"Input": "no"}, "JSON syntax error in input for target d"), ({"InputPath": "detail"}, "InputPath for target d is invalid."),
                            ({"Input": "{}", "InputPath": "$"}, "Only one of Input, InputPath, or InputTransformer must be provided for target d."),
                            ({"InputTransformer": {"InputPathsMap": {}, "InputTemplate": "{\"a\": <b>}"}}, "InputTemplate for target d contains invalid placeholder b.")):
            with self.refused("ValidationException", part):
                events.put_targets(Rule="rule-0", Targets=[{**target, **given}])

    def test_a_token_is_fetched_once_and_again_after_401(self):
        tokens = self.sink(TokenServer("us", "our secret&1"))
        hook = self.sink(WebhookSink(lambda arrival: 200 if arrival.headers["Authorization"] in good else 401))
        good = {"Bearer token-1"}
        server = self.serve()
        events = self.events(server)
        http = {"BodyParameters": [{"Key": "scope", "Value": "orders", "IsValueSecret": False}], "HeaderParameters": [{"Key": "X-Tenant", "Value": "t"}],
                "QueryStringParameters": [{"Key": "v", "Value": "2"}]}
        self.rule(events, "r", SHOP, self.destination(events, "d", hook.url, oauth(tokens.url, OAuthHttpParameters=http)))
        for n in range(3):
            self.ended(server, self.put(events))
        asked, = tokens.arrivals.items
        self.assertEqual((asked.path, asked.headers["X-Tenant"], asked.headers["Content-Type"]), ("/token?v=2", "t", "application/x-www-form-urlencoded"))
        self.assertEqual(dict(urllib.parse.parse_qsl(asked.body.decode(), strict_parsing=True)),
                         {"grant_type": "client_credentials", "client_id": "us", "client_secret": "our secret&1", "scope": "orders"})
        self.assertEqual([a.headers["Authorization"] for a in hook.arrivals.items], ["Bearer token-1"] * 3)
        good.clear()
        good.add("Bearer token-2")
        delivery, = self.ended(server, self.put(events))
        self.assertEqual((delivery["status"], delivery["attempts"]), ("delivered", 2))
        self.assertEqual([a.headers["Authorization"] for a in hook.arrivals.items[3:]], ["Bearer token-1", "Bearer token-2"])
        self.assertEqual(len(tokens.arrivals.items), 2)

    def test_events_that_come_together_share_one_token_or_its_refusal(self):
        tokens = self.sink(TokenServer("us", "our secret&1"))
        hook = self.sink(WebhookSink())
        server = self.serve()
        events = self.events(server)
        self.rule(events, "r", SHOP, self.destination(events, "d", hook.url, oauth(tokens.url)))
        events.put_events(Entries=[{"Source": "shop", "DetailType": "d", "Detail": "{}"}] * 10)
        self.assertEqual({a.headers["Authorization"] for a in hook.wait_for(10)}, {"Bearer token-1"})
        self.assertEqual(len(tokens.arrivals.items), 1)
        events.update_connection(Name="d-connection", AuthParameters={"OAuthParameters": {"ClientParameters": {"ClientID": "us", "ClientSecret": "wrong"}}})
        answer = events.put_events(Entries=[{"Source": "shop", "DetailType": "d", "Detail": "{}"}] * 10)
        for entry in answer["Entries"]:
            self.assertIn("NO_PERMISSIONS: ", self.dead(server, entry["EventId"])["reason"])
        self.assertEqual(len(hook.arrivals.items), 10)

    def test_a_token_that_cannot_be_got(self):
        tokens = self.sink(TokenServer("us", "another secret"))
        late = self.sink(TokenServer("us", "our secret&1", answers=[503, None]))
        hook = self.sink(WebhookSink())
        server = self.serve()
        events = self.events(server)
        self.rule(events, "r", SHOP, self.destination(events, "refused", hook.url, oauth(tokens.url)))
        delivery = self.dead(server, self.put(events))
        self.assertIn("NO_PERMISSIONS: ", delivery["reason"])
        self.assertEqual(delivery["attempts"], 1)
        self.assertEqual(hook.arrivals.items, [])
        self.rule(events, "r2", {"source": ["late"]}, self.destination(events, "late", hook.url, oauth(late.url)))
        delivery, = self.ended(server, self.put(events, Source="late"))
        self.assertEqual((delivery["status"], delivery["attempts"]), ("delivered", 3))
        self.assertEqual([a.headers["Authorization"] for a in hook.arrivals.items], ["Bearer token-1"])

    def test_a_connection_that_is_changed_or_gone_counts_for_the_next_attempt(self):
        hook = self.sink(WebhookSink())
        server = self.serve()
        events = self.events(server)
        self.rule(events, "r", SHOP, self.destination(events, "d", hook.url))
        self.ended(server, self.put(events))
        events.update_connection(Name="d-connection", AuthParameters={"ApiKeyAuthParameters": {"ApiKeyValue": "another"}})
        server.kill()
        server.start()
        events = self.events(server)
        self.ended(server, self.put(events))
        self.assertEqual([a.headers["X-Api-Key"] for a in hook.arrivals.items], ["the-key", "another"])
        events.deauthorize_connection(Name="d-connection")
        self.assertIn("NO_PERMISSIONS: ", self.dead(server, self.put(events))["reason"])
        events.delete_api_destination(Name="d")
        event = self.put(events)
        self.assertIn("NO_RESOURCE: ", self.dead(server, event)["reason"])
        self.assertEqual(len(hook.arrivals.items), 2)

    def test_what_an_answer_means(self):
        hook = self.sink(WebhookSink(lambda arrival: answers.pop(0)))
        server = self.serve()
        events = self.events(server)
        self.rule(events, "r", SHOP, self.destination(events, "d", hook.url, RetryPolicy={"MaximumRetryAttempts": 2}))
        for answers, status, attempts, text in (([500, 429, 204], "delivered", 3, ""), ([None, 200], "delivered", 2, ""), ([(503, {"Retry-After": "0"}, b""), 200], "delivered", 2, ""),
                                                ([400], "dead", 1, "SDK_CLIENT_ERROR: "), ([404], "dead", 1, "SDK_CLIENT_ERROR: "),
                                                ([500, 502, 503], "dead", 3, "responded with HTTP status 503")):
            delivery, = self.ended(server, self.put(events))
            self.assertEqual((delivery["status"], delivery["attempts"], answers), (status, attempts, []))
            self.assertIn(text, delivery["reason"] or "")

    def test_a_slow_or_dead_destination_holds_up_nothing_else(self):
        go = threading.Event()
        self.addCleanup(go.set)
        slow = self.sink(WebhookSink(lambda arrival: go.wait(60) and 200))
        quick = self.sink(WebhookSink())
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))      # bound and not listening: nobody else gets this port
            server = self.serve()
            events = self.events(server)
            self.rule(events, "r", SHOP, self.destination(events, "slow", slow.url), self.destination(events, "quick", quick.url),
                      self.destination(events, "dead", f"http://127.0.0.1:{unused.getsockname()[1]}/"), self.queue("q"))
            sent = [self.put(events) for _ in range(40)]
            self.assertEqual({a.json["id"] for a in quick.wait_for(40)}, set(sent))
            self.assertEqual({m["id"] for m in self.messages("q", 40)}, set(sent))
            self.assertFalse(go.is_set())
            found = [d for e in sent for d in self.deliveries(server, e)]
            self.assertEqual({d["status"] for d in found if ":slow" in d["key"] or ":dead" in d["key"]} & {"delivered"}, set())


class AwsTargets(Targets):
    def test_every_kind_is_called_with_a_signature_that_holds(self):
        server = self.serve()
        events = self.events(server)
        far = "arn:aws:events:eu-west-1:111122223333:event-bus/far"
        kinds = {
            "queue": self.queue("plain"),
            "fifo": self.queue("q.fifo", SqsParameters={"MessageGroupId": "g"}),
            "topic": {"Id": "t", "Arn": arn("sns", "topic")},
            "function": {"Id": "f", "Arn": arn("lambda", "function:fn:live")},
            "machine": {"Id": "m", "Arn": arn("states", "stateMachine:sm"), "RoleArn": ROLE},
            "pipeline": {"Id": "p", "Arn": arn("codepipeline", "orders"), "RoleArn": ROLE},
            "logs": {"Id": "l", "Arn": arn("logs", "log-group:/aws/events/shop")},
            "bus": {"Id": "b", "Arn": far, "RoleArn": ROLE}}
        calls, sent = {}, {}
        for kind, target in kinds.items():
            self.rule(events, kind, {"source": [kind]}, target)
            event = self.put(events, Source=kind, Detail='{"text": "ü & <b>"}', Resources=["arn:a"])
            delivery, = self.ended(server, event)
            self.assertEqual((delivery["status"], delivery["attempts"]), ("delivered", 1), (kind, delivery))
            sent[kind] = next(e["event"] for e in server.get("/api/v1/events?order=desc")["events"] if e["event"]["id"] == event)
            calls[kind] = self.aws.arrivals.items[:]
            self.aws.arrivals.items.clear()
        for kind, made in calls.items():
            self.assertEqual([c.outcome for c in made], ["ok"] * (2 if kind == "logs" else 1), made)
            for call in made:
                self.assertTrue(botocore_signature_holds(call.arrival, AWS_KEY, AWS_SECRET), call)
                self.assertFalse(botocore_signature_holds(call.arrival, AWS_KEY, "another"), call)
                self.assertEqual(call.region, "eu-west-1" if kind == "bus" else REGION)
        self.assertEqual({k: [(c.service, c.operation) for c in made] for k, made in calls.items()}, {
            "queue": [("sqs", "SendMessage")], "fifo": [("sqs", "SendMessage")], "topic": [("sns", "Publish")], "function": [("lambda", "Invoke")],
            "machine": [("states", "StartExecution")], "pipeline": [("codepipeline", "StartPipelineExecution")], "logs": [("logs", "CreateLogStream"), ("logs", "PutLogEvents")],
            "bus": [("events", "PutEvents")]})
        said = {kind: made[-1].parameters for kind, made in calls.items()}
        self.assertEqual(said["queue"]["QueueUrl"], f"{self.aws.url}/{ACCOUNT}/plain")
        self.assertNotIn("MessageGroupId", said["queue"])
        self.assertEqual((said["fifo"]["QueueUrl"], said["fifo"]["MessageGroupId"]), (f"{self.aws.url}/{ACCOUNT}/q.fifo", "g"))
        self.assertEqual(said["topic"]["TopicArn"], arn("sns", "topic"))
        self.assertEqual((said["function"]["FunctionName"], said["function"]["InvocationType"]), (arn("lambda", "function:fn:live"), "Event"))
        self.assertEqual(said["machine"]["stateMachineArn"], arn("states", "stateMachine:sm"))
        self.assertRegex(said["machine"]["name"], "^[A-Za-z0-9_-]{1,80}$")
        self.assertEqual(said["pipeline"]["name"], "orders")
        self.assertRegex(said["pipeline"]["clientRequestToken"], "^[A-Za-z0-9-]{1,128}$")
        self.assertEqual(said["logs"]["logGroupName"], "/aws/events/shop")
        self.assertEqual(calls["logs"][0].parameters, {n: said["logs"][n] for n in ("logGroupName", "logStreamName")})
        bodies = {"queue": said["queue"]["MessageBody"], "fifo": said["fifo"]["MessageBody"], "topic": said["topic"]["Message"], "function": said["function"]["Payload"],
                  "machine": said["machine"]["input"], "logs": said["logs"]["logEvents"][0]["message"]}
        self.assertEqual({k: json.loads(b) for k, b in bodies.items()}, {k: sent[k] for k in bodies})
        entry, = said["bus"]["Entries"]
        self.assertEqual((entry["EventBusName"], entry["Source"], entry["DetailType"], json.loads(entry["Detail"]), entry["Resources"]),
                         (far, "bus", "Order Placed", sent["bus"]["detail"], ["arn:a"]))

    def test_what_an_answer_means(self):
        server = self.serve()
        events = self.events(server)
        self.rule(events, "queue", {"source": ["queue"]}, self.queue("q"))
        self.rule(events, "machine", {"source": ["machine"]}, {"Id": "m", "Arn": arn("states", "stateMachine:sm"), "RoleArn": ROLE})
        self.rule(events, "logs", {"source": ["logs"]}, {"Id": "l", "Arn": arn("logs", "log-group:g")})
        self.rule(events, "topic", {"source": ["topic"]}, {"Id": "t", "Arn": arn("sns", "t")})
        for source, operation, outcomes, status, attempts, text in (
                ("queue", "SendMessage", ["ThrottlingException", 503, None], "delivered", 4, ""),
                ("queue", "SendMessage", ["AWS.SimpleQueueService.NonExistentQueue"], "dead", 1, "NO_RESOURCE: "),
                ("queue", "SendMessage", ["AccessDeniedException"], "dead", 1, "NO_PERMISSIONS: "),
                ("topic", "Publish", ["Throttled"], "delivered", 2, ""),
                ("topic", "Publish", ["NotFound"], "dead", 1, "NO_RESOURCE: "),
                ("machine", "StartExecution", [None, "ExecutionAlreadyExists"], "delivered", 2, ""),
                ("logs", "CreateLogStream", ["ResourceAlreadyExistsException"], "delivered", 1, ""),
                ("logs", "PutLogEvents", [500], "delivered", 2, "")):
            self.aws.outcomes = {operation: list(outcomes)}
            delivery, = self.ended(server, self.put(events, Source=source))
            self.assertEqual((delivery["status"], delivery["attempts"]), (status, attempts), (source, outcomes, delivery))
            self.assertIn(text, delivery["reason"] or "")
        started = [c.parameters["name"] for c in self.aws.arrivals.items if c.operation == "StartExecution"]
        self.assertEqual((len(started), len(set(started))), (2, 1))

    def test_a_dead_letter_is_sent_to_its_queue_with_what_happened(self):
        hook = self.sink(WebhookSink([500, 400]))
        server = self.serve()
        events = self.events(server)
        queue = {"DeadLetterConfig": {"Arn": arn("sqs", "letters")}}
        target = self.destination(events, "d", hook.url, RetryPolicy=ONCE, InputPath="$.detail", **queue)
        rule = self.rule(events, "r", SHOP, target)

        def letter(n):
            call = self.aws.wait_for(n, lambda c: c.operation == "SendMessage")[n - 1]
            self.assertTrue(call.parameters["QueueUrl"].endswith(f"/{ACCOUNT}/letters"))
            attributes = call.parameters["MessageAttributes"]
            self.assertEqual({a["DataType"] for a in attributes.values()}, {"String"})
            return call.parameters["MessageBody"], {name: a["StringValue"] for name, a in attributes.items()}
        self.put(events, Detail='{"order": 1.0}')
        body, attributes = letter(1)
        failed = "Unable to invoke ApiDestination endpoint: API destination endpoint responded with HTTP status "
        self.assertEqual(body, '{"order":1.0}')
        self.assertEqual(attributes, {"RULE_ARN": rule, "TARGET_ARN": target["Arn"], "ERROR_CODE": "SDK_CLIENT_ERROR", "ERROR_MESSAGE": failed + "500",
                                      "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts", "RETRY_ATTEMPTS": "0"})
        self.put(events, Detail='{"order": 2}')
        body, attributes = letter(2)
        self.assertEqual((body, attributes), ('{"order":2}', {"RULE_ARN": rule, "TARGET_ARN": target["Arn"], "ERROR_CODE": "SDK_CLIENT_ERROR", "ERROR_MESSAGE": failed + "400",
                                                              "RETRY_ATTEMPTS": "0"}))
        # What is made no JSON by its template is not sent, and its event is not lost.
        broken = {"InputTransformer": {"InputPathsMap": {"t": "$.detail.t"}, "InputTemplate": '{"t": "<t>"}'}}
        self.rule(events, "broken", {"source": ["broken"]}, {**self.queue("q"), **queue, **broken})
        event = self.put(events, Source="broken", Detail='{"t": "a \\"b\\""}')
        body, attributes = letter(3)
        self.assertEqual((json.loads(body)["id"], attributes["ERROR_CODE"], attributes["TARGET_ARN"]), (event, "INVALID_JSON", arn("sqs", "q")))
        self.assertEqual(len(hook.arrivals.items), 2)

    def waybill(self, server, *arguments):
        done = subprocess.run([BINARY, *arguments], capture_output=True, text=True, env={**os.environ, "WAYBILL_URL": server.address})
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_without_an_endpoint_it_is_a_dead_letter_that_is_seen_and_sent_again(self):
        server = self.serve(service="sqs")
        events = self.events(server)
        self.rule(events, "r", SHOP, {"Id": "f", "Arn": arn("lambda", "function:fn")}, self.queue("q"))
        event = self.put(events)
        one, two = sorted(self.ended(server, event, 2), key=lambda d: d["target"])
        self.assertEqual((one["status"], one["attempts"], two["status"]), ("dead", 1, "delivered"))
        self.assertTrue(one["reason"].startswith("NO_RESOURCE: nothing here serves " + arn("lambda", "function:fn")), one)
        listed = self.waybill(server, "dlq", "list")
        for part in (one["deliveryId"], "NO_RESOURCE", arn("lambda", "function:fn")):
            self.assertIn(part, listed)
        self.assertNotIn(two["deliveryId"], listed)
        # The endpoint is configured, and the letter sent once more.
        server.stop()
        server.config_path.write_text(server.config_path.read_text().replace("service: sqs", 'service: "*"'))
        server.start()
        self.assertIn("1 delivery is on the way again", self.waybill(server, "dlq", "redrive", one["deliveryId"]))
        call, = self.aws.wait_for(1, lambda c: c.operation == "Invoke")
        self.assertEqual(json.loads(call.parameters["Payload"])["id"], event)
        eventually(lambda: self.deliveries(server, event), lambda found: {d["status"] for d in found} == {"delivered"})
        self.assertIn("no dead letters", self.waybill(server, "dlq", "list"))

    def test_redrive_sends_what_the_target_was_when_the_event_came(self):
        self.aws.outcomes = {"SendMessage": ["AccessDeniedException"]}
        server = self.serve()
        events = self.events(server)
        self.rule(events, "r", SHOP, self.queue("old", Input='"old"'))
        event = self.put(events)
        self.dead(server, event)
        events.put_targets(Rule="r", Targets=[self.queue("old", Input='"new"')])
        self.waybill(server, "dlq", "redrive", "--all")
        self.assertEqual(self.messages("old"), ["old"])
        events.remove_targets(Rule="r", Ids=["old"])
        events.delete_rule(Name="r")
        delivery, = eventually(lambda: self.deliveries(server, event), lambda found: found[0]["status"] == "delivered")
        self.assertEqual(delivery["attempts"], 2)

    def test_deliveries_go_on_after_a_kill(self):
        hold = threading.Event()
        self.addCleanup(hold.set)
        self.aws.outcomes = {"SendMessage": [lambda call: "ok" if hold.wait(60) else 503] * 4}
        server = self.serve()
        events = self.events(server)
        self.rule(events, "r", SHOP, self.queue("q"))
        sent = [self.put(events) for _ in range(30)]
        server.kill()
        hold.set()
        server.start()
        for event in sent:
            delivery, = self.ended(server, event)
            self.assertEqual(delivery["status"], "delivered")
        taken = {json.loads(c.parameters["MessageBody"])["id"] for c in self.aws.arrivals.items if c.outcome == "ok"}
        self.assertEqual(taken, set(sent))

    def test_a_dead_letter_is_tried_again(self):
        self.aws.outcomes = {"SendMessage": [503]}
        hook = self.sink(WebhookSink([400]))
        server = self.serve()
        events = self.events(server)
        self.rule(events, "r", SHOP, self.destination(events, "d", hook.url, RetryPolicy=ONCE, DeadLetterConfig={"Arn": arn("sqs", "letters")}))
        self.put(events)
        self.assertEqual([c.outcome for c in self.aws.wait_for(2)], ["InternalFailure", "ok"])

    def test_a_removed_target_keeps_its_policy_for_what_was_planned(self):
        go = threading.Event()
        self.addCleanup(go.set)
        self.aws.outcomes = {"SendMessage": [lambda call: go.wait(60) and 503]}
        server = self.serve()
        events = self.events(server)
        self.rule(events, "r", SHOP, self.queue("q", RetryPolicy=ONCE, DeadLetterConfig={"Arn": arn("sqs", "letters")}))
        event = self.put(events)
        eventually(lambda: self.deliveries(server, event), lambda found: found and found[0]["attempts"] == 1)
        events.remove_targets(Rule="r", Ids=["q"])
        events.delete_rule(Name="r")
        go.set()
        delivery, = self.ended(server, event)
        self.assertEqual((delivery["status"], delivery["attempts"]), ("dead", 1))
        call, = self.aws.wait_for(1, lambda c: c.outcome == "ok")
        self.assertTrue(call.parameters["QueueUrl"].endswith("/letters"))


class Secrets(Targets):
    def test_secrets_of_connections_are_in_no_log_answer_or_message(self):
        secrets = {name: f"zq{name}9f1{'x' * 24}" for name in ("password", "key", "client", "header", "query", "body", "oauthbody", "updated", "token")}
        hook = self.sink(WebhookSink([400, None, 500]))
        tokens = self.sink(TokenServer("us", secrets["client"], answers=[403], token=secrets["token"]))
        server = self.serve()
        events = self.events(server)
        http = {"HeaderParameters": [{"Key": "X-S", "Value": secrets["header"], "IsValueSecret": True}],
                "QueryStringParameters": [{"Key": "s", "Value": secrets["query"], "IsValueSecret": True}],
                "BodyParameters": [{"Key": "b", "Value": secrets["body"], "IsValueSecret": True}, {"Key": "open", "Value": "told-to-everybody", "IsValueSecret": False}]}
        connections = {
            "basic": {"AuthorizationType": "BASIC", "AuthParameters": {"BasicAuthParameters": {"Username": "user-of-basic", "Password": secrets["password"]}, "InvocationHttpParameters": http}},
            "key": {"AuthorizationType": "API_KEY", "AuthParameters": {"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": secrets["key"]}}},
            "oauth": oauth(tokens.url, ClientParameters={"ClientID": "us", "ClientSecret": secrets["client"]},
                           OAuthHttpParameters={"BodyParameters": [{"Key": "b", "Value": secrets["oauthbody"], "IsValueSecret": True}]})}
        targets = [self.destination(events, name, hook.url, connection, RetryPolicy={"MaximumRetryAttempts": 1}) for name, connection in connections.items()]
        self.rule(events, "r", SHOP, *targets)
        said = []
        event = self.put(events)
        self.ended(server, event, 3)
        events.update_connection(Name="key-connection", AuthParameters={"ApiKeyAuthParameters": {"ApiKeyValue": secrets["updated"]}})
        event = self.put(events)
        self.ended(server, event, 3)
        self.assertIn("Bearer " + secrets["token"] + "-1", [a.headers.get("Authorization") for a in hook.arrivals.items])
        self.assertIn(secrets["updated"], [a.headers.get("X-Key") for a in hook.arrivals.items])   # they were used
        self.assertIn(secrets["body"], [a.json.get("b") for a in hook.arrivals.items])
        self.assertIn(secrets["client"], tokens.arrivals.items[0].body.decode())
        for name in connections:
            answer = events.describe_connection(Name=f"{name}-connection")
            said.append(json.dumps(answer, default=str))
        self.assertIn("told-to-everybody", said[0])
        self.assertIn("user-of-basic", said[0])
        for broken in ({"AuthorizationType": "BASIC", "AuthParameters": {"BasicAuthParameters": {"Username": "u", "Password": secrets["password"] * 100}}},
                       {"AuthorizationType": "API_KEY", "AuthParameters": {"ApiKeyAuthParameters": {"ApiKeyName": "X:", "ApiKeyValue": secrets["key"] + "\n"}}}):
            with self.assertRaises(Exception) as caught:
                events.create_connection(Name="broken", **broken)
            said.append(str(caught.exception))
        for path in ("/api/v1/deliveries", "/api/v1/events", "/api/v1/status", "/metrics", "/api/v1/config"):
            said.append(server.request("GET", path).body.decode())
        for found in self.deliveries(server, event):
            said.append(json.dumps(server.get("/api/v1/deliveries/" + found["deliveryId"])))
        said += [json.dumps(a, default=str) for a in (events.list_connections(), events.list_api_destinations(), events.list_targets_by_rule(Rule="r"))]
        server.stop()       # everything is written, and a snapshot with it
        said.append(server.log())
        inside, log = [], ""
        for path in sorted(pathlib.Path(server.data).rglob("*")):
            if path.is_file():
                kept = path.relative_to(server.data).parts[0] == "secrets"
                (inside if kept else said).append(path.read_bytes().decode("latin-1"))
                if kept:
                    self.assertEqual(path.stat().st_mode & 0o007, 0, path)
                elif path.relative_to(server.data).parts[0] == "log":
                    log += said[-1]
        self.assertIn("told-to-everybody", log)   # it can be read
        self.assertTrue(any(secrets["updated"] in text for text in inside))
        for name, secret in secrets.items():
            for text in said:
                for form in (secret, base64.b64encode(f"user-of-basic:{secret}".encode()).decode()):
                    self.assertNotIn(form, text, name)


class Fake(Bus):
    """The fake answers as boto3 understands AWS. SQS is left out: Debian's boto3 speaks its older protocol."""

    def client(self, service, secret=AWS_SECRET):
        made = boto3.client(service, endpoint_url=self.aws.url, region_name=REGION, aws_access_key_id=AWS_KEY, aws_secret_access_key=secret,
                            config=botocore.config.Config(retries={"max_attempts": 0}))
        self.addCleanup(made.close)
        return made

    def calls(self, **more):
        machine, group = arn("states", "stateMachine:sm"), {"logGroupName": "g", "logStreamName": "s"}
        return {"Publish": lambda: self.client("sns", **more).publish(TopicArn=arn("sns", "t"), Message="m")["MessageId"],
                "Invoke": lambda: self.client("lambda", **more).invoke(FunctionName=arn("lambda", "function:f"), InvocationType="Event", Payload="{}")["StatusCode"] == 202,
                "StartExecution": lambda: self.client("stepfunctions", **more).start_execution(stateMachineArn=machine, name="n", input="{}")["executionArn"],
                "StartPipelineExecution": lambda: self.client("codepipeline", **more).start_pipeline_execution(name="p")["pipelineExecutionId"],
                "CreateLogStream": lambda: self.client("logs", **more).create_log_stream(**group),
                "PutLogEvents": lambda: self.client("logs", **more).put_log_events(**group, logEvents=[{"timestamp": 1, "message": "m"}]),
                "PutEvents": lambda: self.client("events", **more).put_events(Entries=[{"Source": "s", "DetailType": "d", "Detail": "{}"}])["FailedEntryCount"] == 0}

    def test_calls_errors_and_signatures(self):
        for operation, call in self.calls().items():
            self.assertTrue(call(), operation)
            self.assertEqual((self.aws.arrivals.items[-1].operation, self.aws.arrivals.items[-1].outcome), (operation, "ok"))
            self.aws.outcomes = {operation: ["ThrottlingException"]}
            with self.refused("ThrottlingException", "on purpose"):
                call()
        for operation, call in self.calls(secret="another").items():
            with self.refused("InvalidSignatureException"):
                call()


if __name__ == "__main__":
    unittest.main()
