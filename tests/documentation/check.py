"""Whether a block that is not run is well-formed."""

import json
import pathlib
import re
import shlex
import shutil
import subprocess
import tempfile
import tomllib

KINDS = ("toml", "json", "nix", "bash")
# What an answer is instead of right or wrong.
CANNOT = object()


def said(command, text=None):
    """What it says where it fails."""
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8")
    return None if done.returncode == 0 else f"{shlex.join(map(str, command))}: exit {done.returncode}\n{done.stdout}"


class Checker:
    """Of one file: a policy is held against the trust set that stands before it."""

    def __init__(self, binaries):
        self.narwarden, self.trust = binaries / "narwarden", None

    def text(self, block):
        text = "\n".join(block.lines) + "\n"
        return {"toml": self.toml, "json": self.json, "nix": self.nix, "bash": self.bash}[block.kind](text)

    def toml(self, text):
        try:
            tables = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            return str(error)
        if "keys" not in tables and "require" not in tables:
            return None
        with tempfile.TemporaryDirectory() as scratch:
            file = pathlib.Path(scratch, "file.toml")
            file.write_text(text)
            if "keys" in tables:
                self.trust = text
                return said([self.narwarden, "trust", "check", file])
            against = []
            if self.trust is not None:
                trust = pathlib.Path(scratch, "trust.toml")
                trust.write_text(self.trust)
                against = ["--trust", trust]
            return said([self.narwarden, "policy", "check", file, *against])

    def json(self, text):
        try:
            json.loads(text)
        except json.JSONDecodeError as error:
            return str(error)
        return None

    def nix(self, text):
        if shutil.which("nix-instantiate") is None:
            return CANNOT
        whole = said(["nix-instantiate", "--parse", "-"], text)
        # Or the middle of a set.
        return whole if whole is None else said(["nix-instantiate", "--parse", "-"], "{\n" + text + "}\n")

    def bash(self, text):
        return said(["bash", "-n"], text)

    def commands(self, block):
        """Of a block that needs NixOS: the shell's grammar, and the arguments that are ours."""
        for command in block.commands():
            wrong = self.bash(command.text + "\n")
            ours = re.fullmatch(r"(?:sudo )?narwarden ([^|&;<>$]*)", command.text)
            if wrong is None and ours:
                wrong = said([self.narwarden, *shlex.split(ours[1], comments=True), "--help"])
            if wrong is not None:
                return wrong
        return None
