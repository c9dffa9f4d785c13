"""In the sandbox: build the user's model, and train it on random batches as `model.fit` does with a generator.

Everything here runs in a child, where TensorFlow is. What is found goes out through `course_utils.sandbox.inside`.
"""

from __future__ import annotations

import gc
import importlib.util
import math
import os
import pickle
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from course_utils.sandbox import inside

PACKAGES = ("site-packages", "dist-packages", f"{os.sep}lib{os.sep}python3", "<frozen ", "course_utils/fit/")
GIVE_SHAPES = (
    "Give `input_shape=`, without the batch, such as (224, 224, 3) or a list of such shapes, or `example=`: a batch of "
    "your data, or a function `batch(batch_size)` that returns one."
)


class Problem(Exception):
    """The model cannot be built or trained; the text is a sentence for the user."""


def refuse(doing: str, error: BaseException, advice: str = "") -> NoReturn:
    """Raise `Problem`: what failed, and at which line of the user's own."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _of_a_package(frame.filename)]
    if isinstance(error, SyntaxError) and error.filename:
        frames = [traceback.FrameSummary(error.filename, error.lineno or 1, "", lookup_line=False, line=error.text)]
    place = ""
    if frames:
        line = (frames[-1].line or "").strip()
        place = f", {Path(frames[-1].filename).name}, line {frames[-1].lineno}{f': {line[:200]}' if line else ''}"
    text = str(error).strip().split("\n\n")[0]
    raise Problem(f"{doing} failed{place} ({type(error).__name__}: {text[:500]}). {advice}".strip()) from None


def _of_a_package(file: str) -> bool:
    return any(part in file for part in PACKAGES)


def import_file(file: str) -> Any:
    """Import a Python file as a module, and not as a program."""
    sys.path.insert(0, os.path.dirname(file))
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    assert spec is not None and spec.loader is not None  # the owner has checked that the name ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:
        refuse(f"Importing {Path(file).name}", error)
    return module


def find(module: Any, name: str) -> Any:
    """Return the function of this name. Raises `Problem` that names the functions there are."""
    found = getattr(module, name, None)
    if callable(found):
        return found
    functions = [key for key, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
    there = f"; it has {', '.join(functions[:8])}" if functions else ""
    raise Problem(f"{Path(module.__file__).name} has no function {name}{there}.")


def unpickle(file: str) -> tuple[Any, Any]:
    """Return ``(build_model, example)``, which the owner has put into a file."""
    try:
        return pickle.loads(Path(file).read_bytes())
    except Exception as error:
        refuse("Loading your function in the sandbox", error, "Let it make or import all that it uses.")


def build(build_model: Callable[[], Any]) -> Any:
    """Call the user's function and return its Keras model, compiled or not."""
    import keras

    try:
        model = build_model()
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:
        refuse("Building the model", error)
    if not isinstance(model, keras.Model):
        found = "None" if model is None else f"a {type(model).__name__}"
        raise Problem(f"The function returned {found}, not a Keras model: end it with `return model`.")
    return model


def compile_default(model: Any) -> bool:
    """Compile a model that came without; return whether that was needed."""
    if getattr(model, "compiled", False):
        return False
    model.compile(optimizer="adam", loss="mse")
    return True


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
        if "float" in self.dtype:  # bfloat16 is no type of NumPy's
            return generator.random(shape, np.float32)
        return generator.integers(0, self.below, shape, np.int32).astype(self.dtype, copy=False)


