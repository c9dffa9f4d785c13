"""The cards of runs that died or finished, made from evidence as the sandbox gathers it: what a learner reads."""

from __future__ import annotations

import dataclasses
import itertools
import re
import xml.etree.ElementTree as xml

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils import cards, labs
from course_utils.cards.graded import verdict_card
from course_utils.cards.runs import outcome_card
from course_utils.grading.grade import post_mortem
from course_utils.grading.record import Record, schema
from course_utils.postmortem import End, Frame, Limits, Measurement, Outcome, Sighting, Testimony, Where, conclude
from course_utils.postmortem.phases import PHASES, Phase
from course_utils.postmortem.summary import STRETCHES, THIS_CELL, condense

HOSTILE = "<script>alert(1)</script>"
LIMITS = Limits(budget_mib=400, cap_mib=400, time_limit=60, isolation="process", method="cgroup v2")
LOAD = Where(THIS_CELL, 8, f'x = np.load("{HOSTILE}")')
FIT = Where(THIS_CELL, 22, "model.fit(x, y)")
KERAS = "keras/src/backend/tensorflow/trainer.py"
TRACING = (Frame("tensorflow/function.py", "trace_function"), Frame(KERAS, "fit"), Frame(THIS_CELL, "<module>", FIT))
STEP = (Frame(KERAS, "fit"), Frame(THIS_CELL, "<module>", FIT))
SIGHTINGS = [
    *(Sighting(0.1 * index, 30.0 * index, (Frame(THIS_CELL, "<module>", LOAD),)) for index in range(1, 7)),
    *(Sighting(0.6 + 0.1 * index, 180.0 + index, TRACING) for index in range(1, 9)),
    *(Sighting(1.4 + 0.1 * index, 188.0 + 30 * index, STEP) for index in range(1, 8)),
]
LEDGER = [
    {"name": f"x['{HOSTILE}']", "what": "float32 array (9, 9)", "mib": 180.0, "kind": "array"},
    {"name": "", "what": "12 variables", "mib": 31.0, "kind": "weights"},
    {"name": "train", "what": "cache() of 9 elements", "mib": 24.0, "kind": "pipeline", "full": False},
]


def outcome(finished: bool = False, **fields: object) -> Outcome:
    """A run that loads, traces and dies in its first step, or finishes there."""
    trace = [(sighting.seconds, sighting.mib) for sighting in SIGHTINGS]
    measured = Measurement(
        LIMITS, 5.0, 250.0, peak_mib=398.0, seconds=2.1, trace=trace, sightings=SIGHTINGS,
        killed_for="" if finished else "memory",
    )  # fmt: skip
    said = Testimony(last_line=FIT, ledger=LEDGER, end=End("finished") if finished else None)
    return dataclasses.replace(conclude(measured, said), **fields)


def died(**fields: object) -> Outcome:
    """A death whose cause is known, and which is not the fault of the line that was running."""
    known = {"blame": LOAD, "cause": "`x` is <b>large</b>.", "remedy": "Load less at once.", "cause_lab": "01"}
    return outcome(**(known | fields))


def graded(found: Outcome) -> Record:
    """The record of an answer that ended like this."""
    phases = [dataclasses.asdict(phase) for phase in condense(found.phases)]
    kept = {"peak_mib": found.peak_mib, "budget_mib": 400, "method": "procfs", "trace": found.trace, "phases": phases}
    message = f"{found.message} Likely cause: {found.cause}"
    return Record(verdict=found.status, message=message, lab="01", **kept, **post_mortem(found))


def in_order(text: str, *pieces: str) -> bool:
    places = [text.find(piece) for piece in pieces]
    return -1 not in places and places == sorted(places)


EXPLAINED = (
    "line 22", "line 8", "What was running", "210 MiB", "line 22", "first step", "180 MiB", "loading",
    "Likely cause", "What to do", "Load less at once.", "lab 01",
)  # fmt: skip


def test_the_card_of_a_death_says_where_who_grew_why_and_what_to_do() -> None:
    text = cards.text(outcome_card(died()))
    assert "It died at line 22; the memory came at line 8." in text
    last = -1
    for piece in EXPLAINED:
        assert (last := text.find(piece, last + 1)) >= 0, f"{piece!r} is missing, or not in its place, in\n{text}"
    assert re.search(r"weights +12 variables +31 MiB", text)
    assert re.search(r"`train` +cache\(\) of 9 elements +up to 24 MiB", text)


def test_the_text_of_a_death_has_the_same_order_and_says_a_thing_once() -> None:
    text = died().post_mortem()
    assert in_order(text, "It died at: ", "The memory came at: ", "What was running", "Likely cause: ", "What to do: ")
    for once in ("model.fit(x, y)", "np.load", "Load less", "is <b>large</b>", "lab 01", "12 variables"):
        assert text.count(once) == 1, once
    assert "Phases: loading 0.6 s, +180 MiB; tracing 0.8 s, +8.0 MiB; first step 0.7 s, +210 MiB" in text


def test_where_the_line_that_died_is_to_blame_it_is_named_once() -> None:
    text = cards.text(outcome_card(died(blame=FIT)))
    assert "It died at" not in text and text.count("model.fit(x, y)") == 1
    assert "Last line of yours: this cell, line 22: model.fit" in died(blame=FIT).post_mortem()


