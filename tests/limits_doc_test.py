"""docs/limits.md says what the headers say: its tables are written from them, and this test writes them once more and compares.

    python3 tests/limits_doc_test.py --write      after a limit has changed
"""
import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "limits.md"

# (header, only what stands in this struct, heading, names that are limits; None: all of them, with the header's own `// -- sections --`)
SOURCES = [
    ("src/event/limits.h", None, None, None),
    ("src/http/server.h", "Limits", "HTTP connections", None),
    ("src/wire/sigv4.h", None, "Signatures", {"max_clock_skew_ms", "max_presigned_ms"}),
    ("src/log/frame.h", None, "The log (docs/log-format.md)", {"max_payload_bytes", "min_segment_bytes", "max_segment_bytes"}),
    ("src/log/snapshot.h", None, "Snapshots", {"snapshot_chunk_bytes", "snapshots_kept"}),
    ("src/history/history.h", None, "The history", {"readers", "search_limit_ms", "search_terms", "search_query_bytes", "searched_text_bytes",
                                                    "search_id_bytes"}),
    ("src/history/sql.h", None, "SQL questions", None),
    ("src/config/load.h", None, "The configuration", None),
    ("src/patterns/pattern.h", "PatternLimits", "Event patterns", None),
    ("src/patterns/matcher.h", None, "Matching", {"array_choices", "automaton_states", "wildcards_an_automaton"}),
    ("src/bus/api.h", "ApiLimits", "Event buses (settable: `event_bus.limits`)", None),
    ("src/bus/input.h", None, "What a target is sent", {"input_characters", "input_template_characters", "input_paths", "input_variable_characters",
                                                        "rendered_bytes"}),
    ("src/bus/decide.h", None, "What rules cause", {"bus_hops", "event_deliveries"}),
    ("src/notify/message.h", None, "Messages", {"subject_characters", "summary_characters", "message_text_characters", "actions_named"}),
]

CONSTANT = re.compile(r"^\s*(?:inline\s+|static\s+)?(?:constexpr\s+)?(?:size_t|u?int(?:\d+_t)?|unsigned)\s+(\w+)\s*=\s*([^;]+);\s*(?://\s*(.*))?$")
SECTION = re.compile(r"^// -- (.+?) --\s*$")
EXPRESSION = re.compile(r"[\d\s()*+<>-]+")
SIZE_NAMES = ("put_events_body", "events_body_slice")


def value_of(expression):
    """The number that a constant expression of the headers stands for."""
    text = re.sub(r"\b(?:size_t|u?int\d+_t)\{(\d+)\}", r"\1", expression).replace("'", "")
    text = re.sub(r"(?<=\d)(?:ull|ll|u)\b", "", text)
    text = re.sub(r"\blimits::(\w+)\b", lambda m: str(shared()[m[1]]), text)
    if not EXPRESSION.fullmatch(text):
        raise ValueError(f"not a constant expression: {expression}")
    return eval(text)  # digits and operators only, as the line above made sure


def shared():
    """The limits that other headers name as limits::NAME."""
    return {name: value for _, name, value, _ in limits_of((ROOT / "src/event/limits.h").read_text())}


def shown(name, value):
    if name.endswith("_ms"):
        for unit, span in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000)):
            if value % span == 0 and value >= (2 * span if unit == "d" else span):
                return f"{value // span} {unit}"
        return f"{value} ms"
    if name.endswith("_bytes") or name in SIZE_NAMES:
        for unit, span in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
            if value % span == 0:
                return f"{value // span} {unit}"
        return f"{value:,} bytes"
    return f"{value:,}"


def limits_of(text, struct=None, names=None):
    """[(section, name, value, reason)] in the order of the header."""
    if struct:
        text = re.search(rf"^struct {struct} \{{$(.*?)^\}};$", text, re.MULTILINE | re.DOTALL)[1]
    found, section, above = [], None, []
    for line in text.splitlines():
        if heading := SECTION.match(line):
            section, above = heading[1], []
        elif constant := CONSTANT.match(line):
            name, expression, reason = constant.groups()
            if names is None or name in names:
                found.append((section, name, value_of(expression), reason or " ".join(above)))
            above = []
        elif line.strip().startswith("// "):
            above.append(line.strip()[3:])
        else:
            above = []
    return found


def tables():
    out = []
    for header, struct, heading, names in SOURCES:
        found = limits_of((ROOT / header).read_text(), struct, names)
        missing = (names or set()) - {name for _, name, _, _ in found}
        if missing or not found:
            raise AssertionError(f"{header}: no such limits: {missing or 'any'}")
        section = object()
        for its_section, name, value, reason in found:
            if its_section != section:
                section = its_section
                title = heading or section
                out.append(f"\n## {title[0].upper() + title[1:]}\n\n`{header}`\n\n| limit | value | |\n|---|---|---|")
            out.append(f"| `{name}` | {shown(name, value)} | {reason.replace('|', '/')} |")
    return "\n".join(out) + "\n"


def split(page):
    begin, end = "<!-- from the headers -->\n", "<!-- end -->\n"
    head, _, rest = page.partition(begin)
    body, _, tail = rest.partition(end)
    return head + begin, body, end + tail


class LimitsDoc(unittest.TestCase):
    def test_constant_expressions_are_read(self):
        self.assertEqual(value_of("(1 << 20) + (64 << 10)"), 1114112)
        self.assertEqual(value_of("7 * 24 * 60 * 60 * 1000ll"), 604_800_000)
        self.assertEqual(value_of("uint64_t{4} << 30"), 4 << 30)
        self.assertEqual(value_of("4'000'000"), 4_000_000)
        with self.assertRaises(ValueError):
            value_of("sizeof(int)")
        self.assertEqual([shown("a_ms", 15_000), shown("a_ms", 86_400_000), shown("a_bytes", 8 << 20), shown("a", 1000)],
                         ["15 s", "24 h", "8 MiB", "1,000"])

    def test_a_header_is_read_in_its_order(self):
        text = "// -- one --\nconstexpr size_t a_bytes = 1 << 10;  // why\n// -- two --\n// because\nconstexpr int b = 3;\n"
        self.assertEqual(limits_of(text), [("one", "a_bytes", 1024, "why"), ("two", "b", 3, "because")])

    def test_no_limit_of_limits_h_is_passed_over(self):
        text = (ROOT / "src/event/limits.h").read_text()
        self.assertEqual(len(re.findall(r"^constexpr ", text, re.MULTILINE)), len(limits_of(text)))

    def test_the_page_is_what_the_headers_say(self):
        _, body, _ = split(PAGE.read_text())
        self.assertEqual(body, tables(), "run: python3 tests/limits_doc_test.py --write")


if __name__ == "__main__":
    if "--write" in sys.argv:
        head, _, tail = split(PAGE.read_text())
        PAGE.write_text(head + tables() + tail)
    else:
        unittest.main()
