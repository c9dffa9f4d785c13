"""What the owner collects of a run, all of it untrusted, and the outcome that it makes of it."""

from __future__ import annotations

import base64
import binascii
import codecs
import contextlib
import json
import os
import re
import signal
import socket
from typing import IO, TYPE_CHECKING, Any

from course_utils.memory import processor_seconds
from course_utils.sandbox import postmortem
from course_utils.sandbox.inside import HEADER, LARGEST_MESSAGE
from course_utils.sandbox.listener import Listener
from course_utils.sandbox.outcome import Outcome, Where

if TYPE_CHECKING:
    from course_utils.sandbox.watch import Run

KEPT_AT_EACH_END = 64 * 1024
LARGEST_FIGURES = 24
# What TensorFlow and Keras put around an error, which says nothing by itself.
WRAPPING = re.compile(r"in user code:|Graph execution error:|Exception encountered when calling ")
PLACE = re.compile(r'File "|Detected at node |Stack trace ')
ERROR_LINE = re.compile(r"\w+(Error|Exception): ")
FRAME = re.compile(r'^  File "(?P<cell>.*)", line (?P<line>\d+) in (?P<function>.*)$', re.MULTILINE)


class BoundedText:
    """The beginning and the end of a text of any length."""

    def __init__(self) -> None:
        self.head, self.tail, self.dropped = "", "", 0
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, data: bytes) -> str:
        """Add bytes; return the part of them that is still within the beginning, to be shown live."""
        text = self.decoder.decode(data)
        shown = text[: KEPT_AT_EACH_END - len(self.head)]
        self.head += shown
        rest = text[len(shown) :]
        self.tail += rest
        if (excess := len(self.tail) - KEPT_AT_EACH_END) > 0:
            self.tail = self.tail[excess:]
            self.dropped += excess
        return shown

    def __str__(self) -> str:
        gap = f"\n[... {self.dropped:,} characters left out ...]\n" if self.dropped else ""
        return self.head + gap + self.tail


