#!/usr/bin/python3
"""Holds our Signature Version 4 to botocore's: for fixed and random nasty requests, our signature must be botocore's byte for byte, our
verifier must accept what botocore signed (presigned URLs too), and must refuse it once one character has changed.

Usage: sigv4_botocore.py path/to/sigv4_print     Exit status 77 (skipped) where botocore is not installed.
"""
import datetime
import random
import subprocess
import sys
from urllib.parse import quote, urlsplit

try:
    import botocore.auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
except ImportError:
    print("skipped: botocore is not installed")
    sys.exit(77)

NOW = datetime.datetime(2026, 3, 1, 23, 59, 58)
NOW_MS = int(NOW.replace(tzinfo=datetime.timezone.utc).timestamp() * 1000)


class FixedTime(datetime.datetime):
    @classmethod
    def utcnow(cls):
        return NOW

    @classmethod
    def now(cls, tz=None):
        return NOW.replace(tzinfo=tz)


botocore.auth.datetime.datetime = FixedTime

ACCESS, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
HOST = "service.us-east-1.amazonaws.com"


def case(method="POST", path="/", query="", headers=(), body=b"", service="events", region="us-east-1", token="", scheme="https", host=HOST):
    return dict(method=method, url=f"{scheme}://{host}{path}" + (f"?{query}" if query else ""), headers=list(headers), body=body,
                service=service, region=region, token=token)


def fixed_cases():
    json_headers = [("Content-Type", "application/x-amz-json-1.1"), ("X-Amz-Target", "AWSEvents.PutEvents")]
    yield case(headers=json_headers, body=b'{"Entries":[]}')
    yield case(headers=json_headers, body=b"{}", token="IQoJb3JpZ2luX2VjE//////////wEa+Cw==")
    yield case(headers=[("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")], body=b"Action=Publish&Version=2010-03-31", service="sns")
    yield case("GET")
    yield case("GET", path="")
    for path in ["/a:b", "/a%20b", "/a%2Fb", "/%C3%A9t%C3%A9", "//double//slash/", "/./a/../b/./c", "/a/b/..", "/..", "/a~b_c.d-e", "/a+b", "/a=b&c", "/(x)", "/*",
                 "/2015-03-31/functions/arn:aws:lambda:us-east-1:123456789012:function:f/invocations", "/trailing/", "/a,b;c"]:
        for service in ["lambda", "s3"]:
            yield case("GET", path=path, service=service)
    for query in ["a=1", "b=2&a=1", "a=2&a=1&a=10", "a=", "a", "A=1&a=2&B=3", "a=%20b", "key=%2F%3D%26", "x=%C3%A9", "a-b=1&a=2", "a=1&a%2Fb=2&a.b=3", "Z=1&z=2&%7E=3".replace("%7E", "~")]:
        yield case("GET", query=query)
    yield case(headers=[("X-Folded", "  a   b\t c  "), ("X-Empty", ""), ("x-lower", "v"), ("X-UPPER", "V")])
    yield case(headers=[("User-Agent", "ours/1"), ("Expect", "100-continue"), ("X-Amzn-Trace-Id", "Root=1"), ("X-Amz-Meta", "m")])
    yield case(headers=[("X-Comma", "a,b , c"), ("X-Quoted", '"two  spaces"'), ("X-Colon", "a:b")])
    yield case(host="127.0.0.1:4566", scheme="http")
    yield case(host="example.org:80", scheme="http")
    yield case(host="example.org:443", scheme="https")
    yield case(host="Example.ORG", scheme="https")
    yield case(body=bytes(range(256)) * 20, region="eu-central-1", service="codepipeline")


def random_cases(rng, count):
    letters = "abcXYZ019-._~ /:+@!$'()*,;=&?#%[]\u00e9\u20ac"
    word = lambda most: "".join(rng.choice(letters) for _ in range(rng.randint(0, most)))
    for _ in range(count):
        path = "/" + "/".join(quote(word(8), safe=rng.choice(["", ":", ":+@"])) for _ in range(rng.randint(0, 4)))
        pairs = [(quote(word(5) or "k", safe="-_.~"), quote(word(8), safe="-_.~")) for _ in range(rng.randint(0, 5))]
        if pairs and rng.random() < 0.5:
            pairs.append((pairs[0][0], quote(word(4), safe="-_.~")))
        names = ["X-Amz-One", "x-two", "Content-Type", "X-Amz-Target", "X-THREE"]
        headers = [(n, "".join(rng.choice("ab  :;,=\"/") for _ in range(rng.randint(0, 20))).strip()) for n in names if rng.random() < 0.5]
        yield case(rng.choice(["GET", "POST", "PUT", "DELETE"]), path, "&".join(f"{k}={v}" for k, v in pairs), headers,
                   bytes(rng.randrange(256) for _ in range(rng.randint(0, 50))), rng.choice(["events", "lambda", "s3", "sqs", "monitoring"]),
                   rng.choice(["us-east-1", "eu-west-3"]), rng.choice(["", "", "tok/en+=="]))


