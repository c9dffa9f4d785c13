"""The owner's questions to a run: at which line is it? They are asked whenever its memory has changed.

Two signals ask. `snapshot.ANSWERED` goes to Python's own handler, which answers between two instructions, and writes
the stack into the run's state file. Inside a long C call it does not answer. Then `snapshot.DUMPED` has `faulthandler`
print the stack. That one may interrupt the interpreter anywhere: where Python 3.13 enters or leaves a function, it
follows a frame that is none, and crashes. So it is sent only where the run has been seen to be inside a C call, or is
about to be killed anyway.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from course_utils.postmortem import Sighting, Stack
from course_utils.sandbox.mailbox import Mailbox
from course_utils.sandbox.snapshot import ANSWERED, DUMPED, PADDED

PAUSE = 0.01
LOOK_PAUSE = 0.1
ANSWER_LIMIT, ANSWER_PAUSE = 0.002, 0.0002
RUNNING_LIMIT = 1_000_000  # nanoseconds of processor time after which Python's own handler would have answered
PATIENCE = 0.05  # with a run that has not answered; its growth is then charged to the stack that it had last
LEAST_MIB = 1.0
MOST_SIGHTINGS = 2000
LONGEST_DUMP = 65536
TURN = 32  # bytes at the beginning of a picture that tell it from the one before


class Inquiry:
    """Notes, for one run, its stack at each change of its memory. ``step_mib`` is the change that counts."""

    def __init__(self, pid: int, dump: int, state: int, mailbox: Mailbox, step_mib: float) -> None:
        self.pid, self.dump, self.state, self.mailbox = pid, dump, state, mailbox
        self.step_mib = max(LEAST_MIB, step_mib)
        self.may_dump = True
        self.sightings: list[Sighting] = []
        self._asked: Sighting | None = None  # a question whose answer may not be there yet
        self._asked_at, self._looked_at, self._seen_mib = -1.0, -1.0, 0.0
        self._turn = self._dumped_after = b""

    def look(self, seconds: float, mib: float, near_cap: bool) -> None:
        """Note where the run is, given its time and its memory; ask it if the memory has grown."""
        if self._asked and (self._answered() or seconds - self._asked.seconds > PATIENCE):
            self._note(self._asked._replace(stack=self._stack()))
            self._asked = None
        grown = mib - self._seen_mib
        if abs(grown) >= self.step_mib and seconds - self._asked_at >= PAUSE:
            self._asked_at, self._seen_mib = seconds, mib
            if grown > 0:
                if self._asked is None:
                    self._asked = Sighting(seconds, mib)
                self.ask(near_cap)
            else:
                self._note(Sighting(seconds, mib))
        elif seconds - self._looked_at >= LOOK_PAUSE:  # what the run writes down unasked
            self._looked_at = seconds
            stack = self._stack()
            self.mailbox.listener.sighting(Sighting(seconds, mib, stack))
            before = next((sighting.stack for sighting in reversed(self.sightings) if sighting.stack), ())
            if [frame.function for frame in stack] != [frame.function for frame in before]:
                self._note(Sighting(seconds, mib, stack))

    def ask(self, near_cap: bool) -> None:
        """Have the run write down its stack, also from within a long C call."""
        with contextlib.suppress(OSError):
            self._turn, ran = self._newest_turn(), processor_nanoseconds(self.pid)
            os.kill(self.pid, ANSWERED)
            deadline = time.monotonic() + ANSWER_LIMIT
            while not self._answered() and time.monotonic() < deadline:
                time.sleep(ANSWER_PAUSE)
            inside_call = sleeps(self.pid) or processor_nanoseconds(self.pid) - ran > RUNNING_LIMIT
            if not self._answered() and self.may_dump and (near_cap or inside_call):
                self._dumped_after = self._turn
                if os.fstat(self.dump).st_size > LONGEST_DUMP:
                    os.ftruncate(self.dump, 0)
                os.kill(self.pid, DUMPED)

    def close(self, seconds: float, mib: float) -> list[Sighting]:
        """Return all sightings; the last is the end, at the stack that the run was last seen with."""
        self._note(Sighting(seconds, mib, self._stack()))
        return self.sightings

    def _newest_turn(self) -> bytes:
        return os.pread(self.state, TURN, 0)

    def _answered(self) -> bool:
        """Whether the run has written its stack down since it was asked."""
        return self._newest_turn() != self._turn or (
            self._dumped_after == self._turn and os.fstat(self.dump).st_size > 0
        )

    def _stack(self) -> Stack:
        if self._newest_turn() != self._dumped_after:
            os.ftruncate(self.dump, 0)  # what the run wrote down since is newer
        return self.mailbox.stack(os.pread(self.dump, LONGEST_DUMP, 0), os.pread(self.state, PADDED, 0))

    def _note(self, sighting: Sighting) -> None:
        self.sightings.append(sighting)
        self.mailbox.listener.sighting(sighting)
        if len(self.sightings) > MOST_SIGHTINGS:
            del self.sightings[1:-1:2]


def processor_nanoseconds(pid: int) -> int:
    """Return how long the main thread of a process has run; 0 where this kernel does not tell."""
    try:
        return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0


def sleeps(pid: int) -> bool:
    """Whether the main thread of a process waits inside a call, for other threads or for a device."""
    try:
        # A process may have any bytes for its name.
        return Path(f"/proc/{pid}/task/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] in (b"S", b"D")
    except (OSError, IndexError):
        return False
