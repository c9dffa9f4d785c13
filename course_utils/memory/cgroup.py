"""The kernel's own counters: a control group for each run, version 2 or 1.

The kernel counts and the kernel kills. Its peak counter includes page cache, which must not count, so it is not
taken as it is: it is read and reset every few milliseconds, and in each such window what is not the run's own
(page cache, kernel structures) is subtracted. A spike between two samples is thus seen as the kernel saw it.

Each process that a run forks adds 1 to 3 MiB, even if it does nothing: pages that it shares with its parent are copied
when a reference count in them changes. The copies are anonymous memory of the run, so they count. The kernel's own
structures for a process do not: neither "anon" nor "rss" includes them.

Files and their meaning: https://docs.kernel.org/admin-guide/cgroup-v2.html and
https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
"""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import time
from pathlib import Path
from typing import ClassVar

from course_utils.memory.meter import MIB, PROCESS_LIMIT, Meter, MeterUnavailable, Sample, kill_all

TASK_LIMIT = 256
NEAR_LIMIT = 0.95
FREE_KERNEL_MIB, FREE_KERNEL_MIB_A_PROCESS = 16, 2
_numbers = itertools.count()


def parse_statistics(text: str) -> dict[str, int]:
    """Return the ``name value`` lines of a ``memory.stat`` file as a dictionary of integers."""
    return {name: int(value) for name, value in (line.split() for line in text.splitlines())}


