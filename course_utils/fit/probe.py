"""The owner's side of a prediction: have a few steps run in a sandbox, and draw the line through their peaks.

One fresh process trains with three batch sizes, the smallest first, so that one that is killed has told of those
before it. The peaks are read from outside. What a sample adds is the sum of two slopes: that of TensorFlow's own
count, and a share of that of the memory it does not count (small tensors, batches on their way, holes), which grows
more slowly than the batch, since freed memory is used again.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

import psutil

from course_utils import sandbox
from course_utils.fit.prediction import PARTS, CannotPredict, Prediction
from course_utils.units import mib, seconds

STEPS = 8
SMALLEST_TOP = 16  # of the largest batch that is tried: below it, weights hide what a sample adds
UNCOUNTED_SHARE = 0.7
FREE_SHARE = 0.9
FARTHEST = 0.15
NEAREST = 0.06
DEATHS = ("out_of_memory", "out_of_gpu_memory")


@dataclass(frozen=True)
class Stage:
    """What a batch size took: the peak from outside, and TensorFlow's own of each step, in MiB."""

    batch_size: int
    before_mib: float
    first_mib: float
    peak_mib: float
    counted: tuple[float, ...]


@dataclass
class Heard:
    """What a run has said, and when its clock began."""

    started: float = 0.0
    said: list[dict[str, Any]] = field(default_factory=list)

    def listener(self) -> sandbox.Listener:
        """The callbacks for `sandbox.run`."""
        return sandbox.Listener(sample=self._sample, answer=self._answer)

    def _sample(self, since: float, _: float) -> None:
        self.started = self.started or time.monotonic() - since

    def _answer(self, message: dict[str, Any]) -> dict[str, Any]:
        if len(self.said) < 20:
            self.said.append(message)
        return {}

    def find(self, key: str) -> list[Any]:
        """Return what was said under this name, in its order."""
        return [message[key] for message in self.said if key in message]

    def number(self, key: str) -> float:
        """Return the last figure of this name, 0 without one."""
        return next((_number(message[key]) for message in reversed(self.said) if key in message), 0.0)


def run(request: dict[str, Any], cap_mib: float, time_limit: float) -> tuple[sandbox.Outcome, Heard]:
    """Carry out a request in a sandbox. Raises `CannotPredict` where the user's code is the reason that it cannot."""
    heard = Heard()
    code = f"from course_utils.fit import training\ntraining.main({request!r})"
    outcome = sandbox.run([("fit", code)], budget_mib=cap_mib, time_limit=time_limit, listener=heard.listener())
    for problem in heard.find("problem"):
        raise CannotPredict(str(problem)[:2000])
    if outcome.status in ("raised", "died"):
        raise CannotPredict(f"The prediction ended early: {outcome.message}")
    return outcome, heard


def stages(outcome: sandbox.Outcome, heard: Heard) -> list[Stage]:
    """Return what each batch size took that was trained to its end."""

    def highest(until: float) -> float:
        return max((amount for at, amount in outcome.trace if at <= until - heard.started), default=0.0)

    found = []
    for said in heard.find("stage"):
        moments = [highest(_number(said.get(key))) for key in ("began", "stepped", "ended")]
        peaks = said.get("peaks")
        counted = tuple(map(_number, peaks[:100])) if isinstance(peaks, list) else ()
        found.append(Stage(int(_number(said.get("batch_size"))), *moments, counted))
    return found


def free_mib() -> float:
    """What a run may take on this machine."""
    return psutil.virtual_memory().available / 2**20 * FREE_SHARE


