"""What Keras does with data: tensors of arrays, and what the layers give for a batch."""

from __future__ import annotations

import re
from typing import NamedTuple

from course_utils.postmortem import phases
from course_utils.postmortem.evidence import Where
from course_utils.postmortem.rules.case import Case, Finding, say
from course_utils.postmortem.rules.pipelines import buffers
from course_utils.postmortem.rules.said import Argument

LEAST = 0.2  # of the memory: what comes in a phase is looked at from here on
TRAINED_OUTPUTS = 2.25
"""A training step needs so many times the outputs of its layers: the outputs, gradients of the largest, and buffers.
Measured with convolutions on the CPU without XLA; with XLA it was 4.2."""
TOO_MUCH = 1.9  # times what was expected
LEAST_OUTPUTS = 0.15  # of the growth: layers whose outputs are smaller do not explain it
SCORES = 4  # an attention layer keeps its scores before and after the softmax, and a gradient of each
MANY_CLASSES = 4096
LONG = 256  # positions
STEPS = {
    "training": (phases.FIRST_STEP, phases.LATER_STEPS),
    "evaluating": (phases.EVALUATION,),
    "predicting": (phases.PREDICT,),
    "calling": (phases.CALLING,),
}
RECURRENT = re.compile(r"keras/src/layers/rnn/|keras/src/backend/tensorflow/rnn")
CELL = re.compile(r"(lstm|gru|rnn)_cell")


def arrays_to_tensors(case: Case) -> Finding | None:
    """`fit` makes a tensor of each array that it is given, and both are alive."""
    tensors, where = case.came(phases.CONVERTING)
    if not where or tensors < LEAST * case.peak_mib:
        return None
    arrays = {one.variable: one.mib for one in case.training.arguments if one.mib >= 1}
    named = case.program.statement(where).names
    for entry in case.entries("array", "tensor", "dataframe"):
        if entry.name in named:
            arrays.setdefault(entry.name, entry.mib)
    words = say("arrays_to_tensors", arrays=arrays, tensors=tensors, batch=case.training.batch_size)
    return Finding("arrays_to_tensors", min(case.peak_mib, tensors + sum(arrays.values())), words, where)


class Step(NamedTuple):
    """What came while the layers worked on a batch."""

    kind: str
    mib: float
    where: Where
    trains: bool


def step_of(case: Case) -> Step | None:
    """Return the steps that grew the most."""
    kind = max(STEPS, key=lambda kind: case.came(*STEPS[kind]).mib)
    grown, where = case.came(*STEPS[kind])
    if not where or grown < LEAST * case.peak_mib:
        return None
    # Gradients are the learner's own where no trainer takes them, also in a function that TensorFlow traces.
    own = (seen.stack for phase, seen in case.line if phase in (phases.CALLING, phases.TRACING))
    functions = [{frame.function for frame in stack} for stack in own]
    gradients = case.training.tapes or any(
        found & phases.OWN_STEP and not found & phases.TRAINER.keys() for found in functions
    )
    return Step(kind, grown, where, kind == "training" or (kind == "calling" and bool(gradients)))


def outputs_of_layers(case: Case) -> Finding | None:
    """What the layers give for one batch: activations, the scores of attention, a wide softmax, one huge batch."""
    step, said = step_of(case), case.layers
    scores = [one for one in said.attention if step and one.before < step.mib]  # the run got as far as these
    pairs = sum(one.mib for one in scores)
    if step is None or not said.mib or said.mib + pairs < LEAST_OUTPUTS * step.mib:
        return None
    outputs, attention = (TRAINED_OUTPUTS if step.trains else 1.0) * said.mib, SCORES * pairs
    expected = outputs + attention
    other = buffers(case) + (case.model_mib if step.trains else 0.0)
    explained = step.mib * expected / (expected + other)
    if step.mib > TOO_MUCH * (expected + other):  # something else grew too, such as a buffer that fills meanwhile
        explained = expected
    if attention > outputs:
        words = say("scores", one=scores[0], batch=said.batch, grown=step.mib)
        return Finding("attention_scores", explained, words, step.where, attention)
    cause, whole, shape = "activations" if step.trains else "large_batch", None, said.largest[0].shape
    # A number for each pair of positions.
    is_pairs = len(shape) >= 3 and shape[-1] == shape[-2] >= LONG and shape[-3] != shape[-1]
    is_wide = shape[-1] >= MANY_CLASSES and 2 * said.largest[0].mib >= said.mib and len(shape) > 1
    if is_pairs or is_wide:
        cause = "attention_scores" if is_pairs else "wide_softmax"
    elif not (step.trains and case.training.function == "call") and (whole := _whole_array(case)):
        cause = cause if step.trains else "one_batch"
    words = say("outputs", said=said, step=step, whole=whole, pairs=is_pairs, classes=is_wide)
    return Finding(cause, explained, words, step.where, outputs)


