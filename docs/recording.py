#!/usr/bin/env python3
"""Makes docs/recording.svg: what a terminal shows when a good generation and an altered one are judged.

usage: docs/recording.py DIRECTORY_OF_THE_BINARY [--check]

The commands are run, and their output drawn. What differs from run to run, such as times, is drawn as one value, and
--check compares without it: it fails when the program says something else than the picture, and for no other reason."""

import html
import os
import pathlib
import re
import subprocess
import sys
import tempfile

PICTURE = pathlib.Path(__file__).resolve().parent / "recording.svg"
SHOWN = [
    "ls -d 00-good 01-D01",
    "narwarden verify --root 00-good --trust trust.toml --policy policy.toml",
    "cmp 00-good/$SYSTEMD 01-D01/$SYSTEMD || true      # somebody changed one byte of it",
    "narwarden verify --root 01-D01 --trust trust.toml --policy policy.toml || echo exit code $?",
]
PREPARE = """
narwarden demo --keep store >demo
cp store/00-good/trust.toml store/00-good/policy.toml store
# So that it looks the same whoever runs it: a store belongs to root.
echo 'metadata = "ignore"' >>store/policy.toml
cd store/00-good
ls -d nix/store/*-systemd-259/lib/systemd/systemd >../systemd
"""
COLUMNS, LINE, CHARACTER, MARGIN = 104, 19, 8.43, 16
# ANSI: dim, bold, and colours.
STYLES = {"1": "b", "2": "d", "31": "r", "32": "g", "33": "y", "36": "c", "91": "r", "92": "g", "93": "y", "96": "c"}
# Plain rules for each colour: not everything that draws an SVG knows variables of CSS.
LIGHT = {"paper": "#f6f8fa", "line": "#d0d7de", "ink": "#1f2328", "d": "#59636e", "r": "#b3261e", "g": "#116329",
         "y": "#7d4e00", "c": "#0550ae"}
DARK = {"paper": "#161b22", "line": "#30363d", "ink": "#e6edf3", "d": "#9198a1", "r": "#ff7b72", "g": "#56d364",
        "y": "#e3b341", "c": "#79c0ff"}


def colours(of):
    paper = f"rect{{fill:{of['paper']};stroke:{of['line']}}}text{{fill:{of['ink']}}}"
    return paper + "".join(f".{name}{{fill:{of[name]}}}" for name in "drgyc")


STYLE = (
    "text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;white-space:pre}"
    ".b{font-weight:700}" + colours(LIGHT) + "@media(prefers-color-scheme:dark){" + colours(DARK) + "}"
    "@media(prefers-reduced-motion:no-preference){.s{animation:show .2s both}@keyframes show{from{opacity:0}}}"
)


def recorded(binaries):
    """The lines of the terminal, with their escapes."""
    lines = []
    with tempfile.TemporaryDirectory() as scratch:
        environment = {"PATH": f"{binaries}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": scratch}

        def run(script, where):
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", script], cwd=where, env=environment, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
            )
            if done.returncode != 0:
                raise SystemExit(f"{script}\nexit {done.returncode}\n{done.stdout}")
            return done.stdout

        run(PREPARE, scratch)
        store = pathlib.Path(scratch, "store")
        environment["SYSTEMD"] = (store / "systemd").read_text().strip()
        for typed in SHOWN:
            lines.append(f"\x1b[2m$\x1b[0m \x1b[1m{typed}\x1b[0m")
            lines += run(typed.replace("narwarden ", "narwarden --color always "), store).rstrip("\n").split("\n")
        subprocess.run(["chmod", "-R", "u+w", scratch], check=False)
    return [normal(line) for line in lines]


def normal(line):
    """Times are always the same."""
    return re.sub(r"\b\d+\.\d+ s\b", "0.01 s", line)


def skeleton(text):
    """What is left when all that may vary is taken out."""
    text = re.sub(r"\b\d+(\.\d+)? (s|ms|B|KiB|MiB)\b", "#", text)
    text = re.sub(r"\b[0-9a-f]{12}\b|\b[0-9a-z]{32}(?=-)|sha256:[0-9a-z]{52}", "#", text)
    return re.sub(r"\s+", " ", re.sub(r'animation-delay:[\d.]+s|<rect[^>]*>|<svg[^>]*>|[xy]="[\d.]+"', "", text))


def rows(line):
    """The line as a terminal wraps it: rows of (classes, text)."""
    classes, row, left = set(), [], COLUMNS
    for part in re.split(r"(\x1b\[[\d;]*m)", line):
        escape = re.fullmatch(r"\x1b\[([\d;]*)m", part)
        if escape:
            for code in (escape[1] or "0").split(";"):
                classes = set() if code == "0" else classes | {STYLES.get(code, "")}
            continue
        while part:
            row.append((" ".join(sorted(classes - {""})), part[:left]))
            left, part = left - len(part[:left]), part[left:]
            if left == 0 and part:
                yield row
                row, left = [], COLUMNS
    yield row


def drawn(lines):
    parts, delay, y = [], 0.0, MARGIN + 14
    for number, line in enumerate(lines):
        delay += 1.2 if line.startswith("\x1b[2m$") and number else 0.05
        for row in rows(line):
            text = "".join(
                f'<tspan class="{classes}">{html.escape(text)}</tspan>' if classes else f"<tspan>{html.escape(text)}</tspan>"
                for classes, text in row
            )
            parts.append(f'<text class="s" style="animation-delay:{delay:.2f}s" x="{MARGIN}" y="{y}">{text}</text>')
            y += LINE
    width, height = round(COLUMNS * CHARACTER) + 2 * MARGIN, y - 14 + MARGIN
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"',
        ' xml:space="preserve" role="img">',
        "<title>narwarden admits a good generation, and refuses it with one byte changed</title>",
        f"<style>{STYLE}</style>",
        f'<rect x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="8"/>',
    ]
    return "\n".join([*head, *parts, "</svg>", ""])


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--check"]
    if len(arguments) != 1:
        raise SystemExit(__doc__)
    picture = drawn(recorded(pathlib.Path(arguments[0]).resolve()))
    if "--check" not in sys.argv:
        PICTURE.write_text(picture, encoding="utf-8")
        return
    before = PICTURE.read_text(encoding="utf-8") if PICTURE.exists() else ""
    if skeleton(before) != skeleton(picture):
        raise SystemExit("docs/recording.svg is not what the program says: docs/recording.py target/release")


if __name__ == "__main__":
    main()
