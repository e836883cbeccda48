#!/usr/bin/python3
"""Measures the release binary against what it is compared to, in one run, on one disk. `scripts/bench` builds what it needs.

    bench/run.py [SECTION…] [--quick] [--write-doc]

Sections: start, ingest, sustained, latency, memory. Each is a table on the screen and in build/bench/SECTION.md; --write-doc puts all that
are there between the markers of docs/performance.md. --quick takes a fifth of the time, for trying the benchmark itself.

The disk is that of $WAYBILL_BENCH_DIR, else of the temporary directory. Programs come from $WAYBILL_BIN and $WAYBILL_BENCH_LOAD, else
from build/release. Every server is started here and ended by its own handle.
"""
import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "lib"))
import waybill  # noqa: E402

LOAD = pathlib.Path(os.environ.get("WAYBILL_BENCH_LOAD", ROOT / "build" / "release" / "waybill_bench_load"))
OUT = ROOT / "build" / "bench"
SIZES = (1, 10, 100, 1000)
HELD_RATE = 20_000   # events/s of a load that does not ask for all that the machine has
CONNECTIONS = (1, 16)
TICKS = os.sysconf("SC_CLK_TCK")

POLICY = """
policy: {{team: [pager], notify_success: recovery}}
targets:
  pager: {{type: webhook, url: "http://127.0.0.1:{sink}/", concurrency: 64}}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def load(mode, **options):
    """One run of the load; its numbers."""
    command = [str(LOAD), mode]
    for name, value in options.items():
        command += ["--" + name.replace("_", "-"), str(value)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
    return json.loads(done.stdout)


def thousands(n):
    return f"{n:,.0f}"


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "|".join("---" if i == 0 else "---:" for i in range(len(header))) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


class Server(waybill.Waybill):
    """Waybill with a webhook target, and what its process and its metrics say."""

    def __init__(self, base):
        self.sink = free_port()
        folder = tempfile.mkdtemp(prefix="waybill-", dir=base)
        super().__init__(config=POLICY.format(sink=self.sink), folder=folder)
        self.own_folder = True

    def metrics(self):
        with urllib.request.urlopen(self.address + "/metrics", timeout=60) as page:
            lines = page.read().decode().splitlines()
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident_mb(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024

    def send(self, mode="http", **options):
        """The load against this server, with what an event cost it."""
        port = self.address.rsplit(":", 1)[1]
        cpu, before = self.cpu_seconds(), self.metrics()
        result = load(mode, port=port, sink=self.sink, **options)
        result["cpu_us"] = (self.cpu_seconds() - cpu) / result["events"] * 1e6
        after = self.metrics()
        result["log_bytes"] = (after["waybill_log_durable_position"] - before["waybill_log_durable_position"]) / result["events"]
        result["syncs"] = after["waybill_log_syncs_total"] - before["waybill_log_syncs_total"]
        return result

    def settle(self, seconds=120):
        """Until the history has everything and no delivery is open. Nobody answers webhooks between two loads, so those that are left
        wait for the next one; they are few."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            m = self.metrics()
            if m["waybill_history_position"] >= m["waybill_log_durable_position"]:
                return m
            time.sleep(0.1)
        raise RuntimeError("the history did not catch up")


@contextlib.contextmanager
def redis(base):
    """appendfsync always: acknowledged is synced, as with everyone here. One sync covers a whole pipelined request."""
    folder, port = tempfile.mkdtemp(prefix="redis-", dir=base), free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--appendonly", "yes", "--appendfsync", "always",
               "--save", "", "--auto-aof-rewrite-percentage", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        for line in process.stdout:
            if "eady to accept connections" in line:
                break
        yield port
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        shutil.rmtree(folder, ignore_errors=True)


