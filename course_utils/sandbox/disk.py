"""What a run holds of the disk and how many processes it has, looked at from outside a few times a second.

Neither a quota nor a mount of a run's own is to be had everywhere. So the owner walks the run's folders, and asks for
each of its processes which deleted files it still holds open or mapped. A run that is faster than a look is stopped at
the next one; the size of each file is limited by the kernel. Memory that a run keeps in a file, mapped for writing and
shared, is none that the kernel cannot take back, so it does not count as memory; but it has a limit of its own.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Sequence

from course_utils.memory import MIB, Meter
from course_utils.memory.held import BLOCK, held, memory_folders, nameless_device
from course_utils.postmortem import Measurement
from course_utils.sandbox.sampler import Follower

PAUSE = 0.2
SHARE = 0.1  # of the time, at most, is spent on looking
MOST_FILES = 20_000
LEAST_MAPPED_MIB = 256.0  # that a graded run may map, however small its budget


class DiskWatch(Follower):
    """Looks at files and processes."""

    def __init__(self, measured: Measurement, meter: Meter, pid: int, folders: Sequence[str]) -> None:
        super().__init__(measured, meter)
        self.folders, self._cost = folders, 0.0
        self._in_memory = {*memory_folders(pid), nameless_device()}
        self._own, self._programs = _program(pid), set[tuple[int, str]]()
        self._before_mib, self._before_files = self._in_folders()
        self._thread.start()

    def pause(self) -> float:
        return max(PAUSE, self._cost / SHARE)

    def look(self) -> str:
        began = time.monotonic()
        too_much = self._too_much()
        self._cost = time.monotonic() - began
        return "disk" if too_much else ""

    def _too_much(self) -> bool:
        """Note what the run holds now; return whether that is more than it may."""
        readings, limits = self.measured.readings, self.measured.limits
        in_folders, files = self._in_folders()
        pids = self.meter.processes()
        now = held(pids, self._in_memory)
        disk = max(0.0, in_folders - self._before_mib) + sum(now.deleted.values())
        mapped = sum(now.mapped.values())
        self._programs |= {(pid, program) for pid in pids if (program := _program(pid))}
        readings.disk_peak_mib = max(readings.disk_peak_mib, disk)
        readings.mapped_peak_mib = max(readings.mapped_peak_mib, mapped)
        readings.files = max(readings.files, files - self._before_files)
        readings.processes = max(readings.processes, len(pids))
        readings.programs = sum(program != self._own for _, program in self._programs)
        too_much = disk > (limits.disk_mib or 0.0) or readings.files > MOST_FILES
        return limits.disk_mib is not None and (too_much or mapped > max(limits.budget_mib, LEAST_MAPPED_MIB))

    def _in_folders(self) -> tuple[float, int]:
        """Return the size in MiB and the number of all files in the run's folders; a file counts once, by any name."""
        blocks, seen, waiting = 0, set(), list(self.folders)
        while waiting and len(seen) <= 2 * MOST_FILES:
            folder = waiting.pop()
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        with contextlib.suppress(FileNotFoundError):  # it has gone meanwhile, and the next has not
                            found = entry.stat(follow_symlinks=False)
                            blocks += 0 if found.st_ino in seen else found.st_blocks
                            seen.add(found.st_ino)
                            if stat.S_ISDIR(found.st_mode):
                                waiting.append(f"{folder}/{entry.name}")
            except (FileNotFoundError, NotADirectoryError):  # the run has removed it meanwhile
                continue
            except OSError:  # closed, or so deep that it has no name: nobody can say what is in it
                return blocks * BLOCK / MIB, 4 * MOST_FILES
        return blocks * BLOCK / MIB, len(seen)


def _program(pid: int) -> str:
    """Return the file that a process runs, "" if it is gone."""
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/{pid}/exe")
    return ""
