"""What every graded run does after the learner's code, inside its sandbox: train, ask for images, send labels.

It describes the result and doesn't judge it: the true labels are never here, and the grader checks and scores the
predictions. The text of this file is sent in, so it imports nothing of the grader.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

CLASSES = 10
BATCH_SIZE = 32


class Problem(Exception):
    """The learner's function returned something else than the lab asks for; the text is a sentence for the learner."""


def run(inside: Callable[..., None], namespace: dict[str, Any], *arguments: Any) -> None:
    """Do what a task does inside, and tell the grader of a :class:`Problem`."""
    from course_utils.sandbox.inside import exchange

    try:
        inside(namespace, *arguments)
    except Problem as problem:
        exchange({"problem": str(problem)})


def predict_with(model: Any, predict: Callable[..., Any] | None) -> None:
    """Ask the grader for images, and send one label for each: from ``predict(model, paths)`` where there is one."""
    from course_utils.sandbox.inside import exchange

    paths = exchange({"state": "trained"})["images"]
    answer = default_predict(model, paths) if predict is None else predict(model, list(paths))
    exchange({"predictions": labels(answer, len(paths))})


def train_and_predict(namespace: dict[str, Any], folder: str) -> None:
    """Train on ``folder/<class 0..9>/*.jpg``, then predict."""
    train = function(namespace, "train(folder)")
    predict = optional_function(namespace, "predict(model, paths)")
    model = train(Path(folder))
    if model is None and predict is None:
        raise Problem("train returned None, not a model: end it with `return model`, or write predict(model, paths).")
    predict_with(model, predict)


def default_predict(model: Any, paths: Sequence[str]) -> Any:
    """Scores of shape (images, 10), from pixels of 0 to 255 as float32, a batch at a time to keep memory flat."""
    import numpy as np
    from PIL import Image

    call = getattr(model, "predict_on_batch", None) or getattr(model, "predict", None) or model
    if not callable(call):
        raise Problem(
            f"train returned {describe(model)} instead of a model: return a Keras model, "
            "or write predict(model, paths)."
        )
    scores = []
    for start in range(0, len(paths), BATCH_SIZE):
        names = paths[start : start + BATCH_SIZE]
        batch = np.stack([np.asarray(Image.open(name).convert("RGB"), dtype=np.float32) for name in names])
        wanted = getattr(model, "input_shape", None)
        if isinstance(wanted, tuple) and not _fits(batch.shape, wanted):
            raise Problem(
                f"The model takes images of shape {wanted[1:]}, and the images have shape {batch.shape[1:]}: "
                "write predict(model, paths) that loads them as the model needs them."
            )
        answer = np.asarray(call(batch))
        if answer.shape != (len(names), CLASSES):
            raise Problem(
                f"The model gave {describe(answer)} for {len(names)} images; expected shape "
                f"({len(names)}, {CLASSES}), one score for each of the {CLASSES} classes."
            )
        scores.append(answer)
    return np.concatenate(scores)


def labels(answer: Any, count: int) -> list[int]:
    """One label of 0 to 9 an image, out of labels of shape (count,) or scores of shape (count, 10).

    Raises:
        Problem: it is neither.
    """
    import numpy as np

    expected = f"expected {count} labels, or scores of shape ({count}, {CLASSES})"
    try:
        array = np.asarray(answer)
    except Exception:  # ragged lists, and objects with an __array__ of their own
        raise Problem(f"predict returned {describe(answer)}; {expected}.") from None
    if array.dtype.kind not in "iufb":
        kind = " of texts" if array.dtype.kind in "US" else ""
        raise Problem(f"predict returned {describe(answer)}{kind}; {expected}, as numbers.")
    if array.shape not in ((count,), (count, 1), (count, CLASSES)):
        raise Problem(f"predict returned {describe(array)}; {expected}.")
    if not np.isfinite(array).all():
        bad = int(count - np.isfinite(array.reshape(count, -1)).all(axis=1).sum())
        raise Problem(f"predict returned NaN or infinity for {bad} of {count} images; {expected}.")
    if array.shape == (count, CLASSES):
        array = array.argmax(axis=1)
    array = array.reshape(count)
    wrong = array[(array != np.floor(array)) | (array < 0) | (array >= CLASSES)]
    if len(wrong):
        raise Problem(f"predict returned {wrong[0]} as a label; expected whole numbers from 0 to {CLASSES - 1}.")
    return [int(label) for label in array]


def describe(value: Any) -> str:
    """What a value is, in a few words."""
    if value is None:
        return "None"
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is not None and dtype is not None:
        return f"an array of shape {tuple(shape)} of {getattr(dtype, 'name', dtype)}"
    kind = type(value).__name__
    return f"a {kind} of length {len(value)}" if isinstance(value, list | tuple | dict | str) else f"a {kind}"


def function(namespace: dict[str, Any], call: str) -> Callable[..., Any]:
    """The learner's function that is called like ``call``, such as "train(folder)". Raises Problem without one."""
    found = optional_function(namespace, call)
    if found is None:
        raise Problem(f"The graded cell does not define {call}: write the function under exactly this name.")
    return found


def optional_function(namespace: dict[str, Any], call: str) -> Callable[..., Any] | None:
    """The same, or None where the learner has not defined it. Raises Problem where the name is something else."""
    name = call.partition("(")[0]
    found = namespace.get(name)
    if found is not None and not callable(found):
        raise Problem(f"`{name}` is {describe(found)}, not a function: define {call}.")
    return found


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    pairs = zip(shape[1:], wanted[1:], strict=False)
    return len(shape) == len(wanted) and all(want in (None, have) for have, want in pairs)