def ladder(batch_size: int) -> list[int]:
    """The batch sizes to train with: a quarter of the batch, at least 16, and a half and a quarter of that."""
    top = min(batch_size, max(SMALLEST_TOP, math.ceil(batch_size / 4)))
    return sorted({max(1, top // 4), max(1, top // 2), top})


@dataclass(frozen=True)
class Line:
    """The peak by the batch size: measured at the largest that was trained, and what each further sample adds."""

    top: Stage
    slope: float
    low_slope: float
    high_slope: float
    spread: float

    def at(self, batch_size: int) -> tuple[float, float, float]:
        """Return (predicted, low, high) in MiB."""
        further = batch_size - self.top.batch_size
        predicted = max(self.top.peak_mib + further * self.slope, 0.0)
        low = min(self.top.peak_mib + further * self.low_slope, predicted * (1 - NEAREST))
        high = max(self.top.peak_mib + further * self.high_slope + self.spread, predicted * (1 + NEAREST))
        return predicted, max(low, predicted * (1 - FARTHEST)), min(high, predicted * (1 + FARTHEST))

    def largest(self, memory_mib: float) -> int:
        """The largest batch size whose peak stays below ``memory_mib``, even if it is as high as can be expected."""
        if self.at(1)[2] >= memory_mib:
            return 0
        below, above = 1, 2
        while self.at(above)[2] < memory_mib and above < 2**20:
            below, above = above, above * 2
        while above - below > 1:
            middle = (below + above) // 2
            below, above = (middle, above) if self.at(middle)[2] < memory_mib else (below, middle)
        return below


def line(found: list[Stage]) -> Line:
    """Draw the line through the peaks, smallest batch first."""
    first, top = found[0], found[-1]
    spread = max(top.counted) - min(top.counted) if top.counted else 0.0
    across = top.batch_size - first.batch_size
    if not across:
        return Line(top, top.peak_mib / top.batch_size, 0.0, top.peak_mib / top.batch_size, spread)
    resident = max(0.0, (top.peak_mib - first.peak_mib) / across)
    if not (top.counted and first.counted):
        return Line(top, resident, 0.8 * resident, 1.15 * resident, spread)
    counted = min(max(0.0, (max(top.counted) - max(first.counted)) / across), resident)
    slope = counted + UNCOUNTED_SHARE * (resident - counted)
    return Line(top, slope, counted, max(1.15 * slope, resident), spread)


def breakdown(line: Line, first: Stage, heard: Heard, batch_size: int, predicted: float) -> dict[str, float]:
    """Share the predicted peak out: what is known of each part, as far as it goes; the rest is workspace."""
    data = 4 * heard.number("data") / line.top.batch_size * batch_size  # two arrays wait, one is a tensor, one is used
    counted = max(first.counted, default=first.peak_mib)
    known = {
        "weights": heard.number("weights"),
        "optimizer": heard.number("optimizer"),
        "data": data,
        "activations": line.slope * batch_size - data,
        "graph": first.peak_mib - counted,
        "gradients": heard.number("gradients"),
    }
    left, shares = predicted, dict.fromkeys(PARTS, 0.0)
    for part, amount in known.items():
        shares[part] = min(max(amount, 0.0), left)
        left -= shares[part]
    shares["workspace"] = left
    return shares


def moment(found: list[Stage], predicted: float) -> str:
    """When the peak comes, in words."""
    first = found[0]
    if first.before_mib > 0.97 * predicted:
        return "while the model is built"
    if first.first_mib > 0.97 * predicted:
        return "in the first step, with the tracing of the graph"
    return "in a training step"


def survives(request: dict[str, Any], batch_size: int, memory_mib: float, time_limit: float) -> bool:
    """Whether a fresh run with this batch trains in ``memory_mib``. Raises `CannotPredict` where it takes too long."""
    asked = {"batch_sizes": [batch_size], "steps": STEPS, "seconds": time_limit / 5, "static": None}
    outcome, heard = run(request | asked, min(memory_mib, free_mib()), time_limit)
    if outcome.status not in DEATHS and not heard.find("stage"):
        raise CannotPredict(f"A batch of {batch_size} was not trained in {seconds(time_limit)}: allow more time.")
    return outcome.status == "finished"


def predict(request: dict[str, Any], batch_size: int, memory_mib: float | None, time_limit: float) -> Prediction:
    """Probe the model of a request. Raises `CannotPredict`."""
    began, cap = time.monotonic(), min(free_mib(), memory_mib or math.inf)
    sizes = ladder(batch_size)
    while True:
        asked = {"batch_sizes": sizes, "steps": STEPS, "seconds": time_limit / 5, "static": None}
        outcome, heard = run(request | asked, cap, time_limit)
        found = stages(outcome, heard)
        weights = heard.number("weights")
        if memory_mib and weights >= memory_mib:
            raise CannotPredict(f"The weights alone take {mib(weights)}, and the memory is {mib(memory_mib)}.")
        if found:
            break
        if outcome.status not in DEATHS:
            raise CannotPredict(
                f"No two steps of batch {sizes[0]} were done in {seconds(time_limit)}: allow more time."
            )
        if sizes[0] == 1:
            built = "Training with a batch of 1" if heard.find("built") else "Building the model"
            raise CannotPredict(f"{built} takes more than the {mib(cap)} that there are: it does not fit.")
        sizes = sorted({max(1, size // 8) for size in sizes})
    drawn = line(found)
    predicted, low, high = drawn.at(batch_size)
    notes = ["It came without `compile`: trained with Adam and the mean squared error."] * bool(heard.number("default"))
    if outcome.status in DEATHS and batch_size >= (died := sizes[len(found)]):
        predicted, low, high = max(predicted, cap), max(low, cap), max(high, cap * (1 + FARTHEST))
        notes.append(f"A batch of {died} was killed at {mib(cap)}.")
    tried = f"Trained with {' and '.join(str(one.batch_size) for one in found)}, {STEPS} steps each."
    return Prediction(
        batch_size=batch_size,
        predicted_mib=predicted,
        low_mib=low,
        high_mib=high,
        method="probe",
        breakdown=breakdown(drawn, found[0], heard, batch_size, predicted),
        moment=moment(found, predicted),
        sample_mib=heard.number("data") / drawn.top.batch_size,
        seconds=time.monotonic() - began,
        note=" ".join([tried, *notes]),
        memory_mib=memory_mib,
        largest_batch_size=None if memory_mib is None else drawn.largest(memory_mib),
    )


def estimate(request: dict[str, Any], batch_size: int, memory_mib: float | None, time_limit: float) -> Prediction:
    """Have the model of a request estimated without a step. Raises `CannotPredict`."""
    began, cap = time.monotonic(), free_mib()
    sizes = [batch_size, 2 * batch_size] if memory_mib else [batch_size]
    outcome, heard = run(request | {"batch_sizes": sizes}, cap, time_limit)
    said = [one for one in heard.find("static") if isinstance(one, dict)]
    if len(said) < len(sizes):
        raise CannotPredict(f"The model could not be estimated: {outcome.message}")
    figures = ("predicted_mib", "low_mib", "high_mib")
    first, *others = ([_number(one.get(name)) for name in figures] for one in said)
    largest = None
    for other in others:
        slope = max((other[2] - first[2]) / batch_size, 1e-6)
        largest = max(0, int(batch_size + (memory_mib - first[2]) / slope))
    parts = said[0].get("breakdown")
    shares = {part: _number(parts.get(part)) for part in PARTS} if isinstance(parts, dict) else {}
    return Prediction(
        batch_size=batch_size,
        **dict(zip(figures, first, strict=True)),
        method="static",
        breakdown=shares,
        moment=str(said[0].get("moment"))[:200],
        sample_mib=heard.number("sample"),
        seconds=time.monotonic() - began,
        device=str(said[0].get("device"))[:100],
        note=str(said[0].get("note"))[:2000],
        memory_mib=memory_mib,
        largest_batch_size=largest,
    )


def _number(value: Any) -> float:
    """A figure that a run has said. Raises `CannotPredict` where it cannot be one."""
    if isinstance(value, int | float) and 0 <= value < 1e15:
        return float(value)
    raise CannotPredict("The run gave no figures: something in the model's code speaks in their place.")
