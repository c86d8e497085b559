"""One run from the options to the page."""

import os
import shlex
import subprocess
import sys
import tempfile
import time

from . import machine, options, page, rows, stores, subjects
from .floors import Floors
from .growth import Growth
from .launch import Launcher
from .record import Record
from .rounds import Clock, Rounds

INSIDE = "NARWARDEN_BENCH_NAMESPACE"


def say(text):
    print(text, file=sys.stderr, flush=True)


def build(asked):
    """Where the programs are."""
    if asked.built:
        return os.path.abspath(asked.built)
    profile = "dev" if asked.quick else "release"
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(options.REPOSITORY, "target"))
    for package in (["narwarden", "--bin", "narwarden"], ["narwarden-store", "--examples"]):
        subprocess.run(["cargo", "build", "--locked", "--profile", profile, "-p", *package], check=True,
                       cwd=options.REPOSITORY)
    return os.path.join(os.path.abspath(target), "debug" if asked.quick else "release")


def in_namespace(arguments):
    """Goes on in a mount namespace of its own, so that what is mounted for a Nix in a tree ends with this process."""
    environment = {**os.environ, INSIDE: "1"}
    program = os.path.join(options.HERE, "run")
    os.execvpe("unshare", ["unshare", "--mount", "--propagation", "private", program, *arguments], environment)


def commit():
    found = machine.output("git", "rev-parse", "--short=12", "HEAD", cwd=options.REPOSITORY)
    changed = machine.output("git", "status", "--porcelain", "--", "agent", "Cargo.toml", "Cargo.lock",
                             cwd=options.REPOSITORY)
    return (found or "unknown") + (" with changes" if changed else "")


def command_of(arguments):
    """As a reader would type it: paths of this machine say nothing."""
    shown = []
    for number, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        hidden = number and arguments[number - 1] in ("--closure", "--store", "--built", "--narwarden", "--json", "--page")
        if hidden:
            argument = "…"
        elif equals and value.startswith("/"):
            argument = f"{name}=…"
        shown.append(argument)
    return " ".join(["bench/run", *(it if it.endswith("…") else shlex.quote(it) for it in shown)])


def measure(asked, arguments, scratch):
    built = build(asked)
    launch = Launcher(scratch)
    place = os.path.abspath(asked.store or os.path.join(built, "..", "bench-stores"))
    # Seals on the disk, as those of a host are.
    seals = os.path.join(place, "seals")
    os.makedirs(seals, mode=0o700, exist_ok=True)
    narwarden = subjects.Narwarden(os.path.abspath(asked.narwarden or os.path.join(built, "narwarden")), seals, launch)
    everybody = [narwarden, *subjects.nixes(asked.nix, launch, say)]
    made = stores.Stores(place, built, asked, say)
    record = Record(None if asked.quick else os.path.abspath(asked.json), {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "command": command_of(arguments),
        "commit": commit(),
        "machine": machine.facts(place),
        "subjects": [{"name": it.name, "version": it.version} for it in everybody],
    })
    if asked.resume:
        record.resume(asked.json, say)
    most = 1 if asked.quick else asked.rounds
    cold = machine.may_drop_caches() and not asked.quick
    if "cold" in asked.parts and not cold and not asked.quick:
        say("cold runs are left out: only root may empty the page cache")
    clock = Clock(asked.budget)

    closure = made.closure().closure()
    growth = made.growth() if "growth" in asked.parts else None
    for peer in everybody[1:]:
        for store in filter(None, (closure.store, growth)):
            peer.shown(store)
    rounds = Rounds(closure, everybody, record, say)
    record.data["store"] = {**closure.counted(), "made_by": closure.store.made_by,
                            "changed_paths": len(rounds.sample),
                            "changed_bytes": sum(closure.sizes[it] for it in rounds.sample)}
    say(f"{', '.join(it.name for it in everybody)}; {closure.paths} paths, {closure.nar_bytes / 1e9:.2f} GB")
    if not asked.quick:
        machine.settle(asked.settle, say)
    if "floors" in asked.parts and not record.data["floors"]:
        record.data["floors"] = Floors(built, launch, closure, say).measure(1 if asked.quick else 5, cold)
        record.save()
    if "warm" in asked.parts:
        rounds.warm_up()
        rounds.make(rows.WARM, most if asked.budget is None else min(most, 5), clock)
    if "cold" in asked.parts and cold:
        rounds.make(rows.COLD, most if asked.budget is None else min(most, 5), clock)
    if growth:
        curve = Growth(growth, everybody, record, say)
        record.data["growth"] = growth.growth()
        curve.warm_up()
        curve.make(most, clock)
    # With a budget, what is left of it goes into more rounds of what everything rests on.
    if asked.budget is not None and "warm" in asked.parts and clock.allows(30):
        rounds.warm_up()
        rounds.make(rows.WARM, most, clock)
    if asked.budget is not None and "cold" in asked.parts and cold:
        rounds.make(rows.COLD, most, clock)
    record.save()
    say(f"took {clock.spent() / 60:.1f} minutes")
    return record


def main(arguments):
    asked = options.parse(arguments)
    try:
        if asked.render:
            record = Record.read(asked.render)
        else:
            if asked.nix and os.geteuid() == 0 and INSIDE not in os.environ:
                in_namespace(arguments)
            with tempfile.TemporaryDirectory(prefix="narwarden-bench-", dir=scratch_on()) as scratch:
                record = measure(asked, arguments, scratch)
        print(page.Page(record).text())
        if not asked.quick:
            page.write(record, asked.page)
        return 0
    except (OSError, RuntimeError, ValueError, subjects.Refused, subprocess.CalledProcessError) as error:
        say(f"bench/run: {error}")
        return 1


def scratch_on():
    """What programs print goes to memory, not to the disk that is measured."""
    return "/dev/shm" if os.path.isdir("/dev/shm") and os.access("/dev/shm", os.W_OK) else None
