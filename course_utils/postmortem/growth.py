"""Who grew: memory charged to the line that was running while it came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from course_utils.postmortem.evidence import Sighting, Where


@dataclass(frozen=True)
class Growth:
    """Memory that came at one line in one phase, and was still there at the end. ``mib`` in MiB."""

    mib: float
    where: Where | None
    """The learner's innermost line; None where the run did not say."""
    phase: str
    function: str
    """The function of a library that the line had called, such as "fit"; "" where none was seen."""


def charge(line: Sequence[tuple[str, Sighting]]) -> list[Growth]:
    """Charge the memory of a run, from its phases and sightings, to its lines; the largest first.

    What is given back is taken from the newest charges: memory is mostly freed in the reverse order of its coming,
    such as that of a batch after its step.
    """
    charges: list[list] = []
    mib = 0.0
    for phase, sighting in line:
        change, mib = sighting.mib - mib, sighting.mib
        if change >= 0:
            where = next((frame.where for frame in sighting.stack if frame.where), None)
            charges.append([change, (where, phase, _called(sighting))])
        while change < 0 and charges:
            taken = min(charges[-1][0], -change)
            charges[-1][0] -= taken
            change += taken
            if charges[-1][0] <= 0:
                charges.pop()
    sums: dict[tuple[Where | None, str], float] = {}
    functions: dict[tuple[Where | None, str], dict[str, float]] = {}
    for amount, (where, phase, function) in charges:
        key = (where, phase)
        sums[key] = sums.get(key, 0.0) + amount
        shares = functions.setdefault(key, {})
        shares[function] = shares.get(function, 0.0) + amount
    found = [
        Growth(round(amount, 1), *key, max(functions[key], key=functions[key].get)) for key, amount in sums.items()
    ]
    return sorted((one for one in found if one.mib > 0), key=lambda one: -one.mib)


def _called(sighting: Sighting) -> str:
    """The library's function that the learner's innermost line had called, "" where the line itself was running."""
    called = ""
    for frame in sighting.stack:
        if frame.where:
            return called
        if not frame.function.startswith("_") and "traceback_utils" not in frame.file:
            called = frame.function
    return ""
