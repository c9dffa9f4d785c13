"""What became of a sandboxed run."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Where:
    """A line of the learner's code."""

    cell: str
    line: int
    source: str
    function: str = ""

    def __str__(self) -> str:
        return f"{self.cell}, line {self.line}: {self.source}"


@dataclass(frozen=True)
class Outcome:
    """The result of `course_utils.sandbox.run`. Memory is in MiB above the baseline, time in seconds.

    ``status`` is one of ``finished``, ``out_of_memory``, ``out_of_gpu_memory``, ``timed_out``, ``raised`` and
    ``died`` (by a signal, or by leaving with an exit code).
    """

    status: str
    message: str
    peak_mib: float
    baseline_mib: float
    budget_mib: float
    cap_mib: float
    seconds: float
    time_limit: float
    method: str
    interval_ms: float
    isolation: str
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

    def post_mortem(self) -> str:
        """Return the explanation as plain text, one fact a line."""
        lines = [self.message]
        if self.where:
            lines.append(f"Last line of yours: {self.where}")
        if self.allocation:
            lines.append(f"It asked for: {self.allocation}")
        if self.live:
            lines.append("Largest objects alive shortly before:")
            lines += [f"  {item['name']}: {item['what']}, {item['mib']:,.0f} MiB" for item in self.live]
        if self.cause:
            lesson = f" (lab {self.cause_lab})" if self.cause_lab else ""
            lines.append(f"Likely cause: {self.cause}{lesson}")
        if self.traceback:
            lines += ["", self.traceback.rstrip()]
        return "\n".join(lines)
