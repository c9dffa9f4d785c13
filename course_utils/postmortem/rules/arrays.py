"""Data in memory: arrays, lists of them, and the copies that are made of them."""

from __future__ import annotations

from course_utils.postmortem.rules.case import Case, Finding
from course_utils.units import mib, percent

MOSTLY_ZERO = 0.9


def mostly_zeros(case: Case) -> Finding | None:
    """An array that is nearly all zeros: a bag of words, or a column for each customer."""
    for entry in case.entries("array"):
        if entry.get("zeros", 0) >= MOSTLY_ZERO and not entry.get("one_hot"):
            zeros = percent(entry["zeros"])
            sentence = f"`{entry['name']}` is a {entry['what']}, {mib(entry['mib'])}, and {zeros} of it is zeros."
            return Finding("one_hot_labels", entry["mib"], sentence, case.grower())
    return None


RULES = (mostly_zeros,)
