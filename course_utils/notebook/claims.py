"""The tables that close a lab: what people say and what was measured; versions, to reproduce a figure."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from course_utils.notebook.render import Card, escape, html_table, prose, text_table

VERDICTS = {"true": "good", "half true": "warn", "false": "bad", "depends": "warn"}
PACKAGES = ("tensorflow", "keras", "numpy", "pillow", "course-utils")


def claims(rows: Sequence[tuple[str, str, str]]) -> None:
    """Show a table of (claim, what was measured, verdict).

    The verdict is "true", "half true", "false" or "depends", and may go on after a colon: "depends: on the
    batch size". Raises ValueError for any other.
    """
    claims_card(rows).show()


def claims_card(rows: Sequence[tuple[str, str, str]]) -> Card:
    """The card that `claims` shows."""
    html_rows = []
    for claim, measured, verdict in rows:
        word, _, rest = verdict.partition(":")
        if word.strip() not in VERDICTS:
            raise ValueError(f"{verdict!r} is not a verdict; it is one of {', '.join(VERDICTS)}, then perhaps ': why'.")
        said = f'<span class="oom-tone-{VERDICTS[word.strip()]}">{escape(word.strip().capitalize())}</span>'
        html_rows.append([prose(claim), prose(measured), said + (f": {prose(rest.strip())}" if rest else "")])
    header = ("People say", "Measured here", "Verdict")
    return Card(html=html_table(header, html_rows), text=text_table(header, [list(map(str, row)) for row in rows]))


def versions(seed: int | None = None) -> None:
    """Show the seed, the versions of what ran, and the method that counted the memory. Imports none of it."""
    versions_card(seed).show()


def versions_card(seed: int | None = None) -> Card:
    """The card that `versions` shows."""
    from course_utils import memory

    rows = [["seed", str(seed)]] if seed is not None else []
    rows += [["Python", platform.python_version()], *([name, _version(name)] for name in PACKAGES)]
    rows += [
        ["memory counted by", memory.choose()],
    ]
    header = ("What", "Version or value")
    return Card(
        html=html_table(header, [[escape(cell) for cell in row] for row in rows]),
        text=text_table(header, rows),
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
