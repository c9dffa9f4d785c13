"""Points and verdict of a run, as plain arithmetic."""

from __future__ import annotations

import math

CHANCE = 0.1  # ten classes, equally frequent


def score(
    peak_mib: float, budget_mib: float, cap_mib: float, accuracy: float, floor: float, memory_points: float = 50
) -> float:
    """Points of 100 for a run that finished, rounded down to a tenth, so that only a pass shows 100.

    Accuracy gives full points from the floor up, and in a line down to 0 at chance. Memory gives full points up to the
    budget, and in a line down to 0 at the cap; of these, an answer gets the share that it has of the points for
    accuracy, since to need no memory for a wrong answer is no achievement. ``accuracy`` and ``floor`` are shares of 1.
    """
    memory = _clamp((cap_mib - peak_mib) / (cap_mib - budget_mib))
    learned = _clamp((accuracy - CHANCE) / (floor - CHANCE))
    points = learned * (100 - memory_points + memory_points * memory)
    return math.floor(points * 10 + 1e-9) / 10


def verdict(peak_mib: float, budget_mib: float, accuracy: float, floor: float) -> str:
    """``passed``, ``over_budget`` or ``inaccurate`` for a run that finished."""
    if peak_mib > budget_mib:
        return "over_budget"
    return "passed" if accuracy >= floor else "inaccurate"


def _clamp(share: float) -> float:
    return min(max(share, 0.0), 1.0)
