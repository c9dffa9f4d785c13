"""A run in a terminal: what it writes, as it comes, and below it a line that says how it goes."""

from __future__ import annotations

import contextlib
import queue
import shutil
import sys
import threading

from course_utils.postmortem import Sighting
from course_utils.postmortem.evidence import innermost
from course_utils.recordings import Recorder
from course_utils.sandbox import Listener
from course_utils.units import mib, seconds

MOST_WAITING = 1000  # pieces of at most 64 KiB
ERASE = "\r\x1b[K"


class Terminal:
    """Writes from a thread of its own: a terminal or a pipe that waits must not hold up the watch over the memory."""

    def __init__(self, budget_mib: float, recorder: Recorder | None = None) -> None:
        """``recorder`` is told what the terminal is told."""
        self.budget_mib, self.recorder = budget_mib, recorder
        self.listener = Listener(self._put, whole_output=True, sample=self._sample, sighting=self._sighting)
        self._is_seen = sys.stderr.isatty()
        self._place, self._drawn, self._within_line = "", False, False
        self._waiting: queue.Queue[tuple[str, str] | None] = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._keep_writing, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Wait until all is written, and take the status line away."""
        self._waiting.put(("status", ""))
        self._waiting.put(None)
        self._thread.join()

    def _put(self, stream: str, text: str) -> None:
        with contextlib.suppress(queue.Full):  # nobody reads: left out, so that memory stays bounded
            self._waiting.put_nowait((stream, text))

    def _sighting(self, seen: Sighting) -> None:
        if self.recorder:
            self.recorder.sighting(seen)
        where = innermost(seen.stack)
        self._place = f", {where.cell}, line {where.line}" if where else self._place

    def _sample(self, elapsed: float, amount: float) -> None:
        if self.recorder:
            self.recorder.sample(elapsed, amount)
        if self._is_seen:
            self._put("status", f"{mib(amount)} of {mib(self.budget_mib)}, {seconds(elapsed)}{self._place}")

    def _keep_writing(self) -> None:
        while piece := self._waiting.get():
            stream, text = piece
            target = sys.stdout if stream == "stdout" else sys.stderr
            with contextlib.suppress(OSError, ValueError):  # the reader has gone, as `head` does
                if self._drawn and target.isatty():
                    sys.stderr.write(ERASE)
                    self._drawn = False
                if stream != "status":
                    target.write(text)
                    self._within_line = not text.endswith("\n") if target.isatty() else self._within_line
                elif text and not self._within_line:  # a progress bar is not written over
                    sys.stderr.write(text[: shutil.get_terminal_size().columns - 1])
                    self._drawn = True
                sys.stderr.flush()
                target.flush()
