"""What a rule is given, and what it gives back. All memory is in MiB."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader

from course_utils import units
from course_utils.postmortem import phases
from course_utils.postmortem.evidence import Measurement, Sighting, Stack, Testimony, Where, called, innermost
from course_utils.postmortem.growth import Charge, Growth, by_line, charge
from course_utils.postmortem.rules.said import Entry, Facts, Layers, Training
from course_utils.postmortem.rules.source import Program, Statement

OWN = (phases.LOADING, phases.OUTSIDE)
"""The phases in which the learner's own code makes data."""
LEAST = 0.15  # of the memory: what was being made and is smaller is of no interest


class Came(NamedTuple):
    """How much memory came, and the line at which most of it did."""

    mib: float
    where: Where | None


@dataclass(frozen=True)
class Finding:
    """A cause that a rule has proved."""

    cause: str
    """Its id in ``causes.toml``, which has the meaning, the remedy and the lab."""
    mib: float
    """How much of the memory it explains."""
    sentence: str
    """The evidence and the arithmetic, for the learner: see `say`."""
    blame: Where | None = None
    """The line that put the memory there; None for the line that was running at the end."""
    needs_mib: float = 0.0
    """How much it would have needed in the end; 0 where that is not known, or it was complete."""


@dataclass(frozen=True)
class Unfinished:
    """What the line that died was making: it has no name yet, and only its growth is known."""

    where: Where
    mib: float
    line: Statement
    functions: Collection[str]
    """The functions of libraries that were running while it came."""
    files: Collection[str]


