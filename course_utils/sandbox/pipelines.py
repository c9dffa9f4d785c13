"""Weigh the stages of a `tf.data` pipeline: what each can hold, from its own settings. No op runs.

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
MOST_KNOWN = 200
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
        self._known: dict[int, tuple[weakref.ref, Entry | None, set[int]]] = {}

    def entries(self, pipeline: Any, claimed: set[int]) -> list[Entry]:
        """Return an entry for each stage that holds memory. ``claimed`` are the stages and tensors already weighed."""
        found = []
        for stage in stages(pipeline):
            op = HOLDERS.get(type(stage).__name__)
            if not op or id(stage) in claimed:
                continue
            known = self._known.get(id(stage))
            if known is None or known[0]() is not stage:
                owners: set[int] = set()
                if len(self._known) > MOST_KNOWN:
                    self._known.clear()
                known = self._known[id(stage)] = (weakref.ref(stage), _entry(stage, op, owners), owners)
            _, entry, owners = known
            claimed.add(id(stage))
            if entry is not None and not owners & claimed:
                found.append(dict(entry))
            claimed |= owners
        return found


def _entry(stage: Any, op: str, owners: set[int]) -> Entry | None:
    if op in ("from_tensors", "from_tensor_slices"):
        load = arrays.load_of(list(stage._tensors), set())
        if not load.pieces:
            return None
        owners |= load.owners
        largest = max(load.pieces, key=lambda piece: piece.size)
        count = largest.shape[0]
        what = f"{op}() of {largest.text}"
        mib = load.size / MIB
        return {"op": op, "count": count, "element_mib": mib / max(1, count), "what": what, "mib": mib, "full": True}
    before = stage._input_dataset
    if op == "cache" and number(stage._filename) not in (b"", ""):  # which keeps it in a file
        return None
    size, text = element(before)
    most = cardinality(before)
    if op == "cache":
        count = most
    else:
        count = number(stage._batch_size if "batch" in op else stage._buffer_size)
        if not isinstance(count, int):
            return None
        count = 1 if count < 0 else count  # prefetch(AUTOTUNE): it begins with one
        count = min(count, most) if most is not None and "batch" not in op else count
    of = f"{count:,} elements" if count is not None else "elements"
    return {
        "op": op,
        "count": count,
        "element_mib": None if size is None else size / MIB,
        "what": f"{op}() of {of}, each {text}",
        "mib": 0.0 if size is None or count is None else size * count / MIB,
        "full": False,
    }


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
    specs = list(_specs(pipeline.element_spec))
    if any(shape[:1] == (None,) for shape, _, _ in specs) and (
        batch := batch_size(pipeline)
    ):  # the last may be smaller
        specs = [((batch, *shape[1:]) if shape[:1] == (None,) else shape, size, name) for shape, size, name in specs]
    sizes = [None if None in shape else math.prod(shape) * size for shape, size, _ in specs]
    if not specs:
        return None, "of a kind that is not known"
    largest = max(range(len(specs)), key=lambda index: math.inf if sizes[index] is None else sizes[index])
    shape, _, name = specs[largest]
    total = None if None in sizes else sum(sizes)
    return total, f"{name} {shape}"


def _specs(spec: Any) -> Iterator[tuple[tuple[int | None, ...], int, str]]:
    if isinstance(spec, tuple | list):
        for part in spec:
            yield from _specs(part)
    elif isinstance(spec, dict):
        yield from _specs(list(spec.values()))
    elif hasattr(spec, "shape") and hasattr(spec, "dtype"):
        shape = (None,) if spec.shape.rank is None else tuple(spec.shape.as_list())
        yield shape, spec.dtype.size or 1, spec.dtype.name


def cardinality(pipeline: Any) -> int | None:
    """Return how many elements a pipeline has, None where only running it would tell, or it never ends."""
    kind = type(pipeline).__name__
    held = vars(pipeline)
    if kind == "_TensorSliceDataset":
        return int(pipeline._tensors[0].shape[0])
    if kind == "_TensorDataset":
        return 1
    if kind == "_RangeDataset":
        limits = [number(held[name]) for name in ("_start", "_stop", "_step")]
        return len(range(*limits)) if all(isinstance(limit, int) for limit in limits) else None
    inputs = pipeline._inputs()
    if kind == "_ZipDataset":
        counts = [count for count in map(cardinality, inputs) if count is not None]
        return min(counts) if counts else None
    if len(inputs) != 1 or kind in ("_FlatMapDataset", "_InterleaveDataset", "_ParallelInterleaveDataset"):
        return None
    before = cardinality(inputs[0])
    if before is None:
        return number(held["_count"]) if kind == "_TakeDataset" else None
    if kind in ("_FilterDataset", "_UnbatchDataset", "_WindowDataset", "_TakeWhileDataset", "_RebatchDataset"):
        return None
    if "BatchDataset" in kind:
        size = number(held["_batch_size"])
        return (
            before // size
            if held.get("_drop_remainder") is not None and number(held["_drop_remainder"])
            else -(-before // size)
        )
    if kind in ("_TakeDataset", "_SkipDataset", "_RepeatDataset"):
        count = number(held["_count"])
        if kind == "_RepeatDataset":
            return before * count if count >= 0 else None
        if kind == "_TakeDataset":
            return min(before, count) if count >= 0 else before
        return max(0, before - count) if count >= 0 else 0
    return before


def number(tensor: Any) -> Any:
    """The value of a setting, which is a constant."""
    value = tensor.numpy() if hasattr(tensor, "numpy") else tensor
    return value.item() if hasattr(value, "item") else value
