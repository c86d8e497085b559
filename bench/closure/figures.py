"""Medians, ratios of what ran in the same round, and how cost grows."""

import math
import statistics


def spread(values):
    """Median, smallest, largest."""
    return statistics.median(values), min(values), max(values)


def ratios(ours, theirs):
    """Round by round, so that what slowed both down falls out."""
    return [ours[number] / theirs[number] for number in sorted(ours.keys() & theirs.keys())]


def fit(points):
    """a and e of t = a + b·xᵉ with the least relative errors: a fixed cost, and how the rest grows.

    For each exponent the best a and b are linear; a is not below zero."""
    if len(points) < 3:
        return None
    best = None
    for hundredths in range(30, 201):
        exponent = hundredths / 100
        rows = [(1 / t, x ** exponent / t) for x, t in points]
        # Normal equations of least squares with weight 1/t².
        aa, ab, bb = (sum(r[i] * r[j] for r in rows) for i, j in ((0, 0), (0, 1), (1, 1)))
        ya, yb = (sum(r[i] for r in rows) for i in (0, 1))
        determinant = aa * bb - ab * ab
        if determinant <= 1e-12 * aa * bb:
            continue
        a, b = (ya * bb - yb * ab) / determinant, (aa * yb - ab * ya) / determinant
        if a < 0:
            a, b = 0.0, yb / bb
        error = sum((a * r[0] + b * r[1] - 1) ** 2 for r in rows)
        if best is None or error < best[0]:
            best = (error, a, exponent, b)
    if best is None:
        return None
    error, a, exponent, b = best
    return {"fixed": a, "factor": b, "exponent": exponent, "error": math.sqrt(error / len(points))}


def last_step(points):
    """The exponent between the two largest."""
    (x, t), (y, u) = sorted(points)[-2:]
    return math.log(u / t) / math.log(y / x)
