"""How memory is read: the kernel's cgroup counters where they are writable, else the process tree in ``/proc``.

What counts is anonymous + shared memory + swap of a whole process tree: what the kernel cannot take back. Page cache
and mapped files do not count. A GPU has a memory of its own, which the driver counts. Every method answers the same
small interface, `Meter`.
"""

from __future__ import annotations

import functools

from course_utils.memory.cgroup import CgroupV1, CgroupV2, remove_leftovers
from course_utils.memory.gpu import GpuMeter
from course_utils.memory.meter import MIB, Meter, MeterUnavailable, Sample, kill_all
from course_utils.memory.procfs import ProcfsMeter, anonymous_mib, processor_seconds, waited_seconds

METHODS: dict[str, type[Meter]] = {"cgroup v2": CgroupV2, "cgroup v1": CgroupV1, "procfs": ProcfsMeter}

__all__ = [
    "GET_CGROUP",
    "METHODS",
    "MIB",
    "GpuMeter",
    "Meter",
    "MeterUnavailable",
    "Sample",
    "anonymous_mib",
    "choose",
    "describe",
    "kill_all",
    "open_meter",
    "processor_seconds",
    "remove_leftovers",
    "waited_seconds",
]


GET_CGROUP = (
    "systemd-run --user --scope -p Delegate=yes course-utils grade ... (as root without --user; in a container, start "
    "it with a writable /sys/fs/cgroup)"
)
"""The line that gets control groups where a host has them and does not hand them to this user."""


def choose(asked: str = "auto") -> str:
    """Return the name of a method: the best that this host allows for ``auto`` and ``cgroup``, else ``asked`` itself.

    Raises `MeterUnavailable`, with a sentence that says how to get one, where ``cgroup`` is asked for and there is
    none.
    """
    if asked not in ("auto", "cgroup"):
        return asked
    best = _best()
    if asked == "cgroup" and best == "procfs":
        why = "; ".join(f"{row['method']}: {row['why']}" for row in describe() if row["why"])
        raise MeterUnavailable(f"There is no control group for a run here ({why}). To get one: {GET_CGROUP}.")
    return best


@functools.cache
def _best() -> str:
    return next(row["method"] for row in describe() if row["available"])


def open_meter(method: str, cap_mib: float) -> Meter:
    """Return a new meter that watches one run and, where the kernel can, limits it to ``cap_mib``.

    Raises `MeterUnavailable` with a sentence if there is no such method, or this host does not allow it.
    """
    if method not in METHODS:
        raise MeterUnavailable(f"There is no memory method {method!r}; choose one of: {', '.join(METHODS)}.")
    return METHODS[method](cap_mib)


def describe() -> list[dict]:
    """Return one row for each method: ``method, available, why, counts, interval_ms, cannot_see``."""
    rows = []
    for name, meter_class in METHODS.items():
        why = meter_class.probe()
        rows.append(
            {
                "method": name,
                "available": why == "",
                "why": why,
                "counts": meter_class.counts,
                "interval_ms": meter_class.interval * 1000,
                "cannot_see": meter_class.cannot_see,
            }
        )
    return rows
