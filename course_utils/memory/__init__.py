"""How memory is read: the kernel's cgroup counters where they are writable, else the process tree in ``/proc``.

What counts is anonymous + shared memory + swap of a whole process tree: what the kernel cannot take back. Page cache
and mapped files do not count. Every method answers the same small interface, `Meter`.
"""

from __future__ import annotations

from course_utils.memory.cgroup import CgroupMeter, CgroupV1, CgroupV2
from course_utils.memory.meter import MIB, Meter, MeterUnavailable, Sample
from course_utils.memory.procfs import ProcfsMeter, anonymous_mib, processor_seconds

METHODS: dict[str, type[Meter]] = {"cgroup v2": CgroupV2, "cgroup v1": CgroupV1, "procfs": ProcfsMeter}

__all__ = [
    "METHODS",
    "MIB",
    "CgroupMeter",
    "Meter",
    "MeterUnavailable",
    "Sample",
    "anonymous_mib",
    "choose",
    "describe",
    "open_meter",
    "processor_seconds",
]

_chosen: str | None = None


def choose() -> str:
    """Return the name of the best method that this host allows, tried for real once per process."""
    global _chosen
    if _chosen is None:
        _chosen = next(row["method"] for row in describe() if row["available"])
    return _chosen


def open_meter(method: str | None, cap_mib: float) -> Meter:
    """Return a new meter that watches one run and, where the kernel can, limits it to ``cap_mib``.

    Raises `MeterUnavailable` with a sentence if ``method`` was asked for by name and this host does not allow it.
    """
    name = method or choose()
    if name not in METHODS:
        raise MeterUnavailable(f"There is no memory method {name!r}; choose one of: {', '.join(METHODS)}.")
    return METHODS[name](cap_mib)


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
