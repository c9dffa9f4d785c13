"""The card of a graded cell: verdict and score, memory against the budget, accuracy against the floor."""

from __future__ import annotations

from course_utils.grading.record import Record
from course_utils.labs import LabSpec
from course_utils.notebook import curve
from course_utils.notebook.card import drawing, ending, head_html, line_html, line_text, memory_text
from course_utils.notebook.render import Card, bar, clean, duration, escape, mib, prose, text_bar
from course_utils.sandbox import Where

# verdict -> (symbol, words, tone)
VERDICTS = {
    "passed": ("✓", "Passed", "good"),
    "over_budget": ("✕", "Over budget", "warn"),
    "inaccurate": ("✕", "Not accurate enough", "warn"),
    "out_of_memory": ("✕", "Out of memory", "bad"),
    "out_of_gpu_memory": ("✕", "Out of GPU memory", "bad"),
    "timed_out": ("✕", "Timed out", "warn"),
    "raised": ("✕", "Stopped by an error", "warn"),
    "died": ("✕", "Died", "bad"),
    "not_attempted": ("○", "Not attempted yet", "plain"),
    "rejected": ("✕", "Cannot be graded", "warn"),
}


def percent(share: float) -> str:
    """A share of 1 as a percentage with one decimal."""
    return f"{100 * share:.1f} %"


def verdict_card(record: Record, lab: LabSpec, hints_shown: int = 0) -> Card:
    """The card of one graded run; `hints_shown` decides which hint it offers next."""
    symbol, word, tone = VERDICTS[record.verdict]
    score = "" if record.verdict == "not_attempted" else f", {record.score:g} of 100"
    place = f"Lab {lab.number}, {lab.title}"
    where = Where(**dict(record.where)) if record.where else None
    facts, text = [], []
    peak, budget, accuracy, floor = (getattr(record, name) for name in ("peak_mib", "budget_mib", "accuracy", "floor"))
    if peak is not None and budget:
        words, tone_there = f"{mib(peak)}, budget {mib(budget)}", "good" if peak <= budget else "bad"
        drawn = bar(peak, lab.cap_mib, mark=budget, describe=words, tone=tone_there)
        facts.append(f"<p><b>Peak memory</b>{words}{drawn}</p>")
        text.append(f"Peak memory: {text_bar(peak, lab.cap_mib)} {words}, killed at {mib(lab.cap_mib)}")
    if accuracy is not None and floor is not None:
        words, tone_there = f"{percent(accuracy)}, floor {percent(floor)}", "good" if accuracy >= floor else "bad"
        drawn = bar(accuracy, 1, mark=floor, describe=words, tone=tone_there)
        facts.append(f"<p><b>Accuracy on images you never saw</b>{words}{drawn}</p>")
        text.append(f"Accuracy:    {text_bar(accuracy, 1)} {words}")
    if record.seconds is not None:
        words = f"{duration(record.seconds)} of {duration(record.time_limit)}"
        facts.append(f"<p><b>Time</b>{words}</p>")
        text.append(f"Time: {words}")
    run = curve.Series("", record.trace, ending(record.verdict))
    figure, svg = drawing(run, lab.budget_mib, lab.cap_mib)
    text += memory_text(run, lab.budget_mib) if record.trace else []
    offer = next_step(record, lab, hints_shown)
    method = (
        f"Counted above a baseline of {mib(record.baseline_mib)} by {record.method}; isolation: {record.isolation}."
    )
    foot = f'<p class="oom-foot">{escape(method)}</p>' if peak is not None else ""
    html = (
        f"{head_html(symbol, word + score, place)}<p>{prose(record.message)}</p>{line_html(where)}"
        f'<div class="oom-columns">{figure}<div class="oom-facts">{"".join(facts)}</div></div>'
        f"<p>{escape(offer)}</p>{foot}"
    )
    lines = [
        f"{symbol} {word.upper()}{score} ({place})",
        clean(record.message),
        *line_text(where),
        *text,
        offer,
    ]
    lines += [method] if peak is not None else []
    return Card(html=html, text="\n".join(line for line in lines if line), svg=svg, tone=tone)


def next_step(record: Record, lab: LabSpec, hints_shown: int) -> str:
    """What to do now: hand in, take the next hint, or try again."""
    if record.verdict == "passed":
        return f"To hand it in: %course submit {lab.number}"
    if hints_shown < len(lab.hints):
        return f"Stuck? %course hint {lab.number} shows hint {hints_shown + 1} of {len(lab.hints)}."
    return "You have seen all hints; change the cell and run it again."
