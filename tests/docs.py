#!/usr/bin/env python3
"""Runs what the documentation shows, and follows its links.

usage: tests/docs.py [--show] DIRECTORY_OF_THE_BINARIES FILE.md…     (--show: all that is printed, for authors)

What begins with ```console is run. A line `$ COMMAND` or `# COMMAND` (continued by `> …` lines) must exit with 0, or
with N where it ends in `# exit N`. What stands below it must be in what it prints, line by line and in order; `…`
stands for anything, within a line or for any lines; times, dates, sizes and short digests need not be the same.

  console            in a scratch directory that all blocks of one file share, as whoever runs this
  console,clone      in this repository: cargo is run where the release build is tested; `tests/run` is what runs this
  console,builder    on a machine with a Nix and an empty store
  console,host       on a machine with a small system, Nix, the journal and narwardend: `# ` and `sudo` as root,
                     `$ ` as nobody. documentation/machine.py says what is real about both
  console,host,tty   the same on a terminal, for what the daemon says there, in whatever order
  console,nixos      needs NixOS: not run, and listed. The shell must be able to parse it, and narwarden its arguments
  toml, json, nix, bash   must be well-formed; a trust set or policy is checked by narwarden, the policy against the
                     trust set that stands before it

The same in a comment, `<!--console,host` to `-->`, is run and not shown. All blocks of a file see the same machines,
which end with the file. Where there is no Nix, journald, root or namespace, their blocks are left out, and said so.

Relative links must lead to a file that is there, and to a heading of it; each test that SECURITY.md names, too. Where
there is an mdbook, the book is built.
"""

import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

from documentation import blocks, check, links, names
from documentation.machine import Machine, missing_tools
from documentation.match import missing


class Report:
    def __init__(self):
        self.passed, self.failed, self.not_run, self.skipped = 0, 0, [], []

    def add(self, what, wrong, quiet=False):
        if wrong is None:
            self.passed += 1
            if not quiet:
                print(f"ok      {what}")
        else:
            self.failed += 1
            print(f"FAILED  {what}\n{wrong}\n", flush=True)


class Place:
    """Where the blocks of one file are run."""

    def __init__(self, scratch, binaries, show, user=()):
        self.scratch, self.binaries, self.show, self.user, self.machines = scratch, binaries, show, user, {}
        (scratch / "shared").mkdir()
        (scratch / "here").mkdir()
        # As in a checkout: these are shown by their place in it.
        shutil.copytree(links.REPOSITORY / "policy-examples", scratch / "here" / "policy-examples")
        # Whoever is nobody reads them too, however private the checkout is.
        subprocess.run(["chmod", "-R", "a+rX", scratch / "here"], check=True)
        self.environment = {
            "PATH": f"{binaries}:{os.environ['PATH']}",
            "LC_ALL": "C.UTF-8",
            "TERM": "dumb",
            "TZ": "UTC",
        }

    def machine(self, kind):
        if kind not in self.machines:
            self.machines[kind] = Machine(kind, self.binaries, self.scratch / "shared")
        return self.machines[kind]

    def run(self, block, command):
        """Gives the exit code and what was printed."""
        if block.kind == "console":
            done = subprocess.run(
                [*self.user, "bash", "-euo", "pipefail", "-c", command.text],
                cwd=self.scratch / "here",
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="backslashreplace",
                timeout=300,
            )
            return done.returncode, done.stdout
        root = command.prompt == "#" or block.kind == "console,builder" or command.text.startswith("sudo ")
        if block.kind == "console,clone":
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", command.text],
                cwd=links.REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
            )
            return done.returncode, done.stdout
        expected = command.expected if block.kind == "console,host,tty" else None
        return self.machine(block.kind.split(",")[1]).run(command.text, root, expected)

    def end(self):
        for machine in self.machines.values():
            machine.end()
        # A store has directories that nobody may write to.
        subprocess.run(["chmod", "-R", "u+w", self.scratch], check=False)


