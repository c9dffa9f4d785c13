"""What an instructor asks of a class beyond what the labs ask: a TOML file, over the course's own values."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from course_utils import labs
from course_utils.grading.record import Record
from course_utils.grading.seed import CannotGrade
from course_utils.units import number, percent


class Policy(BaseModel):
    """The policy of a class. Each field is a key of the file, and its default is what the course does without one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    memory_points: float = Field(50, ge=0, le=100)
    """Points of 100 for memory; the others are for accuracy."""
    floors: dict[str, Annotated[float, Field(gt=0.1, le=1)]] = {}
    """Accuracy that a lab asks for, as a share of 1, by its number, where it is not the lab's own."""
    attempts: int = Field(0, ge=0)
    """How many attempts at a lab count; a later one is rejected. 0 for all."""
    late_points: float = Field(0, ge=0, le=100)
    """Points that a late answer loses."""

    def lab(self, number: str) -> labs.LabSpec:
        """A lab as this policy has it graded. Raises `labs.UnknownLab`."""
        lab = labs.get(number)
        return lab.model_copy(
            update={"memory_points": self.memory_points, "floor": self.floors.get(lab.number, lab.floor)}
        )

    def applied(self, record: Record) -> Record:
        """A student's record under this policy: a late answer loses points, and an attempt too many is rejected."""
        record = record.model_copy(update={"policy": str(self)})
        if self.attempts and record.attempt > self.attempts:
            message = f"This is attempt {record.attempt}, and {self.attempts} count: ask your instructor."
            return record.model_copy(update={"verdict": "rejected", "score": 0.0, "message": message})
        if not (record.late and self.late_points and record.score):
            return record
        lost = min(self.late_points, record.score)
        message = f"{record.message} It came late, which costs {number(lost)} points."
        return record.model_copy(update={"score": round(record.score - lost, 1), "message": message})

    def __str__(self) -> str:
        floors = "".join(f", lab {lab} asks for {percent(floor)}" for lab, floor in sorted(self.floors.items()))
        return (
            f"Policy: {number(self.memory_points)} points for memory, {number(100 - self.memory_points)} for accuracy"
            f"{floors}; {self.attempts or 'all'} attempts count; a late answer loses {number(self.late_points)} points."
        )


def jobs(text: str) -> int:
    """How many jobs ``--jobs`` asks for; 0 for ``auto``. Raises CannotGrade."""
    if text == "auto":
        return 0
    if not text.isdecimal() or not int(text):
        raise CannotGrade(f"--jobs {text}: write a number from 1 on, or auto.")
    return int(text)


def read(path: Path | None) -> Policy:
    """The policy in a file; the course's own without one.

    Raises:
        CannotGrade: the file cannot be read, or does not say what a policy says; the sentence names the key.
    """
    if path is None:
        return Policy()
    try:
        policy = Policy(**tomllib.loads(path.read_text("utf-8")))
        for lab in policy.floors:
            if labs.get(lab).number != lab:
                raise labs.UnknownLab(f"write lab {lab!r} with two digits.")
    except OSError as error:
        raise CannotGrade(f"Cannot read {path}: {error.strerror}.") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        known = ", ".join(Policy.model_fields)
        raise CannotGrade(f"{path}: {key}: {first['msg'].lower()}. The keys of a policy are {known}.") from None
    except (ValueError, labs.UnknownLab) as error:
        raise CannotGrade(f"{path} is no policy: {error}") from None
    return policy
