"""What was asked for."""

import argparse
import os

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
REPOSITORY = os.path.dirname(HERE)
PARTS = ("floors", "warm", "cold", "growth")

TEXT = """\
Judges a closure of 1,258 paths with narwarden and with every Nix that is here, in turn, and says what each took.

  bench/run                                  everything, into bench/recorded.json and docs/performance.md
  bench/run --nix 2.26=/srv/trixie           with another Nix, in a tree made by bench/trixie-nix /srv/trixie
  bench/run --budget 18                      what can be had in 18 minutes
  bench/run --resume                         go on with a run that was broken off
  bench/run --quick                          does it work? a small closure, one round, nothing written
  bench/run --render bench/recorded.json     write the page again from what was recorded
"""


def nix(text):
    name, equals, root = text.partition("=")
    if not equals or not os.path.isdir(root):
        raise argparse.ArgumentTypeError(f"{text}: expected NAME=ROOT, a directory with a Nix in it")
    return name, os.path.realpath(root)


def parse(arguments):
    parser = argparse.ArgumentParser(prog="bench/run", description=TEXT,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--rounds", type=int, default=9, help="how often, at most (default: %(default)s); never fewer than "
        "5 of warm and cold and 3 of growth")
    add("--budget", type=float, metavar="MINUTES", help="begin no round beyond the fewest after this time")
    add("--only", action="append", choices=PARTS, help="measure this part; may be repeated")
    add("--skip", action="append", choices=PARTS, default=[], help="leave this part out; may be repeated")
    add("--nix", action="append", type=nix, default=[], metavar="NAME=ROOT", help="a Nix in a tree of its own")
    add("--store", metavar="DIR", help="where the stores are kept, and found again (default: below the target "
        "directory)")
    add("--closure", metavar="DIR", help="judge the store in DIR, which has `toplevel` and `key.pub` beside `nix/`, and "
        "is changed only in the times of its files")
    add("--own-store", action="store_true", help="make the closure here even where ../shared/bench/mkstore.py is")
    add("--built", metavar="DIR", help="take the programs from here instead of building a release")
    add("--narwarden", metavar="FILE", help="take this narwarden instead of the one that was built")
    add("--json", metavar="FILE", default=os.path.join(HERE, "recorded.json"), help="where all rounds go")
    add("--page", metavar="FILE", default=os.path.join(REPOSITORY, "docs", "performance.md"),
        help="the page that gets the tables")
    add("--resume", action="store_true", help="keep the rounds that --json has of this commit and machine")
    add("--settle", type=float, default=60, metavar="SECONDS", help="wait this long for the machine to become quiet")
    add("--quick", action="store_true", help="small stores, one round, no page: does everything work?")
    add("--render", metavar="FILE", help="measure nothing; write the page from this record")
    asked = parser.parse_args(arguments)
    asked.parts = [part for part in PARTS if part in (asked.only or PARTS) and part not in asked.skip]
    if asked.rounds < 1:
        parser.error("--rounds: at least 1")
    return asked
