#!/usr/bin/env python3
"""Reads the mails that notify_test wrote, with Python's own parser, and compares them with what they were made of.

    mail_parse.py DIRECTORY

For each NAME.json in DIRECTORY there is a NAME.eml. The parser must find no defect, every header exactly once with the value that the JSON
names, and the body as it was. Exit status 0: all fine.
"""
import email
import email.policy
import json
import pathlib
import sys


def check(case: pathlib.Path) -> list[str]:
    want = json.loads(case.read_text(encoding="utf-8"))
    raw = case.with_suffix(".eml").read_bytes()
    problems = []

    def expect(what, got, wanted):
        if got != wanted:
            problems.append(f"{case.stem}: {what} is {got!r}, not {wanted!r}")

    if b"\n" in raw.replace(b"\r\n", b"") or b"\r" in raw.replace(b"\r\n", b""):
        problems.append(f"{case.stem}: a bare CR or LF")
    if any(b > 0x7E or (b < 0x20 and b not in b"\r\n") for b in raw):
        problems.append(f"{case.stem}: bytes that are not visible ASCII")
    head, _, body = raw.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n") + body.split(b"\r\n"):
        limit = 76 if b"=?UTF-8?" in line or line in body.split(b"\r\n") else 998
        if len(line) > limit:
            problems.append(f"{case.stem}: a line of {len(line)} bytes: {line!r}")
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    if mail.defects:
        problems.append(f"{case.stem}: defects {mail.defects}")
    for name in mail.keys():
        if mail[name].defects:
            problems.append(f"{case.stem}: {name} has defects {mail[name].defects}")
    expect("the header names", sorted(mail.keys()), sorted(want["headers"].keys()))
    for name, value in want["headers"].items():
        expect(name, str(mail[name]), value)
    expect("To", [a.addr_spec for a in mail["To"].addresses], want["to"])
    expect("From", [a.addr_spec for a in mail["From"].addresses], [want["from"]])
    expect("Date", mail["Date"].datetime.timestamp(), float(want["date"]))
    expect("the body", mail.get_content().replace("\r\n", "\n"), want["body"])
    return problems


def main() -> int:
    cases = sorted(pathlib.Path(sys.argv[1]).glob("*.json"))
    if not cases:
        print("no cases", file=sys.stderr)
        return 1
    problems = [p for case in cases for p in check(case)]
    print("\n".join(problems), file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
