"""What a graded run does after the learner's code, inside its sandbox.

Trusted to describe what came back, not to judge it: labels are never here, and the grader checks and scores
the predictions that :func:`train_and_predict` sends. Its text is sent in, so it imports nothing of the grader.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

CLASSES = 10
BATCH_SIZE = 32
LAPS = ("start", *("loop", "dataset") * 4)  # what is timed, in this order


# What search(folder, configurations) chooses from: only one learning rate trains well in so few steps, and neither
# the first nor the last configuration has it.
CONFIGURATIONS = [
    {"learning_rate": rate, "epochs": epochs} for rate in (0.3, 0.03, 0.0003, 0.000003) for epochs in (1, 2)
]


class Problem(Exception):
    """What came back is not what was asked for; the text is a sentence for the learner."""


def train_and_predict(namespace: dict[str, Any], folder: str) -> None:
    """Train on ``folder``, ask the grader for images, and send one label for each.

    Args:
        namespace: Where the learner's code ran: ``train(folder)`` and, optionally, ``predict(model, paths)``.
        folder: ``folder/<class 0..9>/*.jpg``.
    """
    from course_utils.sandbox.inside import exchange

    try:
        train = _function(namespace, "train", "train(folder)", required=True)
        predict = _function(namespace, "predict", "predict(model, paths)", required=False)
        model = train(Path(folder))
        if model is None and predict is None:
            raise Problem(
                "train returned None, not a model: end it with `return model`, or write predict(model, paths)."
            )
        reply = exchange({"state": "trained"})
        paths = reply["images"]
        answer = default_predict(model, paths) if predict is None else predict(model, list(paths))
        exchange({"predictions": labels(answer, len(paths))})
    except Problem as problem:
        exchange({"problem": str(problem)})


def time_and_train(namespace: dict[str, Any], folder: str) -> None:
    """Run through ``make_dataset(folder)`` and through a plain loop over the same files in turn, then train.

    The clock is the grader's: it reads this process's processor time as each message comes.
    """
    from course_utils.sandbox.inside import exchange

    try:
        make_dataset = _function(namespace, "make_dataset", "make_dataset(folder)", required=True)
        paths = sorted(Path(folder).glob("*/*.jpg"))
        dataset = make_dataset(Path(folder))
        for lap in LAPS:
            if lap == "loop":
                plain_loop(paths)
            elif lap == "dataset":
                run_through(dataset, len(paths))
            exchange({"lap": lap})
        del dataset  # and with it whatever it holds, before train makes another one
    except Problem as problem:
        exchange({"problem": str(problem)})
    else:
        train_and_predict(namespace, folder)


def search_and_predict(namespace: dict[str, Any], folder: str) -> None:
    """Let ``search(folder, configurations)`` find the model, and go on with it as if ``train`` had returned it."""

    def train(folder: Path) -> Any:
        search = _function(namespace, "search", "search(folder, configurations)", required=True)
        found = search(folder, [dict(configuration) for configuration in CONFIGURATIONS])
        if not isinstance(found, tuple | list) or len(found) != 2 or found[0] is None:
            raise Problem(f"search returned {describe(found)}; expected a pair: (best model, validation accuracies).")
        model, accuracies = found
        try:
            valid = [0 <= float(accuracy) <= 1 for accuracy in accuracies]
        except (TypeError, ValueError):
            valid = []
        if len(valid) != len(CONFIGURATIONS) or not all(valid):
            raise Problem(
                f"The second thing that search returned is {describe(accuracies)}; expected "
                f"{len(CONFIGURATIONS)} validation accuracies between 0 and 1, in the order of the configurations."
            )
        return model

    train_and_predict({**namespace, "train": train}, folder)


def compress_only(namespace: dict[str, Any], folder: str, file: str) -> None:
    """Have ``compress(folder, file)`` write a model file. Another run loads it, and this one gets no images."""
    from course_utils.sandbox.inside import exchange

    try:
        compress = _function(namespace, "compress", "compress(folder, file)", required=True)
        compress(Path(folder), Path(file))
    except Problem as problem:
        exchange({"problem": str(problem)})


def load_and_predict(namespace: dict[str, Any], file: str) -> None:
    """Predict with nothing but the file: ``predict(file, paths)`` where there is one, else what Keras loads."""

    def load(file: Path) -> Any:
        if namespace.get("predict") is not None:
            return file
        import keras

        try:
            return keras.saving.load_model(file)
        except (OSError, TypeError, ValueError) as error:
            reason = next(iter(str(error).splitlines()), "")[:300]
            raise Problem(
                f"Keras cannot load the file that compress wrote: {reason} "
                "Write it with model.save(file), or write predict(file, paths)."
            ) from None

    train_and_predict({**namespace, "train": load}, file)


def run_through(dataset: Any, count: int) -> None:
    """Take batches of (images, labels) until ``count`` images have come. Raises Problem where they do not."""
    if not hasattr(dataset, "__iter__"):
        raise Problem(f"make_dataset returned {describe(dataset)}; expected a dataset of batches (images, labels).")
    given = 0
    for batch in dataset:
        try:
            images, labels = batch
            size, answers = len(images), len(labels)
        except (TypeError, ValueError):
            raise Problem(f"make_dataset gave {describe(batch)}; expected a batch (images, labels).") from None
        if size != answers:
            raise Problem(f"make_dataset gave a batch of {size} images with {answers} labels.")
        given += size
        if given >= count:
            return
    raise Problem(f"make_dataset gave {given} images, and the folder has {count}: leave none out.")


def plain_loop(paths: Sequence[Path]) -> None:
    """Load all images in batches, one after the other, as Keras users do without a pipeline."""
    import keras
    import numpy as np

    for start in range(0, len(paths), BATCH_SIZE):
        names = paths[start : start + BATCH_SIZE]
        np.stack([keras.utils.img_to_array(keras.utils.load_img(name)) for name in names])


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


def _function(namespace: dict[str, Any], name: str, call: str, *, required: bool) -> Callable[..., Any] | None:
    found = namespace.get(name)
    if found is None:
        if required:
            raise Problem(f"The graded cell does not define {call}: write the function under exactly this name.")
        return None
    if not callable(found):
        raise Problem(f"`{name}` is {describe(found)}, not a function: define {call}.")
    return found


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    pairs = zip(shape[1:], wanted[1:], strict=False)
    return len(shape) == len(wanted) and all(want in (None, have) for have, want in pairs)
