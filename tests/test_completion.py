"""The completion record: written when every lab is passed, held against what was handed in."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from course_utils import labs
from course_utils.grading import Record, completion, submission
from course_utils.notebook.progress import Progress

RECORD = Record(
    message="It fits.",
    **{
        "verdict": "passed",
        "score": 100.0,
        "peak_mib": 100.0,
        "budget_mib": 256.0,
        "accuracy": 0.9,
        "floor": 0.8,
        "seconds": 3.0,
        "graded_at": "2026-01-01T00:00:00+00:00",
    },
)
ANSWER = "# %%graded {}\ndef train(folder):\n    return {}\n"


def hand_in(folder: Path, number: str, returned: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{number}_answer.py"
    path.write_text("# %%\n" + ANSWER.format(number, returned))
    return path


def passed_everything(folder: Path) -> Path:
    """Let every lab be passed by an answer that returns its own number; return the completion record."""
    progress = Progress(folder / "progress.json")
    for lab in labs.all():
        source = ANSWER.format(lab.number, f"'{lab.number}'")
        cells = submission.graded_cells([(0, "\n\n" + source.replace("# %%", "%%"))])[0][lab.number]
        assert progress.complete(labs.all()) is None
        progress.save(lab, RECORD, completion.digest(cells))
    path = progress.complete(labs.all())
    assert path == folder / "completion.json"
    return path


def verify(record: Path, *paths: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "course_utils", "verify", str(record), *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_record_matches_what_it_was_earned_with(tmp_path: Path) -> None:
    record = passed_everything(tmp_path)
    for lab in labs.all():
        hand_in(tmp_path / "in", lab.number, f"'{lab.number}'")
    done = verify(record, tmp_path / "in")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"Lab {lab.number}: handed in" for lab in labs.all()]


def test_a_record_that_does_not_match_says_which_lab(tmp_path: Path) -> None:
    record = passed_everything(tmp_path)
    content = json.loads(record.read_text())
    content["labs"]["9\x1b9"] = content["labs"]["01"]
    del content["labs"]["02"]
    record.write_text(json.dumps(content))
    for lab in labs.all()[:-1]:
        hand_in(tmp_path / "in", lab.number, "'forged'" if lab.number == "01" else f"'{lab.number}'")
    done = verify(record, tmp_path / "in")
    assert done.returncode == 1
    assert "Lab 01: another answer handed in" in done.stdout
    assert "Lab 02: not in the record" in done.stdout
    assert f"Lab {labs.all()[-1].number}: nothing handed in" in done.stdout
    assert "Lab 9 9: no such lab" in done.stdout


def test_something_else_is_answered_in_a_sentence(tmp_path: Path) -> None:
    path = hand_in(tmp_path, "01", "1")
    done = verify(path, path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is not a completion record" in done.stderr and "Traceback" not in done.stderr
