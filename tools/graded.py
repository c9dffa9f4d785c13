"""Grade an answer once: its record stays under _build/graded until something that it depends on changes."""

from __future__ import annotations

import hashlib
from typing import Any

from course_utils.files import write_whole
from course_utils.grading.grade import grade_answer
from course_utils.grading.record import Record
from course_utils.grading.submission import Cells, check
from course_utils.labs import LabSpec
from tools import ROOT
from tools.fingerprint import fingerprint

KEPT = ROOT / "_build" / "graded"
PROSE = {"title", "minutes", "needs", "takeaway", "hints"}
# The grader knows none of them, and of the table of labs it is given one row.
NOT_THE_GRADER = ("notebook", "cards", "reports", "cli.py", "labs.toml")


def rules(lab: LabSpec) -> list[tuple[str, Any]]:
    """What a lab asks of an answer: its row in ``labs.toml`` without the prose."""
    return sorted(
        (name, getattr(lab, name))
        for name, field in LabSpec.model_fields.items()
        if name not in PROSE and getattr(lab, name) != field.default
    )


def grade(cells: Cells, lab: LabSpec, *, seed: int = 0) -> Record:
    """Return the record of an answer, which runs only if it has not been graded before under the same rules.

    A record of a run out of time is not kept, since the machine may have been busy.
    """
    parts = [fingerprint(NOT_THE_GRADER), rules(lab), seed, cells]
    path = KEPT / f"{lab.number}-{hashlib.sha256(repr(parts).encode()).hexdigest()[:24]}.json"
    if path.exists():
        return Record.model_validate_json(path.read_text("utf-8"))
    record = grade_answer(check(lab, cells), lab, seed=seed)
    if record.verdict != "timed_out":
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, record.model_dump_json(by_alias=True))
    return record
