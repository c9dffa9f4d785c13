"""Find the submissions under the files, folders and zip files that an instructor names, and whose each one is.

The path that is given decides the layout, by its name and the names right in it; no folder inside a student's can
change whose the files are. Names that allow two readings are refused, and both are named; ``layout`` then decides.

- ``flat``: each file in the given folder belongs to the student that its name gives: ``ann.ipynb``.
- ``folder``: each folder in the given folder is a student's, with all that it holds: ``3 Ann/``. It may be a link.
  A given folder that holds files named after labs, or folders of them, and nothing else is one student's.
- ``nbgrader``: ``submitted/STUDENT/LAB/``.
- ``moodle`` and ``canvas``: names as these platforms write them (see `names`).
- ``classroom``: GitHub Classroom's ``LAB-STUDENT/``.
- A folder named after a section, a week or a lab (``section A/``, ``lab00/``) is nobody's: what it holds is read like a
  given folder, and answers that lab.
- A zip file is read like a folder of its name.

A file answers the lab that its cells name, else that of its own name, else that of the nearest folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from course_utils.grading import archives, names
from course_utils.grading.names import Owner
from course_utils.grading.seed import CannotGrade
from course_utils.grading.submission import SUFFIXES, Answer, Submission, lab_number, lab_of_folder, read

LAYOUTS = ("flat", "folder", "nbgrader", "moodle", "canvas", "classroom")
# What people hand in by mistake. Anything else in a class folder (grades, a read-me) is left alone.
MISTAKEN_SUFFIXES = (".7z", ".rar", ".gz", ".pdf", ".docx", ".doc", ".html", ".txt")
IGNORED_FOLDERS = {"__pycache__", "__MACOSX"}
SUBMITTED = "submitted"
OTHER_OF_NBGRADER = {"source", "release", "autograded", "feedback"}


@dataclass(frozen=True)
class Found:
    """A path to read, whose it is, the lab of its folder, and the folder that links must stay inside.

    ``place`` is the folder of the class: two students of one name in two places are two people. ``shown`` is the path
    as the instructor knows it, where the file was unpacked from a zip file.
    """

    path: Path
    owner: Owner
    lab: str = ""
    root: Path | None = None
    problem: str = ""
    place: Path = Path()
    shown: Path = Path()

    @property
    def student(self) -> str:
        return self.owner.student


def read_found(found: Found) -> Submission:
    """Read what :func:`discover` found."""
    owner = found.owner
    if found.problem:
        one = Submission(found.path, owner.student, "", (Answer(found.lab, problem=found.problem, rank=1),))
    else:
        file = owner.file or found.path.name
        one = read(found.path, student=owner.student, lab=found.lab, root=found.root, name=file)
    return replace(one, path=found.shown, student_id=owner.student_id, place=str(found.place), late=owner.late)


def discover(
    paths: Iterable[Path], *, leave_out: Path | None = None, layout: str = "", scratch: Path | None = None
) -> list[Found]:
    """Find the submissions under files and folders, in the layouts above.

    Args:
        paths: Files, folders and zip files.
        leave_out: A folder that is none of them, such as that of the results.
        layout: One of ``LAYOUTS``; "" to tell it from the names.
        scratch: An empty folder to unpack zip files in; without it they are not unpacked.

    Raises:
        CannotGrade: a path does not exist, its names allow two readings, or no path holds a submission.
    """
    if layout and layout not in LAYOUTS:
        raise CannotGrade(f"There is no layout {layout!r}: choose {', '.join(LAYOUTS)}.")
    found: dict[Path, Found] = {}
    paths = list(map(Path, paths))
    search = _Search(layout, leave_out and Path(os.path.abspath(leave_out)), scratch)
    for path in paths:
        if not os.path.lexists(path):
            raise CannotGrade(f"{path} does not exist: give a notebook, a script or a folder of them.")
        for entry in search.given(Path(os.path.abspath(path))):
            shown = search.shown(entry.path)
            found.setdefault(shown, replace(entry, shown=shown, place=search.shown(entry.place)))
    if not found:
        raise CannotGrade(f"There is no .ipynb or .py file under {', '.join(map(str, paths))}.")
    return list(found.values())


def _refuse(path: Path, first: str, second: str, layouts: str) -> CannotGrade:
    return CannotGrade(f"{path} can be read in two ways: {first}; or {second}. {layouts}")


class _Search:
    def __init__(self, layout: str, leave_out: Path | None, scratch: Path | None) -> None:
        self.layout, self.leave_out, self.scratch = layout, leave_out, scratch
        self.unpacked: dict[Path, Path] = {}

    def shown(self, path: Path) -> Path:
        """The path as the instructor knows it."""
        for folder, archive in self.unpacked.items():
            if path.is_relative_to(folder):
                return self.shown(archive) / path.relative_to(folder)
        return path

    def given(self, path: Path) -> Iterator[Found]:
        """All under a path that the instructor named."""
        owner = names.moodle(path.name) or names.classroom(path.name) if not self.layout else None
        if os.path.isdir(path) and owner:
            yield from self.of_student(path, owner, owner.lab, path.parent)
        elif os.path.isdir(path) and not path.name.endswith(SUFFIXES):
            yield from self.of_class(path, lab_of_folder(path.name))
        elif path.suffix.lower() == ".zip" and self.scratch:
            try:
                folder = self.unpack(path, archives.of_class())
            except archives.BadArchive as error:
                raise CannotGrade(str(error)) from None
            inner = folder / path.stem
            folder = inner if os.listdir(folder) == [inner.name] and inner.is_dir() else folder
            yield from self.of_class(folder, lab_of_folder(path.stem))
        else:
            yield self.of_given_file(path)

    def of_given_file(self, path: Path) -> Found:
        above, lab = path.parent, lab_of_folder(path.parent.name)
        owner, place = names.moodle(path.name) or names.canvas(path.name) or names.plain(path.name), above
        if self.layout in ("", "nbgrader") and lab and above.parent.parent.name == SUBMITTED:
            owner, place = Owner(above.parent.name), above.parent.parent
        elif self.layout in ("", "folder") and names.is_lab(path.name) and not names.is_group(above.name):
            owner, place = Owner(above.name), above.parent
        return Found(path, owner, lab_number(owner.file or path.name) or lab, place=place)

    def of_class(self, folder: Path, lab: str, group: bool = False) -> Iterator[Found]:
        """All in a folder that the instructor named (or, in it, one named after a group), one student after another."""
        layout, name = self.layout, folder.name
        try:
            entries = sorted(os.listdir(folder))
        except OSError:
            yield _closed(folder, Owner(name), folder.parent)
            return
        kept = [entry for entry in entries if self.is_kept(folder / entry)]
        holders = [entry for entry in kept if self.holds(folder / entry)]
        files = [entry for entry in kept if entry not in holders]
        files = [entry for entry in files if entry.lower().endswith((*SUFFIXES, *MISTAKEN_SUFFIXES, ".zip"))]
        notebooks = [entry for entry in files if entry.lower().endswith(".ipynb")] or files
        nbgrader = layout == "nbgrader"

        if layout in ("", "nbgrader") and {SUBMITTED} <= set(holders) <= {SUBMITTED, *OTHER_OF_NBGRADER}:
            if not nbgrader and not ({"nbgrader_config.py", "gradebook.db"} | OTHER_OF_NBGRADER) & set(entries):
                raise _refuse(
                    folder,
                    f"as an nbgrader course, whose students are the folders in {name}/{SUBMITTED}",
                    f"as a student {name}, or a class with a student {SUBMITTED}",
                    f"Give {folder / SUBMITTED} or --layout nbgrader for the first, --layout folder for a class.",
                )
            yield from self.of_class(folder / SUBMITTED, "")
        elif layout in ("", "nbgrader") and lab and folder.parent.parent.name == SUBMITTED and not group:
            yield from self.of_student(folder, Owner(folder.parent.name), lab, folder.parent.parent)
        elif holders and not files and self.is_of_one_student(folder, holders):
            yield from self.of_student(folder, Owner(name), "", folder.parent)
        elif files and not layout and any(map(names.is_lab, notebooks)):
            if holders or group or names.is_group(name) or not all(map(names.is_lab, notebooks)):
                unclear = next(filter(names.is_lab, notebooks))
                raise _refuse(
                    self.shown(folder),
                    f"as a class, in which {unclear} belongs to a student of that name",
                    f"as the folder of one student, {folder.parent.name if names.is_group(name) else name}",
                    "Rename that file after its student, or use --layout flat for the first, folder for the second.",
                )
            yield from self.of_student(folder, Owner(name), lab, folder.parent)
        elif files and layout == "folder" and not holders:
            yield from self.of_student(folder, Owner(name), lab, folder.parent)
        else:
            for entry in files:
                yield self.of_file(folder, entry, lab)
            groups = [entry for entry in holders if not layout and self.is_group(folder, entry)]
            if groups and len(groups) < len(holders):
                other = next(entry for entry in holders if entry not in groups)
                raise _refuse(
                    self.shown(folder),
                    f"as a class, in which {groups[0]} is a student like {other}",
                    f"as folders of which {groups[0]} holds several students",
                    f"Use --layout folder for the first; for the second, give {groups[0]} and the others as paths.",
                )
            slug = names.common_slug(holders) if layout == "classroom" else ""
            for entry in holders:
                yield from self.of_holder(folder, entry, lab, slug)

    def of_file(self, folder: Path, entry: str, lab: str) -> Found:
        owner = names.moodle(entry) if self.layout in ("", "moodle") else None
        owner = owner or (names.canvas(entry) if self.layout in ("", "canvas") else None)
        problem = ""
        if owner is None and self.layout in ("moodle", "canvas"):
            problem = self.unnamed(entry)
        owner = owner or names.plain(entry)
        return Found(folder / entry, owner, lab_number(owner.file) or lab, folder, problem, folder)

    def unnamed(self, entry: str) -> str:
        return f"{entry} is not named as {self.layout.capitalize()} names files, so nobody knows whose it is."

    def of_holder(self, folder: Path, entry: str, lab: str, slug: str) -> Iterator[Found]:
        """All in a folder or zip file of a class."""
        path, layout = folder / entry, self.layout
        plain = entry if os.path.isdir(path) else Path(entry).stem
        owner = names.moodle(plain) if layout in ("", "moodle") else None
        if layout in ("", "canvas") and not os.path.isdir(path):
            owner = owner or names.canvas(entry)
        if layout in ("", "classroom"):
            owner = owner or names.classroom(plain)
        if owner is None and slug and plain.startswith(slug):
            owner = Owner(plain[len(slug) :], lab=lab_number(slug))
        if owner is None and layout == "flat" and os.path.isdir(path):
            yield from self.of_class(path, lab_of_folder(entry) or lab)
        elif owner is None and layout in ("moodle", "canvas"):
            yield Found(path, Owner(plain), lab, folder, self.unnamed(entry), folder)
        elif owner is None and layout in ("", "flat") and self.is_group(folder, entry):
            yield from self.of_group(path, plain, lab)
        else:
            owner = owner or Owner(plain if os.path.isdir(path) else names.plain(entry).student)
            yield from self.of_student(path, owner, owner.lab or lab, folder)

    def is_group(self, folder: Path, entry: str) -> bool:
        """Whether a folder or zip file of a class is a section, a week or a lab, and so no student's."""
        if not names.is_group(entry if os.path.isdir(folder / entry) else Path(entry).stem):
            return False
        # nbgrader's students have no files beside their labs, whatever the students are called.
        files = (name for name in self.entries(folder / entry) if not self.holds(folder / entry / name))
        return folder.name != SUBMITTED or any(files)

    def of_group(self, path: Path, plain: str, lab: str) -> Iterator[Found]:
        """What a folder named after a section, a week, or a lab holds."""
        if not os.path.isdir(path):
            try:
                path = self.unpack(path, archives.of_class())
            except archives.BadArchive as error:
                yield Found(path, Owner(plain), lab, path.parent, str(error), path.parent)
                return
        yield from self.of_class(path, lab_of_folder(plain) or lab, group=True)

    def is_of_one_student(self, folder: Path, holders: list[str]) -> bool:
        """Whether a given folder that holds folders named after labs, and nothing else, is one student's."""
        bare = folder.parent.name == SUBMITTED
        if (
            self.layout not in ("", "nbgrader")
            or folder.name == SUBMITTED
            or not all(_is_lab_folder(name, bare) for name in holders)
        ):
            return False
        if bare:
            return True
        inside = [entry for name in holders for entry in self.entries(folder / name)]
        anybodys = {names.is_anybodys(entry) for entry in inside}
        if len(anybodys) == 2:
            raise _refuse(
                folder,
                f"as the labs of one student, {folder.name}",
                f"as labs in which each file is named after its student, such as {inside[0]}",
                f"Use --layout flat for the second; for the first, give the folder above {folder.name}.",
            )
        return anybodys != {False}

    def entries(self, folder: Path) -> list[str]:
        """What a folder of a lab holds, as far as it can be an answer: notebooks; without any, scripts and folders."""
        try:
            entries = [name for name in sorted(os.listdir(folder)) if self.is_kept(folder / name)]
        except OSError:
            return []
        notebooks = [name for name in entries if name.lower().endswith(".ipynb")]
        return notebooks or [name for name in entries if name.lower().endswith(".py") or self.holds(folder / name)]

    def of_student(self, holder: Path, owner: Owner, lab: str, place: Path) -> Iterator[Found]:
        """All that a student's folder or zip file holds, or one sentence on why that is nothing."""
        if holder.is_symlink() and Path(os.path.realpath(place)).is_relative_to(os.path.realpath(holder)):
            problem = (
                f"The folder {holder.name} is a link to a folder that holds it: put the student's own folder there."
            )
            yield Found(holder, owner, lab, holder, problem, place)
            return
        found: list[Found] = []
        held: list[str] = []
        room = archives.Room()
        waiting = [(holder, lab, 0)]
        while waiting:
            start, lab, depth = waiting.pop()
            if not os.path.isdir(start):
                try:
                    if depth > archives.DEPTH:
                        raise archives.BadArchive(f"{start.name} is a zip in a zip in a zip: hand in the notebook.")
                    start = self.unpack(start, room, None if start == holder and holder.parent == place else holder)
                except archives.BadArchive as error:
                    found.append(Found(start, owner, lab or lab_number(start.name), holder, str(error), place))
                    continue
            for here, folders, files in os.walk(
                start, onerror=lambda error: found.append(_closed(Path(error.filename), owner, place))
            ):
                above = Path(here).relative_to(start).parts[::-1]
                nearest = next(filter(None, map(lab_of_folder, above)), lab)
                attempt = next(filter(None, map(names.attempt_of_folder, above)), owner.attempt)
                for name in sorted(files + folders):
                    if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                        one = replace(owner, file=name, attempt=attempt or names.plain(name).attempt)
                        found.append(Found(Path(here, name), one, lab_number(name) or nearest, start, "", place))
                    elif name.lower().endswith(".zip") and name in files and self.scratch and name[0] != ".":
                        waiting.append((Path(here, name), lab_number(name) or nearest, depth + 1))
                folders[:] = sorted(name for name in folders if self.is_kept(Path(here, name)))
                held += files + [name for name in folders if os.path.islink(Path(here, name))]
        if not found:
            some = ", ".join(sorted(held)[:3]) or "nothing"
            kind = "folder" if os.path.isdir(holder) else "zip file"
            problem = f"The {kind} {holder.name} holds no .ipynb or .py file (it holds {some}): hand in the notebook."
            found.append(Found(holder, owner, lab, holder, problem, place))
        yield from found

    def unpack(self, archive: Path, room: archives.Room, root: Path | None = None) -> Path:
        assert self.scratch is not None
        folder = self.scratch / str(len(self.unpacked)) / archive.stem
        self.unpacked[folder] = archive
        archives.unpack(archive, folder, room, root)
        return folder

    def holds(self, path: Path) -> bool:
        """Whether an entry of a class is a folder, or a zip file that can be read like one."""
        zipped = bool(self.scratch) and path.suffix.lower() == ".zip"
        return zipped or (os.path.isdir(path) and not path.name.endswith(SUFFIXES))

    def is_kept(self, path: Path) -> bool:
        return not path.name.startswith(".") and path.name not in IGNORED_FOLDERS and path != self.leave_out


def _closed(folder: Path, owner: Owner, place: Path) -> Found:
    problem = f"The folder {folder.name} may not be read by this user: correct its permissions."
    return Found(folder, owner, problem=problem, place=place)


def _is_lab_folder(folder: str, bare: bool) -> bool:
    return bool(lab_of_folder(folder)) and (bare or not folder.isdigit())
