"""Who may come in: loopback and open, foreign pages kept out, credentials verified, and no open server on any other address."""
import hashlib
import hmac
import json
import datetime
import subprocess
import unittest

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.exceptions

from waybill import BINARY, Waybill, request

TOKENS = ("first-token-0123456789", "second-token-0123456789")
KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
GUARDED = f"""
security:
  tokens: [{TOKENS[0]}, {TOKENS[1]}]
  credentials:
    - {{access_key_id: {KEY}, secret_access_key: "{SECRET}"}}
    - {{access_key_id: "123456789012", secret_access_key: other-secret-key}}
"""
GOOD = {"Source": "shop", "DetailType": "Order Placed", "Detail": "{}"}
FOREIGN = ("evil.example", "evil.example:4566", "127.evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "evil-localhost", "0x7f.1", "169.254.1.1", "[fe80::1]",
           "evil.example#localhost", "evil.example@localhost.x", "localhost@evil.example", "127.0.0.1 evil.example")
OWN = ("127.0.0.1", "127.0.0.1:1", "localhost", "localhost:4566", "LocalHost:80", "[::1]:4566", "waybill.localhost", "127.1.2.3")
PATHS = ("/", "/api/v1/health", "/api/v1/stream", "/metrics", "/index.html", "/nothing")


