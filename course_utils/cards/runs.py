"""The cards of sandboxed runs: one run, several side by side, one that goes on; and a notice without a run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from course_utils import causes, labs
from course_utils.cards import curve, device
from course_utils.cards import document as card
from course_utils.grading.record import Record
from course_utils.postmortem.phases import Phase
from course_utils.postmortem.summary import Grower, Line, alive, condense, growth_in_words, place
from course_utils.sandbox import Outcome
from course_utils.units import mib, number, seconds

SMALL_MIB = 5.0  # Keras, loaded by a cell that defines a model, takes 3.4


class Result(NamedTuple):
    """How a card shows a status or a verdict; ``ending`` stands at the last point of the curve."""

    symbol: str
    word: str
    tone: str
    ending: str = ""


RESULTS = {
    "finished": Result("✓", "Finished", "good"),
    "passed": Result("✓", "Passed", "good"),
    "over_budget": Result("✕", "Over budget", "warn"),
    "inaccurate": Result("✕", "Not accurate enough", "warn"),
    "out_of_memory": Result("✕", "Out of memory", "bad", "killed"),
    "out_of_gpu_memory": Result("✕", "Out of GPU memory", "bad", "failed"),
    "out_of_disk": Result("✕", "Too much on the disk", "bad", "killed"),
    "timed_out": Result("✕", "Timed out", "warn", "stopped"),
    "raised": Result("✕", "Stopped by an error", "warn", "error"),
    "died": Result("✕", "Died", "bad", "died"),
    "not_attempted": Result("○", "Not attempted yet", "plain"),
    "rejected": Result("✕", "Cannot be graded", "warn"),
}


def outcome_card(
    outcome: Outcome,
    *,
    predicted_mib: float | None = None,
    label: str = "",
    name: str = "",
    ran_before: Sequence[str] = (),
) -> card.Document:
    """The card of one sandboxed run.

    ``predicted_mib`` is what the learner wrote down before, ``name`` the name of a cell that is there for later cells
    to run after it ("" for another), ``ran_before`` the names of the cells that ran before it in the same namespace.
    """
    result = RESULTS[outcome.status]
    if name and _only_defines(outcome, predicted_mib):
        figures = f": {seconds(outcome.seconds)}, peak {mib(outcome.peak_mib)}"
        words = f"{label}. " * bool(label) + f"Ran after {_listed(ran_before)}. " * bool(ran_before)
        words += f"Later cells can run after it with `--after {name}`."
        return card.Document([card.Head(result.symbol, result.word, figures, words)], result.tone)
    blocks: list[card.Block] = [card.Head(result.symbol, result.word, label=label), card.Paragraph(outcome.message)]
    blocks += places(outcome.where, outcome.blame, label)
    blocks += [card.Code(outcome.traceback.rstrip())] if outcome.traceback else []
    blocks += explanation(outcome, outcome.growers, label)
    peak = f"{mib(outcome.peak_mib)} of {mib(outcome.budget_mib)}, {seconds(outcome.seconds)}"
    of_machine = "Peak of the machine's memory" if device.is_the_matter(outcome) else "Peak"
    reported = "\n".join(f"{title(name)}: {number(value)}" for name, value in shown(outcome.values).items())
    facts = [
        card.Fact(of_machine, peak, card.Bar(outcome.peak_mib, outcome.budget_mib, f"{of_machine} {peak}")),
        card.Fact("Ran before it", _ran_before(ran_before)),
        card.Fact("Your prediction", compare_prediction(predicted_mib, outcome)),
        card.Fact("It asked for", outcome.allocation),
        *device.facts(outcome),
        card.Fact("Reported", reported),
    ]
    beside: list[card.Fact | card.Table] = [fact for fact in facts if fact.text]
    if outcome.status != "finished" and (entries := alive(outcome.ledger)):
        rows = [(f"`{name}`" if held else name, what, memory) for held, name, what, memory in entries]
        caption = "Largest objects alive shortly before"
        beside.append(card.Table(("Name", "What it is", "Memory"), rows, 2, caption, stacked=False))
    method = (
        f"Counted above a baseline of {mib(outcome.baseline_mib)} by {outcome.method} "
        f"every {number(outcome.interval_ms)} ms; isolation: {outcome.isolation}.{device.method(outcome)}"
    )
    if device.is_the_matter(outcome):
        figure = device.figure(outcome, label, result.ending)
    else:
        run = card.Series(label, outcome.trace, result.ending)
        figure = one_run(run, outcome.budget_mib, outcome.cap_mib, predicted_mib, condense(outcome.phases))
    return card.Document([*blocks, card.Columns(figure, beside), card.Paragraph(foot=True, text=method)], result.tone)


def comparison_card(outcomes: Mapping[str, Outcome], alt: str = "") -> card.Document:
    """The memory curves of ``outcomes`` (label -> outcome) over each other, and a table below them.

    ``alt`` tells a reader who does not see the picture what it shows; the measured figures are added to it. The values
    that the runs reported get a column each. Raises ValueError if there is nothing to compare.
    """
    if not outcomes:
        raise ValueError("There is no outcome to compare; give a dictionary such as {'naive': naive, 'uint8': lean}.")
    for label, outcome in outcomes.items():
        if not isinstance(outcome, Outcome):
            raise ValueError(f"{label!r} is not the outcome of a sandboxed cell; run that cell with --into NAME first.")
    budgets = {outcome.budget_mib for outcome in outcomes.values()}
    budget = budgets.pop() if len(budgets) == 1 else None
    peaks = ", ".join(f"{label} {mib(outcome.peak_mib)}" for label, outcome in outcomes.items())
    alt = f"{alt.rstrip('. ') or 'Memory of several runs over time'}. Peaks: {peaks}."
    reported = list(dict.fromkeys(name for outcome in outcomes.values() for name in shown(outcome.values)))
    # A budget that all runs share is a line in the figure.
    header = ["Run", "Outcome", "Peak", *(["Budget"] if budget is None else []), "Time", *map(title, reported)]
    rows, runs = [], []
    for index, (label, outcome) in enumerate(outcomes.items()):
        result = RESULTS[outcome.status]
        peak = f"{'' if outcome.status == 'finished' else 'at least '}{mib(outcome.peak_mib)}"
        row = [card.Cell(str(label), series=index), card.Cell(result.word, result.tone), peak]
        row += [mib(outcome.budget_mib)] if budget is None else []
        row += [seconds(outcome.seconds)]
        row += [number(outcome.values[name]) if name in outcome.values else "" for name in reported]
        rows.append(row)
        runs.append(card.Series(str(label), outcome.trace, result.ending))
    return card.Document([card.Figure(runs, alt, budget, width=520, height=240), card.Table(header, rows, 2)])


def status_card(
    elapsed: float, amount: float, peak: float, budget_mib: float, doing: str = "Running", note: str = ""
) -> card.Document:
    """The line that shows memory against the budget while a run goes on; ``note`` stands below it."""
    words = f"{doing}, {seconds(elapsed)}: {mib(amount)} of {mib(budget_mib)}, peak {mib(peak)}"
    status = card.Paragraph(words, card.Bar(amount, budget_mib, words, mark=peak))
    return card.Document([status, *([card.Paragraph(note, foot=True)] if note else [])])


def notice_card(symbol: str, word: str, sentences: Sequence[str], tone: str = "warn") -> card.Document:
    """A card of a few sentences without a curve."""
    return card.Document([card.Head(symbol, word), *map(card.Paragraph, sentences)], tone)


def cause_card(found: causes.Explanation) -> card.Document:
    """The card of what an error text means."""
    link = lab_link(found.lab) if found.lab else None
    facts = [card.Paragraph(found.why), card.Fact("What to do", found.fix, link=link)]
    return card.Document([card.Head("→", found.title), *(fact for fact in facts if fact.text)])


def one_run(
    run: card.Series,
    budget_mib: float,
    cap_mib: float,
    predicted_mib: float | None = None,
    phases: Sequence[Phase] = (),
) -> card.Figure:
    """The figure of one run; ``phases`` are at most as many as a picture can show."""
    alt = curve.describe(run, budget_mib, phases)
    return card.Figure([run], alt, budget_mib, cap_mib, predicted_mib, phases=phases)


def places(where: Line | None, blame: Line | None, label: str = "") -> list[card.Block]:
    """The line that was executing, as the learner wrote it; where the line to blame is another one, both."""
    lines: list[card.Block] = []
    for line in (where, blame):
        function = getattr(line, "function", "")
        inside = f" in {function}" if function and not function.startswith("<") else ""
        lines += [card.Code(line.source.strip(), place(line, label) + inside)] if line else []
    if where and blame and blame != where:
        both = f"It died at {place(where, label)}; the memory came at {place(blame, label)}."
        return [card.Paragraph(both), *lines]
    return lines[:1]


def explanation(run: Outcome | Record, growers: Sequence[Grower], label: str = "") -> list[card.Block]:
    """Who grew, why a run died, and what to do."""
    link = lab_link(run.cause_lab) if run.cause_lab else None
    facts = [
        card.Fact("Likely cause", run.cause, link=None if run.remedy else link),
        card.Fact("What to do", run.remedy, link=link),
    ]
    told: list[card.Block] = [fact for fact in facts if fact.text]
    if not growers or not run.peak_mib:
        return told
    rows = growth_in_words(growers, run.peak_mib, [run.where, run.blame], label)
    return [
        card.Table(("Memory", "Line", "Phase"), rows, caption="What was running while the memory grew", stacked=False),
        *told,
    ]


def compare_prediction(predicted_mib: float | None, outcome: Outcome) -> str:
    """The learner's prediction against the measured peak, in a sentence; "" without a prediction."""
    if predicted_mib is None:
        return ""
    said, peak = f"You predicted {mib(predicted_mib)}", mib(outcome.peak_mib)
    if outcome.status != "finished":
        enough = predicted_mib > outcome.peak_mib * 0.98
        so = "so you may have been right" if enough else "so it needs more than you thought"
        return f"{said}. The run had reached {peak} when it was stopped, {so}."
    if outcome.peak_mib <= 0:
        return f"{said}; the run needed nothing that could be measured."
    ratio = predicted_mib / outcome.peak_mib
    off = f"{max(ratio, 1 / ratio):.1f} times too {'high' if ratio > 1 else 'low'}"
    return f"{said} and the run needed {peak}: {'within 10%' if 0.9 <= ratio <= 1.1 else off}."


