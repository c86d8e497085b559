"""The table of options in docs/nixos.md is made from the module."""

import re

BEGIN, END = "<!-- options -->", "<!-- end of options -->"


def plain(text):
    text = re.sub(r"\{(?:option|file|manpage)\}`", "`", text)
    return " ".join(text.split()).replace("|", "\\|")


def table(options):
    rows = ["| option | type | default | |", "|---|---|---|---|"]
    for option in options:
        name = option["name"].removeprefix("services.narwarden.")
        # Every option below these is left out of the file unless it is said.
        default = option["default"]
        default = "required" if default is None else f"`{plain(default)}`"
        if default == "`null`" and name.startswith("settings."):
            default = ""
        kind = option["type"].removeprefix("null or ")
        rows.append(f"| `{name}` | {plain(kind)} | {default} | {plain(option['description'])} |")
    return "\n".join(rows)


def check(root, options, bless):
    path = root / "docs/nixos.md"
    text = path.read_text() if path.exists() else ""
    begin, end = text.find(BEGIN), text.find(END)
    if begin < 0 or end < begin:
        return f"{path.name} has no place for them: {BEGIN}, {END}"
    new = f"{text[: begin + len(BEGIN)]}\n{table(options)}\n{text[end:]}"
    if bless:
        path.write_text(new)
        text = new
    return None if text == new else "docs/nixos.md is not what the module says: run again with NARWARDEN_BLESS=1"
