"""The phase of a run, told by its stack: loading, tracing, the first step, and so on.

The names of functions are those of Keras 3 and TensorFlow 2.20. A stack that holds none of them is the learner's own
code: it counts as loading before the first training, and as between the calls of Keras after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from course_utils.postmortem.evidence import Frame, Sighting, Stack

LOADING = "loading"
BUILDING = "building the model"
CONVERTING = "arrays to tensors"
TRACING = "tracing"
FIRST_STEP = "first step"
LATER_STEPS = "later steps"
EVALUATION = "evaluation"
PREDICT = "predict"
CALLING = "calling the model"
BETWEEN = "between"
PHASES = (
    LOADING, BUILDING, CONVERTING, TRACING, FIRST_STEP, LATER_STEPS, EVALUATION, PREDICT, CALLING, BETWEEN,
)  # fmt: skip

TRAINER = {
    "fit": FIRST_STEP, "train_on_batch": FIRST_STEP, "evaluate": EVALUATION, "test_on_batch": EVALUATION,
    "predict": PREDICT, "predict_on_batch": PREDICT,
}  # fmt: skip
CONVERSIONS = {
    "convert_to_eager_tensor",
    "convert_to_tensor",
    "from_tensors",
    "from_tensor_slices",
    "can_convert_arrays",
}
TRACES = {"trace_function", "func_graph_from_py_func", "_create_concrete_function", "get_concrete_function"}
AFTER_A_STEP = {"on_train_batch_end", "pythonify_logs", "on_epoch_end"}
BUILDS = {"build", "add_weight", "build_wrapper", "compute_output_spec", "symbolic_call"}
OWN_STEP = {"gradient", "jacobian", "apply_gradients"}


@dataclass(frozen=True)
class Phase:
    """A stretch of a run. ``start`` and ``end`` in seconds; ``mib`` is how much more memory there was at its end."""

    name: str
    start: float
    end: float
    mib: float


class Reader:
    """Names the phase of one stack after the other, in the order of their time."""

    def __init__(self) -> None:
        self.trained = self.stepped = False

    def phase(self, stack: Stack) -> str:
        """Return the phase in which a run has this stack."""
        at = next((index for index, frame in enumerate(stack) if _is_trainer(frame)), None)
        if at is None:
            return self._outside(stack)
        self.trained = True
        inner, kind = stack[:at], TRAINER[stack[at].function]
        functions = {frame.function for frame in inner}
        if functions & TRACES:
            return TRACING
        if any(frame.where for frame in inner):  # a callback, or a generator
            return self._outside(inner)
        if functions & CONVERSIONS and any("data_adapters/" in frame.file for frame in inner):
            return CONVERTING
        if kind != FIRST_STEP:
            return kind
        if functions & AFTER_A_STEP:
            self.stepped = True
        return LATER_STEPS if self.stepped else FIRST_STEP

    def _outside(self, stack: Stack) -> str:
        functions = {frame.function for frame in stack}
        keras = {frame.function for frame in stack if "keras/" in frame.file}
        if functions & TRACES:
            return TRACING
        if functions & OWN_STEP:
            self.trained = True
            return CALLING
        if keras & BUILDS:
            return BUILDING
        if any(frame.function == "__call__" and "keras/src/layers" in frame.file for frame in stack):
            self.trained = True
            return CALLING
        return BETWEEN if self.trained else LOADING


def _is_trainer(frame: Frame) -> bool:
    return frame.function in TRAINER and "keras/" in frame.file and frame.file.endswith("trainer.py")


def timeline(sightings: Sequence[Sighting]) -> list[tuple[str, Sighting]]:
    """Return each sighting with its phase; one whose stack is not known has the phase of the one before."""
    reader, name, found = Reader(), LOADING, []
    for sighting in sightings:
        name = reader.phase(sighting.stack) if sighting.stack else name
        found.append((name, sighting))
    return found


def stretches(line: Sequence[tuple[str, Sighting]]) -> list[Phase]:
    """Return the phases of a run in their order, each as long as it went on without a break."""
    found: list[Phase] = []
    moment, mib = 0.0, 0.0
    for name, sighting in line:
        if found and found[-1].name == name:
            first = found.pop()
            found.append(Phase(name, first.start, sighting.seconds, first.mib + sighting.mib - mib))
        else:
            found.append(Phase(name, moment, sighting.seconds, sighting.mib - mib))
        moment, mib = sighting.seconds, sighting.mib
    return found
