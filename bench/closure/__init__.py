"""Measures what judging a closure costs. Only Python's standard library, 3.11 or later.

    options   what was asked for
    machine   what it runs on, and who else works on it
    launch    one process, and what it took
    stores    the closures that are judged
    subjects  who judges: narwarden and every Nix
    rows      what is measured, and when a run counts
    rounds    in which order, how often, within which time
    floors    what the machine can do at best
    growth    the same for closures of many sizes
    figures   medians, ratios, exponents
    record    everything as JSON; what the page is made from
    page      docs/performance.md; chart draws its picture
"""
