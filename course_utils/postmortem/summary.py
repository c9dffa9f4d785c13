"""The evidence in so few words that a person reads them: who grew, the phases, what was alive."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from course_utils.postmortem.phases import Phase
from course_utils.units import NOT_KNOWN, change, mib, percent, seconds

GROWERS = 3
SMALL = 0.02  # of the time and of the memory
STRETCHES = 8
ALIVE, SMALLEST_MIB = 5, 1.0
WITHOUT_VARIABLE = ("weights", "optimizer", "accumulator", "figures")  # kinds whose name is not a variable's


THIS_CELL = "this cell"
SOURCE_LETTERS = 60


class Line(Protocol):
    """A `Where`, or the same out of a record."""

    cell: str
    line: int
    source: str


class Grower(Protocol):
    """A `Growth`, or the same out of a record."""

    mib: float
    where: Line | None
    phase: str


class Stretch(Protocol):
    """A `Phase`, or the same out of a record."""

    name: str
    start: float
    end: float
    mib: float


def growth_in_words(
    grown: Sequence[Grower], peak_mib: float, told: Iterable[Line | None], label: str = ""
) -> list[tuple[str, str, str]]:
    """Return the memory with its share of the peak, the line, and the phase; a line is quoted once, if not ``told``."""
    quoted = {(line.cell, line.line) for line in told if line}
    rows = []
    for one in grown:
        words = NOT_KNOWN if one.where is None else place(one.where, label)
        if one.where and (one.where.cell, one.where.line) not in quoted:
            quoted.add((one.where.cell, one.where.line))
            source = one.where.source.strip().replace("`", "'")
            words += f": `{source if len(source) <= SOURCE_LETTERS else source[: SOURCE_LETTERS - 1] + '…'}`"
        rows.append((f"{mib(one.mib)}, {percent(one.mib / peak_mib, 0)}", words, one.phase))
    return rows


def place(where: Line, label: str = "") -> str:
    """Return cell and line, without the cell where it is the one above the card."""
    cell = "" if where.cell in ("", label, THIS_CELL) else f"{where.cell}, "
    return f"{cell}line {where.line}"


def condense(phases: Sequence[Phase], most: int = STRETCHES) -> list[Phase]:
    """Return at most ``most`` stretches that cover the same time and memory.

    A flicker, small in time and in memory, belongs to the larger of its neighbours. So does the smallest stretch while
    there are too many: a stretch has the name of the largest phase in it. A run of one phase that needed next to
    nothing has none worth showing.
    """
    found = list(phases)
    if not found:
        return found
    duration = found[-1].end - found[0].start
    level = highest = 0.0
    for one in found:
        level += one.mib
        highest = max(highest, level)

    def weigh(one: Phase) -> float:
        return max((one.end - one.start) / (duration or 1.0), abs(one.mib) / (highest or 1.0))

    weights = [weigh(one) for one in found]
    while len(found) > 1:
        at = min(range(len(found)), key=weights.__getitem__)
        if weights[at] >= SMALL and len(found) <= most:
            break
        name = found[
            max((index for index in (at - 1, at + 1) if 0 <= index < len(found)), key=weights.__getitem__)
        ].name
        low, high = at, at + 1
        while low > 0 and found[low - 1].name == name:
            low -= 1
        while high < len(found) and found[high].name == name:
            high += 1
        joined = Phase(name, found[low].start, found[high - 1].end, sum(one.mib for one in found[low:high]))
        found[low:high], weights[low:high] = [joined], [weigh(joined)]
    return found if len(found) > 1 or highest >= SMALLEST_MIB else []


def totals(phases: Sequence[Stretch]) -> dict[str, str]:
    """Return the time and the memory of each phase in words, "0.9 s, +375 MiB", in the order of their first stretch."""
    found: dict[str, tuple[float, float]] = {}
    for one in phases:
        duration, amount = found.get(one.name, (0.0, 0.0))
        found[one.name] = duration + one.end - one.start, amount + one.mib
    return {name: f"{seconds(duration)}, {change(amount)}" for name, (duration, amount) in found.items()}


def phases_in_words(phases: Sequence[Stretch]) -> str:
    """Return the phases as a text: "loading 0.9 s, +375 MiB; tracing 0.2 s, +18 MiB"."""
    return "; ".join(f"{name} {words}" for name, words in totals(phases).items())


def alive(ledger: Sequence[Mapping[str, Any]]) -> list[tuple[bool, str, str, str]]:
    """Return the largest entries of a ledger: whether a variable holds it, how it is called, what it is, its memory.

    What no variable holds, such as the weights of all models, is called by its kind.
    """
    found = []
    for entry in ledger:
        kind = str(entry.get("kind", ""))
        named = bool(entry["name"]) and kind not in WITHOUT_VARIABLE
        what = entry["what"] + (", held by a library" if named and entry.get("library") else "")
        if entry["mib"] >= SMALLEST_MIB:
            memory = f"{'up to ' if entry.get('full') is False else ''}{mib(entry['mib'])}"  # a cache while it fills
            found.append((named, entry["name"] if named else kind or "no name", what, memory))
    return found[:ALIVE]
