"""Rules of event buses as people meet them: the native API's lists and explanations, `waybill rules`, `archives` and `replays`, and the
console's page; made with the AWS API, and read from the real server."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

from waybill import BINARY, ROOT, Waybill

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("WAYBILL_", "AWS_"))}
AWSCLI = "/usr/bin/aws" if os.path.exists("/usr/bin/aws") else "aws"  # Debian's, whatever else is on the path
AWS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "the-secret-key", "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
       "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_PAGER": ""}
# Queues of one account have an endpoint with a key, functions one without; nothing else has any.
CONFIG = """
aws:
  - {service: sqs, account: "000000000000", url: "http://127.0.0.1:9", access_key_id: KEYFORTESTS, secret_access_key: a-secret-key-for-tests}
  - {service: lambda, url: "http://127.0.0.1:9"}
"""
HERE = "us-east-1:000000000000"
PATTERN = {"source": ["aws.codepipeline"], "detail": {"state": ["FAILED", {"prefix": "STOP"}], "attempt": [{"numeric": [">", 1]}]}}


def event(state, **detail):
    return {"version": "0", "id": "1", "source": "aws.codepipeline", "detail-type": "x", "account": "000000000000", "time": "2026-04-19T12:42:28Z",
            "region": "us-east-1", "resources": [], "detail": {"state": state, **detail}}


def arn(service, resource, place=HERE):
    return f"arn:aws:{service}:{place}:{resource}"


def waybill(*arguments, url="http://127.0.0.1:1", stdin="", **environment):
    return subprocess.run([BINARY, *map(str, arguments)], input=stdin, capture_output=True, text=True, encoding="utf-8",
                          env={**ENVIRONMENT, "WAYBILL_URL": url, **environment})


def aws(server, operation, status=200, **body):
    answer = server.request("POST", "/", body, {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "AWSEvents." + operation})
    if answer.status != status:
        raise AssertionError(f"{operation}: {answer!r}")
    return answer.json if answer.body else None


class Rules(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Waybill(CONFIG, environment={name: "" for name in AWS if name.endswith("KEY") or name.endswith("KEY_ID")}).__enter__()
        cls.addClassCleanup(cls.server.close)
        server, bus = cls.server, arn("events", "event-bus/default")
        aws(server, "CreateEventBus", Name="orders", Description="of the shop")
        aws(server, "CreateEventBus", Name="empty")
        aws(server, "PutRule", Name="failed", EventPattern=json.dumps(PATTERN), Description="what failed", Tags=[{"Key": "team", "Value": "web"}])
        connection = aws(server, "CreateConnection", Name="hook", AuthorizationType="API_KEY",
                         AuthParameters={"ApiKeyAuthParameters": {"ApiKeyName": "x-key", "ApiKeyValue": "never-shown"}})["ConnectionArn"]
        cls.destination = aws(server, "CreateApiDestination", Name="hook", ConnectionArn=connection, InvocationEndpoint="http://127.0.0.1:9/in", HttpMethod="PUT")["ApiDestinationArn"]
        role = arn("iam", "role/r", ":000000000000")
        cls.put = [
            {"Id": "queue", "Arn": arn("sqs", "q"), "InputTransformer": {"InputPathsMap": {"s": "$.source"}, "InputTemplate": '{"from": <s>}'},
             "RetryPolicy": {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 600}, "DeadLetterConfig": {"Arn": arn("sqs", "q", "us-east-1:111111111111")}},
            {"Id": "other", "Arn": arn("sqs", "q", "us-east-1:111111111111"), "Input": "{}"},
            {"Id": "function", "Arn": arn("lambda", "function:f")},
            {"Id": "stream", "Arn": arn("kinesis", "stream/s"), "RoleArn": role, "KinesisParameters": {"PartitionKeyPath": "$.id"}},
            {"Id": "hook", "Arn": cls.destination, "RoleArn": role, "HttpParameters": {"HeaderParameters": {"x-a": "b"}}},
        ]
        aws(server, "PutTargets", Rule="failed", Targets=cls.put)
        aws(server, "PutRule", Name="onward", EventPattern='{"source": ["shop"]}')
        aws(server, "PutTargets", Rule="onward", Targets=[{"Id": "bus", "Arn": arn("events", "event-bus/orders"), "RoleArn": role},
                                                        {"Id": "away", "Arn": arn("events", "event-bus/nowhere"), "RoleArn": role}])
        aws(server, "PutRule", Name="nightly", ScheduleExpression="cron(0 18 ? * MON-FRI *)")
        aws(server, "PutRule", Name="failed", EventBusName="orders", EventPattern='{"$or": [{"source": ["a"]}, {"source": ["b"]}]}', State="DISABLED")
        aws(server, "CreateArchive", ArchiveName="kept", EventSourceArn=bus, RetentionDays=3)
        for n in range(3):
            aws(server, "PutEvents", Entries=[{"Source": "shop", "DetailType": "t", "Detail": "{}"}])
        aws(server, "StartReplay", ReplayName="again", EventSourceArn=arn("events", "archive/kept"), EventStartTime=0, EventEndTime=4_000_000_000,
            Destination={"Arn": bus, "FilterArns": [arn("events", "rule/onward")]})

    def rules(self):
        return {(r["bus"], r["name"]): r for r in self.server.get("/api/v1/rules")["rules"]}

    # -- the native API --

    def test_every_rule_with_who_serves_its_targets(self):
        rules = self.rules()
        self.assertEqual(set(rules), {("default", "failed"), ("default", "onward"), ("default", "nightly"), ("orders", "failed")})
        failed = rules["default", "failed"]
        self.assertEqual((failed["account"], failed["region"], failed["arn"], failed["state"], failed["description"], failed["pattern"], failed["schedule"], failed["nextTime"]),
                         ("000000000000", "us-east-1", arn("events", "rule/failed"), "ENABLED", "what failed", PATTERN, None, None))
        targets = {t["id"]: t for t in failed["targets"]}
        self.assertEqual([t["id"] for t in failed["targets"]], ["queue", "other", "function", "stream", "hook"])
        self.assertEqual([t["kind"] for t in failed["targets"]], ["sqs", "sqs", "lambda", "unknown", "api_destination"])
        self.assertEqual({i: t["served"] for i, t in targets.items()}, {"queue": True, "other": False, "function": False, "stream": False, "hook": True})
        self.assertEqual((targets["queue"]["servedBy"], targets["queue"]["unservedReason"]), ("http://127.0.0.1:9", None))
        self.assertEqual((targets["queue"]["deadLetter"]["served"], targets["hook"]["deadLetter"]), (False, None))
        self.assertIn("service sqs, region us-east-1, account 111111111111", targets["other"]["unservedReason"])
        self.assertIn("no credentials", targets["function"]["unservedReason"])
        self.assertIn("kinesis", targets["stream"]["unservedReason"])
        self.assertEqual(targets["hook"]["servedBy"], "PUT http://127.0.0.1:9/in")
        onward = {t["id"]: t for t in rules["default", "onward"]["targets"]}
        self.assertEqual({i: t["served"] for i, t in onward.items()}, {"bus": True, "away": False})
        nightly = rules["default", "nightly"]
        self.assertEqual((nightly["pattern"], nightly["schedule"], nightly["targets"]), (None, "cron(0 18 ? * MON-FRI *)", []))
        self.assertRegex(nightly["nextTime"], r"T18:00:00.000Z$")
        self.assertEqual(rules["orders", "failed"]["state"], "DISABLED")

    def test_a_destination_without_its_connection_or_gone_is_not_served(self):
        with Waybill() as server:
            connection = aws(server, "CreateConnection", Name="c", AuthorizationType="API_KEY",
                             AuthParameters={"ApiKeyAuthParameters": {"ApiKeyName": "k", "ApiKeyValue": "v"}})["ConnectionArn"]
            made = aws(server, "CreateApiDestination", Name="d", ConnectionArn=connection, InvocationEndpoint="http://127.0.0.1:9/", HttpMethod="POST")["ApiDestinationArn"]
            aws(server, "PutRule", Name="r", EventPattern='{"source": ["a"]}')
            aws(server, "PutTargets", Rule="r", Targets=[{"Id": "1", "Arn": made, "RoleArn": arn("iam", "role/r", ":000000000000")}])

            def target():
                return server.get("/api/v1/rules")["rules"][0]["targets"][0]

            self.assertTrue(target()["served"])
            aws(server, "DeauthorizeConnection", Name="c")
            self.assertEqual((target()["served"], target()["unservedReason"]), (False, "its connection is deauthorized"))
            aws(server, "DeleteApiDestination", Name="d")
            self.assertEqual((target()["served"], target()["unservedReason"]), (False, "there is no such API destination"))

    def test_pages_and_buses_of_a_name(self):
        whole = [r["arn"] for r in self.server.get("/api/v1/rules")["rules"]]
        paged, cursor = [], None
        while not paged or cursor:
            page = self.server.get("/api/v1/rules", limit=1, **({"cursor": cursor} if cursor else {}))
            self.assertEqual(len(page["rules"]), 1)
            paged, cursor = paged + [page["rules"][0]["arn"]], page["nextCursor"]
        self.assertEqual(paged, whole)
        for bus in ("orders", arn("events", "event-bus/orders")):
            self.assertEqual([r["arn"] for r in self.server.get("/api/v1/rules", bus=bus)["rules"]], [arn("events", "rule/orders/failed")])

    def test_buses_archives_and_replays(self):
        buses = {b["name"]: (b["description"], b["rules"], b["archives"]) for b in self.server.get("/api/v1/buses")["buses"]}
        self.assertEqual(buses, {"default": (None, 3, 1), "orders": ("of the shop", 1, 0), "empty": (None, 0, 0)})
        archive = self.server.get("/api/v1/archives")["archives"][0]
        self.assertEqual((archive["name"], archive["bus"], archive["retentionDays"], archive["pattern"], archive["events"]), ("kept", "default", 3, None, 3))
        replays = self.server.wait_until("/api/v1/replays", lambda a: a["replays"][0]["state"] == "COMPLETED")["replays"]
        self.assertEqual([(r["name"], r["archive"], r["progress"], r["replayed"], r["rules"]) for r in replays],
                         [("again", "kept", 100, 3, [arn("events", "rule/onward")])])

    def test_resources_of_every_account_and_region(self):
        import boto3
        import botocore.config
        made = boto3.client("events", endpoint_url=self.server.address, region_name="eu-west-1", aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="s",
                            config=botocore.config.Config(retries={"max_attempts": 0}))
        self.addCleanup(made.close)
        made.create_event_bus(Name="far")
        try:
            self.assertIn(("eu-west-1", "far"), [(b["region"], b["name"]) for b in self.server.get("/api/v1/buses")["buses"]])
        finally:
            made.delete_event_bus(Name="far")
        self.assertNotIn("far", [b["name"] for b in self.server.get("/api/v1/buses")["buses"]])

    def test_an_event_is_explained(self):
        def explain(body, expect=200, **query):
            answer = self.server.request("POST", "/api/v1/rules/explain?" + "&".join(f"{k}={v}" for k, v in query.items()), body)
            self.assertEqual(answer.status, expect, answer)
            return answer.json

        said = explain(event("STARTED"), rule=arn("events", "rule/failed"))
        self.assertEqual((said["rule"], said["state"], said["explanation"]["matched"]), (arn("events", "rule/failed"), "ENABLED", False))
        clauses = {c["path"]: (c["outcome"], c["found"]) for c in said["explanation"]["nearest"][0]["clauses"]}
        self.assertEqual(clauses, {"source": ("matched", ["aws.codepipeline"]), "detail.state": ("differs", ["STARTED"]), "detail.attempt": ("absent", [])})
        self.assertTrue(explain(event("STOPPED", attempt=2), rule="failed", bus="default")["explanation"]["matched"])
        either = explain({"source": "b"}, rule="failed", bus="orders")
        self.assertEqual((either["state"], either["explanation"]["matched"], either["explanation"]["combinations"]), ("DISABLED", True, 2))
        self.assertIn("by its ARN", explain({}, 400, rule="failed")["error"]["message"])
        self.assertIn("runs on a schedule", explain({}, 400, rule="nightly")["error"]["message"])
        explain({}, 404, rule="failed", bus="empty")

    def test_a_token_is_needed_where_one_is(self):
        with Waybill("security: {tokens: [a-token-for-tests-only]}") as server:
            for path in ("rules", "rules/export", "buses", "archives", "replays"):
                self.assertEqual(server.request("GET", "/api/v1/" + path).status, 401, path)
            self.assertEqual(server.request("POST", "/api/v1/rules/explain?rule=x", {}).status, 401)
            self.assertEqual(waybill("rules", "list", url=server.address, WAYBILL_TOKEN="a-token-for-tests-only").returncode, 0)

    def test_the_console_shows_them(self):
        run = subprocess.run(["node", "test/browser.mjs", "--base-url", self.server.address, "--only", "the rules of this server"], cwd=ROOT / "console",
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(run.returncode, 0, run.stdout)
        self.assertIn("ok    the rules of this server", run.stdout)

    # -- the command line --

    def run_cli(self, *arguments, **options):
        return waybill(*arguments, url=self.server.address, **options)

    def test_list_shows_rules_and_warns_of_targets_that_nothing_serves(self):
        done = self.run_cli("rules", "list")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(done.stdout.splitlines()), 5)
        self.assertRegex(done.stdout, r"ENABLED +default +failed .*✓ queue \(sqs\), ✗ other \(sqs\), ✗ function \(lambda\), ✗ stream \(unknown\), ✓ hook")
        self.assertRegex(done.stdout, r"DISABLED +orders +failed")
        self.assertRegex(done.stdout, r"nightly +cron\(0 18 \? \* MON-FRI \*\) +\d{4}-\d\d-\d\d 18:00:00Z +none")
        for target in ("other", "function", "stream", "away"):
            self.assertEqual(done.stderr.count(f"target {target}: nothing serves arn:"), 1, done.stderr)
        self.assertIn("target queue: nothing serves its dead-letter queue", done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 5, done.stderr)
        only = self.run_cli("rules", "list", "--bus", "orders")
        self.assertEqual((len(only.stdout.splitlines()), only.stderr), (2, ""))
        self.assertEqual(json.loads(self.run_cli("rules", "list", "--json").stdout), self.server.get("/api/v1/rules"))

    def test_explain_and_test_say_the_same_and_answer_with_their_exit_codes(self):
        with tempfile.TemporaryDirectory() as folder:
            pattern, file = pathlib.Path(folder, "pattern.json"), pathlib.Path(folder, "event.json")
            pattern.write_text(json.dumps(PATTERN))
            rule = arn("events", "rule/failed")
            for said, code in ((event("STARTED"), 1), (event("FAILED", attempt=1), 1), (event("FAILED", attempt=2), 0)):
                file.write_text(json.dumps(said))
                online, offline = self.run_cli("rules", "explain", rule, file), waybill("rules", "test", pattern, file)
                self.assertEqual((online.returncode, offline.returncode, online.stderr, offline.stderr), (code, code, "", ""))
                self.assertEqual(online.stdout, offline.stdout)
                piped = self.run_cli("rules", "explain", "failed", "--bus", "default", "--json", stdin=file.read_text())
                tested = waybill("rules", "test", pattern, "-", "--json", stdin=file.read_text())
                self.assertEqual((piped.returncode, tested.returncode), (code, code))
                self.assertEqual(json.loads(piped.stdout)["explanation"], json.loads(tested.stdout)["explanation"])
            file.write_text(json.dumps(event("STARTED\x1b[31m")))
            shown = waybill("rules", "test", pattern, file).stdout
            self.assertRegex(shown, r"✗ +detail\.attempt +\[\{\"numeric\":\[\">\",1\]\}\] +nothing at this path")
            self.assertRegex(shown, r"✗ +detail\.state +\[\"FAILED\",\{\"prefix\":\"STOP\"\}\] +\"STARTED")
            self.assertRegex(shown, r"✓ +source +\[\"aws.codepipeline\"\] +\"aws.codepipeline\"")
            self.assertNotIn("\x1b", shown)

            either = self.run_cli("rules", "explain", "failed", "--bus", "orders", stdin='{"source": "b"}')
            self.assertEqual(either.returncode, 0)
            self.assertIn("1 of 2 combinations of $or, which matches", either.stdout)
            self.assertIn("disabled", either.stderr)

            file.write_text("{")
            for arguments, code in ((("explain", rule, file), 2), (("explain", "nowhere", pattern), 4), (("explain", "failed", pattern), 2),
                                    (("explain", rule, file.with_name("none")), 2), (("test", pattern, file), 2), (("test", file, pattern), 2), (("test", "-", "-"), 2), (("test", pattern), 2)):
                done = self.run_cli("rules", *arguments)
                self.assertEqual((done.returncode, done.stdout), (code, ""), arguments)
                self.assertTrue(done.stderr, arguments)
            self.assertEqual(waybill("rules", "list").returncode, 3)

    def test_an_export_is_what_the_aws_command_line_puts(self):
        done = self.run_cli("rules", "export")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        exported = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(len(exported), 4)
        failed = next(e for e in exported if (e["Rule"]["Name"], e["Rule"]["EventBusName"]) == ("failed", "default"))
        self.assertEqual({**failed["Rule"], "EventPattern": json.loads(failed["Rule"]["EventPattern"])},
                         {"Name": "failed", "EventBusName": "default", "EventPattern": PATTERN, "State": "ENABLED", "Description": "what failed", "Tags": [{"Key": "team", "Value": "web"}]})
        self.assertEqual(failed["Targets"], self.put)
        with Waybill(CONFIG) as server:
            def put(operation, value):
                done = subprocess.run([AWSCLI, "events", operation, "--endpoint-url", server.address, "--cli-input-json", json.dumps(value)], capture_output=True,
                                      text=True, env={**ENVIRONMENT, **AWS})
                self.assertEqual(done.returncode, 0, done.stderr)

            for bus in ("orders", "empty"):
                aws(server, "CreateEventBus", Name=bus)
            for one in exported:
                put("put-rule", one["Rule"])
                if one["Targets"]:
                    put("put-targets", {"Rule": one["Rule"]["Name"], "EventBusName": one["Rule"]["EventBusName"], "Targets": one["Targets"]})
            again = waybill("rules", "export", url=server.address)
            self.assertEqual(again.stdout, done.stdout)
        self.assertEqual(len(self.run_cli("rules", "export", "--bus", "orders").stdout.splitlines()), 1)

    def test_archives_and_replays(self):
        self.server.wait_until("/api/v1/replays", lambda a: a["replays"][0]["state"] == "COMPLETED")
        self.assertRegex(self.run_cli("archives").stdout, r"ENABLED +kept +default +3 +\d.* 3 days +.* every event\n")
        self.assertRegex(self.run_cli("replays").stdout, r"COMPLETED +again +kept +100% +3 ")
        for command in ("archives", "replays"):
            self.assertEqual(json.loads(self.run_cli(command, "--json").stdout), self.server.get("/api/v1/" + command))
        with Waybill() as server:
            for command, word in (("rules list", "no rules\n"), ("archives", "no archives\n"), ("replays", "no replays\n"), ("rules export", "")):
                done = waybill(*command.split(), url=server.address)
                self.assertEqual((done.returncode, done.stdout), (0, word), command)

    def test_help_has_examples_and_bash_completes(self):
        for command in ("list", "explain", "test", "export"):
            self.assertIn("Example", waybill("rules", command, "--help").stdout)
        script = 'source <("$0" completion bash); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _waybill; printf "%s\\n" "${COMPREPLY[@]}"'
        for words, wanted in ((("rules", ""), {"list", "explain", "test", "export"}), (("rules", "list", "--b"), {"--bus"}), (("arch",), {"archives"})):
            done = subprocess.run(["bash", "-c", script, BINARY, "waybill", *words], capture_output=True, text=True, env=ENVIRONMENT)
            self.assertEqual((set(done.stdout.split()), done.stderr), (wanted, ""))


if __name__ == "__main__":
    unittest.main()
