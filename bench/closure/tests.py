"""Of the code that reports: tables, ratios, fits and the page are tried on records that were made up.

python3 -m unittest discover -s bench -p tests.py -t bench
"""

import json
import os
import re
import tempfile
import unittest
import xml.etree.ElementTree

from . import chart, figures, floors, main, options, page, rows, stores
from .launch import Launcher, Run
from .record import Record
from .rounds import Clock, Rounds
from .subjects import Narwarden, Nix, Refused


def made_up(others=0.0, rounds=5):
    """A record of a machine on which Nix takes ten seconds and narwarden three."""
    head = {
        "date": "2026-11-30", "command": "bench/run", "commit": "0123456789ab",
        "machine": {"processor": "Example", "cores": 2, "features": ["sha_ni"], "memory_gib": 24, "kernel": "6.18",
                    "virtual": None, "file_system": "ext4", "read_ahead_kb": "128"},
        "subjects": [{"name": "narwarden", "version": "narwarden 0.1.0"}, {"name": "Nix 2.8", "version": "2.8.0"}],
    }
    record = Record(None, head)
    walls = {("narwarden", "full"): 3.0, ("narwarden", "unchanged"): 0.5, ("narwarden", "changed"): 1.0,
             ("narwarden", "signatures"): 0.05, ("Nix 2.8", "full"): 10.0, ("Nix 2.8", "signatures"): 0.1}
    for number in range(rounds):
        for (subject, kind), wall in walls.items():
            # What slows a round down slows it down for everybody.
            add(record, subject, kind, rows.WARM, number, wall * (1 + number), others)
        for size in (100, 1000, 10000):
            add(record, "narwarden", "full", f"paths {size}", number, 0.01 + size * 0.001, others)
    record.data["growth"] = [{"axis": "paths", "size": size} for size in (100, 1000, 10000)]
    record.data["store"] = {"paths": 1000, "nar_bytes": 4_000_000_000, "files": 1, "links": 1, "directories": 1,
                            "largest_nar": 1_000_000, "file_bytes": 1, "made_by": "mkstore.py", "changed_paths": 50,
                            "changed_bytes": 200_000_000}
    record.data["floors"] = {"hash": {"x1": {"lanes": 1, "one": 2e9, "all": 4e9}}, "signature": 30e-6,
                             "read": {"wall": 0.5, "cpu": 1.0, "nodes": 5, "bytes": 4_000_000_000, "disk_bytes": 1},
                             "stat": {"wall": 0.2, "cpu": 0.4, "nodes": 5, "bytes": 0, "disk_bytes": 1}}
    return record


def add(record, subject, kind, cache, number, wall, others=0.0, peak=10 << 20):
    step = rows.Step(subject, kind, cache)
    run = Run(wall, wall, wall / 2, peak, 0, 0, 0, others, 0.0, "", "")
    record.add(step, number, run)


class Figures(unittest.TestCase):
    def test_a_ratio_is_taken_within_a_round(self):
        self.assertEqual(figures.ratios({0: 1.0, 1: 100.0, 2: 7.0}, {0: 2.0, 1: 200.0}), [0.5, 0.5])

    def test_what_grows_linearly_has_the_exponent_one(self):
        fitted = figures.fit([(x, 0.02 + 3e-6 * x) for x in (100, 1000, 10_000, 100_000, 1_000_000)])
        self.assertEqual(fitted["exponent"], 1.0)
        self.assertAlmostEqual(fitted["fixed"], 0.02, places=6)
        self.assertLess(fitted["error"], 1e-6)

    def test_what_grows_faster_has_another(self):
        fitted = figures.fit([(x, 0.02 + 1e-9 * x ** 1.4) for x in (100, 1000, 10_000, 100_000, 1_000_000)])
        self.assertAlmostEqual(fitted["exponent"], 1.4, delta=0.03)
        self.assertAlmostEqual(figures.last_step([(10, 1.0), (1000, 10_000.0), (100, 100.0)]), 2.0)

    def test_two_points_are_no_curve(self):
        self.assertIsNone(figures.fit([(1, 1.0), (2, 2.0)]))


class Floor(unittest.TestCase):
    def test_of_each_row(self):
        record = made_up()
        found = floors.derive(record.data["floors"], record.data["store"], 2)
        self.assertEqual(found["full", rows.WARM], (1.0 + 2.0) / 2)
        self.assertEqual(found["unchanged", rows.WARM], 0.2)
        self.assertAlmostEqual(found["changed", rows.WARM], 0.2 + 0.05 * 1.5)
        self.assertNotIn(("full", rows.COLD), found)

    def test_one_nar_is_one_stream(self):
        record = made_up()
        record.data["store"]["largest_nar"] = 4_000_000_000
        found = floors.derive(record.data["floors"], record.data["store"], 2)
        self.assertEqual(found["full", rows.WARM], 2.0)


