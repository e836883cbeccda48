#!/usr/bin/env python3
"""Runs the examples of docs/webhooks.md against a rendered request.

    webhook_examples.py DOCS_FILE DIRECTORY

DIRECTORY holds body.json (the bytes that are posted), headers.json (name to value) and secret. The document's `verify` functions, one in
Python and one in JavaScript, must accept the request, and refuse it with another body, another secret, an old timestamp or without a
signature.
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

docs, directory = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
text = docs.read_text(encoding="utf-8")
body = (directory / "body.json").read_bytes()
headers = json.loads((directory / "headers.json").read_text())
secret = (directory / "secret").read_text()
now = int(headers["Waybill-Timestamp"])

unsigned = {k: v for k, v in headers.items() if k != "Waybill-Signature"}
cases = [  # what, secret, headers, body, now, accepted
    ("the request", secret, headers, body, now + 10, True),
    ("another body", secret, headers, body.replace(b"Failed", b"Fa1led", 1), now, False),
    ("another secret", secret + "x", headers, body, now, False),
    ("an old timestamp", secret, headers, body, now + 3600, False),
    ("a changed timestamp", secret, {**headers, "Waybill-Timestamp": str(now + 1)}, body, now, False),
    ("no signature", secret, unsigned, body, now, False),
]


def block(language: str) -> str:
    found = re.findall(rf"```{language}\n(.*?)```", text, re.S)
    assert len(found) == 1, f"{docs}: one {language} example is wanted, {len(found)} are there"
    return found[0]


failed = []
scope: dict = {}
exec(block("python"), scope)
for what, s, h, b, n, accepted in cases:
    if scope["verify"](s, h, b, n) is not accepted:
        failed.append(f"Python, {what}")

with tempfile.TemporaryDirectory() as scratch:
    script = pathlib.Path(scratch) / "verify.mjs"
    calls = [
        {"what": w, "secret": s, "headers": {k.lower(): v for k, v in h.items()}, "body": b.decode(), "now": n, "accepted": a}
        for w, s, h, b, n, a in cases
    ]
    script.write_text(
        block("js")
        + f"\nfor (const c of {json.dumps(calls)})\n"
        + "  if (verify(c.secret, c.headers, Buffer.from(c.body), c.now) !== c.accepted) console.log('JavaScript, ' + c.what);\n"
    )
    run = subprocess.run(["node", str(script)], capture_output=True, text=True)
    failed += run.stdout.splitlines()
    if run.returncode:
        failed.append(run.stderr)

print("\n".join(failed), file=sys.stderr)
sys.exit(1 if failed else 0)