def recurrent(case: Case) -> Finding | None:
    """A recurrent layer keeps what it computes at every time step, which its outputs do not show."""
    step, said = step_of(case), case.training
    runs = any(RECURRENT.match(frame.file) for _, seen in case.line for frame in seen.stack)
    if not step or not step.trains or not (runs or any(CELL.search(path) for path, _, _ in case.weights.largest)):
        return None
    series = next((one for one in said.arguments if len(one.shape) >= 2 and one.shape[1] >= 50), None)
    if series is None or case.model_mib > LEAST * step.mib or case.layers.mib > 0.5 * step.mib:
        return None
    words = say("time_steps", series=series, length=series.shape[1], batch=said.batch_size, grown=step.mib)
    return Finding("time_steps", step.mib, words, step.where)


def predicted_outputs(case: Case) -> Finding | None:
    """`predict` keeps the outputs of all batches in a list, and joins them at the end."""
    grown, where = case.came(phases.PREDICT)
    kept = next((one for one in case.entries("list") if one.library), None)
    said = case.training
    if not where or grown < LEAST * case.peak_mib or said.function != "predict" or not kept:
        return None
    if kept.mib < LEAST * grown:
        return None
    # Memory that `fit` had given back before is used again: TensorFlow counts what is there.
    there = case.facts.tensorflow_mib - case.model_mib - case.came(phases.CONVERTING).mib
    rows = next((one for one in said.arguments if one.shape), None)
    joining = any("concat" in function for function in case.functions)
    words = say("predicted", kept=kept, rows=rows, joining=joining)
    needs = kept.mib / max(1, kept.count or 1) * (said.steps or 0)
    return Finding("predict_in_a_loop", max(min(grown, 2.2 * kept.mib), there), words, where, needs)


def one_tape(case: Case) -> Finding | None:
    """A tape that records over many batches keeps the outputs of all of them."""
    step, tapes, outputs = step_of(case), case.training.tapes, case.layers.mib
    if step is None or step.kind != "calling" or not tapes or not outputs:
        return None
    held = any(one.mib >= LEAST * step.mib for one in case.entries("list") if not one.library)
    if held or step.mib < 4 * TRAINED_OUTPUTS * outputs:
        return None
    words = say("one_tape", tape=tapes[0], said=case.layers, grown=step.mib)
    return Finding("one_tape", step.mib, words, step.where)


def steps_of_a_function(case: Case) -> Finding | None:
    """A step whose layers are not known: it needs far more than its weights, at once, from a batch that is known."""
    step = step_of(case)
    if step is None or not step.trains or case.layers.mib or case.came(phases.LATER_STEPS).mib > 0.3 * step.mib:
        return None
    held = any(one.mib >= LEAST * step.mib for one in case.entries("list", "pipeline", "accumulator"))
    named = case.program.statement(step.where).names
    given = (one.shape[0] for one in case.entries("array", "tensor") if one.shape and one.name in named)
    rows = case.training.batch_size or next(given, 0)
    if held or not rows or case.model_mib > LEAST * step.mib:
        return None
    words = say("step", rows=rows, grown=step.mib, weights=case.weights.mib)
    return Finding("activations", step.mib, words, step.where)


def _whole_array(case: Case) -> Argument | None:
    """Return an array that is one batch, where it is long enough to have been meant as data."""
    said = case.training
    known = said.batch_size >= 100 and said.function in ("call", "evaluate", "predict", "fit")
    return next((one for one in said.arguments if known and one.shape and one.shape[0] <= said.batch_size), None)


RULES = (arrays_to_tensors, outputs_of_layers, recurrent, predicted_outputs, one_tape, steps_of_a_function)
