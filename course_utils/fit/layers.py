"""What layers keep for the backward pass, from the shapes of their outputs: nothing is traced where those are known."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

from course_utils.fit.sizes import BYTES

VIEWS = {"InputLayer", "Reshape", "Flatten", "Identity"}
# Outputs of this many sizes of its state that a recurrent layer keeps at each of its steps: gates, states, products.
KEPT_PER_STEP = {"LSTM": 8, "GRU": 7, "SimpleRNN": 2}


@dataclass(frozen=True)
class Outputs:
    """Bytes of all layers' outputs together and of the largest, and how many there are."""

    bytes: float
    largest: float
    layers: int


def outputs(model: Any, batch: tuple[Any, ...], batch_size: int) -> Outputs:
    """Sum up what the layers of a model give for a batch of this size. Raises whatever calling the model raises."""
    inner = getattr(model, "_functional", None) or model  # a Sequential model keeps a functional one
    found = list(_known(inner)) if hasattr(inner, "operations") else _called(model, batch[0])
    kept = [
        _kept(operation, tensor, batch_size) for operation, tensor in found if type(operation).__name__ not in VIEWS
    ]
    return Outputs(sum(kept), max(kept, default=0), len(kept))


def _known(model: Any) -> Iterator[tuple[Any, Any]]:
    for operation in model.operations:
        if hasattr(inner := getattr(operation, "_functional", None) or operation, "operations"):
            yield from _known(inner)
        else:
            for node in operation._inbound_nodes:
                yield from ((operation, tensor) for tensor in node.output_tensors)


def _called(model: Any, inputs: Any) -> list[tuple[Any, Any]]:
    """Call a model without values, and note what its innermost layers give."""
    found, call = [], keras.Layer.__call__

    def noted(layer: Any, *arguments: Any, **options: Any) -> Any:
        given = call(layer, *arguments, **options)
        if not list(layer._flatten_layers(include_self=False)) or type(layer).__name__ in KEPT_PER_STEP:
            found.extend((layer, tensor) for tensor in keras.tree.flatten(given))
        return given

    keras.Layer.__call__ = noted
    try:
        model.compute_output_spec(
            keras.tree.map_structure(lambda part: keras.KerasTensor(part.shape, str(part.dtype)), inputs)
        )
    finally:
        keras.Layer.__call__ = call
    return found


def _kept(operation: Any, tensor: Any, batch_size: int) -> float:
    width = BYTES.get(keras.backend.standardize_dtype(tensor.dtype), 4)
    shape = [batch_size if extent is None else extent for extent in tensor.shape]
    within = 0
    for layer in [getattr(operation, side, None) for side in ("forward_layer", "backward_layer")] + [operation]:
        if steps := KEPT_PER_STEP.get(type(layer).__name__):
            within += steps * layer.units * math.prod(operation.input.shape[1:2]) * batch_size
    if isinstance(operation, keras.layers.MultiHeadAttention):  # scores and weights; query, key, value and result
        length, heads = math.prod(shape[1:-1]), operation.num_heads
        within += batch_size * heads * length * (2 * length + 4 * operation.key_dim)
    return (math.prod(shape) + within) * width