class Open(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Waybill("security: {allowed_hosts: [waybill.example]}").__enter__()
        cls.addClassCleanup(cls.server.close)

    def status(self, path="/api/v1/health", method="GET", body=None, **headers):
        return self.server.request(method, path, body, headers).status

    def test_foreign_hosts(self):
        for host in FOREIGN:
            for path in PATHS:
                self.assertEqual(self.status(path, Host=host), 403, (host, path))
            self.assertEqual(self.status("/events", "POST", {"id": "x"}, Host=host), 403, host)
            self.assertEqual(self.status("/", "POST", json.dumps({"Entries": [GOOD]}), **{"Host": host, "X-Amz-Target": "AWSEvents.PutEvents"}), 403, host)
        for host in OWN + ("waybill.example", "Waybill.Example:8080"):
            self.assertEqual(self.status(Host=host), 200, host)
        answer = self.server.request("GET", "/", headers={"Host": "evil.example"})
        self.assertIn("security.allowed_hosts", answer.json["error"]["message"])

    def test_foreign_origins(self):
        for origin in ["null", "file://", "http://evil.example", "https://evil.example:4566", "http://127.evil.example", "http://localhost.evil.example", "evil"]:
            for path, method, body in (("/api/v1/health", "GET", None), ("/events", "POST", {"id": "x"}), ("/api/v1/deliveries/redrive", "POST", {"all": True}),
                                       ("/api/v1/sql", "POST", {"query": "SELECT 1"}), ("/", "POST", {"Entries": [GOOD]})):
                answer = self.server.request(method, path, body, {"Origin": origin})
                self.assertEqual(answer.status, 403, (origin, path))
                self.assertNotIn("Access-Control-Allow-Origin", answer.headers)
        # A page that a foreign name led here calls itself by that name in both.
        self.assertEqual(self.status(Host="evil.example", Origin="http://evil.example"), 403)
        for origin in (self.server.address, "http://localhost:3000", "https://waybill.example"):
            self.assertEqual(self.status(Origin=origin), 200, origin)
        self.assertEqual(self.server.get("/api/v1/health")["eventsAccepted"], 0)

    def test_no_answer_invites_other_origins(self):
        for path in PATHS:
            if path == "/api/v1/stream":
                continue
            answer = self.server.request("GET", path, headers={"Origin": self.server.address})
            self.assertNotIn("Access-Control-Allow-Origin", answer.headers, path)
        self.assertEqual(self.status("/api/v1/health", "OPTIONS", Origin="http://localhost:1", **{"Access-Control-Request-Method": "POST"}), 405)

    def test_the_console_is_told_what_it_may_do(self):
        answer = self.server.request("GET", "/")
        self.assertEqual(answer.status, 200)
        self.assertIn("default-src", answer.headers["Content-Security-Policy"])
        self.assertEqual(answer.headers["X-Content-Type-Options"], "nosniff")
        for path in ("/../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/assets/../../waybill.yaml", "/assets/%00"):
            self.assertNotIn(b"root:", self.server.request("GET", path).body)


class Guarded(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Waybill(GUARDED).__enter__()
        cls.addClassCleanup(cls.server.close)

    def client(self, key=KEY, secret=SECRET, **options):
        made = boto3.client("events", endpoint_url=self.server.address, region_name="us-east-1", aws_access_key_id=key, aws_secret_access_key=secret,
                            config=botocore.config.Config(retries={"max_attempts": 0}), **options)
        self.addCleanup(made.close)
        return made

    def test_tokens(self):
        for path, method in (("/api/v1/health", "GET"), ("/api/v1/pipelines", "GET"), ("/api/v1/nothing", "GET"), ("/api/v1/stream", "GET"), ("/metrics", "GET"), ("/events", "POST"),
                             ("/api/v1/sql", "POST"), ("/api/v1/deliveries/redrive", "POST"), ("/api/v1/pipelines", "DELETE")):
            for given in (None, "", "Bearer", "Bearer ", "Bearer x", TOKENS[0], "Bearer " + TOKENS[0][:-1], "Bearer " + TOKENS[0] + "x", "Bearer " + TOKENS[0].upper(),
                          "Basic " + TOKENS[0], "Bearer " + ",".join(TOKENS)):
                answer = self.server.request(method, path, b"{}" if method == "POST" else None, {"Authorization": given} if given is not None else {})
                self.assertEqual((answer.status, answer.headers["WWW-Authenticate"]), (401, "Bearer"), (path, given))
        for token in TOKENS:
            self.assertEqual(self.server.request("GET", "/api/v1/health", headers={"Authorization": "Bearer " + token}).status, 200)
        self.assertNotIn(TOKENS[0], self.server.log())

    def test_the_console_holds_no_data(self):
        self.assertEqual(self.server.request("GET", "/").status, 200)

    def test_signatures(self):
        self.assertEqual(self.client().put_events(Entries=[GOOD])["FailedEntryCount"], 0)
        self.assertEqual(self.client("123456789012", "other-secret-key").put_events(Entries=[GOOD])["FailedEntryCount"], 0)
        for key, secret, code in ((KEY, SECRET + "x", "InvalidSignatureException"), (KEY, "other-secret-key", "InvalidSignatureException"),
                                  ("AKIDUNKNOWN", SECRET, "UnrecognizedClientException")):
            with self.assertRaises(botocore.exceptions.ClientError) as refused:
                self.client(key, secret).put_events(Entries=[GOOD])
            self.assertEqual(refused.exception.response["Error"]["Code"], code)
            self.assertEqual(refused.exception.response["ResponseMetadata"]["HTTPStatusCode"] // 100, 4)
        with self.assertRaises(botocore.exceptions.ClientError):
            self.client(aws_session_token="a-token-that-no-key-has").put_events(Entries=[GOOD])

    def signed(self, body, moment=None, secret=SECRET):
        """A signed request by hand, so that it can be spoilt: botocore signs at the time of day only."""
        moment = moment or datetime.datetime.now(datetime.timezone.utc)
        date, stamp, host = moment.strftime("%Y%m%d"), moment.strftime("%Y%m%dT%H%M%SZ"), self.server.address.removeprefix("http://")
        headers = {"content-type": "application/x-amz-json-1.1", "host": host, "x-amz-date": stamp, "x-amz-target": "AWSEvents.PutEvents"}
        names = ";".join(sorted(headers))
        canonical = "\n".join(["POST", "/", "", *(f"{n}:{headers[n]}" for n in sorted(headers)), "", names, hashlib.sha256(body).hexdigest()])
        scope = f"{date}/us-east-1/events/aws4_request"
        key = ("AWS4" + secret).encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        headers["Authorization"] = f"AWS4-HMAC-SHA256 Credential={KEY}/{scope}, SignedHeaders={names}, Signature={signature}"
        return headers

    def test_spoilt_signatures(self):
        body = json.dumps({"Entries": [GOOD]}).encode()
        headers = self.signed(body)

        def status(body=body, **changes):
            return self.server.request("POST", "/", body, {k: v for k, v in {**headers, **changes}.items() if v is not None})

        self.assertEqual(status().status, 200)
        before = self.server.request("GET", "/api/v1/health", headers={"Authorization": "Bearer " + TOKENS[0]}).json["eventsAccepted"]
        now = datetime.datetime.now(datetime.timezone.utc)
        spoilt = [{"body": body + b" "}, {"x-amz-target": "AWSEvents.PutRule"}, {"x-amz-date": "20200101T000000Z"}, {"Authorization": None}, {"Authorization": ""},
                  {"Authorization": "AWS4-HMAC-SHA256"}, {"Authorization": headers["Authorization"][:-1]}, {"Authorization": headers["Authorization"][:-1] + "g"},
                  {"Authorization": headers["Authorization"].replace("host;", "")}, {"Authorization": headers["Authorization"].replace("us-east-1", "us-east-2")},
                  {"Authorization": "Bearer " + TOKENS[0]}, {"Authorization": headers["Authorization"].replace(KEY, "123456789012")},
                  {"Authorization": headers["Authorization"].replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256")},
                  self.signed(body, now - datetime.timedelta(minutes=6)), self.signed(body, now + datetime.timedelta(minutes=6)), self.signed(body, secret="")]
        for change in spoilt:
            answer = status(**change)
            with self.subTest(change=str(change)[:200]):
                self.assertIn(answer.status, (400, 401, 403), answer)
                self.assertIn("__type", answer.json)
        self.assertEqual(status(**self.signed(body, now - datetime.timedelta(minutes=4))).status, 200)
        after = self.server.request("GET", "/api/v1/health", headers={"Authorization": "Bearer " + TOKENS[0]}).json["eventsAccepted"]
        self.assertEqual(after, before + 1)
        self.assertNotIn(SECRET, self.server.log())

    def test_a_signature_is_no_token_and_a_token_no_signature(self):
        credentials = botocore.credentials.Credentials(KEY, SECRET)
        outgoing = botocore.awsrequest.AWSRequest("GET", self.server.address + "/api/v1/health")
        botocore.auth.SigV4Auth(credentials, "events", "us-east-1").add_auth(outgoing)
        self.assertEqual(self.server.request("GET", "/api/v1/health", headers=dict(outgoing.headers)).status, 401)
        answer = self.server.request("POST", "/", json.dumps({"Entries": [GOOD]}), {"Authorization": "Bearer " + TOKENS[0], "X-Amz-Target": "AWSEvents.PutEvents",
                                                                                  "Content-Type": "application/x-amz-json-1.1"})
        self.assertIn(answer.status, (400, 401, 403))


class Binding(unittest.TestCase):
    ONLY_TOKENS = "security: {tokens: [%s]}" % TOKENS[0]
    ONLY_KEYS = "security: {credentials: [{access_key_id: %s, secret_access_key: \"%s\"}]}" % (KEY, SECRET)

    def test_no_open_server_but_on_loopback(self):
        for listen in ("0.0.0.0:0", "[::]:0", "192.0.2.1:0", "example.com:0", "127.evil.example:0"):
            for config in ("", self.ONLY_TOKENS, self.ONLY_KEYS):
                server = Waybill(config)
                self.addCleanup(server.close)
                done = subprocess.run([BINARY, "serve", "--data", server.data, "--config", server.config_path, "--listen", listen], capture_output=True, text=True,
                                      stdin=subprocess.DEVNULL)
                self.assertEqual(done.returncode, 2, (listen, config, done))
                self.assertIn("security.", done.stderr)
                self.assertEqual(done.stdout, "")
                self.assertFalse(server.data.exists(), "it began to work before it refused")

    def test_any_address_with_both(self):
        server = Waybill(GUARDED)
        self.addCleanup(server.close)
        process = subprocess.Popen([BINARY, "serve", "--data", server.data, "--config", server.config_path, "--listen", "0.0.0.0:0"], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.terminate)
        address = "http://127.0.0.1:" + process.stdout.readline().strip().rsplit(":", 1)[1]
        self.assertEqual(request("GET", address + "/api/v1/health").status, 401)
        self.assertEqual(request("GET", address + "/api/v1/health", headers={"Authorization": "Bearer " + TOKENS[1], "Host": "any.example"}).status, 200)
        self.assertEqual(request("GET", address + "/api/v1/health", headers={"Authorization": "Bearer " + TOKENS[1], "Origin": "http://evil.example"}).status, 403)


if __name__ == "__main__":
    unittest.main()
