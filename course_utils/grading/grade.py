"""One answer: run it in a sandbox, score what came out, and say so in one record."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import shutil
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

from course_utils import labs, sandbox, scans
from course_utils.grading import score
from course_utils.grading.examiner import Examiner
from course_utils.grading.record import Record
from course_utils.grading.submission import Answer, Cells, Submission, code_problem, untouched
from course_utils.labs import LabSpec
from course_utils.sandbox import Listener

PUBLIC_SEED = 0
MODEL = "model.keras"


class CannotGrade(Exception):
    """The grader itself is stopped, whatever the submission; the text is a sentence for the instructor."""


def seed_from(text: str) -> int:
    """The seed of the hidden images that an instructor's secret text stands for."""
    return int.from_bytes(hashlib.sha256(text.strip().encode()).digest()[:7], "big")


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
        raise CannotGrade(f"Nothing was graded, since this host cannot hold isolation {asked!r}: {reason}")
    return asked


def epilogue(function: str, *paths: Path) -> str:
    """What runs after the learner's code, as text: the strongest isolation keeps the grader's files out of sight.

    It has a namespace of its own, so names that the learner has taken ("len", "list") do no harm. A lab that asks
    for another function brings another entry here.
    """
    entries = {
        "train": "train_and_predict",
        "make_dataset": "time_and_train",
        "search": "search_and_predict",
        "compress": "compress_only",
        "predict": "load_and_predict",
    }
    call = entries[function]
    text = resources.files("course_utils.grading").joinpath("inside.py").read_text("utf-8")
    return (
        "import builtins as _builtins\n"
        "_grader = {'__name__': 'grader'}\n"
        f"_builtins.exec(_builtins.compile({text!r}, '<grader>', 'exec'), _grader)\n"
        f"_grader[{call!r}](_builtins.globals(), *{[str(path) for path in paths]!r})\n"
    )


def grade_source(
    cells: Cells,
    lab: LabSpec,
    *,
    isolation: str = "process",
    seed: int = PUBLIC_SEED,
    listener: Listener = Listener(),  # noqa: B008
    **identity: Any,
) -> Record:
    """Grade an answer.

    Args:
        cells: The graded cells as (name, source), run in order in one namespace.
        lab: Whose budget, floor and images count.
        isolation: ``process``, ``user``, ``bwrap`` or ``auto``.
        seed: Of the hidden images.
        listener: Is told of output and memory while it runs.
        identity: ``submission``, ``sha256`` and ``student`` for the record.

    Raises:
        CannotGrade: the host cannot hold the isolation, or the images cannot be drawn.
    """
    identity |= {"lab": lab.number}
    asked = {"budget_mib": lab.budget_mib, "floor": lab.floor, "time_limit": lab.time_limit}
    problem, where = code_problem(cells)
    if problem:
        return Record(verdict="rejected", message=_sentence(problem), where=where, **identity, **asked)
    if untouched(cells, lab.function):
        message = f"Lab {lab.number} is not attempted yet: write {lab.function} in the graded cell."
        return Record(verdict="not_attempted", message=message, **identity, **asked)
    isolation = isolation_level(isolation)
    try:
        training = scans.load("train", count=lab.train_count, size=lab.image_size, verify=True)
        hidden = scans.load(
            "hidden", count=lab.hidden_count, size=lab.image_size, seed=seed, distorted=lab.distorted, verify=True
        )
        hidden.chmod(0o500)  # labels are folder names there: not for other users, such as a sandbox's
    except (scans.ScanError, OSError) as error:
        raise CannotGrade(str(error)) from None
    run = functools.partial(
        sandbox.run,
        cells,
        budget_mib=lab.budget_mib,
        cap_mib=lab.cap_mib,
        gpu_budget_mib=lab.gpu_budget_mib,
        time_limit=lab.time_limit,
        isolation=isolation,
    )
    with sandbox.scratch("graded-") as directory:
        examiner = Examiner(hidden, Path(directory))
        if lab.function == "compress":
            outcome = compress_and_serve(run, lab, examiner, training, listener)
        else:
            outcome = run(
                epilogue=epilogue(lab.function, training),
                readable=[training],
                directory=Path(directory),
                listener=dataclasses.replace(listener, answer=examiner.answer),
            )
    verdict, points, message = judge(outcome, examiner, lab)
    line = outcome.where if verdict == outcome.status else None
    return Record(
        verdict=verdict,
        message=message,
        score=points,
        where=line and {"cell": line.cell, "line": line.line, "source": line.source},
        peak_mib=round(outcome.peak_mib, 1),
        baseline_mib=round(outcome.baseline_mib, 1),
        accuracy=examiner.accuracy if outcome.status == "finished" else None,
        seconds=round(outcome.seconds, 2),
        method=outcome.method,
        isolation=outcome.isolation,
        trace=outcome.trace,
        **identity,
        **asked,
    )


