"""The reader of a run's memory: a thread that does nothing else, so that no message and no listener holds it up."""

from __future__ import annotations

import threading
import time

from course_utils import memory
from course_utils.postmortem import Measurement

TRACE_PAUSE = 0.02
MOST_POINTS = 4000
NEAR_CAP = 0.8
LONG_GAP = 0.05


class Follower:
    """A thread of the owner that looks at one run again and again, and kills it for the reason that `look` gives."""

    def __init__(self, measured: Measurement, meter: memory.Meter) -> None:
        self.measured, self.meter = measured, meter
        self._failure: Exception | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name=type(self).__name__, daemon=True)

    def look(self) -> str:
        """Note what the run does now; return why it has to be killed, or ""."""
        raise NotImplementedError

    def pause(self) -> float:
        """Return the seconds until the next look."""
        raise NotImplementedError

    def finish(self) -> None:
        """End the thread, and look for the last time. Raises what has kept it from looking."""
        self._over.set()
        self._thread.join()
        if self._failure:
            raise self._failure
        self.measured.killed_for = self.measured.killed_for or self.look()

    def _follow(self) -> None:
        try:
            while not self._over.wait(self.pause()):
                if reason := self.look():
                    self.measured.killed_for = self.measured.killed_for or reason
                    self.meter.kill()
                    return
        except Exception as error:  # a run that nobody looks at must not go on
            self._failure = error
            self.meter.kill()


class Sampler(Follower):
    """Reads the memory, and nothing else."""

    def __init__(self, measured: Measurement, meter: memory.Meter) -> None:
        super().__init__(measured, meter)
        self.now_mib = 0.0
        # Before the word to go: the code may be done before this process runs again.
        self._started = self._sampled = time.monotonic()
        self.look()
        self._thread.start()

    def seconds(self) -> float:
        """Return the time since the run began."""
        return time.monotonic() - self._started

    def pause(self) -> float:
        return self.meter.interval * (0.5 if self.near_cap() else 1)

    def near_cap(self) -> bool:
        """Whether the run may be killed at any moment."""
        return self.now_mib > NEAR_CAP * self.measured.limits.cap_mib

    def look(self) -> str:
        sample, measured, seconds = self.meter.sample(), self.measured, self.seconds()
        readings = measured.readings
        gap = self._started + seconds - self._sampled
        self._sampled += gap
        readings.longest_gap = max(readings.longest_gap, gap)
        readings.gaps += gap > LONG_GAP
        new_peak = sample.peak_mib > measured.peak_mib
        measured.seconds, self.now_mib = seconds, sample.now_mib
        measured.peak_mib = max(measured.peak_mib, sample.peak_mib)
        readings.kernel_peak_mib = max(readings.kernel_peak_mib, self.meter.kernel_mib)
        if not measured.trace or new_peak or seconds - measured.trace[-1][0] >= TRACE_PAUSE:
            measured.trace.append((seconds, max(sample.now_mib, sample.peak_mib) if new_peak else sample.now_mib))
            if len(measured.trace) >= MOST_POINTS:  # every other point is enough, but the highest stays
                highest = max(measured.trace, key=lambda point: point[1])
                measured.trace = sorted({*measured.trace[::2], highest})
        if sample.peak_mib >= measured.limits.cap_mib:
            return "memory"
        if self.meter.too_many_tasks():
            return "tasks"
        return "kernel" if self.meter.killed_by_kernel() else ""
