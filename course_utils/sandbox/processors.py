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

from course_utils.sandbox.claims import claim

PROCESSORS = 2
_runs: Counter[tuple[int, ...]] = Counter()
_lock = threading.Lock()


@contextlib.contextmanager
def assigned(available: Sequence[int] | None = None) -> Iterator[list[int]]:
    """Assign two processors of those ``available`` (default: all that this process may use) until the end of the block.

    Two runs share a pair only where no pair is free, and then as few runs a pair as possible. Other owners on this
    machine are taken into account.
    """
    numbers = sorted(os.sched_getaffinity(0) if available is None else available)
    whole = len(numbers) - len(numbers) % PROCESSORS
    pairs = [tuple(numbers[first : first + PROCESSORS]) for first in range(0, whole, PROCESSORS)] or [tuple(numbers)]
    with _lock:
        fewest = min(_runs[pair] for pair in pairs)
        least_used = [pair for pair in pairs if _runs[pair] == fewest]
        pair, claims = next(
            ((pair, claims) for pair in least_used if (claims := _claim_all(pair))), (random.choice(least_used), [])
        )
        _runs[pair] += 1
    try:
        yield list(pair)
    finally:
        with _lock:
            _runs[pair] -= 1
        for held in claims:
            held.close()


def _claim_all(pair: tuple[int, ...]) -> list[socket.socket]:
    """Claim every processor of a pair, or none; return the claims."""
    claims = [claim(f"processor/{number}") for number in pair]
    held = [one for one in claims if one is not None]
    if len(held) == len(pair):
        return held
    for one in held:
        one.close()
    return []
