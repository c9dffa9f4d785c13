"""The process tree in ``/proc``, read by a trusted parent: for hosts without writable control groups, such as Colab.

``status`` is cheap to read and gives each process's anonymous and shared resident memory and its swap. Their sum over
a tree counts a page that two processes share twice. Where more than one process is alive, that part is found by
reading their proportional set sizes from ``smaps_rollup``, which walks the page tables and costs milliseconds.

Files and their meaning: https://docs.kernel.org/filesystems/proc.html
"""

from __future__ import annotations

import contextlib
import glob
import os
import time
from typing import ClassVar

from course_utils.memory.meter import MIB, PROCESS_LIMIT, Meter, Sample, kill_all

# Seconds for which a reading of what processes share is used: while they hold still, at a new peak, while they grow.
STILL_PAUSE, PEAK_PAUSE, GROWING_PAUSE = 0.25, 0.05, 0.01
STILL_MIB = 1.0
KIB_PER_MIB = MIB // 1024


def _fields(pid: int, name: str, wanted: tuple[bytes, ...]) -> int:
    """Return the sum in KiB of some fields of a file of ``/proc/<pid>``; 0 if the process is gone."""
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            # Lines of bytes, which end at \n alone: a process can give itself a name with any other character in it.
            lines = [line.partition(b":") for line in file]
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    return sum(int(value.split()[0]) for field, _, value in lines if field in wanted)


def anonymous_mib(pid: int) -> float:
    """Return anonymous + shared resident memory + swap of one process, in MiB."""
    return _fields(pid, "status", (b"RssAnon", b"RssShmem", b"VmSwap")) / KIB_PER_MIB


def proportional_mib(pid: int) -> float:
    """Return the same with every shared page divided by the number of processes that map it, in MiB.

    Where the kernel is older than 5.0 and does not split the figure, this is `anonymous_mib`.
    """
    total = _fields(pid, "smaps_rollup", (b"Pss_Anon", b"Pss_Shmem", b"SwapPss"))
    return total / KIB_PER_MIB if total else anonymous_mib(pid)


def processor_seconds(pid: int) -> float:
    """Return the processor time that a run has taken so far, in all its processes and in those that have ended."""
    ticks = [int(field) for member in members(pid, parent(pid)) for field in status_fields(member)[11:15]]  # 14 to 17
    return sum(ticks) / os.sysconf("SC_CLK_TCK")


def waited_seconds(pid: int) -> float:
    """Return how long the one of a run's threads that had to wait most has stood in line for a processor so far.

    0 where the kernel does not keep it. It is the second figure of ``schedstat``:
    https://docs.kernel.org/scheduler/sched-stats.html
    """
    waited = [0]
    for member in members(pid, parent(pid)):
        for path in glob.glob(f"/proc/{member}/task/*/schedstat"):
            with contextlib.suppress(OSError), open(path) as file:
                waited.append(int(file.read().split()[1]))
    return max(waited) / 1e9


def status_fields(pid: int) -> list[bytes]:
    """Return the fields of ``/proc/<pid>/stat`` after the name in brackets, from number 3 on; [] if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def parent(pid: int) -> int:
    """Return a process's parent, 0 where the process is gone or its parent is out of sight."""
    fields = status_fields(pid)
    return int(fields[1]) if fields else 0