@dataclass(frozen=True)
class Case:
    """A death by memory: what was measured from outside first, then what the run said itself."""

    measurement: Measurement
    testimony: Testimony
    line: Sequence[tuple[str, Sighting]]
    """The phase of each sighting, in the order of time."""
    where: Where | None
    """The line that was running at the end."""
    text: str
    """The text of the exception, or what a library said before the end."""

    # ---- what was measured

    @property
    def peak_mib(self) -> float:
        """What is to be explained."""
        return self.measurement.peak_mib

    @cached_property
    def charges(self) -> list[Charge]:
        return charge(self.line)

    @cached_property
    def growth(self) -> list[Growth]:
        return by_line(self.charges)

    @cached_property
    def program(self) -> Program:
        return Program(self.measurement.cells)

    @cached_property
    def stack(self) -> Stack:
        """The last stack that was seen."""
        return next((sighting.stack for _, sighting in reversed(self.line) if sighting.stack), ())

    @cached_property
    def running(self) -> Where | None:
        """The learner's line that was running when the run was last seen."""
        return innermost(self.stack) or self.where

    @cached_property
    def functions(self) -> set[str]:
        """The functions that were running when the run was last seen."""
        return {frame.function for frame in self.stack}

    def came(self, *names: str, told: Callable[[Charge], object] = bool) -> Came:
        """Return what came in these phases, in all if none is given, while this was true of it."""
        found = [one for one in self.charges if (one.phase in names or not names) and told(one)]
        at: Counter[Where] = Counter()
        for one in found:
            if where := innermost(one.stack):
                at[where] += one.mib
        return Came(sum(one.mib for one in found), max(at, key=at.get, default=None))

    def came_in(self, *files: str, functions: Collection[str] = ()) -> Came:
        """Return what came while the learner's own line was in such a function of a library."""

        def told(charge: Charge) -> bool:
            return any(
                any(file in frame.file for file in files) and (not functions or frame.function in functions)
                for frame in called(charge.stack)
            )

        return self.came(*OWN, told=told)

    # ---- what the run said

    @cached_property
    def facts(self) -> Facts:
        return Facts.model_validate(self.testimony.facts)

    @property
    def training(self) -> Training:
        return self.facts.training

    @cached_property
    def layers(self) -> Layers:
        """The outputs of the layers for the batch of this training."""
        return self.facts.layers if self.facts.layers.batch == self.training.batch_size else Layers()

    @cached_property
    def alive(self) -> list[Entry]:
        return [Entry.model_validate({**entry, "whole_mib": entry["mib"]}) for entry in self.testimony.ledger]

    def entries(self, *kinds: str) -> list[Entry]:
        """Return what the ledger has of these kinds, the largest first."""
        return [entry for entry in self.alive if entry.kind in kinds]

    @cached_property
    def weights(self) -> Entry:
        return next(iter(self.entries("weights")), Entry())

    @cached_property
    def slots(self) -> Entry:
        """What optimizers keep for the weights."""
        return next(iter(self.entries("optimizer")), Entry())

    @cached_property
    def model_mib(self) -> float:
        return self.weights.mib + self.slots.mib

    @cached_property
    def since_the_ledger(self) -> float:
        """What came after the ledger was taken, by the run's own account of its memory."""
        resident = self.facts.resident_mib
        return 0.0 if resident is None or self.facts.processes else max(0.0, self.peak_mib - resident)

    @cached_property
    def data(self) -> list[Entry]:
        """Arrays, tensors, tables and lists that were alive, the largest first.

        An array of zeros takes memory where it is written to. Where all data together are more than there was, the
        arrays with the most zeros have that much less.
        """
        found = [self._named(one) for one in self.entries("array", "tensor", "list", "dataframe", "object")]
        found += self._unseen({one.name for one in found})
        excess = sum(one.mib for one in found) - self.peak_mib
        for index, one in sorted(enumerate(found), key=lambda item: -item[1].zeros):
            if excess > 0 and one.kind == "array" and one.zeros > 0:
                less = min(excess, one.zeros * one.mib)
                excess -= less
                found[index] = one.holding(one.mib - less)
        return sorted(found, key=lambda one: -one.mib)

    @cached_property
    def arrays(self) -> list[Entry]:
        return [one for one in self.data if one.kind in ("array", "tensor") and one.shape]

    def _named(self, one: Entry) -> Entry:
        """An entry as it is to be weighed and called."""
        if one.shared:  # its members weigh together what the one array weighs
            size = min(one.mib, one.data_mib)
            return one.model_copy(update={"mib": size, "whole_mib": size})
        line = self.program.statement(self.running)
        makes = self.line and self.line[-1][0] in OWN and line.makes in self.functions and len(line.targets) == 1
        if one.library and self.running and makes:  # a library's name for what the line is making
            known = {"name": min(line.targets), "scope": self.running.function, "made_by": line.makes}
            return one.model_copy(update=known)
        return one

    def _unseen(self, names: set[str]) -> list[Entry]:
        """What a line made too shortly before the end to be noted: its name and its growth are known, and no more."""
        unseen = []
        for one in self.growth:
            if one.where and one.where != self.running and one.phase in OWN and one.mib >= 0.05 * self.peak_mib:
                line = self.program.statement(one.where)
                once = not one.where.function and self.program.loop(one.where) is None
                if once and len(line.targets) == 1 and line.targets.isdisjoint(names | line.names):
                    what = f"result of line {one.where.line}"
                    name = min(line.targets)
                    unseen.append(Entry(kind="array", name=name, what=what, mib=one.mib, whole_mib=one.mib))
        return unseen

    @cached_property
    def unfinished(self) -> Unfinished | None:
        """What the line that died was making, where that has no name yet and is a good part of the memory."""
        where = self.running
        if where is None:
            return None
        came = sum(one.mib for one in self.growth if one.where == where and one.phase in OWN)
        size = min(came, self.peak_mib - together(self.data) - self.model_mib)
        if size <= LEAST * self.peak_mib:
            return None
        frames = [f for _, seen in self.line if innermost(seen.stack) == where for f in called(seen.stack)]
        functions, files = {frame.function for frame in frames}, {frame.file for frame in frames}
        return Unfinished(where, size, self.program.statement(where), functions, files)

    def made_at(self, found: Sequence[Entry]) -> Where | None:
        """Return the line at which these came: one that assigns to them, else one that names them, else the largest.

        A line that only fills an array had no choice: the line that made it chose the shape and the type.
        """
        names = {one.name: one.scope for one in found}
        lines = [one.where for one in self.growth if one.where and one.phase in OWN and one.mib >= 0.1 * self.peak_mib]
        for part in ("targets", "names"):
            for where in lines:
                line = self.program.statement(where)
                if words := names.keys() & getattr(line, part):
                    name = min(words)
                    made = self.program.definition(name, names[name]) if name in line.fills else None
                    return made or where
        largest = max(found, key=lambda one: one.mib, default=None)
        if lines and largest and largest.library:  # it has no name of the learner's, only a line that was making it
            return lines[0]
        made = next(filter(None, (self.program.definition(one.name, one.scope) for one in found)), None)
        return made or (lines[0] if lines else None)


def together(found: Sequence[Entry]) -> float:
    return sum(one.mib for one in found)


def say(name: str, **values: Any) -> str:
    """Return a sentence of ``sentences.jinja`` with these values; what is not given is not there."""
    words = " ".join(getattr(_sentences(), name)(**values).split())
    return f"{words[:1].upper()}{words[1:]}."


@cache
def _sentences() -> Any:
    environment = Environment(loader=PackageLoader("course_utils.postmortem.rules", ""))
    environment.filters |= {"mib": units.mib, "percent": units.percent, "count": "{:,}".format}
    return environment.get_template("sentences.jinja").module
