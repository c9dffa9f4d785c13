"""The interface that every way of reading memory answers."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import ClassVar, NamedTuple

MIB = 1024 * 1024
PROCESS_LIMIT = 100


class MeterUnavailable(Exception):
    """This host does not allow the method; the message says why."""


class Sample(NamedTuple):
    """Memory of a run above its baseline, in MiB: now, and the most since the sample before."""

    now_mib: float
    peak_mib: float


def kill_all(pids: list[int]) -> None:
    """Kill processes, those that are gone or not ours left out; stopped first, so that a fork bomb does not grow."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)


class Meter:
    """Reads the memory of one run, a process and all its descendants. It is made with the run's cap in MiB.

    ``interval`` is the longest pause between two samples, in seconds. The life of a meter is
    `attach`, any number of `sample`, `kill`, `close`.
    """

    counts: ClassVar[str]
    cannot_see: ClassVar[str]
    interval: ClassVar[float]
    kernel_mib: float = 0.0
    """What the last sample has found the kernel to hold for the run, in sockets, pipes and tables; 0 if unknown."""

    def __init__(self, cap_mib: float) -> None:
        raise NotImplementedError

    @classmethod
    def probe(cls) -> str:
        """Return "" if this host allows the method, else a sentence that says why not."""
        raise NotImplementedError

    def attach(self, pid: int) -> None:
        """Begin to watch ``pid``, which has not run any of the learner's code yet."""
        raise NotImplementedError

    def sample(self) -> Sample:
        """Read the run's memory once."""
        raise NotImplementedError

    def processes(self) -> list[int]:
        """Return the run's processes."""
        raise NotImplementedError

    def killed_by_kernel(self) -> bool:
        """Whether the kernel's own limit killed a process of this run."""
        return False

    def cpu_seconds(self) -> float:
        """Return the processor time that the kernel counted for the run; 0 where it does not count by run."""
        return 0.0

    def too_many_tasks(self) -> bool:
        """Whether the run reached the limit on processes and threads."""
        return False

    def kill(self) -> None:
        """Kill every process of the run; does nothing before `attach`."""
        raise NotImplementedError

    def close(self) -> None:
        """Release what the meter holds on the host."""
