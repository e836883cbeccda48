"""Runs the tests: builds what they need, runs what is ready beside what still compiles, counts every single test.

    scripts/test.py all                          what `make test` runs
    scripts/test.py slow [--cases FOLDER]        what takes longer and only .ci/run does
    scripts/test.py fuzz [--fuzz-seconds N]      fuzzers alone
    scripts/test.py unit black-box …             groups by name

The work is a list of steps with what each waits for; as many workers as there are cores take the first that is ready, so builds
(one at a time, each with all cores) overlap with runs. Each step's output is kept in build/logs/; that of a failed one is shown.
A group that ran no test has failed, and so has a test that skipped itself: what is not run here is not known to work.
The last line is `N passed, N failed` over everything; the exit status says the same.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
LOGS = BUILD / "logs"
WAYBILL = BUILD / "release" / "waybill"
PYTHON = "/usr/bin/python3"  # Debian's, which has Debian's boto3

# Modules with threads of their own; their tests run under ThreadSanitizer as well.
THREADED = ("log", "http", "history", "server")
# With the whole program under ThreadSanitizer, where the threads meet: the node, the feed, the couriers. .ci/run does these.
RACED = ("api_test.py", "kill9_test.py")
# Checks of the repository itself, which need nothing built.
REPOSITORY_CHECKS = ("levels_test.py", "docs_test.py")
# Run by `make test` in short, and in long by .ci/run: with what in the environment.
LONGER = {"kill9_test.py": {"WAYBILL_KILL9_ROUNDS": "20"}}
FUZZ_RUNS = 5_000  # a fuzzer; .ci/run and `make fuzz` give them time instead
SHOWN_LINES = 80
TICK_SECONDS = 20

GROUPS = ("repository", "unit", "fuzz", "threads", "black-box", "console")
SLOW_GROUPS = ("crash", "races", "conformance", "long-fuzz", "benchmarks")


class Step:
    def __init__(self, group, name, work, after=(), builds=False):
        self.group, self.name, self.work, self.after, self.builds = group, name, work, tuple(after), builds
        self.state = "waiting"  # running, passed, failed, dropped
        self.passed = self.failed = 0
        self.log = LOGS / (re.sub(r"[^A-Za-z0-9_.-]+", "-", f"{group}-{name}") + ".log")

    def done(self):
        return self.state not in ("waiting", "running")


class Plan:
    """The steps, and the threads that carry them out. A step may add others while it runs."""

    def __init__(self):
        self.steps = []
        self.changed = threading.Condition()
        self.began = time.monotonic()
        self.groups = []

    def add(self, step):
        with self.changed:
            self.steps.append(step)
            self.changed.notify_all()
        return step

    def run(self):
        workers = [threading.Thread(target=self.work) for _ in range(max(2, os.cpu_count() or 1))]
        for worker in workers:
            worker.start()
        over = threading.Event()
        ticker = threading.Thread(target=self.tick, args=(over,))
        ticker.start()
        try:
            for worker in workers:
                worker.join()
        except KeyboardInterrupt:
            # The programs that run get the signal from the terminal themselves; nothing new is begun.
            with self.changed:
                for step in self.steps:
                    if step.state == "waiting":
                        step.state, step.failed = "dropped", 1
                self.changed.notify_all()
            for worker in workers:
                worker.join()
        over.set()
        ticker.join()

    def tick(self, over):
        """Says every TICK_SECONDS how far the running build is: ninja's last line."""
        while not over.wait(TICK_SECONDS):
            for step in self.steps:
                if step.state == "running" and step.builds and step.log.exists():
                    progress = re.findall(r"^\[\d+/\d+\]", step.log.read_text(errors="replace"), re.MULTILINE)
                    if progress:
                        self.say(step, f"building {progress[-1]}")

    def take(self):
        """The next step that may run, builds first; None when all is done."""
        with self.changed:
            while True:
                self.drop_what_cannot_run()
                waiting = [s for s in self.steps if s.state == "waiting"]
                running = [s for s in self.steps if s.state == "running"]
                if not waiting and not running:
                    return None
                building = any(s.builds for s in running)
                for step in sorted(waiting, key=lambda s: not s.builds):
                    if all(s.state == "passed" for s in step.after) and not (step.builds and building):
                        step.state = "running"
                        return step
                self.changed.wait()

    def drop_what_cannot_run(self):
        dropped = True
        while dropped:
            dropped = [s for s in self.steps if s.state == "waiting" and any(a.state in ("failed", "dropped") for a in s.after)]
            for step in dropped:
                step.state, step.failed = "dropped", 1
                self.say(step, "not run: " + ", ".join(a.name for a in step.after if a.state != "passed") + " failed")

    def work(self):
        while True:
            step = self.take()
            if step is None:
                return
            if step.builds:
                self.say(step, "building")
            began = time.monotonic()
            try:
                step.passed, step.failed = step.work(step)
            except Exception as trouble:  # a fault of this script counts as a failed test, not as a hang of the others
                step.failed += 1
                with open(step.log, "a") as log:
                    log.write(f"\nscripts/test.py: {type(trouble).__name__}: {trouble}\n")
            with self.changed:
                step.state = "failed" if step.failed else "passed"
                took = time.monotonic() - began
                if step.builds and not step.failed:
                    self.say(step, f"built in {took:.0f} s")
                else:
                    self.say(step, f"{step.passed} passed, {step.failed} failed, {took:.1f} s")
                if step.failed:
                    show(step.log)
                self.changed.notify_all()

    def say(self, step, text):
        done = sum(s.done() for s in self.steps)
        print(f"[{done:3d}/{len(self.steps)} {time.monotonic() - self.began:4.0f} s] {step.group}: {step.name}: {text}", flush=True)

    def close(self):
        passed = sum(s.passed for s in self.steps)
        failed = sum(s.failed for s in self.steps)
        for group in self.groups:
            own = [s for s in self.steps if s.group == group]
            if not sum(s.passed + s.failed for s in own):
                print(f"{group}: no test was found to run")
                failed += 1
        for step in self.steps:
            if step.failed:
                print(f"failed: {step.group}: {step.name} (build/logs/{step.log.name})")
        print(f"{passed} passed, {failed} failed", flush=True)
        return 0 if passed and not failed else 1


