"""The EventBridge bus by its API: rules and what they match, buses, limits, pages, archives and replays, with the clients people have."""
import datetime
import json
import os
import subprocess
import unittest

from bus import ACCOUNT, REGION, ROLE, Bus, arn
from codepipeline_events import Execution
from sinks import WebhookSink
from waybill import eventually

AWSCLI = "/usr/bin/aws" if os.path.exists("/usr/bin/aws") else "aws"
SHOP = {"source": ["shop"]}
START = datetime.datetime(2026, 4, 19, 12, 0, 0, tzinfo=datetime.timezone.utc)


def minute(n):
    return START + datetime.timedelta(minutes=n)


class Rules(Bus):
    def test_a_rule_has_effect_for_the_very_next_event_and_none_once_it_is_disabled_or_gone(self):
        server = self.serve()
        events = self.events(server)
        sent = []
        for n in range(20):
            name = f"rule-{n}"
            self.rule(events, name, SHOP, self.queue(name))
            sent.append((self.put(events), name))
            events.disable_rule(Name=name)
            self.put(events)
            events.enable_rule(Name=name)
            sent.append((self.put(events), name))
            events.remove_targets(Rule=name, Ids=[name])
            events.delete_rule(Name=name)
            self.put(events)
        self.assertEqual(self.planned(server), sent)
        with self.refused("ResourceNotFoundException", "rule-1"):
            events.describe_rule(Name="rule-1")
        with self.refused("ResourceNotFoundException", "rule-1"):
            events.put_targets(Rule="rule-1", Targets=[self.queue("q")])

    def test_what_a_pattern_matches_is_sent_and_nothing_else(self):
        server = self.serve()
        events = self.events(server)
        self.rule(events, "dear", {"source": ["shop"], "detail": {"price": [{"numeric": [">", 100]}], "state": [{"anything-but": "void"}]}}, self.queue("dear"))
        self.rule(events, "typed", {"detail-type": [{"prefix": "Order"}]}, self.queue("typed"))
        self.rule(events, "any", {"$or": [{"source": ["a"]}, {"detail": {"n": [{"exists": False}]}}]}, self.queue("any"))
        one = self.put(events, Detail='{"price": 100.5, "state": "open", "n": 1}')
        two = self.put(events, Detail='{"price": 100.5, "state": "void", "n": 1}', DetailType="Void")
        three = self.put(events, Detail='{"price": 99}', DetailType="No Order")
        self.assertEqual(sorted(self.planned(server)), sorted([(one, "dear"), (one, "typed"), (three, "any")]), two)
        self.assertEqual(self.messages("dear")[0]["detail"], {"price": 100.5, "state": "open", "n": 1})

    def test_a_bus_of_ones_own_by_name_and_by_arn(self):
        server = self.serve()
        events = self.events(server)
        bus = events.create_event_bus(Name="orders")["EventBusArn"]
        self.assertEqual(bus, arn("events", "event-bus/orders"))
        by_name = self.rule(events, "r", SHOP, self.queue("own"), bus="orders")
        self.assertEqual(by_name, arn("events", "rule/orders/r"))
        self.assertEqual(self.rule(events, "r2", SHOP, self.queue("own-2"), bus=bus), arn("events", "rule/orders/r2"))
        self.assertEqual(self.rule(events, "r", SHOP, self.queue("default")), arn("events", "rule/r"))
        sent = [(self.put(events, EventBusName="orders"), "own"), (self.put(events, EventBusName=bus), "own"), (self.put(events), "default")]
        planned = self.planned(server)
        self.assertEqual([p for p in planned if p[1] != "own-2"], sent)
        self.assertEqual([p for p in planned if p[1] == "own-2"], [(sent[0][0], "own-2"), (sent[1][0], "own-2")])
        self.assertEqual([r["Name"] for r in events.list_rules(EventBusName=bus)["Rules"]], ["r", "r2"])
        self.assertEqual(events.list_rule_names_by_target(TargetArn=arn("sqs", "own"), EventBusName="orders")["RuleNames"], ["r"])
        with self.refused("ResourceNotFoundException", "none"):
            events.put_rule(Name="r", EventBusName="none", EventPattern=json.dumps(SHOP))
        with self.refused("ValidationException"):
            events.delete_event_bus(Name="default")

    def test_a_bus_that_is_not_there_takes_the_event_and_drops_it(self):
        server = self.serve()
        events = self.events(server)
        self.rule(events, "all", {"source": [{"exists": True}]}, self.queue("all"))
        before = server.get("/api/v1/events")["events"]
        dropped = self.put(events, EventBusName="nobodys")
        self.assertTrue(dropped)
        kept = self.put(events)
        self.assertEqual(self.planned(server)[0], (kept, "all"))
        self.assertNotIn(dropped, [key[0] for key in self.planned(server)])
        self.assertNotIn(dropped, [e["event"]["id"] for e in server.get("/api/v1/events", limit=100)["events"]])
        self.assertEqual(before, [])

    def test_an_event_that_comes_twice_fires_its_rule_once(self):
        server = self.serve()
        self.rule(self.events(server), "pipelines", {"source": ["aws.codepipeline"]}, self.queue("pipelines"))
        run = Execution(account=ACCOUNT, region=REGION).succeed()
        self.assertEqual(server.post_events(run)["accepted"], len(run))
        server.post_events(run)
        server.post_events([run[0], run[0]])
        self.assertEqual(self.planned(server), [(event["id"], "pipelines") for event in run])
        self.assertEqual(sorted(m["id"] for m in self.messages("pipelines", len(run))), sorted(e["id"] for e in run))

    def test_a_bus_hands_on_to_a_bus_with_the_same_id_and_circles_end(self):
        server = self.serve()
        events = self.events(server)
        for name in ("second", "third"):
            events.create_event_bus(Name=name)
        def on(bus):
            return {"Id": f"to-{bus}", "Arn": arn("events", f"event-bus/{bus}"), "RoleArn": ROLE}
        self.rule(events, "r1", SHOP, on("second"), self.queue("first-q"))
        self.rule(events, "r2", SHOP, on("third"), on("default"), self.queue("second-q"), bus="second")
        self.rule(events, "r3", SHOP, on("default"), on("third"), on("second"), self.queue("third-q"), bus="third")
        one = self.put(events)
        two = self.put(events, EventBusName="third")
        planned = self.planned(server)
        for event in (one, two):
            self.assertEqual(sorted(t for e, t in planned if e == event), ["first-q", "second-q", "third-q"])
        self.assertEqual({m["id"] for m in self.messages("third-q", 2)}, {one, two})
        self.assertEqual(len(planned), 6)

    def test_accounts_and_regions_are_apart(self):
        server = self.serve()
        events, elsewhere, other = self.events(server), self.events(server, region_name="eu-west-1"), self.events(server, aws_access_key_id="123456789012")
        self.rule(events, "r", SHOP, self.queue("here"))
        self.rule(elsewhere, "r", SHOP, self.queue("elsewhere"))
        self.assertEqual(other.list_rules()["Rules"], [])
        self.assertEqual(elsewhere.describe_rule(Name="r")["Arn"], "arn:aws:events:eu-west-1:000000000000:rule/r")
        here, there = self.put(events), self.put(elsewhere)
        self.put(other)
        self.assertEqual(self.planned(server), [(here, "here"), (there, "elsewhere")])

    def test_everything_survives_a_restart_and_a_kill(self):
        server = self.serve()

        def state(events):
            connection, = events.list_connections()["Connections"]
            answers = [events.list_event_buses(), events.describe_rule(Name="r", EventBusName="orders"), events.list_targets_by_rule(Rule="r", EventBusName="orders"),
                       events.list_tags_for_resource(ResourceARN=arn("events", "rule/orders/r")), events.describe_archive(ArchiveName="a"),
                       events.describe_connection(Name=connection["Name"]), events.list_api_destinations(), events.describe_rule(Name="nightly"),
                       events.list_rules(), events.describe_event_bus(Name="orders")]
            return [{k: v for k, v in a.items() if k != "ResponseMetadata"} for a in answers]
        events = self.events(server)
        events.create_event_bus(Name="orders", Tags=[{"Key": "team", "Value": "shop"}])
        events.put_permission(EventBusName="orders", StatementId="s", Action="events:PutEvents", Principal="111122223333")
        self.rule(events, "r", SHOP, self.queue("q", Input='{"a": 1}', RetryPolicy={"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 60}), self.queue("q2"),
                  bus="orders", Description="d", Tags=[{"Key": "k", "Value": "v"}])
        events.put_rule(Name="nightly", ScheduleExpression="cron(0 2 * * ? *)", State="DISABLED")
        events.create_archive(ArchiveName="a", EventSourceArn=arn("events", "event-bus/orders"), EventPattern=json.dumps(SHOP), RetentionDays=3)
        connection = events.create_connection(Name="c", AuthorizationType="API_KEY", AuthParameters={"ApiKeyAuthParameters": {"ApiKeyName": "x-key", "ApiKeyValue": "v"}})
        events.create_api_destination(Name="d", ConnectionArn=connection["ConnectionArn"], InvocationEndpoint="http://127.0.0.1:9/", HttpMethod="POST")
        self.put(events, EventBusName="orders")
        before = eventually(lambda: state(events), lambda s: s[4]["EventCount"] == 1)
        for end in (server.kill, server.stop, server.kill):
            end()
            server.start()
            events = self.events(server)
            self.assertEqual(state(events), before)
            event = self.put(events, EventBusName="orders")
            self.assertEqual([t for e, t in self.planned(server) if e == event], ["q", "q2"])
            before = state(events)

    def test_test_event_pattern(self):
        events = self.events(self.serve())
        event = {"id": "1", "source": "shop", "detail-type": "d", "account": ACCOUNT, "time": "2026-04-19T12:00:00Z", "region": REGION, "resources": [], "detail": {"n": 5, "s": "Abc"}}

        def verdict(pattern, **change):
            return events.test_event_pattern(EventPattern=json.dumps(pattern), Event=json.dumps({**event, **change}))["Result"]
        for pattern in ({"source": ["shop"]}, {"detail": {"n": [{"numeric": [">=", 5, "<", 6]}]}}, {"detail": {"s": [{"equals-ignore-case": "aBC"}]}},
                        {"detail": {"s": [{"wildcard": "A*c"}]}}, {"detail": {"x": [{"exists": False}]}}, {"source": [{"suffix": "op"}]}):
            self.assertIs(verdict(pattern), True, pattern)
        for pattern in ({"source": ["Shop"]}, {"detail": {"n": ["5"]}}, {"detail": {"s": [{"prefix": "b"}]}}, {"detail": {"x": [{"exists": True}]}}):
            self.assertIs(verdict(pattern), False, pattern)
        for text, reason in (("{", ""), ('{"source": "shop"}', '"source" must be an object or an array'), ('{"source": [{"nosuch": 1}]}', "nosuch"), ("{}", "")):
            with self.refused("InvalidEventPatternException", "Event pattern is not valid. Reason: ", reason):
                events.test_event_pattern(EventPattern=text, Event=json.dumps(event))
        for broken in ("{}", "[]", "no"):
            with self.refused("ValidationException", "Parameter Event is not valid."):
                events.test_event_pattern(EventPattern='{"source": ["shop"]}', Event=broken)
        with self.refused("InvalidEventPatternException", "Event pattern is not valid. Reason: "):
            events.put_rule(Name="r", EventPattern='{"source": "shop"}')

    def test_awscli(self):
        server = self.serve()
        environment = {**os.environ, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "s", "AWS_DEFAULT_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true",
                       "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_PAGER": "", "AWS_MAX_ATTEMPTS": "1"}

        def aws(*arguments, fails=False):
            done = subprocess.run([AWSCLI, "events", "--endpoint-url", server.address, *arguments], capture_output=True, text=True, env=environment)
            self.assertEqual(done.returncode != 0, fails, done.stderr)
            return done.stderr if fails else json.loads(done.stdout) if done.stdout else None
        self.assertEqual(aws("put-rule", "--name", "orders", "--event-pattern", json.dumps(SHOP)), {"RuleArn": arn("events", "rule/orders")})
        self.assertEqual(aws("put-targets", "--rule", "orders", "--targets", f"Id=q,Arn={arn('sqs', 'q')}")["FailedEntryCount"], 0)
        put = aws("put-events", "--entries", json.dumps([{"Source": "shop", "DetailType": "d", "Detail": "{}"}]))
        self.assertEqual(self.messages("q")[0]["id"], put["Entries"][0]["EventId"])
        self.assertEqual([t["Id"] for t in aws("list-targets-by-rule", "--rule", "orders")["Targets"]], ["q"])
        self.assertEqual(aws("disable-rule", "--name", "orders"), None)
        self.assertEqual(aws("describe-rule", "--name", "orders")["State"], "DISABLED")
        self.assertIn("ResourceNotFoundException", aws("describe-rule", "--name", "none", fails=True))


class Limits(Bus):
    def test_the_limits_of_aws_hold(self):
        events = self.events(self.serve())
        self.rule(events, "r", SHOP, *(self.queue(f"q{n}") for n in range(5)))
        with self.refused("LimitExceededException"):
            events.put_targets(Rule="r", Targets=[self.queue("q5")])
        self.rule(events, "six", SHOP)
        with self.refused("LimitExceededException"):
            events.put_targets(Rule="six", Targets=[self.queue(f"q{n}") for n in range(6)])
        self.assertEqual(events.list_targets_by_rule(Rule="six")["Targets"], [])
        self.assertEqual(events.put_targets(Rule="r", Targets=[self.queue("q4")])["FailedEntryCount"], 0)   # put anew, not added
        self.assertEqual(len(events.list_targets_by_rule(Rule="r")["Targets"]), 5)
        for n in range(298):
            events.put_rule(Name=f"rule-{n}", EventPattern=json.dumps(SHOP), State="DISABLED")
        with self.refused("LimitExceededException"):
            events.put_rule(Name="one-more", EventPattern=json.dumps(SHOP))
        events.put_rule(Name="rule-7", EventPattern=json.dumps(SHOP))
        events.create_event_bus(Name="roomy")
        events.put_rule(Name="one-more", EventBusName="roomy", EventPattern=json.dumps(SHOP))

    def test_limits_are_configured(self):
        events = self.events(self.serve("event_bus: {limits: {rules_a_bus: 2, targets_a_rule: 1, buses: 1, archives: 1, connections: 1, destinations: 1, wildcard_rules_a_bus: 1}}\n"))
        self.rule(events, "a", SHOP, self.queue("q"))
        with self.refused("LimitExceededException"):
            events.put_targets(Rule="a", Targets=[self.queue("q2")])
        self.rule(events, "b", {"source": [{"wildcard": "s*p"}]})
        with self.refused("LimitExceededException"):
            events.put_rule(Name="c", EventPattern=json.dumps(SHOP))
        with self.refused("LimitExceededException"):
            events.put_rule(Name="a", EventPattern='{"source": [{"wildcard": "s*"}]}')
        events.delete_rule(Name="b")
        events.put_rule(Name="c", EventPattern=json.dumps(SHOP))
        events.create_event_bus(Name="one")
        with self.refused("LimitExceededException"):
            events.create_event_bus(Name="two")
        events.create_archive(ArchiveName="a", EventSourceArn=arn("events", "event-bus/one"))
        with self.refused("LimitExceededException"):
            events.create_archive(ArchiveName="b", EventSourceArn=arn("events", "event-bus/one"))
        key = {"AuthorizationType": "API_KEY", "AuthParameters": {"ApiKeyAuthParameters": {"ApiKeyName": "x-key", "ApiKeyValue": "v"}}}
        connection = events.create_connection(Name="c", **key)["ConnectionArn"]
        with self.refused("LimitExceededException"):
            events.create_connection(Name="d", **key)
        destination = {"ConnectionArn": connection, "InvocationEndpoint": "https://shop.example", "HttpMethod": "POST"}
        events.create_api_destination(Name="a", **destination)
        with self.refused("LimitExceededException"):
            events.create_api_destination(Name="b", **destination)

    def test_pages(self):
        events = self.events(self.serve())
        names = sorted([f"r{n}" for n in range(25)] + [f"s{n}" for n in range(3)])
        for name in names:
            events.put_rule(Name=name, EventPattern=json.dumps(SHOP))

        def pages(limit, **more):
            found, token = [], {}
            while True:
                page = events.list_rules(Limit=limit, **more, **token)
                self.assertLessEqual(len(page["Rules"]), limit)
                found.append([r["Name"] for r in page["Rules"]])
                if "NextToken" not in page:
                    return found
                token = {"NextToken": page["NextToken"]}
        for limit in (1, 7, 10, 28, 100):
            found = pages(limit)
            self.assertEqual(([n for page in found for n in page], len(found)), (names, -(-len(names) // limit)))
        self.assertEqual(pages(2, NamePrefix="s"), [["s0", "s1"], ["s2"]])
        first = events.list_rules(Limit=2)
        events.delete_rule(Name="r0")
        events.delete_rule(Name="r1")     # the last of that page
        self.assertEqual([r["Name"] for r in events.list_rules(Limit=2, NextToken=first["NextToken"])["Rules"]], ["r10", "r11"])
        with self.refused("ValidationException"):
            events.list_rules(NextToken="nonsense")


class Archives(Bus):
    def archive(self, events, name="a", bus="default", **more):
        return events.create_archive(ArchiveName=name, EventSourceArn=arn("events", f"event-bus/{bus}"), **more)["ArchiveArn"]

    def replay(self, events, name, archive, start=minute(-10), end=minute(1000), rules=None, bus="default"):
        destination = {"Arn": arn("events", f"event-bus/{bus}"), **({"FilterArns": rules} if rules else {})}
        return events.start_replay(ReplayName=name, EventSourceArn=archive, EventStartTime=start, EventEndTime=end, Destination=destination)

    def over(self, events, name, state="COMPLETED"):
        found = eventually(lambda: events.describe_replay(ReplayName=name), lambda r: r["State"] in ("COMPLETED", "CANCELLED", "FAILED"))
        self.assertEqual(found["State"], state, found)
        return found

    def test_an_archive_counts_what_its_pattern_takes(self):
        server = self.serve()
        events = self.events(server)
        events.create_event_bus(Name="orders")
        self.put(events, Source="before")
        self.archive(events, "all")
        self.archive(events, "dear", EventPattern='{"detail": {"price": [{"numeric": [">", 100]}]}}')
        self.archive(events, "orders", bus="orders")
        for price in (50, 150, 250):
            self.put(events, Detail=json.dumps({"price": price}))
        self.put(events, EventBusName="orders")

        def counts():
            found = {name: events.describe_archive(ArchiveName=name) for name in ("all", "dear", "orders")}
            return {name: a["EventCount"] for name, a in found.items()}, {name: a["SizeBytes"] for name, a in found.items()}
        numbers, sizes = eventually(counts, lambda c: sum(c[0].values()) >= 6)
        self.assertEqual(numbers, {"all": 3, "dear": 2, "orders": 1})
        envelopes = [json.dumps(e["event"], separators=(",", ":")) for e in server.get("/api/v1/events", limit=10)["events"]]
        self.assertEqual(sizes["all"], sum(len(e) for e in envelopes if '"price"' in e))
        events.update_archive(ArchiveName="dear", EventPattern=json.dumps({"source": ["nobody"]}))
        self.put(events, Detail='{"price": 350}')
        self.assertEqual(eventually(counts, lambda c: c[0]["all"] == 4)[0]["dear"], 2)
        server.kill()
        server.start()
        events = self.events(server)
        self.assertEqual(counts()[0], {"all": 4, "dear": 2, "orders": 1})

    def test_a_replay_sends_its_window_again_by_name_to_the_rules_that_are_chosen(self):
        server = self.serve()
        events = self.events(server)
        archive = self.archive(events, EventPattern=json.dumps(SHOP))
        sent = [self.put(events, Time=minute(n)) for n in range(6)]
        self.put(events, Source="other", Time=minute(2))
        chosen = self.rule(events, "chosen", {"source": [{"anything-but": "fence"}]}, self.queue("chosen"))  # not what planned() sends
        self.rule(events, "beside", SHOP, self.queue("beside"))
        started = self.replay(events, "window", archive, minute(1), minute(4))
        self.assertEqual(started["ReplayArn"], arn("events", "replay/window"))
        ended = self.over(events, "window")
        self.assertEqual((ended["EventSourceArn"], ended["Destination"]["Arn"]), (archive, arn("events", "event-bus/default")))
        self.assertEqual(ended["EventLastReplayedTime"], minute(3))
        planned = self.planned(server)
        for name in ("chosen", "beside"):
            self.assertEqual([key for key in planned if key[1] == name], [(e, name, "window") for e in sent[1:4]])
        bodies = self.messages("chosen", 3)
        self.assertEqual([(b["id"], b["replay-name"], b["time"]) for b in sorted(bodies, key=lambda b: b["time"])],
                         [(sent[n], "window", minute(n).strftime("%Y-%m-%dT%H:%M:%SZ")) for n in (1, 2, 3)])
        self.replay(events, "some", archive, rules=[chosen])
        self.over(events, "some")
        planned = [key for key in self.planned(server) if key[2:] == ("some",)]
        self.assertEqual(planned, [(e, "chosen", "some") for e in sent])
        # What was replayed is not archived again.
        self.assertEqual(events.describe_archive(ArchiveName="a")["EventCount"], 6)
        with self.refused("ResourceAlreadyExistsException", "some"):
            self.replay(events, "some", archive)

    def test_what_a_bus_hands_on_is_archived_and_replayed_there(self):
        server = self.serve()
        events = self.events(server)
        for name in ("second", "third"):
            events.create_event_bus(Name=name)
        self.rule(events, "on", SHOP, {"Id": "b", "Arn": arn("events", "event-bus/second"), "RoleArn": ROLE})
        self.rule(events, "further", SHOP, {"Id": "b", "Arn": arn("events", "event-bus/third"), "RoleArn": ROLE}, bus="second")
        archive = self.archive(events, bus="second")
        self.archive(events, "third", bus="third")
        event = self.put(events, Time=minute(1))
        counts = eventually(lambda: [events.describe_archive(ArchiveName=n)["EventCount"] for n in ("a", "third")], lambda c: sum(c) >= 2)
        self.assertEqual(counts, [1, 1])
        self.rule(events, "here", SHOP, self.queue("here"))
        self.rule(events, "there", SHOP, self.queue("there"), bus="third")
        self.replay(events, "r", archive, bus="second")
        self.over(events, "r")
        self.assertEqual(self.planned(server), [(event, "there", "r")])
        self.assertEqual(self.messages("there")[0]["replay-name"], "r")

    def test_a_replay_can_be_cancelled(self):
        server = self.serve("event_bus: {replay_events_per_second: 100}\n")
        events = self.events(server)
        archive = self.archive(events)
        self.pipelines(server, 1000)
        self.rule(events, "r", {"source": ["aws.codepipeline"]}, self.queue("q"))
        self.replay(events, "r", archive, datetime.datetime(2020, 1, 1), datetime.datetime(2030, 1, 1))
        self.messages("q", 1)
        self.assertEqual(events.cancel_replay(ReplayName="r")["State"], "CANCELLING")
        self.over(events, "r", "CANCELLED")
        count = len(self.planned(server))
        self.assertTrue(0 < count < 1000, count)
        with self.refused("IllegalStatusException"):
            events.cancel_replay(ReplayName="r")
        self.put(events, Source="after")
        self.assertEqual(len(self.planned(server)), count)

    def pipelines(self, server, count):
        """So many events through POST /events; their ids."""
        sent = []
        for seed in range(count):
            if len(sent) >= count:
                break
            sent += Execution(seed=seed, account=ACCOUNT, region=REGION).succeed()
        sent = sent[:count]
        server.post_events(sent)
        return [e["id"] for e in sent]

    def test_a_replay_goes_on_after_a_kill_and_after_a_stop_and_sends_nothing_twice(self):
        server = self.serve("event_bus: {replay_events_per_second: 200}\n")
        events = self.events(server)
        archive = self.archive(events)
        sent = self.pipelines(server, 700)
        self.rule(events, "r", {"source": ["aws.codepipeline"]}, self.queue("q"))
        self.replay(events, "r", archive, datetime.datetime(2020, 1, 1), datetime.datetime(2030, 1, 1))
        self.messages("q", 1)
        for end in (server.kill, server.stop):
            end()
            server.start()
            events = self.events(server)
            self.assertIn(events.describe_replay(ReplayName="r")["State"], ("STARTING", "RUNNING"))
        self.over(events, "r")
        self.assertEqual(self.planned(server), [(e, "q", "r") for e in sent])

    def test_a_replayed_failure_opens_and_tells_nothing_twice(self):
        hook = self.sink(WebhookSink())
        server = self.serve("targets: {devops: {type: webhook, url: '" + hook.url + "', secret: sixteen-letters-x}}\n")
        events = self.events(server)
        archive = self.archive(events)
        run = Execution(account=ACCOUNT, region=REGION)
        failure = run.fail("Build", "Compile")
        server.post_events(failure)

        def told():
            return [d["deliveryId"] for d in server.get("/api/v1/deliveries", executionId=run.id)["deliveries"]]
        eventually(lambda: server.get("/api/v1/deliveries", executionId=run.id)["deliveries"], lambda f: f and all(d["status"] == "delivered" for d in f))
        before = told(), server.get("/api/v1/incidents?status=all")["incidents"], len(hook.arrivals.items)
        server.post_events(run.retry("Build"))
        server.post_events(run.resume("Build"))
        eventually(lambda: server.get("/api/v1/incidents?status=all")["incidents"], lambda i: i and i[0]["status"] == "resolved")
        eventually(lambda: server.get("/api/v1/deliveries", executionId=run.id)["deliveries"], lambda f: all(d["status"] in ("delivered", "cancelled") for d in f))
        resolved = told(), server.get("/api/v1/incidents?status=all")["incidents"], len(hook.arrivals.items)
        self.assertTrue(before[1])
        self.rule(events, "failures", {"source": ["aws.codepipeline"], "detail": {"state": ["FAILED"]}}, self.queue("failures"))
        self.replay(events, "again", archive, datetime.datetime(2020, 1, 1), datetime.datetime(2030, 1, 1))
        self.over(events, "again")
        again = [e["id"] for e in failure if e["detail"]["state"] == "FAILED"]
        self.assertEqual(self.planned(server), [(e, "failures", "again") for e in again])
        self.messages("failures", len(again))
        self.assertEqual((told(), server.get("/api/v1/incidents?status=all")["incidents"], len(hook.arrivals.items)), resolved)

    def test_what_cannot_be_replayed_is_refused(self):
        server = self.serve()
        events = self.events(server)
        events.create_event_bus(Name="other")
        archive = self.archive(events)
        with self.refused("ValidationException"):
            self.replay(events, "r", archive, minute(2), minute(1))
        with self.refused("ValidationException"):
            self.replay(events, "r", archive, bus="other")
        with self.refused("ValidationException", "Archive none does not exist."):
            self.replay(events, "r", arn("events", "archive/none"))
        with self.refused("ResourceNotFoundException", "none"):
            events.describe_replay(ReplayName="none")
        with self.refused("ResourceAlreadyExistsException", "a"):
            self.archive(events)
        with self.refused("InvalidEventPatternException"):
            self.archive(events, "b", EventPattern='{"source": "shop"}')
        events.delete_archive(ArchiveName="a")
        with self.refused("ResourceNotFoundException"):
            events.describe_archive(ArchiveName="a")

    def test_rules_see_the_name_of_the_replay(self):
        server = self.serve()
        events = self.events(server)
        archive = self.archive(events, EventPattern=json.dumps(SHOP))
        event = self.put(events, Time=minute(2))
        self.rule(events, "marked", {"replay-name": ["window"]}, self.queue("marked"))
        self.rule(events, "first", {"source": ["shop"], "replay-name": [{"exists": False}]}, self.queue("first"))
        self.replay(events, "window", archive)
        self.over(events, "window")
        self.assertEqual(self.planned(server), [(event, "marked", "window")])


    def test_a_slow_replay_is_cancelled_at_once(self):
        server = self.serve("event_bus: {replay_events_per_second: 1}\n")
        events = self.events(server)
        archive = self.archive(events)
        self.pipelines(server, 150)
        self.rule(events, "r", {"source": ["aws.codepipeline"]}, self.queue("q"))
        self.replay(events, "r", archive, datetime.datetime(2020, 1, 1), datetime.datetime(2030, 1, 1))
        self.messages("q", 1)
        self.assertEqual(events.cancel_replay(ReplayName="r")["State"], "CANCELLING")
        self.over(events, "r", "CANCELLED")


if __name__ == "__main__":
    unittest.main()
