"""What has been executed or graded is not run again until something that it depends on changes."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from course_utils import labs
from tools import execute, fingerprint, graded


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of executed notebooks in place of the book's."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(execute, "CACHE", folder)
    monkeypatch.setattr(execute, "MADE_WITH", folder / "made-with")
    monkeypatch.setattr(execute, "DOCTREES", tmp_path / "doctrees")
    execute.empty_outdated_cache()
    return folder


def notebook(path: Path, *sources: str) -> Path:
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path


def test_an_executed_notebook_is_found_until_it_changes(cache: Path, tmp_path: Path) -> None:
    path = notebook(tmp_path / "one.ipynb", "import os\nprint(os.listdir(), 6 * 7)")
    assert execute.find(path) is None
    assert execute.execute(path) == ""
    found = execute.find(path)
    assert found.notebook.cells[0].outputs[0].text == "[] 42\n"
    assert found.progress == {} and found.seconds > 0
    notebook(path, "print(7)")
    assert execute.find(path) is None


def test_an_executed_notebook_is_outdated_once_the_package_has_changed(cache: Path, tmp_path: Path) -> None:
    path = notebook(tmp_path / "one.ipynb", "1")
    execute.execute(path)
    (cache / "made-with").write_text("another fingerprint")
    assert execute.find(path) is None
    execute.empty_outdated_cache()
    assert execute.find(path) is None


def test_a_notebook_that_fails_is_not_kept_and_its_error_is_told(cache: Path, tmp_path: Path) -> None:
    path = notebook(tmp_path / "one.ipynb", "1 / 0")
    assert "ZeroDivisionError" in execute.execute(path)
    assert execute.find(path) is None


def test_the_notebooks_of_the_book_are_the_starters_and_the_solutions() -> None:
    names = {f"{folder}/{lab.name}.ipynb" for folder in ("labs", "solutions") for lab in labs.specs()}
    assert {str(path.relative_to(execute.ROOT)) for path in execute.notebooks()} == names


def test_an_answer_is_graded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graded, "KEPT", tmp_path)
    cells = [("answer", "def train(folder): return 1 / 0")]
    first = graded.grade(cells, labs.get("01"))
    assert first.verdict == "raised"
    assert graded.grade(cells, labs.get("01")) == first
    assert len(list(tmp_path.iterdir())) == 1
    graded.grade([("answer", "def train(folder): return 2 / 0")], labs.get("01"))
    graded.grade(cells, labs.get("01"), seed=7)
    assert len(list(tmp_path.iterdir())) == 3


def test_what_an_answer_does_not_depend_on_leaves_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {"requirements.lock": "", "course_utils/cli.py": "", "course_utils/scans.py": ""}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(fingerprint, "ROOT", tmp_path)
    now = fingerprint.fingerprint.__wrapped__
    whole, without = now(), now(("cli.py",))
    (tmp_path / "course_utils" / "cli.py").write_text("changed")
    assert now() != whole and now(("cli.py",)) == without
    (tmp_path / "course_utils" / "scans.py").write_text("changed")
    assert now(("cli.py",)) != without