class Pages(unittest.TestCase):
    def test_the_table_has_medians_and_ratios(self):
        text = page.Page(made_up()).text()
        row = next(line for line in text.splitlines() if line.startswith("| full, warm"))
        self.assertIn("| 9.00 s (3–15) | 30.00 s | **0.300** (goal 0.52) |", row)
        self.assertIn("| nothing changed, warm | 1.50 s (0.5–2.5) | 30.00 s | **0.050** (goal 0.09) |", text)
        self.assertIn("| peak memory, full | 10.0 MiB | 10.0 MiB | **1.000** (goal 0.45, missed) |", text)
        self.assertIn("| full, warm | 1.50 s | 9.00 s | 17% |", text)
        self.assertNotIn("cold |", text)
        self.assertNotIn("Others were at work", text)

    def test_a_busy_machine_is_named(self):
        self.assertIn("**Others were at work on this machine** (they had 40% ", page.Page(made_up(others=0.4)).text())

    def test_few_rounds_are_named(self):
        self.assertIn("**Fewer than five rounds**", page.Page(made_up(rounds=2)).text())

    def test_the_page_keeps_what_is_around_the_tables(self):
        with tempfile.TemporaryDirectory() as directory:
            at = os.path.join(directory, "page.md")
            with open(at, "w", encoding="utf-8") as file:
                file.write(f"before\n{page.BEGIN}\nstale\n{page.END}\nafter\n")
            for _ in range(2):
                page.write(made_up(), at)
            with open(at, encoding="utf-8") as file:
                text = file.read()
            self.assertTrue(text.startswith("before\n") and text.endswith("\nafter\n"))
            self.assertNotIn("stale", text)
            picture = xml.etree.ElementTree.parse(os.path.join(directory, page.PICTURE))
            self.assertTrue(picture.getroot().tag.endswith("svg"))

    def test_a_page_without_a_place_for_tables_is_left_alone(self):
        with tempfile.NamedTemporaryFile("w+", suffix=".md") as file:
            file.write("nothing")
            file.flush()
            with self.assertRaises(ValueError):
                page.write(made_up(), file.name)

    def test_a_picture_of_nothing_is_none(self):
        self.assertIsNone(chart.draw({}, "nothing"))

    def test_the_committed_page_is_of_the_committed_record(self):
        recorded = os.path.join(options.HERE, "recorded.json")
        if not os.path.exists(recorded):
            self.skipTest("nothing recorded yet")
        with open(os.path.join(options.REPOSITORY, "docs", "performance.md"), encoding="utf-8") as file:
            inside = file.read().partition(page.BEGIN)[2].partition(page.END)[0]
        self.assertEqual(inside.strip(), page.Page(Record.read(recorded)).text().strip())


class Records(unittest.TestCase):
    def test_what_is_saved_is_read_and_gone_on_with(self):
        with tempfile.TemporaryDirectory() as directory:
            record, at = made_up(), os.path.join(directory, "record.json")
            record.path = at
            record.save()
            self.assertEqual(Record.read(at).data, record.data)
            head = {name: record.data[name] for name in ("commit", "machine", "subjects", "date", "command")}
            for commit, runs in (("0123456789ab", len(record.data["runs"])), ("other", 0)):
                fresh = Record(at, {**head, "commit": commit})
                fresh.resume(at, lambda _: None)
                self.assertEqual(len(fresh.data["runs"]), runs)
            step = rows.Step("narwarden", "full", rows.WARM)
            self.assertTrue(record.has(step, 4) and not record.has(step, 5))

    def test_another_schema_is_refused(self):
        with tempfile.NamedTemporaryFile("w+", suffix=".json") as file:
            json.dump({"schema": 0}, file)
            file.flush()
            with self.assertRaises(ValueError):
                Record.read(file.name)


class Order(unittest.TestCase):
    def test_everybody_runs_once_a_round_in_another_order(self):
        steps = [rows.Step(str(number), "full", rows.WARM) for number in range(5)]
        orders = [rows.ordered(steps, number) for number in range(5)]
        self.assertTrue(all(set(order) == set(steps) for order in orders))
        self.assertEqual(len({tuple(order) for order in orders}), 5)

    def test_a_budget_ends_more_rounds_but_not_the_fewest(self):
        class Counted(Rounds):
            def __init__(self):
                self.numbers = []

            def round(self, cache, number):
                self.numbers.append(number)

        for minutes, most, made in ((None, 9, 9), (0, 9, 5), (0, 1, 1)):
            rounds = Counted()
            rounds.make(rows.WARM, most, Clock(minutes))
            self.assertEqual(rounds.numbers, list(range(made)))


