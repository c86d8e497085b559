"""Everything that was measured, as JSON: one run after the other, and what they ran on."""

import dataclasses
import json
import os
import statistics

from .rows import COLD, WARM

SCHEMA = 1


class Record:
    def __init__(self, path, head):
        self.path = path
        self.data = {"schema": SCHEMA, **head, "store": None, "floors": None, "growth": None, "runs": []}

    @classmethod
    def read(cls, path):
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
        if data.get("schema") != SCHEMA:
            raise ValueError(f"{path}: schema {data.get('schema')}, expected {SCHEMA}: measure again")
        record = cls(path, {})
        record.data = data
        return record

    def resume(self, path, say):
        """Takes over the rounds of an earlier run, if it was of the same programs on the same machine."""
        try:
            earlier = Record.read(path)
        except (OSError, ValueError) as error:
            say(f"nothing to go on with: {error}")
            return
        same = ("commit", "machine", "subjects")
        differs = [name for name in same if earlier.data[name] != self.data[name]]
        if differs:
            say(f"{path} is of another {differs[0]}: everything is measured anew")
        else:
            self.data = earlier.data
            say(f"going on after {len(self.data['runs'])} runs")

    def has(self, step, number):
        return any(it["step"] == dataclasses.asdict(step) and it["round"] == number for it in self.data["runs"])

    def add(self, step, number, run):
        self.data["runs"].append({"step": dataclasses.asdict(step), "round": number, **run.kept()})
        self.save()

    def save(self):
        if self.path is None:
            return
        beside = self.path + ".new"
        with open(beside, "w", encoding="utf-8") as file:
            # One run a line.
            runs = ",\n  ".join(json.dumps(it) for it in self.data["runs"])
            head = json.dumps({name: it for name, it in self.data.items() if name != "runs"}, indent=1)
            file.write(head[:-2] + ',\n "runs": [\n  ' + runs + "\n ]\n}\n")
        os.replace(beside, self.path)

    # --- what was measured ---

    @property
    def nixes(self):
        return [it["name"] for it in self.data["subjects"] if it["name"] != "narwarden"]

    def values(self, subject, kind, cache, what):
        """By round. CPU is what the process and its threads used."""
        wanted = {"subject": subject, "kind": kind, "cache": cache}
        pick = (lambda it: it["user"] + it["system"]) if what == "cpu" else (lambda it: it[what])
        return {it["round"]: pick(it) for it in self.data["runs"] if it["step"] == wanted}

    def rounds(self, cache):
        return len({it["round"] for it in self.data["runs"] if it["step"]["cache"] == cache})

    def growth_rounds(self):
        caches = (WARM, COLD)
        return len({it["round"] for it in self.data["runs"] if it["step"]["cache"] not in caches})

    def others(self):
        """The median and the largest share of the processors that others had during runs that are long enough to say."""
        shares = [it["others"] for it in self.data["runs"] if it["step"]["cache"] != COLD and it["wall"] > 0.2]
        return (statistics.median(shares), max(shares)) if shares else (0.0, 0.0)

    def stolen(self):
        return max((it["stolen"] for it in self.data["runs"] if it["wall"] > 0.2), default=0.0)
