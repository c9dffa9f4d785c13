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
    if called := _called(stack, names):
        called[0]["inner"] = bool(trainers)
        return called
    if not trainers:
        return _function(stack, names), None
    frame = trainers[0]
    held = variables.of(frame)
    iterator = held.get("epoch_iterator") or held.get("self").__dict__.get("_eval_epoch_iterator")
    given = held.get("validation_data")
    found: Facts = {
        "function": frame.f_code.co_name,
        "inner": len(trainers) > 1,
        "batch_size": _batch_size(held, iterator),
        "arguments": _arguments(held, names),
    }
    if given is not None and not found["inner"]:
        found["validation"] = True
    outer = variables.of(trainers[-1]) if len(trainers) > 1 else held
    epoch = outer.get("epoch")
    if type(epoch) is int:
        found["epoch"] = epoch
    step = held.get("end_step", held.get("begin_step"))
    if type(step) is int:
        found["step"] = step
    steps = vars(iterator).get("_num_batches") if iterator is not None else None
    if type(steps) is int:
        found["steps"] = steps
    if queue := _queue(iterator):
        found["queue"] = queue
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


def _called(stack: Sequence[FrameType], names: dict[int, str]) -> tuple[Facts, Any] | None:
    """A layer or model that the learner's own code calls with values, which Keras takes as one batch."""
    found = None
    for frame in stack:
        code = frame.f_code
        if code.co_filename.endswith(TRAINER) and (code.co_name in FUNCTIONS or code.co_name.endswith("_step")):
            break
        if code.co_name == "__call__" and code.co_filename.endswith(LAYER):
            found = frame
    if found is None:
        return None
    held = variables.of(found)
    given = held.get("original_args", held.get("args"))
    piece = arrays.piece_of(given[0]) if type(given) is tuple and given else None
    if piece is None or not piece.shape:  # symbolic: the model is being built, or traced
        return None
    argument = _argument("x", given[0], names)
    return {"function": "call", "batch_size": int(given[0].shape[0]), "arguments": [argument]}, held.get("self")


def _function(stack: Sequence[FrameType], names: dict[int, str]) -> Facts:
    """A `tf.function` that the learner's own code calls with a batch."""
    for frame in stack:
        if frame.f_code.co_name == "_call" and frame.f_code.co_filename.endswith(FUNCTION):
            given = variables.of(frame).get("args")
            for value in given if type(given) is tuple else ():
                piece = arrays.piece_of(value)
                if piece and piece.shape and len(value.shape) > 1:
                    return {
                        "function": "call",
                        "inner": False,
                        "batch_size": int(value.shape[0]),
                        "arguments": [_argument("x", value, names)],
                    }
    return {}


def _batch_size(held: dict[str, Any], iterator: Any) -> int | None:
    adapter = vars(iterator).get("data_adapter") if iterator is not None else None
    candidates = [held.get("batch_size")]
    with contextlib.suppress(Exception):
        candidates.insert(0, adapter.batch_size)
    if pipelines.is_pipeline(held.get("x")):
        with contextlib.suppress(Exception):
            candidates.append(pipelines.batch_size(held["x"]))
    with contextlib.suppress(Exception):  # a generator, whose first batch Keras has looked at
        first = adapter._first_batches[0][0]
        candidates.append(int((first[0] if type(first) in (list, tuple) else first).shape[0]))
    with contextlib.suppress(Exception):  # a PyDataset, by its custom
        candidates.append(vars(held["x"]).get("batch_size"))
    piece = arrays.piece_of(held.get("x"))
    if held.get("epoch_iterator") is None and "epochs" not in held and "batch_size" not in held and piece:
        candidates.append(int(held["x"].shape[0]))  # train_on_batch and its like
    elif piece:
        candidates.append(DEFAULT_BATCH)
    return next((int(size) for size in candidates if type(size) is int), None)


def _arguments(held: dict[str, Any], names: dict[int, str]) -> list[Facts]:
    found = []
    for name in ARGUMENTS:
        value = held.get(name)
        parts = list(value) if type(value) in (list, tuple) else [value]
        for index, part in enumerate(parts):
            label = name if len(parts) == 1 else f"{name}[{index}]"
            if entry := _argument(label, part, names):
                found.append(entry)
    return found[:MOST_ARGUMENTS]


def _argument(label: str, value: Any, names: dict[int, str]) -> Facts:
    piece = arrays.piece_of(value)
    if piece and piece.shape:
        own = names.get(id(value)) or names.get(piece.owner, "")
        size, shape = math.prod(value.shape) * piece.size / max(1, math.prod(piece.shape)), list(value.shape)
        text = f"{piece.dtype} array {tuple(shape)}"
        return {"name": label, "variable": own, "what": text, "mib": size / MIB, "dtype": piece.dtype, "shape": shape}
    if "dataset" in type(value).__name__.lower() or "generator" in type(value).__name__.lower():
        what = type(value).__name__
        return {"name": label, "variable": names.get(id(value), ""), "what": what, "mib": 0.0}
    return {}


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
        largest: list[list[Any]] = []
        attention: list[list[Any]] = []
        for layer in _parts(model):
            size, shape = 0.0, None
            each = models.bytes_each(layer.compute_dtype) if isinstance(layer.compute_dtype, str) else 4
            for node in list(vars(layer).get("_inbound_nodes") or ())[-1:]:
                for tensor in node.output_tensors:
                    filled = _filled(tensor.shape, batch)
                    if filled is not None:
                        size += math.prod(filled) * each
                        shape = filled
                if type(layer).__name__ in ("MultiHeadAttention", "GroupedQueryAttention"):
                    attention += _scores(layer, node, batch, each)
            if shape is not None:
                largest.append([layer.name, type(layer).__name__, shape, size / MIB])
        if not largest:
            return {}
        largest.sort(key=lambda one: -one[3])
        found: Facts = {"model": model.name, "batch": batch, "mib": sum(one[3] for one in largest)}
        found["largest"] = largest[:LARGEST]
        if attention:
            found["attention"] = sorted(attention, key=lambda one: -one[4])[:LARGEST]
        return found


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
    shapes = [_filled(tensor.shape, batch) for tensor in node.input_tensors]
    if not shapes or shapes[0] is None:
        return []
    query = shapes[0]
    key = shapes[-1] or query
    heads = int(getattr(layer, "num_heads", 0) or getattr(layer, "num_query_heads", 0))
    lengths = query[1:-1], key[1:-1]
    length_q, length_k = math.prod(lengths[0]), math.prod(lengths[1])
    return [[layer.name, heads, length_q, length_k, batch * heads * length_q * length_k * each / MIB]]
