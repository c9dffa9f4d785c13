"""Whose answer it is: the layouts of course platforms and of people, told by names, refused where unclear."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_grading_submission import TRAIN, code, notebook

from course_utils.grading.discovery import discover
from course_utils.grading.seed import CannotGrade

ANSWER = code("%%graded 00\n" + TRAIN)


def booked(root: Path, given: str, *paths: str, layout: str = "") -> set[tuple[str, str]]:
    """Whose each file is, and which lab its place names, when ``given`` is handed to the grader."""
    for path in paths:
        notebook(root / path, ANSWER)
    return {(one.student, one.lab) for one in discover([root / given], layout=layout)}


@pytest.mark.parametrize(
    ("given", "paths", "expected"),
    [
        ("class", ["class/3 Ann/submission_00.ipynb", "class/4 Bob/x.ipynb"], {("3 Ann", "00"), ("4 Bob", "")}),
        ("class", ["class/lab00-ann/x.ipynb", "class/lab00-bob-k/a/y.ipynb"], {("ann", "00"), ("bob-k", "00")}),
        ("class", ["class/00-the-first-crash-ann/x.ipynb"], {("ann", "00")}),
        ("lab00-submissions", ["lab00-submissions/lab00-ann/x.ipynb"], {("ann", "00")}),
        ("lab00-ann", ["lab00-ann/x.ipynb"], {("ann", "00")}),
        ("class", ["class/lab00-submissions/lab00-ann/x.ipynb"], {("ann", "00")}),
        ("class", ["class/lab00-li-a/x.ipynb", "class/lab00-li-b/x.ipynb"], {("li-a", "00"), ("li-b", "00")}),
        ("Ann_12_assignsubmission_file_", ["Ann_12_assignsubmission_file_/x.ipynb"], {("Ann", "")}),
        ("class", ["class/lab00/ann.ipynb"], {("ann", "00")}),
        ("class", ["class/lab00/ann.ipynb", "class/lab01/ann.ipynb"], {("ann", "00"), ("ann", "01")}),
        ("class/lab00", ["class/lab00/ann.ipynb", "class/lab00/bob.ipynb"], {("ann", "00"), ("bob", "00")}),
        ("class", ["class/lab00/ann/x.ipynb", "class/lab00/bob/y.ipynb"], {("ann", "00"), ("bob", "00")}),
        ("class", ["class/section A/ann/lab00.ipynb", "class/section B/bob/x.ipynb"], {("ann", "00"), ("bob", "")}),
        ("class", ["class/section A/ann.ipynb", "class/section B/bob.ipynb"], {("ann", ""), ("bob", "")}),
        ("section A", ["section A/ann/submission_00.ipynb"], {("ann", "00")}),
        ("submitted", ["submitted/week1/ann.ipynb", "submitted/week1/bob.ipynb"], {("ann", ""), ("bob", "")}),
        ("submitted/week1", ["submitted/week1/ann.ipynb"], {("ann", "")}),
        ("submitted/week1/ann.ipynb", ["submitted/week1/ann.ipynb"], {("ann", "")}),
        ("submitted", ["submitted/group 3/lab00/x.ipynb"], {("group 3", "00")}),
        ("class", ["class/mallory/submitted/bob/lab00/x.ipynb"], {("mallory", "00")}),
        ("class", ["class/mallory/submitted/bob/lab00/x.ipynb", "class/ann/x.ipynb"], {("mallory", "00"), ("ann", "")}),
        ("class", ["class/mallory/lab01-bob/x.ipynb", "class/mallory/section A/bob.ipynb"], {("mallory", "")}),
        ("ann", ["ann/submission_00.ipynb", "ann/submission_01.ipynb"], {("ann", "00"), ("ann", "01")}),
        ("ann", ["ann/lab00/submission_00.ipynb", "ann/lab01/x.ipynb"], {("ann", "00"), ("ann", "01")}),
        ("ann/submission_00.ipynb", ["ann/submission_00.ipynb"], {("ann", "00")}),
        ("class", ["class/ann_lab00.ipynb", "class/lab00-bob.ipynb"], {("ann", "00"), ("bob", "00")}),
        (
            "class",
            ["class/Ann Lee_123_assignsubmission_file_/x.ipynb", "class/Bob_5_assignsubmission_file_lab00.ipynb"],
            {("Ann Lee", ""), ("Bob", "00")},
        ),
        (
            "class",
            ["class/leeann_LATE_12345_678_x-1.ipynb", "class/bob_7_8_submission_00.ipynb", "class/anon_B3_9_z.ipynb"],
            {("leeann", ""), ("bob", "00"), ("anon_B3", "")},
        ),
    ],
)  # fmt: skip
def test_layouts_are_told_by_the_names_in_the_given_path(tmp_path, given, paths, expected):
    assert booked(tmp_path, given, *paths) == expected


@pytest.mark.parametrize(
    ("given", "paths", "first", "second"),
    [
        ("mallory", ["mallory/submitted/bob/lab00/x.ipynb"], "as an nbgrader course", "a student mallory"),
        ("class", ["class/lab01/x.ipynb", "class/ann/x.ipynb"], "a student like ann", "holds several students"),
        ("ann", ["ann/lab00/x.ipynb", "ann/lab01/zoe.ipynb"], "labs of one student, ann", "named after its student"),
        ("class", ["class/submission_00.ipynb", "class/ann.ipynb"], "a student of that name", "folder of one student"),
        ("ann/lab00", ["ann/lab00/submission_00.ipynb"], "a student of that name", "of one student, ann"),
        ("class", ["class/week1/submission_00.ipynb"], "a student of that name", "folder of one student, class"),
    ],
)
def test_two_readings_are_refused_and_both_are_named(tmp_path, given, paths, first, second):
    with pytest.raises(CannotGrade) as refused:
        booked(tmp_path, given, *paths)
    assert first in str(refused.value) and second in str(refused.value) and "--layout" in str(refused.value)


@pytest.mark.parametrize(
    ("layout", "paths", "expected"),
    [
        ("flat", ["submission_00.ipynb", "ann.ipynb", "a/lab02.ipynb"], {"submission_00", "ann", "lab02"}),
        ("folder", ["lab01/x.py", "lab00-ann/x.py", "submitted/bob/x.py"], {"lab01", "lab00-ann", "submitted"}),
        ("folder", ["submission_00.ipynb"], {"given"}),
        ("nbgrader", ["submitted/lab01/lab00/x.ipynb"], {"lab01"}),
        ("nbgrader", ["ann/lab00/x.ipynb"], {"ann"}),
        ("classroom", ["intro-to-memory-ann/x.ipynb", "intro-to-memory-bob/x.ipynb"], {"ann", "bob"}),
        ("canvas", ["ann_1_2_x.ipynb"], {"ann"}),
        ("moodle", ["Ann_1_assignsubmission_file_/x.ipynb"], {"Ann"}),
    ],
)  # fmt: skip
def test_a_layout_that_is_asked_for_is_not_guessed(tmp_path, layout, paths, expected):
    found = booked(tmp_path, "given", *(f"given/{path}" for path in paths), layout=layout)
    assert {student for student, _ in found} == expected


def test_a_layout_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(CannotGrade, match="'blackboard': choose flat, folder"):
        booked(tmp_path, "class", "class/ann.ipynb", layout="blackboard")
