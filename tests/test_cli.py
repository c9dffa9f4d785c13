"""The command: what it prints, what it exits with, and that it is never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from course_utils.sandbox import isolation
from tools import ROOT


def run(
    *arguments: object, text: str = "", folder: Path = ROOT, path: str = os.environ["PATH"]
) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "course_utils", *map(str, arguments)]
    variables = os.environ | {"PATH": path}
    done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=300, cwd=folder, env=variables)
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return done


def test_help_names_every_command_and_loads_nothing_heavy():
    done = run("--help")
    assert done.returncode == 0
    for command in ("grade", "check", "doctor", "explain", "run"):
        assert command in done.stdout
    heavy = "{'tensorflow', 'keras', 'numpy', 'PIL', 'IPython', 'nbformat', 'pydantic'}"
    program = f"import course_utils.cli, sys; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "[]"


DELETED = "import os, tempfile\nfolder = tempfile.mkdtemp()\nos.chdir(folder), os.rmdir(folder)"
HOMELESS = "import os\nos.environ.pop('HOME', 0), os.environ.pop('COURSE_UTILS_CACHE', 0), os.setuid(2**31 - 7)"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="To become another user needs root.")


@pytest.mark.parametrize(
    ("before", "words"),
    [(DELETED, "was started in has been deleted"), pytest.param(HOMELESS, "has no home folder", marks=needs_root)],
)
def test_a_place_that_is_missing_gets_one_sentence(before, words):
    program = f"from course_utils.cli import application\n{before}\napplication(['doctor'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout) == (2, "") and words in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_the_grader_itself_never_imports_tensorflow(tmp_path):
    (tmp_path / "01.py").write_text("def train(folder): return 1\ndef predict(model, paths): return 1\n")
    program = (
        "import sys; from course_utils.cli import application\n"
        f"sys.argv = ['course-utils', 'check', {str(tmp_path / '01.py')!r}]\n"
        "try: application()\n"
        "except SystemExit: print('tensorflow' in sys.modules)"
    )
    lines = subprocess.check_output([sys.executable, "-c", program], text=True, cwd=ROOT).splitlines()
    assert lines[0] == "Lab 01: raised, 0 of 100 points"
    assert lines[-1] == "False"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["grade", "nowhere", "--out", "OUT"], "nowhere does not exist"),
        (["grade", "EMPTY", "--out", "OUT"], "no .ipynb or .py file"),
        (["grade", "FILE", "--out", "FILE"], "Cannot keep grades"),
        (["grade", "FILE", "--out", "OUT", "--isolation", "castle"], "There is no isolation 'castle'"),
        (["grade", "FILE", "--out", "OUT", "--method", "guessing"], "There is no memory method 'guessing'"),
        (["grade", "FILE", "--out", "OUT", "--seed-file", "nowhere"], "Cannot read nowhere"),
        (["grade", "FILE", "--out", "OUT", "--seed-file", "BLANK"], "is empty"),
        (["grade", "FILE", "--out", "BROKEN"], "Cannot keep grades"),
        (["grade", "FILE", "--out", "OUT", "--layout", "castle"], "There is no layout 'castle'"),
        (["grade", "FILE", "--out", "OUT", "--roster", "nowhere.csv"], "Cannot read the roster nowhere.csv"),
        (["grade", "FILE", "--out", "OUT", "--roster", "BLANK"], "is empty"),
        (["grade", "FILE", "--out", "OUT", "--compare", "EMPTY"], "Cannot compare with"),
        (["grade", "FILE", "--out", "OUT", "--regrade", "nobody"], "no student and no verdict is called so"),
        (["check", "nowhere.ipynb"], "nowhere.ipynb does not exist"),
        (["check", "EMPTY"], "is a folder"),
        (["explain", "nowhere.txt"], "Cannot read nowhere.txt"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_code_2(tmp_path, words, expected):
    places = {name: tmp_path / name.lower() for name in ("OUT", "EMPTY", "FILE", "BLANK", "BROKEN")}
    places["EMPTY"].mkdir()
    places["FILE"] = tmp_path / "01_ada.py"
    places["FILE"].write_text("def train(folder): pass")
    places["BLANK"].write_text("\n")
    places["BROKEN"].mkdir()
    (places["BROKEN"] / "grades.sqlite").mkdir()
    done = run(*(places.get(word, word) for word in words))
    assert done.returncode == 2
    assert expected in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


def test_bad_files_are_graded_as_rejected_and_the_command_succeeds(tmp_path):
    folder = tmp_path / "class"
    folder.mkdir()
    (folder / "[red]ada.ipynb").write_text("not json")
    (folder / "bob.py").write_text("# %%graded 01\ndef train(:")
    (folder / "b\udcff\n=1.py").write_text("# %%graded 01\n")
    done = run("grade", folder, "--out", folder / "results")
    assert done.returncode == 0
    assert "[red]ada" in done.stdout and "rejected" in done.stdout
    found = json.loads((folder / "results" / "results.json").read_text())
    assert [one["verdict"] for one in found] == ["rejected", "not_attempted", "rejected"]
    assert found[2]["where"] == {"cell": "graded cell", "line": 2, "source": "def train(:"}
    again = run("grade", folder, "--out", folder / "results")
    assert again.returncode == 0
    assert len(json.loads((folder / "results" / "results.json").read_text())) == 3


def test_check_shows_a_learner_what_is_wrong(tmp_path):
    (tmp_path / "mine.ipynb").write_text("{")
    done = run("check", tmp_path / "mine.ipynb")
    assert done.returncode == 0
    assert done.stdout.startswith("mine.ipynb: rejected, 0 of 100 points\nmine.ipynb is not a whole notebook")


def test_doctor_says_what_this_machine_holds():
    found = json.loads(run("doctor", "--json").stdout)
    levels = {row["level"]: row["why_not"] for row in found["isolation_levels"]}
    assert levels[found["isolation"]] == "" and levels["process"] == ""
    methods = {row["method"]: row for row in found["methods"]}
    assert methods[found["method"]]["available"]
    plain = run("doctor").stdout
    assert f"Isolation: {found['isolation']}" in plain and f"Memory is read by: {found['method']}" in plain
    assert "cannot see: files in /dev/shm" in plain
    assert 0 < found["left_mib"] <= found["memory_mib"] and "Left of this" in plain and "of swap" in plain
    gpu = found["gpu"]
    assert gpu["available"] == (not gpu["why"])
    assert f"GPU memory is {'read by: NVML' if gpu['available'] else 'not read: ' + gpu['why']}." in plain


def test_explain_reads_a_file_or_standard_input(tmp_path):
    text = "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 14.9 GiB for an array with shape (1, 2)"
    (tmp_path / "error.txt").write_text(text)
    found = json.loads(run("explain", "--json", text=text).stdout)
    assert set(found) == {"kind", "cause", "title", "why", "fix", "lab"}
    assert found["kind"] == "host_ram"
    assert json.loads(run("explain", tmp_path / "error.txt", "--json").stdout) == found
    plain = run("explain", "-", text=text).stdout
    assert found["title"] in plain and found["fix"] in plain
    assert json.loads(run("explain", "--json", text="hello").stdout)["kind"] == "unknown"


def test_auto_isolation_that_guards_against_accidents_only_is_said_aloud(tmp_path):
    (tmp_path / "01.py").write_text("# %%graded 01\n")
    with isolation.confined("user" if os.geteuid() == 0 else "process", tmp_path) as (command, variables):
        variables |= {"PATH": str(tmp_path), "COURSE_UTILS_CACHE": str(tmp_path)}  # no bubblewrap, and not root

        def told(*words: str) -> str:
            words = [*command, sys.executable, "-m", "course_utils", *words]
            done = subprocess.run(words, capture_output=True, text=True, timeout=300, cwd=tmp_path, env=variables)
            assert done.returncode == 0, done.stderr
            return done.stdout + done.stderr

        assert json.loads(told("doctor", "--json"))["isolation"] == "process"
        assert "Warning: isolation is only 'process'" in told("grade", "01.py", "--out", "out")
        assert "Warning" not in told("grade", "01.py", "--out", "out", "--isolation", "process")


@pytest.mark.parametrize("text", ["", " \n"])
def test_explain_of_nothing_is_one_sentence_and_code_2(text):
    done = run("explain", text=text)
    assert (done.returncode, done.stdout, done.stderr.strip()) == (2, "", "Standard input is empty.")
