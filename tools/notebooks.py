"""Write the two notebooks of each lab, the solution and the starter, and report those that are out of date."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import yaml

from course_utils import __version__
from tools import answers, quiz, wrong_answers
from tools.source import Cell, Source, SourceError, paths, read

FOLDED = {"setup": "hide-input", "versions": "hide-cell"}
"""Cells with these tags are folded away on the site, by the tag that the book knows."""

_REPOSITORY = "https://github.com/example/out-of-memory"
_COMMAND = "`make labs`"
_IN_COLAB = (
    "**In Colab:** a warning says that Google did not author this notebook. It does so for every notebook from GitHub; "
    "choose *Run anyway*. Your answers are lost unless you choose *File > Save a copy in Drive*."
)


@dataclass(frozen=True)
class Repository:
    """The course's address; badges and setup cells are made from it."""

    url: str
    branch: str

    def colab(self, path: str) -> str:
        """Return the address that opens the notebook at ``path`` in Colab."""
        owner_and_name = self.url.removesuffix(".git").rstrip("/").removeprefix("https://github.com/")
        return f"https://colab.research.google.com/github/{owner_and_name}/blob/{self.branch}/{path}"

    def wheel(self, version: str) -> str:
        """Return the address of the released package; the publish workflow makes the release."""
        return f"{self.url.removesuffix('.git')}/releases/download/v{version}/course_utils-{version}-py3-none-any.whl"


def repository(root: Path) -> Repository:
    """Read the repository's address from ``_config.yml``, the only place that has it."""
    config = root / "_config.yml"
    entry = {}
    if config.is_file():
        entry = (yaml.safe_load(config.read_text(encoding="utf-8")) or {}).get("repository", {})
    return Repository(entry.get("url", _REPOSITORY), entry.get("branch", "main"))


def generate(root: Path) -> list[Path]:
    """Write the notebooks of every lab under ``root``; returns the files that changed, removed ones included.

    Raises:
        SourceError: a lab cannot be read; the sentence names file and line.
    """
    changed = []
    for path, text in _wanted(root).items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    for path in _left_over(root):
        path.unlink()
        changed.append(path)
    return changed


def check(root: Path) -> list[str]:
    """Return one sentence for each notebook that ``generate`` would change, with the reason."""
    reasons = []
    for path, text in _wanted(root).items():
        name = path.relative_to(root)
        if not path.is_file():
            reasons.append(f"{name} is missing: run {_COMMAND}.")
        elif (found := path.read_text(encoding="utf-8")) != text:
            reasons.append(f"{name} is out of date: {_difference(found, text)}; run {_COMMAND}.")
    for path in _left_over(root):
        reasons.append(f"{path.relative_to(root)} has no source in solutions/: run {_COMMAND} to remove it.")
    return reasons


