"""Graded cells of a session, the file that is handed in, hints and progress."""

from __future__ import annotations

import json
import os
from pathlib import Path

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils import cards, labs
from course_utils.cards.curve import thin
from course_utils.cards.graded import progress_card, verdict_card
from course_utils.cards.runs import comparison_card
from course_utils.cards.tables import claims_card
from course_utils.grading.record import Record
from course_utils.grading.submission import read
from course_utils.notebook.progress import Progress, progress_path
from course_utils.notebook.session import Session, write_submission

LAB = labs.get("01")


def record(**fields: object) -> Record:
    """A record as the grader makes it."""
    given = {"verdict": "passed", "message": "Good.", "score": 100.0, "lab": "01", "budget_mib": 256.0, "floor": 0.8}
    given |= {"peak_mib": 200.0, "baseline_mib": 300.0, "accuracy": 0.9, "seconds": 3.0, "time_limit": 120.0}
    return Record(**(given | {"method": "procfs", "isolation": "process", "trace": [[0, 1], [3, 200]]} | fields))


def test_a_cell_that_runs_again_replaces_its_earlier_version_in_its_place() -> None:
    session = Session()
    session.add(LAB, "%%graded 01\nSIZE = 1", "a")
    session.add(LAB, "%%graded 01\ndef train(folder): return 1", "b")
    assert session.add(LAB, "%%graded 01\nSIZE = 2", "a") == [
        "%%graded 01\nSIZE = 2",
        "%%graded 01\ndef train(folder): return 1",
    ]
    assert len(session.add(LAB, "%%graded 01\nSIZE = 2", "c")) == 3


def test_without_cell_ids_the_same_functions_mean_the_same_cell() -> None:
    session = Session()
    session.add(LAB, "%%graded 01\nSIZE = 1\ndef load(folder): return 1")
    session.add(LAB, "%%graded 01\nSIZE = 1\ndef train(folder): return 1")
    assert session.add(LAB, "%%graded 01\ndef train(folder): return 2") == [
        "%%graded 01\nSIZE = 1\ndef load(folder): return 1",
        "%%graded 01\ndef train(folder): return 2",
    ]
    broken = "%%graded 01\ndef train(folder: return"
    assert session.add(LAB, broken)[1] == broken
    both = "%%graded 01\ndef load(folder): return 1\ndef train(folder): return 3"
    assert session.add(LAB, both) == [both]


LOAD, LOAD_AGAIN = "%%graded 01\ndef load(folder): return 1", "%%graded 01\ndef load(folder): return 2"
TRAIN = "%%graded 01\ndef train(folder): return load(folder)"
LOAD_AND_TRAIN = "%%graded 01\ndef load(folder): return 0\ndef train(folder): return load(folder)"
TRAIN_AND_PREDICT = "%%graded 01\ndef train(folder): return 0\ndef predict(model, paths): return 0"


@pytest.mark.parametrize(
    ("run", "kept"),
    [
        ([LOAD_AND_TRAIN, LOAD, LOAD_AGAIN], [LOAD_AND_TRAIN, LOAD_AGAIN]),
        ([LOAD, LOAD_AND_TRAIN, LOAD_AGAIN], [LOAD_AND_TRAIN, LOAD_AGAIN]),
        ([LOAD, TRAIN, LOAD_AND_TRAIN], [LOAD_AND_TRAIN]),
        # train has moved to a cell of its own, and load to another one: either may come first.
        ([LOAD_AND_TRAIN, LOAD, TRAIN], [LOAD_AND_TRAIN, LOAD, TRAIN]),
        ([LOAD_AND_TRAIN, TRAIN, LOAD], [LOAD_AND_TRAIN, TRAIN, LOAD]),
        # predict was taken out: the grader must not find the old one.
        ([TRAIN_AND_PREDICT, TRAIN], [TRAIN]),
        ([TRAIN_AND_PREDICT, LOAD], [TRAIN_AND_PREDICT, LOAD]),
        # Both define predict, and neither is the other.
        ([TRAIN_AND_PREDICT, "%%graded 01\ndef predict(model, paths): return 1"] * 2, None),
        (["%%graded 01\nimport numpy", TRAIN, "%%graded 01\nimport numpy"], ["%%graded 01\nimport numpy", TRAIN]),
    ],
)
def test_without_cell_ids_only_an_earlier_version_is_replaced(run: list[str], kept: list[str] | None) -> None:
    session = Session()
    for source in run:
        session.add(LAB, source)
    assert session.sources(LAB) == (kept or run[:2])


NAMES = st.sets(st.sampled_from(["train", "predict", "load", "augment"]), min_size=1)


@given(st.lists(st.tuples(NAMES, st.integers(0, 2))))
def test_cells_without_ids_never_lose_the_function_that_the_lab_asks_for(cells: list[tuple[set[str], int]]) -> None:
    session = Session()
    for names, version in cells:
        source = "%%graded 01\n" + "\n".join(f"def {name}(): return {version}" for name in sorted(names))
        before = session.sources(LAB)
        after = session.add(LAB, source)
        assert after.count(source) == 1 and session.add(LAB, source) == after
        assert [other for other in before if other in after] == [other for other in after if other in before]
        if "train" in names or any("def train(" in other for other in before):
            assert any("def train(" in other for other in after)


def test_hints_go_on_where_progress_cannot_be_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_UTILS_PROGRESS", "/proc/nowhere")
    numbers = []
    for _ in range(3):
        progress = Progress()
        numbers.append(progress.next_hint(LAB)[0])
        assert "cannot be saved" in progress.warning
    assert numbers == [1, 2, 3]


