"""What is left of the memory of this machine or container, and how often the kernel has killed for want of it.

Files and their meaning: https://docs.kernel.org/filesystems/proc.html and https://docs.kernel.org/admin-guide/cgroup-v2.html
"""

from __future__ import annotations

import contextlib
import functools
import os
from pathlib import Path
from typing import NamedTuple

from course_utils.memory.cgroup import own_path, parse_statistics
from course_utils.memory.meter import MIB

V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
# Of each version: the limit, the usage, and what of it the kernel can take back.
FILES = {
    "v1": ("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file", "total_active_file")),
    "v2": ("memory.max", "memory.current", ("inactive_file", "active_file", "slab_reclaimable")),
}


class Left(NamedTuple):
    """Memory that can still be had, in MiB, and of what: "container" or "machine"."""

    mib: float
    of: str
    limit_mib: float | None = None
    """The lowest limit of the container, None without one, whether or not it is what is short."""


@functools.cache
def groups() -> list[tuple[str, Path]]:
    """Return this process's memory groups that are in sight, its own first, and the version of each; found once."""
    for version, root, controller in (("v1", V1, "memory"), ("v2", V2, "")):
        with contextlib.suppress(OSError):
            own = root / own_path(controller)
            # A container may know its group by the host's name for it, which is not in sight.
            found = [folder for folder in (own, *own.parents) if folder.is_relative_to(root)]
            usable = [(version, folder) for folder in found if (folder / FILES[version][1]).exists()]
            if usable:
                return usable
    return []


def left() -> Left:
    """Return how much memory is left: of the machine, or of the tightest limit on this process's control groups."""
    found = [Left(available_mib(), "machine")]
    for version, folder in groups():
        limit_file, usage_file, reclaimable = FILES[version]
        with contextlib.suppress(OSError, ValueError):  # "max" is no number: no limit
            limit = int((folder / limit_file).read_text())
            if limit > 2**60:  # version 1 has no word for no limit
                continue
            statistics = parse_statistics((folder / "memory.stat").read_text())
            used = int((folder / usage_file).read_text()) - sum(statistics.get(name, 0) for name in reclaimable)
            found.append(Left(max(0.0, (limit - used) / MIB), "container", limit / MIB))
    return min(found)._replace(limit_mib=min((one.limit_mib for one in found[1:]), default=None))


def available_mib() -> float:
    """Return what the machine can give without swapping, in MiB."""
    with open("/proc/meminfo") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("MemAvailable:"))


def kills() -> int | None:
    """Return how many processes of this control group the kernel has killed for memory; None where it does not tell.

    Colab names the file in ``CGROUP_MEMORY_EVENTS``. Runs in groups below this one do not count where that is known.
    """
    named = os.environ.get("CGROUP_MEMORY_EVENTS")
    folder = next((folder for _, folder in groups()), None)
    files = ("memory.events.local", "memory.events", "memory.oom_control")
    for path in [*([Path(named)] if named else []), *(folder / name for name in files if folder)]:
        with contextlib.suppress(OSError, ValueError, KeyError):
            return parse_statistics(path.read_text())["oom_kill"]
    return None


def kills_anywhere() -> int:
    """Return how many processes the kernel has killed for memory on the whole machine; 0 where it does not tell."""
    with contextlib.suppress(OSError):
        return parse_statistics(Path("/proc/vmstat").read_text()).get("oom_kill", 0)
    return 0