class Evidence:
    """Output, messages and traces of one run."""

    def __init__(self, cells: list[tuple[str, str]]) -> None:
        self.sources = {name: source.split("\n") for name, source in cells}
        self.output = {"stdout": BoundedText(), "stderr": BoundedText()}
        self.listener = Listener()
        self.figures: list[bytes] = []
        self.values: dict[str, Any] = {}
        self.end: dict[str, Any] | None = None
        self.exit_code: int | None = None
        self.killed_by_kernel = False
        self.too_many_tasks = False
        self.dumped: Where | None = None
        self.state: dict[str, Any] = {}
        self.pid = 0
        self._buffer = bytearray()

    # While it runs.
    def read_output(self, descriptor: int, stream: str) -> bool:
        """Read what is there of a stream; return whether more may come."""
        data = os.read(descriptor, 1 << 16)
        if data and (shown := self.output[stream].add(data)):
            self.listener.output(stream, shown)
        return bool(data)

    def drain(self, stdout: int, stderr: int) -> None:
        """Read what a dead child left in its pipes."""
        for descriptor, stream in ((stdout, "stdout"), (stderr, "stderr")):
            os.set_blocking(descriptor, False)
            for _ in range(64):
                try:
                    if not self.read_output(descriptor, stream):
                        break
                except BlockingIOError:
                    break

    def listen(self, control: socket.socket) -> bool:
        """Read and answer what the child says; return whether it may say more."""
        try:
            data = control.recv(1 << 20)
        except BlockingIOError:
            return True
        except OSError:
            return False
        asked = False
        for message in self.received(data):
            # One question at a time, as `inside.exchange` asks them: a flood of them must not hold up the watcher.
            if message.get("type") == "exchange" and not asked:
                asked = True
                said = message.get("question")
                question = said if isinstance(said, dict) else {}
                # Last, so that the owner's own figure stands whatever the child says.
                seconds = processor_seconds(self.pid)
                self.answer(control, self.listener.answer({**question, "processor_seconds": seconds}))
        return bool(data) and self.end is None and len(self._buffer) <= LARGEST_MESSAGE

    def received(self, data: bytes) -> list[dict]:
        """Take bytes from the child; return the messages that are complete and note what they say."""
        self._buffer += data
        messages = []
        while len(self._buffer) >= HEADER.size:
            length = HEADER.unpack_from(self._buffer)[0]
            if len(self._buffer) < HEADER.size + length:
                break
            body = bytes(self._buffer[HEADER.size : HEADER.size + length])
            del self._buffer[: HEADER.size + length]
            try:
                message = json.loads(body)
            except (ValueError, RecursionError):
                continue
            if isinstance(message, dict):
                self._note(message)
                messages.append(message)
        return messages

    def _note(self, message: dict) -> None:
        kind = message.get("type")
        if kind == "end" and self.end is None:
            self.end = message
        elif kind == "report" and isinstance(message.get("values"), dict):
            for name, value in list(message["values"].items())[:100]:
                if isinstance(value, (int, float, str, bool)) and len(self.values) < 100:
                    self.values[str(name)[:100]] = value[:1000] if isinstance(value, str) else value
        elif kind == "figure" and len(self.figures) < LARGEST_FIGURES:
            try:
                png = base64.b64decode(message.get("png", ""), validate=True)
            except (binascii.Error, TypeError, ValueError):
                return
            if png.startswith(b"\x89PNG"):
                self.figures.append(png)
                self.listener.figure(png)

    def answer(self, control: socket.socket, message: dict) -> None:
        """Send one message to the child, without waiting: one that does not listen loses it."""
        body = json.dumps(message).encode()
        control.setblocking(False)
        with contextlib.suppress(OSError):
            control.sendall(HEADER.pack(len(body)) + body)

    # After it.
    def read_dump(self, file: IO[bytes]) -> None:
        """Find the learner's innermost line in the newest of the tracebacks that `faulthandler` printed."""
        text = os.pread(file.fileno(), 1 << 20, 0).decode("ascii", "replace")
        newest = re.split(r"^(?:Current thread|Thread|Stack) ", text, flags=re.MULTILINE)[-1]
        for frame in FRAME.finditer(newest):
            if where := self.place(frame["cell"], int(frame["line"]), frame["function"]):
                self.dumped = where
                return

    def read_state(self, file: IO[bytes]) -> None:
        """Read the largest live objects, as the child last wrote them down."""
        try:
            state = json.loads(os.pread(file.fileno(), 1 << 16, 0) or b"{}")
            live = [
                {"name": str(item["name"])[:100], "what": str(item["what"])[:200], "mib": float(item["mib"])}
                for item in state["live"][:10]
            ]
            self.state = {"live": live, "where": state["where"]}
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            self.state = {}

    def place(self, cell: object, line: object, function: object) -> Where | None:
        """Return a line of the learner's, or None where there is no such line."""
        lines = self.sources.get(cell) if isinstance(cell, str) else None
        if lines is None or not isinstance(line, int) or not 1 <= line <= len(lines):
            return None
        function = "" if function == "<module>" else str(function)[:100]
        return Where(str(cell), line, lines[line - 1].strip()[:300], function)

    def last_line(self) -> Where | None:
        """Return the last line of the learner's that is known to have been executing."""
        if self.dumped:
            return self.dumped
        where = self.state.get("where")
        return self.place(*where) if isinstance(where, list) and len(where) == 3 else None

    def outcome(self, run: Run) -> Outcome:
        """Turn everything into an outcome."""
        status, message, details = self._classify(run)
        finding = {}
        if status != "finished":
            frames = details.pop("frames", [])
            where = self.place(*frames[-1][:3]) if frames else None
            where = where or (None if frames else self.last_line())
            live = self.state.get("live", []) if status.startswith("out_of") or status == "died" else []
            finding = {"where": where, "live": live, "traceback": self._traceback(frames, details)}
            finding |= postmortem.explain(status, details.get("text", ""), where, live, run.peak_mib)
        number = -self.exit_code if self.exit_code is not None and self.exit_code < 0 else None
        gpu_peak = (self.end or {}).get("gpu_peak_mib")
        known = isinstance(gpu_peak, (int, float)) and 0 <= gpu_peak < 1e9
        return Outcome(
            status=status,
            message=message,
            peak_mib=round(run.peak_mib, 1),
            baseline_mib=round(run.baseline_mib, 1),
            budget_mib=run.budget_mib,
            cap_mib=run.cap_mib,
            seconds=round(run.seconds, 3),
            time_limit=run.time_limit,
            method=run.method,
            interval_ms=run.interval * 1000,
            isolation=run.level,
            stdout=str(self.output["stdout"]),
            stderr=str(self.output["stderr"]),
            trace=[(round(seconds, 3), round(mib, 1)) for seconds, mib in run.trace],
            figures=self.figures,
            values=self.values,
            signal=number if status == "died" and self.end is None else None,
            exit_code=details.get("exit_code"),
            gpu_peak_mib=float(gpu_peak) if known else None,
            **finding,
        )

    def _classify(self, run: Run) -> tuple[str, str, dict]:
        if self.too_many_tasks and run.killed_for != "memory":
            return "died", "It started more processes or threads than a sandbox allows, and was killed.", {}
        if run.killed_for == "memory" or self.killed_by_kernel:
            over = f"It needed more than {run.cap_mib:,.0f} MiB above its baseline and was killed"
            who = "" if run.killed_for == "memory" else " by the kernel"
            return "out_of_memory", f"{over}{who} after {run.seconds:.1f} s.", {}
        if run.killed_for == "time":
            return "timed_out", f"It was still running at its time limit of {run.time_limit:g} s.", {}
        if self.end is None:
            return self._classify_death()
        status = self.end.get("status")
        frames = self.end.get("frames")
        frames = frames if isinstance(frames, list) else []
        frames = [frame for frame in frames if isinstance(frame, list) and len(frame) >= 3]
        details = {"frames": frames, "text": str(self.end.get("text", ""))[:20000]}
        kinds = self.end.get("kinds")
        kinds = [str(kind) for kind in kinds] if isinstance(kinds, list) and kinds else ["Exception"]
        details["kind"] = kinds[0]
        reasons = self.end.get("reasons")
        details["reasons"] = [str(reason)[:2000] for reason in reasons[:5]] if isinstance(reasons, list) else []
        if status == "finished":
            return "finished", f"It finished in {run.seconds:.1f} s.", {}
        if status == "died":
            code = self.end.get("exit_code")
            details["exit_code"] = code if isinstance(code, int) else 1
            return (
                "died",
                f"It left by itself, with exit code {details['exit_code']}: sys.exit() or exit().",
                details,
            )
        text = first_line(details["text"])
        if postmortem.is_gpu_memory(kinds, details["text"]):
            return "out_of_gpu_memory", f"The GPU ran out of memory: {kinds[0]}: {text}", details
        if "MemoryError" in kinds or "ResourceExhaustedError" in kinds:
            return "out_of_memory", f"An allocation was refused: {kinds[0]}{f': {text}' if text else '.'}", details
        return "raised", f"{kinds[0]}: {text}" if text else kinds[0], details

    def _classify_death(self) -> tuple[str, str, dict]:
        code = self.exit_code
        if code is not None and code >= 0:
            return "died", f"The process left by itself, with exit code {code}.", {"exit_code": code}
        if code is None:
            return "died", "The sandbox around it was killed, by the code itself or by the machine.", {}
        name = signal.Signals(-code).name if -code in signal.valid_signals() else f"signal {-code}"
        stderr = str(self.output["stderr"])
        if -code == signal.SIGABRT and "bad_alloc" in stderr:
            return (
                "out_of_memory",
                "A C++ library asked for memory and was refused (std::bad_alloc).",
                {"text": stderr},
            )
        hint = ""
        if -code == signal.SIGKILL:
            hint = " The code itself did it, or closed files that it had not opened, or the machine ran out of memory."
        elif -code in (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE):
            hint = " That is a crash inside compiled code."
        return "died", f"The process was killed by {name}.{hint}", {}

    def _traceback(self, frames: list[list], details: dict) -> str:
        """Return the learner's own lines of a traceback, and the exception."""
        if not frames and "kind" not in details:
            return ""
        lines = ["Traceback (your own lines only, most recent call last):"] if frames else []
        for frame in frames:
            if where := self.place(*frame[:3]):
                inside = f", in {where.function}" if where.function else ""
                lines += [f"  {where.cell}, line {where.line}{inside}", f"    {where.source}"]
        said = f"{details.get('kind')}: {details.get('text', '')[:3000]}".rstrip(": ")
        return "\n".join([*lines, said, *details.get("reasons", [])])


def first_line(text: str) -> str:
    """Return the first line of a text that says something, at most 300 characters."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if lines and WRAPPING.match(lines[0]):
        inner = [line for line in lines[1:] if not PLACE.match(line)]
        lines = [line.partition(": ")[2] for line in inner if ERROR_LINE.match(line)] or inner or lines
    return lines[0][:300] if lines else ""
