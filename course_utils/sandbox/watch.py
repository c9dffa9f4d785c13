"""The owner's side of a run: start it, watch its memory, kill it at the cap, collect what it leaves."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import socket
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from course_utils import memory
from course_utils.files import scratch
from course_utils.sandbox import evidence, launch, processors
from course_utils.sandbox.isolation import resolve
from course_utils.sandbox.listener import Listener
from course_utils.sandbox.outcome import Outcome

Cells = str | Sequence[tuple[str, str]]
DUMP_PAUSE = 0.01
NEAR_CAP = 0.8
SAMPLE_PAUSE = 0.1
TRACE_PAUSE = 0.02


def run(
    code: Cells,
    *,
    budget_mib: float,
    cap_mib: float | None = None,
    time_limit: float = 60,
    isolation: str = "process",
    gpu_budget_mib: float | None = None,
    epilogue: str = "",
    readable: Sequence[Path] = (),
    directory: Path | None = None,
    method: str | None = None,
    before: Sequence[tuple[str, str]] = (),
    listener: Listener = Listener(),  # noqa: B008
) -> Outcome:
    """Run ``code`` in a sandbox and return its `Outcome`; whatever the code does, this returns.

    ``code`` is a source text, or ``(cell name, source)`` pairs that run in one namespace in their order. The run is
    killed when it needs more than ``cap_mib`` (default: ``budget_mib``) above its baseline, or more than
    ``time_limit`` seconds. ``epilogue`` runs after it in the same namespace and is never shown as the learner's.
    ``readable`` folders are visible inside. ``directory`` is the working directory, by default a temporary one that
    is removed afterwards. The cells ``before`` run first, in the same namespace; their memory counts, and what they
    print, draw and report is not shown. ``listener`` is told while it runs.

    Raises `IsolationUnavailable`, `course_utils.memory.MeterUnavailable` and ValueError, with a sentence, before
    anything runs. A KeyboardInterrupt ends the run and is raised again.
    """
    if budget_mib <= 0 or time_limit <= 0:
        raise ValueError("A sandbox needs a budget in MiB and a time limit in seconds, both above 0.")
    cells = [("cell", code)] if isinstance(code, str) else list(code)
    cells = [(safe_name(name), source) for name, source in [*before, *cells]]
    level = resolve(isolation)
    paths = [Path(path).resolve() for path in readable]
    with contextlib.nullcontext(Path(directory).resolve()) if directory else scratch("sandbox-") as folder:
        for attempt in (1, 2):
            watched = Run(cells, budget_mib, cap_mib or budget_mib, time_limit, level, method, folder)
            watched.listen(listener)
            try:
                return watched.carry_out(epilogue, gpu_budget_mib, paths, len(before))
            except launch.ZygoteLost:  # it has died since its last run, and this one has not begun
                if attempt == 2:
                    raise
        raise AssertionError


def safe_name(name: str) -> str:
    """Return a cell's name in the form in which `faulthandler` can print it: short and in ASCII."""
    return re.sub(r"[^ -~]|[\"\\]", "?", name)[:100] or "cell"


