"""Holds what the repository says about itself to what is in it.

Every relative link and every path in backticks of a Markdown file exists; the README shows the two commands; no tracked file
names a place of somebody's machine or the host of a package registry.
"""
import json
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent

LINK = re.compile(r"\]\(([^)\s]+)\)")
BACKTICK = re.compile(r"`([^`\n]+)`")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
PATH = re.compile(r"\.?[A-Za-z0-9_*-][A-Za-z0-9_.*-]*(/[A-Za-z0-9_.*-]+)+/?")
PLACEHOLDER = re.compile(r"\bNAME(?=[_./]|$)")
MACHINE_PATH = re.compile(r"(?<![\w.}*-])/(" + "|".join(["wo" "rk", "ro" "ot", "tm" "p", "ho" "me"]) + r")/[A-Za-z0-9_.$-]")
# In two halves each, so that this file passes its own check.
REGISTRY = re.compile("|".join((r"registry\.(npm" r"js|yarn" r"pkg)", r"\b(deb|security|snapshot)\.deb" r"ian", r"py" r"pi\.org",
                                r"python" r"hosted", r"proxy\.go" r"lang", r"crates" r"\.io")))


def tracked():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def exists(relative, base=ROOT):
    """A path or a pattern that names something in the repository; NAME stands for anything, and sources are also named as they
    are included."""
    relative = PLACEHOLDER.sub("*", relative.rstrip("/"))
    if "*" in relative:
        return any(base.glob(relative)) or any((ROOT / "src").glob(relative))
    return (base / relative).exists() or (ROOT / "src" / relative).exists()


def looks_like_a_repository_path(text, tops):
    """`src/log/reader.h` is one, `application/json` is not: the first part must be a folder that is here."""
    return bool(PATH.fullmatch(text)) and text.split("/")[0] in tops


class Docs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.files = tracked()
        cls.pages = [p for p in cls.files if p.suffix == ".md"]
        folders = {p.relative_to(ROOT).parts[0] for p in cls.files if len(p.relative_to(ROOT).parts) > 1}
        rooms = {p.name for p in (ROOT / "src").iterdir() if p.is_dir()}
        cls.folders, cls.rooms = folders, rooms

    def test_what_counts_as_a_path(self):
        self.assertTrue(looks_like_a_repository_path("src/log/reader.h", {"src"}))
        self.assertTrue(looks_like_a_repository_path(".ci/run", {".ci"}))
        for other in ("application/json", "src", "src /a", "/events", "a src/b"):
            self.assertFalse(looks_like_a_repository_path(other, {"src"}), other)
        self.assertTrue(MACHINE_PATH.search("see /" "tmp/x"))
        self.assertFalse(MACHINE_PATH.search("docs/" "tmp/x"))
        self.assertTrue(REGISTRY.search("https://registry" ".npmjs.org/x"))

    def test_links_lead_somewhere(self):
        self.assertTrue(self.pages)
        broken = []
        for page in self.pages:
            for target in LINK.findall(FENCE.sub("", page.read_text())):
                if re.match(r"[a-z]+:", target) or target.startswith("#"):
                    continue
                if not exists(target.split("#")[0], page.parent):
                    broken.append(f"{page.relative_to(ROOT)}: {target}")
        self.assertEqual(broken, [], "\n" + "\n".join(broken))

    def test_named_paths_exist(self):
        missing = []
        for page in self.pages:
            for text in BACKTICK.findall(FENCE.sub("", page.read_text())):
                in_room = text.split("/")[0] in self.rooms and pathlib.PurePath(text).suffix in (".h", ".cpp")
                if (in_room and PATH.fullmatch(text)) or looks_like_a_repository_path(text, self.folders):
                    if not exists(text) and not exists(text, page.parent):
                        missing.append(f"{page.relative_to(ROOT)}: `{text}`")
        self.assertEqual(missing, [], "\n" + "\n".join(missing))

    def test_the_readme_shows_the_two_commands(self):
        text = (ROOT / "README.md").read_text()
        for command in ("make run", "make test"):
            self.assertIn(command, text)

    def test_no_machine_and_no_registry_is_named(self):
        # A C++ test makes its folders below the temporary folder that POSIX names; nothing else has a reason to.
        temporary = "/" "tmp/"
        wrong = []
        for path in self.files:
            try:
                text = path.read_text()
            except UnicodeDecodeError:
                continue  # golden bytes and pictures
            for number, line in enumerate(text.splitlines(), 1):
                if path.name.endswith(("_test.cpp", "_fuzz.cpp", "_bench.cpp")):
                    line = line.replace(temporary, "")
                if MACHINE_PATH.search(line) or REGISTRY.search(line):
                    wrong.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:160]}")
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))

    def test_lock_files_name_no_registry(self):
        locks = [p for p in self.files if p.name == "package-lock.json"]
        for lock in locks:
            named = [n for n, p in json.loads(lock.read_text()).get("packages", {}).items() if "resolved" in p]
            self.assertEqual(named, [], f"{lock.relative_to(ROOT)}: npm install with omit-lockfile-registry-resolved=true")


if __name__ == "__main__":
    unittest.main()
