"""Several runs beside each other: their memory curves in one picture and a table of what was measured."""

from __future__ import annotations

from collections.abc import Mapping

from course_utils.notebook import curve
from course_utils.notebook.card import STATUSES, ending
from course_utils.notebook.render import Card, duration, escape, html_table, mib, shown, text_table, title, value
from course_utils.sandbox import Outcome


def compare(outcomes: Mapping[str, Outcome], alt: str = "") -> None:
    """Show the memory curves of `outcomes` (label -> outcome) over each other, and a table below them.

    `alt` tells a reader who does not see the picture what it shows; the measured figures are added to it.
    Values that the runs reported get a column each. Raises ValueError if there is nothing to compare.
    """
    compare_card(outcomes, alt).show()


def compare_card(outcomes: Mapping[str, Outcome], alt: str = "") -> Card:
    """The card that `compare` shows."""
    if not outcomes:
        raise ValueError("There is no outcome to compare; give a dictionary such as {'naive': naive, 'uint8': lean}.")
    for label, outcome in outcomes.items():
        if not isinstance(outcome, Outcome):
            raise ValueError(f"{label!r} is not the outcome of a sandboxed cell; run that cell with --into NAME first.")
    runs = [curve.Series(str(label), outcome.trace, ending(outcome.status)) for label, outcome in outcomes.items()]
    budgets = {outcome.budget_mib for outcome in outcomes.values()}
    budget = budgets.pop() if len(budgets) == 1 else None
    peaks = ", ".join(f"{label} {mib(outcome.peak_mib)}" for label, outcome in outcomes.items())
    alt = f"{alt.rstrip('. ') or 'Memory of several runs over time'}. Peaks: {peaks}."

    reported = list(dict.fromkeys(name for outcome in outcomes.values() for name in shown(outcome.values)))
    # A budget that all share is a line in the figure.
    header = ["Run", "Outcome", "Peak", *(["Budget"] if budget is None else []), "Time"]
    header += [title(name) for name in reported]
    html_rows, text_rows = [], []
    for number, (label, outcome) in enumerate(outcomes.items()):
        _, word, tone, _ = STATUSES[outcome.status]
        more = "at least " if outcome.status != "finished" else ""
        figures = [f"{more}{mib(outcome.peak_mib)}", *([mib(outcome.budget_mib)] if budget is None else [])]
        figures.append(duration(outcome.seconds))
        figures += [value(outcome.values[name]) if name in outcome.values else "" for name in reported]
        swatch = (
            '<svg class="oom-swatch" viewBox="0 0 28 8" aria-hidden="true">'
            f'<line class="oom-s{number % curve.SERIES_STYLES}" x1="0" y1="4" x2="28" y2="4"/></svg>'
        )
        outcome_cell = f'<span class="oom-tone-{tone}">{word}</span>'
        html_rows.append([swatch + escape(label), outcome_cell, *(escape(figure) for figure in figures)])
        text_rows.append([str(label), word, *figures])
    table = html_table(header, html_rows, numbers=range(2, len(header)))
    svg, alone = (
        curve.picture(runs, alt=alt, budget_mib=budget, width=520, height=240, standalone=standalone)
        for standalone in (False, True)
    )
    top = max([1.0, *(amount for run in runs for _, amount in run.trace)])
    width = max(len(run.label) for run in runs)
    rows = [f"{run.label.ljust(width)}  {curve.sparkline(run.trace, top)}{'✕' if run.ended else ''}" for run in runs]
    text = "\n".join([alt, "", *rows, "", text_table(header, text_rows)])
    return Card(html=f"<figure>{svg}</figure>{table}", text=text, svg=alone)