class Run:
    """One run. The life of it is `carry_out`; everything else is a step of that."""

    def __init__(
        self,
        cells: list[tuple[str, str]],
        budget_mib: float,
        cap_mib: float,
        time_limit: float,
        level: str,
        method: str | None,
        folder: Path,
    ) -> None:
        self.cells, self.budget_mib, self.cap_mib, self.time_limit = cells, budget_mib, cap_mib, time_limit
        self.level, self.folder = level, folder
        self.method = method or memory.choose()
        self.interval = memory.METHODS[self.method].interval if self.method in memory.METHODS else 0
        self.evidence = evidence.Evidence(cells)
        self.peak_mib = self.baseline_mib = self.seconds = 0.0
        self.trace: list[tuple[float, float]] = []
        self.killed_for = ""
        self._dumped_at = (-1.0, 0.0)
        self._sampled_at = -1.0

    def listen(self, listener: Listener) -> None:
        """Set whom to tell while it runs."""
        self.listener = self.evidence.listener = listener

    def carry_out(self, epilogue: str, gpu_budget_mib: float | None, readable: Sequence[Path], quiet: int) -> Outcome:
        """Run the cells and return what became of them."""
        order = {
            "cells": self.cells,
            "quiet": quiet,
            "epilogue": epilogue,
            "directory": str(self.folder),
            "gpu_budget_mib": gpu_budget_mib,
        }
        with contextlib.ExitStack() as cleanup:
            order["processors"] = cleanup.enter_context(processors.assigned())
            meter = memory.open_meter(self.method, self.cap_mib)
            cleanup.callback(meter.close)
            ours, theirs = socket.socketpair()
            cleanup.callback(ours.close)
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            pipes = [os.pipe(), os.pipe()]
            for read_end, _ in pipes:
                cleanup.callback(os.close, read_end)
            dump = cleanup.enter_context(tempfile.TemporaryFile("a+b", buffering=0))
            state = cleanup.enter_context(tempfile.TemporaryFile("w+b", buffering=0))
            descriptors = [pipes[0][1], pipes[1][1], theirs.fileno(), dump.fileno(), state.fileno()]
            zygote = launch.take(self.level, self.folder, readable)
            try:
                zygote.send(order, descriptors)
            except BaseException:
                zygote.close()
                raise
            finally:
                theirs.close()
                for _, write_end in pipes:
                    os.close(write_end)
            try:
                self._watch(meter, ours, [pipes[0][0], pipes[1][0]], dump)
            except launch.ZygoteLost:  # its child is of no use, and neither is it
                zygote.close()
                raise
            finally:
                # Also on an interrupt: nothing of the run is left when this returns.
                meter.kill()
                exit_code = zygote.exit_code(10)
                launch.give_back(zygote)
            self.evidence.drain(pipes[0][0], pipes[1][0])
            self.evidence.exit_code = exit_code
            self.evidence.killed_by_kernel = meter.killed_by_kernel()
            self.evidence.too_many_tasks = meter.too_many_tasks()
            self.evidence.read_dump(dump)
            self.evidence.read_state(state)
        return self.evidence.outcome(self)

    def _watch(
        self,
        meter: memory.Meter,
        control: socket.socket,
        pipes: list[int],
        dump: tempfile._TemporaryFileWrapper,
    ) -> None:
        """Sample, listen and decide, until the child has ended or has to be killed."""
        pid = self._greet(control)
        if pid is None:
            raise launch.ZygoteLost("The sandbox's child did not begin: start the run again.")
        self.evidence.pid = pid
        self.baseline_mib = memory.anonymous_mib(pid)
        meter.attach(pid)
        control.setblocking(False)
        self.started = time.monotonic()  # before the word to go: the code may be done before this process runs again
        self.evidence.answer(control, {"go": True})
        poll = select.poll()
        ended = os.pidfd_open(pid)  # without it, processes that the child leaves could pretend that it goes on
        for descriptor in (control.fileno(), *pipes, ended):
            poll.register(descriptor, select.POLLIN)
        speaking = True
        while speaking:
            near = self.trace and self.trace[-1][1] > NEAR_CAP * self.cap_mib
            for descriptor, _ in poll.poll(self.interval * (500 if near else 1000)):
                if descriptor == ended:
                    self.evidence.listen(control)
                    speaking = False
                elif descriptor == control.fileno():
                    speaking = self.evidence.listen(control) and speaking
                elif not self.evidence.read_output(descriptor, "stdout" if descriptor == pipes[0] else "stderr"):
                    poll.unregister(descriptor)
            if self._judge(meter, pid, dump):
                break
        os.close(ended)

    def _greet(self, control: socket.socket) -> int | None:
        """Wait for the child's first word; return its process number as this host sees it."""
        if not select.select([control], [], [], 30)[0]:
            return None
        size = socket.CMSG_SPACE(12)
        data, ancillary, _, _ = control.recvmsg(65536, size)
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
                self.evidence.received(data)
                return int.from_bytes(content[:4], "little") or None
        return None

    def _judge(self, meter: memory.Meter, pid: int, dump: tempfile._TemporaryFileWrapper) -> bool:
        """Take one sample; return whether the run is over because of it."""
        sample = meter.sample()
        seconds = self.seconds = time.monotonic() - self.started
        new_peak = sample.peak_mib > self.peak_mib
        self.peak_mib = max(self.peak_mib, sample.peak_mib)
        if not self.trace or new_peak or seconds - self.trace[-1][0] >= TRACE_PAUSE:
            self.trace.append((seconds, max(sample) if new_peak else sample.now_mib))
            self._thin()
        if seconds - self._sampled_at >= SAMPLE_PAUSE:
            self._sampled_at = seconds
            self.listener.sample(seconds, sample.now_mib)
        if sample.peak_mib >= self.cap_mib:
            self.killed_for = "memory"
        elif seconds >= self.time_limit:
            self._ask_for_line(pid, dump)
            time.sleep(DUMP_PAUSE)
            self.killed_for = "time"
        elif meter.too_many_tasks():
            self.killed_for = "tasks"
        elif meter.killed_by_kernel():
            self.killed_for = "kernel"
        else:
            dumped_at, dumped_mib = self._dumped_at
            grown = sample.now_mib - dumped_mib >= 0.01 * self.cap_mib
            if sample.now_mib >= NEAR_CAP * self.cap_mib and grown and seconds - dumped_at >= DUMP_PAUSE:
                self._dumped_at = (seconds, sample.now_mib)
                self._ask_for_line(pid, dump)
            return False
        return True

    def _ask_for_line(self, pid: int, dump: tempfile._TemporaryFileWrapper) -> None:
        """Have the child print the Python line that it is executing, also from within a long C call."""
        with contextlib.suppress(OSError):
            if os.fstat(dump.fileno()).st_size > 65536:
                os.ftruncate(dump.fileno(), 0)
            os.kill(pid, signal.SIGUSR1)

    def _thin(self) -> None:
        """Keep the trace small: of many points only every other one, but the highest always."""
        if len(self.trace) < 4000:
            return
        highest = max(self.trace, key=lambda point: point[1])
        self.trace = sorted({*self.trace[::2], highest})
