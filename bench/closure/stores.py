"""The closures that are judged, and how 5 % of one is changed."""

import dataclasses
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys

from .options import REPOSITORY

SHARED = os.path.normpath(os.path.join(REPOSITORY, "..", "shared", "bench", "mkstore.py"))
CHANGED = 0.05
# In a store: how it was made, or null while it is half made.
MARK = "bench-store.json"


@dataclasses.dataclass
class Store:
    root: str
    key: str
    made_by: str
    trust: str

    @property
    def database(self):
        return os.path.join(self.root, "nix/var/nix/db/db.sqlite")

    def closure(self):
        """Name and NAR size of every path that the toplevel reaches."""
        with open(os.path.join(self.root, "toplevel"), encoding="utf-8") as file:
            return Closure(self, file.read().strip())

    def growth(self):
        with open(os.path.join(self.root, "toplevels.json"), encoding="utf-8") as file:
            return json.load(file)


@dataclasses.dataclass
class Closure:
    store: Store
    toplevel: str

    def __post_init__(self):
        query = """
            WITH RECURSIVE reached(id) AS (SELECT id FROM ValidPaths WHERE path = ?
              UNION SELECT reference FROM Refs JOIN reached ON referrer = id)
            SELECT path, narSize FROM ValidPaths JOIN reached USING (id) ORDER BY path"""
        with sqlite3.connect(f"file:{self.store.database}?mode=ro", uri=True) as database:
            self.sizes = dict(database.execute(query, (self.toplevel,)))

    @property
    def paths(self):
        return len(self.sizes)

    @property
    def nar_bytes(self):
        return sum(self.sizes.values())

    def physical(self, path):
        return os.path.join(self.store.root, path.lstrip("/"))

    def counted(self):
        """What lies on the disk: files, links, directories, bytes of files."""
        files = links = directories = size = 0
        for path in self.sizes:
            for node in nodes(self.physical(path)):
                if node.is_dir(follow_symlinks=False):
                    directories += 1
                elif node.is_symlink():
                    links += 1
                else:
                    files += 1
                    size += node.stat(follow_symlinks=False).st_size
        return {"paths": self.paths, "nar_bytes": self.nar_bytes, "files": files, "links": links,
                "directories": directories, "file_bytes": size, "largest_nar": max(self.sizes.values())}

    def sample(self):
        """5 % of the paths with 5 % of the bytes, the same ones every time."""
        paths, size = CHANGED * self.paths, CHANGED * self.nar_bytes
        chosen, chosen_size = [], 0
        for path in sorted(self.sizes, key=lambda it: hashlib.sha256(it.encode()).digest()):
            if len(chosen) >= paths and chosen_size >= size * 0.98:
                break
            if chosen_size + self.sizes[path] <= size * 1.02:
                chosen.append(path)
                chosen_size += self.sizes[path]
        return chosen

    def change(self, sample):
        """Gives every node of these paths a new time of change, as writing it again would, and the same contents,
        as they must have to be admitted. What a seal says of them no longer fits, and they are read and hashed."""
        for path in sample:
            for node in nodes(self.physical(path)):
                os.utime(node.path, ns=(10**9, 10**9), follow_symlinks=False)


class Entry:
    """A path itself, as os.scandir shows what is in it."""
    def __init__(self, path):
        self.path = path

    def is_dir(self, follow_symlinks):
        return os.path.isdir(self.path) and (follow_symlinks or not self.is_symlink())

    def is_symlink(self):
        return os.path.islink(self.path)

    def stat(self, follow_symlinks):
        return os.stat(self.path, follow_symlinks=follow_symlinks)


def nodes(top):
    """Everything of a tree, itself included."""
    waiting = [Entry(top)]
    while waiting:
        node = waiting.pop()
        yield node
        if node.is_dir(follow_symlinks=False):
            with os.scandir(node.path) as entries:
                waiting.extend(entries)


class Stores:
    """Makes stores below one directory, or finds them there."""
    def __init__(self, directory, built, options, say):
        self.directory, self.built, self.options, self.say = directory, built, options, say

    def closure(self):
        if self.options.closure:
            root = os.path.abspath(self.options.closure)
            return self.opened(root, self.marked(os.path.join(root, MARK)) or "others")
        shared = os.path.exists(SHARED) and not self.options.own_store and not self.options.quick
        if shared and os.geteuid() == 0 and shutil.which("nix-store"):
            return self.made("closure", "mkstore.py", [sys.executable, SHARED])
        percent = "4" if self.options.quick else "100"
        return self.made("closure", f"bench-store closure {percent}", [self.program(), "ROOT", "closure", percent])

    def growth(self):
        percent = "1" if self.options.quick else "100"
        return self.made("growth", f"bench-store growth {percent}", [self.program(), "ROOT", "growth", percent])

    def program(self):
        return os.path.join(self.built, "examples", "bench-store")

    def made(self, name, made_by, command):
        root = os.path.join(self.directory, name)
        mark = os.path.join(root, MARK)
        if self.marked(mark) != made_by:
            self.say(f"making {root} by {made_by}")
            if os.path.lexists(root):
                remove(root)
            os.makedirs(root)
            write(mark, None)
            command = [root if it == "ROOT" else it for it in command]
            command += [] if root in command else [root]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            write(mark, made_by)
        return self.opened(root, made_by)

    @staticmethod
    def marked(mark):
        try:
            with open(mark, encoding="utf-8") as file:
                return json.load(file)
        except OSError:
            return None

    def opened(self, root, made_by):
        with open(os.path.join(root, "key.pub"), encoding="utf-8") as file:
            key = file.read().strip()
        trust = os.path.join(root, "trust.toml")
        with open(trust, "w", encoding="utf-8") as file:
            file.write(f'version = 1\nexpires = 2099-01-01T00:00:00Z\n\n[keys]\nbench = {{ public = "{key}" }}\n')
        return Store(root, key, made_by, trust)


def write(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file)


def remove(root):
    """Removes a store that was made here, and nothing else. Its directories may not be written to, unless by root."""
    if os.path.islink(root) or not os.path.exists(os.path.join(root, MARK)):
        raise RuntimeError(f"{root} is in the way, and was not made by bench/run: move it, or say another --store")
    for directory, _, _ in os.walk(root):
        os.chmod(directory, 0o755)
    shutil.rmtree(root)
