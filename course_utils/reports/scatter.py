"""Memory against accuracy: one picture with a panel a lab, a mark an answer, and lines for budget and floor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, floor, log2
from typing import Any

from course_utils.grading.record import clean

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 330, 60, 600, 40, 280
LEAST = 1.0  # MiB: a smaller peak is drawn at the edge
NAMED = 9  # so many answers get a number and a line below the picture; of more, the pointer shows the name


def as_svg(records: Sequence[Mapping[str, Any]]) -> str:
    """One panel a lab. Of a record count student, lab, verdict, peak_mib, budget_mib, accuracy and floor."""
    shown = [record for record in records if record["peak_mib"] is not None and record["budget_mib"]]
    panels, y = [], 10
    for lab in sorted({record["lab"] for record in shown}):
        drawn, height = _panel(lab, [record for record in shown if record["lab"] == lab])
        panels.append(f'<g transform="translate(0 {y})">{drawn}</g>')
        y += height
    left_out = len(records) - len(shown)
    rest = "".join(panels) + _text(LEFT, y + 16, f"Answers that did not run, and are not shown: {left_out}.")
    y += 32
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" role="img" '
        f'font-family="sans-serif" font-size="13" fill="#1f2328"><title>Peak memory against accuracy</title>'
        f'<rect width="100%" height="100%" fill="#ffffff"/>{rest}</svg>\n'
    )


def _panel(lab: str, records: Sequence[Mapping[str, Any]]) -> tuple[str, int]:
    peaks = [max(LEAST, record[name]) for record in records for name in ("peak_mib", "budget_mib")]
    low, high = floor(log2(min(peaks))), ceil(log2(max(peaks) * 1.1))

    def x(mib: float) -> float:
        return LEFT + (log2(max(LEAST, mib)) - low) / (high - low) * (RIGHT - LEFT)

    def y(share: float) -> float:
        return BOTTOM - share * (BOTTOM - TOP)

    drawn = [_text(LEFT, 16, f"Lab {lab}: accuracy against peak memory", "bold")]
    for share in (0, 0.25, 0.5, 0.75, 1):
        drawn += [_line(LEFT, y(share), RIGHT, y(share), "#d0d7de"), _text(LEFT - 42, y(share) + 4, f"{share:.0%}")]
    for power in range(low, high + 1):
        drawn += [
            _line(x(2**power), TOP, x(2**power), BOTTOM, "#d0d7de"),
            _text(x(2**power) - 12, 297, f"{2**power:,}"),
        ]
    drawn.append(
        _text(LEFT, 316, "Peak in MiB, doubling from line to line. A cross did not finish; a ring did not pass.")
    )
    budget, share = records[0]["budget_mib"], records[0]["floor"]
    drawn += [_line(x(budget), TOP, x(budget), BOTTOM, "#0550ae", 2), _text(x(budget) + 4, TOP - 6, "budget")]
    drawn += [_line(LEFT, y(share), RIGHT, y(share), "#0550ae", 2), _text(RIGHT - 32, y(share) - 5, "floor")]
    height = HEIGHT
    numbered: list[tuple[float, float]] = []
    for number, record in enumerate(records, start=1):
        result = "no accuracy" if record["accuracy"] is None else f"{record['accuracy']:.1%}"
        name = f"{record['student']}: {record['peak_mib']:,.0f} MiB, {result}, {record['verdict'].replace('_', ' ')}"
        across, up = x(record["peak_mib"]), y(record["accuracy"] or 0)
        drawn.append(f"<g><title>{escape(clean(name))}</title>{_mark(across, up, record)}</g>")
        if len(records) <= NAMED:
            beside = sum(abs(across - x_there) < 20 and abs(up - y_there) < 14 for x_there, y_there in numbered)
            numbered.append((across, up))
            drawn.append(_text(across + 8 + 14 * beside, up - 6, str(number), "bold"))
            drawn.append(_text(LEFT, height + 4, f"{number}  {name}"))
            height += 20
    return "".join(drawn), height + 14


def _mark(x: float, y: float, record: Mapping[str, Any]) -> str:
    if record["accuracy"] is None:
        return f'<path d="M{x - 5:.1f} {y - 5:.1f}l10 10m0 -10l-10 10" stroke="#b31d28" stroke-width="3"/>'
    colour, inside = ("#1a7f37", "#1a7f37") if record["verdict"] == "passed" else ("#b31d28", "#ffffff")
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{inside}" stroke="{colour}" stroke-width="2"/>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: int = 1) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{colour}" stroke-width="{width}"/>'


def _text(x: float, y: float, text: str, weight: str = "normal") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-weight="{weight}">{escape(clean(text))}</text>'
