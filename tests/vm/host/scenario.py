"""A scenario: one file, its two parts, and how each is run in a guest."""

import dataclasses
import io
import pathlib
import shutil
import subprocess
import tarfile
import time

from qemu import Gone, Machine, PAYLOAD
from prepare import GUESTS, VM

# Of one part, unless the scenario says otherwise.
BOUND = 240
BOOT = 240


@dataclasses.dataclass
class Scenario:
    """What the head of its file says."""

    name: str
    path: pathlib.Path
    title: str
    guests: tuple
    # Where the control is run.
    control_guests: tuple
    bound: int
    # Which parts there are, and the point each begins at.
    parts: dict

    @classmethod
    def read(cls, path):
        """The first line says what it is about; the others are `# KEY: VALUE`."""
        lines = path.read_text(encoding="utf-8").splitlines()
        keys = {}
        for line in lines:
            if not line.startswith("#"):
                break
            key, colon, value = line.lstrip("# ").partition(": ")
            if colon and key in ("guests", "control-guests", "bound", "guarded-in", "control-in"):
                keys[key] = value.split()
        title = lines[0].lstrip("# ").strip()
        guests = tuple(keys.get("guests", GUESTS))
        parts = {"guarded": keys.get("guarded-in", ["ready"])[0]}
        if any(line.startswith("control()") for line in lines):
            parts["control"] = keys.get("control-in", ["bare"])[0]
        control_guests = tuple(keys.get("control-guests", guests))
        unknown = (set(guests) - set(GUESTS)) | (set(parts.values()) - {"ready", "bare"})
        if unknown or not any(line.startswith("guarded()") for line in lines):
            raise ValueError(f"{path}: no guarded(), or unknown: {unknown}")
        return cls(path.stem, path, title, guests, control_guests, int(keys.get("bound", [BOUND])[0]), parts)

    def parts_on(self, guest):
        """Which parts are run in this guest."""
        return [part for part in self.parts if part != "control" or guest in self.control_guests]


def scenarios():
    """All there are, by name."""
    return [Scenario.read(path) for path in sorted((VM / "scenarios").glob("*.sh"))]


def payload(scenario, guest, into):
    """What the guest unpacks: the library, and the scenario."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for path, name in ((VM / "lib/main", "main"), (VM / "lib/lib.sh", "lib.sh"),
                           (guest.store / "names", "names"), (scenario.path, "scenario")):
            tar.add(path, name)
    if made.tell() > PAYLOAD:
        raise ValueError(f"{scenario.name} is too large")
    into.write_bytes(made.getvalue().ljust(PAYLOAD, b"\0"))


@dataclasses.dataclass
class Outcome:
    """How one part ended."""

    passed: bool
    seconds: float
    # Of processor.
    work: float
    reason: str


class Run:
    """One part of a scenario in one guest."""

    def __init__(self, tools, guest, scenario, part, work, show):
        self.guest, self.scenario, self.part, self.show = guest, scenario, part, show
        self.work, self.tools = work, tools
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        self.machine = Machine(tools, guest.boot, work)

    def go(self):
        """Runs it to its end, whatever that is."""
        begin = time.monotonic()
        try:
            reason = self.all_of_it()
        except Gone as error:
            reason = str(error)
        finally:
            self.machine.cut()
        return Outcome(not reason, time.monotonic() - begin, self.machine.work_done, reason)

    def all_of_it(self):
        """Why it failed, or nothing."""
        point = self.guest.points[self.scenario.parts[self.part]]
        disk = self.work / "disk"
        self.tools.image("create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", point / "disk", disk)
        payload(self.scenario, self.guest, self.work / "payload")
        self.machine.start(disk, state=point / "state")
        function = self.part
        while True:
            self.machine.send(f"run scenario {function}")
            until = time.monotonic() + self.scenario.bound
            cut_at, following = None, None
            while True:
                try:
                    answer = self.machine.receive(min(until, cut_at or until), self.show)
                except Gone:
                    if cut_at is None or time.monotonic() < cut_at:
                        self.collect()
                        raise
                    break
                if answer[0] == "reboot":
                    following = answer[1]
                elif answer[0] == "cut":
                    following = answer[1]
                    cut_at = time.monotonic() + (int(answer[2]) / 1000 if len(answer) > 2 else 0)
                elif answer[0] == "ended":
                    if following is None:
                        return f"the machine ended: {self.machine.tail('serial.log')[-600:]}"
                    break
                elif answer[0] == "done":
                    if cut_at is not None:
                        # What was to be cut short was over before.
                        continue
                    if answer[1] != "0":
                        self.collect()
                        return f"{function} ended with {answer[1]}"
                    if self.keep_results:
                        self.collect()
                    return ""
            self.machine.cut()
            function = following
            self.boot_again(disk)

    keep_results = False

    def boot_again(self, disk):
        """After a reboot or a power cut. A panic before the next part begins is tried again, twice."""
        for attempt in (1, 2, 3):
            append = "systemd.mask=narwardend.service" if self.scenario.parts[self.part] == "bare" else ""
            self.machine.start(disk, append=append)
            until = time.monotonic() + BOOT
            answer = self.machine.receive(until, self.show)
            if answer[0] == "hello":
                self.machine.send("settle")
                answer = self.machine.receive(until, self.show)
            if answer[0] == "settled":
                return
            if attempt == 3 or not self.machine.panicked():
                raise Gone(f"the guest said {answer} instead of booting")
            self.machine.cut()

    def collect(self):
        """The journal and what else is of use to whoever looks at a failure; if the guest still answers."""
        try:
            self.machine.send("collect")
            until = time.monotonic() + 60
            while self.machine.receive(until, self.show)[0] != "collected":
                pass
            (self.work / "guest").mkdir(exist_ok=True)
            # What follows the archive on its disk is no part of it: tar complains, and has unpacked everything.
            subprocess.run(["tar", "-xzf", self.work / "results", "-C", self.work / "guest", "--no-same-owner"],
                           stderr=subprocess.DEVNULL, check=False)
        except (Gone, OSError):
            pass