class CgroupMeter(Meter):
    """What both versions share. ``folder`` may be given to read a recorded group instead of a new one."""

    counts: ClassVar[str] = (
        "anonymous + shared memory + swap charged to the run's control group, by the kernel; of its own memory "
        f"(sockets, pipes, queues) what is above {FREE_KERNEL_MIB} MiB and {FREE_KERNEL_MIB_A_PROCESS} MiB a process"
    )
    cannot_see: ClassVar[str] = "memory of a process outside the run that works on its behalf"
    interval: ClassVar[float] = 0.005
    usage_file: ClassVar[str]
    limit_file: ClassVar[str]
    kills_file: ClassVar[str]
    counted: ClassVar[tuple[str, ...]]

    def __init__(self, cap_mib: float, folder: Path | None = None) -> None:
        self.folder = folder or self.create()
        self._descriptors: dict[str, int] = {}
        self._other = self._highest = self._limit = 0
        self._tasks = self.folder  # the group that bounds processes and threads
        self._crowded = False
        if folder is None:
            # The watcher kills at the cap; the kernel stands a little above it, for what grows faster than it looks.
            self._limit = limit = int((cap_mib + max(8, 0.01 * cap_mib)) * MIB)
            self.write(self.limit_file, limit)
            self.limit_swap(limit)
            self._tasks = self.limit_tasks()

    # What differs between the versions.
    @classmethod
    def parent(cls) -> Path:
        """Return the group in which runs get groups of their own; raises OSError if there is none."""
        raise NotImplementedError

    def limit_swap(self, limit: int) -> None:
        """Keep swap from lending the run memory beyond its cap."""
        raise NotImplementedError

    def limit_tasks(self) -> Path:
        """Bound the number of processes and threads where that is allowed; return the folder of the group for it."""
        raise NotImplementedError

    def reached_limit(self) -> bool:
        """Whether the run has met its own limit."""
        raise NotImplementedError

    def window_peak(self) -> int:
        """Return the highest usage in bytes since the last call, all kinds of memory; 0 if it is not known."""
        raise NotImplementedError

    # What they share.
    @classmethod
    def probe(cls) -> str:
        try:
            meter = cls(1024)
        except (MeterUnavailable, OSError) as error:
            return f"no writable memory controller: {error}"
        meter.close()
        return ""

    @classmethod
    def create(cls) -> Path:
        try:
            folder = cls.parent() / f"course-{os.getpid()}-{next(_numbers)}-{secrets.token_hex(4)}"
            folder.mkdir()
        except OSError as error:
            raise MeterUnavailable(str(error)) from error
        if not (folder / cls.usage_file).exists():
            folder.rmdir()
            raise MeterUnavailable(f"{folder.parent} has no {cls.usage_file}")
        return folder

    def read(self, name: str, mode: int = os.O_RDONLY) -> str:
        if name not in self._descriptors:
            self._descriptors[name] = os.open(self.folder / name, mode)
        return os.pread(self._descriptors[name], 16384, 0).decode()

    def write(self, name: str, value: object) -> None:
        (self.folder / name).write_text(str(value))

    def attach(self, pid: int) -> None:
        for folder in (self._tasks, self.folder):
            (folder / "cgroup.procs").write_text(str(pid))
        self.window_peak()

    def sample(self) -> Sample:
        usage = int(self.read(self.usage_file))
        window = self.window_peak()
        self._highest = max(self._highest, window)
        statistics = parse_statistics(self.read("memory.stat"))
        # What every process needs of the kernel is free; what it stores there, in sockets and queues, is not.
        kernel = self.kernel(statistics)
        self.kernel_mib = kernel / MIB
        free = FREE_KERNEL_MIB + FREE_KERNEL_MIB_A_PROCESS * len(self.processes())
        counted = sum(statistics.get(name, 0) for name in self.counted) + self.other_swap()
        counted += max(0, kernel - int(free * MIB))
        # Read twice: what the run frees between two readings, such as all of it at its end, was not another kind.
        other = max(0, min(usage, int(self.read(self.usage_file))) - counted)
        peak = max(counted, window - max(other, self._other))
        self._other = other
        return Sample(counted / MIB, peak / MIB)

    def kernel(self, statistics: dict[str, int]) -> int:
        """Return the bytes of the kernel's own that are charged to the run, without what it can take back."""
        raise NotImplementedError

    def other_swap(self) -> int:
        """Return the bytes of the run that are in swap and not among what ``memory.stat`` counts."""
        return 0

    def processes(self) -> list[int]:
        # Opened again each time: version 1 shows an open file the list of its first reading.
        return [int(line) for line in (self.folder / "cgroup.procs").read_text().split()]

    def too_many_tasks(self) -> bool:
        # Before it meets the limit on tasks, a fork bomb can fill the group with the kernel's own structures.
        self._crowded = self._crowded or (self.killed_by_kernel() and len(self.processes()) > PROCESS_LIMIT)
        try:
            events = (self._tasks / "pids.events").read_text()
        except FileNotFoundError:  # nothing bounds them
            return self._crowded
        return self._crowded or parse_statistics(events).get("max", 0) > 0

    def killed_by_kernel(self) -> bool:
        killed = parse_statistics(self.read(self.kills_file)).get("oom_kill", 0) > 0
        # The killer of the whole machine, or of a group above this one, may come to a run that is within its limit.
        return killed and self.reached_limit()

    def kill(self) -> None:
        with contextlib.suppress(OSError):  # none starts while they are being counted
            (self._tasks / "pids.max").write_text("0")
        deadline = time.monotonic() + 5
        while (pids := self.processes()) and time.monotonic() < deadline:
            kill_all(pids)
            time.sleep(0.002)

    def close(self) -> None:
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors.clear()
        for folder in {self.folder, self._tasks}:
            for _ in range(100):
                try:
                    folder.rmdir()
                except FileNotFoundError:  # it is removed
                    break
                except OSError:  # the last process is still being torn down
                    time.sleep(0.01)


