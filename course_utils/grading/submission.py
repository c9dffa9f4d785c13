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
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from course_utils import labs
from course_utils.labs import LabSpec

MIB = 2**20
FILE_LIMIT = 20 * MIB
SCRIPT_LIMIT = MIB  # a script holds no outputs
# With the empty lines that keep the line numbers of a script.
TEXT_LIMIT = MIB

SUFFIXES = (".ipynb", ".py")

Cells = Sequence[tuple[str, str]]

_MAGIC = re.compile(r"[ \t]*(?:#[ \t]*)?%%graded\b(.*)")
_PERCENT = re.compile(r"#[ \t]*%%(?:[ \t].*)?")
_NUMBER = re.compile(r"(\d{1,3})(?!\d)")
_NAMED = re.compile(r"(?<![a-z0-9])(?:lab|submission)[ _-]*(\d{1,3})(?!\d)", re.IGNORECASE)
_LAB_FOLDER = re.compile(r"(?:lab[ _-]?)?(\d{1,3})", re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """The answer to one lab: ``cells`` as (name, source), or the ``problem`` that keeps it from being graded."""

    lab: str
    cells: Cells = ()
    problem: str = ""
    where: dict[str, Any] | None = None
    attempted: bool = True
    """False for a starter that was handed in as it was."""
    rank: int = 3
    """What counts beside other files of a student: 3 graded cells, or a file too broken to have any; 2 a script that
    defines the function of its lab; 1 a notebook, and 0 a script, that holds no answer."""


@dataclass(frozen=True)
class Submission:
    """What a student handed in. ``sha256`` is empty where the file could not be read."""

    path: Path
    student: str
    sha256: str
    answers: tuple[Answer, ...]
    student_id: str = ""
    place: str = ""
    """The folder of the class: two students of one name in two places are two people."""
    late: bool = False
    attempt: int = 1
    note: str = ""
    """What the instructor should know besides the verdict."""
    identical: bool = False
    """Whether another person handed in the same answer."""


def lab_number(text: str) -> str:
    """The number of the lab that a text starts with or names ("1", "01_the_data", "ann_submission_01"), else ""."""
    return _known(_NUMBER.match(text.strip().removeprefix("lab").lstrip("_- "))) or _known(_NAMED.search(text))


def lab_of_folder(name: str) -> str:
    """The number of the lab that a folder is named after as a whole ("01", "lab_01", a lab's own name), else ""."""
    numbers = {lab.name: lab.number for lab in labs.specs()}
    return numbers.get(name) or _known(_LAB_FOLDER.fullmatch(name))


def _known(match: re.Match[str] | None) -> str:
    try:
        return labs.get(match[1]).number if match else ""
    except labs.UnknownLab:
        return ""


def graded_cells(sources: Iterable[tuple[int, str]]) -> tuple[dict[str, Cells], str]:
    """Sort cell sources into answers.

    Args:
        sources: (lines before it in its file, source) of each code cell, in order; 0 lines in a notebook.

    Returns:
        Cells by lab number, and a sentence on the first ``%%graded`` that names no lab ("" if all do).
        The magic line stays as a comment, so that line numbers are those that the learner sees. An answer that is
        too long to be graded is cut off, still too long.
    """
    answers: dict[str, list[tuple[str, str]]] = {}
    room: dict[str, int] = {}
    problem = ""
    for lines_before, source in sources:
        stripped = source.lstrip("\n")
        lines_before += len(source) - len(stripped)
        first, _, body = stripped.partition("\n")
        magic = _MAGIC.fullmatch(first)
        if not magic:
            continue
        number = _known(re.fullmatch(r"(\d{1,3})", magic[1].strip()))
        if not number:
            known = ", ".join(lab.number for lab in labs.specs())
            problem = problem or f"`{first.strip()[:60]}` names no lab; the labs are {known}"
            continue
        cells = answers.setdefault(number, [])
        if room.setdefault(number, TEXT_LIMIT) < 0:
            continue
        text = "\n" * lines_before + f"# %%graded {number}\n" + body[: TEXT_LIMIT + 1]
        room[number] -= len(text)
        cells.append(("graded cell" if not cells else f"graded cell {len(cells) + 1}", text))
    return {number: tuple(cells) for number, cells in answers.items()}, problem


def read(path: Path, *, student: str = "", lab: str = "", root: Path | None = None, name: str = "") -> Submission:
    """Read one file. Never raises for what is in it, nor for a path that cannot be read.

    Args:
        path: ``.ipynb`` or ``.py``.
        student: Whose it is; the name of the file without its suffix by default.
        lab: The lab that its folder stands for, used where the file does not say.
        root: A link must not lead out of this folder.
        name: What the student called the file, where a course platform has renamed it.
    """
    path = Path(path)
    student = student or path.stem
    name = name or path.name
    lab = lab_number(name) or lab
    digest, script, whole = "", path.suffix.lower() == ".py", False
    try:
        data = _read_bytes(path, root)
        digest = hashlib.sha256(data).hexdigest()
        text = _decode(data, name)
        if path.suffix.lower() == ".ipynb":
            found, problem = graded_cells((0, source) for source in _notebook_cells(text, name))
        else:
            found, problem = graded_cells(_percent_cells(text))
            cells = any(_PERCENT.fullmatch(line) or _MAGIC.fullmatch(line) for line in text.split("\n"))
            if not found and not problem and lab and not cells:
                found, whole = {lab: (("file", text),)}, True
    except _Unreadable as error:
        rank = 3 if path.suffix.lower() == ".ipynb" or (script and lab_number(name)) else 0
        return Submission(path, student, digest, (Answer(lab, problem=str(error), rank=rank),))
    answers = [check(labs.get(number), cells, f"{name}: ") for number, cells in sorted(found.items())]
    if whole:
        function = labs.get(lab).function
        defines = re.search(rf"^(def {function}\b|{function}\s*=)", text, re.MULTILINE)
        answers = [replace(answers[0], rank=2 if defines or lab_number(name) else 0)]
    if problem:
        answers.append(Answer(lab if lab not in found else "", problem=f"{name}: {problem}."))
    if not answers:
        line, rename = ("# %%graded NN", ", or start the file's name with NN") if script else ("%%graded NN", "")
        advice = f"put `{line}` (NN is the lab's number) in the first line of the cell with your answer{rename}"
        answers = [Answer(lab, problem=f"{name} has no graded cell: {advice}.", rank=0 if script else 1)]
    return Submission(path, student, digest, tuple(answers))


def check(lab: LabSpec, cells: Cells, before: str = "") -> Answer:
    """Parse an answer to a lab, once, and say what keeps it from being graded: its length, a syntax error, or an
    import of what the grader does not have. The sentence comes after the words ``before``.
    """
    if sum(len(source) for _, source in cells) > TEXT_LIMIT:
        return _refused(lab, before, "the graded cells lie too far down in a long file: hand in a shorter one.")
    for size, limit, packed in zip(
        size_bytes(cells), (lab.answer_bytes, lab.compressed_bytes), ("", " when compressed"), strict=True
    ):
        if size > limit:
            long = f"the answer has {size:,} bytes{packed}, and this lab takes at most {limit:,}"
            return _refused(lab, before, f"{long}: hand in code that trains a model, not data.")
    statements: list[ast.stmt] = []
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
            return _refused(lab, before, problem, {"cell": cell, "line": number, "source": text[:200]})
        except (ValueError, RecursionError, MemoryError, OverflowError):
            problem = f"the {cell} is nested too deeply for Python to read: write it in smaller steps."
            return _refused(lab, before, problem)
        for node in ast.walk(tree):
            if _imports_scans(node):
                problem = (
                    f"line {node.lineno} of the {cell} imports course_utils.scans, which the grader does not have: "
                    "read the scans from the folder that your function is given."
                )
                where = {"cell": cell, "line": node.lineno, "source": ast.unparse(node)[:200]}
                return _refused(lab, before, problem, where)
        statements += tree.body
    return Answer(lab.number, tuple(cells), attempted=not _untouched(statements, lab.function))


def size_bytes(cells: Cells) -> tuple[int, int]:
    """The bytes of an answer as they stand, and compressed by zlib: code gets much smaller, trained weights do not."""
    text = "\n".join(source.lstrip("\n") for _, source in cells).encode("utf-8", "replace")
    return len(text), len(zlib.compress(text, 9))


def _refused(lab: LabSpec, before: str, problem: str, where: dict[str, Any] | None = None) -> Answer:
    return Answer(lab.number, problem=before + (problem if before else problem[:1].upper() + problem[1:]), where=where)


def parse(source: str) -> ast.Module:
    """Read and compile Python, without the warnings that it may deserve; raises what `compile` raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(source)
        compile(tree, "cell", "exec", dont_inherit=True)
        return tree


def _untouched(body: Iterable[ast.stmt], function: str) -> bool:
    """Whether the starter is all there is: no code, or a ``function`` that only raises NotImplementedError."""
    statements = [node for node in body if not _is_text(node)]
    definitions = [node for node in statements if isinstance(node, ast.FunctionDef) and node.name == function]
    if not definitions:
        return not statements
    for node in definitions[-1].body:
        if isinstance(node, ast.Raise):
            raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            if isinstance(raised, ast.Name) and raised.id == "NotImplementedError":
                return True
        if any(isinstance(inner, ast.Return) for inner in ast.walk(node)):
            return False
    return all(isinstance(node, ast.Pass) or _is_text(node) for node in definitions[-1].body)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _imports_scans(node: ast.AST) -> bool:
    """A hint for the honest, who paste a step of the lab: isolation is what keeps others away."""
    if isinstance(node, ast.Import):
        return any(name.name == "course_utils.scans" for name in node.names)
    if isinstance(node, ast.ImportFrom):
        from_package = node.module == "course_utils" and any(name.name == "scans" for name in node.names)
        return from_package or node.module == "course_utils.scans"
    return False


# Reading bytes and cells


class _Unreadable(Exception):
    """One sentence for the learner."""


def _read_bytes(path: Path, root: Path | None) -> bytes:
    name = path.name
    if path.suffix.lower() not in SUFFIXES:
        raise _Unreadable(f"{name} is not a notebook: hand in the .ipynb file or a .py script.")
    if root is not None and path.is_symlink():
        target, inside = os.path.realpath(path), os.path.realpath(root)
        if os.path.commonpath([target, inside]) != inside:
            raise _Unreadable(f"{name} is a link to somewhere else: hand in the file itself.")
    if os.path.isdir(path):
        raise _Unreadable(f"{name} is a folder: hand in the notebook file itself.")
    limit = FILE_LIMIT if path.suffix.lower() == ".ipynb" else SCRIPT_LIMIT
    try:
        # Without O_NONBLOCK, a pipe called x.ipynb would hold up the whole class.
        with open(path, "rb", opener=lambda file, flags: os.open(file, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise _Unreadable(f"{name} is not a regular file: hand in the notebook file itself.")
            data = file.read(limit + 1)
    except OSError as error:
        reason = {
            errno.ENOENT: "does not exist",
            errno.ELOOP: "is a link that leads back to itself",
            errno.EACCES: "may not be read by this user",
        }.get(error.errno, f"cannot be read ({error.strerror})")
        raise _Unreadable(f"{name} {reason}: hand in the file again.") from None
    if len(data) > limit:
        advice = "clear all outputs, save and hand it in again" if limit == FILE_LIMIT else "hand in code, not data"
        raise _Unreadable(f"{name} is larger than {limit // MIB} MiB: {advice}.")
    return data


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
        if _PERCENT.fullmatch(line):
            if keep:
                yield start, "\n".join(lines[start:index])
            start, keep = index + 1, "[markdown]" not in line and "[raw]" not in line
