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
from course_utils.units import mib

BuildModel = Callable[[], Any] | str | Path
TIME_LIMIT = 600.0  # seconds
START = 32  # the batch size at which the search for the largest begins
# Both were seen on one machine, and no benchmark here repeats them. While `fit` makes its tensors, arrays take three
# times their size for a moment, which is more than this where the data outweigh a training step.
ARRAYS_TIMES = 2.05  # the arrays, and the tensors that `fit` makes of them
DATASET_MIB = 22.0  # a `tf.data` pipeline around a generator


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
    for wrong, sentence in (
        (type(batch_size) is not int or batch_size < 1, f"The batch size is {batch_size!r}; it is a number from 1 on."),
        (not (memory_mib is None or 0 < memory_mib < math.inf), f"{memory_mib!r} MiB of memory is not above 0."),
        (device not in ("cpu", "gpu"), f"The device is {device!r}; it is cpu or gpu."),
        (feed not in (None, "arrays", "dataset"), f"The feed is {feed!r}; it is arrays or dataset."),
        (samples is not None and samples < 1, f"The number of samples is {samples!r}; it is a number from 1 on."),
        (feed and samples is None, f"Say how many samples the {feed} has, so that what they take can be counted."),
        (not 0 < time_limit < math.inf, f"The time limit is {time_limit!r}; it is a time in seconds above 0."),
    ):
        if wrong:
            raise CannotPredict(sentence)
    # What the data take besides: so many times a sample, and a constant.
    data = (0.0, DATASET_MIB) if feed == "dataset" else (ARRAYS_TIMES * (samples or 0), 0.0)
    with _request(build_model, input_shape, example) as request:
        request["data"] = data
        if static or device == "gpu":
            found = probe.estimate(request | {"static": {"device": device}}, batch_size, memory_mib, time_limit)
        else:
            found = probe.predict(request, batch_size, memory_mib, time_limit)
    if samples is None:
        return found
    whole = mib(samples * found.sample_mib)
    words = f"{samples:,} samples in arrays take {whole}, and `fit` makes tensors of them."
    if feed == "dataset":
        words = (
            f"A `tf.data` pipeline that reads batch by batch. Its `cache()` would add {whole}, a shuffle buffer "
            f"{mib(1000 * found.sample_mib)} for each 1,000 samples."
        )
    return dataclasses.replace(found, feed=words, feed_mib=data[0] * found.sample_mib + data[1])


def find_batch_size(build_model: BuildModel, memory_mib: float, **options: Any) -> int:
    """Return the largest batch size that trains in ``memory_mib``: predicted, and confirmed by a run under that limit.

    Takes the options of `predict`. Raises `CannotPredict` with a sentence, also where not even one sample fits.
    """
    batch_size = START
    for _ in range(2):  # the second line is drawn close to the first answer
        found = predict(build_model, batch_size or 1, memory_mib=memory_mib, **options)
        batch_size = found.largest_batch_size or 0
    limit = memory_mib - found.feed_mib
    if found.method == "probe":
        with _request(build_model, options.get("input_shape"), options.get("example")) as request:
            while batch_size and not probe.survives(request, batch_size, limit, options.get("time_limit", TIME_LIMIT)):
                batch_size = int(0.8 * batch_size)
    if not batch_size:
        raise CannotPredict(f"Not even a batch of 1 is sure to train in {mib(memory_mib)}.")
    return batch_size


@contextlib.contextmanager
def _request(build_model: BuildModel, input_shape: Any, example: Any) -> Iterator[dict[str, Any]]:
    """What the sandbox is given; within, its files are there, and what keeps it from running is a `CannotPredict`."""
    keras = sys.modules.get("keras")  # in a notebook the policy may have been set in another cell
    policy = keras.config.dtype_policy().name if keras and hasattr(keras, "config") else ""
    request = {"directory": os.getcwd(), "path": [place or os.getcwd() for place in sys.path], "policy": policy}
    request |= {
        "input_shape": None if input_shape is None else _shape(input_shape),
        "file": "",
        "static": None,
        "data": (0, 0),
    }
    with scratch("fit-") as folder:
        if isinstance(build_model, str | Path):
            file, function = _file(str(build_model))
            if not isinstance(example, str | None):
                raise CannotPredict("With a file, `example` is the name of a function in it.")
            request |= {"file": str(file.resolve()), "function": function, "example": example}
        elif callable(build_model):
            request["pickle"] = str(folder / "function.pickle")
            (folder / "function.pickle").write_bytes(_pickled((build_model, example)))
        else:
            raise CannotPredict(
                f"{str(build_model)[:100]!r} is not a function: give one that builds the model and returns it."
            )
        try:
            yield request
        except (ZygoteLost, MeterUnavailable, OSError) as error:
            raise CannotPredict(f"The sandbox cannot run here: {error}") from None


def _file(text: str) -> tuple[Path, str]:
    """The file and the name in FILE.py:FUNCTION. Raises `CannotPredict`."""
    name, _, function = text.rpartition(":")
    file = Path(name).expanduser()
    if not name or not function.isidentifier():
        raise CannotPredict(f"{text!r} names no function: write it like models.py:build_model.")
    if not file.is_file():
        raise CannotPredict(f"There is no file {name}.")
    if file.suffix != ".py":
        raise CannotPredict(f"{name} is not a Python file: its name has to end in .py.")
    return file, function


def _pickled(value: Any) -> bytes:
    try:
        return cloudpickle.dumps(value)
    except Exception as error:
        raise CannotPredict(
            f"The function cannot be handed to a sandbox ({type(error).__name__}: {str(error)[:300]}): let it make all "
            "that it uses itself, or put it into a file and give FILE.py:FUNCTION."
        ) from None


def _shape(given: Any) -> Any:
    """Shapes as lists of numbers; a text like "224,224,3" is one, and "224,224,3;10" two. Raises `CannotPredict`."""
    if isinstance(given, str):
        given = [one.strip("()[] ,").split(",") for one in given.split(";")]
        given = given if len(given) > 1 else given[0]
    if isinstance(given, dict):
        return {str(name): _shape(inner) for name, inner in given.items()}
    try:
        return [_shape(one) if isinstance(one, list | tuple) else int(one) for one in given]
    except (TypeError, ValueError):
        raise CannotPredict(f"{given!r} is no shape: write that of one sample, such as 224,224,3.") from None
