"""The part of a card that is about a GPU: what is known of the device, and its curve."""

from __future__ import annotations

from course_utils.cards import curve
from course_utils.cards import document as card
from course_utils.postmortem import gpu
from course_utils.sandbox import Outcome
from course_utils.units import mib

WAITS = f"TensorFlow tries a refused allocation on a GPU again for {gpu.WAITED_SECONDS} s before it gives up."


def is_the_matter(outcome: Outcome) -> bool:
    """Whether the run ended because of the device, so that the machine's memory explains nothing."""
    return outcome.status == "out_of_gpu_memory"


def facts(outcome: Outcome) -> list[card.Fact]:
    """What the device's budget was, how much of it was in use, and where the time went; facts may be empty."""
    peak = "" if outcome.gpu_peak_mib is None else f"{mib(outcome.gpu_peak_mib)}, by TensorFlow's own count"
    waited = is_the_matter(outcome) and outcome.traceback and outcome.seconds >= gpu.WAITED_SECONDS
    known = gpu.account(outcome.gpu_budget_mib, outcome.gpu_in_use_mib, outcome.device)
    return [
        card.Fact("GPU", f"{known[:1].upper()}{known[1:]}"),
        card.Fact("GPU peak", peak),
        card.Fact("Time", WAITS if waited else ""),
    ]


def figure(outcome: Outcome, label: str, ending: str) -> card.Figure:
    """The device's memory over time, without a picture where it was not read."""
    assert outcome.gpu_budget_mib is not None
    run = card.Series(label, outcome.device.trace if outcome.device else [], ending)
    alt = curve.describe(run, outcome.gpu_budget_mib).replace("Memory above the baseline", "GPU memory", 1)
    return card.Figure([run], alt, outcome.gpu_budget_mib, axis="MiB of the GPU above the context")


def method(outcome: Outcome) -> str:
    """How the device was read, in a sentence; "" for a run without a GPU."""
    if outcome.device is None or not (outcome.device.trace or outcome.gpu_peak_mib or is_the_matter(outcome)):
        return ""
    return f" {outcome.device.unread or 'GPU memory as the driver counts it, above the first context of the run.'}"
