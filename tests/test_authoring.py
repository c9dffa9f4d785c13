"""From a lab's source to its notebooks, and the lint that holds labs to their form."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell

from course_utils import authoring
from course_utils.authoring import answers, quiz

NAME = "01_the_data_set_that_does_not_fit"


@pytest.fixture
def course(tmp_path: Path, root: Path) -> Path:
    """A course of one lab, with an address of its own."""
    (tmp_path / "solutions").mkdir()
    shutil.copy(root / "solutions" / f"{NAME}.py", tmp_path / "solutions")
    shutil.copy(root / "pyproject.toml", tmp_path)
    (tmp_path / "_config.yml").write_text(
        "repository:\n  url: https://github.com/someone/their-fork\n  branch: class\n"
    )
    return tmp_path


def edit(course: Path, old: str, new: str) -> None:
    path = course / "solutions" / f"{NAME}.py"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def notebooks(course: Path) -> tuple[nbformat.NotebookNode, nbformat.NotebookNode]:
    """Solution and starter, after they have been generated."""
    authoring.generate(course)
    paths = (course / folder / f"{NAME}.ipynb" for folder in ("solutions", "labs"))
    solution, starter = (nbformat.read(path, as_version=4) for path in paths)
    return solution, starter


def tagged(notebook: nbformat.NotebookNode, tag: str) -> nbformat.NotebookNode:
    return next(cell for cell in notebook.cells if tag in cell.metadata.get("tags", []))


def about(findings: list[str]) -> list[str]:
    """The findings on the one lab that the course of these tests has."""
    return [finding for finding in findings if "labs.toml has lab" not in finding]


# The repository itself


def test_the_notebooks_of_the_repository_are_up_to_date(root: Path) -> None:
    assert authoring.check(root) == []


def test_lint_finds_nothing_in_the_repository(root: Path) -> None:
    assert authoring.lint(root) == []


# Generation


def test_a_second_generation_changes_nothing(course: Path) -> None:
    first = authoring.generate(course)
    assert {path.relative_to(course).parts[0] for path in first} == {"solutions", "labs"}
    assert authoring.generate(course) == []
    assert authoring.check(course) == []


def test_notebooks_are_valid_and_have_no_outputs(course: Path) -> None:
    for notebook in notebooks(course):
        nbformat.validate(notebook)
        assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
        assert notebook.metadata.kernelspec.name == "python3"
        assert not any(cell.get("outputs") for cell in notebook.cells)
        assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)


def test_the_starter_lacks_the_answer_and_nothing_else(course: Path) -> None:
    solution, starter = notebooks(course)
    for one, other in zip(solution.cells, starter.cells, strict=True):
        assert one.id == other.id
        if "graded" not in one.metadata.get("tags", []) and one is not solution.cells[0]:
            assert one.source == other.source
    graded = tagged(starter, "graded").source
    assert graded.startswith("%%graded 01\n")
    assert "def train(folder):" in graded and "raise NotImplementedError" in graded
    assert "model.fit" not in graded
    answer = tagged(solution, "graded").source
    assert "model.fit" in answer and "NotImplementedError" not in answer
    assert "SOLUTION" not in answer + graded and "STARTER" not in answer + graded


def test_both_notebooks_say_what_they_are_made_from(course: Path) -> None:
    for notebook in notebooks(course):
        assert f"Generated from solutions/{NAME}.py" in notebook.cells[0].source
        assert notebook.metadata.course.generated_from == f"solutions/{NAME}.py"
    solution, starter = notebooks(course)
    assert starter.cells[0].source.startswith("# The data set that does not fit\n")
    assert solution.cells[0].source.startswith("# The data set that does not fit (solution)\n")


def test_badge_and_setup_cell_follow_the_repository_address(course: Path) -> None:
    solution, starter = notebooks(course)
    colab = "https://colab.research.google.com/github/someone/their-fork/blob/class"
    assert f"({colab}/labs/{NAME}.ipynb)" in starter.cells[0].source
    assert f"({colab}/solutions/{NAME}.ipynb)" in solution.cells[0].source
    assert "%pip install --quiet --no-deps git+https://github.com/someone/their-fork" in tagged(starter, "setup").source


def test_the_setup_cell_installs_nothing_outside_colab(course: Path) -> None:
    shell = InteractiveShell()
    ran = []
    shell.register_magic_function(lambda line: ran.append(f"pip {line}"), "line", "pip")
    shell.register_magic_function(lambda line: ran.append(f"load_ext {line}"), "line", "load_ext")
    assert shell.run_cell(tagged(notebooks(course)[1], "setup").source).success
    assert ran == ["load_ext course_utils"]


def test_an_edit_leaves_the_identifiers_of_other_cells_alone(course: Path) -> None:
    before = [cell.id for cell in notebooks(course)[1].cells]
    edit(course, "# ## Predict\n", "# ## Predict first\n")
    after = [cell.id for cell in notebooks(course)[1].cells]
    assert sum(one != other for one, other in zip(before, after, strict=True)) == 1


def test_placeholders_take_their_values_from_the_table(course: Path) -> None:
    text = "\n".join(cell.source for cell in notebooks(course)[1].cells)
    assert "at most 256 MiB above the baseline" in text and "{{" not in text
    edit(course, "{{budget_mib}}", "{{budget}}")
    with pytest.raises(authoring.SourceError, match=rf"solutions/{NAME}.py, the cell at line \d+: {{{{budget}}}}"):
        authoring.generate(course)


def test_labels_of_starter_and_solution_do_not_clash(course: Path) -> None:
    edit(course, "# ## Predict\n", "# (prediction)=\n# ## Predict\n#\n# See [above](#prediction).\n")
    solution, starter = (tagged_text(notebook) for notebook in notebooks(course))
    assert "(prediction)=" in starter and "(#prediction)" in starter
    assert "(solution-prediction)=" in solution and "(#solution-prediction)" in solution


def tagged_text(notebook: nbformat.NotebookNode) -> str:
    return "\n".join(cell.source for cell in notebook.cells if "predict" in cell.metadata.get("tags", []))


# What check says


def test_check_names_the_file_and_the_reason(course: Path) -> None:
    assert any("is missing" in reason for reason in authoring.check(course))
    authoring.generate(course)
    edit(course, "# ## Predict\n", "# ## Predict first\n")
    reasons = authoring.check(course)
    assert len(reasons) == 2 and all("cell 6 is not what its source gives" in reason for reason in reasons)

    authoring.generate(course)
    path = course / "labs" / f"{NAME}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text="hello")]
    nbformat.write(notebook, path)
    assert authoring.check(course) == [f"labs/{NAME}.ipynb is out of date: it holds outputs; run `course-utils labs`."]


def test_a_notebook_without_a_source_is_found_and_removed(course: Path) -> None:
    authoring.generate(course)
    left = course / "labs" / "99_gone.ipynb"
    shutil.copy(course / "labs" / f"{NAME}.ipynb", left)
    own = course / "labs" / "my_notes.ipynb"
    nbformat.write(nbformat.v4.new_notebook(), own)
    assert [reason.split()[0] for reason in authoring.check(course)] == ["labs/99_gone.ipynb"]
    assert authoring.generate(course) == [left]
    assert own.exists() and not left.exists()


# Answers and quizzes


def test_an_answer_at_the_top_level_leaves_nothing_behind() -> None:
    text = "import keras\n# BEGIN SOLUTION\nimport numpy as np\n# END SOLUTION\n\n\ndef train(folder):\n    ...\n"
    assert answers.starter(text) == "import keras\n\n\ndef train(folder):\n    ..."
    assert "import numpy" in answers.solution(text)


@pytest.mark.parametrize(
    "text",
    [
        "# BEGIN SOLUTION\n",
        "# END SOLUTION\n",
        "# BEGIN SOLUTION\n# BEGIN SOLUTION\n# END SOLUTION\n",
    ],
)
def test_markers_that_do_not_pair_up_are_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="without its partner"):
        answers.starter(text)


def test_an_option_of_a_quiz_folds_open_to_its_reason() -> None:
    text = "**1. Which is\nlarger?**\n\n- [ ] `a < b` :: Not so.\n- [x] b :: It has\n  more bytes."
    rendered = quiz.render(text)
    assert rendered.startswith("**1. Which is larger?**")
    assert "<details><summary>A. <code>a &lt; b</code></summary>\n\n**Not this one.** Not so.\n\n</details>" in rendered
    assert "<details><summary>B. b</summary>\n\n**Right.** It has more bytes.\n\n</details>" in rendered


# The lint

MISTAKES = {
    "another title": ("# # The data set that does not fit\n", "# # Data sets\n", "the title in labs.toml"),
    "no objectives": ("# **Objectives**\n", "# Objectives\n", "lacks its **Objectives**"),
    "two titles": ("# ## Predict\n", "# # Predict\n", "2 first-level headings"),
    "capitals": ("# ## Your turn\n", "# ## Your Turn\n", "not in sentence case (Turn)"),
    "no prediction": (" --predict 26", "", "no %%sandbox cell has a --predict"),
    "crash without a sandbox": ("# %%sandbox --budget 256", "# sandbox --budget 256", "a crash belongs in a sandbox"),
    "no budget": ("# %%sandbox --budget 512 --into uint8", "# %%sandbox --into uint8", "needs a --budget"),
    "name of another cell": ("history = model.fit(dataset, verbose=0)", "model.fit(data)", "does not stand alone"),
    "no claims": (' tags=["claims"]', "", 'no cell has tags=["claims"]'),
    "no alt text": (' mystnb={"image"', ' mystnb={"picture"', "a figure needs alt text"),
    "no alt text of a comparison": ("(steps, alt=", "(steps, label=", "notebook.compare needs alt text"),
    "another lab's graded cell": ("# %%graded 01", "# %%graded 02", "starts with `# %%graded 01`"),
    "no answer": ("# BEGIN SOLUTION", "# begin", "without its partner"),
    "no right option": ("# - [x] About 7 GiB", "# - [ ] About 7 GiB", "needs one right option"),
    "no reason": ("- [x] About 7 GiB :: ", "- [x] About 7 GiB ", "` :: why` after it"),
    "unused import": ("import keras\n\n\ndef train", "import os\nimport keras\n\n\ndef train", "imported but unused"),
    "layout": ("def train(folder):", "def train( folder ):", "ruff format would change"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_lint_names_file_and_mistake(course: Path, mistake: str) -> None:
    old, new, sentence = MISTAKES[mistake]
    edit(course, old, new)
    findings = about(authoring.lint(course))
    assert any(f"solutions/{NAME}.py" in finding and sentence in finding for finding in findings), findings


def test_lint_finds_committed_outputs(course: Path) -> None:
    authoring.generate(course)
    path = course / "solutions" / f"{NAME}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].execution_count = 3
    nbformat.write(notebook, path)
    assert about(authoring.lint(course)) == [f"solutions/{NAME}.ipynb, cell 2: outputs are not committed."]


def test_lint_finds_a_source_without_a_table(course: Path) -> None:
    shutil.copy(course / "solutions" / f"{NAME}.py", course / "solutions" / "98_unknown.py")
    assert "solutions/98_unknown.py has no table in course_utils/labs.toml." in authoring.lint(course)


def test_an_empty_source_is_an_error_in_a_sentence(course: Path) -> None:
    (course / "solutions" / f"{NAME}.py").write_text("")
    assert f"solutions/{NAME}.py must start with a `# %%` line." in authoring.lint(course)
