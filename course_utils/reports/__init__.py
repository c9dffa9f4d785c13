"""One list of records, many files. A report is a function from records to text, entered under its file name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from course_utils.files import write_whole
from course_utils.grading.record import Record
from course_utils.reports import picture, tables

REPORTS: dict[str, Callable[[Sequence[Record]], str]] = {
    "results.json": tables.as_json,
    "results.csv": tables.as_csv,
    "memory-accuracy.svg": picture.as_svg,
}


def write(records: Sequence[Record], folder: Path) -> list[Path]:
    """Write every report into ``folder``, each whole or not at all; returns the files. Raises OSError."""
    ordered = sorted(records, key=lambda record: (record.student, record.lab, record.submission))
    folder.mkdir(parents=True, exist_ok=True)
    for name, render in REPORTS.items():
        write_whole(folder / name, render(ordered))
    return [folder / name for name in REPORTS]
