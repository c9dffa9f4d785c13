"""Files of every kind become graded cells or one sentence."""

from __future__ import annotations

import base64
import json
import os
import random
import tempfile
import time
import warnings
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from course_utils import labs
from course_utils.grading.discovery import discover, read_found
from course_utils.grading.names import is_group, is_lab, plain
from course_utils.grading.record import clean
from course_utils.grading.seed import CannotGrade
from course_utils.grading.submission import FILE_LIMIT, check, read

LAB = labs.get(1)
TRAIN = "def train(folder):\n    return 1\n"


def code(source: object, **more: object) -> dict:
    return {"cell_type": "code", "source": source, **more}


def notebook(path: Path, *cells: dict, **more: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"cells": list(cells), "nbformat": 4, "nbformat_minor": 5, **more}))
    return path


def problem(path: Path) -> str:
    """The only sentence that reading a file gives."""
    (answer,) = read(path).answers
    assert not answer.cells or answer.problem
    return answer.problem


def lines(cells: list[tuple[str, str]], number: int) -> str:
    return cells[0][1].split("\n")[number - 1]


def test_only_graded_cells_count_and_are_joined_in_order(tmp_path):
    path = notebook(
        tmp_path / "ada.ipynb",
        code("import os; os.abort()"),
        {"cell_type": "markdown", "source": "%%graded 01"},
        code(["%%graded 01\n", "SIZE = 96"]),
        code("\n%%graded 1  \n" + TRAIN),
    )
    (answer,) = read(path).answers
    assert answer.lab == "01" and not answer.problem
    assert [name for name, _ in answer.cells] == ["graded cell", "graded cell 2"]
    namespace: dict = {}
    for _, source in answer.cells:
        exec(source, namespace)
    assert namespace["SIZE"] == 96 and namespace["train"]("") == 1


@pytest.mark.parametrize(
    "damage",
    [
        {"metadata": {"kernelspec": None}},
        {"nbformat": 99, "nbformat_minor": "x", "metadata": []},
        {"metadata": {"kernelspec": {"name": "julia"}, "colab": {"x": 1}}},
    ],
)
def test_metadata_may_be_broken(tmp_path, damage):
    twice = [code("%%graded 01\n" + TRAIN, id="a"), code("x = 1", id="a"), 17, {"cell_type": "code"}]
    (answer,) = read(notebook(tmp_path / "ada.ipynb", *twice, **damage)).answers
    assert not answer.problem and answer.lab == "01"


def test_an_old_notebook_is_read(tmp_path):
    sheet = {"cells": [{"cell_type": "code", "input": ["%%graded 01\n", TRAIN], "language": "python"}]}
    path = tmp_path / "old.ipynb"
    path.write_text(json.dumps({"nbformat": 3, "worksheets": [sheet]}))
    (answer,) = read(path).answers
    assert not answer.problem and answer.lab == "01"


def test_line_numbers_are_those_of_the_file_or_the_cell(tmp_path):
    script = tmp_path / "ada.py"
    script.write_text(
        "# %% [markdown]\n# %%graded 01\n\n# %%\n\n# %%graded 01\n" + TRAIN + "# %%\nimport os; os.abort()\n"
    )
    (answer,) = read(script).answers
    assert lines(answer.cells, 7) == "def train(folder):" and "abort" not in answer.cells[0][1]
    path = notebook(tmp_path / "ada.ipynb", code("%%graded 01\n" + TRAIN))
    assert lines(read(path).answers[0].cells, 2) == "def train(folder):"


def test_a_plain_script_is_the_answer_to_the_lab_in_its_name_or_its_folder(tmp_path):
    for name in ("01_ada.py", "01.py", "lab01.py", "submitted/ada/01_the_data_set_that_does_not_fit/answer.py"):
        script = tmp_path / name
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_bytes(b"\xef\xbb\xbf" + TRAIN.replace("\n", "\r\n").encode())
        (found,) = discover([script])
        (answer,) = read_found(found).answers
        assert (answer.lab, answer.problem) == ("01", ""), name
    (tmp_path / "ada.py").write_text(TRAIN)
    assert "start the file's name with NN" in problem(tmp_path / "ada.py")


def test_syntax_errors_name_cell_and_line(tmp_path):
    path = notebook(tmp_path / "ada.ipynb", code("%%graded 01\nx = 1"), code("%%graded 01\n\ndef train(folder:\n"))
    (answer,) = read(path).answers
    assert "line 3 of the graded cell 2" in answer.problem and "ada.ipynb" in answer.problem
    assert answer.where == {"cell": "graded cell 2", "line": 3, "source": "def train(folder:"}
    path = notebook(tmp_path / "ada.ipynb", code("%%graded 01\n!pip install keras"))
    assert "plain Python" in problem(path)


