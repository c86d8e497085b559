"""In which order, how often, and within which time."""

import time

from . import machine, rows
from .subjects import Refused

FEWEST = {rows.WARM: 5, rows.COLD: 5}
TRIES = 2


class Clock:
    """The time that is left for more than the fewest rounds."""
    def __init__(self, minutes):
        self.begin = time.monotonic()
        self.minutes = minutes

    def spent(self):
        return time.monotonic() - self.begin

    def allows(self, seconds):
        return self.minutes is None or self.spent() + seconds < self.minutes * 60


class Rounds:
    """Runs steps of one closure and records what they took."""
    def __init__(self, closure, subjects, record, say):
        self.closure, self.record, self.say = closure, record, say
        self.subjects = {it.name: it for it in subjects}
        self.sample = closure.sample()
        self.all_sealed = False

    def steps(self, cache):
        return rows.steps(list(self.subjects.values()), cache)

    def round(self, cache, number):
        for step in rows.ordered(self.steps(cache), number):
            if not self.record.has(step, number):
                run = self.attempted(step)
                self.record.add(step, number, run)
                self.say(f"  {cache} {number + 1}: {step.subject:12} {step.kind:10} {run.wall:8.3f} s  cpu {run.cpu:7.3f} s"
                         f"  {run.peak / (1 << 20):6.1f} MiB" + (f"  others {run.others:.0%}" if run.others > machine.QUIET else ""))

    def warm_up(self):
        """Once each, not recorded: the page cache, and what a program makes of its own at the first time."""
        for step in self.steps(rows.WARM):
            if step.kind in ("full", "signatures"):
                self.attempted(step)

    def attempted(self, step):
        for left in reversed(range(TRIES)):
            try:
                return self.run(step)
            except Refused as refused:
                if left == 0:
                    raise Refused(f"{step}: {refused}") from None
                self.all_sealed = False
                self.say(f"  {step}: {refused}; once more")
        raise AssertionError("unreachable")

    def run(self, step):
        subject, changed = self.subjects[step.subject], 0
        if step.kind in ("unchanged", "changed") and not self.all_sealed:
            subject.seal(self.closure)
            self.all_sealed = True
        if step.kind == "changed":
            self.closure.change(self.sample)
            changed, self.all_sealed = len(self.sample), False
        if step.cache == rows.COLD:
            machine.drop_caches()
        run = subject.run(step.kind, self.closure, changed)
        if step.cache == rows.COLD and step.kind == "full" and run.from_disk < self.closure.nar_bytes * 0.5:
            raise Refused(f"read only {run.from_disk} bytes from the disk: the cache was not cold")
        return run

    def make(self, cache, most, clock):
        """The fewest rounds in any case, and more while there is time."""
        number, longest = 0, 0.0
        while number < min(FEWEST[cache], most) or (number < most and clock.allows(longest)):
            begin = time.monotonic()
            self.round(cache, number)
            longest = max(longest, time.monotonic() - begin)
            number += 1
        return number
