"""What Keras is doing, read from its functions on the stack: which one, with which batch, at which step, and on what.

The names are those of Keras 3's TensorFlow trainer.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from types import FrameType
from typing import Any

from course_utils.memory import MIB
from course_utils.sandbox import arrays, models, pipelines, variables

TRAINER = "keras/src/backend/tensorflow/trainer.py"
FUNCTION = "polymorphic_function.py"
LAYER = "keras/src/layers/layer.py"
FUNCTIONS = {
    "fit", "evaluate", "predict", "train_on_batch", "test_on_batch", "predict_on_batch",
}  # fmt: skip
ARGUMENTS = ("x", "y", "sample_weight", "validation_data")
DEFAULT_BATCH = 32  # of Keras, for arrays
LARGEST = 3
MOST_ARGUMENTS = 6
Facts = dict[str, Any]


def facts(frame: FrameType | None, names: dict[int, str]) -> tuple[Facts, Any]:
    """Return what Keras does on this stack, {} where nothing, and the model that does it, None where none.

    ``names`` has the learner's name of an object by its `id`.
    """
    stack = list(variables.chain(frame))
    trainers = [at for at in stack if at.f_code.co_name in FUNCTIONS and at.f_code.co_filename.endswith(TRAINER)]
    batch, model = _called(stack)
    if batch is None and not trainers:
        batch = _passed(stack)
    if batch is not None:
        arguments = [_argument(batch, names)]
        size = int(batch.shape[0])
        found = {"function": "call", "inner": bool(trainers), "batch_size": size, "arguments": arguments}
        return found, model
    if not trainers:
        return {}, None
    held, outer = variables.of(trainers[0]), variables.of(trainers[-1])
    iterator = held.get("epoch_iterator") or held.get("self").__dict__.get("_eval_epoch_iterator")
    found = {
        "function": trainers[0].f_code.co_name,
        "inner": len(trainers) > 1,
        "batch_size": _batch_size(held, iterator),
        "arguments": _arguments(held, names),
        "epoch": outer.get("epoch"),
        "step": held.get("end_step", held.get("begin_step")),
        "steps": vars(iterator).get("_num_batches") if iterator is not None else None,
        "queue": _queue(iterator),
    }
    return found, held.get("self")


def _queue(iterator: Any) -> Facts:
    """The batches that the workers of a `PyDataset` hold ready: how many there may be, and what one of them takes."""
    with contextlib.suppress(Exception):
        waiting = vars(vars(vars(iterator)["data_adapter"])["enqueuer"])["future_queue"]
        for future in list(waiting.queue):
            batch = vars(future).get("_value")  # None where it is not ready
            if type(batch) in arrays.CONTAINERS and (load := arrays.load_of(batch, set())).pieces:
                return {"most": waiting.maxsize, "waiting": waiting.qsize(), "batch_mib": load.size / MIB}
    return {}


def _called(stack: Sequence[FrameType]) -> tuple[Any, Any]:
    """What the learner's own code calls a layer or model with, which Keras takes as one batch, and that model."""
    outermost = None
    for frame in stack:
        name, file = frame.f_code.co_name, frame.f_code.co_filename
        if file.endswith(TRAINER) and (name in FUNCTIONS or name.endswith("_step")):
            break
        if name == "__call__" and file.endswith(LAYER):
            outermost = frame
    held = variables.of(outermost) if outermost else {}
    batch = _batch_in(held.get("original_args", held.get("args")), 1)
    return batch, None if batch is None else held.get("self")


def _passed(stack: Sequence[FrameType]) -> Any:
    """The batch with which the learner's own code calls a `tf.function`."""
    functions = [at for at in stack if at.f_code.co_name == "_call" and at.f_code.co_filename.endswith(FUNCTION)]
    batches = (_batch_in(variables.of(at).get("args"), 2) for at in functions)
    return next((batch for batch in batches if batch is not None), None)


def _batch_in(given: Any, rank: int) -> Any:
    """The first of these arguments with values; one that is symbolic is there while a model is built or traced."""
    for value in given if type(given) is tuple else ():
        piece = arrays.piece_of(value)
        if piece and len(piece.shape) > 0 and len(value.shape) >= rank:
            return value
        if rank == 1:  # a layer's input is its first argument
            break
    return None


