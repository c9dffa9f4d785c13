"""What a rule is given, and what it gives back. All memory is in MiB."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from course_utils.postmortem.evidence import Sighting, Stack, Where
from course_utils.postmortem.growth import Growth, charge

# What adds to a container: a method, an item, or +=.
ADDS = r"(\[[^\]]*\])*(\.(append|add|extend|insert|setdefault|update)\(|\[[^\]]*\] *=[^=]| *\+=)"
NUMBER = re.compile(r"(\.(append|add)\(|=) *(float|int|round|len)\(|\.item\(\)\)?$")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A death by memory: what was measured from outside first, then what the run said itself."""

    peak_mib: float
    """What is to be explained."""
    where: Where | None
    """The line that was running at the end."""
    growth: Sequence[Growth] = ()
    """Who grew, the largest first."""
    line: Sequence[tuple[str, Sighting]] = ()
    """The phase of each sighting, in the order of time."""
    allocation_mib: float = 0.0
    """What was asked for and refused; 0 where nothing was."""
    text: str = ""
    """The text of the exception, or what a library said before the end."""
    ledger: Sequence[dict[str, Any]] = ()
    """What was alive shortly before the end, the largest first: see `course_utils.sandbox.ledger`."""
    facts: dict[str, Any] = field(default_factory=dict)
    cells: Sequence[tuple[str, str]] = ()
    """The learner's code, as (name, source) pairs. It helps to name a line, and never decides."""

    @property
    def stack(self) -> Stack:
        """The last stack that was seen."""
        return next((sighting.stack for _, sighting in reversed(self.line) if sighting.stack), ())

    def grown(self, *phases: str) -> float:
        """Return the MiB that came in any of these phases."""
        return sum(one.mib for one in self.growth if one.phase in phases)

    def grown_where(self, told: Callable[[str, Stack], bool]) -> float:
        """Return the MiB that came while this was true of the phase and the stack."""
        parted = [("yes" if told(phase, sighting.stack) else "", sighting) for phase, sighting in self.line]
        return sum(one.mib for one in charge(parted) if one.phase)

    def grower(self, *phases: str) -> Where | None:
        """Return the line at which the most memory came in any of these phases; of all phases if none is given."""
        return next((one.where for one in self.growth if one.where and (one.phase in phases or not phases)), None)

    def filler(self, name: str) -> Where | None:
        """Return the line that adds to a container of this name, the last of several; None where no line does.

        A line that adds a plain number is no candidate.
        """
        adds = re.compile(rf"\b{re.escape(name.rpartition('.')[2])}\b{ADDS}")
        found = [
            Where(cell, number, line.strip()[:300])
            for cell, source in self.cells
            for number, line in enumerate(source.split("\n"), 1)
            if adds.search(line) and not NUMBER.search(line)
        ]
        return found[-1] if found else None

    def entries(self, *kinds: str) -> list[dict[str, Any]]:
        """Return what the ledger has of these kinds, the largest first."""
        return [entry for entry in self.ledger if entry.get("kind") in kinds]


@dataclass(frozen=True)
class Finding:
    """A cause that a rule has proved."""

    cause: str
    """Its id in ``causes.toml``, which has the meaning, the remedy and the lab."""
    mib: float
    """How much of the memory it explains."""
    sentence: str
    """The evidence and the arithmetic, for the learner."""
    blame: Where | None = None
    """The line that put the memory there; None for the line that was running at the end."""