def run_block(block, place):
    """What is wrong with it."""
    for command in block.commands():
        if block.kind == "console,clone" and command.text.startswith("tests/run"):
            command.text = "tests/run --help"
        code, printed = place.run(block, command)
        if place.show:
            print(f"{command.prompt} {command.text}  # exit {code}\n{printed}", end="", flush=True)
        if code != command.code:
            return f"{command.prompt} {command.text}\nexit {code}, not {command.code}\n{printed}"
        line = missing(command.expected, printed, anywhere=block.kind.endswith(",tty"))
        if line is not None:
            return f"{command.prompt} {command.text}\nprints no (further) line\n  {line}\nbut\n{printed}"
    return None


def run_file(path, text, binaries, without, show, report):
    checker = check.Checker(binaries)
    with tempfile.TemporaryDirectory() as scratch:
        place = Place(pathlib.Path(scratch), binaries, show)
        broken = False
        for block in blocks.of(text):
            where = f"{path}:{block.line}"
            if block.kind in ("console,builder", "console,host", "console,host,tty"):
                if without:
                    report.skipped.append(where)
                elif broken:
                    report.add(where, "left out: something before it failed on the same machine")
                else:
                    wrong = run_block(block, place)
                    broken = wrong is not None
                    report.add(where, wrong)
            elif block.kind == "console,clone" and binaries.name != "release":
                report.skipped.append(f"{where}: for the release build only")
            elif block.kind in ("console", "console,clone"):
                report.add(where, run_block(block, place))
            elif block.kind == "console,nixos":
                report.not_run.append((where, [command.text for command in block.commands()]))
                report.add(f"{where}: can be parsed", checker.commands(block), quiet=True)
            elif block.kind.startswith("console"):
                report.add(where, f"`{block.kind}` is no kind of block")
            elif block.kind in check.KINDS:
                wrong = checker.text(block)
                if wrong is check.CANNOT:
                    report.skipped.append(f"{where}: {block.kind}")
                else:
                    report.add(f"{where}: {block.kind}", wrong, quiet=True)
        place.end()


def run_as_nobody(path, text, binaries, show, report):
    """What needs no privilege, for a user who has none, and no home."""
    with tempfile.TemporaryDirectory() as scratch:
        here = pathlib.Path(scratch)
        here.chmod(0o755)
        shutil.copy(binaries / "narwarden", here)
        (here / "narwarden").chmod(0o755)
        nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")
        place = Place(here, here, show, nobody)
        os.chown(here / "here", 65534, 65534)
        for block in blocks.of(text):
            if block.kind == "console":
                report.add(f"{path}:{block.line}, as nobody", run_block(block, place))
        place.end()


def main():
    arguments = sys.argv[1:]
    show = "--show" in arguments[:1]
    arguments = arguments[show:]
    if len(arguments) < 2 or arguments[0].startswith("-"):
        raise SystemExit(__doc__)
    binaries = pathlib.Path(arguments[0]).resolve()
    # Others of these machines read what root writes there.
    os.umask(0o022)
    if not (binaries / "narwarden").exists():
        raise SystemExit(f"no narwarden in {shlex.quote(str(binaries))}")
    without = missing_tools()
    if not (binaries / "narwardend").exists():
        without.append("narwardend")
    report = Report()
    for name in arguments[1:]:
        path = pathlib.Path(name)
        text = path.read_text(encoding="utf-8")
        run_file(path, text, binaries, without, show, report)
        if path.name == "README.md" and os.geteuid() == 0 and shutil.which("setpriv"):
            run_as_nobody(path, text, binaries, show, report)
        links.follow(path, text, report)
        names.look_up(path, text, report)
    links.summary(report)
    picture = [sys.executable, links.REPOSITORY / "docs/recording.py", binaries, "--check"]
    report.add("docs/recording.svg shows what the program says", check.said(picture))
    for where, commands in report.not_run:
        for command in commands:
            print(f"not run here, needs NixOS: {where}: {command}")
    for where in report.skipped:
        print(f"SKIPPED {where}")
    if without:
        print(f"missing: {', '.join(without)}")
    count = sum(len(commands) for _, commands in report.not_run)
    print(
        f"documentation: {report.passed} passed, {report.failed} failed, {len(report.skipped)} skipped;"
        f" {count} commands need NixOS and were not run"
    )
    sys.exit(report.failed > 0)


if __name__ == "__main__":
    main()