def shown(values: Mapping[str, object]) -> dict[str, object]:
    """The reported values that are for the reader: a name that begins with an underscore is for later cells only."""
    return {name: value for name, value in values.items() if not name.startswith("_")}


def title(name: str) -> str:
    """The name of a reported value as a heading: "answers_s" gives "Answers (s)", "growth_mib" "Growth (MiB)"."""
    for suffix, unit in (("_mib", "MiB"), ("_s", "s")):
        if name.endswith(suffix):
            return f"{title(name.removesuffix(suffix))} ({unit})"
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]


def lab_link(lab_number: str) -> tuple[str, str]:
    """The name of a lab and its address: on the course's site if COURSE_UTILS_SITE is set, else the notebook beside
    this one; "" if there is neither."""
    try:
        lab = labs.get(lab_number)
    except labs.UnknownLab:
        return f"lab {lab_number}", ""
    name = f"lab {lab.number}, {lab.title}"
    if site := os.environ.get("COURSE_UTILS_SITE"):
        return name, f"{site.rstrip('/')}/labs/{lab.name}.html"
    notebooks = [Path(folder, f"{lab.name}.ipynb") for folder in (".", "../labs")]
    return name, next((path.as_posix() for path in notebooks if path.exists()), "")


def _only_defines(outcome: Outcome, predicted_mib: float | None) -> bool:
    """Whether there is nothing to see: a page with many cells of functions stays readable."""
    small = outcome.status == "finished" and outcome.peak_mib < SMALL_MIB
    return small and not (outcome.figures or outcome.values or predicted_mib)


def _ran_before(names: Sequence[str]) -> str:
    """The cells that ran first, in a sentence."""
    if not names:
        return ""
    several = len(names) > 1
    listed = f"cells {_listed(names)}, in this order" if several else f"cell {_listed(names)}"
    return f"The {listed}. The peak and the time include {'them' if several else 'it'}."


def _listed(names: Sequence[str]) -> str:
    """Names in a row: `a`, `b` and `c`."""
    quoted = [f"`{name}`" for name in names]
    return f"{', '.join(quoted[:-1])} and {quoted[-1]}" if quoted[1:] else quoted[0] if quoted else ""
