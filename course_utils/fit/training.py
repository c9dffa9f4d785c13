"""In the sandbox: build the user's model, and train it on random batches as `model.fit` does with a generator.

Everything here runs in a child, where TensorFlow is. What is found goes out through `course_utils.sandbox.inside`.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import pickle
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from course_utils.fit.batches import GIVE_SHAPES, Batches, OpenShape
from course_utils.fit.sizes import variables
from course_utils.sandbox import inside

LIBRARIES = ("site-packages", "dist-packages", f"{os.sep}lib{os.sep}python3", "<frozen ", "course_utils/fit/")
OTHER_DATA = "If your data look different, give `example=`: a batch `(x, y)`, or a function `batch(batch_size)`."


class Problem(Exception):
    """The model cannot be built or trained; the text is a sentence for the user."""


def refuse(doing: str, error: BaseException, advice: str = "") -> NoReturn:
    """Raise `Problem`: what failed, and at which line of the user's own. An error of memory is raised as it is."""
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        raise error
    own = [
        (frame.filename, frame.lineno, frame.line)
        for frame in traceback.extract_tb(error.__traceback__)
        if not any(part in frame.filename for part in LIBRARIES)
    ]
    if isinstance(error, SyntaxError) and error.filename:
        own = [(error.filename, error.lineno, error.text)]
    place = ""
    if own:
        file, number, line = own[-1]
        place = f" at {Path(file).name}, line {number}{f', `{line.strip()[:200]}`' if line else ''}"
    text = str(error).strip().split("\n\n")[0][:500].rstrip(".")
    raise Problem(f"{doing} failed{place}: {type(error).__name__}{f': {text}' if text else ''}. {advice}".strip())


def import_file(file: str) -> Any:
    """Import a Python file as a module, and not as a program."""
    sys.path.insert(0, os.path.dirname(file))
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    assert spec is not None and spec.loader is not None  # the owner has checked that the name ends in .py
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
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


def given(request: dict[str, Any]) -> tuple[Any, Any]:
    """Return the user's ``(build_model, example)``, from their file or as the owner has pickled them."""
    if request["file"]:
        module = import_file(request["file"])
        return find(module, request["function"]), request["example"] and find(module, request["example"])
    try:
        return pickle.loads(Path(request["pickle"]).read_bytes())
    except Exception as error:
        refuse("Loading your function in the sandbox", error, "Let it make or import all that it uses.")


def build(build_model: Callable[[], Any]) -> Any:
    """Call the user's function and return its Keras model, compiled or not."""
    import keras

    try:
        model = build_model()
    except (Exception, SystemExit) as error:
        refuse("Building the model", error)
    if not isinstance(model, keras.Model):
        found = "None" if model is None else f"a {type(model).__name__}"
        raise Problem(f"The function returned {found}, not a Keras model: end it with `return model`.")
    return model


def compile_default(model: Any) -> bool:
    """Compile a model that came without; return whether that was needed."""
    if model.compiled:
        return False
    model.compile(optimizer="adam", loss="mse")
    return True


def counted_peak() -> float | None:
    """Return what TensorFlow has held at most since it was last reset, in MiB; None where it does not count.

    On the CPU it counts where it has oneDNN, and tensors from 256 KiB on (TensorFlow 2.20).
    """
    import tensorflow as tf

    try:
        return tf.config.experimental.get_memory_info("CPU:0")["peak"] / 2**20
    except (ValueError, RuntimeError):
        return None


def train(model: Any, batches: Batches, batch_size: int, steps: int, seconds: float) -> dict[str, Any]:
    """Train ``steps`` steps; after ``seconds`` no more, but at least two. Return what was seen.

    ``began``, ``stepped`` (after the first step) and ``ended`` are moments of the monotonic clock, ``peaks`` what
    TensorFlow counted in each step, in MiB.
    """
    import keras
    import tensorflow as tf

    seen: dict[str, Any] = {"batch_size": batch_size, "began": time.monotonic(), "peaks": []}

    class Watch(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            if counted_peak() is not None:
                tf.config.experimental.reset_memory_stats("CPU:0")

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if (peak := counted_peak()) is not None:
                seen["peaks"].append(peak)
            now = time.monotonic()
            seen.setdefault("stepped", now)
            self.model.stop_training = batch > 0 and now - seen["began"] > seconds

    try:
        model.fit((batches(batch_size) for _ in range(steps)), verbose=0, callbacks=[Watch()])
    except Exception as error:
        refuse(f"Training on a batch of {batch_size}", error, OTHER_DATA)
    return seen | {"ended": time.monotonic()}


def main(request: dict[str, Any]) -> None:
    """Do what the owner asks: build, then train with each of ``batch_sizes``, or estimate; tell of each.

    Of the sizes ``further``, the first is trained too whose steps will take no more than ``patience`` seconds.
    """
    try:
        _answer(request)
    except Problem as problem:
        inside.exchange({"problem": str(problem)})


def _answer(request: dict[str, Any]) -> None:
    import keras

    sys.path.extend(place for place in request["path"] if place not in sys.path)
    os.chdir(request["directory"])
    if request["policy"]:
        keras.config.set_dtype_policy(request["policy"])
    build_model, example = given(request)
    model = build(build_model)
    inside.exchange({"weights": variables(model)["weights"]})
    default = compile_default(model)
    try:
        batches = Batches(model, request["input_shape"], example or None)
        sample = batches.mib(2) / 2
    except OpenShape as error:
        raise Problem(str(error)) from None
    except Exception as error:
        refuse("Making a batch for the model", error, GIVE_SHAPES)
    inside.exchange({"sample": sample, "default": default})
    if request["static"]:
        from course_utils.fit import static

        for batch_size in request["batch_sizes"]:
            inside.exchange(
                {"static": asdict(static.estimate(model, batch_size, batches=batches, **request["static"]))}
            )
        return
    sizes, cost = list(request["batch_sizes"]), 0.0
    while sizes:
        batch_size = sizes.pop(0)
        inside.exchange({"trying": batch_size})
        seen = train(model, batches, batch_size, request["steps"], request["seconds"])
        inside.exchange({"stage": seen, **variables(model)})
        gc.collect()
        cost = (seen["ended"] - seen["stepped"]) / batch_size
        if not sizes:  # then one more, as large as patience allows
            sizes = [size for size in request.pop("further", []) if size * cost <= request["patience"]][:1]
