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
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from course_utils.sandbox import framing, isolation

START_LIMIT = 180
TAKE_LIMIT = 30


class ZygoteLost(Exception):
    """The zygote is gone before the run began."""


class Zygote:
    """A zygote process. Where its level closes other files, it can read ``readable`` and write to ``directory``,
    and use a GPU only with ``gpu``."""

    def __init__(
        self, level: str, directory: Path = Path("/"), readable: Sequence[Path] = (), gpu: bool = False
    ) -> None:
        self.level = level
        self.owner = os.getpid()
        self._lines = b""
        self._ready = False
        self._place = contextlib.ExitStack()
        self._socket, theirs = socket.socketpair()
        with theirs, contextlib.ExitStack() as undo:
            undo.callback(self._place.close)
            # A file and not a pipe: nobody reads it while the zygote lives.
            self._complaints = self._place.enter_context(tempfile.TemporaryFile())
            command, variables = self._place.enter_context(isolation.confined(level, directory, readable, gpu))
            self.homes = [variables["HOME"]] if level != "process" else []
            self._process = subprocess.Popen(
                [*command, *isolation.PYTHON, "-m", "course_utils.sandbox.zygote", str(theirs.fileno()), level],
                pass_fds=[theirs.fileno()],
                env=variables,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._complaints,
                start_new_session=True,
            )
            undo.pop_all()

    def wait_until_ready(self) -> None:
        """Wait until TensorFlow is imported; raises `ZygoteLost` with the reason where it cannot be."""
        if self._ready:
            return
        if self._read_line(START_LIMIT) != "ready":
            self._process.kill()
            self._process.wait()
            size = self._complaints.seek(0, os.SEEK_END)
            self._complaints.seek(max(0, size - 2000))
            reason = isolation.last_line(self._complaints.read().decode(errors="replace"))
            raise ZygoteLost(f"The sandbox could not start: {reason}")
        self._ready = True

    def send(self, order: dict, descriptors: Sequence[int]) -> None:
        """Hand an order to the child that is ready. Raises `ZygoteLost` where the zygote does not confirm it."""
        self.wait_until_ready()
        message = framing.pack(order)
        with contextlib.suppress(OSError):
            if self.alive():
                socket.send_fds(self._socket, [message[: framing.HEADER.size]], list(descriptors))
                self._socket.sendall(message[framing.HEADER.size :])
                if self._read_line(TAKE_LIMIT) == "taken":
                    return
        raise ZygoteLost("The sandbox's zygote has died.")

    def exit_code(self, timeout: float) -> int | None:
        """Wait for the end of the child: its exit code, minus the signal's number, or None if no one knows."""
        if self._socket.fileno() < 0:  # closed
            return None
        line = self._read_line(timeout)
        return int(line) if re.fullmatch(r"-?[0-9]{1,3}", line) else None

    def _read_line(self, timeout: float) -> str:
        while b"\n" not in self._lines:
            part = b""
            with contextlib.suppress(OSError):
                if select.select([self._socket], [], [], timeout)[0]:
                    part = self._socket.recv(4096)
            if not part:
                return ""
            self._lines += part
        line, _, self._lines = self._lines.partition(b"\n")
        return line.decode("ascii", "replace")

    def alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        """Hang up; the zygote then kills what it started and leaves. What a run has left of its user is killed too."""
        self._socket.close()
        if self.owner != os.getpid():
            return
        if not self._ready:  # still importing, so it would not notice for many seconds
            self._kill()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._kill()
            self._process.wait()
        self._place.close()

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


_idle: list[Zygote] = []
_idle_lock = threading.Lock()


def start() -> None:
    """Warm a zygote in the background and return at once. Only ``process`` zygotes serve more than one run."""
    with _idle_lock:
        if not any(zygote.owner == os.getpid() for zygote in _idle):
            _idle.append(Zygote("process"))


def take(level: str, directory: Path, readable: Sequence[Path], gpu: bool = False) -> Zygote:
    """Return a zygote that no one else uses. A submission never shares one with another submission."""
    if level == "process":
        with _idle_lock:
            while _idle:
                zygote = _idle.pop()
                if zygote.owner == os.getpid() and zygote.alive():
                    return zygote
                zygote.close()
        return Zygote("process")
    return Zygote(level, directory, readable, gpu)


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