BAD = {
    "text.ipynb": (b"I wrote this in Word", "not a whole notebook"),
    "half.ipynb": (b'{"cells": [{"cell_type": "code", "sou', "not a whole notebook"),
    "deep.ipynb": (b"[" * 100_000, "not a whole notebook"),
    "list.ipynb": (b"[1, 2]", "has no cells"),
    "cells.ipynb": (b'{"cells": {"a": 1}}', "has no cells"),
    "nothing.ipynb": (b"", "is empty"),
    "blank.py": (b" \n\n", "is empty"),
    "ungraded.ipynb": (b'{"cells": []}', "no graded cell"),
    "latin.py": ("# %%graded 01\n# Zürich\n".encode("latin-1"), "not UTF-8"),
    "binary.ipynb": (bytes(range(256)) * 40, "not UTF-8"),
    "zeros.py": (b"x\0" * 50, "binary"),
    "99_other.py": (b"# %%graded 99\nx = 1", "names no lab"),
    "unnamed.py": (b"# %%graded\nx = 1", "names no lab"),
    "nested.py": (b"# %%graded 01\nx = " + b"(" * 4000, "graded cell"),
    "scans.py": (
        b"# %%graded 01\ndef train(folder):\n    from course_utils import scans",
        "imports course_utils.scans",
    ),
    "unary.py": (b"# %%graded 01\nx = " + b"-" * 4000 + b"1", "nested too deeply"),
    "weights.py": (b"# %%graded 01\nx = '" + b"a" * 4096 + b"'", "at most 4,096: hand in code"),
    "network.py": (
        b"# %%graded 01\nx = '" + base64.b64encode(random.Random(0).randbytes(2400)) + b"'",
        "compressed, and",
    ),
    "large.ipynb": (b" " * (FILE_LIMIT + 1), "larger than 20 MiB"),
    "report.docx": (b"PK", "not a notebook"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_becomes_one_sentence_that_names_it(tmp_path, name):
    content, expected = BAD[name]
    (tmp_path / name).write_bytes(content)
    said = problem(tmp_path / name)
    assert name in said and expected in said, said
    assert said.endswith(".") and "\n" not in said and ":" in said


def test_what_is_no_file_becomes_one_sentence(tmp_path):
    (tmp_path / "folder.ipynb").mkdir()
    (tmp_path / "loop.ipynb").symlink_to("loop.ipynb")
    (tmp_path / "lost.ipynb").symlink_to("nowhere.ipynb")
    os.mkfifo(tmp_path / "pipe.ipynb")
    expected = {
        "folder.ipynb": "is a folder",
        "loop.ipynb": "leads back to itself",
        "lost.ipynb": "does not exist",
        "pipe.ipynb": "not a regular file",
    }
    found = {one.path.name: read_found(one).answers[0].problem for one in discover([tmp_path])}
    assert found.keys() == expected.keys()
    for name, words in expected.items():
        assert name in found[name] and words in found[name]


def test_a_link_out_of_the_class_is_refused(tmp_path):
    secret = notebook(tmp_path / "secret.ipynb", code("%%graded 01\n" + TRAIN))
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "eve.ipynb").symlink_to(secret)
    (found,) = discover([tmp_path / "class"])
    assert "link to somewhere else" in read_found(found).answers[0].problem


def test_files_and_folders_without_permission():
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        notebook(root / "ada.ipynb").chmod(0)
        (root / "bob").mkdir(mode=0)
        user = os.geteuid()
        try:
            if user == 0:  # who may read everything
                os.seteuid(65534)
            said = [read_found(one).answers[0].problem for one in discover([root])]
        finally:
            os.seteuid(user)
    assert len(said) == 2 and all("may not be read by this user" in sentence for sentence in said)


def test_a_file_can_hold_several_labs_and_one_wrong_number(tmp_path):
    path = notebook(tmp_path / "ada.ipynb", code("%%graded 01\n" + TRAIN), code("%%graded 77\nx = 1"))
    good, bad = read(path).answers
    assert (good.lab, good.problem) == ("01", "")
    assert "%%graded 77" in bad.problem


def test_layouts(tmp_path):
    flat, folders, nbgrader = tmp_path / "flat", tmp_path / "folders", tmp_path / "course" / "submitted"
    for path in (
        flat / "ada.ipynb",
        flat / ".ipynb_checkpoints" / "ada-checkpoint.ipynb",
        flat / "results" / "ignored.ipynb",
        folders / "ada" / "01_the_data.ipynb",
        folders / "bob" / "deep" / "mine.ipynb",
        nbgrader / "ada" / "01" / "answer.ipynb",
        nbgrader / "bob" / "01_the_data_set_that_does_not_fit" / "answer.ipynb",
    ):
        notebook(path, code("%%graded 01\n" + TRAIN))
    (flat / "grades.csv").write_text("ada,5")
    (flat / "bob.zip").write_bytes(b"PK")
    (folders / "eve").mkdir()
    (folders / "fay" / "work").mkdir(parents=True)
    (folders / "fay" / "work" / "answer.zip").write_bytes(b"PK")

    def students(*paths: Path) -> list[str]:
        return sorted(one.student for one in discover(paths, leave_out=flat / "results"))

    assert students(flat) == ["ada", "bob"]
    assert students(folders) == ["ada", "bob", "eve", "fay"]
    with pytest.raises(CannotGrade, match="as an nbgrader course, .* or as a student course"):
        discover([nbgrader.parent])
    (nbgrader.parent / "nbgrader_config.py").touch()
    for path in (nbgrader, nbgrader.parent):
        assert students(path) == ["ada", "bob"]
    assert students(nbgrader / "ada", nbgrader / "ada" / "01" / "answer.ipynb") == ["ada"]
    eve = next(one for one in discover([folders]) if one.student == "eve")
    assert "holds no .ipynb or .py" in read_found(eve).answers[0].problem
    fay = next(one for one in discover([folders]) if one.student == "fay")
    assert "it holds answer.zip" in read_found(fay).answers[0].problem
    with pytest.raises(CannotGrade, match="nowhere does not exist"):
        discover([tmp_path / "nowhere"])


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("", True),
        ("# %%graded 01\n'''Write train here.'''", True),
        ("import keras\n\ndef train(folder):\n    '''Text.'''\n    raise NotImplementedError('Write train.')", True),
        ("def train(folder):\n    ...", True),
        ("def train(folder):\n    size = 96\n    raise NotImplementedError", True),
        ("def train(folder):\n    return 1\n    raise NotImplementedError", False),
        ("def train(folder):\n    print(folder)", False),
        ("def fit(folder):\n    return 1", False),
        ("train = len", False),
    ],
)
def test_an_untouched_starter_is_recognised(source, expected):
    assert check(LAB, [("graded cell", source)]).attempted is not expected


