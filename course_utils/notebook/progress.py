"""What the learner has done so far, kept in a file that outlives the kernel, and shown as a grid."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from course_utils.grading.record import Record
from course_utils.labs import LabSpec
from course_utils.notebook.render import Card, bar, escape, mib, place, text_table
from course_utils.notebook.verdict import VERDICTS, percent

DRIVE = Path("/content/drive/MyDrive")
FILE_NAME = ".course-progress.json"
KEPT = ("verdict", "score", "peak_mib", "budget_mib", "accuracy", "floor", "seconds", "graded_at")


def progress_path() -> Path:
    """Where progress is kept: $COURSE_UTILS_PROGRESS (a .json file or a folder), else a mounted Google Drive,
    else the working directory."""
    if named := os.environ.get("COURSE_UTILS_PROGRESS"):
        path = Path(os.path.expanduser(named))
        return path if path.suffix == ".json" else path / "progress.json"
    if DRIVE.is_dir():
        return DRIVE / "course-utils" / "progress.json"
    return Path(FILE_NAME).absolute() if _folder_there() else Path(FILE_NAME)


def _folder_there() -> bool:
    try:
        os.getcwd()
    except OSError:  # it has been deleted
        return False
    return True


# What could not be written, so that this session at least remembers it.
_unsaved: dict[Path, dict[str, dict[str, Any]]] = {}


class Progress:
    """The progress file. `warning` is one sentence if it could not be read or written, else ""."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or progress_path()
        self.warning = ""
        self.labs: dict[str, dict[str, Any]] = {}
        self.read()
        self.labs = _unsaved.get(self.path, self.labs)

    def read(self) -> None:
        """Read the file again; one that cannot be understood is set aside, so that nothing is lost."""
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            self.labs = {str(number): dict(entry) for number, entry in content["labs"].items()}
            for entry in self.labs.values():
                entry["hints"] = max(0, int(entry.get("hints", 0)))
                entry["attempts"] = max(0, int(entry.get("attempts", 0)))
                for name in ("score", "peak_mib", "budget_mib", "accuracy", "floor"):
                    if entry.get(name) is not None:
                        entry[name] = float(entry[name])
                if entry.get("verdict", "passed") not in VERDICTS:
                    raise ValueError(entry["verdict"])
        except FileNotFoundError:
            self.labs = {}
        except OSError as error:
            self.warning = f"Your progress in {place(self.path)} cannot be read ({error.strerror}), so it starts empty."
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            self.labs = {}
            aside = self.path.with_name(f"{self.path.name}.unreadable-{int(time.time())}")
            unclear = f"Your progress in {place(self.path)} could not be understood"
            self.warning = f"{unclear}; it is kept as {aside.name} and starts anew."
            try:
                os.replace(self.path, aside)
            except OSError as error:
                self.warning = f"{unclear}, nor set aside ({error.strerror})."

    def entry(self, lab: LabSpec) -> dict[str, Any]:
        """What is known of a lab; {} if nothing is."""
        return self.labs.get(lab.number, {})

    def hints_shown(self, lab: LabSpec) -> int:
        """How many hints of the lab the learner has seen."""
        return self.entry(lab).get("hints", 0)

    def next_hint(self, lab: LabSpec) -> tuple[int, str]:
        """The next hint with its number from 1, remembered as seen; after the last it is the last again."""
        number = min(self.hints_shown(lab) + 1, len(lab.hints))
        self.labs.setdefault(lab.number, {})["hints"] = number
        self.write()
        return number, lab.hints[number - 1]

    def save(self, lab: LabSpec, graded: Record, answer_sha256: str = "") -> None:
        """Remember a graded run: the best of all runs stays, the latest of equals."""
        entry, record = self.labs.setdefault(lab.number, {}), graded.model_dump()
        if record["verdict"] == "not_attempted" and "verdict" in entry:
            return
        entry["attempts"] = entry.get("attempts", 0) + (record["verdict"] != "not_attempted")
        if _rank(record) >= _rank(entry):
            entry.update({name: record[name] for name in KEPT})
            entry["answer_sha256"] = answer_sha256
        self.write()

    def complete(self, all_labs: Sequence[LabSpec]) -> Path | None:
        """Write the completion record beside the progress file once every lab is passed; return where it is."""
        from course_utils.grading import completion

        if any(self.entry(lab).get("verdict") != "passed" for lab in all_labs):
            return None
        path = self.path.with_name(completion.FILE_NAME)
        try:
            completion.write({lab.number: self.entry(lab) for lab in all_labs}, path)
        except OSError as error:
            self.warning = f"The completion record cannot be written to {place(path)} ({error.strerror})."
            return None
        return path

    def write(self) -> None:
        """Replace the file in one step; where that is not possible, say so in `warning` and go on."""
        temporary = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps({"version": 1, "labs": self.labs}, indent=1), encoding="utf-8")
            os.replace(temporary, self.path)
            _unsaved.pop(self.path, None)
        except OSError as error:
            _unsaved[self.path] = self.labs
            self.warning = (
                f"Your progress cannot be saved to {place(self.path)} ({error.strerror}); "
                "set COURSE_UTILS_PROGRESS to a folder that can be written."
            )


