"""What a user asks: checked, put into a form that a sandbox can be given, and answered."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from joblib.externals import cloudpickle

from course_utils.files import scratch
from course_utils.fit import probe
from course_utils.fit.prediction import CannotPredict, Prediction
from course_utils.memory import MeterUnavailable
from course_utils.sandbox.launch import ZygoteLost
from course_utils.units import mib, parse_mib

BuildModel = Callable[[], Any] | str | Path
FEEDS = ("arrays", "dataset")
ARRAYS_TIMES = 2.05  # measured: the arrays, and the tensor that `fit` makes of them
TIME_LIMIT = 600.0  # seconds
START = 32
DATASET_MIB = 22.0  # measured: a `tf.data` pipeline around a generator


def predict(
    build_model: BuildModel,
    batch_size: int,
    *,
    memory_mib: float | None = None,
    device: str = "cpu",
    static: bool = False,
    input_shape: Any = None,
    example: Any = None,
    samples: int | None = None,
    feed: str | None = None,
    time_limit: float = TIME_LIMIT,
) -> Prediction:
    """Predict the peak of training the model that ``build_model()`` returns, with batches of ``batch_size``.

    ``build_model`` is a function, or "FILE.py:FUNCTION". A model that comes compiled is trained as it is. The batches
    are random, of the shapes of the model's inputs; where those are open, ``input_shape`` says them without the batch,
    or ``example`` is a batch ``(x, y)`` or a function of the batch size that returns one (for a file, its name). With
    ``memory_mib`` it also says what fits into it; with ``samples``, what the data take as ``feed``: "arrays" or
    "dataset". ``static`` runs no step. ``time_limit`` in seconds bounds the whole.

    Raises `CannotPredict` with a sentence.
    """
    _check(batch_size, memory_mib, device, samples, feed, time_limit)
    with _request(build_model, input_shape, example) as request:
        request["static"] = {"device": device} if static or device == "gpu" else None
        try:
            how = probe.estimate if request["static"] else probe.predict
            found = how(request, batch_size, memory_mib, time_limit)
        except (ZygoteLost, MeterUnavailable, OSError) as error:
            raise CannotPredict(f"The sandbox cannot run here: {error}") from None
    return found if samples is None else _with_data(found, samples, feed or "arrays")


def find_batch_size(build_model: BuildModel, memory_mib: float, **options: Any) -> int:
    """Return the largest batch size that trains in ``memory_mib``: predicted, and confirmed by a run under that limit.

    Takes the options of `predict`. Raises `CannotPredict` with a sentence, also where not even one sample fits.
    """
    found = predict(build_model, START, memory_mib=memory_mib, **options)
    batch_size, limit = found.largest_batch_size or 0, memory_mib - found.feed_mib
    if found.method == "static":
        return batch_size
    with _request(build_model, options.get("input_shape"), options.get("example")) as request:
        while batch_size and not probe.survives(request, batch_size, limit, options.get("time_limit", TIME_LIMIT)):
            batch_size = int(0.8 * batch_size)
    if not batch_size:
        raise CannotPredict(f"Not even a batch of 1 is sure to train in {mib(memory_mib)}.")
    return batch_size


def _with_data(found: Prediction, samples: int, feed: str) -> Prediction:
    """The prediction with what all the data take besides."""
    whole = samples * found.sample_mib
    if feed == "arrays":
        words = f"{samples:,} samples as arrays take {mib(whole)}, and `fit` makes tensors of them."
        return dataclasses.replace(found, feed=words, feed_mib=ARRAYS_TIMES * whole)
    words = (
        f"A `tf.data` pipeline that reads batch by batch; its `cache()` would add {mib(whole)}, a shuffle buffer "
        f"{mib(found.sample_mib * 1000)} for each 1,000 samples."
    )
    return dataclasses.replace(found, feed=words, feed_mib=DATASET_MIB)


def amount(text: str) -> float:
    """An amount of memory as it is written, in MiB. Raises `CannotPredict`."""
    try:
        return parse_mib(text)
    except ValueError as error:
        raise CannotPredict(str(error)) from None


def shape(text: str) -> Any:
    """The shape of one sample as it is written: "224,224,3", or "224,224,3;10" for two. Raises `CannotPredict`."""
    try:
        shapes = [[int(size) for size in one.split(",") if size.strip()] for one in text.strip("()[] ").split(";")]
    except ValueError:
        raise CannotPredict(f"{text!r} is no shape of a sample: write it like 224,224,3.") from None
    return shapes if len(shapes) > 1 else shapes[0]


def _check(
    batch_size: int, memory_mib: float | None, device: str, samples: int | None, feed: str | None, time_limit: float
) -> None:
    """Raise `CannotPredict` for what cannot be meant."""
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise CannotPredict(f"The batch size is {batch_size!r}; it is a whole number from 1 on.")
    if memory_mib is not None and not 0 < memory_mib < math.inf:
        raise CannotPredict(f"The memory is {memory_mib!r}; it is an amount in MiB above 0.")
    if device not in ("cpu", "gpu"):
        raise CannotPredict(f"The device is {device!r}; it is cpu or gpu.")
    if feed not in (None, *FEEDS):
        raise CannotPredict(f"The feed is {feed!r}; it is arrays or dataset.")
    if samples is not None and samples < 1:
        raise CannotPredict(f"The number of samples is {samples!r}; it is a whole number from 1 on.")
    if feed and samples is None:
        raise CannotPredict("Say how many samples there are, so that what they take can be counted.")
    if not 0 < time_limit < math.inf:
        raise CannotPredict(f"The time limit is {time_limit!r}; it is a time in seconds above 0.")


@contextlib.contextmanager
def _request(build_model: BuildModel, input_shape: Any, example: Any) -> Iterator[dict[str, Any]]:
    """What the sandbox is given; within, its files are there."""
    keras = sys.modules.get("keras")  # in a notebook the policy may have been set in another cell
    policy = keras.config.dtype_policy().name if keras and hasattr(keras, "config") else ""
    request = {
        "path": [place or os.getcwd() for place in sys.path],
        "directory": os.getcwd(),
        "policy": policy,
        "file": "",
        "function": "",
        "example": "",
        "pickle": "",
        "input_shape": _plain_shape(input_shape),
    }
    if isinstance(build_model, str | Path):
        file, _, function = str(build_model).rpartition(":")
        path = Path(file).expanduser()
        if not file or not function.isidentifier():
            raise CannotPredict(f"{str(build_model)!r} names no function: write it like models.py:build_model.")
        if not path.is_file():
            raise CannotPredict(f"There is no file {file}.")
        if path.suffix != ".py":
            raise CannotPredict(f"{file} is not a Python file: its name has to end in .py.")
        if example is not None and not isinstance(example, str):
            raise CannotPredict("With a file, `example` is the name of a function in it.")
        yield request | {"file": str(path.resolve()), "function": function, "example": example or ""}
        return
    if not callable(build_model):
        raise CannotPredict(
            f"`build_model` is a {type(build_model).__name__}, not a function: give a function that builds and returns "
            "the model, such as lambda: keras.Sequential(...)."
        )
    with scratch("fit-") as folder:
        file = folder / "function.pickle"
        try:
            file.write_bytes(cloudpickle.dumps((build_model, example)))
        except OSError:
            raise
        except Exception as error:
            raise CannotPredict(
                f"The function cannot be handed to a sandbox ({type(error).__name__}: {str(error)[:300]}): let it make "
                "all that it uses itself, or put it into a file and give FILE.py:FUNCTION."
            ) from None
        yield request | {"pickle": str(file)}


def _plain_shape(given: Any) -> Any:
    """The shapes as lists. Raises `CannotPredict` where they are none."""
    if given is None or (isinstance(given, int) and not isinstance(given, bool) and given > 0):
        return given
    if isinstance(given, dict):
        return {str(name): _plain_shape(inner) for name, inner in given.items()}
    if isinstance(given, list | tuple):
        return [_plain_shape(inner) for inner in given]
    raise CannotPredict(
        f"`input_shape` holds {given!r}: write the shape of one sample without the batch, (224, 224, 3)."
    )
