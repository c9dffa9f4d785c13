"""What is different from earlier results, and why."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from course_utils.grading.record import Record
from course_utils.grading.seed import CannotGrade
from course_utils.units import mib, percent


def earlier(path: Path) -> list[Record]:
    """The records of a ``results.json``, or of the folder that holds it.

    Raises:
        CannotGrade: there is none.
    """
    file = path / "results.json" if path.is_dir() else path
    try:
        return [Record.model_validate(one) for one in json.loads(file.read_text(encoding="utf-8"))]
    except OSError as error:
        raise CannotGrade(f"Cannot compare with {file}: {error.strerror}.") from None
    except (ValueError, TypeError, RecursionError):
        raise CannotGrade(f"Cannot compare with {file}: it is not a results.json of this grader.") from None


def changes(old: Iterable[Record], new: Iterable[Record]) -> list[str]:
    """A sentence on each answer whose verdict or score is another one, that is new, or that is gone."""
    before, after = map(_by_answer, (old, new))
    sentences = []
    for whose, record in sorted(after.items()):
        name = f"{record.student}, lab {record.lab or '?'}"
        if whose not in before:
            sentences.append(f"{name}: new, {_got(record)}.")
        elif _got(before[whose]) != _got(record):
            sentences.append(f"{name}: {_got(before[whose])} -> {_got(record)}, {_why(before[whose], record)}.")
    gone = (record for whose, record in sorted(before.items()) if whose not in after)
    sentences += [f"{record.student}, lab {record.lab or '?'}: gone, was {_got(record)}." for record in gone]
    return sentences or ["No verdict and no score has changed."]


def _by_answer(records: Iterable[Record]) -> dict[tuple[str, str, str, int], Record]:
    """The records by whose they are and which lab they answer; two people of one name by the order of their files."""
    found: dict[tuple[str, str, str, int], Record] = {}
    count: Counter[tuple[str, str, str]] = Counter()
    for record in sorted(records, key=lambda record: record.submission):
        whose = record.student, record.student_id, record.lab or record.submission
        found[*whose, count[whose]] = record
        count[whose] += 1
    return found


def _got(record: Record) -> str:
    return f"{record.verdict} {record.score:.1f}"


def _why(old: Record, new: Record) -> str:
    """The first of the reasons that explains a change."""
    asked = [(old.budget_mib, new.budget_mib, mib), (old.floor, new.floor, percent)]
    if old.sha256 != new.sha256:
        return "because the file is another one"
    for before, after, show in asked:
        if before != after and before is not None and after is not None:
            return f"because the lab asks for {show(after)} instead of {show(before)}"
    for package, version in new.versions.items():
        if old.versions.get(package) != version:
            return f"because {package} is {version} instead of {old.versions.get(package, 'missing')}"
    for what in ("isolation", "method"):
        if getattr(old, what) != getattr(new, what):
            return f"because {what} is {getattr(new, what) or 'none'} instead of {getattr(old, what) or 'none'}"
    figures = []
    if old.peak_mib is not None and new.peak_mib is not None:
        figures.append(f"peak {mib(old.peak_mib)} -> {mib(new.peak_mib)}")
    if old.accuracy is not None and new.accuracy is not None:
        figures.append(f"accuracy {percent(old.accuracy)} -> {percent(new.accuracy)}")
    return f"measured again ({', '.join(figures) or new.message})"
