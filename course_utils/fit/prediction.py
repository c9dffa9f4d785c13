"""What is said about a training run before it runs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

PARTS = ("data", "weights", "gradients", "optimizer", "activations", "graph", "workspace")


class CannotPredict(Exception):
    """Nothing can be said of this model; the text is a sentence that says why, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The peak of ``model.fit`` above the baseline, fed with random batches one by one. Memory is in MiB.

    ``method`` is "probe" (some steps were run) or "static" (none was). ``breakdown`` has an amount for each of
    `PARTS`, and they add up to ``predicted_mib``. ``moment`` says in a few words when the peak comes, ``seconds`` how
    long the prediction took, and ``note`` in sentences what was assumed and what it cannot see.
    """

    batch_size: int
    predicted_mib: float
    low_mib: float
    high_mib: float
    method: str
    breakdown: dict[str, float]
    moment: str
    seconds: float
    device: str = "cpu"
    note: str = ""
    memory_mib: float | None = None
    largest_batch_size: int | None = None
    """The largest that fits into ``memory_mib``; 0 where not even one sample does, None where no memory was given."""
    sample_mib: float = 0.0
    """What one sample takes as arrays, with its target."""
    feed: str = ""
    """In a sentence how all the data come, where it was said; random batches hold nothing."""
    feed_mib: float = 0.0
    """What such data take besides, which is not in ``predicted_mib``."""

    @property
    def fits(self) -> bool | None:
        """Whether it will train in ``memory_mib``, even if it takes the most that was foreseen; None without one."""
        return None if self.memory_mib is None else self.high_mib + self.feed_mib < self.memory_mib

    def to_json(self) -> str:
        """Return everything as a JSON object."""
        return json.dumps({**asdict(self), "fits": self.fits}, indent=1)