def show(log):
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    if len(lines) > SHOWN_LINES:
        print(f"    | … {len(lines) - SHOWN_LINES} lines before, in build/logs/{log.name}")
    for line in lines[-SHOWN_LINES:]:
        print("    | " + line)
    sys.stdout.flush()


def call(step, command, cwd=ROOT, **environment):
    """Runs a command into the step's log; its exit status and what it printed."""
    with open(step.log, "ab") as log:
        log.write(("$ " + " ".join(map(str, command)) + "\n").encode())
        log.flush()
        start = log.tell()
        status = subprocess.run([str(c) for c in command], cwd=cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                env={**os.environ, **environment}).returncode
    with open(step.log, "rb") as log:
        log.seek(start)
        return status, log.read().decode(errors="replace")


def build(preset, targets):
    """Work of a step that builds; it counts only when it fails."""
    def work(step):
        status, _ = call(step, [ROOT / "scripts" / "build", preset, *targets], WAYBILL_BUILD_DIR=f"build/{preset}")
        return 0, int(status != 0)
    return work


def sanitizer_options():
    shared = "halt_on_error=1"
    return {"ASAN_OPTIONS": shared + ":detect_stack_use_after_return=1:strict_string_checks=1",
            "UBSAN_OPTIONS": shared + ":print_stacktrace=1",
            "TSAN_OPTIONS": shared + ":second_deadlock_stack=1",
            "ASAN_SYMBOLIZER_PATH": "/usr/lib/llvm-19/bin/llvm-symbolizer",
            "TSAN_SYMBOLIZER_PATH": "/usr/lib/llvm-19/bin/llvm-symbolizer"}


def threaded_tests():
    return [f"{module}_test" for module in THREADED if list((ROOT / "src" / module).glob("*_test.cpp"))]


def add_registered_tests(plan):
    """Work that asks ctest what the build registered and adds a step for each: CMakeLists.txt alone says which tests there are."""
    def work(step):
        listed = subprocess.run(["ctest", "--test-dir", BUILD / "asan", "--show-only=json-v1"], check=True, capture_output=True, text=True)
        for test in json.loads(listed.stdout)["tests"]:
            if not test.get("command"):
                raise LookupError(f"{test['name']} is registered and was not built")
            command = [pathlib.Path(test["command"][0]), *test["command"][1:]]
            folder = next((p["value"] for p in test.get("properties", ()) if p["name"] == "WORKING_DIRECTORY"), ROOT)
            run = google_test(command[0]) if command[0].is_relative_to(BUILD) else node(command, folder)
            plan.add(Step("unit", test["name"], run))
        return 0, 0
    return work


def fuzzer_sources():
    return sorted((ROOT / "src").glob("*/*_fuzz.cpp"))


