"""Run a piece of code in a sandbox: the order, the watch over it, and the post-mortem, in a line."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from course_utils import memory
from course_utils.files import scratch
from course_utils.postmortem import Outcome, conclude
from course_utils.sandbox import processors
from course_utils.sandbox.isolation import resolve
from course_utils.sandbox.launch import ZygoteLost
from course_utils.sandbox.listener import Listener
from course_utils.sandbox.order import Order
from course_utils.sandbox.watch import watch

GRADED_DISK_MIB = 2048.0

Cells = str | Sequence[tuple[str, str]]


def run(
    code: Cells,
    *,
    budget_mib: float,
    cap_mib: float | None = None,
    time_limit: float = 60,
    cpu_limit: float | None = None,
    isolation: str = "process",
    gpu_budget_mib: float | None = None,
    disk_mib: float | None = None,
    epilogue: str = "",
    readable: Sequence[Path] = (),
    directory: Path | None = None,
    method: str | None = None,
    before: Sequence[tuple[str, str]] = (),
    alone: bool = False,
    listener: Listener = Listener(),  # noqa: B008
) -> Outcome:
    """Run ``code`` in a sandbox and return its `Outcome`; whatever the code does, this returns.

    ``code`` is a source text, or ``(cell name, source)`` pairs that run in one namespace in their order. The run is
    killed when it needs more than ``cap_mib`` (default: ``budget_mib``) above its baseline, more than ``time_limit``
    seconds by the clock, more than ``cpu_limit`` CPU seconds, all its processes together, or more than ``disk_mib`` of
    the disk, by default `GRADED_DISK_MIB` at the levels at which strangers' code runs. ``epilogue`` runs after it in
    the same namespace and is never shown as the learner's. ``readable`` folders are visible inside. ``directory`` is
    the working directory, by default a temporary one that is removed afterwards. ``method`` is one of
    `memory.METHODS`, or ``cgroup``: any of the first two. The cells ``before`` run first, in the same namespace; their
    memory counts, and what they print, draw and report is not shown. ``listener`` is told while it runs. ``alone``
    waits for this process's other runs to end, and makes new ones wait.

    Raises `IsolationUnavailable`, `course_utils.memory.MeterUnavailable` and ValueError, with a sentence, before
    anything runs. A KeyboardInterrupt ends the run and is raised again.
    """
    cells = [("cell", code)] if isinstance(code, str) else list(code)
    level = resolve(isolation)
    with contextlib.ExitStack() as cleanup:
        folder = directory or cleanup.enter_context(scratch("sandbox-"))
        order = Order(
            cells=(*before, *cells),
            directory=str(Path(folder).resolve()),
            budget_mib=budget_mib,
            cap_mib=cap_mib or budget_mib,
            time_limit=time_limit,
            cpu_limit=cpu_limit,
            isolation=level,
            method=memory.choose(method or "auto"),
            quiet=len(before),
            epilogue=epilogue,
            readable=tuple(str(Path(path).resolve()) for path in readable),
            gpu_budget_mib=gpu_budget_mib,
            disk_mib=GRADED_DISK_MIB if disk_mib is None and level != "process" else disk_mib,
            processors=tuple(cleanup.enter_context(processors.assigned(alone=alone))),
        )
        try:
            evidence = watch(order, listener)
        except ZygoteLost:  # it died since its last run, and this one has not begun
            evidence = watch(order, listener)
    return conclude(*evidence)
