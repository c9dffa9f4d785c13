"""Reports are whole, and harmless where learners' words end up in them."""

from __future__ import annotations

import csv
import io
import json
from xml.etree import ElementTree

import jsonschema

from course_utils import reports
from course_utils.grading.record import Record, schema


def records():
    where = {"cell": "graded cell", "line": 3, "source": "=1+1"}
    yield Record(verdict="raised", message="=HYPERLINK(0)\r\n\x1b[31mred", student="@bob", lab="01", where=where)
    yield Record(
        verdict="passed", message="Well done.", student="-ada", lab="01", score=100.0, accuracy=0.9, peak_mib=20
    )


def test_json_is_the_records_themselves(tmp_path):
    reports.Writer(tmp_path).write(list(records()))
    read = json.loads((tmp_path / "results.json").read_text())
    assert [record["student"] for record in read] == ["-ada", "@bob"]
    for record in read:
        jsonschema.validate(record, schema())


def test_csv_has_a_row_a_record_and_no_formula(tmp_path):
    reports.Writer(tmp_path).write(list(records()))
    rows = list(csv.DictReader(io.StringIO((tmp_path / "results.csv").read_text(), newline="")))
    assert [row["verdict"] for row in rows] == ["passed", "raised"]
    assert rows[0]["score"] == "100.0" and rows[0]["peak_mib"] == "20.0" and rows[1]["peak_mib"] == ""
    values = [value for row in rows for value in row.values()]
    assert not [value for value in values if value[:1] in tuple("=+-@")]
    assert not [value for value in values if "\x1b" in value or "\n" in value]


def test_writing_leaves_nothing_half_done(tmp_path):
    reports.Writer(tmp_path).write(list(records()))
    reports.Writer(tmp_path).write([])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "memory-accuracy.svg",
        "results.csv",
        "results.json",
    ]
    assert json.loads((tmp_path / "results.json").read_text()) == []


def test_the_picture_has_a_panel_a_lab_and_a_mark_an_answer(tmp_path):
    asked = {"budget_mib": 100.0, "floor": 0.9, "message": "So."}
    given = [
        Record(verdict="passed", student="<b>&ada\x1b $x", lab="13", peak_mib=80.0, accuracy=0.95, **asked),
        Record(verdict="over_budget", student="bob", lab="13", peak_mib=120.0, accuracy=0.95, **asked),
        Record(verdict="out_of_memory", student="cy", lab="13", peak_mib=200.0, **asked),
        Record(verdict="raised", student="dora", lab="01", peak_mib=0.0, **asked),
        Record(verdict="rejected", student="eve", lab="13", message="So."),
    ]
    reports.Writer(tmp_path).write(given)
    texts, marks = drawn((tmp_path / "memory-accuracy.svg").read_text())
    assert {"Lab 01", "Lab 13", "budget", "<b>&ada $x", "bob", "cy", "dora"} <= texts and "eve" not in texts
    assert marks == 4  # also of the answer that needed nothing


def test_a_large_class_is_not_named_in_the_picture():
    asked = {"verdict": "passed", "message": "So.", "lab": "13", "peak_mib": 80.0, "budget_mib": 100.0}
    given = [Record(student=f"student {number}", floor=0.9, accuracy=0.95, **asked) for number in range(99)]
    texts, marks = drawn(reports.picture.as_svg(given))
    assert marks == 99 and not [text for text in texts if "student" in text]


def drawn(svg: str) -> tuple[set[str], int]:
    """The texts of a picture and the number of its answers."""
    picture = list(ElementTree.fromstring(svg).iter())
    answers = [element for element in picture if element.get("id", "").startswith("answer-")]
    return {"".join(element.itertext()) for element in picture if element.tag.endswith("text")}, len(answers)
