"""The outside that Waybill talks to, as small servers on loopback: a mail relay, a webhook receiver, CodePipeline, the AWS services that
rules have for targets, and a server that gives OAuth tokens.

Each records what it was sent, in order, and answers what the test told it to. `wait_for(n)` blocks until n things have arrived.
They are second implementations of the receiving side (RFC 5321 with STARTTLS and AUTH, HTTP, CodePipeline's json 1.1), kept as small
as the tests allow: no pipelining, one connection a thread.
"""
import base64
import datetime
import email
import email.policy
import hashlib
import hmac
import http.server
import json
import re
import socketserver
import sys
import threading
import urllib.parse
import uuid

WAIT_SECONDS = 60  # a test that reaches this has failed


class Arrivals:
    """What has arrived, and a way to wait for it."""

    def __init__(self):
        self.items = []
        self.arrived = threading.Condition()

    def add(self, item):
        with self.arrived:
            self.items.append(item)
            self.arrived.notify_all()
            return len(self.items)

    def wait_for(self, count, holds=lambda item: True):
        """The first `count` items for which `holds`, once there are so many."""
        def matching():
            return [item for item in self.items if holds(item)]
        with self.arrived:
            if not self.arrived.wait_for(lambda: len(matching()) >= count, WAIT_SECONDS):
                raise AssertionError(f"waited for {count}, have {len(matching())} of {self.items!r}")
            return matching()[:count]


class Sink:
    """A threaded server on a free loopback port, with its arrivals. A context manager."""

    def serve(self, server):
        self.arrivals = Arrivals()
        self.server = server
        server.sink = self
        self.port = server.server_address[1]
        self.thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def wait_for(self, count, holds=lambda item: True):
        return self.arrivals.wait_for(count, holds)


class Quiet:
    """A client that goes away in the middle, as one that is killed does, is no error of the server."""

    def handle_error(self, request, address):
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, address)


