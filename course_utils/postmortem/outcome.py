"""What became of a sandboxed run."""

from __future__ import annotations

from dataclasses import dataclass, field

from course_utils import units
from course_utils.postmortem import gpu
from course_utils.postmortem.evidence import Device, Limits, Where


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
    live: list[dict] = field(default_factory=list)
    cause: str = ""
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
        if self.allocation:
            lines.append(f"It asked for: {self.allocation}")
        if on_gpu := gpu.account(self.gpu_budget_mib, self.gpu_in_use_mib, self.device):
            lines.append(f"On the GPU: {on_gpu}")
        if self.live:
            lines.append("Largest objects alive shortly before:")
            lines += [f"  {item['name']}: {item['what']}, {units.mib(item['mib'])}" for item in self.live]
        if self.cause:
            lesson = f" (lab {self.cause_lab})" if self.cause_lab else ""
            lines.append(f"Likely cause: {self.cause}{lesson}")
        if self.traceback:
            lines += ["", self.traceback.rstrip()]
        return "\n".join(lines)