def test_code_that_deserves_a_warning_is_read_without_one() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not check(LAB, [("graded cell", "x = '\\d' is 1")]).problem


NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=40).filter(
    lambda name: not name.startswith(".") and not name.lower().endswith((".ipynb", ".py"))
)
ORDINARY = st.sampled_from(["1", "2", "01-ada", "13 bob", "ada", "source", "ann.lee", "Ann Lee", "lab", "x", "003"])
FILES = st.lists(st.sampled_from(["a.ipynb", "01/a.py", "submitted/eve/01/a.ipynb", "lab02/x/y.ipynb"]), min_size=1)


@given(st.sets(NAMES | ORDINARY, min_size=2, max_size=5), st.sampled_from(["flat", "folders", "nbgrader"]), FILES)
@settings(deadline=None, max_examples=150)
def test_each_file_is_booked_to_its_student(names, layout, files):
    assume(not names & {"__pycache__", "__MACOSX"})
    # Names of labs, sections and attempts are read as what they are, as the tests below say.
    assume(not any(is_group(name) or is_lab(name) for name in names))
    assume(all(plain(f"{name}.ipynb").student == name for name in names))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / ("submitted" if layout == "nbgrader" else "class")
        booked = {}
        for name in names:
            inside = {"flat": [f"{name}.ipynb"], "folders": [f"{name}/{file}" for file in files]}
            for path in inside.get(layout, [f"{name}/01/a.ipynb", f"{name}/lab02/a.py"]):
                try:
                    (root / path).parent.mkdir(parents=True, exist_ok=True)
                    (root / path).touch()
                except OSError:  # too long for this file system
                    assume(False)
                booked[root / path] = name
        found = {one.path: one for one in discover([root])}
        assert {path: one.student for path, one in found.items()} == booked
        if layout == "nbgrader":
            assert {one.path: one.student for one in discover([root.parent], layout="nbgrader")} == booked
            assert {one.lab for one in found.values()} == {"01", "02"}
            for path, student in booked.items():
                assert [one.student for given in (path, path.parent) for one in discover([given])] == [student] * 2


