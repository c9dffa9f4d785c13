"""Which processors a run may use: the owner assigns them, so that no two runs share while others are free.

A run cannot choose for itself: it does not see the others. Every run gets Colab's two, since thread pools and their
memory depend on the number of processors.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import threading
from collections import Counter
from collections.abc import Iterator, Sequence

from course_utils import units
from course_utils.memory.machine import left
from course_utils.sandbox.claims import claim

PROCESSORS = 2
_runs: Counter[tuple[int, ...]] = Counter()
_changed = threading.Condition()
_alone = False


@contextlib.contextmanager
def assigned(available: Sequence[int] | None = None, *, alone: bool = False) -> Iterator[list[int]]:
    """Assign two processors of those ``available`` (default: all that this process may use) until the end of the block.

    Two runs share a pair only where no pair is free, and then as few runs a pair as possible. Other owners on this
    machine are taken into account. ``alone`` waits until no other run of this process goes on, and lets none begin.
    """
    global _alone
    numbers = sorted(os.sched_getaffinity(0) if available is None else available)
    whole = len(numbers) - len(numbers) % PROCESSORS
    pairs = [tuple(numbers[first : first + PROCESSORS]) for first in range(0, whole, PROCESSORS)] or [tuple(numbers)]
    with _changed:
        _changed.wait_for(lambda: not _alone)
        if alone:
            _alone = True
            _changed.wait_for(lambda: not _runs.total())
        fewest = min(_runs[pair] for pair in pairs)
        least_used = [pair for pair in pairs if _runs[pair] == fewest]
        pair, claims = next(
            ((pair, claims) for pair in least_used if (claims := _claim_all(pair))), (random.choice(least_used), [])
        )
        _runs[pair] += 1
    try:
        yield list(pair)
    finally:
        with _changed:
            _runs[pair] -= 1
            _alone = _alone and not alone
            _changed.notify_all()
        for held in claims:
            held.close()


def room(jobs: int, need_mib: float) -> tuple[int, str]:
    """How many of ``jobs`` runs this machine has room for at once, at least 1, and a sentence where that is fewer.

    Each may need ``need_mib``. Time limits count CPU seconds, so runs may share processors, up to one run for each.
    With 0 jobs, as many run as share none.
    """
    processors, free = len(os.sched_getaffinity(0)), left().mib
    by_memory = int(free // need_mib)
    most = max(1, min(by_memory, processors if jobs else processors // PROCESSORS))
    if not jobs:
        return most, ""
    if jobs <= most:
        return jobs, ""
    least = "" if by_memory else ", which is short even for one"
    return most, (
        f"Of {jobs} jobs only {most} run at once: a run may need {units.mib(need_mib)}, and {units.mib(free)} are free"
        f"{least}; it needs a processor for itself, and there are {processors}."
    )


def _claim_all(pair: tuple[int, ...]) -> list[socket.socket]:
    """Claim every processor of a pair, or none; return the claims."""
    claims = [claim(f"processor/{number}") for number in pair]
    held = [one for one in claims if one is not None]
    if len(held) == len(pair):
        return held
    for one in held:
        one.close()
    return []
