"""One answer: run it in a sandbox, judge the outcome, and put it into one record."""

from __future__ import annotations

import functools
from dataclasses import asdict
from pathlib import Path
from typing import Any

from course_utils import memory, sandbox, scans
from course_utils.grading.record import Record, clean
from course_utils.grading.seed import PUBLIC_SEED, CannotGrade
from course_utils.grading.submission import Answer, Submission, size_bytes
from course_utils.grading.tasks import KINDS
from course_utils.grading.tasks.train import Train
from course_utils.labs import LabSpec
from course_utils.postmortem.summary import condense
from course_utils.sandbox import Listener, Outcome, Where

CLOCK = 4  # a limit of so many CPU seconds is one of four times as many by the clock, for a run that sleeps
CLOSE = 0.02  # of the budget: between two runs of one answer a peak differs by less
INTERRUPTED = {
    "machine_busy": "twice, others on this machine kept its processors busy for most of the time; run it again later",
    "machine_memory": "twice, this machine ran out of memory, and the kernel killed the run; free some memory",
}
Ran = tuple[Train, Outcome]


class Interrupted(Exception):
    """An answer could not be run to an end of its own; the text is the reason, for the instructor."""


def isolation_level(asked: str) -> str:
    """The level to run at: ``auto`` is the strongest that the host holds, and a named one is never lowered.

    Raises:
        CannotGrade: this host cannot hold the level.
    """
    if asked == "auto":
        return sandbox.strongest()
    if asked not in sandbox.LEVELS:
        raise CannotGrade(f"There is no isolation {asked!r}: choose auto, {', '.join(sandbox.LEVELS)}.")
    if reason := sandbox.unavailable(asked):
        raise CannotGrade(f"Nothing was graded, because this host cannot hold isolation {asked!r}: {reason}")
    return asked


def memory_method(asked: str) -> str:
    """The way to read memory: ``auto`` is the best that the host holds.

    Raises:
        CannotGrade: there is no such way here; the message says how to get it.
    """
    try:
        found = memory.choose(asked)
        memory.open_meter(found, 1024).close()
    except memory.MeterUnavailable as error:
        raise CannotGrade(f"Nothing was graded, because memory cannot be read by {asked!r}: {error}") from None
    return found


def grade_answer(
    answer: Answer,
    lab: LabSpec | None,
    *,
    isolation: str = "process",
    method: str = "auto",
    seed: int = PUBLIC_SEED,
    listener: Listener = Listener(),  # noqa: B008
) -> Record:
    """Grade an answer that has been read and checked. The record does not say yet whose it is.

    Args:
        answer: Its cells are run in order in one namespace.
        lab: Its budget, floor and images count; None where the answer names no lab.
        isolation: ``process``, ``user``, ``bwrap`` or ``auto``.
        method: How memory is read: ``auto``, ``cgroup`` or ``procfs``.
        seed: Of the hidden images.
        listener: Is told of output and memory while it runs.

    Raises:
        CannotGrade: the host cannot hold the isolation, or the images cannot be drawn.
    """
    fields: dict[str, Any] = {"lab": answer.lab}
    if lab:
        fields |= {"budget_mib": lab.budget_mib, "floor": lab.floor, "time_limit": lab.time_limit}
    if answer.problem or not lab:
        return Record(verdict="rejected", message=answer.problem, where=answer.where, **fields)
    if not answer.attempted:
        message = f"Lab {lab.number} is not attempted yet: write {lab.function} in the graded cell."
        return Record(verdict="not_attempted", message=message, **fields)
    isolation = isolation_level(isolation)
    training, hidden = images(lab, seed)

    def ran(alone: bool = False) -> Ran:
        run = functools.partial(
            sandbox.run,
            answer.cells,
            budget_mib=lab.budget_mib,
            cap_mib=lab.cap_mib,
            gpu_budget_mib=lab.gpu_budget_mib,
            time_limit=CLOCK * lab.time_limit,
            cpu_limit=lab.time_limit,
            isolation=isolation,
            method=method,
            disk_mib=sandbox.GRADED_DISK_MIB,
            alone=alone,
        )
        with sandbox.scratch("graded-") as directory:
            task = KINDS[lab.function](lab, hidden, directory)
            return task, task.grade(run, training, listener)

    task, outcome = ran()
    if outcome.interruption:
        fields["repeated"] = f"The first run was interrupted ({outcome.interruption}), so it was run again, alone."
        task, outcome = ran(alone=True)
        if reason := INTERRUPTED.get(outcome.interruption):
            raise Interrupted(reason)
    peaks = [outcome.peak_mib]
    if outcome.status == "finished" and abs(outcome.peak_mib / lab.budget_mib - 1) <= CLOSE:
        fields["repeated"] = "The peak is so close to the budget that the median of three runs counts."
        three = [(task, outcome), ran(), ran()]
        peaks = [one.peak_mib for _, one in three]
        three.sort(key=lambda one: one[1].peak_mib)
        finished = [one for one in three if one[1].status == "finished"]
        task, outcome = finished[(len(finished) - 1) // 2]
    judgement = task.judge(outcome)
    size, compressed = size_bytes(answer.cells)
    if judgement.verdict == outcome.status:
        fields |= post_mortem(outcome)
    return Record(
        verdict=judgement.verdict,
        message=judgement.message,
        score=judgement.points,
        phases=[asdict(phase) for phase in condense(outcome.phases)],
        peak_mib=round(outcome.peak_mib, 1),
        baseline_mib=round(outcome.baseline_mib, 1),
        accuracy=task.accuracy if outcome.status == "finished" else None,
        peaks_mib=peaks,
        answer_bytes=size,
        compressed_bytes=compressed,
        labels_sha256=task.labels_sha256,
        seconds=round(outcome.seconds, 2),
        cpu_seconds=outcome.cpu_seconds,
        method=outcome.method,
        readings={name: round(value, 2) for name, value in asdict(outcome.readings).items()},
        isolation=outcome.isolation,
        trace=outcome.trace,
        **fields,
    )


def post_mortem(outcome: Outcome) -> dict[str, Any]:
    """What a record keeps of the explanation of a death."""
    return {
        "where": _line(outcome.where),
        "blame": _line(outcome.blame),
        "cause": outcome.cause,
        "remedy": outcome.remedy,
        "cause_lab": outcome.cause_lab,
        "growth": [{"mib": one.mib, "where": _line(one.where), "phase": one.phase} for one in outcome.growers],
    }


def _line(where: Where | None) -> dict[str, Any] | None:
    return where and {"cell": where.cell, "line": where.line, "source": where.source}


def of_student(record: Record, submission: Submission) -> Record:
    """The record of an answer as that of the student who handed it in."""
    one = submission
    own = {"student": clean(one.student), "submission": clean(one.path), "sha256": one.sha256}
    own |= {"student_id": clean(one.student_id), "attempt": one.attempt, "late": one.late}
    own |= {"identical": one.identical, "note": clean(one.note, 2000)}
    return record.model_copy(update=own)


def images(lab: LabSpec, seed: int) -> tuple[Path, Path]:
    """The folders of the training and of the hidden images of a lab. Raises CannotGrade."""
    try:
        # Compared with what was drawn: an earlier answer, run as the same user, may have changed files.
        drawn: dict[str, Any] = {"size": lab.image_size, "style": seed, "verify": True}
        training = scans.load("train", count=lab.train_count, **drawn)
        hidden = scans.load("hidden", count=lab.hidden_count, seed=seed, distorted=lab.distorted, **drawn)
    except (scans.ScanError, OSError) as error:
        raise CannotGrade(str(error)) from None
    return training, hidden
