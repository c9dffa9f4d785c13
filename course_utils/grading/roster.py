"""The list of a class, as course platforms export it: who is missing, and who is unknown."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from course_utils.grading.record import clean
from course_utils.grading.seed import CannotGrade
from course_utils.grading.submission import Submission

LIMIT = 8 * 2**20
# Words of the headings that Moodle, Canvas, GitHub Classroom and others give to what identifies a person.
_FIRST = re.compile(r"first|given|vorname|prénom|nombre$", re.IGNORECASE)
_LAST = re.compile(r"last|sur ?name|family|nachname|familienname|^nom$|apellido", re.IGNORECASE)
_FULL = re.compile(r"name|student|participant|teilnehmer|nom|nombre", re.IGNORECASE)
_OTHER = re.compile(
    r"\bid\b|\bids\b|_id|number|nummer|matri|login|user|mail|identifier|github|account|n°", re.IGNORECASE
)


def folded(text: str) -> str:
    """A name as letters and digits alone, without case and accents: ``"Lée, Ann"`` is ``"leeann"``."""
    plain = unicodedata.normalize("NFKD", text.casefold().replace("ß", "ss"))
    return "".join(letter for letter in plain if letter.isalnum())


@dataclass(frozen=True)
class Person:
    """A line of the roster: how it reads, and all that may stand for the person."""

    label: str
    ids: frozenset[str]
    names: frozenset[str]


class Roster:
    def __init__(self, people: Sequence[Person]) -> None:
        self.people = people

    @classmethod
    def read(cls, path: Path) -> Roster:
        """Read a CSV file with a heading; raises CannotGrade with what is wrong."""
        try:
            with open(path, "rb") as file:
                data = file.read(LIMIT + 1)
        except OSError as error:
            raise CannotGrade(f"Cannot read the roster {path}: {error.strerror}.") from None
        if len(data) > LIMIT or data[:4] in (b"PK\3\4", b"\xd0\xcf\x11\xe0") or not data.strip():
            what = "is empty" if not data.strip() else "is not a CSV file"
            raise CannotGrade(f"The roster {path} {what}: export the list of students as CSV.")
        text = _decoded(data).removeprefix("\ufeff")
        if any(letter < " " and letter not in "\t\r\n" for letter in text):
            raise CannotGrade(f"The roster {path} is not a CSV file: export the list of students as CSV.")
        first, _, rest = text.partition("\n")
        delimiter = ""
        if first.lower().startswith("sep="):  # a line for spreadsheets
            delimiter, text = first.strip()[4:5], rest
        first = next((line for line in text.splitlines() if line.strip()), "")
        delimiter = delimiter or max(",;\t|", key=first.count)
        try:
            lines = [
                row
                for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
                if any(map(str.strip, row))
            ]
        except csv.Error as error:
            raise CannotGrade(f"The roster {path} is not a CSV file ({error}): export the list again.") from None
        people = _people(lines)
        if not people:
            raise CannotGrade(
                f"The roster {path} names nobody: it needs a heading such as id,name,email and a line each."
            )
        return cls(people)

    def compare(self, submissions: Sequence[Submission]) -> list[str]:
        """Sentences on who is in one and not in the other."""
        seen: set[int] = set()
        unknown: dict[str, None] = {}
        sentences = []
        for one in submissions:
            found = self.find(one)
            seen.update(found)
            if not found:
                unknown[clean(one.student) + (f" ({one.student_id})" if one.student_id else "")] = None
            elif len(found) > 1:
                both = ", ".join(self.people[index].label for index in found)
                sentences.append(f"{clean(one.student)} may be any of these in the roster: {both}.")
        missing = [person.label for index, person in enumerate(self.people) if index not in seen]
        for what, labels in (
            ("not in the roster", list(unknown)),
            ("in the roster, but without a submission", missing),
        ):
            if labels:
                sentences.append(f"{len(labels)} {what}: {', '.join(labels)}.")
        return list(dict.fromkeys(sentences))

    def find(self, one: Submission) -> list[int]:
        """The people that a submission may be of: by id or address, else by name."""
        student = one.student.strip()
        ids = {folded(one.student_id), folded(student)} - {""}
        words = {folded(student), folded(re.sub(r"^\d+[\s_-]+|[\s_-]+\d+$", "", student))} - {""}
        by_id = [index for index, person in enumerate(self.people) if ids & person.ids]
        by_name = [index for index, person in enumerate(self.people) if words & person.names]
        # A platform's number may be its own and, by chance, another person's id in the roster.
        return [index for index in by_name if index in by_id] or by_name or by_id


def _decoded(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    if data[1:2] == b"\0" or data[:1] == b"\0":
        return data.decode("utf-16-le" if data[1:2] == b"\0" else "utf-16-be", "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _people(lines: list[list[str]]) -> list[Person]:
    if not lines:
        return []
    heading = [cell.strip() for cell in lines[0]]
    kinds = [_kind(cell) for cell in heading]
    if any(kinds) and not any("@" in cell or cell.isdigit() for cell in heading):
        lines = lines[1:]
    else:
        kinds = ["other"] * max(map(len, lines))
    people: dict[tuple[frozenset[str], frozenset[str]], Person] = {}
    for line in lines:
        if line[0].strip().lower() in ("points possible", "student, test"):  # of Canvas's gradebook
            continue
        cells = [(kind, cell.strip()) for kind, cell in zip(kinds, line, strict=False) if kind and cell.strip()]
        ids = {cell for kind, cell in cells if kind == "other"}
        ids |= {cell.partition("@")[0] for cell in ids if "@" in cell}
        first, last, full = (
            " ".join(cell for kind, cell in cells if kind == wanted) for wanted in ("first", "last", "full")
        )
        spelled = [full, f"{first} {last}", f"{last} {first}", *ids]
        for name in list(spelled):
            words = name.replace(",", " , ").split()
            spelled += [" ".join(words[index:] + words[:index]) for index in range(1, len(words))]
        names = frozenset(filter(None, map(folded, spelled)))
        known = frozenset(filter(None, map(folded, ids)))
        label = full or f"{first} {last}".strip() or next(iter(cell for _, cell in cells), "")
        number = next((cell for kind, cell in cells if kind == "other"), "")
        if names or known:
            people.setdefault(
                (known, names), Person(clean(f"{label} ({number})" if number else label, 120), known, names)
            )
    return list(people.values())


def _kind(heading: str) -> str:
    """What a column holds: "first", "last" or "full" name, "other" for an id or an address, "" for the rest."""
    if re.search(r"section|group|gruppe|department|institution|sis section|root account", heading, re.IGNORECASE):
        return ""
    for kind, pattern in (("other", _OTHER), ("first", _FIRST), ("last", _LAST), ("full", _FULL)):
        if pattern.search(heading):
            return kind
    return ""
