"""Memory over time as a small SVG picture, as a row of characters, and as a sentence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import floor, log10

from course_utils.notebook.render import duration, escape, mib, stylesheet

Trace = Sequence[tuple[float, float]]
Scale = Callable[[float], float]
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 24, 30
SERIES_STYLES = 12


@dataclass(frozen=True)
class Series:
    """One run: `trace` in (seconds, MiB); `ended` is what stopped it at its last point, "" if it finished."""

    label: str
    trace: Trace
    ended: str = ""


def thin(trace: Trace, most: int = 200) -> list[tuple[float, float]]:
    """At most `most` points of `trace`: lowest and highest of each stretch, first and last."""
    points = [(float(seconds), float(amount)) for seconds, amount in trace]
    if len(points) <= most:
        return points
    stretches = (most - 2) // 2
    kept = {0, len(points) - 1}
    for number in range(stretches):
        stretch = range(number * len(points) // stretches, (number + 1) * len(points) // stretches)
        kept.add(min(stretch, key=lambda index: points[index][1]))
        kept.add(max(stretch, key=lambda index: points[index][1]))
    return [points[index] for index in sorted(kept)]


def sparkline(trace: Trace, top: float, width: int = 40) -> str:
    """`trace` as one row of block characters: the highest value of each stretch, `top` at full height."""
    if not trace or top <= 0:
        return ""
    end = trace[-1][0] or 1.0
    columns: list[float | None] = [None] * width
    for seconds, amount in trace:
        column = min(width - 1, int(width * seconds / end))
        columns[column] = max(amount, columns[column] or 0.0)
    row, last = "", 0.0
    for amount in columns:
        last = last if amount is None else amount
        row += "▁▂▃▄▅▆▇█"[max(0, min(7, int(8 * last / top)))]
    return row


def ticks(top: float, about: int) -> list[float]:
    """Round numbers from 0 to `top`, some `about` of them."""
    if top <= 0:
        return [0.0]
    rough = top / about
    unit = 10.0 ** floor(log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough * 0.999)
    return [number * step for number in range(int(top / step + 1e-9) + 1)]


def describe(series: Series, budget_mib: float) -> str:
    """The picture of one run in a sentence, for a reader who does not see it."""
    if not series.trace:
        return f"No memory samples; the budget is {mib(budget_mib)}."
    peak_seconds, peak = max(series.trace, key=lambda point: point[1])
    end = series.trace[-1][0]
    ending = f"it ends there, {series.ended}" if series.ended else "the run ends by itself"
    return (
        f"Memory above the baseline over {duration(end)}: it starts at {mib(series.trace[0][1])}, "
        f"peaks at {mib(peak)} after {duration(peak_seconds)}; the budget is {mib(budget_mib)}; {ending}."
    )


def picture(
    series: Sequence[Series],
    *,
    alt: str,
    budget_mib: float | None = None,
    cap_mib: float | None = None,
    predicted_mib: float | None = None,
    width: int = 420,
    height: int = 210,
    standalone: bool = False,
) -> str:
    """An SVG of the runs with the budget line and, where a run was stopped, a cross at that moment.

    `standalone` gives a document of its own with colours that read on light and on dark; else the colours
    come from the card around it.
    """
    traces = [thin(run.trace) for run in series]
    highest = max((amount for trace in traces for _, amount in trace), default=0.0)
    limits = [limit for limit in (budget_mib, cap_mib) if limit is not None and limit <= 4 * max(highest, 1.0)]
    top = 1.14 * max([highest, budget_mib or 0.0, *limits, 1.0])
    end = 1.04 * max([trace[-1][0] for trace in traces if trace] + [0.05])

    def x(seconds: float) -> float:
        return LEFT + (width - LEFT - RIGHT) * seconds / end

    def y(amount: float) -> float:
        return height - BOTTOM - (height - TOP - BOTTOM) * max(0.0, min(amount, top)) / top

    parts = ['<text x="4" y="13">MiB above baseline</text>']
    for amount in ticks(top, 4):
        height_there = f"{y(amount):.1f}"
        ends = f'x1="{LEFT}" x2="{width - RIGHT}" y1="{height_there}" y2="{height_there}"'
        parts.append(f'<line class="oom-grid" {ends}/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(amount) + 4:.1f}" text-anchor="end">{amount:,.6g}</text>')
    for seconds in ticks(end, 4):
        parts.append(f'<text x="{x(seconds):.1f}" y="{height - 10}" text-anchor="middle">{seconds:.6g} s</text>')
    for number, trace in enumerate(traces):
        parts += _trace(trace, number, x, y, fill=len(series) == 1)
    notes = []
    for kind, limit, name in (("oom-limit", budget_mib, "budget"), ("oom-cap", cap_mib, "killed at")):
        if limit is None or limit > top or (kind == "oom-cap" and limit == budget_mib):
            continue
        parts.append(f'<line class="{kind}" x1="{LEFT}" x2="{width - RIGHT}" y1="{y(limit):.1f}" y2="{y(limit):.1f}"/>')
        # Of several runs some may end at this line, each with a cross: the words stand above those.
        across, above, anchor = (LEFT + 4, 5, "start") if len(series) == 1 else (width - RIGHT, 10, "end")
        notes.append(_note(across, y(limit) - above, anchor, f"{name} {mib(limit)}"))
    if predicted_mib is not None:
        notes += _prediction(predicted_mib, top, width, y)
    for run, trace in zip(series, traces, strict=True):
        if run.ended and trace:
            notes += _death(run, trace, x, y, width, named=len(series) == 1)
    size = f'width="{width}" height="{height}" xmlns="http://www.w3.org/2000/svg"' if standalone else ""
    inside = f"<style>{stylesheet('curve.css')}</style>" if standalone else ""
    return (
        f'<svg class="oom-curve" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(alt)}" {size}>'
        f"<title>{escape(alt)}</title>{inside}{''.join(parts + notes)}</svg>"
    )


def _trace(trace: Trace, number: int, x: Scale, y: Scale, *, fill: bool) -> list[str]:
    """The line of one run, with a shaded area below it where it is the only one."""
    if not trace:
        return []
    colour = f"oom-s{number % SERIES_STYLES}"
    points = " ".join(f"{x(seconds):.1f},{y(amount):.1f}" for seconds, amount in trace)
    line = f'<polyline class="{colour} oom-trace" style="fill:none" points="{points}"/>'
    if not fill:
        return [line]
    first, last = x(trace[0][0]), x(trace[-1][0])
    corners = f"{first:.1f},{y(0):.1f} {points} {last:.1f},{y(0):.1f}"
    return [f'<polygon class="{colour} oom-area" points="{corners}"/>', line]


def _prediction(predicted: float, top: float, width: int, y: Scale) -> list[str]:
    """The learner's prediction as a dotted line, or as a note at the edge where it lies above the picture."""
    words = f"you predicted {mib(predicted)}"
    if predicted > top:
        return [_note(width - RIGHT, 13, "end", f"{words} ↑")]
    height = f"{y(predicted):.1f}"
    line = f'<line class="oom-guess" x1="{LEFT}" x2="{width - RIGHT}" y1="{height}" y2="{height}"/>'
    return [line, _note((width + LEFT - RIGHT) / 2 + 8, y(predicted) - 5, "middle", words)]


def _death(run: Series, trace: Trace, x: Scale, y: Scale, width: int, *, named: bool) -> list[str]:
    """A cross where the run was stopped, named above it where it is the only run."""
    across, down = x(trace[-1][0]), y(trace[-1][1])
    cross = f'<path class="oom-death" d="M{across - 5:.1f} {down - 5:.1f}l10 10m0 -10l-10 10"/>'
    if not named:
        return [cross]
    words = f"{run.ended} after {duration(trace[-1][0])}"
    end = across > width * 0.4
    beside = min(across + 8, width - RIGHT) if end else max(across - 8, LEFT + 4)
    return [cross, _note(beside, max(down - 11, 26), "end" if end else "start", words, "oom-note-bad")]


def _note(across: float, down: float, anchor: str, words: str, more: str = "") -> str:
    place = f'x="{across:.1f}" y="{down:.1f}" text-anchor="{anchor}"'
    return f'<text class="oom-note {more}" {place}>{escape(words)}</text>'