class Postgres:
    """A cluster of its own with the distribution's settings, except that no checkpoint falls into a measurement."""

    def __init__(self, base):
        self.bin = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
        self.who = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
        self.folder = tempfile.mkdtemp(prefix="postgres-", dir=base)
        self.port = free_port()
        if self.who:
            shutil.chown(self.folder, "postgres", "postgres")
        self.run("initdb", "-D", self.folder, "-A", "trust", "-U", "postgres", "--no-sync")
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder} -c max_wal_size=16GB -c checkpoint_timeout=1h"
        self.run("pg_ctl", "-D", self.folder, "-w", "-l", self.folder + "/log", "-o", options, "start")
        self.sql("create table events (position bigserial primary key, body text not null)")

    def run(self, program, *arguments):
        subprocess.run([self.bin / program, *arguments], check=True, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **self.who)

    def sql(self, statement):
        self.run("psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-c", statement)

    def version(self):
        return subprocess.run([self.bin / "postgres", "--version"], capture_output=True, text=True).stdout.split()[2]

    def close(self):
        try:
            self.run("pg_ctl", "-D", self.folder, "-m", "immediate", "-w", "stop")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


# -- the sections: each answers a page of Markdown --


def start(base, quick):
    """Size, start and idle memory."""
    with tempfile.NamedTemporaryFile(dir=base) as stripped:
        subprocess.run(["llvm-strip-19" if shutil.which("llvm-strip-19") else "strip", "-o", stripped.name, str(waybill.BINARY)], check=True)
        size = os.path.getsize(stripped.name) / 1e6
    took, resident = [], []
    for _ in range(5 if quick else 20):
        folder = tempfile.mkdtemp(prefix="start-", dir=base)
        began = time.monotonic()
        process = subprocess.Popen([str(waybill.BINARY), "serve", "--data", folder + "/data", "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        process.stdout.readline()
        took.append((time.monotonic() - began) * 1000)
        with urllib.request.urlopen(f"http://127.0.0.1:{port_of(process.pid)}/", timeout=10) as page:
            page.read()
        resident.append(int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{process.pid}/status").read_text()).group(1)) / 1024)
        process.kill()
        process.wait()
        process.stdout.close()
        shutil.rmtree(folder)
    return table(["", "measured", "aim"], [
        ["release binary, stripped", f"{size:.1f} MB", "under 20 MB"],
        ["from exec to listening, empty store, median (worst) of " + str(len(took)), f"{statistics.median(took):.0f} ms ({max(took):.0f} ms)", "under 50 ms"],
        ["resident memory after that and one page of the console", f"{statistics.median(resident):.0f} MB", "under 30 MB"],
    ])


def port_of(pid):
    """The port that a process listens at, from /proc."""
    inodes = set()
    for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            inodes.update(re.findall(r"socket:\[(\d+)\]", os.readlink(fd)))
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and fields[9] in inodes:
            return int(fields[1].split(":")[1], 16)
    raise RuntimeError("the process listens nowhere")


def ingest(base, quick):
    """Every contender at every size of request, closest to each other in time."""
    seconds = 0.6 if quick else 3
    rows, inserts = [], []
    postgres = Postgres(base)
    try:
        with Server(base) as server:
            server.send(events=100, connections=4, seconds=1)  # warm: buffers, caches, the first segment
            for connections in CONNECTIONS:
                for size in SIZES:
                    server.settle()
                    at = {"events": size, "connections": connections, "seconds": seconds}
                    ours = server.send(**at)
                    server.settle()
                    bare = load("bare", file=f"{base}/bare", events=size, event_bytes=round(ours["log_bytes"]), seconds=seconds)
                    with redis(base) as port:
                        theirs = load("redis", port=port, **at)
                    copied = load("copy", port=postgres.port, **at)
                    if size == 100:
                        inserts.append((connections, ours, load("insert", port=postgres.port, **at)))
                    postgres.sql("truncate events")
                    rate = ours["per_second"]
                    rows.append([f"{connections} × {size}", thousands(rate), f"{ours['answers']['p50_ms']:.1f} / {ours['answers']['p99_ms']:.1f}", f"{ours['cpu_us']:.1f}",
                                 f"{ours['events'] / max(1, ours['syncs']):.0f}", f"{thousands(bare['per_second'])} ({rate / bare['per_second']:.2f}×)",
                                 f"{thousands(theirs['per_second'])} ({rate / theirs['per_second']:.1f}×)", f"{thousands(copied['per_second'])} ({rate / copied['per_second']:.1f}×)"])
                    print("  " + " | ".join(rows[-1]), flush=True)
        version = postgres.version()
    finally:
        postgres.close()
    text = table(["connections × events a request", "Waybill, events/s", "answer p50 / p99 ms", "CPU µs an event", "events a sync", "bare loop (Waybill is)", "Redis (Waybill is)",
                  "PostgreSQL COPY (Waybill is)"], rows)
    for connections, ours, inserted in inserts:
        text += f"\nPostgreSQL with one INSERT of 100 rows a commit, {connections} connection(s): {thousands(inserted['per_second'])} events/s (Waybill is {ours['per_second'] / inserted['per_second']:.1f}×).\n"
    found = re.search(r"v=(\S+)", subprocess.run(["redis-server", "--version"], capture_output=True, text=True).stdout)
    return text + f"\nRedis {found.group(1) if found else ''}, PostgreSQL {version}.\n"


def with_lags(server, mode="http", **options):
    """A load, and how far the history was behind during it, in seconds: how long ago the log stood where the history stands now."""
    samples, done = [], threading.Event()

    def watch():
        while not done.wait(0.25):
            m = server.metrics()
            samples.append((time.monotonic(), m["waybill_log_durable_position"], m["waybill_history_position"]))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        result = server.send(mode, **options)
    finally:
        done.set()
        watcher.join()
    lags = []
    for now, _, written in samples:
        behind = [t for t, durable, _ in samples if durable > written and t <= now]
        lags.append(now - behind[0] if behind else 0.0)
    return result, lags


def sustained(base, quick):
    """A minute at 100 events a request with everything on; the bare loop before and after."""
    seconds = 10 if quick else 60
    bare_seconds = 2 if quick else 8
    with Server(base) as server:
        bytes_each = server.send(events=100, connections=4, seconds=1)["log_bytes"]
        server.settle()
        bare = [load("bare", file=f"{base}/bare", events=100, event_bytes=round(bytes_each), seconds=bare_seconds)["per_second"]]
        ours, lags = with_lags(server, events=100, connections=8, seconds=seconds)
        resident = server.resident_mb()
        before = time.monotonic()
        m = server.settle()
        caught_up = time.monotonic() - before
        bare.append(load("bare", file=f"{base}/bare", events=100, event_bytes=round(bytes_each), seconds=bare_seconds)["per_second"])
        held, held_lags = with_lags(server, "paced", rate=HELD_RATE, events=100, connections=8, seconds=5 if quick else 20)
        m = server.settle()
        # Sealed segments are compressed soon after; what is still raw is the reserve and the segment being written.
        events = m['waybill_events_total{identity="new"}']
        for _ in range(600):
            raw = sorted((server.data / "log").glob("*"))
            sizes = {p: p.stat().st_size for p in raw if p.is_file()}
            m = server.metrics()
            if sum(size == 64 << 20 for size in sizes.values()) <= 2:
                break
            time.sleep(0.1)
        log_raw = m["waybill_log_durable_position"] / events
        sealed = {p: size for p, size in sizes.items() if size != 64 << 20 and size > 4096}
        compressed = sum(sealed.values()) / max(1, len(sealed)) / (64 << 20) * log_raw
        history = sum(p.stat().st_size for p in server.data.glob("history.db*")) / events
        deliveries = m["waybill_deliveries_planned_total"]
    rate, bare_rate = ours["per_second"], statistics.mean(bare)
    return table(["", "measured", "aim"], [
        [f"acknowledged, 8 connections, 100 events a request, {seconds} s", f"{thousands(rate)} events/s", ""],
        ["bare loop, 100 events a sync, before and after", " and ".join(thousands(b) for b in bare) + " events/s", ""],
        ["the bare loop is faster by", f"{bare_rate / rate:.2f}×", "within 3×"],
        ["answer p50 / p99", f"{ours['answers']['p50_ms']:.1f} / {ours['answers']['p99_ms']:.1f} ms", ""],
        ["CPU an event, everything the process does", f"{ours['cpu_us']:.1f} µs", ""],
        ["history's lag, median / worst", f"{statistics.median(lags):.1f} / {max(lags):.1f} s; {caught_up:.1f} s after the end it had everything", "under 5 s"],
        [f"asked for {thousands(HELD_RATE)} events/s in an open loop: acknowledged; history's lag, median / worst",
         f"{thousands(held['per_second'])} events/s; {statistics.median(held_lags):.1f} / {max(held_lags):.1f} s", "under 5 s"],
        ["webhooks delivered meanwhile", thousands(ours["webhooks"]), ""],
        ["resident memory at the end", f"{resident:.0f} MB, {thousands(m['waybill_live_executions'])} executions live, {thousands(m['waybill_known_event_ids'])} event ids known", ""],
    ]) + "\n" + table(["bytes on disk an event", "bytes"], [
        ["the event as it was sent", f"{ours['bytes'] / ours['events']:.0f}"],
        ["the log, as written", f"{log_raw:.0f}"],
        ["the log, sealed segments (zstd)", f"{compressed:.0f}" if sealed else "no segment was sealed"],
        ["the history (SQLite, FTS)", f"{history:.0f}"],
    ]) + f"\n{thousands(events)} events, {thousands(deliveries)} messages planned.\n"


def latency(base, quick):
    """From the moment a failing event was due to be sent to the webhook that tells of it."""
    with Server(base) as server:
        server.send("paced", rate=1000, events=1, connections=16, seconds=1 if quick else 3)
        ours = server.send("paced", rate=1000, events=1, connections=16, seconds=4 if quick else 20)
    alone = load("bare", file=f"{base}/bare", events=1, event_bytes=1000, seconds=1 if quick else 3)["answers"]
    told, answers = ours["told"], ours["answers"]
    if ours["missing"] or ours["unknown_webhooks"]:
        print(f"  {ours['missing']} webhooks never came, {ours['unknown_webhooks']} came unasked", flush=True)
    return table(["1,000 events/s, one a request", "p50 ms", "p90 ms", "p99 ms", "worst ms", "samples"], [
        ["from request to webhook received"] + [f"{told[k]:.2f}" for k in ("p50_ms", "p90_ms", "p99_ms", "max_ms")] + [thousands(told["samples"])],
        ["from request to answer (durable)"] + [f"{answers[k]:.2f}" for k in ("p50_ms", "p90_ms", "p99_ms", "max_ms")] + [thousands(answers["samples"])],
        ["one bare write and sync of one event, alone"] + [f"{alone[k]:.2f}" for k in ("p50_ms", "p90_ms", "p99_ms", "max_ms")] + [thousands(alone["samples"])],
    ]) + f"\nWebhooks that never came: {ours['missing']}. Aim: p99 under 10 ms on a quiet machine.\n"


def memory(base, quick):
    """A million executions under way."""
    executions = 50_000 if quick else 1_000_000
    steps = 3  # pipeline, stage and action started
    with Server(base) as server:
        empty = server.resident_mb()
        sent = server.send(events=1000, connections=4, steps=steps, total=executions * steps, pipelines=8000, seconds=600)
        peak = server.resident_mb()
        began = time.monotonic()
        m = server.settle(600)
        caught_up = time.monotonic() - began
        resident = server.resident_mb()
        live = m["waybill_live_executions"]
        read_began = time.monotonic()
        server.get("/api/v1/pipelines", limit=50)
        read_ms = (time.monotonic() - read_began) * 1000
        server.stop()
        began = time.monotonic()
        server.start()
        restart = time.monotonic() - began
    return table(["", "measured"], [
        ["live executions (a pipeline, a stage and an action started in each)", thousands(live)],
        ["resident memory, empty", f"{empty:.0f} MB"],
        ["resident memory with them, at the end of ingest / after the history had them", f"{peak:.0f} / {resident:.0f} MB"],
        [f"that is, for each (known ids of {thousands(m['waybill_known_event_ids'])} events included)", f"{(resident - empty) * 1024 * 1024 / live:.0f} bytes"],
        ["taken in at", f"{thousands(sent['per_second'])} events/s; the history had everything {caught_up:.0f} s after"],
        ["a list of 50 pipelines meanwhile", f"{read_ms:.0f} ms"],
        ["stopped and started again, to listening", f"{restart:.1f} s"],
    ])


SECTIONS = {"start": start, "ingest": ingest, "sustained": sustained, "latency": latency, "memory": memory}


def machine(base):
    model = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    kind = subprocess.run(["findmnt", "-n", "-o", "FSTYPE", "-T", base], capture_output=True, text=True).stdout.strip()
    total = int(re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text()).group(1)) / (1 << 20)
    commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip() or "no git"
    return (f"{model.group(1) if model else os.uname().machine}, {os.cpu_count()} cores, {total:.0f} GB, {os.uname().sysname} {os.uname().release}, {kind}; "
            f"load before the run {os.getloadavg()[0]:.1f}; commit {commit}; {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}")


def micro():
    """The tables of Google Benchmark's JSON files that scripts/bench left."""
    parts = []
    for path in sorted(OUT.glob("*_bench.json")):
        rows = []
        for b in json.loads(path.read_text())["benchmarks"]:
            if "error_message" in b:
                rows.append([b["name"], "failed: " + b["error_message"], "", ""])
                continue
            rows.append([b["name"].replace("/real_time", ""), f"{b['real_time']:,.1f} {b['time_unit']}", thousands(b["items_per_second"]) if "items_per_second" in b else "",
                         f"{b['bytes_per_second'] / 1e6:,.0f} MB/s" if "bytes_per_second" in b else ""])
        parts.append(f"{path.stem}:\n\n" + table(["benchmark", "time", "a second", "bytes"], rows))
    return "\n".join(parts)


def write_doc():
    """Puts every section that was measured between its markers."""
    page = ROOT / "docs" / "performance.md"
    text = page.read_text()
    for path in sorted(OUT.glob("*.md")):
        pattern = re.compile(rf"(<!-- bench: {path.stem} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not pattern.search(text):
            raise RuntimeError(f"docs/performance.md has no place for {path.stem}")
        content = path.read_text()
        text = pattern.sub(lambda m, c=content: m.group(1) + c + m.group(2), text)
    page.write_text(text)
    print(f"written: {page.relative_to(ROOT)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write-doc", action="store_true")
    given = parser.parse_args()
    if unknown := set(given.sections) - set(SECTIONS):
        parser.error(f"no section {', '.join(unknown)}: there are {', '.join(SECTIONS)}")
    OUT.mkdir(parents=True, exist_ok=True)
    parent = os.environ.get("WAYBILL_BENCH_DIR", tempfile.gettempdir())
    base = tempfile.mkdtemp(prefix="waybill-bench-", dir=parent)
    os.chmod(base, 0o755)  # PostgreSQL runs as its own user
    try:
        where = machine(base)
        print(where)
        if "tmpfs" in where:
            print("a file system in memory makes syncs free: set WAYBILL_BENCH_DIR to a disk", file=sys.stderr)
            return 1
        if os.getloadavg()[0] > 1:
            print("the machine is not quiet: only ratios of neighbouring numbers mean something", file=sys.stderr)
        (OUT / "machine.md").write_text(where + ("; a quick run" if given.quick else "") + "\n")
        for name in given.sections or SECTIONS:
            began = time.monotonic()
            print(f"\n== {name}: {SECTIONS[name].__doc__}", flush=True)
            text = SECTIONS[name](base, given.quick)
            (OUT / f"{name}.md").write_text(text)
            print(text + f"({time.monotonic() - began:.0f} s)", flush=True)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    if parts := micro():
        (OUT / "micro.md").write_text(parts)
    if given.write_doc:
        write_doc()
    return 0


if __name__ == "__main__":
    sys.exit(main())