class ThreadingServer(Quiet, socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False


class Mail:
    """One accepted message: envelope, raw bytes, and the parsed message."""

    def __init__(self, sender, recipients, raw, secure=False, user=None):
        self.sender, self.recipients, self.raw = sender, recipients, raw
        self.secure, self.user = secure, user  # whether it came over TLS, and who had logged in
        self.message = email.message_from_bytes(raw, policy=email.policy.default)

    @property
    def subject(self):
        return self.message["Subject"]

    @property
    def text(self):
        return self.message.get_body(("plain",)).get_content().replace("\r\n", "\n")

    def __repr__(self):
        return f"Mail({self.recipients}, {self.subject!r})"


class SmtpSink(Sink):
    """A mail relay. `answers` is consumed one message each, as the reply to its end of data: "250 OK", "451 try later", "550 no",
    or "" to take the message and drop the connection instead of answering. When it is empty every message is accepted. With `tls`, an
    ssl.SSLContext, STARTTLS is offered; with `login`, a user and a password, mail is taken after AUTH only, and AUTH after TLS only."""

    def __init__(self, answers=(), tls=None, login=None):
        self.answers = list(answers)
        self.tls, self.login = tls, login
        self.serve(ThreadingServer(("127.0.0.1", 0), SmtpSession))
        self.url = f"smtp://127.0.0.1:{self.port}"

    def next_answer(self):
        return self.answers.pop(0) if self.answers else "250 2.0.0 taken"


class SmtpSession(socketserver.StreamRequestHandler):
    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")

    def handle(self):
        self.say("220 mail.test ESMTP")
        sender, recipients = None, []
        sink = self.server.sink
        self.secure, self.user = False, None
        while line := self.rfile.readline():
            command = line.decode("utf-8", "replace").rstrip("\r\n")
            verb = command.split(" ")[0].upper()
            if verb == "EHLO":
                self.say("250-mail.test")
                if sink.tls and not self.secure:
                    self.say("250-STARTTLS")
                if sink.login and (self.secure or not sink.tls):
                    self.say("250-AUTH PLAIN LOGIN")
                self.say("250 8BITMIME")
            elif verb == "STARTTLS" and sink.tls and not self.secure:
                self.say("220 go on")
                self.secure_connection(sink.tls)
            elif verb == "AUTH" and sink.login and (self.secure or not sink.tls):
                self.authenticate(command)
            elif verb == "MAIL" and sink.login and not self.user:
                self.say("530 5.7.0 who are you?")
            elif verb in ("HELO", "NOOP"):
                self.say("250 mail.test")
            elif verb == "RSET":
                sender, recipients = None, []
                self.say("250 forgotten")
            elif verb == "MAIL":
                sender = re.search(r"<(.*?)>", command).group(1)
                recipients = []
                self.say("250 sender")
            elif verb == "RCPT":
                recipients.append(re.search(r"<(.*?)>", command).group(1))
                self.say("250 recipient")
            elif verb == "DATA":
                if not recipients:
                    self.say("503 RCPT first")
                    continue
                self.say("354 go on")
                raw = self.read_data()
                if raw is None:
                    return
                answer = sink.next_answer()
                if answer.startswith("2") or not answer:
                    sink.arrivals.add(Mail(sender, recipients, raw, self.secure, self.user))
                if not answer:
                    return
                self.say(answer)
                sender, recipients = None, []
            elif verb == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("502 not known here")

    def secure_connection(self, context):
        """RFC 3207: what was said before is forgotten; the caller's loop goes on over TLS."""
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
        self.secure = True

    def finish(self):
        super().finish()
        self.connection.close()

    def authenticate(self, command):
        """RFC 4954 with PLAIN and LOGIN, each with or without an initial response."""
        words = command.split(" ")

        def ask(prompt):
            self.say("334 " + base64.b64encode(prompt).decode())
            return base64.b64decode(self.rfile.readline())

        first = base64.b64decode(words[2]) if len(words) > 2 else None
        if words[1].upper() == "PLAIN":
            _, user, password = (first if first is not None else ask(b"")).split(b"\0")
        else:
            user = first if first is not None else ask(b"Username:")
            password = ask(b"Password:")
        if (user.decode(), password.decode()) == tuple(self.server.sink.login):
            self.user = user.decode()
            self.say("235 2.7.0 welcome")
        else:
            self.say("535 5.7.8 no")

    def read_data(self):
        """The message without its final dot and with doubled dots undone; None when the client went away."""
        lines = []
        for line in self.rfile:
            if line.rstrip(b"\r\n") == b".":
                return b"".join(lines)
            lines.append(line[1:] if line.startswith(b".") else line)
        return None


class HttpArrival:
    """One HTTP request as it came."""

    def __init__(self, method, path, headers, body):
        self.method, self.path, self.headers, self.body = method, path, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.method} {self.path} {self.body[:200]!r}"


