"""The graded cells of a notebook session, and the file that is handed in."""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from course_utils.files import write_whole
from course_utils.grading.submission import parse
from course_utils.labs import LabSpec


@dataclass(frozen=True)
class GradedCell:
    """One ``%%graded`` cell as it was last run. ``identity`` is the notebook's id of the cell, "" if it has none."""

    identity: str
    source: str


class Session:
    """Keeps the ``%%graded`` cells of every lab in the order in which they were first run."""

    def __init__(self) -> None:
        self.cells: dict[str, list[GradedCell]] = {}

    def add(self, lab: LabSpec, source: str, identity: str = "") -> list[str]:
        """Add a cell (its source with the magic line) in place of its earlier versions; return all sources of the lab.

        A cell that was edited and run again is known by its ``identity``, or without one by the names that it defines.
        """
        new, cells = GradedCell(identity, source), self.cells.get(lab.number, [])
        earlier = [cell for cell in cells if _is_earlier_version(cell, new, cells, lab)]
        first = earlier[0] if earlier else None
        kept = [new if cell is first else cell for cell in cells if cell is first or cell not in earlier]
        self.cells[lab.number] = kept if earlier else [*kept, new]
        return self.sources(lab)

    def sources(self, lab: LabSpec) -> list[str]:
        """The sources of the lab's graded cells in this session, [] if none was run."""
        return [cell.source for cell in self.cells.get(lab.number, [])]


def _is_earlier_version(old: GradedCell, new: GradedCell, cells: list[GradedCell], lab: LabSpec) -> bool:
    """Whether ``new`` is ``old``, edited. Without identities: whether nobody would miss ``old``.

    A second cell that defines a name again overrides the first, as it does in a kernel, so both can stay. An old cell
    goes only if the new one defines all of its names, or if the new one also defines the function that the lab asks
    for and no cell mentions the names that would be lost: the learner has taken them out.
    """
    if old.identity and new.identity:
        return old.identity == new.identity
    before, after = defined_names(old.source), defined_names(new.source)
    if old.source == new.source or (before and before <= after):
        return True
    others = [cell.source for cell in cells if cell is not old]
    mentioned = set(re.findall(r"\w+", "\n".join([new.source, *others])))
    return lab.function in before & after and not (before - after) & mentioned


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
    """Write the graded cells as a notebook, ``submission_NN.ipynb``, into ``folder`` (default: the working directory).

    Raises:
        OSError: the folder cannot be written.
    """
    import nbformat

    notebook = nbformat.v4.new_notebook()
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.cells = [nbformat.v4.new_markdown_cell(f"Answer to lab {lab.number}, {lab.title}")]
    notebook.cells += [nbformat.v4.new_code_cell(source) for source in sources]
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"submission-{lab.number}-{number}"  # the same answer gives the same file
    path = (folder or Path.cwd()) / f"submission_{lab.number}.ipynb"
    write_whole(path, nbformat.writes(notebook) + "\n")
    return path


def offer_download(path: Path) -> bool:
    """In Colab, have the browser download the file; return whether it did."""
    if "google.colab" not in sys.modules:
        return False
    from google.colab import files

    files.download(str(path))
    return True
