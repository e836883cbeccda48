"""The level table of ARCHITECTURE.md is the one that tests/levels_test.py holds the includes to, and the modules that CMake builds."""
import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from levels_test import LEVELS  # noqa: E402

ROW = re.compile(r"^\| (\d) \| `src/(\w+)` \|", re.MULTILINE)
MODULE = re.compile(r"^waybill_module\((\w+)", re.MULTILINE)


class ArchitectureDoc(unittest.TestCase):
    def test_the_level_table_names_every_folder_with_its_level(self):
        table = {folder: int(level) for level, folder in ROW.findall((ROOT / "ARCHITECTURE.md").read_text())}
        folders = {path.parent.name for path in (ROOT / "src").glob("*/*.h")}
        self.assertEqual(table, {folder: LEVELS[folder] for folder in folders})

    def test_every_folder_is_a_module(self):
        modules = set(MODULE.findall((ROOT / "CMakeLists.txt").read_text()))
        self.assertEqual(modules, {path.parent.name for path in (ROOT / "src").glob("*/*.h")})

    def test_the_sections_that_code_points_to_are_there(self):
        text = (ROOT / "ARCHITECTURE.md").read_text()
        pointed = set()
        for path in [ROOT / "CMakeLists.txt", *ROOT.glob("src/*/*.h"), *ROOT.glob("src/*/*.cpp")]:
            pointed |= set(re.findall(r'ARCHITECTURE\.md, "([^"]+)"', path.read_text()))
        self.assertTrue(pointed)
        for section in pointed:
            self.assertRegex(text, rf"(?m)^##+ {re.escape(section)}$")


if __name__ == "__main__":
    unittest.main()