class HttpSession(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        arrival = HttpArrival(self.command, self.path, self.headers, body)
        status, headers, reply = self.server.sink.answer(arrival)
        if status is None:  # as a receiver that dies in the middle
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    do_GET = do_PUT = do_PATCH = do_DELETE = do_POST

    def log_message(self, *_):
        pass


class WebhookSink(Sink):
    """A receiver of webhooks. `answers` is consumed one request each: a status, or (status, headers, body), or None to drop the
    connection. When it is empty every request is answered 200. Every request is an arrival, whatever was answered. A function in its
    place is asked for each answer, with the arrival."""

    def __init__(self, answers=()):
        self.answers = answers if callable(answers) else list(answers)
        self.lock = threading.Lock()
        self.serve(make_http_server())
        self.url = f"http://127.0.0.1:{self.port}/hook"

    def answer(self, arrival):
        if callable(self.answers):
            answer = self.answers(arrival)
        else:
            with self.lock:
                answer = self.answers.pop(0) if self.answers else 200
        self.arrivals.add(arrival)
        if isinstance(answer, tuple):
            return answer
        return answer, {}, b""


class HttpServer(Quiet, http.server.ThreadingHTTPServer):
    pass


def make_http_server():
    server = HttpServer(("127.0.0.1", 0), HttpSession)
    server.daemon_threads = True
    server.block_on_close = False
    return server


class RetryCall:
    """One RetryStageExecution: its parameters, its headers, and what it was answered."""

    def __init__(self, arrival, parameters, outcome):
        self.headers, self.parameters, self.outcome = arrival.headers, parameters, outcome
        self.authorization = arrival.headers.get("Authorization", "")
        self.signature_holds = None  # when a key was given to the fake

    def __repr__(self):
        return f"RetryCall({self.parameters}, {self.outcome!r})"


class CodePipelineFake(Sink):
    """CodePipeline's RetryStageExecution over json 1.1. `outcomes` is consumed one call each: "ok", the name of an AWS error such as
    "StageNotRetryableException" (400) or "ThrottlingException", an HTTP status such as 503, or None to drop the connection after the
    call was taken, or a function that returns one of them, in its own time. When it is empty every call succeeds. With `secret_access_key` each call's SigV4 signature is checked, and a
    wrong one answered with InvalidSignatureException."""

    TARGET = "CodePipeline_20150709.RetryStageExecution"

    def __init__(self, outcomes=(), secret_access_key=None):
        self.outcomes = list(outcomes)
        self.secret_access_key = secret_access_key
        self.lock = threading.Lock()
        self.serve(make_http_server())
        self.url = f"http://127.0.0.1:{self.port}"

    def answer(self, arrival):
        target = arrival.headers.get("X-Amz-Target")
        if target != self.TARGET:
            return self.refuse(400, "UnknownOperationException", f"only {self.TARGET} is answered here, not {target}")
        parameters = arrival.json
        with self.lock:
            outcome = self.outcomes.pop(0) if self.outcomes else "ok"
        if callable(outcome):
            outcome = outcome()
        call = RetryCall(arrival, parameters, outcome)
        if self.secret_access_key:
            call.signature_holds = signature_holds(arrival, self.secret_access_key)
        self.arrivals.add(call)
        if call.signature_holds is False:
            return self.refuse(400, "InvalidSignatureException", "The request signature we calculated does not match yours.")
        wanted = {"pipelineName", "stageName", "pipelineExecutionId", "retryMode"}
        if set(parameters) != wanted or parameters["retryMode"] not in ("FAILED_ACTIONS", "ALL_ACTIONS"):
            return self.refuse(400, "ValidationException", f"parameters must be {sorted(wanted)}")
        if outcome is None:
            return None, {}, b""
        if isinstance(outcome, int):
            return self.refuse(outcome, "InternalFailure", "broken on purpose")
        if outcome != "ok":
            return self.refuse(400, outcome, "refused on purpose")
        return self.reply(200, {"pipelineExecutionId": parameters["pipelineExecutionId"]})

    def refuse(self, status, code, message):
        return self.reply(status, {"__type": code, "message": message}, {"x-amzn-ErrorType": code})

    @staticmethod
    def reply(status, value, headers=None):
        body = json.dumps(value).encode()
        return status, {"Content-Type": "application/x-amz-json-1.1", "x-amzn-RequestId": str(uuid.uuid4()), **(headers or {})}, body


class AwsCall:
    """One signed call of an AWS service: what its signature names, its operation and parameters, its headers, and what it was answered."""

    def __init__(self, arrival):
        self.arrival, self.headers, self.body = arrival, arrival.headers, arrival.body.decode()
        found = AUTHORIZATION.match(arrival.headers.get("Authorization", ""))
        self.access_key_id, self.region, self.service = (found[1], found[3], found[4]) if found else (None, None, None)
        self.content_type = arrival.headers.get("Content-Type", "").split(";")[0]
        self.outcome = None
        path = urllib.parse.unquote(arrival.path)
        function = re.fullmatch(r"/2015-03-31/functions/(.+)/invocations", path)
        target = arrival.headers.get("X-Amz-Target")
        if target:
            self.operation, self.parameters = target.rsplit(".", 1)[-1], arrival.json
        elif function:
            self.operation, self.content_type = "Invoke", self.content_type or "application/json"   # SDKs name none
            self.parameters = {"FunctionName": function[1], "InvocationType": arrival.headers.get("X-Amz-Invocation-Type"), "Payload": self.body}
        else:
            self.parameters = dict(urllib.parse.parse_qsl(self.body, keep_blank_values=True, strict_parsing=True))
            self.operation = self.parameters.pop("Action", None)

    def __repr__(self):
        return f"AwsCall({self.service} {self.operation} {self.parameters}, {self.outcome!r})"


class AwsFake(Sink):
    """SQS, SNS, Lambda, CodePipeline, Step Functions, CloudWatch Logs and EventBridge, as far as rules call them, at one address. Each
    call is an arrival, an AwsCall, whatever was answered. `outcomes` has a list for an operation, consumed one call each: "ok", the name
    of an AWS error (400), an HTTP status, None to drop the connection, or a function of the call that returns one of them, in its own
    time. Signatures are looked at only with `secret_access_key`: a wrong one is answered with InvalidSignatureException."""

    PROTOCOLS = {"SendMessage": "application/x-amz-json-1.0", "StartExecution": "application/x-amz-json-1.0", "Publish": "application/x-www-form-urlencoded",
                 "Invoke": "application/json", "StartPipelineExecution": "application/x-amz-json-1.1", "CreateLogStream": "application/x-amz-json-1.1",
                 "PutLogEvents": "application/x-amz-json-1.1", "PutEvents": "application/x-amz-json-1.1"}

    def __init__(self, outcomes=None, secret_access_key=None):
        self.outcomes = {operation: list(scripted) for operation, scripted in (outcomes or {}).items()}
        self.secret_access_key = secret_access_key
        self.lock = threading.Lock()
        self.serve(make_http_server())
        self.url = f"http://127.0.0.1:{self.port}"

    def answer(self, arrival):
        call = AwsCall(arrival)
        if self.PROTOCOLS.get(call.operation) != call.content_type:
            return self.refuse(call, 400, "UnknownOperationException", f"{call.operation} as {call.content_type} is not answered here")
        if self.secret_access_key and not signature_holds(arrival, self.secret_access_key):
            return self.refuse(call, 403, "InvalidSignatureException", "The request signature we calculated does not match yours.")
        with self.lock:
            scripted = self.outcomes.get(call.operation)
            outcome = scripted.pop(0) if scripted else "ok"
        if callable(outcome):
            outcome = outcome(call)
        if outcome is None:
            self.arrivals.add(call)
            return None, {}, b""
        if outcome != "ok":
            return self.refuse(call, *((outcome, "InternalFailure") if isinstance(outcome, int) else (400, outcome)), "refused on purpose")
        call.outcome = "ok"
        self.arrivals.add(call)
        identity = str(uuid.uuid4())
        if call.operation == "Publish":
            answer = f"<PublishResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishResult><MessageId>{identity}</MessageId></PublishResult></PublishResponse>"
            return 200, {"Content-Type": "text/xml"}, answer.encode()
        if call.operation == "Invoke":
            return 202, {}, b""
        answer = {"SendMessage": lambda p: {"MessageId": identity, "MD5OfMessageBody": hashlib.md5(p["MessageBody"].encode()).hexdigest()},
                  "StartExecution": lambda p: {"executionArn": p["stateMachineArn"] + ":" + p["name"], "startDate": 1.0},
                  "StartPipelineExecution": lambda p: {"pipelineExecutionId": identity},
                  "PutEvents": lambda p: {"FailedEntryCount": 0, "Entries": [{"EventId": identity} for _ in p["Entries"]]}}
        return CodePipelineFake.reply(200, answer.get(call.operation, lambda p: {})(call.parameters), {"Content-Type": call.content_type})

    def refuse(self, call, status, code, message):
        call.outcome = code
        self.arrivals.add(call)
        if call.operation == "Publish":
            return status, {"Content-Type": "text/xml"}, f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>".encode()
        return CodePipelineFake.reply(status, {"__type": code, "message": message}, {"x-amzn-ErrorType": code})


class TokenServer(Sink):
    """Gives OAuth tokens for client credentials (RFC 6749, 4.4): token-1, token-2, … (`token` is before the dash); every request is an arrival. `answers` is consumed one
    request each: a status that is answered instead of a token, or None to drop the connection."""

    def __init__(self, client_id, client_secret, answers=(), expires_in=3600, token="token"):
        self.client_id, self.client_secret, self.expires_in, self.token = client_id, client_secret, expires_in, token
        self.answers, self.given = list(answers), 0
        self.lock = threading.Lock()
        self.serve(make_http_server())
        self.url = f"http://127.0.0.1:{self.port}/token"

    def answer(self, arrival):
        self.arrivals.add(arrival)
        with self.lock:
            if self.answers:
                return self.answers.pop(0), {}, b""
            form = dict(urllib.parse.parse_qsl(arrival.body.decode()))
            good = {"grant_type": "client_credentials", "client_id": self.client_id, "client_secret": self.client_secret}
            if not good.items() <= form.items():
                return 401, {"Content-Type": "application/json"}, b'{"error":"invalid_client"}'
            self.given += 1
            token = {"access_token": f"{self.token}-{self.given}", "token_type": "Bearer", "expires_in": self.expires_in}
        return 200, {"Content-Type": "application/json"}, json.dumps(token).encode()


AUTHORIZATION = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, ?"
                           r"SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$")