def _batch_size(held: dict[str, Any], iterator: Any) -> int | None:
    """The batch of a trainer's function with these variables: the first place that names one counts."""
    adapter, data = vars(iterator).get("data_adapter") if iterator is not None else None, held.get("x")
    in_one = held.get("epoch_iterator") is None and "epochs" not in held and "batch_size" not in held
    piece = arrays.piece_of(data)

    def first_batch() -> Any:
        first = adapter._first_batches[0][0]
        return (first[0] if type(first) in (list, tuple) else first).shape[0]

    for read in (
        lambda: adapter.batch_size,
        lambda: held.get("batch_size"),
        lambda: pipelines.batch_size(data) if pipelines.is_pipeline(data) else None,
        first_batch,  # of a generator, at which Keras has looked
        lambda: vars(data).get("batch_size"),  # a PyDataset's, by custom
        lambda: data.shape[0] if piece and in_one else None,  # train_on_batch and its like
    ):
        with contextlib.suppress(Exception):
            if type(size := read()) is int:
                return size
    return DEFAULT_BATCH if piece else None


def _arguments(held: dict[str, Any], names: dict[int, str]) -> list[Facts]:
    given = [held.get(name) for name in ARGUMENTS]
    parts = [part for one in given for part in (one if type(one) in (list, tuple) else [one])]
    return [found for part in parts if (found := _argument(part, names))][:MOST_ARGUMENTS]


def _argument(value: Any, names: dict[int, str]) -> Facts:
    """The learner's name of an array, its size and its shape."""
    piece = arrays.piece_of(value)
    if piece is None or not piece.shape:
        return {}
    size = math.prod(value.shape) * piece.size / max(1, math.prod(piece.shape))  # a part of the array that it keeps
    own = names.get(id(value)) or names.get(piece.owner, "")
    return {"variable": own, "mib": size / MIB, "shape": list(value.shape)}


class Layers:
    """Adds up the outputs of a model's layers; once for each model and batch."""

    def __init__(self) -> None:
        self._known: tuple[Any, ...] = ()
        self._facts: Facts = {}

    def facts(self, model: Any, batch: int) -> Facts:
        """Return the outputs of all layers for a batch: ``model, batch, mib, largest, attention``.

        {} for a model whose layers' shapes are not known, such as one that was not built.
        """
        known = (id(model), batch, len(vars(model).get("_layers") or ()), bool(vars(model).get("built")))
        if known != self._known:
            self._facts = self._add_up(model, batch)
            self._known = known
        return self._facts

    @staticmethod
    def _add_up(model: Any, batch: int) -> Facts:
        outputs: list[list[Any]] = []
        attention: list[list[Any]] = []
        for layer in _parts(model):
            each = models.bytes_each(layer.compute_dtype) if isinstance(layer.compute_dtype, str) else 4
            for node in list(vars(layer).get("_inbound_nodes") or ())[-1:]:
                if type(layer).__name__ in ("MultiHeadAttention", "GroupedQueryAttention"):
                    before = sum(size for *_, size in outputs)
                    attention += [[*found, before] for found in _scores(layer, node, batch, each)]
                filled = [shape for tensor in node.output_tensors if (shape := _filled(tensor.shape, batch))]
                if filled:
                    size = sum(map(math.prod, filled)) * each / MIB
                    outputs.append([layer.name, type(layer).__name__, filled[-1], size])
        if not outputs:
            return {}
        return {
            "model": model.name,
            "batch": batch,
            "mib": sum(size for *_, size in outputs),
            "largest": sorted(outputs, key=lambda one: -one[3])[:LARGEST],
            "attention": sorted(attention, key=lambda one: -one[4])[:LARGEST],
        }


def _parts(model: Any) -> list[Any]:
    """The layers of a model and of the models in it; what holds only other layers' outputs is left out."""
    found = []
    for layer in list(vars(model).get("_layers") or ()):
        if type(layer).__name__ == "InputLayer":
            continue
        if models.is_noted(layer) and vars(layer).get("_layers"):
            found += _parts(layer)
        else:
            found.append(layer)
    return found


def _filled(shape: Sequence[int | None], batch: int) -> list[int] | None:
    """A shape with the batch in its first place; None where another length is not known."""
    filled = [batch, *shape[1:]]
    return filled if all(type(length) is int for length in filled) else None


def _scores(layer: Any, node: Any, batch: int, each: int) -> list[list[Any]]:
    """Name, heads, queries, keys and memory of what an attention layer compares."""
    shapes = [_filled(tensor.shape, batch) for tensor in node.input_tensors]
    if not shapes or shapes[0] is None:
        return []
    queries, keys = (math.prod(shape[1:-1]) for shape in (shapes[0], shapes[-1] or shapes[0]))
    heads = int(getattr(layer, "num_heads", 0) or getattr(layer, "num_query_heads", 0))
    return [[layer.name, heads, queries, keys, batch * heads * queries * keys * each / MIB]]
