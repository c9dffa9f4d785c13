"""The owner's side of a prediction: have a few steps run in a sandbox, and draw the line through their peaks.

One fresh process trains with three batch sizes, the smallest first, so that one that is killed has told of those
before it; then with the batch itself, or half of it, where that takes a few seconds only. The peaks are read from
outside. What a sample adds is the sum of two slopes: that of TensorFlow's own count, and a share of that of the memory
it does not count (batches on their way, holes), which grows more slowly than the batch, since freed memory is used
again. Where TensorFlow counts next to nothing (tensors under 256 KiB, as in recurrent layers), all of it grows.
"""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from course_utils import sandbox
from course_utils.fit.prediction import PARTS, CannotPredict, Prediction
from course_utils.memory import machine
from course_utils.units import mib, seconds

STEPS = 8
SMALLEST_TOP = 16  # of the largest batch that is tried: below it, weights hide what a sample adds
UNCOUNTED_SHARE = 0.7
COUNTS_LITTLE = 0.3
PATIENCE = 12.0  # seconds for the steps of the batch itself
FREE_SHARE = 0.9
MOST_SAMPLES = 2**20  # in a batch
NEAREST, FARTHEST = 0.06, 0.15  # the ends of the interval lie this far from the prediction
DEATHS = ("out_of_memory", "out_of_gpu_memory")


@dataclass(frozen=True)
class Stage:
    """What a batch size took: the peak from outside before, with its first step and at its end, and what TensorFlow
    counted in each step; in MiB."""

    batch_size: int
    before_mib: float
    first_mib: float
    peak_mib: float
    counted: tuple[float, ...]


@dataclass
class Run:
    """A request that is carried out in a sandbox: what it has said, and when its clock began."""

    started: float = 0.0
    said: list[dict[str, Any]] = field(default_factory=list)

    def do(self, request: dict[str, Any], cap_mib: float, time_limit: float) -> sandbox.Outcome:
        """Carry out a request. Raises `CannotPredict` where the user's code is the reason that it cannot be."""
        code = f"from course_utils.fit import training\ntraining.main({request!r})"
        listener = sandbox.Listener(sample=self._sample, answer=self._answer)
        outcome = sandbox.run([("fit", code)], budget_mib=cap_mib, time_limit=time_limit, listener=listener)
        for problem in self.find("problem"):
            raise CannotPredict(str(problem)[:2000])
        if outcome.status in ("raised", "died"):
            raise CannotPredict(f"The prediction ended early: {outcome.message}")
        return outcome

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
        return number((self.find(key) or [0.0])[-1])

    def stages(self, trace: Sequence[tuple[float, float]]) -> list[Stage]:
        """Return what each batch size took that was trained to its end."""

        def highest(moment: Any) -> float:
            return max((amount for at, amount in trace if at <= number(moment) - self.started), default=0.0)

        return [
            Stage(
                max(1, int(number(said.get("batch_size")))),
                *(highest(said.get(name)) for name in ("began", "stepped", "ended")),
                tuple(map(number, said.get("peaks", [])[:100])),
            )
            for said in self.find("stage")
        ]


def number(value: Any) -> float:
    """A figure that a run has said. Raises `CannotPredict` where it cannot be one."""
    if isinstance(value, int | float) and 0 <= value < 1e15:
        return float(value)
    raise CannotPredict("The run gave no figures: something in the model's code speaks in their place.")


def free_mib() -> float:
    """What a run may take of what this machine, or its container, has left."""
    return machine.left().mib * FREE_SHARE


def expected(found: Sequence[Stage], batch_size: int) -> tuple[float, float, float]:
    """Return the peak of a batch as (predicted, low, high), from the line through what smaller ones took."""
    top = found[-1]
    slopes = [_slopes(one, top) for one in found[-3:-1]] or [(0.0, top.peak_mib / top.batch_size)]
    counted, rise = (sum(several) / len(slopes) for several in zip(*slopes, strict=True))
    likely = rise if counted < COUNTS_LITTLE * rise else counted + UNCOUNTED_SHARE * (rise - counted)
    beyond = batch_size - top.batch_size
    spread = max(top.counted) - min(top.counted) if top.counted else 0.0
    predicted = max(top.peak_mib + beyond * likely, 0.0)
    low = min(top.peak_mib + beyond * min(counted, 0.85 * likely), predicted * (1 - NEAREST))
    high = max(top.peak_mib + beyond * max(rise, 1.15 * likely) + spread, predicted * (1 + NEAREST))
    return predicted, max(low, predicted * (1 - FARTHEST)), min(high, predicted * (1 + FARTHEST))


def _slopes(first: Stage, top: Stage) -> tuple[float, float]:
    """What a sample adds to what TensorFlow counts, and to the whole peak, in MiB."""
    across = top.batch_size - first.batch_size
    rise = max(0.0, (top.peak_mib - first.peak_mib) / across)
    counted = (max(top.counted) - max(first.counted)) / across if top.counted and first.counted else 0.0
    return min(max(counted, 0.0), rise), rise


def breakdown(found: Sequence[Stage], run: Run, batch_size: int, predicted: float) -> dict[str, float]:
    """Share the predicted peak out: what is known of each part, as far as it goes; the rest is workspace."""
    data = 4 * run.number("sample") * batch_size  # two arrays wait, one is a tensor, one is used
    known = {
        "weights": run.number("weights"),
        "optimizer": run.number("optimizer"),
        "data": data,
        "activations": predicted - expected(found, 0)[0] - data,
        "graph": found[0].peak_mib - max(found[0].counted, default=found[0].before_mib),
        "gradients": run.number("gradients"),
    }
    left, shares = predicted, dict.fromkeys(PARTS, 0.0)
    for part, amount in known.items():
        shares[part] = min(max(amount, 0.0), left)
        left -= shares[part]
    return shares | {"workspace": left}


