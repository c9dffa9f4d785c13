"""From a submission to a verdict."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "grade_source":
        from course_utils.grading.grade import grade_source

        return grade_source
    if name == "Record":
        from course_utils.grading.record import Record

        return Record
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
