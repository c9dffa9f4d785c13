"""What the name of a file or folder says: whose it is, which lab it answers, which attempt it is.

Moodle names each student's folder, or file, ``First Last_PARTICIPANT_assignsubmission_file_`` and the file's own name
(``mod/assign`` of Moodle, ``download_submissions``). Canvas names each file ``lastfirst_LATE_USER_FILE_`` and its own
name, to which it adds ``-1`` for the second attempt (``lib/content_zipper.rb`` of Canvas); numbers of files grow with
time. GitHub Classroom names each folder after the assignment and the account: ``lab00-ann``.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from course_utils import labs
from course_utils.grading.submission import lab_number, lab_of_folder

_MOODLE = re.compile(r"(?P<student>.+)_(?P<id>\d+)_assignsubmission_(?P<kind>[a-z]+)_?(?P<file>.*)", re.DOTALL)
_CANVAS = re.compile(
    r"(?:(?P<student>.+?)(?P<late>_LATE)?_(?P<id>\d+)|(?P<late2>LATE_)?(?P<anonymous>anon_\w+?))_(?P<number>\d+)_(?P<file>.+)",
    re.DOTALL,
)
_CANVAS_ATTEMPT = re.compile(r"(.*)-(\d{1,2})", re.DOTALL)
_COPY = re.compile(r"(.+?) ?\((\d{1,2})\)", re.DOTALL)
_ATTEMPT_FOLDER = re.compile(r"(?:attempt|try|version|versuch|v)[ _-]?(\d{1,3})", re.IGNORECASE)
_LAB = r"(?:lab|submission)[ _-]?\d{1,3}"
_LAB_FIRST = re.compile(rf"({_LAB})[ _-]+(.+)", re.IGNORECASE | re.DOTALL)
_LAB_LAST = re.compile(rf"(.+?)[ _-]+({_LAB})", re.IGNORECASE | re.DOTALL)
_GROUP = re.compile(
    r"(?:class|course|section|sec|week|wk|tutorial|seminar|labs?|group|team|sheet|unit|module|day|term|year|cohort"
    r"|assignments?|homeworks?|hw|exercises?|submissions?|submitted|handed in|students|downloads?)"
    r"[ _-]*(?:\d{1,4}|[a-z])?",
    re.IGNORECASE,
)
# What people call a file that is not named after themselves.
_ANYBODYS = frozenset(
    ("answer", "answers", "solution", "notebook", "main", "untitled", "final", "mine", "work", "homework", "assignment")
    + (
        "submission",
        "exercise",
        "copy",
        "graded",
        "code",
        "model",
        "train",
        "lab",
        "helper",
        "helpers",
        "utils",
        "test",
    )
)


@dataclass(frozen=True)
class Owner:
    """What a name says. ``file`` is the name that the student gave; ``newness`` orders attempts, the last counts."""

    student: str
    file: str = ""
    student_id: str = ""
    lab: str = ""
    late: bool = False
    attempt: int = 0
    newness: int = 0


def moodle(name: str) -> Owner | None:
    """Read a name as Moodle writes it; ``file`` is "" for a folder, whose files have their own names."""
    match = _MOODLE.fullmatch(name)
    if match is None:
        return None
    return Owner(match["student"], match["file"], match["id"])


def canvas(name: str) -> Owner | None:
    """Read a name as Canvas writes it."""
    match = _CANVAS.fullmatch(name)
    if match is None:
        return None
    stem, suffix = split(match["file"])
    again = _CANVAS_ATTEMPT.fullmatch(stem)
    file, attempt = (again[1] + suffix, int(again[2]) + 1) if again else (match["file"], 1)
    late = bool(match["late"] or match["late2"])
    student = match["student"] or match["anonymous"]
    return Owner(student, file, match["id"] or "", "", late, attempt, int(match["number"]))


def classroom(name: str) -> Owner | None:
    """Read a folder's name as GitHub Classroom writes it, where the assignment is named after a lab."""
    for lab in labs.specs():
        for slug in (lab.name, lab.name.replace("_", "-")):
            if name.startswith(f"{slug}-") and not is_group(name) and name != f"{slug}-":
                return Owner(name[len(slug) + 1 :], lab=lab.number)
    match = re.fullmatch(r"(lab-?\d{1,2})-(.+)", name, re.IGNORECASE | re.DOTALL)
    if match is None or is_group(name) or not lab_of_folder(match[1]):
        return None
    return Owner(match[2], lab=lab_of_folder(match[1]))


def common_slug(folders: list[str]) -> str:
    """What the names of all folders begin with, up to a hyphen: the assignment, as GitHub Classroom writes it."""
    return os.path.commonprefix(folders).rpartition("-")[0] + "-" if len(folders) > 1 else ""


def plain(name: str) -> Owner:
    """Read a file's name as one that the student was told to choose: ``ann.ipynb``, ``ann_lab00 (1).ipynb``."""
    stem, _ = split(name)
    copy = _COPY.fullmatch(stem)
    if copy:
        stem = copy[1]
    student = stem
    if (match := _LAB_FIRST.fullmatch(stem)) and lab_number(match[1]):
        student = match[2]
    elif (match := _LAB_LAST.fullmatch(stem)) and lab_number(match[2]):
        student = match[1]
    return Owner(student, name, attempt=int(copy[2]) + 1 if copy else 0)


def split(name: str) -> tuple[str, str]:
    """A name without its suffix, and the suffix; a hidden file's name has none."""
    suffix = Path(name).suffix
    return (name.removesuffix(suffix), suffix) if suffix else (name, "")


def attempt_of_folder(name: str) -> int:
    """The attempt that a folder inside a student's is named after, else 0."""
    match = _ATTEMPT_FOLDER.fullmatch(name)
    return int(match[1]) if match else 0


def is_group(name: str) -> bool:
    """Whether a folder is named after a section, a week or a lab, and so after no student."""
    name = name.strip().removesuffix("-submissions")  # how GitHub Classroom names the folder of a download
    return not name.isdigit() and bool(_GROUP.fullmatch(name) or lab_of_folder(name))


def is_lab(name: str) -> bool:
    """Whether a file is named after a lab and nobody: ``submission_00.ipynb``. A bare number is a student's."""
    owner = plain(name)
    return (
        not owner.student.isdigit()
        and bool(lab_number(owner.student))
        and bool(re.fullmatch(_LAB, owner.student, re.IGNORECASE) or lab_of_folder(owner.student))
    )


def is_anybodys(name: str) -> bool:
    """Whether a file's name could be anybody's: ``submission_00.ipynb``, ``my answer.ipynb``, ``x.ipynb``."""
    student = plain(name).student
    words = re.split(r"[^a-z]+", student.lower())
    return is_lab(name) or (len(student) == 1 and not student.isdigit()) or bool(_ANYBODYS.intersection(words))