def _rank(entry: Mapping[str, Any]) -> tuple[bool, bool, float]:
    verdict = entry.get("verdict", "")
    return (
        verdict == "passed",
        verdict not in ("", "not_attempted", "rejected"),
        float(entry.get("score") or 0),
    )


def progress_card(progress: Progress, all_labs: Sequence[LabSpec]) -> Card:
    """All labs as a grid with verdict, score, peak and accuracy."""
    passed = sum(progress.entry(lab).get("verdict") == "passed" for lab in all_labs)
    title = f"{passed} of {len(all_labs)} labs passed"
    record = progress.complete(all_labs)
    tiles, rows = [], []
    for lab in all_labs:
        entry = progress.entry(lab)
        symbol, word, tone = VERDICTS[entry.get("verdict", "not_attempted")]
        peak, accuracy = entry.get("peak_mib"), entry.get("accuracy")
        peak_words = f"{mib(peak)} of {mib(lab.budget_mib)}" if peak is not None else ""
        accuracy_words = f"{percent(accuracy)} (floor {percent(lab.floor)})" if accuracy is not None else ""
        attempts = entry.get("attempts", 0)
        effort = f"{attempts} attempt{'s' * (attempts != 1)}, {progress.hints_shown(lab)} of {len(lab.hints)} hints"
        drawn = bar(peak, lab.cap_mib, mark=lab.budget_mib, describe=peak_words) if peak is not None else ""
        tiles.append(
            f'<div class="oom-lab oom-{tone}"><p><strong>{lab.number} {escape(lab.title)}</strong></p>'
            f'<p class="oom-tone-{tone}">{symbol} {word}</p><p>{peak_words}{drawn}</p><p>{accuracy_words}</p>'
            f'<p class="oom-caption">{effort}</p></div>'
        )
        rows.append((lab.number, lab.title, f"{symbol} {word}", peak_words, accuracy_words, effort))
    warning = f"<p>{escape(progress.warning)}</p>" if progress.warning else ""
    kept = f"Kept in {place(progress.path)}"
    if record:
        kept += (
            f". Your completion record is {place(record)}: hand it in with your answers. It says which answers passed "
            "here; it is a convenience, not a proof"
        )
    html = (
        f'<p class="oom-head">{title}</p>{warning}<div class="oom-grid-labs">{"".join(tiles)}</div>'
        f'<p class="oom-foot">{escape(kept)}</p>'
    )
    table = text_table(("lab", "title", "verdict", "peak", "accuracy", "effort"), rows)
    text = "\n".join(line for line in (title, progress.warning, table, kept) if line)
    return Card(html=html, text=text, tone="good" if passed == len(all_labs) else "")
