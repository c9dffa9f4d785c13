"""Write down, many times a second, the learner's line and the ledger of what is alive.

The owner reads it when the run is over. A run that is killed inside one long C call leaves the picture from before it.
When memory has changed, the owner asks for the line with a signal, which Python answers between two instructions. The
ledger is taken by a thread: every so often, and sooner where the run has grown. A thread that looked all the time would
get in the way of the code's own threads, and move the peak.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection
from types import FrameType
from typing import Any

from course_utils.sandbox import models, slots
from course_utils.sandbox.ledger import Ledger, private_mib

INTERVAL = 0.05
SHARE = 60  # a snapshot is taken after so many times the processor time of the one before: it costs 1.7 % at most
FIRST_INTERVAL = 0.005  # a run that dies at once leaves a picture too
GLANCE = 0.01  # between two looks at the memory alone, which takes some 10 microseconds
GROWN = 0.08  # of the cap: with so much more memory than ever before, the next ledger does not wait
# Real-time signals, which nearly no program uses: SIGUSR1 and SIGUSR2 stay the code's own.
ANSWERED, DUMPED = (getattr(signal, "SIGRTMIN", 34) + number for number in (8, 9))
LONGEST_NAME = 80
PADDED = 8192  # so that a short picture covers a long one
OUTERMOST, INNERMOST = 20, 30  # frames of a stack that are written down
PACKAGES = re.compile(r"^.{0,250}/(?:site-packages|dist-packages|python3\.\d{1,3})/")


def start(descriptor: int, names: Collection[str], cap_mib: float, goes_on: Callable[[], bool] = lambda: True) -> None:
    """Start the thread, from the main thread. ``names`` are the cells whose frames belong to the learner.

    ``goes_on`` is asked before each turn: it may wait until there is something to see, and ends the thread by False.
    """
    main_thread = threading.get_ident()
    picture: dict[str, Any] = {"turn": 0}
    models.note_all()
    ledger = Ledger(names)

    def write_down() -> None:
        with contextlib.suppress(Exception):  # a full disk, or an odd object, costs the picture and not the run
            picture.update(take(sys._current_frames().get(main_thread), names))
            picture["turn"] += 1  # it comes first, and tells the owner that this is a new picture
            os.pwrite(descriptor, json.dumps(picture).encode().ljust(PADDED), 0)

    def write_ledger(turn: int) -> None:
        with contextlib.suppress(Exception):
            frames = sys._current_frames()
            del frames[threading.get_ident()]
            # The other threads are workers, or a generator that TensorFlow calls.
            start, packed = slots.pack(turn, ledger.take([frames.pop(main_thread), *frames.values()]))
            os.pwrite(descriptor, packed, start)

    def keep_writing() -> None:
        # Of a process whose main thread has a signal waiting, any other may be picked to print its stack.
        signal.pthread_sigmask(signal.SIG_BLOCK, {DUMPED})
        started = time.monotonic()
        turn, cost, highest = 0, 0.0, private_mib()
        while goes_on():
            models.note_all()
            taken = time.monotonic()
            pause = FIRST_INTERVAL if taken - started <= INTERVAL else max(INTERVAL, SHARE * cost)
            while time.monotonic() - taken < pause and private_mib() < highest + GROWN * cap_mib:
                time.sleep(min(GLANCE, pause))
            before = time.thread_time()
            highest = max(highest, private_mib())
            write_down()
            turn += 1
            write_ledger(turn)
            cost = time.thread_time() - before

    signal.signal(ANSWERED, lambda number, frame: write_down())
    signal.siginterrupt(ANSWERED, False)  # a system call of a library goes on, as after the other signal
    threading.Thread(target=keep_writing, daemon=True, name="snapshot").start()


def take(frame: FrameType | None, names: Collection[str]) -> dict[str, Any]:
    """Return the stack and the learner's line."""
    where, at = None, frame
    while at is not None and where is None:
        if at.f_code.co_filename in names:
            where = [at.f_code.co_filename, at.f_lineno, at.f_code.co_name]
        at = at.f_back
    return {"where": where, "stack": stack_of(frame, names)}


def stack_of(frame: FrameType | None, names: Collection[str]) -> list[list[Any]]:
    """Return ``[file, line, function]`` of a frame and of those that called it, the innermost first.

    What called the learner's outermost function, such as a notebook's kernel, is left out.
    """
    found: list[list[Any]] = []
    outermost = None
    while frame is not None:
        code = frame.f_code
        own = code.co_filename in names
        if own or "/sandbox/" not in code.co_filename:  # not this package's own
            found.append([PACKAGES.sub("", code.co_filename)[-LONGEST_NAME:], frame.f_lineno or 1, code.co_name[:40]])
        outermost = len(found) if own else outermost
        frame = frame.f_back
    found = found[:outermost]
    return found if len(found) <= OUTERMOST + INNERMOST else found[:INNERMOST] + found[-OUTERMOST:]
