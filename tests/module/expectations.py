"""What each case comes to, and what is refused, where, and with which words."""

import base64
import json
import re

# rules: from `settings`, from `files`, or `none`. Of warnings, a word of each.
CASES = {
    "minimal": {"rules": "settings", "warnings": []},
    "every-field": {"rules": "settings", "warnings": []},
    "observed": {"rules": "settings", "warnings": []},
    "nothing-configured": {"rules": "none", "warnings": ["no trust set and no policy"]},
    "off": {"rules": "none", "warnings": [], "off": True},
    "everything-around": {
        "rules": "files",
        "warnings": ["require-sigs", "system.autoUpgrade", "secret-key-files", "@wheel", "accept-flake-config"],
        "provenance": {"revision": "0123456789abcdef", "flake-lock-sha256": True},
    },
}

KEY = "ci.demo.example-1:iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w="

# (where it is refused, what is set beside cases/minimal.nix, what is said)
WRONG = [
    ("build", '{ services.narwarden.settings.policy.require.toplevel = "cii"; }',
     ["policy.toml:3:12", "the trust set has no role or key `cii`", "services.narwarden: the policy"]),
    ("build", "{ services.narwarden.settings.policy.require.defualt = \"ci\"; }",
     ["policy.toml:3:1", "unknown field `defualt`"]),
    ("build", "{ services.narwarden.settings.policy.gates.deadline = \"5s\"; }",
     ["policy.toml:1:2", "unknown field `gates`"]),
    ("build", "{ services.narwarden.settings.policy.require.toplevel = { threshold = 3; of = [ \"ci\" ]; }; }",
     ["policy.toml:3:"]),
    ("build", '{ services.narwarden.settings.policy = { mode = "enforce"; observe-until = "2098-01-31"; }; }',
     ["policy.toml:2:", "observe-until"]),
    ("build", '{ services.narwarden.settings.policy.deny = [ { reason = "why"; } ]; }',
     ["policy.toml:4:1"]),
    ("build", f'{{ services.narwarden.settings.trust.keys.twice.public = "{KEY.replace("ci.", "x.")}"; }}',
     ["trust.toml:3:", "this is the same key as `ci`", "services.narwarden: the trust set"]),
    ("build", '{ services.narwarden.settings.trust.expires = "2099-02-31"; }',
     ["trust.toml:1:"]),
    ("build", '{ services.narwarden.settings.trust.keys.x.public = "x-1:AAAA"; }',
     ["trust.toml:3:"]),
    ("build", '{ services.narwarden.settings.trust.revision = 4; }',
     ["trust.toml:1:1", "unknown field `revision`"]),
    ("evaluation", '{ services.narwarden.settings.policy.mode = "enforced"; }', ["settings.policy.mode"]),
    ("evaluation", '{ services.narwarden.settings.trust.expires = "tomorrow"; }', ["settings.trust.expires"]),
    # Hosts would disagree on it.
    ("evaluation", '{ services.narwarden.settings.trust.expires = "2099-06-01T12:00:00"; }', ["settings.trust.expires"]),
    ("evaluation", '{ services.narwarden.settings.trust.expires = "2099-06-01\\n[roles]"; }', ["settings.trust.expires"]),
    ("evaluation", '{ services.narwarden.settings.trust.roles.both = { keys = [ "ci" ]; threshold = 0; }; }',
     ["settings.trust.roles.both.threshold"]),
    ("evaluation", '{ services.narwarden.settings.policy.require.default = 1; }', ["settings.policy.require.default"]),
    ("evaluation", '{ services.narwarden.settngs = { }; }', ["services.narwarden.settngs"]),
    ("evaluation", '{ services.narwarden.rules = { outPath = "/nix/store/mine"; }; }', ["services.narwarden.rules"]),
    ("assertion", "{ services.narwarden.trustFile = ./cases/files/trust.toml; }", ["settings.trust and trustFile exclude"]),
    ("assertion", "{ services.narwarden.policyFile = ./cases/files/policy.toml; }", ["and policyFile exclude"]),
    ("assertion", "{ config, lib, ... }: { services.narwarden.settings.trust = lib.mkForce null; }", ["need each other"]),
    ("assertion", '{ lib, ... }: { services.narwarden = { settings.trust = lib.mkForce null; trustFile = "/etc/keys/trust.toml"; }; }',
     ["must be files of the configuration"]),
    ("assertion", "{ boot.isContainer = true; }", ["a container's is its host's"]),
    ("assertion", '{ boot.kernelPackages.kernel.version = "5.15.9"; }', ["needs Linux 6.0"]),
]


def compare(value, expected):
    problems = []
    if value["failed"]:
        problems.append(f"assertions fail: {value['failed']}")
    unsaid = [word for word in expected["warnings"] if not any(word in text for text in value["warnings"])]
    if unsaid or len(value["warnings"]) != len(expected["warnings"]):
        problems.append(f"warnings: {value['warnings']}, expected {expected['warnings']}")
    if expected.get("off"):
        left = [key for key in ("etc", "units", "packages", "preSwitch", "bootspec") if value[key]]
        return f"it is not enabled, and there is {left}" if left else "\n".join(problems) or None
    provenance = json.loads(value["etc"]["narwarden/provenance.json"])
    bootspec = value["bootspec"]["io.narwarden.v1"]
    for key, word in expected.get("provenance", {}).items():
        if provenance.get(key) is None or (word is not True and provenance[key] != word):
            problems.append(f"provenance: {provenance}")
    if provenance != {key: word for key, word in bootspec.items() if key != "rules"}:
        problems.append(f"{bootspec} is not {provenance}")
    links = {"narwarden/trust.toml", "narwarden/policy.toml"} if expected["rules"] != "none" else set()
    if {name for name in value["etc"] if name != "narwarden/provenance.json"} != links:
        problems.append(f"/etc has {sorted(value['etc'])}")
    for name in links:
        if value["etc"][name] != f"{value['rules']}/{name.removeprefix('narwarden/')}":
            problems.append(f"{name} is not the checked file: {value['etc'][name]}")
    return "\n".join(problems) or None


def check_lock(root, report):
    """flake.lock names one nixpkgs in full, and of the branch that flake.nix asks for."""
    lock = json.loads((root / "flake.lock").read_text())
    node = lock["nodes"]["nixpkgs"]
    locked, original = node["locked"], node["original"]
    asked = re.search(r'inputs\.nixpkgs\.url = "github:(\w+)/(\w+)/([\w.-]+)"', (root / "flake.nix").read_text())
    whole = (
        re.fullmatch(r"[0-9a-f]{40}", locked["rev"])
        and locked["narHash"].startswith("sha256-")
        and len(base64.b64decode(locked["narHash"].removeprefix("sha256-"), validate=True)) == 32
        and asked
        and asked.groups() == (original["owner"], original["repo"], original["ref"])
        and set(lock["nodes"]["root"]["inputs"]) == {"nixpkgs"}
    )
    report.add("flake.lock is of what flake.nix asks for", None if whole else json.dumps(lock))
