"""The graded cells of a notebook session, and the file that is handed in."""

from __future__ import annotations

import ast
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat

from course_utils.grading.submission import parse
from course_utils.labs import LabSpec


@dataclass(frozen=True)
class GradedCell:
    """One `%%graded` cell as it was last run. `identity` is the notebook's id of the cell, "" where it has none."""

    identity: str
    source: str


class Session:
    """Keeps the `%%graded` cells of every lab in the order in which they were first run."""

    def __init__(self) -> None:
        self.cells: dict[str, list[GradedCell]] = {}

    def add(self, lab: LabSpec, source: str, identity: str = "") -> list[str]:
        """Add a cell (its source with the magic line), in place of its earlier version.

        A cell that was edited and run again is known by its `identity`. Without one it replaces the cells that
        define the same functions and classes. Returns all sources of the lab.
        """
        new = GradedCell(identity, source)
        kept: list[GradedCell] = []
        placed = False
        for cell in self.cells.get(lab.number, []):
            if not _same_cell(cell, new):
                kept.append(cell)
            elif not placed:
                kept.append(new)
                placed = True
        if not placed:
            kept.append(new)
        self.cells[lab.number] = kept
        return self.sources(lab)

    def sources(self, lab: LabSpec) -> list[str]:
        """The sources of the lab's graded cells in this session, [] if none was run."""
        return [cell.source for cell in self.cells.get(lab.number, [])]


def _same_cell(old: GradedCell, new: GradedCell) -> bool:
    if old.identity and new.identity:
        return old.identity == new.identity
    return old.source == new.source or bool(defined_names(old.source) & defined_names(new.source))


def defined_names(source: str) -> set[str]:
    """The functions and classes that a cell defines at its top level, else the names that it assigns there."""
    body = source.split("\n", 1)[1] if source.startswith("%%") and "\n" in source else source
    try:
        nodes = parse(body).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set(re.findall(r"^(?:async\s+def|def|class)\s+(\w+)", body, re.MULTILINE))
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    if names := {node.name for node in nodes if isinstance(node, definitions)}:
        return names
    targets = [target for node in nodes if isinstance(node, ast.Assign) for target in node.targets]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def write_submission(lab: LabSpec, sources: list[str], folder: Path | None = None) -> Path:
    """Write the graded cells as a notebook, `submission_NN.ipynb`, into `folder` (default: the working directory).

    Raises OSError where the folder cannot be written.
    """
    notebook = nbformat.v4.new_notebook()
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.cells = [nbformat.v4.new_markdown_cell(f"Answer to lab {lab.number}, {lab.title}")]
    notebook.cells += [nbformat.v4.new_code_cell(source) for source in sources]
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"submission-{lab.number}-{number}"  # the same answer gives the same file
    path = (folder or Path.cwd()) / f"submission_{lab.number}.ipynb"
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    os.replace(temporary, path)
    return path


def offer_download(path: Path) -> bool:
    """In Colab, have the browser download the file; returns whether it did."""
    if "google.colab" not in sys.modules:
        return False
    from google.colab import files

    files.download(str(path))
    return True