def google_test(program):
    """Work that runs one GoogleTest program and counts its cases from its own report."""
    def work(step):
        report = step.log.with_suffix(".json")
        report.unlink(missing_ok=True)
        status, _ = call(step, [program, f"--gtest_output=json:{report}", "--gtest_brief=1"], **sanitizer_options())
        passed = failed = 0
        if report.exists():
            for suite in json.loads(report.read_text())["testsuites"]:
                for case in suite["testsuite"]:
                    ran = case.get("result") == "COMPLETED" and not case.get("failures")
                    passed += ran
                    failed += not ran
        if status != 0 and not failed or passed + failed == 0:
            failed += 1  # it crashed, leaked at exit, or had nothing to run
        return passed, failed
    return work


def fuzz(source, limit):
    """Work that runs one fuzzer from its seeds; new inputs stay in build/fuzz, a crashing input too."""
    def work(step):
        name = source.stem
        found = BUILD / "fuzz" / name
        found.mkdir(parents=True, exist_ok=True)
        seeds = ROOT / "tests" / "corpus" / name
        command = [BUILD / "asan" / name, found, *([seeds] if seeds.is_dir() else []), *limit, "-seed=1", "-print_final_stats=1",
                   "-verbosity=0", "-timeout=30", "-rss_limit_mb=4096", f"-artifact_prefix={found}-"]
        status, _ = call(step, command, **sanitizer_options())
        return int(status == 0), int(status != 0)
    return work


def count_unittest(status, text):
    ran = sum(int(n) for n in re.findall(r"^Ran (\d+) tests? in ", text, re.MULTILINE))
    bad = 0
    for kinds in re.findall(r"^(?:FAILED|OK) \((.*)\)$", text, re.MULTILINE):
        bad += sum(int(n) for n in re.findall(r"(?:failures|errors|skipped|unexpected successes|expected failures)=(\d+)", kinds))
    if status != 0 and bad == 0 or ran == 0:
        bad += 1
    return max(0, ran - bad), bad


def python_test(path, **environment):
    def work(step):
        status, text = call(step, [PYTHON, "-m", "unittest", "-v", path.relative_to(ROOT)],
                            **{"WAYBILL_BIN": str(WAYBILL), "PYTHONPATH": str(ROOT / "tests" / "lib"), "PYTHONDONTWRITEBYTECODE": "1"} | environment)
        return count_unittest(status, text)
    return work


def count_node(status, text):
    """Counts of node's test runner in either of its two reports, or of lines that begin with ok or FAIL; else the exit status is one."""
    def last(pattern):
        found = re.findall(pattern, text, re.MULTILINE)
        return found[-1] if found else None
    passed, failed = last(r"^(?:#|ℹ) pass (\d+)$"), last(r"^(?:#|ℹ) fail (\d+)$")
    if passed is None:
        each = re.findall(r"^(ok|FAIL) ", text, re.MULTILINE)
        passed, failed = (each.count("ok"), each.count("FAIL")) if each else (int(status == 0), int(status != 0))
    skipped = sum(int(last(rf"^(?:#|ℹ) {kind} (\d+)$") or 0) for kind in ("cancelled", "skipped", "todo"))
    passed, failed = int(passed), int(failed or 0) + skipped
    if status != 0 and failed == 0 or passed + failed == 0:
        failed += 1
    return passed, failed


def node(command, cwd):
    def work(step):
        status, text = call(step, command, cwd=cwd, WAYBILL_BIN=str(WAYBILL), NO_COLOR="1")
        return count_node(status, text)
    return work


def counted(command):
    """Work of a program of ours whose last line is `N passed, N failed`."""
    def work(step):
        status, text = call(step, command, WAYBILL_BIN=str(WAYBILL), PYTHONPATH=str(ROOT / "tests" / "lib"),
                            PYTHONDONTWRITEBYTECODE="1")
        found = re.findall(r"^(\d+) passed, (\d+) failed$", text, re.MULTILINE)
        passed, failed = map(int, found[-1]) if found else (0, 1)
        return passed, failed + int(status != 0 and failed == 0)
    return work


class Builds:
    """One step for each preset that something needs, made when first asked for."""

    def __init__(self, plan):
        self.plan, self.steps = plan, {}

    def release(self):
        return self.step("release", ["waybill"])

    def asan(self):
        return self.step("asan", [])  # everything: the tests, the fuzzers and the program

    def tsan(self):
        return self.step("tsan", threaded_tests())

    def step(self, preset, targets):
        if preset not in self.steps:
            self.steps[preset] = self.plan.add(Step("build", preset, build(preset, targets), builds=True))
        return self.steps[preset]


