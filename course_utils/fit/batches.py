"""Random batches of the shapes and types that a model takes, or batches after the user's example."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

GIVE_SHAPES = (
    "Give `input_shape=`, without the batch, such as (224, 224, 3) or a list of such shapes, or `example=`: a batch of "
    "your data, or a function `batch(batch_size)` that returns one."
)


class OpenShape(Exception):
    """The shape of a batch cannot be known from the model; the text is a sentence for the user."""


@dataclass(frozen=True)
class Part:
    """One array of a batch: the shape of one sample, its type, and what its whole numbers are below."""

    shape: tuple[int, ...]
    dtype: str
    below: int = 2

    def random(self, generator: np.random.Generator, batch_size: int) -> np.ndarray:
        """Return random numbers of shape (batch_size, *shape)."""
        shape = (batch_size, *self.shape)
        if self.dtype == "string":
            return np.full(shape, "word", object)
        if "float" in self.dtype:  # also for bfloat16, which is no type of NumPy's
            return generator.random(shape, np.float32)
        return generator.integers(0, self.below, shape, np.int32).astype(self.dtype, copy=False)


class Batches:
    """Makes batches for a compiled model: a function of the batch size.

    They are random, by the model's inputs, outputs and losses. ``input_shape`` is the shape of one sample, or a list or
    a dictionary of them; ``example`` a batch ``(x, y)`` or ``x``, or a function of the batch size that returns one.
    Raises `OpenShape`, and whatever the model or the example raises.
    """

    def __init__(self, model: Any, input_shape: Any = None, example: Any = None) -> None:
        from keras import tree

        self._tree, self._generator, self._example = tree, np.random.default_rng(0), example
        self._inputs, outputs = (None, None) if example is not None else _inputs_outputs(model, input_shape)
        given = self._given(2) if example is not None else ()
        self._targets = None
        if model.loss is not None and len(given) < 2:
            if outputs is None:
                outputs = model(given[0] if given else self._random(self._inputs, 2))
            self._targets = _targets(outputs, model)

    def __call__(self, batch_size: int) -> tuple[Any, ...]:
        """Return one batch: ``(x, y)``, or ``(x,)`` for a model without a loss."""
        batch = (self._random(self._inputs, batch_size),) if self._example is None else self._given(batch_size)
        return batch if self._targets is None else (*batch, self._random(self._targets, batch_size))

    def mib(self, batch_size: int) -> float:
        """Return the size of one batch."""
        return sum(np.asarray(part).nbytes for part in self._tree.flatten(self(batch_size)) if part is not None) / 2**20

    def _random(self, parts: Any, batch_size: int) -> Any:
        return self._tree.map_structure(lambda part: part.random(self._generator, batch_size), parts)

    def _given(self, batch_size: int) -> tuple[Any, ...]:
        if callable(self._example):
            batch = self._example(batch_size)
        else:
            rows = np.arange(batch_size)
            batch = self._tree.map_structure(lambda part: np.asarray(part)[rows % len(part)], self._example)
        return batch if isinstance(batch, tuple) else (batch,)


def _inputs_outputs(model: Any, input_shape: Any) -> tuple[Any, Any]:
    """Return the parts that go in, and the symbolic tensors that come out, None where they are not known."""
    import keras

    words = [int(layer.input_dim) for layer in model._flatten_layers() if isinstance(layer, keras.layers.Embedding)]
    below = min(words, default=2)
    if input_shape is not None:
        dtype = "int32" if words else "float32"
        return _of_shapes(input_shape, lambda shape: Part(tuple(shape), dtype, below)), None

    def part(tensor: Any) -> Part:
        return Part(_closed(tensor), keras.backend.standardize_dtype(tensor.dtype), below)

    inner = getattr(model, "_functional", None) or model  # a Sequential model keeps a functional one
    inputs = getattr(inner, "_inputs_struct", None)
    if inputs is None:
        raise OpenShape(f"The model does not know the shape of its input. {GIVE_SHAPES}")
    return keras.tree.map_structure(part, keras.tree.lists_to_tuples(inputs)), inner._outputs_struct


def _targets(outputs: Any, model: Any) -> Any:
    """Return the parts of the target: one for each output that has a loss."""

    def part(tensor: Any, loss: Any) -> Part:
        shape = _closed(tensor)
        names = (loss, getattr(loss, "name", ""), getattr(loss, "__name__", ""), type(loss).__name__)
        if any("sparse" in name.lower() for name in names if isinstance(name, str)):
            return Part(shape[:-1], "int32", shape[-1])
        return Part(shape, "float32")

    loss = model.loss
    if isinstance(outputs, list | tuple) and isinstance(loss, dict):
        outputs = dict(zip(model.output_names, outputs, strict=True))
    if isinstance(outputs, dict):
        losses = loss if isinstance(loss, dict) else dict.fromkeys(outputs, loss)
        return {name: part(one, losses[name]) for name, one in outputs.items() if losses.get(name) is not None}
    if isinstance(outputs, list | tuple):
        losses = loss if isinstance(loss, list | tuple) else [loss] * len(outputs)
        return tuple(part(one, its) for one, its in zip(outputs, losses, strict=True))
    return part(outputs, loss[0] if isinstance(loss, list | tuple) else loss)


def _closed(tensor: Any) -> tuple[int, ...]:
    shape = tuple(tensor.shape)[1:]
    if None in shape:
        raise OpenShape(f"The model takes or gives arrays of open length, {shape} a sample. {GIVE_SHAPES}")
    return shape


def _of_shapes(given: Any, make: Callable[[Any], Part]) -> Any:
    if isinstance(given, dict):
        return {name: make(shape) for name, shape in given.items()}
    several = len(given) > 0 and all(isinstance(shape, list | tuple) for shape in given)
    return tuple(map(make, given)) if several else make(given)
