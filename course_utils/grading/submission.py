"""Graded cells out of a notebook or a script, whatever state the file is in.

Nothing here raises for a bad file. A file that cannot be graded becomes an :class:`Answer` whose ``problem``
is one sentence for the learner, so that it costs nobody else a grade.
"""

from __future__ import annotations

import ast
import errno
import hashlib
import json
import os
import re
import stat
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from course_utils import labs

MIB = 2**20
FILE_LIMIT = 20 * MIB
# Code, not weights: of a network that was trained elsewhere, only a very small one fits.
CODE_LIMIT = 16 * 1024

SUFFIXES = (".ipynb", ".py")

Cells = list[tuple[str, str]]

_MAGIC = re.compile(r"^\s*(?:#\s*)?%%graded\b(.*)$")
_PERCENT = re.compile(r"^#\s*%%(?:\s.*)?$")
_NUMBER = re.compile(r"^(\d{1,3})(?!\d)")


@dataclass(frozen=True)
class Answer:
    """The answer to one lab: ``cells`` as (name, source), or the ``problem`` that keeps it from that."""

    lab: str
    cells: Cells = field(default_factory=list)
    problem: str = ""
    where: dict[str, Any] | None = None


@dataclass(frozen=True)
class Submission:
    """What a student handed in. ``sha256`` is empty where the file could not be read."""

    path: Path
    student: str
    sha256: str
    answers: tuple[Answer, ...]


def lab_number(text: str) -> str:
    """The number of the lab that a text starts with ("1", "lab_01", "01_the_data"), else ""."""
    match = _NUMBER.match(text.strip().removeprefix("lab").lstrip("_- "))
    if not match:
        return ""
    try:
        return labs.get(match.group(1)).number
    except labs.UnknownLab:
        return ""


def graded_cells(sources: Iterable[tuple[int, str]]) -> tuple[dict[str, Cells], str]:
    """Sort cell sources into answers.

    Args:
        sources: (lines before it in its file, source) of each code cell, in order; 0 lines in a notebook.

    Returns:
        Cells by lab number, and a sentence on the first ``%%graded`` that names no lab ("" if all do).
        The magic line stays as a comment, so that line numbers are those that the learner sees.
    """
    answers: dict[str, Cells] = {}
    problem = ""
    for lines_before, source in sources:
        stripped = source.lstrip("\n")
        lines_before += len(source) - len(stripped)
        first, _, body = stripped.partition("\n")
        magic = _MAGIC.match(first)
        if not magic:
            continue
        asked = magic.group(1).strip()
        number = lab_number(asked) if re.fullmatch(r"\d{1,3}", asked) else ""
        if not number:
            known = ", ".join(lab.number for lab in labs.specs())
            problem = problem or f"`{first.strip()[:60]}` names no lab; the labs are {known}"
            continue
        cells = answers.setdefault(number, [])
        name = "graded cell" if not cells else f"graded cell {len(cells) + 1}"
        cells.append((name, "\n" * lines_before + f"# %%graded {number}\n" + body))
    return answers, problem


def read(path: Path, *, student: str = "", lab: str = "", root: Path | None = None) -> Submission:
    """Read one file. Never raises for what is in it, nor for a path that cannot be read.

    Args:
        path: ``.ipynb`` or ``.py``.
        student: Whose it is; the name of the file without its suffix by default.
        lab: The lab that its folder stands for, used where the file does not say.
        root: A link must not lead out of this folder.
    """
    path = Path(path)
    student = student or path.stem
    lab = lab_number(path.name) or lab
    name = path.name
    digest = ""
    try:
        data = _read_bytes(path, root)
        digest = hashlib.sha256(data).hexdigest()
        text = _decode(data, name)
        if path.suffix.lower() == ".ipynb":
            found, problem = graded_cells((0, source) for source in _notebook_cells(text, name))
        else:
            found, problem = graded_cells(_percent_cells(text))
            if not found and not problem and lab and not _PERCENT_OR_MAGIC.search(text):
                found = {lab: [("file", text)]}
    except _Unreadable as error:
        return Submission(path, student, digest, (Answer(lab, problem=str(error)),))
    answers = [_checked(number, cells, name) for number, cells in sorted(found.items())]
    if problem:
        answers.append(Answer(lab if lab not in found else "", problem=f"{name}: {problem}."))
    if not answers:
        script = path.suffix.lower() == ".py"
        line, rename = ("# %%graded NN", ", or start the file's name with NN") if script else ("%%graded NN", "")
        advice = f"put `{line}` (NN is the lab's number) in the first line of the cell with your answer{rename}"
        answers = [Answer(lab, problem=f"{name} has no graded cell: {advice}.")]
    return Submission(path, student, digest, tuple(answers))


