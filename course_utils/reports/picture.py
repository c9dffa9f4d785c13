"""A class in one picture: peak memory against accuracy, a panel a lab, with lines for budget and floor."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

from course_utils.grading.record import clean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMED = 9  # so many answers have their names beside them
PASSED, FAILED, LINE = "#1a7f37", "#b31d28", "#0550ae"
LEAST = 1.0  # MiB: a smaller peak is drawn at the edge


class Point(Protocol):
    """One answer: a :class:`Record` is one. ``accuracy`` is None where the answer did not finish."""

    student: str
    lab: str
    verdict: Any
    peak_mib: float | None
    budget_mib: float | None
    accuracy: float | None
    floor: float | None


def draw(points: Iterable[Point]) -> Figure:
    """Draw the answers that ran: a dot passed, a ring did not, a cross did not finish."""
    from matplotlib.figure import Figure

    by_lab: dict[str, list[Point]] = {}
    for point in points:
        if point.peak_mib is not None and point.budget_mib:
            by_lab.setdefault(point.lab, []).append(point)
    figure = Figure(figsize=(7, max(1, 3.8 * len(by_lab))), layout="constrained")
    for row, (lab, shown) in enumerate(sorted(by_lab.items()), start=1):
        axes = figure.add_subplot(len(by_lab), 1, row)
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
        axes.set(title=f"Lab {lab}", xlabel="peak in MiB", ylabel="accuracy", ylim=(-0.05, 1.05))
        axes.grid(color="#d0d7de")
        axes.axvline(shown[0].budget_mib, color=LINE)
        axes.axhline(shown[0].floor or 0, color=LINE)
        axes.text(shown[0].budget_mib, 1.06, "budget", color=LINE, ha="center")
        for point in shown:
            place = max(LEAST, point.peak_mib or 0), point.accuracy or 0
            colour = PASSED if point.verdict == "passed" else FAILED
            marker, face = ("x", colour) if point.accuracy is None else ("o", colour if colour == PASSED else "white")
            axes.plot(*place, marker=marker, color=colour, markerfacecolor=face, linestyle="", gid=f"answer-{row}")
            if len(shown) <= NAMED:
                name = clean(point.student, 40).replace("$", r"\$")
                axes.annotate(name, place, xytext=(5, 5), textcoords="offset points", fontsize=8)
    return figure


def as_svg(points: Iterable[Point]) -> str:
    """The picture as SVG, with texts as texts."""
    import matplotlib

    text = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "course"}):
        draw(points).savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
