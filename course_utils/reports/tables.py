"""Records for programs (JSON) and for spreadsheets (CSV)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from course_utils.grading.record import Record

COLUMNS = (
    "student",
    "lab",
    "verdict",
    "score",
    "peak_mib",
    "budget_mib",
    "accuracy",
    "floor",
    "seconds",
    "cpu_seconds",
    "time_limit",
    "message",
    "note",
    "review",
    "where",
    "blame",
    "student_id",
    "attempt",
    "late",
    "identical",
    "submission",
    "sha256",
    "method",
    "isolation",
    "graded_at",
)


def as_json(records: Sequence[Record]) -> str:
    """A list of records, whole."""
    return json.dumps([record.model_dump(mode="json") for record in records], indent=1) + "\n"


def as_csv(records: Sequence[Record]) -> str:
    """One row a record, without the trace."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for record in records:
        row = dict(record)
        for name in ("where", "blame"):
            if line := row[name]:
                row[name] = str(line)
        writer.writerow([harmless(row[name]) for name in COLUMNS])
    return text.getvalue()


def harmless(value: Any) -> Any:
    """A text that a spreadsheet shows instead of computing: what learners wrote must not become a formula."""
    if isinstance(value, str) and value.lstrip()[:1] in tuple("=+-@"):
        return "'" + value
    return value
