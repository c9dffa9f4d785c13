"""What will be graded: of all files that were found, the answer of each student to each lab that counts."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from course_utils.files import scratch
from course_utils.grading import discovery
from course_utils.grading.discovery import Found
from course_utils.grading.names import is_anybodys
from course_utils.grading.record import clean
from course_utils.grading.roster import Roster
from course_utils.grading.submission import Answer, Submission

NAMED = 3  # so many are named in a sentence
EMPTY = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class Row:
    """A file's answer to a lab; ``fate`` says why it does not count, "" if it does."""

    submission: Submission
    answer: Answer
    fate: str = ""

    def __str__(self) -> str:
        one = self.submission
        end = f"attempt {one.attempt}{', late' if one.late else ''}"
        what = self.fate or (f"rejected: {self.answer.problem}" if self.answer.problem else "")
        return clean(
            f"{one.path} -> {one.student} -> lab {self.answer.lab or '?'} -> {end}{': ' if what else ''}{what}"
        )


@dataclass(frozen=True)
class Plan:
    """All that was found, and what the instructor should know about it."""

    rows: list[Row]
    sentences: list[str]

    def tasks(self) -> list[tuple[Submission, Answer]]:
        """What counts."""
        return [(row.submission, row.answer) for row in self.rows if not row.fate]

    def paths(self) -> set[str]:
        """Every file that was found, as a record names it."""
        return {clean(row.submission.path) for row in self.rows}


def plan(paths: Iterable[Path], *, leave_out: Path | None = None, layout: str = "", roster: Path | None = None) -> Plan:
    """Read everything under ``paths`` (see `discovery.discover`) and decide what counts.

    Raises:
        CannotGrade: as in `discovery.discover`; also, the roster cannot be read.
    """
    people = Roster.read(roster) if roster else None
    students: dict[tuple[str, str], list[tuple[tuple[int, int, int], Row]]] = defaultdict(list)
    with scratch("zip-") as folder:
        for found in discovery.discover(paths, leave_out=leave_out, layout=layout, scratch=folder):
            one = discovery.read_found(found)
            for answer in one.answers:
                students[one.place, one.student_id or one.student].append((_newness(found), Row(one, answer)))
    rows = [row for own in students.values() for row in _counted(own, alone=len(students) == 1)]
    sentences = [row.submission.note for row in rows if row.submission.note]
    rows, same = _with_identical(rows)
    sentences += same + _namesakes(rows)
    sentences += people.compare([row.submission for row in rows]) if people else []
    return Plan(rows, [clean(sentence, 100_000) for sentence in sentences])


def _newness(found: Found) -> tuple[int, int, int]:
    """What orders attempts: the platform's number of the file, the number in its name, its date."""
    try:
        date = os.stat(found.path).st_mtime_ns
    except OSError:
        date = 0
    return found.owner.newness, max(1, found.owner.attempt), date


def _counted(own: list[tuple[tuple[int, int, int], Row]], *, alone: bool) -> list[Row]:
    """The rows of one student, each with its fate. ``alone``: there is no other student."""
    rank = {id(row): row.answer.rank if row.answer.attempted else 1 for _, row in own}
    done: list[Row] = []
    by_lab: dict[str, list[tuple[tuple[int, int, int], Row]]] = defaultdict(list)
    for newness, row in own:
        lab = row.answer.lab
        better = [other for _, other in own if rank[id(other)] > rank[id(row)] and lab in ("", other.answer.lab)]
        if not alone and not row.answer.rank and is_anybodys(row.submission.path.name) and len(own) == 1:
            done.append(replace(row, fate="a helper file, nobody's answer"))
        elif better and rank[id(row)] < 3:
            what = "a helper file, no answer" if row.answer.attempted else "the untouched lab beside an answer"
            done.append(replace(row, fate=what))
        else:
            by_lab[lab or str(row.submission.path)].append((newness, row))
    for attempts in by_lab.values():
        attempts.sort(key=lambda pair: (pair[0], str(pair[1].submission.path)))
        last = attempts[-1][1].submission
        for index, (newness, row) in enumerate(attempts, start=1):
            one = replace(row.submission, attempt=newness[1] if newness[1] > 1 else index)
            if index < len(attempts):
                done.append(replace(row, submission=one, fate=f"does not count, since {last.path.name} is newer"))
            elif len(attempts) > 1:
                done.append(replace(row, submission=replace(one, note=_said(attempts))))
            else:
                done.append(replace(row, submission=one))
    return done


def _said(attempts: Sequence[tuple[tuple[int, int, int], Row]]) -> str:
    (before, _), (newest, row) = attempts[-2:]
    by = ("the platform's number of the file", "the number in its name", "its date")
    reason = next((f"by {by[index]}" for index in range(3) if newest[index] != before[index]), "by its name")
    others = _some([other.submission.path.name for _, other in attempts[:-1]])
    one = row.submission
    return (
        f"{one.student} handed in lab {row.answer.lab} {len(attempts)} times: {one.path.name} counts, "
        f"the newest {reason}, and not {others}."
    )


def _with_identical(rows: list[Row]) -> tuple[list[Row], list[str]]:
    """The rows, where different people with one answer have a note that says so; and a sentence on each such answer."""
    same: dict[object, dict[tuple[str, str], Submission]] = defaultdict(dict)
    for row in rows:
        if not row.fate:
            one = row.submission
            same[_content(row)].setdefault((one.place, one.student_id or one.student), one)
    same.pop(None, None)
    told = []
    for row in rows:
        one, alike = row.submission, list(same.get(_content(row), {}).values())
        if not row.fate and len(alike) > 1:
            note = f"{one.note} Identical to the answer of {_people([other for other in alike if other != one])}."
            row = replace(row, submission=replace(one, note=note.strip(), identical=True))
        told.append(row)
    groups = (list(alike.values()) for alike in same.values() if len(alike) > 1)
    return told, [f"Identical answers, graded once: those of {_people(alike)}." for alike in groups]


def _people(submissions: list[Submission]) -> str:
    """Who they are: students of one name by their files."""
    names = [one.student for one in submissions]
    return _some(
        [f"{one.student} ({one.path})" if names.count(one.student) > 1 else one.student for one in submissions]
    )


def _content(row: Row) -> object:
    """What two people would not both have written: None for an untouched lab and for an empty file."""
    answer = row.answer
    if answer.problem:
        return row.submission.sha256 if row.submission.sha256 not in ("", EMPTY) else None
    return (answer.lab, tuple(map(tuple, answer.cells))) if answer.attempted else None


def _namesakes(rows: list[Row]) -> list[str]:
    """A sentence on each name that stands for two people."""
    people: dict[str, dict[tuple[str, str], Path]] = defaultdict(dict)
    for row in rows:
        one = row.submission
        people[one.student].setdefault((one.place, one.student_id), one.path)
    return [
        f"{student} stands for {len(places)} people: see {_some(list(map(str, places.values())))}."
        for student, places in people.items()
        if len(places) > 1
    ]


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
