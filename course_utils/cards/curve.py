"""Memory over time: where everything stands in the picture, and the same as a row of letters and as a sentence."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from math import floor, log10
from typing import NamedTuple

from course_utils.cards.document import Figure, Series, Trace
from course_utils.postmortem.phases import OUTSIDE, PHASES, Phase
from course_utils.postmortem.summary import phases_in_words, totals
from course_utils.units import change, mib, number, seconds

LEFT, RIGHT, TOP, BOTTOM = 46, 14, 24, 30
BAND = 18  # below the picture: a stroke for each phase, and its number
SERIES_STYLES = 12
LETTERS = 40


class Note(NamedTuple):
    """Words in the picture, at pixels (x, y); ``anchor`` is start, middle or end."""

    x: float
    y: float
    anchor: str
    text: str
    tone: str = ""


class Key(NamedTuple):
    """A phase in the legend: its number in the picture, its style, its name, its time and memory in words."""

    number: int
    style: str
    name: str
    words: str


class Stretch(NamedTuple):
    """A phase in the picture: the curve within it, and the words that a pointer over it shows."""

    key: Key
    trace: Trace
    words: str


class Plot:
    """The geometry of a figure in pixels; ``curve.svg.jinja`` draws it."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self.alone = len(figure.runs) == 1
        self.traces = [thin(run.trace) for run in figure.runs]
        highest = max([1.0, *(amount for trace in self.traces for _, amount in trace)])
        budget, cap = figure.budget_mib, figure.cap_mib
        shown_cap = cap if cap is not None and cap <= 4 * highest else None
        self.top = 1.14 * max(highest, budget or 0.0, shown_cap or 0.0)
        self.end = 1.04 * max([0.05, *(trace[-1][0] for trace in self.traces if trace)])
        self.height = figure.height + BAND * bool(figure.phases)
        self.left, self.right, self.floor = LEFT, figure.width - RIGHT, figure.height - BOTTOM
        limits = [("oom-limit", budget, "budget")]
        limits += [("oom-cap", shown_cap, "killed at")] if shown_cap != budget else []
        self.top_edge = TOP
        self.legend = legend(figure)
        self.limits = [limit for limit in limits if limit[1] is not None]
        self.guess = figure.predicted_mib if (figure.predicted_mib or 0.0) <= self.top else None
        self.amounts = [(amount, number(amount)) for amount in ticks(self.top, 4)]
        self.moments = [(moment, f"{number(moment)} s") for moment in ticks(self.end, 4)]

    def x(self, moment: float) -> float:
        """Where a moment, in seconds, stands."""
        return self.left + (self.right - self.left) * moment / self.end

    def y(self, amount: float) -> float:
        """Where an amount, in MiB, stands; one outside the picture stands at its edge."""
        return self.floor - (self.floor - TOP) * max(0.0, min(amount, self.top)) / self.top

    def points(self, trace: Trace) -> str:
        """The points of a curve as SVG has them."""
        return " ".join(f"{self.x(moment):.1f},{self.y(amount):.1f}" for moment, amount in trace)

    def stretches(self) -> Iterator[Stretch]:
        """The phases, each with its part of the curve."""
        keys = {key.name: key for key in self.legend}
        trace = self.traces[0]
        for index, phase in enumerate(self.figure.phases):
            last = index + 1 == len(self.figure.phases)
            end = trace[-1][0] if last else min(phase.end, trace[-1][0])
            start = min(phase.start, end)  # the last sighting may be later than the last sample
            within = [point for point in trace if start < point[0] < end]
            edges = (start, between(trace, start)), (end, between(trace, end))
            words = f"{phase.name}: {number(phase.start)} to {number(phase.end)} s, {change(phase.mib)}"
            yield Stretch(keys[phase.name], [edges[0], *within, edges[1]], words)

    def ends(self) -> list[tuple[float, float]]:
        """The place of a cross for each run that was stopped."""
        runs = zip(self.figure.runs, self.traces, strict=True)
        return [(self.x(trace[-1][0]), self.y(trace[-1][1])) for run, trace in runs if run.ended and trace]

    def notes(self) -> Iterator[Note]:
        """The words beside limits, prediction and end."""
        for _, limit, name in self.limits:
            # Of several runs some may end at this line, each with a cross: the words stand above those.
            across, above, anchor = (LEFT + 4, 5, "start") if self.alone else (self.right, 10, "end")
            yield Note(across, self.y(limit) - above, anchor, f"{name} {mib(limit)}")
        if self.figure.predicted_mib is not None:
            words = f"you predicted {mib(self.figure.predicted_mib)}"
            if self.guess is None:
                yield Note(self.right, 13, "end", f"{words} ↑")
            else:
                yield Note((self.right + LEFT) / 2 + 8, self.y(self.guess) - 5, "middle", words)
        if self.alone:
            for across, down in self.ends():
                words = f"{self.figure.runs[0].ended} after {seconds(self.traces[0][-1][0])}"
                late = across > self.figure.width * 0.4
                beside = min(across + 8, self.right) if late else max(across - 8, LEFT + 4)
                yield Note(beside, max(down - 11, 26), "end" if late else "start", words, "oom-note-bad")


