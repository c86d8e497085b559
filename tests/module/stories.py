"""The scripts of tests/nixos are Python that uses no name nobody defines, and their machines' rules can be used."""

import ast
import builtins
import json
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
STORIES = HERE.parent / "nixos"
# What the driver has ready.
DRIVER = {"machine", "subtest", "start_all"}
# Methods of a machine that the scripts use.
MACHINE = {
    "copy_from_host", "execute", "fail", "reboot", "start", "succeed", "wait_for_unit", "wait_until_succeeds",
}


def problems(script):
    try:
        tree = ast.parse(script)
    except SyntaxError as error:
        return [str(error)]
    known = DRIVER | set(dir(builtins))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            known |= {node.name} | {argument.arg for argument in node.args.args}
            known |= {node.args.vararg.arg} if node.args.vararg else set()
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            known.add(node.id)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id not in known:
            found.append(f"line {node.lineno}: nobody defines {node.id}")
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", None) == "machine" and node.attr not in MACHINE:
            found.append(f"line {node.lineno}: a machine has no {node.attr}")
    return found


def check(nix, report, run, rules):
    source = f"(import {HERE}/stories.nix)"
    told, error = nix.evaluate(f"builtins.mapAttrs (_: it: {{ inherit (it) name script; }}) {source}")
    if error:
        report.add("stories", error)
        return
    files = {path.stem for path in STORIES.glob("*.nix")} - {"default", "story"}
    listed = pathlib.Path(STORIES / "README.md").read_text()
    unlisted = sorted(files ^ set(told)) + [name for name in told if f"`{name}.nix`" not in listed]
    report.add(f"{len(told)} stories are listed", unlisted and f"not so: {unlisted}")
    for name, story in told.items():
        wrong = problems(story["script"])
        if story["name"] != f"narwarden-{name}":
            wrong.append(f"its name is {story['name']}")
        for node in "machine", "next":
            value, error = nix.evaluate(f"let it = {run(f'{source}.{name}.{node}')}; in {{ inherit (it) failed rules; }}")
            if not error and value["failed"]:
                error = json.dumps(value["failed"])
            if not error and value["rules"]:
                _, error = nix.build(rules(f"{source}.{name}.{node}"))
            if error:
                wrong.append(f"{node}: {error}")
        report.add(f"story {name}", "\n".join(wrong) or None)
    script = told["unsigned-leaf"]["script"]
    for broken in (script + "\nrefusd(next)", script + "\nmachine.succed('x')", script + "\nif:"):
        report.add(f"a mistake in a script is seen: {broken.splitlines()[-1]}", None if problems(broken) else "it is not")