class Batches:
    """Makes random batches for a model: a function of the batch size, by the model's own inputs, outputs and losses.

    ``input_shape`` is the shape of one sample, or a list or a dictionary of them; ``example`` a batch, or a function of
    the batch size that returns one, as ``(x, y)`` or ``x``. Raises `Problem` where no shape can be known.
    """

    def __init__(self, model: Any, input_shape: Any = None, example: Any = None) -> None:
        self._generator = np.random.default_rng(0)
        self.example = example
        self.parts: tuple[Any, ...] = () if example is not None else _parts(model, input_shape, self._generator)

    def __call__(self, batch_size: int) -> tuple[Any, ...]:
        """Return one batch: ``(x, y)``, or ``(x,)`` for a model without a loss."""
        from keras import tree

        if self.example is None:
            return tree.map_structure(lambda part: part.random(self._generator, batch_size), self.parts)
        if callable(self.example):
            try:
                given = self.example(batch_size)
            except Exception as error:
                refuse(f"`example({batch_size})`", error)
        else:
            rows = np.arange(batch_size)
            given = tree.map_structure(lambda part: np.asarray(part)[rows % len(part)], self.example)
        given = tuple(given) if isinstance(given, list) else given
        return given if isinstance(given, tuple) else (given,)

    def some(self, batch_size: int, steps: int) -> Iterator[tuple[Any, ...]]:
        """Yield ``steps`` batches, each made when it is asked for."""
        return (self(batch_size) for _ in range(steps))

    def mib(self, batch_size: int) -> float:
        """Return the size of one batch."""
        from keras import tree

        return sum(np.asarray(part).nbytes for part in tree.flatten(self(batch_size)) if part is not None) / 2**20


def _parts(model: Any, input_shape: Any, generator: np.random.Generator) -> tuple[Any, ...]:
    """Return the parts of a batch: inputs, and targets where there is a loss."""
    import keras

    words = [int(layer.input_dim) for layer in model._flatten_layers() if isinstance(layer, keras.layers.Embedding)]

    def part(tensor: Any, loss: Any = None, target: bool = False) -> Part:
        shape = tuple(tensor.shape)[1:]
        if None in shape:
            raise Problem(f"The model takes or gives arrays of open length: {shape}. {GIVE_SHAPES}")
        if target and _is_sparse(loss):
            return Part(shape[:-1], "int32", shape[-1])
        return Part(
            shape, "float32" if target else keras.backend.standardize_dtype(tensor.dtype), min(words, default=2)
        )

    inner = getattr(model, "_functional", None) or model  # a Sequential model keeps a functional one
    inputs, outputs = getattr(inner, "_inputs_struct", None), getattr(inner, "_outputs_struct", None)
    if input_shape is not None:
        dtype = "int32" if words else "float32"
        inputs = _of_shapes(input_shape, lambda shape: Part(tuple(map(int, shape)), dtype, min(words, default=2)))
    elif inputs is None:
        raise Problem(f"The model does not know the shape of its input. {GIVE_SHAPES}")
    else:
        inputs = keras.tree.map_structure(part, keras.tree.lists_to_tuples(inputs))
    if model.compiled and model.loss is None:
        return (inputs,)
    if outputs is None or input_shape is not None:
        try:
            outputs = model(keras.tree.map_structure(lambda one: one.random(generator, 2), inputs))
        except Exception as error:
            refuse("Calling the model on a random batch", error, GIVE_SHAPES)
    loss = model.loss if model.compiled else "mse"
    if isinstance(outputs, list | tuple) and isinstance(loss, dict):
        outputs = {name: one for name, one in zip(model.output_names, outputs, strict=True) if name in loss}
    if isinstance(outputs, dict):
        losses = loss if isinstance(loss, dict) else dict.fromkeys(outputs, loss)
        return inputs, {name: part(one, losses[name], True) for name, one in outputs.items() if name in losses}
    if isinstance(outputs, list | tuple):
        losses = loss if isinstance(loss, list | tuple) else [loss] * len(outputs)
        return inputs, tuple(part(one, its, True) for one, its in zip(outputs, losses, strict=True))
    return inputs, part(outputs, loss[0] if isinstance(loss, list | tuple) else loss, True)


def _of_shapes(given: Any, make: Callable[[Any], Part]) -> Any:
    if isinstance(given, dict):
        return {name: make(shape) for name, shape in given.items()}
    several = len(given) > 0 and all(isinstance(shape, list | tuple) for shape in given)
    return tuple(map(make, given)) if several else make(given)


