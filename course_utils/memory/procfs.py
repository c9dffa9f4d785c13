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

from course_utils.memory.held import held, mappings, memory_folders, nameless_device
from course_utils.memory.meter import MIB, PROCESS_LIMIT, Meter, Sample, kill_all

# Seconds for which a reading of what processes share is used: while they hold still, at a new peak, while they grow.
STILL_PAUSE, PEAK_PAUSE, GROWING_PAUSE = 0.25, 0.05, 0.01
STILL_MIB = 1.0
HELD_PAUSE = 0.05  # between two looks at what the processes hold open
FREE_CHANNELS, CHANNEL_MIB = 64, 0.2  # what Linux lets a socket hold by default
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

    counts: ClassVar[str] = (
        "anonymous + mapped shared memory + swap of the process tree, shared pages counted once; open memfd files; all "
        f"of a tmpfs that is the run's own; sockets and pipes beyond {FREE_CHANNELS}, each as full"
    )
    cannot_see: ClassVar[str] = (
        "files in /dev/shm or another tmpfs that no process has mapped, where others use it too; what is on "
        "its way through a socket; other memory of the kernel; a spike shorter than the interval"
    )
    interval: ClassVar[float] = 0.003

    def __init__(self, cap_mib: float) -> None:
        self._pids: list[int] = []
        self._newest = b""
        self._baseline = 0.0
        self._now = self._peak = 0.0
        self._sharing: tuple[set[int], float, float, float] = (set(), 0.0, 0.0, 0.0)
        self._too_many = False
        self._held = self._held_at = self._held_before = self._mapped = self._seen = 0.0

    @classmethod
    def probe(cls) -> str:
        return "" if anonymous_mib(os.getpid()) else "/proc does not report RssAnon: this is not Linux"

    def attach(self, pid: int) -> None:
        self._root = pid
        self._reaper = parent(pid)
        self._pids = [pid]
        self._baseline = anonymous_mib(pid)
        others = memory_folders(os.getpid())
        own = {device: path for device, path in memory_folders(pid).items() if device not in others}
        self._folders = {device: f"/proc/{pid}/root{path}" for device, path in own.items()}
        self._held_before = self._held_elsewhere()

    def sample(self) -> Sample:
        # The last number in loadavg is the newest process or thread on the host: if it is unchanged, none has started.
        with open("/proc/loadavg", "rb") as file:
            newest = file.read().split()[-1]
        if newest != self._newest:
            self._newest = newest
            self._pids = self.members()
            self._too_many = self._too_many or len(self._pids) > PROCESS_LIMIT
        if time.monotonic() - self._held_at > HELD_PAUSE:
            self._mapped = self._shared_mib()
            # The smaller of two looks: for a moment, what is being unmapped is neither mapped nor given back.
            before, self._seen = self._seen, max(0.0, self._held_elsewhere() - self._held_before)
            self._held = min(before, self._seen)
            self._held_at = time.monotonic()
        sizes = {pid: size for pid in self._pids if (size := anonymous_mib(pid))}
        total = sum(sizes.values())
        # What has been mapped since the last look is counted as mapped from then on.
        elsewhere = max(0.0, self._held - max(0.0, self._shared_mib() - self._mapped)) if self._held else 0.0
        if (twice := self._counted_twice(sizes, total)) is not None:
            self._now = max(0.0, total - twice - self._baseline + elsewhere)
            self._peak = max(self._peak, self._now)
        return Sample(self._now, self._now)

    def members(self) -> list[int]:
        """Return the processes whose memory counts."""
        return members(self._root, self._reaper)

    def _shared_mib(self) -> float:
        return sum(_fields(pid, "status", (b"RssShmem",)) for pid in self._pids) / KIB_PER_MIB

    def _held_elsewhere(self) -> float:
        """Return what the run holds in files in memory that it has not mapped, and in sockets and pipes, in MiB."""
        devices = {*self._folders, nameless_device()}
        now = held(self._pids, devices)
        size = sum(size for (device, _), size in now.in_memory.items() if device not in self._folders)
        for path in self._folders.values():
            with contextlib.suppress(OSError):
                space = os.statvfs(path)
                size += (space.f_blocks - space.f_bfree) * space.f_frsize / MIB
        if size > self._held_before + STILL_MIB:  # part of it may be mapped, and is counted already
            for pid in self._pids:
                for file, _, _, mapped in mappings(pid, "smaps"):
                    size -= mapped if file in now.in_memory or file[0] in self._folders else 0.0
        return max(0.0, size) + max(0, now.channels - FREE_CHANNELS) * CHANNEL_MIB

    def _counted_twice(self, sizes: dict[int, float], total: float) -> float | None:
        """Return how much of the sum over several processes is pages that they share, in MiB.

        What a process allocates is its own, so the figure holds until a process comes or goes, or writes to pages that
        it shares: it is read again in the first case at once, for the second now and then, and soon where a process
        grew in the meantime. Where a process ended while they were being read, the part of it that the others share
        is not known: what is left then is what they surely have, which is at least what the largest has.
        """
        if len(sizes) < 2:
            self._sharing = (set(), 0.0, 0.0, 0.0)
            return 0.0
        pids, twice, read_at, pause = self._sharing
        if (above := total - twice - self._baseline + self._held - self._peak) > 0:
            # At once where it is more than a little: a process that was still being forked at the last reading has
            # brought its share since, which is no growth.
            pause = min(pause, 0.0 if above > STILL_MIB else PEAK_PAUSE)
        if pids != set(sizes) or time.monotonic() - read_at > pause:
            # Each size is read after its proportional size: growth in between then counts too little, for a moment,
            # and not too much, for ever, in the peak.
            proportional = {pid: proportional_mib(pid) for pid in sizes}
            after = {pid: anonymous_mib(pid) for pid in sizes}
            now = sum(proportional[pid] for pid in sizes if after[pid])
            if now - self._baseline > self._peak + STILL_MIB:  # a process that was just being forked is seen twice
                now = min(now, sum(map(proportional_mib, sizes)))
            now = max(now, *after.values())
            if not all(after.values()):
                return total - now
            twice = sum(after.values()) - now
            still = all(abs(after[pid] - sizes[pid]) < STILL_MIB for pid in sizes)
            self._sharing = (set(sizes), twice, time.monotonic(), STILL_PAUSE if still else GROWING_PAUSE)
        return twice

    def processes(self) -> list[int]:
        return self._pids

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
