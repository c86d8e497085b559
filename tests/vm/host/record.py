"""The table of results in docs/attacks.md."""

import re
import sys

from prepare import GUESTS, REPOSITORY

PAGE = REPOSITORY / "docs/attacks.md"
BEGIN, END = "<!-- begin of results -->", "<!-- end of results -->"


def rows_of(text):
    """What the page says so far: name to (title, results by guest)."""
    rows = {}
    for row in re.findall(r"^\| ([A-Z]?\d*[^ |]*) \| ([^|]*) \| `([^`|]*)` \|(.*)\|$", text, re.MULTILINE):
        rows[row[2]] = [cell.strip() for cell in row[3].split("|")]
    return rows


def write(wanted, outcomes):
    """Puts in what was run, and leaves what was not."""
    page = PAGE.read_text(encoding="utf-8")
    if BEGIN not in page or END not in page:
        sys.exit(f"{PAGE} has no place for results: {BEGIN}")
    head, rest = page.split(BEGIN)
    old, tail = rest.split(END)
    before = rows_of(old)
    lines = ["", f"| id | attack or story | tests/vm/scenarios | {' | '.join(GUESTS)} |", "|---|---|---|" + "---|" * len(GUESTS)]
    from scenario import scenarios  # not at import: it needs this package's paths
    for one in scenarios():
        file = one.path.name
        cells = before.get(file, [""] * len(GUESTS))
        for at, guest in enumerate(GUESTS):
            parts = outcomes.get((one.name, guest))
            if guest not in one.guests:
                cells[at] = "does not apply"
            elif parts:
                cells[at] = "passed" if all(part.passed for part in parts.values()) else "FAILED"
                if cells[at] == "passed" and "control" in parts:
                    cells[at] = "passed, with control"
            elif not cells[at]:
                cells[at] = "not run"
        lines.append(f"| {one.name.split('-')[0]} | {one.title} | `{file}` | {' | '.join(cells)} |")
    PAGE.write_text(head + BEGIN + "\n".join(lines) + "\n" + END + tail, encoding="utf-8")