def children(pid: int) -> list[int]:
    """Return the direct children of every thread of a process."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        pass
    return found


def tree(pids: list[int]) -> list[int]:
    """Return ``pids`` and all their descendants, each once."""
    found: list[int] = []
    pending = list(pids)
    while pending:
        pid = pending.pop()
        if pid not in found:
            found.append(pid)
            pending += children(pid)
    return found


def members(pid: int, reaper: int) -> list[int]:
    """Return the processes of a run: its first process, all descendants, and the orphans among them.

    Orphans are handed to the nearest subreaper above, which is the zygote: the parent of the run's first process. If
    it is gone, that is process 1, whose children are anyone's.
    """
    return tree([pid, *(children(reaper) if reaper > 1 else [])])


class ProcfsMeter(Meter):
    """Reads a process tree from outside and kills it when it is told to."""

    counts: ClassVar[str] = "anonymous + mapped shared memory + swap of the process tree, shared pages counted once"
    cannot_see: ClassVar[str] = (
        "files in /dev/shm or another tmpfs that no process has mapped; a spike shorter than the interval"
    )
    interval: ClassVar[float] = 0.003

    def __init__(self, cap_mib: float) -> None:
        self._pids: list[int] = []
        self._newest = b""
        self._baseline = 0.0
        self._now = self._peak = 0.0
        self._sharing: tuple[set[int], float, float, float] = (set(), 0.0, 0.0, 0.0)
        self._too_many = False

    @classmethod
    def probe(cls) -> str:
        return "" if anonymous_mib(os.getpid()) else "/proc does not report RssAnon: this is not Linux"

    def attach(self, pid: int) -> None:
        self._root = pid
        self._reaper = parent(pid)
        self._pids = [pid]
        self._baseline = anonymous_mib(pid)

    def sample(self) -> Sample:
        # The last number in loadavg is the newest process or thread on the host: if it is unchanged, none has started.
        with open("/proc/loadavg", "rb") as file:
            newest = file.read().split()[-1]
        if newest != self._newest:
            self._newest = newest
            self._pids = self.members()
            self._too_many = self._too_many or len(self._pids) > PROCESS_LIMIT
        sizes = {pid: size for pid in self._pids if (size := anonymous_mib(pid))}
        total = sum(sizes.values())
        if (twice := self._counted_twice(sizes, total)) is not None:
            self._now = max(0.0, total - twice - self._baseline)
            self._peak = max(self._peak, self._now)
        return Sample(self._now, self._now)

    def members(self) -> list[int]:
        """Return the processes whose memory counts."""
        return members(self._root, self._reaper)

    def _counted_twice(self, sizes: dict[int, float], total: float) -> float | None:
        """Return how much of the sum over several processes is pages that they share, in MiB.

        What a process allocates is its own, so the figure holds until a process comes or goes, or writes to pages that
        it shares: it is read again in the first case at once, for the second now and then, and soon where a process
        grew in the meantime. None where a process ended while they were being read, since its share had then been
        seen in part.
        """
        if len(sizes) < 2:
            self._sharing = (set(), 0.0, 0.0, 0.0)
            return 0.0
        pids, twice, read_at, pause = self._sharing
        if total - twice - self._baseline > self._peak:
            pause = min(pause, PEAK_PAUSE)
        if pids != set(sizes) or time.monotonic() - read_at > pause:
            proportional = {pid: proportional_mib(pid) for pid in sizes}
            # Each size is read after its proportional size: growth in between then counts too little, for a moment,
            # and not too much, for ever, in the peak.
            after = {pid: anonymous_mib(pid) for pid in sizes}
            if not all(after.values()):
                return None
            twice = sum(max(0.0, after[pid] - proportional[pid]) for pid in sizes)
            still = all(abs(after[pid] - sizes[pid]) < STILL_MIB for pid in sizes)
            self._sharing = (set(sizes), twice, time.monotonic(), STILL_PAUSE if still else GROWING_PAUSE)
        return twice

    def too_many_tasks(self) -> bool:
        return self._too_many

    def kill(self) -> None:
        deadline = time.monotonic() + 5
        while self._pids and time.monotonic() < deadline:  # none: nothing was ever attached
            alive = [pid for pid in members(self._root, self._reaper) if _runs(pid)]
            if not alive:
                return
            kill_all(alive)


def _runs(pid: int) -> bool:
    """Whether a process exists and is not a zombie."""
    fields = status_fields(pid)
    return bool(fields) and fields[0] not in (b"Z", b"X")
