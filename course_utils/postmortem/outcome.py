"""What became of a sandboxed run."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from course_utils.postmortem import gpu, summary
from course_utils.postmortem.evidence import Device, Limits, Readings, Where
from course_utils.postmortem.growth import Growth
from course_utils.postmortem.phases import Phase


@dataclass(frozen=True, kw_only=True)
class Outcome(Limits):
    """The result of `course_utils.sandbox.run`. Memory is in MiB above the baseline, time in seconds.

    ``status`` is one of ``finished``, ``out_of_memory``, ``out_of_gpu_memory``, ``out_of_disk``, ``timed_out``,
    ``raised`` and ``died`` (killed by a signal, or left with an exit code).
    """

    status: str
    message: str
    peak_mib: float
    baseline_mib: float
    seconds: float
    interval_ms: float
    cpu_seconds: float = 0.0
    """Of all processes together."""
    interruption: str = ""
    """What other than the code and its own limits has ended the run, so that nothing follows from it: ``machine_busy``
    (it got no processor), ``machine_memory`` (the kernel killed it for others' memory too) or ``killed`` (someone did,
    perhaps the code itself); "" where nothing did."""
    where: Where | None = None
    traceback: str = ""
    allocation: str = ""
    blame: Where | None = None
    """The line that put the memory there; most often, but not always, the one that was running at the end."""
    growth: list[Growth] = field(default_factory=list)
    """The memory that was there at the end, by the line at which it came; the largest first."""
    phases: list[Phase] = field(default_factory=list)
    ledger: list[dict] = field(default_factory=list)
    """What was alive shortly before the end, by the run's own account: ``name, what, mib`` and more for each."""
    cause: str = ""
    """The likely cause in a sentence with its evidence; "" where it is not known."""
    remedy: str = ""
    cause_lab: str = ""
    stdout: str = ""
    stderr: str = ""
    trace: list[tuple[float, float]] = field(default_factory=list)
    figures: list[bytes] = field(default_factory=list, repr=False)
    values: dict = field(default_factory=dict)
    signal: int | None = None
    exit_code: int | None = None
    gpu_peak_mib: float | None = None
    """By TensorFlow's own count, as is the next: the run says so itself."""
    gpu_in_use_mib: float | None = None
    device: Device | None = None
    """The driver's count; None for a run without a GPU budget."""
    readings: Readings = field(default_factory=Readings)

    @property
    def growers(self) -> list[Growth]:
        """Who grew, at most three; none where memory cannot have been what ended the run."""
        least = summary.SMALL * self.peak_mib if self.status in ("out_of_memory", "died") else math.inf
        return [one for one in self.growth[: summary.GROWERS] if one.mib >= least > 0]

    def post_mortem(self) -> str:
        """Return the explanation as plain text: where, who grew, why, what to do, and then what else is known."""
        lines = [self.message]
        if self.where:
            elsewhere = self.blame and self.blame != self.where
            lines.append(f"{'It died at' if elsewhere else 'Last line of yours'}: {self.where}")
            lines += [f"The memory came at: {self.blame}"] if elsewhere else []
        if on_gpu := gpu.account(self.gpu_budget_mib, self.gpu_in_use_mib, self.device):
            lines.append(f"On the GPU: {on_gpu}")
        if grown := self.growers:
            lines.append("What was running while the memory grew:")
            rows = summary.growth_in_words(grown, self.peak_mib, [self.where, self.blame])
            lines += [f"  {memory}, {phase}: {line}" for memory, line, phase in rows]
        if self.cause:
            lines.append(f"Likely cause: {self.cause}")
        if self.remedy:
            lines.append(f"What to do: {self.remedy}")
        if self.cause_lab:
            lines.append(f"See lab {self.cause_lab}.")
        if self.allocation:
            lines.append(f"It asked for: {self.allocation}")
        if self.status != "finished" and (entries := summary.alive(self.ledger)):
            lines.append("Largest objects alive shortly before:")
            lines += [f"  {': '.join(filter(None, (name, what)))}, {mib}" for _, name, what, mib in entries]
        if self.phases:
            lines.append(f"Phases: {summary.phases_in_words(summary.condense(self.phases))}")
        if self.traceback:
            lines += ["", self.traceback.rstrip()]
        return "\n".join(lines)
