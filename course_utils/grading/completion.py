"""The record that a learner's notebook writes when every lab is passed, and its check against what was handed in.

It is a convenience, not a proof: it is a file on the learner's machine and can be edited. Checking it against the
submissions tells which answers it was earned with; only `course-utils grade` tells what they are worth.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from course_utils import labs
from course_utils.grading.record import clean
from course_utils.grading.submission import Cells, Submission

FILE_NAME = "completion.json"
SCHEMA = "course-completion/1"
HANDED_IN = "handed in"


class NotACompletionRecord(ValueError):
    """The file is not a completion record; the text is a sentence."""


def digest(cells: Cells) -> str:
    """The SHA-256 of an answer: of its cells in their order, without the empty lines around them."""
    return hashlib.sha256("\0".join(source.strip() for _, source in cells).encode()).hexdigest()


def write(entries: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Write what was passed: by lab number, ``answer_sha256, score, peak_mib, accuracy, graded_at``. Raises OSError."""
    kept = ("answer_sha256", "score", "peak_mib", "budget_mib", "accuracy", "floor", "graded_at")
    passed = {number: {name: entry.get(name) for name in kept} for number, entry in sorted(entries.items())}
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps({"schema": SCHEMA, "labs": passed}, indent=1), encoding="utf-8")
    os.replace(temporary, path)


def verify(path: Path, submissions: Iterable[Submission]) -> list[tuple[str, str]]:
    """Hold a record against submissions: (lab, finding) for each lab of the course and of the record.

    A finding is HANDED_IN, "another answer handed in", "nothing handed in", "not in the record" or "no such lab".

    Raises:
        NotACompletionRecord: the file cannot be read or is something else.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
        if content["schema"] != SCHEMA:
            raise ValueError(content["schema"])
        claimed = {str(number): str(entry["answer_sha256"]) for number, entry in content["labs"].items()}
    except OSError as error:
        raise NotACompletionRecord(f"Cannot read {path}: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise NotACompletionRecord(
            f"{path} is not a completion record: ask the learner for the {FILE_NAME} that %course progress wrote."
        ) from None
    handed_in: dict[str, set[str]] = {}
    for submission in submissions:
        for answer in submission.answers:
            handed_in.setdefault(answer.lab, set()).add(digest(answer.cells) if answer.cells else "")
    known = {lab.number for lab in labs.specs()}
    rows = []
    for number in sorted(known | claimed.keys()):
        found = handed_in.get(number, set())
        if number not in known:
            finding = "no such lab"
        elif number not in claimed:
            finding = "not in the record"
        elif claimed[number] in found:
            finding = HANDED_IN
        else:
            finding = "another answer handed in" if found else "nothing handed in"
        rows.append((clean(number, 20), finding))
    return rows
