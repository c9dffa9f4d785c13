"""What the evidence says about data in memory: what is alive, how much of it is there, and what was being made."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from course_utils.postmortem import phases
from course_utils.postmortem.evidence import Frame, Stack, Where
from course_utils.postmortem.growth import Growth, charge
from course_utils.postmortem.rules.case import Case
from course_utils.postmortem.rules.line import Statement, definition, loop, statement
from course_utils.units import mib

OWN = (phases.LOADING, phases.BETWEEN)
"""The phases in which the learner's own code makes data."""
NUMBERS = {"float", "int", "complex"}
TEXTS = {"str", "bytes", "bytearray"}
LEAST = 0.15  # of the memory: what was being made and is smaller is of no interest
MIB = 2**20


@dataclass(frozen=True)
class Holding:
    """An array, a tensor, a table or a list that was alive. ``mib`` is how much of it can have been in memory."""

    kind: str
    name: str
    scope: str
    library: bool
    what: str
    mib: float
    dtype: str
    shape: tuple[int, ...]
    """Of a list that of a typical member."""
    count: int
    zeros: float
    one_hot: bool
    grows: bool
    full_mib: float
    """Its size by shape and type. Memory that was asked for and not written to yet is not there yet."""

    @property
    def called(self) -> str:
        return f"`{self.name}`" + (f" in `{self.scope}()`" if self.scope and self.scope != "<module>" else "")

    @property
    def bytes_each(self) -> int:
        """The bytes of one number."""
        digits = "".join(letter for letter in self.dtype if letter.isdigit())
        return int(digits) // 8 if digits and self.dtype[0] != "<" else 1 if self.dtype == "bool" else 8

    @property
    def text(self) -> str:
        """Name, type, shape and the arithmetic: ```x` is float32 (10, 20): 10 x 20 x 4 bytes = 0.8 MiB``."""
        if self.kind not in ("array", "tensor") or not self.shape:
            return f"{self.called} is a {self.what}, {mib(self.full_mib)}"
        product = " x ".join(f"{length:,}" for length in (*self.shape, self.bytes_each))
        return f"{self.called} is {self.dtype} {self.shape}: {product} bytes = {mib(self.full_mib)}"

    @property
    def brief(self) -> str:
        """Name, type, shape and size, to be used within a sentence."""
        return f"{self.called} ({self.what + ', ' if self.what else ''}{mib(self.full_mib)})"

    @property
    def shared(self) -> bool:
        """Whether the members of a list are parts of one array: views, such as windows over a series."""
        each = math.prod(self.shape) * self.bytes_each / MIB
        alike = f" {self.count:,} x " in self.what
        return self.kind == "list" and bool(self.shape) and alike and each * self.count > 2 * self.full_mib


@dataclass(frozen=True)
class Unfinished:
    """What the line that died was making: it has no name yet, and only its growth is known."""

    where: Where
    mib: float
    line: Statement
    functions: frozenset[str]
    """The functions of libraries that were running while it came."""
    files: frozenset[str]


def holdings(case: Case) -> list[Holding]:
    """Return the data that was alive, the largest first.

    An array of zeros takes memory where it is written to. Where all data together are more than there was, the arrays
    with the most zeros have that much less.
    """
    found = [_holding(entry) for entry in case.entries("array", "tensor", "list", "dataframe", "object")]
    found += _unseen(case, found)
    excess = sum(one.mib for one in found) - case.peak_mib
    shrunk: dict[int, float] = {}
    for one in sorted(found, key=lambda one: -one.zeros):
        if excess > 0 and one.kind == "array" and one.zeros > 0:
            less = min(excess, one.zeros * one.mib)
            shrunk[id(one)] = one.mib - less
            excess -= less
    found = [replace(one, mib=shrunk.get(id(one), one.mib)) for one in found]
    return sorted(found, key=lambda one: -one.mib)


def _holding(entry: dict[str, Any]) -> Holding:
    shape = entry.get("shape", ())
    lengths = tuple(length for length in shape if type(length) is int and length >= 0)
    kind = entry.get("kind", "")
    said = Holding(
        kind=kind,
        name=entry.get("name", ""),
        scope=entry.get("scope", ""),
        library=bool(entry.get("library")),
        what=entry.get("what", ""),
        mib=entry["mib"],
        dtype=entry.get("dtype", "") or "object",
        shape=lengths if len(lengths) == len(shape) else (),
        count=entry.get("count", 0),
        zeros=entry.get("zeros", 0.0),
        one_hot=bool(entry.get("one_hot")),
        grows=bool(entry.get("grows")),
        full_mib=entry["mib"],
    )
    if said.shared:  # its members weigh together what the one array weighs
        size = min(said.mib, math.prod(said.shape) * said.bytes_each / MIB)
        return replace(said, mib=size, full_mib=size)
    return said


