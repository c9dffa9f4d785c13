"""Every lab: its starter crashes and is not attempted, its solution passes, typical wrong answers fail as they should.

A lab is found by its table in labs.toml and a wrong answer by its file in tests/wrong_answers/NN/, whose first line
names the verdict that it must get. Adding either needs no line here. Starters and solutions are taken as the book has
executed them: each alone in an empty folder, on Colab's pins.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import nbformat
import pytest
from conftest import plain_text, two_at_a_time

from course_utils import labs
from course_utils.grading.grade import grade_answer
from course_utils.grading.record import Record
from course_utils.grading.submission import Cells, check, read
from tools import ROOT
from tools.execute import Execution
from tools.graded import grade

LABS = labs.specs()
WRONG_ANSWERS = sorted((ROOT / "tests" / "wrong_answers").glob("[0-9][0-9]/*.py"))
EXPECTED = re.compile(r"# expected: (\w+)")

each_lab = pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.number)


def graded_cells(path: Path, lab: labs.LabSpec) -> Cells:
    """The graded cells of one lab, as the grader takes them out of the file that a learner hands in."""
    answers = {answer.lab: answer for answer in read(path).answers}
    assert lab.number in answers, f"{path.name} has no %%graded {lab.number} cell"
    assert not answers[lab.number].problem, answers[lab.number].problem
    return answers[lab.number].cells


def shown(notebook: nbformat.NotebookNode, tag: str, magic: str) -> str:
    """The text that the last cell with this tag and magic shows, in small letters."""
    cells = [cell for cell in notebook.cells if tag in cell.metadata.get("tags", []) and cell.source.startswith(magic)]
    return plain_text(cells[-1])


@each_lab
def test_the_starter_runs_to_its_end_and_its_crash_cell_runs_out_of_memory(
    lab: labs.LabSpec, executed: Callable[[str], Execution]
) -> None:
    notebook = executed(f"labs/{lab.name}").notebook
    crash = shown(notebook, "crash", "%%sandbox")
    assert "out of memory" in crash, crash
    untouched = shown(notebook, "graded", "%%graded")
    assert "not attempted" in untouched, untouched


@each_lab
def test_the_solution_passes_with_room_to_spare(lab: labs.LabSpec, executed: Callable[[str], Execution]) -> None:
    solution = executed(f"solutions/{lab.name}")
    card = shown(solution.notebook, "graded", "%%graded")
    assert "passed" in card, card
    found = solution.progress[lab.number]
    assert found["verdict"] == "passed"
    peak_mib, seconds = found["peak_mib"], found["seconds"]
    if peak_mib > 0.7 * lab.budget_mib or seconds > 0.5 * lab.time_limit:
        # The book executes two notebooks at a time, which moves both where threads take turns: measure this one alone.
        record = grade(graded_cells(ROOT / "solutions" / f"{lab.name}.ipynb", lab), lab)
        peak_mib, seconds = record.peak_mib, record.cpu_seconds
    assert peak_mib <= 0.7 * lab.budget_mib
    assert seconds <= 0.5 * lab.time_limit


@each_lab
def test_the_solution_can_be_handed_in(lab: labs.LabSpec) -> None:
    cells = graded_cells(ROOT / "solutions" / f"{lab.name}.ipynb", lab)
    answer = check(lab, cells)
    assert answer.attempted and not answer.problem


@each_lab
def test_the_starter_is_not_attempted(lab: labs.LabSpec) -> None:
    cells = graded_cells(ROOT / "labs" / f"{lab.name}.ipynb", lab)
    record = grade_answer(check(lab, cells), lab)
    assert (record.verdict, record.score) == ("not_attempted", 0)


@pytest.fixture(scope="module")
def graded(request: pytest.FixtureRequest) -> Iterator[dict[Path, Future]]:
    """The records of the wrong answers."""

    def record(path: Path) -> Record:
        return grade([(path.name, path.read_text("utf-8"))], labs.get(path.parent.name))

    with two_at_a_time(request, "path", record) as records:
        yield records


@pytest.mark.parametrize("path", WRONG_ANSWERS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_wrong_answer_gets_its_verdict(path: Path, graded: dict[Path, Future]) -> None:
    expected = EXPECTED.match(path.read_text(encoding="utf-8"))
    assert expected, f"{path} must start with a line such as `# expected: out_of_memory`"
    record = graded[path].result()
    assert record.verdict == expected[1], record.message
    assert record.score < 100


@each_lab
def test_a_lab_has_three_wrong_answers_and_one_runs_out_of_memory(lab: labs.LabSpec) -> None:
    texts = [path.read_text(encoding="utf-8") for path in WRONG_ANSWERS if path.parent.name == lab.number]
    verdicts = [EXPECTED.match(text)[1] for text in texts]
    assert len(verdicts) >= 3
    # Killed at twice the budget: the budget is a lesson because the naive answer needs at least that.
    assert {"out_of_memory", "out_of_gpu_memory"} & set(verdicts)


def test_a_lab_is_found_by_any_spelling_of_its_number() -> None:
    assert labs.get("01") == labs.get("1") == labs.get(1)
    assert labs.get("01").cap_mib == 2 * labs.get("01").budget_mib


def test_an_unknown_lab_is_answered_with_the_labs_there_are() -> None:
    with pytest.raises(labs.UnknownLab) as error:
        labs.get("77")
    assert str(error.value).startswith("There is no lab '77'; the labs are ")
    assert "01" in str(error.value)


LAB = """
["01"]
name = "01_a"
title = "A lab"
minutes = 30
needs = "Nothing."
budget_mib = 240
floor = 0.8
time_limit = 90
train_count = 10
image_size = 16
hidden_count = 10
takeaway = "Remember this."
hints = ["One.", "Two.", "Three."]
"""


def test_a_lab_holds_what_its_table_says() -> None:
    lab = labs.parse(LAB)["01"]
    assert (lab.number, lab.name, lab.hints[2], lab.function, lab.least_speed) == (
        "01",
        "01_a",
        "Three.",
        "train",
        None,
    )
    assert str(lab.budget_mib) == "240"  # as it is written, for the pages
    with pytest.raises(ValueError, match="frozen"):
        lab.budget_mib = 10_000


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("budget_mib = 240", "", "labs.toml: lab 01 lacks budget_mib."),
        ("minutes = 30\nneeds", "colour", "labs.toml: lab 01 lacks minutes, needs."),
        (
            "minutes = 30",
            "minutes = 30\ncolour = 1",
            "labs.toml: lab 01 has a bad colour: extra inputs are not permitted.",
        ),
        ("floor = 0.8", 'floor = "high"', "labs.toml: lab 01 has a bad floor: input should be a valid"),
        ('"Three."', "", "labs.toml: lab 01 lacks hints."),
        ("01_a", "02_a", "labs.toml: lab 01 has the name '02_a', which must start with 01_."),
    ],
)
def test_a_table_that_is_wrong_is_named_with_its_key(old: str, new: str, sentence: str) -> None:
    with pytest.raises(ValueError) as error:
        labs.parse(LAB.replace(old, new))
    assert str(error.value).startswith(sentence) and "\n" not in str(error.value)
