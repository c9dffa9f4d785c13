"""From a lab's source to its notebooks, and the lint that holds labs to their form."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell

from course_utils import __version__
from tools import answers, quiz
from tools.lint import lint
from tools.notebooks import check, generate
from tools.source import SourceError

NAME = "01_the_data_set_that_does_not_fit"
SOLUTION_CELLS = """# %% [markdown] tags=["solution"]
# ## Why it streams
#
# One batch at a time.

# %% tags=["solution"]
print('small')

"""


@pytest.fixture
def course(tmp_path: Path, root: Path) -> Path:
    """A course of one lab, with an address of its own."""
    (tmp_path / "solutions").mkdir()
    shutil.copy(root / "solutions" / f"{NAME}.py", tmp_path / "solutions")
    shutil.copy(root / "pyproject.toml", tmp_path)
    shutil.copytree(root / "tests" / "wrong_answers" / "01", tmp_path / "tests" / "wrong_answers" / "01")
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
    generate(course)
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
    assert check(root) == []


def test_lint_finds_nothing_in_the_repository(root: Path) -> None:
    assert lint(root) == []


# Generation


def test_a_second_generation_changes_nothing(course: Path) -> None:
    first = generate(course)
    assert {path.relative_to(course).parts[0] for path in first} == {"solutions", "labs"}
    assert generate(course) == []
    assert check(course) == []


def test_notebooks_are_valid_and_have_no_outputs(course: Path) -> None:
    for notebook in notebooks(course):
        nbformat.validate(notebook)
        assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
        assert notebook.metadata.kernelspec.name == "python3"
        assert not any(cell.get("outputs") for cell in notebook.cells)
        assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)


def test_the_solution_shares_the_setup_and_graded_cells_with_the_lab_and_nothing_else(course: Path) -> None:
    solution, starter = notebooks(course)
    in_both = {cell.id for cell in solution.cells} & {cell.id for cell in starter.cells}
    assert in_both == {tagged(starter, "setup").id, tagged(starter, "graded").id}
    paragraphs = [
        {text for cell in notebook.cells if cell.cell_type == "markdown" for text in cell.source.split("\n\n")}
        for notebook in (solution, starter)
    ]
    repeated = {text for text in paragraphs[0] & paragraphs[1] if not text.startswith("```")}  # a program's imports
    assert repeated <= {"</details>"}


def test_solution_cells_follow_the_answer_and_are_not_in_the_lab(course: Path) -> None:
    edit(course, "# %% [markdown]\n# ## Crash\n", SOLUTION_CELLS + "# %% [markdown]\n# ## Crash\n")
    solution, starter = notebooks(course)
    kinds = [(cell.metadata.get("tags", ["", ""])[0], cell.source.split("\n")[0]) for cell in solution.cells]
    assert ("graded", "%%graded 01") in kinds
    assert ("solution", "## Why it streams") in kinds and ("solution", "print('small')") in kinds
    assert kinds[-1] == ("", "## Typical wrong answers")
    assert not any("solution" in cell.metadata.get("tags", []) for cell in starter.cells)


def test_a_solution_shows_each_wrong_answer_with_its_measured_verdict(course: Path) -> None:
    cells = notebooks(course)[0].cells
    last = cells[-1].source
    assert last.startswith("## Typical wrong answers\n") and last.count("<details>") == 4 == last.count("</details>")
    assert "<b>Not accurate enough.</b> Fits in memory at the cost of accuracy" in last and "# expected" not in last
    measured = {"wrong_answers": [{"name": "a_tenth_of_the_data", "verdict": "over_budget", "score": 84.8}]}
    (course / "book" / "measured").mkdir(parents=True)
    (course / "book" / "measured" / "01.json").write_text(json.dumps(measured))
    reason = f"solutions/{NAME}.ipynb is out of date: cell {len(cells)} differs from its source; run `make labs`."
    assert check(course) == [reason]
    last = notebooks(course)[0].cells[-1].source
    assert "<b>Over budget, 84.8 of 100.</b> Fits in memory at the cost of accuracy" in last
    assert "</summary>\n\n```python\nimport keras\n" in last


def test_a_wrong_answer_without_its_two_comment_lines_is_named(course: Path) -> None:
    (course / "tests" / "wrong_answers" / "01" / "float32_array.py").write_text("# expected: raised\nimport keras\n")
    with pytest.raises(SourceError, match="tests/wrong_answers/01/float32_array.py must start with two comment lines"):
        generate(course)


def test_the_starter_lacks_the_answer(course: Path) -> None:
    solution, starter = notebooks(course)
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
    release = f"https://github.com/someone/their-fork/releases/download/v{__version__}"
    wheel = f"{release}/course_utils-{__version__}-py3-none-any.whl"
    assert f"%pip install --quiet --no-deps {wheel}" in tagged(starter, "setup").source


def test_the_setup_cell_installs_the_package_only_where_it_is_missing(
    course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = InteractiveShell()
    ran: list[str] = []
    shell.register_magic_function(lambda line: ran.append(f"pip {line}"), "line", "pip")
    shell.register_magic_function(lambda line: ran.append(f"load_ext {line}"), "line", "load_ext")
    setup = tagged(notebooks(course)[1], "setup").source
    assert shell.run_cell(setup).success
    assert ran == ["load_ext course_utils"]
    ran.clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert shell.run_cell(setup).success
    assert [line.split()[0] for line in ran] == ["pip", "load_ext"]


def test_a_lab_leads_to_the_next_one_also_in_colab(course: Path, root: Path) -> None:
    shutil.copy(root / "solutions" / "02_batch_size.py", course / "solutions")
    shutil.copytree(root / "tests" / "wrong_answers" / "02", course / "tests" / "wrong_answers" / "02")
    summary = tagged(notebooks(course)[1], "summary").source
    colab = "https://colab.research.google.com/github/someone/their-fork/blob/class/labs/02_batch_size.ipynb"
    assert summary.endswith(f"Next: [Batch size](02_batch_size.ipynb), or [the same in Colab]({colab}).")
    last = nbformat.read(course / "labs" / "02_batch_size.ipynb", as_version=4)
    assert "Next:" not in tagged(last, "summary").source


def test_an_edit_leaves_the_identifiers_of_other_cells_alone(course: Path) -> None:
    before = [cell.id for cell in notebooks(course)[1].cells]
    edit(course, "# ## Predict\n", "# ## Predict first\n")
    after = [cell.id for cell in notebooks(course)[1].cells]
    assert sum(one != other for one, other in zip(before, after, strict=True)) == 1


def test_placeholders_take_their_values_from_the_table(course: Path) -> None:
    text = "\n".join(cell.source for cell in notebooks(course)[1].cells)
    assert "at most 256 MiB above the baseline" in text and "{{" not in text
    edit(course, "{{budget_mib}}", "{{budget}}")
    with pytest.raises(SourceError, match=rf"solutions/{NAME}.py, the cell at line \d+: {{{{budget}}}}"):
        generate(course)


# What check says


def test_check_names_the_file_and_the_reason(course: Path) -> None:
    assert any("is missing" in reason for reason in check(course))
    cells = notebooks(course)[1].cells
    number = 1 + next(i for i, cell in enumerate(cells) if "## Predict\n" in cell.source)
    edit(course, "# ## Predict\n", "# ## Predict first\n")
    reason = f"labs/{NAME}.ipynb is out of date: cell {number} differs from its source; run `make labs`."
    assert check(course) == [reason]

    generate(course)
    path = course / "labs" / f"{NAME}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text="hello")]
    nbformat.write(notebook, path)
    assert check(course) == [f"labs/{NAME}.ipynb is out of date: it holds outputs; run `make labs`."]


def test_a_notebook_without_a_source_is_found_and_removed(course: Path) -> None:
    generate(course)
    left = course / "labs" / "99_gone.ipynb"
    shutil.copy(course / "labs" / f"{NAME}.ipynb", left)
    own = course / "labs" / "my_notes.ipynb"
    nbformat.write(nbformat.v4.new_notebook(), own)
    assert [reason.split()[0] for reason in check(course)] == ["labs/99_gone.ipynb"]
    assert generate(course) == [left]
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
    findings = about(lint(course))
    assert any(f"solutions/{NAME}.py" in finding and sentence in finding for finding in findings), findings


def findings_after(course: Path, *cells: str) -> list[str]:
    """The findings on sandboxed cells when these stand before the summary of the lab."""
    summary = '# %% [markdown] tags=["summary"]\n'
    edit(course, summary, "\n\n".join(cells) + "\n\n" + summary)
    return [finding for finding in lint(course) if "stand alone" in finding or "%%sandbox cell" in finding]


FIRST = "# %%\n# %%sandbox --budget 64 --name first\nimport numpy as np\n\nx = np.zeros(1)"
SECOND = "# %%\n# %%sandbox --budget 64 --into second --after first\ny = np.ones(len(x))"


def test_a_cell_may_use_what_the_cells_that_it_names_define(course: Path) -> None:
    last = "# %%\n# %%sandbox --budget 64 --after second\nprint(np.sum(x), y)"
    text = '# %%\nnotebook.run("print(y)", budget_mib=64, after="first, second")'
    assert findings_after(course, FIRST, SECOND, last, text) == []


def test_an_import_that_only_a_later_cell_uses_is_used(course: Path) -> None:
    only_imports = FIRST.replace("\n\nx = np.zeros(1)", "")
    assert findings_after(course, only_imports, SECOND.replace("len(x)", "1")) == []


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        ([FIRST, "# %%\n# %%sandbox --budget 64\nprint(x)"], "Undefined name `x`"),
        ([SECOND], "no %%sandbox cell above it has `--name first`"),
        ([SECOND, FIRST], "no %%sandbox cell above it has `--name first`"),
        (['# %%\nnotebook.run("print(y)", after="second", budget_mib=64)'], "above it has `--name second`"),
        ([FIRST.replace("x = np.zeros(1)", "x = 1")], "imported but unused"),
        ([FIRST, SOLUTION_CELLS + "# %% tags=['solution']\n" + SECOND[5:]], "above it has `--name first`"),
    ],
    ids=["not named", "no such name", "name below", "a text", "unused", "named in the other notebook"],
)
def test_lint_names_what_is_not_defined_above(course: Path, cells: list[str], sentence: str) -> None:
    findings = findings_after(course, *cells)
    assert len(findings) == 1 and sentence in findings[0] and f"solutions/{NAME}.py" in findings[0], findings


@pytest.mark.parametrize(("lines", "is_found"), [(8, False), (9, True)])
def test_lint_finds_a_cell_that_repeats_another(course: Path, lines: int, is_found: bool) -> None:
    body = "\n".join(f"print({number})\n" for number in range(lines))
    first, second = (f"# %%\n# %%sandbox --budget 64\n{start}\n{body}" for start in ("print('a')", "print('b')"))
    findings_after(course, first, second)
    assert any(f"it repeats {lines} lines of the cell" in finding for finding in lint(course)) == is_found


def test_a_graded_cell_still_stands_alone(course: Path) -> None:
    edit(course, "# %%graded 01\nimport keras\n", "# %%graded 01\n")
    assert any("the cell does not stand alone: Undefined name `keras`" in finding for finding in lint(course))


def test_lint_finds_committed_outputs(course: Path) -> None:
    generate(course)
    before = lint(course)
    path = course / "solutions" / f"{NAME}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].execution_count = 3
    nbformat.write(notebook, path)
    assert [finding for finding in lint(course) if finding not in before] == [
        f"solutions/{NAME}.ipynb, cell 2: outputs are not committed."
    ]


def test_lint_finds_a_source_without_a_table(course: Path) -> None:
    shutil.copy(course / "solutions" / f"{NAME}.py", course / "solutions" / "98_unknown.py")
    assert "solutions/98_unknown.py has no table in course_utils/labs.toml." in lint(course)


def test_an_empty_source_is_an_error_in_a_sentence(course: Path) -> None:
    (course / "solutions" / f"{NAME}.py").write_text("")
    assert f"solutions/{NAME}.py must start with a `# %%` line." in lint(course)


def test_the_command_says_what_is_wrong_and_returns_1(course: Path, root: Path) -> None:
    shutil.copytree(root / "tools", course / "tools")
    command = [sys.executable, "-m", "tools.labs"]
    checked = subprocess.run([*command, "--check"], capture_output=True, text=True, cwd=course)
    assert checked.returncode == 1 and f"labs/{NAME}.ipynb is missing: run `make labs`." in checked.stderr
    assert not (course / "labs").exists()
    written = subprocess.run(command, capture_output=True, text=True, cwd=course)
    assert f"wrote labs/{NAME}.ipynb" in written.stdout and "solutions/02_batch_size.py is missing" in written.stderr
