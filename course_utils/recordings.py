"""The recording of a run or of a watched notebook: one file of JSON lines, written as it happens, read without trust.

Each line is a JSON object, at most 2 MiB long, whose ``type`` says which of these it is. Memory is in MiB above the
baseline, time in seconds since the beginning. Lines may be a little out of order: a stack is known later than it was.

``header``    first, once: ``version`` (1), ``kind`` (run or watch), ``started_at`` (ISO 8601, UTC), ``file``,
              ``limits`` (what the run is held to, and the ``method`` of measuring), ``interval_ms``,
              ``baseline_mib``, ``machine``, ``versions``
``cell``      the source of a cell or program, before a line of it is named; ``name`` is unique in the file
``sample``    memory at a moment; ``device_mib`` with a GPU
``sighting``  memory at a moment with the ``stack`` then, the innermost function first: [file, function, place or null];
              null for the stack of the sighting before. They are noted where memory has changed.
``event``     a cell ``began`` or ``ended``, or ``raised`` an exception, of which ``text`` is the traceback
``ledger``    what was alive: ``entries`` and ``facts``, as `course_utils.sandbox.ledger` describes; the last one counts
``ending``    last, once: the `Outcome`, field by field, without figures. A recording without one was cut off.

Whoever writes it may be killed at any moment, so each line is handed to the kernel at once, and a reader takes the file
up to the first line that makes no sense. A change that breaks readers raises ``version``.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

from course_utils import postmortem, units
from course_utils.postmortem import End, Limits, Measurement, Outcome, Stack, Testimony
from course_utils.postmortem.evidence import innermost
from course_utils.postmortem.phases import PHASES
from course_utils.sandbox import mailbox

VERSION = 1
LONGEST_LINE, LONGEST_FILE = 2 * 2**20, 64 * 2**20
LARGEST_NUMBER = 1e15
MOST_LINES = 4000  # of one type that are kept
PAUSE, LINES_A_DOUBLING = 0.05, 2000
STATUSES = ("finished", "out_of_memory", "out_of_gpu_memory", "out_of_disk", "timed_out", "raised", "died")


class NotARecording(ValueError):
    """The file is no recording that this version can read; the message is a sentence."""


def _entries(entries: list[Any]) -> list[dict[str, Any]]:
    return [entry for one in entries[: mailbox.MOST_ENTRIES] if (entry := mailbox.entry(one))]


Entries = Annotated[list[dict[str, Any]], AfterValidator(_entries)]
Facts = Annotated[dict[str, Any], AfterValidator(lambda facts: mailbox.plain(facts, mailbox.DEEPEST_RECORD))]


class Header(BaseModel):
    """The first line."""

    type: Literal["header"] = "header"
    version: Literal[1] = VERSION
    kind: Literal["run", "watch"]
    started_at: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    file: str
    limits: Limits
    interval_ms: float = 0.0
    baseline_mib: float = 0.0
    machine: dict[str, str | float] = {}
    versions: dict[str, str] = {}


class Cell(BaseModel):
    """The source of a cell or program."""

    type: Literal["cell"] = "cell"
    name: str
    source: str


class Sample(BaseModel):
    """Memory at a moment."""

    type: Literal["sample"] = "sample"
    seconds: float = Field(ge=0)
    mib: float
    device_mib: float | None = None


class Sighting(BaseModel):
    """Memory at a moment with its stack, None where that is the one of the sighting before."""

    type: Literal["sighting"] = "sighting"
    seconds: float = Field(ge=0)
    mib: float
    stack: Annotated[Stack, Field(max_length=mailbox.DEEPEST)] | None


class Event(BaseModel):
    """What happened to a cell."""

    type: Literal["event"] = "event"
    seconds: float
    what: Literal["began", "ended", "raised"]
    cell: str
    text: str = ""


class Ledger(BaseModel):
    """What was alive at a moment."""

    type: Literal["ledger"] = "ledger"
    seconds: float
    entries: Entries
    facts: Facts = {}


class Ending(BaseModel):
    """The last line."""

    model_config = ConfigDict(allow_inf_nan=False)
    type: Literal["ending"] = "ending"
    outcome: Outcome


Line = Header | Cell | Sample | Sighting | Event | Ledger | Ending
LINE: TypeAdapter[Line] = TypeAdapter(Annotated[Line, Field(discriminator="type")])


class Recorder:
    """Writes a recording. A disk that is full or gone ends the recording, and disturbs no run."""

    def __init__(self, path: Path, header: Header) -> None:
        """Replace ``path``. Raises OSError where it cannot be written."""
        self.file = path.open("wb", buffering=0)
        self._stack: Stack = ()
        self._noted_at = {"sample": -1.0, "sighting": -1.0}
        self.write(header)

    def write(self, line: Line) -> None:
        """Append a line."""
        text = line.model_dump_json(exclude={"outcome": {"figures"}} if isinstance(line, Ending) else None)
        if len(text) < LONGEST_LINE:
            with contextlib.suppress(OSError):
                self.file.write(text.encode() + b"\n")

    def sample(self, seconds: float, mib: float, device_mib: float | None = None) -> None:
        """Note the memory, the more seldom the longer it goes on: the file of a day is still small."""
        if self._is_time("sample", seconds):
            self.write(Sample(seconds=round(seconds, 3), mib=round(mib, 1), device_mib=device_mib))

    def sighting(self, seen: postmortem.Sighting) -> None:
        """Note the memory and the stack, as seldom as that."""
        if self._is_time("sighting", seen.seconds):
            stack = None if seen.stack == self._stack else seen.stack
            self._stack = seen.stack
            self.write(Sighting(seconds=round(seen.seconds, 3), mib=round(seen.mib, 1), stack=stack))

    def _is_time(self, kind: str, seconds: float) -> bool:
        due = seconds - self._noted_at[kind] >= max(PAUSE, seconds / LINES_A_DOUBLING)
        if due:
            self._noted_at[kind] = seconds
        return due


@dataclass
class Recorded:
    """What a file holds. Of very many lines, some are left out."""

    header: Header
    cells: dict[str, str]
    samples: list[Sample]
    sightings: list[postmortem.Sighting]
    events: list[Event]
    ledger: Ledger
    """The last one; an empty one where there is none."""
    ending: Outcome | None
    """None where the recording was cut off."""

    def outcome(self, end: End | None = None, **known: Any) -> Outcome:
        """How it ended, as its writer found it; where that is missing, what the rest of the file shows.

        ``known`` are fields of a `Measurement` that the caller knows from elsewhere, such as
        ``killed_by_kernel=True``; ``end`` is how its code ended. Without any, the recording does not tell why it stops.
        """
        if self.ending:
            return self.ending
        points = [(line.seconds, line.mib) for line in (*self.samples, *self.sightings)]
        trace = sorted(points) or [(0.0, 0.0)]
        found = Measurement(
            limits=self.header.limits,
            interval_ms=self.header.interval_ms,
            baseline_mib=self.header.baseline_mib,
            peak_mib=max(mib for _, mib in trace),
            seconds=trace[-1][0],
            trace=trace,
            sightings=self.sightings,
            cells=list(self.cells.items()),
        )
        stacks = (sighting.stack for sighting in reversed(self.sightings) if sighting.stack)
        line = innermost(next(stacks, ()))
        said = Testimony(end=end, last_line=line, ledger=self.ledger.entries, facts=self.ledger.facts)
        concluded = postmortem.conclude(replace(found, **known), said)
        stops = f"The recording stops after {units.seconds(found.seconds)}, at {units.mib(trace[-1][1])}."
        return concluded if known or end else replace(concluded, message=stops)


def read(path: Path) -> Recorded:
    """Read a recording up to where it makes sense, also while it is being written.

    Raises NotARecording, and OSError where the file cannot be read.
    """
    if not path.is_file():
        raise NotARecording(f"{path} is not a file.")
    kept: dict[type, list[Any]] = defaultdict(list)
    with path.open("rb") as file:
        for line in _lines(file):
            same = kept[type(line)]
            same.append(line)
            if len(same) > MOST_LINES:
                del same[1:-1:2]
    if not kept[Header]:
        raise NotARecording(f"{path} is not a recording of course-utils, or one of a later version.")
    return Recorded(
        header=kept[Header][0],
        cells={cell.name: cell.source for cell in kept[Cell]},
        samples=kept[Sample],
        sightings=sorted(
            (postmortem.Sighting(line.seconds, line.mib, line.stack) for line in kept[Sighting]),
            key=lambda sighting: sighting.seconds,
        ),
        events=kept[Event],
        ledger=kept[Ledger][-1] if kept[Ledger] else Ledger(seconds=0.0, entries=[]),
        ending=kept[Ending][0].outcome if kept[Ending] else None,
    )


def _lines(file: Any) -> Iterator[Line]:
    """The lines of a file, up to the first that makes no sense."""
    stack: Stack = ()
    for number in itertools.count():
        try:
            value = json.loads(file.readline(LONGEST_LINE))
            _check(value)
            line = LINE.validate_python(value)
        except (ValueError, RecursionError):  # of JSON, of pydantic, of a number with too many digits, of the end
            return
        if isinstance(line, Header) != (number == 0) or file.tell() > LONGEST_FILE:
            return
        if isinstance(line, Sighting):
            stack = line.stack = stack if line.stack is None else line.stack
        if isinstance(line, Ending):
            said = line.outcome
            known = said.status in STATUSES and {phase.name for phase in said.phases} <= {*PHASES}
            if known and all(seconds >= 0 for seconds, _ in said.trace):
                values = mailbox.plain(said.values, 1)
                line.outcome = replace(said, ledger=_entries(said.ledger), values=values, figures=[])
                yield line
            return
        yield line


def _check(value: Any) -> None:
    """Raise ValueError where a number is none, or larger than any that is meant."""
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check(part)
    if isinstance(value, int | float) and not abs(value) < LARGEST_NUMBER:
        raise ValueError("not a number")
