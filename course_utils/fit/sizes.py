"""What the variables of a model take."""

from __future__ import annotations

import math
from typing import Any

BYTES = {"float64": 8, "int64": 8, "bfloat16": 2, "float16": 2, "int16": 2, "int8": 1, "uint8": 1, "bool": 1}


def variables(model: Any) -> dict[str, float]:
    """Return the MiB of a model's ``weights``, of their ``gradients`` and of what its ``optimizer`` keeps."""

    def mib(several: Any) -> float:
        return sum(math.prod(one.shape) * BYTES.get(str(one.dtype), 4) for one in several) / 2**20

    return {
        "weights": mib(model.weights),
        "gradients": mib(model.trainable_variables),
        "optimizer": mib(model.optimizer.variables) if model.compiled and model.optimizer else 0.0,
    }