def untouched(cells: Cells, function: str) -> bool:
    """Whether the starter is all there is: no code, or a ``function`` that does nothing but say so."""
    statements = [node for _, source in cells for node in parse(source).body if not _is_text(node)]
    definitions = [node for node in statements if isinstance(node, ast.FunctionDef) and node.name == function]
    if not definitions:
        return not statements
    for node in definitions[-1].body:
        if isinstance(node, ast.Raise) and _names(node.exc, "NotImplementedError"):
            return True
        if any(isinstance(inner, ast.Return) for inner in ast.walk(node)):
            return False
    return all(isinstance(node, ast.Pass) or _is_text(node) for node in definitions[-1].body)


# Reading bytes and cells


class _Unreadable(Exception):
    """One sentence for the learner."""


_PERCENT_OR_MAGIC = re.compile(r"^(?:#\s*%%(?:\s.*)?|(?:#\s*)?%%graded\b.*)$", re.MULTILINE)


def _read_bytes(path: Path, root: Path | None) -> bytes:
    name = path.name
    if path.suffix.lower() not in SUFFIXES:
        raise _Unreadable(f"{name} is not a notebook: hand in the .ipynb file or a .py script.")
    if root is not None and path.is_symlink():
        target, inside = os.path.realpath(path), os.path.realpath(root)
        if os.path.commonpath([target, inside]) != inside:
            raise _Unreadable(f"{name} is a link to somewhere else: hand in the file itself.")
    try:
        # Without O_NONBLOCK, a pipe called x.ipynb would hold up the whole class.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise _Unreadable(_not_a_file(name, status.st_mode))
            data = file.read(FILE_LIMIT + 1)
    except OSError as error:
        if error.errno == errno.EISDIR or path.is_dir():
            raise _Unreadable(_not_a_file(name, stat.S_IFDIR)) from None
        reason = {
            errno.ENOENT: "does not exist",
            errno.ELOOP: "is a link that leads back to itself",
            errno.EACCES: "may not be read by this user",
        }.get(error.errno, f"cannot be read ({error.strerror})")
        raise _Unreadable(f"{name} {reason}: hand in the file again.") from None
    if len(data) > FILE_LIMIT:
        raise _Unreadable(
            f"{name} is larger than {FILE_LIMIT // MIB} MiB: clear all outputs, save and hand it in again."
        )
    return data


def _not_a_file(name: str, mode: int) -> str:
    what = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
    return f"{name} is {what}: hand in the notebook file itself."


