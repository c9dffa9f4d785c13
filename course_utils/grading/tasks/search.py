"""``search(folder, configurations)`` trains one model a configuration and returns the best with all accuracies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from course_utils.grading.tasks.predicting import Problem, describe, function, optional_function, predict_with
from course_utils.grading.tasks.train import Train

# Only one learning rate trains well in so few steps, and neither the first nor the last configuration has it.
CONFIGURATIONS = [
    {"learning_rate": rate, "epochs": epochs} for rate in (0.3, 0.03, 0.0003, 0.000003) for epochs in (1, 2)
]


def inside(namespace: dict[str, Any], folder: str, configurations: Sequence[dict[str, Any]]) -> None:
    """Let ``search`` find the model, and predict with it."""
    search = function(namespace, "search(folder, configurations)")
    predict = optional_function(namespace, "predict(model, paths)")
    found = search(Path(folder), [dict(configuration) for configuration in configurations])
    if not isinstance(found, tuple | list) or len(found) != 2 or found[0] is None:
        raise Problem(f"search returned {describe(found)}; expected a pair: (best model, validation accuracies).")
    model, accuracies = found
    try:
        valid = [0 <= float(accuracy) <= 1 for accuracy in accuracies]
    except (TypeError, ValueError):
        valid = []
    if len(valid) != len(configurations) or not all(valid):
        raise Problem(
            f"The second thing that search returned is {describe(accuracies)}; expected "
            f"{len(configurations)} validation accuracies between 0 and 1, in the order of the configurations."
        )
    predict_with(model, predict)


class Search(Train):
    """Graded as :class:`Train` is, on the model that the search returns."""

    inside = (inside,)
    arguments = (CONFIGURATIONS,)
