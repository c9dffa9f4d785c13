"""What became of a sandboxed run."""

from __future__ import annotations

from dataclasses import dataclass, field

from course_utils import units
from course_utils.postmortem import gpu
from course_utils.postmortem.evidence import Device, Limits, Where
from course_utils.postmortem.growth import Growth
from course_utils.postmortem.phases import Phase


@dataclass(frozen=True, kw_only=True)
class Outcome(Limits):
    """The result of `course_utils.sandbox.run`. Memory is in MiB above the baseline, time in seconds.

    ``status`` is one of ``finished``, ``out_of_memory``, ``out_of_gpu_memory``, ``timed_out``, ``raised`` and
    ``died`` (killed by a signal, or left with an exit code).
    """

    status: str
    message: str
    peak_mib: float
    baseline_mib: float
    seconds: float
    interval_ms: float
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

    def post_mortem(self) -> str:
        """Return the explanation as plain text, one fact a line."""
        lines = [self.message]
        if self.where:
            lines.append(f"Last line of yours: {self.where}")
        if self.blame and self.blame != self.where:
            lines.append(f"The memory came at: {self.blame}")
        if self.allocation:
            lines.append(f"It asked for: {self.allocation}")
        if on_gpu := gpu.account(self.gpu_budget_mib, self.gpu_in_use_mib, self.device):
            lines.append(f"On the GPU: {on_gpu}")
        if grown := self.growth[:3]:
            lines.append("Where the memory came:")
            lines += [f"  {units.mib(one.mib)}, {one.phase}: {one.where or 'not known'}" for one in grown]
        if self.ledger:
            lines.append("Largest objects alive shortly before:")
            lines += [f"  {item['name']}: {item['what']}, {units.mib(item['mib'])}" for item in self.ledger]
        if self.cause:
            lesson = f" (lab {self.cause_lab})" if self.cause_lab else ""
            lines.append(f"Likely cause: {self.cause}{lesson}")
        if self.remedy:
            lines.append(f"What to do: {self.remedy}")
        if self.traceback:
            lines += ["", self.traceback.rstrip()]
        return "\n".join(lines)
