"""The owner's side of a run: start it, measure its memory, kill it at its limits, collect what it leaves."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import select
import socket
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from course_utils import memory
from course_utils.memory.machine import kills_anywhere
from course_utils.postmortem import Measurement, Testimony
from course_utils.sandbox import framing, launch
from course_utils.sandbox.device import DeviceWatch
from course_utils.sandbox.disk import DiskWatch
from course_utils.sandbox.inquiry import Inquiry
from course_utils.sandbox.listener import Listener
from course_utils.sandbox.mailbox import Mailbox
from course_utils.sandbox.order import Order
from course_utils.sandbox.sampler import Sampler

GREETING_LIMIT = 30
DUMP_PAUSE = 0.01
SIGHTING_SHARE = 0.01  # of the cap: so much more or less memory, and the run is asked where it is
SAMPLE_PAUSE = 0.1
IDLE_SHARE = 0.25  # of the clock: a run that computes, or stands in line to compute, for less of it is waiting
CHUNK = 1 << 16  # read at a time, so that no flood of messages or output keeps the watch from looking at the memory
LAST_CHUNKS = 8  # more than a channel's buffer holds


def watch(order: Order, listener: Listener) -> tuple[Measurement, Testimony]:
    """Carry out an order; return what was measured from outside, and what the run said.

    Raises `ZygoteLost` where the run has not begun, and `MeterUnavailable`. Nothing of the run is left afterwards.
    """
    mailbox = Mailbox(order.cells, listener)
    with contextlib.ExitStack() as cleanup:
        meter = memory.open_meter(order.method, order.cap_mib)
        cleanup.callback(meter.close)
        channel, theirs = socket.socketpair()
        cleanup.callback(channel.close)
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        pipes = {"stdout": os.pipe(), "stderr": os.pipe()}
        streams = {read_end: stream for stream, (read_end, _) in pipes.items()}
        for read_end in streams:
            cleanup.callback(os.close, read_end)
        dump = cleanup.enter_context(tempfile.TemporaryFile("a+b", buffering=0))
        state = cleanup.enter_context(tempfile.TemporaryFile("w+b", buffering=0))
        handed = [*(write_end for _, write_end in pipes.values()), theirs.fileno(), dump.fileno(), state.fileno()]
        readable, gpu = [Path(path) for path in order.readable], order.gpu_budget_mib is not None
        zygote = launch.take(order.isolation, Path(order.directory), readable, gpu)
        try:
            try:
                zygote.send(dataclasses.asdict(order), handed)
            finally:
                theirs.close()
                for _, write_end in pipes.values():
                    os.close(write_end)
            pid = greet(channel)
        except BaseException:  # the run has not begun: its child is of no use, and neither is the zygote
            zygote.close()
            raise
        try:
            machine_kills = kills_anywhere()
            measurement = Measurement(order, meter.interval * 1000, memory.anonymous_mib(pid), cells=order.cells)
            device = None if order.gpu_budget_mib is None else DeviceWatch(order.gpu_budget_mib, pid)
            measurement.device = device and device.measured
            meter.attach(pid)
            ended = os.pidfd_open(pid)  # without it, processes that the child leaves could pretend that it goes on
            cleanup.callback(os.close, ended)
            Watcher(measurement, meter, device, mailbox, pid, dump, state, [order.directory, *zygote.homes]).follow(
                channel, streams, ended
            )
        finally:
            # Also on an interrupt: nothing of the run is left when this returns.
            meter.kill()
            exit_code = zygote.exit_code(10)
            launch.give_back(zygote)
        drain(streams, mailbox)
        measurement.exit_code = exit_code
        measurement.machine_kills = kills_anywhere() - machine_kills
        measurement.killed_by_kernel, measurement.too_many_tasks = meter.killed_by_kernel(), meter.too_many_tasks()
        dumped, written = os.pread(dump.fileno(), 1 << 20, 0), os.pread(state.fileno(), 1 << 16, 0)
        return measurement, mailbox.close(dumped, written)


def greet(channel: socket.socket) -> int:
    """Wait for the child's first word; return its process number as this host sees it, which the kernel tells."""
    if select.select([channel], [], [], GREETING_LIMIT)[0]:
        _, ancillary, _, _ = channel.recvmsg(CHUNK, socket.CMSG_SPACE(12))
        for level, kind, content in ancillary:
            pid = int.from_bytes(content[:4], "little")
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS) and pid:
                channel.setblocking(False)
                return pid
    raise launch.ZygoteLost("The sandbox's child did not begin: start the run again.")


def drain(streams: dict[int, str], mailbox: Mailbox) -> None:
    """Read what a dead run left in its pipes."""
    for descriptor, stream in streams.items():
        os.set_blocking(descriptor, False)
        with contextlib.suppress(BlockingIOError):
            for _ in range(64):
                mailbox.take_output(stream, os.read(descriptor, CHUNK))


