"""A picture of how cost grows: three panels, one for each axis, both scales logarithmic. Plain SVG."""

import math
from html import escape

PANEL, HEIGHT, LEFT, TOP, GAP = 220, 200, 56, 46, 52
COLORS = ("#0b7285", "#74b816", "#868e96")
UNITS = {"paths": "paths", "files": "files", "bytes": "bytes"}


def short(number):
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:g}{letter}"
    return f"{number:g}"


def draw(panels, title):
    """`panels` is {axis: {line: [(x, seconds)]}}."""
    lines = list(dict.fromkeys(name for panel in panels.values() for name in panel))
    seconds = [y for panel in panels.values() for points in panel.values() for _, y in points]
    if not seconds:
        return None
    low, high = math.floor(math.log10(min(seconds))), math.ceil(math.log10(max(seconds)))
    high = max(high, low + 1)
    width = LEFT + len(panels) * (PANEL + GAP)
    height = TOP + HEIGHT + 62
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
           f'font-family="sans-serif" font-size="11" fill="#495057">', f"<title>{escape(title)}</title>",
           f'<rect width="{width}" height="{height}" fill="#ffffff"/>']
    for number, (axis, panel) in enumerate(panels.items()):
        out += one_panel(LEFT + number * (PANEL + GAP), axis, panel, lines, (low, high))
    for number, name in enumerate(lines):
        x, y = LEFT + number * 190, 20
        out.append(f'<line x1="{x}" y1="{y}" x2="{x + 22}" y2="{y}" stroke="{COLORS[number % 3]}" stroke-width="2"/>'
                   f'<text x="{x + 28}" y="{y + 4}">{escape(name)}</text>')
    return "\n".join([*out, "</svg>"]) + "\n"


def one_panel(left, axis, panel, lines, seconds):
    low, high = seconds
    sizes = [x for points in panel.values() for x, _ in points]
    first, last = math.log10(min(sizes)), math.log10(max(sizes))
    across = lambda x: left + (math.log10(x) - first) / max(last - first, 1e-9) * PANEL
    up = lambda y: TOP + HEIGHT - (math.log10(y) - low) / (high - low) * HEIGHT
    out = [f'<rect x="{left}" y="{TOP}" width="{PANEL}" height="{HEIGHT}" fill="none" stroke="#adb5bd"/>']
    for power in range(low, high + 1):
        y = up(10.0 ** power)
        out.append(f'<line x1="{left}" y1="{y:.1f}" x2="{left + PANEL}" y2="{y:.1f}" stroke="#e9ecef"/>'
                   f'<text x="{left - 5}" y="{y + 4:.1f}" text-anchor="end">{10.0 ** power:g} s</text>')
    for x in sorted(set(sizes)):
        out.append(f'<text x="{across(x):.1f}" y="{TOP + HEIGHT + 16}" text-anchor="middle">{short(x)}</text>')
    out.append(f'<text x="{left + PANEL / 2}" y="{TOP + HEIGHT + 36}" text-anchor="middle">{UNITS[axis]}</text>')
    for name, points in panel.items():
        color = COLORS[lines.index(name) % 3]
        path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in sorted(points))
        out.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        out += [f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="2.5" fill="{color}"/>' for x, y in points]
    return out
