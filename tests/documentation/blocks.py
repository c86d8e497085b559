"""The blocks of a Markdown file, and the commands of a block."""

import re
from dataclasses import dataclass, field

FENCE = re.compile(r"^(?P<indent> *)(?P<fence>```+)(?P<info>\S*)\s*$")
HIDDEN = re.compile(r"^<!--(?P<info>console[\w,]*)\s*$")
EXIT = re.compile(r"\s+# exit (\d+)\s*$")


@dataclass
class Command:
    prompt: str
    text: str
    code: int = 0
    expected: list = field(default_factory=list)


@dataclass
class Block:
    line: int
    kind: str
    lines: list

    def commands(self):
        """Yields each command with what is expected of it."""
        command = None
        # Without machines of our own, `# ` may be a part of what is printed.
        prompts = ("$ ",) if self.kind == "console" else ("$ ", "# ")
        for line in self.lines:
            code = EXIT.search(line)
            text = EXIT.sub("", line)
            if text.startswith(prompts):
                if command is not None:
                    yield command
                command = Command(text[0], text[2:], int(code[1]) if code else 0)
            elif line.startswith("> ") and command is not None and not command.expected:
                command.text += "\n" + text[2:]
                command.code = int(code[1]) if code else command.code
            elif command is not None:
                command.expected.append(line)
            elif line.strip():
                raise SystemExit(f"line {self.line}: output before any command: {line}")
        if command is not None:
            yield command


def of(text):
    """Yields each block, fenced or hidden."""
    opening, inside, start, close = None, [], 0, None
    for number, line in enumerate(text.splitlines(), 1):
        if opening is None:
            opening = FENCE.match(line) or HIDDEN.match(line)
            if opening:
                close = opening.groupdict().get("fence") or "-->"
                inside, start = [], number
        elif line.strip() == close:
            yield Block(start, opening["info"], inside)
            opening = None
        else:
            inside.append(line.removeprefix(opening.groupdict().get("indent") or ""))
    if opening is not None:
        raise SystemExit(f"line {start}: a block that does not end")
