"""Whether a command printed what the documentation shows."""

import re

# What differs from run to run. Short digests are of rules that were written on that day.
VARIES = [
    (re.compile(r"\d+(\.\d+)? ?m?s\b"), "<time>"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "<time>"),
    (re.compile(r"\b\d{8}T\d{6}Z\b"), "<time>"),
    (re.compile(r'"seconds": [\d.e-]+'), '"seconds": <time>'),
    (re.compile(r"\b\d{4}-\d\d-\d\d\b"), "<date>"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "<digest>"),
    (re.compile(r"\b[0-9]+\.[0-9]+ MiB\b"), "<size>"),
]


def plain(line):
    for pattern, word in VARIES:
        line = pattern.sub(word, line)
    return line.strip()


def missing(expected, printed, anywhere=False):
    """The first expected line that was not printed after those before it, or `anywhere`: where several write."""
    printed = [plain(line) for line in printed.splitlines()]
    place = 0
    for line in expected:
        line = plain(line)
        if line in ("", "…"):
            continue
        place = 0 if anywhere else place
        pattern = re.compile(".*".join(re.escape(part) for part in line.split("…")))
        while place < len(printed) and not pattern.fullmatch(printed[place]):
            place += 1
        if place == len(printed):
            return line
        place += 1
    return None