def thin(trace: Trace, most: int = 200) -> list[tuple[float, float]]:
    """At most ``most`` points of a trace: lowest and highest of each stretch, first and last."""
    points = [(float(moment), float(amount)) for moment, amount in trace]
    if len(points) <= most:
        return points
    stretches = (most - 2) // 2
    kept = {0, len(points) - 1}
    for index in range(stretches):
        stretch = range(index * len(points) // stretches, (index + 1) * len(points) // stretches)
        kept |= {choose(stretch, key=lambda index: points[index][1]) for choose in (min, max)}
    return [points[index] for index in sorted(kept)]


def ticks(top: float, about: int) -> list[float]:
    """Round numbers from 0 to ``top``, which is above 0; some ``about`` of them."""
    rough = top / about
    unit = 10.0 ** floor(log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough * 0.999)
    return [index * step for index in range(int(top / step + 1e-9) + 1)]


def between(trace: Trace, moment: float) -> float:
    """The amount at a moment that may lie between two points of a trace."""
    after = bisect_left(trace, moment, key=lambda point: point[0])
    if after in (0, len(trace)):
        return trace[min(after, len(trace) - 1)][1]
    (start, low), (end, high) = trace[after - 1], trace[after]
    return low + (high - low) * (moment - start) / (end - start)


def legend(figure: Figure) -> list[Key]:
    """The phases of a figure, numbered in their order. A phase has the same colour on every card."""
    return [
        Key(index, "oom-rest" if name == OUTSIDE else f"oom-s{PHASES.index(name)}", name, words)
        for index, (name, words) in enumerate(totals(figure.phases).items(), start=1)
    ]


def describe(run: Series, budget_mib: float, phases: Sequence[Phase] = ()) -> str:
    """The picture of one run in a sentence, its phases in another."""
    if not run.trace:
        return f"No memory samples; the budget is {mib(budget_mib)}."
    moment, peak = max(run.trace, key=lambda point: point[1])
    ending = f"it ends there, {run.ended}" if run.ended else "the run ends by itself"
    coloured = f" Phases: {phases_in_words(phases)}." if phases else ""
    return (
        f"Memory above the baseline over {seconds(run.trace[-1][0])}: it starts at {mib(run.trace[0][1])}, "
        f"peaks at {mib(peak)} after {seconds(moment)}; the budget is {mib(budget_mib)}; {ending}.{coloured}"
    )


def in_letters(figure: Figure) -> list[str]:
    """The figure in block characters: one run against its budget, or several against each other with what they show."""
    top = max([1.0, *(amount for run in figure.runs for _, amount in run.trace)])
    if len(figure.runs) > 1:
        width = max(len(run.label) for run in figure.runs)
        return [figure.alt, "", *(f"{run.label.ljust(width)}  {sparkline(run, top)}" for run in figure.runs), ""]
    [run] = figure.runs
    top = max(top, figure.budget_mib or 0.0)
    if not run.trace:
        return [figure.alt]
    row = f"Memory: {sparkline(run, top)} (full height {mib(top)}, {seconds(run.trace[-1][0])})"
    return [row, *([f"Phases: {phases_in_words(figure.phases)}"] if figure.phases else [])]


def sparkline(run: Series, top: float) -> str:
    """A run as one row of block characters: the highest amount of each stretch, ``top`` at full height."""
    columns: list[float | None] = [None] * (LETTERS if run.trace else 0)
    for moment, amount in run.trace:
        column = min(LETTERS - 1, int(LETTERS * moment / (run.trace[-1][0] or 1.0)))
        columns[column] = max(amount, columns[column] or 0.0)
    row, last = "", 0.0
    for amount in columns:
        last = last if amount is None else amount
        row += "▁▂▃▄▅▆▇█"[max(0, min(7, int(8 * last / top)))]
    return row + "✕" * bool(run.ended)
