"""The one record that goes from the grader to every report."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

SCHEMA = 1
TRACE_POINTS = 300

Verdict = Literal[
    "passed",
    "over_budget",
    "inaccurate",
    "out_of_memory",
    "out_of_gpu_memory",
    "out_of_disk",
    "timed_out",
    "raised",
    "died",
    "not_attempted",
    "rejected",
]


def clean(text: object, limit: int = 1000) -> str:
    """One bounded line that any terminal, CSV or page can hold: no control characters, no half characters."""
    whole = str(text).encode("utf-8", "replace").decode("utf-8")
    whole = " ".join("".join(letter if letter.isprintable() else " " for letter in whole).split())
    return whole if len(whole) <= limit else whole[: limit - 1] + "…"


def thinned(trace: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """At most ``TRACE_POINTS`` samples; the highest of each stretch stays, so that the peak survives."""
    samples = [(round(float(seconds), 3), round(float(mib), 1)) for seconds, mib in trace]
    if len(samples) <= TRACE_POINTS:
        return samples
    edges = [len(samples) * index // TRACE_POINTS for index in range(TRACE_POINTS + 1)]
    return [max(samples[low:high], key=lambda sample: sample[1]) for low, high in zip(edges, edges[1:], strict=False)]


@functools.cache
def versions() -> dict[str, str]:
    """Versions of what a verdict depends on; imports none of it."""
    from course_utils import __version__

    found = {"course_utils": __version__, "python": ".".join(map(str, sys.version_info[:3]))}
    for package in ("tensorflow", "keras", "numpy"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _line(limit: int) -> BeforeValidator:
    return BeforeValidator(functools.partial(clean, limit=limit))


Text = Annotated[str, _line(1000)]
Figure = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Sample = tuple[float, float]


class Where(BaseModel):
    """A line of the learner's code. ``line`` counts from 1 within ``cell``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cell: Annotated[str, _line(200)]
    line: int = Field(ge=0)
    source: Annotated[str, _line(300)]

    def __str__(self) -> str:
        return f"{self.cell}, line {self.line}: {self.source}"


class Growth(BaseModel):
    """Memory that came at one line in one phase, and was still there at the end."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mib: Figure
    where: Where | None = Field(None, description="None where no line is known.")
    phase: Annotated[str, _line(40)]


class Phase(BaseModel):
    """A stretch of a run. ``start`` and ``end`` in seconds; ``mib`` is how much more memory there was at its end."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, _line(40)]
    start: Figure
    end: Figure
    mib: float = Field(allow_inf_nan=False)


class Record(BaseModel):
    """One graded answer. Figures are None where nothing ran. A change that breaks readers raises ``schema``.

    Raises:
        pydantic.ValidationError: a field is not what it must be.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", serialize_by_alias=True, json_schema_serialization_defaults_required=True
    )

    schema_version: Literal[1] = Field(SCHEMA, alias="schema")
    submission: Text = Field("", description="The file, as found; empty for an answer graded in a notebook.")
    sha256: str = Field("", pattern="^([0-9a-f]{64})?$", description="Of the file; empty if it could not be read.")
    student: Text = ""
    student_id: Text = Field("", description="The number that the course platform gives the student.")
    attempt: int = Field(1, ge=1, description="Which attempt this is; the newest counts.")
    late: bool = Field(False, description="As the course platform says.")
    identical: bool = Field(False, description="Whether another person handed in the same answer.")
    note: Annotated[str, _line(2000)] = Field("", description="For the instructor: attempts, identical answers.")
    lab: str = Field("", pattern="^([0-9]{2})?$", description="Empty if the file names none.")
    verdict: Verdict
    score: float = Field(0.0, ge=0, le=100)
    peak_mib: Figure | None = Field(None, description="The most memory of the run above its baseline.")
    budget_mib: Figure | None = Field(None, description="The peak that the lab allows.")
    baseline_mib: Figure | None = Field(None, description="Memory before the learner's code ran.")
    accuracy: Share | None = Field(None, description="On the hidden images, as a share of 1.")
    floor: Share | None = Field(None, description="The accuracy that the lab asks for, as a share of 1.")
    peaks_mib: tuple[Figure, ...] = Field((), max_length=3, description="Of all runs that count, in their order.")
    repeated: Text = Field("", description="Why there was more than one run; empty if there was not.")
    seconds: Figure | None = Field(None, description="By the clock.")
    cpu_seconds: Figure | None = Field(None, description="Of all processes of the run together.")
    time_limit: Figure | None = Field(None, description="The CPU seconds that the lab allows.")
    answer_bytes: int | None = Field(None, description="Size of the answer's text.")
    compressed_bytes: int | None = Field(None, description="The same as zlib compresses it.")
    labels_sha256: str = Field("", description="Of the labels given, in one order of the images.")
    review: Text = Field("", description="In what the answer is unlike those of its class; not an accusation.")
    policy: Text = Field("", description="What the instructor asked beyond what the lab asks.")
    method: str = Field("", description="How memory was read.")
    readings: dict[str, Figure] = Field(
        default_factory=dict,
        description="What else was read from outside: course_utils.postmortem.evidence.Readings says what each is.",
    )
    isolation: Literal["", "process", "user", "bwrap"] = ""
    message: Annotated[str, _line(2000), Field(min_length=1)] = Field(
        description="What happened, in a sentence for the learner."
    )
    where: Where | None = Field(None, description="The last line of the learner's code that was executing.")
    blame: Where | None = Field(None, description="The line that put the memory there; often the same as `where`.")
    cause: Text = Field("", description="The likely cause, with its evidence; empty where it is not known.")
    remedy: Text = Field("", description="What to do about the cause.")
    cause_lab: str = Field("", pattern="^([0-9]{2})?$", description="The lab that teaches it.")
    growth: tuple[Growth, ...] = Field(
        (), max_length=3, description="Of a run that died: the lines at which the most memory came, the largest first."
    )
    phases: tuple[Phase, ...] = Field(
        (), max_length=8, description="What the run was doing, in order; the names are those of the post-mortem."
    )
    trace: Annotated[tuple[Sample, ...], BeforeValidator(thinned)] = Field(
        (), description="Seconds, and MiB above the baseline."
    )
    versions: dict[str, str] = Field(default_factory=versions)
    graded_at: str = Field(
        default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"),
        json_schema_extra={"format": "date-time"},
    )


def schema() -> dict[str, Any]:
    """The JSON Schema of a record as results.json holds it."""
    return Record.model_json_schema(mode="serialization")
