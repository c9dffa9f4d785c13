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
    reports.write(list(records()), tmp_path)
    read = json.loads((tmp_path / "results.json").read_text())
    assert [record["student"] for record in read] == ["-ada", "@bob"]
    for record in read:
        jsonschema.validate(record, schema())


def test_csv_has_a_row_a_record_and_no_formula(tmp_path):
    reports.write(list(records()), tmp_path)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "results.csv").read_text(), newline="")))
    assert [row["verdict"] for row in rows] == ["passed", "raised"]
    assert rows[0]["score"] == "100.0" and rows[0]["peak_mib"] == "20.0" and rows[1]["peak_mib"] == ""
    values = [value for row in rows for value in row.values()]
    assert not [value for value in values if value[:1] in tuple("=+-@")]
    assert not [value for value in values if "\x1b" in value or "\n" in value]


def test_writing_leaves_nothing_half_done(tmp_path):
    reports.write(list(records()), tmp_path)
    reports.write([], tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "memory-accuracy.svg",
        "results.csv",
        "results.json",
    ]
    assert json.loads((tmp_path / "results.json").read_text()) == []


def test_the_picture_has_a_panel_a_lab_and_a_mark_an_answer(tmp_path):
    asked = {"budget_mib": 100.0, "floor": 0.9}
    given = [
        Record(verdict="passed", message="So.", student="<b>&ada\x1b", lab="13", peak_mib=80.0, accuracy=0.95, **asked),
        Record(verdict="over_budget", message="So.", student="bob", lab="13", peak_mib=120.0, accuracy=0.95, **asked),
        Record(verdict="out_of_memory", message="So.", student="cy", lab="13", peak_mib=200.0, **asked),
        Record(verdict="passed", message="So.", student="cy", lab="01", peak_mib=50.0, accuracy=0.8, **asked),
        Record(verdict="rejected", message="So.", student="di", lab="13"),
    ]
    reports.write(given, tmp_path)
    picture = ElementTree.fromstring((tmp_path / "memory-accuracy.svg").read_text())
    drawn = [element.tag.rpartition("}")[2] for element in picture.iter()]
    texts = [element.text for element in picture.iter() if element.text]
    assert drawn.count("circle") == 3  # and a cross for the one without an accuracy
    assert "Lab 01: accuracy against peak memory" in texts
    assert "<b>&ada: 80 MiB, 95.0%, passed" in texts
    assert "cy: 200 MiB, no accuracy, out of memory" in texts
    assert "di" not in "".join(texts).split()
    assert "Answers that did not run, and are not shown: 1." in texts


def test_an_answer_that_needed_nothing_is_drawn_at_the_edge(tmp_path):
    asked = {"budget_mib": 100.0, "floor": 0.9, "lab": "01", "message": "So."}
    given = [Record(verdict="raised", student="at once", peak_mib=0.0, **asked)]
    texts = [
        element.text
        for element in ElementTree.fromstring(reports.scatter.as_svg([dict(one) for one in given])).iter()
        if element.text
    ]
    assert "at once: 0 MiB, no accuracy, raised" in texts
    assert "1" in texts and "0.0625" not in texts


def test_a_large_class_is_not_named_in_the_picture(tmp_path):
    asked = {
        "verdict": "passed",
        "message": "So.",
        "lab": "13",
        "peak_mib": 80.0,
        "budget_mib": 100.0,
        "accuracy": 0.95,
    }
    picture = reports.scatter.as_svg(
        [dict(Record(student=f"student {number}", floor=0.9, **asked)) for number in range(99)]
    )
    assert picture.count("<circle") == 99
    assert picture.count("student 7:") == 1  # for the pointer alone