def test_a_folder_above_the_given_one_changes_nothing(tmp_path):
    for above in ("submitted", "01", "lab01/submitted/x"):
        for path in ("1/a.py", "2/a.py", "01-ada/a.py", "13 bob/a.py"):
            notebook(tmp_path / above / "class" / path)
        found = discover([tmp_path / above / "class"])
        assert [(one.student, one.lab) for one in found] == [("01-ada", ""), ("1", ""), ("13 bob", ""), ("2", "")]


def test_a_folder_of_labs_is_one_students_and_a_lab_s_folder_gives_its_number(tmp_path):
    for path in ("ada/lab01/a.py", "ada/02_batch_size/b.py", "lab03/bob/c.py", "lab03/dora.py"):
        notebook(tmp_path / path)
    assert {(one.student, one.lab) for one in discover([tmp_path / "ada"])} == {("ada", "01"), ("ada", "02")}
    assert {(one.student, one.lab) for one in discover([tmp_path / "lab03"])} == {("bob", "03"), ("dora", "03")}


def test_a_linked_student_folder_is_read_and_its_own_links_stay_inside(tmp_path):
    real = notebook(tmp_path / "elsewhere" / "answer.ipynb", code("%%graded 01\n" + TRAIN)).parent
    (tmp_path / "class" / "eve").mkdir(parents=True)
    (tmp_path / "class" / "ada").symlink_to(real)
    (tmp_path / "class" / "eve" / "mine.ipynb").symlink_to(real / "answer.ipynb")
    (tmp_path / "class" / "loop").symlink_to(tmp_path)
    said = {one.student: read_found(one).answers[0].problem for one in discover([tmp_path / "class"])}
    assert said.keys() == {"ada", "eve", "loop"}
    assert said["ada"] == "" and "link to somewhere else" in said["eve"] and "is a link to a folder" in said["loop"]


@given(
    st.binary(max_size=2000)
    | st.recursive(
        st.none() | st.integers() | st.text(max_size=30) | st.just("%%graded 01\nx = 1"),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["cells", "source", "cell_type", "worksheets", "x"]), inner | st.just("code")
            )
        ),
    ).map(lambda value: json.dumps(value).encode())
    | st.text(st.sampled_from("#%graded 01\n\t()[]{}:=x'\"\\!@"), max_size=300).map(str.encode),
    st.sampled_from(["a.ipynb", "01.ipynb", "a.py", "01.py", "a.PY", "a.txt"]),
)
@settings(deadline=None, max_examples=400)
def test_any_bytes_become_an_answer_or_a_sentence(content, name):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        answers = read(path).answers
    assert answers
    for answer in answers:
        said = clean(answer.problem)
        assert answer.cells if not said else name in said and said.endswith("."), said


MANY = 2**19
HOSTILE = {
    "blank lines": b"#" + b"\n" * (2 * MANY - 2),
    "signs": b"#\n" * MANY,
    "blanks": (b"#" + b" " * 999 + b"\n") * 1000,
    "cells": b"# %%\n" * (2 * MANY // 5),
    "graded cells": b"# %%graded 01\n# %%\n" * (2 * MANY // 19),
    "wrong numbers": b"# %%graded 99\n# %%\n" * (2 * MANY // 19),
    "nothing but blanks": b"x" + b" " * (2 * MANY - 2),
    "brackets": b"# %%graded 01\n" + b"{[(" * 5000,
    "calls": b"# %%graded 01\nx = " + b"f(" * 7000,
    "lambdas": b"# %%graded 01\n" + b"lambda: " * 1900,
    "withs": b"# %%graded 01\n" + b"with (" * 2500,
    "strings": b"# %%graded 01\n" + b"f'{" * 5000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_script_is_read_in_linear_time(tmp_path, name):
    (tmp_path / "01.py").write_bytes(HOSTILE[name])
    before = time.process_time()
    assert read(tmp_path / "01.py").answers
    assert time.process_time() - before < 10  # well under a second; quadratic time takes minutes


@pytest.mark.parametrize("source", ["%%graded 01\n#", "%%graded 99\n", "\n" * 99, " " * 99, "%%graded 01\n" + "(" * 99])
def test_a_hostile_notebook_is_read_in_linear_time(tmp_path, source):
    path = notebook(tmp_path / "a.ipynb", *[code(source)] * 50_000)
    before = time.process_time()
    assert read(path).answers
    assert time.process_time() - before < 10


def test_the_code_counts_and_not_where_it_stands(tmp_path):
    script = tmp_path / "ada.py"
    script.write_text("# %% [markdown]\n" + "# words\n" * 40_000 + "# %%\n# %%graded 01\n" + TRAIN)
    (answer,) = read(script).answers
    assert not answer.problem and lines(answer.cells, 40_004) == "def train(folder):"
