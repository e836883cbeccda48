"""Logs of earlier releases, kept as they were written, still open and still say what they said then.

tests/data/golden-log/N.tar.xz holds a data folder's log/ as format N's program left it after a clean stop, and expected.json: what its API
answered about pipelines, incidents and every execution. A change that breaks one of these breaks somebody's data: the change is what has
to be mended, never the file. `golden_log_test.py --write DATA N` makes a new one from a data folder whose server has been stopped.
"""
import io
import json
import pathlib
import sys
import tarfile
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "lib"))
from waybill import ROOT, Waybill  # noqa: E402

GOLDEN = ROOT / "tests" / "data" / "golden-log"


def everything(server):
    """What a user can see of the log's meaning, without what belongs to the moment (positions) or to the reading."""
    pipelines = server.get("/api/v1/pipelines?limit=1000")["pipelines"]
    executions = {}
    for pipeline in pipelines:
        cursor = ""
        while cursor is not None:
            page = server.get(f"/api/v1/pipelines/{pipeline['pipeline']}/executions?limit=1000&cursor={cursor}")
            for summary in page["executions"]:
                executions[summary["executionId"]] = server.get("/api/v1/executions/" + summary["executionId"])
            cursor = page["nextCursor"]
    incidents = server.get("/api/v1/incidents?limit=1000")["incidents"]
    deliveries = server.get("/api/v1/deliveries?limit=1000")["deliveries"]
    return {"pipelines": pipelines, "executions": executions, "incidents": incidents, "deliveries": deliveries}


class GoldenLogs(unittest.TestCase):
    def test_each_still_says_what_it_said(self):
        golden = sorted(GOLDEN.glob("*.tar.xz"))
        self.assertTrue(golden, "there is no golden log")
        for path in golden:
            with self.subTest(path.name), tempfile.TemporaryDirectory() as folder:
                with tarfile.open(path) as archive:
                    archive.extractall(pathlib.Path(folder) / "data")
                expected = json.loads((pathlib.Path(folder) / "data" / "expected.json").read_text())
                with Waybill(folder=folder) as server:
                    actual = everything(server)
                self.assertGreater(len(expected["executions"]), 30)
                for part in expected:
                    self.assertEqual(actual[part], expected[part], part)


def write(data, number):
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "data" / "log"
        copy.mkdir(parents=True)
        for path in (pathlib.Path(data) / "log").iterdir():
            (copy / path.name).write_bytes(path.read_bytes())
        with Waybill(folder=folder) as server:
            expected = json.dumps(everything(server), ensure_ascii=False).encode()
    GOLDEN.mkdir(parents=True, exist_ok=True)
    with tarfile.open(GOLDEN / f"{number}.tar.xz", "w:xz", preset=9) as archive:
        for path in sorted((pathlib.Path(data) / "log").iterdir()):
            if path.stat().st_size:
                info = tarfile.TarInfo("log/" + path.name)
                info.size = path.stat().st_size
                archive.addfile(info, io.BytesIO(path.read_bytes()))
        info = tarfile.TarInfo("expected.json")
        info.size = len(expected)
        archive.addfile(info, io.BytesIO(expected))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--write"]:
        write(sys.argv[2], sys.argv[3])
    else:
        unittest.main()
