"""Nothing is lost: results as they come, one grader a folder, a damaged database, a full disk, attempts, zip files."""

from __future__ import annotations

import csv
import functools
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import pytest
from conftest import cannot_be_tested, require_program
from hypothesis import given, settings
from hypothesis import strategies as st
from test_grading_submission import TRAIN, code, notebook

from course_utils.grading import archives, kept, progress
from course_utils.grading.plan import plan
from course_utils.grading.record import Record
from course_utils.grading.seed import CannotGrade
from course_utils.reports.pseudonyms import FILE_NAME
from tools import ROOT

REJECTED = code("%%graded 00\ndef train(:")
STARTER = code("%%graded 00\ndef train(folder): raise NotImplementedError")


def grade(*arguments: object, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    words = [*before, sys.executable, "-m", "course_utils", "grade", *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return done


def rows(out: Path) -> list[dict[str, str]]:
    """The lines of results.csv, which results.json must agree with."""
    found = list(csv.DictReader(io.StringIO((out / "results.csv").read_text(), newline="")))
    assert [one["student"] for one in json.loads((out / "results.json").read_text())] == [
        row["student"] for row in found
    ]
    return found


def verdicts(out: Path) -> dict[str, str]:
    return {row["student"]: row["verdict"] for row in rows(out)}


def test_after_a_kill_the_results_are_there_and_the_next_run_clears_up(tmp_path):
    notebook(tmp_path / "class" / "ann.ipynb", REJECTED)
    endless = notebook(tmp_path / "class" / "bob.ipynb", code("%%graded 00\nimport time\ntime.sleep(600)\n" + TRAIN))
    out, temporary = tmp_path / "out", tmp_path / "temporary"
    temporary.mkdir(mode=0o755)
    words = [sys.executable, "-m", "course_utils", "grade", tmp_path / "class", "--out", out, "--isolation", "process"]
    variables = os.environ | {"TMPDIR": str(temporary)}
    running = subprocess.Popen(list(map(str, words)), cwd=ROOT, env=variables, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 240
        while not (list(temporary.glob("*graded-*")) and (out / "memory-accuracy.svg").exists()):
            assert time.monotonic() < deadline and running.poll() is None
            time.sleep(0.1)
        locked = grade(tmp_path / "class", "--out", out)
        assert locked.returncode == 2 and f"in use by process {running.pid} of " in locked.stderr
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    assert verdicts(out) == {"ann": "rejected"}
    assert list(temporary.iterdir())
    notebook(endless, STARTER)
    done = subprocess.run(list(map(str, words)), cwd=ROOT, env=variables, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "Removed what an earlier run" in done.stderr, done.stderr
    assert verdicts(out) == {"ann": "rejected", "bob": "not_attempted"}
    assert not list(temporary.iterdir())


def test_a_second_class_keeps_the_first_and_a_student_has_one_line(tmp_path):
    out = tmp_path / "out"
    notebook(tmp_path / "one" / "ann.ipynb", REJECTED)
    notebook(tmp_path / "two" / "ann.ipynb", STARTER)
    notebook(tmp_path / "two" / "bob" / "x.ipynb", STARTER)
    assert grade(tmp_path / "one", "--out", out).returncode == 0
    assert grade(tmp_path / "two", "--out", out).returncode == 0
    assert [(row["student"], row["verdict"]) for row in rows(out)] == [
        ("ann", "rejected"),
        ("ann", "not_attempted"),
        ("bob", "not_attempted"),
    ]
    notebook(tmp_path / "one" / "ann.ipynb", STARTER)
    done = grade(tmp_path / "one", "--out", out, "--compare", out)
    assert "ann, lab 00: rejected 0.0 -> not_attempted 0.0, because the file is another one." in done.stdout
    assert "gone" not in done.stdout
    assert {row["verdict"] for row in rows(out)} == {"not_attempted"} and len(rows(out)) == 3
    grade(tmp_path / "two" / "bob" / "x.ipynb", "--out", out, "--layout", "flat")  # it was misread before
    assert [row["student"] for row in rows(out)] == ["ann", "ann", "x"]


def test_a_damaged_database_is_set_aside_and_its_results_stay(tmp_path):
    out = tmp_path / "out"
    notebook(tmp_path / "one" / "ann.ipynb", REJECTED)
    notebook(tmp_path / "two" / "bob.ipynb", STARTER)
    grade(tmp_path / "one", "--out", out)
    (out / "grades.sqlite").write_bytes(b"no database" * 500)
    done = grade(tmp_path / "two", "--out", out)
    assert done.returncode == 0 and "was damaged and is set aside as grades.sqlite.damaged-" in done.stderr
    assert verdicts(out) == {"ann": "rejected", "bob": "not_attempted"}
    assert len(list(out.glob("grades.sqlite.damaged-*"))) == 1


@functools.cache
def database() -> bytes:
    """The database of a class of twenty."""
    with tempfile.TemporaryDirectory() as folder:
        grades = kept.Grades(Path(folder) / "grades.sqlite")
        for number in range(20):
            one = Record(verdict="raised", message="m" * 300, student=str(number), lab="00", submission=f"/{number}.py")
            grades.put(str(number) * 64, one)
            grades.keep("/", one)
        grades.close()
        return grades.path.read_bytes()


@given(st.lists(st.tuples(st.integers(0), st.binary(min_size=1, max_size=40)), min_size=1, max_size=9), st.integers(0))
@settings(deadline=None, max_examples=40)
def test_any_damage_to_the_database_is_survived(damage, cut):
    data = bytearray(database())
    for place, some in damage:
        start = place % len(data)
        data[start : start + len(some)] = some
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "grades.sqlite"
        path.write_bytes(data[: len(data) - cut % len(data)] if cut % 2 else data)
        grades = kept.Grades(path)
        grades.get("1" * 64)
        grades.put("new", Record(verdict="raised", message="It is new."))
        assert grades.get("new").message == "It is new."
        grades.close()


def test_a_full_disk_is_one_sentence_and_leaves_the_earlier_results(tmp_path):
    unshare = require_program("unshare")
    out = tmp_path / "out"
    out.mkdir()
    for number in range(30):
        notebook(tmp_path / "class" / f"{number}.ipynb", REJECTED)
    notebook(tmp_path / "one" / "ann.ipynb", REJECTED)
    grading = f"{sys.executable} -m course_utils grade"
    script = f"""
mount -t tmpfs -o size=256k none {out} || exit 77
{grading} {tmp_path}/one --out {out} >/dev/null 2>&1 || exit 1
cp {out}/results.csv {tmp_path}/before.csv
cat /dev/zero > {out}/fill 2>/dev/null
{grading} {tmp_path}/class --out {out} > {tmp_path}/said 2>&1
echo $? > {tmp_path}/code
cp {out}/results.csv {tmp_path}/full.csv
rm {out}/fill
{grading} {tmp_path}/class --out {out} > /dev/null 2>&1 || exit 1
cp {out}/results.csv {tmp_path}/after.csv
"""
    done = subprocess.run([unshare, "--mount", "sh", "-c", script], cwd=ROOT, capture_output=True, text=True)
    if done.returncode == 77 or "unshare" in done.stderr:
        cannot_be_tested(f"This user may not mount a small disk: {done.stderr}")
    said = (tmp_path / "said").read_text()
    assert (tmp_path / "code").read_text().strip() == "2" and "Traceback" not in said
    assert "free some space" in said or "No space left" in said
    assert (tmp_path / "full.csv").read_text().startswith((tmp_path / "before.csv").read_text().strip())
    assert len((tmp_path / "after.csv").read_text().splitlines()) == 1 + 31


def test_the_newest_attempt_counts_and_a_helper_is_no_answer(tmp_path):
    old = notebook(tmp_path / "class" / "ann" / "submission_00.ipynb", REJECTED)
    new = notebook(tmp_path / "class" / "ann" / "again" / "mine.ipynb", code("%%graded 00\n" + TRAIN))
    os.utime(old, (1, 1))
    (tmp_path / "class" / "ann" / "tools.py").write_text("SIZE = 3\n")
    (tmp_path / "class" / "ann" / "report.pdf").write_text("%PDF")
    (tmp_path / "class" / "bob").mkdir()
    (tmp_path / "class" / "bob" / "submission_00.ipynb").write_text("")
    planned = plan([tmp_path / "class"])
    assert [(one.path, answer.lab) for one, answer in planned.tasks()] == [
        (new, "00"),
        (tmp_path / "class" / "bob" / "submission_00.ipynb", "00"),
    ]
    assert planned.sentences == [
        "ann handed in lab 00 2 times: mine.ipynb counts, the newest by its date, and not submission_00.ipynb."
    ]
    done = grade(tmp_path / "class", "--out", tmp_path / "out", "--dry-run")
    assert done.returncode == 0 and not (tmp_path / "out").exists()
    assert f"{new} -> ann -> lab 00 -> attempt 2\n" in done.stdout
    assert "tools.py -> ann -> lab ? -> attempt 1: a helper file, no answer" in done.stdout


def test_canvas_tells_number_lateness_and_attempt(tmp_path):
    answer = code("%%graded 00\n" + TRAIN)
    notebook(tmp_path / "class" / "leeann_12345_100_x.ipynb", REJECTED)
    notebook(tmp_path / "class" / "leeann_LATE_12345_200_x-1.ipynb", answer)
    notebook(tmp_path / "class" / "leeann_777_150_x.ipynb", STARTER)  # another person of that name
    planned = plan([tmp_path / "class"])
    assert sorted((one.student_id, one.late, one.attempt) for one, _ in planned.tasks()) == [
        ("12345", True, 2),
        ("777", False, 1),
    ]
    assert any(said.startswith("leeann stands for 2 people") for said in planned.sentences)


def test_two_people_with_one_answer_are_reported(tmp_path):
    for path in ("A/ann/x.ipynb", "A/bob/x.ipynb", "A/cy/x.ipynb"):
        notebook(tmp_path / path, REJECTED)
    notebook(tmp_path / "A" / "dora" / "x.ipynb", STARTER)
    grade(tmp_path / "A", "--out", tmp_path / "out")
    notes = {row["student"]: (row["identical"], row["note"]) for row in rows(tmp_path / "out")}
    assert notes["ann"] == ("True", "Identical to the answer of bob, cy.") and notes["dora"] == ("False", "")


def test_pseudonyms_hide_names_and_stay_the_same(tmp_path):
    notebook(tmp_path / "class" / "Ann Lee" / "Ann Lee.ipynb", code("%%graded 00\n# by ann lee\ndef train(:"))
    (tmp_path / "class" / "Ann Lee" / "lab01.ipynb").write_text("{")
    for _ in range(2):
        grade(tmp_path / "class", "--out", tmp_path / "out", "--pseudonyms")
        text = (tmp_path / "out" / "results.csv").read_text() + (tmp_path / "out" / "results.json").read_text()
        assert "lee" not in text.lower() and str(tmp_path) not in text
    names = (tmp_path / "out" / FILE_NAME).read_text().splitlines()
    assert len(names) == 1 and names[0].split(",")[0] == rows(tmp_path / "out")[0]["student"]
    grade(tmp_path / "class", "--out", tmp_path / "out")
    assert {row["student"] for row in rows(tmp_path / "out")} == {"Ann Lee"}


@pytest.mark.parametrize(
    "content",
    [
        "\ufeffid;name;email\r\n1;Ann Lée;ann@x.org\r\n2;Zoe;zoe@x.org\r\n".encode(),
        "First name,Surname,ID number,Email address\nAnn,Lée,1,ann@x.org\nZoe,,2,zoe@x.org\n".encode("cp1252"),
        'Student,ID,SIS Login ID,Section\n    Points Possible,,,\n"Lée, Ann",1,ann,A\nZoe,2,zoe,A\n'.encode("utf-16"),
        "sep=;\nVorname;Nachname;Matrikelnummer\nAnn;Lée;1\nZoe;;2\n".encode(),
    ],
)
@pytest.mark.parametrize("name", ["Ann Lee", "3 ann lée", "leeann_1_5_x.ipynb", "1", "lee, ann"])
def test_the_roster_names_the_missing_and_the_unknown(tmp_path, content, name):
    (tmp_path / "roster.csv").write_bytes(content)
    place = name if name.endswith(".ipynb") else f"{name}/x.ipynb"
    notebook(tmp_path / "class" / place, STARTER)
    notebook(tmp_path / "class" / "mallory" / "x.ipynb", REJECTED)
    said = plan([tmp_path / "class"], roster=tmp_path / "roster.csv").sentences
    assert said == ["1 not in the roster: mallory.", "1 in the roster, but without a submission: Zoe (2)."]


def test_without_a_terminal_progress_is_a_line_now_and_then(capsys, monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 0.05)
    with progress.Progress() as shown:
        shown.advance("user", 0, 4)
        shown.advance("user", 1, 4)
        time.sleep(0.5)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Grading 4 answers (user)." and lines[1].startswith("1 of 4 graded after ")


def zipped(path: Path, **files: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return path


def test_zips_of_platforms_and_of_students_are_read(tmp_path):
    text = notebook(tmp_path / "x.ipynb", code("%%graded 00\n" + TRAIN)).read_bytes()
    inner = zipped(tmp_path / "inner.zip", **{"work/a.ipynb": text, "__MACOSX/._a.ipynb": b"x"}).read_bytes()
    moodle = zipped(
        tmp_path / "moodle.zip",
        **{
            "Ann Lee_12_assignsubmission_file_/x.ipynb": text,
            "Bob_13_assignsubmission_file_/work.zip": inner,
            "Bob_13_assignsubmission_onlinetext_/onlinetext.html": "<p>",
        },
    )
    tasks = plan([moodle]).tasks()
    assert [(one.student, one.student_id, answer.lab, answer.problem) for one, answer in tasks] == [
        ("Ann Lee", "12", "00", ""),
        ("Bob", "13", "00", ""),
    ]
    assert tasks[0][0].path == moodle / "Ann Lee_12_assignsubmission_file_" / "x.ipynb"
    assert tasks[1][0].path.parts[-3:] == ("work.zip", "work", "a.ipynb")
    shutil.move(moodle, tmp_path / "elsewhere.zip")
    zipped(tmp_path / "class" / "cy.zip", **{"cy/submission_00.ipynb": text})
    assert [one.student for one, _ in plan([tmp_path / "class"]).tasks()] == ["cy"]


def bombs(folder: Path) -> dict[str, tuple[bytes, str]]:
    """Zip files that nobody should unpack, and words of what is said about them."""
    large = zipped(folder / "large.zip", **{f"{number}.ipynb": bytes(18 << 20) for number in range(5)}).read_bytes()
    nested = b"x"
    for _ in range(6):
        nested = zipped(folder / "nested.zip", **{"inner.zip": nested, "more.zip": nested}).read_bytes()
    link = zipfile.ZipInfo("link.ipynb")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(folder / "link.zip", "w") as packed:
        packed.writestr(link, "/etc/passwd")
    many = zipped(folder / "many.zip", **{f"{number}.txt": b"" for number in range(1001)}).read_bytes()
    return {
        "large": (large, "grows beyond 64 MiB"),
        "nested": (nested, "a zip in a zip"),
        "link": ((folder / "link.zip").read_bytes(), "holds a link"),
        "many": (many, "more than 1,000 files"),
        "out": (zipped(folder / "out.zip", **{"../../bob/x.ipynb": b"{}"}).read_bytes(), "leads out of it"),
        "root": (zipped(folder / "root.zip", **{"/etc/x.ipynb": b"{}"}).read_bytes(), "leads out of it"),
        "broken": (large[:5000], "not a whole zip file"),
        "nothing": (b"", "not a whole zip file"),
    }


def test_a_zip_bomb_costs_its_sender_alone(tmp_path):
    for name, (content, _) in bombs(tmp_path).items():
        (tmp_path / "class" / name).mkdir(parents=True)
        (tmp_path / "class" / name / "lab00.zip").write_bytes(content)
    notebook(tmp_path / "class" / "ann" / "x.ipynb", STARTER)
    before = set(Path(tempfile.gettempdir()).glob("course-utils-zip-*"))
    planned = plan([tmp_path / "class"])
    said: dict[str, set[str]] = {}
    for one, answer in planned.tasks():
        said.setdefault(one.student, set()).add(answer.problem)
    for name, (_, words) in bombs(tmp_path).items():
        assert all(words in sentence for sentence in said[name]), said[name]
    assert said["ann"] == {""}
    assert set(Path(tempfile.gettempdir()).glob("course-utils-zip-*")) <= before
    assert not (tmp_path / "bob").exists() and not Path("/etc/x.ipynb").exists()
    with pytest.raises(CannotGrade, match="leads out of it"):
        plan([tmp_path / "out.zip"])
    assert archives.of_class().files > 1001
