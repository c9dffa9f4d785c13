"""The package as Colab gets it: a wheel beside the packages that are there already, and no repository.

That every lab runs on Colab's pins, alone in an empty folder, is shown by the notebooks that the book has executed: see
test_labs.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import nbformat
import pytest

from course_utils import labs
from tools import ROOT

LAB = labs.get("00")
EXECUTE = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
nbclient.execute(notebook, timeout=600, kernel_name="python3")
nbformat.write(notebook, sys.argv[1])
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that pip builds from the repository."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    # A copy, since setuptools would leave a build/ in the repository and put old files from there into the next wheel.
    shutil.copytree(ROOT / "course_utils", source / "course_utils", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--wheel-dir"]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(folder), str(source)], check=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def colab(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has the locked packages and the wheel, and that does not see the repository."""
    folder = tmp_path_factory.mktemp("colab")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    # A folder named in a .pth file is searched, and its own .pth files, such as that of this repository, are not read.
    (own,) = folder.glob("lib/python*/site-packages")
    (own / "locked.pth").write_text(sysconfig.get_path("purelib") + "\n")
    options = ["--quiet", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "--python", str(python), "install", *options, str(wheel)], check=True)
    return python


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    files = {path for path in (ROOT / "course_utils").rglob("*") if path.is_file() and path.suffix != ".pyc"}
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == {str(path.relative_to(ROOT)) for path in files}


def with_the_answer_at_the_end() -> nbformat.NotebookNode:
    """The untouched starter, after which the learner fills in the graded cells and asks for the progress."""
    starter = nbformat.read(ROOT / "labs" / f"{LAB.name}.ipynb", as_version=4)
    solution = nbformat.read(ROOT / "solutions" / f"{LAB.name}.ipynb", as_version=4)
    for cell in solution.cells:
        if cell.cell_type == "code" and cell.source.startswith("%%graded"):
            starter.cells.append(nbformat.v4.new_code_cell(cell.source, metadata={"tags": ["answer"]}))
    starter.cells.append(nbformat.v4.new_code_cell("%course progress"))
    starter.cells.append(nbformat.v4.new_code_cell("import course_utils; print(course_utils.__file__)"))
    return starter


def plain_text(cell: nbformat.NotebookNode) -> str:
    """What a cell shows, as text in small letters."""
    parts = [output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in cell.outputs]
    return "\n".join(parts).casefold()


@pytest.mark.trains
def test_a_lab_runs_with_the_wheel_alone_and_its_answer_passes(colab: Path, tmp_path: Path) -> None:
    path = tmp_path / f"{LAB.name}.ipynb"
    nbformat.write(with_the_answer_at_the_end(), path)
    # An empty folder, and neither the repository nor another environment within reach.
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "JUPYTER"))}
    variables |= {"PATH": f"{colab.parent}:{os.environ['PATH']}", "JUPYTER_PREFER_ENV_PATH": "1"}
    variables.pop("COURSE_UTILS_PROGRESS", None)
    done = subprocess.run(
        [str(colab), "-c", EXECUTE, path.name], cwd=tmp_path, capture_output=True, text=True, env=variables
    )
    assert done.returncode == 0, done.stderr[-3000:]
    code = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    [crash] = [
        cell for cell in code if "crash" in cell.metadata.get("tags", []) and cell.source.startswith("%%sandbox")
    ]
    assert "out of memory" in plain_text(crash), plain_text(crash)
    untouched = [cell for cell in code if "graded" in cell.metadata.get("tags", [])]
    assert "not attempted" in plain_text(untouched[-1]), plain_text(untouched[-1])
    answered = [cell for cell in code if "answer" in cell.metadata.get("tags", [])]
    assert "passed" in plain_text(answered[-1]), plain_text(answered[-1])
    assert f"1 of {len(labs.specs())} labs passed" in plain_text(code[-2])
    assert plain_text(code[-1]).startswith(str(colab.parents[1]).casefold())
