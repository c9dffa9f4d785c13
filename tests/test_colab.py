"""Every lab as Colab opens it: alone in an empty folder, on Colab's pins, with the package installed from a wheel.

The environment is made once and kept under _build/. It has Python 3.13, like Colab, or this Python where there is none.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import nbformat
import pytest
from conftest import plain_text, two_at_a_time

from course_utils import labs
from tools import ROOT

LABS = labs.specs()
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


def colab_python() -> str:
    """A Python 3.13 that runs, else this one. A pyenv shim for a version that is not active does not run."""
    candidates = [shutil.which("python3.13"), *Path.home().glob(".pyenv/versions/3.13*/bin/python3.13")]
    for candidate in filter(None, candidates):
        if subprocess.run([candidate, "-c", "import venv, ssl"], capture_output=True).returncode == 0:
            return str(candidate)
    return sys.executable


@pytest.fixture(scope="module")
def colab(wheel: Path) -> Path:
    """The Python of an environment that has the locked packages and the wheel, and that does not see the repository."""
    python, lock = colab_python(), ROOT / "requirements.lock"
    folder = ROOT / "_build" / f"colab-{hashlib.sha256(python.encode() + lock.read_bytes()).hexdigest()[:12]}"
    inside = folder / "bin" / "python"
    install = [str(inside), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    if not (folder / "complete").exists():
        for old in (ROOT / "_build").glob("colab-*"):
            shutil.rmtree(old)
        subprocess.run([python, "-m", "venv", str(folder)], check=True)
        pins = os.environ | {"PIP_CONSTRAINT": str(ROOT / "requirements.txt")}
        subprocess.run([*install, "--require-hashes", "--requirement", str(lock)], check=True, env=pins)
        (folder / "complete").touch()
    subprocess.run([*install, "--force-reinstall", str(wheel)], check=True)
    return inside


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    files = {path for path in (ROOT / "course_utils").rglob("*") if path.is_file() and path.suffix != ".pyc"}
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == {str(path.relative_to(ROOT)) for path in files}


def with_the_answer_at_the_end(lab: labs.LabSpec) -> nbformat.NotebookNode:
    """The untouched starter, after which the learner fills in the graded cells and asks for the progress."""
    starter = nbformat.read(ROOT / "labs" / f"{lab.name}.ipynb", as_version=4)
    solution = nbformat.read(ROOT / "solutions" / f"{lab.name}.ipynb", as_version=4)
    for cell in solution.cells:
        if cell.cell_type == "code" and cell.source.startswith("%%graded"):
            starter.cells.append(nbformat.v4.new_code_cell(cell.source, metadata={"tags": ["answer"]}))
    starter.cells.append(nbformat.v4.new_code_cell("%course progress"))
    starter.cells.append(nbformat.v4.new_code_cell("import course_utils; print(course_utils.__file__)"))
    return starter


def execute(lab: labs.LabSpec, python: Path, folder: Path) -> tuple[nbformat.NotebookNode | None, str]:
    """Run the starter and the answer in ``folder``; return the notebook as it then stands, or None and the reason."""
    path = folder / f"{lab.name}.ipynb"
    nbformat.write(with_the_answer_at_the_end(lab), path)
    # An empty folder, and neither the repository nor another environment within reach.
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "JUPYTER"))}
    variables |= {"PATH": f"{python.parent}:{os.environ['PATH']}", "JUPYTER_PREFER_ENV_PATH": "1"}
    variables.pop("COURSE_UTILS_PROGRESS", None)
    command = [str(python), "-c", EXECUTE, path.name]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=variables)
    return (nbformat.read(path, as_version=4), "") if done.returncode == 0 else (None, done.stderr[-3000:])


@pytest.fixture(scope="module")
def opened(
    request: pytest.FixtureRequest, colab: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[labs.LabSpec, Future]]:
    """The notebook of each lab after its run, or None and the reason."""
    with two_at_a_time(request, "lab", lambda lab: execute(lab, colab, tmp_path_factory.mktemp(lab.name))) as results:
        yield results


@pytest.mark.trains
@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.number)
def test_a_starter_alone_runs_to_its_end_and_its_answer_passes(
    lab: labs.LabSpec, opened: dict[labs.LabSpec, Future], colab: Path
) -> None:
    notebook, problem = opened[lab].result()
    assert notebook is not None, problem
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    [crash] = [
        cell for cell in code if "crash" in cell.metadata.get("tags", []) and cell.source.startswith("%%sandbox")
    ]
    assert "out of memory" in plain_text(crash), plain_text(crash)
    untouched = [cell for cell in code if "graded" in cell.metadata.get("tags", [])]
    assert "not attempted" in plain_text(untouched[-1]), plain_text(untouched[-1])
    answered = [cell for cell in code if "answer" in cell.metadata.get("tags", [])]
    assert "passed" in plain_text(answered[-1]), plain_text(answered[-1])
    assert f"1 of {len(LABS)} labs passed" in plain_text(code[-2])
    assert plain_text(code[-1]).startswith(str(colab.parents[1]).casefold())
