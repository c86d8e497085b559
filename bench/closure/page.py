"""The tables of docs/performance.md, from a record and nothing else."""

import os
import statistics

from . import chart, figures, floors
from .machine import QUIET
from .rows import COLD, ROWS, WARM

BEGIN, END = "<!-- bench/run writes from here -->", "<!-- to here -->"
PICTURE = "performance-growth.svg"


def seconds(value):
    return f"{value:.3f} s" if value < 1 else f"{value:.2f} s"


def amount(row, value):
    return f"{value / (1 << 20):.1f} MiB" if row.of == "peak" else seconds(value)


def with_spread(row, values):
    median, least, most = figures.spread(values.values())
    if row.of == "peak":
        return amount(row, median)
    return f"{amount(row, median)} ({least:.3g}–{most:.3g})"


def table(head, lines):
    if not lines:
        return []
    rule = "|".join(" --- " if not number else " ---: " for number in range(len(head)))
    return [f"| {' | '.join(head)} |", f"|{rule}|", *(f"| {' | '.join(line)} |" for line in lines), ""]


class Page:
    def __init__(self, record):
        self.record, self.data = record, record.data
        self.floors = None
        if self.data["floors"] and self.data["store"]:
            self.floors = floors.derive(self.data["floors"], self.data["store"], self.data["machine"]["cores"])

    def text(self):
        parts = [self.origin(), self.warning(), self.comparison(), self.near(), self.cpu(), self.limits(), self.growth()]
        return "\n".join(line for part in parts for line in part).rstrip() + "\n"

    def origin(self):
        machine, store = self.data["machine"], self.data["store"] or {}
        virtual = f", a virtual machine ({machine['virtual']})" if machine["virtual"] not in (None, "none") else ""
        lines = [
            f"Measured on {self.data['date']}, commit `{self.data['commit']}`, by `{self.data['command']}`: "
            f"rounds: {self.record.rounds(WARM)} warm, {self.record.rounds(COLD)} cold, "
            f"{self.record.growth_rounds()} of the growth curve.",
            "",
            f"- {machine['processor']}, {machine['cores']} cores ({', '.join(machine['features']) or 'no extension of use'}), "
            f"{machine['memory_gib']} GiB{virtual}; Linux {machine['kernel']}, {machine['file_system']}, "
            f"`read_ahead_kb` {machine['read_ahead_kb']}",
            "- " + "; ".join(f"{it['name']}: {it['version']}" for it in self.data["subjects"]),
        ]
        if store:
            lines.append(f"- the closure, by {store['made_by']}: {store['paths']:,} paths, {store['files']:,} files, "
                         f"{store['links']:,} links, {store['directories']:,} directories, NARs of "
                         f"{store['nar_bytes'] / 1e9:.2f} GB, the largest of {store['largest_nar'] / 1e6:.0f} MB; "
                         f"changed are {store['changed_paths']} paths, {store['changed_bytes'] / 1e6:.0f} MB")
        return [*lines, ""]

    def warning(self):
        median, most = self.record.others()
        lines = []
        if median > QUIET or self.record.stolen() > QUIET:
            lines = [f"**Others were at work on this machine** (they had {median:.0%} of the processors in the median of "
                     f"the runs, {most:.0%} at most; {self.record.stolen():.0%} went to other guests): times are too "
                     "long, and only ratios say something.", ""]
        if self.record.rounds(WARM) < 5 or (self.record.rounds(COLD) < 5 and self.record.rounds(COLD)):
            lines += ["**Fewer than five rounds**: not enough for a median that means something.", ""]
        return lines

    def values(self, row, subject):
        kind = row.kind if subject == "narwarden" else row.nix_kind
        return self.record.values(subject, kind, row.cache, row.of)

    def comparison(self):
        lines = []
        for row in ROWS:
            ours = self.values(row, "narwarden")
            if not ours:
                continue
            line = [row.title, with_spread(row, ours)]
            for nix in self.record.nixes:
                theirs = self.values(row, nix)
                ratios = figures.ratios(ours, theirs)
                line += [amount(row, statistics.median(theirs.values())), self.ratio(row, nix, ratios)] if ratios else ["", ""]
            lines.append(line)
        head = ["", "narwarden"]
        for nix in self.record.nixes:
            head += [nix, f"narwarden / {nix}"]
        return table(head, lines)

    @staticmethod
    def ratio(row, nix, ratios):
        median = statistics.median(ratios)
        goal = row.goal(nix)
        return f"**{median:.3f}**" if goal is None else f"**{median:.3f}** (goal {goal:.2f}{'' if median <= goal else ', missed'})"

    def near(self):
        """How near to the floor each row is."""
        if not self.floors:
            return []
        lines = []
        for row in ROWS:
            ours, floor = self.values(row, "narwarden"), self.floors.get((row.kind, row.cache))
            if row.of == "wall" and ours and floor:
                median = statistics.median(ours.values())
                lines.append([row.title, seconds(floor), seconds(median), f"{floor / median:.0%}"])
        return table(["", "floor", "narwarden", "floor / narwarden"], lines)

    def cpu(self):
        """Processor time is less disturbed by others than the time that passes."""
        lines = []
        for row in ROWS:
            if row.of != "wall":
                continue
            for subject in ["narwarden", *self.record.nixes]:
                if subject == "narwarden" or row.kind == row.nix_kind:
                    line = self.cpu_line(row, subject)
                    lines += [line] if line else []
        return table(["", "", "user", "system", "processors used", "from disk", "narwarden / this, processor time"], lines)

    def cpu_line(self, row, subject):
        user, system, wall, disk, cpu = (self.record.values(subject, row.kind, row.cache, it)
                                         for it in ("user", "system", "wall", "from_disk", "cpu"))
        if not user:
            return None
        busy = [cpu[number] / wall[number] for number in cpu]
        shown = f"{statistics.median(disk.values()) / 1e6:,.0f} MB" if row.cache == COLD else ""
        ratios = figures.ratios(self.record.values("narwarden", row.kind, row.cache, "cpu"), cpu)
        ratio = f"{statistics.median(ratios):.3f}" if subject != "narwarden" and ratios else ""
        return [row.title, subject, *(seconds(statistics.median(it.values())) for it in (user, system)),
                f"{statistics.median(busy):.2f}", shown, ratio]

    def limits(self):
        found = self.data["floors"]
        if not found:
            return []
        lines = [[f"SHA-256, {name}", str(it["lanes"]), f"{it['one'] / 1e9:.2f} GB/s", f"{it['all'] / 1e9:.2f} GB/s"]
                 for name, it in found["hash"].items()]
        out = table(["", "streams", "one core", "all cores"], lines)
        parts = [f"one signature {found['signature'] * 1e6:.1f} us",
                 f"`stat` of {found['stat']['nodes']:,} nodes {seconds(found['stat']['wall'])} "
                 f"({seconds(found['stat']['cpu'])} of processor time)",
                 f"walking and reading {found['read']['bytes'] / 1e9:.2f} GB {seconds(found['read']['wall'])} "
                 f"({seconds(found['read']['cpu'])})"]
        if "disk" in found:
            parts += [f"`stat` from a cold cache with {floors.COLD_THREADS} threads {seconds(found['stat_cold']['wall'])}",
                      f"the disk {found['disk'] / 1e6:,.0f} MB/s (`O_DIRECT`, {floors.DISK_THREADS} threads)"]
        return [*out, "Also: " + "; ".join(parts) + ".", ""]

    def growth_points(self, subject, kind, axis, what):
        """(size, median) of each closure of an axis."""
        points = []
        for it in self.data["growth"] or []:
            if it["axis"] == axis:
                values = self.record.values(subject, kind, f"{axis} {it['size']}", what)
                if values:
                    points.append((it["size"], statistics.median(values.values())))
        return points

    def series(self):
        seen = dict.fromkeys((it["step"]["subject"], it["step"]["kind"]) for it in self.data["runs"]
                             if it["step"]["cache"] not in (WARM, COLD))
        titles = {"full": "full", "unchanged": "nothing changed"}
        return [(subject, kind, f"{subject}, {titles[kind]}") for subject, kind in seen]

    def growth(self):
        axes = list(dict.fromkeys(it["axis"] for it in self.data["growth"] or []))
        lines = []
        for subject, kind, title in self.series():
            for axis in axes:
                points = self.growth_points(subject, kind, axis, "cpu")
                wall = self.growth_points(subject, kind, axis, "wall")
                if len(points) < 3:
                    continue
                fitted = figures.fit(points)
                lines.append([title, axis, f"{chart.short(points[0][0])} … {chart.short(points[-1][0])}",
                              f"{wall[0][1]:.3f} … {wall[-1][1]:.3f} s", f"{fitted['exponent']:.2f}",
                              f"{figures.last_step(points):.2f}", f"{fitted['error']:.0%}"])
        if not lines:
            return []
        head = ["", "grows", "from … to", "wall time", "exponent", "of the last step", "error of the fit"]
        return [f"![How the time grows with paths, files and bytes]({PICTURE})", "", *table(head, lines)]

    def picture(self):
        axes = list(dict.fromkeys(it["axis"] for it in self.data["growth"] or []))
        panels = {}
        for axis in axes:
            found = {title: self.growth_points(subject, kind, axis, "wall") for subject, kind, title in self.series()}
            panels[axis] = {title: points for title, points in found.items() if points}
        return chart.draw({axis: it for axis, it in panels.items() if it}, "Time by paths, files and bytes")


def write(record, path):
    """Puts the tables between the markers of the page, and the picture beside it."""
    page = Page(record)
    with open(path, encoding="utf-8") as file:
        before, begin, rest = file.read().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path}: the lines {BEGIN!r} and {END!r} are missing")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{before}{BEGIN}\n\n{page.text()}\n{END}{after}")
    picture = page.picture()
    if picture:
        with open(os.path.join(os.path.dirname(path), PICTURE), "w", encoding="utf-8") as file:
            file.write(picture)
