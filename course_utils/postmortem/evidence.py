"""What a post-mortem starts from. Memory is in MiB above the baseline, time in seconds."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Where:
    """A line of the learner's code."""

    cell: str
    line: int
    source: str
    function: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.cell}, line {self.line}: {self.source}"


class Frame(NamedTuple):
    """A function that was running. ``file`` of a library begins with the package; ``where`` is None in a library."""

    file: str
    function: str
    where: Where | None = None


Stack = tuple[Frame, ...]
"""The functions that were running in the main thread, the innermost first."""


def innermost(stack: Stack) -> Where | None:
    """Return the learner's innermost line."""
    return next((frame.where for frame in stack if frame.where), None)


def called(stack: Stack) -> Stack:
    """Return the functions of libraries that the learner's innermost line had called; all where there is no line."""
    return tuple(itertools.takewhile(lambda frame: frame.where is None, stack))


class Sighting(NamedTuple):
    """The memory of a run at a moment, and its stack; an empty one where the run was not asked or did not answer."""

    seconds: float
    mib: float
    stack: Stack = ()


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a run is held to, and how it is watched."""

    budget_mib: float
    cap_mib: float
    time_limit: float
    """Seconds by the clock."""
    isolation: str
    method: str
    gpu_budget_mib: float | None = None
    """Memory of the device that TensorFlow may use; None where the run sees no GPU."""
    cpu_limit: float | None = None
    """CPU seconds of all processes together; None where the clock alone counts."""
    disk_mib: float | None = None
    """What it may hold of the disk in files, those that are deleted and still open included; None: only the size of
    each file is limited. With it come limits on the number of files, and on files mapped for writing; see
    `course_utils.sandbox.disk`."""


@dataclass(kw_only=True)
class Readings:
    """What is read from outside besides the memory, for the record. Peaks are in MiB."""

    kernel_peak_mib: float = 0.0
    """Memory of the kernel's own that the run has taken: sockets, pipes, tables. 0 where it cannot be read."""
    mapped_peak_mib: float = 0.0
    """Files on a disk that the run had mapped for writing, which do not count as memory."""
    disk_peak_mib: float = 0.0
    files: int = 0
    """The most files of its own at one time."""
    processes: int = 0
    """The most at one time, of those that lived long enough to be seen; so is the next."""
    programs: int = 0
    """How many of its processes were seen to run another program."""
    gaps: int = 0
    """Pauses of more than 50 ms between two readings of the memory, in which procfs sees nothing."""
    longest_gap: float = 0.0
    """In seconds."""


@dataclass
class Device:
    """What the driver counts for a run on the GPU, read from outside; above the context from before its code began."""

    context_mib: float = 0.0
    peak_mib: float = 0.0
    trace: list[tuple[float, float]] = field(default_factory=list)
    unread: str = ""
    """Why nothing was read, in a sentence; "" if it was."""


@dataclass
class Measurement:
    """What the owner measures and sees from outside, while the run goes on and when it is over."""

    limits: Limits
    interval_ms: float
    baseline_mib: float
    peak_mib: float = 0.0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    """Of all processes together."""
    waited_seconds: float = 0.0
    """How long one of its threads stood in line for a processor; read when its time is up."""
    trace: list[tuple[float, float]] = field(default_factory=list)
    sightings: list[Sighting] = field(default_factory=list)
    """The memory is the owner's reading, the stack what the run said when it was asked."""
    killed_for: str = ""
    """Why the owner killed it: "memory", "gpu" (its memory), "disk", "time", "cpu" (its CPU time), "tasks", "kernel"
    (which killed a part of the run), "message" (the run broke its channel), or "" if the owner did not kill it."""
    exit_code: int | None = None
    """Minus the signal's number where a signal ended the run; None where no one knows."""
    machine_kills: int = 0
    """How many processes the kernel killed meanwhile because memory ran out, of this run or of others."""
    killed_by_kernel: bool = False
    cells: Sequence[tuple[str, str]] = ()
    """The learner's code, as (name, source) pairs."""
    too_many_tasks: bool = False
    device: Device | None = None
    """None for a run without a GPU budget."""
    readings: Readings = field(default_factory=Readings)


@dataclass(frozen=True)
class End:
    """How the code ended, by its own account: ``finished``, ``died`` (it left) or ``raised``."""

    status: str
    kinds: tuple[str, ...] = ("Exception",)
    """The names of the exception's class and of its bases."""
    text: str = ""
    frames: tuple[Where, ...] = ()
    """The learner's own lines, the innermost last."""
    reasons: tuple[str, ...] = ()
    exit_code: int = 1
    gpu_peak_mib: float | None = None
    """By TensorFlow's allocator on the GPU, as is the next."""
    gpu_in_use_mib: float | None = None


@dataclass
class Testimony:
    """All that a run has said: of bounded length and of these types, but any of it may be a lie."""

    stdout: str = ""
    stderr: str = ""
    figures: list[bytes] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    end: End | None = None
    last_line: Where | None = None
    """The line that was running shortly before the end."""
    ledger: list[dict[str, Any]] = field(default_factory=list)
    """What was alive shortly before the end, the largest first: `course_utils.sandbox.ledger` says what each has."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What Keras was doing then, and figures of the run's own: see there."""