def own_path(controller: str) -> str:
    """Return this process's group for a controller ("" for version 2), from ``/proc/self/cgroup``."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return path.lstrip("/")
    raise FileNotFoundError(f"this process has no {controller or 'version 2'} control group")


class CgroupV1(CgroupMeter):
    """Control groups, version 1."""

    usage_file = "memory.usage_in_bytes"
    limit_file = "memory.limit_in_bytes"
    kills_file = "memory.oom_control"
    counted = ("total_rss", "total_shmem", "total_swap")

    @classmethod
    def parent(cls) -> Path:
        return Path("/sys/fs/cgroup/memory") / own_path("memory")

    def limit_swap(self, limit: int) -> None:
        with contextlib.suppress(OSError):  # without swap accounting the file is not there
            self.write("memory.memsw.limit_in_bytes", limit)

    def limit_tasks(self) -> Path:
        try:
            folder = Path("/sys/fs/cgroup/pids") / own_path("pids") / self.folder.name
            folder.mkdir()
            (folder / "pids.max").write_text(str(TASK_LIMIT))
        except OSError:
            return self.folder
        return folder

    def reached_limit(self) -> bool:
        counters = [self.folder / name for name in ("memory.failcnt", "memory.memsw.failcnt")]
        # The kernel's own memory raises none of them.
        return self._highest > NEAR_LIMIT * self._limit or any(
            int(counter.read_text()) for counter in counters if counter.exists()
        )

    def window_peak(self) -> int:
        peak = int(self.read("memory.max_usage_in_bytes"))
        with contextlib.suppress(OSError):
            self.write("memory.max_usage_in_bytes", 0)
        return peak

    def kernel(self, statistics: dict[str, int]) -> int:
        try:
            return int(self.read("memory.kmem.usage_in_bytes"))
        except FileNotFoundError:  # a kernel that does not charge it
            return 0


class CgroupV2(CgroupMeter):
    """Control groups, version 2."""

    usage_file = "memory.current"
    limit_file = "memory.max"
    kills_file = "memory.events"
    counted = ("anon", "shmem")

    @classmethod
    def parent(cls) -> Path:
        root = Path("/sys/fs/cgroup")
        if not (root / "cgroup.controllers").exists():
            raise FileNotFoundError("control groups version 2 are not mounted at /sys/fs/cgroup")
        own = root / own_path("")
        # A group with processes in it cannot give its controllers to groups below, so runs go beside this process.
        for folder in (own, own.parent):
            if "memory" in (folder / "cgroup.subtree_control").read_text().split() and os.access(folder, os.W_OK):
                return folder
        raise PermissionError(f"{own} does not hand its memory controller down")

    def limit_swap(self, limit: int) -> None:
        with contextlib.suppress(OSError):
            self.write("memory.swap.max", 0)

    def limit_tasks(self) -> Path:
        with contextlib.suppress(OSError):
            self.write("pids.max", TASK_LIMIT)
        return self.folder

    def reached_limit(self) -> bool:
        return parse_statistics(self.read("memory.events")).get("oom", 0) > 0

    def cpu_seconds(self) -> float:
        return parse_statistics(self.read("cpu.stat"))["usage_usec"] / 1e6

    def window_peak(self) -> int:
        # Since Linux 6.12 a write to an open memory.peak resets it for that descriptor alone; before, it cannot be
        # reset, and only the samples count.
        try:
            peak = int(self.read("memory.peak", os.O_RDWR))
            os.write(self._descriptors["memory.peak"], b"reset")
        except OSError:
            return 0
        return peak

    def kernel(self, statistics: dict[str, int]) -> int:
        own = statistics.get("kernel", 0) + statistics.get("sock", 0)
        return max(0, own - statistics.get("slab_reclaimable", 0) - statistics.get("pagetables", 0))

    def other_swap(self) -> int:
        try:
            return int(self.read("memory.swap.current"))
        except FileNotFoundError:
            return 0


def remove_leftovers() -> int:
    """Remove the groups that killed processes have left, with all that runs in them; return how many there were."""
    folders: list[Path] = []
    for kind in (CgroupV1, CgroupV2):
        with contextlib.suppress(OSError):
            folders += kind.parent().glob("course-*")
    with contextlib.suppress(OSError):
        folders += (Path("/sys/fs/cgroup/pids") / own_path("pids")).glob("course-*")
    count = 0
    for folder in folders:
        owner = folder.name.split("-")[1]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            for _ in range(100):
                try:
                    kill_all([int(line) for line in (folder / "cgroup.procs").read_text().split()])
                    folder.rmdir()
                    count += 1
                    break
                except OSError:  # the last process is still being torn down
                    time.sleep(0.01)
    return count