def grade_answer(submission: Submission, answer: Answer, *, isolation: str, seed: int, **watch: Any) -> Record:
    """Grade one answer of a submission. Arguments and errors are those of :func:`grade_source`."""
    identity = {
        "submission": str(submission.path),
        "sha256": submission.sha256,
        "student": submission.student,
    }
    if answer.problem:
        return Record(verdict="rejected", message=answer.problem, where=answer.where, lab=answer.lab, **identity)
    lab = labs.get(answer.lab)
    return grade_source(answer.cells, lab, isolation=isolation, seed=seed, **identity, **watch)


def compress_and_serve(
    run: Callable[..., sandbox.Outcome], lab: LabSpec, examiner: Examiner, training: Path, listener: Listener
) -> sandbox.Outcome:
    """Have a model file written in one run; load it and predict in a fresh one, whose memory is what counts.

    Nothing but the file goes from the one to the other, and only the second gets images. Its outcome has the seconds
    of both.
    """
    with sandbox.scratch("graded-") as directory:
        file = Path(directory) / MODEL
        first = run(
            cap_mib=lab.compress_mib,
            epilogue=epilogue("compress", training, file),
            readable=[training],
            directory=Path(directory),
            listener=Listener(output=listener.output, answer=examiner.note),
        )
        if first.status != "finished":
            return dataclasses.replace(first, message=f"While compress ran: {first.message}")
        if examiner.problem:
            return first
        try:
            if file.is_symlink() or not file.is_file():  # a link could lead to what the run itself may not read
                raise FileNotFoundError
            served = Path(shutil.copyfile(file, examiner.directory / MODEL))
        except OSError:
            examiner.problem = "compress left no file that can be read: write the model to the file that it is given."
            return first
    examiner.saved_kib = served.stat().st_size / 1024
    second = run(
        time_limit=max(lab.time_limit - first.seconds, 1),
        epilogue=epilogue("predict", served),
        directory=examiner.directory,
        listener=dataclasses.replace(listener, answer=examiner.answer),
    )
    return dataclasses.replace(second, seconds=first.seconds + second.seconds)


def judge(outcome: sandbox.Outcome, examiner: Examiner, lab: LabSpec) -> tuple[str, float, str]:
    """Verdict, points of 100, and the sentence for the learner."""
    if outcome.status != "finished":
        during = "While it labelled the hidden images: " if examiner.labels and examiner.accuracy is None else ""
        message = during + outcome.message
        if outcome.cause:
            stop = "" if message.endswith((".", "!", "?")) else "."
            message += f"{stop} Likely cause: {outcome.cause}"
        return outcome.status, 0.0, message
    if examiner.problem:
        return "raised", 0.0, examiner.problem
    if examiner.accuracy is None:
        return "raised", 0.0, "The run ended before it gave predictions: let train and predict return."
    speed = ""
    if lab.speedup is not None:
        speedup = examiner.speedup()
        if speedup is None:
            return "raised", 0.0, "The run did not keep to the grader's laps: leave the timing to the grader."
        speed = f"; make_dataset is {speedup:.1f} times as fast as a plain loop, and the lab asks for {lab.speedup:g}"
        if speedup < lab.speedup:
            return "timed_out", 0.0, f"Too slow{speed}. Keep Python out of the pipeline."
    peak, accuracy = outcome.peak_mib, examiner.accuracy
    points = score.score(peak, lab.budget_mib, lab.cap_mib, accuracy, lab.floor)
    memory = f"The peak is {peak:.0f} of {lab.budget_mib:.0f} MiB"
    hits = f"the accuracy on hidden images is {accuracy:.1%}, and the lab asks for {lab.floor:.0%}{speed}"
    if lab.saved_kib is not None and examiner.saved_kib is not None:
        hits += f"; the file takes {examiner.saved_kib:.0f} of {lab.saved_kib:g} KiB"
        if examiner.saved_kib > lab.saved_kib:
            advice = " Save fewer or narrower numbers, and no optimizer."
            points = score.score(lab.cap_mib, lab.budget_mib, lab.cap_mib, accuracy, lab.floor)  # none for memory
            return "over_budget", points, f"{memory}; {hits}.{advice}"
    verdict = score.verdict(peak, lab.budget_mib, accuracy, lab.floor)
    advice = {
        "passed": "",
        "over_budget": " Hold less in memory at once.",
        "inaccurate": " Train longer, or change the model.",
    }[verdict]
    return verdict, points, f"{memory}; {hits}.{advice}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
