"""The kernel as its recorder sees it: its memory, its answers, its cells. All that it says is taken without trust."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from course_utils import memory, recordings
from course_utils.memory import procfs
from course_utils.memory.gpu import held_mib
from course_utils.postmortem import End, Sighting, Stack, Where
from course_utils.sandbox.inquiry import Inquiry
from course_utils.sandbox.listener import Listener
from course_utils.sandbox.mailbox import Mailbox
from course_utils.sandbox.snapshot import ANSWERED, DUMPED, LONGEST_NAME

SHARING_PAUSE, SHARING_SHARE = 0.5, 100  # seconds, and times its cost, between two looks at what processes share


class KernelMeter(memory.ProcfsMeter):
    """Reads the kernel's process tree, without the sandboxes that it has started: they have limits of their own."""

    def __init__(self, pid: int) -> None:
        super().__init__(0.0)
        self._shared_again_at = 0.0
        self.device_mib: float | None = None
        """What the tree holds on GPUs by the driver's count; None where that is not known."""
        self.attach(pid)
        self._reaper, self._baseline = 0, 0.0
        self._baseline = self.baseline_mib = self.sample().now_mib

    def members(self) -> list[int]:
        found = procfs.tree([self._root])
        zygotes = [pid for pid in procfs.children(self._root) if _is_zygote(pid)]
        sandboxes = procfs.tree(zygotes)
        return [pid for pid in found if pid not in sandboxes]

    def _counted_twice(self, sizes: dict[int, float], total: float) -> float | None:
        """The same, but seldom: to read what large processes share costs them time."""
        began = time.monotonic()
        if len(sizes) > 1 and began < self._shared_again_at:
            return self._sharing[1] if self._sharing[0] == set(sizes) else None
        found = super()._counted_twice(sizes, total)
        ended = time.monotonic()
        self._shared_again_at = ended + max(SHARING_PAUSE, SHARING_SHARE * (ended - began))
        return found

    def read_device(self) -> None:
        """Ask the driver what the tree holds on GPUs. In a container it may have other numbers for processes."""
        with contextlib.suppress(memory.MeterUnavailable):
            held = held_mib()
            self.device_mib = sum(held.get(pid, 0.0) for pid in self._pids) or None


def _is_zygote(pid: int) -> bool:
    try:
        return b"course_utils.sandbox.zygote" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


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
    """Writes down each sighting, and how much came at which line since `grown` was cleared."""

    def __init__(
        self, pid: int, dump: int, state: int, mailbox: Mailbox, step_mib: float, recording: recordings.Recorder
    ) -> None:
        super().__init__(pid, dump, state, mailbox, step_mib)
        self.recording = recording
        self.grown: Counter[str] = Counter()
        self._last, self._now = Sighting(0.0, 0.0), 0.0

    def look(self, seconds: float, mib: float, near_cap: bool) -> None:
        self._now = seconds
        super().look(seconds, mib, near_cap)

    def ask(self, near_cap: bool) -> None:
        # Code in the notebook may have taken its handlers away, and then a signal would kill it.
        if _handles(self.pid, (ANSWERED, DUMPED)):
            super().ask(near_cap)

    def turn(self, seconds: float, mib: float, begins: bool) -> None:
        """Note the memory at the beginning or the end of a cell, where there is no line to ask for."""
        self._now, self._seen_mib, self._asked = seconds, mib, None
        self._note(Sighting(seconds, mib, () if begins else self._last.stack))
        if begins:
            self.grown.clear()

    def _stack(self) -> Stack:
        # Another thread answers where the first has no turn; then the cell is where it was.
        stack = super()._stack()
        return stack if any(frame.where for frame in stack) else self._last.stack

    def _note(self, sighting: Sighting) -> None:
        where = next((frame.where for frame in sighting.stack if frame.where), None)
        if where:
            self.grown[str(where)] += sighting.mib - self._last.mib
        same = sighting.stack == self._last.stack
        line = recordings.Sighting(
            seconds=round(self._now, 3), mib=round(sighting.mib, 1), stack=None if same else sighting.stack
        )
        self.recording.write(line)
        self._last = sighting
        self.sightings = [sighting] if sighting.stack else self.sightings


def _handles(pid: int, signals: Sequence[int]) -> bool:
    """Whether a process has handlers for these signals."""
    try:
        lines = Path(f"/proc/{pid}/status").read_bytes().split(b"\n")
    except OSError:
        return False
    caught = next((int(line.split()[1], 16) for line in lines if line.startswith(b"SigCgt:")), 0)
    return all(caught >> (number - 1) & 1 for number in signals)
