"""A class of submissions: in parallel, each on its own, and resumed where an earlier run stopped."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course_utils import labs, sandbox
from course_utils.grading import discovery, seed
from course_utils.grading.grade import grade_answer, isolation_level, of_student
from course_utils.grading.record import SCHEMA, Record, clean, versions
from course_utils.grading.seed import CannotGrade
from course_utils.grading.submission import Answer, Submission

Task = tuple[Submission, Answer]


@dataclass(frozen=True)
class Failure:
    """An answer that the grader itself failed on. It has no record, and the next run tries it again."""

    submission: Submission
    answer: Answer
    error: Exception

    def __str__(self) -> str:
        name, reason = type(self.error).__name__, clean(self.error, 300)
        return f"The grader failed on {clean(self.submission.path)}, lab {self.answer.lab} ({name}: {reason})."


@dataclass(frozen=True)
class Graded:
    """What became of a class: a record an answer, or a failure of the grader."""

    records: list[Record]
    failures: list[Failure]


class Grades:
    """Finished records in a SQLite file. Each is on disk before the next is asked for, so a kill loses none.

    Raises:
        CannotGrade: the file cannot be written, or is something else.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.connection = sqlite3.connect(path, timeout=30)
            with self.connection:
                self.connection.execute(
                    "CREATE TABLE IF NOT EXISTS grades (key TEXT PRIMARY KEY, record TEXT NOT NULL)"
                )
        except (OSError, sqlite3.Error) as error:
            raise CannotGrade(f"Cannot keep grades in {path} ({error}): choose another --out folder.") from None

    def get(self, key: str) -> Record | None:
        row = self.connection.execute("SELECT record FROM grades WHERE key = ?", (key,)).fetchone()
        return Record.model_validate_json(row[0]) if row else None

    def put(self, key: str, record: Record) -> None:
        try:
            with self.connection:
                row = (key, record.model_dump_json())
                self.connection.execute("INSERT OR REPLACE INTO grades VALUES (?, ?)", row)
        except sqlite3.Error as error:
            raise CannotGrade(f"Cannot write grades.sqlite ({error}): free some space and run this again.") from None

    def close(self) -> None:
        self.connection.close()


def key(answer: Answer, *, isolation: str, seed: int) -> str:
    """What a record stands for: an answer with the same key is never graded again.

    The graded cells count, not the file with its outputs, and what the lab asks. The seed cannot be read off it.
    """
    parts = (answer.cells, repr(labs.get(answer.lab)), isolation, seed, versions(), SCHEMA)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def grade_paths(
    paths: Iterable[Path],
    out: Path,
    *,
    jobs: int = 1,
    isolation: str = "auto",
    seed_file: Path | None = None,
    layout: str = "",
    say: Callable[[str], None] = lambda sentence: None,
    progress: Callable[[str, int, int], None] = lambda level, done, total: None,
) -> Graded:
    """Grade all submissions under files and folders; what an earlier call has finished is not graded again.

    Args:
        paths: As :func:`discovery.discover` understands them.
        out: Folder in which ``grades.sqlite`` and, without a ``seed_file``, the secret are kept.
        jobs: How many run at once.
        isolation: ``process``, ``user``, ``bwrap`` or ``auto``.
        seed_file: Secret text that the hidden images are drawn with; only its owner may read it.
        layout: One of ``discovery.LAYOUTS``; "" to tell it from the names.
        say: Is given sentences for the instructor before anything is graded.
        progress: Is given the isolation level, the number of answers that are graded, and of all.

    Raises:
        CannotGrade: a path does not exist or holds no submission, or this host or this secret is not fit for grading.
    """
    found = discovery.discover(paths, leave_out=out, layout=layout)
    level = isolation_level(isolation)
    if isolation == "auto" and level == "process":
        say(
            "Warning: isolation is only 'process', which guards against accidents, not against malice, because this "
            f"host cannot hold 'bwrap': {sandbox.unavailable('bwrap')}"
        )
    secret = seed.read_seed(seed_file) if seed_file else None
    graded = Graded([], [])
    with contextlib.closing(Grades(out / "grades.sqlite")) as grades:
        if secret is None:
            secret, new = seed.kept_seed(out)
            if new:
                say(
                    "The hidden images of the public seed are public, so a secret was made for this class. It is kept "
                    f"in {out / seed.FILE_NAME}: give it as --seed-file to draw the same images elsewhere."
                )
        tasks = [(one, answer) for one in map(discovery.read_found, found) for answer in one.answers]
        progress(level, 0, len(tasks))
        for done, result in enumerate(grade_many(tasks, grades, isolation=level, seed=secret, jobs=jobs), start=1):
            (graded.failures if isinstance(result, Failure) else graded.records).append(result)
            progress(level, done, len(tasks))
    return graded


def grade_many(tasks: Iterable[Task], grades: Grades, *, jobs: int = 1, **how: Any) -> Iterator[Record | Failure]:
    """Grade each answer and yield its record as soon as it is there, remembered ones first.

    A failure of the grader costs nobody else their grade.

    Args:
        tasks: What to grade.
        grades: Where finished records are kept.
        jobs: How many run at once.
        how: ``isolation``, a level of ``sandbox.LEVELS``, and ``seed``, of the hidden images.

    Raises:
        CannotGrade: nothing can be graded on this host.
    """
    waiting: dict[str, list[Task]] = {}  # two students may hand in the same answer: it is run once, for both
    for task in tasks:
        submission, answer = task
        if answer.problem:
            yield of_student(grade_answer(answer, None), submission)
        elif known := grades.get(name := key(answer, **how)):
            yield of_student(known, submission)
        else:
            waiting.setdefault(name, []).append(task)
    pool = ThreadPoolExecutor(max_workers=jobs, thread_name_prefix="grade")
    try:
        running = {}
        for name, ((_, answer), *_) in waiting.items():
            running[pool.submit(grade_answer, answer, labs.get(answer.lab), **how)] = name
        for future in as_completed(running):
            same = waiting[running[future]]
            try:
                record = future.result()
            except CannotGrade:
                raise
            except Exception as error:
                yield from (Failure(*task, error) for task in same)
            else:
                grades.put(running[future], record)
                yield from (of_student(record, submission) for submission, _ in same)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
