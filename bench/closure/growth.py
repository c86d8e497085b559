"""The same for closures of many sizes: each differs from the one before in paths, in files or in bytes."""

import time

from . import rows
from .stores import Closure
from .subjects import Refused, version_order

FEWEST = 3
MOST = 5


def subjects_of(subjects):
    """narwarden, and the newest Nix."""
    nixes = sorted((it for it in subjects if it.name != "narwarden"), key=lambda it: version_order(it.version))
    return [it for it in subjects if it.name == "narwarden"] + nixes[-1:]


class Growth:
    def __init__(self, store, subjects, record, say):
        self.store, self.record, self.say = store, record, say
        self.subjects = subjects_of(subjects)
        self.closures = [(it, Closure(store, it["toplevel"])) for it in store.growth()]

    def kinds(self, subject):
        return [kind for kind in ("full", "unchanged") if subject.can(kind)]

    def round(self, number):
        points = self.closures if number % 2 == 0 else self.closures[::-1]
        for point, closure in points:
            steps = [(it, kind) for it in self.subjects for kind in self.kinds(it)]
            for subject, kind in steps if number % 2 == 0 else steps[::-1]:
                step = rows.Step(subject.name, kind, f"{point['axis']} {point['size']}")
                if self.record.has(step, number):
                    continue
                try:
                    if kind == "unchanged":
                        subject.seal(closure)
                    run = subject.run(kind, closure)
                except Refused as refused:
                    raise Refused(f"{step}: {refused}") from None
                self.record.add(step, number, run)
            self.say(f"  growth {number + 1}: {point['axis']} {point['size']:,}")

    def warm_up(self):
        for _, closure in self.closures:
            self.subjects[0].run("full", closure)

    def make(self, most, clock):
        number, longest = 0, 0.0
        while number < min(FEWEST, most) or (number < min(most, MOST) and clock.allows(longest)):
            begin = time.monotonic()
            self.round(number)
            longest = max(longest, time.monotonic() - begin)
            number += 1
        return number