def lay_out(plan, groups, options):
    builds = Builds(plan)
    tests = ROOT / "tests"
    if "repository" in groups:
        for name in REPOSITORY_CHECKS:
            plan.add(Step("repository", name, python_test(tests / name)))
    if {"black-box", "crash", "conformance"} & groups:
        builds.release()
    if "crash" in groups:
        for name, environment in LONGER.items():
            plan.add(Step("crash", name, python_test(tests / name, **environment), [builds.release()]))
    if "races" in groups:
        raced = builds.step("tsan", ["waybill"])
        for name in RACED:
            # The first race ends the server, and that the test.
            plan.add(Step("races", name, python_test(tests / name, WAYBILL_BIN=str(BUILD / "tsan" / "waybill"), TSAN_OPTIONS="halt_on_error=1", WAYBILL_KILL9_ROUNDS="2"), [raced]))
    if "conformance" in groups and options.cases:
        plan.add(Step("conformance", "executions", counted([PYTHON, tests / "conformance_executions.py",
                                                            pathlib.Path(options.cases).resolve() / "executions"]), [builds.release()]))
        plan.add(Step("conformance", "event-patterns", counted([PYTHON, tests / "conformance_event_patterns.py",
                                                                pathlib.Path(options.cases).resolve() / "event-patterns.json"]), [builds.release()]))
    if "black-box" in groups:
        for path in sorted(tests.glob("*_test.py")):
            if path.name not in REPOSITORY_CHECKS:
                plan.add(Step("black-box", path.name, python_test(path), [builds.release()]))
        for path in sorted(tests.glob("*.mjs")):
            plan.add(Step("black-box", path.name, node(["node", "--test", path], ROOT), [builds.release()]))
    console = ROOT / "console"
    if "console" in groups and (console / "package.json").exists():
        scripts = json.loads((console / "package.json").read_text())["scripts"]
        # Its unit tests are registered with ctest; its pages against the real program are tests/console_test.py.
        for name in ("check", "browser"):
            if name in scripts:
                plan.add(Step("console", name, node(["npm", "run", "--silent", name], console)))
    if "unit" in groups:
        plan.add(Step("unit", "discover", add_registered_tests(plan), [builds.asan()]))
    if "fuzz" in groups:
        limit = [f"-max_total_time={options.fuzz_seconds}"] if options.fuzz_seconds else [f"-runs={FUZZ_RUNS}"]
        for source in fuzzer_sources():
            plan.add(Step("fuzz", source.stem, fuzz(source, limit), [builds.asan()]))
    if "long-fuzz" in groups:
        for source in fuzzer_sources():
            plan.add(Step("long-fuzz", source.stem, fuzz(source, [f"-max_total_time={options.fuzz_seconds or 60}"]), [builds.asan()]))
    if "threads" in groups:
        for name in threaded_tests():
            plan.add(Step("threads", name, google_test(BUILD / "tsan" / name), [builds.tsan()]))
    if "benchmarks" in groups:
        # Built, not run: a number from a busy machine says nothing, but code that no longer compiles does.
        benches = [p.stem for p in sorted((ROOT / "src").glob("*/*_bench.cpp"))]

        def compile_benches(step):
            failed = build("release", benches)(step)[1] if benches else 0
            return (0 if failed else len(benches)), failed
        plan.add(Step("benchmarks", "compile", compile_benches, builds=True))


def main():
    parser = argparse.ArgumentParser(description="Builds and runs the tests; see the head of this file.")
    parser.add_argument("groups", nargs="+", choices=["all", "slow", *GROUPS, *SLOW_GROUPS], help="what to run")
    parser.add_argument("--fuzz-seconds", type=int, help=f"run each fuzzer this long instead of {FUZZ_RUNS} inputs")
    parser.add_argument("--cases", help="folder of conformance cases, for the group conformance")
    options = parser.parse_args()

    groups = []
    for group in options.groups:
        groups += GROUPS if group == "all" else SLOW_GROUPS if group == "slow" else (group,)
    if "conformance" in groups and not options.cases:
        if "conformance" in options.groups:
            parser.error("conformance needs --cases FOLDER")
        groups.remove("conformance")
    LOGS.mkdir(parents=True, exist_ok=True)
    for old in LOGS.glob("*.log"):
        old.unlink()

    plan = Plan()
    plan.groups = list(dict.fromkeys(groups))
    print(f"running {', '.join(plan.groups)}; output of each step in build/logs/", flush=True)
    lay_out(plan, set(groups), options)
    plan.run()
    return plan.close()


if __name__ == "__main__":
    sys.exit(main())