class Watcher:
    """Listens, asks and decides, until the run has ended or has to be killed; its threads read memory and disk."""

    def __init__(
        self,
        measured: Measurement,
        meter: memory.Meter,
        device: DeviceWatch | None,
        mailbox: Mailbox,
        pid: int,
        dump: IO[bytes],
        state: IO[bytes],
        folders: Sequence[str],
    ) -> None:
        self.measured, self.meter, self.device, self.mailbox, self.pid = measured, meter, device, mailbox, pid
        step_mib = SIGHTING_SHARE * measured.limits.cap_mib
        self.inquiry = Inquiry(pid, dump.fileno(), state.fileno(), mailbox, step_mib)
        self._told_at, self._idle = -1.0, False
        self._before = memory.processor_seconds(pid), memory.waited_seconds(pid)  # the child has made itself ready
        self.disk = DiskWatch(measured, meter, pid, folders)
        self.sampler = Sampler(measured, meter)

    def follow(self, channel: socket.socket, streams: dict[int, str], ended: int) -> None:
        """Let the child begin, and watch it to its end, at which the descriptor ``ended`` becomes readable."""
        try:
            self._follow(channel, streams, ended)
        finally:
            try:
                self.disk.finish()
            finally:
                self.sampler.finish()
        self.measured.sightings = self.inquiry.close(self.measured.seconds, self.measured.trace[-1][1])

    def _follow(self, channel: socket.socket, streams: dict[int, str], ended: int) -> None:
        say(channel, {"go": True})
        poll = select.poll()
        for descriptor in (channel.fileno(), *streams, ended):
            poll.register(descriptor, select.POLLIN)
        speaking = True
        while speaking and not self.measured.killed_for:
            for descriptor, _ in poll.poll(self.meter.interval * (500 if self.sampler.near_cap() else 1000)):
                if descriptor == ended:
                    for _ in range(LAST_CHUNKS):
                        self._listen(channel)
                    speaking = False
                elif descriptor == channel.fileno():
                    speaking = self._listen(channel) and speaking
                elif data := os.read(descriptor, CHUNK):
                    self.mailbox.take_output(streams[descriptor], data)
                else:
                    poll.unregister(descriptor)
            if reason := self._look():
                self.measured.killed_for = self.measured.killed_for or reason
        self._count_cpu_seconds()

    def _listen(self, channel: socket.socket) -> bool:
        """Read and answer what the child says; return whether it may say more."""
        try:
            data = channel.recv(CHUNK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        # One question at a time, as `inside.exchange` asks them: a flood of them must not hold up the watch.
        for question in self.mailbox.take(data)[:1]:
            # The owner's own figure comes last, so that it stands whatever the child says.
            seconds = memory.processor_seconds(self.pid)
            say(channel, self.mailbox.listener.answer({**question, "processor_seconds": seconds}))
        return bool(data) and self.mailbox.testimony.end is None

    def _count_cpu_seconds(self) -> None:
        # What a process took that has gone may be out of sight, so the most that was seen counts.
        seen = memory.processor_seconds(self.pid) - self._before[0], self.meter.cpu_seconds()
        self.measured.cpu_seconds = max(self.measured.cpu_seconds, *seen)

    def _look(self) -> str:
        """Tell the listener, ask where the run is; return why it has to be killed now, "" if it may go on."""
        now, seconds, limits = self.sampler.now_mib, self.sampler.seconds(), self.measured.limits
        if self.device:
            self.device.look(seconds)
            if self.device.over:
                return "gpu"
        if seconds - self._told_at >= SAMPLE_PAUSE:
            self._told_at = seconds
            self._count_cpu_seconds()
            if limits.cpu_limit is not None and seconds >= limits.cpu_limit:
                self.measured.waited_seconds = memory.waited_seconds(self.pid) - self._before[1]
                self._idle = self.measured.cpu_seconds + self.measured.waited_seconds < IDLE_SHARE * seconds
            self.mailbox.listener.sample(seconds, now)
        over = limits.cpu_limit is not None and self.measured.cpu_seconds >= limits.cpu_limit
        if over or self._idle or seconds >= limits.time_limit:
            self.inquiry.ask(near_cap=True)
            time.sleep(DUMP_PAUSE)
            return "cpu" if over else "time"
        if self.mailbox.reader.broken:
            return "message"
        self.inquiry.look(seconds, now, self.sampler.near_cap())
        return ""


def say(channel: socket.socket, message: dict) -> None:
    """Send one message to the child, without waiting: one that does not listen loses it."""
    with contextlib.suppress(OSError):
        channel.sendall(framing.pack(message))
