"""Find the submissions under the files and folders that an instructor names, and whose each one is.

The path that is given decides the layout; no folder inside a student's can change whose the files are.

- A file belongs to the student that its name gives, without the suffix: ``ada.ipynb`` is ada's.
- The files directly in a given folder are a flat class: each belongs to the student that its name gives.
- Each folder in a given folder is a student's, with all that it holds: ``1/``, ``01-ada/`` and ``13 bob/`` are
  students. It may be a link. Links inside it may not lead out of it.
- nbgrader's layout, ``submitted/STUDENT/LAB/``, is known by the name ``submitted``: of the given folder, of the only
  folder in it besides nbgrader's ``source``, ``release``, ``autograded`` and ``feedback``, or right above STUDENT where
  STUDENT, STUDENT/LAB or STUDENT/LAB/FILE is given.
- A given folder is one student's if it holds nothing but folders named after labs (``lab01``, ``lab_2``, a lab's own
  name). Bare numbers (``1``, ``02``) are students.
- A file answers the lab that its cells name, else that of its own name, else that of the nearest folder whose whole
  name is a lab (``01``, ``lab_01``, a lab's own name).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from course_utils.grading.seed import CannotGrade
from course_utils.grading.submission import SUFFIXES, Answer, Submission, lab_of_folder, read

# What people hand in by mistake. Anything else in a class folder (grades, a read-me) is left alone.
MISTAKEN_SUFFIXES = (".zip", ".7z", ".rar", ".gz", ".pdf", ".docx", ".doc", ".html", ".txt")
IGNORED_FOLDERS = {"__pycache__", "__MACOSX"}
SUBMITTED = "submitted"
OTHER_OF_NBGRADER = {"source", "release", "autograded", "feedback"}


@dataclass(frozen=True)
class Found:
    """A path to read, whose it is, the lab of its folder, and the folder that links must stay inside."""

    path: Path
    student: str
    lab: str = ""
    root: Path | None = None
    problem: str = ""


def read_found(found: Found) -> Submission:
    """Read what :func:`discover` found."""
    if found.problem:
        return Submission(found.path, found.student, "", (Answer(found.lab, problem=found.problem),))
    return read(found.path, student=found.student, lab=found.lab, root=found.root)


def discover(paths: Iterable[Path], *, leave_out: Path | None = None) -> list[Found]:
    """Find the submissions under files and folders, in the layouts above.

    Raises:
        CannotGrade: a path does not exist, or none of them holds a submission.
    """
    found: dict[Path, Found] = {}
    paths = list(map(Path, paths))
    for path in paths:
        if not os.path.lexists(path):
            raise CannotGrade(f"{path} does not exist: give a notebook, a script or a folder of them.")
        for entry in _under(Path(os.path.abspath(path)), leave_out and Path(os.path.abspath(leave_out))):
            found.setdefault(entry.path, entry)
    if not found:
        raise CannotGrade(f"There is no .ipynb or .py file under {', '.join(map(str, paths))}.")
    return list(found.values())


def _under(path: Path, leave_out: Path | None) -> Iterator[Found]:
    above, lab = path.parent, lab_of_folder(path.name)
    if not os.path.isdir(path) or path.name.endswith(SUFFIXES):
        lab = lab_of_folder(above.name)
        nbgrader = lab and above.parent.parent.name == SUBMITTED
        yield Found(path, above.parent.name if nbgrader else path.stem, lab)
        return
    try:
        entries = sorted(os.listdir(path))
    except OSError:
        yield _closed(path, path.name)
        return
    folders = [name for name in entries if os.path.isdir(path / name) and _is_kept(path / name, leave_out)]
    files = [name for name in entries if name not in folders and not name.startswith(".")]
    files = [name for name in files if name.lower().endswith(SUFFIXES + MISTAKEN_SUFFIXES)]
    if lab and above.parent.name == SUBMITTED:
        yield from _of_student(path, above.name, lab, leave_out)
    elif folders and not files and all(_is_lab(name, bare=above.name == SUBMITTED) for name in folders):
        yield from _of_student(path, path.name, "", leave_out)
    elif {SUBMITTED} <= set(folders) <= {SUBMITTED, *OTHER_OF_NBGRADER} and set(files) <= {"nbgrader_config.py"}:
        yield from _under(path / SUBMITTED, leave_out)
    else:
        yield from (Found(path / name, Path(name).stem, lab, path) for name in files)
        for name in folders:
            yield from _of_student(path / name, name, lab, leave_out)


def _of_student(folder: Path, student: str, lab: str, leave_out: Path | None) -> Iterator[Found]:
    """All that a student's folder holds, or one sentence on why that is nothing."""
    if folder.is_symlink() and Path(os.path.realpath(folder.parent)).is_relative_to(os.path.realpath(folder)):
        problem = f"The folder {folder.name} is a link to a folder that holds it: put the student's own folder there."
        yield Found(folder, student, lab, folder, problem)
        return
    found: list[Found] = []
    held: list[str] = []
    for here, folders, files in os.walk(folder, onerror=lambda error: found.append(_closed(error.filename, student))):
        labs_above = (lab_of_folder(part) for part in reversed(Path(here).relative_to(folder).parts))
        nearest = next(filter(None, labs_above), lab)
        for name in sorted(files + folders):
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                found.append(Found(Path(here, name), student, nearest, folder))
        folders[:] = sorted(name for name in folders if _is_kept(Path(here, name), leave_out))
        held += files + [name for name in folders if os.path.islink(Path(here, name))]
    if not found:
        some = ", ".join(sorted(held)[:3]) or "nothing"
        problem = f"The folder {folder.name} holds no .ipynb or .py file (it holds {some}): hand in the notebook."
        found.append(Found(folder, student, lab, folder, problem))
    yield from found


def _closed(folder: str | Path, student: str) -> Found:
    problem = f"The folder {Path(folder).name} may not be read by this user: correct its permissions."
    return Found(Path(folder), student, problem=problem)


def _is_kept(folder: Path, leave_out: Path | None) -> bool:
    kept = not folder.name.startswith(".") and folder.name not in IGNORED_FOLDERS
    return kept and not folder.name.endswith(SUFFIXES) and folder != leave_out


def _is_lab(folder: str, *, bare: bool) -> bool:
    return bool(lab_of_folder(folder)) and (bare or not folder.isdigit())
