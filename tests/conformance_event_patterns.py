"""Asks a real server's TestEventPattern, through boto3, about event patterns with a known verdict.

    tests/conformance_event_patterns.py FILE

FILE is a list of {"name", "event", "pattern", "verdict", "message"?}: the verdict is `match`, `no match` or the name of the exception, and the
message, where there is one, its first line. Prints a line for what fails and, last, `N passed, N failed`.
"""
import json
import pathlib
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "lib"))
from waybill import Waybill  # noqa: E402


def answer(client, case):
    try:
        matched = client.test_event_pattern(Event=case["event"], EventPattern=case["pattern"])["Result"]
        return ("match" if matched else "no match"), ""
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["Error"]["Message"].split("\n")[0]


def main():
    cases = json.loads(pathlib.Path(sys.argv[1]).read_text())
    passed = failed = 0
    with Waybill() as server:
        client = boto3.client("events", endpoint_url=server.address, region_name="us-east-1", aws_access_key_id="test",
                              aws_secret_access_key="test", config=Config(retries={"max_attempts": 0}))
        for case in cases:
            verdict, message = answer(client, case)
            good = verdict == case["verdict"] and message == case.get("message", message)
            passed, failed = passed + good, failed + (not good)
            if not good:
                print(f"FAIL {case['name']}: wanted {case['verdict']} {case.get('message', '')!r}, got {verdict} {message[:300]!r}")
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
