"""``make_dataset(folder)`` feeds ``train``: its pipeline is timed against a plain loop over the same files."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from course_utils.grading.tasks.predicting import Problem, describe, function, train_and_predict
from course_utils.grading.tasks.train import Judgement, Train

LAPS = ("start", *("loop", "dataset") * 4)  # timed in this order
LOOP_BATCH = 32


def inside(namespace: dict[str, Any], folder: str, laps: Sequence[str], batch_size: int) -> None:
    """Go through the pipeline and through a plain loop in turn, then train and predict.

    The clock is the grader's: it reads this process's processor time as each message comes.
    """
    import keras
    import numpy as np

    from course_utils.sandbox.inside import exchange

    make_dataset = function(namespace, "make_dataset(folder)")
    paths = sorted(Path(folder).glob("*/*.jpg"))
    dataset = make_dataset(Path(folder))
    for lap in laps:
        if lap == "loop":  # as Keras users do without a pipeline
            for start in range(0, len(paths), batch_size):
                names = paths[start : start + batch_size]
                np.stack([keras.utils.img_to_array(keras.utils.load_img(name)) for name in names])
        elif lap == "dataset":
            run_through(dataset, len(paths))
        exchange({"lap": lap})
    del dataset  # and with it whatever it holds, before train makes another one
    train_and_predict(namespace, folder)


def run_through(dataset: Any, count: int) -> None:
    """Take batches of (images, labels) until ``count`` images have come. Raises Problem where they do not."""
    if not hasattr(dataset, "__iter__"):
        raise Problem(f"make_dataset returned {describe(dataset)}; expected a dataset of batches (images, labels).")
    given = 0
    for batch in dataset:
        try:
            images, labels = batch
            size, answers = len(images), len(labels)
        except (TypeError, ValueError):
            raise Problem(f"make_dataset gave {describe(batch)}; expected a batch (images, labels).") from None
        if size != answers:
            raise Problem(f"make_dataset gave a batch of {size} images with {answers} labels.")
        given += size
        if given >= count:
            return
    raise Problem(f"make_dataset gave {given} images, and the folder has {count}: leave none out.")


class Pipeline(Train):
    """Accuracy and memory as for :class:`Train`; a pipeline that is slower than the lab allows fails."""

    inside = (inside, run_through)
    arguments = (LAPS, LOOP_BATCH)
    laps: Sequence[tuple[str, float]] = ()

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        if "lap" in message:
            self.laps = [*self.laps[: len(LAPS)], (str(message["lap"]), message["processor_seconds"])]
        return super().answer(message)

    def speed(self) -> float | None:
        """How many times as fast as the plain loop the pipeline was; None where the laps are not as asked.

        Processor time counts, which other work on the machine hardly changes.
        """
        if tuple(name for name, _ in self.laps) != LAPS:
            return None
        total = dict.fromkeys(LAPS, 0.0)
        for (_, before), (name, now) in zip(self.laps, self.laps[1:], strict=False):
            total[name] += now - before
        return total["loop"] / max(total["dataset"], 1e-9)

    def judge_finished(self, peak: float, accuracy: float) -> Judgement:
        judgement, speed, least = super().judge_finished(peak, accuracy), self.speed(), self.lab.least_speed
        if least is None:
            return judgement
        if speed is None:
            return Judgement(
                "raised", 0.0, "The run did not keep to the grader's laps: leave the timing to the grader."
            )
        words = f"make_dataset is {speed:.1f} times as fast as a plain loop; the lab asks for {least:g} or more."
        if speed < least:
            return Judgement("timed_out", 0.0, f"Too slow: {words}", "Keep Python out of the pipeline.")
        return dataclasses.replace(judgement, found=f"{judgement.found} {words}")
