"""The learner's progress, kept in a file that outlives the kernel."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, NonNegativeInt
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from course_utils.files import write_whole
from course_utils.grading.record import Record, Verdict
from course_utils.labs import LabSpec

DRIVE = Path("/content/drive/MyDrive")
FILE_NAME = ".course-progress.json"


class Entry(TypedDict, total=False):
    """What is known of one lab: the effort, and the figures of the best graded run as its record has them."""

    hints: NonNegativeInt
    attempts: NonNegativeInt
    verdict: Verdict
    score: float
    peak_mib: float | None
    budget_mib: float | None
    accuracy: float | None
    floor: float | None
    seconds: float | None
    graded_at: str


class Kept(BaseModel):
    """The content of the file: what is known of each lab, under its number."""

    version: Literal[1] = 1
    labs: dict[str, Entry]


def progress_path() -> Path:
    """Where progress is kept: $COURSE_UTILS_PROGRESS (a .json file or a folder), else a mounted Google Drive,
    else the working directory."""
    if named := os.environ.get("COURSE_UTILS_PROGRESS"):
        path = Path(os.path.expanduser(named))
        return path if path.suffix == ".json" else path / "progress.json"
    if DRIVE.is_dir():
        return DRIVE / "course-utils" / "progress.json"
    try:
        return Path(FILE_NAME).absolute()
    except OSError:  # the working directory has been deleted
        return Path(FILE_NAME)


def short(path: Path) -> str:
    """A path as short as it is clear: below the working directory, else below the home folder, else whole."""
    for folder, prefix in ((Path.cwd, ""), (Path.home, "~/")):
        try:
            return prefix + path.relative_to(folder()).as_posix()
        except (OSError, RuntimeError, ValueError):  # deleted, not known, or elsewhere
            continue
    return str(path)


# Entries that could not be written, so that this session at least remembers them.
_unsaved: dict[Path, dict[str, Entry]] = {}


class Progress:
    """The progress file. `warning` is one sentence if it could not be read or written, else ""."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or progress_path()
        self.warning = ""
        self.labs = _unsaved.get(self.path) or self._read()

    def _read(self) -> dict[str, Entry]:
        """Read the file; one that cannot be understood is set aside, so that nothing is lost."""
        try:
            return Kept.model_validate_json(self.path.read_bytes()).labs
        except FileNotFoundError:
            return {}
        except OSError as error:
            self.warning = f"Your progress in {short(self.path)} cannot be read ({error.strerror}), so it starts empty."
            return {}
        except ValueError:
            aside = self.path.with_name(f"{self.path.name}.unreadable-{int(time.time())}")
        unclear = f"Your progress in {short(self.path)} could not be understood"
        try:
            os.replace(self.path, aside)
            self.warning = f"{unclear}. The file is kept as {aside.name}, and a new one is started."
        except OSError as error:
            self.warning = f"{unclear}, nor set aside ({error.strerror})."
        return {}

    def entry(self, lab: LabSpec) -> Entry:
        """What is known of a lab; {} if nothing is."""
        return self.labs.get(lab.number, {})

    def hints_shown(self, lab: LabSpec) -> int:
        """How many hints of the lab the learner has seen."""
        return self.entry(lab).get("hints", 0)

    def next_hint(self, lab: LabSpec) -> tuple[int, str]:
        """The next hint with its number from 1, remembered as seen; after the last it is the last again."""
        number = min(self.hints_shown(lab) + 1, len(lab.hints))
        self.labs.setdefault(lab.number, {})["hints"] = number
        self._write()
        return number, lab.hints[number - 1]

    def save(self, lab: LabSpec, record: Record) -> None:
        """Remember a graded run: the best of all runs stays, the latest of equals."""
        entry = self.labs.setdefault(lab.number, {})
        if record.verdict == "not_attempted" and "verdict" in entry:
            return
        entry["attempts"] = entry.get("attempts", 0) + (record.verdict != "not_attempted")
        graded = record.model_dump(include=Entry.__annotations__.keys())
        if _rank(graded) >= _rank(entry):
            entry.update(graded)
        self._write()

    def _write(self) -> None:
        """Replace the file in one step; if that is not possible, say so in `warning` and go on."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.path, Kept(labs=self.labs).model_dump_json(indent=1))
            _unsaved.pop(self.path, None)
        except OSError as error:
            _unsaved[self.path] = self.labs
            self.warning = (
                f"Your progress cannot be saved to {short(self.path)} ({error.strerror}); "
                "set COURSE_UTILS_PROGRESS to a folder that can be written."
            )


def _rank(entry: Mapping[str, Any]) -> tuple[bool, bool, float]:
    verdict = entry.get("verdict", "")
    return verdict == "passed", verdict not in ("", "not_attempted", "rejected"), entry.get("score", 0.0)
