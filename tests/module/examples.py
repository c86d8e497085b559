"""What docs/nixos.md shows is what comes out."""

import json
import re

from expectations import KEY


def blocks(text, kind):
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.M | re.S)


def check(nix, root, report, run, rules):
    pages = [root / "docs/nixos.md", root / "nixos-module/doc.md", root / "README.md"]
    shown = [block for page in pages for block in blocks(page.read_text(), "nix")]
    bad = [call.stderr for call in (nix.call(["nix-instantiate", "--parse", "-E", block]) for block in shown) if call.returncode]
    report.add(f"{len(shown)} shown expressions parse", "".join(bad) or (None if shown else "there are none"))

    text = pages[0].read_text()
    module = next(block for block in blocks(text, "nix") if "observe-until" in block)
    trust = f'{{ services.narwarden = {{ enable = true; settings.trust.keys.ci.public = "{KEY}"; }}; }}'
    value, error = nix.evaluate(run(f"{{ imports = [ ({module}) ({trust}) ]; }}"))
    shown = blocks(text, "toml")[0]
    report.add("the policy shown is the file shown", error or (None if value["policy"] == shown else value["policy"]))

    mistake = '{ services.narwarden.settings.policy.require.default = "cii"; }'
    _, error = nix.build(rules(f"{{ imports = [ ({trust}) ({mistake}) ]; }}"))
    error = re.sub(r"\x1b\[[\d;]*m", "", error or "it was taken")
    missing = [line for line in blocks(text, "text")[0].splitlines() if line.strip() not in error]
    report.add("the mistake shown is refused as shown", missing and f"nobody said {missing}, but\n{error}")

    around = f"{{ imports = [ {root}/tests/module/cases/everything-around.nix ]; system.nixos.revision = \"x\"; }}"
    value, error = nix.evaluate(run(around))
    written = error or set(json.loads(value["etc"]["narwarden/provenance.json"]))
    shown = set(json.loads(blocks(text, "json")[0]))
    report.add("the provenance shown has the fields that are written", None if written == shown else f"{written}")
