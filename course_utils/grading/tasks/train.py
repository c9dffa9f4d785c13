"""``train(folder)`` returns a model, which is graded on its peak and on its accuracy. The other kinds build on this."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import inspect
import os
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course_utils.grading import score
from course_utils.grading.tasks import predicting
from course_utils.labs import LabSpec
from course_utils.sandbox import Listener, Outcome
from course_utils.units import mib, percent

IMAGES = "graded_images"

Run = Callable[..., Outcome]
"""``sandbox.run`` with the cells, the lab's limits and the isolation filled in."""


@dataclass(frozen=True)
class Judgement:
    """Verdict, points of 100, what was found, and what to do about it."""

    verdict: str
    points: float
    found: str
    advice: str = ""

    @property
    def message(self) -> str:
        """The sentences for the learner."""
        return f"{self.found} {self.advice}".strip()


def epilogue(functions: Sequence[Callable[..., None]], *arguments: Any) -> str:
    """The code that runs after the learner's: the first function, given the learner's namespace and the arguments.

    It is sent as text, because the strongest isolation keeps the grader's files out of sight: `predicting.py` whole,
    then the functions, which may use nothing else. It has a namespace of its own, so names that the learner has
    reused ("len", "list") do no harm.
    """
    text = "\n\n".join(map(inspect.getsource, (predicting, *functions)))
    values = [str(value) if isinstance(value, Path) else value for value in arguments]
    return (
        "import builtins as _builtins\n"
        "_grader = {'__name__': 'grader'}\n"
        f"_builtins.exec(_builtins.compile({text!r}, '<grader>', 'exec'), _grader)\n"
        f"_grader['run'](_grader[{functions[0].__name__!r}], _builtins.globals(), *{values!r})\n"
    )


class Train:
    """One graded answer seen from outside: hands out images without labels, takes predictions, keeps the labels.

    A kind of task says what runs inside (`inside`, `arguments`), and adds to `answer`, `grade` and `judge_finished`
    what it needs.
    """

    inside: Sequence[Callable[..., None]] = (predicting.train_and_predict,)
    arguments: tuple[Any, ...] = ()

    def __init__(self, lab: LabSpec, hidden: Path, directory: Path) -> None:
        self.lab = lab
        self.hidden = hidden
        self.directory = directory
        self.labels: list[int] = []
        self.names: list[str] = []
        self.accuracy: float | None = None
        self.labels_sha256 = ""
        self.problem = ""

    def grade(self, run: Run, training: Path, listener: Listener) -> Outcome:
        """Run the answer on the training folder."""
        return run(
            epilogue=epilogue(self.inside, training, *self.arguments),
            readable=[training],
            directory=self.directory,
            listener=dataclasses.replace(listener, answer=self.answer),
        )

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        """Answer one message. Whatever a run sends, nothing about the labels goes back."""
        if message.get("state") == "trained":
            if not self.labels:
                try:
                    self.labels = self._hand_out()
                except OSError as error:
                    if error.errno in (errno.ENOSPC, errno.EDQUOT):
                        raise
                    self.problem = (
                        f"The images could not be put into the working directory ({error.strerror}): "
                        f"leave the folder {IMAGES} to the grader."
                    )
            return {"images": [f"{IMAGES}/{number:05d}.jpg" for number in range(len(self.labels))]}
        if "predictions" in message:
            self._mark(message["predictions"])
        return self.note(message)

    def note(self, message: dict[str, Any]) -> dict[str, Any]:
        """Take a problem, and nothing else: for a run that gets no images."""
        if "problem" in message:
            self.problem = self.problem or str(message["problem"])[:1000]
        return {}

    def judge(self, outcome: Outcome) -> Judgement:
        """The verdict on a run that has ended."""
        if outcome.status != "finished":
            during = "While it labelled the hidden images: " if self.labels and self.accuracy is None else ""
            message = during + outcome.message
            if outcome.cause:
                stop = "" if message.endswith((".", "!", "?")) else "."
                message += f"{stop} Likely cause: {outcome.cause}"
            return Judgement(outcome.status, 0.0, message)
        if self.problem:
            return Judgement("raised", 0.0, self.problem)
        if self.accuracy is None:
            return Judgement("raised", 0.0, "The run ended before it gave predictions: let train and predict return.")
        return self.judge_finished(outcome.peak_mib, self.accuracy)

    def judge_finished(self, peak: float, accuracy: float) -> Judgement:
        """The verdict on an answer that has labelled all images."""
        lab = self.lab
        verdict = score.verdict(peak, lab.budget_mib, accuracy, lab.floor)
        points = score.score(peak, lab.budget_mib, lab.cap_mib, accuracy, lab.floor, lab.memory_points)
        found = (
            f"The peak is {mib(peak)} of {mib(lab.budget_mib)}; the accuracy on hidden images is {percent(accuracy)}, "
            f"and the lab asks for {percent(lab.floor, 0)}."
        )
        advice = {"over_budget": "Hold less in memory at once.", "inaccurate": "Train longer, or change the model."}
        return Judgement(verdict, points, found, advice.get(verdict, ""))

    def _mark(self, predictions: Any) -> None:
        count, classes = len(self.labels), predicting.CLASSES
        if not count or self.accuracy is not None:
            return
        valid = isinstance(predictions, list) and len(predictions) == count
        if not valid or not all(type(label) is int and 0 <= label < classes for label in predictions):
            self.problem = f"The run sent something other than {count} labels from 0 to {classes - 1}."
            return
        pairs = zip(predictions, self.labels, strict=True)
        self.accuracy = sum(guess == label for guess, label in pairs) / count
        given = sorted(zip(self.names, predictions, strict=True))  # they were handed out in random order
        self.labels_sha256 = hashlib.sha256(repr(given).encode()).hexdigest()

    def _hand_out(self) -> list[int]:
        """Copy the hidden images under numbers, in random order; return their labels in that order."""
        originals = list(self.hidden.glob("*/*.jpg"))
        random.SystemRandom().shuffle(originals)
        # The run owns this directory and may put links in it, so every step goes by descriptor and follows none.
        parent = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.mkdir(IMAGES, 0o755, dir_fd=parent)
            folder = os.open(IMAGES, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
            try:
                for number, original in enumerate(originals):
                    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
                    copy = os.open(f"{number:05d}.jpg", flags, 0o644, dir_fd=folder)
                    with open(original, "rb") as source, os.fdopen(copy, "wb") as target:
                        shutil.copyfileobj(source, target)
            finally:
                os.close(folder)
        finally:
            os.close(parent)
        self.names = [f"{original.parent.name}/{original.name}" for original in originals]
        return [int(original.parent.name) for original in originals]