def _decode(data: bytes, name: str) -> str:
    if not data.strip():
        raise _Unreadable(f"{name} is empty: save your notebook and hand it in again.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _Unreadable(
            f"{name} is not UTF-8 text (byte {error.start + 1}): save it as UTF-8 and hand it in again."
        ) from None
    if "\0" in text:
        raise _Unreadable(f"{name} holds binary data: hand in the notebook or the script itself.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _notebook_cells(text: str, name: str) -> Iterator[str]:
    """Sources of the code cells. Ids, kernelspec and metadata may be broken: they are not looked at."""
    try:
        notebook = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise _Unreadable(
            f"{name} is not a whole notebook{line}: open it in Jupyter, save it and hand it in again."
        ) from None
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if cells is None and isinstance(notebook, dict) and isinstance(notebook.get("worksheets"), list):
        # Notebook formats 2 and 3.
        sheets = [sheet for sheet in notebook["worksheets"] if isinstance(sheet, dict)]
        cells = [cell for sheet in sheets if isinstance(sheet.get("cells"), list) for cell in sheet["cells"]]
    if not isinstance(cells, list):
        raise _Unreadable(f"{name} is not a notebook (it has no cells): hand in the .ipynb file of the lab.")
    for cell in cells:
        if isinstance(cell, dict) and cell.get("cell_type") == "code":
            source = cell.get("source", cell.get("input", ""))
            if isinstance(source, list):
                source = "".join(line for line in source if isinstance(line, str))
            if isinstance(source, str):
                # Half a surrogate pair is legal in JSON and nowhere else.
                yield source.encode("utf-8", "replace").decode("utf-8")


def _percent_cells(text: str) -> Iterator[tuple[int, str]]:
    """Code cells of a py:percent script, each with the number of lines before it."""
    start, keep, lines = 0, True, text.split("\n")
    for index, line in enumerate([*lines, "# %%"]):
        if _PERCENT.match(line):
            if keep:
                yield start, "\n".join(lines[start:index])
            start, keep = index + 1, "[markdown]" not in line and "[raw]" not in line


def _checked(number: str, cells: Cells, name: str) -> Answer:
    problem, where = code_problem(cells)
    return Answer(number, cells, f"{name}: {problem}" if problem else "", where)


def code_problem(cells: Cells) -> tuple[str, dict[str, Any] | None]:
    """What keeps the code from being graded, as a sentence and its place: its length, the first syntax error, or an
    import of what the grader does not have.

    ("", None) where there is none.
    """
    if sum(len(source) for _, source in cells) > CODE_LIMIT:
        return f"the answer is longer than {CODE_LIMIT // 1024} KiB: hand in code, not data.", None
    for cell, source in cells:
        try:
            tree = parse(source)
        except SyntaxError as error:
            lines = source.split("\n")
            number = min(max(error.lineno or 1, 1), len(lines))
            text = lines[number - 1].strip()
            advice = f"{error.msg}; correct it and run the cell once before you hand it in"
            if text[:1] in ("!", "%", "?"):
                advice = "a graded cell holds plain Python, so take out lines that start with ! or %"
            problem = f"line {number} of the {cell} is not Python (`{text[:80]}`): {advice}."
            return problem, {"cell": cell, "line": number, "source": text[:200]}
        except (ValueError, RecursionError, MemoryError, OverflowError):
            return f"the {cell} is nested too deeply for Python to read: write it in smaller steps.", None
        for node in ast.walk(tree):
            if _imports_scans(node):
                problem = (
                    f"line {node.lineno} of the {cell} imports course_utils.scans, which the grader does not have: "
                    "read the scans from the folder that your function is given."
                )
                return problem, {"cell": cell, "line": node.lineno, "source": ast.unparse(node)[:200]}
    return "", None


def parse(source: str) -> ast.Module:
    """Read and compile Python, without the warnings that it may deserve; raises what `compile` raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(source)
        compile(tree, "cell", "exec", dont_inherit=True)
        return tree


def _imports_scans(node: ast.AST) -> bool:
    """A hint for the honest, who paste a step of the lab: what keeps others away is the isolation."""
    if isinstance(node, ast.Import):
        return any(name.name == "course_utils.scans" for name in node.names)
    if isinstance(node, ast.ImportFrom):
        from_package = node.module == "course_utils" and any(name.name == "scans" for name in node.names)
        return from_package or node.module == "course_utils.scans"
    return False


def _names(error: ast.expr | None, name: str) -> bool:
    """Whether what is raised is the exception of this name, called or not."""
    raised = error.func if isinstance(error, ast.Call) else error
    return isinstance(raised, ast.Name) and raised.id == name


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
