"""A class of submissions: in parallel, each on its own, and resumed where an earlier run stopped."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from course_utils import files, labs, memory, sandbox
from course_utils.grading import kept, review, seed
from course_utils.grading.grade import grade_answer, isolation_level, memory_method, of_student
from course_utils.grading.plan import plan
from course_utils.grading.policy import Policy
from course_utils.grading.record import SCHEMA, Record, Verdict, clean, versions
from course_utils.grading.seed import CannotGrade
from course_utils.grading.submission import Answer, Submission
from course_utils.sandbox.processors import room

Task = tuple[Submission, Answer]
POLICY = Policy()
BASELINE_MIB = 500  # what a process takes that has imported TensorFlow, and then some


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
    """What became of a class: a record an answer, or a failure of the grader; and all results that are kept."""

    records: list[Record]
    failures: list[Failure]
    results: list[Record]


def key(answer: Answer, *, isolation: str, seed: int, method: str = "auto", policy: Policy = POLICY) -> str:
    """What a record stands for: an answer with the same key is never graded again.

    The graded cells count, not the file with its outputs, and what the lab asks. The seed cannot be read off it.
    """
    parts = (answer.cells, repr(policy.lab(answer.lab)), isolation, method, seed, versions(), SCHEMA)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def grade_paths(
    paths: Iterable[Path],
    out: Path,
    *,
    jobs: int = 1,
    policy: Policy = POLICY,
    isolation: str = "auto",
    method: str = "auto",
    seed_file: Path | None = None,
    layout: str = "",
    roster: Path | None = None,
    regrade: Collection[str] = (),
    say: Callable[[str], None] = lambda sentence: None,
    progress: Callable[[str, int, int], None] = lambda level, done, total: None,
    write: Callable[[Collection[Record], bool], None] = lambda records, finished: None,
) -> Graded:
    """Grade all submissions under files and folders; what an earlier call has finished is not graded again.

    Args:
        paths: As :func:`discovery.discover` understands them.
        out: Folder in which ``grades.sqlite`` and, without a ``seed_file``, the secret are kept.
        jobs: How many run at once, at most; 0 for as many as this machine has room for.
        policy: What the instructor asks beyond what the labs ask.
        isolation: ``process``, ``user``, ``bwrap`` or ``auto``.
        method: How memory is read: ``auto``, ``cgroup`` or ``procfs``.
        seed_file: Secret text that the hidden images are drawn with; only its owner may read it.
        layout: One of ``discovery.LAYOUTS``; "" to tell it from the names.
        roster: CSV file with the students of the class.
        regrade: Students, and verdicts, that are graded again.
        say: Is given sentences for the instructor before anything is graded.
        progress: Is given the isolation level, the number of answers that are graded, and of all.
        write: Is given all results that ``out`` holds, of earlier calls too, as they come, and whether that is all.

    Raises:
        CannotGrade: a path does not exist or holds no submission, or this host or this secret is not fit for grading.
    """
    planned = plan(paths, leave_out=out, layout=layout, roster=roster)
    tasks = planned.tasks()
    known = {name for one, _ in tasks for name in (one.student, one.student_id) if name} | set(get_args(Verdict))
    if wrong := sorted(set(regrade) - known):
        raise CannotGrade(f"--regrade {wrong[0]}: no student and no verdict is called so.")
    level = isolation_level(isolation)
    if isolation == "auto" and level == "process":
        say(
            "Warning: isolation is only 'process', which guards against accidents, not against malice, because this "
            f"host cannot hold 'bwrap': {sandbox.unavailable('bwrap')}"
        )
    measured = memory_method(method)
    secret = seed.read_seed(seed_file) if seed_file else None
    graded = Graded([], [], [])
    with kept.locked(out), contextlib.closing(kept.Grades(out / "grades.sqlite", say)) as grades:
        if method == "auto" and measured == "procfs":
            say(
                "Caution: memory is read by 'procfs', which does not see all that an answer can hide (`course-utils "
                f"doctor` says what); each row is marked with it. To grade by control groups: {memory.GET_CGROUP}."
            )
        if secret is None:
            secret, new = seed.kept_seed(out)
            if new:
                say(
                    "The hidden images of the public seed are public, so a secret was made for this class. It is kept "
                    f"in {out / seed.FILE_NAME}: give it as --seed-file to draw the same images elsewhere."
                )
        if files.remove_leftovers() + memory.remove_leftovers():
            say("Removed what an earlier run, which was killed, had left: temporary folders and control groups.")
        for sentence in planned.sentences:
            say(sentence)
        found = planned.paths()
        stale = {place for place, one in grades.results.items() if one.submission in found}
        caps = [max(lab.cap_mib, lab.compress_mib or 0) for lab in {labs.get(one.lab) for _, one in tasks if one.lab}]
        jobs, sentence = room(jobs, max(caps, default=0) + BASELINE_MIB)
        if sentence:
            say(sentence)
        progress(level, 0, len(tasks))
        try:
            how = {"isolation": level, "method": measured, "seed": secret}
            how |= {"jobs": jobs, "regrade": regrade, "policy": policy}
            for done, (one, result) in enumerate(grade_many(tasks, grades, **how), start=1):
                if isinstance(result, Failure):
                    graded.failures.append(result)
                else:
                    result = policy.applied(result)
                    graded.records.append(result)
                    grades.keep(one.place, result)
                    write(grades.results.values(), False)
                progress(level, done, len(tasks))
            now = {(one.student, one.lab, one.submission) for one in graded.records}
            failed = {clean(failure.submission.path) for failure in graded.failures}
            for place in stale & set(grades.results):  # the same files, which an earlier call read in another way
                one = grades.results[place]
                if (one.student, one.lab, one.submission) not in now and one.submission not in failed:
                    grades.drop(place)
        finally:
            write(review.of_class(grades.results.values()), True)
        graded.results.extend(grades.results.values())
    return graded


def grade_many(
    tasks: Iterable[Task],
    grades: kept.Grades,
    *,
    jobs: int = 1,
    regrade: Collection[str] = (),
    policy: Policy = POLICY,
    **how: Any,
) -> Iterator[tuple[Submission, Record | Failure]]:
    """Grade each answer and yield its record as soon as it is there, remembered ones first.

    A failure of the grader costs nobody else their grade.

    Args:
        tasks: What to grade.
        grades: Where finished records are kept.
        jobs: How many run at once.
        regrade: Students, and verdicts, whose answers are graded although they are remembered.
        policy: What counts for points and floors.
        how: ``isolation``, ``method`` (of reading memory), and ``seed``, of the hidden images.

    Raises:
        CannotGrade: nothing can be graded on this host.
    """
    same: dict[str, list[Task]] = {}  # two students may hand in the same answer: it is run once, for both
    for submission, answer in tasks:
        if answer.problem:
            yield submission, of_student(grade_answer(answer, None), submission)
        else:
            same.setdefault(key(answer, policy=policy, **how), []).append((submission, answer))
    waiting: dict[str, list[Task]] = {}
    for name, alike in same.items():
        known = grades.get(name)
        again = {one for submission, _ in alike for one in (submission.student, submission.student_id)}
        if known and not (again | {known.verdict}).intersection(regrade):
            yield from ((submission, of_student(known, submission)) for submission, _ in alike)
        else:
            waiting[name] = alike
    pool = ThreadPoolExecutor(max_workers=jobs, thread_name_prefix="grade")
    try:
        running = {}
        for name, ((_, answer), *_) in waiting.items():
            running[pool.submit(grade_answer, answer, policy.lab(answer.lab), **how)] = name
        for future in as_completed(running):
            alike = waiting[running[future]]
            try:
                record = future.result()
            except CannotGrade:
                raise
            except Exception as error:
                yield from ((task[0], Failure(*task, error)) for task in alike)
            else:
                grades.put(running[future], record)
                yield from ((submission, of_student(record, submission)) for submission, _ in alike)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
