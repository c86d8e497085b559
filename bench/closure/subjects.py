"""Who judges: narwarden, and every Nix that is here. Each says how it is asked, and whether its answer is one."""

import json
import os
import shutil
import subprocess
import time

from . import machine

# Who reads all files has read more than this share of the NARs (small files have NARs twice their size), and who reads
# none has read less.
HALF = 0.4


class Refused(Exception):
    """A run that did not do what it was to do: no timing."""


def agree(so, what, run):
    if not so:
        text = (run.err.strip() or run.out.strip())[-400:]
        raise Refused(f"{what} (exit code {run.status}): {text}")


class Narwarden:
    name = "narwarden"

    def __init__(self, program, seals, launch):
        self.program, self.launch, self.seals = program, launch, seals
        self.version = machine.output(program, "--version") or "narwarden"
        text = machine.output(program, "verify", "--help")
        # Only root's verifications leave seals.
        self.has_seals = "--seals" in text and os.geteuid() == 0

    def can(self, kind):
        return kind in ("full", "signatures") or self.has_seals

    def command(self, kind, closure):
        asked = [self.program, "verify", "--json", "--quiet", "--root", closure.store.root, "--trust",
                 closure.store.trust]
        if kind == "signatures":
            asked.append("--no-contents")
        elif self.has_seals:
            asked += ["--seals", self.seals, *(["--full"] if kind == "full" else [])]
        return [*asked, closure.toplevel]

    def run(self, kind, closure, changed=0):
        run = self.launch(self.command(kind, closure))
        agree(run.status == 0, "was not admitted", run)
        report = json.loads(run.out)
        agree(report["verdict"] == "admit" and report["closure"]["paths"] == closure.paths, "judged another closure",
              run)
        hashed, sealed = report["measured"]["hashed_bytes"], report["measured"]["sealed_paths"]
        if kind == "full":
            agree(sealed == 0 and hashed == closure.nar_bytes, f"hashed {hashed} bytes, {sealed} sealed", run)
        elif kind == "signatures":
            agree(hashed == 0, f"hashed {hashed} bytes", run)
        else:
            agree(sealed == closure.paths - changed, f"took {sealed} of {closure.paths} paths for sealed, but "
                  f"{changed} had changed", run)
        return run

    def seal(self, closure):
        """Until every path has a seal: a path is not sealed while it is as young as the check."""
        for attempt in range(8):
            run = self.launch(self.command("sealed", closure))
            agree(run.status == 0, "was not admitted", run)
            if json.loads(run.out)["measured"]["sealed_paths"] == closure.paths:
                return
            time.sleep(0.5 if attempt < 2 else 1.5)
        agree(False, "leaves paths without a seal", run)


class Nix:
    has_seals = False

    def __init__(self, program, launch, root=None):
        self.program, self.launch, self.root = program, launch, root
        asked = ["chroot", root, program] if root else [program]
        words = machine.output(*asked, "--version").split()
        if not words:
            raise RuntimeError(f"{program}: no Nix" + (f" in {root}" if root else ""))
        self.version = words[-1]
        self.name = "Nix " + ".".join(self.version.split(".")[:2])

    def can(self, kind):
        return kind in ("full", "signatures")

    def where(self, store):
        return f"{MOUNTED}/{os.path.basename(store.root)}" if self.root else store.root

    def command(self, kind, closure):
        asked = [self.program, "--extra-experimental-features", "nix-command", "--option", "build-users-group", "",
                 "store", "verify", "--store", self.where(closure.store), "--recursive", "--sigs-needed", "1",
                 "--option", "trusted-public-keys", closure.store.key]
        return [*asked, *(["--no-contents"] if kind == "signatures" else []), closure.toplevel]

    def run(self, kind, closure, changed=0):
        environment = {"PATH": "/usr/bin:/bin", "HOME": "/root", "NIX_REMOTE": ""}
        run = self.launch(self.command(kind, closure), self.root, environment)
        agree(run.status == 0, "does not verify", run)
        # It says one line for each path.
        lines = run.err.count("checking '") + run.out.count("checking '")
        agree(lines == closure.paths, f"looked at {lines} of {closure.paths} paths", run)
        if kind == "full":
            agree(run.read >= closure.nar_bytes * HALF, f"read {run.read} bytes", run)
        else:
            agree(run.read <= closure.nar_bytes * HALF + (64 << 20), f"read {run.read} bytes", run)
        return run

    def shown(self, store):
        """Makes a store visible in the tree that this Nix is in, for as long as our mount namespace lasts."""
        if not self.root:
            return
        at = os.path.join(self.root, self.where(store).lstrip("/"))
        if os.path.ismount(at):
            return
        above = os.path.join(self.root, MOUNTED.lstrip("/"))
        if not os.path.ismount(above):
            subprocess.run(["mount", "-t", "tmpfs", "bench", above], check=True)
        os.makedirs(at)
        subprocess.run(["mount", "--bind", store.root, at], check=True)

    def prepare(self):
        proc = os.path.join(self.root, "proc") if self.root else None
        if proc and not os.path.exists(os.path.join(proc, "self")):
            subprocess.run(["mount", "-t", "proc", "proc", proc], check=True)


# Every tree of a system has this directory.
MOUNTED = "/mnt"


def nixes(roots, launch, say):
    """The Nix of this system, and those in trees of their own."""
    found = []
    if shutil.which("nix"):
        found.append(Nix(shutil.which("nix"), launch))
    for name, root in roots:
        peer = Nix.__new__(Nix)
        peer.root = root
        peer.prepare()
        programs = [it for it in ("/usr/bin/nix", "/bin/nix", "/nix/var/nix/profiles/default/bin/nix")
                    if os.path.exists(root + it)]
        if not programs:
            raise RuntimeError(f"--nix {name}={root}: there is no nix in it")
        peer.__init__(programs[0], launch, root)
        if not peer.version.startswith(name):
            say(f"--nix {name}={root}: it says that it is {peer.version}")
        found.append(peer)
    return found


def version_order(name):
    return [int(it) for it in name.removeprefix("Nix ").split(".") if it.isdigit()]
