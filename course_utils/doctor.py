"""What a machine holds for runs: memory, limits, GPU, isolation, versions. Asked by the command and in a notebook."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import psutil

from course_utils import memory, sandbox
from course_utils.grading.record import versions
from course_utils.memory import MIB, gpu, machine
from course_utils.units import mib


def examine() -> dict[str, Any]:
    """Return what was found, as `course-utils doctor --json` prints it. Imports no TensorFlow."""
    why, left = memory.GpuMeter.probe(), machine.left()
    gpus, holders = ([], {}) if why else (gpu.devices(), _holders())
    return {
        "isolation": sandbox.strongest(),
        "isolation_levels": [{"level": level, "why_not": sandbox.unavailable(level)} for level in sandbox.LEVELS],
        "method": memory.choose(),
        "methods": memory.describe(),
        "gpu": {
            "available": not why,
            "why": why,
            "counts": memory.GpuMeter.counts,
            "cannot_see": memory.GpuMeter.cannot_see,
            "devices": gpus,
            "held_mib": holders,
        },
        "cpus": len(os.sched_getaffinity(0)),
        "memory_mib": psutil.virtual_memory().total // MIB,
        "swap_mib": psutil.swap_memory().total // MIB,
        "swap_free_mib": psutil.swap_memory().free // MIB,
        "left_mib": round(left.mib),
        "left_of": left.of,
        "container_limit_mib": left.limit_mib,
        "versions": versions(),
    }


def _holders() -> dict[str, float]:
    """Who holds how much of the GPUs, by number and name."""
    held = {}
    with contextlib.suppress(memory.MeterUnavailable):
        for pid, amount in gpu.held_mib().items():
            name = psutil.Process(pid).name() if psutil.pid_exists(pid) else "out of sight"
            held[f"process {pid} ({name})"] = amount
    return held


def sentences(found: dict[str, Any]) -> list[str]:
    """Return the same for a person, line by line."""
    lines = [f"Isolation: {found['isolation']} is the strongest that this machine holds."]
    lines += [
        f"  {row['level']:<8} {'no: ' + row['why_not'] if row['why_not'] else 'yes'}"
        for row in found["isolation_levels"]
    ]
    lines.append(f"Memory is read by: {found['method']}.")
    for row in found["methods"]:
        lines.append(f"  {row['method']:<10} {'yes' if row['available'] else 'no: ' + row['why']}")
        if row["available"]:
            lines.append(f"             counts {row['counts']}")
            lines.append(f"             cannot see: {row['cannot_see'] or 'nothing that we know of'}")
    if found["method"] == "procfs":
        lines.append(f"  To get control groups: {memory.GET_CGROUP}")
    there = found["gpu"]
    lines.append(f"GPU memory is {'read by: NVML' if there['available'] else 'not read: ' + there['why']}.")
    if there["available"]:
        lines.append(f"             counts {there['counts']}")
        lines.append(f"             cannot see: {there['cannot_see']}")
    for one in there["devices"]:
        lines.append(f"  {one['name']}: {mib(one['used_mib'])} of {mib(one['memory_mib'])} in use")
    lines += [f"  {who} holds {mib(amount)}" for who, amount in there["held_mib"].items()]
    swap = f"{mib(found['swap_mib'])} of swap, {mib(found['swap_free_mib'])} of it free"
    lines.append(f"Machine: {found['cpus']} CPUs, {mib(found['memory_mib'])} of memory, {swap}.")
    limit = "none" if found["container_limit_mib"] is None else mib(found["container_limit_mib"])
    lines.append(f"Limit of the container: {limit}. Left of this {found['left_of']}: {mib(found['left_mib'])}.")
    return [*lines, "Versions: " + ", ".join(f"{name} {version}" for name, version in found["versions"].items())]
