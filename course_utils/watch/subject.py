"""The kernel as its recorder sees it: its memory, its cells, its answers. All that it says is taken without trust."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

from course_utils import recordings
from course_utils.memory import ProcfsMeter, procfs
from course_utils.postmortem import End, Sighting, Stack, Where
from course_utils.sandbox.inquiry import Inquiry
from course_utils.sandbox.listener import Listener
from course_utils.sandbox.mailbox import Mailbox
from course_utils.sandbox.snapshot import ANSWERED, DUMPED, LONGEST_NAME

SHARING_PAUSE, SHARING_SHARE = 0.5, 100  # seconds, and times its cost, between two looks at what processes share
AGAIN_PAUSE = 0.25  # seconds between two questions about memory that is not more than ever


class KernelMeter(ProcfsMeter):
    """Reads the kernel's process tree, but no sandbox that it has started: these have limits, and sessions, of their
    own."""

    def __init__(self, pid: int) -> None:
        super().__init__(0.0)
        self.attach(pid)
        self._shared_again_at = self._baseline = 0.0
        self._baseline = self.baseline_mib = self.sample().now_mib

    def members(self) -> list[int]:
        session = procfs.status_fields(self._root)[3:4]
        return [pid for pid in procfs.tree([self._root]) if procfs.status_fields(pid)[3:4] == session]

    def _counted_twice(self, sizes: dict[int, float], total: float) -> float | None:
        """The same, but seldom: to read what large processes share costs them time."""
        began = time.monotonic()
        if len(sizes) > 1 and began < self._shared_again_at:
            return self._sharing[1] if self._sharing[0] == set(sizes) else None
        found = super()._counted_twice(sizes, total)
        self._shared_again_at = began + max(SHARING_PAUSE, SHARING_SHARE * (time.monotonic() - began))
        return found


class KernelMailbox(Mailbox):
    """Knows the cells that have run so far. What the kernel calls a file is named after its cell."""

    def __init__(self) -> None:
        super().__init__((), Listener())
        self._files: dict[str, tuple[str, int]] = {}

    def add(self, cell: str, files: dict[str, int], source: str) -> None:
        """Note a cell: the files that hold its code, and how many lines of the cell stand before the first of each."""
        self._sources[cell] = source.split("\n")
        for file, before in files.items():
            self._files[file] = self._files[file[-LONGEST_NAME:]] = (cell, before)

    def end(self, said: dict[str, Any]) -> End:
        """Read how a cell ended, by its own account."""
        return self._end(said)

    def _place(self, frame: Any) -> Where | None:
        if isinstance(frame, list | tuple) and len(frame) >= 3 and isinstance(frame[0], str):
            cell, before = self._files.get(frame[0], ("", 0))
            frame = [cell, frame[1] + before if isinstance(frame[1], int) else 0, frame[2]]
        return super()._place(frame)


class KernelInquiry(Inquiry):
    """Writes down each sighting, and adds up how much came at which line of this cell."""

    recording: recordings.Recorder
    grown: Counter[str] = Counter()
    _last = Sighting(0.0, 0.0)
    _highest_mib, _answered_at = 0.0, -1.0

    def turn(self, seconds: float, mib: float, begins: bool) -> None:
        """Note the memory at the beginning or the end of a cell, where there is no line to ask for."""
        self._seen_mib, self._asked = mib, None
        self._note(Sighting(seconds, mib, () if begins else self._last.stack))
        self.grown = Counter() if begins else self.grown

    def ask(self, near_cap: bool) -> None:
        # The answer costs the cell time, and memory that comes and goes at each step of a training has one story.
        new = self._seen_mib > self._highest_mib
        if not new and self._asked_at - self._answered_at < AGAIN_PAUSE:
            return
        self._highest_mib, self._answered_at = max(self._seen_mib, self._highest_mib), self._asked_at
        # Code in the notebook may have taken its handlers away, and then a signal would kill it.
        if _handles(self.pid, ANSWERED) and _handles(self.pid, DUMPED):
            super().ask(near_cap)

    def _stack(self) -> Stack:
        # Another thread answers where the first has no turn; then the cell is where it was.
        stack = super()._stack()
        return stack if any(frame.where for frame in stack) else self._last.stack

    def _note(self, sighting: Sighting) -> None:
        if where := next((frame.where for frame in sighting.stack if frame.where), None):
            self.grown[str(where)] += sighting.mib - self._last.mib
        stack = None if sighting.stack == self._last.stack else sighting.stack
        self.recording.write(recordings.Sighting(seconds=sighting.seconds, mib=round(sighting.mib, 1), stack=stack))
        self._last, self.sightings = sighting, [sighting]


def _handles(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal."""
    try:
        lines = Path(f"/proc/{pid}/status").read_bytes().split(b"\n")
        return bool(next(int(line[7:], 16) for line in lines if line.startswith(b"SigCgt:")) >> (number - 1) & 1)
    except (OSError, StopIteration):
        return False
