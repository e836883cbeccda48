"""The level table of ARCHITECTURE.md, held against every #include, and the rules of the house that a program can check.

A folder may include itself and folders of lower levels. Siblings on one level never include each other; the few pairs that may are
named here, each with its reason, so that a new one is a decision and not an accident.
"""
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
SRC = ROOT / "src"

LEVELS = {
    "base": 0,
    "world": 1,
    "event": 2, "config": 2, "http": 2,
    "wire": 3, "log": 3, "patterns": 3, "history": 3,
    "tracking": 4, "bus": 4, "policy": 4, "delivery": 4, "notify": 4, "topics": 4, "queues": 4, "functions": 4, "tables": 4,
    "metrics": 4, "pipeline": 4,
    "node": 5,
    "server": 6, "cli": 6, "sim": 6,
}
SAME_LEVEL = {
    ("config", "event"),  # settings name limits and nouns of events
    ("cli", "server"),    # the program `waybill serve` is the server
}

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)
VAGUE_NAME = re.compile(r"(^|_)(utils?|helpers?|common|managers?)(_|$)")
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")


def sources(*suffixes):
    return sorted(p for p in SRC.rglob("*") if p.suffix in suffixes)


def written_files():
    """Everything a person writes here, without what tools make or install."""
    skipped = {"node_modules", "dist", "__pycache__"}
    for folder in ("src", "tests", "scripts", "console", "bench", "docs"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and not skipped.intersection(path.parts) and path.name != "package-lock.json":
                yield path


def refusal(includer, included):
    """Why a file of the folder `includer` must not include one of `included`, or None where it may."""
    if includer == included or (includer, included) in SAME_LEVEL:
        return None
    if included not in LEVELS:
        return f"{included} is not in the level table"
    if LEVELS[included] < LEVELS[includer]:
        return None
    relation = "a sibling" if LEVELS[included] == LEVELS[includer] else "above"
    return f"{included} (level {LEVELS[included]}) is {relation} of {includer} (level {LEVELS[includer]})"


class Levels(unittest.TestCase):
    def test_the_rule_itself(self):
        self.assertIsNone(refusal("node", "tracking"))
        self.assertIsNone(refusal("tracking", "tracking"))
        self.assertIsNone(refusal("config", "event"))
        self.assertIn("sibling", refusal("tracking", "delivery"))
        self.assertIn("sibling", refusal("event", "config"))
        self.assertIn("above", refusal("base", "world"))
        self.assertIn("not in", refusal("node", "nowhere"))

    def test_every_folder_has_a_level(self):
        folders = {p.parent.relative_to(SRC).parts[0] for p in sources(".h", ".cpp") if p.parent != SRC}
        self.assertTrue(folders)
        self.assertEqual(folders - LEVELS.keys(), set())

    def test_includes_point_down(self):
        seen = 0
        wrong = []
        for path in sources(".h", ".cpp"):
            folder = path.relative_to(SRC).parts[0]
            for target in INCLUDE.findall(path.read_text()):
                seen += 1
                where = f"{path.relative_to(ROOT)}: #include \"{target}\""
                if "/" not in target:
                    wrong.append(f"{where}: includes are rooted at src")
                    continue
                why = refusal(folder, target.split("/")[0])
                if why:
                    wrong.append(f"{where}: {why}")
        self.assertGreater(seen, 0)
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))


class House(unittest.TestCase):
    def test_headers_open_with_prose_and_are_included_once(self):
        wrong = []
        for path in sources(".h"):
            lines = path.read_text().splitlines()
            prose = []
            for line in lines:
                if not line.startswith("//"):
                    break
                prose.append(line.lstrip("/ "))
            if len(" ".join(prose).split()) < 8:
                wrong.append(f"{path.relative_to(ROOT)}: opens without prose: what it is, what it promises, what it never does")
            if "#pragma once" not in lines:
                wrong.append(f"{path.relative_to(ROOT)}: no #pragma once")
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))

    def test_no_file_has_a_name_that_says_nothing(self):
        vague = [str(p.relative_to(ROOT)) for p in written_files() if VAGUE_NAME.search(p.name.split(".")[0])]
        self.assertEqual(vague, [])
        self.assertTrue(VAGUE_NAME.search("string_utils"))

    def test_nothing_is_left_for_later(self):
        wrong = []
        for path in written_files():
            try:
                text = path.read_text()
            except UnicodeDecodeError:
                continue  # golden bytes and pictures
            for number, line in enumerate(text.splitlines(), 1):
                if UNFINISHED.search(line):
                    wrong.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))


if __name__ == "__main__":
    unittest.main()
