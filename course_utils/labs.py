"""What the course knows about each lab: ``labs.toml`` as typed records."""

from __future__ import annotations

import functools
import tomllib
from importlib import resources

from pydantic import BaseModel, ConfigDict, ValidationError

Number = int | float  # as it is written: 240 stays 240 on a page


class UnknownLab(LookupError):
    """A lab number that the course does not have; its text is one sentence for the learner."""


class LabSpec(BaseModel):
    """One lab: what its page says and what the grader asks for. Memory is in MiB above the baseline."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: str
    """Two digits, such as ``"01"``."""
    name: str
    """File name without its suffix, in ``solutions/`` and in ``labs/``."""
    title: str
    minutes: int
    """How long a learner takes."""
    needs: str
    """What the machine must have, as a sentence."""
    budget_mib: Number
    """The peak that the graded answer may reach; it is killed at the cap, twice the budget."""
    floor: Number
    """Accuracy on the hidden images, between 0 and 1, that earns full marks."""
    time_limit: Number
    """CPU seconds, of all processes together, for training and prediction together."""
    train_count: int
    """Number of images in the folder that ``train`` is given."""
    image_size: int
    """Height and width of each image, in pixels."""
    hidden_count: int
    """Number of hidden images that the answer is scored on."""
    takeaway: str
    """The sentence to remember."""
    hints: tuple[str, str, str]
    """Three hints, from a nudge to almost the answer."""
    answer_bytes: int = 4096
    """Size that the text of an answer may reach, so that it holds code and no trained network."""
    compressed_bytes: int = 2048
    """The same for the text as zlib compresses it."""
    memory_points: Number = 50
    """Points of 100 for memory; the others are for accuracy."""
    gpu_budget_mib: Number | None = None
    """Device memory that the answer may use where there is a GPU."""
    function: str = "train"
    """The function that the lab asks for."""
    distorted: bool = False
    """Whether the hidden images are distorted more strongly than the training images."""
    least_speed: Number | None = None
    """How fast ``make_dataset`` must give images, as a multiple of a plain loop: 0.75 allows a third more time."""
    compress_mib: Number | None = None
    """Where ``compress`` is killed, in a lab that asks for it; the budget is then for loading and predicting."""
    saved_kib: Number | None = None
    """Size in KiB that the file which ``compress`` writes may reach; None where it does not matter."""

    @property
    def cap_mib(self) -> Number:
        """Where a graded run is killed."""
        return 2 * self.budget_mib


def get(number: str | int) -> LabSpec:
    """Return the lab with this number: ``"01"``, ``"1"`` and ``1`` are the same lab. Raises UnknownLab."""
    text = str(number).strip()
    key = text.zfill(2)
    if not text or key not in _read():
        raise UnknownLab(f"There is no lab {text!r}; the labs are {', '.join(_read())}.")
    return _read()[key]


def specs() -> list[LabSpec]:
    """Return every lab in the order of its number."""
    return list(_read().values())


@functools.cache
def _read() -> dict[str, LabSpec]:
    return parse(resources.files("course_utils").joinpath("labs.toml").read_text(encoding="utf-8"))


def parse(text: str) -> dict[str, LabSpec]:
    """Read the text of a ``labs.toml``; returns each lab under its two-digit number.

    Raises:
        ValueError: A table lacks a key, has one too many, or a value that does not fit; one sentence.
    """
    labs = {}
    for number, table in sorted(tomllib.loads(text).items()):
        try:
            lab = LabSpec(**table | {"number": number})
        except ValidationError as error:
            problems = error.errors()
            missing = ", ".join(str(one["loc"][0]) for one in problems if one["type"] == "missing")
            words = (
                f"lacks {missing}" if missing else f"has a bad {problems[0]['loc'][0]}: {problems[0]['msg'].lower()}"
            )
            raise ValueError(f"labs.toml: lab {number} {words}.") from None
        if not lab.name.startswith(f"{number}_"):
            raise ValueError(f"labs.toml: lab {number} has the name {lab.name!r}, which must start with {number}_.")
        labs[number] = lab
    return labs
