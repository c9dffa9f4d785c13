"""Whose files there are: the submissions under the files and folders that an instructor names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from course_utils.grading.submission import SUFFIXES, Answer, Submission, lab_number, read

# What people hand in by mistake. Anything else in a class folder (grades, a read-me) is left alone.
MISTAKEN_SUFFIXES = (".zip", ".7z", ".rar", ".gz", ".pdf", ".docx", ".doc", ".html", ".txt")
IGNORED_FOLDERS = {"__pycache__", "__MACOSX"}


@dataclass(frozen=True)
class Found:
    """A path to read, whose it is, the lab of its folder, and the folder that links must stay inside."""

    path: Path
    student: str
    lab: str = ""
    root: Path | None = None
    problem: str = ""


class NoSuchPath(FileNotFoundError):
    """A path on the command line does not exist; the text is a sentence."""


def read_found(found: Found) -> Submission:
    """Read what :func:`discover` found."""
    if found.problem:
        return Submission(found.path, found.student, "", (Answer(found.lab, problem=found.problem),))
    return read(found.path, student=found.student, lab=found.lab, root=found.root)


def discover(paths: Iterable[Path], *, leave_out: Path | None = None) -> list[Found]:
    """Find the submissions under files and folders.

    A flat folder of files, one folder a student, and nbgrader's ``submitted/STUDENT/LAB/`` are understood.

    Raises:
        NoSuchPath: a path does not exist.
    """
    found: dict[Path, Found] = {}
    for path in map(Path, paths):
        if not os.path.lexists(path):
            raise NoSuchPath(f"{path} does not exist: give a notebook, a script or a folder of them.")
        entries = _walk(path, leave_out) if path.is_dir() and path.suffix not in SUFFIXES else [Found(path, "")]
        for entry in entries:
            found.setdefault(Path(os.path.abspath(entry.path)), entry)
    return [_owned(entry) for entry in found.values()]


def _walk(root: Path, leave_out: Path | None) -> Iterator[Found]:
    skipped = os.path.abspath(leave_out) if leave_out else ""
    closed: list[str] = []
    held: dict[str, list[str]] = {}  # by folder of a student: the files in it, at any depth
    with_answer: set[str] = set()
    for folder, folders, files in os.walk(root, onerror=lambda error: closed.append(error.filename)):
        here = Path(folder)
        bundles = [name for name in folders if name.endswith(SUFFIXES)]
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and name not in IGNORED_FOLDERS
            and name not in bundles
            and os.path.abspath(here / name) != skipped
        )
        suffixes = SUFFIXES + (MISTAKEN_SUFFIXES if here == root else ())
        names = [name for name in files if name.lower().endswith(suffixes) and not name.startswith(".")]
        if here == root:
            held = {name: [] for name in folders}
        else:
            student = here.relative_to(root).parts[0]
            held[student] += files
            if names or bundles:
                with_answer.add(student)
        yield from (Found(here / name, "", root=root) for name in sorted([*names, *bundles]))
    for name in sorted(held.keys() - with_answer - {Path(name).name for name in closed}):
        some = ", ".join(sorted(held[name])[:3]) or "nothing"
        problem = f"The folder {name} holds no .ipynb or .py file (it holds {some}): hand in the notebook."
        yield Found(root / name, name, root=root, problem=problem)
    for name in closed:
        problem = f"The folder {Path(name).name} may not be read by this user: correct its permissions."
        yield Found(Path(name), Path(name).name, root=root, problem=problem)


def _owned(found: Found) -> Found:
    """Add the student and the lab that the folders name."""
    parents = Path(os.path.abspath(found.path)).parent.parts
    lab = lab_number(parents[-1]) if parents else ""
    student = found.student
    if "submitted" in parents[:-1]:
        student = parents[parents.index("submitted") + 1]
    elif found.root is not None and not student:
        inside = found.path.relative_to(found.root).parts
        if len(inside) > 1:
            student = inside[0] if not lab_number(inside[0]) else found.root.resolve().name
    return Found(found.path, student or found.path.stem, lab, found.root, found.problem)
