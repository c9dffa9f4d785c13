"""The tables that close a lab: common claims against the measurements; versions, to reproduce a figure."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from course_utils.cards import document as card

CLAIM_TONES = {"true": "good", "half true": "warn", "false": "bad", "depends": "warn"}
PACKAGES = ("tensorflow", "keras", "numpy", "pillow", "course-utils")


def claims_card(rows: Sequence[tuple[str, str, str]]) -> card.Document:
    """A table of (claim, what was measured, verdict).

    The verdict is "true", "half true", "false" or "depends", and may go on after a colon: "depends: on the batch size".
    Raises ValueError for any other.
    """
    shown = []
    for claim, measured, verdict in rows:
        word, _, rest = (part.strip() for part in verdict.partition(":"))
        if word not in CLAIM_TONES:
            known = ", ".join(CLAIM_TONES)
            raise ValueError(f"{verdict!r} is not a verdict; it is one of {known}, then perhaps ': why'.")
        shown.append((str(claim), str(measured), card.Cell(word.capitalize(), CLAIM_TONES[word], rest)))
    return card.Document([card.Table(("People say", "Measured here", "Verdict"), shown)])


def versions_card(method: str, seed: int | None = None) -> card.Document:
    """The seed, the versions of what ran, and the method that counted the memory. Imports none of it."""
    rows = [("seed", str(seed))] if seed is not None else []
    rows += [("Python", platform.python_version()), *((name, _version(name)) for name in PACKAGES)]
    return card.Document([card.Table(("What", "Version or value"), [*rows, ("memory counted by", method)])])


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
