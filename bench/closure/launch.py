"""One process from its start to its end, by launch.c."""

import dataclasses
import os
import subprocess

from . import machine
from .options import HERE

LIMIT = 900


@dataclasses.dataclass
class Run:
    """What a process took. Times in seconds, sizes in bytes."""
    wall: float
    user: float
    system: float
    peak: int
    read: int
    from_disk: int
    status: int
    # The share of all processors that others had meanwhile, and what the host took away.
    others: float
    stolen: float
    out: str = dataclasses.field(repr=False)
    err: str = dataclasses.field(repr=False)

    @property
    def cpu(self):
        return self.user + self.system

    def kept(self):
        """What goes into the record."""
        names = ("wall", "user", "system", "peak", "read", "from_disk", "others", "stolen")
        return {name: round(getattr(self, name), 6) for name in names}


class Launcher:
    def __init__(self, scratch):
        self.scratch = scratch
        self.program = os.path.join(scratch, "launch")
        source = os.path.join(HERE, "launch.c")
        subprocess.run([os.environ.get("CC", "cc"), "-O2", "-o", self.program, source], check=True)

    def __call__(self, command, root=None, environment=None):
        out, err = (os.path.join(self.scratch, name) for name in ("out", "err"))
        where = ["-r", root] if root else []
        before = machine.busy()
        done = subprocess.run([self.program, *where, "-t", str(LIMIT), out, err, *command], capture_output=True,
                              text=True, check=False, env=environment)
        after = machine.busy()
        numbers = done.stdout.split()
        if len(numbers) != 7:
            raise RuntimeError(f"{command[0]}: could not be run: {done.stderr.strip()}")
        wall, user, system, peak, read, from_disk, status = (int(it) for it in numbers)
        wall, user, system = wall / 1e9, user / 1e6, system / 1e6
        possible = wall * machine.cores()
        others = max(0.0, after[0] - before[0] - user - system) / possible
        return Run(wall, user, system, peak * 1024, read, from_disk, status, others,
                   (after[1] - before[1]) / possible, machine.read(out), machine.read(err))
