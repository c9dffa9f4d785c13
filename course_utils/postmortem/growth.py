"""Who grew: memory charged to the line that was running while it came."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from course_utils.postmortem.evidence import Sighting, Stack, Where, called, innermost


@dataclass(frozen=True)
class Growth:
    """Memory that came at one line in one phase, and was still there at the end. ``mib`` in MiB."""

    mib: float
    where: Where | None
    """The learner's innermost line; None where the run did not say."""
    phase: str
    function: str
    """The function of a library that the line had called, such as "fit"; "" where none was seen."""


class Charge(NamedTuple):
    """Memory that came at one moment, and was still there at the end. ``mib`` in MiB."""

    mib: float
    phase: str
    stack: Stack


def charge(line: Sequence[tuple[str, Sighting]]) -> list[Charge]:
    """Charge the memory of a run, from its phases and sightings, to the moments at which it came.

    What is given back is taken from the newest charges: memory is mostly freed in the reverse order of its coming,
    such as that of a batch after its step.
    """
    charges: list[Charge] = []
    mib = 0.0
    for phase, sighting in line:
        change, mib = sighting.mib - mib, sighting.mib
        if change >= 0:
            charges.append(Charge(change, phase, sighting.stack))
        while change < 0 and charges:
            newest = charges.pop()
            change += newest.mib
            if change > 0:
                charges.append(newest._replace(mib=change))
    return charges


def by_line(charges: Iterable[Charge]) -> list[Growth]:
    """Add up what came at the same line in the same phase; the largest first."""
    sums: defaultdict[tuple[Where | None, str], Counter[str]] = defaultdict(Counter)
    for one in charges:
        named = [
            frame.function
            for frame in called(one.stack)
            if not frame.function.startswith("_") and "traceback_utils" not in frame.file
        ]
        where = innermost(one.stack)
        sums[where, one.phase][named[-1] if where and named else ""] += one.mib
    found = [Growth(round(shares.total(), 1), *key, max(shares, key=shares.get)) for key, shares in sums.items()]
    return sorted((one for one in found if one.mib > 0), key=lambda one: -one.mib)