def test_the_submission_is_read_back_by_the_grader_as_the_same_cells(tmp_path: Path) -> None:
    sources = ["%%graded 01\nimport numpy", "%%graded 01\ndef train(folder):\n    return 'ü'"]
    path = write_submission(LAB, sources, tmp_path)
    assert path.name == "submission_01.ipynb"
    nbformat.validate(nbformat.read(path, 4))
    (answer,) = read(path).answers
    assert answer.lab == "01" and answer.problem == ""
    assert [source.splitlines()[1:] for _, source in answer.cells] == [source.splitlines()[1:] for source in sources]
    before = path.read_bytes()
    assert write_submission(LAB, sources, tmp_path).read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_progress_outlives_the_kernel_and_keeps_the_best(tmp_path: Path) -> None:
    path = tmp_path / "new" / "progress.json"
    Progress(path).save(LAB, record())
    Progress(path).save(LAB, record(verdict="out_of_memory", score=0.0, accuracy=None, peak_mib=512.0))
    entry = Progress(path).entry(LAB)
    assert (entry["verdict"], entry["peak_mib"], entry["attempts"]) == ("passed", 200.0, 2)
    card = progress_card(Progress(path).labs, [LAB], str(path))
    text = cards.text(card)
    assert "1 of 1 labs passed" in text and "200 MiB of" in text and "90.0%" in text
    assert "2 attempts" in cards.html(card) and str(path) in text


def test_a_failed_attempt_is_shown_and_a_later_pass_replaces_it(tmp_path: Path) -> None:
    progress = Progress(tmp_path / "p.json")
    progress.save(LAB, record(verdict="not_attempted", score=0.0, accuracy=None, peak_mib=None))
    assert progress.entry(LAB)["attempts"] == 0
    progress.save(LAB, record(verdict="inaccurate", score=60.0, accuracy=0.3))
    assert "Not accurate enough" in cards.text(progress_card(progress.labs, [LAB], ""))
    progress.save(LAB, record())
    assert "Passed" in cards.text(progress_card(progress.labs, [LAB], ""))


def test_hints_come_one_by_one_and_are_remembered(tmp_path: Path) -> None:
    path = tmp_path / "progress.json"
    seen = [Progress(path).next_hint(LAB) for _ in range(len(LAB.hints) + 1)]
    assert [hint for _, hint in seen] == [*LAB.hints, LAB.hints[-1]]
    assert f"hint 2 of {len(LAB.hints)}" in cards.text(verdict_card(record(verdict="inaccurate"), LAB, hints_shown=1))
    last = verdict_card(record(verdict="inaccurate"), LAB, hints_shown=len(LAB.hints))
    assert "%course hint" not in cards.text(last)


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b'{"labs": {"01": 3}}', b"\xff\xfe", b'{"labs": {"01": {"verdict": "won"}}}', b""]
)
def test_a_corrupt_file_gets_a_sentence_and_is_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "progress.json"
    path.write_bytes(content)
    progress = Progress(path)
    assert progress.labs == {} and "could not be understood" in progress.warning
    (aside,) = tmp_path.glob("progress.json.unreadable-*")
    assert aside.read_bytes() == content
    progress.save(LAB, record())
    assert json.loads(path.read_text())["labs"]["01"]["verdict"] == "passed"


def test_progress_that_cannot_be_written_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    progress = Progress(tmp_path / "file" / "progress.json")
    progress.save(LAB, record())
    assert "cannot be saved" in progress.warning and "COURSE_UTILS_PROGRESS" in progress.warning


def test_where_progress_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_UTILS_PROGRESS", str(tmp_path / "here"))
    assert progress_path() == tmp_path / "here" / "progress.json"
    monkeypatch.setenv("COURSE_UTILS_PROGRESS", str(tmp_path / "mine.json"))
    assert progress_path() == tmp_path / "mine.json"
    monkeypatch.delenv("COURSE_UTILS_PROGRESS")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("course_utils.notebook.progress.DRIVE", tmp_path / "drive")
    assert progress_path() == tmp_path / ".course-progress.json"
    os.mkdir(tmp_path / "drive")
    assert progress_path() == tmp_path / "drive" / "course-utils" / "progress.json"


@pytest.mark.parametrize("verdict", ["passed", "over_budget", "inaccurate", "out_of_memory", "timed_out", "rejected"])
def test_every_verdict_card_says_what_and_why(verdict: str) -> None:
    where = {"cell": "graded cell", "line": 7, "source": "x = <np>.ones(9)"}
    card = verdict_card(record(verdict=verdict, score=50.0, message="Because of `this`.", where=where), LAB)
    for text in ("50 of 100", "Because of `this`.", "graded cell, line 7:  x = <np>.ones(9)", "floor 80.0%", "budget"):
        assert text in cards.text(card)
    assert "&lt;np&gt;" in cards.html(card) and "<np>" not in cards.html(card)
    assert ("%course submit 01" in cards.text(card)) == (verdict == "passed")


def test_a_thinned_trace_keeps_its_extremes() -> None:
    trace = [(second / 100, 10.0 + second % 7) for second in range(10_000)]
    trace[4321] = (43.21, 999.0)
    trace[8765] = (87.65, -5.0)
    short = thin(trace)
    assert len(short) <= 200
    assert {trace[0], trace[4321], trace[8765], trace[-1]} <= set(short)
    assert short == sorted(short)


def test_tables_refuse_what_they_cannot_show() -> None:
    with pytest.raises(ValueError, match="half true"):
        claims_card([("It helps", "3 MiB", "maybe")])
    with pytest.raises(ValueError, match="--into"):
        comparison_card({"naive": "a text"})
    with pytest.raises(ValueError, match="nothing|no outcome"):
        comparison_card({})
