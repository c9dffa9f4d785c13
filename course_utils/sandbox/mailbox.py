"""All that a run says to its owner, taken in without trust: nothing here waits, grows without bound, or raises."""

from __future__ import annotations

import base64
import codecs
import itertools
import json
import re
from collections.abc import Sequence
from typing import Any

from course_utils.postmortem import End, Frame, Stack, Testimony, Where
from course_utils.sandbox import slots
from course_utils.sandbox.framing import Reader
from course_utils.sandbox.listener import Listener
from course_utils.sandbox.noise import NoiseFilter
from course_utils.sandbox.snapshot import PACKAGES

KEPT_AT_EACH_END = 64 * 1024
MOST_FIGURES, LARGEST_FIGURE = 24, 4 * 1024 * 1024
MOST_VALUES = 100
THREAD = re.compile(r"^(?:Current thread|Thread|Stack) ", re.MULTILINE)
FRAME = re.compile(r'^  File "(?P<file>.{1,300})", line (?P<line>\d{1,9}) in (?P<function>.*)$', re.MULTILINE)
DEEPEST = 120  # faulthandler prints 100 frames
OWN_PACKAGE = "course_utils/sandbox/"
MOST_ENTRIES = 14
MOST_PARTS = 20
DEEPEST_RECORD = 5
LARGEST_NUMBER = 1e15
KINDS = {
    "array", "tensor", "object", "list", "weights", "optimizer", "accumulator", "pipeline", "dataframe", "figures",
    "functions", "operand",
}  # fmt: skip


class BoundedText:
    """The beginning and the end of a text of any length."""

    def __init__(self) -> None:
        self.head, self.tail, self.dropped = "", "", 0
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, data: bytes) -> str:
        """Add bytes; return them as text."""
        text = self.decoder.decode(data)
        room = KEPT_AT_EACH_END - len(self.head)
        self.head += text[:room]
        self.tail += text[room:]
        if (excess := len(self.tail) - KEPT_AT_EACH_END) > 0:
            self.tail = self.tail[excess:]
            self.dropped += excess
        return text

    def __str__(self) -> str:
        gap = f"\n[... {self.dropped:,} characters left out ...]\n" if self.dropped else ""
        return self.head + gap + self.tail


class Mailbox:
    """What one run said so far. ``cells`` are its (name, source) pairs: only their lines are ever named."""

    def __init__(self, cells: Sequence[tuple[str, str]], listener: Listener) -> None:
        self.testimony = Testimony()
        self.reader = Reader()
        self._sources = {name: source.split("\n") for name, source in cells}
        self.listener = listener
        self._output = {"stdout": BoundedText(), "stderr": BoundedText()}
        self._noise = NoiseFilter()
        self._figure = b""  # as much of the next one as has come

    def take_output(self, stream: str, data: bytes) -> None:
        """Take bytes that the run wrote to "stdout" or "stderr"."""
        kept = self._output[stream]
        room = KEPT_AT_EACH_END - len(kept.head)
        text = kept.add(self._noise.feed(data) if stream == "stderr" else data)
        if shown := text if self.listener.whole_output else text[:room]:
            self.listener.output(stream, shown)

    def close(self, dump: bytes, state: bytes) -> Testimony:
        """Take what a run that is over has left in its two files; return all that it said."""
        said = self.testimony
        self._output["stderr"].add(self._noise.rest())
        said.stdout, said.stderr = str(self._output["stdout"]), str(self._output["stderr"])
        self._take_state(state)
        dumped = (frame.where for frame in self._stack(_dumped(dump)))
        said.last_line = next(filter(None, dumped), None) or said.last_line
        return said

    def take(self, data: bytes) -> list[dict[str, Any]]:
        """Take bytes from the run's channel; return the questions that they complete."""
        questions = []
        for message in self.reader.feed(data):
            kind = message.get("type")
            if kind == "exchange":
                questions.append(_dictionary(message.get("question")))
            elif kind == "report":
                self._note_values(_dictionary(message.get("values")))
            elif kind == "figure":
                self._note_figure(message.get("png"), message.get("more") is True)
            elif kind == "end" and self.testimony.end is None:
                self.testimony.end = self._end(message)
        return questions

    def stack(self, dump: bytes, state: bytes) -> Stack:
        """Return the newest stack that the run has written down; the dump, where there is one, is the newer."""
        return self._stack(_dumped(dump) or _list(_picture(state).get("stack"), DEEPEST))

    def _stack(self, frames: Sequence[Any]) -> Stack:
        found = []
        for frame in frames:
            if isinstance(frame, list | tuple) and len(frame) >= 3 and isinstance(frame[0], str):
                where = self._place(frame)
                file = where.cell if where else PACKAGES.sub("", frame[0])
                if OWN_PACKAGE not in file:
                    found.append(Frame(_text(file, 100), _text(frame[2], 100), where))
        return tuple(found)

    def _take_state(self, data: bytes) -> None:
        """Read the current line and the ledger, as the child last wrote them down."""
        state = _picture(data[: slots.START])
        self.testimony.last_line = self._place(state.get("where"))
        record = _dictionary(slots.newest(data))
        entries = map(entry, _list(record.get("entries"), MOST_ENTRIES))
        said = self.testimony
        said.ledger = sorted(filter(None, entries), key=lambda entry: -entry["mib"])
        said.facts = _dictionary(plain(record.get("facts"), DEEPEST_RECORD))

    def _place(self, frame: Any) -> Where | None:
        """Return the learner's line that a frame (cell, line, function) names, or None where there is no such line."""
        if not isinstance(frame, list | tuple) or len(frame) < 3:
            return None
        cell, line, function = frame[:3]
        lines = self._sources.get(cell) if isinstance(cell, str) else None
        if lines is None or not isinstance(line, int) or not 1 <= line <= len(lines):
            return None
        function = "" if function == "<module>" else _text(function, 100)
        return Where(cell, line, lines[line - 1].strip()[:300], function)

    def _note_values(self, values: dict[str, Any]) -> None:
        for name, value in values.items():
            if isinstance(value, int) and value.bit_length() > 1000:  # larger than any float, so kept as a text
                value = str(value)
            if isinstance(value, int | float | str) and len(self.testimony.values) < MOST_VALUES:
                self.testimony.values[_text(name, 100)] = _text(value, 1000) if isinstance(value, str) else value

    def _note_figure(self, text: Any, more: bool) -> None:
        try:
            self._figure += base64.b64decode(text, validate=True)
        except (TypeError, ValueError):
            self._figure, more = b"", False
        if more and len(self._figure) < LARGEST_FIGURE:
            return
        png, self._figure = self._figure, b""
        if png.startswith(b"\x89PNG") and len(self.testimony.figures) < MOST_FIGURES:
            self.testimony.figures.append(png)
            self.listener.figure(png)

    def _end(self, message: dict[str, Any]) -> End:
        kinds = [kind for kind in _list(message.get("kinds"), 50) if isinstance(kind, str) and kind]
        code = message.get("exit_code")
        return End(
            status=_text(message.get("status"), 20),
            kinds=tuple(_text(kind, 200) for kind in kinds) or ("Exception",),
            text=_text(message.get("text"), 20_000),
            frames=tuple(filter(None, map(self._place, _list(message.get("frames"), 20)))),
            reasons=tuple(_text(reason, 2000) for reason in _list(message.get("reasons"), 5)),
            exit_code=code if isinstance(code, int) and abs(code) < 2**31 else 1,
            gpu_peak_mib=_amount(message.get("gpu_peak_mib")),
            gpu_in_use_mib=_amount(message.get("gpu_in_use_mib")),
        )


