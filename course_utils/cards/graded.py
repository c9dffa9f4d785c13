"""The cards of graded answers: the verdict on one, and the state of all labs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from course_utils.cards import document as card
from course_utils.cards.runs import RESULTS, explanation, one_run, places
from course_utils.grading.record import Record
from course_utils.labs import LabSpec
from course_utils.units import mib, percent, seconds


def verdict_card(record: Record, lab: LabSpec, hints_shown: int = 0) -> card.Document:
    """The card of one graded answer; ``hints_shown`` decides which hint it offers next."""
    result = RESULTS[record.verdict]
    score = "" if record.verdict == "not_attempted" else f", {record.score:g} of 100"
    facts: list[card.Fact | card.Table] = []
    if record.peak_mib is not None and record.budget_mib:
        words = f"{mib(record.peak_mib)}, budget {mib(record.budget_mib)}"
        tone = "good" if record.peak_mib <= record.budget_mib else "bad"
        bar = card.Bar(record.peak_mib, lab.cap_mib, words, record.budget_mib, tone)
        facts.append(card.Fact("Peak memory", words, bar))
    if record.accuracy is not None and record.floor is not None:
        words = f"{percent(record.accuracy)} on images you never saw, floor {percent(record.floor)}"
        tone = "good" if record.accuracy >= record.floor else "bad"
        facts.append(card.Fact("Accuracy", words, card.Bar(record.accuracy, 1, words, record.floor, tone)))
    if record.cpu_seconds is not None:
        facts.append(card.Fact("CPU time", f"{seconds(record.cpu_seconds)} of {seconds(record.time_limit)}"))
    # The message ends with the cause, which has a place of its own on the card.
    message = record.message.removesuffix(f" Likely cause: {record.cause}") if record.cause else record.message
    head = card.Head(result.symbol, result.word, score, f"Lab {lab.number}, {lab.title}")
    blocks: list[card.Block] = [head, card.Paragraph(message), *places(record.where, record.blame)]
    blocks += explanation(record, record.growth)
    if facts or record.trace:
        run = card.Series("", record.trace, result.ending)
        blocks.append(card.Columns(one_run(run, lab.budget_mib, lab.cap_mib, phases=record.phases), facts))
    blocks.append(card.Paragraph(next_step(record, lab, hints_shown)))
    if record.peak_mib is not None:
        how = f"by {record.method}; isolation: {record.isolation}"
        blocks.append(card.Paragraph(foot=True, text=f"Counted above a baseline of {mib(record.baseline_mib)} {how}."))
    return card.Document(blocks, result.tone)


def next_step(record: Record, lab: LabSpec, hints_shown: int) -> str:
    """What to do now: hand in, take the next hint, or try again."""
    if record.verdict == "passed":
        return f"To hand it in: %course submit {lab.number}"
    if hints_shown < len(lab.hints):
        return f"Stuck? %course hint {lab.number} shows hint {hints_shown + 1} of {len(lab.hints)}."
    return "You have seen all hints; change the cell and run it again."


def progress_card(
    entries: Mapping[str, Mapping[str, Any]], all_labs: Sequence[LabSpec], kept_in: str, warning: str = ""
) -> card.Document:
    """All labs as a grid with verdict, peak and accuracy; ``entries`` has what is known of a lab under its number."""
    tiles = [_tile(lab, entries.get(lab.number, {})) for lab in all_labs]
    passed = sum(entries.get(lab.number, {}).get("verdict") == "passed" for lab in all_labs)
    blocks: list[card.Block] = [card.Head("", "", f"{passed} of {len(all_labs)} labs passed")]
    blocks += [card.Paragraph(warning)] if warning else []
    tone = "good" if passed == len(all_labs) else "plain"
    return card.Document([*blocks, card.Tiles(tiles), card.Paragraph(foot=True, text=f"Kept in {kept_in}")], tone)


def _tile(lab: LabSpec, entry: Mapping[str, Any]) -> card.Tile:
    result = RESULTS[entry.get("verdict", "not_attempted")]
    peak, accuracy, attempts = entry.get("peak_mib"), entry.get("accuracy"), entry.get("attempts", 0)
    words = "" if peak is None else f"{mib(peak)} of {mib(lab.budget_mib)}"
    return card.Tile(
        lab=f"{lab.number} {lab.title}",
        verdict=f"{result.symbol} {result.word}",
        tone=result.tone,
        peak=words,
        accuracy="" if accuracy is None else f"{percent(accuracy)} (floor {percent(lab.floor)})",
        effort=f"{attempts} attempt{'s' * (attempts != 1)}, {entry.get('hints', 0)} of {len(lab.hints)} hints",
        bar=None if peak is None else card.Bar(peak, lab.cap_mib, words, mark=lab.budget_mib),
    )
