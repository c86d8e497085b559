"""From nothing to guests that wait for a scenario."""

import concurrent.futures
import dataclasses
import os
import pathlib
import shutil
import subprocess
import time
from functools import partial

from cache import Cache, StepFailed
from qemu import APPEND, BOARD, Gone, Machine, Tools

VM = pathlib.Path(__file__).resolve().parent.parent
REPOSITORY = VM.parent.parent
GUESTS = ("trixie", "bookworm")
NEEDED = {"mmdebstrap": "mmdebstrap", "cpio": "cpio", "mke2fs": "e2fsprogs", "cc": "gcc", "strip": "binutils",
          "xz": "xz-utils", "unshare": "util-linux", "setpriv": "util-linux"}
BOOT_SECONDS = 600


@dataclasses.dataclass
class Boot:
    """What qemu loads."""

    kernel: pathlib.Path
    initramfs: pathlib.Path


@dataclasses.dataclass
class Guest:
    """A Debian, and the points from which scenarios go on: `ready` with the daemon, `bare` without."""

    name: str
    boot: Boot
    store: pathlib.Path
    points: dict


def install(say):
    """What Debian has and this host does not."""
    missing = {package for tool, package in NEEDED.items() if shutil.which(tool) is None}
    if not pathlib.Path("/usr/include/stdio.h").exists():
        missing.add("libc6-dev")
    if not missing:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise StepFailed(f"missing: {', '.join(sorted(missing))}")
    say(f"prepare  installing {', '.join(sorted(missing))}")
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", *missing]
    options = {"env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, "stdin": subprocess.DEVNULL,
               "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    if subprocess.run(command, check=False, **options).returncode != 0:
        subprocess.run(["apt-get", "update", "-q"], check=False, **options)
        done = subprocess.run(command, check=False, **options)
        if done.returncode != 0:
            raise StepFailed(done.stdout.decode(errors="replace")[-4000:])


def mirror():
    """Where this host has its Debian from; empty if it does not say."""
    asked = subprocess.run(["apt-get", "indextargets", "--format", "$(ORIGIN) $(LABEL) $(REPO_URI)"],
                           stdout=subprocess.PIPE, check=False)
    for line in asked.stdout.decode().splitlines():
        if line.startswith("Debian Debian "):
            return line.split()[2]
    return ""


def programs_of_this_tree(say):
    """The daemon and its client, as they are built for users."""
    say("prepare  cargo build --release …")
    command = ["cargo", "build", "--release", "--locked", "--quiet", "-p", "narwardend", "-p", "narwarden"]
    if subprocess.run(command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, check=False).returncode != 0:
        raise StepFailed("cargo build failed")
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target")) / "release"
    return target / "narwardend", target / "narwarden"


def prepare(root, guests, say):
    """All that the named guests need."""
    install(say)
    cache = Cache(root, say)
    steps, packaging, source = VM / "prepare", REPOSITORY / "packaging", mirror()
    inside = steps / "inside"

    def tree(name):
        return cache.step(f"tree/{name}", [source, name], [steps / "tree"])

    def kernel(name):
        return cache.step(f"kernel/{name}", [source, name], [steps / "kernel"])

    def generations():
        programs = cache.step("programs", [VM / "src", *built.result()], [steps / "programs"])
        # With the newer Nix, for both.
        made = cache.step("store", [trees["trixie"].result(), programs, VM / "generation",
                                    packaging / "narwardend.service"], [steps / "store", inside])
        return programs, made

    def guest(name):
        programs, made = store.result()
        booted = kernels[name].result()
        initramfs = cache.step(f"initramfs/{name}", [booted, programs], [steps / "initramfs"])
        image = cache.step(f"image/{name}", [trees[name].result(), name, made, VM / "guest", packaging],
                           [steps / "image", inside])
        boot = Boot(booted / "vmlinuz", initramfs / "initramfs")
        points = {point: cache.step(f"{point}/{name}", [qemu.result(), image, initramfs, f"{BOARD} {APPEND}"],
                                    make=partial(reach, point, Tools(qemu.result()), boot, image))
                  for point in ("ready", "bare")}
        return Guest(name, boot, made, points)

    # Downloads, and the compiler, wait for different things.
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        trees = {name: pool.submit(tree, name) for name in sorted({*guests, "trixie"})}
        kernels = {name: pool.submit(kernel, name) for name in guests}
        qemu = pool.submit(cache.step, "tools", [source], [steps / "tools"])
        built = pool.submit(programs_of_this_tree, say)
        store = pool.submit(generations)
        made = {name: pool.submit(guest, name) for name in guests}
        return Tools(qemu.result()), {name: one.result() for name, one in made.items()}


def reach(point, tools, boot, image, out):
    """Boots a guest, and saves it when it stands still. A panic on the way there is no finding, twice."""
    for attempt in (1, 2, 3):
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        machine = Machine(tools, boot, out)
        try:
            tools.image("convert", "-f", "raw", "-O", "qcow2", image / "disk", out / "disk")
            machine.start(out / "disk", append="systemd.mask=narwardend.service" if point == "bare" else "")
            until = time.monotonic() + BOOT_SECONDS
            expect(machine, ["hello"], until)
            machine.send("settle")
            settled = expect(machine, ["settled"], until)
            if settled[1:] != ["running"]:
                machine.receive(time.monotonic() + 5)
                raise Gone(f"booted into {settled[1:]}")
            if point == "ready":
                machine.send("ready")
                expect(machine, ["ready"], until)
            machine.save(out / "state")
            for name in ("payload", "results", "control", "monitor"):
                (out / name).unlink(missing_ok=True)
            return
        except Gone as error:
            panicked = machine.panicked()
            machine.cut()
            if attempt == 3 or not panicked:
                raise StepFailed(f"{point}: {error}\n{machine.tail('control.log')}\n"
                                 f"{machine.tail('serial.log')}") from error
        finally:
            machine.cut()


def expect(machine, words, until):
    """The next answer, which has to be one of these."""
    answer = machine.receive(until)
    if answer[0] not in words:
        raise Gone(f"the guest said {answer}")
    return answer
