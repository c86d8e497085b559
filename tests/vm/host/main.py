"""tests/vm/run: see --help."""

import argparse
import concurrent.futures
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time

import record
from cache import StepFailed
from prepare import GUESTS, REPOSITORY, prepare
from scenario import Run, scenarios

HELP = """Runs scenarios in emulated machines with a real systemd, Nix and narwardend, and says how each ended.

Each scenario is a file of tests/vm/scenarios. Its part `guarded` runs where the daemon is, `control` where it is not;
both must come out as the file says. Without a name all are run. As root, on Debian 12 or newer; what is missing is
installed. See tests/vm/README.md.
"""

printing = threading.Lock()


def say(text):
    """A whole line, at once."""
    with printing:
        print(text, flush=True)


def arguments():
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="tests/vm/run", description=HELP,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", nargs="*", help="the name of one, or how some begin: G01")
    parser.add_argument("--list", action="store_true", help="say which there are, and end")
    parser.add_argument("--guest", choices=GUESTS, help="only there")
    parser.add_argument("--part", choices=("guarded", "control"), help="only that, for who writes one")
    parser.add_argument("--jobs", type=int, default=max(1, os.cpu_count() or 1), help="machines at once [one a core]")
    parser.add_argument("--record", action="store_true", help="write the results into docs/attacks.md")
    parser.add_argument("--prepare", action="store_true", help="only make what is missing in the cache")
    parser.add_argument("--keep", action="store_true", help="keep logs and journal of what passed, too")
    parser.add_argument("--verbose", action="store_true", help="show what scenarios print as they do")
    return parser.parse_args()


def chosen(names):
    """Scenarios that are called so, or begin so."""
    known = scenarios()
    if not names:
        return known
    found = [one for one in known if any(one.name == name or one.name.startswith(name) for name in names)]
    for name in names:
        if not any(one.name.startswith(name) for one in found):
            sys.exit(f"there is no scenario {name}: tests/vm/run --list")
    return found


def main():
    """Prepares, runs, reports."""
    asked = arguments()
    wanted = chosen(asked.scenario)
    if asked.list:
        for one in wanted:
            print(f"{one.name:28} {' '.join(one.guests):16} {one.title}")
        return 0
    if os.geteuid() != 0:
        sys.exit("tests/vm/run needs root: it makes file systems of another system")
    begin = time.monotonic()
    root = pathlib.Path(os.environ.get("NARWARDEN_VM_CACHE", REPOSITORY / "target/vm")).resolve()
    guests = [asked.guest] if asked.guest else list(GUESTS)
    try:
        tools, made = prepare(root, guests, say)
    except (StepFailed, OSError, subprocess.CalledProcessError) as error:
        say(f"prepare  FAILED: {error}")
        return 1
    say(f"prepare  took {time.monotonic() - begin:.0f} s")
    if asked.prepare:
        return 0
    return report(asked, wanted, run_all(asked, wanted, tools, made, root), begin)


def run_all(asked, wanted, tools, made, root):
    """All parts, the longest first. Says each scenario's line when both of its parts are there."""
    times_file, work = root / "times.json", pathlib.Path(os.environ.get("NARWARDEN_VM_LOGS", root / "logs"))
    times = json.loads(times_file.read_text()) if times_file.exists() else {}
    work.mkdir(parents=True, exist_ok=True)
    todo = {}
    for one in wanted:
        for guest in one.guests:
            parts = [part for part in one.parts_on(guest) if asked.part in (None, part)]
            if guest in made and parts:
                todo[(one.name, guest)] = (one, parts)
    outcomes = {}

    def part(one, guest, which):
        name = f"{one.name}-{guest}-{which}"
        show = (lambda line: say(f"    {name}: {line}")) if asked.verbose else (lambda _line: None)
        run = Run(tools, made[guest], one, which, work / name, show)
        run.keep_results = asked.keep
        outcome = run.go()
        for large in ("disk", "payload", "results", "control", "monitor"):
            (run.work / large).unlink(missing_ok=True)
        if outcome.passed and not asked.keep:
            shutil.rmtree(run.work)
        return outcome

    jobs = sorted(((one, guest, which) for (_, guest), (one, parts) in todo.items() for which in parts),
                  key=lambda job: -times.get(f"{job[0].name}-{job[1]}-{job[2]}", job[0].bound))
    with concurrent.futures.ThreadPoolExecutor(asked.jobs) as pool:
        futures = {pool.submit(part, *job): job for job in jobs}
        for future in concurrent.futures.as_completed(futures):
            one, guest, which = futures[future]
            outcomes.setdefault((one.name, guest), {})[which] = outcome = future.result()
            times[f"{one.name}-{guest}-{which}"] = round(outcome.seconds, 1)
            if len(outcomes[(one.name, guest)]) == len(todo[(one.name, guest)][1]):
                line(one, guest, outcomes[(one.name, guest)], work)
    times_file.write_text(json.dumps(times, indent=0, sort_keys=True))
    return outcomes


def line(one, guest, parts, work):
    """How a scenario ended in one guest."""
    passed = all(outcome.passed for outcome in parts.values())
    took = "; ".join(f"{which} {outcome.seconds:.0f} s, {outcome.work:.0f} of processor" for which, outcome in sorted(parts.items(), reverse=True))
    say(f"{'ok    ' if passed else 'FAILED'}   {one.name} {guest}: {one.title} ({took})")
    for which, outcome in parts.items():
        if not outcome.passed:
            logs = work / f"{one.name}-{guest}-{which}"
            output = (logs / "control.log").read_text(errors="replace").splitlines()[-25:] \
                if (logs / "control.log").exists() else []
            text = "\n".join("      " + each.strip("\r\x01") for each in output)
            say(f"    {which}: {outcome.reason}\n{text}\n    logs: {logs}")


def report(asked, wanted, outcomes, begin):
    """The closing line; and the table, if asked for."""
    passed = sum(all(part.passed for part in parts.values()) for parts in outcomes.values())
    if asked.record:
        record.write(wanted, outcomes)
    say(f"tests/vm took {time.monotonic() - begin:.0f} s")
    say(f"{passed} passed, {len(outcomes) - passed} failed")
    return 0 if passed == len(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
