"""What a run says about its training and its models, read without trust: a rule gets plain values or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from course_utils.postmortem.rules.case import Case


@dataclass(frozen=True)
class Layer:
    """A layer and its output for one batch, in MiB."""

    name: str
    kind: str
    shape: tuple[int, ...]
    mib: float


@dataclass(frozen=True)
class Scores:
    """The scores of an attention layer for one batch, in MiB."""

    name: str
    heads: int
    queries: int
    keys: int
    mib: float


@dataclass(frozen=True)
class Argument:
    """An array that Keras was given. ``variable`` is the learner's name for it, "" where it has none."""

    variable: str
    what: str
    mib: float
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Training:
    """What Keras was doing: its function, its batch and its arrays.

    The function is "call" for a model that the learner's own code calls.
    """

    function: str
    batch_size: int
    arguments: Sequence[Argument]
    tapes: Sequence[str]
    """The gradient tapes that were recording during a call."""
    model: str
    outputs_mib: float
    """The outputs of all layers for a batch; 0 where it is not known."""
    largest: Sequence[Layer]
    attention: Sequence[Scores]


@dataclass(frozen=True)
class Weights:
    """The variables of all models that are alive, in MiB."""

    models: int
    mib: float
    slots_mib: float
    """What optimizers keep for them."""
    optimizer: str
    slots: str
    largest: Sequence[tuple[str, tuple[int, ...], float]]
    """Path, shape and MiB."""
    holders: Sequence[tuple[str, int]]
    """The learner's names that hold models, and how many each."""


def training(case: Case) -> Training:
    """Return what Keras was doing shortly before the end."""
    said, layers = _table(case.facts.get("training")), _table(case.facts.get("layers"))
    batch_size = _whole(said.get("batch_size"))
    known = batch_size == _whole(layers.get("batch"))
    return Training(
        function=_text(said.get("function")),
        batch_size=batch_size,
        arguments=[_argument(_table(one)) for one in _list(said.get("arguments"))],
        tapes=[tape for tape in map(_text, _list(said.get("tapes"))) if tape],
        model=_text(layers.get("model")),
        outputs_mib=_amount(layers.get("mib")) if known else 0.0,
        largest=[
            Layer(_text(name), _text(kind), _shape(shape), _amount(mib))
            for name, kind, shape, mib in _rows(layers.get("largest"), 4)
            if known
        ],
        attention=[
            Scores(_text(name), _whole(heads), _whole(queries), _whole(keys), _amount(mib))
            for name, heads, queries, keys, mib in _rows(layers.get("attention"), 5)
            if known
        ],
    )


def weights(case: Case) -> Weights:
    """Return what is said about the models that were alive shortly before the end."""
    entry = next(iter(case.entries("weights")), {})
    optimizer = next(iter(case.entries("optimizer")), {})
    return Weights(
        models=_whole(entry.get("models")),
        mib=_amount(entry.get("mib")),
        slots_mib=_amount(optimizer.get("mib")),
        optimizer=_text(optimizer.get("name")),
        slots=_text(optimizer.get("what")),
        largest=[(_text(path), _shape(shape), _amount(mib)) for path, shape, mib in _rows(entry.get("largest"), 3)],
        holders=[(_text(name), _whole(count)) for name, count in _rows(entry.get("holders"), 2)],
    )


def _argument(said: dict[str, Any]) -> Argument:
    return Argument(
        _text(said.get("variable")), _text(said.get("what")), _amount(said.get("mib")), _shape(said.get("shape"))
    )


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _rows(value: Any, length: int) -> list[list[Any]]:
    return [row for row in _list(value) if isinstance(row, list) and len(row) == length]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _whole(value: Any) -> int:
    return value if type(value) is int and value >= 0 else 0


def _amount(value: Any) -> float:
    return float(value) if type(value) in (int, float) and value >= 0 else 0.0


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(map(_whole, _list(value)))
