"""The traced graph of one training step, and what is alive while it runs: nothing of it is run.

Operations are taken in the order in which they were traced. A buffer lives from the operation that makes it to the last
one that reads it; what only views a buffer or may write into it takes none of its own. A loop keeps, for each turn,
what its body puts on its lists.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

VIEWS = re.findall(
    r"\w+",
    """Identity IdentityN Reshape Squeeze ExpandDims StopGradient PreventGradient Snapshot EnsureShape Bitcast
    TensorListFromTensor""",
)
# Kernels that write their result into an input which nobody else needs: `forward_input_or_allocate_output`.
IN_PLACE = re.findall(
    r"\w+",
    """Add AddV2 AddN Sub Mul RealDiv DivNoNan Maximum Minimum SquaredDifference Pow SelectV2 BiasAdd Relu Relu6 Elu
    Selu LeakyRelu Tanh Sigmoid Softplus Softmax LogSoftmax Sqrt Rsqrt Square Exp Expm1 Log Log1p Neg Erf Abs Sign Floor
    Sin Cos Reciprocal ReluGrad Relu6Grad EluGrad SeluGrad LeakyReluGrad TanhGrad SigmoidGrad SoftplusGrad SqrtGrad
    RsqrtGrad""",
)
LOOPS, CALLS = ("While", "StatelessWhile"), ("PartitionedCall", "StatefulPartitionedCall")
BRANCHES = ("If", "StatelessIf")
MOST_TURNS = 10**6
PERSISTENT = {"Placeholder", "ReadVariableOp", "Const"}  # inputs, variables and constants are counted elsewhere
SHARED = {*PERSISTENT, "TensorListGetItem"}  # what a turn may put on a list without new memory


@dataclass(frozen=True)
class Peak:
    """The fullest moment of a graph: the operation that runs, and the bytes that are alive."""

    operation: str = ""
    bytes: float = 0


class Liveness:
    """Walks through graphs. ``nodes`` counts their operations, ``open_loops`` the loops of unknown length, which are
    taken for one turn."""

    def __init__(self, device: str = "cpu") -> None:
        self.nodes = 0
        self.loops = 0
        self.open_loops = 0
        self._shared = SHARED | {"Cast"} if device == "gpu" else SHARED  # there the weights are cast once
        self._turns = 0  # of the last loop that says: its gradient is a loop of as many, which does not

    def peak(self, graph: Any) -> Peak:
        """Return the fullest moment of a graph and of all that it calls."""
        operations = _needed(graph)
        self.nodes += len(operations)
        buffer, size, inner = self._buffers(operations)
        readers = defaultdict(set)
        for operation in operations:
            for tensor in operation.inputs:
                readers[buffer[tensor.ref()]].add(operation)
        left = {key: len(by) for key, by in readers.items()} | {buffer[tensor.ref()]: -1 for tensor in graph.outputs}
        alive: dict[Any, float] = {}
        held, best = 0.0, Peak()
        for operation in operations:
            made = [tensor.ref() for tensor in operation.outputs if buffer[tensor.ref()] == tensor.ref()]
            read = {buffer[tensor.ref()] for tensor in operation.inputs}
            if operation.type in IN_PLACE:
                for key in read:
                    if left[key] == 1 and size[key] == size[made[0]] and alive.get(key):
                        held -= alive.pop(key)  # the result takes its place
                        break
            alive |= {key: size[key] for key in made if size[key]}
            held += sum(size[key] for key in made)
            if held + inner.get(operation, 0) > best.bytes:
                best = Peak(operation.name, held + inner.get(operation, 0))
            for key in read:
                left[key] -= 1
            for key in read.union(made):
                if left.get(key, 0) == 0:
                    held -= alive.pop(key, 0)
        return best

    def _buffers(self, operations: list[Any]) -> tuple[dict, dict, dict]:
        """For each tensor the one whose buffer it views; the sizes of the buffers; what calls take within."""
        buffer, size, inner = {}, {}, {}
        for operation in operations:
            inputs, sizes = list(operation.inputs), [_bytes(tensor) for tensor in operation.outputs]
            if operation.type in LOOPS:
                inner[operation], sizes = self._loop(operation, sizes)
            elif operation.type in BRANCHES:
                branches = [_function(operation, name) for name in ("then_branch", "else_branch")]
                inner[operation] = max(0, max(self.peak(branch).bytes for branch in branches) - sum(sizes))
            elif operation.type in CALLS:
                inner[operation] = max(0, self.peak(_function(operation, "f")).bytes - sum(sizes))
            views = operation.type in VIEWS or (
                operation.type == "Cast" and inputs[0].dtype == operation.outputs[0].dtype
            )
            for number, tensor in enumerate(operation.outputs):
                key = buffer[inputs[number].ref()] if views and number < len(inputs) else tensor.ref()
                buffer[tensor.ref()] = key
                if key == tensor.ref():
                    size[key] = 0 if operation.type in PERSISTENT else sizes[number]
        return buffer, size, inner

    def _loop(self, operation: Any, sizes: list[float]) -> tuple[float, list[float]]:
        """Return what one turn of a loop takes, and the sizes of its outputs, lists included."""
        body = _function(operation, "body")
        self.loops += 1
        self._turns = _turns(operation) or self._turns
        if not self._turns:
            self.open_loops += 1
        within, taken = self.peak(body).bytes, set()
        inputs, found = [tensor.ref() for tensor in body.inputs], list(sizes)

        def origin(tensor: Any) -> Any:
            """What a turn makes: through views, and back from what the turn before has handed on."""
            seen = set()
            while tensor.op.type in VIEWS or tensor.ref() in inputs:
                if tensor.ref() in seen:
                    return None  # the same in each turn
                seen.add(tensor.ref())
                handed_on = tensor.ref() in inputs
                tensor = body.outputs[inputs.index(tensor.ref())] if handed_on else tensor.op.inputs[0]
            return tensor

        for number, output in enumerate(body.outputs):
            made = output.op.inputs[0].op if output.op.type == "Identity" else output.op
            if output.dtype == tf.variant and made.type in ("TensorListPushBack", "TensorListSetItem"):
                item = origin(made.inputs[1 if made.type == "TensorListPushBack" else 2])
                if item is not None and item.ref() not in taken and item.op.type not in self._shared:
                    taken.add(item.ref())
                    found[number] = _bytes(item) * max(self._turns, 1)
        return within, found


def trace(model: Any, batch: tuple[Any, ...]) -> Any:
    """Trace a training step of a compiled model for batches like this one, as Keras does, and return its graph."""
    return tf.function(lambda *parts: model.train_step(parts)).get_concrete_function(*_specified(batch)).graph


def compiled_bytes(model: Any, batch: tuple[Any, ...]) -> float:
    """Have XLA compile a training step for the processor; return what its buffers take, variables and batch included.

    XLA writes this down only in a file, and reads where to when it is first used in a process.
    """
    folder = _reports()
    folder.mkdir()
    try:
        step = tf.function(lambda *parts: model.train_step(parts), jit_compile=True)
        step.experimental_get_compiler_ir(*_specified(batch))(stage="optimized_hlo")
        reports = [path.read_text() for path in folder.glob("*memory-usage-report.txt")]
    finally:
        shutil.rmtree(folder)
    return max(float(re.search(r"Total bytes used: (\d+)", report)[1]) for report in reports)


@functools.cache
def _reports() -> Path:
    folder = Path(tempfile.gettempdir(), f"xla-{os.getpid()}")
    os.environ["XLA_FLAGS"] = f"--xla_dump_to={folder} --xla_dump_hlo_as_text"
    return folder


def _specified(batch: tuple[Any, ...]) -> tuple[Any, ...]:
    return tf.nest.map_structure(lambda part: tf.TensorSpec(part.shape, tf.as_dtype(part.dtype)), batch)


def _needed(graph: Any) -> list[Any]:
    """Return the operations that the outputs need, in the order in which they were made."""
    waiting = [tensor.op for tensor in graph.outputs] + list(graph.control_outputs)
    needed = set()
    while waiting:
        if (operation := waiting.pop()) not in needed:
            needed.add(operation)
            waiting += [*(tensor.op for tensor in operation.inputs), *operation.control_inputs]
    return [operation for operation in graph.get_operations() if operation in needed]


def _function(operation: Any, attribute: str) -> Any:
    name, graph = operation.get_attr(attribute).name, operation.graph
    while name not in graph._functions:
        graph = graph.outer_graph
    return graph._functions[name].graph


def _turns(operation: Any) -> int:
    """How often a loop turns: as it says, or as many as there are rows in a list that it is given; 0 if unknown."""
    most = tf.get_static_value(operation.inputs[1])
    rows = [tensor.op.inputs[0].shape[0] for tensor in operation.inputs if tensor.op.type == "TensorListFromTensor"]
    if most is not None and 0 < most <= MOST_TURNS:
        return int(most)
    return max((count for count in rows if count), default=0)


def _bytes(tensor: Any) -> float:
    if tensor.dtype in (tf.resource, tf.variant, tf.string) or not tensor.shape.is_fully_defined():
        return 0
    return tensor.shape.num_elements() * tensor.dtype.size
