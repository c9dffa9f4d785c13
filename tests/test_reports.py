"""Reports are whole, and harmless where learners' words end up in them."""

from __future__ import annotations

import csv
import io
import json

from course_utils import reports
from course_utils.grading.record import make, validate


def records():
    where = {"cell": "graded cell", "line": 3, "source": "=1+1"}
    yield make(verdict="raised", message="=HYPERLINK(0)\r\n\x1b[31mred", student="@bob", lab="01", where=where)
    yield make(verdict="passed", message="Well done.", student="-ada", lab="01", score=100.0, accuracy=0.9, peak_mib=20)


def test_json_is_the_records_themselves(tmp_path):
    reports.write(list(records()), tmp_path)
    read = json.loads((tmp_path / "results.json").read_text())
    assert [record["student"] for record in read] == ["-ada", "@bob"]
    for record in read:
        validate(record)


def test_csv_has_a_row_a_record_and_no_formula(tmp_path):
    reports.write(list(records()), tmp_path)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "results.csv").read_text(), newline="")))
    assert [row["verdict"] for row in rows] == ["passed", "raised"]
    assert rows[0]["score"] == "100.0" and rows[0]["peak_mib"] == "20" and rows[1]["peak_mib"] == ""
    values = [value for row in rows for value in row.values()]
    assert not [value for value in values if value[:1] in tuple("=+-@")]
    assert not [value for value in values if "\x1b" in value or "\n" in value]


def test_writing_leaves_nothing_half_done(tmp_path):
    reports.write(list(records()), tmp_path)
    reports.write([], tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.csv", "results.json"]
    assert json.loads((tmp_path / "results.json").read_text()) == []
