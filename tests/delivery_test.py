"""How deliveries leave: mail with TLS and a login, .eml files, signed webhooks, repeats, dead letters, redrive, one key for all attempts.

The relay and the receivers are tests/lib/sinks.py; certificates are made by openssl for each run.
"""
import email
import email.policy
import hashlib
import hmac
import json
import pathlib
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

from codepipeline_events import Execution
from sinks import SmtpSink, WebhookSink
from waybill import BINARY, Waybill, eventually

RETRIES = "delivery: {backoff_first: 100ms, backoff_max: 200ms, max_attempts: 4}\n"


def certificates(folder):
    """A certificate authority, and a certificate for 127.0.0.1 signed by it."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Test authority")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=mail.test")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names", "-out", "server.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return context, folder / "ca.pem"


class Delivering(unittest.TestCase):
    def serve(self, config, **options):
        server = Waybill(config, **options)
        self.addCleanup(server.close)
        return server.start()

    def sink(self, made):
        self.addCleanup(made.close)
        return made

    def folder(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return pathlib.Path(folder.name)

    def ended(self, server, run, count=1):
        def done(found):
            return len(found) >= count and all(d["status"] in ("delivered", "dead", "cancelled") for d in found)
        found = eventually(lambda: server.get("/api/v1/deliveries", executionId=run.id)["deliveries"], done)
        self.assertEqual(len(found), count, found)
        return found

    def history(self, server, delivery):
        """How each attempt went."""
        answer = server.get(f"/api/v1/deliveries/{delivery['deliveryId']}")
        return [h["outcome"] for h in answer["history"] if h["outcome"] in ("ok", "retry", "unknown", "dead", "cancelled")]


class Mail(Delivering):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.tls, cls.ca_file = certificates(pathlib.Path(folder.name))

    def config(self, relay, **mail):
        mail = {"relay": relay.url, **mail}
        return "targets: {devops: {type: mail, to: [devops@example.com, on-call@example.com]}}\nmail: " + json.dumps(mail) + "\n" + RETRIES

    def test_starttls_and_a_login(self):
        relay = self.sink(SmtpSink(tls=self.tls, login=("waybill", "s3cret: ü")))
        server = self.serve(self.config(relay, user="waybill", password="s3cret: ü", ca_file=str(self.ca_file), **{"from": "ci@example.com"}))
        run = Execution()
        server.post_events(run.succeed())
        delivery, = self.ended(server, run)
        self.assertEqual(delivery["status"], "delivered", delivery)
        mail, = relay.wait_for(1)
        self.assertEqual((mail.secure, mail.user, mail.sender, mail.recipients), (True, "waybill", "ci@example.com", ["devops@example.com", "on-call@example.com"]))
        self.assertNotIn("s3cret", server.log())

    def test_a_certificate_of_an_unknown_authority_gets_no_mail_and_no_password(self):
        relay = self.sink(SmtpSink(tls=self.tls, login=("waybill", "s3cret")))
        server = self.serve(self.config(relay, user="waybill", password="s3cret"))
        run = Execution()
        server.post_events(run.succeed())
        delivery, = self.ended(server, run)
        self.assertEqual((delivery["status"], delivery["attempts"], delivery["possiblyTwice"]), ("dead", 4, False))
        self.assertIn("certificate", delivery["lastError"]["text"])
        self.assertEqual(relay.arrivals.items, [])

    def test_a_relay_without_starttls_gets_none_where_tls_is_required(self):
        relay = self.sink(SmtpSink())
        server = self.serve(self.config(relay))
        run = Execution()
        server.post_events(run.succeed())
        delivery, = self.ended(server, run)
        self.assertEqual((delivery["status"], relay.arrivals.items), ("dead", []))

    def test_a_wrong_password_is_said(self):
        relay = self.sink(SmtpSink(tls=self.tls, login=("waybill", "right")))
        server = self.serve(self.config(relay, user="waybill", password="wrong", ca_file=str(self.ca_file)))
        run = Execution()
        server.post_events(run.succeed())
        delivery, = self.ended(server, run)
        self.assertEqual((delivery["status"], delivery["lastError"]["code"], relay.arrivals.items), ("dead", 535, []))

    def test_a_repeat_after_silence_has_the_same_message_id_and_the_receipt_says_possibly_twice(self):
        relay = self.sink(SmtpSink(answers=[""], tls=self.tls))   # the mail is taken, and then nothing is said
        server = self.serve(self.config(relay, ca_file=str(self.ca_file)))
        run = Execution()
        server.post_events(run.succeed())
        delivery, = self.ended(server, run)
        first, second = relay.wait_for(2)
        self.assertTrue(first.message["Message-ID"])
        self.assertEqual(first.message["Message-ID"], second.message["Message-ID"])
        self.assertEqual((delivery["status"], delivery["attempts"], delivery["possiblyTwice"]), ("delivered", 2, True))
        self.assertEqual(self.history(server, delivery), ["unknown", "ok"])

    def test_try_later_is_tried_later_and_a_no_is_final(self):
        relay = self.sink(SmtpSink(answers=["451 4.7.1 greylisted", "250 ok", "554 5.7.1 not wanted"], tls=self.tls))
        server = self.serve(self.config(relay, ca_file=str(self.ca_file)))
        later = Execution(seed=1)
        server.post_events(later.succeed())
        delivery, = self.ended(server, later)
        self.assertEqual((delivery["status"], delivery["attempts"], delivery["possiblyTwice"]), ("delivered", 2, False))
        refused = Execution(seed=2)
        server.post_events(refused.succeed())
        delivery, = self.ended(server, refused)
        self.assertEqual((delivery["status"], delivery["attempts"]), ("dead", 1))
        self.assertIn("not wanted", delivery["reason"])

    def test_korean(self):
        relay = self.sink(SmtpSink())
        config = self.config(relay, require_tls=False).replace("type: mail,", "type: mail, locale: ko,")
        server = self.serve(config)
        run = Execution("결제-api")
        server.post_events(run.fail("Build", "Compile", summary="컴파일 오류"))
        mails = relay.wait_for(2)
        mail, = [m for m in mails if m.subject == "파이프라인 상태 변경: FAILED"]
        self.assertTrue(mail.text.startswith("파이프라인 결제-api가 FAILED 상태가 되었습니다.\n"), mail.text)
        self.assertIn("컴파일 오류", mail.text)
        mail.raw.decode("ascii")  # whatever the relay can do

    def test_without_a_relay_mails_are_files(self):
        server = self.serve("targets: {devops: {type: mail, to: [devops@example.com]}}\n")
        run = Execution()
        server.post_events(run.succeed())
        delivery, = self.ended(server, run)
        file, = (server.data / "mail").iterdir()
        self.assertEqual((file.name, delivery["status"]), (f"{delivery['deliveryId']}.eml", "delivered"))
        message = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
        self.assertEqual((message["To"], message["Subject"]), ("devops@example.com", f"[Waybill] SUCCEEDED: pipeline {run.pipeline}"))


class Webhooks(Delivering):
    def config(self, sink, more="", target=""):
        return f"targets: {{devops: {{type: webhook, url: '{sink.url}'{target}}}}}\n" + (more or RETRIES)

    def test_the_signature_is_of_timestamp_and_body(self):
        sink = self.sink(WebhookSink(answers=[503]))
        server = self.serve(self.config(sink, target=", secret: '${HOOK}', headers: {X-Team: devops}"), environment={"HOOK": "a shared secret"})
        run = Execution()
        server.post_events(run.succeed())
        self.ended(server, run)
        first, second = sink.wait_for(2)
        for arrival in (first, second):
            stamp = arrival.headers["Waybill-Timestamp"]
            digest = hmac.new(b"a shared secret", stamp.encode() + b"." + arrival.body, hashlib.sha256).hexdigest()
            self.assertEqual(arrival.headers["Waybill-Signature"], "v1=" + digest)
            self.assertLess(abs(int(stamp) - time.time()), 3600)
            self.assertEqual(arrival.headers["X-Team"], "devops")
            self.assertEqual(arrival.json["executionId"], run.id)
        self.assertEqual(first.headers["Idempotency-Key"], second.headers["Idempotency-Key"])
        self.assertNotIn("a shared secret", server.log())

    def test_what_is_tried_again_and_what_is_not(self):
        for status, tried_again in ((500, True), (503, True), (429, True), (400, False), (404, False), (410, False), (301, False), (307, False)):
            with self.subTest(status=status):
                sink = self.sink(WebhookSink(answers=[(status, {"Location": "http://127.0.0.1:1/elsewhere"}, b"no")]))
                server = self.serve(self.config(sink))
                run = Execution()
                server.post_events(run.succeed())
                delivery, = self.ended(server, run)
                self.assertEqual((delivery["status"], delivery["attempts"], delivery["possiblyTwice"]),
                                 ("delivered", 2, False) if tried_again else ("dead", 1, False))
                if not tried_again:
                    self.assertEqual(delivery["lastError"]["code"], status)
                    self.assertIn(str(status), delivery["reason"])
                self.assertEqual(len(sink.arrivals.items), delivery["attempts"])

    def test_retry_after_is_honoured(self):
        sink = self.sink(WebhookSink(answers=[(429, {"Retry-After": "1800"}, b"")]))
        server = self.serve(self.config(sink))
        run = Execution()
        server.post_events(run.succeed())
        delivery = eventually(lambda: server.get("/api/v1/deliveries", executionId=run.id)["deliveries"], lambda f: f and f[0]["lastError"])[0]
        answer = server.get(f"/api/v1/deliveries/{delivery['deliveryId']}")
        failed, = [h for h in answer["history"] if h["outcome"] == "retry"]
        def seconds(text):
            return time.mktime(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))
        self.assertGreaterEqual(seconds(delivery["nextAttemptTime"]) - seconds(failed["time"]), 1799)   # the backoff itself is 200 ms at most

    def test_a_timeout_is_an_unknown_outcome_and_the_repeat_says_so(self):
        release = threading.Event()
        self.addCleanup(release.set)
        keys = []
        def answer(arrival):
            keys.append(arrival.headers["Idempotency-Key"])
            if len(keys) == 1:
                release.wait(120)
            return 200
        sink = self.sink(WebhookSink(answer))
        server = self.serve(self.config(sink, target=", timeout: 300ms"))
        run = Execution()
        server.post_events(run.succeed())
        delivery, = self.ended(server, run)
        self.assertEqual((delivery["status"], delivery["attempts"], delivery["possiblyTwice"]), ("delivered", 2, True))
        self.assertEqual(self.history(server, delivery), ["unknown", "ok"])
        self.assertEqual(len(set(keys)), 1)
        shown = subprocess.run([BINARY, "deliveries", "--url", server.address], capture_output=True, text=True, timeout=60)
        self.assertIn("×2?", shown.stdout)

    def test_a_dropped_connection_is_an_unknown_outcome(self):
        sink = self.sink(WebhookSink(answers=[200, None]))
        server = self.serve(self.config(sink))
        runs = [Execution(seed=seed) for seed in (1, 2)]
        for run, expected in zip(runs, ((1, False), (2, True))):   # the second meets a kept connection
            server.post_events(run.succeed())
            delivery, = self.ended(server, run)
            self.assertEqual((delivery["status"], delivery["attempts"], delivery["possiblyTwice"]), ("delivered", *expected))
        self.assertEqual(len(sink.arrivals.items), 3)

    def test_given_up_by_count_listed_dead_and_redriven(self):
        sink = self.sink(WebhookSink(answers=[500] * 4))
        server = self.serve(self.config(sink))
        run = Execution()
        server.post_events(run.succeed())
        delivery, = self.ended(server, run)
        self.assertEqual((delivery["status"], delivery["attempts"]), ("dead", 4))
        self.assertIn("delivery.max_attempts", delivery["reason"])
        dead = server.get("/api/v1/deliveries", status="dead")["deliveries"]
        self.assertEqual([d["deliveryId"] for d in dead], [delivery["deliveryId"]])
        self.assertEqual(server.get("/api/v1/health")["deadDeliveries"], 1)
        server.kill()       # dead letters are kept
        server.start()
        redriven = subprocess.run([BINARY, "dlq", "redrive", "--all", "--url", server.address], capture_output=True, text=True, timeout=60)
        self.assertEqual(redriven.returncode, 0, redriven.stderr)
        again = eventually(lambda: server.get(f"/api/v1/deliveries/{delivery['deliveryId']}"), lambda d: d["status"] == "delivered")
        self.assertEqual(again["key"], delivery["key"])
        self.assertEqual({a.headers["Idempotency-Key"] for a in sink.arrivals.items}, {sink.arrivals.items[0].headers["Idempotency-Key"]})
        self.assertEqual(len(sink.arrivals.items), 5)
        refused = server.request("POST", f"/api/v1/deliveries/{delivery['deliveryId']}/redrive", b"")
        self.assertIn(refused.status, (404, 409))

    def test_given_up_by_age(self):
        sink = self.sink(WebhookSink(lambda _: 500))
        server = self.serve(self.config(sink, more="delivery: {backoff_first: 50ms, backoff_max: 50ms, max_age: 1s}\n"))
        run = Execution()
        server.post_events(run.succeed())
        delivery, = self.ended(server, run)
        self.assertEqual(delivery["status"], "dead")
        self.assertIn("delivery.max_age", delivery["reason"])
        self.assertGreater(delivery["attempts"], 1)

    def test_one_target_that_hangs_delays_no_other(self):
        release = threading.Event()
        self.addCleanup(release.set)
        def hang(_):
            release.wait(120)
            return 200
        slow, quick = self.sink(WebhookSink(hang)), self.sink(WebhookSink())
        server = self.serve(f"policy: {{team: [slow, quick]}}\ntargets:\n  slow: {{type: webhook, url: '{slow.url}', timeout: 5m, concurrency: 2}}\n"
                            f"  quick: {{type: webhook, url: '{quick.url}', timeout: 5m}}\n" + RETRIES)
        runs = [Execution(f"orders-{n}") for n in range(20)]
        for run in runs:
            server.post_events(run.succeed())
        quick.wait_for(20)
        eventually(lambda: server.get("/api/v1/deliveries", status="delivered", limit=1000)["deliveries"], lambda found: len(found) == 20)
        # As many as its concurrency allows are under way; the others wait.
        self.assertEqual(len(slow.arrivals.items), 0)
        waiting = [d["status"] for d in server.get("/api/v1/deliveries", limit=1000)["deliveries"] if d["target"] == "slow"]
        self.assertEqual((waiting.count("in_flight"), waiting.count("pending")), (2, 18))
        release.set()
        slow.wait_for(20)

    def test_addresses_that_are_refused(self):
        cases = [("http://169.254.169.254/latest/meta-data", "", "169.254.169.254"), ("http://[fe80::1]/", "", "fe80"),
                 ("http://127.0.0.1:9/", "delivery: {block_private: true}\n", "127.0.0.1")]
        for url, more, named in cases:
            with self.subTest(url=url):
                server = self.serve(f"targets: {{devops: {{type: webhook, url: '{url}'}}}}\n" + more)
                run = Execution()
                server.post_events(run.succeed())
                delivery, = self.ended(server, run)
                self.assertEqual((delivery["status"], delivery["attempts"]), ("dead", 1))
                self.assertIn("refused_address", delivery["reason"])
                self.assertIn(named, delivery["reason"])

    def test_a_blocked_address_that_is_allowed(self):
        sink = self.sink(WebhookSink())
        server = self.serve(self.config(sink, more="delivery: {block_private: true, allow_addresses: [127.0.0.1/32]}\n"))
        run = Execution()
        server.post_events(run.succeed())
        self.assertEqual(self.ended(server, run)[0]["status"], "delivered")


class Crashes(Delivering):
    def test_a_crash_between_decision_and_delivery_loses_nothing_and_plans_nothing_again(self):
        release = threading.Event()
        self.addCleanup(release.set)
        def answer(_):
            release.wait(120)
            return 200
        sink = self.sink(WebhookSink(answer))
        server = self.serve(f"policy: {{wait_for_cause: 10m}}\ntargets: {{devops: {{type: webhook, url: '{sink.url}', timeout: 5m}}}}\n" + RETRIES)
        runs = [Execution(f"orders-{n}") for n in range(8)]
        for run in runs:
            server.post_events(run.succeed())
        held = Execution("held")
        events = held.fail("Build", "Compile")
        cause = [e for e in events if e["detail"].get("action") and e["detail"]["state"] == "FAILED"]
        server.post_events(e for e in events if e not in cause)
        eventually(lambda: server.get("/api/v1/deliveries", limit=1000)["deliveries"],
                   lambda found: [d["status"] for d in found].count("in_flight") == 4)   # the default concurrency
        before = {d["key"]: d for d in server.get("/api/v1/deliveries", limit=1000)["deliveries"]}
        self.assertEqual(len(before), 10)
        server.kill()
        release.set()
        server.start()
        for run in runs:
            server.post_events(run.succeed())     # as a sender that had no answer would
        server.post_events(cause)
        after = eventually(lambda: server.get("/api/v1/deliveries", limit=1000)["deliveries"],
                           lambda found: all(d["status"] == "delivered" for d in found))
        self.assertEqual({d["key"]: d["deliveryId"] for d in after}, {key: d["deliveryId"] for key, d in before.items()})
        twice = {d["key"] for d in after if d["possiblyTwice"]}
        self.assertEqual(twice, {key for key, d in before.items() if d["status"] == "in_flight"})

    def test_a_stop_waits_for_what_is_under_way(self):
        sink = self.sink(WebhookSink(lambda _: (time.sleep(1), 200)[1]))
        server = self.serve(f"targets: {{devops: {{type: webhook, url: '{sink.url}'}}}}\n" + RETRIES)
        run = Execution()
        server.post_events(run.succeed())
        eventually(lambda: server.get("/api/v1/deliveries")["deliveries"], lambda found: found and found[0]["status"] == "in_flight")
        self.assertEqual(server.stop(), 0)
        server.start()
        delivery, = self.ended(server, run)
        self.assertEqual((delivery["status"], delivery["attempts"], delivery["possiblyTwice"]), ("delivered", 1, False))


if __name__ == "__main__":
    unittest.main()
