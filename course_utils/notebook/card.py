"""The card under a sandboxed cell: what stopped it and at which line, then how memory went, then why."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from course_utils import labs
from course_utils.notebook import curve
from course_utils.notebook.render import (
    Card,
    bar,
    clean,
    duration,
    escape,
    html_table,
    mib,
    prose,
    shown,
    text_bar,
    text_table,
    title,
    value,
)
from course_utils.sandbox import Outcome, Where

# status -> (symbol, words, tone, what the curve says at its last point)
STATUSES = {
    "finished": ("✓", "Finished", "good", ""),
    "out_of_memory": ("✕", "Out of memory", "bad", "killed"),
    "out_of_gpu_memory": ("✕", "Out of GPU memory", "bad", "failed"),
    "timed_out": ("✕", "Timed out", "warn", "stopped"),
    "raised": ("✕", "Stopped by an error", "warn", "error"),
    "died": ("✕", "Died", "bad", "died"),
}


def ending(status: str) -> str:
    """The word at the last point of a curve, "" for a run that finished."""
    return STATUSES.get(status, ("", "", "", ""))[3]


def outcome_card(
    outcome: Outcome, *, predicted_mib: float | None = None, label: str = "", ran_before: Sequence[str] = ()
) -> Card:
    """The card of one sandboxed run; `predicted_mib` is what the learner wrote down before, `ran_before` the names of
    the cells that ran before it in the same namespace."""
    symbol, word, tone, ended = STATUSES[outcome.status]
    run = curve.Series(label, outcome.trace, ended)
    figure, svg = drawing(run, outcome.budget_mib, outcome.cap_mib, predicted_mib)
    peak = f"{mib(outcome.peak_mib)} of {mib(outcome.budget_mib)}, {duration(outcome.seconds)}"
    facts = [
        ("Ran before it", ", ".join(ran_before)),
        ("Your prediction", compare_prediction(predicted_mib, outcome)),
        ("It asked for", outcome.allocation),
        ("GPU peak", "" if outcome.gpu_peak_mib is None else mib(outcome.gpu_peak_mib)),
    ]
    facts = [(name, fact) for name, fact in facts if fact]
    reported = [f"{title(name)}: {value(number)}" for name, number in shown(outcome.values).items()]
    drawn = bar(outcome.peak_mib, outcome.budget_mib, describe=f"Peak {peak}")

    html = [head_html(symbol, word, label), f"<p>{prose(outcome.message)}</p>", line_html(outcome.where, label)]
    html += [f"<pre>{escape(outcome.traceback.rstrip())}</pre>"] if outcome.traceback else []
    html.append(f'<div class="oom-columns">{figure}<div class="oom-facts"><p><b>Peak</b>{peak}{drawn}</p>')
    html += [f"<p><b>{name}</b>{prose(fact)}</p>" for name, fact in facts]
    html += [f"<p><b>Reported</b>{'<br>'.join(map(escape, reported))}</p>"] if reported else []
    if outcome.cause:
        html.append(f"<p><b>Likely cause</b>{prose(outcome.cause)}{_lab_html(outcome.cause_lab)}</p>")
    if outcome.live:
        cells = [
            (f"<code>{escape(item['name'])}</code>", escape(item["what"]), mib(item["mib"])) for item in outcome.live
        ]
        table = html_table(("Name", "What it is", "Memory"), cells, numbers=(2,))
        html.append(f'<span class="oom-caption">Largest objects alive shortly before</span>{table}')
    html.append(f'</div></div><p class="oom-foot">{escape(method_sentence(outcome))}</p>')

    text = [f"{symbol} {word.upper()}{f' ({clean(label)})' if label else ''}", clean(outcome.message)]
    text += line_text(outcome.where, label)
    text += ["", clean(outcome.traceback.rstrip()), ""] if outcome.traceback else []
    text += [f"Peak: {text_bar(outcome.peak_mib, outcome.budget_mib)} {peak}", *memory_text(run, outcome.budget_mib)]
    text += [f"{name}: {clean(fact)}" for name, fact in facts]
    text += [f"Reported: {'; '.join(reported)}"] if reported else []
    text += [f"Likely cause: {clean(outcome.cause)}{_lab_text(outcome.cause_lab)}"] if outcome.cause else []
    if outcome.live:
        rows = [(item["name"], item["what"], mib(item["mib"])) for item in outcome.live]
        text += ["Largest objects alive shortly before:", text_table(("name", "what it is", "memory"), rows, "  ")]
    text.append(method_sentence(outcome))
    return Card(html="".join(html), text="\n".join(text), svg=svg, tone=tone)


def drawing(
    run: curve.Series, budget_mib: float, cap_mib: float, predicted_mib: float | None = None
) -> tuple[str, str]:
    """The curve of one run as an HTML figure and as an SVG of its own; both "" where there is hardly a point."""
    if len(run.trace) < 3:
        return "", ""
    limits = {"budget_mib": budget_mib, "cap_mib": cap_mib, "predicted_mib": predicted_mib}
    alt = curve.describe(run, budget_mib)
    inline, alone = (curve.picture([run], alt=alt, **limits, standalone=standalone) for standalone in (False, True))
    return f"<figure>{inline}</figure>", alone


def compare_prediction(predicted_mib: float | None, outcome: Outcome) -> str:
    """What the learner predicted against what was measured, in a sentence; "" without a prediction."""
    if predicted_mib is None:
        return ""
    said = f"You predicted {mib(predicted_mib)}"
    if outcome.status != "finished":
        said = f"{said}. The run had reached {mib(outcome.peak_mib)} when it was stopped"
        enough = predicted_mib > outcome.peak_mib * 0.98
        return f"{said}, so you may have been right." if enough else f"{said}, so it needs more than you thought."
    if outcome.peak_mib <= 0:
        return f"{said}; the run needed nothing that could be measured."
    ratio = predicted_mib / outcome.peak_mib
    if 0.9 <= ratio <= 1.1:
        return f"{said} and the run needed {mib(outcome.peak_mib)}: within 10 percent."
    direction = "high" if ratio > 1 else "low"
    return f"{said} and the run needed {mib(outcome.peak_mib)}: {max(ratio, 1 / ratio):.1f} times too {direction}."


def method_sentence(outcome: Outcome) -> str:
    """How the memory was measured, in a sentence."""
    return (
        f"Counted above a baseline of {mib(outcome.baseline_mib)} by {outcome.method} "
        f"every {outcome.interval_ms:.3g} ms; isolation: {outcome.isolation}."
    )


def memory_text(run: curve.Series, budget_mib: float) -> list[str]:
    """The curve in characters, or a sentence where there is none."""
    top = max([budget_mib, *(amount for _, amount in run.trace)])
    row = curve.sparkline(run.trace, top)
    if not row:
        return [curve.describe(run, budget_mib)]
    return [f"Memory: {row}{'✕' if run.ended else ''} (full height {mib(top)}, {duration(run.trace[-1][0])})"]


def head_html(symbol: str, word: str, label: str = "") -> str:
    """The first line of a card."""
    words = f'<span aria-hidden="true">{symbol}</span> {escape(word)}<small>{escape(label)}</small>'
    return f'<p class="oom-head">{words}</p>'


def line_html(where: Where | None, label: str = "") -> str:
    """The line that was executing, as the learner wrote it."""
    if where is None:
        return ""
    return f"<pre><b>{escape(_place(where, label))}</b>{escape(where.source.strip())}</pre>"


def line_text(where: Where | None, label: str = "") -> list[str]:
    """The same in plain text."""
    return [f"  {clean(_place(where, label))}:  {clean(where.source.strip())}"] if where else []


def _place(where: Where, label: str) -> str:
    cell = "" if where.cell in ("", label, THIS_CELL) else f"{where.cell}, "
    function = f" in {where.function}" if where.function and not where.function.startswith("<") else ""
    return f"{cell}line {where.line}{function}"


THIS_CELL = "this cell"


def lab_link(number: str) -> tuple[str, str]:
    """The name of a lab and its address: on the course's site where COURSE_UTILS_SITE tells it, else the
    notebook beside this one; "" where there is neither."""
    try:
        lab = labs.get(number)
    except labs.UnknownLab:
        return f"lab {number}", ""
    name = f"lab {lab.number}, {lab.title}"
    if site := os.environ.get("COURSE_UTILS_SITE"):
        return name, f"{site.rstrip('/')}/labs/{lab.name}.html"
    for folder in (Path(), Path("..", "labs")):
        if (folder / f"{lab.name}.ipynb").exists():
            return name, (folder / f"{lab.name}.ipynb").as_posix()
    return name, ""


def _lab_html(number: str) -> str:
    if not number:
        return ""
    name, address = lab_link(number)
    return f' See <a href="{escape(address)}">{escape(name)}</a>.' if address else f" See {escape(name)}."


def _lab_text(number: str) -> str:
    return f" See {lab_link(number)[0]}." if number else ""


def status_card(seconds: float, amount: float, peak: float, budget_mib: float, doing: str = "Running") -> Card:
    """The line that shows memory against the budget while a run goes on."""
    words = f"{doing}, {duration(seconds)}: {mib(amount)} of {mib(budget_mib)}, peak {mib(peak)}"
    html = f"<p>{escape(words)}{bar(amount, budget_mib, mark=peak, describe=words)}</p>"
    return Card(html=html, text=f"{text_bar(amount, budget_mib)} {words}")


def notice_card(symbol: str, word: str, sentences: Sequence[str], tone: str = "warn") -> Card:
    """A card of a few sentences without a curve."""
    body = "".join(f"<p>{prose(sentence)}</p>" for sentence in sentences)
    text = "\n".join([f"{symbol} {word.upper()}", *(clean(sentence) for sentence in sentences)])
    return Card(html=head_html(symbol, word) + body, text=text, tone=tone)
