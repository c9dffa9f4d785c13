"""Weigh the stages of a `tf.data` pipeline: what each can hold, from its own settings. No element is computed.

The names are those of TensorFlow 2.20.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterator
from typing import Any

from course_utils.memory import MIB
from course_utils.sandbox import arrays

MODULE = "tensorflow.python.data.ops."
MOST_STAGES = 60
HOLDERS = {
    "CacheDataset": "cache", "_ShuffleDataset": "shuffle", "_BatchDataset": "batch", "_ParallelBatchDataset": "batch",
    "_PaddedBatchDataset": "padded_batch", "_PrefetchDataset": "prefetch", "_TensorDataset": "from_tensors",
    "_TensorSliceDataset": "from_tensor_slices",
}  # fmt: skip
Entry = dict[str, Any]


def is_pipeline(value: Any) -> bool:
    """Whether this is a `tf.data.Dataset`."""
    module = getattr(type(value), "__module__", None)
    return isinstance(module, str) and module.startswith(MODULE) and hasattr(value, "_variant_tensor")


def stages(pipeline: Any) -> Iterator[Any]:
    """Yield a pipeline's stages, the last first."""
    waiting, seen = [pipeline], set()
    while waiting and len(seen) < MOST_STAGES:
        stage = waiting.pop(0)
        if id(stage) not in seen and is_pipeline(stage):
            seen.add(id(stage))
            yield stage
            waiting += stage._inputs()


class Stages:
    """Weighs the stages of pipelines, each once in a run: none ever changes."""

    def __init__(self) -> None:
        self._known: weakref.WeakKeyDictionary[Any, tuple[Entry, set[int]]] = weakref.WeakKeyDictionary()

    def entries(self, pipeline: Any, claimed: set[int]) -> list[Entry]:
        """Return an entry for each stage that holds memory. ``claimed`` are the stages and tensors already weighed."""
        found = []
        for stage in stages(pipeline):
            op = HOLDERS.get(type(stage).__name__)
            if not op or id(stage) in claimed:
                continue
            if stage not in self._known:
                self._known[stage] = _entry(stage, op)
            entry, owners = self._known[stage]
            if entry and not owners & claimed:
                found.append(entry)
            claimed |= owners | {id(stage)}
        return found


def _entry(stage: Any, op: str) -> tuple[Entry, set[int]]:
    """What a stage holds, {} for nothing, and the tensors in it."""
    if op in ("from_tensors", "from_tensor_slices"):
        load = arrays.load_of(list(stage._tensors), set())
        if not load.pieces:
            return {}, set()
        count, mib = load.largest.shape[0], load.size / MIB
        what = f"{op}() of {load.largest.text}"
        return {"op": op, "count": count, "element_mib": mib / max(1, count), "what": what, "mib": mib}, load.owners
    before = stage._input_dataset
    if op == "cache" and number(stage._filename) not in (b"", ""):  # which keeps it in a file
        return {}, set()
    (size, text), count = element(before), cardinality(before)
    if "batch" in op:
        count = number(stage._batch_size)
    elif op != "cache":
        most = max(1, number(stage._buffer_size))  # prefetch(AUTOTUNE), which is -1, begins with one
        count = most if count is None else min(count, most)
    of = f"{count:,} elements" if count is not None else "elements"
    mib = None if size is None or count is None else size * count / MIB
    sizes = {"count": count, "element_mib": None if size is None else size / MIB, "mib": mib or 0.0, "full": False}
    return {"op": op, "what": f"{op}() of {of}, each {text}", **sizes}, set()


def batch_size(pipeline: Any) -> int | None:
    """Return how many elements the last stage that makes batches puts together; None where none does."""
    for stage in stages(pipeline):
        if "BatchDataset" in type(stage).__name__:
            return number(stage._batch_size)
        if "Zip" in type(stage).__name__:
            return None
    return None


def element(pipeline: Any) -> tuple[int | None, str]:
    """Return the bytes of an element, None where its shape is not known, and a description of its largest part."""
    from tensorflow.python.util import nest

    found, batch = [], batch_size(pipeline)
    for spec in nest.flatten(pipeline.element_spec):
        shape = (None,) if spec.shape.rank is None else tuple(spec.shape.as_list())
        if batch and shape[:1] == (None,):  # the last may be smaller
            shape = (batch, *shape[1:])
        size = None if None in shape else math.prod(shape) * (spec.dtype.size or 1)
        found.append((math.inf if size is None else size, f"{spec.dtype.name} {shape}"))
    total = sum(size for size, _ in found)
    return None if total == math.inf else total, max(found)[1]


def cardinality(pipeline: Any) -> int | None:
    """Return how many elements a pipeline has, None where only running it would tell, or it never ends."""
    from tensorflow.python.eager import context

    if not context.executing_eagerly():  # it would leave an operation in the code's own graph
        return None
    count = number(pipeline.cardinality())
    return count if count >= 0 else None


def number(tensor: Any) -> Any:
    """The value of a setting, which is a constant."""
    value = tensor.numpy() if hasattr(tensor, "numpy") else tensor
    return value.item() if hasattr(value, "item") else value
