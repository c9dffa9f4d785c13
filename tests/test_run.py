"""A program or a notebook of one's own: it runs as outside, it may die, and the shell learns how it ended."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from course_utils import programs, recordings, sandbox
from tools import ROOT

GROWS = r"""
import numpy as np

def load(count):
    kept = []
    for _ in range(count):
        kept.append(np.ones(2**20))  # 8 MiB
    return kept

print("x" * 100_000, "\r1/2 \x1b[32m[half]\x1b[0m\b\b\r2/2 \x1b[32m[done]\x1b[0m")
few = load(2)
many = load(200)
"""


def notebook(folder: Path, *sources: str) -> Path:
    cells = [{"cell_type": "code", "source": source, "outputs": [], "metadata": {}} for source in sources]
    cells.insert(1, {"cell_type": "markdown", "source": "Words", "metadata": {}})
    path = folder / "own.ipynb"
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}))
    return path


@pytest.fixture(autouse=True, scope="module")
def _one_zygote():
    yield
    sandbox.stop()


def test_a_program_runs_as_python_runs_it(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("OF_MY_OWN", "yes")
    (tmp_path / "neighbour.py").write_text("word = 'from the neighbour'")
    (tmp_path / "data.txt").write_text("from the file")
    path = tmp_path / "own.py"
    path.write_text(
        "# -*- coding: latin-1 -*-\n"
        "import os, sys, tempfile, multiprocessing\n"
        "import neighbour\n"
        "from pathlib import Path\n"
        "def double(x): return 2 * x\n"
        "if __name__ == '__main__':\n"
        "    print(neighbour.word, open('data.txt').read(), Path(__file__).name, Path(sys.argv[0]).name, 'é')\n"
        "    print(os.environ['OF_MY_OWN'], Path(tempfile.gettempdir()) != Path.cwd(), sys.path[0] == os.getcwd())\n"
        "    with multiprocessing.Pool(1) as pool: print(pool.map(double, [21]))\n"
        "    print('to stderr', file=sys.stderr)\n",
        encoding="latin-1",
    )
    assert programs.run(path, "400") == 0
    out, err = capfd.readouterr()
    assert out == "from the neighbour from the file own.py own.py é\nyes True True\n[42]\n"
    assert "to stderr" in err and "FINISHED" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.txt", "neighbour.py", "own.py"]


def test_a_program_that_dies_by_memory_is_explained_and_recorded(tmp_path, capfd):
    (tmp_path / "own.py").write_text(GROWS)
    report, recording = tmp_path / "report.html", tmp_path / "run.jsonl"
    assert programs.run(tmp_path / "own.py", "200MiB", report=report, recording=recording) == 137
    shown = capfd.readouterr().err
    assert "OUT OF MEMORY" in shown and "own.py, line 7" in shown and "`kept`" in shown
    page = report.read_text()
    assert "2/2 [done]" in page and "1/2" not in page.partition("Output")[2]
    assert "own.py, line 7" in page and "<svg" in page and "prefers-color-scheme: dark" in page
    assert not re.search(r'(src|href|url)\s*[=(]\s*"?(https?:)?//', page)
    recorded = recordings.read(recording)
    assert recorded.outcome().status == "out_of_memory" and recorded.cells == {"own.py": GROWS}
    recording.write_bytes(recording.read_bytes().rpartition(b'{"type":"ending"')[0])
    cut = recordings.read(recording).outcome(killed_by_kernel=True)
    assert cut.where.line == cut.growth[0].where.line == 7


@pytest.mark.parametrize(
    ("source", "code", "words"),
    [
        ("import sys; sys.exit()", 0, "FINISHED"),
        ("import sys; sys.exit(3)", 3, "exit code 3"),
        ("import sys; sys.exit('no data today')", 1, "no data today"),
        ("import os; os._exit(300 & 255)", 44, "exit code 44"),
        ("import os; os.kill(os.getpid(), 15)", 143, "SIGTERM"),
        ("import os; os.abort()", 134, "SIGABRT"),
        ("def ask():\n    return input('Name? ')\nask()", 1, "own.py, line 2"),
        ("{}['missing']", 1, "KeyError"),
        ("import numpy as np\nnp.ones((10**6, 10**6))", 137, "7.28 TiB"),
        ("import time\ntime.sleep(60)", 124, "own.py, line 2"),
    ],
)
def test_the_exit_code_is_that_of_a_shell(tmp_path, capfd, source, code, words):
    (tmp_path / "own.py").write_text(source)
    assert programs.run(tmp_path / "own.py", "400", time_limit=2 if "sleep" in source else None) == code
    assert words in capfd.readouterr().err


def test_a_notebook_of_forty_cells(tmp_path, capfd):
    cells = [
        "%matplotlib inline\nimport os\ncount = 3",
        "!echo from the shell {count}",
        "files = !ls own.ipynb\nfiles",
        "%%time\ntotal = sum(range(10))\ntotal",
        "%%bash\necho bash $((40 + 2))",
        "%mkdir -p inner\n%cd -q inner\nos.path.basename(os.getcwd())",
        "%tensorflow_version 2.x",
        "%%an_unknown_magic here\nnot python at all",
        "for number in range(2):\n    !echo loop {number}",
        "%load_ext autoreload\n%autoreload 2",
        "\n\n%env WORD=magic\nos.environ['WORD']",
        "get_ipython().system('echo called')",
        "display({'shown': count})",
        "count?",
        "# only words",
        "",
        "%pip --version",
        "5;",
        *[f"value_{number} = {number}" for number in range(20)],
        "sum(value for name, value in list(globals().items()) if name.startswith('value_'))",
        "!exit 3\n'goes on'",
    ]
    assert len(cells) == 40
    assert programs.run(notebook(tmp_path, *cells), "500") == 0
    out, err = capfd.readouterr()
    for shown in (
        "from the shell 3", "['own.ipynb']", "\n45\n", "bash 42", "'inner'", "loop 0\nloop 1", "'magic'", "called",
        "{'shown': 3}", "pip ", "\n190\n", "'goes on'",
    ):  # fmt: skip
        assert shown in out, shown
    assert "\n5\n" not in out
    for skipped in ("%matplotlib inline", "%tensorflow_version 2.x", "%%an_unknown_magic here", "%autoreload 2"):
        assert f"Skipped: {skipped}" in err


def test_the_line_of_a_notebook_is_counted_as_its_reader_counts(tmp_path, capfd):
    path = notebook(
        tmp_path,
        "import numpy as np",
        "%%time\n\n%cd .\nkept = []\nfor _ in range(100):\n    kept.append(np.ones(2**20))",
    )
    assert programs.run(path, "200") == 137
    assert "cell 2, line 6" in capfd.readouterr().err


def test_lines_stay_where_they_are_below_a_command_of_several_lines(tmp_path):
    path = notebook(tmp_path, "  \n\n!echo one \\\n  two \\\n  three\n%time x = 1\ny = 2")
    [(name, source)] = programs.load(path)
    assert name == "cell 1" and source.split("\n")[6] == "y = 2" and "one" in source.split("\n")[2]


def test_what_a_shell_command_takes_counts(tmp_path, capfd):
    path = notebook(tmp_path, f"!{sys.executable} -c 'import time; x = bytearray(400 * 2**20); time.sleep(20)'")
    assert programs.run(path, "200") == 137


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.py", "x = 1\ndef f(:\n", "line 2 is not Python"),
        ("a.py", " \n", "is empty"),
        ("a.py", "x = 1\0", "is not Python"),
        ("a.py", "# coding: klingon\n", "is not Python"),
        ("a.ipynb", "{", "is not a notebook"),
        ("a.ipynb", "[]", "is not a notebook"),
        ("a.ipynb", "\udcff", "is not a notebook"),
        ("a.ipynb", '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 4}', "has no cell of code"),
        ("a.ipynb", None, "cell 2: line 3 is not Python"),
    ],
)
def test_a_file_that_cannot_run_is_one_sentence(tmp_path, name, content, words):
    path = tmp_path / name
    if content is None:
        path = notebook(tmp_path, "x = 1", "!ls\n\nx = = 2")
    else:
        path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(programs.CannotRun, match=re.escape(words)) as found:
        programs.run(path, "100")
    assert str(found.value).count("\n") == 0 and str(path) in str(found.value)


def command(folder: Path, *words: object) -> subprocess.Popen[str]:
    """The command, in another folder, with nothing but the package in sight."""
    arguments = [sys.executable, "-m", "course_utils", "run", *map(str, words)]
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder, env=variables
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["nowhere.py"], "nowhere.py is not there"),
        (["."], "is a folder"),
        (["own.py", "--budget", "0"], "'0' is not an amount of memory"),
        (["own.py", "--budget", "much"], "'much' is not an amount of memory"),
        (["own.py", "--time-limit", "0"], "--time-limit takes seconds above 0"),
        (["own.py", "--report", "nowhere/a.html"], "nowhere/a.html: No such file"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_code_2(tmp_path, words, expected):
    (tmp_path / "own.py").write_text("print(1)")
    running = command(tmp_path, *words)
    out, err = running.communicate(timeout=120)
    assert (running.returncode, out) == (2, "")
    assert expected in err and len(err.strip().splitlines()) == 1


def test_ctrl_c_ends_the_run_and_all_that_it_started(tmp_path):
    (tmp_path / "own.py").write_text("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)")
    running = command(tmp_path, "own.py")
    pid = int(running.stdout.readline())
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130 and "Budget: " in err and "Stopped" in err and "Traceback" not in err
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()
