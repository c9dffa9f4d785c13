"""The owner's side of a zygote: start one, hand it an order, learn how the child ended."""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from course_utils.sandbox import framing, isolation

START_LIMIT = 180
TAKE_LIMIT = 30


class ZygoteLost(Exception):
    """The zygote is gone before it took the order."""


class Zygote:
    """A zygote process. ``directory`` and ``readable`` are what a ``bwrap`` zygote can see of the host's files."""

    def __init__(self, level: str, directory: Path | None = None, readable: Sequence[Path] = ()) -> None:
        self.level = level
        self.owner = os.getpid()
        self._socket, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "course_utils.sandbox.zygote", str(theirs.fileno())]
            if level == "bwrap":
                assert directory is not None
                command = isolation.bwrap_command(directory, readable) + command
            self._process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                env=isolation.environment(level),
                cwd=directory or "/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        self._lines = b""
        self._ready = False

    def wait_until_ready(self) -> None:
        """Wait until TensorFlow is imported; raises `ZygoteLost` with the reason where it cannot be."""
        if self._ready:
            return
        if self._read_line(START_LIMIT) != "ready":
            error = b""
            self._process.kill()
            if self._process.stderr:
                error = self._process.stderr.read()[-2000:]
            reason = (error.decode(errors="replace").strip().splitlines() or ["no reason given"])[-1]
            raise ZygoteLost(f"The sandbox could not start: {reason}")
        self._ready = True

    def send(self, order: dict, descriptors: Sequence[int]) -> None:
        """Hand an order to the child that is ready. Raises `ZygoteLost` where the zygote does not confirm it."""
        self.wait_until_ready()
        if self._process.poll() is not None:
            raise ZygoteLost("The sandbox's zygote has died.")
        message = framing.pack(order)
        try:
            socket.send_fds(self._socket, [message[: framing.HEADER.size]], list(descriptors))
            self._socket.sendall(message[framing.HEADER.size :])
        except OSError as error:
            raise ZygoteLost("The sandbox's zygote has died.") from error
        if self._read_line(TAKE_LIMIT) != "taken":
            raise ZygoteLost("The sandbox's zygote has died.")

    def exit_code(self, timeout: float) -> int | None:
        """Wait for the end of the child: its exit code, minus the signal's number, or None if no one knows."""
        line = self._read_line(timeout)
        return int(line) if re.fullmatch(r"-?[0-9]{1,3}", line) else None

    def fileno(self) -> int:
        return self._socket.fileno()

    def _read_line(self, timeout: float) -> str:
        while b"\n" not in self._lines:
            if not select.select([self._socket], [], [], timeout)[0]:
                return ""
            with contextlib.suppress(OSError):
                if part := self._socket.recv(4096):
                    self._lines += part
                    continue
            return ""
        line, _, self._lines = self._lines.partition(b"\n")
        return line.decode("ascii", "replace")

    def alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        """Hang up; the zygote then kills what it started and leaves."""
        self._socket.close()
        if self.owner != os.getpid():
            return
        if not self._ready:  # still importing, so it would not notice for many seconds
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._process.stderr:
            self._process.stderr.close()


_idle: list[Zygote] = []
_idle_lock = threading.Lock()


def start(level: str = "process") -> None:
    """Warm a zygote in the background and return at once. Only ``process`` zygotes serve more than one run."""
    with _idle_lock:
        if level == "process" and not any(zygote.owner == os.getpid() for zygote in _idle):
            _idle.append(Zygote("process"))


def take(level: str, directory: Path, readable: Sequence[Path]) -> Zygote:
    """Return a zygote that no one else uses. A submission never shares one with another submission."""
    if level == "process":
        with _idle_lock:
            while _idle:
                zygote = _idle.pop()
                if zygote.owner == os.getpid() and zygote.alive():
                    return zygote
                zygote.close()
        return Zygote("process")
    return Zygote(level, directory, readable)


def give_back(zygote: Zygote) -> None:
    """Keep a zygote for the next run, if it may serve one."""
    if zygote.level == "process" and zygote.alive():
        with _idle_lock:
            _idle.append(zygote)
    else:
        zygote.close()


def stop() -> None:
    """End every idle zygote of this process."""
    with _idle_lock:
        while _idle:
            _idle.pop().close()


atexit.register(stop)