def botocore_signs(c):
    request = AWSRequest(method=c["method"], url=c["url"], data=c["body"], headers=dict(c["headers"]))
    credentials = Credentials(ACCESS, SECRET, c["token"] or None)
    signer = botocore.auth.S3SigV4Auth if c["service"] == "s3" else botocore.auth.SigV4Auth
    request.context["payload_signing_enabled"] = True
    signer(credentials, c["service"], c["region"]).add_auth(request)
    return request


def botocore_presigns(c):
    request = AWSRequest(method=c["method"], url=c["url"], headers={}, data=b"")
    signer = botocore.auth.S3SigV4QueryAuth if c["service"] == "s3" else botocore.auth.SigV4QueryAuth
    signer(Credentials(ACCESS, SECRET, c["token"] or None), c["service"], c["region"], expires=900).add_auth(request)
    return request


def line(verb, fields):
    return " ".join([verb] + [(f if isinstance(f, bytes) else f.encode()).hex() or "-" for f in fields])


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def verify_line(c, request, url, body):
    parts = urlsplit(url)
    headers = [(k, text(v)) for k, v in request.headers.items()]
    if not any(k.lower() == "host" for k, _ in headers):
        headers.append(("Host", botocore.auth._host_from_url(c["url"])))
    target = (parts.path or "/") + ("?" + parts.query if parts.query else "")
    return line("verify", [c["method"], target, body, ACCESS, SECRET, c["token"], str(NOW_MS)] + [x for h in headers for x in h])


def main():
    program = sys.argv[1]
    cases = list(fixed_cases()) + list(random_cases(random.Random(7), 300))
    lines, expected, what = [], [], []

    def add(text_line, want, description):
        lines.append(text_line)
        expected.append(want)
        what.append(description)

    for c in cases:
        request = botocore_signs(c)
        sign = line("sign", [c["method"], c["url"], c["body"], c["region"], c["service"], ACCESS, SECRET, c["token"], str(NOW_MS)] + [x for h in c["headers"] for x in h])
        add(sign, lambda out, want=text(request.headers["Authorization"]): out == want, ("sign", c, text(request.headers["Authorization"])))
        add(verify_line(c, request, c["url"], c["body"]), lambda out: out == "ok", ("verify", c))
        add(verify_line(c, request, c["url"], c["body"] + b"x"), lambda out: out != "ok", ("verify a changed body", c))
        add(verify_line(c, request, c["url"] + ("&" if "?" in c["url"] else "?") + "more=1", c["body"]), lambda out: out != "ok", ("verify a changed query", c))
        if c["method"] == "GET" and not c["body"]:
            presigned = botocore_presigns(c)
            add(verify_line(c, presigned, presigned.url, b""), lambda out: out == "ok", ("verify presigned", c, presigned.url))
            add(verify_line(c, presigned, presigned.url.replace("Expires=900", "Expires=901"), b""), lambda out: out != "ok", ("verify changed presigned", c))
    # A query that is signed as it was written, though it is not as the specification writes it.
    for query in ["a=b/c", "a=b:c&A=%2f"]:
        c = case("GET", query=query)
        add(verify_line(c, botocore_signs(c), c["url"], b""), lambda out: out == "ok", ("verify as written", c))

    answers = subprocess.run([program], input="\n".join(lines) + "\n", capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(answers) == len(lines), (len(answers), len(lines))
    failed = [(w, a) for w, want, a in zip(what, expected, answers) if not want(a)]
    for w, answer in failed[:10]:
        print("FAILED", *w, "\n  ours:", answer)
    print(f"{len(lines) - len(failed)} of {len(lines)} checks passed over {len(cases)} requests (botocore {botocore.__version__})")
    sys.exit(1 if failed else 0)


main()
