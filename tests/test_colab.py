"""Every lab as Colab opens it: alone in an empty folder, on Colab's pins, with the package installed from a wheel.

The environment is made once and kept under _build/: Python 3.13 where there is one, as Colab has, else this Python.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import nbformat
import pytest
from conftest import two_at_a_time

from course_utils import labs

ROOT = Path(__file__).resolve().parent.parent
FOR_THE_SITE = "# The site and the tests."
LABS = labs.specs()


def colab_python() -> str:
    """A Python 3.13 that runs, else this one."""
    candidates = [shutil.which("python3.13")]
    candidates += sorted((Path.home() / ".pyenv" / "versions").glob("3.13*/bin/python3.13"))
    for candidate in filter(None, candidates):
        if subprocess.run([candidate, "-c", "import venv, ssl"], capture_output=True).returncode == 0:
            return str(candidate)
    return sys.executable


def environment() -> Path:
    """The Python of an environment with Colab's pins and this package's wheel."""
    python = colab_python()
    pins = (ROOT / "requirements.txt").read_text("utf-8").partition(FOR_THE_SITE)[0]
    stamp = hashlib.sha256(f"{python}\n{pins}".encode()).hexdigest()[:12]
    folder = ROOT / "_build" / f"colab-{stamp}"
    inside = folder / "bin" / "python"
    quietly = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if not (folder / "complete").exists():
        for old in (ROOT / "_build").glob("colab-*"):
            shutil.rmtree(old)
        subprocess.run([python, "-m", "venv", str(folder)], check=True)
        listed = folder / "pins.txt"
        listed.write_text(pins)
        subprocess.run([str(inside), *quietly, "--requirement", str(listed)], check=True)
        (folder / "complete").touch()
    for wheel in (folder / "wheels").glob("*.whl"):
        wheel.unlink()
    build = [
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(folder / "wheels"),
    ]
    subprocess.run(
        [str(inside), *build, str(ROOT)], check=True, env=os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    )
    [wheel] = (folder / "wheels").glob("*.whl")
    # What the setup cell does in Colab, with a local wheel in place of the repository's address.
    subprocess.run([str(inside), *quietly, "--no-deps", "--force-reinstall", str(wheel)], check=True)
    return inside


def with_the_answer_at_the_end(lab: labs.LabSpec) -> nbformat.NotebookNode:
    """The untouched starter, after which the learner fills in the graded cells and asks for the progress."""
    starter = nbformat.read(ROOT / "labs" / f"{lab.name}.ipynb", as_version=4)
    solution = nbformat.read(ROOT / "solutions" / f"{lab.name}.ipynb", as_version=4)
    for cell in solution.cells:
        if cell.cell_type == "code" and cell.source.startswith("%%graded"):
            starter.cells.append(nbformat.v4.new_code_cell(cell.source, metadata={"tags": ["answer"]}))
    starter.cells.append(nbformat.v4.new_code_cell("%course progress"))
    return starter


def plain_text(cell: nbformat.NotebookNode) -> str:
    """What a cell shows, as text in small letters."""
    parts = [output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in cell.outputs]
    return "\n".join(parts).casefold()


def execute(lab: labs.LabSpec, python: Path, folder: Path) -> tuple[nbformat.NotebookNode | None, str]:
    """Run the starter and the answer in ``folder``; return the notebook as it then stands, or None and the reason."""
    path = folder / f"{lab.name}.ipynb"
    nbformat.write(with_the_answer_at_the_end(lab), path)
    command = [str(python), "-m", "jupyter", "execute", "--inplace", "--timeout=600", "--kernel_name=python3"]
    # An empty folder, and neither the repository nor another environment within reach.
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "JUPYTER"))}
    variables |= {"PATH": f"{python.parent}:{os.environ['PATH']}", "JUPYTER_PREFER_ENV_PATH": "1"}
    variables.pop("COURSE_UTILS_PROGRESS", None)
    done = subprocess.run([*command, path.name], cwd=folder, capture_output=True, text=True, env=variables)
    if done.returncode != 0:
        return None, done.stderr[-3000:]
    return nbformat.read(path, as_version=4), ""


@pytest.fixture(scope="module")
def executed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[labs.LabSpec, Future]]:
    """The notebook of each lab after its run, or None and the reason."""
    python = environment()
    with two_at_a_time(request, "lab", lambda lab: execute(lab, python, tmp_path_factory.mktemp(lab.name))) as results:
        yield results


@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.number)
def test_a_starter_alone_runs_to_its_end_and_its_answer_passes(
    lab: labs.LabSpec, executed: dict[labs.LabSpec, Future]
) -> None:
    notebook, problem = executed[lab].result()
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
    assert f"1 of {len(LABS)} labs passed" in plain_text(code[-1])
