"""A class of submissions: in parallel, each on its own, and resumed where an earlier run stopped."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from course_utils import __version__, labs
from course_utils.grading.grade import CannotGrade, grade_answer
from course_utils.grading.record import SCHEMA, Record, clean
from course_utils.grading.submission import Answer, Submission

Task = tuple[Submission, Answer]


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
                self.connection.execute("INSERT OR REPLACE INTO grades VALUES (?, ?)", (key, record.model_dump_json()))
        except sqlite3.Error as error:
            raise CannotGrade(f"Cannot write grades.sqlite ({error}): free some space and run this again.") from None

    def close(self) -> None:
        self.connection.close()


def key(task: Task, *, isolation: str, seed: int) -> str:
    """What a record stands for: graded once, it is never graded again, unless the lab asks for something else.

    The seed cannot be read off it.
    """
    submission, answer = task
    asked = labs.get(answer.lab).model_dump()
    parts = (submission.sha256, asked, isolation, seed, __version__, SCHEMA)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def grade_many(tasks: Iterable[Task], grades: Grades, *, isolation: str, seed: int, jobs: int = 1) -> Iterator[Record]:
    """Grade each answer and yield its record as soon as it is there, remembered ones first.

    An answer that the grader itself fails on is yielded as ``rejected`` and not remembered, so the next run tries
    it again; it costs nobody else their grade.

    Args:
        tasks: What to grade.
        grades: Where finished records are kept.
        isolation: A level of ``sandbox.LEVELS``.
        seed: Of the hidden images.
        jobs: How many run at once.

    Raises:
        CannotGrade: nothing can be graded on this host.
    """
    waiting: dict[str, list[Task]] = {}  # two students may hand in the same file: it is run once, for both
    for task in tasks:
        if task[1].problem:
            yield grade_answer(*task, isolation=isolation, seed=seed)
            continue
        name = key(task, isolation=isolation, seed=seed)
        if known := grades.get(name):
            yield _for_student(known, task)
        else:
            waiting.setdefault(name, []).append(task)
    pool = ThreadPoolExecutor(max_workers=jobs, thread_name_prefix="grade")
    try:
        running = {
            pool.submit(grade_answer, *same[0], isolation=isolation, seed=seed): name for name, same in waiting.items()
        }
        for future in as_completed(running):
            same = waiting[running[future]]
            try:
                record = future.result()
            except CannotGrade:
                raise
            except Exception as error:
                yield from (_failed(task, error) for task in same)
            else:
                grades.put(running[future], record)
                yield from (_for_student(record, task) for task in same)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _for_student(record: Record, task: Task) -> Record:
    """The record of an answer as that of this student."""
    return record.model_copy(update={"student": clean(task[0].student), "submission": clean(task[0].path)})


FAILED = "The grader failed on this submission"


def _failed(task: Task, error: Exception) -> Record:
    submission, answer = task
    message = f"{FAILED} ({type(error).__name__}: {error}): run the same command again."
    return Record(
        verdict="rejected",
        message=message,
        lab=answer.lab,
        submission=str(submission.path),
        sha256=submission.sha256,
        student=submission.student,
    )