def signature_holds(arrival, secret):
    """Verifies SigV4 as AWS documents it ("Create a signed AWS API request"), from the raw request; also that its date is a date."""
    found = AUTHORIZATION.match(arrival.headers.get("Authorization", ""))
    stamp = arrival.headers.get("X-Amz-Date", "")
    if not found:
        return False
    _, date, region, service, names, signature = found.groups()
    try:
        datetime.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ")
    except ValueError:
        return False
    names = names.split(";")
    if not stamp.startswith(date) or not {"host", "x-amz-date"} <= set(names) or names != sorted(names):
        return False
    url = urllib.parse.urlsplit(arrival.path)
    query = "&".join(sorted(f"{urllib.parse.quote(k, safe='-_.~')}={urllib.parse.quote(v, safe='-_.~')}"
                            for k, v in urllib.parse.parse_qsl(url.query, keep_blank_values=True)))
    headers = "".join(f"{n}:{' '.join(arrival.headers.get(n, '').split())}\n" for n in names)
    canonical = "\n".join([arrival.method, urllib.parse.quote(url.path, safe="/-_.~"), query, headers, ";".join(names),
                           hashlib.sha256(arrival.body).hexdigest()])
    scope = f"{date}/{region}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = b"AWS4" + secret.encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.compare_digest(hmac.new(key, text.encode(), hashlib.sha256).hexdigest(), signature)


def botocore_signature_holds(arrival, access_key_id, secret):
    """The same, by botocore's own signer, which must be installed; it says what the signature of that request had to be."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    found = AUTHORIZATION.match(arrival.headers.get("Authorization", ""))
    if not found or found[1] != access_key_id:
        return False
    _, _, region, service, names, signature = found.groups()
    request = AWSRequest(arrival.method, f"http://{arrival.headers['Host']}{arrival.path}", data=arrival.body,
                         headers={name: arrival.headers.get(name, "") for name in names.split(";")})
    request.context["timestamp"] = arrival.headers["X-Amz-Date"]
    signer = SigV4Auth(Credentials(access_key_id, secret), service, region)
    return hmac.compare_digest(signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request), signature)
