"""What a rule is given, and what it gives back. All memory is in MiB."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from course_utils.postmortem.evidence import Sighting, Stack, Where
from course_utils.postmortem.growth import Growth


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

    @property
    def stack(self) -> Stack:
        """The last stack that was seen."""
        return next((sighting.stack for _, sighting in reversed(self.line) if sighting.stack), ())

    def grown(self, *phases: str) -> float:
        """Return the MiB that came in any of these phases."""
        return sum(one.mib for one in self.growth if one.phase in phases)

    def grower(self, *phases: str) -> Where | None:
        """Return the line at which the most memory came in any of these phases; of all phases if none is given."""
        return next((one.where for one in self.growth if one.where and (one.phase in phases or not phases)), None)

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
