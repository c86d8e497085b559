"""Steps of the preparation, each kept under a name that says what it was made from."""

import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import time

# What another checkout may still be using is younger than this.
UNUSED_AFTER = 2 * 24 * 3600


class StepFailed(Exception):
    """A step of the preparation did not succeed."""


def digest_of(path):
    """Of a file, or of all files below a directory. What another step made is known by its name."""
    made = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
        made.update(f"{file.relative_to(path.parent)} {file.stat().st_mode & 0o111}\n".encode())
        made.update(file.read_bytes())
    return made.hexdigest()


class Cache:
    """A directory of made things."""

    def __init__(self, root, say):
        self.root, self.say = root, say
        root.mkdir(parents=True, exist_ok=True)

    def step(self, name, arguments, sources=(), make=None):
        """What `prepare/NAME OUT ARGUMENTS…`, or `make(OUT)`, makes; from the cache, if nothing that it is made from
        has changed: the arguments, and the contents of the sources."""
        key = hashlib.sha256()
        for argument in arguments:
            made_here = isinstance(argument, pathlib.Path) and self.root in argument.parents
            outside = isinstance(argument, pathlib.Path) and not made_here
            key.update(f"{digest_of(argument) if outside else argument}\0".encode())
        for source in sources:
            key.update(f"{digest_of(source)}\0".encode())
        out = self.root / f"{name.replace('/', '-')}-{key.hexdigest()[:16]}"
        with open(self.root / f".{name.replace('/', '-')}.lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if out.exists():
                os.utime(out)
                return out
            begin = time.monotonic()
            part = out.with_name(out.name + ".part")
            self.forget(part)
            self.say(f"prepare  {name} …")
            try:
                if make is None:
                    self.run([sources[0], part, *arguments])
                else:
                    make(part)
            except BaseException:
                self.forget(part)
                raise
            part.rename(out)
            os.utime(out)
            self.prune(name.replace("/", "-"), out)
            self.say(f"prepare  {name}: {time.monotonic() - begin:.0f} s")
        return out

    def run(self, command):
        """Its output is shown only if it fails."""
        command = [str(one) for one in command]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              check=False)
        if done.returncode != 0:
            output = done.stdout.decode(errors="replace")
            raise StepFailed(f"{' '.join(command)} ended with {done.returncode}\n{output[-8000:]}")

    def prune(self, name, kept):
        """Removes what nobody used for days."""
        for old in self.root.glob(f"{name}-????????????????"):
            if old != kept and time.time() - old.stat().st_mtime > UNUSED_AFTER:
                self.forget(old)

    @staticmethod
    def forget(path):
        """Removes it, if it is there."""
        for each in [path, *path.parent.glob(path.name + ".*")]:
            if each.is_dir() and not each.is_symlink():
                shutil.rmtree(each)
            elif each.exists():
                each.unlink()
