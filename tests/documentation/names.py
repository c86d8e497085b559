"""Whether each test that a table names is there: the column `T` of SECURITY.md.

`crate: `name`, `module::name`; crate: `file.rs`` names tests of agent/CRATE; `vm: `name`` a scenario of tests/vm."""

import pathlib
import re

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent
WHERE = {name: f"agent/{name}" for name in ("cli", "core", "daemon", "linux", "store")}
WHERE |= {"live": "agent/daemon/tests/live", "vm": "tests/vm", "nixos": "tests/nixos"}


def sources(directory):
    for file in sorted((REPOSITORY / directory).rglob("*")):
        if file.is_file() and file.suffix in (".rs", ".py", ".sh", ".nix", ""):
            yield file


def wrong_with(where, name):
    """Why there is no such test."""
    if where not in WHERE:
        return f"`{where}` is no place of tests: {', '.join(WHERE)}"
    *modules, test = name.split("::")
    files = list(sources(WHERE[where]))
    if name.endswith(".rs"):
        return None if any(str(file).endswith(f"/{name}") for file in files) else f"no {name} below {WHERE[where]}"
    if where in ("vm", "nixos"):
        return None if any(file.stem == name for file in files) else f"no {name} below {WHERE[where]}"
    files = [file for file in files if not modules or file.stem == modules[-1]]
    function = r"#\[test\]" if test == "*" else rf"fn {re.escape(test)}\b"
    if any(re.search(function, file.read_text(encoding="utf-8")) for file in files):
        return None
    return f"no test {name} below {WHERE[where]}"


def tests_of(cell):
    """Yields (place, name) of each test in a cell."""
    place = None
    for word, name in re.findall(r"\b(\w+): |`([^`]+)`", cell):
        place = word or place
        if name:
            yield place, name


def look_up(path, text, report):
    if path.name != "SECURITY.md":
        return
    column = None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("|"):
            column = None
            continue
        cells = [cell.strip() for cell in line.removeprefix("|").removesuffix("|").split("|")]
        if "T" in cells:
            column = cells.index("T")
        elif column is not None and not set(line) <= set("|-: "):
            found = list(tests_of(cells[column])) if column < len(cells) else []
            for where, name in found:
                report.add(f"{path}:{number}: {where}: {name}", wrong_with(where, name), quiet=True)
            if not found and cells[column:] != ["no test"]:
                report.add(f"{path}:{number}", "names neither a test nor `no test`")
