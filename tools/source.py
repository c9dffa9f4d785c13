"""Read the source of a lab: turn py:percent text into cells, each with its role and its line."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jupytext

from course_utils import labs

ROLES = ("predict", "crash", "explain", "claims", "graded", "own", "summary", "quiz", "versions")
"""The tags that give a cell its place in a lab."""

_MARKER = re.compile(r"^# *%%(%*)(\s|$)")
_PLACEHOLDER = re.compile(r"\{\{ *(\w+) *\}\}")


class SourceError(ValueError):
    """A lab's source cannot be turned into notebooks; the text is a sentence that names file and line."""


@dataclass(frozen=True)
class Cell:
    """One cell of a lab's source."""

    kind: str
    """``"markdown"`` or ``"code"``."""
    text: str
    """The cell's text with its magic uncommented; answers are still in it."""
    line: int
    """Line of the source file where the cell starts, from 1."""
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple(self.metadata.get("tags", ()))

    @property
    def magic(self) -> str:
        """The cell magic with its arguments, such as ``"sandbox --budget 256"``; empty if there is none."""
        first = self.text.split("\n", 1)[0]
        return first[2:].strip() if first.startswith("%%") else ""


@dataclass(frozen=True)
class Source:
    """One lab's source file."""

    path: Path
    spec: labs.LabSpec
    cells: list[Cell]

    @property
    def name(self) -> str:
        """The file as the sentences of ``check`` and ``lint`` name it."""
        return f"solutions/{self.path.name}"

    def shown(self, *, answered: bool) -> list[Cell]:
        """Return the cells of one notebook: the solution if ``answered``, else the lab. Graded cells are in both."""
        return [cell for cell in self.cells if "graded" in cell.tags or ("solution" in cell.tags) == answered]


def paths(root: Path) -> list[Path]:
    """Return the source files of all labs under ``root``, in order."""
    return sorted((root / "solutions").glob("[0-9][0-9]_*.py"))


def read(path: Path) -> Source:
    """Read one lab. In markdown, ``{{budget_mib}}`` stands for that entry of the lab's table in labs.toml.

    Raises:
        SourceError: the lab has no table in labs.toml, or a placeholder names no entry of it.
    """
    text = path.read_text(encoding="utf-8")
    try:
        spec = labs.get(path.name[:2])
    except labs.UnknownLab as error:
        raise SourceError(f"solutions/{path.name} has no table in course_utils/labs.toml.") from error
    if spec.name != path.stem:
        raise SourceError(f"solutions/{path.name} is called {spec.name!r} in course_utils/labs.toml.")
    lines = [number for number, line in enumerate(text.splitlines(), start=1) if _MARKER.match(line)]
    notebook = jupytext.reads(text, fmt="py:percent")
    if not lines or len(lines) != len(notebook.cells):
        raise SourceError(f"solutions/{path.name} must start with a `# %%` line.")
    cells = []
    for line, cell in zip(lines, notebook.cells, strict=True):
        metadata = {key: cell.metadata[key] for key in ("tags", "mystnb") if key in cell.metadata}
        content = cell.source.rstrip()
        if cell.cell_type == "markdown":
            content = _fill(content, spec, f"solutions/{path.name}, the cell at line {line}")
        cells.append(Cell(cell.cell_type, content, line, metadata))
    return Source(path, spec, cells)


def _fill(text: str, spec: labs.LabSpec, place: str) -> str:
    """Replace ``{{name}}`` by that entry of the lab's table, so that prose and grader never disagree."""

    def value(match: re.Match[str]) -> str:
        if not hasattr(spec, match[1]):
            raise SourceError(f"{place}: {{{{{match[1]}}}}} is not in the lab's table in labs.toml.")
        entry = getattr(spec, match[1])
        return f"{entry:,}" if isinstance(entry, int) else f"{entry:g}" if isinstance(entry, float) else str(entry)

    return _PLACEHOLDER.sub(value, text)
