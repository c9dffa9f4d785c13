"""The grader's end of the talk with a graded run: images go in without labels, predictions come out."""

from __future__ import annotations

import errno
import os
import random
import shutil
from pathlib import Path
from typing import Any

from course_utils.grading.inside import CLASSES, LAPS

IMAGES = "graded_images"


class Examiner:
    """Answers a graded run from outside: hands out images without labels, takes predictions, keeps the labels."""

    def __init__(self, hidden: Path, directory: Path) -> None:
        self.hidden = hidden
        self.directory = directory
        self.saved_kib: float | None = None
        self.labels: list[int] = []
        self.accuracy: float | None = None
        self.problem = ""
        self.laps: list[tuple[str, float]] = []

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
            images = [f"{IMAGES}/{number:05d}.jpg" for number in range(len(self.labels))]
            return {"images": images}
        if "lap" in message:
            self.laps = [*self.laps[: len(LAPS)], (str(message["lap"]), message["processor_seconds"])]
        elif "predictions" in message:
            self._mark(message["predictions"])
        return self.note(message)

    def note(self, message: dict[str, Any]) -> dict[str, Any]:
        """Take a problem, and nothing else: for a run that gets no images."""
        if "problem" in message:
            self.problem = self.problem or str(message["problem"])[:1000]
        return {}

    def speedup(self) -> float | None:
        """How many times as fast as the plain loop the learner's pipeline was; None where laps are not as asked.

        What counts is processor time, which other work on the machine hardly changes.
        """
        if tuple(name for name, _ in self.laps) != LAPS:
            return None
        total = dict.fromkeys(LAPS, 0.0)
        for (_, before), (name, now) in zip(self.laps, self.laps[1:], strict=False):
            total[name] += now - before
        return total["loop"] / max(total["dataset"], 1e-9)

    def _mark(self, predictions: Any) -> None:
        count = len(self.labels)
        if not count or self.accuracy is not None:
            return
        valid = isinstance(predictions, list) and len(predictions) == count
        if not valid or not all(type(label) is int and 0 <= label < CLASSES for label in predictions):
            self.problem = f"The run sent something else than {count} labels from 0 to {CLASSES - 1}."
            return
        pairs = zip(predictions, self.labels, strict=True)
        self.accuracy = sum(guess == label for guess, label in pairs) / count

    def _hand_out(self) -> list[int]:
        """Copy the hidden images under numbers in an order of their own; return their labels in that order."""
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
        return [int(original.parent.name) for original in originals]
