"""Whether links lead somewhere, and whether the book has every page."""

import pathlib
import re
import shutil
import subprocess
import tempfile

CODE = re.compile(r"^( *```+).*?^ *```+ *$|<!--.*?-->", re.M | re.S)
REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent


def anchors(text):
    """What GitHub and mdBook call the headings."""
    seen = set()
    for heading in re.findall(r"^#+ +(.*)$", CODE.sub("", text), re.M):
        heading = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        name = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        number, unique = 0, name
        while unique in seen:
            number += 1
            unique = f"{name}-{number}"
        seen.add(unique)
    return seen | set(re.findall(r'<a (?:id|name)="([^"]+)"', text))


def targets(text):
    prose = re.sub(r"`[^`\n]*`", "", CODE.sub("", text))
    found = re.findall(r"\]\(([^)\s]+)\)", prose) + re.findall(r'<(?:img|a|source) [^>]*(?:src|srcset|href)="([^"]+)"', prose)
    return [target for target in found if not re.match(r"[a-z][a-z0-9+.-]*:", target)]


def follow(path, text, report):
    for target in targets(text):
        name, _, anchor = target.partition("#")
        file = path.parent / name if name else path
        wrong = None
        if not file.exists():
            wrong = "no such file"
        elif anchor and file.suffix == ".md" and anchor not in anchors(file.read_text(encoding="utf-8")):
            wrong = f"no such heading; there are {', '.join(sorted(anchors(file.read_text(encoding='utf-8'))))}"
        report.add(f"{path}: link to {target}", wrong, quiet=True)


def summary(report):
    """Every page is in the table of contents once, and the book can be built."""
    docs = REPOSITORY / "docs"
    listed = targets((docs / "SUMMARY.md").read_text(encoding="utf-8"))
    pages = {page.name for page in docs.glob("*.md")} - {"SUMMARY.md"}
    wrong = [f"docs/{name} is not in it" for name in sorted(pages - set(listed))]
    wrong += [f"{name} is in it {listed.count(name)} times" for name in sorted(set(listed)) if listed.count(name) > 1]
    report.add("docs/SUMMARY.md lists every page", "\n".join(wrong) or None)
    if shutil.which("mdbook") is None:
        print("        (the book is not built: there is no mdbook; its pages, links and headings were checked)")
        return
    with tempfile.TemporaryDirectory() as scratch:
        command = ["mdbook", "build", "--dest-dir", scratch, REPOSITORY]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8")
        complaints = done.returncode != 0 or "WARN" in done.stdout or "ERROR" in done.stdout
        report.add("the book is built", done.stdout if complaints else None)
