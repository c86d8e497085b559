"""The unit that NixOS writes has every line of packaging/narwardend.service, and what a switch must read.

usage: tests/module/units.py FILE     one unit by itself, as nixpkgs wrote it
"""

import collections
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
UNIT = ROOT / "packaging/narwardend.service"
DROP_IN = ROOT / "packaging/narwardend.service.d/50-systemd-253.conf"

# What the switch and the service manager go by. The unit in packaging/ could lose a line, and the module with it.
REQUIRED = [
    ("Unit", "X-StopOnRemoval", "false"),
    ("Unit", "RefuseManualStop", "true"),
    ("Unit", "StartLimitIntervalSec", "0"),
    ("Unit", "RequiresMountsFor", "/nix/store"),
    ("Service", "X-ReloadIfChanged", "true"),
    ("Service", "Type", "notify-reload"),
    ("Service", "Restart", "always"),
    ("Service", "RestartSec", "100ms"),
    ("Service", "WatchdogSec", "30s"),
    ("Service", "FileDescriptorStoreMax", "4"),
    ("Service", "FileDescriptorStorePreserve", "yes"),
    ("Service", "StateDirectory", "narwarden"),
    ("Service", "RuntimeDirectoryPreserve", "yes"),
    ("Service", "ProtectSystem", "strict"),
    ("Service", "ReadWritePaths", "/nix/var/nix"),
    ("Service", "CapabilityBoundingSet", "CAP_SYS_ADMIN"),
    ("Service", "NoNewPrivileges", "yes"),
    ("Service", "LockPersonality", "yes"),
    ("Service", "MemoryDenyWriteExecute", "yes"),
    ("Service", "RestrictNamespaces", "yes"),
    ("Service", "RestrictRealtime", "yes"),
    ("Service", "RestrictAddressFamilies", "AF_UNIX"),
    ("Service", "ProtectKernelTunables", "yes"),
    ("Service", "ProtectKernelModules", "yes"),
    ("Service", "ProtectKernelLogs", "yes"),
    ("Service", "ProtectClock", "yes"),
    ("Service", "ProtectHostname", "yes"),
    ("Service", "IPAddressDeny", "any"),
    ("Service", "SystemCallFilter", "fanotify_init"),
    ("Service", "SystemCallFilter", "fanotify_mark"),
    ("Service", "OOMScoreAdjust", "-900"),
    ("Install", "WantedBy", "basic.target"),
]
# A gap over the whole switch; processes that ask would not be seen; fanotify would be refused, or openat2(2).
FORBIDDEN = [
    ("Service", "X-StopIfChanged"),
    ("Service", "X-RestartIfChanged"),
    ("Service", "User"),
    ("Service", "DynamicUser"),
    ("Service", "PrivateUsers"),
    ("Service", "ProtectProc"),
    ("Service", "ProcSubset"),
    ("Service", "PrivatePIDs"),
    ("Service", "RestrictSUIDSGID"),
]
# A list in one line is one in several. The order counts for what takes back what came before.
ORDERED = {"SystemCallFilter"}


def read(*texts):
    """{(section, key): [words]} as systemd understands it, `texts` one after the other."""
    found, section = collections.defaultdict(list), None
    for text in texts:
        for line in text.splitlines():
            if line.startswith("[") and line.endswith("]"):
                section = line[1:-1]
            elif line and not line.startswith("#"):
                key, _, value = line.partition("=")
                if value == "":
                    found[section, key] = []
                else:
                    found[section, key] += value.split()
    return found


def packaged():
    units = read(UNIT.read_text(), DROP_IN.read_text())
    # The drop-in says the one again and takes back the other; the program is the package's.
    units["Service", "Type"] = units["Service", "Type"][-1:]
    del units["Service", "ExecReload"], units["Service", "ExecStart"]
    return units


def lacks(text):
    """What of packaging/ and of REQUIRED is not in the text, and what is that must not be."""
    unit = read(text)
    found = []
    for (section, key), words in packaged().items():
        there = unit.get((section, key), None)
        if there is None:
            found.append(f"[{section}] {key}= is missing")
        elif (there != words) if key in ORDERED else (sorted(there) != sorted(words)):
            found.append(f"[{section}] {key}= is {there}, not {words}")
    for section, key, word in REQUIRED:
        if word not in unit.get((section, key), []):
            found.append(f"[{section}] {key}={word} is required")
    for where in FORBIDDEN:
        if where in unit:
            found.append(f"[{where[0]}] {where[1]}= must not be there")
    return found


