"""What this machine can do at best, measured in the same run: bench-floors does one thing at a time."""

import json
import os
import statistics
import tempfile

from . import machine
from .rows import COLD, WARM

TRIES = 5
# More threads than processors, since each waits for the disk.
COLD_THREADS = 32
DISK_THREADS = 8


class Floors:
    def __init__(self, built, launch, closure, say):
        self.program = os.path.join(built, "examples", "bench-floors")
        self.launch, self.closure, self.say = launch, closure, say
        self.store = os.path.join(closure.store.root, "nix/store")

    def asked(self, *arguments):
        run = self.launch([self.program, *map(str, arguments)])
        if run.status != 0:
            raise RuntimeError(f"bench-floors {arguments[0]}: {run.err.strip()}")
        return run, json.loads(run.out)

    def walked(self, what, tries, threads, *also, cold=False):
        runs = []
        for _ in range(tries + (not cold)):
            if cold:
                machine.drop_caches()
            run, seen = self.asked(what, self.store, threads, *also)
            runs.append(run)
        # The first warm one made it warm.
        runs = runs if cold else runs[1:]
        median = lambda name: statistics.median(getattr(run, name) for run in runs)
        return {"wall": median("wall"), "cpu": median("cpu"), "runs": len(runs), **seen}

    def measure(self, tries=TRIES, cold=True):
        with tempfile.NamedTemporaryFile() as names:
            self.asked("list", self.store, names.name)
            return self.measured(tries, cold, names.name)

    def measured(self, tries, cold, names):
        """The rates and walks. Few runs: the median of what disturbs least is near the best."""
        self.say("floors: hashing, signatures, walking, reading")
        found = {
            "hash": self.asked("hash")[1],
            "signature": self.asked("sign")[1]["seconds"],
            "read": self.walked("read", tries, machine.cores()),
            "stat": self.walked("stat", tries, machine.cores(), names),
        }
        if cold:
            self.say("floors: the disk")
            found["stat_cold"] = self.walked("stat", 2, COLD_THREADS, names, cold=True)
            rates = [self.asked("disk", self.store, DISK_THREADS)[1]["bytes_per_second"] for _ in range(2)]
            found["disk"] = max(rates)
        return found


def derive(found, store, cores, changed=0.05):
    """For each row, the least that the parts it cannot do without take here: seconds by (kind, cache)."""
    fastest = max(it["one"] for it in found["hash"].values())
    hashing = store["nar_bytes"] / fastest
    # One NAR is one stream of SHA-256, and a stream is as fast as one lane.
    serial = store["largest_nar"] / max(it["one"] / it["lanes"] for it in found["hash"].values())
    full = max((found["read"]["cpu"] + hashing) / cores, serial)
    floors = {
        ("full", WARM): full,
        ("unchanged", WARM): found["stat"]["wall"],
        ("changed", WARM): found["stat"]["wall"] + changed * full,
        ("signatures", WARM): store["paths"] * found["signature"] / cores,
    }
    if "disk" in found:
        disk = found["read"]["disk_bytes"] / found["disk"]
        floors["full", COLD] = max(disk, full)
        floors["unchanged", COLD] = found["stat_cold"]["wall"]
        floors["changed", COLD] = found["stat_cold"]["wall"] + changed * max(disk, full)
    return floors
