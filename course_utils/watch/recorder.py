"""The process that records a kernel: it outlives the kernel by a moment, and says why the kernel died.

Started as ``python -m course_utils.watch.recorder PLAN``. It imports neither TensorFlow nor IPython, and leaves its
parent at once: it is no part of what it measures, and no signal to the notebook reaches it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from course_utils import memory, recordings, units
from course_utils.memory import machine, procfs
from course_utils.memory.gpu import held_mib
from course_utils.postmortem import Limits
from course_utils.sandbox.claims import claim
from course_utils.watch import folder
from course_utils.watch.subject import KernelInquiry, KernelMailbox, KernelMeter

RUNNING, CLOSE, IDLE = 0.1, 0.01, 1.0  # seconds between two looks; close where memory is new, or little is left
GROWING_MIB = 1.0
COUNTED_PAUSE = 0.5  # between two looks at counters that seldom change
CLOSING_LIMIT = 2  # from the kernel's closing of its files to its end
STEP_SHARE, LARGEST_STEP = 0.01, 16.0  # of what is left, and MiB: so much growth, and the kernel is asked for its line
LEDGER_SHARE = 0.05
WARN, ALARM = 0.8, 0.95
STATUS_PAUSE, SLOPE_SECONDS = 1.0, 3.0
SHORT_MIB, SHORT_SHARE = 256.0, 0.05  # so little left, or so little of all: memory was short
ASKED = (-signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP)
LONGEST_MESSAGE = 1 << 17
STATE_BYTES = 1 << 16


class Recorder:
    """Records one kernel. Raises OSError where no folder can be written."""

    def __init__(self, pid: int, beside: str, notebook: str, channel: int, dump: int, state: int) -> None:
        self.pid, self.notebook, self.channel = pid, notebook, socket.socket(fileno=channel)
        self.dump, self.state = dump, state
        self.path = folder.new_path(Path(beside), pid)
        self.claimed = claim(f"watch/{self.path.name}")
        self.meter, self.mailbox = KernelMeter(pid), KernelMailbox()
        self.left = self.left_before = machine.left()
        room = self.left.mib
        limits = Limits(budget_mib=room, cap_mib=room, time_limit=0.0, isolation="none", method="procfs")
        known = {"limits": limits, "interval_ms": RUNNING * 1000, "baseline_mib": self.meter.baseline_mib}
        self.recording = recordings.Recorder(
            self.path, recordings.Header(kind="watch", file=notebook or "a notebook", **known)
        )
        step_mib = min(LARGEST_STEP, STEP_SHARE * room)
        self.inquiry = KernelInquiry(pid, dump, state, self.mailbox, step_mib)
        self.inquiry.recording = self.recording
        self.cell, self.running, self.leaving, self.device_mib = "", False, "", None
        self.seconds = self.mib = self.grew_mib = self.highest_mib = self.began_mib = self.ledger_mib = 0.0
        self.looked_at = self.counted_at = self.told_at = self.told_share = 0.0
        self.slope: deque[tuple[float, float]] = deque(maxlen=400)
        self.kills = [(machine.kills() or 0, machine.kills_anywhere())] * 2

    def follow(self) -> None:
        """Watch until the kernel is gone, or the watch is to end."""
        ended, channel = os.pidfd_open(self.pid), self.channel.fileno()
        self.say({"ready": str(self.path)})
        poll = select.poll()
        for descriptor in (channel, ended):
            poll.register(descriptor, select.POLLIN)
        while True:
            close = self.share >= WARN or self.grew_mib >= GROWING_MIB
            events = dict(poll.poll(1000 * (IDLE if not self.running else CLOSE if close else RUNNING)))
            if channel in events and not self.listen():
                poll.unregister(channel)  # it ends, or becomes another program, of which nothing is known
                self.leaving = self.leaving if select.select([ended], [], [], CLOSING_LIMIT)[0] else "off"
            if self.leaving == "off" or ended in events:
                return self.end()
            self.look()

    @property
    def share(self) -> float:
        """How much is used of what was left when the cell began."""
        return 1 - self.left.mib / max(1.0, self.left_before.mib)

    def say(self, message: dict[str, Any]) -> None:
        """Tell the kernel something; one that does not listen loses it."""
        with contextlib.suppress(OSError):
            self.channel.send(json.dumps(message).encode(), socket.MSG_DONTWAIT)

    def listen(self) -> bool:
        """Take one message of the kernel; return whether there may be more."""
        try:
            message = json.loads(self.channel.recv(LONGEST_MESSAGE))
        except (OSError, ValueError):
            return False
        self.leaving = message.get("leaving", self.leaving)
        if "began" in message:
            self.look(asks=False)
            self.cell, self.running = message["began"], True
            self.mailbox.add(self.cell, message["files"], message["source"])
            self.recording.write(recordings.Cell(name=self.cell, source=message["source"]))
            self.left_before, self.began_mib, self.told_share = self.left, self.mib, 0.0
            self.slope.clear()
            self.turn("began")
        elif "ended" in message:
            self.look(asks=False)
            self.running = False
            self.turn("ended")
            if message["ended"]:
                self.explain(message["ended"])
        return True

    def turn(self, what: Literal["began", "ended", "raised"], text: str = "") -> None:
        """Note that a cell begins or ends."""
        self.inquiry.turn(self.seconds, self.mib, what == "began")
        self.recording.write(recordings.Event(seconds=self.seconds, what=what, cell=self.cell, text=text))

    def look(self, asks: bool = True) -> None:
        """Read the memory once; while a cell is running, ask for the line where it has grown, and warn."""
        now = time.monotonic()
        if self.running:  # the time between cells is not told, or the curve would show little else
            self.seconds = round(self.seconds + now - self.looked_at, 3)
        self.looked_at = now
        mib, left = self.meter.sample().now_mib, machine.left()
        if not memory.anonymous_mib(self.pid):  # it is being torn down, and its memory is gone already
            return
        self.mib, self.left = mib, left
        self.grew_mib, self.highest_mib = self.mib - self.highest_mib, max(self.mib, self.highest_mib)
        self.recording.sample(self.seconds, self.mib, self.device_mib)
        if now - self.counted_at >= COUNTED_PAUSE:
            self.count()
        if not (self.running and asks):
            return
        self.inquiry.may_dump = sys.version_info < (3, 13) or self.share >= ALARM
        self.inquiry.look(self.seconds, self.mib, False)
        self.slope.append((now, self.left.mib))
        if abs(self.mib - self.ledger_mib) > LEDGER_SHARE * (self.mib + self.left.mib):
            self.keep_ledger()
        threshold = next((one for one in (ALARM, WARN) if self.share >= one), 0.0)
        if threshold > self.told_share or (threshold and now - self.told_at >= STATUS_PAUSE):
            self.told_at, self.told_share = now, max(threshold, self.told_share)
            self.say({"status": self.status()})

    def count(self) -> None:
        """Read what seldom changes."""
        self.counted_at = time.monotonic()
        # One reading more is kept: the newest may be from between the kill and the end.
        self.kills = [self.kills[-1], (machine.kills() or 0, machine.kills_anywhere())]
        with contextlib.suppress(memory.MeterUnavailable):  # in a container, the driver may not know these numbers
            held = held_mib()
            self.device_mib = sum(held.get(pid, 0.0) for pid in self.meter.members()) or None
        folder.compact(self.path, self.recording)

    def status(self) -> str:
        """The warning: how much is used, who grows, how long it can go on."""
        share = units.percent(self.share, 0)
        found = f"Memory: {share} of what was left is used, {units.mib(self.left.mib)} are left"
        before = next(((at, mib) for at, mib in self.slope if self.looked_at - at <= SLOPE_SECONDS), (0.0, 0.0))
        if (falls := (before[1] - self.left.mib) / max(0.1, self.looked_at - before[0])) > 1:
            found += f"; full in {units.seconds(self.left.mib / falls)} at this rate"
        line = next(iter(self.inquiry.grown.most_common(1)), ("", 0.0))[0]
        if self.mib - self.began_mib < (self.left_before.mib - self.left.mib) / 2:
            return f"{found}. Most of it went to other programs, or to a sandbox."
        return f"{found}. It grows at {line}" if line else f"{found}."

    def keep_ledger(self) -> None:
        """Write down what was alive when the kernel last said so."""
        self.ledger_mib = self.mib
        said = self.mailbox.close(os.pread(self.dump, STATE_BYTES, 0), os.pread(self.state, STATE_BYTES, 0))
        self.recording.write(recordings.Ledger(seconds=self.seconds, entries=said.ledger, facts=said.facts))

    def explain(self, raised: dict[str, Any]) -> None:
        """Show what is known about an exception of memory in the cell that has just ended."""
        # Here, since what draws cards takes more memory than all the rest of the recorder.
        from course_utils import cards
        from course_utils.cards.runs import outcome_card

        end = self.mailbox.end(raised)
        self.keep_ledger()
        self.turn("raised", end.text)
        outcome = replace(recordings.read(self.path).outcome(end), traceback="")  # which stands above the card
        self.say({"card": cards.bundle(outcome_card(outcome))})

    def end(self) -> None:
        """Write down how the kernel ended; nothing is left of one that left by itself, or was asked to."""
        code = exit_code(self.pid)
        if self.leaving or code in ASKED:
            return folder.discard(self.path)
        self.inquiry.close(self.seconds, self.mib)
        self.keep_ledger()
        whose = f"The kernel of {self.notebook}" if self.notebook else "The notebook's kernel"
        message = f"{whose} died on {time.strftime('%d %B at %H:%M')}."
        by_memory, why = self.judge(code)
        outcome = recordings.read(self.path).outcome(exit_code=code, killed_by_kernel=by_memory)
        room = self.mib + self.left.mib
        outcome = replace(outcome, message=f"{message} {why or outcome.message}", budget_mib=room, cap_mib=room)
        self.recording.write(recordings.Ending(outcome=outcome))

    def judge(self, code: int | None) -> tuple[bool, str]:
        """Return whether the kernel died for want of memory, and a sentence that says how sure that is.

        The count of the control group is proof; that of the whole machine, and little memory left, are signs.
        """
        left = f"{units.mib(self.left.mib)} of the {self.left.of}'s memory left"
        if code not in (None, -signal.SIGKILL):
            return False, ""
        if (machine.kills() or 0) > self.kills[0][0]:
            return True, f"Out of memory, for certain: Linux's out-of-memory killer ended it, with {left}."
        short = self.left.mib < max(SHORT_MIB, SHORT_SHARE * (self.mib + self.left.mib))
        if short or machine.kills_anywhere() > self.kills[0][1]:
            return True, f"Most likely out of memory: it was killed from outside, with {left}."
        how = "killed from outside, by SIGKILL" if code else "gone from one moment to the next"
        return False, f"It was {how}. Memory was not short, with {left}."


def exit_code(pid: int) -> int | None:
    """Return how a process that has just ended did so, minus the signal's number; None where that cannot be seen."""
    fields = procfs.status_fields(pid)
    if not fields or fields[0] != b"Z":  # its parent has taken it already
        return None
    return os.waitstatus_to_exitcode(int(fields[-1])) or None  # 0 is also what is shown to one who may not know


def main() -> None:
    if os.fork():
        os._exit(0)
    plan = json.loads(sys.argv[1])
    try:
        recorder = Recorder(*plan)
    except OSError as error:
        sentence = f"Neither this folder nor the cache folder can be written ({error.strerror})."
        socket.socket(fileno=plan[3]).send(json.dumps({"failed": sentence}).encode())
    else:
        recorder.follow()


if __name__ == "__main__":
    main()