def mutants(text):
    """The text without one of its lines, each in turn."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if "=" in line and not line.startswith(("ExecStart=", "Environment=", "X-Reload-Triggers=")):
            yield line, "\n".join(lines[:number] + lines[number + 1 :])


def check(nix, value, other, report):
    texts = {unit["name"]: unit["text"] for unit in value["units"]}
    daemon = texts["narwardend.service"]
    report.add("narwardend.service has every line that it must have", "\n".join(lacks(daemon)) or None)
    runs = f"ExecStart={nix.environment['NARWARDEN_PACKAGE']}/bin/narwardend"
    report.add("narwardend.service runs the package's daemon", None if runs in daemon else daemon)
    others = {unit["text"] for unit in other["units"] if unit["name"] == "narwardend.service"}
    changed = set(daemon.splitlines()) ^ set(others.pop().splitlines())
    report.add(
        "other rules have narwardend.service reloaded, and change nothing else of it",
        None if [line[:18] for line in changed] == ["X-Reload-Triggers="] * 2 else str(changed),
    )
    unseen = [line for line, mutant in mutants(daemon) if not lacks(mutant)]
    report.add("a line that is missing is seen", unseen and f"these can be taken out: {unseen}")
    for line in ("[Service]\nX-RestartIfChanged=false", "[Service]\nProtectProc=invisible"):
        report.add(f"a line that must not be there is seen: {line!r}", None if lacks(f"{daemon}\n{line}") else "it is not")
    boot = read(texts["narwarden-boot-check.service"])
    blocking = [key for key in ("Before", "RequiredBy") if ("Unit", key) in boot or ("Install", key) in boot]
    report.add(
        "nothing waits for narwarden-boot-check.service",
        None if not blocking and boot["Service", "Type"] == ["exec"] else str(boot),
    )
    others = {unit["name"]: unit["text"] for unit in other["units"] if unit["name"] != "narwardend.service"}
    report.add("what the units and the switch run are commands of narwarden", commands(nix, others, value["preSwitch"]))
    if shutil.which("systemd-analyze"):
        report.add(f"systemd reads {', '.join(sorted(others))}", systemd_reads(others))
    pre_switch(value["preSwitch"]["narwarden"], report)


def commands(nix, texts, scripts):
    """`--help` at the end has the program read what stands before it, and do nothing."""
    program = f"{nix.environment['NARWARDEN_PACKAGE']}/bin/narwarden"
    text = "\n".join([*texts.values(), *scripts.values()])
    found = re.findall(rf"{re.escape(program)} ([a-z][^\n>\")]*)", text)
    calls = [nix.call([program, *arguments.split(), "--help"]) for arguments in found]
    problems = [call.stderr for call in calls if call.returncode != 0]
    if nix.call([program, "verify", "--no-such-option", "--help"]).returncode == 0:
        problems.append("an option that there is not would not be seen")
    return "\n".join(problems) or (None if len(found) == 3 else f"found {found}")


def systemd_reads(texts):
    with tempfile.TemporaryDirectory() as directory:
        paths = []
        for name, text in texts.items():
            path = pathlib.Path(directory) / name
            path.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.M))
            paths.append(str(path))
        command = ["systemd-analyze", "verify", "--man=no", *paths]
        call = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60)
        ours = [line for line in call.stderr.splitlines() if "narwarden" in line]
        return "\n".join(ours) or None


def pre_switch(script, report):
    """It says something where the generation would be refused, and never stops a switch."""
    with tempfile.TemporaryDirectory() as directory:
        here = pathlib.Path(directory)
        (here / "trust.toml").touch()
        program = here / "narwarden"
        script = re.sub(r"[^\s(]+/bin/narwarden", str(program), script)
        script = script.replace("/etc/narwarden/trust.toml", str(here / "trust.toml"))
        problems = []
        for code in range(4):
            program.write_text(f"#!/bin/sh\necho DENY \"$@\"\nexit {code}\n")
            program.chmod(0o755)
            command = ["bash", "-euo", "pipefail", "-c", script, "pre-switch-checks", "/nix/store/x", "switch"]
            call = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60)
            said = "DENY verify" in call.stdout and "/nix/store/x" in call.stdout
            if call.returncode != 0 or said != (code == 1):
                problems.append(f"exit {code}: {call}")
        report.add("the check before a switch speaks and refuses nothing", "\n".join(problems) or None)


if __name__ == "__main__":
    missing = lacks(pathlib.Path(sys.argv[1]).read_text())
    sys.exit("\n".join(missing) or 0)
