"""The phase of a run, told by its stack: loading, tracing, the first step, and so on.

The names of functions are those of Keras 3 and TensorFlow 2.20. A stack that holds none of them is the learner's own
code: it counts as loading before the first training, and as outside Keras after it.
"""

from __future__ import annotations

import itertools
import re
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
OUTSIDE = "outside Keras"
PHASES = (
    LOADING, BUILDING, CONVERTING, TRACING, FIRST_STEP, LATER_STEPS, EVALUATION, PREDICT, CALLING, OUTSIDE,
)  # fmt: skip

TRAINER = {
    "fit": FIRST_STEP, "train_on_batch": FIRST_STEP, "evaluate": EVALUATION, "test_on_batch": EVALUATION,
    "predict": PREDICT, "predict_on_batch": PREDICT,
}  # fmt: skip
CONVERTS = re.compile(r"keras/.*data_adapters/(array_|data_adapter_utils)")
GIVES_DATA = re.compile(r"keras/.*data_adapters/|tensorflow/python/data/")
PARTS = re.compile(r"keras/src/(layers|models|optimizers|losses|metrics|applications|saving)/")
MAKES_PARTS = {"__init__", "__new__", "__call__", "from_config", "clone_model", "Input"}
TRACES = {"trace_function", "func_graph_from_py_func", "_create_concrete_function", "get_concrete_function"}
BUILDS = {
    "build", "add_weight", "build_wrapper", "compute_output_spec", "symbolic_call", "compile", "compile_from_config",
    "load_model", "load_weights", "_symbolic_build", "_initialize_with_initializer",
}  # fmt: skip
AFTER_A_STEP = {"on_train_batch_end", "pythonify_logs", "on_epoch_end"}
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
        self.trained = self.stepped = self.applied = False
        self._ran = ""  # the trainer's function that has run a step

    def phase(self, stack: Stack) -> str:
        """Return the phase in which a run has this stack."""
        at = next((index for index, frame in enumerate(stack) if _is_trainer(frame)), None)
        if at is None:
            self.stepped = self._ran == "train_on_batch"  # the next fit begins with a first step of its own
            self._ran = self._ran if self.stepped else ""
            return self._outside(stack)
        self.trained = True
        inner, called = stack[:at], stack[at].function
        functions = {frame.function for frame in inner}
        callback = next((index for index, frame in enumerate(inner) if frame.where and _is_callback(frame)), None)
        if callback is not None:
            self.stepped = self.stepped or functions & AFTER_A_STEP != set()
            return self._outside(inner[: callback + 1])
        if functions & TRACES:
            return TRACING
        if any(CONVERTS.match(frame.file) for frame in inner):
            return CONVERTING
        if any(frame.where for frame in inner) and any(GIVES_DATA.match(frame.file) for frame in inner):
            return LOADING  # a generator
        if functions & {"_symbolic_build", "compute_output_spec"}:
            return BUILDING
        if TRAINER[called] != FIRST_STEP:
            return TRAINER[called]
        return self._step(inner, functions, called)

    def _step(self, inner: Stack, functions: set[str], called: str) -> str:
        """Tell the first step from the later ones, by what runs only when a step is over."""
        applies = "apply" in functions
        back = self._ran == called == "fit" and not runs_a_graph(inner)  # in the loop over the batches
        if functions & AFTER_A_STEP or (self.applied and not applies) or back:
            self.stepped = True
        self.applied = applies
        if applies or runs_a_graph(inner):
            self._ran = called
        return LATER_STEPS if self.stepped else FIRST_STEP

    def _outside(self, stack: Stack) -> str:
        functions = {frame.function for frame in stack}
        keras = {frame.function for frame in stack if frame.file.startswith("keras/")}
        calls = "call" in keras or any(frame.function == "call" and frame.where for frame in stack)
        applies = any(frame.function == "apply" and "keras/src/optimizers" in frame.file for frame in stack)
        if functions & TRACES and not functions & {"compute_output_spec"}:
            return TRACING
        if functions & OWN_STEP or applies:
            self.trained = True
            return CALLING
        if keras & BUILDS:
            return BUILDING
        if (calls and "__call__" in keras) or runs_a_graph(stack):
            self.trained = True
            return CALLING
        if any(frame.function in MAKES_PARTS and PARTS.match(frame.file) for frame in stack):
            return CALLING if self.trained and "__call__" in keras else BUILDING
        return OUTSIDE if self.trained else LOADING


def _is_trainer(frame: Frame) -> bool:
    return frame.function in TRAINER and frame.file.startswith("keras/") and frame.file.endswith("trainer.py")


def _is_callback(frame: Frame) -> bool:
    return frame.function.startswith("on_") or frame.function == "<lambda>"


def runs_a_graph(stack: Stack) -> bool:
    """Whether a `tf.function` is running, and not only being traced."""
    return any(frame.function == "_call" and frame.file.endswith("polymorphic_function.py") for frame in stack)


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
    for name, group in itertools.groupby(line, key=lambda one: one[0]):
        *_, (_, last) = group
        found.append(Phase(name, moment, last.seconds, last.mib - mib))
        moment, mib = last.seconds, last.mib
    return found
