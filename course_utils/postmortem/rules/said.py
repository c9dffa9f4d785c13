"""What a run says of itself, in types that rules can rely on. What is missing or of a wrong type has its default.

`course_utils.sandbox.ledger` writes it. Memory is in MiB.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationInfo, field_validator

Amount = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]
Shape = Annotated[tuple[Count, ...], Strict(False)]
MIB = 2**20
NUMBERS = {"float", "int", "complex"}
TEXTS = {"str", "bytes", "bytearray"}


class Said(BaseModel):
    """A lie costs no more than the field that holds it."""

    model_config = ConfigDict(frozen=True, strict=True)

    @field_validator("*", mode="wrap")
    @classmethod
    def _or_default(cls, value: Any, read: Any, field: ValidationInfo) -> Any:
        try:
            return read(value)
        except ValueError:
            return cls.model_fields[field.field_name].get_default(call_default_factory=True)


class Entry(Said):
    """Something that was alive: an array, a list, a stage of a pipeline, the weights of all models."""

    kind: str = ""
    name: str = ""
    scope: str = ""
    library: bool = False
    what: str = ""
    mib: Amount = 0.0
    """How much of it can have been in memory."""
    whole_mib: Amount = 0.0
    """Its size by shape and type. Memory that was asked for and not written to yet is not there yet."""
    made_by: str = ""
    """The function of a library that had no other name for it, where ``name`` is what the learner would call it."""
    dtype: str = "object"
    shape: Shape = ()
    """Of a list, that of a typical member."""
    count: Count | None = None
    zeros: Annotated[float, Field(ge=0, le=1)] = 0.0
    one_hot: bool = False
    grows: bool = False
    op: str = ""
    element_mib: Amount = 0.0
    models: Count = 0
    largest: list[Annotated[tuple[str, Shape, Amount], Strict(False)]] = []
    """Path, shape and size of the largest weights."""
    holders: list[Annotated[tuple[str, Count], Strict(False)]] = []
    """The learner's names that hold models, and how many each."""
    traces: Count = 0

    @property
    def bytes_each(self) -> int:
        """The bytes of one number."""
        digits = "".join(letter for letter in self.dtype if letter.isdigit())
        return int(digits) // 8 if digits and self.dtype[0] != "<" else 1 if self.dtype == "bool" else 8

    @property
    def data_mib(self) -> float:
        """An array, or a typical member of a list, by its shape."""
        return math.prod(self.shape) * self.bytes_each / MIB

    @property
    def shared(self) -> bool:
        """Whether the members of a list are parts of one array: views, such as windows over a series."""
        alike = f" {self.count or 0:,} x " in self.what
        return self.kind == "list" and bool(self.shape) and alike and self.data_mib * self.count > 2 * self.mib

    @property
    def numbers(self) -> bool:
        """Whether it is a list of arrays, and not of Python's own numbers or texts."""
        return bool(self.shape) and self.dtype not in NUMBERS | TEXTS

    def holding(self, amount: float) -> Self:
        """Return the same with another amount in memory."""
        return self.model_copy(update={"mib": amount})


class Layer(NamedTuple):
    """A layer and its output for one batch."""

    name: str
    kind: str
    shape: Shape
    mib: Amount


class Scores(NamedTuple):
    """The scores of an attention layer for one batch; ``before`` is the output of all layers before it."""

    name: str
    heads: Count
    queries: Count
    keys: Count
    mib: Amount
    before: Amount = 0.0


class Argument(Said):
    """An array that Keras was given. ``variable`` is the learner's name for it, "" where it has none."""

    variable: str = ""
    mib: Amount = 0.0
    shape: Shape = ()


class Queue(Said):
    """The batches that workers may hold ready."""

    most: Count = 0
    batch_mib: Amount = 0.0


class Training(Said):
    """What Keras was doing. The function is "call" for a model that the learner's own code calls."""

    function: str = ""
    batch_size: Count = 0
    arguments: list[Argument] = []
    tapes: list[str] = []
    """The gradient tapes that were recording during a call."""
    step: Count | None = None
    epoch: Count | None = None
    steps: Count | None = None
    queue: Queue = Queue()


class Layers(Said):
    """The outputs of all layers for a batch; 0 where they are not known."""

    model: str = ""
    batch: Count = 0
    mib: Amount = 0.0
    largest: list[Layer] = []
    attention: list[Scores] = []


class Facts(Said):
    """What Keras was doing shortly before the end, and figures of the run's own."""

    training: Training = Training()
    layers: Layers = Layers()
    resident_mib: Amount | None = None
    tensorflow_mib: Amount = 0.0
    processes: Count = 0
