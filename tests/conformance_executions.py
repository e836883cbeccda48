"""Plays executions with a known end into a real server, in many orders, and compares what it says with what must come out.

    tests/conformance_executions.py FOLDER [--seeds N]

Each file of FOLDER is {"name", "events", "expect"}: the event stream in true order, and a part of GET /api/v1/executions/{id} that must
be in the answer however the events arrive: in true order, reversed, shuffled, each several times, in one request or one each. Every
order is an execution of its own: its ids are rewritten, keeping their order among each other, so that one server plays them all.
Beyond `expect`, the whole answer must be the same for every order of the same events. Prints a line for what fails and, last,
`N passed, N failed`; one count is one case in one order.
"""
import argparse
import json
import pathlib
import random
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "lib"))
from waybill import Waybill  # noqa: E402

UUID = re.compile(r"\b([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4})-([0-9a-f]{12})\b")


def differences(expected, actual, path=""):
    """Where `actual` does not contain `expected`: members may be more, list elements may not."""
    if isinstance(expected, dict):
        if not isinstance(actual, dict):
            return [f"{path or 'answer'}: wanted an object, got {actual!r}"]
        return [d for key in expected
                for d in (differences(expected[key], actual[key], f"{path}.{key}") if key in actual else [f"{path}.{key}: missing"])]
    if isinstance(expected, list):
        if not isinstance(actual, list) or len(actual) != len(expected):
            return [f"{path}: wanted {len(expected)} elements, got {len(actual) if isinstance(actual, list) else actual!r}: {actual!r}"]
        return [d for i, pair in enumerate(zip(expected, actual)) for d in differences(*pair, f"{path}[{i}]")]
    if expected != actual or isinstance(expected, bool) != isinstance(actual, bool):
        return [f"{path}: wanted {expected!r}, got {actual!r}"]
    return []


def renamed(value, number):
    """The same value with every UUID moved to a place of its own for order `number`, in the same order among each other."""
    return json.loads(UUID.sub(lambda m: f"{m.group(1)}-{number:03x}{m.group(2)[3:]}", json.dumps(value)))


def orders(events, seeds):
    """(name, requests): how one stream is delivered. A request is a list of events."""
    yield "true order, one request", [events]
    yield "true order, one event a request", [[e] for e in events]
    yield "reversed", [[e] for e in reversed(events)]
    yield "true order, all twice", [events, events]
    for seed in range(seeds):
        source = random.Random(seed)
        shuffled = source.sample(events, len(events))
        yield f"shuffled, seed {seed}", [shuffled] if seed % 2 else [[e] for e in shuffled]
        repeated = [e for e in events for _ in range(source.randint(1, 3))]
        source.shuffle(repeated)
        cut = source.randrange(len(repeated))
        yield f"shuffled with duplicates, seed {seed}", [repeated[:cut], repeated[cut:]] if cut else [repeated]


def play(server, case, number, requests):
    """Delivers one order; the server's answer with the ids of order 0, and what of the delivery itself went wrong."""
    wrong = []
    for request in requests:
        answer = server.post("/events", renamed(request, number))
        if answer["accepted"] + answer["duplicates"] != len(request):
            wrong.append(f"POST /events of {len(request)} events answered {answer}")
    identity = renamed(case["expect"], number)["executionId"]
    execution = server.get(f"/api/v1/executions/{identity}")
    return renamed(execution, 0), wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=8, help="shuffles of each case (8)")
    options = parser.parse_args()
    files = sorted(options.folder.glob("*.json"))
    if not files:
        print(f"{options.folder} holds no case")
        print("0 passed, 1 failed")
        return 1

    passed = failed = 0
    with Waybill() as server:
        for path in files:
            case = json.loads(path.read_text())
            expect = renamed(case["expect"], 0)
            first = None
            for number, (name, requests) in enumerate(orders(case["events"], options.seeds)):
                try:
                    answer, wrong = play(server, case, number, requests)
                    wrong += differences(expect, answer)
                    if first is None:
                        first = answer
                    elif not wrong and answer != first:
                        wrong += ["is not what true order gave: " + "; ".join(differences(first, answer) or differences(answer, first))]
                except (AssertionError, KeyError, ValueError, OSError) as trouble:
                    wrong = [f"{type(trouble).__name__}: {trouble}"]
                passed += not wrong
                failed += bool(wrong)
                for text in wrong[:5]:
                    print(f"{path.name}: {name}: {text}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