class Closure:
    """Two paths of ten bytes."""
    paths, nar_bytes, toplevel = 2, 20, "/nix/store/top"

    class store:
        root, trust, key = "/root", "/trust", "key"


def answer(status=0, out="", err="", read=20):
    return lambda *_: Run(1.0, 1.0, 1.0, 1, read, 0, status, 0.0, 0.0, out, err)


class Subjects(unittest.TestCase):
    """A run that did not do the work is no timing, whoever it is by."""

    def judged(self, kind, changed=0, status=0, verdict="admit", paths=2, hashed=20, sealed=0):
        subject = Narwarden.__new__(Narwarden)
        subject.program, subject.seals, subject.has_seals = "narwarden", "/seals", True
        report = {"verdict": verdict, "closure": {"paths": paths},
                  "measured": {"hashed_bytes": hashed, "sealed_paths": sealed}}
        subject.launch = answer(status, json.dumps(report))
        return subject.run(kind, Closure, changed)

    def test_narwarden(self):
        self.judged("full")
        self.judged("changed", changed=1, hashed=10, sealed=1)
        self.judged("unchanged", hashed=0, sealed=2)
        self.judged("signatures", hashed=0)
        for bad in (dict(kind="full", status=1), dict(kind="full", verdict="deny"), dict(kind="full", paths=1),
                    dict(kind="full", hashed=19), dict(kind="full", sealed=1), dict(kind="signatures"),
                    dict(kind="changed", changed=1, sealed=2), dict(kind="unchanged", sealed=1)):
            with self.subTest(bad), self.assertRaises(Refused):
                self.judged(**bad)

    def verified(self, kind="full", lines=2, **run):
        subject = Nix.__new__(Nix)
        subject.program, subject.root = "nix", None
        subject.launch = answer(err="checking '/nix/store/…'\n" * lines, **run)
        return subject.run(kind, Closure)

    def test_nix(self):
        self.verified()
        self.verified(kind="signatures", read=0)
        for bad in (dict(status=1), dict(lines=1), dict(read=5), dict(kind="signatures", read=100 << 20)):
            with self.subTest(bad), self.assertRaises(Refused):
                self.verified(**bad)


class Options(unittest.TestCase):
    def test_parts(self):
        self.assertEqual(options.parse([]).parts, list(options.PARTS))
        self.assertEqual(options.parse(["--only", "warm", "--only", "cold", "--skip", "cold"]).parts, ["warm"])

    def test_the_page_names_no_place_of_this_machine(self):
        shown = main.command_of(["--store", "/a/b", "--nix", "2.26=/c", "--rounds", "5"])
        self.assertEqual(shown, "bench/run --store … --nix 2.26=… --rounds 5")


class Making(unittest.TestCase):
    def test_only_what_was_made_here_is_removed(self):
        with tempfile.TemporaryDirectory() as directory:
            other, own, link = (os.path.join(directory, it) for it in ("other", "own", "link"))
            os.mkdir(other, 0o555)
            os.mkdir(own)
            stores.write(os.path.join(own, stores.MARK), None)
            os.symlink(own, link)
            for kept in (other, link):
                with self.assertRaises(RuntimeError):
                    stores.remove(kept)
            self.assertEqual(os.stat(other).st_mode & 0o777, 0o555)
            stores.remove(own)
            self.assertFalse(os.path.exists(own))


class Launching(unittest.TestCase):
    """launch.c: needs a C compiler, as the bench does."""

    def test_a_process_is_measured_alone(self):
        with tempfile.TemporaryDirectory() as directory:
            launch = Launcher(directory)
            ballast = bytearray(64 << 20)
            run = launch(["sh", "-c", "echo out; echo err >&2; exit 3"])
            self.assertEqual((run.status, run.out, run.err), (3, "out\n", "err\n"))
            # Neither what we hold nor what Python needs counts.
            self.assertLess(run.peak, 8 << 20)
            self.assertEqual(len(ballast), 64 << 20)
            file = os.path.join(directory, "file")
            with open(file, "wb") as made:
                made.write(bytes(1 << 20))
            self.assertGreaterEqual(launch(["cat", file]).read, 1 << 20)
            self.assertEqual(launch(["sh", "-c", "kill -9 $$"]).status, 128 + 9)
            self.assertTrue(re.search("No such file", launch(["/no/such"]).err))


if __name__ == "__main__":
    unittest.main()