def survives(request: dict[str, Any], batch_size: int, memory_mib: float, time_limit: float) -> bool:
    """Whether a fresh run with this batch trains in ``memory_mib``. Raises `CannotPredict` where it takes too long."""
    asked = {"batch_sizes": [batch_size], "steps": STEPS, "seconds": time_limit / 5, "patience": 0.0}
    outcome = Run().do(request | asked, min(memory_mib, free_mib()), time_limit)
    if outcome.status == "timed_out":
        raise CannotPredict(f"A batch of {batch_size} was not trained in {seconds(time_limit)}: allow more time.")
    return outcome.status == "finished"


def _room(memory_mib: float | None, request: dict[str, Any], run: Run) -> float | None:
    """What the memory leaves to the training, beside the data."""
    times, constant = request["data"]
    return memory_mib and memory_mib - times * run.number("sample") - constant


def predict(
    request: dict[str, Any], batch_size: int, memory_mib: float | None, time_limit: float, patience: float = PATIENCE
) -> Prediction:
    """Probe the model of a request; the batch itself is tried if that takes ``patience``. Raises `CannotPredict`."""
    began, cap = time.monotonic(), min(free_mib(), memory_mib or math.inf)
    top = min(batch_size, max(SMALLEST_TOP, math.ceil(batch_size / 4)))
    found: list[Stage] = []
    while not found:
        sizes = sorted({max(1, top // 4), max(1, top // 2), top})
        further = [size for size in (batch_size, batch_size // 2) if size > top]
        asked = {"batch_sizes": sizes, "further": further, "patience": patience}
        run = Run()
        outcome = run.do(request | asked | {"steps": STEPS, "seconds": time_limit / 5}, cap, time_limit)
        found = run.stages(outcome.trace)
        if memory_mib and (weights := run.number("weights")) >= memory_mib:
            raise CannotPredict(f"The weights alone take {mib(weights)}, and the memory is {mib(memory_mib)}.")
        if not found and outcome.status not in DEATHS:
            limit = seconds(time_limit)
            raise CannotPredict(f"A batch of {sizes[0]} was not trained in {limit}: allow more time.")
        if not found and top == 1:
            doing = "Training with a batch of 1" if run.find("trying") else "Building the model"
            raise CannotPredict(f"{doing} takes more than the {mib(cap)} that there are: it does not fit.")
        top = max(1, top // 8)
    predicted, low, high = expected(found, batch_size)
    tried = " and ".join(str(one.batch_size) for one in found)
    note = f"Trained with batches of {tried}, at most {STEPS} steps each."
    if run.number("default"):
        note += " The model came without `compile`: trained with Adam and the mean squared error."
    if outcome.status in DEATHS:
        died = run.number("trying")
        note += f" A batch of {died:.0f} was killed at {mib(cap)}."
        if batch_size >= died:
            predicted, low, high = max(predicted, cap), max(low, cap), max(high, cap * (1 + FARTHEST))
    room = _room(memory_mib, request, run)
    largest = room and bisect_left(range(1, MOST_SAMPLES), room, key=lambda size: expected(found, size)[2])
    return Prediction(
        batch_size=batch_size,
        predicted_mib=predicted,
        low_mib=low,
        high_mib=high,
        method="probe",
        breakdown=breakdown(found, run, batch_size, predicted),
        moment=_moment(found[0], predicted),
        sample_mib=run.number("sample"),
        seconds=time.monotonic() - began,
        note=note,
        memory_mib=memory_mib,
        largest_batch_size=largest,
    )


def _moment(first: Stage, predicted: float) -> str:
    """When the peak comes, in words."""
    if first.before_mib > (1 - NEAREST) * predicted:
        return "while the model is built"
    if first.first_mib > (1 - NEAREST) * predicted:
        return "in the first step, when the graph is traced"
    return "in a training step"


def estimate(request: dict[str, Any], batch_size: int, memory_mib: float | None, time_limit: float) -> Prediction:
    """Have the model of a request estimated without a step. Raises `CannotPredict`."""
    began, run = time.monotonic(), Run()
    outcome = run.do(request | {"batch_sizes": [batch_size, 2 * batch_size]}, free_mib(), time_limit)
    if len(said := run.find("static")) < 2:
        raise CannotPredict(f"The model could not be estimated: {outcome.message}")
    predicted, low, high = (number(said[0].get(name)) for name in ("predicted_mib", "low_mib", "high_mib"))
    slope = max((number(said[1].get("high_mib")) - high) / batch_size, 1e-6)
    room = _room(memory_mib, request, run)
    moment, device, note = (str(said[0].get(name))[:2000] for name in ("moment", "device", "note"))
    return Prediction(
        batch_size=batch_size,
        predicted_mib=predicted,
        low_mib=low,
        high_mib=high,
        method="static",
        breakdown={part: number(said[0]["breakdown"].get(part)) for part in PARTS},
        moment=moment,
        sample_mib=run.number("sample"),
        seconds=time.monotonic() - began,
        device=device,
        note=note,
        memory_mib=memory_mib,
        largest_batch_size=room and min(MOST_SAMPLES, max(0, int(batch_size + (room - high) / slope))),
    )
