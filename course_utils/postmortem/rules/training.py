"""What Keras does with data: tensors of arrays, and what the layers give for a batch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from course_utils.postmortem import phases
from course_utils.postmortem.evidence import Stack, Where
from course_utils.postmortem.rules.case import Case, Finding
from course_utils.postmortem.rules.pipelines import buffers
from course_utils.postmortem.rules.said import Layer, Training, training, weights
from course_utils.units import mib

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
    tensors = case.grown(phases.CONVERTING)
    where = case.grower(phases.CONVERTING)
    if not where or tensors < LEAST * case.peak_mib:
        return None
    given = {one.variable or "an array": one for one in training(case).arguments if one.mib >= 1}
    arrays = {name: one.mib for name, one in given.items()}
    for entry in case.entries("array", "tensor", "dataframe"):
        if re.search(rf"\b{re.escape(entry['name'])}\b", where.source):
            arrays.setdefault(entry["name"], entry["mib"])
    names = ", ".join(f"`{name}` ({mib(size)})" for name, size in arrays.items() if name != "an array") or "the arrays"
    batch = training(case).batch_size
    innocent = f" The batch of {batch} has no part in this." if batch else ""
    sentence = (
        f"Keras was making a tensor of each array that it was given: {names}. So far, {mib(tensors)} of tensors had "
        f"come on top of {mib(sum(arrays.values()))} of arrays.{innocent}"
    )
    most = max(0.0, case.peak_mib - tensors)
    return Finding("arrays_to_tensors", tensors + min(most, sum(arrays.values())), sentence, where)


@dataclass(frozen=True)
class Step:
    """What came while the layers worked on a batch."""

    kind: str
    mib: float
    where: Where
    trains: bool


def step_of(case: Case) -> Step | None:
    """Return the steps that grew the most."""
    kind = max(STEPS, key=lambda kind: case.grown(*STEPS[kind]))
    grown, where = case.grown(*STEPS[kind]), case.grower(*STEPS[kind])
    if not where or grown < LEAST * case.peak_mib:
        return None
    trains = kind == "training" or (kind == "calling" and (bool(training(case).tapes) or _takes_gradients(case)))
    return Step(kind, grown, where, trains)


def outputs_of_layers(case: Case) -> Finding | None:
    """What the layers give for one batch: activations, the scores of attention, a wide softmax, one huge batch."""
    step, said = step_of(case), training(case)
    scores = sum(one.mib for one in said.attention)
    if step is None or not said.outputs_mib or said.outputs_mib + scores < LEAST_OUTPUTS * step.mib:
        return None
    times = TRAINED_OUTPUTS if step.trains else 1.0
    outputs, attention = times * said.outputs_mib, SCORES * scores
    known = weights(case)
    other = buffers(case) + (known.mib + known.slots_mib if step.trains else 0.0)
    expected = outputs + attention
    explained = step.mib * expected / (expected + other)
    if step.mib > TOO_MUCH * (expected + other):  # something else grew too, such as a buffer that fills meanwhile
        explained = expected
    if attention > outputs:
        return _attention(explained, said, step)
    largest = said.largest[0] if said.largest else None
    if largest and _is_scores(largest):
        words = f"{_layer(largest)} alone has {largest.shape[-1]:,} x {largest.shape[-1]:,} scores, one for each pair"
        return Finding("attention_scores", explained, f"{_sum(said, step)}, and {words} of positions.", step.where)
    if largest and largest.shape[-1] >= MANY_CLASSES and 2 * largest.mib >= said.outputs_mib and len(largest.shape) > 1:
        positions = " x ".join(f"{length:,}" for length in largest.shape[:-1])
        words = f"{_layer(largest)} gives {positions} x {largest.shape[-1]:,} numbers"
        return Finding("wide_softmax", explained, f"{_sum(said, step)}: {words}.", step.where)
    words = f"{_sum(said, step)}."
    rows = None if step.trains and said.function == "call" else _whole_array(said)
    if rows:
        words = f"{rows[0]} has {rows[1]:,} rows, and all of them went through the model as one batch. {words}"
    cause = "activations" if step.trains else "one_batch" if rows else "large_batch"
    return Finding(cause, explained, words, step.where)


def recurrent(case: Case) -> Finding | None:
    """A recurrent layer keeps what it computes at every time step, which its outputs do not show."""
    step, said = step_of(case), training(case)
    cells = [path for path, _, _ in weights(case).largest if CELL.search(path)]
    if step is None or not step.trains or not (cells or _runs(case, RECURRENT)):
        return None
    series = next((one for one in said.arguments if len(one.shape) >= 2 and one.shape[1] >= 50), None)
    known = weights(case)
    if series is None or known.mib + known.slots_mib > LEAST * step.mib or said.outputs_mib > 0.5 * step.mib:
        return None
    name, length, batch = f"`{series.variable}`" if series.variable else "The data", series.shape[1], said.batch_size
    each = f" In a batch of {batch}, that is {batch} x {length:,}: {mib(step.mib)}." if batch else ""
    words = (
        f"{name} has {length:,} time steps, and the recurrent layer keeps what it computes at each of them until the "
        f"gradients are done.{each}"
    )
    return Finding("time_steps", step.mib, words, step.where)


def predicted_outputs(case: Case) -> Finding | None:
    """`predict` keeps the outputs of all batches in a list, and joins them at the end."""
    grown, where = case.grown(phases.PREDICT), case.grower(phases.PREDICT)
    if not where or grown < LEAST * case.peak_mib:
        return None
    said = training(case)
    kept = [one for one in case.entries("list") if one.get("library")]
    if said.function != "predict" or not kept or kept[0]["mib"] < LEAST * grown:
        return None
    joining = any("concat" in frame.function for frame in case.stack)
    rows = next((one for one in said.arguments if one.shape), None)
    of = f" for the {rows.shape[0]:,} rows of `{rows.variable}`" if rows and rows.variable else ""
    joined = ", and was joining them into one array, which needs as much again" if joining else ""
    words = f"`predict` had collected a {kept[0]['what']}{of}, {mib(kept[0]['mib'])}{joined}."
    return Finding("predict_in_a_loop", min(grown, 2.2 * kept[0]["mib"]), words, where)


def one_tape(case: Case) -> Finding | None:
    """A tape that records over many batches keeps the outputs of all of them."""
    step, said = step_of(case), training(case)
    if step is None or step.kind != "calling" or not said.tapes or not said.outputs_mib:
        return None
    batches = step.mib / (TRAINED_OUTPUTS * said.outputs_mib)
    if batches < 4 or any(one["mib"] >= LEAST * step.mib for one in case.entries("list") if not one.get("library")):
        return None
    words = (
        f"The tape `{said.tapes[0]}` was recording. The layers give {mib(said.outputs_mib)} for a batch of "
        f"{said.batch_size:,}, but {mib(step.mib)} had come: the tape keeps the outputs of all batches since it began."
    )
    return Finding("one_tape", step.mib, words, step.where)


def steps_of_a_function(case: Case) -> Finding | None:
    """A step whose layers are not known: it needs far more than its weights, at once, from a batch that is known."""
    step, said, known = step_of(case), training(case), weights(case)
    if step is None or not step.trains or said.outputs_mib or case.grown(phases.LATER_STEPS) > 0.3 * step.mib:
        return None
    held = [one for one in case.entries("list", "pipeline", "accumulator") if one["mib"] >= LEAST * step.mib]
    if held or known.mib + known.slots_mib > LEAST * step.mib:
        return None
    rows = said.batch_size or next(
        (
            one["shape"][0]
            for one in case.entries("array", "tensor")
            if one.get("shape") and re.search(rf"\b{re.escape(one['name'])}\b", step.where.source)
        ),
        0,
    )
    if not rows or not isinstance(rows, int):
        return None
    words = (
        f"A step on a batch of {rows:,} needed {mib(step.mib)}. The weights are {mib(max(known.mib, 1.0))} at most, "
        f"and nothing else that is alive is so large: these are outputs of the layers, {mib(step.mib / rows)} a row."
    )
    return Finding("activations", step.mib, words, step.where)


def _attention(explained: float, said: Training, step: Step) -> Finding:
    one = said.attention[0]
    shape = f"({said.batch_size}, {one.heads}, {one.queries:,}, {one.keys:,})"
    words = (
        f"`{one.name}` makes a score for each pair of positions: {said.batch_size} x {one.heads} x {one.queries:,} x "
        f"{one.keys:,} numbers of shape {shape}, {mib(one.mib)}, and needs them several times. "
        f"{mib(step.mib)} came in its steps."
    )
    return Finding("attention_scores", explained, words, step.where)


def _sum(said: Training, step: Step) -> str:
    """The arithmetic of a batch in words, without a full stop."""
    each = said.outputs_mib / max(1, said.batch_size)
    model = f" of `{said.model}`" if said.model else ""
    largest = f", the largest {_layer(said.largest[0])} {mib(said.largest[0].mib)}" if said.largest else ""
    total = f"{said.batch_size:,} x {mib(each)} = {mib(said.outputs_mib)}"
    if step.trains:
        return (
            f"A batch of {said.batch_size:,} keeps the outputs of all layers{model}, {total}{largest}, and their "
            f"gradients come on top: {mib(step.mib)} so far"
        )
    return f"For a batch of {said.batch_size:,}, the layers{model} give {total}{largest}; {mib(step.mib)} came with it"


def _layer(layer: Layer) -> str:
    return f"`{layer.name}` {layer.shape}"


def _is_scores(layer: Layer) -> bool:
    """Whether a layer gives a number for each pair of positions."""
    shape = layer.shape
    return len(shape) >= 3 and shape[-1] == shape[-2] >= LONG and shape[-3] != shape[-1]


def _whole_array(said: Training) -> tuple[str, int] | None:
    """The name and length of an array that is one batch, where it is long enough to have been meant as data."""
    if said.batch_size < 100:
        return None
    for one in said.arguments:
        if one.shape and one.shape[0] <= said.batch_size and said.function in ("call", "evaluate", "predict", "fit"):
            return f"`{one.variable}`" if one.variable else "The array", one.shape[0]
    return None


def _takes_gradients(case: Case) -> bool:
    """Whether the learner's own code takes gradients, also in a function that TensorFlow traces."""
    own = (stack for phase, stack in _stacks(case) if phase in (phases.CALLING, phases.TRACING))
    return any(
        frame.function in phases.OWN_STEP
        for stack in own
        if not any(frame.function in phases.TRAINER for frame in stack)
        for frame in stack
    )


def _runs(case: Case, pattern: re.Pattern[str]) -> bool:
    return any(pattern.match(frame.file) for _, stack in _stacks(case) for frame in stack)


def _stacks(case: Case) -> Sequence[tuple[str, Stack]]:
    return [(phase, sighting.stack) for phase, sighting in case.line]


RULES = (arrays_to_tensors, outputs_of_layers, recurrent, predicted_outputs, one_tape, steps_of_a_function)
