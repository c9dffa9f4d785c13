"""Cards in the running notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from IPython.display import display

from course_utils import cards, fit, memory
from course_utils.cards import runs, tables
from course_utils.cards.predictions import prediction_card
from course_utils.sandbox import Outcome


def show(document: cards.Document) -> None:
    """Display a card below the cell, or print its text in a terminal."""
    display(cards.bundle(document), raw=True)


def compare(outcomes: Mapping[str, Outcome], alt: str = "") -> None:
    """Show the memory curves of ``outcomes`` (label -> outcome) over each other, and a table below them.

    ``alt`` tells a reader who does not see the picture what it shows. Raises ValueError if there is nothing to compare.
    """
    show(runs.comparison_card(outcomes, alt))


def predict(build_model: fit.BuildModel, batch_size: int, **options: Any) -> fit.Prediction:
    """Show and return what `course_utils.fit.predict` says. Raises `course_utils.fit.CannotPredict` with a sentence."""
    prediction = fit.predict(build_model, batch_size, **options)
    show(prediction_card(prediction))
    return prediction


def claims(rows: Sequence[tuple[str, str, str]]) -> None:
    """Show a table of (claim, what was measured, verdict).

    The verdict is "true", "half true", "false" or "depends", and may go on after a colon: "depends: on the batch size".
    Raises ValueError for any other.
    """
    show(tables.claims_card(rows))


def versions(seed: int | None = None) -> None:
    """Show the seed, the versions of what ran, and the method that counted the memory. Imports none of it."""
    show(tables.versions_card(memory.choose(), seed))
