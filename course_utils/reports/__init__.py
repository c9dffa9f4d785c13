"""One list of records, many files. A report is a function from records to text, entered under its file name."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from course_utils.files import write_whole
from course_utils.grading.record import Record
from course_utils.grading.seed import CannotGrade
from course_utils.reports import picture, tables
from course_utils.reports.pseudonyms import Pseudonyms

REPORTS: dict[str, Callable[[Sequence[Record]], str]] = {
    "results.json": tables.as_json,
    "results.csv": tables.as_csv,
    "memory-accuracy.svg": picture.as_svg,
}


class Writer:
    """Writes every report into a folder as records come, each whole or not at all.

    A report that takes long to make is not made again at once, so that writing costs a tenth of the time.
    """

    def __init__(self, folder: Path, pseudonyms: bool = False) -> None:
        self.folder = folder
        self.paths = [folder / name for name in REPORTS]
        self._pseudonyms = pseudonyms
        self._due = dict.fromkeys(REPORTS, 0.0)

    def shown(self, records: Iterable[Record]) -> list[Record]:
        """The records in order, as they are written: without the students' names where that was asked for."""
        shown = Pseudonyms(self.folder).hide(records) if self._pseudonyms else records
        return sorted(shown, key=lambda record: (record.student, record.lab, record.submission))

    def write(self, records: Iterable[Record], finished: bool = True) -> None:
        """Write what is due; all that there is where grading is finished.

        Raises:
            CannotGrade: the folder cannot be written, or the disk is full. The earlier files are then still there.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            ordered = self.shown(records)
            for name, render in REPORTS.items():
                start = time.monotonic()
                if finished or start >= self._due[name]:
                    write_whole(self.folder / name, render(ordered))
                    self._due[name] = time.monotonic() + 10 * (time.monotonic() - start)
        except OSError as error:
            raise CannotGrade(f"Cannot write the results into {self.folder} ({error.strerror}).") from None