@pytest.mark.parametrize("status", ["raised", "timed_out", "finished"])
def test_who_grew_is_told_only_where_memory_can_be_the_matter(status: str) -> None:
    found = outcome(finished=True, status=status)
    for text in (cards.text(outcome_card(found)), found.post_mortem()):
        assert "What was running" not in text and "first step 0.7 s, +210 MiB" in text
        assert ("12 variables" in text) == (status != "finished")


def test_the_curve_shows_its_phases_with_legend_and_words() -> None:
    card = outcome_card(outcome(finished=True))
    picture = xml.fromstring(cards.svg(card))
    titles = [element.text for element in picture.iter("{http://www.w3.org/2000/svg}title")]
    assert "tracing: 0.6 to 1.4 s, +8.0 MiB" in titles
    words = "loading 0.6 s, +180 MiB; tracing 0.8 s, +8.0 MiB; first step 0.7 s, +210 MiB"
    assert words in picture.get("aria-label")
    assert f"Phases: {words}" in cards.text(card)
    legend = re.findall(r"(\d) <b>([\w ]+)</b> ([^<]+)<", cards.html(card))
    assert legend == [
        ("1", "loading", "0.6 s, +180 MiB"),
        ("2", "tracing", "0.8 s, +8.0 MiB"),
        ("3", "first step", "0.7 s, +210 MiB"),
    ]


def test_a_phase_that_was_seen_after_the_last_sample_has_no_width() -> None:
    run = outcome(finished=True)
    end = run.trace[-1][0]
    late = outcome(
        finished=True, phases=[Phase(PHASES[0], 0, end + 0.1, 9.0), Phase(PHASES[-1], end + 0.1, end + 1, 200.0)]
    )
    picture = xml.fromstring(cards.svg(outcome_card(late)))
    widths = [float(element.get("width")) for element in picture.iter("{http://www.w3.org/2000/svg}rect")]
    assert len(widths) == 2 and min(widths) >= 0


def test_what_the_run_said_is_shown_as_text() -> None:
    found = died(cause=HOSTILE, remedy=HOSTILE, phases=[Phase(PHASES[0], 0, 1, 9.0), Phase(PHASES[-1], 1, 2.1, 9.0)])
    for card in (outcome_card(found), verdict_card(graded(found), labs.get("01"))):
        assert "<script" not in cards.html(card) and "&lt;script&gt;" in cards.html(card)
        assert "<script" not in cards.svg(card)


def test_a_record_keeps_the_explanation_and_its_card_says_it_once() -> None:
    record = graded(died())
    text = cards.text(verdict_card(record, labs.get("01")))
    last = -1
    for piece in EXPLAINED:
        assert (last := text.find(piece, last + 1)) >= 0, f"{piece!r} is missing, or not in its place, in\n{text}"
    assert text.count("is <b>large</b>") == 1 and record.message.count("is <b>large</b>") == 1
    assert "Phases: loading 0.6 s" in text


def test_a_record_survives_its_file_and_an_old_one_can_be_read() -> None:
    stored = graded(died()).model_dump(mode="json")
    jsonschema.validate(stored, schema())
    assert Record.model_validate(stored).model_dump(mode="json") == stored
    assert [one["phase"] for one in stored["growth"]] == ["first step", "loading", "tracing"]
    assert stored["blame"]["line"] == 8 and stored["where"]["line"] == 22
    new = ("blame", "cause", "remedy", "cause_lab", "growth", "phases")
    old = Record.model_validate({name: value for name, value in stored.items() if name not in new})
    assert "Likely cause" in cards.text(verdict_card(old, labs.get("01")))


def test_a_record_has_clean_and_bounded_texts() -> None:
    found = died(cause="red \x1b[31m\n" * 500, remedy="\x00 do", blame=Where("a\ncell" * 99, 1, "x\x07" * 999))
    stored = graded(found).model_dump_json()
    assert not re.search(r"\\u00[01][0-9a-f]|\\n", stored) and len(stored) < 20_000


@given(
    st.lists(
        st.tuples(st.sampled_from(PHASES), st.floats(0, 100), st.floats(-1000, 1000)).map(
            lambda drawn: Phase(drawn[0], 0.0, drawn[1], drawn[2])
        ),
        max_size=40,
    )
)
def test_few_stretches_cover_the_same_time_and_memory(drawn: list[Phase]) -> None:
    phases, moment = [], 0.0
    for one in drawn:
        phases.append(Phase(one.name, moment, moment + one.end, one.mib))
        moment += one.end
    found = condense(phases)
    assert len(found) <= STRETCHES
    if not found:
        assert max(itertools.accumulate(one.mib for one in phases), default=0) < 1
        return
    assert sum(one.mib for one in found) == pytest.approx(sum(one.mib for one in phases), abs=1e-6)
    edges = [0.0, *(one.end for one in found)]
    assert [one.start for one in found] == edges[:-1] and edges[-1] == moment


def test_a_flicker_belongs_to_its_neighbour_and_a_sudden_rise_does_not() -> None:
    steps = [
        Phase("later steps", 0, 5, 60.0),
        Phase("outside Keras", 5, 5.05, 1.0),
        Phase("later steps", 5.05, 10, 40.0),
    ]
    assert condense(steps) == [Phase("later steps", 0, 10, 101.0)]
    rise = [Phase("loading", 0, 9.95, 1.0), Phase("predict", 9.95, 10, 400.0)]
    assert condense(rise) == rise
    assert condense([Phase("loading", 0, 0.013, 0.2)]) == []
