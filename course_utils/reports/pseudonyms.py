"""Results to be shared: other names for the students, and nothing that leads back to them."""

from __future__ import annotations

import csv
import os
import re
import secrets
from collections.abc import Iterable
from pathlib import Path

from course_utils.grading.record import Record, Where

FILE_NAME = "pseudonyms.csv"


class Pseudonyms:
    """The other name of each student, the same in every call. They are kept in ``FILE_NAME`` for the owner alone.

    Raises:
        OSError: the file cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        self.names: dict[tuple[str, str], str] = {}
        if self.path.exists():
            with open(self.path, newline="", encoding="utf-8", errors="replace") as file:
                self.names = {(row[1], row[2]): row[0] for row in csv.reader(file) if len(row) == 3}

    def hide(self, records: Iterable[Record]) -> list[Record]:
        """The records without names, numbers, paths and checksums; names in messages and in code are replaced."""
        records = list(records)
        new = {(one.student, one.student_id) for one in records} - set(self.names)
        if new:
            self.names |= {whose: f"student-{secrets.token_hex(4)}" for whose in sorted(new)}
            with open(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", newline="") as file:
                csv.writer(file).writerows((name, *whose) for whose, name in self.names.items())
        words = {word: name for whose, name in self.names.items() for word in whose if len(word) > 2}
        return [self._hidden(one, words) for one in records]

    def _hidden(self, record: Record, words: dict[str, str]) -> Record:
        name = self.names[record.student, record.student_id]
        file = Path(record.submission)
        words = words | {file.name: name + file.suffix, file.stem: name}
        longest_first = sorted(filter(None, words), key=len, reverse=True)
        pattern = re.compile("|".join(rf"(?<!\w){re.escape(word)}(?!\w)" for word in longest_first), re.IGNORECASE)
        folded = {word.casefold(): other for word, other in words.items()}

        def clear(text: str) -> str:
            return pattern.sub(lambda match: folded.get(match[0].casefold(), name), text)

        def line(where: Where | None) -> Where | None:
            return where and where.model_copy(update={"source": clear(where.source), "cell": clear(where.cell)})

        hidden = {"student": name, "student_id": "", "submission": name + file.suffix, "sha256": "", "note": ""}
        hidden |= {field: clear(getattr(record, field)) for field in ("message", "cause", "remedy")}
        hidden |= {"where": line(record.where), "blame": line(record.blame)}
        hidden["growth"] = tuple(one.model_copy(update={"where": line(one.where)}) for one in record.growth)
        return record.model_copy(update=hidden)
