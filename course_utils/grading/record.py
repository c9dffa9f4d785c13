"""The one record that goes from the grader to every report."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata, resources
from typing import Any, TypedDict

SCHEMA = 1
TRACE_POINTS = 300

VERDICTS = (
    "passed",
    "over_budget",
    "inaccurate",
    "out_of_memory",
    "out_of_gpu_memory",
    "timed_out",
    "raised",
    "died",
    "not_attempted",
    "rejected",
)


class Where(TypedDict):
    """The last line of the learner's code that was executing. ``line`` counts from 1 within ``cell``."""

    cell: str
    line: int
    source: str


class Record(TypedDict):
    """One graded answer. Figures are None where nothing ran; ``accuracy`` and ``floor`` are shares of 1."""

    schema: int
    submission: str
    sha256: str
    student: str
    lab: str
    verdict: str
    score: float
    peak_mib: float | None
    budget_mib: float | None
    baseline_mib: float | None
    accuracy: float | None
    floor: float | None
    seconds: float | None
    time_limit: float | None
    method: str
    isolation: str
    message: str
    where: Where | None
    trace: list[list[float]]
    versions: dict[str, str]
    graded_at: str


def make(*, verdict: str, message: str, where: dict[str, Any] | None = None, **fields: Any) -> Record:
    """A valid record; fields that are not given are empty.

    Raises:
        jsonschema.ValidationError: a field is not what the schema says.
    """
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "submission": "",
        "sha256": "",
        "student": "",
        "lab": "",
        "verdict": verdict,
        "score": 0.0,
        **dict.fromkeys(("peak_mib", "budget_mib", "baseline_mib", "accuracy", "floor", "seconds", "time_limit"), None),
        "method": "",
        "isolation": "",
        "message": clean(message, 2000),
        "where": None,
        "trace": [],
        "versions": versions(),
        "graded_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if where:
        record["where"] = {
            "cell": clean(where["cell"], 200),
            "line": int(where["line"]),
            "source": clean(where["source"], 300),
        }
    record.update(fields)
    record["submission"], record["student"] = clean(record["submission"]), clean(record["student"])
    record["trace"] = thinned(record["trace"])
    validate(record)
    return record  # type: ignore[return-value]


def validate(record: Any) -> None:
    """Raise jsonschema.ValidationError where a record breaks the schema."""
    _validator().validate(record)


def clean(text: object, limit: int = 1000) -> str:
    """One bounded line that any terminal, CSV or page can hold: no control characters, no half characters."""
    whole = str(text).encode("utf-8", "replace").decode("utf-8")
    whole = " ".join("".join(letter if letter.isprintable() else " " for letter in whole).split())
    return whole if len(whole) <= limit else whole[: limit - 1] + "…"


def thinned(trace: Sequence[Sequence[float]], points: int = TRACE_POINTS) -> list[list[float]]:
    """At most ``points`` samples; of each stretch the highest stays, so that the peak survives."""
    samples = [[round(float(seconds), 3), round(float(mib), 1)] for seconds, mib in trace]
    if len(samples) <= points:
        return samples
    edges = [len(samples) * index // points for index in range(points + 1)]
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


def schema() -> dict[str, Any]:
    """The JSON Schema of a record."""
    text = resources.files("course_utils.grading").joinpath("record.schema.json").read_text("utf-8")
    return json.loads(text)


@functools.cache
def _validator() -> Any:
    import jsonschema

    return jsonschema.Draft202012Validator(schema())
