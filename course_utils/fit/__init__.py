"""Will it fit? The peak of a training run, predicted before it runs.

    from course_utils import fit
    fit.predict(build_model, batch_size=64, memory_mib=12_000)

The model is built, traced and trained in a sandbox: no TensorFlow is imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from course_utils.fit.prediction import PARTS, CannotPredict, Prediction

__all__ = ["PARTS", "CannotPredict", "Prediction", "find_batch_size", "predict"]


def predict(
    build_model: Callable[[], Any] | str,
    batch_size: int,
    *,
    memory_mib: float | None = None,
    device: str = "cpu",
    static: bool = False,
    input_shape: Sequence[Any] | None = None,
    example: Any = None,
    samples: int | None = None,
    feed: str | None = None,
    time_limit: float = 600,
) -> Prediction:
    """Predict the peak of training the model that ``build_model()`` returns, with batches of ``batch_size``.

    Raises `CannotPredict` with a sentence.
    """
    raise NotImplementedError


def find_batch_size(build_model: Callable[[], Any] | str, memory_mib: float, **options: Any) -> int:
    """Return the largest batch size that trains in ``memory_mib``. Takes the options of `predict`.

    Raises `CannotPredict` with a sentence, also where not even one sample fits.
    """
    raise NotImplementedError
