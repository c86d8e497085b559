"""What is measured. A step is one run of one subject; a row of the table compares what the steps took."""

import dataclasses

WARM, COLD = "warm", "cold"


@dataclasses.dataclass(frozen=True)
class Step:
    """One process: who, what, and in which state of the page cache."""
    subject: str
    kind: str
    cache: str

    def __str__(self):
        return f"{self.subject}, {self.kind}, {self.cache}"


@dataclasses.dataclass(frozen=True)
class Row:
    """What narwarden did, beside what Nix did in the same round. Nix has no memory of what it read before: whatever
    changed, the same question to it is a full verification."""
    title: str
    kind: str
    cache: str
    nix_kind: str
    of: str
    # The most that the ratio may be, by the version of Nix.
    goals: tuple = ()

    def goal(self, nix):
        return dict(self.goals).get(nix.removeprefix("Nix "))


ROWS = (
    Row("full, warm", "full", WARM, "full", "wall", (("2.26", 0.36), ("2.8", 0.52))),
    Row("full, cold", "full", COLD, "full", "wall", (("2.26", 0.35), ("2.8", 0.41))),
    Row("5 % changed, warm", "changed", WARM, "full", "wall", (("2.26", 0.10), ("2.8", 0.14))),
    Row("5 % changed, cold", "changed", COLD, "full", "wall", (("2.26", 0.13), ("2.8", 0.15))),
    Row("nothing changed, warm", "unchanged", WARM, "full", "wall", (("2.26", 0.06), ("2.8", 0.09))),
    Row("nothing changed, cold", "unchanged", COLD, "full", "wall"),
    Row("signatures only, warm", "signatures", WARM, "signatures", "wall", (("2.26", 0.40), ("2.8", 0.45))),
    Row("peak memory, full", "full", WARM, "full", "peak", (("2.26", 0.35), ("2.8", 0.45))),
)


def steps(subjects, cache):
    """Every step that these subjects can do, warm or cold."""
    kinds = ("full", "signatures", "unchanged", "changed") if cache == WARM else ("full", "unchanged", "changed")
    return [Step(it.name, kind, cache) for kind in kinds for it in subjects if it.can(kind)]


def ordered(all_steps, number):
    """Another order each round, so that nobody always comes after the same one, and none always first."""
    turn = number % len(all_steps)
    turned = all_steps[turn:] + all_steps[:turn]
    return turned[::-1] if number % 2 else turned
