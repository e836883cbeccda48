"""Every test that docs/guarantees.md names exists: `Suite.Name` in a C++ test, `test_name` in a file of tests/."""
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "guarantees.md"

DEFINED = re.compile(r"^TEST(?:_F|_P)?\(\s*(\w+)\s*,\s*(\w+)\s*\)", re.MULTILINE)
DEFINED_PYTHON = re.compile(r"^    def (test_\w+)", re.MULTILINE)
NAMED = re.compile(r"`([A-Z]\w*)\.(\w+)`")
NAMED_PYTHON = re.compile(r"`(test_\w+)`")


class GuaranteesDoc(unittest.TestCase):
    def test_the_tests_that_are_named_exist(self):
        text = PAGE.read_text()
        named = {".".join(pair) for pair in NAMED.findall(text)} | set(NAMED_PYTHON.findall(text))
        self.assertGreater(len(named), 30)
        defined = {".".join(pair) for path in ROOT.glob("src/*/*_test.cpp") for pair in DEFINED.findall(path.read_text())}
        defined |= {name for path in ROOT.glob("tests/*_test.py") for name in DEFINED_PYTHON.findall(path.read_text())}
        self.assertEqual(sorted(named - defined), [])

    def test_every_promise_names_a_test(self):
        rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ") and not line.startswith("| promise")]
        self.assertTrue(rows)
        for row in rows:
            shown_by = row.rstrip(" |").rsplit("|", 1)[1]
            self.assertTrue(NAMED.search(shown_by) or NAMED_PYTHON.search(shown_by) or "`tests/" in shown_by, row)


if __name__ == "__main__":
    unittest.main()