def _is_sparse(loss: Any) -> bool:
    names = (loss, getattr(loss, "name", ""), getattr(loss, "__name__", ""), type(loss).__name__)
    return any("sparse" in name.lower() for name in names if isinstance(name, str))


def memory_info() -> tuple[float, float] | None:
    """Return what TensorFlow's allocator holds and has held at most, in MiB; None where it does not count.

    On the CPU it counts with oneDNN, tensors from 256 KiB on (TensorFlow 2.20).
    """
    import tensorflow as tf

    try:
        info = tf.config.experimental.get_memory_info("CPU:0")
    except (ValueError, RuntimeError):
        return None
    return info["current"] / 2**20, info["peak"] / 2**20


def train(model: Any, batches: Batches, batch_size: int, steps: int, seconds: float) -> dict[str, Any]:
    """Train ``steps`` steps, fewer where they take more than ``seconds``; at least two. Return what was seen.

    ``began`` and ``stepped`` (after the first step) are moments of the monotonic clock, ``peaks`` the allocator's of
    each step, in MiB.
    """
    import keras
    import tensorflow as tf

    seen: dict[str, Any] = {"batch_size": batch_size, "began": time.monotonic(), "peaks": []}

    class Watch(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            if memory_info():
                tf.config.experimental.reset_memory_stats("CPU:0")

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if info := memory_info():
                seen["peaks"].append(info[1])
            seen.setdefault("stepped", time.monotonic())
            if batch >= 1 and time.monotonic() - seen["began"] > seconds:
                self.model.stop_training = True

    try:
        model.fit(batches.some(batch_size, steps), verbose=0, callbacks=[Watch()])
    except MemoryError:
        raise
    except tf.errors.ResourceExhaustedError:
        raise
    except Exception as error:
        refuse(f"Training on a random batch of {batch_size}", error, "Give `example=` if your data look different.")
    return seen | {"ended": time.monotonic()}


def sizes(model: Any) -> dict[str, float]:
    """Return what the variables take, in MiB: ``weights``, ``gradients`` and ``optimizer``."""

    def mib(variables: Any) -> float:
        return sum(math.prod(one.shape) * np.dtype(_plain(one.dtype)).itemsize for one in variables) / 2**20

    model.optimizer.build(model.trainable_variables)
    slots = mib(model.optimizer.variables)
    return {"weights": mib(model.weights), "gradients": mib(model.trainable_variables), "optimizer": slots}


def _plain(dtype: Any) -> str:
    """The name of a type; NumPy does not know bfloat16."""
    return str(getattr(dtype, "name", dtype)).replace("bfloat16", "float16")


def main(request: dict[str, Any]) -> None:
    """Do what the owner asks: build, then train with each of ``batch_sizes``, the smallest first, and tell of each."""
    try:
        _probe(request)
    except Problem as problem:
        inside.exchange({"problem": str(problem)})


def _probe(request: dict[str, Any]) -> None:
    import keras

    sys.path.extend(place for place in request["path"] if place not in sys.path)
    os.chdir(request["directory"])
    if request["policy"]:
        keras.config.set_dtype_policy(request["policy"])
    if file := request["file"]:
        module = import_file(file)
        build_model = find(module, request["function"])
        example = find(module, request["example"]) if request["example"] else None
    else:
        build_model, example = unpickle(request["pickle"])
    model = build(build_model)
    default = compile_default(model)
    batches = Batches(model, request["input_shape"], example)
    if request["static"]:
        from course_utils.fit import static

        for batch_size in request["batch_sizes"]:
            found = static.estimate(model, batch_size, batches=batches, **request["static"])
            inside.exchange({"static": asdict(found), "sample": batches.mib(1)})
        return
    inside.exchange({"built": time.monotonic(), "default": default, **(sizes(model) if model.built else {})})
    for batch_size in request["batch_sizes"]:
        seen = train(model, batches, batch_size, request["steps"], request["seconds"])
        inside.exchange({"stage": seen, "data": batches.mib(batch_size), **sizes(model)})
        gc.collect()
