"""Points and verdict of a run, as plain arithmetic."""

from __future__ import annotations

import math

MEMORY_POINTS = 50.0
ACCURACY_POINTS = 50.0
CHANCE = 0.1  # ten classes, equally frequent


def memory_points(peak_mib: float, budget_mib: float, cap_mib: float) -> float:
    """Full up to the budget, in a line down to 0 at the cap."""
    return MEMORY_POINTS * _clamp((cap_mib - peak_mib) / (cap_mib - budget_mib))


def accuracy_points(accuracy: float, floor: float) -> float:
    """Full from the floor up, in a line down to 0 at chance. ``accuracy`` and ``floor`` are shares of 1."""
    return ACCURACY_POINTS * _clamp((accuracy - CHANCE) / (floor - CHANCE))


def score(peak_mib: float, budget_mib: float, cap_mib: float, accuracy: float, floor: float) -> float:
    """Points of 100 for a run that finished, rounded down to a tenth, so that only a pass shows 100."""
    points = memory_points(peak_mib, budget_mib, cap_mib) + accuracy_points(accuracy, floor)
    return math.floor(points * 10 + 1e-9) / 10


def verdict(peak_mib: float, budget_mib: float, accuracy: float, floor: float) -> str:
    """``passed``, ``over_budget`` or ``inaccurate`` for a run that finished."""
    if peak_mib > budget_mib:
        return "over_budget"
    return "passed" if accuracy >= floor else "inaccurate"


def _clamp(share: float) -> float:
    return min(max(share, 0.0), 1.0)
