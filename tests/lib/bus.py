"""What the tests of the EventBridge bus share: clients of the real SDK, rules that end in a fake of AWS, and what was planned for an event.

    class MyTest(Bus):
        def test(self):
            server = self.serve()                       # SQS, SNS, … are self.aws
            events = self.events(server)
            self.rule(events, "orders", {"source": ["shop"]}, self.queue("q"))
            identity = self.put(events, Source="shop")
            self.assertEqual(self.planned(server), [(identity, "q")])
"""
import contextlib
import json
import unittest

import boto3
import botocore.config
import botocore.exceptions

from sinks import AwsFake
from waybill import Waybill, eventually

ACCOUNT, REGION = "000000000000", "us-east-1"
KEYS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "the-callers-key"}
AWS_KEY, AWS_SECRET = "AKIDTARGETS", "the-key-of-the-targets"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/bus"
FENCE = "fence"
QUICK = "delivery: {backoff_first: 50ms, backoff_max: 100ms}\n"


def arn(service, resource, region=REGION):
    return f"arn:aws:{service}:{region}:{ACCOUNT}:{resource}"


class Bus(unittest.TestCase):
    def setUp(self):
        self.fences = set()
        self.aws = self.sink(AwsFake(secret_access_key=AWS_SECRET))

    def sink(self, made):
        self.addCleanup(made.close)
        return made

    def serve(self, config="", service='"*"'):
        """A server whose rules reach self.aws; `service`: only targets of that one do."""
        entry = {"url": self.aws.url, "access_key_id": AWS_KEY, "secret_access_key": AWS_SECRET}
        server = Waybill(f"aws: [{{service: {service}, {json.dumps(entry)[1:-1]}}}]\n" + QUICK + config)
        self.addCleanup(server.close)
        return server.start()

    def events(self, server, **more):
        made = boto3.client("events", endpoint_url=server.address, config=botocore.config.Config(retries={"max_attempts": 0}), **{**KEYS, "region_name": REGION, **more})
        self.addCleanup(made.close)
        return made

    @contextlib.contextmanager
    def refused(self, code, *parts):
        """What is done within is answered with that error, whose message holds these texts."""
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            yield
        error = caught.exception.response["Error"]
        self.assertEqual(error["Code"], code, error)
        for part in parts:
            self.assertIn(part, error["Message"])

    @staticmethod
    def queue(name, **more):
        """A target: the queue of that name, with its name for an id."""
        return {"Id": name, "Arn": arn("sqs", name), **more}

    def rule(self, events, name, pattern, *targets, bus="default", **more):
        answer = events.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps(pattern), **more)
        if targets:
            self.assertEqual(events.put_targets(Rule=name, EventBusName=bus, Targets=list(targets))["FailedEntryCount"], 0)
        return answer["RuleArn"]

    def put(self, events, Detail="{}", **entry):
        """PutEvents of one event; its id."""
        answer = events.put_events(Entries=[{"Source": "shop", "DetailType": "Order Placed", "Detail": Detail, **entry}])
        self.assertEqual(answer["FailedEntryCount"], 0, answer)
        return answer["Entries"][0]["EventId"]

    def deliveries(self, server, event):
        return [d for d in server.get("/api/v1/deliveries", limit=500)["deliveries"] if d["key"].startswith(event + ":") and d["topic"] == "rule"]

    def ended(self, server, event, count=1):
        """The deliveries of an event, once so many of them have ended."""
        def done(found):
            return len(found) >= count and all(d["status"] in ("delivered", "dead", "cancelled") for d in found)
        found = eventually(lambda: self.deliveries(server, event), done)
        self.assertEqual(len(found), count, found)
        return found

    def planned(self, server):
        """(event, target id) of each delivery that rules have planned so far, in order: all of them, because an event that is put now has
        come through to the last place where they are kept."""
        events = self.events(server)
        self.rule(events, FENCE, {"source": [FENCE]}, {"Id": FENCE, "Arn": arn("kinesis", "stream/fence"), "RoleArn": ROLE})
        fence = self.put(events, Source=FENCE)
        self.fences.add(fence)
        eventually(lambda: self.deliveries(server, fence))
        found, cursor = [], {}
        while True:
            page = server.get("/api/v1/deliveries", limit=500, **cursor)
            found += page["deliveries"]
            if not page["nextCursor"]:
                break
            cursor = {"cursor": page["nextCursor"]}
        keys = [d["key"].split(":") for d in reversed(found) if d["topic"] == "rule"]
        return [(key[0], *key[2:]) for key in keys if key[0] not in self.fences]

    def messages(self, queue, count=1):
        """The bodies of the first messages that a queue was sent."""
        calls = self.aws.wait_for(count, lambda c: c.operation == "SendMessage" and c.outcome == "ok" and c.parameters["QueueUrl"].endswith("/" + queue))
        return [json.loads(c.parameters["MessageBody"]) for c in calls]
