"""The parts of a card. In a text, what stands between backticks is code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from course_utils.postmortem.phases import Phase

Trace = Sequence[tuple[float, float]]
"""(seconds, MiB above the baseline) of each sample."""


@dataclass(frozen=True)
class Head:
    """The first line: ``word`` is what happened, ``more`` a figure beside it, ``label`` which run it was."""

    symbol: str
    word: str
    more: str = ""
    label: str = ""


@dataclass(frozen=True)
class Code:
    """A line of the learner's with the ``place`` where it stands, or a whole traceback with none."""

    text: str
    place: str = ""


@dataclass(frozen=True)
class Series:
    """The memory of one run; ``ended`` is what stopped it at its last point, "" if it finished."""

    label: str
    trace: Trace
    ended: str = ""


@dataclass(frozen=True)
class Figure:
    """Memory over time. ``alt`` tells a reader who does not see the picture what it shows. Limits are in MiB.

    ``phases`` are those of a single run, in their order: they colour what is below its curve.
    """

    runs: Sequence[Series]
    alt: str
    budget_mib: float | None = None
    cap_mib: float | None = None
    predicted_mib: float | None = None
    axis: str = "MiB above baseline"
    width: int = 420
    height: int = 210
    phases: Sequence[Phase] = ()

    @property
    def drawn(self) -> bool:
        """Whether there are points enough for a picture."""
        return any(len(run.trace) > 2 for run in self.runs)


@dataclass(frozen=True)
class Bar:
    """``amount`` of ``whole`` as a filled bar, with a tick at ``mark``; ``alt`` says the same in words."""

    amount: float
    whole: float
    alt: str
    mark: float | None = None
    tone: str = "same"

    @property
    def share(self) -> float:
        """How much of the bar is filled, from 0 to 1."""
        return max(0.0, min(1.0, self.amount / self.whole)) if self.whole > 0 else 0.0


@dataclass(frozen=True)
class Stack:
    """Amounts with their names, one bar of them end to end; ``alt`` says the same in words."""

    parts: Sequence[tuple[str, float]]
    alt: str


@dataclass(frozen=True)
class Paragraph:
    """A sentence or several; ``foot`` sets them as small print."""

    text: str
    bar: Bar | None = None
    foot: bool = False


@dataclass(frozen=True)
class Fact:
    """A named fact; ``link`` is the name and the address ("" if there is none) of a page that says more."""

    name: str
    text: str
    bar: Bar | None = None
    link: tuple[str, str] | None = None


@dataclass(frozen=True)
class Cell:
    """A cell of a table: ``text`` in the colour of ``tone``, then ``more``; ``series`` numbers a curve to show."""

    text: str
    tone: str = ""
    more: str = ""
    series: int | None = None


@dataclass(frozen=True)
class Table:
    """``header`` and rows; the columns from ``numbers_from`` on are set flush right.

    On a phone the cells of a ``stacked`` table of three columns or more stand below each other.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]
    numbers_from: int = 99
    caption: str = ""
    stacked: bool = True


@dataclass(frozen=True)
class Columns:
    """A figure with facts and tables beside it."""

    figure: Figure
    facts: Sequence[Fact | Table]


@dataclass(frozen=True)
class Tile:
    """The state of one lab in the grid of all labs."""

    lab: str
    verdict: str
    tone: str
    peak: str
    accuracy: str
    effort: str
    bar: Bar | None = None


@dataclass(frozen=True)
class Tiles:
    """One tile a lab."""

    tiles: Sequence[Tile]


Block = Head | Paragraph | Code | Fact | Figure | Columns | Table | Tiles | Stack


@dataclass(frozen=True)
class Document:
    """A card: its blocks from top to bottom, and its colour: good, warn, bad or plain."""

    blocks: Sequence[Block]
    tone: str = "plain"
