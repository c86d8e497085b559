"""Nix takes flake.lock for flake.nix, and the flake has what it is for. Nothing is fetched."""

import json
import pathlib
import shutil
import tempfile
import tomllib

SYSTEM = {
    "packages": {"default", "narwarden", "narwarden-cli", "narwarden-static"},
    "apps": {"default", "narwarden"},
    "devShells": {"default"},
    "overlays": {"default"},
    "nixosModules": {"default", "narwarden"},
}
CHECKS = {"narwarden", "narwarden-cli", "narwarden-static", "clippy", "fmt", "nixfmt", "module"}


def metadata(nix, root, change=lambda text: text):
    """What Nix says about the two files; `change` is made to flake.nix before."""
    with tempfile.TemporaryDirectory(dir=nix.scratch) as directory:
        here = pathlib.Path(directory)
        (here / "flake.nix").write_text(change((root / "flake.nix").read_text()))
        shutil.copy(root / "flake.lock", here)
        return nix.call(
            ["nix", "--extra-experimental-features", "nix-command flakes", "--option", "download-attempts", "1",
             "flake", "metadata", "--no-update-lock-file", "--json", f"path:{here}"]
        )  # fmt: skip


def check(nix, root, here, report):
    call = metadata(nix, root)
    same = call.returncode == 0 and json.loads(call.stdout)["locks"] == json.loads((root / "flake.lock").read_text())
    report.add("Nix takes flake.lock for flake.nix", None if same else call.stdout + call.stderr)
    call = metadata(nix, root, lambda text: text.replace("nixos-26.05", "nixos-00.00"))
    report.add("and for no other flake.nix", None if call.returncode != 0 else call.stdout)

    found, error = nix.evaluate(f"import {here}/outputs.nix")
    if error:
        report.add("outputs", error)
        return
    stories = {path.stem for path in (root / "tests/nixos").glob("*.nix")} - {"default", "story"}
    expected = SYSTEM | {"checks": CHECKS | {f"vm-{story}" for story in stories}}
    problems = [
        f"{kind}: {sorted(set(found['flake'].get(kind, [])) ^ names)}"
        for kind, names in expected.items()
        if set(found["flake"].get(kind, [])) != names
    ]
    version = tomllib.loads((root / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    if found["package"]["version"] != version or found["package"]["mainProgram"] != "narwarden":
        problems.append(f"the package is {found['package']}")
    if not SYSTEM["packages"] - {"default"} < set(found["default"]):
        problems.append(f"default.nix has {found['default']}")
    report.add("the flake and default.nix have what they are for", "\n".join(problems) or None)
