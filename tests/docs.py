#!/usr/bin/env python3
"""Runs what the documentation shows, and follows its links.

usage: tests/docs.py DIRECTORY_OF_THE_BINARY FILE.md…

A block that begins with ```console is run: each line `$ COMMAND` (continued by `> …` lines) in a scratch directory
that all blocks of one file share, with `policy-examples` in it. A command must exit with 0, or with N where it ends in
`# exit N`. What stands below it must be in what it prints, line by line and in order; `…` stands for anything, within a line or for any lines,
and times, dates and short digests need not be the same. ```console,ignore is not run, and listed.

Relative links must lead to a file that is there, and to a heading of it.
"""

import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

FENCE = re.compile(r"^(?P<indent> *)(?P<fence>```+)(?P<info>\S*)\s*$")
EXIT = re.compile(r"\s+# exit (\d+)\s*$")
# What differs from run to run. Short digests are of rules that were written on that day.
VARIES = [
    (re.compile(r"\d+(\.\d+)? ?m?s\b"), "<time>"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "<time>"),
    (re.compile(r'"seconds": [\d.e-]+'), '"seconds": <time>'),
    (re.compile(r"\b\d{4}-\d\d-\d\d\b"), "<date>"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "<digest>"),
]


def blocks(text):
    """Yields (line number, info, lines) of each fenced block."""
    opening, inside, start = None, [], 0
    for number, line in enumerate(text.splitlines(), 1):
        fence = FENCE.match(line)
        if opening is None and fence:
            opening, inside, start = fence, [], number
        elif opening is not None and fence and fence["fence"] == opening["fence"] and not fence["info"]:
            yield start, opening["info"], inside
            opening = None
        elif opening is not None:
            inside.append(line.removeprefix(opening["indent"]))
    if opening is not None:
        raise SystemExit(f"line {start}: a block that does not end")


def commands(lines):
    """Yields (command, exit code, expected output) of a console block."""
    command, code, output = None, 0, []
    for line in lines:
        if line.startswith("$ "):
            if command is not None:
                yield command, code, output
            found = EXIT.search(line)
            command, code, output = EXIT.sub("", line[2:]), int(found[1]) if found else 0, []
        elif line.startswith("> ") and command is not None and not output:
            found = EXIT.search(line)
            command, code = command + "\n" + EXIT.sub("", line[2:]), int(found[1]) if found else code
        elif command is not None:
            output.append(line)
        elif line.strip():
            raise SystemExit(f"output before any command: {line}")
    if command is not None:
        yield command, code, output


def plain(line):
    for pattern, word in VARIES:
        line = pattern.sub(word, line)
    return line.strip()


def missing(expected, printed):
    """The first expected line that was not printed after those before it."""
    printed = [plain(line) for line in printed.splitlines()]
    place = 0
    for line in expected:
        line = plain(line)
        if line in ("", "…"):
            continue
        pattern = re.compile(".*".join(re.escape(part) for part in line.split("…")))
        while place < len(printed) and not pattern.fullmatch(printed[place]):
            place += 1
        if place == len(printed):
            return line
        place += 1
    return None


def run_blocks(path, text, binaries, report):
    environment = {
        "PATH": f"{binaries}:{os.environ['PATH']}",
        "LC_ALL": "C.UTF-8",
        "TERM": "dumb",
        "TZ": "UTC",
    }
    with tempfile.TemporaryDirectory() as scratch:
        environment["HOME"] = scratch
        # As in a checkout: these are shown by their place in it.
        examples = pathlib.Path(__file__).resolve().parent.parent / "policy-examples"
        os.symlink(examples, pathlib.Path(scratch) / "policy-examples")
        for number, info, lines in blocks(text):
            where = f"{path}:{number}"
            if info == "console,ignore":
                report.ignored.append(where)
                continue
            if info != "console":
                continue
            wrong = None
            for command, code, expected in commands(lines):
                run = subprocess.run(
                    ["bash", "-euo", "pipefail", "-c", command],
                    cwd=scratch,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    encoding="utf-8",
                    errors="backslashreplace",
                    timeout=300,
                )
                line = missing(expected, run.stdout)
                if run.returncode != code:
                    wrong = f"$ {command}\nexit {run.returncode}, not {code}\n{run.stdout}"
                elif line is not None:
                    wrong = f"$ {command}\nprints no (further) line\n  {line}\nbut\n{run.stdout}"
                if wrong:
                    break
            report.add(where, wrong)
        # A store has directories that nobody may write to.
        subprocess.run(["chmod", "-R", "u+w", scratch], check=False)


def anchors(text):
    """What GitHub and mdBook call the headings."""
    code = re.compile(r"^( *```+).*?^ *```+ *$", re.M | re.S)
    seen = set()
    for heading in re.findall(r"^#+ +(.*)$", code.sub("", text), re.M):
        heading = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        name = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        number, unique = 0, name
        while unique in seen:
            number += 1
            unique = f"{name}-{number}"
        seen.add(unique)
    return seen | set(re.findall(r'<a (?:id|name)="([^"]+)"', text))


def follow_links(path, text, report):
    code = re.compile(r"^( *```+).*?^ *```+ *$", re.M | re.S)
    prose = re.sub(r"`[^`\n]*`", "", code.sub("", text))
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        name, _, anchor = target.partition("#")
        file = path.parent / name if name else path
        wrong = None
        if not file.exists():
            wrong = "no such file"
        elif anchor and file.suffix == ".md" and anchor not in anchors(file.read_text()):
            wrong = f"no such heading; there are {', '.join(sorted(anchors(file.read_text())))}"
        report.add(f"{path}: link to {target}", wrong, quiet=True)


class Report:
    def __init__(self):
        self.passed, self.failed, self.ignored = 0, 0, []

    def add(self, what, wrong, quiet=False):
        if wrong is None:
            self.passed += 1
            if not quiet:
                print(f"ok      {what}")
        else:
            self.failed += 1
            print(f"FAILED  {what}\n{wrong}\n", flush=True)


def main():
    if len(sys.argv) < 3 or sys.argv[1].startswith("-"):
        raise SystemExit(__doc__)
    binaries = pathlib.Path(sys.argv[1]).resolve()
    if not (binaries / "narwarden").exists():
        raise SystemExit(f"no narwarden in {shlex.quote(str(binaries))}")
    report = Report()
    for name in sys.argv[2:]:
        path = pathlib.Path(name)
        text = path.read_text(encoding="utf-8")
        run_blocks(path, text, binaries, report)
        follow_links(path, text, report)
    for where in report.ignored:
        print(f"not run {where}")
    print(f"documentation: {report.passed} passed, {report.failed} failed, {len(report.ignored)} not run")
    sys.exit(report.failed > 0)


if __name__ == "__main__":
    main()
