"""``compress(folder, file)`` writes a small model file; another run serves it, and that run's memory counts."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

from course_utils import sandbox
from course_utils.grading import score
from course_utils.grading.tasks.predicting import Problem, function, optional_function, predict_with
from course_utils.grading.tasks.train import Judgement, Run, Train, epilogue
from course_utils.sandbox import Listener, Outcome
from course_utils.units import number

MODEL = "model.keras"


def inside(namespace: dict[str, Any], folder: str, file: str) -> None:
    """Have ``compress`` write a model file. This run gets no images."""
    compress = function(namespace, "compress(folder, file)")
    compress(Path(folder), Path(file))


def serve(namespace: dict[str, Any], file: str) -> None:
    """Predict with nothing but the file: ``predict(file, paths)`` where there is one, else what Keras loads."""
    predict = optional_function(namespace, "predict(file, paths)")
    model: Any = Path(file)
    if predict is None:
        import keras

        try:
            model = keras.saving.load_model(file)
        except (OSError, TypeError, ValueError) as error:
            reason = next(iter(str(error).splitlines()), "")[:300]
            raise Problem(
                f"Keras cannot load the file that compress wrote: {reason} "
                "Write it with model.save(file), or write predict(file, paths)."
            ) from None
    predict_with(model, predict)


class Compress(Train):
    """The file's size counts beside accuracy and memory, and memory is that of the run that serves the file."""

    saved_kib: float | None = None

    def grade(self, run: Run, training: Path, listener: Listener) -> Outcome:
        """Nothing but the file goes from the first run to the second. The outcome has the time of both."""
        with sandbox.scratch("graded-") as directory:
            file = directory / MODEL
            first = run(
                cap_mib=self.lab.compress_mib,
                epilogue=epilogue([inside], training, file),
                readable=[training],
                directory=directory,
                listener=Listener(output=listener.output, answer=self.note),
            )
            if first.status != "finished":
                return dataclasses.replace(first, message=f"While compress ran: {first.message}")
            if self.problem:
                return first
            try:
                if file.is_symlink() or not file.is_file():  # a link could lead to what the run itself may not read
                    raise FileNotFoundError
                served = Path(shutil.copyfile(file, self.directory / MODEL))
            except OSError:
                self.problem = "compress left no file that can be read: write the model to the file that it is given."
                return first
        self.saved_kib = served.stat().st_size / 1024
        second = run(
            cpu_limit=max(self.lab.time_limit - first.cpu_seconds, 1),
            epilogue=epilogue([serve], served),
            directory=self.directory,
            listener=dataclasses.replace(listener, answer=self.answer),
        )
        return dataclasses.replace(
            second, seconds=first.seconds + second.seconds, cpu_seconds=first.cpu_seconds + second.cpu_seconds
        )

    def judge_finished(self, peak: float, accuracy: float) -> Judgement:
        judgement, lab = super().judge_finished(peak, accuracy), self.lab
        if lab.saved_kib is None or self.saved_kib is None:
            return judgement
        found = f"{judgement.found} The file takes {number(round(self.saved_kib))} of {number(lab.saved_kib)} KiB."
        if self.saved_kib > lab.saved_kib:  # no points for memory
            points = score.score(lab.cap_mib, lab.budget_mib, lab.cap_mib, accuracy, lab.floor, lab.memory_points)
            return Judgement("over_budget", points, found, "Save fewer or narrower numbers, and no optimizer.")
        return dataclasses.replace(judgement, found=found)