def build(
    source: Source, where: Repository, *, answered: bool, following: Source | None = None
) -> nbformat.NotebookNode:
    """Return one notebook of a lab: the solution if ``answered``, else the starter. Neither has outputs.

    The starter's summary ends with a link to the lab that is ``following``.

    Raises:
        SourceError: an answer or a quiz of the lab is not in its form; the sentence names file and line.
    """
    path = f"{'solutions' if answered else 'labs'}/{source.path.stem}.ipynb"
    rest = source.shown(answered=answered)
    if answered:
        cells = [_cell("markdown", _solution_header(source, where, path), {}, "header")]
    else:
        first = rest.pop(0)
        cells = [_cell("markdown", _lab_header(source, where, path), first.metadata, _identifier(first.text, set()))]
    cells.append(_cell("code", _setup(where), {"tags": ["setup"]}, "setup"))
    taken = {cell.id for cell in cells}
    for cell in rest:
        try:
            text = _text(cell, answered)
            if "summary" in cell.tags and following:
                text += f"\n\n{_next(following, where)}"
        except ValueError as error:
            raise SourceError(f"{source.name}, the cell at line {cell.line}: {error}.") from error
        cells.append(_cell(cell.kind, text, cell.metadata, _identifier(cell.text, taken)))
    if answered and (wrong := wrong_answers.section(source.path.parents[1], source.spec.number)):
        cells.append(_cell("markdown", wrong, {}, "wrong-answers"))
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.nbformat_minor = 5
    notebook.metadata = {
        "course": {"generated_from": source.name, "lab": source.spec.number, "notice": _notice(source)},
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def _wanted(root: Path) -> dict[Path, str]:
    where, wanted = repository(root), {}
    sources = [*map(read, paths(root))]
    for source, following in zip(sources, [*sources[1:], None], strict=True):
        for folder in ("solutions", "labs"):
            notebook = build(source, where, answered=folder == "solutions", following=following)
            wanted[root / folder / f"{source.path.stem}.ipynb"] = nbformat.writes(notebook) + "\n"
    return wanted


def _left_over(root: Path) -> list[Path]:
    """Return generated notebooks whose source is gone."""
    names = {path.stem for path in paths(root)}
    found = [path for folder in ("solutions", "labs") for path in sorted((root / folder).glob("*.ipynb"))]
    return [path for path in found if path.stem not in names and '"generated_from"' in path.read_text("utf-8")]


def _text(cell: Cell, answered: bool) -> str:
    if "graded" in cell.tags and cell.kind == "code":
        return answers.solution(cell.text) if answered else answers.starter(cell.text)
    return quiz.render(cell.text) if "quiz" in cell.tags and cell.kind == "markdown" else cell.text


def _lab_header(source: Source, where: Repository, path: str) -> str:
    title, _, rest = source.cells[0].text.partition("\n")
    time_and_needs = f"**Time:** about {source.spec.minutes} minutes. **Needs:** {source.spec.needs}"
    return "\n\n".join([title, _badge(source, where, path), time_and_needs, _IN_COLAB, rest.strip()])


def _next(source: Source, where: Repository) -> str:
    # A relative link works on the site and in Jupyter, but not in Colab.
    name = f"{source.path.stem}.ipynb"
    return f"Next: [{source.spec.title}]({name}), or [the same in Colab]({where.colab(f'labs/{name}')})."


def _solution_header(source: Source, where: Repository, path: str) -> str:
    lab = f"labs/{source.path.stem}.ipynb"
    return (
        f"# {source.spec.title} (solution)\n\n{_badge(source, where, path)}\n\n"
        f"This is the answer to [lab {source.spec.number}](../{lab}), which you can also "
        f"[open in Colab]({where.colab(lab)}): try it yourself first."
    )


def _badge(source: Source, where: Repository, path: str) -> str:
    picture = "https://colab.research.google.com/assets/colab-badge.svg"
    return f"[![Open in Colab]({picture})]({where.colab(path)})\n<!-- {_notice(source)} -->"


def _notice(source: Source) -> str:
    return f"Generated from {source.name}: edit that file, then run make labs."


def _setup(where: Repository) -> str:
    return (
        "# Install the course's own package where it is missing, in a few seconds. Colab has everything else.\n"
        "# The version is fixed, so that a copy of this notebook still works in a year.\n"
        "from importlib.util import find_spec\n\n"
        'if find_spec("course_utils") is None:\n'
        f"    %pip install --quiet --no-deps {where.wheel(__version__)}\n\n"
        "%load_ext course_utils"
    )


def _cell(kind: str, text: str, metadata: dict[str, Any], identifier: str) -> nbformat.NotebookNode:
    make = nbformat.v4.new_code_cell if kind == "code" else nbformat.v4.new_markdown_cell
    cell = make(text.lstrip("\n"), id=identifier)  # a formatter puts blank lines above a function
    tags = list(metadata.get("tags", ()))
    tags += [fold for tag, fold in FOLDED.items() if tag in tags and kind == "code"]
    cell.metadata = {**metadata, **({"tags": tags} if tags else {})}
    return cell


def _identifier(text: str, taken: set[str]) -> str:
    """Return an identifier made from the cell's own text, so that an edit elsewhere leaves it alone."""
    repeat = 0
    while (name := hashlib.sha256(f"{repeat}{text}".encode()).hexdigest()[:12]) in taken:
        repeat += 1
    taken.add(name)
    return name


def _difference(found: str, wanted: str) -> str:
    try:
        old, new = nbformat.reads(found, as_version=4), nbformat.reads(wanted, as_version=4)
    except Exception:  # whatever is wrong with the file, the reason is the same
        return "it is not a notebook"
    if any(cell.get("outputs") or cell.get("execution_count") for cell in old.cells):
        return "it holds outputs"
    if len(old.cells) != len(new.cells):
        return f"it has {len(old.cells)} cells and its source gives {len(new.cells)}"
    for number, (one, other) in enumerate(zip(old.cells, new.cells, strict=True), start=1):
        if one != other:
            return f"cell {number} differs from its source"
    return "its metadata differs from its source"
