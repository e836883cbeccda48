"""PutEvents with the clients people have: Debian's awscli and boto3, and the boto3 of another python3 where there is one."""
import datetime
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import boto3
import botocore.config
import botocore.exceptions

from codepipeline_events import Execution
from waybill import Waybill

AWSCLI = "/usr/bin/aws" if os.path.exists("/usr/bin/aws") else "aws"  # Debian's, whatever else is on the path
KEYS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "the-secret-key"}
GOOD = {"Source": "shop", "DetailType": "Order Placed", "Detail": "{\"n\": 1.0}"}
ARGUMENT = "Parameter {0} is not valid. Reason: {0} is a required argument."
TARGET = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "AWSEvents.PutEvents"}


def client(test, server, service="events", **keys):
    made = boto3.client(service, endpoint_url=server.address, region_name="eu-west-1", config=botocore.config.Config(retries={"max_attempts": 0}), **{**KEYS, **keys})
    test.addCleanup(made.close)
    return made


def environment(**more):
    """For clients that run as programs: no configuration of the machine's own."""
    return {**os.environ, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "the-secret-key", "AWS_DEFAULT_REGION": "eu-west-1", "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_PAGER": "", **more}


class PutEvents(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Waybill().__enter__()
        cls.addClassCleanup(cls.server.close)

    def put(self, *entries):
        return client(self, self.server).put_events(Entries=list(entries))

    def newest(self):
        return self.server.get("/api/v1/events?order=desc&limit=1")["events"][0]["event"]

    def test_an_entry_becomes_an_envelope(self):
        moment = datetime.datetime(2026, 4, 19, 12, 42, 28, tzinfo=datetime.timezone.utc)
        answer = self.put({**GOOD, "Time": moment, "Resources": ["arn:a", "arn:b"], "EventBusName": "default", "TraceHeader": "Root=1-5-e"})
        self.assertEqual(answer["FailedEntryCount"], 0)
        self.assertEqual(set(answer["Entries"][0]), {"EventId"})
        self.assertIn("x-amzn-requestid", answer["ResponseMetadata"]["HTTPHeaders"])
        self.assertEqual(self.newest(), {"version": "0", "id": answer["Entries"][0]["EventId"], "detail-type": "Order Placed", "source": "shop", "account": "000000000000",
                                         "time": "2026-04-19T12:42:28Z", "region": "eu-west-1", "resources": ["arn:a", "arn:b"], "detail": {"n": 1.0}})
        self.assertIn(b'"detail":{"n":1.0}', self.server.request("GET", "/api/v1/events?order=desc&limit=1").body)
        for bus in ("arn:aws:events:eu-west-1:000000000000:event-bus/default", None):
            self.put({**GOOD, "DetailType": f"bus {bus}", **({"EventBusName": bus} if bus else {})})
            self.assertEqual(self.newest()["detail-type"], f"bus {bus}")

    def test_the_access_key_may_name_the_account(self):
        client(self, self.server, aws_access_key_id="123456789012").put_events(Entries=[GOOD])
        self.assertEqual(self.newest()["account"], "123456789012")
        self.assertEqual(client(self, self.server, "sts").get_caller_identity()["Account"], "000000000000")

    def test_the_order_is_kept_and_ids_differ(self):
        answer = self.put(*({**GOOD, "DetailType": f"ten-{n}"} for n in range(10)))
        self.assertEqual(len({e["EventId"] for e in answer["Entries"]}), 10)
        kept = self.server.get("/api/v1/events?order=desc&limit=10")["events"]
        self.assertEqual([e["event"]["id"] for e in reversed(kept)], [e["EventId"] for e in answer["Entries"]])

    def test_refused_entries(self):
        cases = [
            ({"DetailType": "d", "Detail": "{}"}, "InvalidArgument", ARGUMENT.format("Source")),
            ({**GOOD, "Source": ""}, "InvalidArgument", ARGUMENT.format("Source")),
            ({"Source": "s", "Detail": "{}"}, "InvalidArgument", ARGUMENT.format("DetailType")),
            ({"Source": "s", "DetailType": "d"}, "InvalidArgument", ARGUMENT.format("Detail")),
            ({**GOOD, "Detail": ""}, "InvalidArgument", ARGUMENT.format("Detail")),
            *(({**GOOD, "Detail": bad}, "MalformedDetail", "Detail is malformed.") for bad in
              ("detail", "[]", "\"{}\"", "1", "null", "{", "{} {}", "{},\"account\":\"1\"", "}, \"x\": {", "{\"a\":1}}", "{\"a\":01}", "{\"a\":\"\\ud800\"}",
               '{"a":' * 1001 + "1" + "}" * 1001, '{"a": 123456789012345678901234567890}')),
            ({**GOOD, "Source": "aws.codepipeline"}, "NotAuthorizedForSourceException", "Not authorized for the source."),
            ({**GOOD, "Source": "aws."}, "NotAuthorizedForSourceException", "Not authorized for the source."),
            ({**GOOD, "DetailType": "d" * 129}, "InvalidArgument", "Parameter DetailType is not valid. Reason: DetailType must have length less than or equal to 128."),
        ]
        for entry, code, message in cases:
            with self.subTest(entry=str(entry)[:100]):
                answer = self.put(GOOD, entry, GOOD)
                self.assertEqual(answer["FailedEntryCount"], 1)
                self.assertEqual(answer["Entries"][1], {"ErrorCode": code, "ErrorMessage": message})
                self.assertEqual([set(answer["Entries"][n]) for n in (0, 2)], [{"EventId"}] * 2)
                alone = self.put(entry)
                self.assertEqual((alone["FailedEntryCount"], alone["Entries"][0]["ErrorCode"]), (1, code))
                self.assertEqual(self.newest()["id"], answer["Entries"][2]["EventId"], "a refused entry was kept")
        long_source = self.put({**GOOD, "Source": "s" * 257})["Entries"][0]
        self.assertEqual(long_source["ErrorCode"], "InvalidArgument")
        self.assertTrue(long_source["ErrorMessage"].startswith("Parameter Source is not valid. Reason: "), long_source)

    def test_an_unknown_bus_drops_silently(self):
        known = self.put(GOOD)["Entries"][0]["EventId"]
        for bus in ("no-such-bus", "arn:aws:events:eu-west-1:000000000000:event-bus/other"):
            answer = self.put({**GOOD, "EventBusName": bus})
            self.assertEqual((answer["FailedEntryCount"], set(answer["Entries"][0])), (0, {"EventId"}))
        self.assertEqual(self.newest()["id"], known)

    def refused(self, body, headers=None):
        answer = self.server.request("POST", "/", body if isinstance(body, bytes) else json.dumps(body), {**TARGET, **(headers or {})})
        self.assertEqual(answer.status, 400, answer)
        self.assertIn("x-amzn-requestid", answer.headers)
        return answer.json["__type"].split("#")[-1], answer.json.get("message", answer.json.get("Message"))

    def test_refused_requests(self):
        with self.assertRaises(botocore.exceptions.ClientError) as eleven:
            self.put(*[GOOD] * 11)
        error = eleven.exception.response["Error"]
        self.assertEqual(error["Code"], "ValidationException")
        self.assertRegex(error["Message"], r"^1 validation error detected: Value '\[PutEventsRequestEntry\(.*' at 'entries' failed to satisfy constraint: "
                                           r"Member must have length less than or equal to 10$")
        code, message = self.refused({"Entries": []})
        self.assertEqual((code, message), ("ValidationException", "1 validation error detected: Value '[]' at 'entries' failed to satisfy constraint: "
                                                                   "Member must have length greater than or equal to 1"))
        self.assertEqual(self.refused({})[0], "ValidationException")
        for body in (b"", b"{", b"[]", b"\xff", b"null", {"Entries": 1}, {"Entries": [1]}, {"Entries": [{**GOOD, "Source": 1}]}, {"Entries": [{**GOOD, "Time": "soon"}]},
                     {"Entries": [{**GOOD, "Resources": "r"}]}, {"Entries": [{**GOOD, "Resources": [1]}]}, {"Entries": [{**GOOD, "Detail": {}}]}):
            with self.subTest(body=body):
                code = self.refused(body)[0]
                self.assertIn(code, ("SerializationException", "ValidationException"))
        for target, wanted in (("AWSEvents.PutNothing", "UnknownOperationException"), ("AWSEvents.CreatePartnerEventSource", "UnknownOperationException")):
            self.assertEqual(self.refused({}, {"X-Amz-Target": target})[0], wanted)

    def test_size(self):
        """Below 1 MiB by AWS's formula, to the byte: 14 for a time, and the UTF-8 bytes of source, type, detail and resources."""
        fixed = {"Source": "s", "DetailType": "d", "Time": 1776602548, "Resources": ["r"]}
        for detail_bytes, fits in ((1_048_575 - 17, True), (1_048_576 - 17, False)):
            detail = json.dumps({"a": "ü" * ((detail_bytes - 10) // 2)}, ensure_ascii=False)
            detail += " " * (detail_bytes - len(detail.encode()))
            body = json.dumps({"Entries": [{**fixed, "Detail": detail}]})
            if fits:
                answer = self.server.request("POST", "/", body, TARGET)
                self.assertEqual((answer.status, answer.json["FailedEntryCount"]), (200, 0), answer)
            else:
                self.assertEqual(self.refused(body.encode()), ("ValidationException", "Total size of the entries in the request is over the limit."))
        # What is far too long is refused by its length, before it is sent.
        connection = http.client.HTTPConnection(self.server.address.removeprefix("http://"), timeout=60)
        self.addCleanup(connection.close)
        connection.request("POST", "/", headers={**TARGET, "Content-Length": "9000000"})
        self.assertEqual(connection.getresponse().status, 413)

    def test_codepipeline_where_it_is_allowed(self):
        run = Execution("allowed", seed=1, account="000000000000", region="eu-west-1")
        with Waybill("events: {allow_aws_sources: true}") as server:
            entries = [{"Source": e["source"], "DetailType": e["detail-type"], "Detail": json.dumps(e["detail"]), "Time": datetime.datetime.fromisoformat(e["time"].replace("Z", "+00:00"))}
                       for e in run.succeed()]
            for at in range(0, len(entries), 10):
                self.assertEqual(client(self, server).put_events(Entries=entries[at:at + 10])["FailedEntryCount"], 0)
            execution = server.get(f"/api/v1/executions/{run.id}")
            self.assertEqual((execution["status"], execution["account"], execution["gaps"]), ("Succeeded", "000000000000", []))
            bad = client(self, server).put_events(Entries=[{**entries[0], "Detail": "{\"pipeline\": \"p\"}"}, {**entries[0], "DetailType": "CodePipeline Odd"}])
            self.assertEqual([e["ErrorCode"] for e in bad["Entries"]], ["InvalidArgument"] * 2)
            self.assertIn("detail.execution-id", bad["Entries"][0]["ErrorMessage"])
            self.assertTrue(bad["Entries"][1]["ErrorMessage"].startswith("Parameter DetailType is not valid."), bad)

    def test_awscli(self):
        def aws(*arguments, expect=0):
            done = subprocess.run([AWSCLI, "--endpoint-url", self.server.address, *arguments], env=environment(), capture_output=True, text=True, stdin=subprocess.DEVNULL)
            self.assertEqual(done.returncode, expect, done.stderr)
            return json.loads(done.stdout) if expect == 0 else done.stderr

        entry = {**GOOD, "Time": "2026-04-19T12:42:28Z", "Resources": ["arn:a"]}
        answer = aws("events", "put-events", "--entries", json.dumps([entry, {**GOOD, "Detail": "x"}]))
        self.assertEqual((answer["FailedEntryCount"], answer["Entries"][1]), (1, {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}))
        newest = self.newest()
        self.assertEqual((newest["id"], newest["time"], newest["region"]), (answer["Entries"][0]["EventId"], "2026-04-19T12:42:28Z", "eu-west-1"))
        self.assertIn("ValidationException", aws("events", "put-events", "--entries", json.dumps([GOOD] * 11), expect=254))
        self.assertEqual(aws("sts", "get-caller-identity")["Account"], "000000000000")

    def test_every_other_boto3(self):
        """What a newer boto3 sends differs in headers, never in meaning. None on the path is no failure: the other tests have Debian's."""
        program = ("import boto3, json, sys\n"
                   "client = boto3.client('events', endpoint_url=sys.argv[1])\n"
                   "answer = client.put_events(Entries=[json.loads(sys.argv[2]), {'Source': 'aws.x', 'DetailType': 'd', 'Detail': '{}'}])\n"
                   "try:\n    client.put_events(Entries=[json.loads(sys.argv[2])] * 11)\n"
                   "except client.exceptions.ClientError as error:\n    answer['refusal'] = error.response['Error']['Code']\n"
                   "answer['account'] = boto3.client('sts', endpoint_url=sys.argv[1]).get_caller_identity()['Account']\n"
                   "print(json.dumps({k: v for k, v in answer.items() if k != 'ResponseMetadata'}))\n")
        tried = set()
        with tempfile.TemporaryDirectory() as folder:
            for place in [os.path.dirname(sys.executable), *os.get_exec_path()]:
                python = shutil.which("python3", path=place)
                if not python:
                    continue
                found = subprocess.run([python, "-c", "import boto3; print(boto3.__version__)"], env=environment(), cwd=folder, capture_output=True, text=True)
                if found.returncode or found.stdout in tried:
                    continue
                tried.add(found.stdout)
                with self.subTest(boto3=found.stdout.strip()):
                    done = subprocess.run([python, "-c", program, self.server.address, json.dumps(GOOD)], env=environment(), cwd=folder, capture_output=True, text=True)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    answer = json.loads(done.stdout)
                    self.assertEqual((answer["FailedEntryCount"], answer["refusal"], answer["account"]), (1, "ValidationException", "000000000000"))
                    self.assertEqual(answer["Entries"][1]["ErrorCode"], "NotAuthorizedForSourceException")
                    self.assertEqual(self.newest()["id"], answer["Entries"][0]["EventId"])
        self.assertTrue(tried)


if __name__ == "__main__":
    unittest.main()
