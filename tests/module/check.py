#!/usr/bin/env python3
"""Evaluates the NixOS module, builds what it has built of ours, and compares both with what they must be.

usage: tests/module/check.py DIRECTORY_OF_THE_BINARY

Needs nix-instantiate and nix-build of any version, and no nixpkgs: tests/module/lib.nix stands in for its `lib`.
NIXPKGS_LIB=/path/to/nixpkgs/lib has the same run on the real one. NARWARDEN_BLESS=1 writes expected files anew.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BLESS = "NARWARDEN_BLESS" in os.environ
CASES = sorted(path.stem for path in (HERE / "cases").glob("*.nix"))

import examples  # noqa: E402
import expectations  # noqa: E402
import fields  # noqa: E402
import outputs  # noqa: E402
import page  # noqa: E402
import stories  # noqa: E402
import units  # noqa: E402


class Nix:
    """A Nix with a store of its own below a temporary directory: no daemon, no sandbox, no network."""

    def __init__(self, scratch, binaries):
        self.scratch = scratch
        package = scratch / "package"
        (package / "bin").mkdir(parents=True)
        (package / "bin/narwarden").symlink_to(pathlib.Path(binaries).resolve() / "narwarden")
        conf = scratch / "conf"
        conf.mkdir()
        (conf / "nix.conf").write_text("build-users-group =\nsandbox = false\nsubstitute = false\n")
        self.environment = os.environ | {
            "NIX_STORE_DIR": str(scratch / "store"),
            "NIX_STATE_DIR": str(scratch / "state"),
            "NIX_LOG_DIR": str(scratch / "log"),
            "NIX_CONF_DIR": str(conf),
            "NARWARDEN_PACKAGE": str(package),
            "NO_COLOR": "1",
        }
        self.environment.pop("NIX_REMOTE", None)

    def package(self, text):
        """A package whose `narwarden` is a script."""
        package = pathlib.Path(tempfile.mkdtemp(dir=self.scratch))
        (package / "bin").mkdir()
        program = package / "bin/narwarden"
        program.write_text(text)
        program.chmod(0o755)
        return package

    def call(self, command, package=None):
        environment = self.environment | ({"NARWARDEN_PACKAGE": str(package)} if package else {})
        return subprocess.run(
            command, env=environment, cwd=HERE, capture_output=True, encoding="utf-8", timeout=300
        )

    def evaluate(self, expression):
        """(value, None), or (None, what was said)."""
        call = self.call(["nix-instantiate", "--eval", "--strict", "--json", "-E", expression])
        return (json.loads(call.stdout), None) if call.returncode == 0 else (None, call.stderr)

    def build(self, expression, package=None):
        """(directory, None), or (None, what was said)."""
        call = self.call(["nix-build", "--no-out-link", "-E", expression], package)
        return (pathlib.Path(call.stdout.strip()), None) if call.returncode == 0 else (None, call.stderr)


class Report:
    def __init__(self):
        self.passed, self.failed = 0, 0

    def add(self, name, problem=None):
        if problem:
            self.failed += 1
            print(f"FAILED {name}\n{problem}")
        else:
            self.passed += 1
            print(f"ok     {name}")


def run(module):
    return f"(import {HERE}/eval.nix).run ({module})"


def rules(module):
    return f"(import {HERE}/eval.nix).rules ({module})"


def difference(path, text):
    """None where the file at `path` is `text`."""
    if BLESS:
        path.write_text(text)
    written = path.read_text() if path.exists() else ""
    return None if written == text else f"{path.relative_to(ROOT)} is another one (NARWARDEN_BLESS=1):\n{text}"


def every_file_parses(nix, report):
    files = [path for path in ROOT.rglob("*.nix") if "target" not in path.relative_to(ROOT).parts]
    bad = []
    for path in files:
        call = nix.call(["nix-instantiate", "--parse", str(path)])
        if call.returncode != 0:
            bad.append(call.stderr)
    report.add(f"{len(files)} Nix files parse", "".join(bad) or (None if files else "there are none"))


def cases(nix, report):
    for name in CASES:
        value, error = nix.evaluate(run(f"import {HERE}/cases/{name}.nix"))
        if error:
            report.add(f"case {name}", error)
            continue
        expected = expectations.CASES[name]
        problem = expectations.compare(value, expected)
        for kind in "trust", "policy":
            if expected["rules"] == "settings":
                problem = problem or difference(HERE / f"cases/{name}.{kind}.toml", value[kind])
        report.add(f"case {name}", problem)
        if expected["rules"] == "none":
            continue
        built, error = nix.build(rules(f"import {HERE}/cases/{name}.nix"))
        if not error:
            for kind in "trust", "policy":
                source = f"{name}.{kind}.toml" if expected["rules"] == "settings" else f"files/{kind}.toml"
                error = error or difference_of(built / f"{kind}.toml", HERE / "cases" / source)
            error = error or narwarden_reads(nix, built)
        report.add(f"case {name} is built, and read by narwarden", error)


def difference_of(built, expected):
    same = built.read_bytes() == expected.read_bytes()
    return None if same else f"{built} is not {expected.name}:\n{built.read_text()}"


def narwarden_reads(nix, built):
    program = f"{nix.environment['NARWARDEN_PACKAGE']}/bin/narwarden"
    call = nix.call([program, "policy", "check", f"{built}/policy.toml", "--trust", f"{built}/trust.toml"])
    return None if call.returncode == 0 and call.stdout.startswith("usable") else call.stdout + call.stderr


def what_is_wrong_is_refused(nix, report):
    for stage, settings, said in expectations.WRONG:
        module = f"{{ imports = [ {HERE}/cases/minimal.nix ({settings}) ]; }}"
        if stage == "evaluation":
            _, error = nix.evaluate(run(module))
        elif stage == "assertion":
            value, error = nix.evaluate(run(module))
            error = error or "\n".join(value["failed"]) or None
        else:
            value, error = nix.evaluate(run(module))
            if not error:
                _, error = nix.build(rules(module))
            else:
                error = f"it did not get as far as its build: {error}"
        name = f"refused at {stage}: {' '.join(settings.split())}"
        if error is None:
            report.add(name, "it was taken")
        else:
            missing = [line for line in said if line not in error]
            report.add(name, missing and f"nobody said {missing}, but\n{error}")


def without_the_program_nothing_is_refused(nix, report):
    """The negative control: it is the program that refuses, and not something else in the build."""
    lax = nix.package("#!/bin/sh\nexit 0\n")
    for stage, settings, _ in expectations.WRONG:
        if stage == "build":
            _, error = nix.build(rules(f"{{ imports = [ {HERE}/cases/minimal.nix ({settings}) ]; }}"), lax)
            report.add(f"taken where nothing checks: {' '.join(settings.split())}", error)


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    report = Report()
    with tempfile.TemporaryDirectory() as scratch:
        nix = Nix(pathlib.Path(scratch), sys.argv[1])
        every_file_parses(nix, report)
        cases(nix, report)
        what_is_wrong_is_refused(nix, report)
        without_the_program_nothing_is_refused(nix, report)
        value, error = nix.evaluate(run(f"import {HERE}/cases/minimal.nix"))
        other, another = nix.evaluate(run(f"import {HERE}/cases/observed.nix"))
        if error or another:
            report.add("units", error or another)
        else:
            units.check(nix, value, other, report)
        listed, error = nix.evaluate(f"(import {HERE}/eval.nix).options") if "NIXPKGS_LIB" not in os.environ else ([], None)
        if error:
            report.add("options", error)
        elif listed:
            fields.check(ROOT, listed, report)
            report.add("docs/nixos.md lists the options", page.check(ROOT, listed, BLESS))
        if "NIXPKGS_LIB" not in os.environ:
            stories.check(nix, report, run, rules)
        examples.check(nix, ROOT, report, run, rules)
        expectations.check_lock(ROOT, report)
        outputs.check(nix, ROOT, HERE, report)
        # A store is read-only.
        subprocess.run(["chmod", "-R", "u+w", scratch], check=False)
    print(f"module: {report.passed} passed, {report.failed} failed")
    sys.exit(report.failed > 0)


if __name__ == "__main__":
    main()
