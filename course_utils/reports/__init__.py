"""One list of records, many files. A report is a function from records to text, entered under its file name."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from course_utils.grading.record import Record
from course_utils.reports import scatter, tables

REPORTS: dict[str, Callable[[Sequence[Record]], str]] = {
    "results.json": tables.as_json,
    "results.csv": tables.as_csv,
    "memory-accuracy.svg": lambda records: scatter.as_svg([dict(record) for record in records]),
}


def write(records: Sequence[Record], folder: Path) -> list[Path]:
    """Write every report into ``folder``, each whole or not at all; returns the files."""
    ordered = sorted(records, key=lambda record: (record.student, record.lab, record.submission))
    written = []
    for name, render in REPORTS.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        part.write_text(render(ordered), encoding="utf-8", newline="")
        os.replace(part, path)
        written.append(path)
    return written