def _unseen(case: Case, found: Sequence[Holding]) -> list[Holding]:
    """What a line made too shortly before the end to be noted: its name and its growth are known, and no more."""
    names = {one.name for one in found}
    here = _running(case.stack) or case.where
    unseen = []
    for one in case.growth:
        if one.where and one.where != here and one.phase in OWN and one.mib >= 0.05 * case.peak_mib:
            line = statement(case, one.where)
            once = not one.where.function and loop(case, one.where) is None
            if once and len(line.targets) == 1 and line.targets.isdisjoint(names | line.names):
                (name,) = line.targets
                what = f"result of line {one.where.line}"
                unseen.append(_holding({"kind": "array", "name": name, "what": what, "mib": one.mib}))
    return unseen


def unfinished(case: Case) -> Unfinished | None:
    """Return what the line that died was making, where that has no name yet and is a good part of the memory."""
    where = _running(case.stack) or case.where
    if where is None:
        return None
    came = sum(one.mib for one in case.growth if one.where == where and one.phase in OWN)
    named = sum(one.mib for one in holdings(case)) + sum(entry["mib"] for entry in case.entries("weights", "optimizer"))
    size = min(came, case.peak_mib - named)
    if size <= LEAST * case.peak_mib:
        return None
    frames = [frame for _, sighting in case.line for frame in called(sighting.stack, where)]
    functions, files = frozenset(one.function for one in frames), frozenset(one.file for one in frames)
    return Unfinished(where, size, statement(case, where), functions, files)


def since_the_ledger(case: Case) -> float:
    """Return the MiB that came after the ledger was taken, by the run's own account of its memory."""
    resident = case.facts.get("resident_mib")
    return (
        max(0.0, case.peak_mib - resident)
        if type(resident) in (int, float) and not case.facts.get("processes")
        else 0.0
    )


def own_lines(stack: Stack) -> list[Where]:
    """The learner's lines of a stack, the innermost first."""
    return [frame.where for frame in stack if frame.where]


def grown_in(case: Case, told: Callable[[Frame], bool]) -> float:
    """Return the MiB that came while such a function of a library was running for the learner's own line."""
    return sum(one.mib for one in _grown(case, told))


def grower_in(case: Case, told: Callable[[Frame], bool]) -> Where | None:
    """Return the line at which most of that came."""
    return next((one.where for one in _grown(case, told) if one.where), None)


def _grown(case: Case, told: Callable[[Frame], bool]) -> list[Growth]:
    parted = [
        ("yes" if phase in OWN and any(told(frame) for frame in called(sighting.stack, None)) else "", sighting)
        for phase, sighting in case.line
    ]
    return [one for one in charge(parted) if one.phase]


def made_at(case: Case, found: Sequence[Holding]) -> Where | None:
    """Return the line at which these came: one that assigns to them, else one that names them, else the largest.

    A line that only fills an array had no choice: the line that made it chose the shape and the type.
    """
    names = {one.name: one.scope for one in found}
    lines = [one for one in case.growth if one.where and one.phase in OWN and one.mib >= 0.1 * case.peak_mib]
    for part in ("targets", "names"):
        for one in lines:
            line = statement(case, one.where)
            if words := names.keys() & getattr(line, part):
                name = min(words)
                made = definition(case, name, names[name]) if name in line.fills else None
                return made or one.where
    largest = max(found, key=lambda one: one.mib, default=None)
    if lines and largest and largest.library:  # it has no name of the learner's, only a line that was making it
        return lines[0].where
    made = next(filter(None, (definition(case, one.name, one.scope) for one in found)), None)
    return made or (lines[0].where if lines else None)


def together(found: Sequence[Holding]) -> float:
    return sum(one.mib for one in found)


def elements(one: Holding) -> int:
    """How many numbers an array has."""
    return math.prod(one.shape)


def _running(stack: Stack) -> Where | None:
    """The learner's innermost line."""
    return next((frame.where for frame in stack if frame.where), None)


def called(stack: Stack, where: Where | None) -> list[Frame]:
    """The functions of libraries that a line of the learner's had called; of any line if none is given."""
    inner: list[Frame] = []
    for frame in stack:
        if frame.where:
            return inner if where in (None, frame.where) else []
        inner.append(frame)
    return []