def _dumped(data: bytes) -> list[tuple[str, int, str]]:
    """The frames of the newest traceback that `faulthandler` printed: file, line and function."""
    newest = THREAD.split(data.decode("ascii", "replace"))[-1]
    frames = itertools.islice(FRAME.finditer(newest), DEEPEST)
    found = [(frame["file"], int(frame["line"]), frame["function"]) for frame in frames]
    # Where the main thread has a signal waiting already, another thread may be picked to print its stack.
    return [] if found and found[-1][2] == "_bootstrap" else found


def _picture(state: bytes) -> dict[str, Any]:
    """What the run last wrote down about itself."""
    try:
        return _dictionary(json.loads(state))
    except (ValueError, RecursionError):
        return {}


def entry(value: Any) -> dict[str, Any] | None:
    """What a run says that is alive, None where it cannot be: `course_utils.sandbox.ledger` says what it has."""
    said = _dictionary(plain(value, DEEPEST_RECORD))
    mib = _amount(said.get("mib"))
    kind = said.get("kind")
    if mib is None or not isinstance(kind, str) or kind not in KINDS:
        return None
    texts = {key: _text(said.get(key), 200) for key in ("name", "scope", "what")}
    return said | texts | {"library": said.get("library") is True, "mib": mib}


def plain(value: Any, deepest: int) -> Any:
    """A value of JSON with bounded texts, lists and numbers; None for what is not one, or lies too deep."""
    if isinstance(value, str):
        return _text(value, 200)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value if abs(value) < LARGEST_NUMBER else None  # not for a number that is none, either
    if isinstance(value, list) and deepest:
        return [plain(part, deepest - 1) for part in value[:MOST_PARTS]]
    if isinstance(value, dict) and deepest:
        parts = itertools.islice(value.items(), MOST_PARTS)
        return {_text(key, 40): plain(part, deepest - 1) for key, part in parts}
    return None


def _text(value: Any, limit: int) -> str:
    """At most ``limit`` characters of a text, "" where it is none; half a character, which no file takes, is a "?"."""
    return value[:limit].encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _list(value: Any, most: int) -> list[Any]:
    return value[:most] if isinstance(value, list) else []


def _dictionary(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _amount(value: Any) -> float | None:
    """An amount of memory in MiB, None where it cannot be one."""
    return float(value) if isinstance(value, int | float) and 0 <= value < 1e9 else None
