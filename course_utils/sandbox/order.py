"""The order for one run: what the child is to do, and the limits that its owner keeps."""

from __future__ import annotations

import re
from dataclasses import dataclass

from course_utils.postmortem import Limits


@dataclass(frozen=True, kw_only=True)
class Order(Limits):
    """One run. As JSON (`dataclasses.asdict`) it goes to the child, which reads it with ``Order(**fields)``.

    ``cells`` are (name, source) pairs, of which the first ``quiet`` run silently. Memory is in MiB, time in seconds.

    Raises ValueError, with a sentence, where a limit is not above 0.
    """

    cells: tuple[tuple[str, str], ...]
    directory: str
    quiet: int = 0
    epilogue: str = ""
    readable: tuple[str, ...] = ()
    processors: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not (self.budget_mib > 0 and self.cap_mib > 0 and self.time_limit > 0):
            raise ValueError("A sandbox needs a budget in MiB and a time limit in seconds, both above 0.")
        if self.gpu_budget_mib is not None and not self.gpu_budget_mib > 0:
            raise ValueError("A GPU budget is an amount in MiB above 0; leave it out to run without a GPU.")
        object.__setattr__(self, "cells", tuple((safe_name(name), source) for name, source in self.cells))


def safe_name(name: str) -> str:
    """Return a cell's name as it can stand in a traceback that `faulthandler` prints: short and in ASCII."""
    return re.sub(r"[^ -~]|[\"\\]", "?", name)[:100] or "cell"
